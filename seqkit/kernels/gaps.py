"""What stands in for a missing value."""

from __future__ import annotations

import numpy as np

Array = np.ndarray


def carried(values: Array, offsets: Array) -> Array:
    """Missing values by the last one before them in the same series, 0 before the first: nothing from the future.

    Parameters
    ----------
    values : (total, C), NaN where missing. offsets : (n + 1,), series i is ``values[offsets[i]:offsets[i + 1]]``.

    >>> carried(np.array([[np.nan], [1.0], [np.nan], [np.nan]]), np.array([0, 3, 4]))[:, 0].tolist()
    [0.0, 1.0, 1.0, 0.0]
    """
    seen = ~np.isnan(values)
    filled = np.zeros_like(values)
    rows = np.arange(len(values))
    starts = np.repeat(offsets[:-1], np.diff(offsets))
    for c in range(values.shape[1]):
        before = np.maximum.accumulate(np.where(seen[:, c], rows, -1))
        known = before >= starts
        filled[known, c] = values[before[known], c]
    return filled
