"""Regressors of whole sequences: one number for each, with the law that it is drawn from."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from seqkit.data.sequences import Array
from seqkit.distributions import Distribution, Normal
from seqkit.nn.cores import LSTM, Bidirectional, Core

from ._inputs import Observed, names_of
from ._many_to_one import ManyToOneNetwork, directed

if TYPE_CHECKING:
    from seqkit.nn.heads import Head
    from seqkit.tasks._pooling import Pooling
    from seqkit.tasks.ragged import Examples

CALIBRATION = 0.2  # least share of the sequences whose errors tell a constant spread


@dataclasses.dataclass(eq=False, repr=False)
class Regressor(ManyToOneNetwork):
    """What all regressors of sequences share: numbers in, numbers and their laws out, in the caller's units.

    Parameters
    ----------
    head : the law of the number: `seqkit.Normal()`, `StudentT()`, `Poisson()`, `Gamma()`, `Quantiles(levels)`, ..., or
        a loss, `seqkit.nn.heads.Squared()`, `Absolute()`, `Huber()`. The spread of a loss is a constant, learnt from
        errors on sequences that were not learnt from: the validation data, or without them a fifth of the sequences, by
        a first network that does not see it.
    dropout : as in `ManyToOneNetwork`, but none: its noise would count as noise of the target.
    """

    dropout: float = dataclasses.field(default=0.0, kw_only=True)

    # -- verbs -----------------------------------------------------------------------------------

    def fit(self, x: Any, y: Any, *, validation: Any = None) -> Self:
        """Learn which number belongs to which sequence.

        Parameters
        ----------
        x : as in `SequenceClassifier.fit`.
        y : one number per sequence, in their order; or a dict or Series by the names of the sequences.
        validation : a pair (x, y) of the same kind, which is watched, and with `patience` tells when to stop.

        Raises ValueError for numbers that the head has no law of, missing ones, targets of another task, and where
        there are more or fewer than sequences; TypeError for text and for a head of classes.

        >>> x, y = [np.arange(float(n)) for n in (1, 2, 3, 4)], [1.0, 2.0, 3.0, 4.0]
        >>> SequenceRegressor(steps=2).fit(x, y).predict(x).shape
        (4,)
        """
        head = self._head()
        data, targets = self._learn_inputs(x, y)
        numbers = self._numbers(targets, "y")
        self._shift, self._scale = _units(head, numbers)
        self._spread = None
        watched = None if validation is None else self._watched(*validation)
        self._target_name = targets.name
        examples = self._examples(data, self._scaled(numbers))
        if head.constant_spread and watched is None:
            self._calibrate(examples, data.lengths)
        self._train(examples, data.lengths, watched)
        if head.constant_spread and watched is not None:
            self._spread = self._residual_spread(watched)
        return self

    def predict(self, x: Any) -> pd.Series:
        """The expected number of every sequence, on the names of the sequences.

        >>> reg = SequenceRegressor(steps=2).fit({"a": [1.0, 2.0], "b": [3.0]}, {"a": 1.0, "b": 2.0})
        >>> reg.predict({"c": [1.0]}).index.tolist()
        ['c']
        """
        data = self._asked_about(x)
        return pd.Series(self._law(data).mean, index=names_of(data), name=self._target_name)

    def predict_distribution(self, x: Any) -> Distribution:
        """The law of the number of every sequence, in the caller's units: an array (n,) of distributions.

        >>> reg = SequenceRegressor(steps=2).fit([[1.0, 2.0], [3.0]], [1.0, 2.0])
        >>> reg.predict_distribution([[1.0]]).quantile([0.1, 0.9]).shape
        (2, 1)
        """
        return self._law(self._asked_about(x))

    def score(self, x: Any, y: Any) -> float:
        """Mean log predictive density of the numbers, in nats, in the caller's units; higher is better.

        >>> reg = SequenceRegressor(steps=2).fit([[1.0, 2.0], [3.0]], [1.0, 2.0])
        >>> bool(np.isfinite(reg.score([[1.0]], [1.5])))
        True
        """
        data = self._asked_about(x)
        numbers = self._numbers(self._targets(x, data, y), "y")
        return float(self._law(data).log_prob(numbers).mean())

    # -- inside ----------------------------------------------------------------------------------

    def _head(self) -> Head:
        from seqkit.nn.heads import Binary, Classes, as_head

        head = as_head(self.head)  # type: ignore[attr-defined]
        if isinstance(head, (Binary, Classes)):
            raise TypeError(
                f"{head!r} chooses between classes; seqkit.SequenceClassifier does that"
            )
        return head

    def _unit(self) -> float:
        return 1.0 if self._head().shifted else self._scale

    def _numbers(self, targets: pd.Series, name: str) -> Array:
        """Targets as float64, once the head allows them."""
        if targets.dtype.kind not in "biuf":
            raise TypeError(
                f"{name} holds {targets.iloc[0]!r}, which is no number; seqkit.LSTMClassifier learns labels"
            )
        numbers = targets.to_numpy(float)
        if not np.isfinite(numbers).all():
            raise ValueError(f"{name} is infinite at {int(np.argmax(~np.isfinite(numbers)))}")
        self._head().check(numbers, name)
        return numbers

    def _scaled(self, numbers: Array) -> Array:
        """What the network learns, float32: standardised where the law has a location."""
        shifted = self._head().shifted
        return ((numbers - self._shift) / self._scale if shifted else numbers).astype(np.float32)

    def _law(self, data: Observed) -> Distribution:
        return self._head().distribution(self._raw(data), self._shift, self._scale, self._spread)

    def _watched(self, x: Any, y: Any) -> Examples:
        data, _ = self._intake(x, y, "validation x")
        numbers = self._numbers(self._targets(x, data, y, "validation y"), "validation y")
        return self._examples(data, self._scaled(numbers))

    def _calibrate(self, examples: Examples, lengths: Array) -> None:
        """The constant spread of a loss, by a network that does not see a part of the sequences."""
        import torch

        count = len(lengths)
        held = round(max(self.holdout, CALIBRATION) * count)
        if not 0 < held < count:
            raise ValueError(
                f"{self._head()!r} learns its spread from sequences held out, and {count} are too few for that; "
                "give validation= to fit, more sequences, or a law such as Normal() as head"
            )
        order = np.random.default_rng(self.seed).permutation(count)
        out, kept = np.sort(order[:held]), np.sort(order[held:])
        aside, learnt = (examples.select(torch.from_numpy(part)) for part in (out, kept))
        self._train(learnt, lengths[kept], aside, folder="spread")
        self._spread = self._residual_spread(aside)

    def _residual_spread(self, examples: Examples) -> float:
        import torch

        from seqkit.tasks.ragged import Ragged

        task, head = self._task(), self._head()
        lengths = next(p for p in examples.parts.values() if isinstance(p, Ragged)).lengths.numpy()
        residuals = []
        with torch.inference_mode():
            for _, batch in self._asked(task, examples, lengths):
                residuals.append(head.residuals(task(batch), batch["target"], 0.0, 1.0))  # type: ignore[attr-defined]
        spread = head.spread(torch.cat(residuals))
        assert spread is not None
        return float(spread)


def _units(head: Head, numbers: Array) -> tuple[float, float]:
    """Shift and scale of the targets: mean and standard deviation, or for laws without a location their mean size."""
    if head.shifted:
        return float(numbers.mean()), float(numbers.std()) or 1.0
    return 0.0, float(np.abs(numbers).mean()) or 1.0


@dataclasses.dataclass(eq=False, repr=False)
class SequenceRegressor(Regressor):
    r"""Which number belongs to a sequence, read by any core, with its predictive law.

        y | x_1 .. x_T ~ head(W pool(core(x)) + b)

    Parameters
    ----------
    core, pooling : as in `SequenceClassifier`.
    head : as in `Regressor`.

    All others are those of `ManyToOneNetwork` and `SequenceNetwork`; it trains as long as `SequenceClassifier` does.
    The target is standardised within, and every answer is in the caller's units.

    Raises TypeError for a core that is built already, and ValueError for another pooling, when it is made.
    Source: Bishop (1994) for networks that give a law.

    >>> import seqkit
    >>> x = [np.full(n, 10.0) for n in (2, 3, 4, 5)]
    >>> reg = SequenceRegressor(seqkit.nn.MLP(4), "mean", steps=3).fit(x, [20.0, 30.0, 20.0, 30.0])
    >>> bool(20 < reg.predict(x)[0] < 30)
    True
    """

    core: Core = dataclasses.field(default_factory=lambda: Bidirectional(LSTM(64)))
    pooling: Pooling = "attention"
    head: Any = dataclasses.field(default_factory=Normal)

    def _core(self) -> Core:
        return self.core


@dataclasses.dataclass(eq=False, repr=False)
class LSTMRegressor(Regressor):
    """`SequenceRegressor` on layers of long short-term memory.

    Parameters
    ----------
    hidden, layers, bidirectional, pooling : as in `LSTMClassifier`. head : as in `Regressor`, as all others are.

    Raises ValueError for numbers out of range.
    Source: Hochreiter, Schmidhuber (1997); Graves, Schmidhuber (2005).

    >>> LSTMRegressor(32, layers=2)
    LSTMRegressor(hidden=32, layers=2)
    """

    hidden: int = 64
    layers: int = 1
    bidirectional: bool = True
    pooling: Pooling = "attention"
    head: Any = dataclasses.field(default_factory=Normal)

    def _core(self) -> Core:
        return directed(LSTM(self.hidden, self.layers), self.bidirectional)
