"""The Kalman filter: what is hidden, and how sure can one be of it?

A lesson in seven steps: a state is seen through noise, the filter weighs each observation against what it
already believes, and everything else (trends, seasons, tracking, learning) is a choice of matrices.

    python tutorials/03_kalman.py            # figures go to out/tutorials
    python tutorials/03_kalman.py FOLDER
"""

import numpy as np
import pandas as pd
from lesson import heading, panels, save, title

import seqkit

BLUE, RED, INK = "#0072B2", "#D55E00", "#262626"


def band(ax, states, name, colour=BLUE, label="estimate, 95 %") -> None:
    bounds = states.interval(95)[name]
    ax.fill_between(bounds.index, bounds["lo"], bounds["hi"], color=colour, alpha=0.2, lw=0)
    ax.plot(states.mean[name], color=colour, lw=1.8, label=label)


# ---------------------------------------------------------------------------------------------
heading("1. The problem: where is it, if it is never seen and the start is unknown?")
# A quantity h wanders, and only a noisy reading y of it is available:
#
#     h_t = a h_{t-1} + w_t,    w_t ~ N(0, q)      the state moves
#     y_t = h_t + v_t,          v_t ~ N(0, r)      it is seen through noise
#     h_0 ~ N(mu_0, P_0)                           what is believed before the first reading
#
# h_0 itself is unknown: mu_0 is a guess and P_0 says how far off the guess may be. All beliefs stay
# normal, so a mean and a variance are all there is to carry along. Each reading moves the mean by a
# share K, the gain, of its surprise y - mean. The whole filter is three lines: predict (time makes unsure),
# weigh (the own uncertainty against that of the reading), correct (the reading makes sure).

rng = np.random.default_rng(2)
a, q, r = 1.0, 0.02, 1.0
T = 60
h = 5.0 + np.cumsum(rng.normal(scale=np.sqrt(q), size=T))
y = h + rng.normal(scale=np.sqrt(r), size=T)

mean, variance = 0.0, 25.0  # mu_0 and P_0: "about 0, give or take 5"
by_hand = []
for t in range(T):
    if t > 0:
        mean, variance = a * mean, a * variance * a + q
    gain = variance / (variance + r)
    mean, variance = mean + gain * (y[t] - mean), (1 - gain) * variance
    by_hand.append((mean, variance, gain))

# The same with matrices, for any number of states and outputs:


def scalar(q, r, mu_0=0.0, P_0=25.0):
    return seqkit.LDS.from_params(
        transition=[[a]], observation=[[1.0]], process_cov=[[q]], observation_cov=[[r]],
        initial_mean=[mu_0], initial_cov=[[P_0]],
    )  # fmt: skip


model = scalar(q, r)
states = model.filter(y)
library = np.column_stack([states.mean, states.cov[:, 0], states.gain[:, 0]])
print(f"largest difference to the three lines: {np.abs(library - by_hand).max():.1e}")
library = pd.DataFrame(library, columns=["mean", "variance", "gain"])
print(library.iloc[[0, 1, 2, 5, 20, 59]].round(3))
print(f"log-likelihood of the readings: {model.log_likelihood(y):.2f}")

# Filtering uses the readings up to now. Looking back one knows the later ones, too: smoothing.
for name, found in (("filtered", states), ("smoothed", model.smooth(y))):
    error = np.sqrt(np.mean((found.mean["state0"] - h) ** 2))
    print(f"{name}: error {error:.3f}, claimed {np.sqrt(found.cov.mean()):.3f}")
print(f"the readings themselves: error {np.sqrt(np.mean((y - h) ** 2)):.3f}")

# ---------------------------------------------------------------------------------------------
heading("2. A wrong guess of h_0, admitted (P_0 = 25) or not (P_0 = 0.25)")
# The truth starts at 5, the guess is 0. With P_0 = 25 the guess is nearly worthless beside a reading
# (gain 25/26), and forgotten at once. With P_0 = 0.25 the filter is sure of a wrong thing: it explains the
# first readings as noise, and its bands, which know nothing of the data, exclude the truth.

