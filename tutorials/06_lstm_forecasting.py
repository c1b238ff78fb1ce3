"""Forecasting with an LSTM: one series, then many.

A lesson in seven steps: a network that reads a window and says what the next year may be, the same network step by
step, what it remembers, an honest comparison with what came before it (autoregression, structural model, hidden Markov
model, time-delay network), and a panel, where memory that all series share is worth more than any of them alone.

    python tutorials/06_lstm_forecasting.py            # figures go to out/tutorials
    python tutorials/06_lstm_forecasting.py FOLDER

With the larger benchmark sets in the folder SEQKIT_DATA, a last step forecasts 359 real series of the M4 competition.
"""

import os

import numpy as np
import pandas as pd
import torch
from lesson import heading, save
from matplotlib.figure import Figure

import seqkit
from seqkit import nn, plotting
from seqkit.plotting.style import INK, colour, tidy

torch.set_num_threads(1)  # matrices this small are done before a second thread wakes up


# ---------------------------------------------------------------------------------------------
heading("1. A window, a memory, a law")
# An LSTM reads the last L values one after another (here a season at a time, its twelve months side by side) and keeps
# what it needs. From its last state and the window itself one linear layer makes the laws of all steps ahead:
#
#     h = LSTM((y - m) / s),    y_{t+1}, .., y_{t+h} ~ Normal(seasonal naive + s V [h, window], s softplus(..))
#
# Three things are not left to learning. Each window is brought to its own level m and scale s, so that it does not
# matter whether a series stands at ten or at ten thousand. The network corrects a seasonal naive forecast, which it is
# when training begins. And growth that multiplies is made to add, by logarithms.

airline = seqkit.datasets.load("airline")
train, test = airline.iloc[:-24], airline.iloc[-24:]
model = seqkit.LSTMForecaster(window=24, horizon=12, hidden=32, scale=seqkit.Log(), seed=0)
model.fit(train)
forecast = model.predict(12)
print(forecast.to_frame(level=(80,)).round(1).assign(came=test.iloc[:12]).to_string())
print(model)

# Nothing was said of how long to train. With so few windows that decides all: a network that is left alone learns them
# by heart. So a first one did not see the last windows; when it was best on them tells how long the second one, which
# sees all, was trained. Neither looked at the test part.

scout = model.scout_history_
print(
    f"the first network was best after {scout['step'][scout['validation'].idxmin()]} steps; "
    f"the second one trained for {model.history_['step'].iloc[-1]}"
)

# ---------------------------------------------------------------------------------------------
heading("2. Step by step instead")
# A recursive network says only what comes next; a forecast of a year goes on along sampled paths, each step fed with
# what was drawn before it. It is the harder way to a good median, but its paths are whole futures: sums over them are
# laws too. From a law of each month alone nobody could say how uncertain the year is.

recursive = seqkit.LSTMForecaster(24, 12, hidden=32, mode="recursive", scale=seqkit.Log(), seed=0)
recursive.fit(train)
paths = recursive.predict(12).sample(400, seed=1).to_numpy().T  # (paths, months)
year = paths.sum(1)
low, high = np.quantile(year, [0.1, 0.9])
print(
    f"passengers of the year: {np.median(year):,.0f} thousand, 80 % between {low:,.0f} and {high:,.0f}; "
    f"{test.iloc[:12].sum():,.0f} came"
)

# `update` carries the state on: a new month costs one step, however long the series is.

at_once = recursive.predict(1).mean.iloc[0]
recursive.update(test.iloc[:6])
print(
    f"first forecast {at_once:.0f}; after six more months {recursive.predict(1).mean.iloc[0]:.0f} "
    f"for {test.index[6]:%B}, when {test.iloc[6]:.0f} came"
)

figure = Figure(figsize=(9, 3.6), layout="constrained")
left, right = figure.subplots(1, 2, sharey=True)
for ax, title in ((left, "All months at once: a law for each"), (right, "Month by month: paths")):
    tidy(ax)
    ax.plot(train.iloc[-36:], color=INK, lw=1.2)
    ax.plot(test.iloc[:12], color=INK, lw=1.4, ls=":", label="what came", zorder=5)
    ax.set_title(title, loc="left", fontsize="medium")
inside = forecast.interval(80)
left.fill_between(inside.index, inside["lo"], inside["hi"], color=colour(0), alpha=0.25, lw=0)
left.plot(forecast.median, color=colour(0), lw=1.6, label="median and 80 %")
right.plot(test.index[:12], paths[:40].T, color=colour(1), lw=0.6, alpha=0.5)
right.plot(test.index[:12], np.median(paths, 0), color=colour(1), lw=1.6, label="median of 400")
for ax in (left, right):
    ax.legend(frameon=False, fontsize="small", loc="upper left")
    ax.tick_params(axis="x", labelrotation=30)
