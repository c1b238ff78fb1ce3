"""The Kalman filter of an autoregression observed without noise, in part: its companion form.

State s_t = (y_t, y_{t-1}, .., y_{t-p+1}). Where the last p rows are observed the state is known and a step
costs one product; only around missing values a covariance is carried. Compiled on first use and cached.
"""

from __future__ import annotations

import numpy as np
from numba import njit

Array = np.ndarray


@njit(cache=True)
def companion_filter(y, offset, phi, sigma, mean, cov):  # type: ignore[no-untyped-def]
    """Filter `y` (T, k) through y_t = offset_t + sum_i phi_i y_{t-i} + e_t, e ~ N(0, sigma).

    offset (T, k), phi (p, k, k), sigma (k, k); mean (p k,) and cov (p k, p k) of the state before the first
    row. Returns predictive means and variances (T, k), the log density of the observed part of each row
    given all before it (T,), and the final state's mean and covariance.
    """
    length, k = y.shape
    p = phi.shape[0]
    n = p * k
    rows = np.zeros((k, n))
    for i in range(p):
        rows[:, i * k : (i + 1) * k] = phi[i]
    s, v = mean.copy(), cov.copy()
    known = np.all(v == 0.0)
    means, variances, density = np.empty((length, k)), np.empty((length, k)), np.zeros(length)
    for t in range(length):
        ahead = offset[t] + rows @ s
        nv = np.zeros((n, n))
        nv[:k, :k] = sigma
        if not known:
            spread = rows @ v
            nv[:k, :k] += spread @ np.ascontiguousarray(rows.T)
            nv[:k, k:] = spread[:, : n - k]
            nv[k:, :k] = spread[:, : n - k].T
            nv[k:, k:] = v[: n - k, : n - k]
        for i in range(n - 1, k - 1, -1):
            s[i] = s[i - k]
        for i in range(k):
            s[i] = ahead[i]
            means[t, i] = ahead[i]
            variances[t, i] = nv[i, i]
        for i in range(k):  # one scalar at a time, exact since the observation has no noise
            if np.isnan(y[t, i]) or nv[i, i] <= 0.0:
                continue
            f = nv[i, i]
            e = y[t, i] - s[i]
            density[t] -= 0.5 * (np.log(2 * np.pi * f) + e * e / f)
            gain = nv[:, i] / f
            s += gain * e
            for a in range(n):
                for b in range(n):
                    nv[a, b] -= gain[a] * gain[b] * f
            s[i] = y[t, i]
            nv[i, :] = 0.0
            nv[:, i] = 0.0
        v = nv
        known = np.all(v == 0.0)
    return means, variances, density, s, v


def stationary_covariance(phi: Array, sigma: Array) -> Array | None:
    """Covariance of the companion state of a stationary process, by doubling; None if it is not stationary.

    P = sum_j A^j Q A'^j, with P <- P + A P A', A <- A^2 (Anderson & Moore 1979, section 6.7).
    """
    p, k = phi.shape[:2]
    a = np.zeros((p * k, p * k))
    a[:k] = np.hstack(list(phi))
    a[k:, : (p - 1) * k] = np.eye((p - 1) * k)
    cov = np.zeros_like(a)
    cov[:k, :k] = sigma
    if np.abs(np.linalg.eigvals(a)).max() >= 1 - 1e-9:
        return None
    for _ in range(64):
        step = a @ cov @ a.T
        cov = cov + step
        a = a @ a
        if np.abs(step).max() <= 1e-15 * np.abs(cov).max():
            break
    return (cov + cov.T) / 2
