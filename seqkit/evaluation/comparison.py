"""What `compare` found: tables, tests, pictures, a page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqkit.evaluation.catalogue import Metric, parse
from seqkit.evaluation.difference import (
    Alternative,
    DieboldMariano,
    Ranks,
    diebold_mariano,
    friedman_nemenyi,
    rank_rows,
)
from seqkit.evaluation.losses import average, overall_weighted_average
from seqkit.evaluation.records import Result

Array = NDArray[np.float64]


@dataclass(frozen=True, repr=False, eq=False)
class Comparison:
    """The result of `compare`; printing it shows the leaderboard.

    ``metrics`` are those asked for, ``measured`` those with a value per series and window (OWA
    has none, its parts have).
    """

    models: list[str]
    metrics: list[Metric]
    measured: list[Metric]
    results: list[Result]
    failures: pd.DataFrame
    settings: dict[str, Any] = field(default_factory=dict)

    # ------------------------------------------------------------ tables

    @cached_property
    def scores(self) -> pd.DataFrame:
        """A row per dataset, model, series, window and metric: dataset, series, window, cutoff,
        model, metric, value (mean over the steps, or its root)."""
        frames = []
        names = [metric.name for metric in self.measured]
        for r in self.results:
            k, n, w, m = r.cells.shape
            ends = [r.cutoffs[j][i] for i in range(n) for j in range(w)]
            frames.append(
                pd.DataFrame(
                    {
                        "dataset": r.name,
                        "series": _tiled(r.series, w * m, k),
                        "window": np.tile(np.repeat(np.arange(w), m), k * n),
                        "cutoff": _tiled(ends, m, k),
                        "model": _tiled(self.models, n * w * m, 1),
                        "metric": _tiled(names, 1, k * n * w),
                        "value": r.cells.ravel(),
                    }
                )
            )
        return pd.concat(frames, ignore_index=True)

    @cached_property
    def horizon_scores(self) -> pd.DataFrame:
        """The value of each metric at each step ahead, over all series and windows: dataset, model,
        step, metric, value."""
        frames = []
        for r in self.results:
            k, h, _ = r.steps.shape
            table = np.stack([self._at_steps(r, metric) for metric in self.metrics], axis=-1)
            names = [metric.name for metric in self.metrics]
            frames.append(
                pd.DataFrame(
                    {
                        "dataset": r.name,
                        "model": _tiled(self.models, h * len(names), 1),
                        "step": np.tile(np.repeat(np.arange(1, h + 1), len(names)), k),
                        "metric": _tiled(names, 1, k * h),
                        "value": table.ravel(),
                    }
                )
            )
        return pd.concat(frames, ignore_index=True)

    @cached_property
    def leaderboard(self) -> pd.DataFrame:
        """Rows (dataset, model), the best by the first metric on top; columns: the metrics (means
        over series and windows), rank, fit_seconds, predict_seconds, failures. Models without a
        value on a case that others have one on come last: theirs is a mean over other cases.

        ``rank`` is the mean rank over all cases (series and window) by the first metric that each
        case has a value of; a model that failed on a case is last there. The mean of a model with
        ``failures`` is over fewer cases than the others'; its rank is not.
        """
        frames = []
        for r in self.results:
            table = {metric.name: self._overall(r, metric) for metric in self.metrics}
            frame = pd.DataFrame(table)
            frame["rank"] = self._mean_rank(r)
            frame["fit_seconds"], frame["predict_seconds"] = r.fit_seconds, r.predict_seconds
            frame["failures"] = r.failed
            frame.index = pd.MultiIndex.from_product(
                [[r.name], self.models], names=["dataset", "model"]
            )
            frames.append(frame.iloc[self._order(r, self.metrics[0])])
        return pd.concat(frames)

    @cached_property
    def overall(self) -> pd.DataFrame:
        """One row per model over all data sets, each data set counting the same.

        mean_rank: mean of the leaderboard's ranks. relative_<metric>: geometric mean of the ratios
        of the first metric to that of the first model given, 1 for that model itself, below 1
        better (Fleming, Wallace 1986: the order does not depend on the model chosen as the base);
        for measures that are not ratios (log_score, coverage) the column is gain_<metric>, the
        mean improvement over the first model, above 0 better; both over the cases (series and
        windows) that the two models have. best: data sets it leads, which a model that failed on
        a case cannot. Failures also show in failures.
        """
        first = self.metrics[0]
        pairs = np.stack([self._paired(r, first) for r in self.results])  # (datasets, 2, models)
        values, base = pairs[:, 0], pairs[:, 1]
        with np.errstate(divide="ignore", invalid="ignore"):
            if first.ratio_scale:
                logs = np.log(values / base)
                column = f"relative_{first.name}"
                relative = np.exp(average(np.where(np.isinf(logs), np.nan, logs), axis=0))
            else:
                column = f"gain_{first.name}"
                relative = average(first.badness(base) - first.badness(values), axis=0)
        leads = np.stack([self._leads(r, first) for r in self.results])
        table = pd.DataFrame(
            {
                "mean_rank": np.mean([self._mean_rank(r) for r in self.results], axis=0),
                column: relative,
                "best": leads.sum(axis=0),
                "fit_seconds": sum(r.fit_seconds for r in self.results),
                "predict_seconds": sum(r.predict_seconds for r in self.results),
                "failures": sum(r.failed for r in self.results),
            },
            index=pd.Index(self.models, name="model"),
        )
        return table.sort_values("mean_rank", kind="stable")

    @cached_property
    def times(self) -> pd.DataFrame:
        """Seconds of work (summed over processes): dataset, model, fit_seconds, predict_seconds."""
        return self.leaderboard[["fit_seconds", "predict_seconds"]].sort_index().reset_index()

    @cached_property
    def datasets(self) -> pd.DataFrame:
        """A row per data set: series, lengths, season, windows. ``unscored`` counts the series and
        windows without any actual, which have no value."""
        return pd.DataFrame([r.summary for r in self.results]).set_index("dataset")

    def __repr__(self) -> str:
        with pd.option_context("display.width", 120, "display.max_columns", 30):
            text = self.leaderboard.to_string(float_format=lambda v: f"{v:.4g}")
        lines = [
            f"Comparison: models {len(self.models)}, data sets {len(self.results)}; ordered by "
            f"{self.metrics[0].name} ({self.metrics[0].orientation})",
            text,
        ]
        if len(self.failures):
            lines.append(
                f"{len(self.failures)} failure(s), see .failures: the means of a model that failed "
                "are over fewer series, so it comes last."
            )
        return "\n".join(lines)

    # ------------------------------------------------------------ numbers behind the tables

    def _column(self, metric: Metric) -> int:
        return [m.name for m in self.measured].index(metric.name)

    def _overall(self, r: Result, metric: Metric, cells: Array | None = None) -> Array:
        """(models,): the mean over series and windows, of ``cells`` if given."""
        cells = r.cells if cells is None else cells
        if metric.parts:
            smape, mase = (self._overall(r, parse(name), cells) for name in metric.parts)
            assert r.benchmark is not None
            return np.asarray(overall_weighted_average(smape, mase, *self._base(r.benchmark)))
        return average(cells[..., self._column(metric)], axis=(1, 2))

    def _known(self, r: Result, metric: Metric) -> NDArray[np.bool_]:
        """(models, series, windows): whether there is a value."""
        columns = [self._column(parse(name)) for name in metric.parts or (metric.name,)]
        return np.asarray(~np.isnan(r.cells[..., columns]).any(axis=-1))

    def _paired(self, r: Result, metric: Metric) -> Array:
        """(2, models): each model and the first one, over the cases that both have."""
        known = self._known(r, metric)
        both = (known & known[:1])[..., None]
        pair = (np.where(both, cells, np.nan) for cells in (r.cells, r.cells[:1]))
        return np.stack([self._overall(r, metric, cells) for cells in pair])

    def _incomplete(self, r: Result, metric: Metric) -> NDArray[np.bool_]:
        """(models,): no value on a case where another model has one."""
        known = self._known(r, metric)
        return np.asarray((~known & known.any(axis=0)).any(axis=(1, 2)))

    def _order(self, r: Result, metric: Metric) -> NDArray[np.intp]:
        """Numbers of the models, the best first, those that failed on a case last."""
        bad = np.nan_to_num(metric.badness(self._overall(r, metric)), nan=np.inf)
        return np.lexsort((bad, self._incomplete(r, metric)))

    def _leads(self, r: Result, metric: Metric) -> NDArray[np.bool_]:
        """(models,): best of those that failed on no case."""
        bad = np.asarray(metric.badness(self._overall(r, metric)))
        bad = np.where(np.isnan(bad) | self._incomplete(r, metric), np.inf, bad)
        return (bad == bad.min()) & np.isfinite(bad)

    def _at_steps(self, r: Result, metric: Metric) -> Array:
        """(models, steps)."""
        if metric.parts:
            smape, mase = (self._at_steps(r, parse(name)) for name in metric.parts)
            assert r.benchmark_steps is not None
            return np.asarray(overall_weighted_average(smape, mase, *self._base(r.benchmark_steps)))
        return metric.finish(r.steps[:, :, self._column(metric)])

    def _base(self, benchmark: Array) -> tuple[Array, Array]:
        """sMAPE and MASE of the benchmark, which has them in the order they are measured."""
        order = [m.name for m in self.measured if m.name in ("smape", "mase")]
        return benchmark[..., order.index("smape")], benchmark[..., order.index("mase")]

    def _cases(self, r: Result, metric: Metric) -> Array:
        """Losses (cases, models), a case being a series and window that has an actual."""
        losses = metric.badness(r.cells[..., self._column(metric)])
        flat = losses.reshape(len(self.models), -1).T
        return flat[r.scored.ravel() & ~np.isnan(flat).all(axis=1)]

    def _mean_rank(self, r: Result) -> Array:
        ranked = [m for m in self.measured if m.is_loss]
        if not ranked:
            return rank_rows(self.metrics[0].badness(self._overall(r, self.metrics[0]))[None])[0]
        cases = self._cases(r, ranked[0])
        return rank_rows(cases).mean(axis=0) if len(cases) else np.full(len(self.models), np.nan)

    def _loss_metric(self, name: str | None) -> Metric:
        usable = [m for m in self.measured if m.is_loss]
        if name is None:
            if not usable:
                raise ValueError(
                    f"none of the metrics ({', '.join(m.name for m in self.metrics)}) has a value "
                    "per series to test by; compare with another, such as mase, as well."
                )
            return usable[0]
        for metric in usable:
            if metric.name == name:
                return metric
        known = ", ".join(m.name for m in usable) or "none"
        raise ValueError(
            f"metric {name!r} cannot be tested here: expected one that was measured and has a "
            f"value per series: {known}."
        )

    def _result(self, dataset: str | None) -> Result:
        names = [r.name for r in self.results]
        if dataset is None and len(names) == 1:
            return self.results[0]
        if dataset not in names:
            got = "no dataset was given" if dataset is None else f"unknown dataset {dataset!r}"
            raise ValueError(f"{got}; pass one of {', '.join(names)}.")
        return self.results[names.index(dataset)]

    def _number(self, model: str) -> int:
        if model not in self.models:
            raise ValueError(f"unknown model {model!r}; pass one of {', '.join(self.models)}.")
        return self.models.index(model)

    # ------------------------------------------------------------ tests

    def diebold_mariano(
        self,
        model_a: str,
        model_b: str,
        metric: str | None = None,
        dataset: str | None = None,
        *,
        over: Literal["windows", "series"] | None = None,
        alternative: Alternative = "two-sided",
    ) -> DieboldMariano:
        """Whether two models differ on a data set: see `seqkit.evaluation.diebold_mariano`.

        ``over="windows"`` averages the losses of each window over the series and tests the
        sequence of windows, with as many lags as windows overlap: it allows for series that move
        together. ``over="series"`` averages the losses of each series over its windows and takes
        the series as independent. Unless given, whichever has more observations.
        """
        a, b = self._number(model_a), self._number(model_b)
        measure, r = self._loss_metric(metric), self._result(dataset)
        losses = measure.badness(r.cells[[a, b], :, :, self._column(measure)])
        losses = np.where(np.isnan(losses).any(axis=0), np.nan, losses)  # pairs only
        n, w = losses.shape[1:]
        if over is None:
            over = "windows" if w > n else "series"
        if over not in ("windows", "series"):
            raise ValueError(f"over is {over!r}; expected 'windows' or 'series'.")
        means = average(losses, axis=1 if over == "windows" else 2)
        label = measure.name if measure.best == "smallest" else f"minus {measure.name}"
        return diebold_mariano(
            means[0],
            means[1],
            lags=r.overlap if over == "windows" else 0,
            alternative=alternative,
            names=(model_a, model_b),
            metric=label,
            over=over,
        )

    def ranks(
        self,
        metric: str | None = None,
        dataset: str | None = None,
        *,
        by: Literal["series", "dataset"] = "series",
        alpha: float = 0.05,
    ) -> Ranks:
        """Friedman's test and Nemenyi's critical difference: see `friedman_nemenyi`.

        A case is a series (its windows averaged), over all data sets unless ``dataset`` is given;
        with ``by="dataset"`` a case is a data set (its series averaged), as in Demsar (2006).
        A model without a value on a case is last there.
        """
        measure = self._loss_metric(metric)
        chosen = self.results if dataset is None else [self._result(dataset)]
        if by not in ("series", "dataset"):
            raise ValueError(f"by is {by!r}; expected 'series' or 'dataset'.")
        rows = []
        for r in chosen:
            losses = measure.badness(r.cells[..., self._column(measure)])
            failed = np.isnan(losses) & r.scored & ~np.isnan(losses).all(axis=0)
            means = average(losses, axis=2)
            means = np.where(failed.any(axis=2), np.nan, means)  # a failed window: last
            if by == "dataset":
                means = np.where(failed.any(axis=(1, 2)), np.nan, average(means, axis=1))[:, None]
            rows.append(means.T)
        table = pd.DataFrame(np.concatenate(rows), columns=self.models)
        return friedman_nemenyi(table, alpha=alpha, metric=measure.name)

    # ------------------------------------------------------------ pictures and files

    def plot(
        self,
        kind: Literal["leaderboard", "horizon", "ranks", "forecasts"] = "leaderboard",
        *,
        dataset: str | None = None,
        metric: str | None = None,
        models: Sequence[str] | None = None,
    ) -> Any:
        """A matplotlib Figure.

        ``leaderboard``: the metric as bars; ``horizon``: the metric against the step; ``ranks``:
        the critical-difference diagram; ``forecasts``: examples with intervals, of the models
        given or the best three. Without ``dataset``, the first two show all data sets, the last
        the first one.
        """
        from seqkit.plotting import comparison as pictures

        if kind == "leaderboard":
            return pictures.each_dataset(pictures.leaderboard, self, dataset, metric)
        if kind == "horizon":
            return pictures.each_dataset(pictures.horizon_scores, self, dataset, metric)
        if kind == "ranks":
            ranks = self.ranks(metric=metric, dataset=dataset)
            return pictures.critical_difference(ranks).figure
        if kind == "forecasts":
            return pictures.forecast_windows(self, dataset=dataset, models=models)
        raise ValueError(
            f"kind is {kind!r}; expected 'leaderboard', 'horizon', 'ranks' or 'forecasts'."
        )

    def to_html(self, path: str | Path, *, title: str = "Comparison of forecasts") -> Path:
        """Write one self-contained page (tables, pictures, settings, versions); its path."""
        from seqkit.evaluation.report import render

        target = Path(path)
        target.write_text(render(self, title=title), encoding="utf-8")
        return target

    def to_json(self, path: str | Path | None = None) -> str:
        """All tables as JSON (one object per row); written to ``path`` if given."""
        from seqkit.evaluation.report import versions

        tables = {
            "leaderboard": self.leaderboard.reset_index(),
            "overall": self.overall.reset_index(),
            "horizon_scores": self.horizon_scores,
            "scores": self.scores.assign(
                series=self.scores["series"].map(str), cutoff=self.scores["cutoff"].map(str)
            ),
            "failures": self.failures.assign(series=self.failures["series"].map(str)),
            "datasets": self.datasets.reset_index(),
        }
        document: dict[str, Any] = {
            name: json.loads(table.to_json(orient="records", double_precision=15))
            for name, table in tables.items()
        }
        document["settings"] = self.settings
        document["metrics"] = {m.name: m.orientation for m in self.metrics}
        document["versions"] = versions()
        text = json.dumps(document, indent=1, default=str)
        if path is not None:
            Path(path).write_text(text, encoding="utf-8")
        return text


def _tiled(values: Sequence[Any], each: int, times: int) -> Any:
    """Every value ``each`` times, the whole ``times`` times."""
    index = pd.Index(values, tupleize_cols=False).repeat(each)
    return index.take(np.tile(np.arange(len(index)), times))
