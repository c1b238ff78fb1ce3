"""Fitting a hidden Markov model: starts, expectation-maximisation, hard assignment, counting."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise, permutations
from typing import Any, NamedTuple

import numpy as np

from seqkit.base import ConvergenceWarning
from seqkit.data.sequences import Array
from seqkit.distributions import Emission, Rows
from seqkit.kernels import chain
from seqkit.persistence import Record

from ._hmm_chain import HiddenChain, sum_by_row
from ._hmm_moves import Moves


class Parameters(Record):
    """A hidden Markov model's parameters: how states follow each other, and what each of them emits."""

    def __init__(self, chain: HiddenChain, emission: Emission):
        self.chain, self.emission = chain, emission

    def reordered(self, order: Array) -> Parameters:
        """The same model with its states in another order."""
        return Parameters(self.chain.reordered(order), self.emission.order(order))


class Evidence(NamedTuple):
    """Observations: `rows` of the emission's making, where sequences begin, and which states a step may have.

    inputs : (T, P) covariates of steps, for transitions that depend on them.
    allowed : (T, K) bool, or None for all.
    """

    rows: Rows
    offsets: Array
    inputs: Array | None = None
    allowed: Array | None = None

    def steps(self, emission: Emission) -> tuple[Array, Array | None, Array, Array | None]:
        """What the verbs of a `HiddenChain` take."""
        logs, index = self.potentials(emission)
        return logs, index, self.offsets, self.inputs

    @property
    def length(self) -> int:
        return int(self.offsets[-1])

    def potentials(self, emission: Emission) -> tuple[Array, Array | None]:
        """log p(row | state) (R, K), and the row of each step (None for row t); -inf where a state is not allowed."""
        logs, index = emission.log_density(self.rows), self.rows.index
        if self.allowed is None:
            return logs, index
        logs = logs if index is None else logs[index]
        return np.where(self.allowed, logs, -np.inf), None

    def part(self, first: int, last: int) -> Evidence:
        """Sequences first .. last - 1 alone."""
        start, stop = self.offsets[first], self.offsets[last]
        cut = self.steps_between(start, stop)
        return cut._replace(offsets=self.offsets[first : last + 1] - start)

    def steps_between(self, start: int, stop: int) -> Evidence:
        """Steps start .. stop - 1 as one sequence."""
        stop = min(stop, self.length)
        rows, cut = self.rows, slice(start, stop)
        if rows.index is not None:
            rows = rows._replace(index=rows.index[cut])
        else:
            rows = _cut(rows, cut)
        inputs, allowed = (None if a is None else a[cut] for a in (self.inputs, self.allowed))
        return Evidence(rows, np.array([0, stop - start]), inputs, allowed)


def _cut(rows: Rows, span: slice) -> Rows:
    inputs = None if rows.inputs is None else rows.inputs[span]
    parts = tuple(
        _cut(p, span) if p.index is None else p._replace(index=p.index[span]) for p in rows.parts
    )
    return Rows(rows.values[span], None, inputs, rows.complete, parts)


class Options(NamedTuple):
    """How to fit: hard: by best paths instead of expectations; `threads` share the sequences."""

    max_iter: int
    tol: float
    hard: bool = False
    threads: int = 1


class Fit(NamedTuple):
    """Where a fit ended.

    history : the objective, log-likelihood plus log prior, by iteration. visits : (K,) expected steps in each state.
    last : (n, K) P(state) at the end of every sequence, where it fell out on the way.
    """

    parameters: Parameters
    log_likelihood: float
    history: list[float]
    converged: bool
    visits: Array
    last: Array | None = None


