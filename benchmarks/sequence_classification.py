"""Accuracy of sequence classifiers on the standard splits of seven public sets and of SNIPS, beside published ones.

SEQKIT_DATA=... python benchmarks/sequence_classification.py                       # all sets, five seeds
SEQKIT_DATA=... python benchmarks/sequence_classification.py gunpoint --seeds 2
SEQKIT_DATA=... python benchmarks/sequence_classification.py snips --seeds 1

Two settings of convolutions in time (TDNN) with batch normalisation, averaged over time: for sets of at most 30 steps
in both directions, with noise on the inputs; for longer ones dilated further, in one direction. On sets of at most 60
steps an LSTM in both directions is measured beside it. Settings were compared by cross-validation within the training
parts (of the vowels by parts that follow each other in the recording). "together" is the accuracy of the averaged
probabilities of all seeds. Published numbers are those of the sets' cards. For SNIPS, whose test part is its validation
part, an LSTM in both directions reads words; its setting was fixed beforehand.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import torch

import seqkit
from seqkit import datasets, nn

SETS = [
    "japanese_vowels", "basic_motions", "epilepsy", "italy_power_demand", "synthetic_control", "arrowhead", "gunpoint",
]  # fmt: skip
SHORT, MEDIUM = 30, 60  # steps, up to which both directions are read, and an LSTM is measured too
SNIPS = 97.00  # intent accuracy of a slot-gated BiLSTM with attention (Goo et al. 2018)


def convolutions(seed: int) -> seqkit.SequenceClassifier:
    core = nn.TDNN((32, 32, 32), kernel=7, norm="batch")
    return seqkit.SequenceClassifier(core, "mean", steps=400, lr=3e-3, seed=seed)


def both_ways(seed: int) -> seqkit.SequenceClassifier:
    core = nn.Bidirectional(nn.TDNN((48, 48), kernel=5, norm="batch"))
    return seqkit.SequenceClassifier(core, "mean", noise=0.3, steps=400, lr=3e-3, seed=seed)


def recurrent(seed: int) -> seqkit.SequenceClassifier:
    options = {"noise": 0.3, "dropout": 0.5, "steps": 400, "lr": 3e-3}
    return seqkit.LSTMClassifier(64, pooling="mean", seed=seed, **options)


def words(seed: int) -> seqkit.SequenceClassifier:
    options = {"embedding": 64, "dropout": 0.5, "input_dropout": 0.2, "unknown": 0.05}
    return seqkit.LSTMClassifier(
        64, pooling="max", epochs=4, batch_size=32, lr=3e-3, seed=seed, **options
    )


def measured(make: Any, train: Any, test: Any, seeds: int) -> tuple[list[float], float, float]:
    """Test accuracies by seed, that of their averaged probabilities, and seconds of a fit."""
    scores, seconds, total = [], 0.0, 0.0
    truth = test.labels.to_numpy()
    for seed in range(seeds):
        start = time.perf_counter()
        model = make(seed).fit(train.sequences, train.labels)
        seconds += time.perf_counter() - start
        p = model.predict_proba(test.sequences)
        scores.append(float((model.classes_[p.to_numpy().argmax(1)] == truth).mean()))
        total = total + p.to_numpy()
    together = float((model.classes_[np.argmax(total, 1)] == truth).mean())
    return scores, together, seconds / seeds


def published(name: str) -> str:
    """The best published networks of a set, and the setting of their runs."""
    found = [r for r in datasets.card(name).results if r.metric == "accuracy"]
    best: dict[str, float] = {}
    for one in found:
        best[one.method] = max(one.value, best.get(one.method, 0.0))
    order = sorted(best, key=best.__getitem__, reverse=True)[:3]
    return ", ".join(f"{method} {best[method]:.4f}" for method in order) or "none on the card"


def show(name: str, model: str, found: tuple[list[float], float, float], beside: str) -> None:
    scores, together, seconds = found
    print(
        f"{name:<20}{model:<8}{np.mean(scores):7.4f}  ({min(scores):.4f} to {max(scores):.4f}, {len(scores)} seeds, "
        f"{seconds:.1f} s a fit)  together {together:.4f}   published: {beside}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "sets", nargs="*", help=f"any of {', '.join(SETS)}, snips; all where none is given"
    )
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args()
    unknown = set(given.sets) - {*SETS, "snips"}
    if unknown:
        parser.error(f"{', '.join(sorted(unknown))}: choose from {', '.join(SETS)}, snips")
    torch.set_num_threads(1)
    for name in given.sets or [*SETS, "snips"]:
        if name == "snips":
            train, test = datasets.split("snips_intents")
            show(name, "BiLSTM", measured(words, train, test, given.seeds), f"{SNIPS / 100:.4f}")
            continue
        train, test = datasets.split(f"tsc_{name}")
        longest = max(map(len, train.sequences))
        makers = {"BiTDNN": both_ways} if longest <= SHORT else {"TDNN": convolutions}
        if longest <= MEDIUM:
            makers["BiLSTM"] = recurrent
        for label, make in makers.items():
            found = measured(make, train, test, given.seeds)
            show(name, label, found, published(f"tsc_{name}"))


if __name__ == "__main__":
    main()
