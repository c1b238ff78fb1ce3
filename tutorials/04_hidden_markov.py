"""Hidden Markov models: a few regimes that take turns, and are never seen themselves.

A lesson in five steps: a chain of states, the chain hidden behind what it emits, how many states a series has, words
and their hidden tags, and what the two assumptions cost.

    python tutorials/04_hidden_markov.py            # figures go to out/tutorials
    python tutorials/04_hidden_markov.py FOLDER
"""

from collections import Counter, defaultdict
from itertools import pairwise, product

import numpy as np
import pandas as pd
from lesson import heading, panels, save, title
from scipy.stats import norm

import seqkit
from seqkit import plotting

BLUE, RED, GREEN, INK = "#0072B2", "#D55E00", "#009E73", "#262626"


# ---------------------------------------------------------------------------------------------
heading("1. The weather, in plain sight")
# A Markov chain forgets: tomorrow depends on today and on nothing before. Two states need two numbers, the
# rest of every row being what is left of 1:
#
#                  to Rainy  to Sunny
#     from Rainy      0.7       0.3
#     from Sunny      0.4       0.6

weather = seqkit.MarkovChain.from_params(
    states=["Rainy", "Sunny"], transition=[[0.7, 0.3], [0.4, 0.6]]
)

# To make weather, throw a die every day whose faces depend on the day before:

A = weather.transition_.to_numpy()


def make_weather(n, days, rainy, rng):
    """n diaries (n, days), 0 for Rainy, 1 for Sunny; the first day is rainy with the given probability."""
    sky = np.empty((n, days), dtype=int)
    sky[:, 0] = rng.random(n) > rainy
    for t in range(1, days):
        sky[:, t] = rng.random(n) > A[sky[:, t - 1], 0]
    return sky


# Where the states are seen, learning is counting. Two years of a diary, and what follows what:

sky = make_weather(1, 730, 4 / 7, np.random.default_rng(1))[0]
diary = pd.Series(np.array(["Rainy", "Sunny"], dtype=object)[sky])
counts = pd.crosstab(diary[:-1].to_numpy(), diary[1:].to_numpy())
by_hand = counts.div(counts.sum(axis=1), axis=0)
chain = seqkit.MarkovChain().fit(diary)
assert np.allclose(chain.transition_, by_hand)
print(pd.DataFrame({
    "times": chain.counts_.stack().astype(int),
    "share": chain.transition_.stack(), "std err": chain.standard_errors().stack(),
    "truth": weather.transition_.stack(),
}).round(3))  # fmt: skip
assert (np.abs(chain.transition_ - weather.transition_) < 3 * chain.standard_errors()).all(
    axis=None
)

# n days ahead the rule is applied n times: the law of day n is a row of the n-th power of the matrix. It forgets
# where it began. What it settles to, the stationary law, is what one more day no longer changes, pi = pi A.

ahead = {start: weather.predict(10, start=start)["Rainy"] for start in weather.states_}
for n in (1, 2, 10):
    power = np.linalg.matrix_power(A, n)[:, 0]
    assert np.allclose(power, [ahead["Rainy"][n], ahead["Sunny"][n]])
    print(
        f"rain in {n:2d} days: {power[0]:.5f} if it rains today, {power[1]:.5f} if the sun shines"
    )
assert np.allclose(weather.stationary_ @ A, weather.stationary_)
assert np.allclose(weather.stationary_, [4 / 7, 3 / 7])
print(f"in the long run it rains on {weather.stationary_['Rainy']:.1%} of all days "
      f"(4 in 7; in the diary {np.mean(diary == 'Rainy'):.1%})")  # fmt: skip

# How long until it rains? From a sunny day: one day, and with probability 0.6 one is as far as before, so
# t = 1 + 0.6 t, which is 2.5 days. The library solves such equations for any chain.

wait = weather.hitting_time("Rainy")
assert np.isclose(wait["Sunny"], 2.5)
print(f"days until it rains, from a sunny one: {wait['Sunny']:.2f}; "
      f"days until the sun shines, from a rainy one: {weather.hitting_time('Sunny')['Rainy']:.2f}")  # fmt: skip

