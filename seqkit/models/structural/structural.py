"""Structural models: sums of components, each a few states of one linear system, fitted by exact likelihood."""

from __future__ import annotations

import dataclasses
import time
import warnings
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from typing import Any, ClassVar, Self

import numpy as np

from seqkit.base import ConvergenceWarning, clone
from seqkit.data.calendar import Calendar
from seqkit.data.scaling import Identity
from seqkit.data.sequences import Array, Sequences
from seqkit.models.state_space.base import End, Run

from ._blocks import Block
from ._fit import StructuralFit, fit_blocks
from ._system import Assembly
from .results import StructuralResults

_HEAD_START = 0.5  # seconds of work in this process, before it is known how much there is
_PATIENCE = 5.0  # seconds of work left, from which processes are worth their start
_SETTINGS = ("observation_var", "scale", "n_jobs")  # of a whole sum, not of one component


@dataclasses.dataclass(eq=False, repr=False)
class StructuralForecaster(StructuralResults):
    """What single components and their sums have in common: fitting, and adding up."""

    observation_var: float | None = dataclasses.field(default=None, kw_only=True)
    n_jobs: int | None = dataclasses.field(default=None, kw_only=True)

    @property
    @abstractmethod
    def _terms(self) -> tuple[Component, ...]:
        """The components in order."""

    def _settings(self) -> dict[str, Any]:
        """The settings of the whole sum that were given."""
        values = {name: getattr(self, name) for name in _SETTINGS}
        return {k: v for k, v in values.items() if v is not None and not isinstance(v, Identity)}

    # -- sums ------------------------------------------------------------------------------------

    def __add__(self, other: Any) -> Structural:
        right = _as_structural(other)
        return NotImplemented if right is None else _sum(self, right)

    def __radd__(self, other: Any) -> Any:
        if isinstance(other, int) and other == 0:
            return self  # so that sum([...]) works
        left = _as_structural(other)
        return NotImplemented if left is None else _sum(left, self)

    # -- fitting ---------------------------------------------------------------------------------

    def _learn(self, data: Sequences, covariates: Array | None) -> None:
        check_variance("observation_var", self.observation_var)
        _labels(self._terms)
        inputs, names = self._checked_inputs(data, covariates)
        terms: list[tuple[Component, ...]] = []
        for calendar in data.calendars:
            settled = tuple(term._settled(calendar) for term in self._terms)
            terms.append(terms[-1] if terms and settled == terms[-1] else settled)
        jobs = [(terms[i], names, data.array(i)[:, 0].copy(), inputs[i]) for i in range(len(data))]
        fits = []
        for i, fit in enumerate(self._estimates(jobs)):
            if isinstance(fit, ValueError):
                raise ValueError(str(fit) if data.single else f"{data.label(i)}: {fit}") from fit
            fits.append(fit)
        self._fits, self._settled_terms = fits, terms
        self._ends = [
            End(fit.mean, fit.cov, np.zeros_like(fit.cov), int(length))
            for fit, length in zip(fits, data.lengths, strict=True)
        ]
        _tell_failures([data.label(i) for i, fit in enumerate(fits) if not fit.converged])

    def _checked_inputs(
        self, data: Sequences, covariates: Array | None
    ) -> tuple[list[Array | None], tuple[str, ...]]:
        """Covariates by series, and their names."""
        takes = any(term._label == "regression" for term in self._terms)
        if covariates is None:
            if takes:
                raise ValueError("Regression needs covariates; pass fit(y, covariates=frame)")
            return [None] * len(data), ()
        if not takes:
            raise ValueError(
                f"{type(self).__name__} does not use covariates; add Regression() to it, or leave them out"
            )
        _refuse_absent(data, covariates)
        return data.split(np.nan_to_num(covariates)), tuple(map(str, self._input_names or ()))

    def _estimates(self, jobs: list[Any]) -> Iterator[StructuralFit | ValueError]:
        """The fits in order, in processes once it is clear that there is work for them."""
        start = time.perf_counter()
        for done, job in enumerate(jobs):
            spent = time.perf_counter() - start
            if done and spent > _HEAD_START and spent / done * (len(jobs) - done) > _PATIENCE:
                yield from _in_processes(clone(self), jobs[done:], self.n_jobs)
                return
            yield _attempt(self, job)

    def _estimate(self, blocks: list[Block], y: Array, inputs: Array | None) -> StructuralFit:
        """The fit of one series, y (T,) in model units."""
        return fit_blocks(blocks, self.observation_var, y, inputs)

    # -- hooks of the state-space base -----------------------------------------------------------

    def _assembly(self, position: int) -> Assembly:
        names = tuple(map(str, self._input_names or ()))
        blocks = _blocks(self._settled_terms[position], names)
        fit = self._fits[position]
        return Assembly(blocks, self.observation_var, fit.sizes, fit.wide)

    def _intake(self, x: Any, name: str, header: Any = None) -> Sequences:
        data = super()._intake(x, name, header)
        if len(data.columns) > 1:
            raise ValueError(
                f"{type(self).__name__} is for one channel, but {name} has {len(data.columns)} ({list(data.columns)}); "
                "use LDS, or fit the columns as a panel: dict(frame.items())"
            )
        return data

    def _system(self, position: int, clock: int, length: int, covariates: Array | None) -> Any:
        assembly = self._assembly(position)
        observation = assembly.observation(
            None if covariates is None else np.nan_to_num(covariates)
        )
        return assembly.system(self._fits[position].values, observation)

    def _prepared(self, data: Sequences, positions: Array, inputs: Array | None) -> list[Run]:
        _refuse_absent(data, inputs)
        return super()._prepared(data, positions, inputs)

    def _observe(self, data: Sequences, covariates: Array | None) -> None:
        _refuse_absent(data, covariates)
        super()._observe(data, covariates)

    def log_likelihood(self, x: Any, *, covariates: Any = None) -> float:
        total = super().log_likelihood(x, covariates=covariates)
        data = self._intake(x, "x", self._fitted())
        positions = self._positions(data, self._fitted(), "x")
        return total - sum(self._assembly(int(p)).offset for p in positions)

    log_likelihood.__doc__ = StructuralResults.log_likelihood.__doc__

    def _state_names(self) -> list[str]:
        return self._assembly(0).states


