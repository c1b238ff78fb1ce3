"""Recursions of a chain in log space by NumPy: for short chains in a process that has compiled nothing yet.

A step takes ten microseconds, a hundred times what the compiled recursions take, but compiling (or only loading) those
costs seconds. The functions are those of `_chain_logs_numba`, exact whatever underflows.
"""

from __future__ import annotations

import numpy as np

Array = np.ndarray


def forward_logs(log_initial: Array, log_A: Array, logs: Array) -> tuple[Array, float]:
    """log P(s_t | steps up to t) (T, K) and log Z; -inf from where no path is possible."""
    alpha, log_z = np.full(logs.shape, -np.inf), 0.0
    now = log_initial
    for t, row in enumerate(logs):
        if t:
            now = np.logaddexp.reduce(now[:, None] + log_A[t if len(log_A) > 1 else 0], axis=0)
        now = now + row
        size = np.logaddexp.reduce(now)
        log_z += float(size)
        if size == -np.inf:
            break
        alpha[t] = now = now - size
    return alpha, log_z


def backward_logs(log_A: Array, logs: Array, alpha: Array, counts: Array) -> Array:
    """Marginals (T, K) given log alpha; counts (1, K, K) += pair marginals, or counts (T, K, K) are these."""
    T, layered = len(logs), len(log_A) > 1
    beta, after = np.zeros(logs.shape), np.empty(logs.shape)
    for t in range(T - 1, -1, -1):
        if t < T - 1:
            moves = log_A[t + 1 if layered else 0] + after[t + 1]
            beta[t] = np.logaddexp.reduce(moves, axis=1)
        after[t] = beta[t] + logs[t]
        after[t] -= after[t].max()
    both = alpha + beta
    size = np.logaddexp.reduce(both, axis=1)[:, None]
    moves = log_A[1:] if layered else log_A
    pairs = np.exp((alpha - size)[:-1, :, None] + moves + after[1:, None, :])
    if len(counts) == T:
        counts[1:] += pairs
    else:
        counts[0] += pairs.sum(axis=0)
    return np.exp(both - size)


def best_path(log_initial: Array, log_A: Array, logs: Array) -> tuple[Array, float]:
    """The path of the largest weight (T,) int64, and the logarithm of that, -inf where none is possible."""
    T, K = logs.shape
    pointers, states = np.zeros((T, K), np.int64), np.arange(K)
    now = log_initial + logs[0]
    for t in range(1, T):
        moves = now[:, None] + log_A[t if len(log_A) > 1 else 0]
        pointers[t] = moves.argmax(axis=0)
        now = moves[pointers[t], states] + logs[t]
    path = np.empty(T, np.int64)
    path[-1] = now.argmax()
    for t in range(T - 1, 0, -1):
        path[t - 1] = pointers[t, path[t]]
    return path, float(now.max())
