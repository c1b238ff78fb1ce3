"""Part-of-speech tagging of UD English EWT: accuracy, and words per second, beside a baseline, nltk and hmmlearn.

pip install seqkit nltk hmmlearn
python benchmarks/tagging.py

All are trained on the train part. nltk's HMM is slow, so it decodes the first 100 sentences of the test part, on
which the others are scored once more. hmmlearn cannot learn from tags; it gets counted probabilities (one more
for every word, unknown ones sharing a symbol), and only its decoding is timed.
"""

from harness import machine  # before NumPy: it sets the number of threads

# isort: split
import gc
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np

import seqkit
from seqkit.models.markov.hmm_tagger import HMMTagger

SUBSET = 100
Tagged = list[list[str]]


def seconds(function: Callable[[], Any], repeats: int = 1) -> tuple[float, Any]:
    """The median time of a call, and what it returned."""
    times = []
    for _ in range(repeats):
        gc.collect()
        gc.disable()  # as timeit does
        start = time.perf_counter()
        result = function()
        times.append(time.perf_counter() - start)
        gc.enable()
    return float(np.median(times)), result


def accuracy(tags: Tagged, truth: Tagged) -> float:
    pairs = [(a, b) for s, t in zip(tags, truth, strict=True) for a, b in zip(s, t, strict=True)]
    return sum(a == b for a, b in pairs) / len(pairs)


class MostFrequent:
    """The most frequent tag of every word, and of all words for one never seen."""

    def fit(self, sentences: Tagged, tags: Tagged) -> "MostFrequent":
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for words, marks in zip(sentences, tags, strict=True):
            for word, mark in zip(words, marks, strict=True):
                counts[word][mark] += 1
        self.best = {word: c.most_common(1)[0][0] for word, c in counts.items()}
        everything = sum(counts.values(), Counter())
        self.usual = everything.most_common(1)[0][0]
        return self

    def decode(self, sentences: Tagged) -> Tagged:
        return [[self.best.get(word, self.usual) for word in s] for s in sentences]


class Ours:
    """`HMMTagger` with tags as lists, as the others return them."""

    def __init__(self, **options: Any):
        self.model = HMMTagger(**options)

    def fit(self, sentences: Tagged, tags: Tagged) -> "Ours":
        self.model.fit(sentences, tags)
        return self

    def decode(self, sentences: Tagged) -> Tagged:
        flat = self.model.decode(sentences).to_numpy()
        edges = np.cumsum([len(s) for s in sentences])[:-1]
        return [part.tolist() for part in np.split(flat, edges)]


class Nltk:
    """nltk.tag.tnt, which since version 3.10 judges unknown words by their endings, or nltk's supervised HMM."""

    def __init__(self, kind: str, **options: Any):
        self.kind, self.options = kind, options

    def fit(self, sentences: Tagged, tags: Tagged) -> "Nltk":
        from nltk.probability import LidstoneProbDist
        from nltk.tag import hmm, tnt

        data = [list(zip(s, t, strict=True)) for s, t in zip(sentences, tags, strict=True)]
        if self.kind == "tnt":
            self.model = tnt.TnT(**self.options)
            self.model.train(data)
        else:
            self.model = hmm.HiddenMarkovModelTrainer().train_supervised(
                data, estimator=lambda counts, bins: LidstoneProbDist(counts, 0.1, bins)
            )
        return self

    def decode(self, sentences: Tagged) -> Tagged:
        return [[tag for _, tag in self.model.tag(s)] for s in sentences]


