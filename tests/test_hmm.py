"""Hidden Markov models: published fits, every verb against brute force, what stays fixed, and bad input."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import seqkit
from seqkit.base import ConvergenceWarning, NotFittedError
from seqkit.distributions import (
    Bernoulli,
    Categorical,
    Exponential,
    Gamma,
    GaussianMixture,
    LinearAutoregression,
    LinearRegression,
    Multinomial,
    NegativeBinomial,
    Normal,
    NormalInverseWishart,
    Poisson,
    Product,
    StudentT,
    VonMises,
)

HMM = seqkit.HMM
WORDS = ["Walk", "Shop", "Clean"]


# -- the textbook by brute force ---------------------------------------------------------------


def every_path(initial: Any, transition: Any, logs: np.ndarray) -> tuple[list, np.ndarray]:
    """All paths of states over steps with log-potentials (T, K), and their log joint densities."""
    paths = list(itertools.product(range(logs.shape[1]), repeat=len(logs)))
    with np.errstate(divide="ignore"):
        first, moves = np.log(initial), np.log(transition)
    scores = [
        first[p[0]]
        + sum(moves[a, b] for a, b in itertools.pairwise(p))
        + sum(logs[t, k] for t, k in enumerate(p))
        for p in paths
    ]
    return paths, np.array(scores)


def posterior(initial: Any, transition: Any, logs: np.ndarray) -> tuple[float, np.ndarray]:
    """log Z and P(state | all steps) (T, K)."""
    paths, scores = every_path(initial, transition, logs)
    total = np.logaddexp.reduce(scores)
    weights = np.exp(scores - total)
    found = np.zeros(logs.shape)
    for path, w in zip(paths, weights, strict=True):
        found[np.arange(len(path)), path] += w
    return float(total), found


PI, A3 = (
    np.array([0.5, 0.3, 0.2]),
    np.array([[0.7, 0.2, 0.1], [0.0, 0.6, 0.4], [0.3, 0.1, 0.6]]),
)
MU, SD = np.array([-1.0, 0.5, 2.0]), np.array([0.7, 1.0, 0.5])
Y = np.array([0.3, np.nan, 1.4, -0.8, 2.2, 0.1])


def normal_three() -> tuple[Any, np.ndarray]:
    """A model of three states, and the log densities of `Y` under them."""
    model = HMM.from_params(initial=PI, transition=A3, emission=Normal(MU, SD))
    logs = stats.norm(MU, SD).logpdf(Y[:, None])
    return model, np.where(np.isnan(logs), 0.0, logs)


def simulated(model: Any, steps: int, seed: int = 0) -> tuple[Any, pd.Series]:
    """One series drawn from a model, and its states."""
    drawn = model.sample(1, length=steps, seed=seed, states=True).droplevel("sample")
    return drawn.drop(columns="state").squeeze(axis=1), drawn["state"]


def counts(steps: int = 200, seed: int = 0) -> pd.Series:
    truth = HMM.from_params(
        initial=[0.5, 0.5], transition=[[0.9, 0.1], [0.2, 0.8]], emission=Poisson([3.0, 12.0])
    )
    return simulated(truth, steps, seed)[0]


@pytest.fixture(scope="module")
def quakes() -> pd.Series:
    return seqkit.datasets.load("earthquakes")


# -- published -----------------------------------------------------------------------------------

PUBLISHED = [  # Zucchini, MacDonald & Langrock (2016), tables 3.1 and 6.1, and section 3.1
    (1, 391.9189, 785.8, 788.5, [19.364]),
    (2, 342.3183, 692.6, 703.3, [15.472, 26.125]),
    (3, 329.4603, 676.9, 701.0, [13.146, 19.721, 29.714]),
    (4, 327.8316, 687.7, 730.4, [11.283, 13.853, 19.695, 29.700]),
]


@pytest.mark.parametrize(("states", "minus", "aic", "bic", "rates"), PUBLISHED)
def test_earthquakes_are_as_published(quakes, states, minus, aic, bic, rates):
    m = HMM(states, emission=Poisson(), initial="stationary", n_init=4, seed=0).fit(quakes)
    assert round(m.log_likelihood_, 4) == -minus
    assert (round(m.aic_, 1), round(m.bic_, 1)) == (aic, bic)
    np.testing.assert_allclose(m.emission_.rate, rates, atol=1e-3)
    np.testing.assert_allclose(m.initial_, m.stationary_)
    np.testing.assert_allclose(m.log_likelihood(quakes), m.log_likelihood_, rtol=1e-12)
    assert len(m.starts_) == 4 and max(m.starts_) == m.history_[-1] and m.converged_


def test_earthquakes_two_and_three_states_in_full(quakes):
    two = HMM(2, emission=Poisson(), initial="stationary").fit(quakes)
    np.testing.assert_allclose(two.transition_, [[0.934, 0.066], [0.128, 0.872]], atol=6e-4)
    three = HMM(3, emission=Poisson(), initial="stationary").fit(quakes)
    moves = [[0.955, 0.024, 0.021], [0.050, 0.899, 0.051], [0.000, 0.197, 0.803]]
    np.testing.assert_allclose(three.transition_, moves, atol=6e-4)
    np.testing.assert_allclose(three.initial_, [0.4436, 0.4045, 0.1519], atol=1e-4)
    assert (round(three.aic_, 2), round(three.bic_, 2)) == (676.92, 700.98)


def test_earthquakes_with_a_free_start(quakes):
    m = HMM(2, emission=Poisson()).fit(quakes)
    assert round(m.log_likelihood_, 4) == -341.8787
    np.testing.assert_allclose(m.emission_.rate, [15.421, 26.018], atol=1e-3)
    np.testing.assert_allclose(m.initial_, [1.0, 0.0], atol=1e-9)
    np.testing.assert_allclose(m.transition_, [[0.9284, 0.0716], [0.1190, 0.8810]], atol=1e-4)
    assert m.n_parameters_ == 5


def weather() -> Any:
    return HMM.from_params(
        states=["Rainy", "Sunny"],
        initial=[0.6, 0.4],
        transition=[[0.7, 0.3], [0.4, 0.6]],
        emission=Categorical([[0.1, 0.4, 0.5], [0.6, 0.3, 0.1]], symbols=WORDS),
    )


def test_weather():
    hmm = weather()
    found = hmm.decode(["Walk", "Shop", "Clean", "Clean"])
    assert found.tolist() == ["Sunny", "Rainy", "Rainy", "Rainy"]
    np.testing.assert_allclose(np.exp(hmm.log_likelihood(WORDS)), 0.033612, rtol=1e-12)


def test_the_lines_of_the_specification(quakes):
    m = HMM(3, emission=seqkit.Poisson(), initial="stationary", n_init=2, seed=0).fit(quakes)
    assert m.emission_.rate.shape == (3,) and m.transition_.shape == (3, 3)
    assert m.standard_errors().index.nlevels == 3 and len(m.initial_) == 3
    assert len(m.decode(quakes)) == 107
    for found in (m.decode_proba(quakes), m.filter(quakes)):
        assert found.index.equals(quakes.index) and found.columns.tolist() == [0, 1, 2]
        np.testing.assert_allclose(found.sum(axis=1), 1.0)
    assert m.predict(5).to_frame(level=(80,)).columns.tolist() == ["mean", "lo-80", "hi-80"]
    assert m.sample(2, length=50, seed=0).shape == (100, 1)

    rng = np.random.default_rng(0)
    frame_a, frame_b = (
        pd.DataFrame(rng.normal(m, 1.0, (n, 2)), columns=["u", "v"]) for m, n in ((0, 60), (4, 40))
    )
    frame_a.iloc[3, 1] = frame_b.iloc[5] = np.nan
    full = HMM(2, emission=seqkit.Normal(covariance="full")).fit([frame_a, frame_b])
    assert full.emission_.cov.shape == (2, 2, 2)

    sentences, tags = [["the", "dog", "barks"], ["a", "cat", "runs"]], [["D", "N", "V"]] * 2
    tagger = HMM(emission=seqkit.Categorical()).fit(sentences, tags)
    assert tagger.decode(["the", "dog", "barks"]).tolist() == ["D", "N", "V"]

    later = pd.Series([9.0, 11.0], pd.date_range("2007", periods=2, freq="YS"), name=quakes.name)
    assert m.update(later).predict(1).mean.index[0].year == 2009

    mu, var = np.array([[0.0, 0.0], [4.0, 4.0]]), np.ones((2, 2))
    g = HMM.from_params(
        initial=[0.5, 0.5],
        transition=[[0.9, 0.1], [0.1, 0.9]],
        emission=seqkit.Normal(mean=mu, var=var, covariance="diag"),
    )
    for X in (frame_b.to_numpy(), frame_b):
        assert np.isfinite(g.log_likelihood(X))
        assert g.decode(X).tolist() == [1] * 40 and g.decode_proba(X).shape == (40, 2)


# -- verbs against enumeration ---------------------------------------------------------------------


def test_posteriors_are_those_of_all_paths():
    model, logs = normal_three()
    total, both = posterior(PI, A3, logs)
    np.testing.assert_allclose(model.log_likelihood(Y), total, rtol=1e-12)
    np.testing.assert_allclose(model.decode_proba(Y), both, atol=1e-12)
    np.testing.assert_allclose(model.smooth(Y), both, atol=1e-12)
    for t in range(len(Y)):
        past = posterior(PI, A3, logs[: t + 1])[1][-1]
        np.testing.assert_allclose(model.filter(Y).iloc[t], past, atol=1e-12)
    np.testing.assert_allclose(model.score(Y), total / 5)


@pytest.mark.parametrize("lag", [0, 1, 2, 9])
def test_fixed_lag_smoothing_sees_so_many_steps_ahead(lag):
    model, logs = normal_three()
    found = model.smooth({"a": Y, "b": Y[:3]}, lag=lag)  # two sequences: none looks into the other
    for name, length in (("a", 6), ("b", 3)):
        for t in range(length):
            want = posterior(PI, A3, logs[: min(t + lag + 1, length)])[1][t]
            np.testing.assert_allclose(found.loc[name].iloc[t], want, atol=1e-12)


def test_k_best_paths_are_the_best_of_all():
    model, logs = normal_three()
    paths, scores = every_path(PI, A3, logs)
    order = np.argsort(-scores, kind="stable")[:8]
    frame, found = model.decode_k_best(Y, k=8)
    np.testing.assert_allclose(found, scores[order], rtol=1e-12)
    assert [tuple(frame[c]) for c in frame] == [paths[i] for i in order]
    np.testing.assert_array_equal(frame.iloc[:, 0], model.decode(Y))
    few, _ = model.decode_k_best(Y[:1], k=8)
    assert few.shape == (1, 3)  # three paths are all there are


@pytest.mark.parametrize("kind", ["known", "forbidden", "both"])
def test_constrained_paths_are_the_best_that_are_allowed(kind):
    model, logs = normal_three()
    known = [None, None, 0, None, None, None] if kind != "forbidden" else None
    ruled = np.zeros((6, 3), dtype=bool)
    ruled[4, 2] = ruled[0, 0] = True
    forbidden = ruled if kind != "known" else None
    allowed = np.ones((6, 3), dtype=bool) if forbidden is None else ~ruled
    if known is not None:
        allowed[2] &= [True, False, False]
    logs = np.where(allowed, logs, -np.inf)
    paths, scores = every_path(PI, A3, logs)
    options = {"known": known, "forbidden": forbidden}
    assert tuple(model.decode(Y, **options)) == paths[int(np.argmax(scores))]
    np.testing.assert_allclose(
        model.decode_proba(Y, **options), posterior(PI, A3, logs)[1], atol=1e-12
    )


def test_forbidden_states_by_name():
    hmm = weather()
    ruled = pd.DataFrame({"Rainy": [False, True, False]})
    assert hmm.decode(WORDS, forbidden=ruled).tolist() == ["Sunny", "Sunny", "Rainy"]
    assert hmm.decode(WORDS, known=["Rainy", None, None])[0] == "Rainy"


def test_drawn_paths_have_the_posterior_frequencies():
    model, logs = normal_three()
    drawn = model.sample_states(4000, Y, seed=1).to_numpy()
    share = (drawn[:, :, None] == np.arange(3)).mean(1)
    np.testing.assert_allclose(share, posterior(PI, A3, logs)[1], atol=0.04)


def test_missing_elements_are_marginalised_channel_by_channel():
    rng = np.random.default_rng(4)
    mean = rng.normal(size=(2, 3))
    root = rng.normal(size=(2, 3, 3))
    cov = root @ np.swapaxes(root, 1, 2) + 0.5 * np.eye(3)
    x = rng.normal(size=(6, 3))
    x[1, 0] = x[2, 1:] = x[3] = x[5, 2] = np.nan
    logs = np.zeros((6, 2))
    for t, k in itertools.product(range(6), range(2)):
        seen = ~np.isnan(x[t])
        if seen.any():
            part = cov[k][np.ix_(seen, seen)]
            logs[t, k] = stats.multivariate_normal(mean[k][seen], part).logpdf(x[t][seen])
    start, moves = np.array([0.4, 0.6]), np.array([[0.8, 0.2], [0.3, 0.7]])
    model = HMM.from_params(
        initial=start, transition=moves, emission=Normal(mean=mean, cov=cov, covariance="full")
    )
    total, both = posterior(start, moves, logs)
    np.testing.assert_allclose(model.log_likelihood(x), total, rtol=1e-11)
    np.testing.assert_allclose(model.decode_proba(x), both, atol=1e-11)


def test_forecasts_are_mixtures_of_what_the_states_emit(quakes):
    m = HMM(3, emission=Poisson(), initial="stationary").fit(quakes)
    law, moves = m.filter(quakes).iloc[-1].to_numpy(), m.transition_.to_numpy()
    ahead = np.stack([law @ np.linalg.matrix_power(moves, h) for h in range(1, 5)])
    np.testing.assert_allclose(m.predict_states(4), ahead, rtol=1e-10)
    forecast = m.predict(4)
    rate = m.emission_.rate
    np.testing.assert_allclose(forecast.mean, ahead @ rate)
    var = ahead @ (rate + rate**2) - (ahead @ rate) ** 2
    np.testing.assert_allclose(forecast.scale, np.sqrt(var))
    cdf = (ahead * stats.poisson(rate).cdf(15)).sum(1)
    np.testing.assert_allclose(np.ravel(forecast.distribution.cdf(15.0)), cdf)
    quantiles = forecast.quantile(0.9).to_numpy()
    level = [(a * stats.poisson(rate).cdf(q)).sum() for a, q in zip(ahead, quantiles, strict=True)]
    below = [
        (a * stats.poisson(rate).cdf(q - 1)).sum() for a, q in zip(ahead, quantiles, strict=True)
    ]
    assert np.all(np.array(level) >= 0.9) and np.all(np.array(below) < 0.9)


def test_sampled_futures_stay_in_their_states():
    """Paths are drawn jointly: what follows a step in the high state is high as well."""
    sticky = HMM.from_params(
        initial=[0.5, 0.5], transition=[[0.99, 0.01], [0.01, 0.99]], emission=Normal([0.0, 9.0], 1)
    )
    paths = sticky.update(np.array([4.5])).predict(2).sample(2000, seed=0)
    assert np.corrcoef(paths.to_numpy())[0, 1] > 0.8


TAKEN = {
    "poisson": (Poisson(), 1),
    "normal": (Normal(), 2),
    "full": (Normal(covariance="full"), 2),
    "student": (StudentT(df=5.0), 1),
    "mixture": (GaussianMixture(2), 2),
    "product": (Product([Poisson(), Normal()]), 2),
    "autoregression": (LinearAutoregression(1), 1),
}


@pytest.mark.parametrize("name", TAKEN)
def test_forecasts_of_panels_can_be_taken_apart(name):
    family, channels = TAKEN[name]
    rng = np.random.default_rng(0)
    panel = {k: rng.poisson(4.0, (40, channels)) + 1.0 for k in "abc"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        whole = HMM(2, family, max_iter=10).fit(panel).predict(3).distribution
    assert whole.shape == (3, 3, channels)
    middle, y = whole.quantile(0.7), rng.poisson(4.0, whole.shape) + 1.0
    for key in (slice(1, 2), slice(0, 3, 2), np.array([2, 0]), (slice(None), 1)):
        part = whole[key]
        np.testing.assert_allclose(part.mean, whole.mean[key], rtol=1e-10)
        np.testing.assert_allclose(part.quantile(0.7), middle[key], rtol=1e-6)
        np.testing.assert_allclose(part.log_prob(y[key]), whole.log_prob(y)[key], rtol=1e-8)


@pytest.mark.parametrize(
    "scale", [seqkit.Standard(), seqkit.Log(), seqkit.BoxCox(0.5)], ids=["standard", "log", "root"]
)
def test_forecasts_of_scaled_models(scale):
    """In the units of the data: means, quantiles and densities agree with draws, and with one-step densities."""
    rng = np.random.default_rng(0)
    panel = {
        k: np.exp(rng.normal(np.repeat([0.0, 1.5], 30), 0.5)) * s for k, s in (("a", 1), ("b", 3))
    }
    m = HMM(2, Normal(), scale=scale, tol=1e-5).fit(panel)
    law = m.predict(2).distribution
    drawn = law.sample(4000, np.random.default_rng(0))
    np.testing.assert_allclose(law.mean, drawn.mean(0), rtol=0.1)
    np.testing.assert_allclose(law.quantile(0.8), np.quantile(drawn, 0.8, axis=0), rtol=0.1)
    np.testing.assert_allclose(law.cdf(np.quantile(drawn, 0.3, axis=0)), 0.3, atol=0.04)
    steps = m.one_step(panel).log_prob(np.concatenate(list(panel.values()))[:, None])
    np.testing.assert_allclose(m.log_likelihood(panel), steps.sum(), rtol=1e-9)
    assert np.isfinite(m.predict(2).to_frame()).all(axis=None)


def test_models_are_compared_on_panels():
    rng = np.random.default_rng(0)
    panel = {k: rng.normal(size=40) for k in "abc"}
    models = {"HMM": HMM(2, Normal(), max_iter=5, tol=1e-2), "Mean": seqkit.Mean()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = seqkit.compare(
            models, {"p": panel}, 2, 2, metrics=["crps", "log_score"], progress=False
        )
    assert np.isfinite(found.leaderboard[["crps", "log_score"]]).all(axis=None)
    assert not len(found.failures)


# -- update ----------------------------------------------------------------------------------------


def covariates_of(y: Any) -> pd.DataFrame:
    return pd.DataFrame({"z": np.sin(np.arange(len(y)) / 5)}, index=y.index)


KINDS_OF_CHAIN = {
    "plain": ({}, False),
    "durations": ({"durations": Poisson(), "max_duration": 20}, False),
    "softmax": ({"transition": seqkit.SoftmaxTransition(ridge=0.1)}, True),
}


@pytest.mark.parametrize("kind", KINDS_OF_CHAIN)
def test_update_is_a_filter_over_all_data(kind):
    options, needs = KINDS_OF_CHAIN[kind]
    y = counts(160)
    z = covariates_of(y)
    given = (lambda part: {"covariates": z.loc[part.index]}) if needs else lambda part: {}
    m = HMM(2, emission=Poisson(), tol=1e-6, **options).fit(y[:120], **given(y[:120]))
    whole = m.filter(y, **given(y)).iloc[-1].to_numpy()
    for part in (y[120:121], y[121:150], y[150:]):
        m.update(part, **given(part))
    ends = m._ends[0].law
    np.testing.assert_allclose(ends if ends.ndim == 1 else ends.sum(1), whole, atol=1e-10)
    if kind == "plain":
        np.testing.assert_allclose(m.predict_states(1), [whole @ m.transition_.to_numpy()])


def test_update_of_an_autoregression_remembers_what_came_before():
    rng = np.random.default_rng(0)
    y = pd.Series(np.cumsum(rng.normal(size=150)) * 0.3)
    m = HMM(2, LinearAutoregression(2), tol=1e-5).fit(y[:100])
    whole = m.filter(y).iloc[-1].to_numpy()
    m.update(y[100:101]).update(y[101:])
    np.testing.assert_allclose(m._ends[0].law, whole, atol=1e-10)
    np.testing.assert_array_equal(m._ends[0].past.ravel(), y[-2:])


def test_update_of_a_panel_and_of_given_parameters():
    model, _ = normal_three()
    with pytest.raises(NotFittedError, match="update"):
        model.predict(1)
    model.update({"a": Y, "b": Y[:2]}).update({"a": Y[:1], "b": Y[2:]})
    want = [model.filter(np.append(Y, Y[0])).iloc[-1], model.filter(Y).iloc[-1]]
    found = model.predict_states(1)
    np.testing.assert_allclose(found, np.stack(want) @ A3, rtol=1e-10)


def test_update_finds_its_series_by_name():
    model, _ = normal_three()
    model.update({"a": Y, "b": Y[:2]})
    before = model.predict_states(1).loc["a"].to_numpy()
    model.update({"b": Y[2:]})
    np.testing.assert_array_equal(model.predict_states(1).loc["a"], before)
    want = model.filter(Y).iloc[-1].to_numpy() @ A3
    np.testing.assert_allclose(model.predict_states(1).loc["b"], [want], rtol=1e-10)
    with pytest.raises(ValueError, match="'c'"):
        model.update({"c": Y})


@pytest.mark.parametrize("kind", KINDS_OF_CHAIN)
def test_paths_of_forecasts_and_samples_follow_the_chain(kind):
    options, needs = KINDS_OF_CHAIN[kind]
    y = counts(150)
    z = covariates_of(y)
    m = HMM(2, Poisson(), tol=1e-5, **options).fit(y, **({"covariates": z} if needs else {}))
    later = pd.DataFrame({"z": [1.0, -1.0, 0.5]}, index=[150, 151, 152])
    given = {"covariates": later} if needs else {}
    paths = m.predict(3, **given).distribution.paths[:, 0]
    np.testing.assert_allclose((paths == 1).mean(0), m.predict_states(3, **given)[1], atol=0.06)
    if not needs:
        drawn = m.sample(300, length=6, seed=1, states=True)
        state = drawn["state"].to_numpy(int).reshape(300, 6)
        chain = m._parameters.chain
        stays = (state[:, 1] == 0)[state[:, 0] == 0].mean() if (state[:, 0] == 0).any() else 1.0
        want = 1 - chain.durations[0, 0] if kind == "durations" else chain.transition[0, 0]
        np.testing.assert_allclose(stays, want, atol=0.08)
        rate = [drawn.iloc[:, 0][(drawn["state"] == k).to_numpy()].mean() for k in (0, 1)]
        np.testing.assert_allclose(rate, m.emission_.rate, rtol=0.1)


# -- one-step predictions --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [*KINDS_OF_CHAIN, "autoregression", "regression"])
def test_one_step_predictions_multiply_to_the_likelihood(kind):
    y = counts(90)
    y.iloc[20:22] = np.nan
    z = covariates_of(y)
    options, needs = KINDS_OF_CHAIN.get(kind, ({}, kind == "regression"))
    family = {"autoregression": LinearAutoregression(2), "regression": LinearRegression()}
    m = HMM(2, family.get(kind, Poisson()), tol=1e-5, **options)
    given = {"covariates": z} if needs else {}
    m.fit(y, **given)
    density = m.one_step(y, **given).log_prob(y.to_numpy()[:, None])
    counted = ~np.isnan(density)
    assert counted.sum() == (88 - 4 if kind == "autoregression" else 88)
    total = m.log_likelihood(y, **given)
    np.testing.assert_allclose(density[counted].sum(), total, rtol=1e-10)
    np.testing.assert_allclose(m.score(y, **given), total / counted.sum(), rtol=1e-10)


def test_forecasts_of_an_autoregression_whose_last_value_is_missing():
    rng = np.random.default_rng(0)
    y = np.zeros(200)
    for t in range(1, 200):
        y[t] = 5.0 + 0.9 * y[t - 1] + 0.1 * rng.normal()
    y[-1] = np.nan
    m = HMM(1, LinearAutoregression(1)).fit(y)
    want, forecast = y[-2], m.predict(3)
    phi, mean = np.ravel(m.emission_.coef)[0], np.ravel(m.emission_.intercept)[0]
    for h in range(4):
        want = mean + phi * want
        if h:
            np.testing.assert_allclose(forecast.mean.iloc[h - 1], want, atol=0.05)
    short = HMM(2, LinearAutoregression(1), tol=1e-5).fit(np.append(y, [np.nan, np.nan]))
    assert np.isfinite(short.predict(2).to_frame()).all(axis=None)


def test_forecasts_of_an_autoregression_are_those_of_its_paths():
    m = HMM.from_params(
        initial=[0.5, 0.5],
        transition=[[0.9, 0.1], [0.1, 0.9]],
        emission=LinearAutoregression(1, [[0.5], [-0.5]], [0.0, 10.0], [1.0, 0.25]),
    )
    m.update(np.array([0.0, 0.1, -0.4, 0.3]))
    law = m.predict_states(1).to_numpy()[0]
    forecast = m.predict(2)
    np.testing.assert_allclose(forecast.mean.iloc[0], law @ [0.15, 9.85], atol=0.4)
    assert forecast.interval(90).iloc[0]["hi"] > 5.0  # the other state shows


# -- learning --------------------------------------------------------------------------------------


def test_all_states_known_is_counting():
    y = [[1.0, 2.0, 9.0, 8.0], [7.0, 1.0]]
    labels = [["low", "low", "high", "high"], ["high", "low"]]
    m = HMM(emission=Poisson()).fit([np.array(v) for v in y], labels)
    names = m.initial_.index.tolist()
    assert sorted(names) == ["high", "low"]
    np.testing.assert_allclose(m.initial_[["low", "high"]], [0.5, 0.5])
    moves = m.transition_.loc[["low", "high"], ["low", "high"]]
    np.testing.assert_allclose(moves, [[0.5, 0.5], [0.5, 0.5]])
    rate = dict(zip(names, m.emission_.rate, strict=True))
    np.testing.assert_allclose([rate["low"], rate["high"]], [4 / 3, 8.0])
    assert m.score([np.array(v) for v in y], labels) == 1.0


def test_no_state_known_is_expectation_maximisation():
    y = counts(150)
    plain = HMM(2, emission=Poisson()).fit(y)
    blank = HMM(2, emission=Poisson(), states=[0, 1]).fit(y, [None] * len(y))
    np.testing.assert_allclose(blank.log_likelihood_, plain.log_likelihood_, rtol=1e-8)
    np.testing.assert_allclose(np.sort(blank.emission_.rate), plain.emission_.rate, rtol=1e-4)


def test_some_states_known():
    truth = HMM.from_params(
        initial=[0.5, 0.5],
        transition=[[0.8, 0.2], [0.3, 0.7]],
        emission=Normal([0.0, 0.5], 1.0),
        states=["b", "a"],
    )
    y, states = simulated(truth, 400, seed=3)
    labels = states.where(np.random.default_rng(0).random(len(y)) < 0.5, None)
    m = HMM(emission=Normal(), states=["b", "a"], max_iter=60, tol=1e-4).fit(y, labels)
    assert np.diff(m.history_).min() >= -1e-9 * abs(m.history_[-1])
    known = m.decode_proba(y, known=labels)
    seen = labels.notna()
    np.testing.assert_allclose(
        known[seen].to_numpy()[np.arange(seen.sum()), (labels[seen] == "a").astype(int)], 1.0
    )
    error = np.abs(m.emission_.mean - [0.0, 0.5])
    assert error.max() < 4 * np.sqrt(1 / 100)
    part = (y[:6], labels[:6])  # the likelihood is that of the data and the known states
    short = HMM.from_params(
        initial=m.initial_, transition=m.transition_, emission=m.emission_, states=["b", "a"]
    )
    logs = stats.norm(m.emission_.mean, m.emission_.scale).logpdf(part[0].to_numpy()[:, None])
    told = np.array([[v is None or v != v or v == s for s in ("b", "a")] for v in part[1]])
    _, want = posterior(
        m.initial_.to_numpy(), m.transition_.to_numpy(), np.where(told, logs, -np.inf)
    )
    np.testing.assert_allclose(short.decode_proba(part[0], known=part[1]), want, atol=1e-12)


def test_labels_belong_to_the_likelihood():
    """Labels are data: the likelihood is joint with them, and so are errors and posteriors of the fit's own data."""
    truth = HMM.from_params(
        initial=[0.5, 0.5],
        transition=[[0.8, 0.2], [0.3, 0.7]],
        emission=Normal([0.0, 2.0], 1.0),
        states=["b", "a"],
    )
    y, states = simulated(truth, 300, seed=3)
    most = states.copy()
    most.iloc[150] = None
    settings = {"initial": "uniform", "states": ["b", "a"]}
    whole, part = (HMM(emission=Normal(), **settings).fit(y, v) for v in (states, most))
    assert abs(whole.log_likelihood_ - part.log_likelihood_) < 3.0
    joint = (
        np.log(0.5)
        + stats.norm(whole.emission_.mean, whole.emission_.scale)
        .logpdf(y.to_numpy()[:, None])[np.arange(300), (states == "a").astype(int)]
        .sum()
    )
    moves = pd.crosstab(states.iloc[:-1].to_numpy(), states.iloc[1:].to_numpy())
    joint += (moves * np.log(whole.transition_)).to_numpy().sum()
    np.testing.assert_allclose(whole.log_likelihood_, joint, rtol=1e-10)
    errors = whole.standard_errors()["standard_error"]
    n = (states == "b").sum()
    np.testing.assert_allclose(errors["mean", "b", ""], whole.emission_.scale[0] / np.sqrt(n), 1e-3)
    p, left = whole.transition_.loc["b", "a"], moves.loc["b"].sum()
    np.testing.assert_allclose(errors["transition", "b", "a"], np.sqrt(p * (1 - p) / left), 1e-3)
    assert whole.decode().tolist() == states.tolist()
    assert part.decode().drop(150).tolist() == states.drop(150).tolist()
    free = np.zeros((300, 2), dtype=bool)  # a constraint comes on top of the labels
    assert part.decode(forbidden=free).drop(150).tolist() == states.drop(150).tolist()


