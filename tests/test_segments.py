"""Chains of segments: enumeration of all segmentations, plain chains, numeric pitfalls."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import oracles
import pytest

from seqkit.kernels import segments

Array = np.ndarray
Segments = tuple[tuple[int, int], ...]  # (state, duration) of each
CASES: dict[str, dict[str, Any]] = {  # what makes each of them difficult
    "plain": {"size": 3, "length": 5, "longest": 3},
    "two-states": {"size": 2, "length": 6, "longest": 4},
    "one-state": {"size": 1, "length": 6, "longest": 3, "diagonal": True},
    "one-step": {"size": 3, "length": 1, "longest": 2},
    "one-step-segments": {"size": 3, "length": 5, "longest": 1},
    "longer-than-data": {"size": 2, "length": 4, "longest": 9},
    "diagonal": {"size": 2, "length": 5, "longest": 3, "diagonal": True},
    "missing": {"size": 3, "length": 6, "longest": 4, "missing": (0, 2, 3)},
    "forced": {"size": 3, "length": 6, "longest": 4, "forced": {1: 2, 4: 0}},
    "forbidden": {"size": 3, "length": 5, "longest": 5, "forbidden": {0: (1,), 3: (0, 2)}},
    "zeros": {"size": 3, "length": 6, "longest": 4, "zeros": True},
    "unnormalised": {"size": 2, "length": 6, "longest": 3, "weight": 9.0, "diagonal": True},
    "negligible": {"size": 3, "length": 6, "longest": 3, "spread": 300.0},
}
each_case = pytest.mark.parametrize("case", CASES)
each_end = pytest.mark.parametrize("censored", [True, False], ids=["censored", "complete"])


@dataclass(frozen=True)
class Oracle:
    """Every segmentation and its log weight; the last segment's whole duration is a part of it."""

    shape: tuple[int, int, int]  # T, K, D
    segments: list[Segments]
    log_weight: Array

    @property
    def top(self) -> float:
        return self.log_weight.max()

    @cached_property
    def log_partition(self) -> float:
        if self.top == -np.inf:
            return -np.inf
        return float(self.top + np.log(np.exp(self.log_weight - self.top).sum()))

    @cached_property
    def probability(self) -> Array:
        return np.exp(self.log_weight - np.longdouble(self.log_partition))

    def states(self, i: int) -> Array:
        parts = [np.full(lasting, state) for state, lasting in self.segments[i]]
        return np.concatenate(parts)[: self.shape[0]]

    def counts(self) -> tuple[Array, Array, Array, Array]:
        """Expected first states, moves, durations, and the marginals of all steps."""
        length, size, longest = self.shape
        first, moves = np.zeros(size), np.zeros((size, size))
        durations, marginals = np.zeros((size, longest)), np.zeros((length, size))
        for i, p in enumerate(self.probability):
            path = self.segments[i]
            first[path[0][0]] += p
            marginals[np.arange(length), self.states(i)] += p
            for state, lasting in path:
                durations[state, lasting - 1] += p
            for (a, _), (b, _) in pairwise(path):
                moves[a, b] += p
        return first, moves, durations, marginals

    def by_cut(self) -> dict[tuple[tuple[int, ...], tuple[int, ...]], float]:
        """Probabilities of (states, starts): what was cut off is summed over."""
        out: dict = {}
        for i, p in enumerate(self.probability):
            ends = np.cumsum([lasting for _, lasting in self.segments[i]])
            key = (tuple(map(int, self.states(i))), (0, *map(int, ends[:-1])))
            out[key] = out.get(key, 0.0) + p
        return out


def enumerate_segments(length: int, size: int, longest: int, censored: bool) -> list[Segments]:
    """All that begin with the first step and cover `length` steps; censored: or more."""

    def grown(path: Segments, covered: int) -> list[Segments]:
        if covered == length or (covered > length and censored):
            return [path]
        if covered > length:
            return []
        choices = [(state, lasting) for state in range(size) for lasting in range(1, longest + 1)]
        return [full for new in choices for full in grown((*path, new), covered + new[1])]

    return grown((), 0)


def oracle(
    initial: Array, transition: Array, durations: Array, potentials: Array, censored: bool
) -> Oracle:
    length, size = potentials.shape
    with np.errstate(divide="ignore"):
        start, moves, law = (np.log(np.longdouble(x)) for x in (initial, transition, durations))
    found = enumerate_segments(length, size, durations.shape[1], censored)
    weights = np.empty(len(found), np.longdouble)
    for i, path in enumerate(found):
        weight, t = start[path[0][0]], 0
        for before, (state, lasting) in zip((None, *path), path, strict=False):
            weight = weight + law[state, lasting - 1]
            weight = weight + (moves[before[0], state] if before else 0)
            weight = weight + potentials[t : t + lasting, state].astype(np.longdouble).sum()
            t += lasting
        weights[i] = weight
    return Oracle((length, size, durations.shape[1]), found, weights)


