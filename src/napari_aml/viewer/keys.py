"""Keys on the canvas: bound to each layer, because a layer's own keys go before those of the viewer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from napari_aml.ui.shortcuts import KeyTable
from napari_aml.viewer.private import own_keys, unwrap

#: These go before napari's own on the layers of a review: its undo of a label layer knows pixels only.
_BEFORE_NAPARI = frozenset({"undo", "redo"})


class CellKeys:
    """The keys of the table on every layer, except those that napari itself has on that kind of layer.

    Parameters
    ----------
    key_table
        Which keys.
    actions
        Command id → what it does.
    """

    def __init__(self, key_table: KeyTable, actions: Mapping[str, Callable[[], object]]) -> None:
        self._key_table, self._actions = key_table, dict(actions)
        self._bound: list[tuple[Any, list[str]]] = []
        key_table.changed.connect(self._on_changed)

    def bind(self, layer: Any) -> None:
        """Bind the keys to a layer."""
        layer = unwrap(layer)
        taken, keys = own_keys(layer), []
        for command, action in self._actions.items():
            key = self._key_table.canvas_key(command).replace("Ctrl", "Control").replace("+", "-")
            if key and (command in _BEFORE_NAPARI or key not in taken):
                layer.bind_key(key, lambda _, action=action: action(), overwrite=True)
                keys.append(key)
        self._bound.append((layer, keys))

    def unbind(self, layer: Any) -> None:
        """Take the keys off a layer."""
        layer = unwrap(layer)
        for mine, keys in self._bound:
            if mine is layer:
                for key in keys:
                    layer.bind_key(key, None)
        self._bound = [(mine, keys) for mine, keys in self._bound if mine is not layer]

    def release(self) -> None:
        """Take the keys off all layers."""
        self._key_table.changed.disconnect(self._on_changed, missing_ok=True)
        for layer, _ in list(self._bound):
            self.unbind(layer)

    def _on_changed(self) -> None:
        for layer, _ in list(self._bound):
            self.unbind(layer)
            self.bind(layer)
