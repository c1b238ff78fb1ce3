"""Changes of units that can be undone on whole distributions, so that scores stay in the caller's units.

A scaling without parameters is a rule; `fit` returns the same rule with parameters, one set per series and
channel. Forecasts come back through `restore`, one-step predictive distributions through `restore_replay`,
both with the Jacobian, so a log score after scaling is the log score of the data themselves.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from seqkit.distributions import Distribution, Exp, PathMixture, Power
from seqkit.persistence import Record

from .sequences import Array, Sequences


class Scaling(Record):
    """The contract of all scalings; as it stands, the one that changes nothing."""

    def fit(self, data: Sequences) -> Scaling:
        """The rule with its parameters, learnt per series and channel; missing values are skipped."""
        return self

    def transform(self, data: Sequences) -> Array:
        """The values in model units, (total, channels)."""
        return data.values

    def observe(self, data: Sequences) -> Scaling:
        """The scaling after `data` has followed what was fitted (only differences remember)."""
        return self

    def restore(self, forecast: Distribution) -> Distribution:
        """A forecast (series, horizon, channels) in the caller's units."""
        return forecast

    def restore_replay(self, steps: Distribution, data: Sequences) -> Distribution:
        """One-step predictive distributions (total, channels) of `data`, in the caller's units."""
        return steps

    def align(self, positions: Array) -> Scaling:
        """The parameters of the series at `positions`."""
        return self

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class Identity(Scaling):
    """z = y."""


class _Affine(Scaling):
    """z = (y - shift) / factor, with shift and factor of shape (series, channels)."""

    shift: Array
    factor: Array

    def _learn(self, values: Array) -> tuple[Array, Array]:
        raise NotImplementedError

    def fit(self, data: Sequences) -> Scaling:
        fitted = type(self)()
        pairs = [self._learn(data.array(i)) for i in range(len(data))]
        fitted.shift = np.stack([shift for shift, _ in pairs])
        factor = np.stack([factor for _, factor in pairs])
        fitted.factor = np.where(factor > 0, factor, 1.0)  # a constant series is only moved
        return fitted

    def _rows(self, data: Sequences) -> tuple[Array, Array]:
        return np.repeat(self.shift, data.lengths, axis=0), np.repeat(
            self.factor, data.lengths, axis=0
        )

    def transform(self, data: Sequences) -> Array:
        shift, factor = self._rows(data)
        return (data.values - shift) / factor

    def restore(self, forecast: Distribution) -> Distribution:
        return forecast.affine(self.shift[:, None, :], self.factor[:, None, :])

    def restore_replay(self, steps: Distribution, data: Sequences) -> Distribution:
        return steps.affine(*self._rows(data))

    def align(self, positions: Array) -> Scaling:
        aligned = type(self)()
        aligned.shift, aligned.factor = self.shift[positions], self.factor[positions]
        return aligned


class Standard(_Affine):
    """z = (y - mean) / standard deviation."""

    def _learn(self, values: Array) -> tuple[Array, Array]:
        mean = _mean(values)
        return mean, np.sqrt(_mean((values - mean) ** 2))


class MeanAbs(_Affine):
    """z = y / mean |y|: keeps zero where it is (Salinas et al. 2020)."""

    def _learn(self, values: Array) -> tuple[Array, Array]:
        size = _mean(np.abs(values))
        return np.zeros_like(size), size


def _mean(values: Array) -> Array:
    """Mean of the observed values per channel, 0 where there is none."""
    seen = ~np.isnan(values)
    return np.where(seen, values, 0.0).sum(0) / np.maximum(seen.sum(0), 1)


def _require_positive(data: Sequences, rule: str) -> None:
    bad = data.values <= 0
    if bad.any():
        row, channel = np.argwhere(bad)[0]
        i = int(np.searchsorted(data.offsets, row, side="right") - 1)
        when = data.calendars[i].format(int(row - data.offsets[i]))
        raise ValueError(
            f"{rule} needs positive values, but {data.label(i)} has {int(bad.sum())} that are not, first "
            f"{data.values[row, channel]:g} at {when}; use Standard() or MeanAbs(), or add a constant first"
        )


class Log(Scaling):
    """z = log y. A normal forecast becomes log-normal; its median and mean differ, as they should."""

    def fit(self, data: Sequences) -> Scaling:
        _require_positive(data, "Log()")
        return self

    def transform(self, data: Sequences) -> Array:
        _require_positive(data, "Log()")
        return np.log(data.values)

    def restore(self, forecast: Distribution) -> Distribution:
        return forecast.through(Exp())

    def restore_replay(self, steps: Distribution, data: Sequences) -> Distribution:
        return steps.through(Exp())


