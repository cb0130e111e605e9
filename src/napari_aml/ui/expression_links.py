"""Which slides belong to the chosen sample, and what is known of the person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_aml.review.sides import Person
from napari_aml.ui.expression_call import wrapped

_SLIDE = int(Qt.ItemDataRole.UserRole)
_LEAST_LIST, _MOST_LIST = 40, 92  # pixels
_NOT_GIVEN = -1


@dataclass(frozen=True, slots=True)
class SlideRow:
    """One slide that can be linked.

    Attributes
    ----------
    slide_id
        The slide.
    title
        What a person calls it here (the layer's name).
    linked
        Sample that it is linked to; empty without a link.
    note
        What is wrong with the link (file changed or gone); empty otherwise.
    """

    slide_id: str
    title: str
    linked: str = ""
    note: str = ""


class SlideLinks(QWidget):
    """Slides with a tick box each; age and sex; Link and Remove."""

    linkRequested = Signal(tuple)
    unlinkRequested = Signal(tuple)
    personChanged = Signal()
    slidesTicked = Signal(tuple)
    modelChosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._rows: tuple[SlideRow, ...] = ()
        self._sample: str | None = None
        self._busy = False
        self.list = QListWidget()
        self.list.setFixedHeight(_LEAST_LIST)
        self.list.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setToolTip("Tick the slides of the chosen sample's patient.")
        self.link_button, self.unlink_button = QPushButton("Link"), QPushButton("Remove link")
        self.age = QSpinBox()
        self.age.setRange(_NOT_GIVEN, 120)
        self.age.setSpecialValueText("not given")
        self.age.setSuffix(" y")
        self.age.setValue(_NOT_GIVEN)
        self.age.setToolTip("Compared with the ages that a model was trained on.")
        self.sex = QComboBox()
        for title, value in (("not given", None), ("female", "female"), ("male", "male")):
            self.sex.addItem(title, value)
        self.sex.setToolTip("Declared sex; compared with what XIST says in the sample.")
        self.model_button = QPushButton("Patient model …")
        self.model_button.setToolTip("A patient bundle calls a subtype from the cells of the ticked slides.")
        self.note = wrapped()
        self._build()
        self.list.itemChanged.connect(lambda _: self._on_tick())
        self.link_button.clicked.connect(lambda: self.linkRequested.emit(self.ticked()))
        self.unlink_button.clicked.connect(lambda: self.unlinkRequested.emit(self.ticked()))
        self.model_button.clicked.connect(self._on_model)
        self.age.valueChanged.connect(lambda _: self.personChanged.emit())
        self.sex.currentIndexChanged.connect(lambda _: self.personChanged.emit())
        self._on_tick()

    def _build(self) -> None:
        row, person = QHBoxLayout(), QHBoxLayout()
        row.addWidget(self.link_button, 1)
        row.addWidget(self.unlink_button)
        person.addWidget(self.age, 1)
        person.addWidget(QLabel("sex"))
        person.addWidget(self.sex, 1)
        form = QFormLayout()
        form.addRow("Age", person)
        form.addRow("Pictures", self.model_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(QLabel("<b>Slides of this patient</b>"))
        layout.addWidget(self.list)
        layout.addLayout(row)
        layout.addWidget(self.note)
        layout.addLayout(form)

    # ---- value ---------------------------------------------------------------------------------------------

    def ticked(self) -> tuple[str, ...]:
        """Return the ids of the ticked slides."""
        items = (self.list.item(i) for i in range(self.list.count()))
        return tuple(item.data(_SLIDE) for item in items if item.checkState() == Qt.CheckState.Checked)

    def value(self) -> tuple[SlideRow, ...]:
        """Return the slides offered."""
        return self._rows

    def setValue(self, rows: Sequence[SlideRow]) -> None:
        """Offer slides; ticks stay. A slide that was not offered before is ticked when it is the only one."""
        before, known = set(self.ticked()), {r.slide_id for r in self._rows}
        self._rows = tuple(rows)
        self.list.blockSignals(True)
        self.list.clear()
        for row in self._rows:
            said = f"  →  {row.linked}" if row.linked else ""
            item = QListWidgetItem(f"{row.title}{said}{'  ⚠' if row.note else ''}")
            item.setData(_SLIDE, row.slide_id)
            link = f"linked to {row.linked}" if row.linked else ""
            item.setToolTip("\n".join(t for t in (row.title, row.slide_id, link, row.note) if t))
            item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsUserCheckable | Qt.ItemFlag.ItemIsSelectable)
            on = row.slide_id in before or (len(self._rows) == 1 and row.slide_id not in known)
            item.setCheckState(Qt.CheckState.Checked if on else Qt.CheckState.Unchecked)
            self.list.addItem(item)
        self.list.blockSignals(False)
        # As high as its slides need, so that the card below has the room.
        needed = sum(self.list.sizeHintForRow(i) for i in range(self.list.count())) + 2 * self.list.frameWidth() + 4
        self.list.setFixedHeight(min(max(needed, _LEAST_LIST), _MOST_LIST))
        self._on_tick()

    def tick(self, slide_ids: Sequence[str]) -> None:
        """Tick these slides and no others."""
        self.list.blockSignals(True)
        for i in range(self.list.count()):
            on = self.list.item(i).data(_SLIDE) in slide_ids
            self.list.item(i).setCheckState(Qt.CheckState.Checked if on else Qt.CheckState.Unchecked)
        self.list.blockSignals(False)
        self._on_tick()

    def person(self) -> Person:
        """Return what was said of the person."""
        age = self.age.value()
        return Person(None if age == _NOT_GIVEN else float(age), self.sex.currentData())

    def setPerson(self, person: Person) -> None:
        """Show what is known of the person."""
        blocked = self.blockSignals(True)
        self.age.setValue(_NOT_GIVEN if person.age is None else round(person.age))
        self.sex.setCurrentIndex(max(0, self.sex.findData(person.sex)))
        self.blockSignals(blocked)

    def setSample(self, sample: str | None) -> None:
        """Say which sample a link would be to."""
        self._sample = sample
        self._say()
        self._enable()

    def setBusy(self, busy: bool) -> None:
        """Whether a job runs."""
        self._busy = busy
        self._enable()

    def _on_model(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Folder of a patient bundle")
        if folder:
            self.modelChosen.emit(folder)

    def _on_tick(self) -> None:
        self._enable()
        self._say()
        self.slidesTicked.emit(self.ticked())

    def _say(self) -> None:
        """Say what is wrong with links, and which ticked slides are linked to another sample than the chosen one."""
        notes, ticked = [f"⚠ {r.title}: {r.note}" for r in self._rows if r.note], self.ticked()
        for row in self._rows:
            if row.slide_id in ticked and self._sample is not None and row.linked not in ("", self._sample):
                notes.append(f"⚠ {row.title} is linked to {row.linked}, not to the chosen sample {self._sample}.")
        if not self._rows:
            notes = ["No slide is open: open a smear picture to link it."]
        self.note.setText("\n".join(notes))
        self.note.setVisible(bool(notes))

    def _enable(self) -> None:
        ticked = set(self.ticked())
        linked = any(r.linked for r in self._rows if r.slide_id in ticked)
        self.link_button.setText("Link to the chosen sample")
        told = f"Keep with the slide that {self._sample} in the open file is its patient's." if self._sample else ""
        self.link_button.setToolTip(told or "Choose a sample first.")
        self.link_button.setEnabled(bool(ticked and self._sample) and not self._busy)
        self.unlink_button.setEnabled(linked and not self._busy)
