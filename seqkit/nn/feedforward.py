"""The feed-forward network: linear maps with a non-linear function between each two of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from .initialisation import linear
from .layers import after_linear, blank, check_dropout, check_widths, residual_block, run

State = tuple[()]


class FeedForward(nn.Module):
    r"""A feed-forward network on the last axis, (..., inputs) to (..., outputs).

        h_0 = x,   h_i = f(W_i h_{i-1} + b_i),   y = V h_n + c  (+ U x with `skip`)

    Each hidden layer is linear, normalisation, activation, dropout. It is also the simplest causal core, one
    without a state: every step is mapped by itself, so `step` is `forward`.

    Parameters
    ----------
    inputs : length of the last axis of what comes in.
    hidden : widths of the hidden layers; () leaves one linear map.
    outputs : width of a last linear layer; None for none, so that the last hidden layer comes out.
    activation : name from `seqkit.nn.ACTIVATIONS`, or a torch module; it also chooses the initial weights.
    dropout : share of hidden units set to zero in training, the others divided by 1 - dropout, so that in
        evaluation nothing needs to be done (the weight-scaling rule).
    norm : "batch", "layer" or None.
    residual : the first hidden layer stays as it is, every further one becomes a `ResidualBlock`
        x + W' f(W norm(x)), and `norm` then is "layer" unless given.
    initial_output : "zero" starts with the output 0 whatever comes in.
    skip : add a linear map from the input straight to the output.
    generator : where the initial weights come from; torch's own where None.

    Attributes
    ----------
    inputs, size : widths of what comes in and out. outputs : as given.
    causal : True. receptive_field : 1.

    Raises ValueError for widths below 1, dropout outside [0, 1), an unknown name, and for `skip` or
    `initial_output` without `outputs`.
    Source: Rumelhart, Hinton, Williams (1986); Srivastava et al. (2014) for dropout.

    >>> net = FeedForward(10, (32, 32), 1, activation="selu", dropout=0.1, norm="batch")
    >>> net(torch.zeros(7, 5, 10)).shape
    torch.Size([7, 5, 1])
    """

    causal = True
    receptive_field = 1

    def __init__(
        self,
        inputs: int,
        hidden: Sequence[int],
        outputs: int | None = None,
        *,
        activation: str | nn.Module = "relu",
        dropout: float = 0.0,
        norm: Literal["batch", "layer"] | None = None,
        residual: bool = False,
        initial_output: Literal["zero"] | None = None,
        skip: bool = False,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        hidden = check_widths(inputs, hidden, outputs)
        check_dropout(dropout)
        if initial_output not in (None, "zero"):
            raise ValueError(f'initial_output must be "zero" or None, got {initial_output!r}')
        if outputs is None and (skip or initial_output):
            raise ValueError(
                "skip= and initial_output= speak of the last linear layer; pass outputs="
            )
        self.inputs, self.outputs = inputs, outputs
        self.size = (hidden[-1] if hidden else inputs) if outputs is None else outputs
        layers: list[nn.Module] = []
        width = inputs
        for i, size in enumerate(hidden):
            layers += hidden_layer(
                linear(width, size, activation, generator=generator),
                width,
                size,
                activation,
                residual=residual and i > 0,
                dropout=dropout,
                norm=norm,
                generator=generator,
            )
            width = size
        kind = initial_output
        if outputs is not None:
            layers.append(linear(width, outputs, kind=kind, generator=generator))
        self.layers = nn.Sequential(*layers)
        self.skip = (
            linear(inputs, self.size, kind=kind, bias=False, generator=generator) if skip else None
        )

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """(..., inputs) to (..., size); where `mask` (...) is False nothing is read and 0 comes out."""
        if x.shape[-1] != self.inputs:
            raise ValueError(
                f"x has shape {tuple(x.shape)}; its last axis must be {self.inputs} long"
            )
        y = self.layers(x) if mask is None else run(self.layers, x, mask)
        if self.skip is None:
            return y
        return y + self.skip(blank(x, mask))  # without a bias: padding stays zero

    def initial(self, batch: int) -> State:
        """The state before the first step: nothing."""
        return ()

    def step(
        self, x_t: Tensor, state: State = (), mask: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """One step, (batch, inputs) to (batch, size), and the state after it."""
        return self(x_t, mask), state


def hidden_layer(
    inner: nn.Module,
    inputs: int,
    outputs: int,
    activation: str | nn.Module,
    *,
    residual: bool,
    dropout: float,
    norm: str | None,
    generator: torch.Generator | None,
) -> list[nn.Module]:
    """The linear map `inner` and what belongs to it: a residual block, or one module after the other."""
    if residual:
        return [
            residual_block(
                inner, inputs, outputs, activation, dropout=dropout, norm=norm, generator=generator
            )
        ]
    return [inner, *after_linear(outputs, activation, dropout=dropout, norm=norm)]
