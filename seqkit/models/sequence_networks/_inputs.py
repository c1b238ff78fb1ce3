"""What networks of sequences read: numbers, symbols or both, as arrays; learnt from the training data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from seqkit.data.intake import textual
from seqkit.data.sequences import LONG_COLUMNS, Array, Sequences, as_sequences
from seqkit.data.vocabulary import Vocabulary
from seqkit.persistence import Record

from ._targets import is_named

if TYPE_CHECKING:
    from seqkit.nn.inputs import InputLayer
    from seqkit.tasks.ragged import Ragged


GAP = ""  # the symbol of a step that is missing from a calendar


class Observed:
    """Sequences by kind: numbers, and one column of symbols each, on the same calendars.

    Steps that are missing from a calendar have missing numbers, and the symbol "".

    >>> Observed([["a", "b"], ["c"]], "x").lengths.tolist()
    [2, 1]
    """

    def __init__(self, x: Any, name: str, *, spelt: bool = False):
        """`spelt`: text is a sequence of characters, and not one symbol."""
        self.name, self.named = name, is_named(x)
        numbers, symbols = _parted(_characters(x, name) if spelt else x, name)
        self.numbers, self.symbols = numbers, [_without_holes(one) for one in symbols]

    @property
    def frame(self) -> Sequences:
        """Whose calendars, names and index the answers have."""
        return self.symbols[0] if self.numbers is None else self.numbers

    @property
    def lengths(self) -> Array:
        return self.frame.lengths

    def __len__(self) -> int:
        return len(self.frame)


def _characters(x: Any, name: str) -> Any:
    """A text, or several, as lists of characters."""
    if isinstance(x, str):
        x = [x]
    if isinstance(x, dict) and x and all(isinstance(text, str) for text in x.values()):
        return dict(zip(x, _characters(list(x.values()), name), strict=True))
    panel = isinstance(x, pd.Series) and isinstance(x.index, pd.MultiIndex)
    many = isinstance(x, (list, tuple, np.ndarray, pd.Series)) and not panel
    texts = list(x) if many else None
    if not texts or not all(isinstance(text, str) for text in texts):
        return x
    if "" in texts:
        raise ValueError(f"{name}[{texts.index('')}] is an empty text; give at least one character")
    return [list(text) for text in texts]


def _parted(x: Any, name: str) -> tuple[Sequences | None, list[Sequences]]:
    """Numeric channels, and the columns of text one by one."""
    if isinstance(x, pd.DataFrame) and set(LONG_COLUMNS) <= set(x.columns):
        x = as_sequences(x, name=name)
    parts = x.values() if isinstance(x, dict) else x
    first = x if isinstance(x, pd.DataFrame) else next(iter(parts), None) if _many(x) else None
    words = [c for c in first if textual(first[c])] if isinstance(first, pd.DataFrame) else []
    if not words:
        data = as_sequences(x, name=name)
        return (None, [data]) if data.tokens else (data, [])
    assert first is not None
    numeric = [c for c in first if c not in words]
    symbols = [as_sequences(_columns(x, c), name=f"{name}[{c!r}]") for c in words]
    return (as_sequences(_columns(x, numeric), name=name) if numeric else None), symbols


def _without_holes(column: Sequences) -> Sequences:
    if all(rows is None for rows in column.rows):
        return column
    return column.with_values(np.where(pd.isna(column.values), GAP, column.values))


def _many(x: Any) -> bool:
    return isinstance(x, (dict, list, tuple))


def _columns(x: Any, chosen: Any) -> Any:
    if isinstance(x, pd.DataFrame):
        return x[chosen]
    if isinstance(x, dict):
        return {key: frame[chosen] for key, frame in x.items()}
    return [frame[chosen] for frame in x]


def names_of(data: Observed) -> pd.Index:
    """Index of answers, one per sequence: the sequences' names, 0 for a single one."""
    keys = data.frame.keys
    if keys == tuple(range(len(keys))) or keys == (None,):
        return pd.RangeIndex(len(keys), name="series")
    return pd.Index(list(keys), name="series", tupleize_cols=False)


