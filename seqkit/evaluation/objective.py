"""What a model is worth: its score on one test part after the other.

An objective is data, a split and a measure. `run` fits clones of a model, fold by fold, and hands out each
score as it is known, so that a search may stop early. Whatever a model learns from data, its scaling included, it
learns inside the fold: an objective hands it the train part and nothing else.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

import numpy as np

from seqkit.data import as_sequences
from seqkit.evaluation.catalogue import Metric, Prediction, parse, with_parts
from seqkit.evaluation.examples import Examples, as_examples
from seqkit.evaluation.folds import KFold
from seqkit.evaluation.losses import average, overall_weighted_average
from seqkit.evaluation.protocol import Dataset, make_ready
from seqkit.evaluation.scorers import Scorer, scorers
from seqkit.evaluation.splits import BlockedKFold, Positions, RollingOrigin, TimeSplit
from seqkit.evaluation.walk import Walk, check_refit, unfitted, whole
from seqkit.evaluation.work import Naive2Benchmark, cell_losses

WINDOWS = 3  # successive origins, where the caller names no splits


@dataclass(frozen=True)
class Fold:
    """One test part. ``running`` is the score over all folds so far; ``train_score`` None where it has no meaning."""

    score: float
    running: float
    model: Any
    seconds: float
    train_size: int
    train_score: float | None = None


class Objective(ABC):
    """Data, split and measure, made ready."""

    metric: Metric | Scorer

    @property
    @abstractmethod
    def folds(self) -> int:
        """Number of test parts."""

    @abstractmethod
    def run(self, model: Any, *, train_score: bool = False) -> Iterator[Fold]:
        """Fit and score clones of ``model``, a fold at a time."""

    @abstractmethod
    def sizes(self) -> list[int]:
        """Rows, or examples, in the train part of each fold (the shortest series of a panel)."""

    @abstractmethod
    def with_train_size(self, size: int) -> Objective:
        """The same test parts with train parts of ``size`` rows or examples."""

    @abstractmethod
    def describe(self) -> str:
        """The split and the measure in words, the same for the same ones."""


class Forecasts(Objective):
    """A forecaster, judged by what it says of the rows after each origin."""

    metric: Metric

    def __init__(self, dataset: Dataset, metric: Metric, refit: bool | int):
        self.dataset, self.metric, self.refit = dataset, metric, refit
        self.parts = with_parts([metric])

    @property
    def folds(self) -> int:
        return len(self.dataset.windows)

    def run(self, model: Any, *, train_score: bool = False) -> Iterator[Fold]:
        d = self.dataset
        walk = Walk(model, d.data, d.windows, covariates=d.covariates, refit=self.refit)
        base: list[Any] = []
        cells: list[Any] = []  # of each window: (series, parts)
        for number, size in enumerate(self.sizes()):
            start = perf_counter()
            step = walk.step(number)
            cells.append(self._cells(step, number))
            seconds = perf_counter() - start
            if self.metric.parts:
                benchmark = Walk(Naive2Benchmark(d.season), d.data, d.windows)
                base.append(self._cells(benchmark.step(number), number))
            running = self._value(cells, base)
            yield Fold(self._value(cells[-1:], base[-1:]), running, walk.fitted, seconds, size)

    def _cells(self, step: Any, number: int) -> Any:
        scales = {power: s[:, number, None, :] for power, s in self.dataset.scales.items()}
        prediction = Prediction(step.distribution, step.actual, scales)
        if np.isnan(prediction.median).any():
            raise ValueError(f"the forecast of window {number} holds NaN.")
        usable = np.ones(len(step.actual), dtype=bool)
        losses = [cell_losses(metric, prediction, usable) for metric in self.parts]
        pairs = zip(self.parts, losses, strict=True)
        return np.stack([m.finish(average(loss, axis=(1, 2))) for m, loss in pairs], axis=1)

    def _value(self, cells: list[Any], base: list[Any]) -> float:
        """The mean over series and windows; for OWA the ratio of means."""
        means = average(np.concatenate(cells), axis=0)
        if not self.metric.parts:
            return float(means[0])
        order = [m.name for m in self.parts]
        smape, mase = order.index("smape"), order.index("mase")
        naive = average(np.concatenate(base), axis=0)
        return float(overall_weighted_average(means[smape], means[mase], naive[smape], naive[mase]))

    def sizes(self) -> list[int]:
        shortest = int(self.dataset.data.lengths.min())
        parts = [window.slices(shortest)[0] for window in self.dataset.windows]
        return [part.stop - part.start for part in parts]

    def with_train_size(self, size: int) -> Objective:
        windows = self.dataset.windows
        shortest = int(self.dataset.data.lengths.min()) - max(w.cutoff for w in windows)
        if not 1 <= size <= shortest:
            raise ValueError(
                f"a train part of {size} rows was asked for; the shortest one of {self.dataset.splits} "
                f"has {shortest}."
            )
        cuts = tuple(replace(window, train_length=int(size)) for window in windows)
        # the scales of MASE stay those of the whole train part, so that sizes are compared in one unit
        return Forecasts(replace(self.dataset, windows=cuts), self.metric, self.refit)  # type: ignore[arg-type]

    def describe(self) -> str:
        d = self.dataset
        return f"{self.metric.name}, season {d.season}, {d.splits!r}, refit {self.refit!r}"


class Scores(Objective):
    """A model with ``fit(x[, y])``, judged on examples it has not seen."""

    def __init__(
        self,
        examples: Examples,
        parts: list[tuple[Positions, Positions]],
        metrics: list[Scorer],
        splits: Any,
    ):
        self.examples, self.parts, self.splits = examples, parts, splits
        self.metrics, self.metric = metrics, metrics[0]

    @property
    def folds(self) -> int:
        return len(self.parts)

    def run(self, model: Any, *, train_score: bool = False) -> Iterator[Fold]:
        seen: list[float] = []
        for number, (train, _) in enumerate(self.parts):
            fitted, values, seconds = self.fold(model, number)
            seen.append(values[0])
            learnt = self._scored(fitted, train)[0] if train_score else None
            yield Fold(seen[-1], float(np.mean(seen)), fitted, seconds, len(train), learnt)

    def fold(self, model: Any, number: int) -> tuple[Any, list[float], float]:
        """The model fitted to one train part, its scores by all measures on the test part, and the seconds it took."""
        train, test = self.parts[number]
        x, y, known = self.examples.take(train)
        start = perf_counter()
        made = unfitted(model)
        fitted = made.fit(x, **known) if y is None else made.fit(x, y, **known)
        fitted = whole(made if fitted is None else fitted)
        values = self._scored(fitted, test)
        return fitted, values, perf_counter() - start

    def _scored(self, fitted: Any, positions: Positions) -> list[float]:
        x, y, known = self.examples.take(positions)
        return [measure.function(fitted, x, y, known) for measure in self.metrics]

    def sizes(self) -> list[int]:
        return [len(train) for train, _ in self.parts]

    def with_train_size(self, size: int) -> Objective:
        if not 1 <= size <= min(self.sizes()):
            raise ValueError(
                f"a train part of {size} {self.examples.unit} was asked for; the smallest one of "
                f"{self.splits} has {min(self.sizes())}."
            )
        ordered = isinstance(self.splits, (TimeSplit, BlockedKFold))
        parts = []
        for train, test in self.parts:
            if ordered:  # the rows nearest to the test part
                far = np.abs(train - np.clip(train, test[0], test[-1]))
                chosen = np.argsort(far, kind="stable")[:size]
            else:  # one random order, so that a smaller part lies within a larger one
                chosen = np.random.default_rng(0).permutation(len(train))[:size]
            parts.append((train[np.sort(chosen)], test))
        return Scores(self.examples, parts, self.metrics, self.splits)

    def describe(self) -> str:
        return f"{self.metric.name}, {self.splits!r}"


# ---------------------------------------------------------------- from what the caller gives


def make_objective(
    model: Any,
    x: Any,
    splits: Any = None,
    metric: Any = None,
    *,
    y: Any = None,
    covariates: Any = None,
    horizon: int | None = None,
    season: int | None = None,
    refit: bool | int = True,
) -> Objective:
    """Forecasts by time-ordered splits where there is no ``y``, examples by any other split."""
    forecasts = y is None and (
        isinstance(splits, TimeSplit) or (splits is None and _forecasts(model, x, metric))
    )
    if not forecasts:
        if horizon is not None or season is not None or refit is not True:
            raise ValueError(
                "horizon, season and refit belong to forecasts; models that are scored on examples take splits such "
                "as KFold or BlockedKFold."
            )
        return make_scores(x, y, splits, "score" if metric is None else metric, covariates)
    if horizon is not None and splits is not None:
        raise ValueError("pass either horizon or splits, one of the two.")
    if metric == "score":
        raise ValueError(
            "metric='score' looks one step ahead; for the windows of a time-ordered split use "
            "'log_score', the same density of the forecast."
        )
    measure = parse("mase" if metric is None else metric)
    check_refit(refit)
    data = as_sequences(x)
    chosen = time_splits(model, data, horizon, season) if splits is None else splits
    known = None if covariates is None else {"x": covariates}
    ready = make_ready({"x": data}, None, 1, chosen, season, known, with_parts([measure]), 0)
    return Forecasts(next(iter(ready)), measure, refit)


def _forecasts(model: Any, x: Any, metric: Any) -> bool:
    """Whether a model without splits and labels is judged by its forecasts."""
    if metric == "score" or callable(metric) or not hasattr(model, "predict"):
        return False
    return not as_sequences(x).tokens


def make_scores(x: Any, y: Any, splits: Any, metrics: Any, covariates: Any = None) -> Scores:
    """Examples, parted; by `KFold` (sequences) or `BlockedKFold` (rows) unless told otherwise."""
    examples = as_examples(x, y, covariates)
    if splits is None:
        few = min(5, len(examples))
        splits = KFold(few) if examples.unit == "series" else BlockedKFold(few)
    if not hasattr(splits, "split"):
        raise TypeError(
            f"splits is {splits!r}; pass KFold, LeaveOneOut, Stratified or BlockedKFold "
            "(or HoldOut or RollingOrigin to measure forecasts)."
        )
    if isinstance(splits, TimeSplit) and examples.unit == "series":
        raise TypeError(
            f"splits is {splits!r}, which cuts in time, and x is a panel with a label per sequence "
            "or step; pass KFold, LeaveOneOut or Stratified to part its sequences."
        )
    parts = list(splits.split(np.arange(len(examples)), examples.labels))
    return Scores(examples, parts, scorers(metrics), splits)


def time_splits(model: Any, data: Any, horizon: int | None, season: int | None) -> RollingOrigin:
    """The last horizons, in time order: three if half of the shortest series stays to train on, otherwise fewer.

    The horizon is the model's own if it has one, otherwise a season where the shortest series has three, otherwise a
    tenth of it, 12 at most.
    """
    shortest = int(data.lengths.min())
    if horizon is None:
        own = getattr(model, "horizon", None)
        horizon = own if isinstance(own, int) and not isinstance(own, bool) else None
    if horizon is None:
        period = max(int(c.season) for c in data.calendars) if season is None else int(season)
        whole = period > 1 and 3 * period <= shortest
        horizon = period if whole else min(12, max(shortest // 10, 1))
    windows = min(WINDOWS, max(shortest // (2 * horizon), 1))
    return RollingOrigin(horizon, windows)
