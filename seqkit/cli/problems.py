"""How the command line tells what went wrong: one line on stderr and an exit code."""

from __future__ import annotations

import difflib
import sys
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# What messages of the library say to someone who writes Python, and its equal on the command line.
_SPOKEN = {
    "pass frequency= to seqkit.Sequences": "pass --frequency",
    "see seqkit.datasets.list()": "`seqkit datasets` lists them",
}


class Problem(Exception):
    """The work could not be done."""

    code = 1


class UsageProblem(Problem):
    """What was asked for makes no sense: a name, a value, a file."""

    code = 2


@contextmanager
def as_usage(context: str = "") -> Iterator[None]:
    """Errors of the library inside this block are errors of what was asked for."""
    try:
        yield
    except (ValueError, TypeError) as error:
        raise UsageProblem(f"{context}{error}") from error


def unknown(kind: str, name: str, known: Iterable[str], place: str = "") -> UsageProblem:
    """No such name, with those that are near and those that exist.

    >>> str(unknown("model", "arr", ["ar", "ets"]))
    "no model 'arr'; did you mean 'ar'? known: ar, ets"
    """
    names = list(known)
    near = difflib.get_close_matches(name.lower(), names, n=2, cutoff=0.6)
    hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
    return UsageProblem(
        f"no {kind} {name!r}{place and f' in {place}'}; {hint}known: {', '.join(names)}"
    )


def check_target(option: str, path: str, *, folder: bool = False) -> None:
    """That something can be written to `path`, before the work; leaves nothing behind.

    Raises UsageProblem where it cannot.
    """
    target = Path(path)
    if not path or path == "-":
        return
    if target.exists() and target.is_dir() != folder:
        found, expected = ("file", "folder") if folder else ("folder", "file")
        raise UsageProblem(f"{option} {path} is a {found}; give the path of a {expected}")
    above = target if folder else target.parent
    while not above.exists() and above != above.parent:
        above = above.parent
    if not above.is_dir():
        raise UsageProblem(f"{option} {path} cannot be written: {above} is a file, not a folder")
    try:
        if target.is_file():
            target.open("ab").close()
        else:  # permissions do not tell all: a file system may be read-only, or made by the kernel
            tempfile.TemporaryFile(dir=above).close()
    except OSError as error:
        raise UsageProblem(
            f"{option} {path} cannot be written: no new file in {above} ({error.strerror})"
            if not target.is_file()
            else f"{option} {path} cannot be written ({error.strerror})"
        ) from error


def plain(error: BaseException) -> str:
    """The message in one line, in the words of the command line."""
    text = " ".join(str(error).split()) or type(error).__name__
    for said, spoken in _SPOKEN.items():
        text = text.replace(said, spoken)
    if isinstance(error, (Problem, ValueError, TypeError, OSError, RuntimeError, ImportError)):
        return text
    return f"{type(error).__name__}: {text} (--traceback shows where)"


def note(text: str) -> None:
    """Something to know that is not the result."""
    print(f"note: {text}", file=sys.stderr)


def show_warning(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
    """A warning in one line, instead of Python's two with a file name."""
    print(f"warning: {' '.join(str(message).split())}", file=sys.stderr)


@contextmanager
def spoken_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.showwarning = show_warning
        yield
