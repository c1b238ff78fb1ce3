"""Compiled backward passes: what the future says of each state, without inverting a covariance.

With r and N the gradient and the curvature in a state of the log density of the rows to come, smoothed moments are
mean + P r and P - P N P (de Jong 1989; Durbin & Koopman 2012, section 4.4). They are taken from the filtered state,
whose own row is not among those to come: where an observation is nearly exact, less cancels.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ._kalman_numba import ALL, COMPILED, INLINED, INNER

LOST = 1e4  # times the smoothed variance of the next row: a filtered one beyond costs half the digits of its own


# Matrices are passed as a stack and a place in it: a view of one would be counted and released in every row. Places
# are variables such as `zero`: with every number written out, numba would compile the called function once more.


@njit(**INLINED)
def times(X, x, Y, y, out, place, states):  # type: ignore[no-untyped-def]
    """out[place] <- X[x] Y[y]."""
    n = len(states)
    if n > 8:  # row by row, skipping zeros
        for i in range(n):
            for j in range(n):
                out[place, i, j] = 0.0
            for k in range(n):
                weight = X[x, i, k]
                if weight != 0.0:
                    for j in range(n):
                        out[place, i, j] += weight * Y[y, k, j]
    else:
        for i in range(n):
            for j in range(n):
                total = 0.0
                for k in range(n):
                    total += X[x, i, k] * Y[y, k, j]
                out[place, i, j] = total


@njit(**INLINED)
def add_times(X, x, Y, y, out, place, factor, states):  # type: ignore[no-untyped-def]
    """out[place] += factor X[x] Y[y]."""
    n = len(states)
    for i in range(n):
        for k in range(n):
            weight = factor * X[x, i, k]
            if weight != 0.0:
                for j in range(n):
                    out[place, i, j] += weight * Y[y, k, j]


@njit(**INLINED)
def turned_times(X, x, Y, y, out, place, states):  # type: ignore[no-untyped-def]
    """out[place] <- X[x]' Y[y]."""
    n = len(states)
    for i in range(n):
        for j in range(n):
            out[place, i, j] = 0.0
    for k in range(n):
        for i in range(n):
            weight = X[x, k, i]
            if weight != 0.0:
                for j in range(n):
                    out[place, i, j] += weight * Y[y, k, j]


@njit(**INLINED)
def mirror(X, x, states):  # type: ignore[no-untyped-def]
    """X[x] <- (X[x] + X[x]') / 2."""
    n = len(states)
    for i in range(n):
        for j in range(i):
            total = 0.5 * (X[x, i, j] + X[x, j, i])
            X[x, i, j] = total
            X[x, j, i] = total


@njit(**INLINED)
def back_mean(A, ia, r, work, states):  # type: ignore[no-untyped-def]
    """r <- A'r."""
    n = len(states)
    for i in range(n):
        work[i] = 0.0
    for k in range(n):
        for i in range(n):
            work[i] += A[ia, k, i] * r[k]
    for i in range(n):
        r[i] = work[i]


@njit(**INLINED)
def back_cov(A, ia, N, place, W, w, states):  # type: ignore[no-untyped-def]
    """N <- A'N A."""
    turned_times(A, ia, N, place, W, w, states)
    times(W, w, A, ia, N, place, states)
    mirror(N, place, states)


@njit(**INLINED)
def pass_mean(C, ip, o, gains, s, F, error, r, states):  # type: ignore[no-untyped-def]
    """Take one element into r; returns u, the gradient in the element's own mean."""
    n = len(states)
    along = 0.0
    for i in range(n):
        along += gains[s, o, i] * r[i]
    u = error / F - along
    for i in range(n):
        r[i] += C[ip, o, i] * u
    return u


