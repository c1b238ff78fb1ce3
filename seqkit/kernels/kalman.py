"""The Kalman filter and smoother on bare arrays.

    h_t = A_t h_{t-1} + c_t + w_t  (t >= 1),   w_t ~ N(0, Q_t)
    y_t = C_t h_t + d_t + v_t      (t >= 0),   v_t ~ N(0, R_t),      h_0 ~ N(mu_0, P_0 + kappa P_inf), kappa -> oo

h_0 is the state of the first row. Any element of y may be missing (NaN). The recursions are compiled on first
use (`_kalman_numba`, `_kalman_smooth_numba`, `_kalman_lanes_numba`); this module prepares their arrays.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray
LOG_2PI = float(np.log(2 * np.pi))
STEADY = 1e-14  # change of a covariance, in standard deviations, at which its gain counts as converged
UNROLLED = (2, 4)  # numbers of states for which the compiled loops are unrolled, one compilation each
_LONG = 1024  # rows with a converged gain that are worth running in lanes


@dataclass(frozen=True)
class System:
    """The matrices of a linear Gaussian state-space model; see the module for the equations.

    Parameters
    ----------
    transition : A, (n, n), or (T, n, n) when it varies in time; so for all but the start.
    observation : C, (m, n).
    process_cov : Q, (n, n).
    observation_cov : R, (m, m).
    initial_mean, initial_cov : mu_0 (n,), P_0 (n, n) of the state of the first row.
    diffuse : P_inf (n, n), the directions of which nothing is known at the start; None for none.
    state_intercept, observation_intercept : c (n,), d (m,); None for zero.

    Row t of an array with a time axis belongs to time t; row 0 of A, Q and c is not used by a filter.

    Raises
    ------
    ValueError : shapes that do not fit, covariances that are not symmetric, values that are not finite.
    """

    transition: Array
    observation: Array
    process_cov: Array
    observation_cov: Array
    initial_mean: Array
    initial_cov: Array
    diffuse: Array | None = None
    state_intercept: Array | None = None
    observation_intercept: Array | None = None

    def __post_init__(self) -> None:
        n = np.shape(self.transition)[-1] if np.ndim(self.transition) >= 2 else 0
        m = np.shape(self.observation)[-2] if np.ndim(self.observation) >= 2 else 0
        if not n or not m:
            raise ValueError(
                "transition must be (n, n) and observation (m, n), or (T, ..) with a time axis; got "
                f"{np.shape(self.transition)} and {np.shape(self.observation)}"
            )
        shapes: dict[str, tuple[int, ...]] = {
            "transition": (n, n), "observation": (m, n), "process_cov": (n, n), "observation_cov": (m, m),
            "initial_mean": (n,), "initial_cov": (n, n), "diffuse": (n, n),
            "state_intercept": (n,), "observation_intercept": (m,),
        }  # fmt: skip
        length = None
        for name, shape in shapes.items():
            given = getattr(self, name)
            array = np.zeros(shape) if given is None else np.ascontiguousarray(given, dtype=float)
            timed = array.ndim == len(shape) + 1 and name not in _STARTS
            if array.shape[timed:] != shape:
                raise ValueError(
                    f"{name} has shape {array.shape}, expected {shape}"
                    + ("" if name in _STARTS else f" or (T, {', '.join(map(str, shape))})")
                    + f" for {n} state(s) and {m} output(s)"
                )
            if timed:
                if length is not None and len(array) != length[1]:
                    raise ValueError(
                        f"{name} has {len(array)} rows, but {length[0]} has {length[1]}; arrays that vary in time "
                        "need one row per time step"
                    )
                length = (name, len(array))
            if not np.isfinite(array).all():
                raise ValueError(f"{name} holds values that are not finite; fill or correct them")
            if name in _COVARIANCES:
                array = _symmetric(name, array)
            object.__setattr__(self, name, array)

    @classmethod
    def trusted(cls, **arrays: Array) -> System:
        """A system from all nine arrays, float64 and contiguous, without checking them: for inner loops."""
        made = object.__new__(cls)
        vars(made).update(arrays)
        return made

    @property
    def n(self) -> int:
        return self.transition.shape[-1]

    @property
    def m(self) -> int:
        return self.observation.shape[-2]

    @property
    def varies(self) -> bool:
        """Whether any array has a time axis."""
        return any(self._timed(name) for name in _TIMED)

    def _timed(self, name: str) -> bool:
        return getattr(self, name).ndim > _TIMED[name]

    def rows(self, start: int, stop: int | None) -> System:
        """The system of rows start .. stop - 1."""
        cut = {name: getattr(self, name)[start:stop] for name in _TIMED if self._timed(name)}
        return System.trusted(**{**vars(self), **cut}) if cut else self

    def starting(self, mean: Array, cov: Array, diffuse: Array | None = None) -> System:
        """The same system from another start."""
        diffuse = np.zeros_like(cov) if diffuse is None else diffuse
        start = {"initial_mean": mean, "initial_cov": cov, "diffuse": diffuse}
        return System.trusted(**{**vars(self), **start})

    def after(self, state: State) -> System:
        """The same system when `state`, filtered, is that of the row before its first."""
        A, Q, c = (_layers(self, k)[0] for k in ("transition", "process_cov", "state_intercept"))
        cov, diffuse = A @ state.cov @ A.T + Q, A @ state.diffuse @ A.T
        mean = A @ state.mean + c
        return self.starting(mean, (cov + cov.T) / 2, (diffuse + diffuse.T) / 2)


_TIMED = {
    "transition": 2, "observation": 2, "process_cov": 2, "observation_cov": 2, "state_intercept": 1,
    "observation_intercept": 1,
}  # fmt: skip
_STARTS = ("initial_mean", "initial_cov", "diffuse")
_COVARIANCES = ("process_cov", "observation_cov", "initial_cov", "diffuse")


def _symmetric(name: str, array: Array) -> Array:
    turned = np.swapaxes(array, -1, -2)
    if not np.allclose(array, turned, rtol=1e-8, atol=1e-12 * np.abs(array).max(initial=0.0)):
        raise ValueError(f"{name} is not symmetric; a covariance must be")
    if (np.diagonal(array, axis1=-2, axis2=-1) < 0).any():
        raise ValueError(f"{name} has a negative variance on its diagonal")
    return array if np.array_equal(array, turned) else (array + turned) / 2


@dataclass(frozen=True)
class State:
    """What is known of a state: mean (n,), cov (n, n) and the diffuse part (n, n), zero once all is known."""

    mean: Array
    cov: Array
    diffuse: Array


class Stack:
    """A matrix per row, equal ones stored once: row t is stored[index[t]]."""

    def __init__(self, stored: Array, index: Array):
        self.stored, self.index = stored, index

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, t: Any) -> Array:
        return self.stored[self.index[t]]

    def __iter__(self) -> Iterator[Array]:
        return (self.stored[i] for i in self.index)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return self.full() if dtype is None else self.full().astype(dtype)

    def full(self) -> Array:
        """All rows, (T, n, n)."""
        return self.stored[self.index]

    def total(self, weights: Array | None = None) -> Array:
        """sum_t weights_t M_t; a boolean mask selects rows."""
        counts = np.bincount(self.index, weights=weights, minlength=len(self.stored))
        return np.tensordot(counts, self.stored, 1)


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
    _pass: _Forward
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


class _Forward:
    """One run of the compiled filter: the arrays it was given and those it filled."""

    def __init__(self, system: System, y: Array, keep: int, steady: float):
        from . import _kalman_numba as compiled

        if not steady >= 0:
            raise ValueError(f"steady must be a tolerance of at least 0 (0 for no short cut), got {steady!r}")
        self.y = y = check_observations(system, y)
        system = system.rows(0, len(y))
        self.system, self.keep = system, keep
        length, (n, m) = len(y), (system.n, system.m)
        self.steady = steady
        self.A, self.Q = (_layers(system, k) for k in ("transition", "process_cov"))
        self.c, self.d = (_layers(system, k) for k in ("state_intercept", "observation_intercept"))
        self.moves = np.array([system._timed(k) for k in ("transition", "state_intercept", "process_cov",
                                                         "observation_intercept")], dtype=np.int64)  # fmt: skip
        self.values, self.C, self.r, self.pattern, self.roots = decorrelate(system, y, self.d)
        if self.roots is not None:
            self.d, self.moves[3] = np.zeros((1, m)), 0
        fixed = not (self.moves[0] or self.moves[2] or system._timed("observation"))
        self.fixed = fixed and not system._timed("observation_cov")
        self.how = _how(self.A, n, compiled)
        self.states: Any = (0.0,) * n if n in UNROLLED else np.zeros(n)
        kept, covs = (length if keep else 1), (length if keep == compiled.ALL else 1)
        self.density = np.empty(kept)
        self.predicted, self.filtered = np.empty((kept, n)), np.empty((kept, n))
        self.errors, self.slot = np.empty((kept, m)), np.empty(kept, np.int64)
        self.gains, self.variances = np.zeros((kept, m, n)), np.empty((kept, m))
        self.predicted_cov, self.filtered_cov = np.empty((covs, n, n)), np.empty((covs, n, n))
        self.mean, self.cov = system.initial_mean.copy(), system.initial_cov.copy()
        self.Pinf, self.log_likelihood = np.array(system.diffuse), 0.0
        self.diffuse_rows, self.used = 0, 0
        self.stored = (
            self.density, self.predicted, self.filtered, self.errors, self.slot, self.gains, self.variances,
            self.predicted_cov, self.filtered_cov,
        )  # fmt: skip
        self.infinite = tuple(np.zeros(shape) for shape in ((1, 1, 1), (1, 1), (1, 1, 1), (1, 1, 1)))
        self._run(compiled)

    def _run(self, compiled: Any) -> None:
        arrays = (self.values, self.A, self.c, self.Q, self.C, self.r, self.d, self.moves, self.pattern)
        rank = _rank(self.Pinf)
        if rank:
            kept = len(self.y) if self.keep else 1
            covs = len(self.y) if self.keep == compiled.ALL else 1
            n, m = self.system.n, self.system.m
            shapes = ((kept, m, n), (kept, m), (covs, n, n), (covs, n, n))
            self.infinite = tuple(np.empty(shape) for shape in shapes)
            self.log_likelihood, self.diffuse_rows, rank = compiled.diffuse_rows(
                *arrays, self.mean, self.cov, self.Pinf, rank, self.how, self.keep, *self.stored, *self.infinite
            )
            self.used = self.diffuse_rows
        self._known(compiled, arrays)

    def _known(self, compiled: Any, arrays: tuple[Array, ...]) -> None:
        """The rows after the diffuse ones."""
        steady, row = (self.steady if self.fixed else 0.0), self.diffuse_rows
        long = _LONG if self._lanes() else len(self.y) + 1
        while row < len(self.y):
            value, row, self.used, settled = compiled.filter_rows(
                *arrays, self.mean, self.cov, row, self.how, steady, long, self.states,
                self.keep, *self.stored, self.used,
            )  # fmt: skip
            self.log_likelihood += value
            if settled:
                row, self.used = self._settled(row, self.used), 0

    def _lanes(self) -> bool:
        return not (self.keep or self.moves[1] or self.moves[3])

    def _settled(self, start: int, end: int) -> int:
        """Rows start .. end - 1, complete and with a converged gain, in lanes; returns their end."""
        from . import _kalman_lanes_numba as lanes

        n, m = self.system.n, self.system.m
        maps, last = self._closed_loop()
        mean = self.A[0] @ self.mean + self.c[0]  # predicted, of row `start`
        warm = _forgetting(maps[:n, :n])
        count = 128
        while warm is not None and count > 8 and 8 * warm * count > end - start:
            count //= 2
        chunk, done, total = (end - 1 - start) // count, start, 0.0
        if warm is not None and chunk > 2 * warm:
            starts = np.repeat(mean[:, None], count, axis=1)
            before = self.values[start + chunk - warm : start + count * chunk - warm]
            before = before.reshape(count - 1, chunk, m)[:, :warm].transpose(1, 2, 0)
            guess = starts[:, 1:].copy()  # what came more than `warm` rows before is forgotten
            lanes.stretch(np.ascontiguousarray(before), maps, guess)
            starts[:, 1:] = guess
            done = start + count * chunk
            rows = self.values[start:done].reshape(count, chunk, m).transpose(1, 2, 0)
            total += lanes.stretch(np.ascontiguousarray(rows), maps, starts)
            mean = starts[:, -1].copy()
        total += lanes.serial(self.values, done, end - 1, maps, mean)
        final = np.concatenate([mean, self.values[end - 1], [1.0]])
        total += np.sum((maps[n:] @ final) ** 2)
        self.mean[:] = last @ final
        log_det = np.log(self.variances[0]).sum()
        self.log_likelihood -= 0.5 * (total + (end - start) * (log_det + m * LOG_2PI))
        return end

    def _closed_loop(self) -> tuple[Array, Array]:
        """Maps of (predicted state, observation, 1) to (next one, whitened errors) and to the filtered state."""
        n, m = self.system.n, self.system.m
        state = np.eye(n, n + m + 1)
        errors = np.zeros((m, n + m + 1))
        pattern = self.pattern[0] if len(self.C) == 1 else self._complete_pattern()
        for o in range(m):
            errors[o, n + o], errors[o, -1] = 1.0, -self.d[0, o]
            errors[o] -= self.C[pattern, o] @ state
            state = state + np.outer(self.gains[0, o], errors[o])
        after = self.A[0] @ state
        after[:, -1] += self.c[0]
        return np.vstack([after, errors / np.sqrt(self.variances[0])[:, None]]), state

    def _complete_pattern(self) -> int:
        complete = ~np.isnan(self.values).any(1)
        return int(self.pattern[np.argmax(complete)])

    @property
    def end(self) -> State:
        return State(self.mean, self.cov, self.Pinf)

    def factors(self) -> Stack | None:
        return None


class _RootForward(_Forward):
    """The same, with factors of the covariances carried from where the start is no longer diffuse."""

    def _known(self, compiled: Any, arrays: tuple[Array, ...]) -> None:
        from ._kalman_root_numba import root_rows

        n = self.system.n
        roots = np.zeros((len(self.Q), n, n))
        for layer, Q in zip(roots, self.Q, strict=True):
            factor = root(Q)
            layer[:, : factor.shape[1]] = factor
        factor, start = np.zeros((n, n)), root(self.cov)
        factor[:, : start.shape[1]] = start
        self.roots_kept = np.empty((len(self.filtered_cov), n, n))
        values, A, c, _, C, r, d, moves, pattern = arrays
        self.log_likelihood += root_rows(
            values, A, c, roots, C, r, d, moves, pattern, self.mean, factor, self.diffuse_rows, self.keep,
            *self.stored, self.roots_kept,
        )  # fmt: skip
        self.cov[:] = factor @ factor.T
        self.used = len(self.y)

    def factors(self) -> Stack | None:
        if self.keep < 2 or self.diffuse_rows:
            return None
        return Stack(self.roots_kept, np.arange(len(self.y)))


def check_observations(system: System, y: Any) -> Array:
    """`y` as (T, m) float64, refused if it does not fit the system."""
    y = np.ascontiguousarray(y, dtype=float)
    if y.ndim != 2 or y.shape[1] != system.m:
        raise ValueError(f"y must be (T, {system.m}), got {y.shape}")
    if np.isinf(y).any():
        row = int(np.argmax(np.isinf(y).any(1)))
        raise ValueError(f"y has infinite values, first in row {row}; make them missing (NaN) or correct them")
    for name in _TIMED:
        if system._timed(name) and len(getattr(system, name)) < len(y):
            raise ValueError(
                f"{name} has {len(getattr(system, name))} rows, fewer than the {len(y)} of y; give one per step"
            )
    return y


def _layers(system: System, name: str) -> Array:
    """An array with a leading axis: time, or one layer for all times."""
    array = getattr(system, name)
    return array if system._timed(name) else array[None]


def _how(A: Array, n: int, compiled: Any) -> int:
    if n <= max(UNROLLED):
        return compiled.DENSE
    if np.count_nonzero(A[-1]) <= n * n // 3:
        return compiled.SPARSE
    return compiled.DENSE if n < 8 else compiled.BLAS


def _rank(Pinf: Array) -> int:
    """The rank of a positive semi-definite matrix; of a diagonal one without decomposing it."""
    diagonal = np.count_nonzero(np.diagonal(Pinf))
    if np.count_nonzero(Pinf) == diagonal:
        return int(diagonal)
    return int(np.linalg.matrix_rank(Pinf, hermitian=True))


def _forgetting(closed: Array) -> int | None:
    """Rows after which a start no longer matters: ||A_closed^w|| < 1e-18; None if it takes very many."""
    power, rows = closed, 1
    for _ in range(14):
        if np.abs(power).sum(1).max() < 1e-18:
            return rows
        power, rows = power @ power, 2 * rows
    return None


def decorrelate(
    system: System, y: Array, d: Array
) -> tuple[Array, Array, Array, Array, list[tuple[Array, Array]] | None]:
    """Observations whose elements are uncorrelated given the state.

    With R = L D L', L unit lower triangular, L^-1 (y - d) has the covariance D and the observation matrix
    L^-1 C; of a row observed in part, the observed part. Returns (values, C (S, m, n), D (S, m), the layer of every row
    (T,), and per layer (rows that are observed, L^-1), or None where R is diagonal and nothing was changed).
    """
    R, C = _layers(system, "observation_cov"), _layers(system, "observation")
    diagonal = np.diagonal(R, axis1=1, axis2=2)
    length = len(y)
    if not (R - diagonal[:, :, None] * np.eye(system.m)).any():
        if len(R) == 1 and len(C) == 1:
            return y, C, np.ascontiguousarray(diagonal), np.zeros(length, np.int64), None
        layers = max(len(R), len(C))
        C = np.ascontiguousarray(np.broadcast_to(C, (layers, *C.shape[1:])))
        spread = np.ascontiguousarray(np.broadcast_to(diagonal, (layers, system.m)))
        return y, C, spread, np.arange(length), None
    seen = ~np.isnan(y)
    constant = len(R) == 1 and len(C) == 1
    if constant:
        masks, pattern = _patterns(seen)
    else:
        masks, pattern = seen, np.arange(length)
    values, roots = np.full_like(y, np.nan), []
    turned = np.zeros((len(masks), system.m, system.n))
    spread = np.ones((len(masks), system.m))
    deviations = y - d
    for s, mask in enumerate(masks):
        known = np.flatnonzero(mask)
        lower, scales = ldl(R[s if len(R) > 1 else 0][np.ix_(known, known)])
        inverse = np.linalg.inv(lower)
        roots.append((known, inverse))
        turned[s, known] = inverse @ C[s if len(C) > 1 else 0][known]
        spread[s, known] = scales
        if len(known) == system.m and len(masks) == 1:
            return deviations @ inverse.T, turned, spread, pattern, roots
        rows = np.flatnonzero(pattern == s) if constant else np.array([s])
        values[np.ix_(rows, known)] = deviations[np.ix_(rows, known)] @ inverse.T
    return values, turned, spread, pattern, roots


def _patterns(seen: Array) -> tuple[Array, Array]:
    """The different rows of a boolean array, and which of them each row is."""
    if seen.all():
        return seen[:1], np.zeros(len(seen), np.int64)
    if seen.shape[1] > 62:
        masks, index = np.unique(seen, axis=0, return_inverse=True)
        return masks, index.reshape(-1).astype(np.int64)
    codes = seen @ (1 << np.arange(seen.shape[1]))
    _, first, index = np.unique(codes, return_index=True, return_inverse=True)
    return seen[first], index.reshape(-1).astype(np.int64)


def ldl(R: Array) -> tuple[Array, Array]:
    """R = L diag(s) L', L unit lower triangular, for a positive semi-definite R."""
    size = len(R)
    lower, scales = np.eye(size), np.zeros(size)
    for j in range(size):
        scales[j] = max(R[j, j] - lower[j, :j] ** 2 @ scales[:j], 0.0)
        if scales[j] > 1e-14 * R[j, j]:
            rest = R[j + 1 :, j] - (lower[j + 1 :, :j] * lower[j, :j]) @ scales[:j]
            lower[j + 1 :, j] = rest / scales[j]
        else:
            scales[j] = 0.0
    return lower, scales


