"""Lag windows as views that never cross a series' end, nor, on request, a gap."""

from __future__ import annotations

import numpy as np

from seqkit.persistence import Record

from .sequences import Array, Sequences


class Windows(Record):
    """All windows of `length` rows that lie inside one sequence.

    Attributes
    ----------
    view : (total - length + 1, length, channels), a read-only view of the values: no window is copied.
    starts : the rows at which a lawful window begins; ``view[starts[k]]`` is window k.
    series : the sequence that each window belongs to.

    Examples
    --------
    >>> import numpy as np
    >>> windows = Windows(Sequences([np.arange(4.0), np.arange(3.0)]), length=3)
    >>> windows.starts, windows.view[windows.starts][:, :, 0].tolist()
    (array([0, 1, 4]), [[0.0, 1.0, 2.0], [1.0, 2.0, 3.0], [0.0, 1.0, 2.0]])
    """

    def __init__(self, data: Sequences, length: int, *, complete: bool = False):
        """`complete` leaves out the windows with a missing value in any channel."""
        if length < 1:
            raise ValueError(f"length must be at least 1, got {length}")
        total = len(data.values)
        allowed = np.ones(max(total - length + 1, 0), dtype=bool)
        ends = data.offsets[
            1:-1
        ]  # a window must not begin in the last length - 1 rows of a sequence
        for back in range(1, length):
            inside = ends - back
            allowed[inside[(inside >= 0) & (inside < len(allowed))]] = False
        if complete and not data.tokens:
            holes = np.concatenate([[0], np.cumsum(np.isnan(data.values).any(axis=1))])
            allowed &= holes[length:] == holes[: len(allowed)]
        self.starts = np.flatnonzero(allowed)
        self.series = np.searchsorted(data.offsets, self.starts, side="right") - 1
        self.view: Array = np.empty((0, length, data.values.shape[1]), data.values.dtype)
        if total >= length:
            sliding = np.lib.stride_tricks.sliding_window_view(data.values, length, axis=0)
            self.view = np.swapaxes(sliding, 1, 2)

    def __len__(self) -> int:
        return len(self.starts)

    def __repr__(self) -> str:
        return f"Windows({len(self)} of {self.view.shape[1]} steps, {len(np.unique(self.series))} series)"
