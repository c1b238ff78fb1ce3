"""Exponential smoothing, chosen and fitted by likelihood."""

from __future__ import annotations

import dataclasses
import zlib
from itertools import product

import numpy as np

from seqkit.base import check_count
from seqkit.data.calendar import Calendar
from seqkit.data.sequences import Array
from seqkit.distributions import Distribution, Empirical, JointNormal, Normal
from seqkit.kernels.seasonality import season_of
from seqkit.kernels.smoothing import Coefficients, Smoothed, response, simulate, smooth
from seqkit.models.local import LikelihoodForecaster, State, first_seen, period_of, warm_up
from seqkit.models.smoothing import _ets_fit as fitting
from seqkit.models.smoothing._ets_fit import Fit, Form

_ERROR = {"auto": ("A", "M"), "add": ("A",), "mul": ("M",)}
_TREND = {"auto": ("N", "A", "Ad"), None: ("N",), "add": ("A",), "damped": ("Ad",)}
_SEASONAL = {"auto": ("N", "A", "M"), None: ("N",), "add": ("A",), "mul": ("M",)}
_CRITERIA = ("aicc", "aic", "bic")


@dataclasses.dataclass(eq=False)
class ETSState(State):
    """A fitted form: parameters, the states before the first row, and those before the next one."""

    form: str
    alpha: float
    beta: float
    gamma: float
    phi: float
    sigma: float
    initial_level: float
    initial_slope: float
    initial_season: Array
    level: float
    slope: float
    season: Array
    log_likelihood: float
    aic: float
    aicc: float
    bic: float

    @property
    def parameters(self) -> dict[str, float]:
        """The smoothing parameters the form has, by name."""
        return {name: getattr(self, name) for name in Form.parse(self.form).smoothing()}

    @property
    def coefficients(self) -> Coefficients:
        multiplies = Form.parse(self.form).season == "M"
        return Coefficients(self.alpha, self.beta, self.gamma, self.phi, multiplies)


