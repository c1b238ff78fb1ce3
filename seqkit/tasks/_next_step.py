"""What is fed back into a network that generates, and the law of what comes next: symbols, or numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from seqkit.nn.draws import uniform
from seqkit.nn.inputs import automatic, table
from seqkit.nn.layers import check_dropout

if TYPE_CHECKING:
    from seqkit.nn.heads import Head


class SymbolSteps(nn.Module):
    r"""Symbols 0 .. V - 1, fed back as vectors: p(y_t = k | h) = softmax(W h + b)_k, over V or V + 1 symbols.

    Code V is fed before the first symbol, and follows the last one where sequences end.

    Parameters
    ----------
    count : V; symbol 0 is the unknown one.
    features : length of h.
    ends : whether sequences end.
    known : the unknown symbol never comes: its probability is 0.
    embedding : length of the vector of a symbol; None chooses one that grows with V, 8 to 128.
    tied : the rows of W are the vectors of the symbols, W h = E (P h), with P where the lengths differ (Press, Wolf
        2017; Inan et al. 2017).
    dropout : share of the vectors' elements set to zero in training.

    Attributes
    ----------
    inputs : length of what is fed back. first : the code before the first symbol.

    Raises ValueError for a share outside [0, 1).

    >>> steps = SymbolSteps(5, 8, ends=True, embedding=4)
    >>> steps.features(torch.tensor([[5, 1]])).shape, steps.read(torch.zeros(1, 2, 8)).shape
    (torch.Size([1, 2, 4]), torch.Size([1, 2, 6]))
    """

    forbidden: Tensor

    def __init__(
        self,
        count: int,
        features: int,
        *,
        ends: bool,
        known: bool = True,
        embedding: int | None = None,
        tied: bool = False,
        dropout: float = 0.0,
    ):
        super().__init__()
        check_dropout(dropout)
        self.first, self.ends, self.laws = count, ends, count + ends
        self.end = count if ends else None
        self.inputs = embedding or automatic(count)
        self.table, self.dropout = table(count + 1, self.inputs), nn.Dropout(dropout)
        self.weight = None if tied else nn.Parameter(torch.empty(self.laws, features))
        self.project = (
            nn.Linear(features, self.inputs, bias=False)
            if tied and features != self.inputs
            else None
        )
        self.bias = nn.Parameter(torch.zeros(self.laws))
        if self.weight is not None:
            nn.init.normal_(self.weight, std=features**-0.5)
        forbidden = torch.zeros(self.laws)
        if known:
            forbidden[0] = -float("inf")
        self.register_buffer("forbidden", forbidden)

    def start(self, like: Tensor) -> Tensor:
        """What is fed before the first symbol of (batch, ...) sequences: (batch,)."""
        return torch.full((len(like),), self.first, device=like.device)

    def features(self, values: Tensor) -> Tensor:
        """Codes (batch, time) or (batch, time, 1) as vectors (batch, time, inputs)."""
        return self.dropout(self.table(values.squeeze(-1) if values.ndim == 3 else values))

    def read(self, h: Tensor) -> Tensor:
        """Logits (..., V or V + 1) of h (..., features)."""
        if self.weight is not None:
            return F.linear(h, self.weight, self.bias + self.forbidden)
        h = h if self.project is None else self.project(h)
        return F.linear(h, self.table.weight[: self.laws], self.bias + self.forbidden)

    def losses(self, raw: Tensor, values: Tensor, mask: Tensor | None) -> tuple[Tensor, Any]:
        """Sum of -log p of the symbols (batch, time), the end among them, and their number."""
        lost = F.cross_entropy(raw.flatten(0, 1), values.flatten(), reduction="none")
        if mask is None:
            return lost.sum(), lost.numel()
        return lost.masked_fill(~mask.flatten(), 0.0).sum(), mask.sum()

    def log_probs(self, raw: Tensor, values: Tensor, last: Tensor | None = None) -> Tensor:
        """log p of every symbol (batch, time), in float64; `last` says nothing here."""
        return raw.double().log_softmax(-1).gather(-1, values.unsqueeze(-1)).squeeze(-1)

    def draw(self, raw: Tensor, generator: Generator | None = None, **options: Any) -> Tensor:
        """One symbol (batch,) of logits (batch, V or V + 1); `options` are those of `reshaped`."""
        edges = reshaped(raw.double(), **options).exp().cumsum(-1)
        u = uniform(edges[..., :1], generator) * edges[..., -1:]  # type: ignore[arg-type]
        return (u >= edges).sum(-1).clamp_(max=self.laws - 1)

    def likeliest(self, raw: Tensor) -> Tensor:
        """The likeliest symbol (batch,)."""
        return raw.argmax(-1)

    def ended(self, drawn: Tensor) -> Tensor:
        """Which sequences are over with this symbol, (batch,)."""
        return drawn == self.first


class NumberSteps(nn.Module):
    r"""Frames of C numbers, fed back as they are: p(y_t | h) = prod over c of head(W h + b)_c (y_tc).

    Channels are independent given the past. A missing number is fed back as zero, with a feature that says so; a frame
    in which all are missing is what comes before the first one. Where sequences end, every frame is preceded by the
    question whether there is one, Bernoulli of a logit of its own.

    Parameters
    ----------
    channels : C.
    features : length of h.
    head : the law of one number.
    unit : (C,), typical sizes of the numbers: they are fed back in these units, and the laws scale with them.
    ends : whether sequences end.
    gaps : channels that may be missing.
    dropout : share of what is fed back set to zero in training.

    Attributes
    ----------
    inputs : length of what is fed back.

    Raises ValueError for a share outside [0, 1).
    """

    unit: Tensor
    spread: Tensor

    def __init__(
        self,
        channels: int,
        features: int,
        head: Head,
        unit: Any,
        *,
        ends: bool,
        gaps: Any = (),
        dropout: float = 0.0,
    ):
        super().__init__()
        check_dropout(dropout)
        self.head, self.channels, self.ends, self.end = head, channels, ends, None
        self.gaps = [int(g) for g in gaps]
        self.inputs = channels + len(self.gaps) + 1
        self.readout = nn.Linear(features, channels * head.size + ends)
        self.dropout = nn.Dropout(dropout)
        kind = torch.get_default_dtype()
        self.register_buffer("unit", torch.as_tensor(np.asarray(unit), dtype=kind))
        self.register_buffer("spread", torch.ones(channels))  # of heads that have one for all

    def start(self, like: Tensor) -> Tensor:
        """What is fed before the first frame of (batch, ...) sequences: (batch, C), all missing."""
        return torch.full((len(like), self.channels), float("nan"), device=like.device)

    def features(self, values: Tensor) -> Tensor:
        """Frames (batch, time, C) as the network sees them, (batch, time, inputs)."""
        absent = values.isnan()
        scaled = torch.where(absent, 0.0, values / self.unit)
        extra = [absent[..., self.gaps], absent.all(-1, keepdim=True)]
        return self.dropout(torch.cat([scaled, *(e.to(scaled.dtype) for e in extra)], -1))

    def read(self, h: Tensor) -> Tensor:
        """Raw numbers of the head, one channel after the other, then the logit of the end if there is one."""
        return self.readout(h)

    def parts(self, raw: Tensor) -> tuple[Tensor, Tensor | None]:
        """Raw numbers of the channels (..., C, size), and the logit of the end (...)."""
        count = self.channels * self.head.size
        numbers = raw[..., :count].unflatten(-1, (self.channels, self.head.size))
        return numbers, raw[..., count] if self.ends else None

    def losses(self, raw: Tensor, values: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Sum of the losses of the frames (batch, time, C), and their number.

        Where sequences end, the last row of each stands for the end; its numbers are not looked at.
        """
        numbers, over = self.parts(raw)
        every = torch.ones(values.shape[:2], dtype=torch.bool, device=raw.device)
        there = every if mask is None else mask
        seen = there.unsqueeze(-1) & ~values.isnan()
        total = raw.new_zeros(())
        if over is not None:
            last = last_of(there)
            lost = F.softplus(torch.where(last, -over, over))
            total = lost.masked_fill(~there, 0.0).sum()
            seen = seen & ~last.unsqueeze(-1)
        target = torch.where(seen, values, self.unit.ceil())  # which is lawful for every head
        lost = self.head.loss(numbers, target, 0.0, self.unit)
        return total + lost.masked_fill(~seen, 0.0).sum(), there.sum()

    def log_probs(self, raw: Tensor, values: Tensor, last: Tensor | None = None) -> Tensor:
        """log p of every frame (batch, time), all channels together, in float64; `last` (batch, time) are the ends."""
        numbers, over = self.parts(raw)
        law = self.law(numbers)
        y = values.detach().cpu().double().numpy()
        seen = ~np.isnan(y)
        found = np.where(
            seen, law.log_prob(np.where(seen, y, self.unit.ceil().cpu().numpy())), 0.0
        ).sum(-1)
        total = torch.from_numpy(found).to(raw.device)
        if over is None or last is None:
            return total
        over = over.double()
        return torch.where(last, 0.0, total) - F.softplus(torch.where(last, -over, over))

    def law(self, numbers: Tensor) -> Any:
        """The laws (..., C) that raw numbers (..., C, size) stand for."""
        unit, spread = (b.detach().cpu().double().numpy() for b in (self.unit, self.spread))
        return self.head.distribution(numbers, 0.0, unit, spread)

    def draw(self, raw: Tensor, generator: Generator | None = None, **options: Any) -> Tensor:
        """One frame (batch, C); where the sequence is over its numbers are all missing.

        `temperature` in `options` divides the logits of a head that has nothing else.
        """
        temperature = options.get("temperature", 1.0)
        numbers, over = self.parts(raw.double() / temperature)
        generator = generator or torch.default_generator
        drawn = self.head.sample(numbers, 0.0, self.unit, generator, self.spread)
        drawn = drawn.to(raw.dtype)
        if over is None:
            return drawn
        stop = uniform(over, generator) < over.sigmoid()
        return drawn.masked_fill(stop.unsqueeze(-1), float("nan"))

    def likeliest(self, raw: Tensor) -> Tensor:
        """The head's own point for every channel, (batch, C); all missing where the end is likelier than not."""
        numbers, over = self.parts(raw)
        point = self.head.point(numbers, 0.0, self.unit).to(raw.dtype)
        if over is None:
            return point
        return point.masked_fill((over > 0).unsqueeze(-1), float("nan"))

    def ended(self, drawn: Tensor) -> Tensor:
        """Which sequences are over with this frame, (batch,)."""
        if not self.ends:
            return torch.zeros(len(drawn), dtype=torch.bool, device=drawn.device)
        return drawn.isnan().all(-1)

    @torch.no_grad()
    def residuals(self, raw: Tensor, values: Tensor) -> Tensor:
        """What a head with one spread for all learns it from, (batch, time, C)."""
        numbers, _ = self.parts(raw)
        return self.head.residuals(numbers, values, 0.0, self.unit)  # type: ignore[attr-defined]


