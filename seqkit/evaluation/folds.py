"""Ways to part examples that have no order among them: whole sequences of a panel, or rows of a table.

What is for what:

- forecasts: `HoldOut`, `RollingOrigin` (the train part always before the test part);
- the rows of one sequence, with or without a label each: `BlockedKFold`, whose test part is one block, so that
  neighbours of what is tested are not learnt from (``gap`` keeps lags apart);
- sequences of a panel, or rows that are independent: `KFold`; `LeaveOneOut` where there are few; `Stratified` where
  they have labels of unequal frequency.

Every split here is a scikit-learn splitter too (``cv=``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from seqkit.evaluation.splits import Positions, Splitter, _check_count


def _parts(fold: Positions, k: int) -> Iterator[tuple[Positions, Positions]]:
    """Train and test positions of each fold, from the fold that every example is tested in."""
    for number in range(k):
        yield np.flatnonzero(fold != number), np.flatnonzero(fold == number)


@dataclass(frozen=True)
class KFold(Splitter):
    """k parts of about equal size, each the test part once; the others are the train part.

    The first n mod k parts have one example more. ``shuffle`` deals the examples out in an order drawn with
    ``seed``; without it the parts are contiguous.
    Source: Geisser (1975), JASA 70; Stone (1974), JRSS B 36.

    >>> [test.tolist() for _, test in KFold(2, shuffle=False).positions(5)]
    [[0, 1, 2], [3, 4]]

    Raises ValueError where there are fewer examples than parts.
    """

    k: int = 5
    shuffle: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        _check_count("KFold", "k", self.k, least=2)
        _check_count("KFold", "seed", self.seed, least=0)

    def positions(self, length: int) -> Iterator[tuple[Positions, Positions]]:
        if length < self.k:
            raise ValueError(f"{length} examples cannot be cut into k={self.k} parts; use fewer.")
        order = np.arange(length)
        if self.shuffle:
            order = np.random.default_rng(self.seed).permutation(length)
        fold = np.empty(length, dtype=np.int64)
        for number, part in enumerate(np.array_split(order, self.k)):
            fold[part] = number
        return _parts(fold, self.k)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        return self.k


@dataclass(frozen=True)
class LeaveOneOut(Splitter):
    """Every example is the test part once, and all others the train part: `KFold` with as many parts as examples.

    Source: Stone (1974), JRSS B 36.

    >>> [(train.tolist(), test.tolist()) for train, test in LeaveOneOut().positions(3)]
    [([1, 2], [0]), ([0, 2], [1]), ([0, 1], [2])]

    Raises ValueError for fewer than two examples.
    """

    def positions(self, length: int) -> Iterator[tuple[Positions, Positions]]:
        if length < 2:
            raise ValueError(f"{length} example(s) leave none to train on; pass two or more.")
        return _parts(np.arange(length), length)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        if X is None:
            raise ValueError("get_n_splits needs X: there are as many splits as examples.")
        return len(X)


@dataclass(frozen=True)
class Stratified(Splitter):
    """`KFold` in which every class is spread evenly: its counts in two parts differ by one at most.

    ``split(X, y)`` takes one label per example. An example that is labelled step by step (a tagged sentence) counts
    by the rarest of its labels, so that rare labels are spread (as in Sechidis, Tsoumakas & Vlahavas 2011, ECML,
    who take the rarest label first). Source: Kohavi (1995), IJCAI.

    >>> y = ["a", "a", "a", "a", "b", "b"]
    >>> [[y[i] for i in test] for _, test in Stratified(2).split(y, y)]
    [['a', 'a', 'b'], ['a', 'a', 'b']]

    Raises ValueError without labels, for fewer examples than parts, and where no class has k members (numbers that
    are no classes).
    """

    k: int = 5
    shuffle: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        _check_count("Stratified", "k", self.k, least=2)
        _check_count("Stratified", "seed", self.seed, least=0)

    def positions(self, length: int) -> Iterator[tuple[Positions, Positions]]:
        raise ValueError("Stratified needs labels: call split(X, y), or pass y=.")

    def split(
        self, X: Any, y: Any = None, groups: Any = None
    ) -> Iterator[tuple[Positions, Positions]]:
        if y is None:
            return self.positions(len(X))
        labels = strata(y)
        if len(labels) != len(X):
            raise ValueError(f"y has {len(labels)} labels and X {len(X)} examples; pass as many.")
        if len(labels) < self.k:
            raise ValueError(
                f"{len(labels)} examples cannot be cut into k={self.k} parts; use fewer."
            )
        codes: dict[Hashable, int] = {}
        number = np.array([codes.setdefault(label, len(codes)) for label in labels])
        if np.bincount(number).max() < self.k:
            raise ValueError(
                f"none of the {len(codes)} classes has {self.k} examples, one for each part; "
                "pass a smaller k, or KFold where y is a quantity and not a class."
            )
        order = np.arange(len(labels))
        if self.shuffle:
            order = np.random.default_rng(self.seed).permutation(len(labels))
        order = order[np.argsort(number[order], kind="stable")]
        fold = np.empty(len(labels), dtype=np.int64)
        fold[order] = np.arange(len(labels)) % self.k  # dealt out like cards, class after class
        return _parts(fold, self.k)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        return self.k


def strata(y: Iterable[Any]) -> list[Hashable]:
    """One label per example: its own, or the rarest of those of its steps (the first of equals).

    >>> strata([["N", "V"], ["N", "X"], ["N", "V", "N"]])
    ['V', 'X', 'V']
    """
    rows = list(y)
    if all(isinstance(row, str) or not hasattr(row, "__len__") for row in rows):
        return rows
    rows = [list(row) for row in rows]
    seen = Counter(label for row in rows for label in dict.fromkeys(row))
    return [min(row, key=seen.__getitem__) if row else None for row in rows]
