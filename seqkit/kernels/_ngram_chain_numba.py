"""Compiled loops of `seqkit.kernels.ngram_chain`; shapes and meaning are described there.

A state is a pair of labels (the one before, this one). Step t has only the candidates of its word, so a table
of pairs has width(t - 1) x width(t) cells; the steps before the first one have one candidate, the boundary.
"""

from __future__ import annotations

from math import exp, inf, log
from typing import Any

import numpy as np
from numba import njit

# Parts, never called from Python: compiled without the wrappers for that, and anew with what calls them.
PARTS: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
inner = njit(**PARTS)


@njit(cache=True, inline="always")
def _span(t, start, words, first, edge):  # type: ignore[no-untyped-def]
    """Where the candidates of step t begin in the list of labels, and how many there are."""
    if t < start:
        return edge, 1
    word = words[t]
    return first[word], first[word + 1] - first[word]


@inner
def _cells(start, stop, words, first, edge):  # type: ignore[no-untyped-def]
    """Where the table of every step of a sequence begins, when they follow each other; the last entry is their size."""
    begin = np.empty(stop - start + 1, np.int64)
    size, before = 0, 1
    for t in range(start, stop):
        begin[t - start] = size
        width = _span(t, start, words, first, edge)[1]
        size += before * width
        before = width
    begin[stop - start] = size
    return begin


@inner
def _widest(words, first):  # type: ignore[no-untyped-def]
    widest = 1
    for t in range(len(words)):
        widest = max(widest, first[words[t] + 1] - first[words[t]])
    return widest


@njit(cache=True)
def viterbi(transition, words, offsets, first, labels, weight):  # type: ignore[no-untyped-def]
    """The best labels of every sequence and their scores; labels[-1] is the boundary, with weight 0."""
    edge = len(labels) - 1
    boundary = labels[edge]
    widest = _widest(words, first)
    best = np.empty((widest, widest))
    after = np.empty((widest, widest))
    path = np.empty(len(words), np.int64)
    score = np.empty(len(offsets) - 1)
    for n in range(len(offsets) - 1):
        start, stop = offsets[n], offsets[n + 1]
        begin = _cells(start, stop, words, first, edge)
        pointer = np.empty(begin[-1], np.int32)
        best[0, 0] = 0.0
        a, wide_a, b, wide_b = edge, 1, edge, 1
        for t in range(start, stop):
            c, wide_c = _span(t, start, words, first, edge)
            cell = begin[t - start]
            for j in range(wide_b):
                for k in range(wide_c):
                    after[j, k] = -inf
                    pointer[cell + j * wide_c + k] = 0
                for i in range(wide_a):  # outside, so that a row of the transitions is read at once
                    row = transition[labels[a + i], labels[b + j]]
                    base = best[i, j]
                    for k in range(wide_c):
                        value = base + row[labels[c + k]]
                        if value > after[j, k]:
                            after[j, k] = value
                            pointer[cell + j * wide_c + k] = i
                for k in range(wide_c):
                    after[j, k] += weight[c + k]
            best, after = after, best
            a, wide_a, b, wide_b = b, wide_b, c, wide_c
        top, j, k = -inf, 0, 0
        for i in range(wide_a):
            for m in range(wide_b):
                value = best[i, m] + transition[labels[a + i], labels[b + m], boundary]
                if value > top:
                    top, j, k = value, i, m
        score[n] = top
        for t in range(stop - 1, start - 1, -1):
            c, wide_c = _span(t, start, words, first, edge)
            path[t] = labels[c + k]
            j, k = pointer[begin[t - start] + j * wide_c + k], j
    return path, score


