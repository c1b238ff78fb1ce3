"""One output for every input: a core, a linear map where the core has none of its own, and a head."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from seqkit.nn.initialisation import linear

if TYPE_CHECKING:
    from seqkit.distributions import Distribution
    from seqkit.nn.heads import Head


class OneToOne(nn.Module):
    r"""p(y_t | x) = head(W core(x)_t + b) at every step t, or for every row of a plain table.

    A core with a last linear layer of its own (`FeedForward` with `outputs`) is read as it is; to any other a
    linear map is added, the readout.

    Parameters
    ----------
    core : (batch, time, inputs) to (batch, time, size), such as `seqkit.nn.TimeDelay`; a `FeedForward` takes rows
        (batch, inputs) as well.
    head : what the last numbers mean, with `size` of them per target: `seqkit.nn.heads.Squared()`,
        `seqkit.StudentT()`, `seqkit.nn.heads.Classes(3)`, ...
    targets : channels of the target, its last axis; None for one, without an axis of its own.
    generator : where the initial weights of the readout come from; torch's own where None.

    Raises ValueError where the last layer of the core does not have targets * head.size outputs.

    >>> from seqkit.nn import FeedForward
    >>> from seqkit.nn.heads import Squared
    >>> from types import SimpleNamespace as Batch
    >>> task = OneToOne(FeedForward(2, (8,), 1, initial_output="zero"), Squared())
    >>> x, y = torch.zeros(4, 2), torch.tensor([1.0, 2.0, 3.0, float("nan")])
    >>> total, count = task.loss(Batch(inputs=x, targets=y, mask=None))
    >>> total.item(), count.item()  # 1 + 4 + 9, over three
    (14.0, 3)
    """

    spread: Tensor

    def __init__(
        self,
        core: nn.Module,
        head: Head | Any,
        *,
        targets: int | None = None,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        from seqkit.nn.heads import as_head

        self.core, self.head, self.targets = core, as_head(head), targets
        size, own = int(core.size), getattr(core, "outputs", None)  # type: ignore[arg-type]
        width = (1 if targets is None else targets) * self.head.size
        if own is not None and own != width:
            raise ValueError(
                f"the core ends in {own} outputs, but {targets or 1} target(s) under {self.head!r} need "
                f"{width}: pass outputs={width}, or None to have the layer added"
            )
        self.readout = nn.Identity() if own else linear(size, width, generator=generator)
        self.channels = () if targets is None else (targets,)
        spread = torch.full(self.channels, float("nan"))  # of point heads; see calibrate
        self.register_buffer("spread", spread)

    def forward(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        """Raw numbers of the head, (..., head.size) or (..., targets, head.size)."""
        return self._read(self.core(inputs, mask))

    def _read(self, features: Tensor) -> Tensor:
        raw = self.readout(features)
        if not self.channels:
            return raw
        return raw.reshape(*raw.shape[:-1], *self.channels, self.head.size)

    def loss(self, batch: Any) -> tuple[Tensor, Tensor | int]:
        """Sum of the losses of the observed targets, and their number.

        ``batch.inputs`` (..., inputs), ``batch.targets`` (...) or (..., targets), NaN where missing, and
        ``batch.mask``: None, boolean and False where a step is padding, or numbers that weigh the losses.
        """
        raw = self(batch.inputs, _padding(batch.inputs, batch.mask))
        return self._losses(raw, batch.targets, batch.mask)

    def _losses(
        self, raw: Tensor, targets: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor | int]:
        target = self._aligned(targets, raw)
        if mask is None and not target.is_floating_point():
            loss = self.head.loss(raw, target, 0.0, 1.0)
            return loss.sum(), loss.numel()
        weights = _weights(target, mask)
        missing = weights == 0
        loss = self.head.loss(raw, target.masked_fill(missing, 0), 0.0, 1.0)
        loss = loss.masked_fill(missing, 0.0)
        if weights.is_floating_point():
            loss = loss * weights
        return loss.sum(), weights.sum()

    @torch.no_grad()
    def calibrate(self, inputs: Tensor, targets: Tensor, mask: Tensor | None = None) -> OneToOne:
        """Learn the constant spread of a point head from its residuals, best of data held out; returns self.

        Raises TypeError for a head whose spread the network gives.
        """
        if not self.head.constant_spread:
            raise TypeError(f"{self.head!r} needs no calibration: its network gives the spread")
        raw = self._evaluate(inputs, mask)
        target = self._aligned(targets, raw)
        residuals = self.head.residuals(raw, target, 0.0, 1.0)  # type: ignore[attr-defined]
        flat = residuals.reshape(-1, *self.channels)
        kept = (_weights(target, mask) > 0).reshape(flat.shape)
        found = self.head.spread(flat, kept)
        assert found is not None
        self.spread = found.to(self.spread)
        return self

    @torch.no_grad()
    def predict(self, inputs: Tensor, mask: Tensor | None = None) -> Distribution:
        """The predictive distribution of every target; point heads need `calibrate` first.

        Raises ValueError where they were not calibrated.
        """
        constant = self.head.constant_spread
        if constant and bool(self.spread.isnan().any()):
            raise ValueError(
                f"{self.head!r} gives points without a spread: call calibrate(inputs, targets) on data held "
                "out, or use point(inputs)"
            )
        raw = self._evaluate(inputs, mask)
        return self.head.distribution(raw, 0.0, 1.0, self.spread if constant else None)

    @torch.no_grad()
    def point(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        """One number per target: the median of the head's law, or its mean."""
        return self.head.point(self._evaluate(inputs, mask), 0.0, 1.0)

    def _evaluate(self, inputs: Tensor, mask: Tensor | None) -> Tensor:
        """The raw numbers without dropout; the task is left in the mode that it was in."""
        training = self.training
        self.eval()
        try:
            return self(inputs, _padding(inputs, mask))
        finally:
            self.train(training)

    def _aligned(self, targets: Tensor, raw: Tensor) -> Tensor:
        """The targets in the shape of the raw numbers, without their last axis."""
        shape = raw.shape[:-1]
        if targets.shape == (*shape, 1):
            targets = targets.squeeze(-1)
        if targets.shape != shape:
            raise ValueError(
                f"targets have shape {tuple(targets.shape)}, the task gives {tuple(shape)}; pass targets= "
                "to the task for targets with channels"
            )
        return targets


def _padding(inputs: Tensor, mask: Tensor | None) -> Tensor | None:
    """The mask of the steps: what is told for channels holds for a step if it does for one of them."""
    if mask is None or mask.dtype != torch.bool:
        return None
    return mask if mask.ndim < inputs.ndim else mask.any(-1)


def _weights(target: Tensor, mask: Tensor | None) -> Tensor:
    """Weight of every target, of its shape; 0 where it is missing or padding."""
    observed = ~target.isnan()
    if mask is None:
        return observed
    same = mask.numel() == target.numel()
    return observed * (mask.reshape(target.shape) if same else mask.unsqueeze(-1))