figure, axes = panels(1, 2, 9, 3.4, sharey=True)
for ax, P_0 in zip(axes, (25.0, 0.25), strict=True):
    states = scalar(q, r, P_0=P_0).filter(y)
    bounds = states.interval(95)["state0"]
    inside = (bounds["lo"] <= h) & (h <= bounds["hi"])
    print(f"P_0 = {P_0:5.2f}: first gain {states.gain[0, 0, 0]:.3f}, "
          f"first error {h[0] - states.mean.iloc[0, 0]:.2f}, "
          f"truth inside the 95 % band in {inside.sum()} of {T} steps, "
          f"log-likelihood {states.log_likelihood:.1f}")  # fmt: skip
    ax.plot(y, ".", color=INK, alpha=0.4, ms=5, label="readings")
    band(ax, states, "state0")
    ax.plot(h, color=RED, lw=1.5, label="truth")
    ax.plot(0, 0, "x", color=INK, label="guess of $h_0$", clip_on=False)
    title(ax, f"$P_0$ = {P_0:g}")
    ax.set_xlabel("step")
axes[1].legend(frameon=False, loc="lower right", fontsize="small")
save(figure, "03_initial_guess.png")

# A third possibility is to claim nothing at all, P_0 -> infinity, the "exact diffuse" start of the
# structural models below. The first reading is then taken as it is, gain 1.

# ---------------------------------------------------------------------------------------------
heading("3. Q against R: what moves, the thing or the needle?")
# The gain settles where the variance that time adds (q) balances the variance that readings take away.
# It depends on nothing but the ratio q / r. The truth below has q = 0.1, r = 1; the filter is told three
# different stories about it.

rng = np.random.default_rng(8)
h = np.cumsum(rng.normal(scale=np.sqrt(0.1), size=120))
y = h + rng.normal(size=120)
settings = {"high Q, low R": (3.0, 0.1), "balanced": (0.1, 1.0), "low Q, high R": (0.001, 10.0)}

figure, axes = panels(3, 1, 8, 7, sharex=True, sharey=True)
gains, bars = panels(1, 3, 9, 2.8, sharey=True)
rows = {}
for ax, bar, (name, (q, r)) in zip(axes, bars, settings.items(), strict=True):
    states = scalar(q, r, P_0=1.0).filter(y)
    bounds, gain = states.interval(95)["state0"], states.gain[:, 0, 0]
    rows[name] = {
        "q": q, "r": r, "first gain": gain[0], "last gain": gain[-1],
        "error": np.sqrt(np.mean((states.mean["state0"] - h) ** 2)),
        "inside 95 %": np.mean((bounds["lo"] <= h) & (h <= bounds["hi"])),
        "log-likelihood": states.log_likelihood,
    }  # fmt: skip
    ax.plot(y, ".", color=INK, alpha=0.4, ms=4, label="readings")
    band(ax, states, "state0")
    ax.plot(h, color=RED, lw=1.5, label="truth")
    title(ax, f"{name}: q = {q:g}, r = {r:g}")
    bar.plot(gain, color=BLUE, lw=2)
    bar.set(xlabel="step", ylim=(0, 1.03))
    title(bar, f"{name}: settles at {gain[-1]:.2f}")
axes[0].legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 1), fontsize="small", ncols=3)
axes[2].set_xlabel("step")
bars[0].set_ylabel("Kalman gain")
print(pd.DataFrame(rows).T.round(3).to_string())
save(figure, "03_q_and_r.png")
save(gains, "03_gain.png")

# High Q: every reading is believed, the estimate is as ragged as the noise. Low Q: readings are taken for
# noise, the estimate lags behind and its narrow band is wrong. Only the balanced filter knows how wrong it is,
# and the likelihood says so without seeing the truth. That is how q and r are learnt:

print("learnt from the readings alone:", {
    name: round(value, 3) for name, value in seqkit.LocalLevel().fit(y).params_.items()
})  # fmt: skip

# ---------------------------------------------------------------------------------------------
heading("4. The Nile, and the year 1898")
# The same model is the local level of structural time series. Here are the yearly volumes of the Nile at
# Aswan, the data of Durbin & Koopman (2012), with the variances by maximum likelihood and a diffuse start.

nile = seqkit.datasets.load("nile")
model = seqkit.LocalLevel().fit(nile)
print(model.summary())
print(f"\nobservation variance {model.params_['observation_var']:.1f}, level variance "
      f"{model.params_['level_var']:.1f}, log-likelihood {model.log_likelihood_:.4f}")  # fmt: skip
