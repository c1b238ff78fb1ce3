"""What a split that knows no time parts: the sequences of a panel, or the rows of a table or single sequence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from seqkit.data import Sequences, as_sequences
from seqkit.evaluation.splits import Positions


@dataclass(frozen=True)
class Examples:
    """Examples with their labels and covariates, if any, that can be taken by position."""

    x: Any
    y: Any
    covariates: Any
    unit: Literal["series", "rows"]
    count: int

    def __len__(self) -> int:
        return self.count

    def take(self, positions: Positions) -> tuple[Any, Any, dict[str, Any]]:
        """x, y and the keywords of `fit` and `score` of some examples."""
        known = _take(self.covariates, positions)
        keywords = {} if known is None else {"covariates": known}
        return _take(self.x, positions), _take(self.y, positions), keywords

    @property
    def labels(self) -> Any:
        """What a stratified split asks for: a label per example, or a list of labels."""
        if isinstance(self.y, Sequences):
            return [self.y.array(i)[:, 0].tolist() for i in range(len(self.y))]
        return self.y


def as_examples(x: Any, y: Any = None, covariates: Any = None) -> Examples:
    """The examples that `x` holds: the sequences of a panel, the rows of anything else.

    >>> as_examples([["the", "dog"], ["a", "cat"]]).unit
    'series'
    >>> as_examples(np.zeros((7, 2)), np.arange(7)).count
    7

    Raises ValueError where `y` or `covariates` do not have as many.
    """
    panel = _panel(x)
    if panel is None:
        x = x.to_pandas() if isinstance(x, Sequences) else x
        found = Examples(
            _rows(x, sequence=y is None), _rows(y), _rows(covariates), "rows", _size(x)
        )
    else:
        names = panel.keys
        sentences = panel.tokens and isinstance(x, (list, tuple))
        inputs = None if covariates is None else as_sequences(covariates, name="covariates")
        found = Examples(x if sentences else panel, _labels(y, names), inputs, "series", len(panel))
    for name in ("y", "covariates"):
        other = getattr(found, name)
        if other is not None and _size(other) != found.count:
            raise ValueError(
                f"{name} has {_size(other)} {found.unit} and x {found.count}; pass as many."
            )
    return found


def _panel(x: Any) -> Sequences | None:
    """`x` as a panel; None where it is a table or one sequence."""
    if isinstance(x, np.ndarray) and x.ndim < 3:
        return None
    if isinstance(x, pd.Series) and not isinstance(x.index, pd.MultiIndex):
        return None
    data = as_sequences(x)
    return None if data.single else data


def _rows(x: Any, *, sequence: bool = False) -> Any:
    """A container that rows can be taken from.

    Rows of a numeric sequence carry their place along, so that a model of sequences sees those left out as missing.
    """
    if sequence and isinstance(x, np.ndarray) and x.dtype.kind in "biuf":
        return pd.Series(x) if x.ndim == 1 else pd.DataFrame(x)
    return x


def _labels(y: Any, names: tuple[Any, ...]) -> Any:
    """Labels of the sequences of a panel: one each, or a sequence each."""
    if isinstance(y, Mapping):
        absent = [name for name in names if name not in y]
        if absent:
            raise ValueError(f"y has no entry for series {absent[0]!r}; give one for every series.")
        y = {name: y[name] for name in names}
        if all(np.isscalar(v) for v in y.values()):
            return pd.Series(y)
    plain = isinstance(y, (list, tuple)) and all(np.isscalar(v) for v in y)
    flat = isinstance(y, np.ndarray) and y.ndim == 1 and y.dtype != object
    single = isinstance(y, pd.Series) and not isinstance(y.index, pd.MultiIndex)
    if single and names != tuple(range(len(names))):  # by name, not by place
        shared = set(y.index) & set(names)
        if y.index.is_unique and len(shared) == len(y) == len(names):
            return y.iloc[y.index.get_indexer(pd.Index(list(names), tupleize_cols=False))]
        if shared and len(y) == len(names):
            odd = next((name for name in names if name not in shared), names[0])
            raise ValueError(
                f"y names some of the series of x, but not {odd!r} once; give one entry for each name, or "
                "y.to_numpy() to go by place."
            )
    if y is None or plain or flat or single:
        return y
    if isinstance(y, (list, tuple)) and all(isinstance(v, (list, tuple)) for v in y):
        return list(y)
    return as_sequences(y, name="y")


def _size(x: Any) -> int:
    return len(x)


def _take(x: Any, positions: Positions) -> Any:
    if x is None:
        return None
    if isinstance(x, Sequences):
        return x.subset(positions.tolist())
    if isinstance(x, (pd.Series, pd.DataFrame)):
        return x.iloc[positions]
    if isinstance(x, (list, tuple)):
        return [x[i] for i in positions]
    return x[positions]
