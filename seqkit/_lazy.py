"""Public names of a package that are imported when they are first used, so that importing the package loads little."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def lazily(
    package: str, homes: Mapping[str, Sequence[str]], rooms: Sequence[str] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a package.

    homes : public names by the module of the package that they live in. rooms : modules that are public themselves.

    >>> get, names = lazily("seqkit.data", {"vocabulary": ["Vocabulary"]})
    >>> get("Vocabulary").__name__, "Vocabulary" in names()
    ('Vocabulary', True)
    """
    home = {name: module for module, names in homes.items() for name in names}

    def get(name: str) -> Any:
        if name in home:
            value = getattr(importlib.import_module(f"{package}.{home[name]}"), name)
        elif name in rooms:
            value = importlib.import_module(f"{package}.{name}")
        else:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        setattr(sys.modules[package], name, value)
        return value

    return get, lambda: sorted({*home, *rooms})


def needs_torch() -> None:
    """Raises ModuleNotFoundError that says what to install, where torch is missing."""
    from importlib.util import find_spec

    if find_spec("torch") is None:
        raise ModuleNotFoundError(
            "networks need PyTorch, which is not installed: pip install 'seqkit[torch]'",
            name="torch",
        )
