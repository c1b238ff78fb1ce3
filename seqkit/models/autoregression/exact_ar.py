"""The exact Gaussian likelihood of a stationary autoregression with a deterministic mean.

For complete data the quadratic form y' V^-1 y is S(phi) = u' D u, u = (1, -phi), D_ij = sum_t y_{t+i} y_{t+j}
over the T - i - j terms that exist, and det V = prod_i (1 - kappa_i^2)^-i with kappa the partial
autocorrelations (Box, Jenkins & Reinsel 1994, appendix A7.4): one evaluation costs O(p^2), whatever T is.
With missing values the companion filter gives the same likelihood.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from seqkit.data.sequences import Array
from seqkit.kernels.autoregression import constant

LOG_2PI = float(np.log(2 * np.pi))


def regress(y: Array, columns: Array) -> Array:
    """Least squares of the observed rows on the fixed terms, (q, k)."""
    seen = ~np.isnan(y).any(1)
    if columns.shape[1] == 1 and constant(columns[:, 0]):
        return y[seen].mean(0, keepdims=True) / columns[0, 0]
    return np.linalg.lstsq(columns[seen], y[seen], rcond=None)[0]


def from_partial(kappa: Array) -> Array:
    """Coefficients from partial autocorrelations in (-1, 1): every stationary AR, once (Monahan 1984)."""
    phi = np.zeros(0)
    for k in kappa:
        phi = np.append(phi - k * phi[::-1], k)
    return phi


def to_partial(phi: Array) -> Array:
    """The inverse of `from_partial`."""
    kappa = np.zeros(len(phi))
    for p in range(len(phi) - 1, -1, -1):
        kappa[p] = phi[p]
        if p:
            phi = (phi[:p] + kappa[p] * phi[:p][::-1]) / max(1 - kappa[p] ** 2, 1e-12)
    return kappa


def absorb(beta: Array, phi: Array, columns: Callable[[int, int], Array]) -> Array:
    """The intercept form of a mean: d_t'g with d_t'g = d_t'beta - sum_i phi_i d_{t-i}'beta for all t."""
    if not len(beta):
        return beta
    start, length = len(phi), 2 * len(beta) + 2
    level = columns(start, length) @ beta
    for i, weight in enumerate(phi, start=1):
        level = level - weight * (columns(start - i, length) @ beta)
    return np.linalg.lstsq(columns(start, length), level, rcond=None)[0]


def overlaps(a: Array, b: Array, order: int) -> Array:
    """D_ij = sum_t a_{t+i} b_{t+j} over the T - i - j terms, (order + 1, order + 1).

    The first row and column are lag products; from there D_{i+1,j+1} = D_ij less the terms at both ends.
    """
    n = len(a)
    table = np.empty((order + 1, order + 1))
    table[0] = [a[: n - j] @ b[j:] for j in range(order + 1)]
    table[:, 0] = [a[i:] @ b[: n - i] for i in range(order + 1)]
    for i in range(order):
        last = a[n - order :][::-1] * b[n - 1 - i]
        table[i + 1, 1:] = table[i, :-1] - a[i] * b[:order] - last
    return table


def log_det(kappa: Array) -> float:
    """log det V of the first p values, in units of the innovation variance."""
    return float(-(np.arange(1, len(kappa) + 1) @ np.log1p(-np.minimum(kappa**2, 1 - 1e-15))))


def log_likelihood(deviation: Array, phi: Array, variance: float) -> float:
    """Exact log-likelihood of deviations from the mean, missing ones marginalised."""
    if np.isnan(deviation).any():
        return _filtered(deviation, phi, variance)
    u = np.concatenate([[1.0], -phi])
    quadratic = u @ overlaps(deviation, deviation, len(phi)) @ u
    n = len(deviation)
    return float(
        -0.5 * (n * (LOG_2PI + np.log(variance)) + log_det(to_partial(phi)) + quadratic / variance)
    )


def _filtered(deviation: Array, phi: Array, variance: float) -> float:
    from seqkit.kernels.companion import companion_filter, stationary_covariance

    if not len(phi):
        seen = deviation[~np.isnan(deviation)]
        return float(-0.5 * (len(seen) * (LOG_2PI + np.log(variance)) + seen @ seen / variance))
    stacked, sigma = phi.reshape(-1, 1, 1), np.array([[variance]])
    cov = stationary_covariance(stacked, sigma)
    if cov is None:
        return -np.inf
    zero = np.zeros((len(deviation), 1))
    density = companion_filter(
        deviation[:, None].copy(), zero, stacked, sigma, np.zeros(len(phi)), cov
    )[2]
    return float(density.sum())


def maximise(y: Array, columns: Array, start: Array) -> tuple[Array, Array, float, float]:
    """Coefficients, mean coefficients (q, 1), innovation variance and log-likelihood at the maximum.

    Partial autocorrelations are searched through tanh, so that every step is stationary. Mean and variance
    are concentrated out where the data are complete.
    """
    from scipy.optimize import minimize

    complete = not np.isnan(y).any()
    profile = _profile(y, columns, len(start)) if complete else None
    theta = np.arctanh(np.clip(to_partial(start), -0.99, 0.99))
    if profile is not None:
        if not len(theta):
            best, beta, variance = profile(theta)
            return start, beta, variance, -best
        found = minimize(lambda th: profile(th)[0], theta, method="BFGS", options={"gtol": 1e-6})
        value, beta, variance = profile(found.x)
        _report(found)
        return from_partial(np.tanh(found.x)), beta, variance, -value
    return _maximise_filtered(y, columns, theta)


def _profile(y: Array, columns: Array, order: int) -> Callable[[Array], tuple[float, Array, float]]:
    """-log L at given tanh^-1 partial autocorrelations, with the best mean and variance for them."""
    n, q = columns.shape
    size = np.sqrt((columns**2).mean(0))
    data = [y, *(columns / size).T]
    pairs = np.array([[overlaps(a, b, order) for b in data] for a in data])

    def value(theta: Array) -> tuple[float, Array, float]:
        kappa = np.tanh(theta)
        u = np.concatenate([[1.0], -from_partial(kappa)])
        form = np.einsum("i,abij,j->ab", u, pairs, u)
        beta = np.linalg.lstsq(form[1:, 1:], form[1:, 0], rcond=None)[0] if q else np.zeros(0)
        variance = max((form[0, 0] - form[0, 1:] @ beta) / n, 1e-300)
        loss = 0.5 * (n * (LOG_2PI + 1 + np.log(variance)) + log_det(kappa))
        return float(loss), (beta / size)[:, None], float(variance)

    return value


def _maximise_filtered(y: Array, columns: Array, theta: Array) -> tuple[Array, Array, float, float]:
    from scipy.optimize import minimize

    beta = regress(y[:, None], columns)[:, 0]
    scale = np.nanstd(y - columns @ beta) or 1.0
    size = np.sqrt((columns**2).mean(0)) / scale
    p = len(theta)

    def unpack(x: Array) -> tuple[Array, Array, float]:
        return from_partial(np.tanh(x[:p])), x[p:-1] / size, float(np.exp(2 * x[-1]) * scale**2)

    def loss(x: Array) -> float:
        phi, mean, variance = unpack(x)
        value = -log_likelihood(y - columns @ mean, phi, variance)
        return value if np.isfinite(value) else 1e300

    found = minimize(
        loss, np.concatenate([theta, beta * size, [0.0]]), method="BFGS", options={"gtol": 1e-4}
    )
    _report(found)
    phi, mean, variance = unpack(found.x)
    return phi, mean[:, None], variance, -float(found.fun)


def _report(found: Any) -> None:
    """Warn when the search ended for another reason than a flat likelihood or the limit of precision."""
    from seqkit.base import ConvergenceWarning

    if not found.success and found.status != 2:
        warnings.warn(
            f"exact maximum likelihood of the AR stopped early ({found.message}); lower the order or scale the data",
            ConvergenceWarning, stacklevel=2,
        )  # fmt: skip
