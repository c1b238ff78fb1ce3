"""Measures of a forecast, with their published definitions, as functions of arrays.

Shapes. ``actual`` and ``predicted`` are ``(horizon,)`` for one series, ``(series, horizon)`` for
several, ``(series, horizon, channels)`` for several with channels; a DataFrame is one series with
its channels in columns. A measure is computed for each series and then averaged over the series.
A missing actual is left out; a series without any actual is left out of the average; if nothing
is left the value is NaN.

Which point of a predictive distribution a measure wants follows from what it rewards (Gneiting
2011): absolute measures (``mae``, ``mape``, ``smape``, ``mase``, ``owa``) are smallest at the
median, squared ones (``mse``, ``rmse``, ``rmsse``) at the mean. `seqkit.evaluation.compare` hands
each measure its own point.

The measures of labels and tokens (accuracy, F1, error rates) are in `seqkit.evaluation.labels`
and can be reached from here as well.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from seqkit.evaluation.labels import (
    accuracy,
    edit_distance,
    f1,
    perplexity,
    sequence_error_rate,
    span_f1,
    token_error_rate,
)
from seqkit.evaluation.losses import (
    Array,
    absolute_error,
    average,
    inside,
    interval_score,
    naive_scale,
    overall_weighted_average,
    percentage_error,
    quantile_loss,
    squared_error,
    symmetric_percentage_error,
    warn_no_scale,
)

__all__ = [
    "accuracy",
    "coverage",
    "crps",
    "edit_distance",
    "f1",
    "log_score",
    "mae",
    "mape",
    "mase",
    "mse",
    "msis",
    "owa",
    "perplexity",
    "pinball",
    "rmse",
    "rmsse",
    "sequence_error_rate",
    "smape",
    "span_f1",
    "token_error_rate",
    "winkler",
]


# ---------------------------------------------------------------- shapes


def _cube(name: str, x: ArrayLike | pd.DataFrame | pd.Series) -> Array:
    """Anything in the shapes above as ``(series, horizon, channels)``."""
    if isinstance(x, pd.DataFrame):
        return x.to_numpy(dtype=np.float64, na_value=np.nan)[None]
    if isinstance(x, pd.Series):
        x = x.to_numpy(dtype=np.float64, na_value=np.nan)
    array = np.asarray(x, dtype=np.float64)
    if array.ndim == 0 or array.ndim > 3:
        raise ValueError(
            f"{name} has {array.ndim} dimensions; expected (horizon,), (series, horizon) or "
            "(series, horizon, channels)."
        )
    if array.ndim == 1:
        return array[None, :, None]
    return array[:, :, None] if array.ndim == 2 else array


def _cubes(actual: Any, **others: Any) -> tuple[Array, ...]:
    first = _cube("actual", actual)
    cubes = [first]
    for name, x in others.items():
        cube = _cube(name, x)
        if cube.shape != first.shape:
            raise ValueError(
                f"{name} has shape {np.shape(x)} and actual {np.shape(actual)}: pass one "
                f"value of {name} for every actual."
            )
        if bool((np.isnan(cube) & ~np.isnan(first)).any()):
            raise ValueError(f"{name} is NaN where actual is not: a forecast must be a number.")
        cubes.append(cube)
    return tuple(cubes)


def _mean_over_series(loss: Array, *, root: bool = False) -> float:
    value = average(loss, axis=(1, 2))
    return float(average(np.sqrt(value) if root else value, axis=0))


def _history_scale(
    metric: str, history: Any, series: int, channels: int, season: int, power: int
) -> Array:
    """Scale of each series, ``(series, 1, channels)``, with one warning where there is none."""
    if isinstance(season, bool) or int(season) != season or season < 1:
        raise ValueError(f"season is {season!r}; pass a whole number of steps, 1 or more.")
    parts = _histories(history, series, channels)
    offsets = np.concatenate([[0], np.cumsum([len(p) for p in parts])]).astype(np.int64)
    scale = naive_scale(np.concatenate(parts), offsets, int(season), power=power)
    without = np.flatnonzero(np.isnan(scale).any(axis=1))
    if len(without):
        warn_no_scale(metric, [str(i) for i in without], int(season))
    return scale[:, None, :]


def _histories(history: Any, series: int, channels: int) -> list[Array]:
    """One ``(length, channels)`` array per series."""
    parts: list[Array]
    if isinstance(history, pd.Series | pd.DataFrame):
        parts = [history.to_numpy(dtype=np.float64, na_value=np.nan)]
    elif isinstance(history, np.ndarray) and history.ndim == 1 and history.dtype != object:
        parts = [history.astype(np.float64)]
    elif len(history) and np.ndim(history[0]) == 0:
        parts = [np.asarray(history, dtype=np.float64)]
    else:
        parts = [np.asarray(part, dtype=np.float64) for part in history]
    parts = [part.reshape(len(part), -1) if part.ndim == 1 else part for part in parts]
    if len(parts) != series:
        raise ValueError(
            f"history holds {len(parts)} series and actual {series}: pass one training part "
            "per series, as a list of arrays where the lengths differ."
        )
    for i, part in enumerate(parts):
        if part.ndim != 2 or part.shape[1] != channels:
            raise ValueError(
                f"history of series {i} has shape {part.shape}; expected (length, {channels})."
            )
    return parts


def _check_level(level: float) -> float:
    if not 1.0 < level < 100.0:
        raise ValueError(f"level is {level!r}; it is a percentage such as 80 or 95.")
    return float(level)


# ---------------------------------------------------------------- measures of a point forecast


def mae(actual: ArrayLike, predicted: ArrayLike) -> float:
    r"""Mean absolute error, :math:`\frac1h\sum_t |y_t-f_t|`, in the units of the data.

    >>> mae([1, 2, 3], [1, 3, 5])
    1.0
    """
    y, f = _cubes(actual, predicted=predicted)
    return _mean_over_series(absolute_error(y, f))


def mse(actual: ArrayLike, predicted: ArrayLike) -> float:
    r"""Mean squared error, :math:`\frac1h\sum_t (y_t-f_t)^2`.

    >>> mse([1, 2, 3], [1, 3, 4])
    0.6666666666666666
    """
    y, f = _cubes(actual, predicted=predicted)
    return _mean_over_series(squared_error(y, f))


def rmse(actual: ArrayLike, predicted: ArrayLike) -> float:
    r"""Root mean squared error, :math:`\sqrt{\frac1h\sum_t (y_t-f_t)^2}`.

    The root is taken within each series; the series are then averaged.

    >>> rmse([0, 0], [3, 4])
    3.5355339059327378
    """
    y, f = _cubes(actual, predicted=predicted)
    return _mean_over_series(squared_error(y, f), root=True)


def mape(actual: ArrayLike, predicted: ArrayLike) -> float:
    r"""Mean absolute percentage error, :math:`\frac{100}h\sum_t |y_t-f_t|/|y_t|`.

    Steps whose actual is zero have no percentage: they are left out, with a warning.

    >>> mape([100, 200], [110, 180])
    10.0
    """
    y, f = _cubes(actual, predicted=predicted)
    zeros = int((y == 0).sum())
    if zeros:
        warnings.warn(
            f"mape leaves out {zeros} step(s) whose actual is zero; mase or smape cover them.",
            RuntimeWarning,
            stacklevel=2,
        )
    return _mean_over_series(percentage_error(y, f))


def smape(actual: ArrayLike, predicted: ArrayLike) -> float:
    r"""Symmetric mean absolute percentage error, 0 to 200:
    :math:`\frac{200}h\sum_t |y_t-f_t|/(|y_t|+|f_t|)`.

    Where both are zero the error is zero. Source: Makridakis, Spiliotis, Assimakopoulos (2020),
    IJF 36(1), the M4 competition.

    >>> smape([100.0], [300.0])
    100.0
    """
    y, f = _cubes(actual, predicted=predicted)
    return _mean_over_series(symmetric_percentage_error(y, f))


def mase(actual: ArrayLike, predicted: ArrayLike, *, history: Any, season: int = 1) -> float:
    r"""Mean absolute scaled error: the mean absolute error over that of the seasonal naive
    forecast inside the training part,

    .. math:: \frac{\frac1h\sum_t|y_t-f_t|}{\frac1{n-m}\sum_{t=m+1}^n|x_t-x_{t-m}|}.

    ``history`` is the training part of each series (an array, or a list of arrays), ``season``
    is m in steps. A series whose history has no scale (constant, or not longer than m) gives
    NaN and a RuntimeWarning. Source: Hyndman, Koehler (2006), IJF 22(4), eq. 9; with m as in M4.

    >>> mase([5.0], [7.0], history=[1.0, 2.0, 3.0, 4.0])
    2.0
    """
    y, f = _cubes(actual, predicted=predicted)
    scale = _history_scale("mase", history, y.shape[0], y.shape[2], season, 1)
    return _mean_over_series(absolute_error(y, f) / scale)


def rmsse(actual: ArrayLike, predicted: ArrayLike, *, history: Any, season: int = 1) -> float:
    r"""Root mean squared scaled error,

    .. math:: \sqrt{\frac{\frac1h\sum_t(y_t-f_t)^2}{\frac1{n-m}\sum_{t=m+1}^n(x_t-x_{t-m})^2}}.

    M5 uses m = 1 and lets each history begin at its first sale: cut leading zeros off
    ``history`` to reproduce its numbers. NaN as in `mase`.
    Source: Makridakis, Spiliotis, Assimakopoulos (2022), IJF 38(4), M5 accuracy, eq. 1.

    >>> rmsse([5.0], [7.0], history=[1.0, 2.0, 3.0, 4.0])
    2.0
    """
    y, f = _cubes(actual, predicted=predicted)
    scale = _history_scale("rmsse", history, y.shape[0], y.shape[2], season, 2)
    return _mean_over_series(squared_error(y, f) / scale, root=True)


def owa(
    actual: ArrayLike,
    predicted: ArrayLike,
    benchmark: ArrayLike,
    *,
    history: Any,
    season: int = 1,
) -> float:
    r"""Overall weighted average of M4,
    :math:`\frac12\left(\overline{\mathrm{sMAPE}}/\overline{\mathrm{sMAPE}}_b
    + \overline{\mathrm{MASE}}/\overline{\mathrm{MASE}}_b\right)`.

    The bars are averages over all series, taken before the ratio; b is the forecast in
    ``benchmark``: Naive2 in M4 (`seqkit.evaluation.naive2`). Below 1 is better than the
    benchmark. Source: Makridakis, Spiliotis, Assimakopoulos (2020), IJF 36(1).

    >>> owa([4.0], [3.0], [2.0], history=[1.0, 2.0, 3.0])
    0.4642857142857143
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # mase below says it once
        base = mase(actual, benchmark, history=history, season=season)
    return overall_weighted_average(
        smape(actual, predicted),
        mase(actual, predicted, history=history, season=season),
        smape(actual, benchmark),
        base,
    )


