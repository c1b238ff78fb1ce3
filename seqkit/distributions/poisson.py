"""Counts without memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from .base import Array, Distribution


class Poisson(Distribution):
    """P(Y = k) = rate^k exp(-rate) / k!.

    Examples
    --------
    >>> from seqkit.distributions import Poisson
    >>> float(Poisson(4.0).quantile(0.5))
    4.0
    """

    discrete = True

    def __init__(self, rate: Any):
        self.rate = np.asarray(rate, float)
        if np.any(self.rate < 0):
            raise ValueError(f"rate must not be negative, got {self.rate.min()}")

    @property
    def shape(self) -> tuple[int, ...]:
        return self.rate.shape

    @property
    def mean(self) -> Array:
        return self.rate

    @property
    def var(self) -> Array:
        return self.rate

    def log_prob(self, y: Any) -> Array:
        from scipy.special import gammaln, xlogy

        y = np.asarray(y, float)
        value = xlogy(y, self.rate) - self.rate - gammaln(y + 1)
        return np.where((y < 0) | (y != np.floor(y)) & ~np.isnan(y), -np.inf, value)

    def cdf(self, y: Any) -> Array:
        from scipy.special import pdtr

        y = np.asarray(y, float)
        return np.where(y < 0, 0.0, pdtr(np.where(y < 0, 0.0, y), self.rate))

    def _ppf(self, q: Array) -> Array:
        from scipy.stats import poisson

        return np.asarray(poisson.ppf(q, self.rate), float)

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        return rng.poisson(self.rate, (n, *self.shape)).astype(float)

    def crps(self, y: Any) -> Array:
        """Closed form by Bessel functions (Wei & Held 2014)."""
        from scipy.special import ive
        from scipy.stats import poisson

        y = np.asarray(y, float)
        below = (y - self.rate) * (2 * self.cdf(y) - 1)
        density = 2 * self.rate * poisson.pmf(np.floor(y), self.rate)
        return below + density - self.rate * (ive(0, 2 * self.rate) + ive(1, 2 * self.rate))

    def __getitem__(self, key: Any) -> Poisson:
        return Poisson(self.rate[key])
