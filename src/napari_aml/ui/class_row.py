"""Buttons that say a cell's class: what the keys do, for the person who does not know them yet."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtGui import QColor, QKeySequence, QPixmap
from qtpy.QtWidgets import QHBoxLayout, QMenu, QPushButton, QWidget

from napari_aml.taxonomy import CLASSES
from napari_aml.ui.shortcuts import CLASS_COMMAND, KeyTable

_HINT = "On the picture hold Shift with the key. F1 shows all keys."


class ClassRow(QWidget):
    """Confirm the class that is shown, say another one, take it back.

    Parameters
    ----------
    key_table
        The keys; they stand beside the classes.

    Attributes
    ----------
    confirmed, withdrawn
        Emitted when the button was pressed.
    said
        Emitted with the class code.
    """

    confirmed = Signal()
    withdrawn = Signal()
    said = Signal(str)

    def __init__(self, key_table: KeyTable, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._key_table = key_table
        self.confirm, self.say = QPushButton("Confirm"), QPushButton("Say class")
        self.withdraw = QPushButton("Take back")
        self.menu = QMenu(self.say)
        self.menu.setToolTipsVisible(True)
        self.menu.aboutToShow.connect(self._fill)
        self.say.setMenu(self.menu)
        self.confirm.clicked.connect(self.confirmed)
        self.withdraw.clicked.connect(self.withdrawn)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(3)
        for button in (self.confirm, self.say, self.withdraw):
            button.setMinimumWidth(30)
            row.addWidget(button)
        self._say_keys()
        key_table.changed.connect(self._say_keys)
        self.destroyed.connect(lambda _=None, on=self._say_keys: key_table.changed.disconnect(on, missing_ok=True))

    def setValue(self, decided: bool) -> None:
        """Show whether there is a decision that can be taken back."""
        self.withdraw.setEnabled(decided)

    def _fill(self) -> None:
        self.menu.clear()
        for c in CLASSES:
            key = self._native(f"{CLASS_COMMAND}{c.code}")
            pixmap = QPixmap(10, 10)
            pixmap.fill(QColor(c.colour))
            action = self.menu.addAction(f"{c.code}  {c.name}" + (f"\t{key}" if key else ""))
            action.setIcon(pixmap)
            action.triggered.connect(lambda _=False, code=c.code: self.said.emit(code))

    def _say_keys(self) -> None:
        says = (
            (self.confirm, "The class that is shown is right", "confirm"),
            (self.withdraw, "Take your decision on this cell back", "withdraw"),
        )
        for button, text, command in says:
            key = self._native(command)
            button.setToolTip(f"{text} ({key}). {_HINT}" if key else f"{text}.")
        self.say.setToolTip(f"Decide which class the cell is of; each class has a key. {_HINT}")

    def _native(self, command: str) -> str:
        return QKeySequence(self._key_table.key(command)).toString(QKeySequence.SequenceFormat.NativeText)
