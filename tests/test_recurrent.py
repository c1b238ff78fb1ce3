"""Recurrent cores: the equations in NumPy, torch's own modules, plain loops, and what padding must not change."""

from __future__ import annotations

import copy
import dataclasses
import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy.special import expit as sigmoid
from tensors import close, normal, seeded

import seqkit
from seqkit import nn
from seqkit.persistence import save

CELLS = {
    "rnn": lambda inputs, hidden, **k: nn.RNNCell(inputs, hidden, **k),
    "relu": lambda inputs, hidden, **k: nn.RNNCell(inputs, hidden, activation="relu", **k),
    "lstm": lambda inputs, hidden, **k: nn.LSTMCell(inputs, hidden, **k),
    "gru": lambda inputs, hidden, **k: nn.GRUCell(inputs, hidden, **k),
    "gru before": lambda inputs, hidden, **k: nn.GRUCell(inputs, hidden, reset="before", **k),
}
TORCH = {
    "rnn": lambda *a, **k: torch.nn.RNN(*a, **k),
    "relu": lambda *a, **k: torch.nn.RNN(*a, nonlinearity="relu", **k),
    "lstm": lambda *a, **k: torch.nn.LSTM(*a, **k),
    "gru": lambda *a, **k: torch.nn.GRU(*a, **k),
}
SPECIFIED = {
    "rnn": nn.RNN(5, layers=2),
    "relu": nn.RNN(5, activation="relu", dropout=0.2),
    "lstm": nn.LSTM(5, layers=2, learn_initial=True),
    "gru": nn.GRU(5, layers=2),
    "gru before": nn.GRU(5, layers=2, reset="before"),
    "residual": nn.LSTM(5, layers=3, residual=True, norm="layer", learn_initial=True),
    "normalised cells": nn.LSTM(5, layers=2, norm="cell"),
    "normalised gru": nn.GRU(5, norm="cell", reset="before"),
    "recurrent dropout": nn.GRU(5, layers=2, recurrent_dropout=0.4, learn_initial=True),
    "dilated": nn.LSTM(5, layers=3, dilations=(1, 3, 7), residual=True, learn_initial=True),
    "dilated, dropped": nn.RNN(5, layers=2, dilations=(2, 3), recurrent_dropout=0.3),
}
BOTH = {
    "concat": nn.Bidirectional(nn.LSTM(5, layers=2, learn_initial=True)),
    "sum": nn.Bidirectional(nn.GRU(5, dilations=(2,)), merge="sum"),
    "stack": nn.Stack(
        (nn.LSTM(4), nn.Bidirectional(nn.GRU(5)), nn.Bidirectional(nn.RNN(4))), dropout=0.3
    ),
}
each_cell = pytest.mark.parametrize("name", CELLS)
each_core = pytest.mark.parametrize("name", SPECIFIED)


def stirred(module, seed=1):
    """In float64 and evaluation mode, every bias, gain and first state different from its start."""
    module = module.double().eval()
    for parameter in module.parameters():
        if parameter.ndim == 1:
            with torch.no_grad():
                parameter += 0.3 * normal(*parameter.shape, seed=seed)
    return module


def build(name, inputs=3):
    return stirred((SPECIFIED | BOTH)[name].build(inputs, generator=seeded(2)))


def leaves(state):
    return [state] if isinstance(state, torch.Tensor) else [x for s in state for x in leaves(s)]


def unrolled(core, x, state, mask=None):
    steps = []
    for t in range(x.shape[1]):
        h, state = core.step(x[:, t], state, None if mask is None else mask[:, t])
        steps.append(h)
    return torch.stack(steps, 1), state


# ---------------------------------------------------------------- cells


def layer_norm(a, gain):
    centred = a - a.mean(-1, keepdims=True)
    return gain * centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)