figure, (left, right) = panels(1, 2, 8.5, 3.0, width_ratios=[1.25, 1])
weather.plot(ax=left)
for (start, law), colour in zip(ahead.items(), (BLUE, RED), strict=True):
    first = float(start == "Rainy")
    right.plot(
        [0, *law.index], [first, *law], color=colour, marker="o", ms=4, label=f"after {start}"
    )
right.axhline(weather.stationary_["Rainy"], color=INK, lw=1, ls="--", label="stationary, 4/7")
right.set(xlabel="days ahead", ylabel="P(Rainy)", ylim=(-0.03, 1.03))
right.legend(frameon=False, fontsize="small")
save(figure, "04_weather_chain.png")

# ---------------------------------------------------------------------------------------------
heading("2. The weather, told by somebody's day")
# Now the weather is out of sight. All that is known is what somebody did each day, which depends on the weather
# of that day and on nothing else. That is a hidden Markov model:
#
#     s_1 ~ pi,    s_t ~ A[s_{t-1}]        the chain, not seen
#     y_t ~ B[s_t]                         what is seen

symbols = ["Walk", "Shop", "Clean"]
pi = np.array([0.6, 0.4])
B = np.array([[0.1, 0.4, 0.5], [0.6, 0.3, 0.1]])
hmm = seqkit.HMM.from_params(
    states=["Rainy", "Sunny"], initial=pi, transition=A,
    emission=seqkit.Categorical(B, symbols=symbols),
)  # fmt: skip

# Three problems (Rabiner 1989). The first, EVALUATION: how probable is Walk, Shop, Clean? By definition, the sum
# over all 2^3 paths of weather.


def joint(path, seen):
    """p(states, what was seen)."""
    steps = [A[i, j] for i, j in pairwise(path)]
    return (
        pi[path[0]] * np.prod(steps) * np.prod([B[s, o] for s, o in zip(path, seen, strict=True)])
    )


# T steps have 2^T paths. But they meet again and again in the same states, so that sums of all paths that
# end in each state can be carried along: T small products instead. To keep them from vanishing after some hundred
# steps, each is divided by its sum, whose logarithm is put aside.


def forward(seen, pi, A, B):
    """Laws of the state given what was seen up to each step, and the factors that make p(seen)."""
    law, factors = np.empty((len(seen), len(pi))), np.empty(len(seen))
    for t, o in enumerate(seen):
        weight = (pi if t == 0 else law[t - 1] @ A) * B[:, o]
        factors[t] = weight.sum()
        law[t] = weight / factors[t]
    return law, factors


did = ["Walk", "Shop", "Clean"]
codes = [symbols.index(what) for what in did]
every = sum(joint(path, codes) for path in product((0, 1), repeat=3))
law, factors = forward(codes, pi, A, B)
library = np.exp(hmm.log_likelihood(did))
print(f"p({', '.join(did)}): {every:.6f} over all paths, {factors.prod():.6f} by the forward "
      f"recursion, {library:.6f} by the library")  # fmt: skip
assert np.allclose([every, factors.prod()], library, rtol=1e-12) and round(every, 6) == 0.033612
assert np.allclose(law, hmm.filter(did), atol=1e-12)

# The second, DECODING: which weather explains Walk, Shop, Clean, Clean best? The same recursion with the largest
# instead of the sum, remembering where it came from (Viterbi 1967).


def viterbi(seen):
    """The most probable path, and the log-probability of the best way into every state at every step."""
    best, came_from = [np.log(pi * B[:, seen[0]])], []
    for o in seen[1:]:
        ways = best[-1][:, None] + np.log(A * B[:, o])  # from (rows) to (columns)
        came_from.append(ways.argmax(axis=0))
        best.append(ways.max(axis=0))
    path = [best[-1].argmax()]
    for back in reversed(came_from):
        path.insert(0, back[path[0]])
    return path, np.array(best)


did = ["Walk", "Shop", "Clean", "Clean"]
codes = [symbols.index(what) for what in did]
path, best = viterbi(codes)
decoded = hmm.decode(did)
print(f"{', '.join(did)}: {', '.join(decoded)}")
assert decoded.tolist() == ["Sunny", "Rainy", "Rainy", "Rainy"]
assert [hmm.states[s] for s in path] == decoded.tolist()
assert tuple(path) == max(product((0, 1), repeat=4), key=lambda p: joint(p, codes))

