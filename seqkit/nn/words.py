"""The first layer of a network that reads words: what they are, how they are spelt, what form they have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from .attention import last_pooling
from .cores import LSTM, Bidirectional
from .initialisation import initialise
from .inputs import table
from .layers import SequenceDropout

SHORT = 8  # characters of most words


class WordLayer(nn.Module):
    r"""A word as one vector: [vector of the word, of its characters, of its form, a given one], (batch, time, size).

    What depends on the form alone is computed once for each distinct word of a batch. In training a word is taken
    for the unknown one with its own probability, so that the unknown one has a meaning and rare words are judged
    by their form.

    Parameters
    ----------
    words : size of the vocabulary; word 0 is the unknown one. embedding : length of a word's vector.
    unknown : (words,) with which probability each is taken for the unknown one in training; None for never.
    characters : size of the alphabet, code 0 being no character; 0 for words without spelling.
    spelling : "cnn", or "lstm" in both directions, reads the characters. character_size : length of its vector.
    forms : sizes of the vocabularies of features of the form. form_size : length of each one's vector.
    vectors : (rows, length) given vectors, which are not trained, row 0 that of words without one; or the shape
        alone, to be filled.
    dropout : share of the features set to zero in training, the same ones in all of a sentence.

    Attributes
    ----------
    size : length of what comes out.

    Raises ValueError for another `spelling` and shares outside [0, 1).
    Source: dos Santos, Zadrozny (2014) for the CNN; Lample et al. (2016) for the LSTM; Iyyer et al. (2015) for the
    dropout of words.

    >>> layer = WordLayer(10, embedding=4)
    >>> from seqkit.tasks.words import RaggedWords
    >>> batch = RaggedWords([0, 1], [0, 2], {"words": [3, 1]}).take(torch.tensor([0]))
    >>> layer({"words": batch})[0].shape
    torch.Size([1, 2, 4])
    """

    unknown: Tensor
    vectors: Tensor

    def __init__(
        self,
        words: int,
        *,
        embedding: int = 100,
        unknown: Any = None,
        characters: int = 0,
        spelling: Literal["cnn", "lstm"] = "cnn",
        character_size: int = 100,
        forms: Sequence[int] = (),
        form_size: int = 32,
        vectors: Any = None,
        dropout: float = 0.0,
    ):
        super().__init__()
        if spelling not in ("cnn", "lstm"):
            raise ValueError(f'spelling must be "cnn" or "lstm", got {spelling!r}')
        self.embedding = table(words, embedding)
        never = torch.zeros(words)
        self.register_buffer(
            "unknown", never if unknown is None else torch.as_tensor(unknown).float()
        )
        reader = CharacterCNN if spelling == "cnn" else CharacterLSTM
        self.spelling = reader(characters, character_size) if characters else None
        self.forms = table(sum(forms), form_size) if forms else None
        starts = torch.tensor([0, *forms[:-1]] if forms else []).cumsum(0)
        self.register_buffer("form_starts", starts)
        given = vectors if isinstance(vectors, Tensor) else torch.zeros(vectors or (0, 0))
        self.register_buffer("vectors", given.float())
        self.dropout = SequenceDropout(dropout)
        spelt = self.spelling.size if self.spelling else 0
        self.size = embedding + spelt + len(forms) * form_size + self.vectors.shape[1]

    def forward(self, batch: dict[str, Any]) -> tuple[Tensor, Tensor | None]:
        """Features (batch, time, size) and mask (batch, time), None where no step is padding."""
        given = batch["words"]
        parts = [self.embedding(self._words(given))]
        by_form = []
        if self.spelling is not None:
            by_form.append(self.spelling(given.characters))
        if self.forms is not None:
            by_form.append(self.forms(given.forms + self.form_starts).flatten(1))
        if self.vectors.shape[1]:
            by_form.append(self.vectors[given.vectors])
        if by_form:
            known = torch.cat(by_form, -1)
            # whole rows, whose gradients add up faster than those of an advanced index
            parts.append(
                known.index_select(0, given.values.flatten()).view(*given.values.shape, -1)
            )
        x = torch.cat(parts, -1) if len(parts) > 1 else parts[0]
        return self.dropout(x), given.mask

    def _words(self, given: Any) -> Tensor:
        """Codes of the words (batch, time), some of them unknown in training."""
        codes: Tensor = given.words[given.values]
        if not self.training:
            return codes
        return codes.masked_fill(
            torch.rand(codes.shape, device=codes.device) < self.unknown[codes], 0
        )


class CharacterCNN(nn.Module):
    """The greatest response of every filter along the characters of a word, (words, longest) to (words, size).

    Parameters
    ----------
    characters : size of the alphabet, code 0 being no character. size : number of filters, parted among `widths`.
    widths : characters that a filter sees. embedding : length of a character's vector.

    Source: dos Santos, Zadrozny (2014), "Learning character-level representations for part-of-speech tagging".

    >>> CharacterCNN(30, 20)(torch.tensor([[1, 2, 0], [3, 0, 0]])).shape
    torch.Size([2, 20])
    """

    def __init__(
        self, characters: int, size: int, *, widths: Sequence[int] = (3, 4), embedding: int = 32
    ):
        super().__init__()
        self.size, self.widths = size, tuple(widths)
        self.table = table(characters, embedding)
        share = [size // len(widths) + (i < size % len(widths)) for i in range(len(widths))]
        self.filters: Any = nn.ModuleList(
            initialise(nn.utils.skip_init(nn.Conv1d, embedding, n, w), "relu")
            for n, w in zip(share, widths, strict=True)
        )

    def forward(self, characters: Tensor) -> Tensor:
        long = (characters[:, SHORT:] > 0).any(1)
        if not bool(long.any()):
            return self._read(characters)
        # most words are short: they are read apart from the few that are not
        order = torch.argsort(long.to(torch.int8), stable=True)
        short = self._read(characters[~long, :SHORT])
        return torch.cat([short, self._read(characters[long])])[torch.argsort(order)]

    def _read(self, characters: Tensor) -> Tensor:
        widest = max(self.widths)
        # the ends of a word are seen as such, and there is always a window of nothing: no word depends on the longest
        padded = nn.functional.pad(characters, (widest, widest))
        nothing = torch.zeros_like(self.table.weight[:1])  # what code 0 adds
        letters = torch.cat([nothing, self.table.weight[1:]])
        found = [self._greatest(padded, letters, filters) for filters in self.filters]
        return torch.cat(found, 1).relu()

    def _greatest(self, padded: Tensor, letters: Tensor, filters: Any) -> Tensor:
        """The greatest response of each filter, (words, filters).

        There are few letters: what each adds to a response, at each place of the window, is computed once and looked
        up. The gradient is that of the greatest response, so it alone is looked up again, to be gone back by.
        """
        width = filters.weight.shape[2]
        shares = torch.einsum("ce,new->wcn", letters, filters.weight)
        with torch.no_grad():
            rows = padded.unfold(1, width, 1) + len(letters) * torch.arange(
                width, device=padded.device
            )
            all_ = nn.functional.embedding_bag(
                rows.reshape(-1, width), shares.flatten(0, 1), mode="sum"
            )
            best = all_.view(len(padded), -1, all_.shape[1]).max(1).indices
        parts = (shares[k].gather(0, padded.gather(1, best + k)) for k in range(width))
        return sum(parts, start=filters.bias)


class CharacterLSTM(nn.Module):
    """The last states of an LSTM that reads a word forwards and of one backwards, (words, longest) to (words, size).

    Parameters
    ----------
    characters : size of the alphabet, code 0 being no character. size : an even number.
    embedding : length of a character's vector.

    Source: Ling et al. (2015), "Finding function in form"; Lample et al. (2016).

    >>> CharacterLSTM(30, 20)(torch.tensor([[1, 2, 0], [3, 0, 0]])).shape
    torch.Size([2, 20])
    """

    def __init__(self, characters: int, size: int, *, embedding: int = 32):
        super().__init__()
        if size % 2:
            raise ValueError(
                f"size is {size}; both directions need as many units: give an even number"
            )
        self.size = size
        self.table = table(characters, embedding)
        self.core = Bidirectional(LSTM(size // 2)).build(embedding)

    def forward(self, characters: Tensor) -> Tensor:
        mask = characters > 0
        forwards, backwards = self.core(self.table(characters), mask).chunk(2, -1)
        return torch.cat([last_pooling(forwards, mask), backwards[:, 0]], 1)
