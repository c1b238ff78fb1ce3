"""The state space form of a seasonal ARIMA model: likelihood, filtering and forecasting on arrays.

The state holds the stationary part in Harvey's form and the last d + m D values, so that

    y_t = Z a_t,   a_{t+1} = T a_t + R e_{t+1},   e ~ N(0, sigma2)

(Harvey 1989, section 3.3; Durbin & Koopman 2012, section 3.4). Missing values skip the update.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seqkit.models.autoregression._arima_order import Order, polynomials

# Variance of a value that is needed to start but was not observed, in variances of the series.
VAGUE = 1e6


@dataclass(frozen=True)
class System:
    """Transition T (k, k), noise loading R (k,), observation Z (k,); `arma` leading elements are
    the stationary part."""

    T: np.ndarray
    R: np.ndarray
    Z: np.ndarray
    sigma2: float
    arma: int

    @property
    def noise(self) -> np.ndarray:
        return self.sigma2 * np.outer(self.R, self.R)


def system(order: Order, x: np.ndarray, sigma2: float) -> System:
    """Build the matrices of an order at its parameters (the constant is taken out beforehand)."""
    ar, ma = polynomials(order, x)
    r = max(len(ar) - 1, len(ma))
    lags = -_differencing(order)[1:]
    k = r + len(lags)
    T, R, Z = np.zeros((k, k)), np.zeros(k), np.zeros(k)
    T[: len(ar) - 1, 0] = -ar[1:]
    T[np.arange(r - 1), np.arange(1, r)] = 1.0
    R[: len(ma)] = ma
    Z[0] = 1.0
    if len(lags):
        Z[r:] = lags
        T[r] = Z
        T[np.arange(r + 1, k), np.arange(r, k - 1)] = 1.0
    return System(T, R, Z, sigma2, r)


def _differencing(order: Order) -> np.ndarray:
    weights = np.ones(1)
    step = np.zeros(order.m + 1)
    step[0], step[-1] = 1.0, -1.0
    for _ in range(order.D):
        weights = np.convolve(weights, step)
    for _ in range(order.d):
        weights = np.convolve(weights, [1.0, -1.0])
    return weights


def is_vague(variances: np.ndarray, spread: float) -> np.ndarray:
    """Which rows were predicted from a start that was not observed."""
    return variances > 0.25 * VAGUE * spread**2


def start(s: System, first: np.ndarray, spread: float) -> tuple[np.ndarray, np.ndarray]:
    """State mean (k,) and covariance (k, k) given the `first` values that differencing uses up.

    The stationary part has its stationary covariance; a missing first value is vague around the
    others, `spread` being a standard deviation of the series.
    """
    k, r = len(s.Z), s.arma
    mean, cov = np.zeros(k), np.zeros((k, k))
    cov[:r, :r] = _stationary(s.T[:r, :r], s.noise[:r, :r])
    if k > r:
        seen = ~np.isnan(first)
        centre = first[seen].mean() if seen.any() else 0.0
        mean[r:] = np.where(seen, first, centre)[::-1]
        unknown = r + np.flatnonzero(~seen[::-1])
        cov[unknown, unknown] = VAGUE * spread**2
    return mean, cov


def _stationary(T: np.ndarray, V: np.ndarray) -> np.ndarray:
    """P = T P T' + V by doubling (Anderson & Moore 1979, section 6.7)."""
    total = V
    for _ in range(60):
        step = T @ total @ T.T
        total = total + step
        if np.max(np.abs(step)) <= 1e-15 * np.max(np.abs(total)):
            break
        T = T @ T
    return (total + total.T) / 2.0


def run(
    s: System, y: np.ndarray, mean: np.ndarray, cov: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Kalman filter over y (T,) from the predicted state of its first row.

    Returns one-step means (T,) and variances (T,), and the predicted state of the row after the
    last: mean (k,), covariance (k, k).
    """
    from seqkit.kernels._arima_numba import filter_rows

    y = np.ascontiguousarray(y, dtype=np.float64)
    means, variances = np.empty(len(y)), np.empty(len(y))
    mean, cov = np.array(mean), np.array(cov)
    r = s.arma
    phi = np.ascontiguousarray(s.T[:r, 0])
    filter_rows(y, phi, s.R[:r], s.Z[r:], s.sigma2, mean, cov, means, variances)
    return means, variances, mean, cov


def ahead(
    s: System, mean: np.ndarray, cov: np.ndarray, horizon: int
) -> tuple[np.ndarray, np.ndarray]:
    """Means (horizon,) and a factor (horizon, columns) of the joint covariance of the next rows."""
    values, vectors = np.linalg.eigh(cov)
    keep = values > 1e-14 * max(float(values[-1]), 1e-300)
    root = vectors[:, keep] * np.sqrt(values[keep])
    means = np.empty(horizon)
    reach, psi = np.empty((horizon, root.shape[1])), np.empty(horizon)
    row = s.Z
    for h in range(horizon):
        means[h], reach[h], psi[h] = row @ mean, row @ root, row @ s.R
        row = row @ s.T
    shocks = np.zeros((horizon, max(horizon - 1, 0)))
    for j in range(1, horizon):
        shocks[j:, j - 1] = np.sqrt(s.sigma2) * psi[: horizon - j]
    return means, np.hstack([reach, shocks])
