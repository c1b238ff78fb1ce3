"""Waiting times without memory."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from . import _ops
from .base import Array, Distribution
from .emission import Columns, Emission


class Exponential(Emission, Distribution):
    """Density rate exp(-rate y) for y >= 0.

    Parameters
    ----------
    rate : array, per unit of the data; the mean is 1 / rate. NaN, or nothing, is to be estimated; for hidden states
        (K,) or (K, C).
    prior : a `Gamma` law of the rate, for maximum a posteriori fits.

    Examples
    --------
    >>> from seqkit.distributions import Exponential
    >>> float(Exponential(0.5).mean)
    2.0
    """

    arguments = {"mean": "size"}  # noqa: RUF012
    _names = {"rate": "rate"}  # noqa: RUF012
    _support = "numbers from 0 on"

    def __init__(self, rate: Any = np.nan, *, prior: Any = None):
        self.rate = np.asarray(rate, float)
        if np.any(self.rate <= 0):
            raise ValueError(f"rate must be positive, got {self.rate.min()}")
        self._set_options(prior)

    @staticmethod
    def formula(ops: Any, y: Any, mean: Any) -> Any:
        return -ops.log(mean) - y / mean

    @classmethod
    def from_arguments(cls, **arguments: Any) -> Self:
        return cls(1 / arguments["mean"])

    @property
    def shape(self) -> tuple[int, ...]:
        return self.rate.shape

    @property
    def mean(self) -> Array:
        return 1 / self.rate

    @property
    def var(self) -> Array:
        return 1 / self.rate**2

    def log_prob(self, y: Any) -> Array:
        y = np.asarray(y, float)
        return np.where(y < 0, -np.inf, self.formula(_ops, y, self.mean))

    def cdf(self, y: Any) -> Array:
        return -np.expm1(-self.rate * np.maximum(np.asarray(y, float), 0.0))

    def _ppf(self, q: Array) -> Array:
        return -np.log1p(-q) / self.rate

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        return rng.standard_exponential((n, *self.shape)) / self.rate

    def _outside(self, values: Array) -> Array:
        return values < 0

    def _estimate(self, x: Array, w: Array, now: Columns, fixed: Columns, c: int) -> Columns:
        """The inverse of the weighted mean; with a Gamma(a, b) prior (sum w + a - 1) / (sum w x + b)."""
        total, count = x @ w, w.sum(0)
        least = 1e-12 * ((x @ w).sum() / count.sum() or 1.0)  # of a mean
        total = np.maximum(total, least * count)
        if self.prior is not None:
            a, b = self.prior.column(c)
            total, count = total + b, np.maximum(count + a - 1.0, 1e-12 * count)
        return {"rate": count / total}

    def log_prior(self) -> float:
        return 0.0 if self.prior is None else self.prior.log_of(self.rate)
