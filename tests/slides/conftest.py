"""Real picture files of every kind, written from a shipped smear field."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from napari_aml.samples import sample_paths


@pytest.fixture(scope="session")
def field() -> np.ndarray:
    """One smear field, uint8 (480, 640, 3)."""
    return np.asarray(Image.open(sample_paths()[0]).convert("RGB"))


@pytest.fixture
def lazy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every TIFF is read lazily, however small."""
    monkeypatch.setattr("napari_aml.slides.tiff.IN_MEMORY_PIXELS", 0)
    monkeypatch.setattr("napari_aml.slides.tiff._BAND_ROWS", 64)
