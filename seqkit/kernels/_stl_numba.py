"""Compiled loess and STL loops; imported only when they are used."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True)
def _local_line(y, window, x, left, right):
    """Tricube-weighted local line of rows left..right (inclusive) at x; NaN if no row has weight."""
    n = y.shape[0]
    h = max(x - left, right - x)
    if window > n:
        h += (window - n) // 2
    total, centre, value = 0.0, 0.0, 0.0
    weights = np.zeros(right - left + 1)
    for j in range(left, right + 1):
        d = abs(j - x)
        if d <= 0.999 * h:
            w = 1.0 if d <= 0.001 * h else (1.0 - (d / h) ** 3) ** 3
            weights[j - left] = w
            total += w
    if total <= 0.0:
        return np.nan
    weights /= total
    for j in range(left, right + 1):
        centre += weights[j - left] * j
    if h > 0.0:
        spread = 0.0
        for j in range(left, right + 1):
            spread += weights[j - left] * (j - centre) ** 2
        if np.sqrt(spread) > 0.001 * (n - 1.0):
            slope = (x - centre) / spread
            for j in range(left, right + 1):
                weights[j - left] *= 1.0 + slope * (j - centre)
    for j in range(left, right + 1):
        value += weights[j - left] * y[j]
    return value


@njit(cache=True)
def _loess(y, window, out):
    """Local lines at every row."""
    n = y.shape[0]
    width = min(window, n)
    half = (window + 1) // 2
    left = 0
    for i in range(n):
        if i + 1 > half and left + width < n:
            left += 1
        value = _local_line(y, window, float(i), left, left + width - 1)
        out[i] = y[i] if np.isnan(value) else value


@njit(cache=True)
def _average(y, width):
    n = y.shape[0] - width + 1
    out = np.empty(n)
    total = y[:width].sum()
    out[0] = total / width
    for i in range(1, n):
        total += y[i + width - 1] - y[i - 1]
        out[i] = total / width
    return out


@njit(cache=True)
def decompose(y, season, window, trend_window, low_window, iterations):
    """Inner loop of STL; returns trend and season."""
    n = y.shape[0]
    trend, seasonal, low = np.zeros(n), np.zeros(n), np.empty(n)
    cycle = np.empty(n + 2 * season)
    for _ in range(iterations):
        detrended = y - trend
        for j in range(season):
            part = detrended[j::season].copy()
            k = part.shape[0]
            inner = np.empty(k)
            _loess(part, window, inner)
            # One season beyond either end, so that the moving averages keep the length.
            first = _local_line(part, window, -1.0, 0, min(window, k) - 1)
            last = _local_line(part, window, float(k), max(0, k - window), k - 1)
            cycle[j] = inner[0] if np.isnan(first) else first
            for i in range(k):
                cycle[j + (i + 1) * season] = inner[i]
            cycle[j + (k + 1) * season] = inner[k - 1] if np.isnan(last) else last
        _loess(_average(_average(_average(cycle, season), season), 3), low_window, low)
        seasonal = cycle[season : season + n] - low
        _loess(y - seasonal, trend_window, trend)
    return trend, seasonal