@inner
def _forward(transition, words, start, stop, first, labels, weight, begin, alpha, widest):  # type: ignore[no-untyped-def]
    """Logs of p(pair | words so far) into `alpha`, table by table; returns log p(words and the end)."""
    edge = len(labels) - 1
    boundary = labels[edge]
    total, lost, last = 0.0, 0.0, -1
    top = np.empty(widest)
    a, wide_a, b, wide_b = edge, 1, edge, 1
    for t in range(start, stop):
        c, wide_c = _span(t, start, words, first, edge)
        cell = begin[t - start]
        peak = -inf
        for j in range(wide_b):
            here = cell + j * wide_c
            for k in range(wide_c):
                top[k] = -inf
            for i in range(wide_a):
                row = transition[labels[a + i], labels[b + j]]
                base = 0.0 if last < 0 else alpha[last + i * wide_b + j]
                for k in range(wide_c):
                    top[k] = max(top[k], base + row[labels[c + k]])
            for k in range(wide_c):
                alpha[here + k] = 0.0
            for i in range(wide_a):
                row = transition[labels[a + i], labels[b + j]]
                base = 0.0 if last < 0 else alpha[last + i * wide_b + j]
                for k in range(wide_c):
                    if top[k] > -inf:
                        alpha[here + k] += exp(base + row[labels[c + k]] - top[k])
            for k in range(wide_c):
                if top[k] > -inf:
                    top[k] += log(alpha[here + k]) + weight[c + k]
                alpha[here + k] = top[k]
                peak = max(peak, top[k])
        if peak == -inf:
            return -inf
        mass = 0.0
        for cellular in range(cell, cell + wide_b * wide_c):
            mass += exp(alpha[cellular] - peak)
        peak += log(mass)
        for cellular in range(cell, cell + wide_b * wide_c):
            alpha[cellular] -= peak
        step = peak - lost  # compensated: the sum of a million steps keeps its digits
        summed = total + step
        lost = (summed - total) - step
        total = summed
        last = cell
        a, wide_a, b, wide_b = b, wide_b, c, wide_c
    mass = 0.0
    for i in range(wide_a):
        for j in range(wide_b):
            pair = 0.0 if last < 0 else alpha[last + i * wide_b + j]
            mass += exp(pair + transition[labels[a + i], labels[b + j], boundary])
    return total + log(mass) if mass > 0.0 else -inf


@njit(cache=True)
def log_partition(transition, words, offsets, first, labels, weight):  # type: ignore[no-untyped-def]
    """log p(words and the end) of every sequence."""
    edge = len(labels) - 1
    widest = _widest(words, first)
    out = np.empty(len(offsets) - 1)
    for n in range(len(out)):
        start, stop = offsets[n], offsets[n + 1]
        begin = _cells(start, stop, words, first, edge)
        alpha = np.empty(begin[-1])
        out[n] = _forward(
            transition, words, start, stop, first, labels, weight, begin, alpha, widest
        )
    return out


@njit(cache=True)
def marginals(transition, words, offsets, first, labels, weight):  # type: ignore[no-untyped-def]
    """log p of every sequence, and p(label of step t | all words) as (T, labels)."""
    edge = len(labels) - 1
    boundary = labels[edge]
    widest = _widest(words, first)
    later = np.empty((widest, widest))
    now = np.empty((widest, widest))
    out = np.empty(len(offsets) - 1)
    law = np.zeros((len(words), boundary))
    for n in range(len(out)):
        start, stop = offsets[n], offsets[n + 1]
        begin = _cells(start, stop, words, first, edge)
        alpha = np.empty(begin[-1])
        out[n] = _forward(
            transition, words, start, stop, first, labels, weight, begin, alpha, widest
        )
        if out[n] == -inf:
            law[start:stop] = np.nan
            continue
        for t in range(stop - 1, start - 1, -1):
            b, wide_b = _span(t - 1, start, words, first, edge)
            c, wide_c = _span(t, start, words, first, edge)
            d, wide_d = _span(t + 1, start, words, first, edge) if t + 1 < stop else (edge, 1)
            peak = -inf
            for j in range(wide_b):
                for k in range(wide_c):
                    top = -inf
                    for m in range(wide_d):
                        value = transition[labels[b + j], labels[c + k], labels[d + m]]
                        if t + 1 < stop:
                            value += later[k, m] + weight[d + m]
                        top = max(top, value)
                    mass = 0.0
                    if top > -inf:
                        for m in range(wide_d):
                            value = transition[labels[b + j], labels[c + k], labels[d + m]]
                            if t + 1 < stop:
                                value += later[k, m] + weight[d + m]
                            mass += exp(value - top)
                        top += log(mass)
                    now[j, k] = top
                    peak = max(peak, top + alpha[begin[t - start] + j * wide_c + k])
            whole = 0.0
            for j in range(wide_b):
                for k in range(wide_c):
                    joint = exp(now[j, k] + alpha[begin[t - start] + j * wide_c + k] - peak)
                    law[t, labels[c + k]] += joint
                    whole += joint
                    now[j, k] -= peak
            for k in range(wide_c):
                law[t, labels[c + k]] /= whole
            now, later = later, now
    return out, law
