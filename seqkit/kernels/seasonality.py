"""Is a series seasonal, and what does its season look like?

The two definitions of the M4 competition (Makridakis, Spiliotis & Assimakopoulos 2020): a test on
the autocorrelation at the seasonal lag, and indices from classical decomposition. Shared by
``Naive2`` and ``Theta``.

Rows are counted from 0: index ``j`` of the ``season`` indices belongs to rows ``t`` with
``t % season == j``.
"""

from __future__ import annotations

import numpy as np

__all__ = [
    "is_multiplicative",
    "is_seasonal",
    "remove_season",
    "restore_season",
    "season_of",
    "seasonal_indices",
]

# One-sided 5 % point of the normal distribution, as rounded in the code of the competition.
CRITICAL = 1.645


def is_seasonal(y: np.ndarray, season: int, *, critical: float = CRITICAL) -> bool:
    r"""Say whether the autocorrelation at lag m = ``season`` differs from zero.

    Seasonal when :math:`|r_m| > c \sqrt{(1 + 2\sum_{i<m} r_i^2) / n}`, c = 1.645 (Bartlett's
    variance, a 90 % interval). A season of 1 and fewer than three observed seasons are not
    seasonal; nor is a constant series.

    Parameters
    ----------
    y : array, shape (T,) or (T, 1)
        NaN is missing: the autocorrelations are over the pairs observed, n counts what is observed.
    season : rows per season.

    Makridakis, Spiliotis & Assimakopoulos (2020), code of the M4 benchmarks.

    Example
    -------
    >>> t = np.arange(48)
    >>> is_seasonal(10 + np.sin(2 * np.pi * t / 12), 12), is_seasonal(1.0 + t % 2, 1)
    (True, False)
    """
    y = _flat(y)
    n = int(np.count_nonzero(~np.isnan(y)))
    if season <= 1 or n < 3 * season:
        return False
    r = _autocorrelation(y, season)
    limit = critical * np.sqrt((1.0 + 2.0 * np.sum(r[:-1] ** 2)) / n)
    return bool(abs(r[-1]) > limit)


def is_multiplicative(y: np.ndarray) -> bool:
    """Say whether a season can multiply: every observed value is positive.

    >>> is_multiplicative(np.array([1.0, np.nan, 2.0])), is_multiplicative(np.array([0.0, 1.0]))
    (True, False)
    """
    y = _flat(y)
    return bool(np.all(y[~np.isnan(y)] > 0))


def seasonal_indices(
    y: np.ndarray, season: int, *, multiplicative: bool | None = None
) -> np.ndarray:
    r"""Seasonal indices by classical decomposition.

    The level is a centred moving average over one season (2 x m for an even season); the ratios
    :math:`y_t / \text{level}_t` are averaged season by season and divided by their mean, so the
    indices average one. Additive indices are differences and average zero. Equal to R's
    ``decompose``.

    Parameters
    ----------
    y : array, shape (T,) or (T, 1)
        NaN is missing: the moving average runs over a linear interpolation, the ratios are averaged
        over the rows observed only. A row of the season never observed gets the neutral index.
    season : rows per season.
    multiplicative : None asks ``is_multiplicative``: a series with values at or below zero has no
        meaningful ratios and gets additive indices.

    Returns
    -------
    array, shape (season,): index ``j`` for rows ``t % season == j``.

    Raises
    ------
    ValueError
        with fewer than two seasons of rows.

    Example
    -------
    >>> y = np.tile([1.0, 2.0, 3.0, 2.0], 5)
    >>> seasonal_indices(y, 4)
    array([0.5, 1. , 1.5, 1. ])
    """
    y = _flat(y)
    if season <= 1:
        return np.ones(1) if multiplicative is not False else np.zeros(1)
    if len(y) < 2 * season:
        raise ValueError(
            f"seasonal indices need two seasons ({2 * season} rows), got {len(y)} rows; "
            "pass a longer series or season=1"
        )
    if multiplicative is None:
        multiplicative = is_multiplicative(y)
    level = _centred_average(_interpolate(y), season)
    detrended = y / level if multiplicative else y - level
    neutral = 1.0 if multiplicative else 0.0
    indices = np.full(season, neutral)
    for j in range(season):
        seen = detrended[j::season]
        seen = seen[np.isfinite(seen)]
        if len(seen):
            indices[j] = seen.mean()
    return indices / indices.mean() if multiplicative else indices - indices.mean()


def remove_season(
    y: np.ndarray, indices: np.ndarray, multiplicative: bool, *, start: int = 0
) -> np.ndarray:
    """Take the season out of rows ``start, start + 1, ...``; shape (T,) or (T, 1), kept.

    >>> remove_season(np.array([2.0, 3.0]), np.array([0.5, 1.5]), True, start=1)
    array([1.33333333, 6.        ])
    """
    factor = season_of(indices, len(y), start=start).reshape((-1,) + (1,) * (y.ndim - 1))
    return y / factor if multiplicative else y - factor


def restore_season(
    y: np.ndarray, indices: np.ndarray, multiplicative: bool, *, start: int = 0
) -> np.ndarray:
    """Put the season back: the inverse of ``remove_season``."""
    factor = season_of(indices, len(y), start=start).reshape((-1,) + (1,) * (y.ndim - 1))
    return y * factor if multiplicative else y + factor


def season_of(indices: np.ndarray, length: int, *, start: int = 0) -> np.ndarray:
    """Return the indices of rows ``start, ..., start + length - 1``, shape (length,).

    >>> season_of(np.array([0.5, 1.5]), 3, start=1)
    array([1.5, 0.5, 1.5])
    """
    return indices[(start + np.arange(length)) % len(indices)]


def _flat(y: np.ndarray) -> np.ndarray:
    return np.asarray(y, dtype=np.float64).reshape(-1)


def _autocorrelation(y: np.ndarray, lags: int) -> np.ndarray:
    """r_1 ... r_lags over the observed pairs; zeros for a constant series."""
    centred = y - np.nanmean(y)
    seen = ~np.isnan(centred)
    centred = np.where(seen, centred, 0.0)
    r = np.zeros(lags)
    variance = centred @ centred / np.count_nonzero(seen)
    if variance <= (1e-12 * max(1.0, float(np.nanmax(np.abs(y))))) ** 2:
        return r
    for k in range(1, lags + 1):
        pairs = np.count_nonzero(seen[k:] & seen[:-k])
        # pairs + k is n in a complete series: the usual divisor, so |r_k| <= 1.
        r[k - 1] = centred[k:] @ centred[:-k] / (pairs + k) / variance
    return r


def _interpolate(y: np.ndarray) -> np.ndarray:
    """Fill gaps linearly; the first and last values observed are carried outwards."""
    seen = ~np.isnan(y)
    if seen.all() or not seen.any():
        return y
    t = np.arange(len(y))
    return np.interp(t, t[seen], y[seen])


def _centred_average(y: np.ndarray, season: int) -> np.ndarray:
    """Moving average over one season, NaN in the half season at either end."""
    weights = np.full(season + (season % 2 == 0), 1.0 / season)
    if season % 2 == 0:
        weights[[0, -1]] *= 0.5
    half = len(weights) // 2
    level = np.full(len(y), np.nan)
    level[half : len(y) - half] = np.convolve(y, weights, mode="valid")
    return level
