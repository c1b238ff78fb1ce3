"""Recurrent networks: memory that is learnt, and why it is hard to learn.

A lesson in eight steps: a network that feeds on its own state, how gradients go back through time, why they vanish or
explode, what clipping and ReLU do about it, the LSTM's way out, two tasks that only gated cells learn, and how a
series of any length is learnt from piece by piece. Forecasting with such networks is the next lesson.

    python tutorials/05_recurrent_networks.py            # figures go to out/tutorials
    python tutorials/05_recurrent_networks.py FOLDER
"""

import math
from types import SimpleNamespace

import numpy as np
import torch
from lesson import heading, panels, save, title

from seqkit import nn, plotting, training
from seqkit.nn import instruments
from seqkit.plotting.style import INK, colour
from seqkit.tasks import Chunks, OneToOne, Stateful

torch.set_num_threads(1)  # matrices this small are done before a second thread wakes up


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=generator(seed))


# ---------------------------------------------------------------------------------------------
heading("1. One cell, used over and over")
# A feed-forward network sees a window; what lies before it is lost. A recurrent cell keeps a state, and at every step
# makes a new one out of the old one and what it sees (Elman 1990):
#
#     h_t = tanh(W x_t + U h_{t-1} + b)
#
# Unrolled over time that is a network as deep as the series is long, but all its layers share the same weights: the
# number of parameters does not depend on the length, and the same cell reads series of any length.

core = nn.RNN(6).build(2, generator=generator()).double()
cell = core.cells[0]
W, U = (w.detach().numpy() for w in (cell.weight_input, cell.weight_hidden))
b = (cell.bias_input + cell.bias_hidden).detach().numpy()
x = normal(1, 40, 2)

h, states = np.zeros(6), [np.zeros(6)]
for x_t in x[0].numpy():
    h = np.tanh(W @ x_t + U @ h + b)
    states.append(h)
far = np.abs(np.array(states[1:]) - core(x)[0].detach().numpy()).max()
count = sum(p.numel() for p in core.parameters())
print(f"forty steps by hand and by the core differ by {far:.0e} at most")
print(f"{count} parameters, for {x.shape[1]} steps as for {core(normal(1, 1000, 2)).shape[1]}")

# ---------------------------------------------------------------------------------------------
heading("2. Back through time, by hand")
# The loss at the end hangs on the weights through every step. With L = |h_T - y|^2 / 2 the chain rule walks back
# (Werbos 1990): d_t is the gradient by what went into tanh at step t, and each step adds its part to dL/dU.
#
#     d_T = (h_T - y) (1 - h_T^2),   d_{t-1} = (U' d_t) (1 - h_{t-1}^2),   dL/dU = sum_t d_t h_{t-1}'

target = normal(6, seed=1).numpy()
d = (states[-1] - target) * (1 - states[-1] ** 2)
by_hand, parts = np.zeros_like(U), []
for t in range(40, 0, -1):
    part = np.outer(d, states[t - 1])
    by_hand += part
    parts.append(np.linalg.norm(part))
    d = (U.T @ d) * (1 - states[t - 1] ** 2)

loss = (core(x)[0, -1] - torch.from_numpy(target)).square().sum() / 2
(automatic,) = torch.autograd.grad(loss, cell.weight_hidden)
print(
    f"dL/dU by hand and by autograd differ by {np.abs(by_hand - automatic.numpy()).max():.0e} at most"
)
shares = np.cumsum(parts) / np.sum(parts)
print(f"nine tenths of it come from the last {np.argmax(shares > 0.9) + 1} of the 40 steps")

# ---------------------------------------------------------------------------------------------
heading("3. Gradients vanish, or explode")
# Why so few? Going back k steps multiplies by k Jacobians, diag(1 - h^2) U each. If all of U's eigenvalues are smaller
# than one, the product shrinks like a power of k; if some are larger, it may grow like one (Hochreiter 1991; Bengio,
# Simard, Frasconi 1994). With orthogonal U times r, and no input, the state stays at zero and the size is r^k exactly.


