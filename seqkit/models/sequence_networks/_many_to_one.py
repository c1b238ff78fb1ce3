"""What classifiers and regressors of whole sequences share: what they read, how it is trained, and how it is asked."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import pandas as pd

from seqkit.base import Model, check_count
from seqkit.data.sequences import Array
from seqkit.nn.cores import Bidirectional, Core
from seqkit.tasks._pooling import check_pooling

from ._inputs import Observed, Reader
from ._targets import by_name, expect
from .base import DEFAULTS, SequenceNetwork

if TYPE_CHECKING:
    import torch

    from seqkit.nn.heads import Head
    from seqkit.tasks.ragged import Examples
    from seqkit.training import Trainer

PASSES, STEPS = 30, 1000  # how long it trains where nothing says so: whichever is longer
Form = Literal["plain", "rows", "texts"]


@dataclasses.dataclass(eq=False, repr=False)
class ManyToOneNetwork(SequenceNetwork):
    """One answer for every sequence. A family says by `_core` which core reads it, by `_head` what the answer is.

    Parameters
    ----------
    dropout : share of the pooled features set to zero in training.
    input_dropout : share of the features of every step set to zero in training.
    noise : standard deviation of normal noise added in training to the numbers, which are standardised.
    weight_decay : on weights only; None for 1e-4, or that of `trainer`.
    embedding : length of the vector of a symbol; None chooses one that grows with the vocabulary.
    unknown : share of the symbols that training takes for unknown ones, so that those have a meaning.
    min_count : symbols seen less often are unknown ones.
    """

    dropout: float = dataclasses.field(default=0.2, kw_only=True)
    input_dropout: float = dataclasses.field(default=0.0, kw_only=True)
    noise: float = dataclasses.field(default=0.0, kw_only=True)
    weight_decay: float | None = dataclasses.field(default=None, kw_only=True)
    embedding: int | None = dataclasses.field(default=None, kw_only=True)
    unknown: float = dataclasses.field(default=0.02, kw_only=True)
    min_count: int = dataclasses.field(default=1, kw_only=True)

    _defaults = DEFAULTS | {"batch_size": 16}

    # -- what a family says ----------------------------------------------------------------------

    def _core(self) -> Core:
        """Which core reads the sequences."""
        raise NotImplementedError

    def _head(self) -> Head:
        """What the last numbers mean; asked for when the targets are known."""
        raise NotImplementedError

    def _unit(self) -> float:
        """Unit of targets that are not standardised."""
        return 1.0

    def __post_init__(self) -> None:
        self._check()

    def _check(self) -> None:
        check_pooling(self.pooling)  # type: ignore[attr-defined]
        if self.embedding is not None:
            check_count("embedding", self.embedding, 1)
        core = self._core()
        if not isinstance(core, Core):
            raise TypeError(
                f"core is a {type(core).__name__}; pass what it shall be, such as seqkit.nn.LSTM(64) or "
                "seqkit.nn.Bidirectional(seqkit.nn.GRU(64)), which is built when the width of the data is known"
            )

    # -- the network -----------------------------------------------------------------------------

    def _build(self) -> torch.nn.Module:
        from seqkit.tasks.many_to_one import ManyToOne

        options = {"embedding": self.embedding, "dropout": self.input_dropout}
        inputs = self._reader.layer(unknown=self.unknown, **options)
        return ManyToOne(
            inputs,
            self._core().build(inputs.size),
            self._head(),
            pooling=self.pooling,  # type: ignore[attr-defined]
            dropout=self.dropout,
            noise=self.noise,
            scale=self._unit(),
        )

    def _trainer(self) -> Trainer:
        trainer = super()._trainer()
        changed: dict[str, Any] = {}
        if self.weight_decay is not None:
            changed["weight_decay"] = self.weight_decay
        if self.trainer is None and self.epochs is None and self.steps is None:
            count = vars(self).get("_count", 1)  # few sequences need more passes
            batch = min(trainer.batch_size, count)
            changed |= {"epochs": None, "steps": max(STEPS, -(-PASSES * count // batch))}
        return dataclasses.replace(trainer, **changed)

    # -- what comes in ---------------------------------------------------------------------------

    def _intake(self, x: Any, y: Any, name: str = "x") -> tuple[Observed, Form]:
        """The sequences of training or validation data, and in which form they came."""
        form: Form = "plain"
        count = len(y) if hasattr(y, "__len__") else -1
        if isinstance(x, np.ndarray) and x.ndim == 2 and len(x) == count:
            form, x = "rows", x[:, :, None]
        elif _texts(x) and len(x) == count:
            form, x = "texts", _by_index(x)
        return Observed(x, name, spelt=form == "texts"), form

    def _asked_about(self, x: Any) -> Observed:
        """The sequences of a question, taken as those of the training data were."""
        self._fitted()
        flat = isinstance(x, np.ndarray) and x.ndim == 2 and self._reader.channels == 1
        if flat and (self._form == "rows" or x.shape[1] > 1):
            x = x[:, :, None]
        spelt = self._form == "texts" and (isinstance(x, str) or _texts(x))
        return Observed(_by_index(x) if spelt else x, "x", spelt=spelt)

    def _targets(self, x: Any, data: Observed, y: Any, name: str = "y") -> pd.Series:
        """One target per sequence, in their order; refused where they ask for another task."""
        if y is not None and (isinstance(y, str) or not hasattr(y, "__len__")):
            raise TypeError(
                f"{name} is {y!r}; give a list, array or Series with one entry per sequence"
            )
        if isinstance(y, (pd.DataFrame, np.ndarray)) and y.shape[1:] == (1,):  # one column of them
            y = y.iloc[:, 0] if isinstance(y, pd.DataFrame) else y[:, 0]
        expect(self, "label", y, data.lengths)
        keys = data.frame.keys
        apart = isinstance(x, pd.Series) and _texts(x) and len(x) == len(keys)
        y = by_name(y, _by_index(x) if apart else x, keys, name)
        targets = y if isinstance(y, pd.Series) else pd.Series(y)
        if len(targets) != len(keys):
            flat = isinstance(x, np.ndarray) and x.ndim == 2
            hint = (
                f" (an array {x.shape} is {len(x)} sequences for {len(x)} entries)" if flat else ""
            )
            raise ValueError(
                f"{name} has {len(targets)} entries, but x has {len(keys)} sequences{hint}; give one for each"
            )
        if targets.isna().any():
            place = int(np.argmax(targets.isna()))
            raise ValueError(f"{name}[{place}] is missing; leave out sequences of which it is not known")  # fmt: skip
        return targets

    def _examples(self, data: Observed, target: Any = None) -> Examples:
        from seqkit.tasks.ragged import Examples

        return Examples(**self._reader.arrays(data), target=target)

    # -- training and asking ---------------------------------------------------------------------

    def _learn_inputs(self, x: Any, y: Any) -> tuple[Observed, pd.Series]:
        """What is read, and one target for each; the model is unfitted from here on until it is trained."""
        self._check()
        data, form = self._intake(x, y)
        targets = self._targets(x, data, y)
        self._forget()
        self._form, self._count = form, len(data)
        self._reader = Reader(data, self.min_count)
        return data, targets

    def _learn(self, data: Observed, target: Array, validation: Examples | None, what: str) -> Self:
        self._train(self._examples(data, target), data.lengths, validation, what)
        return self

    def _raw(self, data: Observed) -> Array:
        """Raw numbers of the head for every sequence, (n, head.size), float64."""
        import torch

        task = self._task()
        found = np.empty((len(data), task.head.size))
        with torch.inference_mode():
            for numbers, batch in self._asked(task, self._examples(data), data.lengths):
                found[numbers] = task(batch).double().cpu().numpy()
        return found

    def attention(self, x: Any) -> pd.Series:
        """How much every step counts towards the answer, a Series on the index of `x`; each sequence sums to one.

        Raises ValueError where the pooling is not "attention".
        """
        import torch

        data = self._asked_about(x)
        task, offsets = self._task(), data.frame.offsets
        found = np.empty(offsets[-1])
        with torch.inference_mode():
            for numbers, batch in self._asked(task, self._examples(data), data.lengths):
                weights = task.attention(batch).double().cpu().numpy()
                for row, i in zip(weights, numbers, strict=True):
                    found[offsets[i] : offsets[i + 1]] = row[: data.lengths[i]]
        return data.frame.restore(found, name="attention")

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import TargetTags

        tags = Model.__sklearn_tags__(self)
        tags.target_tags = TargetTags(required=True)
        tags.input_tags.three_d_array = True
        return tags


def directed(core: Core, both: bool) -> Core:
    """A causal core, or two of them in both directions."""
    return Bidirectional(core) if both else core


def _texts(x: Any) -> bool:
    """Several texts, or what could as well be the symbols of one sequence."""
    plain = isinstance(x, pd.Series) and not isinstance(x.index, pd.MultiIndex)
    listed = isinstance(x, (list, tuple)) or (isinstance(x, np.ndarray) and x.ndim == 1)
    return (listed or plain) and len(x) > 0 and all(isinstance(text, str) for text in x)


def _by_index(x: Any) -> Any:
    """A Series of texts as texts by name."""
    return (
        dict(zip(x.index, x, strict=True)) if isinstance(x, pd.Series) and x.index.is_unique else x
    )