others, scores = hmm.decode_k_best(did, k=3)
share = np.exp(scores - hmm.log_likelihood(did))
for rank in others:
    print(f"  {', '.join(others[rank])}: {share[rank]:.1%} of all that explains it")

# One path is a verdict. The law of each day given all that was seen, the future included, says how sure it is: a
# second recursion from the end, multiplied with the first.


def backward(seen, factors, A, B):
    """p(what comes after | state), in units of the factors."""
    after = np.ones((len(seen), len(A)))
    for t in range(len(seen) - 2, -1, -1):
        after[t] = A @ (B[:, seen[t + 1]] * after[t + 1]) / factors[t + 1]
    return after


law, factors = forward(codes, pi, A, B)
posterior = hmm.decode_proba(did)
assert np.allclose(law * backward(codes, factors, A, B), posterior, atol=1e-12)
print(posterior.set_axis(pd.Index(did)).round(3).to_string())

# The trellis shows both. Every path is a way through it from left to right; the thick one wins. On the day of
# shopping the best way in leads to Sunny, -3.1 against -3.3; that two days of cleaning follow turns the verdict.

figure, (left, right) = panels(1, 2, 9.5, 2.5)
scores = pd.DataFrame(best, columns=hmm.states)
plotting.plot_trellis(scores, decoded, transition=A, observations=did, ax=left)
title(left, "log-probability of the best way in")
plotting.plot_trellis(posterior, decoded, transition=A, observations=did, ax=right)
title(right, "P(state | the four days)")
save(figure, "04_trellis.png")

# The third, LEARNING: all of pi, A and B are unknown. With the states known they would be counted as in
# step 1. So take the states' posterior laws for fractions of a count, count, and repeat (Baum et al. 1970).


def baum_welch(seen, pi, A, B):
    """One round: the counts expected under the parameters, made to shares. Also log p(seen) before it."""
    law, factors = forward(seen, pi, A, B)
    after = backward(seen, factors, A, B)
    states = law * after  # (T, K)
    ahead = (B[:, seen[1:]].T * after[1:]) / factors[1:, None]
    moves = A * (law[:-1].T @ ahead)  # (K, K)
    emitted = np.stack([states[seen == v].sum(axis=0) for v in range(B.shape[1])], axis=1)
    share = [counts / counts.sum(axis=1, keepdims=True) for counts in (moves, emitted)]
    return states[0], *share, np.log(factors).sum()


rng = np.random.default_rng(3)
sky = make_weather(50, 2000, pi[0], rng)
act = (rng.random((50, 2000, 1)) > B.cumsum(axis=1)[sky]).sum(axis=2)
index = pd.MultiIndex.from_product([range(50), range(2000)], names=["diary", "day"])
acts = pd.Series(np.array(symbols, dtype=object)[act.ravel()], index)
skies = pd.Series(np.array(["Rainy", "Sunny"], dtype=object)[sky.ravel()], index)
some = acts.loc[0]
guess = np.array([[0.6, 0.4], [0.4, 0.6]]), np.array([[0.2, 0.4, 0.4], [0.4, 0.3, 0.3]])
start = seqkit.HMM.from_params(
    initial=[0.5, 0.5], transition=guess[0], emission=seqkit.Categorical(guess[1], symbols=symbols)
)
how = {"emission": seqkit.Categorical(symbols=symbols), "states": ["Rainy", "Sunny"]}
learnt = seqkit.HMM(**how, start=start, tol=1e-8, max_iter=5000).fit(some)

seen = some.map(symbols.index).to_numpy()
now, rounds = ([0.5, 0.5], *guess), []
for _ in range(50):
    *now, value = baum_welch(seen, *now)
    rounds.append(value)
assert np.allclose(rounds, learnt.history_[:50], rtol=1e-12) and np.diff(rounds).min() > 0
found = learnt.initial_, learnt.transition_.to_numpy(), learnt.emission_.probabilities
*one_more, value = baum_welch(seen, *map(np.asarray, found))
assert np.isclose(value, learnt.log_likelihood_, rtol=1e-12)
assert all(np.allclose(a, b, atol=1e-3) for a, b in zip(found, one_more, strict=True))
print(f"\nlearnt from 2,000 days without the weather, in {len(learnt.history_) - 1} rounds (the first 50 also by "
      f"hand: the same):\nlog-likelihood {rounds[0]:.2f} at the guess, {rounds[-1]:.2f} after 50 rounds, "
      f"{learnt.log_likelihood_:.2f} at the end, {hmm.log_likelihood(some):.2f} at the truth")  # fmt: skip

