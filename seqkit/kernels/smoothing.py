r"""Exponential smoothing as a state space recursion, on bare arrays.

One recursion holds all forms: with :math:`q_t = \ell_{t-1} + \phi b_{t-1}` and
:math:`s' = s_{t-m}`,

.. math::

    \mu_t &= q_t + s' \quad\text{or}\quad q_t s', \qquad e_t = y_t - \mu_t \\
    \ell_t &= q_t + \alpha e_t / k, \quad b_t = \phi b_{t-1} + \beta e_t / k, \quad
    s_t = s' + \gamma e_t / k'

where k = k' = 1 for an additive season, and k = s', k' = q_t for a multiplicative one. A form
without trend has b = beta = 0; one without season has m = 1, s = gamma = 0. Additive and
multiplicative errors share the recursion and differ in the likelihood only. A missing value (NaN)
has e = 0: the states are carried forward.

Hyndman, Koehler, Snyder & Grose (2002); Hyndman, Koehler, Ord & Snyder (2008), tables 2.2-2.3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = [
    "Coefficients",
    "Likelihood",
    "Smoothed",
    "log_likelihood",
    "response",
    "simulate",
    "smooth",
]


@dataclass(frozen=True)
class Coefficients:
    """Smoothing parameters; ``multiplies`` says that the season multiplies the level."""

    alpha: float
    beta: float = 0.0
    gamma: float = 0.0
    phi: float = 1.0
    multiplies: bool = False


@dataclass(frozen=True)
class Smoothed:
    """What the recursion leaves: one-step means (T,), and the states after the last row.

    ``season`` is turned so that its first entry belongs to the next row.
    """

    means: np.ndarray
    level: float
    slope: float
    season: np.ndarray
    valid: bool


def smooth(
    y: np.ndarray, coefficients: Coefficients, level: float, slope: float, season: np.ndarray
) -> Smoothed:
    """Run the recursion over y (T,) from the states before its first row.

    season (m,): entry ``j`` belongs to row ``j``. ``valid`` is False when a multiplicative level or
    season left the positive axis.

    >>> s = smooth(np.array([1.0, 3.0]), Coefficients(alpha=0.5), 1.0, 0.0, np.zeros(1))
    >>> s.means, s.level
    (array([1., 1.]), 2.0)
    """
    from seqkit.kernels import _smoothing_numba as compiled

    y = np.ascontiguousarray(y, dtype=np.float64)
    season = np.array(season, dtype=np.float64)
    means = np.full(len(y), np.nan)
    past = np.empty((len(y), 3))
    c = coefficients
    level, slope, valid = compiled.forward(
        y,
        c.alpha,
        c.beta,
        c.gamma,
        c.phi,
        float(level),
        float(slope),
        season,
        c.multiplies,
        means,
        past,
    )
    season = np.roll(season, -(len(y) % len(season)))
    return Smoothed(means, float(level), float(slope), season, bool(valid))


def log_likelihood(
    y: np.ndarray, means: np.ndarray, *, relative: bool, floor: float = 0.0
) -> float:
    r"""Gaussian log-likelihood with the error variance concentrated out.

    :math:`-\frac n2 (\log 2\pi S/n + 1) - \sum \log|\mu_t|`, S the sum of squared errors; the last
    sum, and errors relative to the mean, for multiplicative errors. Missing rows do not count.
    """
    seen = ~np.isnan(y)
    mu = means[seen]
    e = y[seen] - mu
    n = len(mu)
    if relative:
        e = e / mu
    value = -0.5 * n * (np.log(2.0 * np.pi * (e @ e + floor) / n) + 1.0)
    return float(value - np.sum(np.log(np.abs(mu))) if relative else value)


class Likelihood:
    """Minus twice the concentrated log-likelihood of y, up to a constant, as a function on a box.

    A point x (6 + m,) is alpha, beta / alpha, gamma / (1 - alpha), phi, then level, slope and season
    in `steps` from `offset` (6 + m,; the first four of them 0 and 1). Gradients are exact: one
    forward and one adjoint sweep, so their cost does not grow with the number of states. `floor`
    is added to the sum of squares. Inadmissible points (a multiplicative state or, for relative
    errors, a mean that is not positive) are infinite.
    """

    def __init__(
        self,
        y: np.ndarray,
        offset: np.ndarray,
        steps: np.ndarray,
        *,
        multiplies: bool,
        relative: bool,
        floor: float = 0.0,
    ) -> None:
        self.y = np.ascontiguousarray(y, dtype=np.float64)
        self.rest = (
            np.array(offset, float),
            np.array(steps, float),
            bool(multiplies),
            bool(relative),
            float(floor),
        )

    def __call__(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Value and gradient (6 + m,) at x."""
        from seqkit.kernels import _smoothing_numba as compiled

        n = len(self.y)
        grad = np.empty(len(x))
        work = (np.empty(n), np.empty((n, 3)), np.empty(n), grad)
        return compiled.likelihood(x, self.y, *self.rest, *work), grad

    def minimise(
        self, x: np.ndarray, lower: np.ndarray, upper: np.ndarray, *, evaluations: int = 2000
    ) -> tuple[float, np.ndarray]:
        """Least value and where, by projected L-BFGS from x; equal bounds hold a coordinate."""
        from seqkit.kernels import _smoothing_numba as compiled

        x = np.array(x, dtype=np.float64)
        value = compiled.minimise(x, lower, upper, self.y, *self.rest, evaluations, 12)
        return value, x


