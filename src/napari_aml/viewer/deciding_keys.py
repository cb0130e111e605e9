"""What the keys do on the picture and in the review dock: decide, walk, undo."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from napari_aml.ui.key_sheet import KeySheet
from napari_aml.ui.shortcuts import CLASS_COMMAND, class_actions, shared_keys

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

    from napari_aml.ui.inspector import CellInspector
    from napari_aml.viewer.controller import ReviewController


def cell_actions(control: ReviewController) -> dict[str, Callable[[], object]]:
    """Return command id → what it does to the chosen cells."""
    state, decider = control.state, control.decider

    def chosen() -> list[str]:
        return sorted(state.selection)

    return {
        **class_actions(lambda code: decider.decide(chosen(), code)),
        "confirm": lambda: decider.confirm(chosen()),
        "withdraw": lambda: decider.withdraw(chosen()),
        "undo": control.editor.undo,
        "redo": control.editor.redo,
        "next": lambda: control.step(1),
        "previous": lambda: control.step(-1),
    }


def connect_inspector(inspector: CellInspector, control: ReviewController) -> None:
    """Let the inspector's buttons say class, tags and note of the chosen cells, undo and redo."""
    state, decider, actions = control.state, control.decider, cell_actions(control)

    def write(text: str) -> None:
        view = inspector.value()  # another cell may be chosen by now: the note is of the one at which it was typed
        if view is not None:
            decider.note(view.uid, text)

    inspector.classes.said.connect(lambda code: actions[f"{CLASS_COMMAND}{code}"]())
    inspector.classes.confirmed.connect(actions["confirm"])
    inspector.classes.withdrawn.connect(actions["withdraw"])
    inspector.marks.tagToggled.connect(lambda name, on: decider.tag(sorted(state.selection), name, on))
    inspector.marks.noteChanged.connect(write)
    stack = control.editor.undo_stack
    for button, changed in (
        (inspector.undo_button, stack.canUndoChanged), (inspector.redo_button, stack.canRedoChanged),
    ):  # fmt: skip
        button.setEnabled(False)
        changed.connect(button.setEnabled)


def sheet_of_keys(parent: QWidget) -> Callable[[], None]:
    """Return what shows the sheet of keys; it is made the first time."""
    sheets: list[KeySheet] = []

    def show() -> None:
        if not sheets:
            sheets.append(KeySheet(shared_keys(), parent))
        sheets[0].show()
        sheets[0].raise_()

    return show
