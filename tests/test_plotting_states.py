"""Pictures of states: what is in them, and that nothing is cut off or written over something else."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

import seqkit
from seqkit.models.diagnostics import ljung_box
from seqkit.plotting import plot_components, plot_gain, plot_innovations, plot_states


@pytest.fixture(scope="module")
def nile():
    return seqkit.datasets.load("nile")


@pytest.fixture(scope="module")
def level(nile):
    return seqkit.LocalLevel(level_var=1469.2, observation_var=15098.5).fit(nile)


@pytest.fixture(scope="module")
def seen():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(60, 2)).cumsum(0), columns=["east", "north"])
    frame.iloc[20:30, 0] = np.nan
    return frame


@pytest.fixture(scope="module")
def track(seen):
    return seqkit.ConstantVelocity(process_var=0.1, observation_var=1.0).fit(seen)


@pytest.fixture(scope="module")
def panel(nile):
    series = {"a": nile, "b": 2 * nile}
    return seqkit.LocalLevel(level_var=1469.2, observation_var=15098.5).fit(series)


def line(ax, label):
    (found,) = [one for one in ax.lines if one.get_label() == label]
    return np.asarray(found.get_ydata(), dtype=float)


def drawn(figure):
    """The figure, once everything in it has proved to lie inside it, titles clear of legends."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    for ax in figure.axes:
        titles = [t.get_window_extent(renderer) for t in (ax.title, ax._left_title) if t.get_text()]
        for box in [*titles, ax.get_tightbbox(renderer)]:
            assert box.x0 >= -1 and box.y0 >= -1
            assert box.x1 <= figure.bbox.x1 + 1 and box.y1 <= figure.bbox.y1 + 1
        legend = ax.get_legend()
        if legend is not None:
            frame = legend.get_window_extent(renderer)
            assert not any(frame.overlaps(title) for title in titles)
    return figure


def test_states_with_bands_and_what_was_observed(level, nile):
    states = level.filter()
    (ax,) = drawn(plot_states(states, level=(50, 90))).axes
    np.testing.assert_array_equal(line(ax, "observed"), nile.to_numpy())
    np.testing.assert_allclose(line(ax, "mean"), states.mean["level"], rtol=1e-15)
    wide = ax.collections[0].get_paths()[0].vertices[:, 1]
    bounds = states.interval(90)["level"]
    np.testing.assert_allclose(
        [wide.min(), wide.max()], [bounds["lo"].min(), bounds["hi"].max()], rtol=1e-9
    )
    assert [t.get_text() for t in ax.get_legend().get_texts()] == [
        "observed",
        "90 %",
        "50 %",
        "mean",
    ]


def test_diffuse_rows_are_left_out_and_wide_ones_do_not_set_the_scale(track, seen):
    states = track.filter()
    figure = drawn(plot_states(states))
    assert [ax.get_title(loc="left") for ax in figure.axes] == [
        f"{name}, filtered" for name in ("east", "east.velocity", "north", "north.velocity")
    ]
    east, velocity = figure.axes[:2]
    assert np.isnan(line(velocity, "mean")[0]) and not np.isnan(line(velocity, "mean")[1])
    np.testing.assert_array_equal(line(east, "observed"), seen["east"])
    low, high = velocity.get_ylim()
    widest = states.interval(95)["east.velocity"].iloc[5:]
    assert low < widest["lo"].min() and widest["hi"].max() < high


def test_a_known_wide_start_is_shown(nile):
    start = {"initial_mean": [0.0], "initial_cov": [[25.0]]}
    wide = seqkit.LDS.from_params(
        transition=[[1.0]],
        observation=[[1.0]],
        process_cov=[[0.02]],
        observation_cov=[[1.0]],
        **start,
    )
    states = wide.filter(np.zeros(30))
    (ax,) = plot_states(states, observed={"state0": "y0"}).axes
    assert ax.get_ylim()[1] > states.interval(95)["state0"]["hi"].iloc[0]
    np.testing.assert_array_equal(line(ax, "observed"), np.zeros(30))
    assert "observed" not in [one.get_label() for one in plot_states(states).axes[0].lines]


