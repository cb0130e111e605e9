from __future__ import annotations

import pytest
from small_models import make_bundle


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A very small ConvNeXt with random weights, crops of 25 µm at 64 px."""
    return make_bundle(tmp_path_factory.mktemp("bundles") / "tiny")


@pytest.fixture(scope="session")
def pictures():
    """Seventy random crops, uint8 (70, 64, 64, 3)."""
    import numpy as np

    return np.random.default_rng(7).integers(0, 256, (70, 64, 64, 3), dtype=np.uint8)
