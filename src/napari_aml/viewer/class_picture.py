"""The class layer's pixels: coarse levels of a large slide are kept, so that one cell is recoloured in place."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from napari_aml.viewer import layers as look
from napari_aml.viewer.drawing import Box, draw_masks

if TYPE_CHECKING:
    from napari_aml.ui.state import ReviewState

#: Thinned pictures of at most so many pixels are kept (16 MiB each); finer ones are drawn where they are looked at.
_KEPT = 1 << 24


class ClassPicture:
    """Draws each cell in the value of its class.

    Parameters
    ----------
    state
        Of the review.
    """

    def __init__(self, state: ReviewState) -> None:
        self._state = state
        self._values: dict[int, int] = {}
        self._kept: dict[int, np.ndarray] = {}
        self._boxes: tuple[object, np.ndarray, np.ndarray] = (None, np.zeros((0, 4), int), np.zeros(0, int))

    def refresh(self) -> None:
        """Read the class of every cell anew."""
        labels = self._state.analysis.cells.table["label"].tolist()
        codes = self._state.codes()
        self._values = {int(label): look.class_value(code) for label, code in zip(labels, codes, strict=True)}
        self._kept = {}

    def clear(self) -> None:
        """Forget everything."""
        self._values, self._kept = {}, {}

    def value(self, label: int) -> int:
        """Return the value of a cell."""
        return self._values.get(label, 0)

    def recolour(self, rows: Iterable[int]) -> list[int]:
        """Read the class of some cells anew, bring the kept pictures up to date; returns their labels."""
        state = self._state
        rows = list(rows)
        masks = state.analysis.cells.masks
        labels = [int(v) for v in state.analysis.cells.table["label"].to_numpy()[rows]]
        for label, row in zip(labels, rows, strict=True):
            value = self._values[label] = look.class_value(state.code(row))
            for step, picture in self._kept.items():
                top, left, _, _ = masks.boxes[label]
                y, x = -(-top // step), -(-left // step)
                patch = masks.patches[label][y * step - top :: step, x * step - left :: step]
                view = picture[y : y + patch.shape[0], x : x + patch.shape[1]]
                view[patch[: view.shape[0], : view.shape[1]] > 0] = value
        return labels

    def draw(self, box: Box, step: int) -> np.ndarray:
        """Draw a box (of the picture thinned by `step`): uint8, 0 = background."""
        height, width = (-(-n // step) for n in self._state.analysis.slide.shape)
        if step == 1 or height * width > _KEPT:
            return self._fresh(box, step)
        if step not in self._kept:
            self._kept[step] = self._fresh((0, 0, height, width), step)
        y0, x0, y1, x1 = box
        return self._kept[step][y0:y1, x0:x1].copy()

    def _fresh(self, box: Box, step: int) -> np.ndarray:
        masks = self._state.analysis.cells.masks
        return draw_masks(masks, box, step, np.uint8, self._values, self._inside(box, step))

    def _inside(self, box: Box, step: int) -> list[int]:
        """Return the labels whose boxes meet a box; of 100,000 cells in a fraction of a millisecond."""
        table = self._state.analysis.cells.table
        if self._boxes[0] is not table:
            self._boxes = (table, table[["y0", "x0", "y1", "x1"]].to_numpy(int), table["label"].to_numpy(int))
        _, boxes, labels = self._boxes
        y0, x0, y1, x1 = (v * step for v in box)
        meets = (boxes[:, 0] < y1) & (boxes[:, 2] > y0) & (boxes[:, 1] < x1) & (boxes[:, 3] > x0)
        return labels[meets].tolist()
