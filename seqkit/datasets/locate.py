"""Which files a dataset is read from: beside its card, SEQKIT_DATA, the cache, the source."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from seqkit.datasets.cards import Card, data_folder
from seqkit.datasets.download import fetch


@dataclass(frozen=True)
class File:
    """A file, perhaps gzipped, perhaps a member of a zip archive; readers see its bytes only."""

    path: Path
    member: str | None = None

    def raw(self) -> bytes:
        if self.member is not None:
            with zipfile.ZipFile(self.path) as archive:
                return archive.read(self.member)
        raw = self.path.read_bytes()
        return gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw

    def text(self) -> str:
        return self.raw().decode("utf-8")

    def stream(self) -> io.BytesIO:
        return io.BytesIO(self.raw())


def locate(card: Card) -> tuple[bool, Mapping[str, File]]:
    """Whether the files are in the source's own format, and the files by part.

    Raises
    ------
    FileNotFoundError
        If the dataset is read from SEQKIT_DATA only and is not there.
    """
    for place in (card.folder, data_folder()):
        if place is None:
            continue
        here = {part: place / file for part, file in card.files.items()}
        if all(path.is_file() for path in here.values()):
            return False, {part: File(path) for part, path in here.items()}
    if not card.public:
        raise FileNotFoundError(
            f"dataset {card.name!r} is read from SEQKIT_DATA only (no source offers it in a plain "
            f"format): put {', '.join(card.files.values())} in a folder and set the environment "
            f"variable SEQKIT_DATA to it. {card.source}"
        )
    return True, {one.part: File(fetch(card, one), one.member) for one in card.public}