def test_earlier_values_of_a_state_are_drawn_when_they_are_named():
    rng = np.random.default_rng(1)
    y = np.tile([1.0, 3.0, -2.0, 0.0], 8) + 0.1 * rng.normal(size=32)
    model = (seqkit.LocalLinearTrend(0.01, 0.01) + seqkit.Seasonal(4, seasonal_var=0.01)).fit(y)
    figure = drawn(plot_states(model.smooth()))
    assert [ax.get_title(loc="left") for ax in figure.axes] == [
        "level, smoothed", "slope, smoothed", "seasonal, smoothed"
    ]  # fmt: skip
    assert figure.axes[-1].get_xlabel() == "3 of 5 states; names=[...] draws others"
    figure = drawn(model.smooth().plot(names=["seasonal.L1"]))
    assert len(figure.axes) == 1
    with pytest.raises(KeyError, match=r"no state 'sesonal'; there are 'level', 'slope'"):
        plot_states(model.smooth(), names="sesonal")


def test_of_a_panel_one_series_is_picked(panel, level):
    states = panel.filter()
    for picture in (plot_states, plot_gain, plot_innovations, plot_components):
        what = panel if picture is plot_components else states
        with pytest.raises(ValueError, match=r"there are 2 series; pick one, e\.g\. series='a'"):
            picture(what)
        with pytest.raises(KeyError, match=r"no series 'c'; there are 'a', 'b'"):
            picture(what, series="c")
        drawn(picture(what, series="b"))
    (ax,) = plot_states(states, series="b").axes
    np.testing.assert_allclose(line(ax, "mean"), states.mean.loc["b", "level"], rtol=1e-15)
    with pytest.raises(KeyError, match="this is one series"):
        plot_gain(level.filter(), series="a")


def test_gain_has_a_panel_per_channel_and_a_line_per_state(track, level):
    states = track.filter()
    figure = drawn(plot_gain(states))
    for channel, ax in enumerate(figure.axes):
        for k, name in enumerate(states.mean.columns):
            np.testing.assert_array_equal(line(ax, name), states.gain[:, k, channel])
    (ax,) = drawn(plot_gain(level.filter())).axes
    assert ax.get_title(loc="left") == "gain of level for nile" and ax.get_ylim()[0] == 0
    with pytest.raises(AttributeError, match=r"use model\.filter"):
        plot_gain(track.smooth())


def test_innovations_are_diagnosed(level, track):
    states = level.filter()
    figure = drawn(plot_innovations(states, lags=10))
    assert len(figure.axes) == 4
    box = ljung_box(states.standardised_innovations["nile"].to_numpy()[1:], 10).loc[10]
    expected = f"Ljung-Box Q(10) = {box.statistic:.1f}, p = {box.p_value:.3f}"
    assert expected in figure._suptitle.get_text()
    with pytest.raises(ValueError, match=r"there are 2 channels; pick one, e\.g\. channel='east'"):
        plot_innovations(track.filter())
    drawn(plot_innovations(track.filter(), channel="east"))  # with a gap
    with pytest.raises(ValueError, match="lags must be between 1 and 98, got 99"):
        plot_innovations(states, lags=99)
    with pytest.raises(ValueError, match="3 innovations are too few"):
        plot_innovations(level.filter(seqkit.datasets.load("nile")[:4]))


def test_components_below_each_other(level, nile):
    figure = drawn(plot_components(level))
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["level", "irregular"]
    np.testing.assert_allclose(line(figure.axes[0], "observed"), nile, rtol=1e-12)
    np.testing.assert_allclose(
        line(figure.axes[1], "mean"), level.components()["irregular"], rtol=1e-12
    )
    plain = drawn(plot_components(level, nile[:50], level=()))
    assert not plain.axes[0].collections and len(line(plain.axes[0], "mean")) == 50
    with pytest.raises(ValueError, match="percentages between 0 and 100, got 120"):
        plot_components(level, level=[80, 120])


def test_components_without_a_trend_show_their_sum():
    y = np.cos(2 * np.pi * np.arange(80) / 9.5) + 0.1 * np.cos(np.arange(80.0) ** 2)
    model = seqkit.Cycle(9.5, damped=False, cycle_var=1e-4, observation_var=0.01).fit(y)
    figure = drawn(plot_components(model))
    assert [ax.get_title(loc="left") for ax in figure.axes] == [
        "sum of the components", "cycle", "irregular"
    ]  # fmt: skip
