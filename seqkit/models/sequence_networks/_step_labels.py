"""Labels of every step, of any container, brought to the rows of what they belong to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from seqkit.data.sequences import Array, Sequences


def given_lengths(data: Sequences) -> Array:
    """The rows that the caller gave of every sequence, without those that fill its calendar."""
    pairs = zip(data.rows, data.lengths, strict=True)
    return np.array([length if rows is None else len(rows) for rows, length in pairs])


def step_labels(data: Sequences, y: Any, name: str = "y") -> Array:
    """One label for every row of `data`, (total,) objects, None where missing.

    Parameters
    ----------
    y : in the shape of the data: a list (or dict) of sequences of labels, or one sequence of labels; Series must have
        the index of the data.

    Raises ValueError for other numbers of sequences or labels, other names and other indices.

    >>> from seqkit import Sequences
    >>> step_labels(Sequences([["a", "b"], ["c"]]), [["x", None], ["y"]]).tolist()
    ['x', None, 'y']
    """
    parts = _parts(data, y, name)
    out = np.full(len(data.values), None, dtype=object)
    for i, part in enumerate(parts):
        what = name if data.single else f"{name}[{data.keys[i]!r}]"
        rows = data.rows[i]
        expected = int(data.lengths[i]) if rows is None else len(rows)
        labels = _flat(part, what)
        if len(labels) != expected:
            raise ValueError(
                f"{what} has {len(labels)} labels for the {expected} steps of {data.label(i)}; give one label a step"
            )
        if isinstance(part, pd.Series):
            _refuse_other_index(data, i, part, what)
        start = int(data.offsets[i])
        places = np.arange(start, start + expected) if rows is None else start + rows
        out[places] = labels
    return out


def _parts(data: Sequences, y: Any, name: str) -> list[Any]:
    """What is given for each sequence."""
    if isinstance(y, pd.DataFrame):
        if y.shape[1] != 1:
            raise ValueError(f"{name} has {y.shape[1]} columns; give one label a step, as a Series")
        y = y.iloc[:, 0]
    if isinstance(y, pd.Series) and isinstance(y.index, pd.MultiIndex):
        y = {key: part.droplevel(0) for key, part in y.groupby(level=0, sort=False)}
    if isinstance(y, dict):
        missing = [key for key in data.keys if key not in y]
        if missing or len(y) != len(data):
            raise ValueError(
                f"{name} names {list(y)[:5]}, the sequences are {list(data.keys)[:5]}; name the same ones"
            )
        return [y[key] for key in data.keys]
    if data.single:
        rows = list(y)
        nested = len(rows) == 1 and _is_sequence(rows[0])
        return [rows[0] if nested else y]
    parts = list(y)
    if len(parts) != len(data):
        raise ValueError(
            f"{name} has {len(parts)} sequence(s) of labels for {len(data)}; give one for each"
        )
    return parts


def _is_sequence(x: Any) -> bool:
    return hasattr(x, "__len__") and not isinstance(x, str)


def _flat(part: Any, what: str) -> Array:
    if not _is_sequence(part):
        raise ValueError(f"{what} is {part!r}; a sequence needs one label a step")
    labels = np.empty(len(part), dtype=object)
    for i, label in enumerate(part):
        if _is_sequence(label):
            raise ValueError(f"{what} has {label!r} at step {i}; expected one label a step")
        absent = label is None or label is pd.NA or label != label
        labels[i] = None if absent else label.item() if isinstance(label, np.generic) else label
    return labels


def _refuse_other_index(data: Sequences, i: int, part: pd.Series, what: str) -> None:
    rows, mine = data.rows[i], data.calendars[i].index
    mine = mine if rows is None else mine[rows]
    counted = isinstance(part.index, pd.RangeIndex) or isinstance(mine, pd.RangeIndex)
    if not counted and not part.index.equals(mine):
        raise ValueError(
            f"{what} has another index than {data.label(i)}; align them, e.g. by y.reindex(x.index)"
        )


def distinct_labels(labels: Iterable[Any]) -> list[Any]:
    """The labels, sorted; by their text where they are of several kinds.

    >>> distinct_labels(["b", None, "a", "b"]), distinct_labels([3, "a"])
    (['a', 'b'], [3, 'a'])
    """
    found = set(labels) - {None}
    try:
        return sorted(found)
    except TypeError:
        return sorted(found, key=str)


def encode_labels(labels: Array, known: list[Any]) -> Array:
    """Numbers of the labels among the known ones, -1 for missing and unknown ones."""
    numbers = {label: i for i, label in enumerate(known)}
    return np.array([numbers.get(label, -1) for label in labels], dtype=np.int64)


def named(codes: Array, known: list[Any]) -> Array:
    """The labels of these numbers, as objects where they are text."""
    text = any(isinstance(label, str) for label in known)
    return np.array(known, dtype=object if text else None)[codes]
