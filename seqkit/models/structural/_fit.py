"""Maximum likelihood of a structural model: starting values, the search, borders and standard errors."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from seqkit.data.sequences import Array
from seqkit.persistence import Record

from ._blocks import Block, Parameter
from ._starts import hills
from ._system import WIDE, Assembly, Space, sizes_of

EXACT = 1e-24  # of the squared size of the data: what is left of a series that the model fits without error
STEPS = 200  # of a search
_NEAR = 1e-10  # gain in log-likelihood, relative to its size, at which a search has arrived
_HOPE = 5.0  # times what a step promises: the most that a hill is thought to have left after three steps


@dataclasses.dataclass(eq=False)
class StructuralFit(Record):
    """Estimates of one series.

    ``values`` (parameters,) in the order of ``names``; ``learnt`` tells those that were estimated and are not on
    a border, ``estimated`` how many were to be learnt. ``rows`` counts observed values, ``unknown`` the diffuse
    states. ``mean``, ``cov`` are those of the filtered state of the last row, ``sizes`` (inputs,) the units in which
    coefficients are diffuse, None without covariates; ``wide`` is the variance at the start of states that are slow to
    show.
    """

    names: tuple[str, ...]
    values: Array
    learnt: Array
    estimated: int
    log_likelihood: float
    history: Array
    rows: int
    unknown: int
    converged: bool
    mean: Array
    cov: Array
    sizes: Array | None
    wide: float

    @property
    def parameters(self) -> dict[str, float]:
        return dict(zip(self.names, self.values.tolist(), strict=True))

    def criterion(self, name: str) -> float:
        """AIC or BIC; diffuse states count as parameters, for they are estimated too."""
        weight = 2.0 if name == "aic" else float(np.log(self.rows))
        return weight * (self.estimated + self.unknown) - 2.0 * self.log_likelihood


class Likelihood:
    """The log-likelihood of `y` (T,), NaN where missing, by the values of an assembly's parameters.

    It is taken in units in which the data have a spread near one: a power of two, so that data in other units
    give the same search to the last digit.
    """

    def __init__(self, assembly: Assembly, y: Array, inputs: Array | None) -> None:
        seen = y[~np.isnan(y)]
        size = float(np.abs(seen).max(initial=0.0))
        spread = float(np.std(seen / size)) if size > 0.0 else 1.0
        self.unit = 2.0 ** round(np.log2((spread if spread > 1e-10 else 1.0) * (size or 1.0)))
        self.assembly, self.rows = assembly, len(seen)
        self.freedom = self.rows - assembly.unknown
        self.floor = EXACT * ((size / self.unit) ** 2 or 1.0)
        self._y = y / self.unit
        self._observation = assembly.observation(inputs)

    def within(self, parameters: list[Parameter]) -> list[Parameter]:
        """The parameters, given variances in these units."""
        unit = self.unit**2
        return [
            dataclasses.replace(p, given=p.given / unit) if p.kind == "variance" and p.given else p
            for p in parameters
        ]

    def back(self, values: Array, *, inverse: bool = False) -> Array:
        """Values in the units of the data; the inverse takes them there."""
        unit = self.unit ** (-2 if inverse else 2)
        return np.where(self.assembly.variances, values * unit, values)

    def in_units_of_data(self, log_likelihood: Any) -> Any:
        """A log-likelihood with its Jacobian; the diffuse steps have only the units of the covariates."""
        return log_likelihood - self.freedom * float(np.log(self.unit)) - self.assembly.offset

    def at(self, space: Space, x: Array) -> Point:
        """The likelihood around x."""
        values, slope = space.values(x), space.jacobian(x)
        value, _, gradient, information, *end = self.assembly.differentiate(
            values, space.free, self._y, self._observation
        )
        return Point(x, values, value, gradient @ slope, slope.T @ information @ slope, *end)

    def rescaled(self, values: Array) -> tuple[float, float]:
        """The factor c that suits all variances of `values` best, and the log-likelihood with it.

        L(c) = L(1) - n/2 log c - S/2 (1/c - 1) for n values beyond the diffuse steps with S = sum v^2 / F; the
        best c is S/n. Where a variance other than zero is given, c is 1.
        """
        nothing = np.zeros(0, dtype=int)
        value, squares, *_ = self.assembly.differentiate(
            values, nothing, self._y, self._observation
        )
        if any(p.kind == "variance" and p.given for p in self.assembly.parameters):
            return 1.0, value
        n = self.freedom
        scale = max(squares / n, 1e-300)
        return scale, value - 0.5 * (n * np.log(scale) + n - squares)


@dataclasses.dataclass(frozen=True, eq=False)
class Point:
    """Free variables x, all parameter values, the log-likelihood, its gradient and information in x.

    `unknown` is the rank of what is diffuse after the last row, `mean` and `cov` are of the state filtered there.
    """

    x: Array
    values: Array
    value: float
    gradient: Array
    information: Array
    unknown: int
    mean: Array
    cov: Array


def fit_blocks(
    blocks: Sequence[Block], observation_var: float | None, y: Array, inputs: Array | None
) -> StructuralFit:
    """Estimate the parameters of a sum of blocks that are not given, from y (T,) in model units.

    Raises
    ------
    ValueError : too few observed values, or values that leave a state undetermined.
    """
    sizes = sizes_of(None if inputs is None else inputs[~np.isnan(y)])
    assembly = Assembly(blocks, observation_var, sizes)
    likelihood = Likelihood(assembly, y, inputs)
    parameters = likelihood.within(assembly.parameters)
    space = Space(parameters)
    if likelihood.rows < assembly.unknown + max(len(space), 1):
        raise ValueError(too_few(likelihood.rows, assembly.unknown, len(space)))
    if not len(space) and not any(p.given for p in parameters if p.kind == "variance"):
        raise ValueError(NOTHING_RANDOM)
    search = Search(likelihood, space, parameters)
    best = search.best
    if best.unknown:
        raise ValueError(
            f"the values leave {best.unknown} of {assembly.unknown} states undetermined (a season that is never seen, "
            "or a covariate that repeats another component); leave a component or covariate out"
        )
    learnt = np.zeros(len(parameters), dtype=bool)
    learnt[space.free] = ~space.variance | (best.x > 0.0)
    return StructuralFit(
        names=tuple(p.name for p in parameters), values=likelihood.back(best.values), learnt=learnt,
        estimated=len(space), log_likelihood=likelihood.in_units_of_data(best.value),
        history=likelihood.in_units_of_data(np.array(search.history)), rows=likelihood.rows,
        unknown=assembly.unknown, converged=search.converged, mean=best.mean * likelihood.unit,
        cov=(best.cov + best.cov.T) * (0.5 * likelihood.unit**2), sizes=sizes, wide=WIDE * likelihood.unit**2,
    )  # fmt: skip


def fit_local_level(
    y: Array, level_var: float | None, observation_var: float | None
) -> StructuralFit:
    """The same for a local level alone, by a search of its own."""
    from seqkit.kernels.local_level import maximise

    seen = y[~np.isnan(y)]
    given = (level_var, observation_var)
    estimated = given.count(None)
    if len(seen) < 1 + max(estimated, 1):
        raise ValueError(too_few(len(seen), 1, estimated))
    if not any(v is None or v > 0 for v in given):
        raise ValueError(NOTHING_RANDOM)
    floor = EXACT * (float(np.abs(seen).max()) ** 2 or 1.0)
    level, observation, value, mean, var, history = maximise(y, level_var, observation_var, floor)
    values = np.array([level, observation])
    return StructuralFit(
        names=("level_var", "observation_var"), values=values,
        learnt=np.array([v is None for v in given]) & (values > 0.0), estimated=estimated, log_likelihood=value,
        history=history, rows=len(seen), unknown=1, converged=True,
        mean=np.array([mean]), cov=np.array([[var]]), sizes=None, wide=WIDE,
    )  # fmt: skip


def standard_errors(
    blocks: Sequence[Block], fit: StructuralFit, y: Array, inputs: Array | None
) -> Array:
    """Of all parameters, by the information matrix (Harvey 1989, section 3.4.5) and the delta method.

    NaN for those that were given, and for variances at zero, where there is no normal law.
    """
    assembly = Assembly(blocks, None, fit.sizes)
    likelihood = Likelihood(assembly, y, inputs)
    parameters = [
        dataclasses.replace(p, given=p.given if learnt else float(value))
        for p, value, learnt in zip(assembly.parameters, fit.values, fit.learnt, strict=True)
    ]
    space = Space(likelihood.within(parameters))
    errors = np.full(len(parameters), np.nan)
    if len(space):
        x = space.locate(likelihood.back(fit.values, inverse=True))
        slope = space.jacobian(x)
        cov = slope @ np.linalg.pinv(likelihood.at(space, x).information, hermitian=True) @ slope.T
        errors[space.free] = np.sqrt(np.maximum(np.diagonal(cov), 0.0))
    return likelihood.back(errors)


NOTHING_RANDOM = (
    "all variances are given as 0, so nothing random is left; give one, or None to learn it"
)


def too_few(rows: int, unknown: int, estimated: int) -> str:
    """What to say of a series that is too short."""
    return (
        f"needs at least {unknown + max(estimated, 1)} observed values for {unknown} unknown state(s) at the start "
        f"and {estimated} parameter(s), got {rows}; give a longer series or fewer components"
    )


class Search:
    """Fisher's scoring with Levenberg and Marquardt's damping; variances stay at zero or above.

    A variance at zero whose likelihood falls from there is left alone, the others take the step
    (I + m diag I)^-1 g, clipped at zero; m grows until the likelihood does not fall. In the variances scoring needs
    few steps: of a common scale it finds the best in one. Near the top the information is corrected by the
    curvature that was met.

    Attributes
    ----------
    best : the top of the highest hill found.
    history : log-likelihood after every step that was taken to it.
    converged : whether no step from it promises a gain.
    """

    def __init__(self, likelihood: Likelihood, space: Space, parameters: list[Parameter]) -> None:
        self.likelihood, self.space, self.parameters = likelihood, space, parameters
        self._bends: list[tuple[Array, Array]] = []  # steps, and how the gradient fell over them
        first, *others = hills(parameters)
        self.best, exact = self._start(first)
        self.history, self.converged = [self.best.value], True
        if exact or not len(space):
            return
        self.best, self.history, self.converged = self._climb(self.best)
        for guesses in others:
            start, _ = self._start(guesses)
            zero = space.variance & (start.x == 0.0)
            if zero.any():  # along the border first, lest the first steps leave the hill
                start, _, arrived = self._climb(start, self.best.value, zero)
                if not arrived:
                    continue
            best, history, converged = self._climb(start, self.best.value)
            if best.value > self.best.value + _NEAR * (1.0 + abs(best.value)):
                self.best, self.history, self.converged = best, history, converged

    def _climb(
        self, best: Point, beat: float = -np.inf, held: Array | None = None
    ) -> tuple[Point, list[float], bool]:
        """From a point to the top of its hill, or as far as is needed to see that it will not `beat` another.

        Free variables that are `held` stay where they are.
        """
        history, damping, promised = [best.value], 0.0, np.inf
        self._bends = []
        for _ in range(STEPS):
            step, promised = self._step(best, damping, held)
            if promised <= _NEAR * (1.0 + abs(best.value)) or damping > 1e8:
                break
            if len(history) > 3 and best.value + _HOPE * promised < beat:
                break
            point = self._try(best, step)
            if point is not None and point.value > best.value:
                if promised < 0.1:
                    bend = (point.x - best.x, best.gradient - point.gradient)
                    self._bends = [*self._bends[-12:], bend]
                best, damping = point, 0.0 if damping < 1e-3 else 0.1 * damping
                history.append(best.value)
            else:
                damping = max(10.0 * damping, 1e-3)
        return best, history, promised <= 1e-6 * (1.0 + abs(best.value))

    def _step(self, point: Point, damping: float, held: Array | None = None) -> tuple[Array, float]:
        """The step from a point, and the gain that it promises without damping."""
        gradient, space = point.gradient, self.space
        stays = space.variance & (point.x <= 0.0) & (gradient <= 0.0)
        stays |= (np.abs(point.x) >= space.farthest) & (gradient * point.x > 0.0)
        moves = np.flatnonzero(~stays if held is None else ~(stays | held))
        step = np.zeros(len(point.x))
        if not len(moves):
            return step, 0.0
        information = point.information[np.ix_(moves, moves)]
        for way, fall in self._bends:
            information = _bent(information, way[moves], fall[moves])
        size = np.sqrt(np.maximum(np.diagonal(information), 1e-300))
        information = information / (size[:, None] * size) + 1e-9 * np.eye(len(moves))
        scaled = gradient[moves] / size
        move = np.linalg.solve(information, scaled)
        promised = 0.5 * float(scaled @ move)
        if damping:
            move = np.linalg.solve(information + damping * np.eye(len(moves)), scaled)
        step[moves] = move / size
        return step, promised

    def _try(self, point: Point, step: Array) -> Point | None:
        """The point after a step, within bounds; None where no noise would be left."""
        space = self.space
        x = np.clip(point.x + step, -space.farthest, space.farthest)
        x[space.variance] = np.maximum(x[space.variance], 0.0)
        values = space.values(x)
        if not values[self.likelihood.assembly.variances].max() > self.likelihood.floor:
            return None
        return self.likelihood.at(space, x)

    # -- where to begin --------------------------------------------------------------------------

    def _start(self, guesses: list[Array]) -> tuple[Point, bool]:
        """The best of some guesses, on its best scale; and whether the model fits the data without error."""
        found = [(*self.likelihood.rescaled(guess), guess) for guess in guesses]
        scale, _, values = max(found, key=lambda each: each[1])
        space, variances = self.space, self.likelihood.assembly.variances
        values = np.where(variances, values * scale, values)
        x = space.locate(values)
        exact = values[variances].max() <= self.likelihood.floor
        if exact:  # no noise but the floor, in the last of the variances
            x[space.variance] = 0.0
            x[np.flatnonzero(space.variance)[-1]] = self.likelihood.floor
        return self.likelihood.at(space, x), exact


def _bent(information: Array, way: Array, fall: Array) -> Array:
    """The information corrected by what the gradient did over a step (Broyden, Fletcher, Goldfarb & Shanno)."""
    along = information @ way
    expected, seen = way @ along, way @ fall
    if not seen > 0.1 * expected or not expected > 0.0:
        return information
    return information - np.outer(along, along) / expected + np.outer(fall, fall) / seen