# The end fits better than the truth, as a maximum must. That it is near it is luck: the standard errors are as
# large as the probabilities. What somebody does tells the weather only roughly, and the weather forgets within
# days, so the likelihood is a long flat ridge, on which EM takes many rounds. A gradient that learns the
# curvature walks faster; it takes all fifty diaries. Seeing the weather helps more than fifty times the days: then
# learning is counting again.

much = seqkit.HMM(**how, start=start, method="gradient").fit(acts)
counted = seqkit.HMM(**how).fit(some, skies.loc[0])


def numbers(model):
    return [*np.diag(model.transition_), *model.emission_.probabilities[:, 0]]


def spreads(model):
    errors = model.standard_errors()["standard_error"]
    stay, walk = errors.loc["transition"], errors.loc["probabilities"]
    names = model.transition_.index
    return [stay.loc[s].loc[s] for s in names] + [walk.loc[s].iloc[0] for s in names]


share = np.array(numbers(counted))
days = np.tile([np.sum(skies.loc[0] == name) for name in hmm.states], 2)
table = pd.DataFrame(
    {
        "truth": numbers(hmm),
        "2,000 days": numbers(learnt),
        "+-": spreads(learnt),
        "100,000 days": numbers(much),
        "+- ": spreads(much),
        "2,000 days, weather seen": share,
        "+-  ": np.sqrt(share * (1 - share) / days),
    },
    index=["stays Rainy", "stays Sunny", "Walk if Rainy", "Walk if Sunny"],
)
print(table.round(3).to_string())
for value, error in (
    ("2,000 days", "+-"),
    ("100,000 days", "+- "),
    ("2,000 days, weather seen", "+-  "),
):
    assert ((table[value] - table["truth"]).abs() < 3 * table[error]).all()
assert (table["+-"] > table["+- "]).all() and (table["+- "] > table["+-  "]).all()
sure, most, rainy = hmm.score(acts, skies), much.score(acts, skies), np.mean(skies == "Rainy")
print(f"days whose weather is told right: {most:.1%} by the model of 100,000 days, {sure:.1%} by the true one, "
      f"{rainy:.1%} by always saying Rainy")  # fmt: skip
assert most > rainy + 0.1

# ---------------------------------------------------------------------------------------------
heading("3. Earthquakes: how many regimes are there?")
# Major earthquakes (magnitude 7 or more) of the world per year. Independent events would be Poisson, with a
# variance as large as the mean. These are not:

quakes = seqkit.datasets.load("earthquakes")
print(f"{len(quakes)} years: mean {quakes.mean():.2f}, variance {quakes.var():.2f}, "
      f"correlation with the year before {quakes.autocorr():.2f}")  # fmt: skip

# So let the rate depend on a state that lingers. EM climbs to the nearest hill top; five starts look for
# the highest. The chain is taken to have run for ever: its first state follows the stationary law.

model = seqkit.HMM(emission=seqkit.Poisson(), initial="stationary", n_init=5, seed=0)
criteria = model.select_states(quakes, range(1, 5), criterion="bic")
published = [391.9189, 342.3183, 329.4603, 327.8316]  # Zucchini, MacDonald & Langrock (2016)
table = pd.DataFrame({
    "parameters": criteria["n_parameters"].astype(int), "-log L": -criteria["log_likelihood"],
    "published": published, "AIC": criteria["aic"], "BIC": criteria["bic"],
})  # fmt: skip
print(table.round({"-log L": 4, "AIC": 2, "BIC": 2}).to_string())
assert np.allclose(table["-log L"], published, atol=6e-5)
assert np.allclose(criteria.loc[3, ["aic", "bic"]].astype(float), [676.92, 700.98], atol=0.005)

# More states always fit better. AIC and BIC charge for parameters, and a state brings many: K^2 in all. Both
# choose three. (With BIC the model has become the best of them.)

