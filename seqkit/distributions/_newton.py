"""One-dimensional maxima for many states at once, and special functions that keep their digits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

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


def _stirling(x: Array) -> Array:
    """log Gamma(x) - ((x - 1/2) log x - x + log(2 pi) / 2), for x >= 10."""
    x2 = 1.0 / (x * x)
    return (1 / 12 - x2 * (1 / 360 - x2 * (1 / 1260 - x2 / 1680))) / x


def log_gamma_constant(a: Array) -> Array:
    """a log a - a - log Gamma(a), without cancellation for large a."""
    from scipy.special import gammaln

    large = a > 50.0
    safe = np.where(large, a, 50.0)
    series = 0.5 * np.log(safe / (2 * np.pi)) - _stirling(safe)
    small = np.where(large, 1.0, a)
    return np.where(large, series, small * np.log(small) - small - gammaln(small))
