"""What words say of their tags: counts of known words, endings of unknown ones (Brants 2000, sections 2.3 and 2.4)."""

from __future__ import annotations

import numpy as np
import pandas as pd

from seqkit.data.sequences import Array
from seqkit.persistence import Record

_TRIED = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 4.0)  # weights of shorter endings, when they are chosen
_NEGLIGIBLE = (
    1e-3  # a tag so much less probable than the best one is no candidate of an unknown word
)
_HELD_OUT = 2000  # rare words that the choice is made by


def capitalised(words: list[str]) -> Array:
    """1 for words that begin with a capital letter, else 0."""
    return np.array([word[:1].isupper() for word in words], dtype=np.int64)


class Endings(Record):
    """The tags of words never seen, by their last letters, learnt from rare words.

    With l the last letters, theta the weight of what the shorter ending said, per class of capitalisation:
    p(t | l_1 .. l_m) = (share of t among rare words ending so + theta p(t | l_2 .. l_m)) / (1 + theta).

    words, counts : rare words and how often each has each tag, (R, K). longest : letters that are looked at.
    theta : None chooses it by the likelihood of rare words, each left out of the counts in turn.
    """

    def __init__(self, words: list[str], counts: Array, longest: int, theta: float | None):
        self.longest = longest
        self.rows: dict[str, int] = {}
        nodes = self._number(words)
        sums = np.stack(
            [np.bincount(nodes[nodes >= 0], weights=_beside(c, nodes)) for c in counts.T], axis=1
        )
        root = counts.sum(axis=0) / counts.sum()
        if theta is None:
            theta = _chosen_theta(nodes, sums, counts)
        self.theta, self.root = float(theta), root
        shares = sums / sums.sum(axis=1, keepdims=True)
        self.law = np.empty_like(sums)
        for depth in range(longest + 1):  # a longer ending leans on the shorter one
            inside = nodes[:, depth] >= 0
            rows = nodes[inside, depth]
            shorter = self.law[nodes[inside, depth - 1]] if depth else root
            self.law[rows] = (shares[rows] + self.theta * shorter) / (1 + self.theta)

    def _number(self, words: list[str]) -> Array:
        """The number of every ending of every word, (R, longest + 1), -1 beyond its length."""
        nodes = np.full((len(words), self.longest + 1), -1, dtype=np.int64)
        kinds = ["A" if word[:1].isupper() else "a" for word in words]
        lengths = np.array([len(word) for word in words])
        for depth in range(self.longest + 1):
            long = np.flatnonzero(lengths >= depth)
            if not len(long):
                break
            endings = [kinds[i] + words[i][lengths[i] - depth :] for i in long]
            codes, distinct = pd.factorize(np.array(endings, dtype=object))
            nodes[long, depth] = len(self.rows) + codes
            start = len(self.rows)
            self.rows.update((ending, start + i) for i, ending in enumerate(distinct))
        return nodes

    def guess(self, word: str) -> Array:
        """p(tag | the longest known ending of `word`), (K,)."""
        kind = "A" if word[:1].isupper() else "a"
        for depth in range(min(self.longest, len(word)), -1, -1):
            row = self.rows.get(kind + word[len(word) - depth :])
            if row is not None:
                return self.law[row]
        return self.root


def _beside(values: Array, nodes: Array) -> Array:
    """The value of its word for every ending that there is."""
    return np.repeat(values, (nodes >= 0).sum(axis=1))


