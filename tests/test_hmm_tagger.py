"""The tagger: its kernel against enumeration of all taggings, its estimates against hand counts, its manners."""

from __future__ import annotations

import itertools
import os

import numpy as np
import pandas as pd
import pytest

import seqkit
from seqkit.base import NotFittedError
from seqkit.kernels import ngram_chain
from seqkit.models.markov._tagger_words import Endings
from seqkit.models.markov.hmm_tagger import HMMTagger, deleted_interpolation, interpolate

SENTENCES = [
    ["the", "dog", "barks"],
    ["a", "cat", "sleeps", "."],
    ["Dogs", "bark", "loudly", "."],
    ["the", "barks", "of", "a", "dog"],
]
TAGS = [
    ["DET", "NOUN", "VERB"],
    ["DET", "NOUN", "VERB", "PUNCT"],
    ["NOUN", "VERB", "ADV", "PUNCT"],
    ["DET", "NOUN", "ADP", "DET", "NOUN"],
]


@pytest.fixture(scope="module")
def tagger():
    return HMMTagger().fit(SENTENCES, TAGS)


# -- the kernel against all paths ----------------------------------------------------------------


def problem(seed, order=2, forbidden=0.0):
    """A random chain over three labels, words with one to three candidates, sequences of 1, 5, 4 and 0 steps."""
    rng = np.random.default_rng(seed)
    law = rng.dirichlet(np.ones(4), size=(4, 4))
    if order == 1:
        law = np.broadcast_to(law[0], law.shape)
    law = np.where(rng.random(law.shape) < forbidden, 0.0, law)
    with np.errstate(divide="ignore"):
        transition = np.log(law)
    first, labels = np.array([0, 1, 4, 6]), np.array([1, 0, 1, 2, 0, 2])
    offsets = np.array([0, 1, 6, 10, 10])
    words = rng.integers(0, 3, size=10)
    return transition, words, offsets, first, labels, 5 * rng.normal(size=6)


def enumerated(transition, words, first, labels, weights):
    """All taggings of one sequence with their log-probabilities."""
    edge = len(transition) - 1
    choices = [range(first[w], first[w + 1]) for w in words]
    paths, scores = [], []
    for chosen in itertools.product(*choices):
        path = [edge, edge, *labels[list(chosen)], edge] if chosen else [edge, edge, edge]
        steps = [transition[path[t - 2], path[t - 1], path[t]] for t in range(2, len(path))]
        paths.append(path[2:-1])
        scores.append(sum(steps) + weights[list(chosen)].sum())
    return paths, np.array(scores)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("seed", range(6))
def test_kernel_is_enumeration(seed, order):
    given = transition, words, offsets, first, labels, weights = problem(seed, order)
    path, found = ngram_chain.viterbi(*given), ngram_chain.marginals(*given)
    for n, (start, stop) in enumerate(itertools.pairwise(offsets)):
        paths, scores = enumerated(transition, words[start:stop], first, labels, weights)
        total = np.logaddexp.reduce(scores)
        law = np.zeros((stop - start, 3))
        for one, score in zip(paths, scores, strict=True):
            law[range(stop - start), one] += np.exp(score - total)
        assert path.score[n] == pytest.approx(scores.max(), abs=1e-12)
        assert path.labels[start:stop].tolist() == paths[int(np.argmax(scores))]
        assert found.log_partition[n] == pytest.approx(total, abs=1e-12)
        assert np.abs(found.probabilities[start:stop] - law).max(initial=0) < 1e-12
    assert np.allclose(ngram_chain.log_partition(*given), found.log_partition, atol=1e-12)


@pytest.mark.parametrize("seed", range(40, 46))
def test_k_best_is_enumeration(seed):
    transition, words, offsets, first, labels, weights = problem(seed, forbidden=0.2)
    for start, stop in itertools.pairwise(offsets):
        paths, scores = enumerated(transition, words[start:stop], first, labels, weights)
        order = np.argsort(-scores)
        possible = int(np.isfinite(scores).sum())
        for k in (1, 4, 1000):
            found, values = ngram_chain.k_best(
                transition, words[start:stop], first, labels, weights, k
            )
            assert found.shape == (min(k, possible), stop - start)
            assert values == pytest.approx(scores[order[:k]][: len(values)], abs=1e-12)
            assert found.tolist() == [list(paths[i]) for i in order[: len(values)]]


