"""Generators: what every core must learn, the law that is scored and drawn from, and what is refused."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import chisquare
from tensors import close, normal, seeded

import seqkit
from seqkit import SequenceGenerator, nn
from seqkit.models.sequence_networks._inputs import Observed
from seqkit.tasks import (
    Continued,
    Examples,
    NumberSteps,
    OneToMany,
    Ragged,
    SymbolSteps,
    pieces,
    reshaped,
)

RNG = np.random.default_rng(0)
CORES = {
    "MLP": nn.MLP(24),
    "Stack": nn.Stack((nn.GRU(20), nn.TDNN((20,), kernel=2))),
    "TDNN": nn.TDNN((24, 24), kernel=3, dilations=(1, 3)),
    "RNN": nn.RNN(24),
    "LSTM": nn.LSTM(24),
    "GRU": nn.GRU(24),
}
EVERY = pytest.mark.parametrize("core", CORES.values(), ids=CORES)
MEMORY = pytest.mark.parametrize("core", [CORES[k] for k in list(CORES)[1:]], ids=list(CORES)[1:])
COUNTERS = pytest.mark.parametrize("core", [CORES[k] for k in list(CORES)[3:]], ids=list(CORES)[3:])


def learner(core: nn.Core = CORES["LSTM"], **options) -> SequenceGenerator:
    return SequenceGenerator(core, **{"epochs": 12, "lr": 0.02, "batch_size": 16} | options)


@pytest.fixture(scope="module")
def writer() -> SequenceGenerator:
    """Words of two letters, of any length: no certain law."""
    words = [
        "".join(RNG.choice(["a", "b"], size=RNG.integers(1, 5), p=[0.7, 0.3])) for _ in range(300)
    ]
    return learner(nn.LSTM(8), epochs=3).fit(words)


# -- toys that must be solved --------------------------------------------------------------------


@EVERY
def test_the_sequence_of_a_label_is_copied(core):
    words = {"x": "abcd", "y": "badc", 3: "dab"}
    labels = list(words) * 40
    model = learner(core).fit([words[k] for k in labels], labels)
    assert model.decode(condition=list(words)) == list(words.values())
    assert set(model.sample(20, seed=1, temperature=0.3, condition="y")) == {"badc"}


@pytest.mark.parametrize("given", [dict, pd.Series])
def test_conditions_find_their_sequences_by_name(given):
    x = {"p": ["a"], "q": ["b"]}
    named = learner(nn.GRU(8), epochs=60).fit(x, given({"q": "B", "p": "A"}))
    assert [named.decode(condition=c) for c in "AB"] == [["a"], ["b"]]
    scores = named.log_prob(x, given({"q": "B", "p": "A"}))
    np.testing.assert_array_equal(scores, named.log_prob([["a"], ["b"]], ["A", "B"]))
    with pytest.raises(ValueError, match="y names some of the sequences of x, but not 'p' once"):
        named.score(x, pd.Series({"q": "B", "r": "A"}))


@EVERY
def test_a_vector_says_what_is_written(core):
    vectors = RNG.normal(size=(300, 2))
    words = np.where(vectors[:, 0] > 0, "ab", "ba") + np.where(vectors[:, 1] > 0, "c", "d").astype(
        object
    )
    model = learner(core, epochs=12).fit(list(words), vectors)
    clear = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    assert model.decode(condition=clear) == ["abc", "abd", "bac", "bad"]
    assert model.decode(condition=[1.0, -1.0]) == "abd"


def test_vectors_may_be_lists_and_single_numbers():
    words, vectors = ["ab", "ba"] * 10, [[-1.0, 2.0], [1.0, 0.0]] * 10
    rows = learner(nn.MLP(8)).fit(words, vectors)
    assert rows.score(words, vectors) == rows.score(words, np.array(vectors))
    alone = learner(nn.MLP(8)).fit(words, [-1.0, 1.0] * 10)
    assert alone.decode(condition=[-1.0, 1.0]) == [alone.decode(condition=v) for v in (-1.0, 1.0)]


@MEMORY
def test_the_first_symbol_is_recalled(core):
    words = [c + "....." + c for c in "abcd"]
    model = learner(core, epochs=20).fit(words * 25)
    assert model.decode(prefix=list("abcd")) == words


@COUNTERS
def test_it_counts(core):
    words = ["a" * n + "b" * n for n in (1, 2, 3, 4)]
    model = learner(core, epochs=40).fit(words * 16)
    assert model.decode(prefix=[word[: len(word) // 2 + 1] for word in words]) == words


@COUNTERS
@pytest.mark.parametrize("conditioning", ["state", "input", "both"])
def test_a_condition_may_come_by_the_state_or_at_every_step(core, conditioning):
    labels = [0, 1] * 40
    model = learner(core, epochs=10, conditioning=conditioning)
    model.fit([["w", "u"] if k else ["u", "w"] for k in labels], labels)
    assert model.decode(condition=[0, 1]) == [["u", "w"], ["w", "u"]]


# -- the law -------------------------------------------------------------------------------------


def unrolled(model: SequenceGenerator, codes: list[int], condition=None) -> float:
    """log p of codes, the end among them, one step after the other."""
    task = model._task()
    state, fed, total = task.initial(1, condition), torch.tensor([task.steps.first]), 0.0
    with torch.no_grad():
        for code in codes:
            raw, state = task.step(fed, state)
            total += raw.double().log_softmax(-1)[0, code].item()
            fed = torch.tensor([code])
    return total


@EVERY
def test_the_score_is_the_sum_over_single_steps(core):
    model = learner(core, epochs=1).fit(["ab", "bab", "b", "abba"], validation=["ab"])
    found = model.log_prob(["bab", "a"])
    code = {"a": 1, "b": 2} if model._kind.vocabulary.symbols[1] == "a" else {"b": 1, "a": 2}
    expected = [unrolled(model, [*(code[c] for c in word), 3]) for word in ("bab", "a")]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(
        [part.sum() for part in model.log_prob_steps(["bab", "a"])], expected, rtol=0, atol=1e-5
    )
    assert model.score(["bab", "a"]) == pytest.approx(sum(expected) / 6, rel=1e-5)
    assert model.perplexity(["bab"]) == pytest.approx(math.exp(-expected[0] / 4), rel=1e-5)
    assert model.bits_per_character(["bab"]) == pytest.approx(-expected[0] / 4 / math.log(2))


def test_the_probabilities_of_all_sequences_sum_to_one(writer):
    words = ["".join(w) for n in range(1, 13) for w in itertools.product("ab", repeat=n)]
    total = np.exp(writer.log_prob(words)).sum() + math.exp(unrolled(writer, [3]))
    assert 0.99 < total < 1 + 1e-9  # what is left belongs to longer ones


def test_the_law_of_the_next_symbol_is_what_single_steps_cost(writer):
    for prefix, after in (("ab", "b"), (None, "a"), ("b", "<end>")):
        word = (prefix or "") + ("" if after == "<end>" else after)
        place = len(prefix or "")
        law = writer.law(prefix)
        assert law.index.tolist() == ["a", "b", "<end>"] and law.sum() == pytest.approx(1.0)
        expected = np.exp(writer.log_prob_steps([word])[0][place])
        assert law[after] == pytest.approx(expected, rel=1e-5)


def test_the_law_of_the_next_numbers_is_what_single_steps_cost():
    panel = walks(6)
    model = learner(epochs=1).fit(panel)
    law = model.law(panel[0][:3])
    assert law.log_prob(panel[0][3]).sum() == pytest.approx(model.log_prob_steps(panel[:1])[0][3])


def test_teacher_forcing_learns_the_score():
    words = ["ab", "bab", "b", "abba"] * 3
    model = learner(epochs=2).fit(words)
    ragged = model._kind.ragged(Observed(words, "x", spelt=True), ends=True)
    total, count = model._task().loss(Examples(values=ragged).batch(torch.arange(12)))
    assert (total / count).item() == pytest.approx(-model.score(words), rel=1e-5)


def test_samples_follow_the_law(writer):
    words = pd.Series(writer.sample(4000, seed=3, length=30)).value_counts()
    likely = [word for word in words.index if word][:12]
    expected = np.exp(writer.log_prob(likely).to_numpy()) * 4000
    found = [*words[likely], 4000 - words[likely].sum()]
    assert chisquare(found, [*expected, 4000 - expected.sum()]).pvalue > 0.01


def test_samples_of_a_prefix_follow_the_law_after_it(writer):
    drawn = writer.sample(2000, seed=5, prefix="ab", length=1)
    whole = np.exp(writer.log_prob(["ab"])[0]) / sum(
        np.exp(writer.log_prob(["".join(["ab", *w]) for n in range(9) for w in itertools.product("ab", repeat=n)]))
    )  # fmt: skip
    share = sum(word == "ab" for word in drawn) / 2000
    assert share == pytest.approx(whole, abs=4 * math.sqrt(whole * (1 - whole) / 2000))


def test_samples_depend_on_nothing_but_the_seed(writer):
    state = torch.random.get_rng_state()
    assert writer.sample(5, seed=1) == writer.sample(5, seed=1) != writer.sample(5, seed=2)
    assert torch.equal(state, torch.random.get_rng_state())


def test_laws_begin_at_what_is_frequent():
    words = ["aab", "b"] * 3
    steps = learner(epochs=1).fit(words)._kind.steps(4, ends=True)
    close(steps.read(torch.zeros(4)).softmax(0), torch.tensor([0.0, 1.0, 1.0, 1.0]) / 3, 1e-6)
    rolls = [np.array([[0.0, 1.0], [0.0, 0.0], [1.0, 1.0], [0.0, 1.0]])]
    steps = learner(epochs=1).fit(rolls)._kind.steps(4, ends=False)
    close(steps.readout.bias.sigmoid(), torch.tensor([0.25, 0.75]), 1e-6)


@pytest.mark.parametrize(
    "options",
    [{"temperature": 0.3}, {"top_k": 3}, {"nucleus": 0.6}, {"temperature": 2.0, "top_k": 5, "nucleus": 0.8}],
    ids=str,
)  # fmt: skip
def test_reshaped_laws(options):
    logits = normal(50, 7)
    found = reshaped(logits, **options).exp()
    for row, p in zip(logits.numpy(), found, strict=True):
        q = np.exp(row / options.get("temperature", 1.0))
        order = np.argsort(-q)[: options.get("top_k", 7)]
        q = q / q[order].sum()
        kept = [order[0]]
        for k in order[1:]:  # until those before hold the nucleus
            if q[kept].sum() >= options.get("nucleus", 2.0):
                break
            kept.append(k)
        expected = np.zeros(7)
        expected[kept] = q[kept] / q[kept].sum()
        np.testing.assert_allclose(p, expected, rtol=0, atol=1e-12)


def test_draws_take_the_reshaped_law():
    steps = SymbolSteps(6, 4, ends=False, known=False)
    logits = normal(1, 6).expand(20_000, 6)
    drawn = steps.draw(logits, seeded(), temperature=0.7, top_k=4)
    p = reshaped(logits[0], temperature=0.7, top_k=4).exp().numpy()
    counts = np.bincount(drawn, minlength=6)
    assert not counts[p == 0].any()
    assert chisquare(counts[p > 0], 20_000 * p[p > 0]).pvalue > 0.01


# -- searching -----------------------------------------------------------------------------------


def test_a_beam_that_holds_all_is_enumeration(writer):
    for prefix in ("a", "bb"):
        words = [prefix + "".join(w) for n in range(4) for w in itertools.product("ab", repeat=n)]
        best = words[int(np.argmax(writer.log_prob(words)))]
        assert writer.decode(prefix=prefix, beam=64, length=3) == best


def test_a_beam_of_one_is_greedy(writer):
    from seqkit.tasks.beam import beam_search

    task = writer._task()

    def step(tokens, state):
        raw, state = task.step(tokens, state)
        return raw.double().log_softmax(-1), state

    with torch.no_grad():
        ((found,),) = beam_search(
            step, torch.tensor([3]), task.initial(1), end=3, max_length=9, beam=1
        )
    assert writer._kind.written(np.array(found.tokens)) == writer.decode(length=9)


@EVERY
def test_prefixes_of_unequal_lengths_are_read_side_by_side(core):
    model = learner(core, epochs=3).fit(["abcab", "cab", "bca"] * 10)
    prefixes = ["a", "cabca", "bc"]
    apart = [model.decode(prefix=one) for one in prefixes]
    assert model.decode(prefix=prefixes) == apart
    assert [model.decode(prefix=one, beam=3) for one in prefixes] == model.decode(
        prefix=prefixes, beam=3
    )


# -- one long text -------------------------------------------------------------------------------


def language(core: nn.Core = CORES["LSTM"], **options) -> OneToMany:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return OneToMany(
            core.build, lambda size: SymbolSteps(5, size, ends=False, embedding=6, **options)
        ).double()


def gradients(task: OneToMany) -> list[torch.Tensor]:
    return [p.grad for p in task.parameters() if p.grad is not None]


@EVERY
def test_pieces_that_cover_the_text_are_full_back_propagation(core):
    text = torch.from_numpy(RNG.integers(1, 5, size=40))
    found = []
    for whole in (True, False):
        task = language(core)
        if whole:
            total, count = task.loss({"values": Ragged.of([text]).take(torch.tensor([0]))})
        else:
            chunks = pieces(task, [text], chunk=40)
            total, count = Continued(task, 1).train().loss(chunks.batch(torch.tensor([0])))
        total.backward()
        found.append([total.detach(), *gradients(task)])
        assert int(count) == 40
    for a, b in zip(*found, strict=True):
        close(a, b)


@EVERY
def test_the_state_goes_on_from_piece_to_piece(core):
    text = torch.from_numpy(RNG.integers(1, 5, size=47))
    task = language(core)
    total, _ = task.eval().loss({"values": Ragged.of([text]).take(torch.tensor([0]))})
    chunks = pieces(task, [text], chunk=10)
    parts, count = Continued(task, 1).eval().loss(chunks.batch(torch.arange(len(chunks))))
    assert (len(chunks), int(count)) == (5, 47)
    close(parts, total)


@MEMORY
def test_a_long_text_is_learnt_and_continued(core):
    text = "one two three four " * 60
    model = learner(core, epochs=15, chunk=20).fit(text)
    assert model.bits_per_character(text) < 0.2
    assert model.decode(prefix="three f", length=12) == "three four one two "
    sampled = model.sample(2, prefix="two ", length=300, temperature=0.3)
    assert [len(one) for one in sampled] == [304, 304]


def test_text_is_scored_in_stretches_as_in_one(monkeypatch):
    text = "".join(RNG.choice(list("abc"), size=500))
    model = learner(epochs=1).fit([text])
    whole = model.log_prob(text)
    monkeypatch.setattr("seqkit.models.sequence_networks.generator.READ", 64)
    np.testing.assert_allclose(model.log_prob(text), whole, rtol=0, atol=1e-4)


def test_several_texts_that_are_learnt_in_pieces_do_not_end():
    model = learner(nn.MLP(4), epochs=1, chunk=3).fit(["abab", "ba"])
    assert len(model.log_prob_steps(["abab"])[0]) == 4
    assert list(model.law("a").index) == ["a", "b"]


def test_any_number_of_steps_can_be_watched_that_fills_the_lanes():
    text = torch.from_numpy(RNG.integers(1, 5, size=9))  # of 8 lanes one has a step more
    assert [len(pieces(language(), [text], chunk=4, lanes=n)) for n in (1, 2, 8)] == [3, 2, 1]
    assert pieces(language(), [text], chunk=4, lanes=8).lanes == 8
    quick = {"steps": 2, "chunk": 10, "batch_size": 8}
    model = learner(epochs=None, **quick).fit("abc" * 100, validation="abcabcabc")
    assert model.history_["validation"].notna().all()
    with pytest.raises(ValueError, match="7 steps are watched, but 8 stretches"):
        learner(epochs=None, **quick).fit("abc" * 100, validation="abcabca")


def test_the_end_of_a_text_can_be_held_back():
    text = "".join(RNG.choice(list("ab"), size=2000))
    model = learner(patience=2, epochs=30, chunk=16, lr=0.05).fit(text)
    assert model.history_["validation"].notna().all()
    assert model._header.steps == 1800
    watched = learner(epochs=2, chunk=16).fit(text, validation="abab" * 40).history_["validation"]
    assert watched.notna().all()


# -- scheduled sampling --------------------------------------------------------------------------


def test_scheduled_sampling_begins_as_teacher_forcing_and_ends_on_its_own():
    batch = {"values": Ragged.of([[1, 2, 3, 1], [2, 2, 4]]).take(torch.tensor([0, 1]))}
    task = language().train()
    forced, _ = task.loss(batch)
    task.scheduled, task.ramp = 1.0, 1
    close(task.loss(batch)[0], forced)  # the first batch
    task.steps.draw = lambda raw, *_: torch.full((len(raw),), 3)
    values, _, mask = batch["values"]
    own = torch.full_like(values, 3)
    own[:, 0] = task.steps.first
    raw = task.steps.read(task.scan(own, task.initial(2))[0])
    close(task.loss(batch)[0], task.steps.losses(raw, values, mask)[0])


def test_models_learn_by_scheduled_sampling():
    model = learner(scheduled=0.5).fit(["abcd", "dcba"] * 30)
    assert model.decode(prefix=["a", "d"]) == ["abcd", "dcba"]


# -- numbers -------------------------------------------------------------------------------------


def walks(n: int = 60, ends: bool = False) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [rng.normal(size=(5, 2)).cumsum(0) for _ in range(n)]


def test_numbers_are_scored_in_their_own_units():
    panel = walks()
    model = learner(epochs=2, ends=True).fit(panel)
    shifted = learner(epochs=2, ends=True).fit([1e6 + 1000 * one for one in panel])
    found = shifted.log_prob([1e6 + 1000 * one for one in panel])
    np.testing.assert_allclose(
        found, model.log_prob(panel) - 10 * math.log(1000), rtol=0, atol=1e-3
    )
    assert model.score(panel) == pytest.approx(model.log_prob(panel).sum() / 360)


def test_the_density_of_numbers_is_that_of_single_steps():
    panel = walks(8)
    model = learner(epochs=1, head=seqkit.Normal(), ends=True).fit(panel)
    task, kind = model._task(), model._kind
    state, fed, total = task.initial(1), torch.full((1, 2), math.nan), 0.0
    for row in [*(panel[0] - kind.centre) / kind.spread, None]:
        with torch.no_grad():
            raw, state = task.step(fed, state)
        *numbers, over = raw[0].double().numpy()
        (u, v), (w, s) = np.reshape(numbers, (2, 2))
        stop = 1 / (1 + math.exp(-over))
        if row is None:
            total += math.log(stop)
            break
        total += math.log(1 - stop)
        for y, mean, wide, unit in zip(row, (u, w), (v, s), kind.spread, strict=True):
            scale = math.log1p(math.exp(wide + math.log(math.e - 1))) + 1e-5
            total -= ((y - mean) / scale) ** 2 / 2 + math.log(scale * unit * math.sqrt(2 * math.pi))
        fed = torch.tensor(row[None], dtype=torch.float32)
    assert model.log_prob(panel[:1]).iloc[0] == pytest.approx(total, rel=1e-5)


@pytest.mark.parametrize(
    "head",
    [seqkit.StudentT(), seqkit.Poisson(), seqkit.Gamma(), nn.Squared(), nn.Binary(), nn.Classes(4),
     nn.MixtureHead(seqkit.Normal(), 2), seqkit.Quantiles(levels=[0.1, 0.5, 0.9])],
    ids=repr,
)  # fmt: skip
def test_every_law_is_learnt_drawn_from_and_scored(head):
    values = (
        RNG.integers(0, 2, size=(40, 6, 2))
        if isinstance(head, nn.Binary)
        else RNG.integers(1, 4, size=(40, 6, 2))
    )
    panel = [one.astype(float) for one in values]
    model = learner(nn.LSTM(8), epochs=8, head=head).fit(panel)
    drawn = np.stack(model.sample(400, 6, seed=0))
    assert drawn.shape == (400, 6, 2)
    assert drawn.mean() == pytest.approx(values.mean(), abs=0.4)
    far = [one + 30.0 for one in panel] if model._kind.head.shifted else panel
    assert (
        np.isfinite(model.log_prob(panel)).all()
        and (model.log_prob(far) <= model.log_prob(panel)).all()
    )
    assert model.decode(length=3).shape == (3, 2)


def test_piano_rolls():
    chords = np.zeros((4, 88))
    for row, keys in enumerate([(40, 44, 47), (45, 49), (47, 51, 54), ()]):
        chords[row, list(keys)] = 1.0
    songs = [np.tile(chords, (3, 1))[start : start + 8] for start in (0, 1, 2, 3)] * 10
    model = learner(nn.MLP(32), epochs=40, batch_size=8).fit(songs)
    assert repr(model._kind.head) == "Binary()"
    np.testing.assert_array_equal(model.decode(prefix=chords[:2], length=6), songs[0])
    assert -0.6 < model.score(songs) < -math.log(4) / 8  # only the first frame is open
    assert set(np.unique(model.sample(3, 8, seed=0))) <= {0.0, 1.0}


def test_numbers_know_when_they_end():
    panel = [np.full(n, 1.0) + RNG.normal(size=n) for n in (3,) * 40]
    model = learner(ends=True, epochs=25).fit(panel)
    lengths = [len(one) for one in model.sample(50, seed=0)]
    assert np.mean(np.array(lengths) == 3) > 0.9
    assert len(model.decode()) == 3


def test_missing_numbers_count_for_nothing():
    panel = walks(12)
    panel[0][2, 1] = np.nan
    model = learner(epochs=1).fit(panel)
    one = panel[1].copy()
    one[4, 1] = np.nan  # in the last frame, which nothing comes after
    full, without = model.log_prob([panel[1], one])
    law = model.law(panel[1][:4])
    assert full - without == pytest.approx(law.log_prob(panel[1][4])[1], rel=1e-4)
    with pytest.raises(ValueError, match="had none in the training data"):
        model.score([np.array([[np.nan, 0.0]])])


def test_the_score_of_numbers_is_that_of_those_that_are_there():
    whole, holes = RNG.normal(size=(2, 30))
    holes[::2] = np.nan
    model = learner(epochs=1).fit([whole, holes])
    assert model.score([holes]) == pytest.approx(model.log_prob([holes]).iloc[0] / 15, rel=1e-12)
    with pytest.raises(ValueError, match="x holds no number at all"):
        model.score([holes[:1]])


def test_named_channels_come_back_named():
    frames = [pd.DataFrame({"u": RNG.normal(size=4), "v": RNG.normal(size=4)}) for _ in range(9)]
    model = learner(epochs=1).fit(frames)
    assert list(model.sample(1)[0].columns) == ["u", "v"]
    with pytest.raises(ValueError, match="in that order"):
        model.score([frame[["v", "u"]] for frame in frames])
    assert isinstance(learner(epochs=1).fit(RNG.normal(size=50)).sample(1, 3)[0], np.ndarray)


# -- the contract --------------------------------------------------------------------------------


def test_the_lines_of_the_readme_run(tmp_path):
    names = ["ada", "emmy", "grace", "sofia"] * 8
    gen = seqkit.SequenceGenerator(core=seqkit.nn.GRU(128), steps=3).fit(names)
    drawn = gen.sample(10, seed=0, temperature=0.8)
    assert len(drawn) == 10 and all(isinstance(one, str) for one in drawn)
    assert gen.score(["ada", "emma"]) < 0
    loaded = seqkit.load(gen.save(tmp_path / "gen.seqkit"))
    assert loaded == gen
    assert loaded.sample(10, seed=0, temperature=0.8) == drawn
    assert loaded.score(names) == gen.score(names)


@pytest.mark.parametrize("given", ["labels", "vectors", "numbers"])
def test_saved_models_write_the_same(given, tmp_path):
    if given == "numbers":
        model = learner(epochs=1, ends=True, head=nn.Squared()).fit(walks(9))
        options = {}
    else:
        y = ["u", "v", "u"] if given == "labels" else RNG.normal(size=(3, 2))
        model = learner(epochs=1, tied=True, min_count=2).fit([["s", "t"], ["t"], ["s"]], y)
        options = {"condition": "u" if given == "labels" else [0.1, 0.2]}
    loaded = seqkit.load(model.save(tmp_path / "model.seqkit"))
    for a, b in zip(model.sample(3, 5, **options), loaded.sample(3, 5, **options), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_seed_decides_the_weights():
    words = ["ab", "ba", "aab"]
    a, b, c = (learner(epochs=1, seed=s).fit(words).score(words) for s in (0, 0, 1))
    assert a == b != c


def test_tied_weights_are_one_matrix():
    model = learner(tied=True, embedding=24, epochs=8).fit(["abc", "cba"] * 20)
    assert model._task().steps.weight is None
    assert model._task().steps.project is None
    assert model.decode(prefix=["a", "c"]) == ["abc", "cba"]


def test_rare_symbols_are_learnt_as_unknown_ones_and_never_written():
    model = learner(min_count=2, epochs=4).fit(["abc", "abd", "abe", "abf"] * 1)
    assert model._kind.vocabulary.symbols[1:] == ["a", "b"]
    assert np.isfinite(model.score(["abz"]))
    assert set("".join(model.sample(200, seed=0))) <= {"a", "b"}
    assert set(model.decode(beam=4)) <= {"a", "b"}
    known = learner(epochs=1).fit(["ab", "ba"])
    assert known._task().steps.forbidden[0] == -math.inf


def test_a_prefix_comes_back_as_it_was_given():
    texts = learner(epochs=1, min_count=2).fit(["abab", "bab", "q"])
    assert texts.decode(prefix="zqa").startswith("zqa")  # and not as what it is read as
    assert texts.decode(prefix=["za", "b"], beam=2)[0].startswith("za")
    numbers = learner(nn.MLP(4), epochs=1).fit([RNG.normal(size=5) for _ in range(3)])
    assert numbers.sample(1, 2, prefix=np.array([0.1, np.pi]))[0][:2].tolist() == [0.1, np.pi]


def test_hostile_sequences():
    model = learner(epochs=1).fit(["a", "b", "ab" * 5000])  # 10,000 characters
    assert np.isfinite(model.log_prob(["a", "ba" * 5000])).all()
    assert len(learner(epochs=1).fit("a").sample(1, 5)[0]) == 5  # a text of one character
    assert model.log_prob(pd.Series(["a", "b"], index=["p", "q"])).index.tolist() == ["p", "q"]


@pytest.mark.parametrize(
    ("core", "message"),
    [(nn.Bidirectional(nn.LSTM(8)), r"looks ahead.*LSTM\(hidden=8\)"), (nn.LSTM(8).build(3), "not built yet"),
     ("lstm", "not built yet")],
    ids=["both directions", "built", "text"],
)  # fmt: skip
def test_unlawful_cores_are_refused_when_built(core, message):
    with pytest.raises(TypeError, match=message):
        SequenceGenerator(core)


def test_tasks_refuse_cores_that_look_ahead():
    with pytest.raises(TypeError, match="not there yet"):
        OneToMany(nn.Bidirectional(nn.LSTM(8)).build, lambda size: SymbolSteps(3, size, ends=True))
    with pytest.raises(TypeError, match="which has none"):
        OneToMany(
            nn.MLP(8).build, lambda size: SymbolSteps(3, size, ends=True), condition=2, conditioning="state"
        )  # fmt: skip
    with pytest.raises(ValueError, match="step by step"):
        learner(nn.MLP(8, norm="batch"), scheduled=0.5).fit(["ab"])
    with pytest.raises(TypeError, match="no state that a condition could move"):
        SequenceGenerator(nn.TDNN(8), conditioning="both")


@pytest.mark.parametrize(
    ("options", "x", "y", "message"),
    [
        ({}, "", None, "empty text"),
        ({}, ["ab", ""], None, r"x\[1\] is an empty text"),
        ({}, [], None, "empty"),
        ({}, ["ab", "b"], [["u", "v"], ["u"]], "LSTMTagger"),
        ({}, ["ab", "b"], [["u"], ["u", "v"]], "Seq2Seq"),
        ({}, ["ab", "b"], ["u"], "1 conditions for 2 sequences"),
        ({}, ["ab", "b"], 3, "y is 3"),
        ({}, ["ab", "b"], np.ones((3, 2)), "3 conditions for 2 sequences"),
        ({}, ["ab", "b"], np.array([[1.0], [np.nan]]), r"y\[1\] has a number that is missing"),
        ({}, ["ab", "b"], ["u", None], r"y\[1\] is missing"),
        ({"chunk": 3, "ends": True}, ["ab", "b"], None, "learnt whole"),
        ({"chunk": 3, "scheduled": 0.5}, ["ab", "b"], None, "whole sequences"),
        ({}, "abcabc", ["u"], "learnt in pieces"),
        ({"head": seqkit.Normal()}, ["ab", "b"], None, "law of numbers"),
        ({"tied": True}, np.ones((3, 4, 1)), None, "x holds numbers"),
        ({"head": nn.Binary()}, np.full((3, 4, 1), 2.0), None, "whole numbers 0 to 1"),
        ({"dropout": 1.0}, ["ab"], None, "below 1"),
        ({"scheduled": 1.5}, ["ab"], None, "at most 1"),
        ({"min_count": 0}, ["ab"], None, "min_count"),
        ({"conditioning": "state", "ends": "no"}, ["ab"], None, "ends must be"),
        ({"patience": 1, "holdout": 0.0}, "ababab", None, "leaves none"),
    ],
)
def test_what_cannot_be_learnt_is_refused(options, x, y, message):
    with pytest.raises(ValueError, match=message):
        learner(**options).fit(x, y)


def test_mixed_frames_are_refused():
    frame = pd.DataFrame({"word": ["a", "b"], "size": [1.0, 2.0]})
    with pytest.raises(TypeError, match="one kind"):
        learner().fit([frame, frame])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 0}, "n must be"),
        ({"length": 0}, "length must be"),
        ({"temperature": 0.0}, r"decode\(\)"),
        ({"temperature": -1.0}, "positive"),
        ({"temperature": math.inf}, "positive"),
        ({"top_k": 0}, "top_k must be"),
        ({"nucleus": 0.0}, "nucleus"),
        ({"nucleus": 1.1}, "nucleus"),
        ({"prefix": "axb"}, r"prefix\[0\] has the character 'x'"),
        ({"prefix": ""}, "empty text"),
        ({"prefix": []}, "begin with nothing"),
        ({"prefix": ["a", "b"], "n": 3}, "2 entries for 3"),
        ({"prefix": np.ones(3)}, "holds numbers"),
        ({"condition": "u"}, "leave condition out"),
    ],
)
def test_what_cannot_be_drawn_is_refused(writer, options, message):
    with pytest.raises(ValueError, match=message):
        writer.sample(**options)


def test_other_refusals(writer):
    with pytest.raises(TypeError, match="seed must be"):
        writer.sample(seed=0.5)
    with pytest.raises(ValueError, match=r"x\[1\] has the character 'z'"):
        writer.score(["ab", "az"])
    with pytest.raises(ValueError, match="beam must be"):
        writer.decode(beam=0)
    with pytest.raises(ValueError, match="one prefix"):
        writer.law(["a", "b"])
    with pytest.raises(seqkit.NotFittedError):
        learner().sample()
    labelled = learner(epochs=1).fit(["ab", "b"], ["u", "v"])
    with pytest.raises(ValueError, match="give condition"):
        labelled.sample()
    with pytest.raises(ValueError, match=r"label 'w'.*'u', 'v'"):
        labelled.decode(condition="w")
    with pytest.raises(ValueError, match="fitted to labels"):
        labelled.score(["ab"], np.ones((1, 2)))
    vectors = learner(epochs=1).fit(["ab", "b"], np.array([[0.0, 1.0], [1.0, 0.5]]))
    with pytest.raises(ValueError, match="vectors of length 3"):
        vectors.decode(condition=[1.0, 2.0, 3.0])
    numbers = learner(epochs=1).fit(walks(4))
    with pytest.raises(ValueError, match="numbers are written with beam=1"):
        numbers.decode(beam=2)
    with pytest.raises(ValueError, match="leave it out"):
        numbers.sample(temperature=0.5)
    with pytest.raises(ValueError, match="x holds symbols"):
        numbers.score("abc")
    with pytest.raises(ValueError, match="choose among symbols"):
        numbers.sample(top_k=2)
    with pytest.raises(TypeError, match="perplexity is for symbols"):
        numbers.perplexity(walks(1))
    with pytest.raises(ValueError, match=r"1 channel\(s\)"):
        numbers.score([np.ones(3)])


def test_number_steps_are_laws_of_independent_channels():
    steps = NumberSteps(3, 4, nn.Binary(), np.ones(3), ends=False)
    raw, values = normal(2, 5, 3).float(), torch.ones(2, 5, 3)
    total, count = steps.losses(raw, values, None)
    close(total, torch.nn.functional.softplus(-raw).sum(), 1e-5)
    assert int(count) == 10
