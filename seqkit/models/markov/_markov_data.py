"""From labels in any container to counts of what follows what, and the stretches with missing steps in between."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from seqkit.data.sequences import LONG_COLUMNS, Array, Sequences, as_sequences
from seqkit.kernels.markov import Gaps


class Labels:
    """Numbers for labels; new labels are added while `open`, and refused after."""

    def __init__(self, states: list[Hashable] | None):
        self.numbers = {} if states is None else {state: i for i, state in enumerate(states)}
        self.open = states is None

    def ordered(self) -> tuple[list[Hashable], Array]:
        """The labels in their natural order, and the new number of every old one."""
        labels = list(self.numbers)
        try:
            order = sorted(range(len(labels)), key=labels.__getitem__)  # type: ignore[arg-type]
        except TypeError:  # labels of several kinds
            order = sorted(range(len(labels)), key=lambda i: (str(type(labels[i])), str(labels[i])))
        return [labels[i] for i in order], np.argsort(order)

    def code(self, values: Any, name: str) -> Array:
        """Numbers of `values` (T,), NaN where missing."""
        codes, distinct = pd.factorize(np.asarray(values, dtype=object))
        found = np.full(len(distinct) + 1, np.nan)  # the last one is for -1, missing
        for i, value in enumerate(distinct):
            label = _plain(value, name)
            if self.open:
                self.numbers.setdefault(label, len(self.numbers))
            elif label not in self.numbers:
                shown = ", ".join(map(repr, list(self.numbers)[:6]))
                more = ", ..." if len(self.numbers) > 6 else ""
                raise ValueError(
                    f"{name} has the state {label!r} at row {int(np.argmax(codes == i))}, the chain has "
                    f"{shown}{more}; fit it with states=[...] that name all"
                )
            found[i] = self.numbers[label]
        return found[codes]


def _plain(value: Any, name: str) -> Hashable:
    """A label as plain Python: text, a whole number, or another hashable value."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float):
        if not value.is_integer():
            raise TypeError(
                f"{name} holds the number {value!r}; states are labels or whole numbers (pd.cut makes "
                "classes of measurements)"
            )
        return int(value)
    if not isinstance(value, Hashable):
        raise TypeError(
            f"{name} holds a {type(value).__name__} where a label was expected; give one label per step"
        )
    return value


def as_codes(x: Any, labels: Labels, name: str = "x") -> Sequences:
    """`x` with numbers for its labels, NaN where missing."""
    data = as_sequences(_coded(x, labels, name), name=name)
    if len(data.columns) != 1:
        raise _several_channels(name, len(data.columns))
    return data


def _several_channels(name: str, count: int) -> ValueError:
    return ValueError(
        f"{name} has {count} channels; a Markov chain has one label per step. Give several sequences "
        "as a list or dict"
    )


def _coded(x: Any, labels: Labels, name: str) -> Any:
    """The same container around numbers."""
    if isinstance(x, Sequences):
        if not x.tokens:
            return _coded(x.to_pandas(), labels, name)
        return x.with_values(labels.code(x.values[:, 0], name)[:, None])
    if isinstance(x, pd.Series):
        return pd.Series(labels.code(x, name), index=x.index, name=x.name)
    if isinstance(x, pd.DataFrame):
        chosen = LONG_COLUMNS[2:] if set(LONG_COLUMNS) <= set(x.columns) else x.columns
        if len(chosen) != 1:
            raise _several_channels(name, len(chosen))
        coded = x.copy()
        coded[chosen[0]] = labels.code(x[chosen[0]], name)
        return coded
    if isinstance(x, np.ndarray) and x.size:
        if x.ndim > 1 and x.shape[-1] != 1:
            raise _several_channels(name, x.shape[-1])
        if x.ndim > 2:
            return [_coded(part, labels, f"{name}[{i}]") for i, part in enumerate(x)]
        return labels.code(x.ravel(), name)
    if isinstance(x, Mapping):
        return {key: _coded(part, labels, f"{name}[{key!r}]") for key, part in x.items()}
    if isinstance(x, (list, tuple)):
        if x and all(type(part) is list and part for part in x):
            flat = [label for part in x for label in part]
            if not any(
                _several(label) for label in flat
            ):  # sentences: all labels are coded at once
                ends = np.cumsum([len(part) for part in x])
                return np.split(labels.code(_objects(flat), name), ends[:-1])
        if any(_several(part) for part in x):
            return [_coded(part, labels, f"{name}[{i}]") for i, part in enumerate(x)]
        return labels.code(_objects(x), name)
    if hasattr(x, "to_pandas"):
        return _coded(x.to_pandas(), labels, name)
    return x


