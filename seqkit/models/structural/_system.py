"""Blocks put together: one linear system, its parameters, and the free variables that a search moves in."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from seqkit.data.sequences import Array
from seqkit.models.autoregression.exact_ar import from_partial, to_partial

from ._blocks import Block, Parameter, lyapunov

if TYPE_CHECKING:
    from seqkit.kernels.kalman import System

WIDE = 1e6  # variance of a state of which nothing is known, where the data have a spread of one
_TYPICAL = {"variance": 1.0, "damping": 0.7, "period": 7.3, "coefficient": 0.1}


class Assembly:
    """The sum of `blocks` plus an irregular, as a function of one vector of parameter values.

    Attributes
    ----------
    parameters : those of the blocks in order, `observation_var` last.
    states : names of the n states.
    places : where the states of each block are.
    diffuse : (n, n), the diffuse part of the first state's covariance. Coefficients of very large or small covariates
        have it in units of their `sizes` (inputs,), which keeps its digits; blocks that are slow to show have the
        variance `wide` instead, finite but beyond all data.
    unknown : how many states nothing is known of at the start.
    offset : what `sizes` and `wide` add to the log-likelihood of an exact diffuse start.
    variances : (parameters,), which of them are variances.
    """

    def __init__(
        self,
        blocks: Sequence[Block],
        observation_var: float | None,
        sizes: Array | None = None,
        wide: float = WIDE,
    ) -> None:
        self.blocks = list(blocks)
        self.parameters = [p for block in blocks for p in block.parameters]
        self.parameters.append(Parameter("observation_var", given=observation_var))
        self.states = [name for block in blocks for name in block.states]
        self.places = _slices([len(block) for block in blocks])
        self._shares = _slices([len(block.parameters) for block in blocks])
        n, count = len(self.states), len(self.parameters)
        self.diffuse, self._broad, taken = np.zeros((n, n)), np.zeros((n, n)), set[Any]()
        self.unknown, self._rank, self.offset = 0, 0, 0.0
        self._drives = np.zeros((count, n))  # of the variance of a state's noise by a parameter
        for block, place, share in self._pieces():
            part = block.diffuse(taken)
            rank = round(float(np.trace(part)))
            self.unknown += rank
            self._rank += 0 if block.slow else rank
            if block.label == "regression" and sizes is not None:
                part = part / sizes**2
                self.offset += float(np.log(sizes).sum())
            if block.slow:
                self._broad[place, place] = wide * part
                self.offset -= 0.5 * float(np.trace(part)) * float(np.log(wide))
            else:
                self.diffuse[place, place] = part
            taken |= set(block.frequencies)
            for which, states in block.noises:
                self._drives[share.start + which, place][states] = 1.0
        self.variances = np.array([p.kind == "variance" for p in self.parameters])
        typical = np.array([_TYPICAL[p.kind] for p in self.parameters])
        self._rows, self._columns = map(np.ascontiguousarray, np.nonzero(self._transition(typical)))
        self._turns = any(p.kind != "variance" for p in self.parameters)
        self._row_starts = np.searchsorted(self._rows, np.arange(n + 1))
        self._runs = _shifts(self._transition(typical))
        shifted = [np.arange(first, first + length) for first, _, length in self._runs]
        self._sums = np.setdiff1d(np.arange(n), np.concatenate([*shifted, []])).astype(np.int64)

    def _pieces(self) -> list[tuple[Block, slice, slice]]:
        return list(zip(self.blocks, self.places, self._shares, strict=True))

    def observation(self, inputs: Array | None) -> Array:
        """The observation matrix, (1, n), or (T, 1, n) where covariates enter, (T, inputs)."""
        row = np.concatenate([block.observation for block in self.blocks])[None, :]
        if inputs is None:
            return row
        rows = np.repeat(row[None], len(inputs), axis=0)
        for block, place in zip(self.blocks, self.places, strict=True):
            if block.label == "regression":
                rows[:, 0, place] = inputs
        return rows

    def _transition(self, values: Array) -> Array:
        transition = np.zeros((len(self.states),) * 2)
        for block, place, share in self._pieces():
            transition[place, place] = block.transition
            block.turn(values[share], transition[place, place])
        return transition

    def _start(self, transition: Array, noise: Array) -> Array:
        """The covariance of the first state but for its diffuse part."""
        start = self._broad.copy()
        for block, place in zip(self.blocks, self.places, strict=True):
            if block.stationary:
                start[place, place] = lyapunov(transition[place, place], np.diag(noise[place]))
        return start

    def system(self, values: Array, observation: Array) -> System:
        """The linear system at these parameter values."""
        from seqkit.kernels.kalman import System

        transition, noise = self._transition(values), values @ self._drives
        return System(
            transition=transition, observation=observation, process_cov=np.diag(noise),
            observation_cov=np.array([[values[-1]]]), initial_mean=np.zeros(len(noise)),
            initial_cov=self._start(transition, noise), diffuse=self.diffuse,
        )  # fmt: skip

    def differentiate(self, values: Array, free: Array, y: Array, observation: Array) -> Any:
        """Log-likelihood of y (T,), sum of v^2 / F, gradient and information by the parameters `free`.

        Then the rank of what stays diffuse, and mean and covariance of the filtered state of the last row.
        """
        from seqkit.kernels._information_numba import differentiate
        from seqkit.kernels.kalman_system import writable

        transition, noise = self._transition(values), values @ self._drives
        count, n = len(free), len(noise)
        turning, weights = np.zeros(count, dtype=bool), np.zeros((count, len(self._rows)))
        extra = 0  # layers for the diffuse part and, where the transition turns, its derivatives
        if self._rank:
            extra = 1 + (count if self._turns else 0)
        start = np.zeros((n, count + 1 + extra, n))
        start[:, 0] = self._start(transition, noise)
        for block, place, share in self._pieces():
            slopes = block.slopes(values[share]) if share.start < share.stop else {}
            if not slopes and not block.stationary:
                continue
            for k, i in enumerate(free):
                slope = slopes.get(i - share.start) if share.start <= i < share.stop else None
                if slope is not None:
                    whole = np.zeros((n, n))
                    whole[place, place] = slope
                    turning[k], weights[k] = True, whole[self._rows, self._columns]
                if block.stationary and share.start <= i < share.stop:
                    start[place, k + 1, place] = _start_slope(
                        transition[place, place],
                        slope,
                        start[place, 0, place],
                        self._drives[i, place],
                    )
        if extra:
            start[:, count + 1] = self.diffuse
        noises, errors = np.empty((count + 1, n)), np.zeros(count + 1)
        noises[0], noises[1:] = noise, self._drives[free]
        errors[0], errors[1:] = values[-1], free == len(values) - 1
        return differentiate(
            writable(y), observation.reshape(-1, n), self._row_starts, self._columns,
            transition[self._rows, self._columns], weights, turning, self._sums, self._runs, noises, errors,
            start.reshape(n, -1), self._rank,
        )  # fmt: skip


def sizes_of(inputs: Array | None) -> Array | None:
    """Units for covariates (T, inputs) that are far from one in size: powers of two, 1 for all others."""
    if inputs is None:
        return None
    size = np.sqrt(np.mean(np.square(inputs / np.maximum(np.abs(inputs).max(0), 1e-300)), axis=0))
    size = np.exp2(np.round(np.log2(np.maximum(size * np.abs(inputs).max(0), 1e-300))))
    return np.where((size > 2.0**8) | (size < 2.0**-8), size, 1.0)


def _slices(sizes: list[int]) -> list[slice]:
    return [slice(a, b) for a, b in pairwise(np.cumsum([0, *sizes]).tolist())]


def _shifts(transition: Array) -> Array:
    """First row, first column and length of the stretches in which a matrix only shifts, (R, 3)."""
    column = np.where(
        (np.count_nonzero(transition, axis=1) == 1) & (transition.sum(1) == 1.0),
        np.argmax(transition, axis=1), -2,
    )  # fmt: skip
    goes_on = (np.diff(column) == 1) & (column[:-1] >= 0)
    found = [(s.start, column[s.start], s.stop - s.start + 1) for s in _runs(goes_on)]
    long = [run for run in found if run[2] >= 3]
    return np.array(long, dtype=np.int64).reshape(-1, 3)


def _start_slope(transition: Array, slope: Array | None, start: Array, noise: Array) -> Array:
    """dP of P = A P A' + Q: it solves dP = A dP A' + dA P A' + A P dA' + dQ."""
    forcing = np.diag(noise)
    if slope is not None:
        turned = slope @ start @ transition.T
        forcing = forcing + turned + turned.T
    return lyapunov(transition, forcing)


class Space:
    """Free variables x for the parameters to be learnt.

    A variance is itself, not below zero; that of the noise of a stationary process by the variance of the process,
    which stays what it is where the process comes to last for ever. The others take any real x: a damping is the
    logistic function of x between its bounds, a period has a frequency that is one between its bounds, and
    coefficients have partial autocorrelations tanh(x), so that they are stationary (Monahan 1984).
    """

    def __init__(self, parameters: Sequence[Parameter]) -> None:
        self.free = np.array([i for i, p in enumerate(parameters) if p.given is None], dtype=int)
        chosen = [parameters[i] for i in self.free]
        kinds = np.array([p.kind for p in chosen])
        self.variance, period = kinds == "variance", kinds == "period"
        self._bounded = period | (kinds == "damping")
        self._period = period[self._bounded]
        low = np.array([p.low for p in chosen])[self._bounded]
        high = np.array([p.high for p in chosen])[self._bounded]
        self._low, self._high = low.copy(), high.copy()
        self._low[self._period], self._high[self._period] = (
            1.0 / high[self._period],
            1.0 / low[self._period],
        )
        self._groups = _runs(kinds == "coefficient")
        self.farthest = np.where(self.variance, np.inf, np.where(kinds == "coefficient", 5.0, 15.0))
        self._given = np.array([p.given or 0.0 for p in parameters])
        self._driving = [  # a free variance, and its dampings or coefficients: places among the parameters
            (k, i, np.arange(i - p.drives, i))
            for k, (i, p) in enumerate(zip(self.free, chosen, strict=True))
            if p.drives
        ]
        self._coefficients = {int(self.free[g][0]): g for g in self._groups}

    def __len__(self) -> int:
        return len(self.free)

    def values(self, x: Array) -> Array:
        """All parameter values, the given ones among them."""
        found = x.copy()
        if self._bounded.any():
            part = self._low + (self._high - self._low) / (1.0 + np.exp(-x[self._bounded]))
            found[self._bounded] = np.where(self._period, 1.0 / part, part)
        for group in self._groups:
            found[group] = from_partial(np.tanh(x[group]))
        values = self._given.copy()
        values[self.free] = found
        for _, i, before in self._driving:
            values[i] *= np.prod(1.0 - self._lasting(values, x, before) ** 2)
        return values

    def _lasting(self, values: Array, x: Array, before: Array) -> Array:
        """The damping, or the partial autocorrelations of the coefficients, at the places `before`."""
        group = self._coefficients.get(int(before[0]))
        return values[before] if group is None else np.tanh(x[group])

    def locate(self, values: Array) -> Array:
        """The inverse of `values`."""
        found = np.asarray(values, float)[self.free]
        x = found.copy()
        if self._bounded.any():
            part = np.where(self._period, 1.0 / found[self._bounded], found[self._bounded])
            share = np.clip((part - self._low) / (self._high - self._low), 1e-6, 1 - 1e-6)
            x[self._bounded] = np.log(share / (1.0 - share))
        for group in self._groups:
            x[group] = np.arctanh(np.clip(to_partial(found[group]), -0.999, 0.999))
        for k, _, before in self._driving:
            x[k] /= np.prod(1.0 - self._lasting(values, x, before) ** 2)
        return x

    def jacobian(self, x: Array) -> Array:
        """d values[free] / dx, (free, free)."""
        slopes = np.ones(len(x))
        if self._bounded.any():
            share = 1.0 / (1.0 + np.exp(-x[self._bounded]))
            slope = (self._high - self._low) * share * (1.0 - share)
            part = self._low + (self._high - self._low) * share
            slopes[self._bounded] = np.where(self._period, -slope / part**2, slope)
        table = np.diag(slopes)
        for group in self._groups:
            table[group, group] = _partial_jacobian(np.tanh(x[group]))
        values = self.values(x)
        for k, i, before in self._driving:
            lasting = self._lasting(values, x, before)
            table[k, k] = np.prod(1.0 - lasting**2)
            coefficients = self._coefficients.get(int(before[0]))
            if coefficients is not None:
                table[k, coefficients] = -2.0 * lasting * values[i]
            elif before[0] in self.free:
                damping = int(np.flatnonzero(self.free == before[0])[0])
                fall = -2.0 * lasting[0] * x[k]
                table[k, damping] = fall * table[damping, damping]
        return table


def _runs(chosen: Array) -> list[slice]:
    """The slices of neighbouring true entries."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], chosen.astype(int), [0]])))
    return [slice(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _partial_jacobian(kappa: Array) -> Array:
    """d phi / d tanh^-1(kappa), (p, p), through the Durbin-Levinson recursion."""
    phi, table = np.zeros(0), np.zeros((0, len(kappa)))
    for i, k in enumerate(kappa):
        turned = table - k * table[::-1]
        turned[:, i] -= phi[::-1]
        last = np.zeros((1, len(kappa)))
        last[0, i] = 1.0
        phi, table = np.append(phi - k * phi[::-1], k), np.vstack([turned, last])
    return table * (1.0 - kappa**2)
