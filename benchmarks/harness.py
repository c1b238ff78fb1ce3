"""Timing two programs against each other: interleaved repeats, medians, one thread.

Import this module first: it limits the numerical libraries to one thread before they are loaded.
"""

from __future__ import annotations

import gc
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

for _name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "NUMBA", "VECLIB_MAXIMUM"):
    os.environ[f"{_name}_NUM_THREADS"] = "1"


@dataclass
class Row:
    """One comparison; times are medians in seconds."""

    name: str
    seqkit: float
    peer_name: str
    peer: float
    goal: float | None

    @property
    def ratio(self) -> float:
        return self.peer / self.seqkit


def timed(function: Callable[[], object], budget: float = 0.02) -> float:
    """Seconds per call; a fast function is called until `budget` seconds have passed."""
    calls, start = 0, time.perf_counter()
    gc.disable()  # as timeit does: a collection belongs to whoever made the garbage
    try:
        while True:
            function()
            calls += 1
            spent = time.perf_counter() - start
            if spent >= budget:
                return spent / calls
    finally:
        gc.enable()


def race(
    name: str, ours: Callable[[], object], peer_name: str, peer: Callable[[], object], *,
    repeats: int = 7, goal: float | None = None,
) -> Row:  # fmt: skip
    """Both in turn, `repeats` times after one warm-up each; prints and returns the row."""
    ours(), peer()
    pairs = [(timed(ours), timed(peer)) for _ in range(repeats)]
    mine, theirs = (statistics.median(times) for times in zip(*pairs, strict=True))
    row = Row(name, mine, peer_name, theirs, goal)
    target = "" if goal is None else f"  (goal {goal:g}x)"
    print(
        f"{name:<44} seqkit {mine * 1e3:10.3f} ms   {peer_name} {theirs * 1e3:10.2f} ms   "
        f"{row.ratio:8.1f}x{target}",
        flush=True,
    )
    return row


def machine() -> str:
    cpu = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return f"{cpu}, {os.cpu_count()} cores, Python {platform.python_version()}, one thread"
