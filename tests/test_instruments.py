"""Instruments against Jacobians by autograd and closed forms; truncated back-propagation against plain loops."""

from __future__ import annotations

import io
import math

import numpy as np
import pandas as pd
import pytest
import torch
from tensors import close, normal, seeded

import seqkit
from seqkit import nn, plotting, training
from seqkit.nn import instruments as look
from seqkit.tasks import Chunks, Stateful

CORES = {
    "rnn": nn.RNN(4),
    "relu": nn.RNN(4, activation="relu"),
    "lstm": nn.LSTM(4, layers=2, learn_initial=True),
    "gru": nn.GRU(4, layers=2, residual=True, norm="layer"),
    "dilated": nn.LSTM(4, layers=2, dilations=(1, 3)),
    "dropped": nn.GRU(4, dropout=0.3, recurrent_dropout=0.3),
}
each_core = pytest.mark.parametrize("name", CORES)


def build(name, inputs=3):
    core = CORES[name].build(inputs, generator=seeded(2)).double()
    with torch.no_grad():
        for parameter in core.parameters():
            if parameter.ndim == 1:
                parameter += 0.3 * normal(*parameter.shape, seed=1)
    return core


# -- instruments -----------------------------------------------------------------------------------


@each_core
def test_a_trace_holds_what_the_core_computes(name):
    core, x = build(name), normal(2, 9, 3)
    core.train()
    layers = look.trace(core, x)
    assert core.training  # as it was
    core.eval()
    if name != "gru":  # with a residual connection, outputs are sums
        close(layers[-1].states[0], core(x).detach())
    for layer, cell in zip(layers, core.cells, strict=True):
        assert list(layer.gates) == list(cell.gates)
        if "output" in layer.gates:
            h, c = layer.states
            close(layer.gates["output"] * torch.tanh(c), h)
    if name == "lstm":
        gates = layers[1].gates
        h, c = layers[1].states
        close(
            gates["forget"][:, 1:] * c[:, :-1] + gates["input"][:, 1:] * gates["candidate"][:, 1:],
            c[:, 1:],
        )


@each_core
def test_products_of_jacobians_are_jacobians_of_several_steps(name):
    core, x = build(name), normal(2, 8, 3)
    products = list(look.state_jacobians(core, x, lags=5))
    core.eval()
    for k, product in enumerate(products):
        for b in range(2):
            with torch.no_grad():
                start = core.initial(1)
                for t in range(8 - k):
                    _, start = core.step(x[b : b + 1, t], start)
            leaves = look._leaves(start)
            sizes, shapes = [leaf.numel() for leaf in leaves], [leaf.shape for leaf in leaves]

            def run(flat, start=start, sizes=sizes, shapes=shapes, b=b, k=k):
                parts = iter([p.view(s) for p, s in zip(flat.split(sizes), shapes, strict=True)])
                state = nn.map_state(lambda _: next(parts), start)
                for t in range(8 - k, 8):
                    _, state = core.step(x[b : b + 1, t], state)
                return torch.cat([leaf.flatten() for leaf in look._leaves(state)])

            flat = torch.cat([leaf.flatten() for leaf in leaves])
            close(product[b], torch.autograd.functional.jacobian(run, flat))
    largest, typical = (look.state_gradients(core, x, 5, kind=k) for k in ("largest", "typical"))
    values = np.linalg.svd(products[3].numpy(), compute_uv=False)
    np.testing.assert_allclose(largest[:, 3], values[:, 0], rtol=1e-10)
    np.testing.assert_allclose(typical[:, 3], np.sqrt((values**2).mean(1)), rtol=1e-10)


