"""What every head is, and how raw numbers become arguments of a law."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from seqkit.distributions import Distribution
from seqkit.persistence import Record

if TYPE_CHECKING:
    from torch import Generator, Tensor

Array = np.ndarray
FLOOR = 1e-5  # of positive arguments, as a share of the unit: a likelihood has no maximum at a scale of 0
_AT_ZERO = float(np.log(np.expm1(1.0)))  # softplus of it is 1


class Head(Record, ABC):
    r"""The end of a network: what its last numbers mean, how they are judged, and the law that they stand for.

    A network gives `size` raw numbers for every value of the target. With `shift` and `scale` of the target's window
    or series, all broadcasting,

        raw (..., size);   target, shift, scale (...);   location = shift + scale u,   spread = scale softplus(v).

    A loss is one number for each target, without masks: the caller gives targets that are numbers, and leaves out what
    is missing. Losses of continuous targets are those of (target - shift) / scale: add log(scale) for the negative log
    density in the units of the target. Losses of counts and of classes are those of the target itself.

    Attributes
    ----------
    size : raw numbers for every value of the target.
    shifted : whether `shift` moves the law. Laws of what is never negative ignore it: their mean is scale softplus(u).
    degree : power of the units of the target that the loss is in, before it was scaled: 2 for squared errors.
    constant_spread : whether the law's spread is not given by the network, but learnt once from its residuals.
    """

    size: int = 1
    shifted: bool = True
    degree: int = 1
    constant_spread: bool = False

    @abstractmethod
    def loss(self, raw: Tensor, target: Tensor, shift: Any, scale: Any) -> Tensor:
        """The loss of every element, of the shape of the target."""

    @abstractmethod
    def distribution(self, raw: Any, shift: Any, scale: Any, spread: Any = None) -> Distribution:
        """The predictive law in the units of the target, in float64, of shape raw.shape[:-1]."""

    @abstractmethod
    def sample(
        self,
        raw: Tensor,
        shift: Any,
        scale: Any,
        generator: Generator,
        spread: Any = None,
    ) -> Tensor:
        """One draw for every element, on the device of `raw`, in the units of the target."""

    @abstractmethod
    def point(self, raw: Tensor, shift: Any, scale: Any) -> Tensor:
        """One number that stands for the law: its median where that has a closed form, its mean otherwise."""

    def spread(self, residuals: Tensor, mask: Tensor | None = None) -> Tensor | None:
        """The constant spread that residuals (N, ...) tell, of shape (...); None where the network gives it.

        Parameters
        ----------
        residuals : in scaled units, (target - shift) / scale - raw[..., 0], as `residuals` gives them.
        mask : True where the target was observed.
        """
        return None

    def check(self, values: Any, name: str = "x") -> None:
        """Raise ValueError if the law forbids one of `values`; NaN is missing."""
        return


def wide(raw: Tensor) -> Tensor:
    """Raw numbers of half precision as float32: the rest of a head needs the digits."""
    return raw.float() if raw.itemsize < 4 else raw


def as_array(value: Any) -> Array:
    """Numbers or a tensor of any device as a float64 array."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().double().numpy()
    return np.asarray(value, float)


def table(like: Any, values: tuple[float, ...]) -> Any:
    """Constants of the kind of `like`, one for each element of its first axis; for tensors made once for a device."""
    shape = (len(values), *[1] * (like.ndim - 1))
    if isinstance(like, np.ndarray):
        return np.reshape(values, shape)
    from .losses import constant

    return constant(values, like.dtype, like.device).view(shape)


def positive(ops: Any, u: Any) -> Any:
    """softplus(u + log(e - 1)) + FLOOR: 1 at u = 0, grows like u, and never less than the floor."""
    return ops.softplus(u + _AT_ZERO) + FLOOR


def argument(ops: Any, role: str, u: Any) -> Any:
    """A raw number as an argument of that role, in scaled units."""
    if role in ("location", "angle"):
        return u
    if role in ("scale", "size", "positive"):
        return positive(ops, u)
    if role == "above 2":  # so that the variance exists (Salinas et al. 2020); 6 at u = 0
        return 2.0 + 4.0 * positive(ops, u)
    if role == "unit":
        return ops.sigmoid(u)
    raise ValueError(f"a head knows no argument of role {role!r}")


def in_units(role: str, value: Any, shift: Any, scale: Any) -> Any:
    """An argument in scaled units as one in the units of the target."""
    if role == "location":
        return shift + scale * value
    return scale * value if role in ("scale", "size") else value
