"""The cell gallery: filters above, classes at the left, cells in the middle, keys for all of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QInputDialog, QLabel, QPushButton, QSplitter, QVBoxLayout, QWidget

from napari_aml.review.decisions import CLASS, views
from napari_aml.review.reader_view import TAGS
from napari_aml.ui.class_strip import ClassStrip
from napari_aml.ui.deciding import Decider
from napari_aml.ui.gallery_filters import FilterBar
from napari_aml.ui.gallery_model import GalleryModel
from napari_aml.ui.gallery_painting import CellPainter
from napari_aml.ui.gallery_view import GalleryView
from napari_aml.ui.key_sheet import KeySheet
from napari_aml.ui.listening import Listening
from napari_aml.ui.shortcuts import KeyBindings, KeyTable, class_actions, tag_actions
from napari_aml.ui.thumbnails import Thumbnails

if TYPE_CHECKING:
    from napari_aml.analysis import Analysis

#: Counts follow a decision after this time.
_COUNT_MS = 60


class GalleryPanel(QWidget):
    """Browse and decide.

    Parameters
    ----------
    decider
        Takes what a person says; its state is shown.
    key_table
        The keys.
    lut
        uint8 (n, 4): colours of the evidence scale.
    undo, redo
        Called for their keys.

    Attributes
    ----------
    opened
        Emitted with the uid of a cell that is to be shown on the picture.
    alikeRequested
        Emitted with the uid of a cell whose like is looked for.
    """

    opened = Signal(str)
    alikeRequested = Signal(str)

    def __init__(
        self, decider: Decider, key_table: KeyTable, lut: np.ndarray, undo: Callable[[], object],
        redo: Callable[[], object], parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.decider, self.state, self.key_table = decider, decider.state, key_table
        self.listening = Listening()
        self.model = GalleryModel(self.state, self.listening, self)
        self.thumbnails = Thumbnails(self._locate, self)
        painter = CellPainter(self.model, self.thumbnails, lut)
        self.view = GalleryView(self.model, self.thumbnails, painter, self.listening)
        self.filters = FilterBar()
        self.classes = ClassStrip(key_table)
        self.status = QLabel()
        self.only = QPushButton()
        self.only.setToolTip("Only these cells are shown. Click to show all again.")
        self.only.clicked.connect(lambda: setattr(self.state, "only", None))
        self.only.hide()
        self.blinded = QCheckBox("blinded")
        self.blinded.setToolTip("Hide the model's word, heatmaps and other readers' words until you have decided.")
        self.advance = QCheckBox("go on")
        self.advance.setChecked(True)
        self.advance.setToolTip("After a decision on one cell go on to the next.")
        self.help_button = QPushButton("Keys (F1)")
        self._sheet: KeySheet | None = None
        self._waiting = 0
        self._soon = QTimer(self, singleShot=True, interval=_COUNT_MS)
        self._soon.timeout.connect(self._count)
        self._build()
        self._connect(undo, redo)
        self._count()

    def _build(self) -> None:
        middle = QSplitter(Qt.Orientation.Horizontal)
        middle.addWidget(self.classes)
        middle.addWidget(self.view)
        middle.setStretchFactor(1, 1)
        middle.setSizes([185, 800])
        bottom = QHBoxLayout()
        bottom.addWidget(self.only)
        bottom.addWidget(self.status, 1)
        for widget in (self.blinded, self.advance, self.help_button):
            bottom.addWidget(widget)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 2, 4, 2)
        layout.setSpacing(2)
        layout.addWidget(self.filters)
        layout.addWidget(middle, 1)
        layout.addLayout(bottom)
        self.setMinimumHeight(150)

    def _connect(self, undo: Callable[[], object], redo: Callable[[], object]) -> None:
        state, view = self.state, self.view
        self.filters.changed.connect(self.model.setQuery)
        self.filters.changed.connect(lambda query: self.classes.setCodes(query.codes))
        self.filters.sideChanged.connect(view.setSide)
        self.filters.more.menu().aboutToShow.connect(self._list_choices)
        self.classes.filtered.connect(self.filters.setCodes)
        self.classes.dropped.connect(lambda uids, code: self.decider.decide(uids, code))
        self.decider.waiting.connect(self._on_waiting)
        self.model.counted.connect(self._soon.start)
        self.model.reordered.connect(self._soon.start)
        self.help_button.clicked.connect(self.show_keys)
        self.blinded.toggled.connect(lambda on: setattr(state, "blinded", on))
        view.opened.connect(self.opened)
        leave = QShortcut(QKeySequence("Esc"), self.filters.search, context=Qt.ShortcutContext.WidgetShortcut)
        leave.activated.connect(self.leave_search)
        self.listening.connect(state.events.blinded, self._on_blinded)
        self.listening.connect(state.events.selection, self._on_selection)
        self.listening.connect(state.events.only, self._on_only)
        self.listening.connect(self.key_table.changed, self.classes.show_keys)
        KeyBindings(self, self.key_table, {
            **class_actions(self.decide), **tag_actions(self.toggle_tag), "confirm": self.confirm,
            "withdraw": lambda: self.decider.withdraw(self.chosen()), "note": self.write_note, "undo": undo,
            "redo": redo, "next": lambda: view.walk(1), "previous": lambda: view.walk(-1),
            "fly": self.fly,
            "search": self.search, "help": self.show_keys,
            "alike": lambda: state.selected and self.alikeRequested.emit(state.selected),
        })  # fmt: skip

    def close_panel(self) -> None:
        """Stop threads and stop listening to the state."""
        self._soon.stop()
        self.listening.release()
        self.thumbnails.close()

    # ---- what keys and buttons do --------------------------------------------------------------------------

    def chosen(self) -> list[str]:
        """Return the uids that are chosen, in the gallery's order; hidden ones after the shown ones."""
        rows = self.model.rows_of(self.state.selection)
        shown = [self.model.uid(int(row)) for row in rows]
        return shown + sorted(self.state.selection.difference(shown))

    def decide(self, code: str) -> None:
        """Give the chosen cells a class, then go on where that is wanted."""
        uids = self.chosen()
        if uids and (self.decider.decide(uids, code) or self.state.decided.get(uids[0]) == code):
            self._go_on(uids)

    def confirm(self) -> None:
        """Confirm the classes shown of the chosen cells, then go on where that is wanted."""
        uids = self.chosen()
        if uids and (self.decider.confirm(uids) or all(uid in self.state.decided for uid in uids)):
            self._go_on(uids)

    def toggle_tag(self, name: str) -> None:
        """Put a tag on all chosen cells, or take it off where all have it."""
        uids = self.chosen()
        if uids:
            self.decider.tag(uids, name, not all(name in self.state.tags.get(uid, ()) for uid in uids))

    def write_note(self) -> None:
        """Ask for a note on the current cell."""
        uid = self.state.selected
        if uid is None:
            return
        text, given = QInputDialog.getText(self, "Note", f"Note on {uid}:", text=self.state.notes.get(uid, ""))
        if given:
            self.decider.note(uid, text)

    def search(self) -> None:
        """Go to the search field."""
        self.filters.search.setFocus()
        self.filters.search.selectAll()

    def fly(self) -> None:
        """Show the current cell on the picture; from the search field go to what was found, where keys say classes."""
        if self.filters.search.hasFocus():
            self.filters.search.returnPressed.emit()  # the key that the field itself does not get
            self.view.setFocus()
        elif self.state.selected:
            self.opened.emit(self.state.selected)

    def leave_search(self) -> None:
        """Show all cells again and go back to them."""
        self.filters.search.clear()
        self.view.setFocus()

    def show_keys(self) -> None:
        """Show the sheet of keys."""
        if self._sheet is None:
            self._sheet = KeySheet(self.key_table, self)
        self._sheet.show()
        self._sheet.raise_()

    def _go_on(self, uids: list[str]) -> None:
        if self.advance.isChecked() and len(uids) == 1 and self.model.row_of(uids[0]) is not None:
            self.view.walk(1)

    # ---- following the state -------------------------------------------------------------------------------

    def _locate(self, uid: str) -> tuple[Analysis, float, float] | None:
        cells = self.model.cells
        i = cells.find(uid)
        if i is None:
            return None
        analysis, _ = cells.analysis_of(i)
        return analysis, float(cells.y[i]), float(cells.x[i])

    def _on_selection(self, *_: object) -> None:
        self._say()

    def _on_waiting(self, rows: int) -> None:
        self._waiting = rows
        self._say()

    def _on_blinded(self, on: bool) -> None:
        self.blinded.setChecked(on)

    def _on_only(self, only: tuple[str, tuple[str, ...]] | None) -> None:
        self.only.setVisible(only is not None)
        self.only.setText("" if only is None else f"✕  {only[0]}")

    def _count(self) -> None:
        self.classes.setCounts(self.model.cells.counts())
        self._say()

    def _list_choices(self) -> None:
        """List tags, slides and readers when they are about to be chosen from: reading the record takes time."""
        state = self.state
        readers = [state.reader] if state.blinded else sorted(views(state.store.decisions(), CLASS))
        tags = sorted({*TAGS, *(name for names in state.tags.values() for name in names)})
        cells = self.model.cells
        slides = dict(zip((a.cells.slide_id for a in cells.analyses), cells.slide_titles(), strict=True))
        self.filters.setChoices(tags, slides, readers)

    def _say(self) -> None:
        n, shown, chosen = len(self.model.cells), len(self.model.order), len(self.state.selection)
        cells = "cell" if n == 1 else "cells"
        words = [f"{shown} of {n} {cells}" if shown != n else f"{n} {cells}"]
        if chosen:
            words.append(f"{chosen} chosen")
        decided = int(self.model.cells.decided.sum())
        if decided:
            words.append(f"{decided} decided by {self.state.reader}")
        if self._waiting:
            words.append(f"recording {self._waiting} words …")
        self.status.setText("   ·   ".join(words))
