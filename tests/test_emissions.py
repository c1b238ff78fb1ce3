"""Emission families: densities against SciPy, weighted fits against closed forms, peers and their own objective."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

from seqkit.distributions import (
    Bernoulli,
    Beta,
    Categorical,
    Dirichlet,
    Distribution,
    Emission,
    Exponential,
    Gamma,
    GaussianMixture,
    Joined,
    Laplace,
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
from seqkit.kernels import gaussian
from seqkit.persistence import load, save

KINDS = ("spherical", "diag", "full", "tied")
NIW = NormalInverseWishart(0.5, 2.0, 1.5)
# name: (family to be fitted, kind of data, channels that it takes)
FAMILIES: dict[str, tuple[Callable[[], Any], str, tuple[int, ...]]] = {
    "poisson": (Poisson, "count", (1, 2)),
    "poisson, prior": (lambda: Poisson(prior=Gamma(2.0, 0.5)), "count", (1, 2)),
    "negative binomial": (NegativeBinomial, "count", (1, 2)),
    "student": (StudentT, "real", (1, 2)),
    "laplace": (Laplace, "real", (1, 2)),
    "student, df fixed": (lambda: StudentT(df=4.0), "real", (1, 3)),
    "exponential": (Exponential, "positive", (1, 2)),
    "exponential, prior": (lambda: Exponential(prior=Gamma(2.0, 0.5)), "positive", (1, 2)),
    "gamma": (Gamma, "positive", (1, 2)),
    "von mises": (VonMises, "angle", (1, 2)),
    "bernoulli": (Bernoulli, "yes", (1, 3)),
    "bernoulli, prior": (lambda: Bernoulli(prior=Beta(2.0, 3.0)), "yes", (1, 3)),
    "categorical": (Categorical, "count", (1,)),
    "categorical, prior": (lambda: Categorical(prior=1.5), "count", (1,)),
    "multinomial": (Multinomial, "count", (2, 3)),
    "multinomial, prior": (lambda: Multinomial(prior=Dirichlet(2.0)), "count", (2, 3)),
    "regression": (LinearRegression, "real", (1, 2)),
    "autoregression": (lambda: LinearAutoregression(2), "real", (1, 2)),
    "product": (lambda: Product([Poisson(), (Normal(covariance="full"), 2)]), "count", (3,)),
}
for kind in KINDS:
    FAMILIES[f"normal {kind}"] = (lambda k=kind: Normal(covariance=k), "real", (1, 3))
    FAMILIES[f"normal {kind}, prior"] = (
        lambda k=kind: Normal(covariance=k, prior=NIW),
        "real",
        (1, 3),
    )
    FAMILIES[f"mixture {kind}"] = (lambda k=kind: GaussianMixture(2, covariance=k), "real", (1, 2))
    FAMILIES[f"mixture {kind}, prior"] = (
        lambda k=kind: GaussianMixture(2, covariance=k, prior=NIW),
        "real",
        (2,),
    )
named = pytest.mark.parametrize("name", FAMILIES)


def observations(kind: str, rng: np.random.Generator, steps: int, channels: int) -> np.ndarray:
    size = (steps, channels)
    if kind == "count":
        return rng.negative_binomial(2, 0.3, size).astype(float)
    if kind == "positive":
        return rng.gamma(2.0, 3.0, size) + 1e-3
    if kind == "angle":
        return rng.vonmises(0.5, 2.0, size)
    if kind == "yes":
        return (rng.random(size) < 0.3).astype(float)
    return rng.standard_t(4, size) @ (np.eye(channels) + 0.5)


def problem(name: str, seed: int, steps: int = 90) -> tuple[Any, Any, np.random.Generator]:
    """A family and rows with, by turns, ties, constants, an outlier and 20 % missing."""
    rng = np.random.default_rng(seed)
    make, kind, channels = FAMILIES[name]
    x = observations(kind, rng, steps, channels[seed % len(channels)])
    if seed % 5 == 1 and kind != "count":
        x = np.ceil(x) if kind != "angle" else np.round(x)  # ties
    if seed % 5 == 2:
        x[:] = x[0]  # constants
    if seed % 5 == 3 and kind not in ("yes", "angle"):
        x[7] *= 1000.0
    if seed % 2:
        x[rng.random(x.shape) < (0.07 if name == "autoregression" else 0.2)] = np.nan
    covariates = rng.normal(size=(steps, 3))
    covariates[:, 2] = covariates[:, :2].sum(1)  # that determine each other
    emission = make()
    needs = covariates if isinstance(emission, LinearRegression) else None
    return emission, emission.make_rows(x, np.array([0, steps // 2, steps]), needs), rng


def objective(e: Any, rows: Any, weights: np.ndarray) -> float:
    return float((weights * e.log_density(rows)).sum() + e.log_prior())


@named
def test_a_fit_never_lowers_its_objective(name: str) -> None:
    for seed in range(20):
        family, rows, rng = problem(name, seed)
        count = len(rows.values)
        e = family.fit_weighted(rows, rng.dirichlet([0.3] * 3, count))
        weights = rng.dirichlet([0.2] * 3, count)
        if seed == 8:
            weights[:, 1] = 0.0  # a dead state
        before = objective(e, rows, weights)
        assert e.fitted and np.isfinite(before)
        for _ in range(4):
            e = e.fit_weighted(rows, weights)
            after = objective(e, rows, weights)
            assert after >= before - 1e-9 * max(1.0, abs(before)), (seed, before, after)
            before = after


@named
def test_dead_states_keep_their_parameters(name: str) -> None:
    family, rows, rng = problem(name, 0)
    weights = rng.dirichlet([0.5] * 3, len(rows.values))
    e = family.fit_weighted(rows, weights)
    weights[:, 1] = 0.0
    again = e.fit_weighted(rows, weights)
    tied = getattr(e, "covariance", None) == "tied" and not isinstance(e, GaussianMixture)
    drawn_to_prior = tied and e.prior is not None
    for key, value in e[[1]].parameters().items():
        if not ((tied and key == "cov") or (drawn_to_prior and key == "mean")):
            np.testing.assert_array_equal(value, again[[1]].parameters()[key])
    blank = family.fit_weighted(rows, weights)  # nothing to keep: the law of all rows
    assert blank.fitted


@named
def test_states_are_reordered_and_saved(name: str, tmp_path: Any) -> None:
    family, rows, rng = problem(name, 4)
    e = family.fit_weighted(rows, rng.dirichlet([0.5] * 3, len(rows.values)))
    density = e.log_density(rows)
    np.testing.assert_allclose(
        e.order([2, 0, 1]).log_density(rows), density[:, [2, 0, 1]], rtol=1e-12
    )
    back = load(save(e, tmp_path / "e.zip"))
    assert back == e
    np.testing.assert_array_equal(back.log_density(rows), density)
    assert e.n_states == 3 and back.with_parameters(e.parameters()).fitted
    blank = family.for_columns(range(e.channels)).with_parameters(e.parameters())
    assert blank.fitted and blank.n_free == e.n_free  # a start for a further fit
    np.testing.assert_allclose(blank.order([1, 0]).log_density(rows), density[:, [1, 0]], rtol=1e-9)
    assert blank.fit_weighted(rows, np.ones_like(density)).fitted
    np.testing.assert_allclose(
        e.with_parameters(e.parameters()).log_density(rows), density, rtol=1e-9
    )


@named
def test_zero_one_weights_are_separate_fits(name: str) -> None:
    """States that own rows outright learn what each would learn alone, where they share nothing."""
    if (
        name in ("product", "autoregression", "categorical, prior")
        or "tied" in name
        or "mixture" in name
    ):
        return
    family, rows, rng = problem(name, 0)
    owner = rng.integers(2, size=len(rows.values))
    together = family.fit_weighted(rows, np.eye(2)[owner])
    for k in range(2):
        inputs = None if rows.inputs is None else rows.inputs[owner == k]
        own = rows._replace(values=rows.values[owner == k], inputs=inputs)
        alone = family.fit_weighted(own, np.ones((len(own.values), 1)))
        left, right = together.log_density(own)[:, k], alone.log_density(own)[:, 0]
        np.testing.assert_allclose(left, right, rtol=1e-6, atol=1e-6)


@named
def test_draws_have_the_laws_moments(name: str) -> None:
    family, rows, rng = problem(name, 0)
    e = family.fit_weighted(rows, rng.dirichlet([0.5] * 2, len(rows.values)))
    if isinstance(e, LinearRegression):
        with pytest.raises(TypeError, match="laws"):
            e.law(0)
        return
    law = e.law(1)
    assert law.shape == (rows.values.shape[1],)
    draws = e.draw(np.ones(40_000, int), rng)
    error = np.sqrt(law.var / len(draws))
    finite = np.isfinite(law.var) & (getattr(e, "df", np.full(2, 9.0)).min() > 3)
    if isinstance(e, VonMises):
        draws = (draws - law.mean + np.pi) % (2 * np.pi) - np.pi + law.mean
    assert np.all(np.abs(draws.mean(0) - law.mean)[finite] <= 5 * error[finite] + 1e-12)
    np.testing.assert_allclose(
        np.quantile(draws, 0.7, axis=0), law.quantile(0.7), rtol=0.1, atol=0.1
    )
    at_rows = e.laws(rows)[1]
    assert at_rows.shape == rows.values.shape
    np.testing.assert_allclose(at_rows.mean[-1], law.mean)


@named
def test_what_was_drawn_is_recovered(name: str) -> None:
    """Twice the gain in likelihood over the truth is chi-squared with one degree of freedom for each free parameter."""
    if "prior" in name or "mixture" in name:
        return  # pulled away from the maximum; many maxima
    family, rows, rng = problem(name, 0)
    truth = family.fit_weighted(rows, rng.dirichlet([0.5] * 2, len(rows.values)))
    states = np.repeat([0, 1], 2000)
    covariates = None
    if isinstance(family, LinearRegression):
        covariates = rng.normal(size=(4000, 3))
    x = truth.draw(states, rng, covariates)
    rows = truth.make_rows(x, np.array([0, 2000, 4000]), covariates)
    weights = np.zeros((len(rows.values), 2))
    np.add.at(weights, (np.arange(4000) if rows.index is None else rows.index, states), 1.0)
    found = family.fit_weighted(rows, weights)
    for _ in range(20 if name.startswith("student") else 1):
        found = found.fit_weighted(rows, weights)
    gain = 2 * (objective(found, rows, weights) - objective(truth, rows, weights))
    assert -1e-6 < gain < stats.chi2.ppf(1 - 1e-5, found.n_free)


# -- densities -----------------------------------------------------------------------------------


def states(rng: np.random.Generator, channels: int = 3) -> dict[str, tuple[Any, Any]]:
    """Emissions of two states, and SciPy's log density of elements (R, 1, C)."""
    a, b = rng.gamma(3.0, 1.0, (2, 2, channels)) + 0.2
    p = rng.uniform(0.1, 0.9, (2, channels))
    return {
        "count": (Poisson(a), stats.poisson(a).logpmf),
        "count 2": (NegativeBinomial(a, b), stats.nbinom(1 / b, 1 / (1 + a * b)).logpmf),
        "real": (StudentT(a, b, p), stats.t(a, b, p).logpdf),
        "real 2": (Normal(a, b), stats.norm(a, b).logpdf),
        "real 3": (Normal(a, var=b, covariance="diag"), stats.norm(a, np.sqrt(b)).logpdf),
        "positive": (Exponential(a), stats.expon(scale=1 / a).logpdf),
        "positive 2": (Gamma(a, b), stats.gamma(a, scale=1 / b).logpdf),
        "angle": (VonMises(a, b), stats.vonmises(b, loc=a).logpdf),
        "yes": (Bernoulli(p), stats.bernoulli(p).logpmf),
    }


