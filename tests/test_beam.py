"""Beam search against all sequences there are, and against one that keeps a list of hypotheses."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from tensors import normal

from seqkit.tasks.beam import Shared, beam_search

SYMBOLS, END = 4, 3


def chain(n: int, seed: int = 0):
    """A step whose law depends on all tokens so far, by a state, and on the search, by a shared part."""
    mix, emit = normal(SYMBOLS, 5, seed=seed), normal(5, SYMBOLS, seed=seed + 1)
    own = normal(n, 5, seed=seed + 2)

    def step(tokens, state):
        width = len(tokens) // len(state["own"].value)
        h = torch.cos(2 * state["h"] + mix[tokens] + state["own"].value.repeat_interleave(width, 0))
        return (h @ emit).log_softmax(-1), {"h": h, "own": state["own"]}

    return step, {"h": torch.zeros(n, 5, dtype=torch.float64), "own": Shared(own)}


def alone(state, i):
    return {"h": state["h"][i : i + 1], "own": Shared(state["own"].value[i : i + 1])}


def log_prob(step, state, tokens, end=END):
    total, last = 0.0, 0
    for token in [*tokens, *([] if end is None else [end])]:
        log_probs, state = step(torch.tensor([last]), state)
        total, last = total + float(log_probs[0, token]), token
    return total


def listed(step, state, longest, alphabet=(0, 1, 2), shortest=0):
    """All sequences with their log-probabilities, by enumeration."""
    words = (w for k in range(shortest, longest + 1) for w in itertools.product(alphabet, repeat=k))
    return {word: log_prob(step, state, word) for word in words}


@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_beam_of_full_width_is_enumeration(penalty):
    step, state = chain(3)
    found = beam_search(
        step, torch.zeros(3, dtype=torch.int64), state, end=END, max_length=torch.tensor([3, 2, 3]),
        beam=81, n_best=12, length_penalty=penalty,
    )  # fmt: skip
    for i, longest in enumerate([3, 2, 3]):
        words = listed(step, alone(state, i), longest)
        score = {w: p / ((6 + len(w)) / 6) ** penalty for w, p in words.items()}
        best = sorted(score, key=score.__getitem__, reverse=True)[:12]
        assert [tuple(h.tokens) for h in found[i]] == best
        for h in found[i]:
            assert h.log_prob == pytest.approx(words[tuple(h.tokens)], abs=1e-12)
            assert h.score == pytest.approx(score[tuple(h.tokens)], abs=1e-12)


def test_without_an_end_all_sequences_have_one_length():
    step, state = chain(1)
    start = torch.zeros(1, dtype=torch.int64)
    found = beam_search(step, start, state, end=None, max_length=3, beam=64, n_best=5)[0]
    words = {w: log_prob(step, state, w, None) for w in itertools.product(range(4), repeat=3)}
    assert [tuple(h.tokens) for h in found] == sorted(words, key=words.__getitem__)[::-1][:5]


def test_beam_of_one_is_greedy():
    step, state = chain(20, seed=5)
    found = beam_search(
        step, torch.zeros(20, dtype=torch.int64), state, end=END, max_length=8, beam=1
    )
    lengths = set()
    for i, (best,) in enumerate(found):
        at, last, tokens = alone(state, i), 0, []
        while len(tokens) < 8:
            log_probs, at = step(torch.tensor([last]), at)
            last = int(log_probs[0].argmax())
            if last == END:
                break
            tokens.append(last)
        assert best.tokens == tokens
        assert best.log_prob == pytest.approx(log_prob(step, alone(state, i), tokens), abs=1e-12)
        lengths.add(len(tokens))
    assert len(lengths) > 3  # some ended by themselves, at different times


def test_a_narrow_beam_is_the_textbook_loop():
    step, state = chain(8, seed=7)
    found = beam_search(
        step, torch.zeros(8, dtype=torch.int64), state, end=END, max_length=5, beam=3, n_best=2
    )
    for i in range(8):
        live, ended = [((), 0.0)], []
        for _ in range(6):
            grown = []
            for word, _ in live:
                at, last = alone(state, i), 0
                for token in word:
                    _, at = step(torch.tensor([last]), at)
                    last = token
                law = step(torch.tensor([last]), at)[0][0]
                allowed = range(SYMBOLS) if len(word) < 5 else [END]
                before = dict(live)[word]
                grown += [((*word, token), before + float(law[token])) for token in allowed]
            grown = sorted(grown, key=lambda pair: -pair[1])[:3]
            ended += [(word[:-1], p) for word, p in grown if word[-1] == END]
            live = [(word, p) for word, p in grown if word[-1] != END]
        best = sorted(ended, key=lambda pair: -pair[1])[:2]
        assert [tuple(h.tokens) for h in found[i]] == [word for word, _ in best]


def test_what_is_impossible_is_not_returned():
    law = torch.tensor([[0.0, 1.0], [0.0, 1.0]]).log()
    found = beam_search(
        lambda tokens, state: (law[tokens], state), torch.tensor([0]), (), end=1, max_length=4,
        beam=3, n_best=3,
    )  # fmt: skip
    assert [(h.tokens, h.log_prob) for h in found[0]] == [([], 0.0)]
    assert (
        beam_search(lambda t, s: (law[t], s), torch.zeros(0).long(), (), end=1, max_length=4) == []
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beam": 0}, "beam must be"),
        ({"n_best": 6}, "n_best=6 needs a beam"),
        ({"length_penalty": -1.0}, "length_penalty must be 0 or more"),
        ({"length_penalty": math.nan}, "length_penalty must be 0 or more"),
        ({"max_length": -1}, "max_length must be"),
        ({"max_length": 0, "end": None}, "max_length must be 1"),
    ],
)
def test_numbers_out_of_range(options, message):
    step, state = chain(1)
    options = {"end": END, "max_length": 3} | options
    with pytest.raises(ValueError, match=message):
        beam_search(step, torch.tensor([0]), state, **options)
