"""A second-order hidden Markov model that tags sentences (Brants 2000)."""

from __future__ import annotations

import dataclasses
from typing import Any, Self

import numpy as np
import pandas as pd

from seqkit.base import Model, NotFittedError, check_count
from seqkit.data.sequences import Array, Sequences, as_sequences
from seqkit.kernels import ngram_chain
from seqkit.persistence import Record

from ._tagger_words import Lexicon, capitalised

BOUNDARY = "<s>"  # how the beginning and the end of a sentence are called among tags
_CELLS = 50_000_000  # transitions that are held: 400 MB


class Summary(Record):
    """What a tagger remembers of its data for messages."""

    def __init__(self, sentences: int, words: int, tags: int):
        self.sentences, self.words, self.tags = sentences, words, tags

    def describe(self) -> str:
        return f"fitted to {self.sentences:,} sentences of {self.words:,} words, {self.tags} tags"


@dataclasses.dataclass(eq=False, repr=False)
class HMMTagger(Model):
    """Tags for words: a hidden Markov model whose states are tags, learnt from tagged sentences (TnT, Brants 2000).

    p(words, tags) = prod_{i=1}^{T} p(t_i | t_{i-2}, t_{i-1}) p(w_i | t_i) * p(end | t_{T-1}, t_T).

    Transitions mix the relative frequencies of one, two and three tags, with weights by deleted interpolation; words
    never seen are judged by their endings, learnt from rare words, and by what is known of them in lower case or
    capitalised (tags a thousandth as probable as the best are left out); the capitalisation of a word belongs to its
    state. The beginning and the end of a sentence count as tags.

    Parameters
    ----------
    order : tags that a tag depends on, 1 or 2.
    suffix : letters of an ending that are looked at, at most.
    rare : words seen at most so often teach the endings.
    capitals : whether states know if their word begins with a capital letter.
    theta : weight of what shorter endings say. None chooses it by the likelihood of rare words, each left
        out in turn; Brants took the standard deviation of the tags' frequencies, which is small for few tags.

    Attributes
    ----------
    tags_ : the tags, sorted.
    interpolation_ : Series, the weights of one, two and three tags.
    transition_ : DataFrame (tags + 1, tags + 1), how often each tag follows each, relative to the first.
    theta_ : the weight of shorter endings.

    Examples
    --------
    >>> sentences = [["the", "dog", "barks"], ["a", "cat", "sleeps"], ["the", "cat", "barks"]]
    >>> tagger = HMMTagger().fit(sentences, [["DET", "NOUN", "VERB"]] * 3)
    >>> tagger.decode(["the", "dog", "sleeps"]).tolist()
    ['DET', 'NOUN', 'VERB']

    References
    ----------
    Brants (2000), TnT: a statistical part-of-speech tagger, ANLP.
    """

    order: int = 2
    suffix: int = 10
    rare: int = 10
    capitals: bool = True
    theta: float | None = None

    # -- learning --------------------------------------------------------------------------------

    def fit(self, x: Any, y: Any) -> Self:
        """Count words, tags and their neighbours.

        Parameters
        ----------
        x : sentences: a list of lists of words, a list of words for a single one, or text series in any accepted
            panel (see `seqkit.Sequences`).
        y : the tags, in the same shape.

        Raises
        ------
        ValueError : tags and sentences that differ in shape, or settings out of their range.
        TypeError : words or tags that are no text.
        """
        self._check()
        data = _text(x, "x", "words")
        given = _matching(data, y)
        vars(self).pop("_header", None)
        codes, distinct = pd.factorize(data.values[:, 0])
        numbers, tags = pd.factorize(given.values[:, 0], sort=True)
        kinds = 2 if self.capitals else 1
        if (len(tags) * kinds + 1) ** 3 > _CELLS:
            raise ValueError(
                f"{len(tags)} tags make a table of {(len(tags) * kinds + 1) ** 3:,} transitions, more "
                f"than {_CELLS:,}; use a coarser tag set, or capitals=False"
            )
        self._tags, words = [str(tag) for tag in tags], [str(word) for word in distinct]
        size = len(distinct) * len(tags)
        counts = np.bincount(codes * len(tags) + numbers, minlength=size)
        counts = counts.reshape(len(words), len(tags)).astype(np.float64)
        self._lexicon = Lexicon(words, counts, kinds, self.suffix, self.rare, self.theta)
        labels = numbers * kinds + (capitalised(words)[codes] if kinds == 2 else 0)
        trigrams = _trigrams(labels, data.offsets, len(tags) * kinds)
        self._pairs = _without_kinds(trigrams.sum(axis=0), kinds)
        self._weights = deleted_interpolation(trigrams, self.order)
        self._log_transition = np.log(interpolate(trigrams, self._weights))
        self._header = Summary(len(data), len(codes), len(tags))
        return self

    def _check(self) -> None:
        if self.order not in (1, 2):
            raise ValueError(
                f"order must be 1 or 2 (tags that a tag depends on), got {self.order!r}"
            )
        check_count("suffix", self.suffix, 0)
        check_count("rare", self.rare, 1)
        if self.theta is not None and not self.theta > 0:
            raise ValueError(f"theta must be positive or None, got {self.theta!r}")

    @property
    def tags_(self) -> list[str]:
        return list(self._tags)

    @property
    def interpolation_(self) -> pd.Series:
        names = ["one tag", "two tags", "three tags"]
        return pd.Series(self._weights, index=names, name="weight")

    @property
    def theta_(self) -> float:
        return self._lexicon.endings.theta

    @property
    def transition_(self) -> pd.DataFrame:
        names = [*self._tags, BOUNDARY]
        shares = self._pairs / np.maximum(self._pairs.sum(axis=1, keepdims=True), 1.0)
        return pd.DataFrame(shares, index=names, columns=names)

    # -- answering -------------------------------------------------------------------------------

    def decode(self, x: Any) -> pd.Series:
        """The most probable tags of whole sentences (Viterbi), on the index of `x`."""
        data, problem = self._problem(x)
        path = ngram_chain.viterbi(*problem)
        names = np.array(self._tags, dtype=object)
        return data.restore(names[path.labels // self._lexicon.kinds], name="tag")

    def decode_proba(self, x: Any) -> pd.DataFrame:
        """p(tag | the whole sentence) of every word, one column per tag, on the index of `x`."""
        data, problem = self._problem(x)
        law = ngram_chain.marginals(*problem).probabilities
        law = law.reshape(len(law), len(self._tags), -1).sum(axis=2)
        return data.restore(law, self._tags)

    def k_best(self, x: Any, k: int = 5) -> tuple[pd.DataFrame, pd.Series]:
        """The k most probable taggings of one sentence.

        Returns
        -------
        The tags, a column per tagging, best first, on the index of `x`; and p(tagging | words) of each. There are fewer
        where the sentence has fewer.
        """
        check_count("k", k, 1)
        data, problem = self._problem(x)
        if len(data) > 1:
            raise ValueError(f"k_best takes one sentence, got {len(data)}; take them in turn")
        transition, words, _, first, labels, weights = problem
        paths, scores = ngram_chain.k_best(transition, words, first, labels, weights, k)
        ranks = pd.RangeIndex(1, len(paths) + 1, name="rank")
        names = np.array(self._tags, dtype=object)
        tags = data.restore(names[paths // self._lexicon.kinds].T, ranks)
        total = ngram_chain.log_partition(*problem)[0]
        return tags, pd.Series(np.exp(scores - total), index=ranks, name="probability")

    def log_likelihood(self, x: Any) -> float:
        """Total log p(words) in nats, tags summed out.

        Any word never seen has the share of words seen once (Good 1953) as its p(word), and so
        p(word | tag) = p(tag | ending) p(word) / p(tag); known words are not discounted for it.
        """
        return float(ngram_chain.log_partition(*self._problem(x)[1]).sum())

    def score(self, x: Any, y: Any) -> float:
        """The share of words whose decoded tag is that of `y`."""
        data, problem = self._problem(x)
        given = _matching(data, y)
        names = np.array(self._tags, dtype=object)
        path = ngram_chain.viterbi(*problem)
        return float((names[path.labels // self._lexicon.kinds] == given.values[:, 0]).mean())

    def _problem(self, x: Any) -> tuple[Sequences, tuple[Array, ...]]:
        """The sentences, and the arguments of the kernel."""
        if "_header" not in vars(self):
            raise NotFittedError("this HMMTagger is not fitted; call fit(sentences, tags) first")
        data = _text(x, "x", "words")
        codes, words = pd.factorize(data.values[:, 0])
        numbers, first, labels, weights = self._lexicon.encode(list(words))
        return data, (self._log_transition, numbers[codes], data.offsets, first, labels, weights)


# -- transitions ---------------------------------------------------------------------------------


def _trigrams(labels: Array, offsets: Array, boundary: int) -> Array:
    """How often three labels follow each other, two boundaries before and one after every sentence, (K + 1,) * 3."""
    sentences, size = len(offsets) - 1, boundary + 1
    padded = np.full(len(labels) + 3 * sentences, boundary, dtype=np.int64)
    place = np.arange(len(labels)) + 3 * np.repeat(np.arange(sentences), np.diff(offsets)) + 2
    padded[place] = labels
    counted = np.zeros(len(padded), dtype=bool)
    counted[place] = counted[place[offsets[1:] - 1] + 1] = True
    codes = (padded[:-2] * size + padded[1:-1]) * size + padded[2:]
    counts = np.bincount(codes[counted[2:]], minlength=size**3)
    return counts.reshape(size, size, size).astype(np.float64)


def _without_kinds(pairs: Array, kinds: int) -> Array:
    """Counts of pairs of tags, the boundary last, from those of (tag, kind)."""
    tags = (len(pairs) - 1) // kinds
    group = np.append(np.repeat(np.arange(tags), kinds), tags)
    out = np.zeros((tags + 1, tags + 1))
    np.add.at(out, (group[:, None], group[None, :]), pairs)
    return out


def _ratio(part: Array, whole: Array) -> Array:
    """part / whole, 0 where there is nothing to divide by."""
    whole = np.broadcast_to(whole, part.shape)
    return np.divide(part, whole, out=np.zeros(part.shape), where=whole > 0)


def deleted_interpolation(trigrams: Array, order: int = 2) -> Array:
    """Weights of one, two and three tags, (3,), from counts of three (Brants 2000, figure 1).

    Every trigram votes, as often as it occurs, for the history that predicts it best when this one occurrence is left
    out; of equals, for the longer one. Each has one vote at least, so that a little text rules out nothing. With
    `order` 1 only one and two tags compete.
    """
    pairs = trigrams.sum(axis=0)
    single = pairs.sum(axis=0)
    guesses = [
        np.broadcast_to(_ratio(single - 1, np.array(single.sum() - 1)), trigrams.shape),
        np.broadcast_to(_ratio(pairs - 1, pairs.sum(axis=1)[:, None] - 1), trigrams.shape),
        _ratio(trigrams - 1, trigrams.sum(axis=2)[:, :, None] - 1),
    ][: order + 1]
    winner = order - np.argmax(np.stack(guesses[::-1]), axis=0)
    votes = np.bincount(winner.ravel(), weights=trigrams.ravel(), minlength=3)
    votes[: order + 1] = np.maximum(votes[: order + 1], 1.0)
    return votes / votes.sum()


def interpolate(trigrams: Array, weights: Array) -> Array:
    """p(third | first two), (K + 1,) * 3, positive everywhere: a label never seen counts as seen half a time.

    Histories never seen leave their share to the shorter ones.
    """
    pairs = trigrams.sum(axis=0)
    single = np.maximum(pairs.sum(axis=0), 0.5)
    law = _mixed(single / single.sum(), pairs, weights[1] / (weights[0] + weights[1]))
    return _mixed(law, trigrams, weights[2])


def _mixed(law: Array, counts: Array, share: float) -> Array:
    """`law` with a share of the relative frequencies of `counts`, where there are any."""
    total = counts.sum(axis=-1, keepdims=True)
    seen = np.where(total > 0, share, 0.0)
    return (1 - seen) * law + seen * _ratio(counts, total)


# -- the way in ----------------------------------------------------------------------------------


def _text(x: Any, name: str, what: str) -> Sequences:
    data = as_sequences(x, name=name)
    if not data.tokens:
        raise TypeError(
            f"{name} holds numbers; expected {what} as text, e.g. a list of lists of str"
        )
    missing = pd.isna(data.values[:, 0])
    if missing.any():
        raise ValueError(
            f"{name} has a missing entry at row {int(np.argmax(missing))}; a tagger needs all {what}"
        )
    return data


def _matching(data: Sequences, y: Any) -> Sequences:
    """The tags of `data`, checked for shape."""
    tags = _text(y, "y", "tags")
    if len(tags) != len(data):
        raise ValueError(
            f"y has {len(tags)} sentence(s), x has {len(data)}; give one list of tags per sentence"
        )
    unequal = np.flatnonzero(tags.lengths != data.lengths)
    if len(unequal):
        i = int(unequal[0])
        raise ValueError(
            f"y has {tags.lengths[i]} tags for the {data.lengths[i]} words of sentence {i}; "
            "give one tag per word"
        )
    return tags
