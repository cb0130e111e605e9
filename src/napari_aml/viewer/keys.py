"""Keys on the canvas: bound to each layer, because a layer's own keys go before those of the viewer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class CellKeys:
    """n / p walk through the cells, Ctrl+Z / Ctrl+Shift+Z undo and redo, whatever layer is active.

    Parameters
    ----------
    step
        Called with +1 or -1.
    undo, redo
        Called for the keys on the instance layer, whose own undo knows pixels only.
    """

    def __init__(self, step: Callable[[int], None], undo: Callable[[], None], redo: Callable[[], None]) -> None:
        self._actions: dict[str, Callable[[Any], None]] = {
            "N": lambda _: step(1),
            "P": lambda _: step(-1),
            "Control-Z": lambda _: undo(),
            "Control-Shift-Z": lambda _: redo(),
        }
        self._bound: list[Any] = []

    def bind(self, layer: Any) -> None:
        """Bind the keys to a layer."""
        for key, action in self._actions.items():
            layer.bind_key(key, action, overwrite=True)
        self._bound.append(layer)

    def unbind(self, layer: Any) -> None:
        """Take the keys off a layer."""
        if any(layer is mine for mine in self._bound):
            for key in self._actions:
                layer.bind_key(key, None)
            self._bound = [mine for mine in self._bound if mine is not layer]

    def release(self) -> None:
        """Take the keys off all layers."""
        for layer in list(self._bound):
            self.unbind(layer)
