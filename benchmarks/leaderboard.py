"""One leaderboard of all families of forecasters: every model on every data set, under one protocol.

SEQKIT_DATA=... python benchmarks/leaderboard.py                       # table, ranks and figure; about ten minutes
SEQKIT_DATA=... python benchmarks/leaderboard.py airline lynx --out out/leaderboard
SEQKIT_DATA=... python benchmarks/leaderboard.py --windows 1 --series 8

Single series: two origins, one horizon apart. Panels: the first series of a published set that are positive and long
enough. All models see logarithms where they are additive, and networks are taken as they come: nothing was tuned here.
Fitted at the first origin, told what came at the second. Point forecasts are judged by OWA (1 is Naive2), laws by CRPS;
ranks are over all series, with the critical difference of Nemenyi.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

import seqkit
from seqkit.base import ConvergenceWarning
from seqkit.evaluation.comparison import Comparison

METRICS = ("owa", "crps", "mase", "smape", "coverage-80")


def models(season: int, horizon: int, structure: Any) -> dict[str, Any]:
    """Every family, with the season it is told."""
    log = seqkit.Log()
    lags = max(season, 4)
    past = max(2 * season, 2 * horizon)
    networks = {"seasonal": season, "scale": log, "seed": 0}
    found = {
        "Naive2": seqkit.Naive2(season),
        "Theta": seqkit.Theta(season),
        "ETS": seqkit.ETS(season),
        "AutoARIMA": seqkit.AutoARIMA(season, max_p=3, max_q=3, scale=log),
        "AR": seqkit.AR("aic", max_order=lags + 2, scale=log),
        "structural": seqkit.Structural(structure, scale=log),
        "HMM": seqkit.HMM(
            2, seqkit.LinearAutoregression(lags + 1), scale=log, max_iter=50, tol=1e-4
        ),
        "TDNN": seqkit.TDNN(past, horizon, hidden=(64, 64), **networks),
        "LSTM": seqkit.LSTMForecaster(past, horizon, hidden=64, **networks),
        "GRU": seqkit.GRUForecaster(past, horizon, hidden=64, **networks),
    }
    if hasattr(seqkit, "ESRNN"):
        found["ESRNN"] = seqkit.ESRNN(horizon=horizon, seasonal=season, seed=0)
    return found


def panel(name: str) -> Callable[[int], Any]:
    """The first series of a set that are positive and at least as long as the median."""

    def load(count: int) -> dict[str, pd.Series]:
        train, test = seqkit.datasets.split(name)
        whole = {k: pd.Series([*y, *test[k]]) for k, y in train.items()}
        positive = {k: y for k, y in whole.items() if y.min() > 0}
        enough = np.median([len(y) for y in positive.values()])
        chosen = [(k, y) for k, y in positive.items() if len(y) >= enough][:count]
        return {k: y.iloc[-400:].reset_index(drop=True) for k, y in chosen}  # the recent past

    return load


def single(name: str, column: str | None = None) -> Callable[[int], Any]:
    def load(count: int) -> Any:
        found = seqkit.datasets.load(name)
        return found if column is None else found[column]

    return load


TREND: Any = seqkit.LocalLinearTrend()
SETS: dict[str, tuple[Callable[[int], Any], int, int, tuple[Any, ...]]] = {
    # name: data, season, horizon, components of the structural model
    "airline": (single("airline"), 12, 12, (TREND, seqkit.Seasonal(12))),
    "lynx": (single("lynx"), 1, 8, (seqkit.LocalLevel(), seqkit.Cycle())),
    "us_gdp": (single("us_macro", "realgdp"), 4, 8, (TREND,)),
    "uk_gas": (single("uk_gas"), 4, 8, (TREND, seqkit.Seasonal(4))),
    "m3_monthly": (panel("m3_monthly"), 12, 18, (TREND, seqkit.Seasonal(12))),
    "m3_quarterly": (panel("m3_quarterly"), 4, 8, (TREND, seqkit.Seasonal(4))),
    "tourism_quarterly": (panel("tourism_quarterly"), 4, 8, (TREND, seqkit.Seasonal(4))),
    "m4_weekly": (panel("m4_weekly"), 1, 13, (seqkit.LocalLevel(),)),
}


def run(names: list[str], windows: int, count: int) -> Comparison:
    """All models on each data set, whose season the models are told; put together as one comparison."""
    found = []
    for name in names:
        load, season, horizon, structure = SETS[name]
        start = time.perf_counter()
        one = seqkit.compare(
            models(season, horizon, structure), {name: load(count)}, horizon=horizon, windows=windows, metrics=METRICS,
            season=season, refit=False, progress=False,
        )  # fmt: skip
        print(f"{name}: {time.perf_counter() - start:.0f} s", flush=True)
        found.append(one)
    first = found[0]
    results = [r for one in found for r in one.results]
    failures = pd.concat([one.failures for one in found], ignore_index=True)
    return Comparison(
        first.models, first.metrics, first.measured, results, failures, first.settings
    )


def tell(board: Comparison, folder: Path) -> None:
    """Tables on the screen, figure and page in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    table = board.leaderboard.reset_index()
    for metric, digits in (("owa", 3), ("crps", 3), ("coverage-80", 2)):
        wide = table.pivot(index="model", columns="dataset", values=metric)
        wide = wide.loc[board.models, [r.name for r in board.results]]
        print(f"\n{metric}\n{wide.round(digits).to_string()}")
    print(f"\noverall\n{board.overall.round(3).to_string()}")
    cases = sum(len(r.series) for r in board.results)
    for metric in ("mase", "crps") if cases > 1 else ():
        print(f"\n{board.ranks(metric)}")
        board.plot("ranks", metric=metric).savefig(
            folder / f"ranks_{metric}.png", dpi=120, facecolor="white"
        )
    if len(board.failures):
        print(f"\nfailures\n{board.failures.to_string()}")
    board.to_html(folder / "leaderboard.html", title="All families on one leaderboard")
    print(f"\nfigures and leaderboard.html are in {folder}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sets", nargs="*", default=list(SETS), help=f"some of {', '.join(SETS)}")
    parser.add_argument("--windows", type=int, default=2)
    parser.add_argument("--series", type=int, default=24, help="of each panel")
    parser.add_argument("--out", type=Path, default=Path("out/leaderboard"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", ConvergenceWarning)
    tell(run(arguments.sets, arguments.windows, arguments.series), arguments.out)
