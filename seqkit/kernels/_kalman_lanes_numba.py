"""Compiled filters that run side by side: stretches of one long series, or many series, in the lanes of a vector.

A recursion in time waits for each result before it can go on; many of them at once do not. Their inner loops go over
lanes, which the compiler, or one product of matrices, turns into vector instructions.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ._kalman_numba import COMPILED, INNER, LOG_2PI

LANES = 128  # series filtered side by side


@njit(**COMPILED)
def stretch(Y, maps, mean):  # type: ignore[no-untyped-def]
    """Sum of squared whitened innovations of L stretches of a series, side by side.

    Y (rows, m, L); columns of `mean` (n, L) are the predicted states where the stretches begin, and are carried to
    their ends. maps (n + m, n + m + 1) takes (state, observation, 1) to the next predicted state and to
    innovations of unit variance: one product of matrices per row.
    """
    rows, m, lanes = Y.shape
    n = len(mean)
    X, out = np.empty((n + m + 1, lanes)), np.empty((n + m, lanes))
    for i in range(n):
        for lane in range(lanes):
            X[i, lane] = mean[i, lane]
    for lane in range(lanes):
        X[n + m, lane] = 1.0
    total = 0.0
    for s in range(rows):
        for o in range(m):
            source, target = Y[s, o], X[n + o]
            for lane in range(lanes):
                target[lane] = source[lane]
        if n + m > 6:
            np.dot(maps, X, out)
        else:  # a product so small is faster by loops
            for i in range(n + m):
                row = out[i]
                for lane in range(lanes):
                    row[lane] = maps[i, n + m]
                for k in range(n + m):
                    weight, x = maps[i, k], X[k]
                    for lane in range(lanes):
                        row[lane] += weight * x[lane]
        for o in range(n, n + m):
            row = out[o]
            for lane in range(lanes):
                total += row[lane] * row[lane]
        for i in range(n):
            source, target = out[i], X[i]
            for lane in range(lanes):
                target[lane] = source[lane]
    for i in range(n):
        for lane in range(lanes):
            mean[i, lane] = X[i, lane]
    return total


@njit(**COMPILED)
def serial(y, start, end, maps, mean):  # type: ignore[no-untyped-def]
    """The same for rows start .. end - 1 of y (T, m), one stretch; `mean` (n,) is carried along."""
    n, m = len(mean), y.shape[1]
    after = np.empty(n + m)
    total = 0.0
    for t in range(start, end):
        for i in range(n + m):
            new = maps[i, n + m]
            for k in range(n):
                new += maps[i, k] * mean[k]
            for k in range(m):
                new += maps[i, n + k] * y[t, k]
            after[i] = new
        for i in range(n):
            mean[i] = after[i]
        for i in range(n, n + m):
            total += after[i] * after[i]
    return total


@njit(**COMPILED)
def batch(Y, A, c, Q, C, r, d, mean, cov, lanes, density):  # type: ignore[no-untyped-def]
    """log p of every series: Y (T, m, N) with N a multiple of `lanes`, NaN where missing; density (N,).

    One constant system with a known start; every series has its own missing elements and so its own gains.
    """
    length, m, series = Y.shape
    n = len(A)
    a, work = np.empty((n, lanes)), np.empty((n, lanes))
    P, W = np.empty((n, n, lanes)), np.empty((n, n, lanes))
    M = np.empty((n, lanes))
    error, inverse, seen = np.empty(lanes), np.empty(lanes), np.empty(lanes)
    product, total = np.empty(lanes), np.empty(lanes)
    for first in range(0, series, lanes):
        for i in range(n):
            for lane in range(lanes):
                a[i, lane] = mean[i]
            for j in range(n):
                for lane in range(lanes):
                    P[i, j, lane] = cov[i, j]
        for lane in range(lanes):
            product[lane], total[lane] = 1.0, 0.0
        for t in range(length):
            if t > 0:
                carry_lanes(A, c, Q, a, P, work, W)
            for o in range(m):
                observe_lanes(
                    Y[t, o], first, C[o], r[o], d[o], a, P, M, error, inverse, seen, product, total
                )
        for lane in range(lanes):
            density[first + lane] = -0.5 * (total[lane] + np.log(product[lane]))


@njit(**INNER)
def carry_lanes(A, c, Q, a, P, work, W):  # type: ignore[no-untyped-def]
    """a <- A a + c and P <- A P A' + Q in every lane."""
    n, lanes = a.shape
    for i in range(n):
        for lane in range(lanes):
            work[i, lane] = c[i]
        for k in range(n):
            weight = A[i, k]
            if weight != 0.0:
                for lane in range(lanes):
                    work[i, lane] += weight * a[k, lane]
    for i in range(n):
        for lane in range(lanes):
            a[i, lane] = work[i, lane]
        for j in range(n):
            for lane in range(lanes):
                W[i, j, lane] = 0.0
            for k in range(n):
                weight = A[i, k]
                if weight != 0.0:
                    for lane in range(lanes):
                        W[i, j, lane] += weight * P[k, j, lane]
    for i in range(n):
        for j in range(i + 1):
            for lane in range(lanes):
                P[i, j, lane] = Q[i, j]
            for k in range(n):
                weight = A[j, k]
                if weight != 0.0:
                    for lane in range(lanes):
                        P[i, j, lane] += weight * W[i, k, lane]
            for lane in range(lanes):
                P[j, i, lane] = P[i, j, lane]


