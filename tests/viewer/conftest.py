"""Analyses made by hand, a bundle with random weights, a real viewer that leaves nothing behind."""

from __future__ import annotations

import numpy as np
import pytest
from viewer_parts import UM, cells_of, discs, heatmaps_for, predictions_for

from napari_aml.analysis import Analysis
from napari_aml.slides import ArraySlide, PixelSize


@pytest.fixture
def analysis():
    """Six round cells in a picture of 300 x 400 pixels, 0.1 µm each."""
    shape = (300, 400)
    labels, nuclei = discs(shape, [(60, 60), (60, 200), (60, 340), (220, 60), (220, 200), (220, 340)], 40)
    picture = np.full((*shape, 3), 235, np.uint8)
    picture[labels > 0] = (200, 180, 220)
    picture[nuclei > 0] = (90, 50, 140)
    slide = ArraySlide([picture], "hand", pixel_size=PixelSize(UM, "person"))
    cells = cells_of(labels, nuclei, slide_id=slide.slide_id)
    said = predictions_for(len(cells))
    return Analysis(slide, cells, said, heatmaps_for(cells, said))


@pytest.fixture(scope="session")
def bundle():
    """The shipped demonstration bundle."""
    from napari_aml.classify import load_bundle

    return load_bundle()
