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
    n = len(phi) * k
    rows, spread = np.empty((k, n)), np.empty((k, n))
    s, v, gain, ahead = np.empty(n), np.empty((n, n)), np.empty(n), np.empty(k)
    known = True
    for i in range(n):  # by loops: numba takes seconds to compile statements on whole arrays
        s[i] = mean[i]
        for j in range(n):
            v[i, j] = cov[i, j]
            known = known and v[i, j] == 0.0
        for a in range(k):
            rows[a, i] = phi[i // k, a, i % k]
    means, variances, density = np.empty((length, k)), np.empty((length, k)), np.zeros(length)
    for t in range(length):
        for a in range(k):
            ahead[a] = offset[t, a]
            for j in range(n):
                ahead[a] += rows[a, j] * s[j]
        if not known:
            for a in range(k):
                for j in range(n):
                    spread[a, j] = 0.0
                for i in range(n):
                    for j in range(n):
                        spread[a, j] += rows[a, i] * v[i, j]
            for i in range(n - 1, k - 1, -1):
                for j in range(n - 1, k - 1, -1):
                    v[i, j] = v[i - k, j - k]
            for a in range(k):
                for j in range(k, n):
                    v[a, j] = v[j, a] = spread[a, j - k]
        for a in range(k):
            for b in range(k):
                v[a, b] = sigma[a, b]
                for j in range(n if not known else 0):
                    v[a, b] += spread[a, j] * rows[b, j]
        for i in range(n - 1, k - 1, -1):
            s[i] = s[i - k]
        for a in range(k):
            s[a] = means[t, a] = ahead[a]
            variances[t, a] = v[a, a]
        size = k if known else n  # of the block of the covariance that is not zero
        for i in range(k):  # one scalar at a time, exact since the observation has no noise
            if np.isnan(y[t, i]) or v[i, i] <= 0.0:
                continue
            f = v[i, i]
            e = y[t, i] - s[i]
            density[t] -= 0.5 * (np.log(2 * np.pi * f) + e * e / f)
            for a in range(size):
                gain[a] = v[a, i] / f
                s[a] += gain[a] * e
            for a in range(size):
                for b in range(size):
                    v[a, b] -= gain[a] * gain[b] * f
            s[i] = y[t, i]
            for a in range(size):
                v[a, i] = v[i, a] = 0.0
        known = True
        for a in range(size):
            for b in range(size):
                known = known and v[a, b] == 0.0
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
