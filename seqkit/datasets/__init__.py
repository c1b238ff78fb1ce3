"""Datasets by name.

>>> from seqkit import datasets
>>> airline = datasets.load("airline")
>>> train, test = datasets.split("airline")

Each dataset is a card (a small TOML file) and, where the figures are public domain and small, a
CSV beside it. To add one, add a card; no list needs editing. `SEQKIT_DATA` names a folder of data
files (and of cards of your own), `SEQKIT_CACHE` the folder for downloads.
"""

from __future__ import annotations

from seqkit.datasets.cards import Card, Result
from seqkit.datasets.catalogue import card, describe, load, path, split
from seqkit.datasets.catalogue import table as list
from seqkit.datasets.download import ChecksumError, DownloadError

__all__ = [
    "Card",
    "ChecksumError",
    "DownloadError",
    "Result",
    "card",
    "describe",
    "list",
    "load",
    "path",
    "split",
]