left.set_ylabel("passengers, thousands")
save(figure, "06_airline.png")

# ---------------------------------------------------------------------------------------------
heading("3. What it remembers")
# The last lesson measured how gradients go back through time; a trained forecaster shows the same. How far back does
# the last state feel a nudge of an earlier one?

flow = recursive.gradient_flow(train)
half = int((flow["typical"] < flow["typical"].iloc[0] / 2).to_numpy().argmax())
print(f"the influence of a state halves within {half} months, of {len(flow) - 1} that it saw")
save(plotting.gradient_flow(recursive, train), "06_memory.png")

# ---------------------------------------------------------------------------------------------
heading("4. One series: an honest comparison")
# Four years, each forecast from what was known when it began; models are fitted before the first one, and then told
# what came. MASE compares with the naive forecast of one season ago; CRPS is the error of a whole law, in passengers.

log = seqkit.Log()
models = {
    "AR": seqkit.AR("aic", max_order=15, scale=log),
    "structural": seqkit.Structural([seqkit.LocalLinearTrend(), seqkit.Seasonal(12)], scale=log),
    "HMM": seqkit.HMM(2, seqkit.LinearAutoregression(13), scale=log, max_iter=50, tol=1e-4, seed=0),
    "TDNN": seqkit.TDNN(24, 12, hidden=(32,), scale=log),
    "LSTM": model,
}
boards = seqkit.compare(
    models,
    {"airline": airline},
    horizon=12,
    windows=4,
    refit=False,
    metrics=["mase", "crps", "coverage-80"],
    progress=False,
)
print(boards.leaderboard.droplevel("dataset")[["mase", "crps", "coverage-80"]].round(2).to_string())
print(
    "The linear models of the first rows are hard to beat with 120 numbers: a network earns its keep where there is\n"
    "more to learn from, or more than one series to learn it from."
)

# ---------------------------------------------------------------------------------------------
heading("5. Many series, one network")
# Thirty shops sell by the day. All have a weekly rhythm; an offer lifts sales, and when it is over the cupboards are
# full: for a week or two less is bought, the less the more was stocked up. Nobody tells the models. They get the days
# of the offers, also those to come. The shops differ in size by a factor of a thousand.

rng = np.random.default_rng(0)
days = pd.date_range("2024-01-01", periods=252, freq="D")
week = np.log([1.0, 0.9, 0.95, 1.0, 1.3, 1.6, 0.5])


def shop(size: float) -> tuple[np.ndarray, np.ndarray]:
    """Counts of what was sold, and on which days there was an offer."""
    offer, cupboard, sold = np.zeros(len(days)), 0.0, np.zeros(len(days))
    for start in rng.choice(len(days) - 5, 12, replace=False):
        offer[start : start + rng.integers(2, 6)] = 1.0
    for t, day in enumerate(days):
        lift = 0.9 * offer[t] - 0.5 * cupboard * (1 - offer[t])
        mean = size * np.exp(week[day.day_of_week] + lift)
        sold[t] = rng.negative_binomial(20, 20 / (20 + mean))
        cupboard = 0.85 * cupboard + 0.35 * offer[t]
    return sold, offer


drawn = [shop(10.0 ** rng.uniform(0.7, 3.7)) for _ in range(30)]
names = [f"shop {i:02d}" for i in range(30)]
sales = {k: pd.Series(s, index=days) for k, (s, _) in zip(names, drawn, strict=True)}
offers = {k: pd.DataFrame({"offer": o}, index=days) for k, (_, o) in zip(names, drawn, strict=True)}

HORIZON = 14
step_by_step = seqkit.LSTMForecaster(
    28, HORIZON, seqkit.NegativeBinomial(), hidden=32, mode="recursive", calendar=("weekday",),
    lr=5e-3, batch_size=64, steps=200, seed=0, draws=100,
)  # fmt: skip
settings = {"seasonal": 7, "seed": 0, "lr": 3e-3, "batch_size": 64, "steps": 200}
models = {
    "AR(14)": seqkit.AR(14, trend="c"),
    "TDNN": seqkit.TDNN(28, HORIZON, hidden=(64,), **settings),
    "LSTM, decoder": seqkit.LSTMForecaster(28, HORIZON, hidden=32, decoder=True, **settings),
    "LSTM, step by step, counts": step_by_step,
}
rules = {"horizon": HORIZON, "windows": 2, "season": 7, "refit": False, "progress": False,
         "metrics": ["mase", "crps", "coverage-80"]}  # fmt: skip
