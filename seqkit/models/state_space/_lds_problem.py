"""What is to be fitted of a linear dynamical system: prepared sequences, equations, and what of them is free."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from seqkit.data.sequences import Array
from seqkit.kernels import kalman

from ._lds_parameters import Specification, Values, build, start_of

Rows = slice | Array


class Equation:
    """One regression: its matrices of coefficients side by side, the covariance of its errors, and what is free.

    mask : which coefficients are learnt, (m, k); columns : those of the first row, which are those of all rows where
    they agree (`same`); square : the same, of a matrix (k, k).
    """

    def __init__(self, spec: Specification, coefficients: tuple[str, ...], covariance: str):
        self.covariance, self.free = covariance, spec.free[covariance]
        self.structure = spec.structure[covariance]
        self.learns_covariance = bool(self.free.any())
        masks = [spec.free[name] for name in coefficients]
        self.mask = np.hstack([mask.reshape(len(mask), -1) for mask in masks])
        self.learns_coefficients = bool(self.mask.any())
        self.same = bool((self.mask == self.mask[0]).all())
        columns = np.flatnonzero(self.mask[0])
        first = slice(0, len(columns))  # a slice, where it will do, is faster than a list
        leading = bool(self.mask[0, first].all())
        self.columns: Rows = first if leading else columns
        self.square = (first, first) if leading else (columns[:, None], columns)
        edges = np.cumsum([0, *(mask[0].size for mask in masks)]).tolist()
        self.slices = [
            (name, slice(start, stop))
            for name, start, stop in zip(coefficients, edges[:-1], edges[1:], strict=True)
            if spec.learns(name)
        ]

    @property
    def learns(self) -> bool:
        return self.learns_coefficients or self.learns_covariance


class Part:
    """One sequence, prepared once: where it is observed, in which patterns, and memory to work in.

    Arrays of rows are held transposed, (variables, T): residuals first, then h, x and 1.
    """

    def __init__(self, y: Array, inputs: Array | None, n: int):
        self.y, self.inputs = np.ascontiguousarray(y), inputs
        self.seen = ~np.isnan(self.y)
        self.complete = bool(self.seen.all())
        (length, m), k = self.y.shape, 0 if inputs is None else inputs.shape[1]
        self.targets = np.ascontiguousarray(np.nan_to_num(self.y).T)
        self.outputs = np.ones((m + n + k + 1, length))
        self.states = np.ones((n + n + k + 1, length - 1))
        if inputs is not None:
            self.outputs[m + n : -1], self.states[n + n : -1] = inputs.T, inputs[1:].T
        kinds, which = np.unique(self.seen, axis=0, return_inverse=True)
        self.patterns = [  # a row without any observation says nothing about the outputs
            (np.flatnonzero(which.ravel() == i), np.flatnonzero(kind))
            for i, kind in enumerate(kinds)
            if kind.any()
        ]
        self.channels = [
            (np.flatnonzero(column), np.array([i])) for i, column in enumerate(self.seen.T)
        ]

    def __len__(self) -> int:
        return len(self.y)


@dataclass
class Fit:
    """Where an optimiser arrived, and how."""

    values: Values
    history: list[float] = field(default_factory=list)
    converged: bool = False

    @property
    def log_likelihood(self) -> float:
        return self.history[-1]


@dataclass(frozen=True)
class Problem:
    """What is to be fitted: prepared sequences, what is free, and the variance of every output.

    floor : (m,), the least variance of an output's noise.
    """

    parts: list[Part]
    spec: Specification
    variances: Array
    floor: Array

    @property
    def size(self) -> float:
        """Variance of the data: the unit of an approximately diffuse start."""
        return float(self.variances.mean())

    @cached_property
    def observed(self) -> int:
        return sum(int(part.seen.sum()) for part in self.parts)

    @cached_property
    def states(self) -> Equation:
        """h_t on (h_{t-1}, x_t, 1)."""
        names = ("transition", "state_inputs", "state_intercept")
        return Equation(self.spec, names, "process_cov")

    @cached_property
    def outputs(self) -> Equation:
        """y_t on (h_t, x_t, 1)."""
        names = ("observation", "observation_inputs", "observation_intercept")
        return Equation(self.spec, names, "observation_cov")

    @cached_property
    def start(self) -> Equation:
        """h_0 on 1."""
        return Equation(self.spec, ("initial_mean",), "initial_cov")

    @cached_property
    def by_channel(self) -> bool:
        """Whether every output is a regression of its own, over the rows where it is observed."""
        apart = ~np.eye(len(self.variances), dtype=bool)
        given = self.spec.values["observation_cov"]
        diagonal = not (self.spec.free["observation_cov"] & apart).any()
        diagonal &= given.ndim == 2 and not np.nan_to_num(given[..., apart]).any()
        return diagonal and not all(part.complete for part in self.parts)

    @cached_property
    def _alike(self) -> bool:
        """Whether all rows of all sequences have the same matrices."""
        values, free = self.spec.values, self.spec.free
        varies = any(values[name].ndim > free[name].ndim for name in free)
        return not varies and all(part.inputs is None for part in self.parts)

    def systems(self, values: Values) -> list[kalman.System]:
        start = start_of(values, self.spec, self.size)
        if self._alike:
            return [build(values, start, None, 0, 0)] * len(self.parts)
        return [build(values, start, part.inputs, 0, len(part)) for part in self.parts]
