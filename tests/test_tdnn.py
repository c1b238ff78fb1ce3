"""Windows and the time-delay forecaster: what a window holds, what a forecast is made of, and what is refused."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch

import seqkit
from seqkit import nn, training
from seqkit.tasks.forecasting import Layout, WindowForecast
from seqkit.tasks.windows import Rows, Windows


def monthly(length: int = 120, seed: int = 0) -> pd.Series:
    t = np.arange(length)
    noise = np.random.default_rng(seed).normal(size=length)
    index = pd.date_range("2010-01-31", periods=length, freq="ME", name="month")
    return pd.Series(50 + 10 * np.sin(2 * np.pi * t / 12) + noise, index=index, name="sales")


# -- windows ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_windows_are_those_of_a_plain_loop(share):
    rng = np.random.default_rng(0)
    lengths, lags, horizon = [20, 3, 11, 40], 5, 3
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    values = rng.normal(size=(offsets[-1], 2))
    values[rng.random(values.shape) < share] = np.nan
    values[0], values[1, 0] = np.nan, 1.5  # the first row is not there at all
    windows = Windows(Rows(values, offsets), lags, horizon, dtype=torch.float64)
    found = windows.batch(torch.arange(len(windows)))
    series, at = windows.origins()
    assert 1 not in series  # three rows have no row ahead to learn from
    expected = 0
    for i, (start, end) in enumerate(pairwise(offsets)):
        filled = pd.DataFrame(values[start:end]).ffill().fillna(0).to_numpy()
        first = start + int(np.argmax(~np.isnan(values[start:end]).all(1)))
        for t in range(first + lags, end - horizon + 1):
            k = np.flatnonzero((series == i) & (at == t))
            assert len(k) == 1
            np.testing.assert_array_equal(found.past[k[0]], filled[t - lags - start : t - start])
            np.testing.assert_array_equal(
                found.target[k[0]], filled[t - start : t + horizon - start]
            )
            if share:
                seen = ~np.isnan(values[t : t + horizon])
                np.testing.assert_array_equal(found.target_seen[k[0]], seen)
            expected += 1
    assert expected == len(windows)


def test_short_series_of_a_panel_are_padded_with_their_first_value():
    values = np.concatenate([np.arange(30.0), 100 + np.arange(6.0)])[:, None]
    windows = Windows(Rows(values, np.array([0, 30, 36])), 8, 2)
    series, at = windows.origins()
    last = windows.batch(torch.tensor([len(windows) - 1]))
    assert series[-1] == 1 and at[-1] == 34
    assert last.past[0, :, 0].tolist() == [100, 100, 100, 100, 100, 101, 102, 103]


def test_held_out_windows_share_no_target():
    rows = Rows(np.arange(50.0)[:, None], np.array([0, 50]))
    windows = Windows(rows, 6, 4)
    learn, held = windows.cut(skip=4 + 2), windows.cut(last=3)
    assert learn.origins()[1].max() + 4 <= held.origins()[1].min()


# -- the task --------------------------------------------------------------------------------------


@pytest.mark.parametrize("normalise", ["last", "season", "mean", "standard"])
def test_an_untrained_network_is_its_seasonal_baseline(normalise):
    layout = Layout(lags=12, horizon=5, seasons=(3, 4), normalise=normalise)
    core = nn.FeedForward(12, (8,), None)
    task = WindowForecast(core, nn.Absolute(), layout, flat=True)
    y = torch.arange(17.0)[None, :, None] ** 2
    batch = Windows(Rows(y[0].numpy(), np.array([0, 17])), 12, 5).batch(torch.tensor([0]))
    raw, level, _ = task(batch)
    assert not raw.any()
    past = (np.arange(12.0) ** 2).tolist()
    naive = [np.mean([past[12 - p + j % p] for p in (3, 4)]) for j in range(5)]
    np.testing.assert_allclose(level[0, :, 0].detach(), naive, rtol=1e-5)


def test_missing_targets_count_for_nothing():
    values = np.random.default_rng(0).normal(size=(40, 1))
    rows = Rows(values, np.array([0, 40]))
    holed = values.copy()
    holed[35:] = np.nan
    layout = Layout(lags=10, horizon=4)
    task = WindowForecast(nn.FeedForward(10, (4,), None), nn.Squared(), layout, flat=True)
    whole, some = Windows(rows, 10, 4), Windows(Rows(holed, np.array([0, 40])), 10, 4)
    k = torch.tensor([21])  # the targets are rows 31 .. 34, all observed
    torch.testing.assert_close(task.loss(whole.batch(k)), task.loss(some.batch(k)))
    total, count = task.loss(some.batch(torch.tensor([23])))  # rows 33 .. 36, two of them observed
    assert count == 2 and torch.isfinite(total)


# -- the forecaster --------------------------------------------------------------------------------


def test_a_linear_network_is_an_autoregression():
    y = seqkit.datasets.load("sunspots")
    linear = seqkit.TDNN(
        9, 1, nn.Squared(), hidden=(), seasonal=1, normalise=None,
        trainer=training.Trainer(optimizer="lbfgs", precision="float64", steps=500),
    ).fit(y)  # fmt: skip
    ar = seqkit.AR(9).fit(y)
    np.testing.assert_allclose(linear.predict(1).mean, ar.predict(1).mean, rtol=1e-5)
    steps, theirs = linear.one_step(y), ar.one_step(y)
    np.testing.assert_allclose(steps.mean[9:], theirs.mean[9:], rtol=0, atol=1e-5 * y.std())
    np.testing.assert_allclose(steps.scale[9:], theirs.scale[9:], rtol=1e-5)
    np.testing.assert_allclose(linear.score(y), ar.score(y), rtol=1e-6)


def test_sampled_paths_of_a_linear_network_are_those_of_the_autoregression():
    y = seqkit.datasets.load("sunspots")
    trainer = training.Trainer(optimizer="lbfgs", precision="float64", steps=300)
    options = {"hidden": (), "seasonal": 1, "normalise": None, "trainer": trainer, "draws": 20_000}
    forecast = seqkit.TDNN(9, 1, nn.Squared(), **options).fit(y).predict(12)
    exact = seqkit.AR(9).fit(y).predict(12)
    sampling = 5 * exact.distribution.scale[0, :, 0] / np.sqrt(20_000)
    assert (np.abs(forecast.mean - exact.mean) < sampling).all()
    np.testing.assert_allclose(forecast.distribution.scale, exact.distribution.scale, rtol=0.03)


@pytest.mark.parametrize(
    "head",
    [
        None, nn.Squared(), nn.Huber(), seqkit.Normal(), seqkit.StudentT(), seqkit.Laplace(),
        seqkit.GaussianMixture(2), seqkit.Quantiles(levels=[0.1, 0.5, 0.9]), seqkit.Gamma(),
    ],
    ids=repr,
)  # fmt: skip
@pytest.mark.parametrize("ensemble", [1, 2])
def test_every_head_forecasts_a_season(head, ensemble):
    y = monthly()
    model = seqkit.TDNN(24, 6, head, hidden=(16,), ensemble=ensemble, steps=50, lr=3e-3, draws=100)
    model.fit(y.iloc[:-6])
    near, far = model.predict(6), model.predict(12)
    assert np.abs(near.median - y.iloc[-6:]).mean() < 4  # the season alone moves by 20
    for forecast in (near, far):
        bounds = forecast.quantile([0.1, 0.5, 0.9]).to_numpy()
        assert np.isfinite(bounds).all() and (np.diff(bounds, axis=1) > 0).all()
    assert np.isfinite(model.score(y))


def test_counts_by_a_negative_binomial_head():
    rng = np.random.default_rng(0)
    rate = 20 + 15 * np.sin(2 * np.pi * np.arange(400) / 7)
    y = pd.Series(rng.poisson(rate).astype(float), index=pd.date_range("2024-01-01", periods=400))
    model = seqkit.TDNN(14, 7, seqkit.NegativeBinomial(), hidden=(32,), steps=400, lr=3e-3).fit(
        y[:-7]
    )
    forecast = model.predict(7)
    assert forecast.distribution.discrete
    assert np.corrcoef(forecast.mean, rate[-7:])[0, 1] > 0.9
    with pytest.raises(ValueError, match="another head"):
        seqkit.TDNN(14, 7, seqkit.NegativeBinomial()).fit(y - 100)
    for settings in ({"seasonal": 7}, {"normalise": "last"}):
        with pytest.raises(ValueError, match=r"baseline|moves the level"):
            seqkit.TDNN(14, 7, seqkit.NegativeBinomial(), **settings).fit(y)


def test_covariates_by_what_is_known_of_them():
    rng = np.random.default_rng(0)
    index = pd.date_range("2024-01-01", periods=300)
    longer = pd.date_range("2024-01-01", periods=310)
    promo = pd.DataFrame({"promo": (rng.random(310) < 0.3) * 1.0}, index=longer)
    weather = pd.DataFrame({"rain": rng.normal(size=300)}, index=index)
    panel = {
        k: pd.Series(
            size + 5 * promo["promo"].to_numpy()[:300] + 0.1 * rng.normal(size=300), index=index
        )
        for k, size in {"a": 10.0, "b": 30.0}.items()
    }
    regions = pd.DataFrame({"north": [1.0, 0.0]}, index=["a", "b"])
    given = seqkit.Covariates(future=promo.loc[index], past=weather, static=regions)
    model = seqkit.TDNN(
        7, 4, nn.Absolute(), hidden=(32,), seasonal=1, calendar=("weekday",), steps=500, lr=3e-3
    )
    model.fit(panel, covariates=given)
    forecast = model.predict(4, covariates=promo.iloc[300:304])
    expected = np.concatenate([size + 5 * promo["promo"].to_numpy()[300:304] for size in (10, 30)])
    np.testing.assert_allclose(forecast.median, expected, rtol=0, atol=2.0)  # promo moves by 5
    assert np.isfinite(model.score(panel, covariates=given))
    with pytest.raises(ValueError, match="fit with horizon=8"):
        model.predict(8, covariates=promo.iloc[300:308])
    with pytest.raises(ValueError, match="give them here too"):
        model.predict(4)
    with pytest.raises(TypeError, match="no place for past="):
        seqkit.AR(2).fit(panel, covariates=given)
    holed = weather.copy()
    holed.iloc[5] = np.nan
    with pytest.raises(ValueError, match="missing at 2024-01-06"):
        model.fit(panel, covariates=seqkit.Covariates(past=holed))
    with pytest.raises(ValueError, match="no row for series 'b'"):
        model.fit(panel, covariates=seqkit.Covariates(static=regions.iloc[:1]))


def test_known_inputs_go_on_along_sampled_blocks():
    rng = np.random.default_rng(0)
    index = pd.date_range("2024-01-01", periods=212)
    x = pd.DataFrame({"x": rng.normal(size=212)}, index=index)
    y = 3 * x["x"].iloc[:200] + 0.01 * rng.normal(size=200)
    model = seqkit.TDNN(
        3, 2, nn.Squared(), hidden=(), seasonal=1, normalise=None, draws=50, lr=0.02
    )
    forecast = model.fit(y, covariates=x.iloc[:200]).predict(12, covariates=x.iloc[200:])
    np.testing.assert_allclose(forecast.mean, 3 * x["x"].iloc[200:], atol=0.2)


def test_a_panel_can_have_one_network_or_many():
    panel = {"a": monthly(), "b": 1000 + monthly(90, seed=1)}
    options = {"hidden": (8,), "seasonal": 12, "steps": 50}
    every = seqkit.TDNN(12, 6, panel="each", **options).fit(panel)
    alone = seqkit.TDNN(12, 6, **options).fit(panel["b"])
    np.testing.assert_allclose(every.predict(6)["b"].mean, alone.predict(6).mean, rtol=1e-5)
    assert not every.pooled and len(every.history_["network"].unique()) == 2


def test_patience_holds_windows_out_and_keeps_the_best():
    model = seqkit.TDNN(24, 6, hidden=(32,), epochs=200, patience=3, seed=0).fit(monthly(200))
    history = model.history_
    assert history["validation"].notna().all() and len(history) < 200
    with pytest.raises(ValueError, match="patience= holds out"):
        seqkit.TDNN(40, 6, patience=3).fit(monthly(50))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lags": 200}, r"has 120 steps, but one window needs at least 212: 200 lags and 12"),
        ({"lags": 6, "seasonal": 12}, "looks back 12 steps; raise lags"),
        ({"head": "student"}, "head"),
        ({"normalise": "max"}, "normalise must be one of"),
        ({"balance": 1.0}, "balance must lie between"),
        ({"ensemble": 0}, "ensemble must be an integer of at least 1"),
        ({"hidden": (0,)}, "must be a whole number"),
        ({"dropout": 1.0}, "dropout"),
        ({"lags": 40, "hidden": (8, 8), "dilations": (1, 2)}, "see only the last 7 rows"),
        ({"seed": 1.5}, "seed must be a whole number"),
        ({"calendar": "month"}, "calendar must be a tuple"),
        ({"trainer": "adam"}, "must be a seqkit.training.Trainer"),
        ({"calendar": ("moon",)}, "unknown field 'moon'"),
        ({"normalise": "season", "seasonal": 1}, "needs a season"),
    ],
)
def test_what_cannot_be_is_said(settings, message):
    with pytest.raises((ValueError, TypeError), match=message):
        seqkit.TDNN(**settings).fit(monthly())


def test_log_of_negative_values_is_refused_by_name():
    with pytest.raises(ValueError, match=r"Log\(\) needs positive values"):
        seqkit.TDNN(scale=seqkit.Log()).fit(monthly() - 50)


def test_whole_numbers_outliers_and_many_holes():
    y = monthly().round().astype(int)
    assert np.isfinite(seqkit.TDNN(steps=20).fit(y).predict(12).mean).all()
    holed = monthly()
    holed[np.random.default_rng(1).random(len(holed)) < 0.3] = np.nan
    outlier = monthly()
    outlier.iloc[60] = 1e12
    for series in (holed, outlier):
        model = seqkit.TDNN(12, 6, steps=200).fit(series)
        median = model.predict(6).median.to_numpy()
        assert np.isfinite(median).all() and np.abs(median - 50).max() < 25


# -- what must not leak, shrink or be shared -------------------------------------------------------


def test_a_channel_that_begins_late_is_not_known_before():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(160, 2)).cumsum(0)
    x[:100, 1] = np.nan
    model = seqkit.TDNN(8, 2, hidden=(8,), channels="joint", steps=20).fit(x)
    other = x.copy()
    other[100, 1] += 5
    before, after = (model.one_step(data).mean[:101] for data in (x, other))
    np.testing.assert_array_equal(before, after)


def test_a_window_of_which_nothing_is_seen_is_not_certain():
    walk = np.random.default_rng(0).normal(size=200).cumsum()
    gap = walk.copy()
    gap[-10:] = np.nan
    widths = []
    for data in (walk, gap):
        forecast = seqkit.TDNN(8, 1, hidden=(8,), steps=200).fit(data).predict(1)
        low, high = forecast.quantile([0.1, 0.9]).to_numpy()[0]
        widths.append(high - low)
    assert widths[1] > 0.7 * widths[0]


def test_predict_is_the_next_one_step():
    rng = np.random.default_rng(0)
    holed = rng.normal(size=40)
    holed[[3, 20, 39]] = np.nan
    late = np.concatenate([[np.nan] * 4, rng.normal(size=5)])
    panel = {"holed": holed, "late": late, "long": rng.normal(size=90)}
    model = seqkit.TDNN(8, 2, hidden=(8,), steps=50).fit(panel)
    forecast = model.predict(1)
    longer = {k: np.append(y, 0.0) for k, y in panel.items()}
    steps, ends = model.one_step(longer).mean[:, 0], np.cumsum([len(y) for y in longer.values()])
    np.testing.assert_allclose(steps[ends - 1], forecast.mean, rtol=1e-6)


def test_every_series_that_can_be_is_learnt_from_and_validated_on():
    from seqkit.models.neural._networks import hold_out

    rows = Rows(np.arange(1150.0)[:, None], np.array([0, 1000, 1150]))
    learn, held = hold_out(Windows(rows, 10, 4))
    assert (learn.counts > 100).all() and (held.counts > 10).all()


def test_forecasting_leaves_the_global_random_state_alone():
    model = seqkit.TDNN(6, 2, hidden=(8,), steps=10).fit(monthly())
    before = torch.get_rng_state()
    model.predict(2), model.predict(6), model.score(monthly())
    assert torch.equal(before, torch.get_rng_state())


def test_series_of_their_own_networks_have_their_own_chance():
    panel = {"a": monthly(), "b": monthly(seed=1)}
    model = seqkit.TDNN(6, 1, hidden=(), seasonal=1, panel="each", steps=50, draws=500).fit(panel)
    paths = model.predict(3).distribution.samples[:, :, 2, 0]
    assert abs(np.corrcoef(paths.T)[0, 1]) < 0.2


def test_checkpoints_are_of_one_network_and_its_data(tmp_path):
    trainer = training.Trainer(steps=20, checkpoint=str(tmp_path))
    model = seqkit.TDNN(6, 2, hidden=(8,), seasonal=1, ensemble=2, panel="each", trainer=trainer)
    panel = {"a": monthly(), "b": monthly(seed=1)}
    first, again = (seqkit.clone(model).fit(panel) for _ in range(2))
    assert first == again and len(list(tmp_path.iterdir())) == 4
    with pytest.raises(ValueError, match="other settings"):
        model.fit({"a": monthly(seed=2), "b": monthly(seed=1)})


def test_ctrl_c_keeps_what_there_is():
    class Impatient:
        def on_step(self, loop):
            if loop.step == 5:
                raise KeyboardInterrupt

    trainer = training.Trainer(steps=50, callbacks=(Impatient(),))
    with pytest.warns(seqkit.ConvergenceWarning, match="interrupted"):
        model = seqkit.TDNN(6, 2, hidden=(8,), ensemble=3, trainer=trainer).fit(monthly())
    assert model.interrupted_ and np.isfinite(model.predict(2).mean).all()