@dataclasses.dataclass(eq=False, repr=False)
class Component(StructuralForecaster):
    """One component, which is a structural model by itself, with an irregular of its own."""

    _label: ClassVar[str] = ""  # of its contribution
    _leading: ClassVar[str] = ""  # the parameter that is printed without its name

    @property
    def _terms(self) -> tuple[Component, ...]:
        return (self._bare(),)

    def _bare(self) -> Self:
        """An unfitted copy without the settings that belong to a whole sum."""
        own = {k: v for k, v in self.get_params(deep=False).items() if k not in _SETTINGS}
        return type(self)(**own)

    @abstractmethod
    def _settled(self, clock: Calendar) -> Self:
        """A copy with everything that the calendar decides, checked."""

    @abstractmethod
    def _block(self, label: str, names: tuple[str, ...]) -> Block:
        """The matrices of a settled component; `names` are those of the covariates."""

    def _numbered(self, number: int) -> str:
        """The label where a sum has several components of this kind."""
        return f"{self._label}_{number}"

    def __repr__(self) -> str:
        text, name = super().__repr__(), self._leading
        if not name or getattr(self, name) is None:
            return text
        first = f"{type(self).__name__}({getattr(self, name)!r}"
        rest = text[len(type(self).__name__) + 1 :].removeprefix(f"{name}={getattr(self, name)!r}")
        return first + (rest if rest[:1] in (",", ")") else f", {rest}")


@dataclasses.dataclass(eq=False, repr=False)
class Structural(StructuralForecaster):
    """A sum of components and an irregular: y_t = component_1,t + component_2,t + ... + e_t.

    Usually written as a sum, ``LocalLinearTrend() + Seasonal(12) + AR(1)``. All parameters that are not given
    are learnt together by maximum likelihood, with an exact diffuse start of all states that are not
    stationary (de Jong 1991; Koopman 1997).

    Parameters
    ----------
    terms : the components in order.
    observation_var : variance of the irregular e; None learns it. A sum takes the last one that was given.
    n_jobs : processes for a panel; None for what ``joblib.parallel_config`` says, 1 without it. They start only
        where there is work for them.

    Raises
    ------
    ValueError : components that cannot be told apart, too few values, several channels.

    Attributes
    ----------
    params_, standard_errors_, log_likelihood_, aic_, bic_, history_

    Sources: Harvey (1989); Durbin & Koopman (2012), chapter 3.

    Examples
    --------
    >>> import numpy as np, seqkit
    >>> log_airline = np.log(seqkit.datasets.load("airline"))
    >>> model = (seqkit.LocalLinearTrend() + seqkit.Seasonal(12)).fit(log_airline)
    >>> round(model.log_likelihood_, 2)
    217.42
    >>> list(model.components())
    ['trend', 'seasonal', 'irregular']
    """

    terms: tuple[Component, ...] = ()

    @property
    def _terms(self) -> tuple[Component, ...]:
        wrong = [t for t in self.terms if not isinstance(t, Component)]
        if wrong or not self.terms:
            raise TypeError(
                "terms must be a tuple of components such as (LocalLevel(), Seasonal(12)), got "
                f"{wrong[0] if wrong else self.terms!r}"
            )
        given = [t for t in self.terms if t._settings()]
        if given:
            raise ValueError(
                f"{given[0]!r} inside Structural has settings of the whole sum; give {', '.join(given[0]._settings())} "
                "to Structural, or add the components with +"
            )
        return tuple(self.terms)

    def __repr__(self) -> str:
        if len(self.terms) < 2 or not all(isinstance(t, Component) for t in self.terms):
            return super().__repr__()
        last = self.terms[-1]
        last = type(last)(**{**last.get_params(deep=False), **self._settings()})
        shown = [*(type(t)(**t.get_params(deep=False)) for t in self.terms[:-1]), last]
        header = vars(self).get("_header")
        state = f"  # {header.describe()}" if header is not None else ""
        return " + ".join(map(repr, shown)) + state


