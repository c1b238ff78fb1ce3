"""Encoder-decoders: toys that must be solved, attention by hand, and step by step the same as in one pass."""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch
from tensors import close, normal, seeded

import seqkit
from seqkit import nn
from seqkit.nn import cross_attention
from seqkit.nn.cross_attention import AdditiveAttention, DotAttention
from seqkit.persistence import same

Both = nn.Bidirectional
SMALL = {"steps": 2, "batch_size": 16}
WORDS = ["".join(w) for k in (1, 2) for w in itertools.product("abc", repeat=k)]
CAPITALS = [[letter.upper() for letter in word] + ["!"] for word in WORDS]


def backwards(word: str) -> str:
    return word[::-1]


def unchanged(word: str) -> str:
    return word


def distinct(word: str) -> str:
    """Its letters in order, each once: all that a core that sees one step at a time can tell."""
    return "".join(sorted(set(word)))


def small(attention="additive", **options):
    options = SMALL | options
    return seqkit.Seq2Seq(Both(nn.LSTM(6)), nn.LSTM(5), attention, **options)


# -- attention -------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["dot", "additive"])
def test_attention_by_hand(form):
    s, h = normal(2, 3, 4), normal(2, 5, 6, seed=1)
    mask = torch.tensor([[True] * 5, [True, True, False, True, False]])
    attend = (DotAttention(4, 6) if form == "dot" else AdditiveAttention(4, 6, 7)).double()
    torch.nn.init.normal_(attend.keys.bias, generator=seeded(2))
    h[1, 2] = torch.nan  # padding may hold anything
    found, weights = attend(s, attend.remember(h, mask))
    w = {name: p.detach().numpy() for name, p in attend.named_parameters()}
    for n, u in itertools.product(range(2), range(3)):
        steps = np.flatnonzero(mask[n])
        scores = []
        for j in steps:
            key = w["keys.weight"] @ h[n, j].numpy() + w["keys.bias"]
            if form == "dot":
                scores.append(key @ s[n, u].numpy() / np.sqrt(4))
            else:
                scores.append(
                    w["weigh.weight"][0] @ np.tanh(w["queries.weight"] @ s[n, u].numpy() + key)
                )
        a = np.exp(scores) / np.exp(scores).sum()
        expected = np.zeros(5)
        expected[steps] = a
        np.testing.assert_allclose(weights[n, u].detach(), expected, rtol=0, atol=1e-12)
        mean = sum(a_j * h[n, j].numpy() for a_j, j in zip(a, steps, strict=True))
        np.testing.assert_allclose(found[n, u].detach(), mean, rtol=0, atol=1e-12)


def test_attention_to_nothing_is_zero():
    attend = DotAttention(4, 6)
    found, weights = attend(
        torch.ones(1, 2, 4), attend.remember(torch.ones(1, 3, 6), torch.zeros(1, 3).bool())
    )
    assert not found.any() and not weights.any()


def test_long_sequences_are_attended_to_in_pieces(monkeypatch):
    attend, s, h = AdditiveAttention(4, 6, 7).double(), normal(2, 9, 4), normal(2, 5, 6)
    memory = attend.remember(h)
    whole = attend(s, memory)[1]
    monkeypatch.setattr(cross_attention, "CELLS", 2 * memory.keys.numel())
    calls = []
    monkeypatch.setattr(
        attend.weigh, "forward", lambda x, f=attend.weigh.forward: calls.append(x) or f(x)
    )
    with torch.no_grad():
        close(attend(s, memory)[1], whole.detach())
    assert [x.shape[1] for x in calls] == [2, 2, 2, 2, 1]


# -- toys ------------------------------------------------------------------------------------------

TOYS = {
    "bilstm-lstm-additive": (Both(nn.LSTM(24)), nn.LSTM(24), "additive", backwards, {}),
    "lstm-lstm": (nn.LSTM(32), nn.LSTM(32), None, backwards, {}),
    "gru-gru-dot": (nn.GRU(24), nn.GRU(24), "dot", unchanged, {}),
    "rnn-rnn-additive": (nn.RNN(24), nn.RNN(24), "additive", backwards, {}),
    "tdnn-lstm-dot": (nn.TDNN((24, 24), kernel=3), nn.LSTM(24), "dot", unchanged, {}),
    "mlp-lstm-additive": (nn.MLP(24), nn.LSTM(24), "additive", distinct, {}),
    "bigru-gru": (Both(nn.GRU(32)), nn.GRU(32), None, unchanged, {}),
    "birnn-gru-dot": (Both(nn.RNN(24), merge="sum"), nn.GRU(24), "dot", backwards, {"sampling": 0.1}),
    "feeding": (nn.LSTM(24), nn.LSTM(24, 2), "dot", backwards, {"feeding": True, "steps": 130}),
}  # fmt: skip