@njit(**INLINED)
def pass_cov(C, ip, o, gains, s, F, N, work, states):  # type: ignore[no-untyped-def]
    """Take one element into N[0]; returns D, the curvature in the element's own mean."""
    n = len(states)
    curvature = 1.0 / F
    for i in range(n):
        total = 0.0
        for k in range(n):
            total += N[0, i, k] * gains[s, o, k]
        work[i] = total
        curvature += gains[s, o, i] * total
    for i in range(n):
        z, w = C[ip, o, i], work[i]
        for j in range(i + 1):
            x = C[ip, o, j]
            total = N[0, i, j] + (z * x * curvature - (z * work[j] + w * x))
            N[0, i, j] = total
            N[0, j, i] = total
    return curvature


@njit(**INLINED)
def smoothed_mean(filtered, t, P, s, r, mean, states):  # type: ignore[no-untyped-def]
    """mean[t] <- filtered[t] + P r."""
    n = len(states)
    for i in range(n):
        total = filtered[t, i]
        for k in range(n):
            total += P[s, i, k] * r[k]
        mean[t, i] = total


@njit(**INLINED)
def smoothed_cov(P, s, N, out, place, W, w, states):  # type: ignore[no-untyped-def]
    """out <- P - P N P; returns whether a variance has lost its digits in it."""
    n = len(states)
    zero = 0 * s
    times(P, s, N, zero, W, w, states)
    times(W, w, P, s, out, place, states)
    lost = False
    for i in range(n):
        for j in range(i + 1):
            total = P[s, i, j] - 0.5 * (out[place, i, j] + out[place, j, i])
            out[place, i, j] = total
            out[place, j, i] = total
        later = out[max(place - 1, 0), i, i]  # of the row after
        lost = lost or 0.0 < later * LOST < P[s, i, i]
    return lost


@njit(**INLINED)
def settled_cov(N, before, tolerance, states):  # type: ignore[no-untyped-def]
    """Whether N[0] moved by less than `tolerance` in its own units; `before` becomes N[0]."""
    n = len(states)
    same = True
    for i in range(n):
        for j in range(i + 1):
            moved = N[0, i, j] - before[i, j]
            same = same and moved * moved <= tolerance * tolerance * N[0, i, i] * N[0, j, j]
    for i in range(n):
        for j in range(n):
            before[i, j] = N[0, i, j]
    return same


