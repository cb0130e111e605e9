"""Gallery and map in a real viewer: one selection, one history, keys on the picture, regions."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt, QThreadPool
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_aml.review.regions import LEAVE_OUT
from napari_aml.viewer.private import own_keys, unwrap

pytestmark = pytest.mark.viewer
SHIFT, CTRL = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def viewer(make_napari_viewer_proxy):
    return make_napari_viewer_proxy(show=True)


@pytest.fixture
def docks(viewer, qtbot, analysis, monkeypatch):
    """Review, gallery and map on six cells made by hand, on a small screen."""
    from napari_aml.viewer.dock import SmearReviewWidget
    from napari_aml.viewer.gallery_dock import GalleryDock
    from napari_aml.viewer.map_dock import MapDock

    monkeypatch.setattr("napari.utils.notifications.show_error", lambda text: None)
    window = viewer.__wrapped__.window
    window._qt_window.resize(1366, 768)
    review = SmearReviewWidget(viewer)
    viewer.window.add_dock_widget(review, name="Smear review", area="right")
    layer = viewer.add_image(analysis.slide.region(0, 0, 0, *analysis.slide.shape), rgb=True, name="six")
    review.controller.choose_picture(layer.__wrapped__)
    review.controller._take(analysis)
    gallery, chart = GalleryDock(viewer), MapDock(viewer)
    viewer.window.add_dock_widget(gallery, name="Cell gallery", area="bottom")
    viewer.window.add_dock_widget(chart, name="Embedding map", area="right")
    assert gallery.review is review is chart.review
    with qtbot.waitActive(window._qt_window):
        window._qt_window.activateWindow()
    qtbot.waitUntil(lambda: gallery.panel.isVisible())
    yield review, gallery, chart
    for dock in (gallery, chart, review):
        dock.shut_down()
        viewer.window.remove_dock_widget(dock)
        dock.deleteLater()
    qtbot.waitUntil(lambda: QThreadPool.globalInstance().activeThreadCount() == 0, timeout=20_000)
    QApplication.processEvents()


def value_at(review, row):
    cell = review.state.analysis.cells.table.iloc[row]
    return review.viewer.layers["classes"].data[int(cell.y), int(cell.x)]


def test_keys_decide_on_the_picture_in_the_dock_and_in_the_gallery(viewer, docks, qtbot):
    from napari_aml.viewer.layers import class_value

    review, gallery, _ = docks
    state = review.state
    uids = state.analysis.cells.table["uid"].tolist()
    native = viewer.__wrapped__.window._qt_viewer.canvas.native
    state.selected = uids[2]
    native.setFocus()
    QTest.keyClick(native, Qt.Key.Key_K, SHIFT)
    assert state.decided == {uids[2]: "LYA"} and value_at(review, 2) == class_value("LYA")
    QTest.keyClick(native, Qt.Key.Key_N, SHIFT)
    assert state.selected == uids[3]
    QTest.keyClick(native, Qt.Key.Key_Z, CTRL)
    assert state.decided == {} and value_at(review, 2) == class_value(state.model_code(2))
    review.tabs.setCurrentIndex(1)
    review.inspector.setFocus()
    QTest.keyClick(review.inspector, Qt.Key.Key_N)
    assert state.selected == uids[3]
    QTest.keyClick(review.inspector, Qt.Key.Key_H)
    assert state.decided == {uids[3]: "HAC"} and "decided by" in review.inspector.title.text()
    gallery.panel.view.setFocus()
    QTest.keyClick(gallery.panel.view, Qt.Key.Key_Space)
    assert len(state.decided) in (1, 2)
    qtbot.waitUntil(lambda: any(r["confirmed"] for r in review.differential.model.value()))


def test_no_key_on_the_picture_is_one_of_naparis_own(viewer, docks):
    from napari_aml.ui.shortcuts import COMMANDS, shared_keys

    layers = [unwrap(layer) for layer in viewer.layers]
    assert {type(layer).__name__ for layer in layers} >= {"Image", "Labels", "Points"}
    for layer in layers:
        taken = own_keys(layer)
        assert "M" not in own_keys(layers[0]) and "Space" in taken
        for command in COMMANDS:
            key = shared_keys().canvas_key(command.id).replace("Ctrl", "Control").replace("+", "-")
            if key and command.id not in ("undo", "redo") and key in taken:
                assert type(layer).__name__ == "Points" and key == "Shift-A"  # left to napari there


def test_gallery_picture_inspector_and_map_share_one_selection(viewer, docks, qtbot):
    review, gallery, chart = docks
    state, view = review.state, gallery.panel.view
    row = 4
    qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=view.rect_of(row).center())
    uid = gallery.panel.model.uid(row)
    assert state.selected == uid == review.inspector.value().uid
    assert chart.panel.plot.marked()[1] == 1
    before = np.array(viewer.camera.center[-2:])
    qtbot.mouseDClick(view.viewport(), Qt.MouseButton.LeftButton, pos=view.rect_of(row).center())
    cell = state.analysis.cells.table.set_index("uid").loc[uid]
    centre = np.array(viewer.camera.center[-2:])
    there = np.array(viewer.layers["cells"].data_to_world((cell.y, cell.x)))
    assert np.abs(centre - there).max() < 1 < np.abs(centre - before).max()
    chart.panel._on_lasso(np.array([[-99, -99], [99, -99], [99, 99], [-99, 99]]), False)
    assert len(state.selection) == 6 == chart.panel.plot.marked()[0]
    chart.panel.show_alike(uid)
    assert gallery.panel.model.uid(0) == uid and state.only is not None


def test_docks_of_their_own_are_filled(docks, qtbot):
    _, gallery, chart = docks
    for dock, inside in ((gallery, gallery.panel.view), (chart, chart.panel.plot.view)):
        window = dock.parent()
        window.setFloating(True)
        window.resize(900, 700)
        qtbot.waitUntil(lambda inside=inside: inside.height() > 480, timeout=5_000)
        window.setFloating(False)


def test_the_mouse_over_a_cell_shows_its_heatmap(docks, qtbot):
    review, gallery, _ = docks
    view = gallery.panel.view
    where = view.rect_of(1).center()
    QTest.mouseMove(view.viewport(), where)
    qtbot.waitUntil(lambda: view.hovered() == 1)
    painter = view._painter
    assert painter.heat(gallery.panel.model.uid(1)) is not None
    review.state.blinded = True
    assert painter.heat(gallery.panel.model.uid(1)) is None


def test_blinded_the_picture_is_silent_until_the_first_word(viewer, docks):
    review, _, _ = docks
    state = review.state
    uid = state.analysis.cells.table["uid"].iloc[0]
    state.selected = uid
    assert viewer.layers["heatmap"].data.max() > 0 and value_at(review, 1) > 0
    state.blinded = True
    assert not any(value_at(review, row) for row in range(6)) and viewer.layers["heatmap"].data.max() == 0
    assert review.inspector.value().bars == () == review.inspector.value().evidence
    assert set(viewer.layers["cells"].features["class"]) == {""}
    review.controller.decider.decide([uid], "MYO")
    assert value_at(review, 0) > 0 and not value_at(review, 1)
    assert len(review.inspector.value().bars) > 1
    box = state.analysis.heatmaps.box[0].astype(int).clip(0)
    assert viewer.layers["heatmap"].data[box[0] : box[2], box[1] : box[3]].max() > 0


def test_a_region_drawn_on_the_picture_is_counted_and_can_be_undone(viewer, docks, qtbot):
    review, _, _ = docks
    state, control = review.state, review.controller
    qtbot.mouseClick(review.regions.bar.leave_button, Qt.MouseButton.LeftButton)
    layer = unwrap(viewer.layers["regions"])
    assert layer.mode == "add_polygon_lasso"
    layer.add_polygons([np.array([[0, 0], [0, 399], [140, 399], [140, 0]])])
    qtbot.waitUntil(lambda: len(state.regions) == 1)
    (region,) = state.regions.values()
    assert region.role == LEAVE_OUT and list(state.counted()) == [False] * 3 + [True] * 3
    # The button asked for one region: after it a click on the picture chooses a cell, and begins no other region.
    assert layer.mode == "pan_zoom" and unwrap(viewer.layers.selection.active) is control.bridge.layer("cells")
    qtbot.waitUntil(lambda: "3 cells are left out" in review.differential.summary.text())
    control.editor.undo()
    assert state.counted().all() and len(layer.data) == 0
    control.editor.redo()
    assert len(layer.data) == 1 and layer.features["role"].tolist() == [LEAVE_OUT]
    layer.selected_data = {0}
    layer.remove_selected()
    qtbot.waitUntil(lambda: not state.regions)
    layer.add_ellipses([np.array([[10, 10], [10, 110], [110, 110], [110, 10]])])
    qtbot.waitUntil(lambda: len(state.regions) == 1)
    assert len(next(iter(state.regions.values())).points) > 8


def test_tags_and_note_in_the_inspector(docks, qtbot):
    review, _, _ = docks
    state, marks = review.state, review.inspector.marks
    uid = state.analysis.cells.table["uid"].iloc[1]
    state.selected = uid
    review.tabs.setCurrentIndex(1)
    qtbot.mouseClick(marks.button("cup_like"), Qt.MouseButton.LeftButton)
    assert state.tags == {uid: {"cup_like"}}
    marks.note.setFocus()
    QTest.keyClicks(marks.note, "nucleus m")
    QTest.keyClick(marks.note, Qt.Key.Key_Return)
    assert state.notes == {uid: "nucleus m"} and state.decided == {}
    state.selected = state.analysis.cells.table["uid"].iloc[2]
    assert marks.value() == (frozenset(), "")


def test_masks_and_labels_share_one_history(docks):
    review, _, _ = docks
    state, control = review.state, review.controller
    uids = state.analysis.cells.table["uid"].tolist()
    control.decider.decide(uids[:1], "MYO")
    state.selected = uids[1]
    control.editor.delete_selected()
    control.decider.decide(uids[2:3], "LYT")
    assert state.n_cells == 5 and control.editor.undo_stack.count() == 3
    for _ in range(3):
        control.editor.undo()
    assert state.n_cells == 6 and state.decided == {}


def test_the_docks_fit_a_small_screen(viewer, docks):
    review, gallery, chart = docks
    window = viewer.__wrapped__.window._qt_window
    QApplication.processEvents()
    assert window.width() <= 1366 and window.height() <= 768
    assert gallery.minimumSizeHint().height() <= 260 and chart.minimumSizeHint().width() <= 400
