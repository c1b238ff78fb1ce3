"""Saving and loading: one zip file holding readable JSON and one safetensors block, never a pickle.

Everything a model is made of (numbers, text, arrays, calendars, other seqkit objects) is written as a
tree. Classes are named in the tree and are only ever looked up inside seqkit, or among the classes that
the caller passes, so a file from a stranger can build data but cannot run code.
"""

from __future__ import annotations

import importlib
import json
import math
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

SCHEMA_VERSION = 1
_TREE, _ARRAYS = "model.json", "arrays.safetensors"


class Record:
    """An object whose attributes are its whole state: comparable, printable, and saved without pickle."""

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return same(vars(self), vars(other))

    __hash__ = None  # type: ignore[assignment]


def same(a: Any, b: Any) -> bool:
    """Whether two pieces of state are equal, NaN being equal to NaN."""
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        if not (isinstance(a, np.ndarray) and isinstance(b, np.ndarray)) or a.dtype != b.dtype:
            return False
        return np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")
    if isinstance(a, pd.Index):
        return isinstance(b, pd.Index) and a.equals(b)
    if isinstance(a, Mapping):
        return isinstance(b, Mapping) and a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float) and isinstance(b, float) and math.isnan(a):
        return math.isnan(b)
    return bool(a == b)


def save(obj: Record, path: str | Path) -> Path:
    """Write `obj` to `path` and return the path."""
    from safetensors.numpy import save as pack

    arrays: dict[str, np.ndarray] = {}
    document = {"schema": SCHEMA_VERSION, "object": _encode(obj, arrays, "")}
    path = Path(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(_TREE, json.dumps(document, indent=1, allow_nan=False))
        archive.writestr(_ARRAYS, pack(arrays))
    return path


def load(path: str | Path, *, classes: Iterable[type] = ()) -> Any:
    """Read what `save` wrote.

    Parameters
    ----------
    path : the file.
    classes : classes of your own that the file may name (a custom scaling, say); by default only
        seqkit's own classes are built.

    Raises
    ------
    ValueError : the file is not a seqkit file, was written by a newer seqkit, or names a foreign class.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load as unpack

    try:
        with zipfile.ZipFile(path) as archive:
            document = json.loads(archive.read(_TREE))
            arrays = unpack(archive.read(_ARRAYS))
        schema, tree = document["schema"], document["object"]
    except (
        zipfile.BadZipFile,
        zlib.error,
        KeyError,
        TypeError,
        ValueError,
        SafetensorError,
    ) as error:
        raise ValueError(f"{path} is not a file written by model.save(): {error}") from error
    if not isinstance(schema, int) or schema > SCHEMA_VERSION:
        raise ValueError(
            f"{path} has schema version {schema!r}, this seqkit reads up to {SCHEMA_VERSION}; "
            "upgrade seqkit to load it"
        )
    try:
        return _decode(tree, arrays, {_name(cls): cls for cls in classes})
    except (KeyError, IndexError, TypeError, AttributeError, StopIteration) as error:
        raise ValueError(f"{path} is damaged, or was changed by hand: {error!r}") from error


def _name(cls: type) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"


def _encode(value: Any, arrays: dict[str, np.ndarray], path: str) -> Any:
    """`value` as a JSON tree; numeric arrays are moved into `arrays` under their path in the tree."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$float": repr(value)}
    if isinstance(value, list):
        return [_encode(v, arrays, f"{path}.{i}") for i, v in enumerate(value)]
    if isinstance(value, tuple):
        return {"$tuple": _encode(list(value), arrays, path)}
    if isinstance(value, Mapping):
        pairs = [
            [_encode(k, arrays, path), _encode(v, arrays, f"{path}.{k}")] for k, v in value.items()
        ]
        return {"$dict": pairs}
    if isinstance(value, np.ndarray):
        if value.dtype.kind in "OU":
            return {"$objects": _encode(value.tolist(), arrays, path), "shape": list(value.shape)}
        key = path.lstrip(".") or "array"
        while key in arrays:
            key += "'"
        arrays[key] = np.ascontiguousarray(value).reshape(value.shape)
        return {"$array": key}
    if isinstance(value, Record):
        state = {k: _encode(v, arrays, f"{path}.{k}") for k, v in vars(value).items()}
        return {"$object": _name(type(value)), "state": state}
    return _encode_pandas(value, arrays, path)


