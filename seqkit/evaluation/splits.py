"""Ways to part a sequence into what is learnt from and what is forecast.

Time-ordered splits (`HoldOut`, `RollingOrigin`) are counted from the end of each sequence, so
that the sequences of a ragged panel all have their last test part at their own end. Every split
is also a scikit-learn splitter (``cv=``). Splits of examples that have no order in time, and what
is for what, are in `folds`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Positions = NDArray[np.int64]


def _check_count(owner: str, name: str, value: Any, *, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"{owner}: {name} is {value!r}; pass a whole number, {least} or more.")


@dataclass(frozen=True)
class Window:
    """One cut, in rows counted back from a sequence's end (0 is the end).

    Train: from ``train_length`` rows (None: all there are) before ``cutoff`` up to ``cutoff``.
    Test: the ``horizon`` rows that begin ``gap`` rows after ``cutoff``.
    """

    cutoff: int
    gap: int
    horizon: int
    train_length: int | None

    def slices(self, length: int) -> tuple[slice, slice]:
        """Train and test positions in a sequence of ``length`` rows."""
        stop = length - self.cutoff
        start = 0 if self.train_length is None else stop - self.train_length
        first = stop + self.gap
        return slice(start, stop), slice(first, first + self.horizon)


class Splitter(ABC):
    """The scikit-learn side of a split: ``split(X)`` and ``get_n_splits``."""

    @abstractmethod
    def positions(self, length: int) -> Iterator[tuple[Positions, Positions]]:
        """Row numbers of the train and the test part, for a sequence of ``length`` rows."""

    def split(
        self, X: Any, y: Any = None, groups: Any = None
    ) -> Iterator[tuple[Positions, Positions]]:
        """As `positions`, for ``len(X)`` rows."""
        return self.positions(len(X))

    @abstractmethod
    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Number of splits."""


class TimeSplit(Splitter):
    """A split whose train part always lies before its test part."""

    horizon: int

    @abstractmethod
    def windows_for(self, lengths: Sequence[int], names: Sequence[Any] = ()) -> list[Window]:
        """The windows, oldest first, for sequences of these lengths.

        Raises ValueError naming the first sequence that is too short.
        """

    def slices(self, length: int) -> list[tuple[slice, slice]]:
        """(train slice, test slice) of each window, oldest first."""
        return [w.slices(length) for w in self.windows_for([length])]

    def positions(self, length: int) -> Iterator[tuple[Positions, Positions]]:
        for train, test in self.slices(length):
            yield np.arange(train.start, train.stop), np.arange(test.start, test.stop)


