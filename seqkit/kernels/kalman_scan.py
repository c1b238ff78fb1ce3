r"""Two ways through time for a linear Gaussian system, on prepared torch tensors.

Row by row: the Kalman recursion, and backwards its adjoint (Durbin & Koopman 2012, section 4.4).
Or all rows at once: filtering is an associative operation on elements that stand for spans of
rows, so a prefix scan filters every row in O(log T) batched matrix operations (Sarkka &
Garcia-Fernandez 2021, "Temporal parallelization of Bayesian smoothers", IEEE TAC 66). Of a span
with observations Y, from the state h before it to the state h' at its end, an element
(A, b, C, eta, J) says

.. math::  h' \mid Y, h \sim N(A h + b, C), \qquad
           p(Y \mid h) \propto \exp(\eta' h - h' J h / 2)

Smoothing scans elements (E, g, L) of the adjoint, an affine map of (r, N); unlike the form of
Rauch, Tung & Striebel it needs no inverse of a predicted covariance, which may be singular.

Layout: batch, time, matrix. A mean is a matrix of J columns: one for each series that shares the
batch's covariances, then one for each direction of a diffuse start. All columns go through the
same linear recursion, and covariances do not depend on them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = [
    "Adjoint", "Passed", "Rows", "Update",
    "associative_scan", "backward", "forward", "innovations", "kept",
]  # fmt: skip

Elements = tuple[Tensor, ...]


@dataclass(frozen=True)
class Rows:
    """What each row needs: shapes (B, T or 1, ...), missing elements already taken out.

    A missing element has zeros in its rows of `observation` and `target`, and in `observation_cov`
    a one on the diagonal: its innovation is 0 with variance 1, and moves nothing.
    """

    transition: Tensor  # (n, n)
    process_cov: Tensor  # (n, n)
    observation: Tensor  # (m, n)
    observation_cov: Tensor  # (m, m)
    intercept: Tensor  # (n, J) c of each column, zeros for the directions
    target: Tensor  # (m, J) y - d of each column, zeros for the directions; always T rows
    mean: Tensor  # (B, n, J) of the first row's state
    cov: Tensor  # (B, n, n)

    @property
    def length(self) -> int:
        return self.target.shape[1]

    @cached_property
    def eye(self) -> Tensor:
        return torch.eye(self.cov.shape[-1], dtype=self.cov.dtype, device=self.cov.device)


class Update(NamedTuple):
    """Moments of the state once a row is seen, and what its innovation e = y - C a was."""

    mean: Tensor  # (..., n, J)
    cov: Tensor  # (..., n, n)
    gain: Tensor  # (..., n, m) K = P C' F^-1
    factor: Tensor  # (..., m, m) lower, factor factor' = F = C P C' + R
    innovation: Tensor  # (..., m, J)


class Passed(NamedTuple):
    """The pass forward over all rows: predicted moments (B, T, ...), and the update of each row."""

    mean: Tensor
    cov: Tensor
    update: Update


class Adjoint(NamedTuple):
    """Of each row's predicted state: smoothed mean = a + P r, smoothed covariance = P - P N P."""

    r: Tensor  # (B, T, n, J)
    n: Tensor  # (B, T, n, n)


def symmetric(x: Tensor) -> Tensor:
    """(x + x') / 2."""
    return (x + x.mT) / 2


def cholesky(x: Tensor) -> Tensor:
    """Lower factor; its diagonal is not positive everywhere if x is not positive definite."""
    return x.sqrt() if x.shape[-1] == 1 else torch.linalg.cholesky_ex(x)[0]


def solve_lower(factor: Tensor, x: Tensor) -> Tensor:
    """factor^-1 x for a lower triangular factor."""
    if factor.shape[-1] == 1:
        return x / factor
    return torch.linalg.solve_triangular(factor, x, upper=False)


