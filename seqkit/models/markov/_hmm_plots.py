"""Pictures of hidden Markov models, as methods; the drawing is in `seqkit.plotting`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from seqkit.distributions import Categorical

from ._hmm_durations import SemiMarkovChain


class Pictures:
    """What can be drawn of a fitted model."""

    def plot_states(self: Any, x: Any = None, *, covariates: Any = None, **options: Any) -> Any:
        """The series coloured by its most probable states; see `plotting.plot_state_series`."""
        from seqkit.plotting import plot_state_series

        path = self.decode(x, covariates=covariates)
        options.setdefault("probabilities", self.decode_proba(x, covariates=covariates))
        data, _ = self._read(x, covariates)
        emission, codes = self._parameters.emission, data.values
        if isinstance(emission, Categorical):
            return plot_state_series(data.restore(codes[:, 0], name="symbol"), path, **options)
        columns = [f"y{i}" if c is None else c for i, c in enumerate(self._fitted().columns)]
        try:
            means = np.stack([np.ravel(emission.law(k).mean) for k in range(len(self._axis()))])
            options.setdefault("means", pd.DataFrame(means, index=self._axis(), columns=columns))
        except (NotImplementedError, AttributeError, TypeError):
            pass  # a law that depends on more than the state
        return plot_state_series(data.restore(codes, columns), path, **options)

    def plot_trellis(self: Any, x: Any = None, **options: Any) -> Any:
        """States over time with the winning path, for up to 40 steps; see `plotting.plot_trellis`."""
        from seqkit.plotting import plot_trellis

        options.setdefault("transition", self.transition_)
        if isinstance(x, (list, tuple)) and x and isinstance(x[0], str):
            options.setdefault("observations", list(x))
        return plot_trellis(self.filter(x), self.decode(x), **options)

    def plot_transitions(self: Any, **options: Any) -> Any:
        """The graph of the states; see `plotting.plot_transitions`."""
        from seqkit.plotting import plot_transitions

        return plot_transitions(self.transition_, **options)

    def plot_emissions(self: Any, x: Any = None, *, channel: int = 0, **options: Any) -> Any:
        """What every state emits over a histogram of the data; see `plotting.plot_emissions`."""
        from seqkit.plotting import plot_emissions

        emission, names = self.emission_, self._names_of_states
        if isinstance(emission, Categorical):
            symbols = emission.labels or range(emission.probabilities.shape[1])
            return plot_emissions(
                pd.DataFrame(emission.probabilities, index=names, columns=list(symbols)), **options
            )
        laws = {name: emission.law(k) for k, name in enumerate(names)}
        data = None
        if x is not None or "_data" in vars(self):
            read, _ = self._read(x, None)
            data = read.values[:, channel]
            options.setdefault("weights", self.decode_proba(x).mean().to_numpy())
        return plot_emissions(laws, data, channel=channel, **options)

    def plot_durations(self: Any, x: Any = None, **options: Any) -> Any:
        """How long states last, beside what the model assumes; see `plotting.plot_durations`."""
        from seqkit.plotting import plot_durations

        hidden, names = self._fitted_parameters().chain, self._names_of_states
        if isinstance(hidden, SemiMarkovChain):
            options.setdefault("laws", dict(zip(names, hidden.durations, strict=True)))
        else:
            options.setdefault("stay", dict(zip(names, np.diag(hidden.transition), strict=True)))
        return plot_durations(self.decode(x), **options)
