r"""Losses, element by element, and the likelihoods that they are.

A loss is the negative logarithm of a likelihood, but for constants, so that the least loss is the greatest likelihood:

==================  =================================  ===============================================
loss                formula                            is -log of
==================  =================================  ===============================================
squared error       e^2                                N(m, s^2), constant s:  e^2 / (2 s^2) + log s + log(2 pi) / 2.
                                                       So the least SSE, or MSE, is the greatest Gaussian
                                                       likelihood, and the likeliest s^2 is the MSE.
absolute error      |e|                                Laplace(m, b), constant b:  |e| / b + log(2 b); the likeliest b
                                                       is the mean absolute error.
Huber               e^2 / 2 within delta, then         a normal law whose tails are exponential beyond delta.
                    delta (|e| - delta / 2)
pinball             max(q e, (q - 1) e)                an asymmetric Laplace law, whose q quantile is m.
cross-entropy       -log p_y, p = softmax(logits)      Categorical(p); the mean over data is the cross-entropy between
                                                       the empirical and the predicted law.
binary              -y log p - (1 - y) log(1 - p),     Bernoulli(p): the same for two classes.
cross-entropy       p = sigmoid(logit)
any family          -family.formula(y, ..)             itself.
==================  =================================  ===============================================

e = target - prediction. Every function returns one number for each target, in nats or in the units of the error; sums,
means and masks are the caller's.

Sources: Gauss (1809); Koenker & Bassett (1978); Huber (1964); Bridle (1990).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

__all__ = [
    "absolute", "binary_cross_entropy", "cross_entropy", "huber", "negative_log_density", "pinball", "squared",
]  # fmt: skip


def squared(error: Tensor) -> Tensor:
    """e^2.

    >>> squared(torch.tensor([1.0, -3.0]))
    tensor([1., 9.])
    """
    return error * error


def absolute(error: Tensor) -> Tensor:
    """|e|.

    >>> absolute(torch.tensor([1.0, -3.0]))
    tensor([1., 3.])
    """
    return error.abs()


def huber(error: Tensor, delta: float = 1.0) -> Tensor:
    """e^2 / 2 where |e| <= delta, else delta (|e| - delta / 2) (Huber 1964).

    >>> huber(torch.tensor([1.0, -3.0]))
    tensor([0.5000, 2.5000])
    """
    size = error.abs()
    inner = size.clamp(max=delta)
    return inner * (size - 0.5 * inner)


def pinball(error: Tensor, level: float | Tensor) -> Tensor:
    """max(q e, (q - 1) e) at level q, which broadcasts against the error (Koenker & Bassett 1978).

    >>> pinball(torch.tensor([1.0, -3.0]), 0.75)
    tensor([0.7500, 0.7500])
    """
    return torch.maximum(level * error, (level - 1.0) * error)


def binary_cross_entropy(logit: Tensor, target: Tensor) -> Tensor:
    """log(1 + exp(logit)) - target * logit: -log p for a target 1, -log(1 - p) for 0, p = sigmoid(logit).

    >>> binary_cross_entropy(torch.tensor([0.0, 50.0]), torch.tensor([1.0, 0.0]))
    tensor([ 0.6931, 50.0000])
    """
    return functional.softplus(logit) - target * logit


def cross_entropy(
    logits: Tensor,
    codes: Tensor,
    smoothing: float = 0.0,
    weights: Sequence[float] | None = None,
) -> Tensor:
    """-sum over k of t[k] w[k] log p[k], p = softmax(logits), t = (1 - smoothing) [k = code] + smoothing / K.

    Parameters
    ----------
    logits : (..., K). codes : (...) whole numbers 0, .., K - 1.
    smoothing : the share of the target that is spread over all classes (Szegedy et al. 2016).
    weights : K class weights w; one each without them. A mean divides by the count, not by the sum of weights.

    >>> cross_entropy(torch.zeros(2, 4), torch.tensor([0, 3]))
    tensor([1.3863, 1.3863])
    """
    log_p = functional.log_softmax(logits, -1)
    if weights is not None:
        log_p = log_p * constant(tuple(weights), log_p.dtype, log_p.device)
    hit = -log_p.gather(-1, codes.long().unsqueeze(-1)).squeeze(-1)
    if smoothing == 0:
        return hit
    return (1.0 - smoothing) * hit - smoothing * log_p.mean(-1)


def negative_log_density(family: Any, y: Tensor, **arguments: Any) -> Tensor:
    """-log density of a family of `seqkit.distributions` at `y`, by the formula that its `log_prob` uses.

    >>> from seqkit.distributions import Normal
    >>> negative_log_density(Normal, torch.tensor(1.0), mean=torch.tensor(1.0), scale=torch.tensor(1.0))
    tensor(0.9189)
    """
    from seqkit.distributions import _ops_torch

    return -family.formula(_ops_torch, y, **arguments)


def constant(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """A tensor made once for each device, so that no step of training copies it there."""
    if torch.compiler.is_compiling():  # part of the graph, which keeps it
        return torch.tensor(values, dtype=dtype, device=device)
    return _kept(values, dtype, device)


@cache
def _kept(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):
        return torch.tensor(values, dtype=dtype, device=device)
