"""Kalman kernels: against the joint normal law by brute force, statsmodels, and their own limits."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, fields
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import oracles
import pandas as pd
import pytest
from oracles import joint, random_path, random_system, with_holes

from seqkit.kernels import kalman
from seqkit.kernels.kalman import System

Array = np.ndarray
close = np.testing.assert_allclose
DATASETS = Path(__file__).parents[1] / "datasets"


# The systems that every output is checked on.


@dataclass(frozen=True)
class Case:
    """A random system by its sizes, and data from it; `make` gives both."""

    n: int
    m: int
    length: int = 6
    seed: int = 0
    holes: float = 0.0
    rows: tuple[int, ...] = ()  # rows in which nothing is observed
    options: dict[str, Any] = field(default_factory=dict)

    def make(self) -> tuple[dict[str, Array], Array]:
        rng = np.random.default_rng([self.seed, self.n, self.m, self.length])
        values = random_system(rng, self.n, self.m, self.length, **self.options)
        y = random_path(values, self.length, rng)
        return values, with_holes(y, rng, self.holes, rows=self.rows)

    def __str__(self) -> str:
        extra = [f"{k}={v}" if v is not True else k for k, v in self.options.items()]
        gaps = ["holes"] * bool(self.holes or self.rows)
        return "-".join([f"{self.n}/{self.m}", f"T{self.length}", *gaps, *extra])


SOME = ("transition", "observation_cov", "state_intercept")
PROPER = [
    *(Case(n, m, holes=0.0) for n in (1, 2, 3, 4) for m in (1, 2, 3)),
    *(Case(n, m, 6, 1, 0.3, (2,)) for n in (1, 2, 3, 4) for m in (1, 2, 3)),
    *(Case(n, m, 6, 2, 0.3, (0,), {"varying": True}) for n in (1, 2, 4) for m in (1, 3)),
    *(Case(n, m, 5, 3, 0.2, (4,), {"diagonal": True}) for n in (2, 3) for m in (2, 3)),
    *(Case(n, 2, 6, 4, 0.2, (), {"varying": SOME, "diagonal": True}) for n in (1, 3)),
    Case(3, 2, 6, 5, 0.3, (), {"varying": ("observation",)}),
    Case(3, 2, 6, 5, 0.3, (), {"varying": ("process_cov", "observation_intercept")}),
    Case(2, 1, 5, 6, 0.0, (), {"exact": 1}),
    Case(3, 2, 5, 6, 0.3, (1,), {"exact": 1}),
    Case(4, 3, 5, 6, 0.2, (), {"exact": 2, "varying": True}),
    Case(3, 3, 5, 6, 0.0, (), {"exact": 1, "diagonal": True}),
    *(Case(n, 2, 6, 7, 0.3, (1,), {"singular_process": True}) for n in (1, 2, 4)),
    Case(4, 2, 6, 8, 0.3, (0, 1), {"singular_process": True, "varying": True}),
    Case(2, 2, 1, 9),
    Case(2, 2, 1, 9, 0.0, (0,)),
    Case(7, 2, 4, 10, 0.2),
    Case(9, 4, 3, 10, 0.2, (), {"varying": True}),
    Case(20, 3, 4, 10, 0.2),
    Case(36, 2, 3, 10, 0.2, (), {"diagonal": True}),
]
DIFFUSE = [
    Case(1, 1, 6, 20, 0.0, (), {"diffuse": 1}),
    Case(1, 1, 7, 20, 0.0, (0, 3), {"diffuse": 1}),
    Case(2, 1, 7, 20, 0.0, (), {"diffuse": 2}),
    Case(2, 1, 8, 22, 0.0, (0, 2), {"diffuse": 2}),
    Case(3, 1, 8, 20, 0.0, (1,), {"diffuse": 2, "varying": True}),
    Case(4, 1, 9, 21, 0.0, (2,), {"diffuse": 4}),
    Case(2, 2, 6, 20, 0.3, (), {"diffuse": 1}),
    Case(3, 2, 8, 23, 0.3, (0,), {"diffuse": 3}),
    Case(3, 2, 8, 20, 0.3, (), {"diffuse": 3, "diagonal": True}),
    Case(4, 3, 7, 20, 0.3, (0,), {"diffuse": 2, "varying": True}),
    Case(4, 2, 8, 24, 0.0, (), {"diffuse": 4, "varying": True}),
    Case(2, 3, 6, 20, 0.2, (), {"diffuse": 2, "singular_process": True}),
    Case(3, 1, 7, 20, 0.0, (), {"diffuse": 3, "singular_process": True, "diagonal": True}),
    Case(2, 1, 6, 20, 0.0, (), {"diffuse": 2, "exact": 1}),
    Case(7, 2, 7, 20, 0.1, (), {"diffuse": 5}),
]
ALL = [*PROPER, *DIFFUSE]
each_case = pytest.mark.parametrize("case", ALL, ids=str)


def same(actual: Any, expected: Array, tolerance: float = 1e-10) -> None:
    """Equal to `tolerance` of the largest element (of one, if that is less)."""
    expected = np.asarray(expected)
    scale = max(1.0, float(np.abs(expected).max(initial=0.0)))
    close(np.asarray(actual), expected, rtol=0, atol=tolerance * scale)


# The oracle itself.


@each_case
def test_the_oracle_agrees_with_generalised_least_squares(case):
    """Conditioning one by one against one linear solve, with regressors for a diffuse start."""
    values, y = case.make()
    exact = joint(values, y)
    if np.isnan(y).all() or (case.options.get("exact") and case in DIFFUSE):
        pytest.skip("needs a regular covariance of the observations")
    log_likelihood, mean, cov = oracles.flat_prior(values, y)
    assert np.abs(exact.given[-1].diffuse).max() < 1e-9, "choose a seed that determines the start"
    same(log_likelihood, exact.log_likelihood, 1e-11)
    same(mean, exact.path()[0], 1e-10)
    same(cov, exact.path()[1], 1e-10)


# Every output against the joint normal law.


@each_case
@pytest.mark.parametrize("form", ["covariance", "square-root"])
def test_filter_is_the_joint_gaussian(case, form):
    values, y = case.make()
    exact, found = joint(values, y), kalman.filter(System(**values), y, form=form)
    predicted, filtered = exact.states(-1), exact.states(0)
    same(found.log_density, exact.log_density)
    same(found.log_likelihood, exact.log_likelihood)
    same(found.predicted_mean, predicted[0])
    same(found.predicted_cov, predicted[1])
    same(found.filtered_mean, filtered[0])
    same(found.filtered_cov, filtered[1])
    steps = found.diffuse_rows
    assert found.diffuse_cov.shape == (steps, case.n, case.n)
    same(found.diffuse_cov, predicted[2][:steps])
    assert np.abs(predicted[2][steps:]).max(initial=0) < 1e-10
    for got, wanted in zip((found.end.mean, found.end.cov, found.end.diffuse), filtered,
                           strict=True):  # fmt: skip
        same(got, wanted[-1])


@each_case
def test_log_likelihood_is_the_joint_gaussian(case):
    values, y = case.make()
    for steady in (0, 1e-14):
        same(kalman.log_likelihood(System(**values), y, steady=steady),
             joint(values, y).log_likelihood)  # fmt: skip


@each_case
def test_smoother_is_the_joint_gaussian(case):
    values, y = case.make()
    exact, found = joint(values, y), kalman.smooth(System(**values), y, lag_one=True)
    mean, cov, _ = exact.states()
    same(found.mean, mean)
    same(found.cov, cov)
    same(found.lag_one_cov, exact.lag_one_cov())
    same(found.log_likelihood, exact.log_likelihood)
    assert not np.asarray(found.lag_one_cov[0]).any()


@each_case
@pytest.mark.parametrize("lag", [0, 1, 3, 50])
def test_fixed_lag_smoother_is_the_joint_gaussian(case, lag):
    values, y = case.make()
    expected = joint(values, y).states(lag)
    mean, cov = kalman.smooth_lag(System(**values), y, lag)
    finite = np.abs(expected[2]).max(axis=(1, 2)) < 1e-10  # rows whose variance is finite by then
    same(mean[finite], expected[0][finite])
    same(cov[finite], expected[1][finite])


@each_case
def test_forecast_is_the_joint_gaussian(case):
    horizon = 3
    values, y = case.make()
    rng = np.random.default_rng(0)
    longer = random_system(rng, case.n, case.m, case.length + horizon, **case.options)
    for name, kind in oracles.TIMES.items():
        if np.ndim(values[name]) == kind:
            longer[name][: case.length] = values[name]
        else:
            longer[name] = values[name]
    longer |= {k: values[k] for k in ("initial_mean", "initial_cov", "diffuse")}
    whole = System(**longer)
    state = kalman.filter(whole.rows(0, case.length), y).end
    mean, factor = kalman.forecast(whole.rows(case.length, case.length + horizon), state, horizon)
    exact = joint(longer, np.concatenate([y, np.full((horizon, case.m), np.nan)]))
    expected, cov, _ = exact.observations()
    same(mean.ravel(), expected[-horizon * case.m :])
    same(factor @ factor.T, cov[-horizon * case.m :, -horizon * case.m :])


@each_case
def test_gain_is_what_an_observation_moves_the_state_by(case):
    """The filtered mean is linear in its own row, a diffuse start included."""
    values, y = case.make()
    system = System(**values)
    found = kalman.gain(system, y, kalman.filter(system, y))
    expected, base = np.zeros((case.length, case.n, case.m)), joint(values, y)
    for t, j in zip(*np.nonzero(~np.isnan(y)), strict=True):
        moved = y.copy()
        moved[t, j] += 1.0
        expected[t, :, j] = joint(values, moved).state(t + 1, t)[0] - base.state(t + 1, t)[0]
    same(found, expected)


@each_case
def test_law_of_each_observation_before_it_is_seen(case):
    values, y = case.make()
    system, exact = System(**values), joint(values, y)
    mean, variance = kalman.observed(system, kalman.filter(system, y))
    for t in range(case.length):
        at = slice(t * case.m, (t + 1) * case.m)
        expected, cov, diffuse = (part[..., at] for part in exact.observations(t))
        known = np.diag(diffuse[at]) < 1e-10
        same(mean[t, known], expected[known])
        same(variance[t, known], np.diag(cov[at])[known])
        assert np.isnan(mean[t, ~known]).all() and np.isnan(variance[t, ~known]).all()


@pytest.mark.parametrize("varying", [False, True])
def test_what_is_kept_does_not_change_what_is_found(varying):
    values, y = Case(3, 2, 40, 0, 0.2, (7,), {"diffuse": 1, "varying": varying}).make()
    system = System(**values)
    full = kalman.filter(system, y)
    for keep in ("mean", "end"):
        less = kalman.filter(system, y, keep=keep)
        assert less.predicted_cov is None and less.filtered_cov is None
        close(less.log_likelihood, full.log_likelihood, rtol=1e-13)
        for name in ("mean", "cov", "diffuse"):
            same(getattr(less.end, name), getattr(full.end, name), 1e-13)
    means = kalman.filter(system, y, keep="mean")
    same(means.predicted_mean, full.predicted_mean, 1e-13)
    same(means.filtered_mean, full.filtered_mean, 1e-13)
    same(means.log_density, full.log_density, 1e-13)
    smoothed = kalman.smooth(system, y, keep="mean")
    assert smoothed.cov is None and smoothed.lag_one_cov is None
    same(smoothed.mean, kalman.smooth(system, y).mean, 1e-12)


@pytest.mark.parametrize("case", [ALL[13], ALL[25], *DIFFUSE[:8]], ids=str)
@pytest.mark.parametrize("cut", [1, 2, 4])
def test_filtering_in_two_parts_is_filtering_once(case, cut):
    """The second part starts from the predicted state of its first row, diffuse part included."""
    values, y = case.make()
    system = System(**values)
    head = kalman.filter(system.rows(0, cut), y[:cut])
    step = {k: v[cut].astype(float) for k, v in oracles.at_times(values, case.length).items()
            if k in oracles.TIMES}  # fmt: skip
    A, c, Q, end = step["transition"], step["state_intercept"], step["process_cov"], head.end
    tail_system = system.rows(cut, case.length).starting(
        A @ end.mean + c, A @ end.cov @ A.T + Q, A @ end.diffuse @ A.T
    )
    after = system.rows(cut, case.length).after(end)
    for name in ("initial_mean", "initial_cov", "diffuse"):
        same(getattr(after, name), getattr(tail_system, name), 1e-13)
    tail, whole = kalman.filter(tail_system, y[cut:]), kalman.filter(system, y)
    same(np.concatenate([head.log_density, tail.log_density]), whole.log_density)
    same(np.concatenate([head.filtered_mean, tail.filtered_mean]), whole.filtered_mean)
    same(tail.filtered_cov, np.asarray(whole.filtered_cov)[cut:])
    same(tail.end.cov, whole.end.cov)


@pytest.mark.parametrize("case", [ALL[19], *DIFFUSE[3:8]], ids=str)
@pytest.mark.parametrize("power", [-20, 15])
def test_units_of_the_states_do_not_matter(case, power):
    """States in units of 2^power, alternately: every number is scaled without rounding."""
    values, y = case.make()
    unit = 2.0 ** (power * (np.arange(case.n) % 2))
    scaled, both = dict(values), unit[:, None] * unit
    scaled["transition"] = values["transition"] * unit[:, None] / unit
    scaled["observation"] = values["observation"] / unit
    for name in ("process_cov", "initial_cov", "diffuse"):
        scaled[name] = values[name] * both
    for name in ("state_intercept", "initial_mean"):
        scaled[name] = values[name] * unit
    one, two = (kalman.filter(System(**v), y) for v in (values, scaled))
    assert one.diffuse_rows == two.diffuse_rows
    same(two.log_density, one.log_density, 1e-11)
    same(two.filtered_mean / unit, one.filtered_mean, 1e-11)
    same(np.asarray(two.filtered_cov) / both, np.asarray(one.filtered_cov), 1e-11)
    one, two = (kalman.smooth(System(**v), y) for v in (values, scaled))
    same(two.mean / unit, one.mean, 1e-10)
    same(np.asarray(two.cov) / both, np.asarray(one.cov), 1e-10)


@pytest.mark.parametrize("case", [ALL[19], *DIFFUSE[3:9]], ids=str)
@pytest.mark.parametrize("power", [-30, 20])
def test_units_of_the_observations_do_not_matter(case, power):
    values, y = case.make()
    unit, scaled = 2.0**power, dict(values)
    scaled["observation"] = values["observation"] * unit
    scaled["observation_intercept"] = values["observation_intercept"] * unit
    scaled["observation_cov"] = values["observation_cov"] * unit**2
    one, two = kalman.filter(System(**values), y), kalman.filter(System(**scaled), y * unit)
    seen = (~np.isnan(y)).sum(axis=1)
    same(two.log_density + seen * np.log(unit), one.log_density, 1e-11)
    same(two.filtered_mean, one.filtered_mean, 1e-11)
    same(two.filtered_cov, np.asarray(one.filtered_cov), 1e-11)


@pytest.mark.parametrize("diagonal", [True, False])
def test_diffuse_start_seen_twice_in_the_same_direction(diagonal):
    """The second output repeats the first, so that its infinite variance is zero but for rounding."""
    rng = np.random.default_rng(8)
    values = random_system(rng, 3, 2, 9, diffuse=3, diagonal=diagonal)
    values["observation"] = np.array([[0.3, 0.7, 0.1], [0.9, 2.1, 0.3]])
    y = random_path(values, 9, rng)
    y[3, 0] = np.nan
    exact, found = joint(values, y), kalman.filter(System(**values), y)
    same(found.log_density, exact.log_density)
    same(found.filtered_mean, exact.states(0)[0])
    same(found.filtered_cov, exact.states(0)[1])
    same(kalman.smooth(System(**values), y).cov, exact.states()[1], 1e-9)


def test_nothing_observed_leaves_the_prior():
    values, _ = Case(2, 2, 5).make()
    nothing = np.full((5, 2), np.nan)
    system = System(**values)
    found, exact = kalman.filter(system, nothing), joint(values, nothing)
    assert found.log_likelihood == 0 and not found.log_density.any()
    same(found.filtered_mean, exact.states()[0])
    same(found.filtered_cov, exact.states()[1])
    same(kalman.smooth(system, nothing).cov, exact.states()[1])


def test_nothing_given_is_changed():
    values, y = Case(3, 2, 6, 0, 0.2, (), {"varying": True, "diffuse": 1}).make()
    before = {name: value.copy() for name, value in values.items()}
    copy = y.copy()
    for value in (*values.values(), y):
        value.flags.writeable = False
    system = System(**values)
    rng = np.random.default_rng(0)
    kalman.log_likelihood(system, y)
    for form in ("covariance", "square-root"):
        kalman.filter(system, y, form=form)
    kalman.smooth(system, y, lag_one=True)
    kalman.smooth_lag(system, y, 1)
    kalman.sample_states(system, y, 2, rng)
    assert all((values[name] == before[name]).all() for name in before)
    np.testing.assert_array_equal(y, copy)


# Long sequences against statsmodels.


def statsmodels_result(values: dict[str, Array], y: Array):
    """Its filter and smoother without short cut; their transition t leads from row t to t + 1."""
    module = pytest.importorskip("statsmodels.tsa.statespace.kalman_smoother")
    n, m = len(values["initial_mean"]), y.shape[1]
    model = module.KalmanSmoother(k_endog=m, k_states=n, tolerance=0)
    model.bind(np.ascontiguousarray(y))
    names = {"design": "observation", "obs_intercept": "observation_intercept",
             "obs_cov": "observation_cov", "transition": "transition",
             "state_intercept": "state_intercept", "state_cov": "process_cov"}  # fmt: skip
    for theirs, ours in names.items():
        value = np.asarray(values[ours])
        model[theirs] = value[:, None] if value.ndim == 1 else value
    model["selection"] = np.eye(n)
    infinite = int(np.trace(values["diffuse"]))
    start = pytest.importorskip("statsmodels.tsa.statespace.initialization").Initialization(n)
    if infinite:
        start.set((0, infinite), "diffuse")
        model.set_filter_method(filter_univariate=True)
    if infinite < n:
        start.set((infinite, n), "known", constant=values["initial_mean"][infinite:],
                  stationary_cov=values["initial_cov"][infinite:, infinite:])  # fmt: skip
    model.initialize(start)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.smooth()


def equals_statsmodels(values: dict[str, Array], y: Array, steady: float, tolerance: float) -> None:
    equals(statsmodels_result(values, y), values, y, steady, tolerance)


def equals(
    theirs: Any, values: dict[str, Array], y: Array, steady: float, tolerance: float
) -> None:
    system = System(**values)
    found = kalman.filter(system, y, steady=steady)
    smoothed = kalman.smooth(system, y, steady=steady, lag_one=True)
    same(found.log_density, theirs.llf_obs, tolerance)
    same(kalman.log_likelihood(system, y, steady=steady), theirs.llf, tolerance)
    same(found.predicted_mean, theirs.predicted_state[:, :-1].T, tolerance)
    same(found.filtered_mean, theirs.filtered_state.T, tolerance)
    same(smoothed.mean, theirs.smoothed_state.T, tolerance)
    for ours, other in (
        (found.predicted_cov, theirs.predicted_state_cov[:, :, :-1]),
        (found.filtered_cov, theirs.filtered_state_cov),
        (smoothed.cov, theirs.smoothed_state_cov),
    ):
        same(ours, other.transpose(2, 0, 1), tolerance)
    if not values["diffuse"].any():
        lag_one = theirs.smoothed_state_autocov.transpose(2, 0, 1)
        same(np.asarray(smoothed.lag_one_cov)[1:], lag_one[:-1], tolerance)


@pytest.mark.parametrize("holes", [0.0, 0.1], ids=["complete", "holes"])
@pytest.mark.parametrize("n, m", [(2, 1), (4, 2), (16, 8)])
def test_ten_thousand_steps_equal_statsmodels(n, m, holes):
    values, y = Case(n, m, 10_000, 0, holes, range(500, 520) if holes else ()).make()
    theirs = statsmodels_result(values, y)
    for steady in (0, 1e-14):
        equals(theirs, values, y, steady, 1e-8)


def structural(season: int, *, level: float = 1e-4, slope: float = 1e-6, seasonal: float = 1e-4,
               noise: float = 1e-4) -> dict[str, Array]:  # fmt: skip
    """Local linear trend with dummy seasons; every state diffuse."""
    n = season + 1
    A, C = np.zeros((n, n)), np.zeros((1, n))
    A[:2, :2] = [[1, 1], [0, 1]]
    A[2, 2:] = -1
    A[3:, 2:-1] = np.eye(season - 2)
    C[0, [0, 2]] = 1
    return {
        "transition": A, "observation": C, "observation_cov": np.array([[noise]]),
        "process_cov": np.diag([level, slope, seasonal] + [0.0] * (n - 3)),
        "initial_mean": np.zeros(n), "initial_cov": np.zeros((n, n)), "diffuse": np.eye(n),
        "state_intercept": np.zeros(n), "observation_intercept": np.zeros(1),
    }  # fmt: skip


def local_level(level: float, noise: float) -> dict[str, Array]:
    return {
        "transition": np.eye(1), "observation": np.eye(1), "process_cov": np.array([[level]]),
        "observation_cov": np.array([[noise]]), "initial_mean": np.zeros(1),
        "initial_cov": np.zeros((1, 1)), "diffuse": np.eye(1), "state_intercept": np.zeros(1),
        "observation_intercept": np.zeros(1),
    }  # fmt: skip


def structural_path(length: int, season: int = 12) -> Array:
    rng = np.random.default_rng(3)
    t = np.arange(length)
    waves = 0.2 * np.sin(2 * np.pi * t / season) + 0.1 * np.cos(4 * np.pi * t / season)
    return (4.8 + 0.01 * t + waves + 0.03 * rng.normal(size=length))[:, None]


@pytest.mark.parametrize("missing", [(), (0,), (0, 1, 2, 14, 50), tuple(range(20, 40))], ids=str)
@pytest.mark.parametrize("season", [4, 12])
def test_exact_diffuse_trend_and_season_equal_statsmodels(season, missing):
    y = structural_path(120, season)
    y[list(missing)] = np.nan
    equals_statsmodels(structural(season), y, 1e-14, 1e-8)
    assert kalman.filter(System(**structural(season)), y).diffuse_rows >= season + 1


@pytest.mark.parametrize("missing", [(), (0, 1), (5,)], ids=str)
def test_exact_diffuse_local_level_equals_statsmodels(missing):
    y = 10 + np.random.default_rng(0).normal(size=(300, 1)).cumsum(axis=0)
    y[list(missing)] = np.nan
    equals_statsmodels(local_level(0.7, 2.0), y, 1e-14, 1e-8)


def test_exact_diffuse_several_outputs_equal_statsmodels():
    """Four diffuse states and two stationary ones, three outputs, correlated noise, holes."""
    rng = np.random.default_rng(4)
    values = random_system(rng, 6, 3, 80, diffuse=4)
    y = with_holes(random_path(values, 80, rng), rng, 0.2)
    y[0] = np.nan
    y[1, 1:] = np.nan
    values["initial_mean"][:4] = 0
    values["state_intercept"] *= 0.1
    equals_statsmodels(values, y, 1e-14, 1e-8)


def test_nile_at_its_published_variances():
    """Durbin & Koopman (2012), table 2.1; every log 2 pi counted."""
    nile = pd.read_csv(DATASETS / "nile.csv").iloc[:, -1].to_numpy(float)[:, None]
    system = System(**local_level(1469.1, 15098.5))
    assert kalman.log_likelihood(system, nile) == pytest.approx(-633.4646, abs=1e-4)


# The steady-state short cut.


def rugged(rng: np.random.Generator, y: Array) -> Array:
    """Holes of all kinds: single elements, rows, a stretch, every other row of one element."""
    y = y.copy()
    y[rng.random(y.shape) < 0.002] = np.nan
    y[300], y[301, 0], y[450:470] = np.nan, np.nan, np.nan
    y[700:760:2, -1] = np.nan
    y[-1] = np.nan
    return y


@pytest.mark.parametrize("holes", [False, True], ids=["complete", "holes"])
@pytest.mark.parametrize("n, m", [(1, 1), (2, 1), (3, 2), (6, 3), (18, 2)])
def test_short_cut_changes_nothing(n, m, holes):
    values, y = Case(n, m, 1_000, 30).make()
    if holes:
        y = rugged(np.random.default_rng(1), y)
    rng = np.random.default_rng(2)
    values["state_intercept"] = rng.normal(size=(1_000, n))
    values["observation_intercept"] = rng.normal(size=(1_000, m))
    system = System(**values)
    short, full = (kalman.filter(system, y, steady=steady) for steady in (1e-14, 0))
    for name in ("log_density", "predicted_mean", "filtered_mean"):
        same(getattr(short, name), getattr(full, name))
    same(short.predicted_cov, np.asarray(full.predicted_cov))
    same(short.filtered_cov, np.asarray(full.filtered_cov))
    same(short.end.cov, full.end.cov)
    close(kalman.log_likelihood(system, y), full.log_likelihood, rtol=1e-10)
    close(kalman.log_likelihood(system, y, steady=0), full.log_likelihood, rtol=1e-12)
    one, two = (kalman.smooth(system, y, steady=steady, lag_one=True) for steady in (1e-14, 0))
    same(one.mean, two.mean)
    same(one.cov, np.asarray(two.cov))
    same(one.lag_one_cov, np.asarray(two.lag_one_cov))


def test_short_cut_is_the_joint_gaussian_around_holes():
    """Sixty rows that settle in a few steps, against brute force: restarts are exact."""
    values, y = Case(2, 2, 60, 31).make()
    values["transition"] *= 0.3
    y[30], y[45, 0], y[57, 1] = np.nan, np.nan, np.nan
    exact, system = joint(values, y), System(**values)
    found, smoothed = kalman.filter(system, y), kalman.smooth(system, y, lag_one=True)
    assert len(found.predicted_cov.stored) < 55, "the short cut was never taken"
    same(found.log_density, exact.log_density)
    same(found.predicted_cov, exact.states(-1)[1])
    same(found.filtered_cov, exact.states(0)[1])
    same(smoothed.mean, exact.states()[0])
    same(smoothed.cov, exact.states()[1])
    same(smoothed.lag_one_cov, exact.lag_one_cov())


def test_short_cut_and_a_hole_in_any_row():
    """Also in the very row whose gain is the first to count as converged, and one output never seen."""
    values, whole = Case(2, 2, 45, 31).make()
    values["transition"] *= 0.3
    system = System(**values)
    for hole in range(45):
        for columns in (slice(None), 0, 1):
            y = whole.copy()
            y[hole, columns] = np.nan
            short, full = (kalman.filter(system, y, steady=steady) for steady in (1e-14, 0))
            same(short.filtered_mean, full.filtered_mean, 1e-12)
            same(short.filtered_cov, np.asarray(full.filtered_cov), 1e-12)
            same(kalman.log_likelihood(system, y), full.log_likelihood, 1e-12)
            one, two = (kalman.smooth(system, y, steady=steady) for steady in (1e-14, 0))
            same(one.mean, two.mean, 1e-12)
            same(one.cov, np.asarray(two.cov), 1e-12)
    y[:, 1] = np.nan
    same(kalman.filter(system, y).log_density, kalman.filter(system, y, steady=0).log_density)


@pytest.mark.parametrize("n, m", [(1, 1), (2, 1), (4, 2), (16, 8)])
def test_short_cut_is_taken_and_keeps_few_matrices(n, m):
    values, y = Case(n, m, 5_000, 32).make()
    found = kalman.filter(System(**values), y)
    smoothed = kalman.smooth(System(**values), y, lag_one=True)
    off = kalman.filter(System(**values), y, steady=0)
    for stack in (found.predicted_cov, found.filtered_cov, smoothed.cov, smoothed.lag_one_cov):
        assert len(stack.stored) < 1_000
    assert len(off.predicted_cov.stored) == 5_000


def test_stack_of_matrices():
    values, y = Case(2, 1, 500, 33).make()
    y[200] = np.nan
    stack = kalman.filter(System(**values), y).predicted_cov
    full = np.asarray(stack)
    assert full.shape == (500, 2, 2) and len(stack) == 500
    np.testing.assert_array_equal(full, stack.full())
    for t in (0, 1, 199, 201, 499, -1):
        np.testing.assert_array_equal(stack[t], full[t])
    weights = np.random.default_rng(0).random(500)
    close(stack.total(), full.sum(axis=0), rtol=1e-12)
    close(stack.total(weights), np.einsum("t,tij->ij", weights, full), rtol=1e-12)


# The score.


def derivative(function, step: float = 1e-4) -> float:
    """Central difference of fourth order: error of order step^4."""
    f = [function(k * step) for k in (-2, -1, 1, 2)]
    return (f[0] - 8 * f[1] + 8 * f[2] - f[3]) / (12 * step)


def numeric_score(values: dict[str, Array], y: Array, name: str, diagonal: bool = False) -> Array:
    """dL by differences of the brute-force likelihood; symmetric matrices moved symmetrically."""
    base = values[name]
    symmetric = name in ("process_cov", "observation_cov", "initial_cov")
    gradient = np.zeros(base.shape)
    for at in np.ndindex(*base.shape):
        if symmetric and (at[0] < at[1] or (diagonal and at[0] != at[1])):
            continue
        direction = np.zeros(base.shape)
        direction[at] = 1.0
        if symmetric:
            direction[at[::-1]] = 1.0

        def moved(h, direction=direction):
            return joint(values | {name: base + h * direction}, y).log_likelihood

        gradient[at] = derivative(moved)
        if symmetric and at[0] != at[1]:
            gradient[at] = gradient[at[::-1]] = gradient[at] / 2
    return gradient


SCORED = [
    Case(1, 1, 6, 40),
    Case(2, 1, 6, 40, 0.2, (2,)),
    Case(2, 2, 5, 40, 0.3, (0,)),
    Case(3, 2, 5, 40, 0.2, (), {"diagonal": True}),
    Case(3, 1, 6, 40, 0.0, (), {"singular_process": True}),
    Case(2, 3, 5, 40, 0.2, (4,)),
    Case(1, 1, 6, 40, 0.0, (1,), {"diffuse": 1}),
    Case(3, 1, 8, 40, 0.0, (3,), {"diffuse": 2}),
    Case(2, 2, 7, 41, 0.3, (0,), {"diffuse": 2}),
    Case(3, 2, 6, 40, 0.2, (), {"diffuse": 3, "diagonal": True}),
]
MATRICES = ("transition", "process_cov", "observation", "observation_cov", "initial_mean",
            "initial_cov")  # fmt: skip


@pytest.mark.parametrize("case", SCORED, ids=str)
def test_score_is_the_derivative_of_the_likelihood(case):
    values, y = case.make()
    for name in ("state_intercept", "observation_intercept"):
        values[name] = np.tile(values[name], (case.length, 1))
        values[name] += np.random.default_rng(5).normal(size=values[name].shape)
    found = kalman.score(System(**values), y)
    same(found.log_likelihood, joint(values, y).log_likelihood)
    wrong = {}
    for name in (*MATRICES, "state_intercept", "observation_intercept"):
        diagonal = name == "observation_cov" and "diagonal" in case.options
        expected, ours = numeric_score(values, y, name, diagonal), getattr(found, name)
        if diagonal:
            ours = np.diag(np.diag(ours))
        error = np.abs(ours - expected).max() / max(1.0, np.abs(expected).max())
        if not error < 1e-7 or (name.endswith("cov") and (ours != ours.T).any()):
            wrong[name] = error
    assert not wrong


@pytest.mark.parametrize("case", [Case(2, 1, 400, 42), Case(4, 2, 400, 42, 0.05, (200,))], ids=str)
def test_score_of_a_long_sequence(case):
    """The short cut, if it is taken, and the intercepts per row against one for all rows."""
    values, y = case.make()
    found = kalman.score(System(**values), y)
    rng, wrong = np.random.default_rng(6), {}
    for name in (*MATRICES, "state_intercept", "observation_intercept"):
        direction = rng.normal(size=values[name].shape) * 0.1
        if name.endswith("cov"):
            direction = direction + direction.T

        def moved(h, name=name, direction=direction):
            system = System(**values | {name: values[name] + h * direction})
            return kalman.log_likelihood(system, y, steady=0)

        slope = getattr(found, name)
        slope = slope.sum(axis=0) if name.endswith("intercept") else slope
        expected = derivative(moved, 1e-3)  # the kernel's rounding asks for a wider step
        error = abs((slope * direction).sum() - expected) / max(1.0, abs(expected))
        if not error < 1e-6:
            wrong[name] = error
    assert not wrong
    varying = dict(values)
    for name in ("state_intercept", "observation_intercept"):
        varying[name] = np.tile(values[name], (case.length, 1))
    again = kalman.score(System(**varying), y)
    for item in fields(found):
        same(getattr(again, item.name), getattr(found, item.name), 1e-12)


# Numerical safety.


def symmetric(stack: Any) -> bool:
    matrices = np.asarray(stack.stored)
    return bool((matrices == matrices.transpose(0, 2, 1)).all())


@pytest.mark.parametrize("form", ["covariance", "square-root"])
@pytest.mark.parametrize("n, m", [(2, 1), (4, 2), (5, 3), (17, 2)])
def test_covariances_are_symmetric_to_the_last_bit(n, m, form):
    values, y = Case(n, m, 300, 50, 0.1, (100,), {"diffuse": 1}).make()
    system = System(**values)
    found, smoothed = kalman.filter(system, y, form=form), kalman.smooth(system, y)
    assert symmetric(found.predicted_cov) and symmetric(found.filtered_cov)
    assert symmetric(smoothed.cov)
    assert (found.end.cov == found.end.cov.T).all()
    assert (found.diffuse_cov == found.diffuse_cov.transpose(0, 2, 1)).all()
    lagged = kalman.smooth_lag(system, y, 2)[1]
    assert (lagged == lagged.transpose(0, 2, 1)).all()


def test_a_start_of_large_variance_costs_few_digits():
    """Variances 1e-4, P_0 = 1e6: an update that drifts from symmetry loses twenty times more."""
    values = structural(4) | {"diffuse": np.zeros((5, 5)), "initial_cov": 1e6 * np.eye(5)}
    y = structural_path(24, 4)
    exact, covs = rational_filter(values, y)
    for form, allowed in (("covariance", 1e-6), ("square-root", 1e-8)):
        found = kalman.filter(System(**values), y, form=form)
        close(found.log_likelihood, exact, rtol=0, atol=allowed)
        same(found.filtered_cov[-1], covs[-1], allowed)


def test_exact_diffuse_start_loses_nothing():
    """Full precision on the same data, and the limit of ever larger variances."""
    values, y = structural(4), structural_path(60, 4)
    exact = joint(values, y)
    found = kalman.filter(System(**values), y)
    close(found.log_likelihood, exact.log_likelihood, rtol=1e-12)
    same(found.filtered_cov, exact.states(0)[1], 1e-12)
    errors = []
    for kappa in (1e2, 1e4, 1e6):
        near = values | {"diffuse": np.zeros((5, 5)), "initial_cov": kappa * np.eye(5)}
        value = kalman.log_likelihood(System(**near), y) + 2.5 * np.log(kappa)
        errors.append(abs(value - found.log_likelihood))
    assert errors[0] > 10 * errors[1] > 100 * errors[2] > 0


@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_many_outputs_of_extreme_variance(scale):
    """The product of a row's variances, 1e-960 or 1e960, is no number of double precision."""
    rng = np.random.default_rng(7)
    values = random_system(rng, 1, 120, 3, diagonal=True)
    values["observation_cov"] *= scale
    values["observation"] *= np.sqrt(scale)
    y = values["observation_intercept"] + np.sqrt(scale) * rng.normal(size=(3, 120))
    system, exact = System(**values), joint(values, y)
    same(kalman.log_likelihood(system, y), exact.log_likelihood)
    same(kalman.filter(system, y).log_density, exact.log_density)
    same(kalman.batch_log_likelihood(system, y[None])[0], exact.log_likelihood)


