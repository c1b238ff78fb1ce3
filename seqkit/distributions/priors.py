"""Laws of the parameters of emissions, for maximum a posteriori fits."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqkit.persistence import Record

Array = np.ndarray


class Prior(Record):
    """A law of parameters, shown by its own."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{n}={v}' for n, v in vars(self).items())})"


class Beta(Prior):
    """p ~ Beta(a, b): as if a - 1 ones and b - 1 zeros had been seen before the data.

    Parameters
    ----------
    a, b : numbers, or arrays (K,) or (K, C) for states (and channels) that differ.
    """

    def __init__(self, a: Any = 1.0, b: Any = 1.0):
        self.a, self.b = _positive(a, "a"), _positive(b, "b")

    def at(self, key: Any) -> Beta:
        """The prior of the states at `key`."""
        return Beta(*(part[key] if part.ndim else part for part in (self.a, self.b)))

    def column(self, c: int) -> tuple[Array, Array]:
        """Both parameters for channel c, each () or (K,)."""
        return channel(self.a, c), channel(self.b, c)

    def log_of(self, p: Array) -> float:
        """Log density of all of `p`, up to a constant."""
        from scipy.special import xlog1py, xlogy

        a, b = (align(part, p) for part in (self.a, self.b))
        return float(np.sum(xlogy(a - 1, p) + xlog1py(b - 1, -p)))


class Dirichlet(Prior):
    """p ~ Dirichlet(alpha): as if alpha - 1 occurrences of each symbol had been seen before the data.

    Parameters
    ----------
    alpha : a number for all symbols, or (V,), or (K, V).
    """

    def __init__(self, alpha: Any):
        self.alpha = _positive(alpha, "alpha")
        if np.any(self.alpha < 1):
            raise ValueError(
                f"alpha must be at least 1, below which there is no mode; got {self.alpha.min()}"
            )

    def at(self, key: Any) -> Dirichlet:
        """The prior of the states at `key`."""
        return Dirichlet(self.alpha[key]) if self.alpha.ndim == 2 else self

    def log_of(self, p: Array) -> float:
        """Log density of all of `p` (K, V), up to a constant."""
        from scipy.special import xlogy

        return float(np.sum(xlogy(np.broadcast_to(self.alpha, p.shape) - 1, p)))


class NormalInverseWishart(Prior):
    r"""Of a normal law: Sigma ~ IW(scale, dof), mean | Sigma ~ N(mean, Sigma / strength).

    Channels that are independent have one each, by the diagonal of `scale` (a normal-inverse-gamma law); spherical
    states one, by the mean of that diagonal. A common ("tied") covariance has one Sigma and K means.

    Parameters
    ----------
    mean : a number, (C,) or (K, C), in the units of the data.
    strength : how many observations the prior mean is worth; 0 says nothing about the mean.
    scale : a number (times the unit matrix), (C,) its diagonal, or (C, C), in squared units.
    dof : how many observations the prior covariance is worth; -(C + 2) and scale 0 say nothing.

    Source: Gelman et al. (2013), section 3.6.
    """

    def __init__(
        self, mean: Any = 0.0, strength: float = 0.0, scale: Any = 0.0, dof: float | None = None
    ):
        self.mean, self.scale = np.asarray(mean, float), np.asarray(scale, float)
        self.strength, self.dof = float(strength), None if dof is None else float(dof)
        if not self.strength >= 0:
            raise ValueError(
                f"strength counts observations, so it is not negative; got {strength!r}"
            )

    def at(self, key: Any) -> NormalInverseWishart:
        """The prior of the states at `key`."""
        if self.mean.ndim < 2:
            return self
        return NormalInverseWishart(self.mean[key], self.strength, self.scale, self.dof)

    def matrix(self, channels: int) -> Array:
        """The scale as (C, C)."""
        if self.scale.ndim < 2:
            return np.diag(np.broadcast_to(self.scale, (channels,)))
        if self.scale.shape != (channels, channels):
            raise ValueError(
                f"the prior's scale has shape {self.scale.shape}, {channels} channels need ({channels}, {channels})"
            )
        return self.scale

    def degrees(self, size: int) -> float:
        """The degrees of freedom for matrices of that size; size + 2 (a finite mean) unless given."""
        return size + 2.0 if self.dof is None else self.dof


def channel(a: Array, c: int) -> Array:
    """Column c of (K, C); all of () or (K,)."""
    return a[:, c] if a.ndim == 2 else a


def align(a: Array, like: Array) -> Array:
    """A (K,) prior over parameters (K, C)."""
    return a[:, None] if a.ndim == 1 and like.ndim == 2 else a


def _positive(value: Any, name: str) -> Array:
    value = np.asarray(value, float)
    if not np.all(value > 0):
        raise ValueError(f"{name} must be positive, got {value.min()}")
    return value
