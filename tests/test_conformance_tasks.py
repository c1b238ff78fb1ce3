"""The contract of models that read something out of sequences, run over all of them: labels, tags, other sequences."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone as sklearn_clone

import seqkit
from seqkit import nn

SENTENCES = [
    ["the", "dog", "barks"],
    ["a", "cat", "sleeps", "here"],
    ["dogs", "bark"],
    ["the", "cat"],
]
TAGS = [["D", "N", "V"], ["D", "N", "V", "A"], ["N", "V"], ["D", "N"]]
WORDS = ["abc", "bca", "cab", "bb"]
SOUNDS = [["A", "B", "C"], ["B", "C"], ["C", "A", "B"], ["B"]]
SPELT = [1, 2, 3, 4]  # no texts: not spelt
FRAMES = [np.random.default_rng(i).normal(size=(n, 2)) for i, n in enumerate((9, 7, 8, 6))]
LABELS = ["up", "down", "up", "down"]


@dataclass
class Case:
    """A model that is fitted at once, its data, and how it is asked: `verb` of sequences, x[i:j] say."""

    model: Any
    x: Any
    y: Any
    verb: str
    wrong: tuple[Any, ...]  # targets of other tasks


QUICK = {"steps": 3, "seed": 1}
CASES = {
    "HMM": Case(seqkit.HMM(emission=seqkit.Categorical(unknown="<unk>")), SENTENCES, TAGS, "decode", ()),
    "HMMTagger": Case(seqkit.HMMTagger(), SENTENCES, TAGS, "decode", ()),
    "Tagger": Case(seqkit.Tagger(core=nn.TDNN(4), **QUICK), FRAMES, [["a"] * 4 + ["b"] * (len(f) - 4) for f in FRAMES],
                   "decode_proba", (LABELS, None)),
    "BiLSTMTagger": Case(seqkit.BiLSTMTagger(hidden=4, crf=True, chars=True, **QUICK), SENTENCES, TAGS, "decode_proba",
                         (LABELS, SOUNDS, None)),
    "LSTMClassifier": Case(seqkit.LSTMClassifier(4, **QUICK), FRAMES, LABELS, "predict_proba", (SOUNDS, TAGS, None)),
    "SequenceClassifier": Case(seqkit.SequenceClassifier(nn.MLP(4), "mean", **QUICK), SENTENCES, LABELS,
                               "predict_proba", (TAGS, None)),
    "SequenceRegressor": Case(seqkit.SequenceRegressor(nn.GRU(4), **QUICK), FRAMES, [1.0, 2.0, 4.0, 8.0], "predict",
                              (TAGS, None)),
    "SequenceGenerator": Case(seqkit.SequenceGenerator(nn.LSTM(4), **QUICK), WORDS, None, "log_prob", ()),
    "Seq2Seq": Case(seqkit.Seq2Seq(nn.Bidirectional(nn.LSTM(4)), nn.LSTM(8), **QUICK), WORDS, SOUNDS, "decode",
                    (SPELT, None)),
    "CTC": Case(seqkit.CTC(nn.Bidirectional(nn.LSTM(4)), **QUICK), FRAMES, SOUNDS, "decode_proba", (SPELT, None)),
}  # fmt: skip
cases = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def fit(case: Case) -> Any:
    model = seqkit.clone(case.model)
    return model.fit(case.x) if case.y is None else model.fit(case.x, case.y)


def flat(answer: Any) -> Any:
    """Numbers as an array, anything else as plain lists."""
    if isinstance(answer, (pd.DataFrame, pd.Series)):
        answer = answer.to_numpy()
    return answer


def alike(one: Any, two: Any, rtol: float = 0.0) -> None:
    one, two = flat(one), flat(two)
    if isinstance(one, np.ndarray) and one.dtype.kind == "f":
        np.testing.assert_allclose(one, two, rtol=rtol, atol=rtol)
    else:
        assert list(map(str, one)) == list(map(str, two))


@cases
def test_constructor_only_stores(case):
    params = case.model.get_params(deep=False)
    rebuilt = type(case.model)(**params)
    assert set(vars(rebuilt)) == set(params)
    assert rebuilt == case.model == seqkit.clone(case.model) == sklearn_clone(case.model)
    with pytest.raises(ValueError, match="has no parameter 'nonsense'"):
        rebuilt.set_params(nonsense=1)
    with pytest.raises(seqkit.NotFittedError, match="call fit"):
        getattr(rebuilt, case.verb)(case.x)


@cases
def test_a_fit_is_its_data_and_seed_alone(case):
    x, y = copy.deepcopy(case.x), copy.deepcopy(case.y)
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first = fit(case)
    after = torch.random.get_rng_state(), np.random.get_state()[1]  # noqa: NPY002
    assert torch.equal(before[0], after[0]) and (before[1] == after[1]).all()
    second = fit(case)
    again = first.fit(case.x) if case.y is None else first.fit(case.x, case.y)
    assert again is first and first == second
    alike(getattr(first, case.verb)(case.x), getattr(second, case.verb)(case.x))
    assert str(x) == str(case.x) and str(y) == str(case.y)
    assert f"fitted to {len(case.x)}" in repr(first)


@pytest.mark.parametrize(
    "name",
    ["BiLSTMTagger", "LSTMClassifier", "SequenceRegressor", "SequenceGenerator", "Seq2Seq", "CTC"],
)
def test_a_fit_that_fails_leaves_no_mixture_of_old_and_new(name):
    case = CASES[name]
    model = fit(case)
    before = flat(getattr(model, case.verb)(case.x))
    x, y = case.x[::-1][:3], None if case.y is None else case.y[:3]
    with pytest.raises((ValueError, TypeError)):  # late, when the new data are known
        model.fit(x, y, validation=([], []))
    try:
        alike(getattr(model, case.verb)(case.x), before)
    except seqkit.NotFittedError as error:
        assert "call fit" in str(error)


@cases
def test_saved_without_pickle_and_equal(case, tmp_path):
    model = fit(case)
    path = model.save(tmp_path / "model.seqkit")
    loaded = seqkit.load(path)
    assert loaded == model and repr(loaded) == repr(model)
    alike(getattr(loaded, case.verb)(case.x), getattr(model, case.verb)(case.x))
    assert b"pickle" not in path.read_bytes()


@cases
def test_a_sequence_alone_is_answered_as_among_others(case):
    model = fit(case)
    ask = getattr(model, case.verb)
    together = ask(case.x)
    for i in range(len(case.x)):
        alone = ask([case.x[i]])
        if isinstance(together, (pd.DataFrame, pd.Series)):
            names = together.index.get_level_values(0)
            alike(alone, together[names == i], rtol=1e-6)
        else:
            alike(alone, [together[i]], rtol=1e-6)


@cases
def test_answers_carry_the_names_of_the_sequences(case):
    model = fit(case)
    names = {f"s{i}": one for i, one in enumerate(case.x)}
    answer = getattr(model, case.verb)(names)
    if isinstance(answer, (pd.DataFrame, pd.Series)):
        assert list(dict.fromkeys(answer.index.get_level_values(0))) == list(names)
    else:
        assert len(answer) == len(names)
    alike(answer, getattr(model, case.verb)(case.x))


@cases
def test_what_belongs_to_another_task_is_sent_there(case):
    for y in case.wrong:
        with pytest.raises((ValueError, TypeError), match=r"seqkit\.|y must|needs"):
            seqkit.clone(case.model).fit(case.x, y)


@cases
def test_empty_and_missing_input_is_refused(case):
    empty = "" if isinstance(case.x[0], str) else case.x[0][:0]
    with pytest.raises((ValueError, TypeError), match="empty"):
        seqkit.clone(case.model).fit([case.x[0], empty], case.y and case.y[:2])
    with pytest.raises((ValueError, TypeError), match="empty"):
        getattr(fit(case), case.verb)([empty])