save(model.filter().plot_innovations(), "03_nile_innovations.png")

# One-step errors look fine: independent, normal, of variance one. But a break may hide in the middle of a
# sample, where the smoother smears it out. Auxiliary residuals look at the two disturbances themselves given
# ALL the data, each divided by its standard deviation: an outlier stands out in those of the observation, a
# break in those of the level. To have the level's disturbance smoothed, make it a state of its own:
#
#     level_t = level_{t-1} + step_{t-1},     step_t ~ N(0, level_var)
#
# The variance of a smoothed disturbance is what smoothing took away from that of the disturbance.

level_var, noise_var = model.params_["level_var"], model.params_["observation_var"]
with_step = seqkit.LDS.from_params(
    transition=[[1.0, 1.0], [0.0, 0.0]], observation=[[1.0, 0.0]],
    process_cov=np.diag([0.0, level_var]), observation_cov=[[noise_var]],
    initial_mean=[0.0, 0.0], initial_cov=np.diag([0.0, level_var]), diffuse=[1, 0],
)  # fmt: skip
smoothed = with_step.smooth(nile)
mean, scale = (part["state1"].iloc[:-1] for part in (smoothed.mean, smoothed.scale))
steps = (mean / np.sqrt(level_var - scale**2)).set_axis(nile.index[1:])  # the year it leads into
irregular = model.components()["irregular"]
outliers = irregular / np.sqrt(noise_var - model.components(scale=True)["irregular"] ** 2)
for what, values in (("observation", outliers), ("level", steps)):
    year = values.abs().idxmax()
    print(f"largest auxiliary residual of the {what}: {values[year]:+.2f} in {year:%Y}")

# The level fell between 1898 and 1899, which is often put down to the first dam at Aswan. Say so with a step:

dam = pd.DataFrame({"dam": (nile.index.year >= 1899).astype(float)}, index=nile.index)
broken = (seqkit.LocalLevel() + seqkit.Regression()).fit(nile, covariates=dam)
effect = broken.smooth()
print(f"\nstep in 1899: {effect.mean['dam'].iloc[-1]:.1f} with standard deviation "
      f"{effect.scale['dam'].iloc[-1]:.1f}")  # fmt: skip
print(pd.DataFrame({
    name: {**fit.params_, "log_likelihood": fit.log_likelihood_, "aic": fit.aic_}
    for name, fit in (("local level", model), ("with a step in 1899", broken))
}).T.round(2).to_string())  # fmt: skip

# With the step the level stands still: all that looked like a wandering river was one break. (A diffuse
# likelihood depends on the units of the covariate, here 0 and 1, so such criteria compare only roughly; a
# difference of 25 is more than that.)

figure, (top, bottom) = panels(2, 1, 8, 6, sharex=True)
top.plot(nile, color=INK, alpha=0.5, lw=1, label="volume")
band(top, model.smooth(), "level", label="smoothed level")
flat = broken.components()[["level", "regression"]].sum(axis=1)
top.plot(flat, color=RED, lw=1.8, label="level with a step in 1899")
title(top, "Nile at Aswan, $10^8$ m$^3$")
top.legend(frameon=False, fontsize="small", ncols=3, loc="lower right", bbox_to_anchor=(1, 1))
bottom.vlines(steps.index, 0, steps, color=BLUE, lw=2, label="level")
bottom.plot(outliers, ".", color=INK, label="observation")
bottom.axhline(0, color=INK, lw=0.8)
for bound in (-1.96, 1.96):
    bottom.axhline(bound, color=INK, lw=0.8, ls="--")
title(bottom, "auxiliary residuals")
bottom.legend(frameon=False, fontsize="small", ncols=2, loc="lower right", bbox_to_anchor=(1, 1))
save(figure, "03_nile.png")

# Missing years cost nothing: without a reading there is nothing to correct, so the filter only predicts, the
# gain is zero and the variance grows. (Durbin & Koopman 2012, figure 2.5.)

