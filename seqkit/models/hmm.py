"""Hidden Markov models: a Markov chain that is not seen, and what each of its states emits."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable
from typing import Any, Self

import numpy as np
import pandas as pd

from seqkit.base import Forecaster, Header, NotFittedError, check_count, clone
from seqkit.data.sequences import Array, Sequences
from seqkit.distributions import (
    Categorical,
    Distribution,
    Emission,
    Empirical,
    LinearAutoregression,
    LinearRegression,
    Mixture,
    Normal,
    PathMixture,
    Product,
    Rows,
)
from seqkit.kernels import chain
from seqkit.persistence import Record

from ._hmm_data import Symbols, coded, is_text, known_states
from ._hmm_durations import DurationMoves
from ._hmm_fit import (
    Evidence,
    Fit,
    Options,
    Parameters,
    best_of,
    count_path,
    expectations,
    maximise,
    report,
    starts,
)
from ._hmm_information import climb, standard_errors
from ._hmm_moves import Moves, stationary
from ._hmm_softmax import SoftmaxMoves, SoftmaxTransition
from .state_space import Parameters as FromParameters
from .state_space import _split

METHODS = ("em", "viterbi", "gradient")


class End(Record):
    """What is known of the state at the last step of a sequence, and what the next step's law needs of the past."""

    def __init__(self, law: Array, rows: int, past: Array | None = None):
        self.law, self.rows, self.past = law, rows, past


