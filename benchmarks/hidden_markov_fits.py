"""Fits of hidden Markov models with every emission family: does the likelihood ever fall, are parameters recovered?

python benchmarks/hidden_markov_fits.py                          # 200 fits a family, then 5 long simulations each
python benchmarks/hidden_markov_fits.py --fits 20 --only gamma   # fewer

Data of the fits are drawn from random parameters and then, by turns, left alone, rounded (ties), made constant, given
outliers (times 1000), made to miss 20 % of their elements, or all but the constants at once.
"""

from __future__ import annotations

import argparse
import itertools
import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

from harness import machine  # before NumPy: it sets the number of threads

# isort: split
import numpy as np

import seqkit
from seqkit.base import ConvergenceWarning
from seqkit.distributions import (
    Bernoulli,
    Categorical,
    Emission,
    Exponential,
    Gamma,
    GaussianMixture,
    LinearAutoregression,
    LinearRegression,
    Multinomial,
    NegativeBinomial,
    Normal,
    Poisson,
    Product,
    StudentT,
    VonMises,
)

Array = np.ndarray
Rng = np.random.Generator
KINDS = ("spherical", "diag", "full", "tied")
TURNS = ("clean", "ties", "constants", "outliers", "missing", "all but constants")


class Case(NamedTuple):
    """A family with parameters, the same to be fitted, and what its data are."""

    truth: Emission
    family: Emission
    kind: str  # real, positive, count, angle, yes, code
    inputs: int = 0


def covariances(rng: Rng, states: int, channels: int, kind: str) -> dict[str, Array]:
    root = rng.normal(size=(states, channels, channels)) / np.sqrt(channels)
    cov = root @ np.swapaxes(root, 1, 2) + 0.3 * np.eye(channels)
    if kind in ("full", "tied"):
        return {"cov": cov if kind == "full" else cov[0]}
    var = np.diagonal(cov, axis1=1, axis2=2)
    return {"var": var.copy() if kind == "diag" else var[:, 0].copy()}


def normal(rng: Rng, K: int, C: int, turn: int) -> Case:
    kind = KINDS[turn % 4]
    law = Normal(mean=rng.normal(0, 3, (K, C)), covariance=kind, **covariances(rng, K, C, kind))
    return Case(law, Normal(covariance=kind), "real")


def mixture(rng: Rng, K: int, C: int, turn: int) -> Case:
    kind, M = KINDS[turn % 4], 2
    parts = covariances(rng, K * M, C, "full" if kind == "tied" else kind)
    each = {n: v.reshape(K, M, *v.shape[1:]) for n, v in parts.items()}
    if kind == "tied":
        each = {"cov": each["cov"][:, 0]}
    weights, mean = rng.dirichlet(np.full(M, 3.0), K), rng.normal(0, 4, (K, M, C))
    law = GaussianMixture(M, weights, mean, covariance=kind, **each)
    return Case(law, GaussianMixture(M, covariance=kind), "real")


def autoregression(rng: Rng, K: int, C: int, turn: int) -> Case:
    order = 1 + turn % 2
    coef = rng.uniform(-0.8, 0.8, (K, C, order * C)) / (order * C)
    law = LinearAutoregression(order, coef, rng.normal(0, 3, (K, C)), rng.gamma(2, 0.5, (K, C)))
    return Case(law, LinearAutoregression(order), "real")


def regression(rng: Rng, K: int, C: int, turn: int) -> Case:
    law = LinearRegression(
        rng.normal(0, 2, (K, C, 2)), rng.normal(0, 3, (K, C)), rng.gamma(2, 0.5, (K, C))
    )
    return Case(law, LinearRegression(), "real", inputs=2)


def product(rng: Rng, K: int, C: int, turn: int) -> Case:
    full = normal(rng, K, 2, 2).truth
    law = Product([(Poisson(rng.gamma(2, 4, (K, 1))), 1), (full, 2)])
    return Case(law, Product([(Poisson(), 1), (Normal(covariance="full"), 2)]), "mixed")


def categorical(rng: Rng, K: int, C: int, turn: int) -> Case:
    return Case(Categorical(rng.dirichlet(np.ones(2 + turn % 7), K)), Categorical(), "code")


def multinomial(rng: Rng, K: int, C: int, turn: int) -> Case:
    law = Multinomial(rng.dirichlet(np.ones(C + 1), K), total=int(rng.integers(3, 20)))
    return Case(law, Multinomial(), "count")


def simple(kind: str, family: Callable[[], Emission], *draw: Callable[[Rng, Any], Array]) -> Any:
    """Families whose parameters are drawn one after the other, each (K, C)."""

    def make(rng: Rng, K: int, C: int, turn: int) -> Case:
        return Case(family(*(d(rng, (K, C)) for d in draw)), family(), kind)  # type: ignore[call-arg]

    return make


