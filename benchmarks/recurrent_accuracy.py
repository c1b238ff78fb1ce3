"""How well global LSTMs forecast, alone and in the median with time-delay networks, on published test parts.

SEQKIT_DATA=... python benchmarks/recurrent_accuracy.py                       # all parts
SEQKIT_DATA=... python benchmarks/recurrent_accuracy.py m4_hourly m4_weekly --tune   # on the end of the training part
SEQKIT_DATA=... python benchmarks/recurrent_accuracy.py m3 tourism --threads 1 --keep FOLDER

One network for all series of a frequency. Settings were chosen on the training parts (``--tune`` holds out their last
horizon), and run on the test parts once. Networks learn absolute errors; their law has the spread of what they missed
by in training. Laws are judged by 39 quantiles: CRPS is twice the mean of their pinball losses, over the scale of MASE,
and an ensemble has the median of the points and the mean of the other quantiles. With ``--keep`` the quantiles of every
network are written to a folder, and read from it when they are there; the seconds are those of the last run.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from neural_accuracy import HOURLY, WEEKLY, Panel, own_series, rolling, trainer

import seqkit
from seqkit import training
from seqkit.evaluation import metrics

LEVELS = np.arange(1, 40) / 40  # 0.025, .., 0.975
MEDIAN = 19
LOGS = {"head": seqkit.nn.Absolute(), "scale": seqkit.Log(), "weighting": "scale"}
Make = Callable[[], Any]


@dataclass(frozen=True)
class Task:
    """A panel, how it is scored, and the networks: name -> a model that is not fitted yet."""

    name: str
    season: int  # of MASE
    horizon: int
    networks: dict[str, Make]
    near: int = 0  # length of segments by which near-copies are told, 0 for none
    offset: float = 0.0  # added before, and taken off after, where there are zeros
    classical: tuple[str, ...] = ("Naive2", "Theta")
    published: str = ""


def lstm(window: int, steps: int, lr: float, **more: Any) -> Callable[[int], Make]:
    return lambda seed: (
        lambda: seqkit.LSTMForecaster(window, seed=seed, trainer=trainer(steps, lr), **LOGS | more)
    )


def esrnn(window: int, hidden: int, steps: int, lr: float, **more: Any) -> Callable[[int], Make]:
    options = {"core": seqkit.nn.LSTM(hidden), "trainer": trainer(steps, lr)}
    return lambda seed: lambda: seqkit.ESRNN(window, seed=seed, **LOGS | options | more)


def tdnn(lags: int, **settings: Any) -> Callable[[int], Make]:
    return lambda seed: lambda: seqkit.TDNN(lags, seed=seed, **settings)


def several(makers: dict[str, Callable[[int], Make]], *seeds: int) -> dict[str, Make]:
    return {f"{name}, seed {k}": make(k) for k in seeds for name, make in makers.items()}


def hourly() -> Task:
    options = {"horizon": 48, "seasonal": (24, 168)}
    makers = {
        "LSTM 192": lstm(192, 2000, 3e-3, hidden=256, patch=24, **options),
        "ESRNN 192": esrnn(192, 128, 1200, 3e-3, start=(0.1, 0.2), **options),
        "TDNN 192": tdnn(192, **HOURLY),
    }
    others = {"TDNN 336": tdnn(336, **HOURLY)}
    networks = several(makers | others, 0, 1) | several(
        {k: makers[k] for k in ("LSTM 192", "TDNN 192")}, 2
    )
    text = "best entry of M4 0.410, its winner 0.440"
    return Task("m4_hourly", 24, 48, networks, near=168, published=text)


def weekly() -> Task:
    options = {"horizon": 13, "hidden": 128, "patch": 13, "seasonal": 1, "balance": -0.5}
    makers = {"LSTM 52": lstm(52, 1500, 2e-3, **options)}
    others = {f"TDNN {lags}": tdnn(lags, **WEEKLY) for lags in (52, 65, 104)}
    networks = several(makers | others, 0) | several(makers, 1)
    text = "best entry of M4 0.739, its winner 0.851"
    return Task("m4_weekly", 1, 13, networks, near=52, published=text)


def competition(
    name: str, season: int, horizon: int, window: int, hidden: int, steps: int, lr: float, balance: float = -1.0
) -> Task:  # fmt: skip
    """M3 and tourism: short series, small networks, and the shorter they are the less training."""
    options = {"horizon": horizon, "seasonal": season, "hidden": hidden, "balance": balance}
    makers = {"LSTM": lstm(window, steps, lr, **options)}
    offset = 1.0 if name.startswith("tourism") else 0.0
    return Task(name, season, horizon, several(makers, 0, 1), offset=offset)


def m3() -> list[Task]:
    return [
        competition("m3_yearly", 1, 6, 8, 32, 200, 1e-3),
        competition("m3_quarterly", 4, 8, 12, 64, 600, 2e-3),
        competition("m3_monthly", 12, 18, 36, 64, 1000, 3e-3, 0.0),
        competition("m3_other", 1, 8, 16, 32, 400, 1e-3),
    ]


def tourism() -> list[Task]:
    return [
        competition("tourism_yearly", 1, 4, 6, 32, 200, 1e-3),
        competition("tourism_quarterly", 4, 8, 16, 64, 600, 2e-3),
        competition("tourism_monthly", 12, 24, 48, 64, 600, 2e-3),
    ]


# ---------------------------------------------------------------- scores


def panel_scores(task: Task, tune: bool, keep: Path | None) -> pd.DataFrame:
    """Scores of every series (rows) by model and measure, and a line printed for every model."""
    train, test = parts(task, tune)
    own = own_series(train, test, task.near) if task.near else np.ones(len(train), bool)
    shown = f", {own.sum()} without a near-copy" if task.near else ""
    print(f"\n{task.name}{' (tuning)' if tune else ''}: {len(train)} series{shown}")
    if task.published:
        print(f"  published OWA: {task.published}")
    board = Board(task, train, test, own)
    for label in task.classical:
        model = getattr(seqkit, label)(season=task.season)
        board.add(label, *forecast(model, train, test, task, None))
    found: dict[str, np.ndarray] = {}
    seconds = 0.0
    for label, make in task.networks.items():
        file = (
            None if keep is None else keep / f"{task.name}-{'tune' if tune else 'test'}-{label}.npz"
        )
        found[label], spent = forecast(make, train, test, task, file)
        board.add(label, found[label], spent)
        seconds += spent
    kinds = sorted({label.split()[0].rstrip(",") for label in found})
    for kind in kinds:
        members = [q for label, q in found.items() if label.startswith(kind)]
        if len(members) > 1:
            board.add(f"median of {len(members)} {kind}", combined(members), np.nan)
    if len(kinds) > 1:
        board.add(f"median of all {len(found)}", combined(list(found.values())), seconds)
    return pd.concat(board.scores, axis=1)


def parts(task: Task, tune: bool) -> tuple[Panel, Panel]:
    """Training and test part; to tune, the training part without its last horizon, and that."""
    train, test = seqkit.datasets.split(task.name)
    if not tune:
        return train, test
    long = {k: y for k, y in train.items() if len(y) > 2 * task.horizon}
    return (
        {k: y.iloc[: -task.horizon] for k, y in long.items()},
        {k: y.iloc[-task.horizon :] for k, y in long.items()},
    )


def forecast(
    model: Any, train: Panel, test: Panel, task: Task, file: Path | None
) -> tuple[np.ndarray, float]:
    """Quantiles (series, horizon, levels), and the seconds of fitting and forecasting; read from the file if it is."""
    if file is not None and file.exists():
        kept = np.load(file)
        return kept["quantiles"], float(kept["seconds"])
    start = time.perf_counter()
    model = model() if callable(model) else model
    if file is not None:  # a training that was ended goes on where it was
        settings = model.trainer.get_params(deep=False) | {"checkpoint": str(file.with_suffix(""))}
        model.trainer = training.Trainer(**settings)
    fitted = model.fit({k: y + task.offset for k, y in train.items()})
    frame = fitted.predict(task.horizon).quantile(LEVELS)
    seconds = time.perf_counter() - start
    quantiles = np.stack([frame.loc[k].to_numpy() for k in train]) - task.offset
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez(file, quantiles=quantiles, seconds=seconds)
    return quantiles, seconds


def combined(members: list[np.ndarray]) -> np.ndarray:
    quantiles = np.mean(members, axis=0)
    moved = np.median([q[..., MEDIAN] for q in members], axis=0) - quantiles[..., MEDIAN]
    return quantiles + moved[..., None]


class Board:
    """Scores by series; each model is printed as it is added, relative to the first one."""

    def __init__(self, task: Task, train: Panel, test: Panel, own: np.ndarray):
        self.task, self.train, self.test, self.own = task, train, test, own
        self.scores: dict[str, pd.DataFrame] = {}

    def add(self, label: str, quantiles: np.ndarray, seconds: float) -> None:
        rows = [
            self._series(self.test[k].to_numpy(), q, y.to_numpy())
            for (k, y), q in zip(self.train.items(), quantiles, strict=True)
        ]
        found = self.scores[label] = pd.DataFrame(rows, index=list(self.train))
        base = next(iter(self.scores.values()))
        owa, apart = (
            np.mean([found[m][who].mean() / base[m][who].mean() for m in ("sMAPE", "MASE")])
            for who in (np.ones_like(self.own), self.own)
        )
        mean = found.mean()
        copies = f"   without near-copies {apart:.4f}" if self.task.near else ""
        mape = (
            f"   MAPE {mean['MAPE']:6.2f}" if np.isfinite(mean["MAPE"]) and self.task.offset else ""
        )
        print(
            f"  {label:<22} sMAPE {mean['sMAPE']:7.3f}   MASE {mean['MASE']:6.3f}   OWA {owa:.4f}   "
            f"cover {100 * mean['in 80']:3.0f} {100 * mean['in 95']:3.0f} %   CRPS {mean['CRPS']:6.3f}   "
            f"MSIS {mean['MSIS']:7.2f}   {seconds:6.1f} s{mape}{copies}",
            flush=True,
        )

    def _series(self, y: np.ndarray, q: np.ndarray, history: np.ndarray) -> dict[str, float]:
        season, point = self.task.season, q[:, MEDIAN]
        scale = np.abs(history[season:] - history[:-season]).mean() or np.nan
        error = y[:, None] - q
        pinball = np.maximum(LEVELS * error, (LEVELS - 1) * error)
        low, high = q[:, 0], q[:, -1]
        outside = np.maximum(low - y, 0) + np.maximum(y - high, 0)
        with np.errstate(divide="ignore"):
            mape = 100 * np.mean(np.abs((y - point) / y))
        return {
            "sMAPE": metrics.smape(y, point),
            "MASE": np.abs(y - point).mean() / scale,
            "MAPE": mape,
            "in 80": np.mean((q[:, 3] <= y) & (y <= q[:, -4])),
            "in 95": np.mean((low <= y) & (y <= high)),
            "CRPS": 2 * pinball.mean() / scale,
            "MSIS": np.mean(high - low + 2 / 0.05 * outside) / scale,
        }


def overall(tables: list[pd.DataFrame]) -> None:
    """Means over the series of all frequencies, each series counting alike."""
    whole: dict[str, list[pd.DataFrame]] = {}
    for table in tables:
        for label in table.columns.unique(0):
            name = "an LSTM, seed 0" if label.endswith("seed 0") else label
            if "seed" not in label or name != label:
                whole.setdefault(name, []).append(table[label])
    print("\nall frequencies together")
    for label, found in whole.items():
        mean = pd.concat(found).mean()
        print(
            f"  {label:<22} sMAPE {mean['sMAPE']:7.3f}   MASE {mean['MASE']:6.3f}   CRPS {mean['CRPS']:6.3f}"
        )


# ---------------------------------------------------------------- ETTh1


def etth1(tune: bool) -> None:
    """Seven channels, standard split and scaling; mean squared and absolute error over all windows of the test part."""
    frame = seqkit.datasets.load("etth1")
    train, valid, test = frame[:8640], frame[8640:11520], frame[11520:14400]
    mean, scale = train.mean(), train.std(ddof=0)
    train, valid, test = ((part - mean) / scale for part in (train, valid, test))
    if tune:
        train, valid, test = train, train[:0], valid
    print(f"\netth1{' (tuning)' if tune else ''}, published (MSE / MAE at 96): DLinear 0.375 / 0.399, "
          "NLinear 0.374 / 0.394, Informer 0.865 / 0.713")  # fmt: skip
    options = {"lr": 1e-3, "schedule": "cosine", "steps": 500, "batch_size": 256, "warmup": 50}
    recipe = training.Trainer(weight_decay=0.3, clip=1.0, evaluate_every=200, **options)
    start = time.perf_counter()
    model = seqkit.LSTMForecaster(
        512, 96, seqkit.nn.Huber(), hidden=64, patch=24, dropout=0.3, seasonal=1, trainer=recipe
    )
    model.fit(train)
    if len(valid):
        model.update(valid)
    seconds = time.perf_counter() - start
    errors = np.array([(e**2, abs(e)) for e in rolling(model, test, 96)])
    mse, mae = errors.mean((0, 2, 3))
    print(f"  LSTM over days        MSE {mse:.4f}   MAE {mae:.4f}   training {seconds:.0f} s")


def run(tasks: list[Task], tune: bool, keep: Path | None) -> None:
    tables = [panel_scores(task, tune, keep) for task in tasks]
    if len(tables) > 1:
        overall(tables)


PARTS: dict[str, Callable[[bool, Path | None], None]] = {
    "m4_hourly": lambda tune, keep: run([hourly()], tune, keep),
    "m4_weekly": lambda tune, keep: run([weekly()], tune, keep),
    "m3": lambda tune, keep: run(m3(), tune, keep),
    "tourism": lambda tune, keep: run(tourism(), tune, keep),
    "etth1": lambda tune, keep: etth1(tune),
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", default=list(PARTS), help=f"some of {', '.join(PARTS)}")
    parser.add_argument(
        "--tune", action="store_true", help="score on the last horizon of the training part"
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="folder for the quantiles of every network")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for part in arguments.parts:
        PARTS[part](arguments.tune, arguments.keep)
