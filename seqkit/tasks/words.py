"""Words of sentences by number, with what is known of each distinct one: a batch holds every word's form once."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from .ragged import Ragged


class Words(NamedTuple):
    """The words of some sentences side by side, and the distinct ones among them."""

    values: Tensor  # (batch, time) which of the distinct words, any where a sentence has ended
    lengths: Tensor  # (batch,)
    mask: (
        Tensor | None
    )  # (batch, time), False where a sentence has ended; None where all are equally long
    words: Tensor  # (distinct,) codes, 0 for the unknown
    characters: Tensor | None  # (distinct, longest) codes, 0 behind the end
    forms: Tensor | None  # (distinct, features) codes
    vectors: Tensor | None  # (distinct,) rows of given vectors, 0 for none


class RaggedWords(Ragged):
    """Sentences end to end, as numbers of forms in a table that they share.

    Parameters
    ----------
    values : (total,) rows of the table. offsets : (n + 1,), as of `Ragged`.
    table : by name: words (forms,), and where there are any characters (forms, longest), forms (forms, features),
        vectors (forms,); whole numbers.

    >>> words = RaggedWords([0, 1, 0], [0, 2, 3], {"words": [5, 7]})
    >>> batch = words.take(torch.tensor([1]))
    >>> batch.values.tolist(), batch.words.tolist()
    ([[0]], [5])
    """

    def __init__(self, values: Any, offsets: Any, table: dict[str, Any]):
        super().__init__(values, offsets)
        self.table = {name: torch.as_tensor(part) for name, part in table.items()}

    def to(self, device: Any, dtype: torch.dtype | None = None) -> RaggedWords:
        table = {name: part.to(device) for name, part in self.table.items()}
        return RaggedWords(self.values.to(device), self.offsets.to(device), table)

    def select(self, index: Tensor) -> RaggedWords:
        chosen = super().select(index)
        return RaggedWords(chosen.values, chosen.offsets, self.table)

    def take(self, index: Tensor) -> Words:  # type: ignore[override]
        padded = super().take(index)
        distinct, values = padded.values.unique(return_inverse=True)
        found = {name: part[distinct].long() for name, part in self.table.items()}
        characters = found.get("characters")
        if characters is not None:  # no longer than the longest word of the batch
            found["characters"] = characters[:, : int((characters > 0).sum(1).max())]
        rest = {name: found.get(name) for name in ("characters", "forms", "vectors")}
        return Words(values, padded.lengths, padded.mask, found["words"], **rest)
