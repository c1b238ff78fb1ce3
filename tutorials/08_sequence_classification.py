"""Sequence classification: one answer for a whole sequence.

A lesson in seven steps: why the order of the steps matters, how many states become one vector, where attention looks,
what probabilities are worth, classes of unequal frequency, how a setting is chosen when sequences are few, and a number
with its law in place of a label. Calls in noise are generated; with SEQKIT_DATA nine speakers are told apart too.

    python tutorials/08_sequence_classification.py            # figures go to out/tutorials
    python tutorials/08_sequence_classification.py FOLDER
"""

import os

import numpy as np
import pandas as pd
import torch
from lesson import heading, panels, save, title

import seqkit
from seqkit import datasets, nn
from seqkit.evaluation import Stratified, cross_validate
from seqkit.plotting.style import INK, colour

torch.set_num_threads(1)  # matrices this small are done before a second thread wakes up


# ---------------------------------------------------------------------------------------------
heading("1. Calls in noise")
# Each sequence is a stretch of noise in which one call sounds: its pitch rises, or it falls. Both calls pass through
# the same pitches for the same time, so a histogram of the steps says nothing; only their order does. The calls begin
# anywhere and the sequences differ in length.

CALL = 20


def calls(count: int, seed: int, share: float = 0.5, loudness: float = 0.2):
    """Sequences, labels, and the step in which each call begins; `share` of them rise."""
    rng = np.random.default_rng(seed)
    rises = rng.random(count) < share
    x, starts = [], rng.integers(0, 20, size=count)
    for rise, start in zip(rises, starts, strict=True):
        noise = loudness * rng.normal(size=start + CALL + rng.integers(0, 20))
        pitch = np.linspace(0.5, 2.0, CALL)
        phase = np.cumsum(pitch if rise else pitch[::-1]) + rng.uniform(0, 2 * np.pi)
        noise[start : start + CALL] += np.sin(phase)
        x.append(noise)
    return x, pd.Series(np.where(rises, "rise", "fall"), name="call"), starts


x, y, starts = calls(300, seed=0)
x_test, y_test, starts_test = calls(500, seed=1)
counts = ", ".join(f"{count} {label}" for label, count in y.value_counts().items())
print(f"{len(x)} sequences of {min(map(len, x))} to {max(map(len, x))} steps: {counts}")

figure, axes = panels(1, 2, 9, 2.4, sharey=True)
for ax, label in zip(axes, ("rise", "fall"), strict=True):
    one = int(np.flatnonzero(y == label)[0])
    ax.axvspan(starts[one], starts[one] + CALL - 1, color=colour(1), alpha=0.15, lw=0)
    ax.plot(x[one], color=INK, lw=1)
    title(ax, label)
    ax.set_xlabel("step")
save(figure, "08_calls.png")

# ---------------------------------------------------------------------------------------------
heading("2. From many states to one vector")
# A core gives a state for every step; what is asked for is one answer. "last" takes the state at the end, which must
# have kept what came long before; in both directions it takes both ends. "mean" adds up what was found anywhere, "max"
# keeps the strongest sign of each feature, "attention" learns how much each step shall count. Any core goes with any
# of them. A network that looks at every step alone cannot do better than a coin here, however its steps are pooled; one
# that sees the last fifteen does, if the pooling brings it what lies before the end.

cores = {
    "each step alone (MLP)": nn.MLP(24),
    "the last 15 steps (TDNN)": nn.TDNN((24, 24, 24), kernel=3),
    "all before (LSTM)": nn.LSTM(24),
    "both sides (BiLSTM)": nn.Bidirectional(nn.LSTM(24)),
}
options = {"steps": 150, "lr": 1e-2, "dropout": 0.1}
quick = options | {"steps": 100}
table = {
    name: {
        pooling: seqkit.SequenceClassifier(core, pooling, **quick).fit(x, y).score(x_test, y_test)
        for pooling in ("last", "mean", "max", "attention")
    }
    for name, core in cores.items()
}
print(f"accuracy on {len(x_test)} further sequences")
print(pd.DataFrame(table).T.round(3).to_string())

# Averages are slow to begin with: what one step has found is one part in forty of what the last layer sees, and so is
# the gradient that goes back to it. The maximum passes all of it to the step that shows most.

