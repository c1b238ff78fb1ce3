"""Seasonality, exponential smoothing and Theta against the book and statsmodels."""

from __future__ import annotations

import dataclasses
import warnings
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from seqkit import ETS, Theta
from seqkit.data.calendar import Calendar
from seqkit.distributions import Empirical, JointNormal
from seqkit.kernels.seasonality import (
    is_multiplicative,
    is_seasonal,
    remove_season,
    restore_season,
    seasonal_indices,
)
from seqkit.kernels.smoothing import (
    Coefficients,
    Likelihood,
    log_likelihood,
    response,
    simulate,
    smooth,
)
from seqkit.models.local import period_of
from seqkit.models.smoothing._ets_fit import Form, fit_form

DATASETS = Path(__file__).parents[1] / "datasets"
FORMS = [Form(e, t, s) for e, t, s in product("AM", ("N", "A", "Ad"), "NAM")]


def column(name: str) -> np.ndarray:
    return pd.read_csv(DATASETS / f"{name}.csv").iloc[:, -1].to_numpy(float)


@pytest.fixture(scope="module")
def airline() -> np.ndarray:
    return column("airline")


@pytest.fixture(scope="module")
def nile() -> np.ndarray:
    return column("nile")


# ---------------------------------------------------------------- seasonality


def test_seasonal_indices_equal_statsmodels(airline):
    seasonal = pytest.importorskip("statsmodels.tsa.seasonal")
    for y, m in ((airline, 12), (airline[:100], 12), (airline, 7)):
        for kind, flag in (("multiplicative", True), ("additive", False)):
            expected = seasonal.seasonal_decompose(y, model=kind, period=m).seasonal[:m]
            np.testing.assert_allclose(
                seasonal_indices(y, m, multiplicative=flag), expected, rtol=1e-10
            )


def test_seasonality_test_by_its_definition(airline):
    r = [
        np.sum((airline[k:] - airline.mean()) * (airline[: len(airline) - k] - airline.mean()))
        / np.sum((airline - airline.mean()) ** 2)
        for k in range(1, 13)
    ]
    limit = 1.645 * np.sqrt((1 + 2 * np.sum(np.square(r[:11]))) / len(airline))
    assert is_seasonal(airline, 12) == (abs(r[11]) > limit)
    noise = np.random.default_rng(0).normal(size=200)
    assert not is_seasonal(noise, 12)
    assert is_seasonal(noise + 3 * np.sin(np.arange(200) * np.pi / 6), 12)


def test_seasonality_refuses_what_it_cannot_judge():
    wave = np.tile([1.0, 2.0, 3.0, 4.0], 10)
    assert is_seasonal(wave, 4)
    assert not is_seasonal(wave[:11], 4)  # fewer than three seasons
    assert not is_seasonal(wave, 1)
    assert not is_seasonal(np.full(40, 7.3), 4)
    with pytest.raises(ValueError, match="two seasons"):
        seasonal_indices(wave[:7], 4)


def test_seasonality_with_missing_and_negative_values():
    wave = np.tile([1.0, 2.0, 3.0, 2.0], 12)
    holes = wave.copy()
    holes[[3, 10, 11, 30]] = np.nan
    assert is_seasonal(holes, 4)
    np.testing.assert_allclose(seasonal_indices(holes, 4), seasonal_indices(wave, 4), atol=0.1)
    assert is_multiplicative(holes)
    assert not is_multiplicative(wave - 1)
    shifted = seasonal_indices(wave - 2, 4)
    np.testing.assert_allclose(shifted, [-1, 0, 1, 0], atol=1e-12)
    back = restore_season(remove_season(holes, shifted, False, start=3), shifted, False, start=3)
    np.testing.assert_allclose(back, holes, rtol=1e-12)


