"""Autoregression: what yesterday says about today.

A lesson in six steps, on three hundred years of sunspots. Run it anywhere:

    python tutorials/01_autoregression.py            # figures go to out/tutorials
    python tutorials/01_autoregression.py FOLDER
"""

import numpy as np
import pandas as pd
from lesson import heading, save
from matplotlib.figure import Figure

import seqkit

# ---------------------------------------------------------------------------------------------
heading("1. The definition")
# An autoregression of order p is a linear regression of a series on its own last p values:
#
#     y_t = c + phi_1 y_{t-1} + ... + phi_p y_{t-p} + e_t,      e_t ~ N(0, s^2).
#
# Nothing is hidden: given the last p values, the rest of the past is irrelevant. To see that fitting
# undoes simulating, draw from a known one.

rng = np.random.default_rng(0)
simulated = np.zeros(2000)
for t in range(2, len(simulated)):
    simulated[t] = 1.0 + 1.5 * simulated[t - 1] - 0.8 * simulated[t - 2] + rng.normal()

model = seqkit.AR(order=2).fit(simulated)
truth = pd.Series([1.0, 1.5, -0.8], index=model.coef_.index)
print(
    pd.DataFrame(
        {"truth": truth, "estimate": model.coef_, "std err": model.standard_errors_}
    ).round(3)
)

# ---------------------------------------------------------------------------------------------
heading("2. Sunspots, and how many lags")
# Yearly sunspot numbers rise fast, fall slowly, and come back after about eleven years. The last 24 years
# are kept away from the model until step 4.

sunspots = seqkit.datasets.load("sunspots_yearly")
train, test = sunspots.iloc[:-24], sunspots.iloc[-24:]
print(f"{len(train)} years to learn from, {train.index[0]:%Y} to {train.index[-1]:%Y}")

# More lags always fit the past better. Information criteria charge for every coefficient; seqkit computes
# them for all orders from a single factorisation.

criteria = pd.DataFrame(
    {name: seqkit.AR(name, max_order=24).fit(train).criteria_ for name in ("aic", "bic", "hqic")}
)
print("order chosen:", criteria.idxmin().to_dict())

figure = Figure(figsize=(7, 3.4), layout="constrained")
ax = figure.add_subplot()
for name, values in (criteria - criteria.min()).items():
    ax.plot(values.iloc[1:], marker=".", label=f"{name.upper()}: p = {values.idxmin()}")
ax.set(xlabel="order p", ylabel="criterion above its minimum", ylim=(-3, 120))
ax.legend(frameon=False)
ax.spines[["top", "right"]].set_visible(False)
save(figure, "01_order_selection.png")

# ---------------------------------------------------------------------------------------------
heading("3. What was learnt")

model = seqkit.AR(order="aic", max_order=24).fit(train)
print(model.summary())

# A pair of complex roots near the unit circle is a damped oscillation; its angle is the period.
root = model.roots_[np.argmin(np.abs(model.roots_))]
print(f"\nThe slowest root turns once in {2 * np.pi / abs(np.angle(root)):.1f} years.")

figure = Figure(figsize=(7, 3), layout="constrained")
ax = figure.add_subplot()
ax.stem(model.impulse_response(44), basefmt=" ", markerfmt=".")
ax.set(xlabel="years after the shock", ylabel="response", title="One extra sunspot today")
ax.spines[["top", "right"]].set_visible(False)
save(figure, "01_impulse_response.png")

# ---------------------------------------------------------------------------------------------
heading("4. A forecast is a distribution")
# Errors accumulate through the recursion, so the variance grows with the horizon until it reaches the
# variance of the series itself: far ahead, an autoregression knows only the mean.

forecast = model.predict(24)
print(forecast.to_frame(level=(80, 95)).iloc[[0, 4, 9, 23]].round(1))
inside = forecast.interval(80)
covered = ((test >= inside["lo"]) & (test <= inside["hi"])).mean()
print(
    f"\nmean CRPS {forecast.crps(test).mean():.1f} sunspots; 80 % interval covers {covered:.0%} of 24 years"
)