def make(case: str) -> tuple[Array, Array, Array, Array]:
    """Initial, transition, durations and log-potentials of one case."""
    options = CASES[case]
    rng = np.random.default_rng([7, len(case)])
    size, length, longest = options["size"], options["length"], options["longest"]
    initial = rng.dirichlet(np.ones(size))
    transition = rng.dirichlet(np.ones(size), size)
    if not options.get("diagonal"):
        transition *= 1 - np.eye(size)
    durations = rng.dirichlet(np.ones(longest), size)
    if options.get("zeros"):
        initial[1], transition[0, 1] = 0.0, 0.0
        durations[0, 0] = durations[1, 2:] = durations[2, 1] = 0.0
    potentials = rng.normal(0, options.get("spread", 2.0), (length, size)) - 3.0
    potentials[list(options.get("missing", ()))] = 0.0
    for t, state in options.get("forced", {}).items():
        potentials[t, np.arange(size) != state] = -np.inf
    for t, states in options.get("forbidden", {}).items():
        potentials[t, list(states)] = -np.inf
    weight = options.get("weight", 1.0)
    return initial * weight, transition * weight, durations * weight, potentials


@cache
def exactly(case: str, censored: bool, length: int | None = None) -> Oracle:
    """What enumeration says of a case, or of its first steps."""
    *arrays, potentials = make(case)
    return oracle(*arrays, potentials[:length], censored)


def same(actual: Any, expected: Any, tolerance: float = 1e-12) -> None:
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


@each_end
@each_case
def test_sums_over_segmentations_are_those_of_enumeration(case, censored):
    arrays, exact = make(case), exactly(case, censored)
    first, moves, durations, marginals = exact.counts()
    same(segments.log_partition(*arrays, censored=censored), [exact.log_partition])
    found = segments.marginals(*arrays, censored=censored)
    same(found.log_partition, [exact.log_partition])
    same(found.probabilities, marginals)
    counts = segments.expected(*arrays, censored=censored)
    same(counts.log_partition, [exact.log_partition])
    same(counts.initial, first)
    same(counts.transition, moves)
    same(counts.durations, durations)
    same(counts.weights, marginals)


@each_end
@each_case
def test_filter_is_enumeration_of_the_steps_so_far(case, censored):
    arrays = make(case)
    found = segments.filter(*arrays, censored=censored)
    for t in range(len(arrays[-1])):
        same(found.probabilities[t], exactly(case, True, t + 1).counts()[3][-1])
    same(found.log_partition, [exactly(case, censored).log_partition])


@each_end
@each_case
def test_the_best_segmentation_is_that_of_enumeration(case, censored):
    arrays, exact = make(case), exactly(case, censored)
    found = segments.viterbi(*arrays, censored=censored)
    shares = exact.by_cut()
    best = max(shares.values())
    same(found.score, exact.log_partition + np.log(best))
    key = tuple(found.states.tolist()), tuple(np.flatnonzero(found.starts).tolist())
    same(shares[key], best)  # of tied segmentations any is right


@each_end
@pytest.mark.parametrize("case", ["plain", "diagonal", "forced", "zeros", "longer-than-data"])
def test_sampled_paths_have_the_frequencies_of_enumeration(case, censored):
    arrays, exact = make(case), exactly(case, censored)
    count = 10_000
    paths = segments.sample(*arrays, count, np.random.default_rng(0), censored=censored)
    truth: dict[tuple, float] = {}
    for (states, _), p in exact.by_cut().items():
        truth[states] = truth.get(states, 0.0) + float(p)
    seen = dict.fromkeys(truth, 0.0)
    for path in paths:
        seen[tuple(path.tolist())] += 1 / count
    for path, p in truth.items():
        assert p > 0 or seen[path] == 0
        if p > 25 / count:
            assert abs(seen[path] - p) <= 4 * np.sqrt(p * (1 - p) / count) + 1e-12