def test_one_step_of_learning_is_that_of_the_textbook():
    """Two sequences of unequal length: expected counts by enumeration, then their shares."""
    parts = [Y[:4], Y[2:]]
    start = HMM.from_params(initial=PI, transition=A3, emission=Normal(MU, SD))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        m = HMM(3, emission=Normal(floor=0.0), start=start, max_iter=1).fit(parts)
    first, moves = np.zeros(3), np.zeros((3, 3))
    weight, values = [], np.concatenate(parts)
    for y in parts:
        logs = np.nan_to_num(stats.norm(MU, SD).logpdf(y[:, None]))
        paths, scores = every_path(PI, A3, logs)
        w = np.exp(scores - np.logaddexp.reduce(scores))
        weight.append(posterior(PI, A3, logs)[1])
        for path, share in zip(paths, w, strict=True):
            first[path[0]] += share
            for a, b in itertools.pairwise(path):
                moves[a, b] += share
    seen, w = ~np.isnan(values), np.concatenate(weight)
    x, w = values[seen], w[seen]
    mean = x @ w / w.sum(0)
    var = np.array([((x - mean[k]) ** 2) @ w[:, k] for k in range(3)]) / w.sum(0)
    np.testing.assert_allclose(m.initial_, first / 2, atol=1e-12)
    np.testing.assert_allclose(m.transition_, moves / moves.sum(1, keepdims=True), atol=1e-12)
    np.testing.assert_allclose(m.emission_.mean, mean, atol=1e-12)
    np.testing.assert_allclose(m.emission_.var, var, atol=1e-12)
    np.testing.assert_allclose(
        m.log_likelihoods(parts).sum(), sum(m.log_likelihood(p) for p in parts)
    )


