r"""What happens inside a recurrent core: its states, its gates, and how far gradients reach.

The gradient of a loss at step T reaches the state of step T - k through a product of k Jacobians,

    ds_T / ds_{T-k} = J_T J_{T-1} .. J_{T-k+1},    J_t = ds_t / ds_{t-1},

which shrinks or grows like a power of k. All functions leave the core in the mode in which it was, and look at it
in evaluation mode.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import torch
from torch import Tensor

from .recurrent import Dilated, Recurrent, map_state

if TYPE_CHECKING:
    import pandas as pd

STEPS = 2**18  # at once, where a sequence is repeated for every number of its output


class LayerTrace(NamedTuple):
    """One layer over time.

    Attributes
    ----------
    states : the state after every step, each tensor (batch, time, hidden): h, and for an LSTM also c.
    gates : what every gate said, by name, each (batch, time, hidden).
    """

    states: tuple[Tensor, ...]
    gates: dict[str, Tensor]


@torch.no_grad()
def trace(core: Recurrent, x: Tensor) -> list[LayerTrace]:
    """States and gates of every layer, lowest first, while the core reads x (batch, time, inputs).

    >>> from seqkit.nn import LSTM
    >>> (layer,) = trace(LSTM(4).build(2), torch.ones(1, 10, 2))
    >>> [s.shape for s in layer.states], list(layer.gates)
    ([torch.Size([1, 10, 4]), torch.Size([1, 10, 4])], ['input', 'forget', 'candidate', 'output'])
    """
    _check(core, x)
    with _evaluating(core):
        state = core.initial(len(x))
        seen: list[tuple[list[Any], list[Any]]] = [([], []) for _ in core.layers]
        for x_t in x.unbind(1):
            h, after = x_t, []
            for i, (layer, norm) in enumerate(zip(core.layers, core.norms, strict=True)):
                below, turn = norm(h), _turn(layer, state[i])
                out, own = layer.step(below, state[i])
                seen[i][0].append(_last(layer, own))
                seen[i][1].append(layer.cell.activations(below, turn))
                h = core._upwards(out, h, i)
                after.append(own)
            state = tuple(after)
    return [
        LayerTrace(
            tuple(torch.stack(part, 1) for part in zip(*states, strict=True)),
            {name: torch.stack([g[name] for g in gates], 1) for name in gates[0]},
        )
        for states, gates in seen
    ]


def state_jacobians(core: Any, x: Tensor, lags: int | None = None) -> Iterator[Tensor]:
    """The products ds_T / ds_{T-k} for k = 0, 1, .. `lags`, each (batch, S, S).

    A state is written as one vector: layer after layer, h before c, S numbers in all. Needs no more memory for a
    long sequence than for a short one, but for the states themselves.

    Parameters
    ----------
    core : any with `initial` and `step`; its state must not be empty.
    x : (batch, time, inputs).
    lags : how far back; None for all steps.

    Raises ValueError for a core without a state, and for fewer steps than `lags`.
    Source: Bengio, Simard, Frasconi (1994), IEEE Trans. Neural Networks 5; Pascanu, Mikolov, Bengio (2013), ICML.

    >>> from seqkit.nn import RNN
    >>> core, x = RNN(3, activation="relu").build(1), torch.ones(1, 20, 1)
    >>> products = list(state_jacobians(core, x, lags=2))
    >>> len(products), torch.equal(products[0][0], torch.eye(3))
    (3, True)
    """
    lags = x.shape[1] if lags is None else lags
    if not 0 <= lags <= x.shape[1]:
        raise ValueError(
            f"lags is {lags}; the sequence has {x.shape[1]} steps, and no more can be gone back"
        )
    with _evaluating(core):
        states = _states_before(core, x, lags)
        batch, width = _flat(states[-1]).shape if states else _flat(core.initial(len(x))).shape
        if not width:
            raise ValueError(
                f"{type(core).__name__} has no state, so there is nothing to go back through"
            )
    product = torch.eye(width, dtype=x.dtype, device=x.device).expand(batch, -1, -1)
    yield product
    for lag in range(1, lags + 1):
        with _evaluating(core):
            product = _times_jacobian(core, product, x[:, x.shape[1] - lag], states[-lag])
        yield product


def state_gradients(
    core: Any,
    x: Tensor,
    lags: int | None = None,
    *,
    kind: Literal["largest", "typical"] = "largest",
) -> Tensor:
    """Size of ds_T / ds_{T-k} against the lag k, (batch, lags + 1); 1 at lag 0.

    Parameters
    ----------
    core, x, lags : see `state_jacobians`.
    kind : "largest" is the spectral norm, by how much a gradient can have grown; "typical" the root mean square of
        the singular values, by how much one of random direction has.

    >>> from seqkit.nn import RNN
    >>> core = RNN(3, activation="relu").build(1)
    >>> with torch.no_grad():
    ...     _ = core.cells[0].weight_hidden.copy_(0.5 * torch.eye(3))
    ...     _ = core.cells[0].bias_input.fill_(1.0)
    >>> state_gradients(core, torch.zeros(1, 9, 1), lags=3)
    tensor([[1.0000, 0.5000, 0.2500, 0.1250]])
    """
    if kind not in ("largest", "typical"):
        raise ValueError(f'kind must be "largest" or "typical", got {kind!r}')
    found = [_size(product, kind) for product in state_jacobians(core, x, lags)]
    return torch.stack(found, 1)


def input_gradients(core: Any, x: Tensor, *, at: int = -1) -> Tensor:
    """Size of dy_at / dx_t for every step t, (batch, time): the root of the sum of squares of the Jacobian.

    It needs no state, so it serves any core (batch, time, inputs) to (batch, time, size), in either direction.

    Parameters
    ----------
    core : the core. x : (batch, time, inputs).
    at : the step whose output is asked about, the last one by default.

    >>> from seqkit.nn import LSTM, Bidirectional
    >>> x = torch.ones(1, 6, 2)
    >>> (input_gradients(LSTM(4).build(2), x, at=2) > 0).tolist()
    [[True, True, True, False, False, False]]
    >>> bool((input_gradients(Bidirectional(LSTM(4)).build(2), x, at=2) > 0).all())
    True
    """
    batch, time, _ = x.shape
    size = int(core.size)
    total = torch.zeros(batch, time, dtype=x.dtype, device=x.device)
    with _evaluating(core), torch.enable_grad():
        for units in torch.arange(size, device=x.device).split(max(1, STEPS // (batch * time))):
            rows = x.detach().repeat(len(units), 1, 1).requires_grad_()
            picked = core(rows)[:, at].view(len(units), batch, size)
            chosen = picked.gather(2, units.view(-1, 1, 1).expand(-1, batch, 1))
            (gradient,) = torch.autograd.grad(chosen.sum(), rows)
            total += gradient.view(len(units), batch, time, -1).square().sum((0, 3))
    return total.sqrt()


def spectral_radius(core: Recurrent) -> list[dict[str, float]]:
    """Greatest modulus of the eigenvalues of what each layer recalls of its past, gate by gate.

    For the vanilla cell it says how its state grows where the non-linear function is steepest: below 1 the past is
    forgotten, whatever comes. For gated cells see `jacobian_radius`.

    >>> from seqkit.nn import RNN
    >>> round(spectral_radius(RNN(8).build(1))[0]["candidate"], 3)  # orthogonal at the start
    1.0
    """
    _check(core)
    return [
        {
            gate: float(torch.linalg.eigvals(weight.detach().double()).abs().max())
            for gate, weight in zip(
                cell.gates, cell.weight_hidden.chunk(len(cell.gates)), strict=True
            )
        }
        for cell in core.cells
    ]


def jacobian_radius(core: Any, x: Tensor) -> Tensor:
    """Spectral radius of J_t = ds_t / ds_{t-1} at every step that the core takes through x, (batch, time).

    >>> from seqkit.nn import GRU
    >>> jacobian_radius(GRU(4).build(2), torch.ones(3, 5, 2)).shape
    torch.Size([3, 5])
    """
    with _evaluating(core):
        states = _states_before(core, x, x.shape[1])
        radii = []
        for x_t, state in zip(x.unbind(1), states, strict=True):
            batch, width = _flat(state).shape
            one = torch.eye(width, dtype=x.dtype, device=x.device).expand(batch, -1, -1)
            step = _times_jacobian(core, one, x_t, state)
            radii.append(torch.linalg.eigvals(step).abs().amax(-1))
    return torch.stack(radii, 1)


def effective_memory(sizes: Tensor, share: float = 1 / math.e) -> Tensor:
    """From which lag on the gradient stays below `share` of its largest; infinite where it does not, (...).

    With sizes a^k it is the time constant -1 / log a, rounded up.

    Parameters
    ----------
    sizes : (..., lags + 1), of `state_gradients`, or of `input_gradients` turned round.
    share : of the largest size, between 0 and 1.

    >>> effective_memory(0.9 ** torch.arange(40.0)).item()  # -1 / log 0.9 = 9.5
    10.0
    >>> effective_memory(torch.ones(40)).item()
    inf
    """
    if not 0 < share < 1:
        raise ValueError(f"share must lie between 0 and 1, got {share!r}")
    limit = share * sizes.amax(-1, keepdim=True)
    lags = torch.arange(1, sizes.shape[-1] + 1, device=sizes.device)
    last = ((sizes > limit) * lags).amax(-1).to(sizes.dtype)  # the lag after the last one above
    return torch.where(last == sizes.shape[-1], math.inf, last)


# -- one sequence, as tables ---------------------------------------------------------------------


def hidden_states(core: Recurrent, x: Tensor, index: Any = None) -> pd.DataFrame:
    """The states of a sequence (time, inputs) or (1, time, inputs): a row a step, columns (layer, state, unit).

    >>> from seqkit.nn import GRU
    >>> hidden_states(GRU(4).build(2), torch.ones(10, 2)).shape
    (10, 4)
    """
    found = {
        (i, name): part
        for i, layer in enumerate(trace(core, _one(x)))
        for name, part in zip(state_names(len(layer.states)), layer.states, strict=True)
    }
    return _table(found, ("layer", "state", "unit"), index)


def gates(core: Recurrent, x: Tensor, index: Any = None) -> pd.DataFrame:
    """What the gates say during a sequence (time, inputs): a row a step, columns (layer, gate, unit).

    >>> from seqkit.nn import GRU
    >>> gates(GRU(4).build(2), torch.ones(10, 2)).columns.unique("gate").tolist()
    ['reset', 'update', 'candidate']
    """
    found = {
        (i, name): part
        for i, layer in enumerate(trace(core, _one(x)))
        for name, part in layer.gates.items()
    }
    return _table(found, ("layer", "gate", "unit"), index)


def gradient_flow(core: Any, x: Tensor, lags: int | None = None) -> pd.DataFrame:
    """How gradients reach back from the end of a sequence (time, inputs): a row a lag.

    Columns: "largest" and "typical" size of ds_T / ds_{T-k} (see `state_gradients`), and "input", the size of
    dy_T / dx_{T-k} (see `input_gradients`).

    >>> from seqkit.nn import GRU
    >>> gradient_flow(GRU(4).build(2), torch.ones(10, 2), lags=5).shape
    (6, 3)
    """
    import pandas as pd

    x = _one(x)
    lags = x.shape[1] - 1 if lags is None else lags
    sizes: dict[str, list[float]] = {"largest": [], "typical": []}
    for product in state_jacobians(core, x, lags):
        for kind, column in sizes.items():
            column.append(float(_size(product, kind)))
    read = input_gradients(core, x)[0].flip(0)[: lags + 1].cpu()
    table = pd.DataFrame({**sizes, "input": pd.Series(read.double().numpy())})
    table.index.name = "lag"
    return table


def state_names(count: int) -> list[str]:
    """What the tensors of a cell's state are called: hidden, cell."""
    return (["hidden", "cell"] + [f"state {k}" for k in range(2, count)])[:count]