def equations(name, norm, p, x, state, kept):
    """One step of a cell as its docstring has it, in NumPy; `p` are its parameters by name."""
    gates = {"rnn": 1, "relu": 1, "lstm": 4, "gru": 3, "gru before": 3}[name]
    W, U, b, d = (
        np.split(p[k], gates)
        for k in ("weight_input", "weight_hidden", "bias_input", "bias_hidden")
    )
    gains = [
        np.split(p[k], gates) if norm else [None] * gates for k in ("gain_input", "gain_hidden")
    ]
    h, c = state[0] * kept, state[-1]

    def given(k):
        return (layer_norm(x @ W[k].T, gains[0][k]) if norm else x @ W[k].T) + b[k]

    def past(k, h=h):
        return (layer_norm(h @ U[k].T, gains[1][k]) if norm else h @ U[k].T) + d[k]

    if name in ("rnn", "relu"):
        a = given(0) + past(0)
        return (np.tanh(a) if name == "rnn" else np.maximum(a, 0),)
    if name == "lstm":
        i, f, o = (sigmoid(given(k) + past(k)) for k in (0, 1, 3))
        c = f * c + i * np.tanh(given(2) + past(2))
        shown = layer_norm(c, p["norm_cell.weight"]) + p["norm_cell.bias"] if norm else c
        return o * np.tanh(shown), c
    r, z = (sigmoid(given(k) + past(k)) for k in (0, 1))
    candidate = past(2, r * h) if name == "gru before" else r * past(2)
    return ((1 - z) * np.tanh(given(2) + candidate) + z * state[0],)


@pytest.mark.parametrize("norm", [False, True])
@each_cell
def test_a_step_is_the_equations(name, norm):
    cell = stirred(CELLS[name](3, 5, norm=norm, generator=seeded()))
    p = {k: v.detach().numpy() for k, v in cell.named_parameters()}
    x, state = normal(4, 3), tuple(normal(cell.states, 4, 5, seed=1))
    kept = torch.tensor([0.0, 2.0]).double()[torch.arange(20).reshape(4, 5) % 2]
    for given in (None, kept):
        h, after = cell.step(x, state, given)
        dropped = np.ones((4, 5)) if given is None else given.numpy()
        expected = equations(name, norm, p, x.numpy(), [s.numpy() for s in state], dropped)
        for own, oracle in zip(after, expected, strict=True):
            np.testing.assert_allclose(own.detach(), oracle, rtol=0, atol=1e-12)
        assert h is after[0]
        close(cell.update(cell.project(x), state, given)[0], h)


def test_gates_can_be_looked_at():
    cell, x = stirred(nn.LSTMCell(3, 5)), normal(2, 3)
    state = tuple(normal(2, 2, 5, seed=1))
    gates = cell.activations(x, state)
    _, (h, c) = cell.step(x, state)
    close(gates["forget"] * state[1] + gates["input"] * gates["candidate"], c)
    close(gates["output"] * torch.tanh(c), h)
    assert list(nn.GRUCell(3, 5).gates) == ["reset", "update", "candidate"]


def test_first_weights():
    cell = nn.LSTMCell(4, 6, learn_initial=True, generator=seeded())
    i, f, g, o = cell.bias_input.detach().chunk(4)
    assert (
        f.eq(1).all()
        and not torch.cat([i, g, o, cell.bias_hidden.detach(), cell.start.detach()]).any()
    )
    for U in cell.weight_hidden.detach().chunk(4):
        close(U.T @ U, torch.eye(6), 1e-5)
    bound = (6 / (4 + 6)) ** 0.5
    assert nn.LSTM(6, forget_bias=2.0).build(4).cells[0].bias_input[6:12].eq(2).all()
    assert 0.7 * bound < cell.weight_input.abs().max() <= bound
    assert cell.start.shape == (
        12,
    )  # one axis: weight decay, which leaves biases alone, leaves it alone too
    before = torch.get_rng_state()
    nn.LSTM(6, layers=2, residual=True, norm="layer").build(3, generator=seeded())
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", TORCH)
def test_stacks_are_those_of_torch(name):
    """Outputs, last states and gradients of two layers in float32, carrying over torch's weights."""
    theirs = TORCH[name](3, 5, num_layers=2, batch_first=True)
    core = {"rnn": nn.RNN(5, layers=2), "relu": nn.RNN(5, layers=2, activation="relu"),
            "lstm": nn.LSTM(5, layers=2), "gru": nn.GRU(5, layers=2)}[name].build(3)  # fmt: skip
    for layer, cell in enumerate(core.cells):
        for own, their in zip(cell.weights, theirs.all_weights[layer], strict=True):
            own.data.copy_(their.data)
    x, weights = normal(4, 9, 3).float(), normal(4, 9, 5, seed=3).float()
    state = core.initial(4)
    (expected, last), (y, after) = theirs(x), core.scan(x)
    close(y, expected, 1e-6)
    last = last if name == "lstm" else (last,)
    for k, tensor in enumerate(last):
        close(torch.stack([s[k] for s in after]), tensor, 1e-6)
    (y * weights).sum().backward()
    (expected * weights).sum().backward()
    for layer, cell in enumerate(core.cells):
        for own, their in zip(cell.weights, theirs.all_weights[layer], strict=True):
            close(own.grad, their.grad, 1e-5)
    close(unrolled(core, x, state)[0], expected, 1e-6)


