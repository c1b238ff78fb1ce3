"""Heads that choose between classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from seqkit.distributions import Bernoulli, Categorical, _ops

from ._head import Head, as_array, wide

if TYPE_CHECKING:
    from torch import Generator, Tensor


class Binary(Head):
    """Yes or no: p = sigmoid(raw), loss -y log p - (1 - y) log(1 - p), y in {0, 1}; shift and scale are ignored.

    Examples
    --------
    >>> import torch
    >>> from seqkit.nn.heads import Binary
    >>> Binary().loss(torch.tensor([[0.0]]), torch.tensor([1.0]))
    tensor([0.6931])

    Source: Cox (1958).
    """

    size = 1
    shifted = False

    def loss(self, raw: Tensor, target: Tensor, shift: Any = None, scale: Any = None) -> Tensor:
        from .losses import binary_cross_entropy

        return binary_cross_entropy(wide(raw)[..., 0], target)

    def probabilities(self, raw: Tensor) -> Tensor:
        """P(y = 1), of shape raw.shape[:-1]."""
        return wide(raw)[..., 0].sigmoid()

    def distribution(
        self, raw: Any, shift: Any = None, scale: Any = None, spread: Any = None
    ) -> Bernoulli:
        return Bernoulli(np.minimum(_ops.sigmoid(as_array(raw)[..., 0]), 1.0))

    def sample(
        self,
        raw: Tensor,
        shift: Any,
        scale: Any,
        generator: Generator,
        spread: Any = None,
    ) -> Tensor:
        from .draws import uniform

        p = self.probabilities(raw)
        return (uniform(p, generator) < p).to(p.dtype)

    def point(self, raw: Tensor, shift: Any = None, scale: Any = None) -> Tensor:
        """The likelier of 0 and 1."""
        raw = wide(raw)
        return (raw[..., 0] > 0).to(raw.dtype)

    def check(self, values: Any, name: str = "x") -> None:
        _check_codes(self, values, 2, name)

    def __repr__(self) -> str:
        return "Binary()"


class Classes(Head):
    """One of K classes: p = softmax(raw), loss -sum over k of t[k] w[k] log p[k]; shift and scale are ignored.

    Targets are codes 0, .., K - 1, and t[k] = (1 - smoothing) [k = code] + smoothing / K.

    Parameters
    ----------
    k : K, two or more.
    smoothing : the share of each target that is spread over all classes (Szegedy et al. 2016), in [0, 1).
    weights : K positive class weights w, one each without them. Losses are summed as they are: a mean divides by the
        count of targets, not by the sum of their weights.

    Raises
    ------
    ValueError : what k, smoothing or weights are not as said.

    Examples
    --------
    >>> import torch
    >>> from seqkit.nn.heads import Classes
    >>> Classes(3).loss(torch.zeros(2, 3), torch.tensor([0, 2]))
    tensor([1.0986, 1.0986])

    Source: Bridle (1990).
    """

    shifted = False

    def __init__(self, k: int, smoothing: float = 0.0, weights: Sequence[float] | None = None):
        if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 2:
            raise ValueError(
                f"k, the number of classes, must be a whole number, 2 or more; got {k!r}"
            )
        if not 0 <= smoothing < 1:
            raise ValueError(f"smoothing is a share of the target, in [0, 1); got {smoothing!r}")
        self.size, self.smoothing, self.weights = int(k), float(smoothing), None
        if weights is not None:
            self.weights = tuple(float(w) for w in weights)
            if len(self.weights) != k or not all(0 < w < np.inf for w in self.weights):
                raise ValueError(
                    f"weights are {k} positive numbers, one for each class; got {weights}"
                )

    def loss(self, raw: Tensor, target: Tensor, shift: Any = None, scale: Any = None) -> Tensor:
        from .losses import cross_entropy

        return cross_entropy(wide(raw), target, self.smoothing, self.weights)

    def probabilities(self, raw: Tensor) -> Tensor:
        """P(y = k), of the shape of `raw`."""
        return wide(raw).softmax(-1)

    def distribution(
        self, raw: Any, shift: Any = None, scale: Any = None, spread: Any = None
    ) -> Categorical:
        raw = as_array(raw)
        p = np.exp(raw - raw.max(-1, keepdims=True))
        return Categorical(p / p.sum(-1, keepdims=True))

    def sample(
        self,
        raw: Tensor,
        shift: Any,
        scale: Any,
        generator: Generator,
        spread: Any = None,
    ) -> Tensor:
        """Codes, whole numbers (int64)."""
        from .draws import uniform

        edges = self.probabilities(raw).cumsum(-1)[..., :-1]
        return (uniform(edges[..., :1], generator) > edges).sum(-1)

    def point(self, raw: Tensor, shift: Any = None, scale: Any = None) -> Tensor:
        """The likeliest code (int64)."""
        return raw.argmax(-1)

    def check(self, values: Any, name: str = "x") -> None:
        _check_codes(self, values, self.size, name)

    def __repr__(self) -> str:
        options = f", smoothing={self.smoothing!r}" if self.smoothing else ""
        if self.weights is not None:
            options += f", weights={list(self.weights)!r}"
        return f"Classes({self.size}{options})"


def _check_codes(head: Head, values: Any, size: int, name: str) -> None:
    values = np.asarray(values, float)
    bad = ~np.isnan(values) & ((values < 0) | (values >= size) | (values != np.floor(values)))
    if bad.any():
        raise ValueError(
            f"{head!r} expects whole numbers 0 to {size - 1}, but {name} holds {values[bad].flat[0]:.6g}; give each "
            "class a code, or choose a head with more classes"
        )
