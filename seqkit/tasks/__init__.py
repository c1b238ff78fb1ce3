"""Tasks: a core, a head, and how they are arranged in time; each knows its loss. Imported when first used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seqkit._lazy import lazily, needs_torch

needs_torch()

_PUBLIC = {
    "seq2seq": ["SequenceToSequence"],
    "beam": ["Hypothesis", "Shared", "beam_search"],
    "ctc": ["Unaligned"],
    "aligned": ["Aligned"],
    "encoder_decoder": ["EncoderDecoder"],
    "one_to_many": ["Continued", "NumberSteps", "OneToMany", "SymbolSteps", "pieces", "reshaped"],
    "one_to_one": ["OneToOne"],
    "forecasting": ["Layout", "WindowForecast"],
    "stateful": ["Chunks", "Stateful"],
    "many_to_one": ["ManyToOne"],
    "recursive": ["RecursiveForecast"],
    "smoothing": ["SmoothedForecast", "SmoothedWindows"],
    "ragged": ["Examples", "Padded", "Ragged"],
    "windows": ["Rows", "WindowBatch", "Windows"],
}

if TYPE_CHECKING:
    from .aligned import Aligned
    from .beam import Hypothesis, Shared, beam_search
    from .ctc import Unaligned
    from .encoder_decoder import EncoderDecoder
    from .forecasting import Layout, WindowForecast
    from .many_to_one import ManyToOne
    from .one_to_many import Continued, NumberSteps, OneToMany, SymbolSteps, pieces, reshaped
    from .one_to_one import OneToOne
    from .ragged import Examples, Padded, Ragged
    from .recursive import RecursiveForecast
    from .seq2seq import SequenceToSequence
    from .smoothing import SmoothedForecast, SmoothedWindows
    from .stateful import Chunks, Stateful
    from .windows import Rows, WindowBatch, Windows

__all__ = [
    "Aligned",
    "Chunks",
    "Continued",
    "EncoderDecoder",
    "Examples",
    "Hypothesis",
    "Layout",
    "ManyToOne",
    "NumberSteps",
    "OneToMany",
    "OneToOne",
    "Padded",
    "Ragged",
    "RecursiveForecast",
    "Rows",
    "SequenceToSequence",
    "Shared",
    "SmoothedForecast",
    "SmoothedWindows",
    "Stateful",
    "SymbolSteps",
    "Unaligned",
    "WindowBatch",
    "WindowForecast",
    "Windows",
    "beam_search",
    "pieces",
    "reshaped",
]

__getattr__, __dir__ = lazily(__name__, _PUBLIC)
