"""The feed-forward core: from one unit that learns by its mistakes to networks that learn by gradients.

A lesson in eight steps: what one unit can and cannot learn, what a hidden layer adds, how a network is started
and trained, why it learns too much, and what helps. Every neural model of this library has such a core.

    python tutorials/00_feedforward_core.py            # figures go to out/tutorials
    python tutorials/00_feedforward_core.py FOLDER
"""

import warnings
from itertools import product

import numpy as np
import pandas as pd
import torch
from lesson import heading, panels, save, title

from seqkit import Normal, nn, training
from seqkit.plotting.style import INK, colour
from seqkit.tasks import OneToOne

BLUE, RED = colour(0), colour(1)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# ---------------------------------------------------------------------------------------------
heading("1. One unit, and what it can learn")
# A unit weighs its inputs and answers 1 where the sum exceeds a threshold:
#
#     y = 1 if w_1 x_1 + w_2 x_2 + b > 0, else 0
#
# Rosenblatt's rule (1958): go through the examples; where the answer is wrong, add the example to the weights
# (or subtract it, if the answer should have been 0). If any line separates the classes, the mistakes end, and the
# rule stops at the first such line: a point on the line itself counts as 0.

corners = np.array(list(product([0, 1], repeat=2)))
gates = {
    "AND": corners.all(1).astype(int),
    "OR": corners.any(1).astype(int),
    "XOR": corners.sum(1) % 2,
}
units = {}
for gate, y in gates.items():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        units[gate] = unit = nn.Perceptron().fit(corners, y)
    print(f"{gate:3s}: mistakes per pass {unit.history_.tolist()}, separable: {unit.separable_}")
    if caught:
        print(f"     {caught[0].message}")

# XOR cannot be separated by a line, and the rule runs in a circle. Two layers can do it: one hidden unit says "at
# least one", another "both", and the last "the first but not the second". Hebb's rule (1949) is older still: it
# looks at no errors, w = sum of y x. It is right for AND and OR of inputs -1 and +1, where columns do not correlate.

print("XOR by two layers, weights set by hand:", nn.exclusive_or(corners).tolist())
hebbian = nn.Hebbian().fit(2 * corners - 1, gates["AND"])
print(f"AND by Hebb's rule: w = {hebbian.coef_.tolist()}, b = {hebbian.intercept_}")

# The layers can also be learnt. Sums that end in a smooth function have a gradient, and the gradient of a loss says
# how each weight should move: here 4 hidden units, and the cross-entropy of a 0/1 answer.

xor = OneToOne(nn.FeedForward(2, (4,), 1, activation="tanh", generator=generator()), nn.Binary())
examples = (corners.astype(np.float32), gates["XOR"].astype(np.float32))
training.fit(xor, examples, optimizer="lbfgs", precision="float64", steps=20, weight_decay=1e-3)
probability = xor.predict(torch.tensor(corners, dtype=torch.float64)).mean
print("XOR by gradients: P(y = 1) =", np.round(probability, 3).tolist())

figure, axes = panels(1, 4, 9.5, 2.6, sharey=True)
grid = np.linspace(-0.35, 1.35, 200)
field = np.stack(np.meshgrid(grid, grid), -1).reshape(-1, 2)
answers = {gate: unit.predict(field) for gate, unit in units.items()}
answers["XOR, two layers"] = xor.predict(torch.tensor(field)).mean
for ax, (name, answer) in zip(axes, answers.items(), strict=True):
    levels = np.asarray(answer, dtype=float).reshape(200, 200)
    ax.contourf(
        grid, grid, levels, levels=np.linspace(-1e-9, 1 + 1e-9, 11), cmap="Blues", alpha=0.6
    )
    for (x1, x2), y in zip(corners, gates[name[:3]], strict=True):
        ax.plot(x1, x2, "o", ms=9, mec=INK, mfc=INK if y else "white")
    unlearnt = name == "XOR"
    title(ax, f"{name}: fails" if unlearnt else name)
    ax.set(xlabel="$x_1$", xticks=[0, 1], yticks=[0, 1])
axes[0].set_ylabel("$x_2$")
save(figure, "00_gates.png")

# ---------------------------------------------------------------------------------------------
heading("2. A sine by 20 neurons")
# One hidden layer of enough units comes as close to any continuous function as one likes (Cybenko 1989). Each unit
# is a step at some place, of some width; the output adds them up.

