"""Positive numbers by shape and rate."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from . import _ops
from ._newton import log_gamma_constant, maximise
from .base import Array, Distribution
from .emission import Columns, Emission, held
from .priors import align, channel


class Gamma(Emission, Distribution):
    """Density b^a y^(a - 1) exp(-b y) / Gamma(a) for y > 0.

    Parameters
    ----------
    concentration : array, a > 0, without unit ("shape" is what NumPy calls the dimensions of an array).
    rate : array, b > 0, per unit of the data; mean a / b, variance a / b^2. NaN, or nothing, is to be estimated; for
        hidden states (K,) or (K, C).
    floor : the least variance of a fit, as a share of the channel's variance over all rows.

    Examples
    --------
    >>> from seqkit.distributions import Gamma
    >>> float(Gamma(3.0, 0.5).mean)
    6.0
    """

    arguments = {"concentration": "positive", "mean": "size"}  # noqa: RUF012
    _names = {"concentration": "concentration", "rate": "rate"}  # noqa: RUF012
    _support = "positive numbers"

    def __init__(
        self, concentration: Any = np.nan, rate: Any = np.nan, *, floor: float | None = None
    ):
        self.concentration, self.rate = np.broadcast_arrays(
            np.asarray(concentration, float), np.asarray(rate, float)
        )
        if np.any(self.concentration <= 0) or np.any(self.rate <= 0):
            raise ValueError("concentration and rate must be positive")
        self._set_options(None, floor)

    @staticmethod
    def formula(ops: Any, y: Any, concentration: Any, mean: Any) -> Any:
        """a (log r - r + 1) + a log a - a - log Gamma(a) - log y, r = y / mean: no large terms to cancel."""
        r = y / mean
        constant = log_gamma_constant(concentration, ops)
        return concentration * (ops.log(r) - r + 1.0) + constant - ops.log(y)

    @classmethod
    def from_arguments(cls, **arguments: Any) -> Self:
        return cls(arguments["concentration"], arguments["concentration"] / arguments["mean"])

    @property
    def shape(self) -> tuple[int, ...]:
        return self.rate.shape

    @property
    def mean(self) -> Array:
        return self.concentration / self.rate

    @property
    def var(self) -> Array:
        return self.concentration / self.rate**2

    def log_prob(self, y: Any) -> Array:
        y = np.asarray(y, float)
        safe = np.where(y > 0, y, 1.0)
        value = self.formula(_ops, safe, self.concentration, self.mean)
        with np.errstate(divide="ignore", invalid="ignore"):
            end = np.where(
                self.concentration == 1,
                np.log(self.rate),
                np.where(self.concentration < 1, np.inf, -np.inf),
            )
        value = np.where(y == 0, end, np.where(y < 0, -np.inf, value))
        return np.where(np.isnan(y), np.nan, value)

    def cdf(self, y: Any) -> Array:
        from scipy.special import gammainc

        return gammainc(self.concentration, self.rate * np.maximum(np.asarray(y, float), 0.0))

    def _ppf(self, q: Array) -> Array:
        from scipy.special import gammaincinv

        return gammaincinv(self.concentration, q) / self.rate

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        return rng.standard_gamma(self.concentration, (n, *self.shape)) / self.rate

    # -- as a prior of rates ---------------------------------------------------------------------

    def at(self, key: Any) -> Gamma:
        """The prior of the states at `key`."""
        return self[key] if self.rate.ndim else self

    def column(self, c: int) -> tuple[Array, Array]:
        """Concentration and rate for channel c."""
        return channel(self.concentration, c), channel(self.rate, c)

    def log_of(self, value: Array) -> float:
        """Log density of all of `value`, up to a constant."""
        a, b = align(self.concentration, value), align(self.rate, value)
        return float(np.sum((a - 1) * np.log(value) - b * value))

    # -- emitted by hidden states ------------------------------------------------------------------

    def _outside(self, values: Array) -> Array:
        return values <= 0

    def _estimate(self, x: Array, w: Array, now: Columns, fixed: Columns, c: int) -> Columns:
        """With both free the mean is the weighted mean; the concentration maximises what is left."""
        total = w.sum(0)
        mean = x @ w / total
        if not (np.isnan(fixed["concentration"]) & np.isnan(fixed["rate"])).all():
            return self._partly(x, w, now, fixed)
        overall = x @ w.sum(1) / total.sum()
        var = np.maximum((x - overall) ** 2 @ w.sum(1) / total.sum(), 0.0)
        least = max(self.floor, 1e-14) * var
        most = np.minimum(mean**2 / np.maximum(least, 1e-300), 1e8)
        most = np.maximum(most, np.nan_to_num(now["concentration"]))
        # mean of log r - r + 1 at r = x / mean: how far the law is from a point
        gap = np.array([(np.log(x / m) - x / m + 1) @ w[:, k] for k, m in enumerate(mean)]) / total
        guess = 0.5 / np.maximum(-gap, 1e-8)
        start = np.where(np.isnan(now["concentration"]), guess, now["concentration"])
        a = _concentration(gap, np.minimum(start, most), most)
        return {"concentration": a, "rate": a / mean}

    def _partly(self, x: Array, w: Array, now: Columns, fixed: Columns) -> Columns:
        """One parameter after the other, those that are fixed left where they are."""
        total, sums = w.sum(0), x @ w
        a = held(
            np.where(np.isnan(now["concentration"]), 1.0, now["concentration"]),
            fixed["concentration"],
        )
        b = held(a * total / sums, fixed["rate"])
        logs = np.log(x) @ w / total
        found = _given_rate(logs + np.log(b), a)
        a = held(found, fixed["concentration"])
        return {"concentration": a, "rate": held(a * total / sums, fixed["rate"])}


def _concentration(gap: Array, start: Array, most: Array) -> Array:
    """The a that maximises a gap + a log a - a - log Gamma(a)."""
    from scipy.special import polygamma, psi

    def curve(theta: Array) -> tuple[Array, Array, Array]:
        a = np.exp(np.minimum(theta, np.log(most)))
        slope = gap + np.log(a) - psi(a)
        bend = 1 / a - polygamma(1, a)
        inside = theta < np.log(most)
        slope = np.where(inside, slope, 0.0)
        return a * gap + log_gamma_constant(a), a * slope, a * slope + a * a * bend

    found = np.exp(maximise(curve, np.log(start), np.log(1e-6), np.log(1e8)))
    return np.minimum(found, most)


def _given_rate(logs: Array, start: Array) -> Array:
    """The a that maximises a logs - log Gamma(a)."""
    from scipy.special import gammaln, polygamma, psi

    def curve(theta: Array) -> tuple[Array, Array, Array]:
        a = np.exp(theta)
        slope = logs - psi(a)
        return a * logs - gammaln(a), a * slope, a * slope - a * a * polygamma(1, a)

    return np.exp(maximise(curve, np.log(start), np.log(1e-6), np.log(1e8)))
