"""Compiled Kalman filter of the ARIMA state space form; imported only when it is used."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

# Division by zero gives inf, as in NumPy: no checks to compile, and none are needed.
compiled = njit(cache=True, error_model="numpy")
# Parts, never called from Python: compiled without the wrappers for that, and anew with what calls them.
PARTS: dict[str, Any] = {
    "error_model": "numpy",
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
}
inner = njit(**PARTS)


@compiled
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
    cross, step, before = np.zeros(k), np.zeros(k), np.zeros(k)
    A = np.zeros((k, k))
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
        for i in range(r + 1, k):
            step[i] = mean[i - 1]
        for i in range(k):
            mean[i] = step[i]
        if settled:
            continue
        _rows(cov, cross, 0.0 if missing else 1.0 / F, phi, nd, A)
        for i in range(k):
            before[i] = cov[i, i]
        _columns(A, phi, delta, used, R, sigma2, cov)
        change = 0.0
        for i in range(k):
            change = max(change, abs(cov[i, i] - before[i]))
        settled = not missing and change <= 1e-12 * F


@inner
def _rows(P, cross, weight, phi, nd, out):
    """out = T (P - weight cross cross'): the update of a row, carried to the next.

    The value observed is known, so its row (r) is zero after an update, and `cross` without one.
    """
    r = phi.shape[0]
    k = r + nd
    for i in range(r):
        g = phi[i] * cross[0] * weight
        for j in range(k):
            out[i, j] = phi[i] * P[0, j] - g * cross[j]
        if i + 1 < r:
            g = cross[i + 1] * weight
            for j in range(k):
                out[i, j] += P[i + 1, j] - g * cross[j]
    if nd:
        for j in range(k):
            out[r, j] = cross[j] if weight == 0.0 else 0.0
    for i in range(r + 1, k):
        g = cross[i - 1] * weight
        for j in range(k):
            out[i, j] = P[i - 1, j] - g * cross[j]


@inner
def _columns(A, phi, delta, used, R, sigma2, out):
    """out = A T' + sigma2 R R', symmetric."""
    r, nd = phi.shape[0], delta.shape[0]
    for i in range(r + nd):
        noise = sigma2 * R[i] if i < r else 0.0
        for j in range(min(i + 1, r)):
            out[i, j] = phi[j] * A[i, 0] + noise * R[j]
        for j in range(min(i + 1, r - 1)):
            out[i, j] += A[i, j + 1]
        if i >= r:
            value = A[i, 0]
            for m in used:
                value += delta[m] * A[i, r + m]
            out[i, r] = value
            for j in range(r + 1, i + 1):
                out[i, j] = A[i, j - 1]
        for j in range(i):
            out[j, i] = out[i, j]