@pytest.mark.parametrize("name", states(np.random.default_rng(0)))
def test_density_of_elements_is_scipys(name: str) -> None:
    rng = np.random.default_rng(5)
    e, expected = states(rng)[name]
    x = observations(name.split()[0], rng, 60, 3)
    each = expected(x[:, None, :])
    np.testing.assert_allclose(e.log_density(e.make_rows(x)), each.sum(-1), rtol=1e-10)
    np.testing.assert_allclose(e.log_prob(x[:, None, :]), each, rtol=1e-10)
    x[rng.random(x.shape) < 0.3] = np.nan
    x[5] = np.nan
    each = np.where(np.isnan(x)[:, None, :], 0.0, expected(np.nan_to_num(x, nan=1.0)[:, None, :]))
    density = e.log_density(e.make_rows(x))
    np.testing.assert_allclose(density, each.sum(-1), rtol=1e-10, atol=1e-12)
    np.testing.assert_array_equal(density[5], 0.0)


@pytest.mark.parametrize("name", ["positive", "positive 2", "angle", "yes"])
def test_new_families_agree_with_scipy_as_distributions(name: str) -> None:
    rng = np.random.default_rng(6)
    e, log_density = states(rng)[name]
    law = log_density.__self__
    assert isinstance(e, Distribution)
    y = e.sample(4, rng)
    np.testing.assert_allclose(e.cdf(y), law.cdf(y), rtol=1e-8)
    np.testing.assert_allclose(e.quantile([0.1, 0.6]), [law.ppf(0.1), law.ppf(0.6)], rtol=1e-6)
    if name == "angle":
        grid = e.mean + np.linspace(-np.pi, np.pi, 20_001)[:, None, None]
        density = np.exp(e.log_prob(grid))
        var = np.trapezoid((grid - e.mean) ** 2 * density, grid, axis=0)
        np.testing.assert_allclose(e.var, var, rtol=1e-6)
    else:
        np.testing.assert_allclose(e.mean, law.mean(), rtol=1e-10)
        np.testing.assert_allclose(e.var, law.var(), rtol=1e-10)
    assert np.isnan(e.log_prob(np.nan)).all() and np.isnan(e.cdf(np.nan)).all()
    assert np.all(e.crps(y) >= 0)


