"""Compiled steps of the Kalman filter: one scalar observation at a time, exact diffuse start, steady short cut.

Taking the elements of an observation one after another (Koopman & Durbin 2000) needs no inverse, lets any
element be missing, and treats an exact diffuse start by scalars. Elements must be uncorrelated, which
`kalman.decorrelate` sees to.

`states` carries the number of states by its length. Given as a tuple, the length is known when numba compiles and the
loops over it are unrolled; given as an array, one compilation serves all sizes. What the hot loop calls is inlined
by force: a call in it, even one never taken, costs more than the arithmetic of a step.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

# No division check, sums in any order; NaN keeps its meaning, since it marks what is missing.
COMPILED: dict[str, Any] = {
    "cache": True,
    "nogil": True,
    "error_model": "numpy",
    "fastmath": {"reassoc", "contract", "nsz"},
}
# Parts of a kernel, never called from Python: without the wrappers for that, which take half of a compilation.
INNER: dict[str, Any] = {
    **COMPILED,
    "cache": False,
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
}
INLINED: dict[str, Any] = {**INNER, "forceinline": True}
DENSE, BLAS, SPARSE = (
    0,
    1,
    2,
)  # how a covariance is carried over: loops, library products, non-zeros only
END, MEANS, ALL = 0, 1, 2  # what a filter stores
DIFFUSE_TOLERANCE = (
    1e-9  # of z'P_inf z relative to its terms, below which an observation says nothing new
)
LOG_2PI = float(np.log(2 * np.pi))
CANCELLATION = 1e-6  # of r / F, below which P - MM'/F loses its digits and Joseph's form is used


@njit(**INNER)
def nonzeros(A, counts, columns):  # type: ignore[no-untyped-def]
    """Where the rows of a matrix are not zero: row i in columns[i, :counts[i]]."""
    for i in range(len(A)):
        found = 0
        for j in range(len(A)):
            if A[i, j] != 0.0:
                columns[i, found] = j
                found += 1
        counts[i] = found


@njit(**INLINED)
def carry_mean(A, ia, c, ic, mean, work, states):  # type: ignore[no-untyped-def]
    """mean <- A mean + c."""
    n = len(states)
    for i in range(n):
        total = c[ic, i]
        for k in range(n):
            total += A[ia, i, k] * mean[k]
        work[i] = total
    for i in range(n):
        mean[i] = work[i]


@njit(**INLINED)
def carry_dense(A, ia, Q, iq, P, W, states):  # type: ignore[no-untyped-def]
    """P <- A P A' + Q, one triangle computed and mirrored."""
    n = len(states)
    for i in range(n):
        for j in range(n):
            total = 0.0
            for k in range(n):
                total += A[ia, i, k] * P[k, j]
            W[i, j] = total
    for i in range(n):
        for j in range(i + 1):
            total = Q[iq, i, j]
            for k in range(n):
                total += W[i, k] * A[ia, j, k]
            P[i, j] = total
            P[j, i] = total


@njit(**INNER)
def carry_blas(A, ia, Q, iq, P, W):  # type: ignore[no-untyped-def]
    n = len(P)
    np.dot(A[ia], P, W)
    np.dot(W, A[ia].T, P)
    for i in range(n):
        for j in range(i + 1):
            total = P[i, j] + Q[iq, i, j]
            P[i, j] = total
            P[j, i] = total


@njit(**INNER)
def carry_sparse(A, ia, Q, iq, P, W, counts, columns):  # type: ignore[no-untyped-def]
    n = len(P)
    for i in range(n):
        row = W[i]
        for j in range(n):
            row[j] = 0.0
        for s in range(counts[i]):
            k = columns[i, s]
            weight, source = A[ia, i, k], P[k]
            for j in range(n):
                row[j] += weight * source[j]
    for i in range(n):
        row = W[i]
        for j in range(i + 1):
            total = Q[iq, i, j]
            for s in range(counts[j]):
                k = columns[j, s]
                total += row[k] * A[ia, j, k]
            P[i, j] = total
            P[j, i] = total


