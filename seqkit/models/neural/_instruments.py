"""Looking into a fitted recurrent forecaster: its states, its gates, and how far back its gradients reach."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    import torch

LAGS = 200  # as far back as gradients are followed unless asked for more


class Instruments:
    """What a recurrent forecaster shows of itself while it reads the last window of a series.

    A step of the core is a row of the series, or a patch of rows, which stands under its last one. Of an ensemble the
    first network is looked at. Where channels are series of their own, the first is.
    """

    def hidden_states(
        self, x: Any, *, series: Hashable = None, covariates: Any = None
    ) -> pd.DataFrame:
        """The states after every step: columns (layer, state, unit), a state being "hidden" or an LSTM's "cell".

        Parameters
        ----------
        x : one series or several, as for `fit`.
        series : the key of the one to look at where there are several.
        covariates : as for `score`.

        Raises ValueError for several series and none picked, KeyError for one that is not there.
        """
        from seqkit.nn import instruments

        core, inputs, index = self._read(x, series, covariates)
        return instruments.hidden_states(core, inputs, index)

    def gates(self, x: Any, *, series: Hashable = None, covariates: Any = None) -> pd.DataFrame:
        """What the gates say at every step: columns (layer, gate, unit); the rest is as for `hidden_states`."""
        from seqkit.nn import instruments

        core, inputs, index = self._read(x, series, covariates)
        return instruments.gates(core, inputs, index)

    def gradient_flow(
        self, x: Any, *, lags: int | None = None, series: Hashable = None, covariates: Any = None
    ) -> pd.DataFrame:
        """Sizes of the gradients that reach back from the end of the window, a row for each lag (steps of the core).

        "largest" and "typical" are sizes of ds_T / ds_{T-k}, the product of k Jacobians of the state; "input" that of
        dh_T / dx_{T-k} (see `seqkit.nn.instruments`). `lags` is None for the whole window, but at most 200 steps.
        """
        from seqkit.nn import instruments

        core, inputs, _ = self._read(x, series, covariates)
        most = inputs.shape[1] - 1
        return instruments.gradient_flow(core, inputs, min(most, LAGS) if lags is None else lags)

    def _read(
        self: Any, x: Any, key: Hashable, covariates: Any
    ) -> tuple[Any, torch.Tensor, pd.Index]:
        """The core of the first network, what it reads of the last window (1, time, inputs), and the rows' index."""
        import torch

        data = self._intake(x, "x", self._fitted())
        which = _position(data, key)
        positions = self._positions(data, self._fitted(), "x")
        scaled = data.with_values(self._scaling.align(positions).transform(data))
        inputs = self._inputs(covariates, data.calendars, data.keys, data.single)
        copies = self._encoding.copies
        ahead = 1 if self.mode == "recursive" else self._sizes.horizon
        windows, fitted = self._replay(scaled, inputs, positions, ahead, extra=ahead)
        number = int(np.cumsum(windows.counts)[which * copies]) - 1
        if not windows.counts[which * copies]:
            raise ValueError("x has no observed value to begin with; give a longer x")
        make, _ = self._tasks(0, self._head())[self._groups(fitted)[which * copies]]
        task = make()
        read: list[torch.Tensor] = []
        with (
            torch.no_grad(),
            task.core.register_forward_pre_hook(lambda _, given: read.append(given[0])),
        ):
            batch = windows.batch(torch.tensor([number]))
            device = task.readout.weight.device
            task(type(batch)._make(None if part is None else part.to(device) for part in batch))
        ends = _ends(read[0].shape[1], int(data.lengths[which]), self._layout(), self)
        return task.core, read[0], data.calendars[which].index[ends]


def _position(data: Any, key: Hashable) -> int:
    """Which of the sequences is looked at."""
    keys = list(data.keys)
    if key is None and len(data) == 1:
        return 0
    if key is None:
        raise ValueError(f"there are {len(data)} series; pick one, e.g. series={keys[0]!r}")
    if key not in keys:
        more = ", ..." if len(keys) > 5 else ""
        raise KeyError(f"no series {key!r}; there are {', '.join(map(repr, keys[:5]))}{more}")
    return keys.index(key)


def _ends(steps: int, length: int, layout: Any, model: Any) -> Any:
    """The row of the series that each step of the core ends on; rows before the first stand for padding."""
    patch = 1 if model.mode == "recursive" else model._rows_per_step(layout)
    return np.maximum(length - 1 - patch * np.arange(steps)[::-1], 0)
