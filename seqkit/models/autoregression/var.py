"""VAR(p): several channels, each regressed on the past of all."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd

from seqkit.data.sequences import Array
from seqkit.kernels import autoregression as kernel
from seqkit.models.diagnostics import summary_text

from .linear import Autoregression
from .linear_fit import term_names


@dataclasses.dataclass(eq=False, repr=False)
class VAR(Autoregression):
    """Vector autoregression y_t = B d_t + sum_{i in lags} Phi_i y_{t-i} + e_t, e_t ~ N(0, Sigma), k channels.

    Parameters as for `AR`, without `method`: estimated by least squares; `max_order` None is 12 (T / 100)^(1/4)
    (Schwert 1989). Likelihood and criteria are totals,
    -2 log L + c k, not divided by the number of rows. Sigma is divided by rows - regressors, as is usual for
    forecasts (Luetkepohl 2005, section 3.2). Windows with a missing value are left out of the fit; forecasts
    and scores marginalise missing elements exactly, using the channels that were observed.

    Attributes
    ----------
    order_, coef_, standard_errors_, sigma_, log_likelihood_, aic_, bic_, hqic_, criteria_, roots_,
    is_stationary_, residuals_

    Examples
    --------
    >>> import seqkit
    >>> macro = seqkit.datasets.load("us_macro")[["realgdp", "realcons"]]
    >>> growth = seqkit.VAR(2, scale=seqkit.Chain(seqkit.Log(), seqkit.Difference())).fit(macro)
    >>> growth.predict(4).mean.shape
    (4, 2)
    """

    @staticmethod
    def _freedom(rows: int, regressors: int) -> int:
        return rows - regressors

    def _channel_names(self) -> list[str]:
        return [f"y{c + 1}" if isinstance(c, int) else str(c) for c in self._header.columns]

    def _table(self, values: Array) -> pd.DataFrame:
        fit = self._only("coef_")
        names = self._channel_names()
        terms = term_names(fit, self._column_names(), self._input_names or (), names)
        return pd.DataFrame(values.T, index=terms, columns=names)

    @property
    def order_(self) -> int:
        return self._only("order_").order

    @property
    def coef_(self) -> pd.DataFrame:
        """Coefficients: one row per term, one column per equation."""
        return self._table(self._only("coef_").coef)

    @property
    def standard_errors_(self) -> pd.DataFrame:
        """Standard errors of `coef_`."""
        return self._table(self._only("standard_errors_").errors)

    @property
    def sigma_(self) -> pd.DataFrame:
        """Covariance of the innovations, in model units."""
        return pd.DataFrame(
            self._only("sigma_").sigma, index=self._channel_names(), columns=self._channel_names()
        )

    def impulse_response(self, horizon: int = 20, *, orthogonal: bool = False) -> pd.DataFrame:
        """The response of every channel at t + h to a unit shock in every channel at t.

        Rows are steps 0 .. horizon, columns (impulse, response). With `orthogonal`, the shocks are one
        standard deviation each, made independent by the Cholesky factor of Sigma in the order of the columns.
        """
        fit = self._only("impulse_response")
        psi = kernel.impulse_response(fit.phi, horizon + 1)
        if orthogonal:
            psi = psi @ np.linalg.cholesky(fit.sigma)
        names = self._channel_names()
        columns = pd.MultiIndex.from_product([names, names], names=["impulse", "response"])
        flat = psi.transpose(0, 2, 1).reshape(horizon + 1, -1)
        return pd.DataFrame(flat, index=pd.RangeIndex(horizon + 1, name="step"), columns=columns)

    def summary(self) -> str:
        """A table of coefficients and standard errors per equation, to print."""
        fit = self._only("summary()")
        facts = [
            ("channels", str(fit.channels)), ("rows", str(fit.rows)), ("log-likelihood", f"{self.log_likelihood_:.3f}"),
            ("AIC", f"{self.aic_:.3f}"), ("BIC", f"{self.bic_:.3f}"), ("HQIC", f"{self.hqic_:.3f}"),
            ("scale", repr(self.scale)), ("stationary", "yes" if self.is_stationary_ else "no"),
        ]  # fmt: skip
        coef, errors = self.coef_, self.standard_errors_
        equations = {str(name): (coef[name], errors[name]) for name in coef}
        return summary_text(f"VAR({fit.order}), ols", facts, equations, self.roots_, None)