# ---------------------------------------------------------------- step, forward, scan


@each_core
def test_steps_unrolled_are_forward_with_its_gradients(name):
    """With holes of NaN as well; with recurrent dropout, in training, on the same drawn part of the past."""
    core = build(name)
    core.dropout = 0.0  # drawn anew at every step: no two runs are equal
    core.train(SPECIFIED[name].recurrent_dropout > 0)
    x, weights = normal(4, 12, 3).requires_grad_(), normal(4, 12, 5, seed=3)
    mask = torch.rand(4, 12, generator=seeded()) > 0.3
    mask[2] = False
    parameters = [x, *core.parameters()]
    with torch.random.fork_rng(devices=[]):
        for given in (None, mask):
            z = x if given is None else x.masked_fill(~given.unsqueeze(-1), torch.nan)
            torch.manual_seed(0)
            stepped, after = unrolled(core, z, core.initial(4), given)
            torch.manual_seed(0)
            scanned, last = core.scan(z, None, given)
            torch.manual_seed(0)
            y = core(z, given)
            close(scanned, stepped)
            close(y, stepped)
            for one, other in zip(leaves(last), leaves(after), strict=True):
                close(one, other)
            ends = [(weights * v).sum() + sum(s.sum() for s in leaves(state))
                    for v, state in ((stepped, after), (scanned, last))]  # fmt: skip
            ends += [(weights * stepped).sum(), (weights * y).sum()]
            grads = [torch.autograd.grad(end, parameters, retain_graph=True) for end in ends]
            for first, second in ((0, 1), (2, 3)):
                for one, other in zip(grads[first], grads[second], strict=True):
                    close(one, other, 1e-11)


@each_core
def test_a_series_in_pieces_is_the_series(name):
    """Also where pieces are shorter than a dilation, and where a sequence ends before its piece does."""
    core, x = build(name), normal(3, 17, 3)
    expected = core(x)
    state, pieces = None, []
    for start, end in ((0, 2), (2, 9), (9, 10), (10, 17)):
        y, state = core.scan(x[:, start:end], state)
        pieces.append(y)
    close(torch.cat(pieces, 1), expected)
    wide = torch.cat([x[:, :9], torch.full((3, 4, 3), torch.nan, dtype=torch.float64)], 1)
    there = torch.arange(13).expand(3, -1) < 9
    _, state = core.scan(wide, None, there)
    close(core.scan(x[:, 9:], state)[0], expected[:, 9:])


