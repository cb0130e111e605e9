"""A results folder made by the package itself, and a clean record of notifications."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from napari_aml.samples import sample_paths


@pytest.fixture(scope="session")
def field_path():
    """A shipped smear field."""
    return sample_paths()[0]


@pytest.fixture(scope="session")
def field(field_path) -> np.ndarray:
    """Its pixels, uint8 (480, 640, 3)."""
    with Image.open(field_path) as image:
        return np.asarray(image.convert("RGB"))


@pytest.fixture(scope="session")
def results(field, tmp_path_factory):
    """A results folder of a field with two cells, one classified as NGS and one as LYT, at 0.1 µm per pixel."""
    from napari_aml.analysis import Analysis
    from napari_aml.cells import CellMasks, Cells, measure
    from napari_aml.classify import Predictions
    from napari_aml.export import write_results
    from napari_aml.slides import open_slide

    slide = open_slide(field, pixel_size_um=0.1, name="two cells")
    masks = CellMasks(slide.shape)
    for label, (y, x) in {1: (50, 60), 3: (300, 400)}.items():
        patch = np.ones((90, 80), np.uint8)
        patch[20:60, 20:60] = 2
        masks.put(label, y, x, patch)
    cells = Cells(slide.slide_id, masks, measure(masks, slide.slide_id, 0.1), 0.1)
    codes = ("LYT", "NGS")
    said = Predictions(
        codes, np.array([[0.1, 0.9], [0.8, 0.2]], np.float32), np.zeros((2, 4), np.float32),
        np.full(2, np.nan, np.float32), "test",
    )  # fmt: skip
    return write_results(Analysis(slide, cells, said), tmp_path_factory.mktemp("out") / "two cells")


@pytest.fixture
def notes():
    """The notifications that napari shows, as text, errors marked."""
    from napari.utils.notifications import notification_manager

    notification_manager.records.clear()
    yield notification_manager.records
    notification_manager.records.clear()
