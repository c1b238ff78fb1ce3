"""The way in and the way out: every container of pandas, NumPy and plain Python becomes `Sequences`.

This module, with `calendar` and `intake`, is the only place that knows pandas' containers; inside, models see arrays.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from seqkit.persistence import Record

from .calendar import Calendar, comparable, regularise
from .intake import Array, numbers, refuse_empty, refuse_infinite, symbols, textual, to_float

LONG_COLUMNS = ("unique_id", "ds", "y")
_BLANK = object()  # asks for an instance without data, to be filled


class Sequences(Record):
    """One sequence or a panel of them: ragged, unpadded, on regular calendars.

    Attributes
    ----------
    values : (total, channels) float64, the rows of all sequences end to end, NaN where missing; for tokens
        (total, 1) of str. A single float64 Series or array is held without a copy.
    offsets : (n + 1,) int64; sequence i is ``values[offsets[i]:offsets[i + 1]]``.
    calendars : one per sequence. Holes in the caller's index have become rows of NaN.
    keys : the names of the sequences; (None,) for a single one.
    columns : the names of the channels; (None,) where the caller gave none.
    single : one sequence, not a panel.
    rows : per sequence, the rows that the caller gave, or None for all of them.

    Examples
    --------
    >>> import pandas as pd
    >>> y = pd.Series([1.0, 2.0, 4.0], index=pd.to_datetime(["2024-01-31", "2024-02-29", "2024-04-30"]))
    >>> Sequences(y)                                     # March is missing
    Sequences(4 steps, 2024-01-31 .. 2024-04-30, step ME, 1 missing)
    """

    values: Array
    offsets: Array
    calendars: tuple[Calendar, ...]
    keys: tuple[Hashable, ...]
    columns: tuple[Hashable, ...]
    single: bool
    rows: tuple[Array | None, ...]

    def __new__(cls, x: Any = _BLANK, *, frequency: Any = None) -> Sequences:
        return super().__new__(cls) if x is _BLANK else as_sequences(x, frequency=frequency)

    def __init__(self, x: Any = _BLANK, *, frequency: Any = None) -> None:
        """`x`: any accepted container; `frequency`: a pandas frequency that overrules inference."""

    @classmethod
    def from_long(
        cls, frame: pd.DataFrame, *, id: str = "unique_id", time: str = "ds", value: str | list[str] = "y",
        frequency: Any = None,
    ) -> Sequences:  # fmt: skip
        """A panel from a long frame with one row per series and time."""
        channels = [value] if isinstance(value, str) else list(value)
        absent = [c for c in (id, time, *channels) if c not in frame.columns]
        if absent:
            raise ValueError(
                f"the long frame has no column {absent[0]!r}; it has {list(frame.columns)}"
            )
        indexed = frame.set_index(
            pd.MultiIndex.from_arrays([frame[id], frame[time]], names=[id, time])
        )
        values = indexed[value] if isinstance(value, str) else indexed[channels]
        return _from_multiindex(values, "x", frequency)

    # -- looking ---------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def lengths(self) -> Array:
        return np.diff(self.offsets)

    @property
    def tokens(self) -> bool:
        """Symbols rather than numbers."""
        return self.values.dtype == object

    def array(self, i: int) -> Array:
        """The values of sequence i, (T_i, channels), a view."""
        return self.values[self.offsets[i] : self.offsets[i + 1]]

    def label(self, i: int) -> str:
        """How messages call sequence i."""
        return "the series" if self.single else f"series {self.keys[i]!r}"

    def __repr__(self) -> str:
        missing = "" if self.tokens else f", {int(np.isnan(self.values).sum())} missing"
        channels = f", {len(self.columns)} channels" if len(self.columns) > 1 else ""
        if self.single:
            return f"Sequences({len(self.values)} steps{channels}, {repr(self.calendars[0])[9:-1]}{missing})"
        shortest, longest = self.lengths.min(), self.lengths.max()
        return f"Sequences({len(self)} series of {shortest} to {longest} steps{channels}{missing})"

    # -- cutting ---------------------------------------------------------------------------------

    def select(self, i: int) -> Sequences:
        """Sequence i alone."""
        return _make(
            self.array(i), np.array([0, self.lengths[i]]), (self.calendars[i],), (self.keys[i],), self.columns, True,
            (self.rows[i],),
        )  # fmt: skip

    def subset(self, positions: Iterable[int]) -> Sequences:
        """A panel of the sequences at `positions`."""
        chosen = list(positions)
        return _join([self.select(i) for i in chosen], tuple(self.keys[i] for i in chosen))

    def window(self, start: int | None, stop: int | None) -> Sequences:
        """Every sequence cut as ``sequence[start:stop]``; negative numbers count from its own end."""
        parts = []
        for i in range(len(self)):
            first, last, _ = slice(start, stop).indices(int(self.lengths[i]))
            last = max(first, last)
            rows = self.rows[i]
            if rows is not None:
                rows = rows[(rows >= first) & (rows < last)] - first
            values = self.array(i)[first:last]
            part = (
                (self.calendars[i].cut(first, last),),
                (self.keys[i],),
                self.columns,
                True,
                (rows,),
            )
            parts.append(_make(values, np.array([0, last - first]), *part))
        return parts[0] if self.single else _join(parts, self.keys)

    def split(self, rows: Array | None) -> list[Any]:
        """The rows of an array beside the values (covariates, say) that belong to each sequence; None for None."""
        return [None] * len(self) if rows is None else np.split(rows, self.offsets[1:-1])

    def with_values(self, values: Array) -> Sequences:
        """The same calendars and names around other values."""
        return _make(
            values, self.offsets, self.calendars, self.keys, self.columns, self.single, self.rows
        )

    def append(self, later: Sequences) -> Sequences:
        """Every sequence followed by its continuation in `later`, which has the same keys and calendars that go on."""
        parts = []
        for i in range(len(self)):
            one, two = self.calendars[i], later.calendars[i]
            calendar = Calendar(one.index.append(two.index), one.step)
            values = np.concatenate([self.array(i), later.array(i)])
            parts.append(
                _make(
                    values,
                    np.array([0, len(values)]),
                    (calendar,),
                    (None,),
                    self.columns,
                    True,
                    (None,),
                )
            )
        return parts[0] if self.single else _join(parts, self.keys)

    def continuing(self, last: Calendar, follows: Calendar | None = None) -> Sequences:
        """This one sequence as the continuation of a calendar that ended with `last`, holes filled with NaN.

        Sequences without times of their own (arrays) follow at once. `follows` is what follows `last`, as many entries
        as the sequence has, where it is there already.
        """
        follows = last.ahead(len(self.values)) if follows is None else follows
        mine, expected = self.calendars[0].index, follows.index
        by_position = isinstance(mine, pd.RangeIndex) and (
            mine.dtype != expected.dtype or (isinstance(last.step, int) and mine[0] == 0)
        )
        if by_position or (mine.dtype == expected.dtype and expected.equals(mine)):
            return self._with_calendar(follows)
        if not comparable(mine, expected):
            raise ValueError(
                f"x_new has an index of {mine.dtype}, but the data seen so far one of {expected.dtype}; "
                "convert it, e.g. with pd.to_datetime, tz_localize or to_period"
            )
        if mine[0] <= last.index[-1]:
            raise ValueError(
                f"x_new starts at {self.calendars[0].format(0)}, but the data seen so far ended at "
                f"{last.format(-1)}; give only what follows, from {expected[0]} on"
            )
        gap = 0
        while expected[-1] < mine[-1]:
            gap = max(2 * gap, 16)
            expected = last.future(len(self.values) + gap)
        rows = expected.get_indexer(mine)
        if (rows < 0).any():
            place = self.calendars[0].format(int(np.argmax(rows < 0)))
            raise ValueError(
                f"x_new has a value at {place}, which is not on the calendar that continues {last!r}"
            )
        values = np.full((rows[-1] + 1, self.values.shape[1]), np.nan)
        values[rows] = self.values
        calendar = Calendar(expected[: len(values)], last.step)
        offsets = np.array([0, len(values)])
        return _make(values, offsets, (calendar,), self.keys, self.columns, True, (None,))

    def _with_calendar(self, calendar: Calendar) -> Sequences:
        return _make(self.values, self.offsets, (calendar,), self.keys, self.columns, True, (None,))

    @staticmethod
    def join(parts: list[Sequences], keys: tuple[Hashable, ...]) -> Sequences:
        """A panel of single sequences."""
        return _join(parts, keys)

    @staticmethod
    def blank(calendar: Calendar, columns: tuple[Hashable, ...]) -> Sequences:
        """A sequence without observations on `calendar`."""
        values = np.full((len(calendar), len(columns)), np.nan)
        return _make(
            values, np.array([0, len(values)]), (calendar,), (None,), columns, True, (None,)
        )

    # -- the way out -----------------------------------------------------------------------------

    @property
    def index(self) -> pd.Index:
        """The caller's own index: times, or (series, time) for a panel."""
        parts = [
            c.index if r is None else c.index[r]
            for c, r in zip(self.calendars, self.rows, strict=True)
        ]
        return parts[0] if self.single else join_index(self.keys, parts)

    def restore(
        self, values: Array, columns: Iterable[Hashable] | None = None, name: Hashable = None
    ) -> Any:
        """Per-step results, (total,) or (total, k), as a Series or DataFrame on the caller's index."""
        values = np.asarray(values)
        if any(r is not None for r in self.rows):
            kept = [
                np.arange(a, b) if r is None else a + r
                for a, b, r in zip(self.offsets[:-1], self.offsets[1:], self.rows, strict=True)
            ]
            values = values[np.concatenate(kept)]
        if values.ndim == 1:
            return pd.Series(values, index=self.index, name=name, copy=False)
        labels = None if columns is None else pd.Index(list(columns))
        return pd.DataFrame(values, index=self.index, columns=labels, copy=False)

    def to_pandas(self) -> pd.Series | pd.DataFrame:
        """The values on the caller's index: a Series for one channel, else a DataFrame."""
        if len(self.columns) == 1:
            return self.restore(self.values[:, 0], name=self.columns[0])
        return self.restore(self.values, self.columns)


