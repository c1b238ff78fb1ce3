"""Expectation maximisation of a linear dynamical system (Shumway & Stoffer 1982; Ghahramani & Hinton 1996).

Both equations and the start are regressions on moments of the smoothed states,

    y_t = G u_t + e_t,  e_t ~ N(0, R):   states on (h_{t-1}, x_t, 1), outputs on (h_t, x_t, 1), h_0 on 1.

The sums are taken of the residuals at the current coefficients, so that a step near the maximum is a small
correction without cancellation. What is missing leaves the sums where R is diagonal, and is expected given what
was observed beside it where R is full; both are exact.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from seqkit.data.sequences import Array
from seqkit.kernels import kalman

from ._lds_parameters import Specification, Values, build, start_of
from ._linear_covariance import estimate_covariance

Rows = slice | Array
ALL = slice(None)


@dataclass(frozen=True)
class Equation:
    """The matrices of one regression: coefficients side by side, and the covariance of its errors."""

    coefficients: tuple[str, ...]
    covariance: str


STATE = Equation(("transition", "state_inputs", "state_intercept"), "process_cov")
OUTPUT = Equation(
    ("observation", "observation_inputs", "observation_intercept"), "observation_cov"
)
START = Equation(("initial_mean",), "initial_cov")


class Part:
    """One sequence, prepared once: where it is observed, in which patterns, and memory to work in.

    Arrays of rows are held transposed, (variables, T): residuals first, then h, x and 1.
    """

    def __init__(self, y: Array, inputs: Array | None, n: int):
        self.y, self.inputs = np.ascontiguousarray(y), inputs
        self.seen = ~np.isnan(self.y)
        self.complete = bool(self.seen.all())
        (length, m), k = self.y.shape, 0 if inputs is None else inputs.shape[1]
        self.targets = np.ascontiguousarray(np.nan_to_num(self.y).T)
        self.outputs = np.ones((m + n + k + 1, length))
        self.states = np.ones((n + n + k + 1, length - 1))
        if inputs is not None:
            self.outputs[m + n : -1], self.states[n + n : -1] = inputs.T, inputs[1:].T
        self.patterns: list[tuple[Rows, Array]] = [(ALL, np.arange(m))]
        if not self.complete:
            kinds, which = np.unique(self.seen, axis=0, return_inverse=True)
            self.patterns = [
                (np.flatnonzero(which.ravel() == i), np.flatnonzero(kind))
                for i, kind in enumerate(kinds)
                if kind.any()
            ]  # a row without any observation says nothing about the outputs
        self.channels = [(np.flatnonzero(column), np.array([i])) for i, column in enumerate(self.seen.T)]

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True)
class Moments:
    """Expected sums over rows of a regression: its regressors u, and its residuals e at the current coefficients."""

    rows: float
    gram: Array  # sum E[u u'], (k, k)
    cross: Array  # sum E[e u'], (m, k)
    square: Array  # sum E[e e'], (m, m)
    weighted: tuple[Array, Array] | None = None  # normal equations where the noise varies in time

    def __add__(self, other: Moments) -> Moments:
        weighted = None
        if self.weighted is not None and other.weighted is not None:
            weighted = tuple(a + b for a, b in zip(self.weighted, other.weighted, strict=True))
        return Moments(
            self.rows + other.rows, self.gram + other.gram, self.cross + other.cross,
            self.square + other.square, weighted,  # type: ignore[arg-type]
        )  # fmt: skip


@dataclass
class Expectation:
    """The E step: log-likelihood and moments over all sequences. `outputs` is one regression, or one per channel."""

    log_likelihood: float
    states: Moments | None
    outputs: list[Moments]
    start: Moments


@dataclass
class Fit:
    """Where an optimiser arrived, and how."""

    values: Values
    history: list[float] = field(default_factory=list)
    converged: bool = False

    @property
    def log_likelihood(self) -> float:
        return self.history[-1]


@dataclass(frozen=True)
class Problem:
    """What is to be fitted: prepared sequences, what is free, and the variance of every output.

    floor : (m,), the least variance of an output's noise.
    """

    parts: list[Part]
    spec: Specification
    variances: Array
    floor: Array

    @property
    def size(self) -> float:
        """Variance of the data: the unit of an approximately diffuse start."""
        return float(self.variances.mean())

    @property
    def observed(self) -> int:
        return sum(int(part.seen.sum()) for part in self.parts)

    @property
    def by_channel(self) -> bool:
        """Whether every output is a regression of its own, over the rows where it is observed."""
        apart = ~np.eye(len(self.variances), dtype=bool)
        given = self.spec.values["observation_cov"]
        diagonal = not (self.spec.free["observation_cov"] & apart).any()
        diagonal &= not np.nan_to_num(given[..., apart]).any()
        return diagonal and not all(part.complete for part in self.parts)

    def systems(self, values: Values) -> list[kalman.System]:
        start = start_of(values, self.spec, self.size)
        varies = any(v.ndim > f.ndim for v, f in zip(values.values(), self.spec.free.values(), strict=True))  # fmt: skip
        if not varies and all(part.inputs is None for part in self.parts):
            return [build(values, start, None, 0, 0)] * len(self.parts)
        return [build(values, start, part.inputs, 0, len(part)) for part in self.parts]


# -- E step ----------------------------------------------------------------------------------------


def expect(problem: Problem, values: Values) -> Expectation:
    """Smooth every sequence and add up the moments."""
    total: Expectation | None = None
    for part, system in zip(problem.parts, problem.systems(values), strict=True):
        smoothed = kalman.smooth(system, part.y, lag_one=True)
        states = _states(problem, part, system, smoothed) if len(part) > 1 else None
        first = smoothed.mean[0] - system.initial_mean
        spread = smoothed.cov[0] + np.outer(first, first)
        start = Moments(1.0, np.ones((1, 1)), first[:, None], spread)
        found = Expectation(
            smoothed.log_likelihood, states, _outputs(problem, part, system, smoothed), start
        )
        total = found if total is None else _add(total, found)
    assert total is not None
    if not np.isfinite(total.start.square).all() or not np.isfinite(total.log_likelihood):
        raise ValueError(
            "the likelihood or the first state is not finite: under a diffuse start the data must determine every "
            'state; give more of the transition and the observation, or use initial="known"'
        )
    return total


def _add(one: Expectation, two: Expectation) -> Expectation:
    states = two.states if one.states is None else one.states
    if one.states is not None and two.states is not None:
        states = one.states + two.states
    outputs = [a + b for a, b in zip(one.outputs, two.outputs, strict=True)]
    likelihood = one.log_likelihood + two.log_likelihood
    return Expectation(likelihood, states, outputs, one.start + two.start)


def _apply(matrix: Array, rows: Array) -> Array:
    """M_t h_t for rows (n, T)."""
    return matrix @ rows if matrix.ndim == 2 else np.einsum("tij,jt->it", matrix, rows)


def _states(
    problem: Problem, part: Part, system: kalman.System, smoothed: kalman.Smoothed
) -> Moments | None:
    """Moments of h_t - A h_{t-1} - B x_t - c on (h_{t-1}, x_t, 1), t >= 1."""
    if not problem.spec.learns(*STATE.coefficients, STATE.covariance):
        return None
    a, c = system.transition, system.state_intercept
    a, c = (a[1:] if a.ndim == 3 else a), (c[1:].T if c.ndim == 2 else c[:, None])
    n, work, mean = system.n, part.states, smoothed.mean.T
    error, u = work[:n], work[n:]
    u[:n] = mean[:, :-1]
    np.subtract(mean[:, 1:], _apply(a, u[:n]), out=error)
    if c.any():
        error -= c
    products = work @ work.T
    square, cross, gram = products[:n, :n], products[:n, n:], products[n:, n:]
    cov, lag = smoothed.cov, smoothed.lag_one_cov
    assert cov is not None and lag is not None
    weighted = None
    if a.ndim == 3 or system.process_cov.ndim == 3:
        early, late, both = cov.full()[:-1], cov.full()[1:], lag.full()[1:]
        mixed = both - a @ early  # Cov(e_t, h_{t-1})
        turned = np.swapaxes(a, -1, -2)
        square += (late - both @ turned - a @ np.swapaxes(mixed, 1, 2)).sum(0)
        early_sum, mixed_sum = early.sum(0), mixed.sum(0)
        if system.process_cov.ndim == 3:
            precision = np.linalg.pinv(system.process_cov[1:], hermitian=True)
            weighted = _normal_equations(precision, error, u, mixed, early)
    else:
        total, both = cov.total(), lag.total()
        early_sum = total - cov[len(part) - 1]
        mixed_sum = both - a @ early_sum
        square += total - cov[0] - both @ a.T - a @ mixed_sum.T
    gram[:n, :n] += early_sum
    cross[:, :n] += mixed_sum
    return Moments(len(part) - 1.0, gram, cross, (square + square.T) / 2, weighted)


def _normal_equations(
    precision: Array, error: Array, u: Array, mixed: Array, cov: Array
) -> tuple[Array, Array]:
    """sum W_t x E[u u'], (m k, m k), and sum W_t E[e u'], (m, k), for precisions W_t (T, m, m)."""
    (k, length), m, n = u.shape, len(error), cov.shape[1]
    outer = u.T[:, :, None] * u.T[:, None, :]
    outer[:, :n, :n] += cov
    slope = np.einsum("tij,jt,at->ia", precision, error, u, optimize=True)
    slope[:, :n] += np.einsum("tij,tja->ia", precision, mixed)
    flat = precision.reshape(length, -1).T @ outer.reshape(length, -1)
    return flat.reshape(m, m, k, k).transpose(0, 2, 1, 3).reshape(m * k, m * k), slope


def _outputs(
    problem: Problem, part: Part, system: kalman.System, smoothed: kalman.Smoothed
) -> list[Moments]:
    """Moments of y_t - C h_t - D x_t - d on (h_t, x_t, 1)."""
    if not problem.spec.learns(*OUTPUT.coefficients, OUTPUT.covariance):
        return []
    d, m, work = system.observation_intercept, system.m, part.outputs
    work[m : m + system.n] = smoothed.mean.T
    np.subtract(part.targets, _apply(system.observation, work[m : m + system.n]), out=work[:m])
    if d.any():
        work[:m] -= d.T if d.ndim == 2 else d[:, None]
    if system.observation_cov.ndim == 3:
        return [_varying_noise(part, system, smoothed)]
    if problem.by_channel:
        return [_pattern(part, system, smoothed, *channel) for channel in part.channels]
    k = len(work) - m
    total = Moments(0.0, np.zeros((k, k)), np.zeros((m, k)), np.zeros((m, m)))
    for rows, observed in part.patterns:
        moments = _pattern(part, system, smoothed, rows, observed)
        if len(observed) < m:
            moments = _complete(moments, system.observation_cov, observed)
        total = total + moments
    return [total]


def _pattern(
    part: Part, system: kalman.System, smoothed: kalman.Smoothed, rows: Rows, observed: Array
) -> Moments:
    """The moments of the observed outputs over rows that share them."""
    m, n, work, c, cov = system.m, system.n, part.outputs, system.observation, smoothed.cov
    assert cov is not None
    weights = None
    if not isinstance(rows, slice):
        regressors = np.arange(m, len(work))
        work = work[np.concatenate([observed, regressors])[:, None], rows]
        m = len(observed)
        weights = np.zeros(len(part))
        weights[rows] = 1.0
    products = work @ work.T
    square, cross, gram = products[:m, :m], products[:m, m:], products[m:, m:]
    total = cov.total(weights)
    if c.ndim == 3:  # given whole, so that what it would add to `cross` is not asked for
        matrices = c[rows][:, observed]
        square += (matrices @ cov.full()[rows] @ matrices.transpose(0, 2, 1)).sum(0)
    else:
        reach = c[observed] @ total
        square += reach @ c[observed].T
        cross[:, :n] -= reach
    gram[:n, :n] += total
    return Moments(work.shape[1], gram, cross, square)


def _complete(moments: Moments, cov: Array, observed: Array) -> Moments:
    """The moments of all outputs from those of the observed: e = J e_o + N(0, R - J R_oo J'), J = R_.o R_oo^-1."""
    regress = np.linalg.lstsq(cov[np.ix_(observed, observed)], cov[observed], rcond=None)[0].T
    regress[observed] = np.eye(len(observed))
    left = cov - regress @ cov[observed]
    square = regress @ moments.square @ regress.T + moments.rows * (left + left.T) / 2
    return replace(moments, cross=regress @ moments.cross, square=square)


def _varying_noise(part: Part, system: kalman.System, smoothed: kalman.Smoothed) -> Moments:
    """The normal equations of the observed outputs where their noise, which is given, varies in time."""
    precision = np.zeros_like(system.observation_cov)
    for rows, observed in part.patterns:
        at = np.arange(len(part))[rows][:, None, None], observed[:, None], observed
        precision[at] = np.linalg.pinv(system.observation_cov[at], hermitian=True)
    assert smoothed.cov is not None
    cov, m = smoothed.cov.full(), system.m
    error, u = part.outputs[:m], part.outputs[m:]
    weighted = _normal_equations(precision, error, u, -system.observation @ cov, cov)
    return Moments(float(len(part)), u @ u.T, error @ u.T, np.zeros((m, m)), weighted)


# -- M step ----------------------------------------------------------------------------------------


def maximise(problem: Problem, values: Values, expected: Expectation) -> Values:
    """The matrices after one M step; those that are given stay as they are, bit by bit."""
    new = dict(values)
    spec = problem.spec
    if expected.states is not None:
        least = 1e-14 * np.diag(expected.states.square) / max(expected.states.rows, 1.0)
        _regress(new, spec, STATE, expected.states, least)
    if len(expected.outputs) == 1:
        _regress(new, spec, OUTPUT, expected.outputs[0], problem.floor)
    elif expected.outputs:
        _regress_channels(new, spec, expected.outputs, problem.floor)
    if spec.learns("initial_mean", "initial_cov"):
        _regress(new, spec, START, expected.start, 1e-14 * np.diag(expected.start.square))
    return new


def _regress(
    new: Values, spec: Specification, equation: Equation, moments: Moments, floor: Array
) -> None:
    """Coefficients by (generalised) least squares, then the covariance of what they leave."""
    cov, square = new[equation.covariance], moments.square
    if not moments.rows:
        return
    if spec.learns(*equation.coefficients):
        delta = _solve(moments, _mask(spec, equation), cov)
        turned = delta @ moments.cross.T
        square = square - turned - turned.T + delta @ moments.gram @ delta.T
        _shift(new, spec, equation, delta)
    if spec.learns(equation.covariance):
        free, structure = spec.free[equation.covariance], spec.structure[equation.covariance]
        sample = square / moments.rows
        new[equation.covariance] = estimate_covariance(sample, cov, free, structure, floor)


def _mask(spec: Specification, equation: Equation) -> Array:
    """Which coefficients are learnt, side by side, (m, k)."""
    masks = [spec.free[name] for name in equation.coefficients]
    return np.hstack([mask.reshape(len(mask), -1) for mask in masks])


def _shift(new: Values, spec: Specification, equation: Equation, delta: Array) -> None:
    """Add a correction to the coefficients that are learnt."""
    start = 0
    for name in equation.coefficients:
        free = spec.free[name]
        stop = start + free[0].size
        if spec.learns(name):
            new[name] = new[name] + delta[:, start:stop].reshape(free.shape)
        start = stop


def _regress_channels(
    new: Values, spec: Specification, channels: list[Moments], floor: Array
) -> None:
    """Every output on its own rows; the variances apart, or together where there is one for all."""
    mask = _mask(spec, OUTPUT)
    rows, squares = np.array([c.rows for c in channels]), np.zeros(len(channels))
    delta = np.zeros(mask.shape)
    for i, moments in enumerate(channels):
        if moments.rows and mask[i].any():
            delta[i] = _solve(moments, mask[i : i + 1], np.ones((1, 1)))[0]
        slope = delta[i] @ moments.gram - 2 * moments.cross[0]
        squares[i] = moments.square[0, 0] + slope @ delta[i]
    _shift(new, spec, OUTPUT, delta)
    if spec.learns("observation_cov"):
        cov, free = new["observation_cov"], spec.free["observation_cov"]
        variances = np.where(rows > 0, squares / np.maximum(rows, 1), np.diag(cov))
        if spec.structure["observation_cov"] == "scalar":
            variances[:] = squares.sum() / max(rows.sum(), 1)
        new["observation_cov"] = np.where(free, np.diag(np.maximum(variances, floor)), cov)


def _solve(moments: Moments, mask: Array, cov: Array) -> Array:
    """The correction D of the coefficients that maximises, zero where `mask` is False, (m, k)."""
    delta, columns = np.zeros(mask.shape), np.flatnonzero(mask[0])
    if moments.weighted is None and (mask == mask[0]).all():
        # the same regressors in every equation: the noise has no say
        gram = moments.gram[columns[:, None], columns]
        delta[:, columns] = _symmetric_solve(gram, moments.cross[:, columns].T).T
        return delta
    if moments.weighted is not None:
        matrix, slope = moments.weighted
    else:
        precision = np.linalg.pinv(cov, hermitian=True)
        matrix, slope = np.kron(precision, moments.gram), precision @ moments.cross
    chosen = np.flatnonzero(mask)
    delta[mask] = _symmetric_solve(matrix[chosen[:, None], chosen], slope[mask])
    return delta


def _symmetric_solve(gram: Array, right: Array) -> Array:
    """gram^-1 right; where it is singular, the directions that do not matter stay as they are."""
    if gram.shape == (1, 1):
        return right / gram[0, 0] if gram[0, 0] > 0 else 0.0 * right
    size = np.sqrt(gram.diagonal())
    size[size == 0.0] = 1.0
    wide = size[:, None] if right.ndim == 2 else size
    return np.linalg.lstsq(gram / (size[:, None] * size), right / wide, rcond=1e-13)[0] / wide
