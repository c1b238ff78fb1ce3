"""The verbs of a fitted hidden Markov model: decode, filter, forecast, score."""

from __future__ import annotations

import dataclasses
from typing import Any, Self

import numpy as np
import pandas as pd

from seqkit.base import Forecaster, Header, NotFittedError, align_covariates, check_count
from seqkit.data.scaling import Identity
from seqkit.data.sequences import Array, Sequences, join_index
from seqkit.distributions import (
    Categorical,
    Distribution,
    Emission,
    Empirical,
    Joined,
    LinearAutoregression,
    LinearRegression,
    Mixture,
    Normal,
    PathMixture,
    Product,
    Rows,
)
from seqkit.kernels import chain
from seqkit.models.given import GivenHeader
from seqkit.persistence import Record

from ._hmm_chain import HiddenChain
from ._hmm_data import Symbols, allowed_by, coded, is_text, known_states
from ._hmm_fit import Evidence, Parameters
from ._hmm_plots import Pictures
from ._hmm_simulate import simulate
from ._hmm_softmax import SoftmaxChain

STRETCH = 262_144  # densities that are held at once where only their sum is asked for


class End(Record):
    """What is known of the state at the last step of a sequence, and what the next step's law needs of the past."""

    def __init__(self, law: Array, rows: int, past: Array | None = None):
        self.law, self.rows, self.past = law, rows, past