def join_index(keys: Iterable[Hashable], parts: list[pd.Index]) -> pd.MultiIndex:
    """The (series, time) index of a panel."""
    if len(parts) > 1 and all(
        type(p) is pd.RangeIndex and p.start == 0 and p.step == 1 for p in parts
    ):
        lengths = np.array([len(p) for p in parts])
        ends = lengths.cumsum()
        times: pd.Index = pd.Index(np.arange(ends[-1]) - np.repeat(ends - lengths, lengths))
    else:
        times = parts[0].append(parts[1:]) if len(parts) > 1 else parts[0]
    series = pd.Index(list(keys), tupleize_cols=False).repeat([len(p) for p in parts])
    return pd.MultiIndex.from_arrays([series, times], names=["series", parts[0].name or "time"])


def _make(
    values: Array, offsets: Array, calendars: tuple[Calendar, ...], keys: tuple[Hashable, ...],
    columns: tuple[Hashable, ...], single: bool, rows: tuple[Array | None, ...],
) -> Sequences:  # fmt: skip
    made = Sequences()
    made.values, made.offsets, made.calendars = values, offsets, calendars
    made.keys, made.columns, made.single, made.rows = keys, columns, single, rows
    return made


def _join(parts: list[Sequences], keys: tuple[Hashable, ...]) -> Sequences:
    """A panel of single sequences."""
    if not parts:
        raise ValueError("a panel needs at least one sequence, got none")
    first = parts[0]
    for key, part in zip(keys, parts, strict=True):
        if part.columns != first.columns and len(part.columns) != len(first.columns):
            raise ValueError(
                f"series {key!r} has channels {list(part.columns)}, but series {keys[0]!r} has {list(first.columns)}; "
                "a panel needs the same channels in every series"
            )
        if part.tokens != first.tokens:
            raise TypeError(
                f"series {key!r} and series {keys[0]!r} mix numbers and tokens; give a panel of one kind"
            )
    same = all(p.columns == first.columns for p in parts)
    columns = (
        first.columns if same or len(first.columns) > 1 else (None,)
    )  # names of Series may differ
    offsets = np.concatenate([[0], np.cumsum([len(p.values) for p in parts])])
    values = np.concatenate([p.values for p in parts])
    calendars = _agree([p.calendars[0] for p in parts])
    return _make(values, offsets, calendars, keys, columns, False, tuple(p.rows[0] for p in parts))