x = np.linspace(-1, 1, 200, dtype=np.float32)[:, None]
sine = np.sin(2 * np.pi * x[:, 0])
wide = torch.linspace(-1.8, 1.8, 361, dtype=torch.float64)[:, None]
net = OneToOne(nn.FeedForward(1, (20,), 1, activation="tanh", generator=generator(1)), nn.Squared())
snapshots = {}
for steps in (1, 2, 12):  # each call goes on from the weights that are there
    training.fit(net, (x, sine), optimizer="lbfgs", precision="float64", steps=steps)
    snapshots[sum((1, 2, 12)[: len(snapshots) + 1]) * 20] = net.point(wide)
inside = wide[:, 0].abs() <= 1
for iterations, curve in snapshots.items():
    error = (curve - torch.sin(2 * np.pi * wide[:, 0]))[inside].square().mean()
    print(f"after {iterations:3d} iterations of L-BFGS: mean squared error {error:.1e}")

figure, axes = panels(1, 2, 9, 3.2)
for i, (iterations, curve) in enumerate(snapshots.items()):
    axes[0].plot(wide, curve, color=colour(i), lw=1.6, label=f"{iterations} iterations")
axes[0].plot(x, sine, color=INK, ls=":", lw=1.6, label="sine")
axes[0].axvspan(-1, 1, color=INK, alpha=0.06, lw=0)
axes[0].legend(frameon=False, fontsize="small", loc="upper left", ncols=2)
axes[0].set(ylim=(-2.2, 3.2), xlabel="x")
title(axes[0], "Right only where there were examples")
first, last = net.core.layers[0], net.core.layers[-1]
parts = (torch.tanh(first(wide)) * last.weight[0]).detach()
axes[1].plot(wide[inside], (parts - parts[inside].mean(0))[inside], lw=0.8, color=BLUE, alpha=0.7)
axes[1].plot(wide[inside], snapshots[300][inside], color=RED, lw=2)
axes[1].set(xlabel="x")
title(axes[1], "20 units (blue, centred) and their sum (red)")
save(figure, "00_sine.png")

# ---------------------------------------------------------------------------------------------
heading("3. How to start: signals must neither vanish nor explode")
# A signal passes 30 layers. If weights are too small it dies out, and with it the gradient; if they are too large,
# every unit saturates. Xavier's variance 2 / (n + m) keeps it alive through tanh, He's 2 / n through ReLU, which
# halves its square in every layer, LeCun's 1 / n through SELU, which then keeps mean 0 and variance 1 by itself.

signal = torch.randn(500, 100, generator=generator())
starts = {
    "tanh, weights N(0, 0.05²)": ("tanh", 0.05),
    "tanh, weights N(0, 0.3²)": ("tanh", 0.3),
    "tanh, Xavier": ("tanh", "xavier"),
    "ReLU, Xavier": ("relu", "xavier"),
    "ReLU, He": ("relu", "he"),
    "SELU, LeCun": ("selu", "lecun"),
}
figure, axes = panels(1, 2, 9, 3.2)
for i, (name, (activation, kind)) in enumerate(starts.items()):
    source, h = generator(1), signal.clone()
    sizes, kept = [], []
    for _ in range(30):
        layer = torch.nn.utils.skip_init(torch.nn.Linear, 100, 100)
        nn.initialise(layer, activation, kind if isinstance(kind, str) else "he", generator=source)
        if not isinstance(kind, str):
            torch.nn.init.normal_(layer.weight, std=kind, generator=source)
        h = nn.activation(activation)(layer(h))
        h.retain_grad()
        kept.append(h)
        sizes.append(h.detach().square().mean().sqrt().item())
    (h * torch.randn(h.shape, generator=source)).sum().backward()
    gradients = [k.grad.square().mean().sqrt().item() for k in kept]
    axes[0].semilogy(range(1, 31), sizes, color=colour(i), label=name)
    axes[1].semilogy(range(1, 31), gradients, color=colour(i))
    print(
        f"{name:26s} signal after 30 layers {sizes[-1]:8.1e}, gradient at the first {gradients[0]:8.1e}"
    )
axes[0].set(xlabel="layer")
title(axes[0], "Size of the signal, forth")
axes[1].set(xlabel="layer")
title(axes[1], "Size of the gradient, back")
axes[0].legend(frameon=False, fontsize="small", loc="lower left")
save(figure, "00_initialisation.png")

# ---------------------------------------------------------------------------------------------
heading("4. Overfitting")
# 16 noisy readings of a sine, and a network that could learn thousands. It learns the noise as well: the training
# loss goes on falling while the loss on data it has not seen turns and rises.

rng = np.random.default_rng(3)


def readings(n: int):
    x = rng.uniform(-1, 1, (n, 1)).astype(np.float32)
    return x, (np.sin(np.pi * x[:, 0]) + 0.3 * rng.normal(size=n)).astype(np.float32)


