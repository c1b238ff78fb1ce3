"""Maximum likelihood of a linear dynamical system by a quasi-Newton method with the exact score.

The score comes from one pass of the smoother (Koopman & Shephard 1992).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from seqkit.data.sequences import Array
from seqkit.kernels import kalman

from . import _lds_em_loop as em
from ._lds_coordinates import Coordinates, natural_sizes
from ._lds_parameters import Specification, Values, start_of, stationary_start
from ._lds_problem import Fit, Problem

DIRECT = (
    "transition", "process_cov", "observation", "observation_cov", "initial_mean", "initial_cov",
)  # fmt: skip
RESTARTS, RESTART_GAIN = 5, 1e-5  # of a search, while it gains that much per observed value
STABLE = 0.99  # largest eigenvalue of a transition to begin with under a stationary start


# -- score -----------------------------------------------------------------------------------------


def score(problem: Problem, values: Values) -> tuple[float, Values]:
    """Log-likelihood of all sequences and its gradient with respect to every matrix that is constant."""
    total, gradients = 0.0, {name: np.zeros(mask.shape) for name, mask in problem.spec.free.items()}
    for part, system in zip(problem.parts, problem.systems(values), strict=True):
        found = kalman.score(system, part.y)
        total += found.log_likelihood
        for name in DIRECT:
            if values[name].ndim == problem.spec.free[name].ndim:
                gradients[name] += getattr(found, name)
        for side, first in (("state", 1), ("observation", 0)):  # no step leads to the first state
            rows = getattr(found, f"{side}_intercept")[first:]
            gradients[f"{side}_intercept"] += rows.sum(0)
            if part.inputs is not None:
                gradients[f"{side}_inputs"] += rows.T @ part.inputs[first:]
    if problem.spec.initial == "stationary":
        _through_start(values, gradients)
    return total, gradients


def _through_start(values: Values, gradients: Values) -> None:
    """What the stationary start P = A P A' + Q, mu = A mu + c adds to the gradient of A, Q and c."""
    a, intercept = values["transition"], values["state_intercept"]
    found = kalman.stationary(a, values["process_cov"], intercept * (intercept.ndim == 1))
    assert found is not None
    mean, cov = found
    turned = kalman.stationary(a.T, gradients["initial_cov"], gradients["initial_mean"])
    assert turned is not None
    shift, adjoint = turned
    gradients["process_cov"] += adjoint
    gradients["transition"] += 2 * adjoint @ a @ cov + np.outer(shift, mean)
    gradients["state_intercept"] += shift


# -- search ----------------------------------------------------------------------------------------


def warmed_up(problem: Problem, values: Values, steps: int) -> Values:
    """`values` after some EM steps, which are robust far from the maximum."""
    spec = problem.spec
    if spec.initial != "stationary":
        return em.run(problem, values, max_iter=steps, tol=0.0).values
    relaxed = Specification()
    vars(relaxed).update(vars(spec))
    relaxed.initial = "known"
    relaxed.free = spec.free | {name: ~spec.free[name] for name in ("initial_mean", "initial_cov")}
    relaxed.values = spec.values | {
        name: spec.values[name] * np.nan for name in ("initial_mean", "initial_cov")
    }
    n = len(values["initial_mean"])
    begun = values | {"initial_mean": np.zeros(n), "initial_cov": start_of(values, spec, 1.0)[1]}
    found = em.run(replace(problem, spec=relaxed), begun, max_iter=steps, tol=0.0).values
    radius = np.abs(np.linalg.eigvals(found["transition"])).max()
    if radius > STABLE:
        found["transition"] = found["transition"] * (STABLE / radius)
    found = spec.fixed_into(found)
    return found if stationary_start(found) is not None else values


class _Loss:
    """Minus the mean log-likelihood per observed value, with its gradient, as a function of the coordinates.

    Where there is none (no stationary start, say), the loss is that of the best point so far and what its slope would
    gain on the way: a line search then comes back by half, whereas a huge number would send it back to where it
    began.
    """

    def __init__(self, problem: Problem, coordinates: Coordinates):
        self.problem, self.coordinates = problem, coordinates
        self.count = max(problem.observed, 1)
        self.best: tuple[float, Array, Array] | None = None

    def __call__(self, x: Array) -> tuple[float, Array]:
        trial, value = self.coordinates.unpack(x), np.nan
        if self.coordinates.proper(trial):
            try:
                value, gradients = score(self.problem, trial)
            except ValueError:
                value = np.nan
        if not np.isfinite(value):
            if self.best is None:
                raise ValueError(
                    "the likelihood at the starting values is not finite; scale the data, or give more of the matrices"
                )
            best, at, slope = self.best
            return best + max(abs(float(slope @ (x - at))), 1e-8), np.zeros(len(x))
        loss, slope = -value / self.count, -self.coordinates.pull(x, gradients) / self.count
        if self.best is None or loss < self.best[0]:
            self.best = loss, x.copy(), slope
        return loss, slope


def run(problem: Problem, values: Values, *, max_iter: int, tol: float) -> Fit:
    """L-BFGS-B from `values`; stops when an iteration gains less than `tol` per observed value.

    A search that a boundary has stopped begins again there, without what it had learnt of the curvature.
    """
    from scipy.optimize import Bounds, minimize

    coordinates = Coordinates(problem.spec, values, natural_sizes(problem, values), logs=False)
    loss = _Loss(problem, coordinates)
    x = coordinates.pack(values)
    history = [-loss(x)[0] * loss.count]
    if not len(coordinates):
        return Fit(values, history, True)
    for _ in range(RESTARTS):
        begin, left = history[-1], max(max_iter + 1 - len(history), 1)
        found = minimize(
            loss, x, jac=True, method="L-BFGS-B", bounds=Bounds(*coordinates.bounds()),
            callback=lambda intermediate_result: history.append(-float(intermediate_result.fun) * loss.count),
            options={"maxiter": left, "maxfun": 20 * left, "ftol": tol, "gtol": 1e-7, "maxcor": 30},
        )  # fmt: skip
        assert loss.best is not None
        x, top = loss.best[1], -loss.best[0] * loss.count
        if top > history[-1]:
            history.append(top)
        if found.status == 1 or top - begin < RESTART_GAIN * loss.count:
            break
    return Fit(coordinates.unpack(x), history, bool(found.status != 1))
