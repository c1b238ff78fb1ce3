"""What AR and VAR share: y_t = d_t beta + sum_i phi_i y_{t-i} + e_t, e ~ N(0, sigma), with k channels.

Fitting is least squares through the lag products of `kernels.autoregression`; prediction of what is
partly missing goes through the companion filter; forecasts are exact joint normals, or bootstrapped paths.
"""

from __future__ import annotations

import dataclasses
import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from seqkit.base import check_count
from seqkit.data.calendar import Calendar
from seqkit.data.scaling import Identity
from seqkit.data.sequences import Array, Sequences
from seqkit.distributions import Distribution, Empirical, JointNormal, Normal, stack
from seqkit.kernels import autoregression as kernel

from .exact_ar import regress
from .linear_fit import (
    LinearFit,
    Memory,
    carry,
    error_factor,
    finish,
    information,
    maximum,
    mean_of,
    root,
    stack_phi,
    trim,
)  # fmt: skip
from .linear_results import LinearResults

if TYPE_CHECKING:
    from seqkit.models.state_space.lds import LDS

Order = int | Sequence[int] | Literal["aic", "bic", "hqic"]
_ONE = np.ones(1)
COMPILED_FROM = 100_000  # multiplications
CRITERIA = ("aic", "bic", "hqic")
TRENDS = {"n": (), "c": ("const",), "t": ("trend",), "ct": ("const", "trend")}