assert criteria["aic"].idxmin() == criteria["bic"].idxmin() == 3 == len(model.emission_.rate)
print("\nthree states, estimates and standard errors:")
errors = model.standard_errors()
print(errors.loc[["rate", "transition"]].dropna().round(3).to_string())
assert np.allclose(model.emission_.rate, [13.146, 19.721, 29.714], atol=6e-4)
print("no error where an estimate is at its bound: from state 2 it never falls straight to 0")

# Do three rates explain what one could not? Mean and variance of the stationary law, and the correlation over
# a year that the lingering makes:

rate, stationary = model.emission_.rate, model.stationary_.to_numpy()
mean = stationary @ rate
variance = stationary @ (rate + rate**2) - mean**2
next_year = (stationary * rate) @ model.transition_.to_numpy() @ rate
print(f"the model: mean {mean:.2f}, variance {variance:.2f}, "
      f"correlation with the year before {(next_year - mean**2) / variance:.2f}")  # fmt: skip
assert abs(variance / quakes.var() - 1) < 0.2

figure = plotting.plot_state_series(
    quakes.rename("earthquakes of magnitude 7 or more"), model.decode(),
    means=pd.Series(rate, index=model.stationary_.index), probabilities=model.decode_proba(),
)  # fmt: skip
save(figure, "04_earthquakes.png")

# A forecast weighs the Poisson laws by how probable each state will be. Next year that is what the last
# years say; far ahead it is the stationary law, and the forecast that of any year.

states = model.predict_states(40)
forecast = model.predict(40)
ten = np.full(40, 10.0)
by_hand = states.to_numpy() @ [np.exp(model.emission_.law(k).log_prob(10.0)) for k in range(3)]
assert np.allclose(forecast.log_prob(pd.Series(ten, forecast.index)), np.log(by_hand.ravel()))
print("\nP(state) in the years to come:")
print(states.iloc[[0, 4, 39]].set_axis([2007, 2011, 2046]).round(3).to_string())
print(
    forecast.to_frame(level=(80,))
    .iloc[[0, 4, 39]]
    .set_axis([2007, 2011, 2046])
    .round(2)
    .to_string()
)
assert np.allclose(states.iloc[-1], stationary, atol=0.02)

grid = np.arange(0, 50)
laws = np.exp([model.emission_.law(k).log_prob(grid[:, None])[:, 0] for k in range(3)])
figure, (left, right) = panels(1, 2, 9.5, 3.4, sharex=True, sharey=True)
plotting.plot_emissions(
    {f"state {k}, {rate[k]:.1f} a year": model.emission_.law(k) for k in range(3)},
    quakes, weights=stationary, ax=left,
)  # fmt: skip
title(left, "what the states emit, and how often")
right.hist(quakes, bins=grid - 0.5, density=True, color=INK, alpha=0.15, label="1900 to 2006")
for row, year, colour in ((0, 2007, BLUE), (4, 2011, RED), (39, 2046, INK)):
    right.plot(
        grid, states.iloc[row].to_numpy() @ laws, color=colour, lw=1.8, label=f"forecast of {year}"
    )
title(right, "forecasts")
for ax in (left, right):
    ax.set(xlim=(-0.5, 48), ylim=(0, 0.115), xlabel="earthquakes in a year")
    ax.tick_params(labelsize=8)
    ax.xaxis.label.set_size(9)
    ax.legend(frameon=False, fontsize="small", loc="upper right")
save(figure, "04_earthquake_laws.png")

# ---------------------------------------------------------------------------------------------
heading("4. Words and their tags")
# In a tagged text the hidden states are known: parts of speech. So learning is counting once more, and only
# new sentences need decoding. The treebank is read from SEQKIT_DATA, the cache or the network; without any
# of them a few sentences have to do.

