"""A model walking from origin to origin: cut, fit or update, predict."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqkit.data import Sequences, as_sequences
from seqkit.evaluation.inputs import Inputs
from seqkit.evaluation.splits import TimeSplit, Window

Array = NDArray[np.float64]


@dataclass
class Step:
    """The forecast of one window; distribution and actual are (series, horizon, channels)."""

    distribution: Any
    actual: Array
    fit_seconds: float
    predict_seconds: float


class Walk:
    """``model`` taken over ``windows`` of ``data``, oldest first.

    ``refit``: True fits anew at every origin, False only at the first and takes the rows between
    in by ``update``, a number fits anew at every so many origins. The model given is never
    fitted itself: each fit is of a fresh clone. After an error the next window fits anew.
    """

    def __init__(
        self,
        model: Any,
        data: Sequences,
        windows: Sequence[Window],
        *,
        covariates: Inputs | None = None,
        refit: bool | int = True,
    ) -> None:
        self.model = model
        self.data = data
        self.windows = windows
        self.covariates = covariates
        self.every = check_refit(refit)
        self._fitted: Any = None
        self._since = 0  # origins since the last fit
        self._known = 0  # cutoff the fitted model has seen, in rows from the end

    @property
    def fitted(self) -> Any:
        """The model as it stands at the last origin."""
        return self._fitted

    def step(self, number: int) -> Step:
        window = self.windows[number]
        start = perf_counter()
        fitted = self._at_origin(window)
        middle = perf_counter()
        ahead = window.gap + window.horizon
        forecast = fitted.predict(ahead, **self._ahead(-window.cutoff, ahead - window.cutoff))
        stop = perf_counter()
        distribution = forecast.distribution
        expected = (len(self.data), ahead, self.data.values.shape[1])
        if tuple(distribution.shape) != expected:
            raise ValueError(
                f"the forecast has shape {tuple(distribution.shape)}; expected (series, horizon, "
                f"channels) = {expected}."
            )
        if window.gap:
            distribution = distribution[:, window.gap :]
        return Step(distribution, actuals(self.data, window), middle - start, stop - middle)

    def _at_origin(self, window: Window) -> Any:
        fitted, self._fitted = self._fitted, None  # stays None if anything below fails
        if fitted is None or (self.every is not None and self._since >= self.every):
            length = window.train_length
            first = None if length is None else -window.cutoff - length
            train = self.data.window(first, -window.cutoff)
            model = unfitted(self.model)
            fitted = model.fit(train, **self._covariates(first, -window.cutoff))
            fitted = whole(model if fitted is None else fitted)
            self._since = 1
        else:
            new = self.data.window(-self._known, -window.cutoff)
            updated = fitted.update(new, **self._covariates(-self._known, -window.cutoff))
            fitted = fitted if updated is None else updated
            self._since += 1
        self._fitted, self._known = fitted, window.cutoff
        return fitted

    def _covariates(self, start: int | None, stop: int) -> dict[str, Any]:
        if self.covariates is None:
            return {}
        return {"covariates": self.covariates.window(start, stop or None)}

    def _ahead(self, start: int, stop: int) -> dict[str, Any]:
        known = None if self.covariates is None else self.covariates.ahead(start, stop or None)
        return {} if known is None else {"covariates": known}


def unfitted(model: Any) -> Any:
    """A clone; of a forecaster from elsewhere, without ``get_params``, a deep copy."""
    if not hasattr(model, "get_params"):
        return copy.deepcopy(model)
    from seqkit.base import clone

    return clone(model)


def whole(fitted: Any) -> Any:
    """The fitted model, unless Ctrl-C cut its training short: half a model must not be scored as a whole one."""
    if getattr(fitted, "interrupted_", False):
        raise KeyboardInterrupt("training was interrupted")
    return fitted


def check_refit(refit: bool | int) -> int | None:
    """Origins per fit; None for one fit only."""
    if refit is True:
        return 1
    if refit is False:
        return None
    if not isinstance(refit, (int, np.integer)) or refit < 1:
        raise ValueError(f"refit is {refit!r}; pass True, False or a number of origins, 1 or more.")
    return int(refit)


def actuals(data: Sequences, window: Window) -> Array:
    """The test part of every sequence: (series, horizon, channels)."""
    first = data.offsets[1:] - window.cutoff + window.gap
    return data.values[first[:, None] + np.arange(window.horizon)]


def cutoffs(data: Sequences, window: Window) -> list[Any]:
    """The last time trained on, of every sequence."""
    return [calendar.index[-window.cutoff - 1] for calendar in data.calendars]


def series_names(data: Sequences, single: str = "series") -> list[Any]:
    """What the sequences are called; ``single`` for one without a name of its own."""
    if data.single:
        name = data.columns[0] if len(data.columns) == 1 else None
        return [single if name is None else name]
    return list(data.keys)


def plan(
    x: Any, splits: TimeSplit, covariates: Any, single: str = "series"
) -> tuple[Sequences, list[Window], Inputs | None]:
    """Input, its windows and covariates of the same rows, checked."""
    data = as_sequences(x)
    if data.tokens:
        raise TypeError("x holds tokens; forecasts are evaluated on numbers.")
    if not isinstance(splits, TimeSplit):
        raise TypeError(
            f"splits is {splits!r}, which does not keep the test part behind the train part; pass "
            "HoldOut or RollingOrigin to evaluate forecasts."
        )
    names = series_names(data, single)
    windows = splits.windows_for([int(n) for n in data.lengths], names)
    if covariates is None:
        return data, windows, None
    known = Inputs.of(covariates)
    for called, given in known.varying():
        if len(given) != len(data) or (given.lengths != data.lengths).any():
            got = dict(zip(series_names(given), given.lengths.tolist(), strict=True))
            raise ValueError(
                f"{called} have (series: rows) {_few(got)} and x has "
                f"{_few(dict(zip(names, data.lengths.tolist(), strict=True)))}; pass {called} with a "
                "row for every row of x, the test parts included."
            )
    return data, windows, known


def _few(lengths: dict[Any, int]) -> str:
    shown = ", ".join(f"{name}: {rows}" for name, rows in list(lengths.items())[:3])
    return "{" + shown + (", ..." if len(lengths) > 3 else "") + "}"
