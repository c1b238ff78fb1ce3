"""A forecast after the end of its history."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .style import INK, PALETTE, new_axes, new_figure, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from seqkit.forecast import Forecast


def forecast(
    result: Forecast,
    history: Any = None,
    *,
    level: Iterable[float] = (80, 95),
    ax: Axes | None = None,
    recent: int | None = None,
) -> Any:
    """Draw mean and central intervals after the end of `history`.

    Parameters
    ----------
    result : the forecast. Several series or channels get one panel each (at most 12).
    history : what was observed, in any accepted container; None draws the forecast alone.
    level : interval levels in percent.
    ax : where to draw a single series; None makes a figure.
    recent : how many steps of the history to show; None shows five horizons or all, whichever is longer than a season.

    Returns
    -------
    The Axes, or an array of them.
    """
    pictures = [(key, channel) for key in result.keys for channel in range(len(result.columns))][
        :12
    ]
    data = _history(history)
    if len(pictures) == 1:
        axes = np.array([new_axes(ax, width=8, height=3.6)])
    else:
        axes = np.atleast_1d(new_figure(8, 2.3 * len(pictures)).subplots(len(pictures), 1))
    for one, (key, channel) in zip(axes, pictures, strict=True):
        part = result if result.single else result[key]
        past = None if data is None else _past(data, key, channel)
        _draw(one, part, channel, past, sorted(level), recent)
        name = [
            str(n)
            for n in (None if result.single else key, result.columns[channel])
            if n is not None
        ]
        one.set_title(" · ".join(name), loc="left", fontsize="medium")
    axes[0].legend(
        loc="lower right", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize="small", ncols=4
    )
    return axes[0] if len(pictures) == 1 else axes


def _history(history: Any) -> Any:
    from seqkit.data import as_sequences

    return None if history is None else as_sequences(history, name="history")


def _past(data: Any, key: Any, channel: int) -> pd.Series:
    i = 0 if data.single else data.keys.index(key)
    return pd.Series(data.array(i)[:, channel], index=data.calendars[i].index)


def _times(index: pd.Index) -> Any:
    if isinstance(index, pd.PeriodIndex):
        return index.to_timestamp()
    if isinstance(index, pd.DatetimeIndex) and index.tz is not None:
        return index.tz_localize(None)
    return index


def _draw(
    ax: Axes,
    part: Forecast,
    channel: int,
    past: pd.Series | None,
    levels: list[float],
    recent: int | None,
) -> None:
    times = _times(part._times[0])
    joined, mean = times, part.distribution.mean[0, :, channel]
    if past is not None and len(past):
        shown = past.iloc[-(recent or max(5 * part.horizon, 48)) :]
        ax.plot(_times(shown.index), shown.to_numpy(), color=INK, lw=1.2, label="observed")
        ends_before = _times(shown.index[-1:])[0] < times[0]  # what came after may be in it too
        if ends_before and not np.isnan(
            shown.iloc[-1]
        ):  # let the forecast start where the history ends
            joined = _times(shown.index[-1:]).append(times)
            mean = np.concatenate([shown.iloc[-1:], mean])
    for k, one in enumerate(reversed(levels)):
        tail = (1 - one / 100) / 2
        lo, hi = (part.distribution.quantile(q)[0, :, channel] for q in (tail, 1 - tail))
        ax.fill_between(
            times, lo, hi, color=PALETTE[0], alpha=0.18 + 0.14 * k, lw=0, label=f"{one:g} %"
        )
    ax.plot(joined, mean, color=PALETTE[0], lw=1.6, label="mean")
    ax.margins(x=0.01)
    tidy(ax)
