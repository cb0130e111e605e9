"""Fine-tune the network: settings, live curves, and the old model beside the new one before it may replace it."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_aml.review.teach import EpochDone, FineTuned
from napari_aml.taxonomy import cell_class
from napari_aml.ui.confusion_view import ConfusionView
from napari_aml.ui.fine_tune_form import FineTuneForm
from napari_aml.ui.fine_tune_plots import Curves
from napari_aml.ui.jobs import JobBar

_COLUMNS = ("Class", "n", "found (95 %)", "before", "right when said")


class FineTunePanel(QWidget):
    """Start, watch, judge.

    Attributes
    ----------
    started
        Emitted when a training is asked for.
    adopted
        Emitted with the `FineTuned` whose bundle is to be used from now on.
    cellsChosen
        Emitted with a title and the uids in a field of the confusion matrix.
    """

    started = Signal()
    adopted = Signal(object)
    cellsChosen = Signal(str, object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._result: FineTuned | None = None
        self.form, self.curves, self.bar = FineTuneForm(), Curves(), JobBar()
        self.start_button = QPushButton("Fine-tune")
        self.start_button.setToolTip("Train in a process of its own. A stopped training goes on where it was.")
        self.message = _words()
        self.verdict = _words()
        self.verdict.show()
        self.classes = QTableWidget(0, len(_COLUMNS))
        self.whose = QComboBox()
        self.whose.addItem("new model", "new")
        self.whose.addItem("old model", "old")
        self.confusion = ConfusionView()
        self.adopt_button = QPushButton("Use the new model")
        self.results = QWidget()
        self._build()
        self.start_button.clicked.connect(self.started)
        self.adopt_button.clicked.connect(lambda: self.adopted.emit(self._result))
        self.whose.currentIndexChanged.connect(self._show_confusion)
        self.confusion.chosen.connect(self._on_field)
        self.bar.busyChanged.connect(self._on_busy)
        self.curves.hide()
        self.results.hide()

    def _build(self) -> None:
        table = self.classes
        table.setHorizontalHeaderLabels(_COLUMNS)
        table.verticalHeader().hide()
        table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        table.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        table.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        matrix = QScrollArea()
        matrix.setWidget(self.confusion)
        matrix.setFrameShape(QScrollArea.Shape.NoFrame)
        matrix.setMinimumHeight(150)
        self._matrix = matrix
        head = QHBoxLayout()
        head.addWidget(QLabel("People (rows) against the"))
        head.addWidget(self.whose)
        head.addStretch(1)
        inside = QVBoxLayout(self.results)
        inside.setContentsMargins(0, 0, 0, 0)
        for part in (self.verdict, self.adopt_button, table):
            inside.addWidget(part)
        inside.addLayout(head)
        inside.addWidget(matrix)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        for widget in (self.form, self.start_button, self.bar, self.message, self.curves, self.results):
            layout.addWidget(widget)
        layout.addStretch(1)

    def value(self) -> FineTuned | None:
        """Return the result shown."""
        return self._result

    def setValue(self, result: FineTuned | None) -> None:
        """Show a result; None hides it."""
        self._result = result
        self.results.setVisible(result is not None)
        if result is None:
            return
        self.curves.setValue(result.history)
        self.curves.show()
        comparison = result.comparison
        self.verdict.setText(f"{comparison.verdict()}\n{comparison.level}")
        self.message.setText("\n".join(result.notes))
        self.message.setVisible(bool(result.notes))
        worse = comparison.better is False
        self.adopt_button.setText("Use the new model, although it is worse" if worse else "Use the new model")
        self.adopt_button.setEnabled(True)
        self._show_classes()
        self._show_confusion()

    def begin(self) -> None:
        """Clear the way for a new run."""
        self.setValue(None)
        self.curves.setValue(())
        self.curves.show()
        self.say("")

    def add(self, epoch: EpochDone) -> None:
        """Show an epoch that is over."""
        self.curves.add(epoch)

    def say(self, text: str) -> None:
        """Say something below the progress bar."""
        self.message.setText(text)
        self.message.setVisible(bool(text))

    def _on_busy(self, busy: bool) -> None:
        self.start_button.setEnabled(not busy)
        self.form.setEnabled(not busy)

    def _show_classes(self) -> None:
        assert self._result is not None
        new, old = self._result.comparison.figures, self._result.comparison.old_figures
        per_class = {code: f for code, f in new.get("per_class", {}).items() if f["n"]}
        table = self.classes
        table.setRowCount(len(per_class))
        for row, (code, figures) in enumerate(per_class.items()):
            before = old.get("per_class", {}).get(code, {}).get("recall", {})
            texts = (
                code,
                str(figures["n"]),
                _share(figures["recall"], True),
                _share(before),
                _share(figures["precision"]),
            )
            for column, text in enumerate(texts):
                item = QTableWidgetItem(text)
                item.setToolTip(cell_class(code).name)
                if column:
                    item.setTextAlignment(int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter))
                if figures["n"] < 10:
                    item.setForeground(QColor(128, 128, 128))
                    item.setToolTip(f"{cell_class(code).name}: fewer than 10 cells say little.")
                table.setItem(row, column, item)
        height = table.horizontalHeader().sizeHint().height() + 4
        table.setFixedHeight(height + sum(table.rowHeight(row) for row in range(table.rowCount())))

    def _show_confusion(self, *_: Any) -> None:
        if self._result is not None:
            self.confusion.setValue(*self._result.comparison.confusion(str(self.whose.currentData())))
            self._matrix.setMinimumHeight(min(420, self.confusion.height() + 16))

    def _on_field(self, true: str, said: str) -> None:
        assert self._result is not None
        whose = str(self.whose.currentData())
        uids = self._result.comparison.cells(true, said, whose)
        self.cellsChosen.emit(f"people: {true}, {whose} model: {said}", uids)


def _share(entry: dict[str, Any], interval: bool = False) -> str:
    if not entry or entry.get("value") is None:
        return "–"
    text = f"{100 * entry['value']:.0f} %"
    if interval and entry.get("interval_95"):
        low, high = entry["interval_95"]
        text += f" ({100 * low:.0f}–{100 * high:.0f})"
    return text


def _words() -> QLabel:
    label = QLabel()
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
    label.hide()
    return label
