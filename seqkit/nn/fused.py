"""torch's kernels for whole sequences, oneDNN on a CPU and cuDNN on a GPU, on the weights of our cells."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from .cells import Cell, State

_MODES = {"lstm": "LSTM", "gru": "GRU", "rnn_tanh": "RNN_TANH", "rnn_relu": "RNN_RELU"}


def fused(
    cells: Sequence[Cell],
    x: Tensor,
    states: Sequence[State],
    lengths: Tensor | None = None,
    *,
    dropout: float = 0.0,
) -> tuple[Tensor, tuple[State, ...]]:
    """Layers of equal width upon each other in one call, and their states after the last step.

    Parameters
    ----------
    cells : one for each layer, of the same kind and width.
    x : (batch, time, inputs).
    states : of each layer; what they hold beside the cell's own state is handed through.
    lengths : (batch), after how many steps the states are asked for; after all of them where None.
    dropout : share of what goes from one layer to the next that is set to zero.

    >>> from seqkit.nn import GRUCell
    >>> cell = GRUCell(3, 4)
    >>> y, ((h,),) = fused([cell], torch.ones(2, 7, 3), [cell.initial(2)])
    >>> y.shape, bool((y[:, -1] == h).all())
    (torch.Size([2, 7, 4]), True)
    """
    count, kernel = cells[0].states, cells[0].kernel
    weights = [weight for cell in cells for weight in cell.weights]
    if x.is_cuda:
        _in_one_chunk(cells, weights)
    before = [
        torch.stack([state[k] for state in states])
        if len(states) > 1
        else states[0][k].unsqueeze(0).contiguous()
        for k in range(count)
    ]
    run = getattr(torch._VF, str(kernel))  # type: ignore[attr-defined]
    # unless it is told that it trains, cuDNN keeps nothing to go back by, in evaluation too
    learning = dropout > 0 or torch.is_grad_enabled()
    settings = (weights, True, len(cells), dropout, learning, False)
    if lengths is None:
        y, *after = run(x, _given(before), *settings, True)
    else:
        # A kernel takes no sequence without a step; such a one runs for one step, and its state is put back.
        packed = pack_padded_sequence(
            x, lengths.clamp(min=1).cpu(), batch_first=True, enforce_sorted=False
        )
        sort, back = packed.sorted_indices, packed.unsorted_indices
        assert sort is not None and back is not None  # as nothing was sorted before
        ordered = [b.index_select(1, sort) for b in before]
        y, *after = run(packed.data, packed.batch_sizes, _given(ordered), *settings)
        padded = PackedSequence(y, packed.batch_sizes, sort, back)
        y, _ = pad_packed_sequence(padded, batch_first=True, total_length=x.shape[1])
        some = (lengths > 0).view(1, -1, 1)
        after = [
            torch.where(some, a.index_select(1, back), b)
            for a, b in zip(after, before, strict=True)
        ]
    return y, tuple((*(a[i] for a in after), *state[count:]) for i, state in enumerate(states))


def _given(states: list[Tensor]) -> list[Tensor] | Tensor:
    return states if len(states) > 1 else states[0]


def _in_one_chunk(cells: Sequence[Cell], weights: list[Tensor]) -> None:
    """Lay the weights side by side in memory, as cuDNN wants them; once, as long as nothing moves them apart."""
    if len({w.untyped_storage().data_ptr() for w in weights}) == 1:
        return
    leaves = all(isinstance(w, nn.Parameter) for w in weights)
    if not leaves or not torch.backends.cudnn.is_acceptable(weights[0]):
        return
    from torch.backends.cudnn import rnn

    first = cells[0]
    with torch.no_grad(), torch.cuda.device_of(weights[0]):
        torch._cudnn_rnn_flatten_weight(
            weights,
            4,
            first.inputs,
            rnn.get_cudnn_mode(_MODES[str(first.kernel)]),
            first.hidden,
            0,
            len(cells),
            True,
            False,
        )
