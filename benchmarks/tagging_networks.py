"""Taggers by networks: accuracy, words per second, and the speed of the CRF beside pytorch-crf.

pip install seqkit[torch] pytorch-crf
SEQKIT_DATA=... python benchmarks/tagging_networks.py crf ud slots wnut
SEQKIT_DATA=... python benchmarks/tagging_networks.py ud --dev        # judged on the development part alone

crf: log-likelihood with its gradient, and the best labellings, of 64 sequences of 30 steps, in turn.
ud: UD English EWT, gold tokens, no vectors from elsewhere; one network learns UPOS and, beside it, XPOS. The hidden
Markov tagger beside it. slots: SNIPS, F1 of slots (slot-gated BiLSTM of Goo et al. 2018: 88.80); the valid part is the
test part, and 700 sentences of the training part are held out for `--dev`. wnut: WNUT17, F1 of entities.
Settings were chosen on the development parts (those of slots beforehand); the test parts were read once.
`--keep FOLDER` saves the networks there, and `--kept FOLDER` judges saved ones instead of training anew.
"""

from harness import machine, race  # before NumPy: it sets the number of threads

# isort: split
import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import seqkit
from seqkit.evaluation.labels import span_f1
from seqkit.nn import CRF
from seqkit.training import EMA, Trainer

BATCH, LENGTH = 64, 30
HELD = 700
Tagged = tuple[list[list[str]], list[list[str]]]


def recipe(epochs: int, **options: Any) -> Trainer:
    common = {"lr": 2e-3, "schedule": "cosine", "warmup": 100, "clip": 5.0, "weight_decay": 1e-4}
    return Trainer(batch_size=32, epochs=epochs, averaging=EMA(0.998), **(common | options))


def crf() -> None:
    from torchcrf import CRF as Peer

    generator = torch.Generator().manual_seed(0)
    for labels in (17, 50):
        scores = torch.randn(BATCH, LENGTH, labels, generator=generator)
        codes = torch.randint(labels, (BATCH, LENGTH), generator=generator)
        ours, peer = CRF(labels), Peer(labels, batch_first=True)
        with torch.no_grad():
            ours.start.copy_(peer.start_transitions)
            ours.end.copy_(peer.end_transitions)
            ours.transition.copy_(peer.transitions)
        mine, theirs = (scores.clone().requires_grad_() for _ in range(2))
        ours.log_likelihood(mine, codes).sum().backward()
        peer(theirs, codes).backward()
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=0, atol=1e-4)
        assert ours.viterbi(scores).tolist() == peer.decode(scores)
        race(
            f"{labels} labels, loss and gradient",
            lambda mine=mine, ours=ours, codes=codes: (
                ours.log_likelihood(mine, codes).sum().backward()
            ),
            "pytorch-crf",
            lambda theirs=theirs, peer=peer, codes=codes: peer(theirs, codes).backward(),
            goal=1.5,
        )
        race(
            f"{labels} labels, decoding",
            lambda ours=ours, scores=scores: ours.viterbi(scores),
            "pytorch-crf",
            lambda peer=peer, scores=scores: peer.decode(scores),
            goal=1.5,
        )


def flat(tags: list[list[str]]) -> np.ndarray:
    return np.array([tag for row in tags for tag in row], dtype=object)


def nested(tags: Any, like: list[list[str]]) -> list[list[str]]:
    edges = np.cumsum([len(row) for row in like])[:-1]
    return [part.tolist() for part in np.split(tags.to_numpy(), edges)]


def report(name: str, tagger: Any, seconds: float, cpu: float, words: int, **scores: float) -> None:
    processor = "" if np.isnan(cpu) else f" ({cpu:.0f} s of processor time)"
    trained = f"trained in {seconds:.0f} s{processor}, {words / seconds:,.0f} words/s"
    print(
        f"{name:28} {', '.join(f'{k} {100 * v:.2f}' for k, v in scores.items())}; {trained}",
        flush=True,
    )


def fitted(tagger: Any, *given: Any, **more: Any) -> tuple[Any, float, float]:
    start, began = time.perf_counter(), time.process_time()
    tagger.fit(*given, **more)
    return tagger, time.perf_counter() - start, time.process_time() - began


def network(
    name: str, tagger: Any, options: argparse.Namespace, *given: Any, **more: Any
) -> tuple[Any, float, float]:
    """The fitted tagger, seconds and seconds of processor time: from the folder of kept ones, where one is given."""
    if options.kept:
        kept = seqkit.load(options.kept / f"{name}.seqkit")
        return kept, float(kept.history_["seconds"].iloc[-1]), float("nan")
    found = fitted(tagger, *given, **more)
    if options.keep:
        options.keep.mkdir(parents=True, exist_ok=True)
        found[0].save(options.keep / f"{name}.seqkit")
    return found


