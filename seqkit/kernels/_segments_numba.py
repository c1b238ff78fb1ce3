"""Compiled recursions of ``kernels.segments``, one sequence at a time; imported only when used."""

from __future__ import annotations

import numpy as np
from numba import njit

compiled = njit(cache=True, error_model="numpy")
NEVER = -np.inf
NEGLIGIBLE = -45.0  # e to this power is lost beside 1, also when there are thousands of it


@compiled
def log_sum(x, count):
    """log sum exp of the first `count` elements; -inf for none."""
    top = NEVER
    for i in range(count):
        top = max(top, x[i])
    if top == NEVER:
        return top
    total = 0.0
    for i in range(count):
        if x[i] - top > NEGLIGIBLE:
            total += np.exp(x[i] - top)
    return top + np.log(total)


@compiled
def largest(x, count):
    """Place of the first maximum of the first `count` elements; 0 for none."""
    best = 0
    for i in range(1, count):
        if x[i] > x[best]:
            best = i
    return best


@compiled
def spans(t, j, log_duration, log_survival, potentials, rows, censored, out, shift, terms):
    """Log weights of all that follows if a segment of state j begins at t: terms[d - 1], d steps.

    Relative to the shifts of later steps, as `out`. Returns how many durations are possible.
    """
    length = rows.shape[0]
    longest = min(log_duration.shape[1], length - t)
    run = 0.0
    for d in range(longest):
        potential = potentials[rows[t + d], j]
        if potential == NEVER:
            return d
        run += potential
        if d > 0:
            run -= shift[t + d]
        if censored and t + d == length - 1:
            terms[d] = log_survival[j, d] + run
        else:
            terms[d] = log_duration[j, d] + run + out[t + d, j]
    return longest


@compiled
def backward(log_transition, log_duration, log_survival, potentials, rows, censored, start, out,
             shift):  # fmt: skip
    """Log weights (L, K) of what follows: if a segment begins at a step, if one ends at a step.

    Both are relative to the sum of the shifts of later steps, so that digits do not go to a growing
    exponent. The last row of `out` is zero.
    """
    length, size = start.shape
    terms = np.empty(max(size, log_duration.shape[1]))
    out[length - 1] = 0.0
    for t in range(length - 1, -1, -1):
        for j in range(size):
            count = spans(t, j, log_duration, log_survival, potentials, rows, censored, out,
                          shift, terms)  # fmt: skip
            start[t, j] = log_sum(terms, count)
        shift[t] = 0.0
        if t == 0:
            break
        for i in range(size):
            for j in range(size):
                terms[j] = log_transition[i, j] + start[t, j]
            out[t - 1, i] = log_sum(terms, size)
        settle(out[t - 1], shift, t)


@compiled
def settle(row, shift, t):
    """Move the largest of a row to 0, and keep by how much."""
    top = NEVER
    for i in range(row.shape[0]):
        top = max(top, row[i])
    if top > NEVER:
        shift[t] = top
        for i in range(row.shape[0]):
            row[i] -= top


@compiled
def backward_best(log_transition, log_duration, log_survival, potentials, rows, censored, start,
                  out, shift, longest, following):  # fmt: skip
    """`backward` with maxima for sums, and where they are: a duration (L, K), a next state."""
    length, size = start.shape
    terms = np.empty(max(size, log_duration.shape[1]))
    out[length - 1] = 0.0
    for t in range(length - 1, -1, -1):
        for j in range(size):
            count = spans(t, j, log_duration, log_survival, potentials, rows, censored, out,
                          shift, terms)  # fmt: skip
            best = largest(terms, count)
            longest[t, j] = best + 1
            start[t, j] = terms[best] if count > 0 else NEVER
        shift[t] = 0.0
        if t == 0:
            break
        for i in range(size):
            for j in range(size):
                terms[j] = log_transition[i, j] + start[t, j]
            following[t - 1, i] = largest(terms, size)
            out[t - 1, i] = terms[following[t - 1, i]]
        settle(out[t - 1], shift, t)


@compiled
def read_best(state, longest, following, states, starts):
    """The path from its first state, segment by segment."""
    t = 0
    while t < states.shape[0]:
        starts[t] = True
        end = t + longest[t, state]
        states[t:end] = state
        t = end
        if t < states.shape[0]:
            state = following[t - 1, state]


@compiled
def shares(log_weights, log_transition, i, out):
    """Probabilities of the next state after state i: softmax of what follows, into `out`."""
    size = out.shape[0]
    for j in range(size):
        out[j] = log_transition[i, j] + log_weights[j]
    total = log_sum(out, size)
    for j in range(size):
        out[j] = np.exp(out[j] - total)


