"""Two exponentials back to back: the law under which the least absolute error is the likeliest."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import _ops
from .base import Array, Distribution
from .emission import Columns, Emission, held


class Laplace(Emission, Distribution):
    """Density exp(-|y - loc| / scale) / (2 scale).

    `scale` is the scale parameter of the family, the mean absolute deviation; the standard deviation is sqrt(2) scale.

    Parameters
    ----------
    loc : array, mean and median, in the units of the data. NaN, or nothing, is to be estimated; for hidden states (K,)
        or (K, C).
    scale : array, positive, in the units of the data.
    floor : the least variance of a fit, as a share of the channel's variance over all rows.

    Raises
    ------
    ValueError : a scale is not positive.

    Examples
    --------
    >>> from seqkit.distributions import Laplace
    >>> float(Laplace(loc=1.0, scale=2.0).quantile(0.75).round(4))
    2.3863

    Source: Laplace (1774); the score by Jordan, Krueger & Lerch (2019), appendix A.1.
    """

    arguments = {"loc": "location", "scale": "scale"}  # noqa: RUF012
    _names = {"loc": "loc", "spread": "spread"}  # noqa: RUF012

    def __init__(self, loc: Any = np.nan, scale: Any = np.nan, *, floor: float | None = None):
        self._set_options(None, floor)
        self.loc, self.spread = np.broadcast_arrays(
            np.asarray(loc, float), np.asarray(scale, float)
        )
        if np.any(self.spread <= 0):
            raise ValueError(f"scale must be positive, got {self.spread.min()}")

    @staticmethod
    def formula(ops: Any, y: Any, loc: Any, scale: Any) -> Any:
        return -ops.abs(y - loc) / scale - ops.log(2 * scale)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.loc.shape

    @property
    def mean(self) -> Array:
        return self.loc

    @property
    def var(self) -> Array:
        return 2 * self.spread**2

    def _z(self, y: Any) -> Array:
        return (np.asarray(y, float) - self.loc) / self.spread

    def log_prob(self, y: Any) -> Array:
        return self.formula(_ops, np.asarray(y, float), self.loc, self.spread)

    def cdf(self, y: Any) -> Array:
        z = self._z(y)
        tail = 0.5 * np.exp(-np.abs(z))
        return np.where(z < 0, tail, 1 - tail)

    def _ppf(self, q: Array) -> Array:
        with np.errstate(divide="ignore"):  # the level 0 lies at minus infinity
            return self.loc + self.spread * np.where(
                q < 0.5, np.log(2 * np.minimum(q, 0.5)), -np.log(2 * (1 - np.maximum(q, 0.5)))
            )

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        return rng.laplace(self.loc, self.spread, (n, *self.shape))

    def crps(self, y: Any) -> Array:
        """b (|z| + exp(-|z|) - 3/4), z = (y - loc) / b."""
        z = np.abs(self._z(y))
        return self.spread * (z + np.exp(-z) - 0.75)

    def affine(self, shift: Any, factor: Any) -> Laplace:
        return Laplace(shift + factor * self.loc, np.abs(factor) * self.spread)

    # -- emitted by hidden states ------------------------------------------------------------------

    def _estimate(self, x: Array, w: Array, now: Columns, fixed: Columns, c: int) -> Columns:
        """The weighted median, and the weighted mean distance from it."""
        order = np.argsort(x, kind="stable")
        reached = w[order].cumsum(0)
        middle = (reached < 0.5 * reached[-1]).sum(0)
        loc = held(x[order][np.minimum(middle, len(x) - 1)], fixed["loc"])
        spread = np.einsum("rk,rk->k", w, np.abs(x[:, None] - loc)) / w.sum(0)
        size = np.abs(x).max(initial=0.0) or 1.0
        least = np.sqrt(0.5 * np.maximum(self.floor * x.var(), (1e-6 * size) ** 2 * 1e-2))
        least = np.fmin(least, now["spread"])  # no step lowers the likelihood
        return {"loc": loc, "spread": held(np.maximum(spread, least), fixed["spread"])}
