"""Causal cores without a state of their own, read piece by piece all the same."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from seqkit.nn.stack import CoreStack

Window = tuple[
    Tensor, Tensor
]  # the last inputs (batch, reach, inputs), and whether they exist (batch, reach)


def carried(core: nn.Module) -> nn.Module:
    """`core` where it has ``scan`` and ``initial``, else with the inputs that it still sees as its state.

    Raises TypeError for a core that looks ahead, or whose receptive field has no end.

    >>> from seqkit.nn import LSTM, TDNN
    >>> carried(TDNN((4, 4), kernel=3).build(2)).reach, type(carried(LSTM(4).build(2))).__name__
    (6, 'Recurrent')
    """
    if not getattr(core, "causal", False):
        raise TypeError(
            f"what goes on in time cannot be built on {type(core).__name__}: it looks ahead, at steps that are not "
            "there yet; use a causal core such as seqkit.nn.LSTM(64)"
        )
    if isinstance(core, CoreStack):
        return CarriedStack([carried(part) for part in core.cores], dropout=core.dropout.p)
    return core if hasattr(core, "scan") else Windowed(core)


class CarriedStack(CoreStack):
    """Cores one upon the other, each of which goes on from a state of its own.

    >>> from seqkit.nn import GRU, TDNN, Stack
    >>> core, x = Stack((GRU(4), TDNN((4,)))).build(2), torch.ones(1, 9, 2)
    >>> first, state = carried(core).scan(x[:, :4], carried(core).initial(1))
    >>> rest, state = carried(core).scan(x[:, 4:], state)
    >>> torch.allclose(torch.cat([first, rest], 1), core(x), atol=1e-6)
    True
    """

    def scan(
        self, x: Tensor, state: Any = None, mask: Tensor | None = None
    ) -> tuple[Tensor, tuple[Any, ...]]:
        """(batch, time, inputs) to (batch, time, size), and the states after the last step that is not padding."""
        after = []
        for i, (core, before) in enumerate(
            zip(self.cores, state or self.initial(len(x)), strict=True)
        ):
            x, now = core.scan(self.dropout(x) if i else x, before, mask)  # type: ignore[operator]
            after.append(now)
        return x, tuple(after)


class Windowed(nn.Module):
    """A core that sees `reach` + 1 steps, with the last `reach` inputs as the state that it goes on from.

    Parameters
    ----------
    core : a causal core with a finite ``receptive_field``, whose masked steps contribute nothing.

    Attributes
    ----------
    inputs, size : widths of what comes in and out. reach : inputs that are remembered.

    Raises TypeError for a receptive field without end.

    >>> from seqkit.nn import TDNN
    >>> core, x = TDNN((4, 4), kernel=3).build(2), torch.ones(1, 10, 2)
    >>> whole = Windowed(core)
    >>> first, state = whole.scan(x[:, :7])
    >>> rest, state = whole.scan(x[:, 7:], state)
    >>> torch.allclose(torch.cat([first, rest], 1), core(x), atol=1e-6)
    True
    """

    causal = True
    outputs = None

    def __init__(self, core: Any):
        super().__init__()
        field = getattr(core, "receptive_field", 1)
        if field == float("inf"):
            raise TypeError(
                f"{type(core).__name__} sees the past without end, but has no scan(x, state, mask); give it one"
            )
        self.core, self.reach, self.receptive_field = core, int(field) - 1, int(field)
        self.inputs, self.size = core.inputs, core.size

    def initial(self, batch: int) -> Window:
        """The state before the first step: no inputs."""
        weight = next(self.core.parameters())
        past = weight.new_zeros(batch, self.reach, self.inputs)
        return past, torch.zeros(batch, self.reach, dtype=torch.bool, device=weight.device)

    def scan(
        self, x: Tensor, state: Window | None = None, mask: Tensor | None = None
    ) -> tuple[Tensor, Window]:
        """(batch, time, inputs) to (batch, time, size), and the state after the last step that is not padding.

        Padding must follow the steps of a sequence, not come before or between them.
        """
        past, seen = self.initial(len(x)) if state is None else state
        there = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device) if mask is None else mask
        whole, known = torch.cat([past, x], 1), torch.cat([seen, there], 1)
        if not bool(seen.any()):  # nothing came before
            y = self.core(x, mask)
        else:
            y = self.core(whole, None if bool(known.all()) else known)[:, self.reach :]
        kept = there.sum(1, keepdim=True) + torch.arange(self.reach, device=x.device)
        rows = kept.unsqueeze(-1).expand(-1, -1, x.shape[-1])
        return y, (whole.gather(1, rows), known.gather(1, kept))

    def step(self, x_t: Tensor, state: Window, mask: Tensor | None = None) -> tuple[Tensor, Window]:
        """One step, (batch, inputs) to (batch, size), and the state after it."""
        y, after = self.scan(x_t.unsqueeze(1), state, None if mask is None else mask.unsqueeze(1))
        return y[:, 0], after