@pytest.mark.parametrize("at", [-1, 3])
@pytest.mark.parametrize("name", ["lstm", "both", "delay"])
def test_gradients_of_inputs_are_those_of_the_jacobian(name, at):
    x = normal(2, 7, 3)
    core = {
        "lstm": lambda: build("lstm"),
        "both": lambda: nn.Bidirectional(nn.GRU(4)).build(3).double(),
        "delay": lambda: nn.TimeDelay(3, (4,), kernel=2).double(),
    }[name]()
    found = look.input_gradients(core, x, at=at)
    jacobian = torch.autograd.functional.jacobian(lambda x: core.eval()(x)[:, at], x)
    own = torch.stack([jacobian[b, :, b] for b in range(2)])  # a sequence sees itself alone
    close(found, own.square().sum((1, 3)).sqrt())
    if name == "delay":
        assert int((found[0] > 0).sum()) == core.receptive_field == 2


@pytest.mark.parametrize("radius", [0.5, 0.9, 1.1])
def test_a_linear_network_forgets_by_its_spectral_radius(radius):
    core = nn.RNN(6, activation="relu").build(1, generator=seeded()).double()
    with torch.no_grad():
        cell = core.cells[0]
        cell.weight_hidden.copy_(
            radius * torch.eye(6).double()[torch.randperm(6, generator=seeded())]
        )
        cell.bias_input.fill_(1.0)  # every unit stays positive, so that the cell is linear
    x = torch.zeros(1, 30, 1).double()
    assert look.spectral_radius(core)[0]["candidate"] == pytest.approx(radius)
    close(look.jacobian_radius(core, x), torch.full((1, 30), radius, dtype=torch.float64), 1e-9)
    sizes = look.state_gradients(core, x)
    expected = radius ** torch.arange(31).double()
    torch.testing.assert_close(sizes[0], expected, rtol=1e-10, atol=0)
    constant = -1 / math.log(radius) if radius < 1 else math.inf
    memory = look.effective_memory(sizes)[0].item()
    assert memory == (math.ceil(constant) if radius < 1 else math.inf)


def test_the_carousel_passes_gradients_on_unchanged():
    """With gates that look at nothing, dc_T / dc_{T-k} = f^k exactly."""
    core = nn.LSTM(3).build(2).double()
    with torch.no_grad():
        cell = core.cells[0]
        cell.weight_hidden.zero_()
        cell.bias_input[3:6] = math.log(0.95 / 0.05)
        cell.weight_input[3:6] = 0
    for k, product in enumerate(look.state_jacobians(core, normal(1, 20, 2))):
        close(product[0, 3:, 3:], 0.95**k * torch.eye(3).double())


def test_what_has_no_state_is_refused():
    x = torch.zeros(1, 5, 3)
    with pytest.raises(ValueError, match="FeedForward has no state"):
        next(look.state_jacobians(nn.FeedForward(3, (4,)), x))
    with pytest.raises(TypeError, match="recurrent layers"):
        look.trace(nn.FeedForward(3, (4,)), x)
    with pytest.raises(ValueError, match="lags is 9"):
        look.state_gradients(nn.RNN(4).build(3), x, 9)
    with pytest.raises(ValueError, match="one sequence"):
        look.gates(nn.RNN(4).build(3), torch.zeros(2, 5, 3))


# -- forecasters and pictures ----------------------------------------------------------------------


def hourly(length=150, seed=0):
    t = np.arange(length)
    noise = np.random.default_rng(seed).normal(size=length)
    index = pd.date_range("2024-01-01", periods=length, freq="h")
    return pd.Series(50 + 10 * np.sin(2 * np.pi * t / 24) + noise, index=index)


