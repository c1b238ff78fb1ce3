"""The unit of work of `compare`: one model on some series of one data set, scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqkit.data import Sequences
from seqkit.evaluation.catalogue import Metric, Prediction, parse
from seqkit.evaluation.inputs import Inputs, take
from seqkit.evaluation.losses import average
from seqkit.evaluation.naive2 import naive2
from seqkit.evaluation.splits import Window
from seqkit.evaluation.walk import Step, Walk

Array = NDArray[np.float64]
EXAMPLE_LEVELS = (0.025, 0.1, 0.5, 0.9, 0.975)


@dataclass(frozen=True)
class Part:
    """Some series of a data set with what scoring them needs.

    ``positions``: their places in the data set. ``scales``: power -> (series, windows, channels).
    ``examples``: positions (in the data set) whose last forecast is kept for the pictures.
    """

    positions: tuple[int, ...]
    data: Sequences
    covariates: Inputs | None
    scales: dict[int, Array]
    examples: tuple[int, ...]

    def at(self, rows: Sequence[int]) -> Part:
        """A part of the part; ``rows`` count within it."""
        rows = list(rows)
        return Part(
            tuple(self.positions[i] for i in rows),
            take(self.data, rows),
            None if self.covariates is None else self.covariates.take(rows),
            {power: scale[rows] for power, scale in self.scales.items()},
            self.examples,
        )


@dataclass(frozen=True)
class Job:
    """One model on one part. ``pooled`` jobs are not taken apart when they fail."""

    dataset: int
    model: int
    estimator: Any
    pooled: bool
    part: Part
    windows: tuple[Window, ...]
    metrics: tuple[str, ...]
    refit: bool | int


@dataclass(frozen=True)
class Failure:
    """``position`` None: every series of the job."""

    position: int | None
    window: int
    error: str
    message: str
    metric: str | None = None


@dataclass
class Outcome:
    """Scores of a job. ``cells`` (series, windows, metrics); ``total`` and ``count`` of the losses
    (series, steps, metrics), summed over windows and channels."""

    dataset: int
    model: int
    positions: tuple[int, ...]
    cells: Array
    total: Array
    count: Array
    fit_seconds: float = 0.0
    predict_seconds: float = 0.0
    failures: list[Failure] = field(default_factory=list)
    examples: dict[int, Array] = field(default_factory=dict)  # position -> (levels, horizon)


def run(job: Job) -> Outcome:
    """Work a job through; if it fails, series by series, so that only the culprits fail."""
    rows = range(len(job.part.positions))
    if job.pooled or len(rows) == 1:
        return _walk(job, strict=False)
    try:
        return _walk(job, strict=True)
    except Exception:
        return merge([_walk(replace(job, part=job.part.at([i])), strict=False) for i in rows])


def merge(outcomes: Sequence[Outcome]) -> Outcome:
    """The outcomes of the parts of one data set under one model, in order, as one."""
    first = outcomes[0]
    return Outcome(
        first.dataset,
        first.model,
        tuple(p for o in outcomes for p in o.positions),
        np.concatenate([o.cells for o in outcomes]),
        np.concatenate([o.total for o in outcomes]),
        np.concatenate([o.count for o in outcomes]),
        sum(o.fit_seconds for o in outcomes),
        sum(o.predict_seconds for o in outcomes),
        [f for o in outcomes for f in o.failures],
        {position: example for o in outcomes for position, example in o.examples.items()},
    )


def _walk(job: Job, *, strict: bool) -> Outcome:
    """All windows of a job. ``strict`` raises at the first error instead of noting it."""
    n, steps = len(job.part.positions), job.windows[0].horizon
    shape = (n, steps, len(job.metrics))
    outcome = Outcome(
        job.dataset,
        job.model,
        job.part.positions,
        np.full((n, len(job.windows), len(job.metrics)), np.nan),
        np.zeros(shape),
        np.zeros(shape),
    )
    walk = Walk(
        job.estimator,
        job.part.data,
        job.windows,
        covariates=job.part.covariates,
        refit=job.refit,
    )
    for number in range(len(job.windows)):
        try:
            step = walk.step(number)
            scored = _score(job, step, number, outcome, strict)
        except Exception as error:
            if strict:
                raise
            whole = None if n > 1 else job.part.positions[0]
            outcome.failures.append(Failure(whole, number, *_words(error)))
            continue
        outcome.fit_seconds += step.fit_seconds
        outcome.predict_seconds += step.predict_seconds
        if number == len(job.windows) - 1:
            _keep_examples(job, step, scored, outcome)
    return outcome


def _words(error: Exception) -> tuple[str, str]:
    return type(error).__name__, (str(error) or repr(error))[:2000]


def _score(job: Job, step: Step, number: int, outcome: Outcome, strict: bool) -> NDArray[np.bool_]:
    """Put the scores of a window in place; the answer says which series have a usable forecast."""
    scales = {power: s[:, number, None, :] for power, s in job.part.scales.items()}
    prediction = Prediction(step.distribution, step.actual, scales)
    wrong: NDArray[np.bool_] = np.isnan(prediction.median).any(axis=(1, 2))  # type: ignore[assignment]
    for row in np.flatnonzero(wrong):
        hole = int(np.argwhere(np.isnan(prediction.median[row]).any(axis=1))[0, 0]) + 1
        message = (
            f"the forecast is NaN from step {hole} on."
            if hole == 1
            else (f"the forecast is NaN at step {hole}.")
        )
        if strict:
            raise ValueError(message)
        failure = Failure(job.part.positions[row], number, "ValueError", message)
        outcome.failures.append(failure)
    for k, name in enumerate(job.metrics):
        metric = parse(name)
        try:
            loss = cell_losses(metric, prediction, ~wrong)
        except Exception as error:
            if strict:
                raise
            whole = None if len(wrong) > 1 else job.part.positions[0]
            outcome.failures.append(Failure(whole, number, *_words(error), metric=name))
            continue
        outcome.cells[:, number, k] = metric.finish(average(loss, axis=(1, 2)))
        seen = ~np.isnan(loss)
        outcome.total[:, :, k] += np.where(seen, loss, 0.0).sum(axis=2)
        outcome.count[:, :, k] += seen.sum(axis=2)
    return ~wrong


def cell_losses(metric: Metric, prediction: Prediction, usable: NDArray[np.bool_]) -> Array:
    """Losses, NaN where there is no actual; a NaN anywhere else is an error."""
    assert metric.loss is not None
    loss = np.asarray(metric.loss(prediction), dtype=np.float64)
    if loss.shape != prediction.actual.shape:
        raise ValueError(
            f"{metric.name} gave losses of shape {loss.shape}; expected {prediction.actual.shape}."
        )
    loss = np.where(usable[:, None, None], loss, np.nan)
    expected = metric.defined(prediction) & usable[:, None, None]
    if bool((np.isnan(loss) & expected).any()):
        raise ValueError(f"{metric.name} is NaN although the actual is known.")
    return loss


def _keep_examples(job: Job, step: Step, scored: Any, outcome: Outcome) -> None:
    if not hasattr(step.distribution, "quantile"):
        return  # points only: nothing to draw intervals from
    for row, position in enumerate(job.part.positions):
        if position in job.part.examples and scored[row]:
            one = step.distribution[row : row + 1]
            outcome.examples[position] = np.stack(
                [np.asarray(one.quantile(q))[0, :, 0] for q in EXAMPLE_LEVELS]
            )


# ---------------------------------------------------------------- the benchmark of OWA


class PointForecasts:
    """Point forecasts in the place of a distribution, for measures that want a point."""

    def __init__(self, values: Array) -> None:
        self.mean = self.median = values
        self.shape = values.shape

    def __getitem__(self, key: Any) -> PointForecasts:
        return PointForecasts(self.mean[key])


@dataclass
class _PointForecast:
    distribution: PointForecasts


@dataclass
class Naive2Benchmark:
    """`naive2` with the verbs of a forecaster, so that `compare` runs it like any other."""

    season: int
    pooled = False

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        return {"season": self.season}

    def fit(self, x: Sequences) -> Naive2Benchmark:
        self.data_ = x
        return self

    def update(self, x_new: Sequences) -> Naive2Benchmark:
        raise NotImplementedError("the benchmark of OWA is fitted anew at every origin.")

    def predict(self, horizon: int) -> _PointForecast:
        ahead = [
            [naive2(channel, horizon, self.season) for channel in self.data_.array(i).T]
            for i in range(len(self.data_))
        ]
        return _PointForecast(PointForecasts(np.swapaxes(np.array(ahead), 1, 2)))
