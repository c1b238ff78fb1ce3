"""How words reach a network: each distinct one once, by what it is, how it is spelt, its form, and given vectors."""

from __future__ import annotations

import pytest
import torch

import seqkit
from seqkit import nn
from seqkit.models.sequence_networks._inputs import Observed
from seqkit.models.sequence_networks._tagger_words import WordReader, read_vectors
from seqkit.nn.words import CharacterCNN, CharacterLSTM, WordLayer
from seqkit.tasks.words import RaggedWords


def test_every_distinct_word_of_a_batch_is_read_once():
    table = {"words": [4, 5, 6], "characters": [[1, 2, 0, 0], [3, 0, 0, 0], [1, 1, 1, 1]]}
    data = RaggedWords([0, 1, 0, 2], [0, 3, 4], table)
    first = data.take(torch.tensor([0]))
    assert first.words.tolist() == [4, 5] and first.values.tolist() == [[0, 1, 0]]
    assert first.characters.tolist() == [[1, 2], [3, 0]]
    both = data.select(torch.tensor([1, 0])).take(torch.tensor([0, 1]))
    assert both.words[both.values].tolist() == [[6, 4, 4], [4, 5, 4]]
    assert both.mask.tolist() == [[True, False, False], [True, True, True]]


@pytest.mark.parametrize("reader", [CharacterCNN, CharacterLSTM])
def test_spelling_does_not_depend_on_longer_words_beside(reader):
    torch.manual_seed(0)
    read = reader(9, 6)
    codes = torch.tensor([[3, 1, 2, 0, 0, 0, 0], [5, 5, 4, 4, 1, 2, 3]])
    torch.testing.assert_close(read(codes)[:1], read(codes[:1, :3]))
    assert not torch.allclose(read(codes[:1]), read(torch.tensor([[1, 3, 2]])))  # order tells


def test_greatest_responses_and_their_gradients_are_those_of_convolutions():
    torch.manual_seed(0)
    read = CharacterCNN(9, 7, widths=(2, 3), embedding=4).double()
    codes = torch.randint(9, (20, 6)).sort(1, descending=True).values  # nothing comes last
    x = read.table(torch.nn.functional.pad(codes, (3, 3))).transpose(1, 2)
    x = x * (torch.nn.functional.pad(codes, (3, 3)) > 0).unsqueeze(1)
    plain = torch.cat([layer(x).amax(2) for layer in read.filters], 1).relu()
    weights, goal = list(read.parameters()), torch.randn(20, 7, dtype=torch.double)
    expected = torch.autograd.grad((plain * goal).sum(), weights)
    mine = read(codes)
    torch.testing.assert_close(mine, plain)
    torch.testing.assert_close(torch.autograd.grad((mine * goal).sum(), weights), expected)


def test_rare_words_are_taken_for_unknown_ones_in_training_alone():
    torch.manual_seed(0)
    layer = WordLayer(3, embedding=2, unknown=torch.tensor([0.0, 0.25, 1.0]))
    batch = RaggedWords([0] * 4000 + [1] * 4, [0, 4004], {"words": [1, 2]}).take(torch.tensor([0]))
    vectors = layer({"words": batch})[0][0]
    taken = (vectors == layer.embedding.weight[0]).all(1).double()
    assert abs(taken[:4000].mean() - 0.25) < 0.03 and taken[4000:].eq(1).all()
    layer.eval()
    assert not (layer({"words": batch})[0][0] == layer.embedding.weight[0]).all(1).any()


def test_what_is_dropped_is_dropped_in_all_of_a_sentence_and_elsewhere_in_another():
    torch.manual_seed(0)
    layer = WordLayer(5, embedding=4, forms=[3, 3], form_size=8, dropout=0.4)
    table = {"words": [1, 2, 3], "forms": [[1, 1], [2, 1], [0, 2]]}
    batch = RaggedWords([0, 1, 2] * 400, [*range(0, 1201, 3)], table).take(torch.arange(400))
    gone = layer({"words": batch})[0] == 0
    assert (gone == gone[:, :1]).all() and abs(gone.double().mean() - 0.4) < 0.02
    assert gone[:, 0].any(0).all() and not gone[:, 0].all(0).any()
    x = layer({"words": batch})[0].mean(0)
    torch.testing.assert_close(x, layer.eval()({"words": batch})[0].mean(0), rtol=0, atol=0.1)


def test_given_vectors_tell_of_words_never_seen(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text("5 2\nzebra 1 0\ndog 1 0\nbarks 0 1\nneighs 0 1\nthe -1 -1\n")
    known, vectors = read_vectors(path)
    assert known == ["zebra", "dog", "barks", "neighs", "the"] and vectors.shape == (5, 2)
    tagger = seqkit.Tagger(
        nn.MLP(8),
        words=True,
        vectors=str(path),
        chars=False,
        forms=False,
        rarity=3.0,
        steps=60,
        lr=0.04,
    )
    tagger.fit([["the", "dog", "barks"]] * 4, [["D", "N", "V"]] * 4)
    path.unlink()
    for kept in (tagger, seqkit.load(tagger.save(tmp_path / "tagger.seqkit"))):
        assert kept.decode([["zebra", "NEIGHS"]]).tolist() == ["N", "V"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a 1 2\nb 1\n", "line 2 .* has 1 numbers"),
        ("a 1 x\n", "line 1 .* not a word and numbers"),
        ("", "holds no vectors"),
    ],
)
def test_files_that_hold_no_vectors_are_refused(tmp_path, text, message):
    path = tmp_path / "vectors.txt"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_vectors(path)


def test_words_are_read_in_lower_case_and_spelt_as_they_are():
    reader = WordReader(Observed([["Dog", "dog", "Cat", "A1", "a2"]], "x"))
    table = reader.arrays(Observed([["Dog", "dog", "A7"]], "x"))["words"].table
    assert table["words"][0] == table["words"][1] > 0
    assert table["words"][2] == reader.words.encode(["a0"])[0] > 0
    assert not torch.equal(table["characters"][0], table["characters"][1])
    assert table["forms"][0, -1] != table["forms"][1, -1]  # shapes differ