FEW = """
the/DET dog/NOUN barks/VERB|a/DET cat/NOUN sleeps/VERB|the/DET old/ADJ man/NOUN walks/VERB slowly/ADV
she/PRON can/AUX swim/VERB|he/PRON can/AUX run/VERB quickly/ADV|they/PRON can/AUX sing/VERB
we/PRON run/VERB|the/DET run/NOUN was/AUX long/ADJ|a/DET run/NOUN|the/DET run/NOUN starts/VERB early/ADV
the/DET can/NOUN was/AUX empty/ADJ|I/PRON walk/VERB home/ADV|a/DET walk/NOUN helps/VERB|the/DET walk/NOUN
dogs/NOUN bark/VERB loudly/ADV|cats/NOUN sleep/VERB|the/DET old/ADJ dog/NOUN sleeps/VERB deeply/ADV
the/DET man/NOUN can/AUX walk/VERB|a/DET small/ADJ cat/NOUN can/AUX jump/VERB|you/PRON can/AUX go/VERB
the/DET jump/NOUN was/AUX high/ADJ|the/DET answer/NOUN was/AUX long/ADJ|they/PRON answer/VERB quickly/ADV
the/DET man/NOUN runs/VERB home/ADV|she/PRON sings/VERB sweetly/ADV|the/DET small/ADJ dog/NOUN jumps/VERB
"""
NEW = """
she/PRON can/AUX run/VERB|the/DET can/NOUN was/AUX small/ADJ|you/PRON run/VERB home/ADV
they/PRON can/AUX walk/VERB slowly/ADV|the/DET old/ADJ cat/NOUN purrs/VERB softly/ADV
"""


def tagged(text: str):
    pairs = [
        [word.split("/") for word in part.split()]
        for part in text.strip().replace("\n", "|").split("|")
    ]
    return [[word for word, _ in s] for s in pairs], [[tag for _, tag in s] for s in pairs]


try:
    corpus = seqkit.datasets.load("ud_ewt")
    train, test, treebank = corpus.train, corpus.test, True
except OSError:
    train, test, treebank = tagged(FEW), tagged(NEW), False
(sentences, tags), (new_sentences, new_tags) = train, test
words = sum(map(len, sentences))
print("UD English EWT" if treebank else "ud_ewt is not at hand; a few sentences instead")
print(
    f"{len(sentences):,} sentences of {words:,} words to learn from, {len(new_sentences):,} new ones"
)

# (a) The baseline: every word has the tag that it most often had, new words the most frequent of all.

uses = defaultdict(Counter)
for sentence, marks in zip(sentences, tags, strict=True):
    for word, tag in zip(sentence, marks, strict=True):
        uses[word][tag] += 1
usual = {word: counter.most_common(1)[0][0] for word, counter in uses.items()}
common = sum(uses.values(), Counter()).most_common(1)[0][0]

# (b) An HMM whose states are the tags: each depends on the tag before, each word on its tag. All words that never
# occurred are one symbol, whose tags are learnt from the words that occurred only once.
# (c) TnT (Brants 2000): tags depend on two tags before, and new words are judged by their endings.

rare = [[w if sum(uses[w].values()) > 1 else "<unk>" for w in sentence] for sentence in sentences]
plain = seqkit.HMM(
    emission=seqkit.Categorical(unknown="<unk>"), transition_prior=1.5, initial_prior=1.5
).fit(rare, tags)
tagger = seqkit.HMMTagger().fit(sentences, tags)
flat = [word for sentence in new_sentences for word in sentence]
truth = np.array([tag for marks in new_tags for tag in marks])
answers = {
    "most frequent tag": np.array([usual.get(word, common) for word in flat]),
    "HMM, two tags": plain.decode(new_sentences).to_numpy(),
    "TnT, three tags": tagger.decode(new_sentences).to_numpy(),
}
known = np.array([word in usual for word in flat])
accuracy = pd.DataFrame({
    name: {"known words": np.mean((answer == truth)[known]),
           "new words": np.mean((answer == truth)[~known]), "all": np.mean(answer == truth)}
    for name, answer in answers.items()
}).T  # fmt: skip
print(accuracy.map("{:.1%}".format).to_string())
print(f"{known.sum():,} known words, {(~known).sum():,} new ones ({np.mean(~known):.1%})")
assert np.isclose(tagger.score(new_sentences, new_tags), accuracy.loc["TnT, three tags", "all"])
assert accuracy["all"].is_monotonic_increasing
assert accuracy.loc["TnT, three tags", "all"] > (0.93 if treebank else accuracy["all"].iloc[0])

# What the neighbours do: the shortest new sentence that the tagger gets right and the baseline does not.

