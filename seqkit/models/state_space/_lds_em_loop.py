"""The iterations of expectation maximisation, plain or with squared extrapolation (Varadhan & Roland 2008)."""

from __future__ import annotations

import numpy as np

from seqkit.data.sequences import Array
from seqkit.kernels import kalman

from ._lds_coordinates import Coordinates, natural_sizes
from ._lds_em import Expectation, expect, maximise
from ._lds_parameters import Values
from ._lds_problem import Fit, Problem

LONGEST = 256.0  # times the step of EM that an extrapolation may take


def run(
    problem: Problem, values: Values, *, max_iter: int, tol: float, accelerate: bool = False
) -> Fit:
    """Iterate until the log-likelihood rises by less than `tol` per observed value, at most `max_iter` times.

    With `accelerate`, every two steps are followed by one along the curve that they began, which is kept only if
    the likelihood does not fall; convergence is then that of the three together.
    """
    fit, enough = Fit(values), tol * max(problem.observed, 1)
    expected = expect(problem, values)
    fit.history.append(expected.log_likelihood)
    coordinates = None
    if accelerate:
        coordinates = Coordinates(problem.spec, values, natural_sizes(problem, values))
    done = 0
    while done < max_iter:
        begin, first = fit.history[-1], fit.values
        second = maximise(problem, first, expected)
        expected = expect(problem, second)
        fit.values = second
        fit.history.append(expected.log_likelihood)
        done += 1
        if coordinates is not None and done < max_iter:
            third = maximise(problem, second, expected)
            fit.values, expected = _further(problem, coordinates, (first, second, third), expected)
            fit.history.append(expected.log_likelihood)
            done += 1
        if abs(fit.history[-1] - begin) < enough:
            fit.converged = True
            break
    return fit


def _further(
    problem: Problem, coordinates: Coordinates, path: tuple[Values, Values, Values], at: Expectation
) -> tuple[Values, Expectation]:
    """The extrapolation of three points, or the third of them where the likelihood would fall; `at` the second."""
    x, y, z = (coordinates.pack(values) for values in path)
    step, bend = y - x, (z - y) - (y - x)
    length = float(np.linalg.norm(step)) / max(float(np.linalg.norm(bend)), 1e-300)
    if length > 1.0:
        length = min(length, LONGEST)
        low, high = coordinates.bounds()
        trial = coordinates.unpack(np.clip(x + 2 * length * step + length**2 * bend, low, high))
        reached = _tried(problem, trial) if coordinates.proper(trial) else None
        if reached is not None and reached.log_likelihood >= at.log_likelihood:
            return trial, reached
    return path[2], expect(problem, path[2])


def _tried(problem: Problem, values: Values) -> Expectation | None:
    try:
        with np.errstate(all="ignore"):
            return expect(problem, values)
    except (ValueError, np.linalg.LinAlgError):
        return None


def log_likelihood(problem: Problem, values: Values) -> float:
    """That of all sequences."""
    systems = problem.systems(values)
    return sum(
        kalman.log_likelihood(system, part.y)
        for part, system in zip(problem.parts, systems, strict=True)
    )


def least_increment(history: list[float] | Array) -> float:
    """The smallest step of the log-likelihood relative to its size; below -1e-9 something is wrong."""
    steps = np.diff(history) / np.maximum(np.abs(history[1:]), 1.0)
    return float(steps.min(initial=0.0))
