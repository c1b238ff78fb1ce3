"""Generation: a network that says what comes next can write.

A lesson in nine steps: the law of the next character, what a score means, temperature and its relatives, the likeliest
sequence, a condition, generation as classification, one long text, feeding a network its own writing, and numbers in
place of letters. Names and a song are in this file; with the large sets in the folder SEQKIT_DATA the lesson ends with
32,000 given names and the plays of Shakespeare.

    python tutorials/09_generation.py            # figures go to out/tutorials
    python tutorials/09_generation.py FOLDER
"""

import itertools
import math
import os
from collections import Counter

import numpy as np
import torch
from lesson import heading, panels, save, title

import seqkit
from seqkit import nn
from seqkit.plotting.style import INK, colour
from seqkit.tasks import reshaped

torch.set_num_threads(1)  # matrices this small are done before a second thread wakes up

NAMES = {
    "Finnish": """aino aarne aatu ahti aki aleksi antti anneli armas arto eero eeva eila eino elina erkki esa esko
        hannele hannu harri heikki helmi henna hilkka iiro iida ilkka ilmari ilona irja isto jaakko jalmari janne jari
        jarkko jarmo joni jorma jouko juha jukka jussi juuso kaarina kaarlo kaija kaisa kalevi kalle kari katri kauko
        kerttu kimmo kirsi kyllikki lasse lauri leena liisa maija marjatta markku martti matti mika mikko minna niilo
        oili olavi onni osmo otso outi paavo paula pekka pentti petri pirjo pirkko raija raimo reijo reino riikka riitta
        risto saara salla sami sanna satu seija seppo sirkka taina taneli tapani tapio tarja tarmo teemu terhi tiina
        timo toivo tommi tuomas tuula tuure urho vappu veikko vesa viljo ville virpi yrjo""",
    "Italian": """adele alberto aldo alessandra alessia alfredo amedeo andrea angela antonella antonio armando arturo
        aurora beatrice benedetta bianca bruno camilla carla carlo carmela caterina cecilia chiara cinzia claudia
        concetta cosimo cristina daniela davide debora domenico donatella edoardo elena eleonora elisabetta emanuele
        enrico enzo ernesto fabio fabrizio federica ferdinando filippo fiorella flavia francesca franco gabriele
        gennaro giacomo giada gianluca gino giorgia giovanni giulia giuseppe graziella ignazio ilaria jacopo laura
        leonardo lorenzo luca lucia luigi marcello margherita marianna marina mario massimo matteo maurizio michele
        mirella monica nicola noemi orazio ornella paolo patrizia piero raffaele renato roberta rocco rosanna
        salvatore serena silvia simone stefania teresa tommaso umberto valentina vincenzo vittoria viviana""",
    "Japanese": """ai akane akemi aki akihiko akiko akio akira asami asuka atsuko ayaka ayako ayumi chie chieko chiharu
        chiyo daichi daiki daisuke eiji eiko emi emiko etsuko fumiko fumio goro hajime hana hanako haruka haruki haruko
        hideaki hideki hideo hikaru hiroaki hiroko hiromi hiroshi hisako hitomi ichiro isamu isao jiro junichi junko
        kaede kaito kaori kaoru katsumi kazuko kazuo keiichi keiko kenichi kenji kenta kiyoko kiyoshi koichi koji kumiko
        mai maki makoto mariko masahiro masako masaru masato mayumi megumi michiko midori miho mika miki minoru misaki
        mitsuko miyuki nana nanami naoko naoto natsuko noboru nobuo noriko osamu reiko rika rumi ryoko ryota sachiko
        sadao sakura satoshi sayaka setsuko shigeru shinji shiori shoji shota sumiko tadashi takako takashi takeshi
        takumi tamiko tatsuya tetsuo tomoko toru toshio tsutomu yasuko yoko yoshiko yuka yuki yumiko yutaka""",
}
SONG = """This is the house that Jack built.
This is the malt that lay in the house that Jack built.
This is the rat that ate the malt that lay in the house that Jack built.
This is the cat that killed the rat that ate the malt that lay in the house that Jack built.
This is the dog that worried the cat that killed the rat that ate the malt that lay in the house that Jack built.
"""


