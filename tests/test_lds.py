"""Learning of linear dynamical systems: EM against the textbook by brute force, the score, starts, limits."""

from __future__ import annotations

import warnings

import numpy as np
import oracles
import pandas as pd
import pytest

import seqkit
from seqkit.kernels import kalman, subspace
from seqkit.models.state_space import _lds_em as em
from seqkit.models.state_space import _lds_em_loop as loop
from seqkit.models.state_space import _lds_gradient as gradient
from seqkit.models.state_space import _lds_parameters as parameters
from seqkit.models.state_space._lds_coordinates import Coordinates
from seqkit.models.state_space._lds_identification import count_parameters, scale_is_open
from seqkit.models.state_space._lds_problem import Part, Problem
from seqkit.models.state_space._linear_covariance import estimate_covariance
from seqkit.models.state_space.lds import LDS


def problem_of(ys, inputs, spec, n):
    m = ys[0].shape[1]
    parts = [Part(y, x, n) for y, x in zip(ys, inputs, strict=True)]
    return Problem(parts, spec, np.ones(m), np.full(m, 1e-12))


def random_values(rng, n, m, inputs, **options):
    system = oracles.random_system(rng, n, m, 5, **options)
    system.pop("diffuse")
    drawn = {
        "state_inputs": rng.normal(size=(n, inputs)),
        "observation_inputs": rng.normal(size=(m, inputs)),
    }
    return system | drawn


def textbook_step(values, ys, inputs, full_noise):
    """One EM step by Shumway & Stoffer (1982) from the joint normal law of states and missing outputs."""
    n, m = values["transition"].shape[0], values["observation"].shape[0]
    past, lagged, present, steps = 0.0, 0.0, 0.0, 0
    per = [[0.0, 0.0, 0.0, 0] for _ in range(m)]
    regress, product, square, rows = 0.0, 0.0, 0.0, 0
    firsts, spreads, total = [], [], 0.0
    for y, x in zip(ys, inputs, strict=True):
        x = np.zeros((len(y), 0)) if x is None else x
        fields = {k: v for k, v in values.items() if not k.endswith("inputs")}
        fields["state_intercept"] = values["state_intercept"] + x @ values["state_inputs"].T
        fields["observation_intercept"] = (
            values["observation_intercept"] + x @ values["observation_inputs"].T
        )
        joint = oracles.joint(fields, y)
        total += joint.log_likelihood
        mean = joint.given[-1].mean
        second = joint.given[-1].cov + np.outer(mean, mean)

        def moments(t, mean=mean, second=second):
            """E[h_t], E[h_t h_t'] and where they stand."""
            at = slice(t * n, (t + 1) * n)
            return mean[at], second[at, at], at

        firsts.append(mean[:n])
        spreads.append(joint.given[-1].cov[:n, :n])
        for t in range(len(y)):
            known = np.append(x[t], 1.0)
            h, hh, at = moments(t)
            uu = np.block([[hh, np.outer(h, known)], [np.outer(known, h), np.outer(known, known)]])
            out = slice(len(y) * n + t * m, len(y) * n + (t + 1) * m)
            yu = np.hstack([second[out, at], np.outer(mean[out], known)])
            if not np.isnan(y[t]).all():
                regress, product, square = regress + uu, product + yu, square + second[out, out]
                rows += 1
            for i in np.flatnonzero(~np.isnan(y[t])):
                per[i] = [
                    per[i][0] + uu, per[i][1] + yu[i], per[i][2] + second[out, out][i, i], per[i][3] + 1,
                ]  # fmt: skip
            if t:
                g, gg, before = moments(t - 1)
                cross = np.outer(g, known)
                past = past + np.block([[gg, cross], [cross.T, np.outer(known, known)]])
                lagged = lagged + np.hstack([second[at, before], np.outer(h, known)])
                present, steps = present + hh, steps + 1
    moved = np.linalg.solve(past, lagged.T).T
    q = (present - moved @ lagged.T - lagged @ moved.T + moved @ past @ moved.T) / steps
    if full_noise:
        seen = np.linalg.solve(regress, product.T).T
        r = (square - seen @ product.T - product @ seen.T + seen @ regress @ seen.T) / rows
    else:
        seen = np.array([np.linalg.solve(g, b) for g, b, _, _ in per])
        r = np.diag(
            [(s - 2 * c @ b + c @ g @ c) / k for c, (g, b, s, k) in zip(seen, per, strict=True)]
        )
    first = np.mean(firsts, 0)
    start = np.mean(
        [s + np.outer(f - first, f - first) for s, f in zip(spreads, firsts, strict=True)], 0
    )
    return total, moved, q, seen, r, first, start


