"""What `seqkit compare` compares on: datasets of seqkit's by name, and the user's own files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqkit.cli.problems import UsageProblem, as_usage, unknown
from seqkit.cli.tables import Columns, is_file, read_table

if TYPE_CHECKING:
    from seqkit.data import Sequences
    from seqkit.datasets import Card

FORECAST_KINDS = ("series", "frame", "panel")
WINDOWS = 5


@dataclass(frozen=True)
class Source:
    """Sequences to compare on, with the season and horizon that are usual for them."""

    name: str
    data: Sequences
    season: int
    horizon: int
    windows: int  # a competition's panel is forecast once, at its end

    def settle_windows(self, horizon: int) -> int:
        """The usual number of windows, fewer where they would take more than half of a series."""
        return max(1, min(self.windows, int(self.data.lengths.min()) // 2 // horizon))


def find_source(text: str, columns: Columns) -> Source:
    """A dataset by name, or a file; `name:column` is one column of it.

    Raises UsageProblem for names that are not known.
    """
    name, _, column = (
        text.rpartition(":") if ":" in text and not Path(text).is_file() else (text, "", "")
    )
    if is_file(name):
        return _from_file(name, column, columns)
    return _from_card(text, name, column)


def _from_file(path: str, column: str, columns: Columns) -> Source:
    if column:
        columns = Columns(columns.time, (column,), columns.id, columns.frequency)
    data = read_table(path, columns).series
    season = season_of(data)
    label = Path(path).name.split(".")[0] + (f":{column}" if column else "")
    return Source(label, data, season, season if season > 1 else 10, WINDOWS)


def season_of(data: Sequences) -> int:
    """The season of the calendar.

    Raises UsageProblem where the series of a panel have different ones.
    """
    found = sorted({int(calendar.season) for calendar in data.calendars})
    if len(found) > 1:
        raise UsageProblem(
            f"the series have seasons of {', '.join(map(str, found))} steps; choose one with --season"
        )
    return found[0]


def _from_card(text: str, name: str, column: str) -> Source:
    from seqkit import datasets
    from seqkit.data import as_sequences

    with as_usage():
        card = datasets.card(name)
    if card.kind not in FORECAST_KINDS:
        raise UsageProblem(
            f"the dataset {name!r} is not one of series to forecast (kind {card.kind}); "
            "`seqkit datasets` lists those that are: series, frame, panel"
        )
    content = datasets.load(name)
    if column:
        content = _pick(content, name, column, card)
    data = as_sequences(content, name=text)
    horizon = card.horizon or (card.season if card.season > 1 else 10)
    return Source(text, data, card.season, int(horizon), 1 if card.kind == "panel" else WINDOWS)


def _pick(content: Any, name: str, column: str, card: Card) -> Any:
    """One column of a frame, or one series of a panel."""
    if card.kind == "series":
        raise UsageProblem(
            f"the dataset {name!r} is a single series; write {name} without :{column}"
        )
    found = {str(key): key for key in (content if card.kind == "panel" else content.columns)}
    if column not in found and len(found) > 30:
        shown = ", ".join(list(found)[:3])
        raise UsageProblem(
            f"the dataset {name!r} has no series {column!r}; it has {len(found)}: {shown}, ..."
        )
    if column not in found:
        raise unknown("column", column, found, f"the dataset {name!r}")
    return content[found[column]]
