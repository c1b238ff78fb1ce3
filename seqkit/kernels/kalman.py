"""The Kalman filter and smoother on bare arrays.

    h_t = A_t h_{t-1} + c_t + w_t  (t >= 1),   w_t ~ N(0, Q_t)
    y_t = C_t h_t + d_t + v_t      (t >= 0),   v_t ~ N(0, R_t),      h_0 ~ N(mu_0, P_0 + kappa P_inf), kappa -> inf

h_0 is the state of the first row. Any element of y may be missing (NaN). The recursions are compiled on first
use (`_kalman_numba`, `_kalman_smooth_numba`, `_kalman_lanes_numba`); this module prepares their arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ._kalman_backward import Backward, repair
from ._kalman_forward import LOG_2PI, Forward, RootForward, whitened
from .kalman_system import (
    TIMED,
    Array,
    Stack,
    State,
    System,
    layers,
    root,
    stationary,
    writable,
)

__all__ = [
    "LOG_2PI", "STEADY", "Filtered", "Score", "Smoothed", "Stack", "State", "System", "batch_log_likelihood", "filter",
    "filtered_cov", "forecast", "gain", "log_likelihood", "observed", "root", "sample_states", "score", "simulate",
    "smooth", "smooth_lag", "stationary",
]  # fmt: skip
STEADY = (
    1e-14  # change of a covariance, in standard deviations, at which its gain counts as converged
)


@dataclass(frozen=True)
class Filtered:
    """What `filter` returns; matrices are None unless keep="all", per-row arrays empty for keep="end".

    diffuse_cov : P_inf of the predicted states of the first `diffuse_rows` rows. filtered_root : with
    form="square-root", factors F of the filtered covariances F F'.
    """

    log_density: Array
    predicted_mean: Array
    predicted_cov: Stack | None
    filtered_mean: Array
    filtered_cov: Stack | None
    diffuse_rows: int
    diffuse_cov: Array
    end: State
    log_likelihood: float
    _pass: Forward
    filtered_root: Stack | None = None


@dataclass(frozen=True)
class Smoothed:
    """mean (T, n), cov, lag_one_cov (row t: Cov(h_t, h_{t-1}), row 0 zero) and the log-likelihood."""

    mean: Array
    cov: Stack | None
    lag_one_cov: Stack | None
    log_likelihood: float


@dataclass(frozen=True)
class Score:
    """Gradient of the log-likelihood in the arrays of a `System`; symmetric ones as if every element were free.

    Intercepts have one row per time step.
    """

    log_likelihood: float
    transition: Array
    observation: Array
    process_cov: Array
    observation_cov: Array
    initial_mean: Array
    initial_cov: Array
    state_intercept: Array
    observation_intercept: Array


_KEEP = {"end": 0, "mean": 1, "all": 2}


def _kept(keep: str) -> int:
    if keep not in _KEEP:
        raise ValueError(f"keep must be one of {', '.join(map(repr, _KEEP))}; got {keep!r}")
    return _KEEP[keep]


def log_likelihood(system: System, y: Array, *, steady: float = STEADY) -> float:
    """log p(y) in nats; y (T, m), NaN where missing. `steady` = 0 switches the short cut off."""
    return float(Forward(system, y, 0, steady).log_likelihood)


def filter(
    system: System, y: Array, *, keep: str = "all", steady: float = STEADY, form: str = "covariance"
) -> Filtered:
    """States given the rows up to and before each, and the log density of each row given those before.

    Parameters
    ----------
    y : (T, m), NaN where missing.
    keep : "all"; "mean", no covariances (memory T n instead of T n^2); "end", the last state alone.
    steady : change of the predicted covariance, in standard deviations, below which the gain of a constant system
        counts as converged until an element is missing; 0 never.
    form : "covariance", or "square-root": factors of the covariances are carried instead of the covariances, which
        therefore are positive semi-definite whatever the rounding, at several times the cost.
    """
    if form not in ("covariance", "square-root"):
        raise ValueError(f'form must be "covariance" or "square-root", got {form!r}')
    kind = RootForward if form == "square-root" else Forward
    run = kind(system, y, _kept(keep), steady)
    full = run.keep == 2
    index = run.slot[: len(run.y)] if run.keep else np.zeros(0, np.int64)
    rows = slice(0, len(run.y) if run.keep else 0)
    covs = (
        [Stack(a[: run.used], index) for a in (run.predicted_cov, run.filtered_cov)]
        if full
        else [None, None]
    )
    return Filtered(
        run.density[rows], run.predicted[rows], covs[0], run.filtered[rows], covs[1], run.diffuse_rows,
        run.infinite[2][: run.diffuse_rows] if full and run.diffuse_rows else np.zeros((0, system.n, system.n)),
        run.end, float(run.log_likelihood), run, run.factors(),
    )  # fmt: skip


def observed(system: System, run: Filtered) -> tuple[Array, Array]:
    """Mean and variance (T, m) of every element given the rows before; NaN where the variance is infinite."""
    C, R, d = (
        layers(system, k) for k in ("observation", "observation_cov", "observation_intercept")
    )
    length = len(run.predicted_mean)
    mean = (
        np.einsum("tij,tj->ti", C[:length], run.predicted_mean)
        if len(C) > 1
        else run.predicted_mean @ C[0].T
    )
    mean = mean + d[:length]
    noise = np.diagonal(R[:length], axis1=1, axis2=2)
    assert run.predicted_cov is not None
    if len(C) == 1:
        spread = np.einsum("ij,sjk,ik->si", C[0], run.predicted_cov.stored, C[0])[
            run.predicted_cov.index
        ]
    else:
        spread = np.einsum("tij,tjk,tik->ti", C[:length], np.asarray(run.predicted_cov), C[:length])
    var = np.maximum(spread + noise, 0.0)
    rows = run.diffuse_rows
    if rows:
        start = np.broadcast_to(C[:rows], (rows, *C.shape[1:]))
        infinite = np.einsum("tij,tjk,tik->ti", start, run.diffuse_cov, start)
        size = np.einsum("tij,tjj->ti", start**2, run.diffuse_cov)
        unknown = infinite > 1e-9 * size
        mean[:rows][unknown], var[:rows][unknown] = np.nan, np.nan
    return mean, var


def filtered_cov(run: Filtered) -> Array:
    """Covariances (T, n, n) of the filtered states, infinite in the directions that are still diffuse."""
    assert run.filtered_cov is not None
    cov = run.filtered_cov.full()
    for t in range(run.diffuse_rows):
        unknown = run._pass.infinite[3][t]
        size = np.abs(unknown).max(initial=0.0)
        infinite = np.abs(unknown) > 1e-9 * max(size, 1e-300)
        cov[t] = np.where(infinite, np.copysign(np.inf, unknown), cov[t])
    return cov


def gain(system: System, y: Array, run: Filtered) -> Array:
    """Kalman gains P C'(C P C' + R)^-1, (T, n, m), of the elements observed; columns of missing ones are zero.

    In a diffuse start, the limit of the gains.
    """
    forward = run._pass
    places, first = np.unique(forward.slot[: len(y)], return_index=True)
    index = np.searchsorted(places, forward.slot[: len(y)])
    n, m = system.n, system.m
    pattern = forward.pattern[first]
    total, errors = np.zeros((len(places), n, m)), np.zeros((len(places), m, m))
    for o in range(m):  # the elements were taken one after another
        seen = ~np.isnan(forward.errors[first, o])
        rows = -np.einsum("sk,skj->sj", forward.C[pattern, o], total)
        rows[:, o] += 1.0
        errors[:, o] = np.where(seen[:, None], rows, 0.0)
        total += forward.gains[places, o][:, :, None] * errors[:, o][:, None, :]
    if forward.roots is None:
        return total[index]
    out = np.zeros_like(total)
    for s in np.unique(pattern):
        known, inverse = forward.roots[s]
        rows = np.flatnonzero(pattern == s)
        out[np.ix_(rows, np.arange(n), known)] = total[rows][:, :, known] @ inverse
    return out[index]


def smooth(
    system: System, y: Array, *, keep: str = "all", steady: float = STEADY, lag_one: bool = False
) -> Smoothed:
    """States given all rows. keep="mean" needs memory T n only; `lag_one` adds Cov(h_t, h_{t-1} | y)."""
    if _kept(keep) == 0:
        raise ValueError('smooth returns states, so keep must be "all" or "mean"')
    run = Forward(system, y, _kept(keep), steady)
    return _smoothed(run, lag_one and run.keep == 2)


def _smoothed(run: Forward, lag_one: bool) -> Smoothed:
    back = Backward(run, lag_one=lag_one, gradient=False)
    cov = lag = None
    if run.keep == 2:
        cov = Stack(back.cov[: back.used], back.place)
        if back.lost or run.diffuse_rows:
            repair(run, back, cov, lag_one)
    if lag_one:
        stored = np.concatenate(
            [back.lag_cov[: back.lag_used], np.zeros((1, *back.lag_cov.shape[1:]))]
        )
        back.lag_place[0] = back.lag_used
        lag = Stack(stored, back.lag_place)
    return Smoothed(back.mean, cov, lag, float(run.log_likelihood))


def smooth_lag(system: System, y: Array, lag: int) -> tuple[Array, Array]:
    """Fixed-lag smoothing: mean (T, n) and covariance (T, n, n) of h_t given rows 0 .. t + lag.

    Costs lag + 1 backward steps per row; lag = 0 is the filter.
    """
    from ._kalman_smooth_numba import smooth_window

    if lag < 0:
        raise ValueError(f"lag must be a number of rows, at least 0, got {lag!r}")
    run = Forward(system, y, 2, 0.0)
    if run.diffuse_rows:
        return _smooth_lag_directly(system, run.y, lag)
    mean, cov = np.empty((len(run.y), system.n)), np.empty((len(run.y), system.n, system.n))
    smooth_window(
        run.A, run.C, run.moves, run.pattern, int(lag), run.states, run.filtered, run.errors, run.slot,
        run.gains, run.variances, run.filtered_cov, mean, cov,
    )  # fmt: skip
    return mean, cov


def _smooth_lag_directly(system: System, y: Array, lag: int) -> tuple[Array, Array]:
    """The same from a diffuse start, where the first rows are smoothed window by window."""
    length = len(y)
    mean, cov = np.empty((length, system.n)), np.empty((length, system.n, system.n))
    for t in range(length):
        part = smooth(system, y[: t + lag + 1], steady=0.0)
        mean[t], cov[t] = part.mean[t], np.asarray(part.cov)[t]
    return mean, cov


def score(system: System, y: Array) -> Score:
    """The log-likelihood and its exact gradient, from one pass forward and one back.

    With r_t, N_t, u_t, D_t of the backward pass: d/dQ = sum (r r' - N) / 2, d/dR = sum (u u' - D) / 2,
    d/dc_t = r_t, d/dd_t = u_t, d/dA = sum r_t h_{t-1}' - N_t A P_{t-1|t-1}, where h is smoothed (Koopman & Shephard
    1992; Durbin & Koopman 2012, section 7.3.3). The gradient in C, and in an R that is not diagonal, is by Fisher's
    identity and needs R to be positive definite; elsewhere it is NaN.
    """
    run = Forward(system, y, 2, STEADY)
    back = Backward(run, lag_one=False, gradient=True)
    r, h = back.pushes, back.mean
    misfits, slope_C, slope_R = _observation_gradient(run, back)
    start, first = r[0].copy(), (np.outer(r[0], r[0]) - back.N) / 2
    r[0] = 0.0  # the intercept of row 0 has no effect
    return Score(
        float(run.log_likelihood),
        r[1:].T @ h[:-1] - back.turned,
        slope_C,
        (r[1:].T @ r[1:] - (back.N_total + back.N_total.T) / 2) / 2,
        slope_R,
        start,
        first,
        r,
        misfits,
    )


def _observation_gradient(run: Forward, back: Backward) -> tuple[Array, Array, Array]:
    """Per row u (T, m) = d/dd_t, and the gradients in C (m, n) and R (m, m)."""
    system, h = run.system, back.mean
    m, n = system.m, system.n
    cov = Stack(back.cov[: back.used], back.place)
    if run.roots is None:
        u = back.misfits
        slope_R = np.diag((u**2 - back.curvatures).sum(0)) / 2
        noise = np.broadcast_to(run.r, (len(run.r), m))
        if (noise <= 0).any():
            return u, np.full((m, n), np.nan), slope_R
        slope_C = u.T @ h
        seen = ~np.isnan(run.errors)
        for o in range(m):
            weights = seen[:, o] / noise[run.pattern, o]
            if len(run.C) == 1:
                slope_C[o] -= run.C[0, o] @ cov.total(weights)
            else:
                rows = run.C[run.pattern, o] * weights[:, None]
                slope_C[o] -= np.einsum("tk,tkj->j", rows, np.asarray(cov))
        return u, slope_C, slope_R
    u, slope_C, slope_R = np.zeros((len(run.y), m)), np.zeros((m, n)), np.zeros((m, m))
    C, R = layers(system, "observation"), layers(system, "observation_cov")
    for s, (known, inverse) in enumerate(run.roots):
        rows = run.pattern == s
        u[np.ix_(rows, known)] = back.misfits[np.ix_(rows, known)] @ inverse
        timed = int(np.argmax(rows))
        noise = R[timed if len(R) > 1 else 0][np.ix_(known, known)]
        try:
            weights = np.linalg.inv(noise)
        except np.linalg.LinAlgError:
            return u, np.full((m, n), np.nan), np.full((m, m), np.nan)
        loading = weights @ C[timed if len(C) > 1 else 0][known]
        spread = cov.total(rows)
        slope_C[known] -= loading @ spread
        both = np.ix_(known, known)
        slope_R[both] += loading @ spread @ loading.T - rows.sum() * weights
    return u, slope_C + u.T @ h, (slope_R + slope_R.T + 2 * u.T @ u) / 4


def forecast(system: System, state: State, horizon: int) -> tuple[Array, Array]:
    """The law of the `horizon` rows that follow a filtered `state`: mean (h, m), factor (h m, k).

    Row 0 of arrays of `system` that vary in time belongs to the first of these rows. The covariance of the path, time
    first, is factor @ factor.T.

    Raises
    ------
    ValueError : the state is still diffuse, so that its forecast has no finite variance.
    """
    if np.asarray(state.diffuse).any():
        raise ValueError(
            "too few values have been observed to know the state, so a forecast has no finite variance; "
            "observe more, or start from a known initial_cov"
        )
    for name in TIMED:
        if system.timed(name) and len(getattr(system, name)) < horizon:
            raise ValueError(
                f"{name} varies in time and has {len(getattr(system, name))} rows ahead, fewer than the horizon "
                f"{horizon}; give one per step"
            )
    m = system.m
    arrays = {name: layers(system, name) for name in TIMED}

    def at(name: str, t: int) -> Array:
        array = arrays[name]
        return array[t if system.timed(name) else 0]

    noise_root = {
        name: [root(layer) for layer in arrays[name][:horizon]]
        for name in ("process_cov", "observation_cov")
    }
    mean, spread = state.mean, root(state.cov)
    means, blocks = np.empty((horizon, m)), []
    own = []
    for t in range(horizon):
        A, C = at("transition", t), at("observation", t)
        mean = A @ mean + at("state_intercept", t)
        shocks = noise_root["process_cov"][t if system.timed("process_cov") else 0]
        spread = np.hstack([A @ spread, shocks])
        means[t] = C @ mean + at("observation_intercept", t)
        blocks.append(C @ spread)
        own.append(noise_root["observation_cov"][t if system.timed("observation_cov") else 0])
    width = blocks[-1].shape[1]
    factor = np.zeros((horizon * m, width + sum(o.shape[1] for o in own)))
    for t, (block, noise) in enumerate(zip(blocks, own, strict=True)):
        factor[t * m : (t + 1) * m, : block.shape[1]] = block
        factor[t * m : (t + 1) * m, width : width + noise.shape[1]] = noise
        width += noise.shape[1]
    if factor.shape[1] > len(factor):
        factor = np.asarray(np.linalg.qr(factor.T, mode="r")).T
    return means, np.ascontiguousarray(factor)


def simulate(system: System, length: int, n: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """`n` independent draws of states (n, T, k) and observations (n, T, m).

    Raises
    ------
    ValueError : a diffuse start has no distribution to draw from.
    """
    if np.asarray(system.diffuse).any():
        raise ValueError(
            "a diffuse start has no distribution to draw from; give an initial_mean and initial_cov"
        )
    return _simulate(system, length, n, rng)


def _simulate(system: System, length: int, n: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """As `simulate`, the diffuse part of the start put to zero."""
    states, y = np.empty((n, length, system.n)), np.empty((n, length, system.m))
    arrays = {name: layers(system, name) for name in TIMED}
    roots = {
        name: [root(layer) for layer in arrays[name][:length]]
        for name in ("process_cov", "observation_cov")
    }

    def draw(factor: Array) -> Array:
        return rng.standard_normal((n, factor.shape[1])) @ factor.T

    def at(name: str, t: int) -> Any:
        return (roots.get(name) or arrays[name])[t if system.timed(name) else 0]

    h = system.initial_mean + draw(root(system.initial_cov))
    for t in range(length):
        if t:
            h = h @ at("transition", t).T + at("state_intercept", t) + draw(at("process_cov", t))
        states[:, t] = h
        y[:, t] = (
            h @ at("observation", t).T
            + at("observation_intercept", t)
            + draw(at("observation_cov", t))
        )
    return states, y


def sample_states(system: System, y: Array, n: int, rng: np.random.Generator) -> Array:
    """`n` paths of the states given all rows, (n, T, k): the simulation smoother of Durbin & Koopman (2002).

    A path drawn from the model, plus the smoothed states of y less those of its own observations.
    """
    from ._kalman_lanes_numba import smooth_paths

    run = Forward(system, y, 1, STEADY)
    drawn, observed = _simulate(run.system, len(run.y), n, rng)
    rest = whitened(run, run.y - observed)
    paths = np.empty((len(run.y), system.n, n))
    smooth_paths(
        np.ascontiguousarray(rest.transpose(1, 2, 0)), run.A, run.Q, run.C, run.moves, run.pattern, run.slot,
        ~np.isnan(run.errors), run.gains, run.variances, run.diffuse_rows, run.infinite[0], run.infinite[1],
        writable(system.initial_cov), writable(np.asarray(system.diffuse)), paths,
    )  # fmt: skip
    drawn += paths.transpose(2, 0, 1)
    return drawn


def batch_log_likelihood(system: System, Y: Array) -> Array:
    """log p of every series of Y (N, T, m) under one constant system; each has its own missing elements.

    Series are filtered side by side. A diffuse start and an R that is not diagonal are
    filtered one by one.
    """
    Y = np.asarray(Y, dtype=float)
    if Y.ndim != 3 or Y.shape[2] != system.m:
        raise ValueError(f"Y must be (series, T, {system.m}), got {Y.shape}")
    R = system.observation_cov
    if system.varies or np.asarray(system.diffuse).any() or (R - np.diag(np.diag(R))).any():
        return np.array([log_likelihood(system, y) for y in Y])
    from ._kalman_lanes_numba import LANES, batch

    series = len(Y)
    lanes = min(LANES, -(-series // 8) * 8)
    padded = np.full((Y.shape[1], Y.shape[2], -(-series // lanes) * lanes), np.nan)
    padded[:, :, :series] = Y.transpose(1, 2, 0)
    out = np.empty(padded.shape[2])
    batch(
        padded, system.transition, system.state_intercept, system.process_cov, system.observation,
        np.diag(R).copy(), system.observation_intercept, system.initial_mean, system.initial_cov, lanes, out,
    )  # fmt: skip
    return out[:series]
