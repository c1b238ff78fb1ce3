"""Compiled Kalman filter of the ARIMA state space form; imported only when it is used."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True)
def filter_rows(y, phi, R, delta, sigma2, mean, cov, means, variances):
    """Filter y (T,) in place, starting from the predicted state of its first row.

    The state (r + nd,) is the stationary part in Harvey's form, with autoregressive weights phi (r,)
    and noise loadings R (r,), then the last nd values, weighted by delta (nd,) in the observation.
    The transition is a shift, so a row costs O((r + nd)^2). mean and cov are left predicting the row
    after the last; means, variances (T,) receive the one-step predictions.
    """
    r, nd = phi.shape[0], delta.shape[0]
    k = r + nd
    used = np.flatnonzero(delta)
    cross, step = np.zeros(k), np.zeros(k)
    kept, A = np.zeros((k, k)), np.zeros((k, k))
    F = 0.0
    settled = False
    for t in range(y.shape[0]):
        missing = np.isnan(y[t])
        if missing:
            settled = False
        if not settled:
            for i in range(k):
                s = cov[i, 0]
                for j in used:
                    s += delta[j] * cov[i, r + j]
                cross[i] = s
            F = cross[0]
            for j in used:
                F += delta[j] * cross[r + j]
            F = max(F, 1e-300)
        mu = mean[0]
        for j in used:
            mu += delta[j] * mean[r + j]
        means[t], variances[t] = mu, F
        if not missing:
            e = (y[t] - mu) / F
            for i in range(k):
                mean[i] += cross[i] * e
        value = mean[0]
        for j in used:
            value += delta[j] * mean[r + j]
        for i in range(r):
            step[i] = phi[i] * mean[0] + (mean[i + 1] if i + 1 < r else 0.0)
        if nd:
            step[r] = value
            step[r + 1 :] = mean[r : k - 1]
        mean[:] = step
        if settled:
            continue
        for i in range(k):
            g = 0.0 if missing else cross[i] / F
            for j in range(k):
                kept[i, j] = cov[i, j] - g * cross[j]
        _shift_rows(kept, phi, delta, used, A)
        change = _shift_columns(A, phi, delta, used, R, sigma2, cov)
        settled = not missing and change <= 1e-11 * F


@njit(cache=True)
def _shift_rows(P, phi, delta, used, out):
    """out = T P."""
    r, nd = phi.shape[0], delta.shape[0]
    k = r + nd
    for i in range(r):
        for j in range(k):
            out[i, j] = phi[i] * P[0, j]
            if i + 1 < r:
                out[i, j] += P[i + 1, j]
    if nd:
        for j in range(k):
            out[r, j] = P[0, j]
        for m in used:
            for j in range(k):
                out[r, j] += delta[m] * P[r + m, j]
        for i in range(r + 1, k):
            for j in range(k):
                out[i, j] = P[i - 1, j]


@njit(cache=True)
def _shift_columns(A, phi, delta, used, R, sigma2, out):
    """out = A T' + sigma2 R R', symmetric; returns the largest change made to `out`."""
    r, nd = phi.shape[0], delta.shape[0]
    change = 0.0
    for i in range(r + nd):
        for j in range(i + 1):
            if j < r:
                value = phi[j] * A[i, 0]
                if j + 1 < r:
                    value += A[i, j + 1]
                if i < r:
                    value += sigma2 * R[i] * R[j]
            elif j == r:
                value = A[i, 0]
                for m in used:
                    value += delta[m] * A[i, r + m]
            else:
                value = A[i, j - 1]
            change = max(change, abs(value - out[i, j]))
            out[i, j] = value
            out[j, i] = value
    return change