class BoxCox(Scaling):
    """z = (y^power - 1) / power (log y for 0); the power by maximum likelihood per series (Box & Cox 1964).

    Parameters
    ----------
    power : fixed power; None learns one in [0, 2] per series and channel. With a negative power the upper tail
        is so heavy that the mean of the forecast may be infinite; its median and quantiles stay finite.
    """

    def __init__(self, power: float | None = None):
        self.power = power

    def fit(self, data: Sequences) -> Scaling:
        _require_positive(data, f"{self!r}")
        if self.power is not None and not isinstance(self.power, (int, float, np.number)):
            raise ValueError(f"power must be a number, or None to learn it; got {self.power!r}")
        fitted = BoxCox(self.power)
        shape = (len(data), data.values.shape[1])
        if self.power is not None:
            fitted.powers = np.full(shape, float(self.power))
        else:
            columns = [
                [_profile_power(data.array(i)[:, c]) for c in range(shape[1])]
                for i in range(shape[0])
            ]
            fitted.powers = np.array(columns)
        return fitted

    powers: Array

    def _rows(self, data: Sequences) -> Power:
        return Power(np.repeat(self.powers, data.lengths, axis=0))

    def transform(self, data: Sequences) -> Array:
        _require_positive(data, f"{self!r}")
        return self._rows(data).forward(data.values)

    def restore(self, forecast: Distribution) -> Distribution:
        return forecast.through(Power(np.broadcast_to(self.powers[:, None, :], forecast.shape)))

    def restore_replay(self, steps: Distribution, data: Sequences) -> Distribution:
        return steps.through(self._rows(data))

    def align(self, positions: Array) -> Scaling:
        aligned = BoxCox(self.power)
        aligned.powers = self.powers[positions]
        return aligned

    def __repr__(self) -> str:
        return "BoxCox()" if self.power is None else f"BoxCox({self.power})"


def _profile_power(y: Array) -> float:
    """The power of the largest normal likelihood, mean and variance of the transformed values profiled out."""
    from scipy.optimize import minimize_scalar

    y = y[~np.isnan(y)]
    if len(y) < 3 or np.ptp(y) == 0:
        return 1.0
    log_y = np.log(y)
    centre = log_y.mean()

    def loss(power: float) -> float:
        z = log_y - centre if power == 0 else np.expm1(power * (log_y - centre)) / power
        return 0.5 * np.log(z.var()) - power * (log_y - centre).mean()

    return float(minimize_scalar(loss, bounds=(0.0, 2.0), method="bounded").x)


