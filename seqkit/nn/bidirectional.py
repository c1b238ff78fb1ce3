"""Both directions of time: one causal core forwards, a second one backwards."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn


class BothDirections(nn.Module):
    r"""Two causal cores, one of which reads from the end, (batch, time, inputs) to (batch, time, size).

        y_t = [forwards(x_1 .. x_t), backwards(x_T .. x_t)]        merge="concat", size is that of both together
        y_t =  forwards(x_1 .. x_t) + backwards(x_T .. x_t)        merge="sum"

    Every output sees the whole sequence, so this is no causal core: it has neither `initial` nor `step`, and
    nothing that goes on in time can be built on it. The end of a sequence is that of its mask: padding
    changes nothing. `seqkit.nn.Bidirectional` builds such cores.

    Parameters
    ----------
    forwards, backwards : causal cores of the same inputs and size.
    merge : "concat" or "sum".

    Attributes
    ----------
    inputs, size : widths of what comes in and out. outputs : None, there is no last linear layer.
    causal : False. receptive_field : steps that an output sees, 2 r - 1 where a direction sees r.

    Raises ValueError for another `merge` and cores that differ; TypeError for a core that is not causal.
    Source: Schuster, Paliwal (1997).

    >>> from seqkit.nn import LSTM, Bidirectional
    >>> Bidirectional(LSTM(8)).build(3)(torch.zeros(2, 5, 3)).shape
    torch.Size([2, 5, 16])
    """

    causal = False
    outputs = None

    def __init__(
        self,
        forwards: nn.Module,
        backwards: nn.Module,
        *,
        merge: Literal["concat", "sum"] = "concat",
    ):
        super().__init__()
        if merge not in ("concat", "sum"):
            raise ValueError(f'merge must be "concat" or "sum", got {merge!r}')
        for core in (forwards, backwards):
            if not getattr(core, "causal", False):
                raise TypeError(
                    f"a direction must be a causal core, got {type(core).__name__}, which is not"
                )
        widths = [(core.inputs, core.size) for core in (forwards, backwards)]
        if widths[0] != widths[1]:
            raise ValueError(
                f"the directions map {widths[0][0]} to {widths[0][1]} and {widths[1][0]} to "
                f"{widths[1][1]} features; they must be alike"
            )
        self.forwards, self.backwards, self.merge = forwards, backwards, merge
        self.inputs, size = widths[0]
        self.size = 2 * size if merge == "concat" else size  # type: ignore[operator]
        self.receptive_field = 2 * forwards.receptive_field - 1  # type: ignore[operator]

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """(batch, time, inputs) to (batch, time, size); `mask` (batch, time) is False where x is padding."""
        there = self.forwards(x, mask)
        back = self.backwards(x.flip(1), None if mask is None else mask.flip(1)).flip(1)
        return torch.cat([there, back], -1) if self.merge == "concat" else there + back

    def extra_repr(self) -> str:
        return f"merge={self.merge!r}"
