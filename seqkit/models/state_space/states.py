"""What filtering and smoothing return: the hidden states, on the caller's own index."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from seqkit.data.sequences import Array, Sequences
from seqkit.distributions import Normal
from seqkit.kernels import kalman
from seqkit.kernels.kalman import Filtered

if TYPE_CHECKING:
    from .base import Run

Labels = tuple[list[str], list[str]]


class States:
    """Hidden states given observations, in model units; rows are those of the caller.

    Attributes
    ----------
    mean, scale : DataFrames with a column per state: expected value and standard deviation.
    cov : (rows, n, n), covariances of the states.
    gain : (rows, n, m), Kalman gains P C'(C P C' + R)^-1, of what was observed of each row (filter only).
    innovations, standardised_innovations : DataFrames with a column per channel: y - E[y | past], in model units,
        and divided by their standard deviations; independent N(0, 1) if the model is right (filter only).
    log_likelihood : total over all rows, in model units (filter only).
    observed : DataFrame of what was observed, in model units.

    Where a state is still of infinite variance (a diffuse start), `scale` and `cov` are infinite on its diagonal.
    """

    def __init__(self, labels: Labels, data: Sequences, mean: Array, kind: str):
        self._labels, self._data, self._mean, self.kind = labels, data, mean, kind
        self._filters: list[tuple[Run, Filtered]] = []
        self._covs: list[Array] = []

    @classmethod
    def filtered(cls, labels: Labels, data: Sequences, parts: list[tuple[Run, Filtered]]) -> Self:
        made = cls(labels, data, np.concatenate([f.filtered_mean for _, f in parts]), "filtered")
        made._filters = parts
        return made

    @classmethod
    def smoothed(
        cls, labels: Labels, data: Sequences, parts: list[tuple[Run, Array, Array]]
    ) -> Self:
        made = cls(labels, data, np.concatenate([mean for _, mean, _ in parts]), "smoothed")
        made._covs = [cov for _, _, cov in parts]
        return made

    def _rows(self, values: Array) -> Array:
        """Per-row results of all sequences, without the rows that the caller did not give."""
        frame = self._data.restore(np.arange(len(values)))
        return values[frame.to_numpy()]

    @property
    def mean(self) -> pd.DataFrame:
        return self._data.restore(self._mean, self._labels[0])

    @cached_property
    def _cov(self) -> Array:
        covs = self._covs or [kalman.filtered_cov(run) for _, run in self._filters]
        return np.concatenate(covs)

    @property
    def cov(self) -> Array:
        return self._rows(self._cov)

    @property
    def scale(self) -> pd.DataFrame:
        variances = np.diagonal(self._cov, axis1=1, axis2=2)
        return self._data.restore(np.sqrt(np.maximum(variances, 0.0)), self._labels[0])

    def interval(self, level: float = 95) -> pd.DataFrame:
        """Central intervals of every state, columns (state, lo / hi); `level` in percent."""
        if not 0 < level < 100:
            raise ValueError(f"level must be a percentage between 0 and 100, got {level!r}")
        variances = np.diagonal(self._cov, axis1=1, axis2=2)
        law = Normal(self._mean, np.sqrt(np.maximum(variances, 0.0)))
        low, high = law.quantile([(100 - level) / 200, (100 + level) / 200])
        columns = pd.MultiIndex.from_product(
            [self._labels[0], ["lo", "hi"]], names=["state", "bound"]
        )
        both = np.stack([low, high], axis=2).reshape(len(low), -1)
        return self._data.restore(both, columns)

    # -- of a filter only ------------------------------------------------------------------------

    def _need_filter(self, name: str) -> list[tuple[Run, Filtered]]:
        if not self._filters:
            raise AttributeError(
                f"{name} belongs to a filter, these states are {self.kind}; use model.filter(x)"
            )
        return self._filters

    @property
    def gain(self) -> Array:
        parts = [kalman.gain(run.system, run.y, f) for run, f in self._need_filter("gain")]
        return self._rows(np.concatenate(parts))

    @property
    def innovations(self) -> pd.DataFrame:
        return self._data.restore(self._errors[0], self._labels[1])

    @property
    def standardised_innovations(self) -> pd.DataFrame:
        errors, scale = self._errors
        return self._data.restore(errors / scale, self._labels[1])

    @cached_property
    def _errors(self) -> tuple[Array, Array]:
        errors, scales = [], []
        for run, filtered in self._need_filter("innovations"):
            mean, var = kalman.observed(run.system, filtered)
            errors.append(run.y - mean)
            scales.append(np.sqrt(var))
        return np.concatenate(errors), np.concatenate(scales)

    @property
    def log_likelihood(self) -> float:
        return float(sum(f.log_likelihood for _, f in self._need_filter("log_likelihood")))

    @property
    def observed(self) -> pd.DataFrame:
        """What was observed, in model units, a column per channel."""
        return self._data.restore(self._data.values, self._labels[1])

    def plot(self, **options: Any) -> Any:
        """States with their bands; see `seqkit.plotting.plot_states`."""
        from seqkit.plotting import plot_states

        return plot_states(self, **options)

    def plot_gain(self, **options: Any) -> Any:
        """Gains over time; see `seqkit.plotting.plot_gain`."""
        from seqkit.plotting import plot_gain

        return plot_gain(self, **options)

    def plot_innovations(self, **options: Any) -> Any:
        """Diagnostics of the standardised innovations; see `seqkit.plotting.plot_innovations`."""
        from seqkit.plotting import plot_innovations

        return plot_innovations(self, **options)

    def __repr__(self) -> str:
        rows, n = self._mean.shape
        return f"States({self.kind}, {rows} rows, {n} states: {', '.join(self._labels[0][:6])})"
