"""Probability distributions over arrays: one file per family, one formula for every use of it."""

from .base import Distribution
from .bernoulli import Bernoulli
from .categorical import Categorical
from .emission import Emission, Rows
from .empirical import Empirical
from .exponential import Exponential
from .gamma import Gamma
from .gaussian_mixture import GaussianMixture
from .joined import Joined
from .joint_normal import JointNormal
from .laplace import Laplace
from .linear_autoregression import LinearAutoregression
from .linear_regression import LinearRegression
from .mixture import Mixture
from .multinomial import Multinomial
from .negative_binomial import NegativeBinomial
from .normal import Normal
from .path_mixture import PathMixture
from .poisson import Poisson
from .priors import Beta, Dirichlet, NormalInverseWishart
from .product import Product
from .quantiles import Quantiles
from .stacked import Stacked, stack
from .student_t import StudentT
from .transformed import Affine, Exp, Power, Transformed
from .von_mises import VonMises

__all__ = [
    "Affine",
    "Bernoulli",
    "Beta",
    "Categorical",
    "Dirichlet",
    "Distribution",
    "Emission",
    "Empirical",
    "Exp",
    "Exponential",
    "Gamma",
    "GaussianMixture",
    "Joined",
    "JointNormal",
    "Laplace",
    "LinearAutoregression",
    "LinearRegression",
    "PathMixture",
    "Mixture",
    "Multinomial",
    "NegativeBinomial",
    "Normal",
    "NormalInverseWishart",
    "Poisson",
    "Power",
    "Product",
    "Quantiles",
    "Rows",
    "Stacked",
    "StudentT",
    "Transformed",
    "VonMises",
    "stack",
]
