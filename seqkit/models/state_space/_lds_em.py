"""Expectation maximisation of a linear dynamical system (Shumway & Stoffer 1982; Ghahramani & Hinton 1996).

Both equations and the start are regressions on moments of the smoothed states,

    y_t = G u_t + e_t,  e_t ~ N(0, R):   states on (h_{t-1}, x_t, 1), outputs on (h_t, x_t, 1), h_0 on 1.

The sums are taken of the residuals at the current coefficients, so that a step near the maximum is a small
correction without cancellation. What is missing leaves the sums where R is diagonal, and is expected given what
was observed beside it where R is full; both are exact.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from seqkit.data.sequences import Array
from seqkit.kernels import kalman

from ._lds_parameters import Values
from ._lds_problem import Equation, Part, Problem, Rows
from ._linear_covariance import estimate_covariance

ALL = slice(None)
ROUNDING = 1e-14  # least variance of a state, relative to what its variance is computed from


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


# -- E step ----------------------------------------------------------------------------------------


def expect(problem: Problem, values: Values) -> Expectation:
    """Smooth every sequence and add up the moments."""
    total: Expectation | None = None
    one = np.ones((1, 1))
    for part, system in zip(problem.parts, problem.systems(values), strict=True):
        smoothed = kalman.smooth(system, part.y, lag_one=True)
        assert smoothed.cov is not None
        cov = _total(smoothed.cov)
        states = _states(problem, part, system, smoothed, cov) if len(part) > 1 else None
        first = smoothed.mean[0] - system.initial_mean
        spread = smoothed.cov[0] + first[:, None] * first
        start = Moments(1.0, one, first[:, None], spread)
        outputs = _outputs(problem, part, system, smoothed, cov)
        found = Expectation(smoothed.log_likelihood, states, outputs, start)
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


def _products(work: Array) -> Array:
    """W W', through a copy: with few rows, two matrices are multiplied several times faster than one by itself."""
    return work @ work.copy().T


def _total(stack: kalman.Stack, rows: Rows = ALL) -> Array:
    """The sum of the matrices of some rows."""
    counts = np.bincount(stack.index[rows], minlength=len(stack.stored))
    shape = stack.stored.shape
    return (counts @ stack.stored.reshape(shape[0], -1)).reshape(shape[1:])


def _states(
    problem: Problem, part: Part, system: kalman.System, smoothed: kalman.Smoothed, total: Array
) -> Moments | None:
    """Moments of h_t - A h_{t-1} - B x_t - c on (h_{t-1}, x_t, 1), t >= 1; `total` is the sum of all covariances."""
    if not problem.states.learns:
        return None
    a, c = system.transition, np.asarray(system.state_intercept)
    a, c = (a[1:] if a.ndim == 3 else a), (c[1:].T if c.ndim == 2 else c[:, None])
    n, work, mean = system.n, part.states, smoothed.mean.T
    error, u = work[:n], work[n:]
    u[:n] = mean[:, :-1]
    np.subtract(mean[:, 1:], _apply(a, u[:n]), out=error)
    if c.any():
        error -= c
    products = _products(work)
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
        both = _total(lag)
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
    problem: Problem, part: Part, system: kalman.System, smoothed: kalman.Smoothed, total: Array
) -> list[Moments]:
    """Moments of y_t - C h_t - D x_t - d on (h_t, x_t, 1); `total` is the sum of all covariances."""
    if not problem.outputs.learns:
        return []
    d, m, work = np.asarray(system.observation_intercept), system.m, part.outputs
    work[m : m + system.n] = smoothed.mean.T
    np.subtract(part.targets, _apply(system.observation, work[m : m + system.n]), out=work[:m])
    if d.any():
        work[:m] -= d.T if d.ndim == 2 else d[:, None]
    if system.observation_cov.ndim == 3:
        return [_varying_noise(part, system, smoothed)]
    if problem.by_channel:
        return [_pattern(part, system, smoothed, *channel) for channel in part.channels]
    if part.complete:
        return [_moments(system, smoothed, work, ALL, np.arange(m), total)]
    k = len(work) - m
    found = Moments(0.0, np.zeros((k, k)), np.zeros((m, k)), np.zeros((m, m)))
    for rows, observed in part.patterns:
        moments = _pattern(part, system, smoothed, rows, observed)
        found = found + _complete(moments, system.observation_cov, observed)
    return [found]


