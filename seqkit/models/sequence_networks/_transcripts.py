"""Transcripts: from what the caller gives to codes, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from seqkit.data.sequences import Array, Sequences, as_sequences
from seqkit.data.vocabulary import Vocabulary
from seqkit.persistence import Record

from ._inputs import Observed
from ._targets import by_name, expect

BLANK = ""


class Transcripts(Record):
    """One list of labels for each of some sequences; `texts` says whether they were given as text.

    >>> Transcripts(None, ["ab", ""], Observed([[1.0], [2.0]], "x")).rows
    [['a', 'b'], []]
    """

    def __init__(self, model: Any, y: Any, data: Observed):
        """Raises ValueError for targets of another task and other numbers of them, TypeError for other labels."""
        given = _given(y, data)
        self.texts = bool(given) and all(isinstance(one, str) for one in given)
        if not self.texts:
            expect(model, "sequence", y if y is None else given, data.lengths)
        if len(given) != len(data):
            raise ValueError(
                f"x has {len(data)} sequences and y has {len(given)} transcripts; give one for each"
            )
        self.keys = data.frame.keys
        self.rows = [[_label(label, i) for label in one] for i, one in enumerate(given)]

    @property
    def lengths(self) -> Array:
        return np.array([len(row) for row in self.rows], dtype=np.int64)


def _given(y: Any, data: Observed) -> list[Any]:
    """The transcripts in the order of the sequences."""
    if y is None:
        return []
    if np.isscalar(y):
        return [y]
    if isinstance(y, Sequences) or (
        isinstance(y, pd.Series) and isinstance(y.index, pd.MultiIndex)
    ):
        panel = as_sequences(y, name="y")
        y = {key: panel.array(i)[:, 0] for i, key in enumerate(panel.keys)}
    if isinstance(y, dict):
        absent = [key for key in data.frame.keys if key not in y]
        if absent or len(y) != len(data):
            raise ValueError(
                f"y has the transcripts of {list(y)[:4]}, x the sequences {list(data.frame.keys)[:4]}; give one for "
                "each, by the same names"
            )
        return [y[key] for key in data.frame.keys]
    rows = list(by_name(y, data, data.frame.keys) if isinstance(y, pd.Series) else y)
    alone = data.frame.single and len(rows) != 1 and not any(map(_nested, rows))
    return [rows] if alone else rows


def _nested(one: Any) -> bool:
    return hasattr(one, "__len__") and not isinstance(one, str)


def _label(label: Any, i: int) -> str | int:
    if isinstance(label, (int, np.integer)) and not isinstance(label, bool):
        return int(label)
    if not isinstance(label, str):
        raise TypeError(
            f"transcript {i} holds {label!r} ({type(label).__name__}); labels are text or whole numbers"
        )
    if label == BLANK:
        raise ValueError(f'transcript {i} holds the label "", which stands for the blank')
    return str(label)


class Labels(Record):
    """The labels of transcripts, the blank among them as code 0.

    >>> labels = Labels(Transcripts(None, ["ab", "a"], Observed([[1.0], [2.0]], "x")))
    >>> labels.names, labels.restore([1, 2])
    (['', 'a', 'b'], 'ab')
    """

    def __init__(self, y: Transcripts):
        self.texts = y.texts
        used: list[Any] = [label for row in y.rows for label in row]
        if not used:
            raise ValueError("all transcripts are empty; there is nothing to learn")
        if len({type(label) for label in used}) > 1:
            raise TypeError("y mixes labels of text and whole numbers; give one kind")
        self.vocabulary = Vocabulary(used, unknown=BLANK)

    @property
    def names(self) -> list[Any]:
        return list(self.vocabulary.symbols)

    def codes(self, y: Transcripts) -> tuple[Array, Array]:
        """All labels end to end, and where transcripts begin and end.

        Raises ValueError for a label that the training data did not have.
        """
        rows: list[list[Any]] = y.rows
        coded = [self.vocabulary.encode(row) for row in rows]
        for i, (row, one) in enumerate(zip(y.rows, coded, strict=True)):
            if (one == 0).any():
                raise ValueError(
                    f"transcript {y.keys[i]!r} has the label {row[int(np.argmin(one))]!r}, which was in no transcript "
                    "of the training data, so that its probability is 0; leave it out, or fit with it"
                )
        ends = np.concatenate([[0], np.cumsum(y.lengths)])
        return np.concatenate([*coded, np.zeros(0, np.int64)]), ends

    def restore(self, codes: Any) -> Any:
        """As the caller gave transcripts: a list of labels, or text."""
        found = self.vocabulary.decode(codes)
        return "".join(found) if self.texts else found
