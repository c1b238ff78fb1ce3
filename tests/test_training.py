"""The training loop: rules against formulas, exact resume, processes, samplers, what stops it and what it says."""

from __future__ import annotations

import json
import math
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import seqkit
from seqkit import training
from seqkit.training import averaging, checkpoint, optimizers, schedules
from seqkit.training.data import as_data


class Regression(nn.Module):
    """A small network with dropout and batch normalisation: all that a resume could get wrong."""

    def __init__(self, dropout=0.0, norm=False, seed=0):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            layers = [nn.Linear(3, 8), nn.BatchNorm1d(8) if norm else nn.Identity(), nn.Tanh()]
            self.net = nn.Sequential(*layers, nn.Dropout(dropout), nn.Linear(8, 1))

    def loss(self, batch):
        square = (self.net(batch.inputs) - batch.targets).square()
        if batch.mask is not None:
            square = square * batch.mask
            return square.sum(), batch.mask.sum()
        return square.sum(), square.numel()


def examples(n=50, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3)).astype("float32")
    return x, np.sin(x.sum(1, keepdims=True)) + 0.1 * rng.normal(size=(n, 1)).astype("float32")


def weights(task):
    return {name: value.clone() for name, value in task.state_dict().items()}


def assert_equal(a, b):
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name


class Quadratic(nn.Module):
    """(w - 1)' diag(a) (w - 1) / 2, whose gradient is a (w - 1)."""

    def __init__(self, size=4):
        super().__init__()
        self.w = nn.Parameter(torch.arange(1.0, 2 * size + 1, dtype=torch.float64).reshape(2, size))
        self.bias = nn.Parameter(torch.tensor([3.0], dtype=torch.float64))

    def loss(self, batch):
        curvature = torch.linspace(0.5, 2, self.w.numel(), dtype=torch.float64).reshape(
            self.w.shape
        )
        value = (curvature * (self.w - 1).square()).sum() / 2 + (self.bias - 1).square().sum() / 2
        return value * len(batch.inputs), len(batch.inputs)


# ---------------------------------------------------------------- optimizers


def expected_weights(rule, steps, lr, decay):
    """The formulas of the docstrings, in NumPy, for the matrix (which decays) and the bias (which does not)."""
    task = Quadratic()
    curvature = np.linspace(0.5, 2, 8).reshape(2, 4)
    out = []
    for w, a, d in ((task.w, curvature, decay), (task.bias, 1.0, 0.0)):
        w, first, second = w.detach().numpy().copy(), 0.0, 0.0
        for t in range(1, steps + 1):
            g = a * (w - 1)
            if rule == "adamw":
                w = w - lr * d * w
            else:
                g = g + d * w
            if rule in ("sgd", "momentum"):
                first = (0.9 if rule == "momentum" else 0.0) * first + g
                w = w - lr * first
            elif rule == "rmsprop":
                second = 0.99 * second + 0.01 * g**2
                w = w - lr * g / (np.sqrt(second) + 1e-8)
            else:
                first, second = 0.9 * first + 0.1 * g, 0.999 * second + 0.001 * g**2
                w = w - lr * (first / (1 - 0.9**t)) / (np.sqrt(second / (1 - 0.999**t)) + 1e-8)
        out.append(w)
    return out


@pytest.mark.parametrize("rule", ["sgd", "momentum", "rmsprop", "adam", "adamw"])
def test_optimizers_are_their_formulas_and_decay_weights_only(rule):
    task = Quadratic()
    x = np.zeros((5, 1))
    history = training.fit(
        task,
        (x, x),
        optimizer=rule,
        lr=0.05,
        weight_decay=0.1,
        steps=7,
        precision="float64",
        device="cpu",
    )
    w, bias = expected_weights(rule, 7, 0.05, 0.1)
    np.testing.assert_allclose(task.w.detach(), w, rtol=1e-9, atol=0)
    np.testing.assert_allclose(task.bias.detach(), bias, rtol=1e-9, atol=0)
    assert history.stopped == "steps" and not task.training


