r"""The Kalman filter on torch tensors: batched over series, differentiable, on any device.

    h_t = A_t h_{t-1} + c_t + w_t (t >= 1),   y_t = C_t h_t + d_t + v_t,   h_0 ~ N(mu_0, P_0)

The model and its names are those of the compiled kernels; here all series of a batch run side by
side, row by row or all rows at once (`method="parallel"`, a scan in O(log T) steps for long series
on wide hardware), and gradients flow to every matrix. Missing elements (NaN) are left out exactly.
Series that share matrices and pattern of missing values share one recursion for the covariances.
On a CPU, matrices as small as these are quickest with `torch.set_num_threads(1)`.

A diffuse start P_0 + kappa D, kappa to infinity, is exact by augmentation: with D = S S' the state
is that of a proper start plus S delta, the filter carries the columns of S beside the mean, and
delta, flat, is found by generalised least squares on the innovations (Rosenberg 1973; de Jong 1991).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from seqkit.kernels import kalman_diffuse as diffuse
from seqkit.kernels import kalman_scan as scan

__all__ = ["Filtered", "Smoothed", "System", "filter", "from_arrays", "log_likelihood", "smooth"]

LOG_2PI = float(np.log(2 * np.pi))
Method = Literal["sequential", "parallel"]
CORES = {  # field: its dimensions without batch and time
    "transition": "nn", "observation": "mn", "process_cov": "nn", "observation_cov": "mm",
    "initial_mean": "n", "initial_cov": "nn", "diffuse": "nn",
    "state_intercept": "n", "observation_intercept": "m",
}  # fmt: skip
STARTS = {"initial_mean", "initial_cov", "diffuse"}  # these have no time axis


@dataclass(frozen=True)
class System:
    """Matrices of a linear Gaussian system as tensors of one dtype and device.

    A matrix has the dimensions named here, and may have a time axis before them and a batch axis
    before that: (n, n), (T, n, n) or (N, T, n, n). The number of dimensions tells which; a leading
    axis of size 1 stands for all rows or all series. The initial moments have no time axis: (n, n)
    or (N, n, n). Row 0 of transition, process_cov and state_intercept is not used. Only the
    symmetric part of a covariance counts, so that gradients of covariances are symmetric.

    >>> one = torch.eye(1, dtype=torch.float64)
    >>> s = System(one, one, 2 * one, 5 * one, initial_mean=one[0], initial_cov=one)
    >>> s.n, s.m, s.to(dtype=torch.float32).dtype
    (1, 1, torch.float32)
    """

    transition: Tensor  # (n, n)
    observation: Tensor  # (m, n)
    process_cov: Tensor  # (n, n)
    observation_cov: Tensor  # (m, m)
    initial_mean: Tensor  # (n,)
    initial_cov: Tensor  # (n, n)
    diffuse: Tensor | None = None  # (n, n) covariance times infinity; None: a proper start
    state_intercept: Tensor | None = None  # (n,)
    observation_intercept: Tensor | None = None  # (m,)

    @property
    def n(self) -> int:
        return self.observation.shape[-1]

    @property
    def m(self) -> int:
        return self.observation.shape[-2]

    @property
    def dtype(self) -> torch.dtype:
        return self.transition.dtype

    @property
    def device(self) -> torch.device:
        return self.transition.device

    def to(self, device: Any = None, dtype: torch.dtype | None = None) -> System:
        """The same on another device or in another precision."""
        held = {name: getattr(self, name) for name in CORES}
        there = {name: x for name, x in held.items() if x is not None}
        return replace(self, **{name: x.to(device, dtype) for name, x in there.items()})


class Filtered(NamedTuple):
    """What `filter` gives: batch first, then time.

    Where a diffuse start is not yet resolved, the covariance of the predicted state is
    predicted_cov + kappa diffuse_cov, kappa to infinity; diffuse_cov is None for a proper start.
    """

    log_density: Tensor  # (N, T) log p(y_t | past) of each row's observed part
    predicted_mean: Tensor  # (N, T, n)
    predicted_cov: Tensor  # (N, T, n, n)
    filtered_mean: Tensor  # (N, T, n)
    filtered_cov: Tensor  # (N, T, n, n)
    diffuse_cov: Tensor | None = None  # (N, T, n, n)


class Smoothed(NamedTuple):
    """Moments of the states given all rows."""

    mean: Tensor  # (N, T, n)
    cov: Tensor  # (N, T, n, n)
    lag_one_cov: Tensor  # (N, T, n, n) Cov(h_t, h_{t-1} | Y); zeros for t = 0


def from_arrays(system: Any, device: Any = None, dtype: torch.dtype = torch.float64) -> System:
    """Tensors of a system of arrays with the same field names (`kernels.kalman.System`).

    >>> from types import SimpleNamespace
    >>> one = np.eye(1)
    >>> arrays = SimpleNamespace(transition=one, observation=one, process_cov=one,
    ...     observation_cov=one, initial_mean=one[0], initial_cov=0 * one, diffuse=one,
    ...     state_intercept=None, observation_intercept=None)
    >>> from_arrays(arrays).diffuse
    tensor([[1.]], dtype=torch.float64)
    """
    held: dict[str, Any] = {name: getattr(system, name) for name in CORES}
    for name, x in held.items():
        if x is not None:
            held[name] = torch.tensor(np.asarray(x), dtype=dtype, device=device)
    return System(**held)


def log_likelihood(system: System, y: Any, *, method: Method = "sequential") -> Tensor:
    """log p(y) of each series, (N,), for y (N, T, m) with NaN where nothing was observed.

    Every observed number counts its log 2 pi / 2. With a diffuse start each of the numbers that
    resolve it counts -(log 2 pi + log F_inf) / 2, as in Durbin & Koopman (2012, section 7.2.2).

    Raises ValueError for wrong shapes and for an innovation without positive variance.

    >>> one = torch.eye(1, dtype=torch.float64)
    >>> s = System(one, one, 0 * one, one, initial_mean=0 * one[0], initial_cov=3 * one)
    >>> log_likelihood(s, [[[0.0]], [[2.0]]])  # two series of one row: y ~ N(0, 4)
    tensor([-1.6121, -2.1121], dtype=torch.float64)
    """
    problem = _prepare(system, y)
    innovations = problem.innovations(*scan.innovations(problem.rows, _known(method)))
    density = innovations.density.sum(1)
    if problem.directions:
        density = density + diffuse.resolve(innovations.information.sum(1)).density(
            innovations.score.sum(1)
        )
    return problem.each(density)


def filter(system: System, y: Any, *, method: Method = "sequential") -> Filtered:
    """Predicted and filtered moments of the states, and the log density of every row.

    y (N, T, m) with NaN where nothing was observed.

    >>> one = torch.eye(1, dtype=torch.float64)
    >>> s = System(one, one, 2 * one, one, initial_mean=0 * one[0], initial_cov=one)
    >>> f = filter(s, [[[2.0], [float("nan")]]])
    >>> f.filtered_mean[0, :, 0], f.filtered_cov[0, :, 0, 0]
    (tensor([1., 1.], dtype=torch.float64), tensor([0.5000, 2.5000], dtype=torch.float64))
    """
    problem = _prepare(system, y)
    passed = scan.forward(problem.rows, _known(method))
    innovations = problem.innovations(*passed.update[3:])
    density = innovations.density
    mean, cov, far = passed.mean, passed.cov, None
    filtered_mean, filtered_cov = passed.update[:2]
    if problem.directions:
        start = diffuse.resolve(_running(innovations.information))
        score = _running(innovations.score)
        density = density + start.density(score).diff(dim=1)
        delta = start.estimate(score, innovations.shift[:, None])
        before, after = start.rows(0, -1), start.rows(1, None)
        mean, cov, far = problem.marginal(mean, cov, before, delta[:, :-1])
        filtered_mean, filtered_cov, _ = problem.marginal(
            filtered_mean, filtered_cov, after, delta[:, 1:]
        )
    return Filtered(
        problem.each(density),
        problem.each(mean),
        problem.covs(cov),
        problem.each(filtered_mean),
        problem.covs(filtered_cov),
        None if far is None else problem.covs(far),
    )


def smooth(system: System, y: Any, *, method: Method = "sequential") -> Smoothed:
    """Moments of the states given all rows, y (N, T, m) with NaN where nothing was observed.

    Raises ValueError as `filter`, and where the observed values leave a diffuse start unresolved.

    >>> one = torch.eye(1, dtype=torch.float64)
    >>> s = System(one, one, one, one, initial_mean=0 * one[0], initial_cov=0 * one, diffuse=one)
    >>> smooth(s, [[[1.0], [float("nan")], [3.0]]]).mean[0, :, 0]
    tensor([1.5000, 2.0000, 2.5000], dtype=torch.float64)
    """
    problem = _prepare(system, y)
    passed = scan.forward(problem.rows, _known(method))
    columns, cov, lag_one = _smoothed(problem.rows, passed, method)
    mean, z = columns[..., : problem.columns], columns[..., problem.columns :]
    if problem.directions:
        innovations = problem.innovations(*passed.update[3:])
        start = diffuse.resolve(innovations.information.sum(1, keepdim=True))
        diffuse.refuse_unresolved(start, z)
        score = innovations.score.sum(1, keepdim=True)
        delta = start.estimate(score, innovations.shift[:, None])
        spread = scan.solve_lower(start.factor, z.mT)
        mean, cov = mean + z @ delta, cov + spread.mT @ spread
        lag_one = lag_one + spread[:, 1:].mT @ spread[:, :-1]
    lag_one = torch.cat([torch.zeros_like(cov[:, :1]), lag_one], 1)
    return Smoothed(problem.each(mean), problem.covs(cov), problem.spread_out(lag_one))


def _smoothed(rows: scan.Rows, passed: scan.Passed, method: str) -> tuple[Tensor, Tensor, Tensor]:
    """Smoothed columns and covariances, and Cov(h_t, h_{t-1} | Y) of t >= 1, for a proper start.

    With the filtered moments m, P of the row and rho = A' r, Omega = A' N A of the next one they
    are m + P rho, P - P Omega P and (I - P Omega) (I - K C) A P_{t-1}: unlike Durbin & Koopman's
    form without the predicted covariance, which may be larger by many digits.
    """
    adjoint = scan.backward(rows, passed, method)
    a, mean, cov = scan.later(rows.transition), passed.update.mean, passed.update.cov
    rho = torch.cat([a.mT @ adjoint.r[:, 1:], torch.zeros_like(mean[:, :1])], 1)
    omega = torch.cat([a.mT @ adjoint.n[:, 1:] @ a, torch.zeros_like(cov[:, :1])], 1)
    lag_one = scan.kept(rows, passed)[:, 1:] @ a @ cov[:, :-1]
    lag_one = lag_one - cov[:, 1:] @ omega[:, 1:] @ lag_one
    return mean + cov @ rho, cov - cov @ omega @ cov, lag_one


class _Innovations(NamedTuple):
    """Log density of each row at delta = `shift`, its negative slope there, and its curvature.

    Of innovations that are u + U delta once they are white.
    """

    density: Tensor  # (B, T, K)
    information: Tensor  # (B, T, k, k) U' U
    score: Tensor  # (B, T, k, K) U' (u + U shift)
    shift: Tensor  # (B, k, K)


@dataclass(frozen=True)
class _Problem:
    """A system and its data in the layout of the recursions; B K = N, and B or K is 1."""

    rows: scan.Rows
    count: Tensor  # (B, T or 1) observed elements
    columns: int  # K series that share their covariances
    slack: Tensor  # (B, k) the part of each direction's variance that the start holds

    @property
    def directions(self) -> int:
        return self.slack.shape[-1]

    def each(self, x: Tensor) -> Tensor:
        """(B, ..., K) to (N, ...)."""
        return x.movedim(-1, 1).flatten(0, 1)

    def spread_out(self, x: Tensor) -> Tensor:
        """(B, ...) to (N, ...), without a copy."""
        return x.expand(self.columns, *x.shape[1:]) if self.columns > 1 else x

    def covs(self, x: Tensor) -> Tensor:
        return self.spread_out(scan.symmetric(x))

    def innovations(self, factor: Tensor, innovation: Tensor) -> _Innovations:
        """The likelihood of each row as a quadratic function of delta.

        `shift` is close to the estimate of delta from all rows. All is said relative to it, as
        levels far from the initial mean would cost digits otherwise; nothing depends on it.
        """
        white = scan.solve_lower(factor, innovation)
        u, directions = white[..., : self.columns], white[..., self.columns :]
        shift = white.new_zeros(len(white), self.directions, self.columns)
        information = directions.mT @ directions
        if self.directions:
            with torch.no_grad():
                score = (directions.mT @ u).sum(1)
                shift = diffuse.resolve(information.sum(1)).estimate(score, shift)
            u = u + directions @ shift[:, None]
        logs = 2 * factor.diagonal(dim1=-2, dim2=-1).log().sum(-1) + LOG_2PI * self.count
        density = -(u.square().sum(-2) + logs[..., None]) / 2
        return _Innovations(density, information, directions.mT @ u, shift)

    def marginal(
        self, mean: Tensor, cov: Tensor, start: diffuse.Start, delta: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Means, covariances and diffuse covariances of states (B, T, ...) over delta."""
        series, b = mean[..., : self.columns], mean[..., self.columns :]
        free = b @ start.free
        held = free * self.slack[:, None, None]
        cov = cov + start.spread(b) - held @ free.mT
        return series + b @ delta, cov, free @ b.mT


