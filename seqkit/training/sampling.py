"""Which examples follow each other: pure functions of the position in an endless stream.

Position p of the stream holds one example, whatever was drawn before. So a stream can be taken up anywhere, parted
among processes and drawn in pieces of any size, and is the same stream; nothing has to be remembered or saved.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqkit.base import check_count
from seqkit.persistence import Record

Positions = NDArray[np.int64]
Words = NDArray[np.uint64]

ROUNDS = 8  # of the Feistel network; four are enough against what can be told apart in so few draws
LOW = np.uint64(0xFFFFFFFF)


class Sampler(Record, ABC):
    """An endless stream of example numbers.

    A sampler of your own derives from this class and implements `__len__`, the number of examples, and `draw`.
    """

    @abstractmethod
    def __len__(self) -> int:
        """Number of examples that are drawn from."""

    @abstractmethod
    def draw(self, position: int, count: int) -> Positions:
        """The examples at positions ``position .. position + count - 1`` of the stream, (count,)."""


@dataclass(eq=False)
class Shuffle(Sampler):
    """Every example once in each pass, in an order of its own for every pass, without a table of the order.

    Pass e = p // n is a permutation of 0 .. n-1 keyed by (seed, e): a Feistel network on a rectangle a x b >= n,
    walked along its cycle until the result is below n. It needs O(1) memory for any n.

    Parameters
    ----------
    n : number of examples.
    seed : another seed is another stream.

    Raises ValueError for n below 1.

    Source: Luby, Rackoff (1988), SIAM J. Computing 17; Black, Rogaway (2002), CT-RSA, for domains of any size.

    >>> stream = Shuffle(5, seed=0)
    >>> sorted(stream.draw(5, 5).tolist())  # the second pass
    [0, 1, 2, 3, 4]
    >>> bool((stream.draw(0, 10)[3:7] == stream.draw(3, 4)).all())
    True
    """

    n: int
    seed: int = 0

    def __len__(self) -> int:
        return self.n

    def draw(self, position: int, count: int) -> Positions:
        check_count("n", self.n, 1)
        at = np.arange(position, position + count, dtype=np.int64)
        passes, place = np.divmod(at, self.n)
        key = _mix(passes.astype(np.uint64) ^ _mix(np.uint64(self.seed & 0xFFFFFFFFFFFFFFFF)))
        drawn = self._permute(place, key)
        far = np.flatnonzero(drawn >= self.n)
        while far.size:  # outside: on along the cycle, which leads back inside
            drawn[far] = self._permute(drawn[far], key[far])
            far = far[drawn[far] >= self.n]
        return drawn

    def _permute(self, place: Positions, key: Words) -> Positions:
        """One keyed bijection of 0 .. width * height - 1, element by element."""
        width = int(np.ceil(np.sqrt(self.n)))
        height = -(-self.n // width)
        sizes = np.uint64(width), np.uint64(height)
        halves: list[Words] = [part.astype(np.uint64) for part in np.divmod(place, width)[::-1]]
        for turn in range(ROUNDS):
            here, other = turn % 2, 1 - turn % 2
            salt = np.uint64(turn * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF)
            shift = _below(_mix(halves[other] ^ key ^ salt), sizes[here])
            moved = halves[here] + shift
            halves[here] = np.where(moved >= sizes[here], moved - sizes[here], moved)
        return (halves[1] * sizes[0] + halves[0]).astype(np.int64)


@dataclass(eq=False)
class Grouped(Sampler):
    """First a group, then one of its members, both with replacement: how a panel is sampled fairly.

        P(group g) ~ n_g^(1 + power),   P(member | g) = 1 / n_g

    Power 0 draws uniformly over all examples (long series count as much as they have windows), power -1 uniformly
    over groups (every series counts the same), powers in between lie in between.

    Parameters
    ----------
    counts : examples of every group, (groups,); the examples of a group follow each other. A group may have none.
    power : exponent, from 0 (by example) to -1 (by group).
    seed : another seed is another stream.

    Raises ValueError for counts that are negative, no whole numbers, or all zero.

    >>> stream = Grouped([2, 98], power=-1.0, seed=0)
    >>> round(float((stream.draw(0, 10_000) < 2).mean()), 1)  # the short group is drawn half of the time
    0.5
    """

    counts: Any
    power: float = 0.0
    seed: int = 0

    def __len__(self) -> int:
        return int(np.sum(self.counts))

    def draw(self, position: int, count: int) -> Positions:
        sizes, first, shares = self._shares()
        at = np.arange(position, position + count, dtype=np.int64).astype(np.uint64)
        key = _mix(np.uint64(self.seed & 0xFFFFFFFFFFFFFFFF))
        picked = np.searchsorted(shares, _unit(_mix(at ^ key)), side="right")
        member = _unit(_mix(at ^ _mix(key + np.uint64(1))))
        return first[picked] + (member * sizes[picked]).astype(np.int64)

    def _shares(self) -> tuple[Positions, Positions, NDArray[np.float64]]:
        """Sizes of the groups, their first examples, and the cumulative probabilities of the groups."""
        sizes = np.asarray(self.counts)
        if sizes.ndim != 1 or sizes.dtype.kind not in "iu" or sizes.min() < 0 or not sizes.any():
            raise ValueError(
                f"counts must be the whole numbers of examples of every group, at least one of them "
                f"positive, got {self.counts!r}"
            )
        sizes = sizes.astype(np.int64)
        weight = np.where(sizes > 0, np.maximum(sizes, 1.0) ** (1.0 + self.power), 0.0)
        shares = np.cumsum(weight / weight.sum())
        shares[np.flatnonzero(sizes)[-1] :] = 1.0  # against rounding: the last group has the rest
        return sizes, np.cumsum(sizes) - sizes, shares


@dataclass(eq=False)
class InOrder(Sampler):
    """0 .. n-1 in order, pass after pass: for examples that go on from each other, as the pieces of a long series do.

    Parameters
    ----------
    n : number of examples.

    Raises ValueError for n below 1.

    >>> InOrder(3).draw(1, 5)
    array([1, 2, 0, 1, 2])
    """

    n: int

    def __len__(self) -> int:
        return self.n

    def draw(self, position: int, count: int) -> Positions:
        check_count("n", self.n, 1)
        return np.arange(position, position + count, dtype=np.int64) % self.n


@dataclass(eq=False)
class Bucketed(Sampler):
    """Every example once in each pass, those of like length together: batches with little padding.

    The examples of a pass are shuffled, parted into pools of `pool` batches, sorted by length within each pool,
    and the batches of all pools shuffled. So what meets in a batch differs from pass to pass, and the longest batch
    costs as many steps as it needs.

    Parameters
    ----------
    lengths : steps of every example, (n,).
    batch : examples of a batch; that of the trainer (times the processes).
    pool : batches that are sorted together; a larger one pads less and mixes less.
    seed : another seed is another stream.

    Raises ValueError for no lengths, and for numbers below 1.

    >>> stream = Bucketed([5, 1, 5, 1], batch=2, seed=0)
    >>> sorted(stream.draw(0, 2).tolist()) in ([0, 2], [1, 3])
    True
    """

    lengths: Any
    batch: int
    pool: int = 32
    seed: int = 0

    def __len__(self) -> int:
        return len(self.lengths)

    def draw(self, position: int, count: int) -> Positions:
        n = len(self)
        for name, value in (("lengths", n), ("batch", self.batch), ("pool", self.pool)):
            check_count(name, value, 1)
        first, last = position // n, (position + count - 1) // n
        passes = np.concatenate([self._pass(number) for number in range(first, last + 1)])
        return passes[position - first * n :][:count]

    def _pass(self, number: int) -> Positions:
        """The whole pass of this number, (n,): its batches lie where those of the stream do."""
        n = len(self)
        order = Shuffle(n, self.seed).draw(number * n, n)
        lengths = np.asarray(self.lengths)
        head = min(-number * n % self.batch, n)  # what completes the last batch of the pass before
        rest = order[head:]
        pools = np.arange(len(rest)) // (self.pool * self.batch)
        rest = rest[np.lexsort((lengths[rest], pools))]
        whole = len(rest) // self.batch
        key = Shuffle(max(whole, 1), seed_of(self.seed, number)).draw(0, whole)
        batches = rest[: whole * self.batch].reshape(whole, self.batch)[key]
        return np.concatenate([order[:head], batches.ravel(), rest[whole * self.batch :]])


def seed_of(*numbers: int) -> int:
    """One seed for a tuple of whole numbers, below 2^63 and the same everywhere.

    >>> seed_of(0, 1) == seed_of(0, 1), seed_of(0, 1) == seed_of(1, 0)
    (True, False)
    """
    word = np.zeros(1, dtype=np.uint64)
    for one in numbers:
        word = _mix(word ^ np.uint64(one & 0xFFFFFFFFFFFFFFFF))
    return int(word[0] >> np.uint64(1))


def _mix(x: Any) -> Any:
    """The finaliser of SplitMix64 (Steele, Lea, Flood 2014): every bit of the result hangs on every bit of `x`."""
    with np.errstate(over="ignore"):  # it is arithmetic modulo 2^64
        x = x + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))


def _below(x: Words, bound: np.uint64) -> Words:
    """Random words scaled to 0 .. bound - 1, for bounds below 2^32, without a division."""
    return ((x & LOW) * bound) >> np.uint64(32)


def _unit(x: Words) -> NDArray[np.float64]:
    """Random words as numbers in [0, 1) with 53 bits."""
    return (x >> np.uint64(11)).astype(np.float64) * 2.0**-53
