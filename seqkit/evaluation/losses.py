"""Losses of single cells, their averages and the scales they are divided by, on bare arrays."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


# ---------------------------------------------------------------- losses, one per cell
# Each keeps the shape it is given and is NaN exactly where the actual is missing (or, for
# percentages, where the percentage is not defined).


def absolute_error(actual: Array, predicted: Array) -> Array:
    return np.abs(actual - predicted)


def squared_error(actual: Array, predicted: Array) -> Array:
    return np.square(actual - predicted)


def percentage_error(actual: Array, predicted: Array) -> Array:
    """100 |y - f| / |y|; NaN where y = 0, since no percentage of zero exists."""
    size = np.abs(actual)
    return 100.0 * np.abs(actual - predicted) / np.where(size > 0, size, np.nan)


def symmetric_percentage_error(actual: Array, predicted: Array) -> Array:
    """200 |y - f| / (|y| + |f|); zero where both are zero."""
    size = np.abs(actual) + np.abs(predicted)
    return 200.0 * np.abs(actual - predicted) / np.where(size == 0, 1.0, size)


def quantile_loss(actual: Array, predicted: Array, q: float) -> Array:
    error = actual - predicted
    return np.maximum(q * error, (q - 1.0) * error)


def inside(actual: Array, lower: Array, upper: Array) -> Array:
    """1 where the actual lies in the closed interval, 0 where it does not, NaN where missing."""
    hit = ((actual >= lower) & (actual <= upper)).astype(np.float64)
    return np.where(np.isnan(actual), np.nan, hit)


def interval_score(actual: Array, lower: Array, upper: Array, level: float) -> Array:
    alpha = (100.0 - level) / 100.0
    below = np.maximum(lower - actual, 0.0)
    above = np.maximum(actual - upper, 0.0)
    return (upper - lower) + (2.0 / alpha) * (below + above)


# ---------------------------------------------------------------- averages and scales


def average(loss: Array, *, axis: int | tuple[int, ...]) -> Array:
    """Mean of what is not NaN along ``axis``; NaN (without a warning) where nothing is left."""
    present = ~np.isnan(loss)
    count = present.sum(axis=axis)
    total = np.where(present, loss, 0.0).sum(axis=axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def naive_scale(values: Array, offsets: NDArray[np.int64], season: int, *, power: int) -> Array:
    """Mean of |y_t - y_{t-season}|^power within each sequence: ``(sequences, channels)``.

    Pairs with a missing member are left out. A sequence without a pair, or whose mean is zero,
    has no scale: NaN.
    """
    lengths = np.diff(offsets)
    count = np.zeros((len(lengths), values.shape[1]))
    total = np.zeros_like(count)
    if len(values) > season:
        step = np.abs(values[season:] - values[:-season])
        step = step * step if power == 2 else step
        owner = np.repeat(np.arange(len(lengths)), lengths)
        same = owner[season:] == owner[:-season]  # a pair never reaches across two sequences
        for channel in range(values.shape[1]):
            good = same & ~np.isnan(step[:, channel])
            rows = owner[season:][good]
            count[:, channel] = np.bincount(rows, minlength=len(lengths))
            total[:, channel] = np.bincount(rows, step[good, channel], minlength=len(lengths))
    scale = np.divide(total, count, out=np.zeros_like(total), where=count > 0)
    return np.where(scale > 0, scale, np.nan)


def warn_no_scale(metric: str, names: Sequence[str], season: int) -> None:
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    warnings.warn(
        f"{metric} is not defined for series {shown}: the history does not change over "
        f"{season} step(s), or has no two values that far apart. Its value is NaN and is left "
        "out of the averages.",
        RuntimeWarning,
        stacklevel=4,
    )


def overall_weighted_average(smape: Any, mase: Any, base_smape: Any, base_mase: Any) -> Any:
    with np.errstate(divide="ignore", invalid="ignore"):
        value = 0.5 * (np.divide(smape, base_smape) + np.divide(mase, base_mase))
    return float(value) if np.ndim(value) == 0 else value
