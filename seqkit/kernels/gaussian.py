"""Normal laws of many states at many rows: log densities, and the weighted moments that estimate them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

LOG_2PI = float(np.log(2 * np.pi))
# A scatter this small against n (mean - centre)^2 has lost its digits: it is summed again about its mean.
CANCELLATION = 1e-4


class Moments(NamedTuple):
    """Weighted moments of each state.

    count : (K,), or (K, C) where channels are taken one by one: the weight of what was observed.
    mean : (K, C); NaN without weight.
    scatter : (K, C) sums of squares about the mean, or (K, C, C) with products of channels.
    """

    count: np.ndarray  # type: ignore[assignment]
    mean: np.ndarray
    scatter: np.ndarray


def log_density_diagonal(x: np.ndarray, mean: np.ndarray, var: np.ndarray) -> np.ndarray:
    """Log densities (R, K) of rows x (R, C) under independent normal channels; missing elements are left out.

    mean, var : (K, C).

    >>> log_density_diagonal(np.zeros((1, 1)), np.array([[0.0], [1.0]]), np.ones((2, 1))).round(4)
    array([[-0.9189, -1.4189]])
    """
    from seqkit.kernels import _gaussian_numba as compiled

    half, constant = 0.5 / var, -0.5 * (np.log(var) + LOG_2PI)
    x = np.ascontiguousarray(x, dtype=np.float64)
    channels, states = x.shape[1], len(mean)
    width = _padded_width(states)
    flat = np.empty(len(x) * states + 8)
    parts = (_padded(a.T, width) for a in (mean, half, constant))
    compiled.diagonal(x.reshape(-1), *parts, flat, channels, states, width)
    return flat[: len(x) * states].reshape(len(x), states)


def _padded_width(states: int) -> int:
    return (states + 7) // 8 * 8


def _padded(rows: np.ndarray, width: int) -> np.ndarray:
    """Rows (n, K) with zeros up to `width`, flat."""
    out = np.zeros((len(rows), width))
    out[:, : rows.shape[1]] = rows
    return out.reshape(-1)


def log_density_full(x: np.ndarray, mean: np.ndarray, cov: np.ndarray) -> np.ndarray:
    """Log densities (R, K) of complete rows x (R, C) under normal laws with mean (K, C) and cov (K, C, C).

    Raises
    ------
    numpy.linalg.LinAlgError : a covariance is not positive definite.

    >>> log_density_full(np.zeros((1, 2)), np.zeros((1, 2)), np.eye(2)[None]).round(4)
    array([[-1.8379]])
    """
    from seqkit.kernels import _gaussian_numba as compiled

    if x.shape[1] == 1:
        return log_density_diagonal(x, mean, cov[:, :, 0])
    lower = np.linalg.cholesky(cov)
    factor = np.linalg.inv(lower)
    logs = np.log(np.diagonal(lower, axis1=-2, axis2=-1)).sum(-1)
    constant = -0.5 * x.shape[1] * LOG_2PI - logs
    x = np.ascontiguousarray(x, dtype=np.float64)
    channels, states = x.shape[1], len(mean)
    width, (row, column) = _padded_width(states), np.tril_indices(channels)
    flat = np.empty(len(x) * states + 8)
    triangles = _padded(factor[:, row, column].T, width)
    parts = (_padded(mean.T, width), triangles, _padded(constant[None], width))
    compiled.full(x.reshape(-1), *parts, flat, channels, states, width)
    return flat[: len(x) * states].reshape(len(x), states)


def moments(
    x: np.ndarray,
    weights: np.ndarray,
    *,
    pairs: bool,
    complete: bool = True,
    centre: np.ndarray | None = None,
) -> Moments:
    """Weighted count, mean and scatter of every state, by blocks of rows.

    Parameters
    ----------
    x : (R, C); NaN is left out, channel by channel (`pairs` needs complete rows).
    weights : (R, K), non-negative.
    pairs : products of channels too.
    complete : nothing is missing.
    centre : (C,) what is taken off x before it is squared; about the mean of x by default.

    >>> moments(np.array([[1.0], [3.0]]), np.ones((2, 1)), pairs=False).scatter
    array([[2.]])
    """
    channels, states = x.shape[1], weights.shape[1]
    given = centre is not None
    if centre is None:
        centre = _somewhere(x)
    sums = _sums(x, weights, centre, pairs, complete)
    squares = channels * (channels + 1) // 2 if pairs else channels
    count, first, second = (
        sums[: -channels - squares],
        sums[-channels - squares : -squares],
        sums[-squares:],
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        shift = (first / count).T
    each = count.T * np.ones(channels)
    if pairs:
        scatter = np.empty((states, channels, channels))
        row, column = np.triu_indices(channels)
        scatter[:, row, column] = scatter[:, column, row] = second.T
        lost = each * shift**2
        scatter -= (count.T * shift)[:, :, None] * shift[:, None, :]
        own = np.diagonal(scatter, axis1=1, axis2=2)
    else:
        lost = each * shift**2
        own = scatter = second.T - lost
    found = Moments(count[0].copy() if pairs else each, centre + shift, scatter)
    if not given:
        _sum_again(found, x, weights, pairs, complete, own < CANCELLATION * lost)
    return found


def _somewhere(x: np.ndarray) -> np.ndarray:
    """The mean (C,) of some rows: anything near the data will do."""
    some = x[:: max(len(x) // 512, 1)]
    seen = ~np.isnan(some)
    return np.where(seen, some, 0.0).sum(0) / np.maximum(seen.sum(0), 1)


def _sum_again(
    found: Moments,
    x: np.ndarray,
    weights: np.ndarray,
    pairs: bool,
    complete: bool,
    lost: np.ndarray,
) -> None:
    """The moments of states whose scatter has been lost, about their own means, in place."""
    for k in np.flatnonzero(lost.any(1)):
        own = weights[:, [k]]
        again = moments(x, own, pairs=pairs, complete=complete, centre=np.nan_to_num(found.mean[k]))
        found.mean[k], found.scatter[k] = again.mean[0], again.scatter[0]
    if pairs:
        diagonal = np.einsum("kcc->kc", found.scatter)
        np.maximum(diagonal, 0.0, out=diagonal)
    else:
        np.maximum(found.scatter, 0.0, out=found.scatter)


def _sums(
    x: np.ndarray, weights: np.ndarray, centre: np.ndarray, pairs: bool, complete: bool
) -> np.ndarray:
    """Sums over rows of weight times (1, x - centre, its squares or products), (features, K)."""
    channels = x.shape[1]
    ones = 1 if complete else channels
    squares = channels * (channels + 1) // 2 if pairs else channels
    width = ones + channels + squares
    block = 4096 if width <= 32 else 2048  # the features of a block stay in cache
    features = np.empty((width, min(block, len(x))))
    features[0] = 1.0
    total = np.zeros((width, weights.shape[1]))
    for start in range(0, len(x), block):
        part = x[start : start + block]
        f = features[:, : len(part)]
        shifted = f[ones : ones + channels]
        np.subtract(part.T, centre[:, None], out=shifted)
        if not complete:
            missing = np.isnan(shifted)
            shifted[missing] = 0.0
            np.subtract(1.0, missing, out=f[:ones])
        row = ones + channels
        if not pairs:
            np.multiply(shifted, shifted, out=f[row:])
        for c in range(channels if pairs else 0):
            np.multiply(shifted[c], shifted[c:], out=f[row : row + channels - c])
            row += channels - c
        total += f @ weights[start : start + block]
    return total