def response(coefficients: Coefficients, period: int, horizon: int) -> np.ndarray:
    r"""Effect of one additive error on the means 1, ..., horizon - 1 steps later.

    :math:`c_j = \alpha + \beta(1 + \phi + \dots + \phi^{j-1})\phi + \gamma [m \mid j]` in the error
    form, (Hyndman et al. 2008, table 6.1). Returns shape (max(horizon - 1, 0),). Additive forms
    only; pass ``gamma=0`` where there is no season.

    >>> response(Coefficients(alpha=0.5, beta=0.1), 1, 4)
    array([0.6, 0.7, 0.8])
    """
    c = coefficients
    j = np.arange(1, max(horizon, 1))
    return c.alpha + c.beta * np.cumsum(c.phi**j) + c.gamma * (j % period == 0)


def simulate(
    coefficients: Coefficients,
    level: float,
    slope: float,
    season: np.ndarray,
    errors: np.ndarray,
    *,
    relative: bool,
) -> np.ndarray:
    """Sample paths from the states before the first row, one per row of `errors`.

    errors, shape (paths, horizon): additive errors, or relative ones if `relative`. Returns the
    paths, same shape. All paths take a step together, in place on the season's ring.
    """
    c = coefficients
    paths, horizon = errors.shape
    levels, slopes = np.full(paths, float(level)), np.full(paths, float(slope))
    ring = np.repeat(np.asarray(season, dtype=np.float64)[:, None], paths, axis=1)
    out = np.empty((horizon, paths))
    # A multiplicative form can leave the positive axis in simulation; this keeps it off zero.
    tiny = 1e-10 * max(abs(level), 1e-300)
    for h in range(horizon):
        s = ring[h % len(ring)]
        slopes = c.phi * slopes
        q = levels + slopes
        if c.multiplies:
            q, s = np.maximum(q, tiny), np.maximum(s, 1e-10)
        mean = q * s if c.multiplies else q + s
        e = errors[:, h] * mean if relative else errors[:, h]
        out[h] = mean + e
        ring[h % len(ring)] = s + c.gamma * e / q if c.multiplies else s + c.gamma * e
        step = e / s if c.multiplies else e
        levels, slopes = q + c.alpha * step, slopes + c.beta * step
    return np.ascontiguousarray(out.T)
