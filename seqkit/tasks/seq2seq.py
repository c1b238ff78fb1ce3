"""Sequence to sequence: one core reads all of the input, a second one writes the output step by step."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from seqkit.nn.attention import last_pooling, mean_pooling
from seqkit.nn.cross_attention import CrossAttention, Memory
from seqkit.nn.initialisation import linear
from seqkit.nn.inputs import InputLayer
from seqkit.nn.layers import check_dropout
from seqkit.nn.recurrent import Recurrent, StackState
from seqkit.nn.stepping import Step, stepper

from .beam import Shared
from .seq2seq_outputs import Output


class Read(NamedTuple):
    """What an encoder has read: for attention, or as one vector (n, size); None where neither is used."""

    memory: Memory | None
    context: Tensor | None


class SequenceToSequence(nn.Module):
    r"""An encoder, a decoder that begins where the encoder ended, and attention between them.

        h = encoder(x),   s_0 = tanh(B [ends of h]),   s_u = decoder(y_{u-1}, s_{u-1})
        c_u = attention(s_u, h),   o_u = tanh(W [s_u, c_u]),   p(y_u | y_<u, x) = head(o_u)

    The attention stands behind the decoder's core, so that in training the core runs over all of the output in one
    call. With `feeding` the core reads o_{u-1} too, and so what was attended to before; it then runs step by step.
    Without attention, the core reads the ends of h, projected, at every step (Cho et al. 2014).

    The ends of h are its last step; where the encoder looks ahead, its first one too; where it sees a few steps only,
    the mean of all of them.

    Parameters
    ----------
    layer : makes features of the inputs. encoder : any core for ``layer.size`` inputs.
    attention : from ``decoder.size`` over ``encoder.size``, or None.
    decoder : a recurrent core with as many inputs as `decoder_inputs` says.
    output : what is written, from ``decoder.size`` numbers.
    dropout : share of the outputs of the encoder and of o set to zero in training.
    sampling : share of what the decoder reads in training that it drew itself, all draws from the laws of a first pass
        over the true output.
    feeding : as above (Luong et al. 2015, sec. 3.3).

    Raises TypeError for a decoder without a state of its own; ValueError for shares outside [0, 1).

    Source: Sutskever et al. (2014); Bahdanau et al. (2015); Luong et al. (2015); scheduled sampling of Bengio et al.
    (2015), in the parallel form of Duckworth et al. (2019).
    """

    def __init__(
        self,
        layer: InputLayer,
        encoder: nn.Module,
        attention: CrossAttention | None,
        decoder: nn.Module,
        output: Output,
        *,
        dropout: float = 0.0,
        sampling: float = 0.0,
        feeding: bool = False,
    ):
        super().__init__()
        if not isinstance(decoder, Recurrent):
            raise TypeError(
                f"a decoder begins in the state that its encoder gives it, and {type(decoder).__name__} has none"
            )
        check_dropout(dropout)
        check_dropout(sampling)
        self.layer, self.encoder, self.attention, self.decoder = layer, encoder, attention, decoder
        self.output, self.sampling, self.feeding = output, sampling, feeding
        self.dropout = nn.Dropout(dropout)
        size, width = int(encoder.size), decoder.size  # type: ignore[arg-type]
        self.both = not getattr(encoder, "causal", True)
        self.short = encoder.receptive_field != math.inf and not self.both
        ends = size * (2 if self.both or self.short else 1)
        self.bridge = linear(ends, sum(map(math.prod, self._state_shapes())), "tanh")
        if attention is None:
            self.context = linear(ends, width, "tanh")
        else:
            self.combine = linear(width + size, width, "tanh")

    def _state_shapes(self) -> list[tuple[int, ...]]:
        """Of the parts of the decoder's state that the encoder's end becomes, without the batch."""
        states = self.decoder.initial(1)
        pairs = zip(self.decoder.cells, states, strict=True)
        return [tuple(s.shape[1:]) for cell, state in pairs for s in state[: cell.states]]

    # -- reading ---------------------------------------------------------------------------------

    def encode(self, batch: dict[str, Any]) -> tuple[Read, Any]:
        """What the encoder read, and the first state of the decoder."""
        x, mask = self.layer(batch)
        h = self.encoder(x, mask)
        ends = self._ends(h, mask)
        state: Any = self._first(ends)
        if self.feeding:
            state = (state, ends.new_zeros(len(ends), self.decoder.size))
        if self.attention is None:
            return Read(None, torch.tanh(self.context(ends))), state
        return Read(self.attention.remember(self.dropout(h), mask), None), state

    def _ends(self, h: Tensor, mask: Tensor | None) -> Tensor:
        last = last_pooling(h, mask)
        if self.both:
            return torch.cat(
                [last, last_pooling(h.flip(1), None if mask is None else mask.flip(1))], -1
            )
        return torch.cat([last, mean_pooling(h, mask)], -1) if self.short else last

    def _first(self, ends: Tensor) -> StackState:
        """The decoder's own first state, and what the bridge adds."""
        shapes = self._state_shapes()
        parts = iter(torch.tanh(self.bridge(ends)).split([math.prod(s) for s in shapes], -1))
        sizes = iter(shapes)
        return tuple(
            (
                *(s + next(parts).unflatten(-1, next(sizes)) for s in state[: cell.states]),
                *state[cell.states :],
            )
            for cell, state in zip(self.decoder.cells, self.decoder.initial(len(ends)), strict=True)
        )

    # -- writing ---------------------------------------------------------------------------------

    def forward(self, batch: dict[str, Any]) -> tuple[Tensor, Tensor | None]:
        """Raw numbers of the laws of all steps, given the true output before them, and attention (n, U, T)."""
        seen, state = self.encode(batch)
        return self.written(self.output.before(batch["target"].values), seen, state)

    def written(self, read: Tensor, seen: Read, state: Any) -> tuple[Tensor, Tensor | None]:
        """Raw numbers of the laws of all steps that follow what is `read`, (n, U, ..), and attention (n, U, T)."""
        x = self._features(self.output.embed(read), seen.context)
        if not self.feeding:
            s, _ = self.decoder.scan(x, state)
            o, weights = self._look(s, seen.memory)
            return self.output.raw(self.dropout(o)), weights
        said, looked = [], []
        for x_u in x.unbind(1):
            o, one, state = self._fed(x_u, seen.memory, state, 1, self.decoder.step)
            said.append(o)
            looked.append(one)
        weights = None if looked[0] is None else torch.cat(looked, 1)  # type: ignore[arg-type]
        return self.output.raw(torch.cat(said, 1)), weights

    def step(
        self, read: Tensor, seen: Read, state: Any, through: Step | None = None
    ) -> tuple[Tensor, Tensor | None, Any]:
        """Raw numbers (rows, ..) after one more step is `read`, (rows, ..), attention (rows, T), and the state.

        There may be several rows for each entry of what was seen, side by side. `through` is
        `seqkit.nn.stepping.stepper` of the decoder, where many steps follow each other.
        """
        n = len(seen.memory.keys) if seen.memory is not None else len(seen.context)  # type: ignore[arg-type]
        width = len(read) // n
        context = None if seen.context is None else seen.context.repeat_interleave(width, 0)
        x = self._features(self.output.embed(read.unsqueeze(1)), context)[:, 0]
        through = through or self.decoder.step
        if self.feeding:
            o, weights, state = self._fed(x, seen.memory, state, width, through)
        else:
            s, state = through(x, state)
            o, weights = self._look(s.unflatten(0, (n, width)), seen.memory)
            o = self.dropout(o)
        raw = self.output.raw(o).flatten(0, 1)
        return raw, None if weights is None else weights.flatten(0, 1), state

    def _features(self, x: Tensor, context: Tensor | None) -> Tensor:
        if context is None:
            return x
        return torch.cat([x, context.unsqueeze(1).expand(-1, x.shape[1], -1)], -1)

    def _fed(
        self, x_u: Tensor, memory: Memory | None, state: Any, width: int, through: Step
    ) -> tuple[Tensor, Tensor | None, Any]:
        """One step of a core that reads what was said before."""
        inner, said = state
        s, inner = through(torch.cat([x_u, said], -1), inner)
        o, weights = self._look(s.unflatten(0, (-1, width)), memory)
        o = self.dropout(o)
        return o, weights, (inner, o.flatten(0, 1))

    def _look(self, s: Tensor, memory: Memory | None) -> tuple[Tensor, Tensor | None]:
        """What is said in states (n, U, width), and what was looked at, (n, U, T)."""
        if memory is None or self.attention is None:
            return s, None
        c, weights = self.attention(s, memory)
        return torch.tanh(self.combine(torch.cat([s, c], -1))), weights

    def searched(self, batch: dict[str, Any]) -> tuple[Step, dict[str, Any]]:
        """The step of a `beam_search` for the outputs of a batch, and the state before the first symbol."""
        seen, first = self.encode(batch)
        through = stepper(self.decoder)

        def step(tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
            memory, context = state["seen"].value
            known = Read(None if memory is None else Memory(*memory), context)
            raw, _, after = self.step(tokens, known, state["decoder"], through)
            return raw.double().log_softmax(-1), {"seen": state["seen"], "decoder": after}

        return step, {"seen": Shared(tuple(seen)), "decoder": first}

    # -- learning --------------------------------------------------------------------------------

    def loss(self, batch: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Sum of -log p over all steps of the outputs, their ends counted, and the number of steps."""
        target = batch["target"]
        seen, state = self.encode(batch)
        read = self.output.before(target.values)
        if self.training and self.sampling:
            with torch.no_grad():
                own = self.output.before(self.output.drawn(self.written(read, seen, state)[0]))
            replaced = torch.rand(read.shape[:2], device=read.device) < self.sampling
            read = torch.where(replaced if read.ndim == 2 else replaced.unsqueeze(-1), own, read)
        raw, _ = self.written(read, seen, state)
        return self.output.losses(raw, target).sum(), target.lengths.sum()


def decoder_inputs(output: int, width: int, *, attention: bool, feeding: bool) -> int:
    """Inputs of a decoder of `width` that reads `output` features of the step before."""
    return output + width * (feeding + (not attention))
