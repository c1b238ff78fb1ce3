"""Where the smoothing of every series stands, and how it goes on."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from seqkit.kernels.gaps import carried
from seqkit.kernels.holt_winters import Rows, Smoothed, Smoothing
from seqkit.persistence import Record
from seqkit.tasks.smoothing import RATE

from ._data import Ahead, Tail
from ._networks import Network

Array = np.ndarray


class Coefficients(Record):
    """What one member of an ensemble has learnt of smoothing.

    alpha (n, C), gamma (n, C, K), and shape (n, C, sum of periods), which is added to the first seasonals.
    """

    def __init__(self, networks: list[Network]):
        def learnt(name: str) -> list[Array]:
            return [net.weights[f"smoother.{name}"].astype(float) for net in networks]

        def shares(common: str, own: str) -> Array:
            pairs = zip(learnt(common), learnt(own), strict=True)
            return np.concatenate([1 / (1 + np.exp(-RATE * (a + b))) for a, b in pairs])

        self.alpha, self.gamma = shares("level", "own_level"), shares("season", "own_season")
        self.shape = np.concatenate(learnt("shape"))

    def started(self, level: Array, season: Array, at: Array, as_fitted: Array) -> Smoothing:
        """Smoothing of the fitted series `at` from given starts, mended where they are those of the fit."""
        mended = season + np.where(as_fitted[:, None, None], self.shape[at], 0.0)
        return Smoothing(self.alpha[at], self.gamma[at], level, mended)


class Standing(Record):
    """Where smoothing stands after the last row of every series.

    level (n, C), season (n, C, sum of periods) of the rows that follow, and past (n, L, C), the sums of the seasonals
    that the last L rows met.
    """

    def __init__(self, smoothed: Smoothed, lags: int, before: Array | None = None):
        rows = smoothed.rows
        self.level, self.season = smoothed.last()
        shape = (len(rows.end), lags, rows.values.shape[1])
        self.past = np.zeros(shape) if before is None else before.copy()
        there = np.flatnonzero(rows.end > rows.begin)
        _, new, _ = smoothed.windows(there, rows.end[there], lags, 0)
        for i, part in zip(there, new, strict=True):
            kept = min(int(rows.end[i] - rows.begin[i]), lags)
            self.past[i, : lags - kept] = self.past[i, kept:].copy()
            self.past[i, lags - kept :] = part[lags - kept :]

    def after(self, held: Coefficients, new: dict[str, Any], periods: Array) -> Standing:
        """The same once rows, as an `Encoding` writes them, have followed."""
        rows = _following(new["values"], new["offsets"], periods)
        smoothing = Smoothing(held.alpha, held.gamma, self.level, self.season)
        return Standing(Smoothed(rows, smoothing), self.past.shape[1], self.past)

    def ahead(self, steps: int, periods: Array) -> Array:
        """Sums of the seasonals of the steps ahead, (n, steps, C)."""
        return _ahead(self.season, steps, periods)

    def left_over(self, tail: Tail) -> Array:
        """The last rows without level and seasonals, as `seqkit.tasks.smoothing.left_over` makes them, (n, L, C)."""
        left = tail.values - self.past - self.level[:, None]
        count, lags, channels = left.shape
        filled = carried(left.reshape(-1, channels), np.arange(count + 1) * lags)
        first = np.maximum(np.arange(lags), lags - np.maximum(tail.length, 1)[:, None])[:, :, None]
        return np.take_along_axis(filled.reshape(left.shape), first, axis=1)


class Paths:
    """A walk along sampled futures of series `part`, every one smoothed on before its next block.

    What is kept is where the smoothing of each stands, and its last rows without seasonals; the past of `ahead` is
    what smoothing left over.
    """

    def __init__(
        self, part: Array, ahead: Ahead, standing: Standing, held: Coefficients, periods: Array
    ):
        self.level, self.season = standing.level[part], standing.season[part]
        self.alpha, self.gamma, self.periods = held.alpha[part], held.gamma[part], periods
        self.bare = ahead.past[part] + self.level[:, None]
        self.new = 0  # rows of the window that were drawn

    def window(self, batch: Any, block: int) -> Any:
        """The batch with the window that ends here."""
        self.next = _ahead(self.season, block, self.periods)
        past = torch.from_numpy(self.bare - self.level[:, None]).to(batch.past)
        seen, fixed = batch.past_seen, batch.static
        if seen is not None and self.new:
            lags = seen.shape[1]
            seen = torch.cat([seen, torch.ones_like(seen)], 1)[:, self.new : self.new + lags]
        if len(self.periods):
            beside = torch.from_numpy(self.next).to(past).flatten(1)
            fixed = beside if fixed is None else torch.cat([fixed, beside], 1)
        return batch._replace(past=past, past_seen=seen, static=fixed)

    def on(self, drawn: torch.Tensor) -> Array:
        """Go on along what was drawn for the next rows, (B, block, C), which comes back with level and seasonals."""
        y = drawn.double().cpu().numpy() + self.level[:, None] + self.next
        count, block, channels = y.shape
        rows = _following(y.reshape(-1, channels), np.arange(count + 1) * block, self.periods)
        smoothed = Smoothed(rows, Smoothing(self.alpha, self.gamma, self.level, self.season))
        _, met, _ = smoothed.windows(np.arange(count), rows.end, block, 0)
        lags = self.bare.shape[1]
        self.bare = np.concatenate([self.bare, y - met], 1)[:, -lags:]
        self.level, self.season = smoothed.last()
        self.new = min(self.new + block, lags)
        return y


def _following(values: Array, offsets: Array, periods: Array) -> Rows:
    starts = offsets[:-1]
    return Rows(values.astype(float), starts, starts, offsets[1:], periods)


def _ahead(season: Array, steps: int, periods: Array) -> Array:
    """Sums (n, steps, C) of seasonals (n, C, sum of periods) that go round."""
    total, first = np.zeros((len(season), steps, season.shape[1])), 0
    for period in periods:
        at = first + np.arange(steps) % period
        total += np.swapaxes(season[:, :, at], 1, 2)
        first += int(period)
    return total
