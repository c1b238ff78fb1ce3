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
import time
import warnings

import numpy as np
import torch
from network_races import (
    QUIET,
    Panel,
    Run,
    available,
    bare_loop,
    nixtla_frame,
    race_training,
)
from torch import nn

import seqkit
from seqkit import training

LAGS, HORIZON, BATCH, WIDTH = 96, 48, 64, 64
SHORT, LONG, REPEATS = 100, 900, 5


def ours(panel: Panel) -> Run:
    def run(steps: int) -> object:
        options = {"batch_size": BATCH, "lr": 1e-3, "clip": 1.0, "evaluate_every": steps}
        trainer = training.Trainer(steps=steps, device="cpu", progress=False, **options)
        network = {"hidden": (WIDTH, WIDTH), "residual": False, "seasonal": 1, "trainer": trainer}
        return seqkit.TDNN(LAGS, HORIZON, seqkit.nn.Absolute(), **network).fit(panel)

    return run


def bare_net() -> nn.Module:
    return nn.Sequential(
        nn.Linear(LAGS, WIDTH),
        nn.ReLU(),
        nn.Linear(WIDTH, WIDTH),
        nn.ReLU(),
        nn.Linear(WIDTH, HORIZON),
    )


def bare(panel: Panel) -> Run:
    return bare_loop(panel, bare_net, LAGS, HORIZON, BATCH)


def neuralforecast(panel: Panel) -> Run:
    from neuralforecast import NeuralForecast
    from neuralforecast.losses.pytorch import MAE
    from neuralforecast.models import MLP

    frame = nixtla_frame(panel)

    def run(steps: int) -> object:
        model = MLP(
            h=HORIZON, input_size=LAGS, num_layers=2, hidden_size=WIDTH, loss=MAE(), max_steps=steps,
            learning_rate=1e-3, batch_size=32, windows_batch_size=BATCH, scaler_type="robust", **QUIET,
        )  # fmt: skip
        return NeuralForecast(models=[model], freq=1).fit(frame)

    return run


def darts(panel: Panel) -> Run:
    """darts has no plain feed-forward network; its dense TiDE, made as small, is the nearest."""
    from darts import TimeSeries
    from darts.models import TiDEModel

    series = [TimeSeries.from_values(y.to_numpy(np.float32)) for y in panel.values()]

    def run(steps: int) -> object:
        model = TiDEModel(
            LAGS, HORIZON, num_encoder_layers=1, num_decoder_layers=1, decoder_output_dim=1, hidden_size=WIDTH,
            temporal_decoder_hidden=8, dropout=0.0, use_reversible_instance_norm=True, loss_fn=nn.L1Loss(),
            batch_size=BATCH, n_epochs=1, pl_trainer_kwargs={**QUIET, "max_steps": steps},
        )  # fmt: skip
        return model.fit(series)

    return run


def throughput(threads: int) -> None:
    """Windows per second, medians of interleaved repeats."""
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    torch.set_num_threads(threads)
    panel, _ = seqkit.datasets.split("m4_hourly")
    makers = {"seqkit": ours, "bare loop": bare, "neuralforecast": neuralforecast, "darts": darts}
    race_training(available(makers, panel), SHORT, LONG, BATCH, REPEATS, threads)


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
