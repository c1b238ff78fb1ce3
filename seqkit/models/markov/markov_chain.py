"""Markov chains of any order: fitted by counting, exact about missing steps, with their classes and passage times."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Hashable, Iterable
from typing import Any, Self

import numpy as np
import pandas as pd

from seqkit.base import ConvergenceWarning, Header, Model, NotFittedError, check_count
from seqkit.data.sequences import Array, Sequences, join_index
from seqkit.kernels import markov

from ._markov_data import End, Evidence, Labels, as_codes, evidence, integers
from ._markov_results import (
    Estimates,
    Passages,
    checked_law,
    checked_transition,
    shares,
    weighted_log,
)

_CELLS = 20_000_000  # transitions that are held: 160 MB
_STEPS, _TOLERANCE = 2000, 1e-10  # of the EM over missing steps
_ROWS = ("uniform", "absorbing")


@dataclasses.dataclass(eq=False, repr=False)
class MarkovChain(Estimates, Passages, Model):
    """A chain whose next state depends on the last `order` states alone.

    p(s_1 .. s_T) = initial[s_1 .. s_m] prod_{t=m+1}^{T} transition[(s_{t-m} .. s_{t-1}), s_t].

    Fitting counts. Steps that are missing between others are filled in by expectation maximisation, which is
    exact: the likelihood is that of what was observed.

    Parameters
    ----------
    order : how many states the next one depends on, m.
    pseudo_count : added to every count, of transitions and of beginnings.
    states : all labels, in the order of the tables; None takes those that occur, sorted.
    never_left : the row of a state that is never followed by another one and has no pseudo-count, which the data
        leave open: "uniform", the limit of small pseudo-counts, or "absorbing", which stays for ever. None is
        "uniform" with a warning.

    Attributes
    ----------
    states_ : list of K labels.
    initial_ : Series, p(first state), or of the first `order` states.
    transition_, counts_ : DataFrames (K^m, K), from (rows) to (columns). Counts in gaps are expected ones.
    stationary_ : Series (K,), the share of time spent in every state in the long run. Where the chain can end
        in several classes, they are weighted by how probable they are from `initial_`.
    log_likelihood_, n_parameters_, aic_, bic_ : of the fit.

    Examples
    --------
    >>> chain = MarkovChain(pseudo_count=1).fit(["Sunny", "Sunny", "Rainy"])
    >>> chain.transition_.loc["Sunny"].tolist(), chain.stationary_.round(3).tolist()
    ([0.5, 0.5], [0.5, 0.5])
    >>> weather = MarkovChain.from_params(states=["Rainy", "Sunny"], transition=[[0.7, 0.3], [0.4, 0.6]])
    >>> weather.predict(2, start="Rainy")["Rainy"].round(3).tolist()
    [0.7, 0.61]

    References
    ----------
    Kemeny & Snell (1960), Finite Markov chains. Anderson & Goodman (1957), Annals of Mathematical Statistics 28.
    """

    order: int = 1
    pseudo_count: float = 0.0
    states: list[Hashable] | None = None
    never_left: str | None = None

    # -- parameters ------------------------------------------------------------------------------

    @classmethod
    def from_params(
        cls, *, transition: Any, states: Iterable[Hashable] | None = None, initial: Any = None, order: int = 1
    ) -> Self:  # fmt: skip
        """A chain of known probabilities.

        Parameters
        ----------
        transition : (K^m, K), rows that sum to 1; the rows of a higher order are all histories, the last
            state changing fastest. A DataFrame brings its labels.
        states : K labels; None numbers them, or takes those of the DataFrame.
        initial : (K^m,) law of the first `order` states; None starts in the long run, which must be unique.
        order : m.
        """
        check_count("order", order, 1)
        names, law = checked_transition(transition, states, order)
        made = cls(order=order, states=names)
        made._states, made._transition = names, law
        if initial is not None:
            made._initial = checked_law(initial, made._histories(), "initial")
            return made
        found = markov.classes(made._embedded("the long run"))
        if found.recurrent.sum() > 1:
            raise ValueError(
                f"the chain can end in {int(found.recurrent.sum())} separate classes, so its long run is not "
                "unique; give initial="
            )
        made._initial = markov.long_run(made._embedded("the long run"), np.eye(len(law))[0])
        return made

    def fit(self, x: Any, y: None = None) -> Self:
        """Count what follows what.

        Parameters
        ----------
        x : labels (text, whole numbers, categories), one sequence or a panel of them in any accepted container
            (see `seqkit.Sequences`); None and NaN are missing steps, as are holes in a calendar.
        y : must be None.

        Raises
        ------
        ValueError : no observed step, a label that is not in `states`, settings out of range.
        TypeError : measurements instead of labels.
        """
        if y is not None:
            raise TypeError("MarkovChain.fit learns from x alone; its states are what is observed")
        self._check()
        labels = Labels(self.states)
        data = as_codes(x, labels)
        codes = integers(data)
        names = list(self.states) if self.states is not None else []
        if self.states is None:
            names, renumbered = labels.ordered()
            codes = np.where(codes < 0, -1, np.append(renumbered, -1)[codes])
        if (codes < 0).all():
            raise ValueError("x has no observed step; give at least one label")
        self._check_size(len(names))
        found = evidence(codes, data.offsets, self.order, len(names))
        vars(self).pop("_header", None)
        self._states = names
        self._learn(found)
        self._ends, self._header = list(map(tuple, found.ends)), Header(data)
        return self

    def _check(self) -> None:
        check_count("order", self.order, 1)
        if not 0 <= self.pseudo_count < np.inf:
            raise ValueError(f"pseudo_count must be at least 0, got {self.pseudo_count!r}")
        if self.never_left not in (None, *_ROWS):
            raise ValueError(f"never_left must be one of {_ROWS} or None, got {self.never_left!r}")
        if self.states is not None and len(set(self.states)) != len(list(self.states)):
            raise ValueError(f"states must be distinct labels, got {list(self.states)!r}")

    def _check_size(self, symbols: int) -> None:
        if symbols ** (self.order + 1) > _CELLS:
            raise ValueError(
                f"{symbols} states at order {self.order} make {symbols ** (self.order + 1):,} transitions, more than "
                f"{_CELLS:,}; take a lower order, or fewer states"
            )

    def _learn(self, found: Evidence) -> None:
        self._observed, self._symbols = found.counts, found.observed
        first, counts = found.first, found.counts
        if found.gaps:
            first, counts = self._fill_gaps(found)
        self._counts = counts
        self._initial = shares(first + self.pseudo_count)
        self._transition = shares(counts + self.pseudo_count)
        self._complete_rows(found)
        self._beginnings = int((first > 0).sum())
        self._log_likelihood = sum(self._log_probability(found))

    def _fill_gaps(self, found: Evidence) -> tuple[Array, Array]:
        """Expected counts under the maximum likelihood parameters, by EM from smoothed counts."""
        first, counts, alpha = found.first, found.counts, self.pseudo_count
        initial, law = shares(first + 1.0), shares(counts + 1.0)
        for _ in range(_STEPS):
            before, first, counts = law, found.first.copy(), found.counts.copy()
            for gaps in found.gaps:
                begun, passed = markov.expected(gaps, initial, law)
                first += begun
                counts += passed
            initial, law = shares(first + alpha), shares(counts + alpha)
            if np.abs(law - before).max() < _TOLERANCE:
                return first, counts
        warnings.warn(
            f"filling in the missing steps of x did not settle in {_STEPS} rounds (the last one moved a probability by "
            f"{np.abs(law - before).max():.1e}); give a pseudo_count, or fewer states",
            ConvergenceWarning,
            stacklevel=4,
        )
        return first, counts

    def _complete_rows(self, found: Evidence) -> None:
        """Rows without counts, which the data leave open."""
        open_rows = (self._counts.sum(axis=1) == 0) & (self.pseudo_count == 0)
        if self.never_left == "absorbing":
            self._transition[open_rows] = np.eye(len(self._states))[
                np.flatnonzero(open_rows) % len(self._states)
            ]
        if self.never_left is None:
            visited = {end.history for end in found.ends if end.history >= 0}
            told = [i for i in np.flatnonzero(open_rows) if self.order == 1 or i in visited]
            if told:
                names = ", ".join(repr(self._histories()[int(i)]) for i in told[:3])
                warnings.warn(
                    f"nothing follows {names}{', ...' if len(told) > 3 else ''} in x, so what does is taken as "
                    "uniform, the limit of small pseudo-counts; give pseudo_count=1 to smooth all rows, or "
                    'never_left="absorbing" if the chain ends there',
                    UserWarning,
                    stacklevel=4,
                )

    # -- answering -------------------------------------------------------------------------------

    def predict(self, horizon: int, *, start: Any = None) -> pd.DataFrame:
        """The law of each of the next `horizon` steps, one column per state, after the end of every sequence.

        Parameters
        ----------
        horizon : number of steps, at least 1.
        start : a state (the last `order` states as a list) to go on from instead; steps are then numbered from 1.

        Returns
        -------
        DataFrame on the index that continues the caller's, (series, time) for a panel.
        """
        self._known()
        check_count("horizon", horizon, 1)
        if start is not None:
            given = list(start) if isinstance(start, list) else [start]
            data = as_codes(given, Labels(self._states), "start")
            laws = self._ahead(self._evidence(data).ends, horizon)
            return self._frame(laws[0], pd.RangeIndex(1, horizon + 1, name="step"))
        header = self._data_seen("a prediction", "give start=, a state to begin with")
        laws = self._ahead([End(*end) for end in self._ends], horizon)
        future = [calendar.future(horizon) for calendar in header.calendars]
        index = future[0] if header.single else join_index(header.keys, future)
        return self._frame(laws.reshape(-1, len(self._states)), index)

    def predict_proba(self, horizon: int, *, start: Any = None) -> pd.DataFrame:
        """`predict` by the name that goes with `decode_proba`."""
        return self.predict(horizon, start=start)

    def _ahead(self, ends: list[End], horizon: int) -> Array:
        """Laws (series, horizon, K) of the steps after the ends."""
        beliefs = []
        for end in ends:
            if end.history < 0 and len(end.symbols) < self.order:
                raise ValueError(
                    f"a sequence has {len(end.symbols)} step(s); a chain of order {self.order} goes on from "
                    f"{self.order} or more"
                )
            passed = markov.walk(end.gaps(), self._initial, self._transition)
            beliefs.append(passed.beliefs[-1][0])
            if not beliefs[-1].any():
                raise ValueError(
                    "the last steps have probability 0 under the chain, so nothing follows; fit it with a pseudo_count"
                )
        belief, laws = np.array(beliefs), []
        for _ in range(horizon):
            belief = markov.advance(belief, self._transition)
            laws.append(belief.reshape(len(belief), -1, len(self._states)).sum(axis=1))
        return np.stack(laws, axis=1)

    def _frame(self, values: Array, index: pd.Index) -> pd.DataFrame:
        columns = pd.Index(self._states, name="state", tupleize_cols=False)
        return pd.DataFrame(values, index=index, columns=columns)

    def update(self, x_new: Any) -> Self:
        """Take in the steps that follow, without refitting; what `x_new` leaves out of the calendar is missing.

        For a chain made from parameters the first update is the beginning of the data.
        """
        self._known()
        data = as_codes(x_new, Labels(self._states), "x_new")
        if "_header" not in vars(self):
            self._ends = list(map(tuple, self._evidence(data).ends))
            self._header = Header(data)
            return self
        data = self._continuing(data)
        self._ends = [
            tuple(self._extended(End(*end), integers(data.select(i))))
            for i, end in enumerate(self._ends)
        ]
        self._header = self._header.advanced(data)
        return self

    def _continuing(self, data: Sequences) -> Sequences:
        """New rows for every sequence of the fit, steps left out being missing."""
        header = self._header
        if data.single != header.single:
            raise ValueError(
                f"x_new is {'one sequence' if data.single else 'a panel'}, the chain was fitted to "
                f"{'one sequence' if header.single else 'a panel'}"
            )
        if data.single:
            return data.continuing(header.calendars[0])
        strange = [key for key in data.keys if key not in header.keys]
        if strange:
            raise ValueError(f"x_new has the series {strange[0]!r}, which the fit has not seen")
        parts = []
        for key, last in zip(header.keys, header.calendars, strict=True):
            if key in data.keys:
                parts.append(data.select(data.keys.index(key)).continuing(last))
            else:
                parts.append(Sequences.blank(last.cut(0, 0), (None,)))
        return Sequences.join(parts, header.keys)

    def _extended(self, end: End, codes: Array) -> End:
        """What the end is known by after more steps."""
        if not len(codes):
            return end
        size, before = len(self._states), []
        if end.history >= 0:
            before = [end.history // size**i % size for i in range(self.order - 1, -1, -1)]
        joined = np.array([*before, *end.symbols, *codes], dtype=np.int64)
        return evidence(joined, np.array([0, len(joined)]), self.order, size).ends[0]

    def log_likelihood(self, x: Any) -> float:
        """log p(x) in nats, beginnings included, missing steps summed out; -inf for what the chain rules out."""
        self._known()
        return sum(self._log_probability(self._evidence(as_codes(x, Labels(self._states)))))

    def score(self, x: Any, y: None = None) -> float:
        """Mean log-probability of a step given those before it, in nats; the first `order` steps are not counted."""
        self._known()
        if y is not None:
            raise TypeError("MarkovChain.score takes x alone; it is what was to be predicted")
        data = as_codes(x, Labels(self._states))
        codes = integers(data)
        place = np.arange(len(codes)) - np.repeat(data.offsets[:-1], data.lengths)
        counted = int(((codes >= 0) & (place >= self.order)).sum())
        if not counted:
            raise ValueError(f"x has no step after the first {self.order}; give a longer x")
        return self._log_probability(self._evidence(data))[1] / counted

    def _evidence(self, data: Sequences) -> Evidence:
        return evidence(integers(data), data.offsets, self.order, len(self._states))

    def _log_probability(self, found: Evidence) -> tuple[float, float]:
        """log p of the first `order` steps of all sequences, and of the steps after them."""
        first = weighted_log(found.first, self._initial)
        later = weighted_log(found.counts, self._transition)
        for gaps in found.gaps:
            begun, passed = markov.walk(gaps, self._initial, self._transition)[:2]
            first, later = first + gaps.times @ begun, later + gaps.times @ passed
        return float(first), float(later)

    def sample(self, n: int = 1, length: int = 100, seed: int = 0) -> pd.Series:
        """`n` independent sequences, on a (sample, step) index: a panel that `fit` accepts."""
        self._known()
        check_count("n", n, 1)
        check_count("length", length, 1)
        rng, size = np.random.default_rng(seed), len(self._states)
        history = rng.choice(len(self._initial), size=n, p=self._initial)
        drawn = np.empty((n, max(length, self.order)), dtype=np.int64)
        for i in range(self.order):
            drawn[:, i] = history // size ** (self.order - 1 - i) % size
        markov.draw(drawn, history, self._transition, rng)
        labels = np.empty(size, dtype=object)
        labels[:] = self._states
        index = pd.MultiIndex.from_product([range(n), range(length)], names=["sample", "step"])
        values = labels[drawn[:, :length].ravel()]
        return pd.Series(values.tolist(), index=index, name="state")

    def plot(self, **options: Any) -> Any:
        """The graph of the transitions; see `seqkit.plotting.plot_transitions`."""
        from seqkit.plotting import plot_transitions

        self._known()
        if self.order > 1:
            raise ValueError(f"the graph shows chains of order 1, this one has order {self.order}")
        return plot_transitions(self.transition_, **options)

    # -- machinery -------------------------------------------------------------------------------

    def _known(self) -> None:
        if "_transition" not in vars(self):
            raise NotFittedError("this MarkovChain is not fitted; call fit(x) or use from_params")

    def _data_seen(self, what: str, remedy: str = "call fit(x)") -> Header:
        self._known()
        if "_header" not in vars(self):
            raise NotFittedError(
                f"this MarkovChain was given its parameters and has seen no data for {what}; {remedy}"
            )
        return self._header
