"""Training throughput: the loop of seqkit.training against a tight loop by hand, in one run, interleaved.

    python benchmarks/training.py [steps]

Both train the same two-layer network from the same weights on batches of the same size, gathered by index from one
tensor: forward, backward, clipping by norm, a fused AdamW step. The ratio of steps per second is to be at least 0.9.
"""

from __future__ import annotations

import sys

import harness
import torch
from torch import nn

from seqkit import training

torch.set_num_threads(1)
EXAMPLES, INPUTS, OUTPUTS, BATCH = 20_000, 96, 48, 64


class Regression(nn.Module):
    """A network of two layers of 64, with the mean square as its loss."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(INPUTS, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, OUTPUTS)
        )

    def loss(self, batch):
        square = (self.net(batch.inputs) - batch.targets).square()
        return square.sum(), square.numel()


def examples() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(EXAMPLES, INPUTS, generator=generator)
    return inputs, torch.tanh(inputs @ torch.randn(INPUTS, OUTPUTS, generator=generator))


def network() -> Regression:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return Regression()


def by_hand(x: torch.Tensor, y: torch.Tensor, steps: int, clip: float | None) -> nn.Module:
    """What one writes for one problem, without schedule, history, validation and checks."""
    task = network()
    optimizer = torch.optim.AdamW(task.parameters(), lr=1e-3, fused=True)
    generator = torch.Generator().manual_seed(0)
    step = 0
    while step < steps:
        for index in torch.randperm(len(x), generator=generator).split(BATCH):
            square = (task.net(x[index]) - y[index]).square()
            loss = square.mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            if clip is not None:
                nn.utils.clip_grad_norm_(task.parameters(), clip)
            optimizer.step()
            step += 1
            if step == steps:
                break
    return task


def by_seqkit(x: torch.Tensor, y: torch.Tensor, steps: int, clip: float | None) -> nn.Module:
    task = network()
    training.fit(
        task,
        (x, y),
        lr=1e-3,
        clip=clip,
        steps=steps,
        batch_size=BATCH,
        schedule="cosine",
        device="cpu",
    )
    return task


def main(steps: int) -> None:
    x, y = examples()
    print(harness.machine())
    for name, clip in (("clipped at 1", 1.0), ("not clipped", None)):
        row = harness.race(
            f"2 x 64, batch {BATCH}, {steps} steps, {name}",
            lambda clip=clip: by_seqkit(x, y, steps, clip),
            "by hand",
            lambda clip=clip: by_hand(x, y, steps, clip),
            repeats=9,
            goal=0.9,
        )
        print(f"    {steps / row.seqkit:,.0f} steps a second, by hand {steps / row.peer:,.0f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
