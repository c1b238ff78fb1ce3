"""What a fitted structural model tells: parameters with errors, likelihood, and the components' contributions."""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from seqkit.data.sequences import Array
from seqkit.kernels import kalman
from seqkit.models.diagnostics import coefficient_table
from seqkit.models.state_space.base import Run, StateSpaceForecaster

from ._fit import StructuralFit, standard_errors
from ._system import Assembly

LARGEST = 100_000_000  # numbers in the covariances of all rows, from which they are refused
_WIDTH = 72


@dataclasses.dataclass(eq=False, repr=False)
class StructuralResults(StateSpaceForecaster):
    """The attributes that end in `_`, read off the fits, one per series."""

    @abstractmethod
    def _assembly(self, position: int) -> Assembly:
        """The system of fitted series `position` as a function of its parameters."""

    def _each(self, name: str, value: Callable[[StructuralFit], Any]) -> Any:
        """One value per fit: itself for one series, a Series (a frame of dicts) for a panel."""
        header = self._fitted()
        values = [value(fit) for fit in self._fits]
        if header.single:
            return values[0]
        keys = pd.Index(header.keys, name="series", tupleize_cols=False)
        if isinstance(values[0], dict):
            return pd.DataFrame(values, index=keys)
        return pd.Series(values, index=keys, name=name)

    @property
    def params_(self) -> Any:
        """Estimates and given values by name, in model units: a dict, or a frame with a row per series."""
        return self._each("params", lambda fit: fit.parameters)

    @property
    def log_likelihood_(self) -> Any:
        """Exact diffuse log-likelihood at the estimates, in model units, with every term of log 2 pi."""
        return self._each("log_likelihood", lambda fit: fit.log_likelihood)

    @property
    def aic_(self) -> Any:
        """Akaike's criterion; diffuse states count as parameters."""
        return self._each("aic", lambda fit: fit.criterion("aic"))

    @property
    def bic_(self) -> Any:
        """Schwarz's criterion; diffuse states count as parameters."""
        return self._each("bic", lambda fit: fit.criterion("bic"))

    @property
    def history_(self) -> Any:
        """Log-likelihood after every step of the search; a dict by series for a panel."""
        header = self._fitted()
        if header.single:
            return self._fits[0].history
        return {key: fit.history for key, fit in zip(header.keys, self._fits, strict=True)}

    @property
    def standard_errors_(self) -> Any:
        """Standard errors of `params_` by the information matrix; NaN for what is given or on a border."""
        self._fitted()
        parts = self._split_inputs()
        errors = {
            id(fit): dict(zip(fit.names, standard_errors(
                self._assembly(i).blocks, fit, self._data.array(i)[:, 0].copy(), parts[i]
            ).tolist(), strict=True))
            for i, fit in enumerate(self._fits)
        }  # fmt: skip
        return self._each("standard_errors", lambda fit: errors[id(fit)])

    @property
    def coef_(self) -> Any:
        """Coefficients of the covariates as far as they are known at the end of the data: a Series, or a frame.

        Constant ones are generalised least squares given the other components; `summary` has their errors.
        """
        self._fitted()
        told = {id(fit): self._coefficients(i)[0] for i, fit in enumerate(self._fits)}
        values = self._each("coef", lambda fit: told[id(fit)].to_dict())
        return told[id(self._fits[0])] if isinstance(values, dict) else values

    def _coefficients(self, position: int) -> tuple[pd.Series, pd.Series]:
        """Means and standard deviations of the coefficients after the last row of a series."""
        layout, end = self._assembly(position), self._ends[position]
        where = [
            p for b, p in zip(layout.blocks, layout.places, strict=True) if b.label == "regression"
        ]
        if not where:
            raise AttributeError(
                f"{type(self).__name__} has no coefficients; add Regression() to it"
            )
        names = pd.Index(layout.states[where[0]], name="covariate")
        deviations = np.sqrt(np.maximum(np.diagonal(end.cov)[where[0]], 0.0))
        return pd.Series(end.mean[where[0]], names, name="coef"), pd.Series(deviations, names)

    def _split_inputs(self) -> list[Array | None]:
        inputs = self._seen_inputs
        return self._data.split(None if inputs is None else np.nan_to_num(inputs))

    # -- components ------------------------------------------------------------------------------

    def components(
        self, x: Any = None, *, covariates: Any = None, scale: bool = False
    ) -> pd.DataFrame:
        """What each component contributes to the observations, given all of them, on the index of `x`.

        The columns, one per component and the irregular, sum to the observed value, in model units; where it is
        missing, so is the irregular.

        Parameters
        ----------
        x : a sequence (or panel) like that of the fit; None for the data of the fit.
        covariates : the inputs of `x`.
        scale : standard deviations of the contributions instead of their means.
        """
        data, runs = self._runs(x, covariates)
        layouts = [self._assembly(int(p)) for p in self._run_positions(data, x)]
        tell = _spreads if scale else _contributions
        parts = [tell(layout, run) for layout, run in zip(layouts, runs, strict=True)]
        labels = [block.label for block in layouts[0].blocks]
        return data.restore(np.concatenate(parts), [*labels, "irregular"])

    def plot_components(self, x: Any = None, *, covariates: Any = None, **options: Any) -> Any:
        """The components' contributions with their bands; see `seqkit.plotting.plot_components`."""
        from seqkit.plotting import plot_components

        return plot_components(self, x, covariates=covariates, **options)

    def _run_positions(self, data: Any, x: Any) -> Array:
        if x is None:
            return np.arange(len(data))
        return self._positions(data, self._fitted(), "x")

    def auxiliary_residuals(self, x: Any = None, *, covariates: Any = None) -> pd.DataFrame:
        """Smoothed disturbances in standard deviations, on the index of `x`: large ones are breaks and outliers.

        One column per state that is moved by noise, and the irregular, which stands out at an outlier; that of a
        level does at a step. A disturbance of a row moves the state into that row; the first row has none.
        Harvey & Koopman (1992); Durbin & Koopman (2012), section 2.12.2.

        Parameters
        ----------
        x : a sequence (or panel) like that of the fit; None for the data of the fit.
        covariates : the inputs of `x`.
        """
        data, runs = self._runs(x, covariates)
        layouts = [self._assembly(int(p)) for p in self._run_positions(data, x)]
        parts = [_disturbances(run) for run in runs]
        return data.restore(np.concatenate(parts), [*layouts[0].states, "irregular"]).dropna(
            axis=1, how="all"
        )

    def summary(self) -> str:
        """A table of parameters, standard errors and criteria of one series, to print."""
        header = self._fitted()
        if not header.single:
            raise ValueError(
                f"summary() is of one series, and {len(self._fits)} were fitted; see params_ for all of them"
            )
        fit = self._fits[0]
        values, errors = pd.Series(self.params_), pd.Series(self.standard_errors_)
        if self._input_names is not None:
            coefficients = self._coefficients(0)
            values, errors = (
                pd.concat([values, coefficients[0]]),
                pd.concat([errors, coefficients[1]]),
            )
        table = coefficient_table(values, errors)
        facts = [
            ("series", str(header.columns[0] or "y")), ("observed", str(fit.rows)),
            ("log-likelihood", f"{fit.log_likelihood:.3f}"), ("AIC", f"{self.aic_:.3f}"),
            ("BIC", f"{self.bic_:.3f}"), ("diffuse states", str(fit.unknown)),
            ("scale", repr(self.scale)), ("converged", "yes" if fit.converged else "no"),
        ]  # fmt: skip
        text = table.to_string(
            formatters={"P>|z|": "{:.3f}".format}, float_format="{:.5g}".format, na_rep="-"
        )
        width = max(_WIDTH, *map(len, text.splitlines()))
        lines = [repr(self).split("  #")[0].center(width).rstrip(), "=" * width]
        for left, right in zip(facts[::2], facts[1::2], strict=True):
            cells = [f"{label}:".ljust(17) + value for label, value in (left, right)]
            lines.append((cells[0].ljust(width // 2) + cells[1]).rstrip())
        return "\n".join([*lines, "-" * width, text, "=" * width])


def _contributions(layout: Assembly, run: Run) -> Array:
    """Smoothed contributions (T, components + 1), the irregular last."""
    large = run.system.n > 40
    mean = kalman.smooth(run.system, run.y, keep="mean" if large else "all").mean
    weighted = np.broadcast_to(run.system.observation[..., 0, :], mean.shape) * mean
    parts = [weighted[:, place].sum(1) for place in layout.places]
    return np.column_stack([*parts, run.y[:, 0] - sum(parts)])


def _spreads(layout: Assembly, run: Run) -> Array:
    """Standard deviations of the contributions; of the irregular y - C h, that of C h."""
    n = run.system.n
    if len(run.y) * n**2 > LARGEST:
        raise ValueError(
            f"standard deviations need the covariances of {n} states in {len(run.y)} rows, "
            f"{8e-9 * len(run.y) * n**2:.1f} GB; use Seasonal(form='trigonometric', harmonics=...) for fewer "
            "states, or a shorter x"
        )
    cov = np.asarray(kalman.smooth(run.system, run.y).cov)
    rows = np.broadcast_to(run.system.observation[..., 0, :], cov.shape[:2])
    parts = [np.einsum("ti,tij,tj->t", rows[:, p], cov[:, p, p], rows[:, p]) for p in layout.places]
    whole = np.einsum("ti,tij,tj->t", rows, cov, rows)
    whole[np.isnan(run.y[:, 0])] = np.nan
    return np.sqrt(np.maximum(np.column_stack([*parts, whole]), 0.0))


def _disturbances(run: Run) -> Array:
    """E[w_t | y] and E[v_t | y] by their standard deviations, (T, n + 1); NaN where there is no noise.

    w_t = h_t - A h_{t-1}, so that Var(E[w_t | y]) = Q - Var(w_t | y), with the lag-one covariances of the smoother.
    """
    system, y = run.system, run.y[:, 0]
    smoothed = kalman.smooth(system, run.y, lag_one=True)
    mean, cov, lag = smoothed.mean, np.asarray(smoothed.cov), np.asarray(smoothed.lag_one_cov)
    A, rows = system.transition, np.broadcast_to(system.observation[..., 0, :], smoothed.mean.shape)
    result = np.full((len(y), system.n + 1), np.nan)
    left = np.einsum("ij,tjk,ik->ti", A, cov[:-1], A) - 2 * np.einsum("ij,tij->ti", A, lag[1:])
    moved = np.diagonal(system.process_cov)
    spread = moved - (np.diagonal(cov[1:], axis1=1, axis2=2) + left)
    error, noise = y - (rows * mean).sum(1), float(system.observation_cov[0, 0])
    error_spread = noise - np.einsum("ti,tij,tj->t", rows, cov, rows)
    with np.errstate(divide="ignore", invalid="ignore"):
        result[1:, :-1] = (mean[1:] - mean[:-1] @ A.T) / np.sqrt(spread)
        result[:, -1] = error / np.sqrt(error_spread)
    result[1:, :-1][(spread <= 1e-9 * moved) | (moved == 0.0)] = np.nan
    result[:, -1][~(error_spread > 1e-9 * noise)] = np.nan
    return result
