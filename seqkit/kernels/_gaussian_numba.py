"""Compiled densities of normal laws."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from ._vectors_numba import (
    add,
    address,
    get,
    load,
    multiply,
    multiply_add,
    put,
    splat,
    spread,
    store,
    subtract,
)

# Sums in any order; NaN keeps its meaning, since it marks what is missing.
OPTIONS: dict[str, Any] = {
    "cache": True,
    "nogil": True,
    "error_model": "numpy",
    "fastmath": {"reassoc", "contract", "nsz"},
}


@njit(**OPTIONS)
def diagonal(x, mean, half, constant, out, channels, states, width):  # type: ignore[no-untyped-def]
    """out[r, k] = sum over observed c of constant[c, k] - half[c, k] (x[r, c] - mean[c, k])^2; lanes are states.

    Arrays are flat: x (R * C), parameters (C, padded), out (R * K and 8 more).
    """
    values, means, halves, constants = address(x), address(mean), address(half), address(constant)
    found = address(out)
    for r in range(x.shape[0] // channels):
        for j in range(0, width, 8):
            total = splat(0.0)
            for c in range(channels):
                v = get(values, r * channels + c)
                if v == v:
                    at = c * width + j
                    d = subtract(splat(v), load(means, at))
                    total = add(total, load(constants, at))
                    total = subtract(total, multiply(load(halves, at), multiply(d, d)))
            store(found, r * states + j, total)  # what is too much is overwritten by the next row


@njit(**OPTIONS)
def full(x, mean, factor, constant, out, channels, states, width):  # type: ignore[no-untyped-def]
    """out[r, k] = constant[k] - |factor[k] (x[r] - mean[k])|^2 / 2, nothing missing; lanes are states.

    factor (C (C + 1) / 2, padded): rows of the lower triangles.
    """
    values, means, factors, constants = (
        address(x),
        address(mean),
        address(factor),
        address(constant),
    )
    found, room = address(out), np.empty(8 * channels)
    errors = address(room)
    for r in range(x.shape[0] // channels):
        for j in range(0, width, 8):
            for c in range(channels):
                d = subtract(spread(values, r * channels + c), load(means, c * width + j))
                store(errors, 8 * c, d)
            total, place = splat(0.0), j
            for i in range(channels):
                z = splat(0.0)
                for c in range(i + 1):
                    z = multiply_add(load(factors, place), load(errors, 8 * c), z)
                    place += width
                total = multiply_add(z, z, total)
            store(found, r * states + j, multiply_add(splat(-0.5), total, load(constants, j)))
    put(errors, 0, room[0])  # an array lives until it is last named
