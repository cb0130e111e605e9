"""Tags and note of the cell under inspection."""

from __future__ import annotations

from collections.abc import Iterable

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QInputDialog, QLineEdit, QPushButton, QVBoxLayout, QWidget
from superqt import QFlowLayout

from napari_aml.review.reader_view import TAGS


class MarksPanel(QWidget):
    """Buttons for tags, a line for the note.

    Attributes
    ----------
    tagToggled
        Emitted with a tag's name and whether it was put on.
    noteChanged
        Emitted with the note when it was written.
    """

    tagToggled = Signal(str, bool)
    noteChanged = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._buttons: dict[str, QPushButton] = {}
        self._flow = QFlowLayout()
        self._flow.setContentsMargins(0, 0, 0, 0)
        self._flow.setHorizontalSpacing(3)
        self._flow.setVerticalSpacing(3)
        self.own = QPushButton()
        self.own.setText("+ tag")
        self.own.setToolTip("Put a tag of your own on this cell")
        self.own.clicked.connect(self._on_own)
        for name in TAGS:
            self._button(name)
        self._flow.addWidget(self.own)
        self.note = QLineEdit()
        self.note.setPlaceholderText("Note on this cell (Enter stores it)")
        self.note.editingFinished.connect(self._on_note)
        row = QHBoxLayout()
        row.addWidget(self.note)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        layout.addLayout(self._flow)
        layout.addLayout(row)
        self._note = ""

    def value(self) -> tuple[frozenset[str], str]:
        """Return the tags that are on, and the note."""
        return frozenset(name for name, button in self._buttons.items() if button.isChecked()), self.note.text()

    def setValue(self, tags: Iterable[str], note: str, known: Iterable[str] = ()) -> None:
        """Show a cell's tags and note; `known` are further tags to offer."""
        tags = set(tags)
        for name in sorted(tags | set(known)):
            self._button(name)
        for name, button in self._buttons.items():
            button.setChecked(name in tags)
        if note != self._note or not self.note.hasFocus():
            self._note = note
            self.note.setText(note)

    def finish(self) -> None:
        """Take the note as it is written by now."""
        self._on_note()

    def button(self, name: str) -> QPushButton:
        """Return a tag's button."""
        return self._buttons[name]

    def _button(self, name: str) -> None:
        if name in self._buttons:
            return
        button = self._buttons[name] = QPushButton()
        button.setText(TAGS.get(name, name.replace("_", " ")).split(":")[0])
        button.setToolTip(TAGS.get(name, name))
        button.setCheckable(True)
        button.clicked.connect(lambda on, name=name: self.tagToggled.emit(name, on))
        self._flow.removeWidget(self.own)
        self._flow.addWidget(button)
        self._flow.addWidget(self.own)

    def _on_own(self) -> None:
        name, given = QInputDialog.getText(self, "Tag", "Name of the tag (letters, digits, - and _):")
        if given and name.strip():
            self.tagToggled.emit(name.strip().replace(" ", "_"), True)

    def _on_note(self) -> None:
        text = self.note.text().strip()
        if text != self._note:
            self._note = text
            self.noteChanged.emit(text)
