"""The command line: `seqkit compare`, `seqkit forecast`, `seqkit decode`, `seqkit datasets`.

Whatever is heavy is imported inside the commands, so that `seqkit --help` answers at once.
"""

from __future__ import annotations

import os
import sys
import traceback
from typing import Annotated, Any

import typer

from seqkit import __version__
from seqkit.cli.names import DEFAULT_MODELS, KNOWN_MODELS
from seqkit.cli.problems import Problem, plain, spoken_warnings
from seqkit.cli.tables import Columns

app = typer.Typer(
    help="Forecast time series and compare the models that do.",
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

_MODEL_HELP = f"{KNOWN_MODELS}; parameters by colon, as in ar:order=12 or ar:scale=log+diff."
_JSON = Annotated[
    bool, typer.Option("--json", help="Print JSON, and nothing else, on standard output.")
]
_TIME = Annotated[
    str,
    typer.Option(
        "--time", help="Column of times; unless given, the first one that reads as dates."
    ),
]
_TARGET = Annotated[str, typer.Option("--target", help="Column to forecast; several by comma.")]
_ID = Annotated[str, typer.Option("--id", help="Column that tells the series of a panel apart.")]
_FREQUENCY = Annotated[
    str, typer.Option("--frequency", help="Step of the calendar (h, D, W, MS, ...); else inferred.")
]
_SEASON = Annotated[
    int | None, typer.Option(min=1, help="Steps per season; else the dataset's or the calendar's.")
]


def _columns(time: str, target: str, id: str, frequency: str) -> Columns:
    return Columns(
        time, tuple(part.strip() for part in target.split(",") if part.strip()), id, frequency
    )


@app.callback(invoke_without_command=True)
def _start(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
    traceback: Annotated[
        bool, typer.Option("--traceback", help="On an error, show where it arose; works anywhere.")
    ] = False,
) -> None:
    if version:
        print(f"seqkit {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        if text := context.get_help():
            print(text)
        raise typer.Exit


@app.command()
def compare(
    data: Annotated[
        list[str],
        typer.Argument(
            help="Datasets by name, or CSV or Parquet files; name:column is one column."
        ),
    ],
    models: Annotated[str, typer.Option(help=f"By comma: {_MODEL_HELP}")] = DEFAULT_MODELS,
    horizon: Annotated[
        int | None,
        typer.Option(min=1, help="Steps to forecast; else each dataset's own, a season, or 10."),
    ] = None,
    windows: Annotated[
        int | None,
        typer.Option(min=1, help="Successive origins; else 5 where they fit, 1 for a competition."),
    ] = None,
    metrics: Annotated[
        str, typer.Option(help="By comma; the first one orders the leaderboard.")
    ] = "mase,smape,crps,coverage-80",
    season: _SEASON = None,
    refit: Annotated[
        bool, typer.Option(help="Fit at every origin, or once and then update.")
    ] = True,
    jobs: Annotated[int, typer.Option(help="Processes.")] = 1,
    time: _TIME = "",
    target: _TARGET = "",
    id: _ID = "",
    frequency: _FREQUENCY = "",
    report: Annotated[str, typer.Option(help="Write one self-contained HTML page here.")] = "",
    out: Annotated[
        str, typer.Option(help="Write report.html, tables and plots into this folder.")
    ] = "",
    as_json: _JSON = False,
) -> None:
    """Compare models on datasets, over the same windows.

    seqkit compare airline lynx us_macro:realgdp --models naive2,ar:order=12,ets --out out
    """
    from seqkit.cli import comparing

    columns = _columns(time, target, id, frequency)
    comparing.run(
        data, models, horizon, windows, metrics, season, refit, jobs, columns, report, out, as_json
    )


@app.command()
def forecast(
    file: Annotated[
        str, typer.Argument(help="CSV or Parquet file with a row per time (and series).")
    ],
    model: Annotated[str, typer.Option(help=_MODEL_HELP)] = "ets",
    horizon: Annotated[
        int | None, typer.Option(min=1, help="Steps to forecast; else a season, or 10.")
    ] = None,
    level: Annotated[str, typer.Option(help="Percentages of the intervals, by comma.")] = "80,95",
    time: _TIME = "",
    target: _TARGET = "",
    id: _ID = "",
    frequency: _FREQUENCY = "",
    covariates: Annotated[str, typer.Option(help="Columns of known inputs, by comma.")] = "",
    future: Annotated[
        str, typer.Option(help="File with the covariates of the steps to forecast.")
    ] = "",
    season: _SEASON = None,
    out: Annotated[
        str,
        typer.Option(help="Write the forecast to this .csv or .parquet; - for standard output."),
    ] = "",
    plot: Annotated[
        str, typer.Option(help="Draw history and forecast into this .png, .svg or .pdf.")
    ] = "",
    save: Annotated[str, typer.Option(help="Save the fitted model here, for seqkit.load.")] = "",
    as_json: _JSON = False,
) -> None:
    """Forecast the series in a file of your own.

    seqkit forecast sales.csv --time day --target units --model ar --horizon 14 --plot fc.png
    """
    from seqkit.cli import forecasting

    columns = _columns(time, target, id, frequency)
    forecasting.run(
        file, model, horizon, level, columns, covariates, future, season, out, plot, save, as_json
    )


@app.command()
def decode(
    file: Annotated[
        str,
        typer.Argument(
            help="CSV or Parquet file with a row per time; or a .txt file, or -, with a sequence per line."
        ),
    ],
    model: Annotated[
        str,
        typer.Option(
            help="hmm, switching_ar, lds, level, trend or structural, fitted to the file; parameters by colon, "
            "as in hmm:n_states=3:scale=identity; or a file that a model was saved in."
        ),
    ] = "hmm:scale=identity",
    proba: Annotated[
        bool, typer.Option("--proba", help="Probabilities of all states instead of the best path.")
    ] = False,
    letters: Annotated[
        bool, typer.Option("--letters", help="Lines of text are sequences of letters, not words.")
    ] = False,
    time: _TIME = "",
    target: _TARGET = "",
    id: _ID = "",
    frequency: _FREQUENCY = "",
    season: _SEASON = None,
    out: Annotated[
        str,
        typer.Option(help="Write the result to this .csv or .parquet; - for standard output."),
    ] = "",
    plot: Annotated[
        str, typer.Option(help="Draw the hidden states into this .png, .svg or .pdf.")
    ] = "",
    save: Annotated[str, typer.Option(help="Save the fitted model here, for seqkit.load.")] = "",
    as_json: _JSON = False,
) -> None:
    """Find what lies behind a series or a text: regimes, levels, tags, pronunciations.

    seqkit decode sales.csv --target units --plot regimes.png

    seqkit decode sentences.txt --model tagger.seqkit --out tags.csv
    """
    from seqkit.cli import decoding

    columns = _columns(time, target, id, frequency)
    decoding.run(file, model, proba, letters, columns, season, out, plot, save, as_json)


@app.command()
def datasets(
    name: Annotated[
        str, typer.Argument(help="A dataset, to read its card.", show_default=False)
    ] = "",
    as_json: _JSON = False,
) -> None:
    """List the datasets, or show the card of one."""
    from seqkit.cli import listing

    listing.run(name, as_json)


# ---------------------------------------------------------------- the way in


def _click_error() -> Any:
    """The base of the errors in options; newer versions of typer carry their own copy of click."""
    return next(base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code: 0, 1 for work that failed, 2 for wrong usage, 130 for Ctrl-C."""
    given = sys.argv[1:] if arguments is None else arguments
    detailed = "--traceback" in given
    given = [argument for argument in given if argument != "--traceback"]
    try:
        with spoken_warnings():
            code = app(args=given, prog_name="seqkit", standalone_mode=False)
            sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except BrokenPipeError:  # the reader, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:
        if detailed:
            traceback.print_exc()
        return _tell(error)


def _tell(error: Any) -> int:
    if isinstance(error, _click_error()):
        message, code = " ".join(error.format_message().split()), error.exit_code
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "seqkit"
        print(
            f"error: {message.rstrip('.')}; `{command} --help` shows what there is", file=sys.stderr
        )
        return code
    print(f"error: {plain(error)}", file=sys.stderr)
    return error.code if isinstance(error, Problem) else 1