def covariances(rng: np.random.Generator, count: int, channels: int) -> np.ndarray:
    roots = rng.normal(size=(count, channels, channels + 2))
    return roots @ np.swapaxes(roots, 1, 2) / channels


@pytest.mark.parametrize("kind", ["full", "tied"])
def test_full_covariance_marginalises_what_is_missing(kind: str) -> None:
    rng = np.random.default_rng(7)
    mean, cov = rng.normal(size=(3, 4)), covariances(rng, 3, 4)
    e = Normal(mean, cov=cov if kind == "full" else cov[0], covariance=kind)
    x = rng.normal(size=(50, 4))
    x[rng.random(x.shape) < 0.4] = np.nan
    x[0] = np.nan
    density = e.log_density(e.make_rows(x))
    for r, row in enumerate(x):
        o = np.flatnonzero(~np.isnan(row))
        for k in range(3):
            block = cov[k if kind == "full" else 0][np.ix_(o, o)]
            want = stats.multivariate_normal(mean[k][o], block).logpdf(row[o]) if len(o) else 0.0
            np.testing.assert_allclose(density[r, k], want, rtol=1e-10, atol=1e-12)


def test_missing_elements_take_their_exact_expectation() -> None:
    """One EM step of full covariances against the conditional moments row by row."""
    rng = np.random.default_rng(8)
    mean, cov = rng.normal(size=(2, 3)) + 50.0, covariances(rng, 2, 3)
    e = Normal(mean, cov=cov).released()
    x = rng.normal(size=(80, 3)) + 50.0
    x[rng.random(x.shape) < 0.3] = np.nan
    weights = rng.dirichlet([0.5, 0.5], 80)
    found = e.fit_weighted(e.make_rows(x), weights)
    for k in range(2):
        total, first, second = 0.0, np.zeros(3), np.zeros((3, 3))
        for row, w in zip(x, weights[:, k], strict=True):
            o, m = np.flatnonzero(~np.isnan(row)), np.flatnonzero(np.isnan(row))
            if not len(o):
                continue
            gain = cov[k][np.ix_(m, o)] @ np.linalg.inv(cov[k][np.ix_(o, o)])
            filled, rest = row.copy(), np.zeros((3, 3))
            filled[m] = mean[k][m] + gain @ (row[o] - mean[k][o])
            rest[np.ix_(m, m)] = cov[k][np.ix_(m, m)] - gain @ cov[k][np.ix_(o, m)]
            total, first = total + w, first + w * (filled - 50)
            second += w * (np.outer(filled - 50, filled - 50) + rest)
        centre = first / total
        np.testing.assert_allclose(found.mean[k], 50 + centre, rtol=1e-12)
        np.testing.assert_allclose(
            found.cov[k], second / total - np.outer(centre, centre), rtol=1e-9
        )


