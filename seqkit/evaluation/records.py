"""What is kept of one data set: its scores, and some forecasts for the pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Example:
    """The last window of one series (first channel), for pictures.

    ``forecasts``: model number -> (5, horizon) quantiles at 2.5, 10, 50, 90, 97.5 %. ``follows``:
    the test part begins right after the history, without a gap.
    """

    series: Any
    window: int
    history_index: pd.Index
    history: Array
    index: pd.Index
    actual: Array
    forecasts: dict[int, Array]
    follows: bool = True


@dataclass(frozen=True)
class Result:
    """The scores on one data set.

    ``cells`` (models, series, windows, metrics); ``steps``: mean losses (models, steps, metrics),
    before any root; ``scored`` (series, windows): whether there is an actual at all; ``benchmark``
    and ``benchmark_steps``: averages of sMAPE and MASE of Naive2, (2,) and (steps, 2).
    """

    name: str
    series: list[Any]
    cutoffs: list[list[Any]]
    cells: Array
    steps: Array
    scored: NDArray[np.bool_]
    benchmark: Array | None
    benchmark_steps: Array | None
    fit_seconds: Array
    predict_seconds: Array
    failed: NDArray[np.int64]
    overlap: int
    summary: dict[str, Any]
    examples: list[Example]
