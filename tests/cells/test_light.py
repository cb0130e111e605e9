"""Uneven light is evened out, alike in every tile; evenly lit pictures stay as they are, bit by bit."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image

import napari_aml as aml
from napari_aml.cells import segment
from napari_aml.cells.light import LEAST_FALL, light_of, uneven_light
from napari_aml.pipeline import segment_slide_steps
from napari_aml.slides import open_slide
from napari_aml.slides.array import ArraySlide


def fields(shared_data):
    paths = sorted((shared_data / "smears_bccd/images").glob("*"))[::50]
    return [np.array(Image.open(path).convert("RGB")) for path in paths]


def corners(rgb, strength=(1.4, 1.2, 0.9)):
    """Darken towards the corners, each channel in its own way."""
    h, w = rgb.shape[:2]
    y, x = np.mgrid[:h, :w]
    return (rgb * (1 - ((y / h - 0.5) ** 2 + (x / w - 0.5) ** 2)[..., None] * np.array(strength))).astype(np.uint8)


def one_side(rgb):
    return (rgb * np.linspace(0.35, 1, rgb.shape[1])[None, :, None]).astype(np.uint8)


@pytest.mark.parametrize("darken", [corners, one_side])
def test_uneven_light_is_found_and_evened_out(shared_data, darken):
    for rgb in fields(shared_data):
        dark = darken(rgb)
        light = light_of(dark, dark.shape[:2])
        assert light is not None and 0.75 < light.fall < 1.4
        even = light.even(dark)
        # The ground of the evened picture is as even as it was before it was darkened, in every channel.
        ground = rgb.min(2) > np.percentile(rgb.min(2), 60)
        gain = np.log((even[ground] + 4.0) / (rgb[ground] + 4.0))
        assert np.std(gain, axis=0).max() < 0.07 < np.std(np.log((dark[ground] + 4.0) / (rgb[ground] + 4.0)))
        assert light_of(even, even.shape[:2]) is None


def test_pictures_as_cameras_take_them_stay_as_they_are(shared_data):
    paths = sorted((shared_data / "smears_chula_wbc/images").glob("*"))[::6]
    paths += sorted((shared_data / "cells_pbc/fullres_sample").rglob("*.jpg"))[::40]
    paths += sorted((shared_data / "cells_aml_lmu_fullres").rglob("*.png"))[::10]
    for rgb in [*fields(shared_data), *(np.array(Image.open(path).convert("RGB")) for path in paths)]:
        assert light_of(rgb, rgb.shape[:2]) is None


def test_a_tile_is_evened_out_like_that_part_of_the_whole(shared_data):
    dark = corners(fields(shared_data)[0])
    light = light_of(dark, dark.shape[:2])
    whole = light.even(dark)
    np.testing.assert_array_equal(light.even(dark[100:300, 250:410], 100, 250), whole[100:300, 250:410])
    half = cv2.resize(dark, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    small = cv2.resize(whole, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    assert np.abs(light.even(half, down=2.0).astype(int) - small).mean() < 1.0


def test_cells_are_found_as_without_the_fall_and_it_is_said(shared_data):
    from napari_aml.cells import get_segmenter
    from napari_aml.cells.ground import measure_ground

    rgb = fields(shared_data)[0]
    plain = segment(open_slide(rgb, 0.075)).masks.to_array()
    bare = get_segmenter().segment(measure_ground(open_slide(rgb, 0.075), 0.075).whiten(rgb), 0.075).cells
    assert ((plain > 0) == (bare > 0)).all(), "the light of an evenly lit picture stays as it is, bit by bit"
    analysis = aml.run(segment_slide_steps(corners(rgb), pixel_size_um=0.075))
    found = analysis.cells.masks.to_array()
    assert 2 * ((found > 0) & (plain > 0)).sum() / ((found > 0).sum() + (plain > 0).sum()) > 0.93
    assert len(analysis.cells) == len(np.unique(plain)) - 1
    assert "evened out" in analysis.provenance["warnings"][0]


def test_where_no_ground_is_seen_or_the_picture_is_no_single_field_nothing_is_done():
    rng = np.random.default_rng(0)
    x = np.linspace(0.2, 1, 300)[None, :, None]
    clouds = cv2.resize(rng.integers(0, 256, (8, 12, 3), dtype=np.uint8), (300, 200), interpolation=cv2.INTER_CUBIC)
    assert light_of((clouds * x).astype(np.uint8), (200, 300)) is None
    assert light_of(np.zeros((200, 300, 3), np.uint8), (200, 300)) is None
    ramp = np.broadcast_to((230 * x).astype(np.uint8), (200, 300, 3))
    assert light_of(ramp, (200, 300)).fall > LEAST_FALL
    assert uneven_light(ArraySlide([np.broadcast_to(np.uint8(9), (50, 300, 3))])) is None
    assert uneven_light(ArraySlide([np.broadcast_to(np.uint8(9), (7000, 300, 3))])) is None
