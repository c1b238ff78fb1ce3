"""A distribution known by some of its quantiles."""

from __future__ import annotations

from typing import Any

import numpy as np

from .base import Array, Distribution

USUAL = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)


class Quantiles(Distribution):
    """The piecewise linear quantile function through (levels[k], values[k]), with exponential tails.

    Parameters
    ----------
    levels : (K,) increasing, strictly between 0 and 1, K >= 2.
    values : (K, *shape); sorted along the first axis, so crossing quantiles are put in order. Without them the
        quantiles at `levels` are still to be learnt: a family, for the head of a network.

    Outside the outermost levels the tail goes on exponentially with the density it has there.

    Raises
    ------
    ValueError : levels are not increasing or not inside (0, 1), or there is not one row of values for each.

    Examples
    --------
    >>> from seqkit.distributions import Quantiles
    >>> float(Quantiles([0.25, 0.75], [0.0, 2.0]).quantile(0.5))
    1.0
    >>> Quantiles(levels=[0.1, 0.5, 0.9])
    Quantiles(levels=[0.1, 0.5, 0.9])
    """

    def __init__(self, levels: Any = USUAL, values: Any = None):
        self.levels = np.asarray(levels, float)
        if (
            self.levels.ndim != 1
            or len(self.levels) < 2
            or not np.all(np.diff(self.levels) > 0)
            or not 0 < self.levels[0] < self.levels[-1] < 1
        ):
            raise ValueError(f"levels must be two or more, increasing, inside (0, 1); got {levels}")
        if values is None:
            self.values = np.full(len(self.levels), np.nan)
            return
        self.values = np.sort(np.asarray(values, float), axis=0)
        if len(self.values) != len(self.levels):
            raise ValueError(f"{len(self.levels)} levels for {len(self.values)} rows of values")

    def __repr__(self) -> str:
        if self.values.ndim == 1 and np.isnan(self.values).all():
            return f"Quantiles(levels={self.levels.tolist()})"
        return super().__repr__()

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape[1:]

    @property
    def _rates(self) -> tuple[Array, Array]:
        """Mean excess of the lower and of the upper tail, matching the density of the outer segments."""
        slope = np.diff(self.values, axis=0) / np.diff(self.levels).reshape(
            -1, *[1] * len(self.shape)
        )
        return slope[0] * self.levels[0], slope[-1] * (1 - self.levels[-1])

    @property
    def mean(self) -> Array:
        low, high = self._rates
        widths = np.diff(self.levels).reshape(-1, *[1] * len(self.shape))
        inner = (widths * (self.values[1:] + self.values[:-1]) / 2).sum(0)
        below = self.levels[0] * (self.values[0] - low)
        return inner + below + (1 - self.levels[-1]) * (self.values[-1] + high)

    @property
    def var(self) -> Array:
        """The second moments of uniform segments and of exponential tails, about the mean."""
        low, high = self._rates
        values = self.values - self.mean
        start, end = values[:-1], values[1:]
        widths = np.diff(self.levels).reshape(-1, *[1] * len(self.shape))
        inner = (widths * (start**2 + start * end + end**2) / 3).sum(0)
        below = self.levels[0] * (values[0] ** 2 - 2 * values[0] * low + 2 * low**2)
        above = (1 - self.levels[-1]) * (values[-1] ** 2 + 2 * values[-1] * high + 2 * high**2)
        return inner + below + above

    def _ppf(self, q: Array) -> Array:
        q = np.broadcast_to(q, np.broadcast_shapes(q.shape, self.shape))
        low, high = self._rates
        k = np.clip(np.searchsorted(self.levels, q, side="right") - 1, 0, len(self.levels) - 2)
        columns = (
            np.broadcast_arrays(k, *np.ix_(*map(np.arange, self.shape)))[1:] if self.shape else []
        )
        start, end = self.values[(k, *columns)], self.values[(k + 1, *columns)]
        share = (q - self.levels[k]) / (self.levels[k + 1] - self.levels[k])
        inner = start + share * (end - start)
        left = self.values[0] + low * np.log(np.minimum(q / self.levels[0], 1))
        right = self.values[-1] - high * np.log(np.minimum((1 - q) / (1 - self.levels[-1]), 1))
        return np.where(q < self.levels[0], left, np.where(q > self.levels[-1], right, inner))

    def _locate(self, y: Any) -> tuple[Array, Array]:
        """cdf and density at y."""
        y = np.broadcast_to(np.asarray(y, float), np.broadcast_shapes(np.shape(y), self.shape))
        low, high = (np.maximum(rate, 1e-300) for rate in self._rates)
        with np.errstate(over="ignore"):
            left = self.levels[0] * np.exp(np.minimum((y - self.values[0]) / low, 0))
            right = (1 - self.levels[-1]) * np.exp(np.minimum((self.values[-1] - y) / high, 0))
        below, above = y < self.values[0], y > self.values[-1]
        cdf = np.where(below, left, 1 - right)
        density = np.where(below, left / low, right / high)
        for k in range(len(self.levels) - 1):
            start, end = self.values[k], self.values[k + 1]
            inside = (y >= start) & (y <= end) & (end > start)
            slope = (self.levels[k + 1] - self.levels[k]) / np.where(end > start, end - start, 1.0)
            cdf = np.where(inside, self.levels[k] + slope * (y - start), cdf)
            density = np.where(inside, slope, density)
        missing = np.isnan(y)
        return np.where(missing, np.nan, cdf), np.where(
            missing | (above & (right == 0)), np.nan, density
        )

    def cdf(self, y: Any) -> Array:
        return self._locate(y)[0]

    def log_prob(self, y: Any) -> Array:
        with np.errstate(divide="ignore"):
            return np.log(self._locate(y)[1])

    def crps(self, y: Any) -> Array:
        """The exact integral of (F(x) - 1{x >= y})^2: F is linear between the values, exponential beyond them."""
        y = np.asarray(y, float)
        low, high = self._rates
        first, last, p, g = self.values[0], self.values[-1], self.levels[0], 1 - self.levels[-1]
        total = _tail(np.maximum(first - y, 0.0), low, p) + _tail(
            np.maximum(y - last, 0.0), high, g
        )
        total = np.where(np.isnan(y), np.nan, total)
        for k in range(len(self.levels) - 1):
            start, end, below, above = *self.values[k : k + 2], *self.levels[k : k + 2]
            middle = np.clip(y, start, end)
            share = (middle - start) / np.where(end > start, end - start, 1.0)
            reached = below + (above - below) * share
            total += (middle - start) * (below**2 + below * reached + reached**2) / 3
            rest, over = 1 - reached, 1 - above
            total += (end - middle) * (rest**2 + rest * over + over**2) / 3
        return total

    def affine(self, shift: Any, factor: Any) -> Quantiles:
        if np.any(np.asarray(factor) < 0):
            if not np.all(np.asarray(factor) < 0):
                raise ValueError("factor must have one sign")
            return Quantiles(1 - self.levels[::-1], (shift + factor * self.values)[::-1])
        return Quantiles(self.levels, shift + factor * self.values)

    def __getitem__(self, key: Any) -> Quantiles:
        keys = key if isinstance(key, tuple) else (key,)
        return Quantiles(self.levels, self.values[(slice(None), *keys)])


def _tail(distance: Array, rate: Array, mass: Any) -> Array:
    """The integral of G^2 beyond a point `distance` into a tail, and of (1 - G)^2 before it; G = mass e^(-x / rate)."""
    with np.errstate(over="ignore"):
        left = mass * np.exp(-distance / np.maximum(rate, 1e-300))
    before = distance - 2 * rate * (mass - left) + rate / 2 * (mass**2 - left**2)
    return left**2 * rate / 2 + before
