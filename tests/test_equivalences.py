"""One model seen from several sides: families that contain each other must give the same numbers."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy import stats

import seqkit
from seqkit import nn
from seqkit.models.autoregression.arma import ARMA
from seqkit.models.state_space.lds import LDS
from seqkit.models.state_space.tracking import ConstantVelocity


def series(length=160, seed=0, holes=0.0):
    rng = np.random.default_rng(seed)
    y = rng.normal(size=length)
    for t in range(2, length):
        y[t] += 0.6 * y[t - 1] - 0.3 * y[t - 2]
    y = 5 + 2 * y
    y[rng.random(length) < holes] = np.nan
    return y


def pair(length=200, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.normal(size=(length, 2))
    for t in range(1, length):
        y[t] += np.array([[0.5, 0.2], [-0.3, 0.4]]) @ y[t - 1]
    return y + np.array([10.0, -3.0])


@pytest.mark.parametrize("holes", [0.0, 0.2], ids=["complete", "missing"])
def test_an_autoregression_is_its_companion_form(holes):
    y = series(holes=holes)
    model = seqkit.AR(3, method="mle").fit(y)
    states = model.to_state_space()
    np.testing.assert_allclose(states.log_likelihood(y), model.log_likelihood_, rtol=0, atol=1e-8)
    updated = states.update(y).predict(6)
    np.testing.assert_allclose(updated.mean, model.predict(6).mean, rtol=1e-8)
    np.testing.assert_allclose(updated.scale, model.predict(6).scale, rtol=1e-7)


@pytest.mark.parametrize("holes", [0.0, 0.2], ids=["complete", "missing"])
@pytest.mark.parametrize("p", [0, 1, 3])
def test_arma_without_moving_average_is_ar(p, holes):
    y = series(holes=holes)
    one, two = ARMA(p, 0).fit(y), seqkit.AR(p, method="mle").fit(y)
    np.testing.assert_allclose(one.log_likelihood_, two.log_likelihood_, rtol=0, atol=1e-5)
    np.testing.assert_allclose(one.params_["sigma2"], two.sigma2_, rtol=1e-3)


@pytest.mark.parametrize("holes", [0.0, 0.2], ids=["complete", "missing"])
def test_arma_is_auto_arima_of_that_order(holes):
    y = series(holes=holes)
    one, two = ARMA(1, 1).fit(y), seqkit.AutoARIMA(order=(1, 0, 1), season=1).fit(y)
    np.testing.assert_allclose(one.log_likelihood_, two.log_likelihood_, rtol=0, atol=1e-3)
    assert one.log_likelihood_ >= two.log_likelihood_ - 1e-6
    np.testing.assert_allclose(one.predict(5).mean, two.predict(5).mean, rtol=1e-2)


def test_a_vector_autoregression_gains_its_exact_likelihood():
    y = pair()
    model = seqkit.VAR(2).fit(y)
    states = model.to_state_space()
    steps = states.filter(y)
    conditional = steps.standardised_innovations  # after p rows these are the errors of the VAR
    errors = model.residuals_.to_numpy()[2:] / np.sqrt(np.diag(model.sigma_))
    np.testing.assert_allclose(conditional.to_numpy()[2:, 0], errors[:, 0], rtol=1e-6, atol=1e-8)
    holed = y.copy()
    holed[np.random.default_rng(1).random(y.shape) < 0.2] = np.nan
    assert np.isfinite(states.log_likelihood(holed))
    np.testing.assert_allclose(
        states.update(holed).predict(4).mean, model.update(holed).predict(4).mean, rtol=0.05
    )


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda y: seqkit.AR(2, trend="ct").fit(y), "trend='n' or 'c'"),
        (lambda y: seqkit.AR(2, season=4).fit(y), "no season"),
        (lambda y: seqkit.AR(1).fit(np.exp(0.1 * np.arange(60.0))), "is not stationary"),
        (lambda y: seqkit.AR(1, scale=seqkit.Standard()).fit(y), "without scale"),
        (lambda y: seqkit.AR(1).fit({"a": y, "b": y}), "2 series were fitted each on its own"),
    ],
)
def test_what_has_no_stationary_form_says_so(model, message):
    with pytest.raises(ValueError, match=message):
        model(series()).to_state_space()


def test_an_autoregression_is_learnt_by_the_dynamical_system():
    y = series(400)
    ar = seqkit.AR(1, method="mle").fit(y)
    lds = LDS(1, method="mle", observation=1.0, observation_cov=0.0, tol=1e-12).fit(y)
    np.testing.assert_allclose(lds.log_likelihood_, ar.log_likelihood_, rtol=0, atol=1e-6)
    np.testing.assert_allclose(lds.transition_[0, 0], ar.coef_["y.L1"], rtol=1e-4)


def test_auto_regression_with_noise_is_an_arma():
    """An AR(1) seen through noise is an ARMA(1, 1) (Granger & Morris 1976)."""
    rng = np.random.default_rng(2)
    hidden = np.zeros(600)
    for t in range(1, 600):
        hidden[t] = 0.8 * hidden[t - 1] + rng.normal()
    y = 4 + hidden + rng.normal(size=600)
    lds, arma = LDS(1, method="mle", tol=1e-12).fit(y), ARMA(1, 1).fit(y)
    np.testing.assert_allclose(lds.log_likelihood_, arma.log_likelihood_, rtol=0, atol=1e-4)
    np.testing.assert_allclose(lds.transition_[0, 0], arma.params_["ar1"], rtol=1e-2)
    np.testing.assert_allclose(lds.predict(8).mean, arma.predict(8).mean, rtol=1e-3)


def test_constant_velocity_is_a_dynamical_system_with_given_matrices():
    rng = np.random.default_rng(0)
    y = (0.3 * rng.normal(size=120).cumsum()).cumsum() + rng.normal(size=120)
    track = ConstantVelocity().fit(y)
    q, r = track.params_["process_var"], track.params_["observation_var"]
    lds = LDS.from_params(
        transition=[[1, 1], [0, 1]], observation=[[1, 0]],
        process_cov=q * np.array([[1 / 3, 1 / 2], [1 / 2, 1]]), observation_cov=r, diffuse=1.0,
    )  # fmt: skip
    np.testing.assert_allclose(lds.log_likelihood(y), track.log_likelihood_, rtol=1e-12)
    np.testing.assert_allclose(lds.decode(y), track.decode(y), rtol=1e-10, atol=1e-10)


def test_local_level_is_a_dynamical_system():
    structural = pytest.importorskip("seqkit.models.structural.components")
    nile = seqkit.datasets.load("nile")
    level = structural.LocalLevel().fit(nile)
    given = {
        "transition": 1.0, "observation": 1.0, "observation_cov": level.params_["observation_var"],
        "process_cov": level.params_["level_var"], "diffuse": 1.0,
    }  # fmt: skip
    lds = LDS.from_params(**given)
    np.testing.assert_allclose(lds.log_likelihood(nile), level.log_likelihood_, rtol=0, atol=1e-8)
    np.testing.assert_allclose(lds.decode(nile)["state0"], level.decode(nile)["level"], rtol=1e-8)
    learnt = LDS(
        1, method="mle", transition=1.0, observation=1.0, observation_intercept=0.0, initial="diffuse",
        tol=1e-12,
    ).fit(nile)  # fmt: skip
    np.testing.assert_allclose(learnt.log_likelihood_, level.log_likelihood_, rtol=0, atol=1e-6)
    np.testing.assert_allclose(learnt.predict(5).scale, level.predict(5).scale, rtol=1e-3)


def test_structural_autoregression_is_arma():
    structural = pytest.importorskip("seqkit.models.structural.components")
    if not hasattr(structural, "Autoregressive"):
        pytest.skip("no Autoregressive component")
    y = series(300) - series(300).mean()
    one = structural.Autoregressive(2, observation_var=0.0).fit(y)
    two = ARMA(2, 0, trend="n").fit(y)
    np.testing.assert_allclose(one.log_likelihood_, two.log_likelihood_, rtol=0, atol=1e-4)


def test_one_hidden_state_is_an_independent_sample():
    rng = np.random.default_rng(0)
    y = rng.normal(3.0, 2.0, 80)
    model = seqkit.HMM(1, seqkit.Normal()).fit(y)
    law = stats.norm(y.mean(), y.std())
    np.testing.assert_allclose(model.log_likelihood_, law.logpdf(y).sum(), rtol=1e-12)
    np.testing.assert_allclose(np.ravel(model.predict(3).interval(80)), [*law.interval(0.8)] * 3)
    np.testing.assert_allclose(model.aic_, -2 * model.log_likelihood_ + 4)


def test_equal_rows_of_transitions_are_a_mixture():
    y = np.array([0.3, 4.0, np.nan, 5.5, -1.0])
    weights, laws = np.array([0.3, 0.7]), [stats.norm(0.0, 1.0), stats.norm(5.0, 2.0)]
    given = {"initial": weights, "transition": [weights, weights]}
    model = seqkit.HMM.from_params(**given, emission=seqkit.Normal([0.0, 5.0], [1.0, 2.0]))
    joint = np.column_stack([w * law.pdf(y) for w, law in zip(weights, laws, strict=True)])
    joint[2] = weights
    np.testing.assert_allclose(model.log_likelihood(y), np.log(joint.sum(1)).sum(), rtol=1e-12)
    both = joint / joint.sum(1, keepdims=True)
    np.testing.assert_allclose(model.decode_proba(y), both, atol=1e-14)
    np.testing.assert_allclose(model.filter(y), both, atol=1e-14)
    assert model.decode(y).tolist() == both.argmax(1).tolist()


def test_a_field_whose_scores_are_log_probabilities_is_a_hidden_markov_model():
    rng = np.random.default_rng(0)
    initial, transition = rng.dirichlet(np.ones(3)), rng.dirichlet(np.ones(3), size=3)
    emitted, x = rng.dirichlet(np.ones(5), size=3), rng.integers(0, 5, size=40)
    emission = seqkit.Categorical(emitted)
    model = seqkit.HMM.from_params(initial=initial, transition=transition, emission=emission)
    field = nn.CRF(3).double()
    with torch.no_grad():
        field.start.copy_(torch.tensor(np.log(initial)))
        field.transition.copy_(torch.tensor(np.log(transition)))
    scores = torch.tensor(np.log(emitted[:, x].T))[None]
    np.testing.assert_allclose(field.marginals(scores)[0], model.decode_proba(x), atol=1e-12)
    assert field.viterbi(scores)[0].tolist() == model.decode(x).tolist()
    path = torch.tensor(model.decode(x).to_numpy())[None]
    joint = field.log_likelihood(scores, path).item() + model.log_likelihood(x)
    steps = np.log(emitted[path[0], x]).sum() + np.log(transition[path[0, :-1], path[0, 1:]]).sum()
    np.testing.assert_allclose(joint, np.log(initial[path[0, 0]]) + steps, rtol=1e-12)


def test_a_generator_that_sees_one_symbol_is_a_markov_chain():
    words = ["abab", "ba", "abba", "bbab", "aab"]
    exact = seqkit.training.Trainer(optimizer="lbfgs", precision="float64", steps=30)
    core = nn.MLP(4, activation="tanh")
    generator = seqkit.SequenceGenerator(core, trainer=exact).fit(words)
    ended = [["<s>", *word, "</s>"] for word in words]
    chain = seqkit.MarkovChain(never_left="absorbing").fit(ended)
    steps = np.array([np.log(chain.transition_.loc[a, b]) for w in ended for a, b in pairwise(w)])
    np.testing.assert_allclose(generator.score(words), steps.mean(), rtol=1e-5)


def test_a_classifier_of_one_step_without_layers_is_logistic_regression():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(80, 3))
    labels = (x @ [1.0, -2.0, 0.5] + rng.logistic(size=80) > 0).astype(int)
    z = (x - x.mean(0)) / x.std(0)
    slope, bias = np.zeros(3), 0.0
    for _ in range(30):  # Newton's method
        p = 1 / (1 + np.exp(-(z @ slope + bias)))
        design = np.column_stack([z, np.ones(80)])
        hessian = design.T @ (design * (p * (1 - p))[:, None])
        move = np.linalg.solve(hessian, design.T @ (labels - p))
        slope, bias = slope + move[:3], bias + move[3]
    exact = seqkit.training.Trainer(optimizer="lbfgs", precision="float64", steps=200)
    core = nn.MLP(3, activation="linear")
    model = seqkit.SequenceClassifier(core, "last", dropout=0.0, trainer=exact)
    found = model.fit(list(x[:, None]), labels).predict_proba(list(x[:, None]))
    np.testing.assert_allclose(found[1], 1 / (1 + np.exp(-(z @ slope + bias))), atol=1e-5)
