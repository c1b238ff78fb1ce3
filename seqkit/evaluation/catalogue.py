"""Measures by name, as `compare` takes them. The names are read here and nowhere else."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from seqkit.evaluation import losses as m

Array = NDArray[np.float64]


class Prediction:
    """What is scored: a predictive distribution, the actuals and the scales of the histories.

    ``actual`` and the distribution have the shape (series, horizon, channels), the scales
    (series, 1, channels). Points and quantiles are worked out once, however many measures ask.
    """

    def __init__(self, distribution: Any, actual: Array, scales: dict[int, Array]) -> None:
        self.distribution = distribution
        self.actual = actual
        self.scales = scales
        self._quantiles: dict[float, Array] = {}

    @cached_property
    def mean(self) -> Array:
        return np.asarray(self.distribution.mean)

    @property
    def median(self) -> Array:
        return self.quantile(0.5)

    def quantile(self, q: float) -> Array:
        if q not in self._quantiles:
            values = self.distribution.median if q == 0.5 else self.distribution.quantile(q)
            self._quantiles[q] = np.asarray(values)
        return self._quantiles[q]

    def interval(self, level: float) -> tuple[Array, Array]:
        tail = round((100.0 - level) / 200.0, 12)
        return self.quantile(tail), self.quantile(1.0 - tail)


@dataclass(frozen=True)
class Metric:
    """A measure: one loss per cell, and how losses become a value.

    ``loss(prediction)`` has the shape of the actuals, NaN where an actual is missing. A value is
    the mean over cells, or the root of that mean (``root``). ``best`` says which value is best:
    the smallest, the largest, or the nearest to a number. ``scale`` is the power of the naive
    error the losses are divided by (1 or 2), 0 for none. ``parts`` names the measures of which
    a ratio of averages (OWA) is made; such a measure has no loss of its own.
    """

    name: str
    loss: Callable[[Prediction], Array] | None
    best: Literal["smallest", "largest"] | float = "smallest"
    root: bool = False
    scale: int = 0
    ratio_scale: bool = True
    parts: tuple[str, ...] = field(default=())

    def badness(self, value: Any) -> Any:
        """``value`` turned so that smaller is better."""
        if self.best == "smallest":
            return value
        if self.best == "largest":
            return -value
        return abs(value - self.best)  # type: ignore[operator]

    @property
    def orientation(self) -> str:
        if isinstance(self.best, str):
            return {"smallest": "lower is better", "largest": "higher is better"}[self.best]
        return f"best at {self.best:g}"

    def defined(self, prediction: Prediction) -> NDArray[np.bool_]:
        """Cells that must have a loss: an actual, a scale, and for percentages a base."""
        cells = ~np.isnan(prediction.actual)
        if self.scale:
            cells = cells & ~np.isnan(prediction.scales[self.scale])
        return cells & (prediction.actual != 0) if self.name == "mape" else cells

    @property
    def is_loss(self) -> bool:
        """Whether one series has a value of its own by which models can be ranked."""
        return self.loss is not None and isinstance(self.best, str)

    def finish(self, mean: Array) -> Array:
        return np.sqrt(mean) if self.root else mean


def _scaled(loss: Array, prediction: Prediction, power: int) -> Array:
    return loss / prediction.scales[power]


PLAIN: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("mae", lambda p: m.absolute_error(p.actual, p.median)),
        Metric("mse", lambda p: m.squared_error(p.actual, p.mean)),
        Metric("rmse", lambda p: m.squared_error(p.actual, p.mean), root=True),
        Metric("mape", lambda p: m.percentage_error(p.actual, p.median)),
        Metric("smape", lambda p: m.symmetric_percentage_error(p.actual, p.median)),
        Metric("mase", lambda p: _scaled(m.absolute_error(p.actual, p.median), p, 1), scale=1),
        Metric(
            "rmsse",
            lambda p: _scaled(m.squared_error(p.actual, p.mean), p, 2),
            root=True,
            scale=2,
        ),
        Metric("owa", None, parts=("smape", "mase"), scale=1),
        Metric("crps", lambda p: np.asarray(p.distribution.crps(p.actual))),
        Metric(
            "log_score",
            lambda p: np.asarray(p.distribution.log_prob(p.actual)),
            best="largest",
            ratio_scale=False,
        ),
    )
}


def _pinball(number: float) -> Metric:
    return Metric(
        f"pinball-{number:g}", lambda p: m.quantile_loss(p.actual, p.quantile(number), number)
    )


def _coverage(number: float) -> Metric:
    return Metric(
        f"coverage-{number:g}",
        lambda p: m.inside(p.actual, *p.interval(number)),
        best=number / 100.0,
        ratio_scale=False,
    )


def _winkler(number: float) -> Metric:
    return Metric(
        f"winkler-{number:g}",
        lambda p: m.interval_score(p.actual, *p.interval(number), number),
    )


def _msis(number: float) -> Metric:
    return Metric(
        f"msis-{number:g}",
        lambda p: _scaled(m.interval_score(p.actual, *p.interval(number), number), p, 1),
        scale=1,
    )


# name -> how to build it, what its number means, the admissible range
NUMBERED: dict[str, tuple[Callable[[float], Metric], str, float, float]] = {
    "pinball": (_pinball, "a quantile level between 0 and 1, such as pinball-0.9", 0.0, 1.0),
    "coverage": (_coverage, "a percentage, such as coverage-80", 1.0, 100.0),
    "winkler": (_winkler, "a percentage, such as winkler-80", 1.0, 100.0),
    "msis": (_msis, "a percentage, such as msis-95", 1.0, 100.0),
}


def known_names() -> list[str]:
    """The names `parse` understands; ``Q`` stands for a level in 0..1, ``P`` for a percentage.

    >>> known_names()[:3]
    ['mae', 'mse', 'rmse']
    """
    return [*PLAIN, "pinball-Q", "coverage-P", "winkler-P", "msis-P"]


def parse(name: str) -> Metric:
    """The measure called ``name``.

    >>> parse("coverage-80").best
    0.8

    Raises ValueError for an unknown name, with the names that are known.
    """
    if not isinstance(name, str):
        raise TypeError(
            f"metrics holds {name!r} of type {type(name).__name__}; pass names: "
            f"{', '.join(known_names())}."
        )
    if name in PLAIN:
        return PLAIN[name]
    stem, _, number = name.partition("-")
    if stem in NUMBERED:
        build, meaning, low, high = NUMBERED[stem]
        try:
            value = float(number)
        except ValueError:
            value = float("nan")
        if not low < value < high:
            raise ValueError(f"metric {name!r}: {stem} needs {meaning}.")
        return build(value)
    close = difflib.get_close_matches(name, [*PLAIN, *NUMBERED], n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise ValueError(f"unknown metric {name!r}; known are {', '.join(known_names())}.{hint}")


def parse_all(names: str | Iterable[str]) -> list[Metric]:
    """Each name once, in the order given."""
    names = [names] if isinstance(names, str) else list(names)
    if not names:
        raise ValueError(f"metrics is empty; pass at least one of {', '.join(known_names())}.")
    return list({metric.name: metric for metric in map(parse, names)}.values())


def with_parts(metrics: Iterable[Metric]) -> list[Metric]:
    """The measures that have a loss per cell, the parts of the others included."""
    found: dict[str, Metric] = {}
    for metric in metrics:
        for name in metric.parts or (metric.name,):
            found.setdefault(name, parse(name))
    return list(found.values())
