"""Maximum likelihood for exponential smoothing forms, on bare arrays (the numbers behind ``ETS``)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from seqkit.kernels.seasonality import remove_season, seasonal_indices
from seqkit.kernels.smoothing import Coefficients, Likelihood, log_likelihood, smooth

# The usual region (Hyndman et al. 2008, section 10.2): 0 < beta < alpha < 1, 0 < gamma < 1 - alpha,
# held by fitting beta / alpha and gamma / (1 - alpha), each within these bounds.
BOUNDS = {
    "alpha": (1e-4, 0.9999),
    "beta": (1e-4, 0.9999),
    "gamma": (1e-4, 0.9999),
    "phi": (0.8, 0.98),
}
STARTS = {
    "alpha": (0.02, 0.2, 0.6, 0.95),
    "beta": (0.02, 0.2),
    "gamma": (0.02, 0.3),
    "phi": (0.97,),
}
SEARCHES = 3
ORDER = ("alpha", "beta", "gamma", "phi")


@dataclass(frozen=True)
class Form:
    """One of the forms ETS(error, trend, season), e.g. ``Form("M", "Ad", "M")``."""

    error: str
    trend: str
    season: str

    @property
    def name(self) -> str:
        return f"ETS({self.error},{self.trend},{self.season})"

    @classmethod
    def parse(cls, name: str) -> Form:
        """Read a name back: the inverse of ``name``."""
        return cls(*name[4:-1].split(","))

    @property
    def linear(self) -> bool:
        """Class 1 of Hyndman et al. (2008): additive throughout, so forecasts are exactly normal."""
        return self.error == "A" and self.season != "M"

    @property
    def positive(self) -> bool:
        """Whether the form needs positive data."""
        return self.error == "M" or self.season == "M"

    def smoothing(self) -> tuple[str, ...]:
        """Names of the smoothing parameters the form has."""
        has = {
            "alpha": True,
            "beta": self.trend != "N",
            "gamma": self.season != "N",
            "phi": self.trend == "Ad",
        }
        return tuple(name for name in ORDER if has[name])

    def size(self, period: int) -> int:
        """Free parameters: smoothing, initial states (one season is the others' complement), variance."""
        states = 1 + (self.trend != "N") + (period - 1 if self.season != "N" else 0)
        return len(self.smoothing()) + states + 1


@dataclass(frozen=True)
class Fit:
    """A form with its maximum likelihood parameters and initial states."""

    form: Form
    coefficients: Coefficients
    level: float
    slope: float
    season: np.ndarray
    sigma: float
    log_likelihood: float
    n: int
    parameters: int

    def criterion(self, name: str) -> float:
        """``"aic"``, ``"aicc"`` or ``"bic"``; infinite where the correction is undefined."""
        n, k = self.n, self.parameters
        aic = -2.0 * self.log_likelihood + 2.0 * k
        if name == "aic":
            return aic
        if name == "bic":
            return aic + k * (np.log(n) - 2.0)
        return aic + 2.0 * k * (k + 1.0) / (n - k - 1.0) if n > k + 1 else np.inf


def fit_form(y: np.ndarray, form: Form, period: int) -> Fit:
    """Fit one form to y (T,) by maximum likelihood; NaN is missing.

    Starts from the states of a classical decomposition (Hyndman et al. 2008, section 2.6.1) and the
    best smoothing parameters of a coarse grid, then projected L-BFGS with exact gradients.
    """
    period = period if form.season != "N" else 1
    unit = _unit(y)
    x = _search(y / unit, form, period)
    c, season = _normalised(x[:6], x[6:], form)
    c[4:6] *= unit
    season = season * unit if form.season == "A" else season
    alpha, beta, gamma, phi, level, slope = (float(v) for v in c)
    coefficients = Coefficients(alpha, beta, gamma, phi, form.season == "M")
    return build(y, form, coefficients, level, slope, season)


def build(
    y: np.ndarray,
    form: Form,
    coefficients: Coefficients,
    level: float,
    slope: float,
    season: np.ndarray,
) -> Fit:
    """Likelihood and error scale of given parameters and states.

    sigma divides by the degrees of freedom left, as R's ``ets``; the likelihood has its maximum
    likelihood value.
    """
    means = smooth(y, coefficients, level, slope, season).means
    relative = form.error == "M"
    seen = ~np.isnan(y)
    e = (y - means)[seen] / (means[seen] if relative else 1.0)
    n, k = len(e), form.size(len(season))
    floor = _floor(y, relative)
    value = log_likelihood(y, means, relative=relative, floor=floor)
    sigma = float(np.sqrt((e @ e + floor) / max(n - k + 1, 1)))
    return Fit(form, coefficients, float(level), float(slope), season, sigma, value, n, k)


def _search(y: np.ndarray, form: Form, period: int) -> np.ndarray:
    """Maximum likelihood over the box; returns alpha, beta, gamma, phi, level, slope, season.

    The best of a few searches, since the surface has more than one hill, chiefly along alpha.
    """
    relative, multiplies = form.error == "M", form.season == "M"
    level, slope, season = initial_states(y, form, period)
    offset = np.concatenate([np.zeros(4), [level, slope], season])
    step_season = 0.3 / max(abs(level), 1.0) if multiplies else 0.3
    steps = np.concatenate([np.ones(5), [0.1], np.full(period, step_season)])
    likelihood = Likelihood(
        y, offset, steps, multiplies=multiplies, relative=relative, floor=_floor(y, relative)
    )
    lower, upper = np.zeros(6 + period), np.zeros(6 + period)
    lower[3] = upper[3] = 1.0
    names = form.smoothing()
    for name in names:
        lower[ORDER.index(name)], upper[ORDER.index(name)] = BOUNDS[name]
    for free, part in (
        (True, slice(4, 5)),
        (form.trend != "N", slice(5, 6)),
        (form.season != "N", slice(6, None)),
    ):
        if free:
            lower[part], upper[part] = -np.inf, np.inf
    grid = []
    for point in product(*(STARTS[name] for name in names)):
        x = np.clip(np.zeros(6 + period), lower, upper)
        x[[ORDER.index(name) for name in names]] = point
        grid.append(x)
    best: dict[float, np.ndarray] = {}
    for x in sorted(grid, key=lambda x: likelihood(x)[0]):
        best.setdefault(float(x[0]), x)
    runs = [likelihood.minimise(x, lower, upper) for x in list(best.values())[:SEARCHES]]
    x = min(runs, key=lambda run: run[0])[1]
    out = offset + steps * x
    out[1], out[2] = x[0] * x[1], (1.0 - x[0]) * x[2]
    return out


def initial_states(y: np.ndarray, form: Form, period: int) -> tuple[float, float, np.ndarray]:
    """Level, slope and season before the first row: decomposition of the first seasons, then a line."""
    multiplies = form.season == "M"
    season = np.ones(period) if multiplies else np.zeros(period)
    if form.season != "N":
        if len(y) >= 2 * period:
            season = seasonal_indices(y[: 5 * period], period, multiplicative=multiplies)
        if multiplies:
            season = np.maximum(season, 1e-2)
    adjusted = remove_season(y, season, multiplies)
    t = np.flatnonzero(~np.isnan(adjusted))[: max(10, 2 * period)]
    z = adjusted[t]
    if len(t) < 2:
        return float(z[0]) if len(z) else 0.0, 0.0, season
    centre = t - t.mean()
    slope = float(centre @ z / (centre @ centre))
    level = float(z.mean() - slope * (t.mean() + 1.0))
    if form.trend == "N":
        return float(z.mean()), 0.0, season
    if form.positive and level <= 0.0:
        return float(z[0]), 0.0, season
    return level, slope, season


def _normalised(c: np.ndarray, season: np.ndarray, form: Form) -> tuple[np.ndarray, np.ndarray]:
    """Move the season's mean into the level: the same model, and states that can be read."""
    c = c.copy()
    if form.season == "A":
        c[4] += season.mean()
        return c, season - season.mean()
    if form.season == "M":
        c[4:6] *= season.mean()
        return c, season / season.mean()
    return c, season


def _unit(y: np.ndarray) -> float:
    """A scale for the search: the spread of the data, or their size when they do not vary."""
    spread = float(np.nanstd(y))
    size = float(np.nanmean(np.abs(y)))
    if spread > 1e-10 * size:
        return spread
    return size if size > 0.0 else 1.0


def _floor(y: np.ndarray, relative: bool) -> float:
    """Least sum of squares: a perfect fit would have an infinite likelihood."""
    n = np.count_nonzero(~np.isnan(y))
    size = 1.0 if relative else float(np.nanmean(np.abs(y))) or 1.0
    return n * (1e-8 * size) ** 2