@njit(**COMPILED)
def smooth_rows(  # type: ignore[no-untyped-def]
    A, C, moves, pattern, first, last, r, N, steady, states,
    filtered, errors, slot, gains, variances, predicted_cov, filtered_cov,
    keep, lag_one, gradient, mean, cov, place, lag_cov, lag_place, pushes, misfits, curvatures, N_total, turned,
):  # fmt: skip
    """Rows last, last - 1, ..., first of a filter that kept everything, none of them diffuse.

    r (n,) and N[0] (n, n) belong to the filtered state of row `last` and are overwritten by those of the filtered
    state of row first - 1. With keep = ALL, fills mean (T, n), cov[place[t]] and, with `lag_one`,
    lag_cov[lag_place[t]]; rows inside a stretch with a converged gain share their places. With a lower keep or with
    `gradient`, `pushes` (T, n) receives r of the predicted state of every row, `misfits` and `curvatures` (T, m) u and
    D; with `gradient`, N_total the sum of N_t and turned that of N_t A_t P_{t-1|t-1} over t >= 1.

    Returns how many places of cov and of lag_cov are used, and whether a covariance has lost its digits.
    """
    n, m = len(states), C.shape[1]
    zero, one, two = 0 * last, 0 * last + 1, 0 * last + 2
    work, before, W = np.empty(n), np.zeros((n, n)), np.empty((3, n, n))
    with_cov, told = keep == ALL or gradient, keep < ALL or gradient
    used, lag_used, lost = 0, 0, False
    mA = moves[0]
    t = last
    while t >= first:
        s, ip, ia = slot[t], pattern[t], t * mA
        if keep == ALL:
            smoothed_mean(filtered, t, filtered_cov, s, r, mean, states)
            lost |= smoothed_cov(filtered_cov, s, N, cov, used, W, zero, states)
            place[t] = used
            used += 1
        for o in range(m - 1, -1, -1):
            if np.isnan(errors[t, o]):
                continue
            u = pass_mean(C, ip, o, gains, s, variances[s, o], errors[t, o], r, states)
            D = pass_cov(C, ip, o, gains, s, variances[s, o], N, work, states) if with_cov else 0.0
            if told:
                misfits[t, o], curvatures[t, o] = u, D
        if told:
            for i in range(n):
                pushes[t, i] = r[i]
        inside = steady > 0.0 and first < t < last and slot[t - 1] == s and slot[t + 1] == s
        same = settled_cov(N, before, steady, states) if with_cov and steady > 0.0 else True
        if t > 0 and with_cov and (lag_one or gradient):
            times(A, ia, filtered_cov, slot[t - 1], W, zero, states)
            if gradient:
                times(N, zero, W, zero, W, one, states)
                for i in range(n):
                    for j in range(n):
                        N_total[i, j] += N[0, i, j]
                        turned[i, j] += W[1, i, j]
            if lag_one:  # (I - P N) A P_{t-1|t-1}
                times(predicted_cov, s, N, zero, W, two, states)
                for i in range(n):
                    for j in range(n):
                        lag_cov[lag_used, i, j] = W[0, i, j]
                add_times(W, two, W, zero, lag_cov, lag_used, -1.0, states)
                lag_place[t] = lag_used
                lag_used += 1
        if t > 0:
            back_mean(A, ia, r, work, states)
        t -= 1
        if inside and same:  # N has converged: while the gain stays the same, only the mean moves
            top = t
            while t > first and slot[t - 1] == s:
                if keep == ALL:
                    smoothed_mean(filtered, t, filtered_cov, s, r, mean, states)
                    place[t] = used - 1
                for o in range(m - 1, -1, -1):
                    u = pass_mean(C, ip, o, gains, s, variances[s, o], errors[t, o], r, states)
                    if told:
                        misfits[t, o], curvatures[t, o] = u, curvatures[top + 1, o]
                if told:
                    for i in range(n):
                        pushes[t, i] = r[i]
                if lag_one:
                    lag_place[t] = lag_used - 1
                back_mean(A, ia, r, work, states)
                t -= 1
            if gradient:
                for i in range(n):
                    for j in range(n):
                        N_total[i, j] += (top - t) * N[0, i, j]
                        turned[i, j] += (top - t) * W[1, i, j]
        if with_cov and t >= 0:
            back_cov(A, ia, N, zero, W, zero, states)
    return used, lag_used, lost


# The same as calls: see the diffuse rows of the filter.
times_, add_times_, turned_times_, mirror_, back_mean_ = (
    njit(**INNER)(part.py_func) for part in (times, add_times, turned_times, mirror, back_mean)
)


@njit(**INNER)
def between(L, left, N, order, right, fresh, place, W, states):  # type: ignore[no-untyped-def]
    """fresh[place] += L[left]' N[order] L[right]."""
    n = len(states)
    zero = 0 * left
    times_(N, order, L, right, W, zero, states)
    for k in range(n):
        for i in range(n):
            weight = L[left, k, i]
            if weight != 0.0:
                for j in range(n):
                    fresh[place, i, j] += weight * W[0, k, j]


