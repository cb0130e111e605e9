"""The differential as a live table: a Qt model over the data frame of `review.differential`, a view, a summary."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt, Signal
from qtpy.QtGui import QColor, QFont
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from napari_aml.review.counting import CountingSettings
from napari_aml.taxonomy import cell_class
from napari_aml.ui.counting_panel import CountingPanel

if TYPE_CHECKING:
    import pandas as pd

_HEADERS = ("", "Class", "n", "✓", "%", "interval")
#: What the last column shows.
INTERVAL, CORRECTED, PEOPLE = "exact interval", "corrected for mistakes", "confirmed cells alone"


class DifferentialModel(QAbstractTableModel):
    """Read-only rows of a differential: code, name, count, confirmed, percent, and one column of a person's choice."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._rows: list[dict[str, Any]] = []
        self._details: dict[str, dict[str, Any]] = {}
        self._shown = INTERVAL
        self._confidence = 0.95

    def setShown(self, what: str, confidence: float = 0.95) -> None:
        """Choose what the last column shows: `INTERVAL`, `CORRECTED` or `PEOPLE`."""
        self._shown, self._confidence = what, confidence
        self.headerDataChanged.emit(Qt.Orientation.Horizontal, len(_HEADERS) - 1, len(_HEADERS) - 1)
        self._repaint()

    def setDetails(self, table: pd.DataFrame | None) -> None:
        """Take what is counted more slowly: rows of `napari_aml.review.counted.Count.side_by_side`."""
        self._details = {} if table is None else {row["code"]: row for row in table.to_dict("records")}
        self._repaint()

    def _repaint(self) -> None:
        if self._rows:
            last = len(_HEADERS) - 1
            self.dataChanged.emit(self.index(0, last), self.index(len(self._rows) - 1, last))

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

    def rowCount(self, parent: QModelIndex | QPersistentModelIndex | None = None) -> int:
        """Number of rows."""
        return 0 if parent is not None and parent.isValid() else len(self._rows)

    def columnCount(self, parent: QModelIndex | QPersistentModelIndex | None = None) -> int:
        """Number of columns."""
        return 0 if parent is not None and parent.isValid() else len(_HEADERS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return a column's title."""
        if role == Qt.ItemDataRole.DisplayRole and orientation == Qt.Orientation.Horizontal:
            if section < len(_HEADERS) - 1:
                return _HEADERS[section]
            return {
                INTERVAL: f"{100 * self._confidence:g} % interval", CORRECTED: "corrected %", PEOPLE: "confirmed %",
            }[self._shown]  # fmt: skip
        if role == Qt.ItemDataRole.ToolTipRole and orientation == Qt.Orientation.Horizontal:
            return {3: "Confirmed by a person", 2: "A person's word before the model's"}.get(section)
        return None

    def data(self, index: QModelIndex | QPersistentModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
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
            more = self._details.get(row["code"], {})
            if index.column() == len(_HEADERS) - 1 and self._shown == CORRECTED and more.get("not_corrected"):
                return f"Not corrected: {more['not_corrected']}."
            of = f"{row['count']} of {row['total']} {row['of']}, {row['confirmed']} confirmed by a person"
            inside = row.get("cut_offs_in_interval")
            return f"{row['code']} {row['name']}: {of}" + (f"; the interval includes {inside}" if inside else "")
        return None

    def _text(self, row: dict[str, Any], column: int, is_sum: bool) -> str:
        if column == 0:
            # A sum's name runs over both columns.
            return str(row["name"]) if is_sum else str(row["code"])
        if column == 1:
            return "" if is_sum else str(row["name"])
        if column in (2, 3):
            return str(row["count"] if column == 2 else row["confirmed"])
        if column == 4:
            return _number(row["percent"])
        if self._shown == INTERVAL:
            return _range(row["low"], row["high"])
        more = self._details.get(row["code"])
        if more is None:
            return "…"
        names = ("corrected", "corrected_low", "corrected_high")
        if self._shown == PEOPLE:
            names = ("people_percent", "people_low", "people_high")
        value, low, high = (more[name] for name in names)
        return f"{_number(value)} ({_range(low, high)})" if _range(low, high) != "–" else "–"


def _number(value: float | None) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:.1f}"


def _range(low: float | None, high: float | None) -> str:
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return "–"
    return f"{low:.1f} – {high:.1f}"


class DifferentialView(QWidget):
    """The table with what it says in words above it, the rules it was counted by and advice below.

    Attributes
    ----------
    settingsChanged
        Emitted when a person changed a counting rule.
    """

    settingsChanged = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.model = DifferentialModel(self)
        self.summary = QLabel("No cells yet.")
        self.summary.setWordWrap(True)
        self.shown = QComboBox()
        for what in (INTERVAL, CORRECTED, PEOPLE):
            self.shown.addItem(what, what)
        self.shown.setToolTip("What the last column shows.")
        self.rules = CountingPanel()
        self.details = QLabel()
        self.details.setWordWrap(True)
        self.details.hide()
        self.table = QTableView()
        self.table.setModel(self.model)
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setDefaultSectionSize(22)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setShowGrid(False)
        self.table.setMinimumHeight(150)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Fixed)
        header.resizeSection(0, 58)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        header.setMinimumSectionSize(24)
        layout = self._layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        choice = QHBoxLayout()
        choice.addWidget(QLabel("Last column"))
        choice.addWidget(self.shown, 1)
        layout.addWidget(self.summary)
        layout.addLayout(choice)
        layout.addWidget(self.table, 1)
        layout.addWidget(self.details)
        layout.addWidget(self.rules)
        self.shown.currentIndexChanged.connect(self._show)
        self.rules.changed.connect(self._show)
        self.rules.changed.connect(self.settingsChanged)

    def addBelow(self, widget: QWidget) -> None:
        """Put a widget below everything else."""
        self._layout.addWidget(widget)

    def settings(self) -> CountingSettings:
        """Return the counting rules."""
        return self.rules.value()

    def setDetails(self, table: pd.DataFrame | None, words: str = "", more: str = "") -> None:
        """Show what takes longer to count, and advice; `more` is what the pointer brings up over it."""
        self.model.setDetails(table)
        self.details.setText(words)
        self.details.setToolTip(more)
        self.details.setVisible(bool(words))

    def _show(self, *_: Any) -> None:
        self.model.setShown(self.shown.currentData(), self.rules.value().confidence)

    def setValue(self, table: pd.DataFrame | None, summary: str) -> None:
        """Show a differential and the words that go with it."""
        self.model.setValue(table)
        self.table.clearSpans()
        for i, row in enumerate(self.model.value()):
            if row["role"] == "sum":
                self.table.setSpan(i, 0, 1, 2)
        self.summary.setText(summary)
