"""Measures of labels, tags and token sequences.

``actual`` and ``predicted`` are flat sequences of labels, or lists of sequences (one per
sentence); two lists of sequences must agree in every length, except for the edit measures.
A list of texts is one sequence of labels: for measures of their characters give ``map(list, texts)``
as a list.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

Labels = Sequence[Hashable]


def _is_nested(x: Any) -> bool:
    """Whether ``x`` is a list of sequences of labels and not a flat sequence of labels."""
    if isinstance(x, (pd.Series, np.ndarray)) and x.dtype != object:
        return bool(np.ndim(x) > 1)
    first = next(iter(x), None)
    return isinstance(first, (list, tuple, np.ndarray, pd.Series))


def _flat(actual: Any, predicted: Any) -> tuple[list[Hashable], list[Hashable]]:
    if _is_nested(actual) or _is_nested(predicted):
        rows, others = _pairs(actual, predicted)
        for i, (a, p) in enumerate(zip(rows, others, strict=True)):
            if len(a) != len(p):
                raise ValueError(
                    f"sequence {i} has {len(a)} labels in actual and {len(p)} in predicted: "
                    "pass one predicted label per actual label."
                )
        return [t for row in rows for t in row], [t for row in others for t in row]
    a, p = list(actual), list(predicted)
    if len(a) != len(p):
        raise ValueError(
            f"actual has {len(a)} labels and predicted {len(p)}: pass one predicted label per "
            "actual label."
        )
    return a, p


def _pairs(actual: Any, predicted: Any) -> tuple[list[list[Hashable]], list[list[Hashable]]]:
    """Both as lists of sequences; a flat sequence of labels counts as one sequence."""
    nested = _is_nested(actual), _is_nested(predicted)
    rows = [list(row) for row in actual] if nested[0] else [list(actual)]
    others = [list(row) for row in predicted] if nested[1] else [list(predicted)]
    if nested == (True, False) and not others[0]:  # no sequences, rather than one without a label
        others = []
    if len(rows) != len(others):
        raise ValueError(
            f"actual holds {len(rows)} sequences and predicted {len(others)}: pass as many."
        )
    return rows, others


def _codes(labels: list[Hashable]) -> tuple[NDArray[np.int64], list[Hashable]]:
    """Labels as numbers, and the labels in order of first appearance."""
    known: dict[Hashable, int] = {}
    codes = [known.setdefault(label, len(known)) for label in labels]
    return np.array(codes, dtype=np.int64), list(known)


def accuracy(actual: Any, predicted: Any) -> float:
    """Share of labels that are right, 0 to 1; NaN for no labels at all.

    >>> accuracy(["a", "b", "b"], ["a", "b", "a"])
    0.6666666666666666
    """
    a, p = _flat(actual, predicted)
    return float(np.mean([x == y for x, y in zip(a, p, strict=True)])) if a else float("nan")


def f1(actual: Any, predicted: Any, *, average: str | None = "macro") -> float | pd.Series:
    r"""Harmonic mean of precision and recall, :math:`2tp/(2tp+fp+fn)`.

    ``average="macro"``: mean over the classes that occur in ``actual`` or ``predicted``;
    ``"micro"``: from the counts of all classes (for one label per item, the accuracy);
    ``None``: a Series, one value per class. Source: van Rijsbergen (1979).

    >>> f1(["a", "b", "b"], ["a", "b", "a"])
    0.6666666666666666
    """
    if average not in ("macro", "micro", None):
        raise ValueError(f"average is {average!r}; expected 'macro', 'micro' or None.")
    a, p = _flat(actual, predicted)
    codes, classes = _codes([*a, *p])
    truth, guess = codes[: len(a)], codes[len(a) :]
    hits = np.bincount(truth[truth == guess], minlength=len(classes)).astype(float)
    sizes = np.bincount(truth, minlength=len(classes)) + np.bincount(guess, minlength=len(classes))
    if average == "micro":
        return float(2 * hits.sum() / sizes.sum()) if len(a) else float("nan")
    per_class = 2 * hits / np.maximum(sizes, 1)
    if average == "macro":
        return float(per_class.mean()) if len(a) else float("nan")
    found = pd.Series(per_class, index=pd.Index(classes, name="class"), name="f1")
    try:
        return found.sort_index()
    except TypeError:  # classes of several kinds stay in the order of their first appearance
        return found


# ---------------------------------------------------------------- spans


def spans(tags: Iterable[str]) -> list[tuple[str, int, int]]:
    """Chunks ``(type, start, stop)`` in one sequence of BIO (or BIOES) tags.

    As in conlleval: ``I-X`` after ``O`` or after another type begins a chunk.

    >>> spans(["B-per", "I-per", "O", "I-loc"])
    [('per', 0, 2), ('loc', 3, 4)]
    """
    found: list[tuple[str, int, int]] = []
    kind, start, before = "", -1, "O"  # start < 0: no chunk is open
    position = -1
    for position, tag in enumerate(tags):
        mark, _, this = str(tag).partition("-")
        if mark not in ("B", "I", "E", "S", "O"):
            raise ValueError(
                f"tag {tag!r} at position {position} is not of the form O, B-type or I-type."
            )
        begins = mark in ("B", "S") or before in ("O", "E", "S") or this != kind
        if start >= 0 and (mark == "O" or begins):
            found.append((kind, start, position))
            start = -1
        if mark != "O" and begins:
            kind, start = this, position
        before = mark
    if start >= 0:
        found.append((kind, start, position + 1))
    return found


def span_f1(actual: Any, predicted: Any, *, per_type: bool = False) -> float | pd.DataFrame:
    """F1 of chunks in BIO tags: a chunk counts when its span and its type are both exact.

    Counts are summed over all sequences (micro average). ``per_type=True`` gives a DataFrame
    ``precision, recall, f1, support`` with a row per type and a row ``all``. NaN where there is
    no chunk on either side. Source: Tjong Kim Sang, De Meulder (2003), CoNLL; conlleval.

    >>> span_f1([["B-per", "I-per", "O", "B-loc"]], [["B-per", "I-per", "O", "B-org"]])
    0.5
    """
    rows, others = _pairs(actual, predicted)
    counts: dict[str, list[int]] = {}  # type -> [right, predicted, actual]
    for i, (a, p) in enumerate(zip(rows, others, strict=True)):
        if len(a) != len(p):
            raise ValueError(
                f"sequence {i} has {len(a)} tags in actual and {len(p)} in predicted: pass one "
                "predicted tag per actual tag."
            )
        truth, guess = set(spans(a)), set(spans(p))  # type: ignore[arg-type]
        for slot, chunks in enumerate((truth & guess, guess, truth)):
            for kind, _, _ in chunks:
                counts.setdefault(kind, [0, 0, 0])[slot] += 1
    table = np.array([counts[k] for k in sorted(counts)], dtype=float).reshape(-1, 3)
    table = np.vstack([table, table.sum(axis=0)])
    with np.errstate(invalid="ignore"):
        frame = pd.DataFrame(
            {
                "precision": table[:, 0] / table[:, 1],
                "recall": table[:, 0] / table[:, 2],
                "f1": 2 * table[:, 0] / (table[:, 1] + table[:, 2]),
                "support": table[:, 2].astype(int),
            },
            index=pd.Index([*sorted(counts), "all"], name="type"),
        )
    return frame if per_type else float(frame["f1"].iloc[-1])


# ---------------------------------------------------------------- edit distance


def edit_distance(actual: Any, predicted: Any) -> NDArray[np.int64]:
    """Levenshtein distance of every pair of sequences, in tokens.

    Insertions, deletions and substitutions cost 1. Many pairs are worked through at once, one
    row of the table per step: the chain of insertions in a row is a running minimum.
    Source: Levenshtein (1966); Wagner, Fischer (1974).

    >>> edit_distance([list("kitten"), list("abc")], [list("sitting"), list("")]).tolist()
    [3, 3]
    """
    rows, others = _pairs(actual, predicted)
    codes, _ = _codes([t for side in (rows, others) for row in side for t in row])
    lengths = np.array([[len(r) for r in rows], [len(r) for r in others]], dtype=np.int64)
    starts = np.cumsum(np.concatenate([[0], lengths.ravel()]))[:-1].reshape(2, -1)
    result = np.zeros(len(rows), dtype=np.int64)
    order = np.argsort(lengths[0], kind="stable")
    for block in np.array_split(order, max(1, -(-len(order) // 1024))):
        a = _padded(codes, starts[0, block], lengths[0, block], fill=-1)
        b = _padded(codes, starts[1, block], lengths[1, block], fill=-2)
        result[block] = _distances(a, lengths[0, block], b, lengths[1, block])
    return result


def _padded(codes: NDArray[np.int64], starts: Any, lengths: Any, *, fill: int) -> Any:
    width = int(lengths.max(initial=0))
    inside = np.arange(width) < lengths[:, None]
    position = np.where(inside, starts[:, None] + np.arange(width), 0)
    return np.where(inside, codes[position] if len(codes) else fill, fill)


def _distances(a: Any, a_lengths: Any, b: Any, b_lengths: Any) -> NDArray[np.int64]:
    """``a`` (pairs, m) and ``b`` (pairs, n), padded: distances (pairs,)."""
    pairs, n = b.shape
    column = np.arange(n + 1)
    row = np.tile(column, (pairs, 1))
    result = row[np.arange(pairs), b_lengths]
    for i in range(a.shape[1]):
        change = row[:, :-1] + (b != a[:, i : i + 1])
        new = np.empty_like(row)
        new[:, 0] = i + 1
        new[:, 1:] = np.minimum(change, row[:, 1:] + 1)
        # D[i, j] = min over k <= j of new[k] + (j - k)
        row = np.minimum.accumulate(new - column, axis=1) + column
        ends = a_lengths == i + 1
        result = np.where(ends, row[np.arange(pairs), b_lengths], result)
    return result


def token_error_rate(actual: Any, predicted: Any) -> float:
    """Edit distance over the number of reference tokens, summed over all pairs first.

    With phonemes this is the phoneme error rate, with words the word error rate. It can exceed
    1. NaN without reference tokens.

    >>> token_error_rate([["the", "cat", "sat"]], [["the", "cat"]])
    0.3333333333333333
    """
    rows, _ = _pairs(actual, predicted)
    reference = sum(len(row) for row in rows)
    total = int(edit_distance(actual, predicted).sum())
    return total / reference if reference else float("nan")


def sequence_error_rate(actual: Any, predicted: Any) -> float:
    """Share of sequences that are not right token by token (word error rate of pronunciation).

    >>> sequence_error_rate([["a", "b"], ["c"]], [["a", "b"], ["d"]])
    0.5
    """
    rows, others = _pairs(actual, predicted)
    wrong = [a != p for a, p in zip(rows, others, strict=True)]
    return float(np.mean(wrong)) if wrong else float("nan")


def perplexity(log_prob: ArrayLike) -> float:
    r"""Perplexity :math:`\exp(-\frac1n\sum\log p)` from log probabilities in nats, one per token.

    NaN entries (padding, missing tokens) are left out. ``perplexity(model.score(x))`` works too,
    since a score is the mean log probability per token. Lower is better.

    >>> perplexity(np.log([0.25, 0.25]))
    4.0
    """
    values = np.asarray(log_prob, dtype=np.float64)
    values = values[~np.isnan(values)]
    return float(np.exp(-values.mean())) if values.size else float("nan")