@pytest.mark.parametrize("kind", ["no noise", "regression", "cycle", "known start"])
def test_smoother_of_deterministic_components(kind):
    """Predicted covariances are singular here, which a smoother that inverts them cannot bear."""
    turn = np.array([[np.cos(0.6), np.sin(0.6)], [-np.sin(0.6), np.cos(0.6)]])
    values = {
        "transition": turn if kind == "cycle" else np.array([[1.0, 1.0], [0.0, 1.0]]),
        "observation": np.array([[1.0, 0.0]]), "process_cov": np.zeros((2, 2)),
        "observation_cov": np.eye(1), "initial_mean": np.array([1.0, 0.5]),
        "initial_cov": np.diag([1.0, 0.0]), "diffuse": np.zeros((2, 2)),
    }  # fmt: skip
    rng = np.random.default_rng(0)
    y = rng.normal(size=(12, 1)).cumsum(axis=0)
    y[5] = np.nan
    if kind == "regression":
        values["transition"] = np.eye(2)
        values["observation"] = rng.normal(size=(12, 1, 2))
        values["initial_cov"], values["diffuse"] = np.zeros((2, 2)), np.eye(2)
    if kind == "known start":
        values["initial_cov"] = np.zeros((2, 2))
    exact, found = joint(values, y), kalman.smooth(System(**values), y, lag_one=True)
    same(found.mean, exact.states()[0])
    same(found.cov, exact.states()[1])
    same(found.lag_one_cov, exact.lag_one_cov())
    drawn = kalman.sample_states(System(**values), y, 3, rng)
    assert np.isfinite(drawn).all()


