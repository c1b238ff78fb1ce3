"""What every distribution offers, and the general answers for those who have no formula of their own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np

from seqkit.persistence import Record

Array = np.ndarray


class Distribution(Record, ABC):
    """An array of univariate distributions: element (i, j, ...) of every answer belongs to element (i, j, ...).

    A forecast has shape (series, horizon, channels). `discrete` tells whether `log_prob` is the logarithm
    of a probability or of a density (per caller's unit).

    A family that a network can end in has `formula(ops, y, **arguments)`, its log density at `y` inside the support by
    the functions of `ops`: one formula for arrays and tensors. `arguments` names those numbers, each with its role:
    "location" (any number; moves and stretches with the data), "scale" and "size" (positive; stretch with the data; a
    size is the mean of what is never negative), "positive" and "above 2" (without unit), "unit" (in [0, 1]), "angle"
    (in radians).
    """

    discrete: bool = False
    arguments: ClassVar[Mapping[str, str]] = {}
    formula: ClassVar[Callable[..., Any]]

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """The shape of the array of distributions."""

    @property
    @abstractmethod
    def mean(self) -> Array:
        """Expected value, in the units of the data."""

    @property
    @abstractmethod
    def var(self) -> Array:
        """Variance, in squared units of the data."""

    @abstractmethod
    def log_prob(self, y: Any) -> Array:
        """Log density (log probability where discrete) at `y`, in nats; NaN where `y` is NaN."""

    @classmethod
    def from_arguments(cls, **arguments: Any) -> Self:
        """The distribution with these `arguments`."""
        return cls(**arguments)

    def joint_log_prob(self, y: Any) -> Array:
        """Log density of whole paths (horizon, channels), where the family is joint over steps."""
        raise TypeError(
            f"{type(self).__name__} has no density of a whole path, only one for each of its steps (log_prob); models "
            "whose forecasts are jointly normal have one"
        )

    @abstractmethod
    def cdf(self, y: Any) -> Array:
        """P(Y <= y)."""

    @abstractmethod
    def _ppf(self, q: Array) -> Array:
        """Quantiles at `q`, an array that broadcasts against `shape`."""

    @abstractmethod
    def __getitem__(self, key: Any) -> Distribution:
        """The sub-array of distributions at `key`, which indexes the leading axes."""

    @property
    def scale(self) -> Array:
        """Standard deviation."""
        return np.sqrt(self.var)

    @property
    def median(self) -> Array:
        """The 0.5 quantile."""
        return self.quantile(0.5)

    def quantile(self, q: float | Sequence[float] | Array) -> Array:
        """The value that is not exceeded with probability `q`: shape, or (len(q), *shape) for several."""
        try:
            levels = np.asarray(q, dtype=float)
        except (TypeError, ValueError):
            levels = np.full(1, np.nan)
        if levels.ndim > 1 or not levels.size or not np.all((levels > 0) & (levels < 1)):
            raise ValueError(f"q must lie strictly between 0 and 1, got {q!r}")
        if levels.ndim == 0:
            return self._ppf(levels)
        return np.stack([self._ppf(level) for level in levels])

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """`n` independent draws, shape (n, *shape); elements are independent unless the family is joint."""
        return self._ppf(rng.uniform(size=(n, *self.shape)))

    def expect(self, function: Callable[[Array], Array]) -> Array:
        """E[function(Y)]: Gauss-Legendre quadrature over the quantiles, or the sum over the counts."""
        if self.discrete and (counts := _counts(self, 20_000)) is not None:
            return (np.exp(self.log_prob(counts)) * function(counts)).sum(0)
        nodes, weights = _legendre(0.0, 1.0)
        values = function(self._ppf(nodes.reshape(-1, *[1] * len(self.shape))))
        return np.tensordot(weights, values, 1)

    def crps(self, y: Any) -> Array:
        """Continuous ranked probability score at `y`, in the units of the data; smaller is better.

        crps = 2 * integral over q in (0, 1) of pinball_q(y, quantile(q))  (Gneiting & Raftery 2007; Laio &
        Tamea 2007). The integrand has a kink at q = cdf(y), so each side is integrated on its own.
        """
        y = np.asarray(y, dtype=float)
        split = np.clip(self.cdf(y), 1e-12, 1 - 1e-12)
        total = np.zeros(np.broadcast_shapes(y.shape, self.shape))
        nodes, weights = _legendre(0.0, 1.0)
        for node, weight in zip(nodes, weights, strict=True):
            low = split * node
            high = np.minimum(split + (1 - split) * node, 1 - 2.0**-53)  # where 1 would be infinite
            total += weight * split * low * (y - self._ppf(low))
            total += weight * (1 - split) * (1 - high) * (self._ppf(high) - y)
        return 2 * total

    def affine(self, shift: Array | float, factor: Array | float) -> Distribution:
        """The distribution of shift + factor * Y."""
        from .transformed import Affine

        shape = np.broadcast_shapes(self.shape, np.shape(shift), np.shape(factor))
        return self.through(
            Affine(*(np.broadcast_to(np.asarray(a, float), shape) for a in (shift, factor)))
        )

    def through(self, bijection: Any) -> Distribution:
        """The distribution of bijection.inverse(Y)."""
        from .transformed import Transformed

        return Transformed(self, bijection)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(shape={self.shape})"


def _legendre(low: float, high: float, n: int = 96) -> tuple[Array, Array]:
    """Gauss-Legendre nodes and weights, mapped so that both ends are resolved (x = s^2 (3 - 2 s))."""
    nodes, weights = np.polynomial.legendre.leggauss(n)
    s = (nodes + 1) / 2
    return low + (high - low) * s * s * (3 - 2 * s), (high - low) * weights / 2 * 6 * s * (1 - s)


def _counts(counted: Distribution, most: int) -> Array | None:
    """All counts that matter, (n, 1, .., 1) against the shape; None where there are more than `most`."""
    low, high = (counted.quantile(q) for q in (1e-13, 1 - 1e-13))
    first, last = int(np.min(low, initial=0)), int(np.max(high, initial=0))
    if last - first > most:
        return None
    return np.arange(first, last + 1.0).reshape(-1, *[1] * len(counted.shape))


def count_crps(counted: Distribution, y: Array) -> Array:
    """The integral of (F(x) - 1{x >= y})^2 for a law on 0, 1, ..: constant between counts but for a step at y."""
    top = max(np.max(counted.quantile(1 - 1e-12)), np.max(np.nan_to_num(y), initial=0.0)) + 1
    total = np.maximum(-y, 0.0) + np.zeros(counted.shape)
    for start in np.arange(0, top + 1, 1024):
        k = np.arange(start, min(start + 1024, top + 1)).reshape(-1, *[1] * total.ndim)
        below = np.clip(y - k, 0.0, 1.0)  # the part of [k, k + 1) that lies before y
        reached = counted.cdf(k)
        total += (below * reached**2 + (1 - below) * (1 - reached) ** 2).sum(0)
    return total
