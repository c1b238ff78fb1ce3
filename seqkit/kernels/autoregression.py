"""Least squares on lagged values, from one pass over the data for all orders.

The design of an autoregression is never built. Its Gram matrix over the rows t = p .. T - 1 of
[d_t, y_{t-1}, .., y_{t-p}, y_t] follows from the p + 1 lag products sum_t y_t y_{t-j}' and corrections at
the two ends of the series, since

    sum_t y_{t-i-1} y_{t-j-1}' = sum_t y_{t-i} y_{t-j}' + y_{p-i-1} y_{p-j-1}' - y_{T-1-i} y_{T-1-j}'.

One Cholesky factor of it holds the residual sums of squares of every order. Where its diagonal shows that
squaring the design has cost too many digits, the factor comes from a blocked QR instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

Array = np.ndarray
BLOCK = 16_384  # rows at a time: they stay in the cache
ILL_CONDITIONED = 1e-3  # a diagonal of the Cholesky factor of the unit-diagonal Gram below this asks for QR


@dataclass
class Design:
    """Regressors of y_t: the columns of `fixed` at t, then y_{t - lag} for every lag, channel by channel.

    y : (T, k), NaN where missing; fixed : (T, q); lags : increasing positive integers; start : the first row
    that may be a target, at least max(lags).
    """

    y: Array
    fixed: Array
    lags: Array
    start: int

    @property
    def complete(self) -> bool:
        return not (np.isnan(self.y.sum()) or np.isnan(self.fixed.sum()))

    def rows(self) -> Array:
        """Targets whose whole window is observed."""
        holes = np.isnan(self.y).any(1)
        usable = ~(holes | np.isnan(self.fixed).any(1))
        for lag in self.lags:
            usable[lag:] &= ~holes[:-lag] if lag < len(holes) else True
        usable[: self.start] = False
        return np.flatnonzero(usable)

    def blocks(self, shift: Array) -> Iterator[Array]:
        """Blocks of complete rows [fixed, lags, target], with `shift` taken from y."""
        rows = self.rows()
        for begin in range(0, len(rows), BLOCK):
            t = rows[begin : begin + BLOCK]
            lagged = [self.y[t - lag] - shift for lag in self.lags]
            yield np.hstack([self.fixed[t], *lagged, self.y[t] - shift])


def lag_products(y: Array, order: int) -> Array:
    """sum_{t >= order} y_t y_{t-j}' for j = 0 .. order, (order + 1, k, k), block by block."""
    length, channels = y.shape
    products = np.zeros((order + 1, channels, channels))
    for begin in range(order, length, BLOCK):
        end = min(begin + BLOCK, length)
        if channels == 1:
            products[:, 0, 0] += np.correlate(y[begin - order : end, 0], y[begin:end, 0], "valid")[::-1]
            continue
        now = y[begin:end].T
        for j in range(order + 1):
            products[j] += now @ y[begin - j : end - j]
    return products


def dense_gram(y: Array, fixed: Array, order: int) -> Array:
    """Gram matrix of [fixed_t, y_{t-1}, .., y_{t-order}, y_t] over t = order .. T - 1, complete data."""
    length, k = y.shape
    q = fixed.shape[1]
    size = (order + 1) * k
    lagged = np.empty((size, size))  # blocks in the order y_t, y_{t-1}, .., y_{t-order}
    lagged[:k] = lag_products(y, order).transpose(1, 0, 2).reshape(k, size)
    head = y[:order][::-1].reshape(-1)  # y_{p-1}, .., y_0
    tail = y[length - order :][::-1].reshape(-1)  # y_{T-1}, .., y_{T-p}
    ends = np.multiply.outer(head, head) - np.multiply.outer(tail, tail)
    for i in range(0, order * k, k):
        lagged[i + k : i + 2 * k, i + k :] = lagged[i : i + k, i:-k] + ends[i : i + k, i:]
    upper = np.triu(lagged)
    lagged = upper + np.triu(upper, 1).T
    gram = np.empty((q + size, q + size))
    gram[:q, :q] = fixed[order:].T @ fixed[order:]
    gram[q:, q:] = np.roll(lagged, -k, axis=(0, 1))  # the target last
    for c in range(q):
        gram[c, q:] = gram[q:, c] = _cross(fixed[:, c], y, order)
    return gram


