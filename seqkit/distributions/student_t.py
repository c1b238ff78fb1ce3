"""Student's t: a normal whose outliers are expected."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import _ops
from .base import Array, Distribution
from .emission import Columns, Emission, held


class StudentT(Emission, Distribution):
    """Y = loc + scale * T, T ~ t with `df` degrees of freedom.

    `scale` is the scale parameter of the family; the standard deviation is scale * sqrt(df / (df - 2)).
    The variance is infinite for df <= 2, the mean undefined (NaN) for df <= 1.

    Parameters
    ----------
    df, loc, scale : arrays; NaN, or nothing, is to be estimated. For hidden states (K,) or (K, C); one number for `df`
        holds it for all of them.
    floor : the least scale^2 of a fit, as a share of the channel's spread over all rows.

    Examples
    --------
    >>> from seqkit.distributions import StudentT
    >>> float(StudentT(df=4, loc=0, scale=1).quantile(0.975).round(3))
    2.776
    """

    arguments = {"df": "above 2", "loc": "location", "scale": "scale"}  # noqa: RUF012
    _names = {"df": "df", "loc": "loc", "spread": "spread"}  # noqa: RUF012

    def __init__(
        self,
        df: Any = np.nan,
        loc: Any = np.nan,
        scale: Any = np.nan,
        *,
        floor: float | None = None,
    ):
        self._set_options(None, floor)
        self.df, self.loc, self.spread = np.broadcast_arrays(
            *(np.asarray(a, float) for a in (df, loc, scale))
        )
        if np.any(self.df <= 0) or np.any(self.spread <= 0):
            raise ValueError("df and scale must be positive")

    @staticmethod
    def formula(ops: Any, y: Any, df: Any, loc: Any, scale: Any) -> Any:
        z = (y - loc) / scale
        half = 0.5 * (df + 1)
        constant = ops.gammaln(half) - ops.gammaln(0.5 * df) - 0.5 * LOG_PI
        return constant - ops.log(scale) - 0.5 * ops.log(df) - half * ops.log1p(z * z / df)

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
        return self.formula(_ops, np.asarray(y, float), self.df, self.loc, self.spread)

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

    # -- emitted by hidden states ------------------------------------------------------------------

    @property
    def dof(self) -> Array:
        """Degrees of freedom, `df`."""
        return self.df

    def _estimate(self, x: Array, w: Array, now: Columns, fixed: Columns, c: int) -> Columns:
        """One step of ECME (Liu & Rubin 1995; the scale by PX-EM, Liu, Rubin & Wu 1998); several from nothing."""
        mean, var, least = _spread_of(x, w, self.floor)
        unknown = [np.isnan(now[name]).any() for name in ("df", "loc", "spread")]
        start: dict[str, Any] = {
            "df": 8.0,
            "loc": mean,
            "spread": np.sqrt(np.maximum(0.7 * var, least)),
        }
        now = {name: np.where(np.isnan(v), start[name], v) for name, v in now.items()}
        for _ in range(5 if any(unknown) else 1):
            now = _ecme(x, w, now, fixed, least)
        return now


LOG_PI = float(np.log(np.pi))
DF = (0.2, 1e4)  # bounds of the degrees of freedom: beyond them the data say nothing of the tails


def _spread_of(x: Array, w: Array, floor: float) -> tuple[Array, Array, float]:
    """Weighted means and variances of the states, and the least scale^2, which outliers do not raise."""
    total = w.sum(0)
    mean = x @ w / total
    var = np.array([(x - m) ** 2 @ w[:, k] / total[k] for k, m in enumerate(mean)])
    low, high = np.quantile(x, [0.25, 0.75])
    core = ((high - low) / 1.35) ** 2 or x.var()
    least = max(floor, 1e-14) * core or (1e-6 * (abs(x[0]) or 1.0)) ** 2
    return mean, var, least


def _log_t(z2: Array, df: Array, spread: Array) -> Array:
    """Log density by the squared standardised error."""
    from ._newton import log_rising

    half = log_rising(df / 2, np.asarray(0.5))
    return half - 0.5 * np.log(df * np.pi) - np.log(spread) - (df + 1) / 2 * np.log1p(z2 / df)


def _ecme(x: Array, w: Array, now: Columns, fixed: Columns, least: float) -> Columns:
    """Location and scale given the expected precisions, then the degrees of freedom by the likelihood itself."""
    df, loc, spread = now["df"], now["loc"], now["spread"]
    error = x[:, None] - loc
    old = (error / spread) ** 2
    pull = w * ((df + 1) / (df + old))
    total = pull.sum(0)
    shift = held(loc + np.einsum("rk,rk->k", pull, error) / total, fixed["loc"]) - loc
    error -= shift
    var = np.einsum("rk,rk,rk->k", pull, error, error) / total
    bound = np.minimum(least, spread**2)
    new = {
        "loc": loc + shift,
        "spread": held(np.sqrt(np.maximum(var, bound)), fixed["spread"]),
    }
    z2 = (error / new["spread"]) ** 2
    new["df"] = held(_degrees(z2, w, df), fixed["df"]) if np.isnan(fixed["df"]).any() else df
    if np.all(var > bound):
        return new
    before = np.einsum("rk,rk->k", w, _log_t(old, df, spread))  # at the floor nothing is promised
    after = np.einsum("rk,rk->k", w, _log_t(z2, new["df"], new["spread"]))
    return {name: np.where(after >= before, value, now[name]) for name, value in new.items()}


def _degrees(z2: Array, w: Array, df: Array) -> Array:
    """A Newton climb of the weighted likelihood in log df."""
    from scipy.special import polygamma, psi

    from ._newton import maximise

    def curve(theta: Array) -> tuple[Array, Array, Array]:
        v = np.exp(theta)
        total = w.sum(0)
        log_part = np.einsum("rk,rk->k", w, np.log1p(z2 / v))
        share = z2 / (v + z2)
        one = np.einsum("rk,rk->k", w, share)
        two = np.einsum("rk,rk,rk->k", w, share, share)
        value = np.einsum("k,k->k", total, _log_t(np.zeros_like(v), v, np.ones_like(v)))
        value -= (v + 1) / 2 * log_part
        slope = 0.5 * (
            total * (psi((v + 1) / 2) - psi(v / 2) - 1 / v) - log_part + (v + 1) / v * one
        )
        bend = 0.5 * total * (0.5 * (polygamma(1, (v + 1) / 2) - polygamma(1, v / 2)) + 1 / v**2)
        bend += 0.5 * (one / v - one / v**2 - (v + 1) / v * (one - two) / v)
        return value, v * slope, v * slope + v * v * bend

    low, high = np.log(DF)
    return np.exp(maximise(curve, np.log(np.clip(df, *DF)), low, high, calls=2))
