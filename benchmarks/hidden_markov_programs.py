"""Models, data, and the programs that `hidden_markov.py` times."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

import harness  # noqa: F401  before NumPy: it sets the number of threads

os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
os.environ["JAX_ENABLE_X64"] = "1"
os.environ["JAX_PLATFORMS"] = "cpu"

# isort: split
import numpy as np

import seqkit

Array = np.ndarray
Task = Callable[[], object]
OPERATIONS = ("log-likelihood", "posteriors", "Viterbi", "EM iteration")

# Models and data


def draw_states(initial: Array, transition: Array, length: int, rng: np.random.Generator) -> Array:
    """A path of the chain, stay by stay: `length` may be ten million."""
    size, stay = len(initial), np.diag(transition)
    leave = transition * (1 - np.eye(size))
    bounds = (leave / leave.sum(axis=1, keepdims=True)).cumsum(axis=1)
    state, covered, states, lasting = int(rng.choice(size, p=initial)), 0, [], []
    while covered < length:
        uniform = rng.random(10_000)
        stays = rng.geometric(1 - stay[:, None], (size, 10_000))
        for i, u in enumerate(uniform):
            states.append(state)
            lasting.append(int(stays[state, i]))
            covered += lasting[-1]
            state = min(int(np.searchsorted(bounds[state], u, side="right")), size - 1)
            if covered >= length:
                break
    return np.repeat(states, lasting)[:length]


def sticky(rng: np.random.Generator, size: int) -> tuple[Array, Array]:
    """An initial law, and transitions that stay with probability 0.8 and a bit."""
    return rng.dirichlet(np.ones(size)), 0.8 * np.eye(size) + 0.2 * rng.dirichlet(
        np.ones(size), size
    )


@dataclass
class Gaussian:
    """A Gaussian model and data drawn from it."""

    initial: Array
    transition: Array
    mean: Array  # (K, D)
    cov: Array  # (K, D) variances for "diag", (K, D, D) for "full", (D, D) for "tied", (K,)
    covariance: str
    X: Array
    lengths: list[int] | None = None

    @classmethod
    def random(cls, size: int, channels: int, length: int, covariance: str = "diag") -> Gaussian:
        rng = np.random.default_rng([size, channels])
        initial, transition = sticky(rng, size)
        mean = 3 * rng.normal(size=(size, channels)) * np.sqrt(size / channels)
        roots = rng.normal(size=(size, channels, channels)) / np.sqrt(channels)
        full = roots @ roots.mT + 0.5 * np.eye(channels)
        states = draw_states(initial, transition, length, rng)
        noise = rng.normal(size=(length, channels))
        X = np.empty((length, channels))
        for k in range(size):
            here = states == k
            X[here] = mean[k] + noise[here] @ np.linalg.cholesky(full[k]).T
        diagonal = np.array([np.diag(cov) for cov in full])
        forms = {
            "diag": diagonal, "full": full, "tied": full.mean(axis=0),
            "spherical": diagonal.mean(axis=1),
        }  # fmt: skip
        return cls(initial, transition, mean, forms[covariance], covariance, X)

    @property
    def size(self) -> int:
        return len(self.initial)

    @property
    def steps(self) -> int:
        return len(self.X)

    def cut(self, length: int) -> Gaussian:
        """The same model with the first `length` steps."""
        return Gaussian(self.initial, self.transition, self.mean, self.cov, self.covariance,
                        self.X[:length])  # fmt: skip

    @property
    def name(self) -> str:
        return f"{self.covariance} K={self.size} D={self.mean.shape[1]}"

    def emission(self) -> seqkit.Normal:
        """The law with its parameters."""
        key = "cov" if self.covariance in ("full", "tied") else "var"
        value = self.cov
        if self.covariance == "spherical":
            value = np.repeat(value[:, None], self.mean.shape[1], axis=1)
        return seqkit.Normal(mean=self.mean, **{key: value}, covariance=self.covariance)

    def family(self) -> seqkit.Normal:
        """The law without parameters."""
        return seqkit.Normal(covariance=self.covariance, floor=0.0)

    def hmmlearn(self, implementation: str):
        from hmmlearn.hmm import GaussianHMM

        model = GaussianHMM(
            self.size, self.covariance, covars_prior=0.0, n_iter=1, init_params="",
            implementation=implementation,
        )  # fmt: skip
        model.startprob_, model.transmat_ = self.initial, self.transition
        model.means_, model.covars_ = self.mean, self.cov
        return model

    def dynamax(self):
        from dynamax.hidden_markov_model import DiagonalGaussianHMM, GaussianHMM

        full = self.covariance == "full"
        model = (GaussianHMM if full else DiagonalGaussianHMM)(self.size, self.mean.shape[1])
        spread = (
            {"emission_covariances": self.cov} if full
            else {"emission_scale_diags": np.sqrt(self.cov)}
        )  # fmt: skip
        return model, *model.initialize(
            initial_probs=self.initial, transition_matrix=self.transition,
            emission_means=self.mean, **spread,
        )  # fmt: skip

    def pomegranate(self):
        from pomegranate.distributions import Normal

        laws = [
            Normal(single(m), single(c), covariance_type=self.covariance)
            for m, c in zip(self.mean, self.cov, strict=True)
        ]
        return pomegranate_model(laws, self.initial, self.transition)


@dataclass
class Categorical:
    """A model of symbols, and data drawn from it: codes (T, 1)."""

    initial: Array
    transition: Array
    probabilities: Array  # (K, V)
    X: Array

    @classmethod
    def random(cls, size: int, symbols: int, length: int) -> Categorical:
        rng = np.random.default_rng([size, symbols])
        initial, transition = sticky(rng, size)
        # Common and rare words, as in text; every symbol occurs
        weight = rng.dirichlet(np.full(symbols, 0.3), size) + 0.1 / (10 + np.arange(symbols))
        probabilities = weight / weight.sum(axis=1, keepdims=True)
        states = draw_states(initial, transition, length, rng)
        X = np.empty(length, np.int64)
        for k in range(size):
            here = states == k
            X[here] = rng.choice(symbols, size=here.sum(), p=probabilities[k])
        X[:symbols] = np.arange(symbols)[:length]
        return cls(initial, transition, probabilities, X[:, None])

    @property
    def size(self) -> int:
        return len(self.initial)

    @property
    def steps(self) -> int:
        return len(self.X)

    def cut(self, length: int) -> Categorical:
        return Categorical(self.initial, self.transition, self.probabilities, self.X[:length])

    @property
    def name(self) -> str:
        return f"categorical K={self.size} V={self.probabilities.shape[1]:,}"

    def emission(self) -> seqkit.Categorical:
        return seqkit.Categorical(self.probabilities)

    def family(self) -> seqkit.Categorical:
        return seqkit.Categorical()

    def hmmlearn(self, implementation: str):
        from hmmlearn.hmm import CategoricalHMM

        model = CategoricalHMM(
            self.size, n_iter=1, init_params="", implementation=implementation,
            n_features=self.probabilities.shape[1],
        )  # fmt: skip
        model.startprob_, model.transmat_ = self.initial, self.transition
        model.emissionprob_ = self.probabilities
        return model

    def dynamax(self):
        from dynamax.hidden_markov_model import CategoricalHMM

        model = CategoricalHMM(self.size, 1, self.probabilities.shape[1])
        return model, *model.initialize(
            initial_probs=self.initial, transition_matrix=self.transition,
            emission_probs=self.probabilities[:, None],
        )  # fmt: skip

    def pomegranate(self):
        from pomegranate.distributions import Categorical as Law

        laws = [Law(single(p[None])) for p in self.probabilities]
        return pomegranate_model(laws, self.initial, self.transition)


Case = Gaussian | Categorical


def fitted(case: Case) -> seqkit.HMM:
    return seqkit.HMM.from_params(
        initial=case.initial, transition=case.transition, emission=case.emission()
    )


# The programs: for each, the four operations as calls without arguments


def ours(case: Case, X: object = None, iterations: int = 1) -> dict[str, Task]:
    model, data = fitted(case), case.X if X is None else X
    tasks: tuple[Task, ...] = (
        lambda: model.log_likelihood(data),
        lambda: model.decode_proba(data),
        lambda: model.decode(data),
        lambda: seqkit.HMM(
            case.size, emission=case.family(), start=model, max_iter=iterations, tol=0.0
        ).fit(data),
    )
    return dict(zip(OPERATIONS, tasks, strict=True))


def hmmlearn(
    case: Case, implementation: str, lengths: list[int] | None = None, iterations: int = 1
) -> dict[str, Task]:
    model = case.hmmlearn(implementation)

    def learn() -> object:
        pupil = case.hmmlearn(implementation)
        pupil.n_iter = pupil.monitor_.n_iter = iterations
        pupil.tol = pupil.monitor_.tol = -np.inf
        return pupil.fit(case.X, lengths)

    tasks: tuple[Task, ...] = (
        lambda: model.score(case.X, lengths),
        lambda: model.predict_proba(case.X, lengths),
        lambda: model.decode(case.X, lengths),
        learn,
    )
    return dict(zip(OPERATIONS, tasks, strict=True))


def dynamax(case: Case, batch: Array | None = None) -> dict[str, Task]:
    """Under jit, results waited for; a batch (n, T, D) by vmap."""
    import jax

    model, params, properties = case.dynamax()
    state = model.initialize_m_step_state(params, properties)
    whole = case.X[None] if batch is None else batch

    def step(params, batch):
        found, values = jax.vmap(lambda y: model.e_step(params, y))(batch)
        return model.m_step(params, properties, found, state)[0], values.sum()

    each = (model.marginal_log_prob, lambda p, y: model.smoother(p, y).smoothed_probs,
            model.most_likely_states)  # fmt: skip
    runs = [jax.jit(jax.vmap(f, in_axes=(None, 0))) for f in each] + [jax.jit(step)]
    arrays = (params, jax.numpy.asarray(whole))
    tasks = [lambda run=run: jax.block_until_ready(run(*arrays)) for run in runs]
    return dict(zip(OPERATIONS, tasks, strict=True))


def single(x: Array):
    import torch

    return torch.tensor(np.asarray(x), dtype=torch.float32)


def pomegranate_model(laws: list, initial: Array, transition: Array):
    import torch
    from pomegranate.hmm import DenseHMM

    torch.set_num_threads(1)
    return DenseHMM(laws, edges=single(transition), starts=single(initial), max_iter=1)


def pomegranate(case: Case, batch: Array | None = None) -> dict[str, Task]:
    import torch

    model = case.pomegranate()
    whole = case.X[None] if batch is None else batch
    whole = single(whole) if whole.dtype.kind == "f" else torch.tensor(whole)
    tasks: tuple[Task, ...] = (
        lambda: model.log_probability(whole),
        lambda: model.predict_proba(whole),
        lambda: model.viterbi(whole),
        lambda: case.pomegranate().fit(whole),
    )
    return dict(zip(OPERATIONS, tasks, strict=True))
