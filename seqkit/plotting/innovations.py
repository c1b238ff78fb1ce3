"""One picture of the innovations of a filter: are they what they would be if the model were right?"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .forecast import _times
from .states import _chosen, _marker, _rows_of, _time_level, _title
from .style import INK, PALETTE, new_figure, tidy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

BOUND = 1.959963984540054  # of 95 % of a standard normal


def plot_innovations(
    states: Any, *, series: Hashable = None, channel: Hashable = None, lags: int | None = None
) -> Any:
    """Whether standardised innovations are independent N(0, 1), as they are where the model is right.

    Over time with 95 % bounds; their histogram beside the N(0, 1) density; their autocorrelations with 95 % bounds,
    and the Ljung-Box test of all of them together, its degrees of freedom not lowered by what was estimated; their
    order statistics against normal quantiles. Missing ones, and those of a diffuse start, are left out.

    Parameters
    ----------
    states : what `filter` returned.
    series, channel : the ones to draw where there are several.
    lags : of the autocorrelations; None for a fifth of the innovations, at most 20.

    Returns
    -------
    The Figure.

    Raises
    ------
    ValueError : several series or channels and none picked, fewer than 5 innovations, or too many lags.
    KeyError : an unknown series or channel.
    """
    frame = states.standardised_innovations
    frame = frame[_rows_of(frame.index, series)]
    if channel is None and frame.shape[1] > 1:
        raise ValueError(
            f"there are {frame.shape[1]} channels; pick one, e.g. channel={frame.columns[0]!r}"
        )
    column = frame[_chosen(None if channel is None else [channel], frame.columns, "channel")[0]]
    values = column.to_numpy()
    known = values[~np.isnan(values)]
    count = len(known)
    if count < 5:
        raise ValueError(f"{count} innovations are too few for a picture, which takes at least 5")
    lags = max(min(20, count // 5), 1) if lags is None else lags
    if not 1 <= lags < count:
        raise ValueError(f"lags must be between 1 and {count - 1}, got {lags}")
    correlations = _autocorrelations(values, lags)
    figure = new_figure(8, 5.4)
    over_time, histogram, dependence, quantiles = figure.subplots(2, 2).ravel()
    _draw_innovations(over_time, _times(_time_level(column.index)), values)
    _draw_histogram(histogram, known)
    _draw_autocorrelations(dependence, correlations, count)
    _draw_quantiles(quantiles, known)
    statistic, p_value = _ljung_box(correlations, count)
    figure.suptitle(
        f"standardised innovations of {column.name}: mean {known.mean():.2f}, variance {known.var():.2f}, "
        f"Ljung-Box Q({lags}) = {statistic:.1f}, p = {p_value:.3f}",
        x=0.01, ha="left", fontsize=9.5, color=INK,
    )  # fmt: skip
    for ax in figure.axes:
        tidy(ax)
    return figure


# -- numbers -------------------------------------------------------------------------------------


def _autocorrelations(values: Array, lags: int) -> Array:
    """Of the pairs that are known, over the sum of squares (Parzen 1963); (lags,)."""
    known = values[~np.isnan(values)]
    centred = np.nan_to_num(values - known.mean())
    total = centred @ centred
    products = np.array([centred[j:] @ centred[:-j] for j in range(1, lags + 1)])
    return products / total if total > 0 else products


def _ljung_box(correlations: Array, count: int) -> tuple[float, float]:
    """Q = n (n + 2) sum_j r_j^2 / (n - j) and its chi-squared p-value (Ljung & Box 1978)."""
    from scipy.special import chdtrc

    h = np.arange(1, len(correlations) + 1)
    statistic = count * (count + 2) * float((correlations**2 / (count - h)).sum())
    return statistic, float(chdtrc(len(h), statistic))


# -- panels --------------------------------------------------------------------------------------


def _bounds(ax: Any, *heights: float) -> None:
    for height in heights:
        ax.axhline(height, color=INK, alpha=0.6, lw=0.8, linestyle=(0, (4, 2)))


def _draw_innovations(ax: Any, times: Any, values: Array) -> None:
    ax.plot(times, values, color=PALETTE[0], lw=1.0, marker=_marker(values), ms=4)
    ax.axhline(0.0, color=INK, alpha=0.4, lw=0.8)
    _bounds(ax, -BOUND, BOUND)
    ax.margins(x=0.01)
    _title(ax, "over time, 95 % bounds")
    if isinstance(times, pd.DatetimeIndex):
        from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

        locator = AutoDateLocator(minticks=3, maxticks=6)
        ax.xaxis.set_major_locator(locator)
        ax.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))


def _draw_histogram(ax: Any, known: Array) -> None:
    edge = max(3.2, float(np.abs(known).max()) * 1.05)
    ax.hist(known, bins="fd", density=True, color=PALETTE[0], alpha=0.45, edgecolor="white", lw=0.5)
    grid = np.linspace(-edge, edge, 200)
    ax.plot(grid, np.exp(-(grid**2) / 2) / np.sqrt(2 * np.pi), color=INK, lw=1.2)
    _title(ax, "histogram, N(0, 1)")


def _draw_autocorrelations(ax: Any, correlations: Array, count: int) -> None:
    from matplotlib.ticker import MaxNLocator

    bound = BOUND / np.sqrt(count)
    lags = np.arange(1, len(correlations) + 1)
    ax.vlines(lags, 0.0, correlations, color=PALETTE[0], lw=3 if len(lags) <= 30 else 1)
    ax.axhline(0.0, color=INK, alpha=0.4, lw=0.8)
    _bounds(ax, -bound, bound)
    reach = max(2.2 * bound, 1.15 * float(np.abs(correlations).max()))
    ax.set_ylim(-reach, reach)
    ax.set_xlim(0, len(lags) + 1)
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    ax.set_xlabel("lag")
    _title(ax, "autocorrelations, 95 % bounds")


def _draw_quantiles(ax: Any, known: Array) -> None:
    from scipy.special import ndtri

    expected = ndtri((np.arange(len(known)) + 0.5) / len(known))
    ends = [expected[0], expected[-1]]
    ax.plot(ends, ends, color=INK, alpha=0.6, lw=1.0)
    ax.plot(expected, np.sort(known), ".", color=PALETTE[0], ms=4)
    ax.set_xlabel("normal quantile")
    _title(ax, "ordered, against normal quantiles")