@pytest.mark.parametrize("name", [*SPECIFIED, *BOTH])
def test_padding_on_either_side_changes_nothing(name):
    """NaN around and within; gradients as well. A batch of one is a batch of many."""
    core, lengths = build(name), (9, 4, 1, 0)
    series = [normal(1, n, 3, seed=n).requires_grad_() for n in lengths if n]
    alone = torch.cat([core(s)[0] for s in series])
    weights = normal(*alone.shape, seed=5)
    expected = torch.autograd.grad((alone * weights).sum(), [*core.parameters(), *series])
    for place in ("left", "right", "within"):
        mask = torch.zeros(4, 14, dtype=torch.bool)
        for i, n in enumerate(lengths):
            steps = {
                "left": range(14 - n, 14),
                "right": range(n),
                "within": range(0, 14, 14 // (n or 1)),
            }
            mask[i, list(steps[place])[:n]] = True
        x = torch.full((4, 14, 3), torch.nan, dtype=torch.float64)
        x[mask] = torch.cat(series, 1)[0]
        y = core(x, mask)
        assert not y[~mask].any()
        close(y[mask], alone)
        found = torch.autograd.grad((y[mask] * weights).sum(), [*core.parameters(), *series])
        for one, other in zip(found, expected, strict=True):
            close(one, other, 1e-11)


@each_core
def test_a_padded_step_changes_no_state(name):
    core = build(name)
    _, state = core.scan(normal(2, 5, 3))
    nothing, none = torch.full((2, 3, 3), torch.nan).double(), torch.zeros(2, 3, dtype=torch.bool)
    y, after = core.scan(nothing, state, none)
    h, stepped = core.step(nothing[:, 0], state, none[:, 0])
    assert not y.any() and not h.any()
    for one, other, third in zip(leaves(state), leaves(after), leaves(stepped), strict=True):
        assert torch.equal(one, other) and torch.equal(one, third)


@pytest.mark.parametrize(
    "name", ["rnn", "lstm", "gru", "residual", "dilated", "gru before", "concat"]
)
def test_gradients_through_time_are_those_of_finite_differences(name):
    core = build(name, inputs=2)
    x, mask = normal(2, 6, 2).requires_grad_(), torch.ones(2, 6, dtype=torch.bool)
    mask[0, 4:], mask[1, :2] = False, False
    names, values = zip(*core.named_parameters(), strict=True)
    copies = tuple(value.detach().clone().requires_grad_() for value in values)

    def run(x, *parameters):
        given = dict(zip(names, parameters, strict=True))
        return torch.func.functional_call(core, given, (x, mask))

    assert torch.autograd.gradcheck(run, (x, *copies), fast_mode=True)


@pytest.mark.parametrize(
    ("name", "seen_first", "seen_last"),
    [("lstm", range(1), range(12)), ("gru before", range(1), range(12)),
     ("concat", range(12), range(12)), ("sum", range(0, 12, 2), range(1, 12, 2))],
)  # fmt: skip
def test_the_receptive_field_is_that_of_the_jacobian(name, seen_first, seen_last):
    """A causal core sees all of the past and nothing ahead; in both directions, the first output sees the last
    input; what is dilated by two sees every other step."""
    core, x = build(name), normal(1, 12, 3)
    for at, expected in ((0, seen_first), (-1, seen_last)):
        jacobian = torch.autograd.functional.jacobian(lambda x, at=at: core(x)[0, at], x)
        assert torch.nonzero(jacobian.abs().sum((0, 1, 3)))[:, 0].tolist() == list(expected)
    assert core.receptive_field == np.inf
    assert core.causal == hasattr(core, "step") == hasattr(core, "initial")


# ---------------------------------------------------------------- options


def test_dilated_layers_are_a_plain_loop():
    core = build("dilated")
    x = normal(2, 16, 3)
    h = x
    for i, (cell, d) in enumerate(zip(core.cells, (1, 3, 7), strict=True)):
        states, outputs = {}, []
        for t in range(16):
            out, states[t] = cell.step(h[:, t], states.get(t - d, cell.initial(2)))
            outputs.append(out)
        out = torch.stack(outputs, 1)
        h = out if i == 0 else h + out
    close(core(x), h)


def test_learnt_first_states_get_gradients_and_start_what_they_say():
    for name in ("lstm", "dilated", "concat", "recurrent dropout"):
        core = build(name)
        core(normal(2, 5, 3))[:, -1].sum().backward()
        starts = [p for n, p in core.named_parameters() if n.endswith("start")]
        assert starts and all(p.grad.abs().min() > 0 for p in starts), name
    cell = stirred(nn.LSTMCell(3, 5, learn_initial=True))
    h, c = cell.initial(4)
    close(torch.cat([h[2], c[3]]), cell.start)
    assert not any(s.any() for s in nn.LSTMCell(3, 5).initial(4))


def test_residual_and_norm_are_the_formula():
    core, x = build("residual"), normal(2, 7, 3)
    h = core.layers[0].scan(x, core.layers[0].initial(2), None, final=True)[0]
    for layer, norm in zip(core.layers[1:], core.norms[1:], strict=True):
        centred = h - h.mean(-1, keepdim=True)
        scaled = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
        given = scaled * norm.weight + norm.bias
        h = h + layer.scan(given, layer.initial(2), None, final=True)[0]
    close(core(x), h)
    plain = build("lstm")
    assert (
        plain._joined and not core._joined
    )  # the first goes to one kernel, the second layer by layer


def test_dropout_upwards_keeps_the_mean_and_is_silent_in_evaluation():
    core = nn.GRU(5, dropout=0.4).build(3, generator=seeded()).double()
    x = normal(1, 6, 3)
    expected = copy.deepcopy(core).eval()(x)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        draws = core.train()(x.expand(4000, -1, -1))
    silent = draws == 0
    np.testing.assert_allclose(silent.double().mean(), 0.4, rtol=0.02, atol=0)
    close(draws[~silent], (expected / 0.6).expand(4000, -1, -1)[~silent])
    close(core.eval()(x), expected)


def test_recurrent_dropout_is_one_draw_for_all_steps_of_a_sequence():
    core = nn.RNN(400, recurrent_dropout=0.3).build(3, generator=seeded()).double()
    core.cells[0].weight_hidden.data.copy_(torch.eye(400))  # each unit sees its own past alone
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        state = core.train().initial(2)
        x = normal(2, 8, 3)
        y, after = core.scan(x, state)
    kept = state[0][1]
    assert torch.equal(kept, after[0][1]) and not torch.equal(kept[0], kept[1])
    assert set(kept.unique().tolist()) <= {0.0, 1 / 0.7} and 0.6 < (kept > 0).double().mean() < 0.8
    given, h = core.cells[0].project(x), torch.zeros(2, 400).double()
    for t in range(8):
        h = torch.tanh(given[:, t] + h * kept)
        close(y[:, t], h)
    close(core.eval()(x), core.scan(x, state)[0])  # in evaluation, what was drawn is not looked at


def test_training_through_one_kernel_drops_between_layers():
    core = nn.LSTM(50, layers=2, dropout=0.5).build(3, generator=seeded())
    x = normal(4, 5, 3).float()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        one, other = core(x), core(x)
    assert 0.4 < (one == 0).float().mean() < 0.6
    both = (one != 0) & (other != 0)
    assert (one - other).abs()[both].min() > 0  # other units of the first layer were there
    core.eval()(x).sum().backward()  # kernels can go back in evaluation too
    assert core.cells[0].weight_input.grad.abs().max() > 0


def test_states_can_be_cut_and_repeated():
    core = build("lstm")
    _, state = core.scan(normal(2, 5, 3))
    cut = nn.map_state(torch.Tensor.detach, state)
    assert state[0][0].requires_grad and not any(s.requires_grad for s in leaves(cut))
    paths = nn.map_state(lambda s: s.repeat_interleave(3, 0), cut)
    x = normal(2, 3, seed=1)
    h, _ = core.step(x.repeat_interleave(3, 0), paths)
    close(h, core.step(x, cut)[0].repeat_interleave(3, 0))


# ---------------------------------------------------------------- both directions, pooling


def test_both_directions_are_those_of_torch():
    theirs = torch.nn.LSTM(3, 5, batch_first=True, bidirectional=True).double()
    spec = nn.Bidirectional(nn.LSTM(5))
    core = spec.build(3).double()
    for own, their in zip(
        [*core.forwards.cells[0].weights, *core.backwards.cells[0].weights],
        [*theirs.all_weights[0], *theirs.all_weights[1]],
        strict=True,
    ):
        own.data.copy_(their.data)
    x, lengths = normal(3, 9, 3), torch.tensor([9, 4, 6])
    mask = torch.arange(9) < lengths[:, None]
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        x, lengths, batch_first=True, enforce_sorted=False
    )
    expected, _ = torch.nn.utils.rnn.pad_packed_sequence(theirs(packed)[0], batch_first=True)
    close(core(x, mask), expected)
    summed = dataclasses.replace(spec, merge="sum").build(3).double()
    summed.load_state_dict(core.state_dict())
    close(summed(x), sum(core(x).chunk(2, -1)))
    assert (core.size, summed.size) == (10, 5)
    delays = nn.BothDirections(nn.TimeDelay(3, (4,)), nn.TimeDelay(3, (4,)))
    assert delays.receptive_field == 5 and delays(x.float(), mask).shape == (3, 9, 8)


