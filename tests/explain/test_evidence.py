"""Where evidence lies, and how maps are laid onto the slide."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_aml.cells import CellMasks
from napari_aml.explain import Heatmaps, paste_heatmaps
from napari_aml.explain.evidence import evidence_shares, sample_masks, upsample, upsampling_matrix

maps_of = arrays(np.float32, (3, 4, 4), elements=st.floats(-5, 5, width=32))


def disc(size, radius, value=1):
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    return np.where(np.hypot(y, x) < radius, value, 0).astype(np.uint8)


def make(maps, boxes):
    n = len(maps)
    nothing = np.full(n, np.nan, np.float32)
    return Heatmaps(
        np.asarray(maps, np.float32), np.zeros(n, int), "gradcam", 3, np.asarray(boxes, np.float32), nothing, nothing,
        np.ones(n, bool),
    )  # fmt: skip


@settings(deadline=None)
@given(maps_of)
def test_upsampling_invents_no_values_and_keeps_sign_changes(maps):
    fine = upsample(maps, 64)
    assert fine.shape == (3, 64, 64)
    assert (fine.max((1, 2)) <= maps.max((1, 2)) + 1e-5).all() and (fine.min((1, 2)) >= maps.min((1, 2)) - 1e-5).all()


@pytest.mark.parametrize(("size", "coarse"), [(64, 4), (64, 1), (7, 4), (5, 5), (64, 7)])
def test_upsampling_matches_opencv(size, coarse):
    import cv2

    matrix = upsampling_matrix(size, coarse)
    np.testing.assert_allclose(matrix.sum(1), 1, atol=1e-6)
    values = np.random.default_rng(0).normal(size=(coarse, coarse)).astype(np.float32)
    expected = cv2.resize(values, (size, size), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(upsample(values[None], size)[0], expected, atol=1e-5)


def test_evidence_spread_evenly_scores_one():
    parts = np.stack([disc(64, 25) + disc(64, 10)])
    in_cell, in_nucleus, has = evidence_shares(np.ones((1, 4, 4), np.float32), parts)
    np.testing.assert_allclose([in_cell[0], in_nucleus[0]], 1, atol=1e-5)
    assert has.all()


def test_evidence_in_the_nucleus_alone_scores_one_over_its_area():
    parts = np.stack([disc(64, 25) + disc(64, 10)])
    maps = (parts == 2).astype(np.float32)
    in_cell, in_nucleus, _ = evidence_shares(maps, parts)
    np.testing.assert_allclose(in_nucleus[0], 1 / (parts == 2).mean(), rtol=1e-5)
    np.testing.assert_allclose(in_cell[0], 1 / (parts > 0).mean(), rtol=1e-5)


def test_no_positive_evidence_is_a_result_of_its_own():
    maps = np.stack([np.full((4, 4), -1.0), np.zeros((4, 4)), np.eye(4)]).astype(np.float32)
    in_cell, in_nucleus, has = evidence_shares(maps, np.stack([disc(64, 20, 2)] * 3))
    assert has.tolist() == [False, False, True]
    assert np.isnan(in_cell[:2]).all() and np.isnan(in_nucleus[:2]).all() and np.isfinite(in_cell[2])


def test_a_cell_without_a_nucleus_has_no_share_in_it():
    in_cell, in_nucleus, _ = evidence_shares(np.ones((1, 4, 4), np.float32), np.stack([disc(64, 20, 1)]))
    assert np.isfinite(in_cell[0]) and np.isnan(in_nucleus[0])


@settings(deadline=None)
@given(maps_of, st.floats(0.1, 1000))
def test_shares_do_not_depend_on_the_scale_of_a_map(maps, factor):
    maps = np.where(np.abs(maps) < 1e-3, 0, maps).astype(np.float32)
    parts = np.stack([disc(32, 12) + disc(32, 6)] * 3)
    one, other = evidence_shares(maps, parts), evidence_shares(maps * np.float32(factor), parts)
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3)


def test_no_maps():
    in_cell, _, has = evidence_shares(np.zeros((0, 4, 4), np.float32), np.zeros((0, 64, 64), np.uint8))
    assert len(in_cell) == len(has) == 0


@settings(deadline=None, max_examples=40)
@given(st.integers(-40, 200), st.integers(-40, 200), st.integers(8, 120))
def test_sampled_masks_are_the_masks_wherever_the_crop_lies(y, x, side):
    labels = np.zeros((160, 200), np.int32)
    labels[30:90, 50:130], labels[100:150, 20:60] = 1, 2
    nuclei = np.zeros_like(labels)
    nuclei[50:70, 80:100] = 1
    masks = CellMasks.from_arrays(labels, nuclei)
    drawn = np.zeros((500, 520), np.uint8)  # every crop drawn below lies inside
    drawn[100:260, 100:300] = (labels == 1).astype(np.uint8) + (nuclei == 1)
    sampled = sample_masks(masks, np.array([1]), np.array([[y, x, y + side, x + side]]), grid=side)
    assert (sampled[0] == drawn[100 + y : 100 + y + side, 100 + x : 100 + x + side]).all()
    assert not sample_masks(masks, np.array([99]), np.array([[0, 0, 100, 100]])).any()


def test_a_pasted_map_lies_in_its_box_at_its_raw_scale():
    maps = [np.linspace(-3, 7, 16).reshape(4, 4)]
    drawn = paste_heatmaps((100, 120), make(maps, [[20, 30, 60, 70]]))
    inside = drawn[20:60, 30:70]
    np.testing.assert_allclose(inside, upsample(np.asarray(maps, np.float32), 40)[0], atol=0.05)
    assert inside.min() == pytest.approx(-3) and inside.max() == pytest.approx(7)
    drawn[20:60, 30:70] = 0
    assert not drawn.any()


def test_where_boxes_overlap_the_nearest_cells_map_is_drawn():
    boxes = [[0, 0, 40, 40], [0, 20, 40, 60]]
    drawn = paste_heatmaps((40, 60), make([np.full((4, 4), 1.0), np.full((4, 4), 2.0)], boxes))
    assert (drawn[:, :29] == 1).all() and (drawn[:, 31:] == 2).all()


def test_a_cells_own_pixels_show_its_own_map():
    labels = np.zeros((40, 60), np.int32)
    labels[15:25, 10:36], labels[15:25, 38:50] = 1, 2
    boxes = [[0, 0, 40, 40], [0, 20, 40, 60]]
    maps = make([np.full((4, 4), 1.0), np.full((4, 4), 2.0)], boxes)
    masks = CellMasks.from_arrays(labels)
    for order in ([0, 1], [1, 0]):
        drawn = paste_heatmaps((40, 60), maps.take(np.array(order)), masks, np.array([1, 2])[order])
        assert (drawn[15:25, 10:36] == 1).all() and (drawn[15:25, 38:50] == 2).all()
        assert (drawn[:14, 31:] == 2).all()


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 60), st.integers(0, 80), st.integers(1, 70), st.integers(1, 70), st.integers(0, 2**31))
def test_a_region_is_the_same_piece_of_the_whole(y, x, h, w, seed):
    rng = np.random.default_rng(seed)
    top, left = rng.uniform(-20, 100, 6), rng.uniform(-20, 130, 6)
    boxes = np.stack([top, left, top + 41.3, left + 41.3], 1)
    maps = make(rng.normal(size=(6, 4, 4)), boxes)
    whole = paste_heatmaps((130, 160), maps)
    np.testing.assert_allclose(paste_heatmaps((y, x, h, w), maps), whole[y : y + h, x : x + w], atol=2e-2)


def test_no_heatmaps_give_an_empty_picture():
    drawn = paste_heatmaps((10, 12), make(np.zeros((0, 4, 4)), np.zeros((0, 4))))
    assert drawn.shape == (10, 12) and drawn.dtype == np.float32 and not drawn.any()
