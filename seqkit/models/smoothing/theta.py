"""The Theta method."""

from __future__ import annotations

import dataclasses

import numpy as np

from seqkit.data.calendar import Calendar
from seqkit.data.sequences import Array
from seqkit.distributions import JointNormal, Normal
from seqkit.kernels.seasonality import (
    is_multiplicative,
    is_seasonal,
    remove_season,
    season_of,
    seasonal_indices,
)
from seqkit.kernels.smoothing import Coefficients, Smoothed, smooth
from seqkit.models.local import LocalForecaster, State, first_seen, period_of, warm_up
from seqkit.models.smoothing._ets_fit import Form, fit_form


@dataclasses.dataclass(eq=False)
class ThetaState(State):
    """Trend line, smoothing of the second theta line, and the season that was taken out."""

    intercept: float
    slope: float
    alpha: float
    sigma: float
    initial_level: float
    level: float
    rows: int
    indices: Array
    multiplicative: bool


@dataclasses.dataclass(eq=False, repr=False)
class Theta(LocalForecaster):
    r"""The standard Theta method: half a trend line, half exponential smoothing.

    The seasonally adjusted series y is split into theta lines 0 and 2 around its least squares line
    :math:`a + bt`; line 0 is extrapolated, line 2, :math:`z_t = 2 y_t - (a + bt)`, is forecast by
    simple exponential smoothing with level :math:`\ell`, and the two are averaged:

    .. math:: \hat y_{n+h} = \tfrac12 (a + b(n+h)) + \tfrac12 \ell_n

    which is exponential smoothing with drift b / 2 (Hyndman & Billah 2003). The season is taken out
    and put back as in the M4 competition: tested at 90 %, classical indices; multiplicative, or
    additive for data that are not positive. Forecasts are joint normals with variance
    :math:`\sigma^2 (1 + (h-1)\alpha^2)`, times the squared index.

    Parameters
    ----------
    season : rows per season; None takes it from the calendar, 1 means none.

    Raises
    ------
    ValueError
        for a series with fewer than 3 values.

    Sources: Assimakopoulos & Nikolopoulos (2000); Hyndman & Billah (2003); the benchmarks of
    Makridakis, Spiliotis & Assimakopoulos (2020).

    Examples
    --------
    >>> import numpy as np
    >>> from seqkit import Theta
    >>> Theta(season=1).fit(np.arange(1.0, 41.0)).predict(2).mean.round(2).tolist()
    [40.5, 41.0]
    """

    season: int | None = None

    def _learn(self, y: Array, clock: Calendar) -> ThetaState:
        values = y[:, 0]
        seen = np.flatnonzero(~np.isnan(values))
        if len(seen) < 3:
            raise self._too_short(len(seen), 3)
        period = period_of(self.season, clock)
        multiplicative = is_multiplicative(values)
        indices = np.ones(1) if multiplicative else np.zeros(1)
        if is_seasonal(values, period):
            indices = seasonal_indices(values, period, multiplicative=multiplicative)
        adjusted = remove_season(values, indices, multiplicative)
        t = np.arange(1.0, len(values) + 1.0)
        slope, intercept = _line(t[seen], adjusted[seen])
        second = 2.0 * adjusted - (intercept + slope * t)
        fit = fit_form(second, Form("A", "N", "N"), 1)
        alpha, level = fit.coefficients.alpha, fit.level
        end = _smooth(second, alpha, level)
        # An error of the second line counts half in the average.
        return ThetaState(
            intercept,
            slope,
            alpha,
            fit.sigma / 2.0,
            level,
            end.level,
            len(values),
            indices,
            multiplicative,
        )

    def _advance(self, state: ThetaState, y_new: Array) -> ThetaState:
        second, _, _ = _second_line(state, y_new[:, 0], state.rows)
        end = _smooth(second, state.alpha, state.level)
        return dataclasses.replace(state, level=end.level, rows=state.rows + len(y_new))

    def _ahead(self, state: ThetaState, horizon: int) -> JointNormal:
        t = state.rows + np.arange(1.0, horizon + 1.0)
        mean = (state.intercept + state.slope * t + state.level) / 2.0
        lag = np.subtract.outer(np.arange(horizon), np.arange(horizon))
        factor = state.sigma * np.select([lag == 0, lag > 0], [1.0, state.alpha], 0.0)
        season = season_of(state.indices, horizon, start=state.rows)
        if state.multiplicative:
            return JointNormal((mean * season)[:, None], factor * season[:, None])
        return JointNormal((mean + season)[:, None], factor)

    def _replay(self, state: ThetaState, y: Array, start: int) -> Normal:
        second, trend, season = _second_line(state, y[:, 0], start)
        level = state.initial_level if start == 0 else first_seen(second)
        smoothed = _smooth(second, state.alpha, level).means
        if start:  # a series that begins elsewhere starts from its own first value
            smoothed[: warm_up(second)] = np.nan
        mean = (trend + smoothed) / 2.0
        scale = np.full_like(mean, state.sigma)
        if state.multiplicative:
            return Normal((mean * season)[:, None], (scale * season)[:, None])
        return Normal((mean + season)[:, None], scale[:, None])


def _line(t: Array, y: Array) -> tuple[float, float]:
    """Least squares slope and intercept."""
    centred = t - t.mean()
    slope = float(centred @ y / (centred @ centred))
    return slope, float(y.mean() - slope * t.mean())


def _smooth(second: Array, alpha: float, level: float) -> Smoothed:
    return smooth(second, Coefficients(alpha), level, 0.0, np.zeros(1))


def _second_line(state: ThetaState, y: Array, start: int) -> tuple[Array, Array, Array]:
    """Theta line 2 of rows start, start + 1, ...; the trend and the season of those rows."""
    trend = state.intercept + state.slope * (start + np.arange(1.0, len(y) + 1.0))
    adjusted = remove_season(y, state.indices, state.multiplicative, start=start)
    return 2.0 * adjusted - trend, trend, season_of(state.indices, len(y), start=start)