def test_moments_keep_their_digits_far_from_the_centre() -> None:
    rng = np.random.default_rng(9)
    x = np.concatenate([rng.normal(1e9, 1e-2, (50, 2)), rng.normal(-1e9, 1.0, (50, 2))])
    weights = np.repeat(np.eye(2), 50, axis=0)
    for pairs in (True, False):
        found = gaussian.moments(x, weights, pairs=pairs)
        for k in range(2):
            part = x[50 * k : 50 * k + 50]
            want = np.cov(part.T, ddof=0) if pairs else part.var(0)
            np.testing.assert_allclose(
                found.scatter[k] / found.count[k].max(), want, rtol=1e-6, atol=1e-9
            )


# -- fits ----------------------------------------------------------------------------------------


def test_closed_forms() -> None:
    rng = np.random.default_rng(10)
    x = rng.gamma(2.0, 2.0, (300, 1))
    w = np.ones((300, 1))
    n = Normal().fit_weighted(Normal().make_rows(x), w)
    np.testing.assert_allclose([n.mean[0], n.var[0]], [x.mean(), x.var()], rtol=1e-12)
    assert n.mean.shape == (1,) and n.law(0).shape == (1,)
    e = Exponential().fit_weighted(Exponential().make_rows(x), w)
    np.testing.assert_allclose(e.rate, 1 / x.mean(), rtol=1e-12)
    g = Gamma().fit_weighted(Gamma().make_rows(x), w)
    shape, _, scale = stats.gamma.fit(x, floc=0)
    np.testing.assert_allclose([g.concentration[0], g.rate[0]], [shape, 1 / scale], rtol=1e-6)
    v = VonMises().fit_weighted(VonMises().make_rows(np.sin(x)), w)
    kappa, loc, _ = stats.vonmises.fit(np.sin(x), fscale=1)
    np.testing.assert_allclose([v.direction[0], v.concentration[0]], [loc, kappa], rtol=1e-5)
    counts = rng.poisson(x)
    p = Poisson().fit_weighted(
        rows := Poisson().make_rows(counts), np.bincount(rows.index)[:, None]
    )
    np.testing.assert_allclose(p.rate, counts.mean(), rtol=1e-12)


def maximum(e: Any, rows: Any, w: np.ndarray, names: tuple[str, ...], steps: int = 400) -> None:
    """After many steps, no parameter can be moved to raise the objective."""
    for _ in range(steps):
        e = e.fit_weighted(rows, w)
    best = objective(e, rows, w)
    for name in names:
        for factor in (0.998, 1.002):
            moved = e.with_parameters({name: e.parameters()[name] * factor})
            assert objective(moved, rows, w) < best, (name, factor)


