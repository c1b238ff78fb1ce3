"""The local level model's maximum likelihood in one compiled call.

Kept apart from the general Kalman kernels: it compiles in about a second, and one series of a hundred
rows takes some twenty microseconds.
"""

from __future__ import annotations

import numba
import numpy as np

STEPS = 100  # room for the log-likelihoods of the search
_GOLDEN = 0.3819660112501051
_LN10 = 2.302585092994046
_LOG_2PI = 1.8378770664093453


@numba.njit(cache=True, error_model="numpy")
def run(y, level_var, observation_var):
    """One pass of the exact diffuse filter over `y` (T,), NaN where missing.

    Returns the number of observed values after the first one, sum v^2 / F and sum log F over them, and
    the mean and variance of the level given all rows. The first observed value only sets the level; its
    diffuse F is 1, whose logarithm is 0.
    """
    rows = len(y)
    mean, var, last = 0.0, 0.0, -1.0
    count, quadratic, log_det, product = 0, 0.0, 0.0, 1.0
    t = 0
    while t < rows and np.isnan(y[t]):
        t += 1
    if t < rows:
        mean, var = y[t], observation_var
        t += 1
    while t < rows:
        var += level_var
        if np.isnan(y[t]):
            t, last = t + 1, -1.0
            continue
        f = var + observation_var
        inverse = 1.0 / f
        gain = var * inverse
        if abs(f - last) <= 1e-15 * f:  # the gain has converged: only the mean moves until a hole
            squares, begin = 0.0, t
            while t < rows:
                error = y[t] - mean
                if np.isnan(error):
                    break
                squares += error * error
                mean += gain * error
                t += 1
            count += t - begin
            quadratic += squares * inverse
            log_det += (t - begin) * np.log(f)
            var = gain * observation_var
            last = -1.0
            continue
        error = y[t] - mean
        quadratic += error * error * inverse
        product *= f  # one logarithm for many rows
        if product > 1e100 or product < 1e-100:
            log_det += np.log(product)
            product = 1.0
        mean += gain * error
        var = gain * observation_var
        count += 1
        last = f
        t += 1
    return count, quadratic, log_det + np.log(product), mean, var


@numba.njit(cache=True, error_model="numpy")
def _next(a, b, x, w, v, fx, fw, fv, step, before):
    """Brent's (1973) next point in [a, b]: by a parabola through x, w, v, or else the golden section.

    Returns the step from x and the one before it; a step of zero says that [a, b] is narrow enough.
    """
    middle, least = 0.5 * (a + b), 1e-9 * abs(x) + 1e-9
    if abs(x - middle) <= 2.0 * least - 0.5 * (b - a):
        return 0.0, before
    r, q = (x - w) * (fx - fv), (x - v) * (fx - fw)
    p, q = (x - v) * q - (x - w) * r, 2.0 * (r - q)
    if abs(before) > least and q != 0.0 and abs(p) < abs(0.5 * q * before) and a < x + p / q < b:
        before, step = step, p / q
    else:
        before = (a if x >= middle else b) - x
        step = _GOLDEN * before
    if abs(step) < least:
        step = least if step > 0.0 else -least
    return step, before


@numba.njit(cache=True, error_model="numpy")
def maximise(y, level_var, observation_var, floor, history):
    """Maximum likelihood of y_t = level_t + e_t, level_t = level_{t-1} + w_t with a diffuse first level.

    Parameters
    ----------
    y : (T,), NaN where missing, at least two values observed.
    level_var, observation_var : the variances; negative where they are to be learnt.
    floor : the least scale, for series that the model fits without error.
    history : (STEPS,), receives the log-likelihood after every step of the search.

    Returns level_var, observation_var, log-likelihood, mean and variance of the last level, and the
    number of entries of `history`.

    With both variances free the search is over x = log(level_var / observation_var), their common scale
    taking its best value (Durbin & Koopman 2012, section 2.10); with one given, x is the logarithm of the
    other. First come the borders, where a variance is zero, then a grid that finds the highest hill, then
    Brent's method to its top. One loop holds them all, which halves the time of compilation.
    """
    both = level_var < 0.0 and observation_var < 0.0
    free = level_var < 0.0 or observation_var < 0.0
    count, quadratic, log_det, mean, var = run(y, 0.0, 1.0)
    constant, unit = -0.5 * (count + 1) * _LOG_2PI, max(quadratic / count, floor)
    exact = both and quadratic <= count * floor  # a constant series: no search
    x, width = 0.0, 1.25 * _LN10
    low = -14.0 * _LN10 if not both else -4.0 * _LN10 - 2.0 * np.log(count + 1.0)
    high = 2.0 * _LN10 if not both else 6.0 * _LN10
    border, best, entries = -np.inf, np.inf, 0
    a = b = w = v = fw = fv = step = before = value = 0.0
    least, u = np.inf, -np.inf  # of the borders
    searching, done = False, not free
    while True:
        level, observation = level_var, observation_var
        if both:
            level, observation = 1.0 / (1.0 + np.exp(-u)), 1.0 / (1.0 + np.exp(u))
        elif level < 0.0:
            level = unit * np.exp(u)
        elif observation < 0.0:
            observation = unit * np.exp(u)
        count, quadratic, log_det, mean, var = run(y, level, observation)
        scale = max(quadratic / count, floor) if both else 1.0
        value = 0.5 * (count * np.log(scale) + log_det + quadratic / scale)
        if np.isinf(u) and value < least:
            least, border = value, u
        if done or exact:
            break
        if np.isinf(u):
            u = np.inf if both and u < 0.0 else low
            continue
        if not searching:
            if value < best:
                best, x = value, u
            u += width
            if u <= high:
                continue
            searching, a, b = True, x - width, x + width
            w, v, fw, fv = x, x, best, best
        else:
            if value <= best:
                a, b = (a, x) if u < x else (x, b)
                v, fv, w, fw, x, best = w, fw, x, best, u, value
            else:
                a, b = (u, b) if u < x else (a, u)
                if value <= fw or w == x:
                    v, fv, w, fw = w, fw, u, value
                elif value <= fv or v == x or v == w:  # noqa: SIM109  (a tuple costs a second of compilation)
                    v, fv = u, value
        history[entries] = constant - best
        entries += 1
        step, before = _next(a, b, x, w, v, best, fw, fv, step, before)
        u = x + step
        if step == 0.0 or entries == STEPS:
            u = border if least <= best + 1e-13 * abs(best) else x
            done = True
    if entries < STEPS:
        history[entries] = constant - value
        entries += 1
    return scale * level, scale * observation, constant - value, mean, scale * var, entries
