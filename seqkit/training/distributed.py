"""Several processes that train one model, each on its share of every batch.

Under ``torchrun`` every process runs the same program. The batch of all processes together is parted by rank, and
the gradient is the sum of all sums of losses over the sum of all counts: exactly that of one process with the
whole batch, however uneven the shares.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


class Processes:
    """This process among all: ``rank`` of ``world``, and the ``device`` that is its own."""

    def __init__(self, device: str):
        self.rank = int(os.environ.get("RANK", "0"))
        self.world = int(os.environ.get("WORLD_SIZE", "1"))
        self.device = self._own_device(device)
        if self.world > 1 and not torch.distributed.is_initialized():
            backend = "nccl" if self.device.type == "cuda" else "gloo"
            torch.distributed.init_process_group(backend)
            atexit.register(_leave)

    def _own_device(self, device: str) -> torch.device:
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
        own = torch.device(wanted if device == "auto" else device)
        if own.type == "cuda" and own.index is None:
            own = torch.device(
                "cuda", int(os.environ.get("LOCAL_RANK", torch.cuda.current_device()))
            )
        return own

    @property
    def first(self) -> bool:
        """Whether this is the process that prints and writes."""
        return self.rank == 0

    def share(self, size: int) -> slice:
        """Which of ``size`` examples are this process's."""
        return slice(size * self.rank // self.world, size * (self.rank + 1) // self.world)

    def total(self, x: Any) -> Any:
        """The sum of `x` over all processes."""
        if self.world == 1:
            return x
        x = torch.as_tensor(x, device=self.device).clone()
        torch.distributed.all_reduce(x)
        return x

    def agree_(self, tensors: list[Tensor]) -> None:
        """Replace tensors by their means over all processes."""
        if self.world > 1:
            for x in tensors:
                torch.distributed.all_reduce(x)
                x /= self.world

    def loss(self, task: Any, compiled: bool) -> Callable[[Any], tuple[Tensor, Any]]:
        """``task.loss``, compiled on demand, whose gradients are means over the processes."""
        if self.world == 1:
            return torch.compile(task.loss) if compiled else task.loss
        module: Any = nn.parallel.DistributedDataParallel(
            _Loss(task),
            device_ids=[self.device.index] if self.device.type == "cuda" else None,
            static_graph=True,  # parameters that take no part are found once, not at every step
        )
        return torch.compile(module) if compiled else module


class _Loss(nn.Module):
    """A task whose forward pass is its loss, because that is the call which exchanges gradients."""

    def __init__(self, task: nn.Module):
        super().__init__()
        self.task = task

    def forward(self, batch: Any) -> tuple[Tensor, Tensor]:
        return self.task.loss(batch)  # type: ignore[operator]


def _leave() -> None:
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
