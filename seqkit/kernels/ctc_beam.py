"""The best transcripts of frames: prefix beam search (Hannun, Maas, Jurafsky, Ng 2014) on bare arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray
Prior = Callable[[list[tuple[int, ...]]], Array]


class Transcript(NamedTuple):
    """labels (L,) int64; the log-probability of the paths that the search kept of it; that and the prior together."""

    labels: Array
    log_probability: float
    score: float


def prefix_beam(
    log_probabilities: Any, beam: int, n_best: int = 1, prior: Array | Prior | None = None
) -> list[Transcript]:
    """The transcripts of largest score, log p(l | y) + prior(l), best first; fewer than `n_best` where fewer are found.

    Frame by frame the `beam` best prefixes are kept, each with the probability of all its paths so far, parted into
    those that end in a blank and those that end in its last label. A beam as wide as there are prefixes is exact.

    Parameters
    ----------
    log_probabilities : (T, K), class 0 being the blank.
    beam : prefixes that are kept, at least `n_best`.
    prior : what a transcript is worth besides its frames, a sum over its labels. (K, K): row i, column k, what label
        k is worth after label i (0: at the beginning); column 0, what the end is worth there. Or a function from
        prefixes, tuples of labels, to their rows (prefixes, K), which is asked once for every prefix of a beam.

    Raises
    ------
    ValueError : no frames, numbers below 1, a prior of another shape, or a frame without a possible class.

    >>> y = np.log([[0.6, 0.4], [0.6, 0.4]])  # the best path is blank, blank: 0.36
    >>> [(t.labels.tolist(), round(float(np.exp(t.log_probability)), 6)) for t in prefix_beam(y, 4, 2)]
    [([1], 0.64), ([], 0.36)]
    """
    log_y = np.ascontiguousarray(log_probabilities, np.float64)
    if log_y.ndim != 2 or not log_y.shape[1] or not len(log_y):
        raise ValueError(f"log_probabilities must be (frames, classes), got {log_y.shape}")
    if not beam >= n_best >= 1:
        raise ValueError(f"beam must be at least n_best, and that at least 1; got {beam}, {n_best}")
    K = log_y.shape[1]
    if prior is None:
        prior = np.zeros((K, K))
    if isinstance(prior, np.ndarray) and prior.shape != (K, K):
        raise ValueError(f"prior must be ({K}, {K}), got {prior.shape}")
    search = _Search(log_y, beam)
    if isinstance(prior, np.ndarray):
        ends = search.through(np.ascontiguousarray(prior, np.float64))
    else:
        ends = search.asking(prior)
    return search.best(n_best, ends)


class _Search:
    """The arrays of one search; see `_ctc_beam_numba`."""

    def __init__(self, log_y: Array, beam: int):
        (T, K), W = log_y.shape, beam
        capacity = 1 + T * W
        cells = 1 << int(2 * capacity).bit_length()
        self.log_y, self.size, self.nodes, self.scale = log_y, 1, 1, 0.0
        self.ids, self.mass, self.prior = np.zeros(W, np.int64), np.zeros((W, 2)), np.zeros(W)
        self.mass[0, 0] = 1.0
        self.links = np.zeros((capacity, 2), np.int64)
        self.links[0, 0] = -1
        self.table, self.slot = np.full(cells, -1, np.int64), np.full(capacity, -1, np.int64)
        self.slot[0] = 0
        self.room = (np.zeros((W, 2)), np.zeros(W), np.zeros(W, np.int64), np.zeros((W, K), bool))

    @property
    def _arrays(self) -> tuple[Any, ...]:
        beam = (self.ids, self.mass, self.prior)
        return self.size, self.nodes, beam, (self.links, self.table, self.slot), self.room

    def through(self, table: Array) -> Array:
        """The whole search in one call; what the end is worth, by place in the beam."""
        from ._ctc_beam_numba import search

        self.size, self.nodes, self.scale = search(self.log_y, table, True, *self._arrays)
        return table[self.links[self.ids[: self.size], 1], 0]

    def asking(self, prior: Prior) -> Array:
        """The search with a prior that is asked for the prefixes of every beam."""
        from ._ctc_beam_numba import step

        known: dict[int, Array] = {}
        for frame in self.log_y:
            rows = self._rows(prior, known)
            self.size, self.nodes, gain = step(frame, rows, False, *self._arrays)
            self.scale += gain
            if not self.size:
                return np.zeros(0)
        return self._rows(prior, known)[:, 0]

    def _rows(self, prior: Prior, known: dict[int, Array]) -> Array:
        nodes = self.ids[: self.size].tolist()
        unknown = [node for node in nodes if node not in known]
        if unknown:
            rows = np.asarray(prior([self.labels(node) for node in unknown]), np.float64)
            if rows.shape != (len(unknown), self.log_y.shape[1]):
                raise ValueError(
                    f"prior gave {rows.shape} for {len(unknown)} prefixes; it must give a row of "
                    f"{self.log_y.shape[1]} for each"
                )
            known.update(zip(unknown, rows, strict=True))
        return np.stack([known[node] for node in nodes])

    def labels(self, node: int) -> tuple[int, ...]:
        found = []
        while node:
            found.append(int(self.links[node, 1]))
            node = int(self.links[node, 0])
        return tuple(found[::-1])

    def best(self, n: int, ends: Array) -> list[Transcript]:
        with np.errstate(divide="ignore"):
            log_p = np.log(self.mass[: self.size].sum(1)) + self.scale
        score = log_p + self.prior[: self.size] + ends
        if not (score > -np.inf).any():
            raise ValueError(
                "no transcript is possible: a frame has no class, or the prior rules out all that the frames allow"
            )
        order = np.argsort(-score, kind="stable")[:n]
        return [
            Transcript(
                np.array(self.labels(int(self.ids[i])), np.int64), float(log_p[i]), float(score[i])
            )
            for i in order
            if score[i] > -np.inf
        ]
