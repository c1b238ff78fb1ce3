"""Laws side by side, along the channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .base import Array, Distribution


class Joined(Distribution):
    """Distributions whose families may differ, one after the other along the last axis.

    Parameters
    ----------
    members : distributions of shapes (.., C_i), equal but for the last axis.
    positions : for each member, which channels of the whole its own are.
    """

    def __init__(self, members: Sequence[Distribution], positions: Sequence[Any]):
        self.members = tuple(members)
        self.positions = tuple(np.asarray(p, np.int64) for p in positions)
        if len({m.shape[:-1] for m in self.members}) != 1:
            raise ValueError(
                f"members must agree but for the last axis, got {[m.shape for m in self.members]}"
            )
        self.discrete = all(m.discrete for m in self.members)

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.members[0].shape[:-1], sum(len(p) for p in self.positions))

    def _gather(self, parts: Sequence[Array]) -> Array:
        lead = np.broadcast_shapes(*(p.shape[:-1] for p in parts))
        out = np.empty((*lead, self.shape[-1]))
        for at, part in zip(self.positions, parts, strict=True):
            out[..., at] = part
        return out

    def _each(self, y: Any, method: str) -> Array:
        y = np.asarray(y, float)
        y = np.broadcast_to(y, np.broadcast_shapes(y.shape, self.shape[-1:]))
        pairs = zip(self.members, self.positions, strict=True)
        return self._gather([getattr(m, method)(y[..., at]) for m, at in pairs])

    @property
    def mean(self) -> Array:
        return self._gather([m.mean for m in self.members])

    @property
    def var(self) -> Array:
        return self._gather([m.var for m in self.members])

    def log_prob(self, y: Any) -> Array:
        return self._each(y, "log_prob")

    def cdf(self, y: Any) -> Array:
        return self._each(y, "cdf")

    def crps(self, y: Any) -> Array:
        return self._each(y, "crps")

    def _ppf(self, q: Array) -> Array:
        if q.ndim == 0 or q.shape[-1] == 1:
            return self._gather(
                [
                    np.broadcast_to(m._ppf(q), (*np.broadcast_shapes(q.shape, m.shape),))
                    for m in self.members
                ]
            )
        pairs = zip(self.members, self.positions, strict=True)
        return self._gather([m._ppf(q[..., at]) for m, at in pairs])

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        return self._gather([m.sample(n, rng) for m in self.members])

    def expect(self, function: Any) -> Array:
        return self._gather([m.expect(function) for m in self.members])

    def __getitem__(self, key: Any) -> Distribution:
        keys = key if isinstance(key, tuple) else (key,)
        if Ellipsis in [k for k in keys if not isinstance(k, np.ndarray)]:
            raise IndexError("index the leading axes of joined distributions, without ...")
        if len(keys) < len(self.shape):
            return Joined([m[key] for m in self.members], self.positions)
        last = np.arange(self.shape[-1])[keys[-1]]
        if last.ndim:
            found = [
                (m, np.flatnonzero(np.isin(at, last)))
                for m, at in zip(self.members, self.positions, strict=True)
            ]
            kept = [
                (m[(*keys[:-1], own)], at[own])
                for (m, own), at in zip(found, self.positions, strict=True)
                if len(own)
            ]
            order = {int(c): i for i, c in enumerate(last)}
            return Joined([m for m, _ in kept], [[order[int(c)] for c in at] for _, at in kept])
        for member, at in zip(self.members, self.positions, strict=True):
            if int(last) in at:
                return member[(*keys[:-1], int(np.argmax(at == last)))]
        raise IndexError(f"channel {int(last)} of {self.shape[-1]}")
