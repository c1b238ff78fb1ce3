"""One output for a whole sequence: an input layer, a core, a pooling over time, and a head."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from seqkit.nn.attention import AttentionPooling, last_pooling, max_pooling, mean_pooling
from seqkit.nn.bidirectional import BothDirections
from seqkit.nn.initialisation import linear
from seqkit.nn.layers import check_dropout
from seqkit.nn.stack import CoreStack

from ._pooling import Pooling, check_pooling

if TYPE_CHECKING:
    from seqkit.nn.heads import Head

PLAIN = {"mean": mean_pooling, "max": max_pooling}


class ManyToOne(nn.Module):
    r"""p(y | x_1 .. x_T) = head(W pool(h_1 .. h_T) + b), h = core(x), for sequences of any lengths.

    Parameters
    ----------
    inputs : the first layer, from a batch to features (batch, time, size) and a mask: `seqkit.nn.inputs.InputLayer`.
    core : (batch, time, inputs.size) and a mask to (batch, time, core.size).
    head : what the last numbers mean: `seqkit.nn.heads.Classes(3)`, `Squared()`, `seqkit.StudentT()`, ...
    pooling : "last", the last step that is there, and of a core in both directions each one's own last step, that is
        both ends; "mean"; "max"; "attention", a mean whose weights are learnt.
    dropout : share of what is pooled set to zero in training.
    noise : standard deviation of normal noise added to the numbers in training.
    scale : unit of the target, for heads of positive numbers and of counts; others are given it standardised.

    Raises ValueError for another pooling, a dropout outside [0, 1), and negative noise.
    Source: Graves (2012), section 2.1 (sequence classification); Yang et al. (2016) for the attention.

    >>> from seqkit.nn import LSTM, Classes
    >>> from seqkit.nn.inputs import InputLayer
    >>> from seqkit.tasks import Examples, Ragged
    >>> data = Examples(numbers=Ragged.of([torch.zeros(3, 2), torch.zeros(5, 2)]), target=torch.tensor([0, 1]))
    >>> task = ManyToOne(InputLayer(2), LSTM(8).build(2), Classes(2), pooling="mean")
    >>> total, count = task.loss(data.batch(torch.tensor([0, 1])))
    >>> round(total.item(), 4), count  # it says nothing yet: twice log 2
    (1.3863, 2)
    """

    def __init__(
        self,
        inputs: nn.Module,
        core: nn.Module,
        head: Head | Any,
        *,
        pooling: Pooling = "last",
        dropout: float = 0.0,
        noise: float = 0.0,
        scale: float = 1.0,
    ):
        super().__init__()
        from seqkit.nn.heads import as_head

        check_pooling(pooling)
        check_dropout(dropout)
        if not noise >= 0:
            raise ValueError(f"noise is a standard deviation, 0 or more; got {noise!r}")
        size: Any = core.size
        self.inputs, self.core, self.head = inputs, core, as_head(head)
        self.pooling, self.noise = pooling, float(noise)
        self.pool = AttentionPooling(size) if pooling == "attention" else None
        self.dropout = nn.Dropout(dropout)
        self.readout = linear(size, self.head.size, kind="zero")
        self.scale = float(scale)

    def forward(self, batch: dict[str, Any]) -> Tensor:
        """Raw numbers of the head, (batch, head.size)."""
        x, mask = self._read(batch)
        if self.pooling == "last":
            pooled = self._at_the_end(x, mask)
        elif self.pool is not None:
            pooled = self.pool(self.core(x, mask), mask)
        else:
            pooled = PLAIN[self.pooling](self.core(x, mask), mask)
        return self.readout(self.dropout(pooled))

    def loss(self, batch: dict[str, Any]) -> tuple[Tensor, int]:
        """Sum of the losses of the sequences of a batch, and their number; ``batch["target"]`` is (batch,)."""
        raw, target = self(batch), batch["target"]
        return self.head.loss(raw, target, 0.0, self.scale).sum(), len(target)

    def attention(self, batch: dict[str, Any]) -> Tensor:
        """How much every step counts, (batch, time): zero where it is padding, together one."""
        if self.pool is None:
            raise ValueError(
                f'pooling={self.pooling!r} has no weights of steps; use pooling="attention"'
            )
        x, mask = self._read(batch)
        return self.pool.weights(self.core(x, mask), mask)

    def _at_the_end(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """The last step; where the highest core looks both ways, the last of each."""
        top: Any = self.core
        while isinstance(top, CoreStack):
            x, top = top.below(x, mask), top.cores[-1]
        if isinstance(top, BothDirections):
            return both_ends(top, x, mask)
        return last_pooling(top(x, mask), mask)

    def _read(self, batch: dict[str, Any]) -> tuple[Tensor, Tensor | None]:
        if self.training and self.noise and "numbers" in batch:
            numbers = batch["numbers"]
            noisy = numbers.values + self.noise * torch.randn_like(numbers.values)
            batch = batch | {"numbers": numbers._replace(values=noisy)}
        return self.inputs(batch)


def both_ends(core: BothDirections, x: Tensor, mask: Tensor | None) -> Tensor:
    """What each direction says when it has read the whole sequence, (batch, core.size).

    >>> from seqkit.nn import LSTM, Bidirectional
    >>> core, x = Bidirectional(LSTM(4)).build(2), torch.randn(1, 6, 2)
    >>> h, ends = core(x), both_ends(core, x, None)
    >>> torch.equal(ends[:, :4], h[:, -1, :4]), torch.equal(ends[:, 4:], h[:, 0, 4:])
    (True, True)
    """
    there = last_pooling(core.forwards(x, mask), mask)
    back = core.backwards(x.flip(1), None if mask is None else mask.flip(1))[:, -1]
    return torch.cat([there, back], -1) if core.merge == "concat" else there + back
