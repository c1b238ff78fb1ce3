"""Tagging: a label for every step of a sequence, counted by a hidden Markov model or learnt by a network.

A lesson in seven steps: sentences with tags, the hidden Markov tagger, what a word tells by its form, why the future
context matters, labels that depend on each other (the conditional random field), labels of numbers in time, and where
a network that sees the future must not be used.

    python tutorials/07_tagging.py            # figures go to out/tutorials
    python tutorials/07_tagging.py FOLDER
    SEQKIT_DATA=... python tutorials/07_tagging.py            # and on sentences of UD English EWT
"""

import os

import numpy as np
import pandas as pd
import torch
from lesson import heading, panels, save

import seqkit
from seqkit import nn
from seqkit.evaluation.labels import span_f1

torch.set_num_threads(1)  # matrices this small are done before a second thread wakes up


# ---------------------------------------------------------------------------------------------
heading("1. Sentences, and a tag for every word")
# A small language of our own, in which we know why every tag is what it is. Stems are invented, so half of the words
# of a new sentence were never seen; but endings tell what they are (-ize a verb, -ous an adjective, -ly an adverb), as
# they do in English. Two words are ambiguous:
#
#     "to"      a particle (PART) before a verb, a preposition (ADP) before a noun: the NEXT word tells
#     "turns"   a separable verb (SEP) if "off" ends the sentence, else a plain one (VERB): a word FAR AHEAD tells

rng = np.random.default_rng(0)
SYLLABLES = ["ka", "lo", "mi", "tu", "re", "shi", "bra", "ven", "dor", "pel", "gan", "fi"]
ENDINGS = {
    "NOUN": ["er", "ness", "tion", "dom"],
    "VERB": ["izes", "ifies", "ates"],
    "ADJ": ["ous", "ful", "ish"],
    "ADV": ["ly"],
}


def stem() -> str:
    return "".join(rng.choice(SYLLABLES, 2))


def word(tag: str) -> str:
    return stem() + str(rng.choice(ENDINGS[tag]))


LEXICON = {tag: [word(tag) for _ in range(150)] for tag in ENDINGS}


def some(tag: str, new: float = 0.25) -> tuple[str, str]:
    """A word of the lexicon, or one that nobody has seen."""
    return (word(tag) if rng.random() < new else str(rng.choice(LEXICON[tag]))), tag


def noun_phrase() -> list[tuple[str, str]]:
    adjectives = [some("ADJ") for _ in range(rng.integers(0, 3))]
    return [(str(rng.choice(["the", "a", "every"])), "DET"), *adjectives, some("NOUN")]


def sentence() -> list[tuple[str, str]]:
    subject, goal = noun_phrase(), noun_phrase()
    match rng.integers(4):
        case 0:  # the noun turns the ous noun off
            return [*subject, ("turns", "SEP"), *goal, ("off", "PART"), (".", "PUNCT")]
        case 1:  # the noun turns the ous noun .
            return [*subject, ("turns", "VERB"), *goal, (".", "PUNCT")]
        case 2:  # the noun hopes to ize ly
            return [
                *subject,
                some("VERB"),
                ("to", "PART"),
                some("VERB"),
                some("ADV"),
                (".", "PUNCT"),
            ]
    return [*subject, some("VERB"), ("to", "ADP"), *goal, (".", "PUNCT")]


def corpus(count: int) -> tuple[list[list[str]], list[list[str]]]:
    made = [sentence() for _ in range(count)]
    return [[w for w, _ in one] for one in made], [[tag for _, tag in one] for one in made]


train, test = corpus(600), corpus(300)
for words, tags in zip(*(part[:3] for part in train), strict=True):
    print(" ".join(f"{w}/{t}" for w, t in zip(words, tags, strict=True)))

# ---------------------------------------------------------------------------------------------
heading("2. The hidden Markov tagger")
# It counts which tags follow each other and which words a tag has; a word never seen is judged by its ending. To
# train it takes no longer than to read the text. What it cannot know: anything further away than two tags.

known = {w for words in train[0] for w in words}
flat_words = np.array([w for words in test[0] for w in words])
flat_tags = np.array([t for tags in test[1] for t in tags])
GROUPS = {
    "all words": np.ones(len(flat_words), bool),
    "never seen": np.array([w not in known for w in flat_words]),
    "'to'": flat_words == "to",
    "'turns'": flat_words == "turns",
}


def judge(name: str, tagger) -> None:
    right = tagger.decode(test[0]).to_numpy() == flat_tags
    shares = ", ".join(f"{group} {right[where].mean():6.1%}" for group, where in GROUPS.items())
    print(f"{name:28s} {shares}")


hmm = seqkit.HMMTagger().fit(*train)
judge("hidden Markov", hmm)

