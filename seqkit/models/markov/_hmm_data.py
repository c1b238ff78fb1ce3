"""Symbols and names of states on their way in: from any container to numbers on the caller's index."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from seqkit.data.intake import textual
from seqkit.data.sequences import Array, Sequences
from seqkit.distributions import Categorical, Rows

from ._markov_data import Labels, as_codes


class Symbols(Labels):
    """Numbers for emitted symbols; new ones are added while a vocabulary is learnt, the reserved one takes the rest."""

    def __init__(self, emission: Categorical):
        super().__init__(list(emission.symbols) if emission.symbols is not None else None)
        self.unknown = emission.unknown
        if self.open and self.unknown is not None:
            self.numbers[self.unknown] = 0

    def code(self, values: Any, name: str) -> Array:
        if self.open or self.unknown is None:
            try:
                return super().code(values, name)
            except ValueError as error:
                raise ValueError(
                    f"{error}".split("; fit it")[0]
                    .replace("state", "symbol")
                    .replace("the chain", "the model")
                    + "; give Categorical(unknown='<unk>') before the fit, to have a probability for such symbols"
                ) from None
        codes, distinct = pd.factorize(np.asarray(values, dtype=object))
        instead = self.numbers[self.unknown]
        found = np.array([self.numbers.get(v, instead) for v in distinct] + [np.nan])
        return found[codes]

    def ordered_symbols(self, emission: Categorical) -> list[Any]:
        """The vocabulary, a symbol for every code."""
        return list(self.numbers)


def coded(x: Any, symbols: Symbols, name: str) -> Sequences:
    """`x` with numbers for its symbols, NaN where missing."""
    return as_codes(x, symbols, name)


def is_text(x: Any) -> bool:
    """Whether a container holds symbols rather than numbers, by its first present element."""
    if isinstance(x, Sequences):
        return x.tokens
    if isinstance(x, pd.DataFrame):
        return any(textual(x[c]) for c in x.columns[-1:]) if x.shape[1] and len(x) else False
    if isinstance(x, pd.Series):
        return bool(len(x)) and (textual(x) or (x.dtype == object and is_text(x.tolist())))
    if isinstance(x, np.ndarray):
        return x.dtype.kind in "US" or (x.dtype == object and is_text(x.ravel().tolist()))
    if isinstance(x, Mapping):
        return is_text(list(x.values()))
    if isinstance(x, (list, tuple)):
        for part in x:
            if part is None or (isinstance(part, float) and part != part):
                continue
            return is_text(part)
        return False
    return isinstance(x, str)


def known_states(
    y: Any, data: Sequences, names: list[Hashable] | None
) -> tuple[Array, list[Hashable]]:
    """The numbers of the states `y` (T,), -1 where unknown, on the rows of `data`; and the names of all states."""
    labels = Labels(None if names is None else list(names))
    given = as_codes(y, labels, "y")
    if len(given) != len(data) or given.single != data.single:
        raise ValueError(
            f"y has {len(given)} sequence(s), x has {len(data)}; give a state for every step of x"
        )
    codes = np.full(len(data.values), -1, dtype=np.int64)
    for i in range(len(data)):
        values, rows = given.array(i)[:, 0], data.rows[i]
        steps = np.arange(data.lengths[i])
        if len(values) != len(steps):
            if rows is None or len(values) != len(rows):
                raise ValueError(
                    f"y of {data.label(i)} has {len(values)} steps, x has {len(steps)}; give a state, or None, for each"
                )
            steps = rows
        codes[data.offsets[i] + steps] = np.where(np.isnan(values), -1, values).astype(np.int64)
    if names is not None:
        return codes, list(names)
    order, new = labels.ordered()
    return np.where(codes < 0, -1, np.asarray(new)[np.maximum(codes, 0)]), order


def allowed_by(known: Array | None, K: int) -> Array | None:
    """(T, K) which states each step may have, given the numbers of those that are known (-1 where not)."""
    return None if known is None else (known[:, None] < 0) | (known[:, None] == np.arange(K))


def with_unknown(rows: Rows, weights: Array, emission: Categorical) -> tuple[Rows, Array]:
    """Symbols that were seen once count for the unknown one too, so that states which show new symbols often expect
    them (Good 1953)."""
    assert emission.symbols is not None and emission.unknown is not None
    once = weights[weights.sum(1) == 1.0].sum(0)
    code = float(emission.symbols.index(emission.unknown))
    values = np.concatenate([rows.values, [[code]]])
    return Rows(values, None, None, rows.complete), np.concatenate([weights, once[None]])
