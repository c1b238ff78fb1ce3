"""Paths that are jointly normal over steps and channels."""

from __future__ import annotations

from typing import Any

import numpy as np

from .base import Array
from .normal import LOG_2PI, Normal


class JointNormal(Normal):
    """A normal path: vec(Y) ~ N(vec(mean), F F'), with the marginals of every step at hand.

    Element-wise questions (`quantile`, `log_prob`, `cdf`, `crps`, `scale`) are answered by the marginals;
    `sample` and `joint_log_prob` by the joint law.

    Parameters
    ----------
    mean : (*batch, horizon, channels).
    factor : (*batch or broadcastable, horizon * channels, m), a factor F of the covariance of the flattened
        path (time first). It need not be square or of full rank.
    """

    def __init__(self, mean: Any, factor: Any):
        mean, factor = np.asarray(mean, float), np.asarray(factor, float)
        if factor.shape[-2] != mean.shape[-2] * mean.shape[-1]:
            raise ValueError(
                f"factor must have horizon * channels = {mean.shape[-2] * mean.shape[-1]} rows, got {factor.shape}"
            )
        self.factor = factor
        scale = np.sqrt(np.einsum("...ij,...ij->...i", factor, factor))
        super().__init__(mean, scale.reshape(*factor.shape[:-2], *mean.shape[-2:]))

    @property
    def cov(self) -> Array:
        """Covariance of the flattened path, (*batch, horizon * channels, horizon * channels)."""
        return self.factor @ np.swapaxes(self.factor, -1, -2)

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        batch = self.shape[:-2]
        noise = rng.standard_normal((n, *batch, self.factor.shape[-1], 1))
        return self.mean + (self.factor @ noise).reshape(n, *self.shape)

    def joint_log_prob(self, y: Any) -> Array:
        """Log density of whole paths, shape batch; missing elements are marginalised.

        Raises
        ------
        ValueError : the covariance is singular, so that there is no density.
        """
        y = np.broadcast_to(np.asarray(y, float), self.shape)
        flat_error = (y - self.mean).reshape(-1, self.factor.shape[-2])
        cov = np.broadcast_to(self.cov, (*self.shape[:-2], *self.cov.shape[-2:]))
        flat_cov = cov.reshape(-1, *cov.shape[-2:])
        total = np.empty(len(flat_error))
        for i, (error, cov_i) in enumerate(zip(flat_error, flat_cov, strict=True)):
            seen = ~np.isnan(error)
            try:
                lower = np.linalg.cholesky(cov_i[np.ix_(seen, seen)])
            except np.linalg.LinAlgError:
                raise ValueError(
                    "the steps of the path determine each other (its covariance is singular), so it has no density; "
                    "use log_prob, the density of each step"
                ) from None
            z = np.linalg.solve(lower, error[seen])
            total[i] = -0.5 * (z @ z + seen.sum() * LOG_2PI) - np.log(np.diag(lower)).sum()
        return total.reshape(self.shape[:-2])

    def affine(self, shift: Any, factor: Any) -> JointNormal:
        rows = np.broadcast_to(np.asarray(factor, float), self.shape).reshape(
            *self.shape[:-2], -1, 1
        )
        return JointNormal(shift + factor * self.mean, rows * self.factor)

    def linear(self, matrix: Array) -> JointNormal:
        """The law of M y along time, for a (*batch, horizon, horizon) matrix and any number of channels."""
        channels = self.shape[-1]
        paths = self.factor.reshape(*self.factor.shape[:-2], self.shape[-2], channels, -1)
        mixed = np.einsum("...ij,...jcm->...icm", matrix, paths)
        return JointNormal(
            matrix @ self.mean, mixed.reshape(*mixed.shape[:-3], -1, mixed.shape[-1])
        )

    def __getitem__(self, key: Any) -> Normal:  # type: ignore[override]
        keys = key if isinstance(key, tuple) else (key,)
        if len(keys) <= len(self.shape) - 2:  # whole paths of some of the batch stay joint
            factor = np.broadcast_to(self.factor, (*self.shape[:-2], *self.factor.shape[-2:]))
            return JointNormal(self.mean[key], factor[key])
        return Normal(self.mean[key], self.scale[key])
