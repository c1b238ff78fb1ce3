"""Forecasters that learn every series, and every channel of it, on its own."""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from typing import Any

import numpy as np
import pandas as pd

from seqkit.base import Forecaster
from seqkit.data.calendar import Calendar
from seqkit.data.sequences import Array, Sequences
from seqkit.distributions import Distribution, Empirical, JointNormal, Normal, stack
from seqkit.persistence import Record


@dataclasses.dataclass(eq=False, repr=False)
class LocalForecaster(Forecaster):
    """One independent fit per series and channel. Families implement four hooks on (T, 1) arrays.

    The state that `_learn` returns is a `Record`, all that forecasting and updating need.
    """

    def _fit(self, data: Sequences, covariates: Array | None) -> None:
        self._refuse(covariates)
        states = []
        for i in range(len(data)):
            try:
                states.append([self._learn(y, data.calendars[i]) for y in _channels(data.array(i))])
            except ValueError as error:
                raise ValueError(
                    f"{data.label(i)}: {error}" if not data.single else str(error)
                ) from error
        self.states_ = states

    def _forecast(self, horizon: int, covariates: Array | None) -> Distribution:
        self._refuse(covariates)
        return stack([_beside([self._ahead(s, horizon) for s in row]) for row in self.states_])

    def _observe(self, data: Sequences, covariates: Array | None) -> None:
        self._refuse(covariates)
        self.states_ = [
            [
                self._advance(s, y) if len(y) else s
                for s, y in zip(row, _channels(data.array(i)), strict=True)
            ]
            for i, row in enumerate(self.states_)
        ]

    def _predictive(
        self, data: Sequences, positions: Array, covariates: Array | None
    ) -> Distribution:
        self._refuse(covariates)
        means, scales = [], []
        for i, position in enumerate(positions):
            pairs = zip(self.states_[position], _channels(data.array(i)), strict=True)
            start = self._clock(int(position), data.calendars[i])
            steps = [self._replay(state, y, start) for state, y in pairs]
            means.append(np.concatenate([s.mean for s in steps], axis=1))
            scales.append(np.concatenate([s.scale for s in steps], axis=1))
        return Normal(np.concatenate(means), np.concatenate(scales))

    def _refuse(self, covariates: Array | None) -> None:
        if covariates is not None:
            raise ValueError(
                f"{type(self).__name__} does not use covariates; leave them out, or use AR"
            )

    def _told(self, name: str) -> Any:
        """An attribute of the states: one value, or one per series (and channel) by name."""
        header = self._fitted()
        rows = [[getattr(state, name) for state in row] for row in self.states_]
        if len(rows[0]) > 1:
            return pd.DataFrame(rows, index=pd.Index(header.keys), columns=pd.Index(header.columns))
        if header.single:
            return rows[0][0]
        keys = pd.Index(header.keys, name="series", tupleize_cols=False)
        return pd.Series([row[0] for row in rows], index=keys, name=name)

    @staticmethod
    def _too_short(length: int, needed: int) -> ValueError:
        return ValueError(
            f"needs at least {needed} observed values, got {length}; give a longer series"
        )

    @abstractmethod
    def _learn(self, y: Array, clock: Calendar) -> Any:
        """The state after fitting `y`, (T, 1) in model units, NaN where missing."""

    @abstractmethod
    def _advance(self, state: Any, y_new: Array) -> Any:
        """The state after `y_new`, without refitting; `state` itself is left alone."""

    @abstractmethod
    def _ahead(self, state: Any, horizon: int) -> Distribution:
        """The next `horizon` steps, (horizon, 1), joint where the model has it."""

    @abstractmethod
    def _replay(self, state: Any, y: Array, start: int) -> Normal:
        """The predictive normal of each row of `y` given the rows before it, (T, 1), the learnt parameters fixed.

        `y` begins `start` steps after the first row of the fit; rows that cannot be predicted are NaN.
        """


def _channels(values: Array) -> list[Array]:
    return [values[:, c : c + 1] for c in range(values.shape[1])]


def _beside(parts: list[Distribution]) -> Distribution:
    """Channels, forecast independently, next to each other: (horizon, 1) each, (horizon, channels) together."""
    if len(parts) == 1:
        return parts[0]
    mean = np.concatenate([p.mean for p in parts], axis=-1)
    if all(isinstance(p, JointNormal) for p in parts):
        horizon, channels = mean.shape
        widths = [p.factor.shape[-1] for p in parts]  # type: ignore[attr-defined]
        factor = np.zeros((horizon, channels, sum(widths)))
        for c, (part, end) in enumerate(zip(parts, np.cumsum(widths), strict=True)):
            factor[:, c, end - widths[c] : end] = part.factor  # type: ignore[attr-defined]
        return JointNormal(mean, factor.reshape(horizon * channels, -1))
    if all(type(p) is Normal for p in parts):
        return Normal(mean, np.concatenate([p.scale for p in parts], axis=-1))
    rng = np.random.default_rng(0)
    return Empirical(np.concatenate([p.sample(2000, rng) for p in parts], axis=-1))


@dataclasses.dataclass(eq=False, repr=False)
class LikelihoodForecaster(LocalForecaster):
    """A local forecaster whose states tell `form`, `parameters`, `log_likelihood`, `aic` and `bic`.

    Each is one value, or a Series (a frame) for several series (and channels). Likelihoods are in model
    units, after scaling and after the differences that the model takes itself.
    """

    @property
    def form_(self) -> Any:
        """The form chosen, e.g. ``"ETS(M,Ad,M)"`` or ``"ARIMA(0,1,1)(0,1,1)[12]"``."""
        return self._told("form")

    @property
    def parameters_(self) -> Any:
        """Estimates by name."""
        return self._told("parameters")

    @property
    def log_likelihood_(self) -> Any:
        """Log-likelihood at the estimates."""
        return self._told("log_likelihood")

    @property
    def aic_(self) -> Any:
        """Akaike's criterion."""
        return self._told("aic")

    @property
    def bic_(self) -> Any:
        """Schwarz's criterion."""
        return self._told("bic")


class State(Record):
    """Base of the states of local forecasters."""


def period_of(season: int | None, clock: Calendar) -> int:
    """Steps per season: the number asked for, or that of the calendar for None."""
    period = clock.season if season is None else season
    if isinstance(period, bool) or not isinstance(period, (int, np.integer)) or period < 1:
        raise ValueError(
            f"season must be a positive number of steps, or None for the calendar's; got {season!r}"
        )
    return int(period)


def warm_up(y: Array) -> int:
    """Rows up to and with the first observed one."""
    seen = np.flatnonzero(~np.isnan(y))
    return int(seen[0]) + 1 if len(seen) else len(y)


def first_seen(y: Array) -> float:
    """The first observed value, NaN if there is none."""
    seen = y[~np.isnan(y)]
    return float(seen[0]) if len(seen) else np.nan
