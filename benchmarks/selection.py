"""Choosing a configuration: a Bayesian search that is killed and goes on, and nested cross-validation.

pip install "seqkit[torch]"
python benchmarks/selection.py            # all
python benchmarks/selection.py search     # an autoregression of the airline passengers
python benchmarks/selection.py network    # a time-delay network of the same series
python benchmarks/selection.py nested     # nested cross-validation of both sunspots and passengers

The last 12 months of the airline passengers are looked at by no search; each search is run three times: as a whole,
until it is killed (SIGKILL) with about half of its trials on the disk, and once more on the same file.
"""

from harness import machine  # before NumPy: it sets the number of threads

# isort: split
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import seqkit
from seqkit.evaluation import (
    Integer,
    LogUniform,
    RollingOrigin,
    Search,
    cross_validate,
    nested_cross_validate,
    search,
)
from seqkit.evaluation.metrics import mase

HORIZON = 12
SPLITS = RollingOrigin(HORIZON, windows=4)


def passengers() -> tuple[Any, Any]:
    """What searches see, and the year that they do not."""
    y = seqkit.datasets.load("airline")
    return y.iloc[:-HORIZON], y.iloc[-HORIZON:]


def problem(name: str) -> tuple[Any, dict[str, Any], int]:
    """A model, where to look, and how often."""
    if name == "search":
        scales = [seqkit.Identity(), seqkit.Log(), seqkit.Standard()]
        space = {"order": Integer(1, 36), "ridge": LogUniform(1e-6, 1e3), "scale": scales}
        return seqkit.AR(), space, 60
    space = {
        "lags": [12, 24, 36],
        "lr": LogUniform(1e-4, 1e-2),
        "hidden": [(), (32,), (64, 64)],
    }
    model = seqkit.TDNN(horizon=HORIZON, steps=200, batch_size=32, scale=seqkit.Log(), seed=0)  # type: ignore[attr-defined]
    return model, space, 20


def run(name: str, storage: Path | None = None) -> Search:
    model, space, trials = problem(name)
    return search(
        model, space, passengers()[0], SPLITS, "mase", method="bayes", trials=trials, seed=0,
        storage=storage,
    )  # fmt: skip


def timed(function: Any, *arguments: Any) -> tuple[float, Any]:
    start = time.perf_counter()
    found = function(*arguments)
    return time.perf_counter() - start, found


def finished(file: Path) -> int:
    """Trials on the disk."""
    return max(len(file.read_text().splitlines()) - 1, 0) if file.exists() else 0


def kill_midway(name: str, file: Path, trials: int) -> int:
    """Start the search in a process of its own, kill it once half of its trials are written; how many they were."""
    process = subprocess.Popen([sys.executable, __file__, "child", name, str(file)])
    while finished(file) < trials // 2 and process.poll() is None:
        time.sleep(0.001)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    return finished(file)


def searches(name: str) -> None:
    before, after = passengers()
    model, space, trials = problem(name)
    run(name) if name == "search" else None  # compile and import outside the clock
    seconds, whole = timed(run, name)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "trials.jsonl"
        kept = kill_midway(name, file, trials)
        rest, resumed = timed(run, name, file)
    columns = [*space, "score", "state", "folds"]
    same = str(whole.results_[columns].to_dict()) == str(resumed.results_[columns].to_dict())
    season = {"history": before, "season": 12}
    untuned = model.fit(before).predict(HORIZON).median
    print(f"{type(model).__name__}: {whole}")
    print(
        f"  wall {seconds:.2f} s; killed after {kept} trials, the rest took {rest:.2f} s; same result: {same}"
    )
    print(
        f"  the year after: MASE {mase(after, whole.best_model_.predict(HORIZON).median, **season):.3f}"
        f" (as constructed {mase(after, untuned, **season):.3f},"
        f" seasonal naive {mase(after, before.iloc[-12:].to_numpy(), **season):.3f})"
    )
    if not same:
        raise SystemExit("a resumed search differs from a whole one")


def nested() -> None:
    sets = {"airline": (12, RollingOrigin(12, 5)), "sunspots_yearly": (1, RollingOrigin(11, 5))}
    for name, (season, outer) in sets.items():
        y = seqkit.datasets.load(name)
        y = y.iloc[:, 0] if y.ndim == 2 else y
        space = {
            "order": Integer(1, 30),
            "ridge": LogUniform(1e-6, 1e3),
            "scale": [seqkit.Identity(), seqkit.Standard()],
        }
        options: dict[str, Any] = {"method": "bayes", "trials": 30, "seed": 0, "season": season}
        seconds, table = timed(
            lambda y=y, outer=outer, space=space, options=options: nested_cross_validate(
                seqkit.AR(), space, y, outer, metric="mase", **options
            )
        )
        plain = cross_validate(seqkit.AR(), y, outer, metrics="mase", season=season)["mase"].mean()
        print(f"nested, {name}: wall {seconds:.2f} s, {table['trials'].sum()} trials")
        print(table.drop(columns="seconds").round(4).to_string())
        print(
            f"  outer MASE {table['score'].mean():.4f}, promised by the inner searches "
            f"{table['inner_score'].mean():.4f}; AR as constructed {plain:.4f}"
        )


def main(arguments: list[str]) -> None:
    if arguments[:1] == ["child"]:
        run(arguments[1], Path(arguments[2]))
        return
    print(machine())
    for name in arguments or ["search", "network", "nested"]:
        if name == "nested":
            nested()
        else:
            searches(name)


if __name__ == "__main__":
    main(sys.argv[1:])
