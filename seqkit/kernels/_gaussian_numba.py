"""Compiled densities of normal laws.

Each kernel is compiled when first asked for, and once: its signature takes writable and read-only arrays alike.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numba import njit, types

# Sums in any order; NaN keeps its meaning, since it marks what is missing.
_OPTIONS: dict[str, Any] = {
    "cache": True,
    "nogil": True,
    "error_model": "numpy",
    "fastmath": {"reassoc", "contract", "nsz"},
}
_GIVEN = types.Array(types.float64, 2, "C", readonly=True)
_VECTOR = types.Array(types.float64, 1, "C", readonly=True)
_BLOCKS = types.Array(types.float64, 3, "C", readonly=True)
_OUT = types.float64[:, ::1]
BLOCK = 256  # rows worked on together: a block of all channels stays in the first-level cache


def _diagonal(x, mean, half, constant, out):  # type: ignore[no-untyped-def]
    """out[r, k] += sum over observed c of constant[c, k] - half[c, k] (x[r, c] - mean[c, k])^2.

    The lanes are states, or rows where there are few states. Few loops: each that is vectorised costs 0.2 s to compile.
    """
    states, channels = out.shape[1], x.shape[1]
    for start in range(0, x.shape[0] if states < 8 else 0, BLOCK):
        stop = min(start + BLOCK, x.shape[0])
        for c in range(channels):
            for k in range(states):
                m, h, a = mean[c, k], half[c, k], constant[c, k]
                for r in range(start, stop):
                    v = x[r, c]
                    d = v - m
                    out[r, k] += a - h * d * d if v == v else 0.0
    for r in range(0 if states >= 8 else x.shape[0], x.shape[0]):
        row = out[r]
        for c in range(channels):
            v = x[r, c]
            if v == v:
                for k in range(states):
                    d = v - mean[c, k]
                    row[k] += constant[c, k] - half[c, k] * d * d


def _full(x, mean, factor, constant, out):  # type: ignore[no-untyped-def]
    """out[r, k] = constant[k] - |factor[k] (x[r] - mean[k])|^2 / 2, factor[k] lower triangular; nothing is missing.

    The lanes are rows: sums stay in registers whatever the number of states.
    """
    channels = x.shape[1]
    total, z = np.empty(BLOCK), np.empty(BLOCK)
    columns, errors = np.zeros((channels, BLOCK)), np.empty((channels, BLOCK))
    for start in range(0, x.shape[0], BLOCK):
        n = min(BLOCK, x.shape[0] - start)
        for b in range(n):
            for c in range(channels):
                columns[c, b] = x[start + b, c]
        for k in range(mean.shape[0]):
            for c in range(channels):
                m, column, error = mean[k, c], columns[c], errors[c]
                for b in range(BLOCK):
                    error[b] = column[b] - m
            for b in range(BLOCK):
                total[b] = 0.0
            for i in range(channels):
                f, error = factor[k, i, 0], errors[0]
                for b in range(BLOCK):
                    z[b] = f * error[b]
                for j in range(1, i + 1):
                    f, error = factor[k, i, j], errors[j]
                    for b in range(BLOCK):
                        z[b] += f * error[b]
                for b in range(BLOCK):
                    total[b] += z[b] * z[b]
            for b in range(n):
                out[start + b, k] = constant[k] - 0.5 * total[b]


@cache
def diagonal() -> Any:
    signature = types.void(_GIVEN, _GIVEN, _GIVEN, _GIVEN, _OUT)
    return njit(signature, **_OPTIONS)(_diagonal)


@cache
def full() -> Any:
    signature = types.void(_GIVEN, _GIVEN, _BLOCKS, _VECTOR, _OUT)
    return njit(signature, **_OPTIONS)(_full)