def test_sequences_end_to_end_that_share_rows():
    initial, transition, durations, _ = make("zeros")
    rng = np.random.default_rng(1)
    potentials, rows = rng.normal(size=(4, 3)), rng.integers(0, 4, 12)
    offsets = np.array([0, 5, 6, 12])
    ends = {"rows": rows, "offsets": offsets}
    laws = initial, transition, durations
    parts = [oracle(*laws, potentials[rows[i:j]], True) for i, j in ((0, 5), (5, 6), (6, 12))]
    logs = [exact.log_partition for exact in parts]
    counts = [exact.counts() for exact in parts]
    single = np.concatenate([count[3] for count in counts])
    weights = np.zeros((4, 3))
    np.add.at(weights, rows, single)
    same(segments.log_partition(*laws, potentials, **ends), logs)
    same(segments.filter(*laws, potentials, **ends).log_partition, logs)
    same(segments.marginals(*laws, potentials, **ends).probabilities, single)
    found = segments.expected(*laws, potentials, **ends)
    for actual, i in ((found.initial, 0), (found.transition, 1), (found.durations, 2)):
        same(actual, sum(count[i] for count in counts))
    same(found.weights, weights)
    best = segments.viterbi(*laws, potentials, **ends)
    assert best.starts[offsets[:-1]].all()
    same(best.score, [e.log_partition + np.log(max(e.by_cut().values())) for e in parts])
    paths = segments.sample(*laws, potentials, 3, rng, **ends)
    assert paths.shape == (3, 12)


# The plain chain: geometric durations, and any durations with the time in a state as its state


def chain_kernels() -> Any:
    return pytest.importorskip("seqkit.kernels.chain")


def test_geometric_durations_are_the_plain_chain():
    chain = chain_kernels()
    rng = np.random.default_rng(2)
    initial, potentials = rng.dirichlet(np.ones(3)), rng.normal(0, 2, (300, 3))
    stay = np.array([0.3, 0.5, 0.6])
    leave = rng.dirichlet(np.ones(3), 3) * (1 - np.eye(3))
    leave /= leave.sum(axis=1, keepdims=True)
    durations = (1 - stay)[:, None] * stay[:, None] ** np.arange(120)  # 0.6^120 < 1e-26
    plain = initial, np.diag(stay) + (1 - stay)[:, None] * leave, potentials
    arrays = initial, leave, durations, potentials
    same(segments.log_partition(*arrays), chain.log_partition(*plain))
    same(segments.marginals(*arrays).probabilities, chain.marginals(*plain).probabilities)
    same(segments.filter(*arrays).probabilities, chain.filter(*plain).probabilities)
    found, counts = segments.expected(*arrays), chain.expected(*plain)
    off = ~np.eye(3, dtype=bool)
    same(found.transition[off], counts.transition[off])
    same(found.weights, counts.weights)


def expanded(initial: Array, transition: Array, durations: Array) -> tuple[Array, Array]:
    """A plain chain on (state, steps so far in its segment)."""
    size, longest = durations.shape
    survival = durations[:, ::-1].cumsum(axis=1)[:, ::-1]
    go = np.zeros_like(durations)
    go[:, :-1] = survival[:, 1:] / survival[:, :-1]
    moves = np.zeros((size, longest, size, longest))
    for i in range(size):
        moves[i, np.arange(longest - 1), i, np.arange(1, longest)] = go[i, :-1]
        moves[i, :, :, 0] += (1 - go[i])[:, None] * transition[i]
    start = np.zeros((size, longest))
    start[:, 0] = initial * survival[:, 0]
    return start.ravel(), moves.reshape(size * longest, size * longest)


@each_end
def test_any_durations_are_a_plain_chain_of_more_states(censored):
    chain = chain_kernels()
    rng = np.random.default_rng(3)
    laws = rng.dirichlet(np.ones(3)), rng.dirichlet(np.ones(3), 3), rng.dirichlet(np.ones(7), 3)
    potentials = rng.normal(0, 2, (200, 3))
    start, moves = expanded(*laws)
    wide = np.repeat(potentials, 7, axis=1)
    if not censored:  # the last segment ends there: one more step, to anywhere
        survival = laws[2][:, ::-1].cumsum(axis=1)[:, ::-1]
        with np.errstate(divide="ignore"):
            wide[-1] += np.log(laws[2] / survival).ravel()
    found = segments.marginals(*laws, potentials, censored=censored)
    exact = chain.marginals(start, moves, wide)
    same(found.log_partition, exact.log_partition)
    same(found.probabilities, exact.probabilities.reshape(-1, 3, 7).sum(axis=2))


# Numeric pitfalls


