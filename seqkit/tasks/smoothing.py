"""Exponential smoothing of every series, learnt together with one network that reads what smoothing leaves over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from seqkit.kernels import holt_winters, holt_winters_torch

from .forecasting import CLIP, Layout, WindowForecast, level_and_scale
from .windows import Rows, WindowBatch, Windows

if TYPE_CHECKING:
    from seqkit.nn.heads import Head

Array = np.ndarray
RATE = 10.0  # how many times as fast as weights the coefficients are learnt


@dataclass(frozen=True)
class SmoothedLayout(Layout):
    """A layout with what belongs to the smoothing; `seasons` are the periods of its seasonals.

    Attributes
    ----------
    series : of which each has coefficients of its own.
    start : the coefficients of level and seasonals that learning starts from.
    """

    series: int = 1
    start: tuple[float, float] = (0.5, 0.2)

    @property
    def beside(self) -> int:
        """Features that stand beside the past: those of every layout, and the seasonals of the steps ahead."""
        return super().beside + (self.horizon * self.channels if self.seasons else 0)


class PanelBatch(NamedTuple):
    """Some windows of a panel, and where in it they lie; attributes of `WindowBatch` are those of `window`.

    series (B,) : which series each window is of. origin (B,) : its first row ahead. panel : the rows of all.
    """

    window: WindowBatch
    series: Tensor
    origin: Tensor
    panel: Panel

    @property
    def target(self) -> Tensor:
        return self.window.target

    @property
    def target_seen(self) -> Tensor | None:
        return self.window.target_seen

    @property
    def weight(self) -> Tensor | None:
        return self.window.weight


class Panel:
    """Rows to be smoothed, and level (n, C) and seasonals (n, C, sum of periods) that each series starts from.

    These are taken from the first rows of a series, which every window has before its origin.
    """

    __slots__ = ("level", "rows", "season", "sent")  # what is sent where is no part of a batch

    def __init__(self, rows: holt_winters.Rows, first: Array):
        self.rows = rows
        found = holt_winters.starts(rows.values, rows.begin, first, rows.periods)
        self.level, self.season = found
        self.sent: dict[tuple[str, torch.device], Tensor] = {}

    def starts(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Level and seasonals that each series starts from."""
        return self._once("level", self.level, device), self._once("season", self.season, device)

    def padded(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Rows of every series from its first one on, (n, T, C), NaN after its last; and where they begin (n,)."""
        rows = self.rows
        if ("values", device) not in self.sent:
            longest = int((rows.end - rows.begin).max())
            values = np.full((len(rows.end), longest, rows.values.shape[1]), np.nan, rows.values.dtype)  # fmt: skip
            for i, (first, end) in enumerate(zip(rows.begin, rows.end, strict=True)):
                values[i, : end - first] = rows.values[first:end]
            self._once("values", values, device)
        return self.sent["values", device], self._once("begin", rows.begin, device)

    def _once(self, name: str, array: Array, device: torch.device) -> Tensor:
        """An array on a device, sent there once."""
        if (name, device) not in self.sent:
            self.sent[name, device] = torch.from_numpy(array).to(device)
        return self.sent[name, device]


class SmoothedWindows(Windows):
    """Windows that know of which series and row they are.

    Parameters
    ----------
    rows, lags, horizon, dtype : as for `Windows`.
    periods : of the seasonals.
    block : steps ahead that the network forecasts; `horizon` may be fewer.

    >>> rows = Rows(np.arange(6.0)[:, None], np.array([0, 6]))
    >>> windows = SmoothedWindows(rows, lags=3, horizon=2, periods=())
    >>> batch = windows.batch(torch.tensor([1]))
    >>> batch.origin.tolist(), batch.target[0, :, 0].tolist(), batch.panel.level.tolist()
    ([4], [4.0, 5.0], [[0.0]])
    """

    def __init__(
        self,
        rows: Rows,
        lags: int,
        horizon: int,
        *,
        periods: tuple[int, ...],
        block: int | None = None,
        dtype: torch.dtype = torch.float32,
    ):
        super().__init__(rows, lags, horizon, dtype=dtype)
        order = self._order
        values = rows.values if order is None else rows.values[order]
        starts, begin = self.starts.copy(), self.starts.copy()
        end = np.append(starts[1:], len(values))
        if order is not None:
            begin += [
                np.count_nonzero(order[a:b] == order[a]) - 1 if b > a else 0
                for a, b in zip(starts, end, strict=True)
            ]
        made = np.float64 if dtype == torch.float64 else np.float32
        values = np.ascontiguousarray(values.astype(made, copy=False))
        held = holt_winters.Rows(values, starts, begin, end, np.array(periods, dtype=np.int64))
        seen = ~np.isnan(values).all(1)
        observed = [np.flatnonzero(seen[a:b]) for a, b in zip(begin, end, strict=True)]
        sizes = np.array([found[-1] + 1 if len(found) else 0 for found in observed])
        first = np.minimum(lags, np.maximum((sizes - (block or horizon)) // 2, 1))
        self.panel = Panel(held, first)

    def cut(self, skip: int | Array = 0, last: int | Array | None = None) -> SmoothedWindows:
        return self._like(super().cut(skip, last))

    def to(self, device: torch.device | str) -> SmoothedWindows:
        return self._like(super().to(device))

    def _like(self, windows: Windows) -> SmoothedWindows:
        made = object.__new__(SmoothedWindows)
        vars(made).update(vars(windows))
        return made

    def rows_of(self, first: int, end: int) -> Array:
        """Which of the rows that were given stand at first .. end - 1 of the panel."""
        return np.arange(first, end) if self._order is None else self._order[first:end]

    def seen_by(self, numbers: Array) -> WindowBatch:
        """The windows of these numbers as they are, before anything is smoothed."""
        return super().batch(torch.from_numpy(np.asarray(numbers)).to(self._ends.device))

    def places(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """The series of windows, and their first rows ahead in the panel."""
        series = torch.searchsorted(self._ends, index, right=True)
        return series, index + self._shift[series] + self.lags

    def batch(self, index: Tensor) -> PanelBatch:  # type: ignore[override]
        return PanelBatch(super().batch(index), *self.places(index), self.panel)


class Smoother(nn.Module):
    r"""The coefficients of smoothing: a common part, and one for every series and channel.

    alpha = sigmoid(u + u_i), gamma_k = sigmoid(v_k + v_ik), and s_i, which is added to the first seasonals. Shapes
    (n, C), (n, C, K), (n, C, sum of the periods).
    """

    def __init__(self, layout: SmoothedLayout):
        super().__init__()
        count, channels, periods = layout.series, layout.channels, layout.seasons
        level, season = (float(np.log(c / (1 - c))) / RATE for c in layout.start)
        self.level = nn.Parameter(torch.full((1,), level))
        self.season = nn.Parameter(torch.full((len(periods),), season))
        self.own_level = nn.Parameter(torch.zeros(count, channels))
        self.own_season = nn.Parameter(torch.zeros(count, channels, len(periods)))
        self.shape = nn.Parameter(torch.zeros(count, channels, sum(periods)))

    def forward(self) -> tuple[Tensor, Tensor, Tensor]:
        """alpha, gamma and the change of the first seasonals."""
        alpha = (RATE * (self.level + self.own_level)).sigmoid()
        gamma = (RATE * (self.season + self.own_season)).sigmoid()
        return alpha, gamma, self.shape


class Compiled(torch.autograd.Function):
    """`seqkit.kernels.holt_winters` with its own adjoint: (level, seasonals before, seasonals ahead) of windows."""

    @staticmethod
    def forward(ctx: Any, alpha: Tensor, gamma: Tensor, level: Tensor, season: Tensor, rows: holt_winters.Rows,
                series: Array, origin: Array, lags: int, ahead: int) -> tuple[Tensor, ...]:  # fmt: skip
        until = rows.begin.copy()
        np.maximum.at(until, series, origin)  # nothing is smoothed that no window needs
        parts = (p.detach().numpy() for p in (alpha, gamma, level, season))
        ctx.smoothed = holt_winters.Smoothed(rows, holt_winters.Smoothing(*parts), until)
        ctx.where = series, origin
        return tuple(map(torch.from_numpy, ctx.smoothed.windows(series, origin, lags, ahead)))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        parts = (g.contiguous().numpy() for g in gradients)
        found = ctx.smoothed.gradient(*ctx.where, *parts)
        return *(torch.from_numpy(g) for g in vars(found).values()), *(None,) * 5


class SmoothedForecast(WindowForecast):
    r"""The future of a smoothed series: y_{t+j} = l_t + s_{t+j} + what the network makes of the last L rows.

    With l_t the level and s the seasonals of `seqkit.kernels.holt_winters`, the network reads z = (y - s - l_t) / c of
    the rows of the window, c the scale of y - s, and the seasonals of the steps ahead. Its readout starts at zero, so
    that it starts as exponential smoothing. Coefficients and weights are learnt at once.

    Parameters
    ----------
    core, head, flat, patch, skip : as for `WindowForecast`. layout : with the periods of the seasonals.

    Source: Smyl (2020), International Journal of Forecasting 36.
    """

    def __init__(
        self,
        core: nn.Module,
        head: Head,
        layout: SmoothedLayout,
        *,
        flat: bool = False,
        patch: int = 1,
        skip: bool = True,
    ):
        super().__init__(core, head, layout, flat=flat, patch=patch, skip=skip)
        self.smoother = Smoother(layout)

    def forward(self, batch: WindowBatch | PanelBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Raw numbers (B, h, C, size), what they correct (B, h, C) and the scale (B, 1, C).

        Of a `WindowBatch` the level and the seasonals are taken off already (see `left_over`); it is corrected from 0.
        """
        if isinstance(batch, PanelBatch):
            batch, level = self._smoothed(batch)
        else:
            level = torch.zeros_like(batch.past[:, :1])
        _, scale = level_and_scale(batch.past, self.layout, batch.past_seen)
        z = batch.past if self.layout.normalise is None else (batch.past / scale).clamp(-CLIP, CLIP)
        return self._raw(z, None, batch), level, scale

    def _smoothed(self, batch: PanelBatch) -> tuple[WindowBatch, Tensor]:
        """Windows of what smoothing leaves over, and what it forecasts, (B, h, C)."""
        now, past, ahead = self.components(batch)
        window = left_over(batch.window, now, past, ahead, seasonal=bool(self.layout.seasons))
        return window, now.unsqueeze(1) + ahead

    def components(self, batch: PanelBatch) -> tuple[Tensor, ...]:
        """Levels (B, C) at the origins, and sums of the seasonals of the rows before (B, L, C) and ahead (B, h, C)."""
        alpha, gamma, shape = self.smoother()
        level, season = batch.panel.starts(alpha.device)
        run = self._compiled if alpha.device.type == "cpu" else self._in_blocks
        return run(batch, alpha, gamma, level, season + shape)

    def _compiled(self, batch: PanelBatch, *smoothing: Tensor) -> tuple[Tensor, ...]:
        where = batch.series.numpy(), batch.origin.numpy(), self.layout.lags, self.layout.horizon
        return Compiled.apply(*smoothing, batch.panel.rows, *where)

    def _in_blocks(
        self, batch: PanelBatch, alpha: Tensor, gamma: Tensor, level: Tensor, season: Tensor
    ) -> tuple[Tensor, ...]:
        layout, series = self.layout, batch.series
        values, begin = batch.panel.padded(alpha.device)
        parts = season.split(layout.seasons, 2) if layout.seasons else ()
        seasons = [part.transpose(1, 2) for part in parts]
        # sums over all rows need their digits
        with torch.autocast(alpha.device.type, enabled=False):
            levels, met = holt_winters_torch.smooth(values, alpha, gamma, level, seasons)
        origin = batch.origin - begin[series]
        return holt_winters_torch.windows(levels, met, series, origin, layout.lags, layout.horizon)


def left_over(
    window: WindowBatch, level: Tensor, past: Tensor, ahead: Tensor, *, seasonal: bool
) -> WindowBatch:
    """A window without its level (B, C) and its seasonals (B, L, C); those ahead (B, h, C) go beside it.

    Rows that are missing stand at what was left over of the last one observed, at 0 before the first.
    """
    left = window.past - past - level.unsqueeze(1)
    if window.past_seen is not None:
        left = carried(left, window.past_seen)
    fixed = window.static
    if seasonal:
        fixed = ahead.flatten(1) if fixed is None else torch.cat([fixed, ahead.flatten(1)], 1)
    return window._replace(past=left, static=fixed)


def carried(rows: Tensor, seen: Tensor) -> Tensor:
    """(B, L, C) with the last row that is `seen` in place of one that is not, 0 before the first.

    >>> carried(torch.tensor([[[1.0], [2.0], [3.0]]]), torch.tensor([[[0.0], [1.0], [0.0]]]))[0, :, 0].tolist()
    [0.0, 2.0, 2.0]
    """
    numbers = torch.arange(rows.shape[1], device=rows.device).view(1, -1, 1)
    last = torch.where(seen > 0, numbers, -1).cummax(1).values
    return torch.where(last >= 0, rows.gather(1, last.clamp(min=0)), torch.zeros_like(rows))