def test_season_is_asked_for_or_taken_from_the_calendar():
    monthly = Calendar(pd.date_range("2000", periods=3, freq="MS"), pd.offsets.MonthBegin())
    assert period_of(None, monthly) == 12
    assert period_of(4, monthly) == 4
    for bad in (0, -1, 2.5, True):
        with pytest.raises(ValueError, match="season must be"):
            period_of(bad, monthly)


# ---------------------------------------------------------------- the recursion


def by_the_book(y, form, alpha, beta, gamma, phi, level, slope, season):
    """Hyndman et al. (2008), tables 2.2 and 2.3, cell by cell; no error where y is missing."""
    s, means = list(season), []
    for value in y:
        q, old = level + phi * slope, s[0]
        mean = {"N": q, "A": q + old, "M": q * old}[form.season]
        means.append(mean)
        if form.error == "A":
            e = 0.0 if np.isnan(value) else value - mean
            k, ks = (old, q) if form.season == "M" else (1.0, 1.0)
            level, slope, new = q + alpha * e / k, phi * slope + beta * e / k, old + gamma * e / ks
        else:
            e = 0.0 if np.isnan(value) else (value - mean) / mean
            if form.season == "A":
                level = q + alpha * mean * e
                slope = phi * slope + beta * mean * e
                new = old + gamma * mean * e
            else:
                level, slope = q * (1 + alpha * e), phi * slope + beta * q * e
                new = old * (1 + gamma * e)
        s = [*s[1:], new]
    return np.array(means), level, slope, np.array(s)


def parameters(form: Form, y: np.ndarray) -> tuple[Coefficients, float, float, np.ndarray]:
    season = 1 + 0.1 * np.sin(np.arange(12))
    if form.season != "M":
        season = 200 * (season - 1) if form.season == "A" else np.zeros(1)
    c = Coefficients(
        0.4,
        0.05 if form.trend != "N" else 0.0,
        0.2 if form.season != "N" else 0.0,
        0.9 if form.trend == "Ad" else 1.0,
        form.season == "M",
    )
    return c, float(y[:12].mean()), 2.0 if form.trend != "N" else 0.0, season


@pytest.mark.parametrize("form", FORMS, ids=lambda f: f.name)
def test_recursion_is_the_book_s(form, airline):
    y = airline.copy()
    y[[0, 20, 21, 143]] = np.nan
    c, level, slope, season = parameters(form, y[1:])
    expected = by_the_book(y, form, c.alpha, c.beta, c.gamma, c.phi, level, slope, season)
    s = smooth(y, c, level, slope, season)
    assert s.valid
    np.testing.assert_allclose(s.means, expected[0], rtol=1e-12)
    np.testing.assert_allclose([s.level, s.slope], expected[1:3], rtol=1e-12)
    np.testing.assert_allclose(s.season, expected[3], rtol=1e-12, atol=1e-12)


def test_recursion_in_two_parts_is_the_recursion(airline):
    c, *start = parameters(Form("A", "Ad", "M"), airline)
    whole, first = smooth(airline, c, *start), smooth(airline[:50], c, *start)
    second = smooth(airline[50:], c, first.level, first.slope, first.season)
    np.testing.assert_array_equal(np.r_[first.means, second.means], whole.means)
    np.testing.assert_array_equal(second.season, whole.season)


def statsmodels_ets(y, form, m):
    ets = pytest.importorskip("statsmodels.tsa.exponential_smoothing.ets")
    words = {"A": "add", "M": "mul", "N": None, "Ad": "add"}
    return ets.ETSModel(
        y,
        error=words[form.error],
        trend=words[form.trend],
        damped_trend=form.trend == "Ad",
        seasonal=words[form.season],
        seasonal_periods=m if form.season != "N" else None,
    )


