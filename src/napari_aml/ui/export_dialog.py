"""The choice of an export: formats, names, notes, licence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QGroupBox,
    QLabel,
    QLineEdit,
    QVBoxLayout,
    QWidget,
)

from napari_aml import RESEARCH_USE


@dataclass(frozen=True)
class ExportChoice:
    """What leaves, and how.

    Attributes
    ----------
    formats
        Names of formats.
    pseudonyms, notes
        Replace names; keep free text although names are replaced.
    confirmed
        Pictures of confirmed cells alone.
    everything
        All pictures of the session, not only the one on show.
    licence, source
        In words.
    """

    formats: tuple[str, ...] = ("csv",)
    pseudonyms: bool = True
    notes: bool = False
    confirmed: bool = False
    everything: bool = False
    licence: str = ""
    source: str = ""


class ExportDialog(QDialog):
    """Asks what leaves; stays open beside the window.

    Parameters
    ----------
    formats
        Name of a format → what it writes, in words.

    Attributes
    ----------
    exportRequested
        Emitted with the `ExportChoice`.
    """

    exportRequested = Signal(object)

    def __init__(self, formats: Mapping[str, str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Export cells")
        self.formats = {name: QCheckBox(name) for name in formats}
        box = QGroupBox("Formats")
        inside = QFormLayout(box)
        inside.setVerticalSpacing(2)
        for name, said_of_it in formats.items():
            said = QLabel(said_of_it)
            said.setEnabled(False)
            inside.addRow(self.formats[name], said)
        self.pseudonyms = QCheckBox("Replace the names of readers, patients and slides by pseudonyms")
        self.notes = QCheckBox("Keep free text (it may hold names)")
        self.confirmed = QCheckBox("Pictures of confirmed cells alone (imagefolder, dataset)")
        self.everything = QCheckBox("All pictures of this session")
        self.licence, self.source = QLineEdit(), QLineEdit()
        self.licence.setPlaceholderText("such as CC BY 4.0; goes into every file")
        self.source.setPlaceholderText("where the pictures came from")
        words = QFormLayout()
        words.addRow("Licence", self.licence)
        words.addRow("Source", self.source)
        self.warning = QLabel("This export will hold names: do not pass it on.")
        self.warning.setWordWrap(True)
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        self.go = self.buttons.addButton("Export to folder …", QDialogButtonBox.ButtonRole.AcceptRole)
        layout = QVBoxLayout(self)
        for widget in (box, self.pseudonyms, self.notes, self.warning, self.confirmed, self.everything):
            layout.addWidget(widget)
        layout.addLayout(words)
        layout.addWidget(QLabel(RESEARCH_USE))
        layout.addWidget(self.buttons)
        self.setValue(ExportChoice())
        for check in self.formats.values():
            check.toggled.connect(self._enable)
        self.pseudonyms.toggled.connect(self._enable)
        self.go.clicked.connect(lambda: self.exportRequested.emit(self.value()))
        self.buttons.rejected.connect(self.hide)
        self._enable()

    def value(self) -> ExportChoice:
        """Return the choice."""
        return ExportChoice(
            tuple(name for name, check in self.formats.items() if check.isChecked()), self.pseudonyms.isChecked(),
            self.notes.isChecked(), self.confirmed.isChecked(), self.everything.isChecked(),
            self.licence.text().strip(), self.source.text().strip(),
        )  # fmt: skip

    def setValue(self, choice: ExportChoice) -> None:
        """Show a choice."""
        for name, check in self.formats.items():
            check.setChecked(name in choice.formats)
        for box, on in (
            (self.pseudonyms, choice.pseudonyms), (self.notes, choice.notes), (self.confirmed, choice.confirmed),
            (self.everything, choice.everything),
        ):  # fmt: skip
            box.setChecked(on)
        self.licence.setText(choice.licence)
        self.source.setText(choice.source)

    def _enable(self, *_: object) -> None:
        self.go.setEnabled(any(check.isChecked() for check in self.formats.values()))
        self.notes.setEnabled(self.pseudonyms.isChecked())
        self.warning.setVisible(not self.pseudonyms.isChecked())
