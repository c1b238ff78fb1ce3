"""Counts whose variance exceeds their mean."""

from __future__ import annotations

from typing import Any

import numpy as np

from .base import Array, Distribution


class NegativeBinomial(Distribution):
    """Counts with E[Y] = mean and var[Y] = mean + dispersion * mean^2 (the NB2 form; Cameron & Trivedi 1986).

    Examples
    --------
    >>> from seqkit.distributions import NegativeBinomial
    >>> float(NegativeBinomial(mean=10.0, dispersion=0.5).var)
    60.0
    """

    discrete = True

    def __init__(self, mean: Any, dispersion: Any):
        self._mean, self.dispersion = np.broadcast_arrays(
            np.asarray(mean, float), np.asarray(dispersion, float)
        )
        if np.any(self._mean <= 0) or np.any(self.dispersion <= 0):
            raise ValueError("mean and dispersion must be positive")

    @property
    def _n_p(self) -> tuple[Array, Array]:
        size = 1 / self.dispersion
        return size, size / (size + self._mean)

    @property
    def shape(self) -> tuple[int, ...]:
        return self._mean.shape

    @property
    def mean(self) -> Array:
        return self._mean

    @property
    def var(self) -> Array:
        return self._mean + self.dispersion * self._mean**2

    def log_prob(self, y: Any) -> Array:
        from scipy.stats import nbinom

        y = np.asarray(y, float)
        return np.where(np.isnan(y), np.nan, nbinom.logpmf(y, *self._n_p))

    def cdf(self, y: Any) -> Array:
        from scipy.stats import nbinom

        y = np.asarray(y, float)
        return np.where(np.isnan(y), np.nan, nbinom.cdf(y, *self._n_p))

    def _ppf(self, q: Array) -> Array:
        from scipy.stats import nbinom

        return np.asarray(nbinom.ppf(q, *self._n_p), float)

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        return rng.negative_binomial(*self._n_p, (n, *self.shape)).astype(float)

    def crps(self, y: Any) -> Array:
        """E|Y - y| - E|Y - Y'| / 2, both sums taken over the support up to the 1 - 1e-12 quantile."""
        y = np.asarray(y, float)
        top = int(np.nanmax(np.maximum(self._ppf(np.asarray(1 - 1e-12)), np.nan_to_num(y)))) + 1
        total = np.zeros(np.broadcast_shapes(y.shape, self.shape))
        for k in range(top):  # the integral of (F(x) - 1{y <= x})^2, constant between two counts
            total += (self.cdf(np.float64(k)) - (y <= k)) ** 2
        return np.where(np.isnan(y), np.nan, total)

    def __getitem__(self, key: Any) -> NegativeBinomial:
        return NegativeBinomial(self._mean[key], self.dispersion[key])
