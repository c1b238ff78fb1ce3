"""Exact maximum likelihood of one ARMA process, on bare arrays (the numbers behind `ARMA`)."""

from __future__ import annotations

import numpy as np

from seqkit.data.sequences import Array
from seqkit.kernels import autoregression, kalman
from seqkit.persistence import Record

from .exact_ar import from_partial, to_partial

_EDGE = 0.97  # largest partial autocorrelation to begin with
_REFUSED = 1e10  # the loss where there is no likelihood
_STEP = 1e-5  # relative, for differences of the score


class ARMAFit(Record):
    """The estimates of one series: coefficients phi (p,), theta (q,), mean, innovation variance."""

    def __init__(
        self, phi: Array, theta: Array, mean: float, sigma2: float, log_likelihood: float, rows: int
    ):
        self.phi, self.theta, self.mean, self.sigma2 = phi, theta, mean, sigma2
        self.log_likelihood, self.rows = log_likelihood, rows

    def system(self) -> kalman.System:
        return system(self.phi, self.theta, self.mean, self.sigma2)

    def natural(self, constant: bool) -> Array:
        """(mean,) phi, theta, sigma2."""
        return np.concatenate([[self.mean] * constant, self.phi, self.theta, [self.sigma2]])


def system(phi: Array, theta: Array, mean: float, sigma2: float) -> kalman.System:
    """h_t = A h_{t-1} + (1, theta)' e_t, y_t = mean + h_t[0], of max(p, q + 1) states (Harvey 1989, section 3.3)."""
    n = max(len(phi), len(theta) + 1)
    transition = np.eye(n, k=1)
    transition[: len(phi), 0] = phi
    load = np.zeros(n)
    load[0], load[1 : 1 + len(theta)] = 1.0, theta
    process = sigma2 * np.outer(load, load)
    start = kalman.stationary(transition, process)
    if start is None:
        raise ValueError("the AR part is not stationary")
    return kalman.System.trusted(
        transition=transition, observation=np.eye(1, n), process_cov=process,
        observation_cov=np.zeros((1, 1)), initial_mean=np.zeros(n), initial_cov=start[1],
        diffuse=np.zeros((n, n)), state_intercept=np.zeros(n), observation_intercept=np.array([mean]),
    )  # fmt: skip


def score(y: Array, phi: Array, theta: Array, mean: float, sigma2: float) -> tuple[float, Array]:
    """Log-likelihood of y (T, 1), and its gradient in (mean, phi, theta, sigma2)."""
    form = system(phi, theta, mean, sigma2)
    found = kalman.score(form, y)
    a, cov = form.transition, form.initial_cov
    adjoint = kalman.stationary(a.T, found.initial_cov)  # through P = A P A' + Q
    assert adjoint is not None
    in_q = found.process_cov + adjoint[1]
    in_a = found.transition + 2 * adjoint[1] @ a @ cov
    load = np.zeros(len(a))
    load[0], load[1 : 1 + len(theta)] = 1.0, theta
    slope = in_q @ load
    gradient = [
        [found.observation_intercept.sum()], in_a[: len(phi), 0],
        2 * sigma2 * slope[1 : 1 + len(theta)], [load @ slope],
    ]  # fmt: skip
    return found.log_likelihood, np.concatenate(gradient)


def partial_jacobian(kappa: Array) -> Array:
    """d phi / d kappa of `from_partial`, (p, p)."""
    phi, jacobian = np.zeros(0), np.zeros((0, len(kappa)))
    for i, k in enumerate(kappa):
        jacobian = np.vstack([jacobian - k * jacobian[::-1], np.zeros(len(kappa))])
        jacobian[:i, i] -= phi[::-1]
        jacobian[i, i] = 1.0
        phi = np.append(phi - k * phi[::-1], k)
    return jacobian