FAMILIES: dict[str, Callable[[Rng, int, int, int], Case]] = {
    "categorical": categorical,
    "multinomial": multinomial,
    "bernoulli": simple("yes", Bernoulli, lambda r, s: r.random(s)),
    "poisson": simple("count", Poisson, lambda r, s: r.gamma(2, 5, s)),
    "negative binomial": simple(
        "count", NegativeBinomial, lambda r, s: r.gamma(2, 5, s) + 0.1, lambda r, s: r.uniform(0.1, 1, s)
    ),
    "normal": normal,
    "normal mixture": mixture,
    "student": simple(
        "real", StudentT, lambda r, s: r.uniform(2, 10, s), lambda r, s: r.normal(0, 4, s),
        lambda r, s: r.gamma(2, 0.5, s) + 0.1,
    ),
    "exponential": simple("positive", Exponential, lambda r, s: r.gamma(1, 1, s) + 0.01),
    "gamma": simple(
        "positive", Gamma, lambda r, s: r.gamma(2, 2, s) + 0.3, lambda r, s: r.gamma(1, 1, s) + 0.05
    ),
    "von mises": simple(
        "angle", VonMises, lambda r, s: r.uniform(-3, 3, s), lambda r, s: r.gamma(2, 2, s)
    ),
    "autoregression": autoregression,
    "regression": regression,
    "product": product,
}  # fmt: skip


# -- data ----------------------------------------------------------------------------------------


def path(rng: Rng, K: int, steps: int) -> Array:
    """States that last."""
    A = 0.8 * np.eye(K) + 0.2 * rng.dirichlet(np.ones(K), K)
    edges, state = A.cumsum(1), np.zeros(steps, dtype=int)
    for t in range(1, steps):
        state[t] = min(int(np.searchsorted(edges[state[t - 1]], rng.random())), K - 1)
    return state


def spoiled(x: Array, kind: str, turn: str, rng: Rng) -> Array:
    """The data with what real ones have."""
    x = x.copy()
    every = turn == "all but constants"
    numbers = kind in ("real", "positive", "mixed")
    if turn == "ties" or every:
        x = np.ceil(x) if kind == "positive" else np.round(x)
    if turn == "constants":
        c = int(rng.integers(x.shape[1]))
        stop = len(x) if rng.random() < 0.5 else len(x) // 2
        x[:stop, c] = x[0, c]
    if (turn == "outliers" or every) and (numbers or kind == "count"):
        t = rng.integers(len(x), size=2)
        x[t, int(rng.integers(x.shape[1]))] *= 1000.0
    if turn == "missing" or every:
        x[rng.random(x.shape) < 0.2] = np.nan
    return x


