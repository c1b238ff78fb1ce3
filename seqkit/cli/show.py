"""Results on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from pathlib import Path

    from seqkit.evaluation import Comparison

BEST = "bold green"


def console() -> Console:
    """Standard output; wide enough for every column where it is not a terminal."""
    made = Console(highlight=False)
    return made if made.is_terminal else Console(highlight=False, width=160)


def number(value: Any) -> str:
    """Four significant digits; counts as they are."""
    if isinstance(value, (int, np.integer)):
        return str(value)
    if pd.isna(value):
        return "-"
    return f"{value:.4g}" if abs(value) < 1e6 else f"{value:.3g}"


def grid() -> Table:
    return Table(box=box.SIMPLE_HEAD, pad_edge=False)


def heading(text: str, out: Console) -> None:
    """A line above a table; its own line, because a table's title is folded to the table's width."""
    out.print(text, style="bold", markup=False, soft_wrap=True)


def frame(table: pd.DataFrame, out: Console, title: str) -> None:
    """A data frame, numbers to the right."""
    made = grid()
    times = {
        c: table[c].astype(str)
        for c in table.columns
        if pd.api.types.is_datetime64_any_dtype(table[c].dtype)
    }
    table = table.assign(**times)
    numeric = [pd.api.types.is_numeric_dtype(kind) for kind in table.dtypes]
    for column, right in zip(table.columns, numeric, strict=True):
        made.add_column(escape(str(column)), justify="right" if right else "left", overflow="fold")
    for row in table.itertuples(index=False):
        made.add_row(
            *(number(v) if r else escape(str(v)) for v, r in zip(row, numeric, strict=True))
        )
    heading(title, out)
    out.print(made)


def written(files: list[Path], out: Console) -> None:
    """Where the results lie, the files of one folder on one line."""
    for folder in dict.fromkeys(path.parent for path in files):
        inside = [path.name for path in files if path.parent == folder]
        text = str(folder / inside[0]) + (
            f", with {', '.join(inside[1:])} beside it" if inside[1:] else ""
        )
        out.print(f"wrote {text}", markup=False, soft_wrap=True)


def comparison(result: Comparison, out: Console) -> None:
    """A leaderboard per dataset, the overall ranks, whether they mean anything, and what failed."""
    for dataset in result.datasets.index:
        heading(_facts(result, dataset), out)
        out.print(_leaderboard(result, dataset))
    if len(result.datasets) > 1:
        heading(f"all {len(result.datasets)} data sets", out)
        out.print(_overall(result))
    if text := _verdict(result):
        out.print(text, style="dim", markup=False)
    _failures(result, out)


def _facts(result: Comparison, dataset: str) -> str:
    facts = result.datasets.loc[dataset]
    size = f"{facts['shortest']} steps" if facts["series"] == 1 else f"{facts['series']} series"
    season = f"season {facts['season']}, " if facts["season"] > 1 else ""
    windows = f"{facts['windows']} window{'' if facts['windows'] == 1 else 's'}"
    return f"{dataset}: {size}, {season}horizon {facts['horizon']}, {windows}"


def _leaderboard(result: Comparison, dataset: str) -> Table:
    made, first = grid(), result.metrics[0]
    table = result.leaderboard.xs(dataset, level="dataset")
    failed = bool(table["failures"].any())
    made.add_column("model")
    for metric in result.metrics:
        made.add_column(metric.name, justify="right")
    for name in ("mean rank", "seconds", *(("failures",) if failed else ())):
        made.add_column(name, justify="right")
    found = result._result(dataset)
    leads = {m.name: result._leads(found, m) for m in result.metrics}
    for model, scores in table.iterrows():
        row = result.models.index(str(model))
        cells = [_cell(scores[m.name], bool(leads[m.name][row])) for m in result.metrics]
        seconds = scores["fit_seconds"] + scores["predict_seconds"]
        name = f"[{BEST}]{escape(str(model))}[/]" if leads[first.name][row] else escape(str(model))
        more = [str(int(scores["failures"]))] if failed else []
        made.add_row(name, *cells, f"{scores['rank']:.1f}", f"{seconds:.2f}", *more)
    return made


def _cell(value: float, best: bool) -> str:
    return f"[{BEST}]{number(value)}[/]*" if best else f"{number(value)} "


def _overall(result: Comparison) -> Table:
    table = result.overall
    relative = next(c for c in table.columns if c.startswith(("relative_", "gain_")))
    kind, metric = relative.split("_", 1)
    against = (
        f"{metric} / {result.models[0]}'s"
        if kind == "relative"
        else f"gain in {metric} on {result.models[0]}"
    )
    made = grid()
    made.add_column("model")
    for name in ("mean rank", against, "best on", "seconds"):
        made.add_column(escape(name), justify="right")
    for row, (model, scores) in enumerate(table.iterrows()):
        name = f"[{BEST}]{escape(str(model))}[/]" if row == 0 else escape(str(model))
        seconds = scores["fit_seconds"] + scores["predict_seconds"]
        best = str(int(scores["best"]))
        rank = f"{scores['mean_rank']:.2f}"
        made.add_row(name, rank, number(scores[relative]), best, f"{seconds:.2f}")
    return made


def _verdict(result: Comparison) -> str:
    """What the metrics mean, and whether the models can be told apart."""
    kinds: dict[str, list[str]] = {}
    for metric in result.metrics:
        kinds.setdefault(metric.orientation, []).append(metric.name)
    lines = [
        "* best; " + "; ".join(f"{', '.join(names)}: {kind}" for kind, names in kinds.items()) + "."
    ]
    try:
        ranks = result.ranks()
    except ValueError:  # too few cases, models or losses for a test
        return lines[0]
    best = str(ranks.mean_ranks.index[0])
    apart = [
        str(other)
        for other in ranks.mean_ranks.index[1:]
        if ranks.p_values.loc[best, other] < ranks.alpha
    ]
    place = f"better than {', '.join(apart)}" if apart else "not told apart from any other"
    lines.append(
        f"Over {ranks.cases} series, ranked by {ranks.metric}: Friedman's test "
        f"p = {ranks.p_value:.2g}; {best} is first and {place} (Nemenyi, 5 %)."
    )
    return "\n".join(lines)


def _failures(result: Comparison, out: Console) -> None:
    """Each model and dataset that failed once, with the reason and how often."""
    if not len(result.failures):
        return
    out.print(
        f"{len(result.failures)} failure(s); a model's means are over the cases it did, and it comes last:",
        style="bold red",
    )
    for (dataset, model, error), cases in result.failures.groupby(
        ["dataset", "model", "error"], sort=False
    ):
        times = f" ({len(cases)} times)" if len(cases) > 1 else ""
        text = (
            f"  {model} on {dataset}{times}: {error}: {' '.join(cases['message'].iloc[0].split())}"
        )
        out.print(text, markup=False, soft_wrap=True)
