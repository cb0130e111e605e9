"""The classes beside the gallery: counts, keys, a filter by click, a target for dragged cells."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QBrush, QColor, QPixmap
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTreeWidget, QTreeWidgetItem, QWidget

from napari_aml.taxonomy import CLASSES
from napari_aml.ui.gallery_model import MIME
from napari_aml.ui.shortcuts import CLASS_COMMAND, KeyTable

_ALL = "all cells"
#: Of classes without cells; read on dark and on light ground.
_FAINT = QColor(128, 128, 128)


class ClassStrip(QTreeWidget):
    """All classes, one a line.

    Parameters
    ----------
    key_table
        The keys.

    Attributes
    ----------
    filtered
        Emitted with the codes (frozenset) that were clicked; None for all.
    dropped
        Emitted with uids (list) and the code that they were dropped on.
    """

    filtered = Signal(object)
    dropped = Signal(object, str)

    def __init__(self, key_table: KeyTable, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._key_table = key_table
        self.setHeaderLabels(["class", "n", "✓", "key"])
        self.setRootIsDecorated(False)
        self.setUniformRowHeights(True)
        self.setIndentation(0)
        self.setIconSize(QSize(10, 10))
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setAcceptDrops(True)
        self.setDragDropMode(QAbstractItemView.DragDropMode.DropOnly)
        self.setToolTip("Click to see a class alone (Ctrl for several); drag cells onto a class to give it to them.")
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        header = self.header()
        header.setStretchLastSection(False)
        header.setMinimumSectionSize(20)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.setMinimumWidth(150)
        self._items: dict[str, QTreeWidgetItem] = {}
        self._add(_ALL, _ALL)
        for c in CLASSES:
            item = self._add(c.code, c.code)
            pixmap = QPixmap(10, 10)
            pixmap.fill(QColor(c.colour))
            item.setIcon(0, pixmap)
            item.setToolTip(0, f"{c.name} ({c.role.value})")
        self.show_keys()
        self.itemSelectionChanged.connect(self._on_selection)

    def _add(self, code: str, text: str) -> QTreeWidgetItem:
        item = QTreeWidgetItem([text, "", "", ""])
        item.setData(0, Qt.ItemDataRole.UserRole, code)
        for column in (1, 2):
            item.setTextAlignment(column, Qt.AlignmentFlag.AlignRight)
        item.setTextAlignment(3, Qt.AlignmentFlag.AlignCenter)
        self.addTopLevelItem(item)
        self._items[code] = item
        return item

    def sizeHint(self) -> QSize:
        """Narrow."""
        return QSize(180, 200)

    def setCounts(self, counts: dict[str, tuple[int, int]]) -> None:
        """Show code → (cells, decided ones)."""
        whole = (sum(n for n, _ in counts.values()), sum(d for _, d in counts.values()))
        for code in counts.keys() - self._items.keys() - {""}:
            self._add(code, code)
        for code, item in self._items.items():
            n, decided = whole if code == _ALL else counts.get(code, (0, 0))
            for column, text in ((1, str(n) if n else ""), (2, str(decided) if decided else "")):
                if item.text(column) != text:
                    item.setText(column, text)
            # The window's colours hold where there are cells: they change with the theme.
            item.setData(0, Qt.ItemDataRole.ForegroundRole, None if n else QBrush(_FAINT))

    def counts(self) -> dict[str, tuple[str, str]]:
        """Return code → the counts as they are shown."""
        return {code: (item.text(1), item.text(2)) for code, item in self._items.items()}

    def show_keys(self) -> None:
        """Show the keys in force."""
        for code, item in self._items.items():
            if code != _ALL and f"{CLASS_COMMAND}{code}" in {c.id for c in self._key_table}:
                item.setText(3, self._key_table.key(f"{CLASS_COMMAND}{code}").lower())

    def setCodes(self, codes: frozenset[str] | None) -> None:
        """Show which classes are filtered, without announcing it."""
        self.blockSignals(True)
        self.clearSelection()
        for code in codes or ():
            if code in self._items:
                self._items[code].setSelected(True)
        self.blockSignals(False)

    def item_of(self, code: str) -> QTreeWidgetItem:
        """Return the line of a class."""
        return self._items[code]

    def _on_selection(self) -> None:
        codes = {item.data(0, Qt.ItemDataRole.UserRole) for item in self.selectedItems()}
        self.filtered.emit(None if not codes or _ALL in codes else frozenset(codes))

    # ---- drops ---------------------------------------------------------------------------------------------

    def dragEnterEvent(self, event: Any) -> None:
        """Take cells only."""
        if event.mimeData().hasFormat(MIME):
            event.acceptProposedAction()

    def dragMoveEvent(self, event: Any) -> None:
        """Take them on a class only."""
        item = self.itemAt(event.position().toPoint())
        if item is not None and item.data(0, Qt.ItemDataRole.UserRole) != _ALL and event.mimeData().hasFormat(MIME):
            event.acceptProposedAction()
        else:
            event.ignore()

    def dropEvent(self, event: Any) -> None:
        """Give the dropped cells the class."""
        item = self.itemAt(event.position().toPoint())
        code = None if item is None else item.data(0, Qt.ItemDataRole.UserRole)
        if code in (None, _ALL) or not event.mimeData().hasFormat(MIME):
            event.ignore()
            return
        uids = bytes(event.mimeData().data(MIME)).decode().split("\n")
        event.acceptProposedAction()
        self.dropped.emit([uid for uid in uids if uid], code)
