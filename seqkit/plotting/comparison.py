"""Pictures of a comparison of models: one function per picture.

Each takes a `seqkit.evaluation.Comparison` (or its `Ranks`) and returns matplotlib Axes, or a
Figure where there are several. A model keeps its colour from picture to picture.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from seqkit.plotting.style import INK, colour, dash, new_axes, new_figure, number, tidy

SHOWN = 3  # models among the examples, unless they are named


def leaderboard(
    comparison: Any, *, dataset: str | None = None, metric: str | None = None, ax: Any = None
) -> Any:
    """One metric on one data set, the best model on top: bars, or dots where zero means nothing."""
    name, measure = _chosen(comparison, dataset, metric)
    result = comparison._result(name)
    order = comparison._order(result, measure)
    partial = comparison._incomplete(result, measure)[order]
    table = comparison.leaderboard.xs(name, level="dataset")[measure.name]
    table = table.loc[[comparison.models[k] for k in order]]
    ax = new_axes(ax, 6.5, 0.9 + 0.28 * len(table))
    rows, values = np.arange(len(table)), table.to_numpy()
    colours = [colour(comparison.models.index(model)) for model in table.index]
    if measure.ratio_scale:
        ax.barh(rows, values, height=0.68, color=colours)
        ax.set_xlim(0, _beyond(values, 0.14))
    else:
        ax.hlines(rows, *_span(values), color=INK, alpha=0.12, linewidth=0.8)
        ax.scatter(values, rows, s=36, color=colours, zorder=3)
        low, high = _span(values)
        ax.set_xlim(low, high + 0.14 * (high - low))
        if not isinstance(measure.best, str):
            ax.axvline(measure.best, color=INK, linewidth=1, linestyle=(0, (4, 2)))
            left, right = ax.get_xlim()
            pad = 0.04 * (right - left)
            ax.set_xlim(min(left, measure.best - pad), max(right, measure.best + pad))
    for row, value in zip(rows, values, strict=True):
        known = not np.isnan(value)
        text = number(value) + (" (fewer cases)" if partial[row] else "")
        ax.annotate(
            text if known else "no value",
            (value if known else ax.get_xlim()[0], row),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=INK,
        )
    ax.set_yticks(rows, [str(model) for model in table.index])
    ax.set_ylim(len(table) - 0.5, -0.5)
    ax.set_xlabel(f"{measure.name} ({measure.orientation})")
    ax.set_title(name, loc="left", fontsize=10, color=INK)
    tidy(ax, grid="x")
    ax.tick_params(axis="y", length=0)
    return ax


def horizon_scores(
    comparison: Any, *, dataset: str | None = None, metric: str | None = None, ax: Any = None
) -> Any:
    """One metric on one data set against the step ahead, one line per model."""
    name, measure = _chosen(comparison, dataset, metric)
    table = comparison.horizon_scores
    table = table[(table["dataset"] == name) & (table["metric"] == measure.name)]
    best_first = comparison.leaderboard.xs(name, level="dataset").index
    models = len(best_first)
    ax = new_axes(ax, 7.0, max(3.4, 0.8 + 0.2 * models))
    wide = table.pivot(index="step", columns="model", values="value")
    for model in best_first:
        k = comparison.models.index(model)
        ax.plot(
            wide.index,
            wide[model],
            color=colour(k),
            linestyle=dash(k),
            linewidth=1.6,
            marker="o" if len(wide) <= 24 else None,
            markersize=3,
            label=model,
        )
    if not isinstance(measure.best, str):
        ax.axhline(measure.best, color=INK, linewidth=1, linestyle=(0, (4, 2)))
    _whole_steps(ax, len(wide))
    ax.set_xlabel("steps ahead")
    ax.set_ylabel(f"{measure.name} ({measure.orientation})")
    ax.set_title(name, loc="left", fontsize=10, color=INK)
    tidy(ax)
    ax.legend(
        loc="upper left",
        bbox_to_anchor=(1.0, 1.0),
        frameon=False,
        fontsize=8,
        labelcolor=INK,
        handlelength=2.6,
    )
    return ax


def critical_difference(ranks: Any, *, ax: Any = None) -> Any:
    """Mean ranks on a line, models not told apart joined by a bar (Demsar 2006, fig. 1)."""
    means = ranks.mean_ranks
    k = len(means)
    names = [str(name) for name in means.index]
    left = (k + 1) // 2  # the better half is labelled on the left
    bars = len(ranks.groups)
    first_label = 0.9 + 0.35 * bars
    depth = first_label + 0.5 * (left - 1) + 0.4
    ax = new_axes(ax, 7.0, 0.9 + 0.42 * (depth + 1.6))
    ax.plot([1, k], [0, 0], color=INK, linewidth=1.2)
    for tick in range(1, k + 1):
        ax.plot([tick, tick], [0, -0.15], color=INK, linewidth=1.2)
        ax.text(tick, -0.25, str(tick), ha="center", va="bottom", fontsize=8, color=INK)
    edge = 0.06 * max(k - 1, 1)
    for place, (name, mean) in enumerate(zip(names, means, strict=True)):
        better = place < left
        y = first_label + 0.5 * (place if better else k - 1 - place)
        end, side = (1 - edge, "right") if better else (k + edge, "left")
        ax.plot([mean, mean, end], [0, y, y], color=INK, linewidth=0.9, solid_joinstyle="miter")
        label = f"{name}  {mean:.2f}" if better else f"{mean:.2f}  {name}"
        shift = -4 if better else 4
        ax.annotate(
            label,
            (end, y),
            xytext=(shift, 0),
            textcoords="offset points",
            ha=side,
            va="center",
            fontsize=8.5,
            color=INK,
        )
    reach = 0.012 * max(k - 1, 1)
    for place, group in enumerate(ranks.groups):
        ends = means[group[0]] - reach, means[group[-1]] + reach
        y = 0.4 + 0.35 * place
        ax.plot(ends, [y, y], color=colour(0), linewidth=4, solid_capstyle="butt")
    _difference_bar(ax, ranks, k)
    ax.set_xlim(1 - edge, k + edge)
    ax.set_ylim(depth, -1.9)
    ax.set_axis_off()
    ax.set_facecolor("none")
    return ax


def _difference_bar(ax: Any, ranks: Any, k: int) -> None:
    width = min(ranks.critical_difference, k - 1)
    ax.plot([1, 1 + width], [-1.0, -1.0], color=colour(0), linewidth=2.5, solid_capstyle="butt")
    note = f"critical difference {ranks.critical_difference:.2f}" + (
        " (longer than the axis)" if ranks.critical_difference > k - 1 else ""
    )
    text = f"{note} at {ranks.alpha:g}; {ranks.cases} cases, Friedman p = {ranks.p_value:.2g}"
    ax.text(1, -1.2, text, ha="left", va="bottom", fontsize=8.5, color=INK)


def forecast_windows(
    comparison: Any, *, dataset: str | None = None, models: Sequence[str] | None = None
) -> Any:
    """Example series (rows) under some models (columns; the best three unless given).

    Median, 80 and 95 % intervals, and what happened. Returns the Figure.
    """
    name = comparison.results[0].name if dataset is None else dataset
    result = comparison._result(name)
    best_first = comparison.leaderboard.xs(name, level="dataset").index
    shown = list(best_first[:SHOWN] if models is None else models)
    numbers = [comparison._number(model) for model in shown]
    examples = result.examples
    if not examples:
        raise ValueError("no example forecasts were kept; compare with examples=3 to see some.")
    figure = new_figure(1.2 + 2.9 * len(shown), 0.7 + 2.4 * len(examples))
    grid = figure.subplots(len(examples), len(shown), squeeze=False, sharex="row", sharey="row")
    for row, example in zip(grid, examples, strict=True):
        for ax, k in zip(row, numbers, strict=True):
            _example(ax, example, k)
        row[0].set_ylabel(_shortened(str(example.series)))
        for ax in row:
            tidy(ax)
    for ax, model in zip(grid[0], shown, strict=True):
        ax.set_title(_shortened(model, 32), loc="left", fontsize=9, color=INK)
    return figure


def _example(ax: Any, example: Any, k: int) -> None:
    past, ahead = _times(example.history_index), _times(example.index)
    bridge = len(example.history) and example.follows  # a gap between them stays open
    joined = _joined(past, ahead[:1]) if bridge else past
    values = np.append(example.history, example.actual[:1]) if bridge else example.history
    ax.plot(joined, values, color=INK, alpha=0.55, linewidth=1.0)
    if k in example.forecasts:
        low95, low80, median, high80, high95 = example.forecasts[k]
        marker = "o" if len(ahead) == 1 else None  # one step draws neither a band nor a line
        if marker:
            ax.vlines(ahead, low95, high95, color=colour(k), alpha=0.35, linewidth=2)
            ax.vlines(ahead, low80, high80, color=colour(k), alpha=0.6, linewidth=4)
        ax.fill_between(ahead, low95, high95, color=colour(k), alpha=0.16, linewidth=0)
        ax.fill_between(ahead, low80, high80, color=colour(k), alpha=0.28, linewidth=0)
        ax.plot(ahead, median, color=colour(k), linewidth=1.6, marker=marker, markersize=4)
    else:
        ax.text(0.5, 0.5, "failed", transform=ax.transAxes, ha="center", fontsize=9, color=INK)
    marker = "." if len(ahead) <= 30 else None
    ax.plot(ahead, example.actual, color=INK, linewidth=1.0, marker=marker, markersize=4)
    ax.axvline(past[-1], color=INK, alpha=0.3, linewidth=0.8, linestyle=(0, (2, 2)))
    if isinstance(past, pd.DatetimeIndex):
        from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

        locator = AutoDateLocator(minticks=2, maxticks=4)
        ax.xaxis.set_major_locator(locator)
        ax.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))
    else:
        from matplotlib.ticker import MaxNLocator

        ax.xaxis.set_major_locator(MaxNLocator(4, integer=True))


def each_dataset(
    picture: Callable[..., Any], comparison: Any, dataset: str | None, metric: str | None
) -> Any:
    """Figure of one data set, or of all of them below each other."""
    names = [r.name for r in comparison.results] if dataset is None else [dataset]
    models = len(comparison.models)
    height = 0.9 + 0.28 * models if picture is leaderboard else max(3.2, 0.8 + 0.2 * models)
    figure = new_figure(7.5, height * len(names))
    for ax, name in zip(figure.subplots(len(names), squeeze=False)[:, 0], names, strict=True):
        picture(comparison, dataset=name, metric=metric, ax=ax)
    return figure


def _chosen(comparison: Any, dataset: str | None, metric: str | None) -> tuple[str, Any]:
    name = comparison._result(dataset).name
    for measure in comparison.metrics:
        if metric in (None, measure.name):
            return name, measure
    known = ", ".join(m.name for m in comparison.metrics)
    raise ValueError(f"unknown metric {metric!r}; this comparison has {known}.")


def _times(index: pd.Index) -> Any:
    if isinstance(index, pd.PeriodIndex):
        return index.to_timestamp()
    if isinstance(index, pd.DatetimeIndex):
        return index.tz_localize(None)  # the wall clock is what is read off the axis
    return index.to_numpy()


def _joined(past: Any, ahead: Any) -> Any:
    return past.append(ahead) if isinstance(past, pd.Index) else np.append(past, ahead)


def _whole_steps(ax: Any, steps: int) -> None:
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(min(steps, 12), integer=True))


def _finite(values: Any) -> Any:
    values = np.asarray(values, dtype=float)
    return values[np.isfinite(values)]


def _beyond(values: Any, share: float) -> float:
    """A right end of the axis that leaves room for a number after the longest bar."""
    largest = float(_finite(values).max(initial=0.0))
    return largest * (1 + share) if largest > 0 else 1.0


def _span(values: Any) -> tuple[float, float]:
    values = _finite(values)
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    pad = 0.08 * (high - low) if high > low else max(abs(high), 1.0) * 0.1
    return low - pad, high + pad


def _shortened(text: str, width: int = 24) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."
