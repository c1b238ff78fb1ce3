"""What `load` and `split` hand out, and the digest that says two copies are the same."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from seqkit.datasets.cards import Card


class TrainTest(NamedTuple):
    """A dataset in two parts."""

    train: Any
    test: Any


class TrainValidationTest(NamedTuple):
    """A dataset in three parts."""

    train: Any
    validation: Any
    test: Any


class Corpus(NamedTuple):
    """Language data in the three parts of its standard split."""

    train: Any
    dev: Any
    test: Any

    def __repr__(self) -> str:
        return f"Corpus(train={self.train!r}, dev={self.dev!r}, test={self.test!r})"


class Tagged(NamedTuple):
    """Sentences (lists of tokens) and one tag per token."""

    sentences: list[list[str]]
    tags: list[list[str]]

    def __repr__(self) -> str:
        tokens = sum(map(len, self.sentences))
        return f"Tagged({len(self.sentences):,} sentences of {tokens:,} tokens)"


class Labelled(NamedTuple):
    """Sequences and one label per sequence."""

    sequences: list[Any]
    labels: pd.Series


class Pairs(NamedTuple):
    """Input sequences and output sequences of other lengths, pair by pair."""

    inputs: list[list[str]]
    outputs: list[list[str]]


@dataclass(frozen=True)
class Panel:
    """Named series with the length of each one's training part (empty: no standard split)."""

    series: Mapping[str, Any]
    train: Mapping[str, int]


def whole(content: Any) -> Any:
    """The contents as a user meets them: a panel becomes a plain dict."""
    return dict(content.series) if isinstance(content, Panel) else content


def parts(content: Any, card: Card) -> Any:
    """Cut the contents by the card's standard split.

    Raises
    ------
    ValueError
        If the dataset has no standard split.
    """
    if isinstance(content, Panel) and content.train:
        cut = content.train
        train = {key: one.iloc[: cut[key]] for key, one in content.series.items()}
        test = {key: one.iloc[cut[key] :] for key, one in content.series.items()}
        return TrainTest(train, test)
    if isinstance(content, (TrainTest, TrainValidationTest, Corpus)):
        return content
    if isinstance(content, (pd.Series, pd.DataFrame, str)):
        sizes = card.sizes
        if not sizes and card.horizon:
            sizes = (len(content) - card.horizon, card.horizon)
        if sizes:
            return _cut(content, sizes)
    raise ValueError(
        f"dataset {card.name!r} has no standard split: {card.split} "
        f"Cut seqkit.datasets.load({card.name!r}) yourself"
    )


def _cut(content: Any, sizes: Sequence[int]) -> Any:
    rows = content.iloc if hasattr(content, "iloc") else content
    edges = [0, *np.cumsum(sizes).tolist()]
    cut = [rows[start:stop] for start, stop in itertools.pairwise(edges)]
    return TrainTest(*cut) if len(cut) == 2 else TrainValidationTest(*cut)


def digest(content: Any) -> str:
    """SHA-256 of the contents in one canonical form, whatever file they were read from.

    Numbers count as little-endian float64 (every NaN alike; arrays of integers as they are), text
    as UTF-8, both with their lengths; names, order, calendar and training lengths are part of it.
    """
    state = hashlib.sha256()
    _feed(state, content)
    return state.hexdigest()


def _feed(state: Any, content: Any) -> None:
    if isinstance(content, str):
        raw = content.encode()
        state.update(b"s%d:" % len(raw) + raw)
    elif isinstance(content, Panel):
        state.update(b"panel%d:" % len(content.series))
        for key, one in content.series.items():
            _feed(state, key)
            state.update(b"n%d:" % content.train.get(key, -1))
            _feed(state, one)
    elif isinstance(content, pd.DataFrame):
        state.update(b"frame:")
        _feed(state, [str(column) for column in content.columns])
        _feed_index(state, content.index)
        if all(map(pd.api.types.is_numeric_dtype, content.dtypes)):
            _feed_numbers(state, content.to_numpy("float64"))
        else:
            for column in content.columns:
                _feed_column(state, content[column])
    elif isinstance(content, pd.Series):
        state.update(b"series:")
        _feed_index(state, content.index)
        _feed_column(state, content)
    elif isinstance(content, np.ndarray):
        state.update(f"array{content.dtype}{content.shape}:".encode())
        if content.dtype.kind in "iu":  # piano rolls: eight times larger as floats
            state.update(np.ascontiguousarray(content).astype(content.dtype.newbyteorder("<")))
        else:
            _feed_numbers(state, content)
    elif isinstance(content, (list, tuple)):
        state.update(b"list%d:" % len(content))
        if content and all(isinstance(one, str) for one in content):
            # unit and record separators occur in no dataset, and one join is much faster
            _feed(state, "\x1f".join(content))
        else:
            for one in content:
                _feed(state, one)
    else:
        raise TypeError(f"no canonical form for {type(content).__name__}")


def _feed_index(state: Any, index: pd.Index) -> None:
    if isinstance(index, pd.DatetimeIndex):
        state.update(b"seconds:")
        _feed_numbers(state, index.as_unit("s").asi8)
    else:
        state.update(b"integers:")
        _feed_numbers(state, index.to_numpy())


def _feed_column(state: Any, column: pd.Series) -> None:
    if pd.api.types.is_numeric_dtype(column.dtype):
        _feed_numbers(state, column.to_numpy())
    else:
        _feed(state, [str(one) for one in column])


def _feed_numbers(state: Any, numbers: np.ndarray) -> None:
    plain = np.ascontiguousarray(numbers, dtype="<f8")
    state.update(b"f%d:" % plain.size)
    # NaN has many bit patterns; only "missing" counts
    state.update(np.where(np.isnan(plain), np.float64("nan"), plain).tobytes())
