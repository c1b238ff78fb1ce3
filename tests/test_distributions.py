"""Every family against quadrature, SciPy and its own definition."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from seqkit.distributions import (
    Affine,
    Empirical,
    Exp,
    JointNormal,
    Laplace,
    Mixture,
    NegativeBinomial,
    Normal,
    Poisson,
    Power,
    Quantiles,
    Stacked,
    StudentT,
    Transformed,
    stack,
)
from seqkit.distributions.base import Distribution

RNG = np.random.default_rng(20)
NORMAL = Normal([0.0, 5.0], [1.0, 0.2])
CONTINUOUS: dict[str, Distribution] = {
    "normal": NORMAL,
    "student": StudentT([4.5, 12.0], [0.0, -3.0], [1.0, 0.5]),
    "laplace": Laplace([0.0, -3.0], [1.0, 0.5]),
    "mixture": Mixture([0.3, 0.7], [Normal([0.0, 1.0], 1.0), Normal([4.0, 1.5], [0.5, 2.0])]),
    "mixed families": Mixture(
        [[0.5, 0.5], [0.9, 0.1]], [Normal([0.0, 1.0], 1.0), StudentT(6.0, [1.0, 1.0], 2.0)]
    ),
    "quantiles": Quantiles([0.1, 0.4, 0.8], [[0.0, 1.0], [1.0, 4.0], [4.0, 4.5]]),
    "log-normal": Transformed(NORMAL, Exp()),
    "box-cox": Transformed(Normal([8.0, -3.0], [0.5, 0.3]), Power([0.5, -0.5])),
    "falling": Transformed(StudentT(7.0, [0.0, 1.0], 1.0), Affine([1.0, 0.0], [-2.0, 3.0])),
    "twice": Transformed(Transformed(NORMAL, Affine(1.0, 0.5)), Exp()),
    "stacked": Stacked([Normal(1.0, 2.0), StudentT(6.0, 0.0, 1.0)]),
}
COUNTS: dict[str, Distribution] = {
    "poisson": Poisson([0.3, 12.0]),
    "negative binomial": NegativeBinomial([2.0, 9.0], [0.5, 1.5]),
    "mixture of counts": Mixture(
        [0.4, 0.6], [Poisson([1.0, 30.0]), NegativeBinomial([4.0, 4.0], 1.0)]
    ),
    "stacked counts": Stacked([Poisson(3.0), NegativeBinomial(3.0, 0.7)]),
}
ALL = CONTINUOUS | COUNTS | {"empirical": Empirical(RNG.gamma(2.0, size=(200, 2)))}
LEVELS = [0.001, 0.05, 0.3, 0.5, 0.9, 0.995]


def named(families: dict[str, Distribution]) -> Any:
    return pytest.mark.parametrize("d", families.values(), ids=families.keys())


def element(d: Distribution, i: int) -> tuple[Distribution, np.ndarray]:
    """One univariate distribution, and the points between which its density is smooth."""
    one = d[i]
    tails = [1e-13, 1e-10, 1e-8, 1e-6, 1e-5, 1e-4, 1e-3]
    levels = [*tails, 0.01, *np.linspace(0.05, 0.95, 19), 0.99, *(1 - np.array(tails))]
    bends = one.quantile(levels)
    if isinstance(one, Quantiles):
        bends = np.concatenate([bends, one.values])
    return one, np.unique(bends)


def integral(f: Any, bends: np.ndarray, low: float = -np.inf, high: float = np.inf) -> float:
    """Gauss-Legendre between the bends; what lies beyond the outermost ones is negligible."""
    inner = bends[(bends > low) & (bends < high)]
    edges = np.array([x for x in (low, *inner, high) if np.isfinite(x)])
    nodes, weights = np.polynomial.legendre.leggauss(30)
    half, middle = np.diff(edges) / 2, (edges[1:] + edges[:-1]) / 2
    x = middle[:, None] + half[:, None] * nodes
    return float((f(x) @ weights) @ half)


def support(one: Distribution) -> np.ndarray:
    return np.arange(0.0, one.quantile(1 - 1e-13) + 2)


@named(CONTINUOUS)
@pytest.mark.parametrize("i", [0, 1])
def test_density_integrates_to_cdf(d: Distribution, i: int) -> None:
    one, bends = element(d, i)

    def density(x: np.ndarray) -> np.ndarray:
        return np.exp(one.log_prob(x))

    np.testing.assert_allclose(integral(density, bends), 1.0, rtol=0, atol=1e-9)
    for y in one.quantile([0.03, 0.45, 0.97]):
        np.testing.assert_allclose(one.cdf(y), integral(density, bends, high=y), rtol=0, atol=1e-9)


@named(CONTINUOUS)
@pytest.mark.parametrize("i", [0, 1])
def test_moments_by_quadrature(d: Distribution, i: int) -> None:
    one, bends = element(d, i)
    mean = integral(lambda x: x * np.exp(one.log_prob(x)), bends)
    var = integral(lambda x: (x - mean) ** 2 * np.exp(one.log_prob(x)), bends)
    np.testing.assert_allclose(one.mean, mean, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(one.var, var, rtol=1e-6)
    np.testing.assert_allclose(one.scale, np.sqrt(var), rtol=1e-6)


@named(CONTINUOUS)
@pytest.mark.parametrize("i", [0, 1])
def test_crps_is_the_integral_of_the_squared_error_of_the_cdf(d: Distribution, i: int) -> None:
    one, bends = element(d, i)
    for y in [*one.quantile([0.02, 0.6]), float(one.quantile(0.999)) + 2.0]:
        below = integral(lambda x: one.cdf(x) ** 2, bends, high=y)
        above = integral(lambda x: (1 - one.cdf(x)) ** 2, bends, low=y)
        np.testing.assert_allclose(one.crps(y), below + above, rtol=1e-6, atol=1e-9)


@named(COUNTS)
@pytest.mark.parametrize("i", [0, 1])
def test_counts_by_summation(d: Distribution, i: int) -> None:
    one = d[i]
    k = support(one)
    mass = np.exp(one.log_prob(k.reshape(-1, *[1] * len(one.shape)))).ravel()
    cdf = one.cdf(k).ravel()
    np.testing.assert_allclose(mass.sum(), 1.0, rtol=0, atol=1e-9)
    np.testing.assert_allclose(cdf, mass.cumsum(), rtol=0, atol=1e-10)
    np.testing.assert_allclose(one.mean, k @ mass, rtol=1e-8)
    np.testing.assert_allclose(one.var, (k - one.mean) ** 2 @ mass, rtol=1e-7)
    np.testing.assert_allclose(one.expect(np.sqrt), np.sqrt(k) @ mass, rtol=1e-8)
    for y in (0.0, 1.0, 7.0, 40.0):
        grid = np.arange(0.0, max(k[-1], y) + 1)
        expected = ((one.cdf(grid) - (grid >= y)) ** 2).sum()
        np.testing.assert_allclose(one.crps(y), expected, rtol=1e-8, atol=1e-10)


@named(COUNTS)
def test_counts_off_their_support(d: Distribution) -> None:
    assert np.all(d.log_prob(2.5) == -np.inf) and np.all(d.log_prob(-1.0) == -np.inf)
    np.testing.assert_array_equal(d.cdf(-1.0), [0.0, 0.0])
    np.testing.assert_array_equal(d.cdf(2.5), d.cdf(2.0))
    # between counts and below zero the score goes on linearly or quadratically, as the integral says
    np.testing.assert_allclose(d.crps(-2.0), d.crps(0.0) + 2.0, rtol=1e-8)
    k = np.arange(0, 400.0)[:, None]
    tail = ((1 - d.cdf(k)) ** 2)[3:].sum(0)
    mid = 0.5 * d.cdf(2.0) ** 2 + 0.5 * (1 - d.cdf(2.0)) ** 2
    expected = (d.cdf(k[:2]) ** 2).sum(0) + mid + tail
    np.testing.assert_allclose(d.crps(2.5), expected, rtol=1e-8)


def test_negative_binomial_crps_without_its_closed_form() -> None:
    """A vanishing dispersion overflows the hypergeometric function; the law is Poisson then."""
    d = NegativeBinomial([3.0, 50.0], 1e-9)
    np.testing.assert_allclose(
        d.crps([2.0, 61.0]), Poisson([3.0, 50.0]).crps([2.0, 61.0]), rtol=1e-5
    )


@named(ALL)
def test_quantile_inverts_cdf(d: Distribution) -> None:
    values = d.quantile(LEVELS)
    assert values.shape == (len(LEVELS), 2)
    assert np.all(np.diff(values, axis=0) >= 0)
    np.testing.assert_array_equal(d.median, d.quantile(0.5))
    for q, value in zip(LEVELS, values, strict=True):
        np.testing.assert_array_equal(d.quantile(q), value)
        if d.discrete:
            assert np.all(d.cdf(value) >= q - 1e-12) and np.all(d.cdf(value - 1) < q)
        else:
            atol = 1 / 200 if isinstance(d, Empirical) else 1e-9
            np.testing.assert_allclose(d.cdf(value), q, rtol=0, atol=atol)


@named(ALL)
def test_samples_have_the_moments(d: Distribution) -> None:
    n = 20_000
    draws = d.sample(n, np.random.default_rng(5))
    assert draws.shape == (n, 2)
    np.testing.assert_array_equal(draws, d.sample(n, np.random.default_rng(5)))
    error = draws - d.mean
    assert np.all(np.abs(error.mean(0)) < 4 * np.sqrt(d.var / n))
    fourth = np.maximum((error**4).mean(0) - d.var**2, 0.0)
    assert np.all(np.abs((error**2).mean(0) - d.var) < 4 * np.sqrt(fourth / n) + 1e-12)
    for q in (0.1, 0.5, 0.9):  # and the quantiles: a share q lies at or below
        share = (draws <= d.quantile(q)).mean(0)
        # an interpolated quantile of a small sample reaches a share up to one sample away
        tolerance = 4 * np.sqrt(q * (1 - q) / n) + (1 / 200 if isinstance(d, Empirical) else 0)
        np.testing.assert_array_less(np.abs(share - d.cdf(d.quantile(q))), tolerance)


@named(ALL)
def test_an_outlier_has_a_finite_score(d: Distribution) -> None:
    """Far out, the score grows with the distance: 1 per unit on either side."""
    for side, far in ((1, 1e4), (-1, -1e4)):
        score = d.crps(np.array([far, far + side]))
        assert np.all(np.isfinite(score))
        atol = 0.05 if isinstance(d[0], StudentT) else 1e-3
        np.testing.assert_allclose(d.crps(far + side) - d.crps(far), 1.0, rtol=0, atol=atol)


@named(ALL)
def test_nan_in_nan_out(d: Distribution) -> None:
    seen = float(d.quantile(0.5)[1])
    for method in ("log_prob", "cdf", "crps"):
        out = getattr(d, method)(np.array([np.nan, seen]))
        assert np.isnan(out[0]) and np.isfinite(out[1]), method


@named(ALL)
def test_leading_axes_of_y_broadcast(d: Distribution) -> None:
    y = np.stack([d.quantile(0.3), d.quantile(0.7), d.quantile(0.9)])
    for method in ("log_prob", "cdf", "crps"):
        rows = [getattr(d, method)(row) for row in y]
        np.testing.assert_allclose(getattr(d, method)(y), rows, rtol=1e-12)


@named(ALL)
def test_sub_arrays(d: Distribution) -> None:
    y = d.quantile(0.6)
    for key in (0, 1, slice(1, 2), slice(None), np.array([1, 0])):
        part = d[key]
        assert part.shape == y[key].shape
        for name in ("mean", "var", "median"):
            np.testing.assert_allclose(getattr(part, name), getattr(d, name)[key], rtol=1e-12)
        for name in ("log_prob", "cdf", "crps"):
            expected = getattr(d, name)(y)[key]
            np.testing.assert_allclose(getattr(part, name)(y[key]), expected, rtol=1e-12)


@named(ALL)
@pytest.mark.parametrize("factor", [2.5, -0.1, np.array([-3.0, 0.5])], ids=["up", "down", "both"])
def test_affine_is_a_change_of_units(d: Distribution, factor: Any) -> None:
    if isinstance(d, Quantiles) and np.ndim(factor):
        with pytest.raises(ValueError, match="one sign"):
            d.affine(0.0, factor)
        return
    shift = np.array([1.0, -2.0])
    moved = d.affine(shift, factor)
    np.testing.assert_allclose(moved.mean, shift + factor * d.mean, rtol=1e-9)
    np.testing.assert_allclose(moved.var, factor**2 * d.var, rtol=1e-6)
    y = d.quantile([0.2, 0.55])
    jacobian = 0.0 if d.discrete else np.log(np.abs(factor))
    z = shift + factor * y
    np.testing.assert_allclose(moved.log_prob(z), d.log_prob(y) - jacobian, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(moved.crps(z), np.abs(factor) * d.crps(y), rtol=1e-6)
    if d.discrete:
        rest = 1 - d.cdf(y) + np.exp(d.log_prob(y))
    elif isinstance(d, Empirical):
        rest = (d.samples >= y[:, None]).mean(1)
    else:
        rest = 1 - d.cdf(y)
    expected = np.where(np.asarray(factor) > 0, d.cdf(y), rest)
    atol = 1 / 200 if isinstance(d, Empirical) else 1e-12  # a sample at y itself may round away
    np.testing.assert_allclose(moved.cdf(z), expected, rtol=0, atol=atol)
    q = np.where(np.asarray(factor) > 0, 0.3, 0.7) * np.ones(2)
    atol = 1e-12 if not d.discrete else 0.0
    expected = shift + factor * np.stack([d.quantile(p) for p in q])[[0, 1], [0, 1]]
    np.testing.assert_allclose(moved.quantile(0.3), expected, rtol=1e-9, atol=atol)


def test_affine_of_counts_survives_rounding() -> None:
    d = Poisson(3.0).affine(0.0, 0.1)
    k = np.arange(40.0)
    np.testing.assert_allclose(d.log_prob(0.1 * k), Poisson(3.0).log_prob(k), rtol=1e-12)
    np.testing.assert_allclose(d.cdf(0.1 * k), Poisson(3.0).cdf(k), rtol=1e-12)
    assert d.log_prob(0.15) == -np.inf


def test_affine_broadcasts_over_the_steps() -> None:
    """Scalings give one factor per series and channel; elements must still be found by (series, step)."""
    d = Poisson(np.full((2, 3, 1), 4.0)).affine(
        np.zeros((2, 1, 1)), np.array([2.0, 3.0])[:, None, None]
    )
    np.testing.assert_allclose(d[1, 2].mean, [12.0])
    np.testing.assert_allclose(d[:, 2].mean.ravel(), [8.0, 12.0])


# -- against SciPy ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("d", "reference"),
    [
        (Normal(1.5, 0.3), stats.norm(1.5, 0.3)),
        (StudentT(3.3, -1.0, 2.0), stats.t(3.3, -1.0, 2.0)),
        (Laplace(-1.0, 2.0), stats.laplace(-1.0, 2.0)),
        (Transformed(Normal(0.4, 0.7), Exp()), stats.lognorm(0.7, scale=np.exp(0.4))),
        (Poisson(7.7), stats.poisson(7.7)),
        (NegativeBinomial(5.0, 0.4), stats.nbinom(2.5, 2.5 / 7.5)),
    ],
    ids=["norm", "t", "laplace", "lognorm", "poisson", "nbinom"],
)
def test_scipy_agrees(d: Distribution, reference: Any) -> None:
    q = np.linspace(0.01, 0.99, 23)
    y = reference.ppf(q)
    log_density = reference.logpmf if d.discrete else reference.logpdf
    np.testing.assert_allclose(d.quantile(q), y, rtol=1e-10)
    np.testing.assert_allclose(d.log_prob(y), log_density(y), rtol=1e-10)
    np.testing.assert_allclose(d.cdf(y), reference.cdf(y), rtol=1e-10)
    np.testing.assert_allclose([d.mean, d.var], reference.stats(), rtol=1e-10)


def test_log_normal_closed_forms() -> None:
    m, s = np.array([0.0, 1.3]), np.array([0.5, 0.2])
    d = Transformed(Normal(m, s), Exp())
    np.testing.assert_allclose(d.mean, np.exp(m + s**2 / 2), rtol=1e-12)
    np.testing.assert_allclose(d.var, np.expm1(s**2) * np.exp(2 * m + s**2), rtol=1e-10)
    np.testing.assert_allclose(d.median, np.exp(m), rtol=1e-12)
    # the mode is exp(m - s^2)
    mode = np.exp(m - s**2)
    assert np.all(d.log_prob(mode) > np.maximum(d.log_prob(mode * 1.01), d.log_prob(mode * 0.99)))
    y = np.array([1.2, 3.0])  # Baran & Lerch (2015), CRPS of the log-normal
    z = (np.log(y) - m) / s
    first = y * (2 * stats.norm.cdf(z) - 1)
    second = stats.norm.cdf(z - s) + stats.norm.cdf(s / np.sqrt(2)) - 1
    np.testing.assert_allclose(d.crps(y), first - 2 * d.mean * second, rtol=1e-7)
    assert np.all(d.log_prob(-1.0) == -np.inf) and np.all(d.cdf(-1.0) == 0)
    assert np.all(d.cdf(0.0) == 0)


def test_empirical_density_is_a_kernel_estimate() -> None:
    samples = RNG.normal(size=500)
    d = Empirical(samples)
    width = (
        0.9 * min(samples.std(), np.subtract(*np.quantile(samples, [0.75, 0.25])) / 1.34) / 500**0.2
    )
    y = 0.3
    expected = np.log(stats.norm.pdf(y, samples, width).mean())
    np.testing.assert_allclose(d.log_prob(y), expected, rtol=1e-10)
    pairs = np.abs(samples[:, None] - samples).mean()
    np.testing.assert_allclose(d.crps(y), np.abs(samples - y).mean() - pairs / 2, rtol=1e-10)
    assert np.isfinite(
        Empirical(np.zeros((5, 1))).log_prob([0.0])
    ).all()  # a constant sample keeps a density
    assert np.all(Empirical(np.zeros((5, 1))).log_prob([1e6]) < -1e6)


def test_quantiles_with_ties_keep_a_law() -> None:
    d = Quantiles([0.1, 0.5, 0.9], [0.0, 0.0, 1.0])  # half of the probability sits at zero
    np.testing.assert_allclose(
        d.cdf([-1e5, -1.0, 0.0, 0.5]), [0.0, 0.0, 0.5, 0.7], rtol=0, atol=1e-12
    )
    np.testing.assert_allclose(d.quantile([0.05, 0.3, 0.7]), [0.0, 0.0, 0.5], rtol=0, atol=1e-12)
    assert np.isfinite(d.crps(0.3)) and np.isfinite(d.mean) and np.isfinite(d.var)
    crossed = Quantiles([0.1, 0.5, 0.9], [2.0, 1.0, 3.0])
    np.testing.assert_array_equal(crossed.quantile([0.1, 0.5, 0.9]), [1.0, 2.0, 3.0])


def test_a_scale_of_zero_is_a_point() -> None:
    d = Normal(1.0, 0.0)
    np.testing.assert_array_equal(d.cdf([0.0, 1.0, 2.0]), [0.0, 1.0, 1.0])
    np.testing.assert_array_equal(d.log_prob([0.0, 1.0, 2.0]), [-np.inf, np.inf, -np.inf])
    np.testing.assert_array_equal(d.crps([0.0, 1.0, 3.0]), [1.0, 0.0, 2.0])
    assert np.isnan(d.log_prob(np.nan)) and np.isnan(d.cdf(np.nan)) and np.isnan(d.crps(np.nan))
    unknown = Normal([np.nan, 0.0], [np.nan, 1.0])  # a row that cannot be predicted yet
    assert np.isnan(unknown.log_prob(0.0)[0]) and np.isnan(unknown.cdf(0.0)[0])


def test_student_without_moments() -> None:
    d = StudentT([0.9, 1.5, 3.0], 0.0, 1.0)
    np.testing.assert_array_equal(d.mean, [np.nan, 0.0, 0.0])
    np.testing.assert_array_equal(d.var, [np.inf, np.inf, 3.0])
    np.testing.assert_array_equal(np.isinf(d.crps(0.0)), [True, False, False])
    assert np.isnan(d.crps(np.nan)).all()


# -- several at once ----------------------------------------------------------------------------


def same_answers(whole: Distribution, members: list[Distribution]) -> None:
    assert whole.shape == (len(members), *members[0].shape)
    y = np.stack([m.quantile(0.62) for m in members])
    for i, member in enumerate(members):
        for name in ("mean", "var", "median"):
            np.testing.assert_allclose(getattr(whole, name)[i], getattr(member, name), rtol=1e-12)
        np.testing.assert_allclose(
            whole.quantile([0.1, 0.8])[:, i], member.quantile([0.1, 0.8]), rtol=1e-12
        )
        for name in ("log_prob", "cdf", "crps"):
            np.testing.assert_allclose(
                getattr(whole, name)(y)[i], getattr(member, name)(y[i]), rtol=1e-12
            )
        part = whole[i]
        np.testing.assert_allclose(part.mean, member.mean, rtol=1e-12)
    draws = whole.sample(4000, np.random.default_rng(1))
    assert draws.shape == (4000, *whole.shape)
    spread = 5 * np.sqrt(whole.var / 4000) + 1e-12
    assert np.all(np.abs(draws.mean(0) - whole.mean) < spread)


def paths(kind: str, seed: int) -> Distribution:
    rng = np.random.default_rng(seed)
    mean = rng.normal(size=(4, 1))
    if kind == "joint":
        return JointNormal(mean, rng.normal(size=(4, 4 + seed)))
    if kind == "normal":
        return Normal(mean, rng.uniform(0.5, 2.0, size=(4, 1)))
    if kind == "student":
        return StudentT(5.0, mean, 1.0)
    return Empirical(rng.normal(size=(50 * seed + 50, 4, 1)))


@pytest.mark.parametrize(
    ("kinds", "family"),
    [
        ("joint joint", JointNormal), ("normal normal", Normal), ("empirical", Empirical),
        ("empirical empirical", Stacked), ("joint empirical normal", Stacked), ("student student", Stacked),
        ("joint normal", Stacked),
    ],
)  # fmt: skip
def test_stack(kinds: str, family: type) -> None:
    members = [paths(kind, seed) for seed, kind in enumerate(kinds.split())]
    whole = stack(members)
    assert type(whole) is family
    same_answers(whole, members)
    same_answers(whole[::-1], members[::-1])
    np.testing.assert_allclose(whole[0, 1:].mean, members[0].mean[1:], rtol=1e-12)


def test_stacked_families_change_units_member_by_member() -> None:
    members = [paths("joint", 1), paths("empirical", 2), paths("student", 3)]
    whole = stack(members)
    shift, factor = np.arange(3.0)[:, None, None], np.array([1.0, 2.0, 0.5])[:, None, None]
    same_answers(
        whole.affine(shift, factor),
        [m.affine(s, f) for m, s, f in zip(members, shift, factor, strict=True)],
    )
    light = stack([paths("joint", 1), paths("empirical", 2)])
    same_answers(light.through(Exp()), [Transformed(m, Exp()) for m in light.members])
    power = np.broadcast_to(np.array([0.5, 0.0])[:, None, None], (2, 4, 1))
    lifted = light.affine(9.0, 1.0).through(Power(power))
    same_answers(
        lifted,
        [m.affine(9.0, 1.0).through(Power(p)) for m, p in zip(light.members, power, strict=True)],
    )


def test_stack_refuses_unequal_shapes() -> None:
    with pytest.raises(ValueError, match="one shape"):
        stack([Normal(np.zeros(2), 1.0), Empirical(np.zeros((5, 3)))])


# -- joint normals ------------------------------------------------------------------------------


@pytest.fixture
def joint() -> JointNormal:
    rng = np.random.default_rng(3)
    return JointNormal(rng.normal(size=(2, 3, 2)), rng.normal(size=(2, 6, 8)))


def test_joint_samples_have_the_covariance(joint: JointNormal) -> None:
    n = 40_000
    draws = joint.sample(n, np.random.default_rng(0)).reshape(n, 2, 6)
    for i in range(2):
        cov = joint.cov[i]
        error = np.cov(draws[:, i].T, bias=True) - cov
        standard = np.sqrt((np.outer(np.diag(cov), np.diag(cov)) + cov**2) / n)
        assert np.all(np.abs(error) < 4 * standard)
    np.testing.assert_allclose(
        joint.var.reshape(2, 6), np.diagonal(joint.cov, axis1=1, axis2=2), rtol=1e-12
    )


def test_joint_log_prob_marginalises_what_is_missing(joint: JointNormal) -> None:
    rng = np.random.default_rng(9)
    y = rng.normal(size=(2, 3, 2))
    y[0, 1, 0], y[1, 0], y[1, 2, 1] = np.nan, np.nan, np.nan
    out = joint.joint_log_prob(y)
    for i in range(2):
        seen = ~np.isnan(y[i].ravel())
        reference = stats.multivariate_normal(
            joint.mean[i].ravel()[seen], joint.cov[i][np.ix_(seen, seen)]
        )
        np.testing.assert_allclose(out[i], reference.logpdf(y[i].ravel()[seen]), rtol=1e-10)
    nothing = joint.joint_log_prob(np.full((2, 3, 2), np.nan))
    np.testing.assert_array_equal(nothing, 0.0)
    flat = joint.joint_log_prob(joint.mean)
    reference = [stats.multivariate_normal(np.zeros(6), c).logpdf(np.zeros(6)) for c in joint.cov]
    np.testing.assert_allclose(flat, reference, rtol=1e-10)


def test_joint_density_of_changed_units(joint: JointNormal) -> None:
    """SciPy's density of the path in the base's units, and the slopes; missing elements integrated out."""
    power = Power(np.broadcast_to(0.5, joint.shape))
    factor = np.where(np.arange(joint.shape[-1]) % 2, -2.0, 3.0)
    y = np.exp(np.random.default_rng(0).normal(size=joint.shape))
    y[0, 1, 0] = np.nan
    changed = [
        (joint.affine(1.0, factor), (y - 1) / factor, -np.log(np.abs(factor)) + 0 * y),
        (joint.through(Exp()), np.log(y), -np.log(y)),
        (joint.through(Exp()).affine(0.0, 4.0), np.log(y / 4), -np.log(y)),
        (joint.through(power), (np.sqrt(y) - 1) / 0.5, -0.5 * np.log(y)),
    ]
    for d, z, slope in changed:
        got = d.joint_log_prob(y)
        for i in range(len(y)):
            seen = ~np.isnan(z[i].ravel())
            law = stats.multivariate_normal(
                joint.mean[i].ravel()[seen], joint.cov[i][np.ix_(seen, seen)]
            )
            expected = law.logpdf(z[i].ravel()[seen]) + np.nansum(slope[i])
            np.testing.assert_allclose(got[i], expected, rtol=1e-9)
    impossible = y.copy()
    impossible[1, 0, 0] = -1.0
    got = joint.through(Exp()).joint_log_prob(impossible)
    assert got[1] == -np.inf and np.isfinite(got[0])
    members = Stacked([joint, joint.through(Exp())])
    by_hand = [m.joint_log_prob(y) for m in members.members]
    np.testing.assert_array_equal(members.joint_log_prob(np.stack([y, y])), by_hand)


def test_paths_without_a_joint_density() -> None:
    steps = Normal(np.zeros((1, 3, 1)), 1.0)
    for d, family in (
        (steps, "Normal"),
        (steps.through(Exp()), "Normal"),
        (Empirical(np.ones((4, 1, 3, 1))), "Emp"),
    ):
        with pytest.raises(TypeError, match=f"{family}.* has no density of a whole path"):
            d.joint_log_prob(np.ones((1, 3, 1)))
    with pytest.raises(ValueError, match=r"covariance is singular.*use log_prob"):
        JointNormal(np.zeros((1, 2, 1)), np.ones((1, 2, 1))).joint_log_prob(np.ones((1, 2, 1)))


def walk(periods: int = 3) -> Any:
    from seqkit import Naive

    index = pd.date_range("2024-01-01", periods=6, freq="MS")
    y = pd.Series([0.0, 1.0, 0.0, 1.0, 0.0, 1.0], index=index)
    panel = Naive().fit({"a": y, "b": 3 * y})
    return panel.predict(periods), Naive().fit(y).predict(periods)


def test_forecasts_give_the_density_of_whole_paths() -> None:
    """A random walk: the product of the densities of its increments."""
    panel, single = walk()
    actual = pd.Series([2.0, 1.5, 3.0], index=single.index)
    increments = stats.norm(0, single.scale.iloc[0]).logpdf([1.0, -0.5, 1.5]).sum()
    value = single.joint_log_prob(actual)
    assert isinstance(value, float)
    np.testing.assert_allclose(value, increments, rtol=1e-12)
    both = panel.joint_log_prob({"a": actual, "b": 3 * actual})
    np.testing.assert_allclose(both, [value, value - 3 * np.log(3)], rtol=1e-12)
    assert both.index.tolist() == ["a", "b"] and both.index.name == "series"
    np.testing.assert_allclose(
        single.exp().joint_log_prob(np.exp(actual)), value - actual.sum(), rtol=1e-12
    )


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_forecast_arithmetic_needs_finite_operands(bad: float) -> None:
    panel, single = walk()
    other = pd.Series([1.0, bad, 2.0], index=single.index)
    where = r"is (nan|inf|infinite) at 2024-08-01 00:00:00"
    for operate in (lambda f, o: f + o, lambda f, o: o - f, lambda f, o: f * o, lambda f, o: f / o):
        for operand in (other, other.to_numpy(), bad):
            with pytest.raises(
                ValueError, match="^the operand " + (where if operand is not bad else "is")
            ):
                operate(single, operand)
    whole = pd.Series(1.0, index=single.index)
    with pytest.raises(ValueError, match=rf"^the operand( {where} of series 'b'|\['b'\] {where})"):
        panel + pd.concat({"a": whole, "b": other})


def test_forecasts_are_not_divided_by_zero() -> None:
    _, single = walk()
    with pytest.raises(
        ValueError, match=r"^the divisor is zero at 2024-09-01 00:00:00; a forecast"
    ):
        single / pd.Series([1.0, 2.0, 0.0], index=single.index)
    with pytest.raises(ValueError, match=r"^the divisor is zero at 2024-07-01"):
        single / 0
    late = pd.Series(1.0, index=single.index + pd.DateOffset(months=1))
    with pytest.raises(
        ValueError, match=r"^the operand has no value at 2024-07-01 00:00:00; .* 00:00:00$"
    ):
        single - late


def test_labels_of_levels_keep_their_digits() -> None:
    _, single = walk()
    columns = single.to_frame(level=[80, np.float64(99.999999), 97.5]).columns.tolist()
    assert columns == [
        "mean", "lo-99.999999", "lo-97.5", "lo-80", "hi-80", "hi-97.5", "hi-99.999999",
    ]  # fmt: skip


def test_joint_linear_and_affine(joint: JointNormal) -> None:
    matrix = np.random.default_rng(4).normal(size=(2, 3, 3))
    moved = joint.linear(matrix)
    for i in range(2):
        whole = np.kron(matrix[i], np.eye(2))  # acts on time, channel by channel
        np.testing.assert_allclose(moved.mean[i], matrix[i] @ joint.mean[i], rtol=1e-12)
        np.testing.assert_allclose(moved.cov[i], whole @ joint.cov[i] @ whole.T, rtol=1e-10)
    shared = joint.linear(matrix[0])
    np.testing.assert_allclose(shared.mean[1], matrix[0] @ joint.mean[1], rtol=1e-12)
    factor = np.random.default_rng(5).normal(size=(2, 1, 2))  # per series and channel, both signs
    scaled = joint.affine(1.0, factor)
    rows = np.broadcast_to(factor, (2, 3, 2)).reshape(2, 6)
    np.testing.assert_allclose(
        scaled.cov, rows[:, :, None] * joint.cov * rows[:, None, :], rtol=1e-10
    )
    np.testing.assert_allclose(scaled.mean, 1.0 + factor * joint.mean, rtol=1e-12)


def test_joint_parts(joint: JointNormal) -> None:
    one = joint[1]
    assert isinstance(one, JointNormal)
    np.testing.assert_array_equal(one.cov, joint.cov[1])
    assert type(joint[:, 0]) is Normal  # single steps are marginals
    np.testing.assert_array_equal(joint[:, 0].scale, joint.scale[:, 0])
    with pytest.raises(ValueError, match=r"6 rows, got \(2, 5, 5\)"):
        JointNormal(np.zeros((2, 3, 2)), np.zeros((2, 5, 5)))


def test_empirical_paths_are_summed_and_drawn_whole() -> None:
    paths_ = RNG.normal(size=(30, 2, 4, 1)).cumsum(2)
    d = Empirical(paths_)
    summed = d.linear(np.tril(np.ones((4, 4))))
    np.testing.assert_allclose(summed.samples, paths_.cumsum(2), rtol=1e-12)
    draws = d.sample(7, np.random.default_rng(0))
    assert all(any(np.array_equal(draw, path) for path in paths_) for draw in draws)
    assert d.sample(30, np.random.default_rng(0)) is d.samples


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Normal(0.0, -1.0), "scale must not be negative, got -1"),
        (lambda: StudentT(0.0, 0.0, 1.0), "df and scale must be positive"),
        (lambda: StudentT(3.0, 0.0, 0.0), "df and scale must be positive"),
        (lambda: Laplace(0.0, 0.0), "scale must be positive, got 0"),
        (lambda: Poisson(-1.0), "rate must not be negative, got -1"),
        (lambda: NegativeBinomial(0.0, 1.0), "mean and dispersion must be positive"),
        (lambda: Mixture([0.5, 0.6], [NORMAL, NORMAL]), "sum to one"),
        (lambda: Mixture([0.5, 0.5], [NORMAL, Normal(0.0, 1.0)]), "components must have one shape"),
        (lambda: Mixture([1.0], [NORMAL, NORMAL]), "1 weights for 2 components"),
        (lambda: Quantiles([0.5, 0.1], [0.0, 1.0]), "increasing"),
        (lambda: Quantiles([0.1, 0.5], [0.0, 1.0, 2.0]), "2 levels for 3 rows"),
        (lambda: Empirical([]), "at least one draw"),
        (lambda: NORMAL.quantile(0.0), "strictly between 0 and 1, got 0"),
        (lambda: NORMAL.quantile([0.5, 1.0]), "strictly between 0 and 1"),
        (lambda: NORMAL.quantile(np.nan), "strictly between 0 and 1, got nan"),
        (lambda: NORMAL.quantile([]), "strictly between 0 and 1"),
    ],
)
def test_nonsense_is_refused(build: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()
