"""Fits of normal laws by weights: every kind of covariance, missing elements, fixed ones, priors."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from seqkit.kernels import gaussian

from ._gaussian_missing import expected_moments
from .emission import Rows
from .priors import NormalInverseWishart

Array = np.ndarray
KINDS = ("spherical", "diag", "full", "tied")


class Gaussians(NamedTuple):
    """K normal laws: mean (K, C); spread (K, C) variances or (K, C, C) covariances; NaN where unknown."""

    mean: Array
    spread: Array


def arrays(law: Any, states: int, channels: int) -> tuple[Gaussians, Array, Array]:
    """The present laws of a `Normal` and what of them is free, at full size."""
    given, free = law.parameters(), law.free
    mean, cov = given["mean"], given.get("cov")
    shape = (states, channels)
    means = _sized(mean, shape, "mean")
    free_mean = _sized(free["mean"], shape, "mean")
    if cov is None:
        return (
            Gaussians(means, _sized(given["var"], shape, "var")),
            free_mean,
            _sized(free["var"], shape, "var"),
        )
    square = (states, channels, channels)
    free_cov = _sized(free["cov"], square, "cov")
    if np.any(free_cov.any((1, 2)) != free_cov.all((1, 2))):
        raise ValueError(
            "elements of a full covariance cannot be fixed one by one: give a whole matrix, or NaN for all of it"
        )
    return Gaussians(means, _sized(cov, square, "cov")), free_mean, np.asarray(free_cov.all((1, 2)))


def _sized(value: Array, shape: tuple[int, ...], name: str) -> Array:
    """(K,) stands for all channels of each state."""
    aligned = value[:, None] if value.ndim == 1 and len(shape) == 2 else value
    if aligned.shape == shape:
        return aligned
    try:
        return np.broadcast_to(aligned, shape)
    except ValueError:
        raise ValueError(
            f"{name} of Normal has shape {value.shape}, for {shape[0]} states and {shape[1]} channels it is {shape}"
        ) from None


def named(
    problem: Problem, found: Gaussians, flat: bool
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Laws as parameters of a `Normal`, and what of them is free; `flat`: without an axis for one channel."""
    mean, spread, free_mean, free_spread = (
        found.mean,
        found.spread,
        problem.free_mean,
        problem.free_spread,
    )
    if flat:
        mean, free_mean = mean[:, 0], free_mean[:, 0]
    if problem.kind in ("full", "tied"):
        free = np.broadcast_to(free_spread[:, None, None], spread.shape)
        if problem.kind == "tied":
            spread, free = spread[0], free[0]
        return {"mean": mean, "cov": spread}, {"mean": free_mean, "cov": free}
    if flat or problem.kind == "spherical":
        spread, free_spread = spread[:, 0], free_spread[:, 0]
    return {"mean": mean, "var": spread}, {"mean": free_mean, "var": free_spread}


class Problem(NamedTuple):
    """What a weighted fit of normal laws is asked for."""

    kind: str
    now: Gaussians
    free_mean: Array  # (K, C)
    free_spread: Array  # (K, C), or (K,) for whole covariances
    prior: NormalInverseWishart | None
    floor: float
    group: int = 0  # states that share a covariance ("tied"); 0: all


def fit(problem: Problem, rows: Rows, weights: Array) -> Gaussians:
    """The laws that maximise the weighted likelihood times the prior; see `Emission.fit_weighted`."""
    pairs = problem.kind in ("full", "tied")
    x, now = rows.values, problem.now
    if not pairs or rows.complete:
        found = gaussian.moments(x, weights, pairs=pairs, complete=rows.complete)
    else:
        found = expected_moments(x, weights, *_first_guess(problem, x, weights))
    if problem.kind == "diag" and rows.complete and problem.prior is None:
        plain = _plain(problem, found)
        if plain is not None:
            return plain
    each = found.count[:, None] if found.count.ndim == 1 else found.count  # (K, 1) or (K, C)
    pooled = _pool(found, each)
    alive = each > 1e-12 * each.sum(0)
    least = _least(pooled, problem.floor, pairs)
    if problem.kind in ("spherical", "tied"):
        found, each, alive = _sharing(problem, found, pooled, alive, pairs)
    else:
        found, each = _replaced(found, pooled, alive, pairs)
    mean, scatter, counts = _centred(problem, found, each, pairs)
    if problem.kind == "spherical":
        spread = _spherical(problem, scatter, each, least)
    elif pairs:
        spread = _covariances(problem, scatter, counts[:, 0], least)
    else:
        extra = 0.0 if problem.prior is None else problem.prior.degrees(1) + 3.0
        spread = _raised(scatter / (each + extra), least, now.spread)
    return _settled(problem, mean, spread, alive)