def test_lbfgs_solves_ridge_regression_to_the_last_digits():
    x, y = (a.astype(float) for a in examples(40))
    task = Regression()
    task.net = nn.Linear(3, 1)
    history = training.fit(
        task, (x, y), optimizer="lbfgs", precision="float64", weight_decay=0.3, epochs=50
    )
    centred, level = x - x.mean(0), y.mean()  # the mean of squares has twice the gradient
    slope = np.linalg.solve(
        centred.T @ centred / 40 + 0.15 * np.eye(3), centred.T @ (y - level) / 40
    )
    np.testing.assert_allclose(task.net.weight.detach().numpy().T, slope, rtol=1e-7, atol=1e-9)
    assert history.stopped == "converged" and history.grad_norm[-1] < 1e-6


def test_clipping_is_torchs():
    generator = torch.Generator().manual_seed(0)
    gradients = [torch.randn(3, 4, generator=generator), torch.randn(5, generator=generator)]
    for limit in (0.5, 100.0):
        twins = [nn.Parameter(torch.zeros_like(g)) for g in gradients]
        for p, g in zip(twins, gradients, strict=True):
            p.grad = g.clone()
        norm = nn.utils.clip_grad_norm_(twins, limit)
        ours = [g.clone() for g in gradients]
        torch.testing.assert_close(optimizers.clip_(ours, limit), norm)
        torch.testing.assert_close(ours, [p.grad for p in twins])


def test_the_loop_clips_and_reports_the_norm_before():
    task = Quadratic()
    before = torch.cat([p.detach().clone().flatten() for p in task.parameters()])
    curvature = torch.cat([torch.linspace(0.5, 2, 8, dtype=torch.float64), torch.ones(1)])
    gradient = curvature * (before - 1)
    x = np.zeros((5, 1))
    options = {"optimizer": "sgd", "lr": 1.0, "steps": 1, "precision": "float64"}
    history = training.fit(task, (x, x), clip=0.5, **options)
    moved = torch.cat([p.detach().flatten() for p in task.parameters()]) - before
    torch.testing.assert_close(moved, -0.5 * gradient / gradient.norm(), rtol=1e-6, atol=0)
    np.testing.assert_allclose(history.grad_norm, [gradient.norm()], rtol=1e-9, atol=0)


# ---------------------------------------------------------------- schedules

STEPS = 40
TORCH = {
    "step": (schedules.StepDecay(7, 0.5), lambda o: torch.optim.lr_scheduler.StepLR(o, 7, 0.5)),
    "exponential": (
        schedules.ExponentialDecay(0.01),
        lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.01 ** (1 / STEPS)),
    ),
    "linear": (
        schedules.LinearDecay(0.1),
        lambda o: torch.optim.lr_scheduler.LinearLR(o, 1.0, 0.1, STEPS),
    ),
    "inverse": (
        schedules.InverseDecay(5),
        lambda o: torch.optim.lr_scheduler.LambdaLR(o, lambda t: 1 / (1 + t / 5)),
    ),
    "cosine": (
        schedules.CosineDecay(0.02),
        lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, STEPS, 0.02),
    ),
    "restarts": (
        schedules.CosineRestarts(5, grow=2),
        lambda o: torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(o, 5, 2),
    ),
    "one cycle": (
        schedules.OneCycle(),
        lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 1.0, STEPS, cycle_momentum=False),
    ),
}


@pytest.mark.parametrize("name", TORCH)
def test_schedules_are_torchs(name):
    ours, build = TORCH[name]
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = build(optimizer)
    rates = []
    for _ in range(STEPS):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        theirs.step()
    found = [ours.factor(t, STEPS) for t in range(STEPS)]
    np.testing.assert_allclose(found, rates, rtol=1e-6, atol=1e-9)


def test_every_named_schedule_and_its_warmup():
    for name in schedules.SCHEDULES:
        factors = [schedules.as_schedule(name, warmup=0.1).factor(t, 100) for t in range(100)]
        assert 0 < factors[0] < factors[9] <= 1 and max(factors) <= 1 and min(factors) >= 0, name
    with pytest.raises(
        ValueError, match=r"no schedule is called 'cosin'; there are constant, step"
    ):
        schedules.as_schedule("cosin")


# ---------------------------------------------------------------- samplers


@pytest.mark.parametrize("n", [1, 2, 3, 7, 64, 1000])
def test_every_pass_is_a_permutation_however_it_is_drawn(n):
    stream = training.Shuffle(n, seed=3)
    whole = stream.draw(0, 5 * n)
    for one in whole.reshape(5, n):
        assert sorted(one) == list(range(n))
    pieces = np.concatenate([stream.draw(i, 1 + i % 4) for i in _starts(5 * n)])[: 5 * n]
    np.testing.assert_array_equal(pieces, whole)
    if n >= 64:
        assert len({tuple(one) for one in whole.reshape(5, n)}) == 5
        assert not np.array_equal(whole, training.Shuffle(n, seed=4).draw(0, 5 * n))