# ---------------------------------------------------------------- measures of a distribution


def pinball(actual: ArrayLike, predicted: ArrayLike, *, q: float) -> float:
    r"""Pinball (quantile) loss of the forecast of the ``q`` quantile,
    :math:`\frac1h\sum_t\max\{q(y_t-f_t),(q-1)(y_t-f_t)\}`.

    Half the absolute error at q = 0.5. Source: Koenker, Bassett (1978), Econometrica 46(1).

    >>> pinball([10.0], [8.0], q=0.9)
    1.8
    """
    if not 0.0 < q < 1.0:
        raise ValueError(f"q is {q!r}; a quantile level lies between 0 and 1, such as 0.9.")
    y, f = _cubes(actual, predicted=predicted)
    return _mean_over_series(quantile_loss(y, f, q))


def crps(actual: ArrayLike, distribution: Any) -> float:
    r"""Continuous ranked probability score,
    :math:`\frac1h\sum_t\int(F_t(z)-1\{z\ge y_t\})^2\,dz`; in the units of the data.

    ``distribution`` is a predictive distribution with a ``crps`` method, or a `Forecast`.
    For a point forecast it is the absolute error.
    Source: Gneiting, Raftery (2007), JASA 102(477), eq. 20.
    """
    d, y = _matched(actual, distribution)
    return _mean_over_series(np.asarray(d.crps(y)))