def test_a_long_run_keeps_its_digits():
    rng = np.random.default_rng(4)
    laws = rng.dirichlet(np.ones(2)), 1 - np.eye(2), rng.dirichlet(np.ones(10), 2)
    potentials = rng.normal(-80, 5, (50_000, 2))
    whole = segments.marginals(*laws, potentials)
    same(whole.probabilities.sum(axis=1), 1.0, 1e-11)
    assert np.isfinite(whole.log_partition).all()
    # Far from the end the rest of the data no longer matters
    same(segments.marginals(*laws, potentials[:2_000]).probabilities[:500],
         whole.probabilities[:500])  # fmt: skip
    filtered = segments.filter(*laws, potentials)
    same(filtered.log_partition, whole.log_partition)
    same(filtered.probabilities[-1], whole.probabilities[-1])


@pytest.mark.parametrize("depth", [-1e3, -1e5])
def test_log_potentials_far_below_what_exp_can_hold(depth):
    rng = np.random.default_rng(5)
    initial, transition, durations, _ = make("zeros")
    potentials = depth + rng.choice([0.0, 0.3 * depth, depth], (6, 3)) + rng.normal(size=(6, 3))
    exact = oracle(initial, transition, durations, potentials, True)
    found = segments.marginals(initial, transition, durations, potentials)
    same(found.log_partition, [exact.log_partition])
    same(found.probabilities, exact.counts()[3], 1e-12 + 1e-15 * abs(depth))


def test_the_gradient_of_log_z_is_the_marginals():
    arrays = make("zeros")
    marginals, step = segments.marginals(*arrays).probabilities, 1e-4
    for at in np.ndindex(*arrays[3].shape):
        moved = np.zeros_like(arrays[3])
        moved[at] = step
        up = segments.log_partition(*arrays[:3], arrays[3] + moved)
        down = segments.log_partition(*arrays[:3], arrays[3] - moved)
        same((up - down) / (2 * step), marginals[at], 1e-7)


# What must be refused


def test_an_impossible_sequence_is_named_or_nan():
    laws = np.ones(2), 1 - np.eye(2), np.array([[0.0, 1.0], [0.0, 1.0]])
    potentials, ends = np.zeros((7, 2)), {"offsets": [0, 2, 5, 7], "censored": False}
    log_z = segments.log_partition(*laws, potentials, **ends)  # three steps are no twos
    assert np.isneginf(log_z).tolist() == [False, True, False]
    found = segments.marginals(*laws, potentials, **ends)
    assert np.isnan(found.probabilities[2:5]).all()
    assert np.isfinite(found.probabilities[[0, 1, 5, 6]]).all()
    assert np.isnan(segments.expected(*laws, potentials, **ends).transition).all()
    with pytest.raises(ValueError, match="sequence 1"):
        segments.viterbi(*laws, potentials, **ends)
    with pytest.raises(ValueError, match="sequence 1"):
        segments.sample(*laws, potentials, 2, np.random.default_rng(0), **ends)


BAD: dict[str, tuple[dict[str, Any], str]] = {  # what is wrong, and what the error says came
    "initial": ({"initial": np.ones((3, 3))}, r"initial.*\(3, 3\)"),
    "transition": ({"transition": np.ones((3, 2))}, r"transition.*\(3, 2\)"),
    "durations": ({"durations": np.ones((2, 4))}, r"durations.*\(2, 4\)"),
    "no-durations": ({"durations": np.ones((3, 0))}, r"durations.*\(3, 0\)"),
    "potentials": ({"log_potentials": np.zeros((6, 2))}, r"log_potentials.*\(6, 2\)"),
    "rows": ({"rows": np.array([0, 6])}, r"rows.*6"),
    "offsets": ({"offsets": np.array([0, 5])}, r"offsets.*5"),
    "negative": ({"durations": -np.ones((3, 4))}, r"durations.*-1"),
    "nan": ({"log_potentials": np.full((6, 3), np.nan)}, r"log_potentials.*nan"),
}


@pytest.mark.parametrize("wrong", BAD)
def test_errors_say_what_came(wrong):
    changed, message = BAD[wrong]
    parts = {
        "initial": np.ones(3), "transition": np.ones((3, 3)), "durations": np.ones((3, 4)),
        "log_potentials": np.zeros((6, 3)),
    }  # fmt: skip
    with pytest.raises(ValueError, match=message):
        segments.marginals(**(parts | changed))


def test_a_plain_chain_is_one_with_durations_of_one_step():
    initial, transition, durations, potentials = make("one-step-segments")
    exact = oracles.chain(initial, transition, potentials)
    arrays = initial, transition, np.ones_like(durations), potentials
    same(segments.log_partition(*arrays), [exact.log_partition])
    same(segments.marginals(*arrays).probabilities, exact.marginals())
