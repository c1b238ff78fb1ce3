"""Explicit durations: hidden semi-Markov chains, whose segments last by a law of their own."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from seqkit.data.sequences import Array
from seqkit.distributions import Emission, Rows
from seqkit.kernels import chain, segments

from ._hmm_chain import HiddenChain, draw
from ._hmm_moves import Moves, shares


class SemiMarkovChain(HiddenChain):
    """States that last d steps with probability durations[k, d - 1], and then move to another one.

    durations : (K, D); law : the family they follow, d - 1 being its value, or None where they are free. The end of a
    sequence is P(state, steps it has lasted so far), (K, D).
    """

    def __init__(self, initial: Array, transition: Array, durations: Array, law: Emission | None):
        super().__init__(initial, transition)
        self.durations, self.law = durations, law

    def reordered(self, order: Array) -> SemiMarkovChain:
        law = None if self.law is None else self.law.order(order)
        plain = super().reordered(order)
        return SemiMarkovChain(plain.initial, plain.transition, self.durations[order], law)

    def _run(
        self, function: Any, logs: Array, index: Array | None, offsets: Array, *more: Any
    ) -> Any:
        weights = (self.initial, self.transition, self.durations, logs)
        return function(*weights, *more, rows=index, offsets=offsets)

    def log_partition(
        self, logs: Array, index: Array | None, offsets: Array, inputs: Array | None
    ) -> Array:
        return self._run(segments.log_partition, logs, index, offsets)

    def filter(
        self, logs: Array, index: Array | None, offsets: Array, inputs: Array | None
    ) -> chain.Filtered:
        return chain.Filtered(*self._run(segments.filter, logs, index, offsets))

    def marginals(
        self, logs: Array, index: Array | None, offsets: Array, inputs: Array | None
    ) -> chain.Marginals:
        return chain.Marginals(*self._run(segments.marginals, logs, index, offsets))

    def viterbi(
        self, logs: Array, index: Array | None, offsets: Array, inputs: Array | None
    ) -> chain.Path:
        found = self._run(segments.viterbi, logs, index, offsets)
        return chain.Path(found.states, found.score)

    def k_best(
        self, logs: Array, index: Array | None, k: int, inputs: Array | None
    ) -> tuple[Array, Array]:
        raise TypeError(
            "the k best paths of a model with explicit durations are not known; decode gives the best one"
        )

    def sample_paths(
        self,
        logs: Array,
        index: Array | None,
        offsets: Array,
        inputs: Array | None,
        n: int,
        rng: np.random.Generator,
    ) -> Array:
        return self._run(segments.sample, logs, index, offsets, n, rng)

    def expected(
        self, logs: Array, index: Array | None, offsets: Array, inputs: Array | None
    ) -> Any:
        return self._run(segments.expected, logs, index, offsets)

    def ahead(
        self, logs: Array, index: Array | None, offsets: Array, inputs: Array | None
    ) -> Array:
        logs = logs if index is None else logs[index]
        laws = np.empty_like(logs)
        for start, stop in pairwise(offsets):
            lasted = None
            for t in range(start, stop):
                lasted = self._begin() if lasted is None else self._move(lasted)
                laws[t] = lasted.sum(1)
                lasted = _see(lasted, logs[t])
        return laws

    def smooth_lag(
        self, logs: Array, index: Array | None, offsets: Array, inputs: Array | None, lag: int
    ) -> Array:
        logs = logs if index is None else logs[index]
        found = np.empty_like(logs)
        for start, stop in pairwise(offsets):
            for t in range(start, stop):
                seen = logs[start : min(t + lag + 1, stop)]
                whole = np.array([0, len(seen)])
                found[t] = self.marginals(seen, None, whole, None).probabilities[t - start]
        return found

    # -- step by step: P(state, steps lasted so far) ---------------------------------------------

    def _begin(self) -> Array:
        lasted = np.zeros_like(self.durations)
        lasted[:, 0] = self.initial
        return lasted

    def _move(self, lasted: Array) -> Array:
        """One step on: a segment of d steps ends with probability P(d) / P(d or more)."""
        ends = lasted * self._hazard()
        on = np.zeros_like(lasted)
        on[:, 1:] = (lasted - ends)[:, :-1]
        on[:, 0] = ends.sum(1) @ self.transition
        return on / on.sum()

    def _hazard(self) -> Array:
        survival = self.durations[:, ::-1].cumsum(1)[:, ::-1]
        hazard = np.divide(self.durations, survival, out=np.ones_like(survival), where=survival > 0)
        hazard[:, -1] = 1.0
        return hazard

    def ends(
        self, logs: Array, index: Array | None, offsets: Array, inputs: Array | None
    ) -> list[Array]:
        logs = logs if index is None else logs[index]
        found = []
        for start, stop in pairwise(offsets):
            lasted = _see(self._begin(), logs[start])
            for t in range(start + 1, stop):
                lasted = _see(self._move(lasted), logs[t])
            found.append(lasted)
        return found

    def advance(self, end: Array, logs: Array, inputs: Array | None) -> Array | None:
        for row in logs:
            end = _see(self._move(end), row)
        return end if np.isfinite(end).all() else None

    def future(self, end: Array, horizon: int, inputs: Array | None) -> Array:
        laws = []
        for _ in range(horizon):
            end = self._move(end)
            laws.append(end.sum(1))
        return np.stack(laws)

    def future_paths(
        self, end: Array, horizon: int, inputs: Array | None, n: int, rng: np.random.Generator
    ) -> Array:
        K, D = self.durations.shape
        both = draw(np.broadcast_to(end.reshape(-1), (n, K * D)), rng)
        return self._paths(both // D, both % D, horizon, rng)

    def new_paths(self, n: int, length: int, rng: np.random.Generator) -> Array:
        first = draw(np.broadcast_to(self.initial, (n, self.n_states)), rng)
        later = self._paths(first, np.zeros(n, dtype=np.int64), length - 1, rng)
        return np.concatenate([first[:, None], later], axis=1)

    def _paths(self, state: Array, lasted: Array, steps: int, rng: np.random.Generator) -> Array:
        hazard, paths = self._hazard(), np.empty((len(state), steps), dtype=np.int64)
        for t in range(steps):
            ends = rng.uniform(size=len(state)) < hazard[state, lasted]
            state = np.where(ends, draw(self.transition[state], rng), state)
            lasted = np.where(ends, 0, lasted + 1)
            paths[:, t] = state
        return paths


def _gain(counts: Array, durations: Array) -> float:
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.where(counts > 0, counts * np.log(durations), 0.0).sum())


def _see(lasted: Array, logs: Array) -> Array:
    """After an observation with log-potentials (K,); NaN where it is impossible."""
    with np.errstate(divide="ignore", invalid="ignore"):
        joint = np.log(lasted) + logs[:, None]
        weights = np.exp(joint - joint.max())
        return weights / weights.sum()


class DurationMoves(Moves):
    """`Moves` with explicit durations: a state does not follow itself, and says how long it lasts.

    family : the law of d - 1 (Poisson, negative binomial, ..), or None for free probabilities of 1 .. longest.
    """

    def __init__(
        self, states: int, initial: Any, transition: Any, initial_prior: Any, transition_prior: Any,
        family: Emission | None, longest: int,
    ):  # fmt: skip
        if isinstance(initial, str) and initial == "stationary":
            raise ValueError(
                "initial='stationary' is not known for explicit durations; use None or 'uniform'"
            )
        super().__init__(states, initial, transition, initial_prior, transition_prior)
        if states < 2:
            raise ValueError(
                "explicit durations need at least 2 states, since a state is followed by another one"
            )
        if not isinstance(transition, (list, tuple, np.ndarray)):
            np.fill_diagonal(self.transition, 0.0)
        dead = ~np.isnan(self.transition).any(1) & (self.transition.sum(1) == 0)
        if dead.any():  # the last state of a left-right chain is followed by itself, anew
            self.transition[dead, dead.argmax()] = 1.0
        self.open = self.open[0], False  # the diagonal is fixed
        self.family, self.longest = family, longest

    @property
    def n_free(self) -> int:
        states = len(self.initial)
        if self.family is None:
            return super().n_free + states * (self.longest - 1)
        free = self.family.free.values()
        return super().n_free + sum(int(m.sum()) if np.ndim(m) else states * int(m) for m in free)

    def spread(self, rng: np.random.Generator | None) -> SemiMarkovChain:
        plain = super().spread(rng)
        K, D = plain.n_states, self.longest
        mean = min(5.0, (D + 1) / 2) if rng is None else rng.uniform(1, (D + 1) / 2)
        counts = np.tile((1 - 1 / mean) ** np.arange(D), (K, 1)) + 1e-3
        return self._chain(plain.initial, plain.transition, counts, self.family)

    def estimate(self, found: Any, now: Any) -> SemiMarkovChain:
        plain = super().estimate(found, now)
        new = self._chain(plain.initial, plain.transition, found.durations, now.law)
        if now.law is not None:  # families are fitted as if no duration were too long for the table
            worse = _gain(found.durations, new.durations) < _gain(found.durations, now.durations)
            if worse:
                new.durations, new.law = now.durations, now.law
        return new

    def _chain(
        self, initial: Array, transition: Array, counts: Array, law: Emission | None
    ) -> SemiMarkovChain:
        if law is None:
            free = np.full(counts.shape, np.nan)
            return SemiMarkovChain(initial, transition, shares(counts, free), None)
        values = np.arange(self.longest, dtype=float)[:, None]
        rows = Rows(values, None, None, True)
        law = law.fit_weighted(rows, counts.T)
        with np.errstate(under="ignore"):
            weights = np.exp(law.log_density(rows)).T
        return SemiMarkovChain(initial, transition, weights / weights.sum(1, keepdims=True), law)
