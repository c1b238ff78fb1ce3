"""What a generator is asked, row by row, and what its network says of whole sequences, stretch by stretch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from seqkit.data.sequences import Array

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from seqkit.tasks.one_to_many import OneToMany
    from seqkit.tasks.ragged import Ragged


class Stretch(NamedTuple):
    """What the network says of some steps of some sequences."""

    raw: Tensor  # (batch, time, ..), of the laws
    values: Tensor  # (batch, time, ...), what came
    mask: Tensor | None  # (batch, time), False where a sequence is over
    last: Tensor | None  # (batch, time), True at the end of each; None where sequences do not end
    numbers: Array  # (batch,), of the sequences
    start: int  # steps before these


def stretches(
    task: OneToMany, batch: dict[str, Any], numbers: Array, size: int
) -> Iterator[Stretch]:
    """The sequences of a batch, `size` steps at a time; the state goes on in between."""
    import torch

    from seqkit.nn.recurrent import Recurrent
    from seqkit.tasks._next_step import last_of

    values, _, mask = batch["values"]
    fed, last = task.before(values), None
    if task.steps.ends:
        every = torch.ones(values.shape[:2], dtype=torch.bool, device=values.device)
        last = last_of(every if mask is None else mask)
    state = None
    for start in range(0, values.shape[1], size):
        part = slice(start, start + size)
        there = None if mask is None else mask[:, part]
        with torch.no_grad():
            if state is None:
                state = task.initial(len(values), task.condition(batch))
            # padding comes last, where no recurrent core can see it
            seen = None if isinstance(task.core, Recurrent) else there
            h, state = task.scan(fed[:, part], state, seen)
            raw = task.steps.read(h)
        yield Stretch(
            raw, values[:, part], there, None if last is None else last[:, part], numbers, start
        )


class Part(NamedTuple):
    """Where the writing of some sequences begins."""

    state: Any
    fed: Tensor  # (batch, ...), the step that is fed first
    begun: list[Array | None]  # what each begins with, as it was given


class Asked:
    """`n` sequences to be written: how each begins, and its condition; one entry is for all.

    Parameters
    ----------
    begun : beginnings, n of them or one; None for nothing. codes : conditions, likewise.
    given : the beginnings as the caller gave them, values (time, channels) each.
    """

    def __init__(self, n: int, begun: Ragged | None, codes: Any, given: list[Array]):
        self.n, self.begun, self.codes, self.given = n, begun, codes, given

    def parts(self, task: OneToMany, size: int) -> Iterator[Part]:
        """At most `size` of them at a time, in order."""
        for start in range(0, self.n, size):
            yield self._part(task, np.arange(start, min(start + size, self.n)))

    def _part(self, task: OneToMany, rows: Array) -> Part:
        import torch

        device = task.seen.device
        batch = {}
        if self.codes is not None:
            chosen = (
                self.codes[rows] if len(self.codes) > 1 else np.repeat(self.codes, len(rows), 0)
            )
            batch["condition"] = torch.from_numpy(chosen).to(device)
        with torch.no_grad():
            state = task.initial(len(rows), task.condition(batch))
            if self.begun is None:
                return Part(
                    state,
                    task.steps.start(torch.empty(len(rows), device=device)),
                    [None] * len(rows),
                )
            index = torch.from_numpy(rows if len(self.begun) > 1 else np.zeros_like(rows))
            values, lengths, _ = self.begun.take(index)
            state, fed = task.read(state, values.to(device), lengths.to(device))
        return Part(state, fed, [self.given[i] for i in index.tolist()])


def new_generator(device: torch.device, seed: int) -> torch.Generator:
    """A stream of random numbers of its own.

    Raises TypeError for a seed that is no whole number.
    """
    import torch

    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
        raise TypeError(f"seed must be a whole number, got {seed!r}")
    return torch.Generator(device).manual_seed(int(seed))
