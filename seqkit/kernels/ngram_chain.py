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

from typing import NamedTuple

import numpy as np

Array = np.ndarray


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