def test_a_stack_of_both_directions_is_the_deep_network_of_torch():
    theirs = torch.nn.LSTM(3, 5, 2, batch_first=True, bidirectional=True).double()
    core = nn.Stack((nn.Bidirectional(nn.LSTM(5)),) * 2).build(3).double()
    for level, part in enumerate(core.cores):
        own = [*part.forwards.cells[0].weights, *part.backwards.cells[0].weights]
        both = [*theirs.all_weights[2 * level], *theirs.all_weights[2 * level + 1]]
        for mine, their in zip(own, both, strict=True):
            mine.data.copy_(their.data)
    x = normal(3, 9, 3)
    close(core(x), theirs(x)[0])
    assert core.size == 10 and not core.causal


def test_a_causal_stack_goes_on_step_by_step():
    spec = nn.Stack((nn.TDNN((4,), kernel=3), nn.LSTM(5, layers=2), nn.MLP(6)), dropout=0.5)
    core, x = stirred(spec.build(3, generator=seeded(2))), normal(2, 7, 3)
    mask = torch.arange(7) < torch.tensor([7, 4])[:, None]
    close(unrolled(core, x, core.initial(2), mask)[0], core(x, mask))
    assert spec.causal and core.causal and core.receptive_field == math.inf
    assert nn.Stack((nn.TDNN(4, kernel=3), nn.TDNN(4, kernel=2))).build(1).receptive_field == 4
    with pytest.raises(TypeError, match="needs the whole sequence"):
        build("stack").initial(2)


