"""Sequences to sequences: from letters to sounds, with attention, and without any alignment but a rule.

A lesson in seven steps: why a tag for every letter is not enough, an encoder and a decoder, attention and what it
looks at, greedy search against a beam, how much harder it is without attention, CTC on the same words, and numbers to
numbers.

    python tutorials/10_seq2seq.py            # a language made here; figures go to out/tutorials
    python tutorials/10_seq2seq.py FOLDER
    SEQKIT_DATA=... python tutorials/10_seq2seq.py    # words of the CMU pronouncing dictionary
"""

import os
import re

import numpy as np
import torch
from lesson import heading, save
from matplotlib.figure import Figure

import seqkit
from seqkit import nn, plotting
from seqkit.evaluation.labels import sequence_error_rate, token_error_rate
from seqkit.plotting.style import INK, colour, tidy

torch.set_num_threads(1)  # matrices this small are done before a second thread wakes up
real = bool(os.environ.get("SEQKIT_DATA"))


# ---------------------------------------------------------------------------------------------
heading("1. Letters and sounds")
# How a word is written and how it is said are two sequences of different symbols and different lengths: "sequence" has
# eight letters and seven sounds, S IY K W AH N S. Which sound a letter stands for depends on what is around it, and an
# e at the end of a word is silent but changes a vowel two letters before. A tagger, which gives every letter one tag,
# does not fit.
#
# Without the dictionary we make a language with such rules of its own.

VOWELS = {"a": "AE", "e": "EH", "i": "IH", "o": "AA", "u": "AH"}
LONG = {"a": "EY", "e": "IY", "i": "AY", "o": "OW", "u": "UW"}
PAIRS = {
    "ch": ["CH"], "sh": ["SH"], "th": ["TH"], "ph": ["F"], "qu": ["K", "W"], "ee": ["IY"], "oo": ["UW"], "ai": ["EY"],
}  # fmt: skip
PLAIN = dict(
    zip("bdfklmnprtv", ["B", "D", "F", "K", "L", "M", "N", "P", "R", "T", "V"], strict=True)
)
BEGINNINGS = [*"bcdfgklmnprstv", "ch", "sh", "th", "ph", "qu", "st", "tr", "pl", "kn"]
ENDINGS = ["", "", "n", "t", "r", "l", "x", "s", "ck", "tt", "st", "nd"]


def invented(rng: np.random.Generator) -> str:
    """One to three syllables, sometimes a silent e behind them."""
    word = ""
    for _ in range(rng.integers(1, 4)):
        word += (
            rng.choice(BEGINNINGS) + rng.choice([*"aeiou", "ee", "oo", "ai"]) + rng.choice(ENDINGS)
        )
    return word + "e" if word[-1] in "ntrlscx" and rng.random() < 0.3 else word


def said(word: str) -> list[str]:
    """The rules: pairs of letters, soft c and g, a silent e that makes the vowel before it long, s between vowels."""
    sounds, i = [], 0
    silent = len(word) > 3 and word[-1] == "e" and word[-2] not in "aeiou"
    while i < len(word) - silent:
        here, after, before = word[i], word[i + 1 : i + 2], word[i - 1 : i]
        if i == 0 and word.startswith("kn"):
            sounds.append("N")
            i += 2
        elif here + after in PAIRS:
            sounds += PAIRS[here + after]
            i += 2
        elif here == after or here + after == "ck":
            i += 1  # said once
        else:
            if here in VOWELS:
                lengthened = silent and i == len(word) - 3
                sounds.append((LONG if lengthened else VOWELS)[here])
            elif here in "cg":
                soft = after and after in "ei"
                sounds.append({"c": "S", "g": "JH"}[here] if soft else {"c": "K", "g": "G"}[here])
            elif here == "s":
                between = before and after and before in "aeiou" and after in "aeiou"
                sounds.append("Z" if between else "S")
            else:
                sounds += ["K", "S"] if here == "x" else [PLAIN[here]]
            i += 1
    return sounds