def expectations(evidence: Evidence, now: Parameters, options: Options) -> Any:
    """The expected counts of all sequences; log_partition their log-likelihoods."""
    n = len(evidence.offsets) - 1
    threads = min(options.threads, n)
    if threads < 2 or options.hard or type(now.chain) is not HiddenChain:
        return _expect(evidence, now, options.hard)
    wanted = np.linspace(0, evidence.length, threads + 1)
    edges = np.unique(np.searchsorted(evidence.offsets, wanted))
    parts = [evidence.part(a, b) for a, b in pairwise(edges)]
    with ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(lambda part: _expect(part, now, False), parts))
    weights = [f.weights for f in found]
    return chain.Expected(
        np.concatenate([f.log_partition for f in found]),
        np.sum([f.initial for f in found], axis=0),
        np.sum([f.transition for f in found], axis=0),
        np.concatenate(weights) if evidence.rows.index is None else np.sum(weights, axis=0),
        np.concatenate([f.last for f in found]),
    )


def _expect(evidence: Evidence, now: Parameters, hard: bool) -> Any:
    steps = evidence.steps(now.emission)
    if hard:
        return _assign(evidence, now, steps)
    return _by_row(evidence, now.chain.expected(*steps))


def _by_row(evidence: Evidence, found: Any) -> Any:
    """Weights of steps summed over the steps that share a row, where a constraint has kept them apart."""
    rows = evidence.rows
    if evidence.allowed is None:
        return found
    return found._replace(weights=sum_by_row(found.weights, rows.index, len(rows.values)))


def _assign(evidence: Evidence, now: Parameters, steps: Any) -> chain.Expected:
    """Counts along the best paths: `log_partition` is then the log density of data and path (Juang & Rabiner 1990)."""
    path = now.chain.viterbi(*steps)
    K = now.chain.n_states
    initial, moves, visits = count_path(path.states, evidence.offsets, K)
    visits = sum_by_row(visits, evidence.rows.index, len(evidence.rows.values))
    return chain.Expected(path.score, initial, moves, visits, np.empty((0, K)))


def count_path(states: Array, offsets: Array, K: int) -> tuple[Array, Array, Array]:
    """First states (K,), moves (K, K), and the states as indicators (T, K)."""
    later = np.ones(len(states), dtype=bool)
    later[offsets[:-1]] = False
    t = np.flatnonzero(later)
    moves = np.bincount(states[t - 1] * K + states[t], minlength=K * K).reshape(K, K)
    first = np.bincount(states[offsets[:-1]], minlength=K)
    return first.astype(float), moves.astype(float), np.eye(K)[states]


def maximise(evidence: Evidence, moves: Moves, start: Parameters, options: Options) -> Fit:
    """Expectation-maximisation from one start (Baum et al. 1970; Dempster, Laird & Rubin 1977).

    Stops when the objective rises by less than tol * (1 + |objective|).
    """
    now, history = start, []
    converged, weights, last = False, np.zeros((1, start.chain.n_states)), None
    for step in range(options.max_iter + 1):
        final = 0 < step == options.max_iter and not options.hard
        if final:  # nothing follows that would need expectations
            filtered = now.chain.filter(*evidence.steps(now.emission))
            log_z = filtered.log_partition
        else:
            found = expectations(evidence, now, options)
            log_z = found.log_partition
        likelihood = _possible(log_z)
        value = likelihood + moves.log_prior(now.chain) + now.emission.log_prior()
        history.append(value)
        converged = step > 0 and value - history[-2] < options.tol * (1 + abs(value))
        if final:
            break
        weights, last = found.weights, getattr(found, "last", None)
        if converged or step == options.max_iter:
            break
        emission = now.emission.fit_weighted(evidence.rows, found.weights)
        now = Parameters(moves.estimate(found, now.chain), emission)
    if final and type(now.chain) is HiddenChain:
        last = filtered.probabilities[evidence.offsets[1:] - 1]
    usable = last is not None and len(last) and type(now.chain) is HiddenChain
    return Fit(now, likelihood, history, converged, weights.sum(0), last if usable else None)


