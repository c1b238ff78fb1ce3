"""Sequences of any lengths in one tensor, padded batch by batch."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor


class Padded(NamedTuple):
    """Some sequences side by side."""

    values: Tensor  # (batch, time, ...), zero where a sequence has ended
    lengths: Tensor  # (batch,)
    mask: (
        Tensor | None
    )  # (batch, time), False where a sequence has ended; None where all are equally long


class Ragged:
    """Sequences end to end, the rows of sequence i being ``values[offsets[i]:offsets[i + 1]]``.

    Parameters
    ----------
    values : array or tensor (total, ...): numbers, or codes (int64).
    offsets : (n + 1,), from 0 to total, never falling; a sequence may be empty.

    Raises ValueError for offsets that do not fit.

    >>> ragged = Ragged(np.arange(5.0), [0, 2, 5])
    >>> ragged.take(torch.tensor([1, 0])).values
    tensor([[2., 3., 4.],
            [0., 1., 0.]], dtype=torch.float64)
    """

    def __init__(self, values: Any, offsets: Any):
        self.values, self.offsets = torch.as_tensor(values), torch.as_tensor(offsets).long()
        falls = bool((self.offsets.diff() < 0).any())
        if falls or int(self.offsets[0]) != 0 or int(self.offsets[-1]) != len(self.values):
            raise ValueError(
                f"offsets must rise from 0 to the {len(self.values)} rows of values, got {self.offsets.tolist()[:8]}"
            )

    @classmethod
    def of(cls, sequences: list[Any], dtype: Any = None) -> Ragged:
        """From one array (time, ...) per sequence.

        >>> Ragged.of([[3, 1], [2]]).lengths.tolist()
        [2, 1]
        """
        arrays = [np.asarray(one, dtype) for one in sequences]
        offsets = np.concatenate([[0], np.cumsum([len(one) for one in arrays], dtype=np.int64)])
        return cls(np.concatenate(arrays), offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Tensor:
        """Steps of every sequence, (n,)."""
        return self.offsets.diff()

    def to(self, device: Any, dtype: torch.dtype | None = None) -> Ragged:
        """The same on a device; `dtype` is for what is a floating-point number."""
        moved = object.__new__(Ragged)
        kept = dtype if self.values.is_floating_point() else None
        moved.values, moved.offsets = self.values.to(device, kept), self.offsets.to(device)
        return moved

    def select(self, index: Tensor) -> Ragged:
        """The sequences of these numbers alone, in this order."""
        index = index.to(self.offsets.device)
        starts, lengths = self.offsets[index], self.lengths[index]
        ends = lengths.cumsum(0)
        rows = torch.arange(int(lengths.sum()), device=index.device)
        rows += (starts - ends + lengths).repeat_interleave(lengths)
        return Ragged(self.values[rows], torch.cat([ends.new_zeros(1), ends]))

    def take(self, index: Tensor) -> Padded:
        """The sequences of these numbers, padded to the longest; on a GPU that length is waited for."""
        starts = self.offsets[index]
        lengths = self.offsets[index + 1] - starts
        steps = torch.arange(int(lengths.max()), device=lengths.device)
        mask = steps < lengths[:, None]
        if bool(mask.all()):
            return Padded(self.values[starts[:, None] + steps], lengths, None)
        values = self.values[torch.where(mask, starts[:, None] + steps, 0)]
        ended = ~mask.view(*mask.shape, *[1] * (values.ndim - 2))
        return Padded(values.masked_fill_(ended, 0), lengths, mask)


class Examples:
    """What belongs to each example, by name: ragged sequences, and tensors (n, ...) with one entry each.

    It is what `seqkit.training` trains on: a batch is a dict with a `Padded` or a tensor under each name.

    Parameters
    ----------
    parts : by name. Raises ValueError where they have different numbers of examples.

    >>> data = Examples(x=Ragged.of([[1.0, 2.0], [3.0]]), y=torch.tensor([0, 1]))
    >>> batch = data.batch(torch.tensor([1]))
    >>> batch["x"].values.tolist(), batch["y"].tolist()
    ([[3.0]], [1])
    """

    takes_dtype = True  # `to` also takes the type of floating-point numbers

    def __init__(self, **parts: Any):
        self.parts = {
            name: part if isinstance(part, Ragged) else torch.as_tensor(part)
            for name, part in parts.items()
            if part is not None
        }
        counts = {name: len(part) for name, part in self.parts.items()}
        if len(set(counts.values())) != 1:
            raise ValueError(f"all parts must have as many examples, got {counts}")

    def __len__(self) -> int:
        return len(next(iter(self.parts.values())))

    def to(self, device: Any, dtype: torch.dtype | None = None) -> Examples:
        """The same on a device; `dtype` is for what is a floating-point number."""
        moved = object.__new__(Examples)
        moved.parts = {
            name: part.to(device, dtype if _floating(part) else None)
            for name, part in self.parts.items()
        }
        return moved

    def select(self, index: Tensor) -> Examples:
        """The examples of these numbers alone, in this order."""
        return Examples(
            **{
                name: part.select(index) if isinstance(part, Ragged) else part[index]
                for name, part in self.parts.items()
            }
        )

    def batch(self, index: Tensor) -> dict[str, Any]:
        """The examples of these numbers; `index` lies on the device of the data."""
        return {
            name: part.take(index) if isinstance(part, Ragged) else part.index_select(0, index)
            for name, part in self.parts.items()
        }


def _floating(part: Ragged | Tensor) -> bool:
    return (part.values if isinstance(part, Ragged) else part).is_floating_point()