@pytest.mark.parametrize("seed", range(20, 32))
def test_kernel_with_forbidden_transitions(seed):
    given = transition, words, offsets, first, labels, weights = problem(seed, forbidden=0.4)
    found = ngram_chain.marginals(*given)
    impossible = []
    for n, (start, stop) in enumerate(itertools.pairwise(offsets)):
        _, scores = enumerated(transition, words[start:stop], first, labels, weights)
        total = np.logaddexp.reduce(scores)
        if np.isfinite(total):
            assert found.log_partition[n] == pytest.approx(total, abs=1e-12)
        else:
            impossible.append(n)
            assert found.log_partition[n] == -np.inf
            assert np.isnan(found.probabilities[start:stop]).all()
    if impossible:
        with pytest.raises(ValueError, match=f"sequence {impossible[0]} is impossible"):
            ngram_chain.viterbi(*given)


def test_kernel_is_exact_about_length_and_scale():
    """A hundred thousand steps of weights around -2,000 lose nothing: a chain without memory has log Z = T log z."""
    length = 100_000
    transition = np.full((3, 3, 3), -np.log(3))
    words, offsets = np.zeros(length, int), np.array([0, length])
    weights = np.array([-2000.0, -2001.0])
    found = ngram_chain.marginals(transition, words, offsets, [0, 2], [0, 1], weights)
    each = np.logaddexp(*weights) - np.log(3)
    assert found.log_partition[0] == pytest.approx(length * each - np.log(3), rel=1e-13)
    assert np.allclose(found.probabilities[:, 0], 1 / (1 + np.exp(-1)), rtol=1e-12)


def test_kernel_refuses():
    transition, words, offsets, _, labels, weights = problem(0)
    with pytest.raises(ValueError, match="no candidate"):
        ngram_chain.viterbi(transition, words, offsets, [0, 0, 4, 6], labels, weights)
    with pytest.raises(ValueError, match=r"\(K \+ 1, K \+ 1, K \+ 1\)"):
        ngram_chain.log_partition(np.zeros((3, 4, 4)), words, offsets, [0, 1, 4, 6], labels, weights)  # fmt: skip


# -- transitions ---------------------------------------------------------------------------------


def counted(*sentences, tags=2):
    """Trigrams with two boundaries before and one after."""
    out = np.zeros((tags + 1,) * 3)
    for sentence in sentences:
        path = [tags, tags, *sentence, tags]
        for t in range(2, len(path)):
            out[path[t - 2], path[t - 1], path[t]] += 1
    return out


def test_deleted_interpolation_by_hand():
    """a b, a b, b a; $ for the boundary. The trigrams and their votes:

    $$a 2: (2-1)/(3-1) of three, of two, and 2/8 of one tag: three (the longer of equals).
    $ab 2: 1/1. ab$ 2: 1/1. both three.
    $$b 1: 0 of three and of two, (3-1)/(9-1) of one. $ba 1: 0/0, 0 of (1-1)/(3-1), 2/8: one.
    ba$ 1: 0/0 = 0; a$ occurs once among three a: 0; $ occurs 3 times: 2/8: one.
    """
    weights = deleted_interpolation(counted([0, 1], [0, 1], [1, 0]))
    assert weights.tolist() == [
        3 / 10,
        1 / 10,
        6 / 10,
    ]  # two tags have no vote but the one all have


def test_interpolation_by_hand():
    weights = np.array([0.2, 0.3, 0.5])
    law = interpolate(counted([0, 1], [0, 1], [1, 0]), weights)
    one = np.array([3, 3, 3]) / 9
    after_a = np.array([0, 2, 1]) / 3
    assert law[2, 0] == pytest.approx(0.2 * one + 0.3 * after_a + 0.5 * np.array([0, 1, 0]))
    # (a, a) was never seen: its share is that of the shorter ones, two fifths and three fifths
    assert law[0, 0] == pytest.approx(0.4 * one + 0.6 * after_a)
    assert law.sum(axis=2) == pytest.approx(np.ones((3, 3)))


def test_transitions_never_rule_out(tagger):
    law = np.exp(tagger._log_transition)
    assert (law > 0).all()
    assert law.sum(axis=2) == pytest.approx(np.ones(law.shape[:2]))


def test_order_one_forgets(tagger):
    first = HMMTagger(order=1).fit(SENTENCES, TAGS)
    law = np.exp(first._log_transition)
    assert np.ptp(law, axis=0).max() == 0
    assert first.interpolation_["three tags"] == 0 < tagger.interpolation_["three tags"]


# -- unknown words -------------------------------------------------------------------------------


