"""Measures of models that are asked about examples, not about the future: `score`, labels and numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from seqkit.data import Sequences
from seqkit.evaluation.labels import accuracy, f1

Function = Callable[[Any, Any, Any, dict[str, Any]], float]


@dataclass(frozen=True)
class Scorer:
    """A fitted model, examples and their labels in; one number out."""

    name: str
    function: Function
    best: Literal["smallest", "largest"] = "largest"

    def badness(self, value: Any) -> Any:
        """``value`` turned so that smaller is better."""
        return value if self.best == "smallest" else -value

    @property
    def orientation(self) -> str:
        return "lower is better" if self.best == "smallest" else "higher is better"


def _own(model: Any, x: Any, y: Any, known: dict[str, Any]) -> float:
    return float(model.score(x, **known) if y is None else model.score(x, y, **known))


def _answers(model: Any, x: Any, y: Any, known: dict[str, Any]) -> tuple[list[Any], list[Any]]:
    """What the model says and what is right, end to end: by ``decode`` where it has one (a label per step)."""
    if y is None:
        raise ValueError("labels are scored against y; pass y=, or metric='score'.")
    verb = model.decode if hasattr(model, "decode") else model.predict
    return _flat(y), _flat(verb(x, **known))


def _flat(labels: Any) -> list[Any]:
    if isinstance(labels, Sequences):
        return labels.values[:, 0].tolist()
    if isinstance(labels, (list, tuple)) and any(isinstance(row, (list, tuple)) for row in labels):
        return [label for row in labels for label in row]
    return np.asarray(labels).ravel().tolist()


def _of_labels(measure: Callable[[list[Any], list[Any]], Any]) -> Function:
    return lambda model, x, y, known: float(measure(*_answers(model, x, y, known)))


def _of_errors(finish: Callable[[Any], Any]) -> Function:
    def scored(model: Any, x: Any, y: Any, known: dict[str, Any]) -> float:
        actual, predicted = (np.array(v, dtype=float) for v in _answers(model, x, y, known))
        return float(finish(actual - predicted))

    return scored


NAMED = {
    scorer.name: scorer
    for scorer in (
        Scorer("score", _own),
        Scorer("accuracy", _of_labels(accuracy)),
        Scorer("f1", _of_labels(f1)),
        Scorer("mae", _of_errors(lambda e: np.abs(e).mean()), "smallest"),
        Scorer("mse", _of_errors(lambda e: np.square(e).mean()), "smallest"),
        Scorer("rmse", _of_errors(lambda e: np.sqrt(np.square(e).mean())), "smallest"),
    )
}


def scorer(metric: Any) -> Scorer:
    """The scorer called ``metric``, or a function of (fitted model, x, y), larger better, as one.

    >>> scorer("accuracy").orientation
    'higher is better'

    Raises ValueError for an unknown name, with those that are known.
    """
    if callable(metric):
        name = getattr(metric, "__name__", type(metric).__name__)
        return Scorer(name, lambda model, x, y, known: float(metric(model, x, y)))
    if metric in NAMED:
        return NAMED[metric]
    raise ValueError(
        f"unknown metric {metric!r} for models that are scored on examples; known are "
        f"{', '.join(NAMED)}, and any function of (model, x, y). Measures of forecasts, such as "
        "mase, need HoldOut or RollingOrigin."
    )


def scorers(metrics: Any) -> list[Scorer]:
    """Each measure once, in the order given."""
    given: Iterable[Any] = (
        [metrics] if isinstance(metrics, str) or callable(metrics) else list(metrics)
    )
    found = {s.name: s for s in map(scorer, given)}
    if not found:
        raise ValueError(f"metrics is empty; pass at least one of {', '.join(NAMED)}.")
    return list(found.values())
