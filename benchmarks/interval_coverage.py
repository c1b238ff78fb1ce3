"""Do 80 % and 95 % intervals hold 80 % and 95 %? AR with and without the conformal wrapper, by rolling origins.

python benchmarks/interval_coverage.py              # sunspots, monthly
SEQKIT_DATA=... python benchmarks/interval_coverage.py m4_hourly
"""

import sys
import time

import seqkit

METRICS = ["coverage-80", "coverage-95", "winkler-80", "winkler-95", "crps"]
SETTINGS = {  # dataset: horizon, origins
    "sunspots_monthly": (24, 60),
    "m4_hourly": (48, 1),
}


def main(names: list[str]) -> None:
    models = {
        "AR normal": seqkit.AR("aic"),
        "AR conformal": seqkit.Conformal(seqkit.AR("aic")),
    }
    for name in names:
        horizon, windows = SETTINGS[name]
        start = time.perf_counter()
        result = seqkit.compare(
            models,
            {name: seqkit.datasets.load(name)},
            horizon=horizon,
            windows=windows,
            metrics=METRICS,
            n_jobs=2,
        )
        print(f"{name}: horizon {horizon}, {windows} origins, {time.perf_counter() - start:.0f} s")
        print(result.leaderboard.droplevel("dataset")[METRICS].round(4).to_string())


if __name__ == "__main__":
    main(sys.argv[1:] or ["sunspots_monthly"])
