"""Draws on the device, by a generator of its own: one for each element of the arguments."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Generator, Tensor

from seqkit.distributions import (
    Exponential,
    Gamma,
    Laplace,
    NegativeBinomial,
    Normal,
    Poisson,
    StudentT,
    VonMises,
)

ROUNDS = 32  # of rejection: each keeps two thirds at least, so that less than 1e-14 is left


def normal(like: Tensor, generator: Generator) -> Tensor:
    """Standard normal numbers of the shape of `like`."""
    return torch.randn(like.shape, generator=generator, dtype=like.dtype, device=like.device)


def uniform(like: Tensor, generator: Generator) -> Tensor:
    """Numbers in [0, 1) of the shape of `like`."""
    return torch.rand(like.shape, generator=generator, dtype=like.dtype, device=like.device)


def exponential(like: Tensor, generator: Generator) -> Tensor:
    """Standard exponential numbers of the shape of `like`."""
    return torch.empty_like(like).exponential_(generator=generator)


def laplace(like: Tensor, generator: Generator) -> Tensor:
    """Standard Laplace numbers: the difference of two exponential ones."""
    return exponential(like, generator) - exponential(like, generator)


def student_t(df: Tensor, generator: Generator) -> Tensor:
    """sqrt(df (u^(-2 / df) - 1)) cos(2 pi v), u and v uniform (Bailey 1994): exact, and without rejection."""
    u = 1 - uniform(df, generator)  # in (0, 1]
    radius = (df * torch.expm1(-2 / df * u.log())).sqrt()
    return radius * torch.cos(2 * math.pi * uniform(df, generator))


def gamma(concentration: Tensor, generator: Generator) -> Tensor:
    """Gamma numbers of rate 1."""
    return torch._standard_gamma(concentration, generator=generator)


def negative_binomial(mean: Tensor, dispersion: Tensor, generator: Generator) -> Tensor:
    """Poisson counts whose rates are Gamma numbers."""
    rate = mean * dispersion * gamma(1 / dispersion, generator)
    return torch.poisson(rate, generator=generator)


def von_mises(direction: Tensor, k: Tensor, generator: Generator) -> Tensor:
    """Rejection from a wrapped Cauchy law (Best & Fisher 1979), normal where the law is narrow."""
    safe = k.clamp(1e-3, 1e4)
    tau = 1 + (1 + 4 * safe * safe).sqrt()
    rho = (tau - (2 * tau).sqrt()) / (2 * safe)
    r = (1 + rho * rho) / (2 * rho)
    found, open_ = torch.zeros_like(k), torch.ones_like(k, dtype=torch.bool)
    for _ in range(ROUNDS):
        z = torch.cos(math.pi * uniform(k, generator))
        f = (1 + r * z) / (r + z)
        c = safe * (r - f)
        u = 1 - uniform(k, generator)
        side = torch.where(uniform(k, generator) < 0.5, -1.0, 1.0).to(k.dtype)
        taken = open_ & ((c / u).log() + 1 - c >= 0)
        found = torch.where(taken, side * torch.acos(f.clamp(-1, 1)), found)
        open_ = open_ & ~taken
    narrow = normal(k, generator) / k.clamp(min=1e-3).sqrt()
    found = torch.where(k > 1e4, narrow, found)
    return torch.remainder(direction + found + math.pi, 2 * math.pi) - math.pi


def draw(family: Any, arguments: dict[str, Tensor], generator: Generator) -> Tensor:
    """One draw for every element of a family's arguments."""
    first, *rest = torch.broadcast_tensors(*arguments.values())
    if isinstance(family, Normal):
        return first + rest[0] * normal(first, generator)
    if isinstance(family, Laplace):
        return first + rest[0] * laplace(first, generator)
    if isinstance(family, StudentT):
        return rest[0] + rest[1] * student_t(first, generator)
    if isinstance(family, Poisson):
        return torch.poisson(first, generator=generator)
    if isinstance(family, NegativeBinomial):
        return negative_binomial(first, rest[0], generator)
    if isinstance(family, Exponential):
        return first * exponential(first, generator)
    if isinstance(family, Gamma):
        return gamma(first, generator) / first * rest[0]
    if isinstance(family, VonMises):
        return von_mises(first, rest[0], generator)
    raise TypeError(f"{type(family).__name__} has no draws on a device")
