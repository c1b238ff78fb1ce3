"""What the data can tell of a linear dynamical system: parameters that count, and their standard errors.

Another basis of the states, h' = T h + s, gives the same outputs; the directions (X, s) near T = I in which the
given elements stay as they are take that many parameters off the count (and leave those elements without a
standard error).
"""

from __future__ import annotations

import numpy as np

from seqkit.data.sequences import Array

from ._lds_coordinates import Coordinates, natural_sizes
from ._lds_gradient import score
from ._lds_parameters import COVARIANCES, NAMES, Specification, Values
from ._lds_problem import Problem

SINGULAR = 1e-6  # eigenvalues of the information below this part of the largest are none
STEP = 1e-5  # of the coordinates, for differences of the score


def moved(values: Values, diffuse: Array, x: Array, shift: Array) -> Values:
    """The first-order change of every matrix when the states become (I + x) h + shift."""
    a, c = values["transition"], values["observation"]
    settled = np.eye(len(x)) - _projector(diffuse)  # a diffuse start has no mean and no covariance

    def both(cov: Array) -> Array:
        return x @ cov + cov @ x.T

    return {
        "transition": x @ a - a @ x,
        "state_inputs": x @ values["state_inputs"],
        "state_intercept": values["state_intercept"] @ x.T + shift - a @ shift,
        "process_cov": both(values["process_cov"]),
        "observation": -c @ x,
        "observation_inputs": np.zeros_like(values["observation_inputs"]),
        "observation_intercept": np.zeros_like(values["observation_intercept"]) - c @ shift,
        "observation_cov": np.zeros_like(values["observation_cov"]),
        "initial_mean": settled @ (x @ values["initial_mean"] + shift),
        "initial_cov": settled @ both(values["initial_cov"]) @ settled,
        "diffuse": settled @ x @ (np.eye(len(x)) - settled),
    }


def _projector(diffuse: Array) -> Array:
    return diffuse @ np.linalg.pinv(diffuse, hermitian=True)


def _changes(spec: Specification, values: Values) -> tuple[Array, Array, Array]:
    """Per direction of the basis (columns): the changes of given elements, those of all, and the trace of X
    on the diffuse states."""
    n = len(values["initial_mean"])
    given, everything, traces = [], [], []
    on_diffuse = _projector(spec.diffuse)
    for k in range(n * n + n):
        direction = np.zeros(n * n + n)
        direction[k] = 1.0
        x, shift = direction[: n * n].reshape(n, n), direction[n * n :]
        change = moved(values, spec.diffuse, x, shift)
        if spec.initial == "stationary":
            change["initial_mean"] = change["initial_cov"] = np.zeros(0)
        fixed = [change["diffuse"].ravel()]
        for name in NAMES:
            array = change[name]
            free = spec.free[name]
            if array.ndim > free.ndim or not array.size:
                fixed.append(array[: 4 * n].ravel())
                continue
            fixed.append(array[~free])
            if name in COVARIANCES and spec.structure[name] == "scalar":
                fixed.append(np.diff(np.diag(array)))
        given.append(np.concatenate(fixed))
        everything.append(np.concatenate([np.ravel(change[name])[: 4 * n**3] for name in NAMES]))
        traces.append(np.trace(x @ on_diffuse))
    return np.array(given).T, np.array(everything).T, np.array(traces)


def _null_space(matrix: Array) -> Array:
    """An orthonormal basis, one column each."""
    _, values, right = np.linalg.svd(matrix)
    rank = int((values > 1e-9 * max(float(values.max(initial=0.0)), 1e-300)).sum())
    return right[rank:].T


def count_parameters(spec: Specification, values: Values) -> int:
    """Learnt elements, less the changes of basis that they leave open."""
    learnt = sum(int(mask.sum()) for name, mask in spec.free.items() if name not in COVARIANCES)
    for name in COVARIANCES:
        single = spec.structure[name] == "scalar" and spec.learns(name)
        learnt += 1 if single else int(np.triu(spec.free[name]).sum())
    given, everything, _ = _changes(spec, values)
    open_ways = _null_space(given)
    if not open_ways.shape[1]:
        return learnt
    felt = np.linalg.matrix_rank(everything @ open_ways)
    return learnt - int(felt)


def scale_is_open(spec: Specification, values: Values) -> bool:
    """Whether the states can be stretched at will under a diffuse start, so that the likelihood has no maximum."""
    given, _, traces = _changes(spec, values)
    return bool(np.abs(traces @ _null_space(given)).max(initial=0.0) > 1e-6)


def _open_ways(coordinates: Coordinates, spec: Specification, values: Values) -> Array:
    """The coordinates' changes when the states change their basis, orthonormal columns."""
    n = len(values["initial_mean"])
    columns = []
    for way in _null_space(_changes(spec, values)[0]).T:
        change = moved(values, spec.diffuse, way[: n * n].reshape(n, n), way[n * n :])
        ends = []
        for side in (STEP, -STEP):
            shifted = {
                name: values[name] + side * change[name] for name in NAMES if spec.learns(name)
            }
            ends.append(coordinates.pack(values | shifted))
        columns.append((ends[0] - ends[1]) / (2 * STEP))
    ways = np.array(columns).reshape(len(columns), len(coordinates)).T
    left, size, _ = np.linalg.svd(ways, full_matrices=False)
    return left[:, size > 1e-7 * size.max(initial=0.0)]


def standard_errors(problem: Problem, values: Values) -> Values:
    """Square roots of the diagonal of the inverse observed information, in the shapes of the matrices.

    The information is the Jacobian of the exact score by central differences, over the directions that are not a
    change of basis. Elements that are given have 0, those that the data do not determine NaN.
    """
    coordinates = Coordinates(problem.spec, values, natural_sizes(problem, values))
    x = coordinates.pack(values)

    def slope(at: Array) -> Array:
        return coordinates.pull(at, score(problem, coordinates.unpack(at))[1])

    reach = _differences(lambda at: coordinates.elements(coordinates.unpack(at)), x)
    errors, size = np.zeros(len(reach)), np.linalg.norm(reach, axis=1)
    if len(x):
        lost = _open_ways(coordinates, problem.spec, values)
        kept = _null_space(lost.T) if lost.shape[1] else np.eye(len(x))
        jacobian = _differences(slope, x)
        eigenvalues, vectors = np.linalg.eigh(-kept.T @ (jacobian + jacobian.T) @ kept / 2)
        known = eigenvalues > SINGULAR * eigenvalues.max(initial=0.0)
        vectors = kept @ vectors
        lost = np.hstack([lost, vectors[:, ~known]])
        spread = ((reach @ vectors[:, known]) ** 2 / eigenvalues[known]).sum(1)
        unknown = np.linalg.norm(reach @ lost, axis=1) > 1e-4 * np.where(size > 0, size, np.inf)
        errors = np.where(unknown, np.nan, np.sqrt(spread))
    edges = np.cumsum([values[name].size for name in NAMES])[:-1]
    return {
        name: part.reshape(values[name].shape)
        for name, part in zip(NAMES, np.split(errors, edges), strict=True)
    }


def _differences(function, x: Array) -> Array:  # type: ignore[no-untyped-def]
    """Central differences, (outputs, len(x))."""
    columns = []
    for j in range(len(x)):
        step = np.zeros(len(x))
        step[j] = STEP * max(1.0, abs(x[j]))
        columns.append((function(x + step) - function(x - step)) / (2 * step[j]))
    return np.array(columns).T if columns else np.zeros((len(function(x)), 0))
