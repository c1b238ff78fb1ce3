"""Coordinates without bounds and without units for what is learnt of a linear dynamical system."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from seqkit.data.sequences import Array
from seqkit.kernels import kalman

from ._lds_parameters import COVARIANCES, NAMES, Specification, Values
from ._lds_problem import Problem
from ._linear_covariance import components

LARGEST = 14.0  # logarithm of a standard deviation relative to its natural size
LEAST, LEAST_NOISE = (
    1e-6,
    1e-5,
)  # least standard deviations, of a state and of the noise of an output


@dataclass(frozen=True)
class Block:
    """Learnt elements of one matrix that share a coordinate system.

    kind : "linear" elements, "scalar" variance, "cholesky" block of a covariance, "mixed" elements of a block
    of which some are given. scale : natural size of the elements; least : lowest standard deviations, in scales.
    """

    name: str
    kind: str
    rows: Array
    columns: Array
    scale: Array
    size: int
    least: Array | None = None
    logs: bool = True  # of standard deviations


class Coordinates:
    """The map between matrices and a vector of free coordinates.

    values : the matrices, of which those that are not learnt are kept; sizes : natural size of every state,
    output and input; logs : whether standard deviations are counted by their logarithms (no bound is near), or
    in units of those of `values` (zero is a point like others).
    """

    def __init__(
        self, spec: Specification, values: Values, sizes: dict[str, Array], *, logs: bool = True
    ):
        self.spec, self.values = spec, values
        self.blocks = [
            b
            for name in NAMES
            if spec.learns(name)
            for b in _blocks(name, spec, values, sizes, logs)
        ]
        self.edges = np.cumsum([0, *(block.size for block in self.blocks)])

    def __len__(self) -> int:
        return int(self.edges[-1])

    def _slices(self) -> list[tuple[Block, slice]]:
        return [
            (block, slice(a, b))
            for block, a, b in zip(self.blocks, self.edges[:-1], self.edges[1:], strict=True)
        ]

    def pack(self, values: Values) -> Array:
        x = np.empty(len(self))
        for block, at in self._slices():
            x[at] = _coordinates(block, values[block.name])
        low, high = self.bounds()
        return np.clip(x, low, high)

    def unpack(self, x: Array) -> Values:
        values = dict(self.values)
        for block, at in self._slices():
            matrix = values[block.name].copy()
            _place(block, matrix, x[at])
            values[block.name] = matrix
        return values

    def pull(self, x: Array, gradients: Values) -> Array:
        """The gradient with respect to the coordinates from that with respect to the matrices."""
        out = np.empty(len(self))
        for block, at in self._slices():
            out[at] = _pulled(block, x[at], gradients[block.name])
        return out

    def bounds(self) -> tuple[Array, Array]:
        """Standard deviations are bounded, so that a variance of zero is a place and not a direction."""
        low, high = np.full(len(self), -np.inf), np.full(len(self), np.inf)
        for block, at in self._slices():
            if block.kind in ("scalar", "cholesky"):
                deviations = slice(at.start, at.start + _order(block))
                assert block.least is not None
                low[deviations] = np.log(block.least) if block.logs else block.least
                high[deviations] = LARGEST if block.logs else np.exp(LARGEST)
        return low, high

    def proper(self, values: Values) -> bool:
        """Whether all covariances are positive semi-definite, which "mixed" blocks do not see to."""
        mixed = {block.name for block in self.blocks if block.kind == "mixed"}
        return all(np.linalg.eigvalsh(values[name])[0] >= -1e-12 for name in mixed)

    def elements(self, values: Values) -> Array:
        """All elements of the matrices, end to end."""
        return np.concatenate([values[name].ravel() for name in NAMES])


def _blocks(
    name: str, spec: Specification, values: Values, sizes: dict[str, Array], logs: bool
) -> list[Block]:
    rows = sizes["output"] if name.startswith("observation") else sizes["state"]
    if name in COVARIANCES:
        return _covariance_blocks(name, spec, values[name], rows, logs)
    state, inputs = sizes["state"], sizes["input"]
    columns = {"transition": 1 / state, "observation": 1 / state}.get(name, 1 / inputs)
    scale = rows if values[name].ndim == 1 else np.outer(rows, columns)
    at = np.nonzero(spec.free[name])
    return [Block(name, "linear", at[0], at[-1], scale[at], len(at[0]))]


def _covariance_blocks(
    name: str, spec: Specification, value: Array, rows: Array, logs: bool
) -> list[Block]:
    free, noise = spec.free[name], name == "observation_cov"
    least = rows * (LEAST_NOISE if noise else LEAST if logs else 0.0)
    scale = np.where(value.diagonal() > 0, np.sqrt(np.maximum(value.diagonal(), 0.0)), rows)
    scale = rows if logs else np.maximum(scale, rows * LEAST)
    if spec.structure[name] == "scalar":
        index = np.arange(len(value))
        least = np.array([_mean(least) / _mean(scale)])
        return [Block(name, "scalar", index, index, np.array([_mean(scale)]), 1, least, logs)]
    blocks = []
    for block in components(free, value):
        inside, size = free[np.ix_(block, block)], scale[block]
        if inside.all():
            count = len(block) * (len(block) + 1) // 2
            bound = least[block] / size
            blocks.append(Block(name, "cholesky", block, block, size, count, bound, logs))
        elif inside.any():
            i, j = np.nonzero(np.triu(inside))
            i, j = block[i], block[j]
            blocks.append(Block(name, "mixed", i, j, rows[i] * rows[j], len(i)))
    return blocks


def _mean(sizes: Array) -> float:
    return float(np.sqrt(np.mean(sizes**2)))


def _order(block: Block) -> int:
    return len(block.rows) if block.kind == "cholesky" else 1


def _at(block: Block, matrix: Array) -> Any:
    return (block.rows,) if matrix.ndim == 1 else (block.rows, block.columns)


def _coordinates(block: Block, matrix: Array) -> Array:
    if block.kind in ("linear", "mixed"):
        return matrix[_at(block, matrix)] / block.scale
    if block.kind == "scalar":
        deviation = np.sqrt(max(matrix[0, 0], 1e-300)) / block.scale
        return np.log(deviation) if block.logs else deviation
    inside = matrix[np.ix_(block.rows, block.rows)] / np.outer(block.scale, block.scale)
    try:
        lower = np.linalg.cholesky(inside)
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh((inside + inside.T) / 2)
        least = 1e-14 * max(float(values[-1]), 1e-300)
        lower = np.linalg.cholesky(vectors * np.maximum(values, least) @ vectors.T)
    deviations = np.log(lower.diagonal()) if block.logs else lower.diagonal()
    return np.concatenate([deviations, lower[np.tril_indices(len(lower), -1)]])


def _lower(block: Block, x: Array) -> Array:
    n = len(block.rows)
    lower = np.diag(np.exp(x[:n]) if block.logs else x[:n])
    lower[np.tril_indices(n, -1)] = x[n:]
    return lower


def _place(block: Block, matrix: Array, x: Array) -> None:
    if block.kind == "linear":
        matrix[_at(block, matrix)] = x * block.scale
    elif block.kind == "mixed":
        matrix[block.rows, block.columns] = x * block.scale
        matrix[block.columns, block.rows] = x * block.scale
    elif block.kind == "scalar":
        deviation = np.exp(x[0]) if block.logs else x[0]
        matrix[...] = np.eye(len(matrix)) * (deviation * block.scale[0]) ** 2
    else:
        lower = block.scale[:, None] * _lower(block, x)
        matrix[np.ix_(block.rows, block.rows)] = lower @ lower.T


def _pulled(block: Block, x: Array, gradient: Array) -> Array:
    if block.kind == "linear":
        return gradient[_at(block, gradient)] * block.scale
    if block.kind == "mixed":
        twice = np.where(block.rows == block.columns, 1.0, 2.0)
        return gradient[block.rows, block.columns] * twice * block.scale
    if block.kind == "scalar":
        deviation = np.exp(2 * x) if block.logs else x
        return np.trace(gradient) * 2 * deviation * block.scale**2
    lower = _lower(block, x)
    inside = gradient[np.ix_(block.rows, block.rows)] * np.outer(block.scale, block.scale)
    slope = 2 * (inside @ lower)
    diagonal = slope.diagonal() * lower.diagonal() if block.logs else slope.diagonal()
    return np.concatenate([diagonal, slope[np.tril_indices(len(lower), -1)]])


def natural_sizes(problem: Problem, values: Values) -> dict[str, Array]:
    """Root mean square of every state (smoothed), output and input: the units of the search."""
    squares, rows = np.zeros(problem.spec.free["initial_mean"].shape), 0
    for part, system in zip(problem.parts, problem.systems(values), strict=True):
        smoothed = kalman.smooth(system, part.y)
        assert smoothed.cov is not None
        squares += (smoothed.mean**2).sum(0) + np.diag(smoothed.cov.total())
        rows += len(part)
    inputs = [part.inputs for part in problem.parts if part.inputs is not None]
    wide = np.sqrt((np.concatenate(inputs) ** 2).mean(0)) if inputs else np.ones(0)
    state = np.sqrt(squares / rows)
    return {
        "state": np.where(state > 0, state, 1.0),
        "output": np.sqrt(problem.variances),
        "input": np.where(wide > 0, wide, 1.0),
    }