words, origins = [], []
for origin, text in NAMES.items():
    words += text.split()
    origins += [origin] * len(text.split())
order = np.random.default_rng(0).permutation(len(words))
words, origins = [words[i] for i in order], [origins[i] for i in order]
cut = len(words) * 4 // 5
train, test = words[:cut], words[cut:]

# ---------------------------------------------------------------------------------------------
heading("1. The law of the next character")
# Every law of sequences is a product of laws of the next symbol, whatever the symbols are:
#
#     p(y_1 .. y_T) = p(y_1) p(y_2 | y_1) .. p(y_T | y_1 .. y_T-1) p(end | y_1 .. y_T)
#
# The end is a symbol, too; without it the probabilities of short and long names could not sum to one. A bigram model
# counts which character follows which. A recurrent network reads all that was written and gives a law for the next.

print(f"{len(train)} names to learn from, {len(test)} held out; for example {', '.join(train[:8])}")
pairs = Counter(pair for name in train for pair in itertools.pairwise(f".{name}."))
firsts = Counter(a for (a, _), n in pairs.items() for _ in range(n))
letters = sorted({c for name in words for c in name} | {"."})


def bigram(name: str) -> float:
    """log p by counts, one added to each."""
    return sum(
        math.log((pairs[pair] + 1) / (firsts[pair[0]] + len(letters)))
        for pair in itertools.pairwise(f".{name}.")
    )


generator = seqkit.SequenceGenerator(nn.LSTM(64, dropout=0.3), lr=0.01, epochs=30, dropout=0.1)
generator.fit(train, validation=test)
symbols = sum(len(name) + 1 for name in test)
counted = sum(map(bigram, test)) / symbols
print("nats a character on names held out, the end counted:")
print(f"  all letters alike {math.log(len(letters)):.3f}")
print(f"  bigrams           {-counted:.3f}")
print(
    f"  LSTM              {-generator.score(test):.3f}, perplexity {generator.perplexity(test):.1f}"
)

history = generator.history_
figure, axes = panels(1, 1, 6.5, 3.3)
axes[0].plot(history["epoch"], history["loss"], color=colour(0), label="names learnt from")
axes[0].plot(history["epoch"], history["validation"], color=colour(1), label="names held out")
axes[0].axhline(-counted, color=INK, ls=":", lw=1, label="bigrams, held out")
axes[0].set(xlabel="passes through the names", ylabel="nats a character", ylim=(1.7, 3.2))
axes[0].legend(frameon=False, fontsize="small")
title(axes[0], "LSTM of 64 units: from where the lines part, it learns names by heart")
save(figure, "09_learning.png")
# From about the sixth pass on part of what is learnt is these names and not names. Dropout keeps that from doing
# harm here; `patience=` would stop, and go back to, where the held-out names were best:
best = history.loc[history["validation"].idxmin()]
print(f"held-out names were best after {best['epoch']:.0f} passes: {best['validation']:.3f}")

# ---------------------------------------------------------------------------------------------
heading("2. What a score is made of")
# The score of a name is the sum of what each character costs, and the costs tell where a name is unexpected.

figure, axes = panels(3, 1, 6.5, 4.8, sharey=True)
for ax, name in zip(axes, ("mikko", "takako", "marikka"), strict=True):
    nats = -generator.log_prob_steps([name])[0]
    print(
        f"{name:11s} {' '.join(f'{c}:{n:.1f}' for c, n in zip([*name, 'end'], nats, strict=True))}"
    )
    ax.bar(range(len(nats)), nats, color=colour(0), width=0.7)
    ax.set_xticks(range(len(nats)), [*name, "end"])
    ax.set_ylabel("nats")
    title(ax, f"{name}: {sum(nats):.1f} nats, log p {generator.log_prob([name])[0]:.1f}")
save(figure, "09_costs.png")

# ---------------------------------------------------------------------------------------------
heading("3. Samples, hotter and colder")
# Drawing from the law of the next character, feeding what was drawn, and drawing again is an exact sample. To divide
# the logits by a temperature first makes the likely likelier (below 1) or levels all (above); top-k and the nucleus
# cut the unlikely off. None of them is the model's law any more: they buy safety with variety.

