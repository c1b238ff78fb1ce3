"""The work of `seqkit compare`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqkit.cli.names import Spec, parse_models, split_list
from seqkit.cli.problems import Problem, UsageProblem, as_usage, check_target, note, plain
from seqkit.cli.sources import Source, find_source
from seqkit.cli.tables import Columns, is_file

if TYPE_CHECKING:
    from seqkit.evaluation import Comparison


def run(
    data: list[str], models: str, horizon: int | None, windows: int | None, metrics: str, season: int | None,
    refit: bool, jobs: int, columns: Columns, report: str, out: str, as_json: bool,
) -> None:  # fmt: skip
    """Compare, print, write."""
    from seqkit.evaluation.catalogue import parse_all

    if jobs == 0:
        raise UsageProblem("--jobs is 0; expected a number of processes, or -1 for one per core")
    specs = parse_models(models)
    names = split_list(metrics)
    with as_usage():
        parse_all(names)
    check_target("--report", report)
    check_target("--out", out, folder=True)
    sources = _sources(data, columns)
    plans = {s.name: _plan(s, specs, horizon, windows) for s in sources}
    groups = _by_season(sources, season)
    parts = [_compare(group, m, specs, plans, names, refit, jobs) for m, group in groups]
    result = _join(parts, sources)
    if as_json:
        files = write(result, report, out)
        print(
            json.dumps(
                {**json.loads(result.to_json()), "files": [str(path) for path in files]}, indent=1
            )
        )
    else:
        from seqkit.cli import show

        terminal = show.console()
        show.comparison(result, terminal)
        show.written(write(result, report, out), terminal)
    _refuse_total_failure(result)


def _sources(data: list[str], columns: Columns) -> list[Source]:
    if columns.given and not any(
        is_file(text) or is_file(text.rpartition(":")[0]) for text in data
    ):
        raise UsageProblem(
            "--time, --target, --id and --frequency are for files, but none was named"
        )
    sources = [find_source(text, columns) for text in data]
    names = [source.name for source in sources]
    for name in names:
        if names.count(name) > 1:
            raise UsageProblem(f"{name!r} is there twice; leave one out, or rename a file")
    return sources


def _plan(
    source: Source, specs: list[Spec], horizon: int | None, windows: int | None
) -> tuple[int, int]:
    """Horizon and windows, checked against the data before anything is fitted."""
    data = source.data
    steps = horizon or source.horizon
    count = windows or source.settle_windows(steps)
    shortest = int(data.lengths.argmin())
    length = int(data.lengths[shortest])
    if length <= steps * count:
        raise UsageProblem(
            f"{source.name}: {data.label(shortest)} has {length} steps, but {count} window(s) of {steps} "
            f"steps and a history before them need more than {steps * count}; lower --horizon or --windows"
        )
    if len(data.columns) > 1:
        _check_channels(source, specs)
    return steps, count


def _check_channels(source: Source, specs: list[Spec]) -> None:
    """Several columns are for models that take several; the others refuse them, so say it before the work."""
    refusing = []
    for spec in specs:
        try:
            spec.build(None)._intake(source.data, "x")
        except ValueError:
            refusing.append(spec.label)
    if refusing:
        columns, those = [str(c) for c in source.data.columns], ", ".join(refusing)
        raise UsageProblem(
            f"{source.name} has {len(columns)} columns, and {those} can forecast only one; "
            f"choose a column, as in {source.name}:{columns[0]} (it has {', '.join(columns)}), or leave out {those}"
        )


def _by_season(sources: list[Source], season: int | None) -> list[tuple[int, list[Source]]]:
    """Datasets that share a season, and so their models."""
    groups: dict[int, list[Source]] = {}
    for source in sources:
        groups.setdefault(season or source.season, []).append(source)
    return list(groups.items())


def _compare(
    group: list[Source], season: int, specs: list[Spec], plans: dict[str, tuple[int, int]], metrics: list[str],
    refit: bool, jobs: int,
) -> Comparison:  # fmt: skip
    from seqkit.evaluation import compare

    return compare(
        {spec.label: spec.build(season) for spec in specs},
        {source.name: source.data for source in group},
        {source.name: plans[source.name][0] for source in group},
        {source.name: plans[source.name][1] for source in group},
        metrics=metrics,
        season=season,
        refit=refit,
        n_jobs=jobs,
    )


def _join(parts: list[Comparison], sources: list[Source]) -> Comparison:
    """Comparisons of the same models on different datasets as one, in the order of `sources`."""
    import pandas as pd

    first = parts[0]
    order = [source.name for source in sources]
    results = sorted((r for part in parts for r in part.results), key=lambda r: order.index(r.name))
    failed = [part.failures for part in parts if len(part.failures)]
    failures = pd.concat(failed, ignore_index=True) if failed else first.failures
    splits = {name: text for part in parts for name, text in part.settings["splits"].items()}
    settings = {**first.settings, "splits": {name: splits[name] for name in order}}
    return type(first)(first.models, first.metrics, first.measured, results, failures, settings)


def _refuse_total_failure(result: Comparison) -> None:
    if result.leaderboard[[m.name for m in result.metrics]].isna().all(axis=None):
        first = (
            result.failures["message"].iloc[0]
            if len(result.failures)
            else "no actual value to score by"
        )
        raise Problem(f"no model has a score; the first reason: {plain(ValueError(first))}")


# ---------------------------------------------------------------- files


def write(result: Comparison, report: str, out: str) -> list[Path]:
    """The page, and the folder of tables and pictures, as asked for; their paths."""
    written = []
    if report:
        page = Path(report)
        page.parent.mkdir(parents=True, exist_ok=True)
        written.append(result.to_html(page))
    if out:
        folder = Path(out)
        folder.mkdir(parents=True, exist_ok=True)
        written.append(result.to_html(folder / "report.html"))
        written += _tables(result, folder)
        written += _pictures(result, folder)
    return written


def _tables(result: Comparison, folder: Path) -> list[Path]:
    tables: dict[str, Any] = {
        "leaderboard": result.leaderboard.reset_index(),
        "scores": result.scores,
    }
    if len(result.failures):
        tables["failures"] = result.failures
    paths = []
    for name, table in tables.items():
        paths.append(folder / f"{name}.csv")
        table.to_csv(paths[-1], index=False)
    return paths


def _pictures(result: Comparison, folder: Path) -> list[Path]:
    """PNG plots; those for which the comparison is too small are left out."""
    wanted: list[tuple[Any, dict[str, Any]]] = [("leaderboard", {}), ("horizon", {}), ("ranks", {})]
    wanted += [("forecasts", {"dataset": dataset}) for dataset in result.datasets.index]
    paths = []
    for kind, options in wanted:
        name = "-".join([kind, *map(_file_name, options.values())])
        try:
            figure = result.plot(kind, **options)
        except ValueError as error:
            note(f"no picture {name}: {plain(error)}")
            continue
        paths.append(folder / f"{name}.png")
        figure.savefig(paths[-1], dpi=150, facecolor="white")
    return paths


def _file_name(dataset: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in dataset)