def trial(name: str, seed: int) -> tuple[float, int]:
    """One random fit; its least relative increment and the number of steps. Raises on NaN."""
    rng, turn = np.random.default_rng([seed, 5]), TURNS[seed % len(TURNS)]
    K, C, steps = (int(rng.integers(1, 5)), int(rng.integers(1, 4)), int(rng.integers(40, 160)))
    case = FAMILIES[name](rng, K, C, seed // len(TURNS))
    inputs = rng.normal(size=(steps, case.inputs)) if case.inputs else None
    x = spoiled(case.truth.draw(path(rng, K, steps), rng, inputs), case.kind, turn, rng)
    cuts = np.sort(rng.choice(np.arange(10, steps - 10), int(rng.integers(0, 3)), replace=False))
    parts = np.split(x, cuts)
    z = None if inputs is None else np.split(inputs, cuts)
    fitted = int(rng.integers(1, 5))  # not always as many states as there are
    model = seqkit.HMM(fitted, case.family, max_iter=40, tol=0.0, seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(parts, covariates=z)
        posteriors = model.decode_proba(parts, covariates=z)
    history = np.array(model.history_)
    values = [history, posteriors.to_numpy(), *model.emission_.parameters().values()]
    if not all(np.isfinite(v).all() for v in values):
        raise FloatingPointError("a result is not finite")
    if case.kind != "code" and not case.inputs:
        middle = model.predict(1).median
        if not np.isfinite(np.asarray(middle)).all():
            raise FloatingPointError("a forecast is not finite")
    steps_up = np.diff(history)
    return float((steps_up / np.maximum(1.0, np.abs(history[1:]))).min(initial=0.0)), len(steps_up)


def monotone(title: str, names: Any, one: Callable[[str, int], Any], fits: int) -> None:
    print(f"\n{title:20}{'fits':>6}{'EM steps':>10}{'least increment':>18}{'failed':>8}{'s':>7}")
    for name in names:
        worst, total, failed, start = 0.0, 0, [], time.perf_counter()
        for seed in range(fits):
            try:
                least, steps = one(name, seed)
            except Exception as error:
                failed.append(f"  seed {seed} ({TURNS[seed % 6]}): {type(error).__name__}: {error}")
                continue
            if least < -1e-9:
                failed.append(f"  seed {seed} ({TURNS[seed % 6]}): fell by {least:.2e}")
            worst, total = min(worst, least), total + steps
        spent = time.perf_counter() - start
        print(f"{name:20}{fits:6}{total:10}{worst:18.1e}{len(failed):8}{spent:7.1f}", flush=True)
        print("\n".join(failed[:12]), end="\n" if failed else "", flush=True)


# -- every kind of chain ---------------------------------------------------------------------------


def fixed(rng: Rng, K: int) -> Array:
    """Some probabilities given, zeros among them, the diagonal free."""
    given = np.full((K, K), np.nan)
    for i, j in itertools.permutations(range(K), 2):
        if rng.random() < 0.4:
            given[i, j] = rng.choice([0.0, 0.1])
    return given


CHAINS: dict[str, Callable[[Rng, int], dict[str, Any]]] = {
    "free": lambda rng, K: {},
    "stationary": lambda rng, K: {"initial": "stationary"},
    "stationary, prior": lambda rng, K: {"initial": "stationary", "transition_prior": 2.0},
    "stationary, cyclic": lambda rng, K: {"initial": "stationary", "transition": "cyclic"},
    "left-right": lambda rng, K: {"transition": "left-right"},
    "bakis": lambda rng, K: {"transition": "bakis"},
    "partly fixed": lambda rng, K: {"transition": fixed(rng, K)},
    "priors": lambda rng, K: {
        "transition_prior": 1 + rng.gamma(1, 2, (K, K)), "initial_prior": 1 + rng.gamma(1, 2, K)},
    "partly labelled": lambda rng, K: {"states": list(range(K))},
    "viterbi": lambda rng, K: {"method": "viterbi"},
    "durations free": lambda rng, K: {"durations": "free", "max_duration": 12},
    "durations poisson": lambda rng, K: {"durations": Poisson(), "max_duration": 30},
    "durations nb": lambda rng, K: {"durations": NegativeBinomial(), "max_duration": 30},
    "softmax": lambda rng, K: {"transition": seqkit.SoftmaxTransition(0.1)},
}  # fmt: skip


def chain_trial(kind: str, seed: int) -> tuple[float, int]:
    """One random fit of normal states with this kind of chain."""
    rng, turn = np.random.default_rng([seed, 9]), TURNS[seed % len(TURNS)]
    K, steps = int(rng.integers(2, 5)), int(rng.integers(60, 160))
    states = path(rng, K, steps)
    x = rng.normal(rng.normal(0, 3, K)[states], 1.0)[:, None]
    x = spoiled(x, "real", turn, rng)
    options = CHAINS[kind](rng, K)
    labels = None
    if kind == "partly labelled":
        labels = [int(k) if rng.random() < 0.3 else None for k in states]
    z = rng.normal(size=(steps, 2)) if kind == "softmax" else None
    transition = options.pop("transition", None)
    model = seqkit.HMM(K, Normal(), transition, max_iter=40, tol=0.0, seed=seed, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x, labels, covariates=z)
        posteriors = model.decode_proba(x, covariates=z)
    history = np.array(model.history_)
    if not (np.isfinite(history).all() and np.isfinite(posteriors.to_numpy()).all()):
        raise FloatingPointError("a result is not finite")
    steps_up = np.diff(history)
    return float((steps_up / np.maximum(1.0, np.abs(history[1:]))).min(initial=0.0)), len(steps_up)


# -- recovery --------------------------------------------------------------------------------------

MOVES = np.array([[0.9, 0.1], [0.2, 0.8]])


def known(name: str) -> Case:
    """Two states that the family tells apart, in one channel where it has one."""
    two = lambda *v: np.array(v, dtype=float)  # noqa: E731
    laws: dict[str, Any] = {
        "categorical": (Categorical([[0.6, 0.3, 0.1], [0.1, 0.3, 0.6]]), Categorical(), "code"),
        "multinomial": (
            Multinomial([[0.5, 0.3, 0.2], [0.2, 0.2, 0.6]], total=6), Multinomial(), "count"),
        "bernoulli": (Bernoulli([[0.8, 0.3], [0.2, 0.6]]), Bernoulli(), "yes"),
        "poisson": (Poisson(two(3, 8)), Poisson(), "count"),
        "negative binomial": (
            NegativeBinomial(two(3, 15), two(0.3, 0.2)), NegativeBinomial(), "count"),
        "normal": (
            Normal(mean=[[0.0, 0.0], [2.0, 1.0]], cov=[[[1, 0.5], [0.5, 1]], [[2, -0.4], [-0.4, 1]]],
                   covariance="full"), Normal(covariance="full"), "real"),
        "normal mixture": (
            GaussianMixture(2, [[0.6, 0.4], [0.3, 0.7]], [[[-6.0], [-2.0]], [[2.0], [6.0]]],
                            var=[[[1.0], [0.5]], [[0.7], [1.0]]]), GaussianMixture(2), "real"),
        "student": (StudentT(two(4, 6), two(0, 4), two(1, 0.7)), StudentT(), "real"),
        "exponential": (Exponential(two(0.2, 2)), Exponential(), "positive"),
        "gamma": (Gamma(two(2, 6), two(2, 1)), Gamma(), "positive"),
        "von mises": (VonMises(two(-1, 1.5), two(2, 5)), VonMises(), "angle"),
        "autoregression": (
            LinearAutoregression(1, [[0.8], [-0.3]], two(0, 2), two(1, 0.5)),
            LinearAutoregression(1), "real"),
        "regression": (
            LinearRegression([[1.0, 0.0], [-1.0, 2.0]], two(0, 3), two(1, 0.5)),
            LinearRegression(), "real", 2),
        "product": (
            Product([(Poisson([[3.0], [8.0]]), 1), (Normal([[0.0], [1.5]], var=[[1.0], [2.0]]), 1)]),
            Product([(Poisson(), 1), (Normal(), 1)]), "mixed"),
    }  # fmt: skip
    return Case(*laws[name])


def chain(rng: Rng, steps: int) -> Array:
    state = np.zeros(steps, dtype=int)
    for t, u in enumerate(rng.random(steps - 1)):
        state[t + 1] = state[t] if u < MOVES[state[t], state[t]] else 1 - state[t]
    return state


def deviations(model: Any, truth: Emission, order: Array) -> Array:
    """(estimate - truth) / standard error of every free number but the law of the first state."""
    table = model.standard_errors()
    moves = MOVES[np.ix_(order, order)]
    arrays = {"transition": moves}
    arrays |= {n: np.asarray(v) for n, v in truth.order(order).parameters().items()}
    found = []
    for parameter, values in arrays.items():
        rows = table.loc[[parameter]]
        error, estimate = rows["standard_error"].to_numpy(), rows["estimate"].to_numpy()
        z = (estimate - values.ravel()) / error
        found.append(z[np.isfinite(z)])
    return np.concatenate(found)


def recovered(names: list[str], steps: int, repeats: int) -> None:
    """Deviations from the truth in standard errors; their root mean square is 1 where those are right."""
    print(f"\n{'family':20}{'steps':>7}{'numbers':>9}{'largest |z|':>13}{'rms z':>8}{'s':>7}")
    for name in names:
        start = time.perf_counter()
        z = np.concatenate([one_recovery(name, steps, seed) for seed in range(repeats)])
        print(
            f"{name:20}{steps:7}{len(z):9}{np.abs(z).max():13.2f}{np.sqrt((z**2).mean()):8.2f}"
            f"{time.perf_counter() - start:7.1f}",
            flush=True,
        )


def one_recovery(name: str, steps: int, seed: int) -> Array:
    rng, case = np.random.default_rng([seed, 1]), known(name)
    states = chain(rng, steps)
    inputs = rng.normal(size=(steps, case.inputs)) if case.inputs else None
    x = case.truth.draw(states, rng, inputs)
    model = seqkit.HMM(2, case.family, initial="uniform", n_init=2, seed=0)
    model.fit(x, covariates=inputs)
    agreed = (model.decode(x, covariates=inputs).to_numpy() == states).mean()
    order = np.array([0, 1]) if agreed > 0.5 else np.array([1, 0])
    laws = [case.truth]
    if name == "normal mixture":  # components have no order either
        laws = [components(case.truth, flips) for flips in itertools.product((0, 1), repeat=2)]
    tried = [deviations(model, law, order) for law in laws]
    return min(tried, key=lambda v: float(np.abs(v).max()))


def components(law: Emission, flips: tuple[int, ...]) -> Emission:
    """The mixture with the components of some states in the other order."""
    turned = {
        n: np.stack([row[::-1] if flip else row for row, flip in zip(v, flips, strict=True)])
        for n, v in law.parameters().items()
    }
    return law.with_parameters(turned)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--fits", type=int, default=200)
    parser.add_argument("--steps", type=int, default=4000, help="of the long simulations")
    parser.add_argument("--repeats", type=int, default=5, help="of the long simulations")
    parser.add_argument("--only", choices=FAMILIES, action="append")
    given = parser.parse_args()
    chosen = given.only or list(FAMILIES)
    print(machine())
    if given.fits:
        monotone("family", chosen, trial, given.fits)
        if not given.only:
            monotone("chain", CHAINS, chain_trial, given.fits)
    if given.steps:
        recovered(chosen, given.steps, given.repeats)
