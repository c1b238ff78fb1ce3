"""One to many: a sequence is written step by step, from a condition, or from nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from seqkit.nn.normalisation import BatchNorm
from seqkit.nn.recurrent import Recurrent

from ._next_step import NumberSteps, SymbolSteps, reshaped
from ._windowed import carried
from .stateful import Chunks, Stateful

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Continued", "NumberSteps", "OneToMany", "SymbolSteps", "pieces", "reshaped"]

Conditioning = Literal["state", "input", "both"]


class OneToMany(nn.Module):
    r"""p(y | c) = prod over t of p(y_t | y_1 .. y_{t-1}, c): each step is fed the one before it, and the condition.

        s_0 = initial + A c,     h_t, s_t = core([e(y_{t-1}), B c], s_{t-1}),     p(y_t | ..) = law(h_t)

    Parameters
    ----------
    make_core : inputs to a causal core, as ``seqkit.nn.LSTM(64).build``; cores without a state of their own see what
        their receptive field holds.
    make_steps : features to `SymbolSteps` or `NumberSteps`: what is fed back, and the law.
    condition : length of the vector c; None without one. labels : c is the vector of one of that many labels.
    conditioning : whether c moves the first "state", is part of the "input" of every step, or "both"; None for both
        where the core is recurrent and "input" where it has no state that can be moved.
    scheduled : in training, the final share of steps that are fed what the network itself draws in place of the truth
        (scheduled sampling); it rises from 0 over the first `ramp` batches. 0 is teacher forcing.

    Raises TypeError for a core that looks ahead, or has no state to be moved; ValueError for a share outside [0, 1],
    and for scheduled sampling through batch normalisation.
    Source: Sutskever et al. (2014); Vinyals et al. (2015) for the condition; Bengio et al. (2015), scheduled sampling.

    >>> from seqkit.nn import LSTM
    >>> from seqkit.tasks import Ragged
    >>> steps = lambda features: SymbolSteps(4, features, ends=True)
    >>> task = OneToMany(lambda inputs: LSTM(8).build(inputs), steps)
    >>> words = Ragged.of([[1, 2, 4], [3, 4]])  # 4 is the end
    >>> total, count = task.loss({"values": words.take(torch.tensor([0, 1]))})
    >>> int(count)
    5
    """

    causal = True
    outputs = None
    seen: Tensor

    def __init__(
        self,
        make_core: Callable[[int], nn.Module],
        make_steps: Callable[[int], SymbolSteps | NumberSteps],
        *,
        condition: int | None = None,
        labels: int | None = None,
        conditioning: Conditioning | None = None,
        scheduled: float = 0.0,
        ramp: int = 1,
    ):
        super().__init__()
        if not 0 <= scheduled <= 1:
            raise ValueError(f"scheduled is a share of the steps, in [0, 1]; got {scheduled!r}")
        self.scheduled, self.ramp = scheduled, ramp
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))  # batches, for the ramp
        with torch.device("meta"):  # the core needs the inputs, the law the core's size
            inputs = make_steps(1).inputs
        width = condition or 0
        self.vectors = nn.Embedding(labels, width) if labels else None
        with torch.device("meta"):
            plain = make_core(inputs)
        where = conditioning or ("both" if isinstance(plain, Recurrent) else "input")
        self.fed = width if where in ("input", "both") else 0
        core: Any = carried(make_core(inputs + self.fed))
        self.core, self.size = core, int(core.size)
        if scheduled and any(isinstance(part, BatchNorm) for part in core.modules()):
            raise ValueError(
                'scheduled sampling goes step by step, and norm="batch" needs all steps at once; use norm="layer"'
            )
        self.steps = make_steps(self.size)
        self.moves: nn.Linear | None = None
        if width and where in ("state", "both"):
            self.moves = nn.Linear(width, sum(n * hidden for n, hidden in _layers(core)))

    # -- reading ---------------------------------------------------------------------------------

    def condition(self, batch: dict[str, Any]) -> Tensor | None:
        """The condition of the sequences of a batch as vectors (batch, condition)."""
        given: Tensor | None = batch.get("condition")
        return given if self.vectors is None or given is None else self.vectors(given)

    def initial(self, batch: int, condition: Tensor | None = None) -> tuple[Any, Any]:
        """The state before the first step: that of the core, and what is fed at every step."""
        state = self.core.initial(batch)
        if condition is None:
            return state, ()
        if self.moves is not None:
            state = _moved(self.core, state, self.moves(condition))
        return state, (condition,) if self.fed else ()

    def scan(self, previous: Tensor, state: Any, mask: Tensor | None = None) -> tuple[Tensor, Any]:
        """Features (batch, time, size) after each of the `previous` steps (batch, time, ...), and the state then."""
        x = self.steps.features(previous)
        inner, fed = state
        if fed:
            x = torch.cat([x, fed[0].unsqueeze(1).expand(-1, x.shape[1], -1)], -1)
        h, inner = self.core.scan(x, inner, mask)
        return h, (inner, fed)

    def step(self, previous: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Raw numbers of the law of what follows the `previous` step (batch, ...), and the state after it."""
        h, state = self.scan(previous.unsqueeze(1), state)
        return self.steps.read(h[:, 0]), state

    def before(self, values: Tensor) -> Tensor:
        """What is fed when `values` (batch, time, ...) are to come: the start, and all of them but the last."""
        start = self.steps.start(values).unsqueeze(1).to(values.dtype)
        return torch.cat([start, values[:, :-1]], 1)

    # -- learning --------------------------------------------------------------------------------

    def loss(self, batch: dict[str, Any]) -> tuple[Tensor, Any]:
        """Sum of -log p of all steps of a batch, and their number; the end is one of them where sequences end.

        ``batch["values"]`` are padded sequences of codes, the code of the end last, or of frames of numbers, a row of
        missing ones last; ``batch["condition"]`` vectors (batch, condition) or labels (batch,).
        """
        values, _, mask = batch["values"]
        state = self.initial(len(values), self.condition(batch))
        if self.training and self.scheduled:
            raw = self._scheduled(values, state)
        else:
            # padding comes last, where no recurrent core can see it
            seen = None if isinstance(self.core, Recurrent) else mask
            raw = self.steps.read(self.scan(self.before(values), state, seen)[0])
        return self.steps.losses(raw, values, mask)

    def _scheduled(self, values: Tensor, state: Any) -> Tensor:
        """Raw numbers of all steps, some of which were fed what the network drew."""
        share = self.scheduled * (self.seen / self.ramp).clamp(max=1.0)
        self.seen += 1
        truth, found = self.before(values), []
        fed = truth[:, 0]
        for t in range(values.shape[1]):
            raw, state = self.step(fed, state)
            found.append(raw)
            if t + 1 < values.shape[1]:
                with torch.no_grad():
                    drawn = self.steps.draw(raw.detach()).to(truth.dtype)
                over = self.steps.ended(drawn)  # a sequence that goes on is not fed its end
                own = (torch.rand(len(truth), device=truth.device) < share) & ~over
                fed = torch.where(own.view(-1, *[1] * (truth.ndim - 2)), drawn, truth[:, t + 1])
        return torch.stack(found, 1)

    # -- writing ---------------------------------------------------------------------------------

    @torch.no_grad()
    def read(self, state: Any, values: Tensor, lengths: Tensor) -> tuple[Any, Tensor]:
        """Where writing goes on after `values` (batch, time, ...), of `lengths` (batch,) steps, one or more: the state
        before the last of them is fed, and that step.
        """
        fed = torch.cat([self.before(values), values[:, -1:]], 1)  # the start, then all of them
        steps = torch.arange(values.shape[1], device=values.device)
        earlier = steps < lengths[:, None]
        _, state = self.scan(fed[:, :-1], state, None if bool(earlier.all()) else earlier)
        return state, fed[torch.arange(len(fed), device=fed.device), lengths]

    @torch.no_grad()
    def write(
        self,
        state: Any,
        fed: Tensor,
        length: int,
        choose: Callable[[Tensor], Tensor],
    ) -> tuple[Tensor, Tensor]:
        """`length` more steps of all sequences at once, (batch, length, ...), and how many of each are its own.

        Parameters
        ----------
        state, fed : as `read` gives them.
        choose : raw numbers of the law of the next step to that step, (batch, ...).
        """
        over = torch.zeros(len(fed), dtype=torch.bool, device=fed.device)
        counts = torch.zeros(len(fed), dtype=torch.int64, device=fed.device)
        written = []
        for _ in range(length):
            raw, state = self.step(fed, state)
            drawn = choose(raw)
            over |= self.steps.ended(drawn)
            if bool(over.all()):
                break
            counts += ~over
            written.append(drawn)
            # what is over goes on beside the others, fed with what it began with, and is not looked at
            fed = torch.where(over.view(-1, *[1] * (drawn.ndim - 1)), fed, drawn.to(fed.dtype))
        if not written:
            return fed.unsqueeze(1)[:, :0], counts
        return torch.stack(written, 1), counts


