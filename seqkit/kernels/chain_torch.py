r"""Finite chains on torch tensors: batched over ragged sequences, differentiable, on any device.

    weight(s) = initial[s_0] prod_t transition_t[s_{t-1}, s_t] prod_t exp(log_potentials[t, s_t])

The functions are those of the compiled kernels (`kernels.chain`), with the same arguments as
tensors: initial (K,), transition (K, K) or (T, K, K), log_potentials (R, K), -inf to forbid a
state; `rows` (T,) says which row of log_potentials a step reads; `offsets` (n + 1,) where sequences
begin that lie end to end. With `scan=True` all steps are done at once, in O(log T) batched products
of K x K matrices: for long sequences on wide hardware. Without it a loop over time moves all
sequences by one step, which is best for many sequences of similar length.

Gradients flow to all three tensors. Those of `log_partition` are written down (posterior
probabilities, no graph over time is kept), and right also for transitions of weight zero.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from seqkit.kernels import chain_scan as recursion
from seqkit.kernels.chain_scan import Steps, in_chunks, safe_log

__all__ = [
    "Expected", "Filtered", "Marginals", "Path",
    "expected", "filter", "k_best", "log_partition", "marginals", "pair_marginals", "sample",
    "viterbi",
]  # fmt: skip


class Filtered(NamedTuple):
    """What `filter` gives."""

    log_partition: Tensor  # (n,)
    probabilities: Tensor  # (T, K) P(s_t | steps 0 .. t)


class Marginals(NamedTuple):
    """What `marginals` gives."""

    log_partition: Tensor  # (n,)
    probabilities: Tensor  # (T, K) P(s_t | all steps)


class Expected(NamedTuple):
    """What `expected` gives: sums of posterior probabilities."""

    log_partition: Tensor  # (n,)
    initial: Tensor  # (K,) of first states
    transition: Tensor  # (K, K) of moves
    weights: Tensor  # (R, K) of the states of the steps that read each row
    last: Tensor  # (n, K) of last states, sequence by sequence


class Path(NamedTuple):
    """What `viterbi` gives."""

    states: Tensor  # (T,) int64
    score: Tensor  # (n,) log weight of each sequence's path


def log_partition(
    initial: Tensor, transition: Tensor, log_potentials: Tensor, *,
    rows: Any = None, offsets: Any = None, scan: bool = False,
) -> Tensor:  # fmt: skip
    """log Z of each sequence, (n,): the log of the sum of the weights of all paths; -inf for none.

    Raises ValueError for wrong shapes, negative weights and NaN, as do the other functions.

    >>> half = torch.full((2,), 0.5, dtype=torch.float64)
    >>> log_partition(half, torch.eye(2, dtype=torch.float64), torch.tensor([[0., 1], [0, 1]]).double())
    tensor([1.4338], dtype=torch.float64)
    """
    problem = _Problem(initial, transition, log_potentials, rows, offsets)
    out: Tensor = _LogPartition.apply(initial, transition, log_potentials, problem, scan)
    return out


def filter(
    initial: Tensor, transition: Tensor, log_potentials: Tensor, *,
    rows: Any = None, offsets: Any = None, scan: bool = False,
) -> Filtered:  # fmt: skip
    """Probabilities of each step's state given the steps so far; NaN from where nothing is possible.

    >>> half = torch.full((2,), 0.5, dtype=torch.float64)
    >>> filter(half, torch.ones(2, 2).double(), torch.tensor([[0.0, 1.0]]).double()).probabilities
    tensor([[0.2689, 0.7311]], dtype=torch.float64)
    """
    steps = _Problem(initial, transition, log_potentials, rows, offsets).steps()
    alpha, log_z = recursion.forward(steps, scan)
    return Filtered(log_z, alpha.softmax(1))


def marginals(
    initial: Tensor, transition: Tensor, log_potentials: Tensor, *,
    rows: Any = None, offsets: Any = None, scan: bool = False,
) -> Marginals:  # fmt: skip
    """Probabilities of each step's state given all steps of its sequence; NaN where Z = 0.

    >>> start, stay = torch.tensor([1.0, 0.0]), torch.tensor([[0.5, 0.5], [0.0, 1.0]])
    >>> marginals(start, stay, torch.zeros(3, 2)).probabilities
    tensor([[1.0000, 0.0000],
            [0.5000, 0.5000],
            [0.2500, 0.7500]])
    """
    steps = _Problem(initial, transition, log_potentials, rows, offsets).steps()
    alpha, log_z = recursion.forward(steps, scan)
    return Marginals(log_z, (alpha + recursion.backward(steps, scan)).softmax(1))


def pair_marginals(
    initial: Tensor, transition: Tensor, log_potentials: Tensor, *,
    rows: Any = None, offsets: Any = None, scan: bool = False,
) -> Tensor:  # fmt: skip
    """P(s_{t-1} = i, s_t = j | all steps) as (T, K, K): zeros at first steps, NaN where Z = 0.

    >>> start, stay = torch.tensor([1.0, 0.0]), torch.tensor([[0.5, 0.5], [0.0, 1.0]])
    >>> pair_marginals(start, stay, torch.zeros(2, 2))[1]
    tensor([[0.5000, 0.5000],
            [0.0000, 0.0000]])
    """
    steps = _Problem(initial, transition, log_potentials, rows, offsets).steps()
    sides = recursion.Sides.of(steps, scan)
    size = len(initial)
    out = initial.new_zeros(len(steps.potentials), size, size)
    later = (~steps.is_first).nonzero()[:, 0]
    log_transition = steps.transition[later] if steps.transition.ndim == 3 else steps.transition
    pairs = sides.before[later, :, None] + log_transition + sides.after[later, None, :]
    return out.index_copy(0, later, pairs.flatten(1).softmax(1).unflatten(1, (size, size)))


def expected(
    initial: Tensor, transition: Tensor, log_potentials: Tensor, *,
    rows: Any = None, offsets: Any = None, scan: bool = False,
) -> Expected:  # fmt: skip
    """Expected numbers of starts, moves and visits, over all sequences: what EM needs.

    Memory is O(T K): pairs of states are summed as they are made. NaN where some Z = 0.

    >>> start, stay = torch.tensor([1.0, 0.0]), torch.tensor([[0.5, 0.5], [0.0, 1.0]])
    >>> expected(start, stay, torch.zeros(3, 2)).transition
    tensor([[0.7500, 0.7500],
            [0.0000, 0.5000]])
    """
    problem = _Problem(initial, transition, log_potentials, rows, offsets)
    steps = problem.steps()
    sides = recursion.Sides.of(steps, scan)
    moves = sides.moves(sides.log_z.new_ones(len(sides.log_z)), weighted=True)
    moves = moves.sum(0) if moves.ndim == 3 else moves
    states = sides.states
    first, last = states[steps.first].sum(0), states[steps.last]
    return Expected(sides.log_z, first, moves, problem.by_row(states), last)


def viterbi(
    initial: Tensor, transition: Tensor, log_potentials: Tensor, *,
    rows: Any = None, offsets: Any = None, scan: bool = False,
) -> Path:  # fmt: skip
    """The path of largest weight of each sequence, and the log of its weight.

    Raises ValueError for a sequence that no path can explain.

    >>> half, stay = torch.full((2,), 0.5), torch.tensor([[0.9, 0.1], [0.1, 0.9]])
    >>> viterbi(half, stay, torch.tensor([[0.0, 1.0], [0.5, 0.0], [0.0, 1.0]])).states
    tensor([1, 1, 1])
    """
    with torch.no_grad():
        steps = _Problem(initial, transition, log_potentials, rows, offsets).steps()
        delta, score = recursion.forward(steps, scan, recursion.best)
        _refuse_impossible(score)
        before = delta.roll(1, 0)
        varying = steps.transition.ndim == 3

        def best_before(at: slice) -> Tensor:
            moves = steps.transition[at] if varying else steps.transition
            return (before[at, :, None] + moves).argmax(1)

        back = in_chunks(best_before, before)
        end = delta[steps.last].argmax(1)
        return Path(recursion.traced(back, end, steps, scan), score)


def k_best(
    initial: Tensor, transition: Tensor, log_potentials: Tensor, k: int, *, rows: Any = None
) -> tuple[Tensor, Tensor]:
    """The k paths of largest weight of one sequence, best first: (k, T), and log weights (k,).

    Fewer rows where fewer paths are possible. Step by step: there is no scan.

    >>> half, stay = torch.full((2,), 0.5), torch.tensor([[0.75, 0.25], [0.25, 0.75]])
    >>> k_best(half, stay, torch.tensor([[0.0, 1.0], [0.0, 1.0]]), 2)[0]
    tensor([[1, 1],
            [0, 0]])
    """
    if k < 1:
        raise ValueError(f"expected k of at least 1 path, got {k}")
    with torch.no_grad():
        steps = _Problem(initial, transition, log_potentials, rows, None).steps()
        score = (steps.initial + steps.potentials[0])[:, None]  # (K, up to k)
        back = []
        for t in range(1, len(steps.potentials)):
            move = steps.transition[t] if steps.transition.ndim == 3 else steps.transition
            each = (score[:, :, None] + move[:, None, :]).flatten(0, 1)
            kept, source = each.topk(min(k, len(each)), 0)
            back.append((source // score.shape[1], source % score.shape[1]))
            score = kept.T + steps.potentials[t][:, None]
        scores, flat = score.flatten().topk(min(k, score.numel()))
        flat, scores = flat[scores > -torch.inf], scores[scores > -torch.inf]
        if not len(scores):
            raise ValueError("no path can explain sequence 0: all have weight zero")
        state, rank = flat // score.shape[1], flat % score.shape[1]
        states = [state]
        for source, place in reversed(back):
            state, rank = source[rank, state], place[rank, state]
            states.append(state)
        return torch.stack(states[::-1], 1), scores


def sample(
    initial: Tensor, transition: Tensor, log_potentials: Tensor, n: int,
    rng: torch.Generator | None = None, *, rows: Any = None, offsets: Any = None,
    scan: bool = False,
) -> Tensor:  # fmt: skip
    """Draw n paths of every sequence from the posterior, (n, T), by a generator of the device.

    Raises ValueError for a sequence that no path can explain.

    >>> start, turn = torch.tensor([1.0, 0.0]), torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    >>> sample(start, turn, torch.zeros(4, 2), 1, torch.Generator().manual_seed(0))
    tensor([[0, 1, 0, 1]])
    """
    if n < 1:
        raise ValueError(f"expected n of at least 1 path, got {n}")
    with torch.no_grad():
        steps = _Problem(initial, transition, log_potentials, rows, offsets).steps()
        alpha, log_z = recursion.forward(steps, scan)
        _refuse_impossible(log_z)
        shape = (n, len(alpha))
        u = torch.rand(shape, generator=rng, dtype=alpha.dtype, device=alpha.device)
        before = alpha.roll(1, 0)
        # For every state of a step: the state before it, if the path comes through it
        varying = steps.transition.ndim == 3

        def drawn(at: slice) -> Tensor:
            moves = steps.transition[at] if varying else steps.transition
            return _draw((before[at, :, None] + moves).mT, u[:, at, None])

        back = in_chunks(drawn, before, each=n, axis=1)
        end = _draw(alpha[steps.last], u[:, steps.first])
        return recursion.traced(back, end, steps, scan)


class _Problem:
    """Arguments that fit each other."""

    def __init__(
        self, initial: Tensor, transition: Tensor, log_potentials: Tensor, rows: Any, offsets: Any
    ) -> None:
        self.initial, self.transition, self.log_potentials = initial, transition, log_potentials
        device = log_potentials.device
        self.rows = None if rows is None else _integers("rows", rows, device)
        length = len(log_potentials) if self.rows is None else len(self.rows)
        ends = [0, length] if offsets is None else offsets
        self.offsets = _integers("offsets", ends, device)
        _check(self, length)

    def steps(self, *other: Tensor) -> Steps:
        """Logarithms, one row for every step; of `other` tensors in the place of the arguments."""
        initial, transition, potentials = other or (
            self.initial, self.transition, self.log_potentials,
        )  # fmt: skip
        potentials = potentials if self.rows is None else potentials[self.rows]
        return Steps(safe_log(initial), safe_log(transition), potentials, self.offsets)

    def by_row(self, x: Tensor) -> Tensor:
        """Sums of x (T, K) over the steps that read each row, (R, K)."""
        if self.rows is None:
            return x
        return torch.zeros_like(self.log_potentials).index_add(0, self.rows, x)


class _LogPartition(torch.autograd.Function):
    """log Z, whose derivatives are posterior probabilities: no graph over time is kept."""

    @staticmethod
    def forward(ctx, initial, transition, log_potentials, problem, scan):  # type: ignore[no-untyped-def]
        ctx.save_for_backward(initial, transition, log_potentials)
        ctx.problem, ctx.scan = problem, scan
        return recursion.forward(problem.steps(), scan)[1]

    @staticmethod
    def backward(ctx, share):  # type: ignore[no-untyped-def]
        steps = ctx.problem.steps(*ctx.saved_tensors)
        sides = recursion.Sides.of(steps, ctx.scan)
        first = sides.after[steps.first]
        norm = recursion.log_sum_exp(first + steps.initial, 1)[:, None]
        initial = ((first - norm).exp() * share[:, None]).sum(0)
        transition = sides.moves(share, weighted=False)
        potentials = ctx.problem.by_row(sides.states * share[steps.sequence, None])
        return initial, transition, potentials, None, None


def _draw(log_weights: Tensor, u: Tensor) -> Tensor:
    """States by inverse distribution functions: weights (..., K), u uniform on [0, 1)."""
    top = log_weights.amax(-1, keepdim=True)
    top = top.masked_fill(top == -torch.inf, 0.0)
    below = (log_weights - top).exp().cumsum(-1)
    total = below[..., -1:]
    # u times the total may round up to it: no state beyond the last possible one
    found = (below <= u[..., None] * total).sum(-1)
    return torch.minimum(found, (below < total).sum(-1))


def _refuse_impossible(score: Tensor) -> None:
    bad = (score == -torch.inf).nonzero()
    if len(bad):
        raise ValueError(
            f"no path can explain sequence {int(bad[0])}: all have weight zero; look for states "
            "that are forbidden (-inf) and transitions of zero that leave no way through"
        )


def _integers(name: str, x: Any, device: torch.device) -> Tensor:
    x = torch.as_tensor(x, device=device)
    if x.ndim != 1 or x.dtype.is_floating_point or x.dtype.is_complex:
        raise ValueError(
            f"expected {name} as integers in one dimension, got {x.dtype} of shape {tuple(x.shape)}"
        )
    return x.long()


def _check(given: _Problem, length: int) -> None:
    initial, transition, potentials = given.initial, given.transition, given.log_potentials
    if initial.ndim != 1 or not len(initial):
        raise ValueError(f"expected initial of shape (states,), got {tuple(initial.shape)}")
    size = len(initial)
    if potentials.ndim != 2 or potentials.shape[1] != size or not len(potentials):
        raise ValueError(
            f"expected log_potentials of shape (rows, {size}) with at least one row, as initial "
            f"has {tuple(initial.shape)}, got {tuple(potentials.shape)}"
        )
    if tuple(transition.shape) not in ((size, size), (length, size, size)):
        raise ValueError(
            f"expected transition of shape {(size, size)} or {(length, size, size)}, "
            f"got {tuple(transition.shape)}"
        )
    _check_places(given, length)
    for name, x in (("initial", initial), ("transition", transition)):
        if not bool((x >= 0).all()):
            raise ValueError(f"expected {name} of weights >= 0, got {x.min().item():g}")
    if bool((potentials.isnan() | (potentials == torch.inf)).any()):
        worst = "nan" if bool(potentials.isnan().any()) else "inf"
        raise ValueError(
            f"expected log_potentials that are finite, or -inf to forbid a state, got {worst}"
        )


def _check_places(given: _Problem, length: int) -> None:
    rows, offsets, count = given.rows, given.offsets, len(given.log_potentials)
    if rows is not None and len(rows) and not bool(((rows >= 0) & (rows < count)).all()):
        worst = int(rows.min() if rows.min() < 0 else rows.max())
        raise ValueError(f"expected rows from 0 to {count - 1}, got {worst}")
    fits = len(offsets) > 1 and offsets[0] == 0 and offsets[-1] == length
    if not fits or not bool((offsets.diff() > 0).all()):
        raise ValueError(
            f"expected offsets that rise from 0 to the {length} steps, got "
            f"{offsets[:8].tolist()}{' ...' if len(offsets) > 8 else ''}"
        )
