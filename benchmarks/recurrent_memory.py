"""How far back recurrent networks learn to remember: the adding problem, copying from memory, and what memory costs.

    python benchmarks/recurrent_memory.py    # all of it
    python benchmarks/recurrent_memory.py adding [lstm,gru,rnn [length]]     # 400 steps
    python benchmarks/recurrent_memory.py copying [lstm,gru,rnn [length]]    # 100 steps
    python benchmarks/recurrent_memory.py truncated    # peak memory against the length of a series

Adding (Hochreiter, Schmidhuber 1997): every step shows a number from 0 to 1, two of them are marked, one in either
half; the target is their sum. Who always says 1 has a mean squared error of 1/6. Copying: ten symbols of eight are
shown, then nothing for as many steps as told, then a mark, after which they are to be repeated; who guesses is wrong
by log 8 a symbol. All examples are new, so the training loss is that on unseen data. The setting that matters is that
gates hold at first what they will have to hold (Tallec, Ollivier 2018): the biases of forget and update gates start
at the log of lags up to the longest one.
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
CELLS = "lstm,gru,rnn"
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
    """Inputs (batch, lag + 20, 10): one of eight symbols, nothing, or the mark; targets count after the mark."""

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


def holding(core, lag: float, intake: float | None = None):
    """The core, its gates set to hold what they have for 1 to `lag` steps.

    The input gates of an LSTM take in as little as is lost; or start at the bias `intake`, where what is to be held
    comes in at once and nothing after it.
    """
    for cell in core.cells:
        if "forget" not in cell.gates and "update" not in cell.gates:
            continue
        drawn = torch.rand(cell.hidden, generator=torch.Generator().manual_seed(0))
        open_for = torch.log(1 + drawn * (lag - 2))
        with torch.no_grad():
            bias = cell.bias_input.view(len(cell.gates), cell.hidden)
            bias[1] = open_for  # the forget gate of the LSTM, the update gate of the GRU
            if "forget" in cell.gates:
                bias[0] = -open_for if intake is None else intake
    return core


def solve(
    name, core, data, head, *, limit, steps, lr, schedule=None, batch=32, clip=1.0, every=50, seed=0
):
    """Trains until the loss is below the limit; prints and returns steps, seconds and the loss at the end."""
    task = OneToOne(core, head, generator=torch.Generator().manual_seed(seed))
    history = training.fit(
        task,
        data,
        lr=lr,
        schedule=schedule,
        batch_size=batch,
        clip=clip,
        steps=steps,
        evaluate_every=every,
        callbacks=(Until(limit),),
        device="cpu",
        seed=seed,
        progress=False,
    )
    loss, taken, seconds = history.loss[-1], history.step[-1], history.seconds[-1]
    solved = "solved" if loss < limit else "not solved"
    print(
        f"{name:34s} loss {loss:9.5f} after {taken:6,d} steps, {seconds:6.1f} s  {solved}",
        flush=True,
    )
    return taken, seconds, loss


def cores(names: str, inputs: int, hidden: int, lag: int, intake: float | None = None):
    """The kinds of cell that are asked for, from the same seed."""
    kinds = {"lstm": nn.LSTM(hidden), "gru": nn.GRU(hidden), "rnn": nn.RNN(hidden)}
    for name in names.split(","):
        core = kinds[name].build(inputs, generator=torch.Generator().manual_seed(0))
        yield f"{kinds[name]!r}", holding(core, lag, intake)


def adding(names: str, length: int, steps: int = 800) -> None:
    print(f"\nadding problem, {length} steps (always saying 1: 0.167)")
    for name, core in cores(names, 2, 32, length):
        solve(name, core, Adding(length), nn.Squared(), limit=0.004, steps=steps, lr=1e-2)


def copying(names: str, length: int, steps: int = 12_000) -> None:
    print(f"\ncopying {SYMBOLS} symbols over {length} steps (guessing: {math.log(KINDS):.3f})")
    head = nn.Classes(KINDS)
    for name, core in cores(names, Copying.inputs, 64, 3 * length // 2, intake=-1.0):
        # at a constant rate the last tenths are lost again and again
        solve(
            name, core, Copying(length), head, limit=0.03, steps=steps, lr=1e-2, schedule="cosine"
        )


def peak(length: int, chunk: int) -> None:
    """In a process of its own: one pass over a series of this length; prints what memory it took beyond the series."""
    y = np.sin(np.arange(length + 1) / 7) + np.sin(np.arange(length + 1) / 90)
    pieces = Chunks(y[:-1, None].astype(np.float32), y[1:].astype(np.float32), chunk=chunk)
    task = Stateful(nn.LSTM(64).build(1), nn.Squared())
    order = training.InOrder(len(pieces))
    options = {
        "batch_size": 1,
        "sampler": order,
        "lr": 3e-3,
        "clip": 1.0,
        "device": "cpu",
        "progress": False,
    }
    training.fit(task, pieces, steps=1, **options)  # what torch loads on its first step is there
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    history = training.fit(task, pieces, epochs=1, **options)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = time.perf_counter() - start
    print(
        f"{length:8,d} steps in pieces of {chunk:6,d}: {(after - before) / 1024:7.1f} MB more than after the first "
        f"piece, peak of the process {after / 1024:6.0f} MB, {seconds:6.1f} s a pass, loss {history.loss[-1]:.4f}",
        flush=True,
    )


def truncated() -> None:
    print("\ntruncated back-propagation through one series, LSTM of 64 units")
    for length, chunk in ((2_000, 100), (20_000, 100), (200_000, 100), (200_000, 200_000)):
        subprocess.run([sys.executable, __file__, "peak", str(length), str(chunk)], check=True)


def main(arguments: list[str]) -> None:
    if arguments[:1] == ["peak"]:
        return peak(int(arguments[1]), int(arguments[2]))
    print(harness.machine())
    what, names, length = (arguments + [""] * 3)[:3]
    if what in ("adding", ""):
        adding(names or CELLS, int(length or 400))
    if what in ("copying", ""):
        copying(names or CELLS, int(length or 100))
    if what in ("truncated", ""):
        truncated()


if __name__ == "__main__":
    main(sys.argv[1:])
