"""Angles."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import _ops
from ._newton import maximise
from .base import Array, Distribution
from .emission import Columns, Emission, held

LOG_2PI = float(np.log(2 * np.pi))


class VonMises(Emission, Distribution):
    """Density exp(k cos(y - direction)) / (2 pi I_0(k)), angles in radians, k the concentration.

    The density is periodic. Quantiles, `cdf`, `mean` and `var` are those of the angle written within pi of `direction`.

    Parameters
    ----------
    direction : array, the mean direction, in radians. NaN, or nothing, is to be estimated; for hidden states (K,) or
        (K, C).
    concentration : array, k >= 0; 0 is uniform, 1 / k is about the variance where it is large.

    Examples
    --------
    >>> from seqkit.distributions import VonMises
    >>> float(VonMises(0.0, 4.0).log_prob(2 * 3.141592653589793).round(4))
    -0.2628

    Source: Mardia & Jupp (2000), sections 3.5.4 and 5.3.1.
    """

    arguments = {"direction": "angle", "concentration": "positive"}  # noqa: RUF012
    _names = {"direction": "direction", "concentration": "concentration"}  # noqa: RUF012
    _support = "angles in radians"

    def __init__(self, direction: Any = np.nan, concentration: Any = np.nan):
        self.direction, self.concentration = np.broadcast_arrays(
            np.asarray(direction, float), np.asarray(concentration, float)
        )
        if np.any(self.concentration < 0):
            raise ValueError(f"concentration must not be negative, got {self.concentration.min()}")

    @staticmethod
    def formula(ops: Any, y: Any, direction: Any, concentration: Any) -> Any:
        # cos - 1 by the half angle: the exponent of a narrow law keeps its digits
        half = ops.sin(0.5 * (y - direction))
        return -2 * concentration * half * half - ops.log_i0e(concentration) - LOG_2PI

    @property
    def shape(self) -> tuple[int, ...]:
        return self.direction.shape

    @property
    def mean(self) -> Array:
        return self.direction

    @property
    def var(self) -> Array:
        """pi^2 / 3 + 4 sum over j of (-1)^j I_j(k) / (j^2 I_0(k)), within pi of the direction."""
        from scipy.special import ive

        k = self.concentration[..., None]
        j = np.arange(1, 400)
        series = ((-1.0) ** j / j**2 * ive(j, k)).sum(-1) / ive(0, k[..., 0])
        k = k[..., 0]
        wide = np.maximum(k, 1.0)
        return np.where(k > 1e3, (1 + 0.5 / wide) / wide, np.pi**2 / 3 + 4 * series)

    def log_prob(self, y: Any) -> Array:
        return self.formula(_ops, np.asarray(y, float), self.direction, self.concentration)

    def cdf(self, y: Any) -> Array:
        from scipy.stats import vonmises

        error = np.clip(np.asarray(y, float) - self.direction, -np.pi, np.pi)
        return np.where(
            np.isnan(error), np.nan, vonmises.cdf(error, np.maximum(self.concentration, 1e-12))
        )

    def _ppf(self, q: Array) -> Array:
        """Bisection of the distribution function: SciPy's own inverse solves point by point."""
        shape = np.broadcast_shapes(q.shape, self.shape)
        low, high = (
            self.direction - np.pi + np.zeros(shape),
            self.direction + np.pi + np.zeros(shape),
        )
        for _ in range(52):
            middle = 0.5 * (low + high)
            reached = self.cdf(middle) >= q
            low, high = np.where(reached, low, middle), np.where(reached, middle, high)
        return 0.5 * (low + high)

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        return rng.vonmises(0.0, self.concentration, (n, *self.shape)) + self.direction

    def _estimate(self, x: Array, w: Array, now: Columns, fixed: Columns, c: int) -> Columns:
        """Direction and length of the weighted mean of (cos y, sin y); the concentration has that mean length."""
        total = w.sum(0)
        cos, sin = np.cos(x) @ w / total, np.sin(x) @ w / total
        direction = held(np.arctan2(sin, cos), fixed["direction"])
        length = cos * np.cos(direction) + sin * np.sin(direction)
        gap = (
            np.array([2 * np.sin(0.5 * (x - d)) ** 2 @ w[:, k] for k, d in enumerate(direction)])
            / total
        )
        guess = length * (2 - length**2) / np.maximum(1 - length**2, 1e-8)  # Banerjee et al. (2005)
        start = np.where(np.isnan(now["concentration"]), guess, now["concentration"])
        return {"direction": direction, "concentration": _concentration(gap, start)}


def _concentration(gap: Array, start: Array) -> Array:
    """The k that maximises -k gap - log I_0(k) + k, gap = mean of 1 - cos of the errors."""
    from scipy.special import i0e, i1e

    def curve(theta: Array) -> tuple[Array, Array, Array]:
        k = np.exp(theta)
        ratio = i1e(k) / i0e(k)
        slope = 1 - ratio - gap
        bend = -(1 - ratio / k - ratio**2)
        return -k * gap - np.log(i0e(k)), k * slope, k * slope + k * k * bend

    low, high = np.log(1e-6), np.log(1e8)
    return np.exp(maximise(curve, np.log(np.clip(start, 1e-6, 1e8)), low, high))