def update(
    eye: Tensor,
    mean: Tensor,
    cov: Tensor,
    observation: Tensor,
    observation_cov: Tensor,
    target: Tensor,
) -> Update:
    """Condition predicted moments on a row; eye is I (n, n), every other argument (B, ., .).

    The covariance is (I - K C) P (I - K C)' + K R K' (Bucy & Joseph 1968): positive semidefinite
    also where P is larger than R by more digits than a number has. Where F is not positive
    definite, the diagonal of the factor is not positive.
    """
    crossed = torch.bmm(observation, cov)  # C P
    innovation_cov = torch.baddbmm(observation_cov, crossed, observation.mT)
    factor = cholesky(innovation_cov)
    if factor.shape[-1] == 1:
        gain_t = crossed / innovation_cov
        noise = observation_cov * gain_t
    else:
        gain_t = torch.cholesky_solve(crossed, factor)
        noise = torch.bmm(observation_cov, gain_t)
    gain = gain_t.mT
    rest = torch.baddbmm(eye, gain, observation, alpha=-1)  # I - K C
    left = torch.baddbmm(torch.bmm(gain, noise), torch.bmm(rest, cov), rest.mT)
    innovation = torch.baddbmm(target, observation, mean, alpha=-1)
    return Update(torch.baddbmm(mean, gain, innovation), left, gain, factor, innovation)


def innovations(rows: Rows, method: str) -> tuple[Tensor, Tensor]:
    """Factors (B, T, m, m) and innovations (B, T, m, J) alone; `method` as for `forward`."""
    if method == "parallel":
        return forward(rows, method).update[3:]
    factor, innovation = _stacked([now[3:] for _, _, now in _each_update(rows)])
    _refuse_singular(factor)
    return factor, innovation


def forward(rows: Rows, method: str) -> Passed:
    """Filter every row: `method` is "sequential" or "parallel"."""
    if method == "parallel":
        return _forward_scan(rows)
    mean, cov, *update = _stacked([(mean, cov, *now) for mean, cov, now in _each_update(rows)])
    now = Update(*update)
    _refuse_singular(now.factor)
    return Passed(mean, cov, now)


def _each_update(rows: Rows) -> Iterator[tuple[Tensor, Tensor, Update]]:
    """Predicted moments and update of one row after the other."""
    transition, process_cov, intercept = (
        _unbound(x, rows.length) for x in (rows.transition, rows.process_cov, rows.intercept)
    )
    parts = (rows.observation, rows.observation_cov, rows.target)
    seen = list(zip(*(_unbound(x, rows.length) for x in parts), strict=True))
    mean, cov = rows.mean, rows.cov
    for t in range(rows.length):
        if t:
            a = transition[t]
            cov = torch.baddbmm(process_cov[t], torch.bmm(a, cov), a.mT)
            mean = torch.baddbmm(intercept[t], a, mean)
        now = update(rows.eye, mean, cov, *seen[t])
        yield mean, cov, now
        mean, cov = now.mean, now.cov


def _unbound(x: Tensor, length: int) -> tuple[Tensor, ...]:
    """The rows of x (B, T or 1, ...)."""
    return x.unbind(1) if x.shape[1] > 1 else (x[:, 0],) * length


def _stacked(kept: Sequence[tuple[Tensor, ...]]) -> list[Tensor]:
    return [torch.stack(x, 1) for x in zip(*kept, strict=True)]


def _refuse_singular(factor: Tensor, advice: str = "") -> None:
    """Raise ValueError where a factor (B, T, m, m) has a diagonal that is not positive."""
    right = (factor.diagonal(dim1=-2, dim2=-1) > 0).all(-1)
    if bool(right.all()):
        return
    series, row = (int(i) for i in torch.nonzero(~right)[0])
    advice = advice or (
        "look for NaN, for covariances that are not positive semidefinite, and for values that the "
        "rows before fix without error (a small observation_cov helps)"
    )
    raise ValueError(
        f"expected innovations with a positive definite covariance, got one in row {row} of series "
        f"{series} that is not: {advice}"
    )


