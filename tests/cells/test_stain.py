"""The stain of a slide is measured, and recolouring takes one stain to another and back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import napari_aml as aml
from napari_aml.cells.stain import Recolouring, Stain, StainSample, measure_stain

PBC = Stain((254.0, 227.0, 202.0), (0.96, 1.47, 0.35), (0.20, 0.28, 0.17))

grounds = st.tuples(*[st.floats(150, 250)] * 3)
nuclei = st.tuples(st.floats(0.4, 1.1), st.floats(0.8, 1.6), st.floats(0.05, 0.35))
reds = st.tuples(st.floats(0.08, 0.25), st.floats(0.2, 0.4), st.floats(0.15, 0.35))
stains = st.builds(Stain, grounds, nuclei, reds)


def smear(stain: Stain, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A picture of one nucleus in pale cytoplasm and red cells around it, with a little noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:200, :200]
    far = np.hypot(y - 100, x - 100)
    kind = np.zeros((200, 200), int)
    for top, left in ((20, 20), (20, 170), (170, 20), (170, 170), (100, 20), (20, 100), (170, 100)):
        kind[np.hypot(y - top, x - left) < 16] = 2
    kind[far < 24] = 1
    colours = stain.colours()[[0, 1, 2]]
    rgb = np.clip(colours[kind] + rng.normal(0, 2, (200, 200, 3)), 0, 255).astype(np.uint8)
    return rgb, (far < 30).astype(int), (far < 24).astype(int)


@given(stains)
@settings(max_examples=40, deadline=None)
def test_measured_stain_is_the_one_that_was_drawn(stain):
    sample = StainSample(1)
    sample.add(*smear(stain))
    found = sample.stain()
    assert found is not None
    assert stain.distance(found) < 4


@given(stains, stains)
@settings(max_examples=40, deadline=None)
def test_recolouring_takes_the_three_colours_over(own, target):
    rgb = np.clip(own.colours().round(), 0, 254).astype(np.uint8)
    wanted = np.clip(target.colours(), 0, 255)
    assert np.abs(Recolouring(own, target)(rgb).astype(float) - wanted).max() <= 5  # levels are whole numbers


def test_same_stain_changes_nothing_and_white_beyond_the_slide_becomes_ground():
    rgb = smear(PBC)[0]
    assert np.abs(Recolouring(PBC, PBC)(rgb).astype(int) - rgb).max() <= 1
    assert Recolouring(PBC, PBC)(np.full((2, 2, 3), 255, np.uint8)).reshape(-1, 3).tolist() == [[254, 227, 202]] * 4


def test_facts_are_read_back():
    assert Stain.read(PBC.facts()) == PBC
    few = replace(PBC, cells=3)
    assert Stain.read(few.facts()) == few
    assert PBC.distance(PBC) == 0


@pytest.mark.parametrize("rgb", [np.full((200, 200, 3), 240, np.uint8), np.zeros((200, 200, 3), np.uint8)])
def test_without_red_cells_there_is_no_stain(rgb):
    sample = StainSample(1)
    nucleus = np.zeros((200, 200), int)
    nucleus[80:120, 80:120] = 1
    sample.add(rgb, nucleus, nucleus)
    assert sample.stain() is None
    assert StainSample(1).stain() is None


def test_a_slide_says_its_stain_and_one_without_cells_does_not(shared_data):
    folder = shared_data / "smears_bccd" / "images"
    for name in ("BloodImage_00036.jpg", "BloodImage_00222.jpg"):
        slide = aml.open_slide(folder / name, 0.069)
        found = measure_stain(slide, aml.segment(slide))
        assert found is not None
        ground, nucleus, red = found.colours()
        # As one sees it: grey ground, violet nuclei that are darkest in green, pink red cells.
        assert np.ptp(ground) < 20 and 180 < ground.mean() < 215
        assert nucleus[1] < nucleus[0] < nucleus[2]
        assert red[0] > red[1] and nucleus.mean() < red.mean() < ground.mean()
    empty = aml.open_slide(np.full((120, 120, 3), 230, np.uint8), 0.1)
    assert measure_stain(empty, aml.segment(empty)) is None