def log_score(actual: ArrayLike, distribution: Any) -> float:
    r"""Mean log predictive density, :math:`\frac1h\sum_t\log p_t(y_t)`, in nats; **higher is
    better**, as for ``score``.

    Source: Good (1952), JRSS B 14; Gneiting, Raftery (2007), JASA 102(477).
    """
    d, y = _matched(actual, distribution)
    return _mean_over_series(np.asarray(d.log_prob(y)))


def coverage(actual: ArrayLike, lower: ArrayLike, upper: ArrayLike) -> float:
    """Share of the actuals inside [lower, upper], 0 to 1; best at the nominal level.

    >>> coverage([1, 2, 3, 4], [0, 0, 0, 0], [1, 3, 3, 3])
    0.75
    """
    y, low, high = _cubes(actual, lower=lower, upper=upper)
    return _mean_over_series(inside(y, low, high))


def winkler(actual: ArrayLike, lower: ArrayLike, upper: ArrayLike, *, level: float = 95) -> float:
    r"""Interval (Winkler) score: the width, plus :math:`2/\alpha` for every unit by which the
    actual lies outside, :math:`\alpha=1-\mathrm{level}/100`.

    Source: Winkler (1972), JASA 67(337); Gneiting, Raftery (2007), JASA 102(477), eq. 43.

    >>> winkler([12.0], [0.0], [10.0], level=80)
    30.0
    """
    level = _check_level(level)
    y, low, high = _cubes(actual, lower=lower, upper=upper)
    return _mean_over_series(interval_score(y, low, high, level))