told = seqkit.compare(models, {"shops": sales}, covariates={"shops": offers}, **rules)
blind = seqkit.compare(
    {"seasonal naive": seqkit.SeasonalNaive(7), "Theta": seqkit.Theta(7)}, {"shops": sales}, **rules
)
board = pd.concat([told.leaderboard, blind.leaderboard]).droplevel("dataset").sort_values("mase")
print(board[["mase", "crps", "coverage-80", "fit_seconds"]].round(2).to_string())

# The time-delay network sees the offers to come as a row of switches beside the window, and the autoregression adds up
# what each of them does. Where a second LSTM runs over the steps ahead, or the network goes step by step, a switch
# meets the memory of all switches before it, and that is how a cupboard works. One shop, an offer just over:

cut = {k: y.iloc[:-HORIZON] for k, y in sales.items()}
before = {k: x.iloc[:-HORIZON] for k, x in offers.items()}
to_come = {k: x.iloc[-HORIZON:] for k, x in offers.items()}
plenty = [k for k in names if sales[k].mean() > 200]
shown = max(plenty, key=lambda k: before[k]["offer"].iloc[-4:].sum() - to_come[k]["offer"].iloc[0])
figure = Figure(figsize=(9, 3.4), layout="constrained")
axes = figure.subplots(1, 2, sharey=True)
for i, (ax, name) in enumerate(zip(axes, ("AR(14)", "LSTM, step by step, counts"), strict=True)):
    tidy(ax)
    made = models[name].fit(cut, covariates=before).predict(HORIZON, covariates=to_come)[shown]
    inside = made.interval(80)
    ax.fill_between(inside.index, inside["lo"], inside["hi"], color=colour(i), alpha=0.25, lw=0)
    ax.plot(made.median, color=colour(i), lw=1.6)
    ax.plot(sales[shown].iloc[-5 * HORIZON // 2 :], color=INK, lw=1, marker=".", ms=3)
    for day in days[-5 * HORIZON // 2 :][offers[shown]["offer"].iloc[-5 * HORIZON // 2 :] > 0]:
        ax.axvspan(
            day - pd.Timedelta("12h"), day + pd.Timedelta("12h"), color="0.92", lw=0, zorder=0
        )
    ax.set_title(name, loc="left", fontsize="medium")
    ax.set_xticks(days[-5 * HORIZON // 2 :: 7], days[-5 * HORIZON // 2 :: 7].strftime("%d %b"))
axes[0].set_ylabel("sold a day (offers in grey)")
save(figure, "06_shop.png")

# ---------------------------------------------------------------------------------------------
heading("6. Backtest by the step, and whether differences are real")
# Errors of a model that feeds on its own draws might pile up; here they do not. And thirty shops make a test: ranks of
# the models on each, and how far mean ranks must lie apart to differ.

by_step = told.horizon_scores.query("metric == 'mase'").pivot(
    index="step", columns="model", values="value"
)
print(by_step.iloc[[0, 3, 6, 13]].round(2).to_string())
ranks = told.ranks("crps")
print(ranks)
save(told.plot("ranks", metric="crps"), "06_ranks.png")

# ---------------------------------------------------------------------------------------------
heading("7. Real series")
# The weekly series of the M4 competition: 359 of them, 13 weeks ahead, scored by its own measure (OWA: 1 is Naive2).
# The best of its sixty entries had 0.739. This is a small network, trained for seconds; larger ones, and the median of
# several, are in benchmarks/recurrent_accuracy.py.

if "SEQKIT_DATA" in os.environ:
    train, test = seqkit.datasets.split("m4_weekly")
    errors = {}
    settings = {"seasonal": 1, "scale": seqkit.Log(), "weighting": "scale", "balance": -0.5}
    network = seqkit.LSTMForecaster(
        52, 13, nn.Absolute(), hidden=64, lr=3e-3, steps=300, seed=0, **settings
    )
    for name, model in {"Naive2": seqkit.Naive2(season=1), "LSTM": network}.items():
        median = model.fit(train).predict(13).median
        pairs = [(test[k].to_numpy(), median.loc[k].to_numpy(), train[k]) for k in train]
        smape = np.mean([seqkit.evaluation.metrics.smape(y, f) for y, f, _ in pairs])
        mase = np.mean(
            [seqkit.evaluation.metrics.mase(y, f, history=past, season=1) for y, f, past in pairs]
        )
        errors[name] = (smape, mase)
    owa = np.mean([a / b for a, b in zip(errors["LSTM"], errors["Naive2"], strict=True)])
    print(f"sMAPE {errors['LSTM'][0]:.2f}, MASE {errors['LSTM'][1]:.2f}, OWA {owa:.3f}")
else:
    print("set SEQKIT_DATA to the folder of the benchmark sets to run this step")

print(
    "\nA network that remembers needs something to remember, and enough examples of it. Given both, it needs no\n"
    "features made by hand; given neither, the straight line wins, and says so on the same leaderboard."
)