@compiled
def downward(log_initial, log_transition, log_duration, log_survival, potentials, rows, censored,
             start, out, shift, states, moves, durations, cut):  # fmt: skip
    """Posterior probabilities from `backward`, in the order of time: all of them sums of products.

    states (L, K) receives P(s_t = j); moves (K, K), durations (K, D) and cut (K, D), of last
    segments that may outlast the data, are added to. Returns log Z.
    """
    length, size = start.shape
    begins, ends = np.zeros((length, size)), np.zeros((length, size))
    terms, share = np.empty(log_duration.shape[1]), np.empty(size)
    for j in range(size):
        share[j] = log_initial[j] + start[0, j]
    log_z = log_sum(share, size)
    for j in range(size):
        begins[0, j] = np.exp(share[j] - log_z)
    states[:] = 0.0
    for t in range(length):
        for j in range(size):
            if begins[t, j] > 0.0:
                count = spans(t, j, log_duration, log_survival, potentials, rows, censored, out,
                              shift, terms)  # fmt: skip
                covered = 0.0
                for d in range(count - 1, -1, -1):  # longest first: coverage is a running sum
                    excess = terms[d] - start[t, j]
                    if excess > NEGLIGIBLE - 600.0:
                        p = begins[t, j] * np.exp(excess)
                        if censored and t + d == length - 1:
                            cut[j, d] += p
                        else:
                            durations[j, d] += p
                        ends[t + d, j] += p
                        covered += p
                    states[t + d, j] += covered
        if t + 1 < length:
            for i in range(size):
                if ends[t, i] > 0.0:
                    shares(start[t + 1], log_transition, i, share)
                    for j in range(size):
                        moves[i, j] += ends[t, i] * share[j]
                        begins[t + 1, j] += ends[t, i] * share[j]
    for t in range(1, length):
        log_z += shift[t]
    return log_z


@compiled
def pick(log_weights, count, u):
    """A place drawn with these log weights by one uniform number."""
    total = log_sum(log_weights, count)
    left, last = u, 0
    for i in range(count):
        p = np.exp(log_weights[i] - total)
        if p > 0.0:
            last = i
            left -= p
            if left < 0.0:
                return i
    return last


@compiled
def draw(log_initial, log_transition, log_duration, log_survival, potentials, rows, censored,
         start, out, shift, uniform, states):  # fmt: skip
    """One path from the posterior by `backward`; uniform (L, 2)."""
    length, size = start.shape
    terms, weights = np.empty(log_duration.shape[1]), np.empty(size)
    t, state = 0, 0
    while t < length:
        for j in range(size):
            weights[j] = start[t, j] + (log_transition[state, j] if t > 0 else log_initial[j])
        state = pick(weights, size, uniform[t, 0])
        count = spans(t, state, log_duration, log_survival, potentials, rows, censored, out,
                      shift, terms)  # fmt: skip
        end = t + 1 + pick(terms, count, uniform[t, 1])
        states[t:end] = state
        t = end


@compiled
def forward(log_initial, log_transition, log_duration, log_survival, potentials, rows, begins,
            states):  # fmt: skip
    """Filtered probabilities into states (L, K); begins (L, K) is work.

    begins holds log weights of what came before, if a segment begins at a step, relative to the sum
    of the shifts so far. Returns logs of the sums of weights of all paths: of those whose last
    segment may go on, of those whose last segment ends with the data.
    """
    length, size = states.shape
    shift = np.zeros(length)
    going, ended = np.empty(log_duration.shape[1]), np.empty(log_duration.shape[1])
    here, done = np.empty(size), np.empty(size)
    begins[0] = log_initial
    total = 0.0
    for t in range(length):
        for j in range(size):
            run, count = 0.0, 0
            for d in range(min(log_duration.shape[1], t + 1)):
                potential = potentials[rows[t - d], j]
                if potential == NEVER:
                    break
                run += potential
                going[d] = begins[t - d, j] + run + log_survival[j, d]
                ended[d] = begins[t - d, j] + run + log_duration[j, d]
                run -= shift[t - d]
                count += 1
            here[j], done[j] = log_sum(going, count), log_sum(ended, count)
        whole = log_sum(here, size)
        for j in range(size):
            states[t, j] = np.exp(here[j] - whole)
        if t + 1 < length:
            for j in range(size):
                for i in range(size):
                    here[i] = done[i] + log_transition[i, j]
                begins[t + 1, j] = log_sum(here, size)
            settle(begins[t + 1], shift, t + 1)
            total += shift[t + 1]
    return total + whole, total + log_sum(done, size)
