"""Pictures of hidden states: the states and components with their bands, and the gain.

Each takes what a model returns (`seqkit.models.state_space.states.States`, or, for components, the fitted model), draws
one series, and returns a matplotlib Figure, whose ``axes`` may be drawn on.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .forecast import _times
from .style import INK, PALETTE, colour, dash, new_figure, tidy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

MOST = 12  # states in one picture, unless they are named
START = 5.0  # times the usual width, above which bands of the first rows do not decide the scale of the axis
TRENDS = ("trend", "level")


def plot_states(
    states: Any,
    *,
    names: Iterable[str] | None = None,
    series: Hashable = None,
    observed: Mapping[str, Any] | bool = True,
    level: float | Sequence[float] = (80, 95),
) -> Any:
    """Expected states with central intervals, one panel per state on a shared time axis.

    Rows in which the variance of a state is still infinite (a diffuse start) are left out.

    Parameters
    ----------
    states : what `filter` or `smooth` returned.
    names : which states; None for the first 12 that are not earlier values of another one (seasonal.L1).
    series : the key of the one to draw where there are several.
    observed : what is drawn behind the states, {state: channel}. True for a state called level behind which the
        only channel is drawn, and for states named like a channel; False for nothing.
    level : interval levels in percent.

    Returns
    -------
    The Figure.

    Raises
    ------
    ValueError : several series and none picked, or levels that are no percentages.
    KeyError : an unknown series, state or channel.
    """
    rows = _rows_of(states.mean.index, series)
    mean, scale, seen = (part[rows] for part in (states.mean, states.scale, states.observed))
    shown, levels = _chosen(names, mean.columns, "state"), _levels(level)
    behind = _behind(observed, mean.columns, seen.columns)
    figure, axes = _panels([2.0] * len(shown))
    for ax, name in zip(axes, shown, strict=True):
        below = seen[behind[name]].to_numpy() if name in behind else None
        _band(ax, mean.index, mean[name], scale[name], levels, below, mean.shape[1])
        _title(ax, f"{name}, {states.kind}")
        tidy(ax)
    _legend(max(axes, key=lambda ax: len(ax.get_legend_handles_labels()[1])), axes[0])
    if names is None and len(shown) < mean.shape[1]:
        _note(axes[-1], f"{len(shown)} of {mean.shape[1]} states; names=[...] draws others")
    return figure


def plot_components(
    model: Any,
    x: Any = None,
    *,
    covariates: Any = None,
    series: Hashable = None,
    level: float | Sequence[float] = (80, 95),
) -> Any:
    """The series with its smoothed trend, then what every other component contributes, the irregular last.

    All in model units. Without a trend or level, the first panel has the sum of the components.

    Parameters
    ----------
    model : a fitted structural model.
    x : a sequence (or panel) like that of the fit; None for the data of the fit.
    covariates : the inputs of `x`.
    series : the key of the one to draw where there are several.
    level : interval levels in percent; () for no bands, which needs no covariances.

    Returns
    -------
    The Figure.

    Raises
    ------
    ValueError : several series and none picked, or levels that are no percentages.
    KeyError : an unknown series.
    """
    means = model.components(x, covariates=covariates)
    rows = _rows_of(means.index, series)
    means, levels = means[rows], _levels(level)
    scales = means * 0.0
    if levels:
        scales = model.components(x, covariates=covariates, scale=True)[rows]
    irregular = means.columns[-1]
    parts = list(means.columns[:-1])
    trend = next((part for part in parts if part.startswith(TRENDS)), None)
    rest = [part for part in parts if part != trend]
    figure, axes = _panels([2.6, *[1.6] * (len(rest) + 1)])
    first, seen = axes[0], means.sum(axis=1, skipna=False).to_numpy()
    if trend is None:
        times, whole = _times(_time_level(means.index)), means[parts].sum(axis=1).to_numpy()
        first.plot(times, seen, color=INK, alpha=0.6, lw=1.0, label="observed")
        first.plot(times, whole, color=PALETTE[0], lw=1.6, label="components")
    else:
        _band(first, means.index, means[trend], scales[trend], levels, seen, 0)
    _title(first, trend or "sum of the components")
    _legend(first, first)
    for ax, part in zip(axes[1:], [*rest, irregular], strict=True):
        _band(ax, means.index, means[part], scales[part], levels, None, 0)
        ax.axhline(0.0, color=INK, alpha=0.4, lw=0.8)
        _title(ax, part)
    for ax in axes:
        tidy(ax)
    return figure


def plot_gain(states: Any, *, names: Iterable[str] | None = None, series: Hashable = None) -> Any:
    """The Kalman gain over time: how far each state moves for an innovation of 1, one panel per channel.

    The gain of a missing value is zero.

    Parameters
    ----------
    states : what `filter` returned.
    names : which states; None for the first 12 that are not earlier values of another one (seasonal.L1).
    series : the key of the one to draw where there are several.

    Returns
    -------
    The Figure.

    Raises
    ------
    ValueError : several series and none picked.
    KeyError : an unknown series or state.
    """
    mean = states.mean
    rows = _rows_of(mean.index, series)
    gain, channels = states.gain[rows], states.innovations.columns
    shown = _chosen(names, mean.columns, "state")
    times = _times(_time_level(mean.index[rows]))
    figure, axes = _panels([3.0] if len(channels) == 1 else [1.8] * len(channels))
    for ax, channel, values in zip(axes, channels, np.moveaxis(gain, 2, 0), strict=True):
        for k, name in enumerate(shown):
            line = {"color": colour(k), "linestyle": dash(k), "lw": 1.6, "label": name}
            column = values[:, mean.columns.get_loc(name)]
            ax.plot(times, column, marker=_marker(column), ms=3, **line)
        _title(ax, f"gain of {channel}")
        low, high = ax.get_ylim()
        ax.set_ylim(min(low, 0.0), max(high, 0.0))
        tidy(ax)
    if len(shown) > 1:
        axes[0].legend(
            loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=8, labelcolor=INK
        )
    else:
        _title(axes[0], f"gain of {shown[0]} for {channels[0]}")
    return figure


# -- what is drawn -------------------------------------------------------------------------------


def _rows_of(index: pd.Index, series: Hashable) -> Any:
    """Which rows belong to the one series that is drawn."""
    if not isinstance(index, pd.MultiIndex):
        if series is not None:
            raise KeyError(f"no series {series!r}; this is one series, leave series= out")
        return np.ones(len(index), dtype=bool)
    keys = list(index.levels[0])
    if series is None and len(keys) > 1:
        raise ValueError(f"there are {len(keys)} series; pick one, e.g. series={keys[0]!r}")
    if series is not None and series not in keys:
        more = ", ..." if len(keys) > 5 else ""
        raise KeyError(f"no series {series!r}; there are {', '.join(map(repr, keys[:5]))}{more}")
    return np.asarray(index.codes[0]) == (0 if series is None else keys.index(series))


def _chosen(names: Iterable[Any] | None, known: pd.Index, what: str) -> list[Any]:
    if names is None:
        now = [name for name in known if not re.search(r"\.L\d+$", str(name))]
        return (now or list(known))[:MOST]
    shown = [names] if isinstance(names, str) else list(names)
    for name in shown:
        if name not in known:
            raise KeyError(f"no {what} {name!r}; there are {', '.join(map(repr, known))}")
    return shown


def _behind(
    observed: Mapping[str, Any] | bool, names: pd.Index, channels: pd.Index
) -> dict[str, Any]:
    """The channel to draw behind a state."""
    if isinstance(observed, Mapping):
        _chosen(observed, names, "state"), _chosen(observed.values(), channels, "channel")
        return dict(observed)
    if not observed:
        return {}
    alike = {name: name for name in names if name in channels}
    return {"level": channels[0], **alike} if len(channels) == 1 else alike


def _time_level(index: pd.Index) -> pd.Index:
    return index if index.nlevels == 1 else index.get_level_values(1)


def _levels(level: float | Sequence[float]) -> list[tuple[float, float]]:
    """Levels in percent, widest first, each with its number of standard deviations."""
    from scipy.special import ndtri

    wanted = sorted(np.atleast_1d(np.asarray(level, dtype=float)).tolist(), reverse=True)
    for one in wanted:
        if not 0 < one < 100:
            raise ValueError(f"level must be percentages between 0 and 100, got {one!r}")
    return [(one, float(ndtri((100 + one) / 200))) for one in wanted]


# -- how it is drawn -----------------------------------------------------------------------------


def _panels(heights: list[float]) -> tuple[Any, list[Any]]:
    """A figure of panels below each other on one time axis."""
    figure = new_figure(8, sum(heights) + 0.5)
    axes = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)
    return figure, list(axes[:, 0])


def _band(
    ax: Any, index: pd.Index, mean: pd.Series, scale: pd.Series, widths: list[tuple[float, float]],
    seen: Array | None, start: int,
) -> None:  # fmt: skip
    """A line with its intervals; very wide ones in the first `start` rows run out of the picture."""
    times = _times(_time_level(index))
    spread = scale.to_numpy()
    spread = np.where(np.isfinite(spread), spread, np.nan)
    centre = np.where(np.isnan(spread), np.nan, mean.to_numpy()) if widths else mean.to_numpy()
    if seen is not None:
        ax.plot(
            times, seen, color=INK, alpha=0.6, lw=1.0, marker=_marker(seen), ms=3, label="observed"
        )
    for k, (one, width) in enumerate(widths):
        style = {"color": PALETTE[0], "alpha": 0.18 + 0.14 * k, "lw": 0}
        low, high = centre - width * spread, centre + width * spread
        ax.fill_between(times, low, high, label=f"{one:g} %", **style)
    ax.plot(times, centre, color=PALETTE[0], lw=1.6, label="mean")
    ax.margins(x=0.01)
    if start and widths:
        known = np.isfinite(spread)
        usual = START * np.median(spread[known]) if known.any() else 0.0
        wide = (known.cumsum() <= start) & (spread > usual)
        if wide.any():
            reach = np.where(wide, 0.0, widths[0][1] * spread)
            _frame(ax, [centre - reach, centre + reach] + ([] if seen is None else [seen]))


def _frame(ax: Any, curves: list[Array]) -> None:
    values = np.concatenate([c[np.isfinite(c)] for c in curves])
    low, high = values.min(), values.max()
    pad = 0.05 * (high - low)
    if pad > 0:
        ax.set_ylim(low - pad, high + pad)


def _marker(values: Array) -> str | None:
    """Dots where they can be told apart, or where a value between missing ones would vanish."""
    known = ~np.isnan(values)
    alone = known & ~np.append(known[1:], False) & ~np.append(False, known[:-1])
    return "." if len(values) <= 60 or alone.any() else None


def _title(ax: Any, text: str) -> None:
    ax.set_title(text, loc="left", fontsize=9, color=INK)


def _legend(source: Any, ax: Any) -> None:
    handles, labels = source.get_legend_handles_labels()
    place = {"loc": "lower right", "bbox_to_anchor": (1.0, 1.0), "borderaxespad": 0.2}
    ax.legend(handles, labels, frameon=False, fontsize=8, labelcolor=INK, ncols=4, **place)


def _note(ax: Any, text: str) -> None:
    ax.set_xlabel(text, loc="right")
    tidy(ax)
