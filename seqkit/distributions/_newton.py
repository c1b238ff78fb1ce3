"""One-dimensional maxima for many states at once, and special functions that keep their digits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import _ops

Array = np.ndarray
Curve = Callable[[Array], tuple[Array, Array, Array]]  # value, slope and curvature at (K,) points


def maximise(curve: Curve, start: Array, low: float, high: float, calls: int = 40) -> Array:
    """Climb from `start` (K,) in [low, high] by Newton steps that never lower a value.

    Where the curve is not concave the step goes uphill by one; a step that does not climb is halved.
    """
    here = np.clip(start, low, high)
    value, slope, curvature = curve(here)
    step = _step(slope, curvature)
    for _ in range(calls):
        trial = np.clip(here + step, low, high)
        if np.all(np.abs(trial - here) < 1e-9):
            break
        new = curve(trial)
        better = new[0] > value
        here = np.where(better, trial, here)
        value, slope, curvature = (
            np.where(better, a, b) for a, b in zip(new, (value, slope, curvature), strict=True)
        )
        step = np.where(better, _step(slope, curvature), 0.5 * step)
        step = np.where(~better & (np.abs(step) < 1e-7), 0.0, step)
    return here


def _step(slope: Array, curvature: Array) -> Array:
    concave = curvature < 0
    newton = -slope / np.where(concave, curvature, -1.0)
    return np.clip(np.where(concave, newton, np.sign(slope)), -2.0, 2.0)


def log_rising(n: Array, y: Array) -> Array:
    """log Gamma(n + y) - log Gamma(n), by Stirling's series where n is large, so that nothing cancels."""
    from scipy.special import gammaln

    large = n > 50.0
    if not np.any(large):
        return gammaln(n + y) - gammaln(n)
    safe = np.where(large, n, 50.0)
    series = (safe - 0.5) * np.log1p(y / safe) + y * (np.log(safe + y) - 1.0)
    series = series + _stirling(safe + y) - _stirling(safe)
    if np.all(large):
        return series
    small = np.where(large, 1.0, n)
    return np.where(large, series, gammaln(small + y) - gammaln(small))


def _stirling(x: Any) -> Any:
    """log Gamma(x) - ((x - 1/2) log x - x + log(2 pi) / 2), for x >= 10."""
    x2 = 1.0 / (x * x)
    return (1 / 12 - x2 * (1 / 360 - x2 * (1 / 1260 - x2 / 1680))) / x


def log_gamma_constant(a: Any, ops: Any = _ops) -> Any:
    """a log a - a - log Gamma(a), without cancellation for large a; of arrays or tensors."""
    large = a > 50.0
    safe = ops.where(large, a, 50.0)
    series = 0.5 * ops.log(safe / (2 * np.pi)) - _stirling(safe)
    small = ops.where(large, 1.0, a)
    return ops.where(large, series, small * ops.log(small) - small - ops.gammaln(small))


def log_rising_ratio(ops: Any, n: Any, y: Any) -> Any:
    """log Gamma(n + y) - log Gamma(n) - y log n, without cancellation for large n; of arrays or tensors."""
    large = n > 50.0
    safe = ops.where(large, n, 50.0)
    series = (safe + y - 0.5) * ops.log1p(y / safe) - y + _stirling(safe + y) - _stirling(safe)
    small = ops.where(large, 1.0, n)
    plain = ops.gammaln(small + y) - ops.gammaln(small) - y * ops.log(small)
    return ops.where(large, series, plain)
