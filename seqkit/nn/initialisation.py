"""The first weights of a layer, such that signals and gradients neither vanish nor explode."""

from __future__ import annotations

import math
from typing import TypeVar

import torch
from torch import nn

INITIALISATIONS = ("xavier", "he", "lecun", "orthogonal", "zero")
_SLOPES = {"leaky_relu": 0.01, "prelu": 0.25}  # of the negative half
_HALVED = ("relu", "leaky_relu", "prelu", "elu", "gelu", "silu", "softplus")

Layer = TypeVar("Layer", bound=nn.Module)


def _name(activation: str | nn.Module) -> str:
    if isinstance(activation, str):
        return activation
    from .activations import ACTIVATIONS

    return next((k for k, cls in ACTIVATIONS.items() if type(activation) is cls), "linear")


def suited_to(activation: str | nn.Module) -> str:
    """The kind of initialisation for layers whose output goes through `activation`.

    >>> suited_to("relu"), suited_to("tanh"), suited_to("selu")
    ('he', 'xavier', 'lecun')
    """
    name = _name(activation)
    return "lecun" if name == "selu" else "he" if name in _HALVED else "xavier"


def initialise(
    layer: Layer,
    activation: str | nn.Module = "linear",
    kind: str | None = None,
    *,
    generator: torch.Generator | None = None,
) -> Layer:
    r"""Draw the weights of a linear or convolutional layer anew, set its biases to zero, and return it.

    With n inputs and m outputs per unit (times the width of the kernel, for convolutions)::

        xavier      U(-b, b),  b = sqrt(6 / (n + m))       variance kept forth and back
        he          N(0, 2 / ((1 + a^2) n))                a is the slope of the negative half
        lecun       N(0, 1 / n)                            what self-normalising units ask for
        orthogonal  Q of the QR of a normal matrix         lengths kept exactly, for recurrences
        zero        0                                      a last layer that says nothing yet

    Parameters
    ----------
    layer : module with a `weight` of at least two dimensions, (outputs, inputs, ...).
    activation : what the output of the layer goes through; chooses xavier for linear, sigmoid and tanh,
        lecun for selu, he for all others, where `kind` is None.
    kind : one of the names above.
    generator : where random numbers come from; torch's own where None.

    Raises ValueError for an unknown kind or a layer without a weight matrix.
    Source: Glorot, Bengio (2010), eq. 16; He et al. (2015), eq. 15; LeCun et al. (1998), sec. 4.6;
    Klambauer et al. (2017); Saxe et al. (2014).

    >>> layer = initialise(nn.Linear(100, 200), "tanh", generator=torch.Generator().manual_seed(0))
    >>> bool(layer.weight.abs().max() < (6 / 300) ** 0.5 + 1e-6), layer.bias.abs().sum().item()
    (True, 0.0)
    """
    weight = getattr(layer, "weight", None)
    if weight is None or weight.ndim < 2:
        raise ValueError(
            f"initialise needs a layer with a weight matrix, such as torch.nn.Linear; got {layer}"
        )
    kind = suited_to(activation) if kind is None else kind
    match kind:
        case "xavier":
            nn.init.xavier_uniform_(weight, generator=generator)
        case "he":
            nn.init.kaiming_normal_(
                weight,
                a=_slope(activation),
                nonlinearity="leaky_relu",
                generator=generator,
            )
        case "lecun":
            scale = 1 / math.sqrt(weight[0].numel())
            nn.init.normal_(weight, std=scale, generator=generator)
        case "orthogonal":
            nn.init.orthogonal_(weight, generator=generator)
        case "zero":
            nn.init.zeros_(weight)
        case _:
            raise ValueError(
                f"initialisation {kind!r} is not known; choose one of {', '.join(INITIALISATIONS)}"
            )
    if getattr(layer, "bias", None) is not None:
        nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


def _slope(activation: str | nn.Module) -> float:
    given = getattr(activation, "negative_slope", None)
    return float(given) if given is not None else _SLOPES.get(_name(activation), 0.0)


def linear(
    inputs: int,
    outputs: int,
    activation: str | nn.Module = "linear",
    kind: str | None = None,
    *,
    bias: bool = True,
    generator: torch.Generator | None = None,
) -> nn.Linear:
    """A new linear layer, initialised once: torch's own first draw is left out.

    >>> linear(3, 2, "relu").weight.shape
    torch.Size([2, 3])
    """
    layer = nn.utils.skip_init(nn.Linear, inputs, outputs, bias=bias)
    return initialise(layer, activation, kind, generator=generator)
