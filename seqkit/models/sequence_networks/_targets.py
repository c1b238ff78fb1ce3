"""What is to be read out of sequences, and which task that is."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pandas as pd

from seqkit.data.sequences import Array, Sequences

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
    if isinstance(y, Sequences):
        return "steps" if np.array_equal(y.lengths, lengths) else "sequence"
    if isinstance(y, (pd.Series, pd.DataFrame)) and isinstance(y.index, pd.MultiIndex):
        return "steps" if len(y) == lengths.sum() else "sequence"
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
