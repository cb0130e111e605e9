"""The counting rules as visible settings: value(), setValue() and one changed signal."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QDoubleSpinBox, QFormLayout, QToolButton, QVBoxLayout, QWidget

from napari_aml.review.counting import APART, LYMPHOCYTES, CountingSettings


class CountingPanel(QWidget):
    """What is counted as what; folded away until it is asked for.

    Attributes
    ----------
    changed
        Emitted when a rule was changed by a person.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.fold = QToolButton()
        self.fold.setText("Counting rules")
        self.fold.setCheckable(True)
        self.fold.setAutoRaise(True)
        self.smudge = QComboBox()
        self.smudge.addItem("apart", APART)
        self.smudge.addItem("as lymphocytes", LYMPHOCYTES)
        self.smudge.setToolTip("Many laboratories add smudge cells to the lymphocytes in CLL.")
        self.pmb = QCheckBox("count as blasts (APL only)")
        self.pmb.setToolTip("Bilobed promyelocytes are blast equivalents in acute promyelocytic leukaemia only.")
        self.border = QCheckBox("count")
        self.least = QDoubleSpinBox()
        self.least.setRange(0, 1)
        self.least.setSingleStep(0.05)
        self.least.setSpecialValueText("count all")
        self.least.setToolTip("Cells that the model is less sure of, and no person confirmed, count as unknown.")
        self.width_wanted = QDoubleSpinBox()
        self.width_wanted.setRange(0.5, 60)
        self.width_wanted.setDecimals(1)
        self.width_wanted.setSuffix(" % points")
        self.width_wanted.setToolTip("How wide the interval of the blasts may be: sets how many cells to count.")
        self.confidence = QComboBox()
        for level in (0.9, 0.95, 0.99):
            self.confidence.addItem(f"{100 * level:g} %", level)
        self.box = QWidget()
        form = QFormLayout(self.box)
        form.setContentsMargins(12, 0, 0, 4)
        form.setVerticalSpacing(3)
        form.addRow("Smudge cells", self.smudge)
        form.addRow("Bilobed promyelocytes", self.pmb)
        form.addRow("Cells cut by the edge", self.border)
        form.addRow("Least probability", self.least)
        form.addRow("Intervals", self.confidence)
        form.addRow("Wanted width", self.width_wanted)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.fold)
        layout.addWidget(self.box)
        self._cut_offs = CountingSettings().blast_cut_offs
        self.setValue(CountingSettings())
        self.fold.toggled.connect(self._unfold)
        self._unfold(False)
        for signal in (
            self.smudge.currentIndexChanged, self.pmb.toggled, self.border.toggled, self.least.valueChanged,
            self.width_wanted.valueChanged, self.confidence.currentIndexChanged,
        ):  # fmt: skip
            signal.connect(lambda *_: self.changed.emit())

    def value(self) -> CountingSettings:
        """Return the rules."""
        return CountingSettings(
            least_probability=self.least.value(), confidence=self.confidence.currentData(),
            blast_cut_offs=self._cut_offs, smudge_cells=self.smudge.currentData(),
            pmb_as_blasts=self.pmb.isChecked(), cut_off_cells=self.border.isChecked(),
            wanted_width=self.width_wanted.value(),
        )  # fmt: skip

    def setValue(self, settings: CountingSettings) -> None:
        """Show rules; nothing is announced."""
        blocked = self.blockSignals(True)
        self._cut_offs = settings.blast_cut_offs
        self.smudge.setCurrentIndex(self.smudge.findData(settings.smudge_cells))
        self.pmb.setChecked(settings.pmb_as_blasts)
        self.border.setChecked(settings.cut_off_cells)
        self.least.setValue(settings.least_probability)
        self.width_wanted.setValue(settings.wanted_width)
        at = self.confidence.findData(settings.confidence)
        if at < 0:
            self.confidence.addItem(f"{100 * settings.confidence:g} %", settings.confidence)
            at = self.confidence.count() - 1
        self.confidence.setCurrentIndex(at)
        self.blockSignals(blocked)

    def _unfold(self, shown: bool) -> None:
        from qtpy.QtCore import Qt

        self.box.setVisible(shown)
        self.fold.setArrowType(Qt.ArrowType.DownArrow if shown else Qt.ArrowType.RightArrow)
        self.fold.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
