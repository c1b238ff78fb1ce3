"""The hidden chain of a model: how states follow each other, whatever decides it."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqkit.data.sequences import Array
from seqkit.kernels import chain
from seqkit.persistence import Record


def sum_by_row(weights: Array, index: Array | None, rows: int) -> Array:
    """Weights (T, K) of steps, summed over the steps that show the same row, (rows, K); as they are without `index`."""
    if index is None:
        return weights
    summed = np.zeros((rows, weights.shape[1]))
    np.add.at(summed, index, weights)
    return summed


class HiddenChain(Record):
    """A Markov chain with one transition matrix.

    initial : (K,); transition : (K, K), rows from. What the methods take: `logs` (R, K) log-potentials, `index` (T,)
    their rows by step or None, `offsets` of the sequences, `inputs` (T, P) covariates of steps or None.
    """

    def __init__(self, initial: Array, transition: Array):
        self.initial, self.transition = initial, transition

    @property
    def n_states(self) -> int:
        return len(self.initial)

    def reordered(self, order: Array) -> HiddenChain:
        """The same chain with its states in another order."""
        return HiddenChain(self.initial[order], self.transition[np.ix_(order, order)])

    def matrix(self, inputs: Array | None, offsets: Array) -> Array:
        """(K, K), or (T, K, K) where transitions differ by step."""
        return self.transition

    # -- sequences -------------------------------------------------------------------------------

    def log_partition(
        self, logs: Array, index: Array | None, offsets: Array, inputs: Array | None
    ) -> Array:
        return chain.log_partition(
            self.initial, self.matrix(inputs, offsets), logs, rows=index, offsets=offsets
        )

    def filter(
        self, logs: Array, index: Array | None, offsets: Array, inputs: Array | None
    ) -> chain.Filtered:
        return chain.filter(
            self.initial, self.matrix(inputs, offsets), logs, rows=index, offsets=offsets
        )

    def marginals(
        self, logs: Array, index: Array | None, offsets: Array, inputs: Array | None
    ) -> chain.Marginals:
        return chain.marginals(
            self.initial, self.matrix(inputs, offsets), logs, rows=index, offsets=offsets
        )

    def viterbi(
        self, logs: Array, index: Array | None, offsets: Array, inputs: Array | None
    ) -> chain.Path:
        return chain.viterbi(
            self.initial, self.matrix(inputs, offsets), logs, rows=index, offsets=offsets
        )

    def k_best(
        self, logs: Array, index: Array | None, k: int, inputs: Array | None
    ) -> tuple[Array, Array]:
        length = len(logs) if index is None else len(index)
        matrix = self.matrix(inputs, np.array([0, length]))
        return chain.k_best(self.initial, matrix, logs, k, rows=index)

    def sample_paths(
        self,
        logs: Array,
        index: Array | None,
        offsets: Array,
        inputs: Array | None,
        n: int,
        rng: np.random.Generator,
    ) -> Array:
        matrix = self.matrix(inputs, offsets)
        return chain.sample(self.initial, matrix, logs, n, rng, rows=index, offsets=offsets)

    def expected(
        self, logs: Array, index: Array | None, offsets: Array, inputs: Array | None
    ) -> Any:
        """Expected counts; a named tuple with log_partition, initial, transition, weights, last."""
        return chain.expected(self.initial, self.transition, logs, rows=index, offsets=offsets)

    def ahead(
        self, logs: Array, index: Array | None, offsets: Array, inputs: Array | None
    ) -> Array:
        """P(s_t | steps before t), (T, K)."""
        found = self.filter(logs, index, offsets, inputs).probabilities
        matrix = self.matrix(inputs, offsets)
        law = np.empty_like(found)
        if matrix.ndim == 2:
            law[1:] = found[:-1] @ matrix
        else:
            law[1:] = np.einsum("ti,tij->tj", found[:-1], matrix[1:])
        law[offsets[:-1]] = self.initial
        return law / law.sum(1, keepdims=True)

    def smooth_lag(
        self, logs: Array, index: Array | None, offsets: Array, inputs: Array | None, lag: int
    ) -> Array:
        """P(s_t | steps up to t + lag) for all t at once: lag backward steps from vectors of ones."""
        found = self.filter(logs, index, offsets, inputs).probabilities
        logs = logs if index is None else logs[index]
        top = logs.max(1, keepdims=True)
        weights = np.exp(logs - np.where(np.isfinite(top), top, 0.0))
        matrix = self.matrix(inputs, offsets)
        ends = np.repeat(offsets[1:], np.diff(offsets))
        beta, t = np.ones_like(found), np.arange(len(logs))
        for step in range(lag, 0, -1):
            inside = t[t + step < ends]
            seen = weights[inside + step] * beta[inside]
            if matrix.ndim == 2:
                back = seen @ matrix.T
            else:
                back = np.einsum("tij,tj->ti", matrix[inside + step], seen)
            beta[inside] = back / back.sum(1, keepdims=True)
        both = found * beta
        return both / both.sum(1, keepdims=True)

    # -- after the last step ---------------------------------------------------------------------

    def ends(
        self, logs: Array, index: Array | None, offsets: Array, inputs: Array | None
    ) -> list[Array]:
        """What is known of the state at the end of every sequence, for `advance` and `future`."""
        return list(self.filter(logs, index, offsets, inputs).probabilities[offsets[1:] - 1])

    def advance(self, end: Array, logs: Array, inputs: Array | None) -> Array | None:
        """The end after further steps with log-potentials (L, K); None where they are impossible."""
        matrix = self.matrix(inputs, np.array([0, len(logs)]))
        first = end @ (matrix if matrix.ndim == 2 else matrix[0])
        found = chain.filter(first, matrix, logs)
        return None if found.log_partition[0] == -np.inf else found.probabilities[-1]

    def future(self, end: Array, horizon: int, inputs: Array | None) -> Array:
        """P(state) of the next steps, (horizon, K)."""
        matrix = self.matrix(inputs, np.array([0, horizon]))
        laws, law = [], end
        for t in range(horizon):
            law = law @ (matrix if matrix.ndim == 2 else matrix[t])
            law = law / law.sum()
            laws.append(law)
        return np.stack(laws)

    def future_paths(
        self, end: Array, horizon: int, inputs: Array | None, n: int, rng: np.random.Generator
    ) -> Array:
        """`n` paths of states over the next steps, (n, horizon)."""
        matrix = self.matrix(inputs, np.array([0, horizon]))
        state = draw(np.broadcast_to(end, (n, len(end))), rng)
        paths = np.empty((n, horizon), dtype=np.int64)
        for t in range(horizon):
            state = paths[:, t] = draw((matrix if matrix.ndim == 2 else matrix[t])[state], rng)
        return paths

    def new_paths(self, n: int, length: int, rng: np.random.Generator) -> Array:
        """`n` paths from the beginning, (n, length): those of steps that say nothing."""
        silence = np.zeros((length, self.n_states))
        return chain.sample(self.initial, self.transition, silence, n, rng)


def draw(law: Array, rng: np.random.Generator) -> Array:
    """One state for every row of `law` (n, K)."""
    edges = law.cumsum(1)
    return (rng.uniform(size=(len(law), 1)) * edges[:, -1:] >= edges[:, :-1]).sum(1)
