"""The local level model's maximum likelihood: y_t = level_t + e_t, level_t = level_{t-1} + w_t.

One source, run in two ways: as plain Python for the first short series of a process, which is done before a compiler
would be loaded, and compiled from then on, in some twenty microseconds for a hundred rows. Kept apart from
the general Kalman kernels, so that it compiles in two seconds.
"""

from __future__ import annotations

import sys
from math import exp, inf, isinf, log
from types import FunctionType
from typing import Any

import numpy as np

Array = np.ndarray
STEPS = 100  # room for the log-likelihoods of a search
SHORT = 500  # rows that plain Python may work on
_GOLDEN = 0.3819660112501051
_LN10 = 2.302585092994046
_LOG_2PI = 1.8378770664093453
_compiled: dict[str, Any] = {}
_plain_runs = 0


def run(y, level_var, observation_var):  # type: ignore[no-untyped-def]
    """One pass of the exact diffuse filter over `y` (T,), NaN where missing.

    Returns the number of observed values after the first one, sum v^2 / F and sum log F over them, and
    the mean and variance of the level given all rows. The first observed value only sets the level; its
    diffuse F is 1, whose logarithm is 0.
    """
    rows = len(y)
    mean, var, last = 0.0, 0.0, -1.0
    count, quadratic, log_det, product = 0, 0.0, 0.0, 1.0
    t = 0
    while t < rows and y[t] != y[t]:
        t += 1
    if t < rows:
        mean, var = y[t], observation_var
        t += 1
    while t < rows:
        var += level_var
        error = y[t] - mean
        if error != error:
            t, last = t + 1, -1.0
            continue
        f = var + observation_var
        inverse = 1.0 / f
        gain = var * inverse
        if abs(f - last) <= 1e-15 * f:  # the gain has converged: only the mean moves until a hole
            squares, begin = 0.0, t
            while error == error:
                squares += error * error
                mean += gain * error
                t += 1
                if t == rows:
                    break
                error = y[t] - mean
            count += t - begin
            quadratic += squares * inverse
            log_det += (t - begin) * log(f)
            var = gain * observation_var
            last = -1.0
            continue
        quadratic += error * error * inverse
        product *= f  # one logarithm for many rows
        if product > 1e100 or product < 1e-100:
            log_det += log(product)
            product = 1.0
        mean += gain * error
        var = gain * observation_var
        count += 1
        last = f
        t += 1
    return count, quadratic, log_det + log(product), mean, var


def brent(a, b, x, w, v, fx, fw, fv, step, before):  # type: ignore[no-untyped-def]
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


def search(y, level_var, observation_var, floor, history):  # type: ignore[no-untyped-def]
    """What `maximise` does, for variances that are negative where they are to be learnt.

    With both variances free the search is over x = log(level_var / observation_var), their common scale
    taking its best value (Durbin & Koopman 2012, section 2.10); with one given, x is the logarithm of the
    other. First come the borders, where a variance is zero, then a grid that finds the highest hill, then
    Brent's method to its top. One loop holds them all, which halves the time of compilation.
    """
    free = level_var < 0.0 or observation_var < 0.0
    count, quadratic, log_det, mean, var = run(y, 0.0, 1.0)
    constant, unit = -0.5 * (count + 1) * _LOG_2PI, max(quadratic / count, floor)
    least, u = inf, -inf  # of the borders, and where to look first
    done = not free or quadratic <= count * floor  # a constant series: no search
    if free and (
        level_var == 0.0 or observation_var == 0.0
    ):  # only the scale of the other to be found
        u = -inf if level_var == 0.0 else inf
        level_var, observation_var, done = -1.0, -1.0, True
    both = level_var < 0.0 and observation_var < 0.0
    x, width = 0.0, 1.25 * _LN10
    low = -4.0 * _LN10 - 2.0 * log(count + 1.0) if both else -14.0 * _LN10
    high = 6.0 * _LN10 if both else 2.0 * _LN10
    border, best, entries = -inf, inf, 0
    a = b = w = v = fw = fv = step = before = value = 0.0
    searching = False
    while True:
        level, observation = level_var, observation_var
        if both:
            level, observation = 1.0 / (1.0 + exp(-u)), 1.0 / (1.0 + exp(u))
        elif level < 0.0:
            level = unit * exp(u)
        elif observation < 0.0:
            observation = unit * exp(u)
        count, quadratic, log_det, mean, var = run(y, level, observation)
        scale = max(quadratic / count, floor) if both else 1.0
        value = 0.5 * (count * log(scale) + log_det + quadratic / scale)
        if isinf(u) and value < least:
            least, border = value, u
        if done:
            break
        if isinf(u):
            u = inf if both and u < 0.0 else low
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
                elif value <= fv or v == x or v == w:  # noqa: SIM109  (slow to compile)
                    v, fv = u, value
        history[entries] = constant - best
        entries += 1
        step, before = brent(a, b, x, w, v, best, fw, fv, step, before)
        u = x + step
        if step == 0.0 or entries == STEPS:
            u = border if least <= best + 1e-13 * abs(best) else x
            done = True
    if entries < STEPS:
        history[entries] = constant - value
        entries += 1
    return scale * level, scale * observation, constant - value, mean, scale * var, entries


def compiled(name: str) -> Any:
    """A function of this module, compiled; what it calls is compiled too."""
    if not _compiled:
        from numba import njit

        space = dict(globals())
        for each in (run, brent, search):  # in the order in which they call each other
            copy = FunctionType(each.__code__, space, each.__name__)
            space[each.__name__] = _compiled[each.__name__] = njit(cache=True, error_model="numpy")(
                copy
            )
    return _compiled[name]


def maximise(
    y: Array, level_var: float | None, observation_var: float | None, floor: float
) -> tuple[float, float, float, float, float, Array]:
    """Maximum likelihood with a diffuse first level.

    Parameters
    ----------
    y : (T,), NaN where missing, at least two values observed.
    level_var, observation_var : the variances; None where they are to be learnt. Not both zero.
    floor : the least scale, for series that the model fits without error.

    Returns level_var, observation_var, log-likelihood, mean and variance of the last level, and the log-likelihood
    after every step of the search.
    """
    global _plain_runs
    level, observation = (-1.0 if v is None else float(v) for v in (level_var, observation_var))
    if not _compiled and not _plain_runs and len(y) <= SHORT and "numba" not in sys.modules:
        _plain_runs += 1
        steps = [0.0] * STEPS
        *found, entries = search(y.tolist(), level, observation, floor, steps)
        return (*found, np.array(steps[:entries]))  # type: ignore[return-value]
    history = np.empty(STEPS)
    y = np.array(y, dtype=float)  # of one layout, for which there is one compilation
    *found, entries = compiled("search")(y, level, observation, floor, history)
    return (*found, history[:entries].copy())  # type: ignore[return-value]
