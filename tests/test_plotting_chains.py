"""Pictures of chains and hidden states: what is in them, and that nothing is cut off or written over something else."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba
from matplotlib.patches import Circle, FancyArrowPatch

from seqkit.distributions import Categorical, Normal, Poisson
from seqkit.models.markov.markov_chain import MarkovChain
from seqkit.plotting import (
    plot_durations,
    plot_emissions,
    plot_state_series,
    plot_transitions,
    plot_trellis,
)
from seqkit.plotting.hidden import runs
from seqkit.plotting.style import colour


def drawn(figure):
    """The figure, once everything in it has proved to lie inside it; and its renderer."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    for ax in figure.axes:
        box = ax.get_tightbbox(renderer)
        assert box.x0 >= -1 and box.y0 >= -1
        assert box.x1 <= figure.bbox.x1 + 1 and box.y1 <= figure.bbox.y1 + 1
        legend = ax.get_legend()
        for title in (ax.title, ax._left_title):
            if legend is not None and title.get_text():
                extent = legend.get_window_extent(renderer)
                assert not extent.overlaps(title.get_window_extent(renderer))
    return figure, renderer


def kinds(ax, kind):
    return [patch for patch in ax.patches if isinstance(patch, kind)]


def words(ax):
    return [text.get_text() for text in ax.texts]


# -- the graph -----------------------------------------------------------------------------------


def test_graph_has_an_arrow_for_every_possible_transition():
    law = pd.DataFrame([[0.7, 0.3, 0], [0, 0.6, 0.4], [1, 0, 0]], list("abc"), list("abc"))
    ax = plot_transitions(law)
    assert len(kinds(ax, Circle)) == 3
    arrows = kinds(ax, FancyArrowPatch)
    assert sorted(round((a.get_linewidth() - 0.6) / 3.4, 6) for a in arrows) == [0.3, 0.4, 0.6, 0.7, 1.0]  # fmt: skip
    assert words(ax)[:3] == ["a", "b", "c"]
    assert sorted(words(ax)[3:]) == ["0.30", "0.40", "0.60", "0.70", "1.00"]
    drawn(ax.figure)


def test_arrows_begin_in_the_colour_and_at_the_edge_of_their_state():
    ax = plot_transitions(pd.DataFrame([[0, 1.0], [1.0, 0]], list("ab"), list("ab")))
    circles = {c.get_edgecolor()[:3]: np.array(c.center) for c in kinds(ax, Circle)}
    for arrow in kinds(ax, FancyArrowPatch):
        centre = circles[arrow.get_edgecolor()[:3]]
        distance = np.hypot(*(arrow._path_original.vertices[0] - centre))
        assert 0.27 <= distance < 0.35


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 8])
@pytest.mark.parametrize("seed", [0, 1])
def test_names_fit_their_nodes_and_numbers_overlap_nothing(count, seed):
    rng = np.random.default_rng(seed)
    law = rng.dirichlet(np.ones(count) * 0.5, size=count)
    law[law < 0.1] = 0
    names = [["up", "Stagnant", "a long name", "two_words"][k % 4] + str(k) for k in range(count)]
    ax = plot_transitions(pd.DataFrame(law / law.sum(axis=1, keepdims=True), names, names))
    _, renderer = drawn(ax.figure)
    boxes = [text.get_window_extent(renderer) for text in ax.texts]
    circles = [patch.get_window_extent(renderer) for patch in kinds(ax, Circle)]
    for box, circle in zip(boxes, circles, strict=False):
        assert circle.x0 <= box.x0 and box.x1 <= circle.x1
    for one, two in itertools.combinations(boxes, 2):
        assert not one.overlaps(two)
    frame = ax.get_window_extent(renderer)
    for box in boxes:
        assert frame.x0 - 1 <= box.x0 and box.x1 <= frame.x1 + 1
        assert frame.y0 - 1 <= box.y0 and box.y1 <= frame.y1 + 1