# ---------------------------------------------------------------------------------------------
heading("3. What a word tells by its form")
# A network that maps each word by itself sees no neighbours at all. With one vector a word it is lost where the word
# is new; reading the characters, and the prefixes and suffixes, it is not.

options = {"words": True, "lr": 5e-3, "steps": 90}
judge(
    "words alone, each by itself",
    seqkit.Tagger(nn.MLP(32), chars=False, forms=False, **options).fit(*train),
)
judge("and their form", seqkit.Tagger(nn.MLP(32), **options).fit(*train))

# ---------------------------------------------------------------------------------------------
heading("4. Why the future matters")
# An LSTM carries what came before along, a window of the last words (TDNN) sees them; but what "turns" is stands at the
# end of the sentence. A second LSTM that reads backwards has seen it. The hidden Markov tagger decodes whole sentences
# as well (that "to" comes before a verb it does know), but its memory is two tags long.

judge("TDNN, 3 words back", seqkit.Tagger(nn.TDNN((48,), kernel=4), **options).fit(*train))
forwards = seqkit.Tagger(nn.LSTM(48), **options).fit(*train)
judge("LSTM", forwards)
both = seqkit.BiLSTMTagger(32, crf=True, dropout=0.1, lr=5e-3, steps=110).fit(*train)
judge("BiLSTM-CRF", both)

# What each believes of every word, as the sentence is read to its end:

