"""The compiled search of `seqkit.kernels.ctc_beam`.

Prefixes are nodes of a tree, made once each and found again by a table of (parent, label); the `slot` of a node is its
place in the beam, or -1. Every prefix of the beam has two probabilities, of its paths that end in a blank and of those
that end in its last label; they are kept as numbers, scaled so that the largest sum of a frame is one.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from ._chain_numba import COMPILED, INNER


@njit(**INNER)
def found_or_made(parent, label, nodes, links, table):  # type: ignore[no-untyped-def]
    """The node of a prefix one label longer, and how many nodes there are now. links (capacity, 2): parent, label."""
    mask = len(table) - 1
    place = ((parent * 1000003 + label) * 2654435761 >> 7) & mask
    while table[place] >= 0:
        node = table[place]
        if links[node, 0] == parent and links[node, 1] == label:
            return node, nodes
        place = (place + 1) & mask
    table[place] = nodes
    links[nodes, 0], links[nodes, 1] = parent, label
    return nodes, nodes + 1


@njit(**INNER)
def offer(rank, code, ranks, codes, held):  # type: ignore[no-untyped-def]
    """Keep a candidate if it is among the best so far (a heap with the worst on top); returns how many are held."""
    if held < len(ranks):
        i = held
        while i > 0 and ranks[(i - 1) // 2] > rank:
            ranks[i], codes[i] = ranks[(i - 1) // 2], codes[(i - 1) // 2]
            i = (i - 1) // 2
        ranks[i], codes[i] = rank, code
        return held + 1
    if rank <= ranks[0]:
        return held
    i = 0
    while True:
        child = 2 * i + 1
        if child >= held:
            break
        if child + 1 < held and ranks[child + 1] < ranks[child]:
            child += 1
        if ranks[child] >= rank:
            break
        ranks[i], codes[i] = ranks[child], codes[child]
        i = child
    ranks[i], codes[i] = rank, code
    return held


@njit(**COMPILED)
def step(log_y, rows, first_order, size, nodes, beam, tree, room):  # type: ignore[no-untyped-def]
    """One frame: the beam becomes the next one.

    beam : ids (W,), mass (W, 2) by blank and by label, prior (W,). tree : links, table, slot.
    room : work (W, 2), ranks (W,), codes (W,), taken (W, K), all False.
    rows : what the prior gains by the next label, by place in the beam, or by last label if `first_order`.
    Returns the new size of the beam, the number of nodes, and the logarithm of the scale.
    """
    (ids, mass, prior), (links, _, slot), (work, ranks, codes, taken) = beam, tree, room
    K = len(log_y)
    for i in range(
        size
    ):  # the same prefix: a blank, its last label again, or its parent and that label
        node = ids[i]
        label = links[node, 1]
        work[i, 0] = (mass[i, 0] + mass[i, 1]) * math.exp(log_y[0])
        work[i, 1] = 0.0
        if label:
            stays = mass[i, 1]
            before = slot[links[node, 0]]
            if before >= 0:
                again = links[ids[before], 1] == label
                stays += mass[before, 0] + (0.0 if again else mass[before, 1])
                taken[before, label] = True
            work[i, 1] = stays * math.exp(log_y[label])
    held = 0
    for i in range(size):
        whole = work[i, 0] + work[i, 1]
        if whole > 0.0:
            held = offer(math.log(whole) + prior[i], i, ranks, codes, held)
    for i in range(size):
        last = links[ids[i], 1]
        row = last if first_order else i
        both = math.log(mass[i, 0] + mass[i, 1]) + prior[i]
        blank = math.log(mass[i, 0]) + prior[i]
        for k in range(1, K):
            if taken[i, k]:
                taken[i, k] = False
                continue
            rank = (blank if k == last else both) + log_y[k] + rows[row, k]
            if rank > -np.inf and (held < len(ranks) or rank > ranks[0]):
                held = offer(rank, len(ranks) + i * K + k, ranks, codes, held)
    for i in range(size):
        slot[ids[i]] = -1
    return replaced(log_y, rows, first_order, held, nodes, beam, tree, work, codes)


@njit(**INNER)
def replaced(log_y, rows, first_order, held, nodes, beam, tree, work, codes):  # type: ignore[no-untyped-def]
    """The candidates that are held become the beam."""
    (ids, mass, prior), (links, table, slot) = beam, tree
    K, W = len(log_y), len(codes)
    old, was, gained, best = ids.copy(), mass.copy(), prior.copy(), 0.0
    for place in range(held):
        code = codes[place]
        if code < W:
            ids[place], prior[place] = old[code], gained[code]
            mass[place, 0], mass[place, 1] = work[code, 0], work[code, 1]
        else:
            i, k = (code - W) // K, (code - W) % K
            last = links[old[i], 1]
            base = was[i, 0] + (0.0 if k == last else was[i, 1])
            ids[place], nodes = found_or_made(old[i], k, nodes, links, table)
            prior[place] = gained[i] + rows[last if first_order else i, k]
            mass[place, 0], mass[place, 1] = 0.0, base * math.exp(log_y[k])
        slot[ids[place]] = place
        best = max(best, mass[place, 0] + mass[place, 1])
    for place in range(held):
        mass[place, 0] /= best
        mass[place, 1] /= best
    return held, nodes, math.log(best) if held else -np.inf


@njit(**COMPILED)
def search(log_y, rows, first_order, size, nodes, beam, tree, room):  # type: ignore[no-untyped-def]
    """All frames with a prior that depends on the last label alone; the scale is summed.

    `first_order` is True; written here as a number, it would have `step` compiled twice.
    """
    scale = 0.0
    for t in range(len(log_y)):
        size, nodes, gain = step(log_y[t], rows, first_order, size, nodes, beam, tree, room)
        scale += gain
        if not size:
            break
    return size, nodes, scale
