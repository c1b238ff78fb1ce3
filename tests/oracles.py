"""What a linear Gaussian state-space model must give, from its joint normal law alone.

Nothing here runs through time as a filter does. All states and observations of all rows are one
normal vector; its mean and covariance are written down and conditioned on the observed numbers.
A diffuse start is a covariance `kappa * diffuse + cov`; conditioning keeps the two terms of its
expansion in kappa, which is exact for kappa to infinity. Cost grows as (T (n + m))^3: keep T small.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray
Fields = dict[str, Array]
WIDE = np.longdouble  # 64 bits of mantissa where the platform has them
TIMES = {  # the number of dimensions that tells a varying array from a constant one
    "transition": 3, "observation": 3, "process_cov": 3, "observation_cov": 3,
    "state_intercept": 2, "observation_intercept": 2,
}  # fmt: skip


@dataclass(frozen=True)
class Law:
    """Normal law of all states and observations given some rows; covariance cov + kappa diffuse."""

    mean: Array  # (N,), N = T (n + m): all states, then all observations
    cov: Array  # (N, N)
    diffuse: Array  # (N, N)

    def rounded(self) -> Law:
        return Law(self.mean.astype(float), self.cov.astype(float), self.diffuse.astype(float))


@dataclass(frozen=True)
class Joint:
    """Every answer about a model with T rows, n states, m observations; all from `given`."""

    shape: tuple[int, int, int]
    log_density: Array  # (T,) of the observed part of each row given the rows before
    given: list[Law]  # given[s]: the first s rows are known; s = 0..T

    def state(self, known: int, t: int) -> tuple[Array, Array, Array]:
        """Mean, covariance and diffuse covariance of h_t once `known` rows are known."""
        _, n, _ = self.shape
        at = slice(t * n, (t + 1) * n)
        law = self.given[known]
        return law.mean[at], law.cov[at, at], law.diffuse[at, at]

    def states(self, ahead: int | None = None) -> tuple[Array, Array, Array]:
        """E[h_t | y_0 .. y_{t+ahead}] and its covariances, all t; None for all rows.

        -1 predicts, 0 filters, a positive number is smoothing with that lag.
        """
        length = self.shape[0]
        known = [length if ahead is None else min(t + ahead + 1, length) for t in range(length)]
        parts = [self.state(s, t) for t, s in enumerate(known)]
        mean, cov, diffuse = (np.stack(part) for part in zip(*parts, strict=True))
        return mean, cov, diffuse

    @property
    def log_likelihood(self) -> float:
        return float(self.log_density.sum())

    def lag_one_cov(self) -> Array:
        """Cov(h_t, h_{t-1} | all rows), (T, n, n); row 0 is zeros."""
        length, n, _ = self.shape
        cov = self.given[-1].cov[: length * n, : length * n].reshape(length, n, length, n)
        out = np.zeros((length, n, n))
        for t in range(1, length):
            out[t] = cov[t, :, t - 1]
        return out

    def path(self) -> tuple[Array, Array]:
        """Mean (T n,) and covariance (T n, T n) of the whole path of states given all rows."""
        size = self.shape[0] * self.shape[1]
        law = self.given[-1]
        return law.mean[:size], law.cov[:size, :size]

    def observations(self, known: int | None = None) -> tuple[Array, Array, Array]:
        """Law of all observations y (T m,), once `known` rows (all) are known."""
        size = self.shape[0] * self.shape[1]
        law = self.given[-1 if known is None else known]
        return law.mean[size:], law.cov[size:, size:], law.diffuse[size:, size:]


def at_times(fields: Fields, length: int) -> Fields:
    """The same system with every array that may vary written out for `length` rows."""
    n, m = np.shape(fields["transition"])[-1], np.shape(fields["observation"])[-2]
    zeros = {
        "diffuse": np.zeros((n, n)),
        "state_intercept": np.zeros(n),
        "observation_intercept": np.zeros(m),
    }
    out = {}
    for name, given in (zeros | fields).items():
        value = np.asarray(given, WIDE)
        if name in TIMES and value.ndim < TIMES[name]:
            value = np.broadcast_to(value, (length, *value.shape))
        out[name] = value
    return out


def prior(fields: Fields, length: int) -> Law:
    """The law of (h_0 .. h_{T-1}, y_0 .. y_{T-1}) before anything is seen."""
    f = at_times(fields, length)
    n, m = f["transition"].shape[-1], f["observation"].shape[-2]
    mean, cov, diffuse = f["initial_mean"], f["initial_cov"], f["diffuse"]
    for t in range(1, length):  # h_t = A h_{t-1} + c + w: append h_t to (h_0 .. h_{t-1})
        load = np.zeros((n, t * n), WIDE)
        load[:, -n:] = f["transition"][t]
        mean = np.concatenate([mean, load @ mean + f["state_intercept"][t]])
        cov = bordered(cov, load, f["process_cov"][t])
        diffuse = bordered(diffuse, load, np.zeros((n, n), WIDE))
    load, noise = np.zeros((length * m, length * n), WIDE), np.zeros((length * m,) * 2, WIDE)
    for t in range(length):
        load[t * m : (t + 1) * m, t * n : (t + 1) * n] = f["observation"][t]
        noise[t * m : (t + 1) * m, t * m : (t + 1) * m] = f["observation_cov"][t]
    mean = np.concatenate([mean, load @ mean + f["observation_intercept"][:length].ravel()])
    return Law(mean, bordered(cov, load, noise), bordered(diffuse, load, np.zeros_like(noise)))


def bordered(cov: Array, load: Array, noise: Array) -> Array:
    """Covariance of (x, load x + e) for Cov(x) = cov, Cov(e) = noise."""
    cross = load @ cov
    return np.block([[cov, cross.T], [cross, cross @ load.T + noise]])


def joint(fields: Fields, y: Array) -> Joint:
    """Condition the law of `prior` on the observed numbers of y (T, m), one after the other."""
    y = np.asarray(y, WIDE)
    length, m = y.shape
    n = np.shape(fields["transition"])[-1]
    law = prior(fields, length)
    size = np.abs(np.diag(law.diffuse))
    given, log_density = [law.rounded()], np.zeros(length)
    for t in range(length):
        for i in np.flatnonzero(~np.isnan(y[t])):
            at = length * n + t * m + i
            law, density = conditioned(law, at, y[t, i], 1e-12 * size[at])
            log_density[t] += density
        given.append(law.rounded())
    return Joint((length, n, m), log_density, given)


def conditioned(law: Law, at: int, value: float, tiny: float) -> tuple[Law, float]:
    """The law once element `at` is known to be `value`, and that value's log density.

    For infinite variance kappa F the density is counted as -(log 2 pi + log F) / 2.
    """
    miss = value - law.mean[at]
    near, far = law.cov[:, at], law.diffuse[:, at]
    if far[at] > tiny:
        gain = far / far[at]
        mean = law.mean + gain * miss
        crossed = np.outer(gain, near)
        cov = law.cov - crossed - crossed.T + np.outer(gain, gain) * near[at]
        diffuse = law.diffuse - np.outer(gain, far)
        return Law(mean, cov, diffuse), float(-(np.log(2 * np.pi) + np.log(far[at])) / 2)
    if near[at] <= 0:
        raise ValueError(f"element {at} is known without error before it is seen")
    gain = near / near[at]
    density = -(np.log(2 * np.pi) + np.log(near[at]) + miss**2 / near[at]) / 2
    law = Law(law.mean + gain * miss, law.cov - np.outer(gain, near), law.diffuse)
    return law, float(density)


def flat_prior(fields: Fields, y: Array) -> tuple[float, Array, Array]:
    """Log-likelihood, E[h | y] (T n,) and Cov(h | y) with the diffuse start as unknown regressors.

    h_0 = mu_0 + e + D b with diffuse = D D' and a flat prior on b: generalised least squares
    (Rosenberg 1973; de Jong 1991). Needs a regular covariance of y without b, and data enough
    to determine b.
    """
    length, n = len(y), np.shape(fields["transition"])[-1]
    law = prior(fields, length).rounded()
    values, vectors = np.linalg.eigh(law.diffuse[:n, :n])
    kept = values > 1e-12
    effect = law.diffuse[:, :n] @ (vectors[:, kept] / np.sqrt(values[kept]))  # of b on everything
    states, seen = slice(0, length * n), length * n + np.flatnonzero(~np.isnan(y.ravel()))
    cov, design = law.cov[np.ix_(seen, seen)], effect[seen]
    regress = np.linalg.solve(cov, law.cov[seen, states]).T  # (T n, seen)
    miss = y.ravel()[~np.isnan(y.ravel())] - law.mean[seen]
    information = design.T @ np.linalg.solve(cov, design)
    b = np.linalg.solve(information, design.T @ np.linalg.solve(cov, miss))
    rest = miss - design @ b
    left = effect[states] - regress @ design
    mean = law.mean[states] + effect[states] @ b + regress @ rest
    spread = law.cov[states, states] - regress @ law.cov[seen, states]
    spread = spread + left @ np.linalg.solve(information, left.T)
    logs = np.linalg.slogdet(cov)[1] + np.linalg.slogdet(information)[1]
    square = rest @ np.linalg.solve(cov, rest)
    return float(-(len(seen) * np.log(2 * np.pi) + logs + square) / 2), mean, spread


def random_cov(rng: np.random.Generator, size: int, rank: int | None = None) -> Array:
    """A covariance with eigenvalues of order one; the first `rank` of them are positive."""
    root = rng.normal(size=(size, size)) / np.sqrt(size)
    vectors, _ = np.linalg.qr(root)
    values = rng.uniform(0.3, 1.5, size)
    values[size if rank is None else rank :] = 0.0
    cov = (vectors * values) @ vectors.T
    return (cov + cov.T) / 2


def random_transition(rng: np.random.Generator, n: int) -> Array:
    """A stable matrix of no special structure: spectral radius 0.5 to 0.95."""
    a = rng.normal(size=(n, n))
    return a * (rng.uniform(0.5, 0.95) / np.abs(np.linalg.eigvals(a)).max())


def random_system(
    rng: np.random.Generator, n: int, m: int, length: int, *,
    varying: bool | Collection[str] = False, diffuse: int = 0, singular_process: bool = False,
    diagonal: bool = False, exact: int = 0, intercepts: bool = True,
) -> dict[str, Any]:  # fmt: skip
    """Arrays of a system by the names of its fields, for keyword arguments.

    varying: all arrays that may, or those named, get a row per time; diffuse: how many states
    start with infinite variance (and none else); diagonal: observation_cov; exact: how many
    observations have no noise; singular_process: half the states move without noise.
    """
    rank = (n + 1) // 2 if singular_process and n > 1 else 0 if singular_process else n

    def noise() -> Array:
        cov = np.diag(rng.uniform(0.2, 1.5, m)) if diagonal else random_cov(rng, m)
        cov[:exact] = 0.0
        cov[:, :exact] = 0.0
        return cov

    makers = {
        "transition": lambda: random_transition(rng, n),
        "observation": lambda: rng.normal(size=(m, n)),
        "process_cov": lambda: random_cov(rng, n, rank),
        "observation_cov": noise,
        "state_intercept": lambda: rng.normal(size=n) * intercepts,
        "observation_intercept": lambda: rng.normal(size=m) * intercepts,
    }
    out: dict[str, Any] = {}
    for name, make in makers.items():
        varies = varying if isinstance(varying, bool) else name in varying
        out[name] = np.stack([make() for _ in range(length)]) if varies else make()
    start = random_cov(rng, n)
    start[:diffuse] = 0.0
    start[:, :diffuse] = 0.0
    out["initial_mean"], out["initial_cov"] = rng.normal(size=n), start
    out["diffuse"] = np.diag((np.arange(n) < diffuse).astype(float))
    return out


def random_path(fields: Fields, length: int, rng: np.random.Generator) -> Array:
    """One draw of the observations (T, m); states of infinite variance start at their mean."""
    f = {name: value.astype(float) for name, value in at_times(fields, length).items()}
    n, m = f["transition"].shape[-1], f["observation"].shape[-2]
    state, y = rng.multivariate_normal(f["initial_mean"], f["initial_cov"]), np.empty((length, m))
    roots = {name: square_roots(f[name]) for name in ("process_cov", "observation_cov")}
    shocks, errors = rng.normal(size=(length, n)), rng.normal(size=(length, m))
    for t in range(length):
        if t:
            state = f["transition"][t] @ state + f["state_intercept"][t]
            state = state + roots["process_cov"][t] @ shocks[t]
        y[t] = f["observation"][t] @ state + f["observation_intercept"][t]
        y[t] += roots["observation_cov"][t] @ errors[t]
    return y


def square_roots(cov: Array) -> Array:
    """Square roots of covariances (T, k, k), singular ones included."""
    values, vectors = np.linalg.eigh(cov)
    return vectors * np.sqrt(np.maximum(values, 0))[:, None, :]


def with_holes(
    y: Array, rng: np.random.Generator, share: float = 0.3, *, rows: Collection[int] = ()
) -> Array:
    """The same with random elements, and the whole of the named rows, missing."""
    y = np.where(rng.random(y.shape) < share, np.nan, y)
    y[list(rows)] = np.nan
    return y


@dataclass(frozen=True)
class Paths:
    """Every path of a finite chain and its log weight: nothing here runs through time.

    weight(s) = initial[s_0] prod_t transition_t[s_{t-1}, s_t] prod_t exp(log_potentials[t, s_t])
    """

    size: int  # K
    states: Array  # (K^T, T)
    log_weight: Array  # (K^T,) in extended precision

    @property
    def log_partition(self) -> float:
        top = self.log_weight.max()
        if top == -np.inf:
            return -np.inf
        return float(top + np.log(np.exp(self.log_weight - top).sum()))

    @property
    def probability(self) -> Array:
        weight = np.exp(self.log_weight - self.log_weight.max())
        return weight / weight.sum()

    def marginals(self) -> Array:
        """P(s_t = i), (T, K)."""
        out = np.zeros((self.states.shape[1], self.size), WIDE)
        for t in range(len(out)):
            np.add.at(out[t], self.states[:, t], self.probability)
        return out.astype(float)

    def pair_marginals(self) -> Array:
        """P(s_{t-1} = i, s_t = j), (T, K, K); zeros at t = 0."""
        out = np.zeros((self.states.shape[1], self.size, self.size), WIDE)
        for t in range(1, len(out)):
            np.add.at(out[t], (self.states[:, t - 1], self.states[:, t]), self.probability)
        return out.astype(float)

    def best(self, k: int) -> Array:
        """The k largest log weights, largest first; only of paths that are possible."""
        found = np.sort(self.log_weight[self.log_weight > -np.inf])[::-1]
        return found[:k].astype(float)

    def log_weight_of(self, path: Array) -> float:
        """The log weight of one path (T,)."""
        return float(self.log_weight[(self.states == path).all(axis=1)][0])


def chain(
    initial: Array, transition: Array, log_potentials: Array, rows: Array | None = None
) -> Paths:
    """All K^T paths; `transition` (K, K) or (T, K, K), step t reads row rows[t]."""
    potentials = np.asarray(log_potentials, WIDE)
    potentials = potentials if rows is None else potentials[rows]
    length, size = potentials.shape
    states = np.indices((size,) * length).reshape(length, -1).T
    with np.errstate(divide="ignore"):
        start, moves = np.log(np.asarray(initial, WIDE)), np.log(np.asarray(transition, WIDE))
    moves = np.broadcast_to(moves, (length, size, size))
    log_weight = start[states[:, 0]] + potentials[0, states[:, 0]]
    for t in range(1, length):
        log_weight = log_weight + moves[t, states[:, t - 1], states[:, t]]
        log_weight = log_weight + potentials[t, states[:, t]]
    return Paths(size, states, log_weight)
