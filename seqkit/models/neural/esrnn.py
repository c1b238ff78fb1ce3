"""Exponential smoothing of every series and a recurrent network for all of them, learnt together."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
import pandas as pd

from seqkit.base import check_count
from seqkit.data.scaling import Identity, Log, Scaling
from seqkit.data.sequences import Array, Sequences
from seqkit.distributions import Distribution

from .base import NeuralForecaster
from .recurrent import check_causal, rows_per_step

if TYPE_CHECKING:
    import torch

    from seqkit.kernels.holt_winters import Smoothed
    from seqkit.nn.cores import Core
    from seqkit.nn.heads import Head
    from seqkit.tasks.forecasting import Layout
    from seqkit.tasks.smoothing import SmoothedWindows
    from seqkit.tasks.windows import Rows
    from seqkit.training import Trainer

    from ._data import Ahead


class LogIfPositive(Scaling):
    """z = log y where all values are positive, else z = y: with it, smoothing multiplies where it can, or adds.

    >>> from seqkit.data.sequences import as_sequences
    >>> LogIfPositive().fit(as_sequences([1.0, 2.0])), LogIfPositive().fit(as_sequences([0.0, 2.0]))
    (Log(), Identity())
    """

    def fit(self, data: Sequences) -> Scaling:
        return Identity() if (data.values <= 0).any() else Log()


@dataclasses.dataclass(eq=False, repr=False)
class ESRNN(NeuralForecaster):
    r"""Exponential smoothing of every series, and one recurrent network for what it leaves over, learnt together.

    With m_k the periods of the seasonals, and e_t = y_t - sum_k s_{k,t},

        l_t = l_{t-1} + alpha_i (e_t - l_{t-1}),    s_{k,t+m_k} = s_{k,t} + gamma_ik (e_t - l_t),
        z = (y - s - l_t) / c over the last L rows,    y_{t+j} ~ head(V_j [LSTM(z in patches), z, s ahead] + b_j)

    about l_t + sum_k s_{k,t+j} and in units of c, the scale of the window. Every series i has coefficients alpha_i,
    gamma_ik and first seasonals of its own. V and b start at zero, so that the model starts as Holt-Winters smoothing
    without trend. On positive values all this is done with logarithms: level and seasonals multiply.

    Parameters
    ----------
    window : L, rows of the past that the network sees, at least the longest season; None for two seasons (or two
        horizons), as far as the data reach.
    horizon : h, steps forecast at once; longer forecasts go on along sampled paths, which are smoothed on.
    head : a law (``seqkit.Normal()``, the default, ``seqkit.StudentT()``, ``seqkit.Quantiles(levels)``) or a loss
        (``nn.Absolute()``, ``nn.Squared()``, ``nn.Huber()``), as for `LSTMForecaster`; not one of counts.
    core : any causal core that is written down; None for a dilated residual
        ``nn.LSTM(64, layers=2, dilations=(1, 2), residual=True)``.
    patch : rows that are one step of the core; None for the shortest season, or a quarter of the window.
    skip : whether the last layer sees the window itself beside the core's last output.
    start : the coefficients (alpha, gamma) that learning starts from, between 0 and 1.
    seasonal : period or periods of the seasonals; None for the calendar's own, 1 for a level alone.
    scale : left alone, logarithms where all values are positive; ``seqkit.Log()`` for them in any case,
        ``seqkit.Identity()`` for smoothing that adds, or any other scaling.
    normalise, weighting, calendar, channels, panel, balance, ensemble, draws, epochs, steps, batch_size, lr, clip,
    patience, device, seed, trainer : as for `TDNN`; `normalise` says how the scale c is taken, the level is smoothed.

    Raises ValueError for a series that is shorter than its window, for laws of what is never negative, and for
    hyper-parameters that are not possible; TypeError for a core that looks ahead.
    Source: Smyl (2020), International Journal of Forecasting 36; Taylor (2003) for two seasonals.

    Examples
    --------
    >>> import numpy as np
    >>> import seqkit
    >>> t = np.arange(120)
    >>> y = np.exp(0.01 * t + 0.3 * np.sin(2 * np.pi * t / 12))
    >>> model = ESRNN(24, 6, core=seqkit.nn.LSTM(16), seasonal=12, steps=20, lr=0.01).fit(y)
    >>> truth = np.exp(0.01 * np.arange(120, 126) + 0.3 * np.sin(2 * np.pi * np.arange(120, 126) / 12))
    >>> bool(np.abs(model.predict(6).median.to_numpy() / truth - 1).max() < 0.1)
    True
    """

    window: int | None = None
    horizon: int | None = None
    head: Any = None
    core: Any = None
    patch: int | None = dataclasses.field(default=None, kw_only=True)
    skip: bool = dataclasses.field(default=True, kw_only=True)
    start: tuple[float, float] = dataclasses.field(default=(0.5, 0.2), kw_only=True)
    scale: Scaling = dataclasses.field(default_factory=LogIfPositive, kw_only=True)

    _past_name: ClassVar[str] = "window"

    # -- what was learnt -------------------------------------------------------------------------

    @property
    def coefficients_(self) -> pd.DataFrame:
        """The smoothing coefficients of every series (and channel), averaged over the ensemble."""
        header, periods = self._fitted(), self._sizes.seasons
        names = ["level", *(_label(periods, m) for m in periods)]
        parts = [np.concatenate([c.alpha[:, :, None], c.gamma], axis=2) for c in self._coefficients]
        count, channels = len(header.keys), len(header.columns)
        values = np.mean(parts, axis=0).reshape(count * channels, -1)
        index = pd.Index(header.keys)
        if channels > 1:
            index = pd.MultiIndex.from_product([header.keys, header.columns])
        return pd.DataFrame(values, index, names)

    def decompose(self, x: Any) -> pd.DataFrame:
        """Level and seasonals of every row of `x` on its index; the seasonals are those known before the row.

        Where smoothing multiplies (on logarithms) the columns are the level and the factors, in the units of `x`;
        with any other scaling they are in its units. With several channels columns are (channel, component). Series
        are told apart by their keys, as for `score`; averaged over the ensemble.
        """
        data = self._intake(x, "x", self._fitted())
        positions = self._positions(data, self._fitted(), "x")
        scaling = self._scaling.align(positions)
        values = self._components(data.with_values(scaling.transform(data)), positions)
        if isinstance(scaling, Log):
            values = np.exp(values)
        periods, columns = self._sizes.seasons, data.columns
        names: list[Any] = ["level", *(_label(periods, m) for m in periods)]
        if len(columns) > 1:
            names = [(column, name) for column in columns for name in names]
        return data.restore(values.reshape(len(values), -1), names)

    # -- how the network is arranged -------------------------------------------------------------

    def _spec(self) -> Core:
        from seqkit.nn.cores import LSTM

        if self.core is not None:
            return self.core
        return LSTM(64, layers=2, dilations=(1, 2), residual=True)

    def _core(self, layout: Layout) -> tuple[torch.nn.Module, bool]:
        return self._spec().build(layout.per_step * self._rows_per_step(layout)), False

    def _task(self, layout: Layout, head: Head) -> torch.nn.Module:
        from seqkit.tasks.smoothing import SmoothedForecast

        core, patch = self._core(layout)[0], self._rows_per_step(layout)
        return SmoothedForecast(core, head, layout, patch=patch, skip=self.skip)  # type: ignore[arg-type]

    def _rows_per_step(self, layout: Layout) -> int:
        return rows_per_step(self.patch, layout)

    def _automatic(self, seasons: tuple[int, ...]) -> str:
        return "mean"

    def _layout(self) -> Layout:
        from seqkit.tasks.smoothing import SmoothedLayout

        count = len(self._tail.length) if self.pooled else self._encoding.copies
        level, season = self.start
        return SmoothedLayout(**vars(super()._layout()), series=count, start=(level, season))

    def _windows(self, rows: Rows, lags: int, horizon: int) -> SmoothedWindows:
        from seqkit.tasks.smoothing import SmoothedWindows

        sizes, dtype = self._sizes, self._encoding.torch_dtype
        return SmoothedWindows(
            rows, lags, horizon, periods=sizes.seasons, block=sizes.horizon, dtype=dtype
        )

    # -- hooks -----------------------------------------------------------------------------------

    def _fit(self, data: Sequences, covariates: Array | None) -> None:
        super()._fit(data, covariates)
        from ._smoothing_state import Coefficients, Standing

        self._coefficients = [Coefficients(member) for member in self._networks]
        windows, fitted = self._panel(data, covariates, np.arange(len(data)), 1)
        self._starts = windows.panel.level, windows.panel.season
        smoothed = self._smoothed(windows, fitted)
        self._standing = [Standing(s, self._sizes.lags) for s in smoothed]

    def _answers(self, member: int, head: Head, groups: Array, ahead: Ahead) -> tuple[Array, ...]:
        standing, periods = self._standing[member], np.array(self._sizes.seasons, dtype=int)
        season = standing.ahead(self._sizes.horizon, periods)
        fixed = ahead.static
        if len(periods):
            beside = season.reshape(len(season), -1)
            fixed = beside if fixed is None else np.concatenate([fixed, beside], axis=1)
        own = dataclasses.replace(ahead, past=standing.left_over(self._tail), static=fixed)
        raw, _, scale, spread = super()._answers(member, head, groups, own)
        return raw, standing.level[:, None] + season, scale, spread

    def _sampled(
        self, member: int, head: Head, groups: Array, ahead: Ahead, horizon: int, draws: int
    ) -> Array:
        from ._networks import sampled
        from ._smoothing_state import Paths

        standing, periods = self._standing[member], np.array(self._sizes.seasons, dtype=int)
        own = dataclasses.replace(ahead, past=standing.left_over(self._tail))
        tasks, held = self._tasks(member, head), self._coefficients[member]
        return sampled(
            tasks, groups, own, horizon, draws, self.seed + member,
            lambda part: Paths(part, own, standing, held, periods),
        )  # fmt: skip

    def _observe(self, data: Sequences, covariates: Array | None) -> None:
        new = self._encoding.rows(data, covariates, np.arange(len(data)))
        periods = np.array(self._sizes.seasons, dtype=int)
        pairs = zip(self._standing, self._coefficients, strict=True)
        self._standing = [standing.after(held, new, periods) for standing, held in pairs]
        self._tail = self._tail.after(new)

    def _predictive(
        self, data: Sequences, positions: Array, covariates: Array | None
    ) -> Distribution:
        import torch

        from seqkit.tasks.smoothing import left_over

        from ._networks import answers

        head, horizon, lags = self._head(), self._sizes.horizon, self._sizes.lags
        windows, fitted = self._panel(data, covariates, positions, horizon)
        _, at = windows.origins()
        series, origin = (a.numpy() for a in windows.places(torch.arange(len(windows))))
        groups, found = self._groups(fitted[series]), []
        for m, smoothed in enumerate(self._smoothed(windows, fitted)):

            def take(numbers: Array, *_: Any, smoothed: Smoothed = smoothed) -> Any:
                parts = smoothed.windows(series[numbers], origin[numbers], lags, horizon)
                window = windows.seen_by(numbers)
                tensors = (torch.from_numpy(part).to(window.past) for part in parts)
                return left_over(window, *tensors, seasonal=bool(self._sizes.seasons))

            raw, _, scale, spread = answers(self._tasks(m, head), groups, take, first=True)
            level, _, ahead = smoothed.windows(series, origin, 0, 1)
            found.append((raw, level[:, None] + ahead, scale, spread))
        return self._laws(found, at[:, None], data, positions, horizon)

    # -- inside ----------------------------------------------------------------------------------

    def _panel(
        self, data: Sequences, covariates: Array | None, positions: Array, ahead: int
    ) -> tuple[SmoothedWindows, Array]:
        """What `_replay` gives, its windows being those of `_windows`."""
        return cast(
            "tuple[SmoothedWindows, Array]", self._replay(data, covariates, positions, ahead)
        )

    def _smoothed(self, windows: SmoothedWindows, fitted: Array) -> list[Smoothed]:
        """The rows of windows, series i of which is row fitted[i] of the tail, smoothed by every network.

        Seasonals that were learnt belong to the first rows of the fit: where x begins otherwise, its own are taken.
        """
        from seqkit.kernels.holt_winters import Smoothed

        panel = windows.panel
        rows = dataclasses.replace(panel.rows, values=panel.rows.values.astype(float))
        starts = panel.level.astype(float), panel.season.astype(float)
        known = [
            (a == b[fitted]).all(axis=tuple(range(1, a.ndim)))
            for a, b in zip((panel.level, panel.season), self._starts, strict=True)
        ]
        as_fitted = known[0] & known[1]
        return [
            Smoothed(rows, held.started(*starts, fitted, as_fitted)) for held in self._coefficients
        ]

    def _components(self, data: Sequences, positions: Array) -> Array:
        """Levels and seasonals (total, C, 1 + K) in model units, NaN before a series begins."""
        encoding, periods = self._encoding, self._sizes.seasons
        windows, fitted = self._panel(data, None, positions, 1)
        members = []
        for smoothed in self._smoothed(windows, fitted):
            rows, width = smoothed.rows, smoothed.rows.values.shape[1]
            whole = np.full((int(data.lengths.sum()) * encoding.copies, width, 1 + len(periods)), np.nan)  # fmt: skip
            for i, (first, end) in enumerate(zip(rows.begin, rows.end, strict=True)):
                to = windows.rows_of(first, end)
                whole[to, :, 0] = smoothed.level[first:end]
                for k in range(len(periods)):
                    at = smoothed.place[k, i]
                    whole[to, :, 1 + k] = smoothed.season[at + first : at + end]
            members.append(encoding.gather_rows(whole, data.lengths, 0))
        found = np.mean(members, axis=0)
        centre, unit = (
            np.repeat(a[np.asarray(positions)], data.lengths, axis=0)[:, :, None]
            for a in (encoding.centre, encoding.unit)
        )
        found = found * unit
        found[:, :, :1] += centre
        return found

    def _check(self) -> tuple[Head, Trainer]:
        if self.patch is not None:
            check_count("patch", self.patch, 1)
        start = self.start if isinstance(self.start, (tuple, list)) else ()
        if len(start) != 2 or not all(0 < value < 1 for value in start):
            raise ValueError(
                f"start must be two coefficients between 0 and 1, of level and seasonals, got {self.start!r}"
            )
        check_causal(self._spec())
        head, trainer = super()._check()
        if not head.shifted:
            raise ValueError(
                f"forecasts are corrections of a smoothed level, and {head!r} is never negative and has no level; use "
                "a law with a location, such as seqkit.Normal(), or LSTMForecaster for counts"
            )
        return head, trainer


def _label(periods: tuple[int, ...], period: int) -> str:
    """The column of a seasonal."""
    return "season" if len(periods) == 1 else f"season {period}"