ends = np.cumsum([0, *map(len, new_sentences)])
spans = [slice(a, b) for a, b in pairwise(ends)]
base, ours = answers["most frequent tag"], answers["TnT, three tags"]
better = [s for s in spans if (ours[s] == truth[s]).all() and not (base[s] == truth[s]).all()]
shown = min(
    (s for s in better if s.stop - s.start > 4), default=better[0], key=lambda s: s.stop - s.start
)
print(pd.DataFrame({"word": flat[shown], "usual tag": base[shown], "TnT": ours[shown],
                    "how sure": tagger.decode_proba([flat[shown]]).max(axis=1).round(3).to_numpy(),
                    }).to_string(index=False))  # fmt: skip

figure, (ax,) = panels(1, 1, 7, 3.2)
for k, (name, colour) in enumerate(zip(accuracy.index, (INK, RED, BLUE), strict=True)):
    bars = ax.bar(np.arange(3) + 0.27 * (k - 1), 100 * accuracy.loc[name], width=0.25,
                  color=colour, alpha=0.8, label=name)  # fmt: skip
    ax.bar_label(bars, fmt="%.1f", fontsize=8)
ax.set_xticks(range(3), [str(c) for c in accuracy])
ax.set(ylabel="right tags, %", ylim=(0, 107))
ax.legend(frameon=False, fontsize="small", loc="lower right", bbox_to_anchor=(1, 1), ncols=3)
save(figure, "04_tagger.png")

# ---------------------------------------------------------------------------------------------
heading("5. What the two assumptions cost")
# Everything above rests on two simplifications. States are Markov: how long one has lasted says nothing of
# how long it will. And emissions are independent given the states: yesterday's value says nothing of today's
# that the state does not. Sunspots break both: the cycle takes about eleven years, and moves smoothly.
#
# Models learn the square roots of 1700 to 1899, and are judged on 1900 to 2008 by the mean log density of each
# year given all years before it. (That of a change is that of the level it leads to, so all can be compared.)

roots = np.sqrt(seqkit.datasets.load("sunspots_yearly")).rename("root of sunspots")
changes = roots.diff().dropna().rename("change")


def judge(model, x):
    """Held-out score, and what is left over: the correlation of one year's surprise with the next."""
    model.fit(x[:"1899"])
    law, values = model.one_step(x), x.to_numpy()[:, None]
    score, rank = (
        pd.Series(np.ravel(f(values)), x.index)["1900":] for f in (law.log_prob, law.cdf)
    )
    surprise = pd.Series(norm.ppf(np.clip(rank, 1e-12, 1 - 1e-12)))
    return score.mean(), surprise.autocorr()


# DURATIONS. Rise and fall are two states of the changes. A Markov chain leaves a state with the same
# probability every year, so its stays are geometric: most often one year, however long they are on average. A
# hidden semi-Markov model has a law for durations instead.

markov = seqkit.HMM(2, n_init=3)
semi = seqkit.HMM(2, durations=seqkit.Poisson())
free = seqkit.HMM(2, durations="free", max_duration=15)
rows = {
    "geometric durations": (markov, changes), "Poisson durations": (semi, changes),
    "free durations": (free, changes),
}  # fmt: skip
table = pd.DataFrame(
    {name: judge(*row) for name, row in rows.items()}, index=["held-out score", "left over"]
).T
table.insert(0, "parameters", [model.n_parameters_ for model, _ in rows.values()])
print(table.astype({"parameters": int}).round(3).to_string())
score = table["held-out score"]
assert score["Poisson durations"] > score["geometric durations"] + 0.1
gain = score["Poisson durations"] - score["geometric durations"]
print("(left over: the correlation of one year's surprise with the next; 0 where nothing is)")
print(f"A law for durations, at no more parameters, is worth {gain:.2f} nats a year: the 109 years are "
      f"{np.exp(109 * gain):,.0f} times as probable.")  # fmt: skip

# How long are the cycles of each model? Let it make 10,000 years. The mean is right in every case. But the Markov
# chain has no notion of a cycle: its rises and falls are over at any time, while what it decodes from the data
# hardly varies. A Poisson law comes closer, a free one closest.


def stays(path, state):
    """Lengths of the complete stays in a state."""
    run = (path != path.shift()).cumsum()
    lengths = path.groupby(run).agg(["first", "size"]).iloc[1:-1]
    return lengths.loc[lengths["first"] == state, "size"].to_numpy()