def recurrent(radius: float, hidden: int = 24, activation: str = "tanh") -> torch.nn.Module:
    made = nn.RNN(hidden, activation=activation).build(1, generator=generator(3)).double()
    with torch.no_grad():
        made.cells[0].weight_hidden *= radius
    return made


LAGS = 60
silence, noise = torch.zeros(1, LAGS, 1).double(), normal(1, LAGS, 1, seed=4)
figure, axes = panels(1, 3, 11, 3.3, sharey=True)
for i, radius in enumerate((0.5, 0.9, 1.0, 1.1, 1.5)):
    made = recurrent(radius)
    for ax, inputs in ((axes[0], silence), (axes[1], noise)):
        sizes = instruments.state_gradients(made, inputs, kind="typical")[0]
        ax.semilogy(sizes.clamp(min=1e-18), color=colour(i), label=f"r = {radius}")
        if inputs is silence:
            memory = instruments.effective_memory(sizes).item()
            exact = -1 / math.log(radius) if radius < 1 else math.inf
            print(
                f"r = {radius}: after 60 steps {sizes[-1]:8.1e}, memory {memory:4.0f} steps (-1/log r = {exact:.1f})"
            )
title(axes[0], "tanh, no input: the size is $r^k$")
title(axes[1], "tanh, noise comes in")

# Inputs drive tanh to where it is flat, and that shrinks gradients further: the same weights forget faster. A ReLU is
# never flat where it is on, so only U decides, and how U starts matters all the more: the identity passes everything
# on (Le, Jaitly, Hinton 2015), Gaussian weights of any size are a power of something else than one.

starts = {
    "tanh, orthogonal": ("tanh", None),
    "ReLU, orthogonal": ("relu", None),
    "ReLU, N(0, 4 / n)": ("relu", normal(24, 24, seed=5) * (4 / 24) ** 0.5),
    "ReLU, identity": ("relu", torch.eye(24).double()),
}
for i, (name, (activation, start)) in enumerate(starts.items()):
    made = recurrent(1.0, activation=activation)
    with torch.no_grad():
        if start is not None:
            made.cells[0].weight_hidden.copy_(start)
        made.cells[0].weight_input.abs_()
    sizes = instruments.state_gradients(made, noise.abs(), kind="typical")[0]
    radius = instruments.spectral_radius(made)[0]["candidate"]
    axes[2].semilogy(sizes.clamp(min=1e-18), color=colour(i), label=name)
    print(f"{name:18s} after 60 steps {sizes[-1]:8.1e}, spectral radius {radius:.2f}")
title(axes[2], "What the start and the function do")
for ax in axes:
    ax.set(xlabel="lag k", ylim=(1e-18, 1e12))
    ax.axhline(1, color=INK, lw=0.8, alpha=0.4)
    ax.legend(frameon=False, fontsize="small", loc="lower left", ncols=2 if ax is axes[0] else 1)
axes[0].set_ylabel(r"size of $\partial h_T / \partial h_{T-k}$")
save(figure, "05_gradients.png")

# ---------------------------------------------------------------------------------------------
heading("4. Clipping")
# What vanishes is not learnt. What explodes is worse: near weights at which the state tips over, the loss is a cliff,
# and one step along its gradient throws away all that was learnt (Pascanu, Mikolov, Bengio 2013). Limiting the
# norm of the gradient keeps its direction, and the step small. One unit, 50 steps, weight w and bias b:


def end(w, b):
    state = torch.full_like(w, 0.5)
    for _ in range(50):
        state = w * torch.sigmoid(state) + b
    return (state - 0.7) ** 2


def descend(clip: float | None, rate: float = 0.003, steps: int = 200):
    place = torch.tensor([4.68, -2.18], dtype=torch.float64, requires_grad=True)
    path, largest = [place.detach().clone()], 0.0
    for _ in range(steps):
        (slope,) = torch.autograd.grad(end(*place), place)
        largest = max(largest, slope.norm().item())
        if clip is not None:
            slope = slope * min(1.0, clip / slope.norm().item())
        with torch.no_grad():
            place -= rate * slope
        path.append(place.detach().clone())
    return torch.stack(path), largest


