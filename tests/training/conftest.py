from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def _one_thread():
    """Tiny networks lose more by waiting for a second thread than they gain by it; sums are the same every time."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def easy(tmp_path_factory):
    """A dataset that a tiny network learns in seconds."""
    from training_parts import easy_dataset

    return easy_dataset(tmp_path_factory.mktemp("data") / "easy")
