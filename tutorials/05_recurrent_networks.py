"""Recurrent networks: memory that is learnt, and why it is hard to learn.

A lesson in eight steps: a network that feeds on its own state, how gradients go back through time, why they vanish or
explode, what clipping and ReLU do about it, the LSTM's way out, two tasks that only gated cells learn, and how a
series of any length is learnt from piece by piece. Forecasting with such networks is the next lesson.

    python tutorials/05_recurrent_networks.py            # figures go to out/tutorials
    python tutorials/05_recurrent_networks.py FOLDER
"""

import math
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from matplotlib.figure import Figure

from seqkit import nn, plotting, training
from seqkit.nn import instruments
from seqkit.plotting.style import INK, colour, tidy
from seqkit.tasks import Chunks, OneToOne, Stateful

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "out/tutorials")
folder.mkdir(parents=True, exist_ok=True)
torch.set_num_threads(1)  # matrices this small are done before a second thread wakes up


def heading(text: str) -> None:
    print(f"\n{text}\n{'-' * len(text)}")


def save(figure: Figure, name: str) -> None:
    figure.savefig(folder / name, dpi=120, facecolor="white")
    print(f"[figure: {folder / name}]")


def panels(rows: int, columns: int, width: float, height: float, **options):
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(rows, columns, **options)
    for ax in np.ravel(axes):
        tidy(ax, grid="")
    return figure, np.ravel(axes)


def title(ax, text: str) -> None:
    ax.set_title(text, loc="left", fontsize="medium")


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
print(f"dL/dU by hand and by autograd differ by {np.abs(by_hand - automatic.numpy()).max():.0e} at most")
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
            print(f"r = {radius}: after 60 steps {sizes[-1]:8.1e}, memory {memory:4.0f} steps (-1/log r = {exact:.1f})")
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
    axes[2].semilogy(sizes.clamp(min=1e-18), color=colour(i), label=name)
    print(f"{name:18s} after 60 steps {sizes[-1]:8.1e}, spectral radius {instruments.spectral_radius(made)[0]['candidate']:.2f}")
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


def descend(clip: float | None, rate: float = 0.03, steps: int = 60):
    place = torch.tensor([5.65, -2.55], dtype=torch.float64, requires_grad=True)
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
    torch.linspace(4.5, 6.5, 160, dtype=torch.float64), torch.linspace(-3.3, -1.7, 160, dtype=torch.float64), indexing="ij"
)
surface = end(grid_w, grid_b)
figure, axes = panels(1, 2, 9, 3.4)
for ax, clip in zip(axes, (None, 1.0), strict=True):
    path, largest = descend(clip)
    final = end(*path[-1]).item()
    name = "not clipped" if clip is None else f"clipped at {clip:g}"
    print(f"{name:13s} largest gradient {largest:8.1f}, loss at the end {final:.4f}, w = {path[-1, 0]:.2f}, b = {path[-1, 1]:.2f}")
    ax.contourf(grid_w, grid_b, (surface + 1e-4).log10(), levels=24, cmap="Blues_r", alpha=0.8)
    ax.plot(*path.T, color=colour(1), lw=1, marker=".", ms=4)
    ax.set(xlim=(4.5, 6.5), ylim=(-3.3, -1.7), xlabel="w")
    title(ax, f"{name}: largest gradient {largest:.0f}")
axes[0].set_ylabel("b")
save(figure, "05_clipping.png")
