"""Steps of a core in forecasting, where no gradient is asked for: weights laid out once, fewer passes over memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from .cells import LSTMCell, State
from .recurrent import Layer, Recurrent

Step = Callable[[Tensor, Any], tuple[Tensor, Any]]


def stepper(core: nn.Module) -> Step:
    r"""`core.step` for many steps with the weights as they are now: the same numbers, on a CPU in half the time.

    A plain LSTM layer on a CPU gets x_t, h_{t-1} and 1 in one matrix product, and all of its gates from one tanh:

        sigma(a) = (1 + tanh(a / 2)) / 2,    c_t = ((1 + f) c_{t-1} + (1 + i) g) / 2,    h_t = (1 + o) tanh(c_t) / 2

    with i, f, o that tanh(a / 2). All other cores, and those on a GPU, step as they always do.

    Parameters
    ----------
    core : with `step` (see `Recurrent`); in evaluation, since recurrent dropout is left out.

    Examples
    --------
    >>> import torch
    >>> from seqkit.nn import LSTM
    >>> core, x = LSTM(8).build(2).eval(), torch.ones(3, 2)
    >>> with torch.no_grad():
    ...     fast, plain = stepper(core)(x, core.initial(3))[0], core.step(x, core.initial(3))[0]
    >>> torch.allclose(fast, plain, atol=1e-6)
    True
    """
    if not isinstance(core, Recurrent) or core.training or not all(map(_quick, core.layers)):
        return core.step  # type: ignore[return-value]
    steps = [_LSTMStep(layer.cell) for layer in core.layers]

    def step(x_t: Tensor, state: Any) -> tuple[Tensor, Any]:
        h, states = x_t, []
        for i, (one, norm) in enumerate(zip(steps, core.norms, strict=True)):
            after = one(norm(h), state[i])
            h = h + after[0] if core.residual and i else after[0]
            states.append(after)
        return h, tuple(states)

    return step


def _quick(layer: nn.Module) -> bool:
    """Whether a layer is a plain LSTM on a CPU."""
    if not isinstance(layer, Layer) or type(layer.cell) is not LSTMCell or layer.cell.norm:
        return False
    return layer.cell.weight_hidden.device.type == "cpu"


class _LSTMStep:
    """One step of an LSTM cell without gradients."""

    def __init__(self, cell: LSTMCell):
        rows = [
            cell.weight_input.T,
            cell.weight_hidden.T,
            (cell.bias_input + cell.bias_hidden)[None],
        ]
        half = torch.full((4, cell.hidden), 0.5, dtype=cell.bias_input.dtype)
        half[cell.gates.index("candidate")] = 1.0
        self.weight = (torch.cat(rows) * half.flatten()).detach()

    def __call__(self, x_t: Tensor, state: State) -> State:
        h, c = state
        read = torch.cat([x_t, h, x_t.new_ones(len(x_t), 1)], 1)
        i, f, g, o = torch.mm(read, self.weight).tanh_().chunk(4, 1)
        c = torch.addcmul(c, f, c).add_(torch.addcmul(g, i, g)).mul_(0.5)
        shown = c.tanh()
        return torch.addcmul(shown, o, shown).mul_(0.5), c
