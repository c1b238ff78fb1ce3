"""Hidden Markov models: a Markov chain that is not seen, and what each of its states emits."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable
from typing import Any, Self

import numpy as np
import pandas as pd

from seqkit.base import check_count, clone
from seqkit.data.scaling import Identity
from seqkit.data.sequences import Array, Sequences
from seqkit.distributions import (
    Categorical,
    Emission,
    LinearRegression,
    Normal,
)
from seqkit.kernels import chain
from seqkit.models.given import GivenHeader

from ._hmm_chain import sum_by_row
from ._hmm_data import allowed_by, known_states, with_unknown
from ._hmm_durations import DurationMoves, SemiMarkovChain
from ._hmm_fit import (
    Evidence,
    Fit,
    Options,
    Parameters,
    best_of,
    count_path,
    maximise,
    report,
    starts,
)
from ._hmm_information import climb, standard_errors
from ._hmm_moves import Moves, stationary
from ._hmm_softmax import SoftmaxMoves, SoftmaxTransition
from .hidden_markov import HiddenMarkov

METHODS = ("em", "viterbi", "gradient")


@dataclasses.dataclass(eq=False, repr=False)
class HMM(HiddenMarkov):
    """A hidden Markov model: s_1 ~ initial, s_t | s_{t-1} ~ transition[s_{t-1}], y_t | s_t ~ emission[s_t].

    Parameters
    ----------
    n_states : K, or None where the labels of a supervised fit, or the parameters of `emission`, say it.
    emission : what states emit, a family of `seqkit.distributions`: ``Poisson()``, ``Normal(covariance="full")``, ..
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

    _given = frozenset({"start"})

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
        if isinstance(transition, str):
            raise ValueError(
                f"from_params needs the transition probabilities, (K, K); got {transition!r}"
            )
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
        width = emission.channels or 1
        names = tuple(columns) if columns is not None else (None,) * width
        model._input_names = None
        model._parameters = Parameters(moves.spread(None), emission)
        model._names_of_states = model._state_names(K)
        model._scaling = model.scale
        model._header = GivenHeader(names)
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
            super().fit(x, None, covariates=covariates)
        finally:  # what only the fit needed: the vocabulary is the emission's now
            for name in ("_labels_given", "_symbols"):
                vars(self).pop(name, None)
        if (
            type(self.scale) is not Identity
        ):  # likelihoods are in the units of x, histories in those of the model
            self.log_likelihood_ += self._jacobian(self._intake(x, "x", self._header), self._data)
        return self

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
                f"an HMM of {K} states needs more than {K} observed steps, got {observed}; give longer data"
            )
        self._known = known
        evidence = evidence._replace(allowed=allowed_by(known, K))
        if known is not None and (known >= 0).all():
            self._count_states(evidence, moves, emission, known)
        else:
            self._maximise(evidence, moves, emission, options, known)
        self._data, self._seen_inputs = data, covariates
        self._ends = self._ends_of(evidence, data, vars(self).pop("_last", None))

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
                + (
                    "; name states that y does not show by states=[...]"
                    if names is not None
                    else ""
                )
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
            self._plain_only("transitions that depend on covariates")
            if covariates is None:
                raise ValueError("SoftmaxTransition needs covariates; call fit(x, covariates=...)")
            return SoftmaxMoves(
                K, self.initial, self.initial_prior, self.transition.ridge, covariates
            )
        given = (K, self.initial, self.transition, self.initial_prior, self.transition_prior)
        if self.durations is None:
            return Moves(*given)
        self._plain_only("explicit durations")
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

    def _plain_only(self, what: str) -> None:
        if self.method != "em":
            raise ValueError(f"method={self.method!r} does not know {what}; use method='em'")

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
        rows = evidence.rows
        weights = sum_by_row(steps, rows.index, len(rows.values))
        if isinstance(emission, Categorical) and emission.unknown is not None:
            rows, weights = with_unknown(rows, weights, emission)
        found = chain.Expected(np.zeros(1), first, counts, weights, steps[:0])
        hidden = moves.estimate(found, moves.spread(None))
        self._parameters = Parameters(hidden, emission.fit_weighted(rows, weights))
        log_z = hidden.filter(*evidence.steps(self._parameters.emission)).log_partition
        likelihood = float(log_z.sum())
        fit = Fit(self._parameters, likelihood, [likelihood], True, weights.sum(0))
        self._finish(fit, [likelihood], moves, evidence)

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
            if type(emission) is not type(given.emission):
                raise ValueError(
                    f"start emits {type(given.emission).__name__}, emission is {type(emission).__name__}; they must "
                    "be of one family"
                )
            begun = [Parameters(given.chain, emission.with_parameters(given.emission.parameters()))]
        elif emission.fitted:
            begun = [Parameters(moves.spread(None), emission)]
        else:
            begun = starts(evidence, moves, emission, K, self.n_init, self.seed)
            if known is not None:
                begun = [self._informed(evidence, s, emission, known) for s in begun]
        search = climb if self.method == "gradient" else maximise
        fit, values = best_of(search, evidence, moves, begun, options, self.n_jobs)
        if self._exchangeable(emission, known):
            fit = _ascending(fit)
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
        seen = (known[:, None] == np.arange(K)).astype(float)
        weights = sum_by_row(seen, evidence.rows.index, len(evidence.rows.values))
        return Parameters(start.chain, emission.fit_weighted(evidence.rows, weights + 1e-3))

    def _exchangeable(self, emission: Emission, known: Array | None) -> bool:
        """Whether nothing but their order tells the states apart."""
        plain = self.transition is None and (self.initial is None or isinstance(self.initial, str))
        priors = np.ndim(self.transition_prior) == 0 and np.ndim(self.initial_prior) == 0
        own = self.states is None and self.start is None and known is None
        own &= not (isinstance(self.durations, Emission) and self.durations.n_states)
        return plain and priors and own and not emission.n_states

    def _finish(self, fit: Fit, values: list[float], moves: Moves, evidence: Evidence) -> None:
        self._parameters, self._last = fit.parameters, fit.last
        self.log_likelihood_, self.history_, self.converged_ = (
            fit.log_likelihood,
            fit.history,
            fit.converged,
        )
        self.starts_ = values
        self.n_parameters_ = moves.n_free + fit.parameters.emission.n_free
        self._steps = _observed_steps(evidence)

    # -- what was learnt -------------------------------------------------------------------------

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
    def durations_(self) -> pd.DataFrame:
        """P(a state lasts d steps), states by d = 1, 2, ..; of models with explicit durations."""
        hidden = self._fitted_parameters().chain
        if not isinstance(hidden, SemiMarkovChain):
            raise AttributeError(
                "durations_ belongs to models with explicit durations: HMM(..., durations='free')"
            )
        steps = pd.RangeIndex(1, hidden.durations.shape[1] + 1, name="duration")
        return pd.DataFrame(hidden.durations, index=self._axis(), columns=steps)

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

    def select_states(
        self, x: Any, counts: Any, *, criterion: str = "bic", covariates: Any = None
    ) -> pd.DataFrame:
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
        best: Any = table[criterion].idxmin()
        vars(self).update(vars(fits[int(best)]))
        return table