@pytest.mark.parametrize("kind", ["attention", "last", "mean", "max"])
def test_pooling_is_that_of_the_series_alone(kind):
    pool = stirred(nn.AttentionPooling(3, 4, generator=seeded()))
    torch.nn.init.normal_(pool.query.weight, generator=seeded(1))
    pooling = {
        "attention": pool,
        "last": nn.last_pooling,
        "mean": nn.mean_pooling,
        "max": nn.max_pooling,
    }[kind]
    series = [normal(n, 3, seed=n) for n in (7, 2, 1)]
    h, mask = torch.full((4, 9, 3), torch.nan).double(), torch.zeros(4, 9, dtype=torch.bool)
    for i, (s, places) in enumerate(zip(series, ([0, 2, 3, 4, 5, 7, 8], [3, 5], [1]), strict=True)):
        h[i, places], mask[i, places] = s, True
    h.requires_grad_()
    pooled = pooling(h, mask)
    for s, own in zip(series, pooled, strict=False):
        close(pooling(s[None])[0], own)
        oracle = {"last": s[-1], "mean": s.mean(0), "max": s.max(0).values}
        if kind == "attention":
            v, W, b = pool.query.weight[0], pool.keys.weight, pool.keys.bias
            e = np.exp((torch.tanh(s @ W.T + b) @ v).detach().numpy())
            oracle[kind] = torch.from_numpy((e / e.sum()) @ s.numpy())
        close(own.detach(), oracle[kind])
    assert not pooled[3].any()  # a sequence without a step
    weights = pool.weights(h, mask)
    assert not weights[~mask].any()
    close(weights.sum(1).detach(), torch.tensor([1.0, 1, 1, 0]).double())
    (grad,) = torch.autograd.grad(pooled.sum(), h)
    assert grad.isfinite().all() and not grad[~mask].any()


# ---------------------------------------------------------------- specifications


def test_a_specification_is_a_record_that_builds_and_survives_saving(tmp_path):
    for name, spec in (SPECIFIED | BOTH).items():
        again = seqkit.load(save(spec, tmp_path / "core.seqkit"))
        assert again == spec and repr(again) == repr(spec) == repr(copy.deepcopy(spec))
        one, other = (s.build(3, generator=seeded(4)) for s in (spec, again))
        x = torch.ones(1, 4, 3)
        close(one.eval()(x), other.eval()(x), 0)
        assert (one.size, one.inputs, one.causal) == (one(x).shape[-1], 3, spec.causal), name
        fresh = spec.build(3).eval()
        fresh.load_state_dict(one.state_dict())
        close(fresh(x), one(x), 0)
    assert nn.LSTM(64) != nn.LSTM(32) and nn.LSTM(8) != nn.GRU(8)
    with pytest.raises(dataclasses.FrozenInstanceError):
        nn.LSTM(8).hidden = 9
    assert (
        repr(nn.Bidirectional(nn.GRU(8, layers=2))) == "Bidirectional(core=GRU(hidden=8, layers=2))"
    )