ax = forecast.plot(sunspots.iloc[:-24])
ax.plot(test, color="black", lw=1, ls=":", label="what came")
ax.legend(loc="lower right", bbox_to_anchor=(1, 1), frameon=False, fontsize="small", ncols=5)
save(ax.figure, "01_forecast.png")

# Counts cannot be negative, and the normal intervals do not know it. Modelling the square root does: the
# scaling is undone on the whole distribution, Jacobian included, so the scores can be compared.

plain = seqkit.AR(9).fit(train + 1)
rooted = seqkit.AR(9, scale=seqkit.BoxCox(0.5)).fit(train + 1)
print(
    f"\nlog score per year in sunspots: plain {plain.score(train + 1):.3f}, square root {rooted.score(train + 1):.3f}"
)

# ---------------------------------------------------------------------------------------------
heading("5. Honest comparison: rolling origins")
# One test window proves little. Twelve of them, each forecast from what was known at its time:

result = seqkit.compare(
    {
        "mean": seqkit.Mean(),
        "naive": seqkit.Naive(),
        "AR(2)": seqkit.AR(2),
        "AR(9)": seqkit.AR(9),
        "AR(9), square root": seqkit.AR(9, scale=seqkit.BoxCox(0.5)),
    },
    {"sunspots": sunspots + 1},
    horizon=8,
    windows=12,
    metrics=["mae", "crps", "coverage-80"],
    season=1,
    progress=False,
)
print(result.leaderboard.droplevel("dataset")[["mae", "crps", "coverage-80"]].round(2).to_string())

# ---------------------------------------------------------------------------------------------
heading("6. Where a linear, memoryless model fails")
# (a) It sees only linear dependence. The logistic map x -> 4 x (1 - x) is a deterministic rule, yet its
# autocorrelations are all zero: the best autoregression predicts the mean.

x = np.empty(1200)
x[0] = 0.3
for t in range(1, len(x)):
    x[t] = 4 * x[t - 1] * (1 - x[t - 1])
chaos = seqkit.AR("bic").fit(x[:1000])
error = np.mean((x[1000:] - chaos.one_step(x).mean[1000:, 0]) ** 2)
print(
    f"logistic map: AR error {error:.4f}, variance {x.var():.4f}; the rule itself would make no error"
)

# (b) It forgets after p steps. A switch that stays on or off for ~100 steps, seen through noise, has a
# memory longer than any short window; each lag helps a little, none settles it.

state = np.cumsum(rng.random(3000) < 0.01) % 2
noisy = state + 0.8 * rng.normal(size=3000)
for order in (1, 5, 20, 60):
    fit = seqkit.AR(order).fit(noisy[:2000])
    mean = fit.one_step(noisy[1900:]).mean[100:, 0]
    print(f"hidden switch: AR({order:2d}) one-step error {np.mean((noisy[2000:] - mean) ** 2):.3f}"
          + ("   (knowing the state: 0.640)" if order == 60 else ""))  # fmt: skip

figure = Figure(figsize=(8, 3.2), layout="constrained")
left, right = figure.subplots(1, 2)
left.plot(x[:-1], x[1:], ".", ms=2)
grid = np.linspace(0, 1, 50)
left.plot(grid, chaos.coef_["const"] + grid * chaos.coef_.get("y.L1", 0.0), lw=2)
left.set(xlabel="$x_{t-1}$", ylabel="$x_t$", title="a rule that no line follows")
right.plot(noisy[2000:2600], lw=0.5, color="grey")
right.plot(state[2000:2600], lw=2)
right.set(xlabel="step", title="a switch behind noise")
for ax in (left, right):
    ax.spines[["top", "right"]].set_visible(False)
save(figure, "01_limits.png")

print(
    "\nThe first failure asks for a non-linear map of the same window (a time-delay network), the second for a\n"
    "memory that is carried along: a state, hidden and discrete (HMM), continuous (Kalman) or learnt (LSTM)."
)