def _plain(problem: Problem, found: gaussian.Moments) -> Gaussians | None:
    """Means and variances as they come, where all are free, all states have weight, and no variance is small."""
    each, total = found.count, found.count.sum(0)
    if not (problem.free_mean.all() and problem.free_spread.all() and (each > 1e-9 * total).all()):
        return None
    share, var = each / total, found.scatter / each
    shift = found.mean - (share * found.mean).sum(0)
    pooled = (share * (var + shift * shift)).sum(0)
    if (var > max(2 * problem.floor, 1e-12) * pooled).all():
        return Gaussians(found.mean, var)
    return None


def _first_guess(problem: Problem, x: Array, weights: Array) -> Gaussians:
    """The present laws; where there are none, means and variances of what is observed, uncorrelated."""
    mean, cov = (np.array(a) for a in problem.now)
    if not (np.isnan(mean).any() or np.isnan(cov).any()):
        return problem.now
    seen = gaussian.moments(x, weights, pairs=False, complete=False)
    alive = seen.count > 1e-12 * seen.count.sum(0)
    pooled = _pool(seen, seen.count)
    seen, count = _replaced(seen, pooled, alive, False)
    var = np.maximum(seen.scatter / count, _least(pooled, problem.floor, False))
    mean = np.where(np.isnan(mean), seen.mean, mean)
    unknown = np.isnan(cov).any((1, 2))
    cov[unknown] = var[unknown][:, :, None] * np.eye(x.shape[1])
    return Gaussians(mean, cov)


def _pool(found: gaussian.Moments, each: Array) -> gaussian.Moments:
    """All states as one: count (1,) or (C,), mean (C,), scatter (C,) or (C, C)."""
    count = each.sum(0)
    if np.any(count <= 0):
        c = int(np.argmax(count <= 0))
        raise ValueError(f"channel {c} has no observed value to learn from; leave it out")
    means = np.where(each > 0, found.mean, 0.0)
    mean = (each * means).sum(0) / count
    shift = np.where(each > 0, means - mean, 0.0)
    scatter = found.scatter
    if scatter.ndim == 3:
        inner = np.where(each[:, :, None] > 0, scatter, 0.0).sum(0)
        return gaussian.Moments(count, mean, inner + np.einsum("kx,kc,kd->cd", each, shift, shift))
    inner = np.where(each > 0, scatter, 0.0).sum(0)
    return gaussian.Moments(count, mean, inner + (each * shift**2).sum(0))


def _replaced(
    found: gaussian.Moments, pooled: gaussian.Moments, alive: Array, pairs: bool
) -> tuple[gaussian.Moments, Array]:
    """States without weight take the moments of all, so that every estimate is a number."""
    count = found.count[:, None] if pairs else found.count
    each = np.where(alive, count, pooled.count)
    mean = np.where(alive, found.mean, pooled.mean)
    living = alive[:, :, None] if pairs else alive
    scatter = np.where(living, found.scatter, pooled.scatter)
    return gaussian.Moments(found.count, mean, scatter), each


def _sharing(
    problem: Problem, found: gaussian.Moments, pooled: gaussian.Moments, alive: Array, pairs: bool
) -> tuple[gaussian.Moments, Array, Array]:
    """As `_replaced`, where variances are shared: whoever shows nothing says nothing of those of the living."""
    replaced, each = _replaced(found, pooled, alive, pairs)
    silent = ~alive & _living(problem, alive)
    now = problem.now.mean
    mean = np.where(silent & ~np.isnan(now), now, replaced.mean)
    scatter = np.where(silent[:, :, None] if pairs else silent, 0.0, replaced.scatter)
    if problem.prior is not None and problem.prior.strength > 0:
        alive = alive | silent  # the prior tells the mean
    return gaussian.Moments(found.count, mean, scatter), np.where(silent, 0.0, each), alive


