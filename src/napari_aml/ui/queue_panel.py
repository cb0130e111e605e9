"""The queue: a choice of orders, what comes next, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import QAbstractListModel, QModelIndex, QPersistentModelIndex, Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListView,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_aml.review.queue import ORDERS
from napari_aml.ui.listening import Listening
from napari_aml.ui.queue_sources import SecondModel, SpeakingCells
from napari_aml.ui.state import ReviewState


class QueueModel(QAbstractListModel):
    """The cells to look at next, one row each: place and reason."""

    def __init__(self, state: ReviewState, parent: Any = None) -> None:
        super().__init__(parent)
        self._state = state
        self._entries: list[tuple[str, str]] = []

    def setValue(self, entries: Sequence[tuple[str, str]]) -> None:
        """Show a queue."""
        self.beginResetModel()
        self._entries = list(entries)
        self.endResetModel()

    def value(self) -> list[tuple[str, str]]:
        """Return (uid, why), first one first."""
        return self._entries

    def place(self, uid: str | None) -> int | None:
        """Return the row of a cell, None when it is not in the queue."""
        return next((i for i, (u, _) in enumerate(self._entries) if u == uid), None)

    def rowCount(self, parent: QModelIndex | QPersistentModelIndex | None = None) -> int:
        """Number of cells."""
        return 0 if parent is not None and parent.isValid() else len(self._entries)

    def data(self, index: QModelIndex | QPersistentModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return what a row says; in a blinded reading nothing of what the model thinks."""
        if not index.isValid():
            return None
        uid, why = self._entries[index.row()]
        said = why if self._state.shows_model(uid) else "hidden in a blinded reading"
        if role == Qt.ItemDataRole.DisplayRole:
            mark = "✓ " if uid in self._state.decided else ""
            return f"{index.row() + 1}.  {mark}{said}"
        if role == Qt.ItemDataRole.ToolTipRole:
            return f"{said}\n{uid}"
        return None


class QueuePanel(QWidget):
    """Choose an order, walk through the cells.

    Parameters
    ----------
    state
        Of the review; its queue is shown.

    Attributes
    ----------
    requested
        Emitted with the name of an order and the wanted class codes.
    dropped
        Emitted when the queue is no longer wanted.
    opened
        Emitted with the uid of a cell that is to be shown on the picture.
    """

    requested = Signal(str, object)
    dropped = Signal()
    opened = Signal(str)

    def __init__(self, state: ReviewState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.state = state
        self.listening = Listening()
        self.model = QueueModel(state, self)
        self.orders = QComboBox()
        for order in ORDERS.values():
            self.orders.addItem(order.title, order.name)
        self.what = _words()
        self.wanted = QLineEdit()
        self.wanted.setPlaceholderText("classes to hunt for, e.g. MYO MOB; empty: rare ones")
        self.second, self.speaking = SecondModel(), SpeakingCells()
        self.fill_button = QPushButton("Make queue")
        self.fill_button.setToolTip("Order the cells; the order is kept up to date while you decide.")
        self.clear_button = QPushButton("Clear")
        self.view = QListView()
        self.view.setModel(self.model)
        self.view.setUniformItemSizes(True)
        self.view.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.view.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.next_button = QPushButton("Next undecided")
        self.status = _words()
        self._build()
        self.orders.currentIndexChanged.connect(self._on_order)
        self.fill_button.clicked.connect(self._on_fill)
        self.clear_button.clicked.connect(self.dropped)
        self.next_button.clicked.connect(self.goOn)
        self.view.clicked.connect(self._on_clicked)
        self.view.doubleClicked.connect(lambda index: self.opened.emit(self.model.value()[index.row()][0]))
        self.listening.connect(state.events.queue, self._on_queue)
        self.listening.connect(state.events.selected, self._on_selected)
        self.listening.connect(state.rows_changed, self._on_rows)
        self._on_order()
        self._on_queue()

    def _build(self) -> None:
        row = QHBoxLayout()
        row.addWidget(self.orders, 1)
        row.addWidget(self.fill_button)
        row.addWidget(self.clear_button)
        bottom = QHBoxLayout()
        bottom.addWidget(self.status, 1)
        bottom.addWidget(self.next_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.addLayout(row)
        layout.addWidget(self.what)
        layout.addWidget(self.wanted)
        layout.addWidget(self.second)
        layout.addWidget(self.view, 1)
        layout.addLayout(bottom)
        layout.addWidget(self.speaking)

    def value(self) -> str:
        """Return the name of the chosen order."""
        return str(self.orders.currentData())

    def setValue(self, order: str) -> None:
        """Choose an order."""
        self.orders.setCurrentIndex(self.orders.findData(order))

    def goOn(self) -> None:
        """Go to the first cell of the queue that is not decided, other than the current one."""
        for uid, _ in self.model.value():
            if uid not in self.state.decided and uid != self.state.selected:
                self.state.selected = uid
                self.opened.emit(uid)
                return

    def _on_fill(self) -> None:
        codes = tuple(self.wanted.text().upper().replace(",", " ").split()) if self.value() == "rare" else ()
        self.requested.emit(self.value(), codes)

    def _on_order(self, *_: object) -> None:
        self.what.setText(ORDERS[self.value()].what)
        self.wanted.setVisible(self.value() == "rare")
        self.second.setVisible(self.value() == "disagreement")

    def _on_clicked(self, index: QModelIndex) -> None:
        uid = self.model.value()[index.row()][0]
        self.state.selected = uid
        self.opened.emit(uid)

    def _on_queue(self, *_: object) -> None:
        self.model.setValue(self.state.queue)
        self._say()
        self._on_selected(self.state.selected)

    def _on_rows(self, what: Any) -> None:
        if what.said and len(self.model.value()):
            last = len(self.model.value()) - 1
            self.model.dataChanged.emit(self.model.index(0), self.model.index(last))
        self._say()

    def _on_selected(self, uid: str | None) -> None:
        place = self.model.place(uid)
        self.view.blockSignals(True)
        if place is None:
            self.view.clearSelection()
        else:
            self.view.setCurrentIndex(self.model.index(place))
        self.view.blockSignals(False)

    def _say(self) -> None:
        entries = self.model.value()
        done = sum(uid in self.state.decided for uid, _ in entries)
        self.status.setText(f"{len(entries)} cells, {done} decided" if entries else "No queue yet.")
        self.next_button.setEnabled(done < len(entries))
        self.clear_button.setEnabled(bool(entries))


def _words() -> QLabel:
    label = QLabel()
    label.setWordWrap(True)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
    return label