def _starts(stop):
    at = 0
    while at < stop:
        yield at
        at += 1 + at % 4


def test_shuffling_is_uniform_and_needs_no_table():
    draws = training.Shuffle(6, seed=0).draw(0, 6 * 20_000).reshape(-1, 6)
    counts = np.array(
        [[(draws[:, place] == value).sum() for value in range(6)] for place in range(6)]
    )
    assert (
        (counts - 20_000 / 6) ** 2 / (20_000 / 6)
    ).sum() < 60  # chi-square, 25 degrees of freedom
    orders = np.unique(draws @ 6 ** np.arange(6), return_counts=True)[1]
    assert len(orders) == 720  # all of them occur
    far = training.Shuffle(10**9, seed=0).draw(10**12, 1000)
    assert far.min() >= 0 and far.max() < 10**9 and len(set(far.tolist())) == 1000
    assert abs(far.mean() / 1e9 - 0.5) < 0.05


@pytest.mark.parametrize(
    ("power", "shares"), [(0.0, [0.1, 0, 0.9]), (-1.0, [0.5, 0, 0.5]), (-0.5, [0.25, 0, 0.75])]
)
def test_groups_are_drawn_by_their_shares_and_members_evenly(power, shares):
    stream = training.Grouped([10, 0, 90], power=power, seed=1)
    drawn = stream.draw(0, 40_000)
    counts = np.bincount(drawn, minlength=100)
    np.testing.assert_allclose(
        [counts[:10].sum() / 40_000, 0, counts[10:].sum() / 40_000], shares, atol=0.01
    )
    assert counts.min() > 0
    inside = counts[10:] / counts[10:].mean()
    assert abs(inside.std() - counts[10:].mean() ** -0.5) < 0.02  # as scattered as counts are
    np.testing.assert_array_equal(stream.draw(123, 50), drawn[123:173])
    with pytest.raises(ValueError, match="at least one of them positive"):
        training.Grouped([0, 0]).draw(0, 1)


def test_a_sampler_of_other_data_is_refused():
    with pytest.raises(ValueError, match="sampler draws from 30 examples, data has 50"):
        training.fit(Regression(), examples(), sampler=training.Grouped([10, 20]), steps=1)


# ---------------------------------------------------------------- averages


