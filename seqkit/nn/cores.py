"""Cores written down before the width of their input is known: hyper-parameters, which need no torch.

seqkit.nn.LSTM(64, layers=2)                 what the core shall be: compared, printed, saved, searched over
seqkit.nn.LSTM(64, layers=2).build(3)        the torch module itself, for 3 inputs
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from seqkit.persistence import Record

if TYPE_CHECKING:
    import torch

    from .bidirectional import BothDirections
    from .cells import Cell
    from .recurrent import Recurrent
    from .stack import CoreStack


class Core(Record, ABC):
    """What a core shall be. One of your own derives from this class and implements `build`.

    Attributes
    ----------
    causal : whether no output looks ahead; what goes on in time can be built on such a core alone.
    """

    causal: ClassVar[bool] = True

    @abstractmethod
    def build(self, inputs: int, *, generator: torch.Generator | None = None) -> torch.nn.Module:
        """The core for `inputs` features, its first weights drawn from `generator` (torch's own where None)."""

    def __repr__(self) -> str:
        if not dataclasses.is_dataclass(self):
            return super().__repr__()
        given = ((f.name, getattr(self, f.name), f.default) for f in dataclasses.fields(self))
        shown = [f"{name}={value!r}" for name, value, default in given if value != default]
        return f"{type(self).__name__}({', '.join(shown)})"


@dataclass(frozen=True, eq=False, repr=False)
class MLP(Core):
    """A feed-forward network that maps every step by itself (see `seqkit.nn.FeedForward`).

    Parameters
    ----------
    hidden : widths of the layers; a whole number is one layer.
    activation, dropout, norm, residual : as in `seqkit.nn.FeedForward`.

    Raises ValueError for widths and shares out of range when it is built.
    Source: Rumelhart, Hinton, Williams (1986).

    >>> MLP((32, 16)).build(3).size
    16
    """

    hidden: int | Sequence[int] = (64,)
    activation: str = dataclasses.field(default="relu", kw_only=True)
    dropout: float = dataclasses.field(default=0.0, kw_only=True)
    norm: Literal["batch", "layer"] | None = dataclasses.field(default=None, kw_only=True)
    residual: bool = dataclasses.field(default=False, kw_only=True)

    def build(self, inputs: int, *, generator: torch.Generator | None = None) -> torch.nn.Module:
        from .feedforward import FeedForward

        options = _without_hidden(self)
        return FeedForward(inputs, _widths(self.hidden), generator=generator, **options)


@dataclass(frozen=True, eq=False, repr=False)
class TDNN(Core):
    """Layers of causal convolutions in time (see `seqkit.nn.TimeDelay`): each step sees a stretch of the past.

    Parameters
    ----------
    hidden : widths of the layers; a whole number is one layer.
    kernel : steps that a layer looks at, or the lags themselves. dilations : one spacing per layer; 1, 2, 4, ...
        where None.
    activation, dropout, norm, residual : as in `seqkit.nn.TimeDelay`.

    Raises ValueError for widths, lags and shares out of range when it is built.
    Source: Waibel et al. (1989).

    >>> TDNN((32, 32), kernel=3).build(3).receptive_field
    7
    """

    hidden: int | Sequence[int] = (64, 64)
    kernel: int | Sequence[int] = dataclasses.field(default=3, kw_only=True)
    dilations: Sequence[int] | None = dataclasses.field(default=None, kw_only=True)
    activation: str = dataclasses.field(default="relu", kw_only=True)
    dropout: float = dataclasses.field(default=0.0, kw_only=True)
    norm: Literal["batch", "layer"] | None = dataclasses.field(default=None, kw_only=True)
    residual: bool = dataclasses.field(default=False, kw_only=True)

    def build(self, inputs: int, *, generator: torch.Generator | None = None) -> torch.nn.Module:
        from .tdnn import TimeDelay

        options = _without_hidden(self)
        return TimeDelay(inputs, _widths(self.hidden), generator=generator, **options)


def _without_hidden(core: MLP | TDNN) -> dict[str, Any]:
    fields = dataclasses.fields(core)
    return {f.name: getattr(core, f.name) for f in fields if f.name != "hidden"}


def _widths(hidden: int | Sequence[int]) -> Sequence[int]:
    return (hidden,) if isinstance(hidden, Integral) else hidden  # type: ignore[return-value]


@dataclass(frozen=True, eq=False, repr=False)
class RecurrentCore(Core):
    """What RNN, LSTM and GRU share. A cell of your own gets all of it by one method, `cell`.

    Parameters
    ----------
    hidden : width of every layer.
    layers : number of layers upon each other.
    learn_initial : learn the state before the first step, rather than start from zero.
    residual : every layer but the first adds what came into it to what comes out (Wu et al. 2016).
    norm : "layer" normalises what goes into every layer but the first; "cell" what goes into the gates
        of every cell (Ba et al. 2016), which runs step by step; None.
    dropout : share of the outputs of every layer, the last one too, set to zero in training (Zaremba et al. 2014).
    recurrent_dropout : share of the past that the weights do not see in training, the same at all steps of a
        sequence (Gal, Ghahramani 2016); in training such a core runs step by step.
    dilations : one whole number per layer: from how many steps back the state is taken (Chang et al. 2017).

    Raises ValueError for numbers out of range.
    """

    hidden: int = 64
    layers: int = 1
    learn_initial: bool = dataclasses.field(default=False, kw_only=True)
    residual: bool = dataclasses.field(default=False, kw_only=True)
    norm: Literal["layer", "cell"] | None = dataclasses.field(default=None, kw_only=True)
    dropout: float = dataclasses.field(default=0.0, kw_only=True)
    recurrent_dropout: float = dataclasses.field(default=0.0, kw_only=True)
    dilations: Sequence[int] | None = dataclasses.field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        for name in ("hidden", "layers"):
            _check_whole(name, getattr(self, name))
        for name in ("dropout", "recurrent_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}; it must be a share of at least 0 and below 1"
                )
        if self.norm not in (None, "layer", "cell"):
            raise ValueError(f'norm must be "layer", "cell" or None, got {self.norm!r}')
        if self.dilations is None:
            return
        if isinstance(self.dilations, (str, Integral)) or len(self.dilations) != self.layers:
            raise ValueError(
                f"dilations is {self.dilations!r}; pass {self.layers} whole numbers from 1 on, one for each layer"
            )
        for i, dilation in enumerate(self.dilations):
            _check_whole(f"dilations[{i}]", dilation)

    @abstractmethod
    def cell(self, inputs: int, generator: torch.Generator | None = None) -> Cell:
        """The cell of one layer."""

    def build(self, inputs: int, *, generator: torch.Generator | None = None) -> Recurrent:
        from .recurrent import Recurrent

        _check_whole("inputs", inputs)
        widths = [inputs] + [self.hidden] * (self.layers - 1)
        return Recurrent(
            [self.cell(width, generator) for width in widths],
            residual=self.residual,
            norm=self.norm == "layer",
            dropout=self.dropout,
            recurrent_dropout=self.recurrent_dropout,
            dilations=self.dilations,
        )


@dataclass(frozen=True, eq=False, repr=False)
class RNN(RecurrentCore):
    """Layers of the vanilla recurrent cell (see `seqkit.nn.RNNCell`), h_t = f(W x_t + U h_{t-1} + b).

    Parameters
    ----------
    activation : "tanh" or "relu". The others are those of every recurrent core (see `RecurrentCore`).

    Raises ValueError for numbers out of range and another activation.
    Source: Elman (1990).

    >>> RNN(8, activation="relu").build(3).size
    8
    """

    activation: Literal["tanh", "relu"] = dataclasses.field(default="tanh", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.activation not in ("tanh", "relu"):
            raise ValueError(f'activation must be "tanh" or "relu", got {self.activation!r}')

    def cell(self, inputs: int, generator: torch.Generator | None = None) -> Cell:
        from .cells import RNNCell

        return RNNCell(
            inputs,
            self.hidden,
            activation=self.activation,
            learn_initial=self.learn_initial,
            norm=self.norm == "cell",
            generator=generator,
        )


@dataclass(frozen=True, eq=False, repr=False)
class LSTM(RecurrentCore):
    """Layers of long short-term memory (see `seqkit.nn.LSTMCell` for the equations).

    Parameters
    ----------
    forget_bias : first bias of the forget gates. The others are those of every recurrent core (see `RecurrentCore`).

    Raises ValueError for numbers out of range.
    Source: Hochreiter, Schmidhuber (1997); Gers et al. (2000).

    >>> core = LSTM(hidden=64, layers=2, learn_initial=True, residual=True)
    >>> core
    LSTM(layers=2, learn_initial=True, residual=True)
    >>> core.build(3).inputs, core.build(3).size
    (3, 64)
    """

    forget_bias: float = dataclasses.field(default=1.0, kw_only=True)

    def cell(self, inputs: int, generator: torch.Generator | None = None) -> Cell:
        from .cells import LSTMCell

        return LSTMCell(
            inputs,
            self.hidden,
            forget_bias=self.forget_bias,
            learn_initial=self.learn_initial,
            norm=self.norm == "cell",
            generator=generator,
        )


@dataclass(frozen=True, eq=False, repr=False)
class GRU(RecurrentCore):
    """Layers of gated recurrent units (see `seqkit.nn.GRUCell` for the equations of both forms).

    Parameters
    ----------
    reset : "after" the matrix product, as torch and cuDNN compute it, or "before" it, as in Cho et al. (2014),
        which runs step by step. The others are those of every recurrent core (see `RecurrentCore`).

    Raises ValueError for numbers out of range and another `reset`.
    Source: Cho et al. (2014); Chung et al. (2014).

    >>> GRU(8, reset="before").build(3).size
    8
    """

    reset: Literal["after", "before"] = dataclasses.field(default="after", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.reset not in ("after", "before"):
            raise ValueError(f'reset must be "after" or "before", got {self.reset!r}')

    def cell(self, inputs: int, generator: torch.Generator | None = None) -> Cell:
        from .cells import GRUCell

        return GRUCell(
            inputs,
            self.hidden,
            reset=self.reset,
            learn_initial=self.learn_initial,
            norm=self.norm == "cell",
            generator=generator,
        )


@dataclass(frozen=True, eq=False, repr=False)
class Bidirectional(Core):
    """A core in both directions of time: two cores of their own weights, one of which reads from the end.

    With several layers each direction is a stack of its own; they meet at the top (Peters et al. 2018).

    Parameters
    ----------
    core : a causal core, such as `LSTM(64)`.
    merge : "concat", which doubles the width, or "sum".

    Raises TypeError for a core that is not causal or already a torch module; ValueError for another `merge`.
    Source: Schuster, Paliwal (1997).

    >>> Bidirectional(LSTM(32)).causal, Bidirectional(LSTM(32)).build(3).size
    (False, 64)
    """

    causal: ClassVar[bool] = False

    core: Core
    merge: Literal["concat", "sum"] = "concat"

    def __post_init__(self) -> None:
        if not isinstance(self.core, Core) or not self.core.causal:
            raise TypeError(
                "Bidirectional needs a causal core that is not built yet, such as seqkit.nn.LSTM(64); got "
                f"{self.core if isinstance(self.core, Core) else type(self.core).__name__}"
            )
        if self.merge not in ("concat", "sum"):
            raise ValueError(f'merge must be "concat" or "sum", got {self.merge!r}')

    def build(self, inputs: int, *, generator: torch.Generator | None = None) -> BothDirections:
        from .bidirectional import BothDirections

        directions = [self.core.build(inputs, generator=generator) for _ in range(2)]
        return BothDirections(*directions, merge=self.merge)


@dataclass(frozen=True, eq=False, repr=False)
class Stack(Core):
    """Cores one upon the other: a deep bidirectional network, or delays under a memory.

    Layers of ``Bidirectional(LSTM(64, layers=2))`` meet at the top only; those of
    ``Stack((Bidirectional(LSTM(64)), Bidirectional(LSTM(64))))`` meet at every level.

    Parameters
    ----------
    cores : from the lowest to the highest.
    dropout : share of what goes from one to the next set to zero in training.

    Raises TypeError for what is no core that is not built yet; ValueError for none, and shares outside [0, 1).
    Source: Graves, Mohamed, Hinton (2013).

    >>> deep = Stack((TDNN((32,), kernel=5), Bidirectional(LSTM(32))), dropout=0.2)
    >>> deep.causal, deep.build(3).size
    (False, 64)
    """

    cores: Sequence[Core]
    dropout: float = dataclasses.field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        if isinstance(self.cores, Core) or not all(isinstance(core, Core) for core in self.cores):
            raise TypeError(
                "Stack needs cores that are not built yet, such as (seqkit.nn.TDNN(32), seqkit.nn.LSTM(64)); got "
                f"{self.cores!r}"
            )
        if not self.cores:
            raise ValueError("Stack needs at least one core, got none")
        if not 0 <= self.dropout < 1:
            raise ValueError(
                f"dropout is {self.dropout!r}; it must be a share of at least 0 and below 1"
            )

    @property
    def causal(self) -> bool:  # type: ignore[override]
        return all(core.causal for core in self.cores)

    def build(self, inputs: int, *, generator: torch.Generator | None = None) -> CoreStack:
        from .stack import CoreStack

        built: list[Any] = []
        for core in self.cores:
            built.append(core.build(built[-1].size if built else inputs, generator=generator))
        return CoreStack(built, dropout=self.dropout)


def _check_whole(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise ValueError(f"{name} is {value!r}; it must be a whole number, 1 or more")
