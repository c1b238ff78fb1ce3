"""The chain kernels, compiled and torch: enumeration of all paths, gradients, numeric pitfalls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from itertools import pairwise
from typing import Any

import numpy as np
import oracles
import pytest
import torch

Array = np.ndarray
TIGHT = 1e-12
CASES: dict[str, dict[str, Any]] = {  # what makes each of them difficult
    "plain": {"size": 3, "length": 5},
    "two-states": {"size": 2, "length": 6},
    "four-states": {"size": 4, "length": 6},
    "one-state": {"size": 1, "length": 4},
    "one-step": {"size": 3, "length": 1},
    "one-step-one-state": {"size": 1, "length": 1},
    "missing": {"size": 3, "length": 6, "missing": (0, 2, 3, 5)},
    "all-missing": {"size": 4, "length": 4, "missing": range(4)},
    "forced": {"size": 3, "length": 6, "forced": {1: 2, 4: 0}},
    "forbidden": {"size": 4, "length": 5, "forbidden": {0: (1,), 2: (0, 3), 4: (2,)}},
    "left-right": {"size": 4, "length": 6, "topology": "left-right"},
    "cyclic": {"size": 3, "length": 6, "topology": "cyclic", "missing": (2,)},
    "varying": {"size": 3, "length": 6, "varying": True},
    "unnormalised": {"size": 3, "length": 5, "weight": 7.0},
    "negligible": {"size": 3, "length": 5, "weight": 1e-3, "spread": 300.0},
    "all-at-once": {
        "size": 4, "length": 6, "varying": True, "weight": 3.0, "missing": (1,),
        "forced": {3: 1}, "forbidden": {5: (0,)}, "topology": "left-right", "spread": 40.0,
    },
}  # fmt: skip


@dataclass(frozen=True)
class Kernel:
    """One implementation, called with arrays and answering with arrays."""

    name: str
    module: str
    options: dict[str, Any]

    @property
    def is_torch(self) -> bool:
        return self.module == "chain_torch"

    def __call__(self, function: str, *arrays: Array, **options: Any) -> Any:
        run = getattr(import_module(f"seqkit.kernels.{self.module}"), function)
        if not self.is_torch:
            return run(*arrays, **options)
        import torch

        tensors = [torch.as_tensor(np.asarray(x, float)) for x in arrays]
        if "rng" in options:
            seed = int(options["rng"].integers(2**31))
            options["rng"] = torch.Generator().manual_seed(seed)
        extra = {} if function == "k_best" else self.options
        return as_arrays(run(*tensors, **options, **extra))


def as_arrays(found: Any) -> Any:
    """Tensors, and the tensors in named tuples, as arrays."""
    if isinstance(found, tuple):
        parts = [as_arrays(x) for x in found]
        return type(found)(*parts) if hasattr(found, "_fields") else tuple(parts)
    return found.detach().cpu().numpy()


KERNELS = [
    Kernel("compiled", "chain", {}),
    Kernel("torch", "chain_torch", {"scan": False}),
    Kernel("torch-scan", "chain_torch", {"scan": True}),
]


@pytest.fixture(params=KERNELS, ids=[k.name for k in KERNELS])
def kernel(request) -> Kernel:
    if request.param.is_torch:
        pytest.importorskip("torch").set_num_threads(1)  # such small work is not worth threads
    return request.param


each_case = pytest.mark.parametrize("case", CASES)


def make(case: str, draw: int = 0) -> tuple[Array, Array, Array]:
    """Initial, transition and log-potentials of one case."""
    options = CASES[case]
    rng = np.random.default_rng([5, len(case), draw])
    size, length = options["size"], options["length"]
    layers = (length,) if options.get("varying") else ()
    initial = rng.dirichlet(np.ones(size)) * options.get("weight", 1.0)
    transition = rng.dirichlet(np.ones(size), (*layers, size)) * options.get("weight", 1.0)
    if options.get("topology") == "left-right":
        initial = initial * (np.arange(size) < 2)
        transition = np.triu(transition) * np.tri(size, k=1)
    elif options.get("topology") == "cyclic":
        transition = transition * (np.eye(size) + np.roll(np.eye(size), 1, axis=1))
    potentials = rng.normal(0, options.get("spread", 2.0), (length, size)) - 3.0
    potentials[list(options.get("missing", ()))] = 0.0
    for t, state in options.get("forced", {}).items():
        potentials[t, np.arange(size) != state] = -np.inf
    for t, states in options.get("forbidden", {}).items():
        potentials[t, list(states)] = -np.inf
    return initial, transition, potentials


def same(actual: Any, expected: Any, tolerance: float = TIGHT) -> None:
    """Equal to `tolerance` of one, or of each element where that is larger."""
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


# Enumeration


@each_case
def test_sums_over_paths_are_those_of_enumeration(kernel, case):
    initial, transition, potentials = make(case)
    exact = oracles.chain(initial, transition, potentials)
    same(kernel("log_partition", initial, transition, potentials), [exact.log_partition])
    marginals = kernel("marginals", initial, transition, potentials)
    same(marginals.log_partition, [exact.log_partition])
    same(marginals.probabilities, exact.marginals())
    pairs = kernel("pair_marginals", initial, transition, potentials)
    same(pairs, exact.pair_marginals())
    found = kernel("expected", initial, transition, potentials)
    same(found.log_partition, [exact.log_partition])
    same(found.initial, exact.marginals()[0])
    same(found.transition, exact.pair_marginals().sum(axis=0))
    same(found.weights, exact.marginals())
    same(found.last, exact.marginals()[-1:])


@each_case
def test_filter_is_enumeration_of_the_steps_so_far(kernel, case):
    initial, transition, potentials = make(case)
    found = kernel("filter", initial, transition, potentials)
    for t in range(len(potentials)):
        layers = transition[: t + 1] if transition.ndim == 3 else transition
        exact = oracles.chain(initial, layers, potentials[: t + 1])
        same(found.probabilities[t], exact.marginals()[-1])
    same(found.log_partition, [exact.log_partition])


@each_case
def test_best_paths_are_those_of_enumeration(kernel, case):
    initial, transition, potentials = make(case)
    exact = oracles.chain(initial, transition, potentials)
    found = kernel("viterbi", initial, transition, potentials)
    assert found.states.dtype == np.int64
    same(found.score, exact.best(1))
    same(exact.log_weight_of(found.states), found.score[0])  # of tied paths any is right
    for k in (1, 3, 40):
        paths, scores = kernel("k_best", initial, transition, potentials, k=k)
        same(scores, exact.best(k))
        assert len(paths) == len(scores) == len({tuple(path) for path in paths})
        same([exact.log_weight_of(path) for path in paths], scores)


@pytest.mark.parametrize("case", ["plain", "forced", "left-right", "varying", "all-at-once"])
def test_sampled_paths_have_the_frequencies_of_enumeration(kernel, case):
    initial, transition, potentials = make(case)
    exact = oracles.chain(initial, transition, potentials)
    count, rng = 20_000, np.random.default_rng(3)
    paths = kernel("sample", initial, transition, potentials, n=count, rng=rng)
    assert paths.shape == (count, len(potentials))
    assert paths.dtype == np.int64
    size = len(initial)
    codes = size ** np.arange(len(potentials))[::-1]
    seen = np.bincount(paths @ codes, minlength=len(exact.states)) / count
    p = exact.probability.astype(float)
    assert (p[seen > 0] > 0).all()
    common = p > 25 / count  # the others, which are far from normal, together
    seen = np.append(seen[common], seen[~common].sum())
    p = np.append(p[common], p[~common].sum())
    assert (np.abs(seen - p) <= 4 * np.sqrt(p * (1 - p) / count) + 1e-12).all()
    for t, marginal in enumerate(exact.marginals()):
        frequency = np.bincount(paths[:, t], minlength=size) / count
        error = np.sqrt(marginal * (1 - marginal) / count)
        assert (np.abs(frequency - marginal) <= 4 * error + 1e-12).all()


def ragged(varying: bool = False) -> tuple[tuple[Array, Array, Array], Array, Array]:
    """Sequences of lengths 4, 1, 6, 2, whose steps share seven rows of potentials."""
    rng = np.random.default_rng(9)
    offsets = np.array([0, 4, 5, 11, 13])
    rows = rng.integers(0, 7, 13)
    potentials = rng.normal(0, 2, (7, 3))
    potentials[2, 1] = -np.inf
    transition = rng.dirichlet(np.ones(3), (13, 3) if varying else 3)
    transition[..., 0, 2] = 0.0
    return (rng.dirichlet(np.ones(3)), transition, potentials), rows, offsets


def each_sequence(varying: bool) -> list[tuple[slice, oracles.Paths]]:
    (initial, transition, potentials), rows, offsets = ragged(varying)
    spans = [slice(i, j) for i, j in pairwise(offsets)]
    layers = [transition[span] if varying else transition for span in spans]
    return [
        (span, oracles.chain(initial, layer, potentials, rows[span]))
        for span, layer in zip(spans, layers, strict=True)
    ]


@pytest.mark.parametrize("varying", [False, True], ids=["constant", "varying"])
def test_sequences_end_to_end_that_share_rows(kernel, varying):
    arrays, rows, offsets = ragged(varying)
    ends = {"rows": rows, "offsets": offsets}
    parts = each_sequence(varying)
    logs = [exact.log_partition for _, exact in parts]
    single = np.concatenate([exact.marginals() for _, exact in parts])
    pairs = np.concatenate([exact.pair_marginals() for _, exact in parts])
    same(kernel("log_partition", *arrays, **ends), logs)
    found = kernel("marginals", *arrays, **ends)
    same(found.log_partition, logs)
    same(found.probabilities, single)
    same(kernel("pair_marginals", *arrays, **ends), pairs)
    weights = np.zeros_like(arrays[2])
    np.add.at(weights, rows, single)
    found = kernel("expected", *arrays, **ends)
    same(found.log_partition, logs)
    same(found.initial, single[offsets[:-1]].sum(axis=0))
    same(found.transition, pairs.sum(axis=0))
    same(found.weights, weights)
    same(found.last, single[offsets[1:] - 1])


@pytest.mark.parametrize("varying", [False, True], ids=["constant", "varying"])
def test_paths_of_sequences_end_to_end(kernel, varying):
    arrays, rows, offsets = ragged(varying)
    ends = {"rows": rows, "offsets": offsets}
    best = kernel("viterbi", *arrays, **ends)
    rng = np.random.default_rng(4)
    paths = kernel("sample", *arrays, n=4_000, rng=rng, **ends)
    filtered = kernel("filter", *arrays, **ends)
    for i, (span, exact) in enumerate(each_sequence(varying)):
        same(best.score[i], exact.best(1)[0])
        same(exact.log_weight_of(best.states[span]), best.score[i])
        same(filtered.log_partition[i], exact.log_partition)
        same(filtered.probabilities[span.stop - 1], exact.marginals()[-1])
        for t, marginal in enumerate(exact.marginals(), span.start):
            frequency = np.bincount(paths[:, t], minlength=3) / len(paths)
            error = np.sqrt(marginal * (1 - marginal) / len(paths))
            assert (np.abs(frequency - marginal) <= 4 * error + 1e-12).all()


def test_the_layer_of_a_first_step_is_not_used(kernel):
    (initial, transition, potentials), rows, offsets = ragged(varying=True)
    ends = {"rows": rows, "offsets": offsets}
    other = transition.copy()
    other[offsets[:-1]] = 5.0
    for function in ("log_partition", "pair_marginals"):
        expected = kernel(function, initial, transition, potentials, **ends)
        same(kernel(function, initial, other, potentials, **ends), expected)


# Both implementations, where enumeration cannot follow: more states, long and ragged sequences


@pytest.mark.parametrize("layers", ["constant", "varying"])
@pytest.mark.parametrize("shape", ["dense", "sparse", "rows-shared"])
@pytest.mark.parametrize("size", [1, 3, 8, 9, 17])
def test_implementations_agree_on_long_ragged_sequences(size, shape, layers):
    pytest.importorskip("torch").set_num_threads(1)
    compiled, twin = KERNELS[0], KERNELS[2]
    rng = np.random.default_rng([size, len(shape)])
    offsets = np.cumsum([0, 1, 255, 2, 256, 257, 300])  # about blocks of 256 steps
    length = offsets[-1]
    initial = rng.dirichlet(np.ones(size))
    transition = rng.dirichlet(np.ones(size), (length, size) if layers == "varying" else size)
    count = 40 if shape == "rows-shared" else length
    potentials = rng.normal(-5, 4, (count, size))
    ends: dict[str, Any] = {"offsets": offsets}
    if shape == "rows-shared":
        ends["rows"] = rng.integers(0, count, length)
    if shape == "sparse" and size > 1:
        ring = np.eye(size) + np.roll(np.eye(size), 1, axis=1) + np.roll(np.eye(size), 2, axis=1)
        transition = transition * (ring > 0)
        potentials[rng.random(potentials.shape) < 0.05] = -np.inf
        potentials[np.isinf(potentials).all(axis=1)] = 0.0
        potentials[rng.random(count) < 0.2] = 0.0
    arrays = initial, transition, potentials
    for function in ("log_partition", "filter", "marginals", "expected", "viterbi"):
        mine, other = (kernel(function, *arrays, **ends) for kernel in (compiled, twin))
        mine, other = (x if isinstance(x, tuple) else (x,) for x in (mine, other))
        for a, b in zip(mine, other, strict=True):
            same(a, b, 1e-11)
    if size < 10:
        pairs = (kernel("pair_marginals", *arrays, **ends) for kernel in (compiled, twin))
        same(*pairs, 1e-11)


@pytest.mark.parametrize("length", [4_096, 5_000, 5_001, 6_145, 6_151, 7_169])
@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_few_states_over_many_steps(size, length):
    """Where stretches of a long chain are done side by side, and blocks of them follow each other."""
    pytest.importorskip("torch").set_num_threads(1)
    compiled, twin = KERNELS[0], KERNELS[2]
    rng = np.random.default_rng([size, length])
    initial, transition = rng.dirichlet(np.ones(size)), rng.dirichlet(np.ones(size), size)
    potentials = rng.normal(-30, 5, (length, size))
    potentials[100:1_500] *= rng.uniform(1, 40, (1_400, 1))  # outliers, and
    potentials[2_000:2_010] = 0.0  # missing steps
    potentials[3_000:3_100, : size - 1] = -np.inf  # forced states
    arrays = initial, transition, potentials
    for function in ("log_partition", "filter", "marginals", "expected", "viterbi"):
        mine, other = (kernel(function, *arrays) for kernel in (compiled, twin))
        mine, other = (x if isinstance(x, tuple) else (x,) for x in (mine, other))
        for a, b in zip(mine, other, strict=True):
            same(a, b, 1e-11)


@each_case
def test_recursions_in_logs(case):
    """What sequences are redone by, on sequences that would not need it."""
    compiled = import_module("seqkit.kernels._chain_logs_numba")
    initial, transition, logs = make(case)
    exact = oracles.chain(initial, transition, logs)
    with np.errstate(divide="ignore"):
        start, moves = np.log(initial), np.log(transition).reshape(-1, *transition.shape[-2:])
    alpha, log_z = compiled.forward_logs(start, moves, logs)
    same(log_z, exact.log_partition)
    for count in {1, len(logs)} if len(logs) > 1 else {1}:
        pairs = np.zeros((count, *moves.shape[1:]))
        same(compiled.backward_logs(moves, logs, alpha, pairs), exact.marginals())
        same(pairs.sum(0), exact.pair_marginals().sum(0))


# Gradients


def difference(f: Callable[[Array], float], x: Array, step: float) -> Array:
    """Central differences of fourth order, element by element; zeros at -inf."""
    out = np.zeros_like(x)
    for at in zip(*np.nonzero(np.isfinite(x)), strict=True):
        values = []
        for shift in (-2, -1, 1, 2):
            moved = x.copy()
            moved[at] += shift * step
            values.append(f(moved))
        out[at] = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * step)
    return out


@each_case
def test_marginals_are_the_gradient_of_log_z(kernel, case):
    initial, transition, potentials = make(case)
    marginals = kernel("marginals", initial, transition, potentials).probabilities

    def log_z(x: Array) -> float:
        return float(kernel("log_partition", initial, transition, x)[0])

    same(difference(log_z, potentials, 1e-3), marginals, 1e-9)


@pytest.mark.parametrize("scan", [False, True], ids=["loop", "scan"])
@each_case
def test_autograd_of_log_z_is_the_marginals(case, scan):
    twin = import_module("seqkit.kernels.chain_torch")
    initial, transition, potentials = make(case)
    exact = oracles.chain(initial, transition, potentials)
    x = [torch.tensor(part, requires_grad=True) for part in (initial, transition, potentials)]
    twin.log_partition(*x, scan=scan).sum().backward()
    same(x[2].grad, exact.marginals())
    same(x[0].grad * x[0].detach(), exact.marginals()[0])
    pairs = exact.pair_marginals()
    same(x[1].grad * x[1].detach(), pairs if transition.ndim == 3 else pairs.sum(axis=0))


@pytest.mark.parametrize("scan", [False, True], ids=["loop", "scan"])
def test_gradients_are_right_also_at_zero_weights(scan):
    twin = import_module("seqkit.kernels.chain_torch")
    initial, transition, potentials = make("left-right")

    def log_z(x: Array) -> float:
        return float(twin.log_partition(*map(torch.tensor, (initial, x, potentials)))[0])

    x = [torch.tensor(part, requires_grad=True) for part in (initial, transition, potentials)]
    twin.log_partition(*x, scan=scan).sum().backward()
    one_sided = np.zeros_like(transition)
    for at in np.ndindex(*transition.shape):
        moved = transition.copy()
        moved[at] += 1e-7
        one_sided[at] = (log_z(moved) - log_z(transition)) / 1e-7
    same(x[1].grad, one_sided, 1e-4)


@pytest.mark.parametrize("scan", [False, True], ids=["loop", "scan"])
@pytest.mark.parametrize("function", ["log_partition", "filter", "marginals", "pair_marginals"])
def test_first_and_second_derivatives_agree_with_differences(function, scan):
    twin = import_module("seqkit.kernels.chain_torch")
    (initial, transition, potentials), rows, _ = ragged(varying=True)
    rows, offsets = rows[:6] % 4, np.array([0, 3, 4, 6])  # every weight is moved by itself
    potentials = np.where(np.isinf(potentials), -3.0, potentials)[:4]
    transition = transition[:6] + 0.1

    def run(*x):
        found = getattr(twin, function)(*x, rows=rows, offsets=offsets, scan=scan)
        return found[1] if isinstance(found, tuple) else found

    x = [torch.tensor(part, requires_grad=True) for part in (initial, transition, potentials)]
    assert torch.autograd.gradcheck(run, x)
    if function == "log_partition":
        assert torch.autograd.gradgradcheck(run, x, fast_mode=True)


@pytest.mark.parametrize("scan", [False, True], ids=["loop", "scan"])
@pytest.mark.parametrize("function", ["filter", "marginals"])
def test_forbidden_states_leave_no_nan_in_gradients(function, scan):
    twin = import_module("seqkit.kernels.chain_torch")
    x = [torch.tensor(part, requires_grad=True) for part in make("all-at-once")]
    found = getattr(twin, function)(*x, scan=scan)
    found.probabilities[:, 1].sum().backward()
    assert all(torch.isfinite(part.grad).all() for part in x)


# Numeric pitfalls: the truth is a recursion on logarithms, in extended precision


def log_forward(initial: Array, transition: Array, potentials: Array) -> tuple[float, Array]:
    """Log Z and the filter by logarithms alone, one step after the other."""
    with np.errstate(divide="ignore"):
        moves, alpha = np.log(oracles.WIDE(transition)), np.log(oracles.WIDE(initial))
    filtered = np.empty((len(potentials), len(initial)))
    for t, row in enumerate(potentials):
        if t:
            alpha = log_sum(alpha[:, None] + moves)
        alpha = alpha + row
        filtered[t] = np.exp(alpha - log_sum(alpha))
    return float(log_sum(alpha)), filtered


def log_sum(x: Array) -> Array:
    """log sum exp over the first axis; -inf for nothing."""
    top = x.max(axis=0)
    top = np.where(np.isfinite(top), top, 0)
    with np.errstate(divide="ignore"):
        return top + np.log(np.exp(x - top).sum(axis=0))


def log_marginals(initial: Array, transition: Array, potentials: Array) -> Array:
    """Smoothed probabilities by logarithms alone."""
    _, filtered = log_forward(initial, transition, potentials)
    with np.errstate(divide="ignore"):
        alpha, moves = np.empty(potentials.shape, oracles.WIDE), np.log(oracles.WIDE(transition))
        last = np.log(oracles.WIDE(initial))
    for t, row in enumerate(potentials):
        alpha[t] = last = (log_sum(last[:, None] + moves) if t else last) + row
    beta, out = np.zeros(len(initial), oracles.WIDE), np.empty(potentials.shape)
    for t in reversed(range(len(potentials))):
        out[t] = np.exp(alpha[t] + beta - log_sum(alpha[t] + beta))
        beta = log_sum((moves + potentials[t] + beta).T)
    same(filtered[-1], out[-1])
    return out


def gaussian(x: Array, means: Array) -> Array:
    """Log densities (T, K) of normal laws with unit variances; means (K, D), x (T, D)."""
    distance = np.square(x[:, None] - means).sum(axis=-1)
    return -distance / 2 - x.shape[1] / 2 * np.log(2 * np.pi)


def check_against_logs(
    kernel: Kernel, initial: Array, transition: Array, potentials: Array, tolerance: float = TIGHT
) -> None:
    """Everything that sums over paths, beside the recursion on logarithms."""
    arrays = initial, transition, potentials
    log_z, filtered = log_forward(*arrays)
    smoothed = log_marginals(*arrays)
    same(kernel("log_partition", *arrays), [log_z])
    found = kernel("filter", *arrays)
    same(found.log_partition, [log_z])
    same(found.probabilities, filtered, tolerance)
    same(kernel("marginals", *arrays).probabilities, smoothed, tolerance)
    pairs = kernel("pair_marginals", *arrays)
    same(pairs[1:].sum(axis=1), smoothed[1:], tolerance)
    same(pairs[1:].sum(axis=2), smoothed[:-1], tolerance)
    counts = kernel("expected", *arrays)
    same(counts.weights, smoothed, tolerance)
    same(counts.transition, pairs.sum(axis=0), 10 * tolerance)


def test_an_outlier_of_sixty_standard_deviations(kernel):
    rng = np.random.default_rng(0)
    means = rng.normal(0, 1, (3, 8))
    x = rng.normal(size=(50, 8))
    x[20] += 60.0
    transition = rng.dirichlet(np.ones(3), 3)
    check_against_logs(kernel, rng.dirichlet(np.ones(3)), transition, gaussian(x, means))


@pytest.mark.parametrize("certain", [True, False], ids=["certain", "likely"])
def test_an_absorbing_state_whose_rival_fits_the_observations(kernel, certain):
    means = np.array([[0.0], [80.0], [40.0]])
    x = np.concatenate([np.zeros(4), np.full(3, 80.0), np.zeros(2), np.full(2, 80.0)])[:, None]
    initial = np.array([1.0, 0.0, 0.0]) if certain else np.array([0.9, 0.05, 0.05])
    transition = np.array([[1.0, 0.0, 0.0], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4]])
    potentials = gaussian(x, means)
    check_against_logs(kernel, initial, transition, potentials)
    if certain:
        same(kernel("log_partition", initial, transition, potentials), potentials[:, :1].sum(0))


@pytest.mark.parametrize("length", [3, 9, 40])
def test_states_that_are_unreachable_for_a_stretch(kernel, length):
    rng = np.random.default_rng(length)
    transition = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.5, 0.0, 0.5]])
    potentials = rng.normal(0, 400, (length, 3))
    potentials[length // 2 :, 2] += 3_000.0
    check_against_logs(kernel, np.array([1.0, 0.0, 0.0]), transition, potentials)


@pytest.mark.parametrize("depth", [-1e3, -1e5, -1e8])
def test_log_potentials_far_below_what_exp_can_hold(kernel, depth):
    rng = np.random.default_rng(2)
    potentials = rng.choice([0.0, 0.3 * depth, depth], (30, 4)) + rng.normal(size=(30, 4))
    transition = np.triu(rng.dirichlet(np.ones(4), 4))
    start, digits = np.array([0.5, 0.5, 0, 0]), 1e-12 + 1e-15 * abs(depth)  # of such logarithms
    check_against_logs(kernel, start, transition, potentials + depth, digits)


def test_rare_transitions_that_the_observations_insist_on(kernel):
    transition = np.array([[1.0, 1e-200], [1e-250, 1.0]])
    x = np.repeat([0.0, 50.0, 0.0, 50.0], 5)[:, None]
    potentials = gaussian(x, np.array([[0.0], [50.0]]))
    check_against_logs(kernel, np.array([1.0, 1e-300]), transition, potentials)


def test_a_long_run_does_not_underflow(kernel):
    length = 3_000 if kernel.name == "torch" else 200_000
    rng = np.random.default_rng(1)
    initial, transition = rng.dirichlet(np.ones(4)), rng.dirichlet(np.ones(4), 4)
    potentials = rng.normal(-50.0, 3.0, (length, 4))
    found = kernel("filter", initial, transition, potentials)
    start, prefix = 2_000, potentials[:2_000]
    log_z, filtered = log_forward(initial, transition, prefix)
    same(kernel("log_partition", initial, transition, prefix), [log_z])
    same(found.probabilities[:start], filtered)
    # What is left of log Z is that of the rest, started from the filter where the prefix ends
    rest = filtered[-1] @ transition, transition, potentials[start:]
    total = kernel("log_partition", initial, transition, potentials)
    same(total, log_z + kernel("log_partition", *rest))
    same(found.log_partition, total)
    per_step, of_prefix = total[0] / length, log_z / start
    assert abs(per_step - of_prefix) < 4 * 3.0 / np.sqrt(start)
    same(kernel("marginals", initial, transition, potentials).probabilities.sum(axis=1), 1.0)


# What must be refused


def impossible() -> tuple[tuple[Array, Array, Array], Array]:
    """Three sequences; the one in the middle cannot happen."""
    transition = np.array([[1.0, 0.0], [0.5, 0.5]])
    potentials = np.zeros((7, 2))
    potentials[2, 1] = potentials[4, 0] = -np.inf  # state 0 at step 2, never to be left
    return (np.array([0.5, 0.5]), transition, potentials), np.array([0, 2, 5, 7])


def test_an_impossible_sequence_is_named_or_nan(kernel):
    arrays, offsets = impossible()
    log_z = kernel("log_partition", *arrays, offsets=offsets)
    assert log_z[1] == -np.inf
    same(log_z[[0, 2]], 0.0)
    found = kernel("marginals", *arrays, offsets=offsets)
    assert found.log_partition[1] == -np.inf
    assert np.isnan(found.probabilities[2:5]).all()
    assert np.isfinite(found.probabilities[[0, 1, 5, 6]]).all()
    with pytest.raises(ValueError, match="sequence 1"):
        kernel("viterbi", *arrays, offsets=offsets)
    with pytest.raises(ValueError, match="sequence 1"):
        kernel("sample", *arrays, offsets=offsets, n=2, rng=np.random.default_rng(0))


@pytest.mark.parametrize("size", [1, 2, 5, 9])
def test_an_impossible_sequence_spoils_no_other(kernel, size):
    initial, transition = np.full(size, 1 / size), np.full((size, size), 1 / size)
    potentials = np.random.default_rng(size).normal(size=(12, size))
    potentials[5] = -np.inf
    offsets, ends = np.array([0, 4, 7, 12]), np.array([0, 4, 9])
    others = np.delete(np.arange(12), [4, 5, 6])
    possible = potentials[others]
    for function in ("filter", "marginals", "pair_marginals"):
        found = kernel(function, initial, transition, potentials, offsets=offsets)
        exact = kernel(function, initial, transition, possible, offsets=ends)
        found, exact = (x[1] if isinstance(x, tuple) else x for x in (found, exact))
        same(found[others], exact)


BAD: dict[str, tuple[dict[str, Any], str]] = {  # what is wrong, and what the error says came
    "initial": ({"initial": np.ones(4)}, r"initial.*\(4,\)"),
    "initial-matrix": ({"initial": np.ones((3, 3))}, r"initial.*\(3, 3\)"),
    "transition": ({"transition": np.ones((3, 2))}, r"transition.*\(3, 2\)"),
    "layers": ({"transition": np.ones((5, 3, 3))}, r"transition.*\(5, 3, 3\)"),
    "potentials": ({"log_potentials": np.zeros(6)}, r"log_potentials.*\(6,\)"),
    "states": ({"log_potentials": np.zeros((6, 2))}, r"\(6, 2\)|\(3,\)"),
    "empty": ({"log_potentials": np.zeros((0, 3))}, r"\(0, 3\)|, 0\b"),
    "rows": ({"rows": np.array([0, 6])}, r"rows.*6"),
    "negative-rows": ({"rows": np.array([0, -1])}, r"rows.*-1"),
    "offsets": ({"offsets": np.array([0, 5])}, r"offsets.*5"),
    "offsets-start": ({"offsets": np.array([1, 6])}, r"offsets.*1"),
    "offsets-fall": ({"offsets": np.array([0, 4, 2, 6])}, r"offsets"),
    "negative-weights": ({"transition": -np.ones((3, 3))}, r"transition.*-1"),
    "nan": ({"log_potentials": np.full((6, 3), np.nan)}, r"log_potentials.*nan"),
}


@pytest.mark.parametrize("wrong", BAD)
@pytest.mark.parametrize("function", ["log_partition", "marginals", "viterbi"])
def test_errors_say_what_came(kernel, function, wrong):
    changed, message = BAD[wrong]
    parts = {
        "initial": np.ones(3),
        "transition": np.ones((3, 3)),
        "log_potentials": np.zeros((6, 3)),
    }
    parts |= {name: value for name, value in changed.items() if name in parts}
    options = {name: value for name, value in changed.items() if name not in parts}
    with pytest.raises(ValueError, match=message):
        kernel(function, *parts.values(), **options)
