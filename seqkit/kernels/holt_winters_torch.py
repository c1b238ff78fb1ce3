r"""The recursion of `kernels.holt_winters` on torch tensors: differentiable, on any device, in few large steps.

Within a block of rows that is no longer than the shortest period all seasonals are known, so its levels are one product
with a triangular matrix, and its new seasonals one sum. On a CPU the compiled recursion is faster.
"""

from __future__ import annotations

import torch
from torch import Tensor

BLOCK = 64  # rows at most
LEAST = 1e-12  # of 1 - alpha


def smooth(
    y: Tensor, alpha: Tensor, gamma: Tensor, level: Tensor, seasons: list[Tensor]
) -> tuple[Tensor, list[Tensor]]:
    """Levels after every row (n, T, C), and seasonals of every period (n, T + m_k, C) as the rows meet them.

    Parameters
    ----------
    y : (n, T, C), NaN where missing. alpha, level : (n, C). gamma : (n, C, K).
    seasons : the first seasonals, for each period (n, m_k, C).

    >>> y = torch.tensor([[[1.0], [3.0], [torch.nan]]])
    >>> half, one = torch.full((1, 1), 0.5), torch.ones(1, 1)
    >>> smooth(y, half, torch.zeros(1, 1, 0), one, [])[0][0, :, 0].tolist()
    [1.0, 2.0, 2.0]
    """
    seen = ~y.isnan()
    y = torch.where(seen, y, torch.zeros_like(y))
    block = min([BLOCK, *(s.shape[1] for s in seasons)])
    rings, levels, news = list(seasons), [], [[s] for s in seasons]
    for part, known in zip(y.split(block, 1), seen.to(y.dtype).split(block, 1), strict=True):
        size = part.shape[1]
        left = part - sum((ring[:, :size] for ring in rings), torch.zeros_like(part))
        now = _levels(left, known, alpha, level)
        rest = known * (left - now)
        for k, ring in enumerate(rings):
            new = ring[:, :size] + gamma[:, None, :, k] * rest
            rings[k] = torch.cat([ring[:, size:], new], 1)
            news[k].append(new)
        levels.append(now)
        level = now[:, -1]
    return torch.cat(levels, 1), [torch.cat(parts, 1) for parts in news]


def _levels(left: Tensor, known: Tensor, alpha: Tensor, level: Tensor) -> Tensor:
    """l_j = (1 - a)^{c_j} l_0 + sum_{i <= j} a (1 - a)^{c_j - c_i} left_i, c_j the observed rows up to j; (n, b, C)."""
    count = known.cumsum(1).transpose(1, 2)  # (n, C, b)
    decay = (1 - alpha).clamp(min=LEAST).log()[..., None]
    apart = (count[..., :, None] - count[..., None, :]).tril()
    weight = (decay[..., None] * apart).exp().tril() * alpha[..., None, None]
    sums = weight @ (known * left).transpose(1, 2)[..., None]
    return ((decay * count).exp() * level[..., None] + sums[..., 0]).transpose(1, 2)


def windows(
    level: Tensor, seasons: list[Tensor], series: Tensor, origin: Tensor, lags: int, ahead: int
) -> tuple[Tensor, Tensor, Tensor]:
    """What `Smoothed.windows` gives, for origins counted from each series' first row: (B, C), (B, L, C), (B, h, C)."""
    steps = torch.arange(-lags, ahead, device=level.device)
    at = (origin[:, None] + steps[:lags]).clamp(min=0)
    now = level[series, origin - 1]
    past = now.new_zeros(len(series), lags, level.shape[2])
    future = now.new_zeros(len(series), ahead, level.shape[2])
    for season in seasons:
        period = season.shape[1] - level.shape[1]
        past = past + season[series[:, None], at]
        future = future + season[series[:, None], origin[:, None] + steps[lags:] % period]
    return now, past, future
