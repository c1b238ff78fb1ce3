"""Letters to sounds: phoneme and word error rates of an encoder-decoder with attention, and of CTC.

SEQKIT_DATA=... python benchmarks/pronunciation.py cmudict                  # errors on the development words
SEQKIT_DATA=... python benchmarks/pronunciation.py cmudict --test           # and, once it is chosen, on the test words
SEQKIT_DATA=... python benchmarks/pronunciation.py sigmorphon --model ctc

cmudict: the CMU pronouncing dictionary, words of letters and apostrophes alone, 39 phones without stress. No split
ships with it; words are ordered by the SHA-256 of their letters, the first 12,000 are test words, the next 2,600
development words. All pronunciations of a word are learnt from; an answer is right if it is any of them,
and its errors are counted against the nearest (Yao & Zweig 2015: WER 28.61 for an encoder-decoder, 23.55 with
alignments, on as many words of another split).

sigmorphon: task 1 of SIGMORPHON 2021, English, with its own split (Ashby et al. 2021: baseline WER 41.94 on test).

Seconds are those of one run as it was, with the load of the machine beside them; passes are fixed, so that the result
does not depend on the load.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import seqkit
from seqkit import nn, training
from seqkit.evaluation.labels import edit_distance

TEST, DEVELOPMENT = 12_000, 2_600  # words of CMUdict
Words = dict[str, list[list[str]]]  # the pronunciations of each


def cmudict() -> dict[str, Words]:
    table = seqkit.datasets.load("cmudict")
    words: Words = {}
    for word, phones in zip(table["word"], table["phones"], strict=True):
        if re.fullmatch(r"[a-z']+", word):
            said = [phone.rstrip("012") for phone in phones.split()]
            known = words.setdefault(word, [])
            if said not in known:
                known.append(said)
    order = sorted(words, key=lambda word: hashlib.sha256(word.encode()).hexdigest())
    cut = {
        "test": order[:TEST],
        "dev": order[TEST : TEST + DEVELOPMENT],
        "train": order[TEST + DEVELOPMENT :],
    }
    return {part: {word: words[word] for word in chosen} for part, chosen in cut.items()}


def sigmorphon() -> dict[str, Words]:
    split = seqkit.datasets.split("g2p_eng_us")
    parts: dict[str, Words] = {}
    for name, pairs in split._asdict().items():
        words: Words = parts.setdefault(name, {})
        for letters, sounds in zip(pairs.inputs, pairs.outputs, strict=True):
            words.setdefault("".join(letters), []).append(sounds)
    return parts


def pairs(words: Words) -> list[tuple[str, list[str]]]:
    return [(word, said) for word, known in words.items() for said in known]


def errors(words: Words, said: list[list[str]]) -> tuple[float, float]:
    """PER and WER in per cent, each answer against the nearest pronunciation."""
    owner = np.repeat(np.arange(len(words)), [len(known) for known in words.values()])
    references = [one for known in words.values() for one in known]
    far = edit_distance(references, [said[i] for i in owner])
    lengths = np.array([len(one) for one in references])
    order = np.lexsort((lengths, far, owner))
    nearest = order[np.unique(owner[order], return_index=True)[1]]
    return (
        100 * far[nearest].sum() / lengths[nearest].sum(),
        100 * float((far[nearest] > 0).mean()),
    )


# What was tried on the development words: passes, widths, dropout
SETTINGS: dict[str, dict[str, Any]] = {
    "cmudict": {"passes": 6, "encoder": 192, "decoder": 320, "layers": 2, "dropout": 0.15, "lr": 3e-3},
    "sigmorphon": {"passes": 12, "encoder": 128, "decoder": 256, "layers": 1, "dropout": 0.3, "lr": 3e-3},
}  # fmt: skip


def trainer(arguments: argparse.Namespace, examples: int) -> training.Trainer:
    return training.Trainer(
        lr=arguments.lr, schedule="cosine", warmup=0.05, clip=5.0, batch_size=64,
        steps=int(arguments.passes * examples / 64), device=arguments.device, checkpoint=arguments.checkpoint,
    )  # fmt: skip


def reader(arguments: argparse.Namespace) -> nn.Core:
    """Layers that read both ways and meet at every level."""
    layers = (nn.Bidirectional(nn.LSTM(arguments.encoder)),) * arguments.layers
    return nn.Stack(layers, dropout=arguments.dropout) if len(layers) > 1 else layers[0]


def seq2seq(arguments: argparse.Namespace, examples: int) -> seqkit.Seq2Seq:
    return seqkit.Seq2Seq(
        reader(arguments),
        nn.LSTM(arguments.decoder),
        arguments.attention,
        dropout=arguments.dropout,
        smoothing=arguments.smoothing,
        feeding=arguments.feeding,
        members=arguments.members,
        seed=arguments.seed,
        trainer=trainer(arguments, examples),
    )


def ctc(arguments: argparse.Namespace, examples: int) -> seqkit.CTC:
    """Two frames for every letter; the few words that have more sounds than that are not learnt from."""
    return seqkit.CTC(
        reader(arguments),
        2,
        too_long="drop",
        dropout=arguments.dropout,
        seed=arguments.seed,
        trainer=trainer(arguments, examples),
    )


MODELS = {"seq2seq": seq2seq, "ctc": ctc}


def evaluate(model: Any, words: Words, name: str, beam: int) -> None:
    start = time.perf_counter()
    said = model.decode(list(words), beam=beam)
    seconds = time.perf_counter() - start
    per, wer = errors(words, said)
    print(
        f"{name}, beam {beam}: PER {per:.2f}, WER {wer:.2f} on {len(words):,} words, "
        f"{len(words) / seconds:,.0f} words a second",
        flush=True,
    )


def main(arguments: argparse.Namespace) -> None:
    parts = {"cmudict": cmudict, "sigmorphon": sigmorphon}[arguments.data]()
    print({name: len(words) for name, words in parts.items()}, vars(arguments), flush=True)
    kept = Path(arguments.keep) if arguments.keep else None
    if kept is not None and kept.exists():
        model = seqkit.load(kept)
    else:
        train = pairs(parts["train"])
        known = {phone for _, said in train for phone in said}
        dev = [
            pair for pair in pairs(parts["dev"]) if known.issuperset(pair[1])
        ]  # the watched loss only
        start, used = time.perf_counter(), time.process_time()
        model = MODELS[arguments.model](arguments, len(train))
        model.fit(*zip(*train, strict=True), validation=tuple(zip(*dev, strict=True)))
        print(model.history_.to_string())
        print(
            f"trained in {time.perf_counter() - start:.0f} s, {time.process_time() - used:.0f} s of a core, "
            f"{model.tokens_per_second_:,.0f} tokens a second, load {os.getloadavg()[0]:.1f}"
        )
        if kept is not None:
            model.save(kept)
    evaluate(model, parts["dev"], "dev", 1)
    evaluate(model, parts["dev"], "dev", arguments.beam)
    if arguments.test:
        evaluate(model, parts["test"], "test", arguments.beam)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", choices=list(SETTINGS))
    parser.add_argument("--model", choices=list(MODELS), default="seq2seq")
    parser.add_argument("--test", action="store_true")
    for name, kind in {
        "passes": float, "encoder": int, "decoder": int, "layers": int, "dropout": float, "lr": float
    }.items():  # fmt: skip
        parser.add_argument(f"--{name}", type=kind)
    parser.add_argument("--attention", default="dot")
    parser.add_argument("--smoothing", type=float, default=0.0)
    parser.add_argument("--feeding", action="store_true")
    parser.add_argument("--members", type=int, default=1)
    parser.add_argument("--beam", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--checkpoint", help="a folder; a run that was cut short goes on from it")
    parser.add_argument("--keep", help="a file for the trained model; read where it is there")
    given = parser.parse_args()
    for name, value in SETTINGS[given.data].items():
        if getattr(given, name) is None:
            setattr(given, name, value)
    torch.set_num_threads(given.threads)
    main(given)