@pytest.mark.parametrize("form", FORMS, ids=lambda f: f.name)
def test_likelihood_and_forecasts_equal_statsmodels(form, airline):
    c, level, slope, season = parameters(form, airline)
    if form.season == "M":
        # statsmodels divides the seasonal correction by the new level, the book by the old one;
        # without correction they are the same model.
        c = dataclasses.replace(c, gamma=0.0)
    given = {"alpha": c.alpha, "beta": c.beta, "gamma": c.gamma, "phi": c.phi}
    x = [given[name] for name in form.smoothing()] + [level]
    x += [slope] * (form.trend != "N")
    x += list(season[::-1]) if form.season != "N" else []
    model = statsmodels_ets(airline, form, 12)
    s = smooth(airline, c, level, slope, season)
    ours = log_likelihood(airline, s.means, relative=form.error == "M")
    np.testing.assert_allclose(ours, model.loglike(np.array(x)), rtol=1e-10)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = model.smooth(np.array(x))
        np.testing.assert_allclose(s.means, result.fittedvalues, rtol=1e-8)
        ahead = smooth(np.full(24, np.nan), c, s.level, s.slope, s.season).means
        np.testing.assert_allclose(ahead, result.forecast(24), rtol=1e-8)


@pytest.mark.parametrize("form", FORMS, ids=lambda f: f.name)
def test_gradient_is_that_of_the_likelihood(form, airline):
    y = airline / 100
    y[[5, 70]] = np.nan
    c, level, slope, season = parameters(form, airline)
    m = len(season)
    states = np.r_[level / 100, slope / 100, season if form.season == "M" else season / 100]
    offset, steps = np.r_[np.zeros(4), states], np.r_[np.ones(4), 1.0, 0.1, np.full(m, 0.2)]
    likelihood = Likelihood(
        y, offset, steps, multiplies=form.season == "M", relative=form.error == "M"
    )
    x = np.r_[c.alpha, 0.2, 0.3, c.phi, 0.1, -0.1, 0.1 * np.cos(np.arange(m))]
    _, gradient = likelihood(x)
    h = 1e-6
    numeric = [
        (likelihood(x + h * unit)[0] - likelihood(x - h * unit)[0]) / (2 * h)
        for unit in np.eye(len(x))
    ]
    np.testing.assert_allclose(gradient, numeric, rtol=1e-5, atol=1e-4)


def test_inadmissible_points_are_infinite(airline):
    offset, steps = np.zeros(18), np.ones(18)
    likelihood = Likelihood(airline, offset, steps, multiplies=True, relative=True)
    x = np.r_[0.5, 0.1, 0.1, 1.0, -100.0, 0.0, np.ones(12)]
    assert likelihood(x)[0] == np.inf


# ---------------------------------------------------------------- ETS


@pytest.mark.parametrize(
    "series, form",
    [
        ("airline", Form("A", "A", "A")),
        ("airline", Form("M", "A", "A")),
        ("airline", Form("A", "Ad", "N")),
        ("nile", Form("A", "N", "N")),
        ("nile", Form("M", "N", "N")),
        ("nile", Form("A", "Ad", "N")),
    ],
    ids=lambda p: getattr(p, "name", p),
)
def test_maximum_is_no_lower_than_statsmodels(series, form, request):
    y = request.getfixturevalue(series)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = statsmodels_ets(y, form, 12).fit(disp=0).llf
    assert fit_form(y, form, 12).log_likelihood >= theirs - 1e-3


def test_fit_stays_in_the_usual_region(airline):
    for form in FORMS:
        c = fit_form(airline, form, 12).coefficients
        assert 0 < c.alpha < 1
        assert 0 <= c.beta < c.alpha
        assert 0 <= c.gamma < 1 - c.alpha
        assert c.phi == 1.0 if form.trend != "Ad" else 0.8 <= c.phi <= 0.98


