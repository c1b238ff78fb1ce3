"""The matrices of a linear dynamical system: which elements are given, which are learnt, and the system they make.

A matrix is given as None (learnt), a number (a multiple of the identity, or every element of a vector), an
array (fixed), an array with NaN in some elements (those are learnt), or, for a covariance, as the name of a
structure. One dimension more than the matrix has makes it vary in time.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from seqkit.data.sequences import Array
from seqkit.kernels import kalman
from seqkit.persistence import Record

Values = dict[str, Array]
STRUCTURES = ("full", "diagonal", "scalar")
INITIAL = ("known", "stationary", "approximate", "diffuse")
COVARIANCES = ("process_cov", "observation_cov", "initial_cov")
NAMES = (
    "transition", "state_inputs", "state_intercept", "process_cov",
    "observation", "observation_inputs", "observation_intercept", "observation_cov",
    "initial_mean", "initial_cov",
)  # fmt: skip
CONSTANT = ("initial_mean", "initial_cov")  # may not vary in time
VAGUE = 1e6  # times the size of the data: the variance of an approximately diffuse start


class Specification(Record):
    """What is given of every matrix, and what is to be learnt.

    values : by name, NaN where an element is learnt.
    free : by name, a mask of the elements that are learnt (all False for a matrix that varies in time).
    structure : by name of a covariance, one of STRUCTURES.
    diffuse : (n, n), the part of the initial covariance that grows without limit.
    """

    values: Values
    free: dict[str, Array]
    structure: dict[str, str]
    initial: str
    diffuse: Array

    def learns(self, *names: str) -> bool:
        return any(bool(self.free[name].any()) for name in names)

    def fixed_into(self, values: Values) -> Values:
        """`values` with the given elements put back, bit by bit."""
        out = {}
        for name in NAMES:
            given = self.values[name]
            if given.ndim > self.free[name].ndim or not self.free[name].any():
                out[name] = given
            else:
                out[name] = np.where(self.free[name], values[name], given)
        return out


def shapes(n: int, m: int, inputs: int) -> dict[str, tuple[int, ...]]:
    return {
        "transition": (n, n), "state_inputs": (n, inputs), "state_intercept": (n,), "process_cov": (n, n),
        "observation": (m, n), "observation_inputs": (m, inputs), "observation_intercept": (m,),
        "observation_cov": (m, m), "initial_mean": (n,), "initial_cov": (n, n),
    }  # fmt: skip


def specify(
    given: dict[str, Any], diffuse: Any, initial: str, n: int, m: int, inputs: int
) -> Specification:
    """Read and check the constructor's arguments.

    Raises
    ------
    ValueError, TypeError : names the argument, what came and what was expected.
    """
    if initial not in INITIAL:
        raise ValueError(f"initial must be one of {', '.join(INITIAL)}; got {initial!r}")
    spec = Specification()
    spec.values, spec.free, spec.structure, spec.initial = {}, {}, {}, initial
    spec.diffuse = _diffuse(diffuse, initial, n)
    for name, shape in shapes(n, m, inputs).items():
        value = given.get(name)
        if name in COVARIANCES:
            spec.structure[name] = value if isinstance(value, str) else "full"
            value = None if isinstance(value, str) else value
        if name in CONSTANT:
            value = _start(name, value, spec)
        array = read(name, value, shape)
        if name in COVARIANCES:
            array = _structured(name, array, spec.structure[name])
        spec.values[name] = array
        constant = array.ndim == len(shape)
        spec.free[name] = np.isnan(array) if constant else np.zeros(shape, bool)
    return spec


def read(name: str, value: Any, shape: tuple[int, ...]) -> Array:
    """One argument as float64 of `shape`, or (T, *shape) where it varies in time; NaN where learnt."""
    if value is None:
        return np.full(shape, np.nan)
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError(
            f"{name} must be None, a number or an array of numbers; got {value!r}"
        ) from None
    square = len(shape) == 2 and shape[0] == shape[1]
    if array.ndim == 0:
        array = np.eye(shape[0]) * array if square else np.full(shape, float(array))
        return np.full(shape, np.nan) if np.isnan(array).any() else array
    varying = array.ndim == len(shape) + 1 and name not in CONSTANT
    if array.shape[varying:] != shape:
        also = "" if name in CONSTANT else f", or {('T', *shape)} to vary in time".replace("'", "")
        raise ValueError(f"{name} has shape {array.shape}, expected {shape}{also}")
    if np.isinf(array).any() or (varying and np.isnan(array).any()):
        raise ValueError(
            f"{name} has elements that are {'not finite' if varying else 'infinite'}; "
            + ("what varies in time is given whole" if varying else "give numbers, or NaN to learn")
        )
    return array


def _diffuse(diffuse: Any, initial: str, n: int) -> Array:
    if diffuse is None:
        return np.eye(n) if initial == "diffuse" else np.zeros((n, n))
    array = np.array(diffuse, dtype=np.float64)
    array = np.eye(n) * array if array.ndim == 0 else array
    array = np.diag(array) if array.shape == (n,) else array
    if array.shape != (n, n):
        raise ValueError(
            f"diffuse has shape {array.shape}, expected {(n,)} (which states) or {(n, n)}"
        )
    check_covariance("diffuse", array)
    return array


def _start(name: str, value: Any, spec: Specification) -> Any:
    """The given start, with the elements that the kind of start settles filled in."""
    unknown = np.diag(spec.diffuse) > 0
    if spec.initial == "stationary":
        if value is not None:
            raise ValueError(
                f'{name} was given, but initial="stationary" takes the start from the dynamics; '
                "leave one of them out"
            )
        return np.zeros(len(unknown)) if name == "initial_mean" else 0.0
    if value is not None and not isinstance(value, str) and np.ndim(value) == 0:
        return value
    if spec.initial == "approximate" and value is None:
        return 0.0  # the size of the data is added by `start_of`
    if not unknown.any() or (value is not None and not isinstance(value, str)):
        return value
    settled = np.where(unknown, 0.0, np.nan)
    return settled if name == "initial_mean" else settled[:, None] * settled


def _structured(name: str, array: Array, structure: str) -> Array:
    if structure not in STRUCTURES:
        raise ValueError(
            f"{name} must be one of {', '.join(STRUCTURES)}, a number or an array; got {structure!r}"
        )
    if array.ndim == 3:
        for matrix in array:
            check_covariance(name, matrix)
        return (array + array.transpose(0, 2, 1)) / 2
    if structure != "full":  # only the diagonal is learnt
        array = np.where(np.eye(len(array), dtype=bool), array, 0.0)
    missing = np.isnan(array)
    if not np.array_equal(missing, missing.T):
        i, j = np.argwhere(missing != missing.T)[0]
        raise ValueError(
            f"{name} must be symmetric: of the elements {(int(i), int(j))} and {(int(j), int(i))} one is NaN"
        )
    known = ~missing.any(1) if missing.any() else np.ones(len(array), bool)
    _check_symmetric(name, np.where(missing, 0.0, array))
    check_covariance(name, array[np.ix_(known, known)])
    return (array + array.T) / 2


def _check_symmetric(name: str, array: Array) -> None:
    size = np.abs(array).max(initial=0.0)
    if np.abs(array - array.T).max(initial=0.0) > 1e-8 * size:
        i, j = np.unravel_index(np.abs(array - array.T).argmax(), array.shape)
        raise ValueError(
            f"{name} must be symmetric, but element {(int(i), int(j))} is {array[i, j]:g} and "
            f"{(int(j), int(i))} is {array[j, i]:g}"
        )


def check_covariance(name: str, array: Array) -> None:
    """Refuse what is not symmetric and positive semi-definite."""
    if not array.size:
        return
    _check_symmetric(name, array)
    least = float(np.linalg.eigvalsh(array)[0])
    if least < -1e-8 * np.abs(array).max(initial=0.0):
        raise ValueError(
            f"{name} must be positive semi-definite, but its smallest eigenvalue is {least:.6g}"
        )


# -- the system ------------------------------------------------------------------------------------


def start_of(values: Values, spec: Specification, size: float) -> tuple[Array, Array, Array]:
    """Mean, covariance and diffuse part of the first state.

    size : variance of the data, which sets that of an approximately diffuse start.
    """
    mean, cov = values["initial_mean"], values["initial_cov"]
    if spec.initial == "stationary":
        found = stationary_start(values)
        if found is None:
            raise ValueError(
                'initial="stationary" needs eigenvalues of the transition inside the unit circle; '
                "pass diffuse=[1, ...] for a start without knowledge, or initial_mean and initial_cov"
            )
        mean, cov = found
    if spec.initial == "approximate" and not cov.any():
        cov = VAGUE * size * np.eye(len(cov))
    return mean, cov, spec.diffuse


def stationary_start(values: Values) -> tuple[Array, Array] | None:
    if any(values[name].ndim == 3 for name in ("transition", "process_cov")):
        raise ValueError(
            'initial="stationary" needs a transition and a process_cov that are constant in time'
        )
    intercept = values["state_intercept"]
    intercept = intercept if intercept.ndim == 1 else intercept[0] * 0.0
    return kalman.stationary(values["transition"], values["process_cov"], intercept)


def build(
    values: Values, start: tuple[Array, Array, Array], inputs: Array | None, first: int, length: int
) -> kalman.System:
    """The system of the rows first .. first + length - 1; inputs (length, k) are those of the rows."""
    mean, cov, diffuse = start
    parts = {
        name: _rows(name, values[name], first, length)
        for name in NAMES
        if not name.endswith("inputs") and name not in CONSTANT
    }
    for side in ("state", "observation"):
        name, target = f"{side}_inputs", f"{side}_intercept"
        matrix = values[name]
        if inputs is not None and matrix.size and matrix.any():
            matrix = _rows(name, matrix, first, length)
            parts[target] = parts[target] + effect(matrix, inputs)
    arrays = parts | {"initial_mean": mean, "initial_cov": cov, "diffuse": diffuse}
    return kalman.System.trusted(**{k: np.ascontiguousarray(v) for k, v in arrays.items()})


def effect(matrix: Array, inputs: Array) -> Array:
    """Rows M_t x_t for a matrix (m, k) or matrices (T, m, k)."""
    return inputs @ matrix.T if matrix.ndim == 2 else np.einsum("tij,tj->ti", matrix, inputs)


def _rows(name: str, array: Array, first: int, length: int) -> Array:
    constant = array.ndim == (1 if name.endswith("intercept") else 2)
    if constant:
        return array
    if first < 0 or first + length > len(array):
        raise ValueError(
            f"{name} varies in time and has {len(array)} rows, but rows {first} .. {first + length - 1} are "
            "needed; give one row for every step, those to be forecast included"
        )
    return array[first : first + length]
