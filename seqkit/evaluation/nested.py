"""Nested cross-validation: the worth of a model together with the search for its hyper-parameters."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import pandas as pd

from seqkit.evaluation.objective import make_objective
from seqkit.evaluation.search import Search, _hashable, search
from seqkit.evaluation.splits import TimeSplit
from seqkit.evaluation.trials import fingerprint


@dataclass(eq=False)
class Tuned:
    """A model that searches for its hyper-parameters whenever it is fitted, on what it is fitted to."""

    model: Any
    space: Mapping[str, Any]
    splits: Any
    metric: Any
    options: dict[str, Any]
    storage: str | os.PathLike[str] | None = None

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @property
    def pooled(self) -> bool:
        return bool(getattr(self.model, "pooled", True))

    def fit(self, x: Any, y: Any = None, *, covariates: Any = None) -> Self:
        file = None
        if self.storage is not None:  # called by its data, so that a file fits its fold
            name = fingerprint(*_hashable(x, y, covariates))
            file = Path(self.storage) / f"{name}.jsonl"
        self.search_: Search = search(
            self.model, self.space, x, self.splits, self.metric, y=y, covariates=covariates,
            storage=file, **self.options,
        )  # fmt: skip
        return self

    def __getattr__(self, name: str) -> Any:
        """The verbs of the best model."""
        if name.startswith("_") or "search_" not in vars(self):
            raise AttributeError(name)
        return getattr(self.search_.best_model_, name)


def nested_cross_validate(
    model: Any,
    space: Mapping[str, Any],
    x: Any,
    outer: Any = None,
    inner: Any = None,
    metric: Any = None,
    *,
    y: Any = None,
    covariates: Any = None,
    horizon: int | None = None,
    season: int | None = None,
    refit: bool | int = True,
    storage: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
    **options: Any,
) -> pd.DataFrame:
    """The score of a model whose hyper-parameters are searched anew in the train part of every outer fold.

    The best score of a search is too good: it was chosen for being good. Here the test part of an outer fold is seen
    by neither the search nor any preprocessing, all of which is learnt in the fold, so the mean outer score says what
    the whole procedure is worth.

    Parameters
    ----------
    model, space, metric, y, covariates, season : as `search` takes them.
    outer : the splits whose test parts are scored; as the default of `search` unless given.
    inner : the splits of the search inside each outer train part; as the default of `search` unless given, with the
        horizon of ``outer``.
    horizon : of the forecasts, where there are no outer splits.
    refit : whether the inner searches fit at every inner origin, as in `search`.
    storage : a folder that keeps the trials, a file per outer fold; a run that was killed goes on from there.
    options : ``method``, ``trials``, ``seed``, ``n_jobs``, ``prune`` of `search`.

    Returns
    -------
    A row per outer fold: ``score`` on its test part, ``inner_score`` (the best of the search), the parameters found,
    ``train_size``, ``trials`` and ``seconds``.

    Raises what `search` raises; RuntimeError where all trials of a fold failed.

    Examples
    --------
    >>> import numpy as np
    >>> from seqkit import AR, RollingOrigin
    >>> y = np.sin(np.arange(60.0)) + np.sin(1.7 * np.arange(60.0))
    >>> nested_cross_validate(
    ...     AR(), {"order": [1, 4]}, y, RollingOrigin(5, 2), RollingOrigin(5, 2), method="grid"
    ... )["order"].tolist()
    [4, 4]

    References
    ----------
    Stone (1974), JRSS B 36; Varma & Simon (2006), BMC Bioinformatics 7; Cawley & Talbot (2010), JMLR 11.
    """
    from tqdm import tqdm

    outside = make_objective(
        model, x, outer, metric, y=y, covariates=covariates, horizon=horizon, season=season
    )
    known: dict[str, Any] = {**options, "refit": refit, "season": season, "progress": False}
    if inner is None and (isinstance(outer, TimeSplit) and y is None):
        known["horizon"] = outer.horizon
    elif inner is None:
        known["horizon"] = horizon
    tuned = Tuned(model, space, inner, metric, known, storage)
    silent = None if progress is None else not progress
    rows = []
    folds = outside.run(tuned)
    for fold in tqdm(folds, total=outside.folds, desc="nested", unit="fold", disable=silent):
        found: Search = fold.model.search_
        rows.append(
            {
                "score": fold.score,
                "inner_score": found.best_score_,
                **found.best_params_,
                "train_size": fold.train_size,
                "trials": len(found.results_),
                "seconds": fold.seconds,
            }
        )
    frame = pd.DataFrame(rows, index=pd.RangeIndex(len(rows), name="fold"))
    frame.attrs = {"metric": outside.metric.name, "orientation": outside.metric.orientation}
    return frame