grid_w, grid_b = torch.meshgrid(
    torch.linspace(3.0, 6.0, 200, dtype=torch.float64),
    torch.linspace(-3.0, -0.6, 200, dtype=torch.float64),
    indexing="ij",
)
surface = end(grid_w, grid_b)
figure, axes = panels(1, 2, 9, 3.4)
for ax, clip in zip(axes, (None, 1.0), strict=True):
    path, largest = descend(clip)
    final, steps = end(*path[-1]).item(), path.diff(dim=0).norm(dim=1)
    name = "not clipped" if clip is None else f"clipped at {clip:g}"
    print(
        f"{name:13s} largest gradient {largest:6.0f}, farthest step {steps.max():5.2f}, loss at the end {final:.4f}"
    )
    ax.contourf(grid_w, grid_b, (surface + 1e-4).log10(), levels=24, cmap="Blues_r", alpha=0.8)
    ax.plot(*path.T, color=colour(1), lw=1, marker=".", ms=4)
    ax.set(xlim=(3.0, 6.0), ylim=(-3.0, -0.6), xlabel="w")
    title(ax, f"{name}: largest gradient {largest:.0f}")
axes[0].set_ylabel("b")
save(figure, "05_clipping.png")

# ---------------------------------------------------------------------------------------------
heading("5. The LSTM's carousel")
# Hochreiter and Schmidhuber (1997) gave the cell a second state, c, that is not multiplied by a matrix but added to:
#
#     c_t = f_t c_{t-1} + i_t g_t,   h_t = o_t tanh(c_t)
#
# Along c the gradient is multiplied by the forget gate alone, whatever U is; what goes round by h and the gates comes
# on top. A bias of the forget gate of 1 keeps sigma(1) = 0.73 of it, one of 5 keeps 0.993: how long a cell holds what
# it has can be set at the start (Gers et al. 2000). So that it does not fill up in that time, the input gate gets
# the same bias with its sign turned: it takes in as little as it loses (Tallec, Ollivier 2018).

carousels = {}
for bias in (0.0, 1.0, 3.0, 5.0):
    made = nn.LSTM(24, forget_bias=bias).build(1, generator=generator()).double()
    with torch.no_grad():
        made.cells[0].bias_input[:24] = -bias
    through = [p[0, 24:, 24:] for p in instruments.state_jacobians(made, noise)]  # dc_T / dc_{T-k}
    carousels[bias] = [(torch.linalg.matrix_norm(p) / 24**0.5).item() for p in through]
    keeps = 1 / (1 + math.exp(-bias))
    print(
        f"forget bias {bias:g}: after 60 steps {carousels[bias][-1]:7.1e}, sigma(b)^60 = {keeps**60:7.1e}"
    )

figure, axes = panels(1, 1, 7, 3.3)
for i, (bias, sizes) in enumerate(carousels.items()):
    axes[0].semilogy(sizes, color=colour(i), label=f"LSTM, forget bias {bias:g}")
gru = nn.GRU(24).build(1, generator=generator()).double()
axes[0].semilogy(
    instruments.state_gradients(gru, noise, kind="typical")[0], color=colour(4), label="GRU"
)
vanilla = instruments.state_gradients(recurrent(1.0), noise, kind="typical")[0]
axes[0].semilogy(vanilla, color=INK, ls=":", label="vanilla, tanh")
axes[0].set(xlabel="lag k", ylabel=r"size of $\partial c_T / \partial c_{T-k}$ (others: of h)")
axes[0].legend(frameon=False, fontsize="small", loc="lower left", ncols=2)
save(figure, "05_carousel.png")

# ---------------------------------------------------------------------------------------------
heading("6. The adding problem")
# Every step shows a number and a mark; two of 40 steps are marked, and the sum of their numbers is asked for at the
# end. Who always says 1 has a mean squared error of 1/6. All examples are new, so the loss is that on unseen data.


