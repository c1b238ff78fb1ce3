"""Runs of the compiled smoother, and the rows that it cannot do well."""

from __future__ import annotations

import numpy as np

from ._kalman_forward import Forward
from .kalman_system import Array, Stack, root


class Backward:
    """One run of the compiled smoother over a `Forward` that kept its gains."""

    def __init__(self, run: Forward, *, lag_one: bool, gradient: bool):
        from . import _kalman_smooth_numba as compiled

        length, (n, m) = len(run.y), (run.system.n, run.system.m)
        keep = run.keep
        covs = length if keep == 2 else 1
        self.mean = np.empty((length, n))
        self.cov, self.place = np.empty((covs, n, n)), np.zeros(length, np.int64)
        lags = covs if lag_one else 1
        self.lag_cov, self.lag_place = np.empty((lags, n, n)), np.zeros(length, np.int64)
        wanted = length if gradient or keep == 1 else 1  # arrays not written cost no memory
        self.pushes = np.empty((wanted, n))
        self.misfits, self.curvatures = np.zeros((wanted, m)), np.zeros((wanted, m))
        self.N_total, self.turned = np.zeros((n, n)), np.zeros((n, n))
        r, N = np.zeros(n), np.zeros((3, n, n))
        steady = run.steady if run.fixed else 0.0
        gains = (
            run.errors,
            run.slot,
            run.gains,
            run.variances,
            run.predicted_cov,
            run.filtered_cov,
        )
        first = run.diffuse_rows
        self._kernel = compiled.smooth_rows
        self.used, self.lag_used, self.lost = self._kernel(
            run.A, run.C, run.moves, run.pattern, first, length - 1, r, N, steady, run.states,
            run.filtered, *gains, keep, lag_one, gradient, self.mean, self.cov, self.place, self.lag_cov,
            self.lag_place, self.pushes, self.misfits, self.curvatures, self.N_total, self.turned,
        )  # fmt: skip
        r1 = np.zeros(n)
        if first:
            self.used, self.lag_used = compiled.diffuse_smooth(
                run.A, run.C, run.moves, run.pattern, first - 1, r, N, run.predicted, *gains, *run.infinite,
                keep, lag_one, gradient, self.mean, self.cov, self.place, self.lag_cov, self.lag_place,
                self.used, self.lag_used, self.pushes, self.misfits, self.curvatures, self.N_total, self.turned, r1,
            )  # fmt: skip
        self.N = (N[0] + N[0].T) / 2
        if keep == 1:
            system = run.system
            self.mean[0] = (
                system.initial_mean + system.initial_cov @ r + np.asarray(system.diffuse) @ r1
            )
            compiled.push_forward(run.A, run.c, run.Q, run.moves, self.pushes, self.mean)

    def future(self, run: Forward, row: int) -> tuple[Array, Array]:
        """(L, x) such that rows row + 1, row + 2, .. say L h = x of the state h of `row`.

        From r and N of its filtered state: L = (I - N P)^-1 N, x = L a + (I - N P)^-1 r.
        """
        n, length = run.system.n, len(run.y)
        r, N = np.zeros(n), np.zeros((3, n, n))
        spare = [
            np.empty_like(a)
            for a in (self.mean, self.cov, self.place, self.lag_cov, self.lag_place)
        ]
        told = [
            np.empty_like(a)
            for a in (self.pushes, self.misfits, self.curvatures, self.N_total, self.turned)
        ]
        self._kernel(
            run.A, run.C, run.moves, run.pattern, row + 1, length - 1, r, N, run.steady if run.fixed else 0.0,
            run.states, run.filtered, run.errors, run.slot, run.gains, run.variances, run.predicted_cov,
            run.filtered_cov, 2, False, False, *spare, *told,
        )  # fmt: skip
        P, a = run.filtered_cov[run.slot[row]], run.filtered[row]
        both = np.linalg.solve(np.eye(n) - N[0] @ P, np.column_stack([N[0], r]))
        L = (both[:, :n] + both[:, :n].T) / 2
        return L, L @ a + both[:, n]


