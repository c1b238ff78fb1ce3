"""Generators: networks that write sequences step by step, from a condition, a beginning, or nothing."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import pandas as pd

from seqkit.base import check_count
from seqkit.data.sequences import Array
from seqkit.nn.cores import LSTM, MLP, TDNN, Core, Stack

from ._generator_asked import Stretch, stretches
from ._generator_data import (
    Labels,
    Language,
    Measures,
    Vectors,
    conditions,
    head_for,
    observed,
)
from ._generator_writing import Writing
from ._targets import by_name
from .base import Summary

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

    from seqkit.tasks.one_to_many import OneToMany
    from seqkit.tasks.ragged import Ragged

    from ._inputs import Observed

PIECE = 128  # steps of a long sequence that gradients go back through
READ = 4096  # steps of long sequences that are scored at once
LABEL = 32  # length of the vector of a label


@dataclasses.dataclass(eq=False, repr=False)
class SequenceGenerator(Writing):
    r"""A network that writes sequences: the law of every next step given all before it, and a condition c.

        p(y_1 .. y_T | c) = prod over t of p(y_t | y_1 .. y_{t-1}, c)

    It learns texts (a list of str: a sequence of characters each), lists of symbols, or numbers; one long text, or one
    long series, is learnt piece by piece, with truncated back-propagation, as a language model. The previous step is
    fed to a causal core; c moves the core's first state, is fed at every step, or both.

    Parameters
    ----------
    core : a causal core, such as ``seqkit.nn.LSTM(128)``.
    head : the law of one number: a head of `seqkit.nn.heads` or a family such as ``seqkit.StudentT()``, the same for
        every channel, which are independent given the past. None: Binary() where all are 0 or 1, else Normal().
    ends : whether sequences end, and when is learnt. None: several sequences of symbols end; one long one, numbers,
        and what is learnt in pieces of `chunk` do not.
    embedding : length of the vector of a symbol; None chooses one that grows with the vocabulary, 8 to 128.
    tied : the vectors of the symbols are the weights of the last layer, too.
    dropout : share of what is fed back set to zero in training.
    min_count : symbols seen less often are learnt as one unknown symbol, which is never written.
    conditioning : "state", "input" or "both"; None for both where the core is recurrent, else the only one lawful,
        "input".
    scheduled : final share of the steps in training that are fed what the network draws itself, in place of the truth
        (scheduled sampling); 0 is teacher forcing.
    chunk : steps of the pieces in which sequences without end are learnt; None: 128 for a single one, and whole
        sequences otherwise.
    batch_size : sequences of a batch; of a text learnt in pieces, the stretches that are read side by side.

    The other parameters are those of `SequenceNetwork`.

    Raises
    ------
    TypeError : a core that looks ahead, when the model is made; a condition that shall move the state of a core that
        has none.
    ValueError : data of other tasks, symbols and labels that were never seen, numbers out of range.

    Examples
    --------
    >>> import seqkit
    >>> words = ["ding", "dong"] * 30
    >>> generator = SequenceGenerator(seqkit.nn.LSTM(16), epochs=15, lr=0.05).fit(words)
    >>> sorted(set(generator.sample(20, seed=0, temperature=0.5)))
    ['ding', 'dong']
    >>> generator.decode(prefix="di"), generator.perplexity(words) < 1.25
    ('ding', True)

    Sources: Bengio et al. (2003); Mikolov et al. (2010); Graves (2013), arXiv 1308.0850.
    """

    core: Core = dataclasses.field(default_factory=lambda: LSTM(128))
    head: Any = dataclasses.field(default=None, kw_only=True)
    ends: bool | None = dataclasses.field(default=None, kw_only=True)
    embedding: int | None = dataclasses.field(default=None, kw_only=True)
    tied: bool = dataclasses.field(default=False, kw_only=True)
    dropout: float = dataclasses.field(default=0.0, kw_only=True)
    min_count: int = dataclasses.field(default=1, kw_only=True)
    conditioning: Literal["state", "input", "both"] | None = dataclasses.field(
        default=None, kw_only=True
    )
    scheduled: float = dataclasses.field(default=0.0, kw_only=True)
    chunk: int | None = dataclasses.field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        core = self.core
        if not isinstance(core, Core):
            raise TypeError(
                f"core must be a core that is not built yet, such as seqkit.nn.LSTM(128); got {core!r}"
            )
        if not core.causal:
            raise TypeError(
                f"{core!r} looks ahead, but a generator has to say what comes next before it is there; use a causal "
                f"core, {getattr(core, 'core', 'seqkit.nn.LSTM(128)')!r} for instance"
            )
        if self.conditioning not in (None, "state", "input", "both"):
            raise ValueError(
                f'conditioning must be "state", "input", "both" or None; got {self.conditioning!r}'
            )
        if self.conditioning in ("state", "both") and isinstance(core, (MLP, TDNN, Stack)):
            raise TypeError(
                f'{core!r} has no state that a condition could move; use conditioning="input"'
            )

    # -- learning --------------------------------------------------------------------------------

    def fit(self, x: Any, y: Any = None, *, validation: Any = None) -> Self:
        """Learn to write sequences like `x`.

        Parameters
        ----------
        x : a list of str; one long str; a list of lists of symbols; a numeric panel (see `seqkit.Sequences`), missing
            values allowed.
        y : the condition of each sequence: labels, or vectors (n, size). Whole numbers and text are labels, other
            numbers vectors of length 1. They go by order; a dict, Series or frame by the names of the sequences.
        validation : (x, y), or x alone, of the same kind: watched, and used with `patience`.
        """
        data, spelt = observed(x, "x")
        self._check()
        self._forget()
        self._learn_kind(data, spelt)
        self._conditions = None
        codes = None
        if y is not None:
            given: Any = conditions(self, by_name(y, x, data.frame.keys), data.lengths)
            self._conditions = Vectors(given) if isinstance(given, np.ndarray) else Labels(given)
            codes = self._conditions.codes(given, "y")
        ragged = self._kind.ragged(data, ends=self._ends)
        watched = None if validation is None else self._validation(validation)
        self._longest, self._ramp = int(data.lengths.max()), 1
        what = f", {len(self._kind.vocabulary) - 1} symbols" if self._symbolic else ""
        if self._in_pieces(data):
            if y is not None:
                raise ValueError(
                    "y is given for a text that is learnt in pieces; conditions belong to several whole sequences: "
                    "leave y or chunk= out"
                )
            self._train_pieces(ragged, watched, what)
        else:
            self._train_whole(ragged, codes, watched, what)
        self._learn_spread(ragged, codes)
        return self

    def _check(self) -> None:
        self.__post_init__()
        check_count("min_count", self.min_count, 1)
        for name in ("chunk", "embedding"):
            if getattr(self, name) is not None:
                check_count(name, getattr(self, name), 1)
        for name, top in (("dropout", "below 1"), ("scheduled", "at most 1")):
            value = getattr(self, name)
            if not 0 <= value <= 1 or (value == 1 and name == "dropout"):
                raise ValueError(f"{name} is a share, at least 0 and {top}; got {value!r}")
        if self.ends not in (None, True, False):
            raise ValueError(f"ends must be True, False or None, got {self.ends!r}")
        if self.ends and self.chunk is not None:
            raise ValueError("sequences that end are learnt whole; leave chunk= out, or ends=True")
        if self.scheduled and self.chunk is not None:
            raise ValueError("scheduled= needs whole sequences; leave chunk= or scheduled= out")

    def _learn_kind(self, data: Observed, spelt: bool) -> None:
        """What is written, symbols or numbers."""
        self._spelt, self._symbolic = spelt, data.numbers is None
        if self._symbolic:
            if self.head is not None:
                raise ValueError(f"head={self.head!r} is a law of numbers, but x holds symbols")
            self._kind: Any = Language(data, spelt=spelt, min_count=self.min_count)
        else:
            if self.tied:
                raise ValueError("tied=True shares the vectors of symbols, but x holds numbers")
            self._kind = Measures(data, head_for(self.head, data))
        several = self._symbolic and len(data) > 1 and self.chunk is None
        self._ends = several if self.ends is None else bool(self.ends)

    def _in_pieces(self, data: Observed) -> bool:
        alone = len(data) == 1 and not self._ends and not self.scheduled
        return self.chunk is not None or alone

    def _validation(self, given: Any) -> tuple[Ragged, Any]:
        """Codes and conditions of the sequences that are watched."""
        x, y = given if isinstance(given, tuple) and len(given) == 2 else (given, None)
        data = self._observed(x, "validation")
        y = by_name(y, x, data.frame.keys, "validation y")
        codes = self._condition_codes(y, data.lengths, "validation y")
        return self._kind.ragged(data, ends=self._ends), codes

    def _train_whole(self, ragged: Ragged, codes: Any, watched: Any, what: str) -> None:
        from seqkit.tasks.ragged import Examples

        lengths = ragged.lengths.numpy()
        trainer = self._trainer()
        batch = min(trainer.batch_size, len(lengths))
        self._ramp = max(1, trainer.count_steps(len(lengths), batch))
        found = None
        if watched is not None:
            found = Examples(values=watched[0], condition=watched[1])
        self._train(Examples(values=ragged, condition=codes), lengths, found, what)

    def _train_pieces(self, ragged: Ragged, watched: Any, what: str) -> None:
        """Learn long sequences piece by piece, in order, several stretches of them side by side."""
        import torch

        from seqkit.tasks.one_to_many import Continued, pieces
        from seqkit.training import InOrder

        trainer, sequences = self._trainer(), _sequences(ragged)
        if trainer.patience and watched is None:
            sequences, held = self._held_back(sequences)
        else:
            held = [] if watched is None else _sequences(watched[0])
        chunk, longest = self.chunk or PIECE, max(len(one) for one in sequences)
        shortest = min(len(one) for one in sequences)
        lanes = max(1, min(trainer.batch_size // len(sequences), longest // chunk, shortest))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(trainer.seed)
            generator = self._build()
        data = pieces(generator, sequences, chunk=chunk, lanes=lanes)
        found = None
        if held:  # as many stretches, of all that is watched
            steps = sum(map(len, held))
            if steps < data.lanes:
                raise ValueError(
                    f"{steps} steps are watched, but {data.lanes} stretches are read side by side; give more to "
                    "validation=, raise holdout=, or lower batch_size="
                )
            found = pieces(generator, [torch.cat(held)], chunk=chunk, lanes=data.lanes)
        trainer = dataclasses.replace(trainer, batch_size=1, sampler=InOrder(len(data)))
        history = trainer.fit(Continued(generator, data.lanes), data, validation=found)
        lengths = np.array([len(one) for one in sequences])
        self._header = Summary(lengths, what)
        self._keep(generator, history, int(lengths.sum()))

    def _held_back(self, sequences: list[torch.Tensor]) -> tuple[list[Any], list[Any]]:
        """The sequences without their last share, and that share."""
        cuts = [len(one) - round(self.holdout * len(one)) for one in sequences]
        held = [one[cut:] for one, cut in zip(sequences, cuts, strict=True) if cut < len(one)]
        if not held or not min(cuts):
            raise ValueError(
                f"patience= needs steps to validate on, but holdout={self.holdout!r} leaves none; change holdout=, "
                "give validation= to fit, or leave patience out"
            )
        return [one[:cut] for one, cut in zip(sequences, cuts, strict=True)], held

    def _build(self) -> OneToMany:
        from seqkit.tasks.one_to_many import OneToMany

        options: dict[str, Any] = {"ends": self._ends, "dropout": self.dropout}
        if self._symbolic:
            options |= {"embedding": self.embedding, "tied": self.tied}
        given = self._conditions
        labels = len(given) if isinstance(given, Labels) else None
        return OneToMany(
            self.core.build,
            lambda features: self._kind.steps(features, **options),
            condition=None if given is None else LABEL if labels else len(given),
            labels=labels,
            conditioning=self.conditioning,
            scheduled=self.scheduled,
            ramp=self._ramp,
        )

    def _learn_spread(self, ragged: Ragged, codes: Any) -> None:
        """The spread of heads that have one for all steps, from the residuals of the training data."""
        head = getattr(self._kind, "head", None)
        if head is None or not head.constant_spread:
            return
        import torch

        task, rows, kept = self._task(), [], []
        for part in self._read(task, ragged, codes):
            there = torch.ones(part.values.shape[:2], dtype=torch.bool, device=part.values.device)
            there = there if part.mask is None else part.mask
            kept.append(there.unsqueeze(-1) & ~part.values.isnan())
            rows.append(task.steps.residuals(part.raw, part.values))
        flat = [torch.cat([one.flatten(0, 1) for one in parts]) for parts in (rows, kept)]
        spread = head.spread(flat[0].nan_to_num(), flat[1])
        self._network.weights["steps.spread"] = spread.float().cpu().numpy()

    # -- scoring ---------------------------------------------------------------------------------

    def log_prob(self, x: Any, y: Any = None) -> pd.Series:
        """log p of every sequence, in nats, its end counted where sequences end; one number each, by its name.

        For numbers it is the log density in the units of the data, all channels together.
        """
        data, found, offsets = self._scored(x, y)
        keys = pd.Index([0] if data.frame.single else list(data.frame.keys))
        if self._spelt and isinstance(x, pd.Series):
            keys = x.index
        return pd.Series(np.add.reduceat(found, offsets[:-1]), keys, name="log_prob")

    def log_prob_steps(self, x: Any, y: Any = None) -> list[Array]:
        """log p of every step of every sequence given those before it, in nats; the end is the last one of them."""
        _, found, offsets = self._scored(x, y)
        return np.split(found, offsets[1:-1])

    def score(self, x: Any, y: Any = None) -> float:
        """Mean log p of a step, in nats; higher is better.

        Where sequences end, the end is one of the steps: a text of 5 characters has 6. So perplexity is exp(-score).
        Where they do not, a step of which all numbers are missing does not count.
        """
        data, found, _ = self._scored(x, y)
        count = len(found)
        if not self._ends and data.numbers is not None:
            count -= int(np.isnan(data.numbers.values).all(axis=1).sum())
        if not count:
            raise ValueError("x holds no number at all; there is nothing to score")
        return float(found.sum() / count)

    def perplexity(self, x: Any, y: Any = None) -> float:
        """exp(-score(x, y)): among how many equally likely symbols the network would be as uncertain."""
        if not self._fitted_kind():
            raise TypeError(
                "perplexity is for symbols; the score of numbers is a log density, see score"
            )
        return math.exp(-self.score(x, y))

    def bits_per_character(self, x: Any, y: Any = None) -> float:
        """-score(x, y) / log 2: bits to a symbol, the end counted where sequences end."""
        if not self._fitted_kind():
            raise TypeError(
                "bits per character are for symbols; the score of numbers is a log density, see score"
            )
        return -self.score(x, y) / math.log(2)

    def _scored(self, x: Any, y: Any) -> tuple[Observed, Array, Array]:
        """The sequences, log p of all their steps end to end in float64, and where each sequence begins."""
        self._fitted()
        data = self._observed(x, "x")
        codes = self._condition_codes(by_name(y, x, data.frame.keys), data.lengths, "y")
        ragged = self._kind.ragged(data, ends=self._ends)
        task, offsets = self._task(), ragged.offsets.numpy()
        found = -self._kind.log_units(ragged)
        for part in self._read(task, ragged, codes):
            log_probs = task.steps.log_probs(part.raw, part.values, part.last).cpu().numpy()
            rows = offsets[part.numbers, None] + part.start + np.arange(log_probs.shape[1])
            there = slice(None) if part.mask is None else part.mask.cpu().numpy()
            found[rows[there]] += log_probs[there]
        return data, found, offsets

    def _read(self, task: OneToMany, ragged: Ragged, codes: Any) -> Iterator[Stretch]:
        """What the network says of all sequences, those of like length together, a stretch at a time."""
        from seqkit.tasks.ragged import Examples

        data = Examples(values=ragged, condition=codes)
        for numbers, batch in self._asked(task, data, ragged.lengths.numpy()):
            yield from stretches(task, batch, numbers, READ)

    def _fitted_kind(self) -> bool:
        self._fitted()
        return self._symbolic


def _sequences(ragged: Ragged) -> list[Any]:
    """The sequences one by one, (time,) or (time, channels)."""
    return list(ragged.values.split(ragged.lengths.tolist()))
