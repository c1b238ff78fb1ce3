"""What follows from the probabilities of a Markov chain: its classes, its long run, and when it passes where."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from seqkit.data.sequences import Array
from seqkit.kernels import markov

_LARGE = 5000  # histories whose N x N matrix is made
_POWER = 60  # doublings after which a chain is said not to mix


class Passages:
    """The part of `MarkovChain` that reads its matrix alone. A chain of higher order moves among histories."""

    _states: list[Hashable]
    _initial: Array
    _transition: Array
    order: int

    @property
    def stationary_(self) -> pd.Series:
        """The share of time spent in every state in the long run, (K,)."""
        law = markov.long_run(self._embedded("the long run"), self._initial)
        names = pd.Index(self._states, name="state", tupleize_cols=False)
        return pd.Series(law.reshape(-1, len(names)).sum(axis=0), index=names, name="stationary")

    def communicating_classes(self) -> pd.DataFrame:
        """States that lead to each other: one row per class.

        Columns: states (tuple), recurrent (never left), period (every return takes a multiple of so many steps; 0 for a
        state that never returns).
        """
        found = markov.classes(self._embedded("its classes"))
        names = self._histories()
        members = [
            tuple(names[np.flatnonzero(found.member == c)]) for c in range(len(found.period))
        ]
        index = pd.RangeIndex(len(members), name="class")
        frame = pd.DataFrame({"recurrent": found.recurrent, "period": found.period}, index=index)
        frame.insert(0, "states", pd.Series(members, index=index, dtype=object))
        return frame

    def absorption_probabilities(self) -> pd.DataFrame:
        """Where the chain ends up: p(final class | start), rows are starts, columns the classes that are never left.

        A class of one state has its label, a larger one the tuple of its labels. With B the answer, Q the
        transitions among transient states and R those out of them, B = (I - Q)^-1 R.
        """
        matrix, names = self._embedded("absorption"), self._histories()
        found = markov.classes(matrix)
        ends, _ = markov.absorption(matrix, found)
        labels: list[Hashable] = []
        for number in np.flatnonzero(found.recurrent):
            members = tuple(names[np.flatnonzero(found.member == number)])
            labels.append(members[0] if len(members) == 1 else members)
        columns = pd.Index(labels, name="final", tupleize_cols=False)
        return pd.DataFrame(ends, index=names, columns=columns)

    def absorption_time(self) -> pd.Series:
        """Expected steps until the chain is in a class that it never leaves, from every start; (I - Q)^-1 1."""
        matrix = self._embedded("absorption")
        _, time = markov.absorption(matrix, markov.classes(matrix))
        return pd.Series(time, index=self._histories(), name="steps")

    def hitting_probability(self, target: Any) -> pd.Series:
        """p(ever in `target`), a state or a list of them, from every start; 1 in the target."""
        matrix = self._embedded("hitting probabilities")
        found, _ = markov.hitting(matrix, self._mask(target))
        return pd.Series(found, index=self._histories(), name="probability")

    def hitting_time(self, target: Any) -> pd.Series:
        """Expected steps until `target`, a state or a list of them, from every start; infinite where it may be missed.

        The smallest solution of t = 0 in the target, t = 1 + P t elsewhere (Norris 1997, theorem 1.3.5).
        """
        matrix = self._embedded("hitting times")
        _, time = markov.hitting(matrix, self._mask(target))
        return pd.Series(time, index=self._histories(), name="steps")

    def spectral_gap(self) -> float:
        """1 - |second largest eigenvalue|: how fast the start is forgotten, 0 for never."""
        moduli = np.sort(np.abs(np.linalg.eigvals(self._embedded("the spectral gap"))))
        return float(max(1.0 - moduli[-2], 0.0)) if len(moduli) > 1 else 1.0

    def mixing_time(self, epsilon: float = 0.25) -> float:
        """Steps until the law is within `epsilon` of the stationary one in total variation, from the worst start.

        Infinite for a chain that is periodic or ends in several classes.
        """
        if not 0 < epsilon < 1:
            raise ValueError(f"epsilon must be between 0 and 1, got {epsilon!r}")
        matrix = self._embedded("the mixing time")
        found = markov.classes(matrix)
        if found.recurrent.sum() > 1 or (found.period[found.recurrent] > 1).any():
            return np.inf
        return markov.mixing_time(matrix, markov.long_run(matrix, self._initial), epsilon, _POWER)

    # -- machinery -------------------------------------------------------------------------------

    def _histories(self) -> pd.Index:
        raise NotImplementedError

    def _known(self) -> None:
        raise NotImplementedError

    def _embedded(self, what: str) -> Array:
        """The square matrix of the chain."""
        self._known()
        if len(self._transition) > _LARGE:
            raise ValueError(
                f"{what} needs the square matrix of all {len(self._transition):,} histories, more than "
                f"{_LARGE:,}; take a lower order, or fewer states"
            )
        return self._transition if self.order == 1 else markov.embedded(self._transition)

    def _mask(self, target: Any) -> Array:
        """Which histories end in the target."""
        wanted = list(target) if isinstance(target, (list, set)) else [target]
        if not wanted:
            raise ValueError("target is empty; give a state or a list of states")
        for one in wanted:
            if one not in self._states:
                shown = ", ".join(map(repr, self._states[:6]))
                more = ", ..." if len(self._states) > 6 else ""
                raise ValueError(f"target {one!r} is no state; the chain has {shown}{more}")
        inside = np.array([state in wanted for state in self._states])
        return np.tile(inside, len(self._transition) // len(inside))


class Estimates:
    """The part of `MarkovChain` that shows what was learnt."""

    _states: list[Hashable]
    _initial: Array
    _transition: Array
    _counts: Array
    _observed: Array
    _symbols: int
    _ends: list[Any]  # per sequence, the fields of a `Gap`
    _beginnings: int
    _log_likelihood: float
    order: int

    @property
    def states_(self) -> list[Hashable]:
        return list(self._states)

    @property
    def initial_(self) -> pd.Series:
        return pd.Series(self._initial, index=self._histories(), name="initial")

    @property
    def transition_(self) -> pd.DataFrame:
        return self._table(self._transition)

    @property
    def counts_(self) -> pd.DataFrame:
        return self._table(self._counts)

    @property
    def log_likelihood_(self) -> float:
        return self._log_likelihood

    @property
    def n_parameters_(self) -> int:
        """Free probabilities: K - 1 for every row with counts, and one less than there are beginnings."""
        rows = int((self._counts.sum(axis=1) > 0).sum())
        return rows * (len(self._states) - 1) + self._beginnings - 1

    @property
    def aic_(self) -> float:
        return 2.0 * self.n_parameters_ - 2.0 * self._log_likelihood

    @property
    def bic_(self) -> float:
        return float(np.log(self._symbols)) * self.n_parameters_ - 2.0 * self._log_likelihood

    def standard_errors(self) -> pd.DataFrame:
        """Of `transition_`: sqrt(p (1 - p) / n), n transitions seen from a state; infinite where none was.

        Missing steps do not count, though they say a little: the errors are at most that large.
        """
        self._data_seen("standard errors")
        law, seen = self._transition, self._observed.sum(axis=1, keepdims=True)
        size = np.broadcast_to(seen, law.shape)
        variance = np.divide(law * (1 - law), size, out=np.full(law.shape, np.inf), where=size > 0)
        return self._table(np.sqrt(variance))

    def _histories(self) -> pd.Index:
        if self.order == 1:
            return pd.Index(self._states, name="from", tupleize_cols=False)
        lags = [f"lag {i}" for i in range(self.order, 0, -1)]
        return pd.MultiIndex.from_product([self._states] * self.order, names=lags)

    def _table(self, values: Array) -> pd.DataFrame:
        columns = pd.Index(self._states, name="to", tupleize_cols=False)
        return pd.DataFrame(values, index=self._histories(), columns=columns)

    def _data_seen(self, what: str) -> Any:
        raise NotImplementedError


def weighted_log(counts: Array, law: Array) -> float:
    """sum of counts * log(law), where there are counts."""
    seen = counts > 0
    with np.errstate(divide="ignore"):
        return float(counts[seen] @ np.log(law[seen]))


def shares(counts: Array) -> Array:
    """Relative frequencies along the last axis, uniform where there are no counts."""
    total = counts.sum(axis=-1, keepdims=True)
    out = np.full(counts.shape, 1.0 / counts.shape[-1])
    return np.divide(counts, total, out=out, where=total > 0)


def checked_transition(
    transition: Any, states: Iterable[Hashable] | None, order: int
) -> tuple[list[Hashable], Array]:
    """Labels and probabilities (K^m, K) that a caller gave."""
    names: list[Hashable]
    if isinstance(transition, pd.DataFrame):
        same = order > 1 or list(transition.index) == list(transition.columns)
        names = list(transition.columns) if states is None else list(states)
        if not same or names != list(transition.columns):
            raise ValueError(
                f"transition has the rows {list(transition.index)[:6]} and the columns {list(transition.columns)[:6]}; "
                "both must be the states, in one order"
            )
    values = np.array(transition, dtype=np.float64)
    if values.ndim != 2 or not values.size:
        raise ValueError(f"transition must be a matrix, (K, K), got shape {values.shape}")
    if not isinstance(transition, pd.DataFrame):
        names = list(range(values.shape[1])) if states is None else list(states)
    if len(set(names)) != len(names):
        raise ValueError(f"states must be distinct labels, got {names!r}")
    size = len(names)
    if values.shape != (size**order, size):
        raise ValueError(
            f"transition has shape {values.shape}; {size} states at order {order} need ({size**order}, {size})"
        )
    for i, row in enumerate(values):
        _check_law(row, f"row {i} of transition")
    return names, shares(values)


def checked_law(given: Any, index: pd.Index, name: str) -> Array:
    """One law over `index` that a caller gave."""
    if isinstance(given, (Mapping, pd.Series)):
        unknown = [key for key in dict(given) if key not in index]
        if unknown:
            raise ValueError(f"{name} names {unknown[0]!r}, which is no state")
        given = [given.get(key, 0.0) for key in index]
    law = np.array(given, dtype=np.float64)
    if law.shape != (len(index),):
        raise ValueError(f"{name} has shape {law.shape}, expected ({len(index)},)")
    _check_law(law, name)
    return shares(law)


def _check_law(law: Array, name: str) -> None:
    if not np.isfinite(law).all() or (law < 0).any() or abs(law.sum() - 1) > 1e-6:
        raise ValueError(
            f"{name} must be probabilities that sum to 1, got {law.tolist() if len(law) < 9 else 'them'} with sum "
            f"{law.sum():.6g}"
        )
