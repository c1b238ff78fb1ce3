"""Where a search looks: the values a hyper-parameter may take."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, product
from typing import Any

import numpy as np

Code = int | float  # of a list the place in it, otherwise the number itself
ENUMERATED = 1_000_000  # spaces up to this size are walked through in a shuffled order


class Range(ABC):
    """The values of one hyper-parameter. ``code`` is a number that stands for a value in files."""

    log = False
    size: int | None = None  # number of values; None for a continuum

    @abstractmethod
    def at(self, u: float) -> Code:
        """The code at the fraction ``u`` (0 <= u < 1) of the range."""

    @abstractmethod
    def distribution(self) -> Any:
        """The same as Optuna calls it."""

    def codes(self) -> list[Code]:
        """All codes, where there are finitely many."""
        raise NotImplementedError

    def value(self, code: Code) -> Any:
        return code


def _check_bounds(owner: str, low: Any, high: Any, *, whole: bool, positive: bool) -> None:
    for name, value in (("low", low), ("high", high)):
        kinds: Any = (int, np.integer) if whole else (int, float, np.integer, np.floating)
        if isinstance(value, bool) or not isinstance(value, kinds) or not math.isfinite(value):
            raise ValueError(
                f"{owner}: {name} is {value!r}; pass a {'whole' if whole else 'finite'} number."
            )
    if positive and low <= 0:
        raise ValueError(f"{owner}: low is {low!r}; a range on a log scale begins above 0.")
    if low >= high:
        raise ValueError(f"{owner}: low is {low!r} and high {high!r}; pass low < high.")


@dataclass(frozen=True)
class Uniform(Range):
    """Numbers from ``low`` to ``high``, equally likely.

    >>> Uniform(0.0, 0.5).at(0.5)
    0.25

    Raises ValueError unless low < high.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        _check_bounds(type(self).__name__, self.low, self.high, whole=False, positive=self.log)

    def at(self, u: float) -> Code:
        return float(self.low + u * (self.high - self.low))

    def distribution(self) -> Any:
        from optuna.distributions import FloatDistribution

        return FloatDistribution(float(self.low), float(self.high), log=self.log)


@dataclass(frozen=True)
class LogUniform(Uniform):
    """Positive numbers from ``low`` to ``high`` whose logarithms are equally likely, e.g. a learning rate.

    >>> round(LogUniform(1e-4, 1e-2).at(0.5), 6)
    0.001

    Raises ValueError unless 0 < low < high.
    """

    log = True

    def at(self, u: float) -> Code:
        value = self.low * math.exp(u * math.log(self.high / self.low))
        return float(min(max(value, self.low), self.high))


@dataclass(frozen=True)
class Integer(Range):
    """Whole numbers from ``low`` to ``high``, both included, every ``step``-th, equally likely.

    >>> Integer(2, 8, step=2).codes()
    [2, 4, 6, 8]

    Raises ValueError unless low < high.
    """

    low: int
    high: int
    step: int = 1

    def __post_init__(self) -> None:
        _check_bounds("Integer", self.low, self.high, whole=True, positive=False)
        if isinstance(self.step, bool) or not isinstance(self.step, int) or self.step < 1:
            raise ValueError(f"Integer: step is {self.step!r}; pass a whole number, 1 or more.")

    @property
    def size(self) -> int:  # type: ignore[override]
        return (self.high - self.low) // self.step + 1

    def codes(self) -> list[Code]:
        return [int(self.low + i * self.step) for i in range(self.size)]

    def at(self, u: float) -> Code:
        return int(self.low + self.step * min(int(u * self.size), self.size - 1))

    def distribution(self) -> Any:
        from optuna.distributions import IntDistribution

        return IntDistribution(int(self.low), int(self.codes()[-1]), step=int(self.step))


@dataclass(frozen=True)
class LogInteger(Range):
    """Whole numbers from ``low`` to ``high``, both included, small ones as likely as large ones by their logarithm.

    >>> LogInteger(1, 256).at(0.5)
    11

    Raises ValueError unless 0 < low < high.
    """

    low: int
    high: int
    log = True

    def __post_init__(self) -> None:
        _check_bounds("LogInteger", self.low, self.high, whole=True, positive=True)

    @property
    def size(self) -> int:  # type: ignore[override]
        return self.high - self.low + 1

    def codes(self) -> list[Code]:
        return [int(i) for i in range(self.low, self.high + 1)]

    def at(self, u: float) -> Code:
        # each whole number owns what rounds to it, so the ends get their share too
        low, high = self.low - 0.5, self.high + 0.5
        value = round(low * math.exp(u * math.log(high / low)))
        return int(min(max(value, self.low), self.high))

    def distribution(self) -> Any:
        from optuna.distributions import IntDistribution

        return IntDistribution(int(self.low), int(self.high), log=True)


