"""Recursions of a chain in log space: exact whatever underflows, and slower; and those that are rarely asked for.

Here sequences are taken one at a time: `logs` are the (T, K) log-potentials of its steps, `log_A` is (1, K, K) or
(T, K, K), layer t leading to step t.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from ._chain_numba import COMPILED, INNER


@njit(**INNER)
def log_sum(terms):  # type: ignore[no-untyped-def]
    """log of the sum of exp(terms), -inf where all are."""
    most = -np.inf
    for x in terms:
        most = max(most, x)
    if not np.isfinite(most):
        return most
    size = 0.0
    for x in terms:
        size += math.exp(x - most)
    return most + math.log(size)


@njit(**COMPILED)
def forward_logs(log_initial, log_A, logs):  # type: ignore[no-untyped-def]
    """log P(s_t | steps up to t) (T, K) and log Z; rows are normalised, so that no digit goes to the size of log Z."""
    T, K = logs.shape
    alpha, terms, log_z = np.empty((T, K)), np.empty(K), 0.0
    for t in range(T):
        layer = t if len(log_A) > 1 else 0
        for j in range(K):
            if t == 0:
                alpha[t, j] = log_initial[j] + logs[t, j]
            else:
                for i in range(K):
                    terms[i] = alpha[t - 1, i] + log_A[layer, i, j]
                alpha[t, j] = log_sum(terms) + logs[t, j]
        size = log_sum(alpha[t])
        log_z += size
        if size == -np.inf:
            for s in range(t, T):
                for j in range(K):
                    alpha[s, j] = -np.inf
            break
        for j in range(K):
            alpha[t, j] -= size
    return alpha, log_z


@njit(**COMPILED)
def backward_logs(log_A, logs, alpha, counts):  # type: ignore[no-untyped-def]
    """Marginals (T, K) given log alpha; counts (1, K, K) += pair marginals, or counts (T, K, K) are these."""
    T, K = logs.shape
    gamma, terms, both = np.empty((T, K)), np.empty(K), np.empty(K)
    beta, after = np.zeros(K), np.empty(K)
    for t in range(T - 1, -1, -1):
        layer = t + 1 if len(log_A) > 1 else 0
        if t < T - 1:
            for i in range(K):
                for j in range(K):
                    terms[j] = log_A[layer, i, j] + after[j]
                beta[i] = log_sum(terms)
        for k in range(K):
            both[k] = alpha[t, k] + beta[k]
        size = log_sum(both)
        for k in range(K):
            gamma[t, k] = math.exp(both[k] - size)
        if t < T - 1:
            for i in range(K):
                for j in range(K):
                    pair = math.exp(alpha[t, i] + log_A[layer, i, j] + after[j] - size)
                    counts[t + 1 if len(counts) == T else 0, i, j] += pair
        for k in range(K):
            after[k] = beta[k] + logs[t, k]
        most = np.max(after)
        for k in range(K):
            after[k] -= most
    return gamma


@njit(**COMPILED)
def sample_paths(log_A, alpha, uniforms, paths):  # type: ignore[no-untyped-def]
    """Paths drawn backwards from P(states | all): paths (n, T) from uniforms (n, T)."""
    n, T = paths.shape
    K = alpha.shape[1]
    weights, terms = np.empty(K), np.empty(K)
    for draw in range(n):
        for t in range(T - 1, -1, -1):
            layer = t + 1 if len(log_A) > 1 else 0
            most = -np.inf
            for k in range(K):
                terms[k] = alpha[t, k] + (log_A[layer, k, paths[draw, t + 1]] if t < T - 1 else 0.0)
                most = max(most, terms[k])
            size = 0.0
            for k in range(K):
                weights[k] = math.exp(terms[k] - most)
                size += weights[k]
            left, state = uniforms[draw, t] * size, -1
            for k in range(K):
                if weights[k] > 0.0:
                    state = k
                    left -= weights[k]
                    if left < 0.0:
                        break
            paths[draw, t] = state


@njit(**COMPILED)
def best_paths(log_initial, log_A, logs, k):  # type: ignore[no-untyped-def]
    """The k best paths (k, T) and their scores (k,), best first; scores of -inf are none (list Viterbi).

    Every state keeps its k best histories; each came from some state's r-th best one, a step before (Seshadri &
    Sundberg 1994).
    """
    T, K = logs.shape
    score, ahead = np.empty((K, k)), np.empty((K, k))
    origin = np.zeros((T, K, k), np.int64)  # state * k + rank, one step before
    taken = np.empty(K, np.int64)
    for i in range(K):
        for rank in range(k):
            score[i, rank] = log_initial[i] + logs[0, i] if rank == 0 else -np.inf
    for t in range(1, T):
        layer = t if len(log_A) > 1 else 0
        for j in range(K):
            for i in range(
                K
            ):  # by loops: numba takes seconds to compile an assignment of whole arrays
                taken[i] = 0
            for rank in range(k):  # merge of the K sorted lists
                most, best = -np.inf, -1
                for i in range(K):
                    if taken[i] < k:
                        x = score[i, taken[i]] + log_A[layer, i, j]
                        if x > most:
                            most, best = x, i
                ahead[j, rank] = most + logs[t, j]
                if best >= 0:
                    origin[t, j, rank] = best * k + taken[best]
                    taken[best] += 1
        for i in range(K):
            for rank in range(k):
                score[i, rank] = ahead[i, rank]
    paths, scores = np.empty((k, T), np.int64), np.empty(k)
    for rank in range(k):
        scores[rank] = -np.inf
    for i in range(K):
        taken[i] = 0
    for rank in range(k):
        most, best = -np.inf, -1
        for i in range(K):
            if taken[i] < k and score[i, taken[i]] > most:
                most, best = score[i, taken[i]], i
        if best < 0:
            break
        scores[rank] = most
        state, place = best, taken[best]
        taken[best] += 1
        for t in range(T - 1, -1, -1):
            paths[rank, t] = state
            state, place = origin[t, state, place] // k, origin[t, state, place] % k
    return paths, scores
