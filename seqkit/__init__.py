"""seqkit: one interface from a pandas series to a compared forecast, over every family of sequence models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seqkit._lazy import lazily

__version__ = "0.1.0"

_PUBLIC = {
    "base": ["clone", "ConvergenceWarning", "NotFittedError"],
    "persistence": ["load"],
    "forecast": ["Forecast"],
    "data": ["Covariates", "Sequences", "Vocabulary", "calendar_features", "fourier"],
    "data.scaling": ["BoxCox", "Chain", "Difference", "Identity", "Log", "MeanAbs", "SeasonalDifference", "Standard"],
    "distributions": [
        "Bernoulli", "Beta", "Categorical", "Dirichlet", "Empirical", "Exponential", "Gamma", "GaussianMixture",
        "JointNormal", "Laplace", "LinearAutoregression", "LinearRegression", "Mixture", "Multinomial",
        "NegativeBinomial", "Normal", "NormalInverseWishart", "Poisson", "Product", "Quantiles", "StudentT", "VonMises",
    ],
    "models.ar": ["AR"],
    "models.var": ["VAR"],
    "models.tdnn": ["TDNN"],
    "models.recurrent": ["GRUForecaster", "LSTMForecaster", "RNNForecaster", "forecaster"],
    "models.baselines": ["Drift", "Mean", "Naive", "Naive2", "SeasonalNaive"],
    "models.theta": ["Theta"],
    "models.ets": ["ETS"],
    "models.esrnn": ["ESRNN"],
    "models.auto_arima": ["AutoARIMA"],
    "models.arma": ["ARMA"],
    "models.components": [
        "Autoregressive", "Cycle", "LocalLevel", "LocalLinearTrend", "Regression", "Seasonal",
    ],
    "models.structural": ["Structural"],
    "models.lds": ["LDS"],
    "models.markov_chain": ["MarkovChain"],
    "models.hmm": ["HMM", "SoftmaxTransition"],
    "models.hmm_tagger": ["HMMTagger"],
    "models.generator": ["SequenceGenerator"],
    "models.seq2seq": ["Seq2Seq"],
    "models.ctc": ["CTC"],
    "models.tagger": ["BiLSTMTagger", "Tagger"],
    "models.tracking": ["ConstantAcceleration", "ConstantVelocity"],
    "models.conformal": ["Conformal"],
    "models.classifier": ["GRUClassifier", "LSTMClassifier", "SequenceClassifier"],
    "models.regressor": ["LSTMRegressor", "SequenceRegressor"],
    "evaluation": [
        "BlockedKFold", "Comparison", "HoldOut", "Integer", "KFold", "LeaveOneOut", "LogInteger", "LogUniform",
        "RollingOrigin", "Search", "Stratified", "Uniform", "backtest", "compare", "cross_validate",
        "learning_curve", "nested_cross_validate", "search", "validation_curve",
    ],
}  # fmt: skip
_ROOMS = [
    "data",
    "datasets",
    "distributions",
    "evaluation",
    "kernels",
    "models",
    "nn",
    "plotting",
    "tasks",
    "training",
]

if TYPE_CHECKING:
    from seqkit.base import ConvergenceWarning, NotFittedError, clone
    from seqkit.data import Covariates, Sequences, Vocabulary, calendar_features, fourier
    from seqkit.data.scaling import (
        BoxCox,
        Chain,
        Difference,
        Identity,
        Log,
        MeanAbs,
        SeasonalDifference,
        Standard,
    )
    from seqkit.distributions import (
        Bernoulli,
        Beta,
        Categorical,
        Dirichlet,
        Empirical,
        Exponential,
        Gamma,
        GaussianMixture,
        JointNormal,
        Laplace,
        LinearAutoregression,
        LinearRegression,
        Mixture,
        Multinomial,
        NegativeBinomial,
        Normal,
        NormalInverseWishart,
        Poisson,
        Product,
        Quantiles,
        StudentT,
        VonMises,
    )
    from seqkit.evaluation.backtest import backtest
    from seqkit.evaluation.compare import compare, cross_validate
    from seqkit.evaluation.comparison import Comparison
    from seqkit.evaluation.curves import learning_curve, validation_curve
    from seqkit.evaluation.folds import KFold, LeaveOneOut, Stratified
    from seqkit.evaluation.nested import nested_cross_validate
    from seqkit.evaluation.search import Search, search
    from seqkit.evaluation.space import Integer, LogInteger, LogUniform, Uniform
    from seqkit.evaluation.splits import BlockedKFold, HoldOut, RollingOrigin
    from seqkit.forecast import Forecast
    from seqkit.models.ar import AR
    from seqkit.models.arma import ARMA
    from seqkit.models.auto_arima import AutoARIMA
    from seqkit.models.baselines import Drift, Mean, Naive, Naive2, SeasonalNaive
    from seqkit.models.classifier import GRUClassifier, LSTMClassifier, SequenceClassifier
    from seqkit.models.components import (
        Autoregressive,
        Cycle,
        LocalLevel,
        LocalLinearTrend,
        Regression,
        Seasonal,
    )
    from seqkit.models.conformal import Conformal
    from seqkit.models.ctc import CTC
    from seqkit.models.esrnn import ESRNN
    from seqkit.models.ets import ETS
    from seqkit.models.generator import SequenceGenerator
    from seqkit.models.hmm import HMM, SoftmaxTransition
    from seqkit.models.hmm_tagger import HMMTagger
    from seqkit.models.lds import LDS
    from seqkit.models.markov_chain import MarkovChain
    from seqkit.models.recurrent import GRUForecaster, LSTMForecaster, RNNForecaster, forecaster
    from seqkit.models.regressor import LSTMRegressor, SequenceRegressor
    from seqkit.models.seq2seq import Seq2Seq
    from seqkit.models.structural import Structural
    from seqkit.models.tagger import BiLSTMTagger, Tagger
    from seqkit.models.tdnn import TDNN
    from seqkit.models.theta import Theta
    from seqkit.models.tracking import ConstantAcceleration, ConstantVelocity
    from seqkit.models.var import VAR
    from seqkit.persistence import load

__all__ = ["__version__", *(name for names in _PUBLIC.values() for name in names), *_ROOMS]

__getattr__, __dir__ = lazily(__name__, _PUBLIC, _ROOMS)
