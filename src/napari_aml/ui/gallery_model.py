"""The gallery's cells as a Qt model: rows in the order of a query, kept in step with the state."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import (
    QAbstractListModel,
    QByteArray,
    QMimeData,
    QModelIndex,
    QPersistentModelIndex,
    Qt,
    QTimer,
    Signal,
)

from napari_aml.taxonomy import cell_class
from napari_aml.ui.gallery_cells import GalleryCells
from napari_aml.ui.gallery_query import GalleryQuery, Group, order
from napari_aml.ui.listening import Listening
from napari_aml.ui.state import UNCLASSIFIED, ReviewState, RowsChanged

if TYPE_CHECKING:
    from napari_aml.analysis import Analysis

#: What a drag carries: uids, one a line.
MIME = "application/x-napari-aml-cells"
#: A decided cell stays where it is for this long, so that the eye finds it; then it goes to its group.
_SETTLE_MS = 350


class GalleryModel(QAbstractListModel):
    """Cells in the order of a `GalleryQuery`.

    Parameters
    ----------
    state
        Of the review.
    listening
        Holds what is connected to the state.

    Attributes
    ----------
    reordered
        Emitted when rows were laid out anew; `groups` and all rows may be others.
    counted
        Emitted when the numbers of cells in the classes changed.
    """

    reordered = Signal()
    counted = Signal()

    def __init__(self, state: ReviewState, listening: Listening, parent: Any = None) -> None:
        super().__init__(parent)
        self.state = state
        self.query = GalleryQuery()
        self.cells = GalleryCells(state, [])
        self.order = np.zeros(0, int)
        self.groups: list[Group] = []
        self._row_of: np.ndarray = np.zeros(0, int)
        self._soon = QTimer(self, singleShot=True, interval=_SETTLE_MS)
        self._soon.timeout.connect(self.rearrange)
        listening.connect(state.events.analysis, self._on_analysis)
        listening.connect(state.events.others, self._on_analysis)
        listening.connect(state.events.queue, self._on_queue)
        listening.connect(state.events.only, lambda _: self.rearrange())
        listening.connect(state.rows_changed, self._on_rows)
        self._on_analysis()

    # ---- Qt's side -----------------------------------------------------------------------------------------

    def rowCount(self, parent: QModelIndex | QPersistentModelIndex | None = None) -> int:
        """Number of cells shown."""
        return 0 if parent is not None and parent.isValid() else len(self.order)

    def data(self, index: QModelIndex | QPersistentModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return words about a cell; the delegate draws from `cells` directly."""
        if not index.isValid():
            return None
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            return self.caption(index.row())
        if role == Qt.ItemDataRole.ToolTipRole:
            return self.describe(index.row())
        return None

    def flags(self, index: QModelIndex | QPersistentModelIndex) -> Qt.ItemFlag:
        """Every cell can be chosen and dragged."""
        return super().flags(index) | Qt.ItemFlag.ItemIsDragEnabled

    def mimeTypes(self) -> list[str]:
        """Drags carry uids."""
        return [MIME]

    def mimeData(self, indexes: Sequence[QModelIndex]) -> QMimeData:
        """Return the uids of the dragged cells."""
        data = QMimeData()
        data.setData(MIME, QByteArray("\n".join(self.uid(i.row()) for i in indexes).encode()))
        return data

    # ---- rows ----------------------------------------------------------------------------------------------

    def uid(self, row: int) -> str:
        """Return the uid of the cell in a row."""
        return self.cells.uids[int(self.order[row])]

    def row_of(self, uid: str | None) -> int | None:
        """Return the row of a cell, None when it is not shown."""
        i = self.cells.find(uid)
        if i is None or self._row_of[i] < 0:
            return None
        return int(self._row_of[i])

    def rows_of(self, uids: Iterable[str]) -> np.ndarray:
        """Return the rows of those cells that are shown, sorted."""
        found = self.cells.find_all(list(uids))
        rows = self._row_of[found[found >= 0]]
        return np.sort(rows[rows >= 0])

    def caption(self, row: int) -> str:
        """Return a few words to stand below a cell's picture."""
        i = int(self.order[row])
        code = self.cells.codes[i] or "?"
        confidence = self.cells.confidence[i]
        return code if self.cells.decided[i] or not np.isfinite(confidence) else f"{code} {100 * confidence:.0f} %"

    def describe(self, row: int) -> str:
        """Return what is known about a cell, line by line."""
        i, cells, state = int(self.order[row]), self.cells, self.state
        uid = cells.uids[i]
        code, model = str(cells.codes[i]), str(cells.model_codes[i])
        lines = [f"{code} · {cell_class(code).name}" if code else "not classified"]
        if cells.decided[i]:
            lines[0] += " · decided"
        if model != UNCLASSIFIED:
            lines.append(f"model: {model} {100 * cells.confidence[i]:.0f} %, margin {100 * cells.margin[i]:.0f} points")
        elif state.blinded:
            lines.append("blinded reading: the model's word comes after yours")
        lines += cells.trust.words(i)
        if uid in cells.why:
            lines.append(f"in the queue: {self.why(i)}")
        if tags := state.tags.get(uid):
            lines.append("tags: " + ", ".join(sorted(tags)))
        if note := state.notes.get(uid):
            lines.append(f"note: {note}")
        lines.append(f"{cells.area[i]:.0f} µm², {uid}")
        return "\n".join(lines)

    def why(self, i: int) -> str:
        """Return why a cell (by its index) is in the queue, as far as it may be said; empty when it is not."""
        uid = self.cells.uids[i]
        if uid not in self.cells.why:
            return ""
        return self.cells.why[uid] if self.state.shows_model(uid) else "to be read"

    # ---- order ---------------------------------------------------------------------------------------------

    def setQuery(self, query: GalleryQuery) -> None:
        """Show the cells of a query."""
        if query != self.query:
            self.query = query
            self.rearrange()

    def rearrange(self, cells: GalleryCells | None = None) -> None:
        """Lay out the rows anew, of other cells where they are given."""
        self._soon.stop()
        same = cells is None
        cells = self.cells if cells is None else cells
        shown, groups = order(cells, self.query)
        if same and np.array_equal(shown, self.order) and groups == self.groups:
            return
        row_of = np.full(len(cells), -1, int)
        row_of[shown] = np.arange(len(shown))
        self.beginResetModel()
        self.cells, self.order, self.groups, self._row_of = cells, shown, groups, row_of
        self.endResetModel()
        self.reordered.emit()

    # ---- following the state -------------------------------------------------------------------------------

    def analyses(self) -> list[Analysis]:
        """Return what the gallery covers: the slide under review first, then the others of the session."""
        current = self.state.analysis
        others = [a for a in self.state.others if current is None or a.cells.slide_id != current.cells.slide_id]
        return others if current is None else [current, *others]

    def _on_analysis(self, *_: Any) -> None:
        self.rearrange(GalleryCells.shared(self.state, self.analyses()))
        self.counted.emit()

    def _on_queue(self, *_: Any) -> None:
        self.cells.read_queue()
        self.rearrange()

    def _on_rows(self, what: RowsChanged) -> None:
        if what.masks:
            self._on_analysis()
            return
        if self.state.analysis is not None:
            self.cells.replace_analysis(self.state.analysis)
        rows = self._row_of[self.cells.follow(what)]
        rows = rows[rows >= 0]
        if len(rows):
            self.dataChanged.emit(self.index(int(rows.min())), self.index(int(rows.max())))
        if what.uids:
            self._soon.start()
            self.counted.emit()
