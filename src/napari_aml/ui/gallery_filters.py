"""The gallery's bar of filters: search, decided or not, confidence, tag, size, slide, reader, order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QMenu,
    QPushButton,
    QSlider,
    QSpinBox,
    QToolButton,
    QWidget,
    QWidgetAction,
)

from napari_aml.ui.gallery_query import DECISIONS, SEARCH_HELP, SORTS, TRUST, GalleryQuery
from napari_aml.ui.gallery_view import LARGEST, SMALLEST, START_SIDE

_ANY = "any"
_TYPING_MS = 200


class FilterBar(QWidget):
    """Edits a `GalleryQuery`, all but its classes.

    Attributes
    ----------
    changed
        Emitted with the new query.
    sideChanged
        Emitted with the side of a thumbnail in pixels.
    """

    changed = Signal(object)
    sideChanged = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._query = GalleryQuery()
        self._setting = False
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search ( / ): class, tag, note, id")
        self.search.setToolTip(SEARCH_HELP)
        self.search.setClearButtonEnabled(True)
        self.search.setFixedWidth(200)
        self._typing = QTimer(self, singleShot=True, interval=_TYPING_MS)
        self._typing.timeout.connect(self._on_change)
        self.search.textChanged.connect(lambda _: self._typing.start())
        self.search.returnPressed.connect(self._on_change)
        self.decided = _combo(DECISIONS, "Decided by you or not")
        self.sort = _combo(SORTS.values(), "Order of the cells", SORTS)
        self.sort.setFixedWidth(200)
        self.decided.setFixedWidth(140)
        self.descending = QToolButton()
        self.descending.setText("⇅")
        self.descending.setCheckable(True)
        self.descending.setToolTip("The other way round")
        self.grouped = QCheckBox("by class")
        self.grouped.setChecked(True)
        self.grouped.setToolTip("One class after the other, each under its name and count")
        self.more = QToolButton()
        self.more.setText("More filters")
        self.more.setMinimumWidth(108)  # the arrow would lie on the words
        self.more.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.more.setMenu(self._menu())
        self.side = QSlider(Qt.Orientation.Horizontal)
        self.side.setRange(SMALLEST, LARGEST)
        self.side.setValue(START_SIDE)
        self.side.setMaximumWidth(100)
        self.side.setToolTip("Size of the pictures")
        self.side.valueChanged.connect(self.sideChanged)
        row = QHBoxLayout(self)
        row.setContentsMargins(2, 2, 2, 2)
        row.setSpacing(4)
        for widget in (self.search, self.decided, self.sort, self.descending, self.grouped, self.more):
            row.addWidget(widget)
        row.addStretch(1)
        row.addWidget(QLabel("Size"))
        row.addWidget(self.side)
        for combo in (self.decided, self.sort, self.tag, self.slide, self.reader, self.trust):
            combo.currentIndexChanged.connect(lambda _: self._on_change())
        for spin in (self.low, self.high, self.small, self.large):
            spin.valueChanged.connect(lambda _: self._typing.start())
        self.descending.toggled.connect(lambda _: self._on_change())
        self.grouped.toggled.connect(lambda _: self._on_change())

    def _menu(self) -> QMenu:
        self.tag = _combo([_ANY], "Only cells with this tag")
        self.slide = _combo([_ANY], "Only cells of this slide")
        self.reader = _combo([_ANY], "Only cells that this reader decided")
        self.trust = _combo(TRUST.values(), "How far the model's word on a cell is to be trusted", TRUST)
        self.low, self.high = _percent(0), _percent(100)
        self.small, self.large = _area(0), _area(0)
        self.large.setSpecialValueText("no limit")
        reset = QPushButton("Show all cells")
        reset.clicked.connect(lambda: self.setValue(GalleryQuery()))
        body = QWidget()
        form = QFormLayout(body)
        for title, widgets in (
            ("Confidence", (self.low, QLabel("to"), self.high)), ("Size", (self.small, QLabel("to"), self.large)),
            ("Trust", (self.trust,)), ("Tag", (self.tag,)), ("Slide", (self.slide,)), ("Reader", (self.reader,)),
        ):  # fmt: skip
            row = QHBoxLayout()
            for widget in widgets:
                row.addWidget(widget)
            form.addRow(title, row)
        form.addRow(reset)
        menu = QMenu(self)
        action = QWidgetAction(menu)
        action.setDefaultWidget(body)
        menu.addAction(action)
        return menu

    def setChoices(self, tags: Sequence[str], slides: Mapping[str, str], readers: Sequence[str]) -> None:
        """Set what can be chosen (slides by id: what they are called); what is chosen stays, where it still can be."""
        self._setting = True
        named = {name: name for name in tags}, slides, {name: name for name in readers}
        for combo, names in zip((self.tag, self.slide, self.reader), named, strict=True):
            chosen = combo.currentData()
            combo.clear()
            combo.addItem(_ANY, None)
            for value, title in names.items():
                combo.addItem(title, value)
            combo.setCurrentIndex(max(0, combo.findData(chosen)))
        self._setting = False

    def value(self) -> GalleryQuery:
        """Return the query."""
        def chosen(combo: QComboBox) -> str | None:
            return None if combo.currentIndex() <= 0 else combo.currentData()

        return replace(
            self._query, text=self.search.text(), decided=self.decided.currentData(), sort=self.sort.currentData(),
            descending=self.descending.isChecked(), grouped=self.grouped.isChecked(), tag=chosen(self.tag),
            slide=chosen(self.slide), reader=chosen(self.reader), least_confidence=self.low.value() / 100,
            most_confidence=self.high.value() / 100, least_um2=self.small.value(),
            most_um2=self.large.value() or np.inf, trust=self.trust.currentData(),
        )  # fmt: skip

    def setValue(self, query: GalleryQuery) -> None:
        """Show a query."""
        self._setting = True
        self._query = query
        self.search.setText(query.text)
        self.decided.setCurrentIndex(self.decided.findData(query.decided))
        self.sort.setCurrentIndex(self.sort.findData(query.sort))
        self.descending.setChecked(query.descending)
        self.grouped.setChecked(query.grouped)
        for combo, name in ((self.tag, query.tag), (self.slide, query.slide), (self.reader, query.reader)):
            combo.setCurrentIndex(max(0, combo.findData(name)) if name else 0)
        self.low.setValue(round(100 * query.least_confidence))
        self.high.setValue(round(100 * query.most_confidence))
        self.small.setValue(query.least_um2)
        self.large.setValue(0 if np.isinf(query.most_um2) else query.most_um2)
        self.trust.setCurrentIndex(self.trust.findData(query.trust))
        self._setting = False
        self._on_change()

    def setCodes(self, codes: frozenset[str] | None) -> None:
        """Show these classes only; None for all."""
        self._query = replace(self._query, codes=codes)
        self._on_change()

    def _on_change(self) -> None:
        self._typing.stop()
        if self._setting:
            return
        query = self.value()
        hidden = query.tag or query.slide or query.reader or (query.least_confidence, query.most_confidence) != (0, 1)
        narrowed = bool(hidden or query.trust) or query.least_um2 > 0 or np.isfinite(query.most_um2)
        self.more.setText("More filters ●" if narrowed else "More filters")
        self.changed.emit(query)


def _combo(names: Any, tip: str, data: Any = None) -> QComboBox:
    combo = QComboBox()
    for name, value in zip(names, data if data is not None else names, strict=True):
        combo.addItem(name, value)
    combo.setToolTip(tip)
    combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
    return combo


def _percent(value: int) -> QSpinBox:
    spin = QSpinBox()
    spin.setRange(0, 100)
    spin.setValue(value)
    spin.setSuffix(" %")
    return spin


def _area(value: float) -> QDoubleSpinBox:
    spin = QDoubleSpinBox()
    spin.setRange(0, 10_000)
    spin.setDecimals(0)
    spin.setValue(value)
    spin.setSuffix(" µm²")
    return spin