def _encode_pandas(value: Any, arrays: dict[str, np.ndarray], path: str) -> dict[str, Any]:
    if isinstance(value, pd.offsets.BaseOffset):
        return _encode_offset(value, path)
    if isinstance(value, pd.Timestamp):
        return {"$timestamp": value.isoformat(), "tz": value.tz and str(value.tz)}
    if isinstance(value, pd.Period):
        return {"$period": value.ordinal, "freq": value.freqstr}
    if isinstance(value, pd.RangeIndex):
        return {"$range": [value.start, value.stop, value.step], "name": value.name}
    if isinstance(value, pd.DatetimeIndex):
        stamps = _encode(np.asarray(value.asi8), arrays, path)
        tz, freq = value.tz and str(value.tz), value.freq and _encode_offset(value.freq, path)
        return {"$times": stamps, "unit": value.unit, "tz": tz, "freq": freq, "name": value.name}
    if isinstance(value, pd.PeriodIndex):
        stamps = _encode(np.asarray(value.asi8), arrays, path)
        return {"$periods": stamps, "freq": value.freqstr, "name": value.name}
    if isinstance(value, pd.Index) and value.dtype.kind in "iuf":
        return {"$index": _encode(value.to_numpy(), arrays, path), "name": value.name}
    raise TypeError(
        f"cannot save {path.lstrip('.') or 'this'}: a {type(value).__name__} has no pickle-free form"
    )


def _encode_offset(value: pd.offsets.BaseOffset, path: str) -> dict[str, Any]:
    """A frequency by its name; by its parts where the name does not tell all."""
    if type(value) is pd.DateOffset and value.kwds:
        return {"$dateoffset": dict(value.kwds), "n": value.n}
    if type(value) is pd.offsets.CustomBusinessDay:
        days = [str(day) for day in value.holidays]
        return {"$businessday": days, "n": value.n, "weekmask": value.weekmask}
    if pd.tseries.frequencies.to_offset(value.freqstr) == value:
        return {"$offset": value.freqstr}
    raise TypeError(
        f"cannot save {path.lstrip('.') or 'this'}: the frequency {value!r} has no name of its own"
    )


def _decode(tree: Any, arrays: Mapping[str, np.ndarray], classes: Mapping[str, type]) -> Any:
    if isinstance(tree, list):
        return [_decode(v, arrays, classes) for v in tree]
    if not isinstance(tree, dict):
        return tree

    def inner(key: str) -> Any:
        return _decode(tree[key], arrays, classes)

    match next(iter(tree)):
        case "$float":
            return float(tree["$float"])
        case "$tuple":
            return tuple(inner("$tuple"))
        case "$dict":
            return {
                _decode(k, arrays, classes): _decode(v, arrays, classes) for k, v in tree["$dict"]
            }
        case "$array":
            return arrays[tree["$array"]]
        case "$objects":
            flat = np.empty(tuple(tree["shape"]), dtype=object)
            flat[...] = np.array(inner("$objects"), dtype=object).reshape(flat.shape)
            return flat
        case "$object":
            cls = _lookup(tree["$object"], classes)
            obj: Any = object.__new__(cls)
            vars(obj).update({k: _decode(v, arrays, classes) for k, v in tree["state"].items()})
            return obj
        case "$offset":
            return pd.tseries.frequencies.to_offset(tree["$offset"])
        case "$dateoffset":
            return pd.DateOffset(n=tree["n"], **tree["$dateoffset"])
        case "$businessday":
            return pd.offsets.CustomBusinessDay(
                tree["n"], weekmask=tree["weekmask"], holidays=tree["$businessday"]
            )
        case "$timestamp":
            stamp = pd.Timestamp(tree["$timestamp"])
            return stamp.tz_convert(tree["tz"]) if tree["tz"] else stamp
        case "$period":
            return pd.Period(ordinal=tree["$period"], freq=tree["freq"])
        case "$range":
            start, stop, step = tree["$range"]
            return pd.RangeIndex(start, stop, step, name=tree["name"])
        case "$times":
            stamps = inner("$times").view(f"M8[{tree['unit']}]")
            index = pd.DatetimeIndex(stamps, name=tree["name"])
            if tree["tz"]:
                index = index.tz_localize("UTC").tz_convert(tree["tz"])
            return pd.DatetimeIndex(index, freq=inner("freq"))
        case "$periods":
            return pd.PeriodIndex.from_ordinals(  # type: ignore[attr-defined]
                inner("$periods"), freq=tree["freq"], name=tree["name"]
            )
        case "$index":
            return pd.Index(inner("$index"), name=tree["name"])
        case unknown:
            raise ValueError(f"unknown tag {unknown!r}; the file may come from a newer seqkit")


def _lookup(name: str, classes: Mapping[str, type]) -> type:
    """The class called `module:qualname`: one of the caller's, or a Record of seqkit's, nothing else."""
    if name in classes:
        return classes[name]
    module, _, qualname = name.partition(":")
    if module.split(".")[0] == "seqkit":
        try:
            found = getattr(importlib.import_module(module), qualname, None)
        except ImportError:
            found = None
        if isinstance(found, type) and issubclass(found, Record):
            return found
    raise ValueError(
        f"the file names {name}, which is not a seqkit class; pass it as load(..., classes=[...])"
    )
