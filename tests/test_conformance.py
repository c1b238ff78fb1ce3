"""The contract, run over every public forecaster: verbs, index, missing values, panels, seeds, copies, files."""

from __future__ import annotations

import copy
import functools
import pickle

import numpy as np
import pandas as pd
import pytest
from conformance_models import FORECASTERS, Case

import seqkit

HORIZON = 4
cases = pytest.mark.parametrize("case", FORECASTERS.values(), ids=FORECASTERS)


def series(length: int = 96, channels: int = 1, seed: int = 0) -> pd.Series | pd.DataFrame:
    """Monthly, positive, with level, season and noise."""
    t = np.arange(length)
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(length, channels)).cumsum(0)
    season = 12 * np.sin(2 * np.pi * t / 12)
    values = 100 + 0.2 * t[:, None] + season[:, None] + noise + rng.normal(size=noise.shape)
    index = pd.date_range("2015-01-31", periods=length, freq="ME", name="month")
    if channels == 1:
        return pd.Series(values[:, 0], index=index, name="sales")
    return pd.DataFrame(values, index=index, columns=[f"c{i}" for i in range(channels)])


@functools.cache
def _fitted(case: Case) -> seqkit.base.Forecaster:
    return case.make().fit(series(channels=case.channels))


def fitted(case: Case) -> seqkit.base.Forecaster:
    """The model fitted to `series`: a copy of one that all tests share."""
    return copy.deepcopy(_fitted(case))


def with_holes(y, share: float = 0.03):
    rng = np.random.default_rng(1)
    holed = y.copy()
    holed[rng.random(y.shape) < share] = np.nan
    return holed


def numbers(forecast: seqkit.Forecast) -> np.ndarray:
    return np.concatenate([np.ravel(forecast.mean), np.ravel(forecast.quantile([0.1, 0.9]))])


@cases
def test_constructor_only_stores(case: Case):
    model = case.make()
    params = model.get_params(deep=False)
    rebuilt = type(model)(**params)
    assert all(rebuilt.get_params(deep=False)[name] is value for name, value in params.items())
    assert set(vars(model)) == set(params)
    assert rebuilt == model and seqkit.clone(model) == model
    name, value = next(iter(params.items()))
    assert rebuilt.set_params(**{name: value}) is rebuilt
    with pytest.raises(ValueError, match="has no parameter 'nonsense'"):
        model.set_params(nonsense=1)
    with pytest.raises(seqkit.NotFittedError, match="call fit"):
        model.predict(1)
    assert not hasattr(model, "log_likelihood_")


@cases
def test_scikit_learn_can_clone(case: Case):
    clone = pytest.importorskip("sklearn.base").clone
    model = case.make()
    assert clone(model) == model


@cases
def test_forecast_continues_the_calendar(case: Case):
    y = series(channels=case.channels)
    before = y.copy(deep=True)
    model = case.make()
    assert model.fit(y) is model
    pd.testing.assert_series_equal(y, before) if case.channels == 1 else (
        pd.testing.assert_frame_equal(y, before)
    )
    forecast = model.predict(HORIZON)
    expected = pd.date_range("2023-01-31", periods=HORIZON, freq="ME", name="month")
    pd.testing.assert_index_equal(forecast.index, expected)
    frame = forecast.to_frame(level=(80, 95))
    assert np.isfinite(frame.to_numpy()).all()
    if case.channels == 1:
        assert list(frame) == ["mean", "lo-95", "lo-80", "hi-80", "hi-95"]
        assert forecast.mean.name == "sales"
        frame = frame[["lo-95", "lo-80", "hi-80", "hi-95"]]
        assert (np.diff(frame.to_numpy(), axis=1) > 0).all()
    assert forecast.sample(5, seed=0).equals(forecast.sample(5, seed=0))
    actual = forecast.mean + 1.0
    assert np.isfinite(np.ravel(forecast.crps(actual))).all()
    assert np.isfinite(np.ravel(forecast.log_prob(actual))).all()
    assert "fitted to 96 steps" in repr(model)


@cases
def test_same_data_same_model(case: Case):
    y = series(channels=case.channels)
    twice = case.make().fit(series(seed=5, channels=case.channels)).fit(y)
    once = fitted(case)
    assert once == twice
    np.testing.assert_array_equal(numbers(once.predict(HORIZON)), numbers(twice.predict(HORIZON)))


@cases
def test_array_period_and_frame_agree(case: Case):
    y = series(channels=case.channels)
    reference = numbers(fitted(case).predict(HORIZON))
    periods = y.to_period("M")
    forecast = case.make().fit(periods).predict(HORIZON)
    assert isinstance(forecast.index, pd.PeriodIndex) and forecast.index[0] == pd.Period("2023-01")
    np.testing.assert_allclose(numbers(forecast), reference, rtol=1e-12, atol=0)
    if case.channels == 1:
        frame = case.make().fit(y.to_frame()).predict(HORIZON)
        np.testing.assert_allclose(numbers(frame), reference, rtol=1e-12, atol=0)
    model = case.make()
    if "season" not in model.get_params():  # an array has no calendar to take a season from
        array = model.fit(y.to_numpy()).predict(HORIZON)
        assert list(array.index) == list(range(96, 96 + HORIZON))
        np.testing.assert_allclose(numbers(array), reference, rtol=1e-12, atol=0)


