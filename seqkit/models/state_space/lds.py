"""Linear dynamical systems, every matrix given or learnt."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Hashable, Iterable
from typing import Any, Literal, Self

import numpy as np

from seqkit.base import ConvergenceWarning, check_count
from seqkit.data.scaling import Identity
from seqkit.data.sequences import Array, Sequences
from seqkit.kernels import kalman
from seqkit.models.diagnostics import information
from seqkit.models.given import GivenHeader

from . import _lds_em_loop as em
from . import _lds_gradient as gradient
from ._lds_identification import count_parameters, scale_is_open, standard_errors
from ._lds_parameters import NAMES, Specification, Values, build, specify, start_of
from ._lds_problem import Fit, Part, Problem
from ._lds_start import starting_values
from .base import StateSpaceForecaster

METHODS = ("em", "mle")
STARTS = ("subspace", "random")
TOLERANCE = {"em": 1e-6, "mle": 1e-11}
SMALL = 1e-10  # of the variance of an output: a noise variance below is as good as none
WARM_UP = 10  # EM steps before the quasi-Newton search


@dataclasses.dataclass(eq=False, repr=False)
class LDS(StateSpaceForecaster):
    r"""Linear dynamical system: hidden states that move linearly, seen through noise.

    .. math::

        h_t = A h_{t-1} + B x_t + c + w_t, \quad w_t \sim N(0, Q), \qquad
        y_t = C h_t + D x_t + d + v_t, \quad v_t \sim N(0, R), \qquad h_0 \sim N(\mu_0, P_0)

    with n states h, m outputs y and k inputs x (the covariates of `fit`). h_0 is the state of the first row.

    Each matrix is None (learnt), a number (fixed: a multiple of the identity, or every element of a vector), an
    array (fixed), or an array with NaN in some elements: those are learnt, the others stay as given, bit by
    bit. A fixed array with one dimension more, the first, varies in time; it must reach over the horizon
    of forecasts.

    Parameters
    ----------
    n_states : n.
    method : "em", expectation maximisation (Shumway & Stoffer 1982), or "mle", a quasi-Newton search with the exact
        score (Koopman & Shephard 1992). ``fit=`` is another name for it.
    transition : A, (n, n).
    observation : C, (m, n).
    process_cov : Q, (n, n); also "full", "diagonal" or "scalar" (one variance for all).
    observation_cov : R, (m, m); also "full", "diagonal" or "scalar".
    state_intercept : c, (n,); 0 unless asked for, since d can do its work.
    observation_intercept : d, (m,).
    state_inputs, observation_inputs : B, (n, k) and D, (m, k).
    initial : how the first state is distributed: "known", mu_0 and P_0 given or learnt; "stationary", the law that A, Q
        and c leave as it is; "approximate", variances 1e6 times that of the data; "diffuse", exactly without
        knowledge (de Jong 1991; Koopman 1997). None is "known" for "em"; for "mle" it is "stationary" where A is
        learnt whole, since a start learnt from one series can bend the states towards its first row.
    initial_mean, initial_cov : mu_0, (n,), and P_0, (n, n).
    diffuse : which states start diffuse, (n,) of 0 and 1, or their covariance, (n, n).
    start : "subspace" (see `seqkit.kernels.subspace`) or "random", where to begin.
    n_init : how often to begin; all but the first begin at random, and the best fit is kept.
    seed : of the random starts.
    max_iter : most iterations per start.
    tol : a fit has converged when an iteration raises the log-likelihood by less than this per observed value; None
        for 1e-6 ("em") or 1e-11 ("mle").
    accelerate : extrapolate the steps of EM where that raises the likelihood (Varadhan & Roland 2008); False for plain
        EM.

    A panel is one system with many realisations: all its sequences are learnt together. Missing elements are
    marginalised exactly. States have no unique basis, A, C and Q being free: h and T h fit the data equally, so
    compare what does not depend on the basis (eigenvalues, forecasts, likelihoods), or fix elements.
    `standard_errors_` are NaN where the data do not determine an element.

    Attributes
    ----------
    transition_, observation_, process_cov_, observation_cov_, state_intercept_, observation_intercept_,
    state_inputs_, observation_inputs_, initial_mean_, initial_cov_ : the matrices, in model units.
    history_ : log-likelihood at every iteration of the best start; converged_ : whether it converged.
    starts_ : the log-likelihood that each of the `n_init` starts ended at.
    log_likelihood_, aic_, bic_ : in model units; n_parameters_ : learnt elements less the changes of basis left open.
    standard_errors_ : by name of the matrix, from the information matrix (computed when first asked for).

    Raises
    ------
    ValueError, TypeError : arguments that do not fit, and data too few for the states.

    Warns
    -----
    ConvergenceWarning : with the remedy.

    Examples
    --------
    >>> import numpy as np, seqkit
    >>> rng = np.random.default_rng(0)
    >>> level = rng.normal(size=200).cumsum()
    >>> y = level + rng.normal(size=200)
    >>> walk = seqkit.LDS(1, transition=1.0, observation=[[1.0]], initial="diffuse", observation_intercept=0).fit(y)
    >>> walk.process_cov_.shape, walk.n_parameters_
    ((1, 1), 2)
    """

    n_states: int
    method: Literal["em", "mle"] = "em"
    transition: Any = None
    observation: Any = None
    process_cov: Any = "full"
    observation_cov: Any = "diagonal"
    state_intercept: Any = 0.0
    observation_intercept: Any = None
    state_inputs: Any = None
    observation_inputs: Any = None
    initial: Literal["known", "stationary", "approximate", "diffuse"] | None = None
    initial_mean: Any = None
    initial_cov: Any = None
    diffuse: Any = None
    start: Literal["subspace", "random"] = "subspace"
    n_init: int = 1
    seed: int = 0
    max_iter: int = 1000
    tol: float | None = None
    accelerate: bool = True
    fit: dataclasses.InitVar[str | None] = None  # type: ignore[assignment]

    def __post_init__(self, fit: str | None) -> None:
        if isinstance(fit, str):
            self.method = fit  # type: ignore[assignment]

    @property
    def pooled(self) -> bool:
        return True

    @classmethod
    def from_params(
        cls, *, transition: Any, observation: Any, process_cov: Any, observation_cov: Any,
        initial_mean: Any = None, initial_cov: Any = None, diffuse: Any = None,
        state_intercept: Any = None, observation_intercept: Any = None,
        state_inputs: Any = None, observation_inputs: Any = None,
        columns: Iterable[Hashable] | None = None, input_columns: Iterable[Hashable] | None = None,
    ) -> Self:  # fmt: skip
        """A model of known matrices, ready for every verb but `predict`, which needs `update` first.

        Parameters
        ----------
        transition .. observation_inputs : as in the constructor, without anything left to learn; intercepts and
            inputs are 0 where left out.
        initial_mean, initial_cov, diffuse : the first state; stationary where all are left out.
        columns, input_columns : names of the outputs and of the inputs; numbers where left out.

        Examples
        --------
        >>> import numpy as np, seqkit
        >>> level = seqkit.LDS.from_params(transition=[[1.0]], observation=[[1.0]], process_cov=[[0.5]],
        ...     observation_cov=[[1.0]], initial_mean=[0.0], initial_cov=[[10.0]])
        >>> level.decode(np.array([1.0, np.nan, 3.0])).round(3)["state0"].tolist()
        [1.562, 1.922, 2.281]
        """
        n, m = _size("transition", transition), _size("observation", observation)
        k = max(
            (np.shape(b)[-1] for b in (state_inputs, observation_inputs) if b is not None),
            default=0,
        )
        given = {
            "transition": transition, "observation": observation, "process_cov": process_cov,
            "observation_cov": observation_cov, "initial_mean": initial_mean, "initial_cov": initial_cov,
            "state_intercept": state_intercept, "observation_intercept": observation_intercept,
            "state_inputs": state_inputs, "observation_inputs": observation_inputs,
        }  # fmt: skip
        for name in (
            "state_intercept",
            "observation_intercept",
            "state_inputs",
            "observation_inputs",
        ):
            given[name] = 0.0 if given[name] is None else given[name]
        initial = _kind_of_start(initial_mean, initial_cov, diffuse)
        if initial == "known":
            given["initial_mean"] = 0.0 if initial_mean is None else initial_mean
            given["initial_cov"] = 0.0 if initial_cov is None else initial_cov
        model = cls(n, diffuse=diffuse, initial=initial, **given)  # type: ignore[arg-type]
        spec = specify(given, diffuse, initial, n, m, k)
        for name in NAMES:
            if spec.learns(name):
                raise ValueError(
                    f"{name} has elements to learn (None or NaN); give every element, or fit"
                )
            setattr(model, f"{name}_", spec.values[name])
        model._start = start_of(spec.values, spec, 1.0)
        model._header, model._scaling = GivenHeader(_named(columns, m, "columns")), Identity()
        model._input_names = _named(input_columns, k, "input_columns") if k else None
        return model

    # -- learning --------------------------------------------------------------------------------

    def _learn(self, data: Sequences, covariates: Array | None) -> None:
        self._check()
        if covariates is not None and np.isnan(covariates).any():
            row = int(np.isnan(covariates).any(1).argmax())
            raise ValueError(f"covariates are missing in row {row}; fill them before fitting")
        inputs = 0 if covariates is None else covariates.shape[1]
        spec = self._specify(len(data.columns), inputs)
        problem = self._problem(data, covariates, spec)
        fits = [self._search(problem, i) for i in range(self.n_init if spec.learns(*NAMES) else 1)]
        best = max(fits, key=lambda fit: fit.log_likelihood)
        self._tell(best)
        for name in NAMES:
            setattr(self, f"{name}_", best.values[name])
        self._start = start_of(best.values, spec, problem.size)
        self.history_, self.converged_ = best.history, best.converged
        self.starts_ = [fit.log_likelihood for fit in fits]
        self.log_likelihood_ = best.log_likelihood
        self.n_parameters_ = count_parameters(spec, best.values)
        self._observed = problem.observed

    def _check(self) -> None:
        check_count("n_states", self.n_states, 1)
        check_count("n_init", self.n_init, 1)
        check_count("seed", self.seed, 0)
        check_count("max_iter", self.max_iter, 1)
        for name, known in (("method", METHODS), ("start", STARTS)):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"{name} must be one of {', '.join(known)}; got {getattr(self, name)!r}"
                )
        if self.tol is not None and not self.tol >= 0:
            raise ValueError(f"tol must be None or a number of at least 0, got {self.tol!r}")
        if self.method == "em" and self.initial == "stationary":
            raise ValueError(
                'initial="stationary" ties the start to A and Q, for which EM has no closed form; '
                'use method="mle", or initial="known"'
            )

    def _specify(self, outputs: int, inputs: int) -> Specification:
        given = {name: getattr(self, name) for name in NAMES}
        return specify(given, self.diffuse, self._kind(), int(self.n_states), outputs, inputs)

    def _kind(self) -> str:
        """How the first state is distributed, settled."""
        if self.initial is not None:
            return self.initial
        told = any(v is not None for v in (self.initial_mean, self.initial_cov, self.diffuse))
        learnt = self.transition is None or bool(np.isnan(np.asarray(self.transition, float)).all())
        constant = isinstance(self.process_cov, str) or np.ndim(self.process_cov) < 3
        stationary = self.method == "mle" and learnt and constant and not told
        return "stationary" if stationary else "known"

    def _problem(self, data: Sequences, covariates: Array | None, spec: Specification) -> Problem:
        rows = int((~np.isnan(data.values)).any(1).sum())
        if spec.learns(*NAMES) and rows < self.n_states + 2:
            raise ValueError(
                f"{rows} observed rows are too few for {self.n_states} state(s), which need at least "
                f"{self.n_states + 2}; lower n_states"
            )
        parts = data.split(covariates)
        pieces = [Part(data.array(i), part, self.n_states) for i, part in enumerate(parts)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a channel without any value
            spread, size = np.nanstd(data.values, axis=0), np.nanmax(np.abs(data.values), axis=0)
        for channel in np.flatnonzero(np.isnan(spread)):
            if spec.free["observation"][channel].any():
                raise ValueError(
                    f"channel {data.columns[channel]!r} has no observed value, so its row of the observation "
                    "cannot be learnt; leave it out, or give that row"
                )
        size = np.maximum(np.nan_to_num(size), 1e-140)
        variances = np.maximum(np.nan_to_num(spread), 1e-8 * size) ** 2
        floor = np.maximum(SMALL * variances, (1e-9 * size) ** 2)
        return Problem(pieces, spec, variances, floor)

    def _search(self, problem: Problem, trial: int) -> Fit:
        at_random = trial > 0 or self.start == "random"
        rng = np.random.default_rng([self.seed, trial]) if at_random else None
        values = starting_values(problem, rng)
        spec = problem.spec
        if spec.diffuse.any() and scale_is_open(spec, values):
            raise ValueError(
                "under a diffuse start the states can be stretched without end, and the likelihood with them; "
                'give the observation (or the process_cov), or use initial="known"'
            )
        tol = TOLERANCE[self.method] if self.tol is None else float(self.tol)
        if self.method == "em":
            return em.run(
                problem, values, max_iter=self.max_iter, tol=tol, accelerate=self.accelerate
            )
        return gradient.run(
            problem, gradient.warmed_up(problem, values, WARM_UP), max_iter=self.max_iter, tol=tol
        )

    def _tell(self, fit: Fit) -> None:
        """Warn of what went wrong in the fit that is kept."""
        fall = em.least_increment(fit.history)
        if self.method == "em" and fall < -1e-9:
            warnings.warn(
                f"the log-likelihood fell by {-fall:.1e} of its size in an EM step, which must not be: the system is "
                "nearly singular; scale the data, lower n_states or fix more elements",
                ConvergenceWarning, stacklevel=6,
            )  # fmt: skip
        if not fit.converged:
            last = fit.history[-1] - fit.history[-2] if len(fit.history) > 1 else np.nan
            warnings.warn(
                f"{self.method.upper()} stopped after {len(fit.history) - 1} iterations while the log-likelihood still "
                f"rose by {last:.2g}; raise max_iter (now {self.max_iter}) or tol, lower n_states, or settle the start "
                f"otherwise than by initial={self._kind()!r}",
                ConvergenceWarning, stacklevel=6,
            )  # fmt: skip

    # -- what was learnt -------------------------------------------------------------------------

    def _values(self) -> Values:
        return {name: vars(self)[f"{name}_"] for name in NAMES}

    @property
    def aic_(self) -> float:
        """Akaike's criterion, -2 log L + 2 k with k = `n_parameters_`."""
        return information("aic", self.log_likelihood_, self.n_parameters_, self._observed)

    @property
    def bic_(self) -> float:
        """Schwarz's criterion, -2 log L + k log N with N the number of observed values."""
        return information("bic", self.log_likelihood_, self.n_parameters_, self._observed)

    @property
    def standard_errors_(self) -> Values:
        """Standard errors by name of the matrix: 0 for what was given, NaN for what the data do not determine."""
        self._fitted()
        if "_data" not in vars(self):
            raise ValueError("a model made from parameters has no standard errors; fit it")
        inputs = 0 if self._seen_inputs is None else self._seen_inputs.shape[1]
        spec = self._specify(len(self._data.columns), inputs)
        problem = self._problem(self._data, self._seen_inputs, spec)
        return standard_errors(problem, self._values())

    # -- hooks of the state-space base -----------------------------------------------------------

    def _system(
        self, position: int, clock: int, length: int, covariates: Array | None
    ) -> kalman.System:
        return build(self._values(), self._start, covariates, clock, length)

    def _state_names(self) -> list[str]:
        return [f"state{i}" for i in range(self.n_states)]


def _size(name: str, value: Any) -> int:
    """How many states, or outputs, a matrix is for: the last axis of A, the one before the last of C."""
    ndim = np.ndim(value)
    if ndim not in (0, 2, 3):
        raise ValueError(
            f"{name} must be a matrix, or matrices with time first; got shape {np.shape(value)}"
        )
    return 1 if ndim == 0 else int(np.shape(value)[-1 if name == "transition" else -2])


def _kind_of_start(mean: Any, cov: Any, diffuse: Any) -> Literal["known", "stationary"]:
    if cov is None and diffuse is None:
        if mean is not None:
            raise ValueError("initial_mean was given without initial_cov; give both, or neither")
        return "stationary"
    return "known"


def _named(names: Iterable[Hashable] | None, count: int, what: str) -> tuple[Hashable, ...]:
    if names is None:
        return (None,) if count == 1 else tuple(range(count))
    named = tuple(names)
    if len(named) != count:
        raise ValueError(f"{what} has {len(named)} names, expected {count}: {list(named)}")
    return named


# The field leaves its default on the class, where it would hide the verb that it is named like.
del LDS.fit