@njit(**INNER)
def carry_cov(A, ia, Q, iq, P, W, how, counts, columns, states):  # type: ignore[no-untyped-def]
    """P <- A P A' + Q, symmetric to the last bit."""
    if how == DENSE:
        carry_dense(A, ia, Q, iq, P, W, states)
    elif how == BLAS:
        carry_blas(A, ia, Q, iq, P, W)
    else:
        carry_sparse(A, ia, Q, iq, P, W, counts, columns)


@njit(**INLINED)
def times_row(P, C, ip, o, M, sparse, states):  # type: ignore[no-untyped-def]
    """M <- P z and z'P z for the row z of the observation matrix."""
    n = len(states)
    if n > 8:  # row by row
        for i in range(n):
            M[i] = 0.0
        for k in range(n):
            weight, source = C[ip, o, k], P[k]
            for i in range(0 if sparse and weight == 0.0 else n):
                M[i] += weight * source[i]
    else:
        for i in range(n):
            total = 0.0
            for k in range(n):
                total += P[i, k] * C[ip, o, k]
            M[i] = total
    spread = 0.0
    for i in range(n):
        spread += M[i] * C[ip, o, i]
    return spread


@njit(**INNER)
def shrink_rows(P, M, F):  # type: ignore[no-untyped-def]
    """P <- P - M M'/F by whole rows; M is overwritten."""
    scale = 1.0 / np.sqrt(F)
    for i in range(len(M)):
        M[i] *= scale
    for i in range(len(M)):
        weight, row = M[i], P[i]
        for j in range(len(M)):
            row[j] -= weight * M[j]


@njit(**INLINED)
def shrink(P, M, F, r, C, ip, o, W, states):  # type: ignore[no-untyped-def]
    """P <- P - M M'/F, the covariance after an observation; by Joseph's form where digits would cancel."""
    n = len(states)
    if r < CANCELLATION * F:
        joseph(P, M, F, r, C, ip, o, W, states)
        return
    if n > 8:
        shrink_rows(P, M, F)
        return
    inverse = 1.0 / F
    for i in range(n):
        for j in range(i + 1):
            total = P[i, j] - (M[i] * M[j]) * inverse
            P[i, j] = total
            P[j, i] = total


@njit(**INLINED)
def joseph(P, M, F, r, C, ip, o, W, states):  # type: ignore[no-untyped-def]
    """P <- (I - K z') P (I - K z')' + r K K', K = M / F."""
    n = len(states)
    for i in range(n):
        gain = M[i] / F
        for j in range(n):
            W[i, j] = P[i, j] - gain * M[j]
    for i in range(n):
        inner = 0.0
        for k in range(n):
            inner += W[i, k] * C[ip, o, k]
        for j in range(n):
            P[i, j] = W[i, j] - inner * (M[j] / F) + r * (M[i] / F) * (M[j] / F)
    for i in range(n):
        for j in range(i):
            total = 0.5 * (P[i, j] + P[j, i])
            P[i, j] = total
            P[j, i] = total
        if P[i, i] < 0.0:
            P[i, i] = 0.0


@njit(**INNER)
def diffuse_row(Pinf, C, ip, o, M, n):  # type: ignore[no-untyped-def]
    """M <- P_inf z; returns z'P_inf z, or 0 where it is zero but for rounding."""
    spread, size = 0.0, 0.0
    for i in range(n):
        total = 0.0
        for k in range(n):
            total += Pinf[i, k] * C[ip, o, k]
        M[i] = total
        spread += total * C[ip, o, i]
        size += Pinf[i, i] * C[ip, o, i] ** 2
    return spread if spread > DIFFUSE_TOLERANCE * size else 0.0


