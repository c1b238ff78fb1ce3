"""A long chain of few states: eight stretches of its steps side by side, one in each lane of a vector.

What a stretch does to any start is the product of its matrices A diag(b_t), so the eight products are found first, side
by side; joined from left to right (and from right to left) they give what enters every stretch, and the recursions
themselves then run in all eight at once. This is exact. It costs K times the arithmetic, which for K <= 4 is less than
the waiting of one long dependent recursion.

Made for transitions without tiny elements (`fits`): then no state depends on anything that underflows. Whatever else
turns up (no possible path, NaN) is left to the plain recursions: NaN is returned in the place of log Z.

Tables are (steps of a stretch, K, 8 lanes), flat. The first steps of a chain, as many as eight stretches of one length
leave over, are done one by one.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types

from ._chain_joints_numba import LANES, begin, begin_back, joined, joined_back
from ._chain_numba import COMPILED, INLINED, INNER
from ._vectors_numba import (
    add,
    address,
    beyond,
    exponential,
    get,
    if_greater,
    intrinsic,
    load,
    multiply,
    multiply_add,
    put,
    smallest,
    splat,
    store,
    subtract,
    vector,
)

BLOCK = 128  # steps of a stretch: eight of them and their tables stay in the cache
MOST_STATES = 4
SHORTEST = 5000  # steps; for fewer it is not worth a compilation
LEAST = 1e-60  # of the elements of a transition
TIRED = 1e-30  # sums below this are renormalised
LOG_ONLY, FILTER, MARGINALS, COUNTS = 0, 1, 2, 3
_exp = exponential(-600.0)


@intrinsic
def collect(typing: Any, place: Any, index: Any, stride: Any) -> Any:
    """place[index], place[index + stride], .. as a vector."""

    def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        found = ir.Constant(ir.VectorType(ir.DoubleType(), LANES), ir.Undefined)
        at = args[1]
        for lane in range(LANES):
            x = builder.load(builder.gep(args[0], [at]))
            found = builder.insert_element(found, x, ir.Constant(ir.IntType(32), lane))
            at = builder.add(at, args[2])
        return found

    return vector(place, types.intp, types.intp), make


@intrinsic
def deal(typing: Any, place: Any, index: Any, stride: Any, value: Any) -> Any:
    """place[index], place[index + stride], .. = the elements of a vector."""

    def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = args[1]
        for lane in range(LANES):
            x = builder.extract_element(args[3], ir.Constant(ir.IntType(32), lane))
            builder.store(x, builder.gep(args[0], [at]))
            at = builder.add(at, args[2])
        return context.get_dummy_value()

    return types.void(place, types.intp, types.intp, vector), make


@intrinsic
def divide(typing: Any, a: Any, b: Any) -> Any:
    """a / b."""

    def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fdiv(args[0], args[1])

    return vector(vector, vector), make


def fits(initial: np.ndarray, transition: np.ndarray, length: int) -> bool:
    """Whether one sequence may be done here: initial (K,), transition (K, K), `length` steps."""
    return bool(
        len(initial) <= MOST_STATES
        and length >= SHORTEST
        and transition.min() > LEAST
        and transition.sum(axis=1).max() < 2.0
    )


@njit(**INLINED)
def weigh_step(logs, place, stride, weights, at, tops, K):  # type: ignore[no-untyped-def]
    """weights[at :] = exp(logs - top) of one step in all lanes, its top the largest of the states; tops += top."""
    top = collect(logs, place, stride)
    store(weights, at, top)
    for k in range(1, K):
        x = collect(logs, place + k, stride)
        store(weights, at + k * LANES, x)
        top = if_greater(x, top, x, top)
    for k in range(K):
        x = load(weights, at + k * LANES)
        store(weights, at + k * LANES, _exp(subtract(x, top)))
    store(tops, 0, add(load(tops, 0), top))


@njit(**INLINED)
def step_right(state, base, A, weights, at, out, target, K):  # type: ignore[no-untyped-def]
    """out[target :] = (state[base :] @ A) * weights[at :]; returns the sum over states."""
    whole = splat(0.0)
    for j in range(K):
        x = multiply(load(state, base), load(A, j * LANES))
        for i in range(1, K):
            x = multiply_add(load(state, base + i * LANES), load(A, (i * K + j) * LANES), x)
        x = multiply(x, load(weights, at + j * LANES))
        store(out, target + j * LANES, x)
        whole = add(whole, x)
    return whole


@njit(**INNER)
def shrink(state, size, sums, room):  # type: ignore[no-untyped-def]
    """Divide `size` vectors by `sums`, lane by lane; returns the logs of the sums (room: eight elements)."""
    factor = divide(splat(1.0), sums)
    for i in range(size):
        store(state, i * LANES, multiply(load(state, i * LANES), factor))
    store(room, 0, sums)
    for lane in range(LANES):
        put(room, lane, math.log(get(room, lane)))
    return load(room, 0)


@njit(**INNER)
def products(logs, place, stride, steps, every, A, weights, keep, state, other, tops, room, K):  # type: ignore[no-untyped-def]  # fmt: skip
    """state (K, K, 8) = products of all steps of every stretch, scaled; tops (8,) += logs of what was taken off."""
    for i in range(K):
        for j in range(K):
            store(state, (i * K + j) * LANES, splat(1.0 if i == j else 0.0))
    left, now, then = every, state, other
    for t in range(steps):
        at = t * K * LANES if keep else 0
        weigh_step(logs, place + t * K, stride, weights, at, tops, K)
        sums = splat(0.0)
        for i in range(K):
            sums = add(sums, step_right(now, i * K * LANES, A, weights, at, then, i * K * LANES, K))
        now, then = then, now
        left -= 1
        if left == 0:
            left = every
            if smallest(sums) < TIRED:
                store(tops, 0, add(load(tops, 0), shrink(now, K * K, sums, room)))
    for i in range(K * K):
        store(state, i * LANES, load(now, i * LANES))


@njit(**INNER)
def rightward(steps, every, A, weights, enter, table, room, K):  # type: ignore[no-untyped-def]
    """table (steps, K, 8) = forward weights after `enter`, in any scale."""
    left, row = every, K * LANES
    sums = step_right(enter, 0, A, weights, 0, table, 0, K)
    for t in range(1, steps):
        at = t * row
        sums = step_right(table, at - row, A, weights, at, table, at, K)
        left -= 1
        if left == 0:
            left = every
            if smallest(sums) < TIRED:
                shrink(beyond(table, at), K, sums, room)


@njit(**INLINED)
def share_of(alpha, at, beta, out, K):  # type: ignore[no-untyped-def]
    """out = alpha[at :] * beta over its sum; returns one over the sum."""
    sums = splat(0.0)
    for k in range(K):
        x = multiply(load(alpha, at + k * LANES), load(beta, k * LANES))
        store(out, k * LANES, x)
        sums = add(sums, x)
    share = divide(splat(1.0), sums)
    for k in range(K):
        store(out, k * LANES, multiply(load(out, k * LANES), share))
    return share


@njit(**INLINED)
def count(alpha, at, share, after, counts, K):  # type: ignore[no-untyped-def]
    """counts (K, K, 8) += alpha' after * share."""
    for i in range(K):
        x = multiply(load(alpha, at + i * LANES), share)
        for j in range(K):
            place = (i * K + j) * LANES
            store(counts, place, multiply_add(x, load(after, j * LANES), load(counts, place)))


