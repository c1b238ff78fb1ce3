"""Every public forecaster, in the settings that the conformance suite runs. A new family adds its line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import seqkit
from seqkit import nn


@dataclass(frozen=True)
class Case:
    """`make` builds the model; `channels` is how many it needs; `missing`: whether `fit` takes missing values."""

    make: Callable[[], seqkit.base.Forecaster]
    channels: int = 1
    missing: bool = True


FORECASTERS = {
    "Naive": Case(lambda: seqkit.Naive()),
    "SeasonalNaive": Case(lambda: seqkit.SeasonalNaive()),
    "Drift": Case(lambda: seqkit.Drift()),
    "Mean": Case(lambda: seqkit.Mean()),
    "Naive2": Case(lambda: seqkit.Naive2()),
    "Theta": Case(lambda: seqkit.Theta()),
    "ETS": Case(lambda: seqkit.ETS(error="add", trend="damped", seasonal="add")),
    "ETS-multiplicative": Case(lambda: seqkit.ETS(error="mul", trend=None, seasonal="mul")),
    "AutoARIMA": Case(lambda: seqkit.AutoARIMA(order=(1, 0, 1), seasonal_order=(0, 1, 1))),
    "AR": Case(lambda: seqkit.AR(3)),
    "AR-lags": Case(lambda: seqkit.AR([1, 12], trend="ct")),
    "AR-seasonal": Case(lambda: seqkit.AR(2, season=12)),
    "AR-aic": Case(lambda: seqkit.AR("aic", max_order=6)),
    "AR-yule-walker": Case(lambda: seqkit.AR(3, method="yule-walker")),
    "AR-burg": Case(lambda: seqkit.AR(3, method="burg"), missing=False),
    "AR-mle": Case(lambda: seqkit.AR(2, method="mle")),
    "AR-ridge": Case(lambda: seqkit.AR(3, ridge=1e-3)),
    "AR-bootstrap": Case(lambda: seqkit.AR(3, intervals="bootstrap", draws=200)),
    "AR-log-differences": Case(
        lambda: seqkit.AR(2, scale=seqkit.Chain(seqkit.Log(), seqkit.Difference()))
    ),
    "AR-global": Case(lambda: seqkit.AR(3, panel="global", scale=seqkit.Standard())),
    "ARMA": Case(lambda: seqkit.ARMA(1, 1)),
    "LocalLevel": Case(lambda: seqkit.LocalLevel()),
    "LocalLinearTrend": Case(lambda: seqkit.LocalLinearTrend()),
    "Structural": Case(lambda: seqkit.LocalLinearTrend() + seqkit.Seasonal(12)),
    "Structural-AR": Case(lambda: seqkit.LocalLevel() + seqkit.AR(1)),
    "LDS": Case(lambda: seqkit.LDS(2, tol=1e-4), channels=2),
    "LDS-mle": Case(lambda: seqkit.LDS(1, method="mle")),
    "ConstantVelocity": Case(lambda: seqkit.ConstantVelocity(), channels=2),
    "HMM": Case(lambda: seqkit.HMM(2, n_init=2, max_iter=50, tol=1e-6)),
    "HMM-student-t": Case(
        lambda: seqkit.HMM(2, seqkit.StudentT(), "left-right", max_iter=3, tol=1)
    ),
    "HMM-full": Case(
        lambda: seqkit.HMM(2, seqkit.Normal(covariance="full"), tol=1e-4, scale=seqkit.Standard()),
        channels=2,
    ),
    "VAR": Case(lambda: seqkit.VAR(2), channels=2),
    "TDNN": Case(lambda: seqkit.TDNN(12, 6, seasonal=12, hidden=(8,), steps=8)),
    "TDNN-student-t": Case(
        lambda: seqkit.TDNN(
            6, 2, seqkit.StudentT(), seasonal=1, hidden=(8,), steps=8, draws=20, ensemble=2
        )
    ),
    "TDNN-each": Case(lambda: seqkit.TDNN(12, 4, seasonal=1, hidden=(), steps=8, panel="each")),
    "TDNN-joint": Case(
        lambda: seqkit.TDNN(6, 4, hidden=(8, 8), dilations=(1, 2), steps=8, channels="joint"),
        channels=2,
    ),
    "LSTM": Case(lambda: seqkit.LSTMForecaster(12, 6, seasonal=12, hidden=8, steps=8)),
    "LSTM-decoder": Case(
        lambda: seqkit.LSTMForecaster(
            12, 4, seqkit.StudentT(), seasonal=12, hidden=8, steps=8, draws=20, decoder=True
        )
    ),
    "GRU-recursive": Case(
        lambda: seqkit.GRUForecaster(
            12, 4, hidden=8, mode="recursive", seasonal=12, steps=8, draws=20, ensemble=2
        )
    ),
    "RNN-recursive": Case(
        lambda: seqkit.RNNForecaster(
            12, 4, nn.Huber(), hidden=8, mode="recursive", seasonal=1, steps=8, draws=20
        )
    ),
    "Core-recursive-joint": Case(
        lambda: seqkit.forecaster(
            nn.GRU(8, layers=2, dilations=(1, 2), learn_initial=True),
            12,
            4,
            mode="recursive",
            seasonal=12,
            steps=8,
            draws=20,
            channels="joint",
        ),
        channels=2,
    ),
    "ESRNN": Case(lambda: seqkit.ESRNN(12, 6, core=nn.LSTM(8), seasonal=12, steps=8)),
    "ESRNN-joint": Case(
        lambda: seqkit.ESRNN(
            12,
            4,
            nn.Huber(),
            nn.GRU(8),
            seasonal=4,
            steps=8,
            draws=20,
            ensemble=2,
            channels="joint",
        ),
        channels=2,
    ),
    "Conformal": Case(lambda: seqkit.Conformal(seqkit.AR(3), windows=30)),
}
