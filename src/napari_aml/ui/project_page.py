"""The page "Project" of the review: which project is open, who reads, its slides, where readers differ. No napari."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QComboBox,
    QFileDialog,
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

from napari_aml.ui.project_readers import ReadersBox, fit_height

_ID = int(Qt.ItemDataRole.UserRole)
_NONE = "No project is open. Decisions last as long as this window: make a project to keep them."


@dataclass(frozen=True)
class SlideLine:
    """One slide as the page lists it: id, name, number of cells (None = not analysed), where its picture is."""

    slide_id: str
    name: str
    cells: int | None
    picture: str
    is_open: bool = False


class ProjectPage(QWidget):
    """Shows and asks; what it asks for, `napari_aml.viewer.project_session` does.

    Attributes
    ----------
    createRequested, openRequested
        Emitted with the folder chosen.
    closeRequested, addRequested
        Close the project; add the picture under review.
    slideChosen
        Emitted with the id of a slide that is to be shown.
    searchRequested
        Emitted with a folder in which missing pictures are to be looked for.
    readerChanged
        Emitted with the alias of the reader.
    blindedChanged
        Emitted with whether reading is blinded.
    """

    createRequested = Signal(str)
    openRequested = Signal(str)
    closeRequested = Signal()
    addRequested = Signal()
    slideChosen = Signal(str)
    searchRequested = Signal(str)
    readerChanged = Signal(str)
    blindedChanged = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.title = _wrapped()
        self.note = _wrapped()
        self.new_button = QPushButton("New …")
        self.open_button = QPushButton("Open …")
        self.close_button = QPushButton("Close")
        self.reader = QComboBox()
        self.reader.setEditable(True)
        self.reader.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.reader.setToolTip("Your alias: it stands at each of your decisions. Never a patient's name.")
        self.blinded = QCheckBox("blinded")
        self.blinded.setToolTip("Of each cell hide the model's and other readers' words until you have decided.")
        self.slides = QTreeWidget()
        self.slides.setHeaderLabels(["Slide", "Cells", "Picture"])
        self.slides.setRootIsDecorated(False)
        self.slides.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.slides.setToolTip("Double-click a slide to show it.")
        header = self.slides.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for column in (1, 2):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        self.add_button = QPushButton("Add this picture")
        self.add_button.setToolTip("Put the picture under review, its cells and your decisions into the project.")
        self.search_button = QPushButton("Find pictures …")
        self.search_button.setToolTip("Look in a folder for pictures that are missing, by their content.")
        self.readers = ReadersBox()
        self._build()
        self._connect()
        self.setProject(None, "")

    def _build(self) -> None:
        top, who, below = QHBoxLayout(), QHBoxLayout(), QHBoxLayout()
        for button in (self.new_button, self.open_button, self.close_button):
            top.addWidget(button)
        who.addWidget(QLabel("Reader"))
        who.addWidget(self.reader, 1)
        who.addWidget(self.blinded)
        below.addWidget(self.add_button)
        below.addWidget(self.search_button)
        slides = QGroupBox("Slides")
        inside = QVBoxLayout(slides)
        inside.setContentsMargins(6, 6, 6, 6)
        inside.addWidget(self.slides)
        inside.addLayout(below)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.addWidget(self.title)
        layout.addLayout(top)
        layout.addWidget(self.note)
        layout.addLayout(who)
        layout.addWidget(slides)
        layout.addWidget(self.readers)
        layout.addStretch(1)

    def _connect(self) -> None:
        self.new_button.clicked.connect(self._ask_new)
        self.open_button.clicked.connect(self._ask_open)
        self.close_button.clicked.connect(self.closeRequested)
        self.add_button.clicked.connect(self.addRequested)
        self.search_button.clicked.connect(self._ask_search)
        self.reader.activated.connect(lambda _: self._on_reader())
        line = self.reader.lineEdit()
        assert line is not None  # it is editable
        line.editingFinished.connect(self._on_reader)
        self.blinded.toggled.connect(self.blindedChanged)
        self.slides.itemDoubleClicked.connect(lambda item, _: self.slideChosen.emit(item.data(0, _ID)))

    # ---- what it shows -------------------------------------------------------------------------------------

    def setProject(self, name: str | None, folder: str, notes: Sequence[str] = (), read_only: bool = False) -> None:
        """Show which project is open; None for none."""
        is_open = name is not None
        self.title.setText(_NONE if name is None else f"<b>{_escaped(name)}</b><br>{_escaped(folder)}")
        self.setNotes(notes)
        self.close_button.setEnabled(is_open)
        self.add_button.setEnabled(is_open and not read_only)
        self.search_button.setEnabled(is_open and not read_only)
        self.readers.setEnabled(is_open)
        if not is_open:
            self.setSlides([])
            self.readers.setSummary(None, [])

    def setNotes(self, notes: Sequence[str]) -> None:
        """Show what a person should know about the project now."""
        self.note.setText("\n".join(f"⚠ {note}" for note in notes))
        self.note.setVisible(bool(notes))

    def setReaders(self, aliases: Sequence[str], current: str) -> None:
        """Show who there is and who reads now."""
        blocked = self.reader.blockSignals(True)
        self.reader.clear()
        self.reader.addItems(list(dict.fromkeys([*aliases, current])))
        self.reader.setCurrentText(current)
        self.reader.blockSignals(blocked)
        self._reader = current

    def setBlinded(self, on: bool) -> None:
        """Show whether reading is blinded."""
        blocked = self.blinded.blockSignals(True)
        self.blinded.setChecked(on)
        self.blinded.blockSignals(blocked)

    def setSlides(self, lines: Sequence[SlideLine]) -> None:
        """List the slides; those that are open stand in bold."""
        self.slides.clear()
        for line in lines:
            cells = "–" if line.cells is None else str(line.cells)
            item = QTreeWidgetItem([line.name, cells, line.picture])
            item.setData(0, _ID, line.slide_id)
            item.setToolTip(0, f"{line.name}\n{line.slide_id}")
            item.setTextAlignment(1, int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter))
            font = item.font(0)
            font.setBold(line.is_open)
            item.setFont(0, font)
            self.slides.addTopLevelItem(item)
        fit_height(self.slides, 6)

    # ---- what it asks --------------------------------------------------------------------------------------

    def _on_reader(self) -> None:
        alias = self.reader.currentText().strip()
        if not alias:
            self.reader.setCurrentText(self._reader)
        elif alias != self._reader:
            self._reader = alias
            self.readerChanged.emit(alias)

    def _ask_new(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "New project", "project.amlproj", "Projects (*.amlproj)")
        if path:
            self.createRequested.emit(path)

    def _ask_open(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Open a project folder (NAME.amlproj)")
        if path:
            self.openRequested.emit(path)

    def _ask_search(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Where to look for missing pictures")
        if path:
            self.searchRequested.emit(path)


def _wrapped() -> QLabel:
    label = QLabel()
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label


def _escaped(text: str) -> str:
    import html

    # A long path has no spaces: it may break after each folder.
    return html.escape(text).replace("/", "/\u200b")
