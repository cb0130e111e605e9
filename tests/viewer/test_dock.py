"""The real widget in a real viewer on a real smear field, driven with mouse and keys."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt, QThreadPool
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_aml import RESEARCH_USE
from napari_aml.explain.methods import recommended_of

pytestmark = pytest.mark.viewer


@pytest.fixture
def viewer(make_napari_viewer_proxy):
    return make_napari_viewer_proxy(show=True)


@pytest.fixture
def dock(viewer, qtbot, bundle, monkeypatch):
    """The dock on a small screen; afterwards no worker and no window of its own is left."""
    from napari_aml.viewer.dock import SmearReviewWidget

    said = []
    monkeypatch.setattr("napari.utils.notifications.show_error", said.append)
    before = {w for w in QApplication.topLevelWidgets() if w.isVisible()}
    widget = SmearReviewWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Smear review", area="right")
    widget.models.setValue(bundle)
    widget.said = said
    QApplication.processEvents()
    yield widget
    widget.shut_down()
    qtbot.waitUntil(lambda: QThreadPool.globalInstance().activeThreadCount() == 0, timeout=10_000)
    viewer.window.remove_dock_widget(widget)
    widget.deleteLater()
    QApplication.processEvents()
    after = {w for w in QApplication.topLevelWidgets() if w.isVisible()}
    assert after <= before, f"left open: {after - before}"


@pytest.fixture
def field(viewer, dock, bccd_field):
    """A real field in the viewer, its pixel size given."""
    from skimage.io import imread

    dock.form.pixel_size.value = 0.07
    return viewer.add_image(imread(bccd_field), rgb=True, name="field")


def finish(qtbot, dock, seconds=120):
    qtbot.waitUntil(lambda: not dock.controller.busy, timeout=1000 * seconds)


def settle(qtbot, dock, seconds=60):
    """Wait until nothing is pending and the runner-up stands beside the prediction."""
    qtbot.waitUntil(
        lambda: not dock.state.pending and dock.controller.follow_up.comparison is not None,
        timeout=1000 * seconds,
    )


def click_cell(viewer, dock, row):
    """Click with the mouse on a cell's centre on the canvas."""
    canvas = viewer.__wrapped__.window._qt_viewer.canvas
    cells = dock.controller.bridge.layer("cells")
    table = dock.state.analysis.cells.table
    world = cells.data_to_world((float(table["y"].iloc[row]), float(table["x"].iloc[row])))
    dock.viewer.camera.center = (0, *world)
    QApplication.processEvents()
    native = canvas.native
    middle = QPoint(native.width() // 2, native.height() // 2)
    QTest.mouseMove(native, middle)
    QTest.mouseClick(native, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, middle)
    QApplication.processEvents()


def test_one_button_outlines_names_and_explains_every_cell(viewer, dock, field, qtbot):
    assert dock.form.picture.value.name == "field"
    seen = []
    dock.controller.state.rows_changed.connect(seen.append)
    qtbot.mouseClick(dock.form.analyse_button, Qt.MouseButton.LeftButton)
    assert dock.controller.busy and dock.job_bar.cancel_button.isVisibleTo(dock)
    finish(qtbot, dock)
    assert dock.said == []
    assert [layer.name for layer in viewer.layers] == ["field", "heatmap", "classes", "cells", "names"]
    state = dock.state
    assert state.n_cells == 1 and state.selected is not None and not state.pending
    assert seen, "results should arrive while the job runs"
    table = state.analysis.table()
    assert state.analysis.slide.pixel_size.source == "person"
    label = int(table["label"].iloc[0])
    assert viewer.layers["cells"].data[int(table["y"].iloc[0]), int(table["x"].iloc[0])] == label
    settle(qtbot, dock)
    view = dock.inspector.value()
    assert view.uid == state.selected and view.bars[0].code == table["class"].iloc[0]
    assert [e.title.split()[1] for e in view.evidence] == [table["class"].iloc[0], table["runner_up"].iloc[0]]
    counts = {row["code"]: row["count"] for row in dock.differential.model.value()}
    assert counts[table["class"].iloc[0]] == 1 and counts["LEUKOCYTES"] in (0, 1)
    # What the model's own tests recommend is drawn, and the form beside the map says which that is.
    tested, maps = recommended_of(state.analysis.bundle.card), state.analysis.heatmaps
    assert (maps.method, maps.stage) == tested == (dock.heatmap_form.method.value, dock.heatmap_form.stage.value)


def test_clicks_and_keys_walk_through_the_cells(viewer, dock, qtbot, shared_data):
    from skimage.io import imread

    path = shared_data / "smears_bccd" / "images" / "BloodImage_00176.jpg"
    dock.form.pixel_size.value = 0.07
    viewer.add_image(imread(path), rgb=True, name="two cells")
    dock.segment()
    finish(qtbot, dock)
    state = dock.state
    assert state.n_cells >= 2
    uids = state.analysis.cells.table["uid"].tolist()
    click_cell(viewer, dock, 1)
    assert state.selected == uids[1]
    native = viewer.__wrapped__.window._qt_viewer.canvas.native
    native.setFocus()
    shift = Qt.KeyboardModifier.ShiftModifier  # napari's own tools have the plain letters on the picture
    QTest.keyClick(native, Qt.Key.Key_N, shift)
    assert state.selected == uids[2 % len(uids)]
    QTest.keyClick(native, Qt.Key.Key_P, shift)
    assert state.selected == uids[1]
    centre = np.array(viewer.camera.center[-2:])
    row = state.analysis.cells.table.iloc[1]
    assert np.abs(centre - dock.controller.bridge.layer("cells").data_to_world((row.y, row.x))).max() < 1
    dock.tabs.setCurrentIndex(1)
    with qtbot.waitActive(viewer.__wrapped__.window._qt_window):
        viewer.__wrapped__.window._qt_window.activateWindow()
    dock.inspector.setFocus()
    QTest.keyClick(dock.inspector, Qt.Key.Key_N)
    assert state.selected == uids[2 % len(uids)]
    assert "not classified" in dock.inspector.title.text()


def test_edits_touch_their_rows_only_and_are_classified_again(viewer, dock, field, qtbot):
    dock.analyse()
    finish(qtbot, dock)
    settle(qtbot, dock)
    state, layer = dock.state, dock.controller.bridge.layer("cells")
    first = state.analysis.table().iloc[0].copy()
    layer.selected_label, layer.brush_size = dock.controller.editor.fresh_label(), 60
    layer.paint((60, 80), layer.selected_label)
    QApplication.processEvents()
    assert state.n_cells == 2 and len(state.pending) == 1
    assert "being classified" in dock.inspector.title.text()
    settle(qtbot, dock)
    table = state.analysis.table()
    assert state.n_cells == 2 and table["probability"].iloc[1] > 0
    assert table.iloc[0].drop("label").equals(first.drop("label"))
    total = [r for r in dock.differential.model.value() if r["code"] == "LEUKOCYTES"]
    qtbot.waitUntil(lambda: sum(r["count"] for r in dock.differential.model.value() if r["role"] != "sum") == 2)
    assert total
    dock.controller.editor.split_selected()
    assert state.n_cells == 3
    settle(qtbot, dock)
    dock.controller.editor.delete_selected()
    assert state.n_cells == 2
    native = viewer.__wrapped__.window._qt_viewer.canvas.native
    viewer.layers.selection.active = layer
    native.setFocus()
    QTest.keyClick(native, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert state.n_cells == 3
    for _ in range(2):
        dock.controller.editor.undo()
    assert state.n_cells == 1
    np.testing.assert_array_equal(layer.data, state.analysis.cells.masks.to_array())
    qtbot.waitUntil(lambda: not state.pending, timeout=60_000)
    assert state.analysis.table().iloc[0]["uid"] == first["uid"]
    assert dock.said == []


def test_cancel_stops_at_the_next_sign_of_life_and_leaves_nothing_behind(viewer, dock, field, qtbot, monkeypatch):
    from napari_aml.progress import Progress

    closed, lived = threading.Event(), []

    def endless(*_, **__):
        try:
            for i in range(100_000):
                time.sleep(0.02)
                lived.append(i)
                yield Progress(i, 100_000, "for ever")
        finally:
            closed.set()

    monkeypatch.setattr("napari_aml.pipeline.analyse_steps", endless)
    dock.analyse()
    qtbot.waitUntil(lambda: dock.job_bar.bar.maximum() == 100_000, timeout=10_000)
    assert not dock.form.analyse_button.isEnabled()
    qtbot.mouseClick(dock.job_bar.cancel_button, Qt.MouseButton.LeftButton)
    at_click = len(lived)
    finish(qtbot, dock, 30)
    assert closed.wait(10)
    assert len(lived) - at_click <= 5  # counted in steps, not in seconds: machines are busy
    assert [layer.name for layer in viewer.layers] == ["field"] and dock.state.analysis is None
    assert dock.form.analyse_button.isEnabled() and dock.said == []


@pytest.mark.parametrize("case", ["grey", "nothing", "stack of grey planes"])
def test_what_is_no_smear_is_refused_in_words(viewer, dock, case):
    if case != "nothing":
        viewer.add_image(np.zeros((40, 50) if case == "grey" else (3, 40, 50), np.uint8), rgb=False, name="grey")
    dock.analyse()
    assert len(dock.said) == 1 and "Traceback" not in dock.said[0]
    assert ("colour" in dock.said[0]) if case != "nothing" else ("Open a smear" in dock.said[0])
    assert not dock.controller.busy and dock.status.isVisibleTo(dock)


@pytest.mark.parametrize("kind", ["rgba", "uint16", "multiscale"])
def test_other_kinds_of_pictures_give_the_same_cells(viewer, dock, field, qtbot, kind):
    dock.segment()
    finish(qtbot, dock)
    expected = dock.state.analysis.cells.table[["y", "x", "area_um2"]].to_numpy()
    pixels = np.asarray(field.data)
    data = {
        "rgba": np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)]),
        "uint16": pixels.astype(np.uint16) * 257,
        "multiscale": [pixels, pixels[::2, ::2]],
    }[kind]
    viewer.add_image(data, rgb=True, name=kind, multiscale=kind == "multiscale")
    assert dock.form.picture.value.name == kind
    dock.segment()
    finish(qtbot, dock)
    assert dock.said == []
    np.testing.assert_allclose(dock.state.analysis.cells.table[["y", "x", "area_um2"]].to_numpy(), expected, rtol=0.02)
    dock.choose_picture(field)
    assert dock.state.analysis is not None and [layer.name for layer in viewer.layers if layer.name == "cells"]


def test_results_are_saved(viewer, dock, field, qtbot, tmp_path):
    dock.analyse()
    finish(qtbot, dock)
    dock.controller.save(tmp_path)
    finish(qtbot, dock)
    assert dock.said == []
    assert {"labels.tif", "cells.csv", "report.html"} <= {p.name for p in (tmp_path / "field").iterdir()}


def test_the_dock_fits_a_small_screen_and_says_what_it_is(dock):
    assert dock.minimumSizeHint().width() <= 400 and dock.minimumSizeHint().height() <= 600
    texts = [w.text() for w in dock.findChildren(type(dock.status))]
    assert RESEARCH_USE in texts
    assert [dock.tabs.tabText(i) for i in range(dock.tabs.count())] == [
        "Analyse", "Cells", "Heatmap", "Differential", "Model", "Project",
    ]  # fmt: skip
