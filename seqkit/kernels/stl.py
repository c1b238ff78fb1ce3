"""Seasonal-trend decomposition by loess, on bare arrays."""

from __future__ import annotations

import numpy as np

__all__ = ["stl"]


def stl(
    y: np.ndarray, season: int, *, window: int = 11, iterations: int = 5
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Split y (T,) into trend, season and remainder, shape (T,) each, that add up to it.

    Local lines throughout, not robust: the season is smoothed over `window` seasons, the trend over
    about one and a half. At least two seasons, nothing missing.

    Cleveland, Cleveland, McRae & Terpenning (1990), section 2.

    >>> t = np.arange(24.0)
    >>> trend, season, rest = stl(t + np.tile([1.0, 0.0, -1.0, 0.0], 6), 4)
    >>> season[:4].round(6) + 0.0
    array([ 1.,  0., -1.,  0.])
    """
    from seqkit.kernels._stl_numba import decompose

    y = np.ascontiguousarray(y, dtype=np.float64)
    if season < 2 or len(y) < 2 * season:
        raise ValueError(
            f"needs a season of 2 or more and two seasons of rows, got {season} and {len(y)}"
        )
    trend_window = _odd(int(np.ceil(1.5 * season / (1.0 - 1.5 / window))))
    low_window = _odd(season + 1)
    trend, seasonal = decompose(y, season, window, trend_window, low_window, iterations)
    return trend, seasonal, y - trend - seasonal


def _odd(n: int) -> int:
    return n if n % 2 else n + 1