TOPOLOGIES = {
    "left-right": lambda i, j: j in (i, i + 1),
    "bakis": lambda i, j: j in (i, i + 1, i + 2),
    "cyclic": lambda i, j: j in (i, (i + 1) % 4),
}


@pytest.mark.parametrize("name", TOPOLOGIES)
def test_topologies_keep_their_zeros(name):
    rng = np.random.default_rng(0)
    parts = [np.repeat([0.0, 3.0, 6.0, 9.0], 8) + rng.normal(size=32) for _ in range(4)]
    m = HMM(4, transition=name, tol=1e-5).fit(parts)
    allowed = np.array([[TOPOLOGIES[name](i, j) for j in range(4)] for i in range(4)])
    assert np.all(m.transition_.to_numpy()[~allowed] == 0.0)
    np.testing.assert_allclose(m.transition_.sum(axis=1), 1.0)
    if name != "cyclic":
        assert m.initial_.tolist() == [1.0, 0.0, 0.0, 0.0]
        np.testing.assert_allclose(m.emission_.mean, [0, 3, 6, 9], atol=1.0)
        assert (np.diff(m.decode(parts[0])) >= 0).all()
    start = 0 if name != "cyclic" else 3
    assert m.n_parameters_ == (allowed.sum(1) - 1).sum() + 8 + start