@pytest.mark.parametrize(
    ("settings", "steps", "first"),
    [
        ({"patch": 7}, 7, 149 - 6 * 7),
        ({"patch": 24}, 2, 149 - 24),
        ({"mode": "recursive"}, 48, 102),
    ],
)
def test_a_forecaster_shows_what_its_core_does(settings, steps, first):
    y = hourly()
    model = seqkit.LSTMForecaster(48, 6, hidden=4, layers=2, steps=3, **settings).fit(y)
    states, gates, flow = model.hidden_states(y), model.gates(y), model.gradient_flow(y)
    assert states.shape == (steps, 2 * 2 * 4) and gates.shape == (steps, 2 * 4 * 4)
    assert states.index[0] == y.index[first] and states.index[-1] == y.index[-1]
    assert gates.columns.unique("gate").tolist() == ["input", "forget", "candidate", "output"]
    h, c = (states[1][name].to_numpy() for name in ("hidden", "cell"))
    np.testing.assert_allclose(gates[1]["output"] * np.tanh(c), h, atol=1e-6)
    assert len(flow) == steps and flow.loc[0, ["largest", "typical"]].eq(1).all()
    moved = y.copy()
    moved.iloc[:102] = 0  # before the window
    pd.testing.assert_frame_equal(model.gates(moved), gates)
    for draw, count in (("hidden_states", 4), ("gates", 8), ("gradient_flow", 1)):
        figure = getattr(plotting, draw)(model, y)
        assert len([ax for ax in figure.axes if ax.get_label() != "<colorbar>"]) == count
    figure.savefig(io.BytesIO())


def test_one_of_several_series_is_looked_at():
    panel = {"a": hourly(), "b": 3 * hourly(100, seed=1)}
    model = seqkit.GRUForecaster(48, 6, hidden=4, steps=3).fit(panel)
    found = model.hidden_states(panel, series="b")
    assert found.index[-1] == panel["b"].index[-1]
    alone = model.hidden_states({"b": panel["b"]})
    pd.testing.assert_frame_equal(found, alone)
    with pytest.raises(ValueError, match="pick one"):
        model.gates(panel)
    with pytest.raises(KeyError, match="no series 'c'"):
        model.gates(panel, series="c")
    with pytest.raises(TypeError, match="needs the series"):
        plotting.gates(model)
    with pytest.raises(TypeError, match="TDNN has no gradient_flow"):
        plotting.gradient_flow(seqkit.TDNN(), hourly())


def test_gradients_of_several_networks_are_drawn_beside_each_other():
    x = normal(1, 20, 2)
    tables = {
        name: look.gradient_flow(spec.build(2, generator=seeded()).double(), x)
        for name, spec in (("LSTM", nn.LSTM(4)), ("vanilla", nn.RNN(4)))
    }
    (ax,) = plotting.gradient_flow(tables).axes
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["LSTM", "vanilla"]
    assert ax.get_yscale() == "log"
    np.testing.assert_allclose(ax.get_lines()[1].get_ydata(), tables["vanilla"]["typical"])


# -- truncated back-propagation --------------------------------------------------------------------

LENGTH = 23
ALL = 24  # rows of as many whole pieces


def examples(lanes=1):
    x = normal(LENGTH * lanes, 3)
    return x, normal(LENGTH * lanes, seed=1)


def task_of(name, lanes=1):
    core = build(name).eval()
    task = Stateful(core, nn.Squared(), lanes=lanes, generator=seeded(3)).double()
    core.dropout = 0.0
    return task


def gradient_of_all(task, chunks, together=1):
    """Sum of the gradients of all pieces at the same weights, and the loss."""
    for p in task.parameters():
        p.grad = None
    loss = 0.0
    for index in torch.arange(len(chunks)).split(together):
        total, _ = task.loss(chunks.batch(index))
        total.backward()
        loss += total.item()
    return [
        torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in task.parameters()
    ], loss


def by_hand(task, x, y, chunk, gradient):
    """The same by one loop over pieces, each unrolled step by step from a state that is taken as given."""
    for p in task.parameters():
        p.grad = None
    loss = 0.0
    for start in range(0, len(y), chunk):
        end = min(start + chunk, len(y))
        first = (
            [max(start + chunk - gradient, 0)] if gradient >= chunk else range(start, end, gradient)
        )
        for begin in first:
            until = end if gradient >= chunk else min(begin + gradient, end)
            state = task.core.initial(1)
            with torch.no_grad():
                for t in range(begin):
                    _, state = task.core.step(x[None, t], state)
            state = nn.map_state(torch.detach, state) if begin else task.core.initial(1)
            outputs = []
            for t in range(begin, until):
                h, state = task.core.step(x[None, t], state)
                outputs.append(h)
            raw = task.readout(torch.cat(outputs))[max(start - begin, 0) :, 0]
            total = (raw - y[max(start, begin) : until]).square().sum()
            total.backward()
            loss += total.item()
    return [
        torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in task.parameters()
    ], loss


