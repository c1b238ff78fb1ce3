"""Models that are given their parameters instead of learning them."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np

from seqkit.base import Header
from seqkit.data.calendar import Calendar


class GivenHeader(Header):
    """The header of a model that was given its parameters and has seen no data yet."""

    def __init__(self, columns: tuple[Hashable, ...]):
        self.keys, self.columns, self.single = (None,), columns, True
        self.calendars: tuple[Calendar, ...] = ()
        self.origins: tuple[Calendar, ...] = ()
        self.lengths = np.zeros(1, dtype=np.int64)

    def describe(self) -> str:
        return "from parameters"
