"""The work of `seqkit forecast`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqkit.cli.names import Spec, parse_model, split_list
from seqkit.cli.problems import Problem, UsageProblem, check_target
from seqkit.cli.sources import season_of
from seqkit.cli.tables import Columns, Table, read_covariates, read_table

if TYPE_CHECKING:
    import pandas as pd

    from seqkit.forecast import Forecast


def run(
    path: str, model: str, horizon: int | None, level: str, columns: Columns, covariates: str, future: str,
    season: int | None, out: str, plot: str, save: str, as_json: bool,
) -> None:  # fmt: skip
    """Fit, forecast, print, write."""
    spec = parse_model(model)
    spec.check()
    levels = parse_levels(level)
    inputs = split_list(covariates)
    _check(inputs, future, out, plot, as_json)
    for option, target in (("--out", out), ("--plot", plot), ("--save", save)):
        check_target(option, target)
    table = read_table(path, columns, inputs)
    m = season or season_of(table.series)
    fitted, forecast = _forecast(spec, table, m, horizon or (m if m > 1 else 10), future, inputs)
    result = to_table(forecast, levels, table.columns)
    files = _write(result, out)
    if plot:
        files.append(_draw(forecast, table.series, levels, plot))
    if save:
        files.append(fitted.save(_folder_for(save)))
    if as_json:
        print(_as_json(spec, forecast, result, files))
    elif out != "-":
        _print(spec, fitted, result, files)


def parse_levels(text: str) -> list[float]:
    """Percentages such as 80,95.

    >>> parse_levels("80,95")
    [80.0, 95.0]
    """
    try:
        levels = [float(part) for part in split_list(text)]
    except ValueError:
        levels = []
    if not levels or not all(0 < level < 100 for level in levels):
        raise UsageProblem(
            f"--level is {text!r}; expected percentages between 0 and 100, such as 80,95"
        )
    return levels


def _check(inputs: list[str], future: str, out: str, plot: str, as_json: bool) -> None:
    if inputs and not future:
        raise UsageProblem(
            "--covariates needs --future, a file with the covariates of the steps to forecast"
        )
    if future and not inputs:
        raise UsageProblem(
            "--future needs --covariates, the columns to use, such as --covariates price,promo"
        )
    if out == "-" and as_json:
        raise UsageProblem("--out - and --json both write to standard output; leave one out")
    if out not in ("", "-") and not out.lower().endswith((".csv", ".csv.gz", ".parquet", ".pq")):
        raise UsageProblem(
            f"--out is {out!r}; expected a path ending in .csv or .parquet, or - for standard output"
        )
    if plot and not plot.lower().endswith((".png", ".svg", ".pdf")):
        raise UsageProblem(f"--plot is {plot!r}; expected a path ending in .png, .svg or .pdf")


def _forecast(
    spec: Spec, table: Table, season: int, horizon: int, future: str, inputs: list[str]
) -> tuple[Any, Forecast]:
    model = spec.build(season)
    ahead = read_covariates(future, table.columns, inputs) if future else None
    try:
        model.fit(table.series, covariates=table.covariates)
        return model, model.predict(horizon, covariates=ahead)
    except (ValueError, TypeError) as error:
        raise Problem(f"{spec.label}: {error}") from error


def to_table(forecast: Forecast, levels: list[float], columns: Columns) -> pd.DataFrame:
    """One row per series, (channel) and step, under the column names of the user's file."""
    import pandas as pd

    frame = forecast.to_frame(levels)
    keys = ([columns.id] if columns.id else []) + [columns.time or "step"]
    frame.index = frame.index.set_names(keys)
    if len(forecast.columns) > 1:
        stacked = frame.stack("channel")
        assert isinstance(stacked, pd.DataFrame)  # a statistic per column remains
        stacked.columns.name = None
        frame = stacked
    return frame.reset_index()


def _write(result: pd.DataFrame, out: str) -> list[Path]:
    if out == "-":
        result.to_csv(sys.stdout, index=False)
        return []
    if not out:
        return []
    path = _folder_for(out)
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


def _draw(forecast: Forecast, history: Any, levels: list[float], plot: str) -> Path:
    import numpy as np

    axes = forecast.plot(history, level=levels)
    figure = np.ravel(axes)[0].figure
    path = _folder_for(plot)
    figure.savefig(path, dpi=150, facecolor="white")
    return path


def _folder_for(path: str) -> Path:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    return Path(path)


def _as_json(spec: Spec, forecast: Forecast, result: pd.DataFrame, files: list[Path]) -> str:
    rows = json.loads(
        result.to_json(orient="records", date_format="iso", date_unit="s", double_precision=15)
    )
    document = {
        "model": spec.label,
        "horizon": forecast.horizon,
        "forecast": rows,
        "files": [str(path) for path in files],
    }
    return json.dumps(document, indent=1)


def _print(spec: Spec, fitted: Any, result: pd.DataFrame, files: list[Path]) -> None:
    from seqkit.cli import show

    out, shown = show.console(), 60
    show.frame(result.head(shown), out, f"{spec.label}, {fitted._header.describe()}")
    if len(result) > shown:
        out.print(
            f"... {len(result) - shown} more rows; --out fc.csv writes all of them", style="dim"
        )
    show.written(files, out)
