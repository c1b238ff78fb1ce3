"""Yes or no."""

from __future__ import annotations

from typing import Any

import numpy as np

from .base import Array, Distribution
from .emission import Columns, Emission, Rows
from .priors import Beta

LEAST = 1e-12  # of fitted probabilities: a certain event would forbid its contrary for ever


class Bernoulli(Emission, Distribution):
    """P(Y = 1) = probability, P(Y = 0) = 1 - probability, independently channel by channel.

    Parameters
    ----------
    probability : array in [0, 1]. NaN, or nothing, is to be estimated; for hidden states (K,) or (K, C).
    prior : a `Beta` law of the probability, for maximum a posteriori fits.

    Examples
    --------
    >>> from seqkit.distributions import Bernoulli
    >>> float(Bernoulli(0.25).log_prob(1.0).round(4))
    -1.3863
    """

    discrete = True
    arguments = {"probability": "unit"}  # noqa: RUF012
    _names = {"probability": "probability"}  # noqa: RUF012
    _support = "0 or 1"

    def __init__(self, probability: Any = np.nan, *, prior: Beta | None = None):
        self.probability = np.asarray(probability, float)
        if np.any(self.probability < 0) or np.any(self.probability > 1):
            raise ValueError(f"probability must lie in [0, 1], got {probability!r}")
        self._set_options(prior)

    @staticmethod
    def formula(ops: Any, y: Any, probability: Any) -> Any:
        return y * ops.log(probability) + (1.0 - y) * ops.log1p(-probability)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.probability.shape

    @property
    def mean(self) -> Array:
        return self.probability

    @property
    def var(self) -> Array:
        return self.probability * (1 - self.probability)

    def log_prob(self, y: Any) -> Array:
        y = np.asarray(y, float)
        with np.errstate(divide="ignore"):
            one, zero = np.log(self.probability), np.log1p(-self.probability)
        found = np.where(y == 1, one, np.where(y == 0, zero, -np.inf))
        return np.where(np.isnan(y), np.nan, found)

    def cdf(self, y: Any) -> Array:
        y = np.asarray(y, float)
        found = np.where(y < 0, 0.0, np.where(y < 1, 1 - self.probability, 1.0))
        return np.where(np.isnan(y), np.nan, found)

    def _ppf(self, q: Array) -> Array:
        return (q > 1 - self.probability).astype(float)

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        return (rng.uniform(size=(n, *self.shape)) < self.probability).astype(float)

    # -- emitted by hidden states ------------------------------------------------------------------

    def _outside(self, values: Array) -> Array:
        return (values != 0) & (values != 1) & ~np.isnan(values)

    def log_density(self, rows: Rows) -> Array:
        p = self._matrix().probability
        if not (p.all() and (p < 1).all()):
            return super().log_density(rows)
        zero = np.log1p(-p)
        if rows.complete:
            return rows.values @ (np.log(p) - zero).T + zero.sum(1)
        seen = ~np.isnan(rows.values)
        return np.where(seen, rows.values, 0.0) @ (np.log(p) - zero).T + seen @ zero.T

    def _estimate(self, x: Array, w: Array, now: Columns, fixed: Columns, c: int) -> Columns:
        """The weighted share; with a Beta(a, b) prior (sum w x + a - 1) / (sum w + a + b - 2)."""
        ones, count = x @ w, w.sum(0)
        if self.prior is not None:
            a, b = self.prior.column(c)
            ones, count = ones + a - 1, count + a + b - 2
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(count > 0, ones / count, 0.5)
        return {"probability": np.clip(share, LEAST, 1 - LEAST)}

    def log_prior(self) -> float:
        return 0.0 if self.prior is None else self.prior.log_of(self.probability)
