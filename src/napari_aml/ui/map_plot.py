"""Points in groups of one colour each, a lasso, and marks around chosen points; knows nothing of cells."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import QPointF, Qt, Signal
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

#: A click finds a point at most so far away, pixels.
REACH = 8
_CHOSEN, _CURRENT = "#ffffff", "#ffe600"


class LassoBox(pg.ViewBox):
    """A view in which the left button draws a lasso and the others move and zoom."""

    lassoed = Signal(object, bool)
    drawn = Signal(object)

    def __init__(self) -> None:
        super().__init__(lockAspect=False, enableMenu=False)
        self._corners: list[tuple[float, float]] = []

    def mouseDragEvent(self, event: Any, axis: Any = None) -> None:
        """Draw a lasso with the left button; else move."""
        if event.button() != Qt.MouseButton.LeftButton or axis is not None:
            self._move(event, axis)
            return
        event.accept()
        if event.isStart():
            start = self.mapToView(event.buttonDownPos())
            self._corners = [(start.x(), start.y())]
        point = self.mapToView(event.pos())
        self._corners.append((point.x(), point.y()))
        if event.isFinish():
            corners, self._corners = np.array(self._corners), []
            self.drawn.emit(np.zeros((0, 2)))
            add = event.modifiers() & (Qt.KeyboardModifier.ShiftModifier | Qt.KeyboardModifier.ControlModifier)
            if len(corners) >= 3:
                self.lassoed.emit(corners, bool(add))
        else:
            self.drawn.emit(np.array(self._corners))

    def _move(self, event: Any, axis: Any) -> None:
        event.accept()
        moved = self.mapToView(event.lastPos()) - self.mapToView(event.pos())
        self.translateBy(x=moved.x(), y=moved.y())


class MapPlot(QWidget):
    """A scatter plot of many points.

    Attributes
    ----------
    lassoed
        Emitted with the corners (k, 2) of a lasso, x and y, and whether it adds to what is chosen.
    clicked, opened
        Emitted on a click and a double-click with the point and the reach (x, y) in the plot's units.
    """

    lassoed = Signal(object, bool)
    clicked = Signal(object, object)
    opened = Signal(object, object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.box = LassoBox()
        self.view = pg.PlotWidget(viewBox=self.box, background="#20232a")
        for axis in ("left", "bottom"):
            self.view.hideAxis(axis)
        self.view.setMinimumSize(200, 160)
        self._groups: dict[str, pg.ScatterPlotItem] = {}
        self._rows: dict[str, tuple[str, int, np.ndarray]] = {}
        self._given: object = None
        self._points = np.zeros((0, 2), np.float32)
        self._chosen = self._marks(_CHOSEN, 10, 1.2)
        self._current = self._marks(_CURRENT, 15, 2.5)
        self._line = pg.PlotCurveItem(pen=pg.mkPen(_CURRENT, width=1.5))
        self._line.setZValue(30)
        self.box.addItem(self._line, ignoreBounds=True)
        self.legend = QLabel()
        self.legend.setWordWrap(True)
        self.legend.setTextFormat(Qt.TextFormat.RichText)
        self.box.drawn.connect(lambda corners: self._line.setData(*corners.T) if len(corners) else self._line.clear())
        self.box.lassoed.connect(self.lassoed)
        self.view.scene().sigMouseClicked.connect(self._on_clicked)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(1)
        layout.addWidget(self.view, 1)
        layout.addWidget(self.legend)

    def _marks(self, colour: str, size: int, width: float) -> Any:
        item = pg.ScatterPlotItem(size=size, pen=pg.mkPen(colour, width=width), brush=None, pxMode=True)
        item.setZValue(20 + width)
        self.view.addItem(item, ignoreBounds=True)
        return item

    def points(self) -> np.ndarray:
        """Return the points: float32 (n, 2)."""
        return self._points

    def setPoints(
        self, points: np.ndarray, groups: Sequence[tuple[str, str, np.ndarray]], *, fit: bool = False
    ) -> None:
        """Show points (n, 2) in groups (name, colour, indices), the last on top; `fit` brings all into view."""
        same = points is self._given
        self._given, self._points = points, np.asarray(points, np.float32)
        size = 7 if len(points) <= 2000 else 4 if len(points) <= 20_000 else 2
        words = [f'<span style="color:{colour}">⬤</span>&nbsp;{html.escape(name)}' for name, colour, _ in groups]
        self.legend.setText("<small>" + " &nbsp; ".join(words) + "</small>")
        for name in list(self._groups.keys() - {name for name, _, _ in groups}):
            self.view.removeItem(self._groups.pop(name))
            self._rows.pop(name)
        for z, (name, colour, rows) in enumerate(groups):
            item = self._groups.get(name)
            if item is None:
                item = self._groups[name] = pg.ScatterPlotItem(pxMode=True)
                self.view.addItem(item)
            item.setZValue(z)
            before = self._rows.get(name)
            self._rows[name] = (colour, size, rows)
            if same and before is not None and before[:2] == (colour, size) and np.array_equal(before[2], rows):
                continue  # a decision moves points between two groups of many; setting data anew is what takes time
            item.setData(
                x=self._points[rows, 0], y=self._points[rows, 1], size=size, pen=None, brush=pg.mkBrush(colour)
            )
        if fit and len(points):
            low, high = self._points.min(0).tolist(), self._points.max(0).tolist()
            self.box.setRange(xRange=(low[0], high[0]), yRange=(low[1], high[1]), padding=0.06)

    def setChosen(self, rows: np.ndarray, current: int | None) -> None:
        """Mark chosen points, and the current one."""
        there = self._points[rows[rows < len(self._points)]]
        self._chosen.setData(x=there[:, 0], y=there[:, 1])
        one = self._points[[current]] if current is not None and current < len(self._points) else self._points[:0]
        self._current.setData(x=one[:, 0], y=one[:, 1])

    def groups(self) -> dict[str, int]:
        """Return the number of points of each group."""
        return {name: len(item.data) for name, item in self._groups.items()}

    def _on_clicked(self, event: Any) -> None:
        if event.button() != Qt.MouseButton.LeftButton:
            return
        point = self.box.mapSceneToView(event.scenePos())
        width, height = self.box.viewPixelSize()
        where = (QPointF(point), (REACH * width, REACH * height))
        (self.opened if event.double() else self.clicked).emit(*where)
