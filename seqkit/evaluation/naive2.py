"""Naive2, the benchmark of the M competitions, on arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def naive2(history: Array, horizon: int, season: int = 1) -> Array:
    """Forecast of one series by the last value of the seasonally adjusted history.

    If the autocorrelation at lag ``season`` is significant at 90 %, the history is divided by the
    seasonal figure of a classical multiplicative decomposition, the last adjusted value is
    repeated, and the figure is put back. ``history`` is (length,), the result (horizon,).
    Missing values are skipped; a history with a value of zero or below, for which no
    multiplicative figure exists, is not adjusted. NaN where the history holds no value.

    Source: Makridakis, Spiliotis, Assimakopoulos (2020), IJF 36(1); the R code of M4.

    >>> naive2(np.array([1.0, 2.0, 3.0]), horizon=2)
    array([3., 3.])
    """
    history = np.asarray(history, dtype=np.float64)
    seen = np.flatnonzero(~np.isnan(history))
    if not len(seen):
        return np.full(horizon, np.nan)
    last = int(seen[-1])
    figure = np.ones(1)
    if bool((history[seen] > 0).all()) and _is_seasonal(history, season):
        figure = _seasonal_figure(history, season)
    ahead = np.arange(len(history), len(history) + horizon) % len(figure)
    return history[last] / figure[last % len(figure)] * figure[ahead]


def _is_seasonal(history: Array, season: int) -> bool:
    """Whether |r_m| > 1.645 sqrt((1 + 2 sum_{k<m} r_k^2) / n); False for under three seasons."""
    n = int((~np.isnan(history)).sum())
    if season < 2 or n < 3 * season:
        return False
    centred = np.where(np.isnan(history), 0.0, history - np.nanmean(history))
    power = float(centred @ centred)
    if power == 0.0:
        return False
    r = np.array([centred[k:] @ centred[:-k] for k in range(1, season + 1)]) / power
    limit = 1.645 * np.sqrt((1.0 + 2.0 * float(r[:-1] @ r[:-1])) / n)
    return bool(abs(r[-1]) > limit)


def _seasonal_figure(history: Array, season: int) -> Array:
    """One factor per position in the season, from the first row on (a common factor cancels)."""
    kernel = np.ones(season) / season
    if season % 2 == 0:
        kernel = np.convolve(kernel, [0.5, 0.5])
    half = len(kernel) // 2
    trend = np.full(len(history), np.nan)
    trend[half : len(history) - half] = np.convolve(history, kernel, mode="valid")
    ratio = history / trend
    figure = np.ones(season)
    for position in range(season):
        values = ratio[position::season]
        values = values[~np.isnan(values)]
        if len(values):
            figure[position] = values.mean()
    return figure
