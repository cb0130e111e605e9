"""Live curves of a training: loss and figures on the watched cells, epoch by epoch."""

from __future__ import annotations

from collections.abc import Sequence

import pyqtgraph as pg
from qtpy.QtCore import QSize
from qtpy.QtWidgets import QWidget

from napari_aml.review.teach import EpochDone
from napari_aml.ui.expression_plots import PlainPlot

#: Curve → colour and legend. Loss stands on the left axis, shares (0…1) are drawn in a plot of their own.
_LOSS = {"loss": ("#0072b2", "learning"), "watched": ("#d55e00", "watched cells")}
_SHARES = {"accuracy": ("#009e73", "right"), "macro_f1": ("#cc79a7", "macro-F1")}


class Curves(QWidget):
    """Two small plots side by side: loss, and shares on the watched cells."""

    def __init__(self, parent: QWidget | None = None) -> None:
        from qtpy.QtWidgets import QHBoxLayout

        super().__init__(parent)
        self._epochs: list[EpochDone] = []
        self.loss, self.shares = _Plot("loss"), _Plot("share right")
        self.shares.setYRange(0, 1, padding=0.02)
        self._lines = {
            name: plot.line(colour, title)
            for plot, curves in ((self.loss, _LOSS), (self.shares, _SHARES))
            for name, (colour, title) in curves.items()
        }
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.loss)
        layout.addWidget(self.shares)
        self.setFixedHeight(150)

    def value(self) -> list[EpochDone]:
        """Return the epochs shown."""
        return list(self._epochs)

    def setValue(self, epochs: Sequence[EpochDone]) -> None:
        """Show epochs."""
        self._epochs = list(epochs)
        self._draw()

    def add(self, epoch: EpochDone) -> None:
        """Add an epoch; one that was there already (a resumed run) is replaced."""
        self._epochs = [e for e in self._epochs if e.epoch < epoch.epoch] + [epoch]
        self._draw()

    def _draw(self) -> None:
        for name, line in self._lines.items():
            key = "loss" if name == "watched" else name
            points = [
                (e.epoch, e.loss if name == "loss" else e.figures[key])
                for e in self._epochs if name == "loss" or key in e.figures
            ]  # fmt: skip
            line.setData([x for x, _ in points], [y for _, y in points])


class _Plot(PlainPlot):
    def __init__(self, title: str) -> None:
        self._title, self.legend = title, None
        super().__init__()
        self.getAxis("left").setWidth(32)
        self.legend = self.addLegend(offset=(-2, 2), labelTextSize="7pt")
        self.restyle()

    def restyle(self) -> None:
        """Take the colours of the window, in title and legend, too."""
        super().restyle()
        self.setTitle(self._title, size="9pt", color=self.ink)
        if self.legend is not None:
            self.legend.setLabelTextColor(self.ink)

    def showEvent(self, event: object) -> None:
        """Take the colours of the window that it stands in by now."""
        super().showEvent(event)
        self.restyle()

    def line(self, colour: str, title: str) -> pg.PlotDataItem:
        return self.plot(
            [], [], pen=pg.mkPen(colour, width=2), symbol="o", symbolSize=4, symbolBrush=colour, symbolPen=None,
            name=title,
        )  # fmt: skip

    def sizeHint(self) -> QSize:
        """Half a dock."""
        return QSize(150, 150)
