"""How far back recurrent networks learn to remember: the adding problem, copying from memory, and what memory costs.

    python benchmarks/recurrent_memory.py                     # all of it
    python benchmarks/recurrent_memory.py adding [length]     # 400 steps
    python benchmarks/recurrent_memory.py copying [length]    # 100 steps
    python benchmarks/recurrent_memory.py truncated           # peak memory against the length of a series

Adding (Hochreiter, Schmidhuber 1997): every step shows a number from 0 to 1, two of them are marked, one in either half;
the target is their sum. Who always says 1 has a mean squared error of 1/6. Copying: ten symbols of eight are shown, then
nothing for as many steps as told, then a mark, after which they are to be repeated; who guesses is wrong by log 8 a symbol.
All examples are new, so the training loss is that on unseen data. Gates that hold at first what they will have to hold
(Tallec, Ollivier 2018) are the setting that matters: the biases of forget and update gates start at log(lag).
"""

from __future__ import annotations

import math
import resource
import subprocess
import sys
import time
from types import SimpleNamespace

import harness
import numpy as np
import torch

from seqkit import nn, training
from seqkit.tasks import Chunks, OneToOne, Stateful

torch.set_num_threads(1)
SYMBOLS, KINDS = 10, 8  # of copying
MANY = 2**30  # examples, each drawn when it is asked for


class Drawn:
    """Endless examples: those of a batch are drawn by a generator seeded with the first one's number."""

    def __init__(self, length: int):
        self.length = length

    def __len__(self) -> int:
        return MANY

    def to(self, device):
        return self

    def batch(self, index):
        generator = torch.Generator().manual_seed(int(index[0]))
        inputs, targets, mask = self.draw(len(index), generator)
        return SimpleNamespace(inputs=inputs, targets=targets, mask=mask)


class Adding(Drawn):
    """Inputs (batch, time, 2): number and mark; the target, the sum of the marked, at the last step alone."""

    inputs = 2

    def draw(self, count, generator):
        x = torch.rand(count, self.length, 2, generator=generator)
        x[:, :, 1] = 0
        half = self.length // 2
        for start in (0, half):
            at = start + torch.randint(half, (count, 1), generator=generator)
            x[:, :, 1].scatter_(1, at, 1.0)
        targets = torch.full((count, self.length), math.nan)
        targets[:, -1] = x.prod(2).sum(1)
        return x, targets, None


class Copying(Drawn):
    """Inputs (batch, lag + 20, 10), one of eight symbols, nothing, or the mark; targets are asked for after the mark."""

    inputs = KINDS + 2

    def draw(self, count, generator):
        symbols = torch.randint(KINDS, (count, SYMBOLS), generator=generator)
        shown = torch.full((count, self.length + 2 * SYMBOLS), KINDS)
        shown[:, :SYMBOLS] = symbols
        shown[:, -SYMBOLS - 1] = KINDS + 1
        targets = torch.zeros_like(shown)
        targets[:, -SYMBOLS:] = symbols
        mask = torch.zeros(shown.shape)
        mask[:, -SYMBOLS:] = 1
        return torch.nn.functional.one_hot(shown, self.inputs).float(), targets, mask


class Until:
    """Stops when the loss since the last evaluation is below a limit."""

    def __init__(self, limit: float):
        self.limit = limit

    def on_evaluation(self, loop):
        return loop.rows[-1][2] < self.limit


def holding(core, lag: float):
    """The core, its gates set to hold what they have for 1 to `lag` steps, and to take in as little (chrono start)."""
    for cell in core.cells:
        if "forget" not in cell.gates and "update" not in cell.gates:
            continue
        drawn = torch.rand(cell.hidden, generator=torch.Generator().manual_seed(0))
        open_for = torch.log(1 + drawn * (lag - 2))
        with torch.no_grad():
            bias = cell.bias_input.view(len(cell.gates), cell.hidden)
            bias[1] = open_for  # the forget gate of the LSTM, the update gate of the GRU
            if "forget" in cell.gates:
                bias[0] = -open_for
    return core


def solve(name, core, data, head, *, limit, steps, lr, batch=32, clip=1.0, every=50, seed=0):
    """Trains until the loss is below the limit; prints and returns steps, seconds and the loss at the end."""
    task = OneToOne(core, head, generator=torch.Generator().manual_seed(seed))
    history = training.fit(
        task, data, lr=lr, batch_size=batch, clip=clip, steps=steps, evaluate_every=every, callbacks=(Until(limit),),
        device="cpu", seed=seed,
    )  # fmt: skip
    loss, taken, seconds = history.loss[-1], history.step[-1], history.seconds[-1]
    solved = "solved" if loss < limit else "not solved"
    print(f"{name:34s} loss {loss:9.5f} after {taken:6,d} steps, {seconds:6.1f} s  {solved}", flush=True)
    return taken, seconds, loss


def cores(inputs: int, hidden: int, lag: int):
    """The three kinds of cell, from the same seed."""
    kinds = {"LSTM": nn.LSTM(hidden), "GRU": nn.GRU(hidden), "RNN": nn.RNN(hidden)}
    for name, kind in kinds.items():
        yield name, holding(kind.build(inputs, generator=torch.Generator().manual_seed(0)), lag)


def adding(length: int, steps: int, names=("LSTM", "GRU", "RNN"), hidden=64, lr=3e-3, batch=32) -> None:
    print(f"\nadding problem, {length} steps, {hidden} units (always saying 1: 0.167)")
    for name, core in cores(2, hidden, length):
        if name in names:
            solve(name, core, Adding(length), nn.Squared(), limit=0.004, steps=steps, lr=lr, batch=batch)


def copying(length: int, steps: int, names=("LSTM", "GRU", "RNN"), hidden=64, lr=3e-3, batch=32) -> None:
    print(f"\ncopying {SYMBOLS} symbols over {length} steps, {hidden} units (guessing: {math.log(KINDS):.3f})")
    for name, core in cores(Copying.inputs, hidden, length):
        if name in names:
            solve(name, core, Copying(length), nn.Classes(KINDS), limit=0.02, steps=steps, lr=lr, batch=batch)


def main(arguments: list[str]) -> None:
    print(harness.machine())
    what = arguments[0] if arguments else "all"
    if what in ("adding", "all"):
        adding(int(arguments[1]) if len(arguments) > 1 else 400, 4000)
    if what in ("copying", "all"):
        copying(int(arguments[1]) if len(arguments) > 1 else 100, 4000)


if __name__ == "__main__":
    main(sys.argv[1:])
