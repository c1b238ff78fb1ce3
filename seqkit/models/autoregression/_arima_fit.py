"""Fitting one seasonal ARIMA order, on bare arrays (the numbers behind ``AutoARIMA``).

With w the differenced series, B the lag operator and m the season,

    phi(B) Phi(B^m) (w_t - mu) = theta(B) Theta(B^m) e_t.

The search uses conditional least squares, which costs milliseconds, and judges every order by the
exact likelihood at that estimate; the order chosen is then fitted by exact maximum likelihood.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from seqkit.models.autoregression import _arima_state as space
from seqkit.models.autoregression._arima_order import (
    Order,
    admissible,
    difference,
    seasonal,
    trend_of,
)

# Roots of the lag polynomials this close to the unit circle: the order is rejected (Hyndman &
# Khandakar 2008, section 3.2).
NEAR_UNIT = 1.01

# Rows times squared states from which one step must do.
DEAR = 400_000


@dataclass(frozen=True)
class Fit:
    """An order with its estimates: x = (phi, theta, Phi, Theta, mu), sigma2 and log-likelihood."""

    order: Order
    x: np.ndarray
    sigma2: float
    log_likelihood: float
    n: int

    def criterion(self, name: str) -> float:
        """``"aic"``, ``"aicc"`` or ``"bic"``, of the differenced series."""
        n, k = self.n, self.order.size
        aic = -2.0 * self.log_likelihood + 2.0 * k
        if name == "aic":
            return aic
        if name == "bic":
            return aic + k * (np.log(n) - 2.0)
        return aic + 2.0 * k * (k + 1.0) / (n - k - 1.0) if n > k + 1 else np.inf


# --------------------------------------------------------------------------------- least squares


def conditional_errors(
    w: np.ndarray, order: Order, x: np.ndarray, burn: int
) -> tuple[np.ndarray, np.ndarray]:
    """Errors from row `burn` on, and their Jacobian (rows, k).

    Each column is the error filtered by one more polynomial (Box & Jenkins 1970, section 7.2). With
    burn = 0 the series is taken to be at its mean before the first row; with burn = p + m P nothing
    need be supposed.
    """
    from scipy.signal import lfilter

    phi, theta, Phi, Theta, mu = order.split(x)
    m = order.m
    one, big = np.r_[1.0, -phi], seasonal(Phi, m, -1.0)
    ma1, ma2 = np.r_[1.0, theta], seasonal(Theta, m, 1.0)
    ma = np.convolve(ma1, ma2)
    centred = w - mu

    def error(weights: np.ndarray, v: np.ndarray) -> np.ndarray:
        return lfilter([1.0], ma, lfilter(weights, [1.0], v)[burn:])

    e = error(np.convolve(one, big), centred)
    columns = []
    for k in range(1, order.p + 1):
        columns.append(-error(big, _lag(centred, k)))
    if order.q:
        part = lfilter([1.0], ma1, e)
        columns += [-_lag(part, k) for k in range(1, order.q + 1)]
    for k in range(1, order.P + 1):
        columns.append(-error(one, _lag(centred, k * m)))
    if order.Q:
        part = lfilter([1.0], ma2, e)
        columns += [-_lag(part, k * m) for k in range(1, order.Q + 1)]
    if order.constant:
        columns.append(-error(np.convolve(one, big), np.ones_like(w)))
    return e, np.column_stack(columns) if columns else np.empty((len(e), 0))


def _lag(v: np.ndarray, k: int) -> np.ndarray:
    out = np.zeros_like(v)
    out[k:] = v[:-k]
    return out


def least_squares(
    w: np.ndarray, order: Order, *, burn: int = 0, iterations: int = 25
) -> tuple[np.ndarray, np.ndarray]:
    """Minimise the conditional sum of squares by Levenberg-Marquardt, inside the unit circle.

    Returns x and the inverse Hessian of half the log sum of squares there.
    """
    x = np.zeros(order.size - 1)
    if order.constant:
        x[-1] = w.mean()
    with np.errstate(over="ignore", invalid="ignore"):
        e, jacobian = conditional_errors(w, order, x, burn)
        total, damping = e @ e, 1e-3
        for _ in range(iterations if len(x) else 0):
            normal, slope = jacobian.T @ jacobian, jacobian.T @ e
            ridge = damping * np.diag(np.maximum(np.diag(normal), 1e-12))
            proposal = x - np.linalg.solve(normal + ridge, slope)
            new = np.inf
            if admissible(order, proposal):
                e_new, j_new = conditional_errors(w, order, proposal, burn)
                new = e_new @ e_new
            if new < total:
                done = total - new < 1e-6 * total
                x, e, jacobian, total, damping = proposal, e_new, j_new, new, damping / 5.0
                if done:
                    break
            else:
                damping *= 5.0
                if damping > 1e8:
                    break
    normal = jacobian.T @ jacobian
    ridge = 1e-8 * np.diag(np.maximum(np.diag(normal), 1e-12))
    return x, total * np.linalg.inv(normal + ridge)


def approximate(w: np.ndarray, order: Order) -> Fit | None:
    """A fit of the differences w good enough to rank orders: least squares, then a few exact steps."""
    state = max(order.p + order.m * order.P, order.q + order.m * order.Q + 1)
    iterations = 3 if len(w) * state**2 < DEAR else 1
    order, asked = replace(order, d=0, D=0), order
    burn = order.p + order.m * order.P
    burns = {0, burn} if len(w) - burn > 3 * order.size + 10 else {0}
    found = []
    for rows in sorted(burns):
        x, hessian = least_squares(w, order, burn=rows)
        fit = exact(w, order, x)
        if fit is not None:
            found.append((fit.log_likelihood, fit, hessian))
    if not found:
        fit = exact(w, order, np.zeros(order.size - 1))
    else:
        _, fit, hessian = max(found, key=lambda item: item[0])
        fit = maximise(w, fit, hessian=hessian, iterations=iterations)
    return replace(fit, order=asked) if fit is not None else None


# ----------------------------------------------------------------------------- exact likelihood


def exact(z: np.ndarray, order: Order, x: np.ndarray) -> Fit | None:
    """Exact Gaussian likelihood of the series z at x; None outside the region.

    Given the first values, which differencing uses up, and with the variance concentrated out, by
    the Kalman filter. It is the likelihood of the differenced series where nothing is missing.
    """
    if not admissible(order, x):
        return None
    lost = order.lost
    if order.constant:
        z = z - x[-1] * trend_of(order, len(z))
    form = space.system(order, x, 1.0)
    mean, cov = space.start(form, z[:lost], 1.0)
    if not np.isfinite(cov).all():
        return None
    means, variances, _, _ = space.run(form, z[lost:], mean, cov)
    counted = ~np.isnan(z[lost:]) & ~space.is_vague(variances, 1.0)
    e, v = (z[lost:] - means)[counted], variances[counted]
    n = len(e)
    sigma2 = float(np.mean(e * e / v)) if n else 0.0
    if not (sigma2 > 0.0 and np.isfinite(sigma2)):
        return None
    value = -0.5 * (n * (np.log(2.0 * np.pi * sigma2) + 1.0) + np.sum(np.log(v)))
    return Fit(order, x, sigma2, float(value), n) if np.isfinite(value) else None


def plain(w: np.ndarray, order: Order) -> Fit:
    """The fit with no dynamics: the constant is the mean of w, the rest is noise.

    For series without noise too: the variance is kept above zero.
    """
    x = np.zeros(order.size - 1)
    if order.constant:
        x[-1] = w.mean()
    e = w - (x[-1] if order.constant else 0.0)
    n, sigma2 = len(w), float(np.mean(e * e)) + 1e-16
    return Fit(order, x, sigma2, -0.5 * n * (np.log(2.0 * np.pi * sigma2) + 1.0), n)


def is_flat(w: np.ndarray) -> bool:
    """Whether nothing is left to model; w is of order-one spread before differencing."""
    return bool(np.ptp(w) <= 1e-9)


def maximise(
    z: np.ndarray, fit: Fit, *, hessian: np.ndarray | None = None, iterations: int = 100
) -> Fit:
    """Exact maximum likelihood from a good start; z is of order-one spread, NaN is missing."""
    from scipy.optimize import minimize

    asked = fit.order
    if asked.size == 1:
        return fit
    order = asked
    if not np.isnan(z).any():
        # The same likelihood, from a smaller state.
        z, order = difference(z, asked), replace(asked, d=0, D=0)

    def loss(x: np.ndarray) -> float:
        here = exact(z, order, x)
        return -here.log_likelihood / len(z) if here is not None else 1e10

    options: dict[str, object] = {"gtol": 1e-5, "maxiter": iterations}
    if hessian is not None:
        options["hess_inv0"] = (hessian + hessian.T) / 2.0
    result = minimize(loss, fit.x, method="BFGS", options=options)
    best = exact(z, order, result.x)
    if best is None or not best.log_likelihood > fit.log_likelihood:
        return fit
    return replace(best, order=asked)


def rescaled(fit: Fit, unit: float) -> Fit:
    """The fit of ``unit * y`` from that of y."""
    x = fit.x.copy()
    if fit.order.constant:
        x[-1] *= unit
    value = fit.log_likelihood - fit.n * np.log(unit)
    return replace(fit, x=x, sigma2=fit.sigma2 * unit**2, log_likelihood=value)