class Difference(Scaling):
    """z_t = y_t - y_{t - lag}, applied `times` times; forecasts are summed back as joint distributions.

    Parameters
    ----------
    lag : 1 for changes, the season for seasonal differences.
    times : how often.

    The first lag * times rows have no difference and are left out of fitting. Summing back needs a
    forecast that is joint over steps (normal paths or sampled ones), since errors accumulate. A missing
    value leaves `lag` differences missing, and the last rows must be observed to forecast.
    """

    def __init__(self, lag: int = 1, times: int = 1):
        self.lag, self.times = lag, times

    def _check(self) -> None:
        for given in (self.lag, self.times):
            if isinstance(given, bool) or not isinstance(given, (int, np.integer)) or given < 1:
                raise ValueError(
                    f"lag and times must be positive integers, got lag={self.lag!r}, times={self.times!r}"
                )

    @property
    def memory(self) -> int:
        return self.lag * self.times

    tail: Array  # (series, memory, channels), the last rows in the caller's units

    def _difference(self, values: Array) -> Array:
        z = values
        for _ in range(self.times):
            z = np.concatenate(
                [
                    np.full((min(self.lag, len(z)), z.shape[1]), np.nan),
                    z[self.lag :] - z[: -self.lag],
                ]
            )
        return z

    def fit(self, data: Sequences) -> Scaling:
        self._check()
        for i, length in enumerate(data.lengths):
            if length <= self.memory:
                raise ValueError(
                    f"{self!r} needs more than {self.memory} steps, but {data.label(i)} has {length}"
                )
        fitted = Difference(self.lag, self.times)
        fitted.tail = np.stack([data.array(i)[-self.memory :] for i in range(len(data))])
        return fitted

    def transform(self, data: Sequences) -> Array:
        parts = [self._difference(data.array(i)) for i in range(len(data))]
        return np.concatenate(parts)

    def observe(self, data: Sequences) -> Scaling:
        after = Difference(self.lag, self.times)
        joined = [np.concatenate([self.tail[i], data.array(i)]) for i in range(len(data))]
        after.tail = np.stack([rows[-self.memory :] for rows in joined])
        return after

    def transform_next(self, data: Sequences) -> Array:
        """The differences of rows that follow the remembered ones."""
        joined = [np.concatenate([self.tail[i], data.array(i)]) for i in range(len(data))]
        return np.concatenate([self._difference(rows)[self.memory :] for rows in joined])

    def restore(self, forecast: Distribution) -> Distribution:
        if isinstance(forecast, PathMixture):
            forecast = forecast.sampled()
        if not all(
            hasattr(member, "linear") for member in getattr(forecast, "members", [forecast])
        ):
            raise TypeError(
                f"{self!r} sums forecasts back and needs them joint over steps, but this model gives independent "
                f"{type(forecast).__name__} steps; use another scaling or a model with sampled paths"
            )
        if np.isnan(self.tail).any():
            raise ValueError(
                f"{self!r} cannot be undone: one of the last {self.memory} values is missing; fill it, or cut the "
                "series at its last complete season"
            )
        steps = forecast.shape[-2]
        total = self.memory + steps
        operator = np.eye(total)
        for _ in range(self.times):
            operator = operator @ (np.eye(total) - np.eye(total, k=-self.lag))
        inner = operator[
            self.memory :
        ]  # differences of the future, from the remembered and the future rows
        undo = np.linalg.inv(inner[:, self.memory :])
        past = -undo @ inner[:, : self.memory] @ self.tail
        return forecast.linear(undo).affine(past, 1.0)  # type: ignore[attr-defined]

    def restore_replay(self, steps: Distribution, data: Sequences) -> Distribution:
        # y_t = z_t + (y_t - z_t): the bracket is known before y_t arrives, since z_t = y_t - (earlier values).
        return steps.affine(self._known(data), 1.0)

    def _known(self, data: Sequences) -> Array:
        """What earlier values fix of y_t, -sum_j (-1)^j C(times, j) y_{t-j lag}; NaN where one of them is missing."""
        known = np.zeros_like(data.values)
        for j in range(1, self.times + 1):
            back = j * self.lag
            earlier = [
                np.concatenate([np.full_like(y[:back], np.nan), y[:-back]])
                for y in map(data.array, range(len(data)))
            ]
            known -= (-1) ** j * math.comb(self.times, j) * np.concatenate(earlier)
        return known

    def align(self, positions: Array) -> Scaling:
        aligned = Difference(self.lag, self.times)
        aligned.tail = self.tail[positions]
        return aligned

    def __repr__(self) -> str:
        return (
            f"Difference({self.lag})"
            if self.times == 1
            else f"Difference({self.lag}, times={self.times})"
        )


def SeasonalDifference(season: int, times: int = 1) -> Difference:
    """z_t = y_t - y_{t - season}."""
    return Difference(season, times)


class Chain(Scaling):
    """Several scalings, the first one applied first: ``Chain(Log(), Difference(12))``."""

    def __init__(self, *steps: Scaling):
        self.steps = steps

    def _through(self, data: Sequences, method: str) -> tuple[list[Any], list[Sequences]]:
        results, seen = [], [data]
        for step in self.steps:
            results.append(getattr(step, method)(seen[-1]))
            current = results[-1] if method == "fit" else step
            seen.append(seen[-1].with_values(current.transform(seen[-1])))
        return results, seen

    def fit(self, data: Sequences) -> Scaling:
        for step in self.steps:
            if not isinstance(step, Scaling):
                raise TypeError(f"Chain takes scalings such as Log() or Difference(), got {step!r}")
        return Chain(*self._through(data, "fit")[0])

    def transform(self, data: Sequences) -> Array:
        for step in self.steps:
            data = data.with_values(step.transform(data))
        return data.values

    def transform_next(self, data: Sequences) -> Array:
        for step in self.steps:
            data = data.with_values(transform_next(step, data))
        return data.values

    def observe(self, data: Sequences) -> Scaling:
        after = []
        for step in self.steps:
            after.append(step.observe(data))
            data = data.with_values(transform_next(step, data))
        return Chain(*after)

    def restore(self, forecast: Distribution) -> Distribution:
        for step in reversed(self.steps):
            forecast = step.restore(forecast)
        return forecast

    def restore_replay(self, steps: Distribution, data: Sequences) -> Distribution:
        inputs = []
        for step in self.steps:
            inputs.append(data)
            data = data.with_values(step.transform(data))
        for step, seen in zip(reversed(self.steps), reversed(inputs), strict=True):
            steps = step.restore_replay(steps, seen)
        return steps

    def align(self, positions: Array) -> Scaling:
        return Chain(*(step.align(positions) for step in self.steps))

    def __repr__(self) -> str:
        return f"Chain({', '.join(map(repr, self.steps))})"


def transform_next(scaling: Scaling, data: Sequences) -> Array:
    """Model units of rows that follow what `scaling` has observed."""
    remembered = getattr(scaling, "transform_next", None)
    return remembered(data) if remembered is not None else scaling.transform(data)
