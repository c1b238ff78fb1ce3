"""How a network is trained: all options in one object, and the call that uses them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral
from typing import Any

from seqkit.base import Model, check_count

from .averaging import Averaging
from .history import History
from .optimizers import as_optimizer
from .sampling import Sampler
from .schedules import as_schedule

PRECISIONS = ("float32", "float64", "bf16", "fp16")
SOME = 64  # examples that tell one set of data from another
EPOCHS = 100  # where neither epochs nor steps are given


@dataclass(eq=False, repr=False)
class Trainer(Model):
    """Gradient training of any task that has a loss: every step w <- rule(w, gradient of sum / count over a batch).

    Parameters
    ----------
    optimizer : "sgd", "momentum", "rmsprop", "adam", "adamw", "lbfgs" (all examples at once), or an object such as
        ``training.AdamW(betas=(0.9, 0.99))``.
    lr : learning rate; None for the optimizer's own (0.001; 0.01 for SGD; 1 for L-BFGS).
    schedule : how it changes: None or "constant", "step", "exponential", "inverse", "linear", "cosine",
        "cosine_restarts", "one_cycle", or an object such as ``training.CosineDecay(final=0.02)``.
    warmup : steps over which it rises from zero first (below 1: share of all steps).
    weight_decay : on weights only, not on biases, normalisation and initial states.
    clip : largest norm of the gradient; None for no limit.
    epochs, steps : how long; with both, whichever is shorter; with neither, 100 epochs. The stream of examples runs
        through all epochs, so that batches are of one size.
    batch_size : examples of a step (of one process); all of them where there are fewer.
    patience : evaluations without an improvement after which training stops and the best weights are restored. It
        watches the validation loss, and the training loss without validation data.
    evaluate_every : steps between evaluations; None for once per epoch.
    averaging : None, ``training.EMA(0.99)`` or ``training.SWA(0.75)``: evaluation and result use averaged weights.
    checkpoint : a folder. The run is saved there as it goes; the same call resumes an interrupted run exactly, and
        returns at once, with its weights, when the run is over.
    device : "auto" (an NVIDIA device where there is one), "cpu", "cuda", "cuda:1", ..
    precision : "float32", "float64", or "bf16" and "fp16": float32 weights with half-precision arithmetic.
    compile : whether the loss is compiled by ``torch.compile``.
    seed : of the order of examples and of dropout.
    sampler : a `Sampler`, such as ``training.Grouped(counts, power=-0.5)``; None for `Shuffle`.
    callbacks : objects with any of ``on_step(loop)``, ``on_evaluation(loop)``, ``on_end(loop)``, given the running
        `loop.Loop`; one that returns True ends the training. Under several processes each runs them all.
    progress : whether a bar is shown; None for only at a terminal.

    >>> Trainer(optimizer="sgd", lr=0.1)
    Trainer(optimizer='sgd', lr=0.1)
    """

    optimizer: Any = "adamw"
    lr: float | None = None
    schedule: Any = None
    warmup: float = 0
    weight_decay: float = 0.0
    clip: float | None = None
    epochs: int | None = None
    steps: int | None = None
    batch_size: int = 64
    patience: int | None = None
    evaluate_every: int | None = None
    averaging: Averaging | None = None
    checkpoint: Any = None
    device: str = "auto"
    precision: str = "float32"
    compile: bool = False
    seed: int = 0
    sampler: Sampler | None = None
    callbacks: tuple[Any, ...] = ()
    progress: bool | None = None

    def fit(self, task: Any, data: Any, validation: Any = None) -> History:
        """Train `task` in place and return the history; the task is left in eval mode, on the device.

        Parameters
        ----------
        task : a `torch.nn.Module` with ``loss(batch) -> (sum, count)``: the sum of losses over the observed targets
            of a batch, and their number (or the sum of their weights), as tensors.
        data : a tuple (inputs, targets) or (inputs, targets, mask) of arrays, a `TensorData`, or anything with
            ``len(data)``, ``data.to(device)`` and ``data.batch(index)``, index (batch,) on the device.
        validation : the same, watched but not learnt from. The evaluations' best weights are restored after early
            stopping (`patience`) and after Ctrl-C, which ends the training but not the program.

        Raises
        ------
        ValueError, TypeError : an option, the data or the task is not what it must be.
        FloatingPointError : the loss became NaN or infinite; says at which step and what the likely cause is.

        Under ``torchrun`` the same call trains with all processes: see `seqkit.training.distributed`.

        >>> import torch
        >>> class Line(torch.nn.Linear):
        ...     def loss(self, batch):
        ...         square = (self(batch.inputs) - batch.targets).square()
        ...         return square.sum(), square.numel()
        >>> x = torch.arange(8.0)[:, None]
        >>> line = Line(1, 1)
        >>> history = Trainer(optimizer="lbfgs", precision="float64").fit(line, (x, 2 * x + 1))
        >>> round(line.weight.item(), 6), round(line.bias.item(), 6), history.stopped
        (2.0, 1.0, 'converged')
        """
        self._check(task)
        from .loop import Loop

        return Loop(self, task, data, validation).run()

    def count_steps(self, n: int, batch: int) -> int:
        """Steps in all, for `n` examples in batches of `batch`."""
        epochs = EPOCHS if self.epochs is None and self.steps is None else self.epochs
        counts = [self.steps, None if epochs is None else -(-epochs * n // batch)]
        return min(count for count in counts if count is not None)

    def next_evaluation(self, step: int, steps: int, n: int, batch: int) -> int:
        """The step after which the next evaluation is due."""
        if self.evaluate_every is None:
            done = step * batch // n  # whole passes; the next one ends within the batch
            due = -(-(done + 1) * n // batch)
        else:
            due = (step // self.evaluate_every + 1) * self.evaluate_every
        return min(due, steps)

    def settings(self, loop: Any) -> dict[str, Any]:
        """What an interrupted run must have in common with its continuation."""
        from .checkpoint import fingerprint

        free = ("checkpoint", "device", "compile", "callbacks", "progress", "batch_size", "sampler")
        own = {k: repr(v) for k, v in self.get_params(deep=False).items() if k not in free}
        shapes = {name: list(p.shape) for name, p in loop.task.named_parameters()}
        return own | {
            "parameters": shapes,
            "examples": len(loop.data),
            "global batch": loop.batch,
            "validation examples": None if loop.validation is None else len(loop.validation),
            "first examples": [int(i) for i in loop.sampler.draw(0, 16)],
            "data": fingerprint(loop.data, loop.sampler.draw(0, SOME), loop.device),
            "task": repr(loop.task),
        }

    def _check(self, task: Any) -> None:
        if not hasattr(task, "loss") or not hasattr(task, "parameters"):
            raise TypeError(
                f"task must be a torch.nn.Module with loss(batch) -> (sum, count), got {type(task).__name__}"
            )
        as_optimizer(self.optimizer)
        as_schedule(self.schedule)
        check_count("batch_size", self.batch_size, 1)
        for name in ("epochs", "steps", "patience", "evaluate_every"):
            if getattr(self, name) is not None:
                check_count(name, getattr(self, name), 1)
        for name in ("lr", "clip"):
            value = getattr(self, name)
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise ValueError(f"{name} must be positive, got {value!r}")
        for name in ("warmup", "weight_decay"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)!r}")
        if isinstance(self.seed, bool) or not isinstance(self.seed, Integral):
            raise TypeError(f"seed must be a whole number, got {self.seed!r}")
        if not isinstance(self.callbacks, (tuple, list)):
            raise TypeError(f"callbacks must be a tuple of objects, got {self.callbacks!r}")
        if self.optimizer == "lbfgs" and self.clip is not None:
            raise ValueError("L-BFGS searches along its steps and clips nothing; leave clip out")
        if self.precision not in PRECISIONS:
            raise ValueError(
                f"precision must be one of {', '.join(PRECISIONS)}, got {self.precision!r}"
            )
        if self.averaging is not None and not isinstance(self.averaging, Averaging):
            raise TypeError(
                f"averaging must be None, training.EMA(..) or training.SWA(..), got {self.averaging!r}"
            )
        if self.sampler is not None and not (
            hasattr(self.sampler, "draw") and hasattr(self.sampler, "__len__")
        ):
            raise TypeError(
                f"sampler must be a training.Sampler such as Grouped(counts), got {self.sampler!r}"
            )


def fit(task: Any, data: Any, *, validation: Any = None, **options: Any) -> History:
    """Train `task` on `data` and return the history: ``Trainer(**options).fit(task, data, validation)``.

    The options are those of `Trainer`: optimizer, lr, schedule, warmup, weight_decay, clip, epochs, steps, batch_size,
    patience, evaluate_every, averaging, checkpoint, device, precision, compile, seed, sampler, callbacks, progress.

    >>> import torch
    >>> class Mean(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.level = torch.nn.Parameter(torch.zeros(()))
    ...     def loss(self, batch):
    ...         return (batch.targets - self.level).square().sum(), batch.targets.numel()
    >>> y = torch.tensor([1.0, 2.0, 6.0])
    >>> mean = Mean()
    >>> fit(mean, (y, y), optimizer="sgd", lr=0.5, epochs=3).stopped, mean.level.item()
    ('steps', 3.0)
    """
    strange = sorted(set(options) - set(Trainer._names()))
    if strange:
        raise TypeError(f"fit has no option {strange[0]!r}; it has {', '.join(Trainer._names())}")
    return Trainer(**options).fit(task, data, validation)