def repair(run: Forward, back: Backward, cov: Stack, lag_one: bool) -> None:
    """Redo, in place, smoothed moments whose digits were lost against a far larger filtered covariance.

    That happens after a huge P_0 with a tiny R, and where a diffuse start was resolved by nearly collinear rows.
    """
    from ._kalman_smooth_numba import LOST

    size = np.einsum(
        "toi,tii->to",
        run.C[run.pattern[: run.diffuse_rows]] ** 2,
        run.infinite[2][: run.diffuse_rows],
    )
    share = run.infinite[1][: run.diffuse_rows]
    seen = ~np.isnan(run.errors[: run.diffuse_rows])
    lost = np.zeros(len(run.slot), dtype=bool)
    if (seen & (share > 0) & (share < 1e-4 * size)).any():
        lost[: run.diffuse_rows] = True
    if back.lost:
        before = np.diagonal(run.filtered_cov, axis1=1, axis2=2)[run.slot]
        after = np.diagonal(cov.stored, axis1=1, axis2=2)[cov.index]
        far = (before[:-1] > LOST * after[1:]) & (after[1:] > 0)
        lost[:-1] |= far.any(1) & (np.arange(len(lost) - 1) >= run.diffuse_rows)
    lost[-1] = False  # the last row is as filtered
    edges = np.flatnonzero(np.diff(np.concatenate([[0], lost.view(np.int8), [0]])))
    for start, stop in edges.reshape(-1, 2)[:8]:
        _from_the_future(run, back, cov, int(start), int(stop), lag_one)


def _from_the_future(
    run: Forward, back: Backward, cov: Stack, start: int, stop: int, lag_one: bool
) -> None:
    """Smoothed moments of rows start .. stop - 1 by what later rows say of them, as precisions.

    With X h = x what rows t, t + 1, .. say of h_t, and h_{t-1} = a + G z, w = S z' in independent z of unit variance
    (infinite for diffuse ones), the law of (h_t, h_{t-1}) follows from one positive definite matrix in z, z'.
    """
    n = run.system.n
    L, pull = back.future(run, stop)
    for t in range(stop, start, -1):
        seen = ~np.isnan(run.errors[t])
        C, noise = run.C[run.pattern[t]][seen], run.r[run.pattern[t]][seen]
        if (noise <= 0).any():
            return  # an exact observation has no precision
        A, Q = run.A[t * run.moves[0]], run.Q[t * run.moves[2]]
        c, d = run.c[t * run.moves[1]], run.d[t * run.moves[3]][seen]
        X = L + C.T @ (C / noise[:, None])
        x = pull + C.T @ ((run.values[t][seen] - d) / noise)
        a = run.filtered[t - 1]
        G = root(run.filtered_cov[run.slot[t - 1]])
        free = np.zeros((n, 0)) if t > run.diffuse_rows else root(run.infinite[3][t - 1])
        S = root(Q)
        wide = np.hstack([G, free, np.zeros((n, S.shape[1]))])
        after = np.hstack([A @ G, A @ free, S])
        precision = after.T @ X @ after
        bounded = np.r_[: G.shape[1], G.shape[1] + free.shape[1] : wide.shape[1]]
        precision[bounded, bounded] += 1.0
        size = np.sqrt(np.diag(precision))  # unknowns of like size keep their digits
        spread = np.linalg.inv((precision + precision.T) / 2 / np.outer(size, size)) / np.outer(
            size, size
        )
        shift = spread @ after.T @ (x - X @ (A @ a + c))
        V = wide @ spread @ wide.T
        cov.stored[cov.index[t - 1]] = (V + V.T) / 2
        back.mean[t - 1] = a + wide @ shift
        if lag_one:
            back.lag_cov[back.lag_place[t]] = after @ spread @ wide.T
        through = np.linalg.solve(np.eye(n) + X @ Q, np.column_stack([X, x - X @ c]))
        L = A.T @ through[:, :n] @ A
        L, pull = (L + L.T) / 2, A.T @ through[:, n]