@njit(**INNER)
def observe_lanes(y, first, z, r, d, a, P, M, error, inverse, seen, product, total):  # type: ignore[no-untyped-def]
    """Take one element into every lane; where it is missing, its gain is zero and it counts nothing."""
    n, lanes = a.shape
    for lane in range(lanes):
        value = y[first + lane]
        seen[lane] = 0.0 if np.isnan(value) else 1.0
        error[lane] = 0.0 if np.isnan(value) else value - d
        inverse[lane] = r
    for i in range(n):
        for lane in range(lanes):
            M[i, lane] = 0.0
        for k in range(n):
            weight = z[k]
            if weight != 0.0:
                for lane in range(lanes):
                    M[i, lane] += weight * P[i, k, lane]
        weight = z[i]
        for lane in range(lanes):
            inverse[lane] += weight * M[i, lane]
            error[lane] -= weight * a[i, lane]
    plain = True
    for lane in range(lanes):
        usable = seen[lane] * inverse[lane] > 0.0
        F, use = (inverse[lane], 1.0) if usable else (1.0, 0.0)
        inverse[lane] = use / F
        product[lane] *= F
        plain = plain and 1e-100 < product[lane] < 1e100
        total[lane] += use * LOG_2PI + error[lane] * error[lane] * inverse[lane]
    if not plain:
        for lane in range(lanes):
            total[lane] += np.log(product[lane])
            product[lane] = 1.0
    for i in range(n):
        for lane in range(lanes):
            a[i, lane] += M[i, lane] * (error[lane] * inverse[lane])
        for j in range(i + 1):
            for lane in range(lanes):
                P[i, j, lane] -= (M[i, lane] * M[j, lane]) * inverse[lane]
            for lane in range(lanes):
                P[j, i, lane] = P[i, j, lane]


@njit(**COMPILED)
def smooth_paths(  # type: ignore[no-untyped-def]
    E, A, Q, C, moves, pattern, slot, seen, gains, variances, diffuse_rows, gains_next, variances_inf, P, Pinf, out
):  # fmt: skip
    """Smoothed states of many series with one pattern of missing elements, from the gains of a filter.

    E (T, m, D): the series, side by side, of a system without intercepts that starts from zero; overwritten.
    seen (T, m): which elements count. P, Pinf (n, n): the start. out (T, n, D).
    """
    length, m, many = E.shape
    n = A.shape[1]
    h, work = np.zeros((n, many)), np.empty((n, many))
    u = np.empty(many)
    for t in range(length):
        if t > 0:
            weighted(A, t * moves[0], h, work)
        s = slot[t]
        for o in range(m):
            if seen[t, o]:
                for i in range(n):
                    z = C[pattern[t], o, i]
                    for k in range(many):
                        E[t, o, k] -= z * h[i, k]
                for i in range(n):
                    gain = gains[s, o, i]
                    for k in range(many):
                        h[i, k] += gain * E[t, o, k]
    r, r1 = np.zeros((n, many)), np.zeros((n, many))
    for t in range(length - 1, -1, -1):
        s, diffuse = slot[t], t < diffuse_rows
        for o in range(m - 1, -1, -1):
            if not seen[t, o]:
                continue
            infinite = diffuse and variances_inf[t, o] > 0.0
            finite = 0.0 if infinite else 1.0 / variances[s, o]
            if diffuse:
                first = 1.0 / variances_inf[t, o] if infinite else 0.0
                for k in range(many):
                    u[k] = first * E[t, o, k]
                    for i in range(n):
                        u[k] -= gains[s, o, i] * r1[i, k]
                        if infinite:
                            u[k] -= gains_next[t, o, i] * r[i, k]
                    for i in range(n):
                        r1[i, k] += C[pattern[t], o, i] * u[k]
            for k in range(many):
                u[k] = finite * E[t, o, k]
            for i in range(n):
                gain = gains[s, o, i]
                for k in range(many):
                    u[k] -= gain * r[i, k]
            for i in range(n):
                z = C[pattern[t], o, i]
                for k in range(many):
                    r[i, k] += z * u[k]
        for i in range(n):
            for k in range(many):
                out[t, i, k] = r[i, k]
        if t > 0:
            turned(A, t * moves[0], r, work)
            if diffuse:
                turned(A, t * moves[0], r1, work)
    for i in range(n):
        for k in range(many):
            h[i, k] = 0.0
        for j in range(n):
            for k in range(many):
                h[i, k] += P[i, j] * r[j, k] + Pinf[i, j] * r1[j, k]
    for t in range(length):
        if t > 0:
            weighted(A, t * moves[0], h, work)
            for i in range(n):
                for j in range(n):
                    weight = Q[t * moves[2], i, j]
                    if weight != 0.0:
                        for k in range(many):
                            h[i, k] += weight * out[t, j, k]
        for i in range(n):
            for k in range(many):
                out[t, i, k] = h[i, k]


@njit(**INNER)
def weighted(A, ia, h, work):  # type: ignore[no-untyped-def]
    """h (n, lanes) <- A h."""
    n, many = h.shape
    for i in range(n):
        for k in range(many):
            work[i, k] = 0.0
        for j in range(n):
            weight = A[ia, i, j]
            if weight != 0.0:
                for k in range(many):
                    work[i, k] += weight * h[j, k]
    for i in range(n):
        for k in range(many):
            h[i, k] = work[i, k]


@njit(**INNER)
def turned(A, ia, r, work):  # type: ignore[no-untyped-def]
    """r (n, lanes) <- A'r."""
    n, many = r.shape
    for i in range(n):
        for k in range(many):
            work[i, k] = 0.0
        for j in range(n):
            weight = A[ia, j, i]
            if weight != 0.0:
                for k in range(many):
                    work[i, k] += weight * r[j, k]
    for i in range(n):
        for k in range(many):
            r[i, k] = work[i, k]