class Adding:
    """Endless examples of inputs (batch, time, 2) and targets at the last step, NaN before it."""

    def __init__(self, length: int):
        self.length = length

    def __len__(self):
        return 2**30

    def to(self, device):
        return self

    def batch(self, index):
        source = generator(int(index[0]))
        inputs, half = torch.rand(len(index), self.length, 2, generator=source), self.length // 2
        inputs[:, :, 1] = 0
        for start in (0, half):
            marked = start + torch.randint(half, (len(index), 1), generator=source)
            inputs[:, :, 1].scatter_(1, marked, 1.0)
        targets = torch.full((len(index), self.length), math.nan)
        targets[:, -1] = inputs.prod(2).sum(1)
        return SimpleNamespace(inputs=inputs, targets=targets, mask=None)


class Until:
    """Ends a training whose loss since the last evaluation is low enough."""

    def __init__(self, enough: float):
        self.enough = enough

    def on_evaluation(self, loop):
        return loop.history.loss[-1] < self.enough


def holding(core: torch.nn.Module, lag: int) -> torch.nn.Module:
    """The core, its gates set to hold what they have for 1 to `lag` steps, and an LSTM's to take in as little."""
    for one in core.cells:
        if len(one.gates) > 1:
            rest = torch.log(1 + (lag - 2) * torch.rand(one.hidden, generator=generator()))
            with torch.no_grad():
                bias = one.bias_input.view(len(one.gates), -1)
                bias[1] = rest  # the forget gate, or the update gate
                if "forget" in one.gates:
                    bias[0] = -rest
    return core


def learn(spec, data, inputs: int, head, lag: int, enough: float, **options):
    made = holding(spec.build(inputs, generator=generator()), lag)
    task = OneToOne(made, head, generator=generator())
    defaults = {"batch_size": 32, "clip": 1.0, "evaluate_every": 20, "device": "cpu"}
    ends = (Until(enough),)
    history = training.fit(task, data, callbacks=ends, **(defaults | options))
    loss, seconds = history.loss[-1], history.seconds[-1]
    said = "solved" if loss < enough else "not solved"
    print(
        f"{spec!r:16s} loss {loss:.4f} after {history.step[-1]:4d} steps, {seconds:4.1f} s: {said}"
    )
    return task, history


specs = {"LSTM": nn.LSTM(32), "GRU": nn.GRU(32), "vanilla": nn.RNN(32)}
added = {}
for name, spec in specs.items():
    added[name] = learn(
        spec, Adding(40), 2, nn.Squared(), 40, 0.005, lr=2e-2, steps=400, batch_size=16
    )

# ---------------------------------------------------------------------------------------------
heading("7. Copying from memory")
# Two symbols of four are shown, then nothing for 30 steps, then a mark: now they are to be repeated. Who has
# forgotten them guesses, at log 4 = 1.39 a symbol.

SYMBOLS, KINDS = 2, 4


class Copying(Adding):
    """Inputs (batch, lag + 2 * symbols, kinds + 2): symbols, nothing, a mark; targets count after the mark."""

    def batch(self, index):
        symbols = torch.randint(KINDS, (len(index), SYMBOLS), generator=generator(int(index[0])))
        shown = torch.full((len(index), self.length + 2 * SYMBOLS), KINDS)
        shown[:, :SYMBOLS], shown[:, -SYMBOLS - 1] = symbols, KINDS + 1
        targets, mask = torch.zeros_like(shown), torch.zeros(shown.shape)
        targets[:, -SYMBOLS:], mask[:, -SYMBOLS:] = symbols, 1.0
        inputs = torch.nn.functional.one_hot(shown, KINDS + 2).float()
        return SimpleNamespace(inputs=inputs, targets=targets, mask=mask)


copied = {}
for name, spec in specs.items():
    copied[name] = learn(
        spec, Copying(30), KINDS + 2, nn.Classes(KINDS), 40, 0.1, lr=2e-2, steps=700
    )

