"""Connectionist temporal classification: loss and gradient beside torch's own, and the search of transcripts.

python benchmarks/ctc.py

Both losses begin with scores before the softmax and end with their gradient, in turn, on one thread. "random" scores
know nothing, as those of a network before training do; "trained" ones are sure of every frame. Word and phoneme errors
are in benchmarks/pronunciation.py (--model ctc).
"""

from harness import machine, race  # before NumPy: it sets the number of threads

# isort: split
import time
from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional as F

from seqkit.kernels.ctc_beam import prefix_beam
from seqkit.nn.ctc import ctc_loss

BATCH, LABELS = 32, 40


def problem(frames: int, dtype: torch.dtype, *, trained: bool) -> tuple[torch.Tensor, ...]:
    """Scores, lengths, transcripts of a quarter of the frames, and their lengths."""
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(BATCH, frames, LABELS + 1))
    lengths = rng.integers(frames * 3 // 4, frames + 1, size=BATCH)
    counts = lengths // 4
    labels = rng.integers(1, LABELS + 1, size=(BATCH, counts.max()))
    if trained:  # each label where it belongs, for two frames of four
        for n, count in enumerate(counts):
            scores[n, :, 0] += 8
            for place in (1, 2):
                at = 4 * np.arange(count) + place
                scores[n, at, 0] -= 8
                scores[n, at, labels[n, :count]] += 8
    parts = (scores, lengths, labels, counts)
    made = [torch.from_numpy(np.asarray(part)) for part in parts]
    return made[0].to(dtype), *made[1:]


def ours(scores: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
    return ctc_loss(scores, *rest)


def theirs(scores: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
    lengths, labels, counts = rest
    log_y = scores.log_softmax(-1).transpose(0, 1)
    return F.ctc_loss(log_y, labels, lengths, counts, reduction="none")


def step(loss: Callable[..., torch.Tensor], parts: tuple[torch.Tensor, ...]) -> Callable[[], None]:
    """Loss and gradient as one call."""
    scores = parts[0].clone().requires_grad_()

    def call() -> None:
        scores.grad = None
        loss(scores, *parts[1:]).sum().backward()

    return call


def speed() -> None:
    print(
        f"batch {BATCH}, {LABELS} labels, transcripts of a quarter of the frames: loss and gradient"
    )
    for trained in (False, True):
        for dtype in (torch.float32, torch.float64):
            for frames in (100, 400):
                parts = problem(frames, dtype, trained=trained)
                what = f"{'trained' if trained else 'random'}, {str(dtype)[6:]}, {frames} frames"
                race(what, step(ours, parts), "torch", step(theirs, parts), repeats=15)
                gap = (ours(*parts) - theirs(*parts).double()).abs().max().item()
                print(f"    largest difference of the losses {gap:.1e}")


def search() -> None:
    """Seconds of decoding frames of a trained network, by the best path and by beams."""
    parts = problem(400, torch.float64, trained=True)
    log_y = parts[0].log_softmax(-1).numpy()
    for width in (1, 8, 32, 100):
        prefix_beam(log_y[0, :10], width)
        start = time.perf_counter()
        for one, length in zip(log_y, parts[1].tolist(), strict=True):
            prefix_beam(one[:length], width)
        seconds = time.perf_counter() - start
        print(f"prefix beam {width:3}: {int(parts[1].sum()) / seconds:12,.0f} frames/s")


if __name__ == "__main__":
    print(machine())
    speed()
    search()
