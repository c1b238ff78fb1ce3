"""Runs of the compiled filter: the arrays it is given and those it fills."""

from __future__ import annotations

from typing import Any

import numpy as np

from .kalman_system import Array, Stack, State, System, check_observations, layers, root, writable

LOG_2PI = float(np.log(2 * np.pi))
UNROLLED = (
    2,
    4,
)  # numbers of states for which the compiled loops are unrolled, one compilation each
_LONG = 1024  # rows with a converged gain that are worth running in lanes


class Forward:
    """One run of the compiled filter: the arrays it was given and those it filled."""

    def __init__(self, system: System, y: Array, keep: int, steady: float):
        from . import _kalman_numba as compiled

        if not steady >= 0:
            raise ValueError(
                f"steady must be a tolerance of at least 0 (0 for no short cut), got {steady!r}"
            )
        self.y = y = check_observations(system, y)
        system = system.rows(0, len(y))
        self.system, self.keep = system, keep
        length, (n, m) = len(y), (system.n, system.m)
        self.steady = float(steady)
        self.A, self.Q = (layers(system, k) for k in ("transition", "process_cov"))
        self.c, self.d = (layers(system, k) for k in ("state_intercept", "observation_intercept"))
        self.moves = np.array([system.timed(k) for k in ("transition", "state_intercept", "process_cov",
                                                         "observation_intercept")], dtype=np.int64)  # fmt: skip
        *rows, self.pattern, self.roots = decorrelate(system, y, self.d)
        self.values, self.C, self.r, self.d = (writable(a) for a in (*rows, self.d))
        if self.roots is not None:
            self.d, self.moves[3] = np.zeros((1, m)), 0
        fixed = not (self.moves[0] or self.moves[2] or system.timed("observation"))
        self.fixed = fixed and not system.timed("observation_cov")
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
        self.infinite = tuple(
            np.zeros(shape) for shape in ((1, 1, 1), (1, 1), (1, 1, 1), (1, 1, 1))
        )
        self._run(compiled)

    def _run(self, compiled: Any) -> None:
        arrays = (
            self.values,
            self.A,
            self.c,
            self.Q,
            self.C,
            self.r,
            self.d,
            self.moves,
            self.pattern,
        )
        rank = _rank(self.Pinf)
        if rank:
            kept = len(self.y) if self.keep else 1
            covs = len(self.y) if self.keep == compiled.ALL else 1
            n, m = self.system.n, self.system.m
            shapes = ((kept, m, n), (kept, m), (covs, n, n), (covs, n, n))
            self.infinite = tuple(np.empty(shape) for shape in shapes)
            self.log_likelihood, self.diffuse_rows, rank = compiled.diffuse_rows(
                *arrays,
                self.mean,
                self.cov,
                self.Pinf,
                rank,
                self.how,
                self.keep,
                *self.stored,
                *self.infinite,
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


class RootForward(Forward):
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
    R, C = layers(system, "observation_cov"), layers(system, "observation")
    diagonal = np.diagonal(R, axis1=1, axis2=2)
    length = len(y)
    if not (R - diagonal[:, :, None] * np.eye(system.m)).any():
        if len(R) == 1 and len(C) == 1:
            return y, C, np.ascontiguousarray(diagonal), np.zeros(length, np.int64), None
        rows = max(len(R), len(C))
        C = np.ascontiguousarray(np.broadcast_to(C, (rows, *C.shape[1:])))
        spread = np.ascontiguousarray(np.broadcast_to(diagonal, (rows, system.m)))
        return y, C, spread, np.arange(length), None
    seen = ~np.isnan(y)
    constant = len(R) == 1 and len(C) == 1
    if constant:
        masks, pattern = _patterns(seen)
    else:
        masks, pattern = seen, np.arange(length)
    roots: list[tuple[Array, Array]] = []
    turned = np.zeros((len(masks), system.m, system.n))
    spread = np.ones((len(masks), system.m))
    deviations = y - d if d.any() else y
    whole = constant and bool(seen.all())
    values = y if whole else np.full_like(y, np.nan)
    for s, mask in enumerate(masks):
        known = np.flatnonzero(mask)
        lower, scales = ldl(R[s if len(R) > 1 else 0][np.ix_(known, known)])
        inverse = np.linalg.inv(lower)
        roots.append((known, inverse))
        turned[s, known] = inverse @ C[s if len(C) > 1 else 0][known]
        spread[s, known] = scales
        if whole:
            values = np.dot(deviations, np.ascontiguousarray(inverse.T))
            continue
        own = np.flatnonzero(pattern == s) if constant else np.array([s])
        values[np.ix_(own, known)] = deviations[np.ix_(own, known)] @ inverse.T
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


def whitened(run: Forward, deviations: Array) -> Array:
    """Deviations (.., T, m) in the coordinates in which the elements of an observation are uncorrelated."""
    if run.roots is None:
        return deviations
    out = np.zeros_like(deviations)
    for s, (known, inverse) in enumerate(run.roots):
        rows = np.flatnonzero(run.pattern == s)
        for part, target in zip(deviations, out, strict=True):
            target[np.ix_(rows, known)] = part[np.ix_(rows, known)] @ inverse.T
    return out
