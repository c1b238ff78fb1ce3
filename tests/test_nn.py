"""The feed-forward cores: formulas, torch's own, finite differences, and what padding must not change."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import special
from tensors import close, normal, seeded

from seqkit import nn
from seqkit.tasks import OneToOne

FUNCTIONS = {  # NumPy and SciPy alone
    "linear": lambda z: z,
    "sigmoid": special.expit,
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0),
    "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
    "prelu": lambda z: np.where(z > 0, z, 0.25 * z),
    "elu": lambda z: np.where(z > 0, z, np.expm1(z)),
    "selu": lambda z: (
        1.0507009873554805 * np.where(z > 0, z, 1.6732632423543772 * np.expm1(np.minimum(z, 0)))
    ),
    "gelu": lambda z: z * special.ndtr(z),
    "silu": lambda z: z * special.expit(z),
    "softplus": lambda z: np.logaddexp(0, z),
}
CORES = {
    "plain": lambda **k: nn.FeedForward(3, (6, 5), **k),
    "residual": lambda **k: nn.FeedForward(3, (6, 6, 5), residual=True, **k),
    "skip": lambda **k: nn.FeedForward(3, (6,), 4, skip=True, **k),
    "delays": lambda **k: nn.TimeDelay(3, (6, 5), **k),
    "residual delays": lambda **k: nn.TimeDelay(3, (6, 6, 5), kernel=2, residual=True, **k),
    "lags": lambda **k: nn.TimeDelay(3, (6, 5), kernel=(0, 1, 4), dilations=(1, 1), **k),
}
each_core = pytest.mark.parametrize("name", CORES)
each_norm = pytest.mark.parametrize("norm", [None, "batch", "layer"])


def padded(lengths, width, *, left):
    """Series of these lengths in one batch, NaN around them, and which steps are theirs."""
    x = torch.full((len(lengths), width, 3), float("nan"), dtype=torch.float64)
    mask = torch.zeros(len(lengths), width, dtype=torch.bool)
    for i, n in enumerate(lengths):
        place = slice(width - n, width) if left else slice(0, n)
        x[i, place], mask[i, place] = normal(n, 3, seed=n), True
    return x, mask


def build(name, seed=1, **options):
    """A core in float64 whose normalisations have something to say, in evaluation mode."""
    core = CORES[name](generator=seeded(seed), **options).double().eval()
    for module in core.modules():
        if isinstance(module, (nn.BatchNorm, nn.LayerNorm)):
            torch.nn.init.normal_(module.weight, 1.0, 0.3, generator=seeded(seed))
            torch.nn.init.normal_(module.bias, 0.5, 0.3, generator=seeded(seed))
        if isinstance(module, nn.BatchNorm):
            module.running_mean += 0.3
            module.running_var *= 1.7
    return core


# ---------------------------------------------------------------- activations, initialisation


@pytest.mark.parametrize("name", nn.ACTIVATIONS)
def test_activations_are_their_formulas(name):
    z = np.concatenate([np.linspace(-6, 6, 241), [-50.0, 50.0]])
    made = nn.activation(name).double()(torch.from_numpy(z)).detach().numpy()
    np.testing.assert_allclose(made, FUNCTIONS[name](z), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("name", nn.ACTIVATIONS)
def test_activations_have_the_gradients_of_finite_differences(name):
    z = torch.linspace(-3, 3, 20, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(nn.activation(name).double(), (z,))


@pytest.mark.parametrize(
    ("activation", "kind", "variance"),
    [
        ("tanh", None, 2 / (300 + 500)),
        ("linear", None, 2 / (300 + 500)),
        ("relu", None, 2 / 300),
        ("leaky_relu", None, 2 / (1 + 0.01**2) / 300),
        ("prelu", None, 2 / (1 + 0.25**2) / 300),
        (torch.nn.LeakyReLU(0.5), None, 2 / (1 + 0.5**2) / 300),
        ("selu", None, 1 / 300),
        ("relu", "lecun", 1 / 300),
        ("relu", "xavier", 2 / (300 + 500)),
        ("relu", "zero", 0.0),
    ],
)
def test_first_weights_have_the_variance_of_their_formula(activation, kind, variance):
    layer = nn.initialise(torch.nn.Linear(300, 500), activation, kind, generator=seeded())
    draws = layer.weight.detach().double()
    assert abs(draws.mean()) <= 4 * variance**0.5 / 387  # four standard errors
    np.testing.assert_allclose(draws.square().mean(), variance, rtol=0.015, atol=0)
    assert not layer.bias.any()
    if kind == "xavier" or (kind is None and activation in ("tanh", "linear")):
        assert 0.999 <= draws.abs().max() / (3 * variance) ** 0.5 <= 1.0001  # uniform


def test_first_weights_are_those_of_torch_and_leave_its_stream_alone():
    empty, square = torch.nn.Linear(30, 20), torch.nn.Linear(20, 30).double()
    before = torch.get_rng_state()
    own = nn.initialise(empty, "relu", generator=seeded())
    theirs = torch.nn.init.kaiming_normal_(torch.empty(20, 30), generator=seeded())
    close(own.weight.detach(), theirs, 1e-6)
    Q = nn.initialise(square, kind="orthogonal", generator=seeded()).weight.detach()
    close(Q.T @ Q, torch.eye(20).double())
    nn.FeedForward(3, (4, 4), 1, residual=True, skip=True, generator=seeded())
    nn.TimeDelay(3, (4, 4), residual=True, generator=seeded())
    assert torch.equal(torch.get_rng_state(), before)


# ---------------------------------------------------------------- normalisation, dropout


def test_batch_norm_without_padding_is_that_of_torch():
    own, theirs = nn.BatchNorm(4).double(), torch.nn.BatchNorm1d(4).double()
    everything = torch.ones(8, 5, dtype=torch.bool)
    masked = nn.BatchNorm(4).double()
    for seed in range(3):
        x = normal(8, 5, 4, seed=seed)
        expected = theirs(x.reshape(-1, 4)).reshape(x.shape)
        close(own(x), expected)
        close(masked(x, everything), expected)
    for norm in (own, masked):
        for name, value in theirs.state_dict().items():
            close(norm.state_dict()[name], value)
        x = normal(6, 4, seed=9)
        close(norm.eval()(x), theirs.eval()(x))


def test_batch_norm_of_padded_series_is_that_of_the_series_alone():
    lengths = (7, 3, 1, 5)
    x, mask = padded(lengths, 8, left=False)
    series = torch.cat([normal(n, 3, seed=n) for n in lengths])
    own, alone = nn.BatchNorm(3).double(), nn.BatchNorm(3).double()
    for norm in (own, alone):
        torch.nn.init.normal_(norm.weight, generator=seeded())
    close(own(x, mask)[mask], alone(series))
    close(own.running_mean, alone.running_mean)
    close(own.running_var, alone.running_var)

    x, series = x.nan_to_num(0).requires_grad_(), series.requires_grad_()
    weights = normal(16, 3, seed=5)  # gradients reach what was counted, and nothing else
    (own(x, mask)[mask] * weights).sum().backward()
    (alone(series) * weights).sum().backward()
    close(x.grad[mask], series.grad)
    assert not x.grad[~mask].any()


def test_batch_norm_of_nothing_and_of_one_step():
    norm = nn.BatchNorm(3)
    before = {k: v.clone() for k, v in norm.state_dict().items()}
    assert norm(torch.ones(2, 3), torch.zeros(2, dtype=torch.bool)).isfinite().all()
    close(norm.running_mean, before["running_mean"])
    assert not norm(torch.full((1, 3), 7.0)).detach().any()  # a step less its own mean
    close(norm.running_mean, torch.full((3,), 0.7), 1e-6)
    close(norm.running_var, torch.ones(3))


def test_dropout_keeps_the_mean_and_evaluation_is_the_weight_scaling_rule():
    net = nn.FeedForward(5, (400,), 1, dropout=0.3, generator=seeded()).double()
    plain = nn.FeedForward(5, (400,), 1, generator=seeded()).double()
    x = normal(3, 5)
    close(net.eval()(x), plain(x))
    # the classical rule: train with units dropped and unscaled, then multiply the weights by 1 - dropout
    hidden, output = torch.relu(plain.layers[0](x)), plain.layers[-1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        draws = net.train()(x.repeat(4000, 1, 1))
        kept = torch.rand(4000, 3, 400, dtype=torch.float64) > 0.3
        classical = (hidden * kept) @ (output.weight.T / 0.7) + output.bias  # weights w = w' / 0.7
    error = draws.std(0) / 4000**0.5
    assert ((draws.mean(0) - plain(x)).abs() < 4 * error).all()
    assert ((classical.mean(0) - plain(x)).abs() < 4 * error).all()
    np.testing.assert_allclose(draws.std(0).detach(), classical.std(0).detach(), rtol=0.1, atol=0)


# ---------------------------------------------------------------- cores


@each_norm
@each_core
def test_gradients_are_those_of_finite_differences(name, norm):
    """With padding; in training mode, so that those of the batch statistics are among them."""
    core = build(name, norm=norm, activation="gelu").train()
    x, mask = normal(2, 6, 3).requires_grad_(), torch.ones(2, 6, dtype=torch.bool)
    mask[0, 4:], mask[1, :2] = False, False
    names, values = zip(*core.named_parameters(), strict=True)
    copies = tuple(value.detach().clone().requires_grad_() for value in values)

    def run(x, *parameters):
        given = dict(zip(names, parameters, strict=True))
        return torch.func.functional_call(core, given, (x, mask))

    assert torch.autograd.gradcheck(run, (x, *copies), fast_mode=True)


@each_norm
@each_core
def test_steps_unrolled_are_forward(name, norm):
    core, x = build(name, norm=norm), normal(4, 12, 3)
    mask = torch.rand(4, 12, generator=seeded()) > 0.3
    for given in (None, mask):
        state, steps = core.initial(4), []
        for t in range(12):
            h, state = core.step(x[:, t], state, None if given is None else given[:, t])
            steps.append(h)
        close(torch.stack(steps, 1), core(x, given))


@each_norm
@each_core
def test_padding_on_either_side_changes_nothing(name, norm):
    core, lengths = build(name, norm=norm), (9, 4, 1)
    alone = torch.cat([core(normal(1, n, 3, seed=n))[0] for n in lengths])
    trained = []
    for left, width in ((False, 9), (True, 13)):
        x, mask = padded(lengths, width, left=left)
        y = core(x, mask)
        assert not y[~mask].any()
        close(y[mask], alone)
        # in training the statistics are those of the batch, whatever is around it
        again = build(name, norm=norm).train()
        trained.append([again(x, mask)[mask], *again.buffers()])
    for one, other in zip(*trained, strict=True):
        close(one, other)


@each_core
def test_the_receptive_field_is_that_of_the_jacobian(name):
    core = build(name, activation="softplus")  # every derivative differs from zero
    x = normal(1, 20, 3)
    jacobian = torch.autograd.functional.jacobian(lambda x: core(x)[0, -1], x)
    reached = torch.nonzero(jacobian.abs().sum((0, 1, 3)))[:, 0]
    assert 20 - reached.min() == core.receptive_field and reached.max() == 19
    expected = {"plain": 1, "residual": 1, "skip": 1, "delays": 7, "residual delays": 8, "lags": 9}
    assert core.receptive_field == expected[name]
    middle = torch.autograd.functional.jacobian(lambda x: core(x)[0, 12], x)
    assert not middle[:, :, 13:].any()  # nothing of the future


def test_time_delay_is_the_dilated_convolution_of_torch():
    core = nn.TimeDelay(3, (5,), kernel=4, dilations=(3,), activation="tanh").double()
    weight = core.layers[0].linear.weight.reshape(5, 4, 3).permute(0, 2, 1).flip(-1)
    x = normal(2, 30, 3)
    past = torch.nn.functional.pad(x.transpose(1, 2), (9, 0))
    expected = torch.nn.functional.conv1d(past, weight, dilation=3).tanh().transpose(1, 2)
    close(core(x), expected)


def test_feed_forward_is_the_formula():
    net = nn.FeedForward(3, (4,), 2, activation="tanh", skip=True, generator=seeded()).double()
    x = normal(5, 7, 3)
    (W, b, _), (V, c) = (net.layers[0].weight, net.layers[0].bias, 0), net.layers[-1].parameters()
    close(net(x), torch.tanh(x @ W.T + b) @ V.T + c + x @ net.skip.weight.T)
    linear = nn.FeedForward(3, (), 2).double()
    close(linear(x), x @ linear.layers[0].weight.T)
    assert nn.FeedForward(3, ()).size == 3 and len(linear.layers) == 1
    zero = nn.FeedForward(3, (4, 4), 2, residual=True, skip=True, initial_output="zero")
    assert not zero(x.float()).any()
    block = nn.FeedForward(3, (4, 4), residual=True, activation="tanh").double()
    h, inside = block.layers[:2](x), block.layers[-1]
    scaled = (h - h.mean(-1, True)) / (h.var(-1, correction=0, keepdim=True) + 1e-5).sqrt()
    close(block(x), h + inside.outer[1](torch.tanh(inside.inner(scaled))))


def test_impossible_cores_say_what_is_wrong():
    with pytest.raises(TypeError, match=r"write \(32,\)"):
        nn.FeedForward(3, 32)
    with pytest.raises(ValueError, match=r"hidden\[1\] is 0"):
        nn.FeedForward(3, (4, 0))
    with pytest.raises(ValueError, match="dropout is 1"):
        nn.FeedForward(3, (4,), dropout=1)
    with pytest.raises(ValueError, match=r"swish.*silu"):
        nn.FeedForward(3, (4,), activation="swish")
    with pytest.raises(ValueError, match='choose "batch", "layer"'):
        nn.FeedForward(3, (4,), norm="group")
    with pytest.raises(ValueError, match="pass outputs="):
        nn.FeedForward(3, (4,), skip=True)
    with pytest.raises(ValueError, match="one layer or more"):
        nn.TimeDelay(3, ())
    with pytest.raises(ValueError, match="2 whole numbers"):
        nn.TimeDelay(3, (4, 4), dilations=(1,))
    with pytest.raises(ValueError, match="distinct whole"):
        nn.TimeDelay(3, (4,), kernel=(0, -1))
    with pytest.raises(ValueError, match=r"needs \(batch, time, 3\)"):
        nn.TimeDelay(3, (4,))(torch.zeros(2, 3))
    with pytest.raises(ValueError, match="must be 3 long"):
        nn.FeedForward(3, (4,))(torch.zeros(2, 5))
    with pytest.raises(ValueError, match=r"boolean of shape \(2, 5\)"):
        nn.TimeDelay(3, (4,))(torch.zeros(2, 5, 3), torch.ones(2, 5))
    with pytest.raises(ValueError, match="'uniform' is not known"):
        nn.initialise(torch.nn.Linear(2, 2), kind="uniform")
    with pytest.raises(ValueError, match="weight matrix"):
        nn.initialise(torch.nn.LayerNorm(2))


# ---------------------------------------------------------------- one to one


class Examples:
    def __init__(self, inputs, targets, mask=None):
        self.inputs, self.targets, self.mask = inputs, targets, mask


@each_core
def test_the_loss_of_a_padded_batch_is_that_of_its_series(name):
    from seqkit.distributions import Normal

    task = OneToOne(build(name), Normal(), targets=2, generator=seeded()).double()
    x, y = normal(2, 9, 3), normal(2, 9, 2, seed=1)
    y[0, 3, 1] = float("nan")
    x[1, 5:], y[1, 5:] = float("nan"), 1e30
    mask = torch.ones(2, 9, dtype=torch.bool)
    mask[1, 5:] = False
    total, count = task.loss(Examples(x, y, mask))
    parts = [task.loss(Examples(x[i : i + 1, :n], y[i : i + 1, :n])) for i, n in ((0, 9), (1, 5))]
    assert count == sum(c for _, c in parts) == 17 + 10
    close(total, sum(t for t, _ in parts), 1e-10)
    total.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in task.parameters())

    law = task.predict(x[:1])
    assert law.shape == (1, 9, 2)
    density = law.log_prob(y[:1].numpy())
    np.testing.assert_allclose(-np.nansum(density), parts[0][0].item(), rtol=1e-9, atol=0)


def test_a_point_head_predicts_once_calibrated_and_weights_count():
    core = nn.FeedForward(3, (), 1, initial_output="zero")
    task = OneToOne(core, nn.Squared())
    x, y = torch.zeros(4, 3), torch.tensor([1.0, -1.0, 3.0, 2.0])
    with pytest.raises(ValueError, match="call calibrate"):
        task.predict(x)
    law = task.calibrate(x[:2], y[:2]).predict(x)
    np.testing.assert_allclose(law.scale, 1.0, rtol=1e-6, atol=0)
    total, count = task.loss(Examples(x, y, torch.tensor([1.0, 0.0, 2.0, 0.0])))
    assert (total.item(), count.item()) == (1 + 2 * 9, 3)
    assert task.training and not task.point(x).any()
    with pytest.raises(ValueError, match="pass outputs=2"):
        OneToOne(nn.FeedForward(3, (), 1), nn.Squared(), targets=2)
    with pytest.raises(ValueError, match="pass targets="):
        task.loss(Examples(x, torch.zeros(4, 2)))
