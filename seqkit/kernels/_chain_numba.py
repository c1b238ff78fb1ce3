"""Compiled recursions of a chain in scaled space: forward, backward with expected counts.

Log-potentials have a maximum subtracted before they are exponentiated, and sums are only renormalised when they have
become small, so that a step costs no logarithm and no division. Matrices are flat and padded with zeros to a multiple
of eight rows and columns: element (i, j) is at i * width + j. Rows of weights and marginals are not padded; what a
vector reads beyond the end of a row meets zeros, and what it writes there is overwritten by the next row.

What underflows is lost, which matters only where nothing else leads to the same state: with a `safe` transition
(no zeros, nothing tiny) never, otherwise it is looked for at every step, and the sequence reported as unsound, to be
redone in logarithms (`_chain_logs_numba`).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from ._vectors_numba import (
    add,
    address,
    beyond,
    exponential,
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
    largest,
    load,
    multiply,
    multiply_add,
    put,
    smallest,
    splat,
    spread,
    store,
    subtract,
    total,
)

COMPILED: dict[str, Any] = {
    "cache": True, "nogil": True, "error_model": "numpy", "fastmath": {"contract", "nsz"},
}  # fmt: skip
INNER: dict[str, Any] = {**COMPILED, "cache": False, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}  # fmt: skip
INLINED: dict[str, Any] = {**INNER, "forceinline": True}
BLOCK = 256  # steps whose potentials are exponentiated at a time
SLACK = 8  # elements that vectors may touch beyond the end of an array
SMALL, LARGE = 1e-30, 1e30  # sums between these are left as they are
LOST = 1e-255  # a probability or weight below this has lost its digits
SOUND = 1e-235  # a sum above this is not changed by what was lost in its terms
NOTHING = 1e-20  # share of a sum that may be missing
NARROW = 400.0  # log-potentials that span no more share one maximum per block
_exp = exponential(
    -600.0
)  # e^-600 = 3e-261, far enough from the smallest double for products with it


@njit(**INNER)
def weigh(logs, place, rows, weights, top, K):  # type: ignore[no-untyped-def]
    """weights = exp(logs - top), rows * K elements from `place` on; top (rows,): maxima of the block or the rows."""
    size = rows * K
    whole = size // 8 * 8
    high, low = splat(-np.inf), splat(np.inf)
    for i in range(0, whole, 8):
        x = load(logs, place + i)
        high, low = if_greater(x, high, x, high), if_greater(low, x, x, low)
    most, least = largest(high), smallest(low)
    for i in range(whole, size):
        x = get(logs, place + i)
        most, least = max(most, x), min(least, x)
    if most - least < NARROW:
        for t in range(rows):
            put(top, t, most)
        for i in range(0, whole, 8):
            store(weights, i, _exp(subtract(load(logs, place + i), splat(most))))
        for i in range(whole, size):
            put(weights, i, get(logs, place + i) - most)
    else:
        for t in range(rows):
            most = get(logs, place + t * K)
            for k in range(1, K):
                x = get(logs, place + t * K + k)
                most = x if x > most else most
            most = 0.0 if most == -np.inf else most
            put(top, t, most)
            for k in range(t * K, t * K + K):
                put(weights, k, get(logs, place + k) - most)
        for i in range(0, whole, 8):
            store(weights, i, _exp(load(weights, i)))
    if whole < size:
        for i in range(size, whole + 8):
            put(weights, i, 0.0)
        store(weights, whole, _exp(load(weights, whole)))


@njit(**COMPILED)
def weigh_all(logs, weights, top, K):  # type: ignore[no-untyped-def]
    """`weigh` of a whole table."""
    at, out, tops = address(logs), address(weights), address(top)
    for start in range(0, len(top), BLOCK):
        rows = min(BLOCK, len(top) - start)
        weigh(at, start * K, rows, beyond(out, start * K), beyond(tops, start), K)


@njit(**INLINED)
def times(state, A, base, K, width, out):  # type: ignore[no-untyped-def]
    """out = state @ A, the matrix that begins at `base`; 32 columns at a time while there are as many."""
    wide = width // 32 * 32
    for j in range(0, wide, 32):
        a = b = c = d = splat(0.0)
        place = base + j
        for i in range(K):
            x = spread(state, i)
            a = multiply_add(x, load(A, place), a)
            b = multiply_add(x, load(A, place + 8), b)
            c = multiply_add(x, load(A, place + 16), c)
            d = multiply_add(x, load(A, place + 24), d)
            place += width
        store(out, j, a)
        store(out, j + 8, b)
        store(out, j + 16, c)
        store(out, j + 24, d)
    for j in range(wide, width, 8):
        a = b = c = d = splat(0.0)
        place = base + j
        for i in range(0, K, 4):
            a = multiply_add(spread(state, i), load(A, place), a)
            b = multiply_add(spread(state, i + 1), load(A, place + width), b)
            c = multiply_add(spread(state, i + 2), load(A, place + 2 * width), c)
            d = multiply_add(spread(state, i + 3), load(A, place + 3 * width), d)
            place += 4 * width
        store(out, j, add(add(a, b), add(c, d)))


@njit(**INLINED)
def times_eight(v, A, base, wide):  # type: ignore[no-untyped-def]
    """v @ A of at most eight states, in registers; `wide`: of more than four."""
    a = multiply(lane0(v), load(A, base))
    b = multiply(lane1(v), load(A, base + 8))
    c = multiply(lane2(v), load(A, base + 16))
    d = multiply(lane3(v), load(A, base + 24))
    if wide:
        a = multiply_add(lane4(v), load(A, base + 32), a)
        b = multiply_add(lane5(v), load(A, base + 40), b)
        c = multiply_add(lane6(v), load(A, base + 48), c)
        d = multiply_add(lane7(v), load(A, base + 56), d)
    return add(add(a, b), add(c, d))


@njit(**INLINED)
def weighted(ahead, weights, place, width, out):  # type: ignore[no-untyped-def]
    """out = ahead * weights; returns the sum."""
    sums = splat(0.0)
    for j in range(0, width, 8):
        x = multiply(load(ahead, j), load(weights, place + j))
        store(out, j, x)
        sums = add(sums, x)
    return total(sums)


@njit(**INLINED)
def scale(state, factor, width):  # type: ignore[no-untyped-def]
    for j in range(0, width, 8):
        store(state, j, multiply(load(state, j), splat(factor)))


@njit(**INLINED)
def lose(  # type: ignore[no-untyped-def]
    ahead, weights, place, state, lost, room, A, base, K, width, any_lost,
):  # fmt: skip
    """Carry bounds on what has underflowed a step on, as state = ahead * weights was; returns their sum.

    `lost` (padded) are upper bounds, in the scale of `state`, of the weight that is missing from each state. Lost paths
    move as kept ones do. Where a kept one has come to the same state with 1e20 times their weight they are forgotten:
    from there on they share its future.
    """
    zero, limit, least = splat(0.0), splat(LOST), splat(1e-290)
    if any_lost:
        times(lost, A, base, K, width, room)
    sums = zero
    for j in range(0, width, 8):
        w, kept = load(weights, place + j), load(state, j)
        gone = if_greater(limit, kept, limit, if_greater(limit, w, limit, zero))
        bound = if_greater(load(ahead, j), zero, if_greater(w, zero, gone, zero), zero)
        if any_lost:
            moved = load(room, j)
            on = multiply(moved, w)
            on = if_greater(least, on, least, on)
            bound = add(bound, if_greater(moved, zero, if_greater(w, zero, on, zero), zero))
        bound = if_greater(kept, multiply(bound, splat(1e20)), zero, bound)
        store(lost, j, bound)
        sums = add(sums, bound)
    return total(sums)


@njit(**INNER)
def begin(initial, weights, r, state, ahead, lost, safe, K, width):  # type: ignore[no-untyped-def]
    """The first step of a sequence; returns the logarithm of its sum, NaN where it is not sound."""
    for j in range(0, width, 8):
        store(ahead, j, load(initial, j))
        store(lost, j, splat(0.0))
    size = weighted(ahead, weights, r, width, state)
    if not safe:
        lose(ahead, weights, r, state, lost, lost, initial, 0, K, width, False)
        scale(lost, 1.0 / size, width)
    scale(state, 1.0 / size, width)
    return math.log(size) if SOUND < size < np.inf else np.nan


@njit(**INNER)
def forward_eight(state, A, layered, weights, top, gather, rows, block, start, stop, keep, F, K):  # type: ignore[no-untyped-def]
    """`forward_rows` of at most eight states and a safe transition, in registers."""
    v, log_scale, wide = load(state, 0), 0.0, K > 4
    for t in range(start, stop):
        r = get(rows, t) if gather else t - block
        v = times_eight(v, A, t * 64 if layered else 0, wide)
        v = multiply(v, load(weights, r * K))
        log_scale += get(top, r)
        size = total(v)
        if not SMALL < size < LARGE:
            log_scale += math.log(size)
            v = multiply(v, splat(1.0 / size))
        if keep:
            store(F, t * K, v)
    store(state, 0, v)
    return log_scale


@njit(**INNER)
def forward_rows(  # type: ignore[no-untyped-def]
    state, ahead, lost, room, A, layered, safe, weights, top, gather, rows, block, start, stop, keep, F, K, width,
):  # fmt: skip
    """Steps start .. stop - 1 after `state`; returns what to add to log Z, NaN where the run is not sound."""
    log_scale, square, any_lost = 0.0, width * width, not safe
    for t in range(start, stop):
        r = get(rows, t) if gather else t - block
        base = t * square if layered else 0
        times(state, A, base, K, width, ahead)
        size = weighted(ahead, weights, r * K, width, state)
        log_scale += get(top, r)
        if not safe:
            bound = lose(ahead, weights, r * K, state, lost, room, A, base, K, width, any_lost)
            any_lost = bound > 0.0
            if bound > NOTHING * size:
                return np.nan
        if not SMALL < size < LARGE:
            if not SOUND < size < np.inf:
                return np.nan
            log_scale += math.log(size)
            scale(state, 1.0 / size, width)
            if any_lost:
                scale(lost, 1.0 / size, width)
        if keep:
            for j in range(0, width, 8):
                store(F, t * K + j, load(state, j))
    return log_scale


@njit(**COMPILED)
def forward(  # type: ignore[no-untyped-def]
    initial, A, layered, safe, logs, table, tops, rows, offsets, keep, F, log_z, state, work, K, width,
):  # fmt: skip
    """log Z of every sequence, NaN where it must be redone in logarithms; F[t] proportional to P(s_t | up to t).

    `rows` gathers from `table` (R * K) and its maxima `tops`; when empty, rows of `logs` (T * K) are exponentiated
    block by block. `state` is left proportional to P(s_T | all) of the last sequence.
    """
    gather, room = len(rows) > 0, np.empty(BLOCK)
    start_law, matrix, at, index, out = (
        address(initial),
        address(A),
        address(logs),
        address(rows),
        address(F),
    )
    now, ahead = address(state), address(work)
    lost, spare, own = beyond(ahead, width), beyond(ahead, 2 * width), beyond(ahead, 3 * width)
    weights, top = (address(table), address(tops)) if gather else (own, address(room))
    for n in range(len(offsets) - 1):
        first, end = offsets[n], offsets[n + 1]
        log_scale = 0.0
        for block in range(first, end, BLOCK):
            start, stop = block, min(block + BLOCK, end)
            if not gather:
                weigh(at, start * K, stop - start, weights, top, K)
            if start == first:
                r = get(index, first) if gather else 0
                log_scale = get(top, r)
                log_scale += begin(start_law, weights, r * K, now, ahead, lost, safe, K, width)
                if keep:
                    for j in range(0, width, 8):
                        store(out, first * K + j, load(now, j))
                start += 1
            if safe and width == 8:
                log_scale += forward_eight(
                    now,
                    matrix,
                    layered,
                    weights,
                    top,
                    gather,
                    index,
                    block,
                    start,
                    stop,
                    keep,
                    out,
                    K,
                )
            else:
                log_scale += forward_rows(now, ahead, lost, spare, matrix, layered, safe, weights, top, gather, index,
                                          block, start, stop, keep, out, K, width)  # fmt: skip
            if log_scale != log_scale:
                break
        size = 0.0
        for k in range(K):
            size += state[k]
        log_z[n] = log_scale + math.log(size)
    room[0] = 0.0  # an array lives until it is last named, and the loops knew its address alone


@njit(**COMPILED)
def normalise(F):  # type: ignore[no-untyped-def]
    """Rows divided by their sums, in place."""
    for t in range(F.shape[0]):
        size = 0.0
        for k in range(F.shape[1]):
            size += F[t, k]
        share = 1.0 / size
        for k in range(F.shape[1]):
            F[t, k] *= share


@njit(**INLINED)
def outer(left, right, counts, K, width):  # type: ignore[no-untyped-def]
    """counts += left' right over four kept steps."""
    for j in range(0, width, 8):
        p, q = load(right, j), load(right, j + width)
        r, s = load(right, j + 2 * width), load(right, j + 3 * width)
        for i in range(K):
            c = load(counts, i * width + j)
            c = multiply_add(spread(left, i), p, c)
            c = multiply_add(spread(left, width + i), q, c)
            c = multiply_add(spread(left, 2 * width + i), r, c)
            store(counts, i * width + j, multiply_add(spread(left, 3 * width + i), s, c))