def constant_velocity(q: float) -> dict[str, Array]:
    return {
        "transition": np.array([[1.0, 1.0], [0.0, 1.0]]), "observation": np.array([[1.0, 0.0]]),
        "process_cov": q * np.eye(2), "observation_cov": np.array([[1e-12]]),
        "initial_mean": np.zeros(2), "initial_cov": 1e12 * np.eye(2),
    }  # fmt: skip


def least_eigenvalue(stack: Any, slack: float = 0.0) -> float:
    """The smallest of all eigenvalues, `slack` times the largest of its matrix added."""
    values = np.linalg.eigvalsh(np.asarray(stack.stored))
    return float((values[:, 0] + slack * values[:, -1]).min())


@pytest.mark.parametrize("form", ["covariance", "square-root"])
@pytest.mark.parametrize("q", [1e-2, 1e-6, 1e-13, 0.0])
def test_tiny_noise_and_a_huge_start_stay_positive(q, form):
    rng = np.random.default_rng(0)
    y = rng.normal(size=(5_000, 1)).cumsum(axis=0)
    y[rng.random(5_000) < 0.01] = np.nan
    singular = q == 0 and form == "covariance"  # a matrix of rank one is rounded to either side
    slack = np.finfo(float).eps if singular else 0.0
    for steady in (0, 1e-14):
        found = kalman.filter(System(**constant_velocity(q)), y, form=form, steady=steady)
        assert np.isfinite(found.log_density).all()
        assert least_eigenvalue(found.predicted_cov, slack) >= 0
        assert least_eigenvalue(found.filtered_cov, slack) >= 0
    smoothed = kalman.smooth(System(**constant_velocity(q)), y)
    assert np.isfinite(smoothed.mean).all()
    rounding = np.finfo(float).eps if q == 0 else 0.0  # rank one in all rows
    assert least_eigenvalue(smoothed.cov, rounding) >= 0


