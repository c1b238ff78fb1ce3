r"""Level and seasonals of many series by exponential smoothing, with an adjoint for learning by gradients.

With e_t = y_t - sum_k s_{k,t}, s_{k,t} the seasonal of period m_k that row t meets,

    l_t = l_{t-1} + a (e_t - l_{t-1}),    s_{k,t+m_k} = s_{k,t} + g_k (e_t - l_t),

Holt-Winters without trend (Winters 1960; two periods: Taylor 2003). On logarithms it is the multiplicative
form. A missing row changes neither level nor seasonals.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class Rows:
    """Rows of many series, one after the other.

    Attributes
    ----------
    values : (total, C), NaN where missing.
    starts : (n,), where each series begins; it ends where the next one begins.
    begin : (n,), the first row that is smoothed; rows of a series before it are padding.
    end : (n,), the row after its last one.
    periods : (K,), of the seasonals.
    """

    values: Array
    starts: Array
    begin: Array
    end: Array
    periods: Array

    @property
    def place(self) -> Array:
        """(K, n), where seasonals lie: that of row t of series i is place[k, i] + t; m_k more than rows for each."""
        count, total = len(self.starts), len(self.values)
        sizes = total + count * self.periods
        before = np.cumsum(sizes) - sizes
        return before[:, None] + np.arange(count) * self.periods[:, None]


@dataclass(frozen=True)
class Smoothing:
    """Coefficients and starts: alpha (n, C), gamma (n, C, K), level (n, C), season (n, C, sum of the periods)."""

    alpha: Array
    gamma: Array
    level: Array
    season: Array


class Smoothed:
    """Levels after every row, and seasonals as every row met them, of the rows before `until` (n,).

    >>> rows = Rows(np.array([[1.0], [3.0], [np.nan]]), *(np.array([v]) for v in (0, 0, 3)), np.array([], int))
    >>> half = Smoothing(np.full((1, 1), 0.5), np.zeros((1, 1, 0)), np.ones((1, 1)), np.zeros((1, 1, 0)))
    >>> Smoothed(rows, half).level[:, 0].tolist()
    [1.0, 2.0, 2.0]
    """

    def __init__(self, rows: Rows, smoothing: Smoothing, until: Array | None = None):
        from seqkit.kernels._holt_winters_numba import forward

        self.rows, self.smoothing, self.place = rows, smoothing, rows.place
        self.until = rows.end if until is None else until
        y = rows.values
        size = int((len(y) + len(rows.starts) * rows.periods).sum())
        self.level = np.empty_like(y)
        self.season = np.empty((size, y.shape[1]), y.dtype)
        held = smoothing
        forward(y, self.place, rows.begin, self.until, held.alpha, held.gamma, rows.periods, held.level, held.season,
                self.level, self.season)  # fmt: skip

    def windows(
        self, series: Array, origin: Array, lags: int, ahead: int
    ) -> tuple[Array, Array, Array]:
        """For origins (B,), first rows ahead: levels (B, C), sums of seasonals before (B, L, C) and ahead (B, h, C)."""
        from seqkit.kernels._holt_winters_numba import gather

        shape, dtype = (len(series), self.level.shape[1]), self.level.dtype
        level = np.empty(shape, dtype)
        past, future = (np.empty((shape[0], n, shape[1]), dtype) for n in (lags, ahead))
        rows = self.rows
        gather(self.place, rows.begin, rows.periods, series, origin, self.level, self.season,
               level, past, future)  # fmt: skip
        return level, past, future

    def gradient(
        self, series: Array, origin: Array, d_level: Array, d_past: Array, d_ahead: Array
    ) -> Smoothing:
        """dF / d coefficients and starts, from dF / d what `windows` gave for the same origins."""
        from seqkit.kernels._holt_winters_numba import backward, scatter

        rows, held = self.rows, self.smoothing
        into_level, into_season = np.zeros_like(self.level), np.zeros_like(self.season)
        scatter(self.place, rows.begin, rows.periods, series, origin, d_level, d_past, d_ahead,
                into_level, into_season)  # fmt: skip
        found = Smoothing(*(np.zeros_like(a) for a in vars(held).values()))
        backward(rows.values, self.place, rows.begin, self.until, held.alpha, held.gamma, rows.periods, held.level,
                 self.level, self.season, into_level, into_season, found.alpha, found.gamma, found.level,
                 found.season)  # fmt: skip
        return found

    def last(self) -> tuple[Array, Array]:
        """Level (n, C) after the last row, and the seasonals (n, C, sum of periods) of the rows that follow it."""
        end = self.until
        ran = (end > self.rows.begin)[:, None]
        level = np.where(ran, self.level[np.maximum(end - 1, 0)], self.smoothing.level)
        parts: list[Any] = [self.smoothing.season[:, :, :0]]
        for k, period in enumerate(self.rows.periods):
            at = (self.place[k] + end)[:, None] + np.arange(period)
            parts.append(np.swapaxes(self.season[np.minimum(at, len(self.season) - 1)], 1, 2))
        season = np.concatenate(parts, axis=2)
        return level, np.where(ran[:, :, None], season, self.smoothing.season)


def starts(values: Array, begin: Array, count: Array, periods: Array) -> tuple[Array, Array]:
    """Level (n, C) and seasonals (n, C, sum of periods) of the first rows of every series, by means over whole cycles.

    Of every period, shortest first: a straight line through the means of the cycles is taken off, the means by phase
    are the seasonal, and are taken off before the next one. Without a whole cycle the seasonal is 0, as is all where
    nothing is observed. The level is that of the first cycle.

    Parameters
    ----------
    values : (total, C), NaN where missing. begin, count : (n,), rows begin[i] to begin[i] + count[i] - 1 are looked at.

    >>> y = np.array([1.0, 3.0, 2.0, 4.0])[:, None]
    >>> starts(y, np.array([0]), np.array([4]), np.array([2]))
    (array([[2.]]), array([[[-0.75,  0.75]]]))
    """
    from seqkit.kernels._holt_winters_numba import first

    level = np.zeros((len(begin), values.shape[1]), values.dtype)
    season = np.zeros((*level.shape, int(np.sum(periods))), values.dtype)
    first(values, begin, count, periods, level, season)
    return level, season
