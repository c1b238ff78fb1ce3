"""Many-to-many, step by step: one label for every step of a sequence."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from seqkit.nn.crf import CRF
from seqkit.nn.heads import Classes
from seqkit.nn.initialisation import linear
from seqkit.nn.layers import SequenceDropout


class Scores(NamedTuple):
    """What a network says of the labels of every step."""

    first: Tensor  # (batch, time, labels)
    second: Tensor | None  # (batch, time, labels of the second layer)
    mask: Tensor | None  # (batch, time), False where a sequence has ended


class Aligned(nn.Module):
    r"""Labels of every step of a sequence, by a softmax at each step or by a CRF over all of them.

        e = W core(inputs(x)) + b,    p(y | x) = prod_t softmax(e_t)[y_t],   or the CRF's p(y | e)

    A second layer of labels of the same steps, each by a softmax of its own, can be learnt beside the first: what
    the layers have in common is then learnt from both.

    Parameters
    ----------
    inputs : batch to (features (batch, time, size), mask), such as `seqkit.nn.inputs.InputLayer`.
    core : (batch, time, inputs.size) to (batch, time, size); any core.
    labels : how many there are, two or more. crf : whether labels are judged together.
    allowed : what a CRF allows (see `seqkit.nn.crf.bio`).
    second : labels of the second layer; 0 for none. weight : what its loss counts beside that of the first.
    dropout : share of the core's outputs set to zero in training, the same ones at all steps of a sequence.

    Raises ValueError for less than two labels.
    Source: Graves, Schmidhuber (2005); Huang, Xu, Yu (2015) with a CRF; Plank, Sogaard, Goldberg (2016), two losses.

    >>> from seqkit.nn import MLP
    >>> from seqkit.nn.inputs import InputLayer
    >>> from seqkit.tasks import Ragged
    >>> inputs = InputLayer(2)
    >>> task = Aligned(inputs, MLP(8).build(inputs.size), 3)
    >>> x, y = Ragged.of([torch.zeros(4, 2)]), Ragged.of([[0, 1, -1, 2]])
    >>> index = torch.tensor([0])
    >>> int(task.loss({"numbers": x.take(index), "labels": y.take(index)})[1])  # -1: not known
    3
    """

    def __init__(
        self,
        inputs: nn.Module,
        core: nn.Module,
        labels: int,
        *,
        crf: bool = False,
        allowed: Any = None,
        second: int = 0,
        weight: float = 0.5,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.inputs, self.core, self.head, self.weight = inputs, core, Classes(labels), weight
        self.dropout = SequenceDropout(dropout)
        self.readout = linear(int(core.size), labels)  # type: ignore[arg-type]
        self.crf = CRF(labels, allowed=allowed) if crf else None
        self.second = linear(int(core.size), second) if second else None  # type: ignore[arg-type]

    def forward(self, batch: dict[str, Any]) -> Scores:
        """The scores of every step of a batch."""
        h, mask = self._features(batch)
        second = None if self.second is None else self.second(h)
        return Scores(self.readout(h), second, mask)

    def loss(self, batch: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """-log p of the labels that are known, ``batch["labels"]`` and ``batch["second"]``, -1 where not; how many."""
        h, mask = self._features(batch)
        labels = _known(batch["labels"].values, mask)
        there = labels >= 0
        if self.crf is None:
            raw = self.readout(h[there])  # only where something is known
            total = self.head.loss(raw, labels[there]).sum()
        else:
            total = -self.crf.log_likelihood(self.readout(h), labels, mask).sum()
        if self.second is not None and "second" in batch:
            others = _known(batch["second"].values, mask)
            total = total + self.weight * self._second_loss(h, others)
        return total, there.sum()

    def _second_loss(self, h: Tensor, labels: Tensor) -> Tensor:
        there = labels >= 0
        raw = self.second(h[there]).float()  # type: ignore[misc]
        return nn.functional.cross_entropy(raw, labels[there], reduction="sum")

    def _features(self, batch: dict[str, Any]) -> tuple[Tensor, Tensor | None]:
        x, mask = self.inputs(batch)
        return self.dropout(self.core(x, mask)), mask

    # -- answering -------------------------------------------------------------------------------

    @torch.no_grad()
    def decode(self, batch: dict[str, Any], *, second: bool = False) -> Tensor:
        """The best labels of every sequence, (batch, time); anything behind its end."""
        scores = self(batch)
        if second:
            return scores.second.argmax(-1)
        if self.crf is None:
            return scores.first.argmax(-1)
        return self.crf.viterbi(scores.first, scores.mask)

    @torch.no_grad()
    def marginals(self, batch: dict[str, Any], *, second: bool = False) -> Tensor:
        """P(label of a step | the whole sequence), (batch, time, labels) float64."""
        scores = self(batch)
        if self.crf is None or second:
            return (scores.second if second else scores.first).double().softmax(-1)
        return self.crf.marginals(scores.first, scores.mask)

    @torch.no_grad()
    def k_best(self, batch: dict[str, Any], k: int) -> tuple[Any, Any]:
        """The k best labellings of the one sequence of a batch, (k, time), and log p of each (k,)."""
        scores = self(batch).first
        # a softmax at every step is a CRF whose labels do not see each other
        crf = CRF(self.head.size).to(scores.device) if self.crf is None else self.crf
        return crf.k_best(scores[0], k)


def _known(labels: Tensor, mask: Tensor | None) -> Tensor:
    return labels if mask is None else labels.masked_fill(~mask, -1)
