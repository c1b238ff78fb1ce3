"""ARMA in state-space form, against statsmodels and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter
from statsmodels.tsa.arima.model import ARIMA

import seqkit
from seqkit.kernels import kalman
from seqkit.models.autoregression._arma_fit import (
    maximise,
    partial_jacobian,
    score,
    standard_errors,
    system,
)
from seqkit.models.autoregression.arma import ARMA
from seqkit.models.autoregression.exact_ar import from_partial


def simulated(length=250, seed=0):
    errors = np.random.default_rng(seed).normal(size=length + 100)
    return 3 + lfilter([1, 0.5, 0.3], [1, -0.7], errors)[100:]


def holed(y, share=0.15):
    y = y.copy()
    y[np.random.default_rng(1).random(len(y)) < share] = np.nan
    return y


@pytest.mark.parametrize("missing", [False, True], ids=["complete", "missing"])
@pytest.mark.parametrize(("p", "q"), [(1, 0), (0, 1), (1, 1), (2, 1), (0, 0), (1, 3)])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_likelihood_and_optimum_of_statsmodels(p, q, missing):
    y = holed(simulated()) if missing else simulated()
    ours = ARMA(p, q).fit(y)
    theirs = ARIMA(y, order=(p, 0, q), trend="c").fit()
    named = dict(zip(theirs.model.param_names, theirs.params, strict=True))
    form = system(
        np.array([named[f"ar.L{i + 1}"] for i in range(p)]),
        np.array([named[f"ma.L{i + 1}"] for i in range(q)]), named["const"], named["sigma2"],
    )  # fmt: skip
    np.testing.assert_allclose(
        kalman.log_likelihood(form, y[:, None]), theirs.llf, rtol=0, atol=1e-8
    )
    assert ours.log_likelihood_ >= theirs.llf - 1e-8
    np.testing.assert_allclose(ours.log_likelihood(y), ours.log_likelihood_, rtol=0, atol=1e-8)
    np.testing.assert_allclose(ours.aic_, theirs.aic, rtol=0, atol=0.2)
    np.testing.assert_allclose(ours.bic_, theirs.bic, rtol=0, atol=20 * missing + 0.2)
    if ours.log_likelihood_ - theirs.llf < 1e-5:
        forecast = theirs.get_forecast(5)
        np.testing.assert_allclose(ours.predict(5).mean, forecast.predicted_mean, rtol=2e-2)
        np.testing.assert_allclose(ours.predict(5).scale, forecast.se_mean, rtol=1e-2)


def test_score_by_differences():
    y = holed(simulated(60))[:, None]
    at = np.array([2.8, 0.5, -0.3, 0.4, 0.2, 1.3])

    def likelihood(x):
        return kalman.log_likelihood(system(x[1:3], x[3:5], x[0], x[5]), y)

    value, slope = score(y, at[1:3], at[3:5], at[0], at[5])
    step = 1e-6
    shifts = step * np.eye(6)
    expected = [(likelihood(at + s) - likelihood(at - s)) / (2 * step) for s in shifts]
    np.testing.assert_allclose(value, likelihood(at), rtol=1e-12)
    np.testing.assert_allclose(slope, expected, rtol=1e-6, atol=1e-5)


def test_partial_jacobian():
    kappa = np.array([0.5, -0.4, 0.3, 0.6])
    shifts = 1e-6 * np.eye(4)
    expected = [(from_partial(kappa + s) - from_partial(kappa - s)) / 2e-6 for s in shifts]
    np.testing.assert_allclose(partial_jacobian(kappa), np.array(expected).T, rtol=0, atol=1e-9)


def test_standard_errors():
    y = simulated(2000)
    model = ARMA(1, 2).fit(y)
    errors = model.standard_errors_
    theirs = ARIMA(y, order=(1, 0, 2), trend="c").fit(cov_type="oim")
    np.testing.assert_allclose(
        [errors[k] for k in ("mean", "ar1", "ma1", "ma2", "sigma2")], theirs.bse, rtol=2e-2
    )
    flat, settled = maximise(np.full((40, 1), 5.0), 1, 1, True)
    assert settled and flat.sigma2 < 1e-12
    assert standard_errors(flat, np.full((40, 1), 5.0), True).shape == (4,)


def test_a_panel_is_fitted_one_by_one():
    panel = {"a": simulated(), "b": holed(simulated(120, seed=5))}
    model = ARMA(1, 1).fit(panel)
    alone = ARMA(1, 1).fit(panel["b"])
    assert list(model.params_.index) == ["a", "b"]
    np.testing.assert_allclose(model.params_.loc["b"], list(alone.params_.values()), rtol=1e-10)
    np.testing.assert_allclose(model.log_likelihood_["b"], alone.log_likelihood_, rtol=1e-12)
    assert not model.pooled and model.standard_errors_.shape == (2, 4)


@pytest.mark.parametrize(
    ("make", "x", "message"),
    [
        (lambda: ARMA(-1, 0), simulated(), "p must be an integer of at least 0"),
        (lambda: ARMA(1, 1, trend="ct"), simulated(), 'trend must be "c" or "n"'),
        (lambda: ARMA(3, 3), np.arange(8.0), r"ARMA\(3, 3\) needs at least 9 observed values, got 8"),
        (lambda: ARMA(1, 1), np.ones((30, 2)), "ARMA is for one channel"),
        (lambda: ARMA(1, 1), {"a": simulated(), "b": np.arange(3.0)}, "series 'b': ARMA"),
    ],
)  # fmt: skip
def test_refusals(make, x, message):
    with pytest.raises(ValueError, match=message):
        make().fit(x)
    with pytest.raises(ValueError, match="does not use covariates"):
        ARMA().fit(simulated(), covariates=simulated())


def test_without_a_mean():
    y = simulated() - simulated().mean()
    model = ARMA(2, 0, trend="n").fit(y)
    assert "mean" not in model.params_
    theirs = seqkit.AR(2, method="mle", trend="n").fit(y)
    np.testing.assert_allclose(model.log_likelihood_, theirs.log_likelihood_, rtol=0, atol=1e-6)