@pytest.mark.parametrize("name", TOYS)
def test_toys_are_solved(name):
    encoder, decoder, attention, rule, options = TOYS[name]
    rng = np.random.default_rng(0)
    words = [WORDS[i] for i in rng.permutation(np.repeat(np.arange(len(WORDS)), 10))]
    options = {"steps": 85, "lr": 3e-2, "batch_size": 16} | options
    model = seqkit.Seq2Seq(encoder, decoder, attention, **options)
    model.fit(words, [rule(word) for word in words])
    assert model.decode(WORDS, beam=1) == [rule(word) for word in WORDS]
    assert model.decode(WORDS) == [rule(word) for word in WORDS]


def test_numbers_to_numbers():
    """The numbers from the last to the first, times a thousand, and as many as there are."""
    rng = np.random.default_rng(0)
    x = [rng.normal(size=rng.integers(2, 5)) for _ in range(200)]
    y = [1000 * one[::-1] for one in x]
    model = seqkit.Seq2Seq(
        Both(nn.LSTM(24)), nn.LSTM(24), "dot", steps=250, lr=2e-2, batch_size=16
    ).fit(x, y)
    found = model.decode(x)
    assert [len(one) for one in found] == [len(one) for one in y]
    error = np.concatenate(found) - np.concatenate(y)
    assert np.abs(error).mean() < 150  # of a spread of 1000
    assert found[0].dtype == np.float64


# -- one pass and step by step ---------------------------------------------------------------------

KINDS = {
    "additive": small(),
    "dot": small("dot", dropout=0.5),
    "context": small(None),
    "feeding": small(feeding=True, dropout=0.5),
    "members": small(members=2),
    "deep": seqkit.Seq2Seq(
        nn.TDNN(6), nn.GRU(5, 2, residual=True, dilations=(1, 2)), "dot", **SMALL
    ),
}


@cache
def fitted(name: str = "additive") -> seqkit.Seq2Seq:
    return KINDS[name].fit(WORDS, CAPITALS)


@pytest.mark.parametrize("name", KINDS)
def test_what_the_beam_says_is_what_one_pass_says(name):
    model = fitted(name)
    words = ["a", "abcab", "cc"]
    table = model.decode(words, beam=4, n_best=3)
    assert list(table.columns) == ["output", "log_prob", "score"]
    assert len(table) == 9
    for (i, _), row in table.iterrows():
        total = model.score([words[i]], [row["output"]]) * (len(row["output"]) + 1)
        assert row["log_prob"] == pytest.approx(total, abs=1e-4)
    assert (table["log_prob"].groupby("sequence").diff().dropna() <= 0).all()
    assert model.decode(words, beam=4) == table.xs(1, level="rank")["output"].tolist()


@pytest.mark.parametrize("name", KINDS)
def test_neither_padding_nor_other_sequences_count(name):
    model = fitted(name)
    x, y = ["a", "abcab", "cc", "b"], [["A"], ["B", "!"] * 4, ["C", "A"], ["!"]]
    steps = np.array([len(one) + 1 for one in y])
    alone = [model.score([a], [b]) for a, b in zip(x, y, strict=True)]
    assert model.score(x, y) == pytest.approx(steps @ alone / steps.sum(), abs=1e-6)
    assert model.decode(x) == [model.decode([one])[0] for one in x]


def test_no_step_sees_what_it_shall_write():
    model = fitted()
    task = model._task()
    _, data = model._pair(["abc"], [["A", "B", "C"]])
    batch = data.batch(torch.tensor([0]))
    before = task(batch)[0]
    batch["target"].values[0, 2] = batch["target"].values[0, 0]
    after = task(batch)[0]
    assert torch.equal(before[:, :3], after[:, :3]) and not torch.equal(before[:, 3], after[:, 3])


