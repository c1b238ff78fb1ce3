"""Paths of hidden Markov models whose emissions look at their own past."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqkit.data.sequences import Array
from seqkit.distributions import Rows

from ._hmm_fit import Parameters


def simulate(
    p: Parameters, end: Array, past: Any, horizon: int, inputs: Array | None, rng: np.random.Generator,
    draws: int = 1000,
) -> Array:  # fmt: skip
    """(draws, horizon, C) values of the next steps, all paths at once.

    past : (L, C), rows from the last `order` complete ones on. What is missing after these is drawn step by step under
    the last state, observed values kept; where nothing is complete, from where that state rests.
    """
    order, channels = p.emission.lags, past.shape[1]  # type: ignore[attr-defined]
    states = p.chain.future_paths(end, horizon, inputs, draws, rng)
    known = len(past)
    rows = np.empty((draws, known + horizon, channels))
    rows[:, :known] = past
    law = end if end.ndim == 1 else end.sum(1)
    last = rng.choice(len(law), size=draws, p=law / law.sum())
    if np.isnan(past[:order]).any():
        for n, k in enumerate(last):
            rested = p.emission.draw(np.full(order + 20, k), rng)[-order:]
            rows[n, :order] = np.where(np.isnan(past[:order]), rested, past[:order])
    for t in range(order, known + horizon):
        if t < known and not np.isnan(past[t]).any():
            continue
        lags = rows[:, t - order : t][:, ::-1].reshape(draws, -1)
        if inputs is not None:
            lags = np.column_stack([lags, np.tile(inputs[max(t - known, 0)], (draws, 1))])
        drawn = _next(p.emission, lags, last if t < known else states[:, t - known], channels, rng)
        rows[:, t] = drawn if t >= known else np.where(np.isnan(past[t]), drawn, past[t])
    return rows[:, known:]


def _next(
    emission: Any, lags: Array, states: Array, channels: int, rng: np.random.Generator
) -> Array:
    """One value for every row of lags (n, P), from the law of its state (n,)."""
    values = np.empty((len(lags), channels))
    for k in np.unique(states):
        at = states == k
        blank = np.full((int(at.sum()), channels), np.nan)
        law = emission.laws(Rows(blank, None, lags[at], False))[k]
        values[at] = law.sample(1, rng)[0]
    return values
