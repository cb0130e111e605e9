"""Class probabilities as bars in the classes' colours."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QRect, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPalette
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_aml.ui.cell_view import Bar

_ROW, _MOST = 20, 6


class ClassBars(QWidget):
    """The most probable classes, one row each: code, name, bar, percent."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._bars: tuple[Bar, ...] = ()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def value(self) -> tuple[Bar, ...]:
        """Return all bars, most probable first."""
        return self._bars

    def setValue(self, bars: Sequence[Bar]) -> None:
        """Show probabilities, most probable first; the tooltip lists all of them."""
        self._bars = tuple(bars)
        self.setToolTip("\n".join(f"{b.code}  {b.name}: {100 * b.probability:.1f} %" for b in self._bars))
        self.updateGeometry()
        self.update()

    def sizeHint(self) -> QSize:
        """As high as its rows."""
        return QSize(280, _ROW * max(1, min(len(self._bars), _MOST)) + 2)

    def minimumSizeHint(self) -> QSize:
        """Never squeezed."""
        return QSize(200, self.sizeHint().height())

    def paintEvent(self, event: object) -> None:
        """Draw."""
        painter = QPainter(self)
        text = self.palette().color(QPalette.ColorRole.WindowText)
        metrics = painter.fontMetrics()
        code_width = metrics.horizontalAdvance("MMMM")
        percent_width = metrics.horizontalAdvance("100 %") + 6
        if not self._bars:
            painter.setPen(text)
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, "not classified")
            return
        for i, bar in enumerate(self._bars[:_MOST]):
            top = i * _ROW
            line = QRect(0, top, self.width(), _ROW)
            full = QRect(code_width, top + 2, max(10, self.width() - code_width - percent_width), _ROW - 4)
            frame = QColor(text)
            frame.setAlpha(28)
            painter.fillRect(full, frame)
            colour = QColor(bar.colour)
            colour.setAlpha(200)
            painter.fillRect(
                QRect(full.left(), full.top(), round(full.width() * bar.probability), full.height()), colour
            )
            painter.setPen(text)
            painter.drawText(line, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, bar.code)
            name = metrics.elidedText(bar.name, Qt.TextElideMode.ElideRight, full.width() - 8)
            painter.drawText(full.adjusted(6, 0, 0, 0), Qt.AlignmentFlag.AlignVCenter, name)
            painter.drawText(
                line, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight, f"{100 * bar.probability:.0f} %"
            )