@dataclasses.dataclass(eq=False, repr=False)
class HiddenMarkov(Pictures, Forecaster):
    """What every model with `_parameters`, a hidden chain and what its states emit, can be asked."""

    def _fitted_parameters(self) -> Parameters:
        self._fitted()
        return self._parameters

    def _axis(self) -> pd.Index:
        return pd.Index(self._names_of_states, name="state", tupleize_cols=False)

    # -- hidden states ---------------------------------------------------------------------------

    def decode(
        self, x: Any = None, *, covariates: Any = None, known: Any = None, forbidden: Any = None
    ) -> pd.Series:
        """The most probable path of states (Viterbi), by name, on the index of `x`; of the data of the fit for None.

        Parameters
        ----------
        known : states that some steps are known to have, in the shape of `x`, None or NaN elsewhere.
        forbidden : DataFrame (or array) of bool, steps x states: True where a state is ruled out.
        """
        data, evidence = self._read(x, covariates, known, forbidden)
        path = self._parameters.chain.viterbi(*evidence.steps(self._parameters.emission))
        return self._named(data, path.states)

    def decode_k_best(
        self, x: Any = None, k: int = 5, *, covariates: Any = None
    ) -> tuple[pd.DataFrame, pd.Series]:
        """The `k` most probable paths of one sequence: a column each, best first, and their log joint densities."""
        check_count("k", k, 1)
        data, evidence = self._read(x, covariates)
        self._one(data, "decode_k_best")
        logs, index = evidence.potentials(self._parameters.emission)
        paths, scores = self._parameters.chain.k_best(logs, index, k, evidence.inputs)
        if not len(scores):
            self._possible(data, np.array([-np.inf]))
        frame = data.restore(np.asarray(self._names_of_states, dtype=object)[paths.T])
        return frame, pd.Series(scores, name="log_density")

    def decode_proba(
        self, x: Any = None, *, covariates: Any = None, known: Any = None, forbidden: Any = None
    ) -> pd.DataFrame:
        """P(state | all of `x`), a column per state (forward-backward; Rabiner 1989, eq. 27)."""
        data, evidence = self._read(x, covariates, known, forbidden)
        found = self._parameters.chain.marginals(*evidence.steps(self._parameters.emission))
        self._possible(data, found.log_partition)
        return data.restore(found.probabilities, self._names_of_states)

    def filter(self, x: Any = None, *, covariates: Any = None) -> pd.DataFrame:
        """P(state | `x` up to that step), a column per state."""
        data, evidence = self._read(x, covariates)
        found = self._filtered(evidence)
        self._possible(data, found.log_partition)
        return data.restore(found.probabilities, self._names_of_states)

    def smooth(
        self, x: Any = None, *, covariates: Any = None, lag: int | None = None
    ) -> pd.DataFrame:
        """P(state | all of `x`), or with `lag` given `x` up to `lag` steps later (fixed-lag smoothing)."""
        if lag is None:
            return self.decode_proba(x, covariates=covariates)
        check_count("lag", lag, 0)
        data, evidence = self._read(x, covariates)
        found = self._filtered(evidence)
        self._possible(data, found.log_partition)
        steps = evidence.steps(self._parameters.emission)
        smoothed = self._parameters.chain.smooth_lag(*steps, lag)
        return data.restore(smoothed, self._names_of_states)

    def sample_states(
        self, n: int = 1, x: Any = None, *, covariates: Any = None, seed: int = 0
    ) -> pd.DataFrame:
        """`n` paths drawn from P(states | all of `x`), a column each (Carter & Kohn 1994)."""
        check_count("n", n, 1)
        data, evidence = self._read(x, covariates)
        steps = evidence.steps(self._parameters.emission)
        paths = self._parameters.chain.sample_paths(*steps, n, np.random.default_rng(seed))
        return data.restore(np.asarray(self._names_of_states, dtype=object)[paths.T])

    def _named(self, data: Sequences, states: Array) -> pd.Series:
        """States by name on the caller's index."""
        if self._names_of_states == list(range(len(self._names_of_states))):
            return data.restore(states, name="state")
        return data.restore(np.asarray(self._names_of_states, dtype=object)[states], name="state")

    def _one(self, data: Sequences, verb: str) -> None:
        if len(data) > 1:
            raise ValueError(
                f"{verb} takes one sequence, got a panel of {len(data)}; take them in turn"
            )

    def _possible(self, data: Sequences, log_z: Array) -> None:
        bad = np.flatnonzero(np.isneginf(log_z))
        if len(bad):
            raise ValueError(
                f"{data.label(int(bad[0]))} is impossible under this model: no path of states gives it a probability "
                "above 0; see transitions of 0, forbidden states, and symbols of probability 0"
            )

    # -- likelihood ------------------------------------------------------------------------------

    def log_likelihood(self, x: Any, *, covariates: Any = None) -> float:
        """Total log density of `x` in nats, in the units of `x`, joint over channels; -inf where `x` is impossible."""
        _data, log_z = self._log_densities(x, covariates)
        return float(log_z.sum())

    def log_likelihoods(self, x: Any, *, covariates: Any = None) -> pd.Series:
        """The log density of every sequence of `x`, joint over its channels."""
        data, log_z = self._log_densities(x, covariates)
        return pd.Series(log_z, index=list(data.keys), name="log_likelihood")

    def _log_densities(self, x: Any, covariates: Any) -> tuple[Sequences, Array]:
        data, evidence = self._read(x, covariates)
        log_z = self._log_partition(evidence)
        if type(self.scale) is not Identity:
            given = self._intake(x, "x", self._fitted())
            by_row = self._jacobians(given, data)
            log_z = log_z + np.add.reduceat(np.nansum(by_row, axis=1), data.offsets[:-1])
        return data, log_z

    def _log_partition(self, evidence: Evidence) -> Array:
        """log Z of every sequence; a long one stretch by stretch, so that no array is as long as it."""
        hidden, emission = self._parameters.chain, self._parameters.emission
        whole = evidence.rows.index is not None or evidence.allowed is not None
        stretch = max(STRETCH // hidden.n_states, 1024)
        if (
            evidence.length <= 2 * stretch
            or len(evidence.offsets) > 2
            or whole
            or type(hidden) is not HiddenChain
        ):
            return hidden.log_partition(*evidence.steps(emission))
        total, law = 0.0, hidden.initial
        for start in range(0, evidence.length, stretch):
            logs, index = evidence.steps_between(start, start + stretch).potentials(emission)
            value, law = chain.advance(
                law, hidden.transition, logs if index is None else logs[index]
            )
            total, law = total + value, law @ hidden.transition
        return np.array([total])

    def score(self, x: Any, y: Any = None, *, covariates: Any = None) -> float:
        """Mean log predictive density per observed value, in nats, in the units of `x`; higher is better.

        With `y`, the true states: the share of steps that `decode` gives the right state.
        """
        if y is not None:
            data, _ = self._read(x, covariates)
            known, _ = known_states(y, data, self._names_of_states)
            found = self.decode(x, covariates=covariates)
            codes = pd.Index(self._names_of_states).get_indexer(pd.Index(found.to_numpy()))
            told = data.restore(known).to_numpy()
            return float((codes == told)[told >= 0].mean())
        data = self._intake(x, "x", self._fitted())
        if len(data.columns) > 1 or self._memory():
            return super().score(x, None, covariates=covariates)
        observed = int((~np.isnan(data.values)).sum())
        if not observed:
            raise ValueError("x has no observed value that the model can predict; give a longer x")
        return self.log_likelihood(x, covariates=covariates) / observed

    # -- forecasting -----------------------------------------------------------------------------

    def predict(self, horizon: int, *, covariates: Any = None) -> Any:
        if isinstance(self._fitted(), GivenHeader):
            raise NotFittedError(
                "this HMM was given its parameters and has seen no data to continue; call update(x) first"
            )
        if isinstance(self.emission_, Categorical):
            raise TypeError(
                "symbols have no forecast in numbers; predict_proba(horizon) gives the probability of each symbol, "
                "predict_states(horizon) that of each state"
            )
        return super().predict(horizon, covariates=covariates)

    predict.__doc__ = Forecaster.predict.__doc__

    def predict_states(self, horizon: int, *, covariates: Any = None) -> pd.DataFrame:
        """P(state) at each of the next `horizon` steps, a column per state, on the calendar that continues."""
        check_count("horizon", horizon, 1)
        header = self._fitted()
        if isinstance(header, GivenHeader):
            raise NotFittedError("this HMM has seen no data to continue; call update(x) first")
        calendars = tuple(calendar.ahead(horizon) for calendar in header.calendars)
        inputs = self._inputs(covariates, calendars, header.keys, header.single, future=True)
        law = self._ahead_states(horizon, inputs)
        ahead = [calendar.index for calendar in calendars]
        if header.single:
            return pd.DataFrame(law[0], index=ahead[0], columns=self._axis())
        index = join_index(header.keys, ahead)
        return pd.DataFrame(law.reshape(-1, law.shape[2]), index=index, columns=self._axis())

    def predict_proba(self, horizon: int) -> pd.DataFrame:
        """P(symbol) at each of the next `horizon` steps, for models that emit symbols."""
        emission = self.emission_
        if not isinstance(emission, Categorical):
            raise TypeError(
                "predict_proba is for models that emit symbols; predict(horizon) forecasts numbers"
            )
        states = self.predict_states(horizon)
        names = (
            emission.labels
            if emission.labels is not None
            else range(emission.probabilities.shape[1])
        )
        return pd.DataFrame(
            states.to_numpy() @ emission.probabilities, index=states.index, columns=list(names)
        )

    def _ahead_states(self, horizon: int, inputs: Array | None) -> Array:
        """P(state) of the next steps of every series, (series, horizon, K)."""
        parts = [None] * len(self._ends) if inputs is None else np.split(inputs, len(self._ends))
        future = self._parameters.chain.future
        return np.stack(
            [future(end.law, horizon, z) for end, z in zip(self._ends, parts, strict=True)]
        )

    def sample(
        self,
        n: int = 1,
        length: int = 100,
        seed: int = 0,
        *,
        states: bool = False,
        covariates: Any = None,
    ) -> pd.DataFrame:
        """`n` independent sequences drawn from the model, on a (sample, step) index: a panel that `fit` accepts.

        With `states`, a last column "state" holds the path that emitted them. `covariates`: (length, inputs), the same
        for all, where emissions depend on them.
        """
        header = self._fitted()
        check_count("n", n, 1)
        check_count("length", length, 1)
        p, rng = self._parameters, np.random.default_rng(seed)
        if isinstance(p.chain, SoftmaxChain):
            raise ValueError(
                "sequences whose transitions depend on covariates are drawn by predict(..).sample(..)"
            )
        inputs = None if covariates is None else np.asarray(covariates, float).reshape(length, -1)
        if inputs is None and self._input_names is not None:
            raise ValueError(
                f"the model has the covariates {list(self._input_names)}; give covariates=, (length, inputs)"
            )
        drawn = p.chain.new_paths(n, length, rng)
        values = np.concatenate([p.emission.draw(path, rng, inputs) for path in drawn])
        labels = p.emission.labels
        if labels is not None:
            values = np.asarray(labels, dtype=object)[values.astype(int)]
        elif type(self.scale) is not Identity:
            point = Normal(
                values.reshape(n, length, -1), np.full((n, length, values.shape[1]), 1e-300)
            )
            values = (
                self._scaling.align(np.zeros(n, dtype=int))
                .restore(point)
                .median.reshape(n * length, -1)
            )
        steps = pd.MultiIndex.from_product([range(n), range(length)], names=["sample", "step"])
        names = [f"y{i}" if c is None else c for i, c in enumerate(header.columns)]
        frame = pd.DataFrame(values, index=steps, columns=pd.Index(names))
        if states:
            frame["state"] = np.asarray(self._names_of_states, dtype=object)[drawn.reshape(-1)]
        return frame

    # -- the contract's hooks --------------------------------------------------------------------

    def update(self, x_new: Any, *, covariates: Any = None) -> Self:
        if not isinstance(self._fitted(), GivenHeader):
            return super().update(x_new, covariates=covariates)
        data = self._intake(x_new, "x_new", self._fitted())
        where = (data.calendars, data.keys, data.single)
        inputs, names = align_covariates(covariates, *where)
        evidence = Evidence(self._rows(data, inputs), data.offsets, inputs)
        self._ends = self._ends_of(evidence, data)
        self._header, self._input_names = Header(data), names
        return self

    update.__doc__ = Forecaster.update.__doc__

    def _ends_of(self, evidence: Evidence, data: Sequences, laws: Any = None) -> list[End]:
        if laws is None:
            laws = self._parameters.chain.ends(*evidence.steps(self._parameters.emission))
        for i, law in enumerate(laws):
            if np.isnan(law).any():
                raise ValueError(f"{data.label(i)} is impossible under this model")
        return [
            End(law, int(length), self._tail(data.array(i)))
            for i, (law, length) in enumerate(zip(laws, data.lengths, strict=True))
        ]

    def _tail(self, values: Array) -> Array | None:
        """The last rows, from the last window without gaps on, where the emission depends on its own past."""
        order = self._memory()
        if not order:
            return None
        padded = np.concatenate([np.full((order, values.shape[1]), np.nan), values])
        whole = ~np.isnan(padded).any(1)
        for start in range(len(padded) - order, max(len(padded) - order - 200, -1), -1):
            if whole[start : start + order].all():
                return padded[start:]
        return padded[len(padded) - order :]

    def _memory(self) -> int:
        """How many past rows the emission looks at."""
        return int(getattr(self._parameters.emission, "lags", 0))

    def _observe(self, data: Sequences, covariates: Array | None) -> None:
        p, ends = self._parameters, []
        for i, (end, inputs) in enumerate(zip(self._ends, data.split(covariates), strict=True)):
            y = data.array(i)
            if not len(y):
                ends.append(end)
                continue
            before = np.empty((0, y.shape[1])) if end.past is None else end.past
            joined = np.concatenate([before, y])
            if inputs is not None and len(before):
                inputs = np.concatenate([np.full((len(before), inputs.shape[1]), np.nan), inputs])
            rows = p.emission.make_rows(joined, np.array([0, len(joined)]), inputs)
            logs = p.emission.log_density(rows)
            logs = logs if rows.index is None else logs[rows.index]
            law = p.chain.advance(
                end.law, logs[len(before) :], None if inputs is None else inputs[len(before) :]
            )
            if law is None:
                raise ValueError(
                    f"{data.label(i)}: what x_new holds is impossible under this model"
                )
            ends.append(End(law, end.rows + len(y), self._tail(joined)))
        self._ends = ends

    def _forecast(self, horizon: int, covariates: Array | None) -> Distribution:
        if self._memory():
            return self._simulated(horizon, covariates)
        weights = self._ahead_states(horizon, covariates)[:, :, None, :]
        return PathMixture(
            weights, self._laws_ahead(horizon, covariates), self._paths(horizon, covariates)
        )

    def _paths(self, horizon: int, covariates: Array | None, draws: int = 1000) -> Array:
        """Paths of states over the next steps, (draws, series, horizon)."""
        rng = np.random.default_rng(self.seed)
        parts = (
            [None] * len(self._ends)
            if covariates is None
            else np.split(covariates, len(self._ends))
        )
        future = self._parameters.chain.future_paths
        paths = [
            future(end.law, horizon, z, draws, rng)
            for end, z in zip(self._ends, parts, strict=True)
        ]
        return np.stack(paths, axis=1)

    def _laws_ahead(self, horizon: int, covariates: Array | None) -> list[Distribution]:
        """What each state emits at each of the next steps, (series, horizon, channels)."""
        emission, K = self._parameters.emission, self._parameters.chain.n_states
        series, channels = len(self._ends), len(self._fitted().columns)
        shape = (series, horizon, channels)
        if not _uses_inputs(emission):
            return [_spread(emission.law(k), shape) for k in range(K)]
        blank = np.full((series * horizon, channels), np.nan)
        rows = emission.make_rows(blank, np.arange(series + 1) * horizon, covariates)
        return [_reshaped(law, shape) for law in emission.laws(rows)]

    def _simulated(self, horizon: int, covariates: Array | None) -> Distribution:
        """Forecasts of emissions that look at their own past, by paths of states and values together."""
        p, rng, drawn = self._parameters, np.random.default_rng(self.seed), []
        for i, end in enumerate(self._ends):
            inputs = None if covariates is None else covariates[i * horizon : (i + 1) * horizon]
            drawn.append(simulate(p, end.law, end.past, horizon, inputs, rng))
        return Empirical(np.stack(drawn, axis=1))

    def _predictive(
        self, data: Sequences, positions: Array, covariates: Array | None
    ) -> Distribution:
        p = self._parameters
        rows = self._rows(data, covariates)
        ahead = p.chain.ahead(*Evidence(rows, data.offsets, covariates).steps(p.emission))[
            :, None, :
        ]
        if self._memory():
            lags = p.emission._lagged(data.values, data.offsets)  # type: ignore[attr-defined]
            unknown = np.isnan(lags).any(1)[:, None]
            laws = [
                Normal(np.where(unknown, np.nan, w.mean), w.scale) for w in p.emission.laws(rows)
            ]
            return Mixture(ahead, laws)
        if _uses_inputs(p.emission):
            return Mixture(ahead, p.emission.laws(rows))
        return Mixture(ahead, [p.emission.law(k) for k in range(p.chain.n_states)])

    # -- machinery -------------------------------------------------------------------------------

    def _filtered(self, evidence: Evidence) -> chain.Filtered:
        return self._parameters.chain.filter(*evidence.steps(self._parameters.emission))

    def _rows(self, data: Sequences, covariates: Array | None) -> Rows:
        return self._parameters.emission.make_rows(data.values, data.offsets, covariates)

    def _evidence(self) -> Evidence:
        if "_data" not in vars(self):
            raise ValueError("the model was made from parameters and keeps no data; pass x")
        rows = self._rows(self._data, self._seen_inputs)
        allowed = allowed_by(vars(self).get("_known"), self._parameters.chain.n_states)
        return Evidence(rows, self._data.offsets, self._seen_inputs, allowed)

    def _read(
        self, x: Any, covariates: Any, known: Any = None, forbidden: Any = None
    ) -> tuple[Sequences, Evidence]:
        """The sequences of `x`, or of the fit, in model units, with what is known of their states."""
        header = self._fitted()
        if x is None:
            if covariates is not None:
                raise ValueError("covariates belong to an x; leave them out, or pass both")
            evidence = self._evidence()
            data: Sequences = self._data
        else:
            given = self._intake(x, "x", header)
            data = given
            if type(self.scale) is not Identity:
                positions = self._positions(given, header, "x")
                data = given.with_values(self._scaling.align(positions).transform(given))
            inputs = self._inputs(covariates, data.calendars, data.keys, data.single)
            evidence = Evidence(self._rows(data, inputs), data.offsets, inputs)
        allowed = self._allowed(data, known, forbidden)
        if allowed is not None:
            both = allowed if evidence.allowed is None else allowed & evidence.allowed
            evidence = evidence._replace(allowed=both)
        return data, evidence

    def _allowed(self, data: Sequences, known: Any, forbidden: Any) -> Array | None:
        if known is None and forbidden is None:
            return None
        K = len(self._names_of_states)
        codes = None if known is None else known_states(known, data, self._names_of_states)[0]
        allowed = allowed_by(codes, K)
        if allowed is None:
            allowed = np.ones((len(data.values), K), dtype=bool)
        if forbidden is not None:
            if isinstance(forbidden, pd.DataFrame):
                strange = [c for c in forbidden.columns if c not in self._names_of_states]
                if strange:
                    raise ValueError(
                        f"forbidden has the column {strange[0]!r}, the states are {self._names_of_states}"
                    )
                forbidden = forbidden.reindex(columns=self._names_of_states, fill_value=False)
            ruled = np.asarray(forbidden, dtype=bool)
            if ruled.shape != allowed.shape:
                raise ValueError(
                    f"forbidden has shape {ruled.shape}, expected {allowed.shape}, steps of x by states"
                )
            allowed &= ~ruled
        return allowed

    def _inputs(self, covariates: Any, *where: Any, future: bool = False) -> Array | None:
        """Models made from parameters know the number of their covariates, not their names."""
        if isinstance(self._fitted(), GivenHeader) and _uses_inputs(self.emission_):
            return align_covariates(covariates, *where, future=future)[0]
        return super()._inputs(covariates, *where, future=future)

    def _positions(self, data: Sequences, header: Header, name: str) -> Array:
        """One model serves all series; only a scaling by series needs to know which is which."""
        if type(self.scale) is Identity and name == "x":
            return np.zeros(len(data), dtype=int)
        return super()._positions(data, header, name)

    def _intake(self, x: Any, name: str, header: Header | None = None) -> Sequences:
        emission = self.emission if header is None else self.emission_
        if isinstance(emission, Categorical) and _are_symbols(x, emission.symbols):
            symbols = Symbols(emission)
            if header is None:
                self._symbols = symbols
            return coded(x, symbols, name)
        if isinstance(header, GivenHeader):
            data = super()._intake(x, name)
            if len(data.columns) != len(header.columns):
                raise ValueError(
                    f"{name} has {len(data.columns)} channel(s), the model has {len(header.columns)}"
                )
            named = [c for c in header.columns if c is not None]
            if named and data.columns != header.columns and isinstance(x, pd.DataFrame):
                raise ValueError(
                    f"{name} has channels {list(data.columns)}; put them in the model's order, {list(header.columns)}"
                )
            return data
        return super()._intake(x, name, header)


def _are_symbols(x: Any, known: list[Any] | None) -> bool:
    """Whether `x` holds symbols, not codes: it is text, or what is known are not only texts."""
    return is_text(x) or (known is not None and not all(isinstance(s, str) for s in known))


def _uses_inputs(emission: Emission) -> bool:
    """Whether what is emitted depends on covariates."""
    return isinstance(emission, (LinearRegression, LinearAutoregression)) or (
        isinstance(emission, Product) and any(_uses_inputs(part) for part in emission.members)
    )


def _spread(law: Distribution, shape: tuple[int, ...]) -> Distribution:
    """A law of one row (channels,) for rows (.., channels)."""
    if isinstance(law, Joined):
        parts = zip(law.members, law.positions, strict=True)
        return Joined([_spread(m, (*shape[:-1], len(at))) for m, at in parts], law.positions)
    return law[np.broadcast_to(np.arange(shape[-1]), shape)]


def _reshaped(law: Distribution, shape: tuple[int, ...]) -> Distribution:
    """A law of rows (series * horizon, channels) as (series, horizon, channels)."""
    return law[np.arange(shape[0] * shape[1]).reshape(shape[:2])]
