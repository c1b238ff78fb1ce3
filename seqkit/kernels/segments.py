r"""Chains of segments: explicit durations, the hidden semi-Markov model. Arrays in, arrays out.

    weight = initial[k_1] prod_i durations[k_i, d_i] prod_{i>1} transition[k_{i-1}, k_i]
             prod_t exp(log_potentials[t, s_t])

A path is a row of segments; segment i has state k_i and lasts d_i = 1 .. D steps, and the state s_t
of a step is that of its segment. The first segment begins at the first step. With `censored` the
last one may outlast the data: what counts is the weight of all durations that are long enough
(right censoring); without it, it ends at the last step.

Every function takes initial (K,), transition (K, K), durations (K, D) with durations[k, d - 1] the
weight of lasting d steps, and log_potentials (R, K), -inf to forbid a state; all weights may be
zero, and need not sum to one. A positive diagonal of `transition` puts segments of one state beside
each other. `rows` (T,) says which row of log_potentials a step reads, `offsets` (n + 1,) where
sequences begin that lie end to end. Time is O(T K (D + K)), memory O(T K).

Sources: Ferguson (1980), "Variable duration models for speech"; Guedon (2003), "Estimating hidden
semi-Markov chains from discrete sequences", JCGS 12; Yu (2010), "Hidden semi-Markov models",
Artificial Intelligence 174.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

__all__ = [
    "Expected", "Filtered", "Marginals", "Path",
    "expected", "filter", "log_partition", "marginals", "sample", "viterbi",
]  # fmt: skip

Array = np.ndarray


class Filtered(NamedTuple):
    """What `filter` gives."""

    log_partition: Array  # (n,)
    probabilities: Array  # (T, K) P(s_t | steps 0 .. t)


class Marginals(NamedTuple):
    """What `marginals` gives."""

    log_partition: Array  # (n,)
    probabilities: Array  # (T, K) P(s_t | all steps)


class Expected(NamedTuple):
    """What `expected` gives: expected numbers, over all sequences."""

    log_partition: Array  # (n,)
    initial: Array  # (K,) first segments in each state
    transition: Array  # (K, K) moves from one segment to the next
    durations: Array  # (K, D) segments of each duration, whole ones: also of what was cut off
    weights: Array  # (R, K) steps that read each row, in each state


class Path(NamedTuple):
    """What `viterbi` gives."""

    states: Array  # (T,) int64
    starts: Array  # (T,) bool, where a segment begins
    score: Array  # (n,) log weight of each sequence's path


def log_partition(
    initial: Any, transition: Any, durations: Any, log_potentials: Any, *,
    rows: Any = None, offsets: Any = None, censored: bool = True,
) -> Array:  # fmt: skip
    """log Z of each sequence, (n,): the log of the sum of the weights of all paths; -inf for none.

    Raises ValueError for wrong shapes, negative weights and NaN, as do the other functions.

    >>> stay = [[0.5, 0.5]]  # a segment lasts 1 or 2 steps: 3 steps are 1 1 1, 1 2, 2 1
    >>> import math
    >>> z = log_partition([1.0], [[1.0]], stay, [[0.0]] * 3, censored=False)
    >>> math.exp(z[0])
    0.625
    """
    problem = _Problem.of(initial, transition, durations, log_potentials, rows, offsets, censored)
    out = np.empty(problem.count)
    for i, part in enumerate(problem.parts()):
        start, _, shift = part.backward()
        out[i] = _log_sum(problem.initial + start[0]) + shift[1:].sum()
    return out


def filter(
    initial: Any, transition: Any, durations: Any, log_potentials: Any, *,
    rows: Any = None, offsets: Any = None, censored: bool = True,
) -> Filtered:  # fmt: skip
    """Probabilities of each step's state given the steps so far, its segment free to go on.

    NaN from where nothing is possible. `censored` matters for log_partition alone.

    >>> filter([1.0, 0.0], [[0, 1.0], [1.0, 0]], [[0.5, 0.5], [0.5, 0.5]], np.zeros((2, 2)))[1]
    array([[1. , 0. ],
           [0.5, 0.5]])
    """
    from seqkit.kernels import _segments_numba as compiled

    problem = _Problem.of(initial, transition, durations, log_potentials, rows, offsets, censored)
    states, log_z = np.empty((len(problem.rows), problem.size)), np.empty(problem.count)
    for i, part in enumerate(problem.parts()):
        begins = np.empty((len(part.rows), problem.size))
        weights = problem.initial, *problem.laws, problem.potentials, part.rows
        going, ended = compiled.forward(*weights, begins, states[part.span])
        log_z[i] = going if censored else ended
    return Filtered(log_z, states)


def marginals(
    initial: Any, transition: Any, durations: Any, log_potentials: Any, *,
    rows: Any = None, offsets: Any = None, censored: bool = True,
) -> Marginals:  # fmt: skip
    """Probabilities of each step's state given all steps of its sequence; NaN where Z = 0.

    >>> turn, two = [[0.0, 1.0], [1.0, 0.0]], [[0.0, 1.0], [0.0, 1.0]]  # every segment lasts two
    >>> marginals([0.5, 0.5], turn, two, [[0, 0], [0, 0], [0.0, -np.inf]]).probabilities
    array([[0., 1.],
           [0., 1.],
           [1., 0.]])
    """
    problem = _Problem.of(initial, transition, durations, log_potentials, rows, offsets, censored)
    counts = _Counts.of(problem)
    return Marginals(counts.log_z, counts.states)


def expected(
    initial: Any, transition: Any, durations: Any, log_potentials: Any, *,
    rows: Any = None, offsets: Any = None, censored: bool = True,
) -> Expected:  # fmt: skip
    """Expected numbers of starts, moves, segments by duration, and visits: what EM needs.

    A last segment that was cut off after d steps counts as the durations of d and more, in
    proportion to their weights. NaN where some Z = 0.

    >>> found = expected([1.0], [[1.0]], [[0.5, 0.25, 0.25]], np.zeros((1, 1)))
    >>> found.durations, found.transition  # one step seen: the segment may last 1, 2 or 3
    (array([[0.5 , 0.25, 0.25]]), array([[0.]]))
    """
    problem = _Problem.of(initial, transition, durations, log_potentials, rows, offsets, censored)
    counts = _Counts.of(problem)
    survival = _survival(problem.durations)
    share = np.divide(counts.cut, survival, out=np.zeros_like(survival), where=survival > 0)
    lasting = counts.durations + problem.durations * share.cumsum(axis=1)
    if problem.whole_rows:
        weights = counts.states
    else:
        weights = np.zeros_like(problem.potentials)
        np.add.at(weights, problem.rows, counts.states)
    first = counts.states[problem.offsets[:-1]].sum(axis=0)
    bad = np.isneginf(counts.log_z).any()
    missing = np.nan if bad else 0.0
    return Expected(counts.log_z, first, counts.moves + missing, lasting + missing, weights)


def viterbi(
    initial: Any, transition: Any, durations: Any, log_potentials: Any, *,
    rows: Any = None, offsets: Any = None, censored: bool = True,
) -> Path:  # fmt: skip
    """The segments of largest weight of each sequence, and the log of their weight.

    Raises ValueError for a sequence that no path can explain.

    >>> turn, law = [[0.0, 1.0], [1.0, 0.0]], [[0.1, 0.9], [0.1, 0.9]]
    >>> viterbi([0.6, 0.4], turn, law, np.zeros((4, 2))).states
    array([0, 0, 1, 1])
    """
    from seqkit.kernels import _segments_numba as compiled

    problem = _Problem.of(initial, transition, durations, log_potentials, rows, offsets, censored)
    states = np.empty(len(problem.rows), np.int64)
    starts, score = np.zeros(len(problem.rows), bool), np.empty(problem.count)
    for i, part in enumerate(problem.parts()):
        longest, following = np.empty((2, len(part.rows), problem.size), np.int64)
        start, _, shift = part.backward((longest, following))
        first = problem.initial + start[0]
        score[i] = first.max() + shift[1:].sum()
        _refuse_impossible(score[i], i)
        state = int(first.argmax())
        compiled.read_best(state, longest, following, states[part.span], starts[part.span])
    return Path(states, starts, score)


def sample(
    initial: Any, transition: Any, durations: Any, log_potentials: Any, n: int,
    rng: np.random.Generator, *, rows: Any = None, offsets: Any = None, censored: bool = True,
) -> Array:  # fmt: skip
    """Draw n paths of states of every sequence from the posterior, (n, T) int64.

    Raises ValueError for a sequence that no path can explain.

    >>> turn, two = [[0.0, 1.0], [1.0, 0.0]], [[0.0, 1.0], [0.0, 1.0]]
    >>> sample([1.0, 0.0], turn, two, np.zeros((5, 2)), 1, np.random.default_rng(0))
    array([[0, 0, 1, 1, 0]])
    """
    from seqkit.kernels import _segments_numba as compiled

    if n < 1:
        raise ValueError(f"expected n of at least 1 path, got {n}")
    problem = _Problem.of(initial, transition, durations, log_potentials, rows, offsets, censored)
    out = np.empty((n, len(problem.rows)), np.int64)
    for i, part in enumerate(problem.parts()):
        found = part.backward()
        _refuse_impossible(_log_sum(problem.initial + found[0][0]), i)
        given = (problem.initial, *problem.laws, problem.potentials, part.rows, censored, *found)
        for path in out:
            compiled.draw(*given, rng.random((len(part.rows), 2)), path[part.span])
    return out


@dataclass(frozen=True)
class _Problem:
    """Arguments that fit each other, weights as logarithms."""

    initial: Array  # log
    laws: tuple[Array, Array, Array]  # logs of transition, durations and their survival function
    durations: Array
    potentials: Array
    rows: Array  # (T,)
    offsets: Array
    censored: bool
    whole_rows: bool  # step t reads row t

    @classmethod
    def of(
        cls, initial: Any, transition: Any, durations: Any, log_potentials: Any, rows: Any,
        offsets: Any, censored: bool,
    ) -> _Problem:  # fmt: skip
        initial, transition, durations, potentials = (
            np.ascontiguousarray(x, float) for x in (initial, transition, durations, log_potentials)
        )
        _check(initial, transition, durations, potentials)
        places = np.arange(len(potentials)) if rows is None else _integers("rows", rows)
        ends = [0, len(places)] if offsets is None else offsets
        ends = _integers("offsets", ends)
        _check_places(places, ends, len(potentials))
        with np.errstate(divide="ignore"):
            start = np.log(initial)
            laws = np.log(transition), np.log(durations), np.log(_survival(durations))
        return cls(start, laws, durations, potentials, places, ends, bool(censored), rows is None)

    @property
    def size(self) -> int:
        return len(self.initial)

    @property
    def count(self) -> int:
        return len(self.offsets) - 1

    def parts(self) -> Iterator[_Part]:
        """The sequences, one after the other."""
        for i in range(self.count):
            yield _Part(self, slice(self.offsets[i], self.offsets[i + 1]))


@dataclass(frozen=True)
class _Part:
    """One sequence of a problem."""

    problem: _Problem
    span: slice

    @property
    def rows(self) -> Array:
        return self.problem.rows[self.span]

    def backward(self, best: tuple[Array, Array] | None = None) -> tuple[Array, Array, Array]:
        """Log weights of what follows a start and an end of a segment, and the shifts of steps.

        Sums over paths; with `best`, maxima, whose places are put there.
        """
        from seqkit.kernels import _segments_numba as compiled

        problem = self.problem
        start, out = np.empty((2, len(self.rows), problem.size))
        shift = np.empty(len(self.rows))
        given = (*problem.laws, problem.potentials, self.rows, problem.censored, start, out, shift)
        if best is None:
            compiled.backward(*given)
        else:
            compiled.backward_best(*given, *best)
        return start, out, shift


@dataclass(frozen=True)
class _Counts:
    """Posterior probabilities and their sums."""

    log_z: Array
    states: Array  # (T, K)
    moves: Array  # (K, K)
    durations: Array  # (K, D) segments that ended
    cut: Array  # (K, D) last segments, of which so many steps were seen

    @classmethod
    def of(cls, problem: _Problem) -> _Counts:
        from seqkit.kernels import _segments_numba as compiled

        length, size = len(problem.rows), problem.size
        found = cls(
            np.empty(problem.count), np.empty((length, size)), np.zeros((size, size)),
            *np.zeros((2, *problem.durations.shape)),
        )  # fmt: skip
        sums = found.moves, found.durations, found.cut
        for i, part in enumerate(problem.parts()):
            back = part.backward()
            if np.isneginf(_log_sum(problem.initial + back[0][0])):
                found.log_z[i], found.states[part.span] = -np.inf, np.nan
                continue
            given = (problem.initial, *problem.laws, problem.potentials, part.rows)
            states = found.states[part.span]
            found.log_z[i] = compiled.downward(*given, problem.censored, *back, states, *sums)
        return found


def _survival(durations: Array) -> Array:
    """Weights of lasting d steps or more, (K, D)."""
    return durations[:, ::-1].cumsum(axis=1)[:, ::-1]


def _log_sum(x: Array) -> float:
    top = x.max()
    return float(top + np.log(np.exp(x - top).sum())) if top > -np.inf else -np.inf


def _refuse_impossible(score: float, sequence: int) -> None:
    if score == -np.inf:
        raise ValueError(
            f"no path can explain sequence {sequence}: all have weight zero; look for states that "
            "are forbidden (-inf), and for transitions and durations of zero that leave no way "
            "through; durations may be too short, or with censored=False not fit the length"
        )


def _check(initial: Array, transition: Array, durations: Array, potentials: Array) -> None:
    if initial.ndim != 1 or not len(initial):
        raise ValueError(f"expected initial of shape (states,), got {initial.shape}")
    size = len(initial)
    if transition.shape != (size, size):
        raise ValueError(f"expected transition of shape {(size, size)}, got {transition.shape}")
    if durations.ndim != 2 or len(durations) != size or not durations.shape[1]:
        raise ValueError(
            f"expected durations of shape ({size}, longest duration), got {durations.shape}"
        )
    if potentials.ndim != 2 or potentials.shape[1] != size or not len(potentials):
        raise ValueError(
            f"expected log_potentials of shape (rows, {size}) with at least one row, as initial "
            f"has {initial.shape}, got {potentials.shape}"
        )
    weights = {"initial": initial, "transition": transition, "durations": durations}
    for name, x in weights.items():
        if not ((x >= 0) & np.isfinite(x)).all():
            raise ValueError(f"expected {name} of finite weights >= 0, got {_worst(x)}")
    if np.isnan(potentials).any() or (potentials == np.inf).any():
        raise ValueError(
            "expected log_potentials that are finite, or -inf to forbid a state, got "
            f"{'nan' if np.isnan(potentials).any() else 'inf'}"
        )


def _worst(x: Array) -> str:
    return "nan" if np.isnan(x).any() else f"{x.min() if x.min() < 0 else x.max():g}"


def _integers(name: str, x: Any) -> Array:
    x = np.asarray(x)
    if x.ndim != 1 or x.dtype.kind not in "iu":
        raise ValueError(
            f"expected {name} as integers in one dimension, got {x.dtype} of shape {x.shape}"
        )
    return np.ascontiguousarray(x, np.int64)


def _check_places(rows: Array, offsets: Array, count: int) -> None:
    if len(rows) and (rows.min() < 0 or rows.max() >= count):
        worst = rows.min() if rows.min() < 0 else rows.max()
        raise ValueError(f"expected rows from 0 to {count - 1}, got {worst}")
    fits = len(offsets) > 1 and offsets[0] == 0 and offsets[-1] == len(rows)
    if not fits or (np.diff(offsets) <= 0).any():
        raise ValueError(
            f"expected offsets that rise from 0 to the {len(rows)} steps, got "
            f"{offsets[:8].tolist()}{' ...' if len(offsets) > 8 else ''}"
        )
