"""Markov chains against hand computation: classes, passage times, gaps by enumeration; and the manners of the model."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pandas as pd
import pytest

import seqkit
from seqkit.base import ConvergenceWarning, NotFittedError
from seqkit.kernels import markov
from seqkit.models.markov._markov_data import evidence
from seqkit.models.markov.markov_chain import MarkovChain

WEATHER = [[0.7, 0.3], [0.4, 0.6]]


@pytest.fixture
def weather():
    return MarkovChain.from_params(states=["Rainy", "Sunny"], transition=WEATHER)


def ruin(p, rich):
    """The gambler who wins one with probability p, until he has nothing or `rich`."""
    law = np.zeros((rich + 1, rich + 1))
    law[0, 0] = law[rich, rich] = 1
    for i in range(1, rich):
        law[i, i + 1], law[i, i - 1] = p, 1 - p
    return MarkovChain.from_params(transition=law, initial=np.eye(rich + 1)[rich // 2])


def cycle(length):
    return MarkovChain.from_params(transition=np.roll(np.eye(length), 1, axis=1))


# -- fitting by counting -------------------------------------------------------------------------


def test_counts_by_hand():
    chain = MarkovChain().fit(["a", "b", "a", "a", "b"])
    assert chain.states_ == ["a", "b"]
    assert chain.counts_.to_numpy().tolist() == [[1, 2], [1, 0]]
    assert chain.transition_.loc["a"].tolist() == [1 / 3, 2 / 3]
    assert chain.initial_.to_dict() == {"a": 1, "b": 0}
    assert chain.log_likelihood_ == pytest.approx(np.log(1 / 3 * 4 / 9))
    assert chain.n_parameters_ == 2
    assert chain.aic_ == pytest.approx(4 - 2 * chain.log_likelihood_)
    assert chain.bic_ == pytest.approx(2 * np.log(5) - 2 * chain.log_likelihood_)
    errors = chain.standard_errors()
    assert errors.loc["a", "b"] == pytest.approx(np.sqrt(2 / 9 / 3))


def test_pseudo_counts_by_hand():
    chain = MarkovChain(pseudo_count=0.5, states=["a", "b", "c"]).fit([["a", "b"], ["b", "b", "a"]])
    assert chain.transition_.loc["b"].tolist() == [1.5 / 3.5, 1.5 / 3.5, 0.5 / 3.5]
    assert chain.transition_.loc["c"].tolist() == [1 / 3] * 3
    assert chain.initial_.tolist() == [1.5 / 3.5, 1.5 / 3.5, 0.5 / 3.5]


def test_second_order_by_hand():
    chain = MarkovChain(2, never_left="uniform").fit(list("abbabbb"))
    assert chain.counts_.loc[("b", "b")].tolist() == [1, 1]
    assert chain.counts_.loc[("a", "b")].tolist() == [0, 2]
    assert chain.initial_[("a", "b")] == 1
    assert chain.transition_.loc[("a", "a")].tolist() == [0.5, 0.5]
    assert chain.transition_.index.names == ["lag 2", "lag 1"]


def test_every_container_says_the_same():
    plain = MarkovChain().fit([1, 2, 1, 1, 2, 1])
    index = pd.date_range("2024-01-01", periods=6)
    for x in (
        np.array([1, 2, 1, 1, 2, 1]),
        pd.Series([1.0, 2, 1, 1, 2, 1], index=index),
        pd.Series(pd.Categorical([1, 2, 1, 1, 2, 1])),
        pd.DataFrame({"s": [1, 2, 1, 1, 2, 1]}, index=index),
        pd.DataFrame([1, 2, 1, 1, 2, 1]),
        pd.Series([1, 2, 1, 1, 2, 1], dtype="Int64"),
        np.array([[1], [2], [1], [1], [2], [1]]),
        seqkit.Sequences(np.array([1.0, 2, 1, 1, 2, 1])),
    ):
        assert MarkovChain().fit(x).transition_.equals(plain.transition_)
    panel = MarkovChain().fit({"u": [1, 2, 1], "v": [1, 2, 1]})
    assert MarkovChain().fit(np.array([[[1], [2], [1]]] * 2)).counts_.equals(panel.counts_)
    index = pd.MultiIndex.from_product([["u", "v"], range(3)])
    assert MarkovChain().fit(pd.Series([1, 2, 1] * 2, index=index)).counts_.equals(panel.counts_)
    long = pd.DataFrame({"unique_id": list("uuuvvv"), "ds": [0, 1, 2] * 2, "y": list("xyxxyx")})
    assert MarkovChain().fit(long).counts_.to_numpy().tolist() == panel.counts_.to_numpy().tolist()


def test_labels_of_every_kind():
    text = pd.Series(["b", None, "a", "a", "b"], dtype="string")
    assert MarkovChain().fit(text).states_ == ["a", "b"]
    assert MarkovChain().fit(np.array(["u", "v", "u"])).states_ == ["u", "v"]
    assert MarkovChain().fit([True, False, True, True]).states_ == [False, True]
    assert MarkovChain().fit([1, "one", 1, "one", 1]).states_ == [1, "one"]
    sizes = pd.cut(pd.Series([0.1, 0.9, 0.2, 0.8, 0.3]), [0, 0.5, 1])
    assert len(MarkovChain().fit(sizes).states_) == 2


def test_one_state():
    for order in (1, 2):
        chain = MarkovChain(order).fit(["a"] * 5)
        assert chain.stationary_.tolist() == [1] and chain.predict(2).to_numpy().tolist() == [
            [1],
            [1],
        ]
        assert chain.sample(1, length=3).tolist() == ["a"] * 3
        assert chain.log_likelihood(["a", None, "a"]) == 0 and chain.n_parameters_ == 0


def test_nothing_follows_the_last_state():
    with pytest.warns(UserWarning, match="nothing follows 'Rainy' in x.*pseudo_count=1.*absorbing"):
        chain = MarkovChain().fit(["Sunny", "Sunny", "Rainy"])
    assert chain.stationary_.to_dict() == {"Rainy": 0.5, "Sunny": 0.5}
    small = MarkovChain(pseudo_count=1e-12).fit(["Sunny", "Sunny", "Rainy"])
    assert np.allclose(chain.transition_, small.transition_)  # the limit that the warning speaks of
    ends = MarkovChain(never_left="absorbing").fit(["Sunny", "Sunny", "Rainy"])
    assert ends.stationary_.to_dict() == {"Rainy": 1, "Sunny": 0}
    assert ends.standard_errors().loc["Rainy"].tolist() == [np.inf, np.inf]


def test_recovers_what_it_sampled(weather):
    drawn = weather.sample(20, length=500, seed=3)
    chain = MarkovChain().fit(drawn)
    error = (chain.transition_ - weather.transition_).abs() / chain.standard_errors()
    assert error.to_numpy().max() < 4
    assert weather.sample(20, length=500, seed=3).equals(drawn)
    assert not weather.sample(20, length=500, seed=4).equals(drawn)


def test_sample_never_does_the_impossible():
    law = [[0.1, 0.9, 0.0], [0.0, 0.0, 1.0], [1 / 3, 2 / 3, 0.0]]
    drawn = MarkovChain.from_params(transition=law).sample(3, length=4000, seed=0)
    pairs = {(a, b) for _, part in drawn.groupby(level=0) for a, b in itertools.pairwise(part)}
    assert pairs == {(0, 0), (0, 1), (1, 2), (2, 0), (2, 1)}


def test_sample_of_second_order():
    law = np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])  # flips what came last
    drawn = MarkovChain.from_params(transition=law, initial=[0, 1, 0, 0], order=2).sample(
        1, length=6
    )
    assert drawn.tolist() == [0, 1, 0, 1, 0, 1]
    short = MarkovChain.from_params(transition=law, initial=[0, 1, 0, 0], order=2)
    assert short.sample(1, length=1).tolist() == [0]


# -- missing steps -------------------------------------------------------------------------------


def enumerated(codes, order, initial, law):
    """p(codes) and the expected counts, over all ways to fill the missing steps."""
    size, symbols = law.shape
    full = max(len(codes), order)
    total, counts, begun = 0.0, np.zeros_like(law), np.zeros(size)
    for path in itertools.product(range(symbols), repeat=full):
        if any(c >= 0 and c != s for c, s in zip(codes, path, strict=False)):
            continue
        history = 0
        for symbol in path[:order]:
            history = history * symbols + symbol
        passed, first, p = [], history, initial[history]
        for symbol in path[order:]:
            p *= law[history, symbol]
            passed.append((history, symbol))
            history = (history * symbols + symbol) % size
        total += p
        begun[first] += p
        for step in passed:
            counts[step] += p
    return total, begun / total, counts / total


@pytest.mark.parametrize(("order", "symbols"), [(1, 2), (1, 3), (2, 2), (2, 3), (3, 2)])
def test_gaps_are_enumeration(order, symbols):
    rng = np.random.default_rng(order * 10 + symbols)
    law = rng.dirichlet(np.ones(symbols), size=symbols**order)
    initial = rng.dirichlet(np.ones(symbols**order))
    for _ in range(25):
        parts = [rng.integers(0, symbols, rng.integers(1, 8)) for _ in range(2)]
        parts = [np.where(rng.random(len(p)) < 0.35, -1, p) for p in parts]
        offsets = np.cumsum([0, *map(len, parts)])
        found = evidence(np.concatenate(parts), offsets, order, symbols)
        total = found.first @ np.log(initial) + (found.counts * np.log(law)).sum()
        first, counts = found.first.copy(), found.counts.copy()
        for gaps in found.gaps:
            begun, passed = markov.walk(gaps, initial, law)[:2]
            total += gaps.times @ (begun + passed)
            more_first, more = markov.expected(gaps, initial, law)
            first, counts = first + more_first, counts + more
        truth = [enumerated(p, order, initial, law) for p in parts]
        assert total == pytest.approx(sum(np.log(t[0]) for t in truth), abs=1e-11)
        # what follows the last observed step says nothing, so it is left out of the expected counts
        trimmed = [enumerated(np.trim_zeros(p + 1, "b") - 1, order, initial, law) for p in parts]
        seen = [t for t, p in zip(trimmed, parts, strict=True) if (p >= 0).any()]
        assert np.allclose(counts, sum(t[2] for t in seen) if seen else 0, atol=1e-11)
        assert np.allclose(first, sum(t[1] for t in seen) if seen else 0, atol=1e-11)


def test_a_gap_by_hand():
    """a ? b: the middle is a or b."""
    chain = MarkovChain.from_params(states=["a", "b"], transition=WEATHER, initial=[0.6, 0.4])
    filled = 0.7 * 0.3 + 0.3 * 0.6
    assert chain.log_likelihood(["a", None, "b"]) == pytest.approx(np.log(0.6 * filled))
    assert chain.log_likelihood(["a", None, "b", None, None]) == pytest.approx(np.log(0.6 * filled))
    assert chain.log_likelihood([None, "b"]) == pytest.approx(np.log(0.6 * 0.3 + 0.4 * 0.6))
    assert chain.log_likelihood([None, None]) == 0
    assert chain.score(["a", None, "b"]) == pytest.approx(np.log(filled))


def test_fit_over_gaps_is_maximum_likelihood(weather):
    drawn = weather.sample(1, length=400, seed=1).droplevel(0)
    holes = drawn.mask(np.random.default_rng(0).random(400) < 0.3)
    chain = MarkovChain().fit(holes)
    best = chain.log_likelihood(holes)
    assert best == pytest.approx(chain.log_likelihood_)
    for i, j in itertools.product([0, 1], [1e-4, -1e-4]):
        law = chain.transition_.to_numpy().copy()
        law[i] += [j, -j]
        other = MarkovChain.from_params(
            states=chain.states_, transition=law, initial=chain.initial_
        )
        assert other.log_likelihood(holes) < best
    pairs = MarkovChain().fit([["Rainy", "Sunny", "Rainy", "Rainy"], ["Sunny", "Sunny"]])
    assert not np.allclose(pairs.transition_, chain.transition_)


def test_holes_in_a_calendar_are_missing_steps():
    index = pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-04", "2024-01-05", "2024-01-06"])
    series = pd.Series(["a", "a", "b", "a", "a"], index=index)
    dense = MarkovChain().fit(["a", "a", None, "b", "a", "a"])
    assert np.allclose(MarkovChain().fit(series).transition_, dense.transition_)


def test_filling_in_that_does_not_settle_says_so(monkeypatch):
    monkeypatch.setattr("seqkit.models.markov.markov_chain._STEPS", 2)
    with pytest.warns(ConvergenceWarning, match="did not settle in 2 rounds"):
        MarkovChain().fit(["a", "b", None, None, "a", "b", None, "a", "a"])


# -- the long run and classes --------------------------------------------------------------------


def test_stationary_is_the_left_eigenvector():
    rng = np.random.default_rng(0)
    law = rng.dirichlet(np.ones(6) * 0.5, size=6)
    chain = MarkovChain.from_params(transition=law)
    values, vectors = np.linalg.eig(law.T)
    vector = np.real(vectors[:, np.argmax(np.real(values))])
    assert np.allclose(chain.stationary_, vector / vector.sum(), atol=1e-13)
    second = np.sort(np.abs(values))[-2]
    assert chain.spectral_gap() == pytest.approx(1 - second)


def test_stationary_of_rare_moves_keeps_its_digits():
    """Two states that are left with probabilities 1e-13 and 3e-13: shares 3/4 and 1/4 (eigenvectors lose them)."""
    chain = MarkovChain.from_params(
        transition=[[1 - 1e-13, 1e-13], [3e-13, 1 - 3e-13]], initial=[1, 0]
    )
    assert chain.stationary_.tolist() == pytest.approx([0.75, 0.25], rel=1e-3)
    law = np.zeros((5, 5))
    for i in range(4):
        law[i, i + 1], law[i + 1, i] = 1e-9, 0.5
    law[np.diag_indices(5)] = 1 - law.sum(axis=1)
    found = MarkovChain.from_params(transition=law).stationary_.to_numpy()
    assert found[1:] / found[:-1] == pytest.approx(np.full(4, 2e-9), rel=1e-12)


def test_period():
    chain = cycle(3)
    table = chain.communicating_classes()
    assert table.loc[0].tolist() == [(0, 1, 2), True, 3]
    assert np.allclose(chain.stationary_, 1 / 3)
    assert chain.mixing_time() == np.inf and chain.spectral_gap() == pytest.approx(0)
    chord = MarkovChain.from_params(
        transition=[[0, 1, 0, 0], [0, 0, 1, 0], [0.5, 0, 0, 0.5], [1, 0, 0, 0]]
    )
    assert chord.communicating_classes()["period"].tolist() == [1]  # ways back of 3 and 4 steps


def test_reducible_chain():
    law = np.zeros((6, 6))
    law[0, [1, 2, 5]] = 0.25, 0.5, 0.25  # passed once
    law[1, 1] = 1  # absorbing
    law[2, 3], law[3, 2] = 1, 1  # period 2
    law[4, [0, 4]] = 0.5, 0.5  # passed, may stay
    law[5, [0, 5]] = 0.1, 0.9
    chain = MarkovChain.from_params(
        transition=law, initial=[0, 0, 0, 0, 1, 0], states=list("abcdef")
    )
    table = chain.communicating_classes()
    assert table["states"].tolist() == [("a", "f"), ("b",), ("c", "d"), ("e",)]
    assert table["recurrent"].tolist() == [False, True, True, False]
    assert table["period"].tolist() == [1, 1, 2, 1]
    ends = chain.absorption_probabilities()
    assert list(ends.columns) == ["b", ("c", "d")]
    assert ends.loc["e"].tolist() == pytest.approx([1 / 3, 2 / 3])
    assert ends.loc["b"].tolist() == [1, 0]
    assert chain.stationary_.tolist() == pytest.approx([0, 1 / 3, 1 / 3, 1 / 3, 0, 0])
    assert chain.mixing_time() == np.inf
    average = np.mean([np.linalg.matrix_power(law, n)[4] for n in range(4000, 4002)], axis=0)
    assert np.allclose(chain.stationary_, average)
    once = MarkovChain.from_params(transition=[[0, 1], [0, 1]])
    assert once.communicating_classes()["period"].tolist() == [0, 1]


def test_mixing_time_is_the_first_power_that_is_close():
    rng = np.random.default_rng(5)
    law = 0.97 * np.eye(4) + 0.03 * rng.dirichlet(np.ones(4), size=4)
    chain = MarkovChain.from_params(transition=law)
    steps = int(chain.mixing_time(0.1))
    far = [
        0.5 * np.abs(np.linalg.matrix_power(law, n) - chain.stationary_.to_numpy()).sum(1).max()
        for n in (steps - 1, steps)
    ]
    assert far[0] > 0.1 >= far[1]


# -- passage times -------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [0.5, 0.4, 0.7])
def test_gamblers_ruin(p):
    """Feller (1968), chapter XIV: probabilities ((q/p)^i - 1) / ((q/p)^N - 1), expected durations."""
    rich, q = 6, 1 - p
    chain, i = ruin(p, rich), np.arange(7)
    if p == 0.5:
        wins, duration = i / rich, i * (rich - i)
    else:
        wins = ((q / p) ** i - 1) / ((q / p) ** rich - 1)
        duration = i / (q - p) - rich / (q - p) * wins
    ends = chain.absorption_probabilities()
    assert list(ends.columns) == [0, 6]
    assert ends[6].to_numpy() == pytest.approx(wins)
    assert chain.absorption_time().to_numpy() == pytest.approx(duration)
    assert chain.hitting_probability(6).to_numpy() == pytest.approx(wins)
    assert chain.hitting_time([0, 6]).to_numpy() == pytest.approx(duration)
    assert np.isinf(chain.hitting_time(6)[:6]).all() and chain.hitting_time(6)[6] == 0
    assert chain.communicating_classes()["period"].tolist() == [1, 2, 1]


def test_hitting_times_are_the_linear_system():
    rng = np.random.default_rng(1)
    law = rng.dirichlet(np.ones(5), size=5)
    chain = MarkovChain.from_params(transition=law, states=list("abcde"))
    rest = [0, 1, 3, 4]
    truth = np.linalg.solve(np.eye(4) - law[np.ix_(rest, rest)], np.ones(4))
    assert chain.hitting_time("c")[list("abde")].to_numpy() == pytest.approx(truth)
    assert (chain.hitting_probability("c") == 1).all()
    # first return to c takes 1 / stationary steps
    back = 1 + law[2] @ chain.hitting_time("c").to_numpy()
    assert back == pytest.approx(1 / chain.stationary_["c"])


def test_second_order_passes_among_histories():
    """HTH needs ten tosses of a fair coin on average, HHT eight (seen as histories of order 2 with their last toss)."""
    chain = MarkovChain.from_params(states=["H", "T"], transition=np.full((4, 2), 0.5), order=2)
    assert np.allclose(chain.stationary_, 0.5)
    assert chain.hitting_time("H").loc[("T", "T")] == pytest.approx(2)
    assert chain.communicating_classes().loc[0, "states"][1] == ("H", "T")


# -- answers -------------------------------------------------------------------------------------


def test_predictions_are_powers(weather):
    law = np.array(WEATHER)
    ahead = weather.predict(4, start="Sunny")
    assert ahead.index.tolist() == [1, 2, 3, 4]
    for n in range(1, 5):
        assert ahead.loc[n].to_numpy() == pytest.approx(np.linalg.matrix_power(law, n)[1])


def test_predictions_continue_the_calendar(weather):
    index = pd.date_range("2024-01-30", periods=3, name="day")
    chain = weather.update(pd.Series(["Sunny", "Sunny", "Rainy"], index=index))
    ahead = chain.predict(2)
    assert ahead.index.equals(pd.date_range("2024-02-02", periods=2, name="day"))
    assert ahead.iloc[0].tolist() == [0.7, 0.3]
    assert chain.predict_proba(2).equals(ahead)
    chain.update(pd.Series(["Sunny"], index=pd.to_datetime(["2024-02-03"])))
    assert chain.predict(1).iloc[0].tolist() == [0.4, 0.6]
    chain.update(
        pd.Series([None, None], index=pd.date_range("2024-02-04", periods=2), dtype=object)
    )
    after = chain.predict(1)
    assert after.index[0] == pd.Timestamp("2024-02-06")
    assert after.iloc[0].to_numpy() == pytest.approx(np.linalg.matrix_power(WEATHER, 3)[1])


def test_panels_are_predicted_and_updated_series_by_series():
    chain = MarkovChain(pseudo_count=1).fit({"u": list("aab"), "v": list("abba")})
    ahead = chain.predict(2)
    assert ahead.index.tolist() == [("u", 3), ("u", 4), ("v", 4), ("v", 5)]
    assert ahead.loc[("v", 4)].tolist() == chain.transition_.loc["a"].tolist()
    chain.update({"u": ["a"]})
    assert chain.predict(1).loc[("u", 4)].tolist() == chain.transition_.loc["a"].tolist()


def test_update_of_second_order_is_the_longer_sequence():
    x = list("abbabaabbbab")
    whole = MarkovChain(2, pseudo_count=1).fit(x)
    parts = MarkovChain.from_params(
        transition=whole.transition_, initial=whole.initial_.to_numpy(), order=2
    )
    for piece in (x[:1], x[1:2], x[2:7], x[7:]):
        parts.update(piece)
    assert parts.predict(3).equals(whole.predict(3))


def test_score_leaves_out_the_beginning(weather):
    x = ["Rainy", "Rainy", "Sunny"]
    assert weather.score(x) == pytest.approx(np.log([0.7, 0.3]).mean())
    start = weather.stationary_["Rainy"]
    assert weather.log_likelihood(x) == pytest.approx(np.log(start * 0.7 * 0.3))
    impossible = MarkovChain.from_params(transition=[[0, 1], [1, 0]], initial=[1, 0])
    assert impossible.log_likelihood([0, 0]) == -np.inf
    assert impossible.score([1, 0, 1]) == 0  # a beginning that cannot be is not counted


def test_saved_and_loaded(tmp_path):
    index = pd.date_range("2024-01-01", periods=6)
    chain = MarkovChain(2, pseudo_count=1).fit(
        pd.Series(["a", "b", None, "a", "b", None], index=index)
    )
    again = seqkit.load(chain.save(tmp_path / "chain.seqkit"))
    assert again == chain and again.predict(2).equals(chain.predict(2))
    assert again.update(pd.Series(["a"], index=index[-1:] + pd.Timedelta(days=1))).predict(1).size


def test_speed_of_a_million_steps():
    x = np.random.default_rng(0).integers(0, 5, 1_000_000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        chain = MarkovChain().fit(x)
    assert chain.counts_.to_numpy().sum() == 999_999


# -- bad input -----------------------------------------------------------------------------------


def fitted(order=1):
    return MarkovChain(order, pseudo_count=1).fit(["a", "b", "a"])


BAD = [
    ("measurements", lambda: MarkovChain().fit([0.5, 1.0]), TypeError, "0.5.*pd.cut"),
    ("nothing observed", lambda: MarkovChain().fit([None, np.nan]), ValueError, "no observed step"),
    ("empty", lambda: MarkovChain().fit([]), ValueError, "empty"),
    ("text", lambda: MarkovChain().fit("abba"), TypeError, "x is a str"),
    ("channels", lambda: MarkovChain().fit(np.zeros((5, 2))), ValueError, "2 channels"),
    ("text channels", lambda: MarkovChain().fit(pd.DataFrame({"a": ["x"], "b": ["y"]})), ValueError, "2 channels"),
    ("order", lambda: MarkovChain(0).fit([1, 2]), ValueError, "order must be an integer"),
    ("pseudo-count", lambda: MarkovChain(pseudo_count=-1).fit([1]), ValueError, "at least 0"),
    ("rule", lambda: MarkovChain(never_left="stay").fit([1]), ValueError, "never_left must be one of"),
    ("states twice", lambda: MarkovChain(states=["a", "a"]).fit(["a"]), ValueError, "distinct"),
    ("outside", lambda: MarkovChain(states=["a"]).fit(["a", "b"]), ValueError, "state 'b' at row 1"),
    ("too many", lambda: MarkovChain(6).fit(list(range(50))), ValueError, "take a lower order"),
    ("y", lambda: MarkovChain().fit([1, 2], [1, 2]), TypeError, "x alone"),
    ("unfitted", lambda: MarkovChain().predict(1), NotFittedError, "not fitted"),
    ("unfitted table", lambda: MarkovChain().transition_, NotFittedError, "not fitted"),
    ("no counts", lambda: MarkovChain.from_params(transition=[[1.0]]).counts_, NotFittedError, "counts_"),
    ("no data", lambda: MarkovChain.from_params(transition=[[1.0]]).predict(1), NotFittedError, "give start="),
    ("horizon", lambda: fitted().predict(0), ValueError, "horizon"),
    ("unknown start", lambda: fitted().predict(1, start="z"), ValueError, "start has the state 'z'"),
    ("short start", lambda: fitted(2).predict(1, start="a"), ValueError, "order 2"),
    ("unknown later", lambda: fitted().score(["a", "z"]), ValueError, "state 'z' at row 1"),
    ("nothing to score", lambda: fitted().score(["a"]), ValueError, "longer x"),
    ("unknown target", lambda: fitted().hitting_time("z"), ValueError, "target 'z' is no state"),
    ("no target", lambda: fitted().hitting_time([]), ValueError, "target is empty"),
    ("epsilon", lambda: fitted().mixing_time(2), ValueError, "epsilon"),
    ("panel", lambda: fitted().update([["a"], ["b"]]), ValueError, "x_new is a panel"),
    ("no square", lambda: MarkovChain.from_params(transition=[[0.5, 0.5]]), ValueError, r"need \(2, 2\)"),
    ("no law", lambda: MarkovChain.from_params(transition=[[0.5, 0.4], [0, 1]]), ValueError, "row 0.*sum to 1"),
    ("two long runs", lambda: MarkovChain.from_params(transition=np.eye(2)), ValueError, "2 separate classes"),
    ("rows and columns", lambda: MarkovChain.from_params(
        transition=pd.DataFrame(WEATHER, index=["a", "b"], columns=["b", "a"])), ValueError, "one order"),
    ("initial", lambda: MarkovChain.from_params(transition=WEATHER, initial={"q": 1}), ValueError, "names 'q'"),
    ("graph", lambda: fitted(2).plot(), ValueError, "order 2"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "text"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_bad_input(call, kind, text):
    with pytest.raises(kind, match=text):
        call()