def _living(problem: Problem, alive: Array) -> Array:
    """Which variances somebody shows something of: (K, 1) of the channels or states that share them."""
    if problem.kind != "tied":
        return np.asarray(alive.any(1, keepdims=True))
    size = problem.group or len(alive)
    return np.repeat(alive.reshape(-1, size).any(1), size)[:, None]


def _least(pooled: gaussian.Moments, floor: float, pairs: bool) -> Array:
    """The floor of the variances (C,): a share of the variance over all rows; for constants, of their size."""
    scatter = np.diagonal(pooled.scatter) if pairs else pooled.scatter
    var, size = scatter / pooled.count, np.abs(pooled.mean)
    constant = var <= (4e-16 * size) ** 2
    return np.where(
        constant, (1e-6 * np.where(size > 0, size, 1.0)) ** 2, np.maximum(floor, 1e-14) * var
    )


def _centred(
    problem: Problem, found: gaussian.Moments, each: Array, pairs: bool
) -> tuple[Array, Array, Array]:
    """The new means, the scatter about them with the prior's share, and the counts (K, 1) or (K, C)."""
    mean, scatter, weight = found.mean, found.scatter, each
    prior = problem.prior
    if prior is not None:
        weight = each + prior.strength
        shift = mean - np.broadcast_to(prior.mean, mean.shape)
        pull = each * prior.strength / np.maximum(weight, 1e-300)
        scale = prior.matrix(mean.shape[1])
        if pairs:
            scatter = scatter + pull[:, :, None] * shift[:, :, None] * shift[:, None, :]
            if problem.kind == "full":
                scatter = scatter + scale
        else:
            scatter = scatter + pull * shift**2
            if problem.kind == "diag":
                scatter = scatter + np.diagonal(scale)
        mean = mean - shift * prior.strength / np.maximum(weight, 1e-300)
    chosen = _with_fixed(problem, mean, pairs)
    moved = mean - chosen
    if moved.any():
        if pairs:
            scatter = scatter + weight[:, :, None] * moved[:, :, None] * moved[:, None, :]
        else:
            scatter = scatter + weight * moved**2
    return chosen, scatter, each


def _with_fixed(problem: Problem, mean: Array, pairs: bool) -> Array:
    """The best means given the fixed elements; under a full covariance the free ones lean on them."""
    fixed = ~problem.free_mean
    if not fixed.any():
        return mean
    chosen = np.where(fixed, problem.now.mean, mean)
    for k in np.flatnonzero(fixed.any(1) & ~fixed.all(1)) if pairs else ():
        cov = problem.now.spread[k]
        if not np.isnan(cov).any():
            precision, f, o = np.linalg.inv(cov), ~fixed[k], fixed[k]
            push = precision[np.ix_(f, o)] @ (mean[k, o] - chosen[k, o])
            chosen[k, f] = mean[k, f] + np.linalg.solve(precision[np.ix_(f, f)], push)
    return chosen


def _raised(var: Array, least: Array, now: Array) -> Array:
    """Variances not under their floor, nor under where they are if that is lower still."""
    return np.maximum(var, np.where(now < least, now, least))


def _spherical(problem: Problem, scatter: Array, each: Array, least: Array) -> Array:
    """One variance for all channels of a state, (K, C)."""
    total, count = scatter.sum(1), each.sum(1)
    prior = problem.prior
    if prior is not None:
        channels = scatter.shape[1]
        total = total + np.diagonal(prior.matrix(channels)).mean()
        count = count + prior.degrees(1) + 2.0 + channels
    var = _raised(total / count, np.asarray(least.mean()), problem.now.spread[:, 0])
    return np.broadcast_to(var[:, None], scatter.shape)