@dataclasses.dataclass(eq=False, repr=False)
class HMM(Forecaster):
    """A hidden Markov model: s_1 ~ initial, s_t | s_{t-1} ~ transition[s_{t-1}], y_t | s_t ~ emission[s_t].

    Parameters
    ----------
    n_states : K, or None where the labels of a supervised fit, or the parameters of `emission`, say it.
    emission : what states emit, any family of `seqkit.distributions`, e.g. ``Poisson()``, ``Normal(covariance="full")``.
        Its parameters that are numbers are held fixed, NaN is learnt.
    transition : None (all free), "left-right" (stay or one on), "bakis" (or two on), "cyclic", or an array (K, K): NaN
        where free, numbers where fixed; a zero stays a zero. `SoftmaxTransition()`: by covariates.
    initial : None (free), "stationary" (that of the transition), "uniform", or an array (K,), NaN where free.
    durations : None (geometric, those of a Markov chain), "free", or a family of counts that the duration less one
        follows, e.g. ``Poisson()``: a hidden semi-Markov model, whose states last by a law of their own.
    max_duration : the longest duration that is told apart; 100, or the longest sequence, for None.
    method : "em" (Baum-Welch), "viterbi" (segmental k-means: by best paths instead of expectations), or "gradient"
        (direct maximisation by L-BFGS).
    n_init : number of starts, of which the best fit is kept; the first is by k-means.
    max_iter, tol : EM stops when the log-likelihood rises by less than tol * (1 + its size).
    transition_prior, initial_prior : Dirichlet parameters, numbers or arrays; above 1 for maximum a posteriori.
        Priors of emissions are options of their families.
    states : names of the states; their numbers for None.
    start : a fitted HMM to start from instead.
    n_jobs : threads, over starts, or over sequences where there is one start.
    seed : of the starts.

    Attributes
    ----------
    initial_, transition_ : Series (K,) and DataFrame (K, K), rows from, columns to.
    emission_ : the fitted family, e.g. ``emission_.rate`` (K,), or (K, C) for several channels.
    log_likelihood_, aic_, bic_, icl_, n_parameters_, history_, converged_, starts_ (the objective of each start).

    All sequences of a panel are learnt by one model. Missing values are marginalised, channel by channel. States are
    ordered by the mean of the first channel where nothing else tells them apart.

    Raises
    ------
    ValueError : data that the emission cannot emit, parameters that do not fit together; the message says which.

    Notes
    -----
    Rabiner (1989), "A tutorial on hidden Markov models"; Zucchini, MacDonald & Langrock (2016), "Hidden Markov Models
    for Time Series".

    Examples
    --------
    >>> import seqkit
    >>> weather = seqkit.HMM.from_params(
    ...     states=["Rainy", "Sunny"], initial=[0.6, 0.4], transition=[[0.7, 0.3], [0.4, 0.6]],
    ...     emission=seqkit.Categorical([[0.1, 0.4, 0.5], [0.6, 0.3, 0.1]], symbols=["Walk", "Shop", "Clean"]))
    >>> weather.decode(["Walk", "Shop", "Clean", "Clean"]).tolist()
    ['Sunny', 'Rainy', 'Rainy', 'Rainy']
    """

    n_states: int | None = None
    emission: Emission = dataclasses.field(default_factory=Normal)
    transition: Any = None
    initial: Any = None
    durations: Any = dataclasses.field(default=None, kw_only=True)
    max_duration: int | None = dataclasses.field(default=None, kw_only=True)
    method: str = dataclasses.field(default="em", kw_only=True)
    n_init: int = dataclasses.field(default=1, kw_only=True)
    max_iter: int = dataclasses.field(default=1000, kw_only=True)
    tol: float = dataclasses.field(default=1e-10, kw_only=True)
    transition_prior: Any = dataclasses.field(default=1.0, kw_only=True)
    initial_prior: Any = dataclasses.field(default=1.0, kw_only=True)
    states: list[Hashable] | None = dataclasses.field(default=None, kw_only=True)
    start: HMM | None = dataclasses.field(default=None, kw_only=True)
    n_jobs: int = dataclasses.field(default=1, kw_only=True)
    seed: int = dataclasses.field(default=0, kw_only=True)

    @property
    def pooled(self) -> bool:
        return True

    # -- making ----------------------------------------------------------------------------------

    @classmethod
    def from_params(
        cls,
        *,
        initial: Any,
        transition: Any,
        emission: Emission,
        states: list[Hashable] | None = None,
        columns: list[Hashable] | None = None,
    ) -> Self:
        """A model with given parameters, that filters, decodes and scores at once; `update` gives it data to continue.

        Parameters
        ----------
        initial : (K,) probabilities, or "stationary".
        transition : (K, K), rows from, columns to; rows sum to one.
        emission : a family with parameters, leading axis K.
        states : K names.
        columns : names of the channels.
        """
        transition = np.asarray(transition, dtype=float)
        K = len(transition) if transition.ndim else 0
        model = cls(K, emission, transition.tolist(), _plain(initial), states=states)
        moves = model._moves(K)
        if not emission.fitted or emission.n_states != K:
            raise ValueError(
                f"emission must have parameters for {K} states, like transition; {emission!r} has "
                f"{emission.n_states or 'none'}"
            )
        if np.isnan(moves.transition).any() or np.isnan(moves.initial).any():
            raise ValueError("from_params needs every probability; NaN is for HMM(...).fit(x)")
        width = max(
            (np.shape(v)[1] for v in emission.parameters().values() if np.ndim(v) > 1), default=1
        )
        if emission.labels is not None or isinstance(emission, Categorical):
            width = 1
        names = tuple(columns) if columns is not None else (None,) * width
        model._input_names = None
        model._parameters = Parameters(moves.spread(None), emission)
        model._names_of_states = model._state_names(K)
        model._scaling = model.scale
        model._header = FromParameters(names)
        return model

    # -- learning --------------------------------------------------------------------------------

    def fit(self, x: Any, y: Any = None, *, covariates: Any = None) -> Self:
        """Learn from the observed sequence(s) `x`, and from states where `y` tells them.

        Parameters
        ----------
        x : Series, DataFrame, array, text, or a panel of them; missing values are allowed.
        y : the states of every step, by name, in the shape of `x`; None, NaN where unknown. All known: counting
            (supervised). Some known: EM over the others.
        covariates : inputs of emissions (`LinearRegression`) or transitions, on the index of `x`.
        """
        self._labels_given = y
        try:
            vars(self).pop("_parameters", None)
            vars(self).pop("_symbols", None)
            return super().fit(x, None, covariates=covariates)
        finally:
            vars(self).pop("_labels_given", None)

    def _fit(self, data: Sequences, covariates: Array | None) -> None:
        options = self._options()
        y = self._labels_given
        known, names = (None, None) if y is None else known_states(y, data, self.states)
        K = self._count(names)
        self._names_of_states = self._state_names(K, names)
        emission = self._prepared(data, K)
        moves = self._moves(K, data, covariates)
        rows = emission.make_rows(data.values, data.offsets, covariates)
        evidence = Evidence(rows, data.offsets, covariates)
        observed = _observed_steps(evidence)
        if observed <= K and known is None:
            raise ValueError(
                f"an HMM of {K} states needs more than {K} observed steps, got {observed}; give longer data or fewer states"
            )
        if known is not None and (known >= 0).all():
            self._count_states(evidence, moves, emission, known)
        else:
            allowed = (
                None if known is None else (known[:, None] < 0) | (known[:, None] == np.arange(K))
            )
            self._maximise(evidence._replace(allowed=allowed), moves, emission, options, known)
        self._data, self._seen_inputs = data, covariates
        self._ends = self._ends_of(evidence, data)

    def _options(self) -> Options:
        if self.method not in METHODS:
            raise ValueError(f"method is one of {', '.join(METHODS)}; got {self.method!r}")
        check_count("n_init", self.n_init, 1)
        check_count("max_iter", self.max_iter, 0)
        check_count("n_jobs", self.n_jobs, 1)
        if not isinstance(self.tol, (int, float)) or not self.tol >= 0:
            raise ValueError(f"tol must be a number of at least 0, got {self.tol!r}")
        if not isinstance(self.emission, Emission):
            raise TypeError(
                f"emission must be a family that states can emit, such as seqkit.Poisson(), got {self.emission!r}"
            )
        return Options(self.max_iter, self.tol, self.method == "viterbi", self.n_jobs)

    def _count(self, names: list[Hashable] | None) -> int:
        """The number of states, from whatever says it."""
        told = {
            "n_states": self.n_states,
            "states": None if self.states is None else len(self.states),
            "the labels y": None if names is None else len(names),
            "emission": self.emission.n_states or None,
            "transition": len(self.transition)
            if isinstance(self.transition, (list, tuple, np.ndarray))
            else None,
            "start": None if self.start is None else self.start._fitted_parameters().chain.n_states,
        }
        found = {name: value for name, value in told.items() if value is not None}
        if not found:
            raise ValueError("give the number of states, e.g. HMM(3, ...), or labels y")
        if self.n_states is not None:
            check_count("n_states", self.n_states, 1)
        if len(set(found.values())) > 1:
            raise ValueError(
                "the numbers of states disagree: "
                + ", ".join(f"{name} has {value}" for name, value in found.items())
            )
        return next(iter(found.values()))

    def _state_names(self, K: int, names: list[Hashable] | None = None) -> list[Hashable]:
        chosen = (
            names
            if names is not None
            else self.states
            if self.states is not None
            else list(range(K))
        )
        if len(chosen) != K or len(set(chosen)) != K:
            raise ValueError(f"states must be {K} different names, got {list(chosen)!r}")
        return list(chosen)

    def _prepared(self, data: Sequences, K: int) -> Emission:
        """The emission family for these channels and symbols."""
        emission = self.emission.for_columns(data.columns)
        symbols = vars(self).get("_symbols")
        if symbols is not None and isinstance(emission, Categorical):
            emission = emission._with(emission.parameters(), emission.free)
            emission.symbols = symbols.ordered_symbols(emission)
        return emission

    def _moves(
        self, K: int, data: Sequences | None = None, covariates: Array | None = None
    ) -> Moves:
        if isinstance(self.transition, SoftmaxTransition):
            if self.durations is not None:
                raise ValueError(
                    "transitions by covariates and explicit durations cannot be combined; choose one"
                )
            if covariates is None:
                raise ValueError("SoftmaxTransition needs covariates; call fit(x, covariates=...)")
            return SoftmaxMoves(
                K, self.initial, self.initial_prior, self.transition.ridge, covariates
            )
        given = (K, self.initial, self.transition, self.initial_prior, self.transition_prior)
        if self.durations is None:
            return Moves(*given)
        family = (
            None if isinstance(self.durations, str) and self.durations == "free" else self.durations
        )
        if family is not None and not (isinstance(family, Emission) and family.discrete):
            raise ValueError(
                f"durations is 'free', or a family of counts such as seqkit.Poisson(), got {self.durations!r}"
            )
        longest = self.max_duration
        if longest is None:
            longest = 100 if data is None else int(min(100, data.lengths.max()))
        check_count("max_duration", longest, 2)
        return DurationMoves(*given, family, longest)

    def _count_states(
        self, evidence: Evidence, moves: Moves, emission: Emission, known: Array
    ) -> None:
        """Maximum likelihood, or a posteriori, where all states are known: shares of what was counted."""
        K = len(moves.initial)
        if type(moves) is not Moves:
            raise ValueError(
                "labelled states are counted for plain transitions only; leave durations and covariates out"
            )
        first, counts, steps = count_path(known, evidence.offsets, K)
        index = evidence.rows.index
        weights = steps
        if index is not None:
            weights = np.zeros((len(evidence.rows.values), K))
            np.add.at(weights, (index, known), 1.0)
        found = chain.Expected(np.zeros(1), first, counts, weights)
        hidden = moves.estimate(found, moves.spread(None))
        self._parameters = Parameters(hidden, emission.fit_weighted(evidence.rows, weights))
        likelihood = float(
            expectations(evidence, self._parameters, Options(0, 0.0)).log_partition.sum()
        )
        self._finish(
            Fit(self._parameters, likelihood, [likelihood], True), [likelihood], moves, evidence
        )

    def _maximise(
        self,
        evidence: Evidence,
        moves: Moves,
        emission: Emission,
        options: Options,
        known: Array | None,
    ) -> None:
        K = len(moves.initial)
        if self.start is not None:
            given = self.start._fitted_parameters()
            first = (
                emission.with_parameters(given.emission.parameters())
                if type(emission) is type(given.emission)
                else given.emission
            )
            begun = [Parameters(given.chain, first)]
        elif emission.fitted:
            begun = [Parameters(moves.spread(None), emission)]
        else:
            begun = starts(evidence, moves, emission, K, self.n_init, self.seed)
            if known is not None:
                begun = [self._informed(evidence, s, emission, known) for s in begun]
        search = climb if self.method == "gradient" else maximise
        fit, values = best_of(search, evidence, moves, begun, options, self.n_jobs)
        if self._exchangeable(emission, known):
            fit = fit._replace(parameters=_ascending(fit.parameters))
        self._finish(fit, values, moves, evidence)
        report(fit, evidence, options, self._names_of_states)

    @staticmethod
    def _informed(
        evidence: Evidence, start: Parameters, emission: Emission, known: Array
    ) -> Parameters:
        """A start whose emissions come from the steps of known state, where every state has some."""
        K = start.chain.n_states
        if len(set(known[known >= 0].tolist())) < K:
            return start
        weights = np.zeros((len(evidence.rows.values), K))
        t = np.flatnonzero(known >= 0)
        index = t if evidence.rows.index is None else evidence.rows.index[t]
        np.add.at(weights, (index, known[t]), 1.0)
        return Parameters(start.chain, emission.fit_weighted(evidence.rows, weights + 1e-3))

    def _exchangeable(self, emission: Emission, known: Array | None) -> bool:
        """Whether nothing but their order tells the states apart."""
        plain = self.transition is None and (self.initial is None or isinstance(self.initial, str))
        priors = np.ndim(self.transition_prior) == 0 and np.ndim(self.initial_prior) == 0
        own = self.states is None and self.start is None and known is None
        return plain and priors and own and not emission.n_states

    def _finish(self, fit: Fit, values: list[float], moves: Moves, evidence: Evidence) -> None:
        self._parameters = fit.parameters
        self.log_likelihood_, self.history_, self.converged_ = (
            fit.log_likelihood,
            fit.history,
            fit.converged,
        )
        self.starts_ = values
        self.n_parameters_ = moves.n_free + fit.parameters.emission.n_free
        self._steps = _observed_steps(evidence)

    # -- what was learnt -------------------------------------------------------------------------

    def _fitted_parameters(self) -> Parameters:
        self._fitted()
        return self._parameters

    @property
    def initial_(self) -> pd.Series:
        """Probabilities of the first state."""
        return pd.Series(
            self._fitted_parameters().chain.initial, index=self._axis(), name="initial"
        )

    @property
    def transition_(self) -> pd.DataFrame:
        """Probabilities of moves, from the row's state to the column's."""
        return pd.DataFrame(
            self._fitted_parameters().chain.transition, index=self._axis(), columns=self._axis()
        )

    @property
    def emission_(self) -> Any:
        """The emission family with its parameters, leading axis states."""
        return self._fitted_parameters().emission

    @property
    def stationary_(self) -> pd.Series:
        """The stationary law of the chain, pi = pi A."""
        return pd.Series(
            stationary(self._fitted_parameters().chain.transition),
            index=self._axis(),
            name="stationary",
        )

    @property
    def aic_(self) -> float:
        """-2 log L + 2 p (Akaike 1974)."""
        return -2 * self.log_likelihood_ + 2 * self.n_parameters_

    @property
    def bic_(self) -> float:
        """-2 log L + p log T, T the number of observed steps (Schwarz 1978)."""
        return -2 * self.log_likelihood_ + self.n_parameters_ * float(np.log(self._steps))

    @property
    def icl_(self) -> float:
        """BIC with the best path in place of the sum over paths (Biernacki, Celeux & Govaert 2000)."""
        p = self._parameters
        best = p.chain.viterbi(*self._evidence().steps(p.emission))
        return -2 * float(best.score.sum()) + self.n_parameters_ * float(np.log(self._steps))

    def standard_errors(self) -> pd.DataFrame:
        """Estimates and standard errors by parameter, state and element, from the observed information.

        The second derivative of the log-likelihood is the difference of its gradient (Fisher's identity), taken over to
        the parameters by the delta method (Zucchini, MacDonald & Langrock 2016, section 3.6). NaN for what is fixed
        or at a bound.
        """
        self._fitted()
        evidence = self._evidence()
        K = self._parameters.chain.n_states
        moves = self._moves(K, self._data, self._seen_inputs)
        return standard_errors(evidence, moves, self._parameters, self._names_of_states)

    def select_states(self, x: Any, counts: Any, *, criterion: str = "bic", covariates: Any = None) -> pd.DataFrame:
        """Fits with each number of states in `counts`, as a table of criteria; this model becomes the best of them.

        Parameters
        ----------
        counts : numbers of states, e.g. ``range(1, 6)``.
        criterion : "bic", "aic" or "icl"; smaller is better.
        """
        from tqdm import tqdm

        if criterion not in ("bic", "aic", "icl"):
            raise ValueError(f"criterion is one of bic, aic, icl; got {criterion!r}")
        fits = {int(k): clone(self).set_params(n_states=int(k)) for k in counts}
        if not fits:
            raise ValueError("counts is empty; give numbers of states, e.g. range(1, 6)")
        for model in tqdm(fits.values(), desc="numbers of states", disable=None, leave=False):
            model.fit(x, covariates=covariates)
        columns = ["log_likelihood", "n_parameters", "aic", "bic", "icl"]
        table = pd.DataFrame(
            {k: [getattr(m, f"{c}_") for c in columns] for k, m in fits.items()}, index=columns
        ).T.rename_axis("n_states")
        vars(self).update(vars(fits[int(table[criterion].idxmin())]))
        return table

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
        return float(self.log_likelihoods(x, covariates=covariates).sum())

    def log_likelihoods(self, x: Any, *, covariates: Any = None) -> pd.Series:
        """The log density of every sequence of `x`, joint over its channels."""
        data, evidence = self._read(x, covariates)
        log_z = self._parameters.chain.log_partition(*evidence.steps(self._parameters.emission))
        return pd.Series(
            log_z + self._log_jacobians(x, data), index=list(data.keys), name="log_likelihood"
        )

    def _log_jacobians(self, x: Any, data: Sequences) -> Any:
        return 0.0 if x is None else self._log_jacobian(self._intake(x, "x", self._fitted()), data)

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
        if len(data.columns) > 1:
            return super().score(x, None, covariates=covariates)
        observed = int((~np.isnan(data.values)).sum())
        if not observed:
            raise ValueError("x has no observed value that the model can predict; give a longer x")
        return self.log_likelihood(x, covariates=covariates) / observed

    # -- forecasting -----------------------------------------------------------------------------

    def predict(self, horizon: int, *, covariates: Any = None) -> Any:
        if isinstance(self._fitted(), FromParameters):
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
        if isinstance(header, FromParameters):
            raise NotFittedError("this HMM has seen no data to continue; call update(x) first")
        calendars = tuple(calendar.ahead(horizon) for calendar in header.calendars)
        inputs = self._inputs(covariates, calendars, header.keys, header.single, future=True)
        law = self._ahead_states(horizon, inputs)
        ahead = [calendar.index for calendar in calendars]
        if header.single:
            return pd.DataFrame(law[0], index=ahead[0], columns=self._axis())
        from seqkit.data.sequences import join_index

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
        self, n: int = 1, length: int = 100, seed: int = 0, *, states: bool = False
    ) -> pd.DataFrame:
        """`n` independent sequences drawn from the model, on a (sample, step) index: a panel that `fit` accepts.

        With `states`, a last column "state" holds the path that emitted them.
        """
        header = self._fitted()
        check_count("n", n, 1)
        check_count("length", length, 1)
        if self._input_names is not None:
            raise ValueError("the model has covariates, whose values a sample would need")
        p, rng = self._parameters, np.random.default_rng(seed)
        drawn = p.chain.new_paths(n, length, rng)
        values = np.concatenate([p.emission.draw(path, rng) for path in drawn])
        labels = p.emission.labels
        if labels is not None:
            values = np.asarray(labels, dtype=object)[values.astype(int)]
        elif type(self.scale) is not _identity():
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
        if not isinstance(self._fitted(), FromParameters):
            return super().update(x_new, covariates=covariates)
        data = self._intake(x_new, "x_new", self._fitted())
        self._ends = self._ends_of(Evidence(self._rows(data, None), data.offsets), data)
        self._header = Header(data)
        return self

    update.__doc__ = Forecaster.update.__doc__

    def _ends_of(self, evidence: Evidence, data: Sequences) -> list[End]:
        laws = self._parameters.chain.ends(*evidence.steps(self._parameters.emission))
        for i, law in enumerate(laws):
            if np.isnan(law).any():
                raise ValueError(f"{data.label(i)} is impossible under this model")
        return [
            End(law, int(length), self._tail(data.array(i)))
            for i, (law, length) in enumerate(zip(laws, data.lengths, strict=True))
        ]

    def _tail(self, values: Array) -> Array | None:
        """The last rows, where the emission depends on its own past."""
        order = self._memory()
        if not order:
            return None
        padded = np.concatenate([np.full((order, values.shape[1]), np.nan), values])
        return padded[len(padded) - order :]

    def _memory(self) -> int:
        """How many past rows the emission looks at."""
        return int(getattr(self._parameters.emission, "lags", 0))

    def _observe(self, data: Sequences, covariates: Array | None) -> None:
        p, ends = self._parameters, []
        for i, (end, inputs) in enumerate(zip(self._ends, _split(covariates, data), strict=True)):
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
        emission, K = self._parameters.emission, self._parameters.chain.n_states
        if not hasattr(emission, "next_rows") and not _uses_inputs(emission):
            return [emission.law(k) for k in range(K)]
        series, channels = len(self._ends), len(self._fitted().columns)
        blank = np.full((series * horizon, channels), np.nan)
        offsets = np.arange(series + 1) * horizon
        laws = emission.laws(emission.make_rows(blank, offsets, covariates))
        return [_reshaped(law, (series, horizon, channels)) for law in laws]

    def _simulated(self, horizon: int, covariates: Array | None) -> Distribution:
        """Forecasts of emissions that look at their own past, by paths."""
        emission, rng = self._parameters.emission, np.random.default_rng(self.seed)
        paths, drawn = self._paths(horizon, covariates), []
        for i, end in enumerate(self._ends):
            inputs = None if covariates is None else covariates[i * horizon : (i + 1) * horizon]
            drawn.append(np.stack([
                emission.draw(states, rng, inputs=inputs, past=end.past) for states in paths[:, i]
            ]))  # type: ignore[call-arg]  # fmt: skip
        return Empirical(np.stack(drawn, axis=1))

    def _predictive(
        self, data: Sequences, positions: Array, covariates: Array | None
    ) -> Distribution:
        p = self._parameters
        rows = self._rows(data, covariates)
        ahead = p.chain.ahead(*Evidence(rows, data.offsets, covariates).steps(p.emission))[
            :, None, :
        ]
        if hasattr(p.emission, "next_rows") or _uses_inputs(p.emission):
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
        return Evidence(
            self._rows(self._data, self._seen_inputs), self._data.offsets, self._seen_inputs
        )

    def _read(
        self, x: Any, covariates: Any, known: Any = None, forbidden: Any = None
    ) -> tuple[Sequences, Evidence]:
        """The sequences of `x`, or of the fit, in model units, with what is known of their states."""
        header = self._fitted()
        if x is None:
            if covariates is not None:
                raise ValueError("covariates belong to an x; leave them out, or pass both")
            data, evidence = getattr(self, "_data", None), self._evidence()
        else:
            given = self._intake(x, "x", header)
            data = given
            if type(self.scale) is not _identity():
                positions = self._positions(given, header, "x")
                data = given.with_values(self._scaling.align(positions).transform(given))
            inputs = self._inputs(covariates, data.calendars, data.keys, data.single)
            evidence = Evidence(self._rows(data, inputs), data.offsets, inputs)
        allowed = self._allowed(data, known, forbidden)
        return data, evidence._replace(allowed=allowed)

    def _allowed(self, data: Sequences, known: Any, forbidden: Any) -> Array | None:
        if known is None and forbidden is None:
            return None
        K = len(self._names_of_states)
        allowed = np.ones((len(data.values), K), dtype=bool)
        if known is not None:
            codes, _ = known_states(known, data, self._names_of_states)
            allowed &= (codes[:, None] < 0) | (codes[:, None] == np.arange(K))
        if forbidden is not None:
            if isinstance(forbidden, pd.DataFrame):
                forbidden = forbidden.reindex(columns=self._names_of_states, fill_value=False)
            ruled = np.asarray(forbidden, dtype=bool)
            if ruled.shape != allowed.shape:
                raise ValueError(
                    f"forbidden has shape {ruled.shape}, expected a column per state and a row per step of x: {allowed.shape}"
                )
            allowed &= ~ruled
        return allowed

    def _positions(self, data: Sequences, header: Header, name: str) -> Array:
        """One model serves all series; only a scaling by series needs to know which is which."""
        if type(self.scale) is _identity():
            return np.zeros(len(data), dtype=int)
        return super()._positions(data, header, name)

    def _intake(self, x: Any, name: str, header: Header | None = None) -> Sequences:
        if isinstance(self.emission, Categorical) or (
            header is not None and isinstance(self.emission_, Categorical)
        ):
            if header is not None:
                emission = self.emission_
                if emission.labels is not None and (is_text(x) or not _numeric(emission.labels)):
                    return coded(x, Symbols(emission, closed=True), name)
            elif is_text(x) or self.emission.symbols is not None:
                self._symbols = Symbols(self.emission)
                return coded(x, self._symbols, name)
        if isinstance(header, FromParameters):
            data = super()._intake(x, name)
            if len(data.columns) != len(header.columns):
                raise ValueError(
                    f"{name} has {len(data.columns)} channel(s) {list(data.columns)}, the model has {len(header.columns)}"
                )
            return data
        return super()._intake(x, name, header)


