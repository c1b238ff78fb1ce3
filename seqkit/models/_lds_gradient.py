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
REFUSED = 1e10  # the loss where there is no likelihood
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


def run(problem: Problem, values: Values, *, max_iter: int, tol: float) -> Fit:
    """L-BFGS-B from `values`; stops when an iteration gains less than `tol` per observed value."""
    from scipy.optimize import Bounds, minimize

    coordinates = Coordinates(problem.spec, values, natural_sizes(problem, values), logs=False)
    count = max(problem.observed, 1)
    history: list[float] = []

    def loss(x: Array) -> tuple[float, Array]:
        trial = coordinates.unpack(x)
        try:
            value, gradients = score(problem, trial) if coordinates.proper(trial) else (np.nan, {})
        except ValueError:  # no stationary start
            value = np.nan
        if not np.isfinite(value):
            return REFUSED, np.zeros(len(x))
        return -value / count, -coordinates.pull(x, gradients) / count

    x = coordinates.pack(values)
    first = loss(x)[0]
    history.append(-first * count)
    if not len(coordinates):
        return Fit(values, history, True)
    low, high = coordinates.bounds()
    found = minimize(
        loss, x, jac=True, method="L-BFGS-B", bounds=Bounds(low, high),
        callback=lambda intermediate_result: history.append(-float(intermediate_result.fun) * count),
        options={"maxiter": max_iter, "maxfun": 20 * max_iter, "ftol": tol, "gtol": 1e-7, "maxcor": 30},
    )  # fmt: skip
    if not found.fun < REFUSED:
        return Fit(values, history, False)
    return Fit(coordinates.unpack(found.x), history, bool(found.status != 1))
