"""MaskEditor: what a person paints, splits, deletes or adds becomes an edit in the one undo history."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer, Signal
from qtpy.QtGui import QUndoStack

from napari_aml.errors import AmlError, InputError
from napari_aml.ui.state import ReviewState, RowsChanged
from napari_aml.ui.undo import MaskCommand, MaskEdit
from napari_aml.viewer import layers as look
from napari_aml.viewer.bridge import ReviewBridge
from napari_aml.viewer.drawing import union

if TYPE_CHECKING:
    from napari_aml.cells import Cells

_UNDO_STEPS = 50


class MaskEditor(QObject):
    """Edits masks.

    Parameters
    ----------
    state, bridge
        Of the review.
    is_busy
        Tells whether a job runs; masks stay as they are meanwhile.
    """

    failed = Signal(object)
    edited = Signal(object)

    def __init__(
        self, state: ReviewState, bridge: ReviewBridge, is_busy: Callable[[], bool], parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self.state, self.bridge, self._is_busy = state, bridge, is_busy
        self.undo_stack = QUndoStack(self)
        self.undo_stack.setUndoLimit(_UNDO_STEPS)
        self._adding = False
        self._top_label = 0
        self._strokes: list[Any] = []
        self._soon = QTimer(self, singleShot=True, interval=0)
        self._soon.timeout.connect(self._take_strokes)
        bridge.mask_painted.connect(self._on_painted)
        bridge.cell_clicked.connect(self._on_clicked)

    def close(self) -> None:
        """Stop listening."""
        self._soon.stop()
        self.bridge.mask_painted.disconnect(self._on_painted)
        self.bridge.cell_clicked.disconnect(self._on_clicked)

    # ---- what the buttons and keys do ----------------------------------------------------------------------

    def set_adding(self, adding: bool) -> None:
        """Whether clicks add cells (else they select them)."""
        self._adding = adding

    def add_cell(self, y: float, x: float) -> None:
        """Add a round cell at a point (level-0 pixels)."""
        from napari_aml.viewer.edits import added

        self._edit(lambda cells: added(cells, y, x, self.fresh_label()))

    def delete_selected(self) -> None:
        """Delete the selected cell and go on to the next one."""
        from napari_aml.viewer.edits import deleted

        label = self._selected_label()
        after = self.state.neighbour(1)
        self._edit(lambda cells: deleted(cells, label))
        self.state.selected = after if self.state.row(after) is not None else self.state.neighbour(1)

    def split_selected(self) -> None:
        """Split the selected cell in two."""
        from napari_aml.viewer.edits import split

        label = self._selected_label()
        self._edit(lambda cells: split(cells, label, self.fresh_label()))

    def undo(self) -> None:
        """Undo the last edit."""
        if not self._is_busy():
            self.undo_stack.undo()

    def redo(self) -> None:
        """Do the last undone edit again."""
        if not self._is_busy():
            self.undo_stack.redo()

    def fresh_label(self) -> int:
        """Return a label that no cell of this session ever had, so that an undone edit never shares its label."""
        return max(self._top_label + 1, self.state.at_hand.cells.masks.next_label)

    # ---- what a person does on the canvas ------------------------------------------------------------------

    def _on_clicked(self, where: Any) -> None:
        uid, (y, x) = where
        if self._adding:
            self.add_cell(y, x)
        elif uid is not None:
            self.state.selected = uid

    def _on_painted(self, box: Any) -> None:
        # napari tells of polygon painting before it writes the pixels (of brush strokes after): look once it is done.
        self._strokes.append(box)
        self._soon.start()

    def _take_strokes(self) -> None:
        from napari_aml.viewer.edits import painted

        strokes, self._strokes = self._strokes, []
        layer, analysis = self.bridge.layer(look.CELLS), self.state.analysis
        if layer is None or analysis is None or not strokes:
            return
        box = None if None in strokes else union(strokes, analysis.slide.shape)

        def read(region: Any) -> Any:
            return layer.data[region[0] : region[2], region[1] : region[3]]

        self._edit(lambda cells: painted(cells, read, box, self.fresh_label()))

    # ---- edits ---------------------------------------------------------------------------------------------

    def _edit(self, make: Callable[[Cells], MaskEdit | None]) -> None:
        if self.state.analysis is None:
            return
        try:
            if self._is_busy():
                raise InputError("Masks cannot be changed while a job runs.", "Wait for it or press Cancel.")
            edit = make(self.state.analysis.cells)
        except AmlError as error:
            self.failed.emit(error)
            self.bridge.redraw()
            return
        if edit is not None:
            self._top_label = max(self._top_label, edit.after.masks.next_label - 1)
            self.undo_stack.push(MaskCommand(self.state, edit, self._after))

    def _after(self, what: RowsChanged) -> None:
        self.edited.emit(what)

    def _selected_label(self) -> int:
        row = self.state.row(self.state.selected)
        if row is None:
            raise InputError("No cell is chosen.", "Click one first.")
        return int(self.state.at_hand.cells.table["label"].iloc[row])
