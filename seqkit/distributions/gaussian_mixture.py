"""Several normal laws for each hidden state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from seqkit.persistence import Record

from .base import Array
from .categorical import shares
from .emission import Emission, Rows
from .mixture import Mixture
from .normal import Normal


class GaussianMixture(Emission, Record):
    """State k emits from component m with probability weights[k, m], and a component is a normal law.

    Parameters
    ----------
    n_components : M, of each state.
    weights : (K, M), rows sum to one; mean : (K, M, C). NaN, or nothing, is to be estimated.
    var : (K, M, C), or (K, M) where `covariance` is "spherical". cov : (K, M, C, C), or (K, C, C) for "tied".
    covariance : "spherical", "diag", "full", or "tied" (one matrix for the components of a state).
    prior : a `NormalInverseWishart` of the components.
    floor : the least variance of a fit, as a share of the channel's variance over all rows.

    A first fit cuts each state along its widest direction into M parts of equal weight and goes on from there; a
    further fit is one step of expectation and maximisation.

    Examples
    --------
    >>> import numpy as np
    >>> from seqkit.distributions import GaussianMixture
    >>> g = GaussianMixture(2, [[0.5, 0.5]], [[[-1.0], [1.0]]], var=[[[1.0], [1.0]]])
    >>> g.log_density(g.make_rows([[0.0]])).round(4)
    array([[-1.4189]])
    """

    def __init__(
        self,
        n_components: int = 2,
        weights: Any = np.nan,
        mean: Any = np.nan,
        *,
        var: Any = None,
        cov: Any = None,
        covariance: str = "diag",
        prior: Any = None,
        floor: float | None = None,
    ):
        if n_components < 1:
            raise ValueError(f"n_components must be 1 or more, got {n_components!r}")
        self.n_components, self.covariance = int(n_components), covariance
        self.weights = np.asarray(weights, float)
        mean = np.asarray(mean, float)
        if mean.ndim not in (0, 3) or self.weights.ndim not in (0, 2):
            raise ValueError(
                f"weights are (states, components) and mean (states, components, channels); got shapes "
                f"{self.weights.shape} and {mean.shape}"
            )
        kind = "full" if covariance == "tied" else covariance
        if cov is not None and covariance == "tied":
            cov = np.repeat(np.asarray(cov, float), self.n_components, axis=0)
        self.parts = Normal(
            _merge(mean, 3),
            var=None if var is None else _merge(np.asarray(var, float), 2),
            cov=None if cov is None else _merge(np.asarray(cov, float), 4),
            covariance=kind,
            prior=prior,
            floor=floor,
        )
        self._set_options(prior, floor)
        w = self.weights
        if w.ndim and (np.any(w < 0) or np.any(np.abs(w.sum(1) - 1) > 1e-8)):
            raise ValueError(
                f"weights are not negative and sum to one over components; got sums {w.sum(1)}"
            )

    # -- parameters ------------------------------------------------------------------------------

    @property
    def mean(self) -> Array:
        """Means of the components, (K, M, C)."""
        return self._apart(self.parts.mean)

    @property
    def var(self) -> Array:
        """Variances of the components' elements, (K, M, C)."""
        return self._apart(self.parts.var)

    @property
    def cov(self) -> Array:
        """Covariances of the components, (K, M, C, C), or (K, C, C) where they are tied."""
        cov = self._apart(self.parts.cov)
        return cov[:, 0] if self.covariance == "tied" else cov

    def _apart(self, a: Array) -> Array:
        """(K M, ..) as (K, M, ..)."""
        return a.reshape(-1, self.n_components, *a.shape[1:]) if a.ndim else a

    def parameters(self) -> dict[str, Array]:
        parts = {name: self._apart(v) for name, v in self.parts.parameters().items()}
        if self.covariance == "tied" and parts["cov"].ndim:
            parts["cov"] = parts["cov"][:, 0]
        return {"weights": self.weights, **parts}

    def with_parameters(self, parameters: Mapping[str, Any]) -> Self:
        values = {name: np.asarray(v, float) for name, v in parameters.items()}
        weights = values.pop("weights", self.weights)
        if self.covariance == "tied" and "cov" in values:
            values["cov"] = np.repeat(values["cov"][:, None], self.n_components, axis=1)
        merged = {name: v.reshape(-1, *v.shape[2:]) for name, v in values.items()}
        free = np.broadcast_to(self.free["weights"], weights.shape)
        return self._made(weights, self.parts.with_parameters(merged), free)

    @property
    def free(self) -> dict[str, Array]:
        parts = {name: self._apart(v) for name, v in self.parts.free.items()}
        if self.covariance == "tied" and parts["cov"].ndim:
            parts["cov"] = parts["cov"][:, 0]
        weights = np.isnan(self.weights) if self._free is None else self._free["weights"]
        return {"weights": weights, **parts}

    def released(self) -> Self:
        return self._made(self.weights, self.parts.released(), np.ones(self.weights.shape, bool))

    def _made(self, weights: Array, parts: Normal, free: Array) -> Self:
        made = object.__new__(type(self))
        vars(made).update(vars(self))
        made.weights, made.parts, made._free = weights, parts, {"weights": free}
        return made

    @property
    def channels(self) -> int:
        return self.parts.channels

    @property
    def n_states(self) -> int:
        return len(self.weights) if self.weights.ndim else self.parts.n_states // self.n_components

    @property
    def n_free(self) -> int:
        weights = np.maximum(np.atleast_2d(self.free["weights"]).sum(1) - 1, 0).sum()
        if self.covariance != "tied":
            return int(weights) + self.parts.n_free
        free, channels = self.free, self.parts.mean.shape[1]
        whole = free["cov"].any((1, 2)).sum() * (channels * (channels + 1) // 2)
        return int(weights + free["mean"].sum() + whole)

    def __getitem__(self, key: Any) -> Self:
        members = np.arange(self.n_states * self.n_components).reshape(self.n_states, -1)[key]
        made = self._made(
            self.weights[key], self.parts[members.reshape(-1)], self.free["weights"][key]
        )
        if self._free is None:
            del made._free
        return made

    def _checked(self, values: Any) -> Array:
        return self.parts._checked(values)

    # -- densities -------------------------------------------------------------------------------

    def _joint(self, rows: Rows) -> Array:
        """log p(row, component | state), (R, K, M)."""
        each = self.parts.log_density(rows)
        with np.errstate(divide="ignore"):
            return each.reshape(len(each), -1, self.n_components) + np.log(self.weights)

    def log_density(self, rows: Rows) -> Array:
        joint = self._joint(rows)
        top = joint.max(-1)
        top = np.where(np.isfinite(top), top, 0.0)
        with np.errstate(divide="ignore"):
            found = np.log(np.exp(joint - top[..., None]).sum(-1)) + top
        if not rows.complete:
            found[np.isnan(rows.values).all(1)] = 0.0  # weights that sum to one but for rounding
        return found

    def log_prior(self) -> float:
        from ._gaussian import log_prior

        return log_prior(self._problem(*self.parts.mean.shape))

    def _problem(self, states: int, channels: int) -> Any:
        problem = self.parts._problem(states, channels)
        if self.covariance == "tied":
            return problem._replace(kind="tied", group=self.n_components)
        return problem

    def draw(self, states: Any, rng: np.random.Generator, inputs: Any = None) -> Array:
        states = np.asarray(states)
        edges = self.weights[states].cumsum(1)
        chosen = (rng.uniform(size=(len(states), 1)) > edges[:, :-1]).sum(1)
        return self.parts.draw(states * self.n_components + chosen, rng)

    def law(self, k: int) -> Mixture:
        mean, scale = self.mean[k], np.sqrt(self.var[k])
        return Mixture(self.weights[k], [Normal(*pair) for pair in zip(mean, scale, strict=True)])

    def laws(self, rows: Rows) -> list[Any]:
        made, shape = [], rows.values.shape
        for w, mean, var in zip(self.weights, self.mean, self.var, strict=True):
            pairs = zip(mean, np.sqrt(var), strict=True)
            made.append(
                Mixture(w, [Normal(*(np.broadcast_to(a, shape) for a in p)) for p in pairs])
            )
        return made

    # -- fitting ---------------------------------------------------------------------------------

    def fit_weighted(self, rows: Rows, weights: Any) -> Self:
        weights = np.asarray(weights, float)
        if self.fitted:
            return self._step(rows, weights, _posterior(self._joint(rows)))
        made = self._step(rows, weights, _cuts(rows.values, weights, self.n_components))
        for _ in range(5):
            made = made._step(rows, weights, _posterior(made._joint(rows)))
        return made

    def _step(self, rows: Rows, weights: Array, share: Array) -> Self:
        """The fit for components that own `share` (R, K, M) of each state's rows."""
        from ._gaussian import fit, named

        if not rows.complete:  # rows without any value say nothing of the components
            weights = weights * ~np.isnan(rows.values).all(1)[:, None]
        share = weights[:, :, None] * share
        counts = share.sum(0)
        states, channels = weights.shape[1], rows.values.shape[1]
        problem = self._problem(states * self.n_components, channels)
        found = fit(problem, rows, share.reshape(len(share), -1))
        if self.covariance == "tied":
            problem = problem._replace(kind="full")
        parts = self.parts._with(*named(problem, found, False))
        now, free = (np.broadcast_to(a, counts.shape) for a in (self.weights, self.free["weights"]))
        total = counts.sum(1)
        alive = (total > 1e-12 * total.sum())[:, None]
        new = shares(np.where(alive, counts, 1.0), now, free)
        new = np.where(alive | np.isnan(now).any(1, keepdims=True), new, now)
        return self._made(new, parts, np.array(free))


def _merge(a: Array, least: int) -> Array:
    """(K, M, ..) as (K M, ..)."""
    return a.reshape(-1, *a.shape[2:]) if a.ndim >= least else a


def _posterior(joint: Array) -> Array:
    """p(component | row, state), (R, K, M)."""
    top = joint.max(-1, keepdims=True)
    share = np.exp(joint - np.where(np.isfinite(top), top, 0.0))
    total = share.sum(-1, keepdims=True)
    return np.where(total > 0, share / np.where(total > 0, total, 1.0), 1.0 / joint.shape[-1])


def _cuts(x: Array, weights: Array, parts: int) -> Array:
    """Each state's rows cut into parts of equal weight along its widest direction, (R, K, M) of 0 and 1."""
    seen = ~np.isnan(x)
    centre = np.where(seen, x, 0.0).sum(0) / np.maximum(seen.sum(0), 1)
    filled = np.where(seen, x, centre) - centre
    scale = filled.std(0)
    filled = filled / np.where(scale > 0, scale, 1.0)
    out = np.zeros((*weights.shape, parts))
    for k in range(weights.shape[1]):
        w = weights[:, k]
        w = w if w.sum() > 0 else np.ones(len(x))
        error = filled - w @ filled / w.sum()
        direction = np.linalg.eigh((w[:, None] * error).T @ error)[1][:, -1]
        along = error @ direction
        order = np.argsort(along, kind="stable")
        share = w[order].cumsum() / w.sum()
        part = np.minimum((share * parts * (1 - 1e-12)).astype(int), parts - 1)
        out[order, k, part] = 1.0
    return out