def test_graph_options():
    rng = np.random.default_rng(0)
    law = pd.DataFrame(rng.dirichlet(np.ones(10), size=10))
    assert words(plot_transitions(law)) == [str(k) for k in range(10)]  # too many for numbers
    assert len(words(plot_transitions(law, numbers=True))) > 50
    few = plot_transitions(law, threshold=0.2)
    assert len(kinds(few, FancyArrowPatch)) == int((law > 0.2).to_numpy().sum())
    almost = plot_transitions(pd.DataFrame([[0.999, 0.001], [1.0, 0.0]]), threshold=0)
    assert sorted(words(almost)[2:]) == ["0.001", "0.999", "1.00"]  # what rounds to 1 is not 1
    with pytest.raises(ValueError, match=r"square, \(K, K\), got \(2, 3\)"):
        plot_transitions(pd.DataFrame(np.ones((2, 3))))


def test_graph_draws_where_it_is_told():
    ax = plot_transitions(pd.DataFrame([[1.0]]))
    chain = MarkovChain.from_params(states=["x", "y"], transition=[[0.5, 0.5], [0.5, 0.5]])
    assert chain.plot(ax=ax) is ax
    assert words(chain.plot())[:2] == ["x", "y"]


# -- the trellis ---------------------------------------------------------------------------------

LAW = pd.DataFrame([[0.25, 0.75], [0.6, 0.4], [0.81, 0.19]], columns=["Rainy", "Sunny"])


def test_trellis_has_the_path_and_the_numbers():
    ax = plot_trellis(LAW, ["Sunny", "Rainy", "Rainy"], observations=["Walk", "Shop", "Clean"])
    (line,) = ax.lines
    assert line.get_xdata().tolist() == [0, 1, 2] and line.get_ydata().tolist() == [1, 0, 0]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["Walk", "Shop", "Clean"]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["Rainy", "Sunny"]
    assert sorted(words(ax)) == [".19", ".25", ".40", ".60", ".75", ".81"]
    drawn(ax.figure)


def test_trellis_nodes_are_filled_by_probability():
    ax = plot_trellis(LAW)
    nodes = [c for c in ax.collections if len(c.get_offsets()) == 3]
    shade = np.array(to_rgba(colour(0)))[:3]
    for face, p in zip(nodes[0].get_facecolor(), LAW["Rainy"], strict=True):
        assert face[:3] == pytest.approx(1 - 0.75 * p * (1 - shade))
    assert not ax.lines


def test_trellis_of_logs_is_relative_to_every_step():
    logs = np.log(LAW).sub([700, 3, 0], axis=0)
    of_logs, plain = plot_trellis(logs), plot_trellis(LAW)
    for one, two in zip(of_logs.collections[1:], plain.collections[1:], strict=True):
        assert np.allclose(one.get_facecolor(), two.get_facecolor())
    assert "-701" in words(of_logs)
    assert "-inf" in words(plot_trellis(pd.DataFrame([[0.0, -np.inf], [-1.0, -2.0]])))


def test_trellis_leaves_out_the_impossible():
    ax = plot_trellis(LAW, transition=[[1.0, 0.0], [0.5, 0.5]])
    assert len(ax.collections[0].get_segments()) == 2 * 3
    assert len(plot_trellis(LAW).collections[0].get_segments()) == 2 * 4


def test_trellis_of_dates():
    frame = pd.DataFrame(np.full((12, 2), 0.5), index=pd.date_range("2024-01-01", periods=12))
    ax = plot_trellis(frame)
    _, renderer = drawn(ax.figure)
    labels = ax.get_xticklabels()
    assert labels[0].get_text() == "2024-01-01" and labels[0].get_rotation() == 35
    starts = [label.get_window_extent(renderer).x1 for label in labels]
    assert min(np.diff(starts)) > 10


