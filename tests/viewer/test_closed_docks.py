"""Docks are closed by their cross and opened again, from napari's own menu."""

from __future__ import annotations

import time

import numpy as np
import pytest
from qtpy.QtCore import Qt, QThreadPool
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QDockWidget, QPushButton

from napari_aml.progress import Progress
from napari_aml.viewer.private import unwrap
from napari_aml.viewer.sessions import find_review

pytestmark = pytest.mark.viewer


def open_dock(viewer, title):
    return unwrap(viewer.window.add_plugin_dock_widget("napari-aml", title)[1])


def dock_of(widget):
    while not isinstance(widget, QDockWidget):
        widget = widget.parent()
    return widget


def close_by_cross(widget):
    bar = dock_of(widget).titleBarWidget()
    cross = next(b for b in bar.findChildren(QPushButton) if "close" in b.objectName().lower())
    QTest.mouseClick(cross, Qt.MouseButton.LeftButton)
    QApplication.processEvents()


def inside(viewer, kind):
    window = viewer.window._qt_window
    return [w for w in window.findChildren(kind) if w.isVisibleTo(window)]


@pytest.mark.parametrize("title", ["Cell gallery", "Embedding map", "Teach"])
def test_a_review_that_is_closed_and_opened_again_takes_its_docks_along(make_napari_viewer, qtbot, analysis, title):
    viewer = make_napari_viewer(show=False)
    first = open_dock(viewer, "Smear review")
    first.state.analysis = analysis
    companion = open_dock(viewer, title)
    kind = type(companion)
    assert companion.review is first
    close_by_cross(first)
    assert find_review(viewer) is None and not companion.isEnabled()
    second = open_dock(viewer, "Smear review")
    assert second is not first
    qtbot.waitUntil(lambda: any(w.review is second for w in viewer.window._qt_window.findChildren(kind)))
    (again,) = (w for w in viewer.window._qt_window.findChildren(kind) if w is not companion)
    assert again.isEnabled() and [d.name for d in inside(viewer, QDockWidget) if title in str(d.windowTitle())]
    second.state.analysis = analysis
    if title == "Cell gallery":
        assert len(again.panel.model.cells) == 6
    for widget in (again, second):
        widget.shut_down()
    qtbot.waitUntil(lambda: QThreadPool.globalInstance().activeThreadCount() == 0, timeout=20_000)


def test_a_review_opened_after_the_expression_stands_beside_it(make_napari_viewer, qtbot):
    """Below it both make the window higher than a laptop. It takes the smear, not what lies on it."""
    viewer = make_napari_viewer(show=True)
    window = viewer.window._qt_window
    window.resize(1366, 700)
    smear = viewer.add_image(np.zeros((60, 80, 3), np.uint8), rgb=True, name="smear")
    viewer.add_image(np.zeros((60, 80)), name="heatmap of an earlier review")
    expression = open_dock(viewer, "Expression")
    QTest.qWait(200)
    before = window.height()
    review = open_dock(viewer, "Smear review")
    qtbot.waitUntil(lambda: dock_of(review) in window.tabifiedDockWidgets(dock_of(expression)), timeout=5_000)
    QTest.qWait(200)
    assert window.height() == before and review.picture() is smear
    gallery = open_dock(viewer, "Cell gallery")
    qtbot.waitUntil(gallery.panel.isVisible, timeout=5_000)
    close_by_cross(review)
    before = window.height()
    review = open_dock(viewer, "Smear review")
    QTest.qWait(600)
    assert dock_of(review) in window.tabifiedDockWidgets(dock_of(expression)) and window.height() == before
    for widget in (review, expression):
        widget.shut_down()
    qtbot.waitUntil(lambda: QThreadPool.globalInstance().activeThreadCount() == 0, timeout=20_000)


def test_a_dock_closed_by_its_cross_stops_its_job(make_napari_viewer, qtbot, analysis, monkeypatch):
    """Also where something still holds the review: the gallery does."""
    stopped = []

    def steps(source, **_):
        try:
            while True:
                time.sleep(0.01)
                yield Progress(0, 0, "for ever")
        finally:
            stopped.append(True)

    monkeypatch.setattr("napari_aml.pipeline.analyse_steps", steps)
    viewer = make_napari_viewer(show=False)
    viewer.add_image(analysis.slide.region(0, 0, 0, *analysis.slide.shape), rgb=True, name="smear")
    review = open_dock(viewer, "Smear review")
    gallery = open_dock(viewer, "Cell gallery")
    QTest.mouseClick(review.form.analyse_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: review.controller.busy)
    close_by_cross(review)
    qtbot.waitUntil(lambda: bool(stopped), timeout=5_000)
    qtbot.waitUntil(lambda: [layer.name for layer in viewer.layers] == ["smear"], timeout=5_000)
    assert gallery.review is review
    gallery.shut_down()
    qtbot.waitUntil(lambda: QThreadPool.globalInstance().activeThreadCount() == 0, timeout=20_000)