_KEEP = {"end": 0, "mean": 1, "all": 2}


def _kept(keep: str) -> int:
    if keep not in _KEEP:
        raise ValueError(f"keep must be one of {', '.join(map(repr, _KEEP))}; got {keep!r}")
    return _KEEP[keep]


def log_likelihood(system: System, y: Array, *, steady: float = STEADY) -> float:
    """log p(y) in nats; y (T, m), NaN where missing. `steady` = 0 switches the short cut off."""
    return float(_Forward(system, y, 0, steady).log_likelihood)


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
    kind = _RootForward if form == "square-root" else _Forward
    run = kind(system, y, _kept(keep), steady)
    full = run.keep == 2
    index = run.slot[: len(run.y)] if run.keep else np.zeros(0, np.int64)
    rows = slice(0, len(run.y) if run.keep else 0)
    covs = [Stack(a[: run.used], index) for a in (run.predicted_cov, run.filtered_cov)] if full else [None, None]
    return Filtered(
        run.density[rows], run.predicted[rows], covs[0], run.filtered[rows], covs[1], run.diffuse_rows,
        run.infinite[2][: run.diffuse_rows] if full and run.diffuse_rows else np.zeros((0, system.n, system.n)),
        run.end, float(run.log_likelihood), run, run.factors(),
    )  # fmt: skip


