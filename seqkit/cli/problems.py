"""How the command line tells what went wrong: one line on stderr and an exit code."""

from __future__ import annotations

import difflib
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
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