def test_density_of_numbers_by_hand_and_in_other_units():
    x = [[0.1, 0.4], [1.0, -0.3, 0.5]]
    y = [np.array([[1.0, 2.0]]), np.array([[0.5, np.nan], [3.0, 1.0]])]
    model = small(head=seqkit.StudentT(df=5)).fit(x, y)
    raws = model._task()(model._pair(x, y)[1].batch(torch.tensor([0, 1])))[0]
    targets, total = model._targets, 0.0
    for i, u in ((0, 0), (1, 0), (1, 1)):
        raw = raws[i, u].detach().double().numpy()
        law = model._targets.head.distribution(raw[:4].reshape(2, 2), targets.centre, targets.scale)
        total += np.nansum(law.log_prob(y[i][u]))
        end = 1 / (1 + np.exp(-raw[4]))
        total += np.log(end if u == len(y[i]) - 1 else 1 - end)
    assert model.score(x, y) == pytest.approx(total / 3, rel=1e-6)
    wide = small(head=seqkit.StudentT(df=5)).fit(x, [1000 * one + 7 for one in y])
    assert wide.score(x, [1000 * one + 7 for one in y]) == pytest.approx(
        model.score(x, y) - 5 * np.log(1000) / 3, abs=1e-4
    )


def test_counts():
    y = [[3, 0], [1, 2, 2]]
    model = small(head=seqkit.Poisson()).fit(["ab", "b"], y)
    assert np.isfinite(model.score(["ab", "b"], y))
    assert all((one > 0).all() for one in model.decode(["ab", "b"], max_length=4))
    with pytest.raises(ValueError, match="Poisson"):
        small(head=seqkit.Poisson()).fit(["ab", "b"], [[3, -1], [1]])


def test_the_score_of_numbers_is_that_of_those_that_are_there():
    model = small().fit(["ab", "b"], [[1.0, np.nan, 2.0], [3.0, 5.0, np.nan]])
    shorter = model.score(["ab"], [[1.0, np.nan, np.nan]])  # what follows does not count
    raw = model._task()(model._pair(["ab"], [[1.0, 0.0, 0.0]])[1].batch(torch.tensor([0])))[0]
    known = model._targets
    law = known.head.distribution(raw[0, :1].detach(), known.centre, known.scale)
    assert shorter == pytest.approx(float(law.log_prob(np.ones(1))[0]), rel=1e-6)
    with pytest.raises(ValueError, match="y holds no number at all"):
        model.score(["ab"], [[np.nan] * 3])


def test_what_is_missing_need_not_be_lawful():
    x, y = ["ab", "b"], [[3.0, 0.5, 2.0], [1.0, np.nan]]  # 0, of padding and gaps, has no density
    model = small(head=seqkit.Gamma()).fit(x, y)
    each = [3 * model.score(x[:1], y[:1]), 2 * model.score(x[1:], y[1:])]
    assert model.score(x, y) == pytest.approx(sum(each) / 5, rel=1e-6)


def test_smoothing_is_for_training_only():
    model = small(smoothing=0.3).fit(WORDS, CAPITALS)
    task, batch = model._task(), model._pair(WORDS, CAPITALS)[1].batch(torch.arange(9))
    with torch.no_grad():
        plain, count = task.loss(batch)
        assert float(plain / count) == pytest.approx(
            -model.score(WORDS[:9], CAPITALS[:9]), rel=1e-5
        )
        spread = -task(batch)[0].log_softmax(-1).mean(-1)[batch["target"].mask].sum()
        close(task.train().loss(batch)[0], 0.7 * plain + 0.3 * spread, 1e-3)


# -- what goes in and comes out --------------------------------------------------------------------


def test_texts_come_back_as_texts_and_lists_as_lists():
    assert all(isinstance(one, str) for one in small().fit(WORDS, WORDS).decode(["ab", "c"]))
    model = small().fit([list(word) for word in WORDS], CAPITALS)
    found = model.decode(["ab", "c"])
    assert isinstance(found[0], list) and set(found[0]) <= set("ABC!")
    assert not hasattr(model, "predict")
    frames = [pd.DataFrame({"word": list(w), "loud": np.arange(len(w)) * 1.0}) for w in WORDS]
    assert len(small().fit(frames, CAPITALS).decode(frames[:2])) == 2


