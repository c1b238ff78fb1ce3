"""Compiled recursions of ``kernels.holt_winters``; imported only when they are used."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

compiled = njit(cache=True, error_model="numpy")
# Parts, never called from Python: compiled without the wrappers for that, and anew with what calls them.
PARTS: dict[str, Any] = {
    "error_model": "numpy",
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
}
inner = njit(**PARTS)


@compiled
def forward(y, place, begin, end, alpha, gamma, periods, start, season0, level, season):
    """Run the recursion over rows begin[i] .. end[i] - 1 of every series; fills `level` and `season`.

    place (K, n): where the seasonals of a series lie, place[k, i] + t being that which row t meets.
    """
    for i in range(begin.shape[0]):
        if end[i] <= begin[i]:
            continue
        for c in range(y.shape[1]):
            first = 0
            for k in range(periods.shape[0]):
                at = place[k, i] + begin[i]
                for j in range(periods[k]):
                    season[at + j, c] = season0[i, c, first + j]
                first += periods[k]
            now = start[i, c]
            for t in range(begin[i], end[i]):
                left = y[t, c]
                for k in range(periods.shape[0]):
                    left -= season[place[k, i] + t, c]
                seen = not np.isnan(left)
                if seen:
                    now += alpha[i, c] * (left - now)
                    left -= now
                else:
                    left = 0.0
                for k in range(periods.shape[0]):
                    at = place[k, i] + t
                    season[at + periods[k], c] = season[at, c] + gamma[i, c, k] * left
                level[t, c] = now


@compiled
def backward(
    y, place, begin, end, alpha, gamma, periods, start, level, season,
    d_level, d_season, d_alpha, d_gamma, d_start, d_season0,
):  # fmt: skip
    """Adjoint of ``forward``: d_level and d_season come in, the latter is overwritten; the rest is filled."""
    for i in range(begin.shape[0]):
        if end[i] <= begin[i]:
            continue
        for c in range(y.shape[1]):
            carry = 0.0  # dF / d level
            for t in range(end[i] - 1, begin[i] - 1, -1):
                carry += d_level[t, c]
                total = 0.0
                for k in range(periods.shape[0]):
                    total += season[place[k, i] + t, c]
                left = y[t, c] - total
                seen = not np.isnan(left)
                rest = left - level[t, c] if seen else 0.0
                d_rest = 0.0
                for k in range(periods.shape[0]):
                    at = place[k, i] + t
                    d_next = d_season[at + periods[k], c]
                    d_season[at, c] += d_next
                    d_gamma[i, c, k] += d_next * rest
                    d_rest += d_next * gamma[i, c, k]
                if seen:
                    carry -= d_rest
                    before = level[t - 1, c] if t > begin[i] else start[i, c]
                    d_alpha[i, c] += carry * (left - before)
                    d_left = d_rest + alpha[i, c] * carry
                    carry *= 1.0 - alpha[i, c]
                    for k in range(periods.shape[0]):
                        d_season[place[k, i] + t, c] -= d_left
            d_start[i, c] = carry
            first = 0
            for k in range(periods.shape[0]):
                at = place[k, i] + begin[i]
                for j in range(periods[k]):
                    d_season0[i, c, first + j] = d_season[at + j, c]
                first += periods[k]


@compiled
def gather(place, begin, periods, series, origin, level, season, at_origin, past, ahead):
    """Level at the row before each origin, seasonals of the rows before it (as they met them), and those after it.

    Rows before begin[i] have the seasonal of that row. at_origin (B, C), past (B, L, C), ahead (B, h, C).
    """
    lags = past.shape[1]
    for b in range(series.shape[0]):
        i, o = series[b], origin[b]
        for c in range(level.shape[1]):
            at_origin[b, c] = level[o - 1, c]
            for j in range(lags):
                t = max(o - lags + j, begin[i])
                total = 0.0
                for k in range(periods.shape[0]):
                    total += season[place[k, i] + t, c]
                past[b, j, c] = total
            for j in range(ahead.shape[1]):
                total = 0.0
                for k in range(periods.shape[0]):
                    total += season[place[k, i] + o + j % periods[k], c]
                ahead[b, j, c] = total


@compiled
def scatter(place, begin, periods, series, origin, d_at_origin, d_past, d_ahead, d_level, d_season):
    """Adjoint of ``gather``, added to d_level and d_season."""
    lags = d_past.shape[1]
    for b in range(series.shape[0]):
        i, o = series[b], origin[b]
        for c in range(d_level.shape[1]):
            d_level[o - 1, c] += d_at_origin[b, c]
            for j in range(lags):
                t = max(o - lags + j, begin[i])
                for k in range(periods.shape[0]):
                    d_season[place[k, i] + t, c] += d_past[b, j, c]
            for j in range(d_ahead.shape[1]):
                for k in range(periods.shape[0]):
                    d_season[place[k, i] + o + j % periods[k], c] += d_ahead[b, j, c]


@compiled
def first(y, begin, count, periods, level, season):
    """Level and seasonals of count[i] rows from begin[i] on, see ``starts``; both come in as zeros."""
    for i in range(begin.shape[0]):
        for c in range(y.shape[1]):
            left = np.empty(count[i])
            for t in range(count[i]):
                left[t] = y[begin[i] + t, c]
            at, longest = 0, 1
            for period in periods:
                by_phase(left, period, season[i, c, at : at + period])
                at += period
                longest = max(longest, period)
            level[i, c] = mean(left[:longest], mean(left, 0.0))


@inner
def by_phase(left, period, season):
    """Means by phase over whole cycles, without the line through the cycles' means; taken off `left`."""
    cycles = left.shape[0] // period
    means = np.empty(cycles)
    for k in range(cycles):
        means[k] = mean(left[k * period : (k + 1) * period], np.nan)
    slope = line(means)
    total, seen = np.zeros(period), np.zeros(period)
    for t in range(cycles * period):
        k, j = t // period, t % period
        away = left[t] - means[k] - slope * (j - 0.5 * (period - 1)) / period
        if not np.isnan(away):
            total[j] += away
            seen[j] += 1.0
    for j in range(period):
        total[j] = total[j] / seen[j] if seen[j] > 0.0 else np.nan
    centre = mean(total, 0.0)
    for j in range(period):
        season[j] = 0.0 if np.isnan(total[j]) else total[j] - centre
    for t in range(left.shape[0]):
        left[t] -= season[t % period]


@inner
def line(values):
    """Slope of the least-squares line through what is observed, 0 where that is fewer than two."""
    n, place, level = 0, 0.0, 0.0
    for k in range(values.shape[0]):
        if not np.isnan(values[k]):
            n, place, level = n + 1, place + k, level + values[k]
    above, below = 0.0, 0.0
    for k in range(values.shape[0]):
        if not np.isnan(values[k]):
            away = k - place / n
            above += away * (values[k] - level / n)
            below += away * away
    return above / below if below > 0.0 else 0.0


@inner
def mean(values, otherwise):
    """Mean of what is observed, `otherwise` where nothing is."""
    n, total = 0, 0.0
    for k in range(values.shape[0]):
        if not np.isnan(values[k]):
            n, total = n + 1, total + values[k]
    return total / n if n > 0 else otherwise
