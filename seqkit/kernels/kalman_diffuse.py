r"""What innovations say about a diffuse start, on torch tensors.

With h_0 ~ N(mu_0 + S delta, P_0), S S' = D, whitened innovations are u + U delta. Their density is

.. math::  -\tfrac12 \sum_t |u_t + U_t \delta|^2
           = -\tfrac12 (\delta' G \delta + 2 g' \delta + q), \qquad
           G = \sum U_t' U_t, \quad g = \sum U_t' u_t

so that delta ~ N(0, kappa I), kappa to infinity, has mean -G^+ g and covariance G^+ + kappa Pi, with
Pi the projector on the directions which G says nothing about, and the density of the data tends to
(g' G^+ g - q - log |G|_+) / 2 - rank(G) log(kappa) / 2 (Rosenberg 1973; de Jong 1991). Leaving the
last term out counts -(log 2 pi + log F_inf) / 2 for each number that resolves a direction.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from seqkit.kernels.kalman_scan import cholesky, solve_lower, symmetric

__all__ = ["Start", "refuse_unresolved", "resolve", "slack", "square_root"]


class Start(NamedTuple):
    """What innovations say about delta: G = information of full rank but for the directions Pi."""

    factor: Tensor  # (..., k, k) of G + scale Pi
    free: Tensor  # (..., k, k) Pi, the projector on the directions without information
    scale: Tensor  # (..., 1, 1)

    def rows(self, start: int, stop: int | None) -> Start:
        return Start(*(x[:, start:stop] for x in self))

    def density(self, score: Tensor) -> Tensor:
        """What integrating over delta adds to the log density, (..., K): (g' G^+ g - log |G|)/2."""
        logs = 2 * self.factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        rank = self.free.detach().diagonal(dim1=-2, dim2=-1).sum(-1).round()
        logs = logs - rank * self.scale[..., 0, 0].log()
        return (solve_lower(self.factor, score).square().sum(-2) - logs[..., None]) / 2

    def estimate(self, score: Tensor, at: Tensor) -> Tensor:
        """E[delta], (..., k, K), from the score at `at`; zero where nothing is known of it."""
        return at - self.free @ at - torch.cholesky_solve(score, self.factor)

    def spread(self, b: Tensor) -> Tensor:
        """b G^+ b', the covariance of b delta without what is infinite."""
        white = solve_lower(self.factor, b.mT)
        return white.mT @ white - b @ (self.free / self.scale) @ b.mT


def resolve(information: Tensor) -> Start:
    """Factorise the information on delta, (..., k, k), of whatever rank."""
    g = symmetric(information)
    size = g.detach().diagonal(dim1=-2, dim2=-1).amax(-1)[..., None, None]
    scale = torch.where(size > 0, size, 1.0)
    free = _uninformed(g, scale)
    return Start(cholesky(g + scale * free), free, scale)


def _uninformed(g: Tensor, scale: Tensor) -> Tensor:
    """The orthogonal projector on the null space of each g (..., k, k) >= 0.

    The rank is decided after scaling to a unit diagonal, as directions have units. The decision has
    no gradient; the projector's change -(G^+ dG Pi + Pi dG G^+) is attached to it at dG = 0.
    """
    fixed, tolerance = g.detach(), torch.finfo(g.dtype).eps
    size = fixed.diagonal(dim1=-2, dim2=-1).sqrt()
    size = torch.where(size > 0, size, 1.0)
    scaled = fixed / (size[..., :, None] * size[..., None, :])
    factor, failed = torch.linalg.cholesky_ex(scaled)
    pivots = factor.diagonal(dim1=-2, dim2=-1).square()
    doubtful = (failed != 0) | ~(pivots > tolerance**0.5).all(-1)
    free = torch.zeros_like(fixed)
    if not bool(doubtful.any()):
        return free
    values, vectors = torch.linalg.eigh(scaled[doubtful])
    null = vectors * (values < tolerance ** (2 / 3))[..., None, :] / size[doubtful][..., :, None]
    null = null / null.norm(dim=-2, keepdim=True).clamp_min(torch.finfo(g.dtype).tiny)
    free[doubtful] = symmetric(null @ torch.linalg.pinv(null))
    if not g.requires_grad:
        return free
    change = torch.cholesky_solve((g - fixed) @ free, cholesky(fixed + scale * free))
    return free - change - change.mT


def refuse_unresolved(start: Start, z: Tensor) -> None:
    """Raise ValueError where the states z delta, z (B, T, n, k), have infinite variance."""
    free = (z @ start.free).detach().abs().amax((1, 2, 3))
    left = free > 1e-6 * z.detach().abs().amax((1, 2, 3))
    if bool(left.any()):
        raise ValueError(
            f"series {int(torch.nonzero(left)[0])} has too few observed values to resolve its "
            f"diffuse start: its smoothed states have infinite variance; leave it out, or give "
            f"those states a finite initial_cov"
        )


def square_root(diffuse: Tensor) -> Tensor:
    """S (B, n, k) with S S' = diffuse, k its largest rank in the batch; a constant."""
    values, vectors = torch.linalg.eigh(diffuse.detach())
    largest = values.abs().amax(-1, keepdim=True)
    tolerance = torch.finfo(values.dtype).eps * 10 * values.shape[-1]
    if bool((values < -tolerance * largest).any()):
        raise ValueError("diffuse must be positive semidefinite, got a negative eigenvalue")
    values = torch.where(values > tolerance * largest, values, 0.0)
    rank = int((values > 0).sum(-1).max())
    start = values.shape[-1] - rank
    return (vectors * values.sqrt()[..., None, :])[..., start:]


def slack(observation: Tensor, noise: Tensor, process_cov: Tensor, roots: Tensor) -> Tensor:
    """Variance (B, k) of each direction that moves into initial_cov: (kappa - slack) remains.

    No result depends on it. It keeps innovations regular where the rest of the start has no
    variance, and is a small part of what one row adds: seen through the observations if they see
    it, else in the states. More would cost digits of what the data say, less of the start.
    """
    c, q = observation.detach(), process_cov.detach()
    part = torch.finfo(c.dtype).eps ** 0.2
    total = (noise.detach() + c @ q @ c.mT).diagonal(dim1=-2, dim2=-1).sum(-1).mean(1)[:, None]
    seen = (c @ roots[:, None]).square().sum(-2).mean(1)  # (B, k)
    moved = q.diagonal(dim1=-2, dim2=-1).mean(-1).mean(1)[:, None]
    own = roots.square().sum(-2)
    size = torch.where(moved > 0, moved, 1.0) / torch.where(own > 0, own, 1.0)
    return part * torch.where((seen > 0) & (total > 0), total / seen, size)
