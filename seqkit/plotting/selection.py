"""Pictures of how a model was chosen: a search, a learning curve, a validation curve.

Each takes what `seqkit.evaluation` returns and gives back a matplotlib Figure, or Axes where there is one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from seqkit.plotting.style import INK, colour, new_axes, new_figure, number, tidy

SHOWN = 5  # parameters that get a panel of their own, unless they are named
BEST = colour(1)
FAINT = "#9A9A9A"


def plot_search(search: Any, *, parameters: list[str] | None = None) -> Any:
    """The scores of a search by trial, with the best so far, and by each parameter.

    Trials that were stopped early are open circles, as far from the best trial as they were over the folds they went
    through (folds differ in how hard they are); failed ones are crosses at the bottom. Trials far worse than the
    others are left outside and marked by an arrow.

    Raises ValueError for parameters that were not searched.
    """
    metric = search.metric
    names = list(search.space.ranges)
    shown = names[:SHOWN] if parameters is None else list(parameters)
    unknown = [name for name in shown if name not in names]
    if unknown:
        raise ValueError(f"{unknown[0]!r} was not searched; the parameters are {', '.join(names)}.")
    panels = 1 + len(shown)
    columns = 2 if panels == 4 else min(panels, 3)
    lines = -(-panels // columns)
    figure = new_figure(3.1 * columns + 0.5, 2.7 * lines + 0.3)
    axes = [figure.add_subplot(lines, columns, i + 1) for i in range(panels)]
    limits = _limits(search)
    _trials(axes[0], search, limits)
    for ax, name in zip(axes[1:], shown, strict=True):
        _parameter(ax, search, name, limits)
    for place, ax in enumerate(axes):
        ax.set_ylim(*limits)
        tidy(ax)
        if place % columns == 0:
            ax.set_ylabel(f"{metric.name} ({metric.orientation})")
        else:
            ax.tick_params(labelleft=False)
    title = f"best: {metric.name} {number(search.best_score_)} in trial {search.best_trial_}"
    figure.suptitle(title, x=0.01, ha="left", fontsize=10, color=INK)
    _legend(
        figure, handles=axes[0].get_legend_handles_labels()[0], loc="outside lower left", ncols=4
    )
    return figure


def _heights(search: Any) -> Any:
    """Where every trial is drawn; NaN for failed ones."""
    table = search.results_
    score = table["score"].to_numpy(dtype=float).copy()
    folds = search.fold_scores_.loc[search.best_trial_].to_numpy()
    for row in np.flatnonzero(table["state"] == "pruned"):
        seen = int(table["folds"].iloc[row])
        score[row] += search.best_score_ - folds[:seen].mean()
    score[table["state"] == "failed"] = np.nan
    return score


def _limits(search: Any) -> tuple[float, float]:
    """The range of most scores; what is far worse than the best does not stretch the picture."""
    metric, score = search.metric, _heights(search)
    score = score[~np.isnan(score)]
    bad = metric.badness(score)
    kept = score[bad <= np.median(bad) + 4 * (np.median(bad) - bad.min()) + 1e-12]
    low, high = float(kept.min()), float(kept.max())
    pad = 0.08 * (high - low) or 0.05 * abs(high) or 1.0
    return low - 1.5 * pad, high + pad


def _points(ax: Any, x: Any, search: Any, limits: tuple[float, float]) -> None:
    """Every trial at its score: whole ones filled, pruned ones open, failed ones crosses."""
    table = search.results_
    x, score = np.asarray(x, dtype=float), _heights(search)
    state = table["state"].to_numpy()
    outside = (score > limits[1]) | (score < limits[0])
    whole, pruned, failed = (state == s for s in ("complete", "pruned", "failed"))
    inside = whole & ~outside
    ax.scatter(x[inside], score[inside], s=18, color=colour(0), zorder=3, label="complete")
    open_ = pruned & ~outside
    if pruned.any():
        ax.scatter(
            x[open_], score[open_], s=18, facecolors="none", edgecolors=FAINT, label="stopped early"
        )
    far = outside & ~failed
    if far.any():
        above = score[far] > limits[1]
        edge = np.where(above, limits[1], limits[0])
        for up, mark in ((True, "^"), (False, "v")):
            rows = above == up
            ax.scatter(x[far][rows], edge[rows], s=20, marker=mark, color=FAINT, clip_on=False)
    if failed.any():
        bottom = np.full(int(failed.sum()), limits[0])
        ax.scatter(x[failed], bottom, s=22, marker="x", color=INK, clip_on=False, label="failed")
    best = search.best_trial_
    ax.scatter(x[best], score[best], s=60, facecolors="none", edgecolors=BEST, linewidths=1.8, zorder=4)  # fmt: skip


def _trials(ax: Any, search: Any, limits: tuple[float, float]) -> None:
    table, metric = search.results_, search.metric
    number_of = np.arange(len(table))
    _points(ax, number_of, search, limits)
    score = table["score"].where(table["state"] == "complete").to_numpy(dtype=float)
    bad = metric.badness(score)
    best = np.fmin.accumulate(bad)
    rows = np.flatnonzero(~np.isnan(best))
    so_far = np.full(len(table), np.nan)
    for i in rows:
        so_far[i] = score[: i + 1][np.nanargmin(bad[: i + 1])]
    ax.step(number_of, so_far, where="post", color=BEST, linewidth=1.4, label="best so far")
    ax.set_xlabel("trial")
    ax.xaxis.get_major_locator().set_params(integer=True)


def _legend(place: Any, **options: Any) -> None:
    place.legend(frameon=False, fontsize=7, labelcolor=INK, handlelength=1.6, **options)


def _parameter(ax: Any, search: Any, name: str, limits: tuple[float, float]) -> None:
    values = search.results_[name]
    range_ = search.space.ranges[name]
    numeric = _numeric(values)
    few = range_.size is not None and range_.size <= 8
    if numeric is not None and not few:
        _points(ax, numeric, search, limits)
        if range_.log:
            ax.set_xscale("log")
        elif range_.size is not None:
            ax.xaxis.get_major_locator().set_params(integer=True)
    else:
        shown, places = _categories(values, range_)
        # points of one value side by side, in the order of their trials
        order = np.arange(len(places)) / max(len(places) - 1, 1) - 0.5
        _points(ax, places + 0.35 * order, search, limits)
        ax.set_xticks(range(len(shown)), shown, rotation=30 if max(map(len, shown)) > 5 else 0)
        ax.set_xlim(-0.6, len(shown) - 0.4)
    ax.set_xlabel(name)


def _numeric(values: Any) -> Any:
    plain = all(isinstance(v, (int, float, np.number)) and not isinstance(v, bool) for v in values)
    return np.array(list(values), dtype=float) if plain else None


def _categories(values: Any, range_: Any) -> tuple[list[str], Any]:
    """Names of all values of a finite range, in its order, and the place of each given one among them."""
    names = [repr(range_.value(code)) for code in range_.codes()]
    places = np.array([names.index(repr(v)) for v in list(values)], dtype=float)
    return [_short(name) for name in names], places


def _short(text: str) -> str:
    text = text.strip("'\"")
    return text if len(text) <= 18 else text[:17] + "…"


# ---------------------------------------------------------------- curves


def plot_learning_curve(curve: pd.DataFrame, *, ax: Any = None) -> Any:
    """Mean score over folds, with its standard error, against the size of the train part.

    ``curve``: what `seqkit.learning_curve` returns. Thin lines are the folds. The axis of sizes is logarithmic where
    they span a factor of ten.
    """
    return _curve(curve, "size", ax, "size of the train part")


def plot_validation_curve(curve: pd.DataFrame, *, ax: Any = None) -> Any:
    """Mean score over folds, with its standard error, against a hyper-parameter; the best value is marked.

    ``curve``: what `seqkit.validation_curve` returns. Values that are no numbers stand side by side; an axis of
    positive ones is logarithmic where they span a factor of fifty.
    """
    name = curve.attrs.get("name", curve.columns[0])
    return _curve(curve, name, ax, name, mark=True, span=50.0)


def _curve(
    curve: pd.DataFrame, name: str, ax: Any, label: str, *, mark: bool = False, span: float = 10.0
) -> Any:
    ax = new_axes(ax, 6.0, 3.8)
    numeric = _numeric(curve[name])
    keys = curve[name] if numeric is not None else curve[name].map(repr)
    order = list(dict.fromkeys(keys)) if numeric is None else sorted(set(keys))
    x = np.array(order, dtype=float) if numeric is not None else np.arange(len(order), dtype=float)
    drawn = [("score", "test part", 0)]
    if "train_score" in curve:
        drawn.append(("train_score", "train part", 2))
    for column, text, k in drawn:
        wide = curve.assign(key=keys).pivot(index="key", columns="fold", values=column).loc[order]
        values = wide.to_numpy(dtype=float)
        mean = values.mean(axis=1)
        folds = values.shape[1]
        error = values.std(axis=1, ddof=1) / np.sqrt(folds) if folds > 1 else 0 * mean
        if column == "score" and folds > 1:
            ax.plot(x, values, color=colour(k), linewidth=0.7, alpha=0.3)
        ax.fill_between(x, mean - error, mean + error, color=colour(k), alpha=0.15, linewidth=0)
        ax.plot(x, mean, color=colour(k), linewidth=1.8, marker="o", markersize=4, label=text)
        if column == "score" and mark:
            _mark(ax, x, mean, curve.attrs.get("orientation", ""))
    if numeric is None:
        ax.set_xticks(x, [_short(v) for v in order])
    elif x.min() > 0 and x.max() / x.min() >= span:
        _log_axis(ax, x)
    ax.set_xlabel(label)
    metric, orientation = curve.attrs.get("metric", "score"), curve.attrs.get("orientation")
    ax.set_ylabel(metric if orientation is None else f"{metric} ({orientation})")
    tidy(ax)
    if len(drawn) > 1:
        _legend(ax)
    return ax


def _log_axis(ax: Any, x: Any) -> None:
    """A logarithmic axis with ticks at the values themselves where there are few."""
    from matplotlib.ticker import NullFormatter, NullLocator

    ax.set_xscale("log")
    if len(x) <= 8:
        ax.set_xticks(x, [f"{v:g}" for v in x])
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.xaxis.set_minor_locator(NullLocator())


def _mark(ax: Any, x: Any, mean: Any, orientation: str) -> None:
    """A ring around the best mean."""
    if orientation.startswith("best at "):
        best = int(np.nanargmin(np.abs(mean - float(orientation.removeprefix("best at ")))))
    else:
        best = int(np.nanargmax(mean) if orientation.startswith("higher") else np.nanargmin(mean))
    ax.scatter(x[best], mean[best], s=90, facecolors="none", edgecolors=BEST, linewidths=1.8, zorder=4)  # fmt: skip
    above = orientation.startswith("higher")  # on the side that no curve comes from
    ax.annotate(
        number(mean[best]),
        (x[best], mean[best]),
        xytext=(0, 10 if above else -10),
        textcoords="offset points",
        ha="center",
        va="bottom" if above else "top",
        fontsize=8,
        color=INK,
    )
