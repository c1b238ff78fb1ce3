"""What the races of networks share: the bare loop, the peers' own tables and settings, and the clock."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

Panel = dict[str, pd.Series]
Run = Callable[[int], Any]  # trains for so many steps
QUIET: dict[str, Any] = {  # of Lightning, on which the peers train
    "enable_progress_bar": False, "logger": False, "enable_checkpointing": False, "enable_model_summary": False,
    "accelerator": "cpu", "gradient_clip_val": 1.0,
}  # fmt: skip


def bare_loop(
    panel: Panel, make: Callable[[], nn.Module], lookback: int, horizon: int, batch: int
) -> Run:
    """What one would write by hand: windows of one tensor by index, at their own level and scale, and nothing else."""
    values = torch.from_numpy(np.concatenate([y.to_numpy(np.float32) for y in panel.values()]))
    lengths = np.array([len(y) for y in panel.values()])
    begins = np.cumsum(lengths) - lengths
    starts = [
        np.arange(b, b + n - lookback - horizon + 1) for b, n in zip(begins, lengths, strict=True)
    ]
    index = torch.from_numpy(np.concatenate(starts))
    windows = values.unfold(0, lookback + horizon, 1)

    def run(steps: int) -> nn.Module:
        torch.manual_seed(0)
        net = make()
        rule = torch.optim.AdamW(net.parameters(), lr=1e-3, fused=True)
        order = torch.randperm(len(index))
        for step in range(steps):
            chosen = index[order[step * batch : (step + 1) * batch]]
            rows = nn.functional.embedding(chosen, windows)
            past, target = rows[:, :lookback], rows[:, lookback:]
            level = past[:, -1:]
            scale = (past - past.mean(1, keepdim=True)).abs().mean(1, keepdim=True).clamp(min=1e-3)
            loss = (net((past - level) / scale) - (target - level) / scale).abs().mean()
            rule.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            rule.step()
        return net

    return run


def nixtla_frame(panel: Panel) -> pd.DataFrame:
    """The long table that neuralforecast takes."""
    parts = [
        pd.DataFrame({"unique_id": k, "ds": np.arange(len(y)), "y": y.to_numpy()})
        for k, y in panel.items()
    ]
    return pd.concat(parts)


def available(makers: dict[str, Callable[[Panel], Run]], panel: Panel) -> dict[str, Run]:
    """The runs of those that are installed."""
    runs: dict[str, Run] = {}
    for name, make in makers.items():
        try:
            runs[name] = make(panel)
        except ImportError as error:
            print(f"{name}: {error.name} is not installed")
    return runs


def race_training(
    runs: dict[str, Run], short: int, long: int, batch: int, repeats: int, threads: int,
    clock: Callable[[], float] = time.perf_counter,
) -> None:  # fmt: skip
    """Windows per second beside seqkit's, medians of interleaved repeats.

    Set-up is left out: of a long and a short run, the difference is divided by the difference of their steps.
    """
    for run in runs.values():
        run(2)  # what is done once in a process
    speeds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            seconds = [
                elapsed(lambda run=run, steps=steps: run(steps), clock) for steps in (short, long)
            ]
            speeds[name].append((long - short) * batch / (seconds[1] - seconds[0]))
    mine = statistics.median(speeds["seqkit"])
    print(f"training, {threads} thread(s), windows per second{load()}")
    for name, found in speeds.items():
        speed = statistics.median(found)
        spread = f"{min(found):,.0f} to {max(found):,.0f}"
        print(
            f"  {name:<22}{speed:10,.0f}   ({spread:>16})   seqkit / it = {mine / speed:.2f}",
            flush=True,
        )


def elapsed(
    function: Callable[[], object], clock: Callable[[], float] = time.perf_counter
) -> float:
    start = clock()
    function()
    return clock() - start


def load() -> str:
    return f", load {os.getloadavg()[0]:.1f}"
