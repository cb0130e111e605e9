"""A click on the picture: which cell, told apart from a drag and from painting."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_aml.viewer.layers import CELLS
from napari_aml.viewer.private import unwrap

if TYPE_CHECKING:
    from napari_aml.viewer.bridge import ReviewBridge

#: A mouse that moved further than this while pressed, in pixels, dragged.
_STILL = 4


def clicks(bridge: ReviewBridge, viewer: Any, event: Any) -> Iterator[None]:
    """Announce the cell under a click; a drag (moving the picture) and painting announce nothing."""
    cells = bridge.layer(CELLS)
    active = unwrap(viewer.layers.selection.active)
    painting = cells is not None and active is cells and cells.mode != "pan_zoom"
    if cells is None or painting or event.button != 1:
        return
    pressed = np.array(event.pos if event.pos is not None else (0, 0))
    yield
    while event.type == "mouse_move":
        yield
    released = np.array(event.pos if event.pos is not None else (0, 0))
    if np.abs(released - pressed).max() > _STILL:
        return
    y, x = cells.world_to_data(event.position)[-2:]
    bridge.cell_clicked.emit((bridge.state.uid_at(y + 0.5, x + 0.5), (float(y), float(x))))