@njit(**INLINED)
def step_left(after, A, beta, K):  # type: ignore[no-untyped-def]
    """beta = A @ after."""
    for i in range(K):
        x = multiply(load(A, i * K * LANES), load(after, 0))
        for j in range(1, K):
            x = multiply_add(load(A, (i * K + j) * LANES), load(after, j * LANES), x)
        store(beta, i * LANES, x)


@njit(**INNER)
def leftward(steps, every, A, weights, enter, beta, after, both, table, counting, counts, room, K):  # type: ignore[no-untyped-def]  # fmt: skip
    """Marginals over the forward weights in table (steps, K, 8), from `beta` of the last steps on.

    With `counting`, counts (K, K, 8) += alpha' (b beta), still to be multiplied by A; the move into a stretch is
    counted with it, from what enters: enter (K, 8).
    """
    left = every
    for t in range(steps - 1, -1, -1):
        at = t * K * LANES
        share = share_of(table, at, beta, both, K)
        if counting and t < steps - 1:
            count(table, at, share, after, counts, K)
        sums = splat(0.0)
        for k in range(K):
            x = multiply(load(beta, k * LANES), load(weights, at + k * LANES))
            store(after, k * LANES, x)
            store(table, at + k * LANES, load(both, k * LANES))
            sums = add(sums, x)
        left -= 1
        if left == 0:
            left = every
            if smallest(sums) < TIRED:
                shrink(after, K, sums, room)
        step_left(after, A, beta, K)
    if counting:
        share = share_of(enter, 0, beta, both, K)
        count(enter, 0, share, after, counts, K)


@njit(**INNER)
def spread_out(table, out, head, steps, normal, K):  # type: ignore[no-untyped-def]
    """out[head * K :] = table (steps, K, 8) in the order of time; `normal`: rows divided by their sums."""
    share = splat(1.0)
    for t in range(steps):
        if normal:
            sums = splat(0.0)
            for k in range(K):
                sums = add(sums, load(table, (t * K + k) * LANES))
            share = divide(splat(1.0), sums)
        for k in range(K):
            x = multiply(load(table, (t * K + k) * LANES), share)
            deal(out, (head + t) * K + k, steps * K, x)


@njit(**INNER)
def reweigh(logs, place, stride, steps, weights, tops, K):  # type: ignore[no-untyped-def]
    """The weights of a block again."""
    for t in range(steps):
        weigh_step(logs, place + t * K, stride, weights, t * K * LANES, tops, K)


