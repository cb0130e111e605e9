"""The layers follow the state; on a viewer model, without Qt."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_aml.taxonomy import cell_class
from napari_aml.ui.state import ReviewState
from napari_aml.viewer.bridge import ReviewBridge
from napari_aml.viewer.edits import deleted
from napari_aml.viewer.layers import class_value


@pytest.fixture
def scene(analysis):
    viewer, state = ViewerModel(), ReviewState()
    picture = analysis.slide.region(0, 0, 0, *analysis.slide.shape)
    image = viewer.add_image(picture, rgb=True, scale=(0.1, 0.1), units=("um", "um"), translate=(5, 7), name="field")
    bridge = ReviewBridge(viewer, state)
    bridge.anchor(image)
    state.heat_limit = 1.0
    state.analysis = analysis
    yield viewer, state, bridge
    bridge.close()


def names(viewer):
    return [layer.name for layer in viewer.layers]


def test_the_layers_lie_over_the_picture_in_order(scene):
    viewer, _, bridge = scene
    assert names(viewer) == ["field", "heatmap", "classes", "cells", "names"]
    for layer in viewer.layers:
        np.testing.assert_allclose(layer.scale, (0.1, 0.1))
        np.testing.assert_allclose(layer.translate, (5, 7))
        assert str(layer.units[0]) == "micrometer"
    assert viewer.layers.selection.active is bridge.layer("cells")


def test_the_layers_go_together(scene):
    """Napari collects garbage at the end of each removal, in a large program for over half a second."""
    viewer, _, bridge = scene
    ends = []
    viewer.layers.events.end_batch.connect(lambda: ends.append(names(viewer)))
    bridge.anchor(viewer.add_image(np.zeros((8, 8, 3), np.uint8), rgb=True, name="another"))
    assert names(viewer) == ["field", "another"]
    assert ends.count(["field", "another"]) == 1, ends
    bridge.clear()
    assert len(ends) == 1, ends


def test_every_cell_has_its_label_its_class_and_its_name(scene, analysis):
    _, state, bridge = scene
    cells, classes, points = bridge.layer("cells"), bridge.layer("classes"), bridge.layer("names")
    np.testing.assert_array_equal(cells.data, analysis.cells.masks.to_array())
    for row, code in zip(analysis.cells.table.itertuples(), state.codes(), strict=True):
        y, x = int(row.y), int(row.x)
        assert classes.data[y, x] == class_value(code)
        shown = classes.colormap.map(classes.data[y, x])
        wanted = tuple(int(cell_class(code).colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
        np.testing.assert_allclose(np.asarray(shown).ravel()[:3], wanted, atol=1e-3)
    assert list(points.text.values) == list(state.codes())
    assert list(cells.features["class"]) == list(state.codes())


def test_the_class_layer_cannot_be_painted_and_the_instance_layer_can(scene):
    _, _, bridge = scene
    assert bridge.layer("cells").editable and not bridge.layer("classes").editable


def test_heatmaps_have_one_scale_for_all_cells(scene):
    _, state, bridge = scene
    heat = bridge.layer("heatmap")
    before = heat.data.copy()
    assert tuple(heat.contrast_limits) == (0, 1)
    state.heat_limit = 2.5
    assert tuple(heat.contrast_limits) == (0, 2.5)
    np.testing.assert_array_equal(heat.data, before)


def test_a_new_prediction_recolours_that_cell_only(scene, analysis):
    _, state, bridge = scene
    classes = bridge.layer("classes")
    before = classes.data.copy()
    uid = analysis.cells.table["uid"].iloc[2]
    said = analysis.predictions.take(np.array([2]))
    sure = np.zeros_like(said.probabilities)
    sure[0, analysis.predictions.codes.index("MYO")] = 1
    state.fill([uid], replace(said, probabilities=sure), None)
    mine = analysis.cells.masks.to_array() == 3
    assert set(np.unique(classes.data[mine])) == {class_value("MYO")}
    np.testing.assert_array_equal(classes.data[~mine], before[~mine])
    assert bridge.layer("names").text.values[2] == "MYO"


def test_a_deleted_cell_leaves_all_layers_and_comes_back(scene, analysis):
    _, state, bridge = scene
    edit = deleted(analysis.cells, 5)
    state.replace_cells(edit.after, edit.touched, edit.box)
    assert not (bridge.layer("cells").data == 5).any() and len(bridge.layer("names").data) == 5
    mine = analysis.cells.masks.to_array() == 5
    assert not bridge.layer("classes").data[mine].any()
    state.replace_cells(edit.before, edit.touched_back, edit.box)
    np.testing.assert_array_equal(bridge.layer("cells").data, analysis.cells.masks.to_array())
    assert not bridge.layer("classes").data[mine].any()  # its class is still to come
    state.fill([analysis.cells.table["uid"].iloc[4]], analysis.predictions.take(np.array([4])), None)
    assert set(np.unique(bridge.layer("classes").data[mine])) == {class_value(analysis.predictions.code[4])}


def test_only_a_persons_painting_is_announced(scene, analysis):
    _, state, bridge = scene
    heard = []
    bridge.mask_painted.connect(heard.append)
    edit = deleted(analysis.cells, 1)
    state.replace_cells(edit.after, edit.touched, edit.box)
    assert heard == []
    layer = bridge.layer("cells")
    layer.selected_label, layer.brush_size = 2, 10
    layer.paint((100, 200), 2)
    assert len(heard) == 1
    y0, x0, y1, x1 = heard[0]
    assert y0 <= 100 < y1 and x0 <= 200 < x1 and y1 - y0 <= 12
    layer.data_setitem((np.array([150, 151]), np.array([10, 12])), 2)
    assert heard[1] == (150, 10, 152, 13)
    layer.fill((150, 11), 4)
    assert len(heard) == 3


def test_the_selected_cell_is_framed_and_gets_the_brush(scene, analysis):
    viewer, state, bridge = scene
    state.selected = analysis.cells.table["uid"].iloc[3]
    names = bridge.layer("names")
    assert names.border_color[-1, 3] == 1 and (names.border_color[:-1, 3] == 0).all()
    box = analysis.cells.table[["y0", "x0", "y1", "x1"]].to_numpy()[3]
    np.testing.assert_allclose(names.data[-1], (box[:2] + box[2:] - 1) / 2)
    assert names.size[-1] > (box[2:] - box[:2]).max() and list(names.text.values[:-1]) == list(state.codes())
    assert bridge.layer("cells").selected_label == 4
    bridge.look_at(state.selected)
    wanted = bridge.layer("cells").data_to_world(analysis.cells.table[["y", "x"]].to_numpy()[3])
    np.testing.assert_allclose(viewer.camera.center[-2:], wanted)


def test_layers_that_a_person_removed_do_not_come_back_and_do_not_break(scene, analysis):
    viewer, state, bridge = scene
    viewer.layers.remove(bridge.layer("classes"))
    viewer.layers.remove(bridge.layer("heatmap"))
    edit = deleted(analysis.cells, 5)
    state.replace_cells(edit.after, edit.touched, edit.box)
    state.selected = analysis.cells.table["uid"].iloc[0]
    assert bridge.layer("classes") is None


def test_another_picture_takes_the_results_of_the_first_away(scene):
    viewer, state, bridge = scene
    other = viewer.add_image(np.full((50, 60, 3), 200, np.uint8), rgb=True, name="other")
    with state.events.analysis.blocked():
        state.analysis = None
    bridge.anchor(other)
    assert names(viewer) == ["field", "other"]


def test_a_large_slide_is_drawn_while_it_is_looked_at(monkeypatch, analysis):
    from napari_aml.viewer import bridge as module
    from napari_aml.viewer import drawing

    monkeypatch.setattr(drawing, "FIELD_PIXELS", 1000)
    viewer, state = ViewerModel(), ReviewState()
    picture = analysis.slide.region(0, 0, 0, *analysis.slide.shape)
    image = viewer.add_image([picture, picture[::4, ::4]], rgb=True, name="slide", multiscale=True)
    bridge = module.ReviewBridge(viewer, state)
    bridge.anchor(image)
    monkeypatch.setattr(drawing, "steps_for", lambda shape: [1, 4])
    state.analysis = analysis
    cells, classes, heat = (bridge.layer(n) for n in ("cells", "classes", "heatmap"))
    assert cells.multiscale and classes.multiscale and heat.multiscale and not cells.editable
    whole = analysis.cells.masks.to_array()
    np.testing.assert_array_equal(np.asarray(cells.data[1]), whole[::4, ::4])
    edit = deleted(analysis.cells, 5)
    state.replace_cells(edit.after, edit.touched, edit.box)
    assert not (np.asarray(cells.data[0]) == 5).any()
    assert np.asarray(heat.data[1]).shape == (75, 100)
    bridge.close()


@pytest.mark.parametrize("step", [1, 3, 4])
def test_a_recoloured_picture_is_that_drawn_anew(analysis, step):
    from napari_aml.viewer.class_picture import ClassPicture
    from napari_aml.viewer.layers import class_value

    state = ReviewState(analysis=analysis)
    picture = ClassPicture(state)
    picture.refresh()
    h, w = (-(-n // step) for n in analysis.slide.shape)
    whole = (0, 0, h, w)
    before = picture.draw(whole, step)
    uids = analysis.cells.table["uid"].tolist()
    state.view.decided.update({uids[1]: "PLC", uids[4]: "HAC"})
    assert picture.recolour([1, 4]) == [2, 5] and picture.value(2) == class_value("PLC")
    after = picture.draw(whole, step)
    fresh = ClassPicture(state)
    fresh.refresh()
    np.testing.assert_array_equal(after, fresh.draw(whole, step))
    assert (after != before).any() and {class_value("PLC"), class_value("HAC")} <= set(np.unique(after))
    np.testing.assert_array_equal(picture.draw((5, 7, h - 3, w - 2), step), after[5 : h - 3, 7 : w - 2])


def test_a_mask_beyond_the_picture_is_painted_as_far_as_the_picture_goes(analysis):
    from napari.layers import Image

    from napari_aml.viewer.class_picture import ClassPicture
    from napari_aml.viewer.layers import class_value, make_classes

    h, w = analysis.slide.shape
    analysis.cells.masks.put(1, h - 3, w - 4, np.ones((9, 9), np.uint8))
    state = ReviewState(analysis=analysis)
    picture = ClassPicture(state)
    picture.refresh()
    layer = make_classes(np.zeros((h, w), np.uint8), Image(np.zeros((h, w, 3), np.uint8), rgb=True), 0.1)
    state.view.decided[analysis.cells.table["uid"].iloc[0]] = "PLC"
    picture.recolour([0])
    assert not picture.paint(layer, None, [1])
    assert (layer.data[h - 3 :, w - 4 :] == class_value("PLC")).all() and np.count_nonzero(layer.data) == 12
