"""Pictures of chains of discrete states: the graph of their transitions and the trellis of their paths."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from .style import INK, colour, new_axes, tidy

Array = np.ndarray
NODE = 0.27  # radius of a state, in a circle of states of radius 1.15 or more
BOX = (0.14, 0.06)  # half the width and height of a number at an arrow
BOW = 0.18  # how far an arrow leaves the straight line, relative to its length
NUMBERED = 8  # states up to which arrows carry their probabilities unless asked for
WRITTEN = 60  # nodes of a trellis up to which their probabilities are written into them
LONGEST = 40  # steps of a trellis


# -- the graph -----------------------------------------------------------------------------------


def plot_transitions(
    transition: pd.DataFrame,
    *,
    threshold: float = 0.005,
    numbers: bool | None = None,
    ax: Any = None,
) -> Any:
    """The states on a circle, an arrow for every transition, as wide as it is probable.

    Parameters
    ----------
    transition : (K, K), from (rows) to (columns); the labels are those of the columns.
    threshold : transitions below it are not drawn.
    numbers : whether probabilities are written at the arrows; None for up to 8 states.
    ax : where to draw; None makes a figure.

    Returns
    -------
    The Axes.

    Raises
    ------
    ValueError : a table that is not square.
    """
    frame = pd.DataFrame(transition)
    law = frame.to_numpy(dtype=float)
    if law.ndim != 2 or law.shape[0] != law.shape[1] or not len(law):
        raise ValueError(f"transition must be square, (K, K), got {law.shape}")
    count = len(law)
    places = _circle(count)
    edges = [(int(i), int(j)) for i, j in zip(*np.nonzero(law > threshold), strict=True)]
    curves = {edge: _curve_of(places, *edge) for edge in edges}
    low, high = _frame(places, curves)
    scale = 1.25 if count < 6 else 1.1 if count < 9 else 0.95  # inches per unit
    ax = new_axes(ax, *np.maximum(scale * (high - low), 1.8))
    ax.set_aspect("equal")
    ax.set_xlim(low[0], high[0])
    ax.set_ylim(low[1], high[1])
    for (i, j), points in curves.items():
        _draw_curve(ax, points, law[i, j], colour(i))
    for k, name in enumerate(frame.columns):
        _node(ax, places[k], str(name), colour(k), _points(ax, high - low))
    if count <= NUMBERED if numbers is None else numbers:
        for edge, place in _numbers(places, curves, law).items():
            _write(ax, place, law[edge])
    ax.set_axis_off()
    ax.set_facecolor("none")
    return ax


def _circle(count: int) -> Array:
    """Places (K, 2) around a circle, clockwise from the top; two states side by side."""
    radius = 0.0 if count == 1 else max(1.15, 0.32 * count)
    start = np.pi if count == 2 else np.pi / 2
    angle = start - 2 * np.pi * np.arange(count) / count
    return radius * np.column_stack([np.cos(angle), np.sin(angle)])


def _curve_of(places: Array, i: int, j: int) -> Array:
    """The points of a Bezier curve, three for a bowed arrow, four for a loop away from the centre.

    The way back bows to the other side.
    """
    start, stop = places[i], places[j]
    if i != j:
        along = stop - start
        control = (start + stop) / 2 + BOW * np.array([-along[1], along[0]])
        first = start + (NODE + 0.02) * _unit(control - start)
        return np.array([first, control, stop + (NODE + 0.03) * _unit(control - stop)])
    out = _unit(start) if np.hypot(*start) > 0 else np.array([0.0, 1.0])
    side = np.array([-out[1], out[0]])
    first = start + 1.06 * NODE * (0.82 * out + 0.57 * side)
    last = start + 1.1 * NODE * (0.82 * out - 0.57 * side)
    far = start + (NODE + 0.42) * out
    return np.array([first, far + 0.3 * side, far - 0.3 * side, last])


def _along(points: Array, t: Array) -> Array:
    """Places on a Bezier curve, (len(t), 2)."""
    t = t[:, None]
    if len(points) == 3:
        return (1 - t) ** 2 * points[0] + 2 * t * (1 - t) * points[1] + t**2 * points[2]
    ends = (1 - t) ** 3 * points[0] + t**3 * points[3]
    return ends + 3 * t * (1 - t) ** 2 * points[1] + 3 * t**2 * (1 - t) * points[2]


def _frame(places: Array, curves: Mapping[tuple[int, int], Array]) -> tuple[Array, Array]:
    """Corners of the picture: all nodes, curves and numbers beside them."""
    drawn = [_along(points, np.linspace(0, 1, 9)) for points in curves.values()]
    every = np.concatenate([places - NODE, places + NODE, *drawn])
    room = np.array([2 * BOX[0] + 0.1, 2 * BOX[1] + 0.1])
    return every.min(axis=0) - room, every.max(axis=0) + room


def _numbers(
    places: Array, curves: Mapping[tuple[int, int], Array], law: Array
) -> dict[tuple[int, int], Array]:
    """Where each probability stands: beside its arrow, where it covers least; the most probable ones first."""
    strokes = {edge: _along(points, np.linspace(0, 1, 25)) for edge, points in curves.items()}
    cluttered = np.concatenate(list(strokes.values()))
    found: dict[tuple[int, int], Array] = {}
    for edge in sorted(curves, key=lambda e: -law[e]):
        options = _beside(places, curves[edge], edge)
        taken = np.array(list(found.values())).reshape(-1, 2)
        cost = 12.0 * _covered(options, taken, 2.2) + _covered(options, cluttered, 1.1)
        cost += 12.0 * _covered(options, places, (NODE + np.array(BOX)) / np.array(BOX))
        found[edge] = options[int(np.argmin(cost + 0.02 * np.arange(len(options))))]
    return found


def _beside(places: Array, points: Array, edge: tuple[int, int]) -> Array:
    """Places for a number: along the outer side of a bow, then its inner side; beyond the top of a loop."""
    if edge[0] == edge[1]:
        out = _unit((points[1] + points[2]) / 2 - places[edge[0]])
        return (_along(points, np.array([0.5])) + out * (0.08 + np.array(BOX))).reshape(1, 2)
    t = np.array([0.4, 0.34, 0.46, 0.28, 0.52, 0.22, 0.58, 0.64, 0.16, 0.7, 0.78])
    along = _unit(points[2] - points[0])
    aside = np.array([-along[1], along[0]])
    away = 0.03 + float(np.abs(aside) @ np.array(BOX))
    on = _along(points, t)
    return np.concatenate([on + away * aside, on - away * aside])


def _covered(options: Array, others: Array, reach: Any) -> Array:
    """How many of the other places lie in a box around each option; the box of a number times `reach`."""
    apart = np.abs(options[:, None] - others[None]) / np.array(BOX)
    return (apart < reach).all(axis=2).sum(axis=1).astype(float)


def _points(ax: Any, span: Array) -> float:
    """Points of type per unit of the axes."""
    box = ax.get_position()
    wide, high = ax.figure.get_size_inches()
    return float(72 * min(box.width * wide / span[0], box.height * high / span[1]) * 1.2)


def _percent(probability: float) -> str:
    """Two digits; more where they would say 0.00 or 1.00 of what is neither."""
    text = f"{probability:.2f}"
    return text if text not in ("0.00", "1.00") or probability in (0, 1) else f"{probability:.3g}"


def _node(ax: Any, place: Array, name: str, shade: str, points: float) -> None:
    """A circle with its label in up to three lines, as large as fits; `points` per unit of the axes."""
    from textwrap import wrap

    from matplotlib.colors import to_rgba
    from matplotlib.patches import Circle

    face = to_rgba(shade, 0.18)
    ax.add_patch(Circle(tuple(place), NODE, facecolor=face, edgecolor=shade, lw=1.6, zorder=3))
    lines = (
        wrap(name.replace("_", " "), 9, max_lines=3, placeholder="..") if len(name) > 9 else [name]
    )
    longest = max(max(map(len, lines), default=1), 2)
    size = min(10.0, 1.75 * NODE * points / (0.62 * longest), 1.5 * NODE * points / len(lines))
    text = "\n".join(lines)
    ax.text(*place, text, ha="center", va="center", fontsize=size, color=INK, zorder=4)


def _draw_curve(ax: Any, points: Array, probability: float, shade: str) -> None:
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path

    step = Path.CURVE3 if len(points) == 3 else Path.CURVE4
    path = Path([tuple(p) for p in points], [Path.MOVETO] + [step] * (len(points) - 1))
    width = 0.6 + 3.4 * probability
    arrow = FancyArrowPatch(
        path=path, arrowstyle="-|>", mutation_scale=7 + 2.2 * width, lw=width, color=shade,
        alpha=0.35 + 0.55 * probability, zorder=2, capstyle="butt", joinstyle="miter",
    )  # fmt: skip
    ax.add_patch(arrow)


def _write(ax: Any, place: Array, probability: float) -> None:
    text = _percent(probability)
    ax.text(*place, text, ha="center", va="center", fontsize=8, color=INK, zorder=5)


def _unit(vector: Array) -> Array:
    return vector / np.hypot(*vector)


# -- the trellis ---------------------------------------------------------------------------------


def plot_trellis(
    values: pd.DataFrame,
    path: Any = None,
    *,
    transition: Any = None,
    observations: Sequence[Any] | None = None,
    ax: Any = None,
) -> Any:
    """States over time as a grid of nodes, every step joined to the next, the winning path on top.

    Parameters
    ----------
    values : (T, K), T at most 40: probabilities, or logs of weights, of which every row is shown relative to its sum.
        Nodes are filled by them.
    path : the T states of the winning path, labels among the columns; None for no path.
    transition : (K, K) probabilities; joints are as strong as these, impossible ones are left out.
    observations : T labels under the steps; None takes the index of `values`.
    ax : where to draw; None makes a figure.

    Returns
    -------
    The Axes.

    Raises
    ------
    ValueError : too many steps, lengths that differ, or a path through unknown states.
    """
    frame = pd.DataFrame(values)
    steps, count = frame.shape
    if not 0 < steps <= LONGEST:
        raise ValueError(
            f"a trellis shows 1 to {LONGEST} steps, got {steps}; cut it, e.g. values[:20]"
        )
    strength, shown, logs = _strengths(frame.to_numpy(dtype=float))
    chosen = None if path is None else _positions(path, frame.columns, steps)
    below = _labels(frame.index) if observations is None else [str(o) for o in observations]
    if len(below) != steps:
        raise ValueError(f"observations has {len(below)} labels for {steps} steps")
    ax = new_axes(ax, max(3.2, 1.3 + 0.85 * steps), max(1.6, 0.9 + 0.75 * count))
    _joints(ax, steps, count, transition)
    if chosen is not None:
        ax.plot(
            range(steps), chosen, color=INK, lw=3.0, zorder=2, label="path", solid_capstyle="round"
        )
    _nodes(ax, strength, chosen, shown, logs)
    ax.set_yticks(range(count), [str(name) for name in frame.columns])
    ax.set_xticks(range(steps), below)
    if max(map(len, below)) * 0.085 > 0.8:
        ax.tick_params(axis="x", rotation=35)
        for label in ax.get_xticklabels():
            label.set_ha("right")
    ax.set_xlim(-0.5, steps - 0.5)
    ax.set_ylim(count - 0.5, -0.5)
    tidy(ax, grid="")
    for side in ("left", "bottom"):
        ax.spines[side].set_visible(False)
    ax.tick_params(length=0)
    return ax


def _strengths(values: Array) -> tuple[Array, Array | None, bool]:
    """How full the nodes are, what is written into them, and whether these are logs."""
    if np.isnan(values).any():
        raise ValueError("values has NaN; give probabilities or logs of every state at every step")
    logs = bool((values < 0).any() or (values > 1 + 1e-9).any())
    filled = values
    if logs:
        peak = values.max(axis=1, keepdims=True)
        filled = np.exp(values - np.where(np.isfinite(peak), peak, 0.0))
        filled = filled / np.maximum(filled.sum(axis=1, keepdims=True), 1e-300)
    return filled, values if values.size <= WRITTEN else None, logs


def _positions(path: Any, columns: pd.Index, steps: int) -> Array:
    labels = list(path)
    if len(labels) != steps:
        raise ValueError(f"path has {len(labels)} steps, values has {steps}")
    found = columns.get_indexer(pd.Index(labels, tupleize_cols=False))
    if (found < 0).any():
        strange = labels[int(np.argmax(found < 0))]
        raise ValueError(f"path has the state {strange!r}, the columns are {list(columns)}")
    return found


def _labels(index: pd.Index) -> list[str]:
    last = index.get_level_values(-1)
    if isinstance(last, pd.DatetimeIndex) and (last == last.normalize()).all():
        return [str(day.date()) for day in last]
    return [str(one) for one in last]


def _joints(ax: Any, steps: int, count: int, transition: Any) -> None:
    """Lines from every state to every state of the next step."""
    from matplotlib.collections import LineCollection
    from matplotlib.colors import to_rgba

    law = np.full((count, count), 0.3) if transition is None else np.asarray(transition, float)
    if law.shape != (count, count):
        raise ValueError(f"transition must be ({count}, {count}), got {law.shape}")
    source, target = np.nonzero(law > 0)
    segments: list[Any] = [
        [(t, i), (t + 1, j)] for t in range(steps - 1) for i, j in zip(source, target, strict=True)
    ]
    strength = np.tile(law[source, target], max(steps - 1, 0))
    ax.add_collection(
        LineCollection(
            segments,
            linewidths=0.5 + 2.0 * strength,
            colors=[to_rgba(INK, 0.08 + 0.3 * min(s, 1.0)) for s in strength],
            zorder=1,
        )
    )


def _nodes(ax: Any, strength: Array, chosen: Array | None, shown: Array | None, logs: bool) -> None:
    """Discs on the page's own ground, so that no line shines through, filled by strength."""
    from matplotlib.colors import to_rgb

    steps, count = strength.shape
    for k in range(count):
        shade = np.array(to_rgb(colour(k)))
        faces = 1 - strength[:, k, None] * (1 - shade) * 0.75
        winning = np.zeros(steps, bool) if chosen is None else chosen == k
        ax.scatter(
            range(steps), np.full(steps, k), s=620, c=faces, edgecolors=colour(k),
            linewidths=np.where(winning, 2.6, 1.0), zorder=3,
        )  # fmt: skip
        if shown is not None:
            for t in range(steps):
                text = _cell(shown[t, k], logs)
                ax.text(t, k, text, ha="center", va="center", fontsize=7.5, color="#262626", zorder=4)  # fmt: skip


def _cell(value: float, log: bool) -> str:
    if not np.isfinite(value):
        return "-inf" if value < 0 else "inf"
    if not log:
        return f"{value:.2f}".replace("0.", ".") if 0.005 <= value < 0.995 else f"{value:.0f}"
    return f"{value:.1f}" if abs(value) < 100 else f"{value:.0f}"


def state_colours(states: Sequence[Hashable]) -> dict[Hashable, str]:
    """The colour of every state, the same in all pictures."""
    return {state: colour(k) for k, state in enumerate(states)}
