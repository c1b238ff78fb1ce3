r"""Recursions over the steps of finite chains, on prepared torch tensors, in logarithms.

    alpha_t(j) = sum_i alpha_{t-1}(i) transition_t(i, j) weight_t(j),
    beta_t(i) = sum_j transition_{t+1}(i, j) weight_{t+1}(j) beta_{t+1}(j)

Step by step, all sequences that are still running side by side; or all steps at once: a span of
steps is the K x K matrix of the sums over its paths, products of matrices are associative, so a
prefix scan needs O(log T) batched products (Sarkka & Garcia-Fernandez 2021; Hassan, Sarkka &
Garcia-Fernandez 2021, "Temporal parallelization of inference in hidden Markov models", IEEE TSP
69). The matrix of a first step ignores what is before it: sequences lie end to end in one scan.

Everything is a logarithm, exact also where probabilities leave the range of a number, and the
largest element of each step is moved to 0, so that digits do not go to a growing exponent. With
`best` a sum is a maximum. Gradients are finite wherever a state, or all states, are impossible.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from seqkit.kernels.kalman_scan import associative_scan

__all__ = [
    "Sides", "Steps", "backward", "best", "forward", "in_chunks", "log_matmul", "log_sum_exp",
    "max_matmul", "safe_log", "traced",
]  # fmt: skip

NEVER = -float("inf")
CHUNK = 1 << 22  # elements of a temporary that is made in pieces
Sum = Callable[[Tensor, int], Tensor]


@dataclass(frozen=True)
class Steps:
    """Chains whose steps lie end to end: what each step says, in logarithms."""

    initial: Tensor  # (K,)
    transition: Tensor  # (K, K) or (T, K, K)
    potentials: Tensor  # (T, K)
    offsets: Tensor  # (n + 1,) on the device; sequence s has steps offsets[s] .. offsets[s + 1] - 1

    @property
    def first(self) -> Tensor:
        return self.offsets[:-1]

    @property
    def last(self) -> Tensor:
        return self.offsets[1:] - 1

    @cached_property
    def sequence(self) -> Tensor:
        """The sequence of each step, (T,)."""
        lengths = self.offsets.diff()
        return torch.arange(len(lengths), device=lengths.device).repeat_interleave(lengths)

    @cached_property
    def is_first(self) -> Tensor:
        """Which steps begin a sequence, (T,)."""
        mask = torch.zeros(len(self.potentials), dtype=torch.bool, device=self.offsets.device)
        return mask.index_fill(0, self.first, True)

    @cached_property
    def is_last(self) -> Tensor:
        return self.is_first.roll(-1)

    @cached_property
    def ranks(self) -> Tensor:
        """Sequences, the longest first, (n,)."""
        return torch.argsort(self.offsets.diff(), descending=True, stable=True)

    @cached_property
    def running(self) -> list[int]:
        """How many sequences have a first step, a second, ..."""
        lengths = self.offsets.diff().cpu()
        ends = torch.bincount(lengths, minlength=int(lengths.max()) + 1)
        return (len(lengths) - ends.cumsum(0))[:-1].tolist()

    @cached_property
    def by_time(self) -> Tensor:
        """Steps in the order of the loop: all first ones, the longest sequence's first, ..."""
        ranks = torch.empty_like(self.ranks)
        ranks[self.ranks] = torch.arange(len(ranks), device=ranks.device)
        steps = torch.arange(len(self.potentials), device=ranks.device)
        time = steps - self.first[self.sequence]
        return torch.argsort(time * len(ranks) + ranks[self.sequence])

    def packed(self, x: Tensor) -> tuple[Tensor, ...]:
        """The steps of x (T, ...) by time: element t holds the sequences that are running."""
        return x[self.by_time].split(self.running)

    def unpacked(self, parts: list[Tensor]) -> Tensor:
        """The inverse of `packed`."""
        order = torch.empty_like(self.by_time)
        order[self.by_time] = torch.arange(len(order), device=order.device)
        return torch.cat(parts)[order]

    def moves(self) -> tuple[Tensor, ...]:
        """Transitions into each step of the loop: (K, K) or (running, K, K)."""
        if self.transition.ndim == 3:
            return self.packed(self.transition)
        return (self.transition,) * len(self.running)

    def within(self, x: Tensor) -> Tensor:
        """Sums of x (T,) over the steps of each sequence, (n,)."""
        return x.new_zeros(len(self.first)).index_add(0, self.sequence, x)


def safe_log(x: Tensor, floor: float = 0.0) -> Tensor:
    """log x, -inf with a gradient of zero where x is not above the floor."""
    there = x > floor
    return torch.where(there, x, 1.0).log().masked_fill(~there, NEVER)


def log_sum_exp(x: Tensor, axis: int) -> Tensor:
    """log sum exp; with finite gradients also where all of x is -inf."""
    if not (x.requires_grad and torch.is_grad_enabled()):
        return torch.logsumexp(x, axis)
    top = _top(x, axis)
    return safe_log((x - top).exp().sum(axis)) + top.squeeze(axis)


