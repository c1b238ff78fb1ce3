"""What a sequence-to-sequence model writes: symbols or numbers, from what the caller gives and back to it."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from seqkit.data.sequences import Array
from seqkit.data.vocabulary import Vocabulary
from seqkit.nn.heads import Head
from seqkit.persistence import Record

from ._inputs import Observed
from ._targets import by_name, expect, is_named

if TYPE_CHECKING:
    from seqkit.tasks.ragged import Padded, Ragged
    from seqkit.tasks.seq2seq_outputs import Output

END = "<end>"


class Written(NamedTuple):
    """Outputs end to end, as the caller gave them."""

    values: Array  # (total, channels) float64, or (total, 1) of str
    offsets: Array  # (n + 1,)
    flat: bool  # given as plain numbers, not as rows

    @property
    def lengths(self) -> Array:
        return np.diff(self.offsets)

    @property
    def symbols(self) -> bool:
        return self.values.dtype == object


def written(model: Any, y: Any, x: Observed) -> Written:
    """The outputs for inputs `x`; texts are sequences of characters, and a dict goes by the names of the inputs.

    Raises ValueError where they ask for another task, or are not as many as the inputs.
    """
    if isinstance(y, dict):
        keys = x.frame.keys
        if set(y) != set(keys):
            odd = next(iter(set(y) ^ set(keys)))
            raise ValueError(
                f"{odd!r} is a name of x or of y, but not of both; name outputs as their inputs"
            )
        y = [y[key] for key in keys]
    elif isinstance(y, pd.Series):
        y = by_name(y, x, x.frame.keys)
    expect(model, "sequence", [list(one) for one in y] if is_text(y) else y, x.lengths)
    rows = y if isinstance(y, (list, tuple)) else ()  # of which some may be empty
    there = np.array([not hasattr(one, "__len__") or len(one) > 0 for one in rows], bool)
    if there.all():
        values, flat, lengths = _read(y, () if x.frame.single else x.frame.keys)
    elif not there.any():
        values, flat, lengths = np.empty((0, 1), object), False, np.zeros(len(there), np.int64)
    else:
        values, flat, found = _read([one for one, full in zip(rows, there, strict=True) if full])
        if values.dtype != object:
            place = int(np.argmin(there))
            raise ValueError(f"y[{place}] is empty; outputs of numbers have a step or more")
        lengths = np.zeros(len(there), np.int64)
        lengths[there] = found
    if len(lengths) != len(x):
        raise ValueError(
            f"x has {len(x)} sequences and y has {len(lengths)}; give one output for each input"
        )
    return Written(values, np.concatenate([[0], np.cumsum(lengths)]), flat)


def _read(y: Any, keys: tuple[Hashable, ...] = ()) -> tuple[Array, bool, Array]:
    """Values end to end, whether they were given as plain numbers, and lengths; a panel by its names, `keys`."""
    observed = Observed(y, "y", spelt=True)
    if len(observed.symbols) + (observed.numbers is not None) > 1:
        raise ValueError("y has several kinds of columns; outputs are symbols or numbers, not both")
    frame = observed.frame
    if is_named(y) and keys and keys != tuple(range(len(keys))):
        if set(frame.keys) != set(keys):
            odd = next(iter(set(frame.keys) ^ set(keys)))
            raise ValueError(
                f"{odd!r} is a name of x or of y, but not of both; name outputs as their inputs"
            )
        place = {key: i for i, key in enumerate(frame.keys)}
        frame = frame.subset(place[key] for key in keys)
    return frame.values, frame.columns == (None,), frame.lengths


def is_text(y: Any) -> bool:
    """Whether the outputs are texts, rather than lists of symbols."""
    if isinstance(y, dict):
        y = y.values()
    panel = hasattr(y, "index") and isinstance(y.index, pd.MultiIndex)
    if panel or isinstance(y, pd.DataFrame) or not hasattr(y, "__iter__"):
        return False
    return all(isinstance(one, str) for one in y)


class SymbolTargets(Record):
    """Symbols, the end among them as code 0.

    >>> y = Written(np.array([["a"], ["b"], ["a"]], object), np.array([0, 2, 2, 3]), False)
    >>> targets = SymbolTargets(y, texts=False)
    >>> targets.ragged(y).values.tolist(), targets.restore([2, 1])
    ([1, 2, 0, 0, 1, 0], ['b', 'a'])
    """

    def __init__(self, y: Written, texts: bool):
        self.texts = texts
        symbols = y.values[:, 0]
        if not len(symbols):
            raise ValueError("all outputs are empty; there is nothing to learn")
        if END in symbols:
            raise ValueError(
                f"y holds the symbol {END!r}, which stands for the end; give it another name"
            )
        self.vocabulary = Vocabulary(symbols, unknown=END)

    def ragged(self, y: Written) -> Ragged:
        """Codes, each sequence with its end.

        Raises ValueError for numbers, and for symbols that the training data do not have.
        """
        from seqkit.tasks.ragged import Ragged

        if not y.symbols:
            raise ValueError(
                "y holds numbers, but the model writes symbols; give what fit was given"
            )
        codes = self.vocabulary.encode(y.values[:, 0])
        if (codes == 0).any():
            symbol = y.values[int(np.argmin(codes != 0)), 0]
            raise ValueError(
                f"y holds {symbol!r}, which was in no output of the training data, so the model cannot write it"
            )
        ended = np.insert(codes, y.offsets[1:], 0)
        return Ragged(ended, y.offsets + np.arange(len(y.offsets)))

    def output(self, width: int, embedding: int | None, smoothing: float) -> Output:
        from seqkit.tasks.seq2seq_outputs import Symbols

        return Symbols(width, len(self.vocabulary), embedding=embedding, smoothing=smoothing)

    def restore(self, codes: list[int]) -> Any:
        """As the caller gave outputs: a list of symbols, or text."""
        symbols = self.vocabulary.decode(codes)
        return "".join(symbols) if self.texts else symbols

    def labels(self, y: Written) -> list[str]:
        """Of the steps of one output."""
        return [*y.values[:, 0], END]

    def log_probs(self, raws: list[Any], target: Padded) -> Array:
        """Log probability of every sequence of a batch, by the mean of the networks' log-probabilities."""
        import torch

        laws = torch.stack([raw.double().log_softmax(-1) for raw in raws]).mean(0).log_softmax(-1)
        each = laws.gather(-1, target.values.unsqueeze(-1)).squeeze(-1)
        if target.mask is not None:
            each = each.masked_fill(~target.mask, 0.0)
        return each.sum(1).cpu().numpy()

    def untold(self, y: Written) -> int:
        """Steps that nothing is known of."""
        return 0

    def describe(self) -> str:
        return f"{len(self.vocabulary) - 1} symbols"


