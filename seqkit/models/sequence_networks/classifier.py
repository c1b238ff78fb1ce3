"""Classifiers of whole sequences: one label for each, by any core and any pooling over time."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import pandas as pd

from seqkit.data.sequences import Array
from seqkit.nn.cores import GRU, LSTM, Bidirectional, Core

from ._inputs import names_of
from ._many_to_one import ManyToOneNetwork, directed

if TYPE_CHECKING:
    from seqkit.nn.heads import Classes
    from seqkit.tasks._pooling import Pooling


@dataclasses.dataclass(eq=False, repr=False)
class Classifier(ManyToOneNetwork):
    """What all classifiers of sequences share: labels in, labels and probabilities out.

    Parameters
    ----------
    class_weights : None; "balanced", n / (K n_k) for a class seen n_k times in n, as if all K were equally frequent;
        or a dict of weights by label.
    smoothing : share of every label that is spread over all classes (Szegedy et al. 2016).
    """

    class_weights: Literal["balanced"] | dict[Any, float] | None = dataclasses.field(
        default=None, kw_only=True
    )
    smoothing: float = dataclasses.field(default=0.0, kw_only=True)

    # -- verbs -----------------------------------------------------------------------------------

    def fit(self, x: Any, y: Any, *, validation: Any = None) -> Self:
        """Learn which label belongs to which sequence.

        Parameters
        ----------
        x : sequences of numbers, symbols or both: a list or dict of arrays, frames or lists of text; an array
            (n, T, channels), or (n, T) for n sequences of one channel; a list or Series of n texts, read character by
            character. Missing numbers are allowed.
        y : one label per sequence, in their order; or a dict or Series by the names of the sequences.
        validation : a pair (x, y) of the same kind, which is watched, and with `patience` tells when to stop.

        Raises ValueError for labels of another task, missing ones, one class alone, and numbers of sequences and labels
        that differ.

        >>> import numpy as np
        >>> x = np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 2.0], [2.0, 0.0]])
        >>> SequenceClassifier(steps=2).fit(x, [1, 0, 1, 0]).classes_
        array([0, 1])
        """
        data, labels = self._learn_inputs(x, y)
        self._classes = _distinct(labels)
        self._weights_of_classes = self._weigh(self._codes(labels, "y"))
        watched = None if validation is None else self._watched(*validation)
        plain = isinstance(labels.dtype, np.dtype) and labels.dtype.kind in "biuf"
        self._dtype = labels.dtype.name if plain else None
        self._target_name = labels.name
        what = f", {len(self._classes)} classes"
        return self._learn(data, self._codes(labels, "y"), watched, what)

    def predict(self, x: Any) -> pd.Series:
        """The likeliest label of every sequence, on the names of the sequences.

        >>> clf = SequenceClassifier(steps=2).fit([["a"], ["b"]], ["A", "B"])
        >>> clf.predict({"first": ["a", "b"]}).index.tolist()
        ['first']
        """
        data = self._asked_about(x)
        chosen = self._raw(data).argmax(1)
        return pd.Series(self.classes_[chosen], index=names_of(data), name=self._target_name)

    def predict_proba(self, x: Any) -> pd.DataFrame:
        """The probability of every class for every sequence; rows are the sequences' names, columns the classes.

        >>> clf = SequenceClassifier(steps=2).fit([["a"], ["b"]], ["A", "B"])
        >>> clf.predict_proba([["a"], ["b"], ["c"]]).shape
        (3, 2)
        """
        data = self._asked_about(x)
        raw = self._raw(data)
        p = np.exp(raw - raw.max(1, keepdims=True))
        columns = pd.Index(self.classes_, name=self._target_name)
        return pd.DataFrame(p / p.sum(1, keepdims=True), index=names_of(data), columns=columns)

    def score(self, x: Any, y: Any) -> float:
        """Accuracy, the share of the sequences whose label is right, as scikit-learn's classifiers give it.

        A label that the training data did not have counts as not recognised.

        >>> clf = SequenceClassifier(steps=2).fit([["a"], ["b"]], ["A", "B"])
        >>> clf.score([["a"]], ["C"])
        0.0
        """
        said = self.predict(x)
        right = self._targets(x, self._asked_about(x), y)
        pairs = zip(said.tolist(), right.tolist(), strict=True)
        return float(np.mean([one == other for one, other in pairs]))

    @property
    def classes_(self) -> Array:
        """The labels, in the order of the columns of `predict_proba`."""
        self._fitted()
        kinds = set(map(type, self._classes))
        dtype = self._dtype or (None if len(kinds) == 1 and kinds != {str} else object)
        made = np.empty(len(self._classes), dtype=object)
        made[:] = self._classes
        return made if dtype is object else np.array(self._classes, dtype=dtype)

    # -- inside ----------------------------------------------------------------------------------

    def _head(self) -> Classes:
        from seqkit.nn.heads import Classes

        weights = self._weights_of_classes
        return Classes(len(self._classes), self.smoothing, None if weights is None else weights.tolist())  # fmt: skip

    def _codes(self, labels: pd.Series, name: str) -> Array:
        """The place of every label among the classes."""
        known = {label: code for code, label in enumerate(self._classes)}
        strange = [label for label in labels.tolist() if label not in known]
        if strange:
            raise ValueError(
                f"{name} has the label {strange[0]!r}, which is none of the {len(known)} classes that y has; give "
                "training data of every class"
            )
        return np.array([known[label] for label in labels.tolist()], dtype=np.int64)

    def _weigh(self, codes: Array) -> Array | None:
        """Weight of every class, or None for none."""
        given, classes = self.class_weights, self._classes
        if given is None:
            return None
        if isinstance(given, str):
            if given != "balanced":
                raise ValueError(
                    f'class_weights is {given!r}; pass "balanced", a dict by label, or None'
                )
            return len(codes) / (len(classes) * np.bincount(codes))
        absent = [label for label in classes if label not in given]
        if absent or not all(0 < float(given[label]) < np.inf for label in classes):
            raise ValueError(
                f"class_weights is {given!r}; pass a positive number for each of the classes {classes}"
            )
        return np.array([float(given[label]) for label in classes])

    def _watched(self, x: Any, y: Any) -> Any:
        data, _ = self._intake(x, y, "validation x")
        return self._examples(data, self._codes(self._targets(x, data, y, "validation y"), "validation y"))  # fmt: skip

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import ClassifierTags

        tags = super().__sklearn_tags__()
        tags.estimator_type, tags.classifier_tags = "classifier", ClassifierTags()
        return tags


def _distinct(labels: pd.Series) -> list[Any]:
    """Every label once, sorted; in the order of their first appearance where they cannot be."""
    found = list(dict.fromkeys(labels.tolist()))
    if any(isinstance(label, float) and not label.is_integer() for label in found):
        raise ValueError(
            "y holds numbers with fractions, which are no labels; seqkit.LSTMRegressor learns numbers, or cut them "
            "into classes"
        )
    if len(found) < 2:
        raise ValueError(f"y has one class alone, {found[0]!r}; give sequences of two classes or more")  # fmt: skip
    try:
        return sorted(found)
    except TypeError:
        return found


@dataclasses.dataclass(eq=False, repr=False)
class SequenceClassifier(Classifier):
    r"""Which class a sequence belongs to, read by any core.

        p(class k | x_1 .. x_T) = softmax_k(W pool(core(x)) + b)

    Parameters
    ----------
    core : `seqkit.nn.MLP`, `TDNN`, `RNN`, `LSTM`, `GRU`, or `Bidirectional` of one.
    pooling : from steps to one vector. "last": what the core says at the last step (in both directions: at both ends),
        for short sequences; "mean": what holds all along; "max": what happens somewhere; "attention": a mean whose
        weights are learnt, and can be looked at.
    class_weights, smoothing : as in `Classifier`.

    All others are those of `ManyToOneNetwork` and `SequenceNetwork`. Where neither epochs nor steps are given, it is
    trained for 30 passes or 1,000 steps, whichever is longer.

    Attributes
    ----------
    classes_ : the labels, sorted where they can be.

    Raises TypeError for a core that is built already, and ValueError for another pooling, when it is made.
    Source: Graves (2012), "Supervised Sequence Labelling with Recurrent Neural Networks", section 2.1.

    >>> import seqkit
    >>> x, y = [["up", "up"], ["down"], ["up"], ["down", "down"]], ["rise", "fall", "rise", "fall"]
    >>> clf = SequenceClassifier(seqkit.nn.MLP(8), "mean", steps=30).fit(x, y)
    >>> clf.predict([["down", "down", "down"]]).tolist(), clf.score(x, y)
    (['fall'], 1.0)
    """

    core: Core = dataclasses.field(default_factory=lambda: Bidirectional(LSTM(64)))
    pooling: Pooling = "attention"

    def _core(self) -> Core:
        return self.core


@dataclasses.dataclass(eq=False, repr=False)
class LSTMClassifier(Classifier):
    """`SequenceClassifier` on layers of long short-term memory.

    Parameters
    ----------
    hidden, layers : width and number of the layers (of each direction).
    bidirectional : whether a second LSTM reads from the end, and both are looked at together.
    pooling : as in `SequenceClassifier`, as all others are.

    Raises ValueError for numbers out of range.
    Source: Hochreiter, Schmidhuber (1997); Graves, Schmidhuber (2005).

    >>> LSTMClassifier(32, bidirectional=False, pooling="last")
    LSTMClassifier(hidden=32, bidirectional=False, pooling='last')
    """

    hidden: int = 64
    layers: int = 1
    bidirectional: bool = True
    pooling: Pooling = "attention"

    def _core(self) -> Core:
        return directed(LSTM(self.hidden, self.layers), self.bidirectional)


@dataclasses.dataclass(eq=False, repr=False)
class GRUClassifier(Classifier):
    """`SequenceClassifier` on layers of gated recurrent units.

    Parameters
    ----------
    hidden, layers, bidirectional, pooling : as in `LSTMClassifier`, as all others are.

    Raises ValueError for numbers out of range.
    Source: Cho et al. (2014).

    >>> GRUClassifier(32, layers=2)
    GRUClassifier(hidden=32, layers=2)
    """

    hidden: int = 64
    layers: int = 1
    bidirectional: bool = True
    pooling: Pooling = "attention"

    def _core(self) -> Core:
        return directed(GRU(self.hidden, self.layers), self.bidirectional)
