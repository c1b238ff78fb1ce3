"""Seasonal ARIMA, with the order chosen automatically."""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np

from seqkit.base import ConvergenceWarning, check_count
from seqkit.data.calendar import Calendar
from seqkit.data.sequences import Array
from seqkit.distributions import JointNormal, Normal
from seqkit.models.autoregression import _arima_fit as arima
from seqkit.models.autoregression import _arima_search as choice
from seqkit.models.autoregression import _arima_state as space
from seqkit.models.autoregression._arima_fit import Fit
from seqkit.models.autoregression._arima_order import Order, difference, least_root, trend_of
from seqkit.models.local import LikelihoodForecaster, State, period_of

_CRITERIA = ("aicc", "aic", "bic")


@dataclasses.dataclass(eq=False)
class ARIMAState(State):
    """Order, estimates and the predicted state of the next row; enough to go on without refitting."""

    p: int
    d: int
    q: int
    P: int
    D: int
    Q: int
    m: int
    constant: bool
    coefficients: Array
    sigma2: float
    spread: float
    log_likelihood: float
    aic: float
    aicc: float
    bic: float
    rows: int
    mean: Array
    cov: Array

    @property
    def order(self) -> Order:
        return Order(self.p, self.d, self.q, self.P, self.D, self.Q, self.m, self.constant)

    @property
    def form(self) -> str:
        return self.order.name

    @property
    def parameters(self) -> dict[str, float]:
        """Estimates by name: ar1, ..., ma1, ..., seasonal_ar1, ..., seasonal_ma1, ..., constant."""
        counts = (("ar", self.p), ("ma", self.q), ("seasonal_ar", self.P), ("seasonal_ma", self.Q))
        names = [f"{name}{i + 1}" for name, n in counts for i in range(n)]
        names += ["constant"] * self.constant
        return dict(zip(names, self.coefficients.tolist(), strict=True))


