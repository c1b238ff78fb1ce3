"""What is to be read out of sequences, and which task that is."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd

from seqkit.data.sequences import LONG_COLUMNS, Array, Sequences, as_sequences

Kind = Literal["none", "label", "steps", "sequence"]

FITS = {
    "none": "no y: seqkit.SequenceGenerator learns how sequences go on",
    "label": "one label per sequence: seqkit.LSTMClassifier, or seqkit.LSTMRegressor for numbers",
    "steps": "one label per step: seqkit.BiLSTMTagger",
    "sequence": "output sequences of lengths of their own: seqkit.Seq2Seq, or seqkit.CTC where they are not longer "
    "than the inputs",
}


def kind_of(y: Any, lengths: Array) -> Kind:
    """Which task the targets of sequences of these lengths ask for.

    >>> kind_of(["a", "b"], np.array([3, 4])), kind_of([["a"] * 3, ["b"] * 4], np.array([3, 4]))
    ('label', 'steps')
    >>> kind_of([["a"], ["b", "c"]], np.array([3, 4])), kind_of(["a", "b", "c"], np.array([3]))
    ('sequence', 'steps')
    """
    if y is None:
        return "none"
    if isinstance(y, pd.DataFrame) and set(LONG_COLUMNS) <= set(y.columns):
        y = as_sequences(y, name="y")
    if isinstance(y, Sequences):
        return "steps" if np.array_equal(y.lengths, lengths) else "sequence"
    if isinstance(y, (pd.Series, pd.DataFrame)) and isinstance(y.index, pd.MultiIndex):
        return "steps" if len(y) == lengths.sum() else "sequence"
    if isinstance(y, pd.DataFrame):
        y = y.to_numpy()[:, 0]  # the rows count, not the names of the columns
    rows = list(y.values()) if isinstance(y, dict) else list(y)
    nested = [hasattr(row, "__len__") and not isinstance(row, str) for row in rows]
    if nested and all(nested):
        found = np.array([len(row) for row in rows])
        return "steps" if np.array_equal(found, lengths) else "sequence"
    if len(rows) == len(lengths):
        return "label"
    return "steps" if len(lengths) == 1 and len(rows) == lengths[0] else "label"


def expect(model: Any, wanted: Kind, y: Any, lengths: Array) -> None:
    """Raises ValueError where `y` asks for another task than `wanted`, and says which model fits it."""
    found = kind_of(y, lengths)
    if found == wanted or (found == "steps" and wanted == "sequence"):
        return
    raise ValueError(
        f"{type(model).__name__} needs {FITS[wanted].split(':')[0]}, but this is {FITS[found].split(':')[0]}. For "
        f"{FITS[found]}"
    )


def by_name(y: Any, x: Any, keys: tuple[Hashable, ...], name: str = "y") -> Any:
    """One entry per sequence, in the order of the sequences of `x`, `keys`, where both have names; else as it came.

    Raises ValueError for a name of `x` that `y` has nothing under.

    >>> by_name(pd.Series({"b": 2, "a": 1}), {"a": [0.0], "b": [0.0]}, ("a", "b")).tolist()
    [1, 2]
    """
    if isinstance(y, Mapping):
        absent = [key for key in keys if key not in y]
        if absent:
            raise ValueError(
                f"{name} has nothing under {absent[0]!r}; give one for every sequence of x"
            )
        return [y[key] for key in keys]
    table = isinstance(y, (pd.Series, pd.DataFrame)) and not isinstance(y.index, pd.MultiIndex)
    if not table or not is_named(x) or len(y) != len(keys):
        return y
    mine = set(keys)
    if y.index.is_unique and set(y.index) == mine:
        return y.iloc[y.index.get_indexer(pd.Index(list(keys), tupleize_cols=False))]
    if mine & set(y.index):  # neither the same names nor other ones: an order would be a guess
        odd = next(key for key in keys if key not in set(y.index) or not y.index.is_unique)
        raise ValueError(
            f"{name} names some of the sequences of x, but not {odd!r} once; give one entry for each name, or "
            f"{name}.to_numpy() to go by place"
        )
    return y


def is_named(x: Any) -> bool:
    """Whether the caller gave the sequences names, rather than an order; `x` may be what was made of them."""
    if isinstance(x, pd.DataFrame):
        return isinstance(x.index, pd.MultiIndex) or set(LONG_COLUMNS) <= set(x.columns)
    if isinstance(x, Sequences):  # a part of a list has numbers for names, which are only places
        return not all(isinstance(key, int) for key in x.keys)
    if isinstance(x, pd.Series):
        return isinstance(x.index, pd.MultiIndex)
    return isinstance(x, Mapping) or bool(getattr(x, "named", False))
