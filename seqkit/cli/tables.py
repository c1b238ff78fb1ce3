"""Tables of numbers read from the user's own files."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqkit.cli.problems import Problem, UsageProblem, note, unknown

if TYPE_CHECKING:
    import pandas as pd

    from seqkit.data import Sequences

SUFFIXES = (".csv", ".csv.gz", ".tsv", ".txt", ".parquet", ".pq")
TIMES = ("ds", "date", "datetime", "time", "timestamp", "month", "day", "index")


@dataclass(frozen=True)
class Columns:
    """Which columns of a file are what; empty where not said."""

    time: str = ""
    target: tuple[str, ...] = ()
    id: str = ""
    frequency: str = ""

    @property
    def given(self) -> bool:
        return bool(self.time or self.target or self.id or self.frequency)


@dataclass(frozen=True)
class Table:
    """A file that was read: its series, and under which names its columns go."""

    series: Sequences
    covariates: Any
    columns: Columns


def is_file(name: str) -> bool:
    """Whether `name` means a file rather than a dataset of seqkit's."""
    return Path(name).is_file() or name.lower().endswith(SUFFIXES) or "/" in name or "\\" in name


def read_frame(path: str) -> pd.DataFrame:
    """The rows of a CSV, TSV or Parquet file.

    Raises UsageProblem for a file that is not there or cannot be read.
    """
    import pandas as pd

    if not Path(path).is_file():
        raise UsageProblem(f"there is no file {path!r}; give the path of a CSV or Parquet file")
    try:
        if path.lower().endswith((".parquet", ".pq")):
            frame = pd.read_parquet(path)
            named = [name for name in frame.index.names if name is not None]
            frame = frame.reset_index(named) if named else frame
        else:
            frame = _read_text(path)
    except ImportError as error:
        raise Problem(
            f"reading {path} needs pyarrow: pip install 'seqkit[parquet]', or give a CSV file"
        ) from error
    except (ValueError, OSError) as error:  # pandas' parser errors are ValueErrors
        raise UsageProblem(f"{path} could not be read as a table: {error}") from error
    if frame.empty:
        raise UsageProblem(f"{path} has no rows; expected a header and a row per time step")
    names = [str(column).strip() for column in frame.columns]
    if names[0] == "Unnamed: 0" and "index" not in names:
        names[0] = "index"  # pandas writes an index without a name so
    frame.columns = names
    return frame


def _read_text(path: str) -> pd.DataFrame:
    import pandas as pd

    tabs = path.lower().endswith((".tsv", ".txt"))
    frame = pd.read_csv(path, sep="\t" if tabs else ",")
    if len(frame.columns) > 1:
        return frame
    header = str(frame.columns[0])
    if ";" in header and not tabs:  # as spreadsheets write it in much of Europe
        readings = [pd.read_csv(path, sep=";", decimal=mark) for mark in (",", ".")]
        return max(readings, key=lambda reading: reading.select_dtypes("number").shape[1])
    marks = [mark for mark in (",", ";", "|", "\t") if mark in header]
    if marks and not pd.api.types.is_numeric_dtype(frame.iloc[:, 0].dtype):
        raise UsageProblem(
            f"{path} reads as one column, {header!r}, its fields apart by {marks[0]!r}; separate "
            f"them by {'tabs, or name the file .csv' if tabs else 'commas'}"
        )
    return frame


def read_table(path: str, asked: Columns, covariates: Sequence[str] = ()) -> Table:
    """The series in a file, on a regular calendar, and the covariates beside them."""
    from seqkit.data import Sequences

    frame = read_frame(path)
    for column in (asked.time, asked.id, *asked.target, *covariates):
        if column and column not in frame.columns:
            raise unknown("column", column, frame.columns, path)
    columns = _settle(frame, path, asked, covariates)
    if columns.time:
        frame = _with_times(frame, path, columns)
    for column in (*columns.target, *covariates):
        _check_numbers(frame, column, path)
    value = list(columns.target)
    indexed = _indexed(frame, columns)
    frequency = columns.frequency or None
    x = indexed[value[0]] if len(value) == 1 else indexed[value]
    try:
        series = Sequences(x, frequency=frequency)
    except (ValueError, TypeError) as error:
        if "frequency" in str(error).lower() and asked.frequency:
            raise UsageProblem(f"{path} with --frequency {asked.frequency}: {error}") from error
        raise Problem(f"{path}: {error}") from error
    return Table(series, indexed[list(covariates)] if covariates else None, columns)


def read_covariates(path: str, columns: Columns, covariates: Sequence[str]) -> pd.DataFrame:
    """The inputs of the steps to forecast, by the same columns as the history."""
    frame = read_frame(path)
    for column in (columns.time, columns.id, *covariates):
        if column and column not in frame.columns:
            raise unknown("column", column, frame.columns, path)
    if columns.time:
        frame = _with_times(frame, path, columns)
    for column in covariates:
        _check_numbers(frame, column, path)
    return _indexed(frame, columns)[list(covariates)]


def _indexed(frame: pd.DataFrame, columns: Columns) -> pd.DataFrame:
    import pandas as pd

    if not columns.id:
        return frame.set_index(columns.time) if columns.time else frame.reset_index(drop=True)
    times = frame[columns.time] if columns.time else frame.groupby(columns.id).cumcount()
    return frame.set_index(
        pd.MultiIndex.from_arrays(
            [frame[columns.id], times], names=[columns.id, columns.time or "step"]
        )
    )


# ---------------------------------------------------------------- which column is what


