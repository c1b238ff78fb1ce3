"""Torch modules that map features to features, and what reads a distribution out of them.

A *core* maps (batch, time, inputs) and a mask to (batch, time, size). A causal core also has
`initial(batch)` and `step(x_t, state)`, which unrolled over time equal `forward`. Names are imported
when first used, so that a head can be written down as a hyper-parameter without loading torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from seqkit._lazy import lazily

_PUBLIC = {
    "cross_attention": ["AdditiveAttention", "CrossAttention", "DotAttention"],
    "activations": ["ACTIVATIONS", "activation"],
    "initialisation": ["INITIALISATIONS", "initialise"],
    "normalisation": ["BatchNorm", "LayerNorm", "norm"],
    "feedforward": ["FeedForward"],
    "layers": ["ResidualBlock"],
    "tdnn": ["TimeDelay"],
    "cores": ["Bidirectional", "Core", "GRU", "LSTM", "MLP", "RNN", "RecurrentCore", "Stack", "TDNN"],
    "cells": ["Cell", "GRUCell", "LSTMCell", "RNNCell"],
    "recurrent": ["Recurrent", "map_state"],
    "bidirectional": ["BothDirections"],
    "stack": ["CoreStack"],
    "ctc": ["ctc_loss", "frames_needed"],
    "crf": ["CRF", "bio"],
    "words": ["WordLayer"],
    "attention": ["AttentionPooling", "last_pooling", "max_pooling", "mean_pooling"],
    "heads": [
        "Absolute", "Binary", "Classes", "FamilyHead", "Head", "Huber", "MixtureHead", "PointHead", "QuantileHead",
        "Squared", "as_head",
    ],
    "perceptron": ["Hebbian", "Perceptron", "exclusive_or", "threshold"],
}  # fmt: skip

if TYPE_CHECKING:
    from .activations import ACTIVATIONS, activation
    from .attention import AttentionPooling, last_pooling, max_pooling, mean_pooling
    from .bidirectional import BothDirections
    from .cells import Cell, GRUCell, LSTMCell, RNNCell
    from .cores import GRU, LSTM, MLP, RNN, TDNN, Bidirectional, Core, RecurrentCore, Stack
    from .crf import CRF, bio
    from .cross_attention import AdditiveAttention, CrossAttention, DotAttention
    from .ctc import ctc_loss, frames_needed
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
    from .stack import CoreStack
    from .tdnn import TimeDelay
    from .words import WordLayer

__all__ = [
    "ACTIVATIONS",
    "Absolute",
    "AdditiveAttention",
    "AttentionPooling",
    "BatchNorm",
    "Bidirectional",
    "Binary",
    "BothDirections",
    "CRF",
    "Cell",
    "Classes",
    "Core",
    "CoreStack",
    "CrossAttention",
    "DotAttention",
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
    "Stack",
    "TDNN",
    "TimeDelay",
    "WordLayer",
    "activation",
    "as_head",
    "bio",
    "ctc_loss",
    "exclusive_or",
    "frames_needed",
    "initialise",
    "last_pooling",
    "map_state",
    "max_pooling",
    "mean_pooling",
    "norm",
    "threshold",
]

__getattr__, __dir__ = lazily(__name__, _PUBLIC)
