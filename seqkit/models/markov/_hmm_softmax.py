"""Transitions that depend on covariates: a softmax regression for every state that is left."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqkit.data.sequences import Array
from seqkit.kernels import chain
from seqkit.persistence import Record

from ._hmm_chain import HiddenChain, sum_by_row
from ._hmm_moves import Moves, shares


class SoftmaxTransition(Record):
    """A_t(i, j) ~ exp(a_ij + b_ij' z_t): transitions that depend on covariates z_t of the step they lead to.

    Parameters
    ----------
    ridge : penalty on b, in standard deviations of the covariates; what makes b unique where moves are rare.

    Examples
    --------
    >>> import seqkit
    >>> seqkit.HMM(2, seqkit.Poisson(), seqkit.SoftmaxTransition(ridge=0.1)).transition.ridge
    0.1

    Notes
    -----
    Hughes, Guttorp & Charles (1999), "A non-homogeneous hidden Markov model for precipitation occurrence".
    """

    def __init__(self, ridge: float = 1e-3):
        if not ridge >= 0:
            raise ValueError(f"ridge must be at least 0, got {ridge!r}")
        self.ridge = float(ridge)

    def __repr__(self) -> str:
        return f"SoftmaxTransition(ridge={self.ridge:g})"


class SoftmaxChain(HiddenChain):
    """A chain whose transitions are softmax regressions on covariates.

    coef : (K, K, 1 + P), logits [i, j] of moves from i to j: intercept, then a slope for every standardised covariate.
    mean, scale : (P,) of the covariates. `transition` is that of average covariates.
    """

    def __init__(self, initial: Array, coef: Array, mean: Array, scale: Array):
        self.coef, self.mean, self.scale = coef, mean, scale
        super().__init__(initial, softmax(coef[:, :, 0]))

    def reordered(self, order: Array) -> SoftmaxChain:
        coef = self.coef[np.ix_(order, order)]
        return SoftmaxChain(self.initial[order], coef, self.mean, self.scale)

    def matrix(self, inputs: Array | None, offsets: Array) -> Array:
        if inputs is None:
            return self.transition
        z = (complete(inputs) - self.mean) / self.scale
        return softmax(self.coef[:, :, 0] + np.einsum("tp,ijp->tij", z, self.coef[:, :, 1:]))

    def expected(
        self, logs: Array, index: Array | None, offsets: Array, inputs: Array | None
    ) -> Any:
        """`transition` are the pair marginals of every step, (T, K, K)."""
        matrix = self.matrix(inputs, offsets)
        found = chain.marginals(self.initial, matrix, logs, rows=index, offsets=offsets)
        pairs = chain.pair_marginals(self.initial, matrix, logs, rows=index, offsets=offsets)
        first = found.probabilities[offsets[:-1]].sum(0)
        weights = sum_by_row(found.probabilities, index, len(logs))
        last = found.probabilities[offsets[1:] - 1]
        return chain.Expected(found.log_partition, first, pairs, weights, last)


class SoftmaxMoves(Moves):
    """`Moves` for transitions by softmax regression on `inputs` (T, P)."""

    def __init__(self, states: int, initial: Any, initial_prior: Any, ridge: float, inputs: Array):
        if isinstance(initial, str) and initial == "stationary":
            raise ValueError(
                "a chain whose transitions depend on covariates has no stationary law; use initial=None"
            )
        super().__init__(states, initial, None, initial_prior, 1.0)
        self.ridge, self.inputs = ridge, complete(inputs)
        scale = inputs.std(0)
        self.mean, self.scale = inputs.mean(0), np.where(scale > 0, scale, 1.0)

    @property
    def n_free(self) -> int:
        states = len(self.initial)
        first = int(np.isnan(self.initial).sum())
        return max(first - 1, 0) + states * (states - 1) * (1 + self.inputs.shape[1])

    def spread(self, rng: np.random.Generator | None) -> SoftmaxChain:
        plain = super().spread(rng)
        coef = np.zeros((*plain.transition.shape, 1 + self.inputs.shape[1]))
        coef[:, :, 0] = np.log(plain.transition)
        return SoftmaxChain(
            plain.initial, coef - coef.mean(1, keepdims=True), self.mean, self.scale
        )

    def estimate(self, found: Any, now: Any) -> SoftmaxChain:
        first = np.maximum(found.initial + self.initial_prior - 1.0, 0.0)
        design = np.column_stack(
            [np.ones(len(self.inputs)), (self.inputs - self.mean) / self.scale]
        )
        coef = np.stack([
            regress(design, found.transition[:, i], now.coef[i], self.ridge) for i in range(now.n_states)
        ])  # fmt: skip
        return SoftmaxChain(shares(first, self.initial), coef, self.mean, self.scale)

    def log_prior(self, chain_: Any) -> float:
        return super().log_prior(chain_) - 0.5 * self.ridge * float(
            (chain_.coef[:, :, 1:] ** 2).sum()
        )


def complete(inputs: Array) -> Array:
    """Covariates of transitions, refused where one is missing."""
    bad = np.isnan(inputs).any(1)
    if bad.any():
        raise ValueError(
            f"covariates of transitions must be known at every step; {int(bad.sum())} steps miss one, first step "
            f"{int(bad.argmax())}: fill them in before the fit"
        )
    return inputs


def softmax(logits: Array) -> Array:
    """Over the last axis."""
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def regress(design: Array, targets: Array, coef: Array, ridge: float) -> Array:
    """Raise sum_t targets[t] . log softmax(coef design_t) - ridge |slopes|^2 / 2 from `coef` (K, Q), by Newton steps.

    The Hessian is that of multinomial logistic regression (Boehning 1992); steps are halved until the sum rises.
    """
    mass = targets.sum(1)
    used = mass > 1e-12
    design, targets, mass = design[used], targets[used], mass[used]
    K, Q = coef.shape
    penalty = np.full(Q, ridge)
    penalty[0] = 1e-9  # logits may all move together

    def value(b: Array) -> float:
        logits = design @ b.T
        top = logits.max(1, keepdims=True)
        log_sum = top[:, 0] + np.log(np.exp(logits - top).sum(1))
        return float((targets * logits).sum() - mass @ log_sum - 0.5 * (penalty * b**2).sum())

    now = value(coef)
    for _ in range(5):
        p = softmax(design @ coef.T)
        slope = (targets - mass[:, None] * p).T @ design - penalty * coef
        curve = np.zeros((K, Q, K, Q))
        for i in range(K):
            for j in range(K):
                w = mass * p[:, i] * ((i == j) - p[:, j])
                curve[i, :, j] = (design * w[:, None]).T @ design
        hessian = curve.reshape(K * Q, K * Q) + np.diag(np.tile(penalty, K) + 1e-9)
        step = np.linalg.solve(hessian, slope.reshape(-1)).reshape(K, Q)
        for size in (1.0, 0.5, 0.25, 0.05):
            found = value(coef + size * step)
            if found >= now:
                break
        else:
            return coef
        change, coef, now = found - now, coef + size * step, found
        if change < 1e-10 * (1 + abs(now)):
            break
    return coef