@pytest.mark.parametrize("full", [True, False], ids=["full-R", "diagonal-R"])
@pytest.mark.parametrize("share", [0.0, 0.3], ids=["complete", "missing"])
@pytest.mark.parametrize("inputs", [0, 2])
def test_em_step_is_the_textbooks(full, share, inputs):
    rng = np.random.default_rng(5)
    n, m, lengths = 2, 3, (6, 4, 1, 5)
    values = random_values(rng, n, m, inputs, diagonal=not full)
    xs = [rng.normal(size=(length, inputs)) if inputs else None for length in lengths]
    ys = [oracles.with_holes(rng.normal(size=(length, m)), rng, share) for length in lengths]
    spec = parameters.specify(
        {"observation_cov": "full" if full else "diagonal"}, None, "known", n, m, inputs
    )
    problem = problem_of(ys, xs, spec, n)
    expected = em.expect(problem, values)
    new = em.maximise(problem, values, expected)
    likelihood, moved, q, seen, r, first, start = textbook_step(values, ys, xs, full)
    got = {
        "moved": np.column_stack([new["transition"], new["state_inputs"], new["state_intercept"]]),
        "seen": np.column_stack([new["observation"], new["observation_inputs"], new["observation_intercept"]]),
    }  # fmt: skip
    np.testing.assert_allclose(expected.log_likelihood, likelihood, rtol=1e-10)
    for ours, theirs in (
        (got["moved"], moved), (new["process_cov"], q), (got["seen"], seen), (new["observation_cov"], r),
        (new["initial_mean"], first), (new["initial_cov"], start),
    ):  # fmt: skip
        np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-10)


VARIANTS = {
    "full": {"observation_cov": "full"},
    "diagonal": {"process_cov": "diagonal", "observation_cov": "diagonal"},
    "scalar": {"process_cov": "scalar", "observation_cov": "scalar"},
    "elements": {"transition": "some", "observation": "some", "observation_cov": "full"},
    "covariance-elements": {"process_cov": "some", "observation_cov": "some"},
    "varying-noise": {"process_cov": "varying", "observation_cov": "varying"},
    "varying-maps": {"transition": "varying", "observation": "varying"},
    "given-dynamics": {"transition": "given", "observation": "given"},
}


def variant(rng, name, n, m, values, length):
    """What is given of the matrices, from the names above."""
    makers = {
        "transition": lambda: oracles.random_transition(rng, n),
        "observation": lambda: rng.normal(size=(m, n)),
        "process_cov": lambda: oracles.random_cov(rng, n),
        "observation_cov": lambda: oracles.random_cov(rng, m),
    }
    given = {"state_intercept": 0.0, "observation_cov": "diagonal"}
    for matrix, kind in VARIANTS[name].items():
        if kind == "some":
            free = rng.random(values[matrix].shape) < 0.5
            if matrix.endswith("cov"):
                free = np.triu(free) | np.triu(free).T
            given[matrix] = np.where(free, np.nan, values[matrix])
        elif kind == "varying":
            given[matrix] = np.stack([makers[matrix]() for _ in range(length)])
        else:
            given[matrix] = values[matrix] if kind == "given" else kind
    return given


