"""ARIMA against R's published automatic fits and statsmodels."""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from seqkit import AutoARIMA
from seqkit.kernels.stl import stl
from seqkit.models.autoregression import _arima_fit as arima
from seqkit.models.autoregression import _arima_state as space
from seqkit.models.autoregression._arima_order import (
    Order,
    admissible,
    difference,
    least_root,
    polynomials,
)
from seqkit.models.autoregression._arima_search import fill, kpss, seasonal_strength

DATASETS = Path(__file__).parents[1] / "datasets"


def column(name: str) -> np.ndarray:
    return pd.read_csv(DATASETS / f"{name}.csv").iloc[:, -1].to_numpy(float)


@pytest.fixture(scope="module")
def airline() -> np.ndarray:
    return column("airline")


@pytest.fixture(scope="module")
def nile() -> np.ndarray:
    return column("nile")


def test_airline_is_the_published_automatic_fit(airline):
    """R: auto.arima(AirPassengers), Hyndman & Khandakar's own example."""
    model = AutoARIMA(season=12).fit(airline)
    assert model.form_ == "ARIMA(2,1,1)(0,1,0)[12]"
    assert model.log_likelihood_ == pytest.approx(-504.92, abs=0.01)
    assert model.states_[0][0].aicc == pytest.approx(1018.17, abs=0.01)
    expected = {"ar1": 0.5960, "ar2": 0.2143, "ma1": -0.9819}
    assert model.parameters_ == pytest.approx(expected, abs=1e-3)
    np.testing.assert_allclose(model.predict(3).mean, [445.6349, 420.3950, 449.1983], rtol=1e-5)


def test_log_airline_is_the_airline_model(airline):
    model = AutoARIMA(season=12).fit(np.log(airline))
    assert model.form_ == "ARIMA(0,1,1)(0,1,1)[12]"
    assert model.log_likelihood_ == pytest.approx(244.6965, abs=1e-3)  # Box & Jenkins' series G
    expected = {"ma1": -0.4018, "seasonal_ma1": -0.5569}
    assert model.parameters_ == pytest.approx(expected, abs=1e-3)


def sarimax(y, order: Order, **options):
    module = pytest.importorskip("statsmodels.tsa.statespace.sarimax")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        o = order
        return module.SARIMAX(
            y,
            order=(o.p, o.d, o.q),
            seasonal_order=(o.P, o.D, o.Q, o.m if o.P + o.D + o.Q else 0),
            **options,
        )


ORDERS = [
    (Order(1, 0, 0), [0.5]),
    (Order(2, 1, 1), [0.5, -0.3, 0.4]),
    (Order(0, 2, 2), [-0.5, 0.2]),
    (Order(0, 1, 1, 0, 1, 1, 12), [-0.4, -0.5]),
    (Order(1, 1, 1, 1, 1, 2, 12), [0.3, -0.4, 0.2, -0.5, 0.1]),
    (Order(1, 0, 1, 1, 0, 1, 12), [0.3, 0.4, 0.6, -0.2]),
]


@pytest.mark.parametrize("order, x", ORDERS, ids=lambda p: getattr(p, "name", ""))
def test_exact_likelihood_equals_statsmodels(order, x, airline):
    """Against the innovations algorithm on the differenced series (Brockwell & Davis 1991)."""
    innovations = pytest.importorskip("statsmodels.tsa.innovations.arma_innovations")
    y = np.log(airline) - 5
    w = difference(y, order)
    fit = arima.exact(y, order, np.array(x))
    ar, ma = polynomials(order, np.array(x))
    expected = innovations.arma_loglike(w, -ar[1:], ma[1:], fit.sigma2)
    assert fit.log_likelihood == pytest.approx(expected, rel=1e-9)
    plain = arima.exact(w, dataclasses.replace(order, d=0, D=0), np.array(x))
    assert plain.log_likelihood == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("order, x", ORDERS, ids=lambda p: getattr(p, "name", ""))
def test_exact_likelihood_with_gaps_equals_statsmodels(order, x, airline):
    y = np.log(airline) - 5
    y[[20, 40, 41, 42, 90, 143]] = np.nan
    fit = arima.exact(y, order, np.array(x))
    # After the rows lost to differencing, statsmodels' approximate diffuse start has died out.
    value = sarimax(y, order).loglike([*x, fit.sigma2])
    assert fit.log_likelihood == pytest.approx(value, abs=2e-3)


