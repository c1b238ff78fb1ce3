"""Motion of a point, followed through noisy and partly missing positions."""

from __future__ import annotations

import dataclasses
from math import factorial
from typing import ClassVar

import numpy as np

from seqkit.data.sequences import Array, Sequences
from seqkit.kernels import kalman
from seqkit.models.diagnostics import information

from .base import StateSpaceForecaster

_RATIOS = 10.0 ** np.arange(-6, 5)  # process to observation variance, tried before the search


@dataclasses.dataclass(eq=False, repr=False)
class _Motion(StateSpaceForecaster):
    """Shared by the motion models: every channel is one coordinate, observed with noise."""

    step: float = 1.0
    process_var: float | None = None
    observation_var: float | None = None

    _derivatives: ClassVar[tuple[str, ...]] = ()

    @property
    def pooled(self) -> bool:
        return True

    # -- learning --------------------------------------------------------------------------------

    def _learn(self, data: Sequences, covariates: Array | None) -> None:
        self._check(covariates)
        self._outputs = len(data.columns)
        order = 1 + len(self._derivatives)
        counts = [(~np.isnan(data.array(i))).sum(0) for i in range(len(data))]
        free = int(sum(np.maximum(count - order, 0).sum() for count in counts))
        given = {"process_var": self.process_var, "observation_var": self.observation_var}
        learnt = [name for name, value in given.items() if value is None]
        if free < max(len(learnt), 1):
            raise ValueError(
                f"a {type(self).__name__} needs at least {order + max(len(learnt), 1)} observed positions of a "
                f"coordinate, got {max(count.max() for count in counts)}; give a longer series"
            )
        self._observed = int(sum(count.sum() for count in counts))
        self._diffuse = self._observed - free
        series = [data.array(i) for i in range(len(data))]
        size = float(np.nanmax(np.abs(data.values))) or 1.0
        variances = self._search(series, given, learnt, free, (1e-8 * size) ** 2)
        self.params_ = dict(zip(given, variances.tolist(), strict=True))
        self.log_likelihood_, _ = self._score(series, variances)

    def _check(self, covariates: Array | None) -> None:
        if covariates is not None:
            raise ValueError(f"{type(self).__name__} does not use covariates; leave them out")
        if not (isinstance(self.step, (int, float)) and 0 < self.step < np.inf):
            raise ValueError(f"step must be a positive length of time, got {self.step!r}")
        for name in ("process_var", "observation_var"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, (int, float)) and 0 <= value < np.inf):
                raise ValueError(
                    f"{name} must be None (learnt) or a number of at least 0, got {value!r}"
                )
        if self.process_var == 0 and self.observation_var == 0:
            raise ValueError(
                "process_var and observation_var are both 0; at least one must be positive"
            )

    def _search(
        self, series: list[Array], given: dict[str, float | None], learnt: list[str], free: int, least: float
    ) -> Array:  # fmt: skip
        """The variances (process, observation) of the highest likelihood, from the best of a grid."""
        from scipy.optimize import minimize

        known = np.array([np.nan if v is None else float(v) for v in given.values()])
        if not learnt:
            return known
        unknown = np.isnan(known)
        trials = [self._scaled(series, known, ratio, free, least) for ratio in _RATIOS]
        begin = max(trials, key=lambda variances: self._score(series, variances)[0])

        def loss(x: Array) -> tuple[float, Array]:
            variances = known.copy()
            variances[unknown] = np.exp(x)
            value, slope = self._score(series, variances)
            return -value / free, -(slope * variances)[unknown] / free

        low = np.log(np.array([1e-12 * least, least]))[unknown]
        start = np.maximum(np.log(np.maximum(begin[unknown], 1e-300)), low)
        bounds = [(bound, None) for bound in low]
        options = {"ftol": 1e-14, "gtol": 1e-9}
        found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
        known[unknown] = np.exp(found.x)
        return known

    def _scaled(
        self, series: list[Array], known: Array, ratio: float, free: int, least: float
    ) -> Array:
        """Variances of a ratio: around the one that is given, or with the best common scale."""
        if not np.isnan(known).all():
            other = known[~np.isnan(known)][0] or 1.0
            return np.where(np.isnan(known), other * ratio, known)
        unit = np.array([ratio, 1.0])
        slope = self._score(series, unit)[1] @ unit  # = (S / s - N) / 2 at s = 1
        return unit * max((2 * slope + free) / free, least)

    def _score(self, series: list[Array], variances: Array) -> tuple[float, Array]:
        """Log-likelihood and its slope in the two variances."""
        total, slope = 0.0, np.zeros(2)
        system = self._matrices(variances)
        unit = self._matrices(np.ones(2))
        for y in series:
            found = kalman.score(system, y)
            total += found.log_likelihood
            slope += (found.process_cov * unit.process_cov).sum(), np.trace(found.observation_cov)
        return total, slope

    # -- the system ------------------------------------------------------------------------------

    def _matrices(self, variances: Array) -> kalman.System:
        order, m, s = 1 + len(self._derivatives), self._outputs, float(self.step)
        lag = np.arange(order) - np.arange(order)[:, None]
        move = np.where(lag >= 0, s ** np.maximum(lag, 0) / _factorials(np.maximum(lag, 0)), 0.0)
        left = order - 1 - np.arange(order)  # integral of the response to white noise over one step
        power = left[:, None] + left + 1
        noise = s**power / (power * np.outer(_factorials(left), _factorials(left)))
        every, n = np.eye(m), order * m
        return kalman.System(
            transition=np.kron(every, move), observation=np.kron(every, np.eye(1, order)),
            process_cov=variances[0] * np.kron(every, noise), observation_cov=variances[1] * every,
            initial_mean=np.zeros(n), initial_cov=np.zeros((n, n)), diffuse=np.eye(n),
        )  # fmt: skip

    def _system(
        self, position: int, clock: int, length: int, covariates: Array | None
    ) -> kalman.System:
        return self._matrices(np.array(list(self.params_.values())))

    def _state_names(self) -> list[str]:
        names = [f"y{i}" if c is None else str(c) for i, c in enumerate(self._fitted().columns)]
        parts = ("", *(f".{name}" for name in self._derivatives))
        return [name + part for name in names for part in parts]

    # -- what was learnt -------------------------------------------------------------------------

    def _count(self) -> int:
        return self._diffuse + [self.process_var, self.observation_var].count(None)

    @property
    def aic_(self) -> float:
        """Akaike's criterion; diffuse states count as parameters."""
        return information("aic", self.log_likelihood_, self._count(), self._observed)

    @property
    def bic_(self) -> float:
        """Schwarz's criterion; diffuse states count as parameters."""
        return information("bic", self.log_likelihood_, self._count(), self._observed)

    @property
    def standard_errors_(self) -> dict[str, float]:
        """From the information matrix; 0 for a variance that was given, NaN at the edge of zero."""
        self._fitted()
        series = [self._data.array(i) for i in range(len(self._data))]
        at = np.array(list(self.params_.values()))
        unknown = np.array([self.process_var is None, self.observation_var is None])
        columns = []
        for j in np.flatnonzero(unknown):
            shift = np.where(np.arange(2) == j, 1e-4 * at[j], 0.0)
            high, low = (self._score(series, at + sign * shift)[1] for sign in (1, -1))
            columns.append((low - high)[unknown] / (2 * shift[j]))
        errors = np.zeros(2)
        curvature = np.array(columns).reshape(len(columns), -1)
        scale = np.outer(at[unknown], at[unknown])
        values, vectors = np.linalg.eigh((curvature + curvature.T) / 2 * scale)
        inverse = (vectors**2 / np.where(values > 1e-6, values, np.nan)).sum(1)
        errors[unknown] = at[unknown] * np.sqrt(inverse)
        return dict(zip(self.params_, errors.tolist(), strict=True))


