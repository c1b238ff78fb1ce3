"""How sequences of any kind and length reach a network: ragged batches, standardised numbers, codes, and the task."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from seqkit import SequenceGenerator, nn
from seqkit.models.sequence_networks._inputs import Observed, Reader
from seqkit.models.sequence_networks._targets import expect, kind_of
from seqkit.models.sequence_networks.base import batches
from seqkit.nn.inputs import InputLayer
from seqkit.tasks import Examples, Ragged
from seqkit.training import Bucketed

RNG = np.random.default_rng(0)


# -- ragged batches --------------------------------------------------------------------------------


def test_a_padded_batch_holds_its_sequences_and_zeros():
    parts = [RNG.normal(size=(n, 2)) for n in (3, 1, 0, 4)]
    ragged = Ragged.of(parts)
    found = ragged.take(torch.tensor([3, 1, 2]))
    assert found.values.shape == (3, 4, 2)
    assert found.lengths.tolist() == [4, 1, 0]
    for row, i in enumerate([3, 1, 2]):
        n = len(parts[i])
        np.testing.assert_array_equal(found.values[row, :n], parts[i])
        assert not found.values[row, n:].any()
        assert found.mask[row].tolist() == [True] * n + [False] * (4 - n)
    assert ragged.take(torch.tensor([0, 0])).mask is None  # nothing is padding


def test_selected_sequences_are_those_of_the_numbers():
    parts = [RNG.integers(0, 9, size=n) for n in (3, 1, 0, 4, 2)]
    chosen = Ragged.of(parts, "int64").select(torch.tensor([4, 2, 3]))
    assert chosen.offsets.tolist() == [0, 2, 2, 6]
    np.testing.assert_array_equal(chosen.values, np.concatenate([parts[4], parts[3]]))


def test_examples_move_and_refuse_parts_of_other_counts():
    data = Examples(x=Ragged.of([[1.0], [2.0, 3.0]]), y=torch.tensor([1, 2]), absent=None)
    moved = data.to("cpu", torch.float32)
    assert (moved.parts["x"].values.dtype, moved.parts["y"].dtype) == (torch.float32, torch.int64)
    assert set(data.batch(torch.tensor([0]))) == {"x", "y"}
    with pytest.raises(ValueError, match=r"'x': 1, 'y': 2"):
        Examples(x=Ragged.of([[1.0]]), y=torch.tensor([1, 2]))


@pytest.mark.parametrize("offsets", [[0, 2], [0, 4, 3], [1, 3]])
def test_wrong_offsets_are_refused(offsets):
    with pytest.raises(ValueError, match="rise from 0 to the 3 rows"):
        Ragged(np.zeros(3), offsets)


def test_batches_of_questions_cover_every_sequence_within_the_budget():
    lengths = RNG.integers(1, 60, size=200)
    parts = list(batches(lengths, tokens=300, sequences=16))
    assert sorted(np.concatenate(parts)) == list(range(200))
    assert all(len(p) * lengths[p].max() <= 300 and len(p) <= 16 for p in parts)
    assert [p.tolist() for p in batches(np.array([1000, 1]), tokens=10)] == [[1], [0]]


# -- buckets ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "batch"), [(103, 8), (5, 8), (64, 16), (7, 1)])
def test_every_pass_holds_every_example_once_however_it_is_drawn(n, batch):
    lengths = RNG.integers(1, 40, size=n)
    stream = Bucketed(lengths, batch, pool=3, seed=1)
    drawn = stream.draw(0, 5 * n)
    for number in range(5):
        assert sorted(drawn[number * n : (number + 1) * n]) == list(range(n))
    np.testing.assert_array_equal(stream.draw(2 * n - 3, n), drawn[2 * n - 3 : 3 * n - 3])
    if n > batch:  # passes differ, and so do streams
        assert drawn[:n].tolist() != drawn[n : 2 * n].tolist()
        assert Bucketed(lengths, batch, pool=3, seed=2).draw(0, n).tolist() != drawn[:n].tolist()


def test_batches_are_of_like_length_also_after_the_first_pass():
    lengths = RNG.integers(1, 200, size=1003)
    drawn = lengths[Bucketed(lengths, 32, seed=0).draw(0, 32 * 90)].reshape(90, 32)
    spread = drawn.max(1) - drawn.min(1)
    assert np.median(spread) < 12  # unsorted batches spread over some 190 steps
    assert len(set(drawn[:30].max(1) // 50)) > 1  # but long and short ones come in any order


# -- what is read ----------------------------------------------------------------------------------


def test_numbers_are_standardised_and_gaps_are_told():
    x = [np.array([[1.0, 5.0], [3.0, np.nan]]), np.array([[5.0, 7.0]])]
    reader = Reader(Observed(x, "x"))
    found = reader.arrays(Observed(x, "x"), np.float64)["numbers"].values.numpy()
    z = (np.array([1.0, 3.0, 5.0]) - 3.0) / np.sqrt(8 / 3)
    np.testing.assert_allclose(found[:, 0], z, rtol=1e-12)
    np.testing.assert_allclose(found[:, 1:], [[-1, 0], [0, 1], [1, 0]], rtol=1e-12, atol=0)
    gap_elsewhere = reader.arrays(Observed([np.array([[np.nan, 5.0]])], "x"))["numbers"].values
    assert gap_elsewhere[0].tolist() == [0.0, -1.0, 0.0]


def test_mixed_frames_have_numbers_and_codes():
    frame = pd.DataFrame({"load": [1.0, 2.0, 4.0], "day": ["mon", "tue", "tue"], "n": [1, 2, 2]})
    data = Observed([frame, frame.iloc[:2]], "x")
    reader = Reader(data)
    made = reader.arrays(data)
    assert made["numbers"].values.shape == (5, 2)
    assert made["codes"].values[:, 0].tolist() == [2, 1, 1, 2, 1]  # the frequent one first
    layer = reader.layer(embedding=3)
    features, mask = layer({k: v.take(torch.tensor([1, 0])) for k, v in made.items()})
    assert features.shape == (2, 3, 5)
    assert mask.tolist() == [[True, True, False], [True, True, True]]
    with pytest.raises(ValueError, match=r"1 number per step, but .* 2 numbers and 1 symbol"):
        reader.arrays(Observed([[1.0, 2.0]], "x"))


def test_columns_of_text_keep_their_order():
    frame = pd.DataFrame({"noun": ["a", "b"], "verb": ["b", "a"]})
    reader = Reader(Observed([frame], "x"))
    with pytest.raises(ValueError, match=r"columns \['verb', 'noun'\], but .* \['noun', 'verb'\]"):
        reader.arrays(Observed([frame[["verb", "noun"]]], "x"))


def test_a_long_frame_has_the_names_and_values_of_its_series():
    frame = pd.DataFrame({"unique_id": ["p", "q", "q"], "ds": [0, 0, 1], "y": [1.0, 2.0, 3.0]})
    data = Observed(frame, "x")
    assert (data.frame.keys, data.numbers.values[:, 0].tolist()) == (("p", "q"), [1.0, 2.0, 3.0])
    words = Observed(frame.assign(y=["a", "b", "c"]), "x")
    assert (words.numbers, words.symbols[0].values[:, 0].tolist()) == (None, ["a", "b", "c"])


def test_a_day_that_is_missing_has_a_symbol_of_its_own():
    days = pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-04"])
    frame = pd.DataFrame({"load": [1.0, 2.0, 3.0], "kind": ["a", "b", "a"]}, days)
    reader = Reader(Observed(frame, "x"))
    found = reader.arrays(Observed(frame, "x"))
    assert found["codes"].values[:, 0].tolist() == [1, 3, 2, 1]
    assert found["numbers"].values[:, 1].tolist() == [0, 0, 1, 0]
    with pytest.raises(ValueError, match="steps missing from the calendar of series 'p'"):
        SequenceGenerator(nn.LSTM(2), steps=1).fit({"p": frame["kind"]})


def test_text_is_spelt_where_it_is_asked_for():
    assert Observed(["ab", "c"], "x", spelt=True).lengths.tolist() == [2, 1]
    assert Observed(["ab", "c"], "x").lengths.tolist() == [2]
    assert Observed(pd.Series(["ab", "c"]), "x", spelt=True).lengths.tolist() == [2, 1]
    with pytest.raises(ValueError, match=r"x\[1\] is an empty text"):
        Observed(["ab", ""], "x", spelt=True)
    with pytest.raises(ValueError, match=r"x\[1\] is empty"):
        Observed([["a"], []], "x")


def test_a_channel_without_a_number_is_refused():
    with pytest.raises(ValueError, match="no number at all in channel 'b'"):
        Reader(Observed(pd.DataFrame({"a": [1.0, 2.0], "b": [np.nan, np.nan]}), "x"))


def test_unknown_symbols_are_learnt_by_leaving_known_ones_out():
    layer = InputLayer(0, [5], embedding=2, unknown=0.5)
    codes = {"codes": Ragged.of([np.full((4000, 1), 3)], "int64").take(torch.tensor([0]))}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        x = layer(codes)[0][0]
    unknown = (x == layer.tables[0].weight[0]).all(1).double().mean()
    assert abs(float(unknown) - 0.5) < 0.03
    assert (layer.eval()(codes)[0] == layer.tables[0].weight[3]).all()
    with pytest.raises(ValueError, match="at least one number or symbol"):
        InputLayer(0, [])


def test_all_cores_are_written_down_without_their_inputs():
    for core in (nn.MLP(8), nn.MLP((8, 4), norm="layer"), nn.TDNN((8, 4), kernel=2), nn.GRU(4)):
        built = core.build(3)
        assert built(torch.zeros(2, 5, 3)).shape == (2, 5, built.size)
        assert core.causal
    assert repr(nn.TDNN((8, 4), kernel=2)) == "TDNN(hidden=(8, 4), kernel=2)"


# -- which task ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("y", "wanted", "message"),
    [
        (["a", "b"], "steps", "one label per step, but this is one label per sequence.*LSTMClassifier"),
        ([["a"] * 3, ["b"] * 4], "label", "one label per sequence, but this is one label per step.*BiLSTMTagger"),
        ([["a"], ["b", "c"]], "steps", "but this is output sequences.*Seq2Seq"),
        (None, "label", "but this is no y.*SequenceGenerator"),
        ([["a"] * 3, ["b"] * 4], "none", "needs no y"),
    ],
)  # fmt: skip
def test_data_of_another_task_are_sent_to_its_model(y, wanted, message):
    with pytest.raises(ValueError, match=message):
        expect(Reader, wanted, y, np.array([3, 4]))


def test_lawful_targets_pass():
    lengths = np.array([3, 4])
    expect(None, "label", pd.Series([1, 2]), lengths)
    expect(None, "steps", {"a": [0, 1, 1], "b": [1, 1, 0, 0]}, lengths)
    expect(None, "sequence", [["a"] * 3, ["b"] * 4], lengths)  # of the same lengths by chance
    assert kind_of(np.zeros((2, 3)), np.array([3, 3])) == "steps"
