"""The first layer of a network that reads sequences: numbers as they are, symbols by their vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .layers import check_dropout


class InputLayer(nn.Module):
    """Numbers and symbols of every step as one vector: (batch, time, size).

    Parameters
    ----------
    numbers : numeric features of a step.
    symbols : sizes of the vocabularies, one for each symbol of a step; symbol 0 is the unknown one.
    embedding : length of the vector of a symbol; None chooses one that grows with the vocabulary, 8 to 128.
    dropout : share of the features set to zero in training.
    unknown : in training, share of the symbols that are taken for the unknown one, so that it has a meaning
        (Iyyer et al. 2015, word dropout).

    Attributes
    ----------
    size : length of what comes out.

    Raises ValueError for a layer without inputs, and shares outside [0, 1).

    >>> layer = InputLayer(2, [10], embedding=4)
    >>> from seqkit.tasks import Ragged
    >>> numbers, codes = Ragged.of([torch.zeros(3, 2)]), Ragged.of([torch.ones(3, 1)], "int64")
    >>> index = torch.tensor([0])
    >>> layer({"numbers": numbers.take(index), "codes": codes.take(index)})[0].shape
    torch.Size([1, 3, 6])
    """

    def __init__(
        self,
        numbers: int,
        symbols: Sequence[int] = (),
        *,
        embedding: int | None = None,
        dropout: float = 0.0,
        unknown: float = 0.0,
    ):
        super().__init__()
        check_dropout(dropout)
        check_dropout(unknown)
        if not numbers and not symbols:
            raise ValueError("a network needs at least one number or symbol per step to read")
        sizes = [embedding or automatic(count) for count in symbols]
        self.tables: Any = nn.ModuleList(
            table(count, size) for count, size in zip(symbols, sizes, strict=True)
        )
        self.dropout, self.unknown = nn.Dropout(dropout), unknown
        self.size = numbers + sum(sizes)

    def forward(self, batch: dict[str, Any]) -> tuple[Tensor, Tensor | None]:
        """Features (batch, time, size) and mask (batch, time), None where no step is padding."""
        parts, mask = [], None
        if "numbers" in batch:
            parts.append(batch["numbers"].values.to(self._dtype(batch["numbers"].values)))
            mask = batch["numbers"].mask
        if len(self.tables):
            codes, mask = batch["codes"].values, batch["codes"].mask
            if self.training and self.unknown:
                codes = codes.masked_fill(
                    torch.rand(codes.shape, device=codes.device) < self.unknown, 0
                )
            parts += [look_up(codes[..., i]) for i, look_up in enumerate(self.tables)]
        x = torch.cat(parts, -1) if len(parts) > 1 else parts[0]
        return self.dropout(x), mask

    def _dtype(self, values: Tensor) -> torch.dtype:
        return self.tables[0].weight.dtype if len(self.tables) else values.dtype


def automatic(count: int) -> int:
    """Length of the vectors of `count` symbols: 4 sqrt(count), between 8 and 128."""
    return int(min(128, max(8, round(4 * count**0.5))))


def table(count: int, size: int) -> nn.Embedding:
    """Vectors of `count` symbols, of length about one whatever `size`."""
    made = nn.Embedding(count, size)
    nn.init.normal_(made.weight, std=size**-0.5)
    return made