def test_ets_takes_the_form_with_the_least_criterion(airline):
    model = ETS(season=12).fit(airline)
    forms = [f for f in FORMS if not (f.error == "A" and f.season == "M")]
    fits = [fit_form(airline, f, 12) for f in forms]
    best = min(fits, key=lambda fit: fit.criterion("aicc"))
    assert model.form_ == best.form.name
    assert model.log_likelihood_ == pytest.approx(best.log_likelihood)
    k = len(model.parameters_) + 2 + 11 + 1  # smoothing, level and slope, season, variance
    assert model.aic_ == pytest.approx(-2 * model.log_likelihood_ + 2 * k)
    assert model.bic_ == pytest.approx(model.aic_ + k * (np.log(144) - 2))


def test_ets_options_narrow_the_choice(airline):
    assert ETS(season=12, error="add", trend=None, seasonal=None).fit(airline).form_ == "ETS(A,N,N)"
    model = ETS(season=12, error="add", trend="damped", seasonal="mul").fit(airline)
    assert model.form_ == "ETS(A,Ad,M)"
    assert set(model.parameters_) == {"alpha", "beta", "gamma", "phi"}
    for name in ("error", "trend", "seasonal", "ic"):
        with pytest.raises(ValueError, match=f"{name} must be one of"):
            ETS(**{name: "wrong"}).fit(airline)


def test_additive_forecast_variance_is_table_6_1(airline):
    model = ETS(season=12, error="add", trend="damped", seasonal="add").fit(airline)
    state = model.states_[0][0]
    h, a, b, g, phi = np.arange(1, 30), state.alpha, state.beta, state.gamma, state.phi
    c = [a + b * phi * (1 - phi**j) / (1 - phi) + g * (j % 12 == 0) for j in range(1, 30)]
    variance = state.sigma**2 * np.array([1 + np.sum(np.square(c[: k - 1])) for k in h])
    distribution = model.predict(29).distribution
    assert isinstance(distribution, JointNormal)
    np.testing.assert_allclose(distribution.var[0, :, 0], variance, rtol=1e-10)


def test_simulation_agrees_with_the_exact_variance():
    c = Coefficients(0.3, 0.1, 0.2, 0.9)
    season = np.array([1.0, -1.0, 0.0])
    noise = np.random.default_rng(0).standard_normal((40_000, 8))
    paths = simulate(c, 10.0, 1.0, season, noise, relative=False)
    point = smooth(np.full(8, np.nan), c, 10.0, 1.0, season).means
    np.testing.assert_allclose(paths.mean(0), point, atol=0.04)
    expected = 1 + np.r_[0, np.cumsum(response(c, 3, 8) ** 2)]
    np.testing.assert_allclose(paths.var(0), expected, rtol=0.03)


def test_multiplicative_forecasts_are_reproducible_paths(airline):
    model = ETS(season=12, error="mul", seasonal="mul", paths=500).fit(airline)
    first, again = model.predict(24), model.predict(24)
    assert isinstance(first.distribution, Empirical)
    np.testing.assert_array_equal(first.distribution.samples, again.distribution.samples)
    state = model.states_[0][0]
    start = (state.level, state.slope, state.season)
    point = smooth(np.full(24, np.nan), state.coefficients, *start).means
    np.testing.assert_allclose(first.mean, point, rtol=1e-9)
    panel = ETS(season=12, error="mul", paths=50).fit({"a": airline, "b": airline + 1.0})
    samples = panel.predict(2).distribution.samples[:, :, 0, 0]
    assert abs(np.corrcoef(samples.T)[0, 1]) < 0.5  # series do not share their errors


def test_missing_values_carry_the_state_forward(airline):
    y = airline.copy()
    y[[0, 1, 50, 51, 52, 143]] = np.nan
    model = ETS(season=12).fit(y)
    assert np.isfinite(model.score(y))
    forecast = model.predict(12).mean
    np.testing.assert_allclose(forecast, ETS(season=12).fit(airline).predict(12).mean, rtol=0.1)


