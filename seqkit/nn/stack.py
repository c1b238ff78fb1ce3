"""Cores one upon the other."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from .layers import check_dropout

State = tuple[Any, ...]


class CoreStack(nn.Module):
    r"""Cores each of which reads what the one below it says, (batch, time, inputs) to (batch, time, size).

        h^0 = x,    h^l = core_l(h^{l-1}),    y = h^L

    Layers that look both ways meet at every level here: the second one sees the whole sequence at every step of both
    its directions. `seqkit.nn.Stack` builds such cores.

    Parameters
    ----------
    cores : from the lowest to the highest, each with as many inputs as the one below has outputs.
    dropout : share of what goes from one to the next set to zero in training.

    Attributes
    ----------
    inputs, size : widths of what comes in and out. outputs : None, there is no last linear layer.
    causal : whether all cores are; then there are `initial` and `step`. receptive_field : steps that an output sees.

    Raises ValueError for no core, for widths that do not fit each other and for shares outside [0, 1).
    Source: Graves, Mohamed, Hinton (2013).

    >>> import torch
    >>> from seqkit.nn import LSTM, Bidirectional, Stack
    >>> deep = Stack((Bidirectional(LSTM(8)), Bidirectional(LSTM(4)))).build(3)
    >>> deep(torch.zeros(2, 5, 3)).shape, deep.causal
    (torch.Size([2, 5, 8]), False)
    """

    outputs = None

    def __init__(self, cores: Sequence[nn.Module], *, dropout: float = 0.0):
        super().__init__()
        if not cores:
            raise ValueError("a stack needs at least one core, got none")
        check_dropout(dropout)
        for below, above in pairwise(cores):
            if below.size != above.inputs:
                raise ValueError(
                    f"a core of {above.inputs} inputs stands on one of {below.size} outputs; they must be as many"
                )
        self.cores, self.dropout = nn.ModuleList(cores), nn.Dropout(dropout)
        self.inputs, self.size = cores[0].inputs, cores[-1].size
        self.causal = all(getattr(core, "causal", False) for core in cores)
        self.receptive_field = 1 + sum(core.receptive_field - 1 for core in cores)  # type: ignore[operator, misc]

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """(batch, time, inputs) to (batch, time, size); `mask` (batch, time) is False where x is padding."""
        return self.cores[-1](self.below(x, mask), mask)

    def below(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """What the highest core reads, (batch, time, its inputs)."""
        for core in self.cores[:-1]:  # type: ignore[index]
            x = self.dropout(core(x, mask))
        return x

    def initial(self, batch: int) -> State:
        """The state before the first step, of each core; none where a core looks ahead."""
        if not self.causal:
            raise TypeError("a stack that looks ahead has no state; it needs the whole sequence")
        return tuple(core.initial(batch) for core in self.cores)  # type: ignore[operator]

    def step(self, x_t: Tensor, state: State, mask: Tensor | None = None) -> tuple[Tensor, State]:
        """One step, (batch, inputs) to (batch, size), and the state after it; `state` is left as it is."""
        after = []
        for i, (core, before) in enumerate(zip(self.cores, state, strict=True)):
            x_t, now = core.step(self.dropout(x_t) if i else x_t, before, mask)  # type: ignore[operator]
            after.append(now)
        return x_t, tuple(after)
