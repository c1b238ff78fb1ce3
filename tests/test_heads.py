"""Heads of networks: the torch loss is the NumPy density, and stays a number wherever the network goes."""

from __future__ import annotations

import itertools
import subprocess
import sys
from importlib import import_module
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

import seqkit
from seqkit.distributions import (
    Categorical,
    Exponential,
    Gamma,
    GaussianMixture,
    Laplace,
    NegativeBinomial,
    Normal,
    Poisson,
    Quantiles,
    StudentT,
    VonMises,
    _ops,
)
from seqkit.nn import heads, losses

FAMILIES: dict[str, Any] = {
    "normal": Normal(),
    "student": StudentT(),
    "student, df held": StudentT(df=4),
    "laplace": Laplace(),
    "poisson": Poisson(),
    "negative binomial": NegativeBinomial(),
    "gamma": Gamma(),
    "exponential": Exponential(),
    "von mises": VonMises(),
    "mixture": GaussianMixture(3),
    "mixture of counts": heads.MixtureHead(NegativeBinomial(), 2),
    "binary": heads.Binary(),
    "classes": heads.Classes(4),
}
POINTS = [heads.Squared(), heads.Absolute(), heads.Huber(0.7)]
ALL = {
    **FAMILIES,
    "quantiles": Quantiles(levels=[0.05, 0.3, 0.5, 0.8]),
    "quantiles without a middle": Quantiles(levels=[0.6, 0.7, 0.99]),
    **{repr(head): head for head in POINTS},
}


def named(families: dict[str, Any]) -> Any:
    made = [heads.as_head(family) for family in families.values()]
    return pytest.mark.parametrize("head", made, ids=families.keys())


def targets(head: Any, shape: tuple[int, ...], seed: int = 1) -> Any:
    """Values that every law here allows, about 6 +- 3; codes for classes."""
    rng = np.random.default_rng(seed)
    if isinstance(head, (heads.Binary, heads.Classes)):
        return rng.integers(0, min(head.size + 1, 4), shape).astype(float)
    return rng.poisson(5.0, shape) + 1.0


def problem(head: Any, dtype: Any = torch.float64) -> tuple[Any, Any, Any, Any]:
    """Raw numbers, targets, shifts and scales in the shapes of forecasts: (batch, horizon, channels)."""
    rng = np.random.default_rng(0)
    raw = rng.normal(size=(3, 4, 2, head.size))
    shift, scale = rng.normal(5.0, 1.0, (3, 1, 2)), rng.uniform(0.5, 4.0, (3, 1, 2))
    arrays = (raw, targets(head, (3, 4, 2)), shift, scale)
    return tuple(torch.tensor(a, dtype=dtype) for a in arrays)  # type: ignore[return-value]


def in_nats(head: Any, loss: Any, scale: Any) -> Any:
    """Losses of scaled targets as those per unit of the target."""
    scaled = not isinstance(head, (heads.Binary, heads.Classes))
    law = getattr(head, "component", head)
    family = getattr(law, "family", None)
    if family is not None and (family.discrete or isinstance(family, VonMises)):
        scaled = False
    return loss + scale.log() if scaled else loss


@named(FAMILIES)
def test_loss_is_minus_the_log_density(head: Any) -> None:
    raw, y, shift, scale = problem(head)
    loss = in_nats(head, head.loss(raw, y, shift, scale), scale)
    law = head.distribution(raw, shift, scale)
    assert loss.shape == y.shape == law.shape
    np.testing.assert_allclose(loss.numpy(), -law.log_prob(y.numpy()), rtol=1e-9, atol=1e-9)


@named(ALL)
def test_gradients_by_finite_differences(head: Any) -> None:
    raw, y, shift, scale = problem(head)
    y = y + 0.3 if head.shifted else y  # off the kinks
    assert torch.autograd.gradcheck(
        lambda r: head.loss(r, y, shift, scale).sum(), raw.requires_grad_(), fast_mode=True
    )


@named(ALL)
def test_no_raw_number_breaks_a_loss_or_its_gradient(head: Any) -> None:
    corners = list(itertools.islice(itertools.product((-50.0, 50.0, 0.0), repeat=head.size), 2000))
    raw = torch.tensor(corners, dtype=torch.float32, requires_grad=True)
    for y in (0.0, 1.0) if isinstance(head, (heads.Binary, heads.Classes)) else (1.0, 4000.0):
        for scale in (1e-3, 1.0, 1e3):
            loss = head.loss(
                raw, torch.full((len(raw),), y), torch.tensor(2.0), torch.tensor(scale)
            )
            (gradient,) = torch.autograd.grad(loss.sum(), raw)
            assert loss.isfinite().all() and gradient.isfinite().all()
    spread = torch.ones(()) if head.constant_spread else None
    raw = raw.detach()
    assert head.sample(raw, 0.0, 1.0, torch.Generator().manual_seed(0), spread).isfinite().all()
    assert head.point(raw, 0.0, 1.0).isfinite().all()
    law = head.distribution(raw, 0.0, 1.0, spread)
    assert np.isfinite(law.mean).all() and np.isfinite(law.var).all()


