"""Tasks: a core, a head, and how they are arranged in time; each knows its loss. Imported when first used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_PUBLIC = {
    "encoder_decoder": ["EncoderDecoder"],
    "one_to_one": ["OneToOne"],
    "forecasting": ["Layout", "WindowForecast"],
    "stateful": ["Chunks", "Stateful"],
    "recursive": ["RecursiveForecast"],
    "ragged": ["Examples", "Padded", "Ragged"],
    "windows": ["Rows", "WindowBatch", "Windows"],
}
_HOME = {name: module for module, names in _PUBLIC.items() for name in names}

if TYPE_CHECKING:
    from .encoder_decoder import EncoderDecoder
    from .forecasting import Layout, WindowForecast
    from .one_to_one import OneToOne
    from .ragged import Examples, Padded, Ragged
    from .recursive import RecursiveForecast
    from .stateful import Chunks, Stateful
    from .windows import Rows, WindowBatch, Windows

__all__ = [
    "Chunks",
    "EncoderDecoder",
    "Examples",
    "Layout",
    "OneToOne",
    "Padded",
    "Ragged",
    "RecursiveForecast",
    "Rows",
    "Stateful",
    "WindowBatch",
    "WindowForecast",
    "Windows",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
