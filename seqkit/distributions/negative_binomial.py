"""Counts whose variance exceeds their mean."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import _ops
from ._newton import log_rising_ratio
from .base import Array, Distribution, count_crps
from .emission import Columns, Emission, Rows, distinct, held


class NegativeBinomial(Emission, Distribution):
    """Counts with E[Y] = mean and var[Y] = mean + dispersion * mean^2 (the NB2 form; Cameron & Trivedi 1986).

    Parameters
    ----------
    mean, dispersion : arrays; NaN, or nothing, is to be estimated. For hidden states (K,) or (K, C).

    Examples
    --------
    >>> from seqkit.distributions import NegativeBinomial
    >>> float(NegativeBinomial(mean=10.0, dispersion=0.5).var)
    60.0
    """

    discrete = True
    arguments = {"mean": "size", "dispersion": "positive"}  # noqa: RUF012
    positive = frozenset({"mean"})
    _names = {"mean": "_mean", "dispersion": "dispersion"}  # noqa: RUF012
    _support = "counts 0, 1, 2, .."

    def __init__(self, mean: Any = np.nan, dispersion: Any = np.nan):
        self._mean, self.dispersion = np.broadcast_arrays(
            np.asarray(mean, float), np.asarray(dispersion, float)
        )
        if np.any(self._mean <= 0) or np.any(self.dispersion <= 0):
            raise ValueError("mean and dispersion must be positive")

    @staticmethod
    def formula(ops: Any, y: Any, mean: Any, dispersion: Any) -> Any:
        """log of Gamma(n + y) / (Gamma(n) n^y y!) mean^y (1 + mean / n)^-(y + n), n = 1 / dispersion."""
        n, odds = 1.0 / dispersion, ops.log1p(dispersion * mean)
        return (
            log_rising_ratio(ops, n, y)
            + y * (ops.log(mean) - odds)
            - n * odds
            - ops.gammaln(y + 1.0)
        )

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
        y = np.asarray(y, float)
        outside = (y < 0) | (y != np.floor(y)) & ~np.isnan(y)
        value = self.formula(_ops, np.where(outside, 0.0, y), self._mean, self.dispersion)
        return np.where(outside, -np.inf, value)

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

    # -- emitted by hidden states ------------------------------------------------------------------

    def _outside(self, values: Array) -> Array:
        return (values < 0) | (values != np.floor(values)) & ~np.isnan(values)

    def log_density(self, rows: Rows) -> Array:
        from scipy.special import gammaln

        law = self._matrix()
        x = rows.values if rows.complete else np.nan_to_num(rows.values)
        total = np.zeros((len(x), law.n_states))
        for c in range(x.shape[1]):
            table, index = distinct(x[:, c])
            part = _log_nb(table[:, None], law.mean[:, c], law.dispersion[:, c])
            part -= gammaln(table + 1)[:, None]
            part = part[index]
            if not rows.complete:
                part[np.isnan(rows.values[:, c])] = 0.0
            total += part
        return total

    def _estimate(self, x: Array, w: Array, now: Columns, fixed: Columns, c: int) -> Columns:
        """The weighted mean, whatever the dispersion; then the dispersion by a Newton climb in its logarithm."""
        x, index = distinct(x)
        w = np.stack([np.bincount(index, each, len(x)) for each in w.T], axis=1)
        total = w.sum(0)
        overall = max((x @ w).sum() / total.sum(), 1e-280)
        mean = held(np.maximum(x @ w / total, 1e-12 * overall), fixed["mean"])
        var = np.array([(x - m) ** 2 @ w[:, k] / total[k] for k, m in enumerate(mean)])
        guess = np.clip((var - mean) / np.maximum(mean, 1e-100) ** 2, 1e-2, 1e2)
        start = np.where(np.isnan(now["dispersion"]), guess, now["dispersion"])
        if not np.isnan(fixed["dispersion"]).any():
            return {"mean": mean, "dispersion": start}
        return {
            "mean": mean,
            "dispersion": held(_dispersion(x, w, mean, start), fixed["dispersion"]),
        }


DISPERSION = (1e-6, 1e4)  # its bounds: below them the law is a Poisson law in all but name


def _log_nb(y: Array, mean: Array, dispersion: Array) -> Array:
    """Log probability of counts y (n, 1) under (K,) laws, but for -log y!."""
    from scipy.special import xlogy

    from ._newton import log_rising

    size = 1 / dispersion
    odds = dispersion * mean
    return log_rising(size, y) + xlogy(y, mean / (size + mean)) - size * np.log1p(odds)


def _dispersion(x: Array, w: Array, mean: Array, start: Array) -> Array:
    """The dispersion that is likeliest given the means, never less likely than `start`."""
    from scipy.special import polygamma, psi

    from ._newton import maximise

    y = x[:, None]

    def curve(
        theta: Array,
    ) -> tuple[Array, Array, Array]:  # theta = log dispersion, size n = exp(-theta)
        n = np.exp(-theta)
        value = np.einsum("rk,rk->k", w, _log_nb(y, mean, 1 / n))
        d = psi(y + n) - psi(n) - np.log1p(mean / n) + (mean - y) / (n + mean)
        dd = polygamma(1, y + n) - polygamma(1, n) + mean / (n * (n + mean))
        dd = dd - (mean - y) / (n + mean) ** 2
        slope, bend = (np.einsum("rk,rk->k", w, a) for a in (d, dd))
        return value, -n * slope, n * slope + n * n * bend

    low, high = np.log(DISPERSION)
    return np.exp(maximise(curve, np.log(np.clip(start, *DISPERSION)), low, high, calls=25))
