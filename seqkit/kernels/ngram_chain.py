"""Chains of second order over candidate labels: the best path, the evidence, the marginals.

A chain of labels y_1 .. y_T between boundaries, each label depending on the two before it, with weights of the labels
of each step:

    log p(y, x) = sum_{t=1}^{T+1} A[y_{t-2}, y_{t-1}, y_t] + sum_{t=1}^{T} w_t[y_t],

    y_{-1} = y_0 = y_{T+1} = boundary.

A step has only the labels that its word allows, so the cost is the product of three neighbouring numbers of
candidates, not K^3. All in logs, renormalised at every step, so that length costs no digits.

Arguments of every function
---------------------------
transition : (K + 1, K + 1, K + 1) logs, label K is the boundary; -inf forbids. A first-order chain does not vary along
    the first axis.
words : (T,) integers, which list of candidates each step has. offsets : (n + 1,), sequences end to end.
first : (V + 1,), the candidates of word v are entries first[v] .. first[v + 1] - 1 of
labels, weights : (C,) candidates (below K) and their log weights.
"""

from __future__ import annotations

import heapq
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray
Way = tuple[float, Any]  # score, and (last label, the way before it) or None


class Path(NamedTuple):
    labels: Array  # (T,) int64
    score: Array  # (n,) log p(best labels, words)


class Marginals(NamedTuple):
    log_partition: Array  # (n,)
    probabilities: Array  # (T, K)


def viterbi(
    transition: Array, words: Array, offsets: Array, first: Array, labels: Array, weights: Array
) -> Path:
    """The best labels of every sequence and their log scores; of equals, the first candidate.

    Raises
    ------
    ValueError : a sequence that no labels explain.
    """
    from . import _ngram_chain_numba as compiled

    path, score = compiled.viterbi(*_prepared(transition, words, offsets, first, labels, weights))
    if not np.isfinite(score).all():
        which = int(np.argmin(np.isfinite(score)))
        raise ValueError(f"sequence {which} is impossible: all of its labelings have probability 0")
    return Path(path, score)


def log_partition(
    transition: Array, words: Array, offsets: Array, first: Array, labels: Array, weights: Array
) -> Array:
    """log of the sum over all labels, (n,); -inf for an impossible sequence."""
    from . import _ngram_chain_numba as compiled

    return compiled.log_partition(*_prepared(transition, words, offsets, first, labels, weights))


def marginals(
    transition: Array, words: Array, offsets: Array, first: Array, labels: Array, weights: Array
) -> Marginals:
    """log of the sum over all labels (n,), and the probability of every label at every step (T, K).

    An impossible sequence has -inf and NaN.
    """
    from . import _ngram_chain_numba as compiled

    return Marginals(
        *compiled.marginals(*_prepared(transition, words, offsets, first, labels, weights))
    )


def k_best(
    transition: Array, words: Array, first: Array, labels: Array, weights: Array, k: int
) -> tuple[Array, Array]:
    """The k best labelings of one sequence, (k, T), best first, and their log scores (k,); fewer where there are fewer.

    Every pair of labels keeps its k best ways there (Viterbi over lists), in plain Python: for sentences, not books.
    """
    boundary = transition.shape[0] - 1
    ways: dict[tuple[int, int], list[Way]] = {(boundary, boundary): [(0.0, None)]}
    for word in words:
        after: dict[tuple[int, int], list[Way]] = {}
        for (before, last), kept in ways.items():
            for c in range(first[word], first[word + 1]):
                label = int(labels[c])
                gain = transition[before, last, label] + weights[c]
                if gain > -np.inf:
                    longer = after.setdefault((last, label), [])
                    longer += [(way[0] + gain, (label, way)) for way in kept]
        ways = {pair: heapq.nlargest(k, found, key=_score) for pair, found in after.items()}
    ends = [
        (way[0] + transition[before, last, boundary], way)
        for (before, last), kept in ways.items()
        for way in kept
    ]
    best = heapq.nlargest(k, [end for end in ends if end[0] > -np.inf], key=_score)
    paths = np.array([_labels_of(way) for _, way in best], dtype=np.int64)
    return paths.reshape(len(best), len(words)), np.array([score for score, _ in best])


def _score(way: Any) -> float:
    return way[0]


def _labels_of(way: Way) -> list[int]:
    """The labels of a way, which is a score with the last label and the way before it."""
    found: list[int] = []
    step = way[1]
    while step is not None:
        found.append(step[0])
        step = step[1][1]
    return found[::-1]


def _prepared(
    transition: Array, words: Array, offsets: Array, first: Array, labels: Array, weights: Array
) -> tuple[Array, ...]:
    """The arguments in one type each, so that one compilation serves, with the boundary as last candidate."""
    boundary = transition.shape[0] - 1
    if transition.shape != (boundary + 1,) * 3:
        raise ValueError(f"transition must be (K + 1, K + 1, K + 1), got {transition.shape}")
    if len(words) and (np.diff(first)[np.unique(words)] < 1).any():
        raise ValueError("a word has no candidate; every word that occurs needs at least one label")
    return (
        np.ascontiguousarray(transition, dtype=np.float64),
        np.ascontiguousarray(words, dtype=np.int64),
        np.ascontiguousarray(offsets, dtype=np.int64),
        np.ascontiguousarray(first, dtype=np.int64),
        np.append(np.asarray(labels, dtype=np.int64), boundary),
        np.append(np.asarray(weights, dtype=np.float64), 0.0),
    )
