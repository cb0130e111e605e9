"""Teach at once: the switch, what was learnt, what changed, and the way back."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import (
    QCheckBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_aml.review.teach import Taught
from napari_aml.taxonomy import cell_class

#: Pull of the head → how it reads.
_HELD = ((0.2, "hardly"), (0.6, "loosely"), (2.0, "somewhat"), (5.0, "closely"), (float("inf"), "very closely"))


class TeachPanel(QWidget):
    """A switch and a list of changes.

    Attributes
    ----------
    toggled
        Emitted when teaching is switched on or off.
    takenBack
        Emitted when what was taught is to be taken back.
    cellsChosen
        Emitted with a title and the uids of a group of changed cells.
    """

    toggled = Signal(bool)
    takenBack = Signal()
    cellsChosen = Signal(str, object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._taught: Taught | None = None
        self.switch = QCheckBox("Teach at every decision")
        self.switch.setToolTip(
            "Each of your decisions refits a light head on the stored embeddings; all cells are ranked anew.\n"
            "The network itself stays as it is."
        )
        self.status = QLabel("The model's own word is shown.")
        self.status.setWordWrap(True)
        self.status.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.changes = QTreeWidget()
        self.changes.setHeaderLabels(["The model said", "Taught, it says", "Cells"])
        self.changes.setRootIsDecorated(False)
        self.changes.setToolTip("Click a row: the gallery shows these cells.")
        self.back_button = QPushButton("Take back")
        self.back_button.setToolTip("Show the model's own word again. Your decisions stay.")
        self.back_button.setEnabled(False)
        self.switch.toggled.connect(self.toggled)
        self.back_button.clicked.connect(self.takenBack)
        self.changes.itemClicked.connect(self._on_clicked)
        row = QHBoxLayout()
        row.addWidget(self.switch, 1)
        row.addWidget(self.back_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.addLayout(row)
        layout.addWidget(self.status)
        layout.addWidget(self.changes, 1)

    def value(self) -> Taught | None:
        """Return what is shown as learnt."""
        return self._taught

    def setOn(self, on: bool) -> None:
        """Set the switch without a signal."""
        self.switch.blockSignals(True)
        self.switch.setChecked(on)
        self.switch.blockSignals(False)

    def setValue(self, taught: Taught | None) -> None:
        """Show what was learnt; None: the model's own word is shown."""
        self._taught = taught
        self.back_button.setEnabled(taught is not None and taught.head is not None)
        self.status.setText(in_words(taught))
        self.changes.clear()
        if taught is None:
            return
        for before, after, n in taught.changes.moves():
            item = QTreeWidgetItem([_named(before), _named(after), str(n)])
            item.setIcon(0, _icon(before))
            item.setIcon(1, _icon(after))
            item.setTextAlignment(2, int(Qt.AlignmentFlag.AlignRight))
            item.setData(0, Qt.ItemDataRole.UserRole, (before, after))
            self.changes.addTopLevelItem(item)
        for column in (0, 1):
            self.changes.setColumnWidth(column, 145)

    def _on_clicked(self, item: QTreeWidgetItem, _: int) -> None:
        before, after = item.data(0, Qt.ItemDataRole.UserRole)
        if self._taught is not None:
            self.cellsChosen.emit(f"{before} → {after}", self._taught.changes.of(before, after))


def in_words(taught: Taught | None) -> str:
    """Say what was learnt."""
    if taught is None:
        return "The model's own word is shown."
    if taught.head is None:
        return "Nothing is decided yet: the model's own word is shown."
    held = next(word for limit, word in _HELD if taught.head.pull <= limit)
    n = taught.decisions
    words = [
        f"Learnt from {n} decision{'' if n == 1 else 's'}, {held} held to the model's word. "
        f"{len(taught.changes)} other cell{'' if len(taught.changes) == 1 else 's'} changed class."
    ]
    if taught.before_right is not None and taught.after_right is not None:
        words.append(
            f"Of {taught.judged} decided cells the model alone names {taught.before_right} as you did; taught on the "
            f"others of them it names {taught.after_right}."
        )
    return " ".join(words)


def _named(code: str) -> str:
    return f"{code} · {cell_class(code).name}"


def _icon(code: str) -> Any:
    pixmap = QPixmap(12, 12)
    pixmap.fill(QColor(cell_class(code).colour))
    return QIcon(pixmap)
