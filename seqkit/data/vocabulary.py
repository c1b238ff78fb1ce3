"""Symbols to integers and back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np

from seqkit.persistence import Record

from .sequences import Array


class Vocabulary(Record):
    """The symbols of a token sequence, numbered by falling frequency; 0 stands for every unknown one.

    Examples
    --------
    >>> words = Vocabulary(["the", "dog", "the"])
    >>> words.encode(["the", "cat"]), words.decode([1, 0])
    (array([1, 0]), ['the', '<unk>'])
    """

    def __init__(self, tokens: Iterable[str], *, min_count: int = 1, unknown: str = "<unk>"):
        counts = Counter(tokens)
        kept = sorted(
            (t for t, n in counts.items() if n >= min_count), key=lambda t: (-counts[t], t)
        )
        self.symbols = [unknown, *(t for t in kept if t != unknown)]
        self._numbers = {token: i for i, token in enumerate(self.symbols)}

    def __len__(self) -> int:
        return len(self.symbols)

    def encode(self, tokens: Iterable[str]) -> Array:
        """The number of each token, 0 for one that is not in the vocabulary."""
        return np.array([self._numbers.get(t, 0) for t in tokens], dtype=np.int64)

    def decode(self, numbers: Iterable[int]) -> list[str]:
        return [self.symbols[i] for i in numbers]

    def __repr__(self) -> str:
        return f"Vocabulary({len(self)} symbols)"
