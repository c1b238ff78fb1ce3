"""How a score depends on the amount of data, or on one hyper-parameter."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from seqkit.evaluation.objective import Objective, make_objective
from seqkit.evaluation.space import Space


def learning_curve(
    model: Any,
    x: Any,
    sizes: Iterable[int | float],
    splits: Any = None,
    metric: Any = None,
    *,
    y: Any = None,
    covariates: Any = None,
    horizon: int | None = None,
    season: int | None = None,
    n_jobs: int | None = None,
) -> pd.DataFrame:
    """Scores on the same test parts after learning from more and more data.

    Where the score still rises at the right end, more data would help; where train and test score have met, a model
    of more freedom would.

    Parameters
    ----------
    sizes : of the train part: whole numbers count rows (forecasts, rows) or sequences (panels with labels), fractions
        up to 1.0 are shares of the smallest train part. Forecasters learn from the last ``size`` rows before the
        origin; rows of `BlockedKFold` are those nearest to the test part; of other examples a random part is
        drawn, the smaller within the larger.
    model, x, splits, metric, y, covariates, horizon, season, n_jobs : as `search` takes them.

    Returns
    -------
    A row per size and fold: ``size``, ``fold``, ``score``, ``train_score`` (of models that are scored on examples:
    on those learnt from), ``seconds``. `seqkit.plotting.plot_learning_curve` draws it.

    Raises ValueError for a size larger than the smallest train part, and whatever the model raises.

    Examples
    --------
    >>> from seqkit import AR, RollingOrigin
    >>> y = np.random.default_rng(0).normal(size=120).cumsum()
    >>> learning_curve(AR(2), y, [20, 0.5], RollingOrigin(5, 2))[["size", "fold"]].values.tolist()
    [[20, 0], [20, 1], [55, 0], [55, 1]]

    References
    ----------
    Perlich, Provost & Simonoff (2003), JMLR 4.
    """
    objective = make_objective(
        model, x, splits, metric, y=y, covariates=covariates, horizon=horizon, season=season
    )
    chosen = [_rows(size, min(objective.sizes())) for size in sizes]
    if not chosen:
        raise ValueError("sizes is empty; pass at least one size of the train part.")
    work = [(objective.with_train_size(size), model) for size in dict.fromkeys(chosen)]
    return _frame("size", list(dict.fromkeys(chosen)), work, objective, n_jobs)


def _rows(size: Any, smallest: int) -> int:
    if isinstance(size, (int, np.integer)) and not isinstance(size, bool):
        return int(size)
    if isinstance(size, (float, np.floating)) and 0 < size <= 1:
        return max(int(size * smallest), 1)
    raise ValueError(f"sizes holds {size!r}; pass whole numbers, or fractions up to 1.0.")


def validation_curve(
    model: Any,
    name: str,
    values: Sequence[Any],
    x: Any,
    splits: Any = None,
    metric: Any = None,
    *,
    y: Any = None,
    covariates: Any = None,
    horizon: int | None = None,
    season: int | None = None,
    n_jobs: int | None = None,
) -> pd.DataFrame:
    """Scores on the same test parts for each value of one hyper-parameter.

    Parameters
    ----------
    name : of the parameter, ``part__parameter`` for one of a nested model.
    values : to be tried.
    model, x, splits, metric, y, covariates, horizon, season, n_jobs : as `search` takes them.

    Returns
    -------
    A row per value and fold: a column called ``name``, ``fold``, ``score``, ``train_score`` (of models that are
    scored on examples), ``seconds``. `seqkit.plotting.plot_validation_curve` draws it.

    Raises ValueError for a parameter the model does not have, and whatever the model raises.

    Examples
    --------
    >>> from seqkit import AR, RollingOrigin
    >>> y = np.sin(np.arange(60.0)) + np.sin(1.7 * np.arange(60.0))
    >>> curve = validation_curve(AR(), "order", [1, 4], y, RollingOrigin(5, 2))
    >>> int(curve.groupby("order")["score"].mean().idxmin())
    4
    """
    objective = make_objective(
        model, x, splits, metric, y=y, covariates=covariates, horizon=horizon, season=season
    )
    space = Space({name: list(values)}, model)
    codes = space.ranges[name].codes()
    work = [(objective, space.build(model, {name: code})) for code in codes]
    return _frame(name, list(values), work, objective, n_jobs)


def _frame(
    name: str,
    values: list[Any],
    work: list[tuple[Objective, Any]],
    objective: Objective,
    n_jobs: int | None,
) -> pd.DataFrame:
    from joblib import Parallel, delayed

    found = Parallel(n_jobs=n_jobs)(delayed(_scores)(*item) for item in work)
    rows = [
        {name: value, "fold": number, **row}
        for value, folds in zip(values, found, strict=True)
        for number, row in enumerate(folds)
    ]
    frame = pd.DataFrame(rows)
    if frame["train_score"].isna().all():  # forecasts: nothing is forecast from within
        frame = frame.drop(columns="train_score")
    frame.attrs = {
        "metric": objective.metric.name,
        "orientation": objective.metric.orientation,
        "name": name,
    }
    return frame


def _scores(objective: Objective, model: Any) -> list[dict[str, Any]]:
    return [
        {"score": fold.score, "train_score": fold.train_score, "seconds": fold.seconds}
        for fold in objective.run(model, train_score=True)
    ]