def msis(
    actual: ArrayLike,
    lower: ArrayLike,
    upper: ArrayLike,
    *,
    history: Any,
    season: int = 1,
    level: float = 95,
) -> float:
    """Mean scaled interval score of M4: `winkler` over the scale of `mase`.

    M4 uses level 95 (alpha 0.05). Source: Makridakis, Spiliotis, Assimakopoulos (2020),
    IJF 36(1), sec. 2.4.

    >>> msis([12.0], [0.0], [10.0], history=[1.0, 3.0, 5.0], level=80)
    15.0
    """
    level = _check_level(level)
    y, low, high = _cubes(actual, lower=lower, upper=upper)
    scale = _history_scale("msis", history, y.shape[0], y.shape[2], season, 1)
    return _mean_over_series(interval_score(y, low, high, level) / scale)


def _matched(actual: Any, distribution: Any) -> tuple[Any, Array]:
    """The distribution and the actuals in its shape."""
    distribution = getattr(distribution, "distribution", distribution)
    y = _cube("actual", actual)
    shape = tuple(distribution.shape)
    if y.size != int(np.prod(shape)):
        raise ValueError(
            f"actual has shape {np.shape(actual)} and the distribution {shape}: pass one actual "
            "for every predicted value."
        )
    y = y.reshape(shape)
    return _Cubed(distribution), y


class _Cubed:
    """A distribution whose scores come back as ``(series, horizon, channels)``."""

    def __init__(self, distribution: Any) -> None:
        self._distribution = distribution

    def crps(self, y: Array) -> Array:
        return _cube("crps", self._distribution.crps(y))

    def log_prob(self, y: Array) -> Array:
        return _cube("log_prob", self._distribution.log_prob(y))