@njit(**INNER)
def diffuse_shrink(P, Pinf, M, F, Minf, Finf):  # type: ignore[no-untyped-def]
    """The two parts of the covariance after an observation of infinite variance (Durbin & Koopman 2012, 5.2)."""
    n = len(P)
    for i in range(n):
        for j in range(i + 1):
            total = (
                P[i, j] + (Minf[i] * Minf[j] * F / Finf - (Minf[i] * M[j] + M[i] * Minf[j])) / Finf
            )
            P[i, j] = total
            P[j, i] = total
            total = Pinf[i, j] - Minf[i] * Minf[j] / Finf
            Pinf[i, j] = total
            Pinf[j, i] = total


@njit(**INLINED)
def converged(P, before, tolerance, states):  # type: ignore[no-untyped-def]
    """Whether every element moved by less than `tolerance` standard deviations of its row and column."""
    n = len(states)
    for i in range(n):
        for j in range(i + 1):
            moved = P[i, j] - before[i, j]
            if not moved * moved <= tolerance * tolerance * P[i, i] * P[j, j]:
                return False
    return True


@njit(**INLINED)
def copy(source, target, place):  # type: ignore[no-untyped-def]
    """target[place] <- source; by loops, since numba takes seconds to compile an assignment of whole arrays."""
    for i in range(len(source)):
        for j in range(len(source)):
            target[place, i, j] = source[i, j]


@njit(**INLINED)
def clear(matrix):  # type: ignore[no-untyped-def]
    for i in range(len(matrix)):
        for j in range(len(matrix)):
            matrix[i, j] = 0.0


@njit(**INNER)
def incomplete_from(y, t):  # type: ignore[no-untyped-def]
    """The first row at or after `t` with a missing element; found by sums, to which a NaN sticks."""
    m, flat = y.shape[1], y.ravel()
    while t < len(y):
        stop = min(t + 256, len(y))
        total = 0.0
        for k in range(t * m, stop * m):
            total += flat[k]
        if np.isnan(total):
            for s in range(t, stop):
                for o in range(m):
                    if np.isnan(y[s, o]):
                        return s
        t = stop
    return len(y)