holes = nile.copy()
holes["1891":"1910"] = np.nan
holes["1931":"1950"] = np.nan
figure, axes = panels(2, 2, 9, 5, sharex=True, sharey="row")
axes = axes.reshape(2, 2)
for (upper, lower), states in zip(axes.T, (model.filter(holes), model.smooth(holes)), strict=True):
    upper.plot(holes, color=INK, alpha=0.5, lw=1)
    band(upper, states, "level")
    upper.set_ylim(300, 1500)
    title(upper, f"level, {states.kind}")
    lower.plot(states.scale["level"], color=BLUE)
    title(lower, f"standard deviation, {states.kind}")
save(figure, "03_nile_missing.png")
scales = pd.DataFrame(
    {s.kind: s.scale["level"] for s in (model.filter(holes), model.smooth(holes))}
)
scales.index = scales.index.year
print("\nstandard deviation of the level around the first gap:")
print(scales.loc[[1889, 1890, 1891, 1900, 1910, 1911]].round(1))

# ---------------------------------------------------------------------------------------------
heading("5. Airline passengers, taken apart and put together")
# Components are blocks of states; a model is a sum of them. Level and slope, eleven states for the season,
# and an irregular; the last two years are kept away.

log_airline = np.log(seqkit.datasets.load("airline"))
train, test = log_airline.iloc[:-24], log_airline.iloc[-24:]
model = (seqkit.LocalLinearTrend() + seqkit.Seasonal(12)).fit(train)
print({name: float(f"{value:.3g}") for name, value in model.params_.items()})
parts = model.components()
print(parts.head(3).round(3))
print(f"the parts sum to the series: {np.allclose(parts.sum(axis=1), train)}")
save(model.plot_components(), "03_airline_components.png")

forecast = model.predict(24)
for level in (80, 95):
    bounds = forecast.interval(level)
    covered = ((bounds["lo"] <= test) & (test <= bounds["hi"])).mean()
    print(f"{level} % interval covers {covered:.0%} of 24 months")
passengers = forecast.exp()  # of the whole distribution, not of its mean
naive = seqkit.SeasonalNaive(12).fit(np.exp(train)).predict(24).mean
for name, values in (("structural", passengers.median), ("seasonal naive", naive)):
    error = 100 * np.abs(np.log(values) - test).mean()
    print(f"{name}: about {error:.1f} % off")
ax = passengers.plot(np.exp(train))
ax.plot(np.exp(test), color=RED, lw=1.2, label="what came")
ax.legend(loc="lower right", bbox_to_anchor=(1, 1), frameon=False, fontsize="small", ncols=5)
ax.set_ylabel("thousand passengers")
save(ax.figure, "03_airline_forecast.png")

# ---------------------------------------------------------------------------------------------
heading("6. Following a moving object that disappears")
# Two coordinates, each with a position and a velocity; only noisy positions are seen, and none at all while
# the object is out of sight. The velocity, never seen, is what carries the estimate through.

t = np.arange(150)
path = pd.DataFrame({"east": 60 * np.sin(t / 45), "north": 25 * np.sin(t / 16 + 0.5) + t / 3})
seen = path + rng.normal(scale=1.5, size=path.shape)
gap = slice(86, 101)
seen.iloc[gap] = np.nan
model = seqkit.ConstantVelocity().fit(seen)
print({name: round(value, 3) for name, value in model.params_.items()}, "(true noise: 2.25)")
filtered, smoothed = model.filter(), model.smooth()
for states in (filtered, smoothed):
    error = ((states.mean[["east", "north"]] - path) ** 2).sum(axis=1).to_numpy()
    claimed = (states.scale[["east", "north"]] ** 2).sum(axis=1).to_numpy()
    print(f"{states.kind}: error in sight {np.sqrt(np.delete(error, np.r_[gap]).mean()):.2f}, "
          f"out of sight {np.sqrt(error[gap].mean()):.2f} (claimed {np.sqrt(claimed[gap].mean()):.2f})")  # fmt: skip

figure, axes = panels(1, 2, 9.5, 4.4, sharex=True, sharey=True)
circle = np.linspace(0, 2 * np.pi, 60)
circle = 2.447 * np.stack([np.cos(circle), np.sin(circle)])  # 95 % of a normal law in the plane
for ax, states in zip(axes, (filtered, smoothed), strict=True):
    ax.plot(path["east"], path["north"], color=RED, lw=1.2, label="path")
    ax.plot(seen["east"], seen["north"], ".", color=INK, alpha=0.4, ms=4, label="seen")
    ax.plot(states.mean["east"], states.mean["north"], color=BLUE, lw=1.6, label="estimate")
    for k in range(gap.start, gap.stop, 2):
        both = states.cov[k][np.ix_([0, 2], [0, 2])]
        centre = states.mean.iloc[k][["east", "north"]].to_numpy()
        ellipse = centre[:, None] + np.linalg.cholesky(both) @ circle
        ax.plot(*ellipse, color=BLUE, alpha=0.4, lw=0.8)
    ax.set(xlabel="east", aspect="equal")
    title(ax, f"{states.kind}, 95 % ellipses out of sight")
