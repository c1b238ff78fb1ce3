"""The loss of connectionist temporal classification, its gradient written down rather than traced."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from seqkit.kernels import ctc


def ctc_loss(
    scores: Tensor,
    lengths: Tensor,
    labels: Tensor,
    label_lengths: Tensor,
    *,
    impossible: Literal["raise", "zero"] = "raise",
) -> Tensor:
    r"""-log p(l | x) of every sequence, summed over all its alignments, (n,), in the precision of float64 on a CPU.

        p(l | x) = sum over paths that collapse to l of prod_t softmax(u_t)[path_t]
        d loss / d u_t(k) = softmax(u_t)[k] - P(class k at t | x, l)

    Parameters
    ----------
    scores : u, (n, T, K), before the softmax; class 0 is the blank.
    lengths : (n,) frames of every sequence.
    labels, label_lengths : (n, L) classes 1 .. K - 1, padded, and how many each sequence has.
    impossible : what to do with a transcript that takes more frames than there are: "raise", or "zero", which leaves
        it out of loss and gradient.

    Raises
    ------
    ValueError : a transcript that takes too many frames, which is named; lengths and labels that do not fit.

    On a CPU it is one compiled pass forth and back (`seqkit.kernels.ctc`), elsewhere torch's own kernel.

    Source: Graves, Fernandez, Gomez, Schmidhuber (2006).

    >>> u = torch.tensor([[[0.6, 0.4], [0.6, 0.4]]]).log().requires_grad_()
    >>> loss = ctc_loss(u, torch.tensor([2]), torch.tensor([[1]]), torch.tensor([1]))
    >>> loss.sum().backward()
    >>> round((-loss).exp().item(), 6), [round(v, 6) for v in u.grad[0, 0].tolist()]
    (0.64, [0.225, -0.225])
    """
    if impossible not in ("raise", "zero"):
        raise ValueError(f'impossible must be "raise" or "zero", got {impossible!r}')
    fits = frames_needed(labels, label_lengths) <= lengths
    if impossible == "raise" and not bool(fits.all()):
        n = int(torch.argmin(fits.int()))
        least = int(frames_needed(labels, label_lengths)[n])
        raise ValueError(
            f"sequence {n} has {int(lengths[n])} frames, but its transcript of {int(label_lengths[n])} labels takes "
            f"{least} or more (a blank between equal neighbours counted); leave it out, give more frames, or pass "
            'impossible="zero"'
        )
    if scores.device.type == "cpu":
        loss = Exact.apply(scores, lengths, labels, label_lengths)
    else:
        loss = _torch(scores, lengths, labels, label_lengths)
    return loss if impossible == "raise" else torch.where(fits, loss, 0.0)


def frames_needed(labels: Tensor, label_lengths: Tensor) -> Tensor:
    """Frames that every transcript takes at least, (n,): one a label, and a blank between equal neighbours.

    >>> frames_needed(torch.tensor([[1, 1, 2], [3, 0, 0]]), torch.tensor([3, 1])).tolist()
    [4, 1]
    """
    equal = labels[:, 1:] == labels[:, :-1]
    place = torch.arange(labels.shape[1], device=labels.device)[1:]
    return label_lengths + (equal & (place < label_lengths[:, None])).sum(1)


class Exact(torch.autograd.Function):
    """Loss and gradient in one compiled pass, in float64."""

    @staticmethod
    def forward(
        context: Any, scores: Tensor, lengths: Tensor, labels: Tensor, label_lengths: Tensor
    ) -> Tensor:
        counts = label_lengths.numpy()
        ends = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
        flat = labels.numpy()[np.arange(labels.shape[1]) < counts[:, None]]
        arguments = (scores.detach().double().numpy(), lengths.numpy(), flat, ends)
        loss, gradient = ctc.gradient(*arguments)
        if context.needs_input_grad[0]:
            context.save_for_backward(torch.from_numpy(gradient).to(scores.dtype))
        return torch.from_numpy(loss)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context: Any, weight: Tensor) -> Any:  # type: ignore[override]
        (gradient,) = context.saved_tensors
        return gradient * weight.to(gradient.dtype)[:, None, None], None, None, None


def _torch(scores: Tensor, lengths: Tensor, labels: Tensor, label_lengths: Tensor) -> Tensor:
    """The same by torch's kernel, for devices that the compiled one does not reach."""
    wide = scores.float() if scores.itemsize < 4 else scores
    log_y = wide.log_softmax(-1).transpose(0, 1)
    return F.ctc_loss(log_y, labels, lengths, label_lengths, reduction="none", zero_infinity=True)