@dataclasses.dataclass(eq=False, repr=False)
class Autoregression(LinearResults):
    """Shared fields and verbs of AR and VAR."""

    order: Order = "aic"
    trend: Literal["n", "c", "t", "ct"] = "c"
    season: int | None = None
    ridge: float = 0.0
    max_order: int | None = None
    panel: Literal["each", "global"] = "each"
    intervals: Literal["normal", "bootstrap"] = "normal"
    draws: int = 1000
    seed: int = 0

    @property
    def _exact(self) -> bool:
        """Whether `log_likelihood_` counts every observed row."""
        return False

    @property
    def pooled(self) -> bool:
        return self.panel == "global"

    def fit(self, x: Any, y: None = None, *, covariates: Any = None) -> Self:
        """Learn from the observed sequence(s) `x`; see `Forecaster.fit`."""
        data = self._intake(x, "x")
        super().fit(data, y, covariates=covariates)
        self._original = None if isinstance(self.scale, Identity) else data  # for the Jacobian
        return self

    def to_state_space(self) -> LDS:
        """The fitted model as an `LDS` in companion form: exact likelihoods, states, parts of rows missing.

        It starts from the stationary law, which needs trend "n" or "c", neither season, covariates nor scaling, and
        roots outside the unit circle.
        """
        from ._companion import companion_model

        self._fitted()
        return companion_model(self)

    # -- fitting ---------------------------------------------------------------------------------

    def _fit(self, data: Sequences, covariates: Array | None) -> None:
        self._check()
        groups = [list(range(len(data)))] if self.pooled else [[i] for i in range(len(data))]
        parts = data.split(covariates)
        phases = [0] * len(data)
        if self.pooled and self.season:  # one season for all, wherever a series begins
            phases = [data.calendars[0].steps_to(c) for c in data.calendars]
        fits = []
        for members in groups:
            try:
                ys, fixed = [], []
                for i in members:
                    y, lead = trim(data.array(i))
                    columns = self._columns(lead, len(y), phases[i])
                    fixed.append(
                        columns if parts[i] is None else np.hstack([columns, parts[i][lead:]])
                    )
                    ys.append(y)
                fits.append(self._fit_group(ys, fixed))
            except ValueError as error:
                where = "" if data.single or self.pooled else f"{data.label(members[0])}: "
                raise ValueError(f"{where}{error}") from error
        self._fits, self._phases = fits, phases
        self._data, self._covariates = data, covariates
        self._memory = [self._remember(i, data, parts[i]) for i in range(len(data))]

    def _check(self) -> None:
        if isinstance(self.order, str) and self.order not in CRITERIA:
            raise ValueError(
                f"order must be an int, a list of lags or one of {', '.join(CRITERIA)}; got {self.order!r}"
            )
        if self.trend not in TRENDS:
            raise ValueError(f"trend must be one of {', '.join(TRENDS)}; got {self.trend!r}")
        if self.season is not None and (
            not isinstance(self.season, (int, np.integer)) or self.season < 2
        ):
            raise ValueError(
                f"season must be an integer of at least 2 (dummies per season) or None, got {self.season!r}"
            )
        number = isinstance(self.ridge, (int, float, np.number)) and self.ridge is not True
        if not number or not 0 <= self.ridge < np.inf:
            raise ValueError(f"ridge must be a finite number of at least 0, got {self.ridge!r}")
        if self.max_order is not None:
            check_count("max_order", self.max_order, 0)
        check_count("draws", self.draws, 1)
        check_count("seed", self.seed, 0)
        for name, known in (("panel", ("each", "global")), ("intervals", ("normal", "bootstrap"))):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"{name} must be one of {', '.join(known)}; got {getattr(self, name)!r}"
                )

    def _lags(self, rows: int, fixed: int, channels: int) -> tuple[Array, bool]:
        """The lags asked for, or all candidates and True where a criterion is to choose."""
        if isinstance(self.order, str):
            room = (rows - fixed - 2) // (channels + 1)  # rows left must exceed the regressors
            top = self.max_order
            if top is None:  # enough rows per coefficient that a recursion of them does not explode
                top = min(int(10 * np.log10(max(rows, 2))), rows // 5)
            if channels > 1 and self.max_order is None:
                top = int(12 * (rows / 100) ** 0.25)
            return np.arange(1, max(min(top, room), 0) + 1), True
        if isinstance(self.order, (int, np.integer)) and not isinstance(self.order, bool):
            if self.order < 0:
                raise ValueError(f"order must not be negative, got {self.order}")
            return np.arange(1, self.order + 1), False
        whole = isinstance(self.order, (list, tuple, range, np.ndarray)) and all(
            isinstance(lag, (int, np.integer)) and not isinstance(lag, bool) for lag in self.order
        )
        lags = np.unique(np.asarray(self.order, dtype=int)) if whole else np.zeros(1, int)
        if len(lags) == 0 or lags[0] < 1:
            raise ValueError(
                f"order must be an int, a list of lags (integers of at least 1) or one of {', '.join(CRITERIA)}; "
                f"got {self.order!r}"
            )
        return lags, False

    def _columns(self, start: int, length: int, phase: int = 0) -> Array:
        """Deterministic regressors of rows start, start + 1, .. of the fit: const 1, trend t + 1, dummies.

        `phase` is how many steps after the first series of the panel this one begins.
        """
        if self.trend == "c" and not self.season:
            return np.ndarray((length, 1), float, _ONE, 0, (0, 0))  # one number, seen as a column
        t = np.arange(start, start + length)
        columns = [np.ones(len(t)) if name == "const" else t + 1.0 for name in TRENDS[self.trend]]
        if self.season:
            first = 1 if "const" in TRENDS[self.trend] else 0
            columns += [
                ((t + phase) % self.season == j).astype(float) for j in range(first, self.season)
            ]
        return np.column_stack(columns) if columns else np.zeros((len(t), 0))

    def _column_names(self) -> list[str]:
        names = list(TRENDS[self.trend])
        if self.season:
            first = 1 if "const" in TRENDS[self.trend] else 0
            names += [f"s({j + 1},{self.season})" for j in range(first, self.season)]
        return names

    def _fit_group(self, ys: list[Array], fixed: list[Array]) -> LinearFit:
        """Least squares over one series, or over several that share one model."""
        return self._compiled(ys, fixed) or self._least_squares(ys, fixed)

    def _compiled(self, ys: list[Array], fixed: list[Array]) -> LinearFit | None:
        """Least squares in one compiled call, where a series is long and nothing but lags and a constant enters.

        Loading the compiled code takes half a second, so shorter work goes the way of `_least_squares`, which
        gives the same numbers; it also takes over where data are missing or the design is ill conditioned.
        """
        y, constant = ys[0], self.trend == "c"
        plain = self.trend in ("n", "c") and not self.season and fixed[0].shape[1] == int(constant)
        if len(ys) > 1 or not plain or self.ridge:
            return None
        lags, choose = self._lags(len(y), int(constant), y.shape[1])
        order = len(lags)
        work = y.size * y.shape[1] * (order + 1)
        if order == 0 or lags[-1] != order or work < COMPILED_FROM:
            return None
        from seqkit.kernels._autoregression_numba import fit_lags

        weight = information(str(self.order), 0.0, 1.0, len(y) - order) if choose else -1.0
        found = fit_lags(np.ascontiguousarray(y), order, constant, weight)
        worst, coef, inverse, rss, rows, criteria = found
        if worst <= kernel.ILL_CONDITIONED or rows <= coef.shape[1]:
            return None
        fit, k = LinearFit(), len(coef)
        fit.lags, fit.fixed, fit.rows = (
            lags[: (coef.shape[1] - int(constant)) // k],
            int(constant),
            rows,
        )
        fit.coef, fit.sigma = coef, rss / self._freedom(rows, coef.shape[1])
        fit.errors = np.sqrt(np.diagonal(fit.sigma)[:, None] * inverse)
        log_det = math.log(rss[0, 0] / rows) if k == 1 else np.linalg.slogdet(rss / rows)[1]
        fit.log_likelihood = float(maximum(rows, k, log_det))
        fit.criteria = criteria if choose else None
        return fit

    def _least_squares(self, ys: list[Array], fixed: list[Array]) -> LinearFit:
        k, q = ys[0].shape[1], fixed[0].shape[1]
        shift, complete = mean_of(ys)
        if "const" not in TRENDS[self.trend]:
            shift = np.zeros(k)
        lags, choose = self._lags(max(map(len, ys)), q, k)
        start = int(lags[-1]) if len(lags) else 0
        known_fixed = q == len(self._column_names())  # no covariates, which may be missing too
        whole = complete if known_fixed or not complete else None
        designs = [kernel.Design(y, d, lags, start, whole) for y, d in zip(ys, fixed, strict=True)]
        known, criteria = kernel.gram_of(designs, shift), None
        factor = kernel.factorise(designs, shift, known)
        if choose:
            criteria = self._criteria(factor, q, k, start)
            order = int(np.argmin(criteria))
            if order < start:
                designs, known = kernel.lower_order(designs, known, order, shift)
                lags, factor = designs[0].lags, kernel.factorise(designs, shift, known)
        if factor.rows <= factor.regressors:
            longest = max(map(len, ys))
            raise ValueError(
                f"{factor.rows} complete windows are too few for {factor.regressors} coefficients (longest series "
                f"{longest} steps, largest lag {designs[0].start}); lower the order, or use method='mle' or "
                "'yule-walker' where values are missing"
            )
        penalty = None
        if self.ridge:
            penalty = np.full(factor.regressors, float(self.ridge))
            penalty[: len(self._column_names())] = 0.0
        fit = finish(
            kernel.solve(factor, penalty),
            factor,
            lags,
            q,
            shift,
            "const" in TRENDS[self.trend],
            free=penalty is None,
        )
        fit.sigma = fit.sigma * factor.rows / self._freedom(factor.rows, factor.regressors)
        fit.errors = np.sqrt(np.diagonal(fit.sigma)[:, None] * fit.errors)
        fit.criteria = criteria
        return fit

    def _criteria(self, factor: kernel.Factor, q: int, k: int, start: int) -> Array:
        """The criterion of the nested orders 0 .. start, on the rows common to all, from one factor."""
        if factor.rows <= factor.regressors:
            raise ValueError(
                f"{factor.rows} complete windows are too few to choose among orders up to {start}; set max_order "
                "lower, or use an integer order with method='mle'"
            )
        cov = kernel.nested_rss(factor, q, k) / factor.rows
        size = cov[:, 0, 0] if k == 1 else np.linalg.det(cov)
        log_det = np.log(np.maximum(size, np.finfo(float).tiny))
        likelihood = maximum(factor.rows, k, log_det)
        parameters = k * (q + k * np.arange(len(cov)))
        return information(str(self.order), likelihood, parameters, factor.rows)

    @staticmethod
    @abstractmethod
    def _freedom(rows: int, regressors: int) -> int:
        """What residual sums of squares are divided by, for forecasts and standard errors."""

    # -- state -----------------------------------------------------------------------------------

    def _model(self, i: int) -> LinearFit:
        return self._fits[0] if self.pooled or len(self._fits) == 1 else self._fits[i]

    def _offset(
        self, fit: LinearFit, start: int, length: int, inputs: Array | None, phase: int
    ) -> Array:
        columns = self._columns(start, length, phase)
        return (columns if inputs is None else np.hstack([columns, inputs])) @ fit.beta.T

    def _remember(self, i: int, data: Sequences, inputs: Array | None) -> Memory:
        """The state after series i, filtered from the last p rows that are all observed (or from the start)."""
        fit, y = self._model(i), data.array(i)
        p, clock = fit.order, len(y)
        if p == 0 or (len(y) >= p and not np.isnan(y[-p:]).any()):
            return Memory(y[len(y) - p :][::-1].ravel(), None, clock, self._phases[i])
        complete = ~np.isnan(y).any(1)
        runs = np.convolve(complete, np.ones(p), "valid") == p if len(y) >= p else np.zeros(0, bool)
        begin = int(np.flatnonzero(runs)[-1]) + p if runs.any() else 0
        start = (
            Memory(y[begin - p : begin][::-1].ravel(), None, begin, self._phases[i])
            if runs.any()
            else self._prior(fit, y, 0, self._phases[i])
        )
        rest = None if inputs is None else inputs[begin:]
        return self._run(fit, start, y[begin:], rest, data.calendars[i].cut(begin, None))[1]

    def _prior(self, fit: LinearFit, y: Array, clock: int, phase: int) -> Memory:
        """The state before row `clock`, where `y` begins: stationary where there is such a law, else vague.

        It lies around the fixed terms fitted to `y` itself, continued backwards.
        """
        from seqkit.kernels.companion import stationary_covariance

        p, k = fit.order, fit.channels
        if p == 0:
            return Memory(np.zeros(0), None, clock, phase)
        mean = np.zeros((p, k))
        if self._column_names() and (~np.isnan(y).any(1)).any():
            beta = regress(y, self._columns(clock, len(y), phase))
            mean = self._columns(clock - p, p, phase) @ beta
        cov = stationary_covariance(fit.phi, fit.sigma)
        if cov is None:
            size = np.nan_to_num(np.nanvar(y, axis=0)) if np.isfinite(y).any() else np.zeros(k)
            cov = np.diag(np.tile(100 * (size + np.diag(fit.sigma)), p))
        return Memory(mean[::-1].ravel(), cov, clock, phase)

    def _run(
        self, fit: LinearFit, start: Memory, y: Array, inputs: Array | None, calendar: Calendar
    ) -> tuple[Normal, Memory]:
        """Predictive normals of `y`, whose rows are those of `calendar`, from `start` on; the state after it."""
        from seqkit.kernels.companion import companion_filter

        offset = self._offset(fit, start.clock, len(y), inputs, start.phase)
        if fit.order == 0:
            steps = Normal(offset, np.sqrt(np.diag(fit.sigma)))
            return steps, Memory(start.mean, None, start.clock + len(y), start.phase)
        unknown = np.isnan(offset).any(1)  # a covariate is missing
        if np.any(unknown & np.isnan(y).any(1)):
            row = int(np.argmax(unknown & np.isnan(y).any(1)))
            raise ValueError(
                f"series and covariates are both missing at {calendar.format(row)}, so what follows cannot be "
                "predicted; fill the covariates there"
            )
        offset = np.where(unknown[:, None], y, offset)  # any number will do: the row is observed
        n = len(start.mean)
        cov = np.zeros((n, n)) if start.cov is None else start.cov
        given = (y, offset, fit.phi, fit.sigma, start.mean, cov)
        args = [np.require(a, requirements=["C", "W"]) for a in given]  # others are compiled anew
        mean, variance, _, after, spread = companion_filter(*args)
        mean[unknown], variance[unknown] = np.nan, np.nan
        known = not spread.any()
        memory = Memory(after, None if known else spread, start.clock + len(y), start.phase)
        return Normal(mean, np.sqrt(variance)), memory

    def _observe(self, data: Sequences, covariates: Array | None) -> None:
        parts = data.split(covariates)
        memory = []
        for i, before in enumerate(self._memory):
            y, p, k = data.array(i), self._model(i).order, len(data.columns)
            if before.cov is None and not np.isnan(y).any():
                rows = np.concatenate([before.mean.reshape(p, k)[::-1], y])
                memory.append(
                    Memory(
                        rows[len(rows) - p :][::-1].ravel(),
                        None,
                        before.clock + len(y),
                        before.phase,
                    )
                )
            else:
                memory.append(self._run(self._model(i), before, y, parts[i], data.calendars[i])[1])
        self._memory = memory

    def _predictive(self, data: Sequences, positions: Array, covariates: Array | None) -> Normal:
        parts, steps = data.split(covariates), []
        for i, position in enumerate(positions.tolist()):
            calendar = data.calendars[i]
            clock = self._clock(position, calendar)
            steps.append(self._replay(position, data.array(i), clock, parts[i], calendar))
        mean, scale = [s.mean for s in steps], [s.scale for s in steps]
        return Normal(np.concatenate(mean), np.concatenate(scale))

    def _replay(
        self, position: int, y: Array, clock: int, inputs: Array | None, calendar: Calendar
    ) -> Normal:
        """One-step predictive normals, NaN for the first p rows after the first complete one."""
        fit, phase = self._model(position), self._phases[position]
        y, lead = trim(y)
        clock, inputs = clock + lead, None if inputs is None else inputs[lead:]
        if np.isnan(y).any():
            start = self._prior(fit, y, clock, phase)
            steps = self._run(fit, start, y, inputs, calendar.cut(lead, None))[0]
            mean, scale = steps.mean.copy(), steps.scale.copy()
        else:
            mean = self._offset(fit, clock, len(y), inputs, phase)
            for lag, phi in enumerate(fit.phi, start=1):
                mean[lag:] += y[:-lag] @ phi.T
            scale = np.tile(np.sqrt(np.diag(fit.sigma)), (len(y), 1))
        mean[: fit.order], scale[: fit.order] = np.nan, np.nan
        warm_up = np.full((lead, fit.channels), np.nan)
        return Normal(np.concatenate([warm_up, mean]), np.concatenate([warm_up, scale]))

    # -- forecasting -----------------------------------------------------------------------------

    def _forecast(self, horizon: int, covariates: Array | None) -> Distribution:
        fits = [self._model(i) for i in range(len(self._memory))]
        k, order = fits[0].channels, max(fit.order for fit in fits)
        past, shocks = np.zeros((len(fits), order, k)), np.empty((len(fits), horizon, k))
        for i, (fit, memory) in enumerate(zip(fits, self._memory, strict=True)):
            past[i, order - fit.order :] = memory.mean.reshape(fit.order, k)[::-1]
            inputs = None if covariates is None else covariates[i * horizon : (i + 1) * horizon]
            shocks[i] = self._offset(fit, memory.clock, horizon, inputs, memory.phase)
        if self.intervals == "bootstrap":
            return self._bootstrap(past, shocks)
        mean = kernel.continue_paths(stack_phi(fits), past, shocks)
        factor = error_factor(self._fits, horizon)
        doubt = np.zeros((len(fits), horizon * k, order * k))
        for i, (fit, memory) in enumerate(zip(fits, self._memory, strict=True)):
            if memory.cov is not None:
                doubt[i, :, : fit.order * k] = carry(fit, memory.cov, horizon)
        if doubt.any():
            factor = np.broadcast_to(factor, (len(fits), *factor.shape[1:]))
            factor = np.concatenate([factor, doubt], axis=2)
        return JointNormal(mean, factor)

    def _bootstrap(self, past: Array, shocks: Array) -> Distribution:
        """Paths driven by residuals drawn with replacement (Efron & Tibshirani 1993, section 8.5)."""
        parts, (_, horizon, k) = [], shocks.shape
        for i, memory in enumerate(self._memory):
            fit = self._model(i)
            residuals = self._residuals(i)
            residuals = residuals[~np.isnan(residuals).any(1)]
            residuals = residuals - residuals.mean(0)
            rng = np.random.default_rng([self.seed, i])
            drawn = residuals[rng.integers(len(residuals), size=(self.draws, horizon))]
            own_past = past[i, past.shape[1] - fit.order :]
            if memory.cov is not None:  # where the last rows are missing, they are drawn too
                doubt = rng.standard_normal((self.draws, len(memory.cov))) @ root(memory.cov).T
                own_past = own_past + doubt.reshape(-1, fit.order, k)[:, ::-1]
            parts.append(Empirical(kernel.continue_paths(fit.phi, own_past, shocks[i] + drawn)))
        return stack(parts)
