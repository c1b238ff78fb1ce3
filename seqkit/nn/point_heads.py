"""Heads that give one number, and learn a constant spread from their residuals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from seqkit.distributions import Distribution, Laplace, Normal

from ._head import FLOOR, Head, as_array, wide

if TYPE_CHECKING:
    from torch import Generator, Tensor

MAD = 1.482602218505602  # the standard deviation of a normal law over its median absolute deviation


class PointHead(Head):
    """location = shift + scale * raw, and a law about it whose spread is scale * constant."""

    size = 1
    constant_spread = True

    def residuals(self, raw: Tensor, target: Tensor, shift: Any, scale: Any) -> Tensor:
        """(target - shift) / scale - raw[..., 0], of the shape of the target."""
        return (target - shift) / scale - wide(raw)[..., 0]

    def point(self, raw: Tensor, shift: Any, scale: Any) -> Tensor:
        return shift + scale * wide(raw)[..., 0]

    def spread(self, residuals: Tensor, mask: Tensor | None = None) -> Tensor:
        import torch

        size = wide(residuals.detach()).abs()
        if not len(size):
            return size.new_ones(size.shape[1:])
        if mask is not None:
            size = torch.where(mask, size, torch.nan)
        found, overall = self._estimate(size), self._estimate(size.reshape(-1))
        found = torch.where(found.isnan(), overall, found)  # steps that were never observed
        return torch.nan_to_num(found, nan=1.0).clamp(min=FLOOR)

    def _estimate(self, size: Tensor) -> Tensor:
        """The likeliest spread over the first axis of |residuals|, NaN being missing."""
        raise NotImplementedError

    def _law(self, centre: Any, spread: Any) -> Distribution:
        raise NotImplementedError

    def _noise(self, like: Tensor, generator: Generator) -> Tensor:
        from .draws import normal

        return normal(like, generator)

    def _known(self, spread: Any) -> Any:
        if spread is None:
            raise ValueError(
                f"{self!r} gives points, whose law needs a spread: pass spread=head.spread(residuals), learnt from "
                "residuals of data held out"
            )
        return spread

    def distribution(self, raw: Any, shift: Any, scale: Any, spread: Any = None) -> Distribution:
        raw, shift, scale, spread = map(as_array, (raw, shift, scale, self._known(spread)))
        raw = raw[..., 0]
        return self._law(shift + scale * raw, np.broadcast_to(scale * spread, raw.shape))

    def sample(
        self,
        raw: Tensor,
        shift: Any,
        scale: Any,
        generator: Generator,
        spread: Any = None,
    ) -> Tensor:
        raw = wide(raw)[..., 0]
        return shift + scale * (raw + self._known(spread) * self._noise(raw, generator))

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class Squared(PointHead):
    """Least squares: loss e^2, e = (target - shift) / scale - raw; the law is Normal with the root mean square error.

    The mean is what minimises it. See `seqkit.nn.losses` for the likelihood that it is.

    Examples
    --------
    >>> import torch
    >>> from seqkit.nn.heads import Squared
    >>> Squared().loss(torch.tensor([[2.0]]), torch.tensor([7.0]), 1.0, 2.0)
    tensor([1.])

    Source: Gauss (1809).
    """

    degree = 2

    def loss(self, raw: Tensor, target: Tensor, shift: Any, scale: Any) -> Tensor:
        from .losses import squared

        return squared(self.residuals(raw, target, shift, scale))

    def _estimate(self, size: Tensor) -> Tensor:
        return size.square().nanmean(0).sqrt()

    def _law(self, centre: Any, spread: Any) -> Distribution:
        return Normal(centre, spread)


class Absolute(PointHead):
    """Least absolute error: loss |e|, e = (target - shift) / scale - raw; the law is Laplace with the mean of |e|.

    The median is what minimises it.

    Examples
    --------
    >>> import torch
    >>> from seqkit.nn.heads import Absolute
    >>> Absolute().spread(torch.tensor([1.0, -3.0]))
    tensor(2.)

    Source: Laplace (1774).
    """

    def loss(self, raw: Tensor, target: Tensor, shift: Any, scale: Any) -> Tensor:
        from .losses import absolute

        return absolute(self.residuals(raw, target, shift, scale))

    def _estimate(self, size: Tensor) -> Tensor:
        return size.nanmean(0)

    def _law(self, centre: Any, spread: Any) -> Distribution:
        return Laplace(centre, spread)

    def _noise(self, like: Tensor, generator: Generator) -> Tensor:
        from .draws import laplace

        return laplace(like, generator)


class Huber(PointHead):
    """Squared within `delta`, absolute beyond: outliers pull with a bounded force.

    loss = e^2 / 2 where |e| <= delta, else delta (|e| - delta / 2);  e = (target - shift) / scale - raw. The law is
    Normal, its scale 1.4826 times the median of |e|, which outliers do not raise.

    Parameters
    ----------
    delta : in scaled units, positive.

    Raises
    ------
    ValueError : delta is not positive.

    Examples
    --------
    >>> import torch
    >>> from seqkit.nn.heads import Huber
    >>> Huber(delta=0.5).loss(torch.zeros(2, 1), torch.tensor([0.4, 3.0]), 0.0, 1.0)
    tensor([0.0800, 1.3750])

    Source: Huber (1964).
    """

    def __init__(self, delta: float = 1.0):
        if not 0 < delta < np.inf:
            raise ValueError(f"delta must be a positive number of scaled units, got {delta!r}")
        self.delta = float(delta)

    def loss(self, raw: Tensor, target: Tensor, shift: Any, scale: Any) -> Tensor:
        from .losses import huber

        return huber(self.residuals(raw, target, shift, scale), self.delta)

    def _estimate(self, size: Tensor) -> Tensor:
        return MAD * size.nanmedian(0).values

    def _law(self, centre: Any, spread: Any) -> Distribution:
        return Normal(centre, spread)

    def __repr__(self) -> str:
        return f"Huber(delta={self.delta!r})"
