"""How the learning rate changes: pure functions of the step.

A schedule says by which factor the learning rate is multiplied at step t = 0 .. steps - 1. It has no state, so an
interrupted run goes on exactly where it was. Times are given as a number of steps, or, below 1, as a share of all.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from seqkit.persistence import Record


class Schedule(Record, ABC):
    """A factor of the learning rate for every step.

    A schedule of your own derives from this class and implements `factor`.
    """

    @abstractmethod
    def factor(self, step: int, steps: int) -> float:
        """The factor at ``step`` (0 is the first) of ``steps`` in all."""


@dataclass(eq=False)
class ConstantRate(Schedule):
    """factor = 1.

    >>> ConstantRate().factor(7, 10)
    1.0
    """

    def factor(self, step: int, steps: int) -> float:
        return 1.0


@dataclass(eq=False)
class StepDecay(Schedule):
    """factor = gamma^floor(t / every): lower by a factor at regular times.

    Parameters
    ----------
    every : steps between two drops (below 1: share of all steps).
    gamma : the factor of one drop.

    >>> [round(StepDecay(every=3, gamma=0.5).factor(t, 9), 3) for t in (2, 3, 8)]
    [1.0, 0.5, 0.25]
    """

    every: float = 0.3
    gamma: float = 0.1

    def factor(self, step: int, steps: int) -> float:
        return float(self.gamma ** (step // _duration(self.every, steps)))


@dataclass(eq=False)
class ExponentialDecay(Schedule):
    """factor = final^(t / steps): lower by the same factor at every step.

    >>> round(ExponentialDecay(final=0.01).factor(50, 100), 6)
    0.1
    """

    final: float = 0.01

    def factor(self, step: int, steps: int) -> float:
        return float(self.final ** (step / steps))


@dataclass(eq=False)
class InverseDecay(Schedule):
    """factor = 1 / (1 + t / half): the 1/t rule, half the rate after ``half`` steps.

    Its sum over t diverges and that of its squares does not, which is what stochastic gradients need to converge.

    Source: Robbins, Monro (1951), Annals of Mathematical Statistics 22.

    >>> InverseDecay(half=10).factor(10, 1000)
    0.5
    """

    half: float = 0.1

    def factor(self, step: int, steps: int) -> float:
        return 1.0 / (1.0 + step / _duration(self.half, steps))


@dataclass(eq=False)
class LinearDecay(Schedule):
    """factor = 1 + (final - 1) t / steps.

    >>> LinearDecay().factor(25, 100)
    0.75
    """

    final: float = 0.0

    def factor(self, step: int, steps: int) -> float:
        return 1.0 + (self.final - 1.0) * step / steps


@dataclass(eq=False)
class CosineDecay(Schedule):
    """factor = final + (1 - final) (1 + cos(pi t / steps)) / 2.

    Source: Loshchilov, Hutter (2017), ICLR, equation 5 with a single cycle.

    >>> CosineDecay(final=0.1).factor(50, 100)
    0.55
    """

    final: float = 0.0

    def factor(self, step: int, steps: int) -> float:
        return _cosine(1.0, self.final, step / steps)


@dataclass(eq=False)
class CosineRestarts(Schedule):
    """Cosine decay that starts anew, every cycle ``grow`` times as long as the one before.

    Parameters
    ----------
    first : steps of the first cycle (below 1: share of all steps).
    grow : 1 for cycles of one length, 2 for cycles that double.
    final : the factor at the end of each cycle.

    Source: Loshchilov, Hutter (2017), ICLR, equation 5.

    >>> [round(CosineRestarts(first=10, grow=2).factor(t, 70), 3) for t in (0, 5, 10, 20, 30)]
    [1.0, 0.5, 1.0, 0.5, 1.0]
    """

    first: float = 0.25
    grow: float = 1.0
    final: float = 0.0

    def factor(self, step: int, steps: int) -> float:
        cycle = _duration(self.first, steps)
        if self.grow == 1:
            return _cosine(1.0, self.final, step % cycle / cycle)
        # cycles before: first (grow^k - 1) / (grow - 1) <= step
        before = int(math.log(step / cycle * (self.grow - 1) + 1, self.grow) + 1e-9)
        start = cycle * (self.grow**before - 1) / (self.grow - 1)
        return _cosine(1.0, self.final, (step - start) / (cycle * self.grow**before))


@dataclass(eq=False)
class OneCycle(Schedule):
    """Up from a low rate to the full one and down to almost nothing, both along a cosine.

    Parameters
    ----------
    peak : when the full rate is reached (below 1: share of all steps).
    initial : the factor at the first step.
    final : the factor at the last step.

    Source: Smith, Topin (2019), Super-convergence; defaults as in PyTorch.

    >>> [round(OneCycle(peak=0.5).factor(t, 101), 3) for t in (0, 50, 100)]
    [0.04, 1.0, 0.0]
    """

    peak: float = 0.3
    initial: float = 0.04
    final: float = 4e-6

    def factor(self, step: int, steps: int) -> float:
        top = self.peak * steps - 1 if self.peak < 1 else float(self.peak)
        if step <= top:
            return _cosine(self.initial, 1.0, step / top if top else 1.0)
        return _cosine(1.0, self.final, min((step - top) / max(steps - 1 - top, 1e-9), 1.0))


@dataclass(eq=False)
class Warmup(Schedule):
    """(t + 1) / warmup times the first factor for the first ``warmup`` steps, then another schedule over the rest.

    Parameters
    ----------
    steps : steps of the warm-up (below 1: share of all steps).
    then : the schedule that follows.

    Source: Goyal et al. (2017), section 2.2.

    >>> [Warmup(4, LinearDecay()).factor(t, 14) for t in (0, 3, 4, 9)]
    [0.25, 1.0, 1.0, 0.5]
    """

    steps: float
    then: Schedule

    def factor(self, step: int, steps: int) -> float:
        warm = min(_duration(self.steps, steps), steps)
        if step < warm:
            return self.then.factor(0, max(steps - warm, 1)) * (step + 1) / warm
        return self.then.factor(step - warm, steps - warm)


SCHEDULES: dict[str, type[Schedule]] = {
    "constant": ConstantRate,
    "step": StepDecay,
    "exponential": ExponentialDecay,
    "inverse": InverseDecay,
    "linear": LinearDecay,
    "cosine": CosineDecay,
    "cosine_restarts": CosineRestarts,
    "one_cycle": OneCycle,
}


def as_schedule(given: Any, warmup: float = 0) -> Schedule:
    """The schedule that a name, an object or None stands for, behind a warm-up.

    Raises ValueError for an unknown name, TypeError for what is no schedule.

    >>> as_schedule("cosine", warmup=100)
    Warmup(steps=100, then=CosineDecay(final=0.0))
    """
    if given is None:
        schedule: Schedule = ConstantRate()
    elif isinstance(given, Schedule):
        schedule = given
    elif isinstance(given, str):
        if given not in SCHEDULES:
            raise ValueError(f"no schedule is called {given!r}; there are {', '.join(SCHEDULES)}")
        schedule = SCHEDULES[given]()
    else:
        raise TypeError(
            f"schedule must be a name ({', '.join(SCHEDULES)}), an object such as "
            f"training.CosineDecay(), or None, got {given!r}"
        )
    return Warmup(warmup, schedule) if warmup else schedule


def _duration(given: float, steps: int) -> int:
    """A number of steps, at least 1, where numbers below 1 are shares of all steps."""
    return max(round(given * steps) if given < 1 else int(given), 1)


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1.0 + math.cos(math.pi * share)) / 2.0
