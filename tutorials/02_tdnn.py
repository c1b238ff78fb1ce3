"""The time-delay network: an autoregression that may bend.

A lesson in six steps, on a chaotic series and on one in which chance has its say. Run it anywhere:

    python tutorials/02_tdnn.py            # figures go to out/tutorials
    python tutorials/02_tdnn.py FOLDER
"""

import numpy as np
import pandas as pd
from lesson import heading, save
from matplotlib.figure import Figure

import seqkit
from seqkit import nn, training

# ---------------------------------------------------------------------------------------------
heading("1. A series that no line can follow")
# Mackey and Glass (1977) wrote down how the number of blood cells feeds back on itself after a delay:
#
#     dx/dt = 0.2 x(t - 17) / (1 + x(t - 17)^10) - 0.1 x(t)
#
# There is no noise in it. What looks like chance is chaos: the rule is exact, but bent.


def mackey_glass(
    length: int, delay: float = 17.0, step: float = 0.1, skip: int = 500
) -> np.ndarray:
    """One value per unit of time, by Runge and Kutta's fourth-order rule; the first `skip` are left out."""
    per_unit, lag = round(1 / step), round(delay / step)
    x = np.empty((length + skip) * per_unit + lag + 1)
    x[: lag + 1] = 1.2

    def slope(now: float, then: float) -> float:
        return 0.2 * then / (1 + then**10) - 0.1 * now

    for t in range(lag, len(x) - 1):
        then, after = x[t - lag], x[t - lag + 1]
        middle = (then + after) / 2
        a = slope(x[t], then)
        b = slope(x[t] + step / 2 * a, middle)
        c = slope(x[t] + step / 2 * b, middle)
        d = slope(x[t] + step * c, after)
        x[t + 1] = x[t] + step / 6 * (a + 2 * b + 2 * c + d)
    return x[lag + skip * per_unit :: per_unit][:length]


series = pd.Series(mackey_glass(12_000)[::6], name="x")  # one value in six units of time
train, test = series.iloc[:1500], series.iloc[1500:]
print(
    f"{len(series)} values between {series.min():.2f} and {series.max():.2f}; {len(train)} to learn from"
)

# ---------------------------------------------------------------------------------------------
heading("2. The same lags, straight and bent")
# An autoregression is a network without a hidden layer. Both get the last 12 values; the network forecasts six
# steps at once, the autoregression one after another.

LAGS, HORIZON = 12, 6
recipe = training.Trainer(
    steps=500, lr=3e-3, schedule="cosine", warmup=50, clip=1.0, batch_size=256
)
network = seqkit.TDNN(LAGS, HORIZON, nn.Squared(), hidden=(64, 64), trainer=recipe, seed=0)
origins = seqkit.RollingOrigin(HORIZON, windows=60, step=8)  # all of them in the test part


def backtest(model: seqkit.base.Forecaster) -> pd.DataFrame:
    """Forecasts from 60 origins; fitted once, before the first."""
    result = seqkit.backtest(model, series, origins, refit=False)
    return result.assign(error=result["actual"] - result["mean"])


contenders = {
    "AR": seqkit.AR(LAGS),
    "TDNN, six steps at once": network,
    "TDNN, step by step": seqkit.TDNN(
        LAGS, 1, nn.Squared(), hidden=(64, 64), trainer=recipe, draws=50, seed=0
    ),
}
results = {name: backtest(model) for name, model in contenders.items()}
mse = pd.DataFrame(
    {name: (r["error"] ** 2).groupby(r["step"]).mean() for name, r in results.items()}
)
print("mean squared error by step\n", mse.to_string(float_format="{:.2e}".format))
gain = mse["AR"] / mse["TDNN, six steps at once"]
print(f"six steps ahead the bent map is {gain.iloc[-1]:.0f} times better than the straight one")
assert gain.iloc[-1] > 20

# Why? The autoregression can only rotate and damp its lags, the same way everywhere. The rule of Mackey and
# Glass pushes up where x is low and down where it is high.

figure = Figure(figsize=(8, 5.6), layout="constrained")
axes = figure.subplots(2, 1, height_ratios=[3, 2])
ax = axes[0]
shown = series.iloc[-150:]
ax.plot(shown, color="0.6", lw=1, label="series")
colors = dict(zip(mse, ("tab:orange", "tab:blue", "tab:green"), strict=True))
for name in ("AR", "TDNN, six steps at once"):
    far = results[name][lambda r: r["step"] == HORIZON].set_index("time").loc[shown.index[0] :]
    ax.plot(
        far["mean"], ".", ms=5, color=colors[name], label=f"{name}: forecast of six steps before"
    )
ax.set(ylabel="x", title="Mackey-Glass, forecast six steps ahead")
ax.legend(frameon=False, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.08), fontsize=8)
ax = axes[1]
for name, errors in mse.items():
    ax.semilogy(errors**0.5, marker="o", color=colors[name], label=name)