BAD = [
    ("too long", lambda: plot_trellis(pd.DataFrame(np.full((41, 2), 0.5))), "1 to 40 steps, got 41"),
    ("short path", lambda: plot_trellis(LAW, ["Rainy"]), "path has 1 steps"),
    ("strange path", lambda: plot_trellis(LAW, ["Foggy"] * 3), "state 'Foggy'"),
    ("observations", lambda: plot_trellis(LAW, observations=["a"]), "1 labels for 3 steps"),
    ("transition", lambda: plot_trellis(LAW, transition=np.eye(3)), r"must be \(2, 2\)"),
    ("NaN", lambda: plot_trellis(LAW.mask(LAW > 0.8)), "NaN"),
    ("path length", lambda: plot_state_series(pd.Series([1.0, 2.0]), pd.Series([0])), "share one index"),
    ("path state", lambda: plot_state_series(pd.Series([1.0]), pd.Series(["z"]), states=["a"]), "'z'"),
    ("means", lambda: plot_state_series(
        pd.Series([1.0]), pd.Series(["z"]), states=["z", "y"], means=pd.Series({"z": 1.0})), "no row for .*'y'"),
    ("weights", lambda: plot_emissions([Poisson(1.0)], weights=[1, 2]), r"weights must be \(1,\)"),
    ("runs", lambda: plot_durations(pd.Series([0, 0, 1, 1])), "no run that both begins and ends"),
    ("states", lambda: plot_durations(pd.Series([0, 1, 0]), states=[5]), "never has the state 5"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "text"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_bad_input(call, text):
    with pytest.raises(ValueError, match=text):
        call()


# -- states over the series ----------------------------------------------------------------------


@pytest.fixture
def series():
    index = pd.date_range("2024-01-01", periods=8)
    values = pd.Series([1.0, 1.2, 5.0, 5.1, np.nan, 1.0, 0.9, 1.1], index=index, name="load")
    return values, pd.Series(
        ["low", "low", "high", "high", "high", "low", "low", "low"], index=index
    )


def test_series_has_a_band_per_run(series):
    values, path = series
    figure = plot_state_series(values, path)
    (ax,) = figure.axes
    bands = [p for p in ax.patches if p.get_alpha() == 0.25]
    assert [b.get_facecolor()[:3] for b in bands] == [
        to_rgba(colour(k))[:3]
        for k in (1, 0, 1)  # sorted: high, low
    ]
    widths = [b.get_width() for b in bands]
    assert widths == pytest.approx([2, 3, 3])
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["observed", "high", "low"]
    line = ax.lines[0]
    assert np.array_equal(line.get_ydata(), values, equal_nan=True)
    drawn(figure)


def test_series_with_means_and_probabilities(series):
    values, path = series
    law = pd.DataFrame({"low": (path == "low") * 0.8 + 0.1}, index=values.index)
    law["high"] = 1 - law["low"]
    figure = plot_state_series(
        values, path, means=pd.Series({"low": 1.0, "high": 5.0}), probabilities=law
    )
    top, bottom = figure.axes
    steps = [p for p in top.patches if hasattr(p, "get_data") and not p.get_fill()]
    assert steps[0].get_data().values.tolist() == [1, 1, 5, 5, 5, 1, 1, 1]
    stacks = [p.get_data() for p in bottom.patches]
    assert np.allclose(stacks[0].values, law["low"]) and np.allclose(stacks[1].values, 1)
    assert np.allclose(stacks[1].baseline, law["low"])
    assert [t.get_text() for t in top.get_legend().get_texts()][-2:] == ["low", "high"]
    drawn(figure)


def test_channels_and_panels(series):
    values, path = series
    both = pd.DataFrame({"a": values, "b": -values})
    assert [ax.get_title(loc="left") for ax in plot_state_series(both, path).axes] == ["a", "b"]
    panel, states = pd.concat({"x": values, "y": 2 * values}), pd.concat({"x": path, "y": path})
    with pytest.raises(ValueError, match="2 series; pick one"):
        plot_state_series(panel, states)
    (ax,) = plot_state_series(panel, states, series="y").axes
    assert np.nanmax(ax.lines[0].get_ydata()) == pytest.approx(10.2)
    periods = values.set_axis(pd.period_range("2024-01", periods=8, freq="M"))
    drawn(plot_state_series(periods, path.set_axis(periods.index)))


def test_runs():
    assert runs(["a", "a", "b", "a"]) == [("a", 0, 2), ("b", 2, 3), ("a", 3, 4)]
    assert runs(["a"]) == [("a", 0, 1)]


# -- emissions -----------------------------------------------------------------------------------


def test_densities_and_their_sum():
    laws = {"low": Normal(0.0, 1.0), "high": Normal(4.0, 0.5)}
    data = np.random.default_rng(0).normal(size=400)
    ax = plot_emissions(laws, data, weights=[0.75, 0.25])
    low, high, both = ax.lines
    x = low.get_xdata()
    assert np.allclose(low.get_ydata(), 0.75 * np.exp(laws["low"].log_prob(x)))
    assert np.allclose(both.get_ydata(), low.get_ydata() + high.get_ydata())
    assert np.trapezoid(both.get_ydata(), x) == pytest.approx(1, abs=2e-3)
    assert sum(p.get_height() * p.get_width() for p in ax.patches) == pytest.approx(1)
    labels = [t.get_text() for t in ax.get_legend().get_texts()]
    assert labels == ["observed", "low", "high", "together"]
    drawn(ax.figure)


def test_counts_stand_on_whole_numbers():
    data = np.array([3, 3, 4, 7, np.nan])
    ax = plot_emissions({0: Poisson(np.array([4.0]))}, data)
    x = ax.lines[0].get_xdata()
    assert np.array_equal(x, np.round(x)) and x[0] == 0 and x[-1] >= 11
    bars = {p.get_x() + 0.5: p.get_height() for p in ax.patches if p.get_height() > 0}
    assert bars == {3: 0.5, 4: 0.25, 7: 0.25}
    assert ax.get_ylabel() == "probability"


def test_a_channel_of_many():
    law = Normal(np.array([0.0, 50.0]), np.array([1.0, 1.0]))
    ax = plot_emissions([law], np.array([[0.0, 50.0]] * 5), channel=1)
    assert ax.lines[0].get_xdata().min() > 40


def test_symbols_are_bars():
    law = Categorical([[0.1, 0.4, 0.5], [0.6, 0.3, 0.1]], symbols=["Walk", "Shop", "Clean"])
    ax = plot_emissions({"Rainy": law.law(0), "Sunny": law.law(1)})
    heights = [bar.get_height() for bar in ax.patches]
    assert heights == [0.1, 0.4, 0.5, 0.6, 0.3, 0.1]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["Walk", "Shop", "Clean"]
    many = pd.DataFrame(np.full((2, 40), 1 / 40), columns=[f"word {i}" for i in range(40)])
    ax = plot_emissions(many)
    assert len(ax.patches) == 30 and ax.get_xlabel() == "15 of 40 symbols"
    drawn(ax.figure)


# -- durations -----------------------------------------------------------------------------------


def test_durations_count_complete_runs():
    path = pd.Series(list("aabbbabbaaabb"))
    figure = plot_durations(path, stay={"a": 0.5, "b": 0.25})
    first, second = figure.axes
    assert (
        first.get_title(loc="left") == "a: 2 runs" and second.get_title(loc="left") == "b: 2 runs"
    )
    assert [p.get_height() for p in first.patches] == [0.5, 0, 0.5]  # runs of 1 and 3
    assert [p.get_height() for p in second.patches] == [0, 0.5, 0.5]
    assert first.lines[0].get_ydata() == pytest.approx([0.5, 0.25, 0.125])
    assert second.lines[0].get_ydata() == pytest.approx([0.75, 0.1875, 0.046875])
    drawn(figure)


def test_durations_of_panels_and_explicit_laws():
    index = pd.MultiIndex.from_product([["x", "y"], range(5)])
    path = pd.Series(list("abba" + "a") + list("bbaab"), index=index)
    figure = plot_durations(path, laws={"a": [0.2, 0.8, 0.0], "b": [0.5, 0.5, 0.0]})
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["a: 1 runs", "b: 1 runs"]
    assert figure.axes[0].lines[0].get_ydata().tolist() == [0.2, 0.8]