def test_constant_zero_and_negative_series(airline):
    for y in (np.full(30, 5.0), np.zeros(30)):
        model = ETS(season=12).fit(y)
        assert model.form_ == "ETS(A,N,N)"
        np.testing.assert_allclose(model.predict(3).mean, y[:3], atol=1e-6)
        assert np.all(model.predict(3).distribution.scale > 0)
    assert ETS(season=12).fit(-airline).form_.startswith("ETS(A,")
    with pytest.raises(ValueError, match="above zero"):
        ETS(season=12, seasonal="mul").fit(-airline)


def test_ets_says_what_it_needs():
    with pytest.raises(ValueError, match="at least 3 observed values, got 2"):
        ETS().fit(np.array([1.0, 2.0]))
    with pytest.raises(ValueError, match="at least 24 observed values, got 20"):
        ETS(season=12, trend=None, seasonal="add").fit(np.arange(20.0))
    with pytest.raises(ValueError, match="season of 2 or more"):
        ETS(season=1, seasonal="add").fit(np.arange(20.0))
    assert ETS(season=12).fit(np.array([3.0, 1.0, 2.0])).form_ == "ETS(A,N,N)"


def test_units_do_not_matter(airline):
    plain = ETS(season=12).fit(airline)
    for factor in (1e-9, 1e9):
        scaled = ETS(season=12).fit(airline * factor)
        assert scaled.form_ == plain.form_
        expected = plain.predict(6).mean * factor
        np.testing.assert_allclose(scaled.predict(6).mean, expected, rtol=1e-5)


# ---------------------------------------------------------------- Theta


def test_theta_is_the_average_of_its_lines(nile):
    model = Theta(season=1).fit(nile)
    slope, intercept = np.polyfit(np.arange(1, 101), nile, 1)
    line = intercept + slope * np.arange(1, 111)
    fit = fit_form(2 * nile - line[:100], Form("A", "N", "N"), 1)
    level = smooth(2 * nile - line[:100], fit.coefficients, fit.level, 0.0, fit.season).level
    forecast = model.predict(10)
    np.testing.assert_allclose(forecast.mean, (line[100:] + level) / 2, rtol=1e-10)
    variance = forecast.distribution.var[0, :, 0]
    errors = nile - model._replay(model.states_[0][0], nile[:, None], 0).mean[:, 0]
    assert variance[0] == pytest.approx(errors @ errors / (100 - 2), rel=1e-9)
    growth = 1 + np.arange(10) * fit.coefficients.alpha**2
    np.testing.assert_allclose(variance / variance[0], growth, rtol=1e-10)


def test_theta_is_smoothing_with_drift(nile):
    """Hyndman & Billah (2003), eq. 4: simple smoothing of y plus b (1 - (1 - alpha)^n) / 2 alpha."""
    model = Theta(season=1).fit(nile)
    state = model.states_[0][0]
    start = (state.initial_level + state.intercept + state.slope) / 2
    level = smooth(nile, Coefficients(state.alpha), start, 0.0, np.zeros(1)).level
    drift = state.slope * (1 - (1 - state.alpha) ** len(nile)) / (2 * state.alpha)
    assert model.predict(1).mean.iloc[0] == pytest.approx(level + drift, rel=1e-12)


def test_theta_takes_out_the_season(airline):
    model = Theta(season=12).fit(airline)
    indices = seasonal_indices(airline, 12)
    forecast = model.predict(24)
    level = forecast.mean.to_numpy() / np.tile(indices, 2)
    np.testing.assert_allclose(np.diff(level, 2), 0, atol=1e-9)
    shares = forecast.distribution.scale[0, :, 0] / np.tile(indices, 2)
    assert np.all(np.diff(shares) > 0)
    additive = Theta(season=12).fit(airline - 300)
    assert not additive.states_[0][0].multiplicative
    assert np.isfinite(additive.score(airline - 300))
    with pytest.raises(ValueError, match="at least 3"):
        Theta().fit(np.array([1.0, np.nan, 2.0]))
