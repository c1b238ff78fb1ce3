"""Truncated back-propagation through time: a long series read piece by piece, the state carried along."""

from __future__ import annotations

from numbers import Integral
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from seqkit.nn.recurrent import map_state

from .one_to_one import OneToOne

if TYPE_CHECKING:
    from seqkit.nn.heads import Head


class Chunk(NamedTuple):
    """One piece of every lane, and the rows before it that gradients go back to."""

    number: Tensor  # (), its place in the series
    fresh: Tensor  # (), whether the rows begin where the series does
    inputs: Tensor  # (lanes, before + rows, inputs)
    seen: Tensor | None  # (lanes, before + rows), False where there is no step
    targets: Tensor  # (lanes, rows) or (lanes, rows, targets)
    mask: Tensor | None  # (lanes, rows), False where there is no step
    stretch: int  # rows after which the gradient is cut


class Chunks:
    r"""Long series as pieces that follow each other, for `Stateful`.

    Piece k is rows k c .. k c + c - 1 of every lane. The gradient of its losses goes back g steps at most: with
    g <= c the piece is cut into stretches of g, between which the state goes on and the gradient does not; with
    g > c the g - c rows before the piece are read again, from the state that stood there. An update of the weights
    after every piece is BPTT(g; c) of Williams, Peng (1990); g = c is the usual form, and the fastest. With
    g >= c len(chunks) nothing is truncated. On a GPU, g > c waits for the device once a piece.

    The pieces must be read in order: train with ``batch_size=1, sampler=training.InOrder(len(chunks))``.
    With a larger ``batch_size`` an update takes several pieces together. Under several processes each would read the
    same pieces; use one.

    Parameters
    ----------
    inputs : one series (time, inputs), or several, an array (series, time, inputs) or a list of arrays of any lengths.
    targets : (time,) or (time, targets) of each, likewise; NaN where missing.
    mask : (time,) of each, False where a step is padding; None where there is none.
    chunk : c, rows of a piece.
    gradient : g, steps that the gradient goes back; None for `chunk`.
    lanes : stretches that each series is cut into, which are read side by side, each from the first state on. More
        lanes make better use of the processor, and forget more of what came before a stretch.
    dtype : of what is no whole number.

    Attributes
    ----------
    lanes : sequences read side by side: series times stretches.

    Raises ValueError for inputs and targets that do not fit together, and numbers out of range.
    Source: Williams, Peng (1990), Neural Computation 2.

    >>> y = np.sin(np.arange(100.0))
    >>> chunks = Chunks(y[:-1, None], y[1:], chunk=25)
    >>> len(chunks), chunks.lanes
    (4, 1)
    >>> (piece,) = chunks.batch(torch.tensor([3]))
    >>> piece.inputs.shape, piece.mask.sum().item()  # 99 rows: the last piece has one less
    (torch.Size([1, 25, 1]), 24)
    """

    def __init__(
        self,
        inputs: Any,
        targets: Any,
        mask: Any = None,
        *,
        chunk: int,
        gradient: int | None = None,
        lanes: int = 1,
        dtype: torch.dtype = torch.float32,
    ):
        gradient = chunk if gradient is None else gradient
        for name, value in (("chunk", chunk), ("gradient", gradient), ("lanes", lanes)):
            _check_whole(name, value)
        self.chunk, self.stretch, self.before = (
            chunk,
            min(gradient, chunk),
            max(gradient - chunk, 0),
        )
        many = isinstance(inputs, (list, tuple)) or np.ndim(inputs) == 3
        series, aims = _series(inputs, many, "inputs"), _series(targets, many, "targets")
        there = None if mask is None else _series(mask, many, "mask")
        _check_lengths(series, aims, there)
        longest = max(-(-len(x) // lanes) for x in series)
        self._count = -(-longest // chunk)
        self.lanes = len(series) * lanes
        laid = (lanes, self._count * chunk, self.before, dtype)
        self.inputs, self.targets = _laid_out(series, *laid), _laid_out(aims, *laid)
        # whether steps are missing elsewhere than at the ends, where no later step could see them
        self._holes = there is not None
        if there is None:
            there = [torch.ones(len(x), dtype=torch.bool) for x in series]
        exists = _laid_out([one.bool() for one in there], *laid)
        self.mask = None if bool(exists.all()) else exists

    def __len__(self) -> int:
        return self._count

    def to(self, device: torch.device | str) -> Chunks:
        """The same with its rows on `device`."""
        moved = object.__new__(Chunks)
        vars(moved).update(
            {k: v.to(device) if isinstance(v, Tensor) else v for k, v in vars(self).items()}
        )
        return moved

    def batch(self, index: Tensor) -> list[Chunk]:
        """The pieces of these numbers, one after the other."""
        return [self._piece(number) for number in index.unbind()]

    def _piece(self, number: Tensor) -> Chunk:
        start = (
            number * self.chunk
        )  # of the rows before the piece, among which `before` are put before the series
        whole = self.chunk + self.before
        inputs = _cut(self.inputs, start, whole)
        mask = None if self.mask is None else _cut(self.mask, start, whole)
        begins = self.before > 0 and (number.is_cuda or bool(start < self.before))
        return Chunk(
            number,
            start <= self.before,
            inputs,
            mask if self._holes or begins else None,
            _cut(self.targets, start + self.before, self.chunk),
            None if mask is None else mask[:, self.before :],
            self.stretch,
        )


class Stateful(OneToOne):
    r"""p(y_t | x_1 .. x_t) = head(W h_t + b) at every step of long series, learnt by truncated BPTT.

    Every call of `loss` goes on from the state in which the one before ended, and from the initial state where a series
    begins; nothing but that state is kept, so memory does not depend on the length of the series. Validation has
    a state of its own. Parameters and methods are those of `OneToOne`; `predict` reads from the first step.

    Parameters
    ----------
    core : a recurrent core, as `seqkit.nn.LSTM(64).build(inputs)`.
    head, targets, generator : see `OneToOne`.
    lanes : ``chunks.lanes`` of the `Chunks` to train on.

    Raises TypeError for a core that cannot go on from a state.

    >>> from seqkit import nn, training
    >>> y = np.sin(np.arange(300) / 3).astype("float32")
    >>> chunks = Chunks(y[:-1, None], y[1:], chunk=30)
    >>> task = Stateful(nn.GRU(8).build(1), nn.Squared(), lanes=chunks.lanes)
    >>> order = training.InOrder(len(chunks))
    >>> history = training.fit(task, chunks, batch_size=1, sampler=order, epochs=8, lr=0.01, clip=1.0)
    >>> bool(history.loss[-1] < 0.5 * history.loss[0])
    True
    """

    position: Tensor

    def __init__(
        self,
        core: nn.Module,
        head: Head | Any,
        *,
        lanes: int = 1,
        targets: int | None = None,
        generator: torch.Generator | None = None,
    ):
        _check_whole("lanes", lanes)
        if not hasattr(core, "scan"):
            why = (
                "reads the end of a series first"
                if not getattr(core, "causal", True)
                else "has no scan()"
            )
            raise TypeError(
                "truncated back-propagation carries a state forwards in time, and "
                f"{type(core).__name__} {why}; use a recurrent core such as seqkit.nn.LSTM(64).build(inputs)"
            )
        super().__init__(core, head, targets=targets, generator=generator)
        self.lanes = lanes
        with torch.no_grad(), torch.random.fork_rng(devices=[]):  # recurrent dropout draws
            leaves: list[Tensor] = []
            self._structure = _numbered(core.initial(lanes), leaves)  # type: ignore[operator]
        for i, leaf in enumerate(leaves):  # a buffer, so that an interrupted run goes on exactly
            self.register_buffer(f"state_{i}", leaf.clone())
        self._leaves = len(leaves)
        self.register_buffer("position", torch.zeros((), dtype=torch.int64))
        self._watched: Any = None  # the state of validation

    def loss(self, batch: list[Chunk]) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """Sum of the losses of the observed targets of these pieces, and their number."""
        totals, counts = [], []
        for piece in batch:
            raw = self._read(self._features(piece))
            total, count = self._losses(raw, piece.targets, piece.mask)
            totals.append(total)
            counts.append(torch.as_tensor(count, device=total.device))
        return torch.stack(totals).sum(), torch.stack(counts).sum()

    def _features(self, piece: Chunk) -> Tensor:
        """The core's outputs for the rows of a piece; the state is carried on."""
        state, x, seen = self._state(piece), piece.inputs, piece.seen
        rows = piece.targets.shape[1]
        before = x.shape[1] - rows
        if before:  # the next piece starts to read `rows` rows later
            cuts = [(0, rows), (rows, rows + before)]
        else:
            cuts = [(i, min(i + piece.stretch, rows)) for i in range(0, rows, piece.stretch)]
        parts, carried = [], state
        for start, end in cuts:
            there = None if seen is None else seen[:, start:end]
            y, state = self.core.scan(x[:, start:end], state, there)  # type: ignore[operator]
            parts.append(y)
            if not before or start == 0:
                carried = map_state(torch.detach, state)
            state = state if before else carried
        self._carry(piece, carried)
        return parts[0] if len(parts) == 1 else torch.cat(parts, 1)[:, before:]

    def _state(self, piece: Chunk) -> Any:
        """Where the rows of a piece begin: at the first state, or where the piece before left off."""
        if len(piece.inputs) != self.lanes:
            raise ValueError(
                f"the chunks have {len(piece.inputs)} lanes, the task was made for {self.lanes}: "
                "pass lanes=chunks.lanes"
            )
        first = self.core.initial(self.lanes)  # type: ignore[operator]
        if self.training:
            self._check_order(piece)
            carried = _filled(self._structure, self._buffers_of_state(clone=True))
        else:
            carried = first if self._watched is None else self._watched
        if not piece.fresh.is_cuda:
            return first if piece.fresh else carried
        ours, theirs = [], []  # type: list[Tensor], list[Tensor]
        structure, _ = _numbered(first, ours), _numbered(carried, theirs)
        chosen = [torch.where(piece.fresh, a, b) for a, b in zip(ours, theirs, strict=True)]
        return _filled(structure, chosen)

    def _carry(self, piece: Chunk, state: Any) -> None:
        if not self.training:
            self._watched = state
            return
        leaves: list[Tensor] = []
        _numbered(state, leaves)
        for buffer, leaf in zip(self._buffers_of_state(), leaves, strict=True):
            buffer.copy_(leaf)
        self.position.copy_(piece.number + 1)

    def _check_order(self, piece: Chunk) -> None:
        if piece.number.is_cuda:  # looking would wait for the device
            return
        if piece.number and piece.number != self.position:
            raise ValueError(
                f"piece {int(piece.number)} came where piece {int(self.position)} was due; a state can be "
                "carried only in order: pass batch_size=1 and sampler=training.InOrder(len(chunks))"
            )

    def _buffers_of_state(self, clone: bool = False) -> list[Tensor]:
        found = [getattr(self, f"state_{i}") for i in range(self._leaves)]
        # what the gradient goes back through must not change under it
        return [buffer.clone() for buffer in found] if clone else found


def _numbered(state: Any, leaves: list[Tensor]) -> Any:
    """The form of a state, a number in place of every tensor; the tensors are put to `leaves`."""
    if isinstance(state, Tensor):
        leaves.append(state)
        return len(leaves) - 1
    return tuple(_numbered(part, leaves) for part in state)


def _filled(structure: Any, leaves: list[Tensor]) -> Any:
    if isinstance(structure, int):
        return leaves[structure]
    return tuple(_filled(part, leaves) for part in structure)


def _cut(rows: Tensor, start: Tensor, count: int) -> Tensor:
    """Rows start .. start + count - 1 of every lane; on a GPU without waiting for it."""
    if rows.is_cuda:
        return rows.index_select(1, start + torch.arange(count, device=rows.device))
    return rows.narrow(1, int(start), count)


def _series(given: Any, many: bool, name: str) -> list[Tensor]:
    """One or several series as a list of tensors (time, ...)."""
    parts = list(given) if many else [given]
    tensors = [
        one if isinstance(one, Tensor) else torch.as_tensor(np.asarray(one)) for one in parts
    ]
    least = 2 if name == "inputs" else 1
    for one in tensors:
        if one.ndim < least or not len(one):
            shape = "(time, inputs)" if least == 2 else "(time,)"
            raise ValueError(
                f"{name} has a series of shape {tuple(one.shape)}; pass {shape} with at least one row, or "
                "a list of such"
            )
    return tensors


def _check_lengths(inputs: list[Tensor], targets: list[Tensor], mask: list[Tensor] | None) -> None:
    for name, parts in (("targets", targets), ("mask", mask)):
        if parts is None:
            continue
        if len(parts) != len(inputs):
            raise ValueError(
                f"{name} has {len(parts)} series, inputs {len(inputs)}; these must be equal"
            )
        for i, (x, y) in enumerate(zip(inputs, parts, strict=True)):
            if len(x) != len(y):
                raise ValueError(
                    f"series {i} has {len(x)} rows of inputs and {len(y)} of {name}; make them equal"
                )


def _laid_out(
    parts: list[Tensor], lanes: int, rows: int, before: int, dtype: torch.dtype
) -> Tensor:
    """Each series cut into `lanes` stretches, below each other, (lanes, before + rows, ...), zeros around them."""
    kind = dtype if parts[0].is_floating_point() else parts[0].dtype
    whole = torch.zeros(len(parts) * lanes, before + rows, *parts[0].shape[1:], dtype=kind)
    for i, part in enumerate(parts):
        for k, stretch in enumerate(part.split(-(-len(part) // lanes))):
            whole[i * lanes + k, before : before + len(stretch)] = stretch.to(kind)
    return whole


def _check_whole(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise ValueError(f"{name} is {value!r}; it must be a whole number, 1 or more")
