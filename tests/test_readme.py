"""The README's Python lines run as written, and so do the tutorials."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest

import seqkit

ROOT = Path(seqkit.__file__).parent.parent
TUTORIALS = sorted((ROOT / "tutorials").glob("[0-9]*.py"))


def test_readme_runs_as_written(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    matplotlib.use("agg")
    y = seqkit.datasets.load("airline")
    months = pd.date_range("1961-01-01", periods=12, freq="MS")
    rng = np.random.default_rng(0)
    names = {
        "rng": rng,
        "actual": pd.Series(np.linspace(400, 500, 12), index=months),
        "new_points": pd.Series([450.0, 425.0], index=months[:2]),
        "prices": pd.DataFrame({"price": rng.normal(size=144)}, index=y.index),
        "frame": pd.DataFrame(rng.normal(size=(40, 2)).cumsum(0), columns=["a", "b"]).mask(
            rng.random((40, 2)) < 0.1
        ),
        "future_prices": pd.DataFrame({"price": rng.normal(size=12)}, index=months),
    }
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(blocks) >= 5
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    assert (tmp_path / "report.html").stat().st_size > 10_000
    assert "AR(" in capsys.readouterr().out
    assert names["result"].leaderboard.loc[("airline", "ets"), "mase"] < 1


@pytest.mark.parametrize("script", TUTORIALS, ids=[p.stem for p in TUTORIALS])
def test_tutorial_runs(script, tmp_path):
    command = [sys.executable, "-W", "error", str(script), str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stderr[-2000:]
    assert len(list(tmp_path.glob("*.png"))) >= 2
    assert len(run.stdout.splitlines()) > 30