def observed(system: System, run: Filtered) -> tuple[Array, Array]:
    """Mean and variance (T, m) of every element given the rows before; NaN where the variance is infinite."""
    C, R, d = (_layers(system, k) for k in ("observation", "observation_cov", "observation_intercept"))
    length = len(run.predicted_mean)
    mean = np.einsum("tij,tj->ti", C[:length], run.predicted_mean) if len(C) > 1 else run.predicted_mean @ C[0].T
    mean = mean + d[:length]
    noise = np.diagonal(R[:length], axis1=1, axis2=2)
    assert run.predicted_cov is not None
    if len(C) == 1:
        spread = np.einsum("ij,sjk,ik->si", C[0], run.predicted_cov.stored, C[0])[run.predicted_cov.index]
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
        cov[t] = np.where(np.abs(unknown) > 1e-9 * max(size, 1e-300), np.sign(unknown) * np.inf, cov[t])
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


class _Backward:
    """One run of the compiled smoother over a `_Forward` that kept its gains."""

    def __init__(self, run: _Forward, *, lag_one: bool, gradient: bool):
        from . import _kalman_smooth_numba as compiled

        length, (n, m) = len(run.y), (run.system.n, run.system.m)
        keep = run.keep
        covs = length if keep == 2 else 1
        self.mean = np.empty((length, n))
        self.cov, self.place = np.empty((covs, n, n)), np.zeros(length, np.int64)
        lags = covs if lag_one else 1
        self.lag_cov, self.lag_place = np.empty((lags, n, n)), np.zeros(length, np.int64)
        wanted = length if gradient or keep == 1 else 1  # arrays not written cost no memory
        self.pushes = np.empty((wanted, n))
        self.misfits, self.curvatures = np.zeros((wanted, m)), np.zeros((wanted, m))
        self.N_total, self.turned = np.zeros((n, n)), np.zeros((n, n))
        r, N = np.zeros(n), np.zeros((3, n, n))
        steady = run.steady if run.fixed else 0.0
        gains = (run.errors, run.slot, run.gains, run.variances, run.predicted_cov, run.filtered_cov)
        first = run.diffuse_rows
        self.used, self.lag_used, self.lost = compiled.smooth_rows(
            run.A, run.C, run.moves, run.pattern, first, length - 1, r, N, steady, run.states,
            run.filtered, *gains, keep, lag_one, gradient, self.mean, self.cov, self.place, self.lag_cov, self.lag_place,
            self.pushes, self.misfits, self.curvatures, self.N_total, self.turned,
        )  # fmt: skip
        r1 = np.zeros(n)
        if first:
            self.used, self.lag_used = compiled.diffuse_smooth(
                run.A, run.C, run.moves, run.pattern, first - 1, r, N, run.predicted, *gains, *run.infinite,
                keep, lag_one, gradient, self.mean, self.cov, self.place, self.lag_cov, self.lag_place,
                self.used, self.lag_used, self.pushes, self.misfits, self.curvatures, self.N_total, self.turned, r1,
            )  # fmt: skip
        self.N = (N[0] + N[0].T) / 2
        if keep == 1:
            system = run.system
            self.mean[0] = system.initial_mean + system.initial_cov @ r + np.asarray(system.diffuse) @ r1
            compiled.push_forward(run.A, run.c, run.Q, run.moves, self.pushes, self.mean)


