"""Decider: the one way in which a person's word on cells and regions reaches record, state and screen.

A word goes to the record first; only when it is safe there does the state take it and the screen show it. Undo and
redo append rows, too: nothing that was said is ever rubbed out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal
from qtpy.QtGui import QUndoCommand, QUndoStack

from napari_aml.errors import AmlError, InputError
from napari_aml.review.decisions import CLASS, NOTE, REGION, TAG, Decision
from napari_aml.review.reader_view import OFF, ON
from napari_aml.review.regions import Region
from napari_aml.taxonomy import BY_CODE
from napari_aml.ui.state import UNCLASSIFIED, ReviewState

if TYPE_CHECKING:
    from napari_aml.analysis import Analysis

#: A cell whose uid ends so is being found anew: its uid is not settled, and nothing can be said of it yet.
PROVISIONAL = "~"


class Decider(QObject):
    """Records what a person says, with undo and redo.

    Parameters
    ----------
    state
        Of the review.
    undo_stack
        The one history of labels, tags, notes, regions and masks.

    Attributes
    ----------
    failed
        Emitted with the error when something could not be recorded; state and screen then stay as they were.
    said
        Emitted with the rows (list of `Decision`) that were recorded.
    """

    failed = Signal(object)
    said = Signal(object)

    def __init__(self, state: ReviewState, undo_stack: QUndoStack, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.state, self.undo_stack = state, undo_stack
        self._where = _Where(state)
        # What another reader said is not this one's to undo.
        state.events.reader.connect(self._forget)
        state.events.store.connect(self._forget)

    def close(self) -> None:
        """Stop listening."""
        self.state.events.reader.disconnect(self._forget)
        self.state.events.store.disconnect(self._forget)

    def _forget(self) -> None:
        self.undo_stack.clear()

    # ---- what can be said ----------------------------------------------------------------------------------

    def decide(self, uids: Iterable[str], code: str) -> list[Decision]:
        """Say the class of cells; returns the new rows of the record (none where nothing changed or it failed)."""
        uids = list(uids)
        known = BY_CODE.keys() | self._model_codes()
        if code not in known:
            return self._refuse(InputError(f"There is no class '{code}'.", "Choose one of the list of classes."))
        return self._say([(uid, CLASS, "", code) for uid in uids], f"{_cells(uids)}: {code}")

    def confirm(self, uids: Iterable[str]) -> list[Decision]:
        """Say that the class shown of each cell is right. Cells of which none is shown are refused, all or none."""
        state, said = self.state, []
        for uid in uids:
            code = state.decided.get(uid) or (self._model_code(uid) if state.shows_model(uid) else UNCLASSIFIED)
            if code == UNCLASSIFIED:
                why = "This is a blinded reading: " if state.blinded else "No model has classified this cell yet: "
                return self._refuse(InputError(f"{why}there is nothing to confirm.", "Say the class with its key."))
            said.append((uid, CLASS, "", code))
        return self._say(said, f"Confirm {_cells(said)}")

    def withdraw(self, uids: Iterable[str]) -> list[Decision]:
        """Take back what was decided of cells, as if nothing had been said; the record keeps both."""
        uids = list(uids)
        return self._say([(uid, CLASS, "", None) for uid in uids], f"Withdraw {_cells(uids)}")

    def tag(self, uids: Iterable[str], name: str, on: bool) -> list[Decision]:
        """Put a tag on cells or take it off; a name is made of letters, digits, ``-`` and ``_``."""
        uids = list(uids)
        if not re.fullmatch(r"[\w-]{1,40}", name):
            return self._refuse(
                InputError(f"'{name}' is no name for a tag.", "Use up to 40 letters, digits, - and _, without spaces.")
            )
        return self._say([(uid, TAG, name, ON if on else OFF) for uid in uids], f"{_cells(uids)}: tag {name}")

    def note(self, uid: str, text: str) -> list[Decision]:
        """Write a note on a cell; an empty one removes it."""
        return self._say([(uid, NOTE, "", text.strip() or None)], "Note")

    def draw(self, region: Region) -> list[Decision]:
        """Add a region to the slide under review, or change the one with its uid."""
        return self._say([(region.uid, REGION, "", region.to_geojson())], f"Region to {region.role}")

    def erase(self, region_uid: str) -> list[Decision]:
        """Remove a region."""
        return self._say([(region_uid, REGION, "", None)], "Remove region")

    # ---- how -----------------------------------------------------------------------------------------------

    def _say(self, said: Sequence[tuple[str, str, str, str | None]], text: str) -> list[Decision]:
        """Record (uid, kind, name, value) rows where they change something, and remember how to go back."""
        if any(uid.endswith(PROVISIONAL) for uid, *_ in said):
            return self._refuse(InputError("These cells are being found anew.", "Decide when the analysis is done."))
        changes = []
        for uid, kind, name, value in said:
            slide_id = self._slide_of(uid)
            previous = self.state.view.value(uid, kind, name, slide_id)
            if (previous or (OFF if kind == TAG else None)) != value:
                changes.append((uid, slide_id, kind, name, previous, value))
        if not changes:
            return []
        try:
            rows = self._record([self._row(*change) for change in changes])
        except AmlError as error:
            return self._refuse(error)
        self.undo_stack.push(DecideCommand(self, changes, text))
        return rows

    def _row(
        self, uid: str, slide_id: str, kind: str, name: str, previous: str | None, value: str | None
    ) -> Decision:
        shown = self._shown(uid) if kind == CLASS else {}
        return Decision(uid, slide_id, value, self.state.reader, kind, name, previous, shown)

    def _record(self, rows: list[Decision]) -> list[Decision]:
        """Record rows, then let the state take them: in this order."""
        recorded = self.state.store.record(rows)
        self.state.take(recorded)
        self.said.emit(recorded)
        return recorded

    def _shown(self, uid: str) -> dict[str, Any]:
        """Say what the reader saw of a cell when deciding."""
        visible = self.state.shows_model(uid)
        found = self._where.get(uid) if visible else None
        said = None if found is None else found[0].predictions
        if found is None or said is None or uid in self.state.pending:
            return {"blinded": not visible}
        analysis, row = found
        chances = said.probabilities[row]
        best = int(chances.argmax())
        return {
            "blinded": False, "bundle_id": said.bundle_id, "code": str(said.codes[best]),
            "probability": round(float(chances[best]), 4),
            "heatmap": analysis.heatmaps.method if analysis.heatmaps is not None else None,
        }  # fmt: skip

    def _slide_of(self, uid: str) -> str:
        """Return the slide of a cell of the session; that under review for a region."""
        found = self._where.get(uid)
        if found is not None:
            return found[0].cells.slide_id
        return "" if self.state.analysis is None else self.state.analysis.cells.slide_id

    def _model_code(self, uid: str) -> str:
        """Return the model's code of a cell of any slide of the session."""
        found = self._where.get(uid)
        if found is None or uid in self.state.pending:
            return UNCLASSIFIED
        analysis, row = found
        said = analysis.predictions
        return UNCLASSIFIED if said is None else str(said.codes[int(said.probabilities[row].argmax())])

    def _model_codes(self) -> set[str]:
        analysis = self.state.analysis
        return set() if analysis is None or analysis.predictions is None else set(analysis.predictions.codes)

    def _refuse(self, error: AmlError) -> list[Decision]:
        self.failed.emit(error)
        return []


