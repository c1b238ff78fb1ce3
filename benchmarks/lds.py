"""Learning of linear dynamical systems: EM against dynamax and pykalman, and its likelihood over random systems.

pip install seqkit[bench] pykalman dynamax
python benchmarks/lds.py            # all; or one of: monotone, iteration, fits
"""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

from harness import machine, race  # before NumPy: it sets the number of threads

os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
os.environ["JAX_ENABLE_X64"] = "1"

# isort: split
import numpy as np

import seqkit
from seqkit.kernels import kalman
from seqkit.models.state_space import _lds_em as em
from seqkit.models.state_space import _lds_em_loop as loop
from seqkit.models.state_space._lds_parameters import Values, specify
from seqkit.models.state_space._lds_problem import Part, Problem

SYSTEMS, ROWS = 200, 10_000


def random_cov(rng: np.random.Generator, size: int) -> np.ndarray:
    root = rng.normal(size=(size, size)) / np.sqrt(size)
    return root @ root.T + 0.2 * np.eye(size)


def random_values(rng: np.random.Generator, n: int, m: int) -> Values:
    a = rng.normal(size=(n, n))
    return {
        "transition": a * (rng.uniform(0.5, 0.98) / np.abs(np.linalg.eigvals(a)).max()),
        "observation": rng.normal(size=(m, n)), "process_cov": random_cov(rng, n),
        "observation_cov": random_cov(rng, m), "initial_mean": np.zeros(n), "initial_cov": np.eye(n),
        "state_intercept": np.zeros(n), "observation_intercept": np.zeros(m),
        "state_inputs": np.zeros((n, 0)), "observation_inputs": np.zeros((m, 0)),
    }  # fmt: skip


def drawn(values: Values, length: int, rng: np.random.Generator) -> np.ndarray:
    arrays = {name: array for name, array in values.items() if not name.endswith("inputs")}
    return kalman.simulate(kalman.System(**arrays), length, 1, rng)[1][0]


def problem(y: np.ndarray, noise: str, n: int) -> Problem:
    m = y.shape[1]
    spec = specify({"observation_cov": noise, "state_intercept": 0.0}, None, "known", n, m, 0)
    return Problem([Part(y, None, n)], spec, np.nanvar(y, axis=0), 1e-10 * np.nanvar(y, axis=0))


def monotone() -> bool:
    """Random systems, sizes, noise structures, missing elements and starts; the smallest increment of all."""
    worst, steps, start = 0.0, 0, time.perf_counter()
    for seed in range(SYSTEMS):
        rng = np.random.default_rng(seed)
        n, m = int(rng.integers(1, 5)), int(rng.integers(1, 5))
        noise = ("full", "diagonal", "scalar")[seed % 3]
        y = drawn(random_values(rng, n, m), int(rng.integers(20, 200)), rng)
        y[rng.random(y.shape) < rng.uniform(0, 0.5)] = np.nan
        begin = random_values(rng, n, m)
        if noise != "full":
            begin["observation_cov"] = np.eye(m)
        fit = loop.run(problem(y, noise, n), begin, max_iter=60, tol=0.0, accelerate=seed % 2 == 1)
        worst = min(worst, loop.least_increment(fit.history))
        steps += len(fit.history) - 1
    seconds = time.perf_counter() - start
    print(
        f"EM, {SYSTEMS} random systems with missing data, {steps} steps, {seconds:.1f} s: "
        f"smallest increment {worst:.1e} of |log L| (demand: at least -1e-9)"
    )
    return worst >= -1e-9


def ours(values: Values, y: np.ndarray, n: int) -> Callable[[], Any]:
    task = problem(y, "full", n)
    state = {"values": values}

    def step() -> None:
        expected = em.expect(task, state["values"])
        state["values"] = em.maximise(task, state["values"], expected)

    return step


def dynamax(values: Values, y: np.ndarray, n: int) -> Callable[[], Any]:
    import jax
    from dynamax.linear_gaussian_ssm import LinearGaussianSSM

    model = LinearGaussianSSM(n, y.shape[1], has_dynamics_bias=False, has_emissions_bias=True)
    params, properties = model.initialize(
        initial_mean=values["initial_mean"], initial_covariance=values["initial_cov"],
        dynamics_weights=values["transition"], dynamics_covariance=values["process_cov"],
        emission_weights=values["observation"], emission_covariance=values["observation_cov"],
    )  # fmt: skip
    rest = model.initialize_m_step_state(params, properties)

    def step(params: Any, batch: Any) -> Any:
        moments, likelihoods = jax.vmap(lambda one: model.e_step(params, one))(batch)
        return model.m_step(params, properties, moments, rest)[0], likelihoods.sum()

    run = jax.jit(step)
    batch = jax.numpy.asarray(y[None])
    return lambda: jax.block_until_ready(run(params, batch))


def pykalman(values: Values, y: np.ndarray, n: int) -> Callable[[], Any]:
    from pykalman import KalmanFilter

    def step() -> None:
        KalmanFilter(
            values["transition"], values["observation"], values["process_cov"], values["observation_cov"],
            initial_state_mean=values["initial_mean"], initial_state_covariance=values["initial_cov"],
        ).em(y, n_iter=1, em_vars="all")  # fmt: skip

    return step


def iteration() -> bool:
    reached = True
    for n, m in ((2, 1), (4, 2), (16, 8)):
        rng = np.random.default_rng(0)
        values = random_values(rng, n, m)
        y = drawn(values, ROWS, rng)
        name = f"one EM iteration, all matrices, {n}/{m}, T = {ROWS:,}"
        goal = 50 if n == 2 else None
        row = race(name, ours(values, y, n), "dynamax", dynamax(values, y, n), repeats=9, goal=goal)
        reached &= goal is None or row.ratio >= goal
        if n == 2:
            row = race(name, ours(values, y, n), "pykalman", pykalman(values, y, n), repeats=1, goal=3000)  # fmt: skip
            reached &= row.ratio >= 3000
    return reached


def fits() -> bool:
    """Whole fits: EM, plain and extrapolated, and the quasi-Newton search."""
    rng = np.random.default_rng(0)
    y = drawn(random_values(rng, 3, 3), 500, rng)
    y[rng.random(y.shape) < 0.1] = np.nan
    settings = {
        "EM": {}, "EM, plain": {"accelerate": False, "max_iter": 5000},
        "MLE": {"method": "mle", "initial": "known"}, "MLE, stationary": {"method": "mle"},
    }  # fmt: skip
    for name, options in settings.items():
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", seqkit.ConvergenceWarning)
            model = seqkit.LDS(3, **options).fit(y)
        seconds = time.perf_counter() - start
        print(
            f"LDS(3), 3 channels, T = 500, 10 % missing, {name:<16} {seconds:6.2f} s, "
            f"{len(model.history_) - 1:5d} steps, log-likelihood {model.log_likelihood_:.4f}"
        )
    return True


def main() -> None:
    print(machine())
    chosen = sys.argv[1:] or ["monotone", "iteration", "fits"]
    done = {name: globals()[name]() for name in chosen}
    missed = [name for name, reached in done.items() if not reached]
    print("all goals reached" if not missed else f"below the goal: {', '.join(missed)}")


if __name__ == "__main__":
    main()
