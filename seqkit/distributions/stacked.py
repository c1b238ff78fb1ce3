"""Several distributions as one array of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .base import Array, Distribution
from .empirical import Empirical
from .joint_normal import JointNormal
from .normal import Normal


class Stacked(Distribution):
    """A leading axis over distributions of one shape whose families may differ."""

    def __init__(self, members: Sequence[Distribution]):
        if len({m.shape for m in members}) != 1:
            raise ValueError(f"members must have one shape, got {[m.shape for m in members]}")
        self.members = tuple(members)
        self.discrete = all(m.discrete for m in members)

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.members), *self.members[0].shape)

    def _each(self, y: Any, method: str) -> Array:
        y = np.asarray(y, float)
        axis = -len(self.shape)
        parts = np.moveaxis(np.broadcast_to(y, np.broadcast_shapes(y.shape, self.shape)), axis, 0)
        each = [getattr(m, method)(part) for m, part in zip(self.members, parts, strict=True)]
        return np.stack(each, axis)

    @property
    def mean(self) -> Array:
        return np.stack([m.mean for m in self.members])

    @property
    def var(self) -> Array:
        return np.stack([m.var for m in self.members])

    def log_prob(self, y: Any) -> Array:
        return self._each(y, "log_prob")

    def joint_log_prob(self, y: Any) -> Array:
        paths = np.broadcast_to(np.asarray(y, float), self.shape)
        return np.stack([m.joint_log_prob(p) for m, p in zip(self.members, paths, strict=True)])

    def cdf(self, y: Any) -> Array:
        return self._each(y, "cdf")

    def crps(self, y: Any) -> Array:
        return self._each(y, "crps")

    def _ppf(self, q: Array) -> Array:
        axis = -len(self.shape)
        if q.ndim == 0 or q.shape[axis] == 1:
            return np.stack(
                [m._ppf(q if q.ndim == 0 else q.squeeze(axis)) for m in self.members], axis
            )
        parts = np.moveaxis(q, axis, 0)
        return np.stack([m._ppf(part) for m, part in zip(self.members, parts, strict=True)], axis)

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        return np.stack([m.sample(n, rng) for m in self.members], axis=1)

    def expect(self, function: Any) -> Array:
        return np.stack([m.expect(function) for m in self.members])

    def linear(self, matrix: Array) -> Distribution:
        matrices = np.broadcast_to(matrix, (len(self.members), *matrix.shape[-2:]))
        return stack([m.linear(part) for m, part in zip(self.members, matrices, strict=True)])  # type: ignore[attr-defined]

    def affine(self, shift: Any, factor: Any) -> Distribution:
        shifts, factors = (
            np.broadcast_to(np.asarray(a, float), self.shape) for a in (shift, factor)
        )
        return stack(
            [m.affine(s, f) for m, s, f in zip(self.members, shifts, factors, strict=True)]
        )

    def through(self, bijection: Any) -> Distribution:
        return stack([m.through(bijection[i]) for i, m in enumerate(self.members)])

    def __getitem__(self, key: Any) -> Distribution:
        first, *rest = key if isinstance(key, tuple) else (key,)
        if isinstance(first, (int, np.integer)):
            return self.members[first][tuple(rest)] if rest else self.members[first]
        chosen = np.arange(len(self.members))[first]
        return stack([self.members[i][tuple(rest)] if rest else self.members[i] for i in chosen])


def stack(members: Sequence[Distribution]) -> Distribution:
    """One distribution with a new leading axis: by arrays where the families agree, member by member otherwise."""
    kinds = {type(m) for m in members}
    if kinds == {JointNormal}:
        factors = [m.factor for m in members]  # type: ignore[attr-defined]
        width = max(f.shape[-1] for f in factors)
        padded = [np.pad(f, [(0, 0)] * (f.ndim - 1) + [(0, width - f.shape[-1])]) for f in factors]
        return JointNormal(np.stack([m.mean for m in members]), np.stack(padded))
    if kinds == {Normal}:
        return Normal(np.stack([m.mean for m in members]), np.stack([m.scale for m in members]))
    if kinds == {Empirical} and len({len(m.samples) for m in members}) == 1:  # type: ignore[attr-defined]
        return Empirical(np.stack([m.samples for m in members], axis=1))  # type: ignore[attr-defined]
    return Stacked(members)
