"""What the review shows: one evented object. Widgets read it and listen to it; nothing else holds state."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from psygnal import Signal, SignalGroupDescriptor

if TYPE_CHECKING:
    from napari_aml.analysis import Analysis
    from napari_aml.cells import Cells
    from napari_aml.classify import ModelBundle, Predictions
    from napari_aml.explain import Heatmaps

#: Heatmap targets that depend on the cell; any other target is a class code.
PREDICTED, RUNNER_UP = "predicted", "runner-up"

#: The code of a cell that no one has classified yet.
UNCLASSIFIED = ""


@dataclass(frozen=True)
class RowsChanged:
    """Which cells changed, and how.

    Attributes
    ----------
    uids
        Cells whose mask, prediction or heatmap changed, and cells that are new.
    removed
        Label → box (y0, x0, y1, x1) of the cells that are gone.
    masks
        Whether masks changed (else only what is said about the cells).
    box
        Level-0 pixels (y0, x0, y1, x1) outside of which nothing changed; None when nobody knows.
    """

    uids: tuple[str, ...]
    removed: dict[int, tuple[int, int, int, int]] = field(default_factory=dict)
    masks: bool = False
    box: tuple[int, int, int, int] | None = None


@dataclass
class ReviewState:
    """The slide under review and what a person looks at.

    Setting a field emits ``state.events.<field>``; a change of single cells emits `rows_changed` instead.

    Attributes
    ----------
    analysis
        Slide, cells, predictions and heatmaps, always aligned row by row; None before the first job.
    selected
        uid of the cell under inspection, or None.
    pending
        uids of cells whose prediction is still to come (during a job, after a mask edit).
    target
        What the heatmaps explain: `PREDICTED`, `RUNNER_UP` or a class code.
    method, stage
        CAM method and stage of the network (3 = last).
    heat_limit
        Evidence at which the heatmap's colour scale ends, the same for every cell; 0 = not known yet.
    colour_by
        Whose word colours a cell; ``prediction`` is the model's.
    """

    analysis: Analysis | None = None
    selected: str | None = None
    pending: frozenset[str] = frozenset()
    target: str = PREDICTED
    method: str = "gradcam"
    stage: int = 3
    heat_limit: float = 0.0
    colour_by: str = "prediction"

    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor(equality_operators={"analysis": operator.is_})
    rows_changed: ClassVar[Signal] = Signal(RowsChanged)

    def __post_init__(self) -> None:
        self._indexed: object = None
        self._row_of_uid: dict[str, int] = {}
        self._row_of_label: dict[int, int] = {}

    # ---- reading -------------------------------------------------------------------------------------------

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return 0 if self.analysis is None else len(self.analysis.cells.table)

    def row(self, uid: str | None) -> int | None:
        """Return the row of a cell, None when there is no such cell."""
        self._index()
        return self._row_of_uid.get(uid) if uid is not None else None

    def row_of_label(self, label: int) -> int | None:
        """Return the row of the cell that has a label in the label image."""
        self._index()
        return self._row_of_label.get(int(label))

    def uid_at(self, y: float, x: float) -> str | None:
        """Return the uid of the cell whose mask covers a point (level-0 pixels), or None."""
        if self.analysis is None:
            return None
        label = int(self.analysis.cells.masks.region(int(np.floor(y)), int(np.floor(x)), 1, 1)[0, 0])
        row = self.row_of_label(label) if label else None
        return None if row is None else str(self.analysis.cells.table["uid"].iloc[row])

    def codes(self) -> np.ndarray:
        """Return the class code of each cell: object (n,), `UNCLASSIFIED` where none is known yet."""
        if self.analysis is None:
            return np.zeros(0, object)
        if self.analysis.predictions is None:
            return np.full(self.n_cells, UNCLASSIFIED, object)
        codes = self.analysis.predictions.code.copy()
        for uid in self.pending:
            row = self.row(uid)
            if row is not None:
                codes[row] = UNCLASSIFIED
        return codes

    def code(self, row: int) -> str:
        """Return the class code of one cell; `UNCLASSIFIED` where none is known yet."""
        said = None if self.analysis is None else self.analysis.predictions
        if said is None or self.analysis.cells.table["uid"].iloc[row] in self.pending:
            return UNCLASSIFIED
        return str(said.codes[int(said.probabilities[row].argmax())])

    def neighbour(self, step: int) -> str | None:
        """Return the uid `step` places after the selected cell in table order, round and round."""
        if not self.n_cells:
            return None
        row = self.row(self.selected)
        if row is None:
            row = -1 if step > 0 else 0
        return str(self.analysis.cells.table["uid"].iloc[(row + step) % self.n_cells])

    # ---- changing ------------------------------------------------------------------------------------------

    def start_predictions(
        self, codes: tuple[str, ...], bundle: ModelBundle | None, uids: Iterable[str] | None = None
    ) -> None:
        """Make room for predictions that will arrive batch by batch; every cell (or `uids`) is pending."""
        from napari_aml.classify.predictions import Predictions

        n, f = self.n_cells, np.float32
        empty = Predictions(codes, np.zeros((n, len(codes)), f), np.zeros((n, 0), f), np.full(n, np.nan, f))
        everyone = self.analysis.cells.table["uid"].tolist()
        self.pending = frozenset(everyone if uids is None else uids)
        self.analysis = replace(self.analysis, predictions=empty, heatmaps=None, bundle=bundle)

    def fill(self, uids: list[str], predictions: Predictions | None, heatmaps: Heatmaps | None) -> None:
        """Take predictions and heatmaps of some cells, in the order of `uids`, and announce these cells.

        Cells that are gone meanwhile are passed over. Arrays take the widths of the first batch.
        """
        from napari_aml.ui.merging import merge_heatmaps, merge_predictions

        known = [(i, row) for i, uid in enumerate(uids) if (row := self.row(uid)) is not None]
        if not known:
            return
        source, rows = (np.array(a) for a in zip(*known, strict=True))
        analysis = self.analysis
        if predictions is not None:
            analysis = replace(
                analysis,
                predictions=merge_predictions(analysis.predictions, self.n_cells, rows, predictions.take(source)),
            )
        if heatmaps is not None:
            analysis = replace(
                analysis, heatmaps=merge_heatmaps(analysis.heatmaps, self.n_cells, rows, heatmaps.take(source))
            )
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

        before = self.analysis
        old_uids, new_uids = before.cells.table["uid"].tolist(), cells.table["uid"].tolist()
        self._index()
        source = np.array([self._row_of_uid.get(uid, -1) for uid in new_uids], int)
        kept = set(new_uids)
        gone = [row for row, uid in enumerate(old_uids) if uid not in kept]
        frame = before.cells.table
        removed = {
            int(frame["label"].iloc[r]): tuple(int(frame[c].iloc[r]) for c in ("y0", "x0", "y1", "x1")) for r in gone
        }
        changed = tuple(uid for uid in changed if uid in kept)
        with self.events.analysis.blocked():
            self.analysis = replace(
                before,
                cells=cells,
                predictions=align_predictions(before.predictions, source),
                heatmaps=align_heatmaps(before.heatmaps, source),
            )
        pending = (self.pending & kept) | (frozenset(changed) if before.predictions is not None else frozenset())
        self.pending = frozenset(pending)
        if self.selected is not None and self.selected not in kept:
            self.selected = None
        what = RowsChanged(changed, removed, masks=True, box=box)
        self.rows_changed.emit(what)
        return what

    # ---- rows by uid and by label --------------------------------------------------------------------------

    def _index(self) -> None:
        table = None if self.analysis is None else self.analysis.cells.table
        if table is self._indexed:
            return
        self._indexed = table
        uids, labels = ([], []) if table is None else (table["uid"].tolist(), table["label"].tolist())
        self._row_of_uid = {uid: i for i, uid in enumerate(uids)}
        self._row_of_label = {int(label): i for i, label in enumerate(labels)}
