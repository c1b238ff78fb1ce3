"""Hidden chains on bare arrays: log-partition, marginals, best paths, samples, and the expected counts of EM.

A chain gives the path s_1 .. s_T the weight  initial(s_1) phi_1(s_1) prod_t A_t(s_{t-1}, s_t) phi_t(s_t).  Weights
are probabilities in a hidden Markov model and free scores in a conditional random field; Z is their sum over all
paths (Rabiner 1989; Lafferty, McCallum & Pereira 2001).

Every function takes

initial : (K,), not negative.
transition : (K, K), row i from state i; or (T, K, K), layer t leading from step t - 1 to step t (layers of first steps
    are not used). Zeros are impossible moves.
log_potentials : (R, K), log phi. -inf forbids a state at a step, a row of zeros says nothing (a missing step).
rows : (T,) which row of log_potentials each step has, where steps share rows; None for row t.
offsets : (n + 1,) where sequences begin and end; None for one sequence.

Recursions run in scaled space, faster and more accurate than logarithms (at a million steps, errors of posteriors of
1e-15 instead of 1e-10); sequences in which something that matters would underflow are redone in logarithms.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray
_SAFE = 1e-100  # transitions above this leave no state that only an underflowed path leads to


class Filtered(NamedTuple):
    """log Z (n,) and P(s_t | steps up to t) (T, K)."""

    log_partition: Array
    probabilities: Array


class Marginals(NamedTuple):
    """log Z (n,) and P(s_t | all steps) (T, K)."""

    log_partition: Array
    probabilities: Array


class Expected(NamedTuple):
    """Sums over steps and sequences, given everything: what an EM step needs.

    log_partition (n,); initial (K,) first states; transition (K, K) moves; weights (R, K) visits by row of potentials;
    last (n, K) marginals of last steps.
    """

    log_partition: Array
    initial: Array
    transition: Array
    weights: Array
    last: Array


class Path(NamedTuple):
    """The best path of every sequence, (T,) int64, and the logarithm of its weight (n,)."""

    states: Array
    score: Array


def log_partition(
    initial: Any, transition: Any, log_potentials: Any, *, rows: Any = None, offsets: Any = None
) -> Array:
    """log Z of every sequence, (n,); -inf where no path is possible.

    Examples
    --------
    >>> import numpy as np
    >>> potentials = np.log([[0.1, 0.6], [0.4, 0.3], [0.5, 0.1]])
    >>> np.exp(log_partition([0.6, 0.4], [[0.7, 0.3], [0.4, 0.6]], potentials)).round(6)
    array([0.033612])
    """
    run = _Run(initial, transition, log_potentials, rows, offsets)
    if not run.in_lanes("LOG_ONLY"):
        run.forward(keep=False)
    return run.log_z


def filter(
    initial: Any, transition: Any, log_potentials: Any, *, rows: Any = None, offsets: Any = None
) -> Filtered:
    """P(s_t | steps up to t): alpha_t(j) ~ phi_t(j) sum_i alpha_{t-1}(i) A(i, j) (Rabiner 1989, eq. 20)."""
    run = _Run(initial, transition, log_potentials, rows, offsets)
    if run.in_lanes("FILTER"):
        return Filtered(run.log_z, run.matrix())
    return Filtered(run.forward(keep=True), run.filtered())


def advance(
    initial: Any, transition: Any, log_potentials: Any, *, rows: Any = None
) -> tuple[float, Array]:
    """log Z of one sequence and P(s_T | all steps) (K,), without a row per step: long sequences go stretch by stretch.

    p(y_1 .. y_T) = prod_b p(stretch b | those before), whose initial law is P(s | those before) times the transition.
    """
    run = _Run(initial, transition, log_potentials, rows, None)
    log_z = float(run.forward(keep=False)[0])
    last = run.last[: run.K]
    return log_z, last / last.sum() if log_z > -np.inf else np.full(run.K, np.nan)


def marginals(
    initial: Any, transition: Any, log_potentials: Any, *, rows: Any = None, offsets: Any = None
) -> Marginals:
    """P(s_t | all steps) (Rabiner 1989, eq. 27); NaN in sequences without a possible path."""
    run = _Run(initial, transition, log_potentials, rows, offsets)
    if not run.in_lanes("MARGINALS"):
        run.forward(keep=True)
        run.backward(counting=False)
    return Marginals(run.log_z, run.matrix())


def expected(
    initial: Any, transition: Any, log_potentials: Any, *, rows: Any = None, offsets: Any = None
) -> Expected:
    """Expected numbers of first states, moves and visits (Baum et al. 1970; Rabiner 1989, eqs. 37-40)."""
    run = _Run(initial, transition, log_potentials, rows, offsets)
    if run.in_lanes("COUNTS"):
        gamma = run.matrix()
        return Expected(run.log_z, gamma[0].copy(), run.moves, gamma, gamma[-1:].copy())
    run.forward(keep=True)
    initial_counts, moves, weights = run.backward(counting=True)
    if run.layered:  # every step has a transition of its own
        moves = pair_marginals(initial, transition, log_potentials, rows=rows, offsets=offsets).sum(
            0
        )
    last = run.matrix()[run.offsets[1:] - 1].copy()
    return Expected(run.log_z, initial_counts, moves, weights, last)


def pair_marginals(
    initial: Any, transition: Any, log_potentials: Any, *, rows: Any = None, offsets: Any = None
) -> Array:
    """P(s_{t-1} = i, s_t = j | all steps), (T, K, K); zeros at first steps."""
    run = _Run(initial, transition, log_potentials, rows, offsets)
    gamma = marginals(initial, transition, log_potentials, rows=rows, offsets=offsets)
    filtered = run.forward(keep=True)
    alpha = run.filtered()
    pairs = np.zeros((run.length, run.K, run.K))
    later = np.ones(run.length, dtype=bool)
    later[run.offsets[:-1][np.diff(run.offsets) > 0]] = False
    t = np.flatnonzero(later)
    if len(t):
        A = run.transition[t] if run.layered else run.transition[0]
        ahead = np.einsum("ti,tij->tj" if run.layered else "ti,ij->tj", alpha[t - 1], A)
        ratio = np.divide(
            gamma.probabilities[t], ahead, out=np.zeros_like(ahead), where=ahead > 1e-280
        )
        pairs[t] = alpha[t - 1][:, :, None] * A * ratio[:, None, :]
    for n in np.flatnonzero(run.unsound | ~np.isfinite(filtered)):
        run.pairs_in_logs(int(n), pairs)
    return pairs


def viterbi(
    initial: Any, transition: Any, log_potentials: Any, *, rows: Any = None, offsets: Any = None
) -> Path:
    """The path of the largest weight (Viterbi 1967; Rabiner 1989, eqs. 32-35).

    Raises
    ------
    ValueError : a sequence has no possible path.
    """
    from ._viterbi_numba import viterbi as compiled

    run = _Run(initial, transition, log_potentials, rows, offsets)
    K, width = run.K, run.width
    log_A = np.full(len(run.transition) * width * width, -np.inf)
    with np.errstate(divide="ignore"):
        log_A.reshape(-1, width, width)[:, :K, :K] = np.log(run.transition)
        log_initial = np.log(run.initial)
    pointers = np.empty(run.length * K, np.uint8 if K <= 256 else np.uint16)
    path, score = np.empty(run.length, np.int64), np.empty(run.n)
    work = np.empty(3 * width + 8)
    compiled(log_initial, log_A, run.layered, run.logs.reshape(-1), run.rows, run.offsets, pointers, path, score,
             work, K, width)  # fmt: skip
    for n in np.flatnonzero(~np.isfinite(score)):
        if np.isnan(score[n]):
            raise _not_a_number(run.logs)
        raise ValueError(
            f"sequence {n} has no possible path: every path meets a forbidden state or a transition of probability 0"
        )
    return Path(path, score)


def k_best(
    initial: Any, transition: Any, log_potentials: Any, k: int, *, rows: Any = None
) -> tuple[Array, Array]:
    """The `k` paths of largest weight of one sequence, (k, T), best first, and the logarithms of their weights (k,).

    Fewer than `k` rows where fewer paths are possible (Seshadri & Sundberg 1994, parallel list Viterbi).
    """
    from ._chain_logs_numba import best_paths

    if k < 1:
        raise ValueError(f"k must be at least 1, got {k!r}")
    run = _Run(initial, transition, log_potentials, rows, None)
    paths, scores = best_paths(*run.in_logs(0), int(k))
    found = scores > -np.inf
    return paths[found], scores[found]


def sample(
    initial: Any, transition: Any, log_potentials: Any, n: int, rng: np.random.Generator, *, rows: Any = None,
    offsets: Any = None,
) -> Array:  # fmt: skip
    """`n` paths from P(states | all steps), (n, T): filtered forward, drawn backward (Carter & Kohn 1994)."""
    from ._chain_logs_numba import forward_logs, sample_paths

    run = _Run(initial, transition, log_potentials, rows, offsets)
    run.forward(keep=True)
    filtered = run.filtered()
    drawn = np.empty((n, run.length), np.int64)
    with np.errstate(divide="ignore"):
        log_filtered = np.log(filtered)
    for i, (start, stop) in enumerate(zip(run.offsets[:-1], run.offsets[1:], strict=True)):
        if run.log_z[i] == -np.inf:
            raise ValueError(f"sequence {i} has no possible path to draw")
        if stop > start:
            log_initial, log_A, logs = run.in_logs(i)
            alpha = (
                forward_logs(log_initial, log_A, logs)[0]
                if run.unsound[i]
                else log_filtered[start:stop]
            )
            paths = np.empty((n, stop - start), np.int64)
            sample_paths(log_A, alpha, rng.uniform(size=paths.shape), paths)
            drawn[:, start:stop] = paths
    return drawn


class _Run:
    """One pass over checked arrays: padded copies of the parameters, the buffers, and the sequences to be redone."""

    def __init__(self, initial: Any, transition: Any, log_potentials: Any, rows: Any, offsets: Any):
        self.initial = np.asarray(initial, float)
        self.transition = np.asarray(transition, float)
        self.logs = np.ascontiguousarray(log_potentials, float)
        if self.logs.ndim != 2 or not self.logs.shape[1]:
            raise ValueError(f"log_potentials must be (steps, states), got shape {self.logs.shape}")
        self.K = K = self.logs.shape[1]
        self.length = len(self.logs) if rows is None else len(rows)
        if self.initial.shape != (K,):
            raise ValueError(
                f"initial must be ({K},) like the states of log_potentials, got {self.initial.shape}"
            )
        if self.transition.ndim == 2:
            self.transition = self.transition[None]
            self.layered = False
        else:
            self.layered = self.length > 1
        wanted = (self.length if self.layered else 1, K, K)
        if self.transition.shape != wanted:
            raise ValueError(
                f"transition must be ({K}, {K}) or ({self.length}, {K}, {K}), got {np.shape(transition)}"
            )
        for name, value in (("initial", self.initial), ("transition", self.transition)):
            if not (value.min() >= 0 and value.max() < np.inf):
                raise ValueError(
                    f"{name} must hold finite weights of at least 0, got {value.min()} .. {value.max()}"
                )
        self.rows = np.empty(0, np.int64) if rows is None else np.ascontiguousarray(rows, np.int64)
        if (
            rows is not None
            and len(self.rows)
            and not (self.rows.min() >= 0 and self.rows.max() < len(self.logs))
        ):
            raise ValueError(
                f"rows must lie in 0 .. {len(self.logs) - 1}, got {self.rows.min()} .. {self.rows.max()}"
            )
        self.offsets = (
            np.array([0, self.length]) if offsets is None else np.asarray(offsets, np.int64)
        )
        lengths = self.offsets[1:] - self.offsets[:-1]
        if (
            self.offsets[0] != 0
            or self.offsets[-1] != self.length
            or not lengths.min(initial=1) > 0
        ):
            raise ValueError(
                f"offsets must rise from 0 to the number of steps, {self.length}, each sequence holding a step; "
                f"got {self.offsets[:5]} .. {self.offsets[-1]}"
            )
        self.n = len(self.offsets) - 1
        self.width = (K + 7) // 8 * 8
        self.safe = bool(self.transition.min() > _SAFE)
        self.log_z, self.unsound = np.empty(self.n), np.zeros(self.n, bool)

    def in_lanes(self, mode: str) -> bool:
        """Whether this was one long sequence of few states, and has been done in lanes (`_chain_lanes_numba`)."""
        if self.K > 4 or self.length < 5000 or self.n > 1 or self.layered or len(self.rows):
            return False
        from . import _chain_lanes_numba as lanes

        if not lanes.fits(self.initial, self.transition[0], self.length):
            return False
        self.F = aligned(8 if mode == "LOG_ONLY" else self.length * self.K + 8)
        found = lanes.attempt(
            self.initial, self.transition[0], self.logs, getattr(lanes, mode), self.F
        )
        self.log_z[0], self.moves = found
        return not np.isnan(self.log_z[0])

    def _padded(self, transition: Array) -> Array:
        flat = aligned(len(transition) * self.width**2)
        flat.reshape(-1, self.width, self.width)[:, : self.K, : self.K] = transition
        return flat

    def _tables(self) -> tuple[Array, ...]:
        """Weights of the rows that are shared, exponentiated once; else empty."""
        if not len(self.rows):
            return np.empty(0), np.empty(0)
        from . import _chain_numba as compiled

        table, top = aligned(self.logs.size + compiled.SLACK), np.empty(len(self.logs))
        compiled.weigh_all(self.logs.reshape(-1), table, top, self.K)
        return table, top

    def forward(self, keep: bool) -> Array:
        from . import _chain_numba as compiled

        K, width = self.K, self.width
        start = aligned(width)
        start[:K] = self.initial
        self.tables = self._tables()
        self.F = aligned(self.length * K + compiled.SLACK if keep else 8)
        self.work = aligned(13 * width + compiled.BLOCK * K + compiled.SLACK)
        self.last = aligned(width)
        compiled.forward(start, self._padded(self.transition), self.layered, self.safe, self.logs.reshape(-1),
                         *self.tables, self.rows, self.offsets, keep, self.F, self.log_z, self.last, self.work, K,
                         width)  # fmt: skip
        for n in np.flatnonzero(np.isnan(self.log_z)):
            self._redo(int(n), keep)
        return self.log_z

    def _redo(self, n: int, keep: bool) -> None:
        """The forward pass of sequence n in logarithms."""
        from ._chain_logs_numba import forward_logs

        arrays = self.in_logs(n)
        if np.isnan(arrays[2]).any() or np.isposinf(arrays[2]).any():
            raise _not_a_number(self.logs)
        alpha, self.log_z[n] = forward_logs(*arrays)
        self.unsound[n] = True
        self.last[: self.K] = np.exp(alpha[-1])
        if keep:
            possible = self.log_z[n] > -np.inf
            self.matrix()[self.offsets[n] : self.offsets[n + 1]] = (
                np.exp(alpha)
                if possible
                else 0.0  # not NaN: vectors of neighbouring rows reach into these
            )

    def in_logs(self, n: int) -> tuple[Array, Array, Array]:
        """log initial, log transition and log-potentials of the steps of sequence n."""
        span = slice(self.offsets[n], self.offsets[n + 1])
        logs = self.logs[self.rows[span]] if len(self.rows) else self.logs[span]
        with np.errstate(divide="ignore"):
            return (
                np.log(self.initial),
                np.log(self.transition[span] if self.layered else self.transition),
                np.ascontiguousarray(logs),
            )

    def matrix(self) -> Array:
        return self.F[: self.length * self.K].reshape(self.length, self.K)

    def filtered(self) -> Array:
        from . import _chain_numba as compiled

        compiled.normalise(self.matrix())
        return self.matrix()

    def backward(self, counting: bool) -> tuple[Array, Array, Array]:
        from . import _chain_numba as compiled

        K, width = self.K, self.width
        counts, first = aligned(width * width), np.zeros(K)
        gather = len(self.rows) > 0
        sums = np.zeros(self.logs.size if gather and counting else 0)
        flags = np.where(self.unsound, np.nan, self.log_z)
        before = flags.copy()
        turned = self._padded(np.swapaxes(self.transition, 1, 2))
        compiled.backward(turned, self.layered, self.safe, self.logs.reshape(-1), *self.tables, self.rows,
                          self.offsets, self.F, counting, sums, counts, first, flags, self.work, K, width)  # fmt: skip
        moves = counts.reshape(width, width)[:K, :K] * self.transition[0]
        weights = sums.reshape(-1, K) if gather else self.matrix()
        fell = np.isnan(flags) & ~np.isnan(before)
        if (
            fell.any()
        ):  # found out half-way: what they added cannot be told apart, so all is counted again
            return self._again(fell, counting)
        for n in np.flatnonzero(self.unsound):
            self._marginals_in_logs(int(n), first, moves, sums if gather and counting else None)
        return first, moves, weights

    def _again(self, fell: Array, counting: bool) -> tuple[Array, Array, Array]:
        self.forward(keep=True)
        self.unsound |= fell
        return self.backward(counting)

    def _marginals_in_logs(self, n: int, first: Array, moves: Array, sums: Array | None) -> None:
        from ._chain_logs_numba import backward_logs, forward_logs

        span = slice(self.offsets[n], self.offsets[n + 1])
        log_initial, log_A, logs = self.in_logs(n)
        alpha, _ = forward_logs(log_initial, log_A, logs)
        pairs = np.zeros((1, self.K, self.K))
        if np.isneginf(self.log_z[n]):
            gamma = np.full_like(logs, np.nan)
        else:
            gamma = backward_logs(log_A, logs, alpha, pairs)
        self.matrix()[span] = gamma
        first += gamma[0]
        moves += pairs[0]
        if sums is not None:
            np.add.at(sums.reshape(-1, self.K), self.rows[span], gamma)

    def pairs_in_logs(self, n: int, pairs: Array) -> None:
        from ._chain_logs_numba import backward_logs, forward_logs

        span = slice(self.offsets[n], self.offsets[n + 1])
        log_initial, log_A, logs = self.in_logs(n)
        pairs[span] = np.nan if np.isneginf(self.log_z[n]) else 0.0
        if np.isfinite(self.log_z[n]):
            backward_logs(log_A, logs, forward_logs(log_initial, log_A, logs)[0], pairs[span])


def aligned(size: int) -> Array:
    """Zeros that begin where a cache line does: a vector load across two lines costs twice."""
    raw = np.zeros(size + 8)
    start = (-raw.ctypes.data // 8) % 8
    return raw[start : start + size]


def _not_a_number(logs: Array) -> ValueError:
    bad = np.argwhere(np.isnan(logs) | np.isposinf(logs))[0]
    return ValueError(
        f"log_potentials must be finite or -inf, got {logs[tuple(bad)]} at row {bad[0]}, state {bad[1]}"
    )
