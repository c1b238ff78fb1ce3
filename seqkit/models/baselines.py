"""Baselines that keep every other model honest: Naive, SeasonalNaive, Drift, Mean, Naive2.

All of them give joint predictive distributions: a naive forecast is a random walk, so its errors add up
over the horizon and are correlated between steps (Hyndman & Athanasopoulos 2021, section 5.5).
"""

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

from .local import LocalForecaster, State, period_of

_FLOOR = 1e-8  # a constant series still gets a (very narrow) density, relative to its size


def spread(errors: Array, level: Array | float, parameters: int = 0) -> float:
    """Root mean square of the observed errors, kept above a tiny share of the series' own size."""
    seen = errors[~np.isnan(errors)]
    size = max(float(np.max(np.abs(np.nan_to_num(level)), initial=0.0)), 1e-300)
    if not len(seen):
        return size
    return max(float(np.sqrt(seen @ seen / max(len(seen) - parameters, 1))), _FLOOR * size)


def last_seen(y: Array) -> tuple[Array, Array]:
    """For each row, the last observed value before it and how many steps ago (NaN, 0 where there is none)."""
    rows = np.arange(len(y))
    where = np.maximum.accumulate(np.where(np.isnan(y), -1, rows))
    before = np.concatenate([[-1], where[:-1]])
    values = np.where(before >= 0, y[before], np.nan)
    return values, np.where(before >= 0, rows - before, 0)


class Walk(State):
    """A random walk: where it was last seen, how many steps ago, and the size of its steps."""

    def __init__(self, level: float, age: int, scale: float, slope: float = 0.0, span: int = 0):
        self.level, self.age, self.scale, self.slope, self.span = level, age, scale, slope, span

    @classmethod
    def learn(cls, y: Array, *, drift: bool = False) -> Walk:
        """From a series with at least two observed values; the slope joins the first and the last of them."""
        rows = np.flatnonzero(~np.isnan(y))
        slope = (y[rows[-1]] - y[rows[0]]) / (rows[-1] - rows[0]) if drift else 0.0
        previous, gap = last_seen(y)
        with np.errstate(invalid="ignore", divide="ignore"):
            steps = (y - previous - slope * gap) / np.sqrt(gap)
        scale = spread(steps, y, parameters=int(drift))
        return cls(
            float(y[rows[-1]]),
            len(y) - 1 - int(rows[-1]),
            scale,
            float(slope),
            int(rows[-1] - rows[0]) if drift else 0,
        )

    def advance(self, y_new: Array) -> Walk:
        rows = np.flatnonzero(~np.isnan(y_new))
        if not len(rows):
            return Walk(self.level, self.age + len(y_new), self.scale, self.slope, self.span)
        return Walk(
            float(y_new[rows[-1]]),
            len(y_new) - 1 - int(rows[-1]),
            self.scale,
            self.slope,
            self.span,
        )

    def ahead(self, horizon: int) -> JointNormal:
        """Mean level + slope k and var scale^2 (k + k^2 / span) at k steps after the last observed value."""
        k = self.age + np.arange(1.0, horizon + 1)
        parts = [np.tril(np.ones((horizon, horizon))), np.full((horizon, 1), np.sqrt(self.age))]
        if self.span:
            parts.append((k / np.sqrt(self.span))[:, None])  # the error of the estimated slope
        return JointNormal((self.level + self.slope * k)[:, None], self.scale * np.hstack(parts))

    def replay(self, y: Array) -> Normal:
        previous, gap = last_seen(y)
        variance = gap + (gap**2 / self.span if self.span else 0.0)  # as one step of `ahead`
        scale = np.where(gap > 0, self.scale * np.sqrt(variance), np.nan)
        return Normal((previous + self.slope * gap)[:, None], scale[:, None])


def _observed(y: Array) -> int:
    return int(np.count_nonzero(~np.isnan(y)))