@cases
def test_missing_values(case: Case):
    y = with_holes(series(channels=case.channels))
    if not case.missing:
        with pytest.raises(ValueError, match="missing"):
            case.make().fit(y)
        return
    model = case.make().fit(y)
    assert np.isfinite(numbers(model.predict(HORIZON))).all()
    assert np.isfinite(model.score(y))
    dropped = (
        model.fit(y.dropna()) if case.channels == 1 else model
    )  # holes in the calendar are the same
    assert np.isfinite(numbers(dropped.predict(HORIZON))).all()
    if case.channels == 1 and y.notna().to_numpy()[[0, -1]].all():
        np.testing.assert_allclose(
            numbers(dropped.predict(HORIZON)),
            numbers(case.make().fit(y).predict(HORIZON)),
            rtol=1e-9,
        )


@cases
def test_ragged_panel(case: Case):
    panel = {
        "a": series(channels=case.channels),
        "b": series(70, channels=case.channels, seed=1),
    }
    model = case.make().fit(panel)
    forecast = model.predict(HORIZON)
    assert forecast.index.names == ["series", "month"]
    assert list(forecast.index.get_level_values(0).unique()) == ["a", "b"]
    assert np.isfinite(numbers(forecast)).all()
    assert np.isfinite(model.score(panel))
    part = forecast["b"]
    assert part.index[0] == pd.Timestamp("2020-11-30")
    if not model.pooled and "bootstrap" not in model.get_params().values():
        alone = case.make().fit(panel["b"]).predict(HORIZON)
        np.testing.assert_allclose(
            np.ravel(part.mean), np.ravel(alone.mean), rtol=1e-9, atol=0
        )  # sampled families draw with a seed per series, so only what is exact is compared


@cases
def test_update_is_a_filter_without_refitting(case: Case):
    y = series(channels=case.channels)
    past, new = y.iloc[:80], y.iloc[80:]
    begun = case.make().fit(past)
    whole, pieces = copy.deepcopy(begun).update(new), copy.deepcopy(begun)
    for i in range(len(new)):
        pieces.update(new.iloc[i : i + 1])
    np.testing.assert_allclose(
        numbers(pieces.predict(HORIZON)), numbers(whole.predict(HORIZON)), rtol=1e-9, atol=0
    )
    assert whole.predict(1).index[0] == pd.Timestamp("2023-01-31")
    if not case.missing:
        return
    gap = copy.deepcopy(begun).update(new.iloc[3:])
    holes = new.copy()
    holes.iloc[:3] = np.nan
    explicit = begun.update(holes)
    np.testing.assert_allclose(
        numbers(gap.predict(HORIZON)), numbers(explicit.predict(HORIZON)), rtol=1e-9, atol=0
    )
    with pytest.raises(ValueError, match="ended at"):
        gap.update(past.iloc[-2:])


@cases
def test_score_is_in_the_callers_units(case: Case):
    y = series(channels=case.channels)
    model = fitted(case)
    score = model.score(y)
    assert model.score(y) == score
    factor = 8.0  # a power of two: exact in floating point
    scaled = case.make().fit(y * factor).score(y * factor)
    np.testing.assert_allclose(scaled, score - np.log(factor), rtol=0, atol=2e-3)
    if case.channels == 1:
        density = model.one_step(y).log_prob(y.to_numpy()[:, None])
        np.testing.assert_allclose(np.nanmean(density), score, rtol=1e-12)


@cases
def test_saved_without_pickle_and_equal(case: Case, tmp_path):
    model = fitted(case)
    path = model.save(tmp_path / "model.seqkit")
    loaded = seqkit.load(path)
    assert loaded == model and repr(loaded) == repr(model)
    np.testing.assert_array_equal(numbers(loaded.predict(3)), numbers(model.predict(3)))
    assert loaded.update(series(99, channels=case.channels).iloc[96:]).predict(1).horizon == 1
    assert loaded != model
    assert pickle.loads(pickle.dumps(model)) == model  # for joblib's workers


@cases
def test_hard_series(case: Case):
    index = pd.date_range("2020-01-31", periods=60, freq="ME")
    shape = (60,) if case.channels == 1 else (60, case.channels)
    wrap = pd.Series if case.channels == 1 else pd.DataFrame
    constant = case.make().fit(wrap(np.full(shape, 7.0), index=index)).predict(HORIZON)
    np.testing.assert_allclose(np.ravel(constant.mean), 7.0, rtol=1e-3)
    assert np.isfinite(numbers(constant)).all()
    with pytest.raises(ValueError, match=r"at least|too few|needs|more than|steps"):
        case.make().fit(wrap(np.ones(shape)[:1], index=index[:1]))
    outlier = series(channels=case.channels)
    outlier.iloc[50] = 1e6
    assert np.isfinite(numbers(case.make().fit(outlier).predict(HORIZON))).all()


def test_grid_search():
    search = pytest.importorskip("sklearn.model_selection")
    y = series(120).to_numpy()
    folds = search.TimeSeriesSplit(3)
    grid = search.GridSearchCV(seqkit.AR(1), {"order": [1, 2, 12], "trend": ["n", "c"]}, cv=folds)
    grid.fit(y)
    by_hand = [
        np.mean([seqkit.AR(p, trend=t).fit(y[a]).score(y[b]) for a, b in folds.split(y)])
        for p in (1, 2, 12)
        for t in ("n", "c")
    ]
    np.testing.assert_allclose(grid.cv_results_["mean_test_score"], by_hand, rtol=1e-12, atol=0)
    assert grid.best_estimator_.predict(3).horizon == 3
