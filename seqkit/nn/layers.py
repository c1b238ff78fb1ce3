"""What the feed-forward cores are built from: one layer, one residual block, and how a mask passes them.

Layers that look beyond one step (`takes_mask`) are told which steps are padding; all others see a step by
itself and need not know.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Integral

import torch
from torch import Tensor, nn

from .activations import activation as activate
from .initialisation import linear
from .normalisation import norm as normalise


def run(layers: Iterable[nn.Module], x: Tensor, mask: Tensor) -> Tensor:
    """All layers one after the other; where `mask` (...) is False nothing is read and 0 comes out."""
    check_mask(x, mask)
    h = blank(x, mask)  # padding may hold anything, NaN too
    for layer in layers:
        h = run_one(layer, h, mask)
    return blank(h, mask)


def blank(x: Tensor, mask: Tensor | None) -> Tensor:
    """`x` (..., width) with zeros where `mask` (...) is False."""
    return x if mask is None else x.masked_fill(~mask.unsqueeze(-1), 0.0)


class ResidualBlock(nn.Module):
    """x + outer(f(inner(norm(x)))): a correction to what came in, which passes unchanged beside it.

    `project`, a linear map without bias, takes the place of the identity where widths differ.
    Source: He et al. (2016), "Identity mappings in deep residual networks".

    >>> block = ResidualBlock(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3))
    >>> block(torch.zeros(5, 3)).shape
    torch.Size([5, 3])
    """

    takes_mask = True

    def __init__(
        self,
        inner: nn.Module,
        activation: nn.Module,
        outer: nn.Module,
        *,
        norm: nn.Module | None = None,
        dropout: float = 0.0,
        project: nn.Module | None = None,
    ):
        super().__init__()
        self.norm = norm or nn.Identity()
        self.inner = inner
        self.outer = nn.Sequential(activation, outer, *_dropout(dropout))
        self.project = project or nn.Identity()

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """(..., inputs) to (..., outputs); `mask` (...) is False where x is padding."""
        return self.project(x) + self.outer(self.inner(self._normalised(x, mask)))

    def step(self, x_t: Tensor, past: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """One step, where `inner` has a past."""
        h, past = self.inner.step(self._normalised(x_t, mask), past)  # type: ignore[operator]
        return self.project(x_t) + self.outer(h), past

    def _normalised(self, x: Tensor, mask: Tensor | None) -> Tensor:
        if mask is None:
            return self.norm(x)
        # A normalised zero is not zero; `inner` may look at padded steps, and must find nothing there.
        return blank(run_one(self.norm, x, mask), mask)


def run_one(layer: nn.Module, x: Tensor, mask: Tensor | None) -> Tensor:
    """`layer` of `x`, with the mask where it takes one."""
    takes = mask is not None and getattr(layer, "takes_mask", False)
    return layer(x, mask) if takes else layer(x)


def residual_block(
    inner: nn.Module,
    inputs: int,
    outputs: int,
    activation: str | nn.Module,
    *,
    dropout: float,
    norm: str | None,
    generator: torch.Generator | None,
) -> ResidualBlock:
    """A residual block around `inner`, projected where widths differ; `norm` None means "layer"."""
    wider = inputs != outputs
    return ResidualBlock(
        inner,
        activate(activation),
        linear(outputs, outputs, generator=generator),
        norm=normalise(norm or "layer", inputs),
        dropout=dropout,
        project=linear(inputs, outputs, bias=False, generator=generator) if wider else None,
    )


def after_linear(
    size: int, activation: str | nn.Module, *, dropout: float, norm: str | None
) -> list[nn.Module]:
    """What follows a linear map: normalisation, activation, dropout; those that do nothing left out."""
    layers = [normalise(norm, size), activate(activation), *_dropout(dropout)]
    return [layer for layer in layers if not isinstance(layer, nn.Identity)]


def _dropout(share: float) -> list[nn.Module]:
    return [nn.Dropout(share)] if share > 0 else []


def check_widths(inputs: int, hidden: Sequence[int], outputs: int | None) -> tuple[int, ...]:
    """`hidden` as a tuple, once all widths are known to be whole numbers from 1 on."""
    if isinstance(hidden, Integral):
        raise TypeError(f"hidden must be a tuple of widths, got {hidden}; write ({hidden},)")
    widths = {"inputs": inputs, "outputs": 1 if outputs is None else outputs}
    widths |= {f"hidden[{i}]": width for i, width in enumerate(hidden)}
    for name, width in widths.items():
        if isinstance(width, bool) or not isinstance(width, Integral) or width < 1:
            raise ValueError(f"{name} is {width!r}; a width must be a whole number, 1 or more")
    return tuple(int(width) for width in hidden)


class SequenceDropout(nn.Module):
    r"""Features set to zero in training, the same ones at all steps of a sequence; the rest is scaled up to make up.

        y_t = x_t * m / (1 - share),    m ~ Bernoulli(1 - share), one draw of (batch, 1, width)

    A recurrent core cannot fill in from the steps beside what it does not see of one, and few numbers are drawn.

    Parameters
    ----------
    share : of the features, at least 0 and below 1.

    Raises ValueError for other shares.
    Source: Gal, Ghahramani (2016), "A theoretically grounded application of dropout in recurrent neural networks".

    >>> y = SequenceDropout(0.5)(torch.ones(2, 3, 8))
    >>> bool((y[:, 0] == y[:, 2]).all()), y.unique().tolist()
    (True, [0.0, 2.0])
    """

    def __init__(self, share: float):
        super().__init__()
        check_dropout(share)
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        """(batch, time, width) to the same."""
        if not (self.training and self.share):
            return x
        kept = torch.rand(len(x), 1, x.shape[2], device=x.device) >= self.share
        return x * (kept.to(x.dtype) / (1.0 - self.share))

    def extra_repr(self) -> str:
        return f"share={self.share}"


def check_dropout(share: float) -> None:
    """Raises ValueError unless `share` is at least 0 and below 1."""
    if not 0 <= share < 1:
        raise ValueError(f"dropout is {share!r}; it must be a share of at least 0 and below 1")


def check_mask(x: Tensor, mask: Tensor) -> None:
    """Raises ValueError unless `mask` is boolean with one element per step of `x`."""
    if mask.dtype != torch.bool or mask.shape != x.shape[:-1]:
        raise ValueError(
            f"mask must be boolean of shape {tuple(x.shape[:-1])}, False where x is padding; got "
            f"{mask.dtype} of shape {tuple(mask.shape)}"
        )
