"""What a generator writes, and from what: symbols or numbers, and conditions, to arrays and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from seqkit.data.sequences import Array
from seqkit.data.vocabulary import Vocabulary
from seqkit.persistence import Record

from ._inputs import Observed
from ._targets import expect

if TYPE_CHECKING:
    import torch

    from seqkit.nn.heads import Head
    from seqkit.tasks.one_to_many import NumberSteps, SymbolSteps
    from seqkit.tasks.ragged import Ragged


class Language(Record):
    """Sequences of symbols as codes; texts are sequences of characters.

    Parameters
    ----------
    data : the training data. spelt : they are texts. min_count : symbols seen less often are unknown ones.

    >>> language = Language(Observed(["ab", "b"], "x", spelt=True), spelt=True, min_count=1)
    >>> language.ragged(Observed(["ba"], "x", spelt=True), ends=True).values.tolist()  # the last one is the end
    [1, 2, 3]
    >>> language.written(np.array([1, 2]))
    'ba'
    """

    def __init__(self, data: Observed, *, spelt: bool, min_count: int):
        symbols = data.symbols[0].values[:, 0]
        self.spelt, self.vocabulary = spelt, Vocabulary(symbols, min_count=min_count)
        counts = np.bincount(self.vocabulary.encode(symbols), minlength=len(self.vocabulary))
        self.known = bool(counts[0] == 0)  # none is unknown
        counts = np.append(counts, len(data))  # of the ends
        self.log_share = np.log(np.maximum(counts, 0.5) / counts.sum())

    def __len__(self) -> int:
        return len(self.vocabulary)

    def ragged(self, data: Observed, *, ends: bool) -> Ragged:
        """Codes of every sequence, its end among them.

        Raises ValueError for symbols that no training sequence has, unless some are learnt as unknown.
        """
        from seqkit.tasks.ragged import Ragged

        frame = data.symbols[0]
        if any(rows is not None for rows in frame.rows):
            i = next(i for i, rows in enumerate(frame.rows) if rows is not None)
            raise ValueError(
                f"{data.name} has steps missing from the calendar of {frame.label(i)}; symbols follow each other, so "
                "give them without dates"
            )
        codes = self.vocabulary.encode(frame.values[:, 0])
        if self.known and (codes == 0).any():
            row = int(np.argmax(codes == 0))
            i = int(np.searchsorted(frame.offsets, row, side="right")) - 1
            what = "character" if self.spelt else "symbol"
            raise ValueError(
                f"{data.name}[{i}] has the {what} {frame.values[row, 0]!r}, which the training data did not have: its "
                "probability would be 0; leave it out, or fit with min_count=2, which learns rare ones as unknown"
            )
        return (
            ended(Ragged(codes, frame.offsets), len(self)) if ends else Ragged(codes, frame.offsets)
        )

    def written(self, codes: Array, begun: Array | None = None) -> Any:
        """Codes, after the symbols (time, 1) that were `begun` with, as a text, or as a list of symbols."""
        symbols = [*([] if begun is None else begun[:, 0]), *self.vocabulary.decode(codes)]
        return "".join(symbols) if self.spelt else symbols

    def steps(self, features: int, **options: Any) -> SymbolSteps:
        import torch

        from seqkit.tasks.one_to_many import SymbolSteps

        made = SymbolSteps(len(self), features, known=self.known, **options)
        with torch.no_grad():  # how frequent the symbols are need not be learnt
            made.bias.copy_(torch.from_numpy(self.log_share[: made.laws]))
        return made

    def log_units(self, ragged: Ragged) -> Array:
        """What log probabilities of every step lose when codes become symbols, (total,): nothing."""
        return np.zeros(len(ragged.values))


class Measures(Record):
    """Frames of numbers in units of the training data; see `seqkit.tasks.one_to_many.NumberSteps`.

    Parameters
    ----------
    data : the training data. head : the law of one number, which says how it may be moved and scaled.

    Raises ValueError for a channel without numbers, and numbers that the law forbids.
    """

    known = True

    def __init__(self, data: Observed, head: Head):
        assert data.numbers is not None
        values = data.numbers.values
        self.head, self.columns, self.channels = head, data.numbers.columns, values.shape[1]
        seen = ~np.isnan(values)
        if not seen.any(axis=0).all():
            column = data.numbers.columns[int(np.argmin(seen.any(axis=0)))]
            raise ValueError(
                f"{data.name} has no number at all in channel {column!r}; leave it out"
            )
        head.check(values, data.name)
        self.gaps = np.flatnonzero(~seen.all(axis=0))
        size = np.nanmean(np.abs(values), axis=0)
        self.centre, self.spread = np.zeros(self.channels), np.ones(self.channels)
        self.unit = np.ones(self.channels)  # of the numbers that the network sees
        if head.shifted:
            self.centre, self.spread = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
            self.spread[self.spread == 0] = 1.0
        elif self.coded:
            # codes have no scale in their law, but what is fed should have one: keys of a piano are seldom down
            self.unit[:] = np.sqrt(np.nanvar(values, axis=0).mean()) or 1.0
            share = np.clip(np.nanmean(values, axis=0), 1e-4, 1 - 1e-4)
            self.odds = np.log(share / (1 - share))
        else:
            self.unit = np.where(size > 0, size, 1.0)

    def ragged(self, data: Observed, *, ends: bool) -> Ragged:
        """Frames of every sequence, the row of missing ones that ends it among them.

        Raises ValueError for other channels than those of the training data, and numbers that the law forbids.
        """
        from seqkit.tasks.ragged import Ragged

        assert data.numbers is not None
        values = data.numbers.values
        if values.shape[1] != self.channels:
            raise ValueError(
                f"{data.name} has {values.shape[1]} channel(s), but the model was fitted to {self.channels}; give the "
                "same columns as to fit"
            )
        found = data.numbers.columns
        if found != self.columns and set(found) == set(self.columns):
            raise ValueError(
                f"{data.name} has the channels {list(found)}, the model was fitted to {list(self.columns)}; put "
                "them in that order"
            )
        self.head.check(values, data.name)
        gaps = np.flatnonzero(np.isnan(values).any(axis=0))
        if set(gaps) - set(self.gaps):
            column = data.numbers.columns[min(set(gaps) - set(self.gaps))]
            raise ValueError(
                f"{data.name} has missing values in channel {column!r}, which had none in the training data; fill them"
            )
        z = ((values - self.centre) / self.spread).astype(np.float32)
        made = Ragged(z, data.numbers.offsets)
        return ended(made, np.nan) if ends else made

    def written(self, frames: Array, begun: Array | None = None) -> Any:
        """Frames, after those in units of the data that were `begun` with, as an array (time,) or (time, channels), or
        as a DataFrame where the channels have names.
        """
        values = self.centre + self.spread * frames.astype(np.float64)
        values = values if begun is None else np.concatenate([begun, values])
        if self.columns == (None,):
            return values[:, 0]
        if self.columns == tuple(range(self.channels)):
            return values
        return pd.DataFrame(values, columns=list(self.columns))

    def steps(self, features: int, **options: Any) -> NumberSteps:
        import torch

        from seqkit.nn.heads import Binary
        from seqkit.tasks.one_to_many import NumberSteps

        made = NumberSteps(self.channels, features, self.head, self.unit, gaps=self.gaps, **options)
        if isinstance(self.head, Binary):  # to learn how often each is 1 takes long, and is known
            with torch.no_grad():
                made.readout.bias[: self.channels] = torch.from_numpy(self.odds).float()
        return made

    def log_units(self, ragged: Ragged) -> Array:
        """What log densities of every step lose when numbers come back in their own units, (total,)."""
        seen = ~np.isnan(ragged.values.numpy())
        found: Array = seen @ np.log(self.spread)
        return found

    def law(self, steps: NumberSteps, raw: torch.Tensor) -> Any:
        """The law of the frame (channels,) that raw numbers stand for, in units of the data."""
        law = steps.law(steps.parts(raw)[0])
        return law.affine(self.centre, self.spread) if self.head.shifted else law

    @property
    def coded(self) -> bool:
        """Whether the law is one of codes, 0 and 1 for instance, which are no measures."""
        from seqkit.nn.heads import Binary, Classes

        return isinstance(self.head, (Binary, Classes))


class Labels(Record):
    """Conditions that are one of several labels.

    >>> Labels(["b", "a", "b"]).codes(["a"], "condition").tolist()
    [0]
    """

    def __init__(self, given: list[Any]):
        self.values = sorted(set(given), key=lambda v: (str(type(v)), v))

    def __len__(self) -> int:
        return len(self.values)

    def codes(self, given: list[Any], name: str) -> Array:
        """Numbers of labels, (n,); ValueError for one that no training sequence has."""
        numbers = {value: i for i, value in enumerate(self.values)}
        for label in given:
            if label not in numbers:
                shown = ", ".join(map(repr, self.values[:8])) + (" .." if len(self) > 8 else "")
                raise ValueError(
                    f"{name} has the label {label!r}, which the training data did not have; it had {shown}"
                )
        return np.array([numbers[label] for label in given], dtype=np.int64)


class Vectors(Record):
    """Conditions that are vectors, standardised.

    >>> Vectors(np.array([[0.0], [2.0]])).codes(np.array([[4.0]]), "condition").tolist()
    [[3.0]]
    """

    def __init__(self, given: Array):
        self.centre, self.spread = given.mean(axis=0), given.std(axis=0)
        self.spread[self.spread == 0] = 1.0

    def __len__(self) -> int:
        return len(self.centre)

    def codes(self, given: Array, name: str) -> Array:
        """Standardised vectors (n, size); ValueError for another length."""
        if given.shape[1] != len(self):
            raise ValueError(
                f"{name} has vectors of length {given.shape[1]}, but the model was fitted to length {len(self)}"
            )
        return ((given - self.centre) / self.spread).astype(np.float32)


def conditions(model: Any, y: Any, lengths: Array, name: str = "y") -> list[Any] | Array:
    """One label per sequence as a list, or one vector per sequence as an array (n, size) of float64.

    Raises ValueError for another number of them than of sequences, for targets of other tasks, and for vectors that
    have missing or infinite values.
    """
    if isinstance(y, str) or not hasattr(y, "__len__"):
        raise ValueError(f"{name} is {y!r}; give a label or a vector for every sequence")
    vectors = _vectors(y)
    if vectors is None:
        expect(model, "label", y, lengths)
        given = list(y)
        if any(v is None or v is pd.NA for v in given):
            row = next(i for i, v in enumerate(given) if v is None or v is pd.NA)
            raise ValueError(
                f"{name}[{row}] is missing; leave out sequences whose condition is not known"
            )
        if any(isinstance(v, (float, np.floating)) for v in given):
            vectors = np.array(given, dtype=np.float64)[:, None]
        else:
            found = [v.item() if isinstance(v, np.generic) else v for v in given]
            _check_count(name, len(found), lengths)
            return found
    _check_count(name, len(vectors), lengths)
    if not np.isfinite(vectors).all():
        row = int(np.argmax(~np.isfinite(vectors).all(axis=1)))
        raise ValueError(f"{name}[{row}] has a number that is missing or infinite; fill it first")
    return vectors


def _vectors(y: Any) -> Array | None:
    """A table of numbers, one row per sequence, or None."""
    if isinstance(y, pd.DataFrame) and not isinstance(y.index, pd.MultiIndex):
        y = y.to_numpy()
    if (
        isinstance(y, (list, tuple))
        and y
        and all(isinstance(v, (np.ndarray, list, tuple)) for v in y)
    ):
        rows = [np.asarray(v) for v in y]
        if {v.ndim for v in rows} != {1} or len({len(v) for v in rows}) > 1:
            return None
        y = np.stack(rows)
    if isinstance(y, np.ndarray) and y.ndim == 2 and y.dtype.kind in "fiub":
        return y.astype(np.float64)
    return None


def _check_count(name: str, found: int, lengths: Array) -> None:
    if found != len(lengths):
        raise ValueError(
            f"{name} has {found} conditions for {len(lengths)} sequences; give one each"
        )


def observed(x: Any, name: str, spelt: bool | None = None) -> tuple[Observed, bool]:
    """Sequences, and whether they are texts; `spelt` is what the model was fitted to, None where nothing is known.

    Raises TypeError for frames with text among numbers.
    """
    texts = are_texts(x) if spelt is None else spelt
    data = Observed(x, name, spelt=texts)
    if data.numbers is not None and data.symbols:
        raise TypeError(
            f"{name} has columns of text beside columns of numbers; a generator writes one kind, so give the others as "
            "y, the condition"
        )
    if len(data.symbols) > 1:
        raise TypeError(
            f"{name} has {len(data.symbols)} columns of text; a generator writes one symbol a step, so join them"
        )
    return data, texts


def are_texts(x: Any) -> bool:
    """Whether `x` is a text, or several."""
    if isinstance(x, str):
        return True
    many = isinstance(x, (list, tuple, np.ndarray, pd.Series)) and not _on_calendar(x)
    return many and len(x) > 0 and all(isinstance(one, str) for one in x)


def _on_calendar(x: Any) -> bool:
    return isinstance(x, pd.Series) and isinstance(x.index, pd.MultiIndex)


def ended(ragged: Ragged, mark: Any) -> Ragged:
    """Every sequence with one more row, which holds `mark`."""
    from seqkit.tasks.ragged import Ragged

    values, offsets = ragged.values.numpy(), ragged.offsets.numpy()
    return Ragged(np.insert(values, offsets[1:], mark, axis=0), offsets + np.arange(len(offsets)))


def head_for(given: Any, data: Observed) -> Head:
    """The head of the model, or a law by the data: yes or no where all are 0 or 1, else Normal."""
    from seqkit.distributions import Normal
    from seqkit.nn.heads import Binary, as_head

    if given is not None:
        return as_head(given)
    assert data.numbers is not None
    values = data.numbers.values
    flags = bool(np.isin(values[~np.isnan(values)], (0.0, 1.0)).all())
    return Binary() if flags else as_head(Normal())
