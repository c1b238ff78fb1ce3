"""The one loop that trains every network.

It knows of a task only ``loss(batch) -> (sum, count)`` and of data only ``len``, ``to`` and ``batch(index)``. Numbers
stay on the device; they are read once per evaluation, or every CHUNK steps, and never step by step.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .averaging import Average
from .checkpoint import Checkpoint
from .data import as_data
from .distributed import Processes
from .failures import not_finite
from .history import History
from .optimizers import as_optimizer
from .progress import progress_bar
from .sampling import Shuffle, seed_of
from .schedules import as_schedule
from .steps import SearchSteps, Steps

if TYPE_CHECKING:
    from .trainer import Trainer

CHUNK = 256  # steps whose examples are chosen, and whose losses are read, at once; fewer where that is more than
MOST = 2**20  # examples


class Loop:
    """One training run. Callbacks are given this object.

    Attributes
    ----------
    task, data, validation : what is trained, on what, watched on what.
    step, steps : steps taken so far, and in all.
    history : the evaluations so far.
    stopped : why the run ends; a callback that sets it, or returns True, ends the run.
    """

    def __init__(self, options: Trainer, task: Any, data: Any, validation: Any = None):
        self.options, self.task, self.processes = options, task, Processes(options.device)
        self.device = self.processes.device
        self.dtype = torch.float64 if options.precision == "float64" else torch.float32
        task.to(self.device, self.dtype)
        self.data = self._moved(data, "data")
        self.validation: Any = None if validation is None else self._moved(validation, "validation")
        rule, n = as_optimizer(options.optimizer), len(self.data)
        self.batch = n if rule.full_batch else min(options.batch_size * self.processes.world, n)
        self.own = self.processes.share(self.batch)
        self.steps = options.count_steps(n, self.batch)
        self.sampler = Shuffle(n, options.seed) if options.sampler is None else options.sampler
        if len(self.sampler) != n:
            raise ValueError(f"sampler draws from {len(self.sampler)} examples, data has {n}")
        self.schedule = as_schedule(options.schedule, options.warmup)
        self.optimizer = (SearchSteps if rule.full_batch else Steps)(options, task, self.processes)
        self.average = Average(options.averaging, task, self.steps)
        self.best: dict[str, Tensor] | None = None
        self.step, self.seconds = 0, 0.0
        self.stopped: str | None = None
        self.rows: list[tuple[float, ...]] = []
        self.losses: list[
            tuple[float, float]
        ] = []  # (sum, count) of the steps since the last evaluation
        self.checkpoint = None
        if options.checkpoint is not None:
            self.checkpoint = Checkpoint(options.checkpoint, options.settings(self))
            self._restore(self.checkpoint.load())

    @property
    def history(self) -> History:
        return History.of(self.rows, self.stopped)

    def run(self) -> History:
        """Train until there is a reason to stop; the task is left with the weights to use, in eval mode."""
        if self.stopped is None:  # a run on disk may be over already
            devices = [self.device] if self.device.type == "cuda" else []
            shown = self.options.progress if self.processes.first else False
            with (
                torch.random.fork_rng(devices),  # nobody else's random numbers are changed
                progress_bar(shown, self.steps, self.step) as self.bar,
            ):
                self.began = time.perf_counter() - self.seconds
                try:
                    self._train()
                except KeyboardInterrupt:
                    self.stopped = "interrupted"
            self._finish()
        self.task.eval()
        return self.history

    def _train(self) -> None:
        self._seed()
        while self.stopped is None:
            due = self.options.next_evaluation(self.step, self.steps, len(self.data), self.batch)
            self._advance(min(due, self.step + min(CHUNK, MOST // self.batch + 1)))
            if self.step == due or self.stopped is not None:
                self._evaluate()
                self._seed()
                if self.checkpoint is not None and self.processes.first and self.stopped is None:
                    self.checkpoint.save(self._state(), self.step)

    def _advance(self, stop: int) -> None:
        """All steps up to `stop`: the only part that runs for every batch."""
        take, batch, factor = self.optimizer.take, self.data.batch, self.schedule.factor
        watchers = [c.on_step for c in self.options.callbacks if hasattr(c, "on_step")]
        averaged, first, losses = self.options.averaging is not None, self.step, []
        for chosen in self._choose(first, stop):
            losses.append(take(batch(chosen), factor(self.step, self.steps), self.step + 1 == stop))
            self.step += 1
            if averaged:
                self.average.update(self.step)
            if self.bar is not None:
                self.bar.update()
            for watcher in watchers:
                if watcher(self):
                    self.stopped = self.stopped or "callback"
            if self.optimizer.converged:
                self.stopped = "converged"
            if self.stopped is not None:
                break
        self._read(losses, first)

    def _choose(self, first: int, stop: int) -> tuple[Tensor, ...]:
        """This process's examples of the steps first .. stop - 1, already on the device."""
        if self.batch == len(self.data) and self.options.sampler is None:
            order = torch.arange(self.own.start, self.own.stop, device=self.device)
            return (order,) * (stop - first)  # all of them in every step: nothing to shuffle
        drawn = self.sampler.draw(first * self.batch, (stop - first) * self.batch)
        own = drawn.reshape(stop - first, self.batch)[:, self.own].copy()
        return torch.from_numpy(own).to(self.device, non_blocking=True).unbind(0)

    def _read(self, losses: list[tuple[Tensor, Any]], first: int) -> None:
        """Bring the losses of some steps back from the device and look whether they are numbers."""
        sums = self.processes.total(torch.stack([total for total, _ in losses]).double()).tolist()
        counts = torch.stack([torch.as_tensor(count) for _, count in losses]).tolist()
        for step, total in enumerate(sums, first):
            if not math.isfinite(total):
                self._fail("training loss", total, step + 1)
        norm = self.optimizer.norm
        self.norm = math.nan if norm is None else float(norm)
        skipped = self.options.precision == "fp16"  # leaves steps out whose gradient overflows
        if norm is not None and not math.isfinite(self.norm) and not skipped:
            self._fail("gradient", self.norm, self.step)
        self.losses += zip(sums, counts, strict=True)

    def _fail(self, what: str, value: float, step: int) -> None:
        recent = range(max(step - 1, 1), step + 1)  # the weights may be those of a bad batch before
        batches = {k: self.data.batch(self._choose(k - 1, k)[0]) for k in recent}
        before = self.rows[-1][2] if self.rows else None
        raise FloatingPointError(not_finite(what, value, step, batches, before))

    def _evaluate(self) -> None:
        """One row of the history: losses, the best weights, reasons to stop, callbacks."""
        sums, counts = zip(*self.losses, strict=True)
        loss, self.losses = sum(sums) / max(sum(counts), 1e-12), []
        self.processes.agree_([b for b in self.task.buffers() if b.is_floating_point()])
        with self.average.applied():
            value = math.nan if self.validation is None else self._validate()
            watched = loss if self.validation is None else value
            if watched < min(self._watched(), default=math.inf):
                self.best = {k: v.detach().clone() for k, v in self.task.state_dict().items()}
        self.seconds = time.perf_counter() - self.began
        passes = self.step * self.batch / len(self.data)
        lr = self.optimizer.rate * self.schedule.factor(self.step - 1, self.steps)
        self.rows.append((self.step, passes, loss, value, lr, self.norm, self.seconds))
        self.stopped = self.stopped or self._reason()
        if self.bar is not None:
            self.bar.set_postfix(loss=f"{watched:.4g}")
        for callback in self.options.callbacks:
            if hasattr(callback, "on_evaluation") and callback.on_evaluation(self):
                self.stopped = self.stopped or "callback"

    @torch.no_grad()
    def _validate(self) -> float:
        """Mean loss over the validation data, parted among the processes."""
        self.task.eval()
        own, rows = self.processes.share(len(self.validation)), max(self.options.batch_size, 512)
        sums = torch.zeros(2, dtype=torch.float64, device=self.device)
        with self.optimizer.cast:
            for chosen in torch.arange(own.start, own.stop, device=self.device).split(rows):
                if not len(chosen):  # fewer examples than processes
                    break
                total, count = self.task.loss(self.validation.batch(chosen))
                sums += torch.stack([total.double(), torch.as_tensor(count).to(sums)])
        total, count = self.processes.total(sums).tolist()
        if math.isnan(total):
            raise FloatingPointError(
                f"the validation loss is NaN after step {self.step}; look for missing or infinite values in "
                "the validation data, and for a scaling learnt from the training data that does not suit them"
            )
        return total / max(count, 1e-12)

    def _watched(self) -> list[float]:
        return [row[2] if self.validation is None else row[3] for row in self.rows]

    def _reason(self) -> str | None:
        """Why to stop after an evaluation."""
        watched, patience = self._watched(), self.options.patience
        if patience is not None and len(watched) - 1 - watched.index(min(watched)) >= patience:
            return "patience"
        return "steps" if self.step >= self.steps else None

    def _finish(self) -> None:
        """Leave the weights to use: with early stopping the best ones, else their average or the last."""
        early = self.options.patience is not None or self.stopped == "interrupted"
        if self.best is not None and early:
            self.task.load_state_dict(self.best)
        else:
            self.average.apply()
        for callback in self.options.callbacks:
            if hasattr(callback, "on_end"):
                callback.on_end(self)
        if self.checkpoint is not None and self.processes.first and self.stopped != "interrupted":
            self.checkpoint.save(self._state(), self.step, now=True)

    def _seed(self) -> None:
        """Random numbers (dropout) are, like the examples, a function of the position: nothing to save."""
        self.task.train()
        seed = seed_of(self.options.seed, self.step, self.processes.rank)
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            with torch.cuda.device(self.device):
                torch.cuda.manual_seed(seed)

    def _state(self) -> dict[str, Any]:
        """All that the rest of the run depends on; of a run that is over, its result."""
        result = {
            "task": self.task.state_dict(),
            "rows": self.rows,
            "step": self.step,
            "stopped": self.stopped,
        }
        if self.stopped is not None:
            return result
        state = {"average": self.average.values, "best": self.best}
        return result | state | self.optimizer.state()

    def _restore(self, state: dict[str, Any] | None) -> None:
        if state is None:
            return
        self.task.load_state_dict(state["task"])
        self.step, self.stopped = state["step"], state["stopped"]
        self.rows = [tuple(row) for row in state["rows"]]
        self.seconds = self.rows[-1][-1]
        if self.stopped is None:
            self.optimizer.restore(state)
            self.average.load(state["average"])
            self.best = state["best"]  # stays where it is until it is needed

    def _moved(self, given: Any, name: str) -> Any:
        data = as_data(given, name)
        if getattr(data, "takes_dtype", False):
            return data.to(self.device, self.dtype)
        return data.to(self.device)
