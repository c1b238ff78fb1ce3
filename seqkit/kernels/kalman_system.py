"""The matrices of a linear Gaussian state-space model, and what is known of its states."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class System:
    """The matrices of a linear Gaussian state-space model; see `seqkit.kernels.kalman` for the equations.

    Parameters
    ----------
    transition : A, (n, n), or (T, n, n) when it varies in time; so for all but the start.
    observation : C, (m, n).
    process_cov : Q, (n, n).
    observation_cov : R, (m, m).
    initial_mean, initial_cov : mu_0 (n,), P_0 (n, n) of the state of the first row.
    diffuse : P_inf (n, n), the directions of which nothing is known at the start; None for none.
    state_intercept, observation_intercept : c (n,), d (m,); None for zero.

    Row t of an array with a time axis belongs to time t; row 0 of A, Q and c is not used by a filter.

    Raises
    ------
    ValueError : shapes that do not fit, covariances that are not symmetric, values that are not finite.
    """

    transition: Array
    observation: Array
    process_cov: Array
    observation_cov: Array
    initial_mean: Array
    initial_cov: Array
    diffuse: Array | None = None
    state_intercept: Array | None = None
    observation_intercept: Array | None = None

    def __post_init__(self) -> None:
        n = np.shape(self.transition)[-1] if np.ndim(self.transition) >= 2 else 0
        m = np.shape(self.observation)[-2] if np.ndim(self.observation) >= 2 else 0
        if not n or not m:
            raise ValueError(
                "transition must be (n, n) and observation (m, n), or (T, ..) with a time axis; got "
                f"{np.shape(self.transition)} and {np.shape(self.observation)}"
            )
        shapes: dict[str, tuple[int, ...]] = {
            "transition": (n, n), "observation": (m, n), "process_cov": (n, n), "observation_cov": (m, m),
            "initial_mean": (n,), "initial_cov": (n, n), "diffuse": (n, n),
            "state_intercept": (n,), "observation_intercept": (m,),
        }  # fmt: skip
        length = None
        for name, shape in shapes.items():
            given = getattr(self, name)
            array = np.zeros(shape) if given is None else np.ascontiguousarray(given, dtype=float)
            timed = array.ndim == len(shape) + 1 and name not in _STARTS
            if array.shape[timed:] != shape:
                raise ValueError(
                    f"{name} has shape {array.shape}, expected {shape}"
                    + ("" if name in _STARTS else f" or (T, {', '.join(map(str, shape))})")
                    + f" for {n} state(s) and {m} output(s)"
                )
            if timed:
                if length is not None and len(array) != length[1]:
                    raise ValueError(
                        f"{name} has {len(array)} rows, but {length[0]} has {length[1]}; arrays that vary in time "
                        "need one row per time step"
                    )
                length = (name, len(array))
            if not np.isfinite(array).all():
                raise ValueError(f"{name} holds values that are not finite; fill or correct them")
            if name in _COVARIANCES:
                array = _symmetric(name, array)
            object.__setattr__(self, name, array)

    @classmethod
    def trusted(cls, **arrays: Array) -> System:
        """A system from all nine arrays, float64 and contiguous, without checking them: for inner loops."""
        made = object.__new__(cls)
        vars(made).update(arrays)
        return made

    @property
    def n(self) -> int:
        return self.transition.shape[-1]

    @property
    def m(self) -> int:
        return self.observation.shape[-2]

    @property
    def varies(self) -> bool:
        """Whether any array has a time axis."""
        return any(self.timed(name) for name in TIMED)

    def timed(self, name: str) -> bool:
        return getattr(self, name).ndim > TIMED[name]

    def rows(self, start: int, stop: int | None) -> System:
        """The system of rows start .. stop - 1."""
        cut = {name: getattr(self, name)[start:stop] for name in TIMED if self.timed(name)}
        return System.trusted(**{**vars(self), **cut}) if cut else self

    def starting(self, mean: Array, cov: Array, diffuse: Array | None = None) -> System:
        """The same system from another start."""
        diffuse = np.zeros_like(cov) if diffuse is None else diffuse
        start = {"initial_mean": mean, "initial_cov": cov, "diffuse": diffuse}
        return System.trusted(**{**vars(self), **start})

    def after(self, state: State) -> System:
        """The same system when `state`, filtered, is that of the row before its first."""
        A, Q, c = (layers(self, k)[0] for k in ("transition", "process_cov", "state_intercept"))
        cov, diffuse = A @ state.cov @ A.T + Q, A @ state.diffuse @ A.T
        mean = A @ state.mean + c
        return self.starting(mean, (cov + cov.T) / 2, (diffuse + diffuse.T) / 2)


TIMED = {
    "transition": 2, "observation": 2, "process_cov": 2, "observation_cov": 2, "state_intercept": 1,
    "observation_intercept": 1,
}  # fmt: skip
_STARTS = ("initial_mean", "initial_cov", "diffuse")
_COVARIANCES = ("process_cov", "observation_cov", "initial_cov", "diffuse")


def _symmetric(name: str, array: Array) -> Array:
    turned = np.swapaxes(array, -1, -2)
    if not np.allclose(array, turned, rtol=1e-8, atol=1e-12 * np.abs(array).max(initial=0.0)):
        raise ValueError(f"{name} is not symmetric; a covariance must be")
    if (np.diagonal(array, axis1=-2, axis2=-1) < 0).any():
        raise ValueError(f"{name} has a negative variance on its diagonal")
    return array if np.array_equal(array, turned) else (array + turned) / 2


@dataclass(frozen=True)
class State:
    """What is known of a state: mean (n,), cov (n, n) and the diffuse part (n, n), zero once all is known."""

    mean: Array
    cov: Array
    diffuse: Array


class Stack:
    """A matrix per row, equal ones stored once: row t is stored[index[t]]."""

    def __init__(self, stored: Array, index: Array):
        self.stored, self.index = stored, index

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, t: Any) -> Array:
        return self.stored[self.index[t]]

    def __iter__(self) -> Iterator[Array]:
        return (self.stored[i] for i in self.index)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return self.full() if dtype is None else self.full().astype(dtype)

    def full(self) -> Array:
        """All rows, (T, n, n)."""
        return self.stored[self.index]

    def total(self, weights: Array | None = None) -> Array:
        """sum_t weights_t M_t; a boolean mask selects rows."""
        counts = np.bincount(self.index, weights=weights, minlength=len(self.stored))
        return np.tensordot(counts, self.stored, 1)


def check_observations(system: System, y: Any) -> Array:
    """`y` as (T, m) float64, refused if it does not fit the system."""
    y = np.ascontiguousarray(y, dtype=float)
    if y.ndim != 2 or y.shape[1] != system.m:
        raise ValueError(f"y must be (T, {system.m}), got {y.shape}")
    if np.isinf(y).any():
        row = int(np.argmax(np.isinf(y).any(1)))
        raise ValueError(
            f"y has infinite values, first in row {row}; make them missing (NaN) or correct them"
        )
    for name in TIMED:
        if system.timed(name) and len(getattr(system, name)) < len(y):
            raise ValueError(
                f"{name} has {len(getattr(system, name))} rows, fewer than the {len(y)} of y; give one per step"
            )
    return y


def writable(array: Array) -> Array:
    """The array, or a copy of a read-only one: to the compiler these are two types, and two compilations."""
    return array if array.flags.writeable else array.copy()


def layers(system: System, name: str) -> Array:
    """An array with a leading axis: time, or one layer for all times."""
    array = writable(getattr(system, name))
    return array if system.timed(name) else array[None]


def stationary(
    transition: Array, process_cov: Array, intercept: Any = 0.0
) -> tuple[Array, Array] | None:
    """Mean (n,) and covariance (n, n) of a stationary state, or None where there is none.

    mu = A mu + c and P = A P A' + Q; P by doubling, P <- P + A P A', A <- A^2 (Anderson & Moore 1979, section 6.7).
    """
    A = np.array(transition, dtype=float)
    n = len(A)
    if np.abs(np.linalg.eigvals(A)).max() >= 1 - 1e-9:
        return None
    mean = np.linalg.solve(np.eye(n) - A, np.broadcast_to(np.asarray(intercept, float), (n,)))
    cov = np.array(process_cov, dtype=float)
    for _ in range(64):
        step = A @ cov @ A.T
        cov = cov + step
        A = A @ A
        if np.abs(step).max() <= 1e-16 * np.abs(cov).max():
            break
    return mean, (cov + cov.T) / 2


def root(cov: Array) -> Array:
    """A factor F with F F' = cov for a positive semi-definite matrix, as wide as its rank.

    Decomposed as correlations, so that a small variance beside a huge one keeps its digits.
    """
    size = np.sqrt(np.maximum(np.diag(cov), 0.0))
    moving = np.flatnonzero(size > 0)
    if not len(moving):
        return np.zeros((len(cov), 0))
    scale = size[moving]
    values, vectors = np.linalg.eigh(cov[np.ix_(moving, moving)] / np.outer(scale, scale))
    keep = values > 1e-15 * values[-1]
    factor = np.zeros((len(cov), int(keep.sum())))
    factor[moving] = scale[:, None] * vectors[:, keep] * np.sqrt(values[keep])
    return factor
