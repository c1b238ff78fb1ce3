"""Probability distributions over arrays: one file per family, one formula for every use of it."""

from .base import Distribution
from .empirical import Empirical
from .joint_normal import JointNormal
from .mixture import Mixture
from .negative_binomial import NegativeBinomial
from .normal import Normal
from .poisson import Poisson
from .quantiles import Quantiles
from .stacked import Stacked, stack
from .student_t import StudentT
from .transformed import Affine, Exp, Power, Transformed

__all__ = [
    "Affine",
    "Distribution",
    "Empirical",
    "Exp",
    "JointNormal",
    "Mixture",
    "NegativeBinomial",
    "Normal",
    "Poisson",
    "Power",
    "Quantiles",
    "Stacked",
    "StudentT",
    "Transformed",
    "stack",
]