class DecideCommand(QUndoCommand):
    """Words that were recorded before it was pushed; undo and redo record further rows.

    Where one cannot be recorded, nothing changes, and going the other way is then an empty step.
    """

    def __init__(
        self, decider: Decider, changes: list[tuple[str, str, str, str, str | None, str | None]], text: str
    ) -> None:
        super().__init__(text)
        self._decider, self._changes = decider, changes
        self._in_force = True

    def redo(self) -> None:
        """Say it (again); the first time, when it is pushed, it has been said already."""
        if not self._in_force:
            self._in_force = self._say(forward=True)

    def undo(self) -> None:
        """Go back to what was said before."""
        if self._in_force:
            self._in_force = not self._say(forward=False)

    def _say(self, *, forward: bool) -> bool:
        rows = []
        for uid, slide_id, kind, name, previous, value in self._changes:
            now, then = (previous, value) if forward else (value, previous)
            if kind == TAG:
                then = then or OFF
            rows.append(self._decider._row(uid, slide_id, kind, name, now, then))
        try:
            self._decider._record(rows)
        except AmlError as error:
            self._decider._refuse(error)
            return False
        state = self._decider.state
        uids = [change[0] for change in self._changes if state.row(change[0]) is not None]
        if uids:
            state.select(uids)
        return True


class _Where:
    """uid → (analysis, row) over all slides of the session."""

    def __init__(self, state: ReviewState) -> None:
        self._state = state
        self._others: dict[str, tuple[Analysis, int]] = {}
        self._of: object = None

    def get(self, uid: str) -> tuple[Analysis, int] | None:
        """Return the analysis that holds a cell and the cell's row in it, None where no slide of the session does."""
        state = self._state
        row = state.row(uid)
        if row is not None:
            return state.analysis, row
        if self._of is not state.others:
            self._of = state.others
            self._others = {u: (a, i) for a in state.others for i, u in enumerate(a.cells.table["uid"].tolist())}
        return self._others.get(uid)


def _cells(uids: Sequence[Any]) -> str:
    return "1 cell" if len(uids) == 1 else f"{len(uids)} cells"
