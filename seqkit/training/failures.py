"""What a loss that is no number has to say."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import torch


def not_finite(
    what: str, value: float, step: int, batches: dict[int, Any], before: float | None
) -> str:
    """The message for a loss or gradient of NaN or infinity: where it happened and what the likely cause is.

    Parameters
    ----------
    what : what is not finite: "training loss", say.
    value : its value, NaN or infinite.
    step : at which step it was seen.
    batches : the examples of that step and of steps before it, whose gradients made the weights.
    before : mean loss at the last evaluation; None before the first.
    """
    shown = "NaN" if math.isnan(value) else "infinite"
    held = {
        k: [
            n for n, x in named_tensors(b) if not torch.isfinite(x).all()
        ]  # whole numbers always are
        for k, b in batches.items()
    }
    first = min((k for k, names in held.items() if names), default=None)
    if first is not None:
        names = " and ".join(held[first])
        cause = (
            f"the batch of step {first} holds NaN or infinite values in {names}; clean or mask them, and "
            "look for a scaling that divides by zero or takes the log of zero"
        )
    elif step == 1:
        cause = (
            "the very first weights give it, so look for a log of zero or a target outside the head's support "
            "(a negative count, say), or for inputs of enormous size: scale them"
        )
    else:
        last = "" if before is None else f" (mean loss at the last evaluation: {before:.4g})"
        cause = (
            f"the training diverged{last}; lower the learning rate (lr=), clip gradients (clip=1.0), "
            "warm up (warmup=), or scale targets of enormous size"
        )
    return f"the {what} is {shown} at step {step}: {cause}"


def named_tensors(batch: Any, name: str = "batch") -> list[tuple[str, torch.Tensor]]:
    """All tensors of a batch by name, also those of the parts of its parts."""
    if isinstance(batch, torch.Tensor):
        return [(name, batch)]
    parts: dict[Any, Any]
    if dataclasses.is_dataclass(batch):
        parts = {f.name: getattr(batch, f.name) for f in dataclasses.fields(batch)}
    elif hasattr(batch, "_asdict"):
        parts = batch._asdict()
    elif isinstance(batch, (list, tuple)):
        parts = dict(enumerate(batch))
    else:
        parts = batch if isinstance(batch, dict) else getattr(batch, "__dict__", {})
    return [one for key, part in parts.items() for one in named_tensors(part, f"{name}.{key}")]
