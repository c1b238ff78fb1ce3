"""Naive2, the benchmark of the M competitions, as point forecasts of arrays: what OWA divides by."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from seqkit.kernels.seasonality import (
    is_multiplicative,
    is_seasonal,
    remove_season,
    restore_season,
    seasonal_indices,
)

Array = NDArray[np.float64]


def naive2(history: Array, horizon: int, season: int = 1) -> Array:
    """Forecast of one series by the last value of the seasonally adjusted history.

    The season is taken out, and put back, only where it is significant (see `seqkit.Naive2`, which
    gives the same point forecasts with their distribution). ``history`` is (length,), the result
    (horizon,). Missing values are skipped; NaN where the history holds no value.

    Source: Makridakis, Spiliotis, Assimakopoulos (2020), IJF 36(1); the R code of M4.

    >>> naive2(np.array([1.0, 2.0, 3.0]), horizon=2)
    array([3., 3.])
    """
    history = np.asarray(history, dtype=np.float64)
    seen = np.flatnonzero(~np.isnan(history))
    if not len(seen):
        return np.full(horizon, np.nan)
    multiplicative = is_multiplicative(history)
    indices = np.ones(1) if multiplicative else np.zeros(1)
    if is_seasonal(history, season):
        indices = seasonal_indices(history, season, multiplicative=multiplicative)
    level = remove_season(history, indices, multiplicative)[seen[-1]]
    ahead = np.full(horizon, level)
    return restore_season(ahead, indices, multiplicative, start=len(history))
