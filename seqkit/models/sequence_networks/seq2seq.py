"""Sequences to sequences of other lengths and other symbols: encoder, attention, decoder."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import pandas as pd

from seqkit.base import check_count
from seqkit.data.sequences import Array
from seqkit.distributions import Normal
from seqkit.nn.cores import LSTM, Bidirectional, Core, RecurrentCore
from seqkit.nn.heads import as_head

from ._inputs import Observed, Reader, names_of
from ._seq2seq_targets import NumberTargets, Written, is_text, targets_of, written
from .base import SequenceNetwork, Trained

if TYPE_CHECKING:
    import torch

    from seqkit.tasks.ragged import Examples, Ragged


@dataclasses.dataclass(eq=False, repr=False)
class Seq2Seq(SequenceNetwork):
    r"""An encoder reads a sequence, a decoder writes another one, of another length and of other symbols.

        h = encoder(x),   s_u = decoder(y_{u-1}, s_{u-1}),   c_u = sum_j a_uj h_j,
        p(y_u | y_<u, x) = softmax(V tanh(W [s_u, c_u])),    a_u = softmax over j of e(s_u, h_j)

    Inputs are symbols, numbers or both; text is a sequence of characters. Outputs are symbols up to an end symbol,
    or rows of numbers, each by the law of a head, with an end that is learnt too.

    Parameters
    ----------
    encoder : a core, any of `seqkit.nn`; one that looks both ways knows what follows.
    decoder : a recurrent core. It begins in a state that is made of the encoder's last one.
    attention : "additive", "dot", or None, where all that is known of the input is one vector.
    head : law of numbers, where these are written, such as ``seqkit.StudentT()``; ``seqkit.Normal()`` where None.
    embedding : length of the vector of a symbol; None chooses it by the size of the vocabulary.
    dropout : share of the features, of the encoder's outputs and of what the decoder says set to zero in training.
    smoothing : share of each symbol to be written that is spread over all symbols in training.
    sampling : share of what the decoder reads in training that it drew itself rather than the true output.
    feeding : the decoder reads what it said, and so what it looked at, one step before; it trains step by step.
    members : networks, each trained with a seed of its own, whose log-probabilities are averaged in decoding.
    unknown : in training, share of the input symbols that are taken for unknown ones, so that these have a meaning.

    The others are those of every network of sequences (see `SequenceNetwork`).

    Raises TypeError for a decoder that looks ahead or has no state.

    Source: Sutskever et al. (2014); Bahdanau et al. (2015) for "additive"; Luong et al. (2015) for "dot" and feeding.

    >>> model = Seq2Seq(LSTM(8), LSTM(8), steps=1).fit(["abc", "ca"], [["A", "B"], ["C"]])
    >>> isinstance(model.decode(["ab"])[0], list), model.alignment("abc", ["A"]).shape
    (True, (2, 3))
    """

    encoder: Core = dataclasses.field(default_factory=lambda: Bidirectional(LSTM(128)))
    decoder: Core = dataclasses.field(default_factory=lambda: LSTM(256))
    attention: Literal["additive", "dot"] | None = "additive"
    head: Any = dataclasses.field(default=None, kw_only=True)
    embedding: int | None = dataclasses.field(default=None, kw_only=True)
    dropout: float = dataclasses.field(default=0.0, kw_only=True)
    smoothing: float = dataclasses.field(default=0.0, kw_only=True)
    sampling: float = dataclasses.field(default=0.0, kw_only=True)
    feeding: bool = dataclasses.field(default=False, kw_only=True)
    members: int = dataclasses.field(default=1, kw_only=True)
    unknown: float = dataclasses.field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        for name in ("encoder", "decoder"):
            core = getattr(self, name)
            if not isinstance(core, Core):
                raise TypeError(f"{name} must be a core such as seqkit.nn.LSTM(128), got {core!r}")
        if not self.decoder.causal:
            raise TypeError(
                f"decoder={self.decoder!r} looks ahead, but what it would see there is still to be written; give a "
                "causal core, such as seqkit.nn.LSTM(256). The encoder may look both ways"
            )
        if not isinstance(self.decoder, RecurrentCore):
            raise TypeError(
                f"decoder={self.decoder!r} has no state that could begin where the encoder ended; give a recurrent "
                "core: seqkit.nn.LSTM, GRU or RNN"
            )
        if self.attention not in ("additive", "dot", None):
            raise ValueError(f'attention must be "additive", "dot" or None, got {self.attention!r}')

    # -- learning --------------------------------------------------------------------------------

    def fit(self, x: Any, y: Any, *, validation: tuple[Any, Any] | None = None) -> Self:
        """Learn to write the sequences `y` after reading the sequences `x`.

        Parameters
        ----------
        x : sequences of symbols (lists of str, or texts, read as characters), of numbers, or frames of both.
        y : as many sequences of symbols, which may be empty, or of numbers. Text is written character by character
            and comes back as text.
        validation : a pair (x, y) that is watched; with `patience` it tells when to stop.

        Raises
        ------
        ValueError : empty data, other numbers of sequences, targets of another task (the message says which model
            fits), values that the head forbids. TypeError : containers and values that are no sequences.
        """
        check_count("members", self.members, 1)
        if self.embedding is not None:
            check_count("embedding", self.embedding, 1)
        self.__post_init__()
        observed = Observed(x, "x", spelt=True)
        outputs = written(self, y, observed)
        if outputs.symbols and self.head is not None:
            raise ValueError(f"head={self.head!r} is a law of numbers, but y holds symbols")
        if self.smoothing and not outputs.symbols:
            raise ValueError(f"smoothing={self.smoothing!r} is of symbols, but y holds numbers")
        self._forget()
        self._reader = Reader(observed)
        self._targets = targets_of(outputs, is_text(y), as_head(self.head or Normal()))
        data = self._examples(observed, self._targets.ragged(outputs))
        watched = None if validation is None else self._pair(*validation)[1]
        self._ratio = float(outputs.lengths.sum() / observed.lengths.sum())
        self._longest = int(outputs.lengths.max())
        lengths = np.maximum(observed.lengths, outputs.lengths)
        self._others: list[Trained] = []
        trained: list[Trained] = []
        for member in range(self.members):
            self._train(data, lengths, watched, f" to {self._targets.describe()}", member)
            trained.append(self._network)
        self._network, self._others = trained[0], trained[1:]
        return self

    def _pair(self, x: Any, y: Any) -> tuple[Written, Examples]:
        """Inputs and outputs as examples for the fitted vocabularies."""
        observed = Observed(x, "x", spelt=True)
        outputs = written(self, y, observed)
        return outputs, self._examples(observed, self._targets.ragged(outputs))

    def _examples(self, observed: Observed, target: Ragged | None = None) -> Examples:
        from seqkit.tasks.ragged import Examples

        return Examples(**self._reader.arrays(observed), target=target)

    def _build(self) -> torch.nn.Module:
        from seqkit.nn.cross_attention import AdditiveAttention, DotAttention
        from seqkit.tasks.seq2seq import SequenceToSequence, decoder_inputs

        layer = self._reader.layer(
            embedding=self.embedding, dropout=self.dropout, unknown=self.unknown
        )
        encoder = self.encoder.build(layer.size)
        width = self.decoder.hidden  # type: ignore[attr-defined]
        output = self._targets.output(width, self.embedding, self.smoothing)
        attends = self.attention is not None
        inputs = decoder_inputs(output.size, width, attention=attends, feeding=self.feeding)
        forms = {"additive": AdditiveAttention, "dot": DotAttention}
        attention = forms[self.attention](width, encoder.size) if self.attention else None
        return SequenceToSequence(
            layer, encoder, attention, self.decoder.build(inputs), output,
            dropout=self.dropout, sampling=self.sampling, feeding=self.feeding,
        )  # fmt: skip

    # -- answering -------------------------------------------------------------------------------

    def decode(
        self,
        x: Any,
        *,
        beam: int = 5,
        n_best: int | None = None,
        length_penalty: float = 0.0,
        max_length: int | None = None,
    ) -> Any:
        """The likeliest output of every sequence, by beam search; numbers are written row after row by their points.

        Parameters
        ----------
        beam : unfinished outputs that are kept at every step, at least `n_best`; 1 is greedy.
        n_best : give the best so many of each, in a table, rather than the best alone.
        length_penalty : towards 1, longer outputs gain (Wu et al. 2016).
        max_length : most steps of an output; None for what the lengths in training make likely, and more.

        Returns
        -------
        A list with the symbols of every output (its text, where the model learnt from texts), or with arrays of
        numbers. With `n_best`, a DataFrame with columns ``output, log_prob, score`` and a row for each sequence and
        rank; log_prob in nats, its end counted.

        Raises
        ------
        NotFittedError; ValueError : other columns than in `fit`, an empty sequence, numbers out of range.
        """
        import torch

        self._fitted()
        observed = Observed(x, "x", spelt=True)
        limits = self._limits(observed.lengths, max_length)
        if isinstance(self._targets, NumberTargets):
            if n_best is not None:
                raise ValueError(
                    "n_best= is for outputs that are symbols; numbers have no list of best ones"
                )
            return self._written_numbers(observed, limits)
        found: list[Any] = [None] * len(observed)
        best = 1 if n_best is None else n_best
        check_count("beam", beam, 1)
        check_count("n_best", best, 1)
        options = {"beam": max(beam, best), "n_best": best, "length_penalty": length_penalty}
        with torch.inference_mode():
            for numbers, batch, tasks in self._batches(observed):
                hypotheses = searched(tasks, batch, limits[numbers], options)
                for number, ranked in zip(numbers, hypotheses, strict=True):
                    found[number] = ranked
        restore = self._targets.restore
        if n_best is None:
            return [restore(ranked[0].tokens) for ranked in found]
        rows = {
            (key, rank): (restore(one.tokens), one.log_prob, one.score)
            for key, ranked in zip(names_of(observed), found, strict=True)
            for rank, one in enumerate(ranked, 1)
        }
        index = pd.MultiIndex.from_tuples(list(rows), names=["sequence", "rank"])
        return pd.DataFrame(list(rows.values()), index, columns=["output", "log_prob", "score"])

    def alignment(self, x: Any, y: Any = None) -> pd.DataFrame:
        """What the decoder looked at: weights (steps of the output x steps of the input), each row adding up to one.

        Parameters
        ----------
        x : one sequence. y : its output; None for the best one of a beam of 5.

        Returns
        -------
        A DataFrame; the last row is that of the end symbol, ``<end>``, where outputs are symbols.

        Raises
        ------
        ValueError : a model without attention, several sequences.

        Source: Bahdanau et al. (2015), fig. 3.
        """
        import torch

        self._fitted()
        if self.attention is None:
            raise ValueError(
                'this model has no attention to look at; fit one with attention="additive"'
            )
        alone = _alone(x, self._reader)
        observed = Observed(alone, "x", spelt=True)
        if len(observed) != 1:
            raise ValueError(f"an alignment is that of one sequence, got {len(observed)}; give one")
        outputs, data = self._pair(alone, self.decode(alone) if y is None else [y])
        with torch.inference_mode():
            looked = [
                task(batch)[1]
                for task in self._members()
                for _, batch in self._asked(task, data, observed.lengths)
            ]
        weights = torch.stack(looked).mean(0)[0].cpu().double().numpy()
        symbols = observed.symbols
        columns = symbols[0].values[:, 0] if len(symbols) == 1 else range(weights.shape[1])
        return pd.DataFrame(
            weights,
            pd.Index(self._targets.labels(outputs), name="output"),
            pd.Index(columns, name="input"),
        )

    def score(self, x: Any, y: Any) -> float:
        """Mean log probability of an output step, in nats and in the units of `y`, the ends counted.

        Where the end is not learnt, since all outputs are equally long, a step of which all is missing does not count.

        Raises
        ------
        ValueError : outputs with symbols that the model never wrote, besides what `fit` raises.
        """
        import torch

        self._fitted()
        outputs, data = self._pair(x, y)
        tasks, total = self._members(), 0.0
        target: torch.Tensor = data.parts["target"].lengths  # type: ignore[union-attr]
        with torch.inference_mode():
            for _, batch in self._asked(tasks[0], data, target.numpy()):
                raws = [task(batch)[0] for task in tasks]
                total += float(self._targets.log_probs(raws, batch["target"]).sum())
        count = int(target.sum()) - self._targets.untold(outputs)
        if not count:
            raise ValueError("y holds no number at all; there is nothing to score")
        return total / count

    # -- inside ----------------------------------------------------------------------------------

    def _members(self) -> list[Any]:
        """All trained networks, in evaluation mode."""
        import torch

        tasks = [self._task()]
        for network in self._others:
            weights = {name: torch.from_numpy(w) for name, w in network.weights.items()}
            tasks.append(copy.deepcopy(tasks[0]))
            tasks[-1].load_state_dict(weights)
        return tasks

    def _limits(self, lengths: Array, max_length: int | None) -> Array:
        if max_length is not None:
            check_count("max_length", max_length, 1)
            return np.full(len(lengths), max_length)
        return np.maximum(self._longest, np.ceil(2 * self._ratio * lengths).astype(np.int64)) + 5

    def _batches(self, observed: Observed) -> Iterator[tuple[Array, Any, list[Any]]]:
        tasks, data = self._members(), self._examples(observed)
        for numbers, batch in self._asked(tasks[0], data, observed.lengths):
            yield numbers, batch, tasks

    def _written_numbers(self, observed: Observed, limits: Array) -> list[Array]:
        """Rows of numbers by their points, each sequence up to the step that is likelier the last one than not."""
        import torch

        found: list[Any] = [None] * len(observed)
        with torch.inference_mode():
            for numbers, batch, tasks in self._batches(observed):
                rows = self._targets.write(tasks, batch, limits[numbers])  # type: ignore[union-attr]
                for number, one in zip(numbers, rows, strict=True):
                    found[number] = one
        return found


def searched(
    tasks: list[Any], batch: dict[str, Any], limits: Array, options: dict[str, Any]
) -> list[Any]:
    """The hypotheses of a batch by the mean of the networks' log-probabilities."""
    import torch

    from seqkit.tasks.beam import beam_search
    from seqkit.tasks.seq2seq_outputs import BOUNDARY

    steps, states = zip(*(task.searched(batch) for task in tasks), strict=True)

    def step(tokens: torch.Tensor, state: Any) -> tuple[torch.Tensor, Any]:
        answers = [one(tokens, part) for one, part in zip(steps, state, strict=True)]
        laws = [law for law, _ in answers]
        law = laws[0] if len(laws) == 1 else torch.stack(laws).mean(0).log_softmax(-1)
        return law, tuple(after for _, after in answers)

    device = next(tasks[0].parameters()).device
    start = torch.full((len(limits),), BOUNDARY, device=device)
    longest = torch.from_numpy(limits).to(device)
    return beam_search(step, start, tuple(states), end=BOUNDARY, max_length=longest, **options)


def _alone(x: Any, reader: Reader) -> Any:
    """One sequence as a list of one: a text, a list of symbols that the model knows, or of numbers."""
    if not isinstance(x, (list, tuple)):
        return x if isinstance(x, dict) else [x]
    if all(isinstance(step, str) for step in x):
        known = reader.vocabulary.symbols[1:] if reader.vocabularies else []
        letters = all(len(symbol) == 1 for symbol in known)
        return x if letters and any(len(step) > 1 for step in x) else [list(x)]
    return [x] if all(np.isscalar(step) for step in x) else x
