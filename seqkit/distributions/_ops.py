"""What a formula of a density needs, for NumPy; `_ops_torch` has the same names for tensors.

`Family.formula(ops, y, **arguments)` takes either module as `ops`, so that a density is written once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import abs, exp, log, log1p, sin, where

__all__ = [
    "abs", "constant", "exp", "gammaln", "join", "leading", "log", "log1p", "log_i0e", "sigmoid", "sin", "softplus",
    "where",
]  # fmt: skip


def constant(like: Any, value: float) -> Any:
    """A number of the kind of `like`."""
    return np.asarray(value, float)


def gammaln(x: Any) -> Any:
    """log Gamma(x), x > 0."""
    from scipy.special import gammaln as found

    return found(x)


def join(parts: Any) -> Any:
    """Arrays one after the other along the first axis."""
    return np.concatenate(parts)


def leading(raw: Any) -> Any:
    """The last axis as the first."""
    return np.moveaxis(raw, -1, 0)


def log_i0e(x: Any) -> Any:
    """log of the Bessel function exp(-x) I_0(x), x >= 0."""
    from scipy.special import i0e

    return np.log(i0e(x))


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x))."""
    return np.exp(-softplus(-np.asarray(x)))


def softplus(x: Any) -> Any:
    """log(1 + exp(x))."""
    return np.logaddexp(0.0, x)
