"""Trained networks as arrays: how they are made, and how they answer."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from seqkit.persistence import Record
from seqkit.tasks.forecasting import Layout, WindowForecast
from seqkit.tasks.windows import WindowBatch, Windows
from seqkit.training import Grouped, History, Trainer
from seqkit.training.sampling import seed_of

if TYPE_CHECKING:
    from seqkit.nn.heads import Head

Array = np.ndarray
Build = Callable[[Layout, "Head"], Any]  # the task, untrained
ROWS = 2048  # windows at once when forecasting: more would leave the cache
RESIDUALS = 4096  # windows that the spread of a point forecast is learnt from
FEW = 16  # series: with fewer, more than the last window of each is held out
HELD_OUT = 0.15  # of the windows, then
SMALL = 5000  # windows: with more, a network hardly learns them by heart
PATIENCE = 10  # evaluations without progress of the network that tells how long to train,
EVERY = 20  # and steps between them


class Network(Record):
    """One trained network: its weights by name, what its point forecasts miss by, and how it was trained.

    `scout` is the history of the network that told how long to train this one.
    """

    def __init__(
        self,
        weights: dict[str, Array],
        spread: Array | None,
        history: History,
        scout: History | None = None,
    ):
        self.weights, self.spread, self.history, self.scout = weights, spread, history, scout

    def task(
        self, build: Build, head: Head, layout: Layout, device: torch.device
    ) -> WindowForecast:
        """The network itself, ready to forecast; made without drawing initial weights."""
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            task = build(layout, head)
        weights = {name: torch.from_numpy(w).to(device) for name, w in self.weights.items()}
        task.load_state_dict(weights, assign=True)
        return task.eval()


def train(
    windows: Windows,
    layout: Layout,
    build: Build,
    head: Head,
    trainer: Trainer,
    *,
    balance: float,
    name: str,
    like: Network | None = None,
) -> Network:
    """A network for these windows. The same seed gives the same network, whatever was drawn before.

    With `trainer.patience` the last windows of every series are held out: they tell when to stop, and what a point
    forecast misses by; without, the windows that were learnt from do. `like` has its spread taken over. `name` is that
    of the network's own folder in that of the trainer's checkpoints.
    """
    validation = None
    if trainer.patience:
        windows, validation = hold_out(windows)
    if balance and trainer.sampler is not None:
        raise ValueError(
            "balance= and the trainer's sampler= both say how windows are drawn; give one"
        )
    if balance:
        sampler = Grouped(windows.counts, balance, trainer.seed)
        trainer = dataclasses.replace(trainer, sampler=sampler)
    if trainer.checkpoint is not None:
        trainer = dataclasses.replace(trainer, checkpoint=str(Path(trainer.checkpoint) / name))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(trainer.seed)
        task = build(layout, head).to(windows.values.dtype)
    history = trainer.fit(task, windows, validation=validation)
    task.eval()
    device = next(task.parameters()).device
    spread = like.spread if like else None
    if head.constant_spread and like is None:
        spread = _spread(task, head, validation or windows, device)
    weights = {name: w.detach().cpu().numpy() for name, w in task.state_dict().items()}
    return Network(weights, spread, history, like.history if like else None)


def train_members(
    windows: Windows,
    layout: Layout,
    build: Build,
    head: Head,
    trainer: Trainer,
    *,
    balance: float,
    name: str,
    members: int,
    guided: bool,
) -> list[Network]:
    """An ensemble over seeds; after Ctrl-C those that are there.

    Where nobody says how long to train (not `guided`) and windows are few, a first network does not see the last ones:
    after how many steps it is best on them is how long the others, which see all, are trained; and what it misses them
    by is their spread.
    """
    scout = None
    if not guided and len(windows) <= SMALL and _held_out(windows)[0].any():
        patient = dataclasses.replace(trainer, patience=PATIENCE, evaluate_every=EVERY)
        scout = train(windows, layout, build, head, patient, balance=balance, name=f"{name}-scout")
        if scout.history.stopped == "interrupted":
            return [scout]
        trainer = dataclasses.replace(trainer, steps=scout.history.best_step or EVERY)
    networks: list[Network] = []
    for member in range(members):
        seeded = dataclasses.replace(trainer, seed=trainer.seed + member)
        options = {"balance": balance, "name": f"{name}-{member}", "like": scout}
        networks.append(train(windows, layout, build, head, seeded, **options))  # type: ignore[arg-type]
        if networks[-1].history.stopped == "interrupted":
            break
    return networks


def hold_out(windows: Windows) -> tuple[Windows, Windows]:
    """Windows to learn from, and to validate on: the last of every series, whose targets are new to the first."""
    last, skip = _held_out(windows)
    if not last.any():
        raise ValueError(
            "patience= holds out the last windows of every series, but the longest one has only "
            f"{windows.counts.max()} windows of {windows.lags} rows and {windows.horizon} steps ahead, and at least "
            f"{2 * windows.horizon} are needed; look back less far, or leave patience out"
        )
    return windows.cut(skip=skip), windows.cut(last=last)


def _held_out(windows: Windows) -> tuple[Array, Array]:
    """How many windows of every series are held out, and how many are not learnt from; none of what is too short."""
    counts = windows.counts
    last = np.ones_like(counts)
    if np.count_nonzero(counts) < FEW:
        last = np.maximum(1, np.rint(HELD_OUT * counts).astype(np.int64))
    skip = last - 1 + windows.horizon
    enough = counts >= 2 * skip
    return np.where(enough, last, 0), np.where(enough, skip, 0)


def _spread(
    task: WindowForecast, head: Head, windows: Windows, device: torch.device
) -> Array | None:
    """What a point forecast misses by, in units of the window's scale, for every step ahead and channel."""
    count = len(windows)
    chosen = (
        torch.arange(count)
        if count <= RESIDUALS
        else torch.linspace(0, count - 1, RESIDUALS).long()
    )
    windows = windows.to(device)
    errors, seen = [], []
    with torch.no_grad():
        for part in chosen.split(ROWS):
            batch = windows.batch(part.to(device))
            raw, level, scale = task(batch)
            errors.append((batch.target - head.point(raw, level, scale)) / scale)
            seen.append(
                torch.ones_like(errors[-1]) if batch.target_seen is None else batch.target_seen
            )
    spread = head.spread(torch.cat(errors), torch.cat(seen).bool())
    return None if spread is None else spread.cpu().numpy()