def rational_filter(values: dict[str, Array], y: Array) -> tuple[float, Array]:
    """Log-likelihood and filtered covariances (T, n, n) of one output, without any rounding."""
    A, Q, P = ([[Fraction(float(x)) for x in row] for row in values[name]]
               for name in ("transition", "process_cov", "initial_cov"))  # fmt: skip
    C = [Fraction(float(x)) for x in values["observation"][0]]
    R = Fraction(float(values["observation_cov"][0, 0]))
    states, a, total, covs = range(len(A)), [Fraction(0)] * len(A), 0.0, []
    for t in range(len(y)):
        if t:
            a = [sum(A[i][k] * a[k] for k in states) for i in states]
            AP = [[sum(A[i][k] * P[k][j] for k in states) for j in states] for i in states]
            P = [[sum(AP[i][k] * A[j][k] for k in states) + Q[i][j] for j in states]
                 for i in states]  # fmt: skip
        M = [sum(P[i][k] * C[k] for k in states) for i in states]
        F = sum(C[i] * M[i] for i in states) + R
        miss = Fraction(float(y[t, 0])) - sum(C[i] * a[i] for i in states)
        total -= (np.log(2 * np.pi) + np.log(float(F)) + float(miss * miss / F)) / 2
        a = [a[i] + M[i] * miss / F for i in states]
        P = [[P[i][j] - M[i] * M[j] / F for j in states] for i in states]
        covs.append(P)
    return total, np.array(covs).astype(float)