def _as_structural(other: Any) -> StructuralForecaster | None:
    """`other` as something that adds up: an AR stands for the component of its order."""
    from seqkit.models.autoregression.ar import AR

    if isinstance(other, StructuralForecaster):
        return other
    if not isinstance(other, AR):
        return None
    from .components import Autoregressive

    plain = AR(other.order, trend=other.trend, method=other.method, scale=other.scale)
    if other != plain and vars(other).get("_header") is None:
        raise ValueError(f"only the order of an AR enters a sum, got {other!r}; use AR(order)")
    if isinstance(other.order, bool) or not isinstance(other.order, (int, np.integer)):
        raise ValueError(f"an AR in a sum needs a number as its order, got {other.order!r}")
    return Autoregressive(int(other.order))


def _sum(left: StructuralForecaster, right: StructuralForecaster) -> Structural:
    terms = tuple(term._bare() for term in chain(left._terms, right._terms))
    return Structural(terms, **{**left._settings(), **right._settings()})


def _labels(terms: tuple[Component, ...]) -> list[str]:
    """A name for each component; those that the data cannot tell apart are refused."""
    kinds = Counter("level" if t._label == "trend" else t._label for t in terms)
    for kind in ("level", "regression"):
        if kinds[kind] > 1:
            raise ValueError(
                f"a sum can have one component with a {kind}, got {' + '.join(map(repr, terms))}; the data "
                "cannot tell two of them apart"
            )
    labels = [
        t._label if kinds[t._label] < 2 else t._numbered(1 + sum(s._label == t._label for s in terms[:i]))
        for i, t in enumerate(terms)
    ]  # fmt: skip
    twice = [label for label, count in Counter(labels).items() if count > 1]
    if twice:
        raise ValueError(f"a sum has {twice[0].replace('_', ' ')} twice; leave one out")
    return labels


def _blocks(terms: tuple[Component, ...], names: tuple[str, ...]) -> list[Block]:
    """The blocks of settled components."""
    labels = _labels(terms)
    return [term._block(label, names) for term, label in zip(terms, labels, strict=True)]


def _refuse_absent(data: Sequences, covariates: Array | None) -> None:
    """A row with a value needs all covariates; one without does not."""
    if covariates is None:
        return
    absent = np.isnan(covariates).any(1) & ~np.isnan(data.values[:, 0])
    if absent.any():
        raise ValueError(
            f"covariates are missing in {int(absent.sum())} row(s) that have a value, first row "
            f"{int(np.argmax(absent))}; fill them, or make the value missing"
        )


def _attempt(model: StructuralForecaster, job: Any) -> StructuralFit | ValueError:
    """One fit, or what was wrong with it, so that a process can hand it back."""
    terms, names, y, inputs = job
    try:
        return model._estimate(_blocks(terms, names), y, inputs)
    except ValueError as error:
        return error


def _attempts(model: StructuralForecaster, jobs: list[Any]) -> list[StructuralFit | ValueError]:
    return [_attempt(model, job) for job in jobs]


def _in_processes(
    model: StructuralForecaster, jobs: list[Any], n_jobs: int | None
) -> Iterator[StructuralFit | ValueError]:
    from joblib import Parallel, delayed, effective_n_jobs
    from tqdm import tqdm

    workers = max(int(effective_n_jobs(n_jobs)), 1)
    size = max(len(jobs) // (8 * workers), 1)
    chunks = [jobs[i : i + size] for i in range(0, len(jobs), size)]
    if workers == 1:
        results: Any = (_attempts(model, chunk) for chunk in chunks)
    else:
        try:
            parallel = Parallel(n_jobs=n_jobs, return_as="generator")
        except ValueError:  # a backend that hands back everything at once
            parallel = Parallel(n_jobs=n_jobs)
        results = parallel(delayed(_attempts)(model, chunk) for chunk in chunks)
    with tqdm(total=len(jobs), desc="fit", unit="series", disable=None, delay=3.0) as bar:
        for result in results:
            bar.update(len(result))
            yield from result


def _tell_failures(labels: list[str]) -> None:
    if not labels:
        return
    named = ", ".join(labels[:3]) + (", ..." if len(labels) > 3 else "")
    warnings.warn(
        f"the likelihood of {named} was still rising when the search ended; use fewer components, fix a variance "
        "(such as slope_var=0), or give a longer series",
        ConvergenceWarning, stacklevel=6,
    )  # fmt: skip


def check_variance(name: str, value: Any) -> None:
    """Refuse what is neither None nor a number of at least 0."""
    number = isinstance(value, (int, float, np.number)) and not isinstance(value, (bool, np.bool_))
    if value is not None and not (number and 0 <= value < np.inf):
        raise ValueError(f"{name} must be None (learn it) or a number of at least 0, got {value!r}")