def _table(found: dict[Any, Tensor], names: tuple[str, ...], index: Any) -> pd.DataFrame:
    import pandas as pd

    parts = {key: pd.DataFrame(part[0].double().cpu().numpy()) for key, part in found.items()}
    table = pd.concat(parts, axis=1)
    table.columns.names = list(names)
    table.index = pd.RangeIndex(len(table), name="step") if index is None else pd.Index(index)
    return table


# -- inside --------------------------------------------------------------------------------------


@contextmanager
def _evaluating(core: torch.nn.Module) -> Iterator[None]:
    training = core.training
    core.eval()
    try:
        yield
    finally:
        core.train(training)


def _check(core: Any, x: Tensor | None = None) -> None:
    if not isinstance(core, Recurrent):
        raise TypeError(
            f"this instrument looks into recurrent layers (seqkit.nn.LSTM(8).build(3)), got {type(core).__name__}"
        )
    if x is not None:
        core._check_input(x)


def _one(x: Tensor) -> Tensor:
    x = x.unsqueeze(0) if x.ndim == 2 else x
    if x.ndim != 3 or len(x) != 1:
        raise ValueError(f"pass one sequence (time, inputs), got shape {tuple(x.shape)}")
    return x


def _turn(layer: Any, state: Any) -> Any:
    """The state that the cell starts from at the next step."""
    own = tuple(s[:, 0] for s in state) if isinstance(layer, Dilated) else state
    return own[: layer.cell.states]


