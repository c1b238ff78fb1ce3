"""The verbs of `seqkit.datasets`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from seqkit.datasets.cards import Card, all_cards, find_card
from seqkit.datasets.locate import locate


class _Text(str):
    """Text that shows itself at the prompt as it prints."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def load(name: str) -> Any:
    """Load a dataset by name.

    A series comes as a float64 Series, several channels as a DataFrame, a panel as a dict of
    Series by id (train and test joined; `split` parts them), sequence classification as
    ``train`` and ``test`` of (sequences, labels), tagging as ``train``, ``dev`` and ``test`` of
    (sentences, tags), text as a str. Calendars are regular and carry their frequency.

    The files are taken from beside the card, from the folder in SEQKIT_DATA, from the cache
    (SEQKIT_CACHE), or from the public source, in this order; by every road the contents are
    checked against the card's digest.

    Raises
    ------
    ValueError
        If there is no such dataset (the nearest names are listed) or the contents are not what
        the card says.
    OSError
        If the data are not here and cannot be downloaded; the message says what to do.

    Examples
    --------
    >>> from seqkit import datasets
    >>> datasets.load("airline").tail(2)
    1960-11-01    390.0
    1960-12-01    432.0
    Freq: MS, Name: airline, dtype: float64
    """
    from seqkit.datasets.content import whole

    return whole(_contents(find_card(name)))


def split(name: str) -> Any:
    """Load a dataset in the parts of its standard split, a named tuple.

    Panels and series give ``(train, test)``, panels by the competition's own split and series by
    the card's horizon; long benchmarks ``(train, validation, test)``; tagging
    ``(train, dev, test)``.

    Raises
    ------
    ValueError
        If the dataset has no standard split; and as `load`.

    Examples
    --------
    >>> from seqkit import datasets
    >>> train, test = datasets.split("airline")
    >>> len(train), len(test)
    (132, 12)
    """
    from seqkit.datasets.content import parts

    found = find_card(name)
    return parts(_contents(found), found)


def _contents(card: Card) -> Any:
    from seqkit.datasets import public, readers
    from seqkit.datasets.content import digest
    from seqkit.datasets.download import ChecksumError

    raw, files = locate(card)
    reader = card.public_reader if raw else card.reader
    options = card.public_options if raw else card.options
    read = getattr(readers, reader, None) or getattr(public, reader, None)
    if read is None:
        raise ValueError(
            f"the card of {card.name!r} names the reader {reader!r}, which neither "
            "seqkit.datasets.readers nor seqkit.datasets.public has"
        )
    content = read(files, card, **options)
    got = digest(content)
    if got != card.digest:
        where = ", ".join(dict.fromkeys(str(file.path) for file in files.values()))
        raise ChecksumError(
            f"dataset {card.name!r}: the contents of {where} are not those the card describes "
            f"(digest {got}, expected {card.digest}); replace the file, or delete it so that it is "
            "fetched anew"
        )
    return content


def path(name: str) -> Path:
    """Where the data lie: the file, or the folder where there are several; fetched if need be.

    Examples
    --------
    >>> from seqkit import datasets
    >>> datasets.path("nile").name
    'nile.csv'
    """
    _, files = locate(find_card(name))
    paths = {file.path for file in files.values()}
    return paths.pop() if len(paths) == 1 else next(iter(paths)).parent


def card(name: str) -> Card:
    """The card of a dataset: everything known about it, without reading it.

    Examples
    --------
    >>> from seqkit import datasets
    >>> datasets.card("m4_hourly").season
    24
    """
    return find_card(name)


def describe(name: str) -> str:
    """The card as text to read: source, licence, calendar, split, metric, published results.

    Examples
    --------
    >>> from seqkit import datasets
    >>> print(datasets.describe("nile").splitlines()[0])
    nile: Annual flow of the Nile at Aswan
    """
    return _Text(find_card(name))


def table() -> pd.DataFrame:
    """Every dataset that can be loaded, one row each.

    Examples
    --------
    >>> from seqkit import datasets
    >>> datasets.list().set_index("name").loc["airline", "horizon"]
    np.int64(12)
    """
    rows = [
        {
            "name": one.name,
            "description": one.title,
            "kind": one.kind,
            "series": one.n_series,
            "frequency": one.frequency,
            "season": one.season,
            "horizon": one.horizon,
            "shipped": one.shipped,
        }
        for one in all_cards()
    ]
    return pd.DataFrame(rows).astype({"horizon": "Int64"})
