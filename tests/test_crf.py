"""The conditional random field against enumeration of all labellings, pytorch-crf, finite differences."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from tensors import close, normal, seeded

from seqkit.kernels import chain_scores
from seqkit.nn.crf import CRF, Allowed, bio

K = 3


def crf(labels: int = K, allowed: Allowed | None = None, seed: int = 0) -> CRF:
    made = CRF(labels, allowed=allowed).double()
    for i, parameter in enumerate(made.parameters()):
        parameter.data = normal(*parameter.shape, seed=seed + 10 * i)
    return made


def everything(model: CRF, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All labellings of scores (time, K), and the score of each, term by term."""
    start, transition, end = (x.detach().numpy() for x in model.parameters_of_chain)
    paths = np.array(list(itertools.product(range(scores.shape[1]), repeat=len(scores))))
    totals = start[paths[:, 0]] + end[paths[:, -1]]
    for t in range(len(scores)):
        totals = totals + scores[t, paths[:, t]]
        if t:
            totals = totals + transition[paths[:, t - 1], paths[:, t]]
    return paths, totals


FORBIDDING = Allowed(
    np.array([True, False, True]),
    np.array([[True, True, False], [True, True, True], [False, True, True]]),
    np.array([True, True, False]),
)


@pytest.mark.parametrize("allowed", [None, FORBIDDING], ids=["free", "constrained"])
@pytest.mark.parametrize("time", [1, 2, 5])
def test_everything_is_that_of_all_labellings(allowed, time):
    model, scores = crf(allowed=allowed), normal(1, time, K, seed=3) * 2
    paths, totals = everything(model, scores[0].numpy())
    log_z = np.logaddexp.reduce(totals)
    p = np.exp(totals - log_z)
    best = np.argsort(-totals, kind="stable")
    best = best[np.isfinite(totals[best])]
    for i in (best[0], best[-1]):
        found = model.log_likelihood(scores, torch.from_numpy(paths[[i]]))
        np.testing.assert_allclose(found.item(), totals[i] - log_z, rtol=0, atol=1e-9)
    marginals = np.array([[p[paths[:, t] == k].sum() for k in range(K)] for t in range(time)])
    np.testing.assert_allclose(model.marginals(scores)[0], marginals, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(model.viterbi(scores)[0], paths[best[0]])
    found, log_p = model.k_best(scores[0], 7)
    np.testing.assert_array_equal(found, paths[best[:7]])
    np.testing.assert_allclose(log_p, np.log(p[best[:7]]), rtol=0, atol=1e-9)


def test_labels_not_known_are_summed_over():
    model, scores = crf(), normal(1, 4, K, seed=3)
    paths, totals = everything(model, scores[0].numpy())
    labels = torch.tensor([[2, -1, -1, 0]])
    right = (paths[:, 0] == 2) & (paths[:, 3] == 0)
    expected = np.logaddexp.reduce(totals[right]) - np.logaddexp.reduce(totals)
    np.testing.assert_allclose(
        model.log_likelihood(scores, labels).item(), expected, rtol=0, atol=1e-9
    )
    close(model.log_likelihood(scores, torch.full((1, 4), -1)), torch.zeros(1).double())


def test_steps_that_are_masked_are_none_wherever_they_are():
    model, scores = crf(), normal(3, 5, K, seed=3)
    mask = torch.tensor([[True, False, True, True, False], [False] * 5, [True] * 5])
    labels = torch.randint(K, (3, 5), generator=seeded())
    wild = torch.where(mask[..., None], scores, torch.nan)
    found = model.log_likelihood(wild, labels, mask)
    alone = model.log_likelihood(scores[:1, [0, 2, 3]], labels[:1, [0, 2, 3]])
    close(found[:1], alone)
    assert found[1] == 0  # the empty labelling
    close(model.marginals(wild, mask)[0, [0, 2, 3]], model.marginals(scores[:1, [0, 2, 3]])[0])
    path = model.viterbi(wild, mask)
    assert path[~mask].eq(-1).all() and model.marginals(wild, mask)[1].eq(0).all()
    close(path[0, [0, 2, 3]].double(), model.viterbi(scores[:1, [0, 2, 3]])[0].double())


def test_a_batch_of_padding_alone_has_no_loss_and_no_gradient():
    model, scores = crf(), normal(2, 3, K).requires_grad_()
    mask = torch.zeros(2, 3, dtype=torch.bool)
    total = model.log_likelihood(scores, torch.zeros(2, 3, dtype=torch.int64), mask).sum()
    total.backward()
    assert total == 0 and scores.grad.eq(0).all()
    assert model.viterbi(scores, mask).eq(-1).all() and model.marginals(scores, mask).eq(0).all()


@pytest.mark.parametrize("shares", [(1.0, 1.0), (0.3, 2.0)], ids=["alike", "of their own"])
@pytest.mark.parametrize("known", [True, False])
def test_gradients_are_finite_differences(shares, known):
    model = crf(allowed=FORBIDDING)
    labels = torch.tensor([[0, 1, 2, 1], [2, 1, 0, 1]])
    labels = labels if known else labels.masked_fill(torch.tensor([False, True, True, False]), -1)
    mask = torch.tensor([[True] * 4, [True, True, False, False]])

    def total(scores, start, transition, end):
        given = {"start": start, "transition": transition, "end": end}
        chosen = {f"crf.{name}": part for name, part in given.items()}
        inputs = (scores, labels, mask)
        found = torch.func.functional_call(Likelihood(model), chosen, inputs)
        return (found * torch.tensor(shares)).sum()

    given = [
        normal(2, 4, K, seed=5),
        *(p.detach() for p in (model.start, model.transition, model.end)),
    ]
    given = [x.clone().requires_grad_() for x in given]
    assert torch.autograd.gradcheck(total, given, atol=1e-7)


class Likelihood(torch.nn.Module):
    def __init__(self, model: CRF):
        super().__init__()
        self.crf = model

    def forward(self, *given):
        return self.crf.log_likelihood(*given)


def test_the_compiled_chain_and_the_one_on_torch_agree():
    model, scores = crf(), normal(9, K, seed=7)
    offsets = torch.tensor([0, 4, 9])
    chain = tuple(
        x.detach() * 40 for x in model.parameters_of_chain
    )  # far from the range of a number
    close(
        chain_scores.log_partition(chain, scores, offsets),
        chain_scores._on_torch(*chain, scores, offsets),
        1e-10,
    )


def test_pytorch_crf_says_the_same():
    peer_module = pytest.importorskip("torchcrf")
    labels, batch, time = 6, 5, 8
    model = crf(labels)
    peer = peer_module.CRF(labels, batch_first=True).double()
    with torch.no_grad():
        peer.start_transitions.copy_(model.start)
        peer.end_transitions.copy_(model.end)
        peer.transitions.copy_(model.transition)
    scores, codes = (
        normal(batch, time, labels),
        torch.randint(labels, (batch, time), generator=seeded()),
    )
    lengths = torch.tensor([8, 1, 5, 8, 3])
    mask = torch.arange(time) < lengths[:, None]
    mine, theirs = scores.clone().requires_grad_(), scores.clone().requires_grad_()
    found = model.log_likelihood(mine, codes, mask)
    expected = peer(theirs, codes, mask, reduction="none")
    close(found, expected, 1e-9)
    found.sum().backward()
    expected.sum().backward()
    close(mine.grad, theirs.grad, 1e-9)
    close(model.transition.grad, peer.transitions.grad, 1e-9)
    path = model.viterbi(scores, mask)
    assert [row[:n].tolist() for row, n in zip(path, lengths, strict=True)] == peer.decode(
        scores, mask
    )


def test_scores_that_diverged_are_left_to_the_training_loop():
    model, scores = crf(), torch.full((1, 3, K), torch.nan, requires_grad=True)
    found = model.log_likelihood(scores, torch.zeros(1, 3, dtype=torch.int64))
    assert found.isnan().all()


def test_ten_thousand_steps_lose_nothing():
    model, scores = crf(), normal(1, 10_000, K)
    log_z = chain_scores.log_partition(
        model.parameters_of_chain, scores[0], torch.tensor([0, 10_000])
    )
    start, transition, end = model.parameters_of_chain
    alpha = start + scores[0, 0]
    for t in range(1, 10_000):
        alpha = torch.logsumexp(alpha[:, None] + transition, 0) + scores[0, t]
    np.testing.assert_allclose(log_z.item(), torch.logsumexp(alpha + end, 0).item(), rtol=1e-12)


# -- constraints -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scheme", "right", "wrong"),
    [
        ("bio", ["B-a I-a O B-b B-b", "O", "B-a"], ["I-a", "O I-a", "B-a I-b", "I-b O"]),
        ("bioes", ["S-a B-b I-b E-b O", "S-b", "B-a E-a"], ["B-a", "B-a O", "E-a", "B-a E-b", "S-a E-a", "I-a"]),
    ],
)  # fmt: skip
def test_chunks_are_what_the_scheme_says(scheme, right, wrong):
    marks = "BI" if scheme == "bio" else "BIES"
    labels = ["O", *(f"{m}-{kind}" for m in marks for kind in "ab")]
    allowed = bio(labels, scheme)

    def lawful(text: str) -> bool:
        codes = [labels.index(label) for label in text.split()]
        pairs = allowed.transition[codes[:-1], codes[1:]]
        return bool(allowed.start[codes[0]] and pairs.all() and allowed.end[codes[-1]])

    assert all(map(lawful, right)) and not any(map(lawful, wrong))


