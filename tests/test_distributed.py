"""A Dask cluster of two worker processes, through joblib's own backend, gives the numbers of a serial run."""

from __future__ import annotations

import pandas as pd
import pytest

import seqkit

distributed = pytest.importorskip("distributed")
pytestmark = pytest.mark.filterwarnings("ignore")  # the cluster's own start and stop


def test_dask_gives_the_same_numbers(tmp_path):
    import joblib

    y = seqkit.datasets.load("airline")
    panel = {f"series {i}": y.iloc[: 100 + i] for i in range(6)}
    models = {
        "naive2": seqkit.Naive2(),
        "ar": seqkit.AR("aic"),
        "pooled ar": seqkit.AR(12, panel="global", scale=seqkit.Standard()),
        "broken": seqkit.AR(90),
    }
    settings = {"horizon": 6, "windows": 2, "metrics": ["mase", "crps", "coverage-80"]}
    data = {"airline": y, "panel": panel}
    serial = seqkit.compare(models, data, n_jobs=1, **settings)
    cluster = distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        dashboard_address=None,
        local_directory=str(tmp_path),
    )
    with cluster, distributed.Client(cluster) as client:
        with joblib.parallel_config(backend="dask"):
            shared = seqkit.compare(models, data, n_jobs=-1, **settings)
        workers = client.run(
            lambda: len([m for m in __import__("sys").modules if m == "seqkit.base"])
        )
    assert sum(workers.values()) >= 1  # the work was done there
    pd.testing.assert_frame_equal(serial.scores, shared.scores)
    pd.testing.assert_frame_equal(serial.horizon_scores, shared.horizon_scores)
    assert len(serial.failures) == len(shared.failures) > 0
