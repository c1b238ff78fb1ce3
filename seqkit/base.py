"""The contract of every model: hyper-parameters in the constructor, what is learnt in names that end in `_`.

Models are dataclasses of their hyper-parameters. `Forecaster` does, once, what every forecaster needs:
the way in from pandas, the scaling and its inversion, the calendar of the forecast, and the errors. A family
implements four hooks on arrays.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Hashable
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import numpy as np

from seqkit import persistence
from seqkit.data.calendar import Calendar, comparable
from seqkit.data.covariates import Covariates, static_table
from seqkit.data.scaling import Identity, Scaling, transform_next
from seqkit.data.sequences import Array, Sequences, as_sequences
from seqkit.distributions import Distribution, Normal
from seqkit.forecast import Forecast
from seqkit.persistence import Record


class NotFittedError(ValueError, AttributeError):
    """A verb that needs a fitted model was called before `fit`."""


class ConvergenceWarning(UserWarning):
    """Fitting stopped before it converged; the message names the remedy."""


class Model(Record):
    """Hyper-parameters that can be read, set, copied, printed and saved."""

    _given: ClassVar[frozenset[str]] = frozenset()  # models that are passed on as they are, fitted

    @classmethod
    def _names(cls) -> list[str]:
        return [f.name for f in dataclasses.fields(cls) if f.init]  # type: ignore[arg-type]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's arguments; with `deep`, those of nested models as ``name__parameter``."""
        params = {name: getattr(self, name) for name in self._names()}
        if deep:
            nested = {k: v for k, v in params.items() if isinstance(v, Model)}
            for name, model in nested.items():
                params |= {f"{name}__{k}": v for k, v in model.get_params().items()}
        return params

    def set_params(self, **params: Any) -> Self:
        """Change hyper-parameters; what was learnt stays until the next `fit`."""
        for name, value in params.items():
            head, _, rest = name.partition("__")
            if head not in self._names():
                raise ValueError(
                    f"{type(self).__name__} has no parameter {head!r}; it has {', '.join(self._names())}"
                )
            if rest:
                getattr(self, head).set_params(**{rest: value})
            else:
                setattr(self, name, value)
        return self

    def save(self, path: str | Path) -> Path:
        """Write the model, fitted or not, to one file without pickle; read it with `seqkit.load`."""
        return persistence.save(self, path)

    def __getattr__(self, name: str) -> Any:
        if name.endswith("_") and not name.startswith("_") and "_header" not in vars(self):
            raise NotFittedError(
                f"this {type(self).__name__} is not fitted, so it has no {name}; call fit(x) first"
            )
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn's search and pipelines ask for; read only by them."""
        from sklearn.utils import InputTags, Tags, TargetTags

        inputs = InputTags(allow_nan=True, one_d_array=True, two_d_array=True)
        return Tags(estimator_type=None, target_tags=TargetTags(required=False), input_tags=inputs)

    def __repr__(self) -> str:
        changed = []
        for field in sorted(dataclasses.fields(self), key=lambda f: f.kw_only is True):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            default = field.default if field.default is not dataclasses.MISSING else None
            if field.default_factory is not dataclasses.MISSING:
                default = field.default_factory()
            if not persistence.same(value, default):
                changed.append(f"{field.name}={value!r}")
        header = vars(self).get("_header")
        state = f"  # {header.describe()}" if header is not None else ""
        return f"{type(self).__name__}({', '.join(changed)}){state}"


AnyModel = TypeVar("AnyModel", bound=Model)


def clone(model: AnyModel) -> AnyModel:
    """An unfitted model with the same hyper-parameters, nested models cloned too."""
    kept = getattr(model, "_given", ())
    params = {
        k: clone(v) if isinstance(v, Model) and k not in kept else v
        for k, v in model.get_params(deep=False).items()
    }
    return type(model)(**params)


