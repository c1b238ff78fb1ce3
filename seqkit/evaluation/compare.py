"""Many models on many data sets, under one protocol."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqkit.evaluation.catalogue import Metric, parse_all, with_parts
from seqkit.evaluation.comparison import Comparison
from seqkit.evaluation.inputs import take
from seqkit.evaluation.losses import average
from seqkit.evaluation.protocol import Dataset, make_ready, named_models
from seqkit.evaluation.records import Example, Result
from seqkit.evaluation.splits import TimeSplit
from seqkit.evaluation.walk import actuals, check_refit, cutoffs
from seqkit.evaluation.work import Failure, Job, Naive2Benchmark, Outcome, merge, run

Array = NDArray[np.float64]
DEFAULT_METRICS = ("mase", "smape", "crps", "coverage-80")
BENCHMARK = -1  # the model number of Naive2, which runs along for OWA


def compare(
    models: Mapping[str, Any] | Iterable[Any],
    datasets: Any,
    horizon: int | Mapping[str, int] | None = None,
    windows: int | Mapping[str, int] = 1,
    *,
    splits: TimeSplit | Mapping[str, TimeSplit] | None = None,
    metrics: str | Iterable[str] = DEFAULT_METRICS,
    season: int | Mapping[str, int] | None = None,
    covariates: Any = None,
    n_jobs: int | None = None,
    refit: bool | int = True,
    examples: int = 3,
    progress: bool | None = None,
) -> Comparison:
    """Fit and score every model on every data set, over the same windows.

    Parameters
    ----------
    models : name -> forecaster (or a list of forecasters, called by their class). They are
        cloned, never fitted themselves.
    datasets : name -> series or panel; or one series or panel. A dict is always one of data
        sets: to compare on a panel held in a dict, write ``{"sales": panel}``.
    horizon, windows : steps to forecast, and number of successive origins, each ``horizon`` rows
        after the one before and the last ending at the end of each series. A dict gives each
        data set its own, as for ``splits``, ``season`` and ``covariates``.
    splits : `HoldOut` or `RollingOrigin`, instead of ``horizon`` and ``windows``.
    metrics : names; see `seqkit.evaluation.catalogue.known_names`. Absolute and percentage
        measures score the median, squared ones the mean. The first one orders the leaderboard.
        A value belongs to a series and window (mean over steps and channels, or its root);
        tables show means of values. ``owa`` is made of the averages of sMAPE and MASE over
        those of Naive2, which runs along.
    season : steps, for the scale of MASE, RMSSE, MSIS and for Naive2; the calendar's own unless
        given (M4 uses 1 for its weekly and daily data).
    covariates : of the same rows as the data set they belong to.
    n_jobs : processes; None for what ``joblib.parallel_config`` says, 1 without it. The result
        does not depend on it, apart from the seconds.
    refit : True fits at every origin, False once and then ``update``, a number every so many.
    examples : series of each data set whose last forecast is kept for pictures.
    progress : True or False for a progress bar; None shows one on a terminal.

    Returns
    -------
    `Comparison`. A model that fails on a series does not stop the others: see its ``failures``.

    Raises
    ------
    ValueError, TypeError for unknown metrics, series too short for the windows (by name), and
    arguments that do not fit together; before any model is fitted.
    """
    named = named_models(models)
    chosen = parse_all(metrics)
    check_refit(refit)
    parts = with_parts(chosen)
    sets = list(
        make_ready(datasets, horizon, windows, splits, season, covariates, parts, max(examples, 0))
    )
    contestants = dict(enumerate(named.values()))
    if any(metric.parts for metric in chosen):
        contestants[BENCHMARK] = None  # made per data set, with its season
    jobs = list(_jobs(contestants, sets, parts, refit, n_jobs))
    outcomes = _run_all(jobs, [*named], [d.name for d in sets], n_jobs, progress)
    gathered: dict[tuple[int, int], list[Outcome]] = {}
    for outcome in outcomes:
        gathered.setdefault((outcome.dataset, outcome.model), []).append(outcome)
    merged = {key: merge(found) for key, found in gathered.items()}
    results = [_result(i, d, len(named), merged) for i, d in enumerate(sets)]
    failures = _failures(sets, [*named], merged)
    settings = {"refit": refit, "splits": {d.name: repr(d.splits) for d in sets}}
    return Comparison([*named], chosen, parts, results, failures, settings)


def cross_validate(
    model: Any,
    x: Any,
    splits: Any,
    y: Any = None,
    *,
    metrics: Any = None,
    **options: Any,
) -> pd.DataFrame:
    """Scores of one model over the test parts of ``splits``.

    Parameters
    ----------
    model : it is cloned, and fitted anew in every fold with its scaling and all else it learns from data.
    x : one series or a panel; a table of independent rows.
    splits : `HoldOut` or `RollingOrigin` for forecasts; `KFold`, `LeaveOneOut`, `Stratified` (sequences of a panel,
        rows of a table) or `BlockedKFold` (rows of one sequence) for models with ``fit(x[, y])`` and ``score``; any
        scikit-learn splitter.
    y : labels of sequences, steps or rows.
    metrics : of forecasts as in `compare`; otherwise "score" (the default), "accuracy", "f1", "mae", "mse", "rmse", or
        functions of (fitted model, x, y).
    options : of forecasts those of `compare`; otherwise ``covariates`` and ``n_jobs``.

    Returns
    -------
    A frame whose columns are metrics: rows (series, window) of forecasts, otherwise rows (fold).

    Raises RuntimeError for an error of the model in a forecast, with the series; otherwise the error itself.

    Examples
    --------
    >>> from seqkit import AR, HMMTagger
    >>> from seqkit.evaluation import KFold, RollingOrigin
    >>> y = np.sin(np.arange(60.0)) + np.sin(1.7 * np.arange(60.0))
    >>> cross_validate(AR(4), y, RollingOrigin(horizon=5, windows=3), metrics="mae").shape
    (3, 1)
    >>> words = [["the", "dog", "barks"], ["a", "cat", "sleeps"], ["the", "cat", "barks"]]
    >>> cross_validate(HMMTagger(), words, KFold(3), [["D", "N", "V"]] * 3, metrics="accuracy").shape
    (3, 1)
    """
    if y is not None or not isinstance(splits, TimeSplit):
        return _over_examples(
            model, x, splits, y, "score" if metrics is None else metrics, **options
        )
    metrics = DEFAULT_METRICS if metrics is None else metrics
    name = type(model).__name__
    if isinstance(x, Mapping):
        x = {"data": x}
        options = {k: {"data": v} if k == "covariates" else v for k, v in options.items()}
    result = compare({name: model}, x, splits=splits, metrics=metrics, **options)
    if len(result.failures):
        first = result.failures.iloc[0]
        raise RuntimeError(
            f"{name} failed on {len(result.failures)} case(s), first on series "
            f"{first['series']!r}, window {first['window']}: {first['error']}: {first['message']}"
        )
    table = result.scores.pivot(index=["series", "window"], columns="metric", values="value")
    return table[[m.name for m in result.measured]].rename_axis(columns=None)


def _over_examples(
    model: Any,
    x: Any,
    splits: Any,
    y: Any,
    metrics: Any,
    *,
    covariates: Any = None,
    n_jobs: int | None = None,
) -> pd.DataFrame:
    """Scores by fold of a model that is asked about examples."""
    from joblib import Parallel, delayed

    from seqkit.evaluation.objective import make_scores

    objective = make_scores(x, y, splits, metrics, covariates)
    work = (delayed(objective.fold)(model, number) for number in range(objective.folds))
    values = [found for _, found, _ in Parallel(n_jobs=n_jobs)(work)]
    columns = [measure.name for measure in objective.metrics]
    return pd.DataFrame(values, columns=columns).rename_axis(index="fold")


# ---------------------------------------------------------------- the work


def _jobs(
    contestants: dict[int, Any],
    sets: list[Dataset],
    parts: list[Metric],
    refit: bool | int,
    n_jobs: int | None,
) -> Iterator[Job]:
    from joblib import effective_n_jobs

    pieces = 4 * max(int(effective_n_jobs(n_jobs)), 1)
    names = tuple(metric.name for metric in parts)
    needed = tuple(name for name in names if name in ("smape", "mase"))
    for i, d in enumerate(sets):
        rows = np.arange(len(d.data))
        chunks = [d.part(c.tolist()) for c in np.array_split(rows, min(pieces, len(rows)))]
        whole = d.part(rows.tolist())
        no_pictures = [replace(chunk, examples=()) for chunk in chunks]
        for number, model in contestants.items():
            benchmark = number == BENCHMARK
            if benchmark:
                model = Naive2Benchmark(d.season)
            # a model that does not say how it treats a panel gets the panel
            pooled = bool(getattr(model, "pooled", True)) and not benchmark
            for part in [whole] if pooled else no_pictures if benchmark else chunks:
                yield Job(
                    i,
                    number,
                    model,
                    pooled,
                    part,
                    d.windows,
                    needed if benchmark else names,
                    True if benchmark else refit,
                )


def _run_all(
    jobs: list[Job], models: list[str], sets: list[str], n_jobs: int | None, progress: bool | None
) -> Iterator[Outcome]:
    """Outcomes in the order of the jobs, as they come."""
    from joblib import Parallel, delayed
    from tqdm import tqdm

    try:
        parallel = Parallel(n_jobs=n_jobs, return_as="generator")
    except ValueError:  # a backend that hands back everything at once
        parallel = Parallel(n_jobs=n_jobs)
    silent = None if progress is None else not progress
    with tqdm(total=len(jobs), desc="compare", unit="task", disable=silent) as bar:
        for outcome in parallel(delayed(run)(job) for job in jobs):
            name = "Naive2" if outcome.model == BENCHMARK else models[outcome.model]
            bar.set_postfix_str(f"{sets[outcome.dataset]}: {name}", refresh=False)
            bar.update()
            yield outcome


# ---------------------------------------------------------------- what comes out


def _result(i: int, d: Dataset, models: int, merged: dict[tuple[int, int], Outcome]) -> Result:
    found = [merged[i, k] for k in range(models)]
    benchmark = merged.get((i, BENCHMARK))
    last = len(d.windows) - 1
    seen = np.stack([~np.isnan(actuals(d.data, w)).all(axis=(1, 2)) for w in d.windows], axis=1)
    return Result(
        name=d.name,
        series=d.names,
        cutoffs=[cutoffs(d.data, window) for window in d.windows],
        cells=np.stack([o.cells for o in found]),
        steps=np.stack([_steps(o) for o in found]),
        scored=seen,
        benchmark=None if benchmark is None else average(benchmark.cells, axis=(0, 1)),
        benchmark_steps=None if benchmark is None else _steps(benchmark),
        fit_seconds=np.array([o.fit_seconds for o in found]),
        predict_seconds=np.array([o.predict_seconds for o in found]),
        failed=np.array([_failed(o) for o in found]),
        overlap=_overlap(d),
        summary=_summary(d, int((~seen).sum())),
        examples=[_example(d, p, last, found) for p in d.examples],
    )


def _steps(outcome: Outcome) -> Array:
    """Mean loss of each step, over series, windows and channels: (steps, metrics)."""
    total, count = outcome.total.sum(axis=0), outcome.count.sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _failed(outcome: Outcome) -> int:
    """Cases (series and window) with a failure."""
    everyone = range(len(outcome.positions))
    return len(
        {
            (position, f.window)
            for f in outcome.failures
            for position in ([f.position] if f.position is not None else everyone)
        }
    )


def _overlap(d: Dataset) -> int:
    """How many windows before it share rows with a window's errors."""
    if len(d.windows) < 2:
        return 0
    stride = d.windows[0].cutoff - d.windows[1].cutoff
    return -(-(d.windows[0].horizon + d.windows[0].gap) // stride) - 1


def _summary(d: Dataset, unscored: int) -> dict[str, Any]:
    lengths = d.data.lengths
    calendars = d.data.calendars
    steps = {str(getattr(c.step, "freqstr", c.step)) for c in calendars}
    try:
        ends = str(min(c.index[0] for c in calendars)), str(max(c.index[-1] for c in calendars))
    except TypeError:  # times of different kinds have no order
        ends = "", ""
    return {
        "dataset": d.name,
        "series": len(d.data),
        "channels": len(d.data.columns),
        "shortest": int(lengths.min()),
        "longest": int(lengths.max()),
        "start": ends[0].removesuffix(" 00:00:00"),
        "end": ends[1].removesuffix(" 00:00:00"),
        "missing": int(np.isnan(d.data.values).sum()),
        "frequency": ", ".join(sorted(steps)),
        "season": d.season,
        "horizon": d.windows[0].horizon,
        "windows": len(d.windows),
        "unscored": unscored,
    }


def _example(d: Dataset, position: int, last: int, found: list[Outcome]) -> Example:
    window = d.windows[last]
    one = take(d.data, [position])
    values, index = one.array(0)[:, 0], one.calendars[0].index
    stop = len(values) - window.cutoff
    start = max(0, stop - max(3 * window.horizon, 12))  # more would leave the forecast small
    test = slice(stop + window.gap, stop + window.gap + window.horizon)
    return Example(
        d.names[position],
        last,
        index[start:stop],
        values[start:stop].copy(),
        index[test],
        values[test].copy(),
        {k: o.examples[position] for k, o in enumerate(found) if position in o.examples},
        window.gap == 0,
    )


def _failures(
    sets: list[Dataset], models: list[str], merged: dict[tuple[int, int], Outcome]
) -> pd.DataFrame:
    rows = []
    for (i, k), outcome in merged.items():
        for f in outcome.failures:
            series = "all" if f.position is None else sets[i].names[f.position]
            name = "Naive2 (for owa)" if k == BENCHMARK else models[k]
            rows.append((sets[i].name, series, f.window, name, f.error, _message(f)))
    columns = ["dataset", "series", "window", "model", "error", "message"]
    return pd.DataFrame(rows, columns=columns)


def _message(failure: Failure) -> str:
    return failure.message if failure.metric is None else f"{failure.metric}: {failure.message}"