for temperature in (0.3, 0.7, 1.0, 1.5):
    drawn = generator.sample(400, seed=1, temperature=temperature)
    new = len({one for one in drawn if one not in words})
    print(f"T = {temperature}: {new:3d} new names of 400; {', '.join(drawn[:7])}")
print("nucleus 0.8: " + ", ".join(generator.sample(8, seed=1, nucleus=0.8)))
print("top 3:       " + ", ".join(generator.sample(8, seed=1, top_k=3)))

law = generator.law("ma").sort_values(ascending=False)
logits = torch.from_numpy(np.log(law.to_numpy()))
figure, axes = panels(1, 3, 10, 3.2, sharey=True)
for ax, temperature in zip(axes, (0.5, 1.0, 2.0), strict=True):
    p = reshaped(logits, temperature=temperature).exp().numpy()
    inside = reshaped(logits, temperature=temperature, nucleus=0.8) > -math.inf
    ax.bar(range(12), p[:12], color=[colour(0) if kept else "#BBBBBB" for kept in inside[:12]])
    ax.set_xticks(range(12), law.index[:12])
    nats = -float((p * np.log(p)).sum())
    title(ax, f"T = {temperature}: {nats:.2f} nats")
axes[0].set_ylabel('probability after "ma"')
axes[2].annotate("coloured: nucleus of 0.8", (0.98, 0.9), xycoords="axes fraction", ha="right")
save(figure, "09_temperature.png")

# ---------------------------------------------------------------------------------------------
heading("4. The likeliest name")
# Taking the likeliest character again and again need not lead to the likeliest name. A beam keeps several beginnings.

for beam in (1, 2, 5, 20):
    name = generator.decode(beam=beam)
    print(f"beam {beam:2d}: {name:10s} log p {generator.log_prob([name])[0]:.2f}")
print(
    "beginnings completed: "
    + ", ".join(generator.decode(prefix=["ma", "ki", "es", "fran"], beam=5))
)

# ---------------------------------------------------------------------------------------------
heading("5. A condition")
# The same network can write many kinds of sequences, if it is told which. A label becomes a vector, which moves the
# first state of the core and is fed at every step beside the last character.

told = seqkit.SequenceGenerator(nn.LSTM(64, dropout=0.3), lr=0.01, epochs=15, dropout=0.1).fit(
    train, origins[:cut]
)
for origin in NAMES:
    drawn = told.sample(8, seed=3, condition=origin, temperature=0.8)
    print(f"{origin:9s} {', '.join(drawn)}")
print(f"score {told.score(test, origins[cut:]):.3f} told, {generator.score(test):.3f} not told")

# ---------------------------------------------------------------------------------------------
heading("6. Who writes can also tell apart")
# Bayes' rule turns a generator into a classifier: p(label | y) ~ p(y | label) p(label). It says, too, when none fits.

likelihoods = np.stack([told.log_prob(test, [origin] * len(test)) for origin in NAMES])
found = np.array(list(NAMES))[likelihoods.argmax(0)]
accuracy = (found == np.array(origins[cut:])).mean()
print(f"accuracy on names held out: {accuracy:.2f}; guessing the commonest would give "
      f"{max(Counter(origins[cut:]).values()) / len(test):.2f}")  # fmt: skip
for name in ("mariko", "mariella", "marjukka"):
    p = np.array([told.log_prob([name], [origin])[0] for origin in NAMES])
    shares = np.exp(p - p.max()) / np.exp(p - p.max()).sum()
    print(f"{name:9s} {', '.join(f'{o} {s:.2f}' for o, s in zip(NAMES, shares, strict=True))}")

# ---------------------------------------------------------------------------------------------
heading("7. One long text")
# A text without end is a language model's. It is learnt piece by piece: the state goes on from one piece to the next,
# the gradient does not (truncated back-propagation). Several stretches of the text are read side by side.

song = seqkit.SequenceGenerator(nn.LSTM(96), chunk=48, batch_size=4, lr=0.01, epochs=60).fit(
    SONG * 4
)
print(f"{len(SONG)} characters, four times over: {song.bits_per_character(SONG * 4):.2f} bits each")
print(song.sample(1, 230, prefix="This is the cow", temperature=0.3)[0])
# It never saw a cow. What it has learnt is what follows a beast, not what a beast is.

