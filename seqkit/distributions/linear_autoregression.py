"""Autoregressions whose coefficients depend on the hidden state (switching AR)."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from .base import Array
from .emission import Rows, is_complete
from .linear_regression import LinearRegression, _columns


class LinearAutoregression(LinearRegression):
    """y_t[c] = intercept[k, c] + coef[k, c] . (y_{t-1}, .., y_{t-order}, covariates_t) + N(0, var[k, c]) in state k.

    The inputs of a step are the values of all channels one step ago, two steps ago, .., then covariates if any,
    so that P = order * C + number of covariates. Lags never reach over the beginning of a sequence. A step any of
    whose lags is missing (the first `order` of each sequence too) counts as unobserved: its density says nothing of the
    states, so likelihoods are conditional on what comes before.

    Parameters
    ----------
    order : the number of lags, kept in `lags`.
    coef, intercept, var, floor : as in `LinearRegression`.

    Examples
    --------
    >>> from seqkit.distributions import LinearAutoregression
    >>> e = LinearAutoregression(1, coef=[[0.5]], intercept=[0.0], var=[1.0])
    >>> e.log_density(e.make_rows([[2.0], [1.0]])).round(4)
    array([[ 0.    ], [-0.9189]])

    Source: Hamilton (1989).
    """

    def __init__(
        self,
        order: int = 1,
        coef: Any = np.nan,
        intercept: Any = np.nan,
        var: Any = np.nan,
        *,
        floor: float | None = None,
    ):
        if order < 1:
            raise ValueError(f"order counts lags, so it is 1 or more; got {order!r}")
        self.lags = int(order)
        super().__init__(coef, intercept, var, floor=floor)

    def make_rows(self, values: Any, offsets: Any = None, covariates: Any = None) -> Rows:
        values = _columns(values)
        offsets = np.array([0, len(values)]) if offsets is None else np.asarray(offsets)
        inputs = self._lagged(values, offsets)
        if covariates is not None:
            inputs = np.column_stack([inputs, _columns(covariates)])
        unknown = np.isnan(inputs).any(1)
        values = np.where(unknown[:, None], np.nan, values)
        inputs[unknown] = 0.0
        return Rows(values, None, inputs, is_complete(values))

    def _lagged(self, values: Array, offsets: Array) -> Array:
        """(T, order * C), NaN before the beginning of a sequence."""
        parts = []
        for lag in range(1, self.lags + 1):
            part = np.full(values.shape, np.nan)
            part[lag:] = values[:-lag] if lag < len(values) else values[:0]
            for start, stop in pairwise(offsets):
                part[start : min(start + lag, stop)] = np.nan
            parts.append(part)
        return np.column_stack(parts)

    def next_rows(self, past: Any, covariates: Any = None) -> Rows:
        """The row of the step after `past` (T, C), without a value; its `laws` are the one-step forecasts."""
        past = _columns(past)
        blank = np.full((1, past.shape[1]), np.nan)
        if len(past) < self.lags or np.isnan(past[-self.lags :]).any():
            raise ValueError(f"the last {self.lags} steps must be observed to predict the next one")
        inputs = past[: -self.lags - 1 : -1].reshape(1, -1)
        if covariates is not None:
            inputs = np.column_stack([inputs, np.atleast_2d(np.asarray(covariates, float))])
        return Rows(blank, None, inputs, False)

    def draw(
        self, states: Any, rng: np.random.Generator, inputs: Any = None, past: Any = None
    ) -> Array:
        """A path (T, C) of one sequence.

        Parameters
        ----------
        inputs : covariates (T, ..), if there are any.
        past : (order, C) values before the first step; by default the level at which the first state rests.
        """
        states, channels = np.asarray(states), self.channels
        extra = np.zeros((len(states), 0)) if inputs is None else _columns(inputs)
        width = self.lags * channels + extra.shape[1]
        coef, intercept, var = self._sized(self.n_states, channels, width)[0]
        if past is None:
            first = int(states[0]) if len(states) else 0
            past = np.tile(_level(coef[first], intercept[first], self.lags), (self.lags, 1))
        path = np.concatenate([_columns(past)[-self.lags :], np.empty((len(states), channels))])
        noise = rng.standard_normal((len(states), channels)) * np.sqrt(var[states])
        for t, k in enumerate(states):
            lags = path[t : t + self.lags][::-1].reshape(-1)
            path[t + self.lags] = (
                coef[k] @ np.concatenate([lags, extra[t]]) + intercept[k] + noise[t]
            )
        return path[self.lags :]


def _level(coef: Array, intercept: Array, lags: int) -> Array:
    """The fixed point of the recursion (C,), without covariates; zeros where it is not stable."""
    channels = len(intercept)
    parts = coef[:, : lags * channels].reshape(channels, lags, channels)
    companion = np.eye(lags * channels, k=-channels)
    companion[:channels] = coef[:, : lags * channels]
    if np.abs(np.linalg.eigvals(companion)).max() >= 1 - 1e-6:
        return np.zeros(channels)
    return np.linalg.solve(np.eye(channels) - parts.sum(1), intercept)
