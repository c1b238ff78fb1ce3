"""The work of `seqkit forecast`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seqkit.cli.names import Spec, parse_model, split_list
from seqkit.cli.problems import Problem, UsageProblem
from seqkit.cli.results import (
    check_outputs,
    folder_for,
    print_json,
    print_table,
    write_figure,
    write_table,
)
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
    import numpy as np

    spec = parse_model(model)
    spec.check()
    levels = parse_levels(level)
    inputs = split_list(covariates)
    _check(inputs, future)
    check_outputs(out, plot, save, as_json)
    table = read_table(path, columns, inputs)
    m = season or season_of(table.series)
    fitted, forecast = _forecast(spec, table, m, horizon or (m if m > 1 else 10), future, inputs)
    result = to_table(forecast, levels, table.columns)
    files = write_table(result, out)
    if plot:
        axes = forecast.plot(table.series, level=levels)
        files.append(write_figure(np.ravel(axes)[0].figure, plot))
    if save:
        files.append(fitted.save(folder_for(save)))
    if as_json:
        print_json("forecast", result, files, model=spec.label, horizon=forecast.horizon)
    elif out != "-":
        print_table(result, f"{spec.label}, {fitted._header.describe()}", files)


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


def _check(inputs: list[str], future: str) -> None:
    if inputs and not future:
        raise UsageProblem(
            "--covariates needs --future, a file with the covariates of the steps to forecast"
        )
    if future and not inputs:
        raise UsageProblem(
            "--future needs --covariates, the columns to use, such as --covariates price,promo"
        )


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