def smooth(
    system: System, y: Array, *, keep: str = "all", steady: float = STEADY, lag_one: bool = False
) -> Smoothed:
    """States given all rows. keep="mean" needs memory T n only; `lag_one` adds Cov(h_t, h_{t-1} | y)."""
    if _kept(keep) == 0:
        raise ValueError('smooth returns states, so keep must be "all" or "mean"')
    run = _Forward(system, y, _kept(keep), steady)
    return _smoothed(run, lag_one and run.keep == 2)


def _smoothed(run: _Forward, lag_one: bool) -> Smoothed:
    back = _Backward(run, lag_one=lag_one, gradient=False)
    cov = lag = None
    if run.keep == 2:
        cov = Stack(back.cov[: back.used], back.place)
        if back.lost:
            _repair(run, cov)
    if lag_one:
        stored = np.concatenate([back.lag_cov[: back.lag_used], np.zeros((1, *back.lag_cov.shape[1:]))])
        back.lag_place[0] = back.lag_used
        lag = Stack(stored, back.lag_place)
    return Smoothed(back.mean, cov, lag, float(run.log_likelihood))


def _repair(run: _Forward, cov: Stack) -> None:
    """Recompute smoothed covariances that lost their digits, far below a huge filtered one, in place.

    (I - J A) P_f (I - J A)' + J (P_s + Q) J' with J = P_f A' P_p^-1 is a sum of squares (Rauch, Tung & Striebel 1965).
    """
    known = np.arange(len(run.slot)) >= run.diffuse_rows
    before = np.diagonal(run.filtered_cov, axis1=1, axis2=2)[run.slot]
    after = np.diagonal(cov.stored, axis1=1, axis2=2)[cov.index]
    lost = known & (after < 1e-9 * before).any(1)
    lost[-1:] = False
    for t in np.flatnonzero(lost)[::-1]:
        A, Q = run.A[(t + 1) * run.moves[0]], run.Q[(t + 1) * run.moves[2]]
        filtered, predicted = run.filtered_cov[run.slot[t]], run.predicted_cov[run.slot[t + 1]]
        try:
            np.linalg.cholesky(predicted)
        except np.linalg.LinAlgError:
            continue
        J = np.linalg.solve(predicted, A @ filtered).T
        rest = np.eye(len(A)) - J @ A
        total = rest @ filtered @ rest.T + J @ (cov[t + 1] + Q) @ J.T
        cov.stored[cov.index[t]] = (total + total.T) / 2