axes[0].set_ylabel("north")
axes[0].legend(frameon=False, fontsize="small")
save(figure, "03_tracking.png")
save(filtered.plot(), "03_tracking_states.png")

# The filter knows only how the object went in, so its ellipses grow until the object is seen again. The
# smoother also knows where it came out: its ellipses are widest in the middle of the gap.

# ---------------------------------------------------------------------------------------------
heading("7. Learning all matrices: EM")
# Nothing is known now but the number of states. EM alternates: smooth the states given the matrices, then
# regress on the smoothed states to get the matrices. Every round raises the likelihood, up to a hill top that
# depends on the start: of three, the best is kept. Three outputs of an oscillator with damping 0.98 and period
# 12, a fifth of the values lost:

turn = 2 * np.pi / 12
truth = seqkit.LDS.from_params(
    transition=0.98 * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]),
    observation=[[1.0, 0.0], [0.5, 0.5], [-0.3, 1.0]],
    process_cov=0.1 * np.eye(2), observation_cov=0.5 * np.eye(3), columns=["a", "b", "c"],
)  # fmt: skip
frame = truth.sample(1, length=500, seed=1).loc[0]
frame = frame.mask(rng.random(frame.shape) < 0.2)
learnt = seqkit.LDS(n_states=2, fit="em", n_init=3, seed=0).fit(frame)
print(f"log-likelihood {learnt.log_likelihood_:.2f} after {len(learnt.history_) - 1} rounds; "
      f"of the true matrices: {truth.log_likelihood(frame):.2f}")  # fmt: skip

# States have no names of their own: any change of basis explains the data as well, so the matrices
# themselves cannot be compared with the true ones. What the system does can, and the eigenvalues tell.


def eigenvalues(model):
    return np.linalg.eigvals(model.transition_)


for name, model in (("true", truth), ("learnt", learnt)):
    value = eigenvalues(model)[0]
    print(f"{name:>7}: damping {abs(value):.3f}, period {2 * np.pi / abs(np.angle(value)):.2f}")
print("noise variances learnt (true 0.5):", np.diag(learnt.observation_cov_).round(2))

# How fast EM climbs depends on where it begins. A regression of the future on the past (subspace
# identification) begins close to the top; a random start first has to find the oscillation.

figure, (left, right) = panels(1, 2, 9, 3.8)
for start, colour in (("subspace", BLUE), ("random", INK)):
    history = np.array(seqkit.LDS(n_states=2, fit="em", start=start, tol=1e-8).fit(frame).history_)
    missing = history[-1] - history[:-1]
    left.semilogy(missing[missing > 1e-2], marker=".", color=colour, label=f"start: {start}")
title(left, "log-likelihood still to be gained")
left.set_xlabel("round of EM")
left.legend(frameon=False)
angle = np.linspace(0, 2 * np.pi, 200)
right.plot(np.cos(angle), np.sin(angle), color=INK, alpha=0.4, lw=0.8)
for model, mark, colour, name in ((truth, "o", RED, "true"), (learnt, "x", BLUE, "learnt")):
    value = eigenvalues(model)
    style = {"color": colour, "ms": 9, "mfc": "none", "mew": 2, "ls": ""}
    right.plot(value.real, value.imag, mark, label=name, **style)
title(right, "eigenvalues of the transition")
right.set(aspect="equal", xlabel="real", ylabel="imaginary")
right.legend(frameon=False, loc="center")
save(figure, "03_learning.png")

print(
    "\nAll of this rests on two assumptions: the state moves linearly, and noise is normal. Where the state is one\n"
    "of a few regimes the answer is a hidden Markov model; where it moves by a rule that must be learnt, a\n"
    "recurrent network, whose state is carried along in the same way."
)