@pytest.mark.parametrize(
    ("chunk", "gradient"), [(5, 5), (5, 2), (5, 7), (5, 12), (4, 100), (LENGTH, None)]
)
@pytest.mark.parametrize("name", ["rnn", "lstm", "dilated"])
def test_truncated_gradients_are_those_of_a_plain_loop(name, chunk, gradient):
    task, (x, y) = task_of(name), examples()
    chunks = Chunks(x, y, chunk=chunk, gradient=gradient, dtype=torch.float64)
    found, loss = gradient_of_all(task, chunks)
    expected, theirs = by_hand(task, x, y, chunk, gradient or chunk)
    assert loss == pytest.approx(theirs, rel=1e-12)
    for one, other in zip(found, expected, strict=True):
        close(one, other, 1e-11)


@pytest.mark.parametrize(("chunk", "gradient"), [(LENGTH, None), (4, ALL), (4, 1000), (1, LENGTH)])
@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
def test_with_full_length_truncated_is_not_truncated(name, chunk, gradient):
    """The gradient of the whole, and that by finite differences."""
    task, (x, y) = task_of(name), examples()

    def loss():
        return (task(x.unsqueeze(0))[0, :, 0] - y).square().sum()

    expected = torch.autograd.grad(loss(), list(task.parameters()))
    found, _ = gradient_of_all(
        task, Chunks(x, y, chunk=chunk, gradient=gradient, dtype=torch.float64)
    )
    for one, other in zip(found, expected, strict=True):
        close(one, other, 1e-11)
    weight = task.core.cells[0].weight_hidden
    way = normal(*weight.shape, seed=5)
    sides = []
    for step in (1e-5, -2e-5):
        with torch.no_grad():
            weight += step * way
            sides.append(loss().item())
    with torch.no_grad():
        weight += 1e-5 * way
    at = next(i for i, p in enumerate(task.parameters()) if p is weight)
    np.testing.assert_allclose(
        (found[at] * way).sum().item(), (sides[0] - sides[1]) / 2e-5, rtol=1e-6
    )


def test_several_series_are_read_side_by_side():
    """Lists of any lengths, stretches of one series, several pieces at once: sums over what is read alone."""
    task, lengths = task_of("lstm", lanes=3), (23, 9, 14)
    xs = [normal(n, 3, seed=n) for n in lengths]
    ys = [normal(n, seed=n + 1) for n in lengths]
    ys[1][4] = torch.nan  # a target that is missing
    found, loss = gradient_of_all(
        task, Chunks(xs, ys, chunk=5, gradient=8, dtype=torch.float64), together=2
    )
    alone = Stateful(task.core, nn.Squared(), generator=seeded(3)).double()
    alone.readout.load_state_dict(task.readout.state_dict())
    sums, total = None, 0.0
    for x, y in zip(xs, ys, strict=True):
        part, one = gradient_of_all(alone, Chunks(x, y, chunk=5, gradient=8, dtype=torch.float64))
        sums, total = (
            part if sums is None else [a + b for a, b in zip(sums, part, strict=True)],
            total + one,
        )
    assert loss == pytest.approx(total, rel=1e-12)
    for one, other in zip(found, sums, strict=True):
        close(one, other, 1e-11)
    x, y = torch.cat(xs[:1] * 3), torch.cat(ys[:1] * 3)  # one series cut in three
    cut = Chunks(x, y, chunk=6, lanes=3, dtype=torch.float64)
    stacked = Chunks(torch.stack(xs[:1] * 3), torch.stack(ys[:1] * 3), chunk=6, dtype=torch.float64)
    close(gradient_of_all(task, cut)[1], gradient_of_all(task, stacked)[1])


