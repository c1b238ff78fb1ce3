"""Families of several kinds at once, independent given the hidden state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Self

import numpy as np

from seqkit.persistence import Record

from .base import Array
from .emission import Emission, Rows, is_complete
from .joined import Joined


class Product(Emission, Record):
    """p(y | state) = product over groups of channels of p_g(y_g | state), each group by its own family.

    Parameters
    ----------
    families : {channel: family} or {(channel, channel): family}, channels named as the columns of the data are, or by
        position; or a list of families, one for each channel in turn (a pair (family, n) takes the next n channels).

    Examples
    --------
    >>> from seqkit.distributions import Normal, Poisson, Product
    >>> e = Product([Poisson([1.0, 5.0]), Normal([0.0, 1.0], [1.0, 1.0])])
    >>> e.log_density(e.make_rows([[1.0, 0.0]])).round(4)
    array([[-1.9189, -4.8095]])
    """

    def __init__(self, families: Mapping[Any, Emission] | Sequence[Any]):
        if isinstance(families, Mapping):
            groups = [key if isinstance(key, tuple) else (key,) for key in families]
            members = list(families.values())
        else:
            pairs = [f if isinstance(f, tuple) else (f, 1) for f in families]
            ends = np.cumsum([0, *(n for _, n in pairs)])
            groups = [tuple(range(a, b)) for a, b in pairwise(ends)]
            members = [f for f, _ in pairs]
        wrong = [m for m in members if not isinstance(m, Emission)]
        if wrong or not members:
            raise TypeError(
                f"Product is made of emission families such as Poisson() or Normal(); got {wrong[:1] or 'none'}"
            )
        flat = [name for group in groups for name in group]
        if len(set(flat)) != len(flat):
            twice = next(n for i, n in enumerate(flat) if n in flat[:i])
            raise ValueError(f"channel {twice!r} has two families; give each channel one")
        self.groups, self.members = groups, members
        self.positions: list[Array] | None = None
        if all(isinstance(n, (int, np.integer)) for n in flat):
            self._place({n: n for n in range(max(flat) + 1)}, max(flat) + 1)
        self.discrete = all(m.discrete for m in members)

    def _place(self, where: Mapping[Any, int], count: int) -> None:
        """Note the positions of the groups, which must cover all channels."""
        flat = [name for group in self.groups for name in group]
        absent = [name for name in flat if name not in where]
        if absent:
            raise ValueError(f"the data have no channel {absent[0]!r}; they have {list(where)}")
        if len(flat) != count:
            left = [name for name in where if name not in flat]
            raise ValueError(
                f"no family for channel {left[0]!r}; give one, or leave the channel out"
            )
        self.positions = [np.array([where[n] for n in group], np.int64) for group in self.groups]

    def for_columns(self, columns: Any) -> Self:
        """The product for data whose channels have these names."""
        columns = list(columns)
        flat = [name for group in self.groups for name in group]
        made = self._copy(self.members)
        if all(name in columns for name in flat):
            made._place({name: i for i, name in enumerate(columns)}, len(columns))
        elif all(isinstance(n, (int, np.integer)) for n in flat):
            made._place({i: i for i in range(len(columns))}, len(columns))
        elif columns == [None] * len(columns) and len(columns) == len(flat):
            made._place({name: i for i, name in enumerate(flat)}, len(columns))
        else:
            made._place({name: i for i, name in enumerate(columns)}, len(columns))
        return made

    def _copy(self, members: Sequence[Emission]) -> Self:
        made = object.__new__(type(self))
        vars(made).update(vars(self))
        made.members = list(members)
        return made

    def _at(self) -> list[Array]:
        if self.positions is None:
            flat = [name for group in self.groups for name in group]
            return self.for_columns(flat)._at()  # nameless data: in the order given
        return self.positions

    # -- parameters ------------------------------------------------------------------------------

    def _key(self, i: int) -> str:
        return ",".join(map(str, self.groups[i]))

    @property
    def positive(self) -> frozenset[str]:  # type: ignore[override]
        """Parameters above 0 whose names do not say so."""
        return frozenset(
            f"{self._key(i)}.{name}"
            for i, member in enumerate(self.members)
            for name in member.positive
        )

    def parameters(self) -> dict[str, Array]:
        """The parameters of all families, named "channel.parameter"."""
        return {
            f"{self._key(i)}.{name}": value
            for i, member in enumerate(self.members)
            for name, value in member.parameters().items()
        }

    @property
    def free(self) -> dict[str, Array]:
        return {
            f"{self._key(i)}.{name}": mask
            for i, member in enumerate(self.members)
            for name, mask in member.free.items()
        }

    def with_parameters(self, parameters: Mapping[str, Any]) -> Self:
        members = list(self.members)
        for i, member in enumerate(members):
            start = f"{self._key(i)}."
            own = {n[len(start) :]: v for n, v in parameters.items() if n.startswith(start)}
            members[i] = member.with_parameters(own) if own else member
        known = self.parameters()
        if unknown := [n for n in parameters if n not in known]:
            raise ValueError(f"Product has no parameter {unknown[0]!r}; it has {list(known)}")
        return self._copy(members)

    def released(self) -> Self:
        return self._copy([m.released() for m in self.members])

    @property
    def fitted(self) -> bool:
        return all(m.fitted for m in self.members)

    @property
    def channels(self) -> int:
        return sum(len(group) for group in self.groups)

    @property
    def n_states(self) -> int:
        return max(m.n_states for m in self.members)

    @property
    def n_free(self) -> int:
        return sum(m.n_free for m in self.members)

    def __repr__(self) -> str:
        pairs = zip(self.groups, self.members, strict=True)
        return f"Product({', '.join(f'{self._label(g)}: {m!r}' for g, m in pairs)})"

    @staticmethod
    def _label(group: tuple[Any, ...]) -> str:
        return repr(group[0] if len(group) == 1 else group)

    def __getitem__(self, key: Any) -> Self:
        return self._copy([m[key] for m in self.members])

    # -- rows and densities ----------------------------------------------------------------------

    def make_rows(self, values: Any, offsets: Any = None, covariates: Any = None) -> Rows:
        values = np.asarray(values, float)
        if values.ndim == 1:
            values = values[:, None]
        places = self._at()
        count = sum(len(at) for at in places)
        if values.shape[1] != count:
            raise ValueError(
                f"the data have {values.shape[1]} channels, the families of the Product {count}"
            )
        parts = []
        for member, at in zip(self.members, places, strict=True):
            try:
                parts.append(member.make_rows(values[:, at], offsets, covariates))
            except ValueError as error:
                raise ValueError(f"channels {at.tolist()} of the Product: {error}") from None
        return Rows(values, None, None, is_complete(values), tuple(parts))

    def log_density(self, rows: Rows) -> Array:
        total = np.zeros((len(rows.values), self.n_states))
        for member, part in zip(self.members, rows.parts, strict=True):
            found = member.log_density(part)
            total += found if part.index is None else found[part.index]
        return total

    def log_prior(self) -> float:
        return sum(m.log_prior() for m in self.members)

    def fit_weighted(self, rows: Rows, weights: Any) -> Self:
        weights = np.asarray(weights, float)
        return self._copy(
            [
                m.fit_weighted(p, _collected(p, weights))
                for m, p in zip(self.members, rows.parts, strict=True)
            ]
        )

    def draw(self, states: Any, rng: np.random.Generator, inputs: Any = None) -> Array:
        places = self._at()
        out = np.empty((len(states), sum(len(at) for at in places)))
        for member, at in zip(self.members, places, strict=True):
            out[:, at] = member.draw(states, rng, inputs)
        return out

    def law(self, k: int) -> Joined:
        return Joined([m.law(k) for m in self.members], self._at())

    def laws(self, rows: Rows) -> list[Any]:
        each = []
        for member, part, at in zip(self.members, rows.parts, self._at(), strict=True):
            laws, index = member.laws(part), part.index
            each.append((laws if index is None else [law[index] for law in laws], at))
        places = [at for _, at in each]
        return [Joined([laws[k] for laws, _ in each], places) for k in range(self.n_states)]


def _collected(part: Rows, weights: Array) -> Array:
    """Weights (T, K) of the steps as those of a part's distinct rows."""
    if part.index is None:
        return weights
    columns = [np.bincount(part.index, w, len(part.values)) for w in weights.T]
    return np.stack(columns, axis=1)