@dataclasses.dataclass(eq=False, repr=False)
class AutoARIMA(LikelihoodForecaster):
    r"""Seasonal ARIMA (p, d, q)(P, D, Q) with season m, its order chosen by information criterion.

    .. math::

        \phi(B)\Phi(B^m) \left( (1-B)^d (1-B^m)^D y_t - \mu \right) = \theta(B)\Theta(B^m) e_t,
        \quad e_t \sim N(0, \sigma^2)

    D is 1 when the seasonal strength exceeds 0.64 (Wang, Smith & Hyndman 2006), d grows while a KPSS
    test rejects a level at 5 %, and the rest is a stepwise search that refuses roots within 1 % of
    the unit circle (Hyndman & Khandakar 2008). The search ranks orders by approximate fits; the best
    are refitted by exact maximum likelihood. The constant mu is offered when d + D < 2.

    Missing values are interpolated for the search, and treated exactly in the final fit, in
    filtering and in forecasts. Forecasts are joint normals from the state space form, with the
    parameters taken as known.

    Parameters
    ----------
    season : rows per season; None takes it from the calendar, 1 means none.
    max_p, max_q, max_P, max_Q, max_d, max_D : limits of the search.
    ic : "aicc", "aic" or "bic".
    stepwise : False tries every order with p + q + P + Q up to 5.
    order : (p, d, q), to fit this order instead of searching.
    seasonal_order : (P, D, Q), or (P, D, Q, m), with `order`; none when left out.

    Raises
    ------
    ValueError
        for a series too short, and an order that is not three counts.

    Warns
    -----
    ConvergenceWarning
        when no order was admissible and the series is forecast by its differences alone.

    Examples
    --------
    >>> import numpy as np
    >>> from seqkit import AutoARIMA
    >>> y = np.cumsum(np.random.default_rng(0).normal(size=200))
    >>> AutoARIMA(season=1).fit(y).form_
    'ARIMA(0,1,0)'
    """

    season: int | None = None
    max_p: int = 5
    max_q: int = 5
    max_P: int = 2
    max_Q: int = 2
    max_d: int = 2
    max_D: int = 1
    ic: str = "aicc"
    stepwise: bool = True
    order: tuple[int, int, int] | None = None
    seasonal_order: tuple[int, ...] | None = None

    # -- what was learnt -------------------------------------------------------------------------

    # -- hooks -----------------------------------------------------------------------------------

    def _learn(self, y: Array, clock: Calendar) -> ARIMAState:
        for name in ("max_p", "max_q", "max_P", "max_Q", "max_d", "max_D"):
            check_count(name, getattr(self, name), 0)
        if self.ic not in _CRITERIA:
            raise ValueError(f"ic must be one of {list(_CRITERIA)}, got {self.ic!r}")
        values, period = y[:, 0], period_of(self.season, clock)
        n = int(np.count_nonzero(~np.isnan(values)))
        fixed = self._fixed(period)
        needed = 5 if fixed is None else fixed.lost + fixed.size + 1
        if n < needed:
            raise self._too_short(n, needed)
        size = float(np.nanmean(np.abs(values))) or 1.0
        spread = float(np.nanstd(values))
        unit = spread if spread > 1e-10 * size else size
        z = values / unit
        fit = self._search(z, period, n) if fixed is None else _fit_order(z, fixed)
        # A series without noise has no scale of its own; keep its variance above zero.
        least = (1e-8 * size / unit) ** 2
        fit = dataclasses.replace(fit, sigma2=max(fit.sigma2, least))
        return _state(arima.rescaled(fit, unit), values, unit)

    def _fixed(self, period: int) -> Order | None:
        """The order asked for, if one was."""
        if self.order is None:
            if self.seasonal_order is not None:
                raise ValueError("seasonal_order is used with order; pass order=(p, d, q) as well")
            return None
        tail = tuple(self.seasonal_order or (0, 0, 0))
        m = tail[3] if len(tail) == 4 else period
        counts = (*self.order, *tail[:3])
        if len(counts) != 6 or any(not isinstance(c, (int, np.integer)) or c < 0 for c in counts):
            raise ValueError(
                "order must be three counts (p, d, q) and seasonal_order (P, D, Q) or (P, D, Q, m), "
                f"got {self.order!r} and {self.seasonal_order!r}"
            )
        if any(tail[:3]) and m < 2:
            raise ValueError(f"seasonal_order={self.seasonal_order!r} needs a season of 2 or more")
        p, d, q, P, D, Q = (int(c) for c in counts)
        return Order(p, d, q, P, D, Q, int(m) if any(tail[:3]) else 1, constant=d + D < 2)

    def _search(self, z: Array, period: int, n: int) -> Fit:
        period = period if n >= 2 * period + 2 else 1
        third = n // 3
        limits = choice.Limits(
            p=min(self.max_p, third),
            q=min(self.max_q, third),
            P=min(self.max_P, third // period) if period > 1 else 0,
            Q=min(self.max_Q, third // period) if period > 1 else 0,
            d=self.max_d,
            D=self.max_D,
        )
        filled = choice.fill(z, period)
        d, D = choice.choose_differences(filled, period, limits)
        search = choice.Search(filled, Order(0, d, 0, 0, D, 0, period), limits, self.ic)
        search.stepwise() if self.stepwise else search.everything()
        ranked = search.ranked()
        flat = arima.is_flat(search.w)
        finals = [fit if flat else arima.maximise(z, fit) for fit in ranked[: choice.FINALISTS]]
        good = [f for f in finals if least_root(f.order, f.x) > arima.NEAR_UNIT]
        if good:
            return min(good, key=lambda fit: fit.criterion(self.ic))
        if len(ranked) > 1:
            warnings.warn(
                "AutoARIMA found no order away from the unit circle; the best of the rest is used. "
                "Pass order=, or transform the series",
                ConvergenceWarning,
                stacklevel=5,
            )
        return min(finals, key=lambda fit: fit.criterion(self.ic))

    def _advance(self, state: ARIMAState, y_new: Array) -> ARIMAState:
        system, trend = _parts(state, len(y_new), state.rows)
        _, _, mean, cov = space.run(system, y_new[:, 0] - trend, state.mean, state.cov)
        return dataclasses.replace(state, mean=mean, cov=cov, rows=state.rows + len(y_new))

    def _ahead(self, state: ARIMAState, horizon: int) -> JointNormal:
        system, trend = _parts(state, horizon, state.rows)
        means, factor = space.ahead(system, state.mean, state.cov, horizon)
        return JointNormal((trend + means)[:, None], factor)

    def _replay(self, state: ARIMAState, y: Array, start: int) -> Normal:
        system, trend = _parts(state, len(y), start)
        lost = state.order.lost
        z = y[:, 0] - trend
        means, scales = np.full(len(z), np.nan), np.full(len(z), np.nan)
        if len(z) > lost:
            mean, cov = space.start(system, z[:lost], state.spread)
            means[lost:], variances, _, _ = space.run(system, z[lost:], mean, cov)
            vague = space.is_vague(variances, state.spread)
            variances[vague] = means[lost:][vague] = np.nan
            scales[lost:] = np.sqrt(variances)
        return Normal((trend + means)[:, None], scales[:, None])


def _fit_order(z: Array, order: Order) -> Fit:
    w = difference(choice.fill(z, order.m), order)
    fit = None if arima.is_flat(w) else arima.approximate(w, order)
    return arima.plain(w, order) if fit is None else arima.maximise(z, fit)


def _parts(state: ARIMAState, length: int, start: int) -> tuple[space.System, Array]:
    """State space matrices, and the trend that the constant stands for in rows start, ..."""
    order = state.order
    trend = np.zeros(length)
    if order.constant:
        trend = state.coefficients[-1] * trend_of(order, length, start)
    return space.system(order, state.coefficients, state.sigma2), trend


def _state(fit: Fit, values: Array, spread: float) -> ARIMAState:
    o = fit.order
    state = ARIMAState(
        p=o.p,
        d=o.d,
        q=o.q,
        P=o.P,
        D=o.D,
        Q=o.Q,
        m=o.m,
        constant=o.constant,
        coefficients=fit.x,
        sigma2=fit.sigma2,
        spread=spread,
        log_likelihood=fit.log_likelihood,
        aic=fit.criterion("aic"),
        aicc=fit.criterion("aicc"),
        bic=fit.criterion("bic"),
        rows=len(values),
        mean=np.zeros(0),
        cov=np.zeros((0, 0)),
    )
    system, trend = _parts(state, len(values), 0)
    z = values - trend
    mean, cov = space.start(system, z[: o.lost], spread)
    _, _, mean, cov = space.run(system, z[o.lost :], mean, cov)
    return dataclasses.replace(state, mean=mean, cov=cov)
