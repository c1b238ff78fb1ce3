"""What a decoder looked at while it wrote."""

from __future__ import annotations

from typing import Any

import pandas as pd

from .style import INK, colour, new_axes, new_figure, tidy

SHOWN = 40  # labels of an axis; more are not legible
WIDEST = 14.0  # inches


def alignment(
    model: Any, x: Any = None, y: Any = None, *, coverage: bool = False, ax: Any = None
) -> Any:
    """The weights of attention: a row for each symbol that was written, a column for each one that was read.

    Parameters
    ----------
    model : a fitted `seqkit.Seq2Seq` with attention, or a table of weights (output x input).
    x, y : one input and its output, where a model is given; `y` None for the best one.
    coverage : draw below how much each input was looked at in all, the sums of the columns (Tu et al. 2016).
    ax : a matplotlib Axes to draw on, without coverage; a new figure unless given.

    Returns
    -------
    The Figure.

    Raises
    ------
    TypeError : a model without `alignment`, or without the input to look at. ValueError : coverage on given axes.

    Source: Bahdanau et al. (2015), fig. 3.

    >>> table = pd.DataFrame([[1.0, 0.0], [0.0, 1.0]], index=["A", "B"], columns=["a", "b"])
    >>> alignment(table).axes[0].get_ylabel()
    'written'
    """
    if coverage and ax is not None:
        raise ValueError("coverage=True needs axes of its own; leave out ax=")
    table = _table(model, x, y)
    width = min(WIDEST, 0.3 * table.shape[1] + 1.6)
    height = min(WIDEST, 0.3 * table.shape[0] + 0.9)
    sums = None
    if coverage:
        ratios = [height, 0.9]
        figure = new_figure(width, sum(ratios))
        ax, sums = figure.subplots(2, 1, sharex=True, height_ratios=ratios)
    ax = new_axes(ax, width, height)
    shades = ax.imshow(table.to_numpy(), cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto")
    bar = ax.figure.colorbar(shades, ax=ax, pad=0.02, aspect=15, ticks=[0, 0.5, 1])
    bar.ax.tick_params(labelsize=7, colors=INK)
    bar.outline.set_visible(False)
    for axis, labels in ((ax.xaxis, table.columns), (ax.yaxis, table.index)):
        every = -(-len(labels) // SHOWN)
        axis.set_ticks(range(0, len(labels), every), [str(label) for label in labels[::every]])
    ax.set_xlabel("read")
    ax.set_ylabel("written")
    tidy(ax, grid="")
    ax.xaxis.set_label_position("top")
    ax.tick_params(length=0, labeltop=True, labelbottom=False)
    if sums is not None:
        sums.bar(range(table.shape[1]), table.sum(axis=0), color=colour(0), width=0.8)
        sums.set_ylabel("coverage")
        tidy(sums)
        sums.tick_params(length=0, labelbottom=False)
    return ax.figure


def _table(model: Any, x: Any, y: Any) -> pd.DataFrame:
    if isinstance(model, pd.DataFrame):
        return model
    if not hasattr(model, "alignment"):
        raise TypeError(
            f"{type(model).__name__} has no alignment; pass a fitted seqkit.Seq2Seq and an input, or a table of weights"
        )
    if x is None:
        raise TypeError("alignment needs the input to look at: alignment(model, x)")
    return model.alignment(x, y)
