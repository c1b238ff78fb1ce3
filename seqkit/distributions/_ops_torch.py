"""What a formula of a density needs, for torch tensors; the twin of `_ops`."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, abs, cat, exp, lgamma, log, log1p, sigmoid, sin, special, where
from torch.nn.functional import softplus

__all__ = [
    "abs", "constant", "exp", "gammaln", "join", "leading", "log", "log1p", "log_i0e", "sigmoid", "sin", "softplus",
    "where",
]  # fmt: skip

gammaln = lgamma


def constant(like: Tensor, value: float) -> Tensor:
    """A number of the kind of `like`."""
    return like.new_full((), value)


def join(parts: Sequence[Tensor]) -> Tensor:
    """Tensors one after the other along the first axis."""
    return cat(tuple(parts))


def leading(raw: Tensor) -> Tensor:
    """The last axis as the first, and in memory too: what follows runs over long rows."""
    return raw.movedim(-1, 0).contiguous()


def log_i0e(x: Tensor) -> Tensor:
    """log of the Bessel function exp(-x) I_0(x), x >= 0."""
    return log(special.i0e(x))