@pytest.mark.parametrize("q", [1e-6, 0.0])
def test_square_root_form_keeps_digits_that_the_covariance_form_cannot(q):
    values = constant_velocity(q)
    y = np.arange(8.0)[:, None]
    _, exact = rational_filter(values, y)
    found = np.asarray(kalman.filter(System(**values), y, form="square-root").filtered_cov)
    close(found, exact, rtol=1e-9, atol=0)


# Draws.


def within_standard_errors(draws: Array, mean: Array, cov: Array, limit: float = 4.0) -> None:
    """Mean and covariance of draws (N, k) within `limit` standard errors of the law's."""
    count = len(draws)
    variance = np.diag(cov)
    same(draws[:, variance < 1e-14].mean(axis=0), mean[variance < 1e-14], 1e-6)
    error = np.sqrt(np.maximum(variance, 1e-14) / count)
    assert (np.abs(draws.mean(axis=0) - mean) < limit * error + 1e-9).all()
    sample = np.cov(draws.T)
    error = np.sqrt((np.outer(variance, variance) + cov**2) / count)
    assert (np.abs(sample - cov) < limit * error + 1e-9).all()


DRAWS = 4_000
DRAWN = [
    Case(1, 1, 5, 60, 0.0, (2,)),
    Case(2, 1, 5, 60),
    Case(3, 2, 4, 60, 0.3, (3,), {"varying": True}),
    Case(2, 3, 4, 60, 0.2, (), {"singular_process": True}),
    Case(3, 2, 4, 61, 0.2, (), {"diffuse": 2}),
    Case(2, 1, 6, 60, 0.0, (1,), {"diffuse": 2}),
    Case(3, 2, 4, 60, 0.0, (), {"exact": 1}),
]