class Hmmlearn:
    """CategoricalHMM with counted probabilities."""

    def fit(self, sentences: Tagged, tags: Tagged) -> "Hmmlearn":
        from hmmlearn.hmm import CategoricalHMM

        self.tags = sorted({t for s in tags for t in s})
        self.words = {w: i + 1 for i, w in enumerate(sorted({w for s in sentences for w in s}))}
        number, size = {t: i for i, t in enumerate(self.tags)}, len(self.tags)
        start, move = np.ones(size), np.ones((size, size))
        emit = np.full((size, len(self.words) + 1), 0.01)
        for words, marks in zip(sentences, tags, strict=True):
            path = [number[t] for t in marks]
            start[path[0]] += 1
            np.add.at(move, (path[:-1], path[1:]), 1)
            np.add.at(emit, (path, [self.words[w] for w in words]), 1)
        self.model = CategoricalHMM(size, implementation="scaling")
        self.model.n_features = emit.shape[1]
        self.model.startprob_ = start / start.sum()
        self.model.transmat_ = move / move.sum(axis=1, keepdims=True)
        self.model.emissionprob_ = emit / emit.sum(axis=1, keepdims=True)
        return self

    def decode(self, sentences: Tagged) -> Tagged:
        codes = np.array([[self.words.get(w, 0)] for s in sentences for w in s])
        lengths = [len(s) for s in sentences]
        path = self.model.decode(codes, lengths)[1]
        return [[self.tags[k] for k in part] for part in np.split(path, np.cumsum(lengths)[:-1])]


def row(
    name: str, model: Any, data: Any, *, repeats: int, whole: bool, learns: bool = True
) -> None:
    """Train, decode, print one line."""
    words = sum(map(len, data.train.sentences))
    train, fitted = seconds(lambda: model.fit(*data.train), repeats)
    sentences, truth = data.test
    part, few = sentences[:SUBSET], truth[:SUBSET]
    if whole:
        spent, tags = seconds(lambda: fitted.decode(sentences), repeats)
        score, decoded = f"{accuracy(tags, truth):.4f}", sum(map(len, sentences))
        on_part = accuracy(tags[:SUBSET], few)
    else:
        spent, tags = seconds(lambda: fitted.decode(part))
        score, decoded, on_part = "     -", sum(map(len, part)), accuracy(tags, few)
    speed = f"{words / train:12,.0f}" if learns else " " * 11 + "-"
    print(f"{name:<40} {score}  {on_part:8.4f}  {speed}  {decoded / spent:12,.0f}", flush=True)


def main() -> None:
    print(machine())
    for tagset in ("ud_ewt", "ud_ewt_xpos"):
        data = seqkit.datasets.load(tagset)
        HMMTagger().fit(["warm", "up"], ["A", "B"]).decode(
            ["up"]
        )  # compiles, or loads what was compiled
        known = {w for s in data.train.sentences for w in s}
        unknown = [w not in known for s in data.test.sentences for w in s]
        print(f"\n{tagset}: {sum(map(len, data.train.sentences)):,} words to train on, {len(unknown):,} to test, "
              f"{np.mean(unknown):.1%} of them never seen")  # fmt: skip
        print(
            f"{'':<40} {'test':>6}  {'first 100':>8}  {'train words/s':>12}  {'decode words/s':>12}"
        )
        row("most frequent tag", MostFrequent(), data, repeats=9, whole=True)
        row("seqkit HMMTagger()", Ours(), data, repeats=9, whole=True)
        row("seqkit HMMTagger(order=1)", Ours(order=1), data, repeats=9, whole=True)
        row("seqkit HMMTagger(capitals=False)", Ours(capitals=False), data, repeats=9, whole=True)
        row(
            "hmmlearn CategoricalHMM, scaling",
            Hmmlearn(),
            data,
            repeats=1,
            whole=True,
            learns=False,
        )
        row("nltk supervised HMM, Lidstone 0.1", Nltk("hmm"), data, repeats=1, whole=False)
        row("nltk.tag.tnt.TnT()", Nltk("tnt"), data, repeats=1, whole=True)
        row("nltk.tag.tnt.TnT(C=True)", Nltk("tnt", C=True), data, repeats=1, whole=True)


if __name__ == "__main__":
    main()