def _forward_scan(rows: Rows) -> Passed:
    """Filtered moments by the scan; then all rows predict and update once, each from the row before.

    This last pass makes all that is returned agree with itself, and takes off some of the rounding.
    """
    elements = associative_scan(_compose_filters, _filter_elements(rows))
    a = later(rows.transition)
    mean = a @ elements[1][:, :-1] + later(rows.intercept)
    cov = symmetric(a @ elements[2][:, :-1] @ a.mT + later(rows.process_cov))
    mean = torch.cat([rows.mean[:, None], mean], 1)
    cov = torch.cat([rows.cov[:, None], cov], 1)
    now = _update_all(rows, mean, cov)
    _refuse_singular(now.factor)
    return Passed(mean, cov, now)


def later(x: Tensor) -> Tensor:
    """Rows 1 .. T-1 of x (B, T or 1, ...)."""
    return x[:, 1:] if x.shape[1] > 1 else x


def _update_all(rows: Rows, mean: Tensor, cov: Tensor) -> Update:
    """`update` of all rows in one batch; mean (B, T, n, J)."""
    batch, length = mean.shape[:2]
    parts = (mean, cov, rows.observation, rows.observation_cov, rows.target)
    flat = (x.expand(batch, length, *x.shape[2:]).flatten(0, 1) for x in parts)
    return Update(*(x.unflatten(0, (batch, length)) for x in update(rows.eye, *flat)))


def _filter_elements(rows: Rows) -> Elements:
    r"""The elements (A, b, C, eta, J) of the single rows.

    With a, P the mean and covariance given the state before (c and Q; of row 0 the start):
    A = (I - K C) A_t, b and C the updated moments, eta = A_t' C' F^-1 e, J = A_t' C' F^-1 C A_t.
    Row 0 follows no state: A_0 = 0.
    """
    length = rows.length
    expand = [x.expand(-1, length, -1, -1)[:, 1:] for x in (rows.intercept, rows.process_cov)]
    mean = torch.cat([rows.mean[:, None], expand[0]], 1)
    cov = torch.cat([rows.cov[:, None], expand[1]], 1)
    now = _update_all(rows, mean, cov)
    _refuse_singular(now.factor, "C Q C' + R must be so for a scan; take method='sequential'")
    a = rows.transition.expand(-1, length, -1, -1)
    a = torch.cat([torch.zeros_like(a[:, :1]), a[:, 1:]], 1)
    seen = rows.observation @ a
    scaled = solve_lower(now.factor, seen)
    eta = scaled.mT @ solve_lower(now.factor, now.innovation)
    return a - now.gain @ seen, now.mean, now.cov, eta, scaled.mT @ scaled


def _compose_filters(first: Elements, second: Elements) -> Elements:
    r"""The element of two spans in a row (Sarkka & Garcia-Fernandez 2021).

    With W = (I + C_1 J_2)^{-1}: A = A_2 W A_1, b = A_2 W (b_1 + C_1 eta_2) + b_2,
    C = A_2 W C_1 A_2' + C_2, eta = A_1' W' (eta_2 - J_2 b_1) + eta_1, J = A_1' W' J_2 A_1 + J_1.
    """
    a1, b1, c1, eta1, j1 = first
    a2, b2, c2, eta2, j2 = second
    n, columns = b1.shape[-2:]
    eye = torch.eye(n, dtype=b1.dtype, device=b1.device)
    solver = torch.linalg.lu_factor_ex(eye + c1 @ j2)[:2]
    right = torch.cat([a1, c1, b1 + c1 @ eta2], -1)
    a, c, b = torch.linalg.lu_solve(*solver, right).split([n, n, columns], -1)
    right = torch.cat([j2 @ a1, eta2 - j2 @ b1], -1)
    j, eta = torch.linalg.lu_solve(*solver, right, adjoint=True).split([n, columns], -1)
    return (
        a2 @ a,
        a2 @ b + b2,
        symmetric(a2 @ c @ a2.mT + c2),
        a1.mT @ eta + eta1,
        symmetric(a1.mT @ j + j1),
    )


