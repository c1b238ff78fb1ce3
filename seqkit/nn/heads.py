"""Heads of networks: points, laws by their family, quantiles, mixtures, classes; `as_head` makes one of a family."""

from __future__ import annotations

from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from seqkit.distributions import (
    Bernoulli,
    Categorical,
    Distribution,
    Exponential,
    GaussianMixture,
    Mixture,
    Normal,
    Quantiles,
    _ops,
)

from ._head import Head, argument, as_array, in_units, table, wide
from .class_heads import Binary, Classes
from .point_heads import Absolute, Huber, PointHead, Squared
from .quantile_head import QuantileHead

if TYPE_CHECKING:
    from torch import Generator, Tensor

__all__ = [
    "Absolute", "Binary", "Classes", "FamilyHead", "Head", "Huber", "MixtureHead", "PointHead", "QuantileHead",
    "Squared", "as_head",
]  # fmt: skip

MOVED = ("location", "size", "angle")  # what keeps the components of a mixture apart at the start


class FamilyHead(Head):
    """A law of one family, its arguments given by the network.

    The loss is -log family.formula, of (target - shift) / scale where the law has a location, of target / scale where
    it is that of positive numbers, and of the target itself where it is one of counts.

    Parameters
    ----------
    family : an unfitted family such as `StudentT()`. A number for an argument without unit holds it: `StudentT(df=4)`.

    Raises
    ------
    ValueError : the family comes with a location, a scale, a mean, or with a prior.
    TypeError : the family cannot be a head.

    Examples
    --------
    >>> import numpy as np
    >>> from seqkit.distributions import StudentT
    >>> from seqkit.nn.heads import FamilyHead
    >>> head = FamilyHead(StudentT(df=4))
    >>> head.size
    2
    >>> law = head.distribution(np.array([[0.5, 0.0]]), shift=10.0, scale=2.0)
    >>> float(law.mean[0]), float(law.spread[0].round(3))
    (11.0, 2.0)

    Sources: Salinas et al. (2020); Bishop (1994).
    """

    def __init__(self, family: Any):
        if not isinstance(family, Distribution) or not family.arguments:
            raise TypeError(_refusal(family))
        _check_unfitted(family)
        self.family, self.fixed = family, _fixed(family)
        self.size = len(family.arguments) - len(self.fixed)
        self.shifted = "location" in family.arguments.values()

    def _arguments(self, ops: Any, raw: Any) -> dict[str, Any]:
        """Raw numbers (..., size) as arguments (...) in scaled units."""
        return self.arguments(ops, ops.leading(raw))

    def arguments(self, ops: Any, parts: Any) -> dict[str, Any]:
        """Arguments in scaled units of raw numbers, one for each that is learnt."""
        given, kind = iter(parts), parts[0]
        return {
            name: ops.constant(kind, self.fixed[name])
            if name in self.fixed
            else argument(ops, role, next(given))
            for name, role in self.family.arguments.items()
        }

    def _in_units(self, arguments: dict[str, Any], shift: Any, scale: Any) -> dict[str, Any]:
        roles = self.family.arguments
        return {name: in_units(roles[name], v, shift, scale) for name, v in arguments.items()}

    def log_density(self, arguments: dict[str, Any], target: Any, shift: Any, scale: Any) -> Any:
        """Log density of targets given arguments in scaled units; see the class for its units."""
        from seqkit.distributions import _ops_torch as ops

        if self.family.discrete:
            arguments = self._in_units(arguments, shift, scale)
        elif self.shifted:
            target = (target - shift) / scale
        elif "size" in self.family.arguments.values():
            target = target / scale
        return self.family.formula(ops, target, **arguments)

    def loss(self, raw: Tensor, target: Tensor, shift: Any, scale: Any) -> Tensor:
        from seqkit.distributions import _ops_torch as ops

        return -self.log_density(self._arguments(ops, wide(raw)), target, shift, scale)

    def _law(self, raw: Any, shift: Any, scale: Any) -> Any:
        """The law that float64 arrays of raw numbers stand for."""
        found = self._in_units(self._arguments(_ops, raw), shift, scale)
        shape = raw.shape[:-1]
        return self.family.from_arguments(
            **{k: np.broadcast_to(v, shape) for k, v in found.items()}
        )

    def distribution(self, raw: Any, shift: Any, scale: Any, spread: Any = None) -> Distribution:
        return self._law(*map(as_array, (raw, shift, scale)))

    def sample(
        self,
        raw: Tensor,
        shift: Any,
        scale: Any,
        generator: Generator,
        spread: Any = None,
    ) -> Tensor:
        from seqkit.distributions import _ops_torch as ops

        from .draws import draw

        raw = wide(raw)
        arguments = self._in_units(self._arguments(ops, raw), shift, scale)
        return draw(
            self.family, {k: v.expand(raw.shape[:-1]) for k, v in arguments.items()}, generator
        )

    def centre(self, arguments: dict[str, Any]) -> Any:
        """The mean (the median of an exponential law), by arguments."""
        roles = {role: name for name, role in self.family.arguments.items()}
        name = roles.get("location") or roles.get("size") or roles["angle"]
        return arguments[name]

    def point(self, raw: Tensor, shift: Any, scale: Any) -> Tensor:
        from seqkit.distributions import _ops_torch as ops

        centre = self.centre(self._in_units(self._arguments(ops, wide(raw)), shift, scale))
        return float(np.log(2)) * centre if isinstance(self.family, Exponential) else centre

    def check(self, values: Any, name: str = "x") -> None:
        values = np.asarray(values, float)
        bad = self.family._outside(values)  # type: ignore[attr-defined]
        if bad is not None and bad.any():
            raise ValueError(
                f"{self!r} is a law of {self.family._support}, but {name} holds {values[bad].flat[0]:.6g}; "  # type: ignore[attr-defined]
                "leave such values out, or choose another head, StudentT() for instance"
            )

    def __repr__(self) -> str:
        held = ", ".join(f"{name}={value!r}" for name, value in self.fixed.items())
        return f"{type(self.family).__name__}({held})"


