"""Readers beside each other on the page "Project": agreement, the cells on which they differ, the word that settles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QGroupBox,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_aml.taxonomy import CLASSES

if TYPE_CHECKING:
    from napari_aml.review.agreement import AgreementSummary
    from napari_aml.statistics.agreement import Agreement

_UID = int(Qt.ItemDataRole.UserRole)
#: More rows than this are read nowhere; the queue shows all.
MOST_ROWS = 500


class ReadersBox(QGroupBox):
    """Agreement of the readers and the list of cells on which they differ.

    Attributes
    ----------
    compareRequested
        Compute the agreement anew.
    cellChosen
        Emitted with the uid of a cell to fly to.
    queueRequested
        Make the list the queue of what to look at next.
    settled
        Emitted with (uid, code): the adjudicated word.
    """

    compareRequested = Signal()
    cellChosen = Signal(str)
    queueRequested = Signal()
    settled = Signal(str, str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Readers beside each other", parent)
        self.words = QLabel()
        self.words.setWordWrap(True)
        self.words.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.compare_button = QPushButton("Compare readers")
        self.queue_button = QPushButton("Make it the queue")
        self.queue_button.setToolTip("Look at these cells next, one after the other.")
        self.table = QTreeWidget()
        self.table.setHeaderLabels(["Cell", "Said", "Settled"])
        self.table.setRootIsDecorated(False)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        header = self.table.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        for column in (0, 2):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        self.code = QComboBox()
        for cell_class in CLASSES:
            self.code.addItem(f"{cell_class.code} {cell_class.name}", cell_class.code)
        self.settle_button = QPushButton("Settle")
        self.settle_button.setToolTip("Give the chosen cells this adjudicated class; the readers' own words stay.")
        first, last = QHBoxLayout(), QHBoxLayout()
        first.addWidget(self.compare_button)
        first.addWidget(self.queue_button)
        last.addWidget(self.code, 1)
        last.addWidget(self.settle_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.addLayout(first)
        layout.addWidget(self.words)
        layout.addWidget(self.table)
        layout.addLayout(last)
        self.compare_button.clicked.connect(self.compareRequested)
        self.queue_button.clicked.connect(self.queueRequested)
        self.table.itemDoubleClicked.connect(lambda item, _: self.cellChosen.emit(item.data(0, _UID)))
        self.table.itemSelectionChanged.connect(self._enable)
        self.settle_button.clicked.connect(self._on_settle)
        self.setSummary(None, [])

    def setSummary(
        self, summary: AgreementSummary | None, rows: Sequence[tuple[str, dict[str, str], str]], hidden: bool = False
    ) -> None:
        """Show the agreement and the cells on which readers differ.

        Parameters
        ----------
        summary
            None while nothing was compared.
        rows
            (uid, {reader: code}, adjudicated code or empty).
        hidden
            Reading is blinded: only cells are listed that this reader decided on.
        """
        self.words.setText(in_words(summary, len(rows), hidden))
        self.words.setVisible(bool(self.words.text()))
        self.table.clear()
        for uid, said, settled in rows[:MOST_ROWS]:
            words = ", ".join(f"{reader} {code}" for reader, code in said.items())
            item = QTreeWidgetItem([uid[-6:], words, settled])
            item.setData(0, _UID, uid)
            item.setToolTip(0, uid)
            item.setToolTip(1, words)
            self.table.addTopLevelItem(item)
        fit_height(self.table, 7)
        self.table.setVisible(bool(rows))
        self.queue_button.setEnabled(bool(rows))
        self._enable()

    def chosen(self) -> list[str]:
        """Return the uids of the chosen rows."""
        return [item.data(0, _UID) for item in self.table.selectedItems()]

    def _enable(self) -> None:
        for widget in (self.code, self.settle_button):
            widget.setVisible(self.table.topLevelItemCount() > 0)
            widget.setEnabled(bool(self.chosen()))

    def _on_settle(self) -> None:
        for uid in self.chosen():
            self.settled.emit(uid, self.code.currentData())


def fit_height(table: QTreeWidget, most: int) -> None:
    """Make a list as high as its rows, at least two and at most `most`; beyond, it scrolls."""
    row = max(table.sizeHintForRow(0), table.fontMetrics().height() + 2)
    rows = min(most, max(2, table.topLevelItemCount()))
    table.setFixedHeight(table.header().sizeHint().height() + rows * row + 2 * table.frameWidth() + 4)


def in_words(summary: AgreementSummary | None, differing: int, hidden: bool) -> str:
    """Say the agreement of readers in words."""
    if summary is None:
        return ""
    if summary.alpha is None or summary.fleiss is None:
        return "Agreement needs two readers who decided on the same cells."
    lines = [f"{p.a} / {p.b}: Cohen's κ {_said(p.kappa)}" for p in summary.pairs]
    if len(summary.readers) > 2:
        lines.append(f"All: Fleiss' κ {_said(summary.fleiss)}")
    lines.append(f"Krippendorff's α {_said(summary.alpha)}")
    where = " you decided on" if hidden else ""
    lines.append(f"They differ on {differing} cell{'' if differing == 1 else 's'}{where}.")
    return "\n".join(lines)


def _said(value: Agreement) -> str:
    if value.value != value.value:
        return f"undefined ({value.n} cells)"
    return f"{value.value:.2f} [{value.low:.2f}, {value.high:.2f}], {value.n} cells"
