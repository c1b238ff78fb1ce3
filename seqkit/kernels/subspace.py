"""Starting values of a linear dynamical system from the autocovariances of its output.

    h_t = A h_{t-1} + w_t,  y_t = C h_t + v_t,  w ~ N(0, Q),  v ~ N(0, R)

Canonical correlations between the past and the future of y give A and C (Larimore 1990; Van Overschee & De
Moor 1996, section 3.3); Q and R are the positive semi-definite matrices whose output covariances come
closest. Autocovariances are taken over the pairs that are observed, so missing values are allowed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Array = np.ndarray
LARGEST_ROOT = 0.995  # what is found beyond is drawn back to here
RIDGE = 1e-6  # least eigenvalue of a covariance, relative to the largest: noise-free data stay invertible
RIDGE_MISSING = 0.1  # likewise where pairs are missing, which makes the estimate indefinite


@dataclass(frozen=True)
class Realisation:
    """A system in a basis in which the stationary covariance of the state is the identity where it can be."""

    transition: Array  # (n, n)
    observation: Array  # (m, n)
    process_cov: Array  # (n, n)
    observation_cov: Array  # (m, m)


def autocovariances(ys: list[Array], lags: int) -> Array:
    """E[y_{t+k} y_t'] for k = 0 .. lags, (lags + 1, m, m), over the observed pairs of all sequences.

    ys : sequences (T_i, m) of mean zero, NaN where missing. Sums are divided by the number of pairs and
    tapered by 1 - k / T, which makes the sequence positive definite for complete data.
    """
    m = ys[0].shape[1]
    longest = max(len(y) for y in ys)
    total, pairs = np.zeros((lags + 1, m, m)), np.zeros((lags + 1, m, m))
    for y in ys:
        seen = (~np.isnan(y)).astype(float)
        filled = np.nan_to_num(y)
        for k in range(min(lags, len(y) - 1) + 1):
            stop = len(y) - k
            total[k] += filled[k:].T @ filled[:stop]
            pairs[k] += seen[k:].T @ seen[:stop]
    taper = 1 - np.arange(lags + 1) / max(longest, lags + 1)
    return total / np.maximum(pairs, 1) * taper[:, None, None]


def realise(ys: list[Array], n: int, rows: int | None = None) -> Realisation | None:
    """A system of `n` states for sequences (T_i, m) of mean zero, or None where the data are too few.

    rows : how many past and future values enter; None chooses at least 2 n / m and 8, as far as the data allow.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> h = np.zeros(20_000)
    >>> for t in range(1, len(h)):
    ...     h[t] = 0.8 * h[t - 1] + rng.normal()
    >>> found = realise([h[:, None] + rng.normal(size=(len(h), 1))], 1)
    >>> bool(abs(found.transition[0, 0] - 0.8) < 0.03)
    True
    """
    m, longest = ys[0].shape[1], max(len(y) for y in ys)
    if rows is None:
        rows = max(-(-2 * n // m) + 1, 8)
        rows = min(rows, max(-(-n // m) + 1, 120 // m), (longest - 1) // 3)
    if rows * m <= n:
        return None
    covariances = autocovariances(ys, 2 * rows - 1)
    size = np.sqrt(np.diag(covariances[0]))
    size = np.where(size > 0, size, 1.0)
    covariances = covariances / np.outer(size, size)
    complete = not any(np.isnan(y).any() for y in ys)
    observability = _observability(covariances, n, rows, RIDGE if complete else RIDGE_MISSING)
    if observability is None:
        return None
    transition = _shrink(np.linalg.lstsq(observability[:-m], observability[m:], rcond=None)[0])
    observation = observability[:m]
    process, noise, state = _noise(covariances[: 2 * max(n, 2)], transition, observation)
    to, back = _whitening(state)
    process, transition = to @ process @ to.T, to @ transition @ back
    return Realisation(
        transition,
        size[:, None] * observation @ back,
        (process + process.T) / 2,
        np.outer(size, size) * noise,
    )


def _observability(covariances: Array, n: int, rows: int, ridge: float) -> Array | None:
    """(C; C A; C A^2; ..), (rows m, n), from the n largest canonical correlations of future and past."""
    m = covariances.shape[1]
    lag = np.arange(rows)
    hankel = covariances[lag[:, None] + lag + 1]
    both = np.concatenate([covariances[:0:-1].transpose(0, 2, 1), covariances])  # lags -K .. K
    centre = len(covariances) - 1
    future = both[centre + lag[:, None] - lag]
    past = both[centre + lag - lag[:, None]]
    flat = [b.transpose(0, 2, 1, 3).reshape(rows * m, rows * m) for b in (hankel, future, past)]
    if not np.isfinite(covariances).all():
        return None
    roots = [_root(block, ridge) for block in flat[1:]]
    whitened = np.linalg.solve(roots[0], np.linalg.solve(roots[1], flat[0].T).T)
    left, values, _ = np.linalg.svd(whitened)
    return roots[0] @ left[:, :n] * np.sqrt(np.maximum(values[:n], 1e-3))


def _root(cov: Array, ridge: float) -> Array:
    """The symmetric square root of a covariance estimate, its eigenvalues bounded from below."""
    values, vectors = np.linalg.eigh((cov + cov.T) / 2)
    values = np.sqrt(np.maximum(values, ridge * max(float(values[-1]), 1e-300)))
    return vectors * values @ vectors.T


def _shrink(transition: Array) -> Array:
    radius = np.abs(np.linalg.eigvals(transition)).max(initial=0.0)
    return transition * (LARGEST_ROOT / radius) if radius > LARGEST_ROOT else transition


def _noise(covariances: Array, a: Array, c: Array, steps: int = 300) -> tuple[Array, Array, Array]:
    """Q, R >= 0 that bring C A^k P C' (+ R at lag 0), P = A P A' + Q, closest to the autocovariances; and P.

    Projected gradients with momentum (Beck & Teboulle 2009); P is linear in Q.
    """
    n, m = len(a), len(c)
    lyapunov = np.linalg.inv(np.eye(n * n) - np.kron(a, a))
    rows, power = [], c
    for _ in covariances:
        rows.append(np.kron(power, c) @ lyapunov)
        power = power @ a
    design = np.stack(rows)  # (lags, m * m, n * n)
    flat = design.reshape(-1, n * n)
    target = covariances.reshape(-1)
    weights = 1.0 / (np.linalg.norm(flat, 2) ** 2 + 1.0)
    q, r = _positive(a * 0 + 0.1 * np.eye(n)), 0.5 * covariances[0]
    momentum_q, momentum_r, t = q, r, 1.0
    for _ in range(steps):
        error = flat @ momentum_q.ravel() - target
        error[: m * m] += momentum_r.ravel()
        new_q = _positive(momentum_q - weights * (error @ flat).reshape(n, n))
        new_r = _positive(momentum_r - weights * error[: m * m].reshape(m, m))
        t_new = (1 + np.sqrt(1 + 4 * t * t)) / 2
        step = (t - 1) / t_new
        moved = np.abs(new_q - q).max() + np.abs(new_r - r).max()
        momentum_q, momentum_r = new_q + step * (new_q - q), new_r + step * (new_r - r)
        q, r, t = new_q, new_r, t_new
        if moved < 1e-8:
            break
    q = _positive(q, 1e-3 * np.trace(q) / n + 1e-8)  # EM and logarithms need room to move
    r = _positive(r, 1e-2 * np.trace(covariances[0]) / m)
    return q, r, (lyapunov @ q.ravel()).reshape(n, n)


def _positive(matrix: Array, least: float = 0.0) -> Array:
    """The closest symmetric matrix with eigenvalues of at least `least`."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return vectors * np.maximum(values, least) @ vectors.T


def _whitening(cov: Array) -> tuple[Array, Array]:
    """P^-1/2 and P^1/2."""
    values, vectors = np.linalg.eigh((cov + cov.T) / 2)
    values = np.sqrt(np.maximum(values, 1e-8 * max(float(values[-1]), 1e-300)))
    return vectors / values @ vectors.T, vectors * values @ vectors.T