ax.set(xlabel="steps ahead", ylabel="root mean squared error")
ax.legend(frameon=False, fontsize=8)
for ax in axes:
    ax.spines[["top", "right"]].set_visible(False)
save(figure, "02_mackey_glass.png")

# ---------------------------------------------------------------------------------------------
heading("3. Without a bend it is an autoregression")
# hidden=() leaves one linear map. With squared errors, no rescaling of windows and an exact optimizer it finds what
# least squares finds.

sunspots = seqkit.datasets.load("sunspots")
exact = training.Trainer(optimizer="lbfgs", precision="float64", steps=500)
straight = seqkit.TDNN(
    9, 1, nn.Squared(), hidden=(), seasonal=1, normalise=None, trainer=exact
).fit(sunspots)
ar = seqkit.AR(9).fit(sunspots)
print(
    f"log score of the autoregression {ar.score(sunspots):.6f}, of the network {straight.score(sunspots):.6f}"
)
print(f"next year {ar.predict(1).mean.iloc[0]:.4f} and {straight.predict(1).mean.iloc[0]:.4f}")

# ---------------------------------------------------------------------------------------------
heading("4. Training, seen")
# Where nothing says how long to train and windows are few, a first network that does not see the last ones tells
# after how many steps it is best on them. Here is one that is allowed to go on.

watched = training.Trainer(steps=400, lr=1e-3, batch_size=256, evaluate_every=10, patience=100)
model = seqkit.TDNN(22, 8, nn.Absolute(), hidden=(128, 128), trainer=watched).fit(sunspots)
print(model.history_.iloc[::15][["step", "loss", "validation", "lr"]].to_string(index=False))
best = model.history_["validation"].idxmin()
print(
    f"best on what was held out after {model.history_['step'][best]} steps; its weights were kept"
)
save(model.plot_history().figure, "02_history.png")

# ---------------------------------------------------------------------------------------------
heading("5. Chance: a law instead of a number")
# Lynx were trapped in cycles of about ten years, never twice alike. What a network should say is how far off it may
# be: its head is a law, a normal one unless another is asked for. Every model below is fitted at two origins and
# scored on the ten years that follow. (Of logs not Student's t: its tails, raised by exp, have no mean.)

lynx = seqkit.datasets.load("lynx")
models = {
    "AR of logs": seqkit.AR("aic", scale=seqkit.Log()),
    "TDNN of logs": seqkit.TDNN(22, 10, scale=seqkit.Log()),
    "TDNN of logs, quantiles": seqkit.TDNN(22, 10, seqkit.Quantiles(), scale=seqkit.Log()),
    "two TDNNs of logs": seqkit.TDNN(22, 10, ensemble=2, scale=seqkit.Log()),
}
board = seqkit.compare(
    models,
    {"lynx": lynx},
    horizon=10,
    windows=2,
    metrics=["mase", "crps", "coverage-80"],
    progress=False,
).leaderboard
print(board.droplevel("dataset")[["mase", "crps", "coverage-80"]].round(3).to_string())
print(
    "A hundred years with noise are the autoregression's ground: a bend has to be paid for with data."
)

fitted = models["two TDNNs of logs"].fit(lynx.iloc[:-10])
axes = fitted.predict(10).plot(lynx.iloc[-60:])
figure = (axes if not isinstance(axes, np.ndarray) else axes.flat[0]).figure
save(figure, "02_lynx.png")

# ---------------------------------------------------------------------------------------------
heading("6. One network for many series")
# A panel is learnt by one network; every window is brought to its own level and scale, so that a shop that sells
# ten and one that sells ten thousand teach each other. A new shop has three weeks; alone it would learn nothing.

rng = np.random.default_rng(0)
days = pd.date_range("2024-01-01", periods=200, freq="D")
week = np.array([1.0, 0.9, 0.95, 1.0, 1.3, 1.6, 0.5])
shops = {
    f"shop {i}": pd.Series(
        10.0 ** rng.uniform(1, 4) * week[days.day_of_week] * rng.gamma(100, 0.01, len(days)),
        index=days,
    )
    for i in range(20)
}
truth, shops["shop 0"] = shops["shop 0"].iloc[-7:], shops["shop 0"].iloc[-28:-7]
panel = {k: y if k == "shop 0" else y.iloc[:-7] for k, y in shops.items()}
together = seqkit.TDNN(14, 7, hidden=(64, 64), steps=400).fit(panel)
print(together)
forecast = together.predict(7)["shop 0"]
shown = forecast.to_frame(level=(80,)).assign(sold=truth.to_numpy())
print(shown.round(1).to_string())
error = np.abs(forecast.median - truth.to_numpy()).mean() / truth.mean()
print(f"mean error {100 * error:.1f} %, of which about 8 % is chance")
