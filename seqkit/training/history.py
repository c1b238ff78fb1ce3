"""What happened during training, one row an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from seqkit.persistence import Record, same

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("step", "epoch", "loss", "validation", "lr", "grad_norm", "seconds")


class History(Record):
    """The course of a training run: arrays with one number per evaluation.

    Attributes
    ----------
    step : steps taken (optimiser updates).
    epoch : passes over the data, whole or in part.
    loss : mean training loss since the evaluation before.
    validation : loss on the validation data, with averaged weights where there are; NaN without such data.
    lr : learning rate of the last step.
    grad_norm : norm of the last step's gradient, before clipping.
    seconds : since the beginning, over all parts of an interrupted run.
    stopped : why it ended: "steps", "patience", "callback", "converged" or "interrupted"; None while it runs.
    best_step : the step with the lowest validation loss (training loss without validation data).

    >>> history = History.of([(10, 1.0, 0.9, 1.1, 1e-3, 2.0, 0.1), (20, 2.0, 0.5, 0.8, 1e-3, 1.0, 0.2)], "steps")
    >>> history.best_step, history.frame["loss"].tolist()
    (20, [0.9, 0.5])
    """

    step: np.ndarray
    epoch: np.ndarray
    loss: np.ndarray
    validation: np.ndarray
    lr: np.ndarray
    grad_norm: np.ndarray
    seconds: np.ndarray

    def __init__(self, columns: dict[str, Any], stopped: str | None = None):
        for name in COLUMNS:
            kind = np.int64 if name == "step" else np.float64
            setattr(self, name, np.asarray(columns[name], dtype=kind))
        self.stopped = stopped

    @classmethod
    def of(cls, rows: Sequence[Sequence[float]], stopped: str | None = None) -> History:
        """From rows in the order of the columns."""
        table = np.array(rows, dtype=np.float64).reshape(-1, len(COLUMNS))
        return cls(dict(zip(COLUMNS, table.T, strict=True)), stopped)

    def __len__(self) -> int:
        return len(self.step)

    def __eq__(self, other: object) -> bool:
        """Whether two runs took the same course, however long they took."""
        if not isinstance(other, History):
            return NotImplemented
        mine, theirs = ({**vars(h), "seconds": None} for h in (self, other))
        return same(mine, theirs)

    @property
    def watched(self) -> np.ndarray:
        """The loss that early stopping goes by: that of the validation data where there are any."""
        return self.loss if np.isnan(self.validation).all() else self.validation

    @property
    def best_step(self) -> int | None:
        """The step with the lowest watched loss; None without an evaluation."""
        if np.isnan(self.watched).all():
            return None
        return int(self.step[np.nanargmin(self.watched)])

    @property
    def frame(self) -> pd.DataFrame:
        """All columns as a DataFrame."""
        import pandas as pd

        return pd.DataFrame({name: getattr(self, name) for name in COLUMNS})

    def plot(self, ax: Any = None) -> Any:
        """The losses over the steps, the best marked; see `seqkit.plotting.plot_history`."""
        from seqkit.plotting.training import plot_history

        return plot_history(self, ax=ax)

    def __repr__(self) -> str:
        if not len(self):
            return f"History(no evaluation, stopped={self.stopped!r})"
        best = self.best_step
        low = np.nanmin(self.watched) if best is not None else float("nan")
        return (
            f"History({len(self)} evaluations, {self.step[-1]} steps in {self.seconds[-1]:.1f} s, best "
            f"{low:.6g} at step {best}, stopped={self.stopped!r})"
        )
