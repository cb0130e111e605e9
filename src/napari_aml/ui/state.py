"""What the review shows: one evented object. Widgets read it and listen to it; nothing else holds state."""

from __future__ import annotations

import operator
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from itertools import repeat
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from psygnal import Signal, SignalGroupDescriptor

from napari_aml.review.decisions import Decision, DecisionStore, MemoryStore
from napari_aml.review.reader_view import ReaderView
from napari_aml.ui.cell_index import CellIndex, boxes_of, index_of
from napari_aml.ui.changes import RowsChanged

if TYPE_CHECKING:
    from napari_aml.analysis import Analysis
    from napari_aml.cells import Cells
    from napari_aml.classify import ModelBundle, Predictions
    from napari_aml.explain import Heatmaps
    from napari_aml.review.regions import Region

#: Heatmap targets that depend on the cell; any other target is a class code.
PREDICTED, RUNNER_UP = "predicted", "runner-up"

#: The code of a cell that no one has classified yet.
UNCLASSIFIED = ""

#: Whose word colours a cell: the reader's where there is one, else the model's; or always the model's.
FINAL, PREDICTION = "final", "prediction"

#: Who decides while no one has given a name.
DEFAULT_READER = "reader 1"


@dataclass
class ReviewState:
    """The slide under review and what a person looks at.

    Setting a field emits ``state.events.<field>``; a change of single cells emits `rows_changed` instead.

    Attributes
    ----------
    analysis
        Slide, cells, predictions and heatmaps, always aligned row by row; None before the first job.
    selected
        uid of the cell under inspection, or None. Setting it makes it the only cell of the selection.
    selection
        uids of all chosen cells, `selected` among them; the same in gallery, canvas and map. See `select`.
    pending
        uids of cells whose prediction is still to come (during a job, after a mask edit).
    target
        What the heatmaps explain: `PREDICTED`, `RUNNER_UP` or a class code.
    method, stage
        CAM method and stage of the network (3 = last).
    heat_limit
        Evidence at which the heatmap's colour scale ends, the same for every cell; 0 = not known yet.
    colour_by
        Whose word is shown of a cell: `FINAL` or `PREDICTION`.
    reader
        Alias of the person who decides.
    store
        The record of decisions; setting it (or `reader`) reads that reader's view from it.
    blinded
        Whether of a cell neither the model's word nor that of other readers is shown before this reader's first one.
    queue
        (uid, why) of the cells to look at next, first one first.
    others
        Analyses of the session's other slides; the gallery shows them, too.
    only
        (title, uids): the gallery shows these cells alone, in this order, under this title; None for all.
    waiting
        What cells are being waited for, in words for a person; empty for nothing.
    """

    analysis: Analysis | None = None
    selected: str | None = None
    pending: frozenset[str] = frozenset()
    target: str = PREDICTED
    method: str = "gradcam"
    stage: int = 3
    heat_limit: float = 0.0
    colour_by: str = FINAL
    selection: frozenset[str] = frozenset()
    reader: str = DEFAULT_READER
    store: DecisionStore = field(default_factory=MemoryStore)
    blinded: bool = False
    queue: list[tuple[str, str]] = field(default_factory=list)
    others: tuple[Analysis, ...] = ()
    only: tuple[str, tuple[str, ...]] | None = None
    waiting: str = ""

    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor(
        equality_operators=dict.fromkeys(("analysis", "store", "queue", "others"), operator.is_)
    )
    rows_changed: ClassVar[Signal] = Signal(RowsChanged)

    def __post_init__(self) -> None:
        self._model_codes: tuple[object, np.ndarray] = (None, np.zeros(0, object))
        self._selecting = False
        self._offered: ReaderView | None = None
        self._view = ReaderView(self.reader, self.store.decisions())
        self.events.selected.connect(self._on_selected)
        self.events.selection.connect(self._on_selection)
        self.events.store.connect(self.read_store)
        self.events.reader.connect(self.read_store)
        for event in (self.events.blinded, self.events.colour_by):
            event.connect(self._announce_all)

    # ---- reading -------------------------------------------------------------------------------------------

    @property
    def at_hand(self) -> Analysis:
        """The analysis, for whoever knows that there is one: cells were found, or one of them is chosen."""
        if self.analysis is None:
            raise LookupError("no slide is under review")
        return self.analysis

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return 0 if self.analysis is None else len(self.analysis.cells.table)

    def row(self, uid: str | None) -> int | None:
        """Return the row of a cell, None when there is no such cell."""
        return self._index().row_of_uid.get(uid) if uid is not None else None

    def rows(self, uids: Collection[str]) -> np.ndarray:
        """Return the rows of those cells that are there: int (m,), in the order of `uids`."""
        rows = self.places(uids)
        return rows[rows >= 0]

    def places(self, uids: Collection[str]) -> np.ndarray:
        """Return the row of each cell, -1 where it is not there: int (m,), in the order of `uids`."""
        index, n = self._index(), len(uids)
        return np.arange(n) if uids is index.every else np.fromiter(map(index.row_of_uid.get, uids, repeat(-1)), int, n)

    @property
    def uids(self) -> list[str]:
        """Return the uid of each cell. To read only."""
        return self._index().uids

    def row_of_label(self, label: int) -> int | None:
        """Return the row of the cell that has a label in the label image."""
        return self._index().row_of_label.get(int(label))

    def uid_at(self, y: float, x: float) -> str | None:
        """Return the uid of the cell whose mask covers a point (level-0 pixels), or None."""
        if self.analysis is None:
            return None
        label = int(self.analysis.cells.masks.region(int(np.floor(y)), int(np.floor(x)), 1, 1)[0, 0])
        row = self.row_of_label(label) if label else None
        return None if row is None else str(self.analysis.cells.table["uid"].iloc[row])

    def codes(self) -> np.ndarray:
        """Return the class code of each cell as it may be shown: object (n,), `UNCLASSIFIED` where there is none."""
        codes = self.model_codes()
        if self.blinded:
            codes[~self.model_shown()] = UNCLASSIFIED
        return codes if self.colour_by == PREDICTION else self._with_decisions(codes)

    def codes_of(self, rows: np.ndarray) -> np.ndarray:
        """Return the class codes of some cells as they may be shown: object (m,); see `codes`."""
        if 4 * len(rows) > self.n_cells or self.pending or self.blinded:
            return self.codes()[rows]
        uids = self.uids
        said = list(map(self.decided.get, [uids[row] for row in rows])) if self.colour_by != PREDICTION else None
        codes = self._read_model_codes()[rows]
        if said is not None:
            codes = np.where([code is not None for code in said], np.array(said, object), codes)
        return codes

    def code(self, row: int) -> str:
        """Return the class code of one cell as it may be shown; `UNCLASSIFIED` where there is none."""
        uid = self.uids[row]
        if self.colour_by != PREDICTION and uid in self.decided:
            return self.decided[uid]
        return self.model_code(row) if self.shows_model(uid) else UNCLASSIFIED

    def final_codes(self) -> np.ndarray:
        """Return the class code of each cell that counts: the reader's decision, else the model's; object (n,)."""
        return self._with_decisions(self.model_codes())

    def model_codes(self) -> np.ndarray:
        """Return the model's class code of each cell, blinded or not: object (n,), a copy."""
        if self.analysis is None:
            return np.zeros(0, object)
        codes = self._read_model_codes().copy()
        if self.pending:
            codes[self.rows(self.pending)] = UNCLASSIFIED
        return codes

    def _read_model_codes(self) -> np.ndarray:
        said = self.at_hand.predictions
        if said is None:
            return np.full(self.n_cells, UNCLASSIFIED, object)
        if self._model_codes[0] is not said:
            self._model_codes = (said, said.code)
        return self._model_codes[1]

    def model_code(self, row: int) -> str:
        """Return the model's class code of one cell, blinded or not."""
        said = None if self.analysis is None else self.analysis.predictions
        if said is None or self.uids[row] in self.pending:
            return UNCLASSIFIED
        return str(said.codes[int(said.probabilities[row].argmax())])

    def shows_model(self, uid: str) -> bool:
        """Tell whether the model's word (and that of other readers) on a cell may be shown."""
        return not self.blinded or uid in self._view.spoken

    def model_shown(self) -> np.ndarray:
        """Tell of each cell whether the model's word may be shown: bool (n,)."""
        shown = np.full(self.n_cells, not self.blinded)
        if self.blinded:
            shown[self.rows(self._view.spoken)] = True
        return shown

    @property
    def decided(self) -> dict[str, str]:
        """Return uid → this reader's class code, over all slides of the record. To read only: see `Decider`."""
        return self._view.decided

    @property
    def tags(self) -> dict[str, frozenset[str]]:
        """Return uid → names of its tags. To read only."""
        return self._view.tags

    @property
    def notes(self) -> dict[str, str]:
        """Return uid → this reader's note. To read only."""
        return self._view.notes

    @property
    def regions(self) -> dict[str, Region]:
        """Return uid → region, on the slide under review. To read only."""
        return {} if self.analysis is None else self._view.regions.get(self.analysis.cells.slide_id, {})

    @property
    def view(self) -> ReaderView:
        """All that this reader said."""
        return self._view

    def counted(self) -> np.ndarray:
        """Tell which cells the drawn regions let count: bool (n,)."""
        from napari_aml.review.regions import counted

        if self.analysis is None:
            return np.zeros(0, bool)
        table = self.analysis.cells.table
        return counted(self.regions.values(), table["y"].to_numpy(), table["x"].to_numpy())

    def confirmed(self) -> np.ndarray:
        """Tell which cells this reader decided: bool (n,)."""
        out = np.zeros(self.n_cells, bool)
        out[self.rows(self.decided)] = True
        return out

    def _with_decisions(self, codes: np.ndarray) -> np.ndarray:
        rows = self.places(self.decided)
        codes[rows[rows >= 0]] = np.array(list(self.decided.values()), object)[rows >= 0]
        return codes

    def neighbour(self, step: int) -> str | None:
        """Return the uid `step` places after the selected cell in table order, round and round."""
        if not self.n_cells:
            return None
        row = self.row(self.selected)
        if row is None:
            row = -1 if step > 0 else 0
        return self.uids[(row + step) % self.n_cells]

    # ---- changing ------------------------------------------------------------------------------------------

    def select(self, uids: Iterable[str], current: str | None = None) -> None:
        """Choose several cells; `current` (one of them, else the first in table order) is the one to inspect."""
        chosen = frozenset(uids)
        if current not in chosen:
            rows = self.rows(chosen)
            current = self.uids[int(rows.min())] if len(rows) else None
        before = self.selection, self.selected
        with self.events.selection.blocked(), self.events.selected.blocked():
            self.selection, self.selected = chosen, current
        # Whoever listens to the one finds the other as it is by now.
        self._selecting = True
        try:
            if chosen != before[0]:
                self.events.selection.emit(chosen, before[0])
            if current != before[1]:
                self.events.selected.emit(current, before[1])
        finally:
            self._selecting = False

    def _on_selected(self, uid: str | None) -> None:
        if not self._selecting:
            self.select(() if uid is None else (uid,), uid)

    def _on_selection(self, chosen: frozenset[str]) -> None:
        if not self._selecting:
            self.select(chosen, self.selected)

    def take(self, rows: Iterable[Decision]) -> None:
        """Take rows that the record holds by now into this reader's view, and announce their cells."""
        rows = list(rows)
        for row in rows:
            self._view.take(row)
        cells = {row.uid for row in rows if row.kind != "region"}
        self.rows_changed.emit(RowsChanged(tuple(sorted(cells)), said=True))

    def read_store(self) -> None:
        """Read this reader's view from the record anew (another reader, another record), and announce it."""
        offered, self._offered = self._offered, None
        if offered is None or offered.reader != self.reader:
            offered = ReaderView(self.reader, self.store.decisions())
        self._view = offered
        self._announce_all()

    def offer(self, view: ReaderView | None) -> None:
        """Let the next reading of the record take a view that was read behind the window, where it is its reader's."""
        self._offered = view

    def _announce_all(self) -> None:
        if self.analysis is not None:
            self.rows_changed.emit(RowsChanged(self._index().every, said=True))

    def start_predictions(
        self, codes: tuple[str, ...], bundle: ModelBundle | None, uids: Iterable[str] | None = None
    ) -> None:
        """Make room for predictions that will arrive batch by batch; every cell (or `uids`) is pending."""
        from napari_aml.classify.predictions import Predictions

        n, f = self.n_cells, np.float32
        empty = Predictions(codes, np.zeros((n, len(codes)), f), np.zeros((n, 0), f), np.full(n, np.nan, f))
        self.pending = frozenset(self.uids if uids is None else uids)
        self.analysis = replace(self.at_hand, predictions=empty, heatmaps=None, bundle=bundle)

    def fill(self, uids: list[str], predictions: Predictions | None, heatmaps: Heatmaps | None) -> None:
        """Take predictions and heatmaps of some cells, in the order of `uids`, and announce these cells.

        Cells that are gone meanwhile are passed over. Arrays take the widths of the first batch.
        """
        from napari_aml.ui.merging import merge_heatmaps, merge_predictions

        known = [(i, row) for i, uid in enumerate(uids) if (row := self.row(uid)) is not None]
        if not known:
            return
        source, rows = (np.array(a) for a in zip(*known, strict=True))
        analysis = self.at_hand
        if predictions is not None:
            said = merge_predictions(analysis.predictions, self.n_cells, rows, predictions.take(source))
            analysis = replace(analysis, predictions=said)
        if heatmaps is not None:
            seen = merge_heatmaps(analysis.heatmaps, self.n_cells, rows, heatmaps.take(source))
            analysis = replace(analysis, heatmaps=seen)
        done = tuple(uids[i] for i in source)
        with self.events.analysis.blocked():
            self.analysis = analysis
        if predictions is not None:
            self.pending = self.pending - frozenset(done)
        self.rows_changed.emit(RowsChanged(done))

    def replace_cells(
        self, cells: Cells, changed: Iterable[str], box: tuple[int, int, int, int] | None = None
    ) -> RowsChanged:
        """Take edited cells; what was said about untouched cells stays theirs, `changed` ones become pending.

        Returns what was announced.
        """
        from napari_aml.ui.merging import align_heatmaps, align_predictions

        before = self.at_hand
        old_uids, new_uids = before.cells.table["uid"].tolist(), cells.table["uid"].tolist()
        row_of_uid = index_of(before.cells.table).row_of_uid
        source = np.array([row_of_uid.get(uid, -1) for uid in new_uids], int)
        kept = set(new_uids)
        gone = [row for row, uid in enumerate(old_uids) if uid not in kept]
        removed = boxes_of(before.cells.table, gone)
        changed = tuple(uid for uid in changed if uid in kept)
        said, seen = align_predictions(before.predictions, source), align_heatmaps(before.heatmaps, source)
        with self.events.analysis.blocked():
            self.analysis = replace(before, cells=cells, predictions=said, heatmaps=seen)
        pending = (self.pending & kept) | (frozenset(changed) if before.predictions is not None else frozenset())
        self.pending = frozenset(pending)
        if self.selected is not None and self.selected not in kept:
            self.selected = None
        elif not self.selection <= kept:
            self.select(self.selection & kept, self.selected)
        what = RowsChanged(changed, removed, masks=True, box=box)
        self.rows_changed.emit(what)
        return what

    # ---- rows by uid and by label --------------------------------------------------------------------------

    def _index(self) -> CellIndex:
        return index_of(None if self.analysis is None else self.analysis.cells.table)
