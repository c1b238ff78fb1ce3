"""The names of poolings over time, which need no torch."""

from __future__ import annotations

from typing import Literal

Pooling = Literal["last", "mean", "max", "attention"]
POOLINGS = ("last", "mean", "max", "attention")


def check_pooling(pooling: str) -> None:
    """Raises ValueError for a pooling that is not known."""
    if pooling not in POOLINGS:
        raise ValueError(f"pooling is {pooling!r}; choose one of {', '.join(map(repr, POOLINGS))}")
