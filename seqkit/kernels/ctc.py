"""Connectionist temporal classification on bare arrays: likelihoods, posteriors, search of transcripts, alignment.

Frames t = 1 .. T have laws y_t over K classes, class 0 being the blank. A path (one class per frame) stands for the
transcript that is left when repeats are merged and then blanks taken out; the probability of a transcript l is that of
all its paths (Graves et al. 2006, eq. 3):

    p(l | y) = sum over paths that collapse to l of prod_t y_t(path_t).

Its paths are those of a chain with skips: blank, l_1, blank, l_2, .., blank, in which a step stays, goes on by one, or
leaps over a blank between labels that differ.

Functions on many sequences take

log_probabilities : (n, T, K), log y; rows whose exponentials sum to one at most. -inf forbids a class.
lengths : (n,) frames of every sequence; what lies beyond is padding and not read.
labels, offsets : classes 1 .. K - 1 of the transcripts, end to end; that of sequence i is
    ``labels[offsets[i]:offsets[i + 1]]`` and may be empty.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from . import chain

Array = np.ndarray
BLANK = 0
DENSE = 2e8  # multiplications of a chain without its zeros; above them the lattice is walked state by state


class Occupancies(NamedTuple):
    """log p(l | y) (n,), and P(class of frame t | y, l) (n, T, K): zeros in padding and where no path is possible."""

    log_likelihood: Array
    posterior: Array


class Alignment(NamedTuple):
    """The best path of one transcript: for each frame the place of its label (-1 for a blank), and how sure that is.

    labels (T,) int64: places 0 .. L - 1 in the transcript. posterior (T,): P(frame t belongs there | y, l).
    log_probability : of the path.
    """

    labels: Array
    posterior: Array
    log_probability: float


def shortest(labels: Any, offsets: Any) -> Array:
    """Frames that every transcript takes at least, (n,): one a label, and a blank between equal neighbours.

    >>> shortest([1, 1, 2, 3], [0, 3, 3, 4]).tolist()
    [4, 0, 1]
    """
    from ._ctc_numba import shortest as compiled

    return compiled(*_transcripts(labels, offsets))


def log_likelihood(log_probabilities: Any, lengths: Any, labels: Any, offsets: Any) -> Array:
    """log p(l | y) of every sequence, (n,); -inf where no path is possible (Graves et al. 2006, eq. 8).

    Raises
    ------
    ValueError : shapes, lengths or labels that do not fit together.

    >>> y = np.log([[[0.6, 0.4], [0.6, 0.4]]])  # 1 - p(blank, blank): the other three paths all say "1"
    >>> np.exp(log_likelihood(y, [2], [1], [0, 1])).round(12).tolist()
    [0.64]
    """
    from ._ctc_numba import NOTHING

    return _run(log_probabilities, lengths, labels, offsets, NOTHING).log_likelihood


def occupancies(log_probabilities: Any, lengths: Any, labels: Any, offsets: Any) -> Occupancies:
    """log p(l | y), and the share of its paths that are in class k at frame t (Graves et al. 2006, eqs. 14-15).

    The posterior is d log p(l | y) / d log y_t(k), so that with y = softmax(u) the gradient of -log p with respect to
    u is y - posterior.

    Raises
    ------
    ValueError : shapes, lengths or labels that do not fit together.

    >>> y = np.log([[[0.6, 0.4], [0.6, 0.4]]])
    >>> occupancies(y, [2], [1], [0, 1]).posterior.round(6).tolist()
    [[[0.375, 0.625], [0.375, 0.625]]]
    """
    from ._ctc_numba import POSTERIOR

    return _run(log_probabilities, lengths, labels, offsets, POSTERIOR)


def gradient(scores: Any, lengths: Any, labels: Any, offsets: Any) -> tuple[Array, Array]:
    """-log p(l | softmax(u)) of every sequence (n,), and its gradient with respect to u, (n, T, K), in one pass.

        d loss / d u_t(k) = softmax(u_t)[k] - P(class k at t | y, l)

    It is zero in padding and where no path is possible (loss inf). `scores`: u, finite.

    Raises
    ------
    ValueError : shapes, lengths or labels that do not fit together.

    >>> loss, slope = gradient(np.log([[[0.6, 0.4], [0.6, 0.4]]]), [2], [1], [0, 1])
    >>> slope.round(6).tolist()
    [[[0.225, -0.225], [0.225, -0.225]]]
    """
    from ._ctc_numba import GRADIENT

    found = _run(scores, lengths, labels, offsets, GRADIENT)
    return -found.log_likelihood, found.posterior


def _run(u: Any, lengths: Any, labels: Any, offsets: Any, wanted: int) -> Occupancies:
    from ._ctc_numba import GRADIENT, NOTHING, run

    u = np.ascontiguousarray(u, np.float64)
    lengths = np.ascontiguousarray(lengths, np.int64)
    labels, offsets = _transcripts(labels, offsets)
    if u.ndim != 3 or not u.shape[2]:
        raise ValueError(f"log_probabilities must be (n, frames, classes), got {u.shape}")
    n, T, K = u.shape
    if lengths.shape != (n,) or not (lengths.min(initial=0) >= 0 and lengths.max(initial=0) <= T):
        raise ValueError(
            f"lengths must be {n} numbers of frames from 0 to {T}, got {lengths.tolist()[:8]}"
        )
    if len(offsets) != n + 1:
        raise ValueError(f"there are {len(offsets) - 1} transcripts for {n} sequences")
    if len(labels) and not (labels.min() > BLANK and labels.max() < K):
        raise ValueError(
            f"labels must be classes 1 to {K - 1} (0 is the blank), got {labels.min()} to {labels.max()}"
        )
    log_z = np.empty(n)
    out = np.zeros((0, 0, 0) if wanted == NOTHING else u.shape)
    run(u, wanted == GRADIENT, lengths, labels, labels, offsets, wanted, log_z, out)
    return Occupancies(log_z, out)


def _transcripts(labels: Any, offsets: Any) -> tuple[Array, Array]:
    labels = np.ascontiguousarray(labels, np.int64)
    offsets = np.ascontiguousarray(offsets, np.int64)
    if (
        not len(offsets)
        or offsets[0] != 0
        or offsets[-1] != len(labels)
        or (np.diff(offsets) < 0).any()
    ):
        raise ValueError(
            f"offsets must rise from 0 to the {len(labels)} labels, got {offsets.tolist()[:8]}"
        )
    return labels, offsets


# -- transcripts of frames -------------------------------------------------------------------------


def best_path(log_probabilities: Any) -> Array:
    """The transcript of the most probable path of one sequence, (labels,): the best class of every frame, collapsed.

    It need not be the most probable transcript (Graves et al. 2006, section 3.2), but takes no search.

    >>> best_path(np.log([[0.1, 0.9], [0.2, 0.8], [0.9, 0.1], [0.3, 0.7]])).tolist()
    [1, 1]
    """
    best = np.asarray(log_probabilities).argmax(-1)
    begins = np.append(True, best[1:] != best[:-1])[: len(best)]
    return best[begins & (best != BLANK)]


# -- frames of a transcript ------------------------------------------------------------------------


def align(log_probabilities: Any, labels: Any) -> Alignment:
    """Which label of its transcript each frame of one sequence belongs to: the best path (Viterbi 1967).

    Parameters
    ----------
    log_probabilities : (T, K). labels : (L,) classes.

    Raises
    ------
    ValueError : fewer frames than the transcript takes, or a transcript of probability 0.

    >>> y = np.log([[0.1, 0.8, 0.1], [0.6, 0.2, 0.2], [0.2, 0.1, 0.7]])
    >>> align(y, [1, 2]).labels.tolist()
    [0, -1, 1]
    """
    log_y = np.ascontiguousarray(log_probabilities, np.float64)
    labels, ends = _transcripts(labels, [0, len(labels)])
    least = int(shortest(labels, ends)[0])
    if least > len(log_y):
        raise ValueError(
            f"a transcript of {len(labels)} labels takes {least} frames or more, there are {len(log_y)}"
        )
    states, score = _best_states(log_y, labels)
    places = np.where(states % 2 == 1, states // 2, -1)
    posterior = _by_place(log_y, labels, ends)
    return Alignment(places, posterior[np.arange(len(log_y)), places + 1], score)


def _best_states(log_y: Array, labels: Array) -> tuple[Array, float]:
    """The best path through the lattice of a transcript (T,), and its log-probability."""
    from ._ctc_numba import viterbi

    if len(log_y) * (2 * len(labels) + 1) ** 2 <= DENSE:
        initial, transition, classes = lattice(labels)
        potentials = log_y[:, classes]
        potentials[-1, : max(len(classes) - 2, 0)] = -np.inf
        path = chain.viterbi(initial, transition, potentials)
        return path.states, float(path.score[0])
    states = np.empty(len(log_y), np.int64)
    score = float(viterbi(log_y, labels, states))
    if not score > -np.inf:
        raise ValueError("the transcript has no possible path: all meet a class of probability 0")
    return states, score


def _by_place(log_y: Array, labels: Array, ends: Array) -> Array:
    """P(blank), P(label 1 of the transcript), P(label 2), .. at every frame, given all of them, (T, L + 1)."""
    from ._ctc_numba import POSTERIOR, run

    own = np.ascontiguousarray(log_y[None][:, :, np.append(BLANK, labels)])
    posterior, log_z = np.zeros(own.shape), np.empty(1)
    columns, lengths = np.arange(1, len(labels) + 1), np.array([len(log_y)])
    run(own, False, lengths, labels, columns, ends, POSTERIOR, log_z, posterior)
    return posterior[0]


def lattice(labels: Any) -> tuple[Array, Array, Array]:
    """A transcript as a chain: weights of first states (S,), of moves (S, S), and the class of every state (S,).

    States 0, 2, .. are blanks, S = 2 L + 1. A path ends in one of the last two.

    >>> lattice([1, 1])[1].astype(int).tolist()
    [[1, 1, 0, 0, 0], [0, 1, 1, 0, 0], [0, 0, 1, 1, 0], [0, 0, 0, 1, 1], [0, 0, 0, 0, 1]]
    """
    labels = np.asarray(labels, np.int64)
    S = 2 * len(labels) + 1
    classes = np.zeros(S, np.int64)
    classes[1::2] = labels
    transition = np.eye(S) + np.eye(S, k=1)
    leaps = 1 + 2 * np.flatnonzero(np.diff(labels) != 0)
    transition[leaps, leaps + 2] = 1.0
    initial = np.zeros(S)
    initial[:2] = 1.0
    return initial, transition, classes