def maximise(y: Array, p: int, q: int, constant: bool) -> tuple[ARMAFit, bool]:
    """The best fit over several starts for y (T, 1), and whether the search settled."""
    from scipy.optimize import minimize

    seen = y[~np.isnan(y)]
    mean = float(seen.mean()) if constant else 0.0
    size = float(np.sqrt(np.mean((seen - mean) ** 2)))
    if size <= 1e-10 * float(np.abs(seen).max()):  # the mean explains it all
        sigma2 = (1e-8 * float(np.abs(seen).max())) ** 2 or 1e-300
        fit = ARMAFit(np.zeros(p), np.zeros(q), mean, sigma2, 0.0, len(seen))
        fit.log_likelihood = kalman.log_likelihood(fit.system(), y)
        return fit, True
    z = (y - mean) / size

    def loss(x: Array) -> tuple[float, Array]:
        phi, theta, level, sigma2 = _unpack(x, p, q, constant)
        try:
            value, slope = score(z, phi, theta, level, sigma2)
        except ValueError:
            return _REFUSED, np.zeros(len(x))
        ar, ma = np.tanh(x[:p]), np.tanh(x[p : p + q])
        back = [
            slope[1 : 1 + p] @ partial_jacobian(ar) * (1 - ar**2),
            -slope[1 + p : 1 + p + q] @ partial_jacobian(ma) * (1 - ma**2),
            slope[:1] if constant else [],
            slope[-1:] * sigma2,
        ]
        return -value / len(seen), -np.concatenate(back) / len(seen)

    options = {"maxiter": 500, "ftol": 1e-13, "gtol": 1e-7, "maxcor": 30}
    found = [
        minimize(loss, start, jac=True, method="L-BFGS-B", options=options)
        for start in _starts(z, p, q, constant)
    ]
    best = min(found, key=lambda result: result.fun)
    phi, theta, level, sigma2 = _unpack(best.x, p, q, constant)
    value = -best.fun * len(seen) - len(seen) * np.log(size)
    fit = ARMAFit(phi, theta, mean + size * level, sigma2 * size**2, value, len(seen))
    return fit, bool(best.status != 1)


def _unpack(x: Array, p: int, q: int, constant: bool) -> tuple[Array, Array, float, float]:
    phi, theta = from_partial(np.tanh(x[:p])), -from_partial(np.tanh(x[p : p + q]))
    return phi, theta, float(x[p + q]) if constant else 0.0, float(np.exp(x[-1]))


def _starts(z: Array, p: int, q: int, constant: bool) -> list[Array]:
    """White noise, a plain autoregression, and a regression on lags and the errors of a long autoregression."""
    values, rows = z[:, 0], len(z)
    candidates = [(np.zeros(p), np.zeros(q))]
    long = min(max(p, q) + 8, rows // 4)
    if p + q and long >= p:
        coefs, _ = autoregression.levinson(autoregression.autocovariance(values, long))
        candidates.append((coefs[p], np.zeros(q)))
        if q:
            error = values - _lags(values, long) @ coefs[long]
            design = np.hstack([_lags(values, p), _lags(error, q)])
            whole = ~(np.isnan(design).any(1) | np.isnan(values))
            if whole.sum() > 2 * (p + q):
                found = np.linalg.lstsq(design[whole], values[whole], rcond=None)[0]
                candidates.append((found[:p], found[p:]))
    starts = []
    for phi, theta in candidates:
        kappa = [np.clip(to_partial(part), -_EDGE, _EDGE) for part in (phi, -theta)]
        starts.append(np.concatenate([*map(np.arctanh, kappa), np.zeros(1 + constant)]))
    return starts


def _lags(values: Array, count: int) -> Array:
    """Columns of the last `count` values before each row, NaN before the first."""
    out = np.full((len(values), count), np.nan)
    for lag in range(1, count + 1):
        out[lag:, lag - 1] = values[:-lag]
    return out


def standard_errors(fit: ARMAFit, y: Array, constant: bool) -> Array:
    """Of (mean,) phi, theta, sigma2, from differences of the exact score; NaN where the likelihood is flat."""
    p, at = len(fit.phi), fit.natural(constant)
    units = np.ones(len(at))
    units[-1] = fit.sigma2
    units[:constant] = np.sqrt(fit.sigma2)

    def slope(x: Array) -> Array:
        mean = float(x[0]) if constant else 0.0
        rest = x[int(constant) :]
        gradient = score(y, rest[:p], rest[p:-1], mean, float(rest[-1]))[1]
        return gradient[0 if constant else 1 :] * units

    try:
        columns = []
        for j in range(len(at)):
            step = np.where(np.arange(len(at)) == j, _STEP * units, 0.0)
            columns.append((slope(at - step) - slope(at + step)) / (2 * _STEP))
    except ValueError:  # at the edge of stationarity
        return np.full(len(at), np.nan)
    information = np.array(columns)
    values, vectors = np.linalg.eigh((information + information.T) / 2)
    inverse = (vectors**2 / np.where(values > 1e-8 * values[-1], values, np.nan)).sum(1)
    return units * np.sqrt(inverse)
