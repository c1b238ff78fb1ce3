"""LSTM forecasters: windows per second in training, and seconds to forecast a panel, beside a bare loop and others.

pip install seqkit[torch] darts neuralforecast gluonts[torch]
SEQKIT_DATA=... python benchmarks/recurrent.py training forecasting
SEQKIT_DATA=... python benchmarks/recurrent.py training --threads 1 --repeats 3
SEQKIT_DATA=... python benchmarks/recurrent.py --threads 1 --processor    # where others work: processor time

All have one LSTM layer of 64 over windows of 96 rows of M4 hourly, one row a step, 48 steps ahead, batches of 64, Adam
or AdamW in single precision. Training: every program's set-up is left out of its time; of two runs, one long and one
short, the difference is divided by the difference of their steps. The bare loop gathers the same windows from one
tensor by index, brings them to the level and scale of the window, and does nothing else. Forecasting: all 414 series,
48 steps, points and 100 sampled paths, by networks of a few training steps, since speed does not depend on the weights.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch
from network_races import (
    QUIET,
    Panel,
    Run,
    available,
    bare_loop,
    elapsed,
    load,
    nixtla_frame,
    race_training,
)
from torch import nn

import seqkit
from seqkit import training

WINDOW, HORIZON, BATCH, HIDDEN, PATHS = 96, 48, 64, 64, 100
SHORT, LONG = 20, 140
Forecasts = dict[str, Callable[[], object]]


def recipe(steps: int) -> training.Trainer:
    options = {"batch_size": BATCH, "lr": 1e-3, "clip": 1.0, "evaluate_every": steps}
    return training.Trainer(steps=steps, device="cpu", progress=False, **options)


def plain(panel: Panel) -> Run:
    """One row a step, no skip and no seasonal baseline: the network that the others have."""

    def run(steps: int) -> Any:
        shape = {"hidden": HIDDEN, "patch": 1, "skip": False, "seasonal": 1}
        head = seqkit.nn.Absolute()
        return seqkit.LSTMForecaster(WINDOW, HORIZON, head, trainer=recipe(steps), **shape).fit(
            panel
        )

    return run


def patched(panel: Panel) -> Run:
    """As it comes: a day is one step, and the last layer sees the window too."""

    def run(steps: int) -> Any:
        shape = {"hidden": HIDDEN, "seasonal": 24}
        head = seqkit.nn.Absolute()
        return seqkit.LSTMForecaster(WINDOW, HORIZON, head, trainer=recipe(steps), **shape).fit(
            panel
        )

    return run


class BareNet(nn.Module):
    """What one would write by hand for this one network."""

    def __init__(self) -> None:
        super().__init__()
        self.core = nn.LSTM(1, HIDDEN, batch_first=True)
        self.readout = nn.Linear(HIDDEN, HORIZON)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return self.readout(self.core(z.unsqueeze(2))[0][:, -1])


def bare(panel: Panel) -> Run:
    return bare_loop(panel, BareNet, WINDOW, HORIZON, BATCH)


def darts_block(panel: Panel) -> Run:
    from darts.models import BlockRNNModel

    series = darts_series(panel)

    def run(steps: int) -> Any:
        model = BlockRNNModel(
            WINDOW, HORIZON, model="LSTM", hidden_dim=HIDDEN, n_rnn_layers=1, loss_fn=nn.L1Loss(), batch_size=BATCH,
            n_epochs=1, use_reversible_instance_norm=True, pl_trainer_kwargs={**QUIET, "max_steps": steps},
        )  # fmt: skip
        return model.fit(series)

    return run


def darts_rnn(panel: Panel) -> Run:
    from darts.models import RNNModel
    from darts.utils.likelihood_models import GaussianLikelihood

    series = darts_series(panel)

    def run(steps: int) -> Any:
        model = RNNModel(
            WINDOW, model="LSTM", hidden_dim=HIDDEN, n_rnn_layers=1, training_length=WINDOW + HORIZON,
            likelihood=GaussianLikelihood(), batch_size=BATCH, n_epochs=1,
            pl_trainer_kwargs={**QUIET, "max_steps": steps},
        )  # fmt: skip
        return model.fit(series)

    return run


def darts_series(panel: Panel) -> list[Any]:
    from darts import TimeSeries

    return [
        TimeSeries.from_values((y / y.mean()).to_numpy(np.float32))  # it does not scale by itself
        for y in panel.values()
    ]


def neuralforecast(panel: Panel) -> Run:
    from neuralforecast import NeuralForecast
    from neuralforecast.losses.pytorch import MAE
    from neuralforecast.models import LSTM

    frame = nixtla_frame(panel)

    def run(steps: int) -> Any:
        model = LSTM(
            h=HORIZON, input_size=WINDOW, encoder_n_layers=1, encoder_hidden_size=HIDDEN, decoder_layers=1,
            decoder_hidden_size=HIDDEN, recurrent=False, loss=MAE(), max_steps=steps, learning_rate=1e-3, batch_size=32,
            windows_batch_size=BATCH, scaler_type="robust", **QUIET,
        )  # fmt: skip
        fitted = NeuralForecast(models=[model], freq=1)
        fitted.fit(frame)
        return fitted

    return run


def deepar(panel: Panel, bare: bool = False) -> Run:
    """With the lags and the features of the date that it takes by itself, or `bare`: the last value, as the others."""
    from gluonts.torch.model.deepar import DeepAREstimator

    data = gluonts_data(panel)
    folder = tempfile.mkdtemp()  # it keeps a checkpoint, once a run
    quiet = {**QUIET, "enable_checkpointing": True, "default_root_dir": folder}

    def run(steps: int) -> Any:
        estimator = DeepAREstimator(
            freq="h", prediction_length=HORIZON, context_length=WINDOW, num_layers=1, hidden_size=HIDDEN,
            dropout_rate=0.0, lags_seq=[1] if bare else None, time_features=[] if bare else None,
            batch_size=BATCH, num_batches_per_epoch=steps,
            num_parallel_samples=PATHS, trainer_kwargs={**quiet, "max_epochs": 1},
        )  # fmt: skip
        return estimator.train(data)

    return run


def bare_deepar(panel: Panel) -> Run:
    return deepar(panel, bare=True)


def gluonts_data(panel: Panel) -> Any:
    from gluonts.dataset.common import ListDataset

    start = pd.Period("2015-01-01 00:00", freq="h")
    rows = [{"start": start, "target": y.to_numpy(np.float32)} for y in panel.values()]
    return ListDataset(rows, freq="h")


# ---------------------------------------------------------------- training


def train(threads: int, repeats: int, panel: Panel) -> None:
    """Windows per second, medians of interleaved repeats."""
    makers = {
        "seqkit": plain, "bare loop": bare, "seqkit, a day a step": patched, "darts BlockRNNModel": darts_block,
        "neuralforecast LSTM": neuralforecast, "GluonTS DeepAR": deepar, "DeepAR, last value": bare_deepar,
        "darts RNNModel": darts_rnn,
    }  # fmt: skip
    race_training(available(makers, panel), SHORT, LONG, BATCH, repeats, threads, clock)


# ---------------------------------------------------------------- forecasting


def forecast(threads: int, repeats: int, panel: Panel) -> None:
    """Seconds for points and for sampled paths of all series, medians of interleaved repeats."""
    runs: Forecasts = {}
    for make in (our_forecasts, darts_forecasts, deepar_forecasts):
        try:
            runs |= make(panel)
        except ImportError as error:
            print(f"{error.name} is not installed")
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
    for _ in range(repeats):
        for name, run in runs.items():
            seconds[name].append(elapsed(run, clock))
    print(f"forecasting {len(panel)} series x {HORIZON} steps, {threads} thread(s){load()}")
    mine = statistics.median(seconds[f"seqkit, {PATHS} paths"])
    for name, found in seconds.items():
        median = statistics.median(found)
        print(f"  {name:<34}{median:8.3f} s   / paths of seqkit = {median / mine:7.2f}", flush=True)


def our_forecasts(panel: Panel) -> Forecasts:
    direct = plain(panel)(5)
    shape = {"mode": "recursive", "hidden": HIDDEN, "seasonal": 1, "draws": PATHS}
    model = seqkit.LSTMForecaster(WINDOW, HORIZON, trainer=recipe(5), **shape).fit(panel)
    return {
        "seqkit, points (direct)": lambda: direct.predict(HORIZON).median,
        f"seqkit, {PATHS} paths": lambda: model.predict(HORIZON).sample(PATHS, seed=1),
    }


def darts_forecasts(panel: Panel) -> Forecasts:
    series, block, model = darts_series(panel), darts_block(panel)(5), darts_rnn(panel)(5)
    options = {"series": series, "batch_size": 512, "show_warnings": False}
    return {
        "darts BlockRNNModel, points": lambda: block.predict(HORIZON, **options),
        "darts RNNModel, one path each": lambda: model.predict(HORIZON, **options),
        f"darts RNNModel, {PATHS} paths": lambda: model.predict(
            HORIZON, num_samples=PATHS, **options
        ),
    }


def deepar_forecasts(panel: Panel) -> Forecasts:
    data = gluonts_data(panel)
    whole, last = deepar(panel)(5), bare_deepar(panel)(5)
    return {
        f"GluonTS DeepAR, {PATHS} paths": lambda: [f.samples for f in whole.predict(data)],
        f"DeepAR, last value, {PATHS} paths": lambda: [f.samples for f in last.predict(data)],
    }


# ---------------------------------------------------------------- timing


clock = time.perf_counter

PARTS = {"training": train, "forecasting": forecast}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", default=list(PARTS), help=f"some of {', '.join(PARTS)}")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--processor", action="store_true", help="seconds of processor time instead of the wall's"
    )
    arguments = parser.parse_args()
    if arguments.processor:
        clock = time.process_time
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    torch.set_num_threads(arguments.threads)
    hourly, _ = seqkit.datasets.split("m4_hourly")
    for part in arguments.parts:
        PARTS[part](arguments.threads, arguments.repeats, hourly)