def test_alignment_is_a_table_of_weights():
    model = fitted("members")
    table = model.alignment("abca", ["A", "C"])
    assert list(table.index) == ["A", "C", "<end>"] and list(table.columns) == list("abca")
    np.testing.assert_allclose(table.sum(axis=1), 1.0, rtol=0, atol=1e-6)
    assert table.equals(model.alignment(list("abca"), ["A", "C"]))
    assert model.alignment("abc").shape == (len(model.decode(["abc"])[0]) + 1, 3)
    with pytest.raises(ValueError, match="one sequence, got 2"):
        model.alignment(["ab", "bc"])
    with pytest.raises(ValueError, match="no attention"):
        fitted("context").alignment("a")
    figure = seqkit.plotting.alignment(model, "abca", ["A", "C"])
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == list("abca")
    bars = seqkit.plotting.alignment(table, coverage=True).axes[1].patches
    np.testing.assert_allclose([one.get_height() for one in bars], table.sum(), rtol=1e-12)


def test_saved_and_seeded(tmp_path):
    model = small(members=2, patience=1, holdout=0.2, epochs=2, steps=None).fit(WORDS, CAPITALS)
    again = seqkit.load(model.save(tmp_path / "model"))
    assert again.decode(WORDS) == model.decode(WORDS)
    assert again.score(WORDS, CAPITALS) == model.score(WORDS, CAPITALS)
    assert repr(again) == repr(model) and "steps to 4 symbols" in repr(model)
    state = torch.random.get_rng_state()
    twin = seqkit.clone(model).fit(WORDS, CAPITALS)
    assert torch.equal(state, torch.random.get_rng_state())
    assert same(twin._network.weights, model._network.weights)
    assert not same(twin._others[0].weights, twin._network.weights)


def test_outputs_go_by_the_names_of_their_inputs():
    x, y = ({str(i): list(one) for i, one in enumerate(part)} for part in (WORDS, CAPITALS))
    model = small().fit(x, dict(reversed(y.items())))
    assert model.decode(WORDS) == fitted().decode(WORDS)
    assert model.decode(x, n_best=2).index.get_level_values("sequence")[0] == "0"


def test_outputs_come_back_as_text_where_they_were_text_by_name_too():
    x, texts = {"p": "ab", "q": "b"}, {"p": "xy", "q": "x"}
    assert isinstance(small().fit(x, texts).decode(["a"])[0], str)
    symbols = pd.concat({k: pd.Series(list(v)) for k, v in texts.items()})
    assert isinstance(small().fit(x, symbols).decode(["a"])[0], list)


@pytest.mark.parametrize("form", [lambda y: y, lambda y: y.reset_index(), seqkit.Sequences])
def test_a_panel_of_outputs_goes_by_the_names_of_its_inputs(form):
    def panel(of: dict[str, list[float]]) -> pd.Series:
        return pd.concat(map(pd.Series, of.values()), keys=of, names=["unique_id", "ds"]).rename(
            "y"
        )

    x, y = panel({"p": [1.0, 1.0], "q": [-1.0]}), {"q": [-5.0, -5.0], "p": [5.0]}
    model = small().fit(x, form(panel(y)))
    assert model.score(x, form(panel(y))) == model.score(x, y)
    with pytest.raises(ValueError, match="is a name of x or of y, but not of both"):
        model.score(x, form(panel({"q": [1.0], "r": [1.0]})))


def test_a_series_of_texts_goes_by_the_names_of_its_inputs():
    x, y = {"p": "ab", "q": "b"}, {"p": "x", "q": "yyx"}
    turned = pd.Series(y).iloc[::-1]
    model = small().fit(x, turned)
    assert model.score(x, turned) == model.score(x, y) == model.score([*x.values()], [*y.values()])
    with pytest.raises(ValueError, match="but not 'p' once"):
        model.score(x, turned.rename({"p": "r"}))
    reader = seqkit.CTC(nn.MLP(4), 2, steps=2).fit(x, pd.Series({"p": "x", "q": "yx"}))
    assert reader.log_prob(x, pd.Series({"q": "y", "p": "xy"})).equals(
        reader.log_prob(x, {"p": "xy", "q": "y"})
    )


