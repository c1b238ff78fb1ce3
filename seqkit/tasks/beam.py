"""The likeliest sequences of a model that says, token by token, what comes next: beam search."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral
from typing import Any, NamedTuple

import torch
from torch import Tensor

Step = Callable[[Tensor, Any], tuple[Tensor, Any]]
NOTHING = -math.inf


class Hypothesis(NamedTuple):
    """One sequence that a search found."""

    tokens: list[int]  # without the end symbol
    log_prob: float  # in nats, that of the end symbol counted
    score: float  # what hypotheses are ranked by: log_prob over the length penalty


@dataclass(frozen=True)
class Shared:
    """Part of a state that all hypotheses of a sequence have in common, such as what an encoder read.

    Its tensors have one entry for each sequence, and a step sees the rows of its hypotheses side by side: row
    ``i * width + j`` is hypothesis j of entry i.
    """

    value: Any


def beam_search(
    step: Step,
    start: Tensor,
    state: Any,
    *,
    end: int | None,
    max_length: int | Tensor,
    beam: int = 5,
    n_best: int = 1,
    length_penalty: float = 0.0,
) -> list[list[Hypothesis]]:
    r"""The best sequences that a beam of `beam` unfinished ones leads to, for many searches side by side.

        score(y) = log p(y) / ((5 + |y|) / 6)^length_penalty,    |y| with the end symbol

    After every token the `beam` likeliest continuations are kept; those that end leave the beam. A beam that holds
    all continuations is enumeration, a beam of 1 is greedy search. A search is over when nothing that is still
    unfinished can be better than what has ended.

    Parameters
    ----------
    step : maps tokens (rows,) and a state to the log-probabilities (rows, symbols) of what follows, and the state
        after it.
    start : (n,), the first token that each of the n searches reads.
    state : the first state: tensors whose first axis is the row, in tuples, lists and dicts, or `Shared` parts.
    end : code of the end symbol; None where every sequence has the length `max_length`.
    max_length : most tokens of a sequence, the end symbol not counted: one for all or (n,). A sequence this long
        is ended, at the probability that the model gives to it.
    beam : sequences that are kept. n_best : how many of each search are returned, at most as many.
    length_penalty : 0 ranks by probability; towards 1 the longer ones gain.

    Returns
    -------
    For each search its hypotheses, the best first; fewer than `n_best` where there are no more that are possible.

    Raises
    ------
    ValueError : numbers out of range.

    Examples
    --------
    >>> follows = torch.tensor([[0.1, 0.6, 0.3], [0.1, 0.1, 0.8]]).log()  # a, b and the end, after a and after b
    >>> step = lambda tokens, state: (follows[tokens], state)
    >>> best = beam_search(step, torch.tensor([0]), (), end=2, max_length=9)[0][0]
    >>> best.tokens, round(math.exp(best.log_prob), 4)
    ([1], 0.48)

    Source: Graves (2012); Sutskever et al. (2014), sec. 3.2; length penalty of Wu et al. (2016), eq. 14.
    """
    for name, value in (("beam", beam), ("n_best", n_best)):
        if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
            raise ValueError(f"{name} must be a whole number, 1 or more, got {value!r}")
    if n_best > beam:
        raise ValueError(f"n_best={n_best} needs a beam as wide, but beam={beam}; raise it")
    if not 0 <= length_penalty < math.inf:
        raise ValueError(f"length_penalty must be 0 or more, got {length_penalty!r}")
    limits = torch.as_tensor(max_length, device=start.device).expand(len(start))
    if len(start) and int(limits.min()) < (end is None):
        raise ValueError(f"max_length must be 1 or more, got {int(limits.min())}")
    search = _Search(start, limits, end, beam, n_best, length_penalty)
    while len(search.numbers):
        log_probs, state = step(search.last, state)
        state = _rows(state, *search.extend(log_probs.double()))
    return search.results


class _Search:
    """The hypotheses of all searches that are not over: live ones (n, width), and the best that ended (n, n_best)."""

    def __init__(
        self, start: Tensor, limits: Tensor, end: int | None, beam: int, n_best: int, penalty: float
    ):
        n = len(start)
        self.end, self.beam, self.penalty = end, beam, penalty
        self.last, self.limits, self.length = start, limits, 0
        self.numbers = torch.arange(n, device=start.device)  # of the searches that go on
        self.live = start.new_zeros((n, 1), dtype=torch.float64)
        self.tokens = start.new_zeros((n, 1, 0))
        self.best = self.live.new_full((n, n_best), NOTHING)
        self.best_log_prob = self.best.clone()
        self.best_tokens = start.new_zeros((n, n_best, 0))
        self.best_length = start.new_zeros((n, n_best))
        self.results: list[list[Hypothesis]] = [[] for _ in range(n)]

    def extend(self, log_probs: Tensor) -> tuple[Tensor, Tensor]:
        """One token more; the rows of the state that go on, and the searches that do."""
        n, width = self.live.shape
        scores = self.live.unsqueeze(-1) + log_probs.view(n, width, -1)
        symbols = scores.shape[-1]
        full = self.limits <= self.length
        if self.end is not None and bool(full.any()):
            others = torch.arange(symbols, device=scores.device) != self.end
            scores = scores.masked_fill(full.view(-1, 1, 1) & others, NOTHING)
        self.live, flat = scores.flatten(1).topk(min(self.beam, width * symbols), 1)
        parents, chosen = flat // symbols, flat % symbols
        before = self.tokens.gather(1, parents.unsqueeze(-1).expand(-1, -1, self.length))
        self.tokens = torch.cat([before, chosen.unsqueeze(-1)], -1)
        self.length += 1
        if self.end is None:
            ended = (self.limits <= self.length).unsqueeze(1).expand_as(chosen)
        else:
            ended = chosen == self.end
        self._collect(ended)
        self.live = self.live.masked_fill(ended, NOTHING)
        return self._go_on(parents, chosen, ended, width)

    def _collect(self, ended: Tensor) -> None:
        """Put the hypotheses that ended among the best ones."""
        if not bool(ended.any()):
            return
        log_prob = self.live.masked_fill(~ended, NOTHING)
        known = self.best_tokens.shape[-1]
        scores = torch.cat([self.best, log_prob / self._divisor(self.length)], 1)
        self.best, kept = scores.topk(self.best.shape[1], 1)
        padded = torch.nn.functional.pad(self.best_tokens, (0, self.length - known))
        wide = kept.unsqueeze(-1).expand(-1, -1, self.length)
        self.best_tokens = torch.cat([padded, self.tokens], 1).gather(1, wide)
        self.best_log_prob = torch.cat([self.best_log_prob, log_prob], 1).gather(1, kept)
        own = self.best_length.new_full(log_prob.shape, self.length - (self.end is not None))
        self.best_length = torch.cat([self.best_length, own], 1).gather(1, kept)

    def _divisor(self, length: Any) -> Any:
        return ((5.0 + length) / 6.0) ** self.penalty

    def _go_on(
        self, parents: Tensor, chosen: Tensor, ended: Tensor, width: int
    ) -> tuple[Tensor, Tensor]:
        """Give out the searches that are over, and leave them behind."""
        longest = self.limits + (self.end is not None)
        hope = self.live.amax(1) / self._divisor(longest.double())
        going = (hope > self.best[:, -1]) & (hope > NOTHING)
        self._give(torch.nonzero(~going).flatten())
        kept = torch.nonzero(going).flatten()
        rows = (kept.unsqueeze(1) * width + parents[kept]).flatten()
        for name in (
            "numbers", "limits", "live", "tokens",
            "best", "best_log_prob", "best_tokens", "best_length",
        ):  # fmt: skip
            setattr(self, name, getattr(self, name)[kept])
        # an ended hypothesis keeps its row, but reads on with a token that every model knows
        self.last = chosen.masked_fill(ended, 0)[kept].flatten()
        return rows, kept

    def _give(self, over: Tensor) -> None:
        if not len(over):
            return
        parts = (self.numbers, self.best, self.best_log_prob, self.best_tokens, self.best_length)
        for number, *found in zip(*(part[over].tolist() for part in parts), strict=True):
            self.results[number] = [
                Hypothesis(tokens[:length], log_prob, score)
                for score, log_prob, tokens, length in zip(*found, strict=True)
                if score > NOTHING
            ]


def _rows(state: Any, rows: Tensor, searches: Tensor) -> Any:
    """The rows of a state, and the entries of its shared parts."""
    if isinstance(state, Shared):
        return Shared(_rows(state.value, searches, searches))
    if isinstance(state, Tensor):
        return state.index_select(0, rows)
    if isinstance(state, dict):
        return {name: _rows(part, rows, searches) for name, part in state.items()}
    if isinstance(state, (tuple, list)):
        return tuple(_rows(part, rows, searches) for part in state)
    return state
