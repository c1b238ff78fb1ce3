"""Search for hyper-parameters: a grid, random draws, or Bayesian optimisation, behind one function."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from seqkit.data import Covariates, as_sequences
from seqkit.evaluation.catalogue import Metric
from seqkit.evaluation.objective import Objective, make_objective
from seqkit.evaluation.samplers import sampler
from seqkit.evaluation.scorers import Scorer
from seqkit.evaluation.space import Space
from seqkit.evaluation.trials import (
    Log,
    Trial,
    attempt,
    fingerprint,
    median_limits,
    without_addresses,
)
from seqkit.evaluation.walk import unfitted

BATCH = 8  # trials that are judged by the same medians, so that n_jobs changes nothing
Method = Literal["grid", "random", "bayes"]


@dataclass(frozen=True, eq=False, repr=False)
class Search:
    """What a search found.

    Attributes
    ----------
    best_model_ : the best configuration, fitted to all data.
    best_params_ : its parameters, by name.
    best_score_ : its score over all test parts; ``metric`` says of what.
    best_trial_ : its number.
    results_ : DataFrame, a row per trial: the parameters, ``score`` (over the folds it went through), ``state``
        (complete, pruned, failed), ``folds``, ``seconds`` and ``error``.
    fold_scores_ : DataFrame (trial, fold), NaN where a trial did not get that far.
    metric, space : what was measured, and where was looked.
    """

    best_model_: Any
    best_params_: dict[str, Any]
    best_score_: float
    best_trial_: int
    results_: pd.DataFrame
    fold_scores_: pd.DataFrame
    metric: Metric | Scorer
    space: Space

    def plot(self, **options: Any) -> Any:
        """Scores by trial and by parameter; see `seqkit.plotting.plot_search`."""
        from seqkit.plotting.selection import plot_search

        return plot_search(self, **options)

    def __repr__(self) -> str:
        states = self.results_["state"].value_counts()
        counts = ", ".join(f"{states[s]} {s}" for s in ("complete", "pruned", "failed") if s in states)  # fmt: skip
        found = ", ".join(f"{name}={value!r}" for name, value in self.best_params_.items())
        return f"Search({self.metric.name} {self.best_score_:.6g} by {found}; trials: {counts})"


def search(
    model: Any,
    space: Mapping[str, Any],
    x: Any,
    splits: Any = None,
    metric: Any = None,
    *,
    y: Any = None,
    covariates: Any = None,
    method: Method = "random",
    trials: int | None = None,
    horizon: int | None = None,
    season: int | None = None,
    seed: int = 0,
    n_jobs: int | None = None,
    storage: str | os.PathLike[str] | None = None,
    prune: bool = True,
    refit: bool | int = True,
    progress: bool | None = None,
) -> Search:
    """Find the hyper-parameters with the best score on data that was not learnt from, and refit with them.

    Parameters
    ----------
    model : any model; it is cloned, never fitted itself.
    space : parameter -> list of values, `Uniform`, `LogUniform`, `Integer` or `LogInteger`; ``part__parameter``
        reaches into a nested model.
    x, y, covariates : as the model's ``fit`` takes them.
    splits : `RollingOrigin` or `HoldOut` for forecasts; `KFold`, `LeaveOneOut`, `Stratified` or `BlockedKFold` for
        models with ``fit(x[, y])`` and ``score``. Unless given: for forecasts the last horizons in time order (three
        origins, fewer for a short series), otherwise `KFold(5)` over sequences, `BlockedKFold(5)` over rows.
    metric : for forecasts a name of `catalogue.known_names`, MASE unless given: it averages fairly over series of
        any size and judges the median of point and probabilistic models alike; take "crps" or "log_score" to judge
        whole distributions. Otherwise "score" (the default), "accuracy", "f1", "mae", "mse", "rmse", or a function
        of (fitted model, x, y), larger better.
    method : "grid" tries every combination; "random" draws, none twice from a finite space; "bayes" draws where
        good scores are dense (tree-structured Parzen estimator, by Optuna).
    trials : number of configurations, 20 unless given; a grid has as many as it has.
    horizon, season : of the forecasts where there are no splits, and of MASE; the model's own and the calendar's
        unless given.
    seed : of the search. Models keep their own.
    n_jobs : processes. Grid and random searches give the same result for any number up to 8. A Bayesian search asks
        for ``n_jobs`` configurations at a time, knows less of the others for it, and its result is reproducible
        for a given number only.
    storage : a file that keeps finished trials. A search that was killed and is run again goes on from there and ends
        as if it had not been; with a larger ``trials`` it is extended. One search at a time writes to a file.
    prune : stop a trial whose running score after a fold is worse than the median of earlier trials at that fold
        (Golovin et al. 2017), once five have been through all folds.
    refit : fit at every origin (True), once (False), or every so many, as in `backtest`.
    progress : True or False for a progress bar; None shows one on a terminal.

    Raises
    ------
    ValueError, TypeError for a space the model does not have, and arguments that do not fit together; before any
    fit. RuntimeError where every trial failed, with the first error; trials that fail are recorded otherwise.

    Examples
    --------
    >>> from seqkit import AR
    >>> y = np.sin(np.arange(60.0)) + np.sin(1.7 * np.arange(60.0))
    >>> found = search(AR(), {"order": [1, 2, 4]}, y, horizon=5, method="grid")
    >>> found.best_params_, len(found.results_)
    ({'order': 4}, 3)

    References
    ----------
    Bergstra & Bengio (2012), JMLR 13, on random against grid search.
    """
    from joblib import effective_n_jobs

    objective = make_objective(
        model, x, splits, metric, y=y, covariates=covariates, horizon=horizon, season=season,
        refit=refit,
    )  # fmt: skip
    looked = Space(space, model)
    source, count = sampler(method, looked, trials, _check_seed(seed))
    workers = int(effective_n_jobs(n_jobs))
    batch = workers if method == "bayes" else max(BATCH, workers)
    header = {
        "model": f"{type(model).__name__}: {without_addresses(repr(unfitted(model)))}",
        "space": without_addresses(looked.describe()),
        "method": method,
        "seed": seed,
        "protocol": objective.describe(),
        "prune": bool(prune),
        "data": fingerprint(*_hashable(x, y, covariates)),
        "batch": batch,
    }
    log = Log(storage, header)
    if method == "bayes":
        batch = int(log.header["batch"])
    done = _run(objective, looked, model, source, count, batch, log, prune, n_jobs, progress)
    best = _best(done, objective, looked)
    keywords = {} if covariates is None else {"covariates": covariates}
    chosen = looked.build(model, best.codes)
    fitted = chosen.fit(x, **keywords) if y is None else chosen.fit(x, y, **keywords)
    return Search(
        chosen if fitted is None else fitted,
        looked.values(best.codes),
        best.score,
        best.number,
        _table(done, looked),
        pd.DataFrame(
            [[*t.scores, *[np.nan] * (objective.folds - len(t.scores))] for t in done],
            index=pd.Index([t.number for t in done], name="trial"),
            columns=pd.RangeIndex(objective.folds, name="fold"),
        ),
        objective.metric,
        looked,
    )


def _check_seed(seed: Any) -> int:
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ValueError(f"seed is {seed!r}; pass a whole number, 0 or more.")
    return int(seed)


def _hashable(*given: Any) -> list[Any]:
    """Data in a form whose bytes can be read; what is no sequence, as it is."""
    found: list[Any] = []
    for thing in given:
        if isinstance(thing, Covariates):
            found += _hashable(thing.future, thing.past, thing.static)
            continue
        try:
            found.append(None if thing is None else as_sequences(thing))
        except (ValueError, TypeError):
            found.append(thing)
    return found


def _run(
    objective: Objective, space: Space, model: Any, source: Any, count: int, batch: int, log: Log,
    prune: bool, n_jobs: int | None, progress: bool | None,
) -> list[Trial]:  # fmt: skip
    """All trials in order, those that the log has not yet run; a batch is judged by the batches before it."""
    from joblib import Parallel, delayed
    from tqdm import tqdm

    done: list[Trial] = []
    silent = None if progress is None else not progress
    try:
        parallel = Parallel(n_jobs=n_jobs, return_as="generator_unordered")
    except ValueError:  # a backend that hands back everything at once
        parallel = Parallel(n_jobs=n_jobs)
    with tqdm(total=count, desc="search", unit="trial", disable=silent) as bar:
        for start in range(0, count, batch):
            numbers = range(start, min(start + batch, count))
            asked = dict(zip(numbers, source.ask(numbers), strict=True))
            limits = median_limits(done, objective, prune)
            todo = [n for n in numbers if n not in log.trials]
            bar.update(len(numbers) - len(todo))
            for trial in parallel(
                delayed(attempt)(objective, space, model, n, asked[n], limits) for n in todo
            ):
                log.add(trial)
                bar.update()
            source.tell([log.trials[n] for n in numbers], objective.metric.badness)
            done += [log.trials[n] for n in numbers]
            _show(bar, done, objective, space)
    return done


def _show(bar: Any, done: list[Trial], objective: Objective, space: Space) -> None:
    if any(t.state == "complete" for t in done):
        best = _best(done, objective, space).score
        bar.set_postfix_str(f"best {objective.metric.name} {best:.4g}")


def _best(trials: list[Trial], objective: Objective, space: Space) -> Trial:
    """The best of the whole trials; of equals the first."""
    whole = [trial for trial in trials if trial.state == "complete"]
    if not whole:
        first = next(trial for trial in trials if trial.state == "failed")
        raise RuntimeError(
            f"all {len(trials)} trials failed, the first, {space.values(first.codes)}, with "
            f"{first.error}"
        )
    return min(whole, key=lambda trial: objective.metric.badness(trial.score))


def _table(trials: list[Trial], space: Space) -> pd.DataFrame:
    columns: dict[str, Any] = {}
    for name in space.ranges:
        values = [space.ranges[name].value(trial.codes[name]) for trial in trials]
        plain = all(isinstance(v, (bool, int, float, str)) for v in values)
        columns[name] = values if plain else pd.Series(values, dtype=object)
    columns["score"] = [trial.score for trial in trials]
    columns["state"] = [trial.state for trial in trials]
    columns["folds"] = [len(trial.scores) for trial in trials]
    columns["seconds"] = [trial.seconds for trial in trials]
    columns["error"] = pd.Series([trial.error for trial in trials], dtype=object)
    table = pd.DataFrame(columns)
    return table.rename_axis(index="trial")
