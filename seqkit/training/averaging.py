"""Averages of the weights along the way, which are flatter and quieter than the last weights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seqkit.persistence import Record

if TYPE_CHECKING:
    from torch import Tensor


class Averaging(Record, ABC):
    """How much of the average every step's weights become."""

    @abstractmethod
    def rate(self, step: int, steps: int) -> float:
        """r in  average <- average + r (weights - average)  after step 1 .. steps; 1 makes them the average."""


@dataclass(eq=False)
class EMA(Averaging):
    """Exponential moving average, without the bias of its beginning:

        average_t = sum_i (1 - d) d^(t-i) w_i / (1 - d^t)

    Parameters
    ----------
    decay : d; 1 / (1 - d) steps is about how far it remembers.

    Source: Polyak, Juditsky (1992); Kingma, Ba (2015), section 7.2.

    >>> [round(EMA(0.9).rate(t, 100), 4) for t in (1, 2, 100)]
    [1.0, 0.5263, 0.1]
    """

    decay: float = 0.99

    def __post_init__(self) -> None:
        if not 0 <= self.decay < 1:
            raise ValueError(f"decay must be at least 0 and below 1, got {self.decay!r}")

    def rate(self, step: int, steps: int) -> float:
        return (1.0 - self.decay) / (1.0 - self.decay**step)


@dataclass(eq=False)
class SWA(Averaging):
    """Stochastic weight averaging: the plain mean of the weights after every step from ``start`` on.

    Parameters
    ----------
    start : the first step that counts (below 1: share of all steps).

    Source: Izmailov et al. (2018), UAI, algorithm 1, with a cycle of one step. Running estimates of batch
    normalisation are averaged too.

    >>> [SWA(start=0.5).rate(t, 10) for t in (4, 5, 6, 8)]
    [1.0, 1.0, 0.5, 0.25]
    """

    start: float = 0.75

    def rate(self, step: int, steps: int) -> float:
        first = round(self.start * steps) if self.start < 1 else int(self.start)
        return 1.0 / max(step - max(first, 1) + 1, 1)


class Average:
    """The running average of a task's weights and floating-point buffers; without `averaging`, nothing."""

    def __init__(self, averaging: Averaging | None, task: Any, steps: int):
        self.averaging, self.steps = averaging, steps
        buffers = [b for b in task.buffers() if b.is_floating_point()]
        self.weights: list[Tensor] = [p.detach() for p in task.parameters()] + buffers
        self.values: list[Tensor] = [w.clone() for w in self.weights] if averaging else []

    def update(self, step: int) -> None:
        """Take in the weights after ``step`` steps."""
        if self.averaging is not None:
            import torch

            rate = self.averaging.rate(step, self.steps)
            torch._foreach_lerp_(self.values, self.weights, rate)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The task has the averaged weights inside, its own again after."""
        if self.averaging is None:
            yield
            return
        own = [w.clone() for w in self.weights]
        self.apply()
        try:
            yield
        finally:
            _copy_(self.weights, own)

    def apply(self) -> None:
        """Give the task the averaged weights."""
        if self.averaging is not None:
            _copy_(self.weights, self.values)

    def load(self, values: list[Tensor]) -> None:
        """Go on from a saved average."""
        _copy_(self.values, values)


def _copy_(into: list[Tensor], values: list[Tensor]) -> None:
    for old, new in zip(into, values, strict=True):
        old.copy_(new)
