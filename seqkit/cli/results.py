"""Where results go: tables and pictures into files, JSON onto standard output."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqkit.cli.problems import Problem, UsageProblem, check_target

if TYPE_CHECKING:
    import pandas as pd

_SHOWN = 60  # rows on a terminal


def check_outputs(out: str, plot: str, save: str, as_json: bool) -> None:
    """Refuse, before the work, what could not be written after it."""
    if out == "-" and as_json:
        raise UsageProblem("--out - and --json both write to standard output; leave one out")
    if out not in ("", "-") and not out.lower().endswith((".csv", ".csv.gz", ".parquet", ".pq")):
        raise UsageProblem(
            f"--out is {out!r}; expected a path ending in .csv or .parquet, or - for standard output"
        )
    if plot and not plot.lower().endswith((".png", ".svg", ".pdf")):
        raise UsageProblem(f"--plot is {plot!r}; expected a path ending in .png, .svg or .pdf")
    for option, target in (("--out", out), ("--plot", plot), ("--save", save)):
        check_target(option, target)


def write_table(result: pd.DataFrame, out: str) -> list[Path]:
    """`result` as CSV or Parquet, by the ending of `out`; nothing where it is empty, standard output for a dash."""
    if out == "-":
        result.to_csv(sys.stdout, index=False)
        return []
    if not out:
        return []
    path = folder_for(out)
    if out.lower().endswith((".parquet", ".pq")):
        try:
            result.to_parquet(path, index=False)
        except ImportError as error:
            raise Problem(
                f"writing {out} needs pyarrow: pip install 'seqkit[parquet]', or write .csv"
            ) from error
    else:
        result.to_csv(path, index=False)
    return [path]


def write_figure(figure: Any, plot: str) -> Path:
    path = folder_for(plot)
    figure.savefig(path, dpi=150, facecolor="white")
    return path


def folder_for(path: str) -> Path:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    return Path(path)


def print_json(name: str, result: pd.DataFrame, files: list[Path], **facts: Any) -> None:
    """One document: the facts, the rows of `result` under `name`, and the files written."""
    rows = json.loads(
        result.to_json(orient="records", date_format="iso", date_unit="s", double_precision=15)
    )
    print(json.dumps({**facts, name: rows, "files": [str(path) for path in files]}, indent=1))


def print_table(result: pd.DataFrame, title: str, files: list[Path]) -> None:
    """The first rows for the eye, and which files were written."""
    from seqkit.cli import show

    out = show.console()
    show.frame(result.head(_SHOWN), out, title)
    if len(result) > _SHOWN:
        out.print(
            f"... {len(result) - _SHOWN} more rows; --out FILE.csv writes all of them", style="dim"
        )
    show.written(files, out)
