"""What holds for all tests."""

import random

import numpy as np
import pytest
import torch

torch.set_num_threads(1)  # one worker of pytest-xdist a core


@pytest.fixture(autouse=True)
def _seeded():
    """Whatever a test draws without a generator of its own, it draws again on every run."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache for the test alone."""
    monkeypatch.setenv("LTC_CACHE", str(tmp_path))
