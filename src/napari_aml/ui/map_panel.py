"""The embedding map: each cell a point, alike cells close together; a lasso chooses cells everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QPointF, Qt, QTimer, Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_aml.errors import AmlError
from napari_aml.progress import Progress
from napari_aml.ui.gallery_cells import GalleryCells
from napari_aml.ui.jobs import JobBar, in_words
from napari_aml.ui.listening import Listening
from napari_aml.ui.map_colours import COLOURINGS, colour_groups
from napari_aml.ui.map_plot import MapPlot
from napari_aml.ui.patient_timer import PatientTimer
from napari_aml.ui.state import ReviewState, RowsChanged

if TYPE_CHECKING:
    from napari_aml.analysis import Analysis
    from napari_aml.progress import Steps
    from napari_aml.review.embedding import Likeness

PCA, UMAP = "PCA", "UMAP"
#: How many cells "like this one" are shown.
ALIKE = 24
#: Up to so many cells the PCA takes a blink and is not worth a thread.
AT_ONCE = 5000
_SETTLE_MS, _LATER_MS = 250, 400
_HELP = "Draw around points to choose cells. Right button: move; wheel: zoom."


class MapPanel(QWidget):
    """Map of the cells of all slides that the same model has classified.

    Parameters
    ----------
    state
        Of the review.

    Attributes
    ----------
    opened
        Emitted with the uid of a double-clicked cell.
    said
        Emitted with words for a person (str); empty when there is nothing to say.
    """

    opened = Signal(str)
    said = Signal(str)

    def __init__(self, state: ReviewState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.state, self.listening = state, Listening()
        self.cells = GalleryCells(state, [])
        self.layout_of: np.ndarray = np.zeros((0, 2), np.float32)
        self._likeness: tuple[object, Likeness | None] = (None, None)
        self._sources: list[np.ndarray] = []
        self.plot = MapPlot()
        self.method = QComboBox()
        self.method.addItems([PCA, UMAP])
        self.method.setToolTip("PCA comes at once; UMAP shows neighbourhoods better and takes a while.")
        self.colour = QComboBox()
        self.colour.addItems(list(COLOURINGS))
        self.colour.setToolTip("What the colour of a point means")
        self.whole = QPushButton("Whole map")
        self.whole.setToolTip("Bring all cells into view again, after zooming or moving.")
        self.alike = QPushButton("Cells like this one")
        self.alike.setToolTip("Show in the gallery the cells whose embedding is most like the chosen one's (f).")
        self.others = QPushButton("… of another class")
        self.others.setToolTip("The most alike cells that have another class: where the two are easily confused.")
        self.message = QLabel(_HELP)
        self.message.setWordWrap(True)
        self.jobs = JobBar()
        self._again = False
        self._soon = QTimer(self, singleShot=True, interval=_SETTLE_MS)
        self._soon.timeout.connect(self._recolour)
        self._later = PatientTimer(state, _LATER_MS, self._read, self)
        self._build()
        self._connect()
        self._on_analysis()

    def _build(self) -> None:
        top = QHBoxLayout()
        for widget in (self.method, QLabel("colour:"), self.colour):
            top.addWidget(widget)
        top.addStretch(1)
        top.addWidget(self.whole)
        below = QHBoxLayout()
        for button in (self.alike, self.others):
            below.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.setSpacing(3)
        layout.addLayout(top)
        layout.addWidget(self.plot, 1)
        layout.addLayout(below)
        layout.addWidget(self.jobs)
        layout.addWidget(self.message)

    def _connect(self) -> None:
        state = self.state
        self.method.currentTextChanged.connect(lambda _: self._lay_out())
        self.colour.currentTextChanged.connect(lambda _: self._recolour())
        self.plot.lassoed.connect(self._on_lasso)
        self.plot.clicked.connect(self._on_click)
        self.plot.opened.connect(self._on_open)
        self.whole.clicked.connect(self.plot.fit)
        self.alike.clicked.connect(lambda: self.show_alike())
        self.others.clicked.connect(lambda: self.show_alike(other_class=True))
        self.jobs.failed.connect(self._on_failed)
        self.jobs.busyChanged.connect(self._on_busy)
        self.listening.connect(state.events.analysis, self._on_analysis)
        self.listening.connect(state.events.others, self._on_analysis)
        self.listening.connect(state.rows_changed, self._on_rows)
        self.listening.connect(state.events.waiting, self._on_waiting)
        self.listening.connect(state.events.selection, self._on_chosen)
        self.listening.connect(state.events.selected, self._on_chosen)

    def close_panel(self) -> None:
        """Stop jobs and stop listening."""
        self._soon.stop()
        self._later.stop()
        self._again = False
        self.jobs.cancel()
        self.listening.release()

    # ---- the layout ----------------------------------------------------------------------------------------

    def embedding(self) -> np.ndarray:
        """Return the embeddings of all cells on the map: float32 (n, d)."""
        return _joined(self._sources)

    def _on_analysis(self, *_: Any) -> None:
        if self.state.n_cells > AT_ONCE:  # picture and gallery first
            self._later.start()
            self._on_waiting("The map follows …")
        else:
            self._later.stop()
            self._read()

    def _read(self) -> None:
        """Read which cells are to be shown, and lay them out where they are others than before."""
        state = self.state
        current = state.analysis
        said = None if current is None else current.predictions
        shown = self.cells.analyses
        if state.pending and shown and current is not None and shown[0].cells.slide_id == current.cells.slide_id:
            return  # some cells are being classified again: the map waits for them
        analyses: list[Analysis] = []
        sources: list[np.ndarray] = []
        if current is not None and said is not None and not state.pending and said.embedding.shape[1]:
            analyses, sources = [current], [said.embedding]
            for other in state.others:
                told = other.predictions
                if (
                    told is not None and told.bundle_id == said.bundle_id
                    and told.embedding.shape[1] == said.embedding.shape[1]
                    and other.cells.slide_id != current.cells.slide_id
                ):  # fmt: skip
                    analyses.append(other)
                    sources.append(told.embedding)
        self.cells = GalleryCells.shared(state, analyses)
        if len(sources) != len(self._sources) or any(a is not b for a, b in zip(sources, self._sources, strict=True)):
            self._sources = sources
            self._lay_out()
        else:
            self._recolour()

    def _lay_out(self) -> None:
        """Lay out the cells: PCA at once (of many cells in the background), UMAP after it where it is wanted."""
        if self.jobs.busy:  # it stops at its next step; then this is done
            self._again = True
            self.jobs.cancel()
            return
        self._again = False
        self.layout_of = np.zeros((0, 2), np.float32)
        if not len(self.cells):
            self.plot.setPoints(self.layout_of, [])
            return
        sources = self._sources
        n, wants_umap = len(self.cells), self.method.currentText() == UMAP
        from napari_aml.review.embedding import principal_components, umap_steps

        if n <= AT_ONCE:
            try:
                self._take(principal_components(_joined(sources)))
            except AmlError as error:
                self._on_failed(error)
                return
            if not wants_umap:
                return

        def steps() -> Steps[np.ndarray]:
            yield Progress(0, 0, f"PCA of {n} cells")
            x = _joined(sources)
            layout = principal_components(x)
            yield Progress(0, 0, "", layout)
            return (yield from umap_steps(x)) if wants_umap else layout

        def take(layout: np.ndarray | None) -> None:
            if layout is not None and sources is self._sources:  # else other cells came meanwhile
                self._take(layout)

        job = self.jobs.run(steps, self.method.currentText())
        job.progressed.connect(lambda event: take(event.payload))
        job.returned.connect(take)

    def _take(self, layout: np.ndarray) -> None:
        if layout is not self.layout_of:
            self._on_waiting("")
            self.layout_of = layout
            self._recolour(fit=True)

    def _on_busy(self, busy: bool) -> None:
        if not busy and self._again:
            self._lay_out()

    def _recolour(self, *, fit: bool = False) -> None:
        if len(self.layout_of) != len(self.cells):
            return
        self.plot.setPoints(self.layout_of, colour_groups(self.cells, self.colour.currentText()), fit=fit)
        self._mark()

    def _on_failed(self, error: Exception) -> None:
        self._say(in_words(error))
        if self.method.currentText() == UMAP:
            self.method.blockSignals(True)
            self.method.setCurrentText(PCA)
            self.method.blockSignals(False)

    def _say(self, text: str) -> None:
        self.message.setText(text)
        self.said.emit(text)

    # ---- following the state -------------------------------------------------------------------------------

    def _on_waiting(self, text: str) -> None:
        self.message.setText(text or self.state.waiting or _HELP)

    def _on_rows(self, what: RowsChanged) -> None:
        if not what.said:
            self._on_analysis()
        else:
            self.cells.follow(what)
            self._soon.start()

    def _on_chosen(self, _: object) -> None:
        self._mark()
        n = len(self.state.selection)
        if n > 1:
            self._say(f"{n} cells chosen: their keys and the gallery act on all of them.")
        else:
            self._on_waiting("")

    def _mark(self) -> None:
        if len(self.layout_of) != len(self.cells):
            return
        rows = self.cells.find_all(self.state.selection)
        rows = rows[rows >= 0]
        current = self.cells.find(self.state.selected)
        self.plot.setChosen(rows, current)
        self.alike.setEnabled(current is not None)
        self.others.setEnabled(current is not None)

    # ---- what a person does --------------------------------------------------------------------------------

    def _on_lasso(self, corners: np.ndarray, add: bool) -> None:
        from napari_aml.review.regions import inside

        rows = np.flatnonzero(inside(corners, self.layout_of[:, 1], self.layout_of[:, 0]))
        chosen = {self.cells.uids[i] for i in rows}
        self.state.select(chosen | self.state.selection if add else chosen)

    def _nearest_to(self, point: QPointF, within: tuple[float, float]) -> int | None:
        if not len(self.layout_of):
            return None
        far = np.abs(self.layout_of - (point.x(), point.y())) / within
        best = int((far**2).sum(1).argmin())
        return best if far[best].max() <= 1 else None

    def _on_click(self, point: QPointF, within: tuple[float, float]) -> None:
        i = self._nearest_to(point, within)
        if i is not None:
            self.state.selected = self.cells.uids[i]

    def _on_open(self, point: QPointF, within: tuple[float, float]) -> None:
        i = self._nearest_to(point, within)
        if i is not None:
            self.opened.emit(self.cells.uids[i])

    def show_alike(self, uid: str | None = None, *, other_class: bool = False) -> None:
        """Let the gallery show the cells most like one (the chosen one), of any or of another class only."""
        uid = self.state.selected if uid is None else uid
        i = self.cells.find(uid)
        if i is None:
            self._say("Choose a classified cell first.")
            return
        if self._likeness[0] is not self._sources:
            from napari_aml.review.embedding import Likeness

            try:
                self._likeness = (self._sources, Likeness(self.embedding()))
            except AmlError as error:
                self._say(in_words(error))
                return
        like = self._likeness[1]
        assert like is not None
        if other_class:
            rows, _ = like.nearest_of_another_class(i, self.cells.codes, ALIKE)
        else:
            rows, _ = like.nearest(i, ALIKE)
        uids = (self.cells.uids[i], *(self.cells.uids[int(r)] for r in rows))
        title = f"{len(rows)} cells like {str(uid).rsplit('-', 1)[-1]}" + (" of another class" if other_class else "")
        self.state.only = (title, uids)
        self.state.select(uids, uid)
        self._say(title + " are shown in the gallery, most alike first.")

    def keyPressEvent(self, event: Any) -> None:
        """Escape chooses nothing."""
        if event.key() == Qt.Key.Key_Escape:
            self.state.select(())
        else:
            super().keyPressEvent(event)


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts) if parts else np.zeros((0, 0), np.float32)
