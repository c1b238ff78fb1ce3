"""A distribution seen through an increasing change of units, Jacobian included."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from seqkit.persistence import Record

from .base import Array, Distribution


class Bijection(Protocol):
    """z = forward(y) is what the model saw, y = inverse(z) is what the caller has."""

    def forward(self, y: Array) -> Array: ...
    def inverse(self, z: Array) -> Array: ...
    def log_slope(self, y: Array) -> Array:
        """log |dz / dy| at y."""
        ...

    def __getitem__(self, key: Any) -> Bijection: ...


class Affine(Record):
    """y = shift + factor * z."""

    def __init__(self, shift: Array, factor: Array):
        self.shift, self.factor = np.broadcast_arrays(shift, factor)

    def forward(self, y: Array) -> Array:
        return (y - self.shift) / self.factor

    def inverse(self, z: Array) -> Array:
        return self.shift + self.factor * z

    def log_slope(self, y: Array) -> Array:
        return -np.log(np.abs(self.factor)) + np.zeros_like(y)

    def __getitem__(self, key: Any) -> Affine:
        return self if self.factor.ndim == 0 else Affine(self.shift[key], self.factor[key])


class Exp(Record):
    """y = exp(z)."""

    def forward(self, y: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log(y)

    def inverse(self, z: Array) -> Array:
        return np.exp(z)

    def log_slope(self, y: Array) -> Array:
        return -self.forward(y)

    def __getitem__(self, key: Any) -> Exp:
        return self


class Power(Record):
    """y = (power * z + 1)^(1 / power), and exp(z) where power is 0: the inverse of Box & Cox (1964).

    Values of z below -1 / power have no pre-image; they are put at the lower end, y = 0.
    """

    def __init__(self, power: Array):
        self.power = np.asarray(power, float)

    def forward(self, y: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            log_y = np.log(y)
            safe = np.where(self.power == 0, 1.0, self.power)
            return np.where(self.power == 0, log_y, np.expm1(safe * log_y) / safe)

    def inverse(self, z: Array) -> Array:
        safe = np.where(self.power == 0, 1.0, self.power)
        with np.errstate(divide="ignore", over="ignore"):
            powered = np.exp(np.log(np.maximum(safe * z + 1, 0.0)) / safe)
            return np.where(self.power == 0, np.exp(z), powered)

    def log_slope(self, y: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            return (self.power - 1) * np.log(y)

    def __getitem__(self, key: Any) -> Power:
        return self if self.power.ndim == 0 else Power(self.power[key])


class Transformed(Distribution):
    """Y = bijection.inverse(Z), Z ~ base: quantiles map through, densities gain the Jacobian.

    log p(y) = log p_base(forward(y)) + log |d forward / d y|  (none for counts, whose masses only move).
    """

    def __init__(self, base: Distribution, bijection: Bijection):
        self.base, self.bijection = base, bijection
        self.discrete = base.discrete

    @property
    def _falls(self) -> Array | bool:
        return self.bijection.factor < 0 if isinstance(self.bijection, Affine) else False

    @property
    def shape(self) -> tuple[int, ...]:
        return self.base.shape

    @property
    def mean(self) -> Array:
        if isinstance(self.bijection, Affine):
            return self.bijection.inverse(self.base.mean)
        return self.base.expect(self.bijection.inverse)

    @property
    def var(self) -> Array:
        if isinstance(self.bijection, Affine):
            return self.bijection.factor**2 * self.base.var
        mean = self.mean
        return self.base.expect(lambda z: (self.bijection.inverse(z) - mean) ** 2)

    def _inside(self, y: Array) -> Array:
        """`y` in the base's units; for counts, what rounding has moved off a whole number is put back on it."""
        inside = self.bijection.forward(y)
        if not self.discrete:
            return inside
        whole = np.rint(inside)
        return np.where(
            np.abs(inside - whole) <= 1e-9 * np.maximum(1.0, np.abs(whole)), whole, inside
        )

    def log_prob(self, y: Any) -> Array:
        y = np.asarray(y, float)
        inside = np.nan_to_num(self._inside(y), nan=np.nan, neginf=np.nan, posinf=np.nan)
        value = self.base.log_prob(inside) + (0.0 if self.discrete else self.bijection.log_slope(y))
        return np.where(np.isnan(inside) & ~np.isnan(y), -np.inf, value)

    def joint_log_prob(self, y: Any) -> Array:
        """Log density of whole paths: the base's, and the log slope at every observed element."""
        y = np.broadcast_to(np.asarray(y, float), self.shape)
        inside = np.nan_to_num(self._inside(y), nan=np.nan, neginf=np.nan, posinf=np.nan)
        value = self.base.joint_log_prob(inside)
        slopes = np.where(np.isnan(inside), 0.0, self.bijection.log_slope(y)).sum((-2, -1))
        impossible = (np.isnan(inside) & ~np.isnan(y)).any((-2, -1))
        return np.where(impossible, -np.inf, value + slopes)

    def cdf(self, y: Any) -> Array:
        y = np.asarray(y, float)
        inside = self._inside(y)
        value = self.base.cdf(inside)
        if np.any(self._falls):  # P(Z >= z), to which a count at z itself belongs
            at = np.exp(self.base.log_prob(inside)) if self.discrete else 0.0
            value = np.where(self._falls, 1 - value + at, value)
        return np.where(np.isnan(inside) & ~np.isnan(y), 0.0, value)

    def crps(self, y: Any) -> Array:
        if isinstance(self.bijection, Affine):  # the score scales with the units
            y = self._inside(np.asarray(y, float))
            return np.abs(self.bijection.factor) * self.base.crps(y)
        return super().crps(y)

    def _ppf(self, q: Array) -> Array:
        if np.any(self._falls):
            q = np.where(self._falls, 1 - q, q)
        return self.bijection.inverse(self.base._ppf(q))

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        return self.bijection.inverse(self.base.sample(n, rng))

    def expect(self, function: Any) -> Array:
        return self.base.expect(lambda z: function(self.bijection.inverse(z)))

    def __getitem__(self, key: Any) -> Transformed:
        return Transformed(self.base[key], self.bijection[key])
