"""What a fine-tuning starts from: data, base bundle, settings, name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_aml.review.teach import FineTuneSettings
from napari_aml.review.teach.gathering import LEFT_OUT

_WHOLE = {"all": "the whole network", "head": "its last layer only"}
_VIEWS = {"standard": "turns, shifts, stain", "strong": "the same, strongly", "geometry": "turns and shifts",
          "turns": "turns only", "none": "none"}  # fmt: skip
_RATES = (5e-5, 1e-4, 2e-4, 5e-4, 1e-3)


class FineTuneForm(QWidget):
    """Choose data and settings.

    Attributes
    ----------
    dataChanged
        Emitted when the added datasets changed.
    """

    dataChanged = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._datasets: list[Path] = []
        self.data, self.base, self.warning = _words(), _words(), _words()
        self.added = _words()
        self.add_button = QPushButton("Add dataset …")
        self.add_button.setToolTip("A dataset folder whose cells are learnt from, too, so that no class is forgotten.")
        self.clear_button = QPushButton("Remove")
        self.name = QLineEdit()
        self.epochs = QSpinBox()
        self.epochs.setRange(1, 1000)
        self.rate = QComboBox()
        for rate in _RATES:
            self.rate.addItem(f"{rate:g}", rate)
        self.part, self.views = QComboBox(), QComboBox()
        for box, choices in ((self.part, _WHOLE), (self.views, _VIEWS)):
            for value, title in choices.items():
                box.addItem(title, value)
        self.test = QDoubleSpinBox()
        self.test.setRange(5, 50)
        self.test.setDecimals(0)
        self.test.setSuffix(" % of the cells")
        self._build()
        self.setValue(FineTuneSettings())
        self.add_button.clicked.connect(self._on_add)
        self.clear_button.clicked.connect(lambda: self.setDatasets(()))
        self.setDatasets(())

    def _build(self) -> None:
        buttons = QHBoxLayout()
        buttons.addWidget(self.add_button)
        buttons.addWidget(self.clear_button)
        buttons.addStretch(1)
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        for title, widget in (
            ("Learn from", self.data), ("", self.added), ("", buttons), ("Start from", self.base), ("Name", self.name),
            ("Train", self.part), ("Epochs", self.epochs), ("Rate", self.rate), ("Vary cells by", self.views),
            ("Hold back", self.test),
        ):  # fmt: skip
            form.addRow(title, widget)
        self.test.setToolTip("These cells judge the result; training never sees them.")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(form)
        layout.addWidget(self.warning)

    def value(self) -> FineTuneSettings:
        """Return the settings."""
        return FineTuneSettings(
            epochs=self.epochs.value(), rate=float(self.rate.currentData()), train_only=str(self.part.currentData()),
            augmentation=str(self.views.currentData()), test=self.test.value() / 100,
        )  # fmt: skip

    def setValue(self, settings: FineTuneSettings) -> None:
        """Show settings."""
        self.epochs.setValue(settings.epochs)
        near = min(range(len(_RATES)), key=lambda i: abs(_RATES[i] - settings.rate))
        self.rate.setCurrentIndex(near)
        self.part.setCurrentIndex(self.part.findData(settings.train_only))
        self.views.setCurrentIndex(self.views.findData(settings.augmentation))
        self.test.setValue(100 * settings.test)

    def datasets(self) -> tuple[Path, ...]:
        """Return the folders of the added datasets."""
        return tuple(self._datasets)

    def setDatasets(self, folders: Sequence[Path]) -> None:
        """Show added datasets."""
        self._datasets = list(folders)
        self.added.setText("and " + ", ".join(p.name for p in folders) if folders else "")
        self.added.setVisible(bool(folders))
        self.clear_button.setEnabled(bool(folders))
        self.dataChanged.emit()

    def show_data(
        self, decided: Mapping[str, str], base: Any, more: Mapping[str, int], min_cells: int, *, here: int
    ) -> None:
        """Say what there is to learn from and what would be given up.

        Parameters
        ----------
        decided
            uid → code of the decided cells that can be learnt from.
        base
            The bundle to start from, or None.
        more
            Code → pictures of the added datasets.
        min_cells
            Classes with fewer cells are left out.
        here
            Number of slides that the decided cells lie on.
        """
        counts = Counter(code for code in decided.values() if code not in LEFT_OUT)
        listed = ", ".join(f"{code} {n}" for code, n in counts.most_common())
        slides = f"{here} slide{'' if here == 1 else 's'}"
        n = sum(counts.values())
        self.data.setText(f"{n} decided cell{'' if n == 1 else 's'} of {slides}: {listed or 'none yet'}")
        self.base.setText("no model yet" if base is None else f"{base.name} {base.version}")
        if not self.name.text() and base is not None:
            self.name.setText(f"{base.name}-tuned")
        counts.update(more)
        known = {code for code, n in counts.items() if n >= min_cells}
        lost = [] if base is None else [code for code in base.codes if code not in known]
        self.warning.setText(
            f"⚠ The new model would not know {', '.join(lost)}: fewer than {min_cells} cells of each. Decide some, or "
            "add a dataset that holds them."
            if lost and counts else ""
        )  # fmt: skip
        self.warning.setVisible(bool(self.warning.text()))

    def _on_add(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Folder of a dataset (with dataset.json)")
        if folder:
            self.setDatasets((*self._datasets, Path(folder)))


def _words() -> QLabel:
    label = QLabel()
    label.setWordWrap(True)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
    return label
