"""Readers of plain layouts. A card names one of these functions and its keyword arguments.

Each takes the files by part and the card, and returns the contents.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from seqkit.datasets.cards import Card
from seqkit.datasets.content import (
    Corpus,
    Labelled,
    Pairs,
    Panel,
    Tagged,
    TrainTest,
    TrainValidationTest,
)
from seqkit.datasets.locate import File

Files = Mapping[str, File]


# pandas 3.1 reads every number to the nearest float64 and deprecates asking for it
_OLD_PANDAS = tuple(int(one) for one in pd.__version__.split(".")[:2]) < (3, 1)
_EXACT: dict[str, Any] = {"float_precision": "round_trip"} if _OLD_PANDAS else {}


def csv(file: File, **options: Any) -> pd.DataFrame:
    """A CSV file, each number read to the nearest float64."""
    table: pd.DataFrame = pd.read_csv(file.stream(), **_EXACT, **options)
    return table


def frame(
    files: Files,
    card: Card,
    *,
    time: str | None = None,
    start: str | None = None,
    columns: Sequence[str | int] | None = None,
    names: Sequence[str] | None = None,
    snap: str | None = None,
) -> pd.DataFrame:
    """A table: ``time`` names the column of dates, or ``start`` the first date; else 0, 1, 2...

    ``columns`` picks columns by name or position, ``names`` names those of a file without header,
    ``snap`` moves each date to the end of its period.
    """
    table = csv(files["data"], header=None if names else "infer", names=names)
    index: pd.Index = pd.RangeIndex(len(table))
    if time is not None:
        index = calendar(table.pop(time), card.frequency, snap)
    elif start is not None:
        index = pd.date_range(start, periods=len(table), freq=card.frequency)
    if columns is not None:
        picked = [table.columns[one] if isinstance(one, int) else one for one in columns]
        table = table[picked]
    return table.astype("float64").set_axis(index, axis=0)


def series(files: Files, card: Card, **options: Any) -> pd.Series:
    """A table of one column."""
    return frame(files, card, **options).iloc[:, 0].rename(card.name)


def calendar(dates: pd.Series, frequency: str, snap: str | None = None) -> pd.DatetimeIndex:
    """Dates (or quarters, ``1960Q1``) as a regular index; pandas raises where they are not."""
    if "Q" in str(dates.iloc[0]):
        stamps = pd.PeriodIndex(dates, freq="Q").to_timestamp()
    else:
        stamps = pd.DatetimeIndex(pd.to_datetime(dates))
    if snap is not None:
        stamps = stamps.to_period(snap).to_timestamp(how="end").normalize()
    return pd.DatetimeIndex(stamps, freq=frequency).rename(None)


def hourly_traffic(files: Files, card: Card) -> pd.DataFrame:
    """The numeric columns on a regular hourly calendar; an hour listed twice counts once."""
    table = csv(files["data"], keep_default_na=False)
    table.index = pd.DatetimeIndex(table.pop("date_time"))
    table = table.select_dtypes("number").astype("float64")
    table = table[~table.index.duplicated()].asfreq(card.frequency)
    return table[["traffic_volume", *table.columns.drop("traffic_volume")]].rename_axis(None)


def panel(files: Files, card: Card, *, first: str | None = None, last: str | None = None) -> Panel:
    """Long: ``id, split, y``, rows of a series together; ``first`` to ``last`` picks series."""
    table = csv(files["data"], dtype={"id": "category", "split": "category", "y": "float64"})
    codes = table["id"].cat.codes.to_numpy()
    edges = np.flatnonzero(np.diff(codes, prepend=-1, append=-1))
    keys = [str(key) for key in table["id"].cat.categories[codes[edges[:-1]]]]
    trained = np.concatenate(([0], np.cumsum((table["split"] == "train").to_numpy())))
    n_train = np.diff(trained[edges])
    values = table["y"].to_numpy()
    chosen = range(
        0 if first is None else keys.index(first),
        len(keys) if last is None else keys.index(last) + 1,
    )
    return Panel(
        {keys[i]: pd.Series(values[edges[i] : edges[i + 1]], name=keys[i]) for i in chosen},
        {keys[i]: int(n_train[i]) for i in chosen},
    )


def wide_panel(files: Files, card: Card) -> Panel:
    """Wide: ``t, split`` and one column per series."""
    table = csv(files["data"])
    n_train = int((table["split"] == "train").sum())
    values = table.drop(columns=["t", "split"]).astype("float64")
    return Panel(
        {str(key): values[key] for key in values.columns},
        {str(key): n_train for key in values.columns},
    )


def frames(files: Files, card: Card, *, key: str, encode: Mapping[str, float]) -> Panel:
    """Several tables in one, told apart by column ``key``; words become numbers by ``encode``."""
    table = csv(files["data"])
    body = table.drop(columns=key)
    for column in body.columns[~body.dtypes.map(pd.api.types.is_numeric_dtype)]:
        body[column] = body[column].map(encode)
    body = body.astype("float64")
    groups = {str(one): rows.reset_index(drop=True) for one, rows in body.groupby(table[key])}
    return Panel(groups, {})


def labelled(files: Files, card: Card) -> TrainTest:
    """Wide: ``split, label, t0, t1...``; or long: ``case, split, label, t, c0, c1...``."""
    table = csv(files["data"], dtype={"label": str, "split": str})
    if "case" in table:
        channels = table.drop(columns=["case", "split", "label", "t"]).astype("float64")
        edges = np.flatnonzero(np.diff(table["case"].to_numpy(), prepend=-1, append=-1))
        stops = itertools.pairwise(edges)
        sequences: list[Any] = [channels.iloc[i:j].reset_index(drop=True) for i, j in stops]
        table = table.iloc[edges[:-1]]
    else:
        values = table.drop(columns=["split", "label"]).to_numpy("float64")
        sequences = [pd.Series(row) for row in values]
    return TrainTest(
        *(
            label(
                [one for one, its in zip(sequences, table["split"], strict=True) if its == part],
                table.loc[table["split"] == part, "label"].tolist(),
            )
            for part in ("train", "test")
        )
    )


def label(sequences: list[Any], labels: list[str]) -> Labelled:
    """Sequences with their labels as a Series of text."""
    return Labelled(sequences, pd.Series(labels, name="label", dtype="str"))


def conll(files: Files, card: Card, *, tag: int = 1) -> Corpus:
    """One token per line, tabs between its columns, a blank line between sentences."""
    return Corpus(*(_sentences(files[part].text(), tag) for part in ("train", "dev", "test")))


def _sentences(text: str, tag: int) -> Tagged:
    sentences: list[list[str]] = []
    tags: list[list[str]] = []
    fresh = True
    for line in text.split("\n"):
        # only tabs and returns: a token may itself be an exotic blank
        columns = line.strip("\t\r").split("\t")
        if not columns[0].strip():
            fresh = True
            continue
        if fresh:
            sentences.append([])
            tags.append([])
            fresh = False
        sentences[-1].append(columns[0])
        tags[-1].append(columns[tag])
    return Tagged(sentences, tags)


def utterances(files: Files, card: Card, *, target: str) -> TrainTest:
    """``split, intent, tokens, tags``; the target is ``tags`` or ``intent``."""
    table = csv(files["data"], sep="\t", quoting=3, keep_default_na=False)
    return TrainTest(*(_utterances(table[table["split"] == one], target) for one in _SNIPS))


_SNIPS = ("train", "valid")


def _utterances(rows: pd.DataFrame, target: str) -> Tagged | Labelled:
    sentences = [text.split(" ") for text in rows["tokens"]]
    if target == "intent":
        return label(sentences, rows["intent"].tolist())
    return Tagged(sentences, [text.split(" ") for text in rows["tags"]])


def pronunciations(files: Files, card: Card) -> Corpus:
    """``split, word, phones``: letters in, phones out."""
    table = csv(files["data"], sep="\t", quoting=3, keep_default_na=False)
    chosen = (table[table["split"] == part] for part in ("train", "dev", "test"))
    return Corpus(*(spell(rows["word"].tolist(), rows["phones"].tolist()) for rows in chosen))


def spell(words: Sequence[str], phones: Sequence[str]) -> Pairs:
    """Words as lists of letters, pronunciations as lists of phones."""
    return Pairs([list(word) for word in words], [text.split(" ") for text in phones])


def lexicon(files: Files, card: Card) -> pd.DataFrame:
    """``word, variant, phones, comment``."""
    return csv(files["data"], sep="\t", quoting=3, keep_default_na=False)


def notes(files: Files, card: Card) -> TrainValidationTest:
    """Lists of sounding MIDI notes as piano rolls: (steps, 88) of 0 and 1, column 0 is note 21."""
    return _pieces(files["data"], _roll)


def voices(files: Files, card: Card) -> TrainValidationTest:
    """Four MIDI notes per step (soprano, alto, tenor, bass), -1 where a voice is silent."""
    return _pieces(files["data"], lambda piece: np.asarray(piece, dtype=np.int16))


def _pieces(file: File, build: Any) -> TrainValidationTest:
    pieces = json.loads(file.raw())
    chosen = ("train", "valid", "test")
    return TrainValidationTest(*([build(piece) for piece in pieces[part]] for part in chosen))


def _roll(piece: Sequence[Sequence[int]]) -> np.ndarray:
    roll = np.zeros((len(piece), 88), dtype=np.uint8)
    steps = np.repeat(np.arange(len(piece)), [len(sounding) for sounding in piece])
    pitches = np.fromiter(itertools.chain.from_iterable(piece), dtype=np.intp, count=len(steps))
    roll[steps, pitches - 21] = 1
    return roll


def text(files: Files, card: Card) -> str:
    """The text itself."""
    return files["data"].text()


def lines(files: Files, card: Card) -> list[str]:
    """The lines of a text."""
    return files["data"].text().splitlines()
