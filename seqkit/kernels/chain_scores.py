r"""Chains of free scores, as conditional random fields have them, on torch tensors.

    score(s) = start(s_1) + sum_t scores_t(s_t) + sum_{t > 1} transition(s_{t-1}, s_t) + end(s_T)

It is the chain of `kernels.chain` with exponentiated scores as weights. On the CPU the compiled recursions do the
work, gradients included, since the derivatives of log Z are posterior probabilities; elsewhere their twin on torch.

Every function takes start (K,), transition (K, K), end (K,), scores (T, K) of sequences that lie end to end,
-inf to forbid, and offsets (n + 1,) where they begin; none is empty.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from seqkit.kernels import chain, chain_torch

Array = np.ndarray
Chain = tuple[Tensor, Tensor, Tensor]  # start, transition, end


def log_partition(parameters: Chain, scores: Tensor, offsets: Tensor) -> Tensor:
    """log sum_s exp score(s) of every sequence, (n,), differentiable; -inf where no path is possible.

    >>> none = torch.zeros(2, dtype=torch.float64)
    >>> log_partition((none, none.expand(2, 2), none), torch.zeros(3, 2).double(), torch.tensor([0, 3])).exp()
    tensor([8.0000], dtype=torch.float64)
    """
    start, transition, end = parameters
    if scores.device.type == "cpu":
        found: Tensor = _Compiled.apply(start, transition, end, scores, offsets)
        return found
    return _on_torch(start, transition, end, scores, offsets)


def marginals(parameters: Chain, scores: Tensor, offsets: Tensor) -> Array:
    """P(s_t | all scores), (T, K) float64."""
    initial, weights, logs, ends, _ = _weights(*parameters, scores, offsets)
    return chain.marginals(initial, weights, logs, offsets=ends).probabilities


def viterbi(parameters: Chain, scores: Tensor, offsets: Tensor) -> chain.Path:
    """The best path of every sequence, (T,) int64, and its score (n,). ValueError where no path is possible."""
    initial, weights, logs, ends, moved = _weights(*parameters, scores, offsets)
    path = chain.viterbi(initial, weights, logs, offsets=ends)
    return chain.Path(path.states, path.score + moved)


def k_best(parameters: Chain, scores: Tensor, k: int) -> tuple[Array, Array]:
    """The `k` best paths of one sequence, (k, T), best first, and their scores (k,); fewer where fewer are possible."""
    initial, weights, logs, _, moved = _weights(*parameters, scores, torch.tensor([0, len(scores)]))
    paths, found = chain.k_best(initial, weights, logs, k)
    return paths, found + moved[0]


def _weights(
    start: Tensor, transition: Tensor, end: Tensor, scores: Tensor, offsets: Tensor
) -> tuple[Array, Array, Array, Array, Array]:
    """The arguments of `kernels.chain` in float64, and by how much log Z of every sequence was moved.

    The largest start and the largest transition become one, so that no free score leaves the range of a number.
    """
    ends = _array(offsets).astype(np.int64)
    first, moves = _array(start), _array(transition)
    top, high = _largest(first), _largest(moves)
    logs = np.array(_array(scores), dtype=np.float64)  # a copy: the ends are added
    logs[ends[1:] - 1] += _array(end)
    moved = top + high * (np.diff(ends) - 1)
    return np.exp(first - top), np.exp(moves - high), logs, ends, moved


def _array(x: Tensor) -> Array:
    found: Array = (
        x.detach().cpu().numpy() if not x.is_floating_point() else x.detach().double().cpu().numpy()
    )
    return found


def _largest(x: Array) -> float:
    top = float(x.max())
    return top if np.isfinite(top) else 0.0


class _Compiled(torch.autograd.Function):
    """log Z by the compiled recursions, which give its derivatives in the same pass."""

    @staticmethod
    def forward(ctx, start, transition, end, scores, offsets):  # type: ignore[no-untyped-def]
        initial, weights, logs, ends, moved = _weights(start, transition, end, scores, offsets)
        total = logs.sum()
        ctx.expected = None
        if np.isnan(total) or total == np.inf:  # diverged: the training loop knows what to say
            return scores.new_full((len(ends) - 1,), torch.nan)
        ctx.save_for_backward(start, transition, end, scores, offsets)
        if any(ctx.needs_input_grad):
            ctx.expected = chain.expected(initial, weights, logs, offsets=ends)
            log_z = ctx.expected.log_partition
        else:
            log_z = chain.log_partition(initial, weights, logs, offsets=ends)
        return torch.from_numpy(log_z + moved).to(scores.dtype)

    @staticmethod
    def backward(ctx, share):  # type: ignore[no-untyped-def]
        if ctx.expected is None:
            return None, None, None, None, None
        start, transition, end, scores, offsets = ctx.saved_tensors
        if not bool((share == share[0]).all()):  # sums over sequences do not do
            given = [x.detach().requires_grad_() for x in (start, transition, end, scores)]
            with torch.enable_grad():
                log_z = _on_torch(given[0], given[1], given[2], given[3], offsets)
            return (*torch.autograd.grad(log_z, given, share), None)
        found, scale = ctx.expected, float(share[0])
        sums = (found.initial, found.transition, found.last.sum(0), found.weights)
        return (*(torch.from_numpy(scale * x).to(scores.dtype) for x in sums), None)


def _on_torch(
    start: Tensor, transition: Tensor, end: Tensor, scores: Tensor, offsets: Tensor
) -> Tensor:
    """The same by `kernels.chain_torch`."""
    top, high = (x.detach().amax().nan_to_num(neginf=0.0) for x in (start, transition))
    logs = scores.index_add(0, offsets[1:] - 1, end.expand(len(offsets) - 1, -1))
    log_z = chain_torch.log_partition(
        (start - top).exp(), (transition - high).exp(), logs, offsets=offsets
    )
    return log_z + top + high * (offsets.diff() - 1)
