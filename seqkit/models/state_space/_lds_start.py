"""Where the search for a linear dynamical system begins: by subspace identification, or at random."""

from __future__ import annotations

import numpy as np

from seqkit.data.sequences import Array
from seqkit.kernels import kalman, subspace

from ._lds_parameters import COVARIANCES, Values
from ._lds_problem import Problem

ROOTS = (0.5, 0.98)  # range of the sizes of the eigenvalues of a random transition


def starting_values(problem: Problem, rng: np.random.Generator | None) -> Values:
    """Matrices to begin with; `rng` None asks for subspace identification, which needs A and C wholly free."""
    spec = problem.spec
    n, m = spec.free["initial_mean"].size, len(problem.variances)
    residuals, values = _regression(problem)
    own_basis = spec.free["transition"].all() and spec.free["observation"].all()
    found = subspace.realise(residuals, n) if own_basis and rng is None else None
    if found is not None:
        values |= {
            "transition": found.transition, "observation": found.observation,
            "process_cov": found.process_cov, "observation_cov": found.observation_cov,
        }  # fmt: skip
        _fit_basis(problem, values)
    elif own_basis:
        rng = rng or np.random.default_rng(0)
        values |= random_system(n, m, np.sqrt(problem.variances), rng)
        _fit_basis(problem, values)
    else:
        _around_given(problem, values, rng)
    values["initial_mean"] = np.zeros(n)
    values.setdefault("initial_cov", _spread(values, n))
    noise = values["observation_cov"]
    at = np.arange(m)
    noise[at, at] = np.maximum(noise[at, at], 4 * problem.floor)
    values = spec.fixed_into(values)
    for name in COVARIANCES:
        values[name] = _proper(values[name], spec.free[name])
    return values


def _regression(problem: Problem) -> tuple[list[Array], Values]:
    """Outputs less their level and their direct response to the inputs, and those coefficients."""
    spec = problem.spec
    given_d, given = spec.values["observation_intercept"], spec.values["observation_inputs"]
    m, k = spec.free["observation_inputs"].shape
    level = np.nan_to_num(given_d if given_d.ndim == 1 else given_d[0] * 0.0)
    slope = np.nan_to_num(given if given.ndim == 2 else given[0] * 0.0)
    y = np.concatenate([part.y for part in problem.parts])
    inputs = np.zeros((len(y), 0))
    if k:
        inputs = np.concatenate([part.inputs for part in problem.parts])  # type: ignore[misc]
    for i in range(m):
        free = np.append(spec.free["observation_inputs"][i], spec.free["observation_intercept"][i])
        seen = ~np.isnan(y[:, i])
        design = np.column_stack([inputs, np.ones(len(y))])[seen]
        current = np.append(slope[i], level[i])
        rest = y[seen, i] - design @ current
        if free.any() and seen.any():
            current[free] += np.linalg.lstsq(design[:, free], rest, rcond=1e-10)[0]
        slope[i], level[i] = current[:k], current[k]
    residuals = y - inputs @ slope.T - level
    n = spec.free["initial_mean"].size
    values = {
        "observation_inputs": slope, "observation_intercept": level,
        "state_inputs": np.zeros((n, k)), "state_intercept": np.zeros(n),
    }  # fmt: skip
    return np.split(residuals, np.cumsum([len(p) for p in problem.parts])[:-1]), values


def random_system(n: int, m: int, sizes: Array, rng: np.random.Generator) -> Values:
    """A stable system whose stationary states are standard normal, explaining half of the outputs' variances."""
    first, second = (np.linalg.qr(rng.normal(size=(n, n)))[0] for _ in range(2))
    a = first * rng.uniform(*ROOTS, n) @ second
    c = rng.normal(size=(m, n))
    c *= np.sqrt(0.5) * (sizes / np.linalg.norm(c, axis=1))[:, None]
    return {
        "transition": a, "observation": c, "process_cov": np.eye(n) - a @ a.T,
        "observation_cov": np.diag(0.5 * sizes**2),
    }  # fmt: skip


def _fit_basis(problem: Problem, values: Values) -> None:
    """Turn the states so that the process covariance has the structure, or the value, that is asked for."""
    spec, q = problem.spec, values["process_cov"]
    given, structure = spec.values["process_cov"], spec.structure["process_cov"]
    wanted = None
    if given.ndim == 2 and not spec.free["process_cov"].any():
        wanted = given
    elif structure == "scalar":
        wanted = np.eye(len(q))
    elif structure == "diagonal" or not spec.free["process_cov"].all():
        to = np.linalg.eigh(q)[1].T
        back = to.T
    if wanted is not None:
        scales, vectors = np.linalg.eigh(q)
        root = np.linalg.cholesky(wanted + 1e-12 * np.trace(wanted) * np.eye(len(q)))
        to = root @ (vectors / np.sqrt(scales)).T
        back = vectors * np.sqrt(scales) @ np.linalg.inv(root)
    elif structure == "full" and spec.free["process_cov"].all():
        return
    values["transition"] = to @ values["transition"] @ back
    values["observation"] = values["observation"] @ back
    values["process_cov"] = (to @ q @ to.T + (to @ q @ to.T).T) / 2


def _around_given(problem: Problem, values: Values, rng: np.random.Generator | None) -> None:
    """A start in the basis of the given elements: free ones are persistent, noisy states of the outputs' size."""
    spec, variances = problem.spec, problem.variances
    n, m = spec.free["initial_mean"].size, len(variances)
    given_a, given_c = spec.values["transition"], spec.values["observation"]
    given_a = given_a[0] if given_a.ndim == 3 else given_a
    given_c = np.abs(given_c).mean(0) if given_c.ndim == 3 else given_c
    roots = np.linspace(0.9, 0.5, n) if rng is None else rng.uniform(*ROOTS, n)
    a = np.where(np.isnan(given_a), np.diag(roots), given_a)
    random = (rng or np.random.default_rng(0)).normal(size=(m, n))
    random *= np.sqrt(variances / 2)[:, None] / np.linalg.norm(random, axis=1)[:, None]
    c = np.where(np.isnan(given_c), random, given_c)
    reach, power = np.zeros(n), c
    for _ in range(n):  # the largest effect of each state on an output, now or later
        reach = np.maximum(reach, np.abs(power / np.sqrt(variances)[:, None]).max(0))
        power = power @ a
    size = 1 / np.where(reach > 0, reach, 1.0) ** 2 / (2 * n)
    fresh = np.maximum(1 - np.diag(a) ** 2, 0.05)
    values |= {
        "transition": a, "observation": c, "process_cov": np.diag(size * fresh),
        "observation_cov": np.diag(variances / 2), "initial_cov": np.diag(size),
    }  # fmt: skip


def _spread(values: Values, n: int) -> Array:
    found = kalman.stationary(values["transition"], values["process_cov"])
    return np.eye(n) if found is None else found[1]


def _proper(cov: Array, free: Array) -> Array:
    """Raise the free variances until the covariance, given elements and all, is positive definite."""
    diagonal = free.diagonal()
    if cov.ndim == 3 or not diagonal.any():
        return cov
    cov = cov.copy()
    at = np.flatnonzero(diagonal)
    for _ in range(100):
        if np.linalg.eigvalsh(cov)[0] > -1e-12 * np.abs(cov).max():
            break
        cov[at, at] = 2 * np.maximum(cov[at, at], np.abs(cov).max() * 1e-3)
    return cov
