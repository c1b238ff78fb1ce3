"""Likelihoods of hidden Markov models as functions of real coordinates: gradients, errors, direct maximisation."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from seqkit.data.sequences import Array

from ._hmm_chain import HiddenChain
from ._hmm_fit import Evidence, Fit, Options, Parameters, expectations
from ._hmm_moves import Moves, stationary

_POSITIVE = {"rate", "var", "dispersion", "concentration", "spread", "scale", "df"}
_SIMPLEX = {"probabilities", "weights"}
_REACH = {
    "simplex": 40.0,
    "positive": 12.0,
    "unit": 40.0,
    "real": 1e3,
    "cov": 12.0,
}  # of a search, from its start
_EDGE = 1e-7  # probabilities below this are at their bound: no coordinate leads there


class Piece(NamedTuple):
    """Some coordinates and what they move: elements `where` of the array `name`, of one state (None: of all)."""

    name: str
    kind: str
    where: Any
    state: int | None
    size: int


class Coordinates:
    """Real numbers, without bounds, for everything free in a model.

    Probabilities are logits against the largest of their row, positive numbers logarithms, covariances the elements of
    a Cholesky factor with logarithms on its diagonal, and real numbers multiples of `unit`.
    """

    def __init__(self, at: Parameters, moves: Moves, unit: float):
        if type(at.chain) is not HiddenChain:
            raise ValueError(
                "gradients and standard errors are for plain transitions; not with explicit durations or covariates"
            )
        self.at, self.moves, self.unit = at, moves, unit
        self.arrays = {"initial": at.chain.initial, "transition": at.chain.transition}
        self.arrays |= {f"emission.{name}": v for name, v in at.emission.parameters().items()}
        free = {
            "initial": np.isnan(moves.initial) & (not moves.stationary),
            "transition": np.isnan(moves.transition),
        }
        free |= {f"emission.{name}": np.asarray(mask) for name, mask in at.emission.free.items()}
        self.pieces: list[Piece] = []
        for name, value in self.arrays.items():
            self._add(name, np.asarray(value), np.broadcast_to(free[name], np.shape(value)))
        self.edges = np.cumsum([0, *(piece.size for piece in self.pieces)])

    def _add(self, name: str, value: Array, free: Array) -> None:
        last, own = name.split(".")[-1], name.removeprefix("emission.")
        if name in ("initial", "transition") or last in _SIMPLEX:
            for row in np.ndindex(value.shape[:-1]):
                inner = np.flatnonzero(free[row] & (value[row] > _EDGE))
                if len(inner) > 1:
                    top = inner[np.argmax(value[row][inner])]
                    others = inner[inner != top]
                    state = row[0] if row else None
                    self.pieces.append(
                        Piece(name, "simplex", (row, others, top), state, len(others))
                    )
            return
        if last == "cov":
            for row in np.ndindex(value.shape[:-2]):
                if free[row].any():
                    n = value.shape[-1]
                    self.pieces.append(
                        Piece(name, "cov", row, row[0] if row else None, n * (n + 1) // 2)
                    )
            return
        positive = last in _POSITIVE or own in self.at.emission.positive
        kind = "positive" if positive else "unit" if last == "probability" else "real"
        for index in zip(*np.nonzero(free), strict=True):
            self.pieces.append(Piece(name, kind, index, int(index[0]), 1))

    def start(self) -> Array:
        """The coordinates of the model this was made for."""
        parts = [self._read(piece, self.arrays[piece.name]) for piece in self.pieces]
        return np.concatenate(parts) if parts else np.empty(0)

    def _read(self, piece: Piece, array: Array) -> Array:
        if piece.kind == "simplex":
            row, others, top = piece.where
            return np.log(array[row][others] / array[row][top])
        if piece.kind == "cov":
            lower = np.linalg.cholesky(array[piece.where])
            lower[np.diag_indices_from(lower)] = np.log(np.diag(lower))
            return lower[np.tril_indices_from(lower)]
        value = array[piece.where]
        change: dict[str, Any] = {
            "positive": np.log,
            "unit": lambda p: np.log(p / (1 - p)),
            "real": lambda x: x / self.unit,
        }
        return np.atleast_1d(change[piece.kind](value))

    def _write(self, piece: Piece, array: Array, x: Array) -> None:
        if piece.kind == "simplex":
            row, others, top = piece.where
            mass = array[row][others].sum() + array[row][top]
            logits = np.append(x, 0.0)
            weights = np.exp(logits - logits.max())
            array[row][np.append(others, top)] = mass * weights / weights.sum()
        elif piece.kind == "cov":
            n = array.shape[-1]
            lower = np.zeros((n, n))
            lower[np.tril_indices(n)] = x
            lower[np.diag_indices(n)] = np.exp(np.clip(np.diag(lower), -50.0, 50.0))
            array[piece.where] = lower @ lower.T
        else:
            change: dict[str, Any] = {
                "positive": lambda z: np.exp(np.clip(z, -50.0, 50.0)),
                "unit": lambda z: 1 / (1 + np.exp(-z)),
                "real": lambda z: z * self.unit,
            }
            array[piece.where] = change[piece.kind](x[0])

    def arrays_at(self, x: Array) -> dict[str, Array]:
        """The parameters at coordinates `x`, by name."""
        arrays = {name: np.array(value, dtype=float) for name, value in self.arrays.items()}
        for piece, a, b in zip(self.pieces, self.edges[:-1], self.edges[1:], strict=True):
            self._write(piece, arrays[piece.name], x[a:b])
        if self.moves.stationary:
            arrays["initial"] = stationary(arrays["transition"])
        return arrays

    def model(self, x: Array) -> Parameters:
        """The model at coordinates `x`."""
        arrays = self.arrays_at(x)
        emission = {
            n.removeprefix("emission."): v for n, v in arrays.items() if n.startswith("emission.")
        }
        hidden = HiddenChain(arrays["initial"], arrays["transition"])
        return Parameters(hidden, self.at.emission.with_parameters(emission))

    def score(self, x: Array, evidence: Evidence) -> tuple[float, Array]:
        """The objective (log-likelihood plus log prior) and its gradient.

        By Fisher's identity: the gradient of the expected complete-data log density, whose weights come from one
        forward-backward pass; each of its terms is cheap, and differenced numerically.
        """
        now = self.model(x)
        found = expectations(evidence, now, Options(0, 0.0))
        value = (
            float(found.log_partition.sum())
            + self.moves.log_prior(now.chain)
            + now.emission.log_prior()
        )
        gradient = np.empty(len(x))
        for piece, a, b in zip(self.pieces, self.edges[:-1], self.edges[1:], strict=True):
            for i in range(a, b):
                terms = []
                for step in (1e-5, -1e-5):
                    moved = x.copy()
                    moved[i] += step
                    terms.append(self._term(piece, self.model(moved), found, evidence))
                gradient[i] = (terms[0] - terms[1]) / 2e-5
        return value, gradient

    def _term(self, piece: Piece, model: Parameters, found: Any, evidence: Evidence) -> float:
        """The part of the expected complete-data log density that this piece moves."""
        if not piece.name.startswith("emission."):
            with np.errstate(divide="ignore", invalid="ignore"):
                pairs = (
                    (found.transition, model.chain.transition),
                    (found.initial, model.chain.initial),
                )
                terms = sum(float(np.where(c > 0, c * np.log(p), 0.0).sum()) for c, p in pairs)
            return terms + self.moves.log_prior(model.chain)
        one = piece.state is not None
        law = model.emission.order([piece.state]) if one else model.emission
        weights = found.weights[:, [piece.state]] if one else found.weights
        with np.errstate(invalid="ignore"):
            density = np.where(weights > 0, weights * law.log_density(evidence.rows), 0.0)
        return float(density.sum()) + model.emission.log_prior()


def _unit(evidence: Evidence) -> float:
    values = np.asarray(evidence.rows.values, dtype=float)
    scale = float(np.nanstd(values)) if np.isfinite(values).any() else 1.0
    return scale if scale > 0 else 1.0


def climb(evidence: Evidence, moves: Moves, start: Parameters, options: Options) -> Fit:
    """Direct maximisation from one start, by L-BFGS (Liu & Nocedal 1989) in unbounded coordinates."""
    from scipy.optimize import minimize

    space = Coordinates(start, moves, _unit(evidence))
    history: list[float] = []

    def negative(x: Array) -> tuple[float, Array]:
        with np.errstate(all="ignore"):  # a step of the line search may go too far
            try:
                value, gradient = space.score(x, evidence)
            except (ValueError, np.linalg.LinAlgError):
                return 1e300, np.zeros_like(x)
        if not (np.isfinite(value) and np.isfinite(gradient).all()):
            return 1e300, np.zeros_like(x)
        return -value, -gradient

    def note(intermediate_result: Any) -> None:
        history.append(-float(intermediate_result.fun))

    x = space.start()
    history.append(space.score(x, evidence)[0])
    limits = {"maxiter": options.max_iter, "ftol": 1e-3 * options.tol, "gtol": 1e-6, "maxls": 40}
    reach = np.concatenate([np.full(piece.size, _REACH[piece.kind]) for piece in space.pieces])
    bounds = np.column_stack([x - reach, x + reach])
    found = minimize(
        negative, x, jac=True, method="L-BFGS-B", bounds=bounds, callback=note, options=limits
    )
    now = space.model(found.x)
    ended = expectations(evidence, now, Options(0, 0.0))
    return Fit(
        now,
        float(ended.log_partition.sum()),
        history,
        bool(found.success) and len(history) > 2,
        ended.weights.sum(0),
    )


def standard_errors(
    evidence: Evidence, moves: Moves, at: Parameters, names: list[Any]
) -> pd.DataFrame:
    """Estimates and standard errors from the observed information, by the delta method.

    The information is the differenced gradient in unbounded coordinates. Probabilities at their bounds (0, 1) and what
    is fixed have no standard error (NaN).
    """
    space = Coordinates(at, moves, _unit(evidence))
    x = space.start()
    n, step = len(x), 1e-4
    curve = np.empty((n, n))
    for i in range(n):
        move = np.zeros(n)
        move[i] = step
        curve[i] = (space.score(x + move, evidence)[1] - space.score(x - move, evidence)[1]) / (
            2 * step
        )
    information = -(curve + curve.T) / 2
    values, vectors = np.linalg.eigh(information)
    usable = values > 1e-8 * max(values.max(initial=0.0), 1e-300)
    covariance = (vectors[:, usable] / values[usable]) @ vectors[:, usable].T
    errors = {name: np.zeros(np.shape(v)) for name, v in space.arrays.items()}
    slopes: dict[str, list[Array]] = {name: [] for name in errors}
    for i in range(n):
        move = np.zeros(n)
        move[i] = 1e-6
        above, below = space.arrays_at(x + move), space.arrays_at(x - move)
        for name in slopes:
            slopes[name].append((above[name] - below[name]) / 2e-6)
    rows = []
    for name, parts in slopes.items():
        if parts:
            J = np.stack(parts).reshape(n, -1)
            errors[name] = np.sqrt(
                np.maximum(np.einsum("ip,ij,jp->p", J, covariance, J), 0.0)
            ).reshape(errors[name].shape)
        for index in np.ndindex(errors[name].shape):
            shown = errors[name][index]
            label = name.removeprefix("emission.")
            shared = np.shape(space.arrays[name])[:1] != (len(names),)
            told = _described(label, index, names, shared, at.emission.labels)
            rows.append((label, *told, space.arrays[name][index], shown if shown > 0 else np.nan))
    frame = pd.DataFrame(
        rows, columns=["parameter", "state", "element", "estimate", "standard_error"]
    )
    return frame.set_index(["parameter", "state", "element"])


def _described(
    name: str, index: tuple[int, ...], names: list[Any], shared: bool, symbols: list[Any] | None
) -> tuple[Any, Any]:
    """The state an element belongs to ("" for all states), and which of its elements it is."""
    if name == "transition":
        return names[index[0]], names[index[1]]
    state, rest = ("", index) if shared else (names[index[0]], index[1:])
    if name == "probabilities" and symbols is not None:
        return state, symbols[rest[0]]
    return state, rest[0] if len(rest) == 1 else rest or ""