def _chosen_theta(nodes: Array, sums: Array, counts: Array) -> float:
    """The weight under which words are likeliest by the endings of the others."""
    chosen = np.arange(0, len(nodes), max(len(nodes) // _HELD_OUT, 1))
    own, tags = counts[chosen], counts.shape[1]
    totals = counts.sum(axis=0) + 0.5 - own
    root = totals / totals.sum(axis=1, keepdims=True)
    best, top = _TRIED[0], -np.inf
    rest = [sums[nodes[chosen, depth]] - own for depth in range(nodes.shape[1])]
    for theta in _TRIED:
        law = root
        for depth, others in enumerate(rest):
            size = others.sum(axis=1, keepdims=True)
            known = (nodes[chosen, depth] >= 0)[:, None] & (size > 0)
            share = np.divide(others, size, out=np.zeros((len(own), tags)), where=known)
            law = np.where(known, (share + theta * law) / (1 + theta), law)
        gain = float((own / own.sum(axis=1, keepdims=True) * np.log(law)).sum())
        if gain > top:
            best, top = theta, gain
    return best


class Lexicon(Record):
    """Known words with their tags, and the endings that stand in for unknown ones.

    numbers : {word: number}. first (V + 1,), labels (C,), weights (C,): candidates of every word in the manner of
    `seqkit.kernels.ngram_chain`, weights log p(word | label). A label is tag * kinds + kind, kind being
    the capitalisation of the word (kinds = 2) or nothing (kinds = 1).
    """

    def __init__(
        self, words: list[str], counts: Array, kinds: int, longest: int, rare: int, theta: float | None
    ):  # fmt: skip
        self.numbers = {word: number for number, word in enumerate(words)}
        self.kinds = kinds
        totals = counts.sum(axis=1)
        kind = capitalised(words) if kinds == 2 else np.zeros(len(words), dtype=np.int64)
        sizes = np.stack([counts[kind == c].sum(axis=0) for c in range(kinds)], axis=1)
        self.log_sizes = np.log(np.maximum(sizes, 0.5)).ravel()  # of (tag, kind)
        word, tag = np.nonzero(counts)
        self.labels = tag * kinds + kind[word]
        self.weights = np.log(counts[word, tag]) - self.log_sizes[self.labels]
        self.first = np.concatenate([[0], np.cumsum((counts > 0).sum(axis=1))])
        scarce = np.flatnonzero(totals <= rare)
        if not len(scarce):
            scarce = np.arange(len(words))
        self.endings = Endings([words[i] for i in scarce], counts[scarce], longest, theta)
        # A word never seen is as probable as all words seen once together (Good 1953).
        self.log_unknown = float(np.log(max((totals == 1).sum(), 0.5)))

    def encode(self, words: list[str]) -> tuple[Array, Array, Array, Array]:
        """The number of each (distinct) word, and first, labels, weights of all words, unknown ones at the end."""
        known = self.numbers
        numbers = np.array([known.get(word, -1) for word in words], dtype=np.int64)
        strange = np.flatnonzero(numbers < 0)
        if not len(strange):
            return numbers, self.first, self.labels, self.weights
        numbers[strange] = len(known) + np.arange(len(strange))
        unknown = [words[i] for i in strange]
        law = np.stack([self._guess(word) for word in unknown])
        law = np.where(law >= _NEGLIGIBLE * law.max(axis=1, keepdims=True), law, 0.0)
        row, tag = np.nonzero(law)
        kind = capitalised(unknown) if self.kinds == 2 else np.zeros(len(unknown), dtype=np.int64)
        labels = tag * self.kinds + kind[row]
        weights = np.log(law[row, tag]) - self.log_sizes[labels] + self.log_unknown
        first = self.first[-1] + np.cumsum((law > 0).sum(axis=1))
        return (
            numbers,
            np.concatenate([self.first, first]),
            np.concatenate([self.labels, labels]),
            np.concatenate([self.weights, weights]),
        )

    def _guess(self, word: str) -> Array:
        """p(tag | a word never seen): by its ending, and by its counts in another writing (Foundation, foundation)."""
        law = self.endings.guess(word)
        for written in (word.capitalize(), word.lower()):
            number = self.numbers.get(written)
            if number is not None:
                seen = slice(self.first[number], self.first[number + 1])
                labels, theta = self.labels[seen], self.endings.theta
                counts = np.exp(self.weights[seen] + self.log_sizes[labels])
                law = theta * law
                law[labels // self.kinds] += counts
                return law / (counts.sum() + theta)
        return law