# ---------------------------------------------------------------------------------------------
heading("3. Where attention looks")
# `attention` gives the weight of every step, on the index of what was asked. Nobody told the network where the calls
# are; to say which one it is, it had to find them.

clf = seqkit.LSTMClassifier(24, pooling="attention", **options).fit(x, y)
weights = clf.attention(x_test)
inside = [weights[i].iloc[start : start + CALL].sum() for i, start in enumerate(starts_test)]
share = np.mean([CALL / len(one) for one in x_test])
print(f"the calls are {share:.0%} of the steps and get {np.mean(inside):.0%} of the weight")

figure, axes = panels(2, 3, 10, 3.6, sharex=True, height_ratios=(2, 1))
for k in range(3):
    begin = starts_test[k]
    for ax in (axes[k], axes[3 + k]):
        ax.axvspan(begin, begin + CALL - 1, color=colour(1), alpha=0.15, lw=0)
    axes[k].plot(x_test[k], color=INK, lw=1)
    title(axes[k], f"{y_test[k]}, read as {clf.predict([x_test[k]])[0]}")
    axes[3 + k].bar(range(len(x_test[k])), weights[k], color=colour(0), width=1)
    axes[3 + k].set_xlabel("step")
axes[3].set_ylabel("weight")
save(figure, "08_attention.png")

# ---------------------------------------------------------------------------------------------
heading("4. What probabilities are worth")
# A probability is to be taken at its word: of the sequences that are called "rise" with 70 %, 70 % should be. A network
# that has learnt few sequences for long is more certain than right. More sequences cure that; where there are none,
# `smoothing` gives a share of every label to the other classes, so that nothing is ever certain (Szegedy et al. 2016).
# The noise is louder here, so that the calls are hard to tell apart.

loud, loud_y, _ = calls(300, seed=3, loudness=0.6)
loud_test, loud_truth, _ = calls(500, seed=4, loudness=0.6)


def reliability(model) -> tuple[np.ndarray, np.ndarray, float]:
    """What was said and what came true, by fifths; and the mean log probability of the truth."""
    rise = model.predict_proba(loud_test)["rise"].to_numpy()
    true = (loud_truth == "rise").to_numpy()
    fifth = np.minimum((rise * 5).astype(int), 4)
    said, found = (np.array([v[fifth == k].mean() for k in np.unique(fifth)]) for v in (rise, true))
    return said, found, float(np.log(np.where(true, rise, 1 - rise)).mean())


figure, (ax,) = panels(1, 1, 4.4, 3.6)
ax.plot([0, 1], [0, 1], color="0.7", lw=1)
trials = {"60 sequences": (60, 0.0), "60, smoothing 0.2": (60, 0.2), "300 sequences": (300, 0.0)}
for i, (name, (count, smoothing)) in enumerate(trials.items()):
    core = nn.TDNN((24, 24, 24), kernel=3)
    model = seqkit.SequenceClassifier(core, "max", smoothing=smoothing, **options)
    said, found, density = reliability(model.fit(loud[:count], loud_y[:count]))
    accuracy = model.score(loud_test, loud_truth)
    ax.plot(said, found, marker="o", color=colour(i), label=name)
    print(f"{name:>17}: accuracy {accuracy:.3f}, mean log probability of the truth {density:.3f}")
ax.set_xlabel("probability of a rise, as said")
ax.set_ylabel("share of rises")
ax.legend(frameon=False)
save(figure, "08_reliability.png")

# ---------------------------------------------------------------------------------------------
heading("5. Classes of unequal frequency")
# Nine of ten calls fall. Who always says "fall" is right nine times in ten; the loss, which counts every sequence
# alike, leans to the same side. `class_weights="balanced"` counts a class seen n_k times in n with n / (K n_k), as if
# all were equally frequent: more of the rare calls are found, and more of the others may be taken for one.

rare, rare_y, _ = calls(100, seed=2, share=0.1, loudness=0.3)
for name, weights_by in (("as they come", None), ("balanced", "balanced")):
    model = seqkit.LSTMClassifier(16, pooling="max", class_weights=weights_by, steps=100, lr=1e-2)
    said = model.fit(rare, rare_y).predict(x_test)
    rise, fall = ((said[y_test == label] == label).mean() for label in ("rise", "fall"))
    print(f"{name:>12}: of the rises {rise:.2f} are found, of the falls {fall:.2f}")

