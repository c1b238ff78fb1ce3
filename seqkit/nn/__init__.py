"""Torch modules that map features to features, and what reads a distribution out of them.

A *core* maps (batch, time, inputs) and a mask to (batch, time, size). A causal core also has
`initial(batch)` and `step(x_t, state)`, which unrolled over time equal `forward`. Names are imported
when first used, so that a head can be written down as a hyper-parameter without loading torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_PUBLIC = {
    "activations": ["ACTIVATIONS", "activation"],
    "initialisation": ["INITIALISATIONS", "initialise"],
    "normalisation": ["BatchNorm", "LayerNorm", "norm"],
    "feedforward": ["FeedForward"],
    "layers": ["ResidualBlock"],
    "tdnn": ["TimeDelay"],
    "cores": ["Bidirectional", "Core", "GRU", "LSTM", "MLP", "RNN", "RecurrentCore", "TDNN"],
    "cells": ["Cell", "GRUCell", "LSTMCell", "RNNCell"],
    "recurrent": ["Recurrent", "map_state"],
    "bidirectional": ["BothDirections"],
    "attention": ["AttentionPooling", "last_pooling", "max_pooling", "mean_pooling"],
    "heads": [
        "Absolute", "Binary", "Classes", "FamilyHead", "Head", "Huber", "MixtureHead", "PointHead", "QuantileHead",
        "Squared", "as_head",
    ],
    "perceptron": ["Hebbian", "Perceptron", "exclusive_or", "threshold"],
}  # fmt: skip
_HOME = {name: module for module, names in _PUBLIC.items() for name in names}

if TYPE_CHECKING:
    from .activations import ACTIVATIONS, activation
    from .attention import AttentionPooling, last_pooling, max_pooling, mean_pooling
    from .bidirectional import BothDirections
    from .cells import Cell, GRUCell, LSTMCell, RNNCell
    from .cores import GRU, LSTM, MLP, RNN, TDNN, Bidirectional, Core, RecurrentCore
    from .feedforward import FeedForward
    from .heads import (
        Absolute,
        Binary,
        Classes,
        FamilyHead,
        Head,
        Huber,
        MixtureHead,
        PointHead,
        QuantileHead,
        Squared,
        as_head,
    )
    from .initialisation import INITIALISATIONS, initialise
    from .layers import ResidualBlock
    from .normalisation import BatchNorm, LayerNorm, norm
    from .perceptron import Hebbian, Perceptron, exclusive_or, threshold
    from .recurrent import Recurrent, map_state
    from .tdnn import TimeDelay

__all__ = [
    "ACTIVATIONS",
    "Absolute",
    "AttentionPooling",
    "BatchNorm",
    "Bidirectional",
    "Binary",
    "BothDirections",
    "Cell",
    "Classes",
    "Core",
    "FamilyHead",
    "FeedForward",
    "GRU",
    "GRUCell",
    "Head",
    "Hebbian",
    "Huber",
    "INITIALISATIONS",
    "LSTM",
    "LSTMCell",
    "LayerNorm",
    "MLP",
    "MixtureHead",
    "Perceptron",
    "PointHead",
    "QuantileHead",
    "RNN",
    "RNNCell",
    "Recurrent",
    "RecurrentCore",
    "ResidualBlock",
    "Squared",
    "TDNN",
    "TimeDelay",
    "activation",
    "as_head",
    "exclusive_or",
    "initialise",
    "last_pooling",
    "map_state",
    "max_pooling",
    "mean_pooling",
    "norm",
    "threshold",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
