"""The class layer's pixels: labels looked up in a table of classes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from napari_aml.viewer import layers as look
from napari_aml.viewer.drawing import Box, draw_thinned

if TYPE_CHECKING:
    from napari_aml.ui.state import ReviewState

#: Up to this many cells are asked for one by one.
_MANY = 64


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
        analysis = self._state.analysis
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
        return self._values.take(labels, mode="clip")  # the table's last entry is nobody's

    def recolour(self, rows: Iterable[int]) -> list[int]:
        """Read the class of some cells anew; returns their labels."""
        state, rows = self._state, np.fromiter(rows, np.int64)
        labels = state.analysis.cells.table["label"].to_numpy(np.int64)[rows]
        if len(rows) > _MANY:
            self._values[labels] = _values(state.codes()[rows])
        else:
            self._values[labels] = [look.class_value(state.code(int(row))) for row in rows]
        return labels.tolist()

    def draw(self, box: Box, step: int) -> np.ndarray:
        """Draw a box (of the picture thinned by `step`): uint8, 0 = background."""
        return self.values(draw_thinned(self._state.analysis.cells.masks, box, step))


def _values(codes: np.ndarray) -> np.ndarray:
    import pandas as pd

    index, names = pd.factorize(codes)
    return np.array([look.class_value(str(name)) for name in names], np.uint8)[index]
