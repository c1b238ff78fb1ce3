"""The Kalman kernels against statsmodels, pykalman, simdkalman and dynamax.

pip install seqkit[bench] pykalman simdkalman dynamax
python benchmarks/kalman.py
python benchmarks/kalman.py --only likelihood --only stability

Every system is random, stable and time-invariant; its gain settles within 60 steps. All programs
use double precision and one thread, and compile before they are timed.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

from harness import machine, race, timed  # before NumPy: it sets the number of threads

os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
os.environ["JAX_ENABLE_X64"] = "1"

# isort: split
import numpy as np

from seqkit.kernels import kalman

Array = np.ndarray
Task = Callable[[], object]
LENGTH = 100_000


@dataclass
class Case:
    """A time-invariant system under the names of textbooks, and data drawn from it."""

    A: Array
    C: Array
    Q: Array
    R: Array
    y: Array

    @classmethod
    def random(cls, n: int, m: int, length: int, seed: int = 0) -> Case:
        rng = np.random.default_rng(seed)
        A = rng.normal(size=(n, n))
        A *= 0.95 / np.abs(np.linalg.eigvals(A)).max()
        C = rng.normal(size=(m, n))
        B, D = rng.normal(size=(n, n)) / np.sqrt(n), rng.normal(size=(m, m)) / np.sqrt(m)
        Q, R = 0.2 * (B @ B.T + 0.1 * np.eye(n)), D @ D.T + 0.5 * np.eye(m)
        state, y = np.zeros(n), np.empty((length, m))
        shocks = rng.normal(size=(length, n)) @ np.linalg.cholesky(Q).T
        errors = rng.normal(size=(length, m)) @ np.linalg.cholesky(R).T
        for t in range(length):
            state = A @ state + shocks[t]
            y[t] = C @ state + errors[t]
        return cls(A, C, Q, R, y)

    @property
    def name(self) -> str:
        return f"{len(self.A)}/{len(self.C)}"

    def system(self) -> kalman.System:
        n = len(self.A)
        return kalman.System(
            transition=self.A, observation=self.C, process_cov=self.Q, observation_cov=self.R,
            initial_mean=np.zeros(n), initial_cov=np.eye(n),
        )  # fmt: skip

    def cut(self, length: int) -> Case:
        return Case(self.A, self.C, self.Q, self.R, self.y[:length])


# The peers: each returns a call without arguments.


def statsmodels_model(case: Case, *, smoother: bool = False, **options):
    from statsmodels.tsa.statespace.kalman_filter import KalmanFilter
    from statsmodels.tsa.statespace.kalman_smoother import KalmanSmoother

    n, m = len(case.A), len(case.C)
    model = (KalmanSmoother if smoother else KalmanFilter)(k_endog=m, k_states=n, **options)
    model.bind(np.ascontiguousarray(case.y))
    values = {"design": case.C, "transition": case.A, "selection": np.eye(n),
              "state_cov": case.Q, "obs_cov": case.R}  # fmt: skip
    for name, value in values.items():
        model[name] = value
    model.initialize_known(np.zeros(n), np.eye(n))
    return model


def statsmodels_smooth(case: Case, *, lean: bool = False, **options) -> Task:
    """All that smooth() makes by default; lean: the states and their covariances alone."""
    from statsmodels.tsa.statespace.kalman_smoother import SMOOTHER_STATE, SMOOTHER_STATE_COV

    model = statsmodels_model(case, smoother=True, **options)
    if lean:
        return lambda: model.smooth(smoother_output=SMOOTHER_STATE | SMOOTHER_STATE_COV)
    return model.smooth


def pykalman_filter(case: Case):
    from pykalman import KalmanFilter

    n = len(case.A)
    return KalmanFilter(case.A, case.C, case.Q, case.R, np.zeros(n), np.zeros(len(case.C)),
                        np.zeros(n), np.eye(n))  # fmt: skip


def pykalman_em(case: Case) -> Task:
    learnt = ["transition_matrices", "observation_matrices", "transition_covariance",
              "observation_covariance", "initial_state_mean", "initial_state_covariance"]  # fmt: skip
    return lambda: pykalman_filter(case).em(case.y, n_iter=1, em_vars=learnt)


def dynamax_model(case: Case):
    from dynamax.linear_gaussian_ssm import LinearGaussianSSM

    n, m = len(case.A), len(case.C)
    model = LinearGaussianSSM(n, m, has_dynamics_bias=False, has_emissions_bias=False)
    params, properties = model.initialize(
        initial_mean=np.zeros(n), initial_covariance=np.eye(n), dynamics_weights=case.A,
        dynamics_covariance=case.Q, emission_weights=case.C, emission_covariance=case.R,
    )  # fmt: skip
    return model, params, properties


def compiled(function: Callable, *arrays: object) -> Task:
    """The call under jit, with its result waited for."""
    import jax

    run = jax.jit(function)
    arrays = tuple(jax.tree_util.tree_map(jax.numpy.asarray, array) for array in arrays)
    return lambda: jax.block_until_ready(run(*arrays))


def dynamax_likelihood(case: Case) -> Task:
    from dynamax.linear_gaussian_ssm import lgssm_filter

    _, params, _ = dynamax_model(case)
    return compiled(lambda p, y: lgssm_filter(p, y).marginal_loglik, params, case.y)


def dynamax_em(case: Case) -> Task:
    """One E step and one M step, as fit_em does them."""
    import jax

    model, params, properties = dynamax_model(case)
    state = model.initialize_m_step_state(params, properties)

    def step(params, batch):
        found, values = jax.vmap(lambda y: model.e_step(params, y))(batch)
        return model.m_step(params, properties, found, state)[0], values.sum()

    return compiled(step, params, case.y[None])


def dynamax_batch(case: Case, series: Array) -> Task:
    import jax
    from dynamax.linear_gaussian_ssm import lgssm_filter

    _, params, _ = dynamax_model(case)
    each = jax.vmap(lambda p, y: lgssm_filter(p, y).marginal_loglik, in_axes=(None, 0))
    return compiled(each, params, series)


def dynamax_batch_with_holes(case: Case, series: Array) -> Task:
    """dynamax knows no missing values: a variance of 1e12 at those rows stands in for them."""
    import jax
    from dynamax.linear_gaussian_ssm import lgssm_filter

    _, params, _ = dynamax_model(case)
    missing = np.isnan(series)
    noise = np.where(missing[..., None], 1e12, case.R)

    def one(p, y, r):
        emissions = p.emissions._replace(cov=r)
        return lgssm_filter(p._replace(emissions=emissions), y).marginal_loglik

    each = jax.vmap(one, in_axes=(None, 0, 0))
    return compiled(each, params, np.where(missing, 0.0, series), noise)


def simdkalman_batch(case: Case, series: Array) -> Task:
    import simdkalman

    model = simdkalman.KalmanFilter(case.A, case.Q, case.C, case.R)
    n, constant = len(case.A), (~np.isnan(series)).sum(axis=(1, 2)) * np.log(2 * np.pi) / 2

    def run() -> Array:  # it leaves log 2 pi out
        found = model.compute(
            series[..., 0], 0, np.zeros(n), np.eye(n), smoothed=False, log_likelihood=True
        )
        return found.log_likelihood - constant

    return run


# The rows.


def compare(
    name: str, ours: Task, peer_name: str, peer: Task, *, steps: int, peer_steps: int | None = None,
    goal: float | None = None, repeats: int = 5, same: float | None = None,
) -> tuple[str, bool]:  # fmt: skip
    """One line, in ns per step. A peer run on fewer steps is scaled up: its time is linear in T."""
    if same is not None:
        np.testing.assert_allclose(np.asarray(peer()), np.asarray(ours()), rtol=same)
    if peer_steps is None:
        row = race(name, ours, peer_name, peer, repeats=repeats)
        mine, theirs, note = row.seqkit, row.peer, ""
    else:
        ours(), peer()
        mine = float(np.median([timed(ours) for _ in range(repeats)]))
        theirs = float(np.median([timed(peer, 0) for _ in range(min(repeats, 3))]))
        theirs *= steps / peer_steps
        note = f"  ({peer_steps:,} steps, scaled)"
        print(f"{name:<44} seqkit {mine * 1e3:10.3f} ms   {peer_name} {theirs * 1e3:10.2f} ms   "
              f"{theirs / mine:8.1f}x{note}", flush=True)  # fmt: skip
    ratio = theirs / mine
    reached = goal is None or ratio >= goal
    target = "" if goal is None else f"; goal {goal:g}x {'reached' if reached else 'MISSED'}"
    print(f"{'':<44} ns/step: {mine / steps * 1e9:.2f} against {theirs / steps * 1e9:.1f}{target}")
    return name, reached


def likelihood() -> list[tuple[str, bool]]:
    rows = []
    goals = {(2, 1): (60, 20), (4, 2): (50, 7), (16, 8): (40, 2)}
    for (n, m), (goal, goal_off) in goals.items():
        case = Case.random(n, m, LENGTH)
        system, y = case.system(), case.y
        loose, exact = statsmodels_model(case), statsmodels_model(case, tolerance=0)

        def ours(system=system, y=y):
            return kalman.log_likelihood(system, y)

        def ours_off(system=system, y=y):
            return kalman.log_likelihood(system, y, steady=0)

        line = f"log-likelihood {case.name}, T = {LENGTH:,}"
        few = case.cut(3_000)
        rows += [
            compare(line, ours, "statsmodels", loose.loglike, steps=LENGTH, goal=goal, same=1e-9),
            compare(line, ours, "the same, tolerance 0", exact.loglike, steps=LENGTH, same=1e-11),
            compare(line + ", no short cut", ours_off, "statsmodels", loose.loglike,
                    steps=LENGTH, goal=goal_off),
            compare(line + ", no short cut", ours_off, "the same, tolerance 0", exact.loglike,
                    steps=LENGTH, same=1e-11),
            compare(line, ours, "pykalman",
                    lambda few=few: pykalman_filter(few).loglikelihood(few.y),
                    steps=LENGTH, peer_steps=3_000, goal=10_000 if n == 2 else None),
            compare(line, ours, "dynamax", dynamax_likelihood(case), steps=LENGTH, same=1e-7),
        ]  # fmt: skip
    return rows


def smoother() -> list[tuple[str, bool]]:
    rows = []
    for (n, m), goal in {(2, 1): 60, (4, 2): 40, (16, 8): 8}.items():
        case = Case.random(n, m, LENGTH)
        system, y = case.system(), case.y

        def ours(system=system, y=y):
            return kalman.smooth(system, y)

        def ours_off(system=system, y=y):
            return kalman.smooth(system, y, steady=0)

        line, repeats = f"filter + smoother {case.name}, T = {LENGTH:,}", 5 if n < 16 else 3
        peers = {
            "statsmodels smooth": statsmodels_smooth(case),
            "states + covs only": statsmodels_smooth(case, lean=True),
            "tolerance 0": statsmodels_smooth(case, tolerance=0),
        }
        for name, peer in peers.items():
            short = goal if name == "statsmodels smooth" else None
            rows.append(compare(line, ours, name, peer, steps=LENGTH, goal=short, repeats=repeats))
            full = 30 if short and n == 2 else None
            rows.append(compare(line + ", no short cut", ours_off, name, peer, steps=LENGTH,
                                goal=full, repeats=repeats))  # fmt: skip
    return rows


def our_em(case: Case) -> Callable[[], dict[str, Array]]:
    """One E step and one M step of all matrices and the start; no intercepts, as the peers."""
    from seqkit.models.state_space._lds_em import Part, Problem, expect, maximise
    from seqkit.models.state_space._lds_parameters import specify

    n, m = len(case.A), len(case.C)
    given = {"state_intercept": np.zeros(n), "observation_intercept": np.zeros(m)}
    values = given | {
        "transition": case.A, "state_inputs": np.zeros((n, 0)), "process_cov": case.Q,
        "observation": case.C, "observation_inputs": np.zeros((m, 0)), "observation_cov": case.R,
        "initial_mean": np.zeros(n), "initial_cov": np.eye(n),
    }  # fmt: skip
    variances = case.y.var(axis=0)
    parts = [Part(case.y, None, n)]
    problem = Problem(parts, specify(given, None, "known", n, m, 0), variances, 1e-12 * variances)
    return lambda: maximise(problem, values, expect(problem, values))


def em() -> list[tuple[str, bool]]:
    rows, length = [], 10_000
    for n, m in ((2, 1), (4, 2), (16, 8)):
        case = Case.random(n, m, length)
        few, ours, theirs = case.cut(1_000), our_em(case), dynamax_em(case)
        learnt, found = ours(), theirs()[0].dynamics
        np.testing.assert_allclose(learnt["transition"], found.weights, rtol=0, atol=1e-6)
        np.testing.assert_allclose(learnt["process_cov"], found.cov, rtol=0, atol=1e-6)
        line, small = f"EM iteration {case.name}, T = {length:,}", n == 2
        rows += [
            compare(line, ours, "dynamax", theirs, steps=length, goal=50 if small else None),
            compare(line, ours, "pykalman", pykalman_em(few), steps=length, peer_steps=len(few.y),
                    goal=3_000 if small else None),
        ]  # fmt: skip
    return rows


def batch() -> list[tuple[str, bool]]:
    count, length = 1_000, 200
    case = Case.random(2, 1, count * length)
    whole = case.y.reshape(count, length, 1)
    holes = np.where(np.random.default_rng(1).random(whole.shape) < 0.1, np.nan, whole)
    system, steps = case.system(), count * length

    def ours():
        return kalman.batch_log_likelihood(system, holes)

    def ours_whole():
        return kalman.batch_log_likelihood(system, whole)

    own, line = ", own missing values", f"{count:,} series x {length}"
    return [
        compare(line + own, ours, "simdkalman", simdkalman_batch(case, holes),
                steps=steps, goal=40, same=1e-9),
        compare(line + own, ours, "dynamax, none missing", dynamax_batch(case, whole),
                steps=steps, goal=1),
        compare(line + own, ours, "dynamax, R = 1e12", dynamax_batch_with_holes(case, holes),
                steps=steps),
        compare(line, ours_whole, "simdkalman", simdkalman_batch(case, whole), steps=steps,
                same=1e-9),
        compare(line, ours_whole, "dynamax", dynamax_batch(case, whole), steps=steps, same=1e-7),
    ]  # fmt: skip


def stability() -> list[tuple[str, bool]]:
    """A million steps with R = 1e-12 and P_0 = 1e12: constant velocity, position seen.

    Q = 0 is beyond the demand: the covariance form then holds matrices of rank one, which rounding
    puts to either side of zero.
    """
    length = 1_000_000
    rng = np.random.default_rng(0)
    A = np.array([[1.0, 1.0], [0.0, 1.0]])
    y = rng.normal(size=(length, 1)).cumsum(axis=0)
    y[rng.random(length) < 0.01] = np.nan  # restarts the short cut again and again
    rows = []
    for q in (1e-6, 1e-14, 0.0):
        system = kalman.System(
            transition=A, observation=np.array([[1.0, 0.0]]), process_cov=q * np.eye(2),
            observation_cov=np.array([[1e-12]]), initial_mean=np.zeros(2),
            initial_cov=1e12 * np.eye(2),
        )  # fmt: skip
        for form in ("covariance", "square-root"):
            start = time.perf_counter()
            found = kalman.filter(system, y, form=form)
            seconds = time.perf_counter() - start
            demanded, line = q > 0 or form == "square-root", f"Q = {q:g} I, {form} form"
            rows.append(report(line + ", predicted", found.predicted_cov, seconds, demanded))
            rows.append(report(line + ", filtered", found.filtered_cov, seconds, demanded))
        start = time.perf_counter()
        smoothed = kalman.smooth(system, y)
        seconds = time.perf_counter() - start
        rows.append(report(f"Q = {q:g} I, smoothed", smoothed.cov, seconds, q > 0))
    return rows


def report(name: str, cov, seconds: float, demanded: bool) -> tuple[str, bool]:
    kept = np.asarray(cov.stored)
    values = np.linalg.eigvalsh(kept)
    least, share = float(values[:, 0].min()), float((values[:, 0] / values[:, -1]).min())
    nans = int(np.isnan(kept).sum())
    print(f"{name:<44} smallest eigenvalue {least:10.3g} ({share:9.2g} of its matrix's largest)   "
          f"NaN {nans}   {len(kept):,} kept   {seconds:.2f} s", flush=True)  # fmt: skip
    return name, (least >= 0 and nans == 0) or not demanded


PARTS = {"likelihood": likelihood, "smoother": smoother, "em": em, "batch": batch,
         "stability": stability}  # fmt: skip


def main() -> None:
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", choices=PARTS, help="run this part alone")
    chosen = parser.parse_args().only or list(PARTS)
    print(machine())
    rows = [row for name in chosen for row in PARTS[name]()]
    missed = [name for name, reached in rows if not reached]
    print("all goals reached" if not missed else f"below the goal: {'; '.join(missed)}")


if __name__ == "__main__":
    main()
