"""Counts whose variance exceeds their mean."""

from __future__ import annotations

from typing import Any

import numpy as np

from .base import Array, Distribution, count_crps


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
        """Closed form (Wei & Held 2014), or the sum over the counts where its hypergeometric function overflows."""
        from scipy.special import hyp2f1
        from scipy.stats import nbinom

        y = np.asarray(y, float)
        n, p = self._n_p
        odds = (1 - p) / p**2
        beyond = 2 * nbinom.cdf(np.floor(y) - 1, n + 1, p) - 1
        score = y * (2 * self.cdf(y) - 1) - n * odds * (
            p * beyond + hyp2f1(n + 1, 0.5, 2, -4 * odds)
        )
        lost = ~np.isfinite(score) & ~np.isnan(y)
        return np.where(lost, count_crps(self, y), score) if lost.any() else score

    def __getitem__(self, key: Any) -> NegativeBinomial:
        return NegativeBinomial(self._mean[key], self.dispersion[key])
