"""Many-to-one with a head of several steps: a window of the past in, a distribution for every step ahead out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from .windows import WindowBatch

if TYPE_CHECKING:
    from seqkit.nn.heads import Head

Normalise = Literal["last", "season", "mean", "standard", "size"] | None
FLOOR = 0.1  # the least scale, where windows are divided by their size
CLIP = 10.0  # inputs of the network are cut there, in units of the window's scale
PRIOR = 2.0  # rows of the typical scale that a window's own scale is averaged with


@dataclass(frozen=True)
class Layout:
    """What a window consists of, and how it is brought to the scale of the network.

    Attributes
    ----------
    lags, horizon, channels : sizes L, h, C.
    seasons : periods of the seasonal baseline, () for none.
    normalise : how the level m and the scale s of a window are taken, z = (y - m) / s:
        "last" m the last value, "season" m the mean of the last (longest) season, "mean" m the mean of the window,
        all with s the mean absolute deviation of the window; "standard" mean and standard deviation (see
        `level_and_scale` for windows of which little is seen);
        "size" m = 0, s the mean absolute value; None m = 0, s = 1.
    weighted : the loss of a window counts s times (s^2 for squared errors), which measures errors in one unit for all.
    seen : whether a mask of missing values goes in beside the values.
    inputs, past_inputs, calendar, static : numbers of features (see `WindowBatch`).
    padded : whether some series are shorter than a window, and filled up with their first value.
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
    padded: bool = False

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
    A `flat` core sees the whole window as one vector, any other core runs over its steps and is read at the last;
    with `patch` a step is that many rows side by side, and with `skip` the readout sees all rows beside the core.

    Parameters
    ----------
    core : `seqkit.nn.FeedForward` over ``layout.lags * layout.per_step + layout.beside`` features, or a core over
        (batch, time, patch * ``layout.per_step``).
    head : what the numbers of the readout mean, with `size` of them for every step and channel.
    patch : rows of one step of the core; the first step is filled up with zeros where they do not come out even.
    skip : whether the readout sees the rows of the window beside what the core makes of them.
    """

    def __init__(
        self,
        core: nn.Module,
        head: Head,
        layout: Layout,
        *,
        flat: bool,
        patch: int = 1,
        skip: bool = False,
    ):
        super().__init__()
        self.core, self.head, self.layout, self.flat = core, head, layout, flat
        self.patch, self.skip = patch, skip
        width = int(core.size) + (0 if flat else layout.beside)  # type: ignore[arg-type]
        width += layout.lags * layout.per_step if skip else 0
        self.readout = nn.Linear(width, layout.horizon * layout.channels * head.size)
        nn.init.zeros_(self.readout.weight)
        nn.init.zeros_(self.readout.bias)

    def forward(self, batch: WindowBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Raw numbers (B, h, C, size), the level (B, h or 1, C) that they correct, and the scale (B, 1, C)."""
        shift, scale = level_and_scale(batch.past, self.layout, batch.past_seen)
        z = batch.past if self.layout.normalise is None else (batch.past - shift) / scale
        baseline = self._baseline(z) if self.layout.seasons else None
        level = shift if baseline is None else shift + scale * baseline
        if self.layout.normalise is not None:
            z = z.clamp(-CLIP, CLIP)
        return self._raw(z, baseline, batch), level, scale

    def loss(self, batch: WindowBatch) -> tuple[Tensor, Tensor]:
        """Sum of the head's losses over the observed targets, and their number."""
        raw, level, scale = self(batch)
        loss = self.head.loss(raw, batch.target, level, scale)
        if self.layout.weighted:
            unit = 1.0 if batch.weight is None else batch.weight.view(-1, 1, 1)
            loss = loss * (scale * unit) ** self.head.degree
        if batch.target_seen is None:
            return loss.sum(), loss.new_tensor(loss.numel())
        return (loss * batch.target_seen).sum(), batch.target_seen.sum()

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

    def _raw(self, z: Tensor, baseline: Tensor | None, batch: WindowBatch) -> Tensor:
        """Raw numbers (B, h, C, size) of windows in units of their scale."""
        raw = self.readout(self._features(z, batch))
        return raw.view(len(raw), self.layout.horizon, self.layout.channels, -1)

    def _rows(self, z: Tensor, batch: WindowBatch) -> Tensor:
        """All that is known of every row of the window, (B, L, per_step)."""
        steps = [z]
        if self.layout.seen:
            steps.append(torch.ones_like(z) if batch.past_seen is None else batch.past_seen)
        if batch.inputs is not None:
            steps.append(batch.inputs[:, : self.layout.lags])
        if batch.past_inputs is not None:
            steps.append(batch.past_inputs)
        return steps[0] if len(steps) == 1 else torch.cat(steps, 2)

    def _features(self, z: Tensor, batch: WindowBatch) -> Tensor:
        past, beside = self._rows(z, batch), []
        if batch.inputs is not None:
            beside.append(batch.inputs[:, self.layout.lags :].flatten(1))
        if batch.calendar is not None:
            beside.append(batch.calendar.flatten(1))
        if batch.static is not None:
            beside.append(batch.static)
        if self.flat:
            flat = past.flatten(1)
            return self.core(torch.cat([flat, *beside], 1) if beside else flat)
        if self.skip:
            beside.append(past.flatten(1))
        last = self.core(patches(past, self.patch))[:, -1]
        return torch.cat([last, *beside], 1) if beside else last


def level_and_scale(
    past: Tensor, layout: Layout, seen: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Level and scale (B, 1, C) of windows (B, L, C), as `Layout.normalise` says, by what is observed of them.

    Values come in units in which a typical window of their series has the scale 1. A window of which little is seen, or
    in which little happens, tells its scale badly: s^2 = (n s_w^2 + k) / (n + k), as if k = 2 more rows of scale 1 were
    seen.
    """
    kind = layout.normalise
    if kind is None:
        one = past.new_ones((len(past), 1, past.shape[2]))
        return torch.zeros_like(one), one
    mean_of, n = _mean_over(past, seen)
    if kind == "size":
        size = mean_of(past.abs())
        return torch.zeros_like(size), size.clamp(min=FLOOR)
    mean = mean_of(past)
    away = past - mean
    spread = mean_of(away.square()).sqrt_() if kind == "standard" else mean_of(away.abs_())
    if kind == "last":
        mean = past[:, -1:]
    elif kind == "season":
        season = max(layout.seasons)
        mean = _mean_over(past[:, -season:], None if seen is None else seen[:, -season:])[0](
            past[:, -season:]
        )
    share = n / (n + PRIOR)  # of the window's own scale
    return mean, (share * spread.square_()).add_(1 - share).sqrt_()


def _mean_over(past: Tensor, seen: Tensor | None) -> tuple[Callable[[Tensor], Tensor], Any]:
    """How to average over the observed rows of windows, and how many there are."""
    if seen is None:
        return lambda x: x.mean(1, keepdim=True), past.shape[1]
    n = seen.sum(1, keepdim=True)
    least = n.clamp(min=1)
    return lambda x: (x * seen).sum(1, keepdim=True) / least, n


def patches(rows: Tensor, size: int) -> Tensor:
    """(B, L, F) as (B, L / size, size * F), zeros before the first row where L is no multiple of the size.

    >>> patches(torch.arange(1.0, 6.0).view(1, 5, 1), 3).tolist()
    [[[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]]
    """
    if size == 1:
        return rows
    short = -rows.shape[1] % size
    return nn.functional.pad(rows, (0, 0, short, 0)).unflatten(1, (-1, size)).flatten(2)
