"""Conformal intervals hold what they promise where the model's own do not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import seqkit

LEVELS = (50, 80, 95)


def coverage(model: seqkit.base.Forecaster, horizon: int, runs: int = 12) -> dict[int, float]:
    """Share of actual values inside the intervals at the last step of the horizon, over independent noises."""
    rng = np.random.default_rng(0)
    hits: dict[int, list[np.ndarray]] = {level: [] for level in LEVELS}
    for _ in range(runs):
        y = rng.standard_t(3, size=(310, 40))  # every channel has its own intervals
        past, future = y[:300], y[300 : 300 + horizon]
        forecast = seqkit.clone(model).fit(past).predict(horizon)
        for level in LEVELS:
            interval = forecast.interval(level)
            lo, hi = (interval.xs(side, axis=1, level=1).to_numpy()[-1] for side in ("lo", "hi"))
            hits[level].append((future[-1] >= lo) & (future[-1] <= hi))
    return {level: float(np.mean(found)) for level, found in hits.items()}


def test_covers_where_the_model_is_wrong():
    """A random walk claims errors that grow with the horizon; for noise they do not, and the tails are heavy."""
    own = coverage(seqkit.Naive(), 8)
    calibrated = coverage(seqkit.Conformal(seqkit.Naive(), windows=40), 8)
    for level in LEVELS:
        noise = 3 * np.sqrt(level / 100 * (1 - level / 100) / 480)
        assert abs(calibrated[level] - level / 100) < noise + 0.02
        assert own[level] > level / 100 + 0.04


def test_interval_is_the_quantile_of_past_errors():
    """With a known error sequence the interval can be read off by hand."""
    y = np.random.default_rng(1).normal(size=90)
    model = seqkit.Conformal(seqkit.Mean(), windows=1000).fit(y)
    past = seqkit.Mean().fit(y[:60])
    claimed = past.predict(1).scale.iloc[0]
    sizes = np.sort(np.abs(y[60:] - past.predict(1).mean.iloc[0])) / claimed  # 30 past errors
    final = seqkit.Mean().fit(y).predict(1)
    interval = model.predict(1).interval(100 * 24 / 31)
    reach = final.scale.iloc[0] * sizes[23]
    np.testing.assert_allclose(interval.hi - final.mean, reach, rtol=1e-9, atol=0)
    np.testing.assert_allclose(final.mean - interval.lo, reach, rtol=1e-9, atol=0)


def test_update_moves_the_window_of_past_errors():
    rng = np.random.default_rng(2)
    model = seqkit.Conformal(seqkit.Naive()).fit(rng.normal(size=300))
    before = model.predict(1).interval(80)
    model.update(10 * rng.normal(size=100))  # wilder: the last third of the errors is now large
    after = model.predict(1).interval(80)
    assert float((after.hi - after.lo).iloc[0]) > 3 * float((before.hi - before.lo).iloc[0])


def test_a_horizon_beyond_the_calibration_is_refused():
    model = seqkit.Conformal(seqkit.Mean()).fit(np.random.default_rng(3).normal(size=60))
    with pytest.raises(
        ValueError, match=r"a horizon of 19 leaves 2 past forecasts .* give a longer"
    ):
        model.predict(19)
    with pytest.raises(ValueError, match="at least 30 steps"):
        seqkit.Conformal(seqkit.Mean()).fit(np.zeros(29) + np.arange(29))


def test_covariates_of_a_named_series_reach_the_wrapped_model():
    y = seqkit.datasets.load("airline")
    inputs = pd.DataFrame(
        {"step": np.arange(146.0) % 5}, index=pd.date_range("1949-01-01", periods=146, freq="MS")
    )
    model = seqkit.Conformal(seqkit.AR(2)).fit(y, covariates=inputs)
    plain = seqkit.AR(2).fit(y, covariates=inputs).predict(2, covariates=inputs)
    np.testing.assert_allclose(model.predict(2, covariates=inputs).median, plain.median, rtol=1e-9)
    panel = seqkit.Conformal(seqkit.AR(2)).fit({"a": y, "b": y[:100]}, covariates=inputs)
    assert np.isfinite(panel.predict(2, covariates=inputs).median).all()


def test_part_of_a_panel_can_be_updated():
    y = seqkit.datasets.load("airline")
    model = seqkit.Conformal(seqkit.AR(2)).fit({"a": y[:120], "b": y[:100]})
    after = model.update({"b": y[100:110]}).predict(1)
    assert list(after.index.get_level_values(1).strftime("%Y-%m")) == ["1959-01", "1958-03"]


def test_missing_outcomes_do_not_shrink_the_intervals():
    rng = np.random.default_rng(4)
    y = rng.standard_normal((3000, 1))
    holed = y.copy()
    holed[rng.random(3000) < 0.4] = np.nan
    whole, partly = (
        seqkit.Conformal(seqkit.Mean(), windows=900).fit(x).predict(1).interval(90)
        for x in (y, holed)
    )
    ratio = (partly.hi - partly.lo) / (whole.hi - whole.lo)
    assert abs(float(ratio.iloc[0]) - 1) < 0.08
