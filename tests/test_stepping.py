"""Steps with weights laid out once are those of the core."""

from __future__ import annotations

import pytest
import torch

from seqkit import nn
from seqkit.nn.stepping import stepper

LSTMS = {
    "plain": nn.LSTM(7),
    "stacked, residual, normalised": nn.LSTM(7, layers=3, residual=True, norm="layer"),
    "learnt start": nn.LSTM(7, layers=2, learn_initial=True, dropout=0.4),
}
OTHERS = {
    "GRU": nn.GRU(7),
    "normalised cell": nn.LSTM(7, norm="cell"),
    "dilated": nn.LSTM(7, layers=2, dilations=(1, 2)),
}


def built(spec, seed=0):
    source = torch.Generator().manual_seed(seed)
    core = spec.build(3, generator=source).double().eval()
    with torch.no_grad():
        for p in core.parameters():  # biases and first states too
            p += 0.3 * torch.randn(p.shape, generator=source, dtype=p.dtype)
    return core


@pytest.mark.parametrize("spec", LSTMS.values(), ids=LSTMS)
@torch.no_grad()
def test_steps_and_states_are_those_of_the_core(spec):
    core = built(spec)
    step = stepper(core)
    assert step != core.step
    x = torch.randn(5, 12, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    mine = theirs = core.initial(5)
    for x_t in x.unbind(1):
        h, mine = step(x_t, mine)
        expected, theirs = core.step(x_t, theirs)
        torch.testing.assert_close(h, expected, rtol=1e-12, atol=1e-12)
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@torch.no_grad()
def test_a_step_leaves_the_state_it_is_given():
    core = built(nn.LSTM(7))
    state = core.initial(4)
    before = [part.clone() for part in state[0]]
    stepper(core)(torch.ones(4, 3, dtype=torch.float64), state)
    for a, b in zip(state[0], before, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


@pytest.mark.parametrize("spec", OTHERS.values(), ids=OTHERS)
def test_other_cores_step_as_they_do(spec):
    core = built(spec)
    assert stepper(core) == core.step


def test_a_core_in_training_keeps_its_dropout():
    core = built(nn.LSTM(7, dropout=0.5)).train()
    assert stepper(core) == core.step