def smooth_lag(system: System, y: Array, lag: int) -> tuple[Array, Array]:
    """Fixed-lag smoothing: mean (T, n) and covariance (T, n, n) of h_t given rows 0 .. t + lag.

    Costs lag + 1 backward steps per row; lag = 0 is the filter.
    """
    from ._kalman_smooth_numba import smooth_window

    if lag < 0:
        raise ValueError(f"lag must be a number of rows, at least 0, got {lag!r}")
    run = _Forward(system, y, 2, 0.0)
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
    d/dc_t = r_t, d/dd_t = u_t, d/dA = sum r_t h_{t-1}' - N_t A P_{t-1|t-1}, where h is smoothed (Koopman & Shephard 1992;
    Durbin & Koopman 2012, section 7.3.3). The gradient in C, and in an R that is not diagonal, is by Fisher's
    identity and needs R to be positive definite; elsewhere it is NaN.
    """
    run = _Forward(system, y, 2, STEADY)
    back = _Backward(run, lag_one=False, gradient=True)
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


def _observation_gradient(run: _Forward, back: _Backward) -> tuple[Array, Array, Array]:
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
    C, R = _layers(system, "observation"), _layers(system, "observation_cov")
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


def stationary(transition: Array, process_cov: Array, intercept: Any = 0.0) -> tuple[Array, Array] | None:
    """Mean (n,) and covariance (n, n) of a stationary state, or None where there is none.

    mu = A mu + c and P = A P A' + Q; P by doubling, P <- P + A P A', A <- A^2 (Anderson & Moore 1979, section 6.7).
    """
    A = np.array(transition, dtype=float)
    n = len(A)
    if np.abs(np.linalg.eigvals(A)).max() >= 1 - 1e-9:
        return None
    mean = np.linalg.solve(np.eye(n) - A, np.broadcast_to(np.asarray(intercept, float), (n,)))
    cov = np.array(process_cov, dtype=float)
    for _ in range(64):
        step = A @ cov @ A.T
        cov = cov + step
        A = A @ A
        if np.abs(step).max() <= 1e-16 * np.abs(cov).max():
            break
    return mean, (cov + cov.T) / 2


def root(cov: Array) -> Array:
    """A factor F with F F' = cov for a positive semi-definite matrix, as wide as its rank."""
    values, vectors = np.linalg.eigh(cov)
    keep = values > 1e-15 * max(float(values[-1]), 0.0)
    return vectors[:, keep] * np.sqrt(values[keep])


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
    for name in _TIMED:
        if system._timed(name) and len(getattr(system, name)) < horizon:
            raise ValueError(
                f"{name} varies in time and has {len(getattr(system, name))} rows ahead, fewer than the horizon "
                f"{horizon}; give one per step"
            )
    n, m = system.n, system.m
    arrays = {name: _layers(system, name) for name in _TIMED}

    def at(name: str, t: int) -> Array:
        array = arrays[name]
        return array[t if system._timed(name) else 0]

    noise_root = {name: [root(layer) for layer in arrays[name][:horizon]] for name in ("process_cov", "observation_cov")}
    mean, spread = state.mean, root(state.cov)
    means, blocks = np.empty((horizon, m)), []
    own = []
    for t in range(horizon):
        A, C = at("transition", t), at("observation", t)
        mean = A @ mean + at("state_intercept", t)
        shocks = noise_root["process_cov"][t if system._timed("process_cov") else 0]
        spread = np.hstack([A @ spread, shocks])
        means[t] = C @ mean + at("observation_intercept", t)
        blocks.append(C @ spread)
        own.append(noise_root["observation_cov"][t if system._timed("observation_cov") else 0])
    width = blocks[-1].shape[1]
    factor = np.zeros((horizon * m, width + sum(o.shape[1] for o in own)))
    for t, (block, noise) in enumerate(zip(blocks, own, strict=True)):
        factor[t * m : (t + 1) * m, : block.shape[1]] = block
        factor[t * m : (t + 1) * m, width : width + noise.shape[1]] = noise
        width += noise.shape[1]
    if factor.shape[1] > len(factor):
        factor = np.linalg.qr(factor.T, mode="r").T
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
    arrays = {name: _layers(system, name) for name in _TIMED}
    roots = {
        name: [root(layer) for layer in arrays[name][:length]] for name in ("process_cov", "observation_cov")
    }

    def draw(factor: Array) -> Array:
        return rng.standard_normal((n, factor.shape[1])) @ factor.T

    def at(name: str, t: int) -> Any:
        return (roots.get(name) or arrays[name])[t if system._timed(name) else 0]

    h = system.initial_mean + draw(root(system.initial_cov))
    for t in range(length):
        if t:
            h = h @ at("transition", t).T + at("state_intercept", t) + draw(at("process_cov", t))
        states[:, t] = h
        y[:, t] = h @ at("observation", t).T + at("observation_intercept", t) + draw(at("observation_cov", t))
    return states, y