def _possible(log_z: Array) -> float:
    """The log-likelihood of all sequences."""
    total = float(log_z.sum())
    if total == -np.inf:
        raise ValueError(
            f"sequence {int(np.argmin(log_z))} is impossible under the present parameters: a fixed zero, or a "
            "state that is not allowed, leaves it no path; free the zero (NaN), or give a prior"
        )
    return total


def best_of(
    search: Any,
    evidence: Evidence,
    moves: Moves,
    starts: list[Parameters],
    options: Options,
    jobs: int,
) -> tuple[Fit, list[float]]:
    """The best fit over several starts by `search` (`maximise`, or another one), and the objective of each."""
    if len(starts) == 1 or jobs == 1:
        fits = [search(evidence, moves, start, options) for start in _shown(starts)]
    else:
        alone = options._replace(threads=1)
        with ThreadPoolExecutor(min(jobs, len(starts))) as pool:
            fits = list(pool.map(lambda s: search(evidence, moves, s, alone), starts))
    values = [fit.history[-1] for fit in fits]
    return fits[int(np.argmax(values))], values


def _shown(starts: list[Parameters]) -> Any:
    """With a progress bar where there are several."""
    if len(starts) < 2:
        return starts
    from tqdm import tqdm

    return tqdm(starts, desc="starts", disable=None, leave=False)


def report(fit: Fit, evidence: Evidence, options: Options, names: list[Any]) -> None:
    """Warn where the objective fell, where it still rises, and of states that no step has."""
    steps = np.diff(fit.history)
    least = float(steps.min(initial=0.0))
    if least < -1e-7 * (1 + abs(fit.history[-1])):
        warnings.warn(
            f"the likelihood fell by {-least:.3g} in iteration {int(steps.argmin()) + 1}, which EM never does in exact "
            "arithmetic; scale the data (scale=seqkit.Standard()) or raise the emission's floor",
            ConvergenceWarning,
            stacklevel=4,
        )
    if not fit.converged and options.max_iter > 1:
        last = float(steps[-1]) if len(steps) else np.nan
        warnings.warn(
            f"stopped after {options.max_iter} iterations, the last still raised the likelihood by {last:.3g}; "
            "raise max_iter, or tol",
            ConvergenceWarning,
            stacklevel=4,
        )
    dead = [names[k] for k in np.flatnonzero(fit.visits < 1e-6 * max(evidence.length, 1))]
    if dead and options.max_iter > 1:
        warnings.warn(
            f"no step belongs to state(s) {dead}: the data need fewer states, or other starts (n_init)",
            ConvergenceWarning,
            stacklevel=4,
        )


# -- starts --------------------------------------------------------------------------------------


