"""Structural models: against statsmodels' UnobservedComponents, finite differences, and hard cases."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

import seqkit
from seqkit import (
    AR,
    Autoregressive,
    Cycle,
    LocalLevel,
    LocalLinearTrend,
    Regression,
    Seasonal,
    Structural,
)
from seqkit.kernels import kalman, local_level
from seqkit.models.structural import _blocks as blocks
from seqkit.models.structural._fit import Likelihood, Search, fit_blocks
from seqkit.models.structural._system import Assembly, Space

close = np.testing.assert_allclose


def monthly(length: int = 90, seed: int = 0, holes: bool = False) -> pd.Series:
    rng, t = np.random.default_rng(seed), np.arange(length)
    y = (
        50
        + rng.normal(size=length).cumsum()
        + 5 * np.sin(2 * np.pi * t / 12)
        + rng.normal(size=length)
    )
    if holes:
        y[[0, 7, 8, 40]] = np.nan
    return pd.Series(y, index=pd.date_range("2010-01-31", periods=length, freq="ME"), name="y")


INPUTS = np.random.default_rng(7).normal(size=(90, 2))


# -- the same likelihood as statsmodels, at the same parameters ------------------------------------

# blocks, their values (ours), statsmodels' options, its values
CASES = {
    "level": ([("level",)], [0.5, 1.3], {"level": "llevel"}, [1.3, 0.5]),
    "trend": ([("trend", False)], [0.5, 0.1, 1.3], {"level": "lltrend"}, [1.3, 0.5, 0.1]),
    "smooth": ([("trend", False)], [0.0, 0.1, 1.3], {"level": "strend"}, [1.3, 0.1]),
    "walk": ([("level",)], [0.5, 0.0], {"level": "rwalk"}, [0.5]),
    "season": (
        [("trend", False), ("dummy", 12)], [0.5, 0.1, 0.2, 1.3], {"level": "lltrend", "seasonal": 12},
        [1.3, 0.5, 0.1, 0.2],
    ),
    "waves": (
        [("level",), ("waves", 12, 3)], [0.5, 0.2, 1.3],
        {"level": "llevel", "freq_seasonal": [{"period": 12, "harmonics": 3}]}, [1.3, 0.5, 0.2],
    ),
    "all-waves": (
        [("level",), ("waves", 12, 6)], [0.5, 0.2, 1.3],
        {"level": "llevel", "freq_seasonal": [{"period": 12, "harmonics": 6}]}, [1.3, 0.5, 0.2],
    ),
    "broken-period": (
        [("level",), ("waves", 7.5, 3)], [0.5, 0.2, 1.3],
        {"level": "llevel", "freq_seasonal": [{"period": 7.5, "harmonics": 3}]}, [1.3, 0.5, 0.2],
    ),
    "cycle": (
        [("level",), ("cycle", False)], [0.5, 9.0, 0.2, 1.3],
        {"level": "llevel", "cycle": True, "stochastic_cycle": True}, [1.3, 0.5, 0.2, 2 * np.pi / 9],
    ),
    "damped-cycle": (
        [("level",), ("cycle", True)], [0.5, 9.0, 0.8, 0.2, 1.3],
        {"level": "llevel", "cycle": True, "stochastic_cycle": True, "damped_cycle": True},
        [1.3, 0.5, 0.2, 2 * np.pi / 9, 0.8],
    ),
    "ar": (
        [("level",), ("ar", 2)], [0.5, 0.6, 0.2, 0.3, 1.3], {"level": "llevel", "autoregressive": 2},
        [1.3, 0.5, 0.3, 0.6, 0.2],
    ),
    "regression": (
        [("level",), ("inputs", 0.0)], [0.5, 1.3],
        {"level": "llevel", "exog": INPUTS, "mle_regression": False}, [1.3, 0.5],
    ),
    "everything": (
        [("trend", False), ("dummy", 4), ("cycle", False), ("ar", 1), ("inputs", 0.0)],
        [0.5, 0.1, 0.2, 9.0, 0.2, 0.7, 0.4, 1.3],
        {"level": "lltrend", "seasonal": 4, "cycle": True, "stochastic_cycle": True, "autoregressive": 1,
         "exog": INPUTS, "mle_regression": False},
        [1.3, 0.5, 0.1, 0.2, 0.2, 0.4, 2 * np.pi / 9, 0.7],
    ),
}  # fmt: skip
cases = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def block(kind: str, *options) -> blocks.Block:
    return {
        "level": lambda: blocks.level_block(None),
        "trend": lambda damped: blocks.TrendBlock(None, None, damped),
        "dummy": lambda period: blocks.DummyBlock("seasonal", period, None),
        "waves": lambda period, harmonics: blocks.WaveBlock("seasonal", period, harmonics, None),
        "cycle": lambda damped: blocks.CycleBlock("cycle", (4.0, 20.0), damped, None),
        "ar": lambda order: blocks.AutoregressiveBlock("autoregressive", order, None),
        "inputs": lambda var: blocks.regression_block("regression", ["a", "b"], var),
    }[kind](*options)


def peer(y, options: dict):
    from statsmodels.tsa.statespace.initialization import Initialization
    from statsmodels.tsa.statespace.structural import UnobservedComponents

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = UnobservedComponents(np.asarray(y), use_exact_diffuse=True, **options)
    model.ssm.tolerance = 0
    if options.get("damped_cycle"):  # statsmodels starts it diffuse
        start = Initialization(3)
        start.set(0, "diffuse")
        start.set((1, 3), "stationary")
        model.ssm.initialization = start
    return model


@cases
@pytest.mark.parametrize("holes", [False, True], ids=["complete", "holes"])
def test_likelihood_is_that_of_statsmodels(case, holes):
    parts, values, options, theirs = case
    y = monthly(holes=holes).to_numpy()
    layout = Assembly([block(*part) for part in parts], None)
    observation = layout.observation(INPUTS if "exog" in options else None)
    expected = peer(y, options).loglike(np.array(theirs), transformed=True)
    system = layout.system(np.array(values), observation)
    close(kalman.log_likelihood(system, y[:, None]), expected, rtol=0, atol=1e-8)
    free = np.arange(len(values))
    value, *_, unknown, mean, cov = layout.differentiate(np.array(values), free, y, observation)
    close(value, expected, rtol=0, atol=1e-8)
    assert unknown == 0
    end = kalman.filter(system, y[:, None], keep="end").end
    close(mean, end.mean, rtol=1e-8, atol=1e-9)
    close(cov, end.cov, rtol=1e-7, atol=1e-9)


@cases
def test_smoothed_states_are_those_of_statsmodels(case):
    parts, values, options, theirs = case
    y = monthly(holes=True).to_numpy()
    layout = Assembly([block(*part) for part in parts], None)
    observation = layout.observation(INPUTS if "exog" in options else None)
    model = peer(y, options)
    states = model.smooth(np.array(theirs), transformed=True).smoothed_state.T
    ours = kalman.smooth(layout.system(np.array(values), observation), y[:, None]).mean
    seen = [i for i, name in enumerate(layout.states) if name != "seasonal.6*"]
    if (
        states.shape[1] > ours.shape[1]
    ):  # statsmodels keeps the second state of the wave of frequency 1/2
        states = states[:, : ours.shape[1]]
    if options["level"] == "smooth" or "walk" in options["level"]:
        seen = seen[:1]
    close(ours[:, seen], states[:, seen], rtol=1e-8, atol=1e-8)


def diffuse_likelihood(layout: Assembly, values, y) -> float:
    """Of y = X b + u with b diffuse, by generalised least squares on the whole covariance of u."""
    row, n = layout.observation(None)[0], len(layout.states)
    system = layout.system(values, layout.observation(None))
    steps = [np.eye(n)]
    for _ in range(len(y) - 1):
        steps.append(system.transition @ steps[-1])
    design = np.array([row @ step for step in steps])
    cov = values[-1] * np.eye(len(y))
    for i, variance in enumerate(np.diagonal(system.process_cov)):
        shock = np.zeros((len(y), len(y)))
        for s in range(1, len(y)):
            shock[s:, s] = design[: len(y) - s, i]
        cov += variance * shock @ shock.T
    lower = np.linalg.cholesky(cov)
    white, told = np.linalg.solve(lower, y), np.linalg.solve(lower, design)
    q, r = np.linalg.qr(told)
    rest = white - q @ (q.T @ white)
    log_det = 2 * np.log(np.diagonal(lower)).sum() + 2 * np.log(np.abs(np.diagonal(r))).sum()
    return -0.5 * (len(y) * np.log(2 * np.pi) + log_det + rest @ rest)


def test_waves_that_the_first_rows_hardly_tell():
    rng, t = np.random.default_rng(0), np.arange(800)
    y = (
        3 * np.sin(2 * np.pi * t / 365.25)
        + 0.05 * rng.normal(size=800).cumsum()
        + rng.normal(size=800)
    )
    model = LocalLevel() + Seasonal(365.25, form="trigonometric", harmonics=3) + Seasonal(7)
    model.fit(pd.Series(y, pd.date_range("2020-01-01", periods=800)))
    layout = model._assembly(0)
    assert [block.slow for block in layout.blocks] == [False, True, False]
    assert layout.unknown == 13
    expected = diffuse_likelihood(layout, model._fits[0].values, y)
    close(model.log_likelihood_, expected, rtol=0, atol=1e-4)
    close(model.log_likelihood(y), model.log_likelihood_, rtol=1e-9)
    states = model.smooth()
    assert np.isfinite(states.scale).all(axis=None)
    assert (
        np.corrcoef(model.components()["seasonal_365.25"], np.sin(2 * np.pi * t / 365.25))[0, 1]
        > 0.95
    )
    close(
        diffuse_likelihood(Assembly([block("level"), block("dummy", 4)], None), np.array([0.5, 0.2, 1.3]), y[:60]),
        Assembly([block("level"), block("dummy", 4)], None).differentiate(
            np.array([0.5, 0.2, 1.3]), np.arange(3), y[:60].copy(), np.array([[1.0, 1.0, 0.0, 0.0]])
        )[0],
        rtol=1e-10,
    )  # fmt: skip


# -- score and information --------------------------------------------------------------------------


@cases
def test_score_by_finite_differences_through_the_free_variables(case):
    parts, values, options, _ = case
    y = monthly(holes=True).to_numpy()
    layout = Assembly([block(*part) for part in parts], None)
    observation = layout.observation(INPUTS if "exog" in options else None)
    space = Space(layout.parameters)
    x = space.locate(np.where(np.array(values) == 0.0, 0.3, values))
    close(space.values(x), np.where(np.array(values) == 0.0, 0.3, values), rtol=1e-12)

    def value(x):
        return kalman.log_likelihood(layout.system(space.values(x), observation), y[:, None])

    _, _, gradient, information, *_ = layout.differentiate(
        space.values(x), space.free, y, observation
    )
    slope, step = space.jacobian(x), 1e-5
    steps = step * np.eye(len(x))
    numeric = [(value(x + e) - value(x - e)) / (2 * step) for e in steps]
    close(gradient @ slope, numeric, rtol=1e-5, atol=1e-6)
    jacobian = [(space.values(x + e) - space.values(x - e))[space.free] / (2 * step) for e in steps]
    close(slope, np.transpose(jacobian), rtol=1e-6, atol=1e-8)
    assert np.linalg.eigvalsh(information).min() > 0


def test_converged_gain_and_long_series():
    rng = np.random.default_rng(1)
    y = rng.normal(size=3000).cumsum() + rng.normal(size=3000)
    y[1500:1510] = np.nan
    layout = Assembly([block("trend", True), block("ar", 2)], None)
    values = np.array([0.5, 0.1, 0.9, 0.3, 0.2, 0.4, 0.7])
    observation = layout.observation(None)
    value, _, gradient, *_ = layout.differentiate(values, np.arange(7), y, observation)
    exact = kalman.log_likelihood(layout.system(values, observation), y[:, None], steady=0)
    close(value, exact, rtol=1e-12)

    def at(i, h):
        moved = values + h * (np.arange(7) == i)
        return kalman.log_likelihood(layout.system(moved, observation), y[:, None], steady=0)

    numeric = [(at(i, 1e-6) - at(i, -1e-6)) / 2e-6 for i in range(7)]
    close(gradient, numeric, rtol=1e-4, atol=1e-3)


def test_standard_errors_are_those_of_statsmodels():
    y = seqkit.datasets.load("nile")
    model = LocalLevel().fit(y)
    fitted = peer(y, {"level": "llevel"}).smooth(
        [model.params_["observation_var"], model.params_["level_var"]], cov_type="oim"
    )
    expected = dict(zip(["observation_var", "level_var"], fitted.bse, strict=True))
    assert list(model.standard_errors_) == ["level_var", "observation_var"]
    for name, error in model.standard_errors_.items():
        close(error, expected[name], rtol=1e-3)
    given = LocalLevel(level_var=1469.0).fit(y)
    assert np.isnan(given.standard_errors_["level_var"])


# -- optima ----------------------------------------------------------------------------------------


def test_nile():
    y = seqkit.datasets.load("nile")
    model = LocalLevel().fit(y)
    assert list(model.params_) == ["level_var", "observation_var"]
    close(list(model.params_.values()), [1469.176, 15098.52], rtol=1e-5)
    close(model.log_likelihood_, -633.464564, rtol=0, atol=1e-6)
    close(model.log_likelihood(y), model.log_likelihood_, rtol=1e-12)
    close(model.history_[-1], model.log_likelihood_, rtol=1e-14)
    assert (np.diff(np.maximum.accumulate(model.history_)) >= 0).all()
    theirs = peer(y, {"level": "llevel"}).smooth([*model.params_.values()][::-1])
    close(model.decode(y)["level"], theirs.smoothed_state[0], rtol=1e-8)
    close(model.aic_, theirs.aic, rtol=1e-10)
    close(model.bic_, theirs.bic, rtol=1e-10)
    end = kalman.filter(model._system(0, 0, 100, None), y.to_numpy()[:, None], keep="end").end
    close(model._ends[0].mean, end.mean, rtol=1e-10)
    close(model._ends[0].cov, end.cov, rtol=1e-10)


def test_airline():
    y = np.log(seqkit.datasets.load("airline"))
    model = (LocalLinearTrend() + Seasonal(12)).fit(y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = peer(y, {"level": "lltrend", "seasonal": 12}).fit(disp=False)
    assert model.log_likelihood_ >= theirs.llf - 1e-8
    assert model.params_["slope_var"] == 0.0
    close(model.log_likelihood(y), model.log_likelihood_, rtol=1e-10)
    close(model.log_likelihood_, 217.420402, rtol=0, atol=1e-5)
    forecast = model.predict(24)
    assert forecast.mean.index[0] == pd.Timestamp("1961-01-01")


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    ("model", "options"),
    [
        (lambda: LocalLevel() + Seasonal(4), {"level": "llevel", "seasonal": 4}),
        (lambda: LocalLinearTrend(), {"level": "lltrend"}),
        (lambda: LocalLevel() + AR(1), {"level": "llevel", "autoregressive": 1}),
    ],
    ids=["season", "trend", "ar"],
)  # fmt: skip
def test_optimum_is_at_least_that_of_statsmodels(model, options, seed):
    y = monthly(80, seed=seed, holes=seed % 2 == 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = peer(y, options).fit(disp=False, maxiter=500)
    assert model().fit(y).log_likelihood_ >= theirs.llf - 1e-6


@pytest.mark.parametrize("truth", [1e-5, 1e-2, 1.0, 1e3])
@pytest.mark.parametrize("seed", range(4))
def test_search_for_the_local_level_finds_the_highest_hill(truth, seed):
    rng = np.random.default_rng(seed)
    y = np.sqrt(truth) * rng.normal(size=60).cumsum() + rng.normal(size=60)
    y[[0, 10, 11, 30]] = np.nan
    _, observation, value, mean, var, history = local_level.maximise(y, None, None, 1e-30)
    grid, run = [], local_level.compiled("run")
    ratios = [(ratio, 1.0) for ratio in [0.0, *np.logspace(-8, 8, 400)]]
    for level, noise in [*ratios, (1.0, 0.0)]:
        count, quadratic, log_det, _, _ = run(y, level, noise)
        grid.append(-0.5 * (count * np.log(quadratic / count) + log_det + count))
    assert value >= max(grid) - 0.5 * (count + 1) * np.log(2 * np.pi) - 1e-9
    general = fit_blocks([block("level")], None, y, None)
    close(value, general.log_likelihood, rtol=0, atol=1e-6)
    close([mean], general.mean, rtol=0, atol=1e-3 * np.nanstd(y))
    assert 0 < len(history) <= local_level.STEPS and (var > 0 or observation == 0.0)


@pytest.mark.parametrize(
    "given", [(-1.0, -1.0), (-1.0, 2.0), (3.0, -1.0), (0.0, -1.0), (-1.0, 0.0), (1.0, 2.0)]
)
def test_plain_and_compiled_search_agree_to_the_last_digit(given):
    for seed in range(5):
        y = monthly(20 + 9 * seed, seed=seed).to_numpy().copy()
        y[3 * seed : 4 * seed] = np.nan
        steps, history = [0.0] * local_level.STEPS, np.zeros(local_level.STEPS)
        plain = local_level.search(y.tolist(), *given, 1e-20, steps)
        assert plain == local_level.compiled("search")(y, *given, 1e-20, history)
        assert steps == history.tolist()


@pytest.mark.parametrize("given", [{"level_var": 2.0}, {"observation_var": 3.0}, {"level_var": 0},
                                   {"observation_var": 0}, {"level_var": 2.0, "observation_var": 3.0}])  # fmt: skip
def test_given_variances(given):
    y = monthly(60)
    model = LocalLevel(**given).fit(y)
    assert given.items() <= model.params_.items()
    general = fit_blocks(
        [blocks.level_block(given.get("level_var"))],
        given.get("observation_var"),
        y.to_numpy(),
        None,
    )
    close(model.log_likelihood_, general.log_likelihood, rtol=0, atol=1e-7)
    close(list(model.params_.values()), general.values, rtol=1e-4)


def test_deterministic_components_come_out_as_zero():
    t = np.arange(80.0)
    noise = np.random.default_rng(3).normal(size=80)
    model = LocalLinearTrend().fit(3 + 2 * t + noise)
    assert model.params_["slope_var"] == 0.0
    assert 0.5 < model.params_["observation_var"] < 1.6
    smooth = (LocalLinearTrend() + Seasonal(4)).fit(3 + 2 * t + np.tile([1.0, -2, 0, 1], 20))
    assert [smooth.params_[k] for k in ("level_var", "slope_var", "seasonal_var")] == [0, 0, 0]
    assert 0 < smooth.params_["observation_var"] < 1e-15
    close(
        smooth.predict(8).mean, 3 + 2 * np.arange(80, 88) + np.tile([1.0, -2, 0, 1], 2), rtol=1e-6
    )


@pytest.mark.parametrize("make", [
    lambda: LocalLevel(), lambda: LocalLinearTrend(damped=True), lambda: LocalLevel() + Seasonal(12),
    lambda: LocalLevel() + AR(1), lambda: LocalLevel() + Cycle((4, 20)), lambda: LocalLevel(observation_var=0),
])  # fmt: skip
def test_constant_series(make):
    y = pd.Series(7.0, index=pd.date_range("2020-01-31", periods=60, freq="ME"))
    forecast = make().fit(y).predict(6)
    close(forecast.mean, 7.0, rtol=1e-6)
    assert np.isfinite(forecast.quantile([0.1, 0.9])).all(axis=None)
    zero = make().fit(0.0 * y).predict(3)
    close(zero.mean, 0.0, rtol=0, atol=1e-6)


@pytest.mark.parametrize("factor", [2.0**-40, 2.0**30, 1e-3])
def test_units_do_not_matter(factor):
    y = monthly(70)
    model, scaled = LocalLinearTrend() + Seasonal(4), LocalLinearTrend() + Seasonal(4)
    model.fit(y), scaled.fit(y * factor)
    tolerance = 1e-12 if factor != 1e-3 else 1e-3
    for name, value in model.params_.items():
        close(scaled.params_[name], value * factor**2, rtol=tolerance, atol=1e-9 * factor**2)
    rows = 70 - 5
    close(scaled.log_likelihood_, model.log_likelihood_ - rows * np.log(factor), rtol=1e-9)


# -- components and sums ---------------------------------------------------------------------------


def test_contributions_sum_to_the_data():
    y = monthly(holes=True)
    x = pd.DataFrame(INPUTS, index=y.index, columns=["price", "rain"])
    y = y + 2 * x["price"].to_numpy()
    model = LocalLinearTrend() + Seasonal(12) + Cycle((20, 60)) + Regression() + AR(1)
    model.fit(y, covariates=x)
    parts = model.components()
    names = ["trend", "seasonal", "cycle", "regression", "autoregressive", "irregular"]
    assert list(parts) == names
    pd.testing.assert_index_equal(parts.index, y.index)
    close(parts.sum(axis=1, skipna=False)[y.notna()], y.dropna(), rtol=1e-12)
    assert parts["irregular"].isna().equals(y.isna())
    spread = model.components(scale=True)
    assert list(spread) == names and (spread.dropna() >= 0).all(axis=None)
    again = model.components(y, covariates=x)
    close(again, parts, rtol=1e-10, atol=1e-10)
    states = model.smooth(y, covariates=x)
    close(states.scale["level"], spread["trend"], rtol=1e-8)
    assert {"price", "rain"} <= set(states.mean)
    assert abs(states.mean["price"].iloc[-1] - 2) < 0.5


def test_auxiliary_residuals_are_those_of_statsmodels():
    y = seqkit.datasets.load("nile").copy()
    y.iloc[[10, 11, 40]] = np.nan
    model = LocalLevel().fit(y)
    found = model.auxiliary_residuals()
    theirs = peer(y, {"level": "llevel"}).smooth([*model.params_.values()][::-1])
    moves = theirs.smoothed_state_disturbance[0, :-1]
    left = theirs.smoothed_state_disturbance_cov[0, 0, :-1]
    moves = moves / np.sqrt(model.params_["level_var"] - left)
    close(found["level"].iloc[1:], moves, rtol=1e-7, atol=1e-9)
    noise = theirs.smoothed_measurement_disturbance[0]
    left = theirs.smoothed_measurement_disturbance_cov[0, 0]
    seen = y.notna().to_numpy()
    noise = noise / np.sqrt(np.where(seen, model.params_["observation_var"] - left, np.nan))
    close(found["irregular"], noise, rtol=1e-7, atol=1e-9)
    assert np.isnan(found["level"].iloc[0])
    airline = np.log(seqkit.datasets.load("airline"))
    parts = (LocalLinearTrend() + Seasonal(12)).fit(airline).auxiliary_residuals()
    assert list(parts) == ["level", "seasonal", "irregular"]  # the slope is constant
    assert 0.9 < parts["level"].std() < 1.1


def test_components_of_a_panel():
    panel = {"a": monthly(60), "b": monthly(45, seed=1)}
    model = (LocalLevel() + Seasonal(4)).fit(panel)
    parts = model.components()
    assert parts.index.names == ["series", "time"]
    close(
        parts.loc["b"],
        (LocalLevel() + Seasonal(4)).fit(panel["b"]).components(),
        rtol=1e-6,
        atol=1e-6,
    )


def test_sums_are_flat_and_keep_their_order():
    model = LocalLinearTrend() + (Seasonal(12) + AR(1))
    assert [type(t) for t in model.terms] == [LocalLinearTrend, Seasonal, Autoregressive]
    assert repr(LocalLinearTrend() + Seasonal(12)) == "LocalLinearTrend() + Seasonal(12)"
    assert AR(2) + LocalLevel() == Autoregressive(2) + LocalLevel()
    assert sum([LocalLevel(), Seasonal(4)]) == LocalLevel() + Seasonal(4)
    assert LocalLevel() + Seasonal(4) == Structural((LocalLevel(), Seasonal(4)))
    with pytest.raises(TypeError):
        LocalLevel() + 3
    with pytest.raises(TypeError):
        LocalLevel() + seqkit.ETS()
    with pytest.raises(ValueError, match="needs a number as its order"):
        LocalLevel() + AR("aic")
    with pytest.raises(ValueError, match="only the order of an AR"):
        LocalLevel() + AR(1, season=12)


def test_settings_belong_to_the_sum():
    model = LocalLevel(observation_var=1.0) + Seasonal(4, observation_var=2.0, scale=seqkit.Log())
    assert model.observation_var == 2.0 and model.scale == seqkit.Log()
    assert all(t.observation_var is None for t in model.terms)
    assert (LocalLevel(observation_var=1.0) + Seasonal(4)).observation_var == 1.0
    namespace = {**vars(seqkit), "LocalLevel": LocalLevel, "Seasonal": Seasonal, "Log": seqkit.Log}
    assert eval(repr(model), namespace) == model
    fitted = LocalLevel().fit(monthly(40))
    assert not hasattr((fitted + Seasonal(4)).terms[0], "params_")
    with pytest.raises(ValueError, match="settings of the whole sum"):
        Structural((LocalLevel(observation_var=1.0),)).fit(monthly(40))
    with pytest.raises(TypeError, match="tuple of components"):
        Structural(()).fit(monthly(40))


def test_two_seasons_have_names_of_their_own_and_share_a_start():
    rng, t = np.random.default_rng(0), np.arange(400)
    y = (
        np.tile(rng.normal(size=4), 100)
        + 3 * np.sin(2 * np.pi * t / 12)
        + 0.1 * rng.normal(size=400)
    )
    model = (LocalLevel() + Seasonal(4) + Seasonal(12)).fit(y)
    assert list(model.params_) == [
        "level_var",
        "seasonal_4_var",
        "seasonal_12_var",
        "observation_var",
    ]
    assert list(model.components()) == ["level", "seasonal_4", "seasonal_12", "irregular"]
    layout = model._assembly(0)
    assert layout.unknown == 1 + 3 + (
        11 - 3
    )  # waves of 12/3, 12/6 rows are those of the season of 4
    close(model.predict(12).mean, y[388:], rtol=0, atol=1.0)
    wave = blocks.WaveBlock("seasonal", 12, 6, None)
    start = np.diagonal(wave.diffuse({Fraction(1, 4), Fraction(1, 2)}))
    assert start.sum() == 11 - 3
    for form in ("dummy", "trigonometric"):
        again = (LocalLevel() + Seasonal(4, form="trigonometric") + Seasonal(12, form=form)).fit(y)
        assert again._assembly(0).unknown == layout.unknown


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (LocalLevel() + LocalLinearTrend(), "one component with a level"),
        (Seasonal(4) + Seasonal(4), "seasonal 4 twice"),
        (Regression() + Regression(), "one component with a regression"),
        (Regression() + LocalLevel(), "needs covariates"),
        (Seasonal(1), "at least 2"), (Seasonal(2.5), "positive number"), (Seasonal(12, form="wave"), "form must be"),
        (Seasonal(12, harmonics=2), "needs form='trigonometric'"),
        (Seasonal(12, form="trigonometric", harmonics=7), "at least 14"),
        (Cycle((9, 3)), "bounds"), (Cycle("long"), "bounds"), (Cycle(damped=1.5), "damped must be"),
        (LocalLevel(level_var=-1.0), "level_var must be"),
        (LocalLevel(observation_var=True), "observation_var must be"),
        (LocalLevel(level_var=0, observation_var=0), "nothing random"),
        (LocalLinearTrend(level_var=0, slope_var=0, observation_var=0), "nothing random"),
        (LocalLinearTrend(damped=0), "damped must be"), (Autoregressive(0), "order must be"),
    ],
)  # fmt: skip
def test_mistakes_are_named(model, message):
    with pytest.raises(ValueError, match=message):
        model.fit(monthly(60))


def test_too_short():
    y = monthly(60)
    with pytest.raises(ValueError, match="needs at least 3 observed values"):
        LocalLevel().fit(y[:2])
    with pytest.raises(
        ValueError, match=r"needs at least 17 observed values for 13 unknown .* got 16"
    ):
        (LocalLinearTrend() + Seasonal(12)).fit(y[:16])
    assert np.isfinite((LocalLinearTrend() + Seasonal(12)).fit(y[:17]).log_likelihood_)
    with pytest.raises(ValueError, match=r"series 'b': needs at least"):
        LocalLevel().fit({"a": y, "b": y[:1]})
    holed = y.where(y.index.month != 3)
    with pytest.raises(ValueError, match="undetermined"):
        (LocalLevel() + Seasonal(12)).fit(holed)
    with pytest.raises(ValueError, match="one channel"):
        LocalLevel().fit(pd.DataFrame({"a": y, "b": y}))


def test_damping_cycle_and_bounds():
    y = monthly(90)
    model = LocalLinearTrend(damped=0.9).fit(y)
    assert list(model.params_) == ["level_var", "slope_var", "observation_var"]
    learnt = LocalLinearTrend(damped=True).fit(y)
    assert 0.5 < learnt.params_["damping"] < 1
    assert learnt.log_likelihood_ >= model.log_likelihood_ - 1e-6
    cycle = (LocalLevel() + Cycle((9, 15))).fit(y)
    assert 9 <= cycle.params_["cycle_period"] <= 15 and 0 < cycle.params_["cycle_damping"] < 1
    fixed = (LocalLevel() + Cycle(12, damped=0.95)).fit(y)
    assert fixed.params_["cycle_period"] == 12 and fixed.params_["cycle_damping"] == 0.95
    assert Cycle()._bounds(monthly_calendar(90)) == pytest.approx((18, 144), rel=0.01)
    assert Cycle()._bounds(seqkit.Sequences(np.ones(40)).calendars[0]) == (3.0, 20.0)


def monthly_calendar(length: int):
    return seqkit.Sequences(monthly(length)).calendars[0]


def test_autoregressive_alone_is_the_exact_ar():
    rng = np.random.default_rng(2)
    y = np.zeros(300)
    for t in range(2, 300):
        y[t] = 0.6 * y[t - 1] - 0.3 * y[t - 2] + rng.normal()
    y[50:60] = np.nan
    model = Autoregressive(2, observation_var=0).fit(y)
    exact = AR(2, trend="n", method="mle").fit(y)
    coef = [model.params_["autoregressive.L1"], model.params_["autoregressive.L2"]]
    close(coef, exact.coef_, rtol=0, atol=1e-4)
    close(model.log_likelihood_, exact.log_likelihood_, rtol=0, atol=1e-5)


# -- covariates ------------------------------------------------------------------------------------


def test_covariates_in_fit_predict_and_update():
    y = monthly(90)
    x = pd.DataFrame(INPUTS, index=y.index, columns=["a", "b"])
    y = y + x["a"].to_numpy() * 3
    model = (LocalLevel() + Regression()).fit(y[:80], covariates=x)
    forecast = model.predict(10, covariates=x)
    plain = model.predict(10, covariates=0 * x)
    assert abs(np.corrcoef(forecast.mean - plain.mean, x["a"][80:])[0, 1]) > 0.99
    model.update(y[80:85], covariates=x)
    assert model.predict(5, covariates=x).index[0] == y.index[85]
    with pytest.raises(ValueError, match="give them here too"):
        model.predict(5)
    with pytest.raises(ValueError, match="does not use covariates"):
        LocalLevel().fit(y, covariates=x)
    broken = x.copy()
    broken.iloc[3, 0] = np.nan
    with pytest.raises(ValueError, match="missing in 1 row"):
        (LocalLevel() + Regression()).fit(y, covariates=broken)
    for verb in (model.score, model.smooth, model.filter):
        with pytest.raises(ValueError, match="missing in 1 row"):
            verb(y, covariates=broken)
    holed = y.copy()
    holed.iloc[3] = np.nan
    whole = (LocalLevel() + Regression()).fit(holed, covariates=x)
    close((LocalLevel() + Regression()).fit(holed, covariates=broken).log_likelihood_, whole.log_likelihood_,
          rtol=1e-12)  # fmt: skip
    model = (LocalLevel() + Regression()).fit(y, covariates=x)
    assert list(model.coef_.index) == ["a", "b"]
    close(model.coef_, model.decode()[["a", "b"]].iloc[-1], rtol=1e-8)
    assert abs(model.coef_["a"] - 3) < 0.5 and "\na " in model.summary()
    panel = (LocalLevel() + Regression()).fit({"y": y, "z": y}, covariates=x)
    close(panel.coef_.loc["z"], model.coef_, rtol=1e-8)
    with pytest.raises(AttributeError, match="has no attribute"):
        LocalLevel().fit(y).coef_  # noqa: B018
    walking = (LocalLevel() + Regression(coefficient_var=None)).fit(y, covariates=x)
    assert set(walking.params_) > {"regression_a_var", "regression_b_var"}
    assert (
        walking.log_likelihood_
        >= (LocalLevel() + Regression()).fit(y, covariates=x).log_likelihood_ - 1e-6
    )


@pytest.mark.parametrize("unit", [1e-9, 1e9])
def test_units_of_covariates_do_not_matter(unit):
    y = monthly(80)
    x = pd.DataFrame(INPUTS[:80] + 3, index=y.index, columns=["a", "b"])
    model, scaled = LocalLevel() + Regression(), LocalLevel() + Regression()
    model.fit(y, covariates=x), scaled.fit(y, covariates=unit * x)
    close(scaled.coef_ * unit, model.coef_, rtol=1e-8)
    shift = 2 * np.log(unit)  # of a diffuse likelihood, as in statsmodels
    close(scaled.log_likelihood_, model.log_likelihood_ - shift, rtol=0, atol=1e-7)
    close(scaled.log_likelihood(y, covariates=unit * x), scaled.log_likelihood_, rtol=1e-10)
    close(scaled.predict(3, covariates=unit * x.set_axis(x.index.shift(80))[:3]).mean,
          model.predict(3, covariates=x.set_axis(x.index.shift(80))[:3]).mean, rtol=1e-8)  # fmt: skip
    with pytest.raises(ValueError, match="covariate that repeats"):
        (LocalLevel() + Regression()).fit(y, covariates=x.assign(one=unit))


# -- panels, files, processes ----------------------------------------------------------------------


def test_a_panel_is_every_series_on_its_own():
    panel = {"a": monthly(90), "b": monthly(60, seed=1, holes=True), "c": monthly(40, seed=2)}
    model = (LocalLevel() + Seasonal(4)).fit(panel)
    alone = {k: (LocalLevel() + Seasonal(4)).fit(v) for k, v in panel.items()}
    assert not model.pooled
    for key, single in alone.items():
        assert model.params_.loc[key].to_dict() == single.params_
        assert model.log_likelihood_[key] == single.log_likelihood_
        assert model.aic_[key] == single.aic_
        close(model.predict(4)[key].mean, single.predict(4).mean, rtol=1e-12)
        np.testing.assert_array_equal(model.history_[key], single.history_)
    assert model.standard_errors_.shape == model.params_.shape
    with pytest.raises(ValueError, match="of one series"):
        model.summary()


@pytest.mark.slow
def test_processes_give_the_same_panel(monkeypatch):
    from seqkit.models.structural import structural

    panel = {i: monthly(50, seed=i) for i in range(6)}
    serial = (LocalLevel() + Seasonal(4)).fit(panel)
    monkeypatch.setattr(structural, "_PATIENCE", -1.0)
    monkeypatch.setattr(structural, "_HEAD_START", 0.0)
    parallel = (LocalLevel(n_jobs=2) + Seasonal(4)).fit(panel)
    pd.testing.assert_frame_equal(parallel.params_, serial.params_)
    with pytest.raises(ValueError, match="series 5: needs at least"):
        (LocalLevel(n_jobs=2) + Seasonal(4)).fit(panel | {5: monthly(4)})


def test_copies_and_files(tmp_path):
    model = (LocalLinearTrend() + Seasonal(12, seasonal_var=0.1)).fit(monthly(60))
    assert seqkit.clone(model) == LocalLinearTrend() + Seasonal(12, seasonal_var=0.1)
    loaded = seqkit.load(model.save(tmp_path / "model"))
    assert loaded == model and repr(loaded) == repr(model)
    close(loaded.predict(5).mean, model.predict(5).mean, rtol=0)
    pd.testing.assert_frame_equal(loaded.components(), model.components())
    assert loaded.standard_errors_["level_var"] == model.standard_errors_["level_var"]
    text = model.summary()
    assert "LocalLinearTrend() + Seasonal(12, seasonal_var=0.1)" in text and "level_var" in text


def test_many_states_need_little_memory():
    rng, t = np.random.default_rng(0), np.arange(500)
    y = pd.Series(np.sin(2 * np.pi * t / 150) + 0.3 * rng.normal(size=500))
    model = (LocalLevel() + Seasonal(150)).fit(y)
    parts = model.components()
    close(parts.sum(axis=1), y, rtol=1e-9, atol=1e-9)
    assert np.corrcoef(parts["seasonal"], np.sin(2 * np.pi * t / 150))[0, 1] > 0.9
    wide = seqkit.models.structural.results
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wide, "LARGEST", 1000)
        with pytest.raises(ValueError, match="fewer states"):
            model.components(scale=True)


def test_search_reports_that_it_did_not_arrive(monkeypatch):
    from seqkit.models.structural import _fit as _structural_fit

    monkeypatch.setattr(_structural_fit, "STEPS", 1)
    with pytest.warns(seqkit.ConvergenceWarning, match="still rising"):
        (LocalLevel() + Seasonal(4)).fit(monthly(60))


def test_search_never_goes_down():
    layout = Assembly([block("trend", True), block("dummy", 12), block("ar", 2)], None)
    likelihood = Likelihood(layout, monthly().to_numpy(), None)
    search = Search(likelihood, Space(layout.parameters), layout.parameters)
    assert (np.diff(search.history) > 0).all() and search.converged


def test_a_first_local_level_needs_no_compiler():
    code = (
        "import numpy as np, sys, seqkit\n"
        "seqkit.LocalLevel().fit(np.arange(30.0) % 7).predict(3).interval(95)\n"
        "assert not {'numba', 'scipy', 'seqkit.kernels._kalman_numba'} & set(sys.modules)\n"
        "seqkit.LocalLevel().fit(np.arange(30.0) % 7).predict(3)\n"
        "assert 'numba' in sys.modules and 'seqkit.kernels._kalman_numba' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ)