@njit(**COMPILED)
def run(initial, A, logs, mode, every, out, work, kept, counts, K):  # type: ignore[no-untyped-def]
    """log Z of one chain, NaN where it cannot be told here; logs (T * K,).

    mode: LOG_ONLY; FILTER: P(s_t | steps up to t) into out (T * K,); MARGINALS: P(s_t | all) into out; COUNTS: and
    counts (K, K) += expected moves, still to be multiplied by A. Sums are looked at every so many steps. What is kept
    of every block of steps: its products and what enters it (blocks, (K + 1) * K * 8). For LOG_ONLY, out (8 * K,).
    All work is the caller's, as an address keeps no array alive.
    """
    T, square, row = len(logs) // K, K * K * LANES, K * LANES
    rest = (T - 1) // LANES % BLOCK
    head = T - len(kept) * BLOCK * LANES + (BLOCK - rest) * LANES * (rest > 0)
    source, target, matrix, store_of = address(logs), address(out), address(work), address(kept)
    state, other, inner = (
        beyond(matrix, square),
        beyond(matrix, 2 * square),
        beyond(matrix, 3 * square),
    )
    after, both, leave = (
        beyond(inner, square),
        beyond(inner, square + row),
        beyond(inner, square + 2 * row),
    )
    tops = beyond(leave, row)
    room, tables = beyond(tops, LANES), beyond(tops, 2 * LANES)
    table = beyond(tables, BLOCK * row)
    for i in range(K):
        for j in range(K):
            store(matrix, (i * K + j) * LANES, splat(A[i, j]))
            store(inner, (i * K + j) * LANES, splat(0.0))
    log_z = begin(initial, A, logs, head, out, K)
    start, first = out[(head - 1) * K : head * K].copy(), head
    store(tops, 0, splat(0.0))
    for b in range(len(kept)):
        steps = rest if b == 0 and rest > 0 else BLOCK
        products(source, first * K, steps * K, steps, every, matrix, tables, mode == FILTER, state, other, tops, room,
                 K)  # fmt: skip
        for i in range(0, square, LANES):
            store(store_of, b * (square + row) + i, load(state, i))
        enter = kept[b, square:].reshape(K, LANES)
        log_z += joined(start, kept[b, :square].reshape(K, K, LANES), enter, K)
        if mode == FILTER:
            rightward(
                steps,
                every,
                matrix,
                tables,
                beyond(store_of, b * (square + row) + square),
                table,
                room,
                K,
            )
            spread_out(table, target, first, steps, True, K)
        first += steps * LANES
    for lane in range(LANES):
        log_z += get(tops, lane)
    if not np.isfinite(log_z):
        return np.nan
    if mode < MARGINALS:
        return log_z
    beta = np.ones(K)
    for b in range(len(kept) - 1, -1, -1):
        steps = rest if b == 0 and rest > 0 else BLOCK
        first -= steps * LANES
        enters = beyond(store_of, b * (square + row) + square)
        reweigh(source, first * K, steps * K, steps, tables, tops, K)
        rightward(steps, every, matrix, tables, enters, table, room, K)
        ends = work[4 * square + 2 * row : 4 * square + 3 * row].reshape(K, LANES)
        beta = joined_back(kept[b, :square].reshape(K, K, LANES), beta, ends, K)
        leftward(
            steps,
            every,
            matrix,
            tables,
            enters,
            leave,
            after,
            both,
            table,
            mode == COUNTS,
            inner,
            room,
            K,
        )
        spread_out(table, target, first, steps, False, K)
    begin_back(A, logs, head, out, beta, mode == COUNTS, counts, K)
    for i in range(K):
        for j in range(K):
            for lane in range(LANES):
                counts[i, j] += work[3 * square + (i * K + j) * LANES + lane]
    return log_z


def attempt(
    initial: np.ndarray, transition: np.ndarray, logs: np.ndarray, mode: int, out: np.ndarray
) -> tuple[float, np.ndarray]:
    """`run` on one sequence that `fits`: logs (T, K), out (T * K,), of any length for LOG_ONLY.

    Returns log Z, NaN where the plain recursions must do it, and expected moves (K, K) of COUNTS.
    """
    T, K = logs.shape
    every = int(max(1.0, min(16.0, 60 / -np.log10(min(transition.min(), 0.1)))))
    blocks = -(-((T - 1) // LANES) // BLOCK)
    size = (4 * K * K + 3 * K + 2 + 2 * BLOCK * K) * LANES
    raw = np.empty(size + LANES)
    work = raw[(-raw.ctypes.data // 8) % LANES :][:size]  # from where a cache line begins
    kept, counts = np.empty((blocks, (K + 1) * K * LANES)), np.zeros((K, K))
    out = out if mode > LOG_ONLY else np.empty(LANES * K)
    log_z = run(initial, transition, logs.reshape(-1), mode, every, out, work, kept, counts, K)
    return log_z, counts * transition
