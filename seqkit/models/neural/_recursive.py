"""Networks that go step by step: where they stand at the end of every series, and how they go on from there.

Where a network stands is a tuple of arrays, one row a series: the tensors of the core's state, which has read all rows
but the last, then the level and the scale of the window that it began with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqkit.nn.stepping import stepper
from seqkit.tasks.recursive import RecursiveForecast
from seqkit.training.sampling import seed_of

from ._data import Array, Encoding, Tail
from ._networks import ROWS

Tasks = list[tuple[Callable[[], RecursiveForecast], Array | None]]  # how to make each, its spread
Standing = tuple[Array, ...]


class StepEncoding(Encoding):
    """Features of dates stand among the inputs known ahead: both go in step by step."""

    def rows(self, *args: Any, **options: Any) -> dict[str, Any]:
        made = super().rows(*args, **options)
        made["inputs"] = _beside(made.get("inputs"), made.pop("calendar"))
        return made

    def future(self, covariates: Array | None, calendars: list[Any]) -> Array | None:
        """What is known of the steps ahead, (rows, steps, inputs)."""
        found = _beside(*self.known_ahead(covariates, calendars))
        return None if found is None else np.repeat(found, self.copies, axis=0)


class Walk:
    """The end of every series, and the networks (of one member of an ensemble) that go on from there.

    Parameters
    ----------
    tasks : the networks. groups : (rows,), which of them is asked for each row.
    tail : the last rows of every series. static : (rows, S), or None.
    """

    def __init__(self, tasks: Tasks, groups: Array, tail: Tail, static: Array | None):
        self.tasks, self.groups, self.static = tasks, groups, static
        self.past, self.seen, self.inputs, _ = tail.window()

    def read(self, rows: Array) -> Standing:
        """Where the networks stand once they have read the windows of these rows."""
        found: list[Array] = []
        with torch.no_grad():
            for task, _, numbers in self._networks(rows):
                for part in np.array_split(numbers, -(-len(numbers) // ROWS)):
                    at = rows[part]
                    state, *moments = task.start(
                        *self._tensors(task, self.past, self.seen, self.inputs, self.static, at=at)
                    )
                    _put(found, [*leaves(state), *moments], part, len(rows))
        return tuple(found)

    def advance(self, standing: Standing, new: dict[str, Any]) -> Standing:
        """Where they stand once the rows `new` have followed; a series may have none."""
        starts, lengths = new["offsets"][:-1], np.diff(new["offsets"])
        rows = np.flatnonzero(lengths)
        after = [a.copy() for a in standing]
        with torch.no_grad():
            for task, _, numbers in self._networks(rows):
                at = rows[numbers]
                state, shift, scale = self._stand(task, standing, at)
                recent, seen, static = self._tensors(
                    task, self.past[:, -task.memory :], self.seen[:, -1], self.static, at=at
                )
                for t in range(int(lengths[at].max())):
                    row = starts[at] + np.minimum(t, lengths[at] - 1)
                    going = lengths[at] > t
                    value, inputs = self._tensors(task, new["values"], new["inputs"], at=row)
                    mask = None if going.all() else torch.from_numpy(going).to(recent.device)
                    _, _, state = task.step(recent, seen, inputs, static, shift, scale, state, mask)
                    seen = (~value.isnan()).to(value.dtype)
                    value = torch.where(value.isnan(), recent[:, -1], value)
                    recent = torch.cat([recent[:, 1:], value.unsqueeze(1)], 1)
                for array, leaf in zip(after, leaves(state), strict=False):
                    array[at] = leaf.cpu().numpy()
        return tuple(after)

    def next(self, standing: Standing, future: Array | None) -> tuple[Array, Array, Array, Array]:
        """Raw numbers (rows, 1, C, size), level, scale and spread (rows, 1, C) of the next step."""
        found: list[Array] = []
        rows = np.arange(len(self.groups))
        with torch.no_grad():
            for task, spread, numbers in self._networks(rows):
                for part in np.array_split(numbers, -(-len(numbers) // ROWS)):
                    state, shift, scale = self._stand(task, standing, part)
                    recent, seen, inputs, static = self._tensors(
                        task, *self._ends(task), _first(future), self.static, at=part
                    )
                    raw, level, _ = task.step(recent, seen, inputs, static, shift, scale, state)
                    shape = (len(part), 1, raw.shape[1])
                    known = raw.new_tensor(np.nan if spread is None else spread)
                    moments = (level.unsqueeze(1), scale.expand(shape), known.expand(shape))
                    _put(found, [raw.unsqueeze(1), *moments], part, len(rows), np.float64)
        return found[0], found[1], found[2], found[3]

    def paths(
        self, standing: Standing, future: Array | None, horizon: int, draws: int, seed: int
    ) -> Array:
        """Continuations (draws, rows, horizon, C); a few thousand at once, which stay in the cache."""
        found: list[Array] = []
        rows = np.arange(len(self.groups))
        with torch.no_grad():
            for g, (task, spread, numbers) in enumerate(self._networks(rows)):
                generator = torch.Generator(task.readout.weight.device).manual_seed(
                    seed_of(seed, g)
                )
                known = None if spread is None else torch.from_numpy(spread).to(task.readout.weight)
                for part in np.array_split(numbers, -(-len(numbers) * draws // ROWS)):
                    if not len(part):
                        continue
                    at = np.repeat(part, draws)
                    stand = self._stand(task, standing, at)
                    given = self._tensors(task, *self._ends(task), future, self.static, at=at)
                    drawn = _drawn(task, stand, given, horizon, generator, known)
                    _put(found, [drawn.unflatten(0, (len(part), draws))], part, len(rows), float)
        return np.swapaxes(found[0], 0, 1)

    def _ends(self, task: RecursiveForecast) -> tuple[Array, Array]:
        """The last rows of every series, as many as a step reads, and whether the last one is observed."""
        return self.past[:, -task.memory :], self.seen[:, -1]

    def _networks(self, rows: Array) -> Iterator[tuple[RecursiveForecast, Array | None, Array]]:
        """Every network that is asked for some of these rows, its spread, and which of them."""
        for g, (make, spread) in enumerate(self.tasks):
            numbers = np.flatnonzero(self.groups[rows] == g)
            if len(numbers):
                yield make(), spread, numbers

    def _stand(
        self, task: RecursiveForecast, standing: Standing, at: Array
    ) -> tuple[Any, Tensor, Tensor]:
        *inside, shift, scale = self._tensors(task, *standing, at=at)
        return nested(task.core.initial(1), iter(inside)), shift, scale  # type: ignore[operator]

    def _tensors(self, task: RecursiveForecast, *arrays: Array | None, at: Array) -> list[Any]:
        """These rows of arrays on the device of the network."""
        return [
            None if a is None else torch.from_numpy(a[at]).to(task.readout.weight) for a in arrays
        ]


def _drawn(
    task: RecursiveForecast,
    stand: tuple[Any, Tensor, Tensor],
    given: list[Any],
    horizon: int,
    generator: torch.Generator,
    spread: Tensor | None,
) -> Tensor:
    """One path for every row, (B, horizon, C)."""
    state, shift, scale = stand
    recent, seen, future, static = given
    memory = recent.shape[1]
    path = torch.cat([recent, recent.new_empty(len(recent), horizon, recent.shape[2])], 1)
    through = stepper(task.core)
    for t in range(horizon):
        inputs = None if future is None else future[:, t]
        before = path[:, t : t + memory]
        given_now = (before, seen, inputs, static, shift, scale, state)
        raw, level, state = task.step(*given_now, through=through)
        raw, level = raw.unsqueeze(1), level.unsqueeze(1)
        path[:, memory + t] = task.head.sample(raw, level, scale, generator, spread)[:, 0]
        seen = torch.ones_like(seen)
    return path[:, memory:]


def split(rows: dict[str, Any], cut: Array) -> tuple[dict[str, Any], dict[str, Any]]:
    """The first `cut` rows of every series, and the others."""
    lengths = np.diff(rows["offsets"])
    number = np.arange(rows["offsets"][-1]) - np.repeat(rows["offsets"][:-1], lengths)
    first = number < np.repeat(cut, lengths)

    def part(chosen: Array, counts: Array) -> dict[str, Any]:
        made = {k: None if rows[k] is None else rows[k][chosen] for k in ("values", "inputs")}
        return made | {"offsets": np.concatenate([[0], np.cumsum(counts)])}

    return part(first, cut), part(~first, lengths - cut)


def leaves(state: Any) -> list[Tensor]:
    """The tensors of a state."""
    if isinstance(state, Tensor):
        return [state]
    return [leaf for part in state for leaf in leaves(part)]


def nested(like: Any, parts: Iterator[Tensor]) -> Any:
    """Tensors arranged as those of another state."""
    if isinstance(like, Tensor):
        return next(parts)
    return tuple(nested(part, parts) for part in like)


def _put(
    whole: list[Array], parts: Iterable[Tensor], rows: Array, count: int, dtype: Any = None
) -> None:
    """Write these rows of arrays that are made when the first ones come."""
    arrays = [p.cpu().numpy() for p in parts]
    if not whole:
        whole += [np.empty((count, *a.shape[1:]), dtype or a.dtype) for a in arrays]
    for to, array in zip(whole, arrays, strict=True):
        to[rows] = array


def _first(future: Array | None) -> Array | None:
    return None if future is None else future[:, 0]


def _beside(a: Array | None, b: Array | None) -> Array | None:
    if a is None or b is None:
        return b if a is None else a
    return np.concatenate([a, b], axis=-1)