def test_families_without_closed_form_reach_the_maximum() -> None:
    rng = np.random.default_rng(11)
    t = rng.standard_t(3.0, (400, 1)) * 2 + 1
    e = StudentT()
    maximum(e, e.make_rows(t), np.ones((400, 1)), ("df", "loc", "spread"), 60)
    n = NegativeBinomial()
    rows = n.make_rows(rng.negative_binomial(3, 0.2, (400, 1)))
    maximum(n, rows, np.bincount(rows.index)[:, None].astype(float), ("mean", "dispersion"), 2)
    x = rng.gamma(2.0, 2.0, (300, 1))
    half = Gamma(concentration=2.5)  # fixed, the rate free
    fitted = half.fit_weighted(half.make_rows(x), np.ones((300, 1)))
    np.testing.assert_allclose([fitted.concentration[0], fitted.rate[0]], [2.5, 2.5 / x.mean()])
    rate = Gamma(rate=0.5)
    maximum(rate, rate.make_rows(x), np.ones((300, 1)), ("concentration",), 2)


def test_priors_are_maximum_a_posteriori() -> None:
    rng = np.random.default_rng(12)
    w = np.ones((50, 1))
    counts = rng.poisson(4.0, (50, 1)).astype(float)
    e = Poisson(prior=Gamma(3.0, 2.0))
    rows = e.make_rows(counts)
    e = e.fit_weighted(rows, np.bincount(rows.index)[:, None])
    np.testing.assert_allclose(e.rate, (counts.sum() + 2) / 52)
    yes = (counts > 4).astype(float)
    b = Bernoulli(prior=Beta(2.0, 5.0))
    rows = b.make_rows(yes)
    b = b.fit_weighted(rows, np.bincount(rows.index)[:, None])
    np.testing.assert_allclose(b.probability, (yes.sum() + 1) / (50 + 5))
    c = Categorical(prior=Dirichlet([2.0, 3.0]))
    rows = c.make_rows(yes)
    c = c.fit_weighted(rows, np.bincount(rows.index)[:, None])
    np.testing.assert_allclose(c.probabilities[0, 1], (yes.sum() + 2) / (50 + 3))
    x = rng.normal(size=(50, 2))
    prior = NormalInverseWishart([1.0, -1.0], 4.0, np.eye(2), 5.0)
    n = Normal(covariance="full", prior=prior).fit_weighted(Normal().make_rows(x), w)
    centre = (50 * x.mean(0) + 4 * prior.mean) / 54
    scatter = np.eye(2) + 50 * np.cov(x.T, ddof=0)
    scatter += 50 * 4 / 54 * np.outer(x.mean(0) - prior.mean, x.mean(0) - prior.mean)
    np.testing.assert_allclose(n.mean[0], centre)
    np.testing.assert_allclose(n.cov[0], scatter / (50 + 5 + 2 + 2))


@pytest.mark.parametrize("kind", KINDS)
def test_prior_mode_is_a_mode(kind: str) -> None:
    rng = np.random.default_rng(13)
    e = Normal(covariance=kind, prior=NIW)
    rows, w = e.make_rows(rng.normal(size=(40, 2))), rng.dirichlet([1.0, 1.0], 40)
    maximum(e, rows, w, ("mean", "cov" if kind in ("full", "tied") else "var"), 2)


def test_fixed_elements_stay() -> None:
    rng = np.random.default_rng(14)
    w = rng.dirichlet([0.5] * 3, 200)
    counts = rng.poisson(15.0, (200, 2)).astype(float)
    e = Poisson([[10.0, np.nan], [np.nan, 20.0], [np.nan, np.nan]])
    assert not e.fitted and e.n_free == 4 and e.n_states == 3
    e = e.fit_weighted(e.make_rows(counts), w).fit_weighted(e.make_rows(counts), w)
    assert e.rate[0, 0] == 10.0 and e.rate[1, 1] == 20.0 and e.n_free == 4 and e.fitted
    np.testing.assert_allclose(e.rate[0, 1], w[:, 0] @ counts[:, 1] / w[:, 0].sum())
    assert e.released().n_free == 6
    n = Normal([0.0, np.nan, np.nan], [np.nan, 2.0, np.nan]).fit_weighted(
        rows := Normal().make_rows(counts[:, :1]), w
    )
    x = counts[:, 0]
    np.testing.assert_allclose(n.var[0], w[:, 0] @ x**2 / w[:, 0].sum())
    assert n.mean[0] == 0.0 and n.scale[1] == 2.0
    full = Normal([[0.0, np.nan]], cov=np.full((1, 2, 2), np.nan), covariance="full")
    rows, one = full.make_rows(counts), np.ones((200, 1))
    for _ in range(200):
        full = full.fit_weighted(rows, one)
    best = objective(full, rows, one)
    assert full.mean[0, 0] == 0.0
    for move in (0.999, 1.001):
        moved = full.with_parameters({"mean": full.mean * move})
        assert objective(moved, rows, one) <= best
    p = Categorical([[0.0, 0.5, np.nan, np.nan], [np.nan] * 4])
    rows = p.make_rows(rng.integers(0, 4, (200, 1)).astype(float))
    p = p.fit_weighted(rows, rng.dirichlet([1.0, 1.0], len(rows.values)))
    np.testing.assert_allclose(p.probabilities[0, :2], [0.0, 0.5])
    np.testing.assert_allclose(p.probabilities.sum(1), 1.0)


