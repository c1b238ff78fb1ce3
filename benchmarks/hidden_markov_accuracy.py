"""How well hidden Markov models forecast, by rolling origin: their own simulations, sunspots, S&P 500 returns.

SEQKIT_DATA=... python benchmarks/hidden_markov_accuracy.py              # all; AR and Mean run beside them
SEQKIT_DATA=... python benchmarks/hidden_markov_accuracy.py returns
"""

import os
import sys
import time
import warnings
from functools import partial

from harness import machine  # before NumPy: it sets the number of threads

# isort: split
import pandas as pd

import seqkit
from seqkit.base import ConvergenceWarning, Forecaster
from seqkit.distributions import LinearAutoregression, Normal, StudentT

ROOTS = partial(seqkit.BoxCox, 0.5)
METRICS = ["crps", "log_score", "coverage-80", "coverage-95"]


def hmm(states: int, family: object, **options: object) -> seqkit.HMM:
    """The better of two starts."""
    return seqkit.HMM(states, family, n_init=2, tol=1e-6, max_iter=300, **options)  # type: ignore[arg-type]


def sunspots() -> None:
    """Yearly numbers of the last 100 years, 1 to 4 ahead; also as roots, of even spread at all levels."""
    y = (
        seqkit.datasets.load("sunspots_yearly") + 1.0
    )  # some years had none, and roots need positive numbers
    models: dict[str, Forecaster] = {
        "Mean": seqkit.Mean(), "AR(2)": seqkit.AR(2), "AR(9)": seqkit.AR(9),
        "AR(9) of roots": seqkit.AR(9, scale=ROOTS()),
    }  # fmt: skip
    for K in (2, 3, 4):
        models[f"HMM({K}, Normal)"] = hmm(K, Normal())
        models[f"HMM({K}, StudentT)"] = hmm(K, StudentT())
    for K, p in ((2, 2), (3, 2), (2, 9)):
        models[f"HMM({K}, AR({p}))"] = hmm(K, LinearAutoregression(p))
        models[f"HMM({K}, AR({p})) of roots"] = hmm(K, LinearAutoregression(p), scale=ROOTS())
    models["HMM(4, Normal) of roots"] = hmm(4, Normal(), scale=ROOTS())
    show("sunspots_yearly", models, y, horizon=4, windows=25, refit=5)


def returns() -> None:
    """Monthly log returns in percent of the last 20 years, 1 to 3 months ahead."""
    y = 100 * seqkit.datasets.load("sp500_monthly")["logret"]
    models: dict[str, Forecaster] = {"Mean": seqkit.Mean(), "AR(1)": seqkit.AR(1)}
    for K in (2, 3, 4):
        models[f"HMM({K}, Normal)"] = hmm(K, Normal())
        models[f"HMM({K}, StudentT)"] = hmm(K, StudentT())
    models["HMM(1, StudentT)"] = hmm(1, StudentT())
    for K in (2, 3, 4):
        models[f"HMM({K}, AR(1))"] = hmm(K, LinearAutoregression(1))
    show("S&P 500 monthly returns", models, y, horizon=3, windows=80, refit=20)


def simulated() -> None:
    """60 series of 150 steps drawn from three normal states; "the truth" knows the parameters."""
    initial, moves = [0.4, 0.3, 0.3], [[0.9, 0.08, 0.02], [0.1, 0.8, 0.1], [0.05, 0.15, 0.8]]
    law = Normal([0.0, 2.0, 6.0], [1.0, 0.5, 2.0])
    truth = seqkit.HMM.from_params(initial=initial, transition=moves, emission=law)
    drawn = truth.sample(60, length=150, seed=0).iloc[:, 0].unstack().to_numpy()
    panel = {f"s{i}": y for i, y in enumerate(drawn)}
    models: dict[str, Forecaster] = {
        "the truth": seqkit.HMM(3, law, moves, initial), "Mean": seqkit.Mean(), "AR(2)": seqkit.AR(2),
    }  # fmt: skip
    for K in (2, 3, 4):
        models[f"HMM({K}, Normal)"] = hmm(K, Normal())
    show("simulated", models, panel, horizon=3, windows=10, refit=5)


def show(
    name: str,
    models: dict[str, Forecaster],
    y: pd.Series,
    *,
    horizon: int,
    windows: int,
    refit: int,
) -> None:
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        result = seqkit.compare(
            models, {name: y}, horizon=horizon, windows=windows, metrics=METRICS, refit=refit, n_jobs=1,
            progress=False,
        )  # fmt: skip
    size = f"{len(y)} series" if isinstance(y, dict) else f"{len(y)} steps"
    board = result.leaderboard.droplevel("dataset")[METRICS]
    print(
        f"\n{name}: {size}, {windows} origins, {horizon} ahead, fits at every {refit}th, "
        f"{time.perf_counter() - start:.0f} s"
    )
    print(board.sort_values("crps").round(3).to_string(), flush=True)
    if len(result.failures):
        print(result.failures.to_string())


PARTS = {"simulated": simulated, "sunspots": sunspots, "returns": returns}

if __name__ == "__main__":
    print(machine())
    for part in sys.argv[1:] or PARTS:
        if part != "simulated" and not os.environ.get("SEQKIT_DATA"):
            print(f"{part}: set SEQKIT_DATA to the folder that holds the data")
            continue
        PARTS[part]()
