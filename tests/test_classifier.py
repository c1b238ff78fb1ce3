"""Classifiers and regressors of sequences: every core and pooling on toys, padding, weights, laws, forms of data."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

import seqkit
from seqkit import nn
from seqkit.evaluation import Stratified, cross_validate, search
from seqkit.nn.inputs import InputLayer
from seqkit.tasks import Examples, ManyToOne, Ragged
from seqkit.tasks._pooling import POOLINGS

CORES = {
    "mlp": nn.MLP(16), "tdnn": nn.TDNN((16, 16)), "rnn": nn.RNN(16), "lstm": nn.LSTM(16), "gru": nn.GRU(16),
    "both": nn.Bidirectional(nn.LSTM(12)), "sum": nn.Bidirectional(nn.TDNN((16, 16)), merge="sum"),
}  # fmt: skip
QUICK = {"dropout": 0.0, "unknown": 0.0, "lr": 2e-2, "batch_size": 16}
HALVES = {"class_weights": {"a": 3.0, "b": 1.0}}


def words(count: int, longest: int, seed: int, letters: str = "pqr") -> list[list[str]]:
    rng = np.random.default_rng(seed)
    return [list(rng.choice(list(letters), size=rng.integers(1, longest + 1))) for _ in range(count)]  # fmt: skip


def marked(count: int, seed: int) -> tuple[list[list[str]], list[str]]:
    """Noise with an X or a Y in one place of it."""
    x, rng = words(count, 6, seed), np.random.default_rng(seed)
    labels = [str(label) for label in rng.choice(["X", "Y"], size=count)]
    for word, label in zip(x, labels, strict=True):
        word[rng.integers(len(word))] = label
    return x, labels


def waves(count: int = 40, seed: int = 0) -> tuple[list[np.ndarray], np.ndarray]:
    """Slow and fast waves with noise, of two channels and of lengths that differ."""
    rng, y = np.random.default_rng(seed), np.arange(count) % 2
    x = []
    for label in y:
        t = np.arange(rng.integers(8, 14))[:, None] + rng.uniform(0, 6)
        x.append(np.sin(t * (0.5 + 1.5 * label)) * [1.0, 5.0] + 0.1 * rng.normal(size=(len(t), 2)))
    return x, y


@pytest.fixture(scope="module")
def fitted() -> seqkit.LSTMClassifier:
    x, y = waves()
    return seqkit.LSTMClassifier(8, steps=60, **QUICK).fit(x, y)


# -- toys that must be solved ----------------------------------------------------------------------


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("pooling", ["mean", "max", "attention"])
def test_every_core_finds_the_mark_by_every_pooling(core, pooling):
    model = seqkit.SequenceClassifier(CORES[core], pooling, steps=50, **QUICK)
    assert model.fit(*marked(80, seed=0)).score(*marked(100, seed=1)) == 1.0


@pytest.mark.parametrize("core", CORES)
def test_the_last_state_recalls_the_first_symbol(core):
    place = -1 if core == "mlp" else 0  # without memory the last step is all that it sees
    x, more = words(300, 4, seed=0), words(100, 4, seed=1)
    model = seqkit.SequenceClassifier(CORES[core], "last", steps=120, **QUICK)
    model.fit(x, [word[place] for word in x])
    assert model.score(more, [word[place] for word in more]) == 1.0


@pytest.mark.parametrize("core", ["rnn", "lstm", "gru", "both"])
def test_parity_of_a_sequence(core):
    x = [list(word) for n in range(1, 6) for word in itertools.product("pq", repeat=n)]
    y = [word.count("p") % 2 for word in x]
    options = {"steps": 250, "batch_size": 32} if core == "rnn" else {"steps": 150}
    model = seqkit.SequenceClassifier(CORES[core], "last", **QUICK | options)
    assert model.fit(x, y).score(x, y) == 1.0


def test_majority_of_numbers_and_symbols_together():
    def frames(count, seed):
        rng, made, y = np.random.default_rng(seed), [], []
        while len(made) < count:
            sign, number = rng.choice(["+", "-"], size=5), rng.integers(1, 4, size=5)
            total = int(np.where(sign == "+", number, -number).sum())
            if total:
                made.append(pd.DataFrame({"number": number.astype(float), "sign": sign}))
                y.append(total > 0)
        return made, y

    model = seqkit.SequenceClassifier(nn.MLP(16), "mean", steps=150, **QUICK)
    model.fit(*frames(150, seed=0))
    assert model.score(*frames(60, seed=1)) == 1.0
    assert model.predict(frames(3, seed=2)[0]).dtype == bool


# -- the task --------------------------------------------------------------------------------------


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("pooling", POOLINGS)
def test_padding_changes_nothing(core, pooling):
    torch.manual_seed(0)
    task = ManyToOne(InputLayer(2), CORES[core].build(2), nn.Classes(3), pooling=pooling)
    for weight in task.parameters():
        torch.nn.init.normal_(weight, std=0.3)  # also where it starts at zero
    task = task.double().eval()
    rng = np.random.default_rng(0)
    data = Examples(numbers=Ragged.of([rng.normal(size=(n, 2)) for n in (1, 7, 4)]))
    with torch.no_grad():
        together = task(data.batch(torch.tensor([0, 1, 2])))
        alone = torch.cat([task(data.batch(torch.tensor([i]))) for i in range(3)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-12)
    assert (alone[0] - alone[1]).abs().max() > 1e-3


def test_the_highest_core_of_a_stack_is_asked_at_both_its_ends():
    core = nn.Stack((nn.GRU(3), nn.Stack((nn.Bidirectional(nn.LSTM(4)),)))).build(2)
    task = ManyToOne(InputLayer(2), core, nn.Classes(3)).eval()
    task.readout = torch.nn.Identity()
    batch = Examples(numbers=Ragged.of([np.random.default_rng(0).normal(size=(6, 2))])).to(
        "cpu", torch.float32
    ).batch(torch.tensor([0]))  # fmt: skip
    h = core(batch["numbers"].values)
    torch.testing.assert_close(task(batch), torch.cat([h[:, -1, :4], h[:, 0, 4:]], 1))


@pytest.mark.parametrize("options", [{}, HALVES, {"class_weights": "balanced"}, {"smoothing": 0.4}])
def test_without_information_the_probabilities_are_those_of_the_weighted_counts(options):
    x, y = [np.ones(2)] * 20, ["a"] * 4 + ["b"] * 16
    steps = {"steps": 300, "weight_decay": 0.0, "batch_size": 20, "lr": 0.05, "dropout": 0.0}
    model = seqkit.SequenceClassifier(nn.MLP(4), "mean", **steps, **options).fit(x, y)
    share = options.get("smoothing", 0.0)
    target = np.array([4.0, 16.0]) * (1 - share) + 20 * share / 2
    target *= {"balanced": [4.0, 1.0]}.get(str(options.get("class_weights")), [1.0, 1.0])
    target *= [3.0, 1.0] if options is HALVES else [1.0, 1.0]
    np.testing.assert_allclose(model.predict_proba(x[:1]), [target / target.sum()], rtol=0, atol=2e-3)  # fmt: skip


def test_attention_lies_where_the_mark_is():
    x, y = marked(150, seed=0)
    model = seqkit.SequenceClassifier(nn.MLP(16), "attention", steps=150, **QUICK).fit(x, y)
    weights = model.attention(x[:20])
    assert weights.index.names == ["series", "time"]
    np.testing.assert_allclose(weights.groupby("series").sum(), np.ones(20), rtol=1e-6)
    for i, word in enumerate(x[:20]):
        assert weights[i].idxmax() == np.isin(word, ["X", "Y"]).argmax()


# -- regressors ------------------------------------------------------------------------------------


def levels(count: int, seed: int, noise: float = 1.0) -> tuple[list[np.ndarray], np.ndarray]:
    """A number that is 3 times the mean of a sequence, and noise."""
    rng = np.random.default_rng(seed)
    x = [rng.normal() + 0.1 * rng.normal(size=rng.integers(3, 9)) for _ in range(count)]
    return x, 3 * np.array([one.mean() for one in x]) + noise * rng.normal(size=count)


@pytest.mark.parametrize("head", [seqkit.Normal(), nn.Squared()], ids=repr)
def test_intervals_of_a_regressor_hold_as_much_as_they_say(head):
    x, y = levels(400, seed=0)
    more, actual = levels(2000, seed=1)
    model = seqkit.SequenceRegressor(nn.MLP(8), "mean", head, steps=150, lr=2e-2).fit(x, y)
    law = model.predict_distribution(more)
    low, high = law.quantile([0.05, 0.95])
    assert 0.86 < ((low < actual) & (actual < high)).mean() < 0.94
    assert np.sqrt(np.mean((model.predict(more) - actual) ** 2)) < 1.06  # the noise is 1
    expected = stats.norm.logpdf(actual, law.mean, law.scale).mean()
    np.testing.assert_allclose(model.score(more, actual), expected, rtol=1e-12)
    assert -1.50 < expected < -1.38  # -log(2 pi e) / 2 = -1.419 for the true law


def test_a_spread_is_learnt_apart_from_the_run_on_disk(tmp_path):
    x, y = waves(20)
    options = {"steps": 5, "epochs": None, "batch_size": 8}
    disk = seqkit.training.Trainer(checkpoint=str(tmp_path / "run"), **options)
    runs = [seqkit.training.Trainer(**options), disk, disk]  # the last one finds all done
    found = [
        seqkit.SequenceRegressor(nn.MLP(4), head=nn.Squared(), trainer=t).fit(x, y) for t in runs
    ]
    assert len({float(model.score(x, y)) for model in found}) == 1


@pytest.mark.parametrize("head", [seqkit.StudentT(), nn.Squared(), seqkit.Gamma()], ids=repr)
def test_answers_follow_the_unit_of_the_target(head):
    x, y = levels(40, seed=0)
    y = np.exp(0.2 * y)
    first, second = (
        seqkit.LSTMRegressor(4, head=head, steps=5).fit(x, unit * y) for unit in (1.0, 1e6)
    )
    np.testing.assert_allclose(second.predict(x), 1e6 * first.predict(x), rtol=1e-5)
    difference = first.score(x, y) - second.score(x, 1e6 * y)
    np.testing.assert_allclose(difference, np.log(1e6), rtol=1e-5)


def test_counts_and_quantiles():
    rng = np.random.default_rng(0)
    x = [np.full(3, level) for level in rng.uniform(0, 3, size=300)]
    mean = np.exp([one[0] for one in x])
    options = {"steps": 150, "lr": 2e-2}
    counts = seqkit.SequenceRegressor(nn.MLP(16), "mean", seqkit.Poisson(), **options)
    found = counts.fit(x, rng.poisson(mean)).predict(x)
    np.testing.assert_allclose(found, mean, rtol=0.25, atol=0.4)
    wide = seqkit.SequenceRegressor(
        nn.MLP(16), "mean", seqkit.Quantiles([0.1, 0.5, 0.9]), **options
    )
    y = mean + rng.normal(size=300)
    law = wide.fit(x, y).predict_distribution(x)
    assert 0.7 < ((law.quantile(0.1) < y) & (y < law.quantile(0.9))).mean() < 0.9


# -- what goes in and comes out --------------------------------------------------------------------


def test_the_lines_of_the_front_page(fitted):
    frames, labels = waves(10)
    clf = seqkit.LSTMClassifier(bidirectional=True, pooling="attention", steps=2)
    clf.fit([pd.DataFrame(x) for x in frames], labels)
    assert clf.predict([pd.DataFrame(x) for x in frames]).shape == (10,)
    assert clf.predict_proba([pd.DataFrame(x) for x in frames]).shape == (10, 2)
    assert repr(fitted) == (
        "LSTMClassifier(hidden=8, steps=60, batch_size=16, lr=0.02, dropout=0.0, unknown=0.0)  "
        "# fitted to 40 sequences of 8 to 13 steps, 2 classes"
    )


def test_probabilities_and_labels_agree(fitted):
    x, y = waves(20, seed=1)
    p, said = fitted.predict_proba(x), fitted.predict(x)
    assert p.to_numpy().dtype == np.float64 and said.dtype == y.dtype
    np.testing.assert_allclose(p.sum(axis=1), 1.0, rtol=1e-12)
    np.testing.assert_array_equal(p.columns[p.to_numpy().argmax(1)], said)
    assert fitted.score(x, y) == (said.to_numpy() == y).mean() == 1.0
    assert fitted.tokens_per_second_ > 0 and len(fitted.history_)


def test_the_same_sequences_in_every_container():
    cube = np.stack([x[:8] for x in waves(12)[0]])
    y = waves(12)[1]
    keys = [f"s{i}" for i in range(12)]
    shuffled = pd.Series(y, keys).sample(frac=1, random_state=0)
    table = pd.concat(dict(zip(keys, map(pd.DataFrame, cube), strict=True)))
    forms = [
        (list(cube), y), (cube, list(y)), ([pd.DataFrame(x) for x in cube], pd.Series(y)),
        (dict(zip(keys, cube, strict=True)), shuffled), (dict(zip(keys, cube, strict=True)), shuffled.to_dict()),
        (table, shuffled),
    ]  # fmt: skip
    model = seqkit.LSTMClassifier(4, steps=3)
    found = [seqkit.clone(model).fit(*form).predict_proba(form[0]) for form in forms]
    for one in found[1:]:
        np.testing.assert_array_equal(one, found[0])
    assert found[0].index.equals(pd.RangeIndex(12)) and found[3].index.tolist() == keys
    rows, one = cube[..., 0], cube[..., :1]
    flat = seqkit.clone(model).fit(rows, y)
    np.testing.assert_array_equal(
        flat.predict_proba(rows), seqkit.clone(model).fit(one, y).predict_proba(rows)
    )
    assert flat.predict(rows[:, :1]).shape == (12,)  # one step each
    assert flat.predict(rows[0]).shape == (1,)


@pytest.mark.parametrize("labels", [
    ["x", "y"], [3, 1], [True, False], [1.0, 2.0], ["a", 1], [pd.Timestamp("2024"), pd.Timestamp("2025")],
], ids=str)  # fmt: skip
def test_labels_come_back_as_they_were(labels, tmp_path):
    model = seqkit.SequenceClassifier(nn.MLP(2), steps=1).fit([["a"], ["b"], ["b"]], [*labels, labels[1]])  # fmt: skip
    again = seqkit.load(model.save(tmp_path / "model"))
    said = again.predict([["a"]] * 3)
    assert set(said) <= set(labels) and list(again.classes_) in (labels, labels[::-1])
    assert again.score([["a"]] * 3, said.tolist()) == 1.0


def test_texts_are_read_character_by_character():
    texts = ["aaab", "abaa", "bbba", "abbb"] * 5
    model = seqkit.SequenceClassifier(nn.MLP(8), "mean", steps=60, **QUICK)
    model.fit(texts, ["mostly a", "mostly a", "mostly b", "mostly b"] * 5)
    assert model.predict(["aaaaab", "babbb"]).tolist() == ["mostly a", "mostly b"]
    assert model.predict("bbbbbbb").tolist() == ["mostly b"]


def test_a_series_of_texts_is_answered_on_its_index():
    x, y = pd.Series(["aab", "bba", "a", "bb"], list("wxyz")), pd.Series([0, 1, 0, 1], list("wxyz"))
    clf = seqkit.SequenceClassifier(nn.MLP(8), "mean", steps=40, **QUICK).fit(x, y.iloc[::-1])
    assert clf.predict(x).to_dict() == y.to_dict()
    assert clf.score(x.iloc[::-1], y) == clf.score(x.tolist(), y.to_frame().to_numpy()) == 1
    assert clf.predict(pd.Series(["b", "a"], [7, 7])).tolist() == [1, 0]  # names that are none


def test_missing_numbers_and_unknown_symbols_are_allowed(fitted):
    x, y = waves(20)
    x[0][3:5, 0] = np.nan
    model = seqkit.LSTMClassifier(4, steps=2).fit(x, y)
    for one in (fitted, model):
        p = one.predict_proba([np.full((4, 2), np.nan), *x])
        assert np.isfinite(p.to_numpy()).all()
    named = seqkit.LSTMClassifier(4, steps=2).fit([["a"], ["b"]], [0, 1])
    assert np.isfinite(named.predict_proba([["never", "seen"]]).to_numpy()).all()


def test_saved_loaded_cloned_and_trained_again_it_is_the_same(fitted, tmp_path):
    x, y = waves()
    again = seqkit.load(fitted.save(tmp_path / "classifier"))
    assert again == fitted
    pd.testing.assert_frame_equal(again.predict_proba(x), fitted.predict_proba(x))
    anew = seqkit.clone(fitted)
    with pytest.raises(seqkit.NotFittedError, match="call fit"):
        anew.predict(x)
    np.testing.assert_array_equal(anew.fit(x, y).predict_proba(x), fitted.predict_proba(x))
    other = seqkit.clone(fitted).set_params(seed=1).fit(x, y)
    assert np.abs(other.predict_proba(x) - fitted.predict_proba(x)).to_numpy().max() > 1e-6
    numbers, target = levels(30, seed=0)
    model = seqkit.LSTMRegressor(4, head=nn.Squared(), steps=3).fit(numbers, target)
    loaded = seqkit.load(model.save(tmp_path / "regressor"))
    np.testing.assert_array_equal(loaded.predict(numbers), model.predict(numbers))
    assert loaded.score(numbers, target) == model.score(numbers, target)


def test_validation_tells_when_to_stop():
    x, y = waves()
    model = seqkit.LSTMClassifier(8, patience=1, epochs=60, **QUICK)
    history = model.fit(x, y, validation=(x, 1 - y)).history_  # the more it learns, the worse
    assert len(history) < 10 and history["validation"].notna().all()
    held = seqkit.clone(model).set_params(holdout=0.25, epochs=2).fit(x, y).history_
    assert held["validation"].notna().all()


# -- selection -------------------------------------------------------------------------------------


def test_cross_validation_and_search():
    x, y = waves(30)
    model = seqkit.SequenceClassifier(nn.TDNN((12, 12)), "mean", steps=30, **QUICK)
    assert cross_validate(model, x, Stratified(3), y=y)["score"].mean() > 0.9
    found = search(model, {"steps": [1, 30]}, x, Stratified(2), y=y, metric="accuracy")
    assert found.best_params_ == {"steps": 30}
    regressor = seqkit.SequenceRegressor(nn.MLP(8), "mean", steps=100, lr=2e-2)
    frame = cross_validate(regressor, *(lambda data: (data[0], seqkit.KFold(2), data[1]))(levels(80, 0)))  # fmt: skip
    assert frame["score"].mean() > -1.7


def test_labels_find_their_sequences_by_name_in_every_part():
    x, y = waves(12)
    keys = [f"s{i}" for i in range(12)]
    labels = pd.Series(y, keys).sample(frac=1, random_state=0)

    class Names:
        def fit(self, x, y):
            return self

        def score(self, x, y):
            return float(list(x.keys) == list(y.index))

    panel = dict(zip(keys, x, strict=True))
    assert (cross_validate(Names(), panel, seqkit.KFold(3), y=labels)["score"] == 1).all()
    with pytest.raises(ValueError, match="but not 's0' once"):
        cross_validate(Names(), panel, seqkit.KFold(3), y=labels.rename({"s0": "t0"}))


def test_scikit_learn_selects_them():
    sklearn = pytest.importorskip("sklearn.model_selection")
    from sklearn.base import clone, is_classifier

    x, y = waves(30)
    model = seqkit.SequenceClassifier(nn.TDNN((12, 12)), "mean", steps=30, **QUICK)
    assert is_classifier(model) and clone(model) == model
    order = np.argsort(y, kind="stable")  # so that parts that are not stratified would fail
    x, y = [x[i] for i in order], y[order]
    assert sklearn.cross_val_score(model, x, y, cv=3).mean() > 0.9
    cube = np.stack([one[:8] for one in x])
    found = sklearn.GridSearchCV(model, {"steps": [1, 30]}, cv=2, scoring="accuracy").fit(cube, y)
    assert found.best_params_ == {"steps": 30}
    numbers, target = levels(40, seed=0)
    regressor = seqkit.SequenceRegressor(nn.MLP(8), "mean", steps=20)
    assert np.isfinite(sklearn.cross_val_score(regressor, numbers, target, cv=2)).all()


# -- what goes in wrong ----------------------------------------------------------------------------

CLASSIFIER, REGRESSOR = seqkit.LSTMClassifier(2, steps=1), seqkit.LSTMRegressor(2, steps=1)
X = [[1.0, 2.0], [3.0]]
WRONG = {
    "a core that is built": (lambda: seqkit.SequenceClassifier(torch.nn.LSTM(2, 2)), TypeError, "seqkit.nn.LSTM"),
    "a pooling unknown": (lambda: seqkit.LSTMClassifier(pooling="median"), ValueError, "'median'.*'last'"),
    "a width of nothing": (lambda: seqkit.LSTMRegressor(0), ValueError, "hidden is 0"),
    "a head of classes": (lambda: seqkit.SequenceRegressor(head=nn.Classes(2)).fit(X, [1, 2]), TypeError, "Classifier"),
    "no labels": (lambda: CLASSIFIER.fit(X, None), ValueError, "needs one label per sequence.*SequenceGenerator"),
    "labels of steps": (lambda: CLASSIFIER.fit(X, [["a", "b"], ["a"]]), ValueError, "BiLSTMTagger"),
    "output sequences": (lambda: CLASSIFIER.fit(X, [["a"], ["b"]]), ValueError, "Seq2Seq"),
    "fewer labels": (lambda: CLASSIFIER.fit(X, ["a"]), ValueError, "1 entries, but x has 2 sequences"),
    "one label for all": (lambda: CLASSIFIER.fit(X, 3), TypeError, "y is 3; give a list"),
    "rows that do not fit": (
        lambda: CLASSIFIER.fit(np.zeros((3, 4)), [0, 1]), ValueError, "2 entries.*is 3 sequences for 3 entries",
    ),
    "more numbers": (lambda: REGRESSOR.fit(X, [1, 2, 3]), ValueError, "3 entries, but x has 2 sequences"),
    "one class": (lambda: CLASSIFIER.fit(X, ["a", "a"]), ValueError, "one class alone, 'a'"),
    "a label missing": (lambda: CLASSIFIER.fit(X, ["a", None]), ValueError, r"y\[1\] is missing"),
    "a number missing": (lambda: REGRESSOR.fit(X, [1.0, np.nan]), ValueError, r"y\[1\] is missing"),
    "an infinite number": (lambda: REGRESSOR.fit(X, [1.0, np.inf]), ValueError, "y is infinite at 1"),
    "numbers as labels": (lambda: CLASSIFIER.fit(X, [0.5, 1.25]), ValueError, "LSTMRegressor"),
    "labels as numbers": (lambda: REGRESSOR.fit(X, ["a", "b"]), TypeError, "LSTMClassifier"),
    "a name without label": (lambda: CLASSIFIER.fit({"s": X[0], "t": X[1]}, {"s": 1}), ValueError, "nothing under 't'"),
    "a name that x has not": (
        lambda: CLASSIFIER.fit({"s": X[0], "t": X[1]}, pd.Series([0, 1], ["t", "u"])), ValueError, "but not 's' once",
    ),
    "an infinite label": (lambda: CLASSIFIER.fit(X, [0.0, np.inf]), ValueError, "LSTMRegressor"),
    "a weight missing": (
        lambda: seqkit.LSTMClassifier(class_weights={"a": 1.0}).fit(X, ["a", "b"]), ValueError, "each of the classes",
    ),
    "weights by another rule": (
        lambda: seqkit.LSTMClassifier(class_weights="even").fit(X, ["a", "b"]), ValueError, "'even'; pass \"balanced\"",
    ),
    "a label of validation alone": (
        lambda: CLASSIFIER.fit(X, ["a", "b"], validation=(X, ["a", "c"])), ValueError, "validation y has the label 'c'",
    ),
    "a negative count": (
        lambda: seqkit.LSTMRegressor(head=seqkit.Poisson()).fit(X, [1, -2]), ValueError, "y holds -2",
    ),
    "too few to hold out": (
        lambda: seqkit.LSTMRegressor(head=nn.Squared()).fit(X, [1.0, 2.0]), ValueError, "give validation=",
    ),
    "an empty sequence": (lambda: CLASSIFIER.fit([["a"], []], [0, 1]), ValueError, r"x\[1\]"),
    "nothing": (lambda: CLASSIFIER.fit([], []), ValueError, "x is empty"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", WRONG)
def test_mistakes_are_named(mistake):
    call, error, message = WRONG[mistake]
    with pytest.raises(error, match=message):
        call()


def test_questions_of_another_kind_are_refused(fitted):
    x, y = waves(4)
    with pytest.raises(
        ValueError, match="3 numbers per step, but the model was fitted to 2 numbers"
    ):
        fitted.predict([np.zeros((5, 3))])
    with pytest.raises(ValueError, match="1 symbol"):
        fitted.predict([["a", "b"]])
    with pytest.raises(ValueError, match="3 entries, but x has 4"):
        fitted.score(x, y[:3])
    frame = pd.DataFrame({"a": [0.0, 1.0], "b": [1.0, 0.0]})
    named = seqkit.LSTMClassifier(2, steps=1).fit([frame, frame], [0, 1])
    with pytest.raises(ValueError, match=r"columns \['b', 'a'\].*in the same order"):
        named.predict([frame[["b", "a"]]])
    assert fitted.score(x, ["never", "seen", "these", "labels"]) == 0.0
    with pytest.raises(ValueError, match="pooling='last' has no weights"):
        seqkit.LSTMClassifier(2, pooling="last", steps=1).fit(x, y).attention(x)
    broken = seqkit.clone(fitted).fit(x, y)
    with pytest.raises(ValueError, match="one class"):
        broken.fit(x, [0] * 4)
    with pytest.raises(seqkit.NotFittedError):
        broken.predict(x)
