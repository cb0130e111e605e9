from __future__ import annotations

import numpy as np
import pytest
from small_models import make_bundle

import napari_aml as aml


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A very small ConvNeXt with random weights, crops of 25 µm at 64 px."""
    return make_bundle(tmp_path_factory.mktemp("bundles") / "tiny")


@pytest.fixture(scope="session")
def field():
    """A made-up field with 24 round cells: (slide, cells); 0.2 µm/px, 12 µm cells with 6 µm nuclei."""
    from napari_aml.cells import CellMasks, Cells, measure

    rng = np.random.default_rng(5)
    image = rng.integers(150, 256, (420, 620, 3), dtype=np.uint8)
    yy, xx = np.mgrid[:420, :620]
    cells, nuclei = np.zeros((420, 620), np.int32), np.zeros((420, 620), np.int32)
    for i in range(24):
        cy, cx = 60 + 100 * (i // 6), 60 + 100 * (i % 6)
        distance = np.hypot(yy - cy, xx - cx)
        cells[distance < 30], nuclei[distance < 15] = i + 1, i + 1
        image[distance < 30] = image[distance < 30] // 2
    slide = aml.open_slide(image, 0.2)
    masks = CellMasks.from_arrays(cells, nuclei)
    return slide, Cells(slide.slide_id, masks, measure(masks, slide.slide_id, 0.2), 0.2, "made up")
