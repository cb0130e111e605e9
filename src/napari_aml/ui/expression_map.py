"""Samples as points, drawn by pyqtgraph; a click on a point chooses its sample."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import QPointF, Qt, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_aml.ui.expression_plots import PlainPlot
from napari_aml.ui.expression_view import MapView

_SIZE, _CHOSEN = 9, 17
#: A click further from every point than this (pixels) chooses nothing.
_NEAR = 12.0


class MapPlot(PlainPlot):
    """A plot that the wheel zooms."""

    restyled: Callable[[], None] | None = None

    def wheelEvent(self, event: object) -> None:
        """Zoom."""
        pg.PlotWidget.wheelEvent(self, event)

    def restyle(self) -> None:
        """Take the colours of the window."""
        super().restyle()
        if self.restyled is not None:
            self.restyled()


class SampleMap(QWidget):
    """The map with its legend and what it says below."""

    sampleChosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._view: MapView | None = None
        self._chosen: str | None = None
        self.plot = MapPlot()
        self.plot.setMouseEnabled(True, True)
        self.plot.setMinimumHeight(240)
        self.plot.setAspectLocked(False)
        self.points = pg.ScatterPlotItem(size=_SIZE, pxMode=True, hoverable=True, tip=self._tip)
        self.ring = pg.ScatterPlotItem(size=_CHOSEN, pxMode=True, brush=None)
        self.plot.addItem(self.ring)
        self.plot.addItem(self.points)
        self.plot.restyled = self._ink
        self.plot.scene().sigMouseClicked.connect(self._on_click)
        self.legend = QLabel()
        self.legend.setWordWrap(True)
        self.legend.setTextFormat(Qt.TextFormat.RichText)
        self.note = QLabel("No samples are mapped yet.")
        self.note.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.plot, 1)
        layout.addWidget(self.legend)
        layout.addWidget(self.note)

    def value(self) -> MapView | None:
        """Return what is shown."""
        return self._view

    def setValue(self, view: MapView | None) -> None:
        """Show a map; None empties it."""
        self._view = view
        if view is None or not len(view.names):
            self.points.clear()
            self.ring.clear()
            self.legend.clear()
            self.note.setText("No samples are mapped yet.")
            return
        colours = {g: QColor(view.colours.get(g, "#8a8f98")) for g in set(view.groups)}
        brushes = [pg.mkBrush(colours[g]) for g in view.groups]
        edge = pg.mkPen(self.plot.ink, width=0.4)
        self.points.setData(
            pos=np.asarray(view.places, float), brush=brushes, pen=edge, data=np.arange(len(view.names)), size=_SIZE
        )
        self.plot.setLabels(bottom=view.axes[0], left=view.axes[1])
        self.plot.restyle()
        self.plot.getViewBox().autoRange(padding=0.08)
        present = [g for g in view.colours if g in colours] + sorted(g for g in colours if g not in view.colours)
        counted = {g: view.groups.count(g) for g in present}
        self.legend.setText(
            " &nbsp; ".join(
                f'<span style="color:{colours[g].name()}">●</span>&nbsp;{_plain(g)}&nbsp;({counted[g]})'
                for g in present
            )
        )
        self.note.setText(view.note)
        self.choose(self._chosen)

    def choose(self, sample: str | None) -> None:
        """Ring a sample; one that is not on the map rings nothing."""
        self._chosen = sample
        view = self._view
        if view is None or sample not in view.names:
            self.ring.clear()
            return
        place = np.asarray(view.places, float)[view.names.index(sample)]
        self.ring.setData(pos=place[None], pen=pg.mkPen(self.plot.ink, width=2.2), brush=None, size=_CHOSEN)

    def chosen(self) -> str | None:
        """Return the sample that is ringed."""
        return self._chosen

    def _ink(self) -> None:
        self.points.setPen(pg.mkPen(self.plot.ink, width=0.4))
        self.ring.setPen(pg.mkPen(self.plot.ink, width=2.2))

    def screen_place(self, sample: str) -> QPointF:
        """Return where a sample's point lies in the scene, pixels."""
        assert self._view is not None
        place = np.asarray(self._view.places, float)[self._view.names.index(sample)]
        return self.plot.getViewBox().mapViewToScene(QPointF(*map(float, place)))

    def _on_click(self, event: Any) -> None:  # pyqtgraph's MouseClickEvent
        if self._view is None or event.button() != Qt.MouseButton.LeftButton:
            return
        sample = self.nearest(event.scenePos())
        if sample is not None:
            self.choose(sample)
            self.sampleChosen.emit(sample)

    def nearest(self, where: QPointF) -> str | None:
        """Return the sample whose point lies nearest to a place in the scene, None where none is near."""
        view = self._view
        if view is None or not len(view.names):
            return None
        box = self.plot.getViewBox()
        drawn = [box.mapViewToScene(QPointF(float(x), float(y))) for x, y in np.asarray(view.places, float)]
        far = np.array([(p.x() - where.x()) ** 2 + (p.y() - where.y()) ** 2 for p in drawn])
        at = int(far.argmin())
        return view.names[at] if far[at] <= _NEAR**2 else None

    def _tip(self, x: float, y: float, data: int) -> str:
        view = self._view
        return "" if view is None else f"{view.names[int(data)]}: {view.groups[int(data)]}"


def _plain(text: str) -> str:
    import html

    return html.escape(text).replace(" ", "&nbsp;")