class Continued(Stateful):
    """A `OneToMany` that learns long sequences without end piece by piece: truncated back-propagation.

    Parameters
    ----------
    generator : the network, without a condition. lanes : ``chunks.lanes`` of the `Chunks` that `pieces` makes.

    Raises as `Stateful` does.

    >>> from seqkit.nn import LSTM
    >>> from seqkit.training import InOrder, fit
    >>> network = OneToMany(LSTM(8).build, lambda size: SymbolSteps(3, size, ends=False))
    >>> chunks = pieces(network, [torch.tensor([1, 2] * 50)], chunk=20, lanes=2)
    >>> task = Continued(network, chunks.lanes)
    >>> history = fit(task, chunks, batch_size=1, sampler=InOrder(len(chunks)), epochs=20, lr=0.05)
    >>> bool(history.loss[-1] < 0.1)
    True
    """

    def __init__(self, generator: OneToMany, lanes: int):
        from seqkit.nn.heads import Squared

        super().__init__(generator, Squared(), lanes=lanes)
        self.readout = nn.Identity()  # the generator has its own

    def _read(self, features: Tensor) -> Tensor:
        return self.core.steps.read(features)  # type: ignore[union-attr, operator]

    def _losses(
        self, raw: Tensor, targets: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor | int]:
        return self.core.steps.losses(raw, targets, mask)  # type: ignore[union-attr, operator]


