"""Recurrent forecasters: learnt memory, read once per window, or carried on from step to step."""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from seqkit.base import check_count
from seqkit.data.sequences import Array, Sequences
from seqkit.distributions import Distribution

from ._data import Encoding
from ._instruments import Instruments
from .base import NeuralForecaster, combine, restored

if TYPE_CHECKING:
    import torch

    from seqkit.nn.cores import Core
    from seqkit.nn.heads import Head
    from seqkit.tasks.forecasting import Layout
    from seqkit.training import Trainer

    from ._recursive import StepEncoding, Walk

LONGEST_PATCH = 48  # rows: longer seasons are no natural unit of a window


@dataclasses.dataclass(eq=False, repr=False)
class RecurrentForecaster(Instruments, NeuralForecaster):
    """A causal core with state as a forecaster. A family says by `_spec` which core, and declares `window`, `horizon`
    and `head`.

    Parameters
    ----------
    mode : "direct" reads a window and forecasts all steps ahead at once; "recursive" forecasts the next step, and goes
        on along sampled paths.
    patch, skip, decoder, scheduled_sampling : see `LSTMForecaster`; all other parameters are those of `TDNN`.
    """

    mode: Literal["direct", "recursive"] = dataclasses.field(default="direct", kw_only=True)
    patch: int | None = dataclasses.field(default=None, kw_only=True)
    skip: bool = dataclasses.field(default=True, kw_only=True)
    decoder: bool = dataclasses.field(default=False, kw_only=True)
    scheduled_sampling: float = dataclasses.field(default=0.0, kw_only=True)

    _past_name: ClassVar[str] = "window"

    @abstractmethod
    def _spec(self) -> Core:
        """The core, written down."""

    # -- how the core is arranged in time --------------------------------------------------------

    def _core(self, layout: Layout) -> tuple[torch.nn.Module, bool]:
        return self._spec().build(layout.per_step * self._rows_per_step(layout)), False

    def _task(self, layout: Layout, head: Head) -> torch.nn.Module:
        if self.mode == "recursive":
            from seqkit.tasks.recursive import RecursiveForecast, steps_width

            core = self._spec().build(steps_width(layout, head))
            return RecursiveForecast(core, head, layout, sampled=self.scheduled_sampling)
        options: dict[str, Any] = {
            "patch": self._rows_per_step(layout),
            "skip": self.skip,
        }
        core, flat = self._core(layout)
        if self.decoder:
            from seqkit.tasks.encoder_decoder import EncoderDecoder, steps_ahead_width

            ahead = self._spec().build(steps_ahead_width(layout))
            return EncoderDecoder(core, ahead, head, layout, **options)
        from seqkit.tasks.forecasting import WindowForecast

        return WindowForecast(core, head, layout, flat=flat, **options)

    def _rows_per_step(self, layout: Layout) -> int:
        return rows_per_step(self.patch, layout)

    def _automatic(self, seasons: tuple[int, ...]) -> str:
        # the level must not tell a step of the window what comes after it, as the last value would
        return "mean" if self.mode == "recursive" else super()._automatic(seasons)

    def _encoder(self) -> type[Encoding]:
        if self.mode == "direct":
            return Encoding
        from ._recursive import StepEncoding

        return StepEncoding

    def _layout(self) -> Layout:
        layout = super()._layout()
        if self.mode == "direct":
            return layout
        return dataclasses.replace(layout, inputs=layout.inputs + layout.calendar, calendar=0)

    # -- hooks -----------------------------------------------------------------------------------

    def _fit(self, data: Sequences, covariates: Array | None) -> None:
        if self.mode == "recursive" and self._kinds(covariates)[1]:
            raise ValueError(
                'mode="recursive" goes on from its own forecasts, and covariates given as past= are not known there; '
                'leave them out, or use mode="direct"'
            )
        super()._fit(data, covariates)
        if self.mode == "direct":
            return
        for member in self._networks:
            for network in member:
                if network.spread is not None:  # of the next step, whichever it is
                    network.spread = network.spread.mean(0, keepdims=True)
        count = len(self._tail.length)
        self._since = np.zeros(count, int)
        walks = (self._walk(m) for m in range(len(self._networks)))
        self._standing = [walk.read(np.arange(count)) for walk in walks]

    def _forecast(self, horizon: int, covariates: Array | None) -> Distribution:
        if self.mode == "direct":
            return super()._forecast(horizon, covariates)
        encoding: StepEncoding = self._encoding  # type: ignore[assignment]
        calendars = [c.ahead(horizon) for c in self._fitted().calendars]
        future = encoding.future(covariates, calendars)
        centre, unit = encoding.centre[:, None], encoding.unit[:, None]
        if horizon == 1:
            laws = [self._walk(m).next(at, future) for m, at in enumerate(self._standing)]
            found = [restored([encoding.gather(a) for a in law], centre, unit) for law in laws]
            return combine(self._head(), found)
        return self._paths(
            lambda m, draws: self._walk(m).paths(
                self._standing[m], future, horizon, draws, self.seed + m
            )
        )

    def _observe(self, data: Sequences, covariates: Array | None) -> None:
        """Carry the state on. After every `window` rows it begins anew from the window that ends there, so that level
        and scale follow the series: twice the work of a step for each row, however many there are."""
        if self.mode == "direct":
            return super()._observe(data, covariates)
        from ._recursive import split

        new = self._encoding.rows(data, covariates, np.arange(len(data)))
        lengths, lags = np.diff(new["offsets"]), self._sizes.lags
        total = self._since + lengths
        due = total >= lags
        left = np.where(due, total % lags, lengths)
        early, late = split(new, lengths - left)
        tail = self._tail.after(early) if due.any() else self._tail
        standing = []
        for m, before in enumerate(self._standing):
            walk = self._walk(m, tail)
            now = [a.copy() for a in before]
            if due.any():
                for array, fresh in zip(now, walk.read(np.flatnonzero(due)), strict=True):
                    array[due] = fresh
            standing.append(walk.advance(tuple(now), late))
        self._standing, self._since, self._tail = standing, total % lags, tail.after(late)

    def _predictive(
        self, data: Sequences, positions: Array, covariates: Array | None
    ) -> Distribution:
        """Blocks of `window` rows, each given the window before it: what `update` would have said on its way."""
        if self.mode == "direct":
            return super()._predictive(data, positions, covariates)
        from ._networks import answers

        lags = self._sizes.lags
        windows, fitted = self._replay(data, covariates, positions, lags)
        ends = np.cumsum(windows.counts)
        begins = zip(ends - windows.counts, ends, strict=True)
        blocks = np.concatenate([np.arange(first, end, lags) for first, end in begins])
        series, at = (a[blocks] for a in windows.origins())
        head, groups = self._head(), self._groups(fitted[series])
        found = [
            answers(self._tasks(m, head), groups, lambda part, *_: windows.take(blocks[part]))
            for m in range(len(self._networks))
        ]
        return self._laws(found, at[:, None] + np.arange(lags), data, positions, lags)

    # -- inside ----------------------------------------------------------------------------------

    def _walk(self, member: int, tail: Any = None) -> Walk:
        from ._recursive import Walk

        tail = self._tail if tail is None else tail
        groups = self._groups(np.arange(len(tail.length)))
        return Walk(self._tasks(member, self._head()), groups, tail, self._static)

    def _check(self) -> tuple[Head, Trainer]:
        if self.mode not in ("direct", "recursive"):
            raise ValueError(f'mode must be "direct" or "recursive", got {self.mode!r}')
        if self.patch is not None:
            check_count("patch", self.patch, 1)
        if not 0 <= self.scheduled_sampling <= 1:
            raise ValueError(
                f"scheduled_sampling must be a probability, got {self.scheduled_sampling!r}"
            )
        if self.scheduled_sampling and self.mode == "direct":
            raise ValueError(
                'scheduled_sampling is for mode="recursive": a direct forecaster never reads what it has forecast'
            )
        if self.decoder and self.mode == "recursive":
            raise ValueError(
                'decoder=True is for mode="direct": a recursive forecaster reads on by itself'
            )
        check_causal(self._spec())  # refuses impossible sizes too, before any data are touched
        return super()._check()


