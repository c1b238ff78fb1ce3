"""Calibrated intervals around any forecaster, from its own past errors."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import numpy as np

from seqkit.base import Forecaster, check_count, clone
from seqkit.data.sequences import Array, Sequences
from seqkit.distributions import Distribution, Quantiles


@dataclasses.dataclass(eq=False, repr=False)
class Conformal(Forecaster):
    """A conformal predictive distribution: the model's median, spread by its own past errors at each step.

    The model is fitted once without the last third of the series and walked through it without refitting. The
    sizes of its h-step errors, in units of the standard deviation it claimed, are r_(1) <= .. <= r_(n).
    The forecast of a second fit, to all data, then has the central intervals

        median_h -+ scale_h r_(k)    at level k / (n + 1),  k = 1 .. n   (Lei et al. 2018, section 2.2),

    which cover as often as they did in the past, whatever the shape of the errors; exact for exchangeable
    errors. `update` moves the third that calibrates along. Only forecasts are recalibrated: `score` and
    `one_step` are those of the wrapped model.

    Parameters
    ----------
    model : any seqkit forecaster.
    windows : how many past forecasts, spread evenly over that third, calibrate (fewer if there are fewer).

    Examples
    --------
    >>> import seqkit
    >>> airline = seqkit.datasets.load("airline")
    >>> seqkit.Conformal(seqkit.AR(12)).fit(airline).predict(12).interval(90).shape
    (12, 2)
    """

    model: Forecaster
    windows: int = 200

    @property
    def pooled(self) -> bool:
        return self.model.pooled

    def _intake(self, x: Any, name: str, header: Any = None) -> Sequences:
        if not isinstance(self.model, Forecaster):
            raise TypeError(f"model must be a seqkit forecaster, got {self.model!r}")
        return self.model._intake(x, name, header)

    def _fit(self, data: Sequences, covariates: Array | None) -> None:
        check_count("windows", self.windows, 10)
        shortest = int(data.lengths.min())
        width = shortest // 3
        if width < 10:
            raise ValueError(
                f"the shortest series has {shortest} steps, but calibration takes a third of them and needs at "
                "least 10; give at least 30 steps"
            )
        inputs = self._named(data, covariates)
        self.fitted_ = clone(self.model).fit(data, covariates=inputs)
        past = data.window(None, -width)
        self._calibrated = clone(self.model).fit(past, covariates=_cut(inputs, None, -width))
        self._recent, self._recent_inputs = data.window(-width, None), _cut(inputs, -width, None)

    def _forecast(self, horizon: int, covariates: Array | None) -> Distribution:
        header = self._header
        ahead = [Sequences.blank(c.ahead(horizon), header.columns) for c in header.calendars]
        steps = ahead[0] if header.single else Sequences.join(ahead, header.keys)
        inputs = self._named(steps, covariates)
        forecast = self.fitted_.predict(horizon, covariates=inputs).distribution
        errors = self._errors(horizon)
        half = np.arange(1, len(errors) + 1) / (len(errors) + 1) / 2
        reach = forecast.scale * _quantiles(np.abs(errors), 2 * half)
        values = np.concatenate([-reach[::-1], reach])
        return Quantiles(np.concatenate([0.5 - half[::-1], 0.5 + half]), forecast.median + values)

    def _named(self, data: Sequences, covariates: Array | None) -> Sequences | None:
        """The inputs at the rows of `data`, under their own names, as the wrapped model takes them."""
        if covariates is None:
            return None
        inputs = data.with_values(covariates)
        inputs.columns = self._input_names or ()
        return inputs

    def _errors(self, horizon: int) -> Array:
        """Standardised errors of all past origins, (origins, series, horizon, channels)."""
        recent, inputs = self._recent, self._recent_inputs
        width = int(recent.lengths.min())
        last = width - horizon  # the last origin whose actual values are all known
        if last < 4:
            raise ValueError(
                f"a horizon of {horizon} leaves {max(last + 1, 0)} past forecasts in the last third of the series "
                f"({width} steps), too few; give a longer series or lower the horizon"
            )
        origins = np.unique(np.linspace(0, last, min(self.windows, last + 1)).astype(int)).tolist()
        walker, at, errors = copy.deepcopy(self._calibrated), 0, []
        for origin in origins:
            if origin > at:
                walker.update(recent.window(at, origin), covariates=_cut(inputs, at, origin))
                at = origin
            target = recent.window(origin, origin + horizon)
            ahead = _cut(inputs, origin, origin + horizon)
            forecast = walker.predict(horizon, covariates=ahead).distribution
            actual = np.stack([target.array(i) for i in range(len(target))])
            errors.append((actual - forecast.median) / forecast.scale)
        return np.stack(errors)

    def _observe(self, data: Sequences, covariates: Array | None) -> None:
        inputs = self._named(data, covariates)
        self.fitted_.update(data, covariates=inputs)
        passed = data.lengths.min()
        self._recent = self._recent.append(data)
        if inputs is not None and self._recent_inputs is not None:
            self._recent_inputs = self._recent_inputs.append(inputs)
        if passed:
            self._calibrated.update(
                self._recent.window(None, int(passed)),
                covariates=_cut(self._recent_inputs, None, int(passed)),
            )
            self._recent = self._recent.window(int(passed), None)
            self._recent_inputs = _cut(self._recent_inputs, int(passed), None)

    def _predictive(
        self, data: Sequences, positions: Array, covariates: Array | None
    ) -> Distribution:
        inputs = self._named(data, covariates)
        return self.fitted_.one_step(data, covariates=inputs)


def _quantiles(sizes: Array, levels: Array) -> Array:
    """Quantiles of sizes (n, ...) at k / (n + 1), each cell by the m sizes observed in it: r_(k) at k / (m + 1)."""
    ordered = np.sort(sizes, axis=0)  # missing ones last
    count = (~np.isnan(sizes)).sum(0)
    if not count.all():
        raise ValueError(
            "no past forecast of some step has a known outcome; give a more complete series"
        )
    place = levels.reshape(-1, *[1] * count.ndim) * (count + 1) - 1
    low = np.clip(np.floor(place), 0, count - 1).astype(int)
    high = np.minimum(low + 1, count - 1)
    share = np.clip(place - low, 0.0, 1.0)
    lower, upper = np.take_along_axis(ordered, low, 0), np.take_along_axis(ordered, high, 0)
    return lower + share * (upper - lower)


def _cut(inputs: Sequences | None, start: int | None, stop: int | None) -> Sequences | None:
    return None if inputs is None else inputs.window(start, stop)