def test_endings_by_hand():
    """walked, talked: verbs; bed: a noun. theta = 1/2."""
    counts = np.array([[0.0, 2.0], [0.0, 1.0], [1.0, 0.0]])
    endings = Endings(["walked", "talked", "bed"], counts, longest=3, theta=0.5)
    root = np.array([1, 3]) / 4
    none = (root + 0.5 * root) / 1.5
    ed = none  # all three end in d, in ed
    ed = (root + 0.5 * ed) / 1.5
    ked = (np.array([0, 1]) + 0.5 * ed) / 1.5
    assert endings.guess("baked") == pytest.approx(ked)
    assert endings.guess("red") == pytest.approx(ed)
    assert endings.guess("xyz") == pytest.approx(root)
    assert endings.guess("Baked") == pytest.approx(root)  # no rare word is capitalised


def test_theta_is_chosen_by_what_helps():
    """Where endings tell all, shorter ones are trusted little; where they tell nothing, much."""
    rng = np.random.default_rng(0)
    stems = ["".join(rng.choice(list("abcdefgh"), 5)) for _ in range(200)]
    stems = sorted(set(stems))
    telling = [stem + ("ly" if i % 2 else "ed") for i, stem in enumerate(stems)]
    counts = np.eye(2)[np.arange(len(stems)) % 2]
    low = Endings(telling, counts, 4, None).theta
    high = Endings(stems, np.eye(2)[rng.integers(0, 2, len(stems))], 4, None).theta
    assert low < 0.2 < 1 <= high


def test_unknown_words(tagger):
    assert tagger.decode(["the", "cow", "barks"]).tolist() == ["DET", "NOUN", "VERB"]
    ending = HMMTagger(capitals=False).fit(
        [["run", "quickly"], ["eat", "slowly"], ["walk", "home"]],
        [["VERB", "ADV"], ["VERB", "ADV"], ["VERB", "NOUN"]],
    )
    assert ending.decode(["run", "sadly"]).tolist() == ["VERB", "ADV"]


def test_another_writing_is_known():
    words = [["we", "see", "Paris"], ["we", "see", "boats"], ["Boats", "see", "Rome"]] * 12
    tags = [["PRON", "VERB", "PROPN"], ["PRON", "VERB", "NOUN"], ["NOUN", "VERB", "PROPN"]] * 12
    model = HMMTagger().fit(words, tags)
    assert model.decode(["we", "see", "PARIS"]).tolist()[2] == "PROPN"
    assert model.decode(["SEE", "we"]).tolist()[0] == "VERB"


def test_capitals_never_seen_do_not_break(tagger):
    lower = HMMTagger().fit([["a", "b"]], [["X", "Y"]])
    law = lower.decode_proba(["B", "Q", "A"])
    assert law.sum(axis=1).to_numpy() == pytest.approx(np.ones(3))
    assert np.isfinite(lower.log_likelihood(["B", "Q", "A"]))


# -- answers -------------------------------------------------------------------------------------


def test_shapes(tagger):
    one = tagger.decode(["the", "dog", "barks"])
    assert isinstance(one, pd.Series) and one.index.equals(pd.RangeIndex(3))
    several = tagger.decode(SENTENCES)
    assert several.index.nlevels == 2 and several.loc[3].tolist() == TAGS[3]
    named = tagger.decode({"x": ["the", "dog"], "y": ["a", "cat", "barks"]})
    assert named.loc["y"].tolist() == ["DET", "NOUN", "VERB"]
    text = pd.Series(["the", "dog"], index=pd.date_range("2024-01-01", periods=2))
    assert tagger.decode(text).index.equals(text.index)


def test_probabilities(tagger):
    law = tagger.decode_proba(SENTENCES)
    assert list(law.columns) == tagger.tags_ == sorted({t for s in TAGS for t in s})
    assert law.sum(axis=1).to_numpy() == pytest.approx(np.ones(len(law)))
    assert law.loc[(0, 0), "DET"] == pytest.approx(1)  # "the" was never anything else


def test_k_best_taggings(tagger):
    words = ["the", "barks", "sleep"]
    tags, law = tagger.k_best(words, 3)
    assert tags[1].tolist() == tagger.decode(words).tolist()
    assert law.is_monotonic_decreasing and law.sum() <= 1
    every, law = tagger.k_best(words, 10_000)
    assert law.sum() == pytest.approx(1) and every.shape == (3, len(law))
    by_word = every.loc[1].eq("VERB").to_numpy() @ law.to_numpy()
    assert by_word == pytest.approx(tagger.decode_proba(words).loc[1, "VERB"])
    with pytest.raises(ValueError, match="one sentence, got 4"):
        tagger.k_best(SENTENCES)