class Header(Record):
    """What a fitted forecaster remembers of its data: names, and the end of every calendar."""

    def __init__(self, data: Sequences):
        self.keys, self.columns, self.single = data.keys, data.columns, data.single
        self.calendars = tuple(c.tail() for c in data.calendars)
        self.origins = tuple(c.cut(0, 1) for c in data.calendars)
        self.lengths = data.lengths

    def describe(self) -> str:
        if not self.single:
            return f"fitted to {len(self.keys)} series of {self.lengths.min()} to {self.lengths.max()} steps"
        name = "" if self.columns[0] is None else f" of {', '.join(map(str, self.columns))}"
        return f"fitted to {self.lengths[0]} steps{name}, {self.origins[0].format(0)} .. {self.calendars[0].format(-1)}"

    def advanced(self, data: Sequences) -> Header:
        after = object.__new__(Header)
        vars(after).update(vars(self))
        ends = zip(self.calendars, data.calendars, strict=True)
        after.calendars = tuple(new.tail() if len(new) else old for old, new in ends)
        after.lengths = self.lengths + data.lengths
        return after


@dataclasses.dataclass(eq=False, repr=False)
class Forecaster(Model, ABC):
    """A model that continues sequences. Families implement the four hooks at the end."""

    scale: Scaling = dataclasses.field(default_factory=Identity, kw_only=True)

    _takes_past: ClassVar[bool] = False  # inputs that are not known ahead, and fixed ones

    @property
    def pooled(self) -> bool:
        """Whether a panel is learnt by one model for all its series (True) or series by series (False)."""
        return False

    # -- verbs -----------------------------------------------------------------------------------

    def fit(self, x: Any, y: None = None, *, covariates: Any = None) -> Self:
        """Learn from the observed sequence(s) `x`.

        Parameters
        ----------
        x : Series, DataFrame, array, or a panel of them (see `seqkit.Sequences`); missing values are allowed.
        y : must be None; forecasters learn from `x` alone.
        covariates : known inputs on the same index as `x`, one column each; or `seqkit.Covariates`, which tells
            inputs that are known ahead from those that are not.
        """
        if y is not None:
            raise TypeError(
                f"{type(self).__name__}.fit learns from x alone; pass inputs as covariates=, not as y"
            )
        data = self._intake(x, "x")
        covariates = self._lawful(covariates)
        inputs, names = align_covariates(covariates, data.calendars, data.keys, data.single)
        vars(self).pop(
            "_header", None
        )  # unfitted until the end: a failing fit leaves no half-old model
        if not isinstance(self.scale, Scaling):
            raise TypeError(
                f"scale must be a seqkit scaling such as Standard() or Log(), got {self.scale!r}"
            )
        scaling = self.scale.fit(data)
        self._input_names, self._kind_counts = names, _kind_counts(covariates, names)
        self._fit(data.with_values(scaling.transform(data)), inputs)
        self._header, self._scaling = Header(data), scaling
        return self

    def predict(self, horizon: int, *, covariates: Any = None) -> Forecast:
        """The next `horizon` steps of every sequence, as one `Forecast` on the caller's calendar.

        Parameters
        ----------
        horizon : number of steps, at least 1.
        covariates : the inputs of those steps, required exactly when the model was fitted with covariates.
        """
        header = self._fitted()
        if isinstance(horizon, bool) or not isinstance(horizon, (int, np.integer)) or horizon < 1:
            plain = horizon is None or np.isscalar(horizon)
            shown = repr(horizon) if plain else f"a {type(horizon).__name__}"
            hint = "" if plain else " (a forecaster predicts steps ahead, not from an x)"
            raise ValueError(f"horizon must be a positive integer, got {shown}{hint}")
        ahead = tuple(calendar.ahead(int(horizon)) for calendar in header.calendars)
        inputs = self._inputs(covariates, ahead, header.keys, header.single, future=True)
        forecast = self._scaling.restore(self._forecast(int(horizon), inputs))
        return Forecast(
            forecast, [c.index for c in ahead], header.keys, header.columns, header.single
        )

    def update(self, x_new: Any, *, covariates: Any = None) -> Self:
        """Take in the observations that follow, without refitting, in O(1) per step.

        `x_new` continues the calendar; steps in between that it leaves out count as missing.
        """
        header = self._fitted()
        data = self._continue(self._intake(x_new, "x_new", header), header)
        inputs = self._inputs(covariates, data.calendars, data.keys, data.single)
        self._observe(data.with_values(transform_next(self._scaling, data)), inputs)
        self._scaling = self._scaling.observe(data)
        self._header = header.advanced(data)
        return self

    def score(self, x: Any, y: None = None, *, covariates: Any = None) -> float:
        """Mean log predictive density per observed value, in nats, in the units of `x`; higher is better.

        Every value is predicted from the values before it in `x`. The first values, which a model with
        memory needs before it can predict, are conditioned on and not counted.
        """
        if y is not None:
            raise TypeError(f"{type(self).__name__}.score takes x alone; it is what was forecast")
        return float(self._counted(x, covariates).mean())

    def log_likelihood(self, x: Any, *, covariates: Any = None) -> float:
        """Total log predictive density of `x` in nats, given its first values (see `score`)."""
        return float(self._counted(x, covariates).sum())

    # -- shared machinery ------------------------------------------------------------------------

    def _fitted(self) -> Header:
        header = vars(self).get("_header")
        if header is None:
            raise NotFittedError(f"this {type(self).__name__} is not fitted; call fit(x) first")
        return header

    def _intake(self, x: Any, name: str, header: Header | None = None) -> Sequences:
        steps = {calendar.step for calendar in header.calendars} if header is not None else set()
        data = as_sequences(x, name=name, frequency=steps.pop() if len(steps) == 1 else None)
        if data.tokens:
            raise TypeError(f"{name} holds text; {type(self).__name__} forecasts numbers")
        if header is not None and len(data.columns) != len(header.columns):
            raise ValueError(
                f"{name} has {len(data.columns)} channel(s) {list(data.columns)}, the model was fitted to "
                f"{len(header.columns)} {list(header.columns)}"
            )
        if header is not None and len(data.columns) > 1 and data.columns != header.columns:
            unknown = [c for c in data.columns if c not in header.columns]
            raise ValueError(f"{name} has channels {list(data.columns)}, the model knows {list(header.columns)}"
                             + (f"; unknown: {unknown}" if unknown else "; put them in that order"))  # fmt: skip
        return data

    def _positions(self, data: Sequences, header: Header, name: str) -> Array:
        """Which fitted series each sequence of `data` is."""
        if header.single and len(header.keys) == 1:
            return np.zeros(len(data), dtype=int)
        known = {key: i for i, key in enumerate(header.keys)}
        strange = [key for key in data.keys if key not in known]
        if strange or data.single:
            shown = "a single series" if data.single else f"series {strange[0]!r}"
            raise ValueError(
                f"{name} has {shown}, but the model was fitted to the panel {_shorten(header.keys)}"
            )
        return np.array([known[key] for key in data.keys])

    def _continue(self, data: Sequences, header: Header) -> Sequences:
        """New rows for every fitted series, in the fitted order, with the steps that were left out as missing rows."""
        if header.single != data.single:
            raise ValueError(f"x_new is {'one series' if data.single else 'a panel'}, the model was fitted to "
                             f"{'one series' if header.single else 'a panel'}")  # fmt: skip
        found = np.full(len(header.keys), -1)
        found[self._positions(data, header, "x_new")] = np.arange(len(data))
        lengths, parts = data.lengths, []
        ahead: dict[Any, Calendar] = {}  # series of a panel often go on alike
        for i, last in zip(found.tolist(), header.calendars, strict=True):
            if i < 0 or not lengths[i]:
                none = Calendar(last.index[:0], last.step)
                parts.append(Sequences.blank(none, header.columns))
                continue
            key = (last.index[-1], last.index.dtype, last.index.name, last.step, lengths[i])
            if key not in ahead:
                ahead[key] = last.ahead(int(lengths[i]))
            parts.append(data.select(i).continuing(last, ahead[key]))
        return parts[0] if header.single else Sequences.join(parts, header.keys)

    def one_step(self, x: Any, *, covariates: Any = None) -> Distribution:
        """The predictive distribution of every row of `x` given the rows before it, (rows, channels).

        Rows of all sequences follow each other; a row that cannot be predicted yet has NaN parameters.
        """
        return self._one_step(self._intake(x, "x", self._fitted()), covariates)

    def _one_step(self, data: Sequences, covariates: Any) -> Distribution:
        positions = self._positions(data, self._fitted(), "x")
        scaling = self._scaling.align(positions)
        inputs = self._inputs(covariates, data.calendars, data.keys, data.single)
        steps = self._predictive(data.with_values(scaling.transform(data)), positions, inputs)
        return scaling.restore_replay(steps, data)

    def _counted(self, x: Any, covariates: Any) -> Array:
        """Log predictive densities of the values that are observed and can be predicted."""
        data = self._intake(x, "x", self._fitted())
        density = self._one_step(data, covariates).log_prob(data.values)
        counted = density[~np.isnan(density)]
        if not counted.size:
            raise ValueError("x has no observed value that the model can predict; give a longer x")
        return counted

    def _clock(self, position: int, calendar: Calendar) -> int:
        """How many steps after the first row of the fit of series `position` the calendar begins."""
        return self._fitted().origins[position].steps_to(calendar)

    def _lawful(self, covariates: Any) -> Any:
        """The covariates, if the family has a place for all of their kinds."""
        if isinstance(covariates, Covariates) and not self._takes_past:
            if covariates.past is not None or covariates.static is not None:
                raise TypeError(
                    f"{type(self).__name__} uses covariates that are known ahead; it has no place for past= or static="
                )
            return covariates.future
        return covariates

    def _inputs(self, covariates: Any, *where: Any, future: bool = False) -> Array | None:
        """The inputs at the given rows, checked against those of the fit."""
        fitted = self._input_names
        if future and fitted is not None:
            kinds = vars(self).get("_kind_counts")
            fitted = fitted[: kinds[0] if kinds else None] or None
        values, names = align_covariates(self._lawful(covariates), *where, future=future)
        if names is None and fitted is not None:
            raise ValueError(
                f"the model was fitted with the covariates {list(fitted)}; give them here too"
            )
        if names is not None and fitted is None:
            raise ValueError(
                "covariates were given, but the model was fitted without any"
                + (" that are known ahead" if self._input_names else "")
                + "; leave them out or fit again"
            )
        if names != fitted:
            if names is None or fitted is None or set(names) != set(fitted):
                raise ValueError(
                    f"covariates have columns {list(names or ())}, the model was fitted with {list(fitted or ())}"
                )
            values = values[:, [names.index(n) for n in fitted]]  # type: ignore[index]
        return values

    def _jacobian(self, given: Sequences, scaled: Sequences) -> float:
        """log |d model units / d caller's units| of all observed values."""
        return float(np.nansum(self._jacobians(given, scaled)))

    def _jacobians(self, given: Sequences, scaled: Sequences) -> Array:
        """The same element by element, (total, channels), NaN where missing."""
        if type(self.scale) is Identity:
            return np.zeros(scaled.values.shape)
        positions = self._positions(given, self._fitted(), "x")
        at_values = Normal(scaled.values, np.ones_like(scaled.values))
        restored = self._scaling.align(positions).restore_replay(at_values, given)
        return restored.log_prob(given.values) + 0.5 * float(np.log(2 * np.pi))

    # -- hooks, all in model units ---------------------------------------------------------------

    @abstractmethod
    def _fit(self, data: Sequences, covariates: Array | None) -> None:
        """Learn from `data`; covariates are (total, inputs)."""

    @abstractmethod
    def _forecast(self, horizon: int, covariates: Array | None) -> Distribution:
        """The distribution of the next steps, (series, horizon, channels); covariates (series * horizon, inputs)."""

    @abstractmethod
    def _observe(self, data: Sequences, covariates: Array | None) -> None:
        """Take in rows that follow; a series may have none."""

    @abstractmethod
    def _predictive(
        self, data: Sequences, positions: Array, covariates: Array | None
    ) -> Distribution:
        """One-step predictive distributions (total, channels) of `data`, whose series i is fitted series positions[i].

        Rows that cannot be predicted have NaN parameters.
        """