@pytest.mark.parametrize("order, x", ORDERS, ids=lambda p: getattr(p, "name", ""))
def test_forecasts_equal_statsmodels(order, x, airline):
    y = np.log(airline) - 5
    y[[40, 90, 142]] = np.nan
    s = space.system(order, np.array(x), 0.002)
    mean, cov = space.start(s, y[: order.lost], y[~np.isnan(y)].std())
    _, _, mean, cov = space.run(s, y[order.lost :], mean, cov)
    means, factor = space.ahead(s, mean, cov, 24)
    theirs = sarimax(y, order).smooth([*x, 0.002]).get_forecast(24)
    np.testing.assert_allclose(means, theirs.predicted_mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(np.sum(factor**2, 1), theirs.var_pred_mean, rtol=1e-4)


def test_a_missing_first_value_is_vague_not_known(airline):
    y = np.log(airline)
    y[3] = np.nan
    model = AutoARIMA(order=(0, 1, 1), seasonal_order=(0, 1, 1, 12)).fit(y)
    complete = AutoARIMA(order=(0, 1, 1), seasonal_order=(0, 1, 1, 12)).fit(np.log(airline))
    np.testing.assert_allclose(model.predict(12).mean, complete.predict(12).mean, atol=0.01)
    replayed = model._replay(model.states_[0][0], y[:, None], 0)
    assert np.isnan(replayed.mean[:13]).all()
    assert np.isnan(replayed.mean[15])  # the first row that needs the third
    assert np.nanmax(replayed.scale) < 0.2


def test_update_equals_filtering_everything(airline):
    y = np.log(airline)
    model = AutoARIMA(order=(2, 1, 1), seasonal_order=(1, 0, 1), season=12).fit(y[:100])
    state = model.states_[0][0]
    far = model._advance(state, y[100:, None])
    parts = state
    for row in y[100:, None, None]:
        parts = model._advance(parts, row)
    np.testing.assert_allclose(parts.mean, far.mean, rtol=1e-9)
    one_step = model._replay(state, y[:, None], 0).mean[100, 0]
    assert model._ahead(state, 1).mean[0, 0] == pytest.approx(one_step, rel=1e-6)
    after = model._ahead(model._advance(state, y[100:110, None]), 1).mean[0, 0]
    assert after == pytest.approx(model._replay(state, y[:, None], 0).mean[110, 0], rel=1e-6)


def test_least_squares_jacobian(airline):
    order = Order(2, 0, 1, 1, 0, 2, 12, True)
    w, x = (
        difference(np.log(airline), Order(0, 1, 0)),
        np.array([0.3, 0.2, -0.3, 0.2, 0.1, -0.4, 0.01]),
    )
    for burn in (0, 14):
        _, jacobian = arima.conditional_errors(w, order, x, burn)
        numeric = [
            (
                arima.conditional_errors(w, order, x + h, burn)[0]
                - arima.conditional_errors(w, order, x - h, burn)[0]
            )
            / 2e-6
            for h in 1e-6 * np.eye(7)
        ]
        np.testing.assert_allclose(jacobian.T, numeric, atol=1e-6)


def test_admissible_region_is_that_of_the_roots():
    rng = np.random.default_rng(0)
    order = Order(3, 0, 0)
    for x in rng.uniform(-1.5, 1.5, (300, 3)):
        assert admissible(order, x) == (least_root(order, x) > 1)


def test_stl_equals_statsmodels(airline):
    seasonal = pytest.importorskip("statsmodels.tsa.seasonal")
    for y, m in ((airline, 12), (airline[:30], 12), (airline[:37], 4), (airline, 7)):
        theirs = seasonal.STL(y, period=m, seasonal=11).fit()
        trend, season, rest = stl(y, m)
        np.testing.assert_allclose(trend, theirs.trend, rtol=1e-9)
        np.testing.assert_allclose(season, theirs.seasonal, atol=1e-8)
        np.testing.assert_allclose(trend + season + rest, y, rtol=1e-12)
    assert seasonal_strength(airline, 12) > 0.9
    assert seasonal_strength(np.arange(40.0), 12) == 0.0


def test_kpss_equals_statsmodels(nile):
    tools = pytest.importorskip("statsmodels.tsa.stattools")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = tools.kpss(nile, regression="c", nlags=int(3 * np.sqrt(100) / 13))[0]
    assert kpss(nile) == pytest.approx(theirs, rel=1e-10)
    assert kpss(np.full(20, 3.0)) == 0.0


def test_filling_respects_the_season():
    wave = np.tile([1.0, 5.0, 2.0, 0.0], 10)
    holes = wave.copy()
    holes[[9, 22, 23]] = np.nan
    np.testing.assert_allclose(fill(holes, 4), wave, atol=0.4)


def test_arima_on_easy_and_short_series():
    steady = AutoARIMA(season=12).fit(np.full(30, 5.0))
    np.testing.assert_allclose(steady.predict(3).mean, 5.0)
    line = AutoARIMA(season=1).fit(np.arange(40.0))
    np.testing.assert_allclose(line.predict(3).mean, [40, 41, 42], rtol=1e-6)
    assert np.all(line.predict(3).distribution.scale > 0)
    with pytest.raises(ValueError, match="at least 5 observed values, got 3"):
        AutoARIMA().fit(np.arange(3.0))
    with pytest.raises(ValueError, match="observed values, got 15"):
        AutoARIMA(order=(0, 1, 1), seasonal_order=(0, 1, 1, 12)).fit(np.arange(15.0))
    for wrong in ({"order": (1, 0)}, {"seasonal_order": (1, 0, 0)}, {"ic": "hqic"}):
        with pytest.raises(ValueError, match=r"order|ic"):
            AutoARIMA(**wrong).fit(np.arange(30.0))
    with pytest.raises(ValueError, match="season of 2 or more"):
        AutoARIMA(season=1, order=(1, 0, 0), seasonal_order=(1, 0, 0)).fit(np.arange(30.0))


def test_full_search_finds_at_least_as_good(nile):
    full = AutoARIMA(season=1, stepwise=False, max_p=2, max_q=2).fit(nile)
    stepwise = AutoARIMA(season=1, max_p=2, max_q=2).fit(nile)
    assert full.states_[0][0].aicc <= stepwise.states_[0][0].aicc + 1e-6
    assert stepwise.form_ == "ARIMA(1,1,1)"  # as R's auto.arima(Nile)
