"""The picture of a training run."""

from __future__ import annotations

from typing import Any

import numpy as np

from .style import INK, PALETTE, new_axes, number, tidy


def plot_history(history: Any, *, log: bool | None = None, ax: Any = None) -> Any:
    """Training and validation loss over the steps, the best evaluation marked.

    Parameters
    ----------
    history : a `seqkit.training.History`.
    log : whether the axis of losses is logarithmic; None where all losses are positive and span more than a factor
        of ten.
    ax : a matplotlib Axes to draw on; a new figure unless given.

    Returns
    -------
    The Figure.

    Raises
    ------
    ValueError : a history without an evaluation, or a logarithmic axis for losses that are not positive.

    >>> from seqkit.training import History
    >>> rows = [(10, 1.0, 0.9, 1.1, 1e-3, 2.0, 0.1), (20, 2.0, 0.5, 0.8, 1e-3, 1.0, 0.2)]
    >>> plot_history(History.of(rows, "steps")).axes[0].get_ylabel()
    'loss'
    """
    if not len(history):
        raise ValueError(
            "the history has no evaluation to draw; train for longer before drawing it"
        )
    ax = new_axes(ax, 6.5, 3.4)
    drawn = {"training": history.loss, "validation": history.validation}
    drawn = {name: values for name, values in drawn.items() if not np.isnan(values).all()}
    everything = np.concatenate([values[np.isfinite(values)] for values in drawn.values()])
    positive = everything.size > 0 and everything.min() > 0
    if log and not positive:
        raise ValueError(
            "a logarithmic axis needs positive losses; leave log=None, or pass log=False"
        )
    for (name, values), colour in zip(drawn.items(), PALETTE, strict=False):
        marker = "." if len(history) <= 30 else None
        ax.plot(history.step, values, color=colour, linewidth=1.4, marker=marker, label=name)
    _mark_best(ax, history)
    if (log is None and positive and everything.max() > 10 * everything.min()) or log:
        _logarithmic(ax, everything.max() / everything.min())
    ax.set_xlabel("step")
    ax.set_ylabel("loss")
    ax.set_title(_title(history), loc="left", fontsize=9, color=INK)
    ax.legend(frameon=False, fontsize=8, labelcolor=INK)
    tidy(ax)
    return ax.figure


def _logarithmic(ax: Any, span: float) -> None:
    """A logarithmic axis with plain numbers, also between powers of ten where there are few of these."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    ax.set_yscale("log")
    plain = StrMethodFormatter("{x:g}")
    ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if span < 300 else (1.0,)))
    ax.yaxis.set_major_formatter(plain)
    ax.yaxis.set_minor_formatter(NullFormatter())


def _mark_best(ax: Any, history: Any) -> None:
    best = history.best_step
    if best is None:
        return
    low = history.watched[list(history.step).index(best)]
    ax.plot([best], [low], "o", color=INK, markerfacecolor="none", markersize=8, linestyle="none",
            label=f"best: {number(float(low))} at step {best}")  # fmt: skip


def _title(history: Any) -> str:
    reasons = {
        "steps": "all steps taken",
        "patience": "stopped early",
        "interrupted": "interrupted",
        "callback": "stopped by a callback",
        "converged": "converged",
    }
    said = reasons.get(history.stopped, "running")
    return f"{history.step[-1]:,} steps, {history.epoch[-1]:.4g} epochs, {history.seconds[-1]:.1f} s: {said}"
