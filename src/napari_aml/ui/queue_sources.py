"""What else can fill the queue: a second model that disagrees, the cells that speak for a patient's call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

#: Without a second model.
PEOPLE = "people's decisions only"


class SecondModel(QWidget):
    """Chooses with what the model is compared in the order "Disagreement".

    Attributes
    ----------
    changed
        Emitted with what was chosen: a bundle, a run of the project, or None for people's decisions alone.
    """

    changed = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.choice = QComboBox()
        self.choice.setToolTip(
            "A second model reads the same cells in the background; of a project, an earlier run can be chosen."
        )
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(QLabel("Compare with"))
        layout.addWidget(self.choice, 1)
        self.setChoices([])
        self.choice.activated.connect(lambda _: self.changed.emit(self.value()))

    def setChoices(self, choices: Sequence[tuple[str, Any]]) -> None:
        """Set what can be chosen: (title, what); what is chosen stays where it still can be."""
        chosen = self.choice.currentText()
        self.choice.clear()
        self.choice.addItem(PEOPLE, None)
        for title, what in choices:
            self.choice.addItem(title, what)
        self.choice.setCurrentIndex(max(0, self.choice.findText(chosen)))

    def value(self) -> Any:
        """Return what is chosen, None for people's decisions alone."""
        return self.choice.currentData()


class SpeakingCells(QWidget):
    """Opens a table of influences and chooses the subtype for which cells speak.

    Attributes
    ----------
    fileChosen
        Emitted with the path of a file.
    subtypeChosen
        Emitted with the name of a subtype.
    """

    fileChosen = Signal(str)
    subtypeChosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.open_button = QPushButton("Cells that speak …")
        self.open_button.setToolTip(
            "Open the file ..._cells.csv of a patient's call: the cells that speak for a subtype come first."
        )
        self.subtype = QComboBox()
        self.subtype.setToolTip("For which subtype cells speak")
        self.subtype.hide()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        row = QHBoxLayout()
        row.addWidget(self.open_button)
        row.addWidget(self.subtype, 1)
        layout.addLayout(row)
        self.open_button.clicked.connect(self._ask)
        self.subtype.textActivated.connect(self.subtypeChosen)

    def setSubtypes(self, names: Sequence[str], chosen: str) -> None:
        """Show what cells can speak for."""
        self.subtype.clear()
        self.subtype.addItems(list(names))
        self.subtype.setCurrentText(chosen)
        self.subtype.setVisible(bool(names))

    def _ask(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Cells of a patient's call", "", "Tables (*.csv)")
        if path:
            self.fileChosen.emit(path)
