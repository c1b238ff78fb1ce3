"""A progress bar that is quiet where nobody looks."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from typing import Any


def progress_bar(shown: bool | None, steps: int, done: int) -> Any:
    """A context with a tqdm bar over steps; with None where ``shown`` is False, or None off a terminal."""
    if shown is False or (shown is None and not sys.stderr.isatty()):
        return nullcontext()
    from tqdm import tqdm

    return tqdm(total=steps, initial=done, desc="training", unit="step", dynamic_ncols=True)