def test_likelihood_adds_over_sentences(tagger):
    alone = [tagger.log_likelihood(s) for s in SENTENCES]
    assert tagger.log_likelihood(SENTENCES) == pytest.approx(sum(alone), rel=1e-12)


def test_likelihood_by_hand():
    """One sentence of two words: every trigram has one vote, three weights of a third."""
    model = HMMTagger(capitals=False).fit([["a", "b"]], [["X", "Y"]])
    weights = model.interpolation_.to_numpy()
    steps = np.full(3, weights[0] / 3 + (weights[1] + weights[2]) * 1.0)
    assert model.log_likelihood(["a", "b"]) == pytest.approx(np.log(steps).sum())


def test_score_counts_words(tagger):
    assert tagger.score(SENTENCES, TAGS) == 1.0
    wrong = [[*s[:-1], "X"] for s in TAGS]
    assert tagger.score(SENTENCES, wrong) == pytest.approx(1 - 4 / 16)


def test_tables(tagger):
    table = tagger.transition_
    assert table.loc["<s>", "DET"] == 3 / 4 and table.loc["PUNCT", "<s>"] == 1
    assert tagger.interpolation_.sum() == pytest.approx(1)
    assert "4 sentences of 16 words" in repr(tagger)


def test_saved_and_loaded(tagger, tmp_path):
    again = seqkit.load(tagger.save(tmp_path / "tagger.seqkit"))
    assert again == tagger
    strange = ["the", "zebra", "Barks", "sadly"]
    assert again.decode(strange).equals(tagger.decode(strange))
    assert again.decode_proba(strange).equals(tagger.decode_proba(strange))


def test_panels_of_series_teach_alike(tagger):
    index = pd.MultiIndex.from_tuples([(i, t) for i, s in enumerate(SENTENCES) for t in range(len(s))])  # fmt: skip
    words = pd.Series([w for s in SENTENCES for w in s], index=index)
    tags = pd.Series([t for s in TAGS for t in s], index=index)
    again = HMMTagger().fit(words, tags)
    assert np.array_equal(again._log_transition, tagger._log_transition)
    assert again.decode(words).tolist() == tags.tolist()


# -- bad input -----------------------------------------------------------------------------------

BAD = [
    ("fewer tags", lambda: HMMTagger().fit(SENTENCES, TAGS[:2]), ValueError, "2 sentence"),
    ("short tags", lambda: HMMTagger().fit([["a", "b"]], [["X"]]), ValueError, "1 tags for the 2"),
    ("numbers", lambda: HMMTagger().fit([1.0, 2.0], ["X", "Y"]), TypeError, "x holds numbers"),
    ("number tags", lambda: HMMTagger().fit(["a", "b"], [1, 2]), TypeError, "y holds numbers"),
    ("order", lambda: HMMTagger(order=3).fit(SENTENCES, TAGS), ValueError, "order must be 1 or 2"),
    ("suffix", lambda: HMMTagger(suffix=-1).fit(SENTENCES, TAGS), ValueError, "suffix"),
    ("theta", lambda: HMMTagger(theta=0).fit(SENTENCES, TAGS), ValueError, "theta must be positive"),
    ("unfitted", lambda: HMMTagger().decode(["a"]), NotFittedError, "not fitted"),
    ("unfitted tags", lambda: HMMTagger().tags_, NotFittedError, "not fitted"),
    ("empty sentence", lambda: HMMTagger().fit([["a"], []], [["X"], []]), ValueError, "empty"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "text"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_bad_input(call, kind, text):
    with pytest.raises(kind, match=text):
        call()


def test_too_many_tags():
    tags = [f"T{i}" for i in range(400)]
    with pytest.raises(ValueError, match="400 tags make a table"):
        HMMTagger().fit(tags, tags)


def test_a_failing_fit_leaves_the_old_one(tagger):
    model = HMMTagger().fit(SENTENCES, TAGS)
    with pytest.raises(ValueError, match="sentence"):
        model.fit(SENTENCES, TAGS[:1])
    assert model == tagger


# -- real text -----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("SEQKIT_DATA"), reason="SEQKIT_DATA is not set: no corpus")
def test_english_web_treebank():
    """Trained on train: 0.9338 of the test words, where the most frequent tag of each word is right for 0.8620."""
    data = seqkit.datasets.load("ud_ewt")
    model = HMMTagger().fit(*data.train)
    assert model.score(*data.test) > 0.930
