"""Compiled recursions of ``kernels.smoothing``; imported only when they are used."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True)
def forward(y, alpha, beta, gamma, phi, level, slope, season, multiplies, means, past):
    """Run the recursion; `season` is rewritten in place as a circular buffer.

    means (T,): one-step means. past (T, 3): level, slope and season each mean was built from.
    Returns the final level and slope, and False if a multiplicative state left the positive axis.
    """
    period = season.shape[0]
    j = 0
    for t in range(y.shape[0]):
        s = season[j]
        past[t, 0] = level
        past[t, 1] = slope
        past[t, 2] = s
        slope = phi * slope
        level = level + slope
        mean = level * s if multiplies else level + s
        means[t] = mean
        if multiplies and not (level > 0.0 and s > 0.0):
            return level, slope, False
        if not np.isnan(y[t]):
            e = y[t] - mean
            if multiplies:
                season[j] = s + gamma * e / level
                e = e / s
            else:
                season[j] = s + gamma * e
            level = level + alpha * e
            slope = slope + beta * e
        j = j + 1
        if j == period:
            j = 0
    return level, slope, True


@njit(cache=True)
def backward(y, alpha, beta, gamma, phi, period, multiplies, means, past, partial, grad):
    """Adjoint of ``forward``: `partial` (T,) is dF/d mean, zero where y is missing.

    grad (6 + period,) receives dF/d (alpha, beta, gamma, phi, level, slope, season...).
    """
    d_level = 0.0
    d_slope = 0.0
    grad[:] = 0.0
    d_season = grad[6:]
    j = (y.shape[0] - 1) % period
    for t in range(y.shape[0] - 1, -1, -1):
        s = past[t, 2]
        d_base = d_level
        if not np.isnan(y[t]):
            e = y[t] - means[t]
            u = alpha * d_level + beta * d_slope
            if multiplies:
                base = past[t, 0] + phi * past[t, 1]
                d_mean = partial[t] - u / s - gamma * d_season[j] / base
                grad[0] += d_level * e / s
                grad[1] += d_slope * e / s
                grad[2] += d_season[j] * e / base
                d_base += d_mean * s - gamma * d_season[j] * e / (base * base)
                d_season[j] += d_mean * base - u * e / (s * s)
            else:
                d_mean = partial[t] - u - gamma * d_season[j]
                grad[0] += d_level * e
                grad[1] += d_slope * e
                grad[2] += d_season[j] * e
                d_base += d_mean
                d_season[j] += d_mean
        grad[3] += past[t, 1] * (d_slope + d_base)
        d_slope = phi * (d_slope + d_base)
        d_level = d_base
        j = j - 1
        if j < 0:
            j = period - 1
    grad[4] = d_level
    grad[5] = d_slope


@njit(cache=True)
def objective(y, coefficients, season, multiplies, relative, floor, means, past, partial, grad):
    """n log S (+ 2 sum log mean, relative errors) and its gradient; inf where inadmissible.

    coefficients (6,): alpha, beta, gamma, phi, level, slope. `floor` bounds S from below.
    """
    alpha, beta, gamma, phi = coefficients[0], coefficients[1], coefficients[2], coefficients[3]
    _, _, valid = forward(
        y, alpha, beta, gamma, phi, coefficients[4], coefficients[5], season.copy(), multiplies,
        means, past,
    )
    if not valid:
        return np.inf
    n = 0
    total = 0.0
    logs = 0.0
    for t in range(y.shape[0]):
        if np.isnan(y[t]):
            continue
        n += 1
        e = y[t] - means[t]
        if relative:
            if not means[t] > 0.0:
                return np.inf
            e = e / means[t]
            logs += np.log(means[t])
        total += e * e
    total += floor
    if not np.isfinite(total):
        return np.inf
    for t in range(y.shape[0]):
        if np.isnan(y[t]):
            partial[t] = 0.0
            continue
        e = y[t] - means[t]
        if relative:
            partial[t] = -2.0 * n / total * e * y[t] / means[t] ** 3 + 2.0 / means[t]
        else:
            partial[t] = -2.0 * n / total * e
    backward(
        y, alpha, beta, gamma, phi, season.shape[0], multiplies, means, past, partial, grad
    )
    return n * np.log(total) + 2.0 * logs
