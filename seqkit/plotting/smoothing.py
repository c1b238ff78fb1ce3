"""Level and seasonals that smoothing has found in a series."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from seqkit.data.sequences import as_sequences

from .states import _rows_of
from .style import INK, colour, new_figure, tidy


def decomposition(model: Any, x: Any, *, series: Hashable = None, channel: Hashable = None) -> Any:
    """A series with its level, and below it one panel for every seasonal.

    Parameters
    ----------
    model : a fitted forecaster with `decompose`, such as `seqkit.ESRNN`.
    x : the series, or a panel of them.
    series : which of several. channel : which of several; the first unless given.

    Returns
    -------
    The Figure.

    Raises
    ------
    TypeError : a model without `decompose`. ValueError : several series, none of them picked, or a channel that is not
        there. KeyError : a series that is not there.

    >>> import pandas as pd
    >>> class Halves:
    ...     def decompose(self, y):
    ...         return pd.DataFrame({"level": y / 2, "season": y / 2})
    >>> [ax.get_ylabel() for ax in decomposition(Halves(), pd.Series([1.0, 2.0, 4.0])).axes]
    ['level', 'season']
    """
    if not hasattr(model, "decompose"):
        raise TypeError(
            f"{type(model).__name__} does not part a series into level and seasonals; pass a fitted seqkit.ESRNN"
        )
    parts, data = model.decompose(x), as_sequences(x, name="x")
    rows = _rows_of(parts.index, series)
    column = 0 if channel is None else list(data.columns).index(channel)
    observed = data.restore(data.values[:, column]).to_numpy()[rows]
    parts = parts[rows]
    if parts.index.nlevels > 1:
        parts = parts.droplevel(0)
    if parts.columns.nlevels > 1:
        parts = parts[data.columns[column]]
    heights = [2.2, *(1.3 for _ in parts.columns[1:])]
    figure = new_figure(7.0, 0.6 + sum(heights))
    axes = figure.subplots(len(heights), sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    axes[0].plot(parts.index, observed, color=INK, lw=0.8, alpha=0.5, label="observed")
    for number, (ax, name) in enumerate(zip(axes, parts.columns, strict=True)):
        ax.plot(parts.index, parts[name], color=colour(number), lw=1.5, label=str(name))
        ax.set_ylabel(str(name))
        tidy(ax)
    axes[0].legend(frameon=False, loc="best")
    return figure
