"""What all tests share: one thread each, the same of torch's own random numbers, and an order that ends evenly."""

from __future__ import annotations

import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is loaded; tests run side by side

import pytest


def pytest_collection_modifyitems(items):
    """The lessons come first: no other test is as long, and at the end every worker should find short ones to share.

    From the last to the first, since those that compile most kernels are among the first: others have done so by then.
    """
    lessons = [item for item in items if item.path.name == "test_readme.py"]
    items[:] = lessons[::-1] + [item for item in items if item.path.name != "test_readme.py"]


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
