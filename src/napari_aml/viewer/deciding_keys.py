"""What the keys do on the picture and in the review dock: decide, walk, undo."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from napari_aml.ui.shortcuts import class_actions

if TYPE_CHECKING:
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
