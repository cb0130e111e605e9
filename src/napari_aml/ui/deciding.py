"""Decider: the one way in which a person's word on cells and regions reaches record, state and screen.

A word goes to the record first; only when it is safe there does the state take it and the screen show it. Undo and
redo append rows, too: nothing that was said is ever rubbed out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal
from qtpy.QtGui import QUndoCommand, QUndoStack

from napari_aml.errors import AmlError, InputError
from napari_aml.provenance import now_utc
from napari_aml.review.decisions import CLASS, NOTE, REGION, TAG, Decision
from napari_aml.review.reader_view import OFF, ON
from napari_aml.review.regions import Region
from napari_aml.taxonomy import BY_CODE
from napari_aml.ui.recording import Recording, Writing
from napari_aml.ui.state import UNCLASSIFIED, ReviewState

if TYPE_CHECKING:
    from napari_aml.analysis import Analysis

#: A cell whose uid ends so is being found anew: its uid is not settled, and nothing can be said of it yet.
PROVISIONAL = "~"
#: More rows than this are recorded in a thread; the screen follows when they are on the disk.
AT_ONCE = 1000

#: What is said: uid, slide_id, kind, name, the value before and the new one.
Change = tuple[str, str, str, str, str | None, str | None]


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
    waiting
        Emitted with the number of rows that are being recorded in a thread; 0 when they are safe and shown.
    """

    failed = Signal(object)
    said = Signal(object)
    waiting = Signal(int)

    def __init__(self, state: ReviewState, undo_stack: QUndoStack, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.state, self.undo_stack = state, undo_stack
        self._where = _Where(state)
        self._recording = Recording(self)
        # What another reader said is not this one's to undo.
        state.events.reader.connect(self._forget)
        state.events.store.connect(self._forget)

    def close(self) -> None:
        """Record what is on its way, and stop listening."""
        self.settle()
        self.state.events.reader.disconnect(self._forget)
        self.state.events.store.disconnect(self._forget)

    def _forget(self) -> None:
        self.undo_stack.clear()

    # ---- what can be said ----------------------------------------------------------------------------------

    def decide(self, uids: Iterable[str], code: str) -> list[Decision]:
        """Say the class of cells; returns the new rows of the record.

        None where nothing changed or it failed, and none yet of more than `AT_ONCE` cells: `said` tells of these when
        they are on the disk.
        """
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

    def settle(self) -> None:
        """Wait until everything that was said is on the disk, and show it."""
        self._recording.settle()

    @property
    def writing(self) -> Writing:
        """What is being written; to be waited for before the record is closed."""
        return self._recording.writing

    @property
    def recording(self) -> bool:
        """Whether rows are on their way to the disk."""
        return self._recording.busy

    def _say(self, said: Sequence[tuple[str, str, str, str | None]], text: str) -> list[Decision]:
        """Record (uid, kind, name, value) rows where they change something, and remember how to go back."""
        self.settle()
        if any(uid.endswith(PROVISIONAL) for uid, *_ in said):
            return self._refuse(InputError("These cells are being found anew.", "Decide when the analysis is done."))
        changes, state = [], self.state
        here = "" if state.analysis is None else state.analysis.cells.slide_id
        for (uid, kind, name, value), row in zip(said, state.places([s[0] for s in said]).tolist(), strict=True):
            slide_id = here if row >= 0 else self._slide_of(uid)
            previous = state.view.value(uid, kind, name, slide_id)
            if (previous or (OFF if kind == TAG else None)) != value:
                changes.append((uid, slide_id, kind, name, previous, value))
        if not changes:
            return []
        step = DecideCommand(self, changes, text)
        if len(changes) > AT_ONCE:
            self.undo_stack.push(step)  # which says it
            return []
        rows = self._record(changes)
        if rows:
            step.said = True
            self.undo_stack.push(step)
        return rows

    def _record(
        self, changes: Sequence[Change], then: Callable[[bool], object] = lambda recorded: None
    ) -> list[Decision]:
        """Record rows, then let the state take them, in this order; very many are recorded in a thread meanwhile.

        Returns the rows where they are safe by now; `then` is told whether they were recorded.
        """
        make = self._rows(changes)
        store = self.state.store
        taken: list[Decision] = []

        def take(rows: list[Decision] | None, error: Exception | None) -> None:
            if error is None:
                taken.extend(rows or ())
                if store is self.state.store:  # else another record counts by now; the rows are safe in theirs
                    self.state.take(taken)
                    self.said.emit(taken)
                then(True)
            else:
                then(False)
                self._refuse(error)
            self.waiting.emit(0)

        if len(changes) > AT_ONCE:
            self.waiting.emit(len(changes))
            self._recording.start(lambda: store.record(make()), take)
            return []
        try:
            rows = store.record(make())
        except AmlError as error:
            take(None, error)
        else:
            take(rows, None)
        return taken

    def _rows(self, changes: Sequence[Change]) -> Callable[[], list[Decision]]:
        """Take down what was on show and when; return what makes the rows, in any thread."""
        asked = [change[0] for change in changes if change[2] == CLASS]
        seen = iter(self._shown(asked)) if asked else iter(())
        shown = [next(seen) if change[2] == CLASS else {} for change in changes]
        reader, when = self.state.reader, now_utc()

        def make() -> list[Decision]:
            return [
                Decision(uid, slide_id, value, reader, kind, name, previous, told, when)
                for (uid, slide_id, kind, name, previous, value), told in zip(changes, shown, strict=True)
            ]

        return make

    def _shown(self, uids: Sequence[str]) -> list[dict[str, Any]]:
        """Say what the reader saw of cells when deciding."""
        state, rows = self.state, self.state.places(uids)
        analysis = state.analysis
        said = None if analysis is None else analysis.predictions
        if analysis is None or said is None or (rows < 0).any() or state.pending or state.blinded:
            return [self._shown_one(uid) for uid in uids]
        chances = said.probabilities[rows]
        best = chances.argmax(1)
        sure = chances[range(len(rows)), best].tolist()
        heatmap = analysis.heatmaps.method if analysis.heatmaps is not None else None
        codes = [str(code) for code in said.codes]
        return [
            {
                "blinded": False, "bundle_id": said.bundle_id, "code": codes[i], "probability": round(p, 4),
                "heatmap": heatmap,
            }
            for i, p in zip(best.tolist(), sure, strict=True)
        ]  # fmt: skip

    def _shown_one(self, uid: str) -> dict[str, Any]:
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

    def _refuse(self, error: Exception) -> list[Decision]:
        self.failed.emit(error)
        return []


class DecideCommand(QUndoCommand):
    """Words of a reader; doing, undoing and doing again record rows.

    Where they cannot be recorded, nothing changes, and going the other way is then an empty step.

    Attributes
    ----------
    said
        Whether it was said before it is pushed on the stack (few words are, at once).
    """

    def __init__(self, decider: Decider, changes: list[Change], text: str) -> None:
        super().__init__(text)
        self._decider, self._changes = decider, changes
        self.said = False
        # Apart from the command, which the stack may have dropped when the rows are safe.
        self._now = {"in force": False, "again": False}

    def redo(self) -> None:
        """Say it (again)."""
        self._decider.settle()
        if self.said:
            self.said, self._now["in force"] = False, True
        elif not self._now["in force"]:
            self._say(forward=True)
        self._now["again"] = True

    def undo(self) -> None:
        """Go back to what was said before."""
        self._decider.settle()
        if self._now["in force"]:
            self._say(forward=False)

    def _say(self, *, forward: bool) -> None:
        decider, changes, now = self._decider, self._changes, self._now
        choose = now["again"]
        if not forward:
            changes = [
                (uid, slide_id, kind, name, value, OFF if kind == TAG and before is None else before)
                for uid, slide_id, kind, name, before, value in changes
            ]

        def then(recorded: bool) -> None:
            if not recorded:
                return
            now["in force"] = forward
            uids = [change[0] for change in changes]
            if choose and (decider.state.places(uids) >= 0).any():
                decider.state.select(uid for uid in uids if decider.state.row(uid) is not None)

        decider._record(changes, then)


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
            return state.at_hand, row
        if self._of is not state.others:
            self._of = state.others
            self._others = {u: (a, i) for a in state.others for i, u in enumerate(a.cells.table["uid"].tolist())}
        return self._others.get(uid)


def _cells(uids: Sequence[Any]) -> str:
    return "1 cell" if len(uids) == 1 else f"{len(uids)} cells"