def _agree(calendars: list[Calendar]) -> tuple[Calendar, ...]:
    """The calendars, where a lone time stamp takes the step that all longer series of the panel share."""
    steps = {c.step for c in calendars if c.step is not None}
    if len(steps) != 1:
        return tuple(calendars)
    step = steps.pop()
    return tuple(c if c.step is not None else c.with_step(step) for c in calendars)


def as_sequences(x: Any, *, name: str = "x", frequency: Any = None) -> Sequences:
    """`x` as `Sequences`.

    Parameters
    ----------
    x : Series, DataFrame (columns are channels), array (T,), (T, channels) or (n, T, channels); a panel of
        them: dict, list, frame with (series, time) MultiIndex, long frame (unique_id, ds, y); a list of
        strings or a list of lists of strings.
    name : how messages call the argument.
    frequency : a pandas frequency that overrules inference.

    Raises
    ------
    TypeError, ValueError : with the argument, the place and the remedy.
    """
    if isinstance(x, Sequences):
        return x
    if isinstance(x, (pd.Series, pd.DataFrame)):
        if isinstance(x.index, pd.MultiIndex):
            return _from_multiindex(x, name, frequency)
        if isinstance(x, pd.DataFrame) and set(LONG_COLUMNS) <= set(x.columns):
            return Sequences.from_long(x, frequency=frequency)
        return _from_pandas(x, name, frequency)
    if isinstance(x, np.ndarray):
        return _from_array(x, name)
    if isinstance(x, Mapping):
        refuse_empty(len(x), name)
        return _from_parts(list(x.values()), tuple(x), name, frequency)
    if isinstance(x, (list, tuple)):
        refuse_empty(len(x), name)
        if set(map(type, x)) == {str} or all(isinstance(v, str) for v in x):
            return _from_tokens([list(x)], single=True)
        if all(np.isscalar(v) or v is None or v is pd.NA for v in x):
            mixed = any(isinstance(v, str) for v in x)
            plain = [np.nan if v is None or v is pd.NA else v for v in x]
            return _from_array(np.array(plain, dtype=object if mixed else None), name)
        if all(isinstance(s, (list, tuple)) and all(isinstance(v, str) for v in s) for s in x):
            return _from_tokens([list(s) for s in x], single=False, name=name)
        return _from_parts(list(x), tuple(range(len(x))), name, frequency)
    if hasattr(x, "to_pandas"):
        return as_sequences(x.to_pandas(), name=name, frequency=frequency)
    raise TypeError(
        f"{name} is a {type(x).__name__}; expected a pandas Series or DataFrame, a NumPy array, or a dict or "
        "list of them"
    )


