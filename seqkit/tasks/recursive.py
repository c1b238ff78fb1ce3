"""Many-to-many: the law of the next step at every step, and forecasts that feed on what was drawn from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from .forecasting import CLIP, Layout, level_and_scale
from .windows import WindowBatch

if TYPE_CHECKING:
    from seqkit.nn.heads import Head
    from seqkit.nn.stepping import Step


class RecursiveForecast(nn.Module):
    r"""p(y_t | y_{t-1}, y_{t-2}, ..; x_t) = head(readout(core(..)_t), level_t, scale), one law at every step.

    The core reads, at step t, the last value and those of one season ago (scaled by the level and the spread of
    the first L rows), whether the last value was observed, the inputs x_t known of step t, and what is fixed. The law
    corrects a baseline, the average of the values of one season ago or the last value; the readout starts at zero.
    Training reads all L + h rows in one pass, each step given the true values before it (teacher forcing).

    Parameters
    ----------
    core : a causal core over ``steps_width(layout)`` features, with `initial` and `step`.
    head : what the numbers of the readout mean.
    layout : of the windows; `calendar` is 0: features of dates stand among `inputs`.
    sampled : share of the values that training replaces by draws from the network's own laws, so that it learns to
        go on from these too. They are drawn at all steps at once from laws given the true values, and read in a
        second pass (parallel scheduled sampling, Duckworth et al. 2019, after Bengio et al. 2015).

    Source: Salinas et al. (2020).
    """

    def __init__(
        self,
        core: nn.Module,
        head: Head,
        layout: Layout,
        *,
        sampled: float = 0.0,
    ):
        super().__init__()
        self.core, self.head, self.layout, self.sampled = core, head, layout, sampled
        self.periods = periods(layout, head)
        self.readout = nn.Linear(int(core.size), layout.channels * head.size)  # type: ignore[arg-type]
        nn.init.zeros_(self.readout.weight)
        nn.init.zeros_(self.readout.bias)

    # -- training --------------------------------------------------------------------------------

    def loss(self, batch: WindowBatch) -> tuple[Tensor, Tensor]:
        """Sum and number of the losses of all steps that have a baseline; in evaluation of those after the window."""
        values, seen = joined(batch)
        shift, scale = self.level(batch.past, batch.past_seen)
        inputs = (seen, batch.inputs, batch.static, shift, scale)
        if self.training and self.sampled:
            values_in = self._mixed(values, *inputs)
        else:
            values_in = values
        first = max(self.periods, default=1) if self.training else self.layout.lags
        raw, level = self._laws(values_in, *inputs, first=first)
        loss = self.head.loss(raw, values[:, first:], level, scale)
        if self.layout.weighted:
            unit = 1.0 if batch.weight is None else batch.weight.view(-1, 1, 1)
            loss = loss * (scale * unit) ** self.head.degree
        counted = None if seen is None else seen[:, first:]
        if self.layout.padded and self.training:
            moved = _begun(values)[:, first:]
            counted = moved if counted is None else counted * moved
        if counted is None:
            return loss.sum(), loss.new_tensor(loss.numel())
        return (loss * counted).sum(), counted.expand(loss.shape).sum()

    def forward(self, batch: WindowBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Of every row of the target given all rows before it: raw numbers (B, h, C, size), the level (B, h, C) that
        they correct, and the scale (B, 1, C)."""
        values, seen = joined(batch)
        shift, scale = self.level(batch.past, batch.past_seen)
        inputs = (seen, batch.inputs, batch.static, shift, scale)
        return *self._laws(values, *inputs, first=batch.past.shape[1]), scale

    def _mixed(self, values: Tensor, *inputs: Any) -> Tensor:
        """The values, some of them replaced by what the network itself would have said."""
        scale = inputs[-1]
        with torch.no_grad():
            raw, level = self._laws(values, *inputs, first=1)
            if self.head.constant_spread:  # its spread is learnt only afterwards
                own = self.head.point(raw, level, scale)
            else:
                seed = int(torch.randint(2**62, (1,)))  # of the generator that was seeded: no wait
                generator = torch.Generator(raw.device).manual_seed(seed)
                own = self.head.sample(raw, level, scale, generator)
            replaced = torch.rand_like(own[:, :, :1]) < self.sampled
            rest = torch.where(replaced, own.to(values.dtype), values[:, 1:])
        return torch.cat([values[:, :1], rest], 1)

    def _laws(
        self,
        values: Tensor,
        seen: Tensor | None,
        inputs: Tensor | None,
        static: Tensor | None,
        shift: Tensor,
        scale: Tensor,
        *,
        first: int,
    ) -> tuple[Tensor, Tensor]:
        """Raw numbers (B, T - first, C, size) and levels of the rows first .. T - 1 of `values` (B, T, C)."""
        known = None if inputs is None else inputs[:, 1:]
        before = None if seen is None else seen[:, :-1]
        lagged = [_before(values, p) for p in self._lags]
        h = self.core(self._features(lagged, before, known, static, shift, scale))
        level = self._level([_before(values, p)[:, first - 1 :] for p in self.periods], shift)
        return self._read(h[:, first - 1 :]), level

    # -- forecasting -----------------------------------------------------------------------------

    def start(
        self, past: Tensor, seen: Tensor | None, inputs: Tensor | None, static: Tensor | None
    ) -> tuple[Any, Tensor, Tensor]:
        """The state that has read all rows of a window (B, L, C) but the last, its level and its scale.

        The last row is read with the inputs of the step that it forecasts.
        """
        shift, scale = self.level(past, seen)
        if past.shape[1] == 1:
            return self.core.initial(len(past)), shift, scale  # type: ignore[operator]
        known = None if inputs is None else inputs[:, 1:]
        before = None if seen is None else seen[:, :-1]
        lagged = [_before(past, p) for p in self._lags]
        x = self._features(lagged, before, known, static, shift, scale)
        return self._scan(x), shift, scale

    def step(
        self,
        recent: Tensor,
        seen: Tensor | None,
        inputs: Tensor | None,
        static: Tensor | None,
        shift: Tensor,
        scale: Tensor,
        state: Any,
        mask: Tensor | None = None,
        through: Step | None = None,
    ) -> tuple[Tensor, Tensor, Any]:
        """One step: raw numbers (B, C, size) and levels (B, C) of the row after `recent`, and the state after it.

        Parameters
        ----------
        recent : (B, `memory` or more, C), the last rows. seen : (B, C), whether the last one was observed.
        inputs : (B, F), of the row that is forecast. shift, scale : as `start` gives them.
        mask : (B), False where the state shall stay as it is.
        through : `seqkit.nn.stepping.stepper` of the core, where many steps follow each other; takes no mask.
        """
        rows = recent.shape[1]
        lagged = [recent[:, rows - p : rows - p + 1] for p in self._lags]
        seen, inputs = (None if a is None else a.unsqueeze(1) for a in (seen, inputs))
        x = self._features(lagged, seen, inputs, static, shift, scale)[:, 0]
        if through is None:
            h, state = self.core.step(x, state, mask)  # type: ignore[operator]
        else:
            h, state = through(x, state)
        level = self._level([recent[:, rows - p : rows - p + 1] for p in self.periods], shift)
        return self._read(h.unsqueeze(1))[:, 0], level[:, 0], state

    @property
    def memory(self) -> int:
        """Rows of the past that a step looks at besides its state."""
        return max(self._lags)

    def level(self, past: Tensor, seen: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Level and scale (B, 1, C) of a window."""
        return level_and_scale(past, self.layout, seen)

    # -- inside ----------------------------------------------------------------------------------

    @property
    def _lags(self) -> tuple[int, ...]:
        return lags(self.periods)

    def _features(
        self,
        lagged: list[Tensor],
        seen: Tensor | None,
        inputs: Tensor | None,
        static: Tensor | None,
        shift: Tensor,
        scale: Tensor,
    ) -> Tensor:
        steps = [(value - shift) / scale for value in lagged]
        if self.layout.normalise is not None:
            steps = [z.clamp(-CLIP, CLIP) for z in steps]
        if self.layout.seen:
            steps.append(torch.ones_like(lagged[0]) if seen is None else seen)
        if inputs is not None:
            steps.append(inputs)
        if static is not None:
            steps.append(static.unsqueeze(1).expand(-1, lagged[0].shape[1], -1))
        return steps[0] if len(steps) == 1 else torch.cat(steps, 2)

    def _level(self, lagged: list[Tensor], shift: Tensor) -> Tensor:
        if not lagged:
            return shift
        return sum(lagged[1:], lagged[0]) / len(lagged)

    def _read(self, h: Tensor) -> Tensor:
        return self.readout(h).unflatten(2, (self.layout.channels, self.head.size))

    def _scan(self, x: Tensor) -> Any:
        """The state after all steps."""
        if hasattr(self.core, "scan"):
            return self.core.scan(x)[1]  # type: ignore[operator]
        state = self.core.initial(len(x))  # type: ignore[operator]
        for x_t in x.unbind(1):
            _, state = self.core.step(x_t, state)  # type: ignore[operator]
        return state


def periods(layout: Layout, head: Head) -> tuple[int, ...]:
    """How far back the values lie whose average is the baseline: seasons, or the step before; () for the level."""
    if not head.shifted or (layout.normalise is None and not layout.seasons):
        return ()
    return layout.seasons or (1,)


def lags(baseline: tuple[int, ...]) -> tuple[int, ...]:
    """How far back the values lie that a step reads."""
    return (1, *(p for p in baseline if p > 1))


def steps_width(layout: Layout, head: Head) -> int:
    """Features of a step."""
    values = layout.channels * (len(lags(periods(layout, head))) + layout.seen)
    return values + layout.inputs + layout.static


def joined(batch: WindowBatch) -> tuple[Tensor, Tensor | None]:
    """Past and target as the one stretch of rows that they are, and which of its values are observed."""
    values = torch.cat([batch.past, batch.target], 1)
    if batch.past_seen is None or batch.target_seen is None:
        return values, None
    return values, torch.cat([batch.past_seen, batch.target_seen], 1)


def _before(values: Tensor, period: int) -> Tensor:
    """For rows 1 .. T - 1 of (B, T, C) the row `period` before, or, where there is none, the row before."""
    count = values.shape[1]
    if period == 1 or count <= period:
        return values[:, :-1]
    return torch.cat([values[:, : period - 1], values[:, : count - period]], 1)


def _begun(values: Tensor) -> Tensor:
    """1 from the first change on: what stands before it may be padding, which is easily forecast."""
    moved = (values[:, 1:] != values[:, :1]).to(values.dtype).cummax(1).values
    return torch.cat([torch.zeros_like(values[:, :1]), moved], 1)
