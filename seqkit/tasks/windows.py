"""Lag windows as training examples: gathered by number from one contiguous tensor, never copied out beforehand."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding

from seqkit.kernels.gaps import carried

Array = np.ndarray
TABLE = 1_000_000  # windows, up to which their first rows are listed


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
    weight: Tensor | None = None  # (B,), the unit of the series over the typical one


@dataclass
class Rows:
    """The rows of a panel as arrays, series by series; None where the data have no such thing.

    Attributes
    ----------
    values : (total, C), NaN where missing.
    offsets : (n + 1,), series i is ``values[offsets[i]:offsets[i + 1]]``.
    inputs, past_inputs, calendar : (total, F), (total, P), (total, K).
    static : (n, S).
    weight : (n,), the unit of a series over that of a typical one.
    """

    values: Array
    offsets: Array
    inputs: Array | None = None
    past_inputs: Array | None = None
    calendar: Array | None = None
    static: Array | None = None
    weight: Array | None = None

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
            None if self.weight is None else self.weight[first:after],
        )


class Windows:
    """Every window of `lags` rows and the `horizon` rows after it that lies inside one series.

    Window k is found by arithmetic, so that a hundred million of them cost nothing until they are asked for.
    A series shorter than lags + horizon is padded on the left with its first row. Missing values stand in by the last
    value before them, and by 0 where there is none; `past_seen` and `target_seen` tell which they are.

    Parameters
    ----------
    rows : the panel; the rows of a series before its first observation are left out.
    lags, horizon : rows before and after the origin.
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
        dtype: torch.dtype = torch.float32,
    ):
        self.lags, self.horizon = lags, horizon
        seen = ~np.isnan(rows.values)
        order, starts, counts = _lay_out(rows, seen, lags, horizon)
        filled = rows.values if seen.all() else carried(rows.values, rows.offsets)
        flat = [filled, None if seen.all() else seen, rows.inputs, rows.past_inputs, rows.calendar]
        tensors = [None if a is None else _tensor(a, order, dtype) for a in flat]
        values, self.seen, self.inputs, self.past_inputs, self.calendar = tensors
        assert values is not None
        self.values = values
        fixed = [rows.static, rows.weight]
        self.static, self.weight = (
            None if a is None else torch.as_tensor(a, dtype=dtype) for a in fixed
        )
        self._order = order
        self._number(starts, counts)

    def _number(self, starts: Array, counts: Array) -> None:
        """Windows 0, 1, .. are those that begin at `starts` and the rows after them, `counts` of each series."""
        ends = np.cumsum(counts)
        self.starts, self.counts = starts, counts
        self._ends = torch.as_tensor(ends, device=self.values.device)
        shift = torch.as_tensor(starts - (ends - counts))  # first row less first number
        self._shift = shift.to(self.values.device)
        self._one = int(shift[0]) if len(counts) == 1 else None
        self._table = None  # of first rows, where it is small: found faster than by arithmetic
        if len(counts) > 1 and len(self) <= TABLE:
            firsts = [np.arange(s, s + n) for s, n in zip(starts, counts, strict=True)]
            self._table = torch.as_tensor(np.concatenate(firsts), device=self.values.device)

    def cut(self, skip: int | Array = 0, last: int | Array | None = None) -> Windows:
        """Fewer of the same windows: without the last `skip` of every series, and of the rest the last ones only."""
        left = np.maximum(self.counts - skip, 0)
        kept = left if last is None else np.minimum(left, last)
        fewer = object.__new__(Windows)
        vars(fewer).update(vars(self))
        fewer._number(self.starts + left - kept, kept)
        return fewer

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
        series = None
        if self._one is not None:
            first = index + self._one
        elif self._table is not None and self.static is None and self.weight is None:
            first = self._table[index]
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
        static, weight = (
            None
            if a is None
            else a.expand(len(index), *a.shape[1:])
            if series is None
            else a[series]
            for a in (self.static, self.weight)
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
            weight,
        )


def _gather(rows: Tensor, first: Tensor, length: int) -> Tensor:
    """Blocks of `length` rows that begin at `first`, (B, length, width), by way of a view on overlapping blocks."""
    total, width = rows.shape
    view = rows.as_strided((total - length + 1, length * width), (width, 1))
    return embedding(first, view).view(len(first), length, width)


def _lay_out(rows: Rows, seen: Array, lags: int, horizon: int) -> tuple[Array | None, Array, Array]:
    """Which rows follow each other (None: all as they are), where the windows of a series begin, how many there are."""
    length = lags + horizon
    any_seen = np.asarray(seen.any(axis=1))
    starts, counts, parts = [], [], []
    position, moved = 0, False
    for begin, end in pairwise(rows.offsets):
        inside = any_seen[begin:end]
        lead = int(np.argmax(inside)) if inside.any() else end - begin
        size = int(end - begin) - lead
        # a short series gives windows from its middle on, padded; a long one only whole windows
        padding = 0 if size >= length else lags - max(min(lags, (size - horizon) // 2), 1)
        if size <= horizon:
            padding = 0
        starts.append(position)
        counts.append(max(size + padding - length + 1, 0) if size > horizon else 0)
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