def _last(layer: Any, state: Any) -> Any:
    """The state that the cell came to at the last step."""
    own = tuple(s[:, -1] for s in state) if isinstance(layer, Dilated) else state
    return own[: layer.cell.states]


@torch.no_grad()
def _states_before(core: Any, x: Tensor, lags: int) -> list[Any]:
    """The states from which the last `lags` steps are taken."""
    state, kept = core.initial(len(x)), []
    for t in range(x.shape[1]):
        if t >= x.shape[1] - lags:
            kept.append(state)
        _, state = core.step(x[:, t], state)
    return kept


def _times_jacobian(core: Any, product: Tensor, x_t: Tensor, state: Any) -> Tensor:
    """`product` (batch, S, S) times ds_t / ds_{t-1}: each of its rows goes back through a copy of the step."""
    batch, rows, width = product.shape
    with torch.enable_grad():
        before = map_state(lambda s: s.detach().repeat_interleave(rows, 0).requires_grad_(), state)
        _, after = core.step(x_t.detach().repeat_interleave(rows, 0), before)
        inputs = _leaves(before)
        end = (_flat(after) * product.reshape(batch * rows, width)).sum()
        found = torch.autograd.grad(end, inputs, allow_unused=True)
    parts = [
        (torch.zeros_like(s) if g is None else g).flatten(1)
        for g, s in zip(found, inputs, strict=True)
    ]
    return torch.cat(parts, 1).view(batch, rows, width)


def _leaves(state: Any) -> list[Tensor]:
    return (
        [state] if isinstance(state, Tensor) else [leaf for part in state for leaf in _leaves(part)]
    )


def _flat(state: Any) -> Tensor:
    leaves = _leaves(state)
    if not leaves:
        return torch.zeros(1, 0)
    return torch.cat([leaf.flatten(1) for leaf in leaves], 1)


def _size(product: Tensor, kind: str) -> Tensor:
    if kind == "largest":
        return torch.linalg.matrix_norm(product, 2)
    return torch.linalg.matrix_norm(product) / math.sqrt(product.shape[-1])