class MixtureHead(Head):
    """Several laws of one family, and their weights: for what has more than one peak.

    The loss is -log sum over k of softmax(a)[k] p(y | arguments[k]); raw numbers are K of a, then K of each argument.
    The components start apart, at the normal quantiles of (k + 1/2) / K: equal ones would stay equal for ever.

    Parameters
    ----------
    family : as for `FamilyHead`.
    n_components : K, 1 or more.

    Examples
    --------
    >>> import numpy as np
    >>> from seqkit.distributions import Normal
    >>> from seqkit.nn.heads import MixtureHead
    >>> head = MixtureHead(Normal(), 2)
    >>> head.size
    6
    >>> head.distribution(np.zeros((1, 6)), 0.0, 1.0).components[1].mean.round(3)
    array([0.674])

    Source: Bishop (1994).
    """

    def __init__(self, family: Any, n_components: int = 2):
        if n_components < 1:
            raise ValueError(f"n_components must be 1 or more, got {n_components!r}")
        self.component, self.n_components = FamilyHead(family), int(n_components)
        self.size = self.n_components * (1 + self.component.size)
        self.shifted = self.component.shifted
        levels = [(k + 0.5) / self.n_components for k in range(self.n_components)]
        self.starts = tuple(NormalDist().inv_cdf(q) for q in levels)  # added to the raw centres

    def _parts(self, ops: Any, raw: Any) -> tuple[Any, dict[str, Any]]:
        """Raw weights (K, ...), and the arguments of the components (K, ...) in scaled units."""
        blocks = ops.leading(raw)
        blocks = blocks.reshape(-1, self.n_components, *raw.shape[:-1])
        first, *rest = blocks
        moved = table(first, self.starts)
        learnt = [
            r for n, r in self.component.family.arguments.items() if n not in self.component.fixed
        ]
        rest = [
            part + moved if role in MOVED else part for role, part in zip(learnt, rest, strict=True)
        ]
        return first, self.component.arguments(ops, rest)

    def loss(self, raw: Tensor, target: Tensor, shift: Any, scale: Any) -> Tensor:
        from seqkit.distributions import _ops_torch as ops

        weights, arguments = self._parts(ops, wide(raw))
        each = self.component.log_density(arguments, target, shift, scale)
        return weights.logsumexp(0) - (weights + each).logsumexp(0)

    def distribution(self, raw: Any, shift: Any, scale: Any, spread: Any = None) -> Distribution:
        raw, shift, scale = map(as_array, (raw, shift, scale))
        weights, arguments = self._parts(_ops, raw)
        found = self.component._in_units(arguments, shift, scale)
        found = {name: np.broadcast_to(value, weights.shape) for name, value in found.items()}
        make = self.component.family.from_arguments
        laws = [make(**{n: v[k] for n, v in found.items()}) for k in range(self.n_components)]
        weights = np.exp(weights - weights.max(0))
        return Mixture(np.moveaxis(weights / weights.sum(0), 0, -1), laws)

    def sample(
        self,
        raw: Tensor,
        shift: Any,
        scale: Any,
        generator: Generator,
        spread: Any = None,
    ) -> Tensor:
        from seqkit.distributions import _ops_torch as ops

        from .draws import draw, uniform

        weights, arguments = self._parts(ops, wide(raw))
        edges = weights.softmax(0).cumsum(0)[:-1]
        chosen = (uniform(weights[:1], generator) > edges).sum(0, keepdim=True)
        arguments = {
            name: value.expand(weights.shape).gather(0, chosen)[0]
            for name, value in arguments.items()
        }
        return draw(
            self.component.family, self.component._in_units(arguments, shift, scale), generator
        )

    def point(self, raw: Tensor, shift: Any, scale: Any) -> Tensor:
        from seqkit.distributions import _ops_torch as ops

        weights, arguments = self._parts(ops, wide(raw))
        found = self.component._in_units(arguments, shift, scale)
        return (weights.softmax(0) * self.component.centre(found)).sum(0)

    def check(self, values: Any, name: str = "x") -> None:
        self.component.check(values, name)

    def __repr__(self) -> str:
        return f"MixtureHead({self.component!r}, {self.n_components})"