def test_no_decoded_chunk_breaks_its_scheme_whatever_the_scores():
    labels = ["B-a", "B-b", "E-a", "E-b", "I-a", "I-b", "O", "S-a"]
    allowed = bio(labels, "bioes")
    model = crf(len(labels), allowed)
    codes = model.viterbi(normal(200, 6, len(labels)) * 5).numpy()
    assert allowed.start[codes[:, 0]].all() and allowed.end[codes[:, -1]].all()
    assert allowed.transition[codes[:, :-1], codes[:, 1:]].all()


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="labels is 0"):
        CRF(0)
    with pytest.raises(ValueError, match=r"allowed.start has shape \(3,\); 2 labels need \(2,\)"):
        CRF(2, allowed=FORBIDDING)
    with pytest.raises(ValueError, match=r"needs \(batch, time, 3\)"):
        crf().log_likelihood(normal(2, 4), torch.zeros(2, 4, dtype=torch.int64))
    with pytest.raises(ValueError, match="k is 0"):
        crf().k_best(normal(2, K), 0)
    none = np.zeros(K, bool)
    nothing = crf(allowed=Allowed(none, np.ones((K, K), bool), ~none))
    for verb in (nothing.viterbi, nothing.marginals):
        with pytest.raises(ValueError, match=r"no possible path|no labelling is possible"):
            verb(normal(1, 3, K))
    with pytest.raises(ValueError, match='scheme must be "bio" or "bioes"'):
        bio(["O"], "iob")
    for label in ("I", "X-per", "E-per", "B-"):
        with pytest.raises(
            ValueError, match=f"label '{label}' is not of the form O, B-type, I-type"
        ):
            bio(["O", label])
