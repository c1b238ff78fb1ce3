"""What lets a family of distributions be emitted by hidden states: densities under all states, weighted fits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

Array = np.ndarray
Columns = dict[str, Array]  # parameters of one channel by name, each (K,)


class Rows(NamedTuple):
    """Observations as a family wants them: each distinct row once where that pays.

    values : (R, C), NaN where missing.
    index : (T,) which row each step shows; None where step t shows row t.
    inputs : (R, P) what the rows' law depends on beside the state (covariates, lags), or None.
    complete : whether it is known that nothing is missing.
    parts : the rows of a product's factors.
    """

    values: Array
    index: Array | None = None  # type: ignore[assignment]
    inputs: Array | None = None
    complete: bool = False
    parts: tuple[Any, ...] = ()


class Emission:
    """A law for each of K states: parameters have a leading axis of states, (K,) for one channel or (K, C).

    A family names its parameters in `_names` and says in `_estimate` how one channel is fitted by weights; the rest
    has defaults for channels that are independent given the state. NaN in a parameter asks for an estimate; a number
    is held fixed by every fit, element by element, until `released` frees it.

    Attributes
    ----------
    prior : the law of the parameters (their fits then maximise the posterior density), or None.
    floor : the least variance, as a share of the channel's variance over all rows.
    """

    _names: ClassVar[Mapping[str, str]] = {}  # parameter -> attribute that holds it
    _support: ClassVar[str] = "numbers"  # what messages call the values that the family admits
    positive: ClassVar[frozenset[str]] = frozenset()  # parameters above 0 whose names do not say so
    discrete: bool = False
    prior: Any = None
    floor: float = 1e-6
    _free: dict[str, Array] | None = None

    def _set_options(self, prior: Any, floor: float | None = None) -> None:
        """Only what differs from the defaults is state."""
        if prior is not None:
            self.prior = prior
        if floor is not None and floor != type(self).floor:
            if not 0 <= floor < 1:
                raise ValueError(
                    f"floor is the least variance as a share of the channel's variance, in [0, 1); got {floor!r}"
                )
            self.floor = float(floor)

    # -- parameters ------------------------------------------------------------------------------

    def parameters(self) -> dict[str, Array]:
        """The parameters by name; NaN marks what has still to be estimated."""
        return {name: getattr(self, attribute) for name, attribute in self._names.items()}

    def with_parameters(self, parameters: Mapping[str, Any]) -> Self:
        """The same family and options with other parameters; what was free stays free."""
        unknown = [name for name in parameters if name not in self._names]
        if unknown:
            raise ValueError(
                f"{type(self).__name__} has no parameter {unknown[0]!r}; it has {list(self._names)}"
            )
        values = {name: np.asarray(value, float) for name, value in parameters.items()}
        values = self.parameters() | values
        return self._with(values, resized(self.free, values))

    @property
    def free(self) -> dict[str, Array]:
        """For every parameter, which of its elements a fit may change."""
        if self._free is not None:
            return self._free
        return {name: np.isnan(value) for name, value in self.parameters().items()}

    def released(self) -> Self:
        """The same law with every parameter free to be fitted, from where it is now."""
        free = {name: np.ones(np.shape(v), bool) for name, v in self.parameters().items()}
        return self._with(self.parameters(), free)

    @property
    def fitted(self) -> bool:
        """Whether every parameter is known."""
        values = self.parameters().values()
        return all(np.ndim(v) > 0 and not np.isnan(v).any() for v in values)

    @property
    def n_states(self) -> int:
        """K, the length of the parameters' leading axis; 0 where it is not known yet."""
        return max((v.shape[0] for v in self.parameters().values() if np.ndim(v)), default=0)

    @property
    def channels(self) -> int:
        """C, the number of channels that are emitted; 0 where it is not known yet."""
        width = max((v.shape[1] for v in self.parameters().values() if np.ndim(v) > 1), default=0)
        return width or int(self.fitted)

    @property
    def n_free(self) -> int:
        """How many real numbers a fit may choose."""
        return int(sum(mask.sum() for mask in self.free.values()))

    @property
    def labels(self) -> list[Any] | None:
        """The symbols that codes stand for, where the family emits symbols."""
        return None

    def __repr__(self) -> str:
        name, values = type(self).__name__, self.parameters().values()
        if all(np.ndim(v) == 0 and np.isnan(v) for v in values):
            shown = ("n_components", "lags", "covariance", "symbols", "unknown", "prior")
            given = {n: getattr(self, n, None) for n in shown}
            return f"{name}({', '.join(f'{n}={v!r}' for n, v in given.items() if v is not None)})"
        return super().__repr__() if hasattr(self, "shape") else f"{name}({self.n_states} states)"

    def _with(self, parameters: Mapping[str, Array], free: dict[str, Array]) -> Self:
        """A copy around other parameters, checked by the caller."""
        made = object.__new__(type(self))
        vars(made).update(vars(self))
        vars(made).update({self._names[name]: value for name, value in parameters.items()})
        made._free = free
        return made

    def __getitem__(self, key: Any) -> Self:
        """The law of the states (and channels) at `key`."""
        made = object.__new__(type(self))
        vars(made).update(vars(self))
        for attribute in self._names.values():
            vars(made)[attribute] = np.asarray(getattr(self, attribute)[key])
        if self._free is not None:
            made._free = {name: mask[key] for name, mask in self._free.items()}
        if self.prior is not None and hasattr(self.prior, "at"):
            made.prior = self.prior.at(key)
        return made

    def order(self, key: Any) -> Self:
        """The states in another order: `key` holds their present numbers."""
        return self[np.asarray(key)]

    def _matrices(self, states: int, channels: int) -> tuple[dict[str, Array], dict[str, Array]]:
        """Parameters and what of them is free, each (K, C); parameters of one axis run over states."""
        free, shape = self.free, (states, channels)
        parameters, masks = {}, {}
        for name, value in self.parameters().items():
            parts = np.asarray(value, float), np.asarray(free[name])
            value, mask = (part[:, None] if part.ndim == 1 else part for part in parts)
            if value.shape != shape or mask.shape != shape:
                try:
                    value, mask = (np.broadcast_to(part, shape) for part in (value, mask))
                except ValueError:
                    raise ValueError(
                        f"{name} of {type(self).__name__} has shape {parts[0].shape}; for {states} states and "
                        f"{channels} channels give ({states},) or {shape}"
                    ) from None
            parameters[name], masks[name] = value.copy(), mask.copy()
        return parameters, masks

    def _flat(self, channels: int) -> bool:
        """Whether parameters are kept without an axis for channels."""
        return channels == 1 and all(np.ndim(v) < 2 for v in self.parameters().values())

    def _matrix(self) -> Self:
        """The laws alone, with parameters (K, C) and without the options of a fit."""
        values, kinds = self.parameters(), {np.ndim(v) for v in self.parameters().values()}
        if kinds == {1}:
            values = {name: v[:, None] for name, v in values.items()}
        elif kinds != {2}:
            values = self._matrices(self.n_states, max(self.channels, 1))[0]
        made = self._with(values, {})
        for option in ("_free", "prior", "floor"):
            vars(made).pop(option, None)
        return made

    # -- rows ------------------------------------------------------------------------------------

    def for_columns(self, columns: Any) -> Self:
        """This emission for channels of those names; only a product by name cares."""
        return self

    def learn_symbols(self, values: Any) -> Self:
        """This emission with the vocabulary of text `values`; only symbols care."""
        return self

    def make_rows(self, values: Any, offsets: Any = None, covariates: Any = None) -> Rows:
        """Observations (T, C) as `Rows`; counts of one channel become their distinct values."""
        values = self._checked(values)
        if self.discrete and values.shape[1] == 1 and len(values) > 1:
            table, index = distinct(values[:, 0])
            if 2 * len(table) <= len(values):
                return Rows(table[:, None], index, None, not np.isnan(table[-1]))
        return Rows(values, None, None, is_complete(values))

    def _checked(self, values: Any) -> Array:
        """Observations as (T, C) numbers of the family's support."""
        values = np.asarray(values)
        if values.dtype.kind in "OUS":
            raise TypeError(
                f"{type(self).__name__} emits {self._support}, got text; use Categorical() for symbols"
            )
        values = np.ascontiguousarray(values, dtype=float)  # once, not at every density
        if values.ndim == 1:
            values = values[:, None]
        width = self.channels
        if width and values.shape[1] != width:
            raise ValueError(
                f"the data have {values.shape[1]} channels, the parameters of {type(self).__name__} {width}; "
                f"parameters of {values.shape[1]} channels have shape (states, {values.shape[1]})"
            )
        bad = self._outside(values)
        if bad is not None and bad.any():
            t, c = np.argwhere(bad)[0]
            raise ValueError(
                f"{type(self).__name__} emits {self._support}, got {values[t, c]} at step {t}, channel {c}; "
                "mark what is unknown as NaN, or choose another family"
            )
        return values

    def _outside(self, values: Array) -> Array | None:
        """Which elements the family cannot emit (NaN is missing, never outside)."""
        return None

    # -- densities -------------------------------------------------------------------------------

    def log_density(self, rows: Rows) -> Array:
        """log p(row r | state k), (R, K); missing elements are marginalised, so that an empty row says 0."""
        law = self._matrix()
        values = rows.values
        total = np.zeros((len(values), law.n_states))
        for c in range(values.shape[1]):
            part = law[:, c].log_prob(values[:, c, None])  # type: ignore[attr-defined]
            if not rows.complete:
                part[np.isnan(values[:, c])] = 0.0
            total += part
        return total

    def log_prior(self) -> float:
        """Log density of the parameters under the prior, up to a constant; 0 without one."""
        return 0.0

    def draw(self, states: Any, rng: np.random.Generator, inputs: Any = None) -> Array:
        """One observation for each state of a path (T,), (T, C)."""
        states = np.asarray(states)
        return self._matrix()[states].sample(1, rng)[0].reshape(len(states), -1)  # type: ignore[attr-defined]

    def law(self, k: int) -> Any:
        """What state k emits: a distribution of shape (C,), of its elements' marginals."""
        return self._matrix()[int(k)]

    def laws(self, rows: Rows) -> list[Any]:
        """What each state emits at each row: K distributions of shape (R, C)."""
        law, count = self._matrix(), len(rows.values)
        return [law[np.full(count, k)] for k in range(law.n_states)]

    # -- fitting ---------------------------------------------------------------------------------

    def fit_weighted(self, rows: Rows, weights: Any) -> Self:
        """The parameters that maximise sum_rk weights[r, k] log p(row r | state k), plus the log prior.

        Parameters
        ----------
        weights : (R, K), non-negative; how much each row belongs to each state.

        States without weight keep their parameters, or, where they have none yet, take those of all rows. Where
        there is no closed form the result is a step from the present parameters that never lowers the sum.
        """
        weights = np.asarray(weights, float)
        states, channels = weights.shape[1], rows.values.shape[1]
        now, free = self._matrices(states, channels)
        for c, x, w, alive in observed(rows, weights):
            current = {name: value[:, c] for name, value in now.items()}
            fixed = {name: np.where(free[name][:, c], np.nan, v) for name, v in current.items()}
            found = self._estimate(x, w, current, fixed, c)
            for name, value in found.items():
                change = free[name][:, c] & (alive | np.isnan(current[name]))
                now[name][change, c] = np.broadcast_to(value, (states,))[change]
        if self._flat(channels):
            now, free = ({n: v[:, 0] for n, v in d.items()} for d in (now, free))
        return self._with(now, free)

    def _estimate(self, x: Array, w: Array, now: Columns, fixed: Columns, c: int) -> Columns:
        """Estimates (K,) of one channel from its observed values x (n,) with weights w (n, K).

        `now` holds the present parameters (NaN where there are none), `fixed` the fixed ones (NaN where free).
        """
        raise NotImplementedError(f"{type(self).__name__} cannot be fitted by weights")