@pytest.mark.parametrize("accelerate", [False, True], ids=["plain", "accelerated"])
@pytest.mark.parametrize("name", VARIANTS)
def test_em_never_falls_and_leaves_given_elements_alone(name, accelerate):
    for seed in range(3):
        rng = np.random.default_rng(seed)
        n, m, inputs = (int(k) for k in rng.integers((1, 1, 0), (4, 4, 2)))
        values = random_values(rng, n, m, inputs, intercepts=False)
        fields = {k: v for k, v in values.items() if not k.endswith("inputs")}
        ys = [
            oracles.with_holes(oracles.random_path(fields, length, rng), rng, 0.3)
            for length in (30, 11)
        ]
        xs = [rng.normal(size=(len(y), inputs)) if inputs else None for y in ys]
        initial = "diffuse" if name == "given-dynamics" else "known"
        given = variant(rng, name, n, m, values, 30)
        spec = parameters.specify(given, None, initial, n, m, inputs)
        begin = values | {
            "observation_cov": np.eye(m)
            if name != "covariance-elements"
            else values["observation_cov"]
        }
        if initial == "diffuse":
            begin |= {"initial_mean": np.zeros(n), "initial_cov": np.zeros((n, n))}
        problem = problem_of(ys, xs, spec, n)
        fit = loop.run(problem, spec.fixed_into(begin), max_iter=25, tol=0.0, accelerate=accelerate)
        assert len(fit.history) == 26 and loop.least_increment(fit.history) >= -1e-9
        for matrix in parameters.NAMES:
            kept, given_here = ~spec.free[matrix], spec.values[matrix]
            if given_here.ndim > kept.ndim:
                np.testing.assert_array_equal(fit.values[matrix], given_here)
            else:
                np.testing.assert_array_equal(fit.values[matrix][kept], given_here[kept])
        for matrix in ("process_cov", "observation_cov", "initial_cov"):
            assert np.linalg.eigvalsh(fit.values[matrix]).min() >= -1e-12


@pytest.mark.parametrize("initial", parameters.INITIAL)
@pytest.mark.parametrize("noise", ["full", "diagonal", "scalar"])
@pytest.mark.parametrize("logs", [True, False])
def test_score_in_every_coordinate(initial, noise, logs):
    rng = np.random.default_rng(7)
    n, m, inputs = 2, 2, 1
    values = random_values(rng, n, m, inputs)
    values["observation_cov"] = {
        "full": values["observation_cov"], "diagonal": np.diag([0.5, 1.2]), "scalar": 0.7 * np.eye(2),
    }[noise]  # fmt: skip
    if initial != "known":
        values |= {"initial_mean": np.zeros(n), "initial_cov": np.zeros((n, n))}
    given = {"observation_cov": noise, "state_intercept": None}
    spec = parameters.specify(given, None, initial, n, m, inputs)
    ys = [oracles.with_holes(rng.normal(size=(length, m)), rng, 0.3) for length in (25, 9)]
    problem = problem_of(ys, [rng.normal(size=(len(y), inputs)) for y in ys], spec, n)
    sizes = {"state": np.full(n, 2.0), "output": np.full(m, 0.7), "input": np.ones(inputs)}
    coordinates = Coordinates(spec, values, sizes, logs=logs)
    x = coordinates.pack(values)
    again = coordinates.unpack(x)
    for name in parameters.NAMES:
        np.testing.assert_allclose(again[name], values[name], rtol=1e-10, atol=1e-12)

    def likelihood(at):
        return loop.log_likelihood(problem, coordinates.unpack(at))

    slope = coordinates.pull(x, gradient.score(problem, values)[1])
    step = 1e-5
    shifts = step * np.eye(len(x))
    differences = [(likelihood(x + s) - likelihood(x - s)) / (2 * step) for s in shifts]
    np.testing.assert_allclose(slope, differences, rtol=1e-5, atol=1e-4)


def test_covariance_with_given_elements():
    rng = np.random.default_rng(0)
    for _ in range(20):
        size = int(rng.integers(2, 5))
        sample, current = oracles.random_cov(rng, size), oracles.random_cov(rng, size)
        free = np.triu(rng.random((size, size)) < 0.6)
        free = free | free.T
        best = estimate_covariance(sample, current, free, "full", np.zeros(size))
        np.testing.assert_array_equal(best[~free], current[~free])
        inverse = np.linalg.inv(best)  # the slope of log |Q| + tr(Q^-1 S) is 0 where Q is free
        slope = inverse - inverse @ sample @ inverse
        np.testing.assert_allclose(slope[free], 0.0, atol=1e-4)


