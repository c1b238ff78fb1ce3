"""Normal laws with full covariances where elements are missing: densities and expected moments."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from seqkit.kernels import gaussian

Array = np.ndarray


def by_pattern(x: Array) -> Iterator[tuple[Array, Array]]:
    """Groups of rows with the same elements observed: their numbers, and which channels (indices) are seen."""
    seen = ~np.isnan(x)
    if x.shape[1] < 63:
        code = seen @ (1 << np.arange(x.shape[1], dtype=np.int64))
        _, first, group = np.unique(code, return_index=True, return_inverse=True)
    else:
        _, first, group = np.unique(seen, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(group.reshape(-1), kind="stable")
    edges = np.searchsorted(group.reshape(-1)[order], np.arange(len(first) + 1))
    for i, row in enumerate(first):
        yield order[edges[i] : edges[i + 1]], np.flatnonzero(seen[row])


def log_density_full(x: Array, mean: Array, cov: Array, complete: bool) -> Array:
    """Log densities (R, K) under full covariances (K, C, C); missing elements are marginalised."""
    try:
        if complete:
            return gaussian.log_density_full(x, mean, cov)
        out = np.zeros((len(x), len(mean)))
        for rows, seen in by_pattern(x):
            if len(seen):
                part, block = np.ix_(rows, seen), cov[:, seen[:, None], seen]
                out[rows] = gaussian.log_density_full(x[part], mean[:, seen], block)
        return out
    except np.linalg.LinAlgError:
        least = np.linalg.eigvalsh(cov)[:, 0]
        k = int(np.argmin(least))
        raise ValueError(
            f"the covariance of state {k} is not positive definite (least eigenvalue {least[k]:.3g}); "
            "fit with a larger floor=, a prior= or covariance='diag'"
        ) from None


def expected_moments(x: Array, weights: Array, mean: Array, cov: Array) -> gaussian.Moments:
    """Moments of full laws where elements are missing: these are replaced by what the present laws expect of them.

    Rows of one pattern need only the moments of what they show; E[x | seen] is linear in it (Little & Rubin 2019,
    section 11.2), and each row adds the conditional covariance.
    """
    states, channels = mean.shape
    count = np.zeros(states)
    first = np.zeros((states, channels))  # about the present means, so that nothing cancels
    second = np.zeros((states, channels, channels))
    for rows, seen in by_pattern(x):
        if not len(seen):
            continue
        part = gaussian.moments(x[np.ix_(rows, seen)], weights[rows], pairs=True)
        lift, rest = _regression(cov, seen, channels)
        n = part.count
        shift = np.where(n[:, None] > 0, part.mean - mean[:, seen], 0.0)
        squares = np.where(n[:, None, None] > 0, part.scatter, 0.0)
        squares += n[:, None, None] * shift[:, :, None] * shift[:, None, :]
        count += n
        first += n[:, None] * np.einsum("kco,ko->kc", lift, shift)
        second += lift @ squares @ np.swapaxes(lift, 1, 2) + n[:, None, None] * rest
    shift = first / np.where(count > 0, count, 1.0)[:, None]
    second -= count[:, None, None] * shift[:, :, None] * shift[:, None, :]
    return gaussian.Moments(count, mean + shift, second)


def _regression(cov: Array, seen: Array, channels: int) -> tuple[Array, Array]:
    """E[all | seen] = lift @ seen about the means, (K, C, o), and the covariance that is left, (K, C, C)."""
    block, cross = cov[:, seen[:, None], seen], cov[:, :, seen]
    if len(seen) == channels:
        return np.broadcast_to(np.eye(channels), cov.shape), np.zeros_like(cov)
    lift = np.swapaxes(np.linalg.solve(block, np.swapaxes(cross, 1, 2)), 1, 2)
    lift[:, seen] = np.eye(len(seen))
    rest = cov - lift @ np.swapaxes(cross, 1, 2)
    rest[:, seen] = 0.0
    rest[:, :, seen] = 0.0
    return lift, 0.5 * (rest + np.swapaxes(rest, 1, 2))
