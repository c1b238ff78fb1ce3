"""Training of a time-delay network: windows per second beside a bare loop and other libraries, and its memory.

pip install seqkit[torch] darts neuralforecast
SEQKIT_DATA=... python benchmarks/neural.py throughput memory
SEQKIT_DATA=... python benchmarks/neural.py throughput --threads 2

All train two hidden layers of 64 on the windows of M4 hourly: 96 lags, 48 steps ahead, batches of 64, AdamW or Adam in
single precision, absolute error. Every program's set-up is left out of its time: of two runs, one long and one short,
the difference is divided by the difference of their steps. The bare loop gathers the same windows from one tensor by
index, brings them to the level and scale of the window, and does nothing else.
"""

from __future__ import annotations

import argparse
import logging
import resource
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

import seqkit
from seqkit import training

LAGS, HORIZON, BATCH, WIDTH = 96, 48, 64, 64
SHORT, LONG, REPEATS = 100, 900, 5
Panel = dict[str, pd.Series]
Run = Callable[[int], object]  # trains for so many steps


def ours(panel: Panel) -> Run:
    def run(steps: int) -> object:
        options = {"batch_size": BATCH, "lr": 1e-3, "clip": 1.0, "evaluate_every": steps}
        trainer = training.Trainer(steps=steps, device="cpu", progress=False, **options)
        network = {"hidden": (WIDTH, WIDTH), "residual": False, "seasonal": 1, "trainer": trainer}
        return seqkit.TDNN(LAGS, HORIZON, seqkit.nn.Absolute(), **network).fit(panel)

    return run


def bare(panel: Panel) -> Run:
    """What one would write by hand for this one network."""
    values = torch.from_numpy(np.concatenate([y.to_numpy(np.float32) for y in panel.values()]))
    lengths = np.array([len(y) for y in panel.values()])
    begins = np.cumsum(lengths) - lengths
    starts = [
        np.arange(b, b + n - LAGS - HORIZON + 1) for b, n in zip(begins, lengths, strict=True)
    ]
    index = torch.from_numpy(np.concatenate(starts))
    windows = values.unfold(0, LAGS + HORIZON, 1)

    def run(steps: int) -> object:
        torch.manual_seed(0)
        net = nn.Sequential(
            nn.Linear(LAGS, WIDTH),
            nn.ReLU(),
            nn.Linear(WIDTH, WIDTH),
            nn.ReLU(),
            nn.Linear(WIDTH, HORIZON),
        )
        rule = torch.optim.AdamW(net.parameters(), lr=1e-3, fused=True)
        order = torch.randperm(len(index))
        for step in range(steps):
            chosen = index[order[step * BATCH : (step + 1) * BATCH]]
            rows = nn.functional.embedding(chosen, windows)
            past, target = rows[:, :LAGS], rows[:, LAGS:]
            level = past[:, -1:]
            scale = (past - past.mean(1, keepdim=True)).abs().mean(1, keepdim=True).clamp(min=1e-3)
            loss = (net((past - level) / scale) - (target - level) / scale).abs().mean()
            rule.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            rule.step()
        return net

    return run


def neuralforecast(panel: Panel) -> Run:
    from neuralforecast import NeuralForecast
    from neuralforecast.losses.pytorch import MAE
    from neuralforecast.models import MLP

    frame = pd.concat(
        [
            pd.DataFrame({"unique_id": k, "ds": np.arange(len(y)), "y": y.to_numpy()})
            for k, y in panel.items()
        ]
    )

    def run(steps: int) -> object:
        quiet: dict[str, Any] = {
            "enable_progress_bar": False, "logger": False, "enable_checkpointing": False, "enable_model_summary": False,
            "accelerator": "cpu",
        }  # fmt: skip
        model = MLP(
            h=HORIZON, input_size=LAGS, num_layers=2, hidden_size=WIDTH, loss=MAE(), max_steps=steps,
            learning_rate=1e-3, batch_size=32, windows_batch_size=BATCH, gradient_clip_val=1.0, scaler_type="robust",
            **quiet,
        )  # fmt: skip
        return NeuralForecast(models=[model], freq=1).fit(frame)

    return run


def darts(panel: Panel) -> Run:
    """darts has no plain feed-forward network; its dense TiDE, made as small, is the nearest."""
    from darts import TimeSeries
    from darts.models import TiDEModel

    series = [TimeSeries.from_values(y.to_numpy(np.float32)) for y in panel.values()]

    def run(steps: int) -> object:
        quiet = {"accelerator": "cpu", "enable_progress_bar": False, "logger": False, "enable_model_summary": False,
                 "gradient_clip_val": 1.0, "max_steps": steps, "enable_checkpointing": False}  # fmt: skip
        model = TiDEModel(
            LAGS, HORIZON, num_encoder_layers=1, num_decoder_layers=1, decoder_output_dim=1, hidden_size=WIDTH,
            temporal_decoder_hidden=8, dropout=0.0, use_reversible_instance_norm=True, loss_fn=nn.L1Loss(),
            batch_size=BATCH, n_epochs=1, pl_trainer_kwargs=quiet,
        )  # fmt: skip
        return model.fit(series)

    return run


def throughput(threads: int) -> None:
    """Windows per second, medians of interleaved repeats."""
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    torch.set_num_threads(threads)
    panel, _ = seqkit.datasets.split("m4_hourly")
    runs: dict[str, Run] = {"seqkit": ours(panel), "bare loop": bare(panel)}
    for make in (neuralforecast, darts):
        try:
            runs[make.__name__] = make(panel)
        except ImportError as error:
            print(f"{make.__name__} is not installed ({error.name})")
    speeds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(REPEATS):
        for name, run in runs.items():
            seconds = [elapsed(lambda run=run, steps=steps: run(steps)) for steps in (SHORT, LONG)]
            speeds[name].append((LONG - SHORT) * BATCH / (seconds[1] - seconds[0]))
    mine = statistics.median(speeds["seqkit"])
    print(f"training, {threads} thread(s), windows per second")
    for name, found in speeds.items():
        speed = statistics.median(found)
        print(f"  {name:<16}{speed:10,.0f}   seqkit / it = {mine / speed:.2f}", flush=True)


def elapsed(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def memory(threads: int) -> None:
    """Peak memory of training on a hundred million windows, over the series itself."""
    torch.set_num_threads(threads)
    column = seqkit.datasets.load("etth1")["OT"].to_numpy()
    y = np.resize(column, 100_000_000 + LAGS + HORIZON)
    raw = y.nbytes / 2**20
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    trainer = training.Trainer(
        steps=200, batch_size=BATCH, lr=1e-3, evaluate_every=100, progress=False
    )
    start = time.perf_counter()
    seqkit.TDNN(LAGS, HORIZON, hidden=(WIDTH, WIDTH), trainer=trainer, device="cpu").fit(y)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    windows = len(y) - LAGS - HORIZON + 1
    print(
        f"{windows:,} windows: the series is {raw:,.0f} MiB; training adds {peak - before:,.0f} MiB at its peak, where "
        f"the windows themselves would take {windows * (LAGS + HORIZON) * 4 / 2**20:,.0f} MiB "
        f"({time.perf_counter() - start:.1f} s for 200 steps)"
    )


PARTS = {"throughput": throughput, "memory": memory}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", default=list(PARTS), help=f"some of {', '.join(PARTS)}")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    for part in arguments.parts:
        PARTS[part](arguments.threads)