@pytest.mark.parametrize("case", DRAWN, ids=str)
def test_simulation_smoother_draws_from_the_posterior(case):
    values, y = case.make()
    draws = kalman.sample_states(System(**values), y, DRAWS, np.random.default_rng(1))
    assert draws.shape == (DRAWS, case.length, case.n)
    within_standard_errors(draws.reshape(DRAWS, -1), *joint(values, y).path())


@pytest.mark.parametrize("case", [DRAWN[i] for i in (0, 2, 3, 6)], ids=str)
def test_simulation_draws_from_the_prior(case):
    values, _ = case.make()
    states, y = kalman.simulate(System(**values), case.length, DRAWS, np.random.default_rng(2))
    assert states.shape == (DRAWS, case.length, case.n)
    assert y.shape == (DRAWS, case.length, case.m)
    prior = oracles.prior(values, case.length).rounded()
    draws = np.concatenate([states.reshape(DRAWS, -1), y.reshape(DRAWS, -1)], axis=1)
    within_standard_errors(draws, prior.mean, prior.cov)


def test_draws_repeat_by_their_seed():
    values, y = Case(2, 1, 6).make()
    system = System(**values)
    one, two, other = (kalman.sample_states(system, y, 3, np.random.default_rng(s)) for s in
                       (0, 0, 1))  # fmt: skip
    np.testing.assert_array_equal(one, two)
    assert (one != other).any()


