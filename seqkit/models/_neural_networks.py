"""Trained networks as arrays: how they are made, and how they answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from seqkit.persistence import Record
from seqkit.tasks.forecasting import Layout, WindowForecast
from seqkit.tasks.windows import Rows, WindowBatch, Windows
from seqkit.training import Grouped, History, Trainer

from ._neural_data import ENOUGH

if TYPE_CHECKING:
    from seqkit.nn.heads import Head

Array = np.ndarray
Build = Callable[[Layout], tuple[torch.nn.Module, bool]]
ROWS = 2048  # windows at once when forecasting: more would leave the cache
RESIDUALS = 4096  # windows that the spread of a point forecast is learnt from
FEW = 16  # series: with fewer, more than the last window of each is held out
HELD_OUT = 0.15  # of the windows, then
SMALL = 5000  # windows: with more, a network hardly learns them by heart
PATIENCE, EVERY = (
    10,
    20,
)  # evaluations, and steps between them, of the network that tells how long to train


class Network(Record):
    """One trained network: its weights by name, and what its point forecasts miss by."""

    def __init__(
        self, weights: dict[str, Array], floor: float, spread: Array | None, history: History
    ):
        self.weights, self.floor, self.spread, self.history = weights, floor, spread, history

    def task(
        self, build: Build, head: Head, layout: Layout, device: torch.device
    ) -> WindowForecast:
        """The network itself, ready to forecast; made without drawing initial weights."""
        with torch.device("meta"):
            task = _assemble(build, head, layout, self.floor)
        weights = {name: torch.from_numpy(w).to(device) for name, w in self.weights.items()}
        task.load_state_dict(weights, assign=True)
        return task.eval()


def _assemble(build: Build, head: Head, layout: Layout, floor: float) -> WindowForecast:
    core, flat = build(layout)
    return WindowForecast(core, head, layout, flat=flat, floor=floor)


def train(
    rows: Rows,
    layout: Layout,
    build: Build,
    head: Head,
    trainer: Trainer,
    *,
    balance: float,
    like: Network | None = None,
) -> Network:
    """A network for these rows. The same seed gives the same network, whatever was drawn before.

    With `trainer.patience` the last windows of every series are held out: they tell when to stop, and what a point
    forecast misses by; without, the windows that were learnt from do. `like` has its spread taken over.
    """
    dtype = torch.float64 if trainer.precision == "float64" else torch.float32
    windows, validation = _windows(rows, layout, dtype), None
    if trainer.patience:
        windows, validation = hold_out(rows, layout, dtype)
    floor = least_scale(rows)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(trainer.seed)
        task = _assemble(build, head, layout, floor).to(dtype)
    if balance:
        sampler = Grouped(windows.counts, balance, trainer.seed)
        trainer = trainer_with(trainer, sampler=sampler)
    history = trainer.fit(task, windows, validation=validation)
    task.eval()
    device = next(task.parameters()).device
    spread = like.spread if like else _spread(task, head, validation or windows, device)
    weights = {name: w.detach().cpu().numpy() for name, w in task.state_dict().items()}
    return Network(weights, floor, spread, history)


def train_unguided(
    rows: Rows,
    layout: Layout,
    build: Build,
    head: Head,
    trainer: Trainer,
    *,
    balance: float,
    members: int,
) -> list[Network]:
    """Networks whose length of training the data tell, where they are few.

    A first network does not see the last windows: after how many steps it is best on them is how long the others, which
    see all windows, are trained; and what it misses them by is their spread. With many windows, or too few to hold any
    out, all are trained for as long as the trainer says.
    """
    windows = _windows(rows, layout, torch.float32)
    scout = None
    if len(windows) <= SMALL and _can_hold_out(rows, layout):
        patient = trainer_with(trainer, patience=PATIENCE, evaluate_every=EVERY)
        scout = train(rows, layout, build, head, patient, balance=balance)
        best = scout.history.best_step or EVERY
        trainer = trainer_with(trainer, steps=best, warmup=min(trainer.warmup, best // 4))
    return [
        train(
            rows,
            layout,
            build,
            head,
            trainer_with(trainer, seed=trainer.seed + m),
            balance=balance,
            like=scout,
        )
        for m in range(members)
    ]


def trainer_with(trainer: Trainer, **changes: Any) -> Trainer:
    """A copy of the trainer with other settings."""
    return type(trainer)(**{**trainer.get_params(deep=False), **changes})


def _windows(rows: Rows, layout: Layout, dtype: torch.dtype, **cut: Any) -> Windows:
    return Windows(rows, layout.lags, layout.horizon, dtype=dtype, **cut)


def hold_out(rows: Rows, layout: Layout, dtype: torch.dtype) -> tuple[Windows, Windows]:
    """Windows to learn from, and to validate on: the last of every series, whose targets are new to the first."""
    most, last, skip = _held_out(rows, layout)
    if most <= skip:
        length = int(np.diff(rows.offsets).max())
        raise ValueError(
            f"patience= holds out the last {skip} origins of every series, and the longest one, of {length} steps, has "
            f"only {most} windows of {layout.lags} lags and {layout.horizon} steps ahead; shorten lags, or leave "
            "patience out"
        )
    return _windows(rows, layout, dtype, skip=skip), _windows(rows, layout, dtype, last=last)


def _held_out(rows: Rows, layout: Layout) -> tuple[int, int, int]:
    """Windows of the longest series, how many of its last ones are held out, and how many are not learnt from."""
    windows = _windows(rows, layout, torch.float32)
    most = int(windows.counts.max(initial=0))
    last = 1 if len(windows.series) >= FEW else max(1, round(HELD_OUT * most))
    return most, last, last - 1 + layout.horizon


def _can_hold_out(rows: Rows, layout: Layout) -> bool:
    """Whether at least as many windows are left to learn from as are not."""
    most, _, skip = _held_out(rows, layout)
    return most >= 2 * skip


def least_scale(rows: Rows) -> float:
    """A hundredth of the smallest spread that a series has: below it a window counts as constant."""
    spreads = []
    with np.errstate(invalid="ignore"):
        for start, end in zip(rows.offsets[:-1], rows.offsets[1:], strict=True):
            part = rows.values[start : end : max(1, (end - start) // ENOUGH)]
            seen = ~np.isnan(part)
            if seen.sum() > 1:
                away = np.abs(part[seen] - np.median(part[seen]))
                spreads.append(float(np.median(away) or away.mean()))  # one outlier says nothing
    positive = [s for s in spreads if s > 0]
    return 0.01 * min(positive) if positive else 1e-6  # any small number: nothing ever changed


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


def sampled(tasks: Tasks, groups: Array, ahead: Any, horizon: int, draws: int, seed: int) -> Array:
    """Continuations (draws, series, horizon, C), block by block.

    Each block is drawn from the network's forecast and goes in as the past of the next one. Rows are taken a few
    thousand at once, which stay in the cache.
    """
    paths: Array | None = None
    for g, (make, spread) in enumerate(tasks):
        task = make()
        weight, lags = task.readout.weight, task.layout.lags
        generator = torch.Generator(weight.device).manual_seed(seed)
        known = None if spread is None else torch.from_numpy(spread).to(weight)
        numbers = np.repeat(np.flatnonzero(groups == g), draws)
        for begin in range(0, len(numbers), ROWS):
            part = numbers[begin : begin + ROWS]
            batch = _batch(ahead.take, part, task)
            drawn: list[torch.Tensor] = []
            with torch.no_grad():
                for start in range(0, horizon, task.layout.horizon):
                    if start:
                        later = _batch(ahead.take, part, task, start)
                        past = torch.cat([batch.past, drawn[-1]], 1)[:, -lags:]
                        seen = batch.past_seen
                        if seen is not None:
                            seen = torch.cat([seen, torch.ones_like(drawn[-1])], 1)[:, -lags:]
                        batch = later._replace(past=past, past_seen=seen)
                    raw, level, scale = task(batch)
                    drawn.append(
                        task.head.sample(raw, level.expand(raw.shape[:3]), scale, generator, known)
                    )
            whole = torch.cat(drawn, 1)[:, :horizon].double().cpu().numpy()
            if paths is None:
                paths = np.empty((len(groups) * draws, *whole.shape[1:]))
            order = part * draws + (np.arange(begin, begin + len(part)) % draws)
            paths[order] = whole
    assert paths is not None
    return np.swapaxes(paths.reshape(len(groups), draws, *paths.shape[1:]), 0, 1)