def _from_parts(
    parts: list[Any], keys: tuple[Hashable, ...], name: str, frequency: Any
) -> Sequences:
    plain = all(type(p) is np.ndarray and p.dtype == np.float64 for p in parts)
    if (
        plain
        and len({p.shape[1:] for p in parts}) == 1
        and all(p.ndim < 3 and p.size for p in parts)
    ):
        return _from_arrays(parts, keys, name)
    made = []
    for key, part in zip(keys, parts, strict=True):
        what = f"{name}[{key!r}]"
        if isinstance(part, np.ndarray) and part.ndim > 2:
            raise ValueError(
                f"{what} has {part.ndim} dimensions; one sequence is (T,) or (T, channels)"
            )
        one = as_sequences(part, name=what, frequency=frequency)
        if not one.single:
            raise ValueError(f"{what} is itself a panel; flatten it into one dict of series")
        made.append(one)
    return _join(made, keys)


def _from_arrays(parts: list[Array], keys: tuple[Hashable, ...], name: str) -> Sequences:
    """A panel of arrays of one width, without a look at each."""
    values = np.concatenate(parts)
    values = values.reshape(len(values), -1)
    lengths = np.array([len(p) for p in parts])
    offsets = np.concatenate([[0], lengths.cumsum()])
    if not np.isfinite(values.sum()) and np.isinf(values).any():
        row = int(np.argwhere(np.isinf(values))[0][0])
        i = int(np.searchsorted(offsets, row, side="right") - 1)
        refuse_infinite(parts[i], None, f"{name}[{keys[i]!r}]")
    shared = {n: Calendar(pd.RangeIndex(n), 1) for n in set(lengths.tolist())}
    columns: tuple[Hashable, ...] = (
        (None,) if values.shape[1] == 1 else tuple(range(values.shape[1]))
    )
    calendars = tuple(shared[n] for n in lengths.tolist())
    return _make(values, offsets, calendars, keys, columns, False, (None,) * len(parts))


