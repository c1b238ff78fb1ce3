"""What all networks of labelled sequences share: how they are trained, kept, and asked in batches."""

from __future__ import annotations

import dataclasses
import warnings
from abc import abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from seqkit.base import ConvergenceWarning, NotFittedError
from seqkit.data.sequences import Array
from seqkit.models.gradient import GradientTrained
from seqkit.persistence import Record

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from seqkit.tasks.ragged import Examples
    from seqkit.training import History

DEFAULTS: dict[str, Any] = {
    "lr": 2e-3, "schedule": "cosine", "warmup": 0.05, "clip": 5.0, "batch_size": 32, "epochs": 20, "weight_decay": 1e-4,
}  # fmt: skip
TOKENS = 16384  # steps of all sequences of a batch, padding counted, when a network is asked
SEQUENCES = 512  # and sequences


class Summary(Record):
    """What a network remembers of its data for messages."""

    def __init__(self, lengths: Array, what: str = ""):
        self.sequences, self.shortest, self.longest = (
            len(lengths),
            int(lengths.min()),
            int(lengths.max()),
        )
        self.steps, self.what = int(lengths.sum()), what

    def describe(self) -> str:
        steps = (
            f"{self.shortest} to {self.longest}"
            if self.shortest < self.longest
            else f"{self.longest}"
        )
        return f"fitted to {self.sequences:,} sequences of {steps} steps{self.what}"


class Trained(Record):
    """A trained network as arrays by name, how it was trained, and the steps of a pass through its data."""

    def __init__(self, weights: dict[str, Array], history: History, steps: int):
        self.weights, self.history, self.steps = weights, history, steps


