"""Keeping the scale of hidden values: over the examples of a batch, or over the units of a layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

LayerNorm = nn.LayerNorm  # over the last axis of every step alone: padding cannot reach it


class BatchNorm(nn.BatchNorm1d):
    r"""Batch normalisation of the last axis, with padded steps left out of the statistics.

        y = gamma (x - mean) / sqrt(var + eps) + beta

    In training, mean and variance (divided by the count) are those of all steps of the batch that are not
    padding, and running estimates move by a share `momentum` towards them (the variance divided by the
    count less one). In evaluation, the running estimates are used. A batch without a single step leaves
    them as they are, one with a single step leaves the variance.

    Parameters
    ----------
    size : length of the last axis.
    eps : added to the variance.
    momentum : weight of the newest batch in the running estimates.

    Source: Ioffe, Szegedy (2015), algorithm 1; masked as in Laurent et al. (2016).

    >>> x = torch.tensor([[1.0], [3.0], [99.0]])
    >>> BatchNorm(1, eps=0.0)(x, mask=torch.tensor([True, True, False]))[:2].flatten().tolist()
    [-1.0, 1.0]
    """

    takes_mask = True

    def __init__(self, size: int, *, eps: float = 1e-5, momentum: float = 0.1):
        super().__init__(size, eps=eps, momentum=momentum)

    def forward(self, input: Tensor, mask: Tensor | None = None) -> Tensor:
        """Normalise `input` (..., size); `mask` (...) is False where a step is padding."""
        if input.shape[-1] != self.num_features:
            raise ValueError(
                f"BatchNorm({self.num_features}) got an input of shape {tuple(input.shape)}; its last "
                f"axis must have length {self.num_features}"
            )
        flat = input.reshape(-1, self.num_features)
        if not self.training or (mask is None and len(flat) > 1):
            return super().forward(flat).reshape(input.shape)
        flat = flat.to(self.weight.dtype)  # bfloat16 cannot count further than 256
        counted = None if mask is None else mask.reshape(-1, 1)
        mean, var = self._observe(flat, counted)
        scaled = (flat - mean) * torch.rsqrt(var + self.eps)
        return (scaled * self.weight + self.bias).to(input.dtype).reshape(input.shape)

    def _observe(self, flat: Tensor, counted: Tensor | None) -> tuple[Tensor, Tensor]:
        """Mean and variance of the counted rows; the running estimates are moved towards them.

        Sums, rather than an index of rows, leave the number of counted rows on the device.
        """
        weight = flat.new_ones(len(flat), 1) if counted is None else counted.to(flat.dtype)
        flat = flat if counted is None else flat.masked_fill(~counted, 0.0)
        count = weight.sum()
        mean = flat.sum(0) / count.clamp(min=1)
        var = ((flat - mean).square() * weight).sum(0) / count.clamp(min=1)
        with torch.no_grad():
            share = float(self.momentum or 0.0)
            unbiased = var * (count / (count - 1).clamp(min=1))
            assert self.running_mean is not None and self.running_var is not None
            self.running_mean.lerp_(mean, share * (count > 0).to(flat.dtype))
            self.running_var.lerp_(unbiased, share * (count > 1).to(flat.dtype))
            if self.num_batches_tracked is not None:
                self.num_batches_tracked.add_(1)
        return mean, var


def norm(kind: str | None, size: int) -> nn.Module:
    """The normalisation of that name over a last axis of length `size`: "batch", "layer" or None.

    Raises ValueError for another name.

    >>> norm("layer", 3)(torch.tensor([1.0, 2.0, 3.0])).sum().item()
    0.0
    """
    match kind:
        case None:
            return nn.Identity()
        case "batch":
            return BatchNorm(size)
        case "layer":
            return LayerNorm(size)
    raise ValueError(f'norm {kind!r} is not known; choose "batch", "layer" or None')