def _covariances(problem: Problem, scatter: Array, count: Array, least: Array) -> Array:
    """Full or tied covariances (K, C, C), no smaller in any direction than the floor."""
    prior, channels = problem.prior, scatter.shape[1]
    if problem.kind == "tied":
        size = problem.group or len(scatter)
        shared = scatter.reshape(-1, size, channels, channels).sum(1)
        total = count.reshape(-1, size).sum(1)
        if prior is not None:
            shared = shared + prior.matrix(channels)
            total = total + prior.degrees(channels) + channels + 1.0 + size
        cov = np.repeat(shared / total[:, None, None], size, axis=0)
    else:
        extra = 0.0 if prior is None else prior.degrees(channels) + channels + 2.0
        cov = scatter / (count + extra)[:, None, None]
    return _lifted(cov, least, problem.now.spread)


def _lifted(cov: Array, least: Array, now: Array) -> Array:
    """The best covariances that exceed diag(least) in every direction: eigenvalues, in its units, cut off below at 1.

    Where a present covariance is smaller already, at its least eigenvalue, so that no step lowers the likelihood.
    """
    unit = np.sqrt(least)
    scaled = cov / unit[:, None] / unit
    scaled = 0.5 * (scaled + np.swapaxes(scaled, 1, 2))
    least_value = np.linalg.eigvalsh(scaled)[:, 0]
    if least_value.min() >= 1.0:
        return 0.5 * (cov + np.swapaxes(cov, 1, 2))
    bound = np.ones(len(cov))
    known = ~np.isnan(now).any((1, 2))
    if known.any():
        present = np.linalg.eigvalsh(now[known] / unit[:, None] / unit)[:, 0]
        bound[known] = np.clip(present, 1e-300, 1.0)
    values, vectors = np.linalg.eigh(scaled)
    values = np.maximum(values, bound[:, None])
    lifted = (vectors * values[:, None, :]) @ np.swapaxes(vectors, 1, 2) * unit[:, None] * unit
    keep = (least_value >= bound)[:, None, None]
    return np.where(keep, cov, 0.5 * (lifted + np.swapaxes(lifted, 1, 2)))


def _settled(problem: Problem, mean: Array, spread: Array, alive: Array) -> Gaussians:
    """Estimates where free; states without weight stay where they are."""
    now, living = problem.now, _living(problem, alive)
    change = problem.free_mean & (alive | np.isnan(now.mean))
    mean = np.where(change, mean, now.mean)
    if spread.ndim == 2:
        shown = living if problem.kind == "spherical" else alive
        return Gaussians(
            mean, np.where(problem.free_spread & (shown | np.isnan(now.spread)), spread, now.spread)
        )
    unknown = np.isnan(now.spread).any((1, 2))
    whole = problem.free_spread & (living[:, 0] | unknown)
    return Gaussians(mean, np.where(whole[:, None, None], spread, now.spread))


def log_prior(problem: Problem) -> float:
    """Log density of the laws under the prior, up to a constant."""
    prior, (mean, spread) = problem.prior, problem.now
    if prior is None:
        return 0.0
    states, channels = mean.shape
    shift, scale = mean - np.broadcast_to(prior.mean, mean.shape), prior.matrix(channels)
    if problem.kind == "diag":
        power = (prior.degrees(1) + 3.0) / 2
        inner = np.diagonal(scale) + prior.strength * shift**2
        return float(-(power * np.log(spread) + inner / (2 * spread)).sum())
    if problem.kind == "spherical":
        power = (prior.degrees(1) + 2.0 + channels) / 2
        inner = np.diagonal(scale).mean() + prior.strength * (shift**2).sum(1)
        return float(-(power * np.log(spread[:, 0]) + inner / (2 * spread[:, 0])).sum())
    size = problem.group or states
    dof = prior.degrees(channels)
    products = prior.strength * shift[:, :, None] * shift[:, None, :]
    if problem.kind == "tied":
        products = products.reshape(-1, size, channels, channels).sum(1)
        spread, power = spread[::size], (dof + channels + 1 + size) / 2
    else:
        power = (dof + channels + 2) / 2
    traces = np.trace(np.linalg.solve(spread, scale + products), axis1=1, axis2=2)
    return float(-(power * np.linalg.slogdet(spread)[1] + traces / 2).sum())
