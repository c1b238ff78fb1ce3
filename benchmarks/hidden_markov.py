"""Hidden Markov models through the public API, against hmmlearn, dynamax and pomegranate.

pip install seqkit[bench] hmmlearn pomegranate dynamax
python benchmarks/hidden_markov.py
python benchmarks/hidden_markov.py --only exact --only gaussian --peers hmmlearn
python benchmarks/hidden_markov.py --small

All programs have the same parameters and data, one thread, and compile before they are timed; all
but pomegranate (which fails in it) use double precision. hmmlearn is timed with both of its
implementations; its Viterbi is the same in both. An EM iteration is a share of a fit of ten.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import time
import warnings
from dataclasses import dataclass, field, replace

from harness import machine, timed  # before NumPy: it sets the number of threads
from hidden_markov_exact import exact_families
from hidden_markov_processes import child, first_fits
from hidden_markov_programs import (
    OPERATIONS,
    Case,
    Categorical,
    Gaussian,
    Task,
    dynamax,
    hmmlearn,
    ours,
    pomegranate,
)

# isort: split
import numpy as np

SCALING, LOG = "hmmlearn scaling", "hmmlearn log"
PEERS = ("hmmlearn", "dynamax", "pomegranate")
FEW = 1_000  # steps of a peer that takes more than 10 us for each: its time is scaled up


@dataclass
class Settings:
    """What the command line chose."""

    peers: tuple[str, ...] = PEERS
    small: bool = False
    repeats: int = 5
    iterations: int = 10  # of EM in one fit; times are per iteration
    patience: float = 6.0  # seconds of one program in one cell, after its first two calls


@dataclass
class Program:
    """Calls by operation, and what their times are to be multiplied with."""

    tasks: dict[str, Task]
    scale: float = 1.0
    iterations: int = 1

    def timed(self, operation: str) -> tuple[Task, float]:
        share = self.iterations if operation == "EM iteration" else 1
        return self.tasks[operation], self.scale / share


def programs(case: Case, settings: Settings) -> dict[str, Program]:
    """Ours first, then the peers that were asked for and can run the case."""
    many = settings.iterations
    out = {"seqkit": Program(ours(case, iterations=many), iterations=many)}
    few = many if case.steps * case.size <= 100_000 else 1  # each costs hmmlearn the same
    if "hmmlearn" in settings.peers:
        for name, form in ((SCALING, "scaling"), (LOG, "log")):
            out[name] = Program(hmmlearn(case, form, iterations=few), iterations=few)
    wide = isinstance(case, Categorical) and case.probabilities.shape[1] > 1_000
    if "dynamax" in settings.peers:
        if wide:
            print(f"{case.name}: dynamax wants T x K x V numbers and is left out")
        else:
            out["dynamax"] = Program(dynamax(case))
    if "pomegranate" in settings.peers:
        short = case.cut(min(FEW, case.steps))
        out["pomegranate"] = Program(pomegranate(short), case.steps / short.steps)
    return out


# Measuring


def contest(
    line: str, tasks: dict[str, tuple[Task, float]], settings: Settings
) -> dict[str, float]:
    """Medians in seconds of all programs in turn, and one printed line; slow ones get fewer turns."""
    times: dict[str, list[float]] = {name: [] for name in tasks}
    spent = dict.fromkeys(tasks, 0.0)
    for name, (task, _) in tasks.items():
        start = time.perf_counter()
        task()
        spent[name] += time.perf_counter() - start
    for _ in range(settings.repeats):
        for name, (task, scale) in tasks.items():
            if times[name] and spent[name] > settings.patience:
                continue
            start = time.perf_counter()
            times[name].append(scale * timed(task, 0.0 if settings.small else 0.02))
            spent[name] += time.perf_counter() - start
    medians = {name: statistics.median(found) for name, found in times.items()}
    mine = medians["seqkit"]
    rest = "   ".join(
        f"{name} {seconds * 1e3:,.4g} ms ({seconds / mine:.3g}x)"
        for name, seconds in medians.items() if name != "seqkit"
    )  # fmt: skip
    print(f"{line:<44} seqkit {mine * 1e3:9.3f} ms   {rest}", flush=True)
    return medians


@dataclass
class Ratios:
    """How many times longer a peer took, cell by cell."""

    cells: dict[str, dict[str, float]] = field(default_factory=dict)  # peer: line: ratio

    def add(self, line: str, medians: dict[str, float]) -> None:
        for name, seconds in medians.items():
            if name != "seqkit":
                self.cells.setdefault(name, {})[line] = seconds / medians["seqkit"]

    def report(self, title: str, goals: dict[str, tuple[float, float]]) -> list[tuple[str, bool]]:
        """Geometric means and the smallest cells; goals: for a peer, the least of either."""
        rows = []
        for name, cells in self.cells.items():
            mean = float(np.exp(np.log(list(cells.values())).mean()))
            worst = min(cells, key=cells.__getitem__)
            line = (f"{title}, {name}: geometric mean {mean:.1f}x over {len(cells)} cells, "
                    f"smallest {cells[worst]:.1f}x ({worst})")  # fmt: skip
            if name in goals:
                least_mean, least = goals[name]
                reached = mean >= least_mean and cells[worst] >= least
                line += f"; goal {least_mean:g}x and {least:g}x " + verdict(reached)
                rows.append((f"{title}, {name}", reached))
            print(line, flush=True)
        return rows


def verdict(reached: bool) -> str:
    return "reached" if reached else "MISSED"


def race_all(case: Case, settings: Settings, ratios: Ratios, ops: tuple[str, ...] = OPERATIONS):
    found = programs(case, settings)
    for operation in ops:
        line = f"{case.name}, T = {case.steps:,}, {operation}"
        tasks = {name: program.timed(operation) for name, program in found.items()}
        ratios.add(line, contest(line, tasks, settings))


# Rows of the table


def gaussian(settings: Settings) -> list[tuple[str, bool]]:
    """Row 4."""
    ratios = Ratios()
    shapes = ((3, 1), (8, 4)) if settings.small else ((3, 1), (8, 4), (32, 8))
    for length in (2_000,) if settings.small else (10_000, 100_000):
        for size, channels in shapes:
            for covariance in ("diag", "full"):
                race_all(Gaussian.random(size, channels, length, covariance), settings, ratios)
    return ratios.report("Gaussian", {SCALING: (7, 3), LOG: (20, 3)})


def categorical(settings: Settings) -> list[tuple[str, bool]]:
    """Row 5."""
    ratios, shapes = Ratios(), ((8, 50), (45, 20_000))
    length = 2_000 if settings.small else 100_000
    rows = []
    for size, symbols in shapes:
        case = Categorical.random(size, 500 if settings.small and size > 8 else symbols, length)
        few = settings
        if size > 8 and "pomegranate" in settings.peers:  # minutes for each of its iterations
            peers = tuple(name for name in settings.peers if name != "pomegranate")
            few = replace(settings, peers=peers)
        race_all(case, few, ratios)
    name = f"{case.name}, T = {length:,}, EM iteration"
    ratio = ratios.cells.get(SCALING, {}).get(name)
    if ratio is not None:
        rows.append((name, ratio >= 6))
        print(f"{name}: {ratio:.1f}x {SCALING}; goal 6x {verdict(ratio >= 6)}")
    ratios.report("categorical", {})
    return [*rows, *memory_of_words(size, case.probabilities.shape[1], length)]


def memory_of_words(size: int, symbols: int, length: int) -> list[tuple[str, bool]]:
    rows = []
    numbers = 8 * length * size
    for operation in ("EM iteration", "posteriors", "Viterbi"):
        found = child("words", size, symbols, length, operation)
        limit = 4 * found["input"] + numbers
        reached = found["extra"] <= limit
        name = f"categorical K={size} V={symbols:,}, T = {length:,}, peak memory of {operation}"
        print(f"{name}: {found['extra'] / 1e6:.1f} MB on top of what was there; input "
              f"{found['input'] / 1e6:.1f} MB, parameters {8e-6 * size * symbols:.1f} MB, T x K "
              f"doubles {numbers / 1e6:.1f} MB; goal {limit / 1e6:.1f} MB {verdict(reached)}",
              flush=True)  # fmt: skip
        if operation == "EM iteration":
            rows.append((name, reached))
    return rows


def batch(settings: Settings) -> list[tuple[str, bool]]:
    """Row 6: many short sequences."""
    count, length = (100, 100) if settings.small else (1_000, 100)
    rows, ratios = [], Ratios()
    for covariance in ("diag", "full"):
        case = Gaussian.random(8, 4, count * length, covariance)
        cube = case.X.reshape(count, length, -1)
        many = settings.iterations
        found = {"seqkit": Program(ours(case, list(cube), many), iterations=many)}
        if "hmmlearn" in settings.peers:
            for name in ("scaling", "log"):
                tasks = hmmlearn(case, name, [length] * count, many)
                found[f"hmmlearn {name}"] = Program(tasks, iterations=many)
        if "dynamax" in settings.peers:
            found["dynamax"] = Program(dynamax(case, cube))
        if "pomegranate" in settings.peers:
            found["pomegranate"] = Program(pomegranate(case, cube))
        for operation in ("log-likelihood", "EM iteration"):
            line = f"{count:,} x {length}, {case.name}, {operation}"
            tasks = {name: program.timed(operation) for name, program in found.items()}
            medians = contest(line, tasks, settings)
            ratios.add(line, medians)
            if operation == "EM iteration" and SCALING in medians:
                ratio = medians[SCALING] / medians["seqkit"]
                rows.append((line, ratio >= 8))
                print(f"{line}: {ratio:.1f}x {SCALING}; goal 8x {verdict(ratio >= 8)}")
    ratios.report("batch", {})
    return rows


def long(settings: Settings) -> list[tuple[str, bool]]:
    """Row 7: ten million steps."""
    length, short = (200_000 if settings.small else 10_000_000), 10_000
    rows = []
    for operation in ("log_likelihood", "score", "decode", "decode_proba"):
        found = child("long", length, short, operation)
        print(f"K=4 D=1, T = {length:,}, {operation}: {found['seconds']:.2f} s, "
              f"{found['extra'] / 1e6:,.0f} MB on top of the input of {found['input'] / 1e6:,.0f} "
              f"MB ({found['extra'] / found['input']:.1f} x)", flush=True)  # fmt: skip
        if operation == "log_likelihood":
            each, error = found["blocks"], found["error"]
            reached = abs(found["value"] / length - each) <= 4 * error
            print(f"{'':<8}log-likelihood per step {found['value'] / length:.6f}; of {short:,} steps "
                  f"{each:.6f} +- {error:.6f}: {verdict(reached)}")  # fmt: skip
            rows.append(("log-likelihood per step of ten million", reached))
    return rows


def cold(settings: Settings) -> list[tuple[str, bool]]:
    """Row 11: the first fit in a new process, with a fresh and with a filled cache of compiled code."""
    rows = []
    for name, first, second in first_fits():
        reached = first < 6 and second < 1.5
        print(f"first fit in a new process, {name}: fresh install {first:.2f} s (goal 6), then "
              f"{second:.2f} s (goal 1.5) {verdict(reached)}", flush=True)  # fmt: skip
        rows.append((f"cold start {name}", reached))
    return rows


def exact(settings: Settings) -> list[tuple[str, bool]]:
    """Row 3."""
    return exact_families(500 if settings.small else 2_000)


PARTS = {"exact": exact, "gaussian": gaussian, "categorical": categorical, "batch": batch,
         "long": long, "cold": cold}  # fmt: skip


def main() -> None:
    warnings.simplefilter("ignore")
    logging.getLogger("hmmlearn").setLevel(logging.ERROR)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", choices=PARTS, help="run this part alone")
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS))
    parser.add_argument("--small", action="store_true", help="tiny sizes, to see that all works")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--iterations", type=int, default=10, help="of EM in one fit")
    chosen = parser.parse_args()
    settings = Settings(tuple(chosen.peers), chosen.small, chosen.repeats, chosen.iterations)
    print(machine())
    rows = [row for name in chosen.only or list(PARTS) for row in PARTS[name](settings)]
    missed = [name for name, reached in rows if not reached]
    print("all goals reached" if not missed else f"below the goal: {'; '.join(missed)}")


if __name__ == "__main__":
    main()
