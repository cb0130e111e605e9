"""Which expression file, read how, with which model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible, QElidingLabel

#: What a file dialog offers first.
FILTER = (
    "Expression files (*.csv *.tsv *.txt *.gct *.parquet *.h5ad *.tab *.sf *.results *.gz *.counts);;All files (*)"
)
FOLD = "Units, gene lengths, model"


@dataclass(frozen=True)
class ReadingOptions:
    """How a file is read; None: as the file shows.

    Attributes
    ----------
    units
        Name of a unit.
    lengths
        File with gene lengths, needed to turn counts into TPM.
    """

    units: str | None = None
    lengths: Path | None = None


class FileForm(QWidget):
    """The file with its buttons; units, gene lengths and model below, folded away."""

    openRequested = Signal(str)
    exampleRequested = Signal()
    optionsChanged = Signal()
    modelChosen = Signal(object)
    modelFolderChosen = Signal(str)

    def __init__(self, units: Sequence[tuple[str, str]] = (), parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._lengths: Path | None = None
        self._bundles: list[Any] = []
        self.path = QElidingLabel("No file is open.")
        self.path.setElideMode(Qt.TextElideMode.ElideMiddle)
        self.path.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.open_button, self.folder_button = QPushButton("Open file …"), QPushButton("Folder …")
        self.open_button.setToolTip("CSV, TSV, GCT, Parquet, AnnData, featureCounts, STAR, HTSeq, Salmon, RSEM.")
        self.folder_button.setToolTip("A folder of one-sample files.")
        self.example_button = QPushButton("Example")
        self.example_button.setToolTip("The shipped example: synthetic samples, not of any person.")
        self.units = QComboBox()
        self.units.addItem("as the file shows", None)
        for name, title in units:
            self.units.addItem(title, name)
        self.lengths_button = QPushButton("default")
        self.lengths_button.setToolTip("A table or GTF with gene lengths; needed for counts only.")
        self.model = QComboBox()
        self.model.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.model_button = QPushButton("Open …")
        self._build()
        self.open_button.clicked.connect(self._on_open)
        self.folder_button.clicked.connect(self._on_folder)
        self.example_button.clicked.connect(self.exampleRequested)
        self.units.currentIndexChanged.connect(self._on_units)
        self.lengths_button.clicked.connect(self._on_lengths)
        self.model.currentIndexChanged.connect(lambda _: self.modelChosen.emit(self.bundle()))
        self.model_button.clicked.connect(self._on_model)

    def _build(self) -> None:
        buttons, model = QHBoxLayout(), QHBoxLayout()
        for button in (self.open_button, self.folder_button, self.example_button):
            buttons.addWidget(button)
        model.addWidget(self.model, 1)
        model.addWidget(self.model_button)
        fold = QWidget()
        form = QFormLayout(fold)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("Units", self.units)
        form.addRow("Gene lengths", self.lengths_button)
        form.addRow("Model", model)
        self.more = QCollapsible(FOLD)
        self.more.addWidget(fold)
        folded = self.more.layout()
        assert folded is not None  # a collapsible is made with one
        folded.setContentsMargins(0, 0, 0, 0)
        folded.setSpacing(0)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        layout.addWidget(self.path)
        layout.addLayout(buttons)
        layout.addWidget(self.more)

    def value(self) -> ReadingOptions:
        """Return how files are read."""
        return ReadingOptions(self.units.currentData(), self._lengths)

    def setValue(self, options: ReadingOptions) -> None:
        """Set how files are read."""
        blocked = self.blockSignals(True)
        self.units.setCurrentIndex(max(0, self.units.findData(options.units)))
        self.setLengths(options.lengths)
        self.blockSignals(blocked)
        self._say_options()

    def _say_options(self) -> None:
        """Say on the fold what holds for every file, so that it is seen while it is folded away."""
        said = [] if self.units.currentData() is None else [f"Units: {self.units.currentText()}"]
        if self._lengths is not None:
            said.append(f"Lengths: {self._lengths.name}")
        self.more.setText(" · ".join(said) or FOLD)

    def setLengths(self, path: Path | None) -> None:
        """Choose a file with gene lengths."""
        if path == self._lengths:
            return
        self._lengths = path
        self.lengths_button.setText("default" if path is None else path.name)
        self._say_options()
        self.optionsChanged.emit()

    def setPath(self, path: Path | None, note: str = "") -> None:
        """Say which file is open."""
        self.path.setText("No file is open." if path is None else f"{path.name}{note}")
        self.path.setToolTip("" if path is None else str(path))

    def bundle(self) -> Any:
        """Return the chosen model, None where there is none."""
        index = self.model.currentIndex()
        return self._bundles[index] if 0 <= index < len(self._bundles) else None

    def setBundles(self, bundles: Sequence[Any], chosen: int = 0) -> None:
        """Offer models; anything with ``name`` and ``version``."""
        blocked = self.model.blockSignals(True)
        self._bundles = list(bundles)
        self.model.clear()
        self.model.addItems([f"{b.name} {b.version}".strip() for b in bundles])
        self.model.setCurrentIndex(chosen if bundles else -1)
        self.model.blockSignals(blocked)
        self.modelChosen.emit(self.bundle())

    def addBundle(self, bundle: Any) -> None:
        """Offer one more model and choose it."""
        self.setBundles([*self._bundles, bundle], len(self._bundles))

    def setBusy(self, busy: bool) -> None:
        """Whether a job runs: nothing else can be opened meanwhile."""
        for widget in (self.open_button, self.folder_button, self.example_button, self.units, self.lengths_button,
                       self.model, self.model_button):  # fmt: skip
            widget.setEnabled(not busy)

    def _on_open(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Expression file", "", FILTER)
        if path:
            self.openRequested.emit(path)

    def _on_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Folder of one-sample files")
        if path:
            self.openRequested.emit(path)

    def _on_units(self) -> None:
        self._say_options()
        self.optionsChanged.emit()

    def _on_lengths(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Gene lengths (table or GTF)", "", "All files (*)")
        self.setLengths(Path(path) if path else None)

    def _on_model(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Folder of an expression model bundle")
        if folder:
            self.modelFolderChosen.emit(folder)
