"""Covariates of the rows of a data set, cut where its series are cut."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from seqkit.data import Covariates, Sequences, as_sequences


@dataclass(frozen=True)
class Inputs:
    """Known ahead, known up to now, and fixed; ``plain`` where the caller gave one frame of inputs known ahead."""

    future: Sequences | None
    past: Sequences | None = None
    static: Any = None
    plain: bool = True

    @classmethod
    def of(cls, covariates: Any) -> Inputs:
        """What the caller gave: a container as for series, or `Covariates`."""
        if not isinstance(covariates, Covariates):
            return cls(as_sequences(covariates, name="covariates"))
        future, past = (
            None if x is None else as_sequences(x, name=f"covariates.{name}")
            for name, x in (("future", covariates.future), ("past", covariates.past))
        )
        return cls(future, past, covariates.static, plain=False)

    def varying(self) -> Iterator[tuple[str, Sequences]]:
        """Those with a value for every row, by what messages call them."""
        if self.future is not None:
            yield "covariates" if self.plain else "covariates.future", self.future
        if self.past is not None:
            yield "covariates.past", self.past

    def window(self, start: int | None, stop: int | None) -> Sequences | Covariates:
        """All kinds at the rows to be learnt from; negative numbers count from each series' own end."""
        future = None if self.future is None else self.future.window(start, stop)
        if self.plain and future is not None:
            return future
        past = None if self.past is None else self.past.window(start, stop)
        return Covariates(future=future, past=past, static=self.static)

    def ahead(self, start: int, stop: int | None) -> Sequences | None:
        """What is known of the rows to be forecast; None for nothing."""
        return None if self.future is None else self.future.window(start, stop)

    def take(self, positions: Sequence[int]) -> Inputs:
        """Those of some series; the fixed ones are found by name."""
        future, past = (None if x is None else take(x, positions) for x in (self.future, self.past))
        return replace(self, future=future, past=past)


def take(data: Sequences, positions: Sequence[int]) -> Sequences:
    """Some sequences of a panel; a single sequence stays as it is."""
    if data.single or len(positions) == len(data):
        return data
    return data.subset(positions)
