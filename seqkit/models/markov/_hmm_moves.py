"""What is free and what is fixed in the moves of a hidden chain, and how they are estimated from expected counts."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqkit.data.sequences import Array
from seqkit.persistence import Record

from ._hmm_chain import HiddenChain

TOPOLOGIES = ("left-right", "bakis", "cyclic")
STARTS = ("stationary", "uniform")

NEGLIGIBLE = 1e-100  # a share of a state's moves


class Moves(Record):
    """Probabilities of first states and of transitions: NaN where free, numbers where fixed.

    initial (K,), transition (K, K); `stationary`: the first state follows the chain's stationary law instead.
    initial_prior, transition_prior : Dirichlet parameters, arrays that broadcast against them; 1 for none.
    """

    def __init__(
        self, states: int, initial: Any, transition: Any, initial_prior: Any, transition_prior: Any
    ):
        self.transition = _transition(states, transition)
        left_right = isinstance(transition, str) and transition in ("left-right", "bakis")
        self.stationary = isinstance(initial, str) and initial == "stationary"
        self.initial = _initial(states, initial, left_right)
        self.open = bool(np.isnan(self.initial).all()), bool(np.isnan(self.transition).all())
        self.initial_prior = _prior("initial_prior", initial_prior, (states,))
        self.transition_prior = _prior("transition_prior", transition_prior, (states, states))
        self.flat = bool((self.initial_prior == 1).all() and (self.transition_prior == 1).all())
        if self.stationary and not np.isnan(self.transition).all():
            self._check_stationary()

    def _check_stationary(self) -> None:
        if (self.transition == 1.0).any():
            raise ValueError(
                "initial='stationary' needs a chain that leaves every state, but transition has a fixed 1"
            )

    @property
    def n_free(self) -> int:
        """Probabilities that a fit may choose, less one for every sum that is fixed."""
        rows = np.isnan(self.transition).sum(1)
        first = 0 if self.stationary else int(np.isnan(self.initial).sum())
        return int(np.maximum(rows - 1, 0).sum()) + max(first - 1, 0)

    def spread(self, rng: np.random.Generator | None) -> HiddenChain:
        """A start: states last (a diagonal of 0.8), or random ones."""
        K = len(self.initial)
        weights = (
            0.8 * np.eye(K) + 0.2 / K if rng is None else rng.dirichlet(np.ones(K), K) + np.eye(K)
        )
        A = shares(weights, self.transition)
        first = np.ones(K) / K if rng is None else rng.dirichlet(np.ones(K))
        return HiddenChain(stationary(A) if self.stationary else shares(first, self.initial), A)

    def estimate(self, found: Any, now: Any) -> HiddenChain:
        """The chain that maximises the expected log density, given the expected counts `found` under `now`.

        For a stationary start there is no closed form; the step from `now` never lowers what is maximised.
        """
        if self.flat and not self.stationary:
            first, counts = _counted(found.initial), _counted(found.transition)
            if all(self.open) and first is not None and counts is not None:
                return HiddenChain(first, counts)
        counts = np.maximum(found.transition + self.transition_prior - 1.0, 0.0)
        if not self.stationary:
            first = np.maximum(found.initial + self.initial_prior - 1.0, 0.0)
            return HiddenChain(shares(first, self.initial), shares(counts, self.transition))
        A = _stationary_step(found.initial, counts, now.transition, self.transition)
        return HiddenChain(stationary(A), A)

    def log_prior(self, now: Any) -> float:
        """Log density of the Dirichlet priors, up to a constant."""
        if self.flat:
            return 0.0
        parts = [(now.transition, self.transition_prior, self.transition)]
        if not self.stationary:
            parts.append((now.initial, self.initial_prior, self.initial))
        total = 0.0
        for p, alpha, given in parts:
            wanted = np.isnan(given) & (alpha != 1.0)
            if wanted.any():
                with np.errstate(divide="ignore"):
                    total += float(((alpha - 1.0)[wanted] * np.log(p[wanted])).sum())
        return total


def shares(counts: Array, given: Array) -> Array:
    """Counts as probabilities over the last axis; the free ones (NaN in `given`) share what the fixed ones leave.

    Where nothing was counted the free ones share equally.
    """
    free = np.isnan(given)
    left = 1.0 - np.where(free, 0.0, given).sum(-1, keepdims=True)
    counts = np.where(free, counts, 0.0)
    # EM takes a move that does not happen through 1e-25, 1e-50, .. 1e-300: what no data can count is zero, since
    # recursions must look after weights that may underflow
    counts = np.where(counts > NEGLIGIBLE * counts.sum(-1, keepdims=True), counts, 0.0)
    total = counts.sum(-1, keepdims=True)
    equal = free / np.maximum(free.sum(-1, keepdims=True), 1)
    part = np.divide(counts, total, out=equal.astype(float), where=total > 0)
    return np.where(free, part * left, given)


def _counted(counts: Array) -> Array | None:
    """Shares of counts over the last axis, none of them fixed; None where nothing was counted."""
    total = counts.sum(-1, keepdims=True)
    if not total.min() > 0:
        return None
    part = counts / total
    part[part < NEGLIGIBLE] = 0.0
    return part


def stationary(A: Array) -> Array:
    """pi = pi A; of a chain that falls apart, one of its stationary laws (Stewart 1994, section 2.2)."""
    return _stationary(A)[0]


def _stationary(A: Array) -> tuple[Array, Array]:
    """pi = 1' G and G = (I - A + U)^-1, U all ones; d pi = pi dA G where rows keep their sums (Schweitzer 1968)."""
    system = 1.0 - A
    system.flat[:: len(A) + 1] += 1.0
    try:
        G = np.linalg.inv(system)
    except np.linalg.LinAlgError:
        G = np.linalg.pinv(system)
    pi = np.maximum(G.sum(0), 0.0)
    return pi / pi.sum(), G


