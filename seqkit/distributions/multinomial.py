"""Counts of several kinds at once."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from .base import Array, Distribution
from .categorical import shares
from .emission import Emission, Rows
from .priors import Dirichlet


class Multinomial(Emission, Distribution):
    """How often each of C kinds occurs in n trials: n! prod over c of probabilities[c]^y[c] / y[c]!, given n.

    n is the sum of a row. Where counts of a row are missing, the law is that of the observed ones given their sum.
    Element-wise answers are those of the binomial marginals, with `total` for n.

    Parameters
    ----------
    probabilities : (K, C), rows sum to one; NaN, or nothing, is to be estimated.
    total : n of the marginals and of draws; a fit takes the rounded mean unless it is given.
    prior : a `Dirichlet`, or its alpha.

    Examples
    --------
    >>> import numpy as np
    >>> from seqkit.distributions import Multinomial
    >>> m = Multinomial([[0.5, 0.5]])
    >>> np.exp(m.log_density(m.make_rows([[1.0, 1.0]])))
    array([[0.5]])
    """

    discrete = True
    _names = {"probabilities": "probabilities"}  # noqa: RUF012
    _support = "counts 0, 1, 2, .."
    total: int | None = None

    def __init__(self, probabilities: Any = np.nan, *, total: int | None = None, prior: Any = None):
        self.probabilities = np.asarray(probabilities, float)
        if total is not None:
            self.total = int(total)
        if prior is not None and not isinstance(prior, Dirichlet):
            prior = Dirichlet(prior)
        self._set_options(prior)
        p = self.probabilities
        if p.ndim and (np.any(p < 0) or np.any(np.abs(p.sum(-1) - 1) > 1e-8)):
            raise ValueError(
                f"probabilities are not negative and sum to one over the last axis (channels); got sums {p.sum(-1)}"
            )

    @property
    def shape(self) -> tuple[int, ...]:
        return self.probabilities.shape

    def _trials(self) -> int:
        if self.total is None:
            raise ValueError(
                "the marginals of a Multinomial need the number of trials: give total=, or fit it"
            )
        return self.total

    @property
    def mean(self) -> Array:
        return self._trials() * self.probabilities

    @property
    def var(self) -> Array:
        return self.mean * (1 - self.probabilities)

    def log_prob(self, y: Any) -> Array:
        from scipy.stats import binom

        y = np.asarray(y, float)
        return np.where(np.isnan(y), np.nan, binom.logpmf(y, self._trials(), self.probabilities))

    def cdf(self, y: Any) -> Array:
        from scipy.stats import binom

        y = np.asarray(y, float)
        return np.where(np.isnan(y), np.nan, binom.cdf(y, self._trials(), self.probabilities))

    def _ppf(self, q: Array) -> Array:
        from scipy.stats import binom

        return np.asarray(binom.ppf(q, self._trials(), self.probabilities), float)

    # -- emitted by hidden states ------------------------------------------------------------------

    @property
    def n_free(self) -> int:
        return int(np.maximum(np.atleast_1d(self.free["probabilities"]).sum(-1) - 1, 0).sum())

    def _outside(self, values: Array) -> Array:
        return (values < 0) | (values != np.floor(values)) & ~np.isnan(values)

    def make_rows(self, values: Any, offsets: Any = None, covariates: Any = None) -> Rows:
        rows = super().make_rows(np.atleast_2d(np.asarray(values)), offsets)
        if rows.index is not None:
            raise ValueError(
                "a Multinomial needs two channels or more; use Poisson for a single count"
            )
        return rows

    def log_density(self, rows: Rows) -> Array:
        from scipy.special import gammaln

        p, x = self.probabilities, rows.values
        if not rows.complete:
            seen = ~np.isnan(x)
            x = np.where(seen, x, 0.0)
        n = x.sum(1)
        constant = gammaln(n + 1) - gammaln(x + 1).sum(1)
        out = x @ np.log(np.where(p > 0, p, 1.0)).T + constant[:, None]
        if not p.all():
            out[x @ (p == 0).T > 0] = -np.inf
        if not rows.complete and not seen.all():
            mass = seen @ p.T
            out -= n[:, None] * np.log(np.where(mass > 0, mass, 1.0))
        return out

    def fit_weighted(self, rows: Rows, weights: Any) -> Self:
        """Weighted shares of the kinds; a missing count is replaced by what is expected beside the observed ones."""
        weights = np.asarray(weights, float)
        x, (states, kinds) = rows.values, (weights.shape[1], rows.values.shape[1])
        now, free = (
            np.broadcast_to(a, (states, kinds))
            for a in (self.probabilities, self.free["probabilities"])
        )
        known = np.where(np.isnan(now).any(1, keepdims=True), 1.0 / kinds, now)
        seen = np.ones(x.shape, bool) if rows.complete else ~np.isnan(x)
        x = np.where(seen, x, 0.0)
        counts = weights.T @ x
        if not seen.all():
            mass = seen @ known.T
            ratio = weights * (x.sum(1)[:, None] / np.where(mass > 0, mass, 1.0))
            counts += known * (ratio.T @ ~seen)
        total = counts.sum(1)
        alive = total > 1e-12 * total.sum()
        counts = np.where(alive[:, None], counts, counts.sum(0))
        if self.prior is not None:
            counts = np.maximum(counts + self.prior.alpha - 1.0, 0.0)
        found = shares(counts, now, free)
        keep = ~alive & ~np.isnan(now).any(1)
        made = self._with(
            {"probabilities": np.where(keep[:, None], now, found)},
            {"probabilities": np.array(free)},
        )
        if self.total is None and seen.any():
            made.total = round(
                float(x.sum(1)[seen.all(1)].mean())
                if seen.all(1).any()
                else float(x.sum() / len(x))
            )
        return made

    def log_prior(self) -> float:
        return 0.0 if self.prior is None else self.prior.log_of(self.probabilities)

    def draw(self, states: Any, rng: np.random.Generator, inputs: Any = None) -> Array:
        p = self.probabilities[np.asarray(states)]
        return rng.multinomial(self._trials(), p / p.sum(1, keepdims=True)).astype(float)