def dictionary(count: int) -> dict[str, list[str]]:
    """Words of one accepted pronunciation: those of the CMU dictionary, or invented ones."""
    rng = np.random.default_rng(0)
    if not real:
        words: dict[str, list[str]] = {}
        while len(words) < count:
            word = invented(rng)
            words[word] = said(word)
        return words
    table = seqkit.datasets.load("cmudict")
    table = table[(table["variant"] == 1) & table["word"].str.fullmatch("[a-z]{3,9}")]
    spelt = (
        table["phones"].str.split().str.len() > 2 * table["word"].str.len()
    )  # "www", letter by letter
    table = table[~spelt]
    table = table.iloc[np.sort(rng.permutation(len(table))[:count])]
    return {
        word: re.sub(r"\d", "", phones).split()
        for word, phones in zip(table["word"], table["phones"], strict=True)
    }


entries = dictionary(12_000 if real else 1_800)
words = list(entries)
np.random.default_rng(1).shuffle(words)
held = 300
learnt, unseen = words[held:], words[:held]
sounds, truth = ([entries[word] for word in part] for part in (learnt, unseen))
for word in learnt[:5]:
    print(f"  {word:12} {' '.join(entries[word])}")
print(f"{len(learnt):,} words to learn from, {len(unseen):,} that no model sees before it is asked")

# ---------------------------------------------------------------------------------------------
heading("2. An encoder, a decoder, and attention between them")
# One core reads the letters, in both directions, since all of the word is there before the first sound is said. A
# second one writes the sounds: it reads the sound before, and can only look back, since what follows is still to be
# written. Sutskever et al. (2014) hand it nothing but the encoder's last state. Bahdanau et al. (2015) let it look: at
# every step a weight for each letter, and their weighted mean,
#
#     c_u = sum_j a_uj h_j,    a_u = softmax over j of v' tanh(V s_u + W h_j)
#
# In training the decoder reads the true sounds ("teacher forcing"), so that it runs over the whole word in one call.

PASSES = {"epochs": 7 if real else 9, "batch_size": 64 if real else 32, "lr": 8e-3}
WIDTH = 96 if real else 40


def network(attention: str | None, **options) -> seqkit.Seq2Seq:
    return seqkit.Seq2Seq(
        nn.Bidirectional(nn.LSTM(WIDTH)), nn.LSTM(2 * WIDTH), attention, **(PASSES | options)
    )


def errors(found: list[list[str]]) -> tuple[float, float]:
    return token_error_rate(truth, found), sequence_error_rate(truth, found)


try:
    seqkit.Seq2Seq(nn.LSTM(64), nn.Bidirectional(nn.LSTM(64)))
except TypeError as error:
    print(f"A decoder that looks ahead is refused: {error}\n")

g2p = network("additive").fit(learnt, sounds)
found = {"attention": errors(g2p.decode(unseen, beam=5))}
for word, heard in zip(unseen[:4], g2p.decode(unseen[:4], beam=5), strict=True):
    print(
        f"  {word:12} {' '.join(heard):28} {'' if heard == entries[word] else 'not ' + ' '.join(entries[word])}"
    )
print("{:.1%} of the sounds and {:.1%} of the unseen words are wrong".format(*found["attention"]))
print(
    f"{g2p.score(unseen, truth):.3f} nats for each sound and end; "
    f"{g2p.tokens_per_second_:,.0f} steps a second in training"
)

# ---------------------------------------------------------------------------------------------
heading("3. What it looks at")
# The weights are an alignment that nobody gave: letters and sounds go side by side, two letters of one sound share it,
# and what a silent letter does to its neighbours can be seen where it is looked at though it is not said. Below, how
# much each letter was looked at in all.

shown = "sequence" if real else max((w for w in unseen if w.endswith("e") and "x" in w), key=len)
table = g2p.alignment(shown)
print(table.round(2).to_string())
save(plotting.alignment(g2p, shown, coverage=True), "10_alignment.png")

# ---------------------------------------------------------------------------------------------
heading("4. Greedy search and a beam")
# The likeliest sound at every step need not lead to the likeliest word. A beam keeps a few unfinished words instead of
# one; the best ones come as a list, with their probabilities.