# -- the estimator ---------------------------------------------------------------------------------

TRANSITION = np.array([[0.9, 0.2, 0.0], [-0.2, 0.9, 0.0], [0.0, 0.0, 0.6]])
OBSERVATION = np.array([[1.0, 0.5, 0.3], [0.0, 1.0, -0.6], [0.4, -0.5, 1.0]])


def truth():
    return LDS.from_params(
        transition=TRANSITION, observation=OBSERVATION, process_cov=0.3 * np.eye(3),
        observation_cov=np.diag([0.5, 0.4, 0.6]), observation_intercept=[10.0, 20.0, 30.0],
    )  # fmt: skip


def drawn(length, seed=1):
    frame = truth().sample(1, length=length, seed=seed).droplevel(0)
    frame.index = pd.date_range("2020-01-31", periods=length, freq="ME", name="month")
    return frame.set_axis(["a", "b", "c"], axis=1)


def with_gaps(frame, share=0.15, seed=2):
    return frame.mask(np.random.default_rng(seed).random(frame.shape) < share)


def eigenvalues(transition):
    return np.sort_complex(np.linalg.eigvals(transition))


def test_fit_is_the_verb_and_the_name_of_a_method():
    model = LDS(n_states=2, fit="mle", n_init=3, seed=0)
    assert model.get_params()["method"] == "mle" and "fit" not in model.get_params()
    assert callable(model.fit) and model == LDS(2, method="mle", n_init=3)
    assert seqkit.clone(model) == model and LDS(2).method == "em"
    assert repr(model).startswith("LDS(n_states=2, method='mle', n_init=3")


def test_lines_of_the_tutorial():
    frame = with_gaps(drawn(150))
    lds = LDS(n_states=4, fit="em", n_init=2, seed=0, max_iter=300)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", seqkit.ConvergenceWarning)
        lds.fit(frame)
    assert lds.transition_.shape == (4, 4) and lds.observation_.shape == (3, 4)
    assert lds.process_cov_.shape == (4, 4) and np.count_nonzero(lds.observation_cov_) == 3
    assert len(lds.history_) > 3 and lds.history_[-1] == lds.log_likelihood_
    np.testing.assert_allclose(lds.log_likelihood(frame), lds.log_likelihood_, rtol=1e-10)
    assert list(lds.predict(3).mean.columns) == ["a", "b", "c"]
    assert list(lds.decode().columns) == ["state0", "state1", "state2", "state3"]


def test_recovers_a_known_system_up_to_the_basis():
    frame = drawn(3000)
    model = LDS(3).fit(frame)
    np.testing.assert_allclose(eigenvalues(model.transition_), eigenvalues(TRANSITION), atol=0.06)
    assert model.log_likelihood_ > truth().log_likelihood(frame)
    assert model.converged_ and loop.least_increment(model.history_) >= -1e-9
    held = drawn(500, seed=9)
    assert abs(model.score(held) - truth().score(held)) < 0.02


def test_subspace_start_is_close_for_long_data():
    frame = drawn(20_000)
    y = (frame - frame.mean()).to_numpy()
    found = subspace.realise([y], 3)
    np.testing.assert_allclose(eigenvalues(found.transition), eigenvalues(TRANSITION), atol=0.1)
    holed = with_gaps(frame - frame.mean(), 0.2).to_numpy()
    found = subspace.realise([holed], 3)
    np.testing.assert_allclose(eigenvalues(found.transition), eigenvalues(TRANSITION), atol=0.15)
    begun = LDS(3, max_iter=1)
    with pytest.warns(seqkit.ConvergenceWarning, match="raise max_iter"):
        begun.fit(frame)
    best = truth().log_likelihood(frame)
    assert begun.history_[0] > best - 0.02 * frame.size
    assert subspace.realise([y[:4]], 3) is None


