"""From many steps to one vector: attention, and the last, the mean or the greatest of the steps.

All take (batch, time, size) and a mask (batch, time), False where a step is padding, and give (batch, size).
What is padded may hold anything and is not read; a sequence without a step gives zeros.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .initialisation import linear
from .layers import blank, check_mask, check_widths


class AttentionPooling(nn.Module):
    r"""A weighted mean of the steps, whose weights are learnt from what the steps hold.

        e_t = v' tanh(W h_t + b),    a = softmax(e) over the steps that are there,    y = sum_t a_t h_t

    Parameters
    ----------
    size : width of what comes in and out.
    hidden : rows of W; `size` where None.
    generator : where the initial weights come from; torch's own where None. v starts at zero, so that
        the first pooling is the mean.

    Raises ValueError for widths below 1.
    Source: Bahdanau et al. (2015), sec. A.1.2, with a learnt query as in Yang et al. (2016), eq. 5-7.

    >>> pool = AttentionPooling(4)
    >>> h = torch.arange(24.0).view(2, 3, 4)
    >>> torch.allclose(pool(h), h.mean(1)), pool.weights(h)[0].tolist()
    (True, [0.333..., 0.333..., 0.333...])
    """

    def __init__(
        self, size: int, hidden: int | None = None, *, generator: torch.Generator | None = None
    ):
        super().__init__()
        hidden = size if hidden is None else hidden
        check_widths(size, (hidden,), None)
        self.size = size
        self.keys = linear(size, hidden, "tanh", generator=generator)
        self.query = linear(hidden, 1, kind="zero", bias=False)  # a bias is lost in the softmax

    def forward(self, h: Tensor, mask: Tensor | None = None) -> Tensor:
        """(batch, time, size) to (batch, size)."""
        a = self.weights(h, mask).to(h.dtype)
        return (a.unsqueeze(1) @ blank(h, mask)).squeeze(1)

    def weights(self, h: Tensor, mask: Tensor | None = None) -> Tensor:
        """How much each step counts, (batch, time): zero where it is padding, together one."""
        if mask is not None:
            check_mask(h, mask)
        scores = self.query(torch.tanh(self.keys(blank(h, mask)))).squeeze(-1)
        if mask is None:
            return scores.softmax(1)
        # the least number rather than -inf: a sequence without a step has no weights, not NaN
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
        return scores.softmax(1).masked_fill(~mask, 0.0)


def last_pooling(h: Tensor, mask: Tensor | None = None) -> Tensor:
    """The last step that is there.

    >>> h = torch.tensor([[[1.0], [2.0], [3.0]]])
    >>> last_pooling(h, torch.tensor([[True, True, False]])).tolist()
    [[2.0]]
    """
    if mask is None:
        return h[:, -1]
    check_mask(h, mask)
    steps = torch.arange(h.shape[1], device=h.device)
    last = steps.mul(mask).amax(1).view(-1, 1, 1).expand(-1, 1, h.shape[-1])
    return blank(h, mask).gather(1, last).squeeze(1)


def mean_pooling(h: Tensor, mask: Tensor | None = None) -> Tensor:
    """The mean of the steps that are there.

    >>> h = torch.tensor([[[1.0], [2.0], [3.0]]])
    >>> mean_pooling(h, torch.tensor([[True, True, False]])).tolist()
    [[1.5]]
    """
    if mask is None:
        return h.mean(1)
    check_mask(h, mask)
    return blank(h, mask).sum(1) / mask.sum(1, keepdim=True).clamp(min=1)


def max_pooling(h: Tensor, mask: Tensor | None = None) -> Tensor:
    """The greatest value of every feature over the steps that are there.

    >>> h = torch.tensor([[[1.0], [2.0], [3.0]]])
    >>> max_pooling(h, torch.tensor([[True, True, False]])).tolist()
    [[2.0]]
    """
    if mask is None:
        return h.amax(1)
    check_mask(h, mask)
    lowest = h.masked_fill(~mask.unsqueeze(-1), torch.finfo(h.dtype).min)
    return blank(lowest.amax(1), mask.any(1))