def last_of(there: Tensor) -> Tensor:
    """The last step of every sequence, whose padding follows, (batch, time)."""
    after = F.pad(there[:, 1:], (0, 1), value=False)
    return there & ~after


def reshaped(
    logits: Tensor,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    nucleus: float | None = None,
) -> Tensor:
    r"""Log-probabilities of a law made sharper or flatter, and cut down to its likeliest symbols.

        p_k ~ exp(logit_k / temperature) [k in S],   S = the top_k likeliest; of these the smallest set of the likeliest
        ones whose probability reaches nucleus

    Ties are cut by the order of the symbols.

    Parameters
    ----------
    logits : (..., K).
    temperature : positive; below 1 the likely becomes likelier. top_k : from 1 on. nucleus : in (0, 1].

    Sources: Ackley, Hinton, Sejnowski (1985); Fan et al. (2018) for top_k; Holtzman et al. (2020) for the nucleus.

    >>> p = torch.tensor([0.5, 0.25, 0.15, 0.1]).log()
    >>> reshaped(p, nucleus=0.7).exp()
    tensor([0.6667, 0.3333, 0.0000, 0.0000])
    >>> reshaped(p, temperature=0.5, top_k=2).exp()
    tensor([0.8000, 0.2000, 0.0000, 0.0000])
    """
    logits = logits / temperature
    if top_k is None and nucleus is None:
        return logits.log_softmax(-1)
    ordered, order = torch.sort(logits, dim=-1, descending=True, stable=True)
    if top_k is not None:
        ordered[..., top_k:] = -float("inf")
    if nucleus is not None:
        p = ordered.softmax(-1)
        reached = p.cumsum(-1) - p >= nucleus  # by those before it
        reached[..., 0] = False
        ordered = ordered.masked_fill(reached, -float("inf"))
    return torch.empty_like(logits).scatter_(-1, order, ordered.log_softmax(-1))