@dataclass(frozen=True)
class Choice(Range):
    """One of some values of any kind; a plain list in a space becomes this."""

    values: tuple[Any, ...]

    @property
    def size(self) -> int:  # type: ignore[override]
        return len(self.values)

    def codes(self) -> list[Code]:
        return list(range(len(self.values)))

    def at(self, u: float) -> Code:
        return min(int(u * len(self.values)), len(self.values) - 1)

    def value(self, code: Code) -> Any:
        return self.values[int(code)]

    def distribution(self) -> Any:
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(tuple(range(len(self.values))))


class Space:
    """Ranges by the name of a hyper-parameter, checked against the model they belong to."""

    def __init__(self, space: Any, model: Any):
        if not isinstance(space, Mapping) or not space:
            raise TypeError(
                f"space is {space!r}; pass a dict of parameter -> list, Uniform, LogUniform, "
                'Integer or LogInteger, such as {"order": [1, 2, 3]}.'
            )
        if not hasattr(model, "get_params") or not hasattr(model, "set_params"):
            raise TypeError(
                f"{type(model).__name__} has no get_params and set_params, so its parameters "
                "cannot be searched."
            )
        self.ranges = {str(name): _as_range(str(name), r) for name, r in space.items()}
        # a part of a nested model is set after the model itself
        self._order = sorted(self.ranges, key=lambda name: name.count("__"))
        self.build(model, {name: r.at(0.0) for name, r in self.ranges.items()})

    @property
    def size(self) -> int | None:
        """Number of combinations; None for infinitely many."""
        sizes = [r.size for r in self.ranges.values()]
        return None if None in sizes else math.prod(s for s in sizes if s is not None)

    def build(self, model: Any, codes: Mapping[str, Code]) -> Any:
        """An unfitted copy of ``model`` with the parameters that the codes stand for."""
        from seqkit.evaluation.walk import unfitted

        made = unfitted(model)
        values = self.values(codes)
        for name in self._order:
            made.set_params(**{name: copy.deepcopy(values[name])})
        return made

    def values(self, codes: Mapping[str, Code]) -> dict[str, Any]:
        return {name: r.value(codes[name]) for name, r in self.ranges.items()}

    def grid(self) -> Iterator[dict[str, Code]]:
        """Every combination, the last name changing fastest."""
        endless = [name for name, r in self.ranges.items() if r.size is None]
        if endless:
            raise ValueError(
                f"space[{endless[0]!r}] is a continuum, {self.ranges[endless[0]]!r}; for "
                "method='grid' give a list of values, or use method='random' or 'bayes'."
            )
        for codes in product(*(r.codes() for r in self.ranges.values())):
            yield dict(zip(self.ranges, codes, strict=True))

    def draws(self, seed: int) -> Iterator[dict[str, Code]]:
        """Random combinations, each from (seed, its number) alone; of finitely many none twice."""
        size = self.size
        if size is not None and size <= ENUMERATED and all(not r.log for r in self.ranges.values()):
            order = np.random.default_rng(seed).permutation(size)
            yield from (self._combination(int(i)) for i in order)
            return
        number, seen = 0, set[tuple[Code, ...]]()
        while size is None or len(seen) < size:
            rng = np.random.default_rng([seed, number])
            codes = {name: r.at(float(rng.random())) for name, r in self.ranges.items()}
            number += 1
            if size is None or tuple(codes.values()) not in seen:
                seen.add(tuple(codes.values()))
                yield codes

    def _combination(self, i: int) -> dict[str, Code]:
        shape = tuple(r.size or 1 for r in self.ranges.values())
        places = np.unravel_index(i, shape)
        pairs = zip(self.ranges.items(), places, strict=True)
        return {name: next(islice(r.codes(), int(p), None)) for (name, r), p in pairs}

    def describe(self) -> str:
        """The space in words, the same for the same space."""
        return "; ".join(f"{name}: {r!r}" for name, r in self.ranges.items())


def _as_range(name: str, given: Any) -> Range:
    if isinstance(given, Range):
        return given
    if isinstance(given, np.ndarray) and given.ndim == 1:
        given = given.tolist()
    if isinstance(given, (list, tuple, range)) and len(given):
        return Choice(tuple(given))
    raise ValueError(
        f"space[{name!r}] is {given!r}; pass a list of values that is not empty, Uniform, "
        "LogUniform, Integer or LogInteger."
    )
