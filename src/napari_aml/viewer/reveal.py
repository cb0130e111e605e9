"""Layers that are put there in one turn of the event loop and drawn in the next: each takes as long as the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari.layers import Layer


class Reveal:
    """Makes hidden layers visible: at once, or each after the piece of work that put it there.

    Parameters
    ----------
    layers
        The viewer's; a layer that is no longer among them is left alone.
    """

    def __init__(self, layers: Any) -> None:
        self._layers = layers
        self._waiting: list[Layer] | None = None

    def __call__(self, layer: Layer) -> None:
        """Make a layer visible."""
        if self._waiting is None:
            layer.visible = True
        else:
            self._waiting.append(layer)

    def bit_by_bit(self, pieces: Iterator[None]) -> Iterator[None]:
        """Do pieces of work; what each puts there is made visible in a turn of its own."""
        going_on = True
        while going_on:
            hidden: list[Layer] = []
            self._waiting = hidden
            try:
                going_on = next(pieces, self) is None
            finally:
                self._waiting = None
            if not hidden:
                yield
                continue
            try:
                yield
            finally:  # also where what comes after is dropped
                for layer in hidden:
                    if layer in self._layers:
                        layer.visible = True
            yield
