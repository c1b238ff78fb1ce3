"""The scan of a cell over time, and stacks of such layers: recurrent cores.

Whole sequences go through torch's kernels (cuDNN on a GPU) wherever the options allow it, and step by step
where they do not; both equal `step` unrolled. The mask rule, that a padded step changes no state and comes
out as zero, lives here and nowhere else: the steps of every sequence are moved together, so that what is
padding comes last, where a causal layer cannot see it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from numbers import Integral
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .cells import Cell, State
from .fused import fused
from .layers import blank, check_dropout, check_mask

StackState = tuple[State, ...]  # of each layer; the first axis of every tensor is the batch


class Recurrent(nn.Module):
    r"""Recurrent layers upon each other, (batch, time, inputs) to (batch, time, size).

        h^0_t = x_t,    h^i_t = cell_i(norm(h^{i-1}_t), h^i_{t-d_i})   (+ h^{i-1}_t with `residual`)

    A padded step changes no state and comes out as zero, so a sequence padded anywhere gives what it gives
    alone. `seqkit.nn.RNN`, `LSTM` and `GRU` build such cores.

    Parameters
    ----------
    cells : one cell per layer, each as wide as the next one's input.
    residual : every layer but the first adds what came into it to what comes out (Wu et al. 2016).
    norm : layer normalisation of what goes into every layer but the first.
    dropout : share of the outputs of every layer set to zero in training, anew at every step, on the way up,
        never on the way through time (Zaremba et al. 2014).
    recurrent_dropout : share of the past that the weights of a cell do not see in training, the same at all
        steps of a sequence (Gal, Ghahramani 2016). It is drawn with the first state, and part of it.
    dilations : one per layer, d_i: how many steps back the state is taken from (Chang et al. 2017); the first
        d_i states are all the initial one. None for 1, 1, ...

    Attributes
    ----------
    inputs, size : widths of what comes in and out. outputs : None, there is no last linear layer.
    causal : True. receptive_field : infinite.

    Raises ValueError for no cell, widths that do not fit together, dropouts outside [0, 1), dilations below 1.

    >>> import torch
    >>> from seqkit.nn import LSTM
    >>> core = LSTM(16, layers=2, learn_initial=True, residual=True).build(3)
    >>> core(torch.zeros(2, 50, 3)).shape
    torch.Size([2, 50, 16])
    """

    causal = True
    outputs = None
    receptive_field = math.inf

    def __init__(
        self,
        cells: Sequence[Cell],
        *,
        residual: bool = False,
        norm: bool = False,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        dilations: Sequence[int] | None = None,
    ):
        super().__init__()
        dilations = [1] * len(cells) if dilations is None else list(dilations)
        _check(cells, residual, dilations)
        check_dropout(dropout)
        check_dropout(recurrent_dropout)
        self.inputs, self.size = cells[0].inputs, cells[-1].hidden
        self.residual, self.dropout = residual, dropout
        layers = [Layer(cell, recurrent_dropout) for cell in cells]
        self.layers: Any = nn.ModuleList(
            layer if d == 1 else Dilated(layer, d)
            for layer, d in zip(layers, dilations, strict=True)
        )
        self.norms: Any = nn.ModuleList(
            nn.LayerNorm(cell.inputs) if norm and i else nn.Identity()
            for i, cell in enumerate(cells)
        )
        alike = len({(cell.kernel, cell.hidden) for cell in cells}) == 1
        plain = not residual and not norm and max(dilations) == 1
        self._joined = alike and plain and cells[0].kernel is not None  # one call for all layers

    @property
    def cells(self) -> list[Cell]:
        """The cells, lowest first."""
        return [layer.cell for layer in self.layers]

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """(batch, time, inputs) to (batch, time, size); `mask` (batch, time) is False where x is padding."""
        self._check_input(x)
        state = self.initial(len(x))
        if mask is None:
            return self._through(x, state, None, final=False)[0]
        x, _, place = together(x, mask)
        return apart(self._through(x, state, None, final=False)[0], place, mask)

    def scan(
        self, x: Tensor, state: StackState | None = None, mask: Tensor | None = None
    ) -> tuple[Tensor, StackState]:
        """`forward` from a given state on (`initial` where None), and the state after the last step.

        With a mask, the state of each sequence is that after its own last step; on a GPU, counting those
        steps waits for the device once.

        >>> import torch
        >>> from seqkit.nn import GRU
        >>> core, x = GRU(4).build(2), torch.ones(1, 10, 2)
        >>> first, state = core.scan(x[:, :6])
        >>> rest, state = core.scan(x[:, 6:], state)
        >>> torch.allclose(torch.cat([first, rest], 1), core(x), atol=1e-6)
        True
        """
        self._check_input(x)
        state = self.initial(len(x)) if state is None else state
        if mask is None:
            return self._through(x, state, None, final=True)
        x, lengths, place = together(x, mask)
        y, state = self._through(x, state, lengths, final=True)
        return apart(y, place, mask), state

    def initial(self, batch: int) -> StackState:
        """The state before the first step, of each layer; the first axis of every tensor is the batch."""
        return tuple(layer.initial(batch) for layer in self.layers)

    def step(
        self, x_t: Tensor, state: StackState, mask: Tensor | None = None
    ) -> tuple[Tensor, StackState]:
        """One step, (batch, inputs) to (batch, size), and the state after it; `state` is left as it is."""
        h, states = blank(x_t, mask), []
        for i, (layer, norm) in enumerate(zip(self.layers, self.norms, strict=True)):
            out, after = layer.step(norm(h), state[i])
            h = self._upwards(out, h, i)
            states.append(after if mask is None else chosen(mask, after, state[i]))
        return blank(h, mask), tuple(states)

    def _through(
        self, x: Tensor, state: StackState, lengths: Tensor | None, *, final: bool
    ) -> tuple[Tensor, StackState]:
        """All layers; the states are right only where `final`, and are those after `lengths` steps."""
        whole = not any(layer.drops(s) for layer, s in zip(self.layers, state, strict=True))
        if self._joined and whole:
            dropout = self.dropout if self.training else 0.0
            y, state = fused(self.cells, x, state, lengths, dropout=dropout)
            return F.dropout(y, dropout) if dropout else y, state
        h, states = x, []
        for i, (layer, norm) in enumerate(zip(self.layers, self.norms, strict=True)):
            out, after = layer.scan(norm(h), state[i], lengths, final=final)
            h = self._upwards(out, h, i)
            states.append(after)
        return h, tuple(states)

    def _upwards(self, out: Tensor, into: Tensor, layer: int) -> Tensor:
        out = F.dropout(out, self.dropout, self.training) if self.dropout else out
        return into + out if self.residual and layer else out

    def _check_input(self, x: Tensor) -> None:
        if x.ndim != 3 or x.shape[-1] != self.inputs or not x.shape[1]:
            raise ValueError(
                f"x has shape {tuple(x.shape)}; a recurrent core needs (batch, time, {self.inputs}) with "
                "at least one step"
            )

    def extra_repr(self) -> str:
        return f"residual={self.residual}, dropout={self.dropout}"


class Layer(nn.Module):
    """One cell over time. In training, with recurrent dropout, the state ends in what is kept of the past."""

    def __init__(self, cell: Cell, recurrent_dropout: float = 0.0):
        super().__init__()
        self.cell, self.recurrent_dropout = cell, recurrent_dropout

    def initial(self, batch: int) -> State:
        state = self.cell.initial(batch)
        if not (self.training and self.recurrent_dropout):
            return state
        return (*state, F.dropout(torch.ones_like(state[0]), self.recurrent_dropout))

    def drops(self, state: State) -> bool:
        """Whether the weights see only a part of the past."""
        return self.training and len(state) > self.cell.states

    def step(self, x_t: Tensor, state: State) -> tuple[Tensor, State]:
        past, kept = self._parts(state)
        h, after = self.cell.step(x_t, past, kept[0] if kept and self.training else None)
        return h, (*after, *kept)

    def scan(
        self, x: Tensor, state: State, lengths: Tensor | None, *, final: bool
    ) -> tuple[Tensor, State]:
        """(batch, time, inputs) to (batch, time, hidden), and the state after `lengths` (batch) steps, or all."""
        if self.cell.kernel is not None and not self.drops(state):
            y, (after,) = fused([self.cell], x, (state,), lengths if final else None)
            return y, after
        past, kept = self._parts(state)
        seen = kept[0] if self.drops(state) else None
        ends = lengths if final else None
        outputs = []
        for t, projected in enumerate(self.cell.project(x).unbind(1)):
            h, after = self.cell.update(projected, past, seen)
            past = after if ends is None else chosen(ends > t, after, past)
            outputs.append(h)
        return torch.stack(outputs, 1), (*past, *kept)

    def _parts(self, state: State) -> tuple[State, State]:
        return state[: self.cell.states], state[self.cell.states :]


class Dilated(nn.Module):
    """A layer whose state is that of d steps before: d sequences that take turns, each (batch, time / d).

    Its state holds those of the last d steps, each tensor (batch, d, hidden), the oldest, whose turn is next, first.
    With recurrent dropout, each of the d sequences has its own draw.
    """

    def __init__(self, layer: Layer, dilation: int):
        super().__init__()
        self.layer, self.dilation = layer, dilation

    @property
    def cell(self) -> Cell:
        return self.layer.cell

    def initial(self, batch: int) -> State:
        state = self.layer.initial(batch * self.dilation)
        return tuple(s.unflatten(0, (batch, self.dilation)) for s in state)

    def drops(self, state: State) -> bool:
        return self.layer.drops(state)

    def step(self, x_t: Tensor, state: State) -> tuple[Tensor, State]:
        h, after = self.layer.step(x_t, tuple(s[:, 0] for s in state))
        moved = (
            torch.cat([s[:, 1:], a.unsqueeze(1)], 1) for s, a in zip(state, after, strict=True)
        )
        return h, tuple(moved)

    def scan(
        self, x: Tensor, state: State, lengths: Tensor | None, *, final: bool
    ) -> tuple[Tensor, State]:
        batch, time, _ = x.shape
        d, turns = self.dilation, -(-time // self.dilation)
        x = F.pad(x, (0, 0, 0, turns * d - time)).unflatten(1, (turns, d))
        even = lengths is None and turns * d == time  # all end together, which is the faster case
        if lengths is None:
            lengths = torch.full((batch,), time, device=x.device)
        own = (lengths.unsqueeze(1) + d - 1 - torch.arange(d, device=x.device)) // d
        y, after = self.layer.scan(
            x.transpose(1, 2).flatten(0, 1),
            tuple(s.flatten(0, 1) for s in state),
            None if even else own.flatten(),
            final=final,
        )
        y = y.unflatten(0, (batch, d)).transpose(1, 2).flatten(1, 2)[:, :time]
        if not final:
            return y, state
        turn = (lengths.unsqueeze(1) + torch.arange(d, device=x.device)) % d
        return y, tuple(
            s.unflatten(0, (batch, d)).gather(1, turn.unsqueeze(-1).expand(-1, -1, s.shape[-1]))
            for s in after
        )

    def extra_repr(self) -> str:
        return f"dilation={self.dilation}"


def together(x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The steps of each sequence moved together, padding (zeros) behind them; their numbers, and where each went."""
    check_mask(x, mask)
    order = torch.argsort(mask.to(torch.int8), dim=1, descending=True, stable=True)
    place = mask.cumsum(1).sub(1).clamp_(min=0)
    return _rows(blank(x, mask), order), mask.sum(1), place


