"""From sequences to what a network reads: rows of numbers, and the last of them, from which forecasts start."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from seqkit.data.calendar import Calendar
from seqkit.data.features import calendar_features
from seqkit.data.sequences import Array, Sequences
from seqkit.kernels.gaps import carried
from seqkit.persistence import Record

ENOUGH = 100_000  # rows that tell the level of a series
FAR = 100.0  # typical scales from the median: whether a value is absurd is asked beyond
TYPICAL = 64  # windows that tell its scale
LEAST = 3  # observed values, without which a series has no scale of its own


class Encoding(Record):
    """How the rows of a panel are written for a network; what it needs to know is learnt once, from the fit.

    Attributes
    ----------
    centre, unit : (series, C), taken off and divided by in double precision: large values keep their digits in single,
        and a typical window of any series has the scale 1.
    split : every channel is a series of its own (one network for all of them) instead of a part of a vector.
    known, past, static : numbers of inputs: known ahead, known up to now, fixed; in this order of columns.
    mean, scale : (inputs,), by which the inputs are standardised.
    fields : fields of the calendar (see `seqkit.calendar_features`).
    """

    def __init__(
        self,
        data: Sequences,
        covariates: Array | None,
        kinds: tuple[int, int, int],
        *,
        split: bool,
        lags: int,
        centred: bool,
        fields: tuple[str, ...],
        dtype: type = np.float32,
    ):
        self.known, self.past, self.static = kinds
        self.split, self.fields, self.double = split, tuple(fields), dtype is np.float64
        self.centre = np.zeros((len(data), data.values.shape[1]))
        self.unit = np.ones_like(self.centre)
        if centred:
            for i in range(len(data)):
                self.centre[i] = _middle(data.array(i))
                self.unit[i] = [_typical_scale(column, lags) for column in data.array(i).T]
            typical = np.nanmedian(self.unit) if np.isfinite(self.unit).any() else 1.0
            self.unit = np.where(np.isnan(self.unit), typical, self.unit)  # too short to tell
        self.mean = self.scale = np.zeros(0)
        if covariates is not None:
            self.mean = covariates.mean(0)
            scale = covariates.std(0)
            self.scale = np.where(scale > 1e-12 * np.abs(self.mean), scale, 1.0)

    @property
    def dtype(self) -> type:
        """Of the numbers that the network reads."""
        return np.float64 if self.double else np.float32

    @property
    def torch_dtype(self) -> Any:
        """The same, as torch calls it."""
        import torch

        return torch.float64 if self.double else torch.float32

    @property
    def copies(self) -> int:
        """Rows series that a series becomes: one for each channel, where channels are parted."""
        return self.centre.shape[1] if self.split else 1

    @property
    def width_of_dates(self) -> int:
        """Number of calendar features."""
        return (
            len(calendar_features(pd.DatetimeIndex([]), self.fields).columns) if self.fields else 0
        )

    def rows(
        self, data: Sequences, covariates: Array | None, positions: Array, extra: int = 0
    ) -> dict[str, Any]:
        """The parts of `seqkit.tasks.windows.Rows` for sequences that are fitted series `positions`.

        `extra` rows are put after every sequence: without values, with the last inputs, on the dates that follow.
        """
        channels = data.values.shape[1]
        lengths = data.lengths + extra
        total = int(lengths.sum())
        copies = self.copies
        values = np.empty((total * copies, channels // copies), self.dtype)
        inputs: Array | None = None
        if covariates is not None:
            inputs = self._standard(data, covariates, extra)
        dates = self._dates(data, extra)
        at = 0
        for i, position in enumerate(positions):
            part, centre = data.array(i), self.centre[position]
            for c in range(copies):
                chosen = slice(c, c + 1) if self.split else slice(None)
                end = at + len(part)
                np.subtract(
                    part[:, chosen], centre[chosen], out=values[at:end], casting="same_kind"
                )
                values[at:end] /= self.unit[position][chosen]
                values[end : end + extra] = np.nan
                at = end + extra
        offsets = np.concatenate([[0], np.cumsum(np.repeat(lengths, copies))])
        made: dict[str, Any] = {
            "values": values,
            "offsets": offsets,
            "weight": self._weights(positions),
        }
        made["calendar"] = self._spread(dates, lengths, copies)
        if inputs is not None:
            ahead = self.known + self.past
            made["inputs"] = self._spread(inputs[:, : self.known], lengths, copies)
            made["past_inputs"] = self._spread(inputs[:, self.known : ahead], lengths, copies)
            if self.static:
                first = np.minimum(
                    np.cumsum(lengths) - lengths, len(inputs) - 1
                )  # a series may have no row
                made["static"] = np.repeat(inputs[first, ahead:], copies, axis=0)
        return made

    def _weights(self, positions: Array) -> Array:
        """The unit of every series of rows over the typical one."""
        unit = self.unit[positions]
        unit = unit.reshape(-1) if self.split else unit.mean(axis=1)
        return unit / np.median(self.unit)

    def _standard(self, data: Sequences, covariates: Array, extra: int) -> Array:
        _refuse_missing(data, covariates)
        inputs: Array = ((covariates - self.mean) / self.scale).astype(self.dtype)
        if not extra:
            return inputs
        ends = zip(data.offsets[:-1], data.offsets[1:], strict=True)
        rows = [np.concatenate([np.arange(a, b), np.full(extra, b - 1)]) for a, b in ends]
        return inputs[np.concatenate(rows)]

    def _dates(self, data: Sequences, extra: int) -> Array | None:
        if not self.fields:
            return None
        parts = []
        for calendar in data.calendars:
            parts.append(self.dates(calendar))
            if extra:
                parts.append(self.dates(calendar.ahead(extra)))
        return np.concatenate(parts)

    def dates(self, calendar: Calendar) -> Array:
        """Features of the entries of a calendar."""
        return calendar_features(calendar.index, self.fields).to_numpy(self.dtype)

    def known_ahead(
        self, covariates: Array | None, calendars: list[Calendar]
    ) -> tuple[Array | None, Array | None]:
        """Known inputs (series, steps, known) and date features (series, steps, K), as they are written."""
        known: Array | None = None
        if covariates is not None and self.known:
            scaled = (covariates - self.mean[: self.known]) / self.scale[: self.known]
            known = scaled.astype(self.dtype).reshape(len(calendars), -1, self.known)
        return known, np.stack([self.dates(c) for c in calendars]) if self.fields else None

    def ahead(
        self,
        tail: Tail,
        static: Array | None,
        covariates: Array | None,
        calendars: list[Calendar],
        steps: int,
    ) -> Ahead:
        """The windows that end now, with what is known of the `steps` that follow; the last known input goes on."""
        past, seen, inputs, past_inputs = tail.window()
        known, dates = self.known_ahead(covariates, calendars)
        if known is not None and inputs is not None:
            known = np.pad(known, ((0, 0), (0, steps - known.shape[1]), (0, 0)), mode="edge")
            inputs = np.concatenate([inputs, np.repeat(known, self.copies, axis=0)], axis=1)
        dates = None if dates is None else np.repeat(dates, self.copies, axis=0)
        return Ahead(past, seen.astype(self.dtype), inputs, past_inputs, dates, static)

    def _spread(self, array: Array | None, lengths: Array, copies: int) -> Array | None:
        """The same rows for every channel of a series, where channels are series of their own."""
        if array is None or not array.shape[1]:
            return None
        if copies == 1:
            return array
        parts = np.split(array, np.cumsum(lengths)[:-1])
        return np.concatenate([part for part in parts for _ in range(copies)])

    def gather(self, array: Array) -> Array:
        """(rows, steps, width, ..) of the network as (series, steps, channels, ..)."""
        if not self.split:
            return array
        series, channels = self.centre.shape
        return np.moveaxis(array.reshape(series, channels, *array.shape[1:])[:, :, :, 0], 1, 2)

    def gather_rows(self, array: Array, lengths: Array, extra: int) -> Array:
        """(rows, width, ..) as `rows` lays them out, as (total, channels, ..) without the extra ones."""
        blocks = np.split(array, np.cumsum(np.asarray(lengths + extra) * self.copies)[:-1])
        parts = []
        for block, length in zip(blocks, lengths, strict=True):
            if self.split:
                block = block.reshape(self.copies, length + extra, *array.shape[1:])[:, :, 0]
                block = np.moveaxis(block, 0, 1)
            parts.append(block[:length])
        return np.concatenate(parts)


@dataclass
class Ahead:
    """Windows that end with the last row of every series, and what is known beyond; as in `WindowBatch`."""

    past: Array
    seen: Array
    inputs: Array | None
    past_inputs: Array | None
    calendar: Array | None
    static: Array | None

    def take(self, numbers: Array, layout: Any, start: int = 0) -> dict[str, Array | None]:
        """The parts of a batch for these series, whose forecast begins `start` steps ahead."""
        length = layout.lags + layout.horizon

        def cut(array: Array | None, width: int) -> Array | None:
            return None if array is None else array[numbers, start : start + width]

        return {
            "past": self.past[numbers],
            "past_seen": self.seen[numbers] if layout.seen else None,
            "inputs": cut(self.inputs, length),
            "past_inputs": None if self.past_inputs is None else self.past_inputs[numbers],
            "calendar": cut(self.calendar, layout.horizon),
            "static": None if self.static is None else self.static[numbers],
        }


class Tail(Record):
    """The last rows of every series, all that forecasting and updating need.

    Attributes
    ----------
    values : (rows, L, C), NaN where missing or before the first row. before : (rows, C), the last value observed
        before them, NaN where there is none. length : (rows,), how many of the L rows there are.
    inputs, past_inputs : (rows, L, F) and (rows, L, P), or None.
    """

    def __init__(self, lags: int, rows: dict[str, Any]):
        count = len(rows["offsets"]) - 1
        for name in ("values", "inputs", "past_inputs"):
            like = rows.get(name)
            blank = (
                None if like is None else np.full((count, lags, like.shape[1]), np.nan, like.dtype)
            )
            setattr(self, name, blank)
        self.before = np.full(self.values.shape[::2], np.nan)
        self.length = np.zeros(count, dtype=int)
        self._append(rows)

    values: Array
    inputs: Array | None
    past_inputs: Array | None

    def after(self, rows: dict[str, Any]) -> Tail:
        """The tail once `rows` have followed; a series may have none."""
        made: Tail = object.__new__(Tail)
        copied = {k: v if v is None else v.copy() for k, v in vars(self).items()}
        vars(made).update(copied)
        made._append(rows)
        return made

    def _append(self, rows: dict[str, Any]) -> None:
        lags = self.values.shape[1]
        for i, (start, end) in enumerate(pairwise(rows["offsets"])):
            if not self.length[i]:  # a series begins with its first observation
                seen = ~np.isnan(rows["values"][start:end]).all(axis=1)
                start = start + int(np.argmax(seen)) if seen.any() else end
            new = int(end - start)
            if not new:
                continue
            kept = min(new, lags)
            before = _last(self.values[i, :kept], self.before[i])
            self.before[i] = _last(rows["values"][start : end - kept], before)
            for name in ("values", "inputs", "past_inputs"):
                if (array := getattr(self, name)) is not None:
                    array[i, : lags - kept] = array[i, kept:].copy()
                    array[i, lags - kept :] = rows[name][end - kept : end]
            self.length[i] = min(self.length[i] + new, lags)

    def window(self) -> tuple[Array, Array, Array | None, Array | None]:
        """Values filled as in training, which of them are observed, and inputs; rows before the first are like it."""
        lags = self.values.shape[1]
        first = np.maximum(np.arange(lags), lags - np.maximum(self.length, 1)[:, None])[:, :, None]
        known = np.concatenate([self.before[:, None], self.values], axis=1)
        offsets = np.arange(len(known) + 1) * (lags + 1)
        filled = carried(known.reshape(-1, known.shape[2]), offsets).reshape(known.shape)[:, 1:]
        parts = [filled, ~np.isnan(self.values), self.inputs, self.past_inputs]
        taken = [None if a is None else np.take_along_axis(a, first, axis=1) for a in parts]
        values, seen, inputs, past_inputs = taken
        assert values is not None and seen is not None
        return values.astype(self.values.dtype), seen, inputs, past_inputs


def tamed(values: Array, offsets: Array) -> None:
    """Bring values that are absurdly far away, in place, to where one of them cannot undo all others in training.

    Far is beyond 100 units and ten times the range that 98 % of the series lie in.
    """
    for start, end in pairwise(offsets):
        part = values[start:end]
        farthest = max(
            np.fmax.reduce(part, axis=None, initial=0.0),
            -np.fmin.reduce(part, axis=None, initial=0.0),
        )
        if not farthest > FAR:
            continue
        seen = part[:: max(1, len(part) // ENOUGH)]
        low, high = np.nanquantile(seen, [0.01, 0.99], axis=0)
        limit = FAR + 10 * (high - low)
        if (np.abs(part) > limit).any():
            values[start:end] = np.clip(part, -limit, limit)


def _typical_scale(y: Array, lags: int) -> float:
    """The median, over windows of `lags` rows spread over a series, of their mean absolute deviation.

    NaN where too little is observed to tell; of a constant series a small number.
    """
    if len(y) > lags:
        starts = np.unique(
            np.linspace(0, len(y) - lags, min(TYPICAL, len(y) - lags + 1)).astype(int)
        )
        windows = y[starts[:, None] + np.arange(lags)]
    else:
        windows = y[None]
    seen = ~np.isnan(windows)
    if (~np.isnan(y[:: max(1, len(y) // ENOUGH)])).sum() < LEAST:
        return float("nan")
    count = np.maximum(seen.sum(1), 1)
    mean = np.where(seen, windows, 0.0).sum(1) / count
    away = np.where(seen, np.abs(windows - mean[:, None]), 0.0).sum(1) / count
    if (away[seen.sum(1) > 1] > 0).any():
        moving = away[(seen.sum(1) > 1) & (away > 0)]
        return float(np.median(moving))
    return 1e-6  # nothing ever changes


def _middle(values: Array) -> Array:
    """The median of every channel, 0 where nothing is observed; of very long series, that of evenly spaced rows."""
    values = values[:: max(1, len(values) // ENOUGH)]
    seen = ~np.isnan(values)
    if seen.all():
        return np.median(values, axis=0) if len(values) else np.zeros(values.shape[1])
    columns = zip(values.T, seen.T, strict=True)
    return np.array([np.median(y[known]) if known.any() else 0.0 for y, known in columns])


def _last(values: Array, otherwise: Array) -> Array:
    """The last observed value of every channel of (rows, C), found from the end on."""
    found = otherwise.copy()
    for c in range(values.shape[1]):
        end, block = len(values), 256
        while end > 0:
            part = values[max(end - block, 0) : end, c]
            known = np.flatnonzero(~np.isnan(part))
            if len(known):
                found[c] = part[known[-1]]
                break
            end, block = end - block, 4 * block
    return found


def _refuse_missing(data: Sequences, covariates: Array) -> None:
    if np.isnan(covariates).any():
        row = int(np.argmax(np.isnan(covariates).any(axis=1)))
        i = int(np.searchsorted(data.offsets, row, side="right") - 1)
        when = data.calendars[i].format(int(row - data.offsets[i]))
        raise ValueError(
            f"covariates are missing at {when} of {data.label(i)}; a network needs every input: fill them"
        )
