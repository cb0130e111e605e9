"""Points in groups of one colour each, a lasso, and marks around chosen points; knows nothing of cells."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import QPointF, Qt, Signal
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_aml.ui.dots import Dots, colour

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
        self.view.hideButtons()  # pyqtgraph's own "A" does not know these points; `fit` does
        self._groups: dict[str, int] = {}
        self._points = np.zeros((0, 2), np.float32)
        self.dots = self._layer(Dots(), 0)
        self._chosen = self._layer(Dots(10, 1.2), 20)
        self._current = self._layer(Dots(15, 2.5), 22)
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

    def _layer(self, dots: Dots, z: float) -> Dots:
        dots.setZValue(z)
        self.view.addItem(dots, ignoreBounds=True)
        return dots

    def points(self) -> np.ndarray:
        """Return the points: float32 (n, 2)."""
        return self._points

    def setPoints(
        self, points: np.ndarray, groups: Sequence[tuple[str, str, np.ndarray]], *, fit: bool = False
    ) -> None:
        """Show points (n, 2) in groups (name, colour, indices), the last on top; `fit` brings all into view."""
        self._points = np.asarray(points, np.float32)
        size = 7 if len(points) <= 2000 else 4 if len(points) <= 20_000 else 2
        words = [f'<span style="color:{ink}">⬤</span>&nbsp;{html.escape(name)}' for name, ink, _ in groups]
        text = "<small>" + " &nbsp; ".join(words) + "</small>"
        if text != self.legend.text():
            self.legend.setText(text)
        self._groups = {name: len(rows) for name, _, rows in groups}
        order = np.concatenate([np.zeros(0, int), *(rows for _, _, rows in groups)])
        inks = np.repeat(np.array([colour(ink) for _, ink, _ in groups], np.uint32), [len(r) for _, _, r in groups])
        self.dots.setPoints(self._points[order], inks, size)
        if fit:
            self.fit()

    def fit(self) -> None:
        """Bring all points into view."""
        if len(self._points):
            low, high = self._points.min(0).tolist(), self._points.max(0).tolist()
            self.box.setRange(xRange=(low[0], high[0]), yRange=(low[1], high[1]), padding=0.06)

    def setChosen(self, rows: np.ndarray, current: int | None) -> None:
        """Mark chosen points, and the current one."""
        there = self._points[rows[rows < len(self._points)]]
        self._chosen.setPoints(there, _CHOSEN, 10 if len(there) <= 2000 else 5)  # thousands of rings hide the map
        one = self._points[[current]] if current is not None and current < len(self._points) else self._points[:0]
        self._current.setPoints(one, _CURRENT)

    def marked(self) -> tuple[int, int]:
        """Return how many points are marked as chosen, and as the current one."""
        return len(self._chosen), len(self._current)

    def groups(self) -> dict[str, int]:
        """Return the number of points of each group."""
        return dict(self._groups)

    def _on_clicked(self, event: Any) -> None:
        if event.button() != Qt.MouseButton.LeftButton:
            return
        point = self.box.mapSceneToView(event.scenePos())
        width, height = self.box.viewPixelSize()
        where = (QPointF(point), (REACH * width, REACH * height))
        (self.opened if event.double() else self.clicked).emit(*where)