def test_variances_have_a_floor() -> None:
    rng = np.random.default_rng(15)
    x = np.concatenate([np.full((20, 2), 3.0), rng.normal(size=(80, 2))])
    weights = np.repeat(np.eye(2), [20, 80], axis=0)
    for kind in KINDS:
        e = Normal(covariance=kind, floor=1e-3)
        e = e.fit_weighted(e.make_rows(x), weights)
        if kind != "tied":
            np.testing.assert_allclose(e.var[0], 1e-3 * x.var(0), rtol=0.3)
        assert np.isfinite(e.log_density(e.make_rows(x))).all()


# -- peers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_mixture_equals_scikit_learn(kind: str) -> None:
    mixture = pytest.importorskip("sklearn.mixture")
    rng = np.random.default_rng(16)
    x = np.concatenate([rng.normal(size=(60, 2)), rng.normal(3.0, 2.0, (60, 2))])
    peer = mixture.GaussianMixture(2, covariance_type=kind, reg_covar=0, max_iter=200, tol=1e-12)
    peer.fit(x)
    cov = peer.covariances_[None]
    spread = {"cov": cov} if kind in ("full", "tied") else {"var": cov}
    e = GaussianMixture(2, peer.weights_[None], peer.means_[None], covariance=kind, **spread)
    rows = e.make_rows(x)
    np.testing.assert_allclose(e.log_density(rows)[:, 0], peer.score_samples(x), rtol=1e-9)
    again = e.released().fit_weighted(rows, np.ones((120, 1)))
    np.testing.assert_allclose(again.mean[0], peer.means_, rtol=1e-4, atol=1e-4)


def test_regression_is_weighted_least_squares() -> None:
    rng = np.random.default_rng(17)
    z = rng.normal(1e4, 1.0, (100, 2))
    y = z @ [2.0, -1.0] + 3 + rng.normal(size=100)
    w = rng.dirichlet([1.0, 1.0], 100)
    e = LinearRegression()
    e = e.fit_weighted(e.make_rows(y, covariates=z), w)
    for k in range(2):
        root = np.sqrt(w[:, k])
        design = np.column_stack([z - 1e4, np.ones(100)])
        b = np.linalg.lstsq(design * root[:, None], y * root, rcond=None)[0]
        np.testing.assert_allclose(e.coef[k], b[:2], rtol=1e-7)
        error = y - design @ b
        np.testing.assert_allclose(e.var[k], w[:, k] @ error**2 / w[:, k].sum(), rtol=1e-7)
    density = e.log_density(rows := e.make_rows(y, covariates=z))
    laws = e.laws(rows)
    np.testing.assert_allclose(density[:, 1], laws[1].log_prob(y[:, None])[:, 0], rtol=1e-9)
    fixed = LinearRegression(coef=[[2.0, np.nan]], intercept=0.0)
    fixed = fixed.fit_weighted(rows, np.ones((100, 1)))
    assert fixed.coef[0, 0] == 2.0 and fixed.intercept[0] == 0.0
    b = (y - 2 * z[:, 0]) @ z[:, 1] / (z[:, 1] @ z[:, 1])
    np.testing.assert_allclose(fixed.coef[0, 1], b, rtol=1e-10)


def test_autoregression_stays_within_its_sequence() -> None:
    rng = np.random.default_rng(18)
    e = LinearAutoregression(2, [[0.5, 0.2], [-0.3, 0.0]], [1.0, 0.0], [0.5, 0.1])
    states = np.arange(60) // 30
    x = e.draw(states, rng)
    rows = e.make_rows(x, np.array([0, 20, 60]))
    density = e.log_density(rows)
    np.testing.assert_array_equal(density[[0, 1, 20, 21]], 0.0)
    want = stats.norm(1 + 0.5 * x[9, 0] + 0.2 * x[8, 0], np.sqrt(0.5)).logpdf(x[10, 0])
    np.testing.assert_allclose(density[10, 0], want, rtol=1e-12)
    forecast = e.laws(e.next_rows(x))[0]
    np.testing.assert_allclose(forecast.mean, 1 + 0.5 * x[-1:] + 0.2 * x[-2:-1])
    x[15] = np.nan
    density = e.log_density(e.make_rows(x, np.array([0, 20, 60])))
    np.testing.assert_array_equal(density[15:18], 0.0)


def test_multinomial_with_missing_counts() -> None:
    p = np.array([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]])
    m = Multinomial(p, total=7)
    x = np.array([[1.0, 2, 4], [0, 0, 0], [3, np.nan, 1]])
    density = m.log_density(m.make_rows(x))
    np.testing.assert_allclose(density[0], [stats.multinomial(7, q).logpmf(x[0]) for q in p])
    want = [stats.binom(4, q[0] / (q[0] + q[2])).logpmf(3) for q in p]
    np.testing.assert_allclose(density[2], want)
    np.testing.assert_allclose(m.law(0).mean, 7 * p[0])


