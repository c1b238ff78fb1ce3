"""Models that are trained by gradients: the settings of their training."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from seqkit.base import Model

if TYPE_CHECKING:
    from seqkit.training import Trainer

SETTINGS = ("epochs", "steps", "batch_size", "lr", "clip", "patience", "device")


@dataclasses.dataclass(eq=False, repr=False)
class GradientTrained(Model):
    """What a model says of its training itself, before what its `seqkit.training.Trainer` says.

    Parameters
    ----------
    epochs, steps, batch_size, lr, clip, patience, device : those of the trainer, where given.
    seed : of all that is drawn, in place of that of `trainer`.
    trainer : a `seqkit.training.Trainer` with all its options.
    """

    epochs: int | None = dataclasses.field(default=None, kw_only=True)
    steps: int | None = dataclasses.field(default=None, kw_only=True)
    batch_size: int | None = dataclasses.field(default=None, kw_only=True)
    lr: float | None = dataclasses.field(default=None, kw_only=True)
    clip: float | None = dataclasses.field(default=None, kw_only=True)
    patience: int | None = dataclasses.field(default=None, kw_only=True)
    seed: int = dataclasses.field(default=0, kw_only=True)
    device: str | None = dataclasses.field(default=None, kw_only=True)
    trainer: Any = dataclasses.field(default=None, kw_only=True)

    _defaults: ClassVar[dict[str, Any]]  # options of the trainer where none is given

    def _trainer(self) -> Trainer:
        """The trainer, with the model's own settings in place of the trainer's where they are given."""
        from seqkit.training import Trainer

        if isinstance(self.seed, bool) or not isinstance(self.seed, (int, np.integer)):
            raise TypeError(f"seed must be a whole number, got {self.seed!r}")
        trainer = Trainer(**self._defaults) if self.trainer is None else self.trainer
        if not isinstance(trainer, Trainer):
            raise TypeError(f"trainer must be a seqkit.training.Trainer, got {trainer!r}")
        own = {name: getattr(self, name) for name in SETTINGS if getattr(self, name) is not None}
        if self.trainer is None and self.steps is not None and self.epochs is None:
            own["epochs"] = None
        return dataclasses.replace(trainer, **own, seed=self.seed)
