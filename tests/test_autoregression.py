"""AR and VAR against closed forms, an SVD least squares, statsmodels, and each other."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import seqkit
from seqkit.kernels import autoregression as kernel

sunspots = pytest.fixture(lambda: seqkit.datasets.load("sunspots_yearly"))


@pytest.fixture
def growth() -> pd.DataFrame:
    macro = seqkit.datasets.load("us_macro")[["realgdp", "realcons", "realinv"]]
    return np.log(macro).diff().dropna()


def lag_matrix(y: np.ndarray, order: int, constant: bool = True) -> tuple[np.ndarray, np.ndarray]:
    columns = [y[order - j : len(y) - j] for j in range(1, order + 1)]
    return np.column_stack(([np.ones(len(y) - order)] if constant else []) + columns), y[order:]


# -- statsmodels -------------------------------------------------------------------------------


@pytest.mark.parametrize("season", [None, 4])
@pytest.mark.parametrize("trend", ["n", "c", "t", "ct"])
def test_ar_equals_statsmodels(sunspots, trend, season):
    ar_model = pytest.importorskip("statsmodels.tsa.ar_model")
    peer = ar_model.AutoReg(sunspots, 9, trend=trend, seasonal=season is not None, period=season)
    peer = peer.fit()
    model = seqkit.AR(9, trend=trend, season=season).fit(sunspots)
    lags = [name for name in model.coef_.index if ".L" in name]
    close = {"rtol": 1e-8, "atol": 0}
    np.testing.assert_allclose(model.coef_[lags], peer.params[lags], **close)
    np.testing.assert_allclose(model.standard_errors_[lags], peer.bse[lags], **close)
    for name in set(model.coef_.index) & {"const", "trend"}:
        np.testing.assert_allclose(model.coef_[name], peer.params[name], **close)
        np.testing.assert_allclose(model.standard_errors_[name], peer.bse[name], **close)
    np.testing.assert_allclose(model.log_likelihood_, peer.llf, **close)
    for name in ("aic", "bic", "hqic"):
        np.testing.assert_allclose(getattr(model, f"{name}_"), getattr(peer, name), **close)
    np.testing.assert_allclose(model.sigma2_, peer.sigma2, **close)
    forecast, ahead = model.predict(12), peer.get_prediction(len(sunspots), len(sunspots) + 11)
    np.testing.assert_allclose(forecast.mean, ahead.predicted_mean, **close)
    np.testing.assert_allclose(forecast.scale**2, ahead.var_pred_mean, **close)
    np.testing.assert_allclose(model.residuals_.dropna(), peer.resid, rtol=1e-8, atol=1e-9)
    box = pytest.importorskip("statsmodels.stats.diagnostic").acorr_ljungbox(peer.resid, 12)
    np.testing.assert_allclose(model.ljung_box(12).statistic, box.lb_stat, **close)


def test_var_equals_statsmodels(growth):
    api = pytest.importorskip("statsmodels.tsa.api")
    peer = api.VAR(growth.to_numpy()).fit(2, trend="c")
    model = seqkit.VAR(2).fit(growth)
    close = {"rtol": 1e-8, "atol": 1e-14}
    np.testing.assert_allclose(model.coef_, peer.params, **close)
    np.testing.assert_allclose(model.standard_errors_, peer.bse, **close)
    np.testing.assert_allclose(model.sigma_, peer.sigma_u, **close)
    np.testing.assert_allclose(model.log_likelihood_, peer.llf, **close)
    forecast = model.predict(8)
    np.testing.assert_allclose(forecast.mean, peer.forecast(growth.to_numpy()[-2:], 8), **close)
    variances = [np.diag(cov) for cov in peer.forecast_cov(8)]
    np.testing.assert_allclose(forecast.scale**2, variances, **close)
    response = model.impulse_response(6).to_numpy().reshape(7, 3, 3)
    np.testing.assert_allclose(response.transpose(0, 2, 1), peer.irf(6).irfs, **close)
    orthogonal = model.impulse_response(6, orthogonal=True).to_numpy().reshape(7, 3, 3)
    np.testing.assert_allclose(orthogonal.transpose(0, 2, 1), peer.irf(6).orth_irfs, **close)


def test_var_order_selection_equals_refitting_every_order(growth):
    model = seqkit.VAR("bic", max_order=6).fit(growth)
    rows = growth.to_numpy()
    for order in range(1, 7):
        part = seqkit.VAR(order).fit(rows[6 - order :])  # the rows common to all orders
        sigma = part.sigma_.to_numpy() * (len(rows) - 6 - 3 * order - 1) / (len(rows) - 6)
        n = len(rows) - 6
        expected = n * (np.linalg.slogdet(sigma)[1] + 3 * (1 + np.log(2 * np.pi)))
        expected += np.log(n) * 3 * (1 + 3 * order)
        np.testing.assert_allclose(model.criteria_[order], expected, rtol=1e-10, atol=0)
    assert model.order_ == model.criteria_.idxmin()


@pytest.mark.parametrize("criterion", ["aic", "bic", "hqic"])
def test_ar_order_selection_equals_statsmodels(sunspots, criterion):
    ar_model = pytest.importorskip("statsmodels.tsa.ar_model")
    peer = ar_model.ar_select_order(sunspots, 24, ic=criterion, trend="c")
    model = seqkit.AR(criterion, max_order=24).fit(sunspots)
    assert model.order_ == len(peer.ar_lags)
    theirs = {
        0 if lags == 0 else len(lags): value for lags, value in getattr(peer, criterion).items()
    }
    gap = [model.criteria_[p] - theirs[p] for p in range(1, 25)]
    np.testing.assert_allclose(np.diff(gap), 0.0, rtol=0, atol=1e-8)
    refitted = seqkit.AR(model.order_).fit(sunspots)
    np.testing.assert_allclose(model.coef_, refitted.coef_, rtol=1e-9, atol=0)
    assert model.log_likelihood_ == pytest.approx(refitted.log_likelihood_, rel=1e-11)


def test_exact_likelihood_equals_statsmodels_with_and_without_missing(sunspots):
    arima = pytest.importorskip("statsmodels.tsa.arima.model").ARIMA
    holed = sunspots.copy()
    holed.iloc[[3, 40, 41, 100, 200, -2]] = np.nan
    for y in (sunspots, holed):
        model = seqkit.AR(3, method="mle").fit(y)
        fit = model._fits[0]
        mean = fit.coef[0, 0] / (1 - fit.coef[0, 1:].sum())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            peer = arima(y, order=(3, 0, 0))
            at_ours = peer.loglike([mean, *fit.coef[0, 1:], fit.sigma[0, 0]])
            best = peer.fit(method_kwargs={"maxiter": 500}).llf
        np.testing.assert_allclose(model.log_likelihood_, at_ours, rtol=1e-8, atol=0)
        assert model.log_likelihood_ >= best - 1e-5


# -- closed forms and least squares ------------------------------------------------------------


def test_forecast_variance_of_ar1_is_geometric():
    rng = np.random.default_rng(0)
    y = rng.normal(size=500)
    for t in range(1, 500):
        y[t] += 0.8 * y[t - 1]
    model = seqkit.AR(1).fit(y)
    phi = model.coef_["y.L1"]
    h = np.arange(1, 31)
    expected = model.sigma2_ * (1 - phi ** (2 * h)) / (1 - phi**2)
    np.testing.assert_allclose(model.predict(30).scale ** 2, expected, rtol=1e-12, atol=0)
    np.testing.assert_allclose(model.impulse_response(5), phi ** np.arange(6.0), rtol=1e-12, atol=0)
    np.testing.assert_allclose(model.roots_, [1 / phi], rtol=1e-12, atol=0)


def hostile(name: str) -> np.ndarray:
    rng = np.random.default_rng(3)
    noise = rng.normal(size=2_000)
    return {
        "white noise": noise,
        "random walk far from zero": noise.cumsum() + 1e6,
        "I(2)": noise.cumsum().cumsum(),
        "nearly a sine": np.sin(np.arange(2_000) / 7) + 1e-6 * noise,
        "nearly collinear": np.sin(np.arange(2_000) / 50) * 100 + 1e-4 * noise,
    }[name]


@pytest.mark.parametrize("method", ["order", "aic"])
@pytest.mark.parametrize(
    "name",
    ["white noise", "random walk far from zero", "I(2)", "nearly a sine", "nearly collinear"],
)
def test_least_squares_is_accurate_where_normal_equations_fail(name, method):
    y = hostile(name)
    order = 6
    if method == "order":
        coef = seqkit.AR(order).fit(y).coef_.to_numpy()
    else:
        model = seqkit.AR("aic", max_order=order).fit(y)
        order, coef = model.order_, model.coef_.to_numpy()
    x, target = lag_matrix(y - y.mean(), order)
    reference = np.linalg.lstsq(x, target, rcond=None)[0]  # SVD, centred
    np.testing.assert_allclose(coef[1:], reference[1:], rtol=1e-8, atol=1e-8)


def test_exactly_singular_design_gives_the_same_fit():
    y = np.sin(np.arange(200) * 0.3)  # two lags explain it; four are collinear
    model = seqkit.AR(4, trend="n").fit(y)
    x, target = lag_matrix(y, 4, constant=False)
    np.testing.assert_allclose(x @ model.coef_.to_numpy(), target, rtol=0, atol=1e-9)
    np.testing.assert_allclose(model.predict(5).mean, np.sin(np.arange(200, 205) * 0.3), atol=1e-8)


@pytest.mark.parametrize("lags", [[1, 2, 3], [1, 12], [2, 5, 200]])
@pytest.mark.parametrize("share", [0.0, 0.05])
def test_any_lags_any_gaps_equal_plain_least_squares(lags, share):
    rng = np.random.default_rng(1)
    y = rng.normal(size=1_500).cumsum()
    x = rng.normal(size=(1_500, 2))
    y[rng.random(1_500) < share] = np.nan
    model = seqkit.AR(lags, trend="ct").fit(y, covariates=x)
    top = max(lags)
    columns = [np.ones(1_500 - top), np.arange(top, 1_500) + 1.0, *x[top:].T]
    columns += [y[top - lag : len(y) - lag] for lag in lags]
    design, target = np.column_stack(columns), y[top:]
    whole = ~(np.isnan(design).any(1) | np.isnan(target))
    expected = np.linalg.lstsq(design[whole], target[whole], rcond=None)[0]
    np.testing.assert_allclose(model.coef_, expected, rtol=1e-8, atol=1e-10)


def test_ridge_equals_scikit_learn(sunspots):
    linear = pytest.importorskip("sklearn.linear_model")
    x, target = lag_matrix(sunspots.to_numpy(), 5)
    peer = linear.Ridge(alpha=1e5, tol=1e-12).fit(x[:, 1:], target)
    model = seqkit.AR(5, ridge=1e5).fit(sunspots)
    np.testing.assert_allclose(model.coef_.iloc[1:], peer.coef_, rtol=1e-8, atol=0)
    np.testing.assert_allclose(model.coef_.iloc[0], peer.intercept_, rtol=1e-8, atol=0)


def test_levinson_solves_the_yule_walker_equations():
    rng = np.random.default_rng(2)
    c = kernel.autocovariance(rng.normal(size=400).cumsum() * 0.1, 8)
    coefs, variances = kernel.levinson(c)
    for p in range(1, 9):
        gamma = c[np.abs(np.subtract.outer(np.arange(p), np.arange(p)))]
        np.testing.assert_allclose(
            coefs[p], np.linalg.solve(gamma, c[1 : p + 1]), rtol=1e-9, atol=1e-12
        )
        np.testing.assert_allclose(variances[p], c[0] - coefs[p] @ c[1 : p + 1], rtol=1e-10, atol=0)


def test_yule_walker_and_burg_equal_statsmodels(sunspots):
    regression = pytest.importorskip("statsmodels.regression.linear_model")
    y = sunspots.to_numpy() - sunspots.mean()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        walker = regression.yule_walker(y, order=6, method="mle", demean=False)[0]
    np.testing.assert_allclose(
        seqkit.AR(6, method="yule-walker").fit(sunspots).coef_.iloc[1:], walker, rtol=1e-9, atol=0
    )
    burg = regression.burg(y, order=6, demean=False)[0]
    np.testing.assert_allclose(
        seqkit.AR(6, method="burg").fit(sunspots).coef_.iloc[1:], burg, rtol=1e-9, atol=0
    )


@pytest.mark.parametrize("trend", ["c", "ct"])
@pytest.mark.parametrize("method", ["yule-walker", "mle"])
def test_intercept_form_reproduces_the_mean(method, trend):
    """The forecast of a stationary fit tends to the fitted trend line."""
    rng = np.random.default_rng(4)
    t = np.arange(400)
    y = 5 + (0.3 * t if trend == "ct" else 0.0) + rng.normal(size=400)
    model = seqkit.AR(3, trend=trend, method=method).fit(y)
    line = np.polyfit(t, y, 1 if trend == "ct" else 0)
    np.testing.assert_allclose(
        model.predict(100).mean.iloc[-1], np.polyval(line, 499), rtol=0, atol=0.15
    )


# -- the joint Gaussian ------------------------------------------------------------------------


def ar_covariance(phi: np.ndarray, sigma2: float, length: int) -> np.ndarray:
    """Covariance of `length` successive values of a stationary AR, from its moving-average form."""
    psi = kernel.impulse_response(phi.reshape(-1, 1, 1), 4_000)[:, 0, 0]
    gamma = [sigma2 * psi[: 4_000 - j] @ psi[j:] for j in range(length)]
    return np.array(gamma)[np.abs(np.subtract.outer(np.arange(length), np.arange(length)))]


def test_missing_values_are_marginalised_exactly():
    """Forecast mean, covariance and one-step densities against conditioning in the joint Gaussian."""
    rng = np.random.default_rng(5)
    y = rng.normal(size=300).cumsum() * 0.3 + rng.normal(size=300)
    model = seqkit.AR(3, trend="n", method="yule-walker").fit(y)
    phi, sigma2 = model.coef_.to_numpy(), model.sigma2_
    x = y[:12].copy()
    x[[2, 7, 8, 10]] = np.nan
    data = seqkit.Sequences(x)
    cov = ar_covariance(phi, sigma2, 16)
    fit = model._fits[0]
    state = model._run(
        fit, model._prior(fit, np.zeros((1, 1)), 0, 0), x[:, None], None, data.calendars[0]
    )[1]
    model._memory = [state]
    forecast = model.predict(4).distribution
    seen = np.flatnonzero(~np.isnan(x))
    ahead = np.arange(12, 16)
    gain = cov[np.ix_(ahead, seen)] @ np.linalg.inv(cov[np.ix_(seen, seen)])
    np.testing.assert_allclose(forecast.mean[0, :, 0], gain @ x[seen], rtol=1e-9, atol=1e-10)
    expected = cov[np.ix_(ahead, ahead)] - gain @ cov[np.ix_(seen, ahead)]
    np.testing.assert_allclose(forecast.cov[0], expected, rtol=1e-9, atol=1e-10)
    steps = model._run(
        fit, model._prior(fit, np.zeros((1, 1)), 0, 0), x[:, None], None, data.calendars[0]
    )[0]
    for t in range(1, 12):
        past = seen[seen < t]
        weights = cov[t, past] @ np.linalg.inv(cov[np.ix_(past, past)])
        np.testing.assert_allclose(steps.mean[t, 0], weights @ x[past], rtol=1e-9, atol=1e-10)
        variance = cov[t, t] - weights @ cov[past, t]
        np.testing.assert_allclose(steps.scale[t, 0] ** 2, variance, rtol=1e-9, atol=1e-10)


def test_var_uses_the_channels_that_were_observed(growth):
    """One channel missing in the last row: its conditional normal given the others, one step on."""
    model = seqkit.VAR(1).fit(growth.iloc[:-1])
    coef, sigma = model.coef_.to_numpy().T, model.sigma_.to_numpy()
    last = growth.iloc[-1:].copy()
    last.iloc[0, 1] = np.nan
    forecast = model.update(last).predict(1).distribution
    prior = coef[:, 0] + coef[:, 1:] @ growth.iloc[-2].to_numpy()
    seen = [0, 2]
    gain = sigma[1, seen] @ np.linalg.inv(sigma[np.ix_(seen, seen)])
    state = growth.iloc[-1].to_numpy().copy()
    state[1] = prior[1] + gain @ (state[seen] - prior[seen])
    left = np.zeros((3, 3))
    left[1, 1] = sigma[1, 1] - gain @ sigma[seen, 1]
    np.testing.assert_allclose(
        forecast.mean[0, 0], coef[:, 0] + coef[:, 1:] @ state, rtol=1e-9, atol=0
    )
    expected = sigma + coef[:, 1:] @ left @ coef[:, 1:].T
    np.testing.assert_allclose(forecast.cov[0], expected, rtol=1e-9, atol=0)


# -- forecasts ---------------------------------------------------------------------------------


def test_bootstrap_agrees_with_the_normal_forecast_when_errors_are_normal():
    rng = np.random.default_rng(6)
    y = rng.normal(size=3_000)
    for t in range(2, 3_000):
        y[t] += 0.5 * y[t - 1] + 0.2 * y[t - 2]
    normal = seqkit.AR(2).fit(y).predict(8)
    sampled = seqkit.AR(2, intervals="bootstrap", draws=20_000).fit(y).predict(8)
    np.testing.assert_allclose(sampled.mean, normal.mean, rtol=0, atol=0.05)
    np.testing.assert_allclose(sampled.scale, normal.scale, rtol=0.04, atol=0)
    draws = normal.sample(40_000, seed=0).T.to_numpy()
    np.testing.assert_allclose(np.cov(draws.T), normal.distribution.cov[0], rtol=0, atol=0.06)


def test_global_model_is_least_squares_over_all_windows():
    rng = np.random.default_rng(7)
    panel = {name: rng.normal(size=n).cumsum() for name, n in (("a", 80), ("b", 50), ("c", 3))}
    model = seqkit.AR(2, panel="global").fit(panel)
    parts = [lag_matrix(y, 2) for y in panel.values()]
    x, target = np.vstack([p[0] for p in parts]), np.concatenate([p[1] for p in parts])
    expected = np.linalg.lstsq(x, target, rcond=None)[0]
    np.testing.assert_allclose(model.coef_, expected, rtol=1e-8, atol=1e-10)
    assert model.predict(3).to_frame().shape == (9, 5)


def test_covariates_carry_into_the_forecast():
    rng = np.random.default_rng(8)
    index = pd.date_range("2020-01-01", periods=210, freq="D")
    inputs = pd.DataFrame(
        {"price": rng.normal(size=210), "promo": rng.normal(size=210)}, index=index
    )
    y = pd.Series(3 * inputs.price - inputs.promo + 0.01 * rng.normal(size=210), index=index)
    model = seqkit.AR(1).fit(y.iloc[:200], covariates=inputs)
    forecast = model.predict(
        10, covariates=inputs.iloc[200:][["promo", "price"]]
    )  # any column order
    np.testing.assert_allclose(forecast.mean, y.iloc[200:], rtol=0, atol=0.06)
    assert model.coef_["price"] == pytest.approx(3, abs=0.01)


def test_summary_and_diagnostics_read_well(sunspots, growth):
    text = seqkit.AR(9).fit(sunspots).summary()
    assert "AR(9), ols" in text and "sunspots_yearly.L9" in text and "Ljung-Box" in text
    assert "stationary:      yes" in text
    assert "equation realinv" in seqkit.VAR(2).fit(growth).summary()
    model = seqkit.AR(2).fit(sunspots)
    assert model.is_stationary_ and (np.abs(model.roots_) > 1).all()
    assert not seqkit.AR(1, trend="n").fit(1.05 ** np.arange(50)).is_stationary_


def test_log_likelihood_of_a_scaled_model_counts_the_jacobian():
    y = seqkit.datasets.load("airline")
    plain = seqkit.AR(12).fit(np.log(y))
    logged = seqkit.AR(12, scale=seqkit.Log()).fit(y)
    jacobian = -np.log(y.iloc[12:]).sum()
    assert logged.log_likelihood_ == pytest.approx(plain.log_likelihood_ + jacobian, rel=1e-12)
    for scale in (
        seqkit.Log(),
        seqkit.Chain(seqkit.Log(), seqkit.Difference(12)),
        seqkit.Standard(),
    ):
        model = seqkit.AR(3, scale=scale).fit(y)
        assert model.log_likelihood_ == pytest.approx(model.log_likelihood(y), rel=1e-10)


@pytest.mark.parametrize("trend", ["n", "c"])
@pytest.mark.parametrize("order", [5, "aic", "bic", "hqic"])
def test_compiled_and_plain_least_squares_agree(order, trend, monkeypatch):
    from seqkit.models.autoregression import linear

    rng = np.random.default_rng(9)
    y = 50 + rng.normal(size=9_000)
    for t in range(3, len(y)):
        y[t] += 0.5 * (y[t - 1] - 50) - 0.3 * (y[t - 3] - 50)
    monkeypatch.setattr(linear, "COMPILED_FROM", np.inf)
    plain = seqkit.AR(order, trend=trend, max_order=12).fit(y)
    monkeypatch.setattr(linear, "COMPILED_FROM", 0)
    compiled = seqkit.AR(order, trend=trend, max_order=12).fit(y)
    assert compiled.order_ == plain.order_
    close = {"rtol": 1e-8, "atol": 0}
    np.testing.assert_allclose(compiled.coef_, plain.coef_, **close)
    np.testing.assert_allclose(compiled.standard_errors_, plain.standard_errors_, **close)
    np.testing.assert_allclose(compiled.sigma2_, plain.sigma2_, **close)
    np.testing.assert_allclose(compiled.log_likelihood_, plain.log_likelihood_, **close)
    if isinstance(order, str):
        np.testing.assert_allclose(
            compiled.criteria_ - compiled.criteria_.min(),
            plain.criteria_ - plain.criteria_.min(),
            rtol=0,
            atol=1e-7,
        )
    for name in ("I(2)", "nearly a sine", "random walk far from zero"):
        same = seqkit.AR(6).fit(hostile(name)).coef_
        monkeypatch.setattr(linear, "COMPILED_FROM", np.inf)
        np.testing.assert_allclose(
            same, seqkit.AR(6).fit(hostile(name)).coef_, rtol=1e-9, atol=1e-9
        )
        monkeypatch.setattr(linear, "COMPILED_FROM", 0)


@pytest.mark.parametrize("trend", ["n", "c"])
@pytest.mark.parametrize("order", [1, 3, "bic"])
def test_compiled_and_plain_vector_autoregressions_agree(growth, order, trend, monkeypatch):
    from seqkit.models.autoregression import linear

    fits = []
    for limit in (np.inf, 0):
        monkeypatch.setattr(linear, "COMPILED_FROM", limit)
        fits.append(seqkit.VAR(order, trend=trend, max_order=5).fit(growth * 100 + 3))
    plain, compiled = fits
    close = {"rtol": 1e-9, "atol": 1e-11}
    np.testing.assert_allclose(compiled.coef_, plain.coef_, **close)
    np.testing.assert_allclose(compiled.standard_errors_, plain.standard_errors_, **close)
    np.testing.assert_allclose(compiled.sigma_, plain.sigma_, **close)
    np.testing.assert_allclose(compiled.log_likelihood_, plain.log_likelihood_, **close)
    if order == "bic":
        np.testing.assert_allclose(compiled.criteria_, plain.criteria_, **close)


def test_overlaps_are_the_sums_they_say():
    from seqkit.models.autoregression.exact_ar import overlaps

    a, b = np.random.default_rng(10).normal(size=(2, 30))
    expected = [[a[i : 30 - j] @ b[j : 30 - i] for j in range(6)] for i in range(6)]
    np.testing.assert_allclose(overlaps(a, b, 5), expected, rtol=1e-12, atol=1e-13)


def test_a_pooled_season_is_the_calendars_whatever_a_series_begins_with():
    index = pd.date_range("2015-01-01", periods=96, freq="MS")
    noise = np.random.default_rng(11).normal(size=96)
    y = pd.Series(10.0 * (index.month - 1) + noise, index=index)
    panel = {"a": y, "b": y.iloc[5:]}
    model = seqkit.AR(0, season=12, panel="global").fit(panel)
    for key in panel:
        np.testing.assert_allclose(model.predict(3)[key].mean, [0, 10, 20], rtol=0, atol=1)
    later = {"a": y.iloc[20:], "b": y.iloc[33:]}
    assert model.score(later) > -2


def test_the_state_before_a_trending_series_lies_on_its_trend():
    t = np.arange(200)
    y = 10.0 * t + np.random.default_rng(12).normal(size=200)
    holed = y.copy()
    holed[1] = np.nan
    model = seqkit.AR(2, trend="ct").fit(y)
    whole, partly = (model.one_step(x).mean[2:5, 0] for x in (y, holed))
    np.testing.assert_allclose(partly, whole, rtol=0, atol=1.5)


def test_ridge_reports_the_likelihood_of_its_own_fit():
    y = seqkit.datasets.load("airline")
    for penalty in (0.0, 1e7):
        model = seqkit.AR(3, ridge=penalty).fit(y)
        errors = model.residuals_.dropna().to_numpy()
        n, variance = len(errors), model.sigma2_
        expected = -0.5 * (n * np.log(2 * np.pi * variance) + errors @ errors / variance)
        assert model.log_likelihood_ == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("method", ["mle", "yule-walker", "burg"])
def test_exact_likelihood_of_a_scaled_model_counts_every_row(method):
    y = seqkit.datasets.load("airline")
    logged = seqkit.AR(2, method=method, scale=seqkit.Log()).fit(y).log_likelihood_
    plain = seqkit.AR(2, method=method).fit(np.log(y)).log_likelihood_
    assert logged == pytest.approx(plain - np.log(y).sum(), rel=1e-10)


def test_bootstrap_draws_the_rows_that_were_not_seen():
    y = seqkit.datasets.load("airline").copy()
    y.iloc[-3:] = np.nan
    normal = seqkit.AR(2).fit(y).predict(3)
    sampled = seqkit.AR(2, intervals="bootstrap", draws=20_000).fit(y).predict(3)
    np.testing.assert_allclose(sampled.scale, normal.scale, rtol=0.05, atol=0)


def test_summary_tests_more_lags_than_were_fitted():
    y = seqkit.datasets.load("airline")
    assert "Ljung-Box Q(24)" in seqkit.AR(14).fit(y).summary()