def test_averages_are_their_formulas():
    rng = np.random.default_rng(0)
    path = rng.normal(size=30)
    decay = np.array([0.9 ** (30 - t) for t in range(1, 31)])
    for rule, expected in (
        (training.EMA(0.9), (decay * path).sum() / decay.sum()),
        (training.SWA(start=21), path[20:].mean()),
        (training.SWA(start=0.5), path[14:].mean()),
    ):
        task = nn.Linear(1, 1, bias=False)
        average = averaging.Average(rule, task, 30)
        for t, value in enumerate(path, 1):
            with torch.no_grad():
                task.weight.fill_(value)
            average.update(t)
        with average.applied():
            np.testing.assert_allclose(task.weight.item(), expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(task.weight.item(), path[-1], rtol=1e-6, atol=0)


def test_evaluation_and_result_use_the_average():
    data = examples()
    task = Regression(norm=True)
    kept = []

    class Keep:
        def on_step(self, loop):
            kept.append(loop.task.net[0].weight.detach().clone())

    averaged = {
        "averaging": training.SWA(start=6),
        "steps": 10,
        "evaluate_every": 5,
        "batch_size": 10,
    }
    history = training.fit(task, data, validation=data, lr=0.1, callbacks=(Keep(),), **averaged)
    torch.testing.assert_close(task.net[0].weight, torch.stack(kept[5:]).mean(0))
    with torch.no_grad():
        total, count = task.loss(as_data(data, "data"))
    np.testing.assert_allclose(history.validation[-1], total / count, rtol=1e-6, atol=0)


# ---------------------------------------------------------------- the same again, in one go and in parts

OPTIONS = {
    "lr": 0.01,
    "schedule": "cosine",
    "warmup": 3,
    "clip": 1.0,
    "epochs": 12,
    "batch_size": 16,
    "weight_decay": 0.01,
    "averaging": training.EMA(0.9),
    "device": "cpu",
}


class Broken(Exception):
    pass


class Break:
    """Stands for the plug that is pulled."""

    def __init__(self, step, error=Broken):
        self.step, self.error = step, error

    def on_step(self, loop):
        if loop.step == self.step:
            raise self.error


@pytest.mark.parametrize("optimizer", ["adamw", "momentum"])
def test_interrupted_and_resumed_is_uninterrupted_bit_for_bit(tmp_path, optimizer):
    data, held_out = examples(), examples(20, seed=1)
    options = OPTIONS | {"optimizer": optimizer, "patience": 6}
    straight = Regression(dropout=0.2, norm=True)
    expected = training.fit(straight, data, validation=held_out, **options)
    options["checkpoint"] = tmp_path / "run"
    for step in (11, 30):  # in the middle of an epoch, twice
        parted = Regression(dropout=0.2, norm=True, seed=9)  # its own weights do not count
        if step == 11:
            parted.load_state_dict(Regression(dropout=0.2, norm=True).state_dict())
        with pytest.raises(Broken):
            training.fit(parted, data, validation=held_out, callbacks=(Break(step),), **options)
    begun = []

    class Begin:
        def on_step(self, loop):
            begun.append(loop.step)

    history = training.fit(parted, data, validation=held_out, callbacks=(Begin(),), **options)
    assert begun[0] > 1
    assert_equal(weights(parted), weights(straight))
    for name in ("step", "epoch", "loss", "validation", "lr", "grad_norm"):
        np.testing.assert_array_equal(getattr(history, name), getattr(expected, name))
    again = Regression(dropout=0.2, norm=True, seed=5)
    steps = len(begun)
    finished = training.fit(again, data, validation=held_out, callbacks=(Begin(),), **options)
    assert len(begun) == steps and finished.stopped == expected.stopped
    assert_equal(weights(again), weights(straight))
    with pytest.raises(ValueError, match=r"begun with other settings \(lr: 0.01 there, 0.02 now\)"):
        training.fit(again, data, validation=held_out, **options | {"lr": 0.02})


def test_a_damaged_checkpoint_is_refused(tmp_path):
    training.fit(Regression(), examples(), steps=2, checkpoint=tmp_path)
    document = json.loads((tmp_path / "run.json").read_text())
    assert len(list(tmp_path.iterdir())) == 2
    (tmp_path / document["tensors"]).write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"cannot be read .* remove the folder to start anew"):
        training.fit(Regression(), examples(), steps=2, checkpoint=tmp_path)


def test_the_same_seed_gives_the_same_weights_and_leaves_random_numbers_alone():
    torch.manual_seed(7)
    state = torch.get_rng_state()
    fitted = {}
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        fitted[name] = Regression(dropout=0.3)
        training.fit(fitted[name], examples(), steps=20, seed=seed, batch_size=8)
    assert torch.equal(state, torch.get_rng_state())
    assert_equal(weights(fitted["a"]), weights(fitted["b"]))
    assert not torch.equal(fitted["a"].net[0].weight, fitted["c"].net[0].weight)


PROGRAM = """
import os, sys
sys.path.insert(0, os.environ["TESTS"])
import torch
torch.set_num_threads(1)
from test_training import one_run
found = one_run(9, sys.argv[1])
if os.environ["RANK"] == "0":
    print(found)
"""


def one_run(batch_size, folder):
    """Losses and weights of a run whose processes have shares with different numbers of observed targets."""
    x, y = examples(53)
    mask = (np.arange(53)[:, None] % 3 > 0).astype("float32")
    task = Regression()
    options = {"steps": 30, "evaluate_every": 10, "lr": 0.02, "clip": 0.5, "device": "cpu"}
    history = training.fit(
        task,
        (x, y, mask),
        validation=examples(21, 1),
        batch_size=batch_size,
        checkpoint=folder,
        **options,
    )
    flat = torch.cat([p.detach().flatten() for p in task.parameters()])
    columns = (history.loss, history.validation, history.grad_norm, flat)
    return [column.tolist() for column in columns]


