"""AR(p): one channel, regressed on its own past."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import numpy as np
import pandas as pd

from seqkit.data.sequences import Array, Sequences
from seqkit.kernels import autoregression as kernel
from seqkit.models.diagnostics import ljung_box, summary_text

from . import exact_ar
from .linear import Autoregression
from .linear_fit import LinearFit, information, maximum, mean_of, term_names

METHODS = ("ols", "yule-walker", "burg", "mle")


@dataclasses.dataclass(eq=False, repr=False)
class AR(Autoregression):
    """Autoregression y_t = d_t'beta + sum_{i in lags} phi_i y_{t-i} + e_t, e_t ~ N(0, s^2).

    Parameters
    ----------
    order : p for the lags 1 .. p, a list of lags, or "aic", "bic", "hqic" to choose p on the rows common to
        all candidates (all of them solved by one factorisation).
    trend : "n" nothing, "c" constant, "t" linear, "ct" both; the first row has t = 1.
    season : number of seasons for seasonal dummies, or None.
    ridge : penalty on the squared coefficients of lags and covariates ("ols" only).
    max_order : the largest order tried when a criterion chooses (without regard to `ridge`); None for
        min(10 log10(T), T / 5).
    panel : "each" fits every series on its own, "global" one model to all.
    intervals : "normal" (exact joint normal) or "bootstrap" (`draws` paths of resampled residuals, `seed`).
    method : "ols" conditional least squares; "yule-walker" from autocovariances, always stationary (Walker
        1931); "burg" (Burg 1968); "mle" exact Gaussian maximum likelihood of a stationary process, missing
        values marginalised (Box, Jenkins & Reinsel 1994, appendix A7.4).
    scale : a scaling, undone in every result (see `seqkit.data.scaling`).

    Missing values: "ols" uses every window that is complete, "yule-walker" every pair, "mle" every value;
    forecasts and scores marginalise them exactly under each method.

    Attributes
    ----------
    order_, lags_, coef_, standard_errors_, sigma2_, log_likelihood_, aic_, bic_, hqic_, criteria_, roots_,
    is_stationary_, residuals_

    Examples
    --------
    >>> import numpy as np, seqkit
    >>> y = np.array([1.0, 0.5, 0.25, 0.125, 0.0625])
    >>> model = seqkit.AR(1, trend="n").fit(y)
    >>> model.coef_.round(6).to_dict()
    {'y.L1': 0.5}
    >>> model.predict(2).mean.round(6).tolist()
    [0.03125, 0.015625]
    """

    method: Literal["ols", "yule-walker", "burg", "mle"] = "ols"

    @property
    def _exact(self) -> bool:
        return self.method != "ols"

    def _check(self) -> None:
        super()._check()
        if self.method not in METHODS:
            raise ValueError(f"method must be one of {', '.join(METHODS)}; got {self.method!r}")
        if self.method != "ols" and (self.ridge or self.pooled):
            raise ValueError(
                f"ridge and panel='global' need method='ols', got method={self.method!r}"
            )

    def _intake(self, x: Any, name: str, header: Any = None) -> Sequences:
        data = super()._intake(x, name, header)
        if len(data.columns) > 1:
            raise ValueError(
                f"AR is for one channel, but {name} has {len(data.columns)} ({list(data.columns)}); use VAR, or "
                "fit the columns as a panel: dict(frame.items())"
            )
        return data

    @staticmethod
    def _freedom(rows: int, regressors: int) -> int:
        return rows  # maximum likelihood, as AutoReg of statsmodels

    def _fit_group(self, ys: list[Array], fixed: list[Array]) -> LinearFit:
        if self.method == "ols":
            return super()._fit_group(ys, fixed)
        y, columns = ys[0], fixed[0]
        if columns.shape[1] > len(self._column_names()):
            raise ValueError(f"method={self.method!r} takes no covariates; use method='ols'")
        lags, choose = self._lags(len(y), columns.shape[1], 1)
        if len(lags) and lags[-1] != len(lags):
            raise ValueError(
                f"method={self.method!r} uses all lags up to the order, got {lags.tolist()}; use method='ols'"
            )
        if len(y) <= len(lags) + columns.shape[1] + 1:
            raise ValueError(f"{len(y)} values are too few for order {len(lags)}; lower the order")
        return self._stationary_fit(y, columns, len(lags), choose)

    def _stationary_fit(self, y: Array, columns: Array, order: int, choose: bool) -> LinearFit:
        """Yule-Walker, Burg or exact likelihood on the deviations from the fixed terms."""
        beta = exact_ar.regress(y, columns)
        deviation = (y - columns @ beta)[:, 0]
        if np.nanmax(np.abs(deviation)) <= 1e-12 * np.nanmax(np.abs(y)):  # the mean explains it all
            deviation, order, choose = 0.0 * deviation, 0, False
        if self.method == "burg" and np.isnan(deviation).any():
            raise ValueError(
                "method='burg' needs complete data; use 'mle' or 'yule-walker' with missing values"
            )
        if self.method == "burg":
            coefs, variances = kernel.burg(deviation, order)
        else:
            coefs, variances = kernel.levinson(kernel.autocovariance(deviation, order))
        rows = int(np.count_nonzero(~np.isnan(deviation)))
        criteria = None
        if choose:
            likelihood = maximum(rows, 1, np.log(np.maximum(variances, 1e-300)))
            values = information(
                str(self.order), likelihood, columns.shape[1] + np.arange(len(variances)), rows
            )
            criteria, order = values, int(np.argmin(values))
        phi, variance = coefs[order], float(variances[order])
        log_likelihood = None
        if variance == 0.0:
            variance = (1e-8 * float(np.nanmax(np.abs(y)))) ** 2 or 1e-300
        elif self.method == "mle":
            phi, beta, variance, log_likelihood = exact_ar.maximise(y[:, 0], columns, phi)
        fit = LinearFit()
        fit.lags, fit.fixed, fit.criteria = np.arange(1, order + 1), columns.shape[1], criteria
        intercepts = exact_ar.absorb(beta.ravel(), phi, self._columns)
        fit.coef = np.concatenate([intercepts, phi])[None, :]
        fit.sigma, fit.rows = np.array([[variance]]), rows
        if log_likelihood is None:
            log_likelihood = exact_ar.log_likelihood(deviation, phi, variance)
        fit.log_likelihood = log_likelihood
        fit.errors = self._asymptotic_errors(y, columns, fit)
        return fit

    @staticmethod
    def _asymptotic_errors(y: Array, columns: Array, fit: LinearFit) -> Array:
        """s^2 (X'X)^-1 with the conditional design, to which all methods are equal in the limit; (1, regressors)."""
        shift = mean_of([y])[0] if columns.shape[1] else np.zeros(1)
        factor = kernel.factorise([kernel.Design(y, columns, fit.lags, fit.order)], shift)
        if factor.rows <= factor.regressors:
            return np.full(fit.coef.shape, np.nan)
        inverse = kernel.solve(factor).inverse
        return np.sqrt(fit.sigma[0, 0] * np.diag(inverse))[None, :]

    # -- what was learnt -------------------------------------------------------------------------

    def _terms(self) -> list[str]:
        name = self._header.columns[0]
        inputs = self._input_names or ()
        return term_names(
            self._fits[0], self._column_names(), inputs, ["y" if name is None else str(name)]
        )

    def _table(self, rows: list[Array]) -> pd.Series | pd.DataFrame:
        """One number per term: a Series, or one row per series of a panel fitted one by one."""
        if len(rows) == 1:
            return pd.Series(rows[0], index=self._terms())
        frames = [
            pd.Series(r, index=self._terms_of(fit)) for r, fit in zip(rows, self._fits, strict=True)
        ]
        return pd.DataFrame(
            frames, index=pd.Index(self._header.keys, name="series", tupleize_cols=False)
        )

    def _terms_of(self, fit: LinearFit) -> list[str]:
        return term_names(fit, self._column_names(), self._input_names or (), ["y"])

    @property
    def order_(self) -> int | pd.Series:
        """The largest lag; one per series for a panel fitted one by one."""
        self._fitted()
        orders = [fit.order for fit in self._fits]
        return (
            orders[0]
            if len(orders) == 1
            else pd.Series(orders, index=pd.Index(self._header.keys, name="series"))
        )

    @property
    def lags_(self) -> list[int]:
        return self._only("lags_").lags.tolist()

    @property
    def coef_(self) -> pd.Series | pd.DataFrame:
        """Coefficients by term (const, trend, seasons, covariates, lags), in model units."""
        self._fitted()
        return self._table([fit.coef[0] for fit in self._fits])

    @property
    def standard_errors_(self) -> pd.Series | pd.DataFrame:
        """Standard errors of `coef_`."""
        self._fitted()
        return self._table([fit.errors[0] for fit in self._fits])

    @property
    def sigma2_(self) -> float | pd.Series:
        """Variance of the innovations, in model units squared."""
        self._fitted()
        values = [float(fit.sigma[0, 0]) for fit in self._fits]
        return (
            values[0]
            if len(values) == 1
            else pd.Series(values, index=pd.Index(self._header.keys, name="series"))
        )

    def impulse_response(self, horizon: int = 20) -> pd.Series:
        """The response of y_{t+h} to a unit shock at t: psi_0 = 1, psi_h = sum_i phi_i psi_{h-i}."""
        psi = kernel.impulse_response(self._only("impulse_response").phi, horizon + 1)[:, 0, 0]
        return pd.Series(psi, index=pd.RangeIndex(horizon + 1, name="step"), name="response")

    def ljung_box(self, lags: int = 10) -> pd.DataFrame:
        """Ljung & Box (1978) test that residuals are uncorrelated; see `seqkit.models.diagnostics.ljung_box`."""
        fit = self._only("ljung_box")
        residuals = self.residuals_.to_numpy()
        return ljung_box(residuals[~np.isnan(residuals)], lags, fitted=len(fit.lags))

    def summary(self) -> str:
        """A table of coefficients, standard errors and diagnostics, to print."""
        fit = self._only("summary()")
        title = f"AR({fit.order}), {self.method}"
        facts = [
            ("series", str(self._header.columns[0] or "y")), ("rows", str(fit.rows)),
            ("log-likelihood", f"{self.log_likelihood_:.3f}"), ("AIC", f"{self.aic_:.3f}"),
            ("BIC", f"{self.bic_:.3f}"), ("innovation sd", f"{np.sqrt(fit.sigma[0, 0]):.4g}"),
            ("scale", repr(self.scale)), ("stationary", "yes" if self.is_stationary_ else "no"),
        ]  # fmt: skip
        coef = self._table([fit.coef[0]]), self._table([fit.errors[0]])
        box = self.ljung_box(max(10, min(len(fit.lags) + 10, fit.rows - 2)))
        return summary_text(title, facts, {"": coef}, self.roots_, box)
