"""How well global networks forecast, on the test parts of published benchmarks.

SEQKIT_DATA=... python benchmarks/neural_accuracy.py                     # all parts
SEQKIT_DATA=... python benchmarks/neural_accuracy.py hourly weekly --tune   # on the last horizon of the training part
SEQKIT_DATA=... python benchmarks/neural_accuracy.py etth1 --threads 1

All settings were chosen on the training parts (``--tune`` holds out their last horizon). M4 holds series that continue
or copy others, which helps a model that has seen all of them; the last column scores the series without a near-copy:
those whose last season and test part correlate by at most 0.999 with every segment of every other training part.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import torch

import seqkit
from seqkit import training

Panel = dict[str, pd.Series]
Errors = dict[str, np.ndarray]  # sMAPE and MASE of every series
CLASSICAL = {"Naive2": seqkit.Naive2, "Theta": seqkit.Theta, "ETS": seqkit.ETS}


def trainer(steps: int, lr: float, **more: Any) -> training.Trainer:
    options = {
        "schedule": training.CosineDecay(final=0.02),
        "warmup": 50,
        "clip": 1.0,
        "weight_decay": 0.01,
        "averaging": training.EMA(0.995),
    }
    return training.Trainer(
        steps=steps, lr=lr, batch_size=512, evaluate_every=500, **(options | more)
    )


HOURLY = {
    "horizon": 48, "seasonal": (24, 168), "hidden": (384, 384, 384), "weighting": "scale",
    "head": seqkit.nn.Absolute(), "scale": seqkit.Log(), "trainer": trainer(2000, 3e-3, clip=10.0),
}  # fmt: skip
WEEKLY = {
    "horizon": 13, "seasonal": 1, "hidden": (384, 384, 384), "weighting": "scale",
    "balance": -0.5, "head": seqkit.nn.Absolute(), "scale": seqkit.Log(), "trainer": trainer(1500, 1e-3),
}  # fmt: skip
SETS: dict[str, tuple[int, int, dict[str, Any], tuple[int, ...], int]] = {
    # name: season of MASE, segment of near-copies, settings, lags of the ensemble, seeds of each
    "m4_hourly": (24, 168, HOURLY, (192, 336), 3),
    "m4_weekly": (1, 52, WEEKLY, (52, 65, 104), 3),
}


def m4(name: str, tune: bool) -> None:
    """M4, official split and measures; one network for all series, then the median of several."""
    season, segment, settings, lags, seeds = SETS[name]
    horizon = settings["horizon"]
    train, test = seqkit.datasets.split(name)
    if tune:
        test = {k: y.iloc[-horizon:] for k, y in train.items()}
        train = {k: y.iloc[:-horizon] for k, y in train.items()}
    own = own_series(train, test, segment)
    print(
        f"\n{name}{' (tuning)' if tune else ''}: {len(train)} series, {own.sum()} without a near-copy"
    )
    reference = None
    for label, make in CLASSICAL.items():
        start = time.perf_counter()
        forecast = make(season=season).fit(train).predict(horizon).median
        reference = report(
            label, train, test, forecast, season, reference, own, time.perf_counter() - start
        )
    medians, start = [], time.perf_counter()
    for length in lags:
        for seed in range(seeds):
            begin = time.perf_counter()
            model = seqkit.TDNN(length, seed=seed, **settings).fit(train)
            forecast = model.predict(horizon)
            medians.append(forecast.median)
            label = f"TDNN, {length} lags, seed {seed}"
            report(
                label, train, test, medians[-1], season, reference, own, time.perf_counter() - begin
            )
    ensemble = pd.concat(medians, axis=1).median(axis=1)
    report(
        "median of the TDNNs",
        train,
        test,
        ensemble,
        season,
        reference,
        own,
        time.perf_counter() - start,
    )


def report(
    label: str, train: Panel, test: Panel, forecast: pd.Series, season: int, reference: Errors | None,
    own: np.ndarray, seconds: float,
) -> Errors:  # fmt: skip
    errors: Errors = {"smape": np.zeros(len(train)), "mase": np.zeros(len(train))}
    for i, (key, history) in enumerate(train.items()):
        actual, predicted = test[key].to_numpy(), forecast.loc[key].to_numpy()
        errors["smape"][i] = seqkit.evaluation.metrics.smape(actual, predicted)
        errors["mase"][i] = seqkit.evaluation.metrics.mase(
            actual, predicted, history=history, season=season
        )
    base = reference or errors
    owa = [
        np.mean([e[rows].mean() / base[m][rows].mean() for m, e in errors.items()])
        for rows in (slice(None), own)
    ]
    print(f"{label:<24} sMAPE {errors['smape'].mean():7.3f}   MASE {errors['mase'].mean():6.3f}   OWA {owa[0]:.4f}   "
          f"{seconds:6.1f} s   without near-copies {owa[1]:.4f}", flush=True)  # fmt: skip
    return base


def own_series(train: Panel, test: Panel, segment: int) -> np.ndarray:
    """Which series have no near-copy in the training part of another one."""
    recent = [np.concatenate([train[k].to_numpy()[-segment:], test[k].to_numpy()]) for k in train]
    queries = np.stack([standard(part[None])[0] for part in recent])
    best = np.full(len(queries), -1.0)
    for i, series in enumerate(train.values()):
        y = series.to_numpy()
        if len(y) < queries.shape[1]:
            continue
        windows = standard(np.lib.stride_tricks.sliding_window_view(y, queries.shape[1]))
        likeness = (windows @ queries.T).max(0)
        likeness[i] = -1.0
        best = np.maximum(best, likeness)
    return best <= 0.999


def standard(windows: np.ndarray) -> np.ndarray:
    """Rows of mean 0 and length 1."""
    centred = windows - windows.mean(1, keepdims=True)
    return centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)


def etth1() -> None:
    """ETTh1, seven channels, standard split and scaling; mean squared and absolute error over all test windows."""
    frame = seqkit.datasets.load("etth1")
    train, valid, test = frame[:8640], frame[8640:11520], frame[11520:14400]
    mean, scale = train.mean(), train.std(ddof=0)
    train, valid, test = ((part - mean) / scale for part in (train, valid, test))
    published = "DLinear 0.375 / 0.399 at 96 and 0.439 / 0.443 at 336; NLinear 0.374 / 0.394 and 0.429 / 0.427"
    print(f"\netth1, published (MSE / MAE): {published}; Informer 0.865 / 0.713 and 1.107 / 0.809")
    for label, horizon, settings in ettm():
        start = time.perf_counter()
        model = seqkit.TDNN(horizon=horizon, **settings).fit(train).update(valid)
        seconds = time.perf_counter() - start
        errors = np.array([(e**2, abs(e)) for e in rolling(model, test, horizon)]).reshape(
            -1, 2, horizon, 7
        )
        mse, mae = errors.mean((0, 2, 3))
        print(
            f"{label:<24} horizon {horizon:3}   MSE {mse:.4f}   MAE {mae:.4f}   training {seconds:.0f} s",
            flush=True,
        )


def ettm() -> Iterator[tuple[str, int, dict[str, Any]]]:
    """Linear networks, each channel a series of its own; lags and decay chosen on the validation part."""
    options = {
        "lr": 1e-3,
        "schedule": "cosine",
        "steps": 1500,
        "batch_size": 256,
        "evaluate_every": 200,
    }
    for horizon in (96, 336):
        for lags, decay in ((336, 0.0), (512, 0.3)):
            trained = training.Trainer(weight_decay=decay, **options)
            yield (
                f"linear, {lags} lags",
                horizon,
                {
                    "lags": lags,
                    "hidden": (),
                    "seasonal": 1,
                    "head": seqkit.nn.Squared(),
                    "trainer": trained,
                },
            )


def rolling(model: seqkit.TDNN, test: pd.DataFrame, horizon: int) -> Iterator[np.ndarray]:
    """Errors (horizon, channels) of the forecasts from every origin."""
    for t in range(len(test) - horizon + 1):
        yield model.predict(horizon).median.to_numpy() - test[t : t + horizon].to_numpy()
        model.update(test[t : t + 1])


PARTS = {
    "hourly": lambda tune: m4("m4_hourly", tune),
    "weekly": lambda tune: m4("m4_weekly", tune),
    "etth1": lambda tune: etth1(),
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
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for part in arguments.parts:
        PARTS[part](arguments.tune)
