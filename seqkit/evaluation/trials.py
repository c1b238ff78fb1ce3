"""The trials of a search: what one is, when to stop one early, and a file that keeps them."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

import numpy as np
import pandas as pd

from seqkit.data import Sequences
from seqkit.evaluation.objective import Objective
from seqkit.evaluation.space import Code, Space

STARTUP = 5  # whole trials that the median rule waits for
FORMAT = 1


@dataclass
class Trial:
    """One configuration and how it fared. ``running``: the score over the folds so far, after each of them."""

    number: int
    codes: dict[str, Code]
    state: Literal["complete", "pruned", "failed"]
    scores: list[float] = field(default_factory=list)
    running: list[float] = field(default_factory=list)
    seconds: float = 0.0
    error: str | None = None

    @property
    def score(self) -> float:
        """The score over all folds that were looked at; NaN for none."""
        return self.running[-1] if self.running else float("nan")


def attempt(
    objective: Objective,
    space: Space,
    model: Any,
    number: int,
    codes: dict[str, Code],
    limits: Sequence[float],
) -> Trial:
    """One trial. It stops after a fold where its running score is worse than ``limits`` of that fold."""
    trial = Trial(number, codes, "complete")
    start = perf_counter()
    try:
        for fold, limit in zip(objective.run(space.build(model, codes)), limits, strict=True):
            if not np.isfinite(fold.running):
                raise ValueError(
                    f"{objective.metric.name} of fold {len(trial.scores)} is {fold.running}."
                )
            trial.scores.append(fold.score)
            trial.running.append(fold.running)
            last = len(trial.scores) == len(limits)
            if not last and objective.metric.badness(fold.running) > limit:
                trial.state = "pruned"
                break
    except Exception as error:
        trial.state = "failed"
        trial.error = f"{type(error).__name__}: {str(error) or repr(error)}"[:2000]
    trial.seconds = perf_counter() - start
    return trial


def median_limits(trials: Sequence[Trial], objective: Objective, prune: bool) -> list[float]:
    """The median running badness after each fold, of the trials that reached it (Golovin et al. 2017, KDD).

    Infinite, so that nothing is stopped, until `STARTUP` trials have gone through all folds.
    """
    limits = [float("inf")] * objective.folds
    if not prune or sum(t.state == "complete" for t in trials) < STARTUP:
        return limits
    for fold in range(objective.folds):
        reached = [t.running[fold] for t in trials if t.state != "failed" and len(t.running) > fold]
        limits[fold] = float(np.median([objective.metric.badness(value) for value in reached]))
    return limits


# ---------------------------------------------------------------- the file


class Log:
    """Finished trials in a file, one JSON line each after a first line that says of which search.

    A line is on the disk before the next trial is told of it; what a kill left half written is dropped.
    """

    def __init__(self, path: str | os.PathLike[str] | None, header: dict[str, Any]):
        self.path = None if path is None else Path(path)
        self.header = {"format": FORMAT, **header}
        self.trials: dict[int, Trial] = {}
        if self.path is None:
            return
        if self.path.is_dir():
            raise ValueError(f"storage is the folder {self.path}; pass the path of a file.")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists() and self.path.stat().st_size:
            self._read(self.path)
        else:
            self._write(self.header)

    def _read(self, path: Path) -> None:
        text = path.read_bytes()
        whole = text[: text.rfind(b"\n") + 1]
        try:
            lines = [json.loads(line) for line in whole.splitlines()]
            header = lines[0]
            found = [Trial(**line) for line in lines[1:]]
        except (ValueError, TypeError, IndexError) as error:
            raise ValueError(
                f"storage {path} does not hold the trials of a search; pass the path of a new file."
            ) from error
        kept = json.loads(json.dumps(self.header))
        for name in kept:
            if name != "batch" and header.get(name) != kept[name]:
                raise ValueError(
                    f"storage {path} belongs to another search: its {name} is {header.get(name)!r}, "
                    f"here it is {kept[name]!r}. Pass another path, or delete the file."
                )
        self.header = header
        self.trials = {trial.number: trial for trial in found}
        if len(whole) < len(text):
            os.truncate(path, len(whole))

    def add(self, trial: Trial) -> None:
        self.trials[trial.number] = trial
        self._write(asdict(trial))

    def _write(self, line: dict[str, Any]) -> None:
        if self.path is None:
            return
        with self.path.open("ab") as file:
            file.write(json.dumps(line).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())


def fingerprint(*things: Any) -> str:
    """A short text that is the same for the same data.

    >>> fingerprint(np.arange(3.0)) == fingerprint(np.arange(3.0)) != fingerprint(np.arange(4.0))
    True
    """
    digest = hashlib.blake2b(digest_size=8)
    for thing in things:
        _feed(digest, thing)
    return digest.hexdigest()


def _feed(digest: Any, thing: Any) -> None:
    if isinstance(thing, Sequences):
        _feed(digest, thing.values)
        _feed(digest, thing.offsets)
        _feed(digest, [str(key) for key in thing.keys])
        _feed(digest, [(str(c.index[0]), str(c.index[-1])) for c in thing.calendars])
    elif isinstance(thing, (pd.Series, pd.DataFrame)):
        _feed(digest, pd.util.hash_pandas_object(thing).to_numpy())
    elif isinstance(thing, np.ndarray) and thing.dtype != object:
        digest.update(str((thing.shape, thing.dtype.str)).encode())
        digest.update(np.ascontiguousarray(thing).tobytes())
    elif isinstance(thing, np.ndarray):
        digest.update("\x1f".join(map(str, thing.ravel())).encode())
    else:
        digest.update(without_addresses(repr(thing)).encode())


def without_addresses(text: str) -> str:
    """Without places in memory, which differ from run to run."""
    return re.sub(r" at 0x[0-9a-fA-F]+", "", text)
