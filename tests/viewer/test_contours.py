"""Borders of labels: those of napari, found faster."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_aml.viewer import contours as module
from napari_aml.viewer.contours import contours
from napari_aml.viewer.layers import make_cells, make_classes

PICTURES = st.tuples(st.integers(1, 40), st.integers(1, 40)).flatmap(
    lambda shape: arrays(np.int64, shape, elements=st.sampled_from([0, 0, 0, 1, 2, 7, 200]))
)


def napari_contours(labels, thickness):
    """napari's own, on a picture with its mirror image around it.

    That is what its filter of SciPy takes for the surroundings, too; but with a reach of four times the picture's side
    SciPy reads beyond its memory: two pixels of one label and a thickness of 8 get a border.
    """
    from napari.layers.labels._labels_utils import get_contours

    around = thickness + 1
    padded = np.pad(labels, around, mode="symmetric")
    return get_contours(padded, thickness, 0)[around:-around, around:-around]


@settings(max_examples=60, deadline=None)
@given(PICTURES, st.integers(1, 9), st.sampled_from([np.uint8, np.uint16, np.int32, np.int64, np.uint32]))
def test_same_as_napari(labels, thickness, kind):
    old, module._BAND = module._BAND, 8  # several bands
    try:
        found = contours(labels.astype(kind), thickness)
    finally:
        module._BAND = old
    expected = napari_contours(labels.astype(kind), thickness)
    assert found.dtype == kind and np.array_equal(found, expected)


def test_a_picture_far_smaller_than_the_thickness():
    assert not contours(np.ones((1, 2), np.uint8), 8).any()
    assert contours(np.array([[1, 2]], np.uint8), 8).tolist() == [[1, 2]]


def test_labels_beyond_the_exact_range_of_float32_are_told_apart():
    labels = np.array([[1 << 25, 1 << 25, (1 << 25) + 1, (1 << 25) + 1]] * 4, np.int32)
    assert np.array_equal(contours(labels, 1), napari_contours(labels, 1))
    assert contours(labels, 1).any()


@pytest.mark.parametrize("make", [make_cells, lambda data, image: make_classes(data, image, 0.1)])
def test_layers_show_what_napari_would(make):
    """Also where a part of the picture is written anew, as with a brush and with a new class."""
    from napari.layers import Image, Labels

    rng = np.random.default_rng(0)
    data = np.kron(rng.integers(0, 9, (12, 15)), np.ones((9, 9), int)).astype(np.uint8)
    image = Image(np.zeros((*data.shape, 3), np.uint8), rgb=True)
    ours = make(data.copy(), image)
    plain = Labels(data.copy(), colormap=ours.colormap)
    plain.contour = ours.contour
    for layer in (ours, plain):
        layer.visible = True
        layer.refresh()
    assert np.array_equal(ours._slice.image.view, plain._slice.image.view) and (ours._slice.image.view == 0).any()
    where = np.nonzero(np.pad(np.ones((20, 31), bool), ((40, 48), (0, 104))))
    for layer in (ours, plain):
        layer.data_setitem(where, 5)
    assert np.array_equal(ours._slice.image.view, plain._slice.image.view)
    assert np.array_equal(ours.data, plain.data)
