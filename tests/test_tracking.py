"""Motion models: their matrices, the variances they learn, tracks with missing positions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from statsmodels.tsa.statespace.structural import UnobservedComponents

import seqkit
from seqkit.models.state_space.tracking import ConstantAcceleration, ConstantVelocity


def track(length=300, process=0.05, noise=1.0, seed=0):
    rng = np.random.default_rng(seed)
    velocity = np.array([1.0, -0.5]) + np.sqrt(process) * rng.normal(size=(length, 2)).cumsum(0)
    place = velocity.cumsum(0)
    index = pd.date_range("2024-05-01 12:00", periods=length, freq="s", name="time")
    seen = place + np.sqrt(noise) * rng.normal(size=place.shape)
    return (
        pd.DataFrame(seen, index=index, columns=["east", "north"]),
        pd.DataFrame(place, index=index, columns=["east", "north"]),
    )


def integral(step, order):
    """The covariance of one step by quadrature of exp(Fs) e e' exp(Fs)'."""
    nodes, weights = np.polynomial.legendre.leggauss(8)
    at = step * (nodes + 1) / 2
    powers = np.arange(order)[::-1]
    reach = at[:, None] ** powers / np.array([1.0, 1.0, 2.0])[powers]
    return np.einsum("k,ki,kj->ij", weights * step / 2, reach, reach)


@pytest.mark.parametrize(("family", "order"), [(ConstantVelocity, 2), (ConstantAcceleration, 3)])
@pytest.mark.parametrize("step", [1.0, 0.1])
def test_the_matrices(family, order, step):
    seen, _ = track(20)
    model = family(step=step, process_var=0.3, observation_var=2.0).fit(seen)
    system = model._system(0, 0, 5, None)
    block = np.zeros((order, order))
    for i in range(order):
        for j in range(i, order):
            block[i, j] = step ** (j - i) / [1, 1, 2][j - i]
    np.testing.assert_allclose(system.transition, np.kron(np.eye(2), block), rtol=1e-14)
    noise = 0.3 * np.kron(np.eye(2), integral(step, order))
    np.testing.assert_allclose(system.process_cov, noise, rtol=1e-12)
    np.testing.assert_allclose(system.observation_cov, 2.0 * np.eye(2), rtol=1e-14)
    np.testing.assert_array_equal(system.diffuse, np.eye(2 * order))
    names = ["", ".velocity", ".acceleration"][:order]
    assert list(model.decode()) == [c + part for c in ("east", "north") for part in names]


def test_variances_are_at_the_maximum():
    seen, _ = track()
    model = ConstantVelocity().fit(seen)
    assert (
        0.02 < model.params_["process_var"] < 0.12 and 0.7 < model.params_["observation_var"] < 1.3
    )
    best = model.log_likelihood_
    np.testing.assert_allclose(model.log_likelihood(seen), best, rtol=1e-10)
    for name in model.params_:
        for factor in (0.97, 1.03):
            moved = model.params_ | {name: factor * model.params_[name]}
            assert ConstantVelocity(**moved).fit(seen).log_likelihood_ < best
    one = ConstantVelocity(observation_var=model.params_["observation_var"]).fit(seen)
    np.testing.assert_allclose(one.params_["process_var"], model.params_["process_var"], rtol=1e-3)
    assert one.standard_errors_["observation_var"] == 0 < one.standard_errors_["process_var"]
    assert model.aic_ == pytest.approx(-2 * best + 2 * (2 + 4))


def test_scale_is_that_of_the_data():
    seen, _ = track(120)
    one, large = ConstantVelocity().fit(seen), ConstantVelocity().fit(1000 * seen)
    ratio = np.array(list(large.params_.values())) / np.array(list(one.params_.values()))
    np.testing.assert_allclose(ratio, 1e6, rtol=1e-3)


def test_likelihood_of_a_smooth_trend():
    """With the acceleration in discrete time the model is a smooth trend; here only the start and noise compare."""
    seen, _ = track(80)
    theirs = UnobservedComponents(seen["east"].to_numpy(), "lltrend", use_exact_diffuse=True)
    model = ConstantVelocity(process_var=1e-300, observation_var=1.7).fit(seen[["east"]])
    np.testing.assert_allclose(model.log_likelihood_, theirs.loglike([1.7, 0, 0]), rtol=1e-8)


def test_missing_positions_are_bridged():
    seen, place = track()
    holed = seen.copy()
    holed.iloc[100:130] = np.nan
    holed.iloc[200:240, 0] = np.nan
    model = ConstantVelocity().fit(holed)
    smooth = model.smooth(holed)
    inside = smooth.interval(95)
    hit = [
        ((inside[name]["lo"] < place[name]) & (place[name] < inside[name]["hi"])).mean()
        for name in place
    ]
    assert min(hit) > 0.85
    assert (smooth.scale["east"].iloc[115] > 2 * smooth.scale["east"].iloc[50]).all()
    forecast = model.predict(10)
    assert forecast.index[0] == seen.index[-1] + pd.Timedelta(seconds=1)
    assert (np.diff(forecast.scale["east"]) > 0).all()


def test_a_panel_shares_the_variances():
    parts = {"one": track(150, seed=1)[0], "two": track(90, seed=2)[0]}
    model = ConstantVelocity().fit(parts)
    assert model.pooled
    total = sum(
        ConstantVelocity(**model.params_).fit(part).log_likelihood_ for part in parts.values()
    )
    np.testing.assert_allclose(model.log_likelihood_, total, rtol=1e-10)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"step": 0.0}, "step must be a positive length of time"),
        ({"process_var": -1.0}, "process_var must be None"),
        ({"process_var": 0.0, "observation_var": 0.0}, "at least one must be positive"),
    ],
)
def test_refusals(options, message):
    with pytest.raises(ValueError, match=message):
        ConstantVelocity(**options).fit(track(50)[0])
    with pytest.raises(ValueError, match="needs at least 5 observed positions"):
        ConstantAcceleration().fit(np.arange(4.0))
    with pytest.raises(ValueError, match="does not use covariates"):
        ConstantVelocity().fit(np.arange(9.0), covariates=np.arange(9.0))


def test_still_and_straight():
    still = ConstantVelocity().fit(np.full(40, 7.0))
    np.testing.assert_allclose(still.predict(3).mean, 7.0, rtol=1e-6)
    straight = ConstantAcceleration().fit(np.arange(40.0) ** 2)
    np.testing.assert_allclose(straight.predict(2).mean, [1600, 1681], rtol=1e-4)
    assert seqkit.clone(still) == ConstantVelocity()