# ---------------------------------------------------------------------------------------------
heading("8. Teacher forcing, and what it does not teach")
# In training every step is fed the truth (teacher forcing), in writing what was written. A network that has never seen
# its own slips does not know how to go on after one. Scheduled sampling feeds it what it drew, in a share of the
# steps that rises to `scheduled`. What is learnt then is no longer the law of the data, so the score gets worse; in
# words as short as these, where a slip has no time to grow, nothing is won for it.

for share in (0.0, 0.3):
    model = seqkit.SequenceGenerator(
        nn.LSTM(48), lr=0.01, epochs=8, dropout=0.1, scheduled=share
    ).fit(train)
    drawn = model.sample(300, seed=0)
    plausible = np.mean([bigram(one) / (len(one) + 1) for one in drawn if one])
    print(
        f"scheduled {share}: score {model.score(test):.3f}; samples score {plausible:.3f} by bigrams"
    )

# ---------------------------------------------------------------------------------------------
heading("9. Numbers")
# With a law of numbers at the end the same network writes curves. The condition is a vector: frequency and loudness.


def wave(frequency: float, loudness: float, rng: np.random.Generator) -> np.ndarray:
    phase = rng.uniform(0, 2 * math.pi)
    return loudness * np.sin(phase + frequency * np.arange(48)) + rng.normal(0, 0.05, 48)


rng = np.random.default_rng(0)
vectors = np.column_stack([rng.uniform(0.2, 0.9, 400), rng.uniform(0.3, 1.5, 400)])
waves = [wave(*vector, rng) for vector in vectors]
writer = seqkit.SequenceGenerator(nn.LSTM(48), lr=0.01, epochs=12).fit(waves, vectors)
print(f"log density a step: {writer.score(waves, vectors):.2f} nats; the noise alone would give "
      f"{-math.log(0.05 * math.sqrt(2 * math.pi * math.e)):.2f}")  # fmt: skip
figure, axes = panels(2, 3, 10, 4.2, sharex=True, sharey=True)
asked = [(0.25, 1.4), (0.5, 0.8), (0.85, 0.4)]
for column, vector in enumerate(asked):
    drawn = writer.sample(3, 48, seed=column, condition=vector)
    for i, curve in enumerate(drawn):
        axes[column].plot(curve, color=colour(i), lw=1.2)
        axes[3 + column].plot(wave(*vector, rng), color=colour(i), lw=1.2)
    title(axes[column], f"written: frequency {vector[0]}, loudness {vector[1]}")
    title(axes[3 + column], "true")
    # three numbers say how well: sizes, and the frequency by the turns of the curve
    sizes = [one.std() * math.sqrt(2) for one in writer.sample(100, 48, condition=vector)]
    print(f"asked for loudness {vector[1]}: samples have {np.median(sizes):.2f}")
save(figure, "09_waves.png")

# ---------------------------------------------------------------------------------------------
heading("With SEQKIT_DATA: more names, and Shakespeare")
if "SEQKIT_DATA" in os.environ:
    names = np.array(seqkit.datasets.load("names"))
    names = names[np.random.default_rng(0).permutation(len(names))].tolist()
    large = seqkit.SequenceGenerator(nn.LSTM(96), steps=250, batch_size=64, lr=0.01).fit(
        names[1000:]
    )
    print(f"names: {-large.score(names[:1000]):.3f} nats a character after 250 steps")
    print("  " + ", ".join(large.sample(10, seed=0, temperature=0.8)))
    plays = seqkit.datasets.load("tinyshakespeare")
    cut = int(0.9 * len(plays))
    poet = seqkit.SequenceGenerator(nn.LSTM(128), steps=120, chunk=64, batch_size=64, lr=0.01)
    poet.fit(plays[:cut])
    print(f"plays: {poet.bits_per_character(plays[cut : cut + 20_000]):.2f} bits a character "
          "after 120 steps; benchmarks/generation.py goes on")  # fmt: skip
    print(poet.sample(1, 200, prefix="ROMEO:\n", temperature=0.7)[0])
else:
    print("set SEQKIT_DATA to the folder of the benchmark sets to run this step")