def _from_pandas(
    x: pd.Series | pd.DataFrame, name: str, frequency: Any, hint: Any = None
) -> Sequences:
    refuse_empty(len(x), name)
    if isinstance(x, pd.Series):
        columns: tuple[Hashable, ...] = (x.name,)
        values = numbers(x, name).reshape(-1, 1) if not textual(x) else symbols(x, name)
    else:
        if not x.shape[1]:
            raise ValueError(f"{name} has no columns; give at least one channel")
        if not x.columns.is_unique:
            raise ValueError(
                f"{name} has the column {x.columns[x.columns.duplicated()][0]!r} twice; rename one"
            )
        columns = tuple(x.columns)
        kinds = {str(t) for t in x.dtypes}
        if kinds == {"float64"}:
            values = x.to_numpy()
            refuse_infinite(values, x, name)
        else:
            values = np.column_stack([numbers(x[c], f"{name}[{c!r}]") for c in x.columns])
    calendar, rows = regularise(x.index, what=name, frequency=frequency, hint=hint)
    if rows is not None:
        filled = np.full((len(calendar), values.shape[1]), np.nan, dtype=values.dtype)
        filled[rows] = values
        values = filled
    return _make(values, np.array([0, len(values)]), (calendar,), (None,), columns, True, (rows,))


def _from_multiindex(x: pd.Series | pd.DataFrame, name: str, frequency: Any) -> Sequences:
    refuse_empty(len(x), name)
    if x.index.nlevels > 2:
        x = x.set_axis(
            pd.MultiIndex.from_arrays(
                [x.index.droplevel([-1]), x.index.get_level_values(-1)]  # type: ignore[list-item]
            ),
            axis=0,
        )
    codes, keys = pd.factorize(x.index.get_level_values(0))
    if (codes < 0).any():
        raise ValueError(
            f"{name} has a row without a series name at row {int(np.argmax(codes < 0))}"
        )
    order = np.argsort(codes, kind="stable")
    flat = x.iloc[order].droplevel(0)
    edges = np.concatenate([[0], np.cumsum(np.bincount(codes))])
    parts, hint = [], None
    for key, start, stop in zip(keys, edges[:-1], edges[1:], strict=True):
        parts.append(_from_pandas(flat.iloc[start:stop], f"{name}[{key!r}]", frequency, hint))
        hint = parts[-1].calendars[0].step
    return _join(parts, tuple(keys))


def _from_array(x: Array, name: str) -> Sequences:
    if x.ndim not in (1, 2, 3):
        raise ValueError(
            f"{name} has {x.ndim} dimensions; expected (T,), (T, channels) or (series, T, channels)"
        )
    if x.ndim == 3:
        refuse_empty(x.size, name)
        return _from_parts(list(x), tuple(range(len(x))), name, None)
    refuse_empty(x.size, name)
    if x.dtype.kind in "US" or (x.dtype == object and all(isinstance(v, str) for v in x.flat)):
        if x.ndim > 1:
            raise TypeError(
                f"{name} is an array of text with {x.ndim} dimensions; tokens come as (T,), or as a list of lists"
            )
        return _from_tokens([x.astype(str).tolist()], single=True)
    values = to_float(x, name)
    refuse_infinite(values, None, name)
    values = values.reshape(len(values), -1)
    columns: tuple[Hashable, ...] = (
        (None,) if values.shape[1] == 1 else tuple(range(values.shape[1]))
    )
    calendar = Calendar(pd.RangeIndex(len(values)), 1)
    return _make(values, np.array([0, len(values)]), (calendar,), (None,), columns, True, (None,))


def _from_tokens(sentences: list[list[str]], *, single: bool, name: str = "x") -> Sequences:
    for i, sentence in enumerate(sentences):
        refuse_empty(len(sentence), f"{name}[{i}]")
    lengths = [len(s) for s in sentences]
    values = np.array([token for s in sentences for token in s], dtype=object).reshape(-1, 1)
    shared = {n: Calendar(pd.RangeIndex(n), 1) for n in set(lengths)}
    calendars = tuple(shared[n] for n in lengths)
    keys = (None,) if single else tuple(range(len(sentences)))
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return _make(values, offsets, calendars, keys, (None,), single, (None,) * len(sentences))