def _running(x: Tensor) -> Tensor:
    """Sums of the first 0, 1, .. T rows of x (B, T, ...)."""
    return torch.cat([torch.zeros_like(x[:, :1]), x.cumsum(1)], 1)


def _known(method: str) -> str:
    if method not in ("sequential", "parallel"):
        raise ValueError(f'method must be "sequential" or "parallel", got {method!r}')
    return method


def _prepare(system: System, y: Any) -> _Problem:
    """Take out missing values and intercepts, and lay out batch and columns."""
    if not isinstance(y, Tensor):
        y = torch.tensor(np.asarray(y, dtype=float))
    y = y.to(system.device, system.dtype)
    if y.ndim != 3 or y.shape[-1] != system.m or 0 in y.shape:
        raise ValueError(
            f"expected y of shape (series, rows, {system.m}) with at least one row, "
            f"got {tuple(y.shape)}; y[None] makes a batch of one series"
        )
    series, length, _ = y.shape
    x = {name: _with_axes(system, name, series, length) for name in CORES}
    seen = ~torch.isnan(y)
    if bool(seen.all()):
        seen = seen[:1, :1]
    elif bool((seen == seen[:1]).all()):
        seen = seen[:1]
    laws = [x[name] for name in CORES if CORES[name] in ("nn", "mn", "mm")]
    shared = all(len(part) == 1 for part in (seen, *laws))
    batch, columns = (1, series) if shared else (series, 1)
    roots = diffuse.square_root(x["diffuse"][:, 0])
    k = roots.shape[-1]

    def in_columns(part: Tensor) -> Tensor:
        """(N or 1, T or 1, d) to (B, T or 1, d, J), with zeros for the directions."""
        if shared:
            part = part.movedim(0, -1)[None].expand(-1, -1, -1, columns)
        else:
            part = part[..., None].expand(batch, -1, -1, -1)
        return torch.nn.functional.pad(part, (0, k))

    y = torch.where(seen, y - x["observation_intercept"], 0.0)
    there = seen.to(y.dtype)
    observation = x["observation"] * there[..., None]
    noise = x["observation_cov"] * (there[..., None] * there[..., None, :])
    slack = diffuse.slack(observation, noise, x["process_cov"], roots)
    mean = in_columns(x["initial_mean"])[:, 0]
    cov = x["initial_cov"][:, 0] + (roots * slack[:, None]) @ roots.mT
    noise = noise + torch.diag_embed(1 - there)
    rows = scan.Rows(
        transition=x["transition"].expand(batch, -1, -1, -1),
        process_cov=x["process_cov"].expand(batch, -1, -1, -1),
        observation=observation.expand(batch, -1, -1, -1),
        observation_cov=noise.expand(batch, -1, -1, -1),
        intercept=in_columns(x["state_intercept"]),
        target=in_columns(y),
        mean=torch.cat([mean[..., :columns], roots.expand(batch, -1, -1)], -1),
        cov=cov.expand(batch, -1, -1),
    )
    return _Problem(rows, there.sum(-1), columns, slack)