def _cross(column: Array, y: Array, order: int) -> Array:
    """sum_{t >= order} column_t y_{t-j} for j = 1 .. order, then 0; flat over (j, channel)."""
    length, k = y.shape
    if column[order] == 1.0 and np.all(column[order:] == 1.0):  # an intercept: running sums
        sums = y[order:].sum(0) + np.zeros((order + 1, k))
        if order:
            sums[1:] += np.cumsum(y[:order][::-1] - y[length - order :][::-1], axis=0)
    else:
        sums = np.zeros((order + 1, k))
        for begin in range(order, length, BLOCK):
            end = min(begin + BLOCK, length)
            for c in range(k):
                window = np.ascontiguousarray(y[begin - order : end, c])
                sums[:, c] += np.correlate(window, column[begin:end], "valid")[::-1]
    return np.roll(sums, -1, axis=0).reshape(-1)


@dataclass
class Factor:
    """Lower triangular L with L L' = Gram of [regressors, targets] in shifted units, and the number of rows."""

    lower: Array
    rows: int
    regressors: int


def factorise(designs: list[Design], shift: Array) -> Factor:
    """The factor of the Gram matrix summed over all designs (one per series), Cholesky or QR as needed."""
    gram, rows = np.zeros(()), 0
    for design in designs:
        part, n = _gram(design, shift)
        gram, rows = gram + part, rows + n
    size = designs[0].fixed.shape[1] + len(designs[0].lags) * designs[0].y.shape[1]
    unit = np.sqrt(np.diag(gram))
    unit = np.where(unit > 0, unit, 1.0)
    try:
        lower = np.linalg.cholesky(gram / np.multiply.outer(unit, unit))
        if np.diag(lower)[:size].min(initial=1.0) > ILL_CONDITIONED:
            return Factor(lower * unit[:, None], rows, size)
    except np.linalg.LinAlgError:
        pass
    upper = np.zeros((0, len(unit)))
    for design in designs:
        for block in design.blocks(shift):
            upper = np.linalg.qr(np.vstack([upper, block]), mode="r")
    lower = np.zeros((len(unit), len(unit)))
    lower[:, : len(upper)] = upper.T
    return Factor(lower, rows, size)


def _gram(design: Design, shift: Array) -> tuple[Array, int]:
    """Gram matrix and number of rows of one series."""
    order = int(design.lags[-1]) if len(design.lags) else 0
    rows = len(design.y) - design.start
    sparse = order > 64 + 4 * len(design.lags)
    if rows > 0 and not sparse and design.complete:
        y = (design.y - shift)[design.start - order :]
        gram = dense_gram(y, design.fixed[design.start - order :], order)
        if len(design.lags) < order:
            k, q = y.shape[1], design.fixed.shape[1]
            kept = np.concatenate([design.lags - 1, [order]])
            columns = (q + kept[:, None] * k + np.arange(k)).ravel()
            keep = np.concatenate([np.arange(q), columns])
            gram = gram[np.ix_(keep, keep)]
        return gram, rows
    size = design.fixed.shape[1] + (len(design.lags) + 1) * design.y.shape[1]
    gram, count = np.zeros((size, size)), 0
    for block in design.blocks(shift):
        gram += block.T @ block
        count += len(block)
    return gram, count


@dataclass
class LeastSquares:
    """coef : (k, regressors) in the units of the shifted data; inverse : (X'X)^+; rss : (k, k); rank."""

    coef: Array
    inverse: Array
    rss: Array
    rank: int


def solve(factor: Factor, penalty: Array | None = None) -> LeastSquares:
    """Minimise |y - X b|^2 + sum_j penalty_j b_j^2; the shortest solution where X has not full rank."""
    size = factor.regressors
    x, y = factor.lower[:size].T, factor.lower[size:].T  # X = Q x, Y = Q y with one orthonormal Q
    if penalty is not None:
        x = np.vstack([x, np.diag(np.sqrt(penalty))])
        y = np.vstack([y, np.zeros((size, y.shape[1]))])
    unit = np.sqrt(np.einsum("ij,ij->j", x, x))
    unit = np.where(unit > 0, unit, 1.0)
    u, s, vt = np.linalg.svd(x / unit, full_matrices=False)
    tiny = np.finfo(float).eps * max(factor.rows, size) * s.max(initial=0.0)
    keep = s > tiny
    right = vt[keep].T / s[keep] / unit[:, None]
    coef = right @ (u[:, keep].T @ y)
    error = y - x @ coef
    if penalty is not None:
        error = error[: factor.lower.shape[1]]
    return LeastSquares(coef.T, right @ right.T, error.T @ error, int(keep.sum()))


