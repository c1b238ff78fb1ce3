"""Networks that give every step of a sequence a label: words their tags, time steps what happens in them."""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
import pandas as pd

from seqkit.base import check_count
from seqkit.data.sequences import Array
from seqkit.nn.cores import LSTM, Bidirectional, Core
from seqkit.training.averaging import SWA

from ._inputs import Observed, Reader
from ._step_labels import distinct_labels, encode_labels, given_lengths, named, step_labels
from ._tagger_words import WordReader, read_vectors
from ._targets import expect
from .base import DEFAULTS, SequenceNetwork

if TYPE_CHECKING:
    from seqkit.tasks.aligned import Aligned
    from seqkit.tasks.ragged import Examples
    from seqkit.training import Trainer

BOUNDARY = "<s>"  # how the beginning and the end of a sequence are called among tags
LEAST = 400  # steps of training where nothing says how long
SCHEMES = (None, "bio", "bioes")


@dataclasses.dataclass(eq=False, repr=False)
class NetworkTagger(SequenceNetwork):
    """What all networks that label every step share; a family says which core.

    Parameters
    ----------
    crf : whether labels are judged together (a conditional random field) or each by itself (a softmax).
    constraints : "bio" or "bioes" forbids, with a CRF, labels that make no chunks; None forbids nothing.
    words : whether symbols are words of a language: read in lower case with digits as 0, and by their spelling.
    chars : how words are spelt: "cnn" (True), "lstm", or False for not at all.
    forms : whether prefixes, suffixes and the shape of words are read.
    embedding : length of the vector of a word or symbol; 100 for words, with the vocabulary for symbols.
    rarity : in training a word seen n times is taken for an unknown one with probability rarity / (rarity + n).
    vectors : a text file of word2vec or GloVe, whose vectors are read beside the learnt ones and kept with the model.
    dropout : share of what goes into the core, and of what comes out, set to zero in training.
    second_weight : what the loss of a second layer of labels counts beside that of the first.

    The others are those of `SequenceNetwork`. Without epochs, steps and trainer, training takes 10 epochs, or more
    for few sequences. The result is the mean of the weights over the last fifth of the steps.
    """

    crf: bool = dataclasses.field(default=False, kw_only=True)
    constraints: Literal["bio", "bioes"] | None = dataclasses.field(default=None, kw_only=True)
    words: bool = dataclasses.field(default=False, kw_only=True)
    chars: bool | Literal["cnn", "lstm"] = dataclasses.field(default=True, kw_only=True)
    forms: bool = dataclasses.field(default=True, kw_only=True)
    embedding: int | None = dataclasses.field(default=None, kw_only=True)
    rarity: float = dataclasses.field(default=0.25, kw_only=True)
    vectors: Any = dataclasses.field(default=None, kw_only=True)
    dropout: float = dataclasses.field(default=0.0, kw_only=True)
    second_weight: float = dataclasses.field(default=0.5, kw_only=True)

    _defaults: ClassVar[dict[str, Any]] = {**DEFAULTS, "epochs": 10, "averaging": SWA(0.8)}

    @abstractmethod
    def _core(self) -> Core:
        """The core between the inputs and the labels."""

    # -- learning --------------------------------------------------------------------------------

    def fit(self, x: Any, y: Any, *, second: Any = None, validation: Any = None) -> Self:
        """Learn from sequences and the label of every step.

        Parameters
        ----------
        x : sentences (lists of lists of words), or frames of numbers, or of numbers and columns of text; one or many.
        y : the labels in the same shape: text, whole numbers or truth values. None or NaN where not known; such a
            step teaches nothing, and a CRF sums over its labels.
        second : another label for every step, learnt beside the first (see `decode_second`).
        validation : a pair (x, y) that is watched and, with `patience`, tells when to stop.

        Raises
        ------
        ValueError : labels of another shape or of one kind only, labels that the constraints forbid, settings out of
            their range; where y asks for another task, the message says which model fits. TypeError : no such core.
        """
        self._check()
        data = Observed(x, "x")
        expect(self, "steps", y, given_lengths(data.frame))
        labels = step_labels(data.frame, y)
        others = None if second is None else step_labels(data.frame, second, "second")
        self._forget()
        start = self._read(data)
        self._tags, self._second_tags = (
            distinct_labels(labels),
            distinct_labels([] if others is None else others),
        )
        for name, known in (("y", self._tags), ("second", self._second_tags)):
            if len(known) < 2 and (name == "y" or second is not None):
                raise ValueError(
                    f"{name} holds {len(known)} kind(s) of labels {known}; a tagger needs two or more to tell apart"
                )
        examples = self._examples(data, labels, others)
        self._refuse_forbidden(data, examples)
        watched = None
        if validation is not None:
            held = Observed(validation[0], "validation[0]")
            watched = self._examples(held, step_labels(held.frame, validation[1], "validation[1]"))
        self._sequences, self._start = len(data), start
        try:
            self._train(examples, data.lengths, watched, f", {len(self._tags)} tags")
        finally:
            del self._start
        return self

    def _check(self) -> None:
        if self.constraints not in SCHEMES:
            raise ValueError(f"constraints must be one of {SCHEMES}, got {self.constraints!r}")
        if self.constraints is not None and not self.crf:
            raise ValueError(
                f"constraints={self.constraints!r} bind neighbouring labels; they need crf=True"
            )
        if self.chars not in (True, False, "cnn", "lstm"):
            raise ValueError(f'chars must be True, False, "cnn" or "lstm", got {self.chars!r}')
        if self.embedding is not None:
            check_count("embedding", self.embedding, 1)
        if not self.rarity >= 0:
            raise ValueError(f"rarity must not be negative, got {self.rarity!r}")
        if self.vectors is not None and not self.words:
            raise ValueError("vectors= are of words; they need words=True")

    def _read(self, data: Observed) -> Array | None:
        """Learn how `data` is read, and return the given vectors, the first row zero."""
        if not (self.words and data.numbers is None and len(data.symbols) == 1):
            if self.vectors is not None:
                raise ValueError(
                    "vectors= are of words, and x holds numbers or several columns; leave them out"
                )
            self._reader: Reader | WordReader = Reader(data)
            return None
        known, start = None, None
        if self.vectors is not None:
            known, found = read_vectors(self.vectors)
            start = np.concatenate([np.zeros_like(found[:1]), found])
        length = 0 if start is None else start.shape[1]
        self._reader = WordReader(
            data, spelling=bool(self.chars), forms=self.forms, rarity=self.rarity, known=known, length=length
        )  # fmt: skip
        if known is not None:  # in the order of the rows, whatever the vocabulary's own
            order = [0, *(1 + i for i in np.argsort(np.array(known, dtype=object), kind="stable"))]
            start = start[order]  # type: ignore[index]
        return start

    def _build(self) -> Aligned:
        from seqkit.nn.crf import bio
        from seqkit.tasks.aligned import Aligned

        reader = self._reader
        if isinstance(reader, WordReader):
            spelling = "lstm" if self.chars == "lstm" else "cnn"
            inputs: Any = reader.layer(
                vars(self).get("_start"), spelling=spelling, embedding=self.embedding or 100, dropout=self.dropout
            )  # fmt: skip
        else:
            inputs = reader.layer(embedding=self.embedding, dropout=self.dropout)
        allowed = None if self.constraints is None else bio(self._tags, self.constraints)
        return Aligned(
            inputs,
            self._core().build(inputs.size),
            len(self._tags),
            crf=self.crf,
            allowed=allowed,
            second=len(self._second_tags),
            weight=self.second_weight,
            dropout=self.dropout,
        )

    def _trainer(self) -> Trainer:
        trainer = super()._trainer()
        if self.trainer is None and self.epochs is None and self.steps is None:
            few = -(-LEAST * min(trainer.batch_size, self._sequences) // self._sequences)
            trainer.epochs = max(trainer.epochs or 1, few)
        return trainer

    def _examples(
        self, data: Observed, labels: Array | None = None, others: Any = None
    ) -> Examples:
        from seqkit.tasks.ragged import Examples, Ragged

        offsets = data.frame.offsets
        parts: dict[str, Any] = dict(self._reader.arrays(data))
        given = (("labels", labels, "_tags"), ("second", others, "_second_tags"))
        for name, found, known in given:
            if found is not None:
                parts[name] = Ragged(encode_labels(found, getattr(self, known)), offsets)
        return Examples(**parts)

    def _refuse_forbidden(self, data: Observed, examples: Examples) -> None:
        """Raises ValueError for labels that have probability zero."""
        if self.constraints is None:
            return
        from seqkit.nn.crf import bio

        allowed = bio(self._tags, self.constraints)
        codes: Array = examples.parts["labels"].values.numpy()  # type: ignore[union-attr]
        offsets = data.frame.offsets
        known = codes >= 0
        bad = np.zeros(len(codes), dtype=bool)
        bad[1:] = known[1:] & known[:-1] & ~allowed.transition[codes[:-1], codes[1:]]
        first, last = offsets[:-1], offsets[1:] - 1
        bad[first] = known[first] & ~allowed.start[codes[first]]
        bad[last] |= known[last] & ~allowed.end[codes[last]]
        if bad.any():
            row = int(np.argmax(bad))
            i = int(np.searchsorted(offsets, row, side="right") - 1)
            raise ValueError(
                f"y has {self._tags[codes[row]]!r} at step {row - offsets[i]} of {data.frame.label(i)}, which "
                f"constraints={self.constraints!r} forbids there; mend the labels or leave the constraints out"
            )

    # -- what was learnt -------------------------------------------------------------------------

    @property
    def tags_(self) -> list[Any]:
        """The labels, sorted."""
        self._fitted()
        return list(self._tags)

    @property
    def transition_(self) -> pd.DataFrame:
        """Scores of a label (columns) after another (rows), the beginning and the end called "<s>"; -inf: forbidden."""
        task = self._task()
        if task.crf is None:
            raise ValueError("a softmax at every step has no transitions; fit with crf=True")
        names = [*self._tags, BOUNDARY]
        start, transition, end = (x.detach().cpu().numpy() for x in task.crf.parameters_of_chain)
        whole = np.block([[transition, end[:, None]], [start[None, :], np.full((1, 1), -np.inf)]])
        return pd.DataFrame(whole, index=names, columns=names)

    # -- answering -------------------------------------------------------------------------------

    def decode(self, x: Any) -> pd.Series:
        """The most probable labels of whole sequences, on the index of `x`: with a CRF jointly (Viterbi)."""
        data, codes = self._decoded(x)
        return data.frame.restore(named(codes, self._tags), name="tag")

    def decode_second(self, x: Any) -> pd.Series:
        """The most probable label of the second layer at every step, on the index of `x`."""
        self._fitted()
        if not self._second_tags:
            raise ValueError("no second layer was learnt; give second= to fit")
        data, codes = self._decoded(x, second=True)
        return data.frame.restore(named(codes, self._second_tags), name="tag")

    def decode_proba(self, x: Any) -> pd.DataFrame:
        """P(label | the whole sequence) at every step, one column per label, on the index of `x`."""
        data, law = self._steps(x, lambda task, batch: task.marginals(batch))
        return data.frame.restore(law, self._tags)

    def k_best(self, x: Any, k: int = 5) -> tuple[pd.DataFrame, pd.Series]:
        """The k most probable labellings of one sequence.

        Returns
        -------
        The labels, a column per labelling, best first, on the index of `x`; and P(labelling | x) of each. There are
        fewer where the sequence has fewer.
        """
        check_count("k", k, 1)
        task, data = self._task(), Observed(x, "x")
        if len(data) > 1:
            raise ValueError(f"k_best takes one sequence, got {len(data)}; take them in turn")
        _, batch = next(self._asked(task, self._examples(data), data.lengths))
        paths, log_p = task.k_best(batch, k)
        ranks = pd.RangeIndex(1, len(paths) + 1, name="rank")
        tags = data.frame.restore(named(paths, self._tags).T, ranks)
        return tags, pd.Series(np.exp(log_p), index=ranks, name="probability")

    def score(self, x: Any, y: Any) -> float:
        """The share of steps whose decoded label is that of `y`, of those whose label is known.

        A label never seen in training is one that no step is given, and so counts as wrong.
        """
        data, codes = self._decoded(x)
        labels = step_labels(data.frame, y)
        known = np.array([label is not None for label in labels])
        if not known.any():
            raise ValueError("y holds no label at all; there is nothing to score")
        return float((encode_labels(labels, self._tags) == codes)[known].mean())

    def _decoded(self, x: Any, *, second: bool = False) -> tuple[Observed, Array]:
        return self._steps(x, lambda task, batch: task.decode(batch, second=second))

    def _steps(self, x: Any, answer: Any) -> tuple[Observed, Array]:
        """What `answer` (task, batch) gives at every step of `x`, end to end."""
        task, data = self._task(), Observed(x, "x")
        offsets, lengths = data.frame.offsets, data.lengths
        out: Array | None = None
        for numbers, batch in self._asked(task, self._examples(data), lengths):
            found = answer(task, batch).cpu().numpy()
            if out is None:
                out = np.empty((len(data.frame.values), *found.shape[2:]), found.dtype)
            steps = np.arange(found.shape[1])
            inside = steps < lengths[numbers][:, None]
            out[(offsets[numbers][:, None] + steps)[inside]] = found[inside]
        assert out is not None
        return data, out


@dataclasses.dataclass(eq=False, repr=False)
class Tagger(NetworkTagger):
    """A label for every step of a sequence, by any core.

        p(y | x) = prod_t softmax(W core(x)_t + b)[y_t],   or a CRF over the scores W core(x)_t + b

    What is read: frames of numbers (a series per channel), symbols, or both; with `words`, the words of a language.
    A causal core labels a step by what came before it, and so can go on with a running series; one in both
    directions sees what comes after as well.

    Parameters
    ----------
    core : what the core shall be, such as ``nn.TDNN((64, 64))`` or ``nn.Bidirectional(nn.GRU(64))``, nn being seqkit's.

    The others are those of every network that labels steps (see `NetworkTagger`).

    Attributes
    ----------
    tags_ : the labels, sorted. transition_ : scores of neighbouring labels, with a CRF. history_ : losses.

    Raises
    ------
    TypeError : a core that is none, or is built already.

    Examples
    --------
    >>> import pandas as pd, seqkit
    >>> load = pd.Series([0.1, 0.2, 5.0, 5.2, 0.0, 4.9] * 5, pd.date_range("2024-01-01", periods=30, freq="h"))
    >>> tagger = seqkit.Tagger(seqkit.nn.MLP(8), lr=0.05, steps=40).fit(load, load > 1)
    >>> tagger.decode(load)["2024-01-01 01:00":"2024-01-01 03:00"].tolist()
    [False, True, True]

    References
    ----------
    Graves, Schmidhuber (2005), Framewise phoneme classification with bidirectional LSTM, Neural Networks 18.
    """

    core: Any

    def __post_init__(self) -> None:
        if not isinstance(self.core, Core):
            kind = type(self.core).__name__
            raise TypeError(
                f"core must say what it shall be, such as seqkit.nn.LSTM(64); got {kind}"
            )

    def _check(self) -> None:
        self.__post_init__()  # set_params may have changed it
        super()._check()

    def _core(self) -> Core:
        core: Core = self.core
        return core


@dataclasses.dataclass(eq=False, repr=False)
class BiLSTMTagger(NetworkTagger):
    """Labels by an LSTM in both directions of time, for words, symbols, numbers or both.

        h = [LSTM forwards, LSTM backwards](x),   p(y | x) = prod_t softmax(W h_t + b)[y_t],   or a CRF

    A word is read as a vector of its own, its characters, and its prefixes, suffixes and shape, so that words never
    seen are judged by their form. Each label sees the whole sequence: what comes after a word often tells more than
    what came before. For the same reason it is no forecaster, and no judge of a series that still goes on.

    Parameters
    ----------
    hidden : units of each direction. layers : layers of each.

    The others are those of every network that labels steps (see `NetworkTagger`); here `words`
    is True and `dropout` 0.33.

    Attributes
    ----------
    tags_ : the labels, sorted. transition_ : scores of neighbouring labels, with a CRF. history_ : losses.

    Examples
    --------
    >>> sentences = [["the", "dog", "barks"], ["a", "cat", "sleeps"], ["the", "cat", "barks"]]
    >>> tagger = BiLSTMTagger(16, crf=True, steps=60, lr=0.01).fit(sentences, [["DET", "NOUN", "VERB"]] * 3)
    >>> tagger.decode([["a", "dog", "sleeps"]]).tolist()
    ['DET', 'NOUN', 'VERB']

    References
    ----------
    Huang, Xu, Yu (2015), Bidirectional LSTM-CRF models for sequence tagging, arXiv:1508.01991.
    Plank, Sogaard, Goldberg (2016), Multilingual part-of-speech tagging with bidirectional LSTM models, ACL.
    """

    hidden: int = 256
    layers: int = 1
    words: bool = dataclasses.field(default=True, kw_only=True)
    dropout: float = dataclasses.field(default=0.33, kw_only=True)

    def _core(self) -> Core:
        return Bidirectional(LSTM(self.hidden, self.layers))
