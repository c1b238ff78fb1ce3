"""What all tests share: one thread each, and the same of torch's own random numbers, whatever ran before."""

from __future__ import annotations

import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is loaded; tests run side by side

import pytest


@pytest.fixture(autouse=True)
def same_stream():
    """Layers that are made without a generator have the same first weights in every order of the tests."""
    if "torch" not in sys.modules:
        yield
        return
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield
