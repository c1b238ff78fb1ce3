"""The matrices of the components of a structural model, and the derivative of the likelihood through them.

A block is one component with its period, bounds and covariates settled: it owns some states, adds its
observation row to that of the others, and has no noise in common with them. All process covariances are
diagonal. Harvey (1989); Durbin & Koopman (2012), chapter 3.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Literal

import numpy as np

from seqkit.data.sequences import Array

_CLEAR = 1e-6  # share of news in a row, above which an exact diffuse start keeps ten digits
Kind = Literal["variance", "damping", "period", "coefficient"]


@dataclasses.dataclass(frozen=True)
class Parameter:
    """A number in the matrices: `given`, or to be learnt (None) between `low` and `high`.

    `drives` is set for the noise of a stationary process: how many parameters before it, a damping or
    coefficients, say how much of the process lasts.
    """

    name: str
    kind: Kind = "variance"
    low: float = 0.0
    high: float = np.inf
    given: float | None = None
    drives: int = 0


class Block:
    """States that move by a constant transition; each of `noises` is a parameter and the states it drives.

    Attributes
    ----------
    label : the name of its contribution.
    states : names of its n states.
    parameters : in the order in which values and derivatives are given.
    observation : (n,), its part of the observation row.
    stationary : whether its first state has the stationary distribution (else it is diffuse).
    frequencies : of the waves that a seasonal pattern is made of, in cycles per row.
    slow : whether its first rows hardly tell its states, so that the digits of an exact diffuse start would be lost.
    """

    stationary = False
    slow = False
    frequencies: tuple[Any, ...] = ()

    def __init__(
        self, label: str, states: Sequence[str], parameters: Sequence[Parameter],
        noises: Sequence[tuple[int, slice]], transition: Array, observation: Array,
    ):  # fmt: skip
        self.label, self.states, self.parameters = label, tuple(states), tuple(parameters)
        self.noises, self.transition, self.observation = tuple(noises), transition, observation

    def __len__(self) -> int:
        return len(self.states)

    def turn(self, values: Array, transition: Array) -> None:
        """Write the entries of the transition that depend on the parameters."""

    def slopes(self, values: Array) -> dict[int, Array]:
        """The derivative of the transition, (n, n), by each parameter that it depends on."""
        return {}

    def diffuse(self, taken: set[Any]) -> Array:
        """The diffuse part of the first state's covariance, (n, n).

        `taken` are seasonal frequencies that a block before this one has as well. The data tell only the
        sum of two such waves at the start, so the second one begins at zero.
        """
        return np.zeros((len(self), len(self))) if self.stationary else np.eye(len(self))


def level_block(level_var: float | None) -> Block:
    """level_t = level_{t-1} + w_t."""
    parameters = [Parameter("level_var", given=level_var)]
    return Block("level", ["level"], parameters, [(0, slice(0, 1))], np.eye(1), np.ones(1))


class TrendBlock(Block):
    """level_t = level_{t-1} + slope_{t-1} + w_t, slope_t = damping slope_{t-1} + u_t."""

    def __init__(
        self, level_var: float | None, slope_var: float | None, damping: float | bool
    ) -> None:
        parameters = [Parameter("level_var", given=level_var)]
        parameters += [Parameter("slope_var", given=slope_var)]
        transition = np.array([[1.0, 1.0], [0.0, 1.0]])
        if damping is True:
            parameters += [Parameter("damping", "damping", 0.5, 1.0)]
        elif damping is not False:
            transition[1, 1] = damping
        noises = [(0, slice(0, 1)), (1, slice(1, 2))]
        observation = np.array([1.0, 0.0])
        super().__init__("trend", ["level", "slope"], parameters, noises, transition, observation)

    def turn(self, values: Array, transition: Array) -> None:
        if len(values) == 3:
            transition[1, 1] = values[2]

    def slopes(self, values: Array) -> dict[int, Array]:
        return {2: np.array([[0.0, 0.0], [0.0, 1.0]])} if len(values) == 3 else {}


class DummyBlock(Block):
    """season_t = -season_{t-1} - ... - season_{t-s+1} + w_t: the last s - 1 seasons are the states."""

    def __init__(self, label: str, period: int, variance: float | None) -> None:
        n = period - 1
        transition = np.eye(n, k=-1)
        transition[0] = -1.0
        names = [label, *(f"{label}.L{i}" for i in range(1, n))]
        parameters = [Parameter(f"{label}_var", given=variance)]
        super().__init__(label, names, parameters, [(0, slice(0, 1))], transition, np.eye(n)[0])
        self.frequencies = tuple(Fraction(j, period) for j in range(1, period // 2 + 1))

    def diffuse(self, taken: set[Any]) -> Array:
        shared = [float(f) for f in self.frequencies if f in taken]
        if not shared:
            return np.eye(len(self))
        angle = 2 * np.pi * np.outer(np.arange(len(self)), shared)
        waves, sizes, _ = np.linalg.svd(np.hstack([np.cos(angle), np.sin(angle)]))
        kept = waves[:, int(np.count_nonzero(sizes > 1e-8)) :]
        return kept @ kept.T


class WaveBlock(Block):
    """The sum of waves with the frequencies j / period, each turning by its angle and moved by noise.

    wave_{j,t} = cos wave_{j,t-1} + sin wave*_{j,t-1} + w, wave*_{j,t} = -sin wave_{j,t-1} + cos wave*_{j,t-1} + w*;
    the wave of frequency 1/2 has no second state.
    """

    def __init__(self, label: str, period: float, harmonics: int, variance: float | None) -> None:
        names, rows, blocks, frequencies = [], [], [], []
        for j in range(1, harmonics + 1):
            angle = 2 * np.pi * j / period
            if 2 * j == period:
                part = np.array([[-1.0]])
            else:
                c, s = np.cos(angle), np.sin(angle)
                part = np.array([[c, s], [-s, c]])
            names += [f"{label}.{j}", f"{label}.{j}*"][: len(part)]
            rows += [1.0, 0.0][: len(part)]
            frequency = Fraction(j, int(period)) if float(period).is_integer() else j / period
            frequencies += [frequency] * len(part)
            blocks.append(part)
        n, at = len(names), 0
        transition = np.zeros((n, n))
        for part in blocks:
            transition[at : at + len(part), at : at + len(part)] = part
            at += len(part)
        parameters = [Parameter(f"{label}_var", given=variance)]
        super().__init__(label, names, parameters, [(0, slice(0, n))], transition, np.array(rows))
        self.frequencies = tuple(frequencies)
        self.slow = _least_news(transition, self.observation) < _CLEAR

    def diffuse(self, taken: set[Any]) -> Array:
        return np.diag([0.0 if f in taken else 1.0 for f in self.frequencies])


def _least_news(transition: Array, observation: Array) -> float:
    """The least share of what a row tells of the first state that earlier rows have not told, over n rows."""
    rows = [observation]
    for _ in range(len(transition) - 1):
        rows.append(rows[-1] @ transition)
    told = np.abs(np.diagonal(np.linalg.qr(np.array(rows).T, mode="r")))
    return float((told**2 / np.square(rows).sum(1)).min())


class CycleBlock(Block):
    """One wave of `period` rows, damped by a factor (stationary) or not (diffuse)."""

    def __init__(
        self, label: str, period: float | tuple[float, float], damping: float | bool, variance: float | None,
    ) -> None:  # fmt: skip
        low, high = period if isinstance(period, tuple) else (period, period)
        given = low if low == high else None
        parameters = [Parameter(f"{label}_period", "period", low, high, given)]
        if damping is not False:
            given = None if damping is True else float(damping)
            parameters += [Parameter(f"{label}_damping", "damping", 0.0, 1.0, given)]
        lasting = damping is not False and given != 1.0
        parameters += [Parameter(f"{label}_var", given=variance, drives=int(lasting))]
        noises = [(len(parameters) - 1, slice(0, 2))]
        observation = np.array([1.0, 0.0])
        super().__init__(label, [label, f"{label}*"], parameters, noises, np.eye(2), observation)
        self.stationary = lasting

    @staticmethod
    def _turned(values: Array) -> tuple[float, Array, Array]:
        angle = 2 * np.pi / values[0]
        damping = values[1] if len(values) == 3 else 1.0
        c, s = np.cos(angle), np.sin(angle)
        return damping, np.array([[c, s], [-s, c]]), np.array([[-s, c], [-c, -s]])

    def turn(self, values: Array, transition: Array) -> None:
        damping, rotation, _ = self._turned(values)
        transition[:] = damping * rotation

    def slopes(self, values: Array) -> dict[int, Array]:
        damping, rotation, slope = self._turned(values)
        by_period = {0: damping * slope * (-2 * np.pi / values[0] ** 2)}
        return by_period | ({1: rotation} if len(values) == 3 else {})


class AutoregressiveBlock(Block):
    """u_t = phi_1 u_{t-1} + ... + phi_p u_{t-p} + w_t, stationary."""

    stationary = True

    def __init__(self, label: str, order: int, variance: float | None) -> None:
        names = [label, *(f"{label}.L{i}" for i in range(1, order))]
        parameters = [
            Parameter(f"{label}.L{i}", "coefficient", -np.inf) for i in range(1, order + 1)
        ]
        parameters += [Parameter(f"{label}_var", given=variance, drives=order)]
        noises = [(order, slice(0, 1))]
        companion = np.eye(order, k=-1)
        super().__init__(label, names, parameters, noises, companion, np.eye(order)[0])

    def turn(self, values: Array, transition: Array) -> None:
        transition[0] = values[:-1]

    def slopes(self, values: Array) -> dict[int, Array]:
        p = len(values) - 1
        return {i: np.outer(np.eye(p)[0], np.eye(p)[i]) for i in range(p)}


def regression_block(label: str, names: Sequence[str], variance: float | None) -> Block:
    """Coefficients of the covariates, constant or random walks; the observation row holds the covariates."""
    n = len(names)
    parameters, noises = [], []
    if variance != 0.0:
        parameters = [Parameter(f"{label}_{name}_var", given=variance) for name in names]
        noises = [(i, slice(i, i + 1)) for i in range(n)]
    return Block(label, names, parameters, noises, np.eye(n), np.ones(n))


def lyapunov(transition: Array, cov: Array) -> Array:
    """The solution P of P = A P A' + Q, by doubling; A has its eigenvalues inside the unit circle."""
    if len(transition) == 1:
        return cov / (1.0 - transition[0, 0] ** 2)
    total = cov
    for _ in range(60):
        step = transition @ total @ transition.T
        total = total + step
        transition = transition @ transition
        if np.abs(step).max() <= 1e-17 * np.abs(total).max():
            break
    return 0.5 * (total + total.T)
