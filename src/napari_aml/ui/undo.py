"""The one history of what a person changed: commands of a QUndoStack over the state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qtpy.QtGui import QUndoCommand

from napari_aml.ui.state import ReviewState, RowsChanged

if TYPE_CHECKING:
    from napari_aml.cells import Cells

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class MaskEdit:
    """One change of masks, as values: it can be done, undone and done again.

    Attributes
    ----------
    text
        What was done, for a person.
    before, after
        All cells before and after.
    touched
        uids of the cells of `after` that are new or whose mask changed.
    touched_back
        uids of the cells of `before` that are gone or whose mask changed.
    box
        Level-0 pixels outside of which nothing changed.
    select
        uid to select after it, or None.
    """

    text: str
    before: Cells
    after: Cells
    touched: tuple[str, ...]
    touched_back: tuple[str, ...]
    box: Box
    select: str | None = None


class MaskCommand(QUndoCommand):
    """Applies a `MaskEdit` to the state; `then` is told what changed, so that it is classified anew."""

    def __init__(self, state: ReviewState, edit: MaskEdit, then: Callable[[RowsChanged], None]) -> None:
        super().__init__(edit.text)
        self._state, self._edit, self._then = state, edit, then

    def redo(self) -> None:
        """Do it."""
        edit = self._edit
        what = self._state.replace_cells(edit.after, edit.touched, edit.box)
        if edit.select is not None:
            self._state.selected = edit.select
        self._then(what)

    def undo(self) -> None:
        """Undo it."""
        edit = self._edit
        what = self._state.replace_cells(edit.before, edit.touched_back, edit.box)
        if edit.touched_back:
            self._state.selected = edit.touched_back[0]
        self._then(what)