@dataclasses.dataclass(eq=False, repr=False)
class SequenceNetwork(GradientTrained):
    """A network from whole sequences to labels, tags or other sequences, trained by gradients.

    A family declares its own fields first, and implements `_build`, which makes the untrained torch module from
    hyper-parameters and from what `fit` learnt of the data (vocabularies, labels).

    Parameters
    ----------
    epochs, steps, batch_size, lr, clip, patience, device, trainer : see `GradientTrained`.
    holdout : with `patience` and no `validation=` in `fit`, the share of the sequences that is not learnt from but
        tells when to stop.
    seed : of the first weights, the order of the sequences, dropout and what is held out.
    """

    holdout: float = dataclasses.field(default=0.1, kw_only=True)

    _defaults: ClassVar[dict[str, Any]] = DEFAULTS

    # -- what a family says ----------------------------------------------------------------------

    @abstractmethod
    def _build(self) -> torch.nn.Module:
        """The untrained network, with ``loss(batch)`` of a batch of its `Examples`."""

    # -- what was learnt -------------------------------------------------------------------------

    @property
    def history_(self) -> pd.DataFrame:
        """Losses, learning rates and seconds, one row an evaluation."""
        return self._fitted().history.frame

    @property
    def tokens_per_second_(self) -> float:
        """Steps of sequences that training went through in a second."""
        network, frame = self._fitted(), self.history_
        return float(frame["epoch"].iloc[-1] * network.steps / max(frame["seconds"].iloc[-1], 1e-9))

    def plot_history(self, ax: Any = None) -> Any:
        """The losses over the steps, the best one marked."""
        return self._fitted().history.plot(ax)

    @property
    def interrupted_(self) -> bool:
        """Whether Ctrl-C ended the training before its time."""
        return self._fitted().history.stopped == "interrupted"

    # -- training --------------------------------------------------------------------------------

    def _forget(self) -> None:
        """Begin a fit: one that fails leaves an unfitted model, not old weights beside new vocabularies."""
        for name in ("_header", "_network"):
            vars(self).pop(name, None)

    def _train(
        self,
        data: Examples,
        lengths: Array,
        validation: Examples | None = None,
        what: str = "",
        member: int = 0,
        folder: str = "",
    ) -> None:
        """Learn from examples of these lengths; `what` is what messages say after the lengths.

        Each `member` of an ensemble has a seed of its own, and a folder of its own in that of the checkpoints, as any
        other training has that is not the first of a fit, by the name of `folder`.
        """
        import torch

        from seqkit.training import Bucketed

        trainer = self._trainer()
        folder = f"member-{member}" if member else folder
        if folder:
            kept = None if trainer.checkpoint is None else f"{trainer.checkpoint}/{folder}"
            trainer = dataclasses.replace(trainer, seed=trainer.seed + member, checkpoint=kept)
        self._header = Summary(lengths, what)
        if trainer.patience and validation is None:
            data, lengths, validation = self._part(data, lengths)
        if trainer.sampler is None:
            batch = min(trainer.batch_size, len(data))
            trainer = dataclasses.replace(
                trainer, sampler=Bucketed(lengths, batch, seed=trainer.seed)
            )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(trainer.seed)
            task = self._build()
        history = trainer.fit(task, data, validation=validation)
        self._keep(task, history, int(lengths.sum()))

    def _keep(self, task: torch.nn.Module, history: History, steps: int) -> None:
        """The weights of a trained network as arrays; `steps` are those of a pass through the data."""
        weights = {name: w.detach().cpu().numpy() for name, w in task.state_dict().items()}
        self._network = Trained(weights, history, steps)
        if history.stopped == "interrupted":
            warnings.warn(
                "training was interrupted; the model holds the best weights so far",
                ConvergenceWarning,
                stacklevel=4,
            )

    def _part(self, data: Examples, lengths: Array) -> tuple[Examples, Array, Examples]:
        """What is learnt from, its lengths, and what is held out."""
        import torch

        held = round(self.holdout * len(data))
        if not 0 < held < len(data):
            raise ValueError(
                f"patience= needs sequences to validate on, but holdout={self.holdout!r} of {len(data)} are {held}; "
                "raise holdout=, give validation= to fit, or leave patience out"
            )
        order = np.random.default_rng(self.seed).permutation(len(data))
        kept, out = np.sort(order[held:]), np.sort(order[:held])
        learnt, watched = (data.select(torch.from_numpy(part)) for part in (kept, out))
        return learnt, lengths[kept], watched

    # -- answering -------------------------------------------------------------------------------

    def _fitted(self) -> Trained:
        if "_network" not in vars(self):
            raise NotFittedError(f"this {type(self).__name__} is not fitted; call fit first")
        return self._network

    def _task(self) -> Any:
        """The trained network on its device, in evaluation mode; made without drawing first weights."""
        import torch

        from seqkit.training.distributed import Processes

        network = self._fitted()
        device = Processes(self._trainer().device).device
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            task = self._build()
        weights = {name: torch.from_numpy(w).to(device) for name, w in network.weights.items()}
        task.load_state_dict(weights, assign=True)
        return task.eval()

    def _asked(self, task: Any, data: Examples, lengths: Array) -> Iterator[tuple[Array, Any]]:
        """Numbers of examples, and the batch of them on the device of the task, those of like length together."""
        import torch

        weight = next(task.parameters())
        device, data = weight.device, data.to(weight.device, weight.dtype)
        for numbers in batches(lengths):
            yield numbers, data.batch(torch.from_numpy(numbers).to(device))


def batches(lengths: Array, tokens: int = TOKENS, sequences: int = SEQUENCES) -> Iterator[Array]:
    """Numbers of sequences of like length, as many at once as stay within `tokens` steps, padding counted.

    >>> [part.tolist() for part in batches(np.array([3, 9, 2]), tokens=9)]
    [[2, 0], [1]]
    """
    order = np.argsort(lengths, kind="stable")
    start = 0
    while start < len(order):
        stop = start + 1
        while stop < min(start + sequences, len(order)):
            if (stop + 1 - start) * int(lengths[order[stop]]) > tokens:
                break
            stop += 1
        yield order[start:stop]
        start = stop