def cycles(path):
    """A fall and a rise each."""
    falls, rises = stays(path, "falling"), stays(path, "rising")
    size = min(len(falls), len(rises))
    return falls[:size] + rises[:size]


names = pd.Series(["falling", "rising"])
seen_path = markov.decode(changes).map(names)
paths = {"seen": seen_path}
for name, (model, _) in rows.items():
    made = model.sample(1, length=10_000, seed=0, states=True).loc[0]
    paths[name] = made["state"].astype(int).map(names)
table = pd.DataFrame({
    name: {"cycles": len(cycles(path)), "years": cycles(path).mean(), "std dev": cycles(path).std()}
    for name, path in paths.items()
}).T  # fmt: skip
print("\n" + table.astype({"cycles": int}).round(1).to_string())
assert (table["years"] - table.loc["seen", "years"]).abs().max() < 1
assert table.loc["geometric durations", "std dev"] > 2 * table.loc["Poisson durations", "std dev"]

figure = plotting.plot_durations(seen_path)
lengths = np.arange(1, 15)
for k, (ax, name) in enumerate(zip(figure.axes, names, strict=True)):
    stay = markov.transition_.iloc[k, k]
    drawn = stays(paths["Poisson durations"], name)
    share = np.bincount(drawn, minlength=15)[1:15] / len(drawn)
    ax.plot(
        lengths,
        (1 - stay) * stay ** (lengths - 1),
        color=INK,
        marker=".",
        lw=1,
        ls="--",
        label="geometric",
    )
    ax.plot(lengths, share, color=INK, marker=".", lw=1.6, label="Poisson")
    ax.set(xlim=(0.4, 14.6), ylim=(0, 0.45), xlabel="years")
figure.axes[0].get_legend().remove()
figure.axes[1].legend(frameon=False, fontsize=8)
save(figure, "04_durations.png")

# INDEPENDENT EMISSIONS. As levels the sunspots are worse off: a state has one mean, and all movement must
# come from switching. Let the states be autoregressions instead (Hamilton 1989): what a state says is not where
# the series is but how it moves.

switching = seqkit.HMM(2, seqkit.LinearAutoregression(2), tol=1e-8)
rows = {
    "HMM, 2 levels": (seqkit.HMM(2, n_init=3), roots),
    "HMM, 4 levels": (seqkit.HMM(4, n_init=3), roots),
    "AR(2), no states": (seqkit.AR(2), roots),
    "switching AR(2)": (switching, roots),
    "AR(9), no states": (seqkit.AR(9), roots),
}
table = pd.DataFrame(
    {name: judge(*row) for name, row in rows.items()}, index=["held-out score", "left over"]
).T
print("\n" + table.round(3).to_string())
score = table["held-out score"]
assert score["switching AR(2)"] > score["HMM, 4 levels"] + 0.5
assert score["switching AR(2)"] > score["AR(2), no states"]
assert (
    abs(table.loc["HMM, 2 levels", "left over"])
    > 0.3
    > abs(table.loc["switching AR(2)", "left over"])
)

# How each state moves, and which of the two the years follow. State 1 is the steep rise of strong cycles.

gain = score["switching AR(2)"] - score["HMM, 4 levels"]
print(f"Looking at two years past is worth {gain:.2f} nats a year more than two more levels.")
e = switching.emission_
print("\n" + pd.DataFrame({
    "intercept": np.ravel(e.intercept), "last year": e.coef.reshape(2, 2)[:, 0],
    "the year before": e.coef.reshape(2, 2)[:, 1], "std dev": np.sqrt(np.ravel(e.var)),
    "share of years": switching.decode_proba().mean().to_numpy(),
}, index=["state 0", "state 1"]).round(2).to_string())  # fmt: skip
figure = plotting.plot_state_series(
    roots, switching.decode(roots), probabilities=switching.filter(roots)
)
save(figure, "04_switching.png")

print(
    "\nHere independent emissions cost far more than Markov states, and both can be had back within the family:\n"
    "emissions may look at the past, and durations may have laws. The plain AR(9) still wins: a window of nine\n"
    "years sees most of a cycle, more than two states can hold. Where neither regimes nor a window will do, the\n"
    "memory itself must be learnt: a recurrent network."
)
