"""Buttons for regions of the slide: count inside, leave out, remove."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_aml.review.regions import COUNT, LEAVE_OUT


class RegionBar(QWidget):
    """Draw and remove regions.

    Attributes
    ----------
    drawRequested
        Emitted with the role of the regions to draw.
    removeRequested
        Emitted when the chosen regions (all where none is chosen) are to go.
    """

    drawRequested = Signal(str)
    removeRequested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.count_button, self.leave_button = QPushButton("Count inside"), QPushButton("Leave out")
        self.remove_button = QPushButton("Remove")
        self.count_button.setToolTip("Draw a region: then only cells inside such regions are counted.")
        self.leave_button.setToolTip("Draw a region whose cells are not counted (a smeared or thick part).")
        self.remove_button.setToolTip("Remove the regions that are chosen in the layer 'regions', else all.")
        self.count_button.clicked.connect(lambda: self.drawRequested.emit(COUNT))
        self.leave_button.clicked.connect(lambda: self.drawRequested.emit(LEAVE_OUT))
        self.remove_button.clicked.connect(self.removeRequested)
        self.words = QLabel()
        self.words.setWordWrap(True)
        row = QHBoxLayout()
        row.addWidget(QLabel("Regions"))
        for button in (self.count_button, self.leave_button, self.remove_button):
            row.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addLayout(row)
        layout.addWidget(self.words)
        self.setRegions([])

    def setRegions(self, roles: Sequence[str]) -> None:
        """Show how many regions there are of each role."""
        self.remove_button.setEnabled(bool(roles))
        inside, outside = roles.count(COUNT), roles.count(LEAVE_OUT)
        self.say(f"{inside} to count, {outside} to leave out." if roles else "")

    def say(self, text: str) -> None:
        """Say something below the buttons."""
        self.words.setText(text)
        self.words.setVisible(bool(text))
