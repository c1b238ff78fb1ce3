"""Sampled paths as a distribution."""

from __future__ import annotations

from typing import Any

import numpy as np

from .base import Array, Distribution


class Empirical(Distribution):
    """The distribution of `samples`, shape (n, *shape), each drawn path having weight 1 / n.

    A finite sample has no density, so `log_prob` uses a Gaussian kernel estimate with Silverman's (1986,
    eq. 3.31) bandwidth; all else is exact for the sample.
    """

    def __init__(self, samples: Any):
        self.samples = np.asarray(samples, float)
        if self.samples.ndim == 0 or not len(self.samples):
            raise ValueError("samples must hold at least one draw along the first axis")

    @property
    def shape(self) -> tuple[int, ...]:
        return self.samples.shape[1:]

    @property
    def mean(self) -> Array:
        return self.samples.mean(0)

    @property
    def var(self) -> Array:
        return self.samples.var(0)

    def _against(self, y: Any) -> tuple[Array, Array]:
        """`y` and the samples, broadcast against each other with the draws in front."""
        y = np.asarray(y, float)
        extra = max(y.ndim - len(self.shape), 0)
        return y, self.samples.reshape(len(self.samples), *[1] * extra, *self.shape)

    def log_prob(self, y: Any) -> Array:
        y, samples = self._against(y)
        n = len(samples)
        quarter, three = np.quantile(self.samples, [0.25, 0.75], axis=0)
        spread = np.minimum(self.scale, np.where(three > quarter, (three - quarter) / 1.34, np.inf))
        floor = 1e-9 * np.maximum(np.abs(self.mean), 1e-100)
        width = np.maximum(0.9 * spread * n**-0.2, floor)
        with np.errstate(over="ignore", invalid="ignore"):
            z = (y - samples) / width
            total = np.logaddexp.reduce(-0.5 * z * z, axis=0)
        return total - np.log(n * width * np.sqrt(2 * np.pi))

    def cdf(self, y: Any) -> Array:
        y, samples = self._against(y)
        return np.where(np.isnan(y), np.nan, (samples <= y).mean(0))

    def _ppf(self, q: Array) -> Array:
        if q.ndim == 0:
            return np.quantile(self.samples, q, axis=0)
        ordered = np.sort(self.samples, axis=0)
        q = np.broadcast_to(q, np.broadcast_shapes(q.shape, self.shape))
        flat_q = q.reshape(-1, *self.shape)
        position = flat_q * (len(ordered) - 1)
        low = np.floor(position).astype(int)
        high = np.minimum(low + 1, len(ordered) - 1)
        lower, upper = np.take_along_axis(ordered, low, 0), np.take_along_axis(ordered, high, 0)
        return (lower + (position - low) * (upper - lower)).reshape(q.shape)

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """`n` whole paths, drawn with replacement (all of them once, in order, when n is their number)."""
        if n == len(self.samples):
            return self.samples
        return self.samples[rng.integers(len(self.samples), size=n)]

    def expect(self, function: Any) -> Array:
        return function(self.samples).mean(0)

    def crps(self, y: Any) -> Array:
        """mean |x_i - y| - mean |x_i - x_j| / 2, by sorting (Gneiting & Raftery 2007, eq. 20)."""
        y, samples = self._against(y)
        n = len(samples)
        rank = (2 * np.arange(1, n + 1) - n - 1) / n**2
        return np.abs(samples - y).mean(0) - np.tensordot(rank, np.sort(self.samples, axis=0), 1)

    def affine(self, shift: Any, factor: Any) -> Empirical:
        return Empirical(shift + factor * self.samples)

    def linear(self, matrix: Array) -> Empirical:
        """The law of M y along time, path by path."""
        return Empirical(matrix @ self.samples)

    def __getitem__(self, key: Any) -> Empirical:
        keys = key if isinstance(key, tuple) else (key,)
        return Empirical(self.samples[(slice(None), *keys)])
