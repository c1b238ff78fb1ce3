"""Student's t: a normal whose outliers are expected."""

from __future__ import annotations

from typing import Any

import numpy as np

from .base import Array, Distribution


class StudentT(Distribution):
    """Y = loc + scale * T, T ~ t with `df` degrees of freedom.

    `scale` is the scale parameter of the family; the standard deviation is scale * sqrt(df / (df - 2)).
    The variance is infinite for df <= 2, the mean undefined (NaN) for df <= 1.

    Examples
    --------
    >>> from seqkit.distributions import StudentT
    >>> float(StudentT(df=4, loc=0, scale=1).quantile(0.975).round(3))
    2.776
    """

    def __init__(self, df: Any, loc: Any, scale: Any):
        self.df, self.loc, self.spread = np.broadcast_arrays(
            *(np.asarray(a, float) for a in (df, loc, scale))
        )
        if np.any(self.df <= 0) or np.any(self.spread <= 0):
            raise ValueError("df and scale must be positive")

    @property
    def shape(self) -> tuple[int, ...]:
        return self.loc.shape

    @property
    def mean(self) -> Array:
        return np.where(self.df > 1, self.loc, np.nan)

    @property
    def var(self) -> Array:
        ratio = self.df / np.where(self.df > 2, self.df - 2, 1.0)
        return np.where(self.df > 2, self.spread**2 * ratio, np.inf)

    def _z(self, y: Any) -> Array:
        return (np.asarray(y, float) - self.loc) / self.spread

    def log_prob(self, y: Any) -> Array:
        from scipy.special import gammaln

        constant = gammaln((self.df + 1) / 2) - gammaln(self.df / 2) - 0.5 * np.log(self.df * np.pi)
        return (
            constant - np.log(self.spread) - (self.df + 1) / 2 * np.log1p(self._z(y) ** 2 / self.df)
        )

    def cdf(self, y: Any) -> Array:
        from scipy.special import stdtr

        return stdtr(self.df, self._z(y))

    def _ppf(self, q: Array) -> Array:
        from scipy.special import stdtrit

        return self.loc + self.spread * stdtrit(self.df, q)

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        return self.loc + self.spread * rng.standard_t(self.df, (n, *self.shape))

    def crps(self, y: Any) -> Array:
        """Closed form for df > 1 (Jordan, Krueger & Lerch 2019, appendix A.1); infinite otherwise."""
        from scipy.special import beta, stdtr

        z, df = self._z(y), self.df
        density = (1 + z**2 / df) ** (-(df + 1) / 2) / (np.sqrt(df) * beta(0.5, df / 2))
        proper = np.where(df > 1, df, 2.0)
        tail = (
            2
            * np.sqrt(proper)
            / (proper - 1)
            * beta(0.5, proper - 0.5)
            / beta(0.5, proper / 2) ** 2
        )
        score = z * (2 * stdtr(df, z) - 1) + 2 * density * (df + z**2) / (proper - 1) - tail
        return np.where((df > 1) | np.isnan(z), self.spread * score, np.inf)

    def affine(self, shift: Any, factor: Any) -> StudentT:
        return StudentT(self.df, shift + factor * self.loc, np.abs(factor) * self.spread)

    def __getitem__(self, key: Any) -> StudentT:
        return StudentT(self.df[key], self.loc[key], self.spread[key])