@dataclass(frozen=True)
class RollingOrigin(TimeSplit):
    """Forecasts from successive origins, the last of which ends at the end of each sequence.

    Parameters
    ----------
    horizon : steps in each test part.
    windows : number of origins; None for as many as the shortest sequence allows after
        ``initial`` rows.
    step : rows between two origins; the horizon unless given, so that test parts do not overlap.
    gap : rows left out between train and test (known too late to be used).
    initial : rows the first train part must have at least.
    window : ``"expanding"`` trains on all rows before the origin, a number on that many.

    Source: Tashman (2000), IJF 16(4), 437-450.

    >>> RollingOrigin(horizon=2, windows=2).slices(10)
    [(slice(0, 6, None), slice(6, 8, None)), (slice(0, 8, None), slice(8, 10, None))]
    """

    horizon: int
    windows: int | None = 1
    step: int | None = None
    gap: int = 0
    initial: int | None = None
    window: Literal["expanding"] | int = "expanding"

    def __post_init__(self) -> None:
        name = type(self).__name__
        _check_count(name, "horizon", self.horizon, least=1)
        _check_count(name, "gap", self.gap, least=0)
        if self.windows is not None:
            _check_count(name, "windows", self.windows, least=1)
        if self.step is not None:
            _check_count(name, "step", self.step, least=1)
        if self.initial is not None:
            _check_count(name, "initial", self.initial, least=1)
        if self.window != "expanding":
            _check_count(name, "window", self.window, least=1)
        if self.windows is None and self.initial is None and self.window == "expanding":
            raise ValueError(
                f"{name}: windows=None needs initial, the rows of the first train part, to know "
                "how many origins there are."
            )

    @property
    def stride(self) -> int:
        """Rows between two origins."""
        return self.horizon if self.step is None else self.step

    def _least_train(self) -> int:
        sliding = 1 if self.window == "expanding" else int(self.window)
        return max(sliding, self.initial or 1)

    def _count(self, shortest: int) -> int:
        if self.windows is not None:
            return self.windows
        spare = shortest - self._least_train() - self.gap - self.horizon
        return max(spare // self.stride + 1, 1)

    def windows_for(self, lengths: Sequence[int], names: Sequence[Any] = ()) -> list[Window]:
        lengths = [int(n) for n in lengths]
        if not lengths:
            return []
        count = self._count(min(lengths))
        behind = self.gap + self.horizon
        needed = self._least_train() + behind + (count - 1) * self.stride
        short = [i for i, n in enumerate(lengths) if n < needed]
        if short:
            i = short[0]
            named = f"series {names[i]!r}" if len(names) else "the series"
            others = f" ({len(short)} series are too short)" if len(short) > 1 else ""
            raise ValueError(
                f"{named} has {lengths[i]} rows{others}; {count} window(s) of horizon "
                f"{self.horizon} every {self.stride} rows with gap {self.gap} and at least "
                f"{self._least_train()} rows to train on need {needed}. Use fewer windows, a "
                "shorter horizon, or leave short series out."
            )
        length = None if self.window == "expanding" else int(self.window)
        return [
            Window(behind + back * self.stride, self.gap, self.horizon, length)
            for back in reversed(range(count))
        ]

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        if self.windows is None and X is None:
            raise ValueError("get_n_splits needs X where windows=None.")
        return self._count(0 if X is None else len(X))


@dataclass(frozen=True)
class HoldOut(TimeSplit):
    """The last ``horizon`` rows of each sequence are the test part, all before them the train part.

    >>> HoldOut(3).slices(10)
    [(slice(0, 7, None), slice(7, 10, None))]
    """

    horizon: int
    gap: int = 0

    def __post_init__(self) -> None:
        _check_count("HoldOut", "horizon", self.horizon, least=1)
        _check_count("HoldOut", "gap", self.gap, least=0)

    def windows_for(self, lengths: Sequence[int], names: Sequence[Any] = ()) -> list[Window]:
        return RollingOrigin(self.horizon, gap=self.gap).windows_for(lengths, names)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        return 1


@dataclass(frozen=True)
class BlockedKFold(Splitter):
    """k contiguous blocks, each the test part once; the rest, on both sides, is the train part.

    ``gap`` rows on either side of the test block are left out of the train part, so that rows
    whose lags reach into it do not leak. For models of rows (regressions on lags, taggers), which
    may learn from what comes after; to measure forecasts use `RollingOrigin`.
    Source: Bergmeir, Benitez (2012), Information Sciences 191; Racine (2000), J. Econometrics 99.

    >>> [test.tolist() for _, test in BlockedKFold(2).positions(5)]
    [[0, 1, 2], [3, 4]]
    """

    k: int = 5
    gap: int = 0

    def __post_init__(self) -> None:
        _check_count("BlockedKFold", "k", self.k, least=2)
        _check_count("BlockedKFold", "gap", self.gap, least=0)

    def positions(self, length: int) -> Iterator[tuple[Positions, Positions]]:
        if length < self.k:
            raise ValueError(f"{length} rows cannot be cut into {self.k} blocks; pass a smaller k.")
        rows = np.arange(length)
        for block in np.array_split(rows, self.k):
            far = (rows < block[0] - self.gap) | (rows > block[-1] + self.gap)
            if not far.any():
                raise ValueError(
                    f"of {length} rows none is left to train on with k={self.k} and "
                    f"gap={self.gap}; pass a smaller gap or a larger k."
                )
            yield rows[far], block

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        return self.k