def best(x: Tensor, axis: int) -> Tensor:
    """The maximum, in the place of `log_sum_exp`."""
    return x.amax(axis)


def _top(x: Tensor, axis: int | tuple[int, ...]) -> Tensor:
    """The largest element as a constant, 0 where all are -inf."""
    top = x.detach().amax(axis, keepdim=True)
    return top.masked_fill(top == NEVER, 0.0)


def log_matmul(a: Tensor, b: Tensor) -> Tensor:
    """log(exp(a) exp(b)) of matrices (..., K, K), exact for all exponents.

    A product of scaled matrices; those with an element that lost digits to underflow are redone.
    """
    left, right = _top(a, -1), _top(b, -2)
    product = (a - left).exp() @ (b - right).exp()
    floor = torch.finfo(a.dtype).tiny / torch.finfo(a.dtype).eps
    out = safe_log(product, floor) + left + right
    small = product.detach() <= floor
    if not bool(small.any()):
        return out
    reached = (a > NEVER).to(a.dtype) @ (b > NEVER).to(a.dtype) > 0
    lost = (small & reached).flatten(-2).any(-1)
    if not bool(lost.any()):
        return out
    return out.index_put((lost,), _in_pieces(a[lost], b[lost], log_sum_exp))


def max_matmul(a: Tensor, b: Tensor) -> Tensor:
    """max_k a_ik + b_kj of matrices (..., K, K)."""
    out = a[..., :, :1] + b[..., :1, :]
    for k in range(1, a.shape[-1]):
        out = torch.maximum(out, a[..., :, k : k + 1] + b[..., k : k + 1, :])
    return out