@named({k: v for k, v in ALL.items() if k not in ("binary", "classes")})
def test_raw_zeros_are_a_law_of_unit_scale(head: Any) -> None:
    spread = 1.0 if head.constant_spread else None
    law = head.distribution(np.zeros((1, head.size)), 7.0, 2.0, spread)
    angle = isinstance(getattr(head, "family", None), VonMises)
    centre, unit = (7.0 if head.shifted else 0.0 if angle else 2.0), 1.0 if angle else 2.0
    assert 0.4 * unit < law.scale[0] < 3.0 * unit
    assert abs(law.mean[0] - centre) < 0.6 * unit


@named(ALL)
def test_draws_follow_the_law(head: Any) -> None:
    raw, _, shift, scale = problem(head)
    spread = torch.full((4, 2), 0.7, dtype=torch.float64) if head.constant_spread else None
    n = 4000
    many = raw[None].expand(n, *raw.shape)
    draws = head.sample(many, shift, scale, torch.Generator().manual_seed(3), spread)
    again = head.sample(many, shift, scale, torch.Generator().manual_seed(3), spread)
    assert torch.equal(draws, again) and draws.shape == (n, 3, 4, 2)
    law = head.distribution(raw, shift, scale, spread)
    x = draws.double().numpy()
    for q in (0.03, 0.2, 0.5, 0.8, 0.97):
        value = law.quantile(q)
        if isinstance(getattr(head, "family", None), VonMises):  # a circle has no first point
            x = law.mean + np.remainder(x - law.mean + np.pi, 2 * np.pi) - np.pi
        expected = law.cdf(value)
        error = 4.5 * np.sqrt(np.maximum(expected * (1 - expected), 1e-4) / n)
        np.testing.assert_array_less(np.abs((x <= value).mean(0) - expected), error)


@named(ALL)
def test_points_are_medians_or_means(head: Any) -> None:
    raw, _, shift, scale = problem(head)
    law = head.distribution(raw, shift, scale, 1.0 if head.constant_spread else None)
    point = head.point(raw, shift, scale).double().numpy()
    if isinstance(head, heads.Classes):
        np.testing.assert_array_equal(point, law.probabilities.argmax(-1))
        return
    near = [np.isclose(point, law.median, rtol=1e-9), np.isclose(point, law.mean, rtol=1e-9)]
    assert near[0].all() or near[1].all()


@named(ALL)
def test_half_precision_is_widened(head: Any) -> None:
    raw, y, shift, scale = problem(head, torch.float32)
    loss = head.loss(raw.bfloat16(), y, shift, scale)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, head.loss(raw.bfloat16().float(), y, shift, scale))


@named(ALL)
def test_a_head_is_saved_and_needs_no_torch_to_exist(head: Any, tmp_path: Any) -> None:
    seqkit.persistence.save(head, tmp_path / "head")
    assert seqkit.load(tmp_path / "head") == head
    assert heads.as_head(head) is head


