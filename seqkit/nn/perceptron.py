"""The first rules by which a unit learnt: Hebb's and Rosenblatt's; NumPy only, exact on whole numbers."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seqkit.persistence import Record

Array = NDArray[np.float64]


def threshold(z: ArrayLike) -> NDArray[np.int64]:
    """1 where `z` is above 0, else 0: the unit of McCulloch and Pitts (1943).

    >>> threshold([-1.0, 0.0, 0.5])
    array([0, 0, 1])
    """
    return (np.asarray(z) > 0).astype(np.int64)


def exclusive_or(x: ArrayLike) -> NDArray[np.int64]:
    """XOR of the columns of `x` (n, 2), 0 or 1, by two layers of threshold units with weights set by hand.

    One unit of the first layer says "at least one", the other "both"; the second layer answers "the first
    but not the second"::

        h = threshold(x_1 + x_2 - 0.5),  g = threshold(x_1 + x_2 - 1.5),  y = threshold(h - g - 0.5)

    No single unit can: its two classes lie on two sides of a line (Minsky, Papert 1969).

    >>> exclusive_or([[0, 0], [0, 1], [1, 0], [1, 1]])
    array([0, 1, 1, 0])
    """
    hidden = threshold(np.asarray(x) @ np.array([[1, 1], [1, 1]]) - [0.5, 1.5])
    return threshold(hidden @ np.array([1, -1]) - 0.5)


@dataclass(eq=False)
class _Unit(Record):
    """A weighted sum of inputs, and the class that its sign says."""

    def decision(self, X: ArrayLike) -> Array:
        """w'x + b for every row of `X` (n, inputs); above 0 means the second class."""
        if "coef_" not in vars(self):
            raise ValueError(f"this {type(self).__name__} is not fitted; call fit(X, y) first")
        X = _matrix(X)
        if X.shape[1] != len(self.coef_):
            raise ValueError(
                f"X has {X.shape[1]} columns, the unit was fitted to {len(self.coef_)}"
            )
        return X @ self.coef_ + self.intercept_

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The class of every row of `X` (n, inputs)."""
        return self.classes_[threshold(self.decision(X))]

    def _start(self, X: ArrayLike, y: ArrayLike) -> tuple[Array, Array]:
        """Rows with a 1 in front, and classes as -1 and +1."""
        X, y = _matrix(X), np.asarray(y)
        classes = np.unique(y)
        if y.shape != (len(X),) or len(classes) != 2:
            raise ValueError(
                f"y has shape {y.shape} and the classes {classes.tolist()}; one unit needs one class "
                f"per row of X, ({len(X)},), and two classes in all"
            )
        self.classes_ = classes
        return np.column_stack([np.ones(len(X)), X]), np.where(y == classes[1], 1.0, -1.0)

    def _finish(self, weights: Array) -> None:
        self.intercept_, self.coef_ = float(weights[0]), weights[1:].copy()


@dataclass(eq=False)
class Perceptron(_Unit):
    """A threshold unit that learns from its mistakes, one example at a time.

    Where w'x + b > 0 says another class than y (-1 or +1)::

        w <- w + rate y x,   b <- b + rate y

    If a line separates the classes with margin m, and no example (with a 1 in front) is longer than R, no more
    than (R / m)^2 mistakes are ever made (Novikoff 1962). If none does, the weights come back to values that
    they had before (Block, Levin 1970), which proves it: the rule then runs in a circle.

    Parameters
    ----------
    rate : size of a step; scales the weights and nothing else, since they start at zero.
    max_passes : passes over the examples after which to give up.

    Attributes (after `fit`)
    ------------------------
    coef_, intercept_ : w (inputs,) and b. classes_ : the two classes, sorted; the second is +1.
    history_ : mistakes in each pass.
    separable_ : True after a pass without mistakes, False once the weights came back, None if undecided.

    Warns (UserWarning) when it ended with mistakes. Raises ValueError for anything but two classes.
    Source: Rosenblatt (1958).

    >>> X = [[0, 0], [0, 1], [1, 0], [1, 1]]
    >>> unit = Perceptron().fit(X, [0, 0, 0, 1])
    >>> unit.predict(X), unit.history_.tolist(), unit.separable_
    (array([0, 0, 0, 1]), [1, 3, 3, 2, 1, 0], True)
    """

    rate: float = 1.0
    max_passes: int = 1000

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Learn from rows `X` (n, inputs) in the order given, and their classes `y` (n,)."""
        if not self.rate > 0 or self.max_passes < 1:
            raise ValueError(
                f"rate is {self.rate} and max_passes {self.max_passes}; both must be positive"
            )
        rows, signs = self._start(X, y)
        weights = np.zeros(rows.shape[1])
        history: list[int] = []
        seen, separable = {weights.tobytes()}, None
        while separable is None and len(history) < self.max_passes:
            history.append(self._one_pass(rows, signs, weights))
            if history[-1] == 0:
                separable = True
            elif (key := weights.tobytes()) in seen:
                separable = False
            else:
                seen.add(key)
        self._finish(weights)
        self.history_, self.separable_ = np.array(history), separable
        if not separable:
            self._warn()
        return self

    def _one_pass(self, rows: Array, signs: Array, weights: Array) -> int:
        mistakes = 0
        for row, sign in zip(rows, signs, strict=True):
            if (row @ weights > 0) != (sign > 0):
                weights += self.rate * sign * row
                mistakes += 1
        return mistakes

    def _warn(self) -> None:
        why = (
            "the weights came back to earlier values, so no line separates the classes; add features "
            "or a hidden layer"
            if self.separable_ is False
            else "whether a line separates the classes is open; raise max_passes"
        )
        warnings.warn(
            f"Perceptron: {self.history_[-1]} mistakes in pass {len(self.history_)}: {why}",
            UserWarning,
            stacklevel=3,
        )


@dataclass(eq=False)
class Hebbian(_Unit):
    """A threshold unit whose weights grow where input and output are active together.

        w = rate sum_i y_i x_i,   b = rate sum_i y_i,   y = -1 or +1

    One pass, no errors looked at: right where the inputs are uncorrelated (AND and OR of inputs -1 and +1),
    not in general where a line would do.

    Parameters
    ----------
    rate : weight of one example.

    Source: Hebb (1949).

    >>> X = [[-1, -1], [-1, 1], [1, -1], [1, 1]]
    >>> unit = Hebbian().fit(X, [-1, -1, -1, 1])
    >>> unit.coef_, unit.intercept_, unit.predict(X)
    (array([2., 2.]), -2.0, array([-1, -1, -1,  1]))
    """

    rate: float = 1.0

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Learn from rows `X` (n, inputs) and their two classes `y` (n,)."""
        rows, signs = self._start(X, y)
        self._finish(self.rate * (signs @ rows))
        return self


def _matrix(X: ArrayLike) -> Array:
    X = np.asarray(X, dtype=float)
    if X.ndim != 2 or not np.isfinite(X).all():
        raise ValueError(
            f"X must be finite numbers of shape (rows, inputs), got shape {X.shape}"
            + ("" if np.isfinite(X).all() else " with NaN or infinity")
        )
    return X
