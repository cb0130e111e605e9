"""The sample chooser: a search line over a list of samples. A file of thousands stays quick: it is a Qt model."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import (
    QAbstractListModel,
    QModelIndex,
    QPersistentModelIndex,
    QSize,
    QSortFilterProxyModel,
    Qt,
    Signal,
)
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

    def rowCount(self, parent: QModelIndex | QPersistentModelIndex | None = None) -> int:
        """Number of samples."""
        return 0 if parent is not None and parent.isValid() else len(self._rows)

    def data(self, index: QModelIndex | QPersistentModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
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
        self._chosen: str | None = None
        self._searching = False
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
        self.list.setMinimumHeight(48)  # three samples: a gallery below the dock leaves no more on a laptop
        self.count = QLabel()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        layout.addWidget(self.search)
        layout.addWidget(self.list, 1)
        layout.addWidget(self.count)
        self.search.textChanged.connect(self._on_search)
        self.search.returnPressed.connect(self._on_return)
        self.search.installEventFilter(self)
        self.list.selectionModel().currentChanged.connect(self._on_current)
        self._say()

    def value(self) -> str | None:
        """Return the chosen sample; it stays chosen while a search hides it."""
        return self._chosen

    def setValue(self, sample: str | None) -> None:
        """Choose another sample; a search that hides it is cleared. None chooses nothing."""
        if sample not in [r.name for r in self.model.rows()]:
            sample = None
        if sample == self._chosen:
            return
        self._chosen = sample
        if sample is not None and not self._place().isValid():
            self.search.clear()
        self._mark()
        if sample is not None:
            self.sampleChosen.emit(sample)

    def setSamples(self, rows: Sequence[SampleRow]) -> None:
        """Offer samples; the chosen one stays chosen where it is still there."""
        self.model.set_rows(rows)
        if self._chosen not in [r.name for r in rows]:
            self._chosen = None
        self._say()
        self._mark()

    def eventFilter(self, watched: Any, event: Any) -> bool:
        """Go from the search into the list with the arrow down."""
        if watched is self.search and event.type() == event.Type.KeyPress and event.key() == Qt.Key.Key_Down:
            self._into_list()
            return True
        return super().eventFilter(watched, event)

    def _on_search(self, text: str) -> None:
        # Qt makes a neighbour the current row where the current one is hidden: looking for a sample chooses none.
        self._searching = True
        self._filter.setFilterFixedString(text.strip())
        self._searching = False
        self._say()
        self._mark()

    def _on_return(self) -> None:
        if self.search.text().strip():
            self._into_list()

    def _into_list(self) -> None:
        """Give the keys to the list; where the chosen sample is not shown, choose the first one that is."""
        if not self._filter.rowCount():
            return
        self.list.setFocus()
        if not self._place().isValid():
            self.list.setCurrentIndex(self._filter.index(0, 0))

    def _place(self) -> QModelIndex:
        """Return where the chosen sample is in the list, invalid where it is not shown."""
        names = [r.name for r in self.model.rows()]
        if self._chosen not in names:
            return QModelIndex()
        return self._filter.mapFromSource(self.model.index(names.index(self._chosen)))

    def _mark(self) -> None:
        """Let the list mark the chosen sample where it is shown, else none."""
        place = self._place()
        self._searching = True
        if place.isValid():
            self.list.setCurrentIndex(place)
            self.list.scrollTo(place)
        else:
            self.list.setCurrentIndex(QModelIndex())
            self.list.clearSelection()
        self._searching = False

    def _on_current(self, current: QModelIndex, previous: QModelIndex) -> None:
        if self._searching or not current.isValid():
            return
        self._chosen = self.model.rows()[self._filter.mapToSource(current).row()].name
        self.sampleChosen.emit(self._chosen)

    def _say(self) -> None:
        there, shown = self.model.rowCount(), self._filter.rowCount()
        if not there:
            self.count.setText("No samples yet.")
        elif shown == there:
            self.count.setText(f"{there} sample{'s' if there != 1 else ''}")
        else:
            self.count.setText(f"{shown} of {there} samples")
