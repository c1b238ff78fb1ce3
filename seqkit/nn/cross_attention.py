"""Attention of one sequence over another: every query gets a weighted mean of what an encoder read.

Shapes: n sequences, U queries each, T steps of memory.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .initialisation import linear
from .layers import blank, check_mask, check_widths

CELLS = 1 << 24  # numbers of the additive form that are held at once where no gradient is asked for


class Memory(NamedTuple):
    """What is attended to, its keys projected once for all queries."""

    keys: Tensor  # (n, T, width)
    values: Tensor  # (n, T, size)
    mask: Tensor | None  # (n, T), False where a step is padding


class CrossAttention(nn.Module):
    """What the forms share: keys made once, a softmax over the steps that are there, the mean of the values.

        a_uj = softmax over j of e_uj,    c_u = sum_j a_uj h_j

    A form of its own implements `scores`.

    Parameters
    ----------
    query : width of what asks. size : width of what is attended to, and of what comes out.
    hidden : width of the keys; `query` where None.
    generator : where the initial weights come from; torch's own where None.

    Raises ValueError for widths below 1.
    """

    def __init__(
        self,
        query: int,
        size: int,
        hidden: int | None = None,
        *,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        self.hidden = query if hidden is None else hidden
        check_widths(query, (size, self.hidden), None)
        self.query, self.size = query, size
        self.keys = linear(size, self.hidden, generator=generator)

    def remember(self, h: Tensor, mask: Tensor | None = None) -> Memory:
        """(n, T, size) made ready to be asked; what is padded may hold anything."""
        if mask is not None:
            check_mask(h, mask)
        h = blank(h, mask)
        return Memory(self.keys(h), h, mask)

    @abstractmethod
    def scores(self, query: Tensor, keys: Tensor) -> Tensor:
        """e, (n, U, T), of queries (n, U, query) and keys (n, T, hidden)."""

    def forward(self, query: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """Means (n, U, size) and weights (n, U, T) for queries (n, U, query).

        Weights are zero at padding and together one; a sequence without a step has none, and gets zeros.
        """
        scores = self.scores(query, memory.keys)
        if memory.mask is None:
            weights = scores.softmax(-1)
        else:
            absent = ~memory.mask.unsqueeze(1)
            scores = scores.masked_fill(absent, torch.finfo(scores.dtype).min)
            weights = scores.softmax(-1).masked_fill(absent, 0.0)
        return weights @ memory.values, weights


class DotAttention(CrossAttention):
    r"""e_uj = s_u' (W h_j + b) / sqrt(width): one matrix product for all pairs.

    Source: Luong et al. (2015), eq. 8, "general"; scaled as in Vaswani et al. (2017), eq. 1.

    >>> attend = DotAttention(4, 6)
    >>> means, weights = attend(torch.zeros(2, 3, 4), attend.remember(torch.ones(2, 5, 6)))
    >>> means.shape, weights[0, 0].tolist()
    (torch.Size([2, 3, 6]), [0.2..., 0.2..., 0.2..., 0.2..., 0.2...])
    """

    def __init__(self, query: int, size: int, *, generator: torch.Generator | None = None):
        super().__init__(query, size, generator=generator)

    def scores(self, query: Tensor, keys: Tensor) -> Tensor:
        return query @ keys.transpose(1, 2) * self.hidden**-0.5


class AdditiveAttention(CrossAttention):
    r"""e_uj = v' tanh(V s_u + W h_j + b): a small network for every pair.

    It takes U T `hidden` numbers of memory for each sequence, so that `DotAttention` suits long ones better; where no
    gradient is asked for, long sequences are worked through a part of the queries at a time.

    Source: Bahdanau et al. (2015), sec. A.1.2.

    >>> attend = AdditiveAttention(4, 6, 8)
    >>> attend(torch.zeros(2, 3, 4), attend.remember(torch.ones(2, 5, 6)))[0].shape
    torch.Size([2, 3, 6])
    """

    def __init__(
        self,
        query: int,
        size: int,
        hidden: int | None = None,
        *,
        generator: torch.Generator | None = None,
    ):
        super().__init__(query, size, hidden, generator=generator)
        self.queries = linear(query, self.hidden, bias=False, generator=generator)
        self.weigh = linear(self.hidden, 1, bias=False, generator=generator)

    def scores(self, query: Tensor, keys: Tensor) -> Tensor:
        queries = self.queries(query)
        rows = queries.shape[1]
        if not torch.is_grad_enabled():
            rows = min(rows, max(1, CELLS // max(1, keys.numel())))
        parts = [
            self.weigh(torch.tanh(part.unsqueeze(2) + keys.unsqueeze(1))).squeeze(-1)
            for part in queries.split(rows, 1)
        ]
        return parts[0] if len(parts) == 1 else torch.cat(parts, 1)
