"""Are two models different, are several? Diebold-Mariano, Friedman and Nemenyi."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Alternative = Literal["two-sided", "less", "greater"]


# ---------------------------------------------------------------- two models


@dataclass(frozen=True)
class DieboldMariano:
    """Result of `diebold_mariano`; ``mean_difference`` below 0: the first model lost less."""

    statistic: float
    p_value: float
    mean_difference: float
    n: int
    lags: int
    alternative: str = "two-sided"
    names: tuple[str, str] = ("a", "b")
    metric: str = "loss"
    over: str = "observations"

    def __repr__(self) -> str:
        a, b = self.names
        side = {"two-sided": "differ", "less": f"{a} lower", "greater": f"{a} higher"}
        return (
            f"Diebold-Mariano, {self.metric}: {a} - {b} = {self.mean_difference:.4g} on average "
            f"of {self.n} {self.over} (lags {self.lags})\n"
            f"t = {self.statistic:.3f}, p = {self.p_value:.4g} "
            f"(H1: {side[self.alternative]}; Harvey-Leybourne-Newbold)"
        )


def diebold_mariano(
    loss_a: ArrayLike,
    loss_b: ArrayLike,
    *,
    lags: int = 0,
    alternative: Alternative = "two-sided",
    names: tuple[str, str] = ("a", "b"),
    metric: str = "loss",
    over: str = "observations",
) -> DieboldMariano:
    r"""Test of equal expected loss of two forecasts.

    With :math:`d_t` the difference of the losses, in time order, and its autocovariances
    :math:`\gamma_k`,

    .. math:: t = \sqrt{\frac{n+1-2h+h(h-1)/n}{n}}\;
              \frac{\bar d}{\sqrt{(\gamma_0+2\sum_{k<h}\gamma_k)/n}},\qquad h = \mathrm{lags}+1,

    against Student's t with n - 1 degrees of freedom. ``lags`` is h - 1 for forecasts h steps
    ahead from every origin. Where the rectangular sum is not positive, Bartlett weights are used.
    Pairs with a NaN are left out. Equal losses throughout give statistic 0 and p-value 1.

    Sources: Diebold, Mariano (1995), JBES 13(3); Harvey, Leybourne, Newbold (1997), IJF 13(2),
    eq. 8-9.

    Raises ValueError for fewer than two pairs, or lags that leave no correction factor.

    >>> diebold_mariano([1.0, 2.0, 3.0, 4.0], [2.0, 2.0, 4.0, 5.0]).n
    4
    """
    a, b = np.asarray(loss_a, dtype=np.float64), np.asarray(loss_b, dtype=np.float64)
    if a.ndim != 1 or a.shape != b.shape:
        raise ValueError(
            f"loss_a has shape {a.shape} and loss_b {b.shape}; pass two equally long arrays."
        )
    if alternative not in ("two-sided", "less", "greater"):
        raise ValueError(
            f"alternative is {alternative!r}; expected 'two-sided', 'less' or 'greater'."
        )
    d = a - b
    d = d[~np.isnan(d)]
    n, h = len(d), lags + 1
    if n < 2 or n <= lags:
        raise ValueError(
            f"{n} pairs of losses are not enough with lags={lags}: pass at least {max(2, h)}, "
            "for instance by comparing over more windows or more series."
        )
    factor = (n + 1 - 2 * h + h * (h - 1) / n) / n
    if factor <= 0:
        raise ValueError(
            f"the small-sample correction does not exist for {n} pairs and lags={lags}; compare "
            "over more windows."
        )
    mean = float(d.mean())
    if bool((d == d[0]).all()):  # no variance: certain if they differ at all
        statistic = 0.0 if d[0] == 0 else float(np.copysign(np.inf, mean))
    else:
        statistic = float(np.sqrt(factor) * mean / np.sqrt(_long_run_variance(d, lags) / n))
    p_value = _tail(statistic, n - 1, alternative)
    return DieboldMariano(
        statistic, p_value, mean, n, lags, alternative, names, metric=metric, over=over
    )


def _long_run_variance(d: Array, lags: int) -> float:
    centred = d - d.mean()
    gamma = np.array([centred[k:] @ centred[: len(d) - k] for k in range(lags + 1)]) / len(d)
    rectangular = float(gamma[0] + 2.0 * gamma[1:].sum())
    if rectangular > 0:
        return rectangular
    weights = 1.0 - np.arange(1, lags + 1) / (lags + 1)
    return float(gamma[0] + 2.0 * weights @ gamma[1:])


def _tail(statistic: float, df: int, alternative: Alternative) -> float:
    from scipy.stats import t as student

    if alternative == "less":
        return float(student.cdf(statistic, df))
    if alternative == "greater":
        return float(student.sf(statistic, df))
    return float(min(1.0, 2.0 * student.sf(abs(statistic), df)))


# ---------------------------------------------------------------- several models


@dataclass(frozen=True, repr=False)
class Ranks:
    """Result of `friedman_nemenyi`.

    ``mean_ranks`` (1 is best) in order; ``statistic`` and ``p_value`` of Friedman's test that all
    models are alike; ``critical_difference`` at ``alpha``; ``p_values`` of every pair (Nemenyi);
    ``groups``: the largest sets of models that are not told apart.
    """

    mean_ranks: pd.Series
    statistic: float
    p_value: float
    critical_difference: float
    alpha: float
    cases: int
    p_values: pd.DataFrame
    groups: tuple[tuple[str, ...], ...]
    metric: str = "loss"

    def __repr__(self) -> str:
        lines = [
            f"Mean ranks by {self.metric} over {self.cases} cases (1 is best)",
            *(f"  {value:6.3f}  {name}" for name, value in self.mean_ranks.items()),
            f"Friedman chi2 = {self.statistic:.3f}, p = {self.p_value:.4g}; Nemenyi critical "
            f"difference {self.critical_difference:.3f} at alpha {self.alpha:g}",
        ]
        if self.groups:
            lines.append("Not told apart: " + "; ".join(", ".join(g) for g in self.groups))
        return "\n".join(lines)

    def plot(self, ax: object = None) -> object:
        """Critical-difference diagram."""
        from seqkit.plotting.comparison import critical_difference

        return critical_difference(self, ax=ax)


def rank_rows(losses: Array) -> Array:
    """Rank within each row, 1 for the smallest; ties share their mean rank; NaN ranks last."""
    from scipy.stats import rankdata

    return np.asarray(rankdata(np.where(np.isnan(losses), np.inf, losses), axis=1))


def friedman_nemenyi(losses: pd.DataFrame, *, alpha: float = 0.05, metric: str = "loss") -> Ranks:
    r"""Friedman's test and Nemenyi's critical difference for k models over N cases.

    ``losses`` has a row per case and a column per model; lower is better, NaN (a model that
    failed) ranks last, rows that are NaN throughout are left out. With mean ranks :math:`R_j`,

    .. math:: \chi^2 = \frac{12N}{k(k+1)}\Big(\sum_j R_j^2 - \frac{k(k+1)^2}4\Big),\qquad
              \mathrm{CD} = q_\alpha\sqrt{\frac{k(k+1)}{6N}},

    the first corrected for ties as usual, and :math:`q_\alpha` the studentized range over
    :math:`\sqrt2`. Source: Demsar (2006), JMLR 7, sec. 3.2.

    Raises ValueError for fewer than two models or two cases.
    """
    from scipy.stats import chi2, studentized_range

    table = losses.to_numpy(dtype=np.float64)
    table = table[~np.isnan(table).all(axis=1)]
    cases, k = table.shape
    if k < 2 or cases < 2:
        raise ValueError(
            f"ranks need two models and two cases at least, got {k} model{'s' * (k != 1)} and "
            f"{cases} case{'s' * (cases != 1)} "
            "(series or data sets with a value)."
        )
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha is {alpha!r}; pass a level between 0 and 1, such as 0.05.")
    ranks = rank_rows(table)
    means = pd.Series(ranks.mean(axis=0), index=pd.Index(losses.columns, name="model"), name="rank")
    # the sum of squares of tied ranks carries the usual correction for ties
    spread = float(np.square(ranks).sum() - cases * k * (k + 1) ** 2 / 4)
    between = cases**2 * float(np.square(means - (k + 1) / 2).sum())
    statistic = (k - 1) * between / spread if spread > 0 else 0.0
    p_value = float(chi2.sf(statistic, k - 1))
    error = float(np.sqrt(k * (k + 1) / (6.0 * cases)))
    difference = float(studentized_range.ppf(1 - alpha, k, np.inf)) / np.sqrt(2) * error
    order = means.sort_values(kind="stable")
    gaps = np.abs(order.to_numpy()[:, None] - order.to_numpy()[None, :])
    pairs = np.clip(studentized_range.sf(gaps / error * np.sqrt(2), k, np.inf), 0.0, 1.0)
    np.fill_diagonal(pairs, 1.0)
    p_values = pd.DataFrame(pairs, index=order.index, columns=order.index)
    groups = _groups([str(name) for name in order.index], order.to_numpy(), difference)
    return Ranks(
        order, statistic, p_value, float(difference), alpha, cases, p_values, groups, metric
    )


def _groups(names: list[str], ranks: Array, difference: float) -> tuple[tuple[str, ...], ...]:
    """Largest runs of models, in order, whose ends are at most ``difference`` apart."""
    runs: list[tuple[int, int]] = []
    for first in range(len(names)):
        last = int(np.searchsorted(ranks, ranks[first] + difference, side="right")) - 1
        if last > first and (not runs or last > runs[-1][1]):
            runs.append((first, last))
    return tuple(tuple(names[first : last + 1]) for first, last in runs)
