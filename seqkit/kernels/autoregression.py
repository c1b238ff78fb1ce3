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
ILL_CONDITIONED = (
    1e-3  # a diagonal of the Cholesky factor of the unit-diagonal Gram below this asks for QR
)


@dataclass
class Design:
    """Regressors of y_t: the columns of `fixed` at t, then y_{t - lag} for every lag, channel by channel.

    y : (T, k), NaN where missing; fixed : (T, q); lags : increasing positive integers; start : the first row
    that may be a target, at least max(lags); complete : whether nothing is missing, if that is known.
    """

    y: Array
    fixed: Array
    lags: Array
    start: int
    complete: bool | None = None

    def __post_init__(self) -> None:
        if self.complete is None:
            varying = [column.sum() for column in self.fixed.T if not constant(column)]
            self.complete = not np.isnan([self.y.sum(), *varying]).any()

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


def lag_products(y: Array, order: int, shift: Array) -> tuple[Array, Array]:
    """sum_{t >= order} z_t z_{t-j}' for j = 0 .. order, (order + 1, k, k), and sum_{t >= order} z_t; z = y - shift.

    One pass over y, block by block, so that each block is centred and multiplied while it is in the cache.
    """
    length, channels = y.shape
    products, total = np.zeros((order + 1, channels, channels)), np.zeros(channels)
    for begin in range(order, length, BLOCK):
        z = y[begin - order : begin + BLOCK] - shift
        if channels == 1:
            products[:, 0, 0] += np.correlate(z[:, 0], z[order:, 0], "valid")[::-1]
        else:
            for j in range(order + 1):
                products[j] += z[order:].T @ z[order - j : len(z) - j]
        total += column_sums(z[order:])
    return products, total


