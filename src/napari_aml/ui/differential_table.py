"""The differential as a live table: a Qt model over the data frame of `review.differential`, a view, a summary."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt
from qtpy.QtGui import QColor, QFont
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QLabel, QTableView, QVBoxLayout, QWidget

from napari_aml.taxonomy import cell_class

if TYPE_CHECKING:
    import pandas as pd

_HEADERS = ("", "Class", "n", "%", "95 % interval")


class DifferentialModel(QAbstractTableModel):
    """Read-only rows of a differential: code, name, count, percent, exact interval."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._rows: list[dict[str, Any]] = []

    def setValue(self, table: pd.DataFrame | None) -> None:
        """Show a differential; None empties the table."""
        rows = [] if table is None else table.to_dict("records")
        if len(rows) == len(self._rows) and rows:
            # The same classes: the view keeps its selection and place.
            self._rows = rows
            self.dataChanged.emit(self.index(0, 0), self.index(len(rows) - 1, len(_HEADERS) - 1))
            return
        self.beginResetModel()
        self._rows = rows
        self.endResetModel()

    def value(self) -> list[dict[str, Any]]:
        """Return the rows shown."""
        return self._rows

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Number of rows."""
        return 0 if parent is not None and parent.isValid() else len(self._rows)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        """Number of columns."""
        return 0 if parent is not None and parent.isValid() else len(_HEADERS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return a column's title."""
        if role == Qt.ItemDataRole.DisplayRole and orientation == Qt.Orientation.Horizontal:
            return _HEADERS[section]
        return None

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return what a cell of the table shows."""
        if not index.isValid():
            return None
        row, column = self._rows[index.row()], index.column()
        is_sum = row["role"] == "sum"
        if role == Qt.ItemDataRole.DisplayRole:
            return self._text(row, column, is_sum)
        if role == Qt.ItemDataRole.DecorationRole and column == 0 and not is_sum:
            return QColor(cell_class(row["code"]).colour)
        if role == Qt.ItemDataRole.TextAlignmentRole and column >= 2:
            return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        if role == Qt.ItemDataRole.ForegroundRole and row["count"] == 0:
            return QColor(128, 128, 128)
        if role == Qt.ItemDataRole.FontRole and is_sum:
            font = QFont()
            font.setBold(True)
            return font
        if role == Qt.ItemDataRole.ToolTipRole:
            of = f"{row['count']} of {row['total']} {row['of']}"
            inside = row.get("cut_offs_in_interval")
            return f"{row['code']} {row['name']}: {of}" + (f"; the interval includes {inside}" if inside else "")
        return None

    @staticmethod
    def _text(row: dict[str, Any], column: int, is_sum: bool) -> str:
        if column == 0:
            # A sum's name runs over both columns.
            return str(row["name"]) if is_sum else str(row["code"])
        if column == 1:
            return "" if is_sum else str(row["name"])
        if column == 2:
            return str(row["count"])
        numbers = [row["percent"]] if column == 3 else [row["low"], row["high"]]
        if any(v is None or math.isnan(v) for v in numbers):
            return "–"
        return " – ".join(f"{v:.1f}" for v in numbers)


class DifferentialView(QWidget):
    """The table with what it says in words above it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.model = DifferentialModel(self)
        self.summary = QLabel("No cells yet.")
        self.summary.setWordWrap(True)
        self.table = QTableView()
        self.table.setModel(self.model)
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setDefaultSectionSize(22)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setShowGrid(False)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Fixed)
        header.resizeSection(0, 66)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        header.setMinimumSectionSize(24)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.addWidget(self.summary)
        layout.addWidget(self.table, 1)

    def setValue(self, table: pd.DataFrame | None, summary: str) -> None:
        """Show a differential and the words that go with it."""
        self.model.setValue(table)
        self.table.clearSpans()
        for i, row in enumerate(self.model.value()):
            if row["role"] == "sum":
                self.table.setSpan(i, 0, 1, 2)
        self.summary.setText(summary)
