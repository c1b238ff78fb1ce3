"""Symbols from a finite vocabulary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from .base import Array, Distribution
from .emission import Emission, Rows
from .priors import Dirichlet


class Categorical(Emission, Distribution):
    """P(Y = v) = probabilities[.., v], v the code of one of V symbols.

    As a distribution it is that of the code 0, .., V - 1. Hidden states emit symbols: `make_rows` takes text or codes.

    Parameters
    ----------
    probabilities : (.., V), or (K, V) for hidden states; rows sum to one. NaN, or nothing, is to be estimated.
    symbols : the V symbols that codes stand for; without them a fit to text learns them, and numbers are codes.
    unknown : a reserved symbol, e.g. "<unk>", that stands for all symbols outside the vocabulary. Its probability is
        estimated by pseudo-counts (see `pseudo_count`), so that an unseen symbol never forbids a state.
    pseudo_count : how many unseen symbols each state is taken to have emitted beside the data.
    prior : a `Dirichlet`, or its alpha (a number, (V,) or (K, V)), for maximum a posteriori fits.

    Examples
    --------
    >>> from seqkit.distributions import Categorical
    >>> weather = Categorical([[0.1, 0.4, 0.5], [0.6, 0.3, 0.1]], symbols=["Walk", "Shop", "Clean"])
    >>> rows = weather.make_rows([["Clean"], ["Walk"], ["Clean"]])
    >>> rows.index
    array([1, 0, 1])
    """

    discrete = True
    _names = {"probabilities": "probabilities"}  # noqa: RUF012
    _support = "symbols"
    symbols: list[Any] | None = None
    unknown: str | None = None
    pseudo_count: float = 1.0

    def __init__(
        self,
        probabilities: Any = np.nan,
        symbols: Any = None,
        *,
        unknown: str | None = None,
        pseudo_count: float = 1.0,
        prior: Any = None,
    ):
        self.probabilities = np.asarray(probabilities, float)
        if symbols is not None:
            self.symbols = _vocabulary(symbols, unknown)
        if unknown is not None:
            self.unknown = unknown
        if pseudo_count != 1.0:
            self.pseudo_count = float(pseudo_count)
        if prior is not None and not isinstance(prior, Dirichlet):
            prior = Dirichlet(prior)
        self._set_options(prior)
        if self.probabilities.ndim:
            self._check()

    def _check(self) -> None:
        p, size = self.probabilities, self.probabilities.shape[-1]
        if self.symbols is not None and len(self.symbols) != size:
            also = f" ({self.unknown!r} among them)" if self.unknown is not None else ""
            raise ValueError(f"{size} probabilities for {len(self.symbols)} symbols{also}")
        total = p.sum(-1)
        if np.any(p < 0) or np.any(np.abs(total - 1) > 1e-8):
            bad = total[np.abs(total - 1) > 1e-8] if not np.any(p < 0) else p[p < 0]
            raise ValueError(
                f"probabilities are not negative and sum to one over the last axis (symbols); got {bad.flat[0]:.6g}"
            )
        if np.any(np.nansum(p, axis=-1) > 1 + 1e-8):
            raise ValueError("the fixed probabilities of a state already sum to more than one")

    # -- a distribution of codes -----------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        return self.probabilities.shape[:-1]

    @property
    def mean(self) -> Array:
        return self.probabilities @ np.arange(self.probabilities.shape[-1])

    @property
    def var(self) -> Array:
        squares = np.arange(self.probabilities.shape[-1]) ** 2
        return np.maximum(self.probabilities @ squares - self.mean**2, 0.0)

    def _at(self, table: Array, codes: Array) -> Array:
        """Elements of a table (.., V) at integer codes that broadcast against the leading axes."""
        shape = np.broadcast_shapes(codes.shape, self.shape)
        grid = np.ogrid[tuple(slice(n) for n in shape)]
        lead = tuple(
            g if n > 1 else 0
            for g, n in zip(grid[len(shape) - len(self.shape) :], self.shape, strict=True)
        )
        return table[(*lead, np.broadcast_to(codes, shape))]

    def log_prob(self, y: Any) -> Array:
        y = np.asarray(y, float)
        size = self.probabilities.shape[-1]
        valid = (y >= 0) & (y < size) & (y == np.floor(y))
        with np.errstate(divide="ignore"):
            found = np.log(self._at(self.probabilities, np.where(valid, y, 0).astype(int)))
        return np.where(np.isnan(y), np.nan, np.where(valid, found, -np.inf))

    def cdf(self, y: Any) -> Array:
        y = np.asarray(y, float)
        size = self.probabilities.shape[-1]
        codes = np.clip(np.floor(np.nan_to_num(y)), 0, size - 1).astype(int)
        found = np.minimum(self._at(self.probabilities.cumsum(-1), codes), 1.0)
        found = np.where(y < 0, 0.0, np.where(y >= size - 1, 1.0, found))
        return np.where(np.isnan(y), np.nan, found)

    def _ppf(self, q: Array) -> Array:
        edges = self.probabilities.cumsum(-1)[..., :-1]
        return (q[..., None] > edges).sum(-1).astype(float)

    # -- symbols ---------------------------------------------------------------------------------

    @property
    def labels(self) -> list[Any] | None:
        return self.symbols

    @property
    def n_states(self) -> int:
        return len(self.probabilities) if self.probabilities.ndim == 2 else 0

    @property
    def channels(self) -> int:
        return 1

    @property
    def fitted(self) -> bool:
        return self.probabilities.ndim == 2 and not np.isnan(self.probabilities).any()

    @property
    def n_free(self) -> int:
        return int(np.maximum(np.atleast_1d(self.free["probabilities"]).sum(-1) - 1, 0).sum())

    def __getitem__(self, key: Any) -> Self:
        keys = key if isinstance(key, tuple) else (key,)
        return super().__getitem__((*keys, Ellipsis, slice(None)))

    def learn_symbols(self, values: Any) -> Self:
        """This family with the vocabulary of text `values` (T, 1), where it has none yet."""
        values = np.asarray(values)
        if self.symbols is not None or values.dtype.kind not in "OUS":
            return self
        made = self._with(self.parameters(), self.free) if self._free else self._plain()
        found = sorted({v for v in values.ravel().tolist() if isinstance(v, str)})
        made.symbols = _vocabulary([v for v in found if v != self.unknown], self.unknown)
        return made

    def _plain(self) -> Self:
        made = object.__new__(type(self))
        vars(made).update(vars(self))
        return made

    def make_rows(self, values: Any, offsets: Any = None, covariates: Any = None) -> Rows:
        """Text (T, 1) (None or NaN where missing) or codes as the distinct symbols that occur, ascending codes."""
        values = np.asarray(values)
        if values.ndim == 1:
            values = values[:, None]
        if values.shape[1] != 1:
            raise ValueError(
                f"Categorical emits one symbol a step, got {values.shape[1]} channels; use Product of several"
            )
        codes = self.encode(values[:, 0])
        if not len(codes):
            return Rows(np.empty((0, 1)), None, None, True)
        missing = codes < 0
        top = int(codes.max()) + 1
        codes = np.where(missing, top, codes) if missing.any() else codes
        present = np.bincount(codes, minlength=top + 1) > 0
        table = np.flatnonzero(present).astype(float)
        if present[top]:
            table[-1] = np.nan
        return Rows(table[:, None], (np.cumsum(present) - 1)[codes], None, not present[top])

    def encode(self, values: Array) -> Array:
        """Codes (T,) of symbols or codes, -1 where missing.

        Raises
        ------
        ValueError : a symbol is outside the vocabulary, and no `unknown` stands for it.
        """
        if values.dtype.kind not in "OUS":
            return self._checked_codes(values)
        if self.symbols is None:
            if self.probabilities.ndim:
                raise TypeError(
                    "got text, but this Categorical knows codes only; give symbols=[...], one for each column"
                )
            return self.learn_symbols(values).encode(values)
        lookup: dict[Any, int] = {symbol: code for code, symbol in enumerate(self.symbols)}
        instead = lookup[self.unknown] if self.unknown is not None else -2
        found = [lookup.get(v, instead) for v in values.tolist()]
        codes = np.fromiter(found, np.int64, len(found))
        if self.unknown is not None or (codes == -2).any():
            for t in np.flatnonzero(codes == instead):
                if values[t] is None or values[t] != values[t]:
                    codes[t] = -1
                elif instead == -2:
                    raise ValueError(
                        f"the symbol {values[t]!r} at step {t} is not one of the {len(self.symbols)} known; give "
                        "unknown='<unk>' to Categorical before it is fitted, to have a probability for such symbols"
                    )
        return codes

    def _checked_codes(self, values: Array) -> Array:
        size = self._size()
        values = values.astype(float)
        missing = np.isnan(values)
        bad = ~missing & ((values < 0) | (values != np.floor(values)))
        if size is not None:
            bad |= values >= size
        if bad.any():
            t = int(np.argmax(bad))
            upto = "" if size is None else f" to {size - 1}"
            raise ValueError(
                f"Categorical emits codes 0{upto}, got {values[t]} at step {t}; "
                "give text with symbols=[...], or codes without gaps"
            )
        return np.where(missing, -1, values).astype(np.int64)

    def _size(self) -> int | None:
        """V, where it is known."""
        if self.probabilities.ndim:
            return self.probabilities.shape[-1]
        return None if self.symbols is None else len(self.symbols)

    # -- emitted by hidden states ------------------------------------------------------------------

    def log_density(self, rows: Rows) -> Array:
        x = rows.values[:, 0]
        missing = np.isnan(x)
        table = self.probabilities.T[np.where(missing, 0, x).astype(np.int64)]
        with np.errstate(divide="ignore"):
            np.log(table, out=table)
        table[missing] = 0.0
        return table

    def fit_weighted(self, rows: Rows, weights: Any) -> Self:
        """Weighted shares of the symbols; with a prior (counts + alpha - 1) normalised, cut off at zero."""
        weights = np.asarray(weights, float)
        x = rows.values[:, 0]
        seen = ~np.isnan(x)
        codes = x[seen].astype(np.int64)
        states, size = weights.shape[1], self._size() or int(codes.max(initial=-1)) + 1
        counts = np.zeros(
            (size, states)
        )  # transposed: whole rows are written, and read by `log_density`
        if np.all(np.diff(codes) > 0):
            counts[codes] = weights[seen]
        else:
            np.add.at(counts, codes, weights[seen])
        counts = counts.T
        if not counts.any():
            raise ValueError("no symbol was observed, so there is nothing to learn from")
        now, free = (
            np.broadcast_to(a, (states, size))
            for a in (self.probabilities, self.free["probabilities"])
        )
        total = counts.sum(1)
        alive = total > 1e-12 * total.sum()
        if not alive.all():
            counts[~alive] = counts.sum(0)
        if self.unknown is not None:
            counts[:, self._unknown_code(size)] += self.pseudo_count
        if self.prior is not None:
            counts = np.maximum(counts + self.prior.alpha - 1.0, 0.0)
        found = shares(counts, now, free)
        keep = ~alive & ~np.isnan(now).any(1)
        if keep.any():
            found[keep] = now[keep]
        return self._with({"probabilities": found}, {"probabilities": free})

    def _unknown_code(self, size: int) -> int:
        return size - 1 if self.symbols is None else self.symbols.index(self.unknown)

    def with_parameters(self, parameters: Mapping[str, Any]) -> Self:
        made = super().with_parameters(parameters)
        made._check()
        return made

    def log_prior(self) -> float:
        total = 0.0 if self.prior is None else self.prior.log_of(self.probabilities)
        if self.unknown is not None and self.pseudo_count:
            reserved = self.probabilities[:, self._unknown_code(self.probabilities.shape[-1])]
            total += self.pseudo_count * float(np.log(reserved).sum())
        return total

    def draw(self, states: Any, rng: np.random.Generator, inputs: Any = None) -> Array:
        """Codes (T, 1); `labels` says which symbols they stand for."""
        states = np.asarray(states)
        out, uniform = np.empty((len(states), 1)), rng.uniform(size=len(states))
        for k in np.unique(states):
            at = states == k
            edges = self.probabilities[k].cumsum()
            found = np.searchsorted(edges, uniform[at] * edges[-1], side="right")
            out[at, 0] = np.minimum(found, np.flatnonzero(self.probabilities[k])[-1])
        return out

    def law(self, k: int) -> Categorical:
        return self[[int(k)]]

    def laws(self, rows: Rows) -> list[Any]:
        shape = (len(rows.values), 1, self.probabilities.shape[1])
        tables = [np.broadcast_to(p, shape) for p in self.probabilities]  # views
        return [self._with({"probabilities": table}, self.free) for table in tables]


def _vocabulary(symbols: Any, unknown: str | None) -> list[Any]:
    """The symbols as a list without doubles, the reserved one at the end unless it has a place."""
    found = [s.item() if isinstance(s, np.generic) else s for s in symbols]
    if len(set(found)) != len(found):
        twice = next(s for i, s in enumerate(found) if s in found[:i])
        raise ValueError(f"the symbol {twice!r} is given twice")
    return found if unknown is None or unknown in found else [*found, unknown]


def shares(counts: Array, now: Array, free: Array) -> Array:
    """Counts as probabilities (K, V); the free ones share what the fixed ones leave. May overwrite the counts."""
    if free.all():
        total = counts.sum(1, keepdims=True)
        if total.all():
            counts /= total
            return counts
    left = 1.0 - np.where(free, 0.0, now).sum(1, keepdims=True)
    counts = np.where(free, counts, 0.0)
    total = counts.sum(1, keepdims=True)
    uniform = free / np.maximum(free.sum(1, keepdims=True), 1)
    share = np.where(total > 0, counts / np.where(total > 0, total, 1.0), uniform)
    return np.where(free, share * np.maximum(left, 0.0), now)
