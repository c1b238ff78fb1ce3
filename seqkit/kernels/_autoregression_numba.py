"""The whole of a scalar autoregression by least squares in one compiled call: see `autoregression` for the method."""

from __future__ import annotations

import numpy as np
from numba import njit

BLOCK = 2048  # values at a time: a block and its products stay in the first cache


@njit(cache=True, fastmath={"reassoc", "contract"})
def _products(z, start, order, out):  # type: ignore[no-untyped-def]
    """out[j] += sum_{t >= start} z_t z_{t-j}, four lags at a time so that z_t is read once for them.

    The sums may be taken in any order, so they use the vector units.
    """
    n = len(z) - start
    now = z[start:]
    for j in range(0, order + 1, 4):
        a, b, c, d = 0.0, 0.0, 0.0, 0.0
        first = z[start - j : start - j + n]
        if j + 4 > order + 1:
            for lag in range(j, order + 1):
                then, total = z[start - lag : start - lag + n], 0.0
                for t in range(n):
                    total += now[t] * then[t]
                out[lag] += total
            return
        second = z[start - j - 1 : start - j - 1 + n]
        third = z[start - j - 2 : start - j - 2 + n]
        fourth = z[start - j - 3 : start - j - 3 + n]
        for t in range(n):
            a += now[t] * first[t]
            b += now[t] * second[t]
            c += now[t] * third[t]
            d += now[t] * fourth[t]
        out[j] += a
        out[j + 1] += b
        out[j + 2] += c
        out[j + 3] += d


@njit(cache=True, fastmath={"reassoc", "contract"})
def _sum(z):  # type: ignore[no-untyped-def]
    total = 0.0
    for t in range(len(z)):
        total += z[t]
    return total


@njit(cache=True)
def _gram(z_head, z_tail, products, total, rows, constant):  # type: ignore[no-untyped-def]
    """Lower triangle of the Gram matrix of [1, z_{t-1}, .., z_{t-p}, z_t] from lag products and both ends.

    z_head holds z_0 .. z_{p-1}, z_tail z_{T-p} .. z_{T-1}; total is the sum of the targets.
    """
    p = len(products) - 1
    q = 1 if constant else 0
    lagged = np.empty((p + 1, p + 1))
    for i in range(p + 1):
        lagged[i, 0] = products[i]
    for i in range(p):
        for j in range(i + 1):
            lagged[i + 1, j + 1] = (
                lagged[i, j]
                + z_head[p - 1 - i] * z_head[p - 1 - j]
                - z_tail[p - 1 - i] * z_tail[p - 1 - j]
            )
    gram = np.zeros((q + p + 1, q + p + 1))
    for i in range(p):
        for j in range(i + 1):
            gram[q + i, q + j] = lagged[i + 1, j + 1]
        gram[q + p, q + i] = lagged[i + 1, 0]
    gram[q + p, q + p] = lagged[0, 0]
    if constant:
        gram[0, 0] = rows
        running = total
        gram[q + p, 0] = total
        for i in range(p):
            running += z_head[p - 1 - i] - z_tail[p - 1 - i]
            gram[q + i, 0] = running
    return gram


@njit(cache=True)
def _cholesky(gram, size):  # type: ignore[no-untyped-def]
    """The factor, and the smallest diagonal of it over the first `size` columns scaled to length one."""
    n = len(gram)
    lower = np.zeros((n, n))
    worst = 1.0
    for j in range(n):
        pivot = gram[j, j]
        for m in range(j):
            pivot -= lower[j, m] * lower[j, m]
        if pivot <= 0.0:
            if j < size or pivot < -1e-8 * abs(gram[j, j]):
                return lower, 0.0
            pivot = 0.0
        lower[j, j] = np.sqrt(pivot)
        if j < size:
            worst = min(worst, lower[j, j] / np.sqrt(gram[j, j]))
        elif lower[j, j] == 0.0:
            continue
        for i in range(j + 1, n):
            value = gram[i, j]
            for m in range(j):
                value -= lower[i, m] * lower[j, m]
            lower[i, j] = value / lower[j, j]
    return lower, worst


@njit(cache=True)
def fit_lags(y, order, constant, penalty):  # type: ignore[no-untyped-def]
    """Least squares of y on 1 (if `constant`) and its lags 1 .. p.

    `penalty` is the charge per coefficient of the criterion that chooses p <= order on the rows common to
    all, or negative for p = order. Returns (worst, coef, inverse_diagonal, rss, rows, criteria): worst is
    the smallest diagonal of the factor of the scaled Gram, 0 where the data are missing or singular.
    """
    length = len(y)
    empty = np.zeros(0)
    shift = 0.0
    if constant:
        shift = _sum(y) / length
        if not np.isfinite(shift):
            return 0.0, empty, empty, 0.0, 0, empty
    products, total = np.zeros(order + 1), 0.0
    z = np.empty(BLOCK + order)
    begin = order
    while begin < length:
        end = min(begin + BLOCK, length)
        count = end - begin + order
        window = y[begin - order : end]
        for i in range(count):
            z[i] = window[i] - shift
        _products(z[:count], order, order, products)
        total += _sum(z[order:count])
        begin = end
    if not np.isfinite(products[0]):
        return 0.0, empty, empty, 0.0, 0, empty
    q = 1 if constant else 0
    head, tail = y[:order] - shift, y[length - order :] - shift
    rows = length - order
    gram = _gram(head, tail, products, total, rows, constant)
    lower, worst = _cholesky(gram, q + order)
    criteria = empty
    if penalty >= 0.0 and worst > 0.0:
        criteria = np.empty(order + 1)
        rss = lower[q + order, q + order] ** 2
        for p in range(order, -1, -1):
            criteria[p] = rows * (
                1 + np.log(2 * np.pi) + np.log(max(rss / rows, 1e-300))
            ) + penalty * (q + p)
            if p:
                rss += lower[q + order, q + p - 1] ** 2
        best = np.argmin(criteria)
        if best < order:  # the rows that only the larger order had to leave out come in
            for j in range(best + 1):
                for t in range(best, order):
                    products[j] += head[t] * head[t - j]
            for t in range(best, order):
                total += head[t]
            rows = length - best
            tail = tail[order - best :]
            gram = _gram(head[:best], tail, products[: best + 1], total, rows, constant)
            order = best
            lower, again = _cholesky(gram, q + order)
            worst = min(worst, again)
    if worst == 0.0:
        return 0.0, empty, empty, 0.0, rows, criteria
    return (worst, *_solve(lower, q, order, shift), rows, criteria)


@njit(cache=True)
def _solve(lower, q, order, shift):  # type: ignore[no-untyped-def]
    """Coefficients for the unshifted series, the diagonal of the inverse Gram for them, and the residual sum."""
    size = q + order
    root = np.zeros((size, size))  # the inverse of the regressors' factor
    for j in range(size):
        root[j, j] = 1.0 / lower[j, j]
        for i in range(j + 1, size):
            value = 0.0
            for m in range(j, i):
                value -= lower[i, m] * root[m, j]
            root[i, j] = value / lower[i, i]
    coef, inverse = np.zeros(size), np.zeros(size)
    for j in range(size):
        for i in range(j, size):
            coef[j] += root[i, j] * lower[size, i]
            inverse[j] += root[i, j] * root[i, j]
    if q:  # c = c' + shift (1 - sum phi), and its variance likewise
        coef[0] += shift * (1.0 - np.sum(coef[1:]))
        inverse[0] = 0.0
        for i in range(size):
            inverse[0] += (root[i, 0] - shift * np.sum(root[i, 1:])) ** 2
    return coef, inverse, lower[size, size] ** 2
