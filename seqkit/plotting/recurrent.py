"""Pictures of recurrent networks: what they hold, what their gates say, and how far their gradients reach.

Each takes a fitted model and a series, or the table that the model's method of the same name gives, or one by
`seqkit.nn.instruments`; and returns a matplotlib Figure, whose ``axes`` may be drawn on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from .style import INK, colour, dash, new_axes, new_figure, tidy

STYLES = {"largest": (0, "-"), "typical": (1, "-"), "input": (2, (0, (4, 1.5)))}
MEANING = {
    "largest": r"largest of $\partial s_T / \partial s_{T-k}$",
    "typical": r"typical of $\partial s_T / \partial s_{T-k}$",
    "input": r"$\partial h_T / \partial x_{T-k}$",
}


def gradient_flow(model: Any, x: Any = None, *, ax: Any = None, **options: Any) -> Any:
    """Size of gradients against the lag, on a logarithmic axis: a straight line vanishes or explodes like a power.

    Parameters
    ----------
    model : a recurrent forecaster, or a table by lag with columns "largest", "typical", "input" or some of them; or
        several such tables by name, of which the typical sizes are compared.
    x : a series, where a model is given: the gradients are those through its last window.
    ax : a matplotlib Axes to draw on; a new figure unless given.
    options : for the model's `gradient_flow`: covariates=, lags=.

    Returns
    -------
    The Figure.

    Raises
    ------
    TypeError : a model that is no recurrent one.

    >>> lags = pd.RangeIndex(20, name="lag")
    >>> table = pd.DataFrame({"typical": 0.9**lags}, index=lags)
    >>> gradient_flow(table).axes[0].get_xlabel()
    'lag (steps back)'
    """
    ax = new_axes(ax, 6.5, 3.4)
    if isinstance(model, Mapping):
        for i, (name, table) in enumerate(model.items()):
            column = "typical" if "typical" in table else table.columns[0]
            ax.plot(table.index, table[column], color=colour(i), ls=dash(i), lw=1.5, label=name)
    else:
        table = _table(model, x, "gradient_flow", options)
        for name in table.columns:
            number, line = STYLES.get(name, (len(STYLES), "-"))
            label = MEANING.get(name, str(name))
            ax.plot(table.index, table[name], color=colour(number), ls=line, lw=1.5, label=label)
    _logarithmic(ax)
    ax.axhline(1, color=INK, lw=0.8, alpha=0.5)
    ax.set_xlabel("lag (steps back)")
    ax.set_ylabel("size of the gradient")
    ax.legend(frameon=False, fontsize=8, labelcolor=INK)
    tidy(ax)
    return ax.figure


def hidden_states(model: Any, x: Any = None, *, sort: bool = True, **options: Any) -> Any:
    """A heat map of the states over time, a panel for each layer and each state (h, and c of an LSTM).

    Parameters
    ----------
    model : a recurrent forecaster, or a table with columns (layer, state, unit).
    x : a series, where a model is given: what its last window does to the network is drawn.
    sort : put units beside each other that behave alike (by their first principal component).
    options : for the model's `hidden_states`: covariates=.

    Returns
    -------
    The Figure.

    Raises
    ------
    TypeError : a model that is no recurrent one.

    >>> columns = pd.MultiIndex.from_product([[0], ["hidden"], range(3)], names=["layer", "state", "unit"])
    >>> table = pd.DataFrame(np.eye(3), columns=columns)
    >>> hidden_states(table).axes[0].get_title("left")
    'hidden'
    """
    table = _table(model, x, "hidden_states", options)
    return _maps(table, sort=sort, low=None)


def gates(model: Any, x: Any = None, *, sort: bool = True, **options: Any) -> Any:
    """A heat map of every gate over time (0 shut, 1 open), and of the candidate (-1 to 1), layer by layer.

    Titles tell how many of the activations are nearly shut (below 0.1) and nearly open (above 0.9): gates that hardly
    move are saturated, and learn slowly.

    Parameters
    ----------
    model : a recurrent forecaster, or a table with columns (layer, gate, unit).
    x : a series, where a model is given.
    sort : put units beside each other that behave alike.
    options : for the model's `gates`: covariates=.

    Returns
    -------
    The Figure.

    Raises
    ------
    TypeError : a model that is no recurrent one.

    >>> columns = pd.MultiIndex.from_product([[0], ["forget"], range(3)], names=["layer", "gate", "unit"])
    >>> table = pd.DataFrame(np.eye(3), columns=columns)
    >>> gates(table).axes[0].get_title("left")
    'forget: 67 % shut, 33 % open'
    """
    table = _table(model, x, "gates", options)
    return _maps(table, sort=sort, low=0.0)


def _table(model: Any, x: Any, verb: str, options: dict[str, Any]) -> pd.DataFrame:
    if isinstance(model, pd.DataFrame):
        return model
    method = getattr(model, verb, None)
    if method is None:
        raise TypeError(
            f"{type(model).__name__} has no {verb}: pass a recurrent forecaster (LSTMForecaster, ..) and a series, "
            f"or a table of seqkit.nn.instruments.{verb}"
        )
    if x is None:
        raise TypeError(f"{verb} needs the series to look at: {verb}(model, y)")
    return method(x, **options)


def _maps(table: pd.DataFrame, *, sort: bool, low: float | None) -> Any:
    """One heat map for each pair of the two outer levels of the columns."""
    owners = list(zip(*(table.columns.get_level_values(level) for level in (0, 1)), strict=True))
    keys = list(dict.fromkeys(owners))
    layers = list(dict.fromkeys(layer for layer, _ in keys))
    orders = {layer: _order(table, owners, layer) if sort else slice(None) for layer in layers}
    figure = new_figure(8, 1.55 * len(keys) + 0.6)
    axes = np.atleast_1d(figure.subplots(len(keys), 1, sharex=True))
    edges = np.arange(len(table) + 1) - 0.5
    for ax, key in zip(axes, keys, strict=True):
        values = table.loc[:, [of == key for of in owners]].to_numpy()
        values = values[:, orders[key[0]]]
        signed = low is None or key[1] == "candidate"
        limit = float(np.abs(values).max(initial=1e-12))
        most = limit if low is None else 1.0
        shades = ax.pcolormesh(
            edges, np.arange(values.shape[1] + 1), values.T, rasterized=True,
            cmap="RdBu_r" if signed else "Blues", vmin=-most if signed else 0.0, vmax=most,
        )  # fmt: skip
        bar = figure.colorbar(shades, ax=ax, pad=0.01, aspect=12)
        bar.ax.tick_params(labelsize=7, colors=INK)
        bar.outline.set_visible(False)
        title = f"layer {key[0]}, {key[1]}" if len(layers) > 1 else str(key[1])
        if not signed:
            shut, opened = (100 * (values < 0.1).mean(), 100 * (values > 0.9).mean())
            title += f": {shut:.0f} % shut, {opened:.0f} % open"
        ax.set_title(title, loc="left", fontsize=9, color=INK)
        ax.set_ylabel("unit")
        tidy(ax, grid="")
    _label_times(axes[-1], table.index)
    return figure


def _order(table: pd.DataFrame, owners: list[tuple[Any, Any]], layer: Any) -> Any:
    """An order of the units of a layer in which like ones are neighbours, the same in all panels of the layer."""
    names = list(dict.fromkeys(name for of, name in owners if of == layer))
    parts = [table.loc[:, [of == (layer, name) for of in owners]].to_numpy() for name in names]
    values = np.concatenate([part - part.mean(0) for part in parts])
    if values.shape[1] < 3 or not values.any():
        return slice(None)
    _, _, axes = np.linalg.svd(values, full_matrices=False)
    if len(axes) < 2:
        return np.argsort(axes[0])
    return np.argsort(np.arctan2(axes[1], axes[0]), kind="stable")


def _label_times(ax: Any, index: pd.Index) -> None:
    """Marks of a few entries of the index below a heat map whose columns are its rows."""
    level = index if index.nlevels == 1 else index.get_level_values(-1)
    at = np.unique(np.linspace(0, len(level) - 1, min(len(level), 6)).round().astype(int))
    dates = isinstance(level, (pd.DatetimeIndex, pd.PeriodIndex))
    shown = [
        str(level[i]) if dates else f"{level[i]:g}" if np.isreal(level[i]) else str(level[i])
        for i in at
    ]
    if dates:
        midnight = all(text.endswith("00:00:00") for text in shown)
        shown = [text.split(" ")[0] if midnight else text[:16] for text in shown]
    ax.set_xticks(at, shown)
    ax.set_xlabel(str(level.name) if level.name is not None else "step", color=INK, fontsize=9)


def _logarithmic(ax: Any) -> None:
    """A logarithmic axis that does not go below what a float can tell from nothing."""
    ax.set_yscale("log")
    values = np.concatenate([line.get_ydata() for line in ax.get_lines()])
    values = values[np.isfinite(values) & (values > 0)]
    if len(values):
        ax.set_ylim(max(values.min() / 2, values.max() * 1e-16, 1e-30), max(values.max(), 1.0) * 2)
