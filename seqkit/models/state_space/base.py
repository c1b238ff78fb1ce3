"""The verbs of every state-space model: from a `System` of matrices to filtered, smoothed and forecast frames."""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
import pandas as pd

from seqkit.base import Forecaster, Header, NotFittedError, check_count
from seqkit.data.calendar import Calendar
from seqkit.data.sequences import Array, Sequences
from seqkit.distributions import Distribution, JointNormal, Normal, stack
from seqkit.kernels import kalman
from seqkit.kernels.kalman import System
from seqkit.models.given import GivenHeader
from seqkit.persistence import Record

from .states import States

if TYPE_CHECKING:
    from seqkit.forecast import Forecast

_LARGE = 40  # states from which covariances of all rows are not held at once unless asked for


class End(Record):
    """What is known of a state after `rows` rows: filtered mean (n,), cov (n, n), diffuse part (n, n)."""

    def __init__(self, mean: Array, cov: Array, diffuse: Array, rows: int):
        self.mean, self.cov, self.diffuse, self.rows = mean, cov, diffuse, rows

    @property
    def state(self) -> kalman.State:
        return kalman.State(self.mean, self.cov, self.diffuse)


class Run(NamedTuple):
    """One sequence to be filtered: its values (T, m) in model units and the system of its rows."""

    y: Array
    system: System


