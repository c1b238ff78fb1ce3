"""Neural forecasters: all that they share, from a panel to a distribution. A family says only which core it has."""

from __future__ import annotations

import dataclasses
import warnings
from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from seqkit.base import ConvergenceWarning, Forecaster, check_count
from seqkit.data.sequences import Array, Sequences
from seqkit.distributions import Distribution, Empirical, Mixture, Quantiles
from seqkit.models.gradient import GradientTrained
from seqkit.persistence import Record

from ._data import Ahead, Encoding, Tail, tamed

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from seqkit.nn.heads import Head
    from seqkit.tasks.forecasting import Layout
    from seqkit.tasks.windows import Rows, Windows
    from seqkit.training import Trainer

    from ._networks import Network

NORMALISE = ("auto", "last", "season", "mean", "standard", "size", None)
LEAST = 4  # rows of the longest series
DEFAULTS: dict[str, Any] = {
    "lr": 1e-3, "schedule": "cosine", "warmup": 0.05, "clip": 1.0, "batch_size": 256, "weight_decay": 1e-4,
}  # fmt: skip
STEPS, EVALUATIONS = 1000, 20  # of a training whose length nothing tells


@dataclasses.dataclass(eq=False, repr=False)
class NeuralForecaster(GradientTrained, Forecaster):
    """A network from the past to the laws of the steps ahead, trained by gradients.

    All series of a panel train one network. Each window is brought to its own level and scale, and the network
    forecasts the correction of a seasonal baseline (of the last value, where there is no season). It forecasts
    `horizon` steps at once; longer forecasts go on from there along sampled paths, so that ``horizon=1`` is
    the recursive forecaster. The parameters are those of `TDNN`. A family declares, first of all, how many rows
    of the past it sees (named in `_past_name`), `horizon` and `head`.
    """

    seasonal: int | tuple[int, ...] | None = dataclasses.field(default=None, kw_only=True)
    normalise: str | None = dataclasses.field(default="auto", kw_only=True)
    weighting: Literal["equal", "scale"] = dataclasses.field(default="equal", kw_only=True)
    calendar: tuple[str, ...] = dataclasses.field(default=(), kw_only=True)
    channels: Literal["each", "joint"] = dataclasses.field(default="each", kw_only=True)
    panel: Literal["global", "each"] = dataclasses.field(default="global", kw_only=True)
    balance: float = dataclasses.field(default=0.0, kw_only=True)
    ensemble: int = dataclasses.field(default=1, kw_only=True)
    draws: int = dataclasses.field(default=200, kw_only=True)
    _defaults: ClassVar[dict[str, Any]] = DEFAULTS
    _takes_past: ClassVar[bool] = True
    _past_name: ClassVar[str] = "lags"  # the field that says how many rows of the past are seen

    if TYPE_CHECKING:  # fields of the families, which differ in what comes before them

        @property
        def horizon(self) -> int | None: ...

        @property
        def head(self) -> Any: ...

    # -- what a family says ----------------------------------------------------------------------

    @abstractmethod
    def _core(self, layout: Layout) -> tuple[torch.nn.Module, bool]:
        """The core for windows of this layout, and whether it sees a window as one flat vector."""

    def _task(self, layout: Layout, head: Head) -> torch.nn.Module:
        """What is trained: the core, and how it is arranged in time."""
        from seqkit.tasks.forecasting import WindowForecast

        core, flat = self._core(layout)
        return WindowForecast(core, head, layout, flat=flat)

    def _past(self) -> int | None:
        """Rows of the past that are seen; None for what suits the data."""
        return getattr(self, self._past_name)

    def _automatic(self, seasons: tuple[int, ...]) -> str:
        """How windows are normalised where the user does not say."""
        return "season" if seasons else "last"

    def _encoder(self) -> type[Encoding]:
        """How rows are written for the network."""
        return Encoding

    def _layout(self) -> Layout:
        """What a window consists of."""
        return self._sizes.layout(self._encoding)

    def _windows(self, rows: Rows, lags: int, horizon: int) -> Windows:
        """The windows of rows, as the task takes them."""
        from seqkit.tasks.windows import Windows

        return Windows(rows, lags, horizon, dtype=self._encoding.torch_dtype)

    def _answers(self, member: int, head: Head, groups: Array, ahead: Ahead) -> tuple[Array, ...]:
        """Raw numbers, levels, scales and spreads of the windows that end now, by one member of the ensemble."""
        from ._networks import answers

        return answers(self._tasks(member, head), groups, ahead.take)

    def _sampled(
        self, member: int, head: Head, groups: Array, ahead: Ahead, horizon: int, draws: int
    ) -> Array:
        """Continuations (draws, series, horizon, C) of the windows that end now, by one member of the ensemble."""
        from ._networks import sampled

        tasks = self._tasks(member, head)
        return sampled(tasks, groups, ahead, horizon, draws, self.seed + member)

    # -- what was learnt -------------------------------------------------------------------------

    @property
    def pooled(self) -> bool:
        return self.panel == "global"

    @property
    def lags_(self) -> int:
        """Rows of the past that the network sees."""
        self._fitted()
        return self._sizes.lags

    @property
    def horizon_(self) -> int:
        """Steps that the network forecasts at once."""
        self._fitted()
        return self._sizes.horizon

    @property
    def history_(self) -> pd.DataFrame:
        """Losses, learning rates and seconds, one row an evaluation; the rows of several networks follow each other."""
        import pandas as pd

        frames = [h.frame for h in self._histories()]
        if len(frames) == 1:
            return frames[0]
        return pd.concat(frames, keys=range(len(frames)), names=["network", None]).reset_index(0)

    def plot_history(self, ax: Any = None) -> Any:
        """The losses of the (first) network over the steps, the best one marked."""
        return self._histories()[0].plot(ax)

    @property
    def scout_history_(self) -> pd.DataFrame | None:
        """The training of the (first) network that told how long to train; None where there was none."""
        self._fitted()
        scout = self._networks[0][0].scout
        return None if scout is None else scout.frame

    @property
    def interrupted_(self) -> bool:
        """Whether Ctrl-C ended the training before its time."""
        self._fitted()
        return self._interrupted

    def _histories(self) -> list[Any]:
        self._fitted()
        return self._all_histories()

    def _all_histories(self) -> list[Any]:
        return [network.history for member in self._networks for network in member]

    # -- hooks -----------------------------------------------------------------------------------

    def _fit(self, data: Sequences, covariates: Array | None) -> None:
        from seqkit.tasks.windows import Rows

        from ._networks import train_members

        head, trainer = self._check()
        head.check(data.values)
        sizes = self._sizes = Sizes(self, data, head)
        encoding = self._encoding = self._encoder()(
            data,
            covariates,
            self._kinds(covariates),
            split=self.channels == "each",
            lags=sizes.lags,
            centred=sizes.normalise not in (None, "size"),
            fields=self.calendar,
            dtype=np.float64 if trainer.precision == "float64" else np.float32,
        )
        parts = encoding.rows(data, covariates, np.arange(len(data)))
        rows = Rows(**parts)
        sizes.masked = bool(np.isnan(rows.values).any())
        shortest = int(np.diff(rows.offsets).min())
        sizes.padded = sizes.masked or shortest < sizes.lags + sizes.horizon
        self._static = rows.static
        self._tail = Tail(sizes.lags, parts)
        if sizes.normalise not in (None, "size"):
            tamed(rows.values, rows.offsets)
        rows.weight = rows.weight if sizes.weighted else None
        copies = encoding.copies
        groups = [rows] if self.pooled else [rows.part(i, copies) for i in range(len(data))]
        layout = self._layout()
        found: list[list[Network]] = []
        for g, group in enumerate(groups):
            windows = self._windows(group, layout.lags, layout.horizon)
            found.append(
                train_members(
                    windows,
                    layout,
                    self._task,
                    head,
                    trainer,
                    balance=self.balance,
                    name=f"network-{g}",
                    members=self.ensemble,
                    guided=self._guided(),
                )
            )
        complete = zip(*found, strict=False)  # after Ctrl-C the last members may be missing
        self._networks = [list(member) for member in complete]  # by member, then group
        self._interrupted = any(h.stopped == "interrupted" for h in self._all_histories())
        if self._interrupted:
            warnings.warn(
                "training was interrupted; the model holds the best weights so far",
                ConvergenceWarning,
                stacklevel=3,
            )

    def _forecast(self, horizon: int, covariates: Array | None) -> Distribution:
        sizes, encoding, head = self._sizes, self._encoding, self._head()
        steps = -(-horizon // sizes.horizon) * sizes.horizon
        if steps > sizes.horizon and encoding.past:
            raise ValueError(
                f"horizon {horizon} is longer than the {sizes.horizon} steps that the network forecasts at once, and "
                f"the covariates given as past= are not known that far; fit with horizon={horizon}"
            )
        calendars = [c.ahead(steps) for c in self._fitted().calendars]
        ahead = encoding.ahead(self._tail, self._static, covariates, calendars, steps)
        groups = self._groups(np.arange(len(self._tail.length)))
        if steps > sizes.horizon:
            return self._paths(
                lambda m, draws: self._sampled(m, head, groups, ahead, horizon, draws)
            )
        found = []
        for m in range(len(self._networks)):
            answer = self._answers(m, head, groups, ahead)
            parts = [encoding.gather(a)[:, :horizon] for a in answer]
            found.append(restored(parts, encoding.centre[:, None], encoding.unit[:, None]))
        return combine(head, found)

    def _observe(self, data: Sequences, covariates: Array | None) -> None:
        new = self._encoding.rows(data, covariates, np.arange(len(data)))
        self._tail = self._tail.after(new)

    def _predictive(
        self, data: Sequences, positions: Array, covariates: Array | None
    ) -> Distribution:
        from ._networks import answers

        head, horizon = self._head(), self._sizes.horizon
        windows, fitted = self._replay(data, covariates, positions, horizon)
        series, at = windows.origins()
        groups = self._groups(fitted[series])
        found = [
            answers(self._tasks(m, head), groups, windows.take, first=True)
            for m in range(len(self._networks))
        ]
        return self._laws(found, at[:, None], data, positions, horizon)

    # -- inside ----------------------------------------------------------------------------------

    def _replay(
        self,
        data: Sequences,
        covariates: Array | None,
        positions: Array,
        ahead: int,
        extra: int | None = None,
    ) -> tuple[Windows, Array]:
        """All windows of sequences that are fitted series `positions`, and which row of the tail each row series is.

        The last windows reach `extra` rows beyond the end, by default all of the `ahead` ones but the first.
        """
        from seqkit.tasks.windows import Rows

        encoding, positions = self._encoding, np.asarray(positions)
        beyond = ahead - 1 if extra is None else extra
        rows = Rows(**encoding.rows(data, covariates, positions, beyond))
        fitted = (positions[:, None] * encoding.copies + np.arange(encoding.copies)).ravel()
        rows.static = None if self._static is None else self._static[fitted]
        return self._windows(rows, self._sizes.lags, ahead), fitted

    def _laws(
        self, found: list[Any], at: Array, data: Sequences, positions: Array, ahead: int
    ) -> Distribution:
        """The laws of all rows (total, C) from the answers of every network for the rows `at` (windows, steps)."""
        encoding = self._encoding
        total = int((data.lengths + ahead - 1).sum()) * encoding.copies
        centre, unit = (
            np.repeat(a[np.asarray(positions)], data.lengths, axis=0)
            for a in (encoding.centre, encoding.unit)
        )
        members = []
        for answer in found:
            parts = []
            for part in answer:
                whole = np.full((total, *part.shape[2:]), np.nan)
                whole[at] = part
                parts.append(encoding.gather_rows(whole, data.lengths, ahead - 1))
            members.append(restored(parts, centre, unit))
        return combine(self._head(), members)

    def _paths(self, draw: Callable[[int, int], Array]) -> Empirical:
        """The law of sampled paths, of which every network draws its share: draw(member, draws)."""
        encoding, members = self._encoding, len(self._networks)
        counts = [len(part) for part in np.array_split(np.arange(self.draws), members)]
        drawn = np.concatenate([draw(m, count) for m, count in enumerate(counts) if count])
        paths = np.stack([encoding.gather(path) for path in drawn])
        return Empirical(encoding.centre[:, None] + encoding.unit[:, None] * paths)

    def _groups(self, rows: Array) -> Array:
        """Which network answers for these rows of the tail."""
        return np.zeros(len(rows), int) if self.pooled else rows // self._encoding.copies

    def _tasks(self, member: int, head: Head) -> list[Any]:
        """The networks of one member, made when they are asked for."""
        from functools import partial

        from seqkit.training.distributed import Processes

        layout = self._layout()
        device = Processes(self._trainer().device).device
        return [
            (partial(network.task, self._task, head, layout, device), network.spread)
            for network in self._networks[member]
        ]

    def _guided(self) -> bool:
        """Whether the user says how long to train."""
        return any(v is not None for v in (self.trainer, self.steps, self.epochs, self.patience))

    def _kinds(self, covariates: Array | None) -> tuple[int, int, int]:
        """Numbers of inputs known ahead, known up to now, and fixed; in this order they stand in the columns."""
        if covariates is None:
            return 0, 0, 0
        return vars(self).get("_kind_counts") or (covariates.shape[1], 0, 0)

    def _head(self) -> Head:
        from seqkit.distributions import Normal
        from seqkit.nn.heads import as_head

        return as_head(Normal() if self.head is None else self.head)

    def _trainer(self) -> Trainer:
        trainer = super()._trainer()
        if self.trainer is not None or self.epochs is not None:
            return trainer
        steps = STEPS if self.steps is None else self.steps
        return dataclasses.replace(
            trainer, steps=steps, evaluate_every=max(1, steps // EVALUATIONS)
        )

    def _check(self) -> tuple[Head, Trainer]:
        for name in (self._past_name, "horizon"):
            if getattr(self, name) is not None:
                check_count(name, getattr(self, name), 1)
        for name in ("ensemble", "draws"):
            check_count(name, getattr(self, name), 1)
        choices = {"weighting": ("equal", "scale"), "channels": ("each", "joint"), "panel": ("global", "each"),
                   "normalise": NORMALISE}  # fmt: skip
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                shown = ", ".join(map(repr, allowed))
                raise ValueError(f"{name} must be one of {shown}; got {getattr(self, name)!r}")
        if isinstance(self.calendar, str):
            raise TypeError(
                f"calendar must be a tuple of fields, got {self.calendar!r}; write ({self.calendar!r},)"
            )
        if not isinstance(self.balance, (int, float)) or not -1 <= self.balance <= 0:
            raise ValueError(
                f"balance must lie between -1 (series count alike) and 0 (windows count alike), got {self.balance!r}"
            )
        return self._head(), self._trainer()


class Sizes(Record):
    """What a fit settles about its windows: as given, or taken from the calendar and the length of the data."""

    def __init__(self, model: NeuralForecaster, data: Sequences, head: Head):
        longest = int(data.lengths.max())
        seasons = _seasons(model.seasonal, data)
        season = max(seasons, default=1)
        self.horizon = model.horizon or max(1, min(season if 1 < season <= 48 else 8, longest // 5))
        lags, name = max(2 * season, 2 * self.horizon, 16), model._past_name
        self.lags = model._past() or max(1, min(lags, (longest - self.horizon) // 2))
        if longest < self.lags + self.horizon:
            raise ValueError(
                f"the {'series' if data.single else 'longest series'} has {longest} steps, but one window needs at "
                f"least {self.lags + self.horizon}: {self.lags} {'rows of the past' if name != 'lags' else name} and "
                f"{self.horizon} steps ahead; lower {name}= or horizon=, or give a longer series"
            )
        if longest < LEAST:
            raise ValueError(f"needs at least {LEAST} steps, got {longest}; give a longer series")
        if model.seasonal is not None and season > self.lags:
            raise ValueError(
                f"{name} is {self.lags}, but seasonal={model.seasonal!r} looks back {season} steps; raise {name}"
            )
        self.seasons = tuple(s for s in seasons if s <= self.lags)
        self.normalise = model.normalise
        if model.normalise == "auto":
            self.normalise = model._automatic(self.seasons)
            if not head.shifted:
                self.normalise = "size"
        if self.normalise == "season" and not self.seasons:
            raise ValueError('normalise="season" needs a season within the lags; pass seasonal=')
        if not head.shifted and self.normalise not in ("size", None):
            raise ValueError(
                f"normalise={self.normalise!r} moves the level, which a law of what is never negative does not have; "
                f'use "size" with {head!r}'
            )
        if not head.shifted and model.seasonal is not None and self.seasons:
            raise ValueError(
                f"seasonal= is a baseline that is added to; {head!r} has none: leave it out"
            )
        if not head.shifted or (self.normalise is None and model.seasonal is None):
            self.seasons = ()
        self.weighted = model.weighting == "scale"
        self.masked = self.padded = False

    def layout(self, encoding: Encoding) -> Layout:
        """The same, as a task takes it."""
        from seqkit.tasks.forecasting import Layout

        return Layout(
            self.lags,
            self.horizon,
            1 if encoding.split else encoding.centre.shape[1],
            self.seasons,
            self.normalise,  # type: ignore[arg-type]
            self.weighted,
            self.masked,
            encoding.known,
            encoding.past,
            encoding.width_of_dates,
            encoding.static,
            self.padded,
        )


def _seasons(given: int | tuple[int, ...] | None, data: Sequences) -> tuple[int, ...]:
    """The periods of the baseline: those given, or the calendar's; () for none."""
    if given is None:
        season = max(calendar.season for calendar in data.calendars)
        return (season,) if season > 1 else ()
    seasons = tuple(given) if isinstance(given, (tuple, list)) else (given,)
    for season in seasons:
        check_count("seasonal", season, 1)
    return () if seasons == (1,) else seasons


def restored(law: list[Array], centre: Array, unit: Array) -> list[Array]:
    """Raw numbers, levels, scales and spreads of a network, levels and scales in the units of the series."""
    raw, level, scale, spread = law
    return [raw, centre + unit * level, unit * scale, spread]


def combine(head: Head, found: list[Any]) -> Distribution:
    """One law from those of the ensemble: about the median of the points, or their mixture."""
    raws, levels, scales, spreads = ([np.asarray(member[i]) for member in found] for i in range(4))
    with np.errstate(invalid="ignore"):  # rows that cannot be predicted are NaN, and stay it
        if head.constant_spread:
            level, scale = levels[0], scales[0]
            each = zip(raws, levels, scales, spreads, strict=True)
            alike = [(raw * (s / scale)[..., None] + ((m - level) / scale)[..., None], w * (s / scale))
                     for raw, m, s, w in each]  # fmt: skip
            points, widths = zip(*alike, strict=True)
            return head.distribution(
                np.median(points, axis=0), level, scale, np.mean(widths, axis=0)
            )
        laws = [head.distribution(*law) for law in zip(raws, levels, scales, strict=True)]
    if len(laws) == 1:
        return laws[0]
    quantiles = [law for law in laws if isinstance(law, Quantiles)]
    if quantiles:
        return Quantiles(quantiles[0].levels, np.mean([law.values for law in quantiles], axis=0))
    return Mixture(np.full(len(laws), 1 / len(laws)), laws)