def test_a_specification_needs_no_torch():
    code = (
        "import seqkit, sys; seqkit.nn.Bidirectional(seqkit.nn.LSTM(hidden=64, layers=2, learn_initial=True,"
        " residual=True)); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_cell_of_ones_own_is_one_method():
    class Leak(nn.Cell):
        """h_t = 0.9 h_{t-1} + W x_t"""

        gates = ("input",)

        def _activations(self, projected, state, kept):
            return (projected,)

        def _next(self, activations, state):
            return (0.9 * state[0] + activations[0],)

    class Leaky(nn.RecurrentCore):
        def cell(self, inputs, generator=None):
            return Leak(inputs, self.hidden, generator=generator)

    core = Leaky(4, layers=2, dilations=(1, 2)).build(3, generator=seeded()).double()
    x = normal(2, 9, 3)
    close(core(x), unrolled(core, x, core.initial(2))[0])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nn.LSTM(0), ValueError, "hidden is 0"),
        (lambda: nn.LSTM(8, layers=2.0), ValueError, "layers is 2.0"),
        (lambda: nn.LSTM(8, dropout=1), ValueError, "dropout is 1"),
        (lambda: nn.GRU(8, norm="batch"), ValueError, 'norm must be "layer", "cell" or None'),
        (lambda: nn.GRU(8, dilations=(1, 2)), ValueError, "pass 1 whole numbers"),
        (lambda: nn.GRU(8, dilations=(0,)), ValueError, r"dilations\[0\] is 0"),
        (lambda: nn.GRU(8, reset="never"), ValueError, 'reset must be "after" or "before"'),
        (lambda: nn.RNN(8, activation="gelu"), ValueError, 'activation must be "tanh" or "relu"'),
        (lambda: nn.RNN(8).build(0), ValueError, "inputs is 0"),
        (lambda: nn.RNN(8).build(3)(torch.zeros(2, 3)), ValueError, r"needs \(batch, time, 3\)"),
        (lambda: nn.RNN(8).build(3)(torch.zeros(2, 0, 3)), ValueError, "at least one step"),
        (lambda: nn.RNN(8).build(3)(torch.zeros(2, 5, 3), torch.ones(2, 5)), ValueError, "boolean"),
        (lambda: nn.Bidirectional(nn.Bidirectional(nn.RNN(8))), TypeError, "causal core"),
        (lambda: nn.Bidirectional(nn.RNN(8).build(3)), TypeError, "not built yet"),
        (lambda: nn.Bidirectional(nn.Stack((nn.Bidirectional(nn.RNN(8)),))), TypeError, "causal core"),
        (lambda: nn.Stack(nn.RNN(8)), TypeError, "not built yet"),
        (lambda: nn.Stack(()), ValueError, "at least one core"),
        (lambda: nn.Stack((nn.RNN(8),), dropout=1.0), ValueError, "dropout is 1.0"),
        (lambda: nn.CoreStack((nn.RNN(8).build(3), nn.RNN(8).build(3))), ValueError, "3 inputs stands on one of 8"),
        (lambda: nn.Bidirectional(nn.RNN(8), merge="mean"), ValueError, "merge must be"),
        (lambda: nn.BothDirections(nn.RNN(8).build(3), nn.RNN(9).build(3)), ValueError, "alike"),
        (lambda: nn.BothDirections(torch.nn.Linear(3, 3), nn.RNN(9).build(3)), TypeError, "Linear"),
        (lambda: nn.Recurrent([]), ValueError, "one layer or more"),
        (lambda: nn.Recurrent([nn.RNNCell(3, 4), nn.RNNCell(5, 4)]), ValueError, "must be equal"),
    ],
)  # fmt: skip
def test_impossible_cores_say_what_is_wrong(make, error, message):
    with pytest.raises(error, match=message):
        make()
