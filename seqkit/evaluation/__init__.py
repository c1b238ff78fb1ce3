"""Metrics, splits, backtests, comparisons: this room knows models only by their contract."""

from __future__ import annotations

from seqkit.evaluation import metrics
from seqkit.evaluation.backtest import backtest
from seqkit.evaluation.compare import compare, cross_validate
from seqkit.evaluation.comparison import Comparison
from seqkit.evaluation.difference import (
    DieboldMariano,
    Ranks,
    diebold_mariano,
    friedman_nemenyi,
)
from seqkit.evaluation.naive2 import naive2
from seqkit.evaluation.splits import BlockedKFold, HoldOut, RollingOrigin

__all__ = [
    "BlockedKFold",
    "Comparison",
    "DieboldMariano",
    "HoldOut",
    "Ranks",
    "RollingOrigin",
    "backtest",
    "compare",
    "cross_validate",
    "diebold_mariano",
    "friedman_nemenyi",
    "metrics",
    "naive2",
]
