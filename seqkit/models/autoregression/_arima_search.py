"""Which ARIMA order? Differences by tests, the rest by a stepwise search (the choice in ``AutoARIMA``).

Hyndman & Khandakar (2008), "Automatic time series forecasting: the forecast package for R".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from seqkit.kernels.seasonality import remove_season, restore_season, seasonal_indices
from seqkit.kernels.stl import stl
from seqkit.models.autoregression import _arima_fit as arima
from seqkit.models.autoregression._arima_fit import Fit
from seqkit.models.autoregression._arima_order import Order, difference, least_root

KPSS_LEVEL = 0.463  # 5 % point of the level statistic (Kwiatkowski et al. 1992, table 1)
STRENGTH = 0.64  # seasonal strength above which to difference (Wang, Smith & Hyndman 2006)
MOST_MODELS = 94  # as R's auto.arima
FINALISTS = 3


@dataclass(frozen=True)
class Limits:
    """How far a search may go."""

    p: int = 5
    q: int = 5
    P: int = 2
    Q: int = 2
    d: int = 2
    D: int = 1
    total: int = 5  # p + q + P + Q, full search only

    def hold(self, o: Order) -> bool:
        return (
            0 <= o.p <= self.p and 0 <= o.q <= self.q and 0 <= o.P <= self.P and 0 <= o.Q <= self.Q
        )


def fill(y: np.ndarray, m: int) -> np.ndarray:
    """Interpolate missing values, after taking out the season; for tests and search only."""
    seen = ~np.isnan(y)
    if seen.all():
        return y
    t = np.arange(len(y))
    indices = seasonal_indices(y, m, multiplicative=False) if len(y) >= 2 * m else np.zeros(1)
    adjusted = remove_season(y, indices, False)
    return restore_season(np.interp(t, t[seen], adjusted[seen]), indices, False)


def kpss(y: np.ndarray) -> float:
    """KPSS statistic for stationarity around a level; zero for a constant series.

    Bartlett weights over 3 sqrt(n) / 13 lags, as R's ``ndiffs``. Kwiatkowski, Phillips, Schmidt &
    Shin (1992).
    """
    n = len(y)
    e = y - y.mean()
    lags = int(3.0 * np.sqrt(n) / 13.0)
    variance = e @ e / n
    for k in range(1, lags + 1):
        variance += 2.0 * (1.0 - k / (lags + 1.0)) * (e[k:] @ e[:-k]) / n
    if not variance > 1e-20 * np.mean(y * y):
        return 0.0
    return float(np.sum(np.cumsum(e) ** 2) / (n * n * variance))


def seasonal_strength(y: np.ndarray, m: int) -> float:
    """1 - Var(remainder) / Var(season + remainder) of an STL decomposition, within [0, 1]."""
    _, season, rest = stl(y, m)
    both = np.var(rest + season)
    if both <= 1e-12 * np.var(y):
        return 0.0
    return float(np.clip(1.0 - np.var(rest) / both, 0.0, 1.0))


def choose_differences(y: np.ndarray, m: int, limits: Limits) -> tuple[int, int]:
    """(d, D): D while the season is strong, then d while the KPSS test rejects a level."""
    D = 0
    while (
        m > 1
        and D < limits.D
        and len(y) >= 3 * m + 2
        and np.ptp(y) > 0
        and seasonal_strength(y, m) > STRENGTH
    ):
        y, D = y[m:] - y[:-m], D + 1
    d = 0
    while d < limits.d and d + D < 3 and len(y) > 4 and np.ptp(y) > 0 and kpss(y) > KPSS_LEVEL:
        y, d = np.diff(y), d + 1
    return d, D


def neighbours(o: Order) -> Iterator[Order]:
    """The moves of the stepwise search, in the order tried."""
    for dP, dQ in ((-1, 0), (0, -1), (1, 0), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1)):
        if o.m > 1:
            yield replace(o, P=o.P + dP, Q=o.Q + dQ)
    for dp, dq in ((-1, 0), (0, -1), (1, 0), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1)):
        yield replace(o, p=o.p + dp, q=o.q + dq)
    yield replace(o, constant=not o.constant)


class Search:
    """Fits of one series by order, each done once, compared by an information criterion."""

    def __init__(self, y: np.ndarray, base: Order, limits: Limits, ic: str) -> None:
        self.w = difference(y, base)
        self.base, self.limits, self.ic = base, limits, ic
        self.fits: dict[Order, Fit | None] = {}

    def value(self, o: Order) -> float:
        """The criterion of an order; infinite where it is refused."""
        if o not in self.fits:
            if arima.is_flat(self.w):
                self.fits[o] = arima.plain(self.w, o)
            else:
                self.fits[o] = arima.approximate(self.w, o) if len(self.w) > o.size else None
        fit = self.fits[o]
        if fit is None or least_root(o, fit.x) < arima.NEAR_UNIT:
            return np.inf
        return fit.criterion(self.ic)

    def stepwise(self) -> None:
        """Hyndman & Khandakar (2008), section 3.2: move to the first neighbour that is better."""
        b, lim = self.base, self.limits
        b = replace(b, constant=b.d + b.D < 2)
        firsts = [(2, 2, 1, 1), (0, 0, 0, 0), (1, 0, 1, 0), (0, 1, 0, 1)]
        starts = [
            replace(b, p=min(p, lim.p), q=min(q, lim.q), P=min(P, lim.P), Q=min(Q, lim.Q))
            for p, q, P, Q in firsts
        ]
        best = min([*starts, replace(b, constant=False)], key=self.value)
        moved = True
        while moved and len(self.fits) < MOST_MODELS:
            moved = False
            for o in neighbours(best):
                if not lim.hold(o) or o in self.fits or (o.constant and o.d + o.D >= 2):
                    continue
                if self.value(o) < self.value(best):
                    best, moved = o, True
                    break

    def everything(self) -> None:
        """Every order within the limits."""
        lim, b = self.limits, self.base
        ranges = (range(n + 1) for n in (lim.p, lim.q, lim.P, lim.Q))
        for p, q, P, Q in product(*ranges):
            if p + q + P + Q <= lim.total:
                for constant in (False, True)[: 2 if b.d + b.D < 2 else 1]:
                    self.value(replace(b, p=p, q=q, P=P, Q=Q, constant=constant))

    def ranked(self) -> list[Fit]:
        """Admissible fits, best first; the simplest one when none is admissible."""
        good = [f for o, f in self.fits.items() if f is not None and np.isfinite(self.value(o))]
        if good:
            return sorted(good, key=lambda f: f.criterion(self.ic))
        return [arima.plain(self.w, replace(self.base, constant=self.base.d + self.base.D < 2))]
