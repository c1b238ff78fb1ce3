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
    "models.autoregression.ar": ["AR"],
    "models.autoregression.var": ["VAR"],
    "models.neural.tdnn": ["TDNN"],
    "models.neural.recurrent": ["GRUForecaster", "LSTMForecaster", "RNNForecaster", "forecaster"],
    "models.baselines": ["Drift", "Mean", "Naive", "Naive2", "SeasonalNaive"],
    "models.smoothing.theta": ["Theta"],
    "models.smoothing.ets": ["ETS"],
    "models.neural.esrnn": ["ESRNN"],
    "models.autoregression.auto_arima": ["AutoARIMA"],
    "models.autoregression.arma": ["ARMA"],
    "models.structural.components": [
        "Autoregressive", "Cycle", "LocalLevel", "LocalLinearTrend", "Regression", "Seasonal",
    ],
    "models.structural.structural": ["Structural"],
    "models.state_space.lds": ["LDS"],
    "models.markov.markov_chain": ["MarkovChain"],
    "models.markov.hmm": ["HMM", "SoftmaxTransition"],
    "models.markov.hmm_tagger": ["HMMTagger"],
    "models.sequence_networks.generator": ["SequenceGenerator"],
    "models.sequence_networks.seq2seq": ["Seq2Seq"],
    "models.sequence_networks.ctc": ["CTC"],
    "models.sequence_networks.tagger": ["BiLSTMTagger", "Tagger"],
    "models.state_space.tracking": ["ConstantAcceleration", "ConstantVelocity"],
    "models.conformal": ["Conformal"],
    "models.sequence_networks.classifier": ["GRUClassifier", "LSTMClassifier", "SequenceClassifier"],
    "models.sequence_networks.regressor": ["LSTMRegressor", "SequenceRegressor"],
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
    from seqkit.models.autoregression.ar import AR
    from seqkit.models.autoregression.arma import ARMA
    from seqkit.models.autoregression.auto_arima import AutoARIMA
    from seqkit.models.autoregression.var import VAR
    from seqkit.models.baselines import Drift, Mean, Naive, Naive2, SeasonalNaive
    from seqkit.models.conformal import Conformal
    from seqkit.models.markov.hmm import HMM, SoftmaxTransition
    from seqkit.models.markov.hmm_tagger import HMMTagger
    from seqkit.models.markov.markov_chain import MarkovChain
    from seqkit.models.neural.esrnn import ESRNN
    from seqkit.models.neural.recurrent import (
        GRUForecaster,
        LSTMForecaster,
        RNNForecaster,
        forecaster,
    )
    from seqkit.models.neural.tdnn import TDNN
    from seqkit.models.sequence_networks.classifier import (
        GRUClassifier,
        LSTMClassifier,
        SequenceClassifier,
    )
    from seqkit.models.sequence_networks.ctc import CTC
    from seqkit.models.sequence_networks.generator import SequenceGenerator
    from seqkit.models.sequence_networks.regressor import LSTMRegressor, SequenceRegressor
    from seqkit.models.sequence_networks.seq2seq import Seq2Seq
    from seqkit.models.sequence_networks.tagger import BiLSTMTagger, Tagger
    from seqkit.models.smoothing.ets import ETS
    from seqkit.models.smoothing.theta import Theta
    from seqkit.models.state_space.lds import LDS
    from seqkit.models.state_space.tracking import ConstantAcceleration, ConstantVelocity
    from seqkit.models.structural.components import (
        Autoregressive,
        Cycle,
        LocalLevel,
        LocalLinearTrend,
        Regression,
        Seasonal,
    )
    from seqkit.models.structural.structural import Structural
    from seqkit.persistence import load

__all__ = ["__version__", *(name for names in _PUBLIC.values() for name in names), *_ROOMS]

__getattr__, __dir__ = lazily(__name__, _PUBLIC, _ROOMS)
