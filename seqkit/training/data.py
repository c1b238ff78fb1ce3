"""Examples in memory, gathered by index where they lie: no work per example, no worker processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(slots=True)
class Batch:
    """Some examples: ``inputs`` (batch, ...), ``targets`` (batch, ...), ``mask`` like targets or None."""

    inputs: Any
    targets: Any
    mask: Any = None


class TensorData:
    """Inputs and targets that fit into memory, example by example along the first axis.

    Parameters
    ----------
    inputs : array or tensor (n, ...).
    targets : array or tensor (n, ...).
    mask : None, or which targets count (n, ...), True or a weight where they do.

    Raises ValueError where the numbers of examples differ.

    >>> data = TensorData(np.eye(3, dtype="float32"), np.arange(3))
    >>> import torch
    >>> len(data), data.batch(torch.tensor([2, 0])).targets
    (3, tensor([2, 0]))
    """

    takes_dtype = True  # `to` also takes the type of floating-point numbers

    def __init__(self, inputs: Any, targets: Any, mask: Any = None):
        self.inputs, self.targets = _tensor(inputs, "inputs"), _tensor(targets, "targets")
        self.mask = None if mask is None else _tensor(mask, "mask")
        lengths = [len(x) for x in (self.inputs, self.targets, self.mask) if x is not None]
        if len(set(lengths)) > 1:
            names = "inputs, targets and mask" if mask is not None else "inputs and targets"
            raise ValueError(
                f"{names} have {', '.join(map(str, lengths))} examples; their first axes must agree"
            )

    def __len__(self) -> int:
        return len(self.inputs)

    def to(self, device: Any, dtype: torch.dtype | None = None) -> TensorData:
        """The same on a device; ``dtype`` is for what is a floating-point number, the rest keeps its own."""

        def moved(x: Tensor) -> Tensor:
            return x.to(device, dtype if x.is_floating_point() else None)

        mask = None if self.mask is None else moved(self.mask)
        return TensorData(moved(self.inputs), moved(self.targets), mask)

    def batch(self, index: Tensor) -> Batch:
        """The examples with these numbers; ``index`` (batch,) lies on the device of the data."""
        mask = None if self.mask is None else self.mask.index_select(0, index)
        return Batch(self.inputs.index_select(0, index), self.targets.index_select(0, index), mask)


def as_data(given: Any, name: str) -> Any:
    """What is trained on: an object with ``len``, ``to`` and ``batch``, or a tuple of arrays made one."""
    if isinstance(given, tuple) and len(given) in (2, 3):
        return TensorData(*given)
    missing = [verb for verb in ("__len__", "to", "batch") if not hasattr(given, verb)]
    if missing:
        raise TypeError(
            f"{name} must be a tuple (inputs, targets) of arrays, or an object with len(), to(device) and "
            f"batch(index); this {type(given).__name__} has no {', '.join(missing)}"
        )
    if not len(given):
        raise ValueError(f"{name} has no examples")
    return given


def _tensor(given: Any, name: str) -> Tensor:
    import torch

    if isinstance(given, torch.Tensor):
        tensor = given
    else:
        array = np.asarray(given)
        if array.dtype.kind not in "fiub":
            raise TypeError(f"{name} must hold numbers, got an array of {array.dtype}")
        # torch cannot hold views that run backwards, and warns about arrays that must not be written
        tensor = torch.as_tensor(np.require(array, requirements=["C", "W"]))
    if not tensor.ndim or not len(tensor):
        raise ValueError(f"{name} has no examples")
    return tensor
