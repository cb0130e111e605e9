"""The mouse in a real window: cells dragged onto a class, a lasso on the map, a double-click that flies there."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QPoint, QPointF, Qt, QThreadPool
from qtpy.QtGui import QDrag, QDragEnterEvent, QDragMoveEvent, QDropEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

pytestmark = pytest.mark.viewer
LEFT, NONE, CTRL = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def docks(make_napari_viewer_proxy, qtbot, analysis):
    """Review, gallery and map on six cells made by hand, on a laptop's screen."""
    from napari_aml.viewer.gallery_dock import GalleryDock
    from napari_aml.viewer.map_dock import MapDock
    from napari_aml.viewer.sessions import review_of

    viewer = make_napari_viewer_proxy(show=True)
    window = viewer.__wrapped__.window
    window._qt_window.resize(1366, 768)
    review = review_of(viewer)
    layer = viewer.add_image(analysis.slide.region(0, 0, 0, *analysis.slide.shape), rgb=True, name="six")
    review.controller.choose_picture(layer.__wrapped__)
    review.controller._take(analysis)
    gallery, chart = GalleryDock(viewer), MapDock(viewer)
    viewer.window.add_dock_widget(gallery, name="Cell gallery", area="bottom")
    viewer.window.add_dock_widget(chart, name="Embedding map", area="right")
    qtbot.waitUntil(lambda: gallery.panel.isVisible() and chart.panel.isVisible())
    qtbot.waitUntil(lambda: len(gallery.panel.view.visible_rows()) > 0)
    yield review, gallery.panel, chart.panel
    for dock in (gallery, chart, review):
        dock.shut_down()
    qtbot.waitUntil(lambda: QThreadPool.globalInstance().activeThreadCount() == 0, timeout=20_000)
    QApplication.processEvents()


class _HeldMouse:
    """Stands for the system's part of a drag: carries what Qt was given to a widget and lets go of it there.

    A real drag waits for the window system, which sends no events to a program that asks for them itself; the events
    that reach the target are those that Qt makes of it.
    """

    def __init__(self, target, point):
        self.target, self.point, self.begun = target, point, 0

    def __call__(self, drag):
        self.begun += 1
        mime, where = drag.mimeData(), self.target.viewport()
        enter = QDragEnterEvent(self.point, Qt.DropAction.CopyAction, mime, LEFT, NONE)
        move = QDragMoveEvent(self.point, Qt.DropAction.CopyAction, mime, LEFT, NONE)
        for event in (enter, move):
            QApplication.sendEvent(where, event)
        if not move.isAccepted():
            return Qt.DropAction.IgnoreAction
        drop = QDropEvent(QPointF(self.point), Qt.DropAction.CopyAction, mime, LEFT, NONE)
        QApplication.sendEvent(where, drop)
        return Qt.DropAction.CopyAction


def at(view, row):
    """Return the middle of a cell, brought onto the screen if need be."""
    view.scroll_to(row)
    QApplication.processEvents()
    return view.rect_of(row).center()


def drag(view, start, by):
    """Press, move in steps, let go."""
    QTest.mousePress(view.viewport(), LEFT, NONE, start)
    for part in (0.2, 0.6, 1.0):
        QTest.mouseMove(view.viewport(), start + QPoint(round(part * by.x()), round(part * by.y())))
        QApplication.processEvents()
    QTest.mouseRelease(view.viewport(), LEFT, NONE, start + by)


def test_cells_dragged_onto_a_class_get_it(docks, monkeypatch):
    review, panel, _ = docks
    state, view = review.state, panel.view
    panel.classes.scrollToItem(panel.classes.item_of("PLT"))
    onto = panel.classes.visualItemRect(panel.classes.item_of("PLT")).center()
    held = _HeldMouse(panel.classes, onto)
    monkeypatch.setattr(QDrag, "exec", lambda drag, *_: held(drag))


    def choose_two():
        QTest.mouseClick(view.viewport(), LEFT, NONE, at(view, 0))
        QTest.mouseClick(view.viewport(), LEFT, CTRL, at(view, 1))
        return set(state.selection)

    chosen = choose_two()
    assert len(chosen) == 2
    drag(view, at(view, 1), QPoint(2, 1))
    assert held.begun == 0 and len(state.selection) == 1, "a hand that trembles drags nothing: it chooses one"
    assert choose_two() == chosen
    drag(view, at(view, 1), QPoint(60, 30))
    assert held.begun == 1
    assert state.decided == dict.fromkeys(chosen, "PLT")
    held.point = panel.classes.visualItemRect(panel.classes.topLevelItem(0)).center()
    drag(view, at(view, 3), QPoint(60, 30))
    assert held.begun == 2 and len(state.decided) == 2, "'all' is no class"
    assert review.controller.editor.undo_stack.count() == 1


def test_a_lasso_on_the_map_chooses_the_cells_in_it_everywhere(docks, qtbot):
    review, panel, chart = docks
    plot, state = chart.plot, review.state
    qtbot.waitUntil(lambda: len(plot.points()) == 6)
    QApplication.processEvents()
    view = plot.view

    def at(x, y):
        return view.mapFromScene(plot.box.mapViewToScene(QPointF(x, y)))

    points = plot.points()
    apart = np.argsort(points[:, 0])  # the three at the left
    middle = float(points[apart[2:4], 0].mean())
    low, high = points.min(0), points.max(0)
    reach = 0.04 * (high - low)
    corners = [
        at(low[0] - reach[0], low[1] - reach[1]), at(middle, low[1] - reach[1]), at(middle, high[1] + reach[1]),
        at(low[0] - reach[0], high[1] + reach[1]), at(low[0] - reach[0], low[1]),
    ]  # fmt: skip
    target = view.viewport()
    QTest.mousePress(target, LEFT, NONE, corners[0])
    for a, b in zip(corners, corners[1:], strict=False):
        for part in (0.25, 0.5, 0.75, 1.0):
            QTest.mouseMove(target, a + QPoint(*(round(part * v) for v in ((b - a).x(), (b - a).y()))))
            QTest.qWait(12)  # pyqtgraph looks at the mouse at most 100 times a second
    QTest.mouseRelease(target, LEFT, NONE, corners[-1])
    wanted = {state.uids[i] for i in np.flatnonzero(points[:, 0] < middle)}
    qtbot.waitUntil(lambda: set(state.selection) == wanted, timeout=5000)
    assert {panel.model.uid(int(r)) for r in panel.model.rows_of(state.selection)} == wanted


def test_a_double_click_flies_the_viewer_to_the_cell(docks, qtbot):
    review, panel, _ = docks
    view, viewer = panel.view, review.viewer
    table = review.state.analysis.cells.table.set_index("uid")
    for row in (5, 0):
        bar = view.verticalScrollBar()
        at(view, row)
        bar.setValue(bar.value() + (30 if row == 0 else -30))  # half a cell is on the screen
        uid, point = panel.model.uid(row), view.rect_of(row).center()
        QTest.mouseClick(view.viewport(), LEFT, NONE, point)
        QTest.mouseDClick(view.viewport(), LEFT, NONE, point)
        qtbot.waitUntil(lambda uid=uid: review.state.selected == uid)
        scale = np.abs(viewer.layers["cells"].scale)
        expected = table.loc[uid, ["y", "x"]].to_numpy(float) * scale
        qtbot.waitUntil(lambda e=expected: np.allclose(viewer.camera.center[-2:], e, atol=0.2), timeout=3000)
