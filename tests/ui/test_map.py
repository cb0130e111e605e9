"""The embedding map with the real mouse: lasso, click, zoom and back; what is said of the chosen cells."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent, QWheelEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication
from state_parts import analysis_of, state_of

from napari_aml.slides import ArraySlide
from napari_aml.ui.gallery_cells import GalleryCells
from napari_aml.ui.map_panel import MapPanel

pytestmark = pytest.mark.viewer
LEFT, PLAIN = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier


@pytest.fixture
def panel(qtbot):
    panel = MapPanel(state_of(60))
    qtbot.addWidget(panel)
    panel.resize(420, 420)
    with qtbot.waitExposed(panel):
        panel.show()
    QTest.qWait(30)
    yield panel
    panel.close_panel()


def place_of(panel, i):
    x, y = map(float, panel.plot.points()[i])
    return panel.plot.view.mapFromScene(panel.plot.box.mapViewToScene(QPointF(x, y)))


def draw(panel, corners, modifier=PLAIN):
    """Draw along corners with the left button held."""
    port = panel.plot.view.viewport()
    QTest.mousePress(port, LEFT, modifier, corners[0])
    for point in corners:
        place = QPointF(point), QPointF(port.mapToGlobal(point))
        moved = QMouseEvent(QMouseEvent.Type.MouseMove, *place, Qt.MouseButton.NoButton, LEFT, modifier)
        QApplication.sendEvent(port, moved)
        QTest.qWait(15)
    QTest.mouseRelease(port, LEFT, modifier, corners[-1])
    QTest.qWait(30)


def test_what_is_said_is_of_the_cells_that_are_chosen_now(panel):
    state, port = panel.state, panel.plot.view.viewport()
    w, h = port.width(), port.height()
    draw(panel, [QPoint(1, 1), QPoint(w - 2, 1), QPoint(w - 2, h - 2), QPoint(1, h - 2)])
    assert len(state.selection) == 60 and "60 cells chosen" in panel.message.text()
    QTest.mouseClick(port, LEFT, PLAIN, place_of(panel, 7))
    assert len(state.selection) == 1 and "chosen:" not in panel.message.text()
    state.select(panel.cells.uids[:3])  # in the gallery
    assert "3 cells chosen" in panel.message.text()
    panel.show_alike(panel.cells.uids[4])
    assert "24 cells like" in panel.message.text()


def test_the_whole_map_comes_back_after_zooming(panel):
    port = panel.plot.view.viewport()
    before = np.array(panel.plot.box.viewRange())
    for _ in range(6):
        where = QPoint(30, 30)
        turned = QPoint(0, 120)
        QApplication.sendEvent(port, QWheelEvent(
            QPointF(where), QPointF(port.mapToGlobal(where)), QPoint(), turned, Qt.MouseButton.NoButton, PLAIN,
            Qt.ScrollPhase.NoScrollPhase, False,
        ))  # fmt: skip
    assert np.ptp(panel.plot.box.viewRange(), axis=1).max() < np.ptp(before, axis=1).max() / 2
    QTest.mouseMove(port, QPoint(60, 60))
    assert not panel.plot.view.plotItem.autoBtn.isVisible()  # pyqtgraph's own button, which finds nothing here
    QTest.mouseClick(panel.whole, LEFT)
    assert np.allclose(panel.plot.box.viewRange(), before)


def test_slides_are_called_by_their_names():
    state = state_of(9)
    first = state.analysis

    def another(slide_id, name):
        made = analysis_of(4)
        table = made.cells.table.assign(slide_id=slide_id, uid=[f"{slide_id}-{i}" for i in range(4)])
        slide = ArraySlide([np.zeros((90, 90, 3), np.uint8)], name)
        return dataclasses.replace(
            made, slide=slide, cells=dataclasses.replace(made.cells, slide_id=slide_id, table=table)
        )

    cells = GalleryCells(state, [first, another("T", "Müller 2"), another("U", "twice"), another("V", "twice")])
    assert cells.slide_titles() == ["by hand", "Müller 2", "twice (U)", "twice (V)"]
    from napari_aml.ui.map_colours import SLIDE, colour_groups

    assert [name for name, _, _ in colour_groups(cells, SLIDE)] == cells.slide_titles()