def _objects(x: Any) -> Array:
    flat = np.empty(len(x), dtype=object)
    flat[:] = x
    return flat


def _several(part: Any) -> bool:
    return isinstance(part, (list, tuple, np.ndarray, pd.Series, pd.DataFrame))


def integers(data: Sequences) -> Array:
    """The numbers of all steps, (T,), -1 where missing."""
    values = data.values[:, 0]
    return np.where(np.isnan(values), -1.0, values).astype(np.int64)


class End(NamedTuple):
    """The last known history of a sequence, -1 for its beginning, and the symbols since, -1 where missing."""

    history: int
    symbols: tuple[int, ...]

    def gaps(self) -> Gaps:
        return Gaps(
            np.array([self.history]),
            np.array([self.symbols], dtype=np.int64).reshape(1, -1),
            np.ones(1),
        )


class Evidence(NamedTuple):
    """What sequences say of a chain of order m over K symbols; N = K^m histories.

    first : (N,) how often each history begins a sequence. counts : (N, K) how often each symbol follows each history.
    gaps : stretches with missing steps, in groups. ends : per sequence, what its end is known by.
    observed : symbols that were observed.
    """

    first: Array
    counts: Array
    gaps: list[Gaps]
    ends: list[End]
    observed: int


def evidence(codes: Array, offsets: Array, order: int, symbols: int) -> Evidence:
    """Count; `codes` (T,) are numbers of symbols, -1 where missing."""
    size = symbols**order
    whole = codes >= 0  # whether the last `order` steps of the same sequence are observed
    history = np.where(whole, codes, 0)
    position = np.arange(len(codes)) - np.repeat(offsets[:-1], np.diff(offsets))
    seen, single = whole.copy(), history.copy()
    for back in range(1, order):
        whole[back:] &= seen[:-back]
        whole[:back] = False
        history[back:] += single[:-back] * symbols**back
    whole &= position >= order - 1
    follows = seen[1:] & whole[:-1] & (position[1:] > 0)
    pairs = history[:-1][follows] * symbols + codes[1:][follows]
    counts = np.bincount(pairs, minlength=size * symbols).reshape(size, symbols)
    starts = offsets[:-1] + order - 1
    complete = (np.diff(offsets) >= order) & whole[np.minimum(starts, len(codes) - 1)]
    first = np.bincount(history[starts[complete]], minlength=size)
    gaps, ends = _gaps(codes, offsets, whole, history, order)
    return Evidence(first.astype(float), counts.astype(float), gaps, ends, int(seen.sum()))


def _gaps(
    codes: Array, offsets: Array, whole: Array, history: Array, order: int
) -> tuple[list[Gaps], list[End]]:
    """The stretches that begin where the history is lost and end where it is known again."""
    known = np.flatnonzero(whole)
    lost = np.flatnonzero((codes < 0)[1:] & whole[:-1]) + 1
    found: Counter[tuple[int, tuple[int, ...]]] = Counter()
    ends: list[End] = []
    edges = np.searchsorted(lost, offsets)
    for n, (start, stop) in enumerate(pairwise(offsets.tolist())):
        places = [int(t) for t in lost[edges[n] : edges[n + 1]] if t > start]
        early = start + order - 1
        if early >= stop or not whole[early]:
            places.insert(0, int(start))
        end = End(int(history[stop - 1]), ()) if whole[stop - 1] else None
        for t in places:
            before = int(history[t - 1]) if t > start else -1
            after = int(np.searchsorted(known, max(t, early)))
            until = known[after] + 1 if after < len(known) and known[after] < stop else stop
            stretch = tuple(codes[t:until].tolist())
            if until == stop and not whole[stop - 1]:
                end = End(before, stretch)
            while stretch and stretch[-1] < 0:
                stretch = stretch[:-1]
            if stretch:
                found[before, stretch] += 1
        assert end is not None
        ends.append(end)
    return _grouped(found), ends


def _grouped(found: Mapping[tuple[int, tuple[int, ...]], int]) -> list[Gaps]:
    """Stretches in which the same steps are missing, together."""
    groups: dict[Any, list[tuple[int, tuple[int, ...], int]]] = {}
    for (history, stretch), times in found.items():
        key = history < 0, tuple(s < 0 for s in stretch)
        groups.setdefault(key, []).append((history, stretch, times))
    return [
        Gaps(*(np.array(part) for part in zip(*group, strict=True))) for group in groups.values()
    ]
