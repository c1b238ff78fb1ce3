"""Finite Markov chains as matrices: classes, long-run shares, hitting and absorption; and chains of higher order.

P (N, N) has the law of the next state in row i. A chain of order m over K symbols has N = K^m histories as states, the
oldest symbol counting most, and is kept as P (N, K): row h is the law of the symbol after history h.
"""

from __future__ import annotations

from bisect import bisect_right
from math import gcd, log
from typing import NamedTuple

import numpy as np

Array = np.ndarray
_ROOM = 4_000_000  # numbers that a pass over gaps holds per step


class Classes(NamedTuple):
    member: Array  # (N,) number of the class of every state, in the order of their first states
    recurrent: Array  # (C,) bool: whether a class is never left
    period: Array  # (C,) 0 for a state that never returns


def classes(transition: Array) -> Classes:
    """Communicating classes of P (N, N): states that lead to each other (Kemeny & Snell 1960)."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    possible = transition > 0
    count, raw = connected_components(csr_array(possible), directed=True, connection="strong")
    first = np.array([int(np.argmax(raw == c)) for c in range(count)])
    member = np.argsort(np.argsort(first))[raw]
    source, target = np.nonzero(possible)
    recurrent = np.ones(count, dtype=bool)
    recurrent[member[source[member[source] != member[target]]]] = False
    period = np.array([_period(possible, np.flatnonzero(member == c)) for c in range(count)])
    return Classes(member, recurrent, period)


def _period(possible: Array, states: Array) -> int:
    """The greatest common divisor of all ways back, from the levels of a breadth-first search."""
    inside = possible[np.ix_(states, states)]
    level = np.full(len(states), -1)
    level[0], depth = 0, 0
    while (level == depth).any():
        fresh = inside[level == depth].any(axis=0) & (level < 0)
        depth += 1
        level[fresh] = depth
    source, target = np.nonzero(inside)
    return gcd(*(int(d) for d in np.unique(level[source] + 1 - level[target])))


def stationary(transition: Array) -> Array:
    """The stationary law of one closed class P (N, N), without subtractions (Grassmann, Taksar & Heyman 1985)."""
    work, size = transition.astype(np.float64), len(transition)
    for n in range(size - 1, 0, -1):
        work[:n, n] /= work[n, :n].sum()
        work[:n, :n] += np.outer(work[:n, n], work[n, :n])
    law = np.ones(size)
    for n in range(1, size):
        law[n] = law[:n] @ work[:n, n]
    return law / law.sum()


def absorption(transition: Array, found: Classes) -> tuple[Array, Array]:
    """Where a chain ends up, (N, recurrent classes), and the expected steps until it is there, (N,)."""
    closed = np.flatnonzero(found.recurrent)
    inside = (found.member[:, None] == closed).astype(np.float64)
    time = np.zeros(len(transition))
    passing = ~inside.any(axis=1)
    if passing.any():
        system = np.eye(int(passing.sum())) - transition[np.ix_(passing, passing)]
        right = np.column_stack([transition[passing] @ inside, np.ones(len(system))])
        solved = np.linalg.solve(system, right)
        inside[passing] = solved[:, :-1] / solved[:, :-1].sum(axis=1, keepdims=True)
        time[passing] = solved[:, -1]
    return inside, time


def long_run(transition: Array, initial: Array) -> Array:
    """The share of time spent in every state in the long run, from `initial` (N,); periodic classes on average."""
    found = classes(transition)
    ends, _ = absorption(transition, found)
    law = np.zeros(len(transition))
    for weight, number in zip(initial @ ends, np.flatnonzero(found.recurrent), strict=True):
        states = np.flatnonzero(found.member == number)
        law[states] = weight * stationary(transition[np.ix_(states, states)])
    return law


def _reaching(possible: Array, target: Array) -> Array:
    """Which states can reach `target` (bool)."""
    reached = target.copy()
    while True:
        more = reached | possible[:, reached].any(axis=1)
        if (more == reached).all():
            return reached
        reached = more


def hitting(transition: Array, target: Array) -> tuple[Array, Array]:
    """Probability and expected number of steps until a state of `target` (N,) bool, from every state.

    The time is infinite where the target may be missed, 0 in it.
    """
    possible = transition > 0
    reached = _reaching(possible, target)
    possible[target] = False
    certain = ~_reaching(possible, ~reached)
    probability, time = reached.astype(np.float64), np.where(certain, 0.0, np.inf)
    for rows, out in ((reached & ~certain & ~target, probability), (certain & ~target, time)):
        if rows.any():
            system = np.eye(int(rows.sum())) - transition[np.ix_(rows, rows)]
            entry = transition[rows][:, target | certain].sum(axis=1)
            out[rows] = np.linalg.solve(system, np.ones(len(system)) if out is time else entry)
    return np.clip(probability, 0.0, 1.0), time


# -- histories -----------------------------------------------------------------------------------


def embedded(transition: Array) -> Array:
    """The chain of histories, (N, N), of a chain of higher order (N, K)."""
    size, symbols = transition.shape
    out = np.zeros((size, size))
    history = np.arange(size)
    for symbol in range(symbols):
        out[history, (history * symbols + symbol) % size] = transition[:, symbol]
    return out


def advance(belief: Array, transition: Array) -> Array:
    """Laws of histories (n, N) one step later."""
    size, symbols = transition.shape
    before = belief.reshape(len(belief), symbols, size // symbols)
    law = transition.reshape(symbols, size // symbols, symbols)
    return np.einsum("nij,ijk->njk", before, law).reshape(len(belief), size)


class Gaps(NamedTuple):
    """Stretches of symbols in which the same steps are missing, after known histories or all from the beginning."""

    history: Array  # (n,) histories, -1 from the beginning
    symbols: Array  # (n, L), -1 where missing
    times: Array  # (n,) how often each occurs


class Pass(NamedTuple):
    """What a pass found: log p of first histories and of what follows, (n,), and what is believed meanwhile."""

    log_first: Array
    log_later: Array
    beliefs: list[Array]  # of histories (n, N), before and after every step
    steps: Array  # (n, steps) symbols of those


def walk(gaps: Gaps, initial: Array, transition: Array) -> Pass:
    """Laws of the history (n, N) through gaps; the last one is that of their ends. Zeros once it is impossible."""
    size, symbols = transition.shape
    steps, rows = gaps.symbols, np.arange(len(gaps.history))
    if gaps.history[0] >= 0:
        belief, first = np.zeros((len(rows), size)), np.zeros(len(rows))
        belief[rows, gaps.history] = 1.0
    else:
        order, history = _order(transition), np.arange(size)
        belief = np.tile(initial, (len(rows), 1))
        for place, seen in enumerate(steps[:, :order].T):
            if seen[0] >= 0:
                belief *= history // symbols ** (order - 1 - place) % symbols == seen[:, None]
        belief, first = _normalised(belief)
        steps = steps[:, order:]
    beliefs, later = [belief], np.zeros(len(rows))
    for seen in steps.T:
        belief, gained = _normalised(_kept(advance(belief, transition), seen, symbols))
        later += gained
        beliefs.append(belief)
    return Pass(first, later, beliefs, steps)


def _kept(values: Array, seen: Array, symbols: int) -> Array:
    """`values` with zeros for other last symbols than `seen` (n,); all of them where it is missing."""
    if seen[0] < 0:
        return values
    last = np.arange(values.shape[-1]) % symbols
    shape = (len(seen),) + (1,) * (values.ndim - 1)
    return np.where(last == seen.reshape(shape), values, 0.0)


def _order(transition: Array) -> int:
    """m of a matrix (K^m, K)."""
    size, symbols = transition.shape
    return round(log(size) / log(symbols)) if symbols > 1 else 1


def _normalised(belief: Array) -> tuple[Array, Array]:
    mass = belief.sum(axis=1)
    possible = mass > 0
    gained = np.log(mass, out=np.full(len(mass), -np.inf), where=possible)
    return belief / np.where(possible, mass, 1.0)[:, None], gained


def expected(gaps: Gaps, initial: Array, transition: Array) -> tuple[Array, Array]:
    """Expected first histories (N,) and transitions (N, K) in all gaps given their symbols."""
    size, symbols = transition.shape
    first, counts = np.zeros(size), np.zeros((size, symbols))
    chunk = max(_ROOM // (size * symbols), 1)
    for start in range(0, len(gaps.history), chunk):
        part = Gaps(*(a[start : start + chunk] for a in gaps))
        begun, passed = _expected(part, initial, transition)
        first += begun
        counts += passed
    return first, counts


def _expected(gaps: Gaps, initial: Array, transition: Array) -> tuple[Array, Array]:
    size, symbols = transition.shape
    found, n = walk(gaps, initial, transition), len(gaps.history)
    law = transition.reshape(symbols, size // symbols, symbols)
    counts, after = np.zeros((size, symbols)), np.ones((n, size))
    for belief, seen in zip(found.beliefs[-2::-1], found.steps.T[::-1], strict=True):
        ahead = law * after.reshape(n, 1, size // symbols, symbols)
        ahead = _kept(ahead.reshape(n, size, symbols), seen, symbols)
        joint = belief[:, :, None] * ahead
        weight = gaps.times / joint.sum(axis=(1, 2))
        counts += np.tensordot(weight, joint, axes=1)
        after = ahead.sum(axis=2)
        after /= after.max(axis=1, keepdims=True)
    if gaps.history[0] >= 0:
        return np.zeros(size), counts
    first = found.beliefs[0] * after
    return (gaps.times / first.sum(axis=1)) @ first, counts


def draw(drawn: Array, history: Array, transition: Array, rng: np.random.Generator) -> None:
    """Fill the columns of `drawn` (n, T) after the first m, which are the histories (n,)."""
    size, symbols = transition.shape
    begun = _order(transition)
    cumulative = np.cumsum(transition, axis=1)
    last = symbols - 1 - np.argmax(transition[:, ::-1] > 0, axis=1)
    cumulative[np.arange(size), last] = 2.0  # rounding never leads beyond the last possible one
    rows = cumulative.tolist()
    for path, now in zip(drawn, history.tolist(), strict=True):
        chances = rng.random(len(path) - begun).tolist()
        for t, chance in enumerate(chances, start=begun):
            symbol = bisect_right(rows[now], chance)
            path[t] = symbol
            now = (now * symbols + symbol) % size


def mixing_time(transition: Array, law: Array, epsilon: float, doublings: int) -> float:
    """The first power of P whose rows are all within `epsilon` of `law` in total variation; infinite for none."""

    def far(power: Array) -> bool:
        return bool(0.5 * np.abs(power - law).sum(axis=1).max() > epsilon)

    if not far(np.eye(len(law))):
        return 0.0
    powers = [transition]
    while far(powers[-1]):
        if len(powers) == doublings:
            return np.inf
        powers.append(powers[-1] @ powers[-1])
    steps, below = 0, np.eye(len(law))  # the last power that is still far
    for level in range(len(powers) - 2, -1, -1):
        ahead = below @ powers[level]
        if far(ahead):
            steps, below = steps + 2**level, ahead
    return float(steps + 1)