def check_count(name: str, value: Any, least: int) -> None:
    """Refuse a hyper-parameter that is not an integer of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"{name} must be an integer of at least {least}, got {value!r}")


def _shorten(keys: tuple[Hashable, ...]) -> str:
    shown = ", ".join(repr(k) for k in keys[:4])
    return f"[{shown}{', ...' if len(keys) > 4 else ''}] of {len(keys)} series"


def align_covariates(
    covariates: Any,
    calendars: tuple[Calendar, ...],
    keys: tuple[Hashable, ...],
    single: bool,
    *,
    future: bool = False,
) -> tuple[Array | None, tuple[Hashable, ...] | None]:
    """The inputs at the rows of the calendars, (total, inputs), and their names; by index where there is one."""
    if isinstance(covariates, Covariates):
        return _all_kinds(covariates, calendars, keys, single, future)
    if covariates is None:
        return None, None
    given = as_sequences(covariates, name="covariates", frequency=_offset(calendars[0]))
    if given.tokens:
        raise TypeError("covariates hold text; encode them as numbers, e.g. pd.get_dummies(...)")
    parts = []
    for key, calendar in zip(keys, calendars, strict=True):
        if given.single:
            i = 0
        elif key in given.keys:
            i = given.keys.index(key)
        else:
            raise ValueError(
                f"covariates have no series {key!r}; give one for every series, or one frame for all"
            )
        parts.append(
            _cut(given.array(i), given.calendars[i], calendar, covariates, single, key, future)
        )
    return np.concatenate(parts), given.columns


def _all_kinds(
    covariates: Covariates,
    calendars: tuple[Calendar, ...],
    keys: tuple[Hashable, ...],
    single: bool,
    future: bool,
) -> tuple[Array | None, tuple[Hashable, ...] | None]:
    """Inputs known ahead, then (for the past) those that are not, then fixed ones, repeated at every row."""
    kinds = [covariates.future] if future else [covariates.future, covariates.past]
    found = [align_covariates(k, calendars, keys, single, future=future) for k in kinds]
    parts = [(values, names) for values, names in found if values is not None and names is not None]
    if covariates.static is not None and not future:
        table, names = static_table(covariates.static, keys, single)
        parts.append((np.repeat(table, [len(c) for c in calendars], axis=0), names))
    if not parts:
        return None, None
    names = tuple(name for _, part in parts for name in part)
    if len(set(names)) < len(names):
        raise ValueError(f"covariates have a column twice: {list(names)}; rename one")
    return np.concatenate([values for values, _ in parts], axis=1), names


def _kind_counts(
    covariates: Any, names: tuple[Hashable, ...] | None
) -> tuple[int, int, int] | None:
    """How many inputs are known ahead, known up to now, and fixed; None where all are known ahead."""
    if names is None or not isinstance(covariates, Covariates):
        return None
    known, past = (
        0 if kind is None else as_sequences(kind, name="covariates").values.shape[1]
        for kind in (covariates.future, covariates.past)
    )
    return known, past, len(names) - known - past


def _without_times(given: Any) -> bool:
    """Whether a container of covariates has no index of its own and so goes by position."""
    if isinstance(given, dict):
        given = list(given.values())
    if isinstance(given, (list, tuple)):
        return not len(given) or _without_times(given[0])
    return isinstance(given, np.ndarray) or np.isscalar(given) or given is None


def _offset(calendar: Calendar) -> Any:
    return None if isinstance(calendar.step, int) else calendar.step


def _cut(
    values: Array,
    have: Calendar,
    need: Calendar,
    given: Any,
    single: bool,
    key: Hashable,
    future: bool,
) -> Array:
    what = "covariates" if single else f"covariates of series {key!r}"
    span = f"{need.format(0)} .. {need.format(-1)}" if len(need) else "nothing"
    remedy = (
        "give the inputs of every step of the horizon"
        if future
        else "give the inputs of every row of x"
    )
    if _without_times(given):
        if len(values) != len(need):
            raise ValueError(
                f"{what} have {len(values)} rows, expected {len(need)} ({span}); {remedy}"
            )
        rows = np.arange(len(values))
    else:
        rows = (
            have.index.get_indexer(need.index)
            if comparable(have.index, need.index)
            else np.full(len(need), -1)
        )
        if (rows < 0).any():
            first = need.format(int(np.argmax(rows < 0)))
            raise ValueError(
                f"{what} do not cover {span}: {int((rows < 0).sum())} step(s) are absent, first {first}; {remedy}"
            )
    picked = values[rows]
    if future and np.isnan(picked).any():
        first = need.format(int(np.argwhere(np.isnan(picked))[0][0]))
        raise ValueError(
            f"{what} are missing at {first}; a forecast needs every input of its horizon"
        )
    return picked
