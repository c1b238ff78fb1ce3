"""Fetching one public file into the cache: resumed where it broke off, checked by SHA-256."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from seqkit.datasets.cards import Card, Remote

_CHUNK = 1 << 16
_ATTEMPTS = 3
_TIMEOUT = (10, 60)  # seconds to connect, seconds between two reads


class DownloadError(OSError):
    """A public file could not be fetched."""


class ChecksumError(ValueError):
    """A file or its contents are not what the card says."""


def cache_folder() -> Path:
    """Where downloads are kept: SEQKIT_CACHE, or the user's cache folder."""
    if named := os.environ.get("SEQKIT_CACHE", ""):
        return Path(named).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("seqkit", appauthor=False)) / "datasets"


def fetch(card: Card, remote: Remote) -> Path:
    """The file in the cache; downloaded first where it is not there.

    Raises
    ------
    DownloadError
        If the source cannot be reached; the message says where to put the file instead.
    ChecksumError
        If what arrived does not have the SHA-256 of the card.
    """
    target = cache_folder() / remote.store
    if target.is_file() and remote.sha256 is None:
        return target
    import pooch

    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with _quiet(pooch.get_logger()):
            pooch.retrieve(
                remote.url,
                known_hash=f"sha256:{remote.sha256}" if remote.sha256 else None,
                fname=target.name,
                path=target.parent,
                downloader=_Downloader(card, target),
            )
    except DownloadError:
        raise
    except ValueError as error:
        if "hash" not in str(error):
            raise
        raise ChecksumError(
            f"dataset {card.name!r}: what {remote.url} sent is not the file the card describes "
            f"(expected sha256 {remote.sha256}); nothing was kept. Try again; if it happens again "
            "the source has changed"
        ) from error
    return target


@contextlib.contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


class _Downloader:
    """A pooch downloader that goes on where an earlier attempt broke off."""

    def __init__(self, card: Card, target: Path) -> None:
        self.card = card
        self.target = target
        self.partial = target.with_name(target.name + ".part")

    def __call__(self, url: str, output_file: Any, pooch: Any) -> None:
        import requests

        for attempt in range(_ATTEMPTS):
            before = _size(self.partial)
            try:
                self._receive(url)
                break
            except requests.RequestException as error:
                broke_off = isinstance(error, requests.exceptions.ChunkedEncodingError)
                again = broke_off or _size(self.partial) > before
                if not again or attempt == _ATTEMPTS - 1:
                    raise DownloadError(self._advice(url, error)) from error
        shutil.move(self.partial, output_file)

    def _receive(self, url: str) -> None:
        """Append what is still missing to the partial file."""
        import requests

        have = _size(self.partial)
        # identity: a compressed transfer would make byte positions mean something else
        headers = {"Accept-Encoding": "identity", "User-Agent": "seqkit"}
        if have:
            headers["Range"] = f"bytes={have}-"
        with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as answer:
            if answer.status_code == 416:
                total = answer.headers.get("Content-Range", "").rpartition("/")[2]
                if total == str(have):
                    return
                self.partial.unlink()
                answer.close()
                return self._receive(url)
            answer.raise_for_status()
            resumed = answer.status_code == 206 and answer.headers.get(
                "Content-Range", ""
            ).startswith(f"bytes {have}-")
            have = have if resumed else 0
            rest = answer.headers.get("Content-Length")
            total_size = have + int(rest) if rest else None
            with (
                self.partial.open("ab" if resumed else "wb") as file,
                _bar(self.target.name, have, total_size) as bar,
            ):
                for chunk in answer.iter_content(_CHUNK):
                    file.write(chunk)
                    bar.update(len(chunk))
        if total_size is not None and _size(self.partial) < total_size:
            raise requests.exceptions.ChunkedEncodingError(
                f"the connection ended after {_size(self.partial)} of {total_size} bytes"
            )

    def _advice(self, url: str, error: Exception) -> str:
        files = ", ".join(self.card.files.values())
        return (
            f"dataset {self.card.name!r} could not be downloaded from {url} ({_reason(error)}). "
            f"Without a network, put that file at {self.target}, or set the environment variable "
            f"SEQKIT_DATA to a folder that holds {files}"
        )


def _reason(error: Exception) -> str:
    answer = getattr(error, "response", None)
    if answer is not None:
        return f"HTTP {answer.status_code} {answer.reason}"
    cause = error.args[0] if error.args else error
    cause = getattr(cause, "reason", cause)
    return f"{type(error).__name__}: {str(cause)[:160]}"


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


class _NoBar:
    def __enter__(self) -> _NoBar:
        return self

    def __exit__(self, *exc: object) -> None:
        return None

    def update(self, n: int) -> None:
        return None


def _bar(name: str, done: int, total: int | None) -> Any:
    if not sys.stderr.isatty():
        return _NoBar()
    from tqdm import tqdm

    return tqdm(total=total, initial=done, unit="B", unit_scale=True, desc=name)