Tasks = list[
    tuple[Callable[[], WindowForecast], Array | None]
]  # how to make each network, and its spread


def answers(
    tasks: Tasks, groups: Array, take: Callable[..., Any], *, first: bool = False
) -> tuple[Array, Array, Array, Array]:
    """Raw numbers (N, h, C, size), levels (N, h, C), scales (N, h, C) and spreads (N, h, C) of windows 0 .. N - 1.

    groups : which network answers for each window. take : a batch of some of them. first : only the first step.
    """
    out: list[Array] = []
    for g, (make, spread) in enumerate(tasks):
        numbers = np.flatnonzero(groups == g)
        task = make()
        with torch.no_grad():
            for start in range(0, len(numbers), ROWS):
                part = numbers[start : start + ROWS]
                raw, level, scale = task(_batch(take, part, task))
                shape = raw.shape[:3]
                wide = [raw, level.expand(shape), scale.expand(shape)]
                found = [a.double().cpu().numpy()[:, : 1 if first else None] for a in wide]
                known = np.nan if spread is None else spread[: 1 if first else None]
                found.append(np.broadcast_to(known, found[1].shape))
                if not out:
                    out = [np.full((len(groups), *a.shape[1:]), np.nan) for a in found]
                for whole, a in zip(out, found, strict=True):
                    whole[part] = a
    if not out:
        raise ValueError(
            "x is too short for the network: it has no window of the model's lags; give a longer x"
        )
    return out[0], out[1], out[2], out[3]


def _batch(
    take: Callable[..., Any], numbers: Array, task: WindowForecast, start: int = 0
) -> WindowBatch:
    """The windows of these numbers on the device of the task."""
    made = take(numbers, task.layout, start)
    weight = task.readout.weight
    if isinstance(made, WindowBatch):
        return WindowBatch._make(None if a is None else a.to(weight.device) for a in made)
    tensors = {
        k: None if a is None else torch.from_numpy(np.ascontiguousarray(a)).to(weight)
        for k, a in made.items()
    }
    return WindowBatch(target=None, target_seen=None, **tensors)  # type: ignore[arg-type]


class Appended:
    """A walk along what is drawn, which is the end of the window for what is drawn next."""

    def __init__(self, part: Array):
        self.past: torch.Tensor | None = None
        self.seen: torch.Tensor | None = None

    def window(self, batch: WindowBatch, block: int) -> WindowBatch:
        """The batch with the window that ends here."""
        if self.past is None:
            self.past, self.seen = batch.past, batch.past_seen
        return batch._replace(past=self.past, past_seen=self.seen)

    def on(self, drawn: torch.Tensor) -> Array:
        """Go on along what was drawn for the next rows, (B, block, C), which comes back as values."""
        assert self.past is not None
        lags = self.past.shape[1]
        self.past = torch.cat([self.past, drawn], 1)[:, -lags:]
        if self.seen is not None:
            self.seen = torch.cat([self.seen, torch.ones_like(drawn)], 1)[:, -lags:]
        return drawn.double().cpu().numpy()


def sampled(
    tasks: Tasks, groups: Array, ahead: Any, horizon: int, draws: int, seed: int,
    walk: Callable[[Array], Any] = Appended,
) -> Array:  # fmt: skip
    """Continuations (draws, series, horizon, C), block by block.

    Each block is drawn from the network's forecast of the window that `walk`, one for some numbers of series, has come
    to, and goes in as what follows. Rows are taken a few thousand at once, which stay in the cache.
    """
    paths: Array | None = None
    for g, (make, spread) in enumerate(tasks):
        task = make()
        weight, block = task.readout.weight, task.layout.horizon
        generator = torch.Generator(weight.device).manual_seed(seed_of(seed, g))
        known = None if spread is None else torch.from_numpy(spread).to(weight)
        numbers = np.repeat(np.flatnonzero(groups == g), draws)
        for begin in range(0, len(numbers), ROWS):
            part = numbers[begin : begin + ROWS]
            here, drawn = walk(part), []
            for start in range(0, horizon, block):
                batch = here.window(_batch(ahead.take, part, task, start), block)
                with torch.no_grad():
                    raw, level, scale = task(batch)
                    level = level.expand(raw.shape[:3])
                    found = task.head.sample(raw, level, scale, generator, known)
                drawn.append(here.on(found))
            whole = np.concatenate(drawn, 1)[:, :horizon]
            if paths is None:
                paths = np.empty((len(groups) * draws, *whole.shape[1:]))
            order = part * draws + (np.arange(begin, begin + len(part)) % draws)
            paths[order] = whole
    assert paths is not None
    return np.swapaxes(paths.reshape(len(groups), draws, *paths.shape[1:]), 0, 1)