def column_sums(y: Array) -> Array:
    """Sum over the rows, as a matrix product of several rows side by side: fast where columns are few."""
    rows, k = y.shape
    if k == 1:
        return y.ravel().sum(keepdims=True)
    width = max(32 // k, 1)
    whole = rows // width * width
    wide = y[:whole].reshape(-1, width * k)
    return (np.ones(len(wide)) @ wide).reshape(width, k).sum(0) + y[whole:].sum(0)


def dense_gram(y: Array, fixed: Array, order: int, shift: Array) -> Array:
    """Gram matrix (its lower triangle) of [fixed_t, z_{t-1}, .., z_{t-order}, z_t], t = order .. T - 1, z = y - shift.

    The data are complete.
    """
    length, k = y.shape
    q, size = fixed.shape[1], order * k
    products, total = lag_products(y, order, shift)
    head = (y[:order][::-1] - shift).reshape(-1)  # z_{p-1}, .., z_0
    tail = (y[length - order :][::-1] - shift).reshape(-1)  # z_{T-1}, .., z_{T-p}
    lagged = _lagged_gram(products, head, tail)
    gram = np.zeros((q + size + k, q + size + k))
    gram[q : q + size, q : q + size] = lagged[k:, k:]
    gram[q + size :, q : q + size] = lagged[k:, :k].T
    gram[q + size :, q + size :] = lagged[:k, :k]
    if q == 1 and constant(fixed[:, 0]):
        one = fixed[0, 0]
        gram[0, 0] = one * one * (length - order)
        sums = np.concatenate(
            [total, (head - tail).reshape(order, k).cumsum(0).ravel() + np.tile(total, order)]
        )
        gram[q:, 0] = one * np.concatenate([sums[k:], sums[:k]])
        return gram
    gram[:q, :q] = fixed[order:].T @ fixed[order:]
    for c in range(q):
        gram[q:, c] = _cross(fixed[:, c], y, order, shift)
    return gram


def _lagged_gram(products: Array, head: Array, tail: Array) -> Array:
    """Gram of z_t, z_{t-1}, .., z_{t-p} (lower triangle) from its first block column and the values at both ends.

    Block (d + j, j) is products[d]' plus the corrections (d + m, m) for m < j: a running sum along each
    diagonal, taken for all of them at once through a view that turns diagonals into rows.
    """
    order, k = len(products) - 1, products.shape[1]
    ends = np.zeros((2 * order, k, order, k))
    ends[:order] = (head[:, None] * head - tail[:, None] * tail).reshape(order, k, order, k)
    gram = np.zeros((2 * order + 1, k, order + 1, k))
    first = products.transpose(0, 2, 1)
    diagonals = _diagonals(gram, order + 1)
    diagonals[:, 0] = first
    diagonals[:order, 1:] = first[:order, None] + _diagonals(ends, order).cumsum(1)
    return gram[: order + 1].reshape((order + 1) * k, (order + 1) * k)


def _diagonals(blocks: Array, count: int) -> Array:
    """view[d, j] = blocks[d + j, :, j, :], (count, count, k, k), of a tall enough array of blocks."""
    rows, inner_row, columns, inner_column = blocks.strides
    k = blocks.shape[1]
    strides = (rows, rows + columns, inner_row, inner_column)
    return np.ndarray((count, count, k, k), blocks.dtype, blocks, 0, strides)


def constant(column: Array) -> bool:
    """Whether all entries are one number; a broadcast view says so by itself."""
    return column.strides[0] == 0 or bool(np.all(column == column[0]))


def _cross(column: Array, y: Array, order: int, shift: Array) -> Array:
    """sum_{t >= order} column_t z_{t-j} for j = 1 .. order, then 0; flat over (j, channel)."""
    length, k = y.shape
    sums = np.zeros((order + 1, k))
    for begin in range(order, length, BLOCK):
        end = min(begin + BLOCK, length)
        z = y[begin - order : end] - shift
        for c in range(k):
            sums[:, c] += np.correlate(np.ascontiguousarray(z[:, c]), column[begin:end], "valid")
    return np.concatenate([sums[-2::-1], sums[-1:]]).ravel()


@dataclass
class Factor:
    """Lower triangular L with L L' = Gram of [regressors, targets] in shifted units, and the number of rows.

    `sound` tells that the regressors' block is well conditioned.
    """

    lower: Array
    rows: int
    regressors: int
    sound: bool


def gram_of(designs: list[Design], shift: Array) -> tuple[Array, int]:
    """Gram matrix (lower triangle) and number of rows, summed over the designs of all series."""
    gram, rows = _gram(designs[0], shift)
    for design in designs[1:]:
        part, n = _gram(design, shift)
        gram, rows = gram + part, rows + n
    return gram, rows


def factorise(
    designs: list[Design], shift: Array, known: tuple[Array, int] | None = None
) -> Factor:
    """The factor of the designs' Gram matrix (`known`, if it has been computed), by Cholesky or, if need be, by QR."""
    gram, rows = gram_of(designs, shift) if known is None else known
    size = designs[0].fixed.shape[1] + len(designs[0].lags) * designs[0].y.shape[1]
    diagonal = np.diagonal(gram)
    unit = np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    try:
        lower = np.linalg.cholesky(gram / (unit[:, None] * unit))
        if not size or np.diagonal(lower)[:size].min() > ILL_CONDITIONED:
            return Factor(lower * unit[:, None], rows, size, True)
    except np.linalg.LinAlgError:
        pass
    upper = np.zeros((0, len(unit)))
    for design in designs:
        for block in design.blocks(shift):
            upper = np.asarray(np.linalg.qr(np.vstack([upper, block]), mode="r"))
    lower = np.zeros((len(unit), len(unit)))
    lower[:, : len(upper)] = upper.T
    return Factor(lower, rows, size, False)


def _gram(design: Design, shift: Array) -> tuple[Array, int]:
    """Gram matrix (lower triangle) and number of rows of one series."""
    order = int(design.lags[-1]) if len(design.lags) else 0
    rows = len(design.y) - design.start
    sparse = order > 64 + 4 * len(design.lags)
    if rows > 0 and not sparse and design.complete:
        skip = design.start - order
        gram = dense_gram(design.y[skip:], design.fixed[skip:], order, shift)
        if len(design.lags) < order:
            gram = gram[np.ix_(*2 * (_columns(design.lags - 1, design, order),))]
        return gram, rows
    size = design.fixed.shape[1] + (len(design.lags) + 1) * design.y.shape[1]
    gram, count = np.zeros((size, size)), 0
    for block in design.blocks(shift):
        gram += block.T @ block
        count += len(block)
    return gram, count


def _columns(lags: Array, design: Design, order: int) -> Array:
    """Columns of the Gram of lags 1 .. order for the fixed terms, some lags (counted from 0) and the target."""
    k, q = design.y.shape[1], design.fixed.shape[1]
    kept = np.append(lags, order)
    return np.concatenate([np.arange(q), (q + kept[:, None] * k + np.arange(k)).ravel()])


def lower_order(
    designs: list[Design], known: tuple[Array, int], order: int, shift: Array
) -> tuple[list[Design], tuple[Array, int]]:
    """The designs of lags 1 .. order and their Gram, from the Gram of more lags: columns go, the first rows come in."""
    gram, rows = known
    columns = _columns(np.arange(order), designs[0], len(designs[0].lags))
    gram = gram[np.ix_(columns, columns)]
    shorter = [Design(d.y, d.fixed, np.arange(1, order + 1), order, d.complete) for d in designs]
    for design, before in zip(shorter, designs, strict=True):
        first = Design(
            design.y[: before.start], design.fixed[: before.start], design.lags, order, False
        )
        for block in first.blocks(shift):
            gram = gram + block.T @ block
            rows += len(block)
    return shorter, (gram, rows)


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
    if factor.sound and penalty is None:
        inner, cross, rest = (
            factor.lower[:size, :size],
            factor.lower[size:, :size],
            factor.lower[size:, size:],
        )
        root = np.linalg.inv(inner)
        return LeastSquares(cross @ root, root.T @ root, rest @ rest.T, size)
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
    error = (y - x @ coef)[: factor.lower.shape[1]]
    return LeastSquares(coef.T, right @ right.T, error.T @ error, int(keep.sum()))


def nested_rss(factor: Factor, fixed: int, channels: int) -> Array:
    """Residual covariance sums (orders 0 .. p, k, k) of all nested orders, from one factor."""
    targets = factor.lower[factor.regressors :]
    rest = targets[:, factor.regressors :]
    steps = targets[:, fixed : factor.regressors].reshape(channels, -1, channels)
    if channels == 1:
        gains = (steps * steps).reshape(-1, 1, 1)
    else:
        gains = np.einsum("apc,bpc->pab", steps, steps)
    return rest @ rest.T + np.concatenate(
        [gains[::-1].cumsum(0)[::-1], np.zeros((1, channels, channels))]
    )


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
        return lag_products(padded[:, None], order, np.zeros(1))[0][:, 0, 0] / len(y)
    filled = np.where(seen, y, 0.0)
    weight = seen.astype(float)
    products = [filled[j:] @ filled[: len(y) - j] for j in range(order + 1)]
    pairs = np.array([weight[j:] @ weight[: len(y) - j] for j in range(order + 1)])
    taper = 1 - np.arange(order + 1) / len(
        y
    )  # the shrinkage that dividing by T gives complete data
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


def continue_paths(phi: Array, past: Array, shocks: Array) -> Array:
    """y_t = shock_t + sum_i phi_i y_{t-i}, continued from `past`, for any number of systems and paths at once.

    phi (..., p, k, k), past (..., p, k) in the order of time, shocks (..., h, k), with leading axes that
    broadcast; returns (..., h, k).
    """
    order, k = phi.shape[-3], phi.shape[-1]
    horizon = shocks.shape[-2]
    batch = np.broadcast_shapes(phi.shape[:-3], past.shape[:-2], shocks.shape[:-2])
    weights = np.swapaxes(phi[..., ::-1, :, :], -1, -2).reshape(*phi.shape[:-3], order * k, k)
    rows = np.empty((*batch, order + horizon, k))
    rows[..., :order, :] = past
    for h in range(horizon):
        window = rows[..., h : order + h, :].reshape(*batch, 1, order * k)
        rows[..., order + h, :] = shocks[..., h, :] + (window @ weights)[..., 0, :]
    return rows[..., order:, :]


def impulse_response(phi: Array, horizon: int) -> Array:
    """Psi_0 = I, Psi_h = sum_i phi_i Psi_{h-i}: (..., horizon, k, k) from phi (..., p, k, k)."""
    order, k = phi.shape[-3], phi.shape[-1]
    shocks = np.zeros((k, horizon, k))
    shocks[:, 0] = np.eye(k)
    paths = continue_paths(phi[..., None, :, :, :], np.zeros((order, k)), shocks)
    return np.moveaxis(paths, -3, -1)