@dataclasses.dataclass(eq=False, repr=False)
class ETS(LikelihoodForecaster):
    r"""Exponential smoothing: the forms ETS(error, trend, season) of Hyndman et al. (2008).

    .. math::

        y_t = \mu_t + e_t \text{ or } \mu_t (1 + e_t), \quad
        \mu_t = (\ell_{t-1} + \phi b_{t-1}) \;[+ \text{ or } \times]\; s_{t-m}, \quad
        e_t \sim N(0, \sigma^2)

    with the recursions of `seqkit.kernels.smoothing`. Parameters and initial states maximise the
    likelihood within 0 < beta < alpha < 1, 0 < gamma < 1 - alpha, 0.8 < phi < 0.98; among the forms
    left open the one with the least `ic` is kept. As in R's ``ets``, "auto" leaves out multiplicative
    forms for data that are not positive and the unstable pair of additive errors with a
    multiplicative season (still to be had by name).

    Additive forms forecast exact joint normals. The others forecast simulated paths, moved so that
    their mean is the point forecast (the recursion without errors) within the simulation's noise.

    Parameters
    ----------
    season : rows per season; None takes it from the calendar, 1 means none.
    error : "add", "mul", or "auto".
    trend : None, "add", "damped", or "auto".
    seasonal : None, "add", "mul", or "auto".
    ic : "aicc", "aic" or "bic".
    paths : number of simulated paths.
    seed : of the simulation; the same state and seed give the same forecast.

    Raises
    ------
    ValueError
        for a series with fewer values than the form has parameters, and for a multiplicative form
        on data that are not positive.

    Sources: Hyndman, Koehler, Snyder & Grose (2002); Hyndman, Koehler, Ord & Snyder (2008), tables
    2.2, 2.3 and 6.1.

    Examples
    --------
    >>> import numpy as np
    >>> from seqkit import ETS
    >>> y = np.arange(60.0) + np.tile([5.0, 0.0, -5.0, 0.0], 15)
    >>> model = ETS(season=4, error="add", trend="add").fit(y)
    >>> model.form_
    'ETS(A,A,A)'
    >>> model.predict(4).mean.round(1).tolist()
    [65.0, 61.0, 57.0, 63.0]
    """

    season: int | None = None
    error: str = "auto"
    trend: str | None = "auto"
    seasonal: str | None = "auto"
    ic: str = "aicc"
    paths: int = 2000
    seed: int = 0

    # -- what was learnt -------------------------------------------------------------------------

    # -- hooks -----------------------------------------------------------------------------------

    def _learn(self, y: Array, clock: Calendar) -> ETSState:
        check_count("paths", self.paths, 1)
        check_count("seed", self.seed, 0)
        values = y[:, 0]
        period = period_of(self.season, clock)
        n = int(np.count_nonzero(~np.isnan(values)))
        forms = self._forms(values, period)
        fitting_forms = [f for f in forms if _enough(f, len(values), n, period)]
        if not fitting_forms:
            smallest = min(forms, key=lambda f: f.size(period))
            needed = smallest.size(period)
            if smallest.season != "N":
                needed = max(needed, 2 * period)
            raise self._too_short(n, needed)
        fits = [fitting.fit_form(values, f, period) for f in fitting_forms]
        # Rounded: what equals but for rounding error goes to the first, the additive form.
        best = min(fits, key=lambda fit: (round(fit.criterion(self.ic), 6), fit.parameters))
        end = smooth(values, best.coefficients, best.level, best.slope, best.season)
        return _state(best, end)

    def _forms(self, values: Array, period: int) -> list[Form]:
        """The forms the options leave open for these data."""
        for name, table in (("error", _ERROR), ("trend", _TREND), ("seasonal", _SEASONAL)):
            if getattr(self, name) not in table:
                raise ValueError(
                    f"{name} must be one of {list(table)}, got {getattr(self, name)!r}"
                )
        if self.ic not in _CRITERIA:
            raise ValueError(f"ic must be one of {list(_CRITERIA)}, got {self.ic!r}")
        seen = values[~np.isnan(values)]
        positive = bool(np.all(seen > 0))
        if not positive and "mul" in (self.error, self.seasonal):
            raise ValueError(
                f"multiplicative forms need values above zero, the least is {seen.min():g}; "
                'use "add" or "auto" for error and seasonal'
            )
        if period == 1 and self.seasonal in ("add", "mul"):
            raise ValueError(
                f"seasonal={self.seasonal!r} needs a season of 2 or more; pass season="
            )
        forms = []
        for e, t, s in product(_ERROR[self.error], _TREND[self.trend], _SEASONAL[self.seasonal]):
            form = Form(e, t, s)
            unstable = e == "A" and s == "M" and "auto" in (self.error, self.seasonal)
            if (positive or not form.positive) and not unstable and (period > 1 or s == "N"):
                forms.append(form)
        return forms

    def _advance(self, state: ETSState, y_new: Array) -> ETSState:
        end = smooth(y_new[:, 0], state.coefficients, state.level, state.slope, state.season)
        return dataclasses.replace(state, level=end.level, slope=end.slope, season=end.season)

    def _ahead(self, state: ETSState, horizon: int) -> Distribution:
        form, c = Form.parse(state.form), state.coefficients
        start = (state.level, state.slope, state.season)
        point = smooth(np.full(horizon, np.nan), c, *start).means
        if form.linear:
            weights = np.r_[1.0, response(c, len(state.season), horizon)]
            lag = np.subtract.outer(np.arange(horizon), np.arange(horizon))
            factor = state.sigma * np.where(lag >= 0, weights[np.maximum(lag, 0)], 0.0)
            return JointNormal(point[:, None], factor)
        # The state is part of the seed: series of a panel must not share their errors.
        own = zlib.crc32(np.r_[start[0], start[1], start[2]].tobytes())
        noise = np.random.default_rng([self.seed, own]).standard_normal((self.paths, horizon))
        paths = simulate(c, *start, state.sigma * noise, relative=form.error == "M")
        return Empirical((paths + _recentring(paths, point))[:, :, None])

    @staticmethod
    def _without_season(state: ETSState, y: Array, season: Array) -> Array:
        form, indices = Form.parse(state.form), season_of(season, len(y))
        if form.season == "N":
            return y
        return y / indices if form.season == "M" else y - indices

    def _replay(self, state: ETSState, y: Array, start: int) -> Normal:
        season = np.roll(state.initial_season, -start)
        level = state.initial_level
        if start:  # a series that begins elsewhere starts from its own first value
            level = first_seen(self._without_season(state, y[:, 0], season))
        means = smooth(y[:, 0], state.coefficients, level, state.initial_slope, season).means
        if start:
            means[: warm_up(y[:, 0])] = np.nan
        relative = Form.parse(state.form).error == "M"
        scale = state.sigma * np.abs(means) if relative else np.full_like(means, state.sigma)
        return Normal(means[:, None], scale[:, None])


def _enough(form: Form, length: int, n: int, period: int) -> bool:
    return n >= form.size(period) and (form.season == "N" or length >= 2 * period)


def _recentring(paths: Array, point: Array) -> Array:
    """What moves the mean of the paths onto the point forecast, as far as noise explains the gap.

    Robust, so that a path that ran away does not drag all the others.
    """
    quarters = np.quantile(paths, [0.25, 0.75], axis=0)
    noise = 5.0 * (quarters[1] - quarters[0]) / 1.349 / np.sqrt(len(paths))
    return np.clip(point - paths.mean(axis=0), -noise, noise)


def _state(fit: Fit, end: Smoothed) -> ETSState:
    c = fit.coefficients
    return ETSState(
        form=fit.form.name,
        alpha=c.alpha,
        beta=c.beta,
        gamma=c.gamma,
        phi=c.phi,
        sigma=fit.sigma,
        initial_level=fit.level,
        initial_slope=fit.slope,
        initial_season=fit.season,
        level=end.level,
        slope=end.slope,
        season=end.season,
        log_likelihood=fit.log_likelihood,
        aic=fit.criterion("aic"),
        aicc=fit.criterion("aicc"),
        bic=fit.criterion("bic"),
    )
