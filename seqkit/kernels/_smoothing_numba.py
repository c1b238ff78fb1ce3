"""Compiled recursions of ``kernels.smoothing``; imported only when they are used."""

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


@inner
def backward(y, alpha, beta, gamma, phi, period, multiplies, means, past, partial, grad):
    """Adjoint of ``forward``: `partial` (T,) is dF/d mean, zero where y is missing.

    grad (6 + period,) receives dF/d (alpha, beta, gamma, phi, level, slope, season...).
    """
    d_level = 0.0
    d_slope = 0.0
    for i in range(grad.shape[0]):
        grad[i] = 0.0
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


@compiled
def likelihood(x, y, offset, steps, multiplies, relative, floor, means, past, partial, grad):
    """n log S (+ 2 sum log mean, relative errors) and its gradient; inf where inadmissible.

    x (6 + m,): alpha, beta / alpha, gamma / (1 - alpha), phi, and the states in `steps` from
    `offset`, coordinates in which the usual region is a box. grad (6 + m,) receives the gradient.
    `floor` is added to S.
    """
    k = x.shape[0]
    a, b, c, phi = x[0], x[0] * x[1], (1.0 - x[0]) * x[2], x[3]
    season = np.empty(k - 6)
    for i in range(6, k):
        season[i - 6] = offset[i] + steps[i] * x[i]
    level, slope = offset[4] + steps[4] * x[4], offset[5] + steps[5] * x[5]
    _, _, valid = forward(y, a, b, c, phi, level, slope, season, multiplies, means, past)
    if not valid:
        return np.inf
    n, total, logs = 0, floor, 0.0
    for t in range(y.shape[0]):
        partial[t] = 0.0
        if not np.isnan(y[t]):
            n += 1
            e = y[t] - means[t]
            if relative:
                if not means[t] > 0.0:
                    return np.inf
                logs += np.log(means[t])
                partial[t] = y[t] * e / means[t] ** 3
                e = e / means[t]
            else:
                partial[t] = e
            total += e * e
    if not total < np.inf:
        return np.inf
    for t in range(y.shape[0]):
        partial[t] *= -2.0 * n / total
        if relative and not np.isnan(y[t]):
            partial[t] += 2.0 / means[t]
    backward(y, a, b, c, phi, k - 6, multiplies, means, past, partial, grad)
    grad[0] += grad[1] * x[1] - grad[2] * x[2]
    grad[1] *= x[0]
    grad[2] *= 1.0 - x[0]
    for i in range(4, k):
        grad[i] *= steps[i]
    return n * np.log(total) + 2.0 * logs


# Plain loops below, and one place that calls `likelihood`: several times less to compile.


@compiled
def minimise(x, lower, upper, y, offset, steps, multiplies, relative, floor, most, memory):
    """Projected L-BFGS on the box (two-metric projection; Bertsekas 1982, Gafni & Bertsekas 1984).

    x is moved to the minimum in place; where lower equals upper it stays. Returns the value there
    after at most `most` evaluations.
    """
    n, k = y.shape[0], x.shape[0]
    means, past, partial = np.empty(n), np.empty((n, 3)), np.empty(n)
    g, trial, g_trial = np.zeros(k), x.copy(), np.zeros(k)
    S, Y = np.zeros((memory, k)), np.zeros((memory, k))
    d, free = np.zeros(k), np.zeros(k)
    kept = np.int64(0)
    f, slope, t, shrunk = np.inf, 0.0, 1.0, 0
    for call in range(most):
        f_trial = likelihood(
            trial, y, offset, steps, multiplies, relative, floor, means, past, partial, g_trial
        )
        descent = 0.0
        for i in range(k):
            descent += g[i] * (trial[i] - x[i])
        if call == 0 or f_trial <= f + 1e-4 * descent:
            gain = f - f_trial
            kept = _remember(S, Y, kept, x, trial, g, g_trial) if call else kept
            for i in range(k):
                x[i], g[i] = trial[i], g_trial[i]
            f = f_trial
            if gain <= 1e-8 or not f < np.inf:
                break
            shrunk = 0
        elif shrunk < 30:
            shrunk += 1
            quadratic = -slope * t * t / (2.0 * (f_trial - f - t * slope))
            t = min(max(quadratic, 0.1 * t), 0.5 * t) if f_trial < np.inf else 0.2 * t
        elif kept:
            kept, shrunk = np.int64(0), 0
        else:
            break
        if shrunk == 0:
            largest = _free(x, g, lower, upper, free)
            if not largest > 1e-6:
                break
            slope = _direction(g, free, S, Y, kept, d)
            t = 1.0 if kept else min(1.0, 0.2 / largest)
        for i in range(k):
            trial[i] = min(max(x[i] + t * d[i], lower[i]), upper[i])
    return f


@inner
def _free(x, g, lower, upper, free):
    """Mark the coordinates free to move; returns their largest gradient."""
    largest = 0.0
    for i in range(x.shape[0]):
        held = (x[i] <= lower[i] and g[i] >= 0.0) or (x[i] >= upper[i] and g[i] <= 0.0)
        free[i] = 0.0 if held or lower[i] == upper[i] else 1.0
        largest = max(largest, abs(g[i]) * free[i])
    return largest


@inner
def _remember(S, Y, kept, x, trial, g, g_trial):
    """Store the step; the oldest makes room. Returns the number of steps kept."""
    memory, k = S.shape
    curvature = 0.0
    for i in range(k):
        curvature += (trial[i] - x[i]) * (g_trial[i] - g[i])
    if curvature > 1e-14:
        if kept == memory:
            for m in range(memory - 1):
                for i in range(k):
                    S[m, i] = S[m + 1, i]
                    Y[m, i] = Y[m + 1, i]
            kept -= 1
        for i in range(k):
            S[kept, i] = trial[i] - x[i]
            Y[kept, i] = g_trial[i] - g[i]
        kept += 1
    return kept


@inner
def _direction(g, free, S, Y, kept, d):
    """d = - H g on the free coordinates, H from the last `kept` steps (Nocedal 1980); returns d'g."""
    k = g.shape[0]
    weight, sy = np.zeros(S.shape[0]), np.zeros(S.shape[0])
    for i in range(k):
        d[i] = g[i] * free[i]
    scale = 0.0
    for m in range(kept - 1, -1, -1):
        yy = 0.0
        sd = 0.0
        for i in range(k):
            sy[m] += S[m, i] * Y[m, i] * free[i]
            yy += Y[m, i] * Y[m, i] * free[i]
            sd += S[m, i] * d[i]
        if sy[m] <= 1e-12 * yy:
            sy[m] = 0.0
            continue
        if scale == 0.0:
            scale = sy[m] / yy
        weight[m] = sd / sy[m]
        for i in range(k):
            d[i] -= weight[m] * Y[m, i] * free[i]
    if scale == 0.0:
        scale = 1.0
    for i in range(k):
        d[i] *= scale
    for m in range(kept):
        if sy[m] > 0.0:
            yd = 0.0
            for i in range(k):
                yd += Y[m, i] * d[i]
            for i in range(k):
                d[i] += (weight[m] - yd / sy[m]) * S[m, i] * free[i]
    slope = 0.0
    for i in range(k):
        d[i] = -d[i]
        slope += d[i] * g[i]
    if not slope < 0.0:
        slope = 0.0
        for i in range(k):
            d[i] = -g[i] * free[i]
            slope += d[i] * g[i]
    return slope
