"""Colours and axes that all pictures share. No pyplot, no change of matplotlib's settings."""

from __future__ import annotations

from typing import Any

# Okabe, Ito (2008), without its black and yellow, which vanish on a dark or a light page.
PALETTE = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#8C564B",
    "#7F7F7F",
)
DASHES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5)))
INK = "#262626"  # text, axes and what was observed; reports turn it into the colour of the page


def colour(number: int) -> str:
    """Colour of the model with this number; see `dash` for more models than colours."""
    return PALETTE[number % len(PALETTE)]


def dash(number: int) -> Any:
    return DASHES[number // len(PALETTE) % len(DASHES)]


def new_figure(width: float, height: float) -> Any:
    """A matplotlib Figure that needs no display (inches)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure


def new_axes(ax: Any, width: float = 7.0, height: float = 4.0) -> Any:
    """``ax`` itself, or the only Axes of a new figure."""
    return new_figure(width, height).add_subplot() if ax is None else ax


def tidy(ax: Any, *, grid: str = "y") -> None:
    """Two spines, a faint grid along one axis, small text."""
    ax.set_facecolor("none")
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_color(INK)
    ax.tick_params(colors=INK, labelsize=8, length=3)
    ax.set_axisbelow(True)
    if grid:
        ax.grid(axis=grid, color=INK, alpha=0.12, linewidth=0.8)
    for text in (ax.title, ax.xaxis.label, ax.yaxis.label):
        text.set_color(INK)
        text.set_fontsize(9)


def number(value: float) -> str:
    """Four significant digits, without an exponent where that is short."""
    return f"{value:.4g}" if abs(value) < 1e6 else f"{value:.3g}"