def observed(rows: Rows, weights: Array) -> Iterator[tuple[int, Array, Array, Array]]:
    """Channel by channel: its number, its observed values, their weights, and which states have weight at all.

    A state without weight gets that of all states together, so that every estimate is a number.
    """
    for c in range(rows.values.shape[1]):
        x, w = rows.values[:, c], weights
        if not rows.complete:
            seen = ~np.isnan(x)
            if not seen.all():
                x, w = x[seen], w[seen]
        total = w.sum(0)
        alive = total > 1e-12 * max(total.sum(), 1e-280)
        if not alive.all():
            pooled = w.sum(1) if alive.any() else np.ones(len(w))
            if not len(w):
                raise ValueError(f"channel {c} has no observed value to learn from; leave it out")
            w = np.where(alive, w, pooled[:, None])
        yield c, x, w, alive


def resized(free: Mapping[str, Array], values: Mapping[str, Array]) -> dict[str, Array]:
    """Masks of the size of what they mask: one answer may stand for all elements."""
    return {n: np.broadcast_to(m, values[n].shape) if m.ndim == 0 else m for n, m in free.items()}


def held(estimate: Any, fixed: Array) -> Array:
    """The estimate, but the fixed number where there is one."""
    return np.where(np.isnan(fixed), estimate, fixed)


def is_complete(values: Array) -> bool:
    """Whether nothing is missing: one pass, no array of answers."""
    with np.errstate(invalid="ignore", over="ignore"):
        return not np.isnan(values.sum()) or not np.isnan(values).any()


def distinct(x: Array) -> tuple[Array, Array]:
    """The distinct values of x (T,), ascending with NaN last, and which of them each element is."""
    missing = np.isnan(x)
    filled = np.where(missing, 0.0, x)
    top = filled.max(initial=0.0)
    if top < 65536 and filled.min(initial=0.0) >= 0 and (filled == np.floor(filled)).all():
        codes = filled.astype(np.int64)  # small counts need no sorting
        codes[missing] = int(top) + 1
        present = np.bincount(codes, minlength=int(top) + 2) > 0
        table = np.flatnonzero(present).astype(float)
        if missing.any():
            table[-1] = np.nan
        return table, (np.cumsum(present) - 1)[codes]
    table, index = np.unique(x, return_inverse=True)
    return table, index.reshape(-1)
