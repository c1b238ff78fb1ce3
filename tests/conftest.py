"""What all tests share: one thread each, and torch's own random numbers given back."""

from __future__ import annotations

import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is loaded; tests run side by side

import pytest


@pytest.fixture(scope="module", autouse=True)
def undisturbed():
    """A module that draws from torch's own stream leaves it to the next one as it found it."""
    if "torch" not in sys.modules:
        yield
        return
    import torch

    with torch.random.fork_rng(devices=[]):
        yield