@njit(**COMPILED)
def filter_rows(  # type: ignore[no-untyped-def]
    y, A, c, Q, C, r, d, moves, pattern, mean, cov, start, how, steady, long, states,
    keep, density, predicted, filtered, errors, slot, gains, variances, predicted_cov, filtered_cov, used,
):  # fmt: skip
    """Filter rows start, start + 1, ... through a system whose start is not diffuse.

    `mean` (n,) and `cov` (n, n) hold the state filtered in row start - 1 (for start = 0, the predicted state of
    row 0) and are overwritten. `moves` tells for A, c, Q, d whether they have a row per step (1) or one for
    all (0); `pattern` (T,) says which of C (S, m, n) and r (S, m) belongs to a row. With `keep` > 0 the arrays after
    it are filled: matrices go to slot[t], which rows with a converged gain share; slots from `used` on are free.
    With `steady` > 0, `start` is a system that does not vary. With `keep` = 0 a converged stretch of at least
    `long` rows is left to the caller.

    Returns (log-likelihood, next row, slots used, False), or, where a stretch is left to the caller, (log-likelihood,
    its first row, its end, True) with the gain in gains[0] and variances[0].
    """
    n, m = len(states), y.shape[1]
    work, M = np.empty(n), np.empty(n)
    W, before = np.empty((n, n)), np.zeros((n, n))
    counts, columns = np.empty(n, np.int64), np.empty((n, n), np.int64)
    if how == SPARSE:
        nonzeros(A[0], counts, columns)
    quadratic, logs, product, counted = 0.0, 0.0, 1.0, 0
    complete = False
    mA, mc, mQ, md = moves[0], moves[1], moves[2], moves[3]
    t = start
    while t < len(y):
        if t > 0:
            if how == SPARSE and mA:
                nonzeros(A[t], counts, columns)
            carry_mean(A, t * mA, c, t * mc, mean, work, states)
            if how == DENSE:
                carry_dense(A, t * mA, Q, t * mQ, cov, W, states)
            else:
                carry_cov(A, t * mA, Q, t * mQ, cov, W, how, counts, columns, states)
        settled = complete and steady > 0.0 and converged(cov, before, steady, states)
        if steady > 0.0:
            for i in range(n):
                for j in range(n):
                    before[i, j] = cov[i, j]
        place = used if keep > 0 else 0
        if keep > 0:
            slot[t] = place
            used += 1
            for i in range(n):
                predicted[t, i] = mean[i]
            if keep == ALL:
                copy(cov, predicted_cov, place)
        complete = True
        ip, it = pattern[t], t * md
        row_quadratic, row_logs, row_product, row_counted = 0.0, 0.0, 1.0, 0
        for o in range(m):
            error = y[t, o]
            if np.isnan(error):
                complete = False
                if keep > 0:
                    errors[t, o] = np.nan
                continue
            error -= d[it, o]
            noise = r[ip, o]
            spread = times_row(cov, C, ip, o, M, how == SPARSE, states)
            F = noise + spread
            if F <= 0.0:  # the past determines this element
                complete = False
                if keep > 0:
                    errors[t, o] = np.nan
                continue
            for i in range(n):
                error -= C[ip, o, i] * mean[i]
            scaled = error / F
            row_quadratic += error * scaled
            row_product *= F
            row_counted += 1
            if not 1e-100 < row_product < 1e100:
                row_logs += np.log(row_product)
                row_product = 1.0
            for i in range(n):
                mean[i] += M[i] * scaled
            if keep > 0:
                errors[t, o] = error
            if keep > 0 or settled:
                variances[place, o] = F
                for i in range(n):
                    gains[place, o, i] = M[i] / F
            shrink(cov, M, F, noise, C, ip, o, W, states)
        quadratic += row_quadratic
        counted += row_counted
        if keep > 0:
            row_log = row_logs + np.log(row_product)
            logs += row_log
            density[t] = -0.5 * (row_quadratic + row_log + row_counted * LOG_2PI)
            for i in range(n):
                filtered[t, i] = mean[i]
            if keep == ALL:
                copy(cov, filtered_cov, place)
        else:
            product *= row_product
            logs += row_logs
            if not 1e-100 < product < 1e100:
                logs += np.log(product)
                product = 1.0
        t += 1
        if not (settled and complete):
            continue
        # The gain has converged: while rows are complete, only the mean moves.
        end = incomplete_from(y, t)
        if keep == END and end - t >= long:
            total = quadratic + logs + np.log(product) + counted * LOG_2PI
            return -0.5 * total, t, end, True
        row_log = 0.0
        for o in range(m):
            row_log += np.log(variances[place, o])
        for s in range(t, end):
            carry_mean(A, s * mA, c, s * mc, mean, work, states)
            if keep > 0:
                slot[s] = place
                for i in range(n):
                    predicted[s, i] = mean[i]
            row_quadratic = 0.0
            for o in range(m):
                error = y[s, o] - d[s * md, o]
                for i in range(n):
                    error -= C[ip, o, i] * mean[i]
                row_quadratic += error * error / variances[place, o]
                for i in range(n):
                    mean[i] += gains[place, o, i] * error
                if keep > 0:
                    errors[s, o] = error
            quadratic += row_quadratic
            if keep > 0:
                density[s] = -0.5 * (row_quadratic + row_log + m * LOG_2PI)
                for i in range(n):
                    filtered[s, i] = mean[i]
        logs += (end - t) * row_log
        counted += (end - t) * m
        complete, t = False, end
    total = quadratic + logs + np.log(product) + counted * LOG_2PI
    return -0.5 * total, len(y), used, False


# The same as calls: the diffuse rows are few, and their kernels compile in half the time.
carry_mean_, times_row_, shrink_, copy_, clear_ = (
    njit(**INNER)(part.py_func) for part in (carry_mean, times_row, shrink, copy, clear)
)