few, many, watched, unseen = readings(16), readings(320), readings(400), readings(400)
line = torch.linspace(-1, 1, 201)[:, None]
truth = torch.sin(np.pi * line[:, 0])


def network(seed: int = 0, **options) -> OneToOne:
    core = nn.FeedForward(1, (48, 48), 1, activation="tanh", generator=generator(seed), **options)
    return OneToOne(core, nn.Squared())


def learn(task: OneToOne, data, **options):
    defaults = {"lr": 5e-3, "steps": 600, "evaluate_every": 20, "device": "cpu"}
    return training.fit(task, data, validation=watched, **(defaults | options))


runs, fits, losses = {}, {}, {}


def note(name: str, task: OneToOne, history) -> None:
    runs[name], fits[name] = history, task.point(line)
    residuals = task.point(torch.from_numpy(unseen[0])) - torch.from_numpy(unseen[1])
    losses[name] = residuals.square().mean().item()  # of the weights that were kept


task = network()
note("no cure", task, learn(task, few))
history = runs["no cure"]
print(
    f"lowest loss on the data watched {history.validation.min():.3f} at step {history.best_step}, "
    f"at the end {history.validation[-1]:.3f}; training loss {history.loss[-1]:.3f}; the noise alone is 0.090"
)

# ---------------------------------------------------------------------------------------------
heading("5. Four cures")
# Weight decay pulls weights to zero unless the data hold them; dropout switches units off at random, so that
# none can rely on a particular other; early stopping keeps the weights of the best step; and more data leave less to
# invent. A fifth: the average of networks that erred differently (bagging, Breiman 1996). Not every cure suits every
# case: 48 units are few, and dropout leaves too little of them to bend where the sine does. What early stopping
# watched was used to choose, so the table reports the loss on data that nothing has used.

task = network()
note("weight decay", task, learn(task, few, weight_decay=1.0))
task = network(dropout=0.1)
note("dropout", task, learn(task, few))
task = network()
note("early stopping", task, learn(task, few, patience=15))
task = network()
note("more data", task, learn(task, many))

members = []
for seed in range(5):
    drawn = np.random.default_rng(seed).integers(16, size=16)
    task = network(seed)
    training.fit(task, (few[0][drawn], few[1][drawn]), lr=5e-3, steps=200, device="cpu")
    members.append((task.point(line), task.point(torch.from_numpy(unseen[0]))))
fits["average of 5"] = torch.stack([fit for fit, _ in members]).mean(0)
average = torch.stack([point for _, point in members]).mean(0)
losses["average of 5"] = (average - torch.from_numpy(unseen[1])).square().mean().item()

errors = {name: (fit - truth).square().mean().item() for name, fit in fits.items()}
table = pd.DataFrame({"error against the truth": errors}).round(4)
table["training loss"] = pd.Series({k: h.loss[-1] for k, h in runs.items()}).round(3)
table["loss on unseen data"] = pd.Series(losses).round(3)
table["steps"] = pd.Series(
    {k: f"{h.step[-1]}" for k, h in runs.items()} | {"average of 5": "5 x 200"}
)
print(table.to_string(na_rep=""))

figure, axes = panels(2, 5, 11, 4.6, sharey="row")
for top, low, (name, history) in zip(axes[:5], axes[5:], runs.items(), strict=True):
    top.plot(history.step, history.loss, color=BLUE, lw=1.2, label="training")
    top.plot(history.step, history.validation, color=RED, lw=1.6, label="watched")
    top.axhline(0.09, color=INK, lw=0.8, ls=":")
    top.axvline(history.best_step, color=INK, lw=0.8, alpha=0.4)
    top.set(ylim=(0, 0.5), xlim=(0, 600), xlabel="step")
    title(top, name)
    shown = many if name == "more data" else few
    low.plot(shown[0], shown[1], ".", color=INK, alpha=0.5, ms=3 if name == "more data" else 6)
    low.plot(line, truth, color=INK, lw=1, ls=":")
    low.plot(line, fits[name], color=RED, lw=1.8)
    low.set(ylim=(-2, 2), xlabel="x")
axes[0].legend(frameon=False, fontsize="small", loc="upper right")
axes[0].set_ylabel("squared error")
save(figure, "00_overfitting.png")

# ---------------------------------------------------------------------------------------------
heading("6. Optimizers")
# All go down the same loss, from the same weights, through the same batches. SGD takes the gradient as it is; momentum
# remembers the direction; RMSProp and Adam give each weight its own step; AdamW is Adam with weight decay apart from
# the gradient, and without decay the same. L-BFGS learns the curvature, from all data at once: unbeatable where a
# problem is small and is to be solved exactly, of no use where it is large.