class Reader(Record):
    """How observed sequences become numbers (standardised, 0 where missing) and codes.

    Channels that have gaps in the training data get a feature that says where; what is missing in others counts
    as their mean.

    Parameters
    ----------
    data : the training data. min_count : symbols seen less often are unknown ones.

    >>> reader = Reader(Observed([["a", "b"], ["a"]], "x"))
    >>> reader.arrays(Observed([["a", "z"]], "x"))["codes"].values.tolist()
    [[1], [0]]
    """

    def __init__(self, data: Observed, min_count: int = 1):
        self.channels, self.gaps = 0, np.zeros(0, dtype=np.int64)
        self.columns = data.frame.columns
        self.words = tuple(column.columns[0] for column in data.symbols)
        if data.numbers is not None:
            values = data.numbers.values
            seen = ~np.isnan(values)
            if not seen.any(axis=0).all():
                column = data.numbers.columns[int(np.argmin(seen.any(axis=0)))]
                raise ValueError(
                    f"{data.name} has no number at all in channel {column!r}; leave it out"
                )
            self.channels = values.shape[1]
            self.centre, self.spread = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
            self.spread[self.spread == 0] = 1.0
            self.gaps = np.flatnonzero(~seen.all(axis=0))
        self.vocabularies = [
            Vocabulary(column.values[:, 0], min_count=min_count) for column in data.symbols
        ]

    @property
    def vocabulary(self) -> Vocabulary:
        """That of a single column of symbols."""
        return self.vocabularies[0]

    def layer(self, **options: Any) -> InputLayer:
        """The first layer of a network that reads what `arrays` makes."""
        from seqkit.nn.inputs import InputLayer

        sizes = [len(vocabulary) for vocabulary in self.vocabularies]
        return InputLayer(self.channels + len(self.gaps), sizes, **options)

    def arrays(self, data: Observed, dtype: Any = np.float32) -> dict[str, Ragged]:
        """Ragged `numbers` (total, features) and `codes` (total, columns), whichever there are.

        Raises ValueError for data of another kind or width than the training data.
        """
        from seqkit.tasks.ragged import Ragged

        self._check(data)
        made: dict[str, Ragged] = {}
        if data.numbers is not None:
            z = (data.numbers.values - self.centre) / self.spread
            absent = np.isnan(z)
            z[absent] = 0.0
            features = np.concatenate([z, absent[:, self.gaps]], axis=1).astype(dtype)
            made["numbers"] = Ragged(features, data.numbers.offsets)
        if data.symbols:
            columns = zip(self.vocabularies, data.symbols, strict=True)
            codes = [vocabulary.encode(column.values[:, 0]) for vocabulary, column in columns]
            made["codes"] = Ragged(np.stack(codes, axis=1), data.symbols[0].offsets)
        return made

    def _check(self, data: Observed) -> None:
        channels = 0 if data.numbers is None else data.numbers.values.shape[1]
        if (channels, len(data.symbols)) != (self.channels, len(self.vocabularies)):
            raise ValueError(
                f"{data.name} has {_described(channels, len(data.symbols))} per step, but the model was fitted to "
                f"{_described(self.channels, len(self.vocabularies))}; give the same columns as to fit"
            )
        words = tuple(column.columns[0] for column in data.symbols)
        pairs = [(self.columns, data.frame.columns)] if channels else []
        for mine, given in [*pairs, (self.words, words)]:
            named = len(mine) > 1 and all(isinstance(c, str) for c in (*mine, *given))
            if named and given != mine:
                raise ValueError(
                    f"{data.name} has the columns {list(given)}, but the model was fitted to {list(mine)}; give the "
                    "same columns in the same order"
                )


def _described(channels: int, symbols: int) -> str:
    parts = [f"{channels} number{'s' * (channels != 1)}"] if channels else []
    parts += [f"{symbols} symbol{'s' * (symbols != 1)}"] if symbols else []
    return " and ".join(parts)
