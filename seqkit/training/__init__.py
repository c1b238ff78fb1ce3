"""Training by gradients: one loop, and the rules, schedules, samplers and averages that it takes.

``training.fit(task, data, ...)`` trains anything with ``loss(batch) -> (sum, count)``; a `Trainer` holds the options.
Nothing here loads torch before training begins.
"""

from .averaging import EMA, SWA, Averaging
from .data import Batch, TensorData
from .history import History
from .optimizers import LBFGS, SGD, Adam, AdamW, Optimizer, RMSProp
from .sampling import Bucketed, Grouped, InOrder, Sampler, Shuffle
from .schedules import (
    ConstantRate,
    CosineDecay,
    CosineRestarts,
    ExponentialDecay,
    InverseDecay,
    LinearDecay,
    OneCycle,
    Schedule,
    StepDecay,
    Warmup,
)
from .trainer import Trainer, fit

__all__ = [
    "EMA", "LBFGS", "SGD", "SWA", "Adam", "AdamW", "Averaging", "Batch", "Bucketed", "ConstantRate", "CosineDecay",
    "CosineRestarts", "ExponentialDecay", "Grouped", "History", "InOrder", "InverseDecay", "LinearDecay", "OneCycle",
    "Optimizer", "RMSProp", "Sampler", "Schedule", "Shuffle", "StepDecay", "TensorData", "Trainer", "Warmup", "fit",
]  # fmt: skip
