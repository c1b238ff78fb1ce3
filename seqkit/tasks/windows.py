"""Lag windows as training examples: gathered by number from one contiguous tensor, never copied out beforehand."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding

Array = np.ndarray


class WindowBatch(NamedTuple):
    """Some windows: what was seen, what is to be forecast, and what is known of both.

    Parts that the data do not have are None. B windows, L lags, h steps ahead, C channels.
    """

    past: Tensor  # (B, L, C), missing values filled
    past_seen: Tensor | None  # (B, L, C), 1 where observed
    target: Tensor  # (B, h, C), missing values filled
    target_seen: Tensor | None  # (B, h, C)
    inputs: Tensor | None  # (B, L + h, F), covariates known ahead
    past_inputs: Tensor | None  # (B, L, P), covariates known up to now
    calendar: Tensor | None  # (B, h, K), features of the forecast dates
    static: Tensor | None  # (B, S), features of the series


@dataclass
class Rows:
    """The rows of a panel as arrays, series by series; None where the data have no such thing.

    Attributes
    ----------
    values : (total, C), NaN where missing.
    offsets : (n + 1,), series i is ``values[offsets[i]:offsets[i + 1]]``.
    inputs, past_inputs, calendar : (total, F), (total, P), (total, K).
    static : (n, S).
    """

    values: Array
    offsets: Array
    inputs: Array | None = None
    past_inputs: Array | None = None
    calendar: Array | None = None
    static: Array | None = None

    def part(self, number: int, width: int = 1) -> Rows:
        """Series number * width to (number + 1) * width - 1 alone."""
        first, after = number * width, (number + 1) * width
        start, end = self.offsets[first], self.offsets[after]

        def cut(array: Array | None) -> Array | None:
            return None if array is None else array[start:end]

        return Rows(
            self.values[start:end],
            self.offsets[first : after + 1] - start,
            cut(self.inputs),
            cut(self.past_inputs),
            cut(self.calendar),
            None if self.static is None else self.static[first:after],
        )


class Windows:
    """Every window of `lags` rows and the `horizon` rows after it that lies inside one series.

    Window k is found by arithmetic, so that a hundred million of them cost nothing until they are asked for.
    A series shorter than lags + horizon is padded on the left with its first value. Missing values stand in
    by the last value before them; `past_seen` and `target_seen` tell which they are.

    Parameters
    ----------
    rows : the panel; the rows of a series before its first observation are left out.
    lags, horizon : rows before and after the origin.
    skip : origins left out at the end of every series (for what is held out).
    last : keep only this many origins at the end of every series, after `skip`.
    dtype : of the tensors.

    Examples
    --------
    >>> import numpy as np
    >>> windows = Windows(Rows(np.arange(6.0)[:, None], np.array([0, 6])), lags=3, horizon=2)
    >>> len(windows), windows.batch(torch.tensor([1])).past[0, :, 0].tolist()
    (2, [1.0, 2.0, 3.0])
    """

    def __init__(
        self,
        rows: Rows,
        lags: int,
        horizon: int,
        *,
        skip: int = 0,
        last: int | None = None,
        dtype: torch.dtype = torch.float32,
    ):
        self.lags, self.horizon = lags, horizon
        seen = ~np.isnan(rows.values)
        order, starts, counts = _lay_out(rows, seen, lags, horizon, skip, last)
        self.series = np.flatnonzero(counts)  # those with a window at all
        filled = rows.values if seen.all() else _fill(rows.values, seen, rows.offsets)
        flat = [filled, None if seen.all() else seen, rows.inputs, rows.past_inputs, rows.calendar]
        tensors = [None if a is None else _tensor(a, order, dtype) for a in flat]
        values, self.seen, self.inputs, self.past_inputs, self.calendar = tensors
        assert values is not None
        self.values = values
        self.static = None if rows.static is None else torch.as_tensor(rows.static, dtype=dtype)
        ends = np.cumsum(counts)
        self.counts = counts
        self._ends = torch.as_tensor(ends)
        self._shift = torch.as_tensor(starts - (ends - counts))  # first row less first number
        self._one = int(self._shift[0]) if len(counts) == 1 else None
        self._order = order

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def to(self, device: torch.device | str) -> Windows:
        """The same windows with their rows on `device`."""
        moved = object.__new__(Windows)
        vars(moved).update(
            {k: v.to(device) if isinstance(v, Tensor) else v for k, v in vars(self).items()}
        )
        return moved

    def origins(self) -> tuple[Array, Array]:
        """The series of every window, and the row of its first target, counted in the rows that were given."""
        series = np.repeat(np.arange(len(self.counts)), self.counts)
        first = np.arange(len(self)) + self._shift.cpu().numpy()[series] + self.lags
        return series, first if self._order is None else self._order[first]

    def take(self, numbers: Array, *_: object) -> WindowBatch:
        """The windows of these numbers, (B,)."""
        return self.batch(torch.from_numpy(np.asarray(numbers)).to(self._ends.device))

    def batch(self, index: Tensor) -> WindowBatch:
        """The windows of these numbers, (B,) of int64 on the device of the rows."""
        if self._one is not None:
            series, first = None, index + self._one
        else:
            series = torch.searchsorted(self._ends, index, right=True)
            first = index + self._shift[series]
        length, lags, horizon = self.lags + self.horizon, self.lags, self.horizon
        values = _gather(self.values, first, length)
        past, target = values[:, :lags], values[:, lags:]
        past_seen = target_seen = None
        if self.seen is not None:
            seen = _gather(self.seen, first, length)
            past_seen, target_seen = seen[:, :lags], seen[:, lags:]
        static = None
        if self.static is not None:
            static = (
                self.static[series] if series is not None else self.static.expand(len(index), -1)
            )
        return WindowBatch(
            past,
            past_seen,
            target,
            target_seen,
            None if self.inputs is None else _gather(self.inputs, first, length),
            None if self.past_inputs is None else _gather(self.past_inputs, first, lags),
            None if self.calendar is None else _gather(self.calendar, first + lags, horizon),
            static,
        )


def _gather(rows: Tensor, first: Tensor, length: int) -> Tensor:
    """Blocks of `length` rows that begin at `first`, (B, length, width), by way of a view on overlapping blocks."""
    total, width = rows.shape
    view = rows.as_strided((total - length + 1, length * width), (width, 1))
    return embedding(first, view).view(len(first), length, width)


def _lay_out(
    rows: Rows, seen: Array, lags: int, horizon: int, skip: int, last: int | None
) -> tuple[Array | None, Array, Array]:
    """Which rows follow each other (None: all as they are), where the windows of a series begin, how many there are."""
    length = lags + horizon
    offsets = rows.offsets
    any_seen = np.asarray(seen.any(axis=1))
    starts, counts, parts = [], [], []
    position, moved = 0, False
    for begin, end in pairwise(offsets):
        inside = any_seen[begin:end]
        lead = int(np.argmax(inside)) if inside.any() else end - begin
        size = int(end - begin) - lead
        # a short series gives windows from its middle on, padded; a long one only whole windows
        padding = 0 if size >= length else lags - max(min(lags, (size - horizon) // 2), 1)
        usable = max(size + padding - length + 1 - skip, 0) if size > horizon else 0
        kept = usable if last is None else min(usable, last)
        if size <= horizon:
            padding = 0
        starts.append(position + usable - kept)
        counts.append(kept)
        moved |= lead > 0 or padding > 0
        parts.append((int(begin) + lead, int(end), padding))
        position += size + padding
    order = None
    if moved:
        chunks = []
        for first, end, padding in parts:
            if padding:
                chunks.append(np.full(padding, first))
            chunks.append(np.arange(first, end))
        order = np.concatenate(chunks)
    return order, np.array(starts, dtype=np.int64), np.array(counts, dtype=np.int64)


def _tensor(array: Array, order: Array | None, dtype: torch.dtype) -> Tensor:
    made = torch.from_numpy(np.ascontiguousarray(array)).to(dtype)
    return made if order is None else made[torch.from_numpy(order)]


def _fill(values: Array, seen: Array, offsets: Array) -> Array:
    """Missing values by the last one before them in the same series; before the first one, by that one."""
    total, channels = values.shape
    filled = np.empty_like(values)
    rows = np.arange(total)
    starts = np.repeat(offsets[:-1], np.diff(offsets))
    for c in range(channels):
        before = np.maximum.accumulate(np.where(seen[:, c], rows, -1))
        after = np.minimum.accumulate(np.where(seen[:, c], rows, total)[::-1])[::-1]
        ends = np.repeat(offsets[1:], np.diff(offsets))
        source = np.where(before >= starts, before, np.where(after < ends, after, -1))
        filled[:, c] = np.where(source >= 0, values[source, c], 0.0)
    return filled
