"""Probabilities and gene attributions as horizontal bars, drawn by pyqtgraph."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import QEvent, QSize, Qt
from qtpy.QtGui import QColor, QPalette, QWheelEvent
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_aml.ui.expression_view import AttributionView, GeneBar, ProbabilityBar

_ROW, _AXIS = 19, 30
_UP, _DOWN = "#d55e00", "#0072b2"


class PlainPlot(pg.PlotWidget):
    """A plot in the colours of the window around it, without menu, zoom or wheel: the page around it scrolls."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent, background=None)
        self.setMenuEnabled(False)
        self.hideButtons()
        self.setMouseEnabled(False, False)
        self.setFrameShape(self.Shape.NoFrame)
        self._texts: list[pg.TextItem] = []
        self.restyle()

    @property
    def ink(self) -> QColor:
        """The colour of text around the plot."""
        return self.palette().color(QPalette.ColorRole.WindowText)

    def restyle(self) -> None:
        """Take the colours of the window."""
        for side in ("left", "bottom"):
            axis = self.getAxis(side)
            axis.setTextPen(self.ink)
            axis.setPen(pg.mkPen(self.ink, width=1))
        for text in self._texts:
            text.setColor(self.ink)

    def sizeHint(self) -> QSize:
        """Narrow: the dock decides how wide its plots are."""
        return QSize(240, 240)

    def changeEvent(self, event: QEvent) -> None:
        """Follow a change of theme."""
        super().changeEvent(event)
        there = self.__dict__.get("plotItem") is not None  # Qt calls this while the plot is still being made
        if there and event.type() in (QEvent.Type.PaletteChange, QEvent.Type.StyleChange):
            self.restyle()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Leave the wheel to the page."""
        event.ignore()


class BarPlot(PlainPlot):
    """Horizontal bars, one row each, its name at the left and its figure at the end."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.getAxis("left").setStyle(tickLength=0)
        self.getAxis("left").setPen(None)
        self.getPlotItem().invertY(True)
        self.getViewBox().setDefaultPadding(0)

    def show_bars(
        self,
        names: Sequence[str],
        values: Sequence[float],
        brushes: Sequence[QColor],
        figures: Sequence[str],
        limits: tuple[float, float],
    ) -> None:
        """Draw rows from top to bottom.

        Parameters
        ----------
        names, values, brushes, figures
            (n,) one entry a row.
        limits
            Ends of the axis of values.
        """
        self.clear()
        self._texts = []
        n = len(names)
        rows, widths = np.arange(n), np.asarray(values, float)
        self.addItem(
            pg.BarGraphItem(
                x0=np.minimum(widths, 0), width=np.abs(widths), y=rows, height=0.72, brushes=list(brushes),
                pen=pg.mkPen(None),
            )
        )  # fmt: skip
        if limits[0] < 0:
            self.addItem(pg.InfiniteLine(0, 90, pen=pg.mkPen(self.ink, width=1)))
        span = limits[1] - limits[0]
        for row, (value, figure) in enumerate(zip(widths, figures, strict=True)):
            inside = value > limits[0] + 0.8 * span
            text = pg.TextItem(figure, color="#ffffff" if inside else self.ink, anchor=(1 if inside else 0, 0.5))
            text.setPos(max(value, 0), row)
            self.addItem(text)
            if not inside:
                self._texts.append(text)
        self.getAxis("left").setTicks([list(zip(rows.tolist(), names, strict=True))])
        self.setXRange(*limits, padding=0)
        self.setYRange(-0.6, n - 0.4, padding=0)
        self.setFixedHeight(_ROW * max(n, 1) + _AXIS)
        self.restyle()


class ProbabilityPlot(BarPlot):
    """Class probabilities, most probable first; classes that the model cannot rule out are full, others pale."""

    most = 8

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._bars: tuple[ProbabilityBar, ...] = ()
        self.getAxis("bottom").setTicks([[(0, "0"), (0.25, ""), (0.5, "0.5"), (0.75, ""), (0.985, "1")]])
        self.setValue(())

    def value(self) -> tuple[ProbabilityBar, ...]:
        """Return all bars."""
        return self._bars

    def setValue(self, bars: Sequence[ProbabilityBar]) -> None:
        """Show probabilities; members of the set are shown however many they are. The tooltip lists all."""
        self._bars = tuple(bars)
        shown = [b for i, b in enumerate(self._bars) if i < self.most or b.in_set]
        brushes = []
        for bar in shown:
            colour = QColor(bar.colour)
            colour.setAlpha(255 if bar.in_set else 90)
            brushes.append(colour)
        names = [f"● {b.name}" if b.in_set else b.name for b in shown]
        self.show_bars(
            names, [b.probability for b in shown], brushes, [f" {b.probability:.2f} " for b in shown], (0, 1)
        )
        self.setToolTip("\n".join(f"{b.name}: {b.probability:.3f}" for b in self._bars))
        self.setVisible(bool(shown))


class AttributionPlot(BarPlot):
    """Genes that speak for the class (right) and against it (left), strongest first."""

    most = 20

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._view: AttributionView | None = None
        self.setValue(None)

    def value(self) -> AttributionView | None:
        """Return what is shown."""
        return self._view

    def setValue(self, view: AttributionView | None) -> None:
        """Show attributions; None empties the plot."""
        self._view = view
        genes: Sequence[GeneBar] = () if view is None else view.genes[: self.most]
        values = [g.value for g in genes]
        most = max((abs(v) for v in values), default=1.0) or 1.0
        low = -1.3 * most if any(v < 0 for v in values) else 0.0
        figures = [f" {v:+.2g}" for v in values]
        brushes = [QColor(_UP if v > 0 else _DOWN) for v in values]
        self.show_bars([g.gene for g in genes], values, brushes, figures, (low, 1.3 * most))
        self.setToolTip("\n".join(f"{g.gene}: {g.value:+.4g} {g.text}".rstrip() for g in genes))
        self.setVisible(bool(genes))


def plain(plot: PlainPlot) -> PlainPlot:
    """Return a plot that takes no mouse at all, so that clicks and the wheel reach the page."""
    plot.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents, True)
    return plot
