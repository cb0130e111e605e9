"""Crops: the same cell looks the same whatever the scanner."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_aml.cells import crops
from napari_aml.slides import PixelSize
from napari_aml.slides.array import ArraySlide


def _disc(um_per_px: float, diameter_um: float = 10.0, side_um: float = 60.0) -> ArraySlide:
    """A dark disc in the middle of a bright square, drawn with soft edges at any pixel size."""
    n = round(side_um / um_per_px)
    yy, xx = (np.indices((n, n)) + 0.5) * um_per_px - side_um / 2
    inside = np.clip((diameter_um / 2 - np.hypot(yy, xx)) / um_per_px + 0.5, 0, 1)
    grey = (230 - 180 * inside).astype(np.uint8)
    return ArraySlide([np.repeat(grey[..., None], 3, 2)], pixel_size=PixelSize(um_per_px, "person"))


@pytest.mark.parametrize("um", [0.07, 0.1, 0.25, 0.5])
def test_a_crop_has_its_physical_size_whatever_the_scanner(um):
    slide = _disc(um)
    centre = slide.shape[0] / 2
    crop = crops(slide, [centre], [centre], crop_um=28.0, crop_px=128)[0, ..., 0]
    dark = (crop < 140).sum() * (28.0 / 128) ** 2
    assert dark == pytest.approx(np.pi * 25, rel=0.03)
    rows, cols = np.nonzero(crop < 140)
    assert rows.mean() == pytest.approx(63.5, abs=1.2) and cols.mean() == pytest.approx(63.5, abs=1.2)


def test_crops_are_independent_of_their_company():
    rng = np.random.default_rng(0)
    slide = ArraySlide([rng.integers(0, 255, (400, 600, 3), np.uint8)], pixel_size=PixelSize(0.25, "person"))
    y, x = rng.uniform(0, 400, 40), rng.uniform(0, 600, 40)
    together = crops(slide, y, x, 28.0, 64)
    alone = np.concatenate([crops(slide, y[i : i + 1], x[i : i + 1], 28.0, 64) for i in range(40)])
    np.testing.assert_array_equal(together, alone)


def test_outside_the_slide_is_white():
    slide = ArraySlide([np.zeros((50, 50, 3), np.uint8)], pixel_size=PixelSize(0.25, "person"))
    crop = crops(slide, [0.0], [0.0], 20.0, 80)[0]
    assert (crop[:30, :30] == 255).all() and (crop[50:, 50:] == 0).all()


@settings(max_examples=30, deadline=None)
@given(
    st.floats(0.05, 1.0), st.floats(10, 40), st.sampled_from([32, 96, 128]), st.integers(0, 5),
    st.floats(-100, 400), st.floats(-100, 400),
)  # fmt: skip
def test_any_request_gives_crops_of_the_asked_shape(um, crop_um, px, n, y, x):
    slide = ArraySlide([np.full((120, 90, 3), 7, np.uint8)], pixel_size=PixelSize(um, "person"))
    cut = crops(slide, [y] * n, [x] * n, crop_um, px)
    assert cut.shape == (n, px, px, 3) and cut.dtype == np.uint8
