"""Inputs beside the series: known ahead, known up to now, or fixed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from seqkit.persistence import Record


class Covariates(Record):
    """Inputs by what will be known of them when a forecast is made.

    Parameters
    ----------
    future : known ahead (holidays, prices, a plan); `predict` asks for the values of its horizon.
    past : known only up to now (weather, another series); `predict` asks for nothing.
    static : fixed for a series (region, size): a frame with one row per series, or a dict for a single one.

    `future` and `past` are on the index of the series, as for a plain frame given as ``covariates=``, which
    means the same as ``Covariates(future=frame)``.

    Examples
    --------
    >>> Covariates(static={"size": 3.0})
    Covariates(static)
    """

    def __init__(self, *, future: Any = None, past: Any = None, static: Any = None):
        self.future, self.past, self.static = future, past, static

    def __repr__(self) -> str:
        given = [name for name in ("future", "past", "static") if getattr(self, name) is not None]
        return f"Covariates({', '.join(given)})"


def static_table(static: Any, keys: tuple[Any, ...], single: bool) -> tuple[np.ndarray, tuple]:
    """The fixed features of every series, (series, S), and their names.

    Raises TypeError or ValueError where a series has none, or they are no numbers.
    """
    if single and isinstance(static, (dict, pd.Series)):
        static = pd.DataFrame([dict(static)], index=pd.Index(list(keys)))
    if not isinstance(static, pd.DataFrame):
        raise TypeError(
            f"static is a {type(static).__name__}; expected a DataFrame with one row per series"
            + (", or a dict for a single series" if single else "")
        )
    if single and len(static) == 1:
        rows = static
    else:
        absent = [key for key in keys if key not in static.index]
        if absent:
            raise ValueError(f"static has no row for series {absent[0]!r}; give one per series")
        rows = static.loc[list(keys)]
    try:
        table = rows.to_numpy(dtype=float)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"static holds what is not a number ({error}); encode it, e.g. with pd.get_dummies"
        ) from None
    if not np.isfinite(table).all():
        raise ValueError("static has missing or infinite values; fill them")
    return table, tuple(rows.columns)
