"""Generators on public data: characters of a text, notes of songs, letters of names.

SEQKIT_DATA=... python benchmarks/generation.py                       # all three, the settings below
SEQKIT_DATA=... python benchmarks/generation.py text --steps 300,1200   # one part, other lengths of training
SEQKIT_DATA=... python benchmarks/generation.py music names --tune    # scored on the validation part only

text    tinyshakespeare, first 90 % learnt, last 10 % scored, read from its first character to its last with one state
        that is never reset: bits per character, against the time of training.
music   JSB chorales and Nottingham on their own splits, 88 keys that are independent given the past: negative log
        likelihood of a frame in nats, all keys summed, as the mean over frames and as the mean over pieces.
names   80 % learnt, 10 % to choose the settings, 10 % scored, drawn by seed; a name that is there twice may be in both.

One thread. Seconds are those of the processor, since other programs may run beside this one. Settings were chosen on
the last tenth of what is learnt (text) and on the validation part (the others).
"""

from __future__ import annotations

import argparse
import math
import time
from typing import Any

import numpy as np
import torch

import seqkit
from seqkit import SequenceGenerator, nn, training

PUBLISHED = {  # nats a frame: Bai, Kolter, Koltun (2018)
    "jsb_chorales": {"LSTM": 8.45, "GRU": 8.43, "TCN": 8.10},
    "nottingham": {"LSTM": 3.29, "GRU": 3.46, "TCN": 3.07},
}
MUSIC: dict[str, dict[str, Any]] = {
    "jsb_chorales": {"hidden": 200, "dropout": 0.4, "fed": 0.2, "lr": 7e-3, "batch_size": 16, "steps": 350},
    "nottingham": {"hidden": 200, "dropout": 0.2, "fed": 0.0, "lr": 5e-3, "batch_size": 4, "steps": 3000},
}  # fmt: skip


def trainer(lr: float, **options: Any) -> training.Trainer:
    plain: dict[str, Any] = {
        "schedule": training.CosineDecay(final=0.02),
        "warmup": 0.05,
        "clip": 1.0,
        "weight_decay": 1e-4,
        "lr": lr,
        "evaluate_every": 200,
    }
    return training.Trainer(**(plain | options))


def text(steps: list[int], tune: bool, hidden: int, lanes: int, chunk: int) -> None:
    whole = seqkit.datasets.load("tinyshakespeare")
    cut = int(0.9 * len(whole))
    learnt, held = whole[:cut], whole[cut:]
    if tune:
        learnt, held = learnt[: int(0.9 * cut)], learnt[int(0.9 * cut) :]
    print(f"\ntinyshakespeare: {len(learnt):,} characters learnt, {len(held):,} scored")
    print("  steps  passes  seconds  characters/s    nats    bits")
    for count in steps:
        model = SequenceGenerator(
            nn.LSTM(hidden, dropout=0.1), chunk=chunk, batch_size=lanes, trainer=trainer(4e-3, steps=count)
        )  # fmt: skip
        start = time.process_time()
        model.fit(learnt)
        seconds = time.process_time() - start
        passes = model.history_["epoch"].iloc[-1]
        score = model.score(held)
        print(
            f"{count:7d}{passes:8.1f}{seconds:9.0f}{passes * len(learnt) / seconds:14,.0f}"
            f"{-score:8.3f}{-score / math.log(2):8.3f}", flush=True,
        )  # fmt: skip
    for temperature in (0.5, 0.8, 1.0):
        print(f"\n  temperature {temperature}")
        (sample,) = model.sample(1, 300, prefix="ROMEO:\n", temperature=temperature)
        print("    " + sample.replace("\n", "\n    "))


def music(name: str, tune: bool, changes: dict[str, Any]) -> None:
    """The weights that were best on the validation part are kept."""
    parts = seqkit.datasets.load(name)
    learnt, watched, held = ([p.astype(float) for p in part] for part in parts)
    options = MUSIC[name] | changes
    steps = int(options["steps"])
    rule = trainer(
        options["lr"],
        steps=steps,
        averaging=training.EMA(0.98),
        evaluate_every=max(50, steps // 12),
        patience=6,
    )
    model = SequenceGenerator(
        nn.LSTM(int(options["hidden"]), dropout=options["dropout"]),
        head=nn.Binary(),
        dropout=options["fed"],
        batch_size=int(options["batch_size"]),
        trainer=rule,
    )
    start = time.process_time()
    model.fit(learnt, validation=watched)
    seconds = time.process_time() - start
    print(f"\n{name}: {len(learnt)} pieces learnt, {options}, {seconds:.0f} s")
    if tune:
        print(model.history_[["step", "loss", "validation"]].to_string(index=False))
        return
    for label, part in (("validation", watched), ("test", held)):
        found, lengths = -model.log_prob(part), np.array([len(p) for p in part])
        frames, pieces = found.sum() / lengths.sum(), (found / lengths).mean()
        print(f"  {label:<11}{frames:7.3f} nats a frame   {pieces:7.3f} as the mean over pieces")
    print("  published  " + ", ".join(f"{k} {v:.2f}" for k, v in PUBLISHED[name].items()))


def names(tune: bool, steps: int) -> None:
    every = np.array(seqkit.datasets.load("names"))
    order = np.random.default_rng(0).permutation(len(every))
    learnt, watched, held = np.split(every[order], [int(0.8 * len(every)), int(0.9 * len(every))])
    model = SequenceGenerator(
        nn.LSTM(192, dropout=0.2), batch_size=64, trainer=trainer(4e-3, steps=steps)
    )
    start = time.process_time()
    model.fit(list(learnt), validation=list(watched) if tune else None)
    seconds = time.process_time() - start
    scored = watched if tune else held
    print(f"\nnames: {len(learnt):,} learnt in {steps} steps, {seconds:.0f} s")
    if tune:
        print(model.history_[["step", "loss", "validation"]].to_string(index=False))
    score = model.score(list(scored))
    print(f"  {-score:.4f} nats a character, the end counted ({len(scored):,} names)")
    known = set(learnt.tolist())
    drawn = model.sample(1000, seed=0, temperature=0.8)
    new = [one for one in drawn if one not in known]
    print(f"  {len(new)} of 1,000 samples are new: {', '.join(new[:12])}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", default=["text", "music", "names"])
    parser.add_argument("--tune", action="store_true", help="score on the validation part")
    parser.add_argument("--steps", help="lengths of training, with commas")
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--lanes", type=int, default=32)
    parser.add_argument("--chunk", type=int, default=64)
    parser.add_argument("--set", action="append", default=[], help="name=number, of music")
    given = parser.parse_args()
    torch.set_num_threads(1)
    steps = [int(one) for one in given.steps.split(",")] if given.steps else None
    changes = {name: float(value) for name, value in (one.split("=") for one in given.set)}
    for part in given.parts:
        if part == "text":
            text(steps or [500, 2000], given.tune, given.hidden, given.lanes, given.chunk)
        elif part == "names":
            names(given.tune, steps[-1] if steps else 800)
        else:
            chosen = list(MUSIC) if part == "music" else [part]
            for name in chosen:
                music(name, given.tune, changes | ({"steps": steps[-1]} if steps else {}))


if __name__ == "__main__":
    main()
