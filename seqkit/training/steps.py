"""One step: the gradient of a batch's mean loss, clipped, and what the optimizer makes of it."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .distributed import Processes
from .optimizers import as_optimizer, clip_, gradient_norm, parameter_groups

if TYPE_CHECKING:
    from .trainer import Trainer

HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Steps:
    """First-order steps, one evaluation of the loss each.

    Attributes
    ----------
    norm : norm of the last gradient before clipping, where it was computed: to clip it, or on demand.
    converged : whether no further step would change anything.
    """

    def __init__(self, options: Trainer, task: Any, processes: Processes):
        rule = as_optimizer(options.optimizer)
        self.processes, self.limit, self.decay = processes, options.clip, options.weight_decay
        self.rate = rule.lr if options.lr is None else options.lr
        self.optimizer = rule.build(parameter_groups(task, options.weight_decay), self.rate)
        self.parameters = [p for p in task.parameters() if p.requires_grad]
        device = processes.device.type
        self.scaler = torch.amp.GradScaler(device, enabled=options.precision == "fp16")
        half = HALF.get(options.precision)
        self.cast: Any = torch.autocast(device, half) if half else nullcontext()
        self.loss = processes.loss(task, options.compile)
        self.norm: Tensor | None = None
        self.converged = False

    def take(self, batch: Any, factor: float, measure: bool) -> tuple[Tensor, Any]:
        """One step at ``factor`` times the learning rate; the sum of losses and the count, left on the device."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * factor
        with self.cast:
            total, count = self.loss(batch)
        count = self.processes.total(count)
        mean = total / positive(count)
        if self.processes.world > 1:
            mean = mean * self.processes.world  # gradients are averaged, and must be summed
        self.scaler.scale(mean).backward()
        self.norm = None
        if self.limit is not None or measure:
            self.scaler.unscale_(self.optimizer)
            gradients = [p.grad for p in self.parameters if p.grad is not None]
            limit = self.limit
            self.norm = gradient_norm(gradients) if limit is None else clip_(gradients, limit)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        for p in self.parameters:
            p.grad = None
        return total.detach(), count

    def state(self) -> dict[str, Any]:
        """All that the next steps depend on, besides the weights."""
        return {
            "optimizer": self.optimizer.state_dict()["state"],
            "scaler": self.scaler.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state["optimizer"], "param_groups": groups})
        self.scaler.load_state_dict(state["scaler"])


class SearchSteps(Steps):
    """Steps of an optimizer with a line search, which evaluates the loss of one batch as often as it likes."""

    def take(self, batch: Any, factor: float, measure: bool) -> tuple[Tensor, Any]:
        group = self.optimizer.param_groups[0]
        group["lr"] = self.rate * factor
        seen: list[tuple[Tensor, Any]] = []

        def closure() -> Tensor:
            total, count, objective = self._objective(batch)
            seen.append((total, count))
            return objective

        before = [p.detach().clone() for p in self.parameters]
        self.optimizer.step(closure)  # type: ignore[arg-type]
        self._objective(batch)  # the gradient at the point that was reached
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        self.norm = gradient_norm(gradients)
        flat = all(bool(g.abs().max() <= group["tolerance_grad"]) for g in gradients)
        still = all(torch.equal(a, b) for a, b in zip(before, self.parameters, strict=True))
        self.converged = flat or still
        return seen[0]

    def _objective(self, batch: Any) -> tuple[Tensor, Any, Tensor]:
        """Sum of losses, count, and  mean loss + decay |weights|^2 / 2  with its gradient in place."""
        self.optimizer.zero_grad()
        with self.cast:
            total, count = self.loss(batch)
        count = self.processes.total(count)
        (total / positive(count) * self.processes.world).backward()
        objective = self.processes.total(total.detach()) / positive(count)
        if self.decay:
            for p in self.parameters:
                if p.ndim >= 2 and p.grad is not None:
                    p.grad.add_(p.detach(), alpha=self.decay)
                    objective = objective + self.decay / 2 * p.detach().square().sum()
        return total.detach(), count, objective


def positive(count: Any) -> Any:
    """A count that can be divided by: a batch in which nothing is observed has no loss and no gradient."""
    if isinstance(count, Tensor):
        return count.clamp(min=1e-12) if count.is_floating_point() else count.clamp(min=1)
    return max(count, 1e-12)
