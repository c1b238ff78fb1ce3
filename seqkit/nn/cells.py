"""Recurrent cells: one step of learnt memory, the equations written out and torch's own kernel beside them.

A cell has `initial(batch)`, the state before the first step, and `step(x_t, state)`. A state is a tuple of
tensors (batch, hidden), the output h first. For the scan over time, `step` is taken apart: `project` maps
the inputs of all steps at once, `update` does what has to be done step after step.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .initialisation import linear
from .layers import check_widths

State = tuple[Tensor, ...]


class Cell(nn.Module):
    """What the cells share: weights in the layout of torch.nn, the first state, and the two halves of a step.

    A cell of your own derives from this class, says its `gates` and `states`, and implements `_activations`
    and `_next`.

    Parameters
    ----------
    inputs, hidden : widths of what comes in and of the state.
    learn_initial : whether the state before the first step is learnt, rather than zero; it starts at zero.
    norm : layer normalisation of what goes into every gate, of the part from the input and of that from the
        past each by itself, with a gain (Ba et al. 2016, eq. 20-22, gate by gate); torch has no kernel for it.
    generator : where the initial weights come from; torch's own where None.

    Weights from the input start by Xavier's rule, those from the past orthogonal, so that what is remembered
    keeps its length (Saxe et al. 2014), biases at zero. The two biases of torch are kept, though their sum is
    all that counts (but for one of the GRU), so that weights can be carried to and fro.

    Raises ValueError for widths below 1.
    """

    gates: ClassVar[tuple[str, ...]]
    states: ClassVar[int] = 1  # tensors in a state
    kernel: str | None = None  # name of torch's kernel for whole sequences, where there is one

    def __init__(
        self,
        inputs: int,
        hidden: int,
        *,
        learn_initial: bool = False,
        norm: bool = False,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        check_widths(inputs, (hidden,), None)
        self.inputs, self.hidden = inputs, hidden
        self.weight_input = _stacked(len(self.gates), inputs, hidden, "xavier", generator)
        self.weight_hidden = _stacked(len(self.gates), hidden, hidden, "orthogonal", generator)
        width = len(self.gates) * hidden
        self.bias_input = nn.Parameter(torch.zeros(width))
        self.bias_hidden = nn.Parameter(torch.zeros(width))
        self.start = nn.Parameter(torch.zeros(self.states * hidden)) if learn_initial else None
        self.norm = norm
        if norm:
            self.kernel = None
            self.gain_input = nn.Parameter(torch.ones(width))
            self.gain_hidden = nn.Parameter(torch.ones(width))

    @property
    def weights(self) -> list[Tensor]:
        """Weights and biases in the order of torch's kernels."""
        return [self.weight_input, self.weight_hidden, self.bias_input, self.bias_hidden]

    def initial(self, batch: int) -> State:
        """The state before the first step: zeros or what was learnt, each tensor (batch, hidden)."""
        if self.start is None:
            return tuple(self.weight_hidden.new_zeros(self.states, batch, self.hidden))
        return self.start.view(self.states, 1, self.hidden).expand(-1, batch, -1).unbind()

    def step(self, x_t: Tensor, state: State, kept: Tensor | None = None) -> tuple[Tensor, State]:
        """One step, (batch, inputs) to (batch, hidden), and the state after it.

        `kept` (batch, hidden) multiplies what the weights see of h_{t-1}: recurrent dropout.
        """
        if kept is not None or self.kernel is None:
            return self.update(self.project(x_t), state, kept)
        state = self._torch_step(x_t, state)
        return state[0], state

    def project(self, x: Tensor) -> Tensor:
        """What the inputs (..., inputs) of any number of steps give to the gates, (..., gates * hidden)."""
        if not self.norm:
            return F.linear(x, self.weight_input, self.bias_input)
        return _normalised(F.linear(x, self.weight_input), self.gain_input, self.hidden) + (
            self.bias_input
        )

    def update(
        self, projected: Tensor, state: State, kept: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """The rest of a step, given `project` of its input."""
        state = self._next(self._activations(projected, state, kept), state)
        return state[0], state

    def activations(self, x_t: Tensor, state: State) -> dict[str, Tensor]:
        """What the gates say at one step, by name, each (batch, hidden)."""
        found = self._activations(self.project(x_t), state, None)
        return dict(zip(self.gates, found, strict=True))

    def _recall(self, h: Tensor, gates: slice = slice(None)) -> Tensor:
        """What the past gives to these gates, (batch, gates * hidden)."""
        part = slice(*(g if g is None else g * self.hidden for g in (gates.start, gates.stop)))
        weight, bias = self.weight_hidden[part], self.bias_hidden[part]
        if not self.norm:
            return F.linear(h, weight, bias)
        return _normalised(F.linear(h, weight), self.gain_hidden[part], self.hidden) + bias

    def _activations(
        self, projected: Tensor, state: State, kept: Tensor | None
    ) -> tuple[Tensor, ...]:
        raise NotImplementedError

    def _next(self, activations: tuple[Tensor, ...], state: State) -> State:
        raise NotImplementedError

    def _torch_step(self, x_t: Tensor, state: State) -> State:
        raise NotImplementedError

    def extra_repr(self) -> str:
        return f"{self.inputs}, {self.hidden}"


class RNNCell(Cell):
    r"""The vanilla recurrent cell: a linear map of input and past, and one non-linear function.

        h_t = f(W x_t + U h_{t-1} + b),    f = tanh or max(0, .)

    Its gradient through k steps is a product of k Jacobians diag(f') U, which vanishes or explodes with k;
    with ReLU only U decides which of both.

    Parameters
    ----------
    inputs, hidden, learn_initial, norm, generator : as for `Cell`.
    activation : "tanh" or "relu".

    Raises ValueError for widths below 1 and another activation.
    Source: Elman (1990); Le et al. (2015) for ReLU.

    >>> cell = RNNCell(3, 5)
    >>> h, state = cell.step(torch.zeros(2, 3), cell.initial(2))
    >>> h.shape
    torch.Size([2, 5])
    """

    gates = ("candidate",)

    def __init__(
        self,
        inputs: int,
        hidden: int,
        *,
        activation: Literal["tanh", "relu"] = "tanh",
        learn_initial: bool = False,
        norm: bool = False,
        generator: torch.Generator | None = None,
    ):
        if activation not in ("tanh", "relu"):
            raise ValueError(f'activation must be "tanh" or "relu", got {activation!r}')
        super().__init__(
            inputs, hidden, learn_initial=learn_initial, norm=norm, generator=generator
        )
        self.activation, self.kernel = activation, None if norm else f"rnn_{activation}"

    def _activations(
        self, projected: Tensor, state: State, kept: Tensor | None
    ) -> tuple[Tensor, ...]:
        a = projected + self._recall(_seen(state[0], kept))
        return (torch.tanh(a) if self.activation == "tanh" else torch.relu(a),)

    def _next(self, activations: tuple[Tensor, ...], state: State) -> State:
        return activations

    def _torch_step(self, x_t: Tensor, state: State) -> State:
        one = torch.rnn_tanh_cell if self.activation == "tanh" else torch.rnn_relu_cell
        return (one(x_t, state[0], *self.weights),)


class LSTMCell(Cell):
    r"""Long short-term memory: a cell state that is added to, behind gates.

        i_t = sigma(W_i x_t + U_i h_{t-1} + b_i)       what of the candidate comes in
        f_t = sigma(W_f x_t + U_f h_{t-1} + b_f)       what of the cell state is kept
        g_t = tanh(W_g x_t + U_g h_{t-1} + b_g)        the candidate
        o_t = sigma(W_o x_t + U_o h_{t-1} + b_o)       what of the cell state is shown
        c_t = f_t c_{t-1} + i_t g_t
        h_t = o_t tanh(c_t)

    Along c the gradient is multiplied by f_t alone, not by a matrix (the carousel). b_f starts at
    `forget_bias`: at 1, the cell remembers before it has learnt to. With `norm`, h_t = o_t tanh(LN(c_t)).

    Parameters
    ----------
    inputs, hidden, learn_initial, norm, generator : as for `Cell`.
    forget_bias : the first b_f.

    Raises ValueError for widths below 1.
    Source: Hochreiter, Schmidhuber (1997); Gers et al. (2000) for the forget gate and its bias.

    >>> cell = LSTMCell(3, 5)
    >>> h, (h, c) = cell.step(torch.zeros(2, 3), cell.initial(2))
    >>> h.shape, c.shape
    (torch.Size([2, 5]), torch.Size([2, 5]))
    """

    gates = ("input", "forget", "candidate", "output")
    states = 2
    kernel = "lstm"

    def __init__(
        self,
        inputs: int,
        hidden: int,
        *,
        forget_bias: float = 1.0,
        learn_initial: bool = False,
        norm: bool = False,
        generator: torch.Generator | None = None,
    ):
        super().__init__(
            inputs, hidden, learn_initial=learn_initial, norm=norm, generator=generator
        )
        nn.init.constant_(self.bias_input.detach()[hidden : 2 * hidden], forget_bias)
        self.norm_cell = nn.LayerNorm(hidden) if norm else nn.Identity()

    def _activations(
        self, projected: Tensor, state: State, kept: Tensor | None
    ) -> tuple[Tensor, ...]:
        i, f, g, o = (projected + self._recall(_seen(state[0], kept))).chunk(4, -1)
        return torch.sigmoid(i), torch.sigmoid(f), torch.tanh(g), torch.sigmoid(o)

    def _next(self, activations: tuple[Tensor, ...], state: State) -> State:
        i, f, g, o = activations
        c = f * state[1] + i * g
        return o * torch.tanh(self.norm_cell(c)), c

    def _torch_step(self, x_t: Tensor, state: State) -> State:
        return torch.lstm_cell(x_t, state, *self.weights)


class GRUCell(Cell):
    r"""The gated recurrent unit, in both forms that were published.

        r_t = sigma(W_r x_t + U_r h_{t-1} + b_r)                     how much of the past the candidate sees
        z_t = sigma(W_z x_t + U_z h_{t-1} + b_z)                     how much of the past stays
        n_t = tanh(W_n x_t + b_n + r_t (U_n h_{t-1} + d_n))          reset="after" the matrix product
        n_t = tanh(W_n x_t + b_n + U_n (r_t h_{t-1}) + d_n)          reset="before" it
        h_t = (1 - z_t) n_t + z_t h_{t-1}

    "before" is the unit of Cho et al. (2014), eq. 8; "after" is what cuDNN and torch compute, one matrix product
    in place of two, and is the fast one. The two are different models: weights of one do not serve the other.
    Here z is what stays, as in Cho et al., eq. 7, and in torch; Chung et al. (2014) write h_t = (1 - z_t) h_{t-1}
    + z_t n_t, where z is what is renewed. That is the same model with the signs of W_z, U_z and b_z turned,
    as 1 - sigma(a) = sigma(-a).

    Parameters
    ----------
    inputs, hidden, learn_initial, norm, generator : as for `Cell`.
    reset : "after" or "before".

    Raises ValueError for widths below 1 and another `reset`.
    Source: Cho et al. (2014), EMNLP; Chung et al. (2014).

    >>> cell = GRUCell(3, 5, reset="before")
    >>> h, state = cell.step(torch.zeros(2, 3), cell.initial(2))
    >>> h.shape
    torch.Size([2, 5])
    """

    gates = ("reset", "update", "candidate")
    kernel: str | None = "gru"

    def __init__(
        self,
        inputs: int,
        hidden: int,
        *,
        reset: Literal["after", "before"] = "after",
        learn_initial: bool = False,
        norm: bool = False,
        generator: torch.Generator | None = None,
    ):
        if reset not in ("after", "before"):
            raise ValueError(f'reset must be "after" or "before", got {reset!r}')
        super().__init__(
            inputs, hidden, learn_initial=learn_initial, norm=norm, generator=generator
        )
        self.reset = reset
        if reset == "before":
            self.kernel = None

    def _activations(
        self, projected: Tensor, state: State, kept: Tensor | None
    ) -> tuple[Tensor, ...]:
        h = _seen(state[0], kept)
        both, candidate = projected.split([2 * self.hidden, self.hidden], -1)
        if self.reset == "after":
            recalled, past = self._recall(h).split([2 * self.hidden, self.hidden], -1)
            r, z = torch.sigmoid(both + recalled).chunk(2, -1)
            return r, z, torch.tanh(candidate + r * past)
        r, z = torch.sigmoid(both + self._recall(h, slice(0, 2))).chunk(2, -1)
        return r, z, torch.tanh(candidate + self._recall(r * h, slice(2, 3)))

    def _next(self, activations: tuple[Tensor, ...], state: State) -> State:
        _, z, n = activations
        return (n + z * (state[0] - n),)

    def _torch_step(self, x_t: Tensor, state: State) -> State:
        return (torch.gru_cell(x_t, state[0], *self.weights),)


def _stacked(
    gates: int, inputs: int, hidden: int, kind: str, generator: torch.Generator | None
) -> nn.Parameter:
    """First weights of all gates below each other, (gates * hidden, inputs); each gate is drawn by itself."""
    drawn = [
        linear(inputs, hidden, kind=kind, bias=False, generator=generator).weight
        for _ in range(gates)
    ]
    return nn.Parameter(torch.cat(drawn).detach())


def _seen(h: Tensor, kept: Tensor | None) -> Tensor:
    return h if kept is None else h * kept


def _normalised(a: Tensor, gain: Tensor, hidden: int) -> Tensor:
    """Layer normalisation of every gate by itself, (..., gates * hidden), times a gain."""
    return F.layer_norm(a.unflatten(-1, (-1, hidden)), (hidden,)).flatten(-2) * gain
