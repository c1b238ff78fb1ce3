"""One core reads the window, and a second one, which begins in the state of the first, runs over the steps ahead."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from .forecasting import Layout, WindowForecast, patches
from .windows import WindowBatch

if TYPE_CHECKING:
    from seqkit.nn.heads import Head


class EncoderDecoder(WindowForecast):
    """As `WindowForecast`, but every step ahead has an output of its own, which knows the inputs of this step.

    At step j the decoder reads its baseline, j / h, the inputs and the features of the date known of it, and what is
    fixed. It is not fed with forecasts, so that all steps are forecast at once.

    Parameters
    ----------
    core : the encoder, a core with `scan` over (batch, time, patch * ``layout.per_step``).
    decoder : a core of the same kind over (batch, time, ``steps_ahead_width(layout)``).
    head, layout, patch, skip : as for `WindowForecast`.

    Source: Sutskever et al. (2014); Wen et al. (2017) for forecasts that are not fed back.
    """

    def __init__(
        self,
        core: nn.Module,
        decoder: nn.Module,
        head: Head,
        layout: Layout,
        *,
        patch: int = 1,
        skip: bool = False,
    ):
        if not hasattr(core, "scan"):
            raise TypeError(
                f"a decoder begins in the state of its encoder, and {type(core).__name__} has no scan() that gives it"
            )
        super().__init__(core, head, layout, flat=False, patch=patch)
        self.decoder, self.skip = decoder, skip
        each = layout.channels * head.size
        self.readout = nn.Linear(int(decoder.size), each)  # type: ignore[arg-type]
        layers = [self.readout]
        if skip:
            self.shortcut = nn.Linear(layout.lags * layout.per_step, layout.horizon * each)
            layers.append(self.shortcut)
        for layer in layers:
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def _raw(self, z: Tensor, baseline: Tensor | None, batch: WindowBatch) -> Tensor:
        layout, rows = self.layout, self._rows(z, batch)
        _, state = self.core.scan(patches(rows, self.patch))  # type: ignore[operator]
        place = torch.linspace(
            1 / layout.horizon, 1, layout.horizon, device=z.device, dtype=z.dtype
        )
        steps = [place.view(1, -1, 1).expand(len(z), -1, 1)]
        if baseline is not None:
            steps.append(baseline)
        if batch.inputs is not None:
            steps.append(batch.inputs[:, layout.lags :])
        if batch.calendar is not None:
            steps.append(batch.calendar)
        if batch.static is not None:
            steps.append(batch.static.unsqueeze(1).expand(-1, layout.horizon, -1))
        h, _ = self.decoder.scan(torch.cat(steps, 2), state)  # type: ignore[operator]
        raw = self.readout(h).flatten(1)
        if self.skip:
            raw = raw + self.shortcut(rows.flatten(1))
        return raw.view(len(z), layout.horizon, layout.channels, -1)


def steps_ahead_width(layout: Layout) -> int:
    """Features of a step ahead."""
    baseline = layout.channels if layout.seasons else 0
    return 1 + baseline + layout.inputs + layout.calendar + layout.static