class NumberTargets(Record):
    """Rows of numbers, scaled by their mean and spread in the training data.

    Where all outputs of the training data have one length, all that is written has it too; else the end is learnt.

    >>> from seqkit.nn.heads import as_head
    >>> from seqkit.distributions import Normal
    >>> y = Written(np.array([[1.0], [3.0], [2.0]]), np.array([0, 2, 3]), True)
    >>> NumberTargets(y, as_head(Normal())).ragged(y).values[:, 0].round(decimals=2).tolist()
    [-1.22..., 1.22..., 0.0]
    """

    def __init__(self, y: Written, head: Head):
        if head.constant_spread:
            raise TypeError(
                f"{head!r} has no law of its own, so that outputs have no score; use seqkit.Normal()"
            )
        values = y.values
        if np.isnan(values).all(axis=0).any():
            raise ValueError("y has a channel without a single number; leave it out")
        head.check(values, "y")
        self.head, self.flat = head, y.flat
        lengths = np.unique(y.lengths)
        self.length = int(lengths[0]) if len(lengths) == 1 and len(y.lengths) > 1 else None
        self.centre = np.nanmean(values, axis=0) if head.shifted else np.zeros(values.shape[1])
        self.scale = np.nanstd(values, axis=0)
        self.scale[self.scale == 0] = 1.0

    def ragged(self, y: Written) -> Ragged:
        """Scaled rows, NaN where missing. Raises ValueError for symbols and another width."""
        from seqkit.tasks.ragged import Ragged

        if y.symbols or y.values.shape[1] != len(self.scale):
            raise ValueError(f"y must have {len(self.scale)} numbers in every step, as in fit")
        if self.length is not None and (y.lengths != self.length).any():
            raise ValueError(
                f"y has outputs of {y.lengths.min()} to {y.lengths.max()} steps, but all that the model learnt from "
                f"had {self.length}; give as many"
            )
        values = y.values
        self.head.check(values, "y")
        scaled = (values - self.centre) / self.scale if self.head.shifted else values
        return Ragged(scaled.astype(np.float32), y.offsets)

    def output(self, width: int, embedding: int | None, smoothing: float) -> Output:
        from seqkit.tasks.seq2seq_outputs import Numbers

        return Numbers(width, self.head, self.scale.tolist(), ends=self.length is None)

    def labels(self, y: Written) -> list[int]:
        """Of the steps of one output."""
        return list(range(int(y.lengths[0])))

    def log_probs(self, raws: list[Any], target: Padded) -> Array:
        """Log density of every sequence of a batch, that of its length among it; an equal mixture of the networks."""
        values = target.values.cpu().double().numpy()
        values = values * self.scale + self.centre if self.head.shifted else values
        lengths = target.lengths.cpu().numpy()[:, None]
        steps = np.arange(values.shape[1])
        seen = ~np.isnan(values) & (steps < lengths)[..., None]
        lawful = np.where(seen, values, np.ceil(self.scale))
        sign = np.where(steps == lengths - 1, 1.0, -1.0)
        totals = []
        for raw in raws:
            numbers, end = self._parts(raw)
            law = self.head.distribution(numbers, self.centre, self.scale)
            each = np.where(seen, law.log_prob(lawful), 0.0).sum(-1)
            if end is not None:
                each = each - np.logaddexp(0.0, -sign * end)
            totals.append(np.where(steps < lengths, each, 0.0).sum(1))
        return np.logaddexp.reduce(totals) - np.log(len(totals))

    def _parts(self, raw: Any) -> tuple[Array, Array | None]:
        """Raw numbers of the head (n, U, channels, size), and logits of an end (n, U) where it is learnt."""
        numbers = raw.cpu().double().numpy()
        channels, size = len(self.scale), self.head.size
        shape = (*numbers.shape[:-1], channels, size)
        end = numbers[..., -1] if self.length is None else None
        return numbers[..., : channels * size].reshape(shape), end

    def write(self, tasks: list[Any], batch: dict[str, Any], limits: Array) -> list[Array]:
        """Rows (steps, channels) of every sequence, by the mean of the networks' points, until the likely end."""
        import torch

        pairs = [task.encode(batch) for task in tasks]
        states = [state for _, state in pairs]
        output = tasks[0].output
        read = output.before(output.scale.new_zeros(len(limits), 1, len(self.scale)))[:, 0]
        if self.length is not None:
            limits = np.minimum(limits, self.length)
        going, rows, lengths = np.ones(len(limits), bool), [], limits.copy()
        for step in range(int(limits.max())):
            raws = []
            for i, (task, (seen, _)) in enumerate(zip(tasks, pairs, strict=True)):
                raw, _, states[i] = task.step(read, seen, states[i])
                raws.append(raw)
            written = torch.stack([output.drawn(raw) for raw in raws]).mean(0)
            rows.append(written.cpu().double().numpy())
            ends = np.zeros(len(limits), bool)
            if self.length is None:
                ends = (
                    torch.stack([raw[..., -1].sigmoid() for raw in raws]).mean(0).cpu().numpy()
                    > 0.5
                )
            lengths[going & (ends | (step + 1 >= limits))] = step + 1
            going &= ~ends & (step + 1 < limits)
            if not going.any():
                break
            read = output.before(torch.stack([written, written], 1))[:, 1]
        found = np.stack(rows, 1)
        found = found * self.scale + self.centre if self.head.shifted else found
        return [one[:n, 0] if self.flat else one[:n] for one, n in zip(found, lengths, strict=True)]

    def untold(self, y: Written) -> int:
        """Steps that nothing is known of: neither a number nor whether it is the last one."""
        return 0 if self.length is None else int(np.isnan(y.values).all(axis=1).sum())

    def describe(self) -> str:
        return f"{len(self.scale)} number{'s' * (len(self.scale) > 1)} a step"


Targets = SymbolTargets | NumberTargets


def targets_of(y: Written, texts: bool, head: Head) -> Targets:
    """The kind that the training outputs are."""
    return SymbolTargets(y, texts) if y.symbols else NumberTargets(y, head)
