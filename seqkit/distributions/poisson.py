"""Counts without memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import _ops
from .base import Array, Distribution
from .emission import Columns, Emission, Rows


class Poisson(Emission, Distribution):
    """P(Y = k) = rate^k exp(-rate) / k!.

    Parameters
    ----------
    rate : array, mean and variance. NaN, or nothing, is to be estimated; for hidden states (K,) or (K, C).
    prior : a `Gamma` law of the rate, for maximum a posteriori fits.

    Examples
    --------
    >>> from seqkit.distributions import Poisson
    >>> float(Poisson(4.0).quantile(0.5))
    4.0
    """

    discrete = True
    arguments = {"rate": "size"}  # noqa: RUF012
    _names = {"rate": "rate"}  # noqa: RUF012
    _support = "counts 0, 1, 2, .."

    def __init__(self, rate: Any = np.nan, *, prior: Any = None):
        self.rate = np.asarray(rate, float)
        self._set_options(prior)
        if np.any(self.rate < 0):
            raise ValueError(f"rate must not be negative, got {self.rate.min()}")

    @staticmethod
    def formula(ops: Any, y: Any, rate: Any) -> Any:
        return y * ops.log(rate) - rate - ops.gammaln(y + 1.0)

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
        y = np.asarray(y, float)
        outside = (y < 0) | (y != np.floor(y)) & ~np.isnan(y)
        value = self.formula(
            _ops, np.where(outside, 0.0, y), np.where(self.rate > 0, self.rate, 1.0)
        )
        if not np.all(self.rate):
            point = np.where(y == 0, 0.0, np.where(np.isnan(y), np.nan, -np.inf))
            value = np.where(self.rate == 0, point, value)
        return np.where(outside, -np.inf, value)

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

    # -- emitted by hidden states ------------------------------------------------------------------

    def _outside(self, values: Array) -> Array:
        return (values < 0) | (values != np.floor(values)) & ~np.isnan(values)

    def log_density(self, rows: Rows) -> Array:
        rate = self.rate if self.rate.ndim == 2 else self.rate[:, None]
        if not rate.all():
            return super().log_density(rows)
        from scipy.special import gammaln

        x, seen = rows.values, 1.0
        if not rows.complete:
            seen = ~np.isnan(x)
            x = np.where(seen, x, 0.0)
        total = x @ np.log(rate).T
        total -= rate.sum(1) if rows.complete else seen @ rate.T
        total -= gammaln(x + 1.0).sum(1)[:, None]
        return total

    def _estimate(self, x: Array, w: Array, now: Columns, fixed: Columns, c: int) -> Columns:
        """The weighted mean; with a Gamma(a, b) prior (sum w x + a - 1) / (sum w + b)."""
        total, count = x @ w, w.sum(0)
        least = 1e-12 * max(
            total.sum() / count.sum(), 1e-280
        )  # a rate of 0 would forbid all later counts
        if self.prior is not None:
            a, b = self.prior.column(c)
            total, count = total + a - 1.0, count + b
        return {"rate": np.maximum(total / count, least)}

    def log_prior(self) -> float:
        return 0.0 if self.prior is None else self.prior.log_of(self.rate)
