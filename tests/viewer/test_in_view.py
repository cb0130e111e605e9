"""The picture under review is the one on the screen: chosen, opened beside others, or squeezed by a dock."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QWidget

pytestmark = pytest.mark.viewer


@pytest.fixture
def viewer(make_napari_viewer_proxy):
    viewer = make_napari_viewer_proxy(show=True)
    viewer.window._qt_window.resize(1366, 768)
    return viewer


@pytest.fixture
def dock(viewer, qtbot):
    from napari_aml.viewer.dock import SmearReviewWidget

    widget = SmearReviewWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Smear review", area="right")
    QApplication.processEvents()
    yield widget
    widget.shut_down()
    viewer.window.remove_dock_widget(widget)
    widget.deleteLater()
    QApplication.processEvents()


def picture(viewer, name, shape=(300, 400), **more):
    return viewer.add_image(np.full((*shape, 3), 200, np.uint8), rgb=True, name=name, **more)


def seen(viewer, layer):
    """Share of a picture that is on the canvas."""
    size, camera = np.array(viewer.canvas.size), viewer.scene.camera
    low, high = (np.array(camera.center[-2:]) + side * size / 2 / camera.zoom for side in (-1, 1))
    box = layer.extent.world[:, -2:]
    return np.prod(np.clip(np.minimum(high, box[1]) - np.maximum(low, box[0]), 0, None)) / np.prod(box[1] - box[0])


def test_a_chosen_picture_below_another_one_is_said_to_be_covered(viewer, dock):
    picture(viewer, "first")
    second = picture(viewer, "second")
    dock.show_message("2 cells found.")
    dock.form.picture.value = dock.form.picture.choices[1]
    assert "'second' covers this picture" in dock.status.text() and "2 cells" not in dock.status.text()
    dock.form.picture.value = dock.form.picture.choices[2]
    assert dock.picture() is second.__wrapped__ and not dock.status.text()


def test_while_a_job_runs_the_choice_of_the_picture_is_locked(viewer, dock, monkeypatch):
    first = picture(viewer, "first")
    monkeypatch.setattr(type(dock.controller), "busy", True)
    dock._enable()
    picture(viewer, "second")
    assert dock.picture() is first.__wrapped__ and not dock.form.picture.enabled


def test_the_camera_goes_to_a_picture_of_another_scale(viewer, dock):
    picture(viewer, "pixels", (1500, 2000))
    small = picture(viewer, "micrometres", scale=(0.1, 0.1))
    assert seen(viewer, small) > 0.99
    view = viewer.scene.camera.center, viewer.scene.camera.zoom * 1.5
    viewer.scene.camera.zoom = view[1]
    picture(viewer, "next field", scale=(0.1, 0.1))
    assert (viewer.scene.camera.center, viewer.scene.camera.zoom) == view  # where one looks already, nothing moves


def test_a_picture_that_was_whole_stays_whole_when_a_dock_takes_its_room(viewer, dock, qtbot):
    wide = picture(viewer, "wide", (300, 900))
    QTest.qWait(150)
    assert seen(viewer, wide) > 0.99
    more = QWidget()
    more.setMinimumWidth(300)
    viewer.window.add_dock_widget(more, name="more", area="left")
    qtbot.waitUntil(lambda: seen(viewer, wide) > 0.99, timeout=5000)
    viewer.scene.camera.zoom *= 4
    near = viewer.scene.camera.zoom
    viewer.window.remove_dock_widget(more)
    QTest.qWait(150)
    assert viewer.scene.camera.zoom == near  # one who looks at a part goes on looking at it
    more.deleteLater()


def test_names_are_shown_only_where_the_cells_have_room_for_them(viewer, dock, analysis):
    picture(viewer, "field", scale=(0.1, 0.1), units=("um", "um"))
    dock.controller.show_result(dock.controller.bridge.image, analysis)
    names, camera = viewer.layers["names"], viewer.scene.camera
    assert names.text.visible
    camera.zoom = 2  # a cell of 9 micrometres has 18 pixels
    assert not names.text.visible and names.visible
    camera.zoom = 6
    assert names.text.visible
    names.text.visible = False
    camera.zoom = 7
    assert not names.text.visible  # what a person hides stays hidden


def test_buttons_say_confirm_and_take_back_the_class(viewer, dock, analysis):
    layer = picture(viewer, "field", scale=(0.1, 0.1), units=("um", "um"))
    dock.controller.show_result(dock.controller.bridge.image, analysis)
    state, row = dock.state, dock.inspector.classes
    state.selected = uid = str(analysis.cells.table["uid"].iloc[2])
    assert layer.visible and row.isVisibleTo(dock.inspector) and not row.withdraw.isEnabled()
    QTest.mouseClick(row.confirm, Qt.MouseButton.LeftButton)
    assert state.decided[uid] == state.model_code(2)
    row.menu.aboutToShow.emit()
    entry = next(action for action in row.menu.actions() if action.text().startswith("MYO "))
    assert entry.text().endswith("\tM")
    entry.trigger()
    assert state.decided[uid] == "MYO"
    QTest.mouseClick(row.withdraw, Qt.MouseButton.LeftButton)
    assert uid not in state.decided and not row.withdraw.isEnabled()


def test_the_sheet_of_keys_opens_from_the_dock(viewer, dock, qtbot):
    picture(viewer, "field")
    window = viewer.__wrapped__.window._qt_window
    with qtbot.waitActive(window):
        window.activateWindow()
    tabs = dock.tabs.tabBar()
    QTest.mouseClick(tabs, Qt.MouseButton.LeftButton, pos=tabs.tabRect(1).center())
    qtbot.waitUntil(lambda: dock.tabs.widget(1).hasFocus(), timeout=5000)
    QTest.keyClick(dock.tabs.widget(1), Qt.Key.Key_F1)
    from napari_aml.ui.key_sheet import KeySheet

    (sheet,) = dock.findChildren(KeySheet)
    assert sheet.isVisible()
    sheet.close()


def test_on_a_laptop_the_gallery_has_room_and_no_dock_makes_the_window_taller(viewer, dock, qtbot):
    from napari_aml.viewer.gallery_dock import HEIGHT, GalleryDock
    from napari_aml.viewer.teach_dock import TeachDock

    window = viewer.__wrapped__.window._qt_window
    picture(viewer, "field")
    viewer.add_labels(np.zeros((300, 400), np.int32))  # its controls are the tallest
    gallery, teach = GalleryDock(viewer), TeachDock(viewer)
    viewer.window.add_dock_widget(gallery, name="Cell gallery", area="right")
    qtbot.waitUntil(lambda: gallery.panel.isVisible() and gallery.height() > HEIGHT - 40, timeout=5000)
    viewer.window.add_dock_widget(teach, name="Teach", area="right")
    qtbot.waitUntil(teach.tabs.isVisible, timeout=5000)
    QTest.qWait(100)
    assert window.height() <= 768 and gallery.height() > HEIGHT - 40
    for widget in (teach, gallery):
        widget.shut_down()
        viewer.window.remove_dock_widget(widget)
        widget.deleteLater()


@pytest.mark.parametrize(
    ("possible", "said"), [("EOS", ""), ("EOS|LYA", "cannot tell"), ("LYA|PMB", "EOS is not among")]
)
def test_possible_classes_never_contradict_the_class_shown_without_a_word(monkeypatch, possible, said):
    from types import SimpleNamespace

    from viewer_parts import CODES, predictions_for

    from napari_aml.review.queue.trust import CellTrust
    from napari_aml.viewer.inspecting import _trust

    predictions = predictions_for(1)
    predictions.probabilities[0] = np.where(np.array(CODES) == "EOS", 0.85, 0.01)
    told = CellTrust(np.array([len(possible.split("|"))]), np.array([False]), np.array([0.0]))
    monkeypatch.setattr("napari_aml.review.queue.trust.trust_of", lambda *_: told)
    bundle = SimpleNamespace(trust=SimpleNamespace(sets=lambda _: [possible]))
    words = " ".join(_trust(SimpleNamespace(bundle=bundle, predictions=predictions), 0))
    assert said in words and bool(words) == bool(said)
