"""Compiled square-root filter: a factor S of the covariance S S' is carried, never the covariance itself.

An observation shrinks the factor by Carlson's formula (1973; Bierman 1977, section V.3), whose scales are quotients,
not differences; a step in time is a QR decomposition of (A S, Q^1/2). S S' is positive semi-definite whatever the
rounding.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ._kalman_numba import ALL, COMPILED, LOG_2PI, carry_mean


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
    wide, size = np.empty((2 * n, n)), np.empty(2 * n)
    total = 0.0
    for t in range(start, len(y)):
        if t > 0:
            carry_mean(A, t * moves[0], c, t * moves[1], mean, work, states)
            wide[:n] = S.T @ A[t * moves[0]].T
            wide[n:] = Q_root[t * moves[2]].T
            for i in range(2 * n):
                size[i] = 0.0
                for j in range(n):
                    size[i] = max(size[i], abs(wide[i, j]))
            # Large rows first: so ordered, the decomposition keeps the digits of every row (Cox & Higham 1998).
            S[:] = np.linalg.qr(wide[np.argsort(-size)])[1].T
        if keep > 0:
            slot[t] = t
            predicted[t] = mean
            if keep == ALL:
                predicted_cov[t] = S @ S.T
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
            filtered[t] = mean
            if keep == ALL:
                filtered_cov[t] = S @ S.T
                filtered_root[t] = S
    return total