def rows_per_step(patch: int | None, layout: Layout) -> int:
    """As asked for; else a season where the window holds two, or a quarter of it, at most what is forecast at once."""
    if patch is not None:
        return min(patch, layout.lags)
    season = min(layout.seasons, default=1)
    if 1 < season <= min(LONGEST_PATCH, layout.lags // 2):
        return season
    return max(1, min(layout.horizon, layout.lags // 4))


def check_causal(core: Any) -> None:
    """Refuse what is not a causal core that is not built yet."""
    from seqkit.nn.cores import Core

    if not isinstance(core, Core):
        shown = f"the class {core.__name__}" if isinstance(core, type) else repr(core)
        raise TypeError(
            f"core must be a core that is written down, such as seqkit.nn.LSTM(64), got {shown}"
        )
    if not core.causal:
        raise TypeError(
            f"a forecaster must not look ahead: the outputs of {core!r} depend on later steps, which are not there "
            "when a forecast is made; use its causal part alone, such as seqkit.nn.LSTM(64)"
        )


@dataclasses.dataclass(eq=False, repr=False)
class CoreForecaster(RecurrentForecaster):
    """Any causal core as a forecaster; made by `forecaster`.

    Parameters
    ----------
    core : a core that is written down: ``seqkit.nn.LSTM(hidden=64, layers=2)``, or one of your own.
    window, horizon, head, mode, .. : as for `LSTMForecaster`.

    Raises TypeError for a core that looks ahead, or that is not one.
    """

    core: Any
    window: int | None = None
    horizon: int | None = None
    head: Any = None

    def __post_init__(self) -> None:
        check_causal(self.core)

    def _spec(self) -> Core:
        return self.core


def forecaster(
    core: Any,
    window: int | None = None,
    horizon: int | None = None,
    head: Any = None,
    *,
    mode: Literal["direct", "recursive"] = "direct",
    **options: Any,
) -> CoreForecaster:
    """A forecaster out of a core, a head and an arrangement in time.

    Parameters
    ----------
    core : a causal core that is written down, such as ``seqkit.nn.GRU(64, layers=2, residual=True)``.
    window, horizon, head, mode, options : as for `LSTMForecaster`.

    Raises
    ------
    TypeError : the core looks ahead (`seqkit.nn.Bidirectional`), or is no core.

    Examples
    --------
    >>> from seqkit import nn
    >>> forecaster(nn.LSTM(32, layers=2, residual=True), head=nn.Huber(), mode="recursive")
    CoreForecaster(core=LSTM(hidden=32, layers=2, residual=True), head=Huber(delta=1.0), mode='recursive')
    >>> forecaster(nn.Bidirectional(nn.LSTM(64)))
    Traceback (most recent call last):
        ...
    TypeError: a forecaster must not look ahead: the outputs of Bidirectional(core=LSTM()) depend on later steps...
    """
    return CoreForecaster(core, window, horizon, head, mode=mode, **options)


@dataclasses.dataclass(eq=False, repr=False)
class CellForecaster(RecurrentForecaster):
    """What the forecasters named after a cell share: its sizes as parameters of their own."""

    window: int | None = None
    horizon: int | None = None
    head: Any = None
    hidden: int = 128
    layers: int = 1
    learn_initial: bool = dataclasses.field(default=False, kw_only=True)
    residual: bool = dataclasses.field(default=False, kw_only=True)
    norm: Literal["layer", "cell"] | None = dataclasses.field(default=None, kw_only=True)
    dropout: float = dataclasses.field(default=0.0, kw_only=True)
    recurrent_dropout: float = dataclasses.field(default=0.0, kw_only=True)
    dilations: tuple[int, ...] | None = dataclasses.field(default=None, kw_only=True)

    def _sizes_of_core(self) -> dict[str, Any]:
        from seqkit.nn.cores import RecurrentCore

        return {f.name: getattr(self, f.name) for f in dataclasses.fields(RecurrentCore)}


@dataclasses.dataclass(eq=False, repr=False)
class LSTMForecaster(CellForecaster):
    r"""Long short-term memory over a window of the past, and a law for every step ahead.

    With z = (y - m) / s, m and s the level and the scale of the window, and b the baseline:

        direct:     h = LSTM(z in patches);   y_{t+1}, .., y_{t+h} ~ head(b + V [h, z] + c)   (in units of s, about m)
        recursive:  h_t = LSTM(h_{t-1}, z_{t-1}, x_t);   y_t ~ head(b_t + V h_t + c),   for every t of the window

    V and c start at zero, so that the network starts as its baseline: seasonal naive, or the last value.

    Parameters
    ----------
    window : L, rows of the past that are seen; None for two seasons (or two horizons), as far as the data reach. A
        recursive network learns from windows of L + horizon rows, and its memory may reach further back.
    horizon : h. Direct: steps forecast at once; `predict` may ask for fewer, or for more, which are sampled block after
        block. Recursive: steps beyond the window that training reads; `predict` goes as far as it is asked.
    head : a law to be fitted (``seqkit.Normal()``, the default, ``seqkit.NegativeBinomial()``,
        ``seqkit.Quantiles(levels)``), or a loss (``nn.Squared()``, ``nn.Absolute()``, ``nn.Huber()``).
    hidden, layers, learn_initial, residual, norm, dropout, recurrent_dropout, dilations : see `seqkit.nn.LSTM`.
    mode : "direct" is many-to-one, and best for points and far horizons. "recursive" gives whole sampled paths for any
        horizon, knows each step's covariates, and `update` carries its state on in constant time.
    patch : direct: rows that are one step of the LSTM, side by side; 1 for row by row; None for the shortest season, or
        a quarter of the window.
    skip : direct: whether the last layer sees the window itself beside the LSTM's last state.
    decoder : direct: whether a second LSTM, which begins where the first one ends, runs over the steps ahead, so that
        the inputs known of a step meet its memory there (encoder-decoder); without, they go into the last layer.
    scheduled_sampling : recursive: share of the values that training replaces by draws from the network's own laws.
    seasonal, normalise, weighting, calendar, channels, panel, balance, ensemble, draws, epochs, steps, batch_size, lr,
    clip, patience, device, seed, trainer, scale : as for `TDNN`. For a recursive network `normalise` is "mean" where it
        is left "auto" (with laws of counts "size"), and `draws` are the paths of every forecast of two steps or more.

    Raises ValueError for a series that is shorter than its window, and for hyper-parameters that are not possible.
    Source: Hochreiter, Schmidhuber (1997); Salinas et al. (2020) for the recursive form.

    Examples
    --------
    >>> import numpy as np
    >>> y = np.sin(np.arange(200) / 3.0)
    >>> model = LSTMForecaster(window=24, horizon=3, hidden=16, steps=100, lr=0.01).fit(y)
    >>> error = model.predict(3).mean.to_numpy() - np.sin(np.arange(200, 203) / 3.0)
    >>> bool(np.abs(error).max() < 0.2)
    True
    """

    forget_bias: float = dataclasses.field(default=1.0, kw_only=True)

    def _spec(self) -> Core:
        from seqkit.nn.cores import LSTM

        return LSTM(**self._sizes_of_core(), forget_bias=self.forget_bias)


@dataclasses.dataclass(eq=False, repr=False)
class GRUForecaster(CellForecaster):
    """Gated recurrent units over a window of the past, and a law for every step ahead; see `LSTMForecaster`.

    Parameters
    ----------
    reset : "after" the matrix product, which is fast, or "before" it (see `seqkit.nn.GRU`).
    All others are those of `LSTMForecaster`.

    Raises ValueError for a series that is shorter than its window, and for hyper-parameters that are not possible.
    Source: Cho et al. (2014).

    Examples
    --------
    >>> GRUForecaster(48, 12, hidden=32, mode="recursive")
    GRUForecaster(window=48, horizon=12, hidden=32, mode='recursive')
    """

    reset: Literal["after", "before"] = dataclasses.field(default="after", kw_only=True)

    def _spec(self) -> Core:
        from seqkit.nn.cores import GRU

        return GRU(**self._sizes_of_core(), reset=self.reset)


@dataclasses.dataclass(eq=False, repr=False)
class RNNForecaster(CellForecaster):
    """The vanilla recurrent network over a window of the past; see `LSTMForecaster`, which remembers further back.

    Parameters
    ----------
    activation : "tanh" or "relu"; with "relu", limit the gradient by ``clip``.
    All others are those of `LSTMForecaster`.

    Raises ValueError for a series that is shorter than its window, and for hyper-parameters that are not possible.
    Source: Elman (1990).

    Examples
    --------
    >>> RNNForecaster(activation="relu", clip=1.0)
    RNNForecaster(clip=1.0, activation='relu')
    """

    activation: Literal["tanh", "relu"] = dataclasses.field(default="tanh", kw_only=True)

    def _spec(self) -> Core:
        from seqkit.nn.cores import RNN

        return RNN(**self._sizes_of_core(), activation=self.activation)