@njit(**COMPILED)
def diffuse_rows(  # type: ignore[no-untyped-def]
    y, A, c, Q, C, r, d, moves, pattern, mean, cov, Pinf, rank, how,
    keep, density, predicted, filtered, errors, slot, gains, variances, predicted_cov, filtered_cov,
    gains_next, variances_inf, predicted_inf, filtered_inf,
):  # fmt: skip
    """The first rows, until nothing of the state is infinitely uncertain (Durbin & Koopman 2012, sections 5.2, 6.4).

    The covariance is cov + kappa Pinf, kappa -> infinity; `rank` is that of Pinf. An element with
    z'Pinf z > 0 has the gain gains + gains_next / kappa, counts log z'Pinf z, and takes one from the rank. On return
    `mean`, `cov`, `Pinf` are those filtered in the last row treated.

    Returns (log-likelihood, rows treated, rank).
    """
    n, m = len(mean), y.shape[1]
    states = np.empty(n)
    work, M, Minf = np.empty(n), np.empty(n), np.empty(n)
    W, Z, iz = np.empty((n, n)), np.zeros((1, n, n)), 0 * rank
    counts, columns = np.empty(n, np.int64), np.empty((n, n), np.int64)
    if how == SPARSE:
        nonzeros(A[0], counts, columns)
    total, t = 0.0, 0
    scale = 0.0
    for i in range(n):
        scale = max(scale, Pinf[i, i])
    while t < len(y) and rank > 0:
        if t > 0:
            ia = t * moves[0]
            if how == SPARSE and moves[0]:
                nonzeros(A[t], counts, columns)
            carry_mean_(A, ia, c, t * moves[1], mean, work, states)
            carry_cov(A, ia, Q, t * moves[2], cov, W, how, counts, columns, states)
            carry_cov(A, ia, Z, iz, Pinf, W, how, counts, columns, states)
        if keep > 0:
            slot[t] = t
            for i in range(n):
                predicted[t, i] = mean[i]
            if keep == ALL:
                copy_(cov, predicted_cov, t)
                copy_(Pinf, predicted_inf, t)
        ip = pattern[t]
        row = 0.0
        for o in range(m):
            if keep > 0:
                errors[t, o] = np.nan
            if np.isnan(y[t, o]):
                continue
            error = y[t, o] - d[t * moves[3], o]
            for i in range(n):
                error -= C[ip, o, i] * mean[i]
            noise = r[ip, o]
            F = noise + times_row_(cov, C, ip, o, M, how == SPARSE, states)
            Finf = diffuse_row(Pinf, C, ip, o, Minf, n) if rank > 0 else 0.0
            if Finf <= 0.0 and F <= 0.0:
                continue
            if Finf > 0.0:
                row -= 0.5 * (LOG_2PI + np.log(Finf))
                for i in range(n):
                    mean[i] += Minf[i] * (error / Finf)
            else:
                row -= 0.5 * (LOG_2PI + np.log(F) + error * error / F)
                for i in range(n):
                    mean[i] += M[i] * (error / F)
            if keep > 0:
                errors[t, o] = error
                variances[t, o], variances_inf[t, o] = F, Finf
                for i in range(n):
                    if Finf > 0.0:
                        gains[t, o, i] = Minf[i] / Finf
                        gains_next[t, o, i] = (M[i] - Minf[i] * (F / Finf)) / Finf
                    else:
                        gains[t, o, i] = M[i] / F
            if Finf > 0.0:
                diffuse_shrink(cov, Pinf, M, F, Minf, Finf)
                rank -= 1
                if rank == 0:
                    clear_(Pinf)
            else:
                shrink_(cov, M, F, noise, C, ip, o, W, states)
        total += row
        largest = 0.0
        for i in range(n):
            largest = max(largest, Pinf[i, i])
        if largest <= 1e-12 * scale:  # what was unknown has died out without being seen
            clear_(Pinf)
            rank = 0
        if keep > 0:
            density[t] = row
            for i in range(n):
                filtered[t, i] = mean[i]
            if keep == ALL:
                copy_(cov, filtered_cov, t)
                copy_(Pinf, filtered_inf, t)
        t += 1
    return total, t, rank