def test_numbers_stay_and_nan_is_learnt():
    y, nan = counts(300), np.nan
    m = HMM(
        3,
        emission=Poisson([2.5, nan, nan]),
        transition=[[0.9, nan, 0.0], [nan, nan, nan], [nan, 0.05, nan]],
        initial=[0.25, nan, nan],
        tol=1e-4,
    ).fit(y)
    moves = m.transition_.to_numpy()
    assert m.emission_.rate[0] == 2.5 and np.all(m.emission_.rate[1:] != 2.5)
    assert (moves[0, 0], moves[0, 2], moves[2, 1]) == (0.9, 0.0, 0.05)
    np.testing.assert_allclose(moves.sum(1), 1.0)
    assert m.initial_[0] == 0.25 and abs(m.initial_.sum() - 1) < 1e-12
    assert np.diff(m.history_).min() >= -1e-9 * abs(m.history_[-1])
    assert m.n_parameters_ == 1 + 0 + 2 + 1 + 2
    table = m.standard_errors()["standard_error"]
    assert np.isnan(table["rate", 0, ""]) and table["rate", 1, ""] > 0


NAN = np.nan
PARTLY = {
    "poisson": Poisson([2.5, NAN]),
    "negative binomial": NegativeBinomial([3.0, NAN], [NAN, 0.2]),
    "normal": Normal([1.0, NAN], var=[NAN, 1.5]),
    "spherical": Normal([[1.0], [NAN]], var=[NAN, 1.5], covariance="spherical"),
    "full": Normal([[1.0], [NAN]], cov=[[[NAN]], [[2.0]]], covariance="full"),
    "student": StudentT([4.0, NAN], [NAN, 8.0], [1.0, NAN]),
    "gamma": Gamma([2.0, NAN], [NAN, 1.0]),
    "exponential": Exponential([0.5, NAN]),
    "von mises": VonMises([0.0, NAN], [NAN, 2.0]),
    "bernoulli": Bernoulli([0.2, NAN]),
    "categorical": Categorical([[0.2, NAN, NAN], [NAN, NAN, 0.3]]),
    "multinomial": Multinomial([[0.2, NAN, NAN], [NAN, NAN, 0.3]]),
    "regression": LinearRegression([[1.0, NAN], [NAN, NAN]], [0.0, NAN], [NAN, 1.0]),
    "autoregression": LinearAutoregression(1, [[0.5], [NAN]], [NAN, 0.0], [NAN, 1.0]),
    "mixture": GaussianMixture(2, mean=[[[0.0], [NAN]], [[NAN], [9.0]]]),
    "product": Product([Poisson([2.5, NAN]), Normal([NAN, 9.0])]),
}


