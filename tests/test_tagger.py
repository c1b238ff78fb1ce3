"""Taggers: every core learns what it can see, inputs and labels of all kinds, and what is no task for them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

import seqkit
from seqkit import nn
from seqkit.models.sequence_networks._step_labels import step_labels
from seqkit.nn.inputs import InputLayer
from seqkit.tasks import Examples, Ragged
from seqkit.tasks.aligned import Aligned

QUICK = {"steps": 80, "lr": 0.04, "batch_size": 16}
SENTENCES = [["the", "dog", "barks"], ["a", "cat", "sleeps"], ["the", "cat", "saw", "a", "dog"]]
TAGS = [["D", "N", "V"], ["D", "N", "V"], ["D", "N", "V", "D", "N"]]


def words(count: int = 64, longest: int = 6, symbols: str = "ab", seed: int = 0) -> list[list[str]]:
    rng = np.random.default_rng(seed)
    return [list(rng.choice(list(symbols), rng.integers(2, longest + 1))) for _ in range(count)]


def own(sentence):
    return sentence


def before(sentence):
    return ["-", *sentence[:-1]]


def after(sentence):
    return [*sentence[1:], "-"]


def parity(sentence):
    return [str(sentence[: i + 1].count("a") % 2) for i in range(len(sentence))]


def tiny(**options) -> seqkit.BiLSTMTagger:
    return seqkit.BiLSTMTagger(8, **({"steps": 40, "lr": 0.03, "dropout": 0.0} | options))


@pytest.fixture(scope="module")
def tagger() -> seqkit.BiLSTMTagger:
    return tiny(crf=True, words=True).fit(SENTENCES, TAGS)


# -- what each core can see ------------------------------------------------------------------------

TOYS = {
    "MLP": (nn.MLP(16), own),
    "TDNN": (nn.TDNN((16,), kernel=2), before),
    "RNN": (nn.RNN(24), before),
    "LSTM": (nn.LSTM(24), parity),
    "GRU": (nn.GRU(24), parity),
    "both MLP": (nn.Bidirectional(nn.MLP(16)), own),
    "both TDNN": (nn.Bidirectional(nn.TDNN((16,), kernel=2)), after),
    "both LSTM": (nn.Bidirectional(nn.LSTM(16)), after),
    "both GRU": (nn.Bidirectional(nn.GRU(16)), after),
}


@pytest.mark.parametrize("crf", [False, True], ids=["softmax", "crf"])
@pytest.mark.parametrize("toy", TOYS)
def test_every_core_learns_what_it_can_see(toy, crf):
    core, rule = TOYS[toy]
    x, unseen = words(), words(32, seed=1)
    options = QUICK | ({"steps": 180} if rule is parity else {})
    tagger = seqkit.Tagger(core, crf=crf, **options).fit(x, [rule(s) for s in x])
    assert tagger.score(unseen, [rule(s) for s in unseen]) == 1.0


def test_what_comes_after_is_unseen_by_a_causal_core():
    x = words()
    tagger = seqkit.Tagger(nn.LSTM(16), **QUICK).fit(x, [after(s) for s in x])
    assert tagger.score(x, [after(s) for s in x]) < 0.9
    longer = words(8, 30, seed=2)
    cut = [sentence[:2] for sentence in longer]
    found = tagger.decode_proba(longer).groupby(level=0).head(2)
    np.testing.assert_allclose(found, tagger.decode_proba(cut), rtol=0, atol=1e-6)


def test_a_crf_knows_which_labels_follow_each_other():
    x = [["a", "?", "?", "?"], ["b", "?", "?", "?"]] * 8
    y = [["x"] * 4, ["y"] * 4] * 8
    softmax, crf = (
        seqkit.Tagger(nn.MLP(8), crf=c, **QUICK).fit(x, y).score(x, y) for c in (False, True)
    )
    assert softmax < 0.7 and crf == 1.0  # each step alone does not know how the sentence began


def test_a_second_layer_of_labels_is_learnt_beside_the_first():
    x = words()
    tagger = seqkit.Tagger(nn.Bidirectional(nn.LSTM(16)), **(QUICK | {"steps": 120}))
    tagger.fit(x, [before(s) for s in x], second=[after(s) for s in x])
    assert tagger.score(x, [before(s) for s in x]) == 1.0
    assert (tagger.decode_second(x) == np.concatenate([after(s) for s in x])).all()
    with pytest.raises(ValueError, match="no second layer was learnt"):
        seqkit.Tagger(nn.MLP(4), steps=1).fit(x, x).decode_second(x)


# -- the lines, and the verbs of the HMM tagger ---------------------------------------------


def test_the_verbs_are_those_of_the_hidden_markov_tagger(tagger):
    other = seqkit.HMMTagger().fit(SENTENCES, TAGS)
    asked = [["the", "dog", "barks"], ["a", "cat"]]
    for verb in ("decode", "decode_proba"):
        mine, theirs = getattr(tagger, verb)(asked), getattr(other, verb)(asked)
        assert type(mine) is type(theirs) and mine.index.equals(theirs.index)
        if verb == "decode":
            assert mine.name == theirs.name and mine.dtype == theirs.dtype
            assert mine.tolist() == theirs.tolist() == ["D", "N", "V", "D", "N"]
        else:
            assert mine.columns.equals(theirs.columns) and (mine.dtypes == "float64").all()
            np.testing.assert_allclose(mine.sum(axis=1), 1.0, rtol=0, atol=1e-12)
    assert tagger.tags_ == other.tags_ == ["D", "N", "V"]
    assert tagger.transition_.shape == other.transition_.shape
    assert tagger.transition_.index.equals(other.transition_.index)
    (paths, p), (expected, share) = (m.k_best(asked[0], 3) for m in (tagger, other))
    assert paths.index.equals(expected.index) and paths.columns.name == expected.columns.name
    assert p.name == share.name and p.index.equals(paths.columns)
    assert paths[1].tolist() == ["D", "N", "V"] and p.is_monotonic_decreasing and p.sum() <= 1
    assert tagger.score(SENTENCES, TAGS) == 1.0
    assert repr(tagger).endswith("# fitted to 3 sequences of 3 to 5 steps, 3 tags")


@pytest.mark.parametrize("crf", [True, False])
def test_probabilities_and_best_labellings_fit_each_other(crf):
    tagger = tiny(crf=crf, steps=5).fit(SENTENCES, TAGS)
    sentence = ["the", "dog", "barks"]
    paths, p = tagger.k_best(sentence, 100)
    assert paths.shape == (3, 27)
    np.testing.assert_allclose(p.sum(), 1.0, rtol=0, atol=1e-9)
    law = tagger.decode_proba(sentence)
    for t in range(3):
        for tag in tagger.tags_:
            mass = p[(paths.iloc[t] == tag).to_numpy()].sum()
            np.testing.assert_allclose(law.loc[t, tag], mass, rtol=0, atol=1e-9)
    assert tagger.decode(sentence).tolist() == paths[1].tolist()


def test_saved_and_loaded_it_says_the_same(tagger, tmp_path):
    seqkit.load(tagger.save(tmp_path / "tagger.seqkit"))
    loaded = seqkit.load(tmp_path / "tagger.seqkit")
    assert loaded == tagger
    asked = [["the", "zebra", "barks"]]
    pd.testing.assert_frame_equal(loaded.decode_proba(asked), tagger.decode_proba(asked))


def test_the_same_seed_gives_the_same_model_and_randomness_elsewhere_is_left_alone():
    state = torch.random.get_rng_state()
    one, two = (tiny(seed=3, steps=8, dropout=0.3).fit(SENTENCES, TAGS) for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), state)
    pd.testing.assert_frame_equal(one.decode_proba(SENTENCES), two.decode_proba(SENTENCES))
    other = tiny(seed=4, steps=8, dropout=0.3).fit(SENTENCES, TAGS)
    assert not one.decode_proba(SENTENCES).equals(other.decode_proba(SENTENCES))


def test_it_works_without_words_seen_or_spelt():
    for options in ({"chars": False}, {"forms": False}, {"chars": "lstm"}, {"words": False}):
        tagger = tiny(**options).fit(SENTENCES, TAGS)
        assert tagger.score(SENTENCES, TAGS) == 1.0
        assert len(tagger.decode(["zebras", "café", "", "x" * 1000])) == 4


# -- numbers, dates, labels of other kinds, labels that are missing ----------------------------------


def test_steps_of_numbers_are_labelled_on_the_dates_of_the_caller():
    rng = np.random.default_rng(0)
    index = pd.date_range("2024-01-01", periods=63, freq="h", name="time").delete([7, 8, 40])
    level = np.repeat(rng.integers(0, 3, 12), 5)
    frame = pd.DataFrame({"a": level + 0.1 * rng.normal(size=60), "b": rng.normal(size=60)}, index)
    y = pd.Series(level, index)
    quick = QUICK | {"steps": 80, "lr": 0.05}
    tagger = seqkit.Tagger(nn.LSTM(8), **quick).fit(frame, y)
    found = tagger.decode(frame)
    assert found.index.equals(index) and found.dtype == np.int64 and tagger.tags_ == [0, 1, 2]
    assert tagger.score(frame, y) > 0.99
    pair, given = {"u": frame[:20], "v": frame[20:]}, {"u": y[:20], "v": y[20:]}
    panel = seqkit.Tagger(nn.MLP(8), crf=True, **quick).fit(pair, given)
    assert panel.decode(pair).index.names == ["series", "time"]
    assert panel.score(pair, given) > 0.99
    assert (
        seqkit.Tagger(nn.MLP(8), words=True, **quick).fit(frame, y).score(frame, y) > 0.99
    )  # numbers are no words


def test_numbers_and_symbols_are_read_together():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"n": rng.normal(size=80), "s": rng.choice(["p", "q"], 80)})
    y = (frame["n"] > 0) ^ (frame["s"] == "p")
    tagger = seqkit.Tagger(nn.MLP(32), **(QUICK | {"lr": 0.05})).fit(frame, y)
    assert tagger.score(frame, y) > 0.95 and tagger.tags_ == [False, True]


@pytest.mark.parametrize("crf", [False, True])
def test_steps_without_a_label_teach_nothing_and_are_not_scored(crf):
    x = words(40)
    y = [before(s) for s in x]
    holed = [[tag if i % 3 else None for i, tag in enumerate(tags, j)] for j, tags in enumerate(y)]
    wrong = [[tag if i % 3 else "a" for i, tag in enumerate(tags, j)] for j, tags in enumerate(y)]
    tagger = seqkit.Tagger(nn.LSTM(16), crf=crf, **QUICK).fit(x, holed)
    assert tagger.score(x, y) == 1.0
    known = np.concatenate([[tag is not None for tag in tags] for tags in holed])
    expected = (np.concatenate(wrong) == np.concatenate(y)).mean()
    assert tagger.score(x, holed) == 1.0 and known.sum() < len(known)
    np.testing.assert_allclose(tagger.score(x, wrong), expected, rtol=1e-12)


def test_a_label_never_seen_is_wrong(tagger):
    assert tagger.score([["the", "dog"]], [["D", "NEW"]]) == 0.5


# -- hostile input -----------------------------------------------------------------------------------


def test_sentences_short_and_long(tagger):
    assert tagger.decode(["dog"]).tolist() == ["N"]
    assert len(tagger.decode([["dog"], ["the", "cat"]])) == 3
    assert tagger.score(["dog"], ["N"]) == 1.0
    long = ["the", "dog", "barks"] * 3334
    found = tagger.decode(long)
    assert found[3:-3].tolist() == (["D", "N", "V"] * 3334)[3:-3]
    law = tagger.decode_proba([long, ["the"]])
    assert law.shape == (10_003, 3) and np.isfinite(law).all(axis=None)
    assert tagger.decode(["🦒", "Ωμέγα", "日本"]).isin(["D", "N", "V"]).all()
    for verb in (tagger.decode, tagger.decode_proba, tagger.k_best):
        with pytest.raises(ValueError, match=r"x\[0\] is empty"):
            verb([[]])


def test_what_is_alone_is_what_is_beside_others(tagger):
    beside = tagger.decode_proba([["the", "dog", "barks"], ["the", "incomprehensibilities"] * 9])
    alone = tagger.decode_proba(["the", "dog", "barks"])
    np.testing.assert_allclose(beside.loc[0], alone, rtol=0, atol=1e-6)


def test_other_tasks_are_refused(tagger):
    with pytest.raises(ValueError, match=r"one label per sequence: seqkit\.LSTMClassifier"):
        tiny().fit(SENTENCES, ["a", "b", "c"])
    with pytest.raises(ValueError, match=r"lengths of their own: seqkit\.Seq2Seq"):
        tiny().fit(SENTENCES, [["a"], ["b"], ["c"]])
    with pytest.raises(ValueError, match=r"no y: seqkit\.SequenceGenerator"):
        tiny().fit(SENTENCES, None)
    with pytest.raises(seqkit.NotFittedError):
        tiny().decode(SENTENCES)
    with pytest.raises(seqkit.NotFittedError):
        _ = tiny().tags_
    with pytest.raises(ValueError, match="words alone"):
        tagger.decode(pd.DataFrame({"a": [1.0, 2.0]}))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"core": "lstm"}, TypeError, r"core must say what it shall be.* got str"),
        ({"constraints": "bio"}, ValueError, "need crf=True"),
        ({"constraints": "iob", "crf": True}, ValueError, "constraints must be one of"),
        ({"chars": "gru"}, ValueError, "chars must be True"),
        ({"rarity": -1}, ValueError, "rarity must not be negative"),
        ({"vectors": "file"}, ValueError, "need words=True|words=True"),
        ({"embedding": 0}, ValueError, "embedding must be"),
    ],
)
def test_settings_that_mean_nothing_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        seqkit.Tagger(**({"core": nn.MLP(4)} | options)).fit(SENTENCES, TAGS)


def test_vectors_of_words_are_refused_for_numbers():
    with pytest.raises(ValueError, match="vectors= are of words, and x holds numbers"):
        seqkit.BiLSTMTagger(hidden=3, vectors="none.txt", steps=1).fit([[1.0, 2.0]], [["a", "b"]])


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (SENTENCES, [["D"] * 3] * 2 + [["D"] * 5], "1 kind"),
        (SENTENCES, [[None] * 3] * 2 + [[None] * 5], "0 kind"),
        ({"u": [1.0, 2.0], "v": [3.0, 4.0]}, {"u": [0, 1], "w": [0, 1]}, r"y names \['u', 'w'\]"),
        (SENTENCES, [["D", "N", ["V"]], *TAGS[1:]], r"y\[0\] has \['V'\] at step 2"),
    ],
)
def test_labels_that_teach_nothing_are_refused(x, y, message):
    with pytest.raises(ValueError, match=message):
        tiny(steps=1).fit(x, y)


def test_labels_stay_on_the_dates_of_their_steps():
    index = pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-05"])
    x = seqkit.Sequences(pd.Series([1.0, 2.0, 3.0], index))
    y = pd.Series(["a", None, "b"], index)
    assert step_labels(x, y).tolist() == ["a", None, None, None, "b"]
    with pytest.raises(ValueError, match="another index than the series"):
        step_labels(x, y.set_axis(index + pd.Timedelta("1D")))
    with pytest.raises(ValueError, match="2 labels for the 3 steps"):
        step_labels(x, ["a", "b"])


# -- constraints -------------------------------------------------------------------------------------


def test_constraints_forbid_what_makes_no_chunks():
    rng = np.random.default_rng(0)
    x = [list(rng.choice(list("pqr"), 6)) for _ in range(30)]
    y = [list(rng.choice(["O", "B-a", "B-b"], 6)) for _ in range(29)] + [
        ["B-a", "I-a", "B-b", "I-b", "I-b", "O"]
    ]
    tagger = seqkit.Tagger(nn.MLP(8), crf=True, constraints="bio", steps=20).fit(x, y)
    law = tagger.transition_
    assert law.loc["O", "I-a"] == law.loc["<s>", "I-b"] == law.loc["B-a", "I-b"] == -np.inf
    assert np.isfinite(law.loc["B-a", "I-a"])
    p = tagger.decode_proba(x)
    first = p.groupby(level=0).head(1)
    assert (first[["I-a", "I-b"]] == 0).all(axis=None)
    broken = [*y[:2], ["O", "I-a", "O", "O", "O", "O"], *y[3:]]
    with pytest.raises(
        ValueError, match=r"'I-a' at step 1 of series 2, which constraints='bio' forbids"
    ):
        seqkit.Tagger(nn.MLP(8), crf=True, constraints="bio").fit(x, broken)


# -- the task ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("crf", [False, True])
def test_padding_and_labels_not_known_count_for_nothing(crf):
    torch.manual_seed(0)
    inputs = nn.LSTM(4).build(2)
    task = Aligned(InputLayer(2), inputs, 3, crf=crf, second=2).double().eval()
    x = [np.random.default_rng(i).normal(size=(n, 2)) for i, n in enumerate((5, 2))]
    y, z = [[0, 1, -1, 2, 2], [1, 0]], [[1, 1, 0, -1, 0], [-1, -1]]
    data = Examples(numbers=Ragged.of(x), labels=Ragged.of(y), second=Ragged.of(z))
    total, count = task.loss(data.batch(torch.tensor([0, 1])))
    alone = [task.loss(data.batch(torch.tensor([i]))) for i in (0, 1)]
    assert count == 6 == sum(n for _, n in alone)
    torch.testing.assert_close(total, sum(loss for loss, _ in alone))
    nothing = Examples(numbers=Ragged.of(x), labels=Ragged.of([[-1] * 5, [-1] * 2]))
    total, count = task.loss(nothing.batch(torch.tensor([0, 1])))
    total.backward()
    assert count == 0 and abs(total) < 1e-12


def test_validation_tells_when_to_stop():
    x = words(40)
    y = [before(s) for s in x]
    tagger = seqkit.Tagger(nn.LSTM(8), epochs=6, patience=2, lr=0.02).fit(
        x, y, validation=(x[:9], y[:9])
    )
    assert tagger.history_["validation"].notna().all() and tagger.tokens_per_second_ > 0
