"""The last resort for a pixel size: nuclei, where no red cells can be measured."""

from __future__ import annotations

import numpy as np
import pytest

import napari_aml as aml
from napari_aml.slides.nuclei import guess_pixel_size


@pytest.mark.parametrize(
    ("folder", "um"), [("cells_aml_lmu_fullres/MYB", 28 / 400), ("cells_aml_lmu_thumbs/LYT", 0.257)]
)
def test_the_guess_is_good_to_about_a_third(shared_data, folder, um):
    paths = sorted((shared_data / folder).iterdir())[:8]
    guesses = [guess_pixel_size(aml.open_slide(path)) for path in paths]
    assert all(guesses) and 0.67 < np.median(guesses) / um < 1.5


def test_nothing_is_guessed_where_nothing_is_stained():
    assert guess_pixel_size(aml.open_slide(np.full((300, 400, 3), 235, np.uint8))) is None
    assert guess_pixel_size(aml.open_slide(np.full((8, 8, 3), 235, np.uint8))) is None


def test_a_picture_without_red_cells_is_analysed_and_the_guess_is_said(shared_data):
    path = shared_data / "cells_aml_lmu_fullres" / "LYA" / "LYA_0001_0_7728_108.png"
    slide = aml.resolve_pixel_size(aml.open_slide(path))
    assert slide.pixel_size.source == "nuclei" and "guessed" in str(slide.pixel_size)
    assert any("guessed" in note for note in slide.notes)