def speed(tagger: Any, sentences: list[list[str]]) -> None:
    tagger.decode(sentences[:50])
    start = time.perf_counter()
    tagger.decode(sentences)
    spent = time.perf_counter() - start
    print(f"{'':28} decoding {sum(map(len, sentences)) / spent:,.0f} words/s", flush=True)


def ud(options: argparse.Namespace) -> None:
    data, fine = seqkit.datasets.load("ud_ewt"), seqkit.datasets.load("ud_ewt_xpos")
    x, y = data.dev if options.dev else data.test
    xpos = (fine.dev if options.dev else fine.test).tags
    words = sum(map(len, data.train.sentences))
    known = {word for sentence in data.train.sentences for word in sentence}
    unseen = np.array([word not in known for sentence in x for word in sentence])
    for name, train, tags in (("UPOS", data.train, y), ("XPOS", fine.train, xpos)):
        hmm, seconds, cpu = fitted(seqkit.HMMTagger(), *train)
        report("HMMTagger()", hmm, seconds, cpu, words, **{name: hmm.score(x, tags)})
    epochs = options.epochs or 18
    tagger = seqkit.BiLSTMTagger(
        options.hidden or 256,
        dropout=options.dropout or 0.5,
        rarity=options.rarity or 0.5,
        trainer=recipe(epochs),
        seed=options.seed,
    )
    tagger, seconds, cpu = network("ud", tagger, options, *data.train, second=fine.train.tags)
    if options.kept:
        epochs = round(tagger.history_["epoch"].iloc[-1])
    right = tagger.decode(x).to_numpy() == flat(y)
    second = tagger.decode_second(x).to_numpy() == flat(xpos)
    scores = {
        "UPOS": right.mean(),
        "UPOS of unseen words": right[unseen].mean(),
        "XPOS": second.mean(),
    }
    report(f"BiLSTMTagger, {epochs} epochs", tagger, seconds, cpu, words * epochs, **scores)
    speed(tagger, x)


def chunks(
    name: str, train: Tagged, test: Tagged, options: argparse.Namespace, epochs: int, rarity: float
) -> None:
    """F1 of spans by a CRF that knows BIO, and by the hidden Markov tagger.

    Beside the kind of each chunk the network learns, as a second layer, whether there is one (Aguilar et al. 2017).
    """
    x, y = test
    words = sum(map(len, train[0]))
    hmm, seconds, cpu = fitted(seqkit.HMMTagger(capitals=False), *train)
    report("HMMTagger", hmm, seconds, cpu, words, F1=span_f1(y, nested(hmm.decode(x), x)))
    epochs = options.epochs or epochs
    tagger = seqkit.BiLSTMTagger(
        options.hidden or 128,
        crf=True,
        constraints="bio",
        dropout=options.dropout or 0.5,
        rarity=options.rarity or rarity,
        trainer=recipe(epochs),
        seed=options.seed,
    )
    segments = [[tag[0] for tag in row] for row in train[1]]
    tagger, seconds, cpu = network(name, tagger, options, *train, second=segments)
    if options.kept:
        epochs = round(tagger.history_["epoch"].iloc[-1])
    found = nested(tagger.decode(x), x)
    scores = {"F1": span_f1(y, found), "accuracy": tagger.score(x, y)}
    report(f"BiLSTMTagger, CRF, {epochs} epochs", tagger, seconds, cpu, words * epochs, **scores)
    print(span_f1(y, found, per_type=True).round(3).to_string())
    speed(tagger, x)


def slots(options: argparse.Namespace) -> None:
    data = seqkit.datasets.load("snips_slots")
    x, y = data.train
    train, test = (x, y), tuple(data.test)
    if options.dev:
        order = np.random.default_rng(0).permutation(len(x))
        held, kept = order[:HELD], order[HELD:]
        test, train = (([part[i] for i in chosen] for part in (x, y)) for chosen in (held, kept))
        test, train = tuple(test), tuple(train)
    chunks("SNIPS", train, test, options, epochs=8, rarity=0.25)


def wnut(options: argparse.Namespace) -> None:
    data = seqkit.datasets.load("wnut17")
    test = data.dev if options.dev else data.test
    chunks("WNUT17", tuple(data.train), tuple(test), options, epochs=25, rarity=1.0)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("parts", nargs="*", default=["crf", "ud", "slots", "wnut"])
    parser.add_argument("--dev", action="store_true", help="judge on the development part")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--hidden", type=int)
    parser.add_argument("--dropout", type=float)
    parser.add_argument("--rarity", type=float)
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    parser.add_argument("--kept", type=Path, metavar="FOLDER")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(machine())
    for part in options.parts:
        print(f"\n{part}{' (dev)' if options.dev else ''}")
        crf() if part == "crf" else {"ud": ud, "slots": slots, "wnut": wnut}[part](options)


if __name__ == "__main__":
    main()
