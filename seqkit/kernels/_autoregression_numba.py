"""The whole of a least squares autoregression in one compiled call: see `autoregression` for the method."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

BLOCK = 2048  # numbers at a time: a block and its products stay in the first cache
# Parts, never called from Python: without the wrappers for that. Nearly all go by loops: numba takes
# seconds to compile statements on whole arrays.
INNER: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
SUMS: dict[str, Any] = {**INNER, "fastmath": {"reassoc", "contract"}}


@njit(**SUMS)
def _sum(z):  # type: ignore[no-untyped-def]
    total = 0.0
    for t in range(len(z)):
        total += z[t]
    return total


@njit(**SUMS)
def _dots(now, z, order, out):  # type: ignore[no-untyped-def]
    """out[j k + b] += sum_t now_t z[b, order + t - j], four sums at a time so that now_t is read once for them.

    z (k, at least n + order) holds one channel per row, `now` (n,) its target. The sums may be taken in any order, so
    they use the vector units.
    """
    k, n = len(z), len(now)
    width = (order + 1) * k
    for s in range(0, width - width % 4, 4):
        w = z[s % k, order - s // k : order - s // k + n]
        x = z[(s + 1) % k, order - (s + 1) // k : order - (s + 1) // k + n]
        y = z[(s + 2) % k, order - (s + 2) // k : order - (s + 2) // k + n]
        v = z[(s + 3) % k, order - (s + 3) // k : order - (s + 3) // k + n]
        a, b, c, d = 0.0, 0.0, 0.0, 0.0
        for t in range(n):
            a += now[t] * w[t]
            b += now[t] * x[t]
            c += now[t] * y[t]
            d += now[t] * v[t]
        out[s] += a
        out[s + 1] += b
        out[s + 2] += c
        out[s + 3] += d
    for s in range(width - width % 4, width):
        w, a = z[s % k, order - s // k : order - s // k + n], 0.0
        for t in range(n):
            a += now[t] * w[t]
        out[s] += a


@njit(**INNER)
def _products(y, order, shift):  # type: ignore[no-untyped-def]
    """sum_{t >= p} z_{t,a} z_{t-j,b} as [a, j k + b], and sum_{t >= p} z_t; z = y - shift."""
    length, k = y.shape
    products, total = np.zeros((k, (order + 1) * k)), np.zeros(k)
    rows = max(BLOCK // k, 64)
    z = np.empty((k, rows + order))
    begin = order
    while begin < length:
        end = min(begin + rows, length)
        window = y[begin - order : end]
        count = len(window)
        for a in range(k):
            channel = z[a]
            for t in range(count):
                channel[t] = window[t, a] - shift[a]
        for a in range(k):
            now = z[a, order:count]
            _dots(now, z, order, products[a])
            total[a] += _sum(now)
        begin = end
    return products, total


@njit(**INNER)
def _gram(y, shift, p, products, total, rows, constant):  # type: ignore[no-untyped-def]
    """Lower triangle of the Gram matrix of [1, z_{t-1}, .., z_{t-p}, z_t] from lag products and both ends.

    z_t = y_t - shift; `rows` of y's rows come after the first p.
    """
    k = len(shift)
    head, tail = np.empty((p, k)), np.empty((p, k))  # z_0 .. z_{p-1} and z_{T-p} .. z_{T-1}
    for t in range(p):
        for a in range(k):
            head[t, a] = y[t, a] - shift[a]
            tail[t, a] = y[rows + t, a] - shift[a]
    q, size = (1 if constant else 0), p * k
    lagged = np.empty((size + k, size + k))  # blocks in the order z_t, z_{t-1}, .., z_{t-p}
    for i in range(size + k):
        for b in range(k):
            lagged[i, b] = products[b, i]
    for i in range(p):
        for j in range(i + 1):
            for a in range(k):
                for b in range(k):
                    lagged[(i + 1) * k + a, (j + 1) * k + b] = (
                        lagged[i * k + a, j * k + b]
                        + head[p - 1 - i, a] * head[p - 1 - j, b]
                        - tail[p - 1 - i, a] * tail[p - 1 - j, b]
                    )
    gram = np.zeros((q + size + k, q + size + k))
    for i in range(size):
        for j in range(size):
            gram[q + i, q + j] = lagged[k + i, k + j]
    for a in range(k):
        for i in range(size):
            gram[q + size + a, q + i] = lagged[k + i, a]
        for b in range(k):
            gram[q + size + a, q + size + b] = lagged[a, b]
    if constant:
        gram[0, 0] = rows
        for a in range(k):
            running = total[a]
            gram[q + size + a, 0] = running
            for i in range(p):
                running += head[p - 1 - i, a] - tail[p - 1 - i, a]
                gram[q + i * k + a, 0] = running
    return gram


@njit(**INNER)
def _cholesky(gram, size):  # type: ignore[no-untyped-def]
    """The factor, and the smallest diagonal of it over the first `size` columns scaled to length one (0: none)."""
    n = len(gram)
    lower = np.zeros((n, n))
    worst = 1.0
    for j in range(n):
        pivot = gram[j, j]
        for m in range(j):
            pivot -= lower[j, m] * lower[j, m]
        if pivot <= 0.0:
            return lower, 0.0
        lower[j, j] = np.sqrt(pivot)
        if j < size:
            worst = min(worst, lower[j, j] / np.sqrt(gram[j, j]))
        for i in range(j + 1, n):
            value = gram[i, j]
            for m in range(j):
                value -= lower[i, m] * lower[j, m]
            lower[i, j] = value / lower[j, j]
    return lower, worst


@njit(**INNER)
def _criteria(lower, q, order, k, rows, penalty):  # type: ignore[no-untyped-def]
    """The criterion of the nested orders 0 .. p: residual sums are squares of ever more of the last rows."""
    criteria = np.empty(order + 1)
    size = q + order * k
    total, mean = np.zeros((k, k)), np.zeros((k, k))
    for a in range(k):
        for b in range(a + 1):
            for m in range(size, size + k):
                total[a, b] += lower[size + a, m] * lower[size + b, m]
    for p in range(order, -1, -1):
        for a in range(k):
            for b in range(a + 1):
                mean[a, b] = total[a, b] / rows
        factor, _ = _cholesky(mean, k)
        log_det = 0.0
        for a in range(k):
            log_det += 2.0 * np.log(max(factor[a, a], 1e-150))
        criteria[p] = rows * (k * (1 + np.log(2 * np.pi)) + log_det) + penalty * k * (q + k * p)
        for a in range(k):
            for b in range(a + 1):
                for m in range(q + (p - 1) * k, q + p * k) if p else range(0):
                    total[a, b] += lower[size + a, m] * lower[size + b, m]
    return criteria


@njit(cache=True)
def fit_lags(y, order, constant, penalty):  # type: ignore[no-untyped-def]
    """Least squares of y (T, k) on 1 (if `constant`) and its lags 1 .. p.

    `penalty` is the charge per coefficient of the criterion that chooses p <= order on the rows common to
    all, or negative for p = order. Returns (worst, coef (k, regressors), inverse_diagonal, rss (k, k), rows,
    criteria): worst is the smallest diagonal of the factor of the scaled Gram, 0 where data are missing or
    the design is singular.
    """
    length, k = y.shape
    none, nothing = np.zeros((0, 0)), np.zeros(0)
    shift = np.zeros(k)
    if constant:
        if k == 1:
            shift[0] = _sum(y.reshape(length))
        else:
            for t in range(length):
                for a in range(k):
                    shift[a] += y[t, a]
        for a in range(k):
            shift[a] /= length
    products, total = _products(y, order, shift)
    for a in range(k):
        for i in range(products.shape[1]):
            if not np.isfinite(products[a, i]):
                return 0.0, none, nothing, none, 0, nothing
    q, rows = (1 if constant else 0), length - order
    gram = _gram(y, shift, order, products, total, rows, constant)
    lower, worst = _cholesky(gram, q + order * k)
    criteria = nothing
    if penalty >= 0.0 and worst > 0.0:
        criteria = _criteria(lower, q, order, k, rows, penalty)
        best = 0
        for p in range(1, order + 1):
            best = p if criteria[p] < criteria[best] else best
        if best < order:  # the rows that only the larger order had to leave out come in
            for t in range(best, order):
                for a in range(k):
                    now = y[t, a] - shift[a]
                    total[a] += now
                    for j in range(best + 1):
                        for b in range(k):
                            products[a, j * k + b] += now * (y[t - j, b] - shift[b])
            rows = length - best
            gram = _gram(y, shift, best, products, total, rows, constant)
            order = best
            lower, again = _cholesky(gram, q + order * k)
            worst = min(worst, again)
    if worst == 0.0:
        return 0.0, none, nothing, none, rows, criteria
    coef, inverse, rss = _solve(lower, q, q + order * k, shift)
    return worst, coef, inverse, rss, rows, criteria


@njit(**INNER)
def _solve(lower, q, size, shift):  # type: ignore[no-untyped-def]
    """Coefficients for the unshifted series, the diagonal of the inverse Gram for them, and the residual sums."""
    k = len(shift)
    root = np.zeros((size, size))  # the inverse of the regressors' factor
    for j in range(size):
        root[j, j] = 1.0 / lower[j, j]
        for i in range(j + 1, size):
            value = 0.0
            for m in range(j, i):
                value -= lower[i, m] * root[m, j]
            root[i, j] = value / lower[i, i]
    coef, inverse, rss = np.zeros((k, size)), np.zeros(size), np.zeros((k, k))
    for j in range(size):
        for i in range(j, size):
            inverse[j] += root[i, j] * root[i, j]
            for a in range(k):
                coef[a, j] += root[i, j] * lower[size + a, i]
    for a in range(k):
        for b in range(k):
            for m in range(k):
                rss[a, b] += lower[size + a, size + m] * lower[size + b, size + m]
    if q:  # c = c' + shift - sum_i phi_i shift, and its variance likewise
        inverse[0] = 0.0
        for i in range(size):
            value = root[i, 0]
            for s in range(1, size):
                value -= shift[(s - 1) % k] * root[i, s]
            inverse[0] += value * value
        for a in range(k):
            coef[a, 0] += shift[a]
            for s in range(1, size):
                coef[a, 0] -= coef[a, s] * shift[(s - 1) % k]
    return coef, inverse, rss
