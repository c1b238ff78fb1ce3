"""Columns and arrays of every kind as float64 or as symbols, with errors that name the place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

Array = np.ndarray


def refuse_empty(length: int, what: str) -> None:
    if length == 0:
        raise ValueError(f"{what} is empty; give at least one observation")


def textual(x: pd.Series) -> bool:
    return isinstance(x.dtype, (pd.StringDtype, pd.CategoricalDtype)) or (
        x.dtype == object and isinstance(x.iloc[0], str)
    )


def symbols(x: pd.Series, name: str) -> Array:
    if x.isna().any():
        raise ValueError(
            f"{name} has a missing token at row {int(np.argmax(x.isna()))}; tokens must be present"
        )
    return x.astype(object).to_numpy().reshape(-1, 1)


def numbers(x: pd.Series, name: str) -> Array:
    """A column as float64; the array of a float64 Series itself, without a copy."""
    if x.dtype == np.float64:
        values = x.to_numpy()
    elif textual(x) or pd.api.types.is_datetime64_any_dtype(x.dtype):
        raise TypeError(
            f"{name} holds {x.dtype} (first value {x.iloc[0]!r}); expected numbers. A column of times belongs in the "
            "index (df.set_index(...)), text that holds numbers goes through pd.to_numeric"
        )
    else:
        values = to_float(x, name)
    refuse_infinite(values, x, name)
    return values


def to_float(x: Any, name: str) -> Array:
    if isinstance(x, np.ma.MaskedArray):
        return np.ma.filled(x.astype(np.float64), np.nan)
    if x.dtype.kind in "cmMV":
        first = x.iloc[0] if isinstance(x, pd.Series) else x.flat[0]
        raise TypeError(f"{name} holds {x.dtype} (first value {first!r}); expected real numbers")
    if x.dtype == object:
        return _objects_to_float(np.asarray(x), name)
    try:
        if isinstance(x, pd.Series):
            return x.to_numpy(dtype=np.float64, na_value=np.nan)
        return np.asarray(x, dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"{name} has dtype {x.dtype}; expected real numbers") from None


def _objects_to_float(x: Array, name: str) -> Array:
    """Python objects as float64: numbers of any kind, and None, NaN or pd.NA where missing; never text."""
    values = np.empty(x.size)
    for place, value in enumerate(x.ravel()):
        try:
            if isinstance(value, (str, bytes, complex, np.complexfloating)):
                raise TypeError
            values[place] = np.nan if value is None or value is pd.NA else float(value)
        except (TypeError, ValueError):
            raise TypeError(
                f"{name} holds {value!r} ({type(value).__name__}) at row {place // (x.size // len(x))}; expected real "
                "numbers, with NaN or None where missing (pd.to_numeric turns text into numbers)"
            ) from None
    return values.reshape(x.shape)


def refuse_infinite(values: Array, source: Any, name: str) -> None:
    # The sum is finite unless a value is not, or the data overflow: one pass instead of two in the usual case.
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(values.sum()) or not np.isinf(values).any():
            return
    row = int(np.argwhere(np.isinf(values))[0][0])
    where = f"row {row}" if source is None else f"{source.index[row]} (row {row})"
    raise ValueError(
        f"{name} is infinite at {where}; replace infinities with NaN if they mean missing"
    )
