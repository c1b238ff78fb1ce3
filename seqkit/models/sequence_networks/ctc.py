"""Transcribers: frames to transcripts, by connectionist temporal classification."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import pandas as pd

from seqkit.base import check_count
from seqkit.data.sequences import Array
from seqkit.kernels import ctc as kernel
from seqkit.kernels.ctc_beam import Transcript, prefix_beam
from seqkit.nn.cores import LSTM, Bidirectional, Core

from ._ctc_prior import Prior, prior_of
from ._inputs import Observed, Reader, names_of
from ._transcripts import Labels, Transcripts
from .base import SequenceNetwork

if TYPE_CHECKING:
    import torch

    from seqkit.tasks.ragged import Examples


@dataclasses.dataclass(eq=False, repr=False)
class CTC(SequenceNetwork):
    r"""Transcripts of sequences that nobody has aligned, by connectionist temporal classification.

        p(l | x) = sum over paths that collapse to l of prod_t softmax(W core(x)_t + b)[path_t]

    A path gives every frame a label or the blank; it collapses by merging repeats and taking the blanks out. So a
    transcript has no more labels than there are frames, and its labels are independent of each other given x.

    Parameters
    ----------
    core : any core of `seqkit.nn`; one that looks both ways reads better than one that does not.
    upsample : frames for every step of x, where transcripts may be longer than x (letters to phonemes).
    too_long : what `fit` does with a transcript that takes more frames than there are: "raise", or "drop" it; the
        names of those are in `dropped_`.
    embedding : length of the vector of a symbol; None chooses it by the size of the vocabulary.
    dropout : share of the features and of the core's outputs set to zero in training.
    unknown : in training, share of the input symbols taken for unknown ones, so that these have a meaning.

    The others are those of every network of sequences (see `SequenceNetwork`).

    Attributes
    ----------
    labels_ : the labels, the most frequent one first. dropped_ : names of the sequences that were not learnt from.

    Raises
    ------
    TypeError : a core that is none, or built already. ValueError : numbers out of range.

    Source: Graves, Fernandez, Gomez, Schmidhuber (2006); the search of `decode` by Hannun et al. (2014).

    >>> import numpy as np
    >>> from seqkit.nn import MLP
    >>> frames = [np.eye(3)[[0, 1, 1, 0, 2, 2]], np.eye(3)[[2, 0, 1, 0, 1]]] * 10
    >>> model = CTC(MLP(16), steps=60, lr=0.05).fit(frames, ["ab", "baa"] * 10)
    >>> model.decode(frames[:2], beam=4)
    ['ab', 'baa']
    """

    core: Core = dataclasses.field(default_factory=lambda: Bidirectional(LSTM(128)))
    upsample: int = 1
    too_long: Literal["raise", "drop"] = dataclasses.field(default="raise", kw_only=True)
    embedding: int | None = dataclasses.field(default=None, kw_only=True)
    dropout: float = dataclasses.field(default=0.0, kw_only=True)
    unknown: float = dataclasses.field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        if not isinstance(self.core, Core):
            raise TypeError(
                f"core must be a core that is not built yet, such as seqkit.nn.LSTM(128); got {self.core!r}"
            )
        check_count("upsample", self.upsample, 1)
        if self.embedding is not None:
            check_count("embedding", self.embedding, 1)
        if self.too_long not in ("raise", "drop"):
            raise ValueError(f'too_long must be "raise" or "drop", got {self.too_long!r}')

    # -- learning --------------------------------------------------------------------------------

    def fit(self, x: Any, y: Any, *, validation: tuple[Any, Any] | None = None) -> Self:
        """Learn to transcribe.

        Parameters
        ----------
        x : sequences of numbers, of symbols (lists of str, or texts, read as characters), or frames of both. Missing
            numbers are allowed.
        y : their transcripts: lists of labels, or texts, which are written character by character and come back as
            text; a dict goes by the names of the sequences. A transcript may be empty.
        validation : a pair (x, y) that is watched; with `patience` it tells when to stop.

        Raises
        ------
        ValueError : a transcript that takes more frames than there are (the first one is named), other numbers of
            sequences and transcripts, targets of another task (the message says which model fits).
        TypeError : labels that are neither text nor whole numbers.
        """
        self.__post_init__()
        data = Observed(x, "x", spelt=True)
        given = Transcripts(self, y, data)
        self._forget()
        self._reader, self._labels = Reader(data), Labels(given)
        examples, kept = self._pairs(data, given)
        watched = None
        if validation is not None:
            other = Observed(validation[0], "validation x", spelt=True)
            watched, _ = self._pairs(other, Transcripts(self, validation[1], other))
        self._dropped = [key for key, fits in zip(data.frame.keys, kept, strict=True) if not fits]
        what = f", {len(self._labels.names) - 1} labels"
        self._train(examples, data.lengths[kept], watched, what)
        return self

    def _pairs(self, data: Observed, given: Transcripts) -> tuple[Examples, Array]:
        """Inputs and codes of the transcripts that fit into their frames, and which those are."""
        import torch

        from seqkit.tasks.ragged import Examples, Ragged

        codes, ends = self._labels.codes(given)
        fits = self._fitting(data, codes, ends, refuse=self.too_long == "raise")
        if not fits.any():
            raise ValueError(
                f"none of the {len(fits)} transcripts fits into its frames; raise upsample={self.upsample}"
            )
        examples = Examples(**self._reader.arrays(data), labels=Ragged(codes, ends))
        if not fits.all():
            examples = examples.select(torch.from_numpy(np.flatnonzero(fits)))
        return examples, fits

    def _fitting(self, data: Observed, codes: Array, ends: Array, *, refuse: bool) -> Array:
        """Whether every transcript has frames enough; with `refuse`, ValueError for the first one that has not."""
        least, frames = kernel.shortest(codes, ends), data.lengths * self.upsample
        if refuse and (least > frames).any():
            i = int(np.argmax(least > frames))
            raise ValueError(
                f"the transcript of {data.frame.label(i)} has {ends[i + 1] - ends[i]} labels and takes {least[i]} "
                f"frames (one each, and a blank between equal ones), but {data.lengths[i]} steps with "
                f"upsample={self.upsample} give {frames[i]}; use upsample={-(-least[i] // data.lengths[i])}, leave it "
                'out, or fit with too_long="drop"'
            )
        return least <= frames

    def _build(self) -> torch.nn.Module:
        from seqkit.tasks.ctc import Unaligned

        layer = self._reader.layer(
            embedding=self.embedding, dropout=self.dropout, unknown=self.unknown
        )
        labels = len(self._labels.names) - 1
        core = self.core.build(layer.size)
        return Unaligned(layer, core, labels, upsample=self.upsample, dropout=self.dropout)

    @property
    def labels_(self) -> list[Any]:
        self._fitted()
        return self._labels.names[1:]

    @property
    def dropped_(self) -> list[Any]:
        self._fitted()
        return list(self._dropped)

    # -- answering -------------------------------------------------------------------------------

    def decode(
        self,
        x: Any,
        *,
        beam: int = 1,
        n_best: int | None = None,
        lm: Any = None,
        lm_weight: float = 1.0,
        bonus: float = 0.0,
    ) -> Any:
        """The likeliest transcript of every sequence, by prefix beam search.

            score(l) = log p(l | x) + lm_weight log p_lm(l) + bonus |l|

        Parameters
        ----------
        beam : prefixes that are kept at every frame. With 1, and nothing but the frames to go by, it is the best path,
            collapsed, without a search.
        n_best : give the best so many of each, in a table, rather than the best alone.
        lm : a language model of labels: a `seqkit.MarkovChain` of order 1, a `seqkit.SequenceGenerator`, or an object
            with ``next_log_probs(prefixes)``, a frame of log p by prefix (rows) and label (columns; None is the end).
        lm_weight, bonus : what the language model, and every label, count.

        Returns
        -------
        A list with the labels of every transcript (its text, where the model learnt from texts). With `n_best`, a
        DataFrame with columns ``output, log_prob, score`` and a row for each sequence and rank; log_prob is exact.

        Raises
        ------
        NotFittedError; ValueError : other columns than in `fit`, numbers out of range. TypeError : another `lm`.

        Source: Graves et al. (2006) for the best path; Hannun et al. (2014).
        """
        self._fitted()
        check_count("beam", beam, 1)
        if n_best is not None:
            check_count("n_best", n_best, 1)
        data = Observed(x, "x", spelt=True)
        prior = prior_of(lm, lm_weight, bonus, self._labels)
        if n_best is not None:
            return self._table(data, max(beam, n_best), n_best, prior)
        found: list[Any] = [None] * len(data)
        for number, log_y in self._frames(data):
            if beam == 1 and prior is None:
                codes = kernel.best_path(log_y)
            else:
                codes = prefix_beam(log_y, beam, 1, prior)[0].labels
            found[number] = self._labels.restore(codes)
        return found

    def _table(self, data: Observed, beam: int, n: int, prior: Prior | None) -> pd.DataFrame:
        found: list[list[Transcript]] = [[] for _ in range(len(data))]
        for number, log_y in self._frames(data):
            found[number] = exactly(log_y, prefix_beam(log_y, beam, n, prior))
        rows = {
            (key, rank): (self._labels.restore(one.labels), one.log_probability, one.score)
            for key, best in zip(names_of(data), found, strict=True)
            for rank, one in enumerate(best, 1)
        }
        index = pd.MultiIndex.from_tuples(list(rows), names=["sequence", "rank"])
        return pd.DataFrame(list(rows.values()), index, columns=["output", "log_prob", "score"])

    def decode_proba(self, x: Any) -> pd.DataFrame:
        """The probability of every label at every frame, given the whole sequence; the column "" is the blank.

        On the index of `x`; with `upsample`, a level ``frame`` counts the frames of a step.
        """
        data = Observed(x, "x", spelt=True)
        laws = self._each(data)
        return self._on_frames(data, np.exp(np.concatenate(laws)), self._labels.names)

    def align(self, x: Any, y: Any) -> pd.DataFrame:
        """Which label of its transcript every frame belongs to, by the best path through it (Viterbi 1967).

        Returns
        -------
        A DataFrame on the index of `x` (with `upsample`, and a level ``frame``): ``label``, "" for a blank;
        ``position``, that label's place in the transcript from 0 on, -1 for a blank; ``posterior``, the probability
        that the frame belongs there, of all paths of the transcript.

        Raises
        ------
        ValueError : a transcript that takes more frames than there are, and what `score` raises.

        Source: Graves et al. (2006), section 4; Kuerzinger et al. (2020) for the use of it.
        """
        data, codes, ends = self._paired(x, y)
        self._fitting(data, codes, ends, refuse=True)
        names = np.array(self._labels.names, dtype=object)
        parts = []
        for i, log_y in enumerate(self._each(data)):
            own = codes[ends[i] : ends[i + 1]]
            found = kernel.align(log_y, own)
            shown = names[np.append(own, 0)[found.labels]]
            parts.append((shown, found.labels, found.posterior))
        label, position, posterior = (np.concatenate(part) for part in zip(*parts, strict=True))
        frame = self._on_frames(data, np.stack([position, posterior], 1), ["position", "posterior"])
        frame.insert(0, "label", self._on_frames(data, label[:, None], ["label"])["label"])
        return frame.astype({"position": np.int64})

    def log_prob(self, x: Any, y: Any) -> pd.Series:
        """log p(transcript | sequence) of every pair, in nats, by the names of the sequences.

        It is -inf for a transcript that takes more frames than there are. Raises what `score` raises.
        """
        data, codes, ends = self._paired(x, y)
        found = np.empty(len(data))
        for i, log_y in self._frames(data):
            own = codes[ends[i] : ends[i + 1]]
            found[i] = kernel.log_likelihood(log_y[None], [len(log_y)], own, [0, len(own)])[0]
        return pd.Series(found, index=names_of(data), name="log_prob")

    def score(self, x: Any, y: Any) -> float:
        """Mean log probability of a label, in nats: log p of all transcripts over the number of their labels.

        Raises
        ------
        ValueError : labels that the training data did not have, no label at all, targets of another task.
        """
        _, codes, _ = self._paired(x, y)
        if not len(codes):
            raise ValueError("y holds no label, so that there is no mean of them; see log_prob")
        return float(self.log_prob(x, y).sum() / len(codes))

    # -- inside ----------------------------------------------------------------------------------

    def _paired(self, x: Any, y: Any) -> tuple[Observed, Array, Array]:
        """The sequences, and the codes of their transcripts."""
        self._fitted()
        data = Observed(x, "x", spelt=True)
        return data, *self._labels.codes(Transcripts(self, y, data))

    def _frames(self, data: Observed) -> Iterator[tuple[int, Array]]:
        """The number of every sequence, not in order, and log p of the classes of its frames, (T, K) float64."""
        import torch

        from seqkit.tasks.ragged import Examples

        task = self._task()
        examples = Examples(**self._reader.arrays(data))
        with torch.inference_mode():
            for numbers, batch in self._asked(task, examples, data.lengths):
                log_y, lengths = (part.cpu().numpy() for part in task.log_probabilities(batch))
                for row, number in enumerate(numbers):
                    yield int(number), log_y[row, : lengths[row]]

    def _each(self, data: Observed) -> list[Array]:
        """log p of the classes of all frames, in the order of the sequences."""
        found: list[Any] = [None] * len(data)
        for number, log_y in self._frames(data):
            found[number] = log_y
        return found

    def _on_frames(self, data: Observed, values: Array, columns: list[Any]) -> pd.DataFrame:
        """Rows of all frames on the caller's index."""
        frame, k = data.frame, self.upsample
        if k == 1:
            return frame.restore(values, columns)
        kept = frame.restore(np.arange(len(frame.values)))
        index = kept.index.repeat(k)
        levels = [index.get_level_values(level) for level in range(index.nlevels)]
        count = np.tile(np.arange(k), len(kept))
        index = pd.MultiIndex.from_arrays([*levels, count], names=[*index.names, "frame"])
        rows = (kept.to_numpy()[:, None] * k + np.arange(k)).ravel()
        return pd.DataFrame(values[rows], index=index, columns=pd.Index(columns))


def exactly(log_y: Array, found: list[Transcript]) -> list[Transcript]:
    """The transcripts by the probability of all their paths, those that the search lost among them; best first."""
    ends = np.cumsum([0, *(len(one.labels) for one in found)])
    labels = np.concatenate([one.labels for one in found])
    n = len(found)
    log_p = kernel.log_likelihood(
        np.repeat(log_y[None], n, 0), np.full(n, len(log_y)), labels, ends
    )
    better = [
        Transcript(one.labels, float(p), float(p) + one.score - one.log_probability)
        for one, p in zip(found, log_p, strict=True)
    ]
    return sorted(better, key=lambda one: -one.score)
