"""The cell inspector: crop, heatmaps side by side, class bars, measurements, and what can be done with the cell."""

from __future__ import annotations

import html

import numpy as np
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QFormLayout,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from napari_aml.ui.bars import ClassBars
from napari_aml.ui.cell_view import CellView
from napari_aml.ui.class_row import ClassRow
from napari_aml.ui.marks_panel import MarksPanel
from napari_aml.ui.picture import CellPicture, coloured
from napari_aml.ui.shortcuts import shared_keys

_PANELS = 2


class CellInspector(QWidget):
    """Shows one cell.

    Parameters
    ----------
    lut
        uint8 (n, 4): colours of the evidence scale, none to most.
    """

    stepped = Signal(int)
    splitRequested = Signal()
    deleteRequested = Signal()
    addToggled = Signal(bool)
    undoRequested = Signal()
    redoRequested = Signal()
    opacityChanged = Signal(float)

    def __init__(self, lut: np.ndarray, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._lut = lut
        self._view: CellView | None = None
        self.title, self.subtitle = QLabel(), QLabel()
        self.title.setTextFormat(Qt.TextFormat.RichText)
        self.title.setWordWrap(True)  # a long title would make the page wider than the dock
        self.subtitle.setWordWrap(True)
        self.classes = ClassRow(shared_keys())
        self.crop = CellPicture()
        self.panels = tuple(CellPicture() for _ in range(_PANELS))
        self.titles = tuple(QLabel() for _ in range(_PANELS))
        self.notes = tuple(QLabel() for _ in range(_PANELS))
        self.bars = ClassBars()
        self.marks = MarksPanel()
        self.remarks = QLabel()
        self.remarks.setWordWrap(True)
        self.opacity = QSlider(Qt.Orientation.Horizontal)
        self.opacity.setRange(0, 100)
        self.opacity.setValue(60)
        self.opacity.setToolTip("Opacity of the heatmaps here; the scale of their colours is the same for every cell.")
        self.opacity.valueChanged.connect(self._on_opacity)
        self._measures = QFormLayout()
        self._measures.setContentsMargins(0, 0, 0, 0)
        self._measures.setVerticalSpacing(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.addLayout(self._walk_row())
        layout.addWidget(self.title)
        layout.addWidget(self.subtitle)
        layout.addWidget(self.classes)
        layout.addLayout(self._picture_grid())
        layout.addLayout(self._opacity_row())
        layout.addWidget(self.remarks)
        layout.addWidget(self.bars)
        layout.addWidget(self.marks)
        line = QFrame()
        line.setFrameShape(QFrame.Shape.HLine)
        layout.addWidget(line)
        layout.addLayout(self._measures)
        layout.addLayout(self._edit_row())
        layout.addStretch(1)
        self.setValue(None)

    # ---- value ---------------------------------------------------------------------------------------------

    def value(self) -> CellView | None:
        """Return what is shown."""
        return self._view

    def setValue(self, view: CellView | None) -> None:
        """Show a cell; None shows that none is chosen. A note that was being typed is of the cell before."""
        if self._view is not None and (view is None or view.uid != self._view.uid):
            self.marks.finish()
        self._view = view
        for button in (self.split_button, self.delete_button):
            button.setEnabled(view is not None)
        self.classes.setVisible(view is not None)
        if view is None:
            self.title.setText("<b>No cell chosen</b>")
            self.subtitle.setText("Click a cell in the picture, or press n for the next and p for the previous one.")
            self.crop.setValue(None)
            self.remarks.hide()
            self.bars.hide()
            self.marks.hide()
            self._show_measurements(())
            for picture, title, note in zip(self.panels, self.titles, self.notes, strict=True):
                picture.hide()
                title.hide()
                note.hide()
            return
        self.title.setText(
            f'<span style="background-color:{view.colour}">&nbsp;&nbsp;&nbsp;</span> <b>{html.escape(view.title)}</b>'
        )
        self.subtitle.setText(view.subtitle)
        self.crop.setValue(view.crop, view.outline)
        self.bars.setVisible(bool(view.bars))
        self.bars.setValue(view.bars)
        self.marks.setVisible(True)
        self.marks.setValue(view.tags, view.note, view.known_tags)
        self.remarks.setText("\n".join(f"• {r}" for r in view.remarks))
        self.remarks.setVisible(bool(view.remarks))
        self._show_evidence(view)
        self._show_measurements(view.measurements)

    def _show_evidence(self, view: CellView) -> None:
        for i, (picture, title, note) in enumerate(zip(self.panels, self.titles, self.notes, strict=True)):
            there = i < len(view.evidence)
            for widget in (picture, title, note):
                widget.setVisible(there)
            if not there:
                continue
            evidence = view.evidence[i]
            heat = None if evidence.map is None else coloured(evidence.map, view.limit, self._lut)
            picture.setValue(view.crop, view.outline, heat)
            title.setText(evidence.title)
            note.setText(evidence.note)

    def _show_measurements(self, rows: tuple[tuple[str, str], ...]) -> None:
        while self._measures.rowCount():
            self._measures.removeRow(0)
        for name, value in rows:
            label = QLabel(value)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            self._measures.addRow(name, label)

    # ---- rows ----------------------------------------------------------------------------------------------

    def _walk_row(self) -> QHBoxLayout:
        row = QHBoxLayout()
        for text, step, tip in (("◀ Previous (p)", -1, "Previous cell"), ("Next (n) ▶", 1, "Next cell")):
            button = QPushButton(text)
            button.setToolTip(tip)
            button.clicked.connect(lambda _=False, step=step: self.stepped.emit(step))
            row.addWidget(button)
        return row

    def _picture_grid(self) -> QGridLayout:
        grid = QGridLayout()
        grid.setHorizontalSpacing(4)
        grid.setVerticalSpacing(1)
        self.crop_title = QLabel("cell")
        grid.addWidget(self.crop_title, 0, 0)
        grid.addWidget(self.crop, 1, 0)
        for i, (picture, title, note) in enumerate(zip(self.panels, self.titles, self.notes, strict=True), start=1):
            grid.addWidget(title, 0, i)
            grid.addWidget(picture, 1, i)
            note.setWordWrap(True)
            note.setToolTip(
                "Share of the positive evidence inside nucleus and cell over their share of the crop's area: "
                "1 = no better than spread evenly. Much below 1: the model looked at something else."
            )
            grid.addWidget(note, 2, i)
        for column in range(1 + _PANELS):
            grid.setColumnStretch(column, 1)
        return grid

    def _opacity_row(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.addWidget(QLabel("Heatmap"))
        row.addWidget(self.opacity, 1)
        return row

    def _edit_row(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(3)
        self.add_button = QPushButton("Add")
        self.add_button.setCheckable(True)
        self.add_button.setToolTip("Then click where a cell was missed; refine its mask with the brush.")
        self.add_button.toggled.connect(self.addToggled)
        self.split_button = QPushButton("Split")
        self.split_button.setToolTip("Split this cell in two at its waist. Or erase a line through it with the eraser.")
        self.split_button.clicked.connect(self.splitRequested)
        self.delete_button = QPushButton("Delete")
        self.delete_button.setToolTip("Delete this cell: it is no nucleated cell.")
        self.delete_button.clicked.connect(self.deleteRequested)
        self.undo_button, self.redo_button = QPushButton("Undo"), QPushButton("Redo")
        self.undo_button.setToolTip("Undo the last change of a class, tag, note, region or mask (Ctrl+Z)")
        self.redo_button.setToolTip("Redo (Ctrl+Shift+Z)")
        self.undo_button.clicked.connect(self.undoRequested)
        self.redo_button.clicked.connect(self.redoRequested)
        for button in (self.add_button, self.split_button, self.delete_button, self.undo_button, self.redo_button):
            button.setMinimumWidth(30)
            row.addWidget(button)
        return row

    def _on_opacity(self, percent: int) -> None:
        for picture in self.panels:
            picture.setOpacity(percent / 100)
        self.opacityChanged.emit(percent / 100)