# Many series, the stationary law, and what is refused.


@pytest.mark.parametrize("options", [{}, {"diagonal": True}, {"diffuse": 1}], ids=str)
@pytest.mark.parametrize("n, m", [(1, 1), (2, 1), (3, 2), (18, 2)])
def test_batch_is_one_by_one(n, m, options):
    count, length = 20, 60
    rng = np.random.default_rng(70)
    values = random_system(rng, n, m, length, **options)
    system = System(**values)
    series = np.stack([random_path(values, length, rng) for _ in range(count)])
    series[rng.random(series.shape) < 0.1] = np.nan
    series[3] = np.nan
    series[4, :10] = np.nan
    series[5] = 1.0  # nothing missing
    found = kalman.batch_log_likelihood(system, series)
    expected = [kalman.log_likelihood(system, y, steady=0) for y in series]
    assert found.shape == (count,) and found[3] == 0
    close(found, expected, rtol=1e-11, atol=1e-11)
    whole = np.nan_to_num(series)
    expected = [kalman.log_likelihood(system, y, steady=0) for y in whole]
    close(kalman.batch_log_likelihood(system, whole), expected, rtol=1e-11)


def test_stationary_law():
    rng = np.random.default_rng(80)
    for n in (1, 2, 5, 12):
        A, Q = oracles.random_transition(rng, n), oracles.random_cov(rng, n)
        c = rng.normal(size=n)
        mean, cov = kalman.stationary(A, Q, c)
        same(A @ mean + c, mean)
        same(A @ cov @ A.T + Q, cov)
        assert (cov == cov.T).all() and np.linalg.eigvalsh(cov).min() > 0
        same(kalman.stationary(A, Q)[0], np.zeros(n))
    for A in (np.eye(1), np.array([[1.0, 1.0], [0.0, 1.0]]), np.array([[1.02]])):
        assert kalman.stationary(A, np.eye(len(A))) is None