def test_heads_are_made_without_torch() -> None:
    code = (
        "import sys; from seqkit.nn.heads import as_head, Huber, Classes; import seqkit\n"
        "as_head(seqkit.StudentT()), as_head(seqkit.GaussianMixture(2)), as_head(seqkit.Quantiles())\n"
        "Huber(), Classes(3)\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_counts_keep_their_digits_when_they_are_nearly_poisson() -> None:
    """n = 1 / dispersion on either side of where its log Gamma is a series, and far beyond, in float32."""
    y, dispersion = np.array([0.0, 3.0, 900.0])[:, None], np.array([0.5, 0.021, 0.019, 1e-3, 1e-5])
    found = NegativeBinomial(np.full(5, 40.0), dispersion).log_prob(y)
    expected = stats.nbinom(1 / dispersion, 1 / (1 + 40.0 * dispersion)).logpmf(y)
    np.testing.assert_allclose(found, expected, rtol=1e-8)
    ops = import_module("seqkit.distributions._ops_torch")
    tensors = (torch.tensor(v, dtype=torch.float32) for v in (y, 40.0, dispersion))
    single = NegativeBinomial.formula(ops, *tensors)
    np.testing.assert_allclose(single, expected, rtol=3e-6, atol=3e-6)


# -- quantiles ----------------------------------------------------------------------------------


def test_quantiles_never_cross() -> None:
    head = heads.as_head(Quantiles(levels=np.linspace(0.01, 0.99, 25)))
    raw = 50 * torch.randn(500, 25, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)
    order = head._values(_ops, np.zeros(25)).argsort().tolist()
    values = head._values(import_module("seqkit.distributions._ops_torch"), raw)[order]
    assert (values.diff(dim=0) >= 0).all()  # in float32, before any sorting
    assert np.all(np.diff(head.distribution(raw, 1e3, 1e-2).values, axis=0) > 0)


def test_quantiles_start_normal_and_their_loss_is_twice_the_pinball() -> None:
    levels = np.array([0.1, 0.5, 0.75, 0.9])
    head = heads.as_head(Quantiles(levels=levels))
    law = head.distribution(np.zeros((1, 4)), 10.0, 2.0)
    np.testing.assert_allclose(
        law.values[:, 0], stats.norm(10, 2).ppf(levels), rtol=0, atol=1e-4
    )  # but for the floor of positive numbers
    raw, y, shift, scale = problem(head)
    values = head.distribution(raw, shift, scale).values
    error = y.numpy() - values
    q = levels[:, None, None, None]
    expected = 2 * np.maximum(q * error, (q - 1) * error).mean(0)
    np.testing.assert_allclose(
        (head.loss(raw, y, shift, scale) * scale).numpy(), expected, rtol=1e-12
    )


def test_unfitted_quantiles_are_a_family() -> None:
    family = seqkit.Quantiles(levels=[0.1, 0.5, 0.9])
    assert repr(family) == "Quantiles(levels=[0.1, 0.5, 0.9])"
    assert heads.as_head(seqkit.Quantiles()).levels[0] == 0.025
    with pytest.raises(ValueError, match="two or more, increasing"):
        Quantiles(levels=[0.5])


# -- points -------------------------------------------------------------------------------------


def test_spreads_are_the_likeliest_ones() -> None:
    rng = np.random.default_rng(4)
    z, mask = rng.standard_t(3, (200, 3, 2)), rng.uniform(size=(200, 3, 2)) < 0.8
    mask[:, 2, 1] = False
    found = {type(h): h.spread(torch.tensor(z), torch.tensor(mask)).numpy() for h in POINTS}
    seen = z[:, 0, 0][mask[:, 0, 0]]
    np.testing.assert_allclose(found[heads.Squared][0, 0], np.sqrt((seen**2).mean()), rtol=1e-12)
    np.testing.assert_allclose(found[heads.Absolute][0, 0], np.abs(seen).mean(), rtol=1e-12)
    mad = 1.4826 * np.median(np.abs(seen))
    np.testing.assert_allclose(found[heads.Huber][0, 0], mad, rtol=0.03)
    for value in found.values():  # a step that was never seen takes the spread of all
        assert value.shape == (3, 2) and value[2, 1] == pytest.approx(value.mean(), rel=0.3)
    exact = torch.zeros(5, 1)
    assert all(0 < h.spread(exact) < 1e-4 for h in POINTS)  # a perfect fit keeps a density
    assert all(h.spread(exact, exact > 0) == 1 for h in POINTS)


def test_points_have_laws_by_their_spread() -> None:
    raw, y, shift, scale = problem(POINTS[0])
    for head, reference in zip(POINTS, (stats.norm, stats.laplace, stats.norm), strict=True):
        spread = head.spread(head.residuals(raw, y, shift, scale))
        law = head.distribution(raw, shift, scale, spread)
        expected = reference(
            (shift + scale * raw[..., 0]).numpy(), (scale * spread).numpy()
        ).logpdf(y.numpy())
        np.testing.assert_allclose(law.log_prob(y.numpy()), expected, rtol=1e-10)
        with pytest.raises(ValueError, match=r"pass spread=head\.spread\(residuals\)"):
            head.distribution(raw, shift, scale)


def test_losses_against_torch_and_the_likelihoods_they_are() -> None:
    e = torch.linspace(-3, 3, 13, dtype=torch.float64)
    zero = torch.zeros_like(e)
    functional = torch.nn.functional
    for delta in (0.5, 2.0):
        torch.testing.assert_close(
            losses.huber(e, delta), functional.huber_loss(e, zero, reduction="none", delta=delta)
        )
    normal = -stats.norm(0, 1.3).logpdf(e)
    squared = losses.squared(e).numpy() / (2 * 1.3**2) + np.log(1.3) + 0.5 * np.log(2 * np.pi)
    np.testing.assert_allclose(squared, normal, rtol=1e-12)
    laplace = losses.absolute(e).numpy() / 0.7 + np.log(2 * 0.7)
    np.testing.assert_allclose(laplace, -stats.laplace(0, 0.7).logpdf(e), rtol=1e-12)
    grid = torch.linspace(-2, 2, 4001, dtype=torch.float64)
    draws = torch.tensor(np.random.default_rng(0).normal(size=301))
    best = grid[losses.pinball(draws[:, None] - grid, 0.8).mean(0).argmin()]
    np.testing.assert_allclose(best, np.quantile(draws, 0.8), rtol=0, atol=0.02)


# -- classes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [None, [0.5, 2.0, 1.0]])
def test_cross_entropy_against_torch(smoothing: float, weights: Any) -> None:
    generator = torch.Generator().manual_seed(0)
    raw = torch.randn(6, 4, 3, generator=generator, dtype=torch.float64)
    y = torch.randint(3, (6, 4), generator=generator)
    w = None if weights is None else torch.tensor(weights, dtype=torch.float64)
    expected = torch.nn.functional.cross_entropy(
        raw.movedim(-1, 1), y, weight=w, label_smoothing=smoothing, reduction="none"
    )
    head = heads.Classes(3, smoothing=smoothing, weights=weights)
    torch.testing.assert_close(head.loss(raw, y.double()), expected, rtol=1e-12, atol=1e-12)


def test_binary_against_torch() -> None:
    raw = torch.linspace(-60, 60, 25)[:, None]
    for y in (torch.zeros(25), torch.ones(25)):
        expected = torch.nn.functional.binary_cross_entropy_with_logits(
            raw[:, 0], y, reduction="none"
        )
        torch.testing.assert_close(heads.Binary().loss(raw, y), expected)
    p = heads.Binary().probabilities(raw)
    np.testing.assert_allclose(heads.Binary().distribution(raw).probability, p, rtol=1e-5)


# -- mixtures -----------------------------------------------------------------------------------


def test_components_of_a_mixture_part_from_raw_zeros() -> None:
    """Equal components would have equal gradients for ever."""
    head = heads.as_head(GaussianMixture(2))
    raw = torch.zeros(6, requires_grad=True)
    y = torch.tensor([-2.0, -2.1, 2.0, 2.2])
    step = torch.optim.Adam([raw], lr=0.1)
    for _ in range(100):
        step.zero_grad()
        head.loss(raw.expand(4, 6), y, 0.0, 1.0).sum().backward()
        step.step()
    law = head.distribution(raw[None], 0.0, 1.0)
    means = np.sort([c.mean[0] for c in law.components])
    np.testing.assert_allclose(means, [-2.05, 2.1], rtol=0, atol=0.1)


# -- what can be a head -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "error", "message"),
    [
        (3, TypeError, r"families Normal\(\), StudentT\(\), .*Quantiles\(levels\); got 3"),
        (StudentT, TypeError, "got the class StudentT"),
        (seqkit.Empirical([1.0, 2.0]), TypeError, "a head is a seqkit.nn.heads.Head"),
        (seqkit.Multinomial(), TypeError, r"got Multinomial\(\)"),
        (Normal(0.0, 1.0), ValueError, r"learns the mean of Normal .* given as 0.0; .* Normal\(\)"),
        (Normal(covariance="full"), ValueError, "one for all channels"),
        (StudentT(scale=2.0), ValueError, "learns the spread of StudentT"),
        (Poisson(prior=Gamma(1.0, 1.0)), ValueError, "takes no prior"),
        (Quantiles([0.1, 0.9], [0.0, 1.0]), ValueError, "pass the levels alone"),
        (Categorical(), ValueError, r"pass seqkit.nn.heads.Classes\(k\)"),
    ],
    ids=repr,
)
def test_what_cannot_be_a_head_says_why(family: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        heads.as_head(family)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: heads.Huber(0.0), "delta must be a positive number"),
        (lambda: heads.Classes(1), "2 or more; got 1"),
        (lambda: heads.Classes(3, smoothing=1.0), r"in \[0, 1\); got 1.0"),
        (lambda: heads.Classes(3, weights=[1.0, 2.0]), "3 positive numbers"),
        (lambda: heads.MixtureHead(Normal(), 0), "1 or more, got 0"),
        (lambda: heads.as_head(Poisson()).check([1.0, np.nan, 2.5]), "holds 2.5"),
        (
            lambda: heads.as_head(Gamma()).check([0.0], "sales"),
            "positive numbers, but sales holds 0",
        ),
        (lambda: heads.Classes(3).check([0, 3]), "whole numbers 0 to 2, but x holds 3"),
    ],
)
def test_nonsense_is_refused(build: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()