def kept(rows: Rows, passed: Passed) -> Tensor:
    """I - K C of each row, (B, T, n, n)."""
    return rows.eye - passed.update.gain @ rows.observation


def backward(rows: Rows, passed: Passed, method: str) -> Adjoint:
    r"""The adjoint of each row's predicted state, from what the rows from there on say:

    .. math::  r_t = C' F^{-1} e_t + L_t' r_{t+1}, \qquad N_t = C' F^{-1} C + L_t' N_{t+1} L_t

    with :math:`L_t = A_{t+1} (I - K_t C_t)`, and zeros after the last row.
    """
    scaled = solve_lower(passed.update.factor, rows.observation)
    r = scaled.mT @ solve_lower(passed.update.factor, passed.update.innovation)
    n = scaled.mT @ scaled
    across = later(rows.transition) @ kept(rows, passed)[:, :-1]
    back = torch.cat([across.mT, torch.zeros_like(n[:, :1])], 1)
    if method == "parallel":
        scanned = associative_scan(_compose_adjoints, (back.flip(1), r.flip(1), n.flip(1)))
        return Adjoint(scanned[1].flip(1), scanned[2].flip(1))
    return _backward_loop(back.unbind(1), r.unbind(1), n.unbind(1))


def _backward_loop(back: Elements, r: Elements, n: Elements) -> Adjoint:
    done = [(r[-1], n[-1])]
    for t in range(len(r) - 2, -1, -1):
        late_r, late_n = done[-1]
        late_n = torch.baddbmm(n[t], torch.bmm(back[t], late_n), back[t].mT)
        done.append((torch.baddbmm(r[t], back[t], late_r), late_n))
    return Adjoint(*_stacked(done[::-1]))


def _compose_adjoints(late: Elements, early: Elements) -> Elements:
    """E = E_1 E_2, g = g_1 + E_1 g_2, L = L_1 + E_1 L_2 E_1', of an early span 1 and a late one."""
    e2, g2, l2 = late
    e1, g1, l1 = early
    return e1 @ e2, e1 @ g2 + g1, symmetric(e1 @ l2 @ e1.mT + l1)


def associative_scan(
    compose: Callable[[Elements, Elements], Elements], elements: Elements
) -> Elements:
    """All prefixes x_0, x_0 o x_1, ... along axis 1, in 2 log2(T) batched calls and O(T) work.

    Blelloch (1990): compose neighbours, scan the T / 2 pairs, fill in what lies between.

    >>> add = lambda a, b: (a[0] + b[0],)
    >>> associative_scan(add, (torch.arange(5)[None],))[0]
    tensor([[ 0,  1,  3,  6, 10]])
    """
    length = elements[0].shape[1]
    if length == 1:
        return elements
    pairs = compose(tuple(x[:, :-1:2] for x in elements), tuple(x[:, 1::2] for x in elements))
    odd = associative_scan(compose, pairs)
    if length == 2:
        return tuple(torch.cat([x[:, :1], y], 1) for x, y in zip(elements, odd, strict=True))
    whole = tuple(x[:, : (length - 1) // 2] for x in odd)
    even = compose(whole, tuple(x[:, 2::2] for x in elements))
    return tuple(
        _interleave(torch.cat([x[:, :1], y], 1), z)
        for x, y, z in zip(elements, even, odd, strict=True)
    )


def _interleave(even: Tensor, odd: Tensor) -> Tensor:
    """even[0], odd[0], even[1], ...; even may be longer by one."""
    woven = torch.stack([even[:, : odd.shape[1]], odd], 2).flatten(1, 2)
    return torch.cat([woven, even[:, odd.shape[1] :]], 1)