def _in_pieces(a: Tensor, b: Tensor, total: Sum) -> Tensor:
    """`total` over k of a_ik + b_kj, (N, K, K), with a bounded temporary."""
    size = max(1, CHUNK // a.shape[-1] ** 3)
    pairs = zip(a.split(size), b.split(size), strict=True)
    return torch.cat([total(x[..., :, :, None] + y[..., None, :, :], -2) for x, y in pairs])


def forward(steps: Steps, scan: bool = False, total: Sum = log_sum_exp) -> tuple[Tensor, Tensor]:
    """log alpha (T, K), the largest of each step moved to 0, and log Z (n,)."""
    alpha, shift = (_forward_scan if scan else _forward_loop)(steps, total)
    moved = shift[steps.last] if scan else steps.within(shift)
    return alpha, moved + total(alpha[steps.last], -1)


def _forward_loop(steps: Steps, total: Sum) -> tuple[Tensor, Tensor]:
    """log alpha, and by how much each step was moved."""
    moves, potentials = steps.moves(), steps.packed(steps.potentials)
    alphas: list[Tensor] = []
    shifts = []
    for t, potential in enumerate(potentials):
        before = steps.initial
        if t:
            before = total(alphas[-1][: len(potential), :, None] + moves[t], 1)
        alpha = before + potential
        shift = _top(alpha, 1)
        alphas.append(alpha - shift)
        shifts.append(shift[:, 0])
    return steps.unpacked(alphas), steps.unpacked(shifts)


def backward(steps: Steps, scan: bool = False) -> Tensor:
    """log beta (T, K), the largest of each step moved to 0."""
    return _backward_scan(steps) if scan else _backward_loop(steps)


def _backward_loop(steps: Steps) -> Tensor:
    moves, potentials = steps.moves(), steps.packed(steps.potentials)
    betas = [torch.zeros_like(potentials[-1])]
    for t in range(len(potentials) - 1, 0, -1):
        beta = log_sum_exp(moves[t] + (potentials[t] + betas[-1])[:, None, :], 2)
        ended = beta.new_zeros(steps.running[t - 1] - len(beta), beta.shape[1])
        betas.append(torch.cat([beta - _top(beta, 1), ended]))
    return steps.unpacked(betas[::-1])


class Sides(NamedTuple):
    """Both recursions, each up to a factor of every step."""

    steps: Steps
    log_z: Tensor  # (n,)
    alpha: Tensor  # (T, K) log
    beta: Tensor  # (T, K) log

    @classmethod
    def of(cls, steps: Steps, scan: bool) -> Sides:
        alpha, log_z = forward(steps, scan)
        return cls(steps, log_z, alpha, backward(steps, scan))

    @property
    def before(self) -> Tensor:
        """log alpha of the step before, (T, K)."""
        return self.alpha.roll(1, 0)

    @property
    def after(self) -> Tensor:
        """log of what a state says of its step and all later ones, (T, K)."""
        return self.steps.potentials + self.beta

    @property
    def states(self) -> Tensor:
        return (self.alpha + self.beta).softmax(1)

    def moves(self, share: Tensor, weighted: bool) -> Tensor:
        """Sums of posterior moves times share (n,): (K, K), or (T, K, K) if transitions vary.

        weighted: the probabilities themselves; else divided by the transition's weight, which is
        the derivative of log Z, and there also where that weight is zero.
        """
        steps, before, after = self.steps, self.before, self.after
        share = share[steps.sequence].masked_fill(steps.is_first, 0.0)
        varying = steps.transition.ndim == 3

        def moved(at: slice) -> Tensor:
            log_transition = steps.transition[at] if varying else steps.transition
            # A first step has no step before: any finite numbers, as its share is zero
            here = before[at].masked_fill(steps.is_first[at, None], 0.0)
            pairs = here[:, :, None] + after[at, None, :]
            whole = pairs + log_transition
            norm = log_sum_exp(whole.flatten(1), 1)
            norm = norm.masked_fill(steps.is_first[at], 0.0)[:, None, None]
            each = ((whole if weighted else pairs) - norm).exp()
            each = each.masked_fill(steps.is_first[at, None, None], 0.0)
            each = each * share[at, None, None]
            return each if varying else each.sum(0, keepdim=True)

        found = in_chunks(moved, before)
        return found if varying else found.sum(0)


def in_chunks(
    make: Callable[[slice], Tensor], like: Tensor, each: int = 1, axis: int = 0
) -> Tensor:
    """make(slice of steps) of all steps along an axis; its temporaries, each K x K, are bounded."""
    length, size = like.shape
    chunk = max(1, CHUNK // (size * size * each))
    return torch.cat([make(slice(i, i + chunk)) for i in range(0, length, chunk)], axis)


# All steps at once. An element is a matrix (1, T, K, K) with largest element 0, the number that was
# taken off it, and whether it forgets what was before.

Spans = tuple[Tensor, ...]


def _element(matrix: Tensor, forgets: Tensor) -> Spans:
    top = _top(matrix, (-2, -1))
    return (matrix - top)[None], top[None, :, 0, 0], forgets[None]


def _composer(matmul: Callable[[Tensor, Tensor], Tensor], reverse: bool) -> Callable:
    """The element of two spans in the order of the scan, which `reverse` runs back in time."""

    def compose(done: Spans, new: Spans) -> Spans:
        (a, shift_a, forgets_a), (b, shift_b, forgets_b) = done, new
        product = matmul(b, a) if reverse else matmul(a, b)
        top = _top(product, (-2, -1))
        shift = shift_a + shift_b + top[..., 0, 0]
        return (
            torch.where(forgets_b[..., None, None], b, product - top),
            torch.where(forgets_b, shift_b, shift),
            forgets_a | forgets_b,
        )

    return compose


def _matrices(steps: Steps) -> Tensor:
    """log of transition_t(i, j) weight_t(j), (T, K, K); rows of a first step hold the start."""
    start = steps.initial.expand(len(steps.initial), -1)
    moves = torch.where(steps.is_first[:, None, None], start, steps.transition)
    return moves + steps.potentials[:, None, :]


def _forward_scan(steps: Steps, total: Sum) -> tuple[Tensor, Tensor]:
    """log alpha, and by how much it was moved in all."""
    matmul = max_matmul if total is best else log_matmul
    spans = associative_scan(
        _composer(matmul, reverse=False), _element(_matrices(steps), steps.is_first)
    )
    alpha = spans[0][0, :, 0]  # the rows of a span from a first step on are equal
    top = _top(alpha, 1)
    return alpha - top, spans[1][0] + top[:, 0]


def _backward_scan(steps: Steps) -> Tensor:
    following = _matrices(steps).roll(-1, 0)
    following = following.masked_fill(steps.is_last[:, None, None], 0.0)
    spans = associative_scan(
        _composer(log_matmul, reverse=True), _element(following.flip(0), steps.is_last.flip(0))
    )
    beta = spans[0][0, :, :, 0].flip(0)
    return beta - _top(beta, 1)


def traced(back: Tensor, end: Tensor, steps: Steps, scan: bool) -> Tensor:
    """States (..., T) from `end` (..., n) at the last steps, by s_{t-1} = back[..., t, s_t]."""
    if scan:
        return _traced_scan(back, end, steps)
    order, sizes = steps.by_time, steps.running
    out = torch.empty(back.shape[:-1], dtype=torch.int64, device=back.device)
    last = end[..., steps.ranks]
    at = list(order.split(sizes))
    state = last[..., : sizes[-1]]
    for t in range(len(sizes) - 1, 0, -1):
        out[..., at[t]] = state
        state = back[..., at[t], :].gather(-1, state[..., None])[..., 0]
        state = torch.cat([state, last[..., sizes[t] : sizes[t - 1]]], -1)
    out[..., at[0]] = state
    return out


def _traced_scan(back: Tensor, end: Tensor, steps: Steps) -> Tensor:
    """The same: maps of states compose associatively, and a last step's is constant."""
    size = back.shape[-1]
    maps = back.roll(-1, -2)
    maps = maps.masked_fill(steps.is_last[:, None], 0)
    ends = torch.zeros_like(maps).index_copy(
        -2, steps.last, end[..., None].expand(*end.shape, size)
    )
    maps = (maps + ends).flip(-2).reshape(-1, back.shape[-2], size)

    def compose(late: Spans, early: Spans) -> Spans:
        return (early[0].gather(-1, late[0]),)

    found = associative_scan(compose, (maps,))[0][..., 0].flip(-1)
    return found.reshape(back.shape[:-1])
