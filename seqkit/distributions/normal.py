"""The normal distribution, element by element, and with covariances of channels where hidden states emit it."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import NormalDist
from typing import Any, Self

import numpy as np

from . import _ops
from .base import Array, Distribution
from .emission import Emission, Rows, resized

LOG_2PI = float(np.log(2 * np.pi))


def normal_quantile(q: Array) -> Array:
    """The standard normal quantile; a single level needs no SciPy (Wichura 1988, AS 241)."""
    if q.ndim == 0:
        return np.asarray(NormalDist().inv_cdf(float(q)))
    from scipy.special import ndtri

    return ndtri(q)


def normal_crps(y: Array, mean: Array, scale: Array) -> Array:
    """s (z (2 Phi(z) - 1) + 2 phi(z) - 1 / sqrt(pi)), z = (y - mean) / s (Gneiting & Raftery 2007, eq. 21)."""
    from scipy.special import ndtr

    safe = np.where(scale > 0, scale, 1.0)
    z = (y - mean) / safe
    density = np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi)
    score = scale * (z * (2 * ndtr(z) - 1) + 2 * density - 1 / np.sqrt(np.pi))
    return np.where(scale > 0, score, np.abs(y - mean))


def normal_log_prob(y: Array, mean: Array, scale: Array) -> Array:
    """-log s - (y - mean)^2 / 2 s^2 - log(2 pi) / 2; a scale of zero is a point, whose density is infinite there."""
    with np.errstate(divide="ignore", invalid="ignore"):
        value = Normal.formula(_ops, y, mean, scale)
    if np.all(scale != 0):
        return value
    point = np.where(y == mean, np.inf, -np.inf)
    return np.where((scale == 0) & ~np.isnan(y - mean), point, value)


class Normal(Emission, Distribution):
    """Y ~ N(mean, scale^2), independently element by element; or N(mean, cov) over the channels of hidden states.

    Parameters
    ----------
    mean : array, in the units of the data. NaN, or nothing, is to be estimated; for hidden states (K,) or (K, C).
    scale : array, the standard deviation, in the units of the data. A scale of zero is a point.
    var : its square, instead; (K,) is one variance for all channels of a state where `covariance` is "spherical".
    cov : covariances (K, C, C), or one (C, C) for "tied", instead.
    covariance : of the channels, given the state: "spherical" (one variance a state), "diag", "full", or "tied" (one
        matrix for all states). Element-wise answers are those of the marginals.
    prior : a `NormalInverseWishart`, for maximum a posteriori fits.
    floor : the least variance of a fit, as a share of the channel's variance over all rows.

    Examples
    --------
    >>> from seqkit.distributions import Normal
    >>> float(Normal(10.0, 2.0).quantile(0.975).round(2))
    13.92
    >>> Normal(mean=[[0.0, 1.0], [5.0, 5.0]], cov=[[2.0, 1.0], [1.0, 2.0]], covariance="tied").n_states
    2
    """

    arguments = {"mean": "location", "scale": "scale"}  # noqa: RUF012
    _names = {"mean": "_mean", "var": "_scale"}  # noqa: RUF012
    covariance: str | None = None
    _cov: Array | None = None

    def __init__(
        self,
        mean: Any = np.nan,
        scale: Any = None,
        *,
        var: Any = None,
        cov: Any = None,
        covariance: str | None = None,
        prior: Any = None,
        floor: float | None = None,
    ):
        if covariance is None and cov is not None:
            covariance = "full"
        if covariance is not None:
            _check_form(covariance, scale, var, cov)
            self.covariance = covariance
        self._set_options(prior, floor)
        mean = np.asarray(mean, float)
        if covariance in ("full", "tied"):
            self._cov = np.asarray(np.nan if cov is None else cov, float)
            self._mean, self._scale = _marginals(mean, self._cov)
            return
        if scale is None:
            var = np.asarray(np.nan if var is None else var, float)
            if np.any(var < 0):
                raise ValueError(f"var must not be negative, got {var.min()}")
            scale = np.sqrt(var)
        scale = np.asarray(scale, float)
        if covariance is not None and mean.ndim == 2 and scale.ndim == 1:
            scale = scale[:, None]
        self._mean, self._scale = np.broadcast_arrays(mean, scale)
        if np.any(self._scale < 0):
            raise ValueError(f"scale must not be negative, got {self._scale.min()}")

    @staticmethod
    def formula(ops: Any, y: Any, mean: Any, scale: Any) -> Any:
        z = (y - mean) / scale
        return -ops.log(scale) - 0.5 * (z * z + LOG_2PI)

    @property
    def shape(self) -> tuple[int, ...]:
        return self._mean.shape

    @property
    def mean(self) -> Array:
        return self._mean

    @property
    def scale(self) -> Array:
        return self._scale

    @property
    def var(self) -> Array:
        return self._scale**2

    @property
    def cov(self) -> Array:
        """Covariances of the channels, (K, C, C), or (C, C) where they are tied."""
        if self._cov is not None:
            return self._cov
        return self.var[..., None] * np.eye(self.shape[-1] if len(self.shape) > 1 else 1)

    def log_prob(self, y: Any) -> Array:
        return normal_log_prob(np.asarray(y, float), self.mean, self.scale)

    def cdf(self, y: Any) -> Array:
        from scipy.special import ndtr

        error = np.asarray(y, float) - self.mean
        with np.errstate(divide="ignore", invalid="ignore"):
            return ndtr(np.where((self.scale == 0) & (error == 0), np.inf, error / self.scale))

    def crps(self, y: Any) -> Array:
        return normal_crps(np.asarray(y, float), self.mean, self.scale)

    def _ppf(self, q: Array) -> Array:
        return self.mean + self.scale * normal_quantile(q)

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        return self.mean + self.scale * rng.standard_normal((n, *self.shape))

    def expect(self, function: Any) -> Array:
        nodes, weights = np.polynomial.hermite_e.hermegauss(64)
        z = nodes.reshape(-1, *[1] * len(self.shape))
        return np.tensordot(weights / np.sqrt(2 * np.pi), function(self.mean + self.scale * z), 1)

    def affine(self, shift: Any, factor: Any) -> Normal:
        return Normal(shift + factor * self.mean, np.abs(factor) * self.scale)

    def __getitem__(self, key: Any) -> Self:
        if isinstance(key, tuple) or vars(self).keys() <= {"_mean", "_scale"}:
            return Normal(self.mean[key], self.scale[key])  # type: ignore[return-value]
        parameters, free = self.parameters(), self.free
        shared = {"cov"} if self._cov is not None and self._cov.ndim == 2 else set()
        made = self._with(
            {n: v if n in shared else np.asarray(v[key]) for n, v in parameters.items()},
            {n: v if n in shared else np.asarray(v[key]) for n, v in free.items()},
        )
        if self.prior is not None:
            made.prior = self.prior.at(key)
        return made

    # -- emitted by hidden states ------------------------------------------------------------------

    @property
    def channels(self) -> int:
        if self._mean.ndim == 2:
            return self._mean.shape[1]
        return (
            self._cov.shape[-1]
            if self._cov is not None and self._cov.ndim > 1
            else int(self.fitted)
        )

    @property
    def n_states(self) -> int:
        if self._cov is not None and self._cov.ndim == 3:
            return len(self._cov)
        return len(self._mean) if self._mean.ndim else 0

    def parameters(self) -> dict[str, Array]:
        if self._cov is not None:
            return {"mean": self._mean, "cov": self._cov}
        if self.covariance == "spherical" and self._scale.ndim == 2:
            return {"mean": self._mean, "var": self._scale[:, 0] ** 2}
        return {"mean": self._mean, "var": self._scale**2}

    def with_parameters(self, parameters: Mapping[str, Any]) -> Self:
        values = {name: np.asarray(value, float) for name, value in parameters.items()}
        known = self.parameters()
        if unknown := [name for name in values if name not in known]:
            raise ValueError(f"this Normal has no parameter {unknown[0]!r}; it has {list(known)}")
        return self._with(known | values, resized(self.free, known | values))

    def _with(self, parameters: Mapping[str, Array], free: dict[str, Array]) -> Self:
        made = object.__new__(type(self))
        vars(made).update(vars(self))
        mean = parameters["mean"]
        if self._cov is not None:
            made._cov = cov = parameters["cov"]
            made._mean, made._scale = _marginals(mean, cov)
        else:
            var = parameters["var"]
            if mean.ndim == 2 and var.ndim == 1:
                var = np.broadcast_to(var[:, None], mean.shape)
            made._mean, made._scale = mean, np.sqrt(var)
        made._free = free
        return made

    @property
    def n_free(self) -> int:
        free, channels = self.free, self._mean.shape[1] if self._mean.ndim == 2 else 1
        if self._cov is None:
            return super().n_free
        whole = free["cov"].reshape(-1, channels * channels).any(1).sum()
        return int(free["mean"].sum() + whole * (channels * (channels + 1) // 2))

    def _problem(self, states: int, channels: int) -> Any:
        from ._gaussian import Problem, arrays

        return Problem(
            self.covariance or "diag", *arrays(self, states, channels), self.prior, self.floor
        )

    def log_density(self, rows: Rows) -> Array:
        from seqkit.kernels import gaussian

        mean = self._mean if self._mean.ndim == 2 else self._mean[:, None]
        if self._cov is not None:
            from ._gaussian_missing import log_density_full

            cov = np.broadcast_to(self._cov, (len(mean), *self._cov.shape[-2:]))
            return log_density_full(rows.values, mean, cov, rows.complete)
        if not self._scale.all():
            return super().log_density(rows)  # points
        return gaussian.log_density_diagonal(
            rows.values, mean, self._scale.reshape(mean.shape) ** 2
        )

    def fit_weighted(self, rows: Rows, weights: Any) -> Self:
        from ._gaussian import fit, named

        weights = np.asarray(weights, float)
        problem = self._problem(weights.shape[1], rows.values.shape[1])
        flat = rows.values.shape[1] == 1 and self._mean.ndim < 2
        return self._with(*named(problem, fit(problem, rows, weights), flat))

    def log_prior(self) -> float:
        if self.prior is None:
            return 0.0
        from ._gaussian import log_prior

        channels = self._mean.shape[1] if self._mean.ndim == 2 else 1
        return log_prior(self._problem(self.n_states, channels))

    def draw(self, states: Any, rng: np.random.Generator, inputs: Any = None) -> Array:
        if self._cov is None:
            return super().draw(states, rng, inputs)
        states, mean = np.asarray(states), self._mean.reshape(self.n_states, -1)
        lower = np.broadcast_to(np.linalg.cholesky(self._cov), (len(mean), *self._cov.shape[-2:]))
        noise = rng.standard_normal((len(states), mean.shape[1], 1))
        return mean[states] + (lower[states] @ noise)[..., 0]

    def _matrix(self) -> Self:
        mean, scale = (a[:, None] if a.ndim == 1 else a for a in (self._mean, self._scale))
        return Normal(mean, scale)  # type: ignore[return-value]


def _check_form(covariance: str, scale: Any, var: Any, cov: Any) -> None:
    """Which parameters go with which covariance."""
    from ._gaussian import KINDS

    if covariance not in KINDS:
        raise ValueError(f"covariance is one of {', '.join(KINDS)}; got {covariance!r}")
    full = covariance in ("full", "tied")
    if full and (scale is not None or var is not None):
        raise ValueError(f"covariance={covariance!r} goes with cov=, not with var= or scale=")
    if not full and cov is not None:
        raise ValueError(f"covariance={covariance!r} goes with var= or scale=, not with cov=")


def _marginals(mean: Array, cov: Array) -> tuple[Array, Array]:
    """Means and standard deviations of the elements, of one shape."""
    if cov.ndim < 2:
        return mean, np.full(mean.shape, np.nan)
    if cov.shape[-1] != cov.shape[-2] or not np.allclose(
        cov, np.swapaxes(cov, -1, -2), rtol=1e-8, atol=0, equal_nan=True
    ):
        raise ValueError(f"cov holds symmetric matrices (..., C, C); got shape {cov.shape}")
    scale = np.sqrt(np.diagonal(cov, axis1=-2, axis2=-1))
    if mean.ndim == 1 and cov.shape[-1] == 1:
        scale = scale[..., 0]
    if mean.ndim == 0:
        return np.full(scale.shape, mean), scale
    return mean, np.broadcast_to(scale, mean.shape)