def pieces(generator: OneToMany, sequences: list[Tensor], *, chunk: int, lanes: int = 1) -> Chunks:
    """`Chunks` of sequences (time,) or (time, channels) without end, each cut into `lanes` that are read side by side.

    Every lane is taken for a sequence of its own, before which there is nothing; those of a sequence differ by a step
    at most. Raises ValueError for a sequence of fewer steps than lanes.
    """
    shortest = min(map(len, sequences))
    if shortest < lanes:
        raise ValueError(
            f"{shortest} steps cannot be cut into {lanes} lanes; give more, or fewer lanes"
        )
    cut = [part for one in sequences for part in one.tensor_split(lanes)]
    fed = [generator.before(part.unsqueeze(0))[0] for part in cut]
    fed = [part.unsqueeze(-1) if part.ndim == 1 else part for part in fed]
    return Chunks(fed, cut, chunk=chunk)


def _layers(core: Any) -> list[tuple[int, int]]:
    """Tensors of the state of every layer, and their width; none for a core that has no state to be moved."""
    if not isinstance(core, Recurrent):
        raise TypeError(
            f"a condition cannot be the first state of {type(core).__name__}, which has none; use "
            'conditioning="input", or a recurrent core such as seqkit.nn.LSTM(64)'
        )
    return [(layer.cell.states, layer.cell.hidden) for layer in core.layers]


def _moved(core: Any, state: Any, shifts: Tensor) -> Any:
    """The first state of a recurrent core plus `shifts` (batch, all widths)."""
    parts, start = [], 0
    for (count, width), layer in zip(_layers(core), state, strict=True):
        shifted = []
        for tensor in layer[:count]:  # what follows is no state but a draw of recurrent dropout
            shift = shifts[:, start : start + width]
            shifted.append(tensor + (shift if tensor.ndim == 2 else shift.unsqueeze(1)))
            start += width
        parts.append((*shifted, *layer[count:]))
    return tuple(parts)