def test_subspace_of_a_constant_and_of_a_panel():
    flat = subspace.realise([np.zeros((50, 2))], 2)
    assert np.isfinite(flat.transition).all()
    frame = drawn(6000)
    y = (frame - frame.mean()).to_numpy()
    parts = subspace.realise(list(np.split(y, 6)), 3)
    np.testing.assert_allclose(eigenvalues(parts.transition), eigenvalues(TRANSITION), atol=0.15)


@pytest.mark.parametrize("options", [{}, {"observation_cov": "full"}, {"process_cov": np.eye(3)}])
def test_likelihood_by_gradient_is_at_least_that_of_em(options):
    frame = with_gaps(drawn(200))
    by_em = LDS(3, **options).fit(frame)
    by_gradient = LDS(3, method="mle", initial="known", **options).fit(frame)
    assert by_gradient.log_likelihood_ > by_em.log_likelihood_ - 1e-3
    assert by_gradient.converged_


def test_parameters_are_counted_without_the_basis():
    frame = drawn(60)
    full = LDS(2, process_cov=np.eye(2), max_iter=2)
    counts = [
        (LDS(2, max_iter=2), 4 + 6 + 3 + 3 + 3 + 2 + 3 - 4),
        (full, 4 + 6 + 3 + 3 + 2 + 3 - 1),
        (LDS(2, observation_cov="full", max_iter=2), 4 + 6 + 3 + 3 + 6 + 2 + 3 - 4),
        (LDS(2, state_intercept=None, max_iter=2), 4 + 6 + 3 + 3 + 3 + 2 + 3 - 4),
        (LDS(2, process_cov="diagonal", max_iter=2), 4 + 6 + 2 + 3 + 3 + 2 + 3 - 3),
    ]
    for model, count in counts:
        with pytest.warns(seqkit.ConvergenceWarning):
            model.fit(frame)
        assert model.n_parameters_ == count, model
    assert full.aic_ == pytest.approx(-2 * full.log_likelihood_ + 2 * full.n_parameters_)
    assert full.bic_ == pytest.approx(-2 * full.log_likelihood_ + np.log(180) * full.n_parameters_)


def test_states_that_can_be_stretched_have_no_diffuse_start():
    frame = drawn(60)
    with pytest.raises(ValueError, match="stretched without end"):
        LDS(2, initial="diffuse").fit(frame)
    given = {"observation": np.eye(3), "observation_cov": "diagonal"}
    spec = parameters.specify(given, None, "diffuse", 3, 3, 0)
    values = random_values(np.random.default_rng(0), 3, 3, 0) | {"observation": np.eye(3)}
    assert not scale_is_open(spec, values)
    assert count_parameters(spec, values) == 9 + 6 + 3 + 3  # c and d are one


def local_level(**options):
    return LDS(1, transition=1.0, observation=1.0, observation_intercept=0.0, initial="diffuse", **options)  # fmt: skip


def test_nile_by_both_methods():
    nile = seqkit.datasets.load("nile")
    model = local_level(method="mle").fit(nile)
    np.testing.assert_allclose(model.process_cov_[0, 0], 1469.2, rtol=1e-4)
    np.testing.assert_allclose(model.observation_cov_[0, 0], 15098.5, rtol=1e-4)
    np.testing.assert_allclose(model.log_likelihood_, -633.464564, rtol=0, atol=1e-6)
    assert model.n_parameters_ == 2
    by_em = local_level(tol=1e-10).fit(nile)
    np.testing.assert_allclose(by_em.log_likelihood_, model.log_likelihood_, rtol=1e-8)


def test_standard_errors_are_those_of_the_second_differences():
    nile = seqkit.datasets.load("nile").to_numpy()[:, None]
    model = local_level(method="mle", tol=1e-14).fit(nile)
    at = np.array([model.process_cov_[0, 0], model.observation_cov_[0, 0]])

    def likelihood(point):
        system = kalman.System(
            transition=np.eye(1), observation=np.eye(1), process_cov=point[:1, None],
            observation_cov=point[1:, None], initial_mean=np.zeros(1), initial_cov=np.zeros((1, 1)),
            diffuse=np.eye(1),
        )  # fmt: skip
        return kalman.log_likelihood(system, nile)

    step = 1e-3 * at
    shift = np.diag(step)
    hessian = [
        [
            (likelihood(at + a + b) - likelihood(at + a - b) - likelihood(at - a + b) + likelihood(at - a - b)) / 4
            for b in shift
        ]
        for a in shift
    ] / np.outer(step, step)  # fmt: skip
    expected = np.sqrt(np.diag(np.linalg.inv(-np.array(hessian))))
    errors = model.standard_errors_
    got = [errors["process_cov"][0, 0], errors["observation_cov"][0, 0]]
    np.testing.assert_allclose(got, expected, rtol=1e-4)
    assert errors["transition"][0, 0] == 0.0  # given