def apart(y: Tensor, place: Tensor, mask: Tensor) -> Tensor:
    """The steps back at their places, zeros between them."""
    return blank(_rows(y, place), mask)


def _rows(x: Tensor, index: Tensor) -> Tensor:
    starts = torch.arange(len(x), device=x.device).unsqueeze(1) * x.shape[1]
    # whole rows, which is three times as fast as gather, forth and back
    flat = x.flatten(0, 1).index_select(0, (index + starts).flatten())
    return flat.view(*index.shape, x.shape[-1])


def chosen(mask: Tensor, after: State, before: State) -> State:
    """States after a step where `mask` (batch) is True, before it elsewhere."""
    return tuple(
        torch.where(mask.view(-1, *[1] * (a.ndim - 1)), a, b)
        for a, b in zip(after, before, strict=True)
    )


def map_state(function: Callable[[Tensor], Tensor], state: Any) -> Any:
    """`function` of every tensor of a state: `torch.Tensor.detach` to cut the gradient between two chunks of a
    series, ``lambda s: s.repeat_interleave(100, 0)`` to draw 100 paths from where each sequence stands.

    >>> import torch
    >>> state = ((torch.zeros(2, 3), torch.ones(2, 3)),)
    >>> map_state(lambda s: s[:1], state)[0][1].shape
    torch.Size([1, 3])
    """
    if isinstance(state, Tensor):
        return function(state)
    return tuple(map_state(function, part) for part in state)


def _check(cells: Sequence[Cell], residual: bool, dilations: list[int]) -> None:
    if not cells:
        raise ValueError("cells is empty; a recurrent core needs one layer or more")
    for below, cell in pairwise(cells):
        if below.hidden != cell.inputs:
            raise ValueError(
                f"a cell of width {below.hidden} is followed by one for {cell.inputs} inputs; these must be equal"
            )
        if residual and cell.hidden != cell.inputs:
            raise ValueError(
                f"residual=True adds the {cell.inputs} inputs of a cell to its {cell.hidden} outputs; make them equal"
            )
    if len(dilations) != len(cells) or any(
        isinstance(d, bool) or not isinstance(d, Integral) or d < 1 for d in dilations
    ):
        raise ValueError(
            f"dilations is {dilations!r}; pass {len(cells)} whole numbers from 1 on, one for each layer"
        )
