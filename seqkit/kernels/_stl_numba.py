"""Compiled loess and STL loops; imported only when they are used."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

# Parts, never called from Python: compiled without the wrappers for that, and anew with what calls them.
PARTS: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
inner = njit(**PARTS)


@inner
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
    for j in range(left, right + 1):
        weights[j - left] /= total
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


@inner
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


@inner
def _average(y, width):
    n = y.shape[0] - width + 1
    out = np.empty(n)
    total = 0.0
    for i in range(width):
        total += y[i]
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
    cycle, rest = np.empty(n + 2 * season), np.empty(n)
    for _ in range(iterations):
        for j in range(season):
            k = (n - j + season - 1) // season
            part, smooth = np.empty(k), np.empty(k)
            for i in range(k):
                part[i] = y[j + i * season] - trend[j + i * season]
            _loess(part, window, smooth)
            # One season beyond either end, so that the moving averages keep the length.
            first = _local_line(part, window, -1.0, 0, min(window, k) - 1)
            last = _local_line(part, window, float(k), max(0, k - window), k - 1)
            cycle[j] = smooth[0] if np.isnan(first) else first
            for i in range(k):
                cycle[j + (i + 1) * season] = smooth[i]
            cycle[j + (k + 1) * season] = smooth[k - 1] if np.isnan(last) else last
        _loess(_average(_average(_average(cycle, season), season), 3), low_window, low)
        for i in range(n):
            seasonal[i] = cycle[season + i] - low[i]
            rest[i] = y[i] - seasonal[i]
        _loess(rest, trend_window, trend)
    return trend, seasonal