def _factorials(numbers: Array) -> Array:
    return np.vectorize(factorial, otypes=[float])(numbers)


@dataclasses.dataclass(eq=False, repr=False)
class ConstantVelocity(_Motion):
    r"""Motion with a velocity that wanders: white-noise acceleration in continuous time.

    .. math::

        h_t = \begin{pmatrix} 1 & s \\ 0 & 1 \end{pmatrix} h_{t-1} + w_t, \quad
        w_t \sim N\left(0, q \begin{pmatrix} s^3/3 & s^2/2 \\ s^2/2 & s \end{pmatrix}\right), \quad
        y_t = (1, 0) h_t + v_t, \quad v_t \sim N(0, r)

    for every channel, which is one coordinate with position and velocity; s is the time between two rows (Bar-Shalom,
    Li & Kirubarajan 2001, section 6.2.2). The start is exactly diffuse; missing positions are marginalised.

    Parameters
    ----------
    step : s, the unit in which velocities are counted being what a step of 1 is.
    process_var : q, power of the acceleration; None to learn it by maximum likelihood.
    observation_var : r, variance of an observed position; None to learn it.

    The two variances are the same for all coordinates and, in a panel, for all series.

    Attributes
    ----------
    params_ : {"process_var": q, "observation_var": r}; standard_errors_, log_likelihood_, aic_, bic_, in model units.

    Raises
    ------
    ValueError : variances that are negative, and series too short.

    Examples
    --------
    >>> import numpy as np, pandas as pd, seqkit
    >>> t = np.arange(40.0)
    >>> seen = pd.DataFrame({"east": 2 * t, "north": 5 - t}) + np.random.default_rng(0).normal(size=(40, 2))
    >>> track = seqkit.ConstantVelocity(process_var=1e-6).fit(seen)
    >>> track.decode()[["east.velocity", "north.velocity"]].iloc[-1].round(1).tolist()
    [2.0, -1.0]
    """

    _derivatives: ClassVar[tuple[str, ...]] = ("velocity",)


@dataclasses.dataclass(eq=False, repr=False)
class ConstantAcceleration(_Motion):
    r"""Motion with an acceleration that wanders: white-noise jerk in continuous time.

    .. math::

        h_t = \begin{pmatrix} 1 & s & s^2/2 \\ 0 & 1 & s \\ 0 & 0 & 1 \end{pmatrix} h_{t-1} + w_t, \quad
        w_t \sim N\left(0, q \begin{pmatrix} s^5/20 & s^4/8 & s^3/6 \\ s^4/8 & s^3/3 & s^2/2 \\
        s^3/6 & s^2/2 & s \end{pmatrix}\right), \quad y_t = (1, 0, 0) h_t + v_t, \quad v_t \sim N(0, r)

    for every channel: position, velocity and acceleration of one coordinate (Bar-Shalom, Li & Kirubarajan 2001,
    section 6.2.3). Parameters, attributes and errors as for `ConstantVelocity`, q being the power of the jerk.

    Examples
    --------
    >>> import numpy as np, seqkit
    >>> height = 100 - 4.9 * np.arange(0, 4, 0.1) ** 2
    >>> fall = seqkit.ConstantAcceleration(step=0.1, process_var=1e-9, observation_var=1e-4).fit(height)
    >>> round(float(fall.decode()["y0.acceleration"].iloc[-1]), 3)
    -9.8
    """

    _derivatives: ClassVar[tuple[str, ...]] = ("velocity", "acceleration")