x = np.random.default_rng(0).uniform(-1, 1, (256, 2)).astype(np.float32)
y = (np.sin(3 * x[:, 0]) * np.cos(2 * x[:, 1])).astype(np.float32)


def course(**options):
    core = nn.FeedForward(2, (24, 24), 1, activation="tanh", generator=generator(2))
    options = {"steps": 200, "batch_size": 64, "evaluate_every": 10, "device": "cpu"} | options
    return training.fit(OneToOne(core, nn.Squared()), (x, y), **options)


rates = {"sgd": 0.2, "momentum": 0.1, "rmsprop": 3e-3, "adam": 1e-2, "adamw": 1e-2}
courses = {name: course(optimizer=name, lr=lr) for name, lr in rates.items()}
courses["lbfgs"] = course(optimizer="lbfgs", precision="float64", steps=15, evaluate_every=1)
for name, history in courses.items():
    print(f"{name:9s} loss {history.loss[-1]:8.1e} after {history.step[-1]} steps")

# ---------------------------------------------------------------------------------------------
heading("7. Schedules")
# A large rate finds the valley, a small one its floor. Schedules give both: the same 300 steps of Adam at 0.03.

schedules = [None, "step", "exponential", "inverse", "cosine", "cosine_restarts", "one_cycle"]
scheduled = {s or "constant": course(optimizer="adam", lr=0.03, schedule=s) for s in schedules}
for name, history in scheduled.items():
    print(f"{name:15s} loss {history.loss[-1]:8.1e}")

figure, axes = panels(1, 3, 11, 3.4)
for i, (name, history) in enumerate(courses.items()):
    steps = history.step * (20 if name == "lbfgs" else 1)
    dashes = (0, (3, 3)) if name == "adamw" else "-"  # it lies on Adam
    axes[0].semilogy(steps, history.loss, color=colour(i), ls=dashes, label=name)
axes[0].set(xlabel="step (L-BFGS: iteration)", ylabel="squared error", ylim=(2e-5, 1))
title(axes[0], "Optimizers")
axes[0].legend(frameon=False, fontsize="small", ncols=2, loc="lower left")
for i, (name, history) in enumerate(scheduled.items()):
    axes[1].plot(history.step, history.lr, color=colour(i), label=name)
    axes[2].semilogy(history.step, history.loss, color=colour(i))
axes[1].set(xlabel="step", ylabel="learning rate", ylim=(0, 0.045))
title(axes[1], "Schedules")
axes[1].legend(frameon=False, fontsize="small", ncols=2, loc="upper left")
axes[2].set(xlabel="step", ylabel="squared error")
title(axes[2], "The loss under them")
save(figure, "00_optimizers.png")

# ---------------------------------------------------------------------------------------------
heading("8. What comes out is a distribution")
# The squared error is a likelihood in disguise: that of a normal law with one constant spread. Ask for both numbers,
# mean and spread, maximise the likelihood itself, and the network says where it is unsure.

x = np.random.default_rng(1).uniform(-1, 1, (400, 1)).astype(np.float32)
spread = 0.05 + 0.35 * (x[:, 0] + 1) / 2
y = (np.sin(np.pi * x[:, 0]) + spread * np.random.default_rng(2).normal(size=400)).astype(
    np.float32
)
core = nn.FeedForward(1, (24,), activation="tanh", generator=generator())
task = OneToOne(core, Normal(), generator=generator())  # two raw numbers: mean and spread
training.fit(task, (x, y), optimizer="lbfgs", precision="float64", steps=10)
law = task.predict(line.double())
lo, hi = law.quantile(0.025), law.quantile(0.975)
known = (0.05 + 0.35 * (line[:, 0] + 1) / 2).numpy()
for at in (20, 100, 180):
    print(f"x = {line[at].item():4.1f}: spread {law.scale[at]:.3f}, in truth {known[at]:.3f}")

figure, axes = panels(1, 1, 7, 3.2)
axes[0].plot(x, y, ".", color=INK, alpha=0.35, ms=4)
axes[0].fill_between(line[:, 0], lo, hi, color=BLUE, alpha=0.2, lw=0, label="95 %")
axes[0].plot(line, law.mean, color=BLUE, lw=1.8, label="mean")
axes[0].plot(line, truth, color=RED, lw=1.2, ls="--", label="truth")
axes[0].set(xlabel="x")
axes[0].legend(frameon=False, fontsize="small", loc="upper left")
save(figure, "00_distribution.png")

print(
    "\nA feed-forward network maps what it is given, and remembers nothing. Give it the last values of a series, and\n"
    "it becomes an autoregression that is not linear: a time-delay network, the lesson in 02_tdnn.py."
)
