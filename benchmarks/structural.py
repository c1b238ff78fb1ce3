"""Structural models against statsmodels' UnobservedComponents: fits, a panel, cold starts, a season of 365 days.

pip install seqkit[bench]
SEQKIT_DATA=... python benchmarks/structural.py          # without the M3 data that part is left out

Both sides start from the data: making statsmodels' model is part of its fit, as it is of ours. The peer's start is
exact diffuse, as ours is.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

from harness import machine, race  # before NumPy: it sets the number of threads

# isort: split
import numpy as np
import pandas as pd
from statsmodels.tsa.statespace.structural import UnobservedComponents

import seqkit

ROOT = Path(__file__).parents[1]
PROCESSES = 2


def peer(y: pd.Series, **options: object) -> UnobservedComponents:
    return UnobservedComponents(y, use_exact_diffuse=True, **options)


def fits() -> None:
    nile, airline = seqkit.datasets.load("nile"), np.log(seqkit.datasets.load("airline"))
    race(
        "local level, Nile",
        lambda: seqkit.LocalLevel().fit(nile),
        "UC.fit",
        lambda: peer(nile, level="llevel").fit(disp=False),
        goal=30,
    )
    race(
        "trend + season of 12, log airline",
        lambda: (seqkit.LocalLinearTrend() + seqkit.Seasonal(12)).fit(airline),
        "UC.fit",
        lambda: peer(airline, level="lltrend", seasonal=12).fit(disp=False),
        goal=10,
    )
    ours = seqkit.LocalLevel().fit(nile).log_likelihood_
    theirs = peer(nile, level="llevel").fit(disp=False).llf
    print(f"  log-likelihood of the Nile: seqkit {ours:.6f}, statsmodels {theirs:.6f}")
    ours = (seqkit.LocalLinearTrend() + seqkit.Seasonal(12)).fit(airline).log_likelihood_
    theirs = peer(airline, level="lltrend", seasonal=12).fit(disp=False).llf
    print(f"  log-likelihood of log airline: seqkit {ours:.6f}, statsmodels {theirs:.6f}")


def panel(series: int = 1000, sample: int = 10) -> None:
    try:
        whole = seqkit.datasets.load("m3_monthly")
    except Exception as error:
        print(f"M3 monthly: left out ({error})")
        return
    chosen = dict(list(whole.items())[:series])
    model = seqkit.LocalLinearTrend() + seqkit.Seasonal(12, n_jobs=PROCESSES)
    start = time.perf_counter()
    fitted = model.fit(chosen)
    spent = time.perf_counter() - start
    start = time.perf_counter()
    gains = []
    for key in list(chosen)[:: series // sample]:
        theirs = peer(chosen[key].to_numpy(), level="lltrend", seasonal=12).fit(disp=False)
        gains.append(fitted.log_likelihood_[key] - theirs.llf)
    theirs_each = (time.perf_counter() - start) / len(gains)
    print(
        f"{series} series of M3 monthly, trend + season, {PROCESSES} processes: {spent:.1f} s; UC.fit, from "
        f"{len(gains)} of them, one process: {theirs_each * series:.0f} s; log-likelihood above UC's by "
        f"{min(gains):.4f} to {max(gains):.4f}"
    )


FIT = 'import seqkit; y = seqkit.datasets.load("nile"); seqkit.LocalLevel().fit(y)'
IMPORTS = "import numba, pandas, scipy.linalg, seqkit; seqkit.LocalLevel, seqkit.datasets.load"


def cold_start() -> None:
    """One fit, and two, in a new process: with an empty cache of compiled code, and with what that left behind.

    Bytecode is there before, as it is after an installation.
    """
    with tempfile.TemporaryDirectory() as cache:
        setting = {**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": f"{cache}/numba"}
        setting |= {"PYTHONPYCACHEPREFIX": f"{cache}/bytecode"}
        setting.pop("PYTHONDONTWRITEBYTECODE", None)

        def seconds(code: str, repeats: int = 1) -> float:
            times = []
            for _ in range(repeats):
                start = time.perf_counter()
                subprocess.run([sys.executable, "-c", code], env=setting, check=True)
                times.append(time.perf_counter() - start)
            return sorted(times)[repeats // 2]

        seconds(IMPORTS)
        first, twice = seconds(FIT), seconds(f"{FIT}; seqkit.LocalLevel().fit(y)")
        later, twice_later = seconds(FIT, 5), seconds(f"{FIT}; seqkit.LocalLevel().fit(y)", 5)
    print(
        f"LocalLevel().fit(nile) in a new process, imports included: fresh install {first:.2f} s (goal 6 s), later "
        f"{later:.2f} s (goal 1.5 s); with a second fit, which is compiled, {twice:.2f} s, later {twice_later:.2f} s"
    )


def long_season() -> None:
    rng, t = np.random.default_rng(0), np.arange(4 * 365 + 1)
    values = 10 + 0.05 * rng.normal(size=len(t)).cumsum() + 3 * np.sin(2 * np.pi * t / 365)
    y = pd.Series(values + rng.normal(size=len(t)), pd.date_range("2019-01-01", periods=len(t)))
    (seqkit.LocalLevel() + seqkit.Seasonal(4)).fit(y[:40])
    (seqkit.LocalLevel() + seqkit.Seasonal(60)).fit(y[:200]).components()
    for model in (
        seqkit.LocalLevel() + seqkit.Seasonal(365, form="trigonometric", harmonics=6),
        seqkit.LocalLevel() + seqkit.Seasonal(365),
    ):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        start = time.perf_counter()
        model.fit(y)
        spent = time.perf_counter() - start
        fitted = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        start = time.perf_counter()
        model.components()
        smoothed = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        states = len(model._state_names())
        print(
            f"{repr(model).split('  #')[0]}, 4 years of days, {states} states: fit {spent:.1f} s, components "
            f"{smoothed:.1f} s; memory {before:.0f} MB before, {fitted:.0f} MB after the fit, peak {peak:.0f} MB "
            f"(T n n would be {8e-6 * len(y) * states**2:.0f} MB)"
        )


def main() -> None:
    warnings.simplefilter("ignore")  # statsmodels' convergence warnings
    print(machine())
    fits()
    cold_start()
    panel()
    long_season()


if __name__ == "__main__":
    main()
