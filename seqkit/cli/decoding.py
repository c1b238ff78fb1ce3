"""The work of `seqkit decode`: what lies behind the rows of a table, or behind lines of text."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqkit.cli.names import MODELS, Spec, parse_model
from seqkit.cli.problems import Problem, UsageProblem, note
from seqkit.cli.results import (
    check_outputs,
    folder_for,
    print_json,
    print_table,
    write_figure,
    write_table,
)
from seqkit.cli.sources import season_of
from seqkit.cli.tables import Columns, read_table

if TYPE_CHECKING:
    import pandas as pd

SAVED = ".seqkit"
Lines = list[list[str]]


def run(
    path: str, model: str, proba: bool, letters: bool, columns: Columns, season: int | None,
    out: str, plot: str, save: str, as_json: bool,
) -> None:  # fmt: skip
    """Fit or load, decode, print, write."""
    check_outputs(out, plot, save, as_json)
    saved = model.lower().endswith(SAVED) or Path(model).is_file()
    spec = None if saved else _choose(model)
    fitted = _load(model) if spec is None else spec.build(None)
    verb = "decode_proba" if proba else "decode"
    _check_verb(fitted, model, verb)
    text = path == "-" or path.lower().endswith(".txt")
    _check_options(fitted, model, saved, text, letters, columns, season, plot)
    if text:
        if spec is not None:
            raise UsageProblem(
                f"{model} is learnt from the file itself, which must be a table of numbers; "
                "for text give a saved model, such as --model tagger.seqkit"
            )
        lines = _read_lines(path, letters)
        result, x = _decode_lines(fitted, model, verb, lines), None
    else:
        table = read_table(path, columns)
        x = table.series.to_pandas()
        try:
            if spec is not None:
                fitted = spec.build(season or season_of(table.series)).fit(table.series)
            found = getattr(fitted, verb)(x)
        except (ValueError, TypeError) as error:
            raise Problem(f"{model}: {error}") from error
        result = _flat(found, [c for c in (table.columns.id, table.columns.time or "step") if c])
    files = write_table(result, out)
    if plot:
        files.append(write_figure(_figure(fitted, x, plot), plot))
    if save:
        files.append(fitted.save(folder_for(save)))
    if as_json:
        print_json("decoded", result, files, model=model)
    elif out != "-":
        print_table(result, f"{model}, {repr(fitted).partition('  # ')[2]}", files)


def _choose(model: str) -> Spec:
    spec = parse_model(model)
    spec.check()
    return spec


def _load(path: str) -> Any:
    import seqkit

    if not Path(path).is_file():
        raise UsageProblem(
            f"there is no file {path!r}; give a saved model, or a name such as hmm or level"
        )
    try:
        return seqkit.load(path)
    except ValueError as error:
        raise UsageProblem(str(error)) from error


def _check_verb(model: Any, name: str, verb: str) -> None:
    if hasattr(model, verb):
        return
    having = [known for known, recipe in MODELS.items() if hasattr(recipe(None), verb)]
    option = " --proba" if verb == "decode_proba" else ""
    raise UsageProblem(
        f"{name} has nothing hidden to decode{option and ' with probabilities'}; "
        f"models for seqkit decode{option}: {', '.join(having)}, or a file saved from one of yours"
    )


def _check_options(
    fitted: Any, name: str, saved: bool, text: bool, letters: bool, columns: Columns, season: int | None, plot: str
) -> None:  # fmt: skip
    """Refuse options that would have no effect, before any work."""
    if letters and not text:
        raise UsageProblem("--letters says how lines of text are read; leave it out for a table")
    if text and columns.given:
        raise UsageProblem(
            "--time, --target, --id and --frequency are for tables; leave them out for text"
        )
    if saved and season is not None:
        raise UsageProblem(f"--season is for models that are fitted here, and {name} is fitted")
    if plot and text:
        raise UsageProblem("--plot draws hidden states of numbers; leave it out for text")
    if plot and not (hasattr(fitted, "plot_states") or hasattr(fitted, "smooth")):
        raise UsageProblem(f"{name} has no picture of its states; leave --plot out")


# -- text ----------------------------------------------------------------------------------------


def _read_lines(path: str, letters: bool) -> Lines:
    """A sequence per line, of words apart by blanks or of letters; empty lines are left out."""
    if path == "-":
        text = sys.stdin.read()
    elif Path(path).is_file():
        try:
            text = Path(path).read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise UsageProblem(f"{path} is not text in UTF-8: {error}") from error
    else:
        raise UsageProblem(f"there is no file {path!r}; give a text file, or - for standard input")
    lines = [list(line.strip()) if letters else line.split() for line in text.splitlines()]
    lines = [line for line in lines if line]
    if not lines:
        raise UsageProblem(f"{path} has no words; expected a sequence per line")
    return lines


def _decode_lines(model: Any, name: str, verb: str, lines: Lines) -> pd.DataFrame:
    import pandas as pd

    try:
        found = getattr(model, verb)(lines)
    except (ValueError, TypeError) as error:
        raise Problem(f"{name}: {error}") from error
    if isinstance(found, (pd.Series, pd.DataFrame)):
        result = _flat(found, ["line", "step"])
        if len(result) == sum(map(len, lines)):  # not where a step is less than a token, as in CTC
            result.insert(2, "token", [token for line in lines for token in line])
        return result
    rows = [
        (" ".join(line), one if isinstance(one, str) else " ".join(map(str, one)))
        for line, one in zip(lines, found, strict=True)
    ]
    return pd.DataFrame(rows, columns=["input", "output"])


# -- tables --------------------------------------------------------------------------------------


def _flat(found: pd.Series | pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """One row per step, the levels of the index as columns called `keys`."""
    import pandas as pd

    frame = found.to_frame() if isinstance(found, pd.Series) else found.copy()
    frame.columns = [str(column) for column in frame.columns]
    frame.index = frame.index.set_names(keys[-frame.index.nlevels :])
    return frame.reset_index()


def _figure(model: Any, x: Any, plot: str) -> Any:
    """The hidden states of the first series."""
    import pandas as pd

    options = {}
    if isinstance(x.index, pd.MultiIndex):
        keys = x.index.get_level_values(0).unique()
        options = {"series": keys[0]}
        if len(keys) > 1:
            note(f"{plot} shows {keys[0]!r}, the first of {len(keys)} series")
    if hasattr(model, "plot_states"):
        return model.plot_states(x, **options)
    return model.smooth(x).plot(**options)
