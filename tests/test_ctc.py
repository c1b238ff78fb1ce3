"""Connectionist temporal classification: the lattice by enumeration and by torch, the search, and transcribers."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from tensors import normal
from torch.nn import functional as F

import seqkit
from seqkit import nn
from seqkit.evaluation.labels import edit_distance
from seqkit.kernels import chain, ctc
from seqkit.kernels._ctc_numba import in_logs, viterbi
from seqkit.kernels.ctc_beam import prefix_beam
from seqkit.nn.ctc import _torch as by_torch
from seqkit.nn.ctc import ctc_loss, frames_needed

RNG = np.random.default_rng(0)


def laws(*shape: int, sharp: float = 1.0) -> np.ndarray:
    """Logarithms of random laws over the last axis."""
    u = torch.from_numpy(sharp * np.random.default_rng(sum(shape)).normal(size=shape))
    return u.log_softmax(-1).numpy()


def collapsed(path: tuple[int, ...]) -> tuple[int, ...]:
    merged = [k for k, _ in itertools.groupby(path)]
    return tuple(k for k in merged if k != 0)


def enumerated(log_y: np.ndarray) -> dict[tuple[int, ...], tuple[float, np.ndarray]]:
    """p of every transcript, and of it together with each class at each frame, by all paths."""
    T, K = log_y.shape
    found: dict[tuple[int, ...], tuple[float, np.ndarray]] = {}
    for path in itertools.product(range(K), repeat=T):
        p = np.exp(sum(log_y[t, k] for t, k in enumerate(path)))
        total, visits = found.get(collapsed(path), (0.0, np.zeros((T, K))))
        visits = visits.copy()
        visits[np.arange(T), path] += p
        found[collapsed(path)] = (total + p, visits)
    return found


def batch(frames: int, classes: int, labels: int, sharp: float = 1.0, count: int = 5):
    """Scores, lengths, padded transcripts with many repeats, and their lengths."""
    rng = np.random.default_rng(frames)
    u = sharp * normal(count, frames, classes, seed=frames)
    lengths = torch.from_numpy(rng.integers(frames * 2 // 3, frames + 1, size=count))
    counts = torch.from_numpy(rng.integers(0, labels + 1, size=count))
    counts[0] = 0
    codes = torch.from_numpy(rng.integers(1, classes, size=(count, labels)))
    codes[:, 1::3] = codes[:, ::3][:, : codes[:, 1::3].shape[1]]
    return u, lengths, codes, counts


def flat(codes: torch.Tensor, counts: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    parts = [row[:n] for row, n in zip(codes.numpy(), counts.numpy(), strict=True)]
    return np.concatenate(parts), np.concatenate([[0], np.cumsum(counts.numpy())])


# -- the lattice -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("T", "K"), [(1, 3), (4, 2), (5, 3), (4, 4)])
def test_likelihoods_and_occupancies_are_those_of_all_paths(T, K):
    log_y = laws(T, K, sharp=2.0)
    for labels, (p, visits) in enumerated(log_y).items():
        found = ctc.occupancies(log_y[None], [T], labels, [0, len(labels)])
        np.testing.assert_allclose(found.log_likelihood[0], np.log(p), rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(found.posterior[0], visits / p, rtol=0, atol=1e-12)
        again = ctc.log_likelihood(log_y[None], [T], labels, [0, len(labels)])
        assert again[0] == found.log_likelihood[0]


@pytest.mark.parametrize(
    ("T", "K", "L", "sharp"),
    [(12, 4, 3, 1.0), (70, 6, 25, 1.0), (200, 41, 40, 3.0), (150, 5, 60, 30.0), (33, 3, 16, 0.1)],
)
def test_loss_and_gradient_are_torchs(T, K, L, sharp):
    u, lengths, codes, counts = batch(T, K, L, sharp)
    fits = frames_needed(codes, counts) <= lengths
    assert int(fits.sum()) >= 2
    ours, theirs = (u.clone().requires_grad_() for _ in range(2))
    loss = ctc_loss(ours, lengths, codes, counts, impossible="zero")
    log_y = theirs.log_softmax(-1).transpose(0, 1)
    other = F.ctc_loss(log_y, codes, lengths, counts, reduction="none", zero_infinity=True)
    weight = normal(len(u), seed=1)
    (loss * weight).sum().backward()
    (other * weight).sum().backward()
    torch.testing.assert_close(loss, other, rtol=1e-12, atol=1e-11)
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=0, atol=1e-10)
    assert not ours.grad[~fits].any()


def test_the_way_of_other_devices_gives_the_same():
    u, lengths, codes, counts = batch(40, 5, 10)
    ours, theirs = (u.clone().requires_grad_() for _ in range(2))
    loss, other = ctc_loss(ours, lengths, codes, counts), by_torch(theirs, lengths, codes, counts)
    loss.sum().backward()
    other.sum().backward()
    torch.testing.assert_close(loss, other, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=0, atol=1e-12)
    assert by_torch(u.bfloat16(), lengths, codes, counts).dtype == torch.float32


def test_gradient_by_finite_differences():
    u, lengths, codes, counts = batch(7, 3, 3)
    torch.autograd.gradcheck(
        lambda x: ctc_loss(x, lengths, codes, counts, impossible="zero"),
        u.requires_grad_(),
        atol=1e-7,
        rtol=1e-6,
    )


def test_half_and_single_precision_have_the_loss_of_double():
    u, lengths, codes, counts = batch(60, 5, 12)
    exact = ctc_loss(u.bfloat16().double(), lengths, codes, counts)
    half = u.bfloat16().requires_grad_()
    found = ctc_loss(half, lengths, codes, counts)
    found.sum().backward()
    assert (found.dtype, half.grad.dtype) == (torch.float64, torch.bfloat16)
    torch.testing.assert_close(found.detach(), exact, rtol=1e-12, atol=0)


def test_what_underflows_in_scaled_space_is_redone_in_logs():
    """A network sure of blanks everywhere: the only paths of the transcript begin at e^-5000."""
    T, L = 300, 60
    u = torch.zeros(1, T, 4, dtype=torch.float64)
    u[..., 0] = 40.0
    labels = torch.from_numpy(RNG.integers(1, 4, size=(1, L)))
    log_y = u.log_softmax(-1)
    expected = F.ctc_loss(
        log_y.transpose(0, 1), labels, torch.tensor([T]), torch.tensor([L]), reduction="none"
    )
    found = ctc.occupancies(log_y.numpy(), [T], labels[0], [0, L])
    assert found.log_likelihood[0] < -1000
    np.testing.assert_allclose(-found.log_likelihood, expected, rtol=1e-12)
    np.testing.assert_allclose(found.posterior.sum(-1), 1.0, rtol=1e-9)
    out = np.zeros((T, 4))
    own = labels[0].numpy()
    np.testing.assert_allclose(in_logs(log_y[0].numpy(), own, own, T, True, out), -expected[0], rtol=1e-12)  # fmt: skip


def test_scaled_and_logarithmic_passes_agree_on_scores_of_any_size():
    rng = np.random.default_rng(3)
    for _ in range(150):
        T, K = int(rng.integers(1, 120)), int(rng.integers(2, 14))
        u = torch.from_numpy(rng.normal(size=(T, K)) * 10 ** rng.uniform(-1, 2.6))
        u[:, 0] += float(rng.normal() * u.std())
        labels = rng.integers(1, rng.integers(2, K + 1), size=rng.integers(0, T // 2 + 1))
        ends, log_y, out = [0, len(labels)], u.log_softmax(-1).numpy(), np.zeros((T, K))
        expected = in_logs(log_y, labels, labels, T, True, out)
        loss, slope = ctc.gradient(u[None], [T], labels, ends)
        np.testing.assert_allclose(-loss, expected, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(slope[0], np.exp(log_y) - out, rtol=0, atol=1e-9)


def test_a_long_sequence_keeps_its_digits():
    """Frames that are sure, but for one in twenty: its label may as well be a frame earlier or later."""
    T, labels = 10_000, RNG.integers(1, 6, size=500)
    log_y = np.full((1, T, 6), np.log(1e-9))
    log_y[0, :, 0] = np.log1p(-5e-9)
    log_y[0, 10::20, 0] = log_y[0, 10::20][np.arange(500), labels] = np.log(0.5)
    found = ctc.occupancies(log_y, [T], labels, [0, 500])
    np.testing.assert_allclose(found.posterior.sum(-1), 1.0, rtol=0, atol=1e-12)
    # one path for a label where it should be; all others need a sure blank to be wrong
    np.testing.assert_allclose(found.log_likelihood, 500 * np.log(0.5), rtol=0, atol=1e-4)
    with np.errstate(over="raise", invalid="raise"):
        hard = ctc.occupancies(log_y[:, :2000], [2000], labels[100::-1], [0, 101])
    assert hard.log_likelihood[0] < -600
    np.testing.assert_allclose(hard.posterior.sum(-1), 1.0, rtol=0, atol=1e-7)


def test_padding_and_neighbours_change_nothing():
    log_y = laws(3, 30, 5)
    lengths, labels, ends = [30, 17, 22], RNG.integers(1, 5, size=19), [0, 11, 11, 19]
    together = ctc.occupancies(log_y, lengths, labels, ends)
    log_y[1, 17:] = np.nan  # not read
    for n, length in enumerate(lengths):
        own = labels[ends[n] : ends[n + 1]]
        alone = ctc.occupancies(log_y[n : n + 1, :length], [length], own, [0, len(own)])
        assert alone.log_likelihood[0] == together.log_likelihood[n]
        np.testing.assert_array_equal(alone.posterior[0], together.posterior[n, :length])
        assert not together.posterior[n, length:].any()


def test_impossible_transcripts_are_named_or_left_out():
    u, lengths = normal(3, 4, 3).requires_grad_(), torch.tensor([4, 4, 2])
    codes, counts = torch.tensor([[1, 2, 0], [1, 1, 1], [1, 1, 0]]), torch.tensor([2, 3, 2])
    with pytest.raises(ValueError, match=r"sequence 1 has 4 frames.* 3 labels takes 5 or more"):
        ctc_loss(u, lengths, codes, counts)
    loss = ctc_loss(u, lengths, codes, counts, impossible="zero")
    loss.sum().backward()
    assert loss[0] > 0 and loss[1:].tolist() == [0.0, 0.0] and not u.grad[1:].any()
    assert ctc.log_likelihood(laws(1, 4, 3), [4], [1, 1, 1], [0, 3])[0] == -np.inf
    forbidden = np.log([[[0.5, 0.5, 1e-300], [0.5, 0.5, 1e-300]]])
    forbidden[..., 2] = -np.inf
    assert ctc.log_likelihood(forbidden, [2], [2], [0, 1])[0] == -np.inf


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros((4, 3)), [4], [1], [0, 1]), r"must be \(n, frames, classes\), got \(4, 3\)"),
        ((np.zeros((1, 4, 3)), [5], [1], [0, 1]), "1 numbers of frames from 0 to 4"),
        ((np.zeros((1, 4, 3)), [4], [0], [0, 1]), r"classes 1 to 2 \(0 is the blank\), got 0"),
        ((np.zeros((1, 4, 3)), [4], [3], [0, 1]), "classes 1 to 2 .* got 3 to 3"),
        ((np.zeros((1, 4, 3)), [4], [1], [0, 2]), "rise from 0 to the 1 labels"),
        ((np.zeros((2, 4, 3)), [4, 4], [1], [0, 1]), "1 transcripts for 2 sequences"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        ctc.log_likelihood(*arguments)


# -- alignment -------------------------------------------------------------------------------------


@pytest.mark.parametrize("labels", [(), (1,), (2, 2), (1, 2, 2, 1)])
def test_alignment_is_the_best_of_all_paths(labels):
    log_y = laws(6, 3, sharp=2.0)
    paths = [p for p in itertools.product(range(3), repeat=6) if collapsed(p) == labels]
    best = max(paths, key=lambda p: sum(log_y[t, k] for t, k in enumerate(p)))
    found = ctc.align(log_y, labels)
    classes = np.where(found.labels < 0, 0, np.append(labels, 0).astype(int)[found.labels])
    np.testing.assert_array_equal(classes, best)
    np.testing.assert_allclose(found.log_probability, sum(log_y[t, k] for t, k in enumerate(best)))
    score = viterbi(log_y, np.array(labels, dtype=np.int64), states := np.empty(6, np.int64))
    np.testing.assert_allclose(score, found.log_probability, rtol=1e-12)
    np.testing.assert_array_equal(np.where(states % 2, states // 2, -1), found.labels)


def test_posterior_of_a_place_is_that_of_the_chain():
    labels, log_y = np.array([1, 1, 2, 1]), laws(9, 3)
    initial, transition, classes = ctc.lattice(labels)
    potentials = log_y[:, classes]
    potentials[-1, :-2] = -np.inf
    sure = chain.marginals(initial, transition, potentials)
    found = ctc.align(log_y, labels)
    blanks = sure.probabilities[:, ::2].sum(1)
    by_place = np.column_stack([sure.probabilities[:, 1::2], blanks])  # -1 is the last one
    np.testing.assert_allclose(found.posterior, by_place[np.arange(9), found.labels], rtol=1e-10)
    likelihood = ctc.log_likelihood(log_y[None], [9], labels, [0, 4])
    np.testing.assert_allclose(sure.log_partition, likelihood, rtol=1e-12)


def test_an_alignment_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match="3 labels takes 5 frames or more, there are 4"):
        ctc.align(laws(4, 3), [1, 1, 1])


# -- the search ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("T", "K"), [(1, 3), (5, 3), (4, 4)])
def test_a_beam_of_full_width_finds_all_transcripts(T, K):
    log_y = laws(T, K, sharp=2.0)
    expected = {labels: np.log(p) for labels, (p, _) in enumerated(log_y).items()}
    found = prefix_beam(log_y, 5 * len(expected), len(expected))
    assert len(found) == len(expected)
    for one in found:
        np.testing.assert_allclose(
            one.log_probability, expected[tuple(one.labels)], rtol=1e-10, atol=1e-12
        )
    scores = [one.score for one in found]
    assert scores == sorted(scores, reverse=True)


def test_a_prior_counts_labels_pairs_and_the_end():
    log_y, table = laws(5, 4, sharp=2.0), RNG.normal(size=(4, 4))
    table[2, 3] = -np.inf  # never 3 after 2

    def worth(labels):
        return sum(table[a, b] for a, b in zip((0, *labels), (*labels, 0), strict=True))

    expected = {labels: np.log(p) + worth(labels) for labels, (p, _) in enumerated(log_y).items()}
    best = sorted((s for s in expected.values() if s > -np.inf), reverse=True)
    for prior in (table, lambda prefixes: np.stack([table[p[-1] if p else 0] for p in prefixes])):
        found = prefix_beam(log_y, 1000, 1000, prior)
        np.testing.assert_allclose([one.score for one in found], best, rtol=1e-9, atol=1e-10)
        for one in found[:20]:
            np.testing.assert_allclose(one.score, expected[tuple(one.labels)], rtol=1e-9, atol=1e-9)


def test_a_search_gives_more_than_the_best_path_and_less_than_all_paths():
    log_y = laws(400, 8, sharp=5.0)
    found = [prefix_beam(log_y, width)[0] for width in (1, 4, 16, 64)]
    scores = [one.score for one in found]
    assert scores == sorted(scores) and scores[0] < scores[-1]
    best, path = found[-1], ctc.best_path(log_y)
    both = np.concatenate([best.labels, path])
    ends = [0, len(best.labels), len(both)]
    exact, plain = ctc.log_likelihood(np.stack([log_y, log_y]), [400, 400], both, ends)
    assert plain <= exact and best.log_probability < exact


def test_a_search_without_a_way_says_so():
    nothing = np.full((2, 3), -np.inf)
    with pytest.raises(ValueError, match="no transcript is possible"):
        prefix_beam(nothing, 3)
    endless = np.zeros((3, 3))
    endless[:, 0] = -np.inf
    for prior in (endless, lambda prefixes: endless[: len(prefixes)]):
        with pytest.raises(ValueError, match="no transcript is possible"):
            prefix_beam(laws(2, 3), 3, prior=prior)
    for options, message in [
        ({"beam": 0}, "beam must be at least n_best"),
        ({"beam": 3, "prior": np.zeros((2, 2))}, r"prior must be \(3, 3\)"),
        ({"beam": 3, "prior": lambda p: np.zeros((1, 1))}, "a row of 3 for each"),
    ]:
        with pytest.raises(ValueError, match=message):
            prefix_beam(laws(2, 3), **options)


# -- transcribers ----------------------------------------------------------------------------------


def speech(count: int, seed: int = 0, most: int = 5) -> tuple[list[np.ndarray], list[str]]:
    """Every label is heard for 2 to 5 noisy frames, the first of which is an onset."""
    rng = np.random.default_rng(seed)
    frames, texts = [], []
    for _ in range(count):
        labels = rng.integers(0, 4, size=rng.integers(1, most + 1))
        heard = np.repeat(labels, spans := rng.integers(2, 6, size=len(labels)))
        onset = np.zeros(len(heard))
        onset[np.cumsum(spans) - spans] = 3.0
        clean = np.column_stack([np.eye(4)[heard], onset])
        frames.append(clean + 0.05 * rng.normal(size=clean.shape))
        texts.append("".join("abcd"[k] for k in labels))
    return frames, texts


CORES = [
    nn.MLP(24), nn.TDNN((48,), kernel=2), nn.RNN(24), nn.LSTM(24), nn.GRU(16), nn.Bidirectional(nn.LSTM(16)),
    nn.Bidirectional(nn.TDNN((32,), kernel=2)), nn.Bidirectional(nn.RNN(16)), nn.Bidirectional(nn.GRU(8)),
]  # fmt: skip
FRAMES, TEXTS = speech(96)
TEST = speech(40, seed=1)
FAST = {"lr": 0.02, "batch_size": 24}


@pytest.fixture(scope="module")
def model() -> seqkit.CTC:
    return seqkit.CTC(nn.LSTM(24), steps=150, **FAST).fit(FRAMES, TEXTS)


@pytest.mark.parametrize("core", CORES, ids=repr)
def test_every_core_transcribes_clear_speech_without_an_error(core):
    slowly = isinstance(core, nn.RNN) or "TDNN" in repr(core)
    steps, lr = (200, 0.01) if slowly else (150, 0.02)
    fitted = seqkit.CTC(core, steps=steps, lr=lr, batch_size=16).fit(FRAMES, TEXTS)
    assert fitted.decode(TEST[0]) == TEST[1]
    assert fitted.decode(TEST[0], beam=8) == TEST[1]


def test_letters_become_longer_transcripts():
    """Every letter is said as two or three phonemes: more of them than there are letters."""
    said = {"a": ["AA", "HH"], "x": ["EH", "K", "S"], "o": ["OW", "OW"]}
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list(said), size=rng.integers(1, 6))) for _ in range(50)]
    phones = [[p for letter in word for p in said[letter]] for word in words]
    with pytest.raises(ValueError, match=r"series 0 has .* use upsample=\d"):
        seqkit.CTC(nn.LSTM(8)).fit(words, phones)
    fitted = seqkit.CTC(nn.Bidirectional(nn.LSTM(16)), upsample=4, steps=80, **FAST)
    fitted.fit(words, phones)
    assert fitted.decode(words) == phones
    proba, aligned = (
        fitted.decode_proba(["xo"]),
        fitted.align(["xo"], [["EH", "K", "S", "OW", "OW"]]),
    )
    assert proba.index.equals(aligned.index)
    assert aligned.index.names[-1] == "frame" and len(aligned) == 8
    assert [p for p in aligned["position"] if p >= 0][-1] == 4


def test_answers_stand_on_the_callers_index():
    index = pd.date_range("2024-01-01", periods=len(TEST[0][0]), freq="h", name="at")
    frame = pd.DataFrame(TEST[0][0], index=index, columns=list("vwxyz"))
    named = [pd.DataFrame(one, columns=list("vwxyz")) for one in FRAMES]
    fitted = seqkit.CTC(nn.MLP(16), steps=60, **FAST).fit(named, TEXTS)
    law, aligned = fitted.decode_proba(frame), fitted.align(frame, TEST[1][0])
    assert law.index.equals(index) and aligned.index.equals(index)
    assert law.columns.tolist() == ["", *fitted.labels_]
    np.testing.assert_allclose(law.sum(axis=1), 1.0, rtol=1e-12)
    assert aligned.columns.tolist() == ["label", "position", "posterior"]
    assert fitted.log_prob(frame, TEST[1][0]).index.tolist() == [0]  # a single one has no name
    assert fitted.decode(frame, n_best=2, beam=4).index.tolist() == [(0, 1), (0, 2)]
    panel = fitted.log_prob({"one": frame, "two": frame}, {"two": "ab", "one": TEST[1][0]})
    assert panel.index.tolist() == ["one", "two"] and panel["one"] > panel["two"]


def test_alignment_follows_the_speech(model):
    frames, text = TEST[0][3], TEST[1][3]
    aligned = model.align([frames], [text])
    spoken = aligned[aligned["position"] >= 0]
    first = spoken.drop_duplicates("position")
    assert "".join(first["label"]) == text and first["position"].tolist() == list(range(len(text)))
    assert (aligned["label"] == "").equals(aligned["position"] == -1)
    assert aligned["posterior"].between(0, 1 + 1e-12).all()
    onsets = np.append(np.flatnonzero(frames[:, 4] > 1.5), len(frames))
    for place, start, stop in zip(range(len(text)), onsets[:-1], onsets[1:], strict=True):
        at = first.index.get_level_values(-1)[place]
        assert start <= at < stop


def test_scores_are_exact_log_probabilities(model):
    x, y = TEST[0][:3], TEST[1][:3]
    each = model.log_prob(x, y)
    np.testing.assert_allclose(model.score(x, y), each.sum() / sum(map(len, y)), rtol=1e-12)
    names = ["", *model.labels_]
    for one, text, p in zip(x, y, each, strict=True):
        log_y = torch.from_numpy(np.log(model.decode_proba(one).to_numpy()))[:, None]
        codes = torch.tensor([[names.index(c) for c in text]])
        lengths = torch.tensor([len(one)]), torch.tensor([len(text)])
        other = F.ctc_loss(log_y, codes, *lengths, reduction="sum")
        np.testing.assert_allclose(p, -float(other), rtol=1e-9, atol=1e-12)
    table = model.decode(x, beam=20, n_best=3)
    assert table.index.names == ["sequence", "rank"]
    assert table.loc[(0, 1), "output"] == y[0]
    np.testing.assert_allclose(table.xs(1, level="rank")["log_prob"], each, rtol=1e-9, atol=1e-12)


def test_a_language_model_decides_between_what_sounds_alike():
    """Two labels that are heard the same: only what they follow tells them apart."""
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(["ab", "cd"], size=rng.integers(1, 4))) for _ in range(100)]
    heard = {"a": 0, "c": 1, "b": 2, "d": 2}
    frames = [np.repeat(np.eye(3)[[heard[c] for c in t]], 2, axis=0) for t in texts]
    frames = [one + 0.05 * rng.normal(size=one.shape) for one in frames]
    fitted = seqkit.CTC(nn.MLP(16), steps=80, **FAST).fit(frames, texts)
    bigrams = seqkit.MarkovChain(pseudo_count=0.1).fit([list(t) for t in texts])

    class Bigrams:
        def next_log_probs(self, prefixes):
            rows = [bigrams.initial_ if not p else bigrams.transition_.loc[p[-1]] for p in prefixes]
            table = np.log(pd.DataFrame([row.to_numpy() for row in rows], columns=list("abcd")))
            return table.assign(z=-50.0)[["z", "d", "c", "b", "a"]]

    def right(**options):
        said = fitted.decode(frames[:25], **options)
        return np.mean([a == b for a, b in zip(said, texts[:25], strict=True)])

    assert right(beam=16) < 0.8
    assert right(beam=16, lm=bigrams) == right(beam=16, lm=Bigrams()) == 1.0
    assert right(beam=16, lm=bigrams, lm_weight=0.0) == right(beam=16)
    writer = seqkit.SequenceGenerator(nn.LSTM(12), steps=40, lr=0.05).fit(texts)
    assert right(beam=16, lm=writer) == 1.0
    table = fitted.decode(frames[:1], beam=8, n_best=2, lm=writer, lm_weight=0.5, bonus=0.1)
    for output, log_prob, score in table.itertuples(index=False):
        worth = 0.5 * writer.log_prob([output]).iloc[0] + 0.1 * len(output)
        np.testing.assert_allclose(score, log_prob + worth, rtol=1e-6)
    longer = fitted.decode(frames[:5], beam=16, bonus=20.0)
    assert sum(map(len, longer)) > sum(map(len, texts[:5]))
    with pytest.raises(TypeError, match=r"lm must be a fitted .* got str"):
        fitted.decode(frames, lm="bigrams")
    with pytest.raises(ValueError, match="chain of order 2"):
        fitted.decode(frames, lm=seqkit.MarkovChain(order=2, pseudo_count=1).fit([list("abab")]))


def test_the_same_seed_gives_the_same_model_and_files_keep_it(model, tmp_path):
    first, again, other = (
        seqkit.CTC(nn.Bidirectional(nn.LSTM(6)), dropout=0.2, steps=6, seed=seed).fit(FRAMES, TEXTS)
        for seed in (0, 0, 1)
    )
    assert first == again and first != other
    pd.testing.assert_frame_equal(first.decode_proba(TEST[0]), again.decode_proba(TEST[0]))
    law = model.decode_proba(TEST[0])
    loaded = seqkit.load(model.save(tmp_path / "transcriber"))
    pd.testing.assert_frame_equal(law, loaded.decode_proba(TEST[0]), check_exact=True)
    assert loaded.decode(TEST[0], beam=4) == model.decode(TEST[0], beam=4)
    assert repr(loaded) == repr(model) and "fitted to 96 sequences" in repr(model)


def test_lists_of_tokens_and_whole_numbers_come_back_as_they_were():
    spoken = {"ja": 1, "nein": 0}
    y = [["ja", "nein"], [], ["nein"]]
    x = [np.repeat(np.eye(2)[[spoken[w] for w in row] or [0]] + (not row), 2, axis=0) for row in y]
    fitted = seqkit.CTC(nn.MLP(8), steps=80, lr=0.05).fit(x, y)
    assert fitted.decode(x) == y
    numbers = [[spoken[w] for w in row] for row in y]
    panels = [dict(zip("abc", rows, strict=True)) for rows in (x, numbers)]
    other = seqkit.CTC(nn.MLP(8), steps=80, lr=0.05).fit(*panels)
    assert other.decode(x) == numbers and other.labels_ == [0, 1]


# -- hostile input ---------------------------------------------------------------------------------


def test_one_frame_and_ten_thousand_are_transcribed(model):
    one, letter = FRAMES[0][:1], TEXTS[0][:1]
    law = model.decode_proba([one])
    assert model.decode([one], beam=2)[0] in ("", *letter)
    np.testing.assert_allclose(model.log_prob([one], [letter])[0], np.log(law[letter].iloc[0]))
    assert model.align([one], [letter]).to_numpy().tolist() == [[letter, 0, 1.0]]
    frames, text = np.concatenate(FRAMES * 12)[:10_000], "".join(TEXTS * 12)
    assert len(frames) == 10_000
    said = model.decode([frames], beam=4)[0]
    assert len(said) > 2000
    assert edit_distance([text[: len(said)]], [said])[0] < 0.02 * len(said)
    assert model.align(frames[:2000], said[:400])["posterior"].mean() > 0.5
    assert model.decode_proba(frames).shape == (10_000, 5)


def test_missing_frames_are_read_over(model):
    holes = [one.copy() for one in FRAMES]
    for one in holes:
        one[3::7] = np.nan
    fitted = seqkit.CTC(nn.Bidirectional(nn.LSTM(16)), steps=40, **FAST).fit(holes, TEXTS)
    assert np.isfinite(fitted.score(holes, TEXTS))
    blind = np.full((5, 5), np.nan)
    assert np.isfinite(model.decode_proba(blind)).all().all()


def test_silence_is_an_empty_transcript(model):
    silence = np.zeros((30, 5))
    quiet = seqkit.CTC(nn.MLP(16), steps=100, **FAST)
    quiet.fit([*FRAMES, *[silence] * 40], [*TEXTS, *[""] * 40])
    assert quiet.decode([silence], beam=4) == [""] and quiet.decode([silence]) == [""]
    aligned = quiet.align(silence, "")
    assert (aligned["label"] == "").all() and np.allclose(aligned["posterior"], 1.0)
    blanks = np.log(quiet.decode_proba(silence)[""]).sum()
    np.testing.assert_allclose(quiet.log_prob(silence, "").iloc[0], blanks, rtol=1e-9)
    with pytest.raises(ValueError, match="y holds no label"):
        quiet.score(silence, "")


def test_unlawful_questions_are_answered_clearly(model):
    x = TEST[0][:2]
    for call, message in [
        (lambda: model.score(x, ["ab", "az"]), "transcript 1 has the label 'z'"),
        (lambda: model.score(x, ["ab"]), "x has 2 sequences and y has 1 transcripts"),
        (lambda: model.align(x, ["ab", "abcd" * 20]), "series 1 has 80 labels and takes 80 frames"),
        (lambda: model.decode(x, beam=0), "beam must be"),
        (lambda: model.decode([["a", "b"]]), "1 symbol per step, but the model was fitted to 5 numbers"),
        (lambda: model.score(x, [0, 1]), "one label per sequence: seqkit.LSTMClassifier"),
        (lambda: model.score(x, None), "SequenceGenerator"),
        (lambda: seqkit.CTC(nn.MLP(4)).fit(FRAMES[:1], ["a" * 99]), "takes 197 frames .* upsample="),
        (lambda: seqkit.CTC(nn.MLP(4)).fit(FRAMES[:2], ["", ""]), "all transcripts are empty"),
        (lambda: seqkit.CTC(nn.MLP(4)).fit(FRAMES[:1], [["a", ""]]), "stands for the blank"),
        (lambda: seqkit.CTC(nn.MLP(4)).fit(FRAMES[:2], {"p": "a", "q": "b"}), "by the same names"),
        (lambda: seqkit.CTC(nn.MLP(4), upsample=0), "upsample"),
        (lambda: seqkit.CTC(nn.MLP(4), too_long="cut"), "too_long must be"),
        (lambda: seqkit.CTC(nn.MLP(4)).decode(x), "not fitted"),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match=message):
            call()
    assert np.isneginf(model.log_prob(x, ["ab", "abcd" * 20])[1])
    with pytest.raises(TypeError, match="core must be a core"):
        seqkit.CTC(torch.nn.Linear(2, 2))
    with pytest.raises(TypeError, match="labels are text or whole numbers"):
        seqkit.CTC(nn.MLP(4)).fit(FRAMES[:1], [[0.5]])


def test_transcripts_that_are_too_long_can_be_dropped():
    fitted = seqkit.CTC(nn.MLP(16), steps=60, too_long="drop", **FAST)
    fitted.fit([*FRAMES[:40], np.zeros((2, 5))], [*TEXTS[:40], "abcd"])
    assert fitted.dropped_ == [40] and "40 sequences" in repr(fitted)
    with pytest.raises(ValueError, match="none of the 1 transcripts fits"):
        fitted.fit([np.zeros((2, 5))], ["abcd"])


def test_a_mixed_batch_trains_in_half_precision_and_with_validation():
    options = {"precision": "bf16", "batch_size": 24, "evaluate_every": 10}
    trainer = seqkit.training.Trainer(steps=30, lr=0.02, **options)
    fitted = seqkit.CTC(nn.MLP(16), trainer=trainer).fit(FRAMES, TEXTS, validation=TEST)
    losses = fitted.history_["validation"]
    assert losses.iloc[-1] < losses.iloc[0] and fitted.tokens_per_second_ > 0