def _stationary_step(first: Array, counts: Array, A: Array, given: Array) -> Array:
    """Raise sum counts log A + sum first log pi(A) from A.

    Setting the derivative under the constraints to zero gives A_ij ~ counts_ij + A_ij g_ij, g the gradient of the
    second sum; iterated, with steps halved until the sum rises.
    """

    def value(matrix: Array) -> tuple[float, Array, Array]:
        pi, G = _stationary(matrix)
        with np.errstate(divide="ignore", invalid="ignore"):
            terms = np.where(counts > 0, counts * np.log(matrix), 0.0).sum()
            return terms + np.where(first > 0, first * np.log(pi), 0.0).sum(), pi, G

    now, pi, G = value(A)
    for _ in range(2):
        gradient = (
            pi[:, None] * (G @ np.divide(first, pi, out=np.zeros_like(pi), where=pi > 0))[None, :]
        )
        aim = shares(np.maximum(counts + A * gradient, 0.0), given)
        for step in (1.0, 0.5, 0.1, 0.01):
            trial = A + step * (aim - A)
            found, *rest = value(trial)
            if found > now:
                break
        else:
            return A
        change, A, now, (pi, G) = np.abs(trial - A).max(), trial, found, rest
        if change < 1e-9:
            break
    return A


def stationary_gradient(first: Array, A: Array) -> Array:
    """d sum_k first_k log pi_k(A) / dA_ij, along rows that keep their sums."""
    pi, G = _stationary(A)
    return pi[:, None] * (G @ np.divide(first, pi, out=np.zeros_like(pi), where=pi > 0))[None, :]


def _transition(states: int, given: Any) -> Array:
    free = np.full((states, states), np.nan)
    if given is None:
        return free
    if isinstance(given, str):
        if given not in TOPOLOGIES:
            raise ValueError(
                f"transition is an array, or one of {', '.join(TOPOLOGIES)}; got {given!r}"
            )
        step = np.arange(states)[None, :] - np.arange(states)[:, None]
        if given == "cyclic":
            allowed = (step % states) <= 1
        else:
            allowed = (step == 0) | (step == 1) | ((step == 2) if given == "bakis" else False)
        return np.where(allowed, free, 0.0)
    return _probabilities("transition", given, (states, states))


def _initial(states: int, given: Any, left_right: bool) -> Array:
    if given is None:
        return np.eye(states)[0] if left_right else np.full(states, np.nan)
    if isinstance(given, str):
        if given not in STARTS:
            raise ValueError(f"initial is an array, or one of {', '.join(STARTS)}; got {given!r}")
        return np.full(states, 1 / states)
    return _probabilities("initial", given, (states,))


def _probabilities(name: str, given: Any, shape: tuple[int, ...]) -> Array:
    value = np.array(given, dtype=float)
    if value.shape != shape:
        raise ValueError(f"{name} must have shape {shape} for {shape[0]} states, got {value.shape}")
    total, free = np.nansum(value, axis=-1), np.isnan(value).any(-1)
    if np.any(value < 0) or np.any(total > 1 + 1e-8) or np.any(~free & (np.abs(total - 1) > 1e-8)):
        raise ValueError(
            f"{name} holds probabilities that sum to one (over each row), NaN where one is to be learnt; got "
            f"{value.tolist()}"
        )
    return value


def _prior(name: str, given: Any, shape: tuple[int, ...]) -> Array:
    value = np.asarray(given, dtype=float)
    try:
        value = np.array(np.broadcast_to(value, shape))
    except ValueError:
        raise ValueError(
            f"{name} must be a number or have shape {shape}, got {np.shape(given)}"
        ) from None
    if not np.all(value >= 1):
        raise ValueError(
            f"{name} holds Dirichlet parameters of at least 1 (1 for no prior), got {value.min()}; below 1 there "
            "is no mode"
        )
    return value