for beam in (1, 2, 10):
    answers = g2p.decode(unseen, beam=beam)
    log_prob = g2p.score(unseen, answers) if all(answers) else np.nan
    print(
        f"  beam {beam:2}: {errors(answers)[1]:.1%} of the words wrong; {log_prob:.4f} nats a step of what was found"
    )
best = g2p.decode([shown], beam=10, n_best=3)
print(
    best.assign(output=best["output"].map(" ".join), probability=np.exp(best["log_prob"]))[
        ["output", "probability"]
    ].to_string()
)

# ---------------------------------------------------------------------------------------------
heading("5. Without attention")
# All that is known of a word must then fit into one vector, and it shows most where words are long.

blind = network(None).fit(learnt, sounds)
answers = {"attention": g2p.decode(unseen), "one vector": blind.decode(unseen)}
found["one vector"] = errors(answers["one vector"])
lengths = np.array([len(word) for word in unseen])
highest = np.unique(np.quantile(lengths, [0.25, 0.5, 0.75, 1]).astype(int))
group = np.searchsorted(highest, lengths)
figure = Figure(figsize=(6, 3.2), layout="constrained")
ax = figure.subplots()
tidy(ax)
for i, (name, heard) in enumerate(answers.items()):
    wrong = np.array([a != b for a, b in zip(heard, truth, strict=True)])
    shares = [100 * wrong[group == number].mean() for number in range(len(highest))]
    ax.plot(range(len(highest)), shares, "o-", color=colour(i), label=name)
lowest = [lengths.min(), *(highest[:-1] + 1)]
labels = [f"{low} to {high}" for low, high in zip(lowest, highest, strict=True)]
ax.set_xticks(range(len(highest)), labels)
ax.set_xlabel("letters")
ax.set_ylabel("words wrong, %")
ax.set_ylim(bottom=0)
ax.legend(frameon=False, fontsize=8, labelcolor=INK)
save(figure, "10_lengths.png")

# ---------------------------------------------------------------------------------------------
heading("6. CTC: the alignments are summed over")
# Letters and sounds run in the same order, so one may also give every letter a few frames, let each frame say a sound
# or nothing, and sum over all ways in which the frames could say the word (Graves et al. 2006). There is no decoder:
# what is said in one frame does not know what was said in another.

ctc = seqkit.CTC(nn.Bidirectional(nn.LSTM(WIDTH)), 3, **PASSES).fit(learnt, sounds)
found["CTC"] = errors(ctc.decode(unseen, beam=8))
print(f"{'':12}   sounds   words    seconds")
for (name, (per, wer)), model in zip(found.items(), (g2p, blind, ctc), strict=True):
    print(f"{name:12} {per:8.1%} {wer:7.1%} {model.history_['seconds'].iloc[-1]:10.1f}")

# ---------------------------------------------------------------------------------------------
heading("7. Numbers to numbers")
# Inputs and outputs may be numbers too; then each number that is written has a law, and where the output ends is learnt
# with it. Here a wave is continued: from 24 steps of it, the next 12, each read back as the decoder goes on.

rng = np.random.default_rng(2)
count = 300
period, phase = rng.uniform(6, 12, count), rng.uniform(0, 2 * np.pi, count)
waves = np.sin(2 * np.pi * np.arange(36) / period[:, None] + phase[:, None]) + rng.normal(
    0, 0.05, (count, 36)
)
past, future = list(waves[:, :24]), list(waves[:, 24:])
continued = seqkit.Seq2Seq(nn.LSTM(32), nn.LSTM(32), None, steps=150, lr=1e-2).fit(
    past[:-50], future[:-50]
)
guesses = continued.decode(past[-50:])
error = np.mean([np.abs(a - b).mean() for a, b in zip(guesses, future[-50:], strict=True)])
naive = np.mean([np.abs(b - a[-1]).mean() for a, b in zip(past[-50:], future[-50:], strict=True)])
print(
    f"mean absolute error {error:.2f}, of the last value carried on {naive:.2f}; all of {len(guesses[0])} steps"
)
print(f"score {continued.score(past[-50:], future[-50:]):.2f} nats a step")
