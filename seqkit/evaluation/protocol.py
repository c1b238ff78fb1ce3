"""What `compare` is given, checked and made ready before any model is fitted."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqkit.data import Sequences
from seqkit.evaluation.catalogue import Metric
from seqkit.evaluation.inputs import Inputs
from seqkit.evaluation.losses import naive_scale, warn_no_scale
from seqkit.evaluation.splits import RollingOrigin, TimeSplit, Window
from seqkit.evaluation.walk import actuals, plan, series_names
from seqkit.evaluation.work import Part

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Dataset:
    """A data set made ready: its sequences, windows, season and what it is called."""

    name: str
    data: Sequences
    covariates: Inputs | None
    splits: TimeSplit
    windows: tuple[Window, ...]
    season: int
    scales: dict[int, Array]
    examples: tuple[int, ...]

    @property
    def names(self) -> list[Any]:
        return series_names(self.data, self.name)

    def part(self, positions: Iterable[int]) -> Part:
        everything = Part(
            tuple(range(len(self.data))), self.data, self.covariates, self.scales, self.examples
        )
        return everything.at(list(positions))


def named_models(models: Mapping[str, Any] | Iterable[Any]) -> dict[str, Any]:
    if isinstance(models, Mapping):
        named = {str(name): model for name, model in models.items()}
    else:
        if not isinstance(models, Iterable):
            raise TypeError(f"models is {models!r}; pass a dict of name -> forecaster.")
        named = {}
        for model in models:
            base = name = type(model).__name__
            number = 1
            while name in named:
                number += 1
                name = f"{base}-{number}"
            named[name] = model
    if not named:
        raise ValueError("models is empty; pass a dict of name -> forecaster.")
    for name, model in named.items():
        if isinstance(model, type) or not (hasattr(model, "fit") and hasattr(model, "predict")):
            raise TypeError(
                f"models[{name!r}] is {model!r}; pass an object with fit and predict, "
                "such as SeasonalNaive()."
            )
    return named


def make_ready(
    datasets: Any,
    horizon: Any,
    windows: Any,
    splits: Any,
    season: Any,
    covariates: Any,
    parts: list[Metric],
    examples: int,
) -> Iterator[Dataset]:
    if isinstance(datasets, Mapping):
        named = {str(name): x for name, x in datasets.items()}
        if not named:
            raise ValueError("datasets is empty; pass a dict of name -> series or panel.")
    else:
        label = getattr(datasets, "name", None)
        label = label if isinstance(label, str) and label else "data"
        named = {label: datasets}
        covariates = None if covariates is None else {label: covariates}
    if covariates is not None and not (
        isinstance(covariates, Mapping) and set(covariates) <= set(named)
    ):
        raise ValueError(
            "covariates must be a dict with names of data sets, "
            f"{', '.join(named)}, when datasets is one."
        )
    if (splits is None) == (horizon is None):
        raise ValueError("pass either horizon (and windows) or splits, one of the two.")
    for name, x in named.items():
        chosen = _own(splits, name, "splits")
        if chosen is None:
            chosen = RollingOrigin(_own(horizon, name, "horizon"), _own(windows, name, "windows"))
        try:
            data, cuts, known = plan(x, chosen, (covariates or {}).get(name), name)
        except (ValueError, TypeError) as error:
            raise type(error)(f"data set {name!r}: {error}") from error
        m = _season(name, data, _own(season, name, "season"))
        kept = np.unique(np.linspace(0, len(data) - 1, min(examples, len(data))).astype(int))
        made = Dataset(name, data, known, chosen, tuple(cuts), m, {}, tuple(int(i) for i in kept))
        made.scales.update(_scales(made, parts))
        _warn_of_zeros(made, parts)
        yield made


def _own(value: Any, name: str, argument: str) -> Any:
    """The value of one data set, where a dict gives each its own."""
    if not isinstance(value, Mapping):
        return value
    if name not in value:
        raise ValueError(f"{argument} has no entry for data set {name!r}; it has {[*value]}.")
    return value[name]


def _season(name: str, data: Sequences, season: Any) -> int:
    if season is not None:
        if isinstance(season, bool) or int(season) != season or season < 1:
            raise ValueError(f"season is {season!r}; pass a whole number of steps, 1 or more.")
        return int(season)
    found = {int(calendar.season) for calendar in data.calendars}
    if len(found) > 1:
        raise ValueError(
            f"data set {name!r} holds series of different seasons ({sorted(found)}); pass season, "
            "or one data set per frequency."
        )
    return found.pop()


def _scales(d: Dataset, parts: list[Metric]) -> dict[int, Array]:
    """Naive errors of the train part of each window: power -> (series, windows, channels)."""
    powers = {metric.scale: metric.name for metric in parts if metric.scale}
    if not powers:
        return {}
    scales: dict[int, list[Array]] = {power: [] for power in powers}
    for window in d.windows:
        length = window.train_length
        train = d.data.window(None if length is None else -window.cutoff - length, -window.cutoff)
        for power in powers:
            scales[power].append(naive_scale(train.values, train.offsets, d.season, power=power))
    stacked = {power: np.stack(found, axis=1) for power, found in scales.items()}
    for power, name in powers.items():
        without = np.flatnonzero(np.isnan(stacked[power]).any(axis=(1, 2)))
        if len(without):
            inside = "" if d.data.single else f" of {d.name!r}"
            warn_no_scale(name, [f"{d.names[i]!r}{inside}" for i in without], d.season)
            break  # what has no scale of one power has none of the other
    return stacked


def _warn_of_zeros(d: Dataset, parts: list[Metric]) -> None:
    if any(metric.name == "mape" for metric in parts):
        zeros = sum(int((actuals(d.data, window) == 0).sum()) for window in d.windows)
        if zeros:
            warnings.warn(
                f"mape leaves out {zeros} step(s) of data set {d.name!r} whose actual is zero; "
                "mase or smape cover them.",
                RuntimeWarning,
                stacklevel=4,
            )
