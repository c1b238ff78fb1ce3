"""Compiled recursions of `seqkit.kernels.ctc`: the lattice of one transcript in scaled space, and in logarithms.

A transcript of L labels has L + 1 blanks, before, between and after them. They are held apart, blanks b_0 .. b_L and
labels c_1 .. c_L, so that a step is arithmetic of whole vectors without a table of who leads to whom:

    b'_j = (b_j + c_j) y(blank),    c'_j = (c_j + b_{j-1} + [l_j != l_{j-1}] c_{j-1}) y(l_j),    c_0 = 0.

A row holds 8 zeros, the blanks, 8 zeros, the labels. Only the vectors are computed in which some state can be reached
and still reaches the end; one of zeros on either side of them is all that later steps see of the others.

Posteriors take the scale of the forward pass, in which they sum to one: what is lost on the way back is lost beside
one. What underflowed on the way forth is lost beside the likelihood, unless that is tiny itself; such sequences are
looked at, and if need be redone in logarithms.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from ._chain_numba import COMPILED, INLINED, INNER
from ._vectors_numba import (
    add,
    address,
    beyond,
    exponential,
    get,
    if_greater,
    load,
    multiply,
    put,
    splat,
    spread,
    store,
    total,
)

SMALL = 1e-20  # sums below this are scaled back to one
LIKELY = -550.0  # above this log-likelihood, what underflows (below 1e-288 of a sum) cannot matter
LOST = 1e-280  # a probability below this has lost digits, or all
DUST = 1e-290  # set to zero: numbers that underflow cost a hundred times the others
LIFT = 1e140  # posteriors are multiplied by this on their way, so that none underflows; below its inverse they are zero
NOTHING, POSTERIOR, GRADIENT = (
    0,
    1,
    2,
)  # what is WANTED of a pass; the gradient is that of -log Z by scores
FAINT = 1e-300  # a weight below this is zero, and its sequence looked at
_exp = exponential(-700.0)  # clamped below FAINT


@njit(**INNER)
def needed(labels):  # type: ignore[no-untyped-def]
    """Frames that the first j labels take at least, (L + 1,): one each, and a blank between equal neighbours."""
    frames = np.zeros(len(labels) + 1, np.int64)
    for j in range(1, len(labels) + 1):
        twice = j > 1 and labels[j - 1] == labels[j - 2]
        frames[j] = frames[j - 1] + (2 if twice else 1)
    return frames


@njit(**COMPILED)
def shortest(labels, offsets):  # type: ignore[no-untyped-def]
    """Frames that every transcript takes at least, (n,)."""
    out = np.empty(len(offsets) - 1, np.int64)
    for n in range(len(out)):
        out[n] = needed(labels[offsets[n] : offsets[n + 1]])[-1]
    return out


@njit(**COMPILED)
def spans(frames, length):  # type: ignore[no-untyped-def]
    """First and one past last lane of the vectors that step t needs, (T, 2), from the frames `needed`."""
    L = len(frames) - 1
    out = np.empty((length, 2), np.int64)
    low = high = 0
    for t in range(length):
        while high < L and frames[high + 1] <= t + 1:
            high += 1
        while frames[L] - frames[low] > length - t:
            low += 1
        out[t, 0], out[t, 1] = low // 8 * 8, high // 8 * 8 + 8
    return out


@njit(**INLINED)
def walled(row, low, high):  # type: ignore[no-untyped-def]
    """Zeros on either side of the lanes low .. high - 1."""
    store(row, low - 8, splat(0.0))
    store(row, high, splat(0.0))


@njit(**INLINED)
def gathered(p, columns, y, low, high, L):  # type: ignore[no-untyped-def]
    """y[j] = p[column of label j], for the labels among the lanes low .. high - 1."""
    for j in range(max(low, 1), min(high, L + 1)):
        put(y, j, get(p, get(columns, j - 1)))


@njit(**INLINED)
def grounded(x):  # type: ignore[no-untyped-def]
    """What was multiplied by LIFT, by itself; nothing where it is next to nothing."""
    return x * (1.0 / LIFT) if x > 1.0 / LIFT else 0.0


@njit(**INNER)
def forward(p, columns, skip, span, F, y, scales, length, L, K, W):  # type: ignore[no-untyped-def]
    """Rows of F: P(state t, frames up to t), scaled; 1 / scales[t] is what row t was multiplied by. Returns log Z."""
    stride = 2 * W + 16
    log_z = 0.0
    at, rows, places, leaps = address(span), address(F), address(columns), address(skip)
    lanes, gains = address(y), address(scales)
    b, c = beyond(rows, 8), beyond(rows, 16 + W)
    for t in range(length):
        low, high = get(at, 2 * t), get(at, 2 * t + 1)
        here = beyond(p, t * K)
        before_b, before_c = b, c
        b, c = beyond(rows, t * stride + 8), beyond(rows, t * stride + 16 + W)
        gathered(here, places, lanes, low, high, L)
        walled(b, low, high)
        walled(c, low, high)
        blank = spread(here, 0)
        mass, zero, dust = splat(0.0), splat(0.0), splat(DUST)
        for j in range(low, high, 8):
            if t == 0:
                store(b, j, zero)
                store(c, j, zero)
                continue
            past_b, past_c = load(before_b, j), load(before_c, j)
            leap = if_greater(load(leaps, j), splat(0.5), load(before_c, j - 1), zero)
            stay = multiply(add(past_b, past_c), blank)
            move = multiply(add(add(past_c, load(before_b, j - 1)), leap), load(lanes, j))
            stay, move = if_greater(stay, dust, stay, zero), if_greater(move, dust, move, zero)
            store(b, j, stay)
            store(c, j, move)
            mass = add(mass, add(stay, move))
        whole = total(mass)
        if t == 0:
            put(b, 0, get(here, 0))
            whole = get(here, 0)
            if L:
                put(c, 1, get(lanes, 1))
                whole += get(lanes, 1)
        if not whole > 0.0:
            return whole - np.inf  # nothing left, or not a number
        put(gains, t, 1.0)
        if whole < SMALL:
            put(gains, t, whole)
            log_z += math.log(whole)
            scale = splat(1.0 / whole)
            for j in range(low, high, 8):
                store(b, j, multiply(load(b, j), scale))
                store(c, j, multiply(load(c, j), scale))
    last = get(b, L) + (get(c, L) if L else 0.0)
    return log_z + math.log(last) if last > 0.0 else -np.inf


@njit(**INNER)
def backward(p, columns, skip, span, F, y, ahead, scales, out, length, L, K, W):  # type: ignore[no-untyped-def]
    """Posteriors of the classes at every step, added to `out` (T, K), which holds zeros."""
    stride = 2 * W + 16
    at, rows, places, leaps = address(span), address(F), address(columns), address(skip)
    lanes, gains = address(y), address(scales)
    u, v = beyond(address(ahead), 8), beyond(address(ahead), 16 + W)  # of the step after, times y
    joint = beyond(address(ahead), 24 + 2 * W)
    b = beyond(rows, (length - 1) * stride + 8)
    c = beyond(b, W + 8)
    end = 1.0 / (get(b, L) + (get(c, L) if L else 0.0))
    for t in range(length - 1, -1, -1):
        low, high = get(at, 2 * t), get(at, 2 * t + 1)
        here, there = beyond(p, t * K), beyond(out, t * K)
        b, c = beyond(rows, t * stride + 8), beyond(rows, t * stride + 16 + W)
        last = t == length - 1
        shrink = splat(1.0) if last else splat(1.0 / get(gains, t + 1))
        gathered(here, places, lanes, low, high, L)
        blank, zero = spread(here, 0), splat(0.0)
        blanks, lifted, dust = splat(0.0), splat(LIFT), splat(1.0 / LIFT)
        for j in range(low, high, 8):  # upwards: lane j + 1 of the step after is still there
            if last:
                store(u, j, zero)
                store(v, j, zero)
                if j <= L < j + 8:
                    put(u, L, end)
                    put(v, L, end if L else 0.0)
                beta_b, beta_c = load(u, j), load(v, j)
            else:
                stay, leave = load(u, j), load(v, j + 1)
                leap = if_greater(load(leaps, j + 1), splat(0.5), leave, zero)
                beta_b = multiply(add(stay, leave), shrink)
                beta_c = multiply(add(add(stay, load(v, j)), leap), shrink)
            beta_b = if_greater(beta_b, dust, beta_b, zero)
            beta_c = if_greater(beta_c, dust, beta_c, zero)
            alpha_b, alpha_c = multiply(load(b, j), lifted), multiply(load(c, j), lifted)
            blanks = add(blanks, if_greater(alpha_b, zero, multiply(alpha_b, beta_b), zero))
            store(joint, j, if_greater(alpha_c, zero, multiply(alpha_c, beta_c), zero))
            store(u, j, multiply(beta_b, blank))
            store(v, j, multiply(beta_c, load(lanes, j)))
        walled(u, low, high)
        walled(v, low, high)
        put(there, 0, get(there, 0) + grounded(total(blanks)))
        for j in range(max(low, 1), min(high, L + 1)):
            column = get(places, j - 1)
            put(there, column, get(there, column) + grounded(get(joint, j)))


@njit(**INNER)
def sound(F, frames, length, W):  # type: ignore[no-untyped-def]
    """Whether nothing that can be reached, and reaches the end, has underflowed."""
    L, stride = len(frames) - 1, 2 * W + 16
    for t in range(length):
        row = t * stride
        for j in range(L + 1):
            after = frames[L] - frames[j]
            if after > length - t or frames[j] > t + 1:
                continue
            if j and after < length - t and F[row + 16 + W + j] < LOST:
                return False
            again = (
                j < L and frames[j + 1] - frames[j] == 2
            )  # the blank spares one of the frames to come
            if frames[j] <= t and after - again < length - t and F[row + 8 + j] < LOST:
                return False
    return True


@njit(**INNER)
def weigh(u, normalise, length, p, shift):  # type: ignore[no-untyped-def]
    """p = exp(u - shift), rows of vectors that end in zeros; shift (T,) is 0, or what makes p a law of every row."""
    K = u.shape[1]
    wide = (K + 7) // 8 * 8
    at = address(p)
    for t in range(length):
        here = beyond(at, t * wide)
        top = -np.inf
        for k in range(K):
            top = max(top, u[t, k])
        shift[t] = top if normalise else 0.0
        store(here, wide - 8, splat(-np.inf))
        for k in range(K):
            put(here, k, u[t, k] - shift[t])
        mass, zero, faint = splat(0.0), splat(0.0), splat(FAINT)
        for k in range(0, wide, 8):
            weight = _exp(load(here, k))
            weight = if_greater(weight, faint, weight, zero)
            store(here, k, weight)
            mass = add(mass, weight)
        if normalise:
            whole = total(mass)
            scale = splat(1.0 / whole)
            shift[t] += math.log(whole)
            for k in range(0, wide, 8):
                store(here, k, multiply(load(here, k), scale))


@njit(**INNER)
def redone(u, shift, labels, columns, length, counting, posterior, wide):  # type: ignore[no-untyped-def]
    """log Z of one sequence in logarithms, and the posteriors in rows of length `wide`."""
    K = u.shape[1]
    log_p = np.empty((length, K))
    for t in range(length):
        for k in range(K):
            log_p[t, k] = u[t, k] - shift[t]
    out = np.zeros((length, K))
    log_z = in_logs(log_p, labels, columns, length, counting, out)
    for t in range(length):
        for k in range(K):
            posterior[t * wide + k] = out[t, k]
    return log_z


@njit(**COMPILED)
def run(u, normalise, lengths, labels, columns, offsets, wanted, log_z, out):  # type: ignore[no-untyped-def]
    """log Z of every sequence; in `out` (n, T, K), which holds zeros, what is WANTED.

    u : log-probabilities, or with `normalise` scores before a softmax.
    labels : what tells equal neighbours. columns : where the probability of each stands; the labels, as a rule.
    """
    T, K = u.shape[1], u.shape[2]
    wide = (K + 7) // 8 * 8
    longest = 0
    for n in range(len(lengths)):
        longest = max(longest, offsets[n + 1] - offsets[n])
    widest = longest // 8 * 8 + 8
    p, posterior = np.empty(T * wide + 8), np.empty(T * wide + 8)
    F, ahead = np.empty(T * (2 * widest + 16) + 8), np.zeros(3 * widest + 32)
    y, skip = np.zeros(widest), np.zeros(widest + 8)
    scales, shift = np.ones(T), np.zeros(T)
    here, there = address(p), address(posterior)
    for n in range(len(lengths)):
        length, own = lengths[n], columns[offsets[n] : offsets[n + 1]]
        words = labels[offsets[n] : offsets[n + 1]]
        frames, L = needed(words), len(words)
        log_z[n] = -np.inf
        if frames[L] > length or length == 0:
            if length == 0 and L == 0:
                log_z[n] = 0.0
            continue
        weigh(u[n], normalise, length, p, shift)
        W = L // 8 * 8 + 8
        y[:], skip[:], ahead[:] = 0.0, 0.0, 0.0
        for j in range(2, L + 1):
            skip[j] = 1.0 if words[j - 1] != words[j - 2] else 0.0
        span = spans(frames, length).ravel()
        posterior[: length * wide] = 0.0
        found = forward(here, own, skip, span, F, y, scales, length, L, wide, W)
        if found < LIKELY and not (found > -np.inf and sound(F, frames, length, W)):
            found = redone(u[n], shift, words, own, length, wanted > 0, posterior, wide)
        elif wanted > 0 and found == found:
            backward(here, own, skip, span, F, y, ahead, scales, there, length, L, wide, W)
        log_z[n] = found
        if wanted == NOTHING or found == -np.inf:
            continue
        for t in range(length):
            for k in range(K):
                value = posterior[t * wide + k]
                out[n, t, k] = p[t * wide + k] - value if wanted == GRADIENT else value


@njit(**INNER)
def summed(a, b):  # type: ignore[no-untyped-def]
    """log(exp(a) + exp(b))."""
    if a < b:
        a, b = b, a
    return a if b == -np.inf else a + math.log1p(math.exp(b - a))


@njit(**COMPILED)
def in_logs(log_p, labels, columns, length, counting, out):  # type: ignore[no-untyped-def]
    """log Z of one sequence, and the posteriors in `out` (T, K): the plain recursions (Graves et al. 2006, section 4).

    States 2 j are the blanks, 2 j - 1 the labels.
    """
    S = 2 * len(labels) + 1
    alpha = np.full((length, S), -np.inf)
    alpha[0, 0] = log_p[0, 0]
    if S > 1:
        alpha[0, 1] = log_p[0, columns[0]]
    for t in range(1, length):
        for s in range(max(0, S - 2 * (length - t)), min(S, 2 * t + 2)):
            column = columns[s // 2] if s % 2 else 0
            x = alpha[t - 1, s]
            if s:
                x = summed(x, alpha[t - 1, s - 1])
            if s % 2 and s > 1 and labels[s // 2] != labels[s // 2 - 1]:
                x = summed(x, alpha[t - 1, s - 2])
            alpha[t, s] = x + log_p[t, column]
    log_z = alpha[length - 1, S - 1]
    if S > 1:
        log_z = summed(log_z, alpha[length - 1, S - 2])
    if not counting or log_z == -np.inf:
        return log_z
    beta, after = np.full(S, -np.inf), np.full(S, -np.inf)
    beta[max(S - 2, 0) :] = 0.0
    for t in range(length - 1, -1, -1):
        for s in range(S):
            column = columns[s // 2] if s % 2 else 0
            if alpha[t, s] > -np.inf:
                out[t, column] += math.exp(alpha[t, s] + beta[s] - log_z)
            after[s] = beta[s] + log_p[t, column]
        for s in range(S):  # what leads on from s
            x = after[s]
            if s + 1 < S:
                x = summed(x, after[s + 1])
            if s % 2 and s + 2 < S and labels[s // 2 + 1] != labels[s // 2]:
                x = summed(x, after[s + 2])
            beta[s] = x
    return log_z


@njit(**COMPILED)
def viterbi(log_p, labels, path):  # type: ignore[no-untyped-def]
    """The best path of one sequence through the states of `in_logs`, into `path` (T,); returns its score."""
    length, S = len(log_p), 2 * len(labels) + 1
    came = np.zeros((length, S), np.uint8)  # by how many states the best way goes on
    best, after = np.full(S, -np.inf), np.full(S, -np.inf)
    best[0] = log_p[0, 0]
    if S > 1:
        best[1] = log_p[0, labels[0]]
    for t in range(1, length):
        for s in range(S):
            top, by = best[s], 0
            if s and best[s - 1] > top:
                top, by = best[s - 1], 1
            leaps = s % 2 and s > 1 and labels[s // 2] != labels[s // 2 - 1]
            if leaps and best[s - 2] > top:
                top, by = best[s - 2], 2
            came[t, s] = by
            after[s] = top + log_p[t, labels[s // 2] if s % 2 else 0]
        best, after = after, best
    s = S - 2 if S > 1 and best[S - 2] > best[S - 1] else S - 1
    score = best[s]
    for t in range(length - 1, -1, -1):
        path[t] = s
        s -= came[t, s]
    return score