# ---------------------------------------------------------------------------------------------
heading("6. Choosing a setting when sequences are few")
# A classifier goes through the same cross-validation and search as any model: here three parts in which each class is
# spread evenly, the score being accuracy. Every part is scored by a network that has not seen it.

for pooling in ("last", "max"):
    candidate = seqkit.LSTMClassifier(16, pooling=pooling, **quick)
    scores = cross_validate(candidate, x[:50], Stratified(3), y=y[:50])["score"]
    mean, worst = scores.mean(), scores.min()
    print(f"{pooling:>5}: {mean:.2f} in the mean of three parts, {worst:.2f} in the worst of them")

# ---------------------------------------------------------------------------------------------
heading("7. A number instead of a label")
# The same network with another head: in which step does the call begin? A regressor gives the whole law of the number,
# in steps: by `Normal()` its centre and its spread hang on the sequence. The spread is learnt from sequences that the
# centre was learnt from as well, so a network that trains for too long is too sure; further sequences show it.

reg = seqkit.LSTMRegressor(24, head=seqkit.Normal(), steps=150, lr=1e-2)
reg.fit(x, starts.astype(float))
law = reg.predict_distribution(x_test)
low, high = law.quantile([0.05, 0.95])
error = np.abs(reg.predict(x_test) - starts_test).mean()
guess = np.abs(starts_test - starts.mean()).mean()
held = ((low <= starts_test) & (starts_test <= high)).mean()
width, score = np.mean(high - low), reg.score(x_test, starts_test)
print(f"mean error {error:.1f} steps; of the same answer for all {guess:.1f}")
print(f"90 % intervals hold {held:.0%} and are {width:.1f} steps wide; score {score:.2f}")

figure, (ax,) = panels(1, 1, 4.6, 3.6)
ax.plot([0, 20], [0, 20], color="0.7", lw=1)
chosen = slice(0, 120)
ax.errorbar(
    starts_test[chosen], law.mean[chosen],
    np.abs(np.stack([low, high])[:, chosen] - law.mean[chosen]), fmt="o", ms=3, lw=0.7, color=colour(0),
)  # fmt: skip
ax.set_xlabel("step in which the call begins")
ax.set_ylabel("as read, with 90 % intervals")
save(figure, "08_when.png")

# ---------------------------------------------------------------------------------------------
if os.environ.get("SEQKIT_DATA"):
    heading("8. Nine speakers")
    # 640 utterances of two vowels as 12 numbers a frame, 7 to 29 frames long; who speaks? The first 270 are to learn
    # from (Kudo, Toyama, Shimbo 1999). Frames in both directions, averaged, with noise on what comes in: thirty
    # utterances of a man are soon learnt by heart, and noise makes that harder.

    train, test = datasets.split("tsc_japanese_vowels")
    core = nn.Bidirectional(nn.TDNN((48, 48), kernel=5, norm="batch"))
    clf = seqkit.SequenceClassifier(core, "mean", noise=0.3, steps=400, lr=3e-3)
    clf.fit(train.sequences, train.labels)
    print(f"accuracy {clf.score(test.sequences, test.labels):.3f} on {len(test.labels)} utterances")
    said = clf.predict(test.sequences)
    table = pd.crosstab(
        test.labels.to_numpy(), said.to_numpy(), rownames=["speaker"], colnames=["said"]
    )
    figure, (ax,) = panels(1, 1, 4.4, 4)
    ax.imshow(np.log1p(table), cmap="Blues")
    for (i, j), count in np.ndenumerate(table.to_numpy()):
        if count:
            ax.text(
                j,
                i,
                count,
                ha="center",
                va="center",
                fontsize="small",
                color="white" if i == j else INK,
            )
    ax.set_xticks(range(len(table.columns)), table.columns)
    ax.set_yticks(range(len(table)), table.index)
    ax.set_xlabel("said to be")
    ax.set_ylabel("speaker")
    save(figure, "08_speakers.png")
