"""Covariates that the calendar itself gives, for the past and for any future."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

_FIELDS = {  # name: (attribute of a DatetimeIndex, first value, number of values)
    "month": ("month", 1, 12), "quarter": ("quarter", 1, 4), "weekday": ("day_of_week", 0, 7),
    "day": ("day", 1, 31), "hour": ("hour", 0, 24), "minute": ("minute", 0, 60),
}  # fmt: skip


def calendar_features(
    index: pd.Index, fields: Iterable[str] = ("month", "weekday", "hour")
) -> pd.DataFrame:
    """Dummies of calendar fields, the first value of each left out as the reference.

    Parameters
    ----------
    index : DatetimeIndex or PeriodIndex, past or future (``forecast.index``).
    fields : any of month, quarter, weekday, day, hour, minute.

    Examples
    --------
    >>> import pandas as pd
    >>> calendar_features(pd.date_range("2024-01-06", periods=2), ["weekday"])[["weekday-5", "weekday-6"]].to_numpy()
    array([[1., 0.],
           [0., 1.]])
    """
    if not isinstance(index, (pd.DatetimeIndex, pd.PeriodIndex)):
        raise TypeError(f"calendar features need an index of times, got one of {index.dtype}")
    columns = {}
    for field in fields:
        if field not in _FIELDS:
            raise ValueError(f"unknown field {field!r}; known are {', '.join(_FIELDS)}")
        attribute, first, count = _FIELDS[field]
        values = np.asarray(getattr(index, attribute))
        for value in range(first + 1, first + count):
            columns[f"{field}-{value}"] = (values == value).astype(float)
    return pd.DataFrame(columns, index=index)


def fourier(index: pd.Index, period: float, order: int, *, origin: int = 0) -> pd.DataFrame:
    """Sine and cosine pairs of a season that need not be a whole number of steps.

    sin(2 pi k t / period), cos(2 pi k t / period) for k = 1 .. order, t = origin, origin + 1, ...

    Parameters
    ----------
    index : the rows; `origin` is the number of the first one, so that the future goes on in phase:
        ``fourier(forecast.index, 52.18, 3, origin=len(y))``.
    """
    if period <= 1 or not 1 <= order <= period / 2:
        raise ValueError(
            f"needs period > 1 and 1 <= order <= period / 2, got period {period}, order {order}"
        )
    t = origin + np.arange(len(index))
    waves: Sequence[tuple[str, np.ndarray]] = [
        (f"{name}-{k}", f(2 * np.pi * k * t / period))
        for k in range(1, order + 1)
        for name, f in (("sin", np.sin), ("cos", np.cos))
    ]
    return pd.DataFrame(dict(waves), index=index)
