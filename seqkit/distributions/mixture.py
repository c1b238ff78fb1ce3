"""A weighted choice between distributions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .base import Array, Distribution, count_crps


class Mixture(Distribution):
    """Y ~ sum over k of weights[k] * components[k], element by element.

    Parameters
    ----------
    weights : (*shape, K) or (K,), non-negative, summing to one over the last axis.
    components : K distributions of one shape.

    Examples
    --------
    >>> from seqkit.distributions import Mixture, Normal
    >>> float(Mixture([0.5, 0.5], [Normal(-1.0, 1.0), Normal(1.0, 1.0)]).var)
    2.0
    """

    def __init__(self, weights: Any, components: Sequence[Distribution]):
        weights = np.asarray(weights, float)
        if weights.shape[-1] != len(components):
            raise ValueError(f"{weights.shape[-1]} weights for {len(components)} components")
        if len({c.shape for c in components}) > 1:
            raise ValueError(f"components must have one shape, got {[c.shape for c in components]}")
        if np.any(weights < 0) or np.any(
            np.abs(weights.sum(-1) - 1.0) > 1e-8
        ):  # NaN: not known yet
            raise ValueError("weights must be non-negative and sum to one over the last axis")
        self.weights, self.components = weights, tuple(components)
        self.discrete = all(c.discrete for c in components)

    def _mix(self, values: Sequence[Array]) -> Array:
        return sum(self.weights[..., k] * value for k, value in enumerate(values))  # type: ignore[return-value]

    @property
    def shape(self) -> tuple[int, ...]:
        return np.broadcast_shapes(self.weights.shape[:-1], *(c.shape for c in self.components))

    @property
    def mean(self) -> Array:
        return self._mix([c.mean for c in self.components])

    @property
    def var(self) -> Array:
        return self._mix([c.var + c.mean**2 for c in self.components]) - self.mean**2

    def log_prob(self, y: Any) -> Array:
        with np.errstate(divide="ignore"):
            terms = [
                np.log(self.weights[..., k]) + c.log_prob(y) for k, c in enumerate(self.components)
            ]
        with np.errstate(invalid="ignore"):
            return np.logaddexp.reduce(terms, axis=0)

    def cdf(self, y: Any) -> Array:
        return self._mix([c.cdf(y) for c in self.components])

    def _ppf(self, q: Array) -> Array:
        """Bisection between the smallest and the largest of the components' quantiles."""
        ends = np.stack(
            [
                np.broadcast_to(c._ppf(q), np.broadcast_shapes(q.shape, self.shape))
                for c in self.components
            ]
        )
        low, high = ends.min(0), ends.max(0)
        if self.discrete:
            low = low - 1
            while np.any(high - low > 1):
                middle = np.floor((low + high) / 2)
                reached = self.cdf(middle) >= q
                low, high = np.where(reached, low, middle), np.where(reached, middle, high)
            return high
        for _ in range(100):
            middle = (low + high) / 2
            reached = self.cdf(middle) >= q
            low, high = np.where(reached, low, middle), np.where(reached, middle, high)
            if np.all(high - low <= 4e-16 * np.maximum(np.abs(low), np.abs(high))):
                break
        return (low + high) / 2

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        edges = np.broadcast_to(self.weights, (*self.shape, len(self.components))).cumsum(-1)
        choice = (rng.uniform(size=(n, *self.shape, 1)) > edges[..., :-1]).sum(-1)
        draws = np.stack([c.sample(n, rng) for c in self.components], axis=-1)
        return np.take_along_axis(draws, choice[..., None], axis=-1)[..., 0]

    def expect(self, function: Any) -> Array:
        return self._mix([c.expect(function) for c in self.components])

    def crps(self, y: Any) -> Array:
        """The integral of (F(x) - 1{x >= y})^2, piece by piece between `y` and the components' quantiles."""
        y = np.asarray(y, float)
        if self.discrete:
            return count_crps(self, y)
        shape = np.broadcast_shapes(y.shape, self.shape)
        levels = [q for low in (1e-12, 1e-8, 1e-5, 1e-3, 0.02, 0.15, 0.35) for q in (low, 1 - low)]
        ends = [y, *(c.quantile(q) for c in self.components for q in levels)]
        edges = np.sort([np.broadcast_to(end, shape) for end in ends], axis=0)
        nodes, weights = np.polynomial.legendre.leggauss(16)
        total = np.zeros(shape)
        for start, width in zip(edges[:-1], np.diff(edges, axis=0), strict=True):
            x = start + width * (nodes.reshape(-1, *[1] * len(shape)) + 1) / 2
            total += width / 2 * np.tensordot(weights, (self.cdf(x) - (x >= y)) ** 2, 1)
        return total

    def affine(self, shift: Any, factor: Any) -> Distribution:
        if self.discrete:
            return super().affine(shift, factor)
        return Mixture(self.weights, [c.affine(shift, factor) for c in self.components])

    def __getitem__(self, key: Any) -> Mixture:
        weights = np.broadcast_to(self.weights, (*self.shape, len(self.components)))
        return Mixture(weights[key], [c[key] for c in self.components])
