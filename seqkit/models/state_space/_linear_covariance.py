"""Maximum likelihood of a covariance some of whose elements are given: the Q that minimises

    log |Q| + tr(Q^-1 S),   Q symmetric, its given elements as they are.

Blocks of Q that are wholly free have the closed form Q = S; what is left goes by Fisher scoring (Anderson 1973).
"""

from __future__ import annotations

import numpy as np

from seqkit.data.sequences import Array


def estimate_covariance(
    sample: Array, current: Array, free: Array, structure: str, floor: Array
) -> Array:
    """The best covariance for the mean product of errors `sample`, (m, m).

    current : where to start, and the given elements; free : mask of the elements to estimate; structure :
    "full", "diagonal" or "scalar"; floor : (m,) least variances.
    """
    sample = (sample + sample.T) / 2
    if structure == "scalar":
        variance = max(float(np.trace(sample)) / len(sample), float(floor.max(initial=0.0)))
        return variance * np.eye(len(sample))
    if structure == "diagonal":
        variances = np.maximum(np.diag(sample), floor)
        return np.where(free, np.diag(variances), current)
    if free.all():
        return _bounded(sample, floor)
    new = current.copy()
    for block in components(free, current):
        at = np.ix_(block, block)
        if free[at].all():
            new[at] = _bounded(sample[at], floor[block])
        elif free[at].any():
            new[at] = _scoring(sample[at], current[at], free[at])
    return new


def components(free: Array, current: Array) -> list[Array]:
    """The sets of rows that are linked by elements off the diagonal that are free or not zero."""
    linked = (free | (current != 0)) & ~np.eye(len(free), dtype=bool)
    left, found = set(range(len(free))), []
    while left:
        block, border = set(), {min(left)}
        while border:
            block |= border
            border = {int(j) for i in border for j in np.flatnonzero(linked[i])} - block
        left -= block
        found.append(np.array(sorted(block)))
    return found


def _bounded(sample: Array, floor: Array) -> Array:
    """`sample` with its eigenvalues in units of the floor at least 1; unchanged where they are."""
    if sample.shape == (1, 1):
        return np.maximum(sample, floor[:, None])
    above = sample.copy()
    above.flat[:: len(sample) + 1] -= floor
    try:
        np.linalg.cholesky(above)
        return sample
    except np.linalg.LinAlgError:
        size = np.sqrt(np.maximum(floor, 1e-300))
        values, vectors = np.linalg.eigh(sample / np.outer(size, size))
        raised = vectors * np.maximum(values, 1.0) @ vectors.T
        return (raised + raised.T) / 2 * np.outer(size, size)


def _scoring(sample: Array, current: Array, free: Array, steps: int = 500) -> Array:
    """Fisher scoring over the free elements, every step shortened until the objective falls."""
    rows, columns = np.nonzero(np.triu(free))
    basis = np.zeros((len(rows), *free.shape))
    index = np.arange(len(rows))
    basis[index, rows, columns] = 1.0
    basis[index, columns, rows] = 1.0
    value = _objective(current, sample)
    for _ in range(steps):
        inverse = np.linalg.inv(current)
        turned = inverse @ basis
        information = np.einsum("aij,bji->ab", turned, turned)
        slope = np.einsum("aij,ji->a", turned, inverse @ sample - np.eye(len(sample)))
        direction = np.tensordot(np.linalg.lstsq(information, slope, rcond=None)[0], basis, 1)
        length = 1.0
        while length > 1e-8:
            trial = current + length * direction
            reached = _objective(trial, sample)
            if reached <= value:
                break
            length /= 2
        else:
            break
        gain, current, value = value - reached, np.where(free, trial, current), reached
        if gain < 1e-12:
            break
    return current


def _objective(cov: Array, sample: Array) -> float:
    try:
        lower = np.linalg.cholesky(cov)
    except np.linalg.LinAlgError:
        return np.inf
    half = np.linalg.solve(lower, sample)
    return float(2 * np.log(np.diag(lower)).sum() + np.trace(np.linalg.solve(lower.T, half)))