@njit(**INNER)
def diffuse_cov(C, ip, o, gains, gains_next, t, F, Finf, N, L, W, fresh, states):  # type: ignore[no-untyped-def]
    """Take one element into the expansion N[0] + N[1] / kappa + N[2] / kappa^2."""
    n = len(states)
    zero, one = 0 * t, 0 * t + 1
    for i in range(n):
        for j in range(n):
            z = C[ip, o, j]
            L[0, i, j] = (1.0 if i == j else 0.0) - gains[t, o, i] * z
            L[1, i, j] = -gains_next[t, o, i] * z if Finf > 0.0 else 0.0
            fresh[0, i, j] = fresh[1, i, j] = fresh[2, i, j] = 0.0
    for order in range(3):
        between(L, zero, N, order, zero, fresh, order, W, states)
        if Finf > 0.0 and order < 2:
            between(L, one, N, order, zero, fresh, order + 1, W, states)
            between(L, zero, N, order, one, fresh, order + 1, W, states)
        if Finf > 0.0 and order == 0:
            between(L, one, N, order, one, fresh, order + 2, W, states)
    for i in range(n):
        for j in range(n):
            square = C[ip, o, i] * C[ip, o, j]
            if Finf > 0.0:
                fresh[1, i, j] += square / Finf
                fresh[2, i, j] -= square * F / Finf**2
            else:
                fresh[0, i, j] += square / F
            for order in range(3):
                N[order, i, j] = fresh[order, i, j]


@njit(**INNER)
def diffuse_mean(C, ip, o, gains, gains_next, t, F, Finf, error, r, r1):  # type: ignore[no-untyped-def]
    """Take one element into r + r1 / kappa; returns the limit of u."""
    n = len(r)
    a0, a1, b0 = 0.0, 0.0, 0.0
    for i in range(n):
        a0 += gains[t, o, i] * r[i]
        a1 += gains[t, o, i] * r1[i]
        b0 += gains_next[t, o, i] * r[i] if Finf > 0.0 else 0.0
    u = -a0 if Finf > 0.0 else error / F - a0
    u1 = error / Finf - a1 - b0 if Finf > 0.0 else -a1
    for i in range(n):
        r[i] += C[ip, o, i] * u
        r1[i] += C[ip, o, i] * u1
    return u


@njit(**COMPILED)
def diffuse_smooth(  # type: ignore[no-untyped-def]
    A, C, moves, pattern, last, r, N,
    predicted, errors, slot, gains, variances, predicted_cov, filtered_cov,
    gains_next, variances_inf, predicted_inf, filtered_inf,
    keep, lag_one, gradient, mean, cov, place, lag_cov, lag_place, used, lag_used,
    pushes, misfits, curvatures, N_total, turned, r1,
):  # fmt: skip
    """The diffuse rows last, ..., 0 of a filter (Durbin & Koopman 2012, section 5.3).

    r (n,), N[0] (n, n) belong to the filtered state of row `last`; N (3, n, n) are the terms of the expansion
    N[0] + N[1] / kappa + N[2] / kappa^2. On return r, r1 and N are those of the first row's predicted state. What is
    filled is as in `smooth_rows`, but for the means of a keep below ALL.
    """
    n, m = len(r), errors.shape[1]
    zero, one, two, three = 0 * last, 0 * last + 1, 0 * last + 2, 0 * last + 3
    states = np.empty(n)
    work, L, W, fresh = np.empty(n), np.empty((2, n, n)), np.zeros((4, n, n)), np.empty((3, n, n))
    with_cov, told = keep == ALL or gradient, keep < ALL or gradient
    for t in range(last, -1, -1):
        ip, ia = pattern[t], t * moves[0]
        for o in range(m - 1, -1, -1):
            if np.isnan(errors[t, o]):
                continue
            F, Finf = variances[t, o], variances_inf[t, o]
            u = diffuse_mean(C, ip, o, gains, gains_next, t, F, Finf, errors[t, o], r, r1)
            if with_cov:
                D = 0.0 if Finf > 0.0 else 1.0 / F
                for i in range(n):
                    for j in range(n):
                        D += gains[t, o, i] * N[0, i, j] * gains[t, o, j]
                diffuse_cov(C, ip, o, gains, gains_next, t, F, Finf, N, L, W, fresh, states)
                if told:
                    curvatures[t, o] = D
            if told:
                misfits[t, o] = u
        if told:
            for i in range(n):
                pushes[t, i] = r[i]
        if with_cov and (keep == ALL or lag_one):  # X = P N0 + Pinf N1, Y = P N1 + Pinf N2
            times_(predicted_cov, t, N, zero, W, one, states)
            add_times_(predicted_inf, t, N, one, W, one, 1.0, states)
            times_(predicted_cov, t, N, one, W, two, states)
            add_times_(predicted_inf, t, N, two, W, two, 1.0, states)
        if keep == ALL:
            for i in range(n):
                total = predicted[t, i]
                for k in range(n):
                    total += predicted_cov[t, i, k] * r[k] + predicted_inf[t, i, k] * r1[k]
                mean[t, i] = total
                for j in range(n):
                    cov[used, i, j] = predicted_cov[t, i, j]
            add_times_(W, one, predicted_cov, t, cov, used, -1.0, states)
            add_times_(W, two, predicted_inf, t, cov, used, -1.0, states)
            mirror_(cov, used, states)
            place[t] = used
            used += 1
        if t > 0 and with_cov and (lag_one or gradient):
            times_(A, ia, filtered_cov, slot[t - 1], L, zero, states)
            times_(A, ia, filtered_inf, t - 1, L, one, states)
            if gradient:
                times_(N, zero, L, zero, W, three, states)
                add_times_(N, one, L, one, W, three, 1.0, states)
                for i in range(n):
                    for j in range(n):
                        N_total[i, j] += N[0, i, j]
                        turned[i, j] += W[3, i, j]
            if lag_one:
                for i in range(n):
                    for j in range(n):
                        lag_cov[lag_used, i, j] = L[0, i, j]
                add_times_(W, one, L, zero, lag_cov, lag_used, -1.0, states)
                add_times_(W, two, L, one, lag_cov, lag_used, -1.0, states)
                lag_place[t] = lag_used
                lag_used += 1
        if t > 0:
            back_mean_(A, ia, r, work, states)
            back_mean_(A, ia, r1, work, states)
            for order in range(3 if with_cov else 0):
                turned_times_(A, ia, N, order, W, zero, states)
                times_(W, zero, A, ia, N, order, states)
                mirror_(N, order, states)
    return used, lag_used


