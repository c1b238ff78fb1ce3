"""Language models beside a transcriber: what a transcript is worth before its frames are seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from seqkit.data.sequences import Array
from seqkit.models.markov.markov_chain import MarkovChain

from ._transcripts import Labels
from .generator import SequenceGenerator

Prior = Array | Callable[[list[tuple[int, ...]]], Array]


def prior_of(lm: Any, weight: float, bonus: float, labels: Labels) -> Prior | None:
    """weight * log p(transcript) + bonus * labels, for `seqkit.kernels.ctc_beam`; None for nothing.

    Parameters
    ----------
    lm : None; a `seqkit.MarkovChain` of order 1, or a `seqkit.SequenceGenerator`, over the labels; or an object whose
        ``next_log_probs(prefixes)`` gives a frame with a row for each prefix (a list of labels, or text where
        transcripts are text) and a column for each label, log p in nats; a column None is the end.

    Raises TypeError for another object; ValueError for a weight below 0, and a chain of higher order.
    """
    if not 0 <= weight < np.inf or not np.isfinite(bonus):
        raise ValueError(
            f"lm_weight must be at least 0, and bonus finite; got {weight!r}, {bonus!r}"
        )
    size = len(labels.names)
    if lm is None or weight == 0:
        return _with_bonus(np.zeros((size, size)), bonus) if bonus else None
    if isinstance(lm, MarkovChain):
        return _with_bonus(weight * _bigrams(lm, labels), bonus)
    model = Generated(lm) if isinstance(lm, SequenceGenerator) else lm
    if not callable(getattr(model, "next_log_probs", None)):
        raise TypeError(
            "lm must be a fitted seqkit.MarkovChain or seqkit.SequenceGenerator over the labels, or an object with "
            f"next_log_probs(prefixes); got {type(lm).__name__}"
        )

    def asked(prefixes: list[tuple[int, ...]]) -> Array:
        told = model.next_log_probs([labels.restore(prefix) for prefix in prefixes])
        return _with_bonus(weight * _columns(told, labels), bonus)

    return asked


def _with_bonus(rows: Array, bonus: float) -> Array:
    rows[:, 1:] += bonus
    return rows


def _bigrams(chain: MarkovChain, labels: Labels) -> Array:
    """log p of the label of a column after that of a row, the blank standing for beginning and end; the end is free."""
    if chain.order != 1:
        raise ValueError(
            f"lm is a chain of order {chain.order}; labels are searched by pairs: give one of order 1, or an object "
            "with next_log_probs(prefixes)"
        )
    names = labels.names[1:]
    table = np.zeros((len(names) + 1, len(names) + 1))
    with np.errstate(divide="ignore"):
        table[0, 1:] = np.log(chain.initial_.reindex(names).fillna(0.0))
        law = chain.transition_.reindex(index=names, columns=names).fillna(0.0)
        table[1:, 1:] = np.log(law.to_numpy())
    return table


def _columns(told: pd.DataFrame, labels: Labels) -> Array:
    """The rows of a language model in the order of the classes, its end in place of the blank."""
    found = np.full((len(told), len(labels.names)), -np.inf)
    values, columns = told.to_numpy(), list(told.columns)
    where: dict[Any, int] = {
        None if pd.isna(name) else name: place for place, name in enumerate(columns)
    }
    found[:, 0] = values[:, where[None]] if None in where else 0.0
    for code, name in enumerate(labels.names[1:], 1):
        if name in where:
            found[:, code] = values[:, where[name]]
    return found


class Generated:
    """A generator of sequences, asked what comes next; its network is made once.

    Raises TypeError for a generator of numbers, or one that needs a condition.
    """

    def __init__(self, generator: SequenceGenerator):
        self.task = generator._task()
        if not generator._symbolic or generator._conditions is not None:
            raise TypeError(
                "lm must write symbols, and without a condition; fit a seqkit.SequenceGenerator to transcripts alone"
            )
        self.vocabulary = generator._kind.vocabulary

    def next_log_probs(self, prefixes: list[Any]) -> pd.DataFrame:
        import torch

        from seqkit.tasks.ragged import Ragged

        task = self.task
        begun = [i for i, prefix in enumerate(prefixes) if len(prefix)]
        empty = [i for i, prefix in enumerate(prefixes) if not len(prefix)]
        names = [*self.vocabulary.symbols, *([] if task.steps.end is None else [None])]
        found = np.empty((len(prefixes), len(names)))
        device = next(task.parameters()).device
        with torch.inference_mode():
            for rows in filter(None, (begun, empty)):
                state = task.initial(len(rows))
                fed = task.steps.start(torch.empty(len(rows), device=device))
                if rows is begun:
                    codes = [self.vocabulary.encode(prefixes[i]) for i in rows]
                    values, lengths, _ = Ragged.of(codes).take(torch.arange(len(rows)))
                    state, fed = task.read(state, values.to(device), lengths.to(device))
                raw, _ = task.step(fed, state)
                found[rows] = raw.double().log_softmax(-1).cpu().numpy()
        return pd.DataFrame(found, columns=pd.Index(names, dtype=object))