def test_standard_errors_know_what_the_basis_leaves_open():
    errors = LDS(3, method="mle").fit(drawn(400)).standard_errors_
    assert np.isnan(errors["transition"]).all() and np.isnan(errors["observation"]).all()
    assert (errors["observation_intercept"] > 0).all()
    assert (np.diag(errors["observation_cov"]) > 0).all() and errors["state_intercept"].sum() == 0
    square = LDS(3, method="mle", observation=np.eye(3), initial="stationary").fit(drawn(400))
    assert np.isfinite(np.concatenate([e.ravel() for e in square.standard_errors_.values()])).all()


def test_given_elements_stay_under_both_methods():
    pattern = np.array([[np.nan, np.nan, 0.0], [np.nan, np.nan, 0.0], [0.0, 0.0, 0.6]])
    loads = np.where(OBSERVATION == 1.0, 1.0, np.nan)
    for method in ("em", "mle"):
        model = LDS(3, method=method, transition=pattern, observation=loads, max_iter=30)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", seqkit.ConvergenceWarning)
            model.fit(with_gaps(drawn(200)))
        kept = ~np.isnan(pattern)
        np.testing.assert_array_equal(model.transition_[kept], pattern[kept])
        np.testing.assert_array_equal(np.diag(model.observation_), np.ones(3))
        assert model.log_likelihood_ > model.history_[0]


def test_inputs_in_both_equations():
    rng = np.random.default_rng(3)
    length = 2000
    x = pd.DataFrame({"u": rng.normal(size=length), "w": np.sin(np.arange(length) / 9)})
    model = LDS.from_params(
        transition=0.7, observation=1.0, process_cov=0.2, observation_cov=0.1, initial_mean=[0.0],
        initial_cov=1.0, state_inputs=[[0.5, 0.0]], observation_inputs=[[0.0, 2.0]], input_columns=["u", "w"],
    )  # fmt: skip
    system = model._system(0, 0, length, x.to_numpy())
    y = kalman.simulate(system, length, 1, rng)[1][0]
    for method in ("em", "mle"):
        fit = LDS(1, method=method, observation=1.0).fit(y, covariates=x)
        np.testing.assert_allclose(fit.state_inputs_, [[0.5, 0.0]], atol=0.1)
        np.testing.assert_allclose(fit.observation_inputs_, [[0.0, 2.0]], atol=0.3)
        np.testing.assert_allclose(fit.transition_, 0.7, atol=0.05)
        assert fit.log_likelihood(y, covariates=x) > model.log_likelihood(y, covariates=x) - 1
    ahead = pd.DataFrame({"u": np.zeros(4), "w": np.ones(4)}, index=range(length, length + 4))
    assert fit.predict(4, covariates=ahead).mean.shape == (4,)
    with pytest.raises(ValueError, match="covariates are missing in row 5"):
        LDS(1).fit(y, covariates=x.where(x.index.to_series() != 5))


def test_a_panel_is_one_system():
    parts = {
        "north": drawn(150, seed=1),
        "south": with_gaps(drawn(90, seed=2)),
        "east": drawn(40, seed=3),
    }
    model = LDS(3).fit(parts)
    assert model.pooled
    total = sum(
        kalman.log_likelihood(model._system(i, 0, len(y), None), y.to_numpy())
        for i, y in enumerate(parts.values())
    )
    np.testing.assert_allclose(model.log_likelihood_, total, rtol=1e-10)
    np.testing.assert_allclose(model.log_likelihood(parts), total, rtol=1e-10)
    assert model.predict(2).mean.shape == (6, 3)
    assert (np.linalg.eigvalsh(model.initial_cov_) > 1e-4).all()  # three starts have a spread