@dataclasses.dataclass(eq=False, repr=False)
class StateSpaceForecaster(Forecaster):
    """A forecaster with a hidden linear Gaussian state. Families implement three hooks.

    `_learn` estimates, `_system` gives the matrices of some rows of a fitted series, `_state_names` names the
    states. States are in model units, after scaling; everything observed is in the caller's.
    """

    # -- hooks -----------------------------------------------------------------------------------

    @abstractmethod
    def _learn(self, data: Sequences, covariates: Array | None) -> None:
        """Estimate from `data`, in model units; may set `_ends` where the search knows them already."""

    @abstractmethod
    def _system(self, position: int, clock: int, length: int, covariates: Array | None) -> System:
        """The system of rows clock .. clock + length - 1 of fitted series `position`; clock 0 is the fit's first row.

        covariates : (length, inputs) of those rows.
        """

    @abstractmethod
    def _state_names(self) -> list[str]:
        """The names of the states."""

    # -- verbs -----------------------------------------------------------------------------------

    def filter(self, x: Any = None, *, covariates: Any = None) -> States:
        """The states given the observations up to each row; the data of the fit for None."""
        data, runs = self._runs(x, covariates)
        return States.filtered(self._labels(), data, [
            (run, kalman.filter(run.system, run.y)) for run in runs
        ])  # fmt: skip

    def smooth(self, x: Any = None, *, covariates: Any = None, lag: int | None = None) -> States:
        """The states given all observations, or with `lag` those up to `lag` rows later (fixed-lag smoothing)."""
        data, runs = self._runs(x, covariates)
        if lag is not None:
            check_count("lag", lag, 0)
            moments = [kalman.smooth_lag(run.system, run.y, lag) for run in runs]
            parts = [(run, mean, cov) for run, (mean, cov) in zip(runs, moments, strict=True)]
        else:
            smoothed = [kalman.smooth(run.system, run.y) for run in runs]
            parts = [
                (run, s.mean, np.asarray(s.cov)) for run, s in zip(runs, smoothed, strict=True)
            ]
        return States.smoothed(self._labels(), data, parts)

    def decode(self, x: Any = None, *, covariates: Any = None) -> pd.DataFrame:
        """The expected states given all observations, one column per state, on the index of `x`."""
        data, runs = self._runs(x, covariates)
        means = [kalman.smooth(run.system, run.y, keep=self._memory(run)).mean for run in runs]
        return data.restore(np.concatenate(means), self._state_names())

    def sample(self, n: int = 1, length: int = 100, seed: int = 0) -> pd.DataFrame:
        """`n` independent series drawn from the model, on a (sample, step) index: a panel that `fit` accepts.

        A model with a diffuse start begins where its first fitted series was most probably.
        """
        header = self._fitted()
        check_count("n", n, 1)
        check_count("length", length, 1)
        if self._input_names is not None:
            raise ValueError(
                "the model has covariates, whose values a sample would need; predict(horizon, covariates=...)"
                ".sample(n) draws from given ones"
            )
        system = self._system(0, 0, length, None)
        if np.asarray(system.diffuse).any():
            y = self._data.array(0)
            first = kalman.smooth(self._system(0, 0, len(y), None), y, keep="mean").mean[0]
            system = system.starting(first, system.initial_cov)
        drawn = kalman.simulate(system, length, n, np.random.default_rng(seed))[1]
        scaling = self._scaling.align(np.zeros(n, dtype=int))
        steps = pd.MultiIndex.from_product([range(n), range(length)], names=["sample", "step"])
        values = scaling.restore(Normal(drawn, np.full_like(drawn, 1e-300))).median
        names = [f"y{i}" if c is None else c for i, c in enumerate(header.columns)]
        return pd.DataFrame(values.reshape(n * length, -1), index=steps, columns=pd.Index(names))

    def sample_states(
        self, n: int = 1, x: Any = None, *, covariates: Any = None, seed: int = 0
    ) -> pd.DataFrame:
        """`n` paths of the states given all observations of one series (Durbin & Koopman 2002), by (sample, time)."""
        check_count("n", n, 1)
        data, runs = self._runs(x, covariates)
        if len(runs) > 1:
            raise ValueError(
                f"sample_states takes one series, got a panel of {len(runs)}; take them in turn"
            )
        run = runs[0]
        paths = kalman.sample_states(run.system, run.y, n, np.random.default_rng(seed))
        index = data.calendars[0].index
        axes: list[Any] = [range(n), index]
        both: pd.MultiIndex = pd.MultiIndex.from_product(
            axes, names=["sample", index.name or "time"]
        )
        return pd.DataFrame(
            paths.reshape(-1, paths.shape[2]), index=both, columns=self._state_names()
        )

    def log_likelihood(self, x: Any, *, covariates: Any = None) -> float:
        """Total log density of `x` in nats, in the units of `x`, joint over channels and exact where rows are missing.

        A diffuse start counts as in Durbin & Koopman (2012), section 7.2.2, every log 2 pi included.
        """
        data, runs = self._runs(x, covariates)
        total = sum(kalman.log_likelihood(run.system, run.y) for run in runs)
        return float(total) + self._jacobian(self._intake(x, "x", self._fitted()), data)

    # -- the contract ----------------------------------------------------------------------------

    def fit(self, x: Any, y: None = None, *, covariates: Any = None) -> Self:
        vars(self).pop("_ends", None)
        return super().fit(x, y, covariates=covariates)

    fit.__doc__ = Forecaster.fit.__doc__

    def _fit(self, data: Sequences, covariates: Array | None) -> None:
        self._data, self._seen_inputs = data, covariates
        self._learn(data, covariates)
        if "_ends" not in vars(self):
            parts = data.split(covariates)
            self._ends = [self._end(i, None, data.array(i), part) for i, part in enumerate(parts)]

    def _end(self, position: int, end: End | None, y: Array, inputs: Array | None) -> End:
        """The state after the rows `y`, which follow `end`, or are the first ones for None."""
        start = 0 if end is None else end.rows
        if not len(y):
            assert end is not None
            return end
        system = self._system(position, start, len(y), inputs)
        if end is not None:
            system = system.after(end.state)
        state = kalman.filter(system, y, keep="end").end
        return End(state.mean, state.cov, state.diffuse, start + len(y))

    def predict(self, horizon: int, *, covariates: Any = None) -> Forecast:
        if isinstance(self._fitted(), GivenHeader):
            raise NotFittedError(
                f"this {type(self).__name__} was given its parameters and has seen no data to continue; "
                "call update(x) first"
            )
        return super().predict(horizon, covariates=covariates)

    predict.__doc__ = Forecaster.predict.__doc__

    def update(self, x_new: Any, *, covariates: Any = None) -> Self:
        """Take in the observations that follow, without refitting, in O(1) per step.

        `x_new` continues the calendar; steps in between that it leaves out count as missing. For a model made
        from parameters the first update is the beginning of the series.
        """
        if not isinstance(self._fitted(), GivenHeader):
            return super().update(x_new, covariates=covariates)
        data = self._intake(x_new, "x_new", self._fitted())
        inputs = self._inputs(covariates, data.calendars, data.keys, data.single)
        parts = data.split(inputs)
        self._ends = [self._end(0, None, data.array(i), part) for i, part in enumerate(parts)]
        self._header = Header(data)
        return self

    def _observe(self, data: Sequences, covariates: Array | None) -> None:
        parts = data.split(covariates)
        self._ends = [
            self._end(i, end, data.array(i), part)
            for i, (end, part) in enumerate(zip(self._ends, parts, strict=True))
        ]

    def _forecast(self, horizon: int, covariates: Array | None) -> Distribution:
        laws: list[Distribution] = []
        for i, end in enumerate(self._ends):
            inputs = None if covariates is None else covariates[i * horizon : (i + 1) * horizon]
            system = self._system(i, end.rows, horizon, inputs)
            laws.append(JointNormal(*kalman.forecast(system, end.state, horizon)))
        return stack(laws)

    def _predictive(
        self, data: Sequences, positions: Array, covariates: Array | None
    ) -> Distribution:
        parts = [one_step(run.system, run.y) for run in self._prepared(data, positions, covariates)]
        mean, scale = zip(*parts, strict=True)
        return Normal(np.concatenate(mean), np.concatenate(scale))

    # -- machinery -------------------------------------------------------------------------------

    def _intake(self, x: Any, name: str, header: Header | None = None) -> Sequences:
        if not isinstance(header, GivenHeader):
            return super()._intake(x, name, header)
        data = super()._intake(x, name)
        if len(data.columns) != len(header.columns):
            raise ValueError(
                f"{name} has {len(data.columns)} channel(s) {list(data.columns)}, the model has "
                f"{len(header.columns)} output(s)"
            )
        return data

    def _clock(self, position: int, calendar: Calendar) -> int:
        if isinstance(self._fitted(), GivenHeader):
            return 0
        return super()._clock(position, calendar)

    def _runs(self, x: Any, covariates: Any) -> tuple[Sequences, list[Run]]:
        """The sequences of `x`, or of the fit, in model units, and each with its system."""
        header = self._fitted()
        if x is None:
            if "_data" not in vars(self):
                raise ValueError("the model was made from parameters and keeps no data; pass x")
            if covariates is not None:
                raise ValueError("covariates belong to an x; leave them out, or pass both")
            data, inputs = self._data, self._seen_inputs
            positions = np.arange(len(data))
        else:
            given = self._intake(x, "x", header)
            positions = self._positions(given, header, "x")
            data = given.with_values(self._scaling.align(positions).transform(given))
            inputs = self._inputs(covariates, data.calendars, data.keys, data.single)
        return data, self._prepared(data, positions, inputs)

    def _prepared(self, data: Sequences, positions: Array, inputs: Array | None) -> list[Run]:
        runs = []
        for i, part in enumerate(data.split(inputs)):
            position, y = int(positions[i]), data.array(i)
            clock = self._clock(position, data.calendars[i])
            runs.append(Run(y, self._system(position, clock, len(y), part)))
        return runs

    def _labels(self) -> tuple[list[str], list[str]]:
        """Names of the states and of the channels."""
        columns = self._fitted().columns
        return self._state_names(), [
            f"y{i}" if c is None else str(c) for i, c in enumerate(columns)
        ]

    @staticmethod
    def _memory(run: Run) -> str:
        """Small models smooth by their covariances, large ones without storing them."""
        return "all" if run.system.n <= _LARGE else "mean"


def one_step(system: System, y: Array) -> tuple[Array, Array]:
    """Mean and standard deviation (T, m) of every row given those before; NaN where they are infinite.

    Covariances are held for some rows at a time, so that a model with many states needs little memory.
    """
    block = len(y) if system.n <= _LARGE else max(2_000_000 // system.n**2, 1)
    means, scales = [], []
    end: kalman.State | None = None
    for start in range(0, len(y), block):
        part, rows = system.rows(start, start + block), y[start : start + block]
        part = part if end is None else part.after(end)
        run = kalman.filter(part, rows)
        end = run.end
        mean, var = kalman.observed(part, run)
        means.append(mean)
        scales.append(np.sqrt(var))
    return np.concatenate(means), np.concatenate(scales)
