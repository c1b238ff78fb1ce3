"""The non-linear functions between two linear maps, by name."""

from __future__ import annotations

from copy import deepcopy

from torch import nn

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "linear": nn.Identity,  # z
    "sigmoid": nn.Sigmoid,  # 1 / (1 + exp(-z))
    "tanh": nn.Tanh,  # (exp(z) - exp(-z)) / (exp(z) + exp(-z))
    "relu": nn.ReLU,  # max(z, 0)
    "leaky_relu": nn.LeakyReLU,  # max(z, 0) + 0.01 min(z, 0)
    "prelu": nn.PReLU,  # max(z, 0) + a min(z, 0), a learnt from 0.25 on
    "elu": nn.ELU,  # z if z > 0, else exp(z) - 1
    "selu": nn.SELU,  # 1.0507... (z if z > 0, else 1.6732... (exp(z) - 1))
    "gelu": nn.GELU,  # z Phi(z), Phi the standard normal distribution function
    "silu": nn.SiLU,  # z sigmoid(z)
    "softplus": nn.Softplus,  # log(1 + exp(z))
}


def activation(name: str | nn.Module) -> nn.Module:
    r"""A new module that applies the named function element by element; any shape in, the same out.

    ============  ========================================  ================================
    name          formula                                   source
    ============  ========================================  ================================
    linear        z
    sigmoid       1 / (1 + exp(-z))
    tanh          (exp(z) - exp(-z)) / (exp(z) + exp(-z))
    relu          max(z, 0)                                 Nair, Hinton (2010)
    leaky_relu    max(z, 0) + 0.01 min(z, 0)                Maas et al. (2013)
    prelu         max(z, 0) + a min(z, 0), a learnt         He et al. (2015)
    elu           z if z > 0 else exp(z) - 1                Clevert et al. (2016)
    selu          l (z if z > 0 else a (exp(z) - 1))        Klambauer et al. (2017)
    gelu          z Phi(z)                                  Hendrycks, Gimpel (2016)
    silu          z sigmoid(z)                              Elfwing et al. (2018)
    softplus      log(1 + exp(z))                           Dugas et al. (2001)
    ============  ========================================  ================================

    A module of one's own is taken as it is, copied, so that layers do not share what it learns.
    Raises ValueError for an unknown name.

    >>> import torch
    >>> activation("relu")(torch.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    if isinstance(name, nn.Module):
        return deepcopy(name)
    if name not in ACTIVATIONS:
        raise ValueError(
            f"activation {name!r} is not known; choose one of {', '.join(ACTIVATIONS)}, or pass a "
            "torch module"
        )
    return ACTIVATIONS[name]()