def test_matrices_that_vary_in_time():
    rng = np.random.default_rng(0)
    length, horizon = 120, 5
    x = rng.normal(size=(length + horizon, 1, 1))
    beta = np.cumsum(0.1 * rng.normal(size=length + horizon)) + 1
    y = x[:, 0, 0] * beta + 0.3 * rng.normal(size=length + horizon)
    model = LDS(1, transition=1.0, observation=x, initial="diffuse", observation_intercept=0.0)
    model.fit(y[:length])
    assert abs(model.decode().to_numpy()[:, 0] - beta[:length]).mean() < 0.15
    forecast = model.predict(horizon)
    np.testing.assert_allclose(
        forecast.mean, x[length:, 0, 0] * model.decode().to_numpy()[-1, 0], rtol=1e-8
    )
    with pytest.raises(ValueError, match=r"has 125 rows, but rows 120 \.\. 125"):
        model.predict(horizon + 1)


def test_restarts_keep_the_best():
    frame = with_gaps(drawn(120))
    one, three = (LDS(3, start="random", n_init=n, tol=1e-3, seed=6).fit(frame) for n in (1, 3))
    assert three.log_likelihood_ > one.log_likelihood_ + 1
    assert LDS(3, start="random", tol=1e-3, seed=6).fit(frame) == one


def test_scaled_and_saved(tmp_path):
    frame = with_gaps(drawn(120))
    model = LDS(2, scale=seqkit.Standard()).fit(frame)
    loaded = seqkit.load(model.save(tmp_path / "lds.seqkit"))
    assert loaded == model
    np.testing.assert_array_equal(loaded.predict(3).mean, model.predict(3).mean)
    assert 5 < model.predict(1).mean["a"].iloc[0] < 15


def test_warnings_name_the_remedy():
    with pytest.warns(seqkit.ConvergenceWarning, match=r"EM stopped after 3 .* \(now 3\)"):
        LDS(2, max_iter=3).fit(drawn(100))
    with pytest.warns(seqkit.ConvergenceWarning, match="MLE stopped after 2 iterations"):
        LDS(2, method="mle", max_iter=2).fit(drawn(100))


def test_hard_data():
    index = pd.date_range("2020-01-31", periods=60, freq="ME")
    flat = LDS(1).fit(pd.Series(7.0, index=index)).predict(3)
    np.testing.assert_allclose(flat.mean, 7.0, rtol=1e-6)
    trend = LDS(2, method="mle").fit(pd.Series(np.arange(60.0), index=index)).predict(3)
    np.testing.assert_allclose(trend.mean, [60, 61, 62], rtol=0.05)
    with pytest.raises(ValueError, match="2 observed rows are too few for 3 state"):
        LDS(3).fit(drawn(2))
    gone = drawn(50).assign(b=np.nan)
    with pytest.raises(ValueError, match="channel 'b' has no observed value"):
        LDS(2).fit(gone)
    scaled = with_gaps(drawn(200))
    small, large = (LDS(2, tol=1e-4).fit(scaled * factor) for factor in (2.0**-20, 2.0**20))
    gap = (
        small.log_likelihood_ - large.log_likelihood_ - scaled.notna().sum().sum() * 40 * np.log(2)
    )
    assert abs(gap) < 0.1


# -- from parameters -------------------------------------------------------------------------------