def test_outputs_may_be_empty():
    y = ["" if word == "b" else word for word in WORDS]
    model = small("dot", steps=60, lr=3e-2).fit(WORDS, y)
    assert model.decode(["b"]) == [""]
    best = model.decode(["b"], n_best=1)["log_prob"].iloc[0]
    assert model.score(["b"], [""]) == pytest.approx(best, abs=1e-5)
    assert model.alignment("b").shape == (1, 1)


def test_outputs_of_one_length_keep_it():
    x, y = [[1.0, 2.0], [0.5], [1.0] * 4], [np.arange(3.0), np.ones(3), np.array([2.0, 0.0, 1.0])]
    model = small().fit(x, y)
    assert [one.shape for one in model.decode(x)] == [(3,)] * 3
    assert len(model.decode(x, max_length=2)[0]) == 2
    with pytest.raises(ValueError, match="outputs of 2 to 2 steps"):
        model.score([[1.0]], [[1.0, 2.0]])


def test_hostile_input():
    model = fitted()
    assert len(model.decode(["?", "aöb", "a"])) == 3
    assert len(model.decode(["ab" * 5000], max_length=3)[0]) <= 3
    one = small().fit(["a"], [["B"]])
    assert one.decode(["a"], max_length=1)[0] in ([], ["B"])


@pytest.mark.parametrize("attention", ["additive", "dot"])
def test_a_long_pair_is_scored(attention):
    model = fitted(attention)
    assert np.isfinite(model.score(["ab" * 300], [["A", "B"] * 300]))


# -- refusals --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"decoder": Both(nn.LSTM(4))}, TypeError, "looks ahead"),
        ({"decoder": nn.MLP(4)}, TypeError, "no state"),
        ({"encoder": "lstm"}, TypeError, "encoder must be a core"),
        ({"attention": "best"}, ValueError, "attention must be"),
    ],
)
def test_unlawful_models_are_refused_when_built(options, kind, message):
    with pytest.raises(kind, match=message):
        seqkit.Seq2Seq(**options)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (["ab", "c"], None, "SequenceGenerator"),
        (["ab", "c"], [0, 1], "LSTMClassifier"),
        (["ab", ""], [["A"], ["B"]], r"x\[1\] is an empty text"),
        (["ab", "c"], [[1.0], []], r"y\[1\] is empty"),
        (["ab", "c"], [[], []], "all outputs are empty"),
        (["ab", "c"], [["A"], ["B"], ["C", "D"]], "x has 2 sequences and y has 3"),
        ([], [], "x is empty"),
        (
            {"u": ["a"], "v": ["b", "a"]},
            {"u": ["A", "B"], "w": ["C"]},
            "name outputs as their inputs",
        ),
        (["ab", "c"], [["A", "<end>"], ["B"]], "stands for the end"),
    ],
)
def test_data_that_do_not_fit(x, y, message):
    with pytest.raises(ValueError, match=message):
        small().fit(x, y)


@pytest.mark.parametrize(
    ("options", "y"), [({"head": seqkit.Normal()}, ["x"]), ({"smoothing": 0.1}, [[1.0]])]
)
def test_options_of_other_outputs_are_refused(options, y):
    with pytest.raises(ValueError, match=f"{next(iter(options))}=.* but y holds"):
        small(**options).fit(["a"], y)


def test_what_a_fitted_model_refuses():
    with pytest.raises(seqkit.NotFittedError):
        small().decode(["ab"])
    model = fitted()
    for call, message in (
        (lambda: model.score(["ab"], [["A", "Z"]]), "'Z', which was in no output"),
        (lambda: model.decode([[0.5, 1.0]]), "fitted to 1 symbol"),
        (lambda: model.decode([""]), "empty text"),
        (lambda: model.decode(["ab"], beam=0), "beam must be"),
        (lambda: model.decode(["ab"], max_length=0), "max_length must be"),
        (lambda: model.score(["ab"], [[1.0, 2.0]]), "writes symbols"),
        (lambda: small().fit([[1.0, 2.0]], [[1.0]]).decode([[1.0]], n_best=2), "n_best= is for"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(TypeError, match="no law of its own"):
        small(head=nn.Squared()).fit([[1.0, 2.0]], [[1.0]])
