"""Recurrent forecasters: one pass equals step by step, updates equal one-step laws, and nothing looks ahead."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch

import seqkit
from seqkit import nn
from seqkit.tasks.encoder_decoder import EncoderDecoder, steps_ahead_width
from seqkit.tasks.forecasting import Layout, WindowForecast, patches
from seqkit.tasks.recursive import RecursiveForecast, joined, steps_width
from seqkit.tasks.windows import WindowBatch

KINDS = {
    "lstm": seqkit.LSTMForecaster, "gru": seqkit.GRUForecaster, "rnn": seqkit.RNNForecaster,
}  # fmt: skip
UNTRAINED = {"steps": 1, "lr": 1e-12}


def monthly(length: int = 120, seed: int = 0) -> pd.Series:
    t = np.arange(length)
    noise = np.random.default_rng(seed).normal(size=length)
    index = pd.date_range("2010-01-31", periods=length, freq="ME", name="month")
    return pd.Series(50 + 10 * np.sin(2 * np.pi * t / 12) + noise, index=index, name="sales")


def recursive(head=None, core=None, **options) -> RecursiveForecast:
    """A task in double precision whose readout says something."""
    head = nn.as_head(head or seqkit.Normal())
    layout = Layout(10, 4, 2, **{"seasons": (3,), "normalise": "mean", "seen": True} | options)
    torch.manual_seed(0)
    core = (core or nn.LSTM(6, layers=2, learn_initial=True)).build(steps_width(layout, head))
    task = RecursiveForecast(core, head, layout).double()
    torch.nn.init.normal_(task.readout.weight, std=0.3)
    return task


def batch(size: int = 5, holes: bool = False, **parts) -> WindowBatch:
    rng = np.random.default_rng(1)
    y = torch.from_numpy(rng.normal(size=(size, 14, 2)).cumsum(1) * 3 + 20)
    seen = torch.from_numpy((rng.random(y.shape) > 0.3 * holes) * 1.0)
    blank = WindowBatch(y[:, :10], seen[:, :10], y[:, 10:], seen[:, 10:], None, None, None, None)
    return blank._replace(**parts)


# -- the task --------------------------------------------------------------------------------------


@pytest.mark.parametrize("core", [nn.LSTM(6, layers=2), nn.GRU(5), nn.GRU(4, 2, dilations=(1, 3))])
@pytest.mark.parametrize("seasons", [(), (3, 5)])
def test_steps_from_a_window_on_are_the_laws_of_one_pass(core, seasons):
    task = recursive(core=core, seasons=seasons, inputs=3, static=2).eval()
    rng = np.random.default_rng(0)
    inputs, static = (torch.from_numpy(rng.normal(size=s)) for s in ((5, 14, 3), (5, 2)))
    b = batch(holes=True, inputs=inputs, static=static)
    values, seen = joined(b)
    raw, level, scale = task(b)
    state, shift, width = task.start(b.past, b.past_seen, inputs[:, :10], static)
    torch.testing.assert_close(width, scale)
    for t in range(4):
        recent, last = values[:, 10 + t - task.memory : 10 + t], seen[:, 9 + t]
        found, base, state = task.step(recent, last, inputs[:, 10 + t], static, shift, width, state)
        torch.testing.assert_close(found, raw[:, t])
        torch.testing.assert_close(base, level[:, t])
        naive = [values[:, 10 + t - p] for p in seasons or (1,)]
        torch.testing.assert_close(base, torch.stack(naive).mean(0))


def test_no_law_depends_on_its_own_row_or_a_later_one():
    task, b = recursive(), batch()
    values = joined(b)[0].requires_grad_()
    _, scale = task.level(b.past)
    shift = task.level(b.past)[0]
    raw, level = task._laws(values, None, None, None, shift, scale, first=1)
    for t in (4, 9, 12):  # the law of row t + 1
        (gradient,) = torch.autograd.grad(
            raw[:, t].sum() + level[:, t].sum(), values, retain_graph=True
        )
        reached = gradient.abs().sum((0, 2)) > 0
        assert reached[: t + 1].all() and not reached[t + 1 :].any()


@pytest.mark.parametrize("head", [seqkit.Normal(), nn.Squared(), seqkit.Quantiles([0.1, 0.5, 0.9])])
def test_missing_rows_and_padding_count_for_nothing(head):
    task, whole = recursive(head), batch()
    _, count = task.loss(whole)
    assert count == 5 * 2 * (14 - 3)  # rows without a season before them teach nothing
    holed = whole._replace(target_seen=torch.zeros_like(whole.target_seen))
    _, fewer = task.loss(holed)
    assert fewer == count - 5 * 2 * 4
    assert task.eval().loss(whole)[1] == 5 * 2 * 4  # in evaluation, what lies beyond the window
    padded = whole._replace(past=whole.past.clone())
    padded.past[:, :6] = padded.past[:, 6:7]
    task.train().layout = dataclasses.replace(task.layout, padded=True)
    assert task.loss(padded)[1] == 5 * 2 * 7 and task.loss(whole)[1] == count


def test_scheduled_sampling_reads_its_own_forecasts():
    task, b = recursive(nn.Squared()), batch()
    values, seen = joined(b)
    shift, scale = task.level(b.past)
    task.sampled = 1.0
    raw, level = task._laws(values, seen, None, None, shift, scale, first=1)
    mixed = task._mixed(values, seen, None, None, shift, scale)
    torch.testing.assert_close(mixed[:, 1:], task.head.point(raw, level, scale))
    torch.testing.assert_close(mixed[:, 0], values[:, 0])
    task.sampled = 0.5
    torch.manual_seed(0)
    share = (task._mixed(values, seen, None, None, shift, scale)[:, 1:] != values[:, 1:]).double()
    assert 0.3 < share.mean() < 0.7
    taught, _ = recursive(seqkit.StudentT()).loss(b)
    task = recursive(seqkit.StudentT())
    task.sampled = 0.5
    own, _ = task.loss(b)
    own.backward()
    assert own != taught and all(torch.isfinite(p.grad).all() for p in task.parameters())
    assert task.eval().loss(b)[0] == recursive(seqkit.StudentT()).eval().loss(b)[0]


def test_patches_are_rows_side_by_side():
    rows = torch.arange(24.0).view(2, 6, 2)
    torch.testing.assert_close(patches(rows, 3)[1, 1], rows[1, 3:].flatten())
    layout = Layout(lags=7, horizon=2, normalise="last")
    for skip in (False, True):
        core = nn.LSTM(4).build(3)
        task = WindowForecast(core, nn.Absolute(), layout, flat=False, patch=3, skip=skip)
        torch.nn.init.normal_(task.readout.weight)
        y = torch.randn(1, 9, 1, requires_grad=True)
        b = WindowBatch(y[:, :7], None, y[:, 7:], None, None, None, None, None)
        raw, level, _ = task(b)
        assert task.readout.in_features == 4 + 7 * skip
        (gradient,) = torch.autograd.grad(raw.sum() + level.sum(), y)
        assert (gradient[0, :7] != 0).all() and not gradient[0, 7:].any()


@pytest.mark.parametrize("skip", [False, True])
def test_a_decoder_knows_the_inputs_of_its_own_step_and_begins_where_the_encoder_ends(skip):
    layout = Layout(7, 4, seasons=(3,), normalise="mean", inputs=2)
    core, decoder = (nn.GRU(5).build(w) for w in (3 * 3, steps_ahead_width(layout)))
    task = EncoderDecoder(core, decoder, nn.Squared(), layout, patch=3, skip=skip)
    y, x = torch.randn(1, 11, 1, requires_grad=True), torch.randn(1, 11, 2, requires_grad=True)
    b = WindowBatch(y[:, :7], None, y[:, 7:], None, x, None, None, None)
    raw, level, _ = task(b)
    assert not raw.any()
    torch.testing.assert_close(level[0, :, 0], y[0, [4, 5, 6, 4], 0])
    torch.nn.init.normal_(task.readout.weight)
    raw, _, _ = task(b)
    for j in range(4):
        past, ahead = torch.autograd.grad(raw[0, j].sum(), (y, x), retain_graph=True)
        assert (past[0, :7] != 0).all() and not past[0, 7:].any()
        assert (ahead[0, : 8 + j] != 0).all() and not ahead[0, 8 + j :].any()
    with pytest.raises(TypeError, match="has no scan"):
        EncoderDecoder(nn.FeedForward(9, (4,)), decoder, nn.Squared(), layout)


# -- forecasters -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_an_untrained_recursive_network_is_a_random_walk(kind):
    y = seqkit.datasets.load("sunspots").iloc[:100]
    model = KINDS[kind](
        20, 5, hidden=4, mode="recursive", seasonal=1, draws=20_000, **UNTRAINED
    ).fit(y)
    forecast = model.predict(6)
    (step,) = model.predict(1).distribution.scale.ravel()  # exact, not sampled
    away = y.iloc[-20:] - y.iloc[-20:].mean()
    np.testing.assert_allclose(step, away.abs().mean(), rtol=0.05)
    expected = step * np.sqrt(np.arange(1, 7))
    np.testing.assert_allclose(forecast.distribution.scale[0, :, 0], expected, rtol=0.03)
    assert (np.abs(forecast.mean - y.iloc[-1]) < 5 * expected / np.sqrt(20_000)).all()


@pytest.mark.parametrize("head", [None, nn.Huber()], ids=["law", "point"])
@pytest.mark.parametrize("channels", ["each", "joint"])
def test_updates_say_what_the_one_step_laws_say(head, channels):
    rng = np.random.default_rng(0)
    index = pd.date_range("2024-01-01", periods=80)
    values = rng.normal(size=(80, 2)).cumsum(0) + np.array([5, 300])
    values[rng.random(values.shape) < 0.1] = np.nan
    values[42] = [7, 310]  # where the laws below begin to look
    y = pd.DataFrame(values, index=index, columns=["a", "b"])
    x = pd.DataFrame({"x": rng.normal(size=80)}, index=index)
    model = seqkit.GRUForecaster(
        8, 4, head, hidden=5, mode="recursive", steps=20, channels=channels, ensemble=2,
        calendar=("weekday",), normalise="standard",
    ).fit(y[:50], covariates=x[:50])  # fmt: skip
    steps = model.one_step(y[42:], covariates=x[42:]).mean
    for t in range(50, 68):  # the window is read anew on the way, twice
        forecast = model.predict(1, covariates=x[t : t + 1])
        np.testing.assert_allclose(forecast.distribution.mean[0, 0], steps[t - 42], rtol=1e-4)
        model.update(y[t : t + 1], covariates=x[t : t + 1])


@pytest.mark.parametrize("mode", ["direct", "recursive"])
def test_one_step_laws_do_not_look_ahead(mode):
    y = monthly(90)
    model = seqkit.LSTMForecaster(24, 3, hidden=8, mode=mode, steps=20).fit(y)
    changed = y.copy()
    changed.iloc[60:] += 100
    here, there = (model.one_step(series).mean[:, 0] for series in (y, changed))
    assert np.isnan(here[:8]).all() and np.isfinite(here[24:]).all()
    np.testing.assert_allclose(here[24:61], there[24:61], rtol=1e-5)
    assert (here[61:] != there[61:]).all()


def test_a_recursive_network_finds_an_autoregression():
    rng = np.random.default_rng(0)
    y = np.zeros(5000)
    for t in range(2, 5000):
        y[t] = 1.2 * y[t - 1] - 0.7 * y[t - 2] + rng.normal()
    model = seqkit.LSTMForecaster(
        30, 20, hidden=8, mode="recursive", normalise=None, steps=300, batch_size=64, lr=0.02, draws=1000
    ).fit(y[:4000])  # fmt: skip
    exact = seqkit.AR(2).fit(y[:4000])
    assert model.score(y[4000:]) > exact.score(y[4000:]) - 0.03
    ours, theirs = (m.predict(12).distribution for m in (model, exact))
    assert np.abs(ours.mean - theirs.mean).max() < 0.5  # noise has a standard deviation of 1
    np.testing.assert_allclose(ours.scale, theirs.scale, rtol=0.15)


def test_units_do_not_matter():
    y = monthly()
    for mode in ("direct", "recursive"):
        model = seqkit.LSTMForecaster(
            24, 6, nn.Squared(), hidden=8, mode=mode, steps=30, lr=3e-3, draws=50
        )
        plain = model.fit(y).predict(6).mean
        moved = seqkit.clone(model).fit(1000 + 8 * y).predict(6).mean
        np.testing.assert_allclose(moved, 1000 + 8 * plain, rtol=1e-4)


@pytest.mark.parametrize("arranged", [{"mode": "recursive"}, {"decoder": True}], ids=str)
def test_each_step_knows_its_covariates(arranged):
    rng = np.random.default_rng(0)
    index = pd.date_range("2024-01-01", periods=320)
    x = pd.DataFrame({"x": rng.normal(size=320)}, index=index)
    panel = {
        k: size + 3 * size * x["x"].iloc[:300] + 0.01 * size * rng.normal(size=300)
        for k, size in {"a": 1.0, "b": 100.0}.items()
    }
    model = seqkit.LSTMForecaster(
        8, 20, nn.Squared(), hidden=16, seasonal=1, steps=300, lr=0.02, draws=50, **arranged
    ).fit(panel, covariates=x.iloc[:300])
    forecast = model.predict(20, covariates=x.iloc[300:])
    for key, size in (("a", 1.0), ("b", 100.0)):
        expected = size + 3 * size * x["x"].iloc[300:]
        assert np.corrcoef(forecast[key].mean, expected)[0, 1] > 0.97
    past = seqkit.Covariates(past=x.iloc[:300])
    with pytest.raises(ValueError, match='use mode="direct"'):
        seqkit.LSTMForecaster(8, 8, mode="recursive").fit(panel, covariates=past)


def test_counts_and_their_calendar():
    rng = np.random.default_rng(0)
    rate = 20 + 15 * np.sin(2 * np.pi * np.arange(414) / 7)
    days = pd.date_range("2024-01-01", periods=414)
    counts = pd.Series(rng.poisson(rate[:400]).astype(float), index=days[:400])
    calendar = seqkit.calendar_features(days, ["weekday"])
    model = seqkit.GRUForecaster(
        14, 7, seqkit.NegativeBinomial(), hidden=16, mode="recursive", steps=150, lr=0.01, draws=100
    ).fit(counts, covariates=calendar.iloc[:400])
    forecast = model.predict(14, covariates=calendar.iloc[400:])
    draws = forecast.sample(10, seed=0).to_numpy()
    assert (draws == draws.round()).all() and (draws >= 0).all()
    assert np.corrcoef(forecast.mean, rate[400:])[0, 1] > 0.9


def test_short_and_long_series_share_a_network():
    panel = {"long": monthly(120), "short": 1000 + monthly(14, seed=1), "mid": monthly(40, seed=2)}
    for mode in ("direct", "recursive"):
        model = seqkit.GRUForecaster(24, 6, hidden=8, mode=mode, seasonal=12, steps=60, draws=50)
        forecast = model.fit(panel).predict(8)
        assert np.abs(forecast["short"].median - 1050).max() < 30
        model.update({"short": 1000 + monthly(20, seed=1).iloc[14:]})
        assert np.isfinite(model.predict(8).mean).all()


def test_a_network_for_each_series_is_the_network_of_the_series_alone():
    panel = {"a": monthly(), "b": 1000 + monthly(90, seed=1)}
    options = {"hidden": 8, "mode": "recursive", "seasonal": 12, "steps": 20, "draws": 400}
    every = seqkit.RNNForecaster(12, 6, panel="each", **options).fit(panel)
    alone = seqkit.RNNForecaster(12, 6, **options).fit(panel["b"])
    np.testing.assert_allclose(every.predict(1)["b"].mean, alone.predict(1).mean, rtol=1e-6)
    first, second = every.predict(2).distribution.samples[:, :, 1, 0].T
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.2  # paths of different series are independent


@pytest.mark.parametrize("mode", ["direct", "recursive"])
def test_absurd_values_and_constant_series(mode):
    outlier = monthly()
    outlier.iloc[60] = 1e12
    model = seqkit.LSTMForecaster(24, 6, hidden=8, mode=mode, steps=100).fit(outlier)
    assert np.abs(model.predict(6).median - 50).max() < 30
    constant = pd.Series(3.0, index=monthly().index)
    forecast = model.fit(constant).predict(6)
    np.testing.assert_allclose(forecast.mean, 3.0, rtol=1e-4)


def test_the_options_of_a_core_reach_it():
    y = monthly()
    model = seqkit.LSTMForecaster(
        24, 6, hidden=8, layers=2, learn_initial=True, residual=True, norm="layer", dropout=0.1,
        recurrent_dropout=0.2, dilations=(1, 2), forget_bias=2.0, patch=1, skip=False, steps=3, clip=0.5,
    )  # fmt: skip
    assert model._spec() == nn.LSTM(
        8, 2, learn_initial=True, residual=True, norm="layer", dropout=0.1, recurrent_dropout=0.2,
        dilations=(1, 2), forget_bias=2.0,
    )  # fmt: skip
    assert np.isfinite(model.fit(y).predict(6).mean).all()
    weights = model._networks[0][0].weights
    assert weights["core.layers.0.cell.start"].shape == (16,)
    assert weights["readout.weight"].shape[1] == 8
    assert model._trainer().clip == 0.5 and model.set_params(clip=None)._trainer().clip == 1.0
    same = seqkit.forecaster(nn.GRU(8), 24, 6, mode="recursive", seed=3, steps=20, draws=20).fit(y)
    named = seqkit.GRUForecaster(24, 6, hidden=8, mode="recursive", seed=3, steps=20, draws=20)
    pd.testing.assert_series_equal(same.predict(5).mean, named.fit(y).predict(5).mean)


def test_automatic_patches():
    for window, seasons, horizon, rows in (
        (192, (24, 168), 48, 24), (52, (), 13, 13), (36, (12,), 18, 12), (16, (), 6, 4), (2, (), 1, 1),
    ):  # fmt: skip
        layout = Layout(window, horizon, seasons=seasons)
        assert seqkit.GRUForecaster()._rows_per_step(layout) == rows


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: seqkit.forecaster(nn.Bidirectional(nn.LSTM(64))), TypeError, "must not look ahead"),
        (lambda: seqkit.forecaster(nn.LSTM(4).build(1)), TypeError, "written down"),
        (lambda: seqkit.forecaster("lstm"), TypeError, "written down"),
        (
            lambda: seqkit.forecaster(nn.GRU(4)).set_params(core=nn.Bidirectional(nn.GRU(4))),
            TypeError,
            "must not look ahead",
        ),
        (lambda: seqkit.LSTMForecaster(mode="both"), ValueError, "mode must be"),
        (lambda: seqkit.LSTMForecaster(hidden=0), ValueError, "hidden is 0"),
        (lambda: seqkit.LSTMForecaster(patch=0), ValueError, "patch must be"),
        (lambda: seqkit.LSTMForecaster(scheduled_sampling=0.5), ValueError, "is for mode="),
        (lambda: seqkit.GRUForecaster(mode="recursive", decoder=True), ValueError, "decoder=True is"),
        (lambda: seqkit.RNNForecaster(activation="selu"), ValueError, "activation must be"),
        (lambda: seqkit.GRUForecaster(window=0), ValueError, "window must be an integer"),
        (lambda: seqkit.GRUForecaster(200), ValueError, "lower window= or horizon="),
        (lambda: seqkit.GRUForecaster(6, seasonal=12), ValueError, "looks back 12 steps; raise window"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said(make, error, message):
    with pytest.raises(error, match=message):
        make().fit(monthly())