GOOD = {
    "transition": [[1.0, 1.0], [0.0, 1.0]], "observation": [[1.0, 0.0]], "process_cov": 0.1 * np.eye(2),
    "observation_cov": [[1.0]], "initial_mean": [0.0, 0.0], "initial_cov": 25 * np.eye(2),
}  # fmt: skip


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        ({"transition": np.ones((2, 3))}, ValueError, r"transition has shape \(2, 3\), expected \(3, 3\)"),
        ({"transition": "fast"}, TypeError, "transition must be None, a number or an array"),
        ({"transition": [1.0, 2.0]}, ValueError, r"transition must be a matrix, .* got shape \(2,\)"),
        ({"observation": np.ones((1, 3))}, ValueError, r"observation has shape \(1, 3\), expected \(1, 2\)"),
        ({"observation": [[np.inf, 0.0]]}, ValueError, "observation has elements that are infinite"),
        ({"process_cov": [[1.0, 2.0], [0.0, 1.0]]}, ValueError, r"element \(0, 1\) is 2 and \(1, 0\) is 0"),
        ({"process_cov": -np.eye(2)}, ValueError, "positive semi-definite, but its smallest eigenvalue is -1"),
        ({"observation_cov": np.nan}, ValueError, "observation_cov has elements to learn"),
        ({"initial_mean": np.zeros(3)}, ValueError, r"initial_mean has shape \(3,\), expected \(2,\)"),
        ({"initial_cov": None}, ValueError, "initial_mean was given without initial_cov"),
        ({"initial_mean": None, "initial_cov": None}, ValueError, "inside the unit circle"),
        ({"diffuse": [1.0]}, ValueError, r"diffuse has shape \(1,\)"),
        ({"columns": ["a", "b"]}, ValueError, "columns has 2 names, expected 1"),
    ],
)  # fmt: skip
def test_from_params_names_what_is_wrong(bad, error, message):
    with pytest.raises(error, match=message):
        LDS.from_params(**GOOD | bad)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"method": "gibbs"}, "method must be one of em, mle"),
        ({"initial": "flat"}, "initial must be one of known, stationary"),
        ({"initial": "stationary"}, "EM has no closed form"),
        ({"initial": "stationary", "method": "mle", "initial_mean": [0.0]}, "initial_mean was given, but"),
        ({"start": "here"}, "start must be one of subspace, random"),
        ({"n_states": 0}, "n_states must be an integer of at least 1"),
        ({"tol": -1.0}, "tol must be None or a number of at least 0"),
        ({"process_cov": "banded"}, "process_cov must be one of full, diagonal, scalar"),
        ({"process_cov": [[1.0, np.nan]]}, "process_cov has shape"),
        ({"observation": np.full((40, 3, 1), np.nan)}, "what varies in time is given whole"),
    ],
)  # fmt: skip
def test_constructor_arguments_are_checked_when_fitted(bad, message):
    with pytest.raises(ValueError, match=message):
        LDS(**{"n_states": 1} | bad).fit(drawn(40))


def test_a_model_from_parameters_has_every_verb(tmp_path):
    lds = LDS.from_params(**GOOD)
    with pytest.raises(seqkit.NotFittedError, match="call update"):
        lds.predict(1)
    panel = lds.sample(3, length=100, seed=1)
    assert panel.shape == (300, 1) and panel.equals(lds.sample(3, length=100, seed=1))
    y = panel.loc[0].to_numpy()
    filtered = lds.filter(y)
    assert filtered.mean.shape == (100, 2) and filtered.cov.shape == (100, 2, 2)
    assert filtered.gain.shape == (100, 2, 1)
    oracle = oracles.joint({k: np.asarray(v) for k, v in GOOD.items()}, y[:6])
    np.testing.assert_allclose(lds.log_likelihood(y[:6]), oracle.log_likelihood, rtol=1e-10)
    np.testing.assert_allclose(lds.smooth(y[:6]).mean, oracle.states()[0], rtol=1e-8, atol=1e-10)
    assert np.isfinite(lds.score(y))
    loaded = seqkit.load(lds.save(tmp_path / "model.seqkit"))
    assert loaded == lds and loaded.log_likelihood(y) == lds.log_likelihood(y)
    assert lds.update(y[:60]).update(y[60:]).predict(5).mean.shape == (5,)
    with pytest.raises(ValueError, match="no standard errors"):
        lds.standard_errors_  # noqa: B018
    stationary = LDS.from_params(
        transition=0.5, observation=1.0, process_cov=3.0, observation_cov=1.0
    )
    np.testing.assert_allclose(stationary.initial_cov_, 0.0)
    np.testing.assert_allclose(stationary._system(0, 0, 5, None).initial_cov, [[4.0]])
