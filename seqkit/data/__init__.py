"""From pandas to arrays and back: sequences, calendars, windows, scalings, features, vocabularies."""

from .calendar import Calendar
from .covariates import Covariates
from .features import calendar_features, fourier
from .sequences import Sequences, as_sequences
from .vocabulary import Vocabulary
from .windows import Windows

__all__ = [
    "Calendar",
    "Covariates",
    "Sequences",
    "Vocabulary",
    "Windows",
    "as_sequences",
    "calendar_features",
    "fourier",
]