shown = ["the", "shikaer", "turns", "the", "ganfiish", "dorfitude", "off", "."]
figure, axes = panels(1, 2, 10.5, 3.6, sharey=True)
for ax, (name, tagger) in zip(
    axes, {"LSTM, forwards": forwards, "BiLSTM-CRF": both}.items(), strict=True
):
    law = tagger.decode_proba(shown)
    image = ax.imshow(law.T, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    ax.set_xticks(range(len(shown)), shown, rotation=35, ha="right")
    ax.set_yticks(range(law.shape[1]), law.columns)
    ax.set_title(f"P(tag | sentence): {name}", loc="left", fontsize="medium")
    at = shown.index("turns")
    print(
        f"{name:15s} 'turns' is SEP with {law.loc[at, 'SEP']:.2f}, VERB with {law.loc[at, 'VERB']:.2f}"
    )
figure.colorbar(image, ax=axes, shrink=0.8)
save(figure, "07_marginals.png")

# ---------------------------------------------------------------------------------------------
heading("5. Labels that depend on each other")
# A softmax at each step chooses every label by itself. A conditional random field adds a score for each pair of
# neighbours and chooses all labels together (Viterbi), by the same recursion as the hidden Markov model: the weights
# are free scores instead of probabilities. It matters most where labels make chunks: B-x begins one, I-x goes on.
# "new york" is a place (loc), "new balance" a firm (org); "york" and "balance" alone are neither.

CHUNKS = [
    ("new york", "loc"),
    ("new balance", "org"),
    ("old york road", "loc"),
    ("york balance sheet", "org"),
]


def chunked() -> tuple[list[str], list[str]]:
    words, labels = [], []
    for _ in range(rng.integers(2, 5)):
        if rng.random() < 0.5:
            name, kind = CHUNKS[rng.integers(len(CHUNKS))]
            parts = name.split()
            words += parts
            labels += [f"{'I' if i else 'B'}-{kind}" for i in range(len(parts))]
        else:
            words += list(rng.choice(["road", "sheet", "sees", "old", "new"], rng.integers(1, 3)))
            labels += ["O"] * (len(words) - len(labels))
    return words, labels


def chunks(count: int) -> tuple[list[list[str]], list[list[str]]]:
    made = [chunked() for _ in range(count)]
    return [w for w, _ in made], [tags for _, tags in made]


learn, check = chunks(150), chunks(150)
narrow = {"lr": 0.02, "steps": 120}
softmax = seqkit.Tagger(nn.MLP(16), **narrow).fit(*learn)
crf = seqkit.Tagger(nn.MLP(16), crf=True, constraints="bio", **narrow).fit(*learn)
edges = np.cumsum([len(words) for words in check[0]])[:-1]
for name, tagger in (("softmax", softmax), ("CRF, BIO", crf)):
    found = [part.tolist() for part in np.split(tagger.decode(check[0]).to_numpy(), edges)]
    score = span_f1(check[1], found)
    print(
        f"{name:8s} each word seen by itself: {tagger.score(*check):.1%} of labels right, F1 of chunks {score:.2f}"
    )

figure, axes = panels(1, 1, 5.4, 4.2)
scores = crf.transition_
finite = scores.replace(-np.inf, np.nan)
widest = finite.abs().max(axis=None)
image = axes[0].imshow(finite, cmap="RdBu_r", vmin=-widest, vmax=widest)
axes[0].set_facecolor("#d0d0d0")
axes[0].set_xticks(range(len(scores)), scores.columns, rotation=35, ha="right")
axes[0].set_yticks(range(len(scores)), scores.index)
axes[0].set(xlabel="to", ylabel="from")
axes[0].set_title("Transition scores of the CRF (grey: forbidden)", loc="left", fontsize="medium")
figure.colorbar(image, shrink=0.8)
save(figure, "07_transitions.png")

best, p = crf.k_best(["old", "york", "road"], 3)
for rank in best:
    print(f"P = {p[rank]:.3f}: {' '.join(best[rank])}")

# ---------------------------------------------------------------------------------------------
heading("6. Labels of numbers in time")
# The same models label series: which activity, at every step? Three activities differ in level and speed; a sensor
# shows them with noise. Labels of a fifth of the steps are missing: nothing is learnt there.


def activities(days: int) -> tuple[list[pd.DataFrame], list[pd.Series]]:
    frames, labels = [], []
    for day in pd.date_range("2024-03-01", periods=days):
        index = pd.date_range(day, periods=48, freq="30min", name="time")
        spans = np.repeat(rng.integers(0, 3, 12), rng.integers(4, 12, 12))[:48]
        phase = np.cumsum(np.array([0.1, 0.8, 2.0])[spans])
        seen = np.column_stack([np.sin(phase), np.cos(phase)]) + 0.3 * rng.normal(size=(48, 2))
        frames.append(pd.DataFrame(seen, index, columns=["x", "y"]))
        labels.append(pd.Series(np.array(["rest", "walk", "run"])[spans], index))
    return frames, labels


frames, activity = activities(40)
later, truth = activities(20)
holed = [labels.mask(rng.random(48) < 0.2, None) for labels in activity]
per_step = {"batch_size": 8, "lr": 0.02, "steps": 120}
cores = {
    "each step by itself": nn.MLP(24),
    "LSTM": nn.LSTM(24),
    "both directions": nn.Bidirectional(nn.LSTM(24)),
}
for name, core in cores.items():
    tagger = seqkit.Tagger(core, crf=True, **per_step).fit(frames, holed)
    print(f"{name:20s} {tagger.score(later, truth):.1%} of the steps right")
print(tagger.decode(later[0]).head(3).to_string())

# ---------------------------------------------------------------------------------------------
heading("7. Where such a network must not be used")
# What is the label, if it is about the future? Will this random walk go up at the next step? Nobody can know. A network
# in both directions has the next value in front of it when it labels this step, and its score looks like a miracle.
# At the one step that matters, the last one, there is no next value, and it can only guess.

walk = [rng.normal(size=40).cumsum() for _ in range(120)]
rises = [np.append(np.diff(one) > 0, rng.random() < 0.5) for one in walk]
fit_on, ask = slice(0, 60), slice(60, 120)
last = np.cumsum([len(one) for one in walk[ask]]) - 1
for name, core in {"LSTM": nn.LSTM(24), "both directions": nn.Bidirectional(nn.LSTM(24))}.items():
    tagger = seqkit.Tagger(core, lr=0.02, steps=150).fit(walk[fit_on], rises[fit_on])
    right = tagger.decode(walk[ask]).to_numpy() == np.concatenate(rises[ask])
    inside = np.delete(right, last).mean()
    print(
        f"{name:16s} {inside:.1%} of the steps inside the series, {right[last].mean():.1%} of the last ones"
    )

# And what it said of the past changes when new rows come in; a causal core stands by what it said.

part, whole = shown[:4], shown
for name, tagger in {"LSTM, forwards": forwards, "BiLSTM-CRF": both}.items():
    before, after = tagger.decode_proba(part), tagger.decode_proba(whole)[:4]
    moved = float((before - after).abs().max(axis=None))
    print(
        f"{name:15s} beliefs of the first four words move by up to {moved:.2f} when the rest is read"
    )

# ---------------------------------------------------------------------------------------------
if os.environ.get("SEQKIT_DATA"):
    heading("8. English sentences")
    # UD English EWT: 12,544 sentences to learn from. A part of them and few passes here; benchmarks/tagging_networks.py
    # learns from all.
    data = seqkit.datasets.load("ud_ewt")
    few = [part[:1500] for part in data.train]
    for name, tagger in {
        "hidden Markov": seqkit.HMMTagger(),
        "BiLSTM": seqkit.BiLSTMTagger(96, epochs=4, lr=5e-3),
    }.items():
        tagger.fit(*few)
        print(f"{name:15s} {tagger.score(*data.dev):.2%} of the words of the development part")

print(
    "\nA tagger may look ahead wherever the whole sequence is there when it is asked: sentences, recordings.\n"
    "Where the series goes on and an answer is due now, take a causal core: nn.LSTM(64), not both directions."
)