def test_a_near_unit_root_is_stationary():
    mean, cov = kalman.stationary(np.array([[0.999999]]), np.eye(1), np.array([1.0]))
    close(cov, 1 / (1 - 0.999999**2), rtol=1e-9)
    close(mean, 1e6, rtol=1e-9)


@pytest.mark.parametrize(
    "name, value",
    [
        ("transition", np.ones((2, 3))), ("transition", np.ones(2)),
        ("observation", np.ones((2, 3))), ("observation", np.ones((3, 2, 1))), ("observation", np.ones(2)),
        ("process_cov", np.eye(3)), ("process_cov", np.ones((5, 3, 3))),
        ("observation_cov", np.eye(3)), ("initial_mean", np.ones(3)),
        ("initial_mean", np.ones((2, 1))), ("initial_cov", np.eye(3)), ("diffuse", np.eye(1)),
        ("state_intercept", np.ones(3)), ("state_intercept", np.ones((6, 1))),
        ("observation_intercept", np.ones(1)), ("observation_intercept", np.ones((2, 2, 2))),
    ],
)  # fmt: skip
def test_wrong_shapes_are_named(name, value):
    values, _ = Case(2, 2).make()
    with pytest.raises(ValueError, match=name) as caught:
        System(**values | {name: value})
    assert str(value.shape) in str(caught.value)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("varying", [False, True])
def test_numbers_that_are_not_finite_are_named(bad, varying):
    values, _ = Case(2, 2, 6, options={"varying": varying}).make()
    for name, value in values.items():
        broken = value.copy()
        broken.flat[-1] = bad
        with pytest.raises(ValueError, match=name):
            System(**values | {name: broken})


@pytest.mark.parametrize("name", ["process_cov", "observation_cov", "initial_cov", "diffuse"])
def test_covariances_must_be_covariances(name):
    values, _ = Case(2, 2).make()
    for broken in (np.array([[1.0, 0.5], [0.2, 1.0]]), np.array([[1.0, 0.0], [0.0, -1.0]])):
        with pytest.raises(ValueError, match=name):
            System(**values | {name: broken})


def test_time_axes_must_agree_with_each_other_and_the_data():
    values, _ = Case(2, 2, 6, options={"varying": True}).make()
    with pytest.raises(ValueError, match=r"5.*6|6.*5"):
        System(**values | {"transition": values["transition"][:5]})
    system = System(**values)
    for run in (kalman.log_likelihood, kalman.filter, kalman.smooth):
        with pytest.raises(ValueError, match="7"):
            run(system, np.ones((7, 2)))


@pytest.mark.parametrize(
    "y", [np.ones((6, 3)), np.ones(6), np.ones((2, 6, 2)), np.full((6, 2), np.inf)], ids=str
)
def test_data_must_fit_the_system(y):
    values, _ = Case(2, 2).make()
    for run in (kalman.log_likelihood, kalman.filter, kalman.smooth, kalman.score):
        with pytest.raises(ValueError, match=r"y|observ|inf"):
            run(System(**values), y)


def test_unknown_choices_are_refused():
    values, y = Case(2, 2).make()
    system = System(**values)
    with pytest.raises(ValueError, match="keep"):
        kalman.filter(system, y, keep="some")
    with pytest.raises(ValueError, match="keep"):
        kalman.smooth(system, y, keep="some")
    with pytest.raises(ValueError, match="form"):
        kalman.filter(system, y, form="cholesky")
    with pytest.raises(ValueError, match="lag"):
        kalman.smooth_lag(system, y, -1)
    with pytest.raises(ValueError, match="steady"):
        kalman.filter(system, y, steady=-1)


def test_arrays_of_other_types_and_orders_are_taken():
    values, y = Case(2, 2).make()
    integers = values | {"transition": np.array([[1, 0], [0, 1]])}
    floats = values | {"transition": np.eye(2)}
    expected = kalman.log_likelihood(System(**floats), y)
    assert kalman.log_likelihood(System(**integers), y) == expected
    fortran = {name: np.asfortranarray(value) for name, value in floats.items()}
    assert kalman.log_likelihood(System(**fortran), np.asfortranarray(y)) == expected
    lists = {name: value.tolist() for name, value in floats.items()}
    assert kalman.log_likelihood(System(**lists), y) == expected


def test_kernels_are_compiled_once_per_number_of_states():
    """What the caller's arrays happen to be (read-only, of one layer) must not cost a compilation."""
    from seqkit.kernels import _kalman_numba, _kalman_smooth_numba

    kernels = (_kalman_numba.filter_rows, _kalman_smooth_numba.smooth_rows)
    if not hasattr(kernels[0], "signatures"):
        pytest.skip("compilation is switched off")
    values, y = Case(2, 2, 20).make()
    kalman.smooth(System(**values), y)
    before = [len(kernel.signatures) for kernel in kernels]
    for m in (1, 2):
        for options in ({}, {"diagonal": True}, {"varying": True}, {"varying": ("observation",)}):
            values, y = Case(2, m, 20, options=options).make()
            for value in (*values.values(), y):
                value.flags.writeable = False
            for steady in (0, 1e-14):
                kalman.smooth(System(**values), y, steady=steady)
    assert [len(kernel.signatures) for kernel in kernels] == before


def test_varying_is_read_from_the_number_of_dimensions():
    """Two states, two outputs, two rows: every size is two."""
    values, y = Case(2, 2, 2).make()
    assert not System(**values).varies
    system = System(**values | {"state_intercept": np.zeros((2, 2))})
    assert system.varies and (system.n, system.m) == (2, 2)
    varying = random_system(np.random.default_rng(0), 2, 2, 2, varying=True)
    same(kalman.log_likelihood(System(**varying), y), joint(varying, y).log_likelihood)


def test_rows_and_starting():
    values, _ = Case(2, 1, 6, options={"varying": True}).make()
    system = System(**values)
    part = system.rows(2, 5)
    np.testing.assert_array_equal(part.transition, values["transition"][2:5])
    np.testing.assert_array_equal(part.initial_mean, values["initial_mean"])
    constant = System(**Case(2, 1).make()[0])
    np.testing.assert_array_equal(constant.rows(2, 5).transition, constant.transition)
    moved = constant.starting(np.ones(2), 2 * np.eye(2), np.zeros((2, 2)))
    np.testing.assert_array_equal(moved.initial_cov, 2 * np.eye(2))
    np.testing.assert_array_equal(moved.transition, constant.transition)