def _plain(value: Any) -> Any:
    return value if isinstance(value, str) else np.asarray(value, dtype=float).tolist()


def _observed_steps(evidence: Evidence) -> int:
    """Steps that say anything."""
    rows = evidence.rows
    if rows.complete:
        return evidence.length
    said = ~np.isnan(rows.values).all(1)
    return int(said.sum() if rows.index is None else said[rows.index].sum())


def _ascending(fit: Fit) -> Fit:
    """States in the order of what they emit in the first channel, on average."""
    p = fit.parameters
    if isinstance(p.emission, Categorical):
        return fit
    if isinstance(p.emission, LinearRegression):
        means = np.reshape(p.emission.intercept, (p.chain.n_states, -1))[:, 0]
        return _in_order(fit, means)
    try:
        means = np.array([np.ravel(p.emission.law(k).mean)[0] for k in range(p.chain.n_states)])
    except (NotImplementedError, TypeError, AttributeError):
        return fit
    return _in_order(fit, means)


def _in_order(fit: Fit, means: Array) -> Fit:
    order = np.argsort(np.where(np.isfinite(means), means, np.inf), kind="stable")
    last = None if fit.last is None else fit.last[:, order]
    return fit._replace(
        parameters=fit.parameters.reordered(order), visits=fit.visits[order], last=last
    )
