"""Where the search for the parameters of a structural model begins.

The likelihood of a structural model can have several hills: a rough level or a smooth trend, noise that lasts or
alternates. Each gets a few guesses, of which the best is climbed.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np

from seqkit.data.sequences import Array

from ._blocks import Parameter

Table = dict[str, float]

# Variances relative to each other, by a word in their names.
_ROUGH: tuple[Table, ...] = (
    {"observation": 1.0, "slope": 1e-3, "seasonal": 0.01, "regression": 1e-3, "": 0.1},
    {"observation": 0.3, "slope": 1e-2, "seasonal": 0.1, "regression": 1e-2, "": 1.0},
    {"observation": 1.0, "slope": 1e-5, "seasonal": 1e-3, "regression": 1e-4, "": 1e-3},
)
_SMOOTH: tuple[Table, ...] = (
    {"observation": 1.0, "slope": 0.01, "seasonal": 0.01, "regression": 1e-3, "level": 0.0, "": 0.1},
    {"observation": 0.3, "slope": 0.5, "seasonal": 0.1, "regression": 1e-2, "level": 0.0, "": 0.3},
)  # fmt: skip
_STEADY: tuple[Table, ...] = (
    {"observation": 0.1, "slope": 1e-5, "seasonal": 0.01, "regression": 1e-3, "level": 1e-3, "": 1.0},
)  # fmt: skip
_DAMPING = 0.8
_LASTING, _ALTERNATING = 0.8, -0.5  # first coefficients of an autoregression
_SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)  # of the way from the slowest to the fastest cycle


def hills(parameters: Sequence[Parameter]) -> list[list[Array]]:
    """Guesses at all parameter values, (parameters,) each, in groups, one for each hill that there may be."""
    free = [p for p in parameters if p.given is None]
    shares = _SHARES if any(p.kind == "period" for p in free) else _SHARES[:1]

    def guesses(tables: Sequence[Table], first: float) -> list[Array]:
        return [
            np.array([_guess(p, table, share, first) for p in parameters])
            for table, share in product(tables, shares)
        ]

    found = [guesses(_ROUGH, 0.0)]
    if {"level_var", "slope_var"} <= {p.name for p in free}:
        found.append(guesses(_SMOOTH, 0.0))
    if any(p.kind == "coefficient" for p in free):
        found += [guesses(_STEADY, _LASTING), guesses(_ROUGH[:2], _ALTERNATING)]
    return found


def _guess(parameter: Parameter, table: Table, share: float, first: float) -> float:
    """A rough value of one parameter."""
    if parameter.given is not None:
        return parameter.given
    if parameter.kind == "variance":
        return next(value for word, value in table.items() if word in parameter.name)
    if parameter.kind == "period":
        slow, fast = 1.0 / parameter.high, 1.0 / parameter.low
        return 1.0 / (slow + share * (fast - slow))
    if parameter.kind == "damping":
        return max(_DAMPING, 0.5 * (parameter.low + parameter.high))
    return first if parameter.name.endswith(".L1") else 0.0
