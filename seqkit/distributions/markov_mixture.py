"""A forecast whose steps are mixtures, the component moving by a Markov chain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .base import Array, Distribution
from .mixture import Mixture


class MarkovMixture(Mixture):
    """Y_t | s_t = k ~ components[k], s_1 ~ first, s_t | s_{t-1} by `transition`: what a hidden Markov model forecasts.

    Every step on its own is a mixture with weights first A^(t - 1); samples are whole paths.

    Parameters
    ----------
    first : (series, K), the law of the state at the first step.
    transition : (K, K), or (series, horizon, K, K) where layer t leads to step t (the first is not used).
    components : K distributions of shape (channels,), or (series, horizon, channels).
    horizon : number of steps.
    """

    def __init__(self, first: Any, transition: Any, components: Sequence[Distribution], horizon: int):
        first, transition = np.asarray(first, float), np.asarray(transition, float)
        series, K = first.shape
        self.moves = np.broadcast_to(transition, (series, horizon, K, K))
        weights = np.empty((series, horizon, 1, K))
        weights[:, 0, 0] = first
        for t in range(1, horizon):
            weights[:, t, 0] = np.einsum("nk,nkj->nj", weights[:, t - 1, 0], self.moves[:, t])
        weights /= weights.sum(-1, keepdims=True)  # rounding must not grow with the horizon
        super().__init__(weights, components)

    def sample_states(self, n: int, rng: np.random.Generator) -> Array:
        """(n, series, horizon) paths of components."""
        series, horizon, _, K = self.weights.shape
        states = np.empty((n, series, horizon), np.int64)
        uniforms = rng.uniform(size=states.shape)
        law = np.broadcast_to(self.weights[:, 0, 0], (n, series, K))
        for t in range(horizon):
            if t:
                law = self.moves[np.arange(series)[None, :], t, states[:, :, t - 1]]
            edges = law.cumsum(-1)
            found = (uniforms[:, :, t, None] * edges[..., -1:] > edges[..., :-1]).sum(-1)
            states[:, :, t] = found
        return states

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        states = self.sample_states(n, rng)
        drawn = np.empty((n, *self.shape))
        for k, law in enumerate(self.components):
            at = states == k
            if at.any():
                values = np.broadcast_to(law.sample(n * self.shape[0] * self.shape[1], rng) if len(law.shape) == 1
                                         else law.sample(n, rng).reshape(-1, self.shape[-1]),
                                         (n * self.shape[0] * self.shape[1], self.shape[-1]))  # fmt: skip
                drawn[at] = values.reshape(drawn.shape)[at]
        return drawn

    def __getitem__(self, key: Any) -> Mixture:
        return Mixture(self.weights, self.components)[key]

    def affine(self, shift: Any, factor: Any) -> Distribution:
        return Distribution.affine(self, shift, factor)
