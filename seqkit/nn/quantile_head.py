"""A head that gives quantiles which never cross."""

from __future__ import annotations

from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from seqkit.distributions import Quantiles, _ops

from ._head import Head, as_array, positive, table, wide

if TYPE_CHECKING:
    from torch import Generator, Tensor


class QuantileHead(Head):
    """Quantiles at given levels: the middle one, and positive steps downwards and upwards from it.

    q[m] = shift + scale u;   q[k + 1] = q[k] + scale softplus(v[k]) g[k],   so that they never cross.

    g are the steps between the quantiles of the standard normal law, which raw numbers of 0 give. The loss is the mean
    over levels of twice the pinball loss, in scaled units: about the CRPS where the levels are evenly spread.

    Parameters
    ----------
    levels : two or more, increasing, in (0, 1).

    Examples
    --------
    >>> import numpy as np
    >>> from seqkit.nn.heads import QuantileHead
    >>> QuantileHead([0.1, 0.5, 0.9]).distribution(np.zeros((1, 3)), 10.0, 1.0).values.round(2).ravel()
    array([ 8.72, 10.  , 11.28])

    Source: Koenker & Bassett (1978); Gouttes et al. (2021).
    """

    def __init__(self, levels: Any):
        self.levels = tuple(float(q) for q in Quantiles(levels).levels)
        self.size = len(self.levels)
        below = min(range(self.size), key=lambda k: abs(self.levels[k] - 0.5))
        order = [below, *range(below - 1, -1, -1), *range(below + 1, self.size)]
        z = [NormalDist().inv_cdf(q) for q in self.levels]
        down = [z[k + 1] - z[k] for k in range(below - 1, -1, -1)]
        up = [z[k] - z[k - 1] for k in range(below + 1, self.size)]
        # raw numbers come in this order: the middle level, those below it downwards, those above it upwards
        self._levels, self._below = tuple(self.levels[k] for k in order), below
        self._start, self._steps = z[below], (*down, *up)
        self._ascending = tuple(order.index(k) for k in range(self.size))

    @classmethod
    def of(cls, family: Quantiles) -> QuantileHead:
        """The head of an unfitted family."""
        if not np.isnan(family.values).all():
            raise ValueError(
                "a head learns the values of Quantiles: pass the levels alone, Quantiles(levels=[..])"
            )
        return cls(family.levels)

    def _values(self, ops: Any, raw: Any) -> Any:
        """Quantiles (K, ...) in scaled units: the middle one, then downwards, then upwards."""
        raw = ops.leading(raw)
        middle = raw[:1] + self._start
        steps = positive(ops, raw[1:]) * table(raw[1:], self._steps)
        below, above = steps[: self._below], steps[self._below :]
        return ops.join([middle, middle - below.cumsum(0), middle + above.cumsum(0)])

    def loss(self, raw: Tensor, target: Tensor, shift: Any, scale: Any) -> Tensor:
        from seqkit.distributions import _ops_torch as ops

        from .losses import pinball

        error = (target - shift) / scale - self._values(ops, wide(raw))
        return 2.0 * pinball(error, table(error, self._levels)).mean(0)

    def distribution(self, raw: Any, shift: Any, scale: Any, spread: Any = None) -> Quantiles:
        raw, shift, scale = map(as_array, (raw, shift, scale))
        values = self._values(_ops, raw)[list(self._ascending)]
        return Quantiles(self.levels, shift + scale * values)

    def sample(
        self,
        raw: Tensor,
        shift: Any,
        scale: Any,
        generator: Generator,
        spread: Any = None,
    ) -> Tensor:
        from .draws import uniform

        raw = wide(raw)
        return shift + scale * self._inverse(raw, uniform(raw[..., 0], generator))

    def point(self, raw: Tensor, shift: Any, scale: Any) -> Tensor:
        raw = wide(raw)
        if self.levels[self._below] == 0.5:
            return shift + scale * raw[..., 0]
        return shift + scale * self._inverse(raw, raw.new_full(raw.shape[:-1], 0.5))

    def _inverse(self, raw: Tensor, q: Tensor) -> Tensor:
        """The quantile function of `Quantiles` at q (...), in scaled units."""
        import torch

        from seqkit.distributions import _ops_torch as ops

        values = self._values(ops, raw)[list(self._ascending)]
        levels = table(values, self.levels).flatten()
        k = torch.bucketize(q, levels, right=True).sub(1).clamp(0, self.size - 2)
        start, end = values.gather(0, k[None])[0], values.gather(0, k[None] + 1)[0]
        low, high = levels[k], levels[k + 1]
        slope = (end - start) / (
            high - low
        )  # of the tails too, which begin with the density of the outer pieces
        first, last = self.levels[0], self.levels[-1]
        tiny = torch.finfo(q.dtype).tiny
        left = values[0] + slope * first * (q / first).clamp(tiny, 1).log()
        right = values[-1] - slope * (1 - last) * ((1 - q) / (1 - last)).clamp(tiny, 1).log()
        inner = start + slope * (q - low)
        return torch.where(q < first, left, torch.where(q > last, right, inner))

    def __repr__(self) -> str:
        return f"QuantileHead({list(self.levels)})"
