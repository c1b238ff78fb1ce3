"""AR and VAR against statsmodels, through the public interface of both.

pip install seqkit[bench]
python benchmarks/autoregression.py
"""

from harness import machine, race  # before NumPy: it sets the number of threads

# isort: split
import numpy as np
from statsmodels.regression.linear_model import burg, yule_walker
from statsmodels.tsa.api import VAR
from statsmodels.tsa.ar_model import AutoReg, ar_select_order

import seqkit


def stationary(length: int, channels: int = 1) -> np.ndarray:
    rng = np.random.default_rng(0)
    y = rng.normal(size=(length, channels))
    for t in range(2, length):
        y[t] += 0.6 * y[t - 1] - 0.2 * y[t - 2]
    return y[:, 0] if channels == 1 else y


def main() -> None:
    print(machine())
    short, long, wide = stationary(10_000), stationary(1_000_000), stationary(10_000, 10)
    walk = short.cumsum().cumsum()  # the guarded path: QR instead of normal equations
    rows = [
        race("order selection 1..24, T = 10,000",
             lambda: seqkit.AR("aic", max_order=24).fit(short),
             "ar_select_order", lambda: ar_select_order(short, 24), goal=500),
        race("AR(12) with standard errors, T = 10,000",
             lambda: seqkit.AR(12).fit(short).standard_errors_,
             "AutoReg.fit", lambda: AutoReg(short, 12).fit().bse),
        race("AR(12) with standard errors, T = 1,000,000",
             lambda: seqkit.AR(12).fit(long).standard_errors_,
             "AutoReg.fit", lambda: AutoReg(long, 12).fit().bse, repeats=5, goal=250),
        race("AR(12) on an I(2) series (QR path), T = 10,000",
             lambda: seqkit.AR(12).fit(walk).standard_errors_,
             "AutoReg.fit", lambda: AutoReg(walk, 12).fit().bse),
        race("VAR(2), 10 channels, T = 10,000",
             lambda: seqkit.VAR(2).fit(wide),
             "VAR.fit", lambda: VAR(wide).fit(2), goal=20),
        race("Yule-Walker(12), T = 10,000",
             lambda: seqkit.AR(12, method="yule-walker").fit(short),
             "yule_walker", lambda: yule_walker(short, 12, result_object=True)),
        race("Burg(12), T = 10,000", lambda: seqkit.AR(12, method="burg").fit(short),
             "burg", lambda: burg(short, 12)),
    ]  # fmt: skip
    missed = [row.name for row in rows if row.goal is not None and row.ratio < row.goal]
    print("all goals reached" if not missed else f"below the goal: {', '.join(missed)}")


if __name__ == "__main__":
    main()
