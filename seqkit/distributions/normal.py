"""The normal distribution, element by element."""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import numpy as np

from .base import Array, Distribution

LOG_2PI = float(np.log(2 * np.pi))


def normal_quantile(q: Array) -> Array:
    """The standard normal quantile; a single level needs no SciPy (Wichura 1988, AS 241)."""
    if q.ndim == 0:
        return np.asarray(NormalDist().inv_cdf(float(q)))
    from scipy.special import ndtri

    return ndtri(q)


def normal_crps(y: Array, mean: Array, scale: Array) -> Array:
    """s (z (2 Phi(z) - 1) + 2 phi(z) - 1 / sqrt(pi)), z = (y - mean) / s (Gneiting & Raftery 2007, eq. 21)."""
    from scipy.special import ndtr

    safe = np.where(scale > 0, scale, 1.0)
    z = (y - mean) / safe
    density = np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi)
    score = scale * (z * (2 * ndtr(z) - 1) + 2 * density - 1 / np.sqrt(np.pi))
    return np.where(scale > 0, score, np.abs(y - mean))


def normal_log_prob(y: Array, mean: Array, scale: Array) -> Array:
    """-log s - (y - mean)^2 / 2 s^2 - log(2 pi) / 2; a scale of zero is a point, whose density is infinite there."""
    with np.errstate(divide="ignore", invalid="ignore"):
        z = (y - mean) / scale
        value = -np.log(scale) - 0.5 * (z * z + LOG_2PI)
    if np.all(scale != 0):
        return value
    point = np.where(y == mean, np.inf, -np.inf)
    return np.where((scale == 0) & ~np.isnan(y - mean), point, value)


class Normal(Distribution):
    """Y ~ N(mean, scale^2), independently element by element.

    Parameters
    ----------
    mean : array, in the units of the data.
    scale : array, the standard deviation, in the units of the data. A scale of zero is a point.

    Examples
    --------
    >>> from seqkit.distributions import Normal
    >>> float(Normal(10.0, 2.0).quantile(0.975).round(2))
    13.92
    """

    def __init__(self, mean: Any, scale: Any):
        self._mean, self._scale = np.broadcast_arrays(
            np.asarray(mean, float), np.asarray(scale, float)
        )
        if np.any(self._scale < 0):
            raise ValueError(f"scale must not be negative, got {self._scale.min()}")

    @property
    def shape(self) -> tuple[int, ...]:
        return self._mean.shape

    @property
    def mean(self) -> Array:
        return self._mean

    @property
    def scale(self) -> Array:
        return self._scale

    @property
    def var(self) -> Array:
        return self._scale**2

    def log_prob(self, y: Any) -> Array:
        return normal_log_prob(np.asarray(y, float), self.mean, self.scale)

    def cdf(self, y: Any) -> Array:
        from scipy.special import ndtr

        error = np.asarray(y, float) - self.mean
        with np.errstate(divide="ignore", invalid="ignore"):
            return ndtr(np.where((self.scale == 0) & (error == 0), np.inf, error / self.scale))

    def crps(self, y: Any) -> Array:
        return normal_crps(np.asarray(y, float), self.mean, self.scale)

    def _ppf(self, q: Array) -> Array:
        return self.mean + self.scale * normal_quantile(q)

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        return self.mean + self.scale * rng.standard_normal((n, *self.shape))

    def expect(self, function: Any) -> Array:
        nodes, weights = np.polynomial.hermite_e.hermegauss(64)
        z = nodes.reshape(-1, *[1] * len(self.shape))
        return np.tensordot(weights / np.sqrt(2 * np.pi), function(self.mean + self.scale * z), 1)

    def affine(self, shift: Any, factor: Any) -> Normal:
        return Normal(shift + factor * self.mean, np.abs(factor) * self.scale)

    def __getitem__(self, key: Any) -> Normal:
        return Normal(self.mean[key], self.scale[key])
