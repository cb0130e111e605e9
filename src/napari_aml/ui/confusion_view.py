"""A confusion matrix that is looked into: each field opens its cells."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from qtpy.QtCore import QRect, QSize, Qt, Signal
from qtpy.QtGui import QColor, QMouseEvent, QPainter, QPalette
from qtpy.QtWidgets import QSizePolicy, QToolTip, QWidget

from napari_aml.taxonomy import cell_class

_SIDE, _HEAD = 26, 40


class ConfusionView(QWidget):
    """Rows are people's classes, columns the model's; right answers on the diagonal.

    Attributes
    ----------
    chosen
        Emitted with (true code, said code) of a field that holds cells.
    """

    chosen = Signal(str, str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._codes: tuple[str, ...] = ()
        self._matrix = np.zeros((0, 0), int)
        self._at: tuple[int, int] | None = None
        self.setMouseTracking(True)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)

    def value(self) -> tuple[tuple[str, ...], np.ndarray]:
        """Return class codes and the matrix."""
        return self._codes, self._matrix

    def setValue(self, codes: Sequence[str], matrix: np.ndarray) -> None:
        """Show a matrix int (k, k), true x said."""
        self._codes, self._matrix, self._at = tuple(codes), np.asarray(matrix), None
        self.setFixedSize(self.sizeHint())
        self.update()

    def sizeHint(self) -> QSize:
        """As large as its classes need."""
        side = _HEAD + _SIDE * len(self._codes) + 2
        return QSize(max(side, 80), max(side, 40))

    def field(self, x: int, y: int) -> tuple[int, int] | None:
        """Return (row, column) at a point of the widget, None outside of the fields."""
        column, row = (x - _HEAD) // _SIDE, (y - _HEAD) // _SIDE
        inside = 0 <= row < len(self._codes) and 0 <= column < len(self._codes)
        return (row, column) if inside else None

    def centre(self, row: int, column: int) -> tuple[int, int]:
        """Return the middle of a field, (x, y) in the widget."""
        return _HEAD + column * _SIDE + _SIDE // 2, _HEAD + row * _SIDE + _SIDE // 2

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Choose a field that holds cells."""
        at = self.field(int(event.position().x()), int(event.position().y()))
        if at is not None and self._matrix[at]:
            self._at = at
            self.update()
            self.chosen.emit(self._codes[at[0]], self._codes[at[1]])

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Say what a field holds."""
        at = self.field(int(event.position().x()), int(event.position().y()))
        if at is None:
            QToolTip.hideText()
            return
        true, said = (cell_class(self._codes[i]).name for i in at)
        n, of = int(self._matrix[at]), int(self._matrix[at[0]].sum())
        text = f"{n} of {of} cells that people call {true}: the model says {said}"
        QToolTip.showText(event.globalPosition().toPoint(), text, self)

    def paintEvent(self, event: object) -> None:
        """Draw."""
        painter = QPainter(self)
        ink = self.palette().color(QPalette.ColorRole.WindowText)
        painter.setPen(ink)
        shares = self._matrix / np.maximum(self._matrix.sum(1, keepdims=True), 1)
        centre = Qt.AlignmentFlag.AlignCenter
        for i, code in enumerate(self._codes):
            painter.drawText(QRect(0, _HEAD + i * _SIDE, _HEAD - 4, _SIDE), Qt.AlignmentFlag.AlignVCenter, code)
            painter.save()
            painter.translate(_HEAD + i * _SIDE + _SIDE // 2, _HEAD - 4)
            painter.rotate(-60)
            painter.drawText(QRect(0, -9, _HEAD, 18), Qt.AlignmentFlag.AlignVCenter, code)
            painter.restore()
            for j in range(len(self._codes)):
                place = QRect(_HEAD + j * _SIDE, _HEAD + i * _SIDE, _SIDE - 1, _SIDE - 1)
                colour = QColor("#2ca02c" if i == j else "#d62728")
                colour.setAlpha(int(25 + 200 * shares[i, j]) if self._matrix[i, j] else 12)
                painter.fillRect(place, colour)
                if self._matrix[i, j]:
                    painter.drawText(place, centre, str(int(self._matrix[i, j])))
                if self._at == (i, j):
                    painter.drawRect(place.adjusted(0, 0, -1, -1))