@dataclasses.dataclass(eq=False, repr=False)
class Naive(LocalForecaster):
    """The last value goes on: y_{T+h} ~ N(y_T, h s^2), s^2 = mean (y_t - y_{t-1})^2.

    Examples
    --------
    >>> import numpy as np, seqkit
    >>> seqkit.Naive().fit(np.array([1.0, 3.0, 2.0])).predict(2).mean.tolist()
    [2.0, 2.0]
    """

    def _learn(self, y: Array, clock: Calendar) -> Walk:
        if _observed(y) < 2:
            raise self._too_short(_observed(y), 2)
        return Walk.learn(y[:, 0])

    def _advance(self, state: Walk, y_new: Array) -> Walk:
        return state.advance(y_new[:, 0])

    def _ahead(self, state: Walk, horizon: int) -> JointNormal:
        return state.ahead(horizon)

    def _replay(self, state: Walk, y: Array, start: int) -> Normal:
        return state.replay(y[:, 0])


@dataclasses.dataclass(eq=False, repr=False)
class Drift(Naive):
    """The line from the first to the last value goes on, with the slope's own uncertainty.

    y_{T+h} ~ N(y_T + h b, s^2 h (1 + h / (T - 1))), b = (y_T - y_1) / (T - 1).
    """

    def _learn(self, y: Array, clock: Calendar) -> Walk:
        if _observed(y) < 3:
            raise self._too_short(_observed(y), 3)
        return Walk.learn(y[:, 0], drift=True)


class Level(State):
    def __init__(self, mean: float, scale: float, count: int):
        self.mean, self.scale, self.count = mean, scale, count


@dataclasses.dataclass(eq=False, repr=False)
class Mean(LocalForecaster):
    """Independent values around one mean: y_{T+h} ~ N(m, s^2 (1 + 1/T))."""

    def _learn(self, y: Array, clock: Calendar) -> Level:
        if _observed(y) < 2:
            raise self._too_short(_observed(y), 2)
        mean = float(np.nanmean(y))
        return Level(mean, spread((y - mean)[:, 0], y, parameters=1), _observed(y))

    def _advance(self, state: Level, y_new: Array) -> Level:
        return state

    def _ahead(self, state: Level, horizon: int) -> JointNormal:
        shared = np.full((horizon, 1), 1 / np.sqrt(state.count))
        factor = state.scale * np.hstack([np.eye(horizon), shared])
        return JointNormal(np.full((horizon, 1), state.mean), factor)

    def _replay(self, state: Level, y: Array, start: int) -> Normal:
        return Normal(np.full(y.shape, state.mean), state.scale * np.sqrt(1 + 1 / state.count))


class SeasonalState(State):
    """One random walk per season: the last value of each, its age in seasons, and the common scale."""

    def __init__(self, values: Array, ages: Array, scale: float):
        self.values, self.ages, self.scale = values, ages, scale


@dataclasses.dataclass(eq=False, repr=False)
class SeasonalNaive(LocalForecaster):
    """The last season goes on: y_{T+h} ~ N(y_{T+h-mk}, k s^2), k = ceil(h / m), s^2 = mean (y_t - y_{t-m})^2.

    Parameters
    ----------
    season : m, in steps; None takes the calendar's (12 for months, 24 for hours, ...).
    """

    season: int | None = None

    def _learn(self, y: Array, clock: Calendar) -> SeasonalState:
        m = period_of(self.season, clock)
        if len(y) <= m or _observed(y) < 2:
            raise self._too_short(min(len(y), _observed(y)), m + 1)
        steps = _seasons(y[:, 0], m)
        previous, gap = (
            np.stack(p, 1) for p in zip(*(last_seen(column) for column in steps.T), strict=True)
        )
        with np.errstate(invalid="ignore", divide="ignore"):
            errors = ((steps - previous) / np.sqrt(gap)).ravel()
        scale = spread(errors, y)
        seen = [np.flatnonzero(~np.isnan(column)) for column in steps.T]
        overall = float(np.nanmean(y))  # for a season never observed
        values = [steps[rows[-1], j] if len(rows) else overall for j, rows in enumerate(seen)]
        ages = [len(steps) - 1 - rows[-1] if len(rows) else len(steps) for rows in seen]
        return SeasonalState(np.array(values), np.array(ages, float), scale)

    def _advance(self, state: SeasonalState, y_new: Array) -> SeasonalState:
        values, ages, m = state.values, state.ages, len(state.values)
        for start in range(0, len(y_new), m):
            block = y_new[start : start + m, 0]
            old_values, old_ages = values[: len(block)], ages[: len(block)]
            missing = np.isnan(block)
            values = np.concatenate([values[len(block) :], np.where(missing, old_values, block)])
            ages = np.concatenate([ages[len(block) :], np.where(missing, old_ages + 1, 0.0)])
        return SeasonalState(values, ages, state.scale)

    def _ahead(self, state: SeasonalState, horizon: int) -> JointNormal:
        m = len(state.values)
        h = np.arange(horizon)
        walk = ((h[:, None] - h) % m == 0) & (h[:, None] >= h)
        old = np.sqrt(state.ages[h % m])[:, None] * (h[:, None] % m == np.arange(m))
        return JointNormal(state.values[h % m][:, None], state.scale * np.hstack([walk, old]))

    def _replay(self, state: SeasonalState, y: Array, start: int) -> Normal:
        m = len(state.values)
        steps = _seasons(y[:, 0], m)
        pad = steps.size - len(y)
        previous, gap = (
            np.stack(p, 1).ravel()[pad:] for p in zip(*map(last_seen, steps.T), strict=True)
        )
        scale = np.where(gap > 0, state.scale * np.sqrt(np.maximum(gap, 1)), np.nan)
        return Normal(previous[:, None], scale[:, None])