def starts(
    evidence: Evidence, moves: Moves, emission: Emission, K: int, count: int, seed: int
) -> list[Parameters]:
    """The first by k-means with lasting states, the others by random centres and random moves."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        hidden = moves.spread(None if number == 0 else rng)
        if number == 0 and _in_order(moves.transition):
            weights = _segmented(evidence, K)
            made.append(Parameters(hidden, emission.fit_weighted(evidence.rows, weights)))
            continue
        weights = responsibilities(evidence.rows, K, rng, settle=number == 0 or number % 2 == 1)
        made.append(_matched(evidence, hidden, emission, weights, moves))
    return made


def _in_order(transition: Array) -> bool:
    """Whether states can only follow each other upwards."""
    below = np.tril_indices(len(transition), -1)
    return len(transition) > 1 and not np.nan_to_num(transition, nan=1.0)[below].any()


def _segmented(evidence: Evidence, K: int) -> Array:
    """Every sequence cut into K equal parts, one for each state in turn (Rabiner 1989, section VI)."""
    lengths = np.diff(evidence.offsets)
    step = np.arange(evidence.length) - np.repeat(evidence.offsets[:-1], lengths)
    soft = 0.9 * np.eye(K)[step * K // np.repeat(lengths, lengths)] + 0.1 / K
    return sum_by_row(soft, evidence.rows.index, len(evidence.rows.values))


def _matched(
    evidence: Evidence, hidden: HiddenChain, emission: Emission, weights: Array, moves: Moves
) -> Parameters:
    """A start from clusters; where something tells the states apart, in the order that suits the data best."""
    K = weights.shape[1]
    own = [np.any(~np.asarray(mask)) for mask in emission.free.values()]
    apart = any(own) or not np.isnan(moves.transition).all() or len(np.unique(hidden.initial)) > 1
    orders = permutations(range(K)) if apart and 1 < K <= 4 else iter([tuple(range(K))])
    fits = [
        Parameters(hidden, emission.fit_weighted(evidence.rows, weights[:, list(order)]))
        for order in orders
    ]
    if len(fits) == 1:
        return fits[0]
    values = [float(hidden.log_partition(*evidence.steps(fit.emission)).sum()) for fit in fits]
    return fits[int(np.argmax(values))]


def responsibilities(rows: Rows, K: int, rng: np.random.Generator, settle: bool) -> Array:
    """(R, K) shares by nearest centre, with a little of all states everywhere so that none is without weight."""
    times = (
        np.ones(len(rows.values))
        if rows.index is None
        else np.bincount(rows.index, minlength=len(rows.values)).astype(float)
    )
    features = _features(rows)
    if features is None or K == 1:
        soft = rng.dirichlet(np.full(K, 0.5), len(times)) + 0.1
    else:
        nearest = kmeans(features, times, K, rng, 50 if settle else 2)
        soft = 0.9 * np.eye(K)[nearest] + 0.1 / K
    return soft / soft.sum(1, keepdims=True) * times[:, None]


def _features(rows: Rows) -> Array | None:
    """Columns of the rows in standard deviations, missing ones at their means; None for codes of symbols."""
    if rows.parts:
        found = [f for f in (_features(part) for part in rows.parts) if f is not None and len(f)]
        same = [f for f in found if len(f) == len(rows.parts[0].values)]
        return np.concatenate(same, axis=1) if same and len(same) == len(rows.parts) else None
    values = np.asarray(rows.values, dtype=float)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a channel without values has no mean
        mean, scale = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
    z = (values - mean) / np.where(scale > 0, scale, 1.0)
    return np.where(np.isnan(z), 0.0, z)


def kmeans(x: Array, times: Array, K: int, rng: np.random.Generator, rounds: int) -> Array:
    """The nearest of K centres of each row (R, C) with multiplicities (R,), centres spread as by k-means++.

    (Arthur & Vassilvitskii 2007); of long data a sample decides the centres.
    """
    pick = rng.choice(len(x), 10_000, p=times / times.sum()) if len(x) > 10_000 else slice(None)
    sample, weight = x[pick], (np.ones(10_000) if len(x) > 10_000 else times)
    centres = sample[[rng.choice(len(sample), p=weight / weight.sum())]]
    for _ in range(K - 1):
        far = _squares(sample, centres).min(1) * weight
        total = far.sum()
        p = far / total if total > 0 else weight / weight.sum()
        centres = np.concatenate([centres, sample[[rng.choice(len(sample), p=p)]]])
    for _ in range(rounds):
        nearest = _squares(sample, centres).argmin(1)
        mass = np.bincount(nearest, weight, minlength=K)
        sums = np.stack([np.bincount(nearest, weight * c, minlength=K) for c in sample.T], axis=1)
        moved = np.where(mass[:, None] > 0, sums / np.maximum(mass, 1e-300)[:, None], centres)
        if np.allclose(moved, centres, rtol=0, atol=1e-6):
            break
        centres = moved
    return _squares(x, centres).argmin(1)


def _squares(x: Array, centres: Array) -> Array:
    """Squared distances (R, K), up to what is the same for all centres of a row."""
    return np.maximum((x**2).sum(1)[:, None] - 2 * x @ centres.T + (centres**2).sum(1), 0.0)
