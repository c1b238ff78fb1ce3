"""What all lessons share: headings, and figures, which go to ``out/tutorials`` or to a folder that is named."""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from seqkit.plotting.style import tidy

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "out/tutorials")
folder.mkdir(parents=True, exist_ok=True)


def heading(text: str) -> None:
    print(f"\n{text}\n{'-' * len(text)}")


def save(figure: Figure, name: str) -> None:
    figure.savefig(folder / name, dpi=120, facecolor="white")
    print(f"[figure: {folder / name}]")


def panels(rows: int, columns: int, width: float, height: float, **options):
    """A figure and its axes, row by row in one array."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = np.ravel(figure.subplots(rows, columns, **options))
    for ax in axes:
        tidy(ax, grid="")
    return figure, axes


def title(ax, text: str) -> None:
    ax.set_title(text, loc="left", fontsize="medium")
