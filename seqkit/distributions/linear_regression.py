"""Regressions whose coefficients depend on the hidden state."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from seqkit.kernels import gaussian
from seqkit.persistence import Record

from .base import Array
from .emission import Emission, Rows, is_complete, observed
from .normal import Normal


class LinearRegression(Emission, Record):
    """y[c] = intercept[k, c] + coef[k, c] . inputs + N(0, var[k, c]) in state k; channels independent given the state.

    Parameters
    ----------
    coef : (K, C, P), or (K, P) for one channel, P the number of covariates. NaN, or nothing, is to be estimated.
    intercept : (K, C) or (K,), in the units of the data; 0.0 leaves it out.
    var : (K, C) or (K,), the variance of the errors.
    floor : the least variance of a fit, as a share of the channel's variance over all rows.

    Covariates are complete; missing elements of y are left out. Predictive laws need covariates: `laws(rows)`.

    Examples
    --------
    >>> from seqkit.distributions import LinearRegression
    >>> e = LinearRegression([[2.0]], [1.0], [1.0])
    >>> e.log_density(e.make_rows([[5.0]], covariates=[[2.0]])).round(4)
    array([[-0.9189]])
    """

    _names = {"coef": "coef", "intercept": "intercept", "var": "var"}  # noqa: RUF012

    def __init__(
        self,
        coef: Any = np.nan,
        intercept: Any = np.nan,
        var: Any = np.nan,
        *,
        floor: float | None = None,
    ):
        self.coef, self.intercept = np.asarray(coef, float), np.asarray(intercept, float)
        self.var = np.asarray(var, float)
        if np.any(self.var < 0):
            raise ValueError(f"var must not be negative, got {self.var.min()}")
        self._set_options(None, floor)

    # -- parameters ------------------------------------------------------------------------------

    def _sized(self, states: int, channels: int, inputs: int) -> tuple[list[Array], list[Array]]:
        """Parameters and masks of what is free: coef (K, C, P), intercept (K, C), var (K, C)."""
        shapes = {
            "coef": (states, channels, inputs),
            "intercept": (states, channels),
            "var": (states, channels),
        }
        values, masks, free = [], [], self.free
        for name, shape in shapes.items():
            value = getattr(self, name)
            mask = np.broadcast_to(free[name], value.shape)
            if value.ndim == len(shape) - 1:  # no axis for the one channel, or for all of them
                value, mask = np.expand_dims(value, 1), np.expand_dims(mask, 1)
            try:
                values.append(np.array(np.broadcast_to(value, shape)))
            except ValueError:
                raise ValueError(
                    f"{name} of {type(self).__name__} has shape {getattr(self, name).shape}; for {states} states, "
                    f"{channels} channels and {inputs} inputs give {shape}"
                ) from None
            masks.append(np.array(np.broadcast_to(mask, shape)))
        return values, masks

    def _now(self, rows: Rows) -> list[Array]:
        return self._sized(self.n_states, rows.values.shape[1], _inputs(rows).shape[1])[0]

    # -- rows ------------------------------------------------------------------------------------

    def make_rows(self, values: Any, offsets: Any = None, covariates: Any = None) -> Rows:
        if covariates is None:
            raise ValueError(
                f"{type(self).__name__} regresses on covariates; give them, one row for each step (covariates=...)"
            )
        values, inputs = _columns(values), _columns(covariates)
        if len(inputs) != len(values):
            raise ValueError(f"{len(inputs)} rows of covariates for {len(values)} steps")
        if not np.isfinite(inputs).all():
            t = int(np.argmax(~np.isfinite(inputs).all(1)))
            raise ValueError(f"a covariate is missing at step {t}; fill it, or leave the step out")
        return Rows(values, None, inputs, is_complete(values))

    # -- densities -------------------------------------------------------------------------------

    def _means(self, rows: Rows, coef: Array, intercept: Array, c: int) -> Array:
        return _inputs(rows) @ coef[:, c].T + intercept[:, c]

    def log_density(self, rows: Rows) -> Array:
        coef, intercept, var = self._now(rows)
        out = np.zeros((len(rows.values), len(coef)))
        for c in range(rows.values.shape[1]):
            error = self._means(rows, coef, intercept, c)
            error -= rows.values[:, c, None]
            error *= error
            error *= -0.5 / var[:, c]
            error -= 0.5 * (np.log(var[:, c]) + gaussian.LOG_2PI)
            if not rows.complete:
                error[np.isnan(rows.values[:, c])] = 0.0
            out += error
        return out

    def law(self, k: int) -> Any:
        raise TypeError(
            f"what {type(self).__name__} emits depends on its inputs; use laws(rows) of the steps asked for"
        )

    def laws(self, rows: Rows) -> list[Any]:
        coef, intercept, var = self._now(rows)
        made = []
        for k in range(len(coef)):
            mean = _inputs(rows) @ coef[k].T + intercept[k]
            made.append(Normal(mean, np.sqrt(var[k])))
        return made

    def draw(self, states: Any, rng: np.random.Generator, inputs: Any = None) -> Array:
        """One observation for each state of a path (T,), given the inputs (T, P)."""
        if inputs is None:
            raise ValueError(f"draws from {type(self).__name__} need inputs, one row for each step")
        states, inputs = np.asarray(states), _columns(inputs)
        channels = self.channels
        coef, intercept, var = self._sized(self.n_states, channels, inputs.shape[1])[0]
        mean = np.einsum("tcp,tp->tc", coef[states], inputs) + intercept[states]
        return mean + np.sqrt(var[states]) * rng.standard_normal(mean.shape)

    @property
    def channels(self) -> int:
        if self.coef.ndim == 3:
            return self.coef.shape[1]
        return max((a.shape[1] for a in (self.intercept, self.var) if a.ndim == 2), default=1)

    # -- fitting ---------------------------------------------------------------------------------

    def fit_weighted(self, rows: Rows, weights: Any) -> Self:
        """Weighted least squares for each state and channel, then the weighted mean of the squared errors.

        Inputs that determine each other get the shortest solution; one that explains less than the present
        coefficients, for want of digits, is not taken.
        """
        weights, inputs = np.asarray(weights, float), _inputs(rows)
        channels = rows.values.shape[1]
        flat = channels == 1 and self.intercept.ndim < 2 and self.coef.ndim < 3
        (coef, intercept, var), free = self._sized(weights.shape[1], channels, inputs.shape[1])
        given = not any(np.isnan(a).any() for a in (coef, intercept))
        for c, x, w, alive in observed(rows, weights):
            z = inputs if len(x) == len(inputs) else inputs[~np.isnan(rows.values[:, c])]
            b, a = _least_squares(
                z, x, w, coef[:, c], intercept[:, c], free[0][:, c], free[1][:, c]
            )
            squares = _squares(z, x, w, b, a)
            if given:
                before = _squares(z, x, w, coef[:, c], intercept[:, c])
                worse = ~(squares <= before)
                b[worse], a[worse] = coef[worse, c], intercept[worse, c]
                squares = np.where(worse, before, squares)
            share = w.sum(1) / w.sum()
            total = max(float(share @ (x - share @ x) ** 2), 0.0)
            least = max(self.floor, 1e-14) * total or (1e-6 * (abs(x[0]) or 1.0)) ** 2
            lowest = np.where(var[:, c] < least, var[:, c], least)
            new = np.maximum(squares / w.sum(0), lowest)
            take = alive | np.isnan(coef[:, c]).any(1) | np.isnan(intercept[:, c])
            coef[:, c] = np.where(take[:, None], b, coef[:, c])
            intercept[:, c] = np.where(take, a, intercept[:, c])
            take = free[2][:, c] & (alive | np.isnan(var[:, c]))
            var[:, c] = np.where(take, new, var[:, c])
        values = [coef, intercept, var]
        if flat:
            values, free = ([a[:, 0] for a in part] for part in (values, free))
        names = ("coef", "intercept", "var")
        return self._with(
            dict(zip(names, values, strict=True)), dict(zip(names, free, strict=True))
        )


def _inputs(rows: Rows) -> Array:
    assert rows.inputs is not None
    return rows.inputs


def _columns(values: Any) -> Array:
    values = np.asarray(values, float)
    return values[:, None] if values.ndim == 1 else values


def _squares(z: Array, x: Array, w: Array, coef: Array, intercept: Array) -> Array:
    """Weighted sums of squared errors, (K,)."""
    error = z @ coef.T + intercept
    error -= x[:, None]
    return np.einsum("rk,rk,rk->k", w, error, error)


def _least_squares(
    z: Array, x: Array, w: Array, coef: Array, intercept: Array, free: Array, free_a: Array
) -> tuple[Array, Array]:
    """Coefficients (K, P) and intercepts (K,) of each state; fixed ones stay."""
    found = gaussian.moments(np.column_stack([z, x]), w, pairs=True)
    new, new_a = coef.copy(), intercept.copy()
    for k in range(len(coef)):
        mean, scatter, n = found.mean[k], found.scatter[k], float(found.count[k])
        if not free_a[k]:  # through a fixed intercept: moments about it, not about the mean
            origin = mean - np.append(np.zeros(len(mean) - 1), intercept[k])
            scatter = scatter + n * np.outer(origin, origin)
        f = free[k]
        if f.any():
            rest = scatter[:-1, -1] - scatter[:-1, :-1][:, ~f] @ coef[k, ~f]
            new[k, f] = _solved(scatter[:-1, :-1][np.ix_(f, f)], rest[f])
        if free_a[k]:
            new_a[k] = mean[-1] - mean[:-1] @ new[k]
    return new, new_a


def _solved(a: Array, b: Array) -> Array:
    """The shortest x (in units of the inputs' spread) with a x = b, a positive semi-definite."""
    unit = np.sqrt(np.diag(a))
    unit = np.where(unit > 0, unit, 1.0)
    values, vectors = np.linalg.eigh(a / unit[:, None] / unit)
    keep = values > 1e-11 * max(values[-1], 1e-300)
    part = vectors[:, keep]
    return part @ ((part.T @ (b / unit)) / values[keep]) / unit