def sample_states(system: System, y: Array, n: int, rng: np.random.Generator) -> Array:
    """`n` paths of the states given all rows, (n, T, k): the simulation smoother of Durbin & Koopman (2002).

    A path drawn from the model, plus the smoothed states of y less those of its own observations.
    """
    from ._kalman_lanes_numba import smooth_paths

    run = _Forward(system, y, 1, STEADY)
    drawn, observed = _simulate(run.system, len(run.y), n, rng)
    rest = _whitened(run, run.y - observed)
    paths = np.empty((len(run.y), system.n, n))
    smooth_paths(
        np.ascontiguousarray(rest.transpose(1, 2, 0)), run.A, run.Q, run.C, run.moves, run.pattern, run.slot,
        ~np.isnan(run.errors), run.gains, run.variances, run.diffuse_rows, run.infinite[0], run.infinite[1],
        system.initial_cov, np.asarray(system.diffuse), paths,
    )  # fmt: skip
    drawn += paths.transpose(2, 0, 1)
    return drawn


def _whitened(run: _Forward, deviations: Array) -> Array:
    """Deviations (.., T, m) in the coordinates in which the elements of an observation are uncorrelated."""
    if run.roots is None:
        return deviations
    out = np.zeros_like(deviations)
    for s, (known, inverse) in enumerate(run.roots):
        rows = np.flatnonzero(run.pattern == s)
        for part, target in zip(deviations, out, strict=True):
            target[np.ix_(rows, known)] = part[np.ix_(rows, known)] @ inverse.T
    return out


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
