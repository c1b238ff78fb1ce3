"""Many-to-one with a head of several steps: a window of the past in, a distribution for every step ahead out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from .windows import WindowBatch

if TYPE_CHECKING:
    from seqkit.nn.heads import Head

Normalise = Literal["last", "season", "mean", "standard", "size"] | None
CLIP = 10.0  # inputs of the network are cut there, in units of the window's scale
FAR = 100.0  # and targets there, in training: one absurd value must not undo what all others teach


@dataclass(frozen=True)
class Layout:
    """What a window consists of, and how it is brought to the scale of the network.

    Attributes
    ----------
    lags, horizon, channels : sizes L, h, C.
    seasons : periods of the seasonal baseline, () for none.
    normalise : how the level m and the scale s of a window are taken, z = (y - m) / s:
        "last" m the last value, "season" m the mean of the last (longest) season, "mean" m the mean of the window,
        all with s the mean absolute deviation of the window; "standard" mean and standard deviation;
        "size" m = 0, s the mean absolute value; None m = 0, s = 1.
    weighted : the loss of a window counts s times (s^2 for squared errors), which measures errors in the units of the
        series.
    seen : whether a mask of missing values goes in beside the values.
    inputs, past_inputs, calendar, static : numbers of features (see `WindowBatch`).
    """

    lags: int
    horizon: int
    channels: int = 1
    seasons: tuple[int, ...] = ()
    normalise: Normalise = "last"
    weighted: bool = False
    seen: bool = False
    inputs: int = 0
    past_inputs: int = 0
    calendar: int = 0
    static: int = 0

    @property
    def per_step(self) -> int:
        """Features of one row of the past."""
        return self.channels * (2 if self.seen else 1) + self.inputs + self.past_inputs

    @property
    def beside(self) -> int:
        """Features that stand beside the past: of the steps ahead, and of the series."""
        return self.horizon * (self.inputs + self.calendar) + self.static


class WindowForecast(nn.Module):
    """p(y_{t+1}, .., y_{t+h} | the last L rows) = head(readout(core(z)), level, scale).

    The readout starts at zero, so that the network starts as its baseline: the average of the seasonal naive
    forecasts at `seasons`, or the level of the window where there are none; what is learnt is the correction.
    A `flat` core sees the whole window as one vector, any other core runs over its steps and is read at the last.

    Parameters
    ----------
    core : `seqkit.nn.FeedForward` over ``layout.lags * layout.per_step + layout.beside`` features, or a core over
        (batch, time, ``layout.per_step``).
    head : what the numbers of the readout mean, with `size` of them for every step and channel.
    floor : the least scale of a window, in the units of the values.
    """

    floor: Tensor

    def __init__(
        self, core: nn.Module, head: Head, layout: Layout, *, flat: bool, floor: float = 1e-6
    ):
        super().__init__()
        self.core, self.head, self.layout, self.flat = core, head, layout, flat
        width = int(core.size) + (0 if flat else layout.beside)  # type: ignore[arg-type]
        self.readout = nn.Linear(width, layout.horizon * layout.channels * head.size)
        nn.init.zeros_(self.readout.weight)
        nn.init.zeros_(self.readout.bias)
        self.register_buffer("floor", torch.tensor(floor))

    def forward(self, batch: WindowBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Raw numbers (B, h, C, size), the level (B, h or 1, C) that they correct, and the scale (B, 1, C)."""
        shift, scale = self._level(batch.past)
        z = batch.past if self.layout.normalise is None else (batch.past - shift) / scale
        level = shift if not self.layout.seasons else shift + scale * self._baseline(z)
        if self.layout.normalise is not None:
            z = z.clamp(-CLIP, CLIP)
        features = self._features(z, batch)
        raw = self.readout(features)
        return raw.view(len(raw), self.layout.horizon, self.layout.channels, -1), level, scale

    def loss(self, batch: WindowBatch) -> tuple[Tensor, Tensor]:
        """Sum of the head's losses over the observed targets, and their number."""
        raw, level, scale = self(batch)
        target = batch.target
        if self.layout.normalise is not None and self.head.shifted:
            target = torch.clamp(target, level - FAR * scale, level + FAR * scale)
        loss = self.head.loss(raw, target, level, scale)
        if self.layout.weighted:
            loss = loss * scale**self.head.degree
        if batch.target_seen is None:
            return loss.sum(), loss.new_tensor(loss.numel())
        return (loss * batch.target_seen).sum(), batch.target_seen.sum()

    def _level(self, past: Tensor) -> tuple[Tensor, Tensor]:
        kind = self.layout.normalise
        if kind is None:
            one = past.new_ones((len(past), 1, past.shape[2]))
            return torch.zeros_like(one), one
        if kind == "size":
            size = past.abs().mean(1, keepdim=True)
            return torch.zeros_like(size), torch.maximum(size, self.floor)
        mean = past.mean(1, keepdim=True)
        if kind == "standard":
            scale = past.std(1, keepdim=True, correction=0)
        else:
            scale = (past - mean).abs_().mean(1, keepdim=True)
        if kind == "last":
            mean = past[:, -1:]
        elif kind == "season":
            mean = past[:, -max(self.layout.seasons) :].mean(1, keepdim=True)
        return mean, torch.maximum(scale, self.floor)

    def _baseline(self, z: Tensor) -> Tensor:
        """The average of the seasonal naive forecasts, (B, h, C)."""
        lags, horizon = self.layout.lags, self.layout.horizon
        total: Any = 0
        for period in self.layout.seasons:
            season = z[:, lags - period :]
            if period < horizon:
                season = season.repeat(1, -(-horizon // period), 1)
            total = total + season[:, :horizon]
        return total / len(self.layout.seasons)

    def _features(self, z: Tensor, batch: WindowBatch) -> Tensor:
        lags = self.layout.lags
        steps, beside = [z], []
        if self.layout.seen:
            steps.append(torch.ones_like(z) if batch.past_seen is None else batch.past_seen)
        if batch.inputs is not None:
            steps.append(batch.inputs[:, :lags])
            beside.append(batch.inputs[:, lags:].flatten(1))
        if batch.past_inputs is not None:
            steps.append(batch.past_inputs)
        if batch.calendar is not None:
            beside.append(batch.calendar.flatten(1))
        if batch.static is not None:
            beside.append(batch.static)
        past = steps[0] if len(steps) == 1 else torch.cat(steps, 2)
        if self.flat:
            flat = past.flatten(1)
            return self.core(torch.cat([flat, *beside], 1) if beside else flat)
        last = self.core(past)[:, -1]
        return torch.cat([last, *beside], 1) if beside else last