def test_masked_steps_change_nothing():
    task, (x, y) = task_of("lstm"), examples()
    there = torch.rand(LENGTH, generator=seeded()) > 0.3
    expected, loss = gradient_of_all(
        task, Chunks(x[there], y[there], chunk=1000, dtype=torch.float64)
    )
    x[~there] = torch.nan
    chunks = Chunks(x, y, there, chunk=4, gradient=ALL, dtype=torch.float64)
    found, total = gradient_of_all(task, chunks)
    assert total == pytest.approx(loss, rel=1e-12)
    for one, other in zip(found, expected, strict=True):
        close(one, other, 1e-11)


def test_what_is_kept_for_the_gradient_does_not_grow_with_the_series():
    kept = {}
    for length in (400, 4000):
        x, y = normal(length, 3), normal(length)
        task, chunks = task_of("gru"), Chunks(x, y, chunk=20, dtype=torch.float64)
        bytes_kept = 0

        def pack(tensor):
            nonlocal bytes_kept
            bytes_kept += tensor.nelement() * tensor.element_size()
            return tensor

        for k in range(6):
            task.loss(chunks.batch(torch.tensor([k])))
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            task.loss(chunks.batch(torch.tensor([6])))
        kept[length] = bytes_kept
    assert kept[400] == kept[4000] > 0


@pytest.mark.parametrize("name", ["lstm", "dropped"])
def test_an_interrupted_run_goes_on_from_its_state(name, tmp_path):
    y = torch.sin(torch.arange(200.0) / 3)
    options = {"batch_size": 1, "lr": 0.01, "clip": 1.0, "evaluate_every": 3, "device": "cpu"}

    class Stop:
        def on_step(self, loop):
            if loop.step == 6:
                raise RuntimeError("killed")

    def run(folder, *callbacks):
        core = CORES[name].build(1, generator=seeded())
        task = Stateful(core, nn.Squared(), generator=seeded(1))
        chunks = Chunks(y[:-1, None], y[1:], chunk=20, gradient=30)
        order = training.InOrder(len(chunks))
        history = training.fit(
            task,
            chunks,
            validation=chunks,
            sampler=order,
            steps=17,
            checkpoint=folder,
            callbacks=callbacks,
            **options,
        )
        return task, history

    whole, history = run(tmp_path / "whole")
    with pytest.raises(RuntimeError, match="killed"):
        run(tmp_path / "broken", Stop())
    resumed, again = run(tmp_path / "broken")
    assert history == again and len(history.validation) == 6
    for key, value in whole.state_dict().items():
        torch.testing.assert_close(
            resumed.state_dict()[key], value, rtol=0, atol=0, equal_nan=True, msg=key
        )


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Stateful(nn.Bidirectional(nn.LSTM(4)).build(1), nn.Squared()), TypeError, "end of a series first"),
        (lambda: Stateful(nn.FeedForward(1, (4,)), nn.Squared()), TypeError, r"has no scan\(\)"),
        (lambda: Stateful(nn.LSTM(4).build(1), nn.Squared(), lanes=0), ValueError, "lanes is 0"),
        (lambda: Chunks(np.zeros((9, 1)), np.zeros(9), chunk=0), ValueError, "chunk is 0"),
        (lambda: Chunks(np.zeros((9, 1)), np.zeros(8), chunk=2), ValueError, "9 rows of inputs and 8 of targets"),
        (lambda: Chunks([np.zeros((9, 1))], np.zeros((2, 9)), chunk=2), ValueError, "targets has 2 series"),
        (lambda: Chunks(np.zeros(9), np.zeros(9), chunk=2), ValueError, r"pass \(time, inputs\)"),
        (lambda: training.fit(task_of("rnn", 2), Chunks(*examples(), chunk=5)), ValueError, "pass lanes=chunks.lanes"),
        (lambda: training.fit(task_of("rnn"), Chunks(*examples(), chunk=5), batch_size=1), ValueError, "InOrder"),
    ],
)  # fmt: skip
def test_impossible_arrangements_say_what_is_wrong(make, error, message):
    with pytest.raises(error, match=message):
        make()
