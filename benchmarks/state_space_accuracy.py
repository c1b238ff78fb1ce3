"""How well state-space models forecast: coverage of their intervals, and MASE beside ETS and AutoARIMA.

SEQKIT_DATA=... python benchmarks/state_space_accuracy.py                  # all parts that have their data
python benchmarks/state_space_accuracy.py simulated airline                # what needs no data
"""

import os
import sys
import time

import numpy as np

import seqkit
from seqkit.base import Forecaster

LEVELS = ["coverage-50", "coverage-80", "coverage-95"]


def simulated() -> None:
    """A local linear trend, 400 series of 120 steps drawn from one: the nominal levels are the truth."""
    system = seqkit.LDS.from_params(
        transition=[[1.0, 1.0], [0.0, 1.0]], observation=[[1.0, 0.0]], process_cov=[[0.3, 0.0], [0.0, 0.02]],
        observation_cov=[[1.0]], initial_mean=[10.0, 0.0], initial_cov=np.zeros((2, 2)),
    )  # fmt: skip
    frame = system.sample(400, length=132, seed=0)
    drawn = frame.iloc[:, 0].unstack().to_numpy()
    panel = {f"s{i}": y for i, y in enumerate(drawn)}
    models = {"LocalLinearTrend": seqkit.LocalLinearTrend()}
    show("simulated", models, panel, horizon=12, season=1, metrics=LEVELS)


def weekly() -> None:
    """M4 weekly, official split of 13 steps."""
    models = {
        "LocalLinearTrend": seqkit.LocalLinearTrend(),
        "LocalLinearTrend of logs": seqkit.LocalLinearTrend(scale=seqkit.Log()),
        "LocalLevel": seqkit.LocalLevel(),
        "ETS": seqkit.ETS(season=1),
    }
    panel = seqkit.datasets.load("m4_weekly")
    show("m4_weekly", models, panel, horizon=13, season=1, metrics=[*LEVELS, "mase", "smape"])


def monthly() -> None:
    """M3 monthly, the first 200 series, official split of 18 steps."""
    panel = dict(list(seqkit.datasets.load("m3_monthly").items())[:200])
    show(
        "m3_monthly[:200]",
        contenders(),
        panel,
        horizon=18,
        season=12,
        metrics=["mase", "smape", *LEVELS],
    )


def airline() -> None:
    """Airline, the last 12 months of five origins."""
    y = seqkit.datasets.load("airline")
    show("airline", contenders(), y, horizon=12, season=12, metrics=["mase", *LEVELS], windows=5)


def contenders() -> dict[str, Forecaster]:
    trend, season = seqkit.LocalLinearTrend(), seqkit.Seasonal(12)
    logs = seqkit.LocalLinearTrend(scale=seqkit.Log())
    return {
        "trend + season": trend + season,
        "trend + season of logs": logs + season,
        "damped trend + season of logs": seqkit.LocalLinearTrend(damped=True, scale=seqkit.Log())
        + season,
        "level + season of logs": seqkit.LocalLevel(scale=seqkit.Log()) + season,
        "ETS": seqkit.ETS(season=12),
        "AutoARIMA": seqkit.AutoARIMA(season=12),
        "Naive2": seqkit.Naive2(season=12),
    }


def show(name, models, data, **settings) -> None:  # type: ignore[no-untyped-def]
    start = time.perf_counter()
    result = seqkit.compare(models, {name: data}, n_jobs=2, progress=False, **settings)
    board = result.leaderboard.droplevel("dataset")[settings["metrics"]]
    print(
        f"\n{name}, {time.perf_counter() - start:.0f} s\n{board.round(3).to_string()}", flush=True
    )
    if len(result.failures):
        print(result.failures.to_string())


PARTS = {"simulated": simulated, "airline": airline, "weekly": weekly, "monthly": monthly}

if __name__ == "__main__":
    chosen = sys.argv[1:] or list(PARTS)
    for part in chosen:
        if part in ("weekly", "monthly") and not os.environ.get("SEQKIT_DATA"):
            print(f"{part}: set SEQKIT_DATA to the folder that holds the data")
            continue
        PARTS[part]()
