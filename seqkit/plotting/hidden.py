"""Pictures of hidden states: over the series, what they emit, and how long they last."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from .chains import state_colours
from .states import _note, _rows_of, _time_level, _times
from .style import INK, dash, new_figure, tidy

Array = np.ndarray
MOST = 6  # channels or states with a panel of their own
BARS = 15  # symbols that are shown of a larger vocabulary


# -- states over the series ----------------------------------------------------------------------


def plot_state_series(
    values: Any,
    path: pd.Series,
    *,
    states: Iterable[Hashable] | None = None,
    means: pd.DataFrame | pd.Series | None = None,
    probabilities: pd.DataFrame | None = None,
    series: Hashable = None,
) -> Any:
    """The observed series, coloured by the state of every step; below it the states' probabilities.

    Parameters
    ----------
    values : Series or DataFrame of numbers, one panel per channel (at most 6).
    path : the state of every row, on the same index.
    states : all states, in the order of their colours; None takes the columns of `probabilities`, the index of
        `means`, or what occurs, sorted.
    means : the mean of every state (rows), of every channel (columns); drawn as steps along the path.
    probabilities : (T, K) of the states on the same index, drawn as a stack that sums to 1.
    series : the key of the one to draw where there are several.

    Returns
    -------
    The Figure.

    Raises
    ------
    ValueError : indexes that differ, an unknown state, or several series and none picked.
    KeyError : an unknown series.
    """
    frame = values.to_frame() if isinstance(values, pd.Series) else pd.DataFrame(values)
    frame = frame.iloc[:, :MOST]
    if len(path) != len(frame) or not path.index.equals(frame.index):
        raise ValueError(
            f"path has {len(path)} rows, values has {len(frame)}; they must share one index"
        )
    rows = _rows_of(frame.index, series)
    frame, path = frame[rows], path[rows]
    names = _states(states, means, probabilities, path)
    shades = state_colours(names)
    extra = [] if probabilities is None else [1.0]
    figure = new_figure(8, 2.1 * frame.shape[1] + 1.2 * len(extra) + 0.5)
    axes = figure.subplots(
        frame.shape[1] + len(extra), 1, sharex=True, squeeze=False,
        height_ratios=[2.0] * frame.shape[1] + extra,
    )[:, 0]  # fmt: skip
    times = _times(_time_level(frame.index))
    edges = _edges(times)
    for ax, channel in zip(axes, frame.columns, strict=False):
        _bands(ax, edges, path, shades)
        _observed(ax, times, frame[channel].to_numpy(dtype=float))
        if means is not None:
            _steps(ax, edges, path, _mean_of(means, channel, names))
        named = channel is not None and channel != 0
        ax.set_title(str(channel) if named else "", loc="left", fontsize=9, color=INK)
        tidy(ax)
    if probabilities is not None:
        _stack(axes[-1], edges, probabilities.loc[rows, names], shades)
    axes[0].set_xlim(edges[0], edges[-1])
    _keys(axes[0], shades, len(names))
    return figure


def _states(states: Any, means: Any, probabilities: Any, path: pd.Series) -> list[Hashable]:
    if states is not None:
        names = list(states)
    elif probabilities is not None:
        names = list(probabilities.columns)
    elif means is not None:
        names = list(means.index)
    else:
        names = sorted(path.unique(), key=lambda one: (str(type(one)), one))
    strange = [one for one in path.unique() if one not in names]
    if strange:
        raise ValueError(f"path has the state {strange[0]!r}, the states are {names}")
    return names


def _edges(times: Any) -> Any:
    """Where every step begins and ends: half-way between neighbours."""
    if not isinstance(times, pd.DatetimeIndex):
        times = np.asarray(times, dtype=float)
        gap = np.diff(times) if len(times) > 1 else np.ones(1)
        middle = times[:-1] + gap / 2 if len(times) > 1 else times[:0]
        return np.concatenate([[times[0] - gap[0] / 2], middle, [times[-1] + gap[-1] / 2]])
    stamps = times.as_unit("ns")
    gap = np.diff(stamps.asi8) if len(times) > 1 else np.array([86_400_000_000_000])
    middle = stamps.asi8[:-1] + gap // 2 if len(times) > 1 else stamps.asi8[:0]
    ends = [stamps.asi8[0] - gap[0] // 2], [stamps.asi8[-1] + gap[-1] // 2]
    return np.concatenate([ends[0], middle, ends[1]]).astype("M8[ns]")


def runs(path: Any) -> list[tuple[Hashable, int, int]]:
    """(state, start, stop) of every stretch of one state."""
    labels = np.asarray(path, dtype=object)
    change = np.flatnonzero(labels[1:] != labels[:-1]) + 1
    starts = np.concatenate([[0], change]).astype(int)
    stops = np.concatenate([change, [len(labels)]]).astype(int)
    return [(labels[a], int(a), int(b)) for a, b in zip(starts, stops, strict=True)]


def _bands(ax: Any, edges: Any, path: pd.Series, shades: Mapping[Hashable, str]) -> None:
    for state, start, stop in runs(path):
        ax.axvspan(edges[start], edges[stop], color=shades[state], alpha=0.25, lw=0)


def _observed(ax: Any, times: Any, values: Array) -> None:
    known = ~np.isnan(values)
    alone = known & ~np.append(known[1:], False) & ~np.append(False, known[:-1])
    marker = "." if len(values) <= 150 or alone.any() else None
    ax.plot(times, values, color=INK, lw=0.9, alpha=0.8, marker=marker, ms=3, label="observed")


def _mean_of(means: pd.DataFrame | pd.Series, channel: Any, names: list[Hashable]) -> pd.Series:
    column = means if isinstance(means, pd.Series) else means[channel]
    absent = [one for one in names if one not in column.index]
    if absent:
        raise ValueError(f"means has no row for the state {absent[0]!r}")
    return column


def _steps(ax: Any, edges: Any, path: pd.Series, means: pd.Series) -> None:
    levels = means.loc[list(path)].to_numpy(dtype=float)
    ax.stairs(levels, edges, baseline=None, color=INK, lw=1.8, label="mean of the state")


def _stack(ax: Any, edges: Any, law: pd.DataFrame, shades: Mapping[Hashable, str]) -> None:
    below = np.zeros(len(law))
    for state in law.columns:
        above = below + law[state].to_numpy(dtype=float)
        ax.stairs(above, edges, baseline=below, fill=True, color=shades[state], alpha=0.6, lw=0)
        below = above
    ax.set_ylim(0, 1)
    ax.set_ylabel("probability")
    tidy(ax)


def _keys(ax: Any, shades: Mapping[Hashable, str], count: int) -> None:
    """A legend over the picture, on the right."""
    from matplotlib.patches import Patch

    handles, labels = ax.get_legend_handles_labels()
    handles += [Patch(color=shade, alpha=0.4, lw=0) for shade in shades.values()]
    labels += [str(state) for state in shades]
    ax.legend(
        handles, labels, loc="lower right", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=8,
        labelcolor=INK, ncols=min(len(labels), 6), borderaxespad=0.2, handlelength=1.4,
    )  # fmt: skip


# -- what states emit ----------------------------------------------------------------------------


def plot_emissions(
    laws: Mapping[Hashable, Any] | pd.DataFrame | Iterable[Any],
    data: Any = None,
    *,
    weights: Any = None,
    channel: int = 0,
    ax: Any = None,
) -> Any:
    """What every state emits: densities or probabilities over a histogram of the data, or bars of symbols.

    Parameters
    ----------
    laws : a law per state, {state: law}: distributions of shape () or (C,). A DataFrame (states, symbols)
        of probabilities is drawn as bars, and so are laws over symbols.
    data : what was observed, numbers in any shape; its histogram is drawn behind the laws.
    weights : (K,) share of each state; laws are scaled by it, and their sum is drawn, which is what the histogram
        should look like. None draws every law with area 1.
    channel : which element of laws of shape (C,).
    ax : where to draw; None makes a figure.

    Returns
    -------
    The Axes.

    Raises
    ------
    ValueError : weights that do not fit the states.
    """
    table = laws if isinstance(laws, pd.DataFrame) else None
    if table is None:
        named = dict(laws) if isinstance(laws, Mapping) else dict(enumerate(laws))
        if all(getattr(law, "symbols", None) is not None for law in named.values()):
            table = pd.DataFrame(
                {k: np.ravel(law.probabilities) for k, law in named.items()},
                index=[str(s) for s in next(iter(named.values())).symbols],
            ).T
    from .style import new_axes

    if table is not None:
        return _symbols(new_axes(ax, 7.0, 3.2), table)
    share = None if weights is None else np.asarray(weights, dtype=float)
    if share is not None and share.shape != (len(named),):
        raise ValueError(f"weights must be ({len(named)},), one per state, got {share.shape}")
    singles = {state: _single(law, channel) for state, law in named.items()}
    seen = None
    if data is not None:
        array = np.asarray(data, dtype=float)
        array = array[:, channel] if array.ndim == 2 else array.ravel()
        seen = array[np.isfinite(array)]
    return _densities(new_axes(ax, 7.0, 3.4), singles, seen, share)


def _single(law: Any, channel: int) -> Any:
    """One law of shape () out of () or (C,)."""
    return law if not law.shape else law[channel]


def _densities(ax: Any, laws: dict[Hashable, Any], seen: Array | None, share: Array | None) -> Any:
    from matplotlib.ticker import MaxNLocator

    shades = state_colours(list(laws))
    discrete = any(law.discrete for law in laws.values())
    low = min(float(law.quantile(0.0005)) for law in laws.values())
    high = max(float(law.quantile(0.9995)) for law in laws.values())
    if seen is not None and len(seen):
        low, high = min(low, seen.min()), max(high, seen.max())
    grid = np.arange(np.floor(low), np.floor(high) + 1) if discrete else np.linspace(low, high, 500)
    if seen is not None and len(seen):
        bins = np.append(grid, grid[-1] + 1) - 0.5 if discrete else "auto"
        style = {"color": INK, "alpha": 0.15, "label": "observed"}
        ax.hist(seen, bins=bins, density=True, **style)
    total = np.zeros(len(grid))
    for k, (state, law) in enumerate(laws.items()):
        curve = np.exp([float(law.log_prob(x)) for x in grid]) * (
            1.0 if share is None else share[k]
        )
        total += curve
        style = {"color": shades[state], "lw": 1.8, "label": str(state), "linestyle": dash(k)}
        ax.plot(grid, curve, marker="o" if discrete and len(grid) <= 60 else None, ms=3, **style)
    if share is not None and len(laws) > 1:
        ax.plot(grid, total, color=INK, lw=1.0, linestyle=(0, (4, 2)), label="together")
    if discrete:
        ax.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    ax.set_ylim(0, None)
    ax.set_ylabel("probability" if discrete else "density")
    tidy(ax)
    ax.legend(frameon=False, fontsize=8, labelcolor=INK, loc="upper left", bbox_to_anchor=(1, 1))
    return ax


def _symbols(ax: Any, table: pd.DataFrame) -> Any:
    """Bars of p(symbol | state), side by side, the most probable symbols of a large vocabulary."""
    shades = state_colours(list(table.index))
    kept = table
    if table.shape[1] > BARS:
        order = np.sort(np.argsort(-table.to_numpy(dtype=float).max(axis=0), kind="stable")[:BARS])
        kept = table.iloc[:, order]
    width = 0.8 / len(table)
    for k, state in enumerate(table.index):
        place = np.arange(kept.shape[1]) - 0.4 + (k + 0.5) * width
        ax.bar(place, kept.iloc[k], width=0.92 * width, color=shades[state], label=str(state))
    labels = [str(symbol) for symbol in kept.columns]
    ax.set_xticks(range(kept.shape[1]), labels)
    if sum(map(len, labels)) > 60:
        ax.tick_params(axis="x", rotation=40)
        for label in ax.get_xticklabels():
            label.set_ha("right")
    ax.set_ylabel("probability")
    tidy(ax)
    if kept.shape[1] < table.shape[1]:
        _note(ax, f"{kept.shape[1]} of {table.shape[1]} symbols")
    ax.legend(frameon=False, fontsize=8, labelcolor=INK, loc="upper left", bbox_to_anchor=(1, 1))
    return ax


# -- how long states last ------------------------------------------------------------------------


def plot_durations(
    path: pd.Series,
    *,
    stay: Any = None,
    laws: Mapping[Hashable, Any] | None = None,
    states: Iterable[Hashable] | None = None,
) -> Any:
    """How long every state lasts, run by run, beside the law that a model assumes; a panel per state (at most 6).

    The first and the last run of a series are cut off and not counted.

    Parameters
    ----------
    path : the state of every row; the series of a panel are taken in turn.
    stay : {state: p(stay)} or Series, for the geometric law (1 - p) p^(d - 1) of a Markov chain.
    laws : {state: p(d) for d = 1, 2, ..} for explicit durations.
    states : which states; None for all that occur, sorted.

    Returns
    -------
    The Figure.

    Raises
    ------
    ValueError : a path without a complete run, or an unknown state.
    """
    lengths = _durations(path)
    names = sorted(lengths, key=lambda s: (str(type(s)), s)) if states is None else list(states)
    if not any(len(found) for found in lengths.values()):
        raise ValueError("path has no run that both begins and ends inside it; give a longer path")
    strange = [one for one in names if one not in lengths]
    if strange:
        raise ValueError(f"the path never has the state {strange[0]!r}; it has {list(lengths)}")
    shown, shades = names[:MOST], state_colours(names)
    columns = min(len(shown), 3)
    rows = -(-len(shown) // columns)
    figure = new_figure(2.7 * columns + 0.6, 2.3 * rows + 0.3)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax, state in zip(axes, shown, strict=False):
        _histogram(ax, lengths[state], shades[state])
        law, label = _duration_law(state, stay, laws, int(ax.get_xlim()[1]))
        style = {"color": INK, "marker": ".", "ms": 4, "lw": 1.0, "label": label}
        if len(law):
            ax.plot(np.arange(1, len(law) + 1), law, **style)
        ax.set_title(f"{state}: {len(lengths[state])} runs", loc="left", fontsize=9, color=INK)
        ax.set_xlabel("steps")
        tidy(ax)
    for ax in axes[len(shown) :]:
        ax.set_axis_off()
    axes[0].set_ylabel("share of runs")
    axes[0].legend(frameon=False, fontsize=8, labelcolor=INK, loc="upper right")
    return figure


def _durations(path: pd.Series) -> dict[Hashable, list[int]]:
    """Lengths of the complete runs of every state."""
    parts = [path]
    if isinstance(path.index, pd.MultiIndex):
        parts = [part for _, part in path.groupby(level=0, sort=False)]
    lengths: dict[Hashable, list[int]] = {state: [] for state in path.unique()}
    for part in parts:
        for state, start, stop in runs(part)[1:-1]:
            lengths[state].append(stop - start)
    return lengths


def _histogram(ax: Any, lengths: list[int], shade: str) -> None:
    from matplotlib.ticker import MaxNLocator

    longest = max(lengths, default=1)
    counts = np.bincount(lengths, minlength=longest + 1)[1:]
    share = counts / max(counts.sum(), 1)
    ax.bar(np.arange(1, longest + 1), share, width=0.85, color=shade, alpha=0.55, label="observed")
    ax.set_xlim(0.4, longest + 0.6)
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))


def _duration_law(state: Hashable, stay: Any, laws: Any, longest: int) -> tuple[Array, str]:
    """p(d) for d = 1 .. longest, and what it is called; empty for none."""
    if laws is not None and state in laws:
        return np.asarray(laws[state], dtype=float)[:longest], "model"
    if stay is not None:
        p = float(dict(stay)[state])
        return (1 - p) * p ** np.arange(longest), "geometric"
    return np.zeros(0), ""