def _identity() -> type:
    from seqkit.data.scaling import Identity

    return Identity


def _numeric(labels: list[Any]) -> bool:
    return not any(isinstance(label, str) for label in labels)


def _plain(value: Any) -> Any:
    return value if isinstance(value, str) else np.asarray(value, dtype=float).tolist()


def _observed_steps(evidence: Evidence) -> int:
    """Steps that say anything."""
    rows = evidence.rows
    if rows.complete:
        return evidence.length
    said = ~np.isnan(rows.values).all(1)
    return int(said.sum() if rows.index is None else said[rows.index].sum())


def _ascending(p: Parameters) -> Parameters:
    """States in the order of what they emit in the first channel, on average."""
    if isinstance(p.emission, Categorical):
        return p
    try:
        means = np.array([np.ravel(p.emission.law(k).mean)[0] for k in range(p.chain.n_states)])
    except (NotImplementedError, TypeError, AttributeError):
        return p
    return p.reordered(np.argsort(np.where(np.isfinite(means), means, np.inf), kind="stable"))


def _uses_inputs(emission: Emission) -> bool:
    """Whether what is emitted depends on covariates."""
    return isinstance(emission, (LinearRegression, LinearAutoregression)) or (
        isinstance(emission, Product) and any(_uses_inputs(part) for part in emission.members)
    )


def _reshaped(law: Distribution, shape: tuple[int, ...]) -> Distribution:
    """A law of rows (series * horizon, channels) as (series, horizon, channels)."""
    return law[np.arange(shape[0] * shape[1]).reshape(shape[:2])]