def _pattern(
    part: Part, system: kalman.System, smoothed: kalman.Smoothed, rows: Array, observed: Array
) -> Moments:
    """The moments of the observed outputs over rows that share them."""
    assert smoothed.cov is not None
    regressors = np.arange(system.m, len(part.outputs))
    work = part.outputs[np.concatenate([observed, regressors])[:, None], rows]
    return _moments(system, smoothed, work, rows, observed, _total(smoothed.cov, rows))


def _moments(
    system: kalman.System, smoothed: kalman.Smoothed, work: Array, rows: Rows, observed: Array, total: Array
) -> Moments:  # fmt: skip
    """The moments of `work` (residuals, h, x, 1; rows) and of the covariances of those rows, whose sum is `total`."""
    m, n, c = len(observed), system.n, system.observation
    products = _products(work)
    square, cross, gram = products[:m, :m], products[:m, m:], products[m:, m:]
    if c.ndim == 3:  # given whole, so that what it would add to `cross` is not asked for
        assert smoothed.cov is not None
        matrices = c[rows][:, observed]
        square += (matrices @ smoothed.cov.full()[rows] @ matrices.transpose(0, 2, 1)).sum(0)
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
    if expected.states is not None:
        least = ROUNDING / max(expected.states.rows, 1.0) * expected.states.square.diagonal()
        _regress(new, problem.states, expected.states, least)
    if problem.by_channel and expected.outputs:
        _regress_channels(new, problem.outputs, expected.outputs, problem.floor)
    elif expected.outputs:
        _regress(new, problem.outputs, expected.outputs[0], problem.floor)
    if problem.start.learns:
        least = ROUNDING * expected.start.square.diagonal()
        _regress(new, problem.start, expected.start, least)
    return new


def _regress(new: Values, equation: Equation, moments: Moments, floor: Array) -> None:
    """Coefficients by (generalised) least squares, then the covariance of what they leave."""
    cov, square = new[equation.covariance], moments.square
    if not moments.rows:
        return
    if equation.learns_coefficients:
        delta = _solve(moments, equation, cov)
        turned = delta @ moments.cross.T
        square = square - turned - turned.T + delta @ moments.gram @ delta.T
        _shift(new, equation, delta)
    if equation.learns_covariance:
        new[equation.covariance] = estimate_covariance(
            square / moments.rows, cov, equation.free, equation.structure, floor
        )


def _shift(new: Values, equation: Equation, delta: Array) -> None:
    """Add a correction to the coefficients that are learnt."""
    for name, columns in equation.slices:
        new[name] = new[name] + delta[:, columns].reshape(new[name].shape)


def _regress_channels(
    new: Values, equation: Equation, channels: list[Moments], floor: Array
) -> None:
    """Every output on its own rows; the variances apart, or together where there is one for all."""
    rows, squares = np.array([c.rows for c in channels]), np.zeros(len(channels))
    delta = np.zeros(equation.mask.shape)
    for i, moments in enumerate(channels):
        columns = np.flatnonzero(equation.mask[i])
        if moments.rows and len(columns):
            gram = moments.gram[columns[:, None], columns]
            delta[i, columns] = _symmetric_solve(gram, moments.cross[0, columns])
        slope = delta[i] @ moments.gram - 2 * moments.cross[0]
        squares[i] = moments.square[0, 0] + slope @ delta[i]
    _shift(new, equation, delta)
    if equation.learns_covariance:
        cov = new[equation.covariance]
        variances = np.where(rows > 0, squares / np.maximum(rows, 1), cov.diagonal())
        if equation.structure == "scalar":
            variances[:] = squares.sum() / max(rows.sum(), 1)
        chosen = np.diag(np.maximum(variances, floor))
        new[equation.covariance] = np.where(equation.free, chosen, cov)


def _solve(moments: Moments, equation: Equation, cov: Array) -> Array:
    """The correction D of the coefficients that maximises, zero where they are given, (m, k)."""
    mask, columns = equation.mask, equation.columns
    delta = np.zeros(mask.shape)
    if moments.weighted is None and equation.same:  # the noise has no say
        gram = moments.gram[equation.square]
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
    tall = size[:, None]
    wide = tall if right.ndim == 2 else size
    return np.linalg.lstsq(gram / (tall * size), right / wide, rcond=1e-13)[0] / wide
