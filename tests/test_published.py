"""Published scores of the M4 competition (Makridakis, Spiliotis & Assimakopoulos 2020), to three decimals.

Needs the competition's data: set SEQKIT_DATA to the folder that holds them.
"""

from __future__ import annotations

import os

import pytest

import seqkit

pytestmark = pytest.mark.skipif(
    not os.environ.get("SEQKIT_DATA"), reason="SEQKIT_DATA is not set; the M4 data are not shipped"
)


@pytest.mark.parametrize(
    ("name", "horizon", "season", "published"),
    [
        ("m4_hourly", 48, 24, {"naive2": (18.383, 2.395, 1.0), "theta": (18.138, 2.455, 1.006)}),
        ("m4_weekly", 13, 1, {"naive2": (9.161, 2.777, 1.0), "theta": (9.093, 2.637, 0.971)}),
    ],
)
def test_m4_benchmarks(name, horizon, season, published):
    result = seqkit.compare(
        {"naive2": seqkit.Naive2(season=season), "theta": seqkit.Theta(season=season)},
        {name: seqkit.datasets.load(name)},
        horizon=horizon,
        metrics=["smape", "mase", "owa"],
        season=season,
    )
    for model, scores in published.items():
        found = result.leaderboard.loc[(name, model), ["smape", "mase", "owa"]]
        assert found.astype(float).round(3).tolist() == pytest.approx(list(scores), abs=1e-9)