def nested_rss(factor: Factor, fixed: int, channels: int) -> Array:
    """Residual covariance sums (orders 0 .. p, k, k) of all nested orders, from one factor."""
    targets = factor.lower[factor.regressors :]
    orders = (factor.regressors - fixed) // channels
    total = targets[:, factor.regressors :] @ targets[:, factor.regressors :].T
    steps = [total]
    for order in range(orders, 0, -1):
        own = targets[:, fixed + (order - 1) * channels : fixed + order * channels]
        total = total + own @ own.T
        steps.append(total)
    return np.stack(steps[::-1])


def levinson(covariance: Array) -> tuple[list[Array], Array]:
    """Coefficients of every order 0 .. p, and their innovation variances, from autocovariances 0 .. p.

    Levinson (1947), Durbin (1960): phi_pp = (c_p - sum_j phi_{p-1,j} c_{p-j}) / v_{p-1},
    v_p = v_{p-1} (1 - phi_pp^2).
    """
    coef, variance = np.zeros(0), float(covariance[0])
    coefs, variances = [coef], [variance]
    for p in range(1, len(covariance)):
        if variance <= 0:
            coef = np.append(coef, 0.0)
        else:
            partial = (covariance[p] - coef @ covariance[p - 1 : 0 : -1]) / variance
            coef = np.append(coef - partial * coef[::-1], partial)
            variance *= 1 - partial * partial
        coefs.append(coef)
        variances.append(variance)
    return coefs, np.array(variances)


def autocovariance(y: Array, order: int) -> Array:
    """c_j = sum_t y_t y_{t-j} / T for j = 0 .. order; with missing values, over the pairs observed (Parzen 1963).

    `y` is (T,), centred. The complete form is positive definite.
    """
    seen = ~np.isnan(y)
    if seen.all():
        padded = np.concatenate([np.zeros(order), y])
        return lag_products(padded[:, None], order)[:, 0, 0] / len(y)
    filled = np.where(seen, y, 0.0)
    weight = seen.astype(float)
    products = [filled[j:] @ filled[: len(y) - j] for j in range(order + 1)]
    pairs = np.array([weight[j:] @ weight[: len(y) - j] for j in range(order + 1)])
    taper = 1 - np.arange(order + 1) / len(y)  # the shrinkage that dividing by T gives complete data
    return np.array(products) / np.maximum(pairs, 1) * taper


def burg(y: Array, order: int) -> tuple[list[Array], Array]:
    """Coefficients of every order 0 .. p and innovation variances by Burg's method (1968); `y` is (T,), centred.

    The reflection coefficient of each order minimises the sum of forward and backward squared errors,
    kappa = 2 f'b / (f'f + b'b); the model is always stationary.
    """
    forward, backward = y[1:].copy(), y[:-1].copy()
    coef, variance = np.zeros(0), float(y @ y / len(y))
    coefs, variances = [coef], [variance]
    for _ in range(order):
        energy = forward @ forward + backward @ backward
        kappa = 2 * (forward @ backward) / energy if energy > 0 else 0.0
        coef = np.append(coef - kappa * coef[::-1], kappa)
        variance *= 1 - kappa * kappa
        forward, backward = (forward - kappa * backward)[1:], (backward - kappa * forward)[:-1]
        coefs.append(coef)
        variances.append(variance)
    return coefs, np.array(variances)


def impulse_response(phi: Array, horizon: int) -> Array:
    """Psi_0 = I, Psi_h = sum_i phi_i Psi_{h-i}: (horizon, k, k) from phi (p, k, k)."""
    order, k = len(phi), phi.shape[1]
    psi = np.zeros((horizon, k, k))
    psi[0] = np.eye(k)
    for h in range(1, horizon):
        n = min(h, order)
        psi[h] = np.einsum("iab,ibc->ac", phi[:n], psi[h - n : h][::-1])
    return psi