def as_head(family: Any) -> Head:
    """The head that ends in `family`: a head as it is, or the one of an unfitted family.

    Normal(), StudentT(), Laplace(), Poisson(), NegativeBinomial(), Gamma(), Exponential(), VonMises(), Bernoulli(),
    Categorical(symbols=[..]), GaussianMixture(k), Quantiles(levels).

    Raises
    ------
    TypeError : the family cannot be a head. ValueError : it is fitted already.

    Examples
    --------
    >>> from seqkit.distributions import GaussianMixture, Quantiles
    >>> from seqkit.nn.heads import as_head
    >>> as_head(Quantiles(levels=[0.1, 0.5, 0.9])).size
    3
    >>> as_head(GaussianMixture(2))
    MixtureHead(Normal(), 2)
    """
    if isinstance(family, Head):
        return family
    if isinstance(family, Quantiles):
        return QuantileHead.of(family)
    if isinstance(family, (Bernoulli, Categorical, GaussianMixture)):
        _check_unfitted(family)
        if isinstance(family, Bernoulli):
            return Binary()
        if isinstance(family, GaussianMixture):
            return MixtureHead(Normal(covariance=family.covariance), family.n_components)
        if family.symbols is None:
            raise ValueError(
                "Categorical() does not say how many classes there are; pass seqkit.nn.heads.Classes(k)"
            )
        return Classes(len(family.symbols))
    return FamilyHead(family)


def _refusal(family: Any) -> str:
    shown = f"the class {family.__name__}" if isinstance(family, type) else repr(family)
    return (
        f"a head is a seqkit.nn.heads.Head (Squared(), Absolute(), Huber(), Binary(), Classes(k)), or one of the "
        "families Normal(), StudentT(), Laplace(), Poisson(), NegativeBinomial(), Gamma(), Exponential(), VonMises(), "
        f"Bernoulli(), GaussianMixture(k), Quantiles(levels); got {shown}"
    )


def _check_unfitted(family: Any) -> None:
    """A head learns location and scale for every value, so none of them can be given."""
    name = type(family).__name__
    if getattr(family, "covariance", None) not in (None, "diag", "spherical"):
        raise ValueError(
            f"a head is one law for every value: {name}(covariance={family.covariance!r}) is one for all channels"
        )
    if family.prior is not None:
        raise ValueError(f"a head takes no prior; use weight decay instead of {name}(prior=...)")
    held = _fixed(family)
    for parameter, value in family.parameters().items():
        if parameter not in held and not np.isnan(value).all():
            raise ValueError(
                f"a head learns the {parameter} of {name} for every value, but it is given as {value.tolist()}; "
                f"pass the family without it, {name}()"
            )


def _fixed(family: Any) -> dict[str, float]:
    """Arguments without unit that are held at one number."""
    found = {}
    for name, role in getattr(family, "arguments", {}).items():
        if role in ("positive", "above 2"):
            value = np.asarray(getattr(family, name))
            if value.size == 1 and not np.isnan(value).any():
                found[name] = float(value.flat[0])
    return found
