"""What a fitted AR or VAR tells: residuals, likelihood, criteria, roots."""

from __future__ import annotations

import dataclasses
from abc import abstractmethod

import numpy as np
import pandas as pd

from seqkit.base import Forecaster
from seqkit.data.calendar import Calendar
from seqkit.data.sequences import Array
from seqkit.distributions import Normal
from seqkit.models.diagnostics import information

from .linear_fit import LinearFit


@dataclasses.dataclass(eq=False, repr=False)
class LinearResults(Forecaster):
    """The attributes that end in `_`, read off the fits (one per series, or one for all) and the data."""

    @abstractmethod
    def _replay(
        self, position: int, y: Array, clock: int, inputs: Array | None, calendar: Calendar
    ) -> Normal:
        """One-step predictive normals of `y`, with the model of series `position`."""

    def _residuals(self, i: int) -> Array:
        """One-step errors of the fit of series i, (T, k), NaN where there is none."""
        y = self._data.array(i)
        inputs = self._data.split(self._covariates)[i]
        return y - self._replay(i, y, 0, inputs, self._data.calendars[i]).mean

    def _only(self, what: str) -> LinearFit:
        self._fitted()
        if len(self._fits) > 1:
            raise ValueError(
                f"{what} is per model, and {len(self._fits)} series were fitted each on its own; fit one series"
            )
        return self._fits[0]

    @property
    def residuals_(self) -> pd.Series | pd.DataFrame:
        """One-step errors in model units, on the index of the data."""
        self._fitted()
        errors = np.concatenate([self._residuals(i) for i in range(len(self._data))])
        return self._data.with_values(errors).to_pandas()

    @property
    def log_likelihood_(self) -> float:
        """Log-likelihood of the fit given the first max(lags) values, in the caller's units."""
        self._fitted()
        return sum(fit.log_likelihood for fit in self._fits) + self._log_jacobian()

    def _log_jacobian(self) -> float:
        """What scaling adds to the log density of the rows that entered the fit."""
        data = self._original
        if data is None:
            return 0.0
        unit = Normal(np.zeros(data.values.shape), 1.0)
        back = self._scaling.restore_replay(unit, data).log_prob(data.values) - unit.log_prob(
            self._data.values
        )
        counted = ~np.isnan(self._data.values)
        if not self._exact:  # a conditional likelihood leaves out the rows it conditions on
            counted &= ~np.isnan(np.concatenate([self._residuals(i) for i in range(len(data))]))
        return float(back[counted].sum())

    @property
    def aic_(self) -> float:
        return information("aic", self.log_likelihood_, self._count(), self._rows())

    @property
    def bic_(self) -> float:
        return information("bic", self.log_likelihood_, self._count(), self._rows())

    @property
    def hqic_(self) -> float:
        return information("hqic", self.log_likelihood_, self._count(), self._rows())

    def _count(self) -> int:
        return sum(fit.parameters for fit in self._fits)

    def _rows(self) -> int:
        return sum(fit.rows for fit in self._fits)

    @property
    def criteria_(self) -> pd.Series:
        """The criterion of every order that was tried, by order."""
        fit = self._only("criteria_")
        if fit.criteria is None:
            raise AttributeError("criteria_ exists only when order is 'aic', 'bic' or 'hqic'")
        return pd.Series(fit.criteria, name=str(self.order)).rename_axis("order")

    @property
    def roots_(self) -> Array:
        """Roots of det(I - phi_1 z - .. - phi_p z^p), by size; stationary if all lie outside the unit circle."""
        fit = self._only("roots_")
        p, k = fit.order, fit.channels
        companion = np.zeros((p * k, p * k))
        companion[:k] = np.hstack(list(fit.phi)) if p else 0.0
        companion[k:, : (p - 1) * k] = np.eye(max((p - 1) * k, 0))
        values = np.linalg.eigvals(companion)
        values = values[np.abs(values) > 1e-12]
        return np.sort_complex(1 / values)[
            np.argsort(np.abs(np.sort_complex(1 / values)), kind="stable")
        ]

    @property
    def is_stationary_(self) -> bool:
        """Whether shocks die out."""
        return bool(np.all(np.abs(self.roots_) > 1))
