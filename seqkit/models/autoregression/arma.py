"""ARMA(p, q) by exact maximum likelihood in state-space form."""

from __future__ import annotations

import dataclasses
import warnings
from typing import Any, Literal

import numpy as np
import pandas as pd

from seqkit.base import ConvergenceWarning, check_count
from seqkit.data.sequences import Array, Sequences
from seqkit.kernels import kalman
from seqkit.models.diagnostics import information
from seqkit.models.state_space.base import StateSpaceForecaster

from ._arma_fit import ARMAFit, maximise, standard_errors


@dataclasses.dataclass(eq=False, repr=False)
class ARMA(StateSpaceForecaster):
    r"""Autoregressive moving average of one channel, stationary and invertible, by exact maximum likelihood.

    .. math::

        y_t - \mu = \sum_{i=1}^p \phi_i (y_{t-i} - \mu) + e_t + \sum_{j=1}^q \theta_j e_{t-j},
        \quad e_t \sim N(0, \sigma^2)

    Partial autocorrelations of both parts are searched through tanh, so that every step is stationary and invertible
    (Monahan 1984), with the exact score (Koopman & Shephard 1992) from several starts (Hannan & Rissanen 1982).
    Missing values are marginalised. Each series of a panel has its own fit.

    Parameters
    ----------
    p, q : orders.
    trend : "c" with a mean, "n" without.

    Attributes
    ----------
    params_, standard_errors_ : by name, mean, ar1 .., ma1 .., sigma2, in model units; a row per series for a panel.
    log_likelihood_, aic_, bic_ : exact, in model units; a Series for a panel.

    Raises
    ------
    ValueError : several channels, covariates, and series too short.

    Examples
    --------
    >>> import numpy as np, seqkit
    >>> e = np.random.default_rng(0).normal(size=501)
    >>> model = seqkit.ARMA(0, 1).fit(5 + e[1:] + 0.5 * e[:-1])
    >>> round(model.params_["ma1"], 1), round(model.params_["mean"])
    (0.5, 5)
    """

    p: int = 1
    q: int = 1
    trend: Literal["c", "n"] = "c"

    # -- learning --------------------------------------------------------------------------------

    def _learn(self, data: Sequences, covariates: Array | None) -> None:
        check_count("p", self.p, 0)
        check_count("q", self.q, 0)
        if self.trend not in ("c", "n"):
            raise ValueError(f'trend must be "c" or "n", got {self.trend!r}')
        if covariates is not None:
            raise ValueError("ARMA does not use covariates; leave them out, or use AR")
        if len(data.columns) > 1:
            raise ValueError(
                f"ARMA is for one channel, but x has {len(data.columns)} ({list(data.columns)}); fit the columns as a "
                "panel: dict(frame.items())"
            )
        fits: list[ARMAFit] = []
        unsettled: list[str] = []
        for i in range(len(data)):
            rows = int(np.count_nonzero(~np.isnan(data.array(i))))
            if rows < self.p + self.q + 3:
                where = "" if data.single else f"{data.label(i)}: "
                raise ValueError(
                    f"{where}ARMA({self.p}, {self.q}) needs at least {self.p + self.q + 3} observed values, got {rows}"
                )
            fit, settled = maximise(data.array(i), self.p, self.q, self.trend == "c")
            fits.append(fit)
            unsettled += [] if settled else [data.label(i)]
        self._fits = fits
        if unsettled:
            warnings.warn(
                f"maximum likelihood of the ARMA did not settle for {', '.join(unsettled[:3])}"
                f"{', ..' if len(unsettled) > 3 else ''}; lower p or q, or scale the data",
                ConvergenceWarning, stacklevel=5,
            )  # fmt: skip

    def _system(
        self, position: int, clock: int, length: int, covariates: Array | None
    ) -> kalman.System:
        return self._fits[position].system()

    def _state_names(self) -> list[str]:
        return [f"state{i}" for i in range(max(self.p, self.q + 1))]

    # -- what was learnt -------------------------------------------------------------------------

    def _terms(self) -> list[str]:
        names = [*(f"ar{i + 1}" for i in range(self.p)), *(f"ma{i + 1}" for i in range(self.q))]
        return [*(["mean"] if self.trend == "c" else []), *names, "sigma2"]

    def _told(self, rows: list[Array]) -> Any:
        header = self._fitted()
        named = [dict(zip(self._terms(), row.tolist(), strict=True)) for row in rows]
        if header.single:
            return named[0]
        return pd.DataFrame(named, index=pd.Index(header.keys, name="series", tupleize_cols=False))

    def _told_number(self, values: list[float]) -> Any:
        header = self._fitted()
        if header.single:
            return values[0]
        return pd.Series(values, index=pd.Index(header.keys, name="series", tupleize_cols=False))

    @property
    def params_(self) -> Any:
        """Estimates by name."""
        self._fitted()
        return self._told([fit.natural(self.trend == "c") for fit in self._fits])

    @property
    def standard_errors_(self) -> Any:
        """From the observed information; NaN where the likelihood is flat."""
        self._fitted()
        constant, data = self.trend == "c", self._data
        rows = [standard_errors(f, data.array(i), constant) for i, f in enumerate(self._fits)]
        return self._told(rows)

    @property
    def log_likelihood_(self) -> Any:
        """Exact log-likelihood at the estimates."""
        self._fitted()
        return self._told_number([fit.log_likelihood for fit in self._fits])

    def _criterion(self, name: str) -> Any:
        self._fitted()
        count = len(self._terms())
        return self._told_number(
            [information(name, fit.log_likelihood, count, fit.rows) for fit in self._fits]
        )

    @property
    def aic_(self) -> Any:
        """Akaike's criterion."""
        return self._criterion("aic")

    @property
    def bic_(self) -> Any:
        """Schwarz's criterion."""
        return self._criterion("bic")
