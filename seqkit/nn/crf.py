"""A conditional random field over the labels of a sequence: labels are judged together, not one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from seqkit.kernels import chain_scores

from .layers import check_mask

Array = np.ndarray


class Allowed(NamedTuple):
    """Which labels may begin a sequence (K,), follow each other (K, K; rows from, columns to) and end it (K,)."""

    start: Array
    transition: Array
    end: Array


class CRF(nn.Module):
    r"""Labels y of a sequence whose neighbours depend on each other, given the scores e of every step.

        log p(y | e) = start(y_1) + sum_t e_t(y_t) + sum_{t > 1} transition(y_{t-1}, y_t) + end(y_T) - log Z

    Steps where the mask is False are no part of the sequence, wherever they lie. A sequence without steps has
    one labelling, the empty one, of probability one.

    Parameters
    ----------
    labels : K, how many labels there are.
    allowed : what may begin, follow and end (see `bio`); all where None. What is forbidden has probability zero.

    Raises ValueError for less than one label, shapes that do not fit K, and scores without a possible labelling.
    Source: Lafferty, McCallum, Pereira (2001); Collobert et al. (2011) for networks below.

    >>> crf = CRF(2)
    >>> crf.log_likelihood(torch.zeros(1, 3, 2), torch.tensor([[0, 1, 1]])).exp().detach()
    tensor([0.1250], dtype=torch.float64)
    """

    may_start: Tensor
    may_follow: Tensor
    may_end: Tensor

    def __init__(self, labels: int, *, allowed: Allowed | None = None):
        super().__init__()
        if labels < 1:
            raise ValueError(f"labels is {labels!r}; a CRF needs one label or more")
        free = Allowed(
            np.ones(labels, bool), np.ones((labels, labels), bool), np.ones(labels, bool)
        )
        given = free if allowed is None else allowed
        for name, one, shape in zip(Allowed._fields, given, (x.shape for x in free), strict=True):
            if np.shape(one) != shape:
                raise ValueError(
                    f"allowed.{name} has shape {np.shape(one)}; {labels} labels need {shape}"
                )
        self.labels = labels
        self.start, self.end = (nn.Parameter(torch.zeros(labels)) for _ in range(2))
        self.transition = nn.Parameter(torch.zeros(labels, labels))
        for name, one in zip(("may_start", "may_follow", "may_end"), given, strict=True):
            self.register_buffer(name, torch.as_tensor(np.array(one, dtype=bool)))

    @property
    def parameters_of_chain(self) -> tuple[Tensor, Tensor, Tensor]:
        """Start, transition and end scores in double precision, -inf where forbidden."""
        pairs = (
            (self.start, self.may_start),
            (self.transition, self.may_follow),
            (self.end, self.may_end),
        )
        start, transition, end = (x.double().masked_fill(~may, -torch.inf) for x, may in pairs)
        return start, transition, end

    def log_likelihood(self, scores: Tensor, labels: Tensor, mask: Tensor | None = None) -> Tensor:
        """log p of every sequence's labels, (batch,) float64.

        scores : (batch, time, K). labels : (batch, time) codes; -1 where not known: then it is the probability of
        the labels that are. mask : (batch, time), False where there is no step.

        >>> CRF(2).log_likelihood(torch.zeros(1, 3, 2), torch.tensor([[0, -1, 1]])).exp().detach()
        tensor([0.2500], dtype=torch.float64)
        """
        self._check(scores, mask)
        flat, offsets, there = _end_to_end(scores, mask)
        total = flat.new_zeros(len(scores))
        if not len(flat):
            return total + 0.0 * scores.sum()
        codes = (labels if mask is None else labels[mask]).reshape(-1)
        parameters = self.parameters_of_chain
        right = self._score_of(parameters, flat, codes, offsets)
        log_z = chain_scores.log_partition(parameters, flat, offsets)
        return total.index_put((there,), right - log_z)

    def marginals(self, scores: Tensor, mask: Tensor | None = None) -> Tensor:
        """P(y_t = k | scores) of every step, (batch, time, K) float64; zeros where the mask is False."""
        self._check(scores, mask)
        flat, offsets, _ = _end_to_end(scores.detach(), mask)
        found = flat.new_zeros(flat.shape, dtype=torch.float64)
        if len(flat):
            law = chain_scores.marginals(self.parameters_of_chain, flat, offsets)
            _refuse_impossible(np.isnan(law).any())
            found = torch.from_numpy(law).to(scores.device)
        return _back(found, scores, mask)

    def viterbi(self, scores: Tensor, mask: Tensor | None = None) -> Tensor:
        """The most probable labelling, (batch, time) int64; -1 where the mask is False.

        >>> CRF(2).viterbi(torch.tensor([[[0.0, 1.0], [2.0, 1.0]]])).tolist()
        [[1, 0]]
        """
        self._check(scores, mask)
        flat, offsets, _ = _end_to_end(scores.detach(), mask)
        codes = torch.zeros(len(flat), dtype=torch.int64, device=scores.device)
        if len(flat):
            path = chain_scores.viterbi(self.parameters_of_chain, flat, offsets)
            codes = torch.from_numpy(path.states).to(scores.device)
        if mask is None:
            return codes.view(scores.shape[:-1])
        return torch.full(mask.shape, -1, device=scores.device).masked_scatter(mask, codes)

    def k_best(self, scores: Tensor, k: int) -> tuple[Array, Array]:
        """The k most probable labellings of one sequence's scores (time, K), (k, time), and log p of each (k,).

        There are fewer where fewer are possible.

        >>> labels, log_p = CRF(2).k_best(torch.tensor([[0.0, 1.0], [2.0, 0.0]]), 2)
        >>> labels.tolist()
        [[1, 0], [0, 0]]
        """
        if k < 1:
            raise ValueError(f"k is {k!r}; ask for one labelling or more")
        parameters, scores = self.parameters_of_chain, scores.detach().double()
        paths, found = chain_scores.k_best(parameters, scores, k)
        _refuse_impossible(not len(paths))
        whole = torch.tensor([0, len(scores)], device=scores.device)
        return paths, found - float(
            chain_scores.log_partition(parameters, scores, whole)[0].detach()
        )

    def _score_of(
        self,
        parameters: tuple[Tensor, Tensor, Tensor],
        scores: Tensor,
        codes: Tensor,
        offsets: Tensor,
    ) -> Tensor:
        """The score of the labels of every sequence, (n,); of a set of labellings, the log of the sum of theirs."""
        if bool((codes < 0).any()):
            others = torch.ones_like(scores, dtype=torch.bool)
            others.scatter_(1, codes.clamp(min=0)[:, None], value=False)
            others &= (codes >= 0)[:, None]
            return chain_scores.log_partition(
                parameters, scores.masked_fill(others, -torch.inf), offsets
            )
        start, transition, end = parameters
        first, last = offsets[:-1], offsets[1:] - 1
        steps = scores.gather(1, codes[:, None])[:, 0]
        moves = transition.flatten()[codes[:-1] * self.labels + codes[1:]]
        before = torch.cat([moves.new_zeros(1), moves]).index_put((first,), start[codes[first]])
        sequence = torch.repeat_interleave(offsets.diff())
        return end[codes[last]].index_add(0, sequence, steps + before)

    def _check(self, scores: Tensor, mask: Tensor | None) -> None:
        if scores.ndim != 3 or scores.shape[-1] != self.labels:
            raise ValueError(
                f"scores has shape {tuple(scores.shape)}; this CRF needs (batch, time, {self.labels})"
            )
        if mask is not None:
            check_mask(scores, mask)

    def extra_repr(self) -> str:
        return f"labels={self.labels}"


def _end_to_end(scores: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """The steps of all sequences in double precision, where each begins, and which have any."""
    batch, time, labels = scores.shape
    wide = scores.double()  # log p is the small difference of large sums
    if mask is None:
        offsets = torch.arange(batch + 1, device=scores.device) * time
        there = torch.arange(batch if time else 0, device=scores.device)
        return wide.reshape(-1, labels), offsets if time else offsets[:1], there
    lengths = mask.sum(1)
    there = lengths.nonzero()[:, 0]
    ends = lengths[there].cumsum(0)
    return wide[mask], torch.cat([ends.new_zeros(1), ends]), there


def _back(flat: Tensor, scores: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None:
        return flat.view(scores.shape)
    return flat.new_zeros(scores.shape).index_put((mask,), flat)


def _refuse_impossible(impossible: Any) -> None:
    if impossible:
        raise ValueError("no labelling is possible: every one meets what is forbidden; allow more")


def bio(labels: Sequence[str], scheme: str = "bio") -> Allowed:
    """What may begin, follow and end in chunks of BIO or BIOES labels.

    BIO: I-X follows B-X or I-X. BIOES: a chunk is S-X, or B-X, any I-X, E-X; it must end as it must begin.

    Raises ValueError for another scheme and labels that are not of it.
    Source: Ramshaw, Marcus (1995); Ratinov, Roth (2009).

    >>> bio(["B-per", "I-per", "O"]).transition[2].tolist()  # after O
    [True, False, True]
    """
    if scheme not in ("bio", "bioes"):
        raise ValueError(f'scheme must be "bio" or "bioes", got {scheme!r}')
    marks, kinds = zip(*(_parted(label, scheme) for label in labels), strict=True)
    mark, kind = np.array(marks), np.array(kinds)
    inside = np.isin(mark, ["I", "E"])  # these go on with a chunk
    opens = np.isin(mark, ["B", "I"])  # after these a chunk may go on
    same = kind[:, None] == kind[None, :]
    transition = ~inside[None, :] | (opens[:, None] & same)
    end = np.ones(len(labels), bool)
    if scheme == "bioes":  # a chunk that is open must go on
        transition &= ~opens[:, None] | (inside[None, :] & same)
        end = ~opens
    return Allowed(~inside, transition, end)


def _parted(label: str, scheme: str) -> tuple[str, str]:
    mark, _, kind = str(label).partition("-")
    if mark == "O" and not kind:
        return mark, kind
    if mark not in ("B", "I", "E", "S")[: 2 if scheme == "bio" else 4] or not kind:
        raise ValueError(
            f"label {label!r} is not of the form O{''.join(f', {m}-type' for m in scheme.upper() if m != 'O')}"
        )
    return mark, kind
