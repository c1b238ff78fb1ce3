"""Metrics, splits, backtests, comparisons: this room knows models only by their contract."""

from __future__ import annotations

from seqkit.evaluation import metrics
from seqkit.evaluation.backtest import backtest
from seqkit.evaluation.compare import compare, cross_validate
from seqkit.evaluation.comparison import Comparison
from seqkit.evaluation.curves import learning_curve, validation_curve
from seqkit.evaluation.difference import (
    DieboldMariano,
    Ranks,
    diebold_mariano,
    friedman_nemenyi,
)
from seqkit.evaluation.folds import KFold, LeaveOneOut, Stratified
from seqkit.evaluation.naive2 import naive2
from seqkit.evaluation.nested import nested_cross_validate
from seqkit.evaluation.search import Search, search
from seqkit.evaluation.space import Integer, LogInteger, LogUniform, Uniform
from seqkit.evaluation.splits import BlockedKFold, HoldOut, RollingOrigin

__all__ = [
    "BlockedKFold",
    "Comparison",
    "DieboldMariano",
    "HoldOut",
    "Integer",
    "KFold",
    "LeaveOneOut",
    "LogInteger",
    "LogUniform",
    "Ranks",
    "RollingOrigin",
    "Search",
    "Stratified",
    "Uniform",
    "backtest",
    "compare",
    "cross_validate",
    "diebold_mariano",
    "friedman_nemenyi",
    "learning_curve",
    "metrics",
    "naive2",
    "nested_cross_validate",
    "search",
    "validation_curve",
]