figure, axes = panels(1, 2, 9, 3.3)
for ax, runs, guess in ((axes[0], added, 1 / 6), (axes[1], copied, math.log(KINDS))):
    for i, (name, (_, history)) in enumerate(runs.items()):
        ax.semilogy(history.step, history.loss, color=colour(i), label=name)
    ax.axhline(guess, color=INK, lw=0.8, ls=":")
    ax.set(xlabel="step")
axes[0].set_ylabel("loss on new examples")
axes[0].legend(frameon=False, fontsize="small")
title(axes[0], "Adding, 40 steps (dotted: always 1)")
title(axes[1], "Copying over 30 steps (dotted: guessing)")
save(figure, "05_memory.png")

# What has the LSTM learnt? The gates tell: the input gate opens at the marks, the forget gate stays open.

example = Adding(40).batch(torch.tensor([7]))
marks = torch.nonzero(example.inputs[0, :, 1])[:, 0].tolist()
said = instruments.gates(added["LSTM"][0].core, example.inputs)
inlet = said[0]["input"].mean(axis=1)
print(
    f"marked steps {marks}: the mean input gate says {inlet.iloc[marks].mean():.2f} there, "
    f"{inlet.drop(marks).mean():.2f} elsewhere"
)
figure = plotting.gates(said)
for ax in figure.axes[:4]:
    for mark in marks:
        ax.axvline(mark, color=INK, lw=0.8, ls=":")
save(figure, "05_gates.png")
save(
    plotting.hidden_states(instruments.hidden_states(added["LSTM"][0].core, example.inputs)),
    "05_states.png",
)

# ---------------------------------------------------------------------------------------------
heading("8. A long series, piece by piece")
# Going back through 200,000 steps would need memory for them all. Truncated back-propagation (Williams, Peng 1990)
# reads a piece, goes back through it, and carries the state, but not the gradient, on to the next piece. What it
# loses is what lies further back than a piece; gradients that vanish anyway are no loss.

time = np.arange(6001)
series = np.sin(2 * np.pi * time / 25) + 0.5 * np.sin(2 * np.pi * time / 90)
series = (series + 0.1 * np.random.default_rng(0).normal(size=6001)).astype(np.float32)


def slope(gradient: int) -> torch.Tensor:
    """The gradient of the loss of the first 600 steps, cut after so many."""
    task = Stateful(
        nn.LSTM(16).build(1, generator=generator()), nn.Squared(), generator=generator()
    )
    pieces = Chunks(series[:600, None], series[1:601], chunk=20, gradient=gradient)
    for k in range(len(pieces)):
        total, _ = task.loss(pieces.batch(torch.tensor([k])))
        total.backward()
    return torch.cat([p.grad.flatten() for p in task.parameters() if p.grad is not None])


whole = slope(600)
for gradient in (1, 5, 20, 60):
    cut = slope(gradient)
    cosine = torch.nn.functional.cosine_similarity(cut, whole, dim=0).item()
    print(f"gradient cut after {gradient:2d} steps: cosine {cosine:.4f} with the full one")

for chunk in (10, 50):
    pieces = Chunks(series[:-1, None], series[1:], chunk=chunk, lanes=8)
    task = Stateful(
        nn.LSTM(16).build(1, generator=generator()), nn.Squared(), lanes=8, generator=generator()
    )
    order = training.InOrder(len(pieces))
    history = training.fit(
        task, pieces, batch_size=1, sampler=order, steps=300, lr=1e-2, clip=1.0, device="cpu"
    )
    print(
        f"pieces of {chunk} steps: loss {history.loss[-1]:.4f} after 300 updates, {history.seconds[-1]:.1f} s; "
        "the noise alone is 0.0100"
    )

print(
    "\nGated cells remember because nothing is in the way of their gradients. What they remember can be the past of a\n"
    "series, and what is asked of them its future: that is the lesson in 06_lstm_forecasting.py."
)