def test_two_processes_are_one_with_twice_the_batch(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    shared |= {"TESTS": str(Path(__file__).parent), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "two")]
    pair = [
        subprocess.Popen(
            command, env=os.environ | shared | {"RANK": rank, "LOCAL_RANK": rank},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for rank in "01"
    ]  # fmt: skip
    expected = one_run(18, tmp_path / "one")
    (found, errors), (silence, more) = (process.communicate(timeout=240) for process in pair)
    assert [process.returncode for process in pair] == [0, 0], errors + more
    assert silence == ""
    for ours, theirs in zip(json.loads(found), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


# ---------------------------------------------------------------- what stops it


def test_patience_restores_the_best_weights(tmp_path, monkeypatch):
    x, y = examples(12)
    history_of, task = [], Regression()

    class Keep:
        def on_evaluation(self, loop):
            history_of.append(weights(loop.task))

    noise = examples(200, seed=3)
    history = training.fit(
        task, (x, y), validation=noise, lr=0.05, epochs=500, patience=5, callbacks=(Keep(),)
    )
    assert history.stopped == "patience"
    best = int(np.argmin(history.validation))
    assert len(history) == best + 6 and history.best_step == history.step[best]
    assert_equal(weights(task), history_of[best])
    monkeypatch.setattr(checkpoint, "SHARE", math.inf)  # written at every evaluation
    resumed = Regression()
    options = {"lr": 0.05, "epochs": 500, "patience": 5, "checkpoint": tmp_path}
    with pytest.raises(Broken):  # after the best evaluation, which does not come again
        late = (Break(history.best_step + 3),)
        training.fit(resumed, (x, y), validation=noise, callbacks=late, **options)
    assert training.fit(resumed, (x, y), validation=noise, **options) == history
    assert_equal(weights(resumed), history_of[best])
    watched_only = Regression()
    longer = training.fit(watched_only, (x, y), validation=noise, lr=0.05, epochs=len(history))
    assert longer.stopped == "steps"
    assert_equal(weights(watched_only), history_of[-1])


def test_ctrl_c_keeps_the_best_so_far():
    data, kept = examples(12), []

    class Keep:
        def on_evaluation(self, loop):
            kept.append(weights(loop.task))

    task = Regression()
    callbacks = (Keep(), Break(400, KeyboardInterrupt))
    history = training.fit(
        task, data, validation=examples(200, seed=3), lr=0.05, epochs=500, callbacks=callbacks
    )
    assert history.stopped == "interrupted" and len(history) == 399
    assert int(np.argmin(history.validation)) < 398
    assert_equal(weights(task), kept[int(np.argmin(history.validation))])


def test_a_callback_may_ask_to_stop():
    class Stop:
        ended = 0

        def on_step(self, loop):
            return loop.step == 7

        def on_end(self, loop):
            self.ended += 1

    stop = Stop()
    for every in (3, 100):
        options = {"batch_size": 10, "evaluate_every": every}
        history = training.fit(Regression(), examples(), callbacks=(stop,), **options)
        assert history.stopped == "callback" and history.step[-1] == 7
    assert stop.ended == 2


def test_a_loss_that_is_no_number_names_the_step_and_the_cause():
    x, y = examples(40)
    bad = x.copy()
    bad[17, 1] = np.inf
    with pytest.raises(
        FloatingPointError, match=r"at step \d: the batch of step \d holds .* in batch.inputs"
    ):
        training.fit(Regression(), (bad, y), batch_size=10, epochs=1)
    with pytest.raises(
        FloatingPointError, match=r"at step \d+: the training diverged.* learning rate"
    ):
        training.fit(Regression(), (x, y), optimizer="sgd", lr=1e6, steps=300)

    class Log(Regression):
        def loss(self, batch):
            return torch.log(batch.targets * 0 + 0 * self.net(batch.inputs)).sum(), 1

    with pytest.raises(
        FloatingPointError, match=r"infinite at step 1: the very first weights .* log of zero"
    ):
        training.fit(Log(), (x, y), steps=3)
    gaps = y.copy()
    gaps[3] = np.nan
    with pytest.raises(FloatingPointError, match="validation loss is NaN after step 1;"):
        training.fit(Regression(), (x, y), validation=(x, gaps), steps=3)


def test_a_batch_without_observed_targets_is_no_step_into_nothing():
    x, y = examples(6)
    mask = np.zeros_like(y)
    mask[:2] = 1
    history = training.fit(Regression(), (x, y, mask), batch_size=2, epochs=4)
    assert np.isfinite(history.loss).all()


# ---------------------------------------------------------------- options, history, data


def test_epochs_end_where_the_examples_do():
    history = training.fit(Regression(), examples(50), epochs=4, batch_size=16)
    assert history.step.tolist() == [math.ceil(50 * k / 16) for k in (1, 2, 3, 4)]
    both = training.fit(Regression(), examples(50), epochs=4, steps=5, batch_size=1000)
    assert both.epoch.tolist() == [1, 2, 3, 4]
    assert training.Trainer().count_steps(64, 64) == 100


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_learns(precision):
    history = training.fit(
        Regression(), examples(), precision=precision, lr=0.02, epochs=60, clip=5.0
    )
    assert history.loss[-1] < 0.5 * history.loss[0]


def test_a_history_is_a_frame_a_picture_and_a_file(tmp_path):
    history = training.fit(
        Regression(), examples(), validation=examples(9, seed=2), epochs=5, batch_size=25
    )
    assert list(history.frame.columns) == [
        "step",
        "epoch",
        "loss",
        "validation",
        "lr",
        "grad_norm",
        "seconds",
    ]
    assert (np.diff(history.seconds) > 0).all() and (history.grad_norm > 0).all()
    from seqkit import persistence

    assert seqkit.load(persistence.save(history, tmp_path / "history.seqkit")) == history
    ax = history.plot().axes[0]
    assert [line.get_label() for line in ax.lines][:2] == ["training", "validation"]
    assert f"at step {history.best_step}" in ax.lines[2].get_label()


def test_the_progress_bar_is_quiet_off_a_terminal(capsys):
    for shown, said in ((None, False), (False, False), (True, True)):
        training.fit(Regression(), examples(), steps=5, progress=shown)
        captured = capsys.readouterr()
        assert captured.out == "" and ("5/5" in captured.err) == said == bool(captured.err)


def test_a_trainer_is_a_record_of_its_options(tmp_path):
    trainer = training.Trainer(
        training.SGD(0.9), schedule=training.CosineDecay(0.02), averaging=training.EMA(), steps=3
    )
    assert seqkit.load(trainer.save(tmp_path / "trainer.seqkit")) == trainer
    assert seqkit.clone(trainer) == trainer
    assert repr(trainer) == (
        "Trainer(optimizer=SGD(momentum=0.9, nesterov=False), schedule=CosineDecay(final=0.02), "
        "steps=3, averaging=EMA(decay=0.99))"
    )


def test_options_do_not_load_torch():
    code = (
        "from seqkit import training\nimport sys\n"
        "training.Trainer(training.AdamW(), schedule='cosine', averaging=training.SWA())\n"
        "training.Grouped([1, 2]).draw(0, 3)\nassert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"optimizer": "adamx"}, ValueError, "no optimizer is called 'adamx'; there are sgd"),
        ({"optimizer": 3}, TypeError, r"optimizer must be a name .* got 3"),
        ({"batch_size": 0}, ValueError, "batch_size must be an integer of at least 1, got 0"),
        ({"epochs": 2.5}, ValueError, "epochs must be an integer"),
        ({"lr": -1.0}, ValueError, "lr must be positive, got -1.0"),
        ({"precision": "half"}, ValueError, "precision must be one of float32"),
        ({"averaging": 0.9}, TypeError, r"averaging must be None, training.EMA"),
        (
            {"learning_rate": 1.0},
            TypeError,
            "fit has no option 'learning_rate'; it has optimizer, lr",
        ),
        ({"checkpoint": __file__}, ValueError, "checkpoint must be a folder"),
    ],
)
def test_wrong_options_are_named(options, error, message):
    with pytest.raises(error, match=message):
        training.fit(Regression(), examples(), **options)


def test_wrong_data_are_named():
    x, y = examples()
    with pytest.raises(ValueError, match="inputs and targets have 50, 40 examples"):
        training.fit(Regression(), (x, y[:40]))
    with pytest.raises(TypeError, match=r"data must be a tuple .* this ndarray has no to, batch"):
        training.fit(Regression(), x)
    with pytest.raises(ValueError, match="inputs has no examples"):
        training.fit(Regression(), (x[:0], y[:0]))
    with pytest.raises(TypeError, match=r"task must be a torch.nn.Module with loss"):
        training.fit(object(), (x, y))
    with pytest.raises(ValueError, match="no parameter that requires a gradient"):
        training.fit(Regression().requires_grad_(False), (x, y))