# -- symbols -------------------------------------------------------------------------------------


def text(*words: Any) -> np.ndarray:
    return np.array(words, dtype=object)[:, None]


def test_categorical_text() -> None:
    e = Categorical([[0.1, 0.4, 0.5], [0.6, 0.3, 0.1]], symbols=["Walk", "Shop", "Clean"])
    rows = e.make_rows(text("Clean", None, "Walk", np.nan, "Clean"))
    np.testing.assert_allclose(
        np.exp(e.log_density(rows))[rows.index],
        [[0.5, 0.1], [1, 1], [0.1, 0.6], [1, 1], [0.5, 0.1]],
    )
    with pytest.raises(ValueError, match=r"'Run' at step 1 .* unknown="):
        e.make_rows(text("Walk", "Run"))
    with pytest.raises(TypeError, match="symbols="):
        Categorical([[0.5, 0.5]]).make_rows(text("Walk"))
    assert e.labels == ["Walk", "Shop", "Clean"] and e.n_free == 0 and e.released().n_free == 4


def test_unknown_words_have_a_probability() -> None:
    values = text("the", "cat", "saw", "the", "dog")
    e = Categorical(unknown="<unk>").learn_symbols(values)
    assert e.labels == ["cat", "dog", "saw", "the", "<unk>"]
    rows = e.make_rows(values)
    e = e.fit_weighted(rows, np.array([[1.0, 0], [0, 1], [1, 0], [2, 0]]))
    np.testing.assert_allclose(e.probabilities, [[0.2, 0, 0.2, 0.4, 0.2], [0, 0.5, 0, 0, 0.5]])
    new = e.make_rows(text("bird", "the", None))
    np.testing.assert_allclose(e.log_density(new)[new.index[0]], np.log([0.2, 0.5]))
    np.testing.assert_array_equal(new.index, [1, 0, 2])
    draws = e.draw(np.array([1] * 50), np.random.default_rng(0))
    assert set(draws[:, 0]) == {1.0, 4.0}


def test_categorical_is_a_distribution_of_codes() -> None:
    e = Categorical([[0.1, 0.4, 0.5], [0.6, 0.3, 0.1]])
    np.testing.assert_allclose(e.mean, [1.4, 0.5])
    np.testing.assert_allclose(
        np.exp(e.log_prob(np.array([[2.0, 0.0], [5.0, np.nan]]))), [[0.5, 0.6], [0, np.nan]]
    )
    np.testing.assert_allclose(e.cdf(1.0), [0.5, 0.9])
    np.testing.assert_array_equal(e.quantile(0.55), [2, 0])
    assert e[1].shape == () and e.law(0).shape == (1,)


def test_large_vocabulary_is_lean() -> None:
    rng = np.random.default_rng(19)
    e = Categorical()
    rows = e.make_rows(rng.integers(0, 3000, (10_000, 1)).astype(float))
    assert len(rows.values) <= 3000 and rows.complete
    e = e.fit_weighted(rows, rng.random((len(rows.values), 5)))
    assert e.probabilities.shape == (5, 3000)
    np.testing.assert_allclose(e.probabilities.sum(1), 1.0)


# -- products ------------------------------------------------------------------------------------


def test_product_by_names_and_by_position() -> None:
    rng = np.random.default_rng(20)
    x = np.column_stack([rng.normal(size=50), rng.poisson(3.0, 50), rng.normal(size=50)])
    x[4] = np.nan
    x[5, 1] = np.nan
    weights = rng.dirichlet([1.0, 1.0], 50)
    families = {"count": Poisson(), ("a", "b"): Normal(covariance="full")}
    by_name = Product(families).for_columns(["b", "count", "a"])
    by_place = Product({1: Poisson(), (2, 0): Normal(covariance="full")})
    one = by_name.fit_weighted(rows := by_name.make_rows(x), weights)
    two = by_place.fit_weighted(by_place.make_rows(x), weights)
    np.testing.assert_array_equal(one.log_density(rows), two.log_density(two.make_rows(x)))
    alone = Normal(covariance="full").fit_weighted(Normal().make_rows(x[:, [2, 0]]), weights)
    np.testing.assert_allclose(one.members[1].cov, alone.cov)
    np.testing.assert_allclose(
        one.law(0).mean, [alone.mean[0, 1], one.members[0].rate[0], alone.mean[0, 0]]
    )
    assert set(one.parameters()) == {"count.rate", "a,b.mean", "a,b.cov"}
    joined = one.law(1)
    assert isinstance(joined, Joined) and joined[1].shape == () and joined[[2, 0]].shape == (2,)
    np.testing.assert_allclose(joined.cdf(joined.quantile(0.5))[[0, 2]], 0.5)
    with pytest.raises(ValueError, match="no family for channel 'c'"):
        Product(families).for_columns(["a", "b", "count", "c"])
    with pytest.raises(ValueError, match="no channel 'count'"):
        Product(families).for_columns(["a", "b", "x"])


