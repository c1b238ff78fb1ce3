"""Forecasts of one model from successive origins, set beside what happened."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from seqkit.data import Sequences
from seqkit.evaluation.splits import TimeSplit, Window
from seqkit.evaluation.walk import Step, Walk, cutoffs, plan, series_names


def backtest(
    model: Any,
    x: Any,
    splits: TimeSplit,
    *,
    covariates: Any = None,
    refit: bool | int = True,
    level: Iterable[float] = (80, 95),
    progress: bool | None = None,
) -> pd.DataFrame:
    """Forecast every test part of ``splits`` and return it next to the actuals.

    Parameters
    ----------
    model : a forecaster; it is cloned, never fitted itself.
    x : one series or a panel, in any form `seqkit` accepts.
    splits : `HoldOut` or `RollingOrigin`.
    covariates : of the same rows as ``x``, if the model takes them; or `seqkit.Covariates`, of which the model sees
        at each origin what would be known then.
    refit : True fits at every origin; False fits once and then uses ``update``; a number fits at
        every so many origins.
    level : central intervals to report, in percent.
    progress : True or False for a progress bar; None shows one on a terminal.

    Returns
    -------
    A long frame: series, window, cutoff (last time trained on), step (from 1; counted after the
    gap), time, [channel,] actual, mean, median, lo-80, hi-80, ...; one row per series, window,
    step (and channel where there are several).

    Raises ValueError if a series is too short, naming it, and whatever the model raises.
    """
    from tqdm import tqdm

    data, windows, known = plan(x, splits, covariates)
    levels = _levels(level)
    walk = Walk(model, data, windows, covariates=known, refit=refit)
    silent = None if progress is None else not progress
    frames = []
    for number in tqdm(range(len(windows)), desc="backtest", unit="window", disable=silent):
        step = walk.step(number)
        frames.append(_frame(data, windows[number], number, step, levels))
    result = pd.concat(frames, ignore_index=True)
    order = [c for c in ("series_order", "window", "row") if c in result]
    return result.sort_values(order, kind="stable", ignore_index=True).drop(
        columns=["series_order", "row"]
    )


def _levels(level: Iterable[float]) -> tuple[float, ...]:
    given: Any = [level] if np.isscalar(level) else level
    levels = tuple(float(value) for value in given)
    for value in levels:
        if not 1.0 < value < 100.0:
            raise ValueError(f"level is {value!r}; it is a percentage such as 80 or 95.")
    return tuple(sorted(levels))


def _frame(
    data: Sequences, window: Window, number: int, step: Step, levels: Sequence[float]
) -> pd.DataFrame:
    n, h, c = step.actual.shape
    names, ends = series_names(data), cutoffs(data, window)
    first = -window.cutoff + window.gap
    times = [cal.index[slice(first, (first + h) or None)] for cal in data.calendars]
    table: dict[str, Any] = {
        "series": _repeat(names, h * c),
        "window": number,
        "cutoff": _repeat(ends, h * c),
        "step": np.tile(np.repeat(np.arange(1, h + 1), c), n),
        "time": _joined(times).repeat(c),
    }
    if c > 1:
        table["channel"] = np.tile(np.array(list(data.columns), dtype=object), n * h)
    d = step.distribution
    table["actual"] = step.actual.ravel()
    table["mean"] = np.asarray(d.mean).ravel()
    table["median"] = np.asarray(d.median).ravel()
    for value in levels:
        tail = round((100.0 - value) / 200.0, 12)
        table[f"lo-{value:g}"] = np.asarray(d.quantile(tail)).ravel()
        table[f"hi-{value:g}"] = np.asarray(d.quantile(1.0 - tail)).ravel()
    frame = pd.DataFrame(table)
    frame["series_order"] = np.repeat(np.arange(n), h * c)
    frame["row"] = np.tile(np.arange(h * c), n)
    return frame


def _joined(indexes: list[pd.Index]) -> pd.Index:
    """Times of several series as one index (of objects where their calendars differ in kind)."""
    return indexes[0].append(indexes[1:]) if len(indexes) > 1 else indexes[0]


def _repeat(values: list[Any], times: int) -> pd.Index:
    return pd.Index(values, tupleize_cols=False).repeat(times)
