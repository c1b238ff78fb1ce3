"""Log-likelihood, score and Fisher information of a univariate state-space model, by one pass forward.

Every statement of the filter is followed by its derivative. Against the backward pass of `kalman.score`, which costs
less per parameter where there are many, this stores nothing per row, needs no smoothed covariance, and gives
the information matrix as well (Harvey 1989, section 3.4.5): what a structural model with a handful of parameters
and up to hundreds of states wants. The transition is constant and sparse, noises are uncorrelated.

The covariance P, its derivatives, the diffuse part P_inf and its derivatives are `layers` of one array, row i of all
layers side by side: every step is a long loop over all of them, which runs and compiles faster than many short ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

COMPILED: dict[str, Any] = {
    "cache": True,
    "nogil": True,
    "error_model": "numpy",
    "fastmath": {"reassoc", "contract", "nsz"},
}
INNER: dict[str, Any] = {
    **COMPILED,
    "cache": False,
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
}  # parts, never called from Python: without the wrappers for that
DIFFUSE_TOLERANCE = 1e-9  # of z'P_inf z relative to its terms, below which a value says nothing new
SETTLED = 1e-14  # relative change at which a gain counts as converged
_LOG_2PI = float(np.log(2 * np.pi))


@njit(**INNER)
def copy(source, target):  # type: ignore[no-untyped-def]
    for j in range(len(target)):
        target[j] = source[j]


@njit(**INNER)
def carry(  # type: ignore[no-untyped-def]
    starts, columns, weights, dweights, turning, sums, runs, q, S, out, layers, diffuse, u,
):  # fmt: skip
    """out <- A P A' + Q for every layer P of S, and the derivatives of it.

    A has the elements `weights` of row i at starts[i] .. starts[i + 1] - 1, in `columns`. `runs` (R, 3) are the first
    row, first column and length of stretches in which A only shifts: there the elements of P move along the
    diagonal; `sums` are all other rows. Layers from `diffuse` on are P_inf and its derivatives, to which no noise is
    added.
    """
    n, width = len(S), layers * len(S)
    for run in range(len(runs)):
        for i in range(runs[run, 2]):
            source, target = S[runs[run, 1] + i], out[runs[run, 0] + i]
            for other in range(len(runs)):
                shift = runs[other, 1] - runs[other, 0]
                if other == 0:  # the whole row at once; what does not belong is overwritten
                    first = max(0, -shift)
                    last = min(width, width - shift)
                    copy(source[first + shift : last + shift], target[first:last])
                    continue
                for layer in range(layers):
                    first = layer * n + runs[other, 0]
                    last = first + runs[other, 2]
                    copy(source[first + shift : last + shift], target[first:last])
    for a in range(len(sums)):
        i = sums[a]
        for j in range(width):
            u[j] = 0.0
        for e in range(starts[i], starts[i + 1]):
            weight, source = weights[e], S[columns[e]]
            for j in range(width):
                u[j] += weight * source[j]
        for layer in range(layers):
            part, target = u[layer * n : (layer + 1) * n], out[i, layer * n : (layer + 1) * n]
            for b in range(a + 1):
                total = 0.0
                for e in range(starts[sums[b]], starts[sums[b] + 1]):
                    total += weights[e] * part[columns[e]]
                target[sums[b]] = total
                out[sums[b], layer * n + i] = total
            for run in range(len(runs)):
                to, begin, size = runs[run, 0], runs[run, 1], runs[run, 2]
                copy(part[begin : begin + size], target[to : to + size])
                column = out[to : to + size, layer * n + i]
                for j in range(size):
                    column[j] = part[begin + j]
    for layer in range(layers):
        head = 0 if layer < diffuse else diffuse
        if layer > head and turning[layer - head - 1]:  # dA P A' + A P dA'
            for i in range(n):
                for e in range(starts[i], starts[i + 1]):
                    weight, c = dweights[layer - head - 1, e], columns[e]
                    if weight == 0.0:
                        continue
                    for j in range(n):
                        total = 0.0
                        for f in range(starts[j], starts[j + 1]):
                            total += weights[f] * S[c, head * n + columns[f]]
                        out[i, layer * n + j] += weight * total
                        out[j, layer * n + i] += weight * total
        if layer < diffuse:
            for i in range(n):
                out[i, layer * n + i] += q[layer, i]


@njit(**INNER)
def shrink(S, M, F, K, work, layers, diffuse, base):  # type: ignore[no-untyped-def]
    """What a value takes from every layer, given M = P z and F = z'P z + r of each.

    The gain K = M/F is that of layer `base`: 0, or `diffuse` in a step that ends a direction of P_inf. In either case
    P <- P - M K' - K M' + F K K', and K (layers, n) receives the gain and its derivatives.
    """
    n, inverse = len(S), 1.0 / F[base]
    count = diffuse if base == 0 or layers > diffuse + 1 else 1  # gains that are not zero
    for k in range(diffuse):
        for i in range(n):
            gain = M[(base + k) * n + i] if k < count else 0.0
            if 0 < k < count:
                gain -= K[0, i] * F[base + k]
            K[k, i] = gain * inverse
    for layer in range(layers):
        for i in range(n):
            work[layer * n + i] = M[layer * n + i] - 0.5 * F[layer] * K[0, i]
    for i in range(n):
        gain = K[0, i]
        for layer in range(layers):
            left = work[layer * n + i]
            for j in range(n):
                S[i, layer * n + j] -= left * K[0, j] + gain * work[layer * n + j]
    if base == 0 or count == 1:
        return
    for i in range(n):
        work[i] = M[i] - F[0] * K[0, i]
    for i in range(n):
        for k in range(1, count):
            for j in range(n):
                S[i, k * n + j] -= work[i] * K[k, j] + K[k, i] * work[j]


@njit(**COMPILED)
def differentiate(  # type: ignore[no-untyped-def]
    y, Z, starts, columns, weights, dweights, turning, sums, runs, q, r, S, rank,
):  # fmt: skip
    """Log-likelihood of y (T,), NaN where missing, with its gradient and information in K parameters.

    Z : (T, n) or (1, n), the observation rows.
    starts, columns, weights : the sparse transition A; dweights (K, elements) its derivatives, turning (K,) which of
        them are not zero; sums, runs : the rows in which it adds, and the stretches in which it shifts (see `carry`).
    q : (1 + K, n), variances of the state noises and their derivatives; r : (1 + K,) those of the observation noise.
    S : (n, layers n), the first state's covariance P and its K derivatives; then, if the start is diffuse, P_inf
        and, if the transition turns, its K derivatives. Overwritten.
    rank : of P_inf.

    The first mean is zero. Diffuse steps are exact, after Durbin & Koopman (2012, sections 5.2 and 6.4). Returns
    (log-likelihood, sum of v^2 / F without the diffuse steps, gradient (K,), information (K, K), rank of what is still
    diffuse at the end, mean (n,) and covariance (n, n) of the filtered state of the last row).
    """
    length, n, own = len(y), q.shape[1], len(r)
    layers = S.shape[1] // n
    X, moved, W = np.zeros((n, own)), np.zeros((n, own)), np.empty_like(S)
    M, F, K = np.zeros(layers * n), np.empty(layers), np.zeros((own, n))
    work, errors = np.empty(layers * n), np.empty(own)
    value, quadratic = 0.0, 0.0
    gradient, information = np.zeros(own - 1), np.zeros((own - 1, own - 1))
    last, calm, settled = np.full(own * n, np.inf), 0, False
    for t in range(length):
        missing = np.isnan(y[t])
        settled = settled and not missing
        if rank == 0:
            layers = own
        if t > 0:
            for i in range(n):
                for k in range(own):
                    moved[i, k] = 0.0
                for e in range(starts[i], starts[i + 1]):
                    for k in range(own):
                        moved[i, k] += weights[e] * X[columns[e], k]
                    for k in range(1, own):
                        moved[i, k] += dweights[k - 1, e] * X[columns[e], 0]
            X, moved = moved, X
            if not settled:
                carry(
                    starts, columns, weights, dweights, turning, sums, runs, q, S, W, layers, own, work,
                )  # fmt: skip
                S, W = W, S
        if missing:
            calm = 0
            continue
        at = t if len(Z) > 1 else 0
        for k in range(own):
            errors[k] = 0.0 if k else y[t]
        for i in range(n):
            if Z[at, i] != 0.0:
                for k in range(own):
                    errors[k] -= Z[at, i] * X[i, k]
        base, size = 0, 0.0
        if not settled:
            for j in range(layers * n):
                M[j] = 0.0
            for i in range(n):
                if Z[at, i] != 0.0:
                    for j in range(layers * n):
                        M[j] += Z[at, i] * S[i, j]
            for layer in range(layers):
                F[layer] = r[layer] if layer < own else 0.0
                for i in range(n):
                    F[layer] += Z[at, i] * M[layer * n + i]
            if layers > own:
                for i in range(n):
                    size += S[i, own * n + i] * Z[at, i] * Z[at, i]
                if F[own] > DIFFUSE_TOLERANCE * size:
                    base = own
            if F[base] <= 0.0:  # the past determines this value
                continue
        inverse = 1.0 / F[base]
        scaled = errors[0] * inverse
        value -= 0.5 * (_LOG_2PI + np.log(F[base]))
        if base == 0:
            quadratic += errors[0] * scaled
            for k in range(own - 1):
                slope = F[k + 1] * inverse
                gradient[k] += 0.5 * slope * (errors[0] * scaled - 1.0) - errors[k + 1] * scaled
                for j in range(k + 1):
                    information[k, j] += 0.5 * slope * F[j + 1] * inverse
                    information[k, j] += errors[k + 1] * errors[j + 1] * inverse
        elif layers > own + 1:
            for k in range(own - 1):
                gradient[k] -= 0.5 * F[own + k + 1] * inverse
        if not settled:
            # a gain and its derivatives that stay for n values mean that the covariance moves no more
            same = rank == 0 and len(Z) == 1
            for j in range(own * n):
                same = same and abs(M[j] - last[j]) <= SETTLED * abs(F[j // n])
                last[j] = M[j]
            calm = calm + 1 if same else 0
            settled = calm >= n
            # without the diffuse layers where the value says nothing about them
            shrink(S, M, F, K, work, layers if base else own, own, base)
            if base:
                rank -= 1
        for i in range(n):
            for k in range(own):
                X[i, k] += K[0, i] * errors[k]
            for k in range(1, own):
                X[i, k] += K[k, i] * errors[0]
    for k in range(own - 1):
        for j in range(k):
            information[j, k] = information[k, j]
    value -= 0.5 * quadratic
    return value, quadratic, gradient, information, rank, X[:, 0].copy(), S[:, :n].copy()
