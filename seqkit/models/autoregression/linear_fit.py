"""A fitted system of linear equations in lags, and what follows from it: responses, covariances, criteria."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np

from seqkit.data.sequences import Array
from seqkit.kernels import autoregression as kernel
from seqkit.models.diagnostics import information
from seqkit.persistence import Record


class LinearFit(Record):
    """One fitted equation system; `coef` and `errors` are (k, regressors): fixed terms, inputs, lags by channel."""

    coef: Array
    errors: Array  # standard errors
    lags: Array
    sigma: Array  # (k, k) innovation covariance used for forecasts
    log_likelihood: float
    rows: int  # observations that entered the likelihood
    fixed: int  # number of regressors that are not lags
    criteria: Array | None  # criterion of the orders 0, 1, .. that were tried

    @property
    def channels(self) -> int:
        return len(self.sigma)

    @property
    def beta(self) -> Array:
        return self.coef[:, : self.fixed]

    @property
    def order(self) -> int:
        return int(self.lags[-1]) if len(self.lags) else 0

    @property
    def phi(self) -> Array:
        """(p, k, k), zero at the lags left out."""
        k = self.channels
        phi = np.zeros((self.order, k, k))
        if len(self.lags):
            phi[self.lags - 1] = (
                self.coef[:, self.fixed :].reshape(k, len(self.lags), k).transpose(1, 0, 2)
            )
        return phi

    @property
    def parameters(self) -> int:
        """Coefficients and the free elements of the innovation covariance."""
        return self.coef.size + self.channels * (self.channels + 1) // 2

    def criterion(self, name: str) -> float:
        return information(name, self.log_likelihood, self.parameters, self.rows)


def maximum(rows: int, channels: int, log_det: Any) -> Any:
    """The normal log-likelihood at its maximum, where log_det is that of the mean squared residuals."""
    return -0.5 * rows * (channels * (1 + np.log(2 * np.pi)) + log_det)


class Memory(Record):
    """The end of one series: its last p rows (mean and, where some are missing, covariance) and the next t."""

    def __init__(self, mean: Array, cov: Array | None, clock: int, phase: int):
        self.mean, self.cov, self.clock, self.phase = mean, cov, clock, phase


def finish(
    solution: kernel.LeastSquares,
    factor: kernel.Factor,
    lags: Array,
    fixed: int,
    shift: Array,
    constant: bool,
    *,
    free: bool,
) -> LinearFit:
    """Back from shifted units; `errors` holds the diagonal of (X'X)^-1 until the caller scales it.

    `free` : the solution is the plain least squares one, without a penalty.
    """
    fit = LinearFit()
    k = len(shift)
    coef, inverse = solution.coef.copy(), solution.inverse
    errors = np.diagonal(inverse).copy()
    if constant:
        tiled = np.tile(shift, len(lags))
        coef[:, 0] += shift - coef[:, fixed:] @ tiled
        errors[0] += tiled @ inverse[fixed:, fixed:] @ tiled - 2 * tiled @ inverse[fixed:, 0]
    fit.coef, fit.errors, fit.lags, fit.fixed = coef, errors, lags, fixed
    fit.sigma, fit.rows = solution.rss / factor.rows, factor.rows
    diagonal = np.diagonal(factor.lower[factor.regressors :, factor.regressors :])
    if free and factor.sound and diagonal.min() > 0:  # sigma is this triangle's square
        log_det = 2 * np.log(diagonal).sum() - k * np.log(factor.rows)
    else:
        sign, log_det = np.linalg.slogdet(fit.sigma)
        if sign <= 0 or not np.isfinite(
            log_det
        ):  # a perfect fit: keep a density, a very narrow one
            tiny = max(1e-16 * float(np.max(shift**2, initial=0.0)), 1e-300)
            fit.sigma = fit.sigma + np.eye(k) * tiny
            log_det = np.linalg.slogdet(fit.sigma)[1]
    fit.log_likelihood = float(maximum(factor.rows, k, log_det))
    return fit


def mean_of(ys: list[Array]) -> tuple[Array, bool]:
    """Mean of all observed values, per channel, and whether none is missing."""
    total: Array = np.sum([kernel.column_sums(y) for y in ys], axis=0)
    if np.isfinite(total).all():
        return total / sum(len(y) for y in ys), True
    total = np.sum([np.nansum(y, axis=0) for y in ys], axis=0)
    count = np.sum([(~np.isnan(y)).sum(0) for y in ys], axis=0)
    return total / np.maximum(count, 1), False


def trim(y: Array) -> tuple[Array, int]:
    """`y` from its first complete row on, and how many rows were dropped."""
    if not np.isnan(y[0]).any():
        return y, 0
    complete = ~np.isnan(y).any(1)
    lead = int(np.argmax(complete)) if complete.any() else 0
    return y[lead:], lead


def stack_phi(fits: list[LinearFit]) -> Array:
    """Lag matrices of several fits, (n, p, k, k), the shorter ones padded with zeros at the far lags."""
    order, k = max(fit.order for fit in fits), fits[0].channels
    phi = np.zeros((len(fits), order, k, k))
    for i, fit in enumerate(fits):
        phi[i, : fit.order] = fit.phi
    return phi


def error_factor(fits: list[LinearFit], horizon: int) -> Array:
    """Factors of the covariance of the next steps, (n, horizon k, horizon k): block Toeplitz in the responses."""
    psi = kernel.impulse_response(stack_phi(fits), horizon)
    weighted = psi @ np.stack([root(fit.sigma) for fit in fits])[:, None]
    h = np.arange(horizon)
    delay = h[:, None] - h
    blocks = np.where((delay >= 0)[:, :, None, None], weighted[:, np.maximum(delay, 0)], 0.0)
    size = horizon * fits[0].channels
    return blocks.transpose(0, 1, 3, 2, 4).reshape(len(fits), size, size)


def carry(fit: LinearFit, cov: Array, horizon: int) -> Array:
    """Factor of what an uncertain state adds to the covariance of the next steps, (horizon k, p k)."""
    states = root(cov).T.reshape(-1, fit.order, fit.channels)[:, ::-1]
    paths = kernel.continue_paths(fit.phi, states, np.zeros((horizon, fit.channels)))
    return paths.reshape(len(paths), -1).T


def root(cov: Array) -> Array:
    """A square root of a covariance that may be singular."""
    if cov.shape == (1, 1):
        return np.sqrt(cov)
    values, vectors = np.linalg.eigh(cov)
    return vectors * np.sqrt(np.maximum(values, 0.0))


def term_names(
    fit: LinearFit, fixed: list[str], inputs: tuple[Hashable, ...], channels: list[str]
) -> list[str]:
    return [*fixed, *map(str, inputs), *(f"{name}.L{lag}" for lag in fit.lags for name in channels)]
