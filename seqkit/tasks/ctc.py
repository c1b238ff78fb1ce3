"""Many-to-many without alignment: frames to shorter transcripts, by connectionist temporal classification."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from seqkit.nn.ctc import ctc_loss
from seqkit.nn.initialisation import linear
from seqkit.nn.layers import check_dropout


class Unaligned(nn.Module):
    r"""p(l | x), l a transcript whose place in time nobody has told, by any core and a class for blanks.

        u_{k t + i} = W_i core(inputs(x))_t + b_i,   i = 0 .. k - 1,    p(l | x) = sum over paths of l of the softmax(u)

    Parameters
    ----------
    inputs : batch to (features (batch, time, size), mask), such as `seqkit.nn.inputs.InputLayer`.
    core : (batch, time, inputs.size) to (batch, time, size); any core.
    labels : how many there are, the blank not counted.
    upsample : k, frames for every step of the input, for transcripts that may be longer than it.
    dropout : share of the core's outputs set to zero in training.
    generator : where the initial weights of the readout come from; torch's own where None.

    Raises ValueError for no label, and an `upsample` below 1.
    Source: Graves et al. (2006).

    >>> from seqkit.nn import MLP
    >>> from seqkit.nn.inputs import InputLayer
    >>> from seqkit.tasks import Ragged
    >>> task = Unaligned(InputLayer(2), MLP(8).build(2), 3, upsample=2)
    >>> x, y, index = Ragged.of([torch.zeros(4, 2)]), Ragged.of([[1, 3]], "int64"), torch.tensor([0])
    >>> batch = {"numbers": x.take(index), "labels": y.take(index)}
    >>> task(batch)[0].shape, int(task.loss(batch)[1])
    (torch.Size([1, 8, 4]), 2)
    """

    def __init__(
        self,
        inputs: nn.Module,
        core: nn.Module,
        labels: int,
        *,
        upsample: int = 1,
        dropout: float = 0.0,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        check_dropout(dropout)
        for name, value in (("labels", labels), ("upsample", upsample)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value!r}")
        self.inputs, self.core = inputs, core
        self.classes, self.upsample = labels + 1, upsample
        self.dropout = nn.Dropout(dropout)
        size: Any = core.size
        self.readout = linear(size, upsample * self.classes, generator=generator)

    def forward(self, batch: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Scores of the classes of every frame, (batch, upsample * time, classes), and frames of every sequence."""
        x, mask = self.inputs(batch)
        u = self.readout(self.dropout(self.core(x, mask)))
        steps = x.new_full((len(x),), x.shape[1], dtype=torch.long) if mask is None else mask.sum(1)
        return u.reshape(len(u), -1, self.classes), steps * self.upsample

    def loss(self, batch: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """-log p of the transcripts, ``batch["labels"]``, and the number of their labels."""
        scores, lengths = self(batch)
        labels = batch["labels"]
        loss = ctc_loss(scores, lengths, labels.values, labels.lengths, impossible="zero")
        return loss.sum(), labels.lengths.sum()

    @torch.no_grad()
    def log_probabilities(self, batch: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """log p of the classes of every frame in float64, (batch, frames, classes), and the frames of each."""
        scores, lengths = self(batch)
        return scores.double().log_softmax(-1), lengths