# -- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: Poisson([-1.0]), ValueError, "rate must not be negative"),
        (lambda: Poisson([1.0]).make_rows([[2.5]]), ValueError, r"counts .* got 2.5 at step 0"),
        (lambda: Gamma().make_rows([[0.0]]), ValueError, "positive numbers, got 0"),
        (lambda: Bernoulli(1.5), ValueError, "lie in"),
        (lambda: Normal([0.0, 1.0], [1.0, 1.0]).make_rows(np.zeros((3, 2))), ValueError, "2 channels"),
        (lambda: Normal(covariance="round"), ValueError, "one of spherical"),
        (lambda: Normal([[0.0]], var=[[1.0]], covariance="full"), ValueError, "goes with cov="),
        (lambda: Normal([[0.0, 0.0]], cov=[[[1.0, 0.5], [0.0, 1.0]]]), ValueError, "symmetric"),
        (lambda: Normal().make_rows(np.array([["a"]])), TypeError, "Categorical"),
        (lambda: Categorical([[0.5, 0.6]]), ValueError, "sum to one"),
        (lambda: Categorical([[0.5, 0.5]], symbols=["a"]), ValueError, "1 symbols"),
        (lambda: Categorical([[0.5, 0.5]]).make_rows([[2.0]]), ValueError, "codes 0 to 1"),
        (lambda: LinearRegression().make_rows([[1.0]]), ValueError, "covariates="),
        (lambda: LinearAutoregression(0), ValueError, "order"),
        (lambda: Product([3]), TypeError, "emission families"),
        (lambda: Product({"a": Poisson(), ("a", "b"): Normal()}), ValueError, "two families"),
        (lambda: Normal(floor=2.0), ValueError, "floor"),
        (lambda: Poisson([1.0]).with_parameters({"mean": [1.0]}), ValueError, "no parameter 'mean'"),
        (lambda: GaussianMixture(2, [[0.5, 0.6]], np.zeros((1, 2, 1))), ValueError, "sum to one"),
        (lambda: Multinomial([[0.5, 0.4]]), ValueError, "sum to one"),
    ],
)  # fmt: skip
def test_errors_say_what_to_do(call: Callable[[], Any], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        call()


def test_laws_are_plain_distributions() -> None:
    e = Poisson(prior=Gamma(2.0, 1.0))
    e = e.fit_weighted(e.make_rows([[1.0], [3.0]]), np.ones((2, 2)))
    assert e.law(0) == Poisson(e.rate[:1]) and e.channels == 1
    assert (
        repr(Normal(covariance="full")) == "Normal(covariance='full')"
        and repr(Poisson()) == "Poisson()"
    )
    assert repr(Poisson([1.0])) == "Poisson(shape=(1,))"


def test_extreme_parameters_keep_their_digits() -> None:
    narrow = VonMises([0.0], [5e4])
    np.testing.assert_allclose(narrow.var, 1 / 5e4, rtol=1e-4)
    np.testing.assert_allclose(
        narrow.log_prob(0.01), stats.norm(0, narrow.scale).logpdf(0.01), rtol=1e-4
    )
    almost = NegativeBinomial([7.0], [1e-6])  # a Poisson law in all but name
    rows = almost.make_rows([[3.0], [9.0]])
    np.testing.assert_allclose(
        almost.log_density(rows), Poisson([7.0]).log_density(rows), rtol=1e-5
    )
    tight = Gamma([1e8], [1e4])
    np.testing.assert_allclose(tight.log_prob(1e4), stats.norm(1e4, 1.0).logpdf(1e4), rtol=1e-6)


def test_not_positive_definite_is_named() -> None:
    e = Normal(np.zeros((2, 2)), cov=[np.eye(2), np.ones((2, 2))])
    with pytest.raises(ValueError, match="state 1 is not positive definite"):
        e.log_density(e.make_rows(np.zeros((1, 2))))


def test_a_family_of_ones_own_is_small() -> None:
    class Laplace(Emission):
        _names = {"loc": "loc", "width": "width"}  # noqa: RUF012

        def __init__(self, loc: Any = np.nan, width: Any = np.nan):
            self.loc, self.width = np.asarray(loc, float), np.asarray(width, float)

        def log_prob(self, y: Any) -> np.ndarray:
            return -np.abs(y - self.loc) / self.width - np.log(2 * self.width)

        def _estimate(self, x: Any, w: Any, now: Any, fixed: Any, c: int) -> dict[str, np.ndarray]:
            order = np.argsort(x)
            share = w[order].cumsum(0) / w.sum(0)
            loc = x[order][(share < 0.5).sum(0)]
            return {"loc": loc, "width": (w * np.abs(x[:, None] - loc)).sum(0) / w.sum(0)}

    rng = np.random.default_rng(21)
    x = rng.laplace(size=(101, 1))
    e = Laplace().fit_weighted(Laplace().make_rows(x), np.ones((101, 1)))
    np.testing.assert_allclose(e.loc, np.median(x))