@njit(**COMPILED)
def push_forward(A, c, Q, moves, pushes, mean):  # type: ignore[no-untyped-def]
    """Smoothed means from that of row 0 and the pushes: h_t = A h_{t-1} + c + Q r_t (Koopman 1993)."""
    n = mean.shape[1]
    for t in range(1, len(mean)):
        for i in range(n):
            total = c[t * moves[1], i]
            for k in range(n):
                total += A[t * moves[0], i, k] * mean[t - 1, k]
                total += Q[t * moves[2], i, k] * pushes[t, k]
            mean[t, i] = total


@njit(**COMPILED)
def smooth_window(  # type: ignore[no-untyped-def]
    A, C, moves, pattern, lag, states, filtered, errors, slot, gains, variances, filtered_cov, mean, cov
):  # fmt: skip
    """Moments of every row given the rows up to `lag` later, from a filter that kept everything."""
    n, m, length = len(states), C.shape[1], len(mean)
    zero = 0 * lag
    work, r = np.empty(n), np.empty(n)
    W, N = np.empty((1, n, n)), np.zeros((1, n, n))
    for t in range(length):
        for i in range(n):
            r[i] = 0.0
            for j in range(n):
                N[0, i, j] = 0.0
        for s in range(min(t + lag, length - 1), t - 1, -1):
            for o in range(m - 1, -1, -1):
                if s > t and not np.isnan(errors[s, o]):
                    at, F = slot[s], variances[slot[s], o]
                    pass_mean(C, pattern[s], o, gains, at, F, errors[s, o], r, states)
                    pass_cov(C, pattern[s], o, gains, at, F, N, work, states)
            if s > t:
                back_mean(A, s * moves[0], r, work, states)
                back_cov(A, s * moves[0], N, zero, W, zero, states)
        smoothed_cov(filtered_cov, slot[t], N, cov, t, W, zero, states)
        smoothed_mean(filtered, t, filtered_cov, slot[t], r, mean, states)
