"""What a network learns to read of words: vocabularies of words, characters and forms, and vectors from a file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from seqkit.data.sequences import Array
from seqkit.data.vocabulary import Vocabulary
from seqkit.persistence import Record

from ._inputs import Observed

if TYPE_CHECKING:
    from seqkit.nn.words import WordLayer
    from seqkit.tasks.words import RaggedWords

LONGEST = 24  # characters of a word that are read: the first and the last half of them
SEEN = 2  # times that a prefix, suffix or shape must be seen to be one of its own
PREFIXES, SUFFIXES = (1, 2, 3), (1, 2, 3, 4)


def plain(word: str) -> str:
    """Lower case, digits 0.

    >>> plain("Boeing-747")
    'boeing-000'
    """
    return re.sub(r"\d", "0", word.lower())


def shape(word: str) -> str:
    """Capitals X, other letters x, digits 0, repetitions left out.

    >>> shape("McDonald"), shape("2004-05")
    ('XxXx', '0-0')
    """
    marks = [
        "0" if c.isdigit() else "X" if c.isupper() else "x" if c.isalpha() else c for c in word
    ]
    return re.sub(r"(.)\1+", r"\1", "".join(marks))


def form(word: str) -> list[str]:
    """First and last characters, and the shape.

    >>> form("Barks")
    ['b', 'ba', 'bar', 's', 'ks', 'rks', 'arks', 'Xx']
    """
    small = plain(word)
    return [small[:n] for n in PREFIXES] + [small[-n:] for n in SUFFIXES] + [shape(word)]


class WordReader(Record):
    """How words become numbers, learnt from the training data; it has the methods of `Reader`.

    Parameters
    ----------
    data : one column of text. spelling, forms : whether characters and forms are read.
    rarity : a of the dropout of words, a / (a + count); 0 for none.
    known : words that have a given vector; None for no vectors. length : of these.

    >>> reader = WordReader(Observed([["The", "dog"], ["the", "cat"]], "x"), rarity=0.5)
    >>> reader.words.symbols
    ['<unk>', 'the', 'cat', 'dog']
    >>> reader.unknown.round(2).tolist()
    [0.0, 0.2, 0.33, 0.33]
    """

    def __init__(
        self, data: Observed, *, spelling: bool = True, forms: bool = True, rarity: float = 0.25,
        known: list[str] | None = None, length: int = 0,
    ):  # fmt: skip
        tokens = data.symbols[0].values[:, 0]
        small = [plain(word) for word in tokens]
        self.words = Vocabulary(small)
        counts = np.bincount(self.words.encode(small), minlength=len(self.words))
        self.unknown = np.where(counts > 0, rarity / (rarity + np.maximum(counts, 1)), 0.0)
        distinct = list(dict.fromkeys(tokens))
        self.characters = Vocabulary(c for word in distinct for c in word) if spelling else None
        self.forms: list[Vocabulary] = []
        if forms:
            columns = zip(*(form(word) for word in distinct), strict=True)
            self.forms = [Vocabulary(column, min_count=SEEN) for column in columns]
        self.known = None if known is None else Vocabulary(known, unknown="")
        self.length = length

    def layer(self, vectors: Any = None, **options: Any) -> WordLayer:
        """The first layer of a network that reads what `arrays` makes."""
        import torch

        from seqkit.nn.words import WordLayer

        blank = None if self.known is None else (len(self.known), self.length)
        return WordLayer(
            len(self.words),
            unknown=torch.from_numpy(self.unknown),
            characters=0 if self.characters is None else len(self.characters) + 1,
            forms=[len(vocabulary) for vocabulary in self.forms],
            vectors=blank if vectors is None else torch.from_numpy(vectors),
            **options,
        )

    def arrays(self, data: Observed) -> dict[str, RaggedWords]:
        """The sentences as `words`.

        Raises ValueError for anything but one column of text.
        """
        from seqkit.tasks.words import RaggedWords

        if data.numbers is not None or len(data.symbols) != 1:
            raise ValueError(
                f"{data.name} must hold words alone, as the model was fitted to; give lists of str"
            )
        sentences = data.symbols[0]
        codes, distinct = pd.factorize(sentences.values[:, 0])
        words = [str(word) for word in distinct]
        small = [plain(word) for word in words]
        table: dict[str, Array] = {"words": self.words.encode(small)}
        if self.characters is not None:
            table["characters"] = self._spelt(words)
        if self.forms:
            columns = zip(*(form(word) for word in words), strict=True)
            pairs = zip(self.forms, columns, strict=True)
            table["forms"] = np.stack([v.encode(column) for v, column in pairs], axis=1)
        if self.known is not None:
            exact, lower = self.known.encode(words), self.known.encode(w.lower() for w in words)
            table["vectors"] = np.where(exact > 0, exact, lower)
        return {"words": RaggedWords(codes, sentences.offsets, table)}

    def _spelt(self, words: list[str]) -> Array:
        """Codes of the characters from 1 on, (words, longest); 0 behind the end, 1 for one never seen."""
        assert self.characters is not None
        half = LONGEST // 2
        read = [w if len(w) <= LONGEST else w[:half] + w[-half:] for w in words]
        lengths = np.array([len(word) for word in read])
        out = np.zeros((len(words), max(int(lengths.max()), 1)), dtype=np.int32)
        inside = np.arange(out.shape[1]) < lengths[:, None]
        out[inside] = self.characters.encode("".join(read)) + 1
        out[lengths == 0, 0] = 1  # an empty word is spelt by a character of its own
        return out


def read_vectors(path: Any) -> tuple[list[str], Array]:
    """Words and their vectors (words, length), from a text file of word2vec or GloVe: a word and numbers a line.

    Raises ValueError for a line of another length, and for a file without vectors.
    """
    words: dict[str, int] = {}
    rows: list[Array] = []
    with Path(path).open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            word, *numbers = line.rstrip().split(" ")
            if number == 1 and len(numbers) == 1:
                continue  # word2vec begins with the numbers of words and of dimensions
            if not numbers:
                continue
            row = _row(numbers, path, number)
            if rows and len(row) != len(rows[0]):
                raise ValueError(
                    f"line {number} of {path} has {len(row)} numbers, the lines before have {len(rows[0])}"
                )
            if word not in words:
                words[word] = len(rows)
                rows.append(row)
    if not rows:
        raise ValueError(f"{path} holds no vectors; expected a word and its numbers on every line")
    return list(words), np.stack(rows)


def _row(numbers: list[str], path: Any, number: int) -> Array:
    try:
        return np.array(numbers, dtype=np.float32)
    except ValueError:
        raise ValueError(
            f"line {number} of {path} is not a word and numbers, parted by blanks"
        ) from None
