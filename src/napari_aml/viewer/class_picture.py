"""The class layer's pixels: labels looked up in a table of classes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from napari_aml.viewer import layers as look
from napari_aml.viewer.drawing import Box, draw_thinned

if TYPE_CHECKING:
    from napari.layers import Labels

    from napari_aml.ui.state import ReviewState

#: Up to so many cells a change is written cell by cell into the picture on screen; beyond, the layer is redrawn, and
#: beyond the second number looked up anew as a whole.
FEW, _MANY = 64, 4096
# Rows that are looked up at a time.
_BAND = 64


class ClassPicture:
    """Draws each cell in the value of its class.

    Labels are drawn; what is shown of them is looked up in a table label → value when it is asked for. So a new class
    costs one entry of the table, of one cell as of 20,000.

    Parameters
    ----------
    state
        Of the review.
    """

    def __init__(self, state: ReviewState) -> None:
        self._state = state
        self._values = np.zeros(1, np.uint8)

    def refresh(self) -> None:
        """Read the class of every cell anew."""
        analysis = self._state.at_hand
        labels = analysis.cells.table["label"].to_numpy(np.int64)
        self._values = np.zeros(max(analysis.cells.masks.last, labels.max(initial=0)) + 2, np.uint8)
        self._values[labels] = _values(self._state.codes())

    def clear(self) -> None:
        """Forget everything."""
        self._values = np.zeros(1, np.uint8)

    def value(self, label: int) -> int:
        """Return the value of a cell."""
        return int(self._values[label]) if label < len(self._values) else 0

    def values(self, labels: np.ndarray) -> np.ndarray:
        """Return the values of a picture of labels: uint8, 0 = background and labels that are no cells (yet)."""
        found = np.empty(labels.shape, np.uint8)
        for y in range(0, len(labels), _BAND):  # numpy makes 8-byte indices of them: not of a whole camera picture
            self._values.take(labels[y : y + _BAND], mode="clip", out=found[y : y + _BAND])
        return found  # the table's last entry is nobody's

    def recolour(self, rows: Iterable[int]) -> list[int]:
        """Read the class of some cells anew; returns their labels."""
        state, rows = self._state, np.fromiter(rows, np.int64)
        labels = state.at_hand.cells.table["label"].to_numpy(np.int64)[rows]
        if len(rows) > FEW:
            self._values[labels] = _values(state.codes_of(rows))
        else:
            self._values[labels] = [look.class_value(state.code(int(row))) for row in rows]
        return labels.tolist()

    def paint(self, layer: Labels, cells: Labels | None, labels: Sequence[int]) -> bool:
        """Write the values of some cells into a plain class layer; returns whether it has to be redrawn as a whole.

        Parameters
        ----------
        layer, cells
            The class layer, and the layer of labels where there is one.
        labels
            The cells.
        """
        masks = self._state.at_hand.cells.masks
        if len(labels) > _MANY:
            drawn = cells.data if cells is not None else draw_thinned(masks, (0, 0, *masks.shape), 1)
            layer.data[...] = self.values(drawn)
            return True
        for label in labels:
            y0, x0, _, _ = masks.boxes[label]
            inside = np.nonzero(masks.patches[label])
            y, x = inside[0] + y0, inside[1] + x0
            # An imported mask may reach beyond the picture.
            there = (y >= 0) & (x >= 0) & (y < masks.shape[0]) & (x < masks.shape[1])
            where, value = (y[there], x[there]), self.value(label)
            if len(labels) <= FEW:
                layer.data_setitem(where, value)
            else:
                layer.data[where] = value
        return len(labels) > FEW

    def draw(self, box: Box, step: int) -> np.ndarray:
        """Draw a box (of the picture thinned by `step`): uint8, 0 = background."""
        return self.values(draw_thinned(self._state.at_hand.cells.masks, box, step, copy=False))


def _values(codes: np.ndarray) -> np.ndarray:
    import pandas as pd

    index, names = pd.factorize(codes)
    return np.array([look.class_value(str(name)) for name in names], np.uint8)[index]
