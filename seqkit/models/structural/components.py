"""The components of structural models: each is a forecaster by itself, and they add up with `+`."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, Self

import numpy as np

from seqkit.base import check_count
from seqkit.data.calendar import Calendar
from seqkit.data.sequences import Array
from seqkit.models.local import period_of

from . import _blocks as matrices
from ._blocks import Block
from ._fit import StructuralFit, fit_local_level
from .structural import Component, check_variance

_YEAR = np.timedelta64(31_556_952, "s")  # the mean Gregorian year
_BUSINESS_CYCLE = (1.5, 12.0)  # years, the usual bounds (Durbin & Koopman 2012, section 3.2.4)


@dataclasses.dataclass(eq=False, repr=False)
class LocalLevel(Component):
    r"""A random walk seen through noise.

    .. math::

        y_t = \mu_t + \varepsilon_t, \quad \mu_t = \mu_{t-1} + \eta_t, \quad
        \varepsilon_t \sim N(0, \sigma^2_\varepsilon), \; \eta_t \sim N(0, \sigma^2_\eta)

    The first level is diffuse. The likelihood is maximised over the signal-to-noise ratio, with the scale
    concentrated out, in one compiled call (the first short series of a process without a compiler, in plain Python).

    Parameters
    ----------
    level_var : :math:`\sigma^2_\eta`, in squared units of the data; None learns it, 0 makes the level constant.
    observation_var : :math:`\sigma^2_\varepsilon`; None learns it, 0 makes y a random walk.
    n_jobs : processes for a panel; None for what ``joblib.parallel_config`` says, 1 without it.

    Raises
    ------
    ValueError : fewer observed values than parameters and diffuse states, several channels, or covariates.

    Sources: Harvey (1989), section 2.3; Durbin & Koopman (2012), chapter 2.

    Examples
    --------
    >>> import seqkit
    >>> model = seqkit.LocalLevel().fit(seqkit.datasets.load("nile"))
    >>> {name: round(value, 1) for name, value in model.params_.items()}
    {'level_var': 1469.2, 'observation_var': 15098.5}
    >>> round(model.log_likelihood_, 4)
    -633.4646
    """

    level_var: float | None = None

    _label = "level"

    def _settled(self, clock: Calendar) -> Self:
        check_variance("level_var", self.level_var)
        return self._bare()

    def _block(self, label: str, names: tuple[str, ...]) -> Block:
        return matrices.level_block(self.level_var)

    def _estimate(self, blocks: list[Block], y: Array, inputs: Array | None) -> StructuralFit:
        """By a search of its own, which needs none of the general kernels."""
        return fit_local_level(y, self.level_var, self.observation_var)


@dataclasses.dataclass(eq=False, repr=False)
class LocalLinearTrend(Component):
    r"""A level with a slope, both random walks.

    .. math::

        \mu_t = \mu_{t-1} + \beta_{t-1} + \eta_t, \quad \beta_t = \phi \beta_{t-1} + \zeta_t

    Parameters
    ----------
    level_var, slope_var : variances of :math:`\eta` and :math:`\zeta`; None learns them, 0 makes them
        constant. ``level_var=0`` alone is the smooth trend (integrated random walk).
    damped : False for :math:`\phi = 1`; True to learn :math:`\phi` between 0.5 and 1; a number for that value.
    observation_var, n_jobs : as for `LocalLevel`.

    Sources: Harvey (1989), sections 2.3.2 and 2.3.6 (damping); Durbin & Koopman (2012), section 3.2.

    Examples
    --------
    >>> import numpy as np, seqkit
    >>> y = 3.0 + 0.5 * np.arange(40) + np.sin(np.arange(40.0) ** 2)
    >>> model = seqkit.LocalLinearTrend().fit(y)
    >>> model.params_["slope_var"]
    0.0
    >>> bool(abs(model.predict(2).mean.iloc[1] - 23.5) < 0.5)
    True
    """

    level_var: float | None = None
    slope_var: float | None = None
    damped: bool | float = False

    _label = "trend"

    def _settled(self, clock: Calendar) -> Self:
        check_variance("level_var", self.level_var)
        check_variance("slope_var", self.slope_var)
        _check_damping(self.damped)
        return self._bare()

    def _block(self, label: str, names: tuple[str, ...]) -> Block:
        return matrices.TrendBlock(self.level_var, self.slope_var, self.damped)


@dataclasses.dataclass(eq=False, repr=False)
class Seasonal(Component):
    r"""A seasonal pattern that sums to zero over a season, but for noise.

    .. math::

        \text{dummy: } \gamma_t = -\sum_{j=1}^{s-1} \gamma_{t-j} + \omega_t, \qquad
        \text{trigonometric: } \gamma_t = \sum_{j=1}^{h} \gamma_{jt}, \;
        \gamma_{jt} = \cos\lambda_j \gamma_{j,t-1} + \sin\lambda_j \gamma^*_{j,t-1} + \omega_{jt}, \;
        \lambda_j = 2 \pi j / s

    Parameters
    ----------
    period : s, rows per season, at least 2; None takes it from the calendar. The trigonometric form also
        takes a fraction, e.g. 365.25 days or 52.18 weeks.
    form : "dummy" (s - 1 states) or "trigonometric" (2 states per harmonic).
    harmonics : h of the trigonometric form, at most s / 2, which is the default.
    seasonal_var : variance of :math:`\omega`; None learns it, 0 makes the pattern constant.
    observation_var, n_jobs : as for `LocalLevel`.

    Where two seasons of a sum have waves in common (24 and 168 hours), the data cannot tell their starts
    apart; those of the second season start at zero.

    Sources: Harvey (1989), section 2.3.4; Durbin & Koopman (2012), section 3.2.2.

    Examples
    --------
    >>> import numpy as np, seqkit
    >>> y = np.tile([1.0, -2.0, 1.0], 6) + 0.1 * np.cos(np.arange(18.0) ** 2)
    >>> seqkit.Seasonal(3).fit(y).predict(3).mean.round(1).tolist()
    [1.0, -2.0, 1.0]
    """

    period: float | None = None
    form: Literal["dummy", "trigonometric"] = "dummy"
    harmonics: int | None = None
    seasonal_var: float | None = None

    _label = "seasonal"
    _leading = "period"

    def _settled(self, clock: Calendar) -> Self:
        check_variance("seasonal_var", self.seasonal_var)
        if self.form not in ("dummy", "trigonometric"):
            raise ValueError(f"form must be 'dummy' or 'trigonometric', got {self.form!r}")
        period = self.period
        if self.form == "dummy" or period is None:
            period = period_of(period, clock)  # type: ignore[arg-type]
        elif isinstance(period, bool) or not isinstance(period, (int, float, np.number)):
            raise ValueError(f"period must be a number of rows, or None; got {period!r}")
        if not 2 <= period < np.inf:
            hint = (
                "the calendar has no season; pass period=" if self.period is None else "give more"
            )
            raise ValueError(f"a season needs at least 2 rows, got {period}; {hint}")
        if self.harmonics is not None:
            check_count("harmonics", self.harmonics, 1)
            if self.form == "dummy" or self.harmonics > period / 2:
                raise ValueError(
                    f"harmonics={self.harmonics} needs form='trigonometric' and a period of at least "
                    f"{2 * self.harmonics}; got form={self.form!r}, period {period}"
                )
        whole = int(period) if float(period).is_integer() else float(period)
        return dataclasses.replace(self._bare(), period=whole)

    def _numbered(self, number: int) -> str:
        return f"{self._label}_{self.period}"

    def _block(self, label: str, names: tuple[str, ...]) -> Block:
        assert self.period is not None
        if self.form == "dummy":
            return matrices.DummyBlock(label, int(self.period), self.seasonal_var)
        harmonics = self.harmonics or int(self.period // 2)
        return matrices.WaveBlock(label, self.period, harmonics, self.seasonal_var)


@dataclasses.dataclass(eq=False, repr=False)
class Cycle(Component):
    r"""A stochastic cycle.

    .. math::

        \begin{pmatrix} \psi_t \\ \psi^*_t \end{pmatrix} = \rho
        \begin{pmatrix} \cos\lambda & \sin\lambda \\ -\sin\lambda & \cos\lambda \end{pmatrix}
        \begin{pmatrix} \psi_{t-1} \\ \psi^*_{t-1} \end{pmatrix} +
        \begin{pmatrix} \kappa_t \\ \kappa^*_t \end{pmatrix}, \quad \lambda = 2 \pi / \text{period}

    Parameters
    ----------
    period : (low, high) bounds in rows between which it is learnt, or a number. None is 1.5 to 12 years
        where the calendar has dates, else 3 rows to half the series.
    damped : True to learn :math:`\rho` between 0 and 1, a number for that value, False for 1. A damped cycle
        starts from its stationary distribution, one that is not is diffuse.
    cycle_var : variance of :math:`\kappa` and :math:`\kappa^*`; None learns it.
    observation_var, n_jobs : as for `LocalLevel`.

    Sources: Harvey (1989), section 2.3.3; Durbin & Koopman (2012), section 3.2.4.

    Examples
    --------
    >>> import numpy as np, seqkit
    >>> y = np.cos(2 * np.pi * np.arange(80) / 9.5) + 0.1 * np.cos(np.arange(80.0) ** 2)
    >>> model = seqkit.Cycle((5, 20), damped=False).fit(y)
    >>> round(model.params_["cycle_period"], 1)
    9.5
    """

    period: tuple[float, float] | float | None = None
    damped: bool | float = True
    cycle_var: float | None = None

    _label = "cycle"
    _leading = "period"

    def _settled(self, clock: Calendar) -> Self:
        check_variance("cycle_var", self.cycle_var)
        _check_damping(self.damped)
        return dataclasses.replace(self._bare(), period=self._bounds(clock))

    def _bounds(self, clock: Calendar) -> tuple[float, float] | float:
        if self.period is None:
            low, high = _years(clock, *_BUSINESS_CYCLE) or (3.0, max(len(clock) / 2, 4.0))
            if low < 2:
                low = 2.0
            return (low, high) if high > low else (3.0, max(len(clock) / 2, 4.0))
        given = self.period if isinstance(self.period, (tuple, list)) else (self.period,)
        numbers = all(isinstance(p, (int, float, np.number)) and p >= 2 for p in given)
        if not numbers or not 1 <= len(given) <= 2 or given[0] > given[-1]:
            raise ValueError(
                f"period must be bounds (low, high) or a number of rows, at least 2; got {self.period!r}"
            )
        return float(given[0]) if len(given) == 1 else (float(given[0]), float(given[1]))

    def _block(self, label: str, names: tuple[str, ...]) -> Block:
        assert self.period is not None
        return matrices.CycleBlock(label, self.period, self.damped, self.cycle_var)


@dataclasses.dataclass(eq=False, repr=False)
class Regression(Component):
    r"""Coefficients on the covariates given to `fit`, `predict` and `update`: :math:`x_t' \beta_t`.

    They are states with a diffuse start, named as the columns of the covariates: constant ones are
    generalised least squares given the other components, and their uncertainty is part of every forecast.

    Parameters
    ----------
    coefficient_var : 0 for constant coefficients; None or a positive number for random walks with that
        variance per row, None learning one for each covariate.
    observation_var, n_jobs : as for `LocalLevel`.

    Raises
    ------
    ValueError : without covariates, or where a row has a value but not all covariates.

    Sources: Harvey (1989), chapter 7; Durbin & Koopman (2012), section 3.2.5.

    Examples
    --------
    >>> import numpy as np, pandas as pd, seqkit
    >>> x = pd.DataFrame({"price": np.cos(np.arange(30.0))})
    >>> y = 5.0 - 2.0 * x["price"] + 0.01 * np.sin(np.arange(30) ** 2)
    >>> model = (seqkit.LocalLevel() + seqkit.Regression()).fit(y, covariates=x)
    >>> bool(abs(model.decode(y, covariates=x)["price"].iloc[-1] + 2) < 0.01)
    True
    """

    coefficient_var: float | None = 0.0

    _label = "regression"

    def _settled(self, clock: Calendar) -> Self:
        check_variance("coefficient_var", self.coefficient_var)
        return self._bare()

    def _block(self, label: str, names: tuple[str, ...]) -> Block:
        return matrices.regression_block(label, names, self.coefficient_var)


@dataclasses.dataclass(eq=False, repr=False)
class Autoregressive(Component):
    r"""A stationary autoregression around zero: :math:`u_t = \phi_1 u_{t-1} + ... + \phi_p u_{t-p} + e_t`.

    Adding ``AR(p)`` to a component means this one.

    Parameters
    ----------
    order : p, at least 1.
    var : variance of e; None learns it.
    observation_var, n_jobs : as for `LocalLevel`.

    The coefficients are learnt by their partial autocorrelations, so that they are stationary (Monahan
    1984), and the first state has the stationary distribution.

    Sources: Harvey (1989), section 4.1; Durbin & Koopman (2012), section 3.4.

    Examples
    --------
    >>> import seqkit
    >>> seqkit.LocalLinearTrend() + seqkit.Seasonal(12) + seqkit.AR(1)
    LocalLinearTrend() + Seasonal(12) + Autoregressive(1)
    """

    order: int = 1
    var: float | None = None

    _label = "autoregressive"
    _leading = "order"

    def _settled(self, clock: Calendar) -> Self:
        check_count("order", self.order, 1)
        check_variance("var", self.var)
        return self._bare()

    def _block(self, label: str, names: tuple[str, ...]) -> Block:
        return matrices.AutoregressiveBlock(label, int(self.order), self.var)


def _check_damping(damped: Any) -> None:
    number = isinstance(damped, (int, float, np.number)) and not isinstance(damped, bool)
    if not isinstance(damped, (bool, np.bool_)) and not (number and 0 < damped <= 1):
        raise ValueError(
            f"damped must be True, False or a factor above 0 and up to 1, got {damped!r}"
        )


def _years(clock: Calendar, low: float, high: float) -> tuple[float, float] | None:
    """So many years in rows, or None where the calendar has no dates."""
    import pandas as pd

    index = clock.index
    if isinstance(index, pd.PeriodIndex):
        index = index.to_timestamp()
    if not isinstance(index, pd.DatetimeIndex) or len(index) < 2:
        return None
    rows = _YEAR / ((index[-1] - index[0]) / (len(index) - 1)).to_timedelta64()
    return low * float(rows), high * float(rows)