def _with_axes(system: System, name: str, series: int, length: int) -> Tensor:
    """A field with all axes, (N or 1, T or 1, ...), zeros where it is None; its shape checked."""
    x, core = getattr(system, name), CORES[name]
    shape = tuple(system.n if axis == "n" else system.m for axis in core)
    if x is None:
        return torch.zeros((1, 1, *shape), dtype=system.dtype, device=system.device)
    leading = (series,) if name in STARTS else (series, length)
    given = tuple(x.shape[: x.ndim - len(core)])
    pairs = zip(reversed(given), reversed(leading), strict=False)
    fits = len(given) <= len(leading) and all(i in (1, j) for i, j in pairs)
    if tuple(x.shape[len(given) :]) != shape or not fits:
        axes = "series" if name in STARTS else "series, rows"
        raise ValueError(
            f"expected {name} of shape {shape}, possibly after axes ({axes}) of sizes {leading} "
            f"or 1, got {tuple(x.shape)}"
        )
    if x.dtype != system.dtype or x.device != system.device:
        raise ValueError(
            f"expected tensors of one dtype and device, got transition as {system.dtype} on "
            f"{system.device} and {name} as {x.dtype} on {x.device}; system.to(...) makes them agree"
        )
    if core in ("nn", "mm") and name != "transition":
        x = scan.symmetric(x)
    if name in STARTS:
        x = x.reshape(-1, 1, *shape)
    return x.reshape((1,) * (2 + len(core) - x.ndim) + tuple(x.shape))
