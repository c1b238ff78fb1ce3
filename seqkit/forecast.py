"""`Forecast`: what every forecaster returns, a predictive distribution on the caller's own calendar."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from seqkit.data.calendar import comparable
from seqkit.data.sequences import Array, as_sequences, join_index
from seqkit.distributions import Distribution, stack
from seqkit.distributions.transformed import Exp
from seqkit.persistence import Record


class Forecast(Record):
    """The distribution of the next steps of one series or of a panel.

    Results are a Series for one channel and a DataFrame for several, on an index that continues the
    fitted one; for a panel the index is (series, time). Arithmetic with numbers, or with one number per
    step, changes the units of the whole distribution: ``forecast / 1000``, ``100 + forecast``.

    Attributes
    ----------
    distribution : shape (series, horizon, channels).
    """

    def __init__(
        self, distribution: Distribution, index: list[pd.Index], keys: tuple[Hashable, ...],
        columns: tuple[Hashable, ...], single: bool,
    ):  # fmt: skip
        self.distribution, self._times = distribution, index
        self.keys, self.columns, self.single = keys, columns, single

    @property
    def horizon(self) -> int:
        return self.distribution.shape[1]

    @property
    def index(self) -> pd.Index:
        """The time stamps of the forecast, (series, time) for a panel."""
        return self._times[0] if self.single else join_index(self.keys, self._times)

    def _out(self, values: Array) -> pd.Series | pd.DataFrame:
        flat = values.reshape(-1, len(self.columns))
        if len(self.columns) == 1:
            return pd.Series(flat[:, 0], index=self.index, name=self.columns[0])
        return pd.DataFrame(flat, index=self.index, columns=pd.Index(self.columns))

    @property
    def mean(self) -> pd.Series | pd.DataFrame:
        """Expected values."""
        return self._out(self.distribution.mean)

    @property
    def median(self) -> pd.Series | pd.DataFrame:
        """Medians, the best point forecasts under absolute error."""
        return self._out(self.distribution.median)

    @property
    def scale(self) -> pd.Series | pd.DataFrame:
        """Standard deviations."""
        return self._out(self.distribution.scale)

    def quantile(self, q: float | Iterable[float]) -> pd.Series | pd.DataFrame:
        """The `q` quantile; several levels give a frame with one column per level (below the channels, if any)."""
        if np.ndim(q) == 0:  # type: ignore[arg-type]
            return self._out(self.distribution.quantile(q))  # type: ignore[arg-type]
        levels = list(q)  # type: ignore[arg-type]
        return self._side_by_side(
            dict(zip(levels, self.distribution.quantile(levels), strict=True))
        )

    def interval(self, level: float) -> pd.DataFrame:
        """The central interval that holds `level` percent of the probability: columns lo and hi."""
        tail = _tail(level)
        return self._side_by_side(
            {"lo": self.distribution.quantile(tail), "hi": self.distribution.quantile(1 - tail)}
        )

    def to_frame(self, level: float | Iterable[float] = (80, 95)) -> pd.DataFrame:
        """Mean and central intervals: columns mean, lo-95, lo-80, hi-80, hi-95 (one such block per channel)."""
        asked: Any = [level] if np.ndim(level) == 0 else level  # type: ignore[arg-type]
        levels = sorted(asked, key=_tail, reverse=True)
        columns = {"mean": self.distribution.mean}
        for one in reversed(levels):
            columns[f"lo-{_digits(one)}"] = self.distribution.quantile(_tail(one))
        for one in levels:
            columns[f"hi-{_digits(one)}"] = self.distribution.quantile(1 - _tail(one))
        return self._side_by_side(columns)

    def sample(self, n: int, seed: int | np.random.Generator | None = None) -> pd.DataFrame:
        """`n` paths, one column each; steps are drawn jointly where the model has a joint law."""
        if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
            raise ValueError(f"n must be a positive integer, got {n!r}")
        draws = self.distribution.sample(int(n), np.random.default_rng(seed))
        flat = draws.reshape(len(draws), -1, len(self.columns))
        if len(self.columns) == 1:
            return pd.DataFrame(
                flat[:, :, 0].T, index=self.index, columns=pd.RangeIndex(len(draws), name="sample")
            )
        names = pd.MultiIndex.from_product(
            [self.columns, range(len(draws))], names=["channel", "sample"]
        )
        return pd.DataFrame(
            flat.transpose(1, 2, 0).reshape(flat.shape[1], -1), index=self.index, columns=names
        )

    def _side_by_side(self, columns: dict[Any, Array]) -> pd.DataFrame:
        flat = {name: values.reshape(-1, len(self.columns)) for name, values in columns.items()}
        if len(self.columns) == 1:
            return pd.DataFrame(
                {name: values[:, 0] for name, values in flat.items()}, index=self.index
            )
        blocks = {
            (c, name): values[:, k]
            for k, c in enumerate(self.columns)
            for name, values in flat.items()
        }
        frame = pd.DataFrame(blocks, index=self.index)
        frame.columns = frame.columns.set_names(["channel", "statistic"])
        return frame

    # -- scores ----------------------------------------------------------------------------------

    def align(self, actual: Any, *, what: str = "actual") -> Array:
        """`actual` at the forecast's steps, (series, horizon, channels): by its index, else by position.

        `what` is how messages call it.
        """
        given = as_sequences(actual, name=what, frequency=self._frequency(actual))
        if given.tokens:
            raise TypeError(f"{what} holds text; expected the numbers that were forecast")
        if len(given.columns) != len(self.columns) or given.single != self.single:
            raise ValueError(
                f"{what} has {len(given)} series of {len(given.columns)} channel(s), the forecast {len(self.keys)} of "
                f"{len(self.columns)}"
            )
        parts = []
        for key, times in zip(self.keys, self._times, strict=True):
            if not self.single and key not in given.keys:
                raise ValueError(f"{what} has no series {key!r}")
            i = 0 if self.single else given.keys.index(key)
            own = actual[key] if isinstance(actual, Mapping) else actual
            parts.append(given.array(i)[self._rows(given.calendars[i].index, times, own, what)])
        return np.stack(parts)[:, :, self._channels(given.columns, what)]

    def _rows(self, index: pd.Index, times: pd.Index, own: Any, what: str) -> Any:
        """Where in one series of what was given the steps of the forecast are."""
        labelled = isinstance(own, pd.Series | pd.DataFrame) or not isinstance(index, pd.RangeIndex)
        if labelled and comparable(index, times):
            rows = index.get_indexer(times)
            if (rows < 0).any():
                raise ValueError(
                    f"{what} has no value at {times[int(np.argmax(rows < 0))]}; it must cover the forecast, "
                    f"{times[0]} .. {times[-1]}{' (use NaN where unknown)' if what == 'actual' else ''}"
                )
            return rows
        if not isinstance(index, pd.RangeIndex):
            raise ValueError(
                f"{what} has an index of {index.dtype}, the forecast one of {times.dtype}; convert it"
            )
        if len(index) != self.horizon:
            raise ValueError(f"{what} has {len(index)} steps, the forecast {self.horizon}")
        return slice(None)

    def _channels(self, columns: tuple[Hashable, ...], what: str) -> Any:
        """Where the channels of the forecast are: by name, or by position where there are no names."""
        if len(columns) == 1 or columns == self.columns or columns == tuple(range(len(columns))):
            return slice(None)
        if set(columns) != set(self.columns):
            raise ValueError(
                f"{what} has the channels {list(columns)}, the forecast {list(self.columns)}"
            )
        return [columns.index(c) for c in self.columns]

    def _frequency(self, actual: Any) -> Any:
        steps = {getattr(times, "freq", None) for times in self._times}
        timed = isinstance(self._times[0], pd.DatetimeIndex) and len(steps) == 1
        return (
            steps.pop() if timed and isinstance(actual, pd.Series | pd.DataFrame | dict) else None
        )

    def log_prob(self, actual: Any) -> pd.Series | pd.DataFrame:
        """Log density of each actual value, in nats; NaN where it is missing."""
        return self._out(self.distribution.log_prob(self.align(actual)))

    def joint_log_prob(self, actual: Any) -> Any:
        """Log density of the whole path of actual values, in nats: a float, or one per series of a panel.

        Unlike the sum of `log_prob`, it counts how the errors of neighbouring steps belong together.
        Missing values are integrated out.

        Raises
        ------
        TypeError : the forecast knows its steps one by one only.
        ValueError : the steps determine each other, so that there is no density.

        Examples
        --------
        >>> import numpy as np
        >>> from seqkit import Naive
        >>> forecast = Naive().fit(np.array([0.0, 1.0, 0.0, 1.0, 0.0])).predict(2)
        >>> round(forecast.joint_log_prob([1.0, 0.0]), 3)    # two steps of N(0, 1), each from the value before
        -2.838
        """
        values = self.distribution.joint_log_prob(self.align(actual))
        if self.single:
            return float(values[0])
        return pd.Series(values, index=pd.Index(self.keys, tupleize_cols=False, name="series"))

    def crps(self, actual: Any) -> pd.Series | pd.DataFrame:
        """Continuous ranked probability score of each actual value, in the units of the data; smaller is better."""
        return self._out(self.distribution.crps(self.align(actual)))

    # -- arithmetic ------------------------------------------------------------------------------

    def _map(self, distribution: Distribution) -> Forecast:
        return Forecast(distribution, self._times, self.keys, self.columns, self.single)

    def _operand(self, other: Any) -> Array | None:
        if isinstance(other, pd.Series | pd.DataFrame):
            return self._finite(self.align(other, what="the operand"))
        if isinstance(other, (int, float, np.number, np.ndarray)):
            values = np.asarray(other, float)
            shape = (self.horizon, len(self.columns))
            if values.shape not in ((), shape, shape[:1]):
                raise ValueError(
                    f"an array of shape {values.shape} does not fit a forecast of {shape[0]} steps and {shape[1]} "
                    "channel(s); give one number, one per step, or one per step and channel"
                )
            return self._finite(values[:, None] if values.shape == shape[:1] else values)
        return None

    def _finite(self, values: Array) -> Array:
        if not np.isfinite(values).all():
            found, where = self._first(values, ~np.isfinite(values))
            raise ValueError(f"the operand is {found} at {where}; every step needs a finite number")
        return values

    def _first(self, values: Array, marked: Array) -> tuple[str, str]:
        """The first marked value, and which step of the forecast it belongs to."""
        values, marked = (np.broadcast_to(a, self.distribution.shape) for a in (values, marked))
        i, step, channel = np.argwhere(marked)[0]
        series = "" if self.single else f" of series {self.keys[i]!r}"
        return f"{values[i, step, channel]:g}", f"{self._times[i][step]}{series}"

    def _affine(self, shift: Any, factor: Any) -> Any:
        return self._map(self.distribution.affine(shift, factor))

    def __add__(self, other: Any) -> Forecast:
        value = self._operand(other)
        return NotImplemented if value is None else self._affine(value, 1.0)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Forecast:
        value = self._operand(other)
        return NotImplemented if value is None else self._affine(-value, 1.0)

    def __rsub__(self, other: Any) -> Forecast:
        value = self._operand(other)
        return NotImplemented if value is None else self._affine(value, -1.0)

    def __mul__(self, other: Any) -> Forecast:
        value = self._operand(other)
        return NotImplemented if value is None else self._affine(0.0, value)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Forecast:
        value = self._operand(other)
        if value is None:
            return NotImplemented
        if not np.all(value):
            where = self._first(value, value == 0)[1]
            raise ValueError(f"the divisor is zero at {where}; a forecast cannot be divided by 0")
        return self._affine(0.0, 1.0 / value)

    def __neg__(self) -> Forecast:
        return self._affine(0.0, -1.0)

    def exp(self) -> Forecast:
        """The forecast of exp(y), for a model of log y."""
        return self._map(self.distribution.through(Exp()))

    __array_ufunc__ = None  # NumPy arrays on the left defer to the methods above

    # -- parts and pictures ----------------------------------------------------------------------

    def __getitem__(self, key: Hashable) -> Forecast:
        """The forecast of one series of a panel."""
        if self.single or key not in self.keys:
            raise KeyError(
                f"no series {key!r}; "
                + ("this is one series" if self.single else f"there are {list(self.keys[:5])}")
            )
        i = self.keys.index(key)
        return Forecast(self.distribution[i : i + 1], [self._times[i]], (key,), self.columns, True)

    def plot(
        self, history: Any = None, *, level: Iterable[float] = (80, 95), ax: Any = None
    ) -> Any:
        """Mean and intervals after the end of `history`.

        Returns the matplotlib Axes, or an array of Axes where there are several series or channels.
        """
        from seqkit.plotting import forecast

        return forecast(self, history, level=level, ax=ax)

    def __repr__(self) -> str:
        times = self._times[0]
        span = f"{times[0]} .. {times[-1]}" if len(self._times) == 1 else f"{len(self.keys)} series"
        family = type(self.distribution).__name__
        channels = f", {len(self.columns)} channels" if len(self.columns) > 1 else ""
        return f"Forecast({self.horizon} steps, {span}{channels}, {family})"


def _digits(level: float) -> str:
    """A level as a label, in as many digits as tell it from every other one."""
    short = f"{level:g}"
    return short if float(short) == level else repr(float(level))


def _tail(level: float) -> float:
    number = isinstance(level, (int, float, np.number)) and not isinstance(level, bool)
    if not number or not 0 < level < 100:
        raise ValueError(f"level is one percentage between 0 and 100, got {level!r}")
    return (1 - level / 100) / 2


def concat(forecasts: list[Forecast], keys: tuple[Hashable, ...]) -> Forecast:
    """Forecasts of single series with one horizon as the forecast of a panel."""
    members = [f.distribution[0] for f in forecasts]
    return Forecast(
        stack(members), [f._times[0] for f in forecasts], keys, forecasts[0].columns, False
    )
