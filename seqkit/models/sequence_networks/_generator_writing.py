"""What a generator writes: samples, and the likeliest sequences."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from seqkit.base import check_count
from seqkit.data.sequences import Array

from ._generator_asked import Asked, new_generator
from ._generator_data import Labels, Vectors, are_texts, conditions, observed
from .base import SEQUENCES, SequenceNetwork

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from seqkit.tasks.one_to_many import OneToMany
    from seqkit.tasks.ragged import Ragged

    from ._inputs import Observed

LONGEST = 200  # steps of a sample that has no end, where nothing else is said


class Writing(SequenceNetwork):
    """The verbs of a fitted generator that write."""

    _spelt: bool  # texts are sequences of characters
    _symbolic: bool  # symbols, not numbers
    _ends: bool
    _kind: Any  # Language or Measures
    _conditions: Labels | Vectors | None
    _longest: int  # steps of the longest training sequence

    # -- writing ---------------------------------------------------------------------------------

    def sample(
        self,
        n: int = 1,
        length: int | None = None,
        *,
        seed: int = 0,
        temperature: float = 1.0,
        top_k: int | None = None,
        nucleus: float | None = None,
        prefix: Any = None,
        condition: Any = None,
    ) -> list[Any]:
        """`n` sequences drawn from the model: texts, lists of symbols, or arrays of numbers, as `fit` was given them.

        All are written side by side. The unknown symbol is never drawn.

        Parameters
        ----------
        n : how many.
        length : most steps of a sequence, those of `prefix` not counted. None: where sequences end, twice as long as
            the longest of the training data, else as long as that, 200 at most.
        seed : of the draws.
        temperature : logits are divided by it: below 1 the likely becomes likelier (only symbols, and 0 or 1).
        top_k : draw from the likeliest symbols alone, so many. nucleus : from the smallest set of the likeliest whose
            probability is that much; see `seqkit.tasks.reshaped`.
        prefix : what the sequences begin with: one for all, or a list of n. It is part of what is returned.
        condition : a label or a vector, one for all, or n of them; needed exactly where `fit` was given y.

        Raises ValueError for numbers out of range, and symbols and labels that were never seen.
        """
        self._fitted()
        check_count("n", n, 1)
        options = self._reshaping(temperature, top_k, nucleus)
        length = self._length(length)
        task, asked = self._task(), self._asking(prefix, condition, n)
        generator = new_generator(task.seen.device, seed)
        return self._written(
            task,
            asked,
            length,
            lambda raw: task.steps.draw(self._lawful(raw), generator, **options),
        )

    def decode(
        self,
        prefix: Any = None,
        condition: Any = None,
        *,
        beam: int = 1,
        length: int | None = None,
        length_penalty: float = 0.0,
    ) -> Any:
        """The likeliest sequence that a search finds: step by step with ``beam=1``, else by `seqkit.tasks.beam_search`.

        Parameters
        ----------
        prefix, condition, length : as in `sample`; a list of them is answered by a list.
        beam : unfinished sequences that are kept; 1 where numbers are written, each by the point of its head.
        length_penalty : 0 ranks by probability; towards 1 the longer ones gain (Wu et al. 2016).

        Raises ValueError for numbers out of range, and symbols and labels that were never seen.
        """
        self._fitted()
        check_count("beam", beam, 1)
        length = self._length(length)
        many = self._many(prefix, condition)
        task, asked = self._task(), self._asking(prefix, condition, many or 1)
        if beam == 1:
            found = self._written(
                task, asked, length, lambda raw: task.steps.likeliest(self._lawful(raw))
            )
        elif self._symbolic:
            found = self._searched(task, asked, length, beam, length_penalty)
        else:
            raise ValueError(
                f"beam={beam} compares sequences of symbols; numbers are written with beam=1"
            )
        return found if many else found[0]

    def law(self, prefix: Any = None, condition: Any = None) -> Any:
        """The law of the step after one `prefix`, which the whole sequence so far is.

        Probabilities by symbol, that of the end by "<end>"; of numbers a `seqkit.distributions` object (channels,),
        given that there is another step.
        """
        self._fitted()
        if self._many(prefix, condition):
            raise ValueError("law tells of one sequence; give one prefix and one condition")
        import torch

        task = self._task()
        with torch.no_grad():
            (part,) = self._asking(prefix, condition, 1).parts(task, 1)
            raw, _ = task.step(part.fed, part.state)
        if not self._symbolic:
            return self._kind.law(task.steps, raw[0])
        names = [*self._kind.vocabulary.symbols, *(["<end>"] if self._ends else [])]
        found = pd.Series(raw[0].double().softmax(-1).cpu().numpy(), names, name="probability")
        return found.iloc[1:] if self._kind.known else found

    def _written(
        self, task: OneToMany, asked: Asked, length: int, choose: Callable[[Any], Any]
    ) -> list[Any]:
        found: list[Any] = []
        for part in asked.parts(task, SEQUENCES):
            steps, counts = task.write(part.state, part.fed, length, choose)
            rows = steps.cpu().numpy()
            own = [row[:count] for row, count in zip(rows, counts.tolist(), strict=True)]
            found += [self._kind.written(b, a) for a, b in zip(part.begun, own, strict=True)]
        return found

    def _searched(
        self, task: OneToMany, asked: Asked, length: int, beam: int, penalty: float
    ) -> list[Any]:
        import torch

        from seqkit.tasks.beam import beam_search

        def step(tokens: torch.Tensor, state: Any) -> tuple[torch.Tensor, Any]:
            raw, state = task.step(tokens, state)
            return self._lawful(raw).double().log_softmax(-1), state

        found: list[Any] = []
        for part in asked.parts(task, max(1, SEQUENCES // beam)):
            with torch.no_grad():
                answers = beam_search(
                    step, part.fed, part.state, end=task.steps.end, max_length=length, beam=beam,
                    length_penalty=penalty,
                )  # fmt: skip
            own = [np.array(best.tokens, dtype=np.int64) for best, *_ in answers]
            found += [self._kind.written(b, a) for a, b in zip(part.begun, own, strict=True)]
        return found

    def _lawful(self, raw: torch.Tensor) -> torch.Tensor:
        """Logits by which the unknown symbol is never written."""
        if not self._symbolic or self._kind.known:
            return raw
        return raw.index_fill(-1, raw.new_zeros(1).long(), -math.inf)

    def _length(self, length: int | None) -> int:
        if length is not None:
            check_count("length", length, 1)
            return int(length)
        return 2 * self._longest if self._ends else min(self._longest, LONGEST)

    def _reshaping(self, temperature: Any, top_k: Any, nucleus: Any) -> dict[str, Any]:
        if not temperature > 0 or not math.isfinite(temperature):
            raise ValueError(
                f"temperature must be positive, got {temperature!r}; the likeliest sequence is found by decode()"
            )
        if top_k is not None:
            check_count("top_k", top_k, 1)
        if nucleus is not None and not 0 < nucleus <= 1:
            raise ValueError(f"nucleus is a probability above 0, at most 1; got {nucleus!r}")
        if not self._symbolic and (top_k is not None or nucleus is not None):
            raise ValueError("top_k and nucleus choose among symbols, but numbers are written here")
        if temperature != 1 and not (self._symbolic or self._kind.coded):
            raise ValueError(
                f"temperature={temperature!r} reshapes laws of symbols, and of 0 and 1, not of numbers; leave it out"
            )
        return {"temperature": temperature, "top_k": top_k, "nucleus": nucleus}

    # -- what is asked ---------------------------------------------------------------------------

    def _observed(self, x: Any, name: str) -> Observed:
        """Sequences of the kind that the model was fitted to."""
        data, _ = observed(x, name, self._spelt or (not self._symbolic and are_texts(x)))
        if (data.numbers is None) != self._symbolic:
            kinds = ("symbols", "numbers") if self._symbolic else ("numbers", "symbols")
            raise ValueError(
                f"{name} holds {kinds[1]}, but the model was fitted to {kinds[0]}; give the kind that it was fitted to"
            )
        return data

    def _many(self, prefix: Any, condition: Any) -> int:
        """How many sequences are asked for: 0 for one alone."""
        counts = [self._prefixes(prefix)[1], self._conditions_given(condition)[1]]
        many = {count for count in counts if count}
        if len(many) > 1:
            raise ValueError(
                f"prefix has {counts[0]} beginnings, condition {counts[1]} of them; give as many, or one for all"
            )
        return many.pop() if many else 0

    def _prefixes(self, prefix: Any) -> tuple[Ragged | None, int, list[Array]]:
        """The beginnings, how many in a list, 0 for one that is for all, and as they were given."""
        if prefix is None:
            return None, 0, []
        if isinstance(prefix, (list, tuple)) and not len(prefix):
            raise ValueError("prefix is empty; leave it out to begin with nothing")
        data = self._observed(prefix, "prefix")
        alone = isinstance(prefix, str) if self._spelt else data.frame.single
        frame = data.frame
        given = [frame.array(i) for i in range(len(data))]
        return self._kind.ragged(data, ends=False), 0 if alone else len(data), given

    def _conditions_given(self, condition: Any) -> tuple[Any, int]:
        """Labels or vectors as the network reads them, and how many in a list; 0 for one that is for all."""
        known = self._conditions
        if condition is None or known is None:
            return self._condition_codes(condition, np.ones(1), "condition"), 0
        if isinstance(known, Labels):
            alone = np.isscalar(condition)
        else:  # several numbers are as many vectors where a vector has one
            alone = np.ndim(condition) < 2 and not (len(known) == 1 and np.size(condition) > 1)
        if alone and isinstance(known, Vectors):
            condition = np.reshape(np.asarray(condition, dtype=np.float64), (1, -1))
        given = [condition] if alone and isinstance(known, Labels) else condition
        codes = self._condition_codes(given, np.ones(len(given)), "condition")
        return codes, 0 if alone else len(codes)

    def _condition_codes(self, y: Any, lengths: Array, name: str) -> Any:
        """Conditions as the network reads them; None where it was fitted without."""
        known = self._conditions
        if known is None and y is None:
            return None
        if known is None or y is None:
            raise ValueError(
                f"the model was fitted without conditions; leave {name} out"
                if known is None
                else f"the model was fitted with a condition for every sequence; give {name}"
            )
        given: Any = conditions(self, y, lengths, name)
        if isinstance(given, np.ndarray) != isinstance(known, Vectors):
            kinds = ("vectors", "labels") if isinstance(known, Vectors) else ("labels", "vectors")
            raise ValueError(f"{name} holds {kinds[1]}, but the model was fitted to {kinds[0]}")
        return known.codes(given, name)

    def _asking(self, prefix: Any, condition: Any, n: int) -> Asked:
        begun, prefixes, shown = self._prefixes(prefix)
        codes, given = self._conditions_given(condition)
        for name, count in (("prefix", prefixes), ("condition", given)):
            if count not in (0, n):
                raise ValueError(
                    f"{name} has {count} entries for {n} sequences; give one each, or one for all"
                )
        return Asked(n, begun, codes, shown)
