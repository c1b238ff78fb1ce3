"""What a decoder writes: symbols up to an end symbol, or rows of numbers up to a last one."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqkit.nn.class_heads import Classes
from seqkit.nn.inputs import automatic, table

from .ragged import Padded

if TYPE_CHECKING:
    from seqkit.nn.heads import Head

BOUNDARY = 0  # the symbol before the first one and after the last one


class Output(nn.Module):
    """The first and the last layer of a decoder. `size` is what it reads of the step before, `width` what reads it."""

    size: int

    @abstractmethod
    def before(self, written: Tensor) -> Tensor:
        """What is read at every step: (n, U, ..) moved on by one, the sign of the start first."""

    @abstractmethod
    def embed(self, read: Tensor) -> Tensor:
        """What is read as features (n, U, size)."""

    @abstractmethod
    def raw(self, o: Tensor) -> Tensor:
        """The raw numbers (n, U, ..) of the laws of all steps, from what the decoder says (n, U, width)."""

    @abstractmethod
    def losses(self, raw: Tensor, target: Padded) -> Tensor:
        """-log p of every step (n, U), 0 where there is none; of scaled numbers."""

    @abstractmethod
    def drawn(self, raw: Tensor) -> Tensor:
        """One draw of every step, of the shape of the target; from torch's own random numbers."""


class Symbols(Output):
    """Symbols; the one of code 0 is read first and written last.

    Parameters
    ----------
    width : of what the decoder says. count : of symbols, code 0 among them.
    embedding : length of the vector of a symbol; None chooses one that grows with `count`.
    smoothing : in training, share of each target that is spread over all symbols (Szegedy et al. 2016).

    Raises ValueError for fewer than two symbols and shares outside [0, 1).

    >>> output = Symbols(8, 5)
    >>> output.before(torch.tensor([[3, 4, 0]])).tolist()
    [[0, 3, 4]]
    """

    def __init__(
        self, width: int, count: int, *, embedding: int | None = None, smoothing: float = 0.0
    ):
        super().__init__()
        self.learning, self.head = Classes(count, smoothing), Classes(count)
        self.size = embedding or automatic(count)
        self.table = table(count, self.size)
        self.last = nn.Linear(width, count)

    def before(self, written: Tensor) -> Tensor:
        return F.pad(written[:, :-1], (1, 0), value=BOUNDARY)

    def embed(self, read: Tensor) -> Tensor:
        return self.table(read)

    def raw(self, o: Tensor) -> Tensor:
        return self.last(o)

    def losses(self, raw: Tensor, target: Padded) -> Tensor:
        head = self.learning if self.training else self.head
        losses = head.loss(raw, target.values)
        return losses if target.mask is None else losses.masked_fill(~target.mask, 0.0)

    def drawn(self, raw: Tensor) -> Tensor:
        law = raw.float().softmax(-1)
        return torch.multinomial(law.flatten(0, -2), 1).view(law.shape[:-1])


class Numbers(Output):
    """Rows of numbers, each by the law of a head, and, with `ends`, after each whether it is the last one.

        log p(y, U) = sum over u of log p(y_u | ..) + log p(last_u | ..)

    Targets are scaled where the law has a location, and NaN where missing. The read row has a 1 behind it
    at the first step, where there is none before.

    Parameters
    ----------
    width : of what the decoder says. channels : numbers of a row.
    head : law of a number. scale : (channels,), units of numbers that have no location.
    ends : whether outputs are of different lengths.

    >>> from seqkit.distributions import Normal
    >>> from seqkit.nn.heads import as_head
    >>> Numbers(8, as_head(Normal()), [1.0]).before(torch.tensor([[[2.0], [3.0]]])).tolist()
    [[[0.0, 1.0], [2.0, 0.0]]]
    """

    scale: Tensor

    def __init__(self, width: int, head: Head, scale: list[float], *, ends: bool = True):
        super().__init__()
        self.head, self.channels, self.ends = head, len(scale), ends
        self.register_buffer("scale", torch.tensor(scale))
        self.size = self.channels + 1
        self.last = nn.Linear(width, self.channels * head.size + ends)

    def before(self, written: Tensor) -> Tensor:
        rows = (
            written.nan_to_num(0.0) if self.head.shifted else written.nan_to_num(0.0) / self.scale
        )
        moved = F.pad(rows[:, :-1], (0, 1, 1, 0))
        moved[:, 0, -1] = 1.0
        return moved

    def embed(self, read: Tensor) -> Tensor:
        return read

    def raw(self, o: Tensor) -> Tensor:
        return self.last(o)

    def law(self, raw: Tensor) -> tuple[Tensor, Tensor | None]:
        """Raw numbers of the head (n, U, channels, head.size), and the logit of a last row (n, U) with `ends`."""
        count = self.channels * self.head.size
        values = raw[..., :count].unflatten(-1, (self.channels, self.head.size))
        return values, raw[..., count] if self.ends else None

    def losses(self, raw: Tensor, target: Padded) -> Tensor:
        values, end = self.law(raw)
        seen = ~target.values.isnan()
        if target.mask is not None:
            seen = seen & target.mask.unsqueeze(-1)
        scale = 1.0 if self.head.shifted else self.scale
        # what is not there counts for nothing, but must be lawful all the same: 0 has no finite density under Gamma
        lawful = torch.where(seen, target.values, self.scale.ceil())
        each = self.head.loss(values, lawful, 0.0, scale)
        losses = each.where(seen, 0.0).sum(-1)
        if end is not None:
            steps = torch.arange(end.shape[1], device=end.device)
            last = (steps == target.lengths.unsqueeze(1) - 1).to(end.dtype)
            losses = losses + F.binary_cross_entropy_with_logits(end, last, reduction="none")
        return losses if target.mask is None else losses.masked_fill(~target.mask, 0.0)

    def drawn(self, raw: Tensor) -> Tensor:
        """The point forecasts, in the units of the targets."""
        return self.head.point(self.law(raw)[0], 0.0, 1.0 if self.head.shifted else self.scale)