def _seasons(y: Array, season: int) -> Array:
    """(seasons, season), the last row complete, the first one padded with NaN in front."""
    pad = -len(y) % season
    return np.concatenate([np.full(pad, np.nan), y]).reshape(-1, season)


class Naive2State(State):
    def __init__(self, walk: Walk, indices: Array, multiplicative: bool, phase: int):
        self.walk, self.indices, self.multiplicative, self.phase = (
            walk,
            indices,
            multiplicative,
            phase,
        )


@dataclasses.dataclass(eq=False, repr=False)
class Naive2(LocalForecaster):
    """The M4 competition's benchmark: Naive on the seasonally adjusted series, the season put back.

    A series is adjusted, by classical multiplicative decomposition, only if its autocorrelation at the season
    is significant at 90 %. With values at or below zero the decomposition is additive.
    Makridakis, Spiliotis & Assimakopoulos (2020).

    Parameters
    ----------
    season : m, in steps; None takes the calendar's. M4 itself uses 1 for weekly and daily data.
    """

    season: int | None = None

    def _learn(self, y: Array, clock: Calendar) -> Naive2State:
        if _observed(y) < 2:
            raise self._too_short(_observed(y), 2)
        m = period_of(self.season, clock)
        multiplicative = is_multiplicative(y)
        indices = np.ones(1) if multiplicative else np.zeros(1)
        if is_seasonal(y, m):
            indices = seasonal_indices(y, m)
        walk = Walk.learn(remove_season(y[:, 0], indices, multiplicative))
        return Naive2State(walk, indices, multiplicative, len(y) % len(indices))

    @staticmethod
    def _adjust(state: Naive2State, y: Array, start: int) -> Array:
        return remove_season(y[:, 0], state.indices, state.multiplicative, start=start)

    @staticmethod
    def _restore(state: Naive2State, adjusted: Normal, start: int) -> Normal:
        season = season_of(state.indices, len(adjusted.mean), start=start)[:, None]
        return (
            adjusted.affine(0.0, season) if state.multiplicative else adjusted.affine(season, 1.0)
        )

    def _advance(self, state: Naive2State, y_new: Array) -> Naive2State:
        walk = state.walk.advance(self._adjust(state, y_new, state.phase))
        phase = (state.phase + len(y_new)) % len(state.indices)
        return Naive2State(walk, state.indices, state.multiplicative, phase)

    def _ahead(self, state: Naive2State, horizon: int) -> Normal:
        return self._restore(state, state.walk.ahead(horizon), state.phase)

    def _replay(self, state: Naive2State, y: Array, start: int) -> Normal:
        return self._restore(state, state.walk.replay(self._adjust(state, y, start)), start)
