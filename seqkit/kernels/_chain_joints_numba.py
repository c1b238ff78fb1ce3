"""What stands before and between the stretches of `_chain_lanes_numba`: the first steps, and how stretches join."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from ._chain_numba import INNER

LANES = 8


@njit(**INNER)
def begin(initial, A, logs, steps, out, K):  # type: ignore[no-untyped-def]
    """The first `steps` steps one by one, unscaled rows normalised into out (steps * K); returns log of their sum."""
    log_z = 0.0
    for t in range(steps):
        top, size = -np.inf, 0.0
        for k in range(K):
            top = max(top, logs[t * K + k])
        for j in range(K):
            x = initial[j] if t == 0 else 0.0
            if t > 0:
                for i in range(K):
                    x += out[(t - 1) * K + i] * A[i, j]
            x *= math.exp(logs[t * K + j] - top)
            out[t * K + j] = x
            size += x
        for j in range(K):
            out[t * K + j] /= size
        log_z += top + math.log(size)
    return log_z


@njit(**INNER)
def joined(start, product, enter, K):  # type: ignore[no-untyped-def]
    """enter[:, lane] = what enters every stretch, sums of one, from `start`, which becomes what leaves the last."""
    log_z = 0.0
    after = np.empty(K)
    for lane in range(LANES):
        size = 0.0
        for j in range(K):
            enter[j, lane] = start[j]
            after[j] = 0.0
            for i in range(K):
                after[j] += start[i] * product[i, j, lane]
            size += after[j]
        log_z += math.log(size)
        for j in range(K):
            start[j] = after[j] / size
    return log_z


@njit(**INNER)
def joined_back(product, after, leave, K):  # type: ignore[no-untyped-def]
    """leave[:, lane] = the backward weights of the last step of every stretch, from `after` those of the very last.

    Returns those of the step before all.
    """
    before = np.empty(K)
    for lane in range(LANES - 1, -1, -1):
        size = 0.0
        for i in range(K):
            leave[i, lane] = after[i]
            before[i] = 0.0
            for j in range(K):
                before[i] += product[i, j, lane] * after[j]
            size += before[i]
        for i in range(K):
            after[i] = before[i] / size
    return after


@njit(**INNER)
def begin_back(A, logs, steps, out, beta, counting, counts, K):  # type: ignore[no-untyped-def]
    """Marginals of the first steps over out, their forward weights, from the backward weights of the last of them."""
    after = np.zeros(K)
    for t in range(steps - 1, -1, -1):
        size, top = 0.0, -np.inf
        for k in range(K):
            size += out[t * K + k] * beta[k]
            top = max(top, logs[t * K + k])
        if counting and t < steps - 1:
            for i in range(K):
                for j in range(K):
                    counts[i, j] += out[t * K + i] * after[j] / size
        norm = 0.0
        for k in range(K):
            out[t * K + k] *= beta[k] / size
            after[k] = math.exp(logs[t * K + k] - top) * beta[k]
            norm += after[k]
        for k in range(K):
            after[k] /= norm
        for i in range(K):
            beta[i] = 0.0
            for j in range(K):
                beta[i] += A[i, j] * after[j]
