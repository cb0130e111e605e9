from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_aml.cells import CellMasks, drawn
from napari_aml.viewer.drawing import DrawnLevel, draw_masks, is_field, pyramid, union


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**20), step=st.integers(1, 7), y0=st.integers(0, 30), x0=st.integers(0, 30),
    h=st.integers(1, 40), w=st.integers(1, 40),
)  # fmt: skip
def test_a_thinned_region_is_the_whole_picture_thinned(seed, step, y0, x0, h, w):
    rng = np.random.default_rng(seed)
    whole = np.kron(rng.integers(0, 5, (9, 8)), np.ones((11, 9))).astype(np.int32)
    masks = CellMasks.from_arrays(whole)
    expected = whole[::step, ::step][y0 : y0 + h, x0 : x0 + w]
    drawn = draw_masks(masks, (y0, x0, y0 + h, x0 + w), step)
    np.testing.assert_array_equal(drawn[: expected.shape[0], : expected.shape[1]], expected)
    assert not drawn[expected.shape[0] :].any() and not drawn[:, expected.shape[1] :].any()


def test_values_replace_labels_and_missing_ones_are_not_drawn():
    masks = CellMasks.from_arrays(np.array([[1, 1, 0, 2]], np.int32))
    assert draw_masks(masks, (0, 0, 1, 4), 1, np.uint8, {1: 9}).tolist() == [[9, 9, 0, 0]]


@pytest.mark.parametrize(
    "key",
    [
        np.s_[3:7, 2:9],
        np.s_[5],
        np.s_[5, 6],
        np.s_[::3, ::2],
        np.s_[-4:, :5],
        np.s_[:],
        np.s_[2, 1:8],
        np.s_[40:50, 3:4],
    ],
)
def test_a_drawn_level_slices_like_an_array(key):
    whole = np.arange(20 * 30).reshape(20, 30)
    level = DrawnLevel((20, 30), np.int64, lambda b: whole[b[0] : b[2], b[1] : b[3]])
    np.testing.assert_array_equal(level[key], whole[key])
    np.testing.assert_array_equal(np.asarray(level), whole)


def test_fields_are_arrays_and_large_slides_are_drawn_lazily():
    def draw(box, step):
        return np.zeros((box[2] - box[0], box[3] - box[1]), np.uint8)

    assert isinstance(pyramid((480, 640), np.uint8, draw), np.ndarray)
    levels = pyramid((20_000, 30_000), np.uint8, draw)
    assert [level.shape for level in levels] == [(20_000, 30_000), (5_000, 7_500), (1_250, 1_875), (313, 469)]
    assert is_field((8192, 8192)) and not is_field((8193, 8192))


def test_union_stays_inside_the_picture():
    assert union([(5, 5, 8, 9), (1, 7, 6, 20)], (15, 15), 2) == (0, 3, 10, 15)
    with pytest.raises(ValueError, match="no boxes"):
        union([], (5, 5))


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**20), h=st.integers(1, 60), w=st.integers(1, 60), largest=st.sampled_from([8, 16, 40]))
def test_pictures_drawn_ahead_are_those_that_would_be_drawn(seed, h, w, largest):
    rng = np.random.default_rng(seed)
    whole = np.kron(rng.integers(0, 9, (-(-h // 5), -(-w // 5))), np.ones((5, 5)))[:h, :w]
    masks = CellMasks.from_arrays(whole.astype(np.int32))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawn, "steps_for", lambda shape: [1, 4, 16])
        patch.setattr(drawn, "_LARGEST_SIDE", largest)
        steps = [s for s in (4, 16) if max(h, w) / s <= largest]
        made = drawn.draw_ahead(masks)
        assert (made is None) == (not steps) and sorted(masks.drawn) == steps
        for step in steps:
            size = (-(-h // step), -(-w // step))
            np.testing.assert_array_equal(masks.drawn[step], draw_masks(masks, (0, 0, *size), step))
        if steps:
            assert made[0] == steps[0] and made[1] is masks.drawn[steps[0]]


def test_every_window_finds_its_first_picture_drawn():
    for side in (5_000, 20_000, 80_000, 200_000):
        steps = drawn.steps_for((side, side // 2))
        assert drawn.steps_ahead((side, side // 2)) == steps[-2:] if len(steps) > 2 else steps[-1:]
        assert side / drawn.steps_ahead((side, side // 2))[0] > 1024 or len(steps) == 2


def test_a_field_of_many_cells_is_drawn_ahead_and_let_go(monkeypatch):
    from napari_aml.viewer import drawing

    whole = np.kron(np.arange(1, 13).reshape(3, 4), np.ones((5, 5), int)).astype(np.int32)
    masks = CellMasks.from_arrays(whole)
    drawing.prepare(masks)
    assert masks.drawn == {}, "few are drawn where they are needed"
    monkeypatch.setattr(drawing, "_MANY", 11)
    drawing.prepare(masks)
    kept = masks.drawn[1]
    np.testing.assert_array_equal(kept, whole)
    part = drawing.draw_thinned(masks, (2, 3, 9, 17), 1)
    np.testing.assert_array_equal(part, whole[2:9, 3:17])
    part[:] = 0  # a person paints into it
    np.testing.assert_array_equal(kept, whole)
    masks.remove(3)
    assert 1 not in masks.drawn and not (drawing.draw_thinned(masks, (0, 0, 15, 20), 1) == 3).any()
    drawing.prepare(masks)
    drawing.release(masks)
    assert masks.drawn == {}
