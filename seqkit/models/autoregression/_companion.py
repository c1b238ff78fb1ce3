"""Autoregressions in state-space form: the state is the last p rows, seen without noise.

h_t = (y_t - mu, .., y_{t-p+1} - mu),  A = (Phi_1 .. Phi_p; I 0),  C = (I 0 .. 0),  Q = diag(Sigma, 0 ..),  R = 0
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from seqkit.data.scaling import Identity

if TYPE_CHECKING:
    from seqkit.models.state_space.lds import LDS

    from .linear import Autoregression


def companion_model(model: Autoregression) -> LDS:
    """The fitted `model` as an `LDS` with a stationary start."""
    from seqkit.models.state_space.lds import LDS

    fit = model._only("to_state_space")
    name = type(model).__name__
    if model.trend not in ("n", "c") or model.season or model._input_names is not None:
        raise ValueError(
            f"the state-space form of this {name} has no stationary start: it needs trend='n' or 'c', no season and no "
            f"covariates, got trend={model.trend!r}, season={model.season!r}"
        )
    if type(model.scale) is not Identity:
        raise ValueError(
            f"fit the {name} without scale={model.scale!r}, or transform the data first"
        )
    p, k = max(fit.order, 1), fit.channels
    transition = np.zeros((p * k, p * k))
    if fit.order:
        transition[:k] = np.hstack(list(fit.phi))
    transition[k:, :-k] = np.eye((p - 1) * k)
    process = np.zeros_like(transition)
    process[:k, :k] = fit.sigma
    if np.abs(np.linalg.eigvals(transition)).max() >= 1:
        raise ValueError(
            f"this {name} is not stationary (see roots_), so its state-space form has no stationary start; "
            "difference the data, or use method='yule-walker' or 'mle'"
        )
    mean = np.zeros(k)
    if fit.fixed:
        mean = np.linalg.solve(np.eye(k) - fit.phi.sum(0), fit.beta[:, 0])
    return LDS.from_params(
        transition=transition, observation=np.eye(k, p * k), process_cov=process,
        observation_cov=np.zeros((k, k)), observation_intercept=mean, columns=model._header.columns,
    )  # fmt: skip
