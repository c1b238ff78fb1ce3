"""The torch twin of the Kalman kernels: the joint normal law, the compiled kernels, gradients."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import oracles
import pytest
import torch

import seqkit

twin = pytest.importorskip("seqkit.kernels.kalman_torch")
scan = pytest.importorskip("seqkit.kernels.kalman_scan")

each_method = pytest.mark.parametrize("method", ["sequential", "parallel"])
CASES: dict[str, dict[str, Any]] = {  # n, m, length and what makes each of them difficult
    "constant": {"n": 2, "m": 1, "length": 6},
    "correlated": {"n": 3, "m": 3, "length": 5},
    "varying": {"n": 3, "m": 2, "length": 6, "varying": True},
    "one-row": {"n": 2, "m": 2, "length": 1, "varying": True},
    "no-noise": {"n": 4, "m": 3, "length": 5, "exact": 2},
    "still-states": {"n": 4, "m": 2, "length": 6, "singular_process": True, "varying": True},
    "diffuse": {"n": 2, "m": 1, "length": 6, "diffuse": 2},
    "diffuse-in-part": {"n": 4, "m": 3, "length": 6, "diffuse": 2, "varying": True},
    "diffuse-still": {"n": 3, "m": 2, "length": 6, "diffuse": 3, "singular_process": True},
}
each_case = pytest.mark.parametrize("case", CASES)


def make(case: str, *, series: int = 1, length: int | None = None) -> tuple[dict, np.ndarray]:
    """Arrays of a system, and data (series, T, m) with a row and single elements missing."""
    options = CASES[case] | ({"length": length} if length else {})
    rng = np.random.default_rng([11, len(case), series])
    arrays = oracles.random_system(rng, **options)
    paths = [oracles.random_path(arrays, options["length"], rng) for _ in range(series)]
    holed = [oracles.with_holes(y, rng, 0.2) for y in paths]
    holed[0][1::7] = np.nan
    return arrays, np.stack(holed)


def tensors(arrays: dict[str, Any]) -> Any:
    empty = dict.fromkeys(twin.CORES)
    return twin.from_arrays(SimpleNamespace(**(empty | arrays)))


def same(actual: Any, expected: Any, tolerance: float = 1e-10) -> None:
    """Equal to `tolerance` of the largest element (of one, if that is less)."""
    expected = np.asarray(expected)
    scale = max(1.0, float(np.abs(expected).max(initial=0.0)))
    np.testing.assert_allclose(np.asarray(actual), expected, rtol=0, atol=tolerance * scale)


@each_method
@each_case
def test_everything_is_the_joint_gaussian(case, method):
    arrays, y = make(case)
    exact, system = oracles.joint(arrays, y[0]), tensors(arrays)
    found = twin.filter(system, y, method=method)
    same(twin.log_likelihood(system, y, method=method)[0], exact.log_likelihood)
    same(found.log_density[0], exact.log_density)
    for prefix, ahead in (("predicted", -1), ("filtered", 0)):
        mean, cov, far = exact.states(ahead)
        same(getattr(found, f"{prefix}_mean")[0], mean)
        same(getattr(found, f"{prefix}_cov")[0], cov)
        if ahead < 0:
            same(np.zeros_like(far) if found.diffuse_cov is None else found.diffuse_cov[0], far)
    smoothed = twin.smooth(system, y, method=method)
    mean, cov, far = exact.states()
    assert np.abs(far).max() < 1e-9, "choose a seed that determines the start"
    same(smoothed.mean[0], mean)
    same(smoothed.cov[0], cov)
    same(smoothed.lag_one_cov[0], exact.lag_one_cov())


@pytest.mark.parametrize("case", ["correlated", "varying", "diffuse", "diffuse-in-part"])
def test_a_scan_is_the_recursion(case):
    arrays, y = make(case, series=2, length=257)
    system = tensors(arrays)
    for run in (twin.log_likelihood, twin.filter, twin.smooth):
        found = (run(system, y, method=method) for method in ("parallel", "sequential"))
        for one, other in zip(*found, strict=True):
            assert (one is None) == (other is None)
            if one is not None:
                same(one, other, 1e-9)


@each_method
@pytest.mark.parametrize("case", ["correlated", "still-states", "diffuse", "diffuse-in-part"])
def test_the_compiled_kernels_agree(case, method):
    from seqkit.kernels import kalman

    arrays, y = make(case, series=3, length=40)
    compiled = kalman.System(**arrays)
    system = twin.from_arrays(compiled)
    log_likelihood = twin.log_likelihood(system, y, method=method)
    filtered, smoothed = (run(system, y, method=method) for run in (twin.filter, twin.smooth))
    for i, series in enumerate(y):
        same(log_likelihood[i], kalman.log_likelihood(compiled, series))
        expected = kalman.filter(compiled, series)
        for name in ("log_density", "predicted_mean", "predicted_cov", "filtered_mean",
                     "filtered_cov"):  # fmt: skip
            same(getattr(filtered, name)[i], getattr(expected, name), 1e-9)
        expected = kalman.smooth(compiled, series, lag_one=True)
        for name in ("mean", "cov", "lag_one_cov"):
            same(getattr(smoothed, name)[i], getattr(expected, name), 1e-9)


@each_method
def test_gradients_are_the_analytic_score(method):
    from seqkit.kernels import kalman

    arrays, y = make("correlated", length=30)
    expected = kalman.score(kalman.System(**arrays), y[0])
    system = tensors(arrays)
    leaves = {k: x.requires_grad_() for k, x in vars(system).items() if k != "diffuse"}
    twin.log_likelihood(system, y, method=method).sum().backward()
    for name, leaf in leaves.items():
        slope = getattr(expected, name)
        same(leaf.grad, slope.sum(0) if slope.ndim > leaf.ndim else slope, 1e-9)


@each_method
@pytest.mark.parametrize("diffuse", [0, 1])
def test_gradients_are_slopes(diffuse, method):
    """All outputs, in all arrays; with diffuse=1 also of moments before the start is resolved."""
    rng = np.random.default_rng(3)
    arrays = oracles.random_system(rng, 2, 2, 3, varying=["observation"], diffuse=diffuse)
    y = np.stack([oracles.random_path(arrays, 3, rng) for _ in range(2)])
    y[0, 0], y[1, 2, 1] = np.nan, np.nan
    system = tensors(arrays)
    names = [name for name in twin.CORES if name != "diffuse"]
    leaves = [getattr(system, name).requires_grad_() for name in names]

    def outputs(run):
        def of(*values):
            found = run(replace(system, **dict(zip(names, values, strict=True))), y, method=method)
            found = (found,) if isinstance(found, torch.Tensor) else found
            return tuple(x for x in found if x is not None)

        return of

    assert torch.autograd.gradcheck(outputs(twin.log_likelihood), leaves)
    assert torch.autograd.gradcheck(outputs(twin.filter), leaves, fast_mode=True, atol=1e-4)
    assert torch.autograd.gradcheck(outputs(twin.smooth), leaves, fast_mode=True, atol=1e-4)


@each_method
@pytest.mark.parametrize("holes", ["own", "common", "none"])
def test_a_batch_is_its_series_one_by_one(holes, method):
    """Also with starts and intercepts of their own, which leave the covariances in common."""
    arrays, y = make("diffuse-in-part", series=4, length=12)
    missing = {"own": np.isnan(y), "common": np.isnan(y[:1]), "none": False}[holes]
    y = np.where(missing, np.nan, np.nan_to_num(y))
    rng = np.random.default_rng(0)
    own = {
        "initial_mean": rng.normal(size=(4, 4)),
        "state_intercept": rng.normal(size=(4, 12, 4)),
        "observation_intercept": rng.normal(size=(4, 1, 3)),
    }
    if holes == "own":
        own["transition"] = arrays["transition"] * rng.uniform(0.5, 1, (4, 1, 1, 1))
        own["diffuse"] = np.stack([np.diag(np.arange(4) < k) for k in (2, 0, 1, 2)]).astype(float)
    for run in (twin.log_likelihood, twin.filter, twin.smooth):
        batch = run(tensors(arrays | own), y, method=method)
        batch = (batch,) if run is twin.log_likelihood else batch
        for i in range(4):
            one = run(tensors(arrays | {k: x[[i]] for k, x in own.items()}), y[[i]], method=method)
            one = (one,) if run is twin.log_likelihood else one
            for found, expected in zip(batch, one, strict=True):
                if expected is not None:
                    same(found[i], expected[0], 1e-11)


@each_method
def test_diffuse_starts_are_those_of_statsmodels(method):
    one = np.ones((1, 1))
    nile = np.asarray(seqkit.datasets.load("nile"), dtype=float).reshape(1, -1, 1)
    level = {"transition": one, "observation": one, "process_cov": 1469.2 * one,
             "observation_cov": 15098.5 * one, "initial_mean": np.zeros(1),
             "initial_cov": 0 * one, "diffuse": one}  # fmt: skip
    same(twin.log_likelihood(tensors(level), nile, method=method)[0], -633.46456, 1e-8)
    trend = {"transition": np.array([[1.0, 1], [0, 1]]), "observation": np.array([[1.0, 0]]),
             "process_cov": np.diag([0.1, 0.01]), "observation_cov": one,
             "initial_mean": np.zeros(2), "initial_cov": np.zeros((2, 2)),
             "diffuse": np.eye(2)}  # fmt: skip
    y = np.random.default_rng(1).normal(size=(1, 60, 1)).cumsum(1)
    y[0, [0, 2, 30]] = np.nan
    for arrays, series in ((level, nile), (trend, y)):
        expected = by_statsmodels(arrays, series[0])
        found = twin.filter(tensors(arrays), series, method=method)
        same(found.log_density[0], expected.llf_obs)
        same(found.predicted_mean[0], expected.predicted_state.T[:-1])
        same(found.predicted_cov[0], expected.predicted_state_cov.T[:-1])
        smoothed = twin.smooth(tensors(arrays), series, method=method)
        same(smoothed.mean[0], expected.smoothed_state.T)
        same(smoothed.cov[0], expected.smoothed_state_cov.T)


def by_statsmodels(arrays: dict[str, Any], y: np.ndarray) -> Any:
    kalman_smoother = pytest.importorskip("statsmodels.tsa.statespace.kalman_smoother")
    m, n = arrays["observation"].shape
    model = kalman_smoother.KalmanSmoother(k_endog=m, k_states=n, tolerance=0)
    model.bind(np.asfortranarray(y.T))
    model["selection"], model["transition"] = np.eye(n), arrays["transition"]
    model["design"], model["state_cov"] = arrays["observation"], arrays["process_cov"]
    model["obs_cov"] = arrays["observation_cov"]
    model.initialize_diffuse()
    return model.smooth()


@each_method
def test_a_prior_far_wider_than_the_noise_costs_no_digits(method):
    arrays, y = make("correlated", length=4)
    arrays |= {"initial_cov": 1e10 * np.eye(3), "observation_cov": 1e-8 * np.eye(3)}
    y, unit = np.nan_to_num(y), arrays["observation"].T @ arrays["observation"]
    filtered = twin.filter(tensors(arrays), y, method=method).filtered_cov
    np.testing.assert_allclose(filtered[0, 0] / 1e-8, np.linalg.inv(unit), rtol=1e-6)
    for cov in (filtered, twin.smooth(tensors(arrays), y, method=method).cov):
        assert (cov == cov.mT).all()
        assert torch.linalg.eigvalsh(cov).min() > 0


@each_method
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_dtype_and_device_are_those_of_the_system(device, method):
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    arrays, y = make("diffuse-in-part", series=2, length=50)
    expected = twin.smooth(tensors(arrays), y)
    for dtype, tolerance in ((torch.float64, 1e-9), (torch.float32, 1e-3)):
        system = tensors(arrays).to(device, dtype)
        found = twin.smooth(system, y, method=method)
        for x, other in zip(found, expected, strict=True):
            assert (x.dtype, x.device.type) == (dtype, device)
            same(x.cpu(), other, tolerance)
        for x in (twin.log_likelihood(system, y, method=method), *twin.filter(system, y)):
            assert (x.dtype, x.device.type) == (dtype, device)


@pytest.mark.parametrize("length", [1, 2, 3, 4, 7, 8, 13])
def test_a_scan_keeps_the_order_of_what_it_composes(length):
    x = torch.rand(2, length, 3, 3, dtype=torch.float64)
    (found,) = scan.associative_scan(lambda a, b: (a[0] @ b[0],), (x,))
    expected = x[:, 0]
    for t in range(length):
        expected = expected @ x[:, t] if t else expected
        same(found[:, t], expected, 1e-14)


def test_what_cannot_be_is_refused():
    arrays, y = make("diffuse")
    system = tensors(arrays)
    with pytest.raises(ValueError, match=r"y of shape \(series, rows, 1\).*got \(6, 1\)"):
        twin.filter(system, y[0])
    with pytest.raises(ValueError, match=r"transition of shape \(2, 2\).*got \(5, 2, 2\)"):
        twin.filter(replace(system, transition=system.transition.expand(5, 2, 2)), y)
    with pytest.raises(ValueError, match=r"one dtype and device.*float32"):
        twin.filter(replace(system, observation=system.observation.float()), y)
    with pytest.raises(ValueError, match='"sequential" or "parallel", got \'both\''):
        twin.filter(system, y, method="both")
    with pytest.raises(ValueError, match="series 0 has too few observed values to resolve"):
        twin.smooth(system, y[:, :1])
    with pytest.raises(ValueError, match="diffuse must be positive semidefinite"):
        twin.filter(replace(system, diffuse=-system.diffuse), y)
    zero = torch.zeros(2, 2, dtype=torch.float64)
    still, y = replace(system, observation_cov=zero[:1, :1], process_cov=zero), np.ones((1, 3, 1))
    with pytest.raises(ValueError, match=r"row 1 of series 0.*take method='sequential'"):
        twin.filter(still, y, method="parallel")
    with pytest.raises(ValueError, match=r"row 0 of series 0.*small observation_cov"):
        twin.filter(replace(still, diffuse=None), y)
