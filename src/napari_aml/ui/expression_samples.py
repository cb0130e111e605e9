"""The sample chooser: a search line over a list of samples. A file of thousands stays quick: it is a Qt model."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import QAbstractListModel, QModelIndex, QSize, QSortFilterProxyModel, Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPainter, QPixmap
from qtpy.QtWidgets import QAbstractItemView, QLabel, QLineEdit, QListView, QVBoxLayout, QWidget

from napari_aml.ui.expression_view import SampleRow

#: Role under which a row's searched text lies: name and subtype.
_SEARCHED = int(Qt.ItemDataRole.UserRole) + 1


@functools.cache
def _dot(colour: str) -> QIcon:
    """Return a small disc of a colour."""
    side = 24  # drawn large, shown small: sharp on screens with many pixels
    picture = QPixmap(side, side)
    picture.fill(Qt.GlobalColor.transparent)
    painter = QPainter(picture)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(colour))
    painter.drawEllipse(2, 2, side - 4, side - 4)
    painter.end()
    return QIcon(picture)


class SampleModel(QAbstractListModel):
    """Samples with their calls."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._rows: tuple[SampleRow, ...] = ()

    def rows(self) -> tuple[SampleRow, ...]:
        """Return the samples."""
        return self._rows

    def set_rows(self, rows: Sequence[SampleRow]) -> None:
        """Show samples; where the names stay, the view keeps its place."""
        rows = tuple(rows)
        if rows and [r.name for r in rows] == [r.name for r in self._rows]:
            self._rows = rows
            self.dataChanged.emit(self.index(0), self.index(len(rows) - 1))
            return
        self.beginResetModel()
        self._rows = rows
        self.endResetModel()

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Number of samples."""
        return 0 if parent is not None and parent.isValid() else len(self._rows)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return what a row shows."""
        if not index.isValid():
            return None
        row = self._rows[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            if not row.subtype:
                return row.name
            figure = "" if math.isnan(row.probability) else f"  {row.probability:.2f}"
            return f"{row.name}   ·   {row.subtype}{figure}"
        if role == Qt.ItemDataRole.DecorationRole:
            return _dot(row.level.colour)
        if role == Qt.ItemDataRole.ToolTipRole:
            return f"{row.name}: quality control {row.level.word}"
        if role == _SEARCHED:
            return f"{row.name} {row.subtype}"
        return None


class SampleChooser(QWidget):
    """Search line, list, how many are shown."""

    sampleChosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.model = SampleModel(self)
        self._filter = QSortFilterProxyModel(self)
        self._filter.setSourceModel(self.model)
        self._filter.setFilterRole(_SEARCHED)
        self._filter.setFilterCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search samples or subtypes")
        self.search.setClearButtonEnabled(True)
        self.list = QListView()
        self.list.setModel(self._filter)
        self.list.setUniformItemSizes(True)
        self.list.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.list.setIconSize(QSize(10, 10))
        self.list.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.list.setMinimumHeight(96)
        self.count = QLabel()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        layout.addWidget(self.search)
        layout.addWidget(self.list, 1)
        layout.addWidget(self.count)
        self.search.textChanged.connect(self._on_search)
        self.list.selectionModel().currentChanged.connect(self._on_current)
        self._say()

    def value(self) -> str | None:
        """Return the chosen sample."""
        index = self._filter.mapToSource(self.list.currentIndex())
        return self.model.rows()[index.row()].name if index.isValid() else None

    def setValue(self, sample: str | None) -> None:
        """Choose a sample; a search that hides it is cleared. None chooses nothing."""
        names = [r.name for r in self.model.rows()]
        if sample not in names:
            self.list.setCurrentIndex(QModelIndex())
            return
        index = self._filter.mapFromSource(self.model.index(names.index(sample)))
        if not index.isValid():
            self.search.clear()
            index = self._filter.mapFromSource(self.model.index(names.index(sample)))
        self.list.setCurrentIndex(index)
        self.list.scrollTo(index)

    def setSamples(self, rows: Sequence[SampleRow]) -> None:
        """Offer samples; the chosen one stays chosen where it is still there."""
        chosen = self.value()
        self.model.set_rows(rows)
        self._say()
        if chosen is not None and self.value() is None:
            self.setValue(chosen)

    def _on_search(self, text: str) -> None:
        self._filter.setFilterFixedString(text.strip())
        self._say()

    def _on_current(self, current: QModelIndex, previous: QModelIndex) -> None:
        sample = self.value()
        if sample is not None:
            self.sampleChosen.emit(sample)

    def _say(self) -> None:
        there, shown = self.model.rowCount(), self._filter.rowCount()
        if not there:
            self.count.setText("No samples yet.")
        elif shown == there:
            self.count.setText(f"{there} sample{'s' if there != 1 else ''}")
        else:
            self.count.setText(f"{shown} of {there} samples")
