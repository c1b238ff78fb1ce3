"""The time-delay network: feed-forward layers that look at several past steps of what lies below them."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .feedforward import hidden_layer
from .initialisation import linear
from .layers import ResidualBlock, blank, check_dropout, check_widths, run, run_one

State = tuple[Tensor, ...]  # of each layer, its last inputs: (batch, depth, width)


class Delay(nn.Module):
    """A causal dilated convolution: one linear map of the input at the steps t - lag.

        y_t = sum_j W_j x_{t - lags[j]} + b,    x_s = 0 for s < 0

    Gathering the lagged copies side by side makes it one matrix product, for any lags.

    >>> import torch
    >>> layer = Delay(1, 1, (0, 2))
    >>> _ = torch.nn.init.ones_(layer.linear.weight)
    >>> layer(torch.tensor([[[1.0], [10.0], [100.0], [1000.0]]])).flatten().tolist()
    [1.0, 10.0, 101.0, 1010.0]
    """

    takes_mask = True

    def __init__(
        self,
        inputs: int,
        outputs: int,
        lags: Sequence[int],
        activation: str | nn.Module = "linear",
        *,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        self.inputs, self.lags, self.depth = inputs, tuple(lags), max(lags)
        self.linear = linear(inputs * len(self.lags), outputs, activation, generator=generator)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """(batch, time, inputs) to (batch, time, outputs)."""
        x = blank(x, mask)
        return self._windows(F.pad(x, (0, 0, self.depth, 0)) if self.depth else x)

    def initial(self, batch: int) -> Tensor:
        """The past before the first step: zeros, (batch, depth, inputs)."""
        return self.linear.weight.new_zeros(batch, self.depth, self.inputs)

    def step(self, x_t: Tensor, past: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """One step, (batch, inputs) to (batch, outputs), and the past moved on by it."""
        past = torch.cat([past, blank(x_t, mask).unsqueeze(1)], dim=1)
        return self._windows(past).squeeze(1), past[:, 1:]

    def _windows(self, past: Tensor) -> Tensor:
        """(batch, depth + time, inputs), the first `depth` steps being the past, to (batch, time, outputs)."""
        length = past.shape[1] - self.depth
        starts = [self.depth - lag for lag in self.lags]
        lagged = [past[:, start : start + length] for start in starts]
        return self.linear(torch.cat(lagged, dim=-1) if len(lagged) > 1 else lagged[0])

    def extra_repr(self) -> str:
        return f"lags={self.lags}"


class TimeDelay(nn.Module):
    r"""A stack of causal dilated convolutions, (batch, time, inputs) to (batch, time, size).

        h^0_t = x_t,   h^i_t = f(sum_j W^i_j h^{i-1}_{t - j d_i} + b^i),   j = 0 .. kernel - 1

    Each layer is convolution, normalisation, activation, dropout. What lies before the first step is zero in
    every layer. A padded step takes up time, but contributes zero to every layer and comes out as zero, so a
    series padded on the left or on the right gives what it gives alone.

    Parameters
    ----------
    inputs : length of the last axis of what comes in.
    hidden : widths of the layers, at least one.
    kernel : number of steps that a layer looks at, spaced by its dilation; or the lags themselves, as a tuple
        of whole numbers from 0 (the step itself) on, multiplied by the dilation.
    dilations : one spacing per layer; 1, 2, 4, ... where None.
    residual : every layer but the first becomes x + W' f(convolution(norm(x))), as in `FeedForward`.
    activation, dropout, norm, generator : as in `FeedForward`.

    Attributes
    ----------
    inputs, size : widths of what comes in and out. outputs : None, there is no last linear layer.
    causal : True. receptive_field : 1 + sum of (kernel - 1) * dilation, the steps that one output
        sees; the largest lag takes the place of kernel - 1 where lags are given.

    Raises ValueError for no layer, widths or dilations below 1, negative lags, and where the numbers of layers
    and of dilations differ.
    Source: Waibel et al. (1989); dilated as in van den Oord et al. (2016) and Bai et al. (2018).

    >>> core = TimeDelay(1, (16, 16, 16), kernel=3)
    >>> core.receptive_field, core(torch.zeros(2, 50, 1)).shape
    (15, torch.Size([2, 50, 16]))
    """

    causal = True
    outputs = None

    def __init__(
        self,
        inputs: int,
        hidden: Sequence[int],
        *,
        kernel: int | Sequence[int] = 3,
        dilations: Sequence[int] | None = None,
        activation: str | nn.Module = "relu",
        dropout: float = 0.0,
        norm: Literal["batch", "layer"] | None = None,
        residual: bool = False,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        hidden = check_widths(inputs, hidden, None)
        check_dropout(dropout)
        lags = _lags(kernel)
        spacings = _dilations(dilations, len(hidden))
        self.inputs, self.size = inputs, hidden[-1]
        self.receptive_field = 1 + max(lags) * sum(spacings)
        layers: list[nn.Module] = []
        width = inputs
        for i, (size, spacing) in enumerate(zip(hidden, spacings, strict=True)):
            spaced = [lag * spacing for lag in lags]
            layers += hidden_layer(
                Delay(width, size, spaced, activation, generator=generator),
                width,
                size,
                activation,
                residual=residual and i > 0,
                dropout=dropout,
                norm=norm,
                generator=generator,
            )
            width = size
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """(batch, time, inputs) to (batch, time, size); `mask` (batch, time) is False where x is padding."""
        if x.ndim != 3 or x.shape[-1] != self.inputs:
            raise ValueError(
                f"x has shape {tuple(x.shape)}; TimeDelay needs (batch, time, {self.inputs})"
            )
        return self.layers(x) if mask is None else run(self.layers, x, mask)

    def initial(self, batch: int) -> State:
        """The state before the first step: for each layer, a past of zeros (batch, depth, width)."""
        return tuple(delay.initial(batch) for delay in self._delays())

    def step(self, x_t: Tensor, state: State, mask: Tensor | None = None) -> tuple[Tensor, State]:
        """One step, (batch, inputs) to (batch, size), and the state after it; `state` is left as it is."""
        h, after, pasts = blank(x_t, mask), [], iter(state)
        for layer in self.layers:
            if isinstance(layer, (Delay, ResidualBlock)):
                h, past = layer.step(h, next(pasts), mask)
                after.append(past)
            else:
                h = run_one(layer, h, mask)
        return blank(h, mask), tuple(after)

    def _delays(self) -> list[Delay]:
        return [module for module in self.layers.modules() if isinstance(module, Delay)]


def _lags(kernel: int | Sequence[int]) -> tuple[int, ...]:
    if isinstance(kernel, Integral) and not isinstance(kernel, bool):
        if kernel < 1:
            raise ValueError(f"kernel is {kernel}; a layer must look at 1 step or more")
        return tuple(range(int(kernel)))
    lags = tuple(kernel) if isinstance(kernel, (Sequence, range)) else ()
    whole = all(isinstance(lag, Integral) and not isinstance(lag, bool) for lag in lags)
    if not lags or not whole or min(lags) < 0 or len(set(lags)) < len(lags):
        raise ValueError(
            f"kernel is {kernel!r}; pass a number of steps, or lags as a tuple of distinct whole "
            "numbers from 0 (the step itself) on"
        )
    return tuple(int(lag) for lag in lags)


def _dilations(given: Sequence[int] | None, layers: int) -> list[int]:
    if layers == 0:
        raise ValueError("hidden is empty; a time-delay network needs one layer or more")
    if given is None:
        return [2**i for i in range(layers)]
    if len(given) != layers or any(not isinstance(d, Integral) or d < 1 for d in given):
        raise ValueError(
            f"dilations is {given!r}; pass {layers} whole numbers from 1 on, one for each layer"
        )
    return [int(d) for d in given]