@njit(**INLINED)
def combined(F, place, beta, width, out):  # type: ignore[no-untyped-def]
    """out = F[place :] * beta; returns the sum."""
    sums = splat(0.0)
    for j in range(0, width, 8):
        x = multiply(load(F, place + j), load(beta, j))
        store(out, j, x)
        sums = add(sums, x)
    return total(sums)


@njit(**INLINED)
def keep_row(both, share, out, place, K, width):  # type: ignore[no-untyped-def]
    """out[place : place + K] = both * share, without touching the row after it."""
    for j in range(0, K - 7, 8):
        store(out, place + j, multiply(load(both, j), splat(share)))
    for k in range(K // 8 * 8, K):
        put(out, place + k, get(both, k) * share)


@njit(**INNER)
def backward_eight(
    after, ones, both, left, right, A_T, layered, weights, gather, rows, block, stop, last, F, counting, sums, counts,
    K,
):  # type: ignore[no-untyped-def]  # fmt: skip
    """`backward_rows` of at most eight states and a safe transition, in registers."""
    kept, wide = 0, K > 4
    v = load(after, 0)
    for t in range(stop - 1, block - 1, -1):
        r = get(rows, t) if gather else t - block
        if t == last:
            beta = load(ones, 0)
        else:
            beta = times_eight(v, A_T, (t + 1) * 64 if layered else 0, wide)
        alpha = load(F, t * K)
        x = multiply(alpha, beta)
        share = 1.0 / total(x)
        if counting and t < last and not layered:
            store(left, kept * 8, multiply(alpha, splat(share)))
            store(right, kept * 8, v)
            kept += 1
            if kept == 4:
                outer(left, right, counts, K, 8)
                kept = 0
        store(both, 0, x)
        keep_row(both, share, F, t * K, K, 8)
        if gather and counting:
            for k in range(K):
                put(sums, r * K + k, get(sums, r * K + k) + get(both, k) * share)
        v = multiply(beta, load(weights, r * K))
        size = total(v)
        if not SMALL < size < LARGE:
            v = multiply(v, splat(1.0 / size))
    store(after, 0, v)
    if kept:
        for j in range(kept * 8, 32, 8):
            store(left, j, splat(0.0))
        outer(left, right, counts, K, 8)
    return True


@njit(**INNER)
def backward_rows(
    after, beta, both, lost, room, left, right, A_T, layered, safe, weights, gather, rows, block, start, stop, last, F,
    counting, sums, counts, K, width,
):  # type: ignore[no-untyped-def]  # fmt: skip
    """Marginals of steps stop - 1 .. start, given b * beta of the step after them in `after`; False where not sound."""
    square, kept, any_lost = width * width, 0, not safe
    for t in range(stop - 1, start - 1, -1):
        r = get(rows, t) if gather else t - block
        if t == last:
            for k in range(K):
                put(beta, k, 1.0)
        else:
            base = (t + 1) * square if layered else 0
            times(after, A_T, base, K, width, beta)
        missing = 0.0
        if any_lost and t != last:
            times(lost, A_T, (t + 1) * square if layered else 0, K, width, room)
            missing = combined(F, t * K, room, width, both)
        size = combined(F, t * K, beta, width, both)
        if not 1e-200 < size < np.inf or missing > NOTHING * size:
            return False
        share = 1.0 / size
        if counting and t < last and not layered:
            for j in range(0, width, 8):
                store(left, kept * width + j, multiply(load(F, t * K + j), splat(share)))
                store(right, kept * width + j, load(after, j))
            kept += 1
            if kept == 4:
                outer(left, right, counts, K, width)
                kept = 0
        keep_row(both, share, F, t * K, K, width)
        if gather and counting:
            for k in range(K):
                put(sums, r * K + k, get(sums, r * K + k) + get(both, k) * share)
        size = weighted(beta, weights, r * K, width, after)
        if not safe:
            onward = any_lost and t != last
            base = (t + 1) * square if layered and onward else 0
            any_lost = (
                lose(beta, weights, r * K, after, lost, room, A_T, base, K, width, onward) > 0.0
            )
        if not SMALL < size < LARGE:
            scale(after, 1.0 / size, width)
            if any_lost:
                scale(lost, 1.0 / size, width)
    if kept:
        for j in range(kept * width, 4 * width, 8):
            store(left, j, splat(0.0))
        outer(left, right, counts, K, width)
    return True


@njit(**COMPILED)
def backward(  # type: ignore[no-untyped-def]
    A_T, layered, safe, logs, table, tops, rows, offsets, F, counting, sums, counts, initial, log_z, work, K, width,
):  # fmt: skip
    """Marginals P(s_t | all) over F[t], in place; with `counting`, also the expected counts of EM.

    sums (R * K) += marginals by row of potentials (where rows are gathered); counts (K * width) += alpha' (b beta),
    still to be multiplied by A; initial (K,) += marginals of first steps. A_T is transposed, layer by layer. log_z
    becomes NaN where a sequence is not sound; its counts are then worthless too.
    """
    gather, room = len(rows) > 0, np.empty(BLOCK)
    matrix, at, index, out = address(A_T), address(logs), address(rows), address(F)
    by_row, pairs, beta = address(sums), address(counts), address(work)
    both, lost, after = beyond(beta, width), beyond(beta, 2 * width), beyond(beta, 3 * width)
    left, right = beyond(beta, 4 * width), beyond(beta, 8 * width)
    spare, own = beyond(beta, 12 * width), beyond(beta, 13 * width)
    weights, top = (address(table), address(tops)) if gather else (own, address(room))
    for j in range(13 * width):
        work[j] = 1.0 if j < K else 0.0  # first, the backward weights of last steps
    for n in range(len(offsets) - 1):
        first, end = offsets[n], offsets[n + 1]
        for j in range(0, width, 8):
            store(lost, j, splat(0.0))
        if log_z[n] != log_z[n]:
            continue
        for block in range(first + (end - first - 1) // BLOCK * BLOCK, first - 1, -BLOCK):
            stop = min(block + BLOCK, end)
            if not gather:
                weigh(at, block * K, stop - block, weights, top, K)
            if safe and width == 8:
                sound = backward_eight(after, beta, both, left, right, matrix, layered, weights, gather, index,
                                       block, stop, end - 1, out, counting, by_row, pairs, K)  # fmt: skip
            else:
                sound = backward_rows(after, beta, both, lost, spare, left, right, matrix, layered, safe, weights,
                                      gather, index, block, block, stop, end - 1, out, counting, by_row, pairs, K,
                                      width)  # fmt: skip
            if not sound:
                log_z[n] = np.nan
                break
        for k in range(K):
            initial[k] += F[first * K + k]
    room[0] = 0.0  # as in `forward`
