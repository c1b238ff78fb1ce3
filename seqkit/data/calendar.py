"""Regular time axes: their step, their gaps, and what comes after their end."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from pandas.tseries.frequencies import to_offset

from seqkit.persistence import Record

Step = pd.offsets.BaseOffset | int | None
_DAY, _SECOND = pd.Timedelta(days=1), pd.Timedelta(seconds=1)
_MONTHS_PER_STEP = {"Y": 12, "YS": 12, "YE": 12, "Q": 3, "QS": 3, "QE": 3, "M": 1, "MS": 1, "ME": 1}
_MONTHS_PER_STEP |= {f"B{k}": v for k, v in _MONTHS_PER_STEP.items()}
_MONTHS_PER_STEP |= {"WOM": 1, "LWOM": 1}
_MONTH_NAMES = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


class Calendar(Record):
    """A regular time axis: `index` has one entry per row, each one `step` after the one before it.

    `step` is a pandas offset for times and periods, an int for an integer index, and None where a single
    time stamp leaves it unknown. Hours that keep to the wall clock through changes of summer time are a
    ``pd.DateOffset(days=0, seconds=..)``.
    """

    def __init__(self, index: pd.Index, step: Step):
        self.index, self.step = index, step

    def __len__(self) -> int:
        return len(self.index)

    def __repr__(self) -> str:
        if not len(self):
            return "Calendar(empty)"
        step = self.step.freqstr if isinstance(self.step, pd.offsets.BaseOffset) else self.step
        return f"Calendar({self.format(0)} .. {self.format(-1)}, step {step})"

    def format(self, position: int) -> str:
        """The time at `position` as short text, for messages."""
        stamp = self.index[position]
        return (
            str(stamp.date())
            if isinstance(stamp, pd.Timestamp) and stamp == stamp.normalize()
            else str(stamp)
        )

    def cut(self, start: int | None, stop: int | None) -> Calendar:
        return Calendar(self.index[start:stop], self.step)

    def tail(self) -> Calendar:
        """The last entry alone: all that is needed to continue."""
        return self.cut(len(self) - 1, None)

    def future(self, horizon: int) -> pd.Index:
        """The `horizon` entries that follow the last one, by the calendar's own rule."""
        index, step = self.index, self.step
        if step is None:
            raise ValueError(
                f"one time stamp ({self.format(0)}) does not tell the frequency, so the future has no index; "
                "give the index a frequency, e.g. y.asfreq('MS')"
            )
        last, name = index[-1], index.name
        if isinstance(step, int):
            return pd.RangeIndex(last + step, last + step * (horizon + 1), step, name=name)
        if isinstance(index, pd.PeriodIndex):
            return pd.period_range(last + step, periods=horizon, name=name)
        return _dates(last, step, name, periods=horizon + 1)[1:]

    def with_step(self, step: Step) -> Calendar:
        """The same lone time stamp with `step`, if a calendar of that step can begin there."""
        fits = isinstance(step, pd.offsets.BaseOffset) and step.is_on_offset(self.index[0])
        return Calendar(self.index, step) if fits else self

    def ahead(self, horizon: int) -> Calendar:
        """The calendar of the `horizon` entries that follow."""
        return Calendar(self.future(horizon), self.step)

    def steps_to(self, other: Calendar) -> int:
        """How many steps `other` begins after this calendar begins; negative if before."""
        if not len(self) or not len(other) or not comparable(self.index, other.index):
            return 0
        first, then = self.index[0], other.index[0]
        if first == then or self.step is None:
            return 0
        if isinstance(self.step, int):
            return int(then - first) // self.step
        early, late = min(first, then), max(first, then)
        if isinstance(self.index, pd.PeriodIndex):
            steps = len(pd.period_range(early, late, freq=self.step)) - 1
        else:
            steps = len(_dates(early, self.step, None, end=late)) - 1
        return steps if then > first else -steps

    @property
    def season(self) -> int:
        """The natural season in steps: months 12, quarters 4, weeks 52, days 7, business days 5, hours 24, ..."""
        if not isinstance(self.step, pd.offsets.BaseOffset):
            return 1
        if type(self.step) is pd.DateOffset:  # which has no name
            if months := self.step.kwds.get("months"):
                return max(1, 12 // months)
        else:
            size, name = self.step.n, self.step.rule_code.split("-")[0]
            if name in _MONTHS_PER_STEP:
                return max(1, 12 // (size * _MONTHS_PER_STEP[name]))
            if name in ("W", "D", "B", "C"):
                return {"W": 52, "D": 7, "B": 5, "C": 5}[name] if size == 1 else 1
        length = self.step_length()
        if length is None or length >= _DAY:
            return 7 if length == _DAY else 1
        for cycle in (_DAY, pd.Timedelta(hours=1), pd.Timedelta(minutes=1)):
            if cycle % length == pd.Timedelta(0) and 1 < cycle // length <= 288:
                return int(cycle // length)
        return 1

    def step_length(self) -> pd.Timedelta | None:
        """The step as a length of time on its own clock, or None where months or business days make it vary."""
        step = self.step
        if isinstance(step, pd.offsets.Day):
            return pd.Timedelta(days=step.n)
        if isinstance(step, pd.offsets.Tick):
            return pd.Timedelta(step)
        wall = type(step) is pd.DateOffset and "seconds" in step.kwds
        return pd.Timedelta(seconds=step.kwds["seconds"] * step.n) if wall else None  # type: ignore[union-attr]


def comparable(a: pd.Index, b: pd.Index) -> bool:
    """Whether the entries of two indexes lie on one time axis: kind and time zone agree, whatever the resolution."""
    if isinstance(a, pd.DatetimeIndex) and isinstance(b, pd.DatetimeIndex):
        return (a.tz is None) == (b.tz is None)
    return a.dtype == b.dtype or (a.dtype.kind in "iu" and b.dtype.kind in "iu")


def _dates(first: pd.Timestamp, step: Any, name: Any, **until: Any) -> pd.DatetimeIndex:
    """`pd.date_range` in the resolution of `first`, also through wall-clock times that summer time skips or repeats."""
    try:
        dates = pd.date_range(first, freq=step, name=name, **until)
    except Exception:  # a ValueError, or with pandas 2 an error of pytz's own
        if first.tz is None:
            raise
        if "end" in until:
            until["end"] = until["end"].tz_localize(None)
        wall = pd.date_range(first.tz_localize(None), freq=step, name=name, **until)
        once = np.ones(len(wall), bool)
        dates = wall.tz_localize(first.tz, nonexistent="shift_forward", ambiguous=once)
    if dates.unit == first.unit:
        return dates
    same = dates.as_unit(first.unit)
    return same if same.equals(dates) else dates


def regularise(
    index: pd.Index, *, what: str, frequency: Any = None, hint: Step = None
) -> tuple[Calendar, Any]:
    """The regular calendar that `index` lives on, and the rows it fills (None when it fills them all).

    Parameters
    ----------
    index : unique, increasing time stamps, periods or integers.
    what : how error messages call the data.
    frequency : overrules inference: a pandas frequency for times, a step for integers.
    hint : the step of a sister series, tried first.

    Raises
    ------
    ValueError : duplicates, disorder, missing stamps, or stamps that fit no regular calendar.
    TypeError : an index that is not a time axis.
    """
    if isinstance(index, pd.RangeIndex) and index.step > 0:
        default = index.start == 0 and index.step == 1  # rows merely counted follow by position
        if default or not isinstance(frequency, int) or index.step == frequency:
            return Calendar(index, int(index.step)), None
    integers = pd.api.types.is_integer_dtype(index.dtype)
    if not integers and not isinstance(index, (pd.DatetimeIndex, pd.PeriodIndex)):
        raise TypeError(
            f"{what} has an index of {index.dtype}, which is not a time axis (first entry {index[0]!r}); use a "
            "DatetimeIndex (pd.to_datetime), a PeriodIndex or integers"
        )
    _check_order(index, what)
    if isinstance(index, pd.PeriodIndex):
        step = index[0].freq
        _refuse_sparse(int(index.asi8[-1] - index.asi8[0]) // step.n + 1, index, step, what)
        periods = pd.period_range(index[0], index[-1], freq=step, name=index.name)
        return _fill(index, periods, step, what)
    if isinstance(index, pd.DatetimeIndex):
        return _regularise_times(index, what, frequency, hint)
    stamps = index.to_numpy(dtype=np.int64)
    given = isinstance(frequency, int)
    gap = frequency if given else _modal_step(np.diff(stamps)) if len(stamps) > 1 else 1
    grid = pd.RangeIndex(stamps[0], stamps[-1] + 1, gap, name=index.name)
    return _fill(index, grid, gap, what, given=given)


def _regularise_times(
    index: pd.DatetimeIndex, what: str, frequency: Any, hint: Step
) -> tuple[Calendar, Any]:
    given = frequency is not None and not isinstance(frequency, int)
    step = _given(frequency) if given else index.freq
    if step is None and hint is not None and len(index) > 1:
        regular = _dates(index[0], hint, index.name, periods=len(index))
        if regular.equals(index):
            return Calendar(regular, hint), None
    step = step if step is not None else _infer_step(index, what)
    if step is None or index.freq == step:
        return Calendar(index, step), None
    length = Calendar(index, step).step_length()
    if length is not None:  # before a grid too large for memory is made
        seconds = (index[-1] - index[0]).total_seconds()
        _refuse_sparse(int(seconds / length.total_seconds()) + 1, index, step, what)
    grid = _dates(index[0], step, index.name, end=index[-1])
    return _fill(index, grid, step, what, given=given)


def _check_order(index: pd.Index, what: str) -> None:
    if index.hasnans:
        raise ValueError(
            f"{what} has a missing time stamp at row {int(np.argmax(index.isna()))}; drop or repair it"
        )
    if not index.is_unique:
        twice = index[index.duplicated()]
        raise ValueError(
            f"{what} has {len(twice)} duplicated time stamp(s), first {twice[0]}; aggregate them, e.g. "
            "y.groupby(level=0).mean(), or pass a panel if several series are mixed"
        )
    if not index.is_monotonic_increasing:
        place = int(np.argmax(index[1:] < index[:-1])) + 1
        raise ValueError(
            f"{what} is not in time order: {index[place]} at row {place} follows {index[place - 1]}; call .sort_index()"
        )


def _given(frequency: Any) -> pd.offsets.BaseOffset:
    try:
        return to_offset(frequency)
    except (ValueError, TypeError):
        raise ValueError(
            f"frequency {frequency!r} is not one that pandas knows; give e.g. 'MS', 'W-TUE' or '15min'"
        ) from None


def _fill(
    index: pd.Index, grid: pd.Index, step: Step, what: str, *, given: bool = False
) -> tuple[Calendar, Any]:
    if len(grid) == len(index) and grid.equals(index):
        return Calendar(grid, step), None
    rows = grid.get_indexer(index)
    if (rows < 0).any():
        _refuse(index, rows < 0, step, what, given=given)
    _refuse_sparse(len(grid), index, step, what)
    return Calendar(grid, step), rows


def _refuse_sparse(steps: int, index: pd.Index, step: Step, what: str) -> None:
    if steps > 50 * len(index) + 1000:
        raise ValueError(
            f"{what} fills only {len(index)} of {steps} steps of its calendar (step {_name(step)}); aggregate it "
            "to a coarser frequency, or pass frequency= to seqkit.Sequences"
        )


def _refuse(
    index: pd.Index, off: np.ndarray, step: Step, what: str, *, given: bool = False
) -> None:
    stray = f"{int(off.sum())} of {len(index)} time stamps"
    first = ", ".join(str(s) for s in index[off][:3])
    remedy = f"resample it, e.g. y.resample({_name(step)!r}).mean()"
    if isinstance(step, int):
        remedy = f"leave them out, or number every step (e.g. y.reindex(range({index[0]}, {index[-1]} + 1)))"
    elif not given:
        remedy += ", or pass frequency= to seqkit.Sequences"
    if isinstance(step, pd.offsets.Tick) and isinstance(index, pd.DatetimeIndex) and index.tz:
        remedy += "; stamps that keep to the wall clock need no time zone, y.tz_localize(None)"
    if given:
        raise ValueError(
            f"{what} does not follow the frequency {_name(step)}: {stray} are off it, first {first}; {remedy}"
        )
    raise ValueError(
        f"{what} has no regular frequency: most steps are {_name(step)}, but {stray} break it, first {first}; {remedy}"
    )


def _name(step: Step) -> str:
    return step.freqstr if isinstance(step, pd.offsets.BaseOffset) else str(step)


def _modal_step(gaps: np.ndarray) -> int:
    """The most frequent gap; the smaller one where two are equally frequent."""
    sizes, counts = np.unique(gaps, return_counts=True)
    return int(sizes[np.argmax(counts)])


def _infer_step(index: pd.DatetimeIndex, what: str) -> pd.offsets.BaseOffset | None:
    """The frequency of an index that may have holes; None for a single stamp."""
    if len(index) == 1:
        return None
    wall = index.tz_localize(None)
    days = wall.normalize()
    hours = (wall - days).asi8
    if hours.min() < hours.max() and not _same_hour(index, days, hours):
        return _infer_clock(index, what)
    month = _infer_months(index, days, what)
    if month is not None:
        return month
    gaps = np.diff(days.as_unit("s").asi8) // 86_400
    step = _modal_step(gaps)
    if step % 7 == 0 and not np.any(gaps % 7):
        monthly = _infer_weekday_of_month(days, gaps)
        return monthly or pd.offsets.Week(
            int(np.gcd.reduce(gaps)) // 7, weekday=int(days.day_of_week[0])
        )
    if step == 1 and days.day_of_week.max() < 5 and np.any(gaps >= 3):
        return pd.offsets.BDay()
    if np.any(gaps % step):
        if len(index) > 2 and np.isin(days.day, (1, 15)).all():
            return pd.offsets.SemiMonthBegin()
        if len(index) > 2 and ((days.day == 15) | days.is_month_end).all():
            return pd.offsets.SemiMonthEnd()
        _refuse(index, np.concatenate([[False], gaps % step != 0]), pd.offsets.Day(step), what)
    return pd.offsets.Day(step)


def _infer_weekday_of_month(
    days: pd.DatetimeIndex, gaps: np.ndarray
) -> pd.offsets.BaseOffset | None:
    """The n-th or last weekday of every month, which weeks would fit with three holes in four."""
    if gaps.min() < 28 or np.gcd.reduce(gaps) != 7:
        return None
    name = days[0].strftime("%a").upper()
    nth = np.unique((days.day - 1) // 7)
    if len(nth) == 1:
        return to_offset(f"WOM-{nth[0] + 1}{name}")
    last = (days.days_in_month - days.day < 7).all()
    return to_offset(f"LWOM-{name}") if last else None


def _same_hour(index: pd.DatetimeIndex, days: pd.DatetimeIndex, hours: np.ndarray) -> bool:
    """Whether all stamps have one time of day, but for days on which a change of summer time skips it."""
    if index.tz is None:
        return False
    values, counts = np.unique(hours, return_counts=True)
    usual = values[np.argmax(counts)]
    moved = hours != usual
    expected = (days[moved] + pd.Timedelta(int(usual), days.unit)).tz_localize(
        index.tz, nonexistent="shift_forward", ambiguous=np.ones(int(moved.sum()), bool)
    )
    return bool((expected == index[moved]).all())


def _infer_clock(index: pd.DatetimeIndex, what: str) -> pd.offsets.BaseOffset:
    gaps = np.diff(index.asi8)
    size = _modal_step(gaps)
    step = to_offset(pd.Timedelta(size, index.unit))
    if isinstance(
        step, pd.offsets.Day
    ):  # so many hours: the wall-clock time moves with summer time
        step = pd.offsets.Hour(24 * step.n)
    if np.any(gaps % size):
        wall = _infer_wall_clock(index)
        if wall is not None:
            return wall
        _refuse(index, np.concatenate([[False], gaps % size != 0]), step, what)
    return step


def _infer_wall_clock(index: pd.DatetimeIndex) -> pd.DateOffset | None:
    """Hours that are regular on the wall clock alone, holes allowed; None where they are not."""
    if index.tz is None:
        return None
    gaps = np.diff(index.tz_localize(None).as_unit("ns").asi8)
    size = pd.Timedelta(_modal_step(gaps), "ns")
    # A step of an hour or less would name the hour twice that a change of summer time skips or repeats.
    if (
        size <= pd.Timedelta(hours=1)
        or size % _SECOND
        or (index[-1] - index[0]) // size > 50 * len(index) + 1000
    ):
        return None
    step = pd.DateOffset(days=0, seconds=size // _SECOND)
    grid = _dates(index[0], step, None, end=index[-1])
    return step if grid.is_unique and index.isin(grid).all() else None


def _infer_months(
    index: pd.DatetimeIndex, days: pd.DatetimeIndex, what: str
) -> pd.offsets.BaseOffset | None:
    """Month, quarter or year steps at one day of the month, or at its first or last (business) day; holes allowed."""
    dates, month = days.to_numpy().astype("M8[D]"), days.to_numpy().astype("M8[M]")
    first = month.astype("M8[D]")
    following = (month + np.timedelta64(1, "M")).astype("M8[D]")
    ends = {
        "S": first,
        "E": following - np.timedelta64(1, "D"),
        "BS": np.busday_offset(first, 0, roll="forward"),
        "BE": np.busday_offset(following, -1, roll="forward"),
    }
    sizes = np.diff(month.astype(int))
    if sizes.min() == 0:
        return None
    hits = {rule: dates == expected for rule, expected in ends.items()}
    rule = max(hits, key=lambda name: np.count_nonzero(hits[name]))
    if hits[rule].all():
        return _month_offset(rule, int(np.gcd.reduce(sizes)), int(days.month[0]))
    if np.unique(dates - first).size == 1 and days.day[0] <= 28:
        return pd.DateOffset(months=int(np.gcd.reduce(sizes)))
    if np.count_nonzero(hits[rule]) > 0.7 * len(index):
        _refuse(index, ~hits[rule], _month_offset(rule, 1, 1), what)
    return None


def _month_offset(rule: str, size: int, month: int) -> pd.offsets.BaseOffset:
    """The offset of `size` months at the start or end (S, E), business or not (B), that passes through `month`."""
    business, suffix = rule[:-1], rule[-1]
    if size % 12 == 0:
        return to_offset(f"{size // 12}{business}Y{suffix}-{_MONTH_NAMES[month - 1]}")
    if size % 3 == 0:  # of the months that name one quarter, the one that pandas prefers
        anchor = _MONTH_NAMES[(month - 1) % 3 + (9 if suffix == "E" else 0)]
        return to_offset(f"{size // 3}{business}Q{suffix}-{anchor}")
    return to_offset(f"{size}{business}M{suffix}")
