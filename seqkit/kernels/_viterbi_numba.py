"""The compiled search for the best path of a chain."""

from __future__ import annotations

import numpy as np
from numba import njit

from ._chain_numba import COMPILED, INLINED, INNER
from ._vectors_numba import (
    add,
    address,
    beyond,
    get,
    if_greater,
    lane0,
    lane1,
    lane2,
    lane3,
    lane4,
    lane5,
    lane6,
    lane7,
    load,
    put,
    splat,
    spread,
    store,
)


@njit(**INNER)
def advance(delta, log_A, layered, logs, gather, rows, start, stop, ahead, best, pointers, K, width):  # type: ignore[no-untyped-def]  # fmt: skip
    """delta_t(j) = max_i delta_{t-1}(i) + log A(i, j), plus the log-potential, for steps start .. stop - 1."""
    square = width * width
    for t in range(start, stop):
        r = (get(rows, t) if gather else t) * K
        base = t * square if layered else 0
        for j in range(0, width, 8):
            a = b = splat(-np.inf)
            p = q = splat(0.0)
            place = base + j
            for i in range(0, K, 2):
                x = add(spread(delta, i), load(log_A, place))
                y = add(spread(delta, i + 1), load(log_A, place + width))
                p = if_greater(x, a, splat(float(i)), p)
                q = if_greater(y, b, splat(float(i + 1)), q)
                a = if_greater(x, a, x, a)
                b = if_greater(y, b, y, b)
                place += 2 * width
            store(best, j, if_greater(b, a, q, p))
            store(ahead, j, if_greater(b, a, b, a))
        for k in range(K):
            put(pointers, t * K + k, int(get(best, k)))
            put(delta, k, get(ahead, k) + get(logs, r + k))


@njit(**INLINED)
def better(x, i, most, arg):  # type: ignore[no-untyped-def]
    return if_greater(x, most, x, most), if_greater(x, most, splat(i), arg)


@njit(**INNER)
def advance_eight(delta, log_A, layered, logs, gather, rows, start, stop, best, pointers, K):  # type: ignore[no-untyped-def]  # fmt: skip
    """`advance` for at most eight states, in registers."""
    v, wide = load(delta, 0), K > 4
    for t in range(start, stop):
        r = (get(rows, t) if gather else t) * K
        base = t * 64 if layered else 0
        a, p = add(lane0(v), load(log_A, base)), splat(0.0)
        b, q = add(lane1(v), load(log_A, base + 8)), splat(1.0)
        a, p = better(add(lane2(v), load(log_A, base + 16)), 2.0, a, p)
        b, q = better(add(lane3(v), load(log_A, base + 24)), 3.0, b, q)
        if wide:
            a, p = better(add(lane4(v), load(log_A, base + 32)), 4.0, a, p)
            b, q = better(add(lane5(v), load(log_A, base + 40)), 5.0, b, q)
            a, p = better(add(lane6(v), load(log_A, base + 48)), 6.0, a, p)
            b, q = better(add(lane7(v), load(log_A, base + 56)), 7.0, b, q)
        store(best, 0, if_greater(b, a, q, p))
        v = add(if_greater(b, a, b, a), load(logs, r))
        for k in range(K):
            put(pointers, t * K + k, int(get(best, k)))
    store(delta, 0, v)


@njit(**COMPILED)
def viterbi(log_initial, log_A, layered, logs, rows, offsets, pointers, path, score, work, K, width):  # type: ignore[no-untyped-def]  # fmt: skip
    """The best path of every sequence and its score; pointers (T * K) is room for the way back.

    Forward maxima, then the way back along the pointers (Viterbi 1967; Rabiner 1989, eqs. 32-35).
    """
    gather = len(rows) > 0
    matrix, at, index, way = address(log_A), address(logs), address(rows), address(pointers)
    delta = address(work)
    ahead, best = beyond(delta, width), beyond(delta, 2 * width)
    for n in range(len(offsets) - 1):
        first, end = offsets[n], offsets[n + 1]
        r = (rows[first] if gather else first) * K
        for k in range(width):
            work[k] = -np.inf
        for k in range(K):
            work[k] = log_initial[k] + logs[r + k]
        inside = (
            end - 8 if end > first + 8 else first + 1
        )  # a vector of logs must not end beyond them
        if width > 8:
            inside = first + 1
        elif inside > first + 1:
            advance_eight(
                delta, matrix, layered, at, gather, index, first + 1, inside, best, way, K
            )
        advance(delta, matrix, layered, at, gather, index, inside, end, ahead, best, way, K, width)
        state = 0
        for k in range(1, K):
            if work[k] > work[state]:
                state = k
        score[n] = work[state]
        for t in range(end - 1, first, -1):
            path[t] = state
            state = int(pointers[t * K + state])
        path[first] = state
