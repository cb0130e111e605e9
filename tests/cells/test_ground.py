"""The ground of a slide is measured once and made white before cells are looked for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import napari_aml as aml
from napari_aml.cells import segment
from napari_aml.cells.ground import WHITE, Ground, ground_colour, measure_ground
from napari_aml.cells.light import light_of
from napari_aml.pipeline import segment_slide_steps
from napari_aml.slides import open_slide
from napari_aml.slides.array import ArraySlide


@pytest.fixture(scope="module")
def field(shared_data):
    path = sorted((shared_data / "smears_bccd/images").glob("*"))[50]
    return np.array(Image.open(path).convert("RGB"))


def drawn(colour, side=300, cells=12, seed=0):
    """A ground of one colour with red cells and nuclei that absorb a share of its light, and some noise."""
    rng = np.random.default_rng(seed)
    picture = np.broadcast_to(np.array(colour, float), (side, side, 3)).copy()
    y, x = np.mgrid[:side, :side]
    for i in range(cells):
        cy, cx = rng.uniform(0, side, 2)
        inside = (y - cy) ** 2 + (x - cx) ** 2 < 24**2
        picture[inside] = np.array(colour) * ((0.45, 0.25, 0.7) if i % 6 == 0 else (0.85, 0.7, 0.75))
    return np.clip(picture + rng.normal(0, 2, picture.shape), 0, 255).astype(np.uint8)


@settings(max_examples=40, deadline=None)
@given(
    colour=st.tuples(*[st.integers(90, 245)] * 3).filter(lambda c: min(c) > 0.5 * max(c)), cells=st.integers(1, 40)
)
def test_the_ground_of_any_lamp_is_measured_and_becomes_white(colour, cells):
    rgb = drawn(colour, cells=cells)
    ground = measure_ground(open_slide(rgb, 0.25), 0.25)
    assert np.abs(np.array(ground.colour) - colour).max() < 6
    white = ground.whiten(rgb)
    assert white.dtype == np.uint8 and white.shape == rgb.shape
    assert np.abs(np.array(ground_colour(white.reshape(-1, 3))) - WHITE).max() < 6


def test_a_part_is_made_white_like_that_part_of_the_whole(field):
    ground = measure_ground(open_slide(field, 0.075), 0.075)
    np.testing.assert_array_equal(ground.whiten(field[40:90, 100:333].copy()), ground.whiten(field)[40:90, 100:333])


def test_a_large_slide_is_looked_at_in_patches_and_a_pyramid_at_a_coarse_level(field):
    large = np.tile(field, (15, 12, 1))  # 540 µm a side at 0.075 µm/px, 1800 at 0.25
    read = []

    class Counted(ArraySlide):
        def peek(self, level, y, x, h, w):
            read.append((level, h * w))
            return super().peek(level, y, x, h, w)

    for levels in ([large], [large, large[::4, ::4]]):
        read.clear()
        found = measure_ground(Counted(levels), 0.25)
        alone = np.array(levels[-1][: len(field) // len(levels) ** 2, : field.shape[1] // len(levels) ** 2])
        whole = measure_ground(open_slide(alone, 0.25 * len(levels) ** 2), 0.25 * len(levels) ** 2)
        assert np.abs(np.array(found.colour) - whole.colour).max() < 4
        assert {level for level, _ in read} == {len(levels) - 1}
        assert sum(pixels for _, pixels in read) < 10e6 < large.size / 3


def test_black_that_is_drawn_beyond_the_slide_is_no_ground(field):
    bare = measure_ground(open_slide(field, 0.075), 0.075).colour
    framed = np.pad(field, ((400, 400), (400, 400), (0, 0)))
    assert np.abs(np.array(measure_ground(open_slide(framed, 0.075), 0.075).colour) - bare).max() < 6


def test_an_overexposed_ground_is_white_already(field):
    """The red cells, which are not, must not be taken for it."""
    bright = np.clip(field * 1.4, 0, 255).astype(np.uint8)
    assert (bright == 255).all(2).mean() > 0.3
    ground = measure_ground(open_slide(bright, 0.075), 0.075)
    assert min(ground.colour) > 250
    assert np.abs(ground.whiten(bright).astype(int) - bright).max() <= 255 - WHITE + 1


@pytest.mark.parametrize("colour", [(200, 200, 200), (255, 255, 255), (0, 0, 0)])
def test_a_plain_picture_has_no_ground(colour):
    assert measure_ground(open_slide(np.full((200, 300, 3), colour, np.uint8), 0.1), 0.1) is None


def test_a_ground_of_strong_colour_or_of_hardly_any_light_is_none():
    assert measure_ground(open_slide(drawn((240, 60, 60)), 0.25), 0.25) is None
    assert measure_ground(open_slide(drawn((30, 30, 30)), 0.25), 0.25) is None
    assert Ground((250.0, 10.0, 250.0)).whiten(np.full((1, 1, 3), 255, np.uint8)).max() == 255


@pytest.mark.parametrize("gain", [(1.1, 0.75, 0.7), (0.6, 0.5, 0.56), (1.0, 0.95, 0.6)])
def test_cells_are_found_under_another_lamp_as_under_the_own(field, gain):
    cast = np.clip(field * np.array(gain), 0, 255).astype(np.uint8)
    assert light_of(cast, cast.shape[:2]) is None
    own, other = (segment(open_slide(rgb, 0.075)).masks.to_array() for rgb in (field, cast))
    assert len(np.unique(own)) == len(np.unique(other)) > 1
    assert 2 * ((own > 0) & (other > 0)).sum() / ((own > 0).sum() + (other > 0).sum()) > 0.97


def test_the_ground_stands_in_the_provenance_and_the_picture_stays_as_it_is(field):
    before = field.copy()
    analysis = aml.run(segment_slide_steps(field, pixel_size_um=0.075))
    np.testing.assert_array_equal(field, before)
    said = analysis.provenance["ground_made_white"]
    assert np.allclose(said, measure_ground(open_slide(field, 0.075), 0.075).colour, atol=0.1)
