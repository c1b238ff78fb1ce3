"""Compiled square-root filter: a factor S of the covariance S S' is carried, never the covariance itself.

An observation shrinks the factor by Carlson's formula (1973; Bierman 1977, section V.3), whose scales are quotients,
not differences; a step in time is a QR decomposition of (A S, Q^1/2). S S' is positive semi-definite whatever the
rounding.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ._kalman_numba import ALL, COMPILED, INNER, LOG_2PI, carry_mean


@njit(**INNER)
def sort_rows(wide, order, size, out):  # type: ignore[no-untyped-def]
    """out <- the rows of `wide`, large ones first; by hand, since numba takes seconds to compile a sort."""
    rows, n = wide.shape
    for i in range(rows):
        largest = 0.0
        for j in range(n):
            largest = max(largest, abs(wide[i, j]))
        place = i
        while place > 0 and size[place - 1] < largest:
            order[place], size[place] = order[place - 1], size[place - 1]
            place -= 1
        order[place], size[place] = i, largest
    for i in range(rows):
        place = order[i]
        for j in range(n):
            out[i, j] = wide[place, j]


@njit(**INNER)
def spread(S, out, t):  # type: ignore[no-untyped-def]
    """out[t] <- S S'."""
    n = len(S)
    for i in range(n):
        for j in range(i + 1):
            total = 0.0
            for k in range(n):
                total += S[i, k] * S[j, k]
            out[t, i, j] = out[t, j, i] = total


@njit(**COMPILED)
def root_rows(  # type: ignore[no-untyped-def]
    y, A, c, Q_root, C, r, d, moves, pattern, mean, S, start, keep,
    density, predicted, filtered, errors, slot, gains, variances, predicted_cov, filtered_cov, filtered_root,
):  # fmt: skip
    """Filter rows start, start + 1, ...; `mean` and the factor `S` (n, n) are overwritten. Returns log p.

    Arguments as those of `filter_rows`; every row has a slot of its own.
    """
    n, m = len(mean), y.shape[1]
    states, work, phi = np.empty(n), np.empty(n), np.empty(n)
    wide, ordered = np.empty((2 * n, n)), np.empty((2 * n, n))
    size, order, product = np.empty(2 * n), np.empty(2 * n, np.int64), np.empty((n, n))
    total = 0.0
    for t in range(start, len(y)):
        if t > 0:
            carry_mean(A, t * moves[0], c, t * moves[1], mean, work, states)
            iQ = t * moves[2]
            np.dot(A[t * moves[0]], S, product)
            for i in range(n):
                for j in range(n):
                    wide[i, j], wide[n + i, j] = product[j, i], Q_root[iQ, j, i]
            # Large rows first: so ordered, the decomposition keeps the digits of every row (Cox & Higham 1998).
            sort_rows(wide, order, size, ordered)
            triangle = np.linalg.qr(ordered)[1]
            for i in range(n):
                for j in range(n):
                    S[i, j] = triangle[j, i]
        if keep > 0:
            slot[t] = t
            for i in range(n):
                predicted[t, i] = mean[i]
            if keep == ALL:
                spread(S, predicted_cov, t)
        row, ip = 0.0, pattern[t]
        for o in range(m):
            if keep > 0:
                errors[t, o] = np.nan
            if np.isnan(y[t, o]):
                continue
            error = y[t, o] - d[t * moves[3], o]
            F = r[ip, o]
            for j in range(n):
                along = 0.0
                for i in range(n):
                    along += S[i, j] * C[ip, o, i]
                phi[j] = along
                F += along * along
            if F <= 0.0:
                continue
            for i in range(n):
                error -= C[ip, o, i] * mean[i]
            for i in range(n):
                work[i] = 0.0
            before = r[ip, o]
            for j in range(n):
                after = before + phi[j] * phi[j]
                if after <= 0.0:
                    continue
                kept = np.sqrt(before / after)
                turn = phi[j] / np.sqrt(before * after) if before > 0.0 else 0.0
                for i in range(n):
                    entry = S[i, j]
                    S[i, j] = kept * entry - turn * work[i]
                    work[i] += entry * phi[j]
                before = after
            for i in range(n):
                mean[i] += work[i] / F * error
                if keep > 0:
                    gains[t, o, i] = work[i] / F
            if keep > 0:
                errors[t, o], variances[t, o] = error, F
            row -= 0.5 * (LOG_2PI + np.log(F) + error * error / F)
        total += row
        if keep > 0:
            density[t] = row
            for i in range(n):
                filtered[t, i] = mean[i]
            if keep == ALL:
                spread(S, filtered_cov, t)
                for i in range(n):
                    for j in range(n):
                        filtered_root[t, i, j] = S[i, j]
    return total
