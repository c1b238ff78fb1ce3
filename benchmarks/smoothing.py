"""ETS, Theta and ARIMA against statsmodels, each fitting the same form to the airline series.

pip install seqkit[bench]
python benchmarks/smoothing.py
"""

import warnings

from harness import machine, race  # before NumPy: it sets the number of threads

# isort: split
import numpy as np
from statsmodels.tsa.exponential_smoothing.ets import ETSModel
from statsmodels.tsa.forecasting.theta import ThetaModel
from statsmodels.tsa.statespace.sarimax import SARIMAX

import seqkit


def main() -> None:
    warnings.simplefilter("ignore")  # statsmodels' convergence warnings
    print(machine())
    y = seqkit.datasets.load("airline")
    log_y = np.log(y)
    additive = {"error": "add", "trend": "add", "seasonal": "add"}
    race(
        "ETS(A,A,A), log airline",
        lambda: seqkit.ETS(**additive).fit(log_y),
        "ETSModel.fit",
        lambda: ETSModel(log_y, **additive, seasonal_periods=12).fit(disp=False),
        repeats=5,
    )
    race(
        "ETS, best of all admissible forms, airline",
        lambda: seqkit.ETS().fit(y),
        "one ETSModel(M,Ad,M)",
        lambda: ETSModel(
            y, error="mul", trend="add", damped_trend=True, seasonal="mul", seasonal_periods=12
        ).fit(disp=False),
        repeats=5,
    )
    race(
        "Theta, airline",
        lambda: seqkit.Theta().fit(y),
        "ThetaModel.fit",
        lambda: ThetaModel(y, period=12).fit(),
        repeats=5,
    )
    race(
        "ARIMA(0,1,1)(0,1,1)12, log airline",
        lambda: seqkit.AutoARIMA(order=(0, 1, 1), seasonal_order=(0, 1, 1)).fit(log_y),
        "SARIMAX.fit",
        lambda: SARIMAX(log_y, order=(0, 1, 1), seasonal_order=(0, 1, 1, 12)).fit(disp=False),
        repeats=5,
    )


if __name__ == "__main__":
    main()
