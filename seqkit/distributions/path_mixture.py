"""A forecast whose steps are mixtures, the component following a path."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .base import Array, Distribution
from .empirical import Empirical
from .mixture import Mixture


class PathMixture(Mixture):
    """Y_t | s_t = k ~ components[k], s_1 .. s_H a random path: what a hidden Markov model forecasts.

    Every step on its own is a mixture with the exact weights P(s_t = k); samples follow whole paths, so that sums over
    the horizon have the right spread.

    Parameters
    ----------
    weights : (series, horizon, 1, K).
    components : K distributions of shape (series, horizon, channels).
    paths : (draws, series, horizon) components along equally probable paths.
    """

    def __init__(self, weights: Any, components: Sequence[Distribution], paths: Array):
        super().__init__(weights, components)
        self.paths = paths

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        chosen = rng.permutation(len(self.paths))[np.arange(n) % len(self.paths)]
        states = self.paths[chosen]
        drawn = np.empty((n, *self.shape))
        for k, law in enumerate(self.components):
            at = states == k
            if at.any():
                drawn[at] = law.sample(n, rng)[at]
        return drawn

    def sampled(self, n: int = 2000, seed: int = 0) -> Empirical:
        """Paths of values, for what needs steps that are joint and can be summed."""
        return Empirical(self.sample(n, np.random.default_rng(seed)))

    def affine(self, shift: Any, factor: Any) -> Distribution:
        if self.discrete:
            return super().affine(shift, factor)
        return PathMixture(
            self.weights, [c.affine(shift, factor) for c in self.components], self.paths
        )

    def __getitem__(self, key: Any) -> Mixture:
        if isinstance(key, slice) or (isinstance(key, (list, np.ndarray)) and np.ndim(key) == 1):
            parts = [c[key] for c in self.components]
            return PathMixture(self.weights[key], parts, self.paths[:, key])
        return super().__getitem__(key)