@pytest.mark.parametrize("name", PARTLY)
def test_fixed_elements_of_every_family_stay(name):
    family = PARTLY[name]
    rng = np.random.default_rng(0)
    state = np.repeat([0, 1, 0, 1], 20)
    x: Any = rng.poisson(np.array([2.0, 9.0])[state])[:, None] + 1.0
    if name in ("bernoulli", "categorical"):
        x = np.minimum(x > 4, 1.0) if name == "bernoulli" else np.minimum(x // 4, 2.0)
    elif name == "multinomial":
        x = rng.multinomial(6, np.array([[0.2, 0.5, 0.3], [0.5, 0.2, 0.3]])[state]).astype(float)
    elif name == "von mises":
        x = rng.vonmises(np.array([0.0, 2.0])[state], 3.0)[:, None]
    elif name == "product":
        x = np.column_stack([x[:, 0], rng.normal(np.array([0.0, 9.0])[state])])
    z = {"covariates": rng.normal(size=(80, 2))} if name == "regression" else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        m = HMM(2, family, max_iter=30).fit(x, **z)
    assert np.diff(m.history_).min() >= -1e-9 * abs(m.history_[-1])
    found, asked = m.emission_.parameters(), family.parameters()
    kept = 0
    for key, given in asked.items():
        value, given = found[key], np.broadcast_to(given, found[key].shape)
        fixed = ~np.isnan(given)
        np.testing.assert_allclose(value[fixed], given[fixed], rtol=1e-12)
        assert np.isfinite(value).all()
        kept += fixed.sum()
    assert kept


def test_known_parameters_of_channels_and_symbols_stay():
    rng, nan = np.random.default_rng(0), np.nan
    x = np.concatenate([rng.normal(0, 1, (80, 2)), rng.normal(4, 1, (80, 2))])
    m = HMM(2, Normal(mean=[[0.0, nan], [nan, 4.5]], covariance="full")).fit(x)
    assert m.emission_.mean[0, 0] == 0.0 and m.emission_.mean[1, 1] == 4.5
    np.testing.assert_allclose(m.emission_.mean[[0, 1], [1, 0]], [0.0, 4.0], atol=0.6)
    symbols = rng.choice(["x", "y", "z"], 90).tolist()
    shares = [[0.2, nan, nan], [nan, nan, 0.0]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        c = HMM(2, Categorical(shares, symbols=["x", "y", "z"]), max_iter=30).fit(symbols)
    p = c.emission_.probabilities
    assert p[0, 0] == 0.2 and p[1, 2] == 0.0
    np.testing.assert_allclose(p.sum(1), 1.0)


def test_priors_have_their_closed_form():
    """With all states known the posterior mode is that of the textbook (Gelman et al. 2013)."""
    y = np.array([1.0, 3.0, 2.0, 8.0, 10.0, 9.0, 2.0])
    labels = [0, 0, 0, 1, 1, 1, 0]
    low, high = np.array([1.0, 3.0, 2.0, 2.0]), np.array([8.0, 10.0, 9.0])
    settings = {"transition_prior": [[3.0, 2.0], [1.5, 4.0]], "initial_prior": [2.0, 5.0]}
    m = HMM(2, Poisson(prior=Gamma(4.0, 0.5)), states=[0, 1], **settings).fit(y, labels)
    seen, before = np.array([[2.0, 1.0], [1.0, 2.0]]), np.array([[2.0, 1.0], [0.5, 3.0]])
    moves = seen + before
    np.testing.assert_allclose(m.transition_, moves / moves.sum(1, keepdims=True))
    np.testing.assert_allclose(m.initial_, [2 / 6, 4 / 6])
    np.testing.assert_allclose(m.emission_.rate, [(8 + 3) / 4.5, (27 + 3) / 3.5])

    prior = NormalInverseWishart(mean=5.0, strength=2.0, scale=3.0, dof=6.0)
    n = HMM(2, Normal(covariance="full", prior=prior), states=[0, 1]).fit(y, labels)
    for k, x in enumerate((low, high)):
        mean = (x.sum() + 2.0 * 5.0) / (len(x) + 2.0)
        scatter = ((x - mean) ** 2).sum() + 2.0 * (mean - 5.0) ** 2 + 3.0
        np.testing.assert_allclose(np.ravel(n.emission_.mean)[k], mean)
        np.testing.assert_allclose(np.ravel(n.emission_.cov)[k], scatter / (len(x) + 6.0 + 1 + 2))

    s = ["x", "x", "y", "y", "y", "x", "x"]
    c = HMM(2, Categorical(prior=[2.0, 4.0]), states=[0, 1]).fit(s, labels)
    np.testing.assert_allclose(c.emission_.probabilities, [[4 / 8, 4 / 8], [2 / 7, 5 / 7]])


def test_learning_with_priors_raises_the_posterior_density(quakes):
    settings = {"transition_prior": 3.0 * np.eye(3) + 1, "initial_prior": 2.0}
    prior = Gamma(20.0, 1.0)
    m = HMM(3, Poisson(prior=prior), **settings).fit(quakes)
    assert np.diff(m.history_).min() >= -1e-9 * abs(m.history_[-1])
    log_prior = (19 * np.log(m.emission_.rate) - m.emission_.rate).sum()
    log_prior += 3 * np.log(np.diag(m.transition_)).sum() + np.log(m.initial_).sum()
    np.testing.assert_allclose(m.history_[-1], m.log_likelihood_ + log_prior, rtol=1e-10)
    direct = HMM(3, Poisson(prior=prior), **settings, method="gradient", start=m).fit(quakes)
    np.testing.assert_allclose(direct.history_[-1], m.history_[-1], rtol=1e-7)


def test_threads_do_not_change_the_fit(quakes):
    one, two = (
        HMM(3, emission=Poisson(), n_init=4, seed=5, n_jobs=jobs).fit(quakes) for jobs in (1, 2)
    )
    assert one.starts_ == two.starts_ and one.log_likelihood_ == two.log_likelihood_
    parts = [counts(n, seed=n).to_numpy() for n in (40, 70, 25, 90, 5)]
    one, two = (HMM(2, emission=Poisson(), n_jobs=jobs).fit(parts) for jobs in (1, 3))
    np.testing.assert_allclose(one.history_, two.history_, rtol=1e-10)
    np.testing.assert_allclose(one.emission_.rate, two.emission_.rate, rtol=1e-8)
    x = [np.column_stack([p, p + 1.0]) for p in parts]
    x[1][3, 0] = np.nan
    family = Product([Poisson(), Normal()])
    one, two = (HMM(2, emission=family, n_jobs=jobs, tol=1e-6).fit(x) for jobs in (1, 2))
    np.testing.assert_allclose(one.log_likelihood_, two.log_likelihood_, rtol=1e-10)


@pytest.mark.parametrize("start", ["stationary", None])
def test_gradient_and_em_reach_the_same_optimum(quakes, start):
    em, direct = (
        HMM(2, emission=Poisson(), initial=start, method=method).fit(quakes)
        for method in ("em", "gradient")
    )
    np.testing.assert_allclose(direct.log_likelihood_, em.log_likelihood_, rtol=1e-7)
    np.testing.assert_allclose(direct.emission_.rate, em.emission_.rate, rtol=1e-3)


def test_gradient_reaches_the_optimum_of_dispersions():
    rng = np.random.default_rng(0)
    x = np.round(np.r_[rng.gamma(3, 1, 100), rng.gamma(3, 5, 100)])
    em, direct = (
        HMM(2, NegativeBinomial(), initial="uniform", method=method).fit(x)
        for method in ("em", "gradient")
    )
    np.testing.assert_allclose(direct.log_likelihood_, em.log_likelihood_, rtol=1e-6)


def test_gradient_reaches_the_optimum_of_covariances():
    rng = np.random.default_rng(2)
    x = np.concatenate([rng.normal(0, 1, (80, 2)), rng.normal(3, 2, (80, 2))]) @ [[1, 0.4], [0, 1]]
    em, direct = (
        HMM(2, Normal(covariance="full"), initial="uniform", method=method).fit(x)
        for method in ("em", "gradient")
    )
    np.testing.assert_allclose(direct.log_likelihood_, em.log_likelihood_, rtol=1e-7)


# family, channels, free numbers of two states beside 1 (initial) + 2 (transition)
SIZES = [
    (Normal(covariance="spherical"), 2, 4 + 2),
    (Normal(covariance="diag"), 2, 4 + 4),
    (Normal(covariance="full"), 2, 4 + 6),
    (Normal(covariance="tied"), 2, 4 + 3),
    (GaussianMixture(2), 2, 2 + 8 + 8),
    (GaussianMixture(2, covariance="full"), 2, 2 + 8 + 12),
    (GaussianMixture(2, covariance="tied"), 2, 2 + 8 + 6),
    (StudentT(), 2, 12),
    (StudentT(df=4.0), 2, 8),
    (LinearAutoregression(2), 2, 2 * (2 * 4 + 2 + 2)),
    (LinearRegression(), 1, 2 * (2 + 1 + 1)),
    (Gamma(), 2, 8),
    (VonMises(), 1, 4),
    (Exponential(), 2, 4),
    (Product([Gamma(), Normal()]), 2, 4 + 4),
]


@pytest.mark.parametrize(
    ("family", "channels", "size"), SIZES, ids=[f"{f!r}-{c}" for f, c, _ in SIZES]
)
def test_gradients_are_those_of_the_likelihood(family, channels, size):
    """Fisher's identity against differences of the objective, with a missing element; and the count of parameters."""
    from seqkit.models.markov._hmm_information import Coordinates

    rng = np.random.default_rng(0)
    x = rng.gamma(3.0, np.repeat([1.0, 2.0], 15)[:, None], (30, channels))
    x[3, 0] = np.nan
    z = {"covariates": rng.normal(size=(30, 2))} if type(family) is LinearRegression else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        start = "stationary" if channels == 1 else None
        m = HMM(2, family, initial=start, max_iter=2, transition_prior=1.5).fit(x, **z)
    assert m.n_parameters_ == size + 2 + (channels == 2)
    evidence = m._evidence()
    space = Coordinates(m._parameters, m._moves(2, m._data, m._seen_inputs), 1.0)
    at = space.start() + 0.02 * rng.normal(size=len(space.start()))
    _, slope = space.score(at, evidence)
    for way in rng.normal(size=(2, len(at))):
        ends = [space.score(at + step * way, evidence)[0] for step in (1e-5, -1e-5)]
        np.testing.assert_allclose(slope @ way, (ends[0] - ends[1]) / 2e-5, rtol=1e-4, atol=1e-4)


def test_viterbi_training_ends_at_a_path_that_explains_its_own_parameters():
    y = counts(300)
    m = HMM(2, emission=Poisson(), method="viterbi").fit(y)
    path = m.decode(y).to_numpy()
    np.testing.assert_allclose(m.emission_.rate, [y[path == k].mean() for k in (0, 1)])
    assert np.diff(m.history_).min() >= -1e-9


@pytest.mark.parametrize("start", ["uniform", "stationary"])
def test_standard_errors_are_those_of_the_numerical_hessian(start):
    y = counts(250)
    m = HMM(2, emission=Poisson(), initial=start).fit(y)
    first = [0.5, 0.5] if start == "uniform" else start

    def value(v: np.ndarray) -> float:
        moves = [[1 - v[2], v[2]], [v[3], 1 - v[3]]]
        law = HMM.from_params(initial=first, transition=moves, emission=Poisson(v[:2]))
        return law.log_likelihood(y)

    A = m.transition_.to_numpy()
    at = np.array([*m.emission_.rate, A[0, 1], A[1, 0]])
    step = 1e-3 * at
    H = np.empty((4, 4))
    for i, j in itertools.product(range(4), repeat=2):
        a, b = np.eye(4)[i] * step, np.eye(4)[j] * step
        corners = value(at + a + b) - value(at + a - b) - value(at - a + b) + value(at - a - b)
        H[i, j] = corners / (4 * step[i] * step[j])
    want = np.sqrt(np.diag(np.linalg.inv(-H)))
    table = m.standard_errors()
    keys = [("rate", 0, ""), ("rate", 1, ""), ("transition", 0, 1), ("transition", 1, 0)]
    np.testing.assert_allclose([table.loc[k, "standard_error"] for k in keys], want, rtol=1e-3)
    np.testing.assert_allclose([table.loc[k, "estimate"] for k in keys], at)


def test_standard_errors_of_a_single_state_are_those_of_a_sample():
    rng = np.random.default_rng(0)
    x = rng.normal(3.0, 2.0, 400)
    table = HMM(1, Normal()).fit(x).standard_errors()["standard_error"]
    np.testing.assert_allclose(table["mean", 0, ""], x.std() / 20, rtol=1e-4)
    np.testing.assert_allclose(table["var", 0, ""], x.var() * np.sqrt(2 / 400), rtol=1e-4)


def test_select_states(quakes):
    m = HMM(emission=Poisson(), initial="stationary")
    table = m.select_states(quakes, range(1, 4))
    np.testing.assert_allclose(
        table["log_likelihood"], [-391.9189, -342.3183, -329.4603], atol=1e-4
    )
    assert table["bic"].idxmin() == m.n_states == 3 and len(m.emission_.rate) == 3
    assert np.all(table["icl"] >= table["bic"])
    assert len(m.decode()) == 107


def test_states_are_ordered_by_what_they_emit():
    y = counts(200)
    rates = [HMM(2, emission=Poisson(), seed=s, n_init=2).fit(y).emission_.rate for s in range(3)]
    assert all(r[0] < r[1] for r in rates)


# -- symbols ---------------------------------------------------------------------------------------


def test_symbols_may_be_missing_and_unknown():
    hmm = weather()
    logs = np.log(np.array([[0.1, 0.6], [1.0, 1.0], [0.5, 0.1]]))
    total, both = posterior([0.6, 0.4], np.array([[0.7, 0.3], [0.4, 0.6]]), logs)
    np.testing.assert_allclose(hmm.log_likelihood(["Walk", None, "Clean"]), total, rtol=1e-12)
    np.testing.assert_allclose(hmm.decode_proba(["Walk", None, "Clean"]), both, atol=1e-12)
    with pytest.raises(ValueError, match=r"Swim.*unknown"):
        hmm.decode(["Walk", "Swim"])

    sentences = [["the", "dog", None], ["a", "cat", "runs"], ["the", "cat", "barks"]]
    tags = [["D", "N", "V"]] * 3
    m = HMM(emission=Categorical(unknown="<unk>")).fit(sentences, tags)
    assert m.decode(["the", "zebra", "runs"]).tolist() == ["D", "N", "V"]
    assert np.isfinite(m.log_likelihood(["zebra"]))
    np.testing.assert_allclose(m.emission_.probabilities.sum(1), 1.0)
    with pytest.raises(TypeError, match="predict_proba"):
        m.predict(1)
    ahead = m.update(["the", "dog", "runs"]) if m._header is None else m
    assert ahead.predict_proba(2).shape[1] == len(m.emission_.labels)


def test_partly_labelled_symbols_have_the_joint_likelihood():
    words, labels = ["Walk", None, "Clean", "Clean"], ["Sunny", None, None, "Rainy"]
    hmm = weather()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        m = HMM(
            emission=Categorical(symbols=WORDS), states=["Rainy", "Sunny"], start=hmm, max_iter=0
        )
        m.fit([words, ["Shop"] * 5], [labels, [None] * 5])
    table = np.array([[0.1, 0.6], [1.0, 1.0], [0.5, 0.1], [0.5, 0.1]])
    told = np.array([[False, True], [True, True], [True, True], [True, False]])
    with np.errstate(divide="ignore"):
        logs = np.where(told, np.log(table), -np.inf)
    want, _ = posterior([0.6, 0.4], np.array([[0.7, 0.3], [0.4, 0.6]]), logs)
    want += hmm.log_likelihood(["Shop"] * 5)
    np.testing.assert_allclose(m.log_likelihood_, want, rtol=1e-12)


def test_symbols_of_several_sequences_without_labels():
    rng = np.random.default_rng(0)
    parts = [rng.choice(["a", "b", "c"], n).tolist() for n in (30, 12, 45)]
    parts[1][4] = None
    m = HMM(2, Categorical(), max_iter=300, tol=1e-5, seed=1).fit(parts)
    assert np.diff(m.history_).min() >= -1e-9 * abs(m.history_[-1])
    assert m.emission_.labels == ["a", "b", "c"] or set(m.emission_.labels) == {"a", "b", "c"}
    drawn = m.sample(2, length=4, seed=0)
    assert set(drawn.iloc[:, 0]) <= {"a", "b", "c"}


def test_symbols_may_be_numbers():
    p = [[0.7, 0.2, 0.1], [0.1, 0.2, 0.7]]
    given = {"initial": [0.5, 0.5], "transition": [[0.8, 0.2], [0.3, 0.7]]}
    numbers, text = (
        HMM.from_params(**given, emission=Categorical(p, symbols=symbols))
        for symbols in ([2, 0, 1], ["b", "o", "a"])
    )
    x = [2, 2, 0, 1, 1, 0, 1]
    want = text.log_likelihood([{2: "b", 0: "o", 1: "a"}[v] for v in x])
    np.testing.assert_allclose(numbers.log_likelihood(x), want, rtol=1e-12)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        m = HMM(2, Categorical(symbols=[2, 0, 1]), max_iter=5).fit(x)
    np.testing.assert_allclose(m.log_likelihood(x), m.log_likelihood_, rtol=1e-12)


# -- durations and covariates ------------------------------------------------------------------------


def lasting(seed: int = 0) -> pd.Series:
    """Segments of 4 to 8 steps at two levels, on a calendar."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(4, 9, 40)
    level = np.repeat(np.arange(40) % 2 * 3.0, lengths)
    index = pd.date_range("2020-01-01", periods=len(level), freq="D")
    return pd.Series(level + rng.normal(size=len(level)), index, name="y")


@pytest.mark.parametrize(
    "law", [Poisson(), NegativeBinomial(), "free"], ids=["poisson", "negative binomial", "free"]
)
def test_durations_are_learnt(law, tmp_path):
    y = lasting()
    m = HMM(2, Normal(), durations=law, max_duration=15, tol=1e-6).fit(y)
    assert np.diff(m.history_).min() >= -1e-9 * abs(m.history_[-1])
    assert np.all(np.diag(m.transition_) == 0)
    plain = HMM(2, Normal()).fit(y)
    assert m.log_likelihood_ > plain.log_likelihood_ + 5
    table = m._parameters.chain.durations
    np.testing.assert_allclose(table.sum(1), 1.0)
    np.testing.assert_allclose(table @ np.arange(1, 16), 6.0, atol=1.2)
    states, forecast = m.predict_states(6), m.predict(6)
    np.testing.assert_allclose(states.sum(axis=1), 1.0)
    assert forecast.index[0] == y.index[-1] + pd.Timedelta(days=1)
    np.testing.assert_allclose(forecast.mean, states.to_numpy() @ m.emission_.mean)
    m.save(tmp_path / "model.seqkit")
    again = seqkit.load(tmp_path / "model.seqkit")
    np.testing.assert_array_equal(again.predict(6).mean, forecast.mean)
    np.testing.assert_allclose(m.score(y), m.log_likelihood_ / len(y))


def test_durations_of_geometric_law_are_a_markov_chain():
    """A hidden semi-Markov model whose durations are geometric has the likelihood of the plain one."""
    from seqkit.models.markov._hmm_durations import SemiMarkovChain
    from seqkit.models.markov._hmm_fit import Evidence

    y, stay, D = lasting()[:60], np.array([0.8, 0.6]), 200
    emission = Normal([0.0, 3.0], 1.0)
    moves = np.array([[0.8, 0.2], [0.4, 0.6]])
    plain = HMM.from_params(initial=[0.7, 0.3], transition=moves, emission=emission)
    table = (1 - stay[:, None]) * stay[:, None] ** np.arange(D)
    chain = SemiMarkovChain(np.array([0.7, 0.3]), np.eye(2)[::-1].copy(), table, None)
    rows = emission.make_rows(y.to_numpy())
    steps = Evidence(rows, np.array([0, 60])).steps(emission)
    np.testing.assert_allclose(chain.log_partition(*steps)[0], plain.log_likelihood(y), rtol=1e-10)
    np.testing.assert_allclose(
        chain.marginals(*steps).probabilities, plain.decode_proba(y), atol=1e-10
    )


def test_fixed_durations_stay_with_their_states():
    y = counts(200)
    m = HMM(2, Poisson(), durations=Poisson([3.0, np.nan]), max_duration=30, tol=1e-6).fit(y)
    assert m._parameters.chain.law.rate[0] == 3.0 and m.n_parameters_ == 2 + 1 + 0 + 1


def test_transitions_follow_covariates(tmp_path):
    rng = np.random.default_rng(1)
    index = pd.date_range("2020-01-01", periods=500, freq="D")
    z = pd.DataFrame({"z": rng.normal(size=500)}, index=index)
    state = np.zeros(500, dtype=int)
    for t in range(1, 500):  # P(other state) rises with z
        move = 1 / (1 + np.exp(2.0 - 2.5 * z["z"].iloc[t]))
        state[t] = state[t - 1] if rng.random() > move else 1 - state[t - 1]
    y = pd.Series(rng.normal(np.array([0.0, 4.0])[state], 1.0), index, name="y")
    m = HMM(2, Normal(), seqkit.SoftmaxTransition(ridge=1e-3), tol=1e-8)
    m.fit(y, covariates=z)
    assert np.diff(m.history_).min() >= -1e-9 * abs(m.history_[-1])
    plain = HMM(2, Normal()).fit(y)
    assert m.log_likelihood_ > plain.log_likelihood_ + 20
    coef = m._parameters.chain.coef / m._parameters.chain.scale
    slope = [coef[0, 1, 1] - coef[0, 0, 1], coef[1, 0, 1] - coef[1, 1, 1]]
    np.testing.assert_allclose(slope, 2.5, atol=1.2)
    later = pd.DataFrame({"z": [3.0, -3.0]}, pd.date_range("2021-05-15", periods=2, freq="D"))
    ahead = m.predict_states(2, covariates=later)
    moves = m._parameters.chain.matrix(later.to_numpy(), np.array([0, 2]))
    law = m.filter(y, covariates=z).iloc[-1].to_numpy() @ moves[0]
    np.testing.assert_allclose(ahead, [law, law @ moves[1]], atol=1e-10)
    m.save(tmp_path / "model.seqkit")
    again = seqkit.load(tmp_path / "model.seqkit")
    first, second = (v.predict(2, covariates=later) for v in (m, again))
    np.testing.assert_array_equal(first.mean, second.mean)
    with pytest.raises(ValueError, match="covariates"):
        HMM(2, Normal(), seqkit.SoftmaxTransition()).fit(y)


def test_regressions_and_autoregressions_differ_by_state():
    rng = np.random.default_rng(0)
    state = np.repeat([0, 1, 0, 1], 100)
    z = pd.DataFrame({"z": rng.normal(size=400)})
    y = pd.Series(np.array([1.0, -2.0])[state] * z["z"] + np.array([0.0, 5.0])[state])
    y += 0.3 * rng.normal(size=400)
    m = HMM(2, LinearRegression(), tol=1e-6).fit(y, covariates=z)
    order = np.argsort(np.ravel(m.emission_.intercept))
    np.testing.assert_allclose(np.ravel(m.emission_.coef)[order], [1.0, -2.0], atol=0.1)
    future = pd.DataFrame({"z": [1.0, 2.0]}, index=[400, 401])
    law = m.predict_states(2, covariates=future).to_numpy()[:, order]
    want = (law * [[1.0, 3.0], [2.0, 1.0]]).sum(1)
    np.testing.assert_allclose(m.predict(2, covariates=future).mean, want, atol=0.2)

    x = np.zeros(600)
    phi = np.repeat([0.9, -0.5], 300)
    for t in range(1, 600):
        x[t] = phi[t] * x[t - 1] + rng.normal()
    a = HMM(2, LinearAutoregression(1), tol=1e-6).fit(x)
    np.testing.assert_allclose(np.sort(np.ravel(a.emission_.coef)), [-0.5, 0.9], atol=0.15)
    assert np.all(np.isfinite(a.predict(4).to_frame()))


# -- keeping ---------------------------------------------------------------------------------------

KEPT = {
    "normal, full": lambda: Normal(covariance="full"),
    "mixture": lambda: GaussianMixture(2),
    "student": lambda: StudentT(df=5.0),
    "product": lambda: Product({"u": Normal(), "v": StudentT(df=4.0)}),
}


@pytest.mark.parametrize("name", KEPT)
def test_saved_models_are_equal(name, tmp_path):
    rng = np.random.default_rng(0)
    x = pd.DataFrame(rng.normal(size=(60, 2)) + np.repeat([0, 4], 30)[:, None], columns=["u", "v"])
    x.iloc[4, 1] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        m = HMM(2, KEPT[name](), max_iter=15, states=["calm", "wild"]).fit(x)
    m.save(tmp_path / "model.seqkit")
    again = seqkit.load(tmp_path / "model.seqkit")
    assert again.log_likelihood(x) == m.log_likelihood(x)
    pd.testing.assert_frame_equal(again.transition_, m.transition_)
    pd.testing.assert_frame_equal(again.decode_proba(x), m.decode_proba(x))
    pd.testing.assert_frame_equal(again.predict(3).to_frame(), m.predict(3).to_frame())
    more = x.iloc[:2].set_axis([60, 61])
    pd.testing.assert_frame_equal(
        again.update(more).predict_states(2), m.update(more).predict_states(2)
    )


def test_products_join_channels_of_mixed_kind():
    rng = np.random.default_rng(0)
    state = np.repeat([0, 1], 60)
    x = pd.DataFrame(
        {"n": rng.poisson([2, 9], (120, 2))[np.arange(120), state], "r": rng.normal(3.0 * state)}
    )
    x.loc[5, "n"] = np.nan
    m = HMM(2, Product({"n": Poisson(), "r": Normal()}), tol=1e-6).fit(x)
    logs = np.zeros((6, 2))
    for t in range(6):
        for k in range(2):
            if not np.isnan(x["n"][t]):
                logs[t, k] += stats.poisson(m.emission_.members[0].rate.ravel()[k]).logpmf(
                    x["n"][t]
                )
            law = m.emission_.members[1]
            logs[t, k] += stats.norm(law.mean.ravel()[k], law.scale.ravel()[k]).logpdf(x["r"][t])
    total, _ = posterior(m.initial_, m.transition_.to_numpy(), logs)
    np.testing.assert_allclose(m.log_likelihood(x[:6]), total, rtol=1e-10)
    assert m.predict(2).mean.columns.tolist() == ["n", "r"]


# -- what cannot be ----------------------------------------------------------------------------------


def test_what_is_doubtful_is_named(quakes):
    with pytest.warns(ConvergenceWarning, match=r"2 iterations.*max_iter"):
        HMM(2, emission=Poisson(), max_iter=2).fit(quakes)
    with pytest.warns(ConvergenceWarning, match=r"no step belongs to state\(s\) \['never'\]"):
        HMM(3, Poisson([9.0, 25.0, 1e6]), states=["low", "high", "never"]).fit(quakes)
    constant = np.full(30, 4.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        m = HMM(2, Normal()).fit(constant)
    assert np.isfinite(m.log_likelihood_) and np.isfinite(m.predict(2).mean).all()
    far = np.append(np.zeros(20), 60.0)  # 60 standard deviations off
    g = two(emission=Normal([0.0, 1.0], 1.0))
    assert np.isfinite(g.log_likelihood(far)) and g.decode_proba(far).notna().all(axis=None)


def two(**changes: Any) -> Any:
    settings = {
        "initial": [0.5, 0.5],
        "transition": [[0.9, 0.1], [0.2, 0.8]],
        "emission": Poisson([1.0, 5.0]),
    }
    return HMM.from_params(**(settings | changes))


GIVEN = {
    "mixture": GaussianMixture(
        2, [[0.5, 0.5]] * 2, [[[0.0], [1.0]], [[5.0], [6.0]]], var=np.ones((2, 2, 1))
    ),
    "autoregression": LinearAutoregression(2, [[0.5, 0.1], [0.2, 0.2]], [0.0, 1.0], [1.0, 1.0]),
    "regression": LinearRegression([[1.0, 2.0], [2.0, 0.0]], [0.0, 1.0], [1.0, 1.0]),
    "product": Product([Poisson([1.0, 5.0]), Normal([0.0, 1.0], 1.0)]),
}


@pytest.mark.parametrize("name", GIVEN)
def test_given_parameters_of_every_shape(name):
    m = two(emission=GIVEN[name])
    x = np.arange(6.0) if name != "product" else np.ones((6, 2))
    z = {"covariates": np.ones((6, 2))} if name == "regression" else {}
    assert np.isfinite(m.log_likelihood(x, **z)) and len(m.decode(x, **z)) == 6
    assert m.emission_ is GIVEN[name]
    ahead = {"covariates": np.ones((2, 2))} if name == "regression" else {}
    m.update(x[:4], **z and {"covariates": np.ones((4, 2))})
    assert np.isfinite(m.predict(2, **ahead).mean).all(axis=None)
    m.update(x[4:], **ahead)
    law = m.filter(x, **z).iloc[-1].to_numpy()
    np.testing.assert_allclose(m._ends[0].law, law, atol=1e-12)


def test_tied_covariances_have_standard_errors():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(0, 1, (50, 3)), rng.normal(4, 1, (50, 3))])
    table = HMM(2, Normal(covariance="tied"), initial="uniform").fit(x).standard_errors()
    cov = table["standard_error"][table.index.get_level_values("parameter") == "cov"]
    assert len(cov) == 9 and (cov > 0).all()


y9 = np.arange(9.0)
BAD = [
    ("no number of states", lambda: HMM(emission=Poisson()).fit(y9), ValueError, "number of states"),
    ("zero states", lambda: HMM(0, emission=Poisson()).fit(y9), ValueError, "n_states"),
    ("disagreeing", lambda: HMM(2, states=["a", "b", "c"]).fit(y9), ValueError, "n_states has 2.*states has 3"),
    ("disagreeing emission", lambda: HMM(3, Poisson([1.0, 2.0])).fit(y9), ValueError, "emission has 2"),
    ("disagreeing transition", lambda: HMM(3, transition=np.eye(2)).fit(y9), ValueError, "transition has 2"),
    ("disagreeing labels", lambda: HMM(3).fit(y9, list("ababababa")), ValueError, "labels y has 2"),
    ("not an emission", lambda: HMM(2, "poisson").fit(y9), TypeError, "'poisson'"),
    ("method", lambda: HMM(2, method="mcmc").fit(y9), ValueError, "em, viterbi, gradient.*'mcmc'"),
    ("topology", lambda: HMM(2, transition="ring").fit(y9), ValueError, "cyclic.*'ring'"),
    ("start", lambda: HMM(2, initial="first").fit(y9), ValueError, "stationary.*'first'"),
    ("initial shape", lambda: HMM(2, initial=[1.0]).fit(y9), ValueError, r"shape \(2,\)"),
    ("prior shape", lambda: HMM(2, transition_prior=[1.0] * 3).fit(y9), ValueError, r"shape \(2, 2\)"),
    ("prior sign", lambda: HMM(2, initial_prior=0.0).fit(y9), ValueError, r"at least 1.*0\.0"),
    ("n_init", lambda: HMM(2, n_init=0).fit(y9), ValueError, "n_init"),
    ("tol", lambda: HMM(2, tol=-1.0).fit(y9), ValueError, "tol"),
    ("same names", lambda: HMM(2, states=["a", "a"]).fit(y9), ValueError, "different names"),
    ("all missing", lambda: HMM(2).fit(np.full(9, np.nan)), ValueError, "observed|missing"),
    ("too short", lambda: HMM(3).fit(y9[:3]), ValueError, "3 observed steps|more than 3"),
    ("negative counts", lambda: HMM(2, Poisson()).fit(y9 - 3), ValueError, "counts.*-3"),
    ("fractions", lambda: HMM(2, Poisson()).fit(y9 / 2), ValueError, r"counts.*0\.5"),
    ("zeros of a gamma law", lambda: HMM(2, Gamma()).fit(y9), ValueError, "positive numbers"),
    ("text to numbers", lambda: HMM(2, Poisson()).fit(WORDS * 3), (TypeError, ValueError), "text|Categorical|number"),
    ("unknown state in y", lambda: HMM(2, states=["a", "b"]).fit(y9, list("aabbzaabb")), ValueError, "z"),
    ("short y", lambda: HMM(2).fit(y9, list("ab")), ValueError, "2 steps.*9"),
    ("sequences of y", lambda: HMM(2).fit([y9, y9], list("ababababa")), ValueError, "1 sequence.*2"),
    ("width", lambda: HMM(2, Normal([[0.0], [1.0]], 1.0)).fit(np.ones((9, 2))), ValueError, "2 channels"),
    ("rows", lambda: two(transition=[[0.9, 0.2], [0.2, 0.8]]), ValueError, "sum to one"),
    ("negative", lambda: two(transition=[[1.1, -0.1], [0.2, 0.8]]), ValueError, "sum to one|probabilities"),
    ("initial sum", lambda: two(initial=[0.5, 0.4]), ValueError, "sum to one"),
    ("initial length", lambda: two(initial=[0.5, 0.3, 0.2]), ValueError, r"\(2,\)"),
    ("not square", lambda: two(transition=[[0.5, 0.5]]), ValueError, "shape"),
    ("NaN given", lambda: two(initial=[0.5, np.nan]), ValueError, "every probability"),
    ("free emission", lambda: two(emission=Poisson()), ValueError, "parameters for 2 states"),
    ("emission of three", lambda: two(emission=Poisson([1.0, 2.0, 3.0])), ValueError, "for 2 states"),
    ("names of given", lambda: two(states=["a"]), ValueError, "1|names"),
    ("unfitted", lambda: HMM(2).decode(y9), NotFittedError, "fit"),
    ("unfitted attribute", lambda: HMM(2).transition_, NotFittedError, "fit"),
    ("predict before data", lambda: two().predict(3), NotFittedError, "update"),
    ("states before data", lambda: two().predict_states(3), NotFittedError, "update"),
    ("decode without data", lambda: two().decode(), ValueError, "pass x"),
    ("icl without data", lambda: two().standard_errors(), (ValueError, NotFittedError), "data|fit"),
    ("channels", lambda: two().decode(np.ones((4, 2))), ValueError, "2 channel"),
    ("forbidden shape", lambda: two().decode(y9, forbidden=np.zeros((3, 2))), ValueError, r"\(9, 2\)"),
    ("impossible", lambda: two().decode_proba(y9, forbidden=np.ones((9, 2))), ValueError, "impossible"),
    ("impossible path", lambda: two().decode(y9, forbidden=np.ones((9, 2))), ValueError, "."),
    ("known name", lambda: two().decode(y9, known=["x"] + [None] * 8), ValueError, "x"),
    ("lag", lambda: two().smooth(y9, lag=-1), ValueError, "lag"),
    ("k", lambda: two().decode_k_best(y9, k=0), ValueError, "k must|k is"),
    ("k best of a panel", lambda: two().decode_k_best([y9, y9]), ValueError, "one sequence"),
    ("horizon", lambda: two().update(y9).predict_states(0), ValueError, "horizon"),
    ("criterion", lambda: HMM(2).select_states(y9, [1], criterion="r2"), ValueError, "bic.*'r2'"),
    ("no counts", lambda: HMM(2).select_states(y9, []), ValueError, "counts"),
    ("durations of one state", lambda: HMM(1, durations="free").fit(y9), ValueError, "2 states"),
    ("durations", lambda: HMM(2, durations="short").fit(y9), ValueError, "'short'"),
    ("durations of real law", lambda: HMM(2, durations=Normal()).fit(y9), ValueError, "counts"),
    ("proba of numbers", lambda: two().update(y9).predict_proba(2), TypeError, "symbols"),
    ("ridge", lambda: seqkit.SoftmaxTransition(ridge=-1), ValueError, "ridge"),
    ("stationary softmax", lambda: HMM(2, Normal(), seqkit.SoftmaxTransition(), "stationary").fit(
        y9, covariates=y9), ValueError, "stationary"),
    ("viterbi with durations", lambda: HMM(2, durations="free", method="viterbi").fit(y9), ValueError, "viterbi"),
    ("viterbi with covariates", lambda: HMM(2, Normal(), seqkit.SoftmaxTransition(), method="viterbi").fit(
        y9, covariates=y9), ValueError, "viterbi"),
    ("gradient with durations", lambda: HMM(2, durations="free", method="gradient").fit(y9), ValueError, "durations"),
    ("a missing covariate", lambda: HMM(2, Normal(), seqkit.SoftmaxTransition()).fit(
        y9, covariates=np.where(y9 == 4, np.nan, y9)), ValueError, "1 step.*4"),
    ("forbidden name", lambda: two().decode(y9, forbidden=pd.DataFrame({"hu": [True] * 9})), ValueError, "hu"),
    ("order of columns", lambda: two(emission=Normal([[0.0, 5.0], [5.0, 0.0]], 1.0), columns=["u", "v"]).decode(
        pd.DataFrame({"v": y9, "u": y9})), ValueError, "'v', 'u'"),
    ("prior below one", lambda: HMM(2, transition_prior=0.5).fit(y9), ValueError, "0.5"),
    ("prior of symbols below one", lambda: HMM(2, Categorical(prior=0.5)).fit(list("ab") * 9), ValueError, r"0\.5"),
    ("start of another family", lambda: HMM(2, Normal(), start=two()).fit(y9), ValueError, "Poisson"),
    ("topology without numbers", lambda: two(transition="left-right"), ValueError, "left-right"),
    ("k best of the impossible", lambda: HMM.from_params(initial=[1.0], transition=[[1.0]], emission=Categorical(
        [[1.0, 0.0]], symbols=["a", "b"])).decode_k_best(["a", "b"]), ValueError, "possible"),
    ("fewer labels than states", lambda: HMM(2).fit(y9, ["a"] + [None] * 8), ValueError, r"states=\["),
]  # fmt: skip


@pytest.mark.parametrize(
    ("make", "error", "message"), [b[1:] for b in BAD], ids=[b[0] for b in BAD]
)
def test_bad_input_is_named(make, error, message):
    with pytest.raises(error, match=message):
        make()
