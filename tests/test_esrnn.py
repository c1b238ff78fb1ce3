"""Exponential smoothing and a network learnt together: the recursion, its gradient, and the forecaster."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

import seqkit
from seqkit import nn
from seqkit.kernels.holt_winters import Rows, Smoothed, Smoothing, starts

torch = pytest.importorskip("torch")
from tensors import close  # noqa: E402

from seqkit.kernels import holt_winters_torch  # noqa: E402
from seqkit.tasks import windows as task_windows  # noqa: E402
from seqkit.tasks.smoothing import (  # noqa: E402
    Compiled,
    SmoothedForecast,
    SmoothedLayout,
    SmoothedWindows,
)

QUICK = {"seasonal": 12, "steps": 30, "lr": 5e-3, "core": nn.LSTM(8)}
LENGTHS = (40, 23, 31)


def monthly(length: int = 120, seed: int = 0, noise: float = 0.05) -> pd.Series:
    """Positive, seasonal, with a level that wanders."""
    rng, t = np.random.default_rng(seed), np.arange(length)
    level = 3 + np.cumsum(rng.normal(scale=noise, size=length)) + seed
    season = 0.3 * np.sin(2 * np.pi * (t / 12 + rng.random()))
    index = pd.date_range("2010-01-31", periods=length, freq="ME", name="month")
    return pd.Series(np.exp(level + season), index=index, name="sales")


def smoothing_case(periods, channels: int = 2, seed: int = 0):
    """A ragged panel with gaps and coefficients of every series and channel."""
    rng = np.random.default_rng(seed)
    y = rng.normal(size=(sum(LENGTHS), channels)).cumsum(0)
    y[rng.random(y.shape) < 0.15] = np.nan
    starts = np.cumsum((0, *LENGTHS[:-1]))
    rows = Rows(y, starts, starts, starts + np.array(LENGTHS), np.array(periods, dtype=int))
    count, total = len(LENGTHS), int(sum(periods))
    parts = (
        rng.uniform(0.1, 0.9, (count, channels)),
        rng.uniform(0.05, 0.5, (count, channels, len(periods))),
        rng.normal(size=(count, channels)),
        rng.normal(size=(count, channels, total)),
    )
    return rows, Smoothing(*parts)


def written_out(y, alpha, gamma, level, seasons):
    """The recursion of one channel, as it is defined: levels, and the seasonals that the rows meet."""
    seasons = [list(s) for s in seasons]
    levels = []
    for t, value in enumerate(y):
        if np.isnan(value):
            for season in seasons:
                season.append(season[t])
        else:
            bare = value - sum(s[t] for s in seasons)
            level = alpha * bare + (1 - alpha) * level
            for season, g in zip(seasons, gamma, strict=True):
                season.append(season[t] + g * (bare - level))
        levels.append(level)
    return np.array(levels), [np.array(s) for s in seasons]


def first_rows(values):
    return starts(values, np.array([0]), np.array([len(values)]), np.array([12]))


# -- the recursion ---------------------------------------------------------------------------------


@pytest.mark.parametrize("periods", [(), (4,), (3, 7)])
def test_smoothing_is_the_recursion_written_out(periods):
    rows, held = smoothing_case(periods)
    smoothed = Smoothed(rows, held)
    origins, lags, ahead = rows.end - 5, 9, 11
    level, past, future = smoothed.windows(np.arange(3), origins, lags, ahead)
    last_level, last_season = smoothed.last()
    for i, (a, b) in enumerate(zip(rows.starts, rows.end, strict=True)):
        for c in range(2):
            parts = np.split(held.season[i, c], np.cumsum(periods)[:-1]) if periods else []
            levels, seasons = written_out(
                rows.values[a:b, c], held.alpha[i, c], held.gamma[i, c], held.level[i, c], parts
            )
            np.testing.assert_allclose(smoothed.level[a:b, c], levels, rtol=0, atol=1e-12)
            np.testing.assert_allclose(last_level[i, c], levels[-1], rtol=0, atol=1e-12)
            size = b - a
            ends = [s[size : size + m] for s, m in zip(seasons, periods, strict=True)]
            np.testing.assert_allclose(last_season[i, c], np.concatenate([*ends, []]), atol=1e-12)
            o = size - 5
            np.testing.assert_allclose(level[i, c], levels[o - 1], rtol=0, atol=1e-12)
            met = sum((s[o - lags : o] for s in seasons), np.zeros(lags))
            np.testing.assert_allclose(past[i, :, c], met, rtol=0, atol=1e-12)
            known = [s[: o + m] for s, m in zip(seasons, periods, strict=True)]  # by row o - 1
            next_ones = [np.resize(k[o:], ahead) for k in known]
            expected = sum(next_ones, np.zeros(ahead))
            np.testing.assert_allclose(future[i, :, c], expected, rtol=0, atol=1e-12)


def test_smoothing_is_that_of_statsmodels():
    """There the seasonal is corrected by the error before the level has moved: its coefficient is gamma (1 - alpha)."""
    api = pytest.importorskip("statsmodels.tsa.api")
    y = np.log(monthly(60).to_numpy())
    alpha, gamma = 0.3, 0.25
    level, season = first_rows(y[:24, None])
    known = {"initialization_method": "known", "initial_level": level[0, 0]}
    peer = api.ExponentialSmoothing(y, seasonal="add", seasonal_periods=12, initial_seasonal=season[0, 0], **known).fit(
        smoothing_level=alpha, smoothing_seasonal=gamma * (1 - alpha), optimized=False
    )  # fmt: skip
    at = np.array([0])
    rows = Rows(y[:, None], at, at, np.array([60]), np.array([12]))
    held = Smoothing(np.array([[alpha]]), np.array([[[gamma]]]), level, season)
    smoothed = Smoothed(rows, held)
    np.testing.assert_allclose(smoothed.level[:, 0], peer.level, rtol=0, atol=1e-10)
    np.testing.assert_allclose(smoothed.season[12:, 0], peer.season, rtol=0, atol=1e-10)
    now, _, ahead = smoothed.windows(at, np.array([59]), 0, 1)
    np.testing.assert_allclose(now + ahead[0], peer.fittedvalues[-1], rtol=0, atol=1e-10)


@pytest.mark.parametrize("periods", [(), (4,), (3, 7)])
def test_blocks_on_any_device_are_the_compiled_recursion(periods):
    rows, held = smoothing_case(periods)
    series, origin = np.array([0, 2, 2, 1]), np.array([8, 5, 31, 23])
    rng = np.random.default_rng(1)
    alpha, gamma, level, season = (
        torch.from_numpy(a.copy()).requires_grad_() for a in vars(held).values()
    )
    y = np.full((3, max(LENGTHS), 2), np.nan)
    for i, (a, b) in enumerate(zip(rows.starts, rows.end, strict=True)):
        y[i, : b - a] = rows.values[a:b]
    seasons = [s.transpose(1, 2) for s in season.split(periods, 2)] if periods else []
    found = holt_winters_torch.smooth(torch.from_numpy(y), alpha, gamma, level, seasons)
    at = torch.from_numpy(series), torch.from_numpy(origin)
    blocks = holt_winters_torch.windows(*found, *at, 6, 9)
    where = rows, series, origin + rows.starts[series], 6, 9
    compiled = Compiled.apply(alpha, gamma, level, season, *where)
    weights = [torch.from_numpy(rng.normal(size=tuple(part.shape))) for part in blocks]
    gradients = []
    for parts in (blocks, compiled):
        total = sum((w * p).sum() for w, p in zip(weights, parts, strict=True))
        leaves = [alpha, gamma, level, season] if periods else [alpha, level]
        gradients.append(torch.autograd.grad(total, leaves))
    # rows before a series begins: blocks repeat its first seasonal as the compiled recursion does
    for one, other in zip(blocks, compiled, strict=True):
        close(one, other)
    for one, other in zip(*gradients, strict=True):
        close(one, other, 1e-10)


def test_gradient_is_that_of_finite_differences():
    rows, held = smoothing_case((3, 5), channels=1)
    where = rows, np.array([0, 1, 1]), np.array([12, 50, 63]), 7, 8
    leaves = [torch.from_numpy(a).requires_grad_() for a in vars(held).values()]
    assert torch.autograd.gradcheck(lambda *a: Compiled.apply(*a, *where), leaves, atol=1e-7)


def test_start_has_the_seasonal_of_a_line_with_a_season():
    t = np.arange(36)
    season = np.sin(2 * np.pi * t / 12)
    y = (5 + 0.1 * t + season)[:, None]
    y[[3, 17], 0] = np.nan
    _, found = first_rows(y)
    np.testing.assert_allclose(found[0, 0], season[:12], rtol=0, atol=0.02)
    level, none = first_rows(np.full((4, 1), np.nan))
    assert level.tolist() == [[0.0]] and not none.any()


# -- the task --------------------------------------------------------------------------------------


def task_and_windows(holes: bool = True, lags: int = 12, periods: tuple[int, ...] = (6,)):
    rng = np.random.default_rng(0)
    y = rng.normal(size=(sum(LENGTHS), 1)).cumsum(0)
    y[rng.random(y.shape) < 0.1 * holes] = np.nan
    rows = task_windows.Rows(y, np.cumsum((0, *LENGTHS)))
    windows = SmoothedWindows(rows, lags, 4, periods=periods, dtype=torch.float64)
    layout = SmoothedLayout(lags, 4, seasons=periods, normalise="mean", seen=holes, series=3)
    torch.manual_seed(0)
    core = nn.LSTM(4).build(3 * layout.per_step)
    task = SmoothedForecast(core, nn.as_head(seqkit.Normal()), layout, patch=3).double()
    torch.nn.init.normal_(task.readout.weight, std=0.3)
    torch.nn.init.normal_(task.smoother.own_level, std=0.05)
    return task, windows


def test_no_forecast_depends_on_what_follows_its_window():
    task, windows = task_and_windows()
    index = torch.arange(len(windows))
    batch = windows.batch(index)
    before = task(batch)
    k = 20
    later = windows.panel.rows.values.copy()
    later[int(batch.origin[k]) :] += 100.0  # all that is not known at the origin
    windows.panel.rows = dataclasses.replace(windows.panel.rows, values=later)
    after = task(windows.batch(index))
    close(after[1][k], before[1][k])
    assert not torch.allclose(after[1][k + 6], before[1][k + 6])


@pytest.mark.parametrize("periods", [(), (6,), (3, 7)])
def test_short_and_holed_series_are_the_same_on_any_device(periods):
    task, windows = task_and_windows(
        lags=24, periods=periods
    )  # two of the series are shorter than a window
    batch = windows.batch(torch.arange(len(windows)))
    level, season = batch.panel.starts(torch.device("cpu"))
    alpha, gamma, shape = task.smoother()
    parts = alpha, gamma, level, season + shape
    for one, other in zip(task._in_blocks(batch, *parts), task.components(batch), strict=True):
        close(one, other)


def test_all_coefficients_and_weights_learn_at_once():
    task, windows = task_and_windows()
    total, count = task.loss(windows.batch(torch.arange(len(windows))))
    (total / count).backward()
    still = [name for name, p in task.named_parameters() if not (p.grad.abs() > 0).any()]
    assert not still


def test_starts_as_exponential_smoothing():
    task, windows = task_and_windows(holes=False)
    torch.nn.init.zeros_(task.readout.weight)
    batch = windows.batch(torch.tensor([3, 30]))
    raw, level, scale = task(batch)
    now, _, ahead = task.components(batch)
    close(nn.as_head(seqkit.Normal()).point(raw, level, scale), now[:, None] + ahead)


# -- the forecaster --------------------------------------------------------------------------------


def test_learns_a_panel_better_than_its_parts():
    """Seasonals that only many years tell apart from noise: more than a window holds, more than one year tells."""
    rng = np.random.default_rng(0)
    t, panel, truth = np.arange(156), {}, {}
    for i in range(8):
        clean = np.cumsum(rng.normal(scale=0.01, size=156)) + rng.normal(scale=0.4, size=12)[t % 12]
        noisy = clean + rng.normal(scale=0.2, size=156)
        panel[f"s{i}"], truth[f"s{i}"] = pd.Series(np.exp(noisy[:144])), clean[144:]
    options = {"seasonal": 12, "steps": 150, "lr": 2e-3, "batch_size": 64, "head": nn.Absolute()}
    core = nn.LSTM(8)
    models = {
        "hybrid": seqkit.ESRNN(24, 12, core=core, start=(0.1, 0.1), **options),
        "network": seqkit.forecaster(core, 24, 12, scale=seqkit.Log(), **options),
        "naive": seqkit.SeasonalNaive(season=12),
    }
    errors = {}
    for name, model in models.items():
        forecast = np.log(model.fit(panel).predict(12).median)
        errors[name] = np.mean([np.abs(forecast.loc[k] - truth[k]).mean() for k in panel])
    assert errors["hybrid"] < 0.8 * errors["network"], errors
    assert errors["hybrid"] < 0.6 * errors["naive"], errors


def test_update_is_what_the_whole_series_says():
    """The network and smoothing carried on by `update` forecast what `one_step` says of the next row."""
    y = monthly(145)
    y.iloc[[50, 104]] = np.nan
    model = seqkit.ESRNN(24, 3, ensemble=2, **QUICK).fit(y[:100])
    steps = model.one_step(y)
    for begin, end in pairwise((100, 101, 104, 105, 108, 140)):
        model.update(y[begin:end])
        law = model.predict(3)
        np.testing.assert_allclose(law.mean.iloc[0], np.asarray(steps.mean)[end, 0], rtol=1e-5)


def test_decomposition_is_the_smoothing_that_the_forecast_starts_from():
    panel = {"a": monthly(90, 1), "b": monthly(70, 2)}
    model = seqkit.ESRNN(24, 6, head=nn.Absolute(), **(QUICK | {"steps": 1, "lr": 1e-12})).fit(
        panel
    )
    parts = model.decompose(panel)
    assert list(parts.columns) == ["level", "season"]
    assert parts.index.names == model.predict(1).median.index.names
    forecast = model.predict(6).median
    for key, y in panel.items():  # an untrained network adds nothing to level times season
        longer = y.reindex(pd.date_range(y.index[0], periods=len(y) + 6, freq="ME"))
        ahead = model.decompose({key: longer}).iloc[-6:]
        product = (ahead["level"] * ahead["season"]).to_numpy()
        np.testing.assert_allclose(forecast.loc[key], product, rtol=1e-5)
    table = model.coefficients_
    assert list(table.index) == ["a", "b"] and ((table > 0) & (table < 1)).all(axis=None)


def test_learnt_seasonals_belong_to_the_rows_of_the_fit():
    y = monthly(80) - 100.0
    model = seqkit.ESRNN(24, 4, scale=seqkit.Identity(), **QUICK).fit(y)
    whole, rest = model.decompose(y), model.decompose(y[1:])
    model._coefficients[0].shape[:] += 1.0  # in units of the series
    moved = (model.decompose(y) - whole)["season"].iloc[:12]
    np.testing.assert_allclose(moved, model._encoding.unit[0, 0], rtol=1e-9)
    pd.testing.assert_frame_equal(model.decompose(y[1:]), rest)


def test_values_that_are_not_positive_are_smoothed_by_sums():
    y = monthly(100) - monthly(100).mean()
    model = seqkit.ESRNN(24, 4, **QUICK).fit(y)
    parts = model.decompose(y)
    assert parts["season"].abs().max() < np.ptp(y) and parts["season"].min() < 0
    shifted = seqkit.ESRNN(24, 4, **QUICK).fit(y + 1000.0 - y.min() + 1)
    assert shifted.decompose(y + 1000.0 - y.min() + 1)["season"].min() > 0  # factors
    plain = seqkit.ESRNN(24, 4, scale=seqkit.Identity(), **QUICK)
    np.testing.assert_allclose(
        plain.fit(y + 50).predict(4).mean, model.predict(4).mean + 50, rtol=1e-3
    )


def test_without_a_season_there_is_a_level_alone():
    y = np.random.default_rng(0).normal(size=80).cumsum()
    model = seqkit.ESRNN(12, 4, **(QUICK | {"seasonal": 1})).fit(y)
    assert list(model.decompose(y).columns) == ["level"]
    assert list(model.coefficients_.columns) == ["level"]


@pytest.mark.parametrize("seasonal", [1, 4, (4, 12)])
def test_paths_go_on_as_updates_with_what_was_drawn(seasonal):
    """Without noise every path is the forecast, and its next block that of a model updated with the first."""
    y = monthly(100, noise=0.02)
    y.iloc[97] = np.nan
    options = QUICK | {"seasonal": seasonal, "draws": 3, "head": nn.Squared()}
    model = seqkit.ESRNN(24, 6, **options).fit(y)
    model._networks[0][0].spread[:] = 1e-12
    far = model.predict(18).median
    for block in range(3):
        part = far.iloc[6 * block : 6 * block + 6]
        np.testing.assert_allclose(model.predict(6).median, part, rtol=2e-5)
        model.update(part.rename("sales"))


def test_two_seasons_and_two_channels():
    t = np.arange(200)
    y = np.stack([np.sin(2 * np.pi * t / 4), np.cos(2 * np.pi * t / 14)], 1) + 0.05 * t[:, None]
    for channels in ("each", "joint"):
        model = seqkit.ESRNN(28, 4, channels=channels, **(QUICK | {"seasonal": (4, 14)})).fit(y)
        parts = model.decompose(y)
        assert parts.shape == (200, 6) and parts.notna().all(axis=None)
        assert parts.columns[1] == (0, "season 4")
        assert model.predict(4).mean.shape == (4, 2)


def test_saved_and_loaded_goes_on(tmp_path):
    y = monthly(80)
    model = seqkit.ESRNN(24, 4, **QUICK).fit(y[:70])
    again = seqkit.load(model.save(tmp_path / "model"))
    assert again == model
    pd.testing.assert_series_equal(
        again.update(y[70:]).predict(6).mean, model.update(y[70:]).predict(6).mean
    )


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"start": (0.0, 0.5)}, ValueError, "start must be two coefficients"),
        ({"start": 0.5}, ValueError, "start must be two coefficients"),
        ({"patch": 0}, ValueError, "patch must be"),
        ({"head": seqkit.NegativeBinomial()}, ValueError, "LSTMForecaster for counts"),
        ({"core": nn.Bidirectional(nn.LSTM(4))}, TypeError, "must not look ahead"),
        ({"seasonal": 48}, ValueError, "raise window"),
    ],
)
def test_refuses_what_cannot_be(options, error, words):
    with pytest.raises(error, match=words):
        seqkit.ESRNN(24, 4, **options).fit(np.arange(1.0, 80.0))


def test_picture_shows_the_decomposition():
    panel = {"a": monthly(60, 1), "b": monthly(60, 2)}
    model = seqkit.ESRNN(24, 4, **QUICK).fit(panel)
    figure = seqkit.plotting.decomposition(model, panel, series="b")
    upper, lower = figure.axes
    parts = model.decompose(panel).loc["b"]
    np.testing.assert_array_equal(upper.lines[0].get_ydata(), panel["b"])
    np.testing.assert_array_equal(upper.lines[1].get_ydata(), parts["level"])
    np.testing.assert_array_equal(lower.lines[0].get_ydata(), parts["season"])
    with pytest.raises(ValueError, match="pick one"):
        seqkit.plotting.decomposition(model, panel)
    with pytest.raises(TypeError, match="does not part a series"):
        seqkit.plotting.decomposition(seqkit.Naive().fit(panel["a"]), panel["a"])