def _settle(frame: pd.DataFrame, path: str, asked: Columns, covariates: Sequence[str]) -> Columns:
    """Columns that were not named, found; what was guessed is said on stderr."""
    import pandas as pd

    guessed = []
    id = asked.id or ("unique_id" if "unique_id" in frame.columns else "")
    if id and not asked.id:
        guessed.append(f"--id {id}")
    time = asked.time or _find_time(frame, {id, *asked.target, *covariates})
    if not time:
        note(f"{path} has no column of times, so its rows are counted as steps; --time names one")
    elif not asked.time:
        guessed.append(f"--time {time}")
    target = asked.target
    if not target:
        numbers = [
            str(column)
            for column in frame.columns
            if column not in {id, time, *covariates}
            and pd.api.types.is_numeric_dtype(frame[column].dtype)
        ]
        if "y" in numbers:
            target = ("y",)
        elif len(numbers) == 1:
            target = (numbers[0],)
        else:
            found = (
                f"{len(numbers)} columns of numbers ({', '.join(numbers)})"
                if numbers
                else "no column of numbers"
            )
            raise UsageProblem(
                f"{path} has {found}, so which one to use is not clear; name it with --target"
            )
        guessed.append(f"--target {target[0]}")
    if guessed:
        note(f"{path}: taken as {' '.join(guessed)}")
    return Columns(time, target, id, asked.frequency)


def _find_time(frame: pd.DataFrame, taken: set[str]) -> str:
    """The first column that parses as dates; numbers only count as times under a usual name."""
    import pandas as pd

    for column in frame.columns:
        if column in taken:
            continue
        kind = frame[column].dtype
        if isinstance(kind, pd.PeriodDtype) or pd.api.types.is_datetime64_any_dtype(kind):
            return column
        if pd.api.types.is_numeric_dtype(kind):
            if column.lower() in (*TIMES, "year", "step", "t") and pd.api.types.is_integer_dtype(
                kind
            ):
                return column
        elif _looks_like_times(frame[column]) and _parse_times(frame[column].head(100)) is not None:
            return column
    return ""


def _looks_like_times(column: pd.Series) -> bool:
    """A year or two numbers: pandas reads a lone letter or month as a date, too."""
    first = str(column.dropna().iloc[0]) if column.notna().any() else ""
    return len(re.findall(r"\d+", first)) > 1 or re.search(r"\d{4}", first) is not None


def _parse_times(column: pd.Series) -> pd.Series | None:
    """The column as time stamps; None where it is not one of times."""
    import pandas as pd

    if column.isna().all():
        return None
    for form in ("ISO8601", None):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # a form read row by row
                return pd.to_datetime(column, format=form)
        except (ValueError, TypeError, OverflowError):
            continue
    return None


def _with_times(frame: pd.DataFrame, path: str, columns: Columns) -> pd.DataFrame:
    """Rows in the order of time, the times parsed."""
    import numpy as np
    import pandas as pd

    time, stamps = columns.time, frame[columns.time]
    textual = not (
        pd.api.types.is_numeric_dtype(stamps.dtype) or isinstance(stamps.dtype, pd.PeriodDtype)
    )
    if stamps.isna().any():
        raise Problem(
            f"{path}: the time column {time!r} is empty in row {_row(stamps.isna())}; drop or repair it"
        )
    if pd.api.types.is_float_dtype(stamps.dtype):
        raise Problem(
            f"{path}: the time column {time!r} holds {stamps.iloc[0]}; expected dates or whole numbers"
        )
    if textual:
        parsed = _parse_times(stamps)
        if parsed is None:
            one = next(
                (i for i in range(len(stamps)) if _parse_times(stamps.iloc[i : i + 1]) is None), 0
            )
            raise Problem(
                f"{path}: the time column {time!r} holds {stamps.iloc[one]!r} in row {one + 2}, which "
                "does not read as a date; write dates as 2024-01-31, or name another column with --time"
            )
        frame = frame.assign(**{time: parsed})
    by = [columns.id, time] if columns.id else [time]
    twice = frame.duplicated(by)
    if twice.any():
        remedy = (
            ""
            if columns.id
            else "; if the file holds several series, --id names the column that tells them apart"
        )
        raise Problem(
            f"{path}: {int(twice.sum())} time(s) of {time!r} occur twice, first {frame[time][twice].iloc[0]} in row "
            f"{_row(twice)}{remedy}"
        )
    groups = frame.groupby(columns.id, sort=False)[time] if columns.id else [("", frame[time])]
    if not all(times.is_monotonic_increasing for _, times in groups):
        note(f"{path} was put in the order of {time!r}")
        series = pd.factorize(frame[columns.id])[0] if columns.id else np.zeros(len(frame))
        frame = frame.iloc[np.lexsort((frame[time], series))]
    return frame


def _row(where: pd.Series) -> int:
    """The line of the file, its header being line 1."""
    return int(where.to_numpy().argmax()) + 2


def _check_numbers(frame: pd.DataFrame, column: str, path: str) -> None:
    import pandas as pd

    values = frame[column]
    if pd.api.types.is_numeric_dtype(values.dtype):
        return
    wrong = pd.to_numeric(values, errors="coerce").isna() & values.notna()
    if not wrong.any():
        frame[column] = pd.to_numeric(values)
        return
    shown = values[wrong].iloc[0]
    hint = "; decimals are written with a point" if re.fullmatch(r"[-\d.]+,\d+", str(shown)) else ""
    raise Problem(
        f"{path}: column {column!r} holds {str(shown)!r} in row {_row(wrong)}; expected numbers{hint}"
    )
