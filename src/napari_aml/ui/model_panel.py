"""Which model classifies, and what its card says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtGui import QTextOption
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)


class ModelPanel(QWidget):
    """A choice of model bundles and the card of the chosen one."""

    changed = Signal(object)
    folderChosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._bundles: list[Any] = []
        self.choice = QComboBox()
        self.choice.setMinimumContentsLength(16)
        self.choice.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.choice.currentIndexChanged.connect(self._on_choice)
        self.open_button = QPushButton("Open folder …")
        self.open_button.setToolTip("A folder with model.safetensors and bundle.json")
        self.open_button.clicked.connect(self._on_open)
        self.card = QPlainTextEdit()
        self.card.setReadOnly(True)
        self.card.setWordWrapMode(QTextOption.WrapMode.WordWrap)
        row = QHBoxLayout()
        row.addWidget(self.choice, 1)
        row.addWidget(self.open_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.addWidget(QLabel("Model bundle"))
        layout.addLayout(row)
        layout.addWidget(self.card, 1)

    def value(self) -> Any:
        """Return the chosen bundle, None when there is none."""
        index = self.choice.currentIndex()
        return self._bundles[index] if 0 <= index < len(self._bundles) else None

    def setValue(self, bundle: Any) -> None:
        """Choose a bundle; it is added where it was not offered."""
        ids = [b.bundle_id for b in self._bundles]
        if bundle.bundle_id in ids:
            self.choice.setCurrentIndex(ids.index(bundle.bundle_id))
            return
        self._bundles.append(bundle)
        self.choice.addItem(f"{bundle.name} {bundle.version}")
        self.choice.setCurrentIndex(self.choice.count() - 1)

    def setBundles(self, bundles: Sequence[Any]) -> None:
        """Offer bundles; anything with ``name``, ``version``, ``bundle_id`` and ``card_summary()``."""
        self.choice.blockSignals(True)
        self._bundles = list(bundles)
        self.choice.clear()
        self.choice.addItems([f"{b.name} {b.version}" for b in bundles])
        self.choice.blockSignals(False)
        self._on_choice(self.choice.currentIndex())

    def _on_choice(self, index: int) -> None:
        bundle = self.value()
        self.card.setPlainText("No model bundle was found." if bundle is None else bundle.card_summary())
        self.changed.emit(bundle)

    def _on_open(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Folder of a model bundle")
        if folder:
            self.folderChosen.emit(folder)
