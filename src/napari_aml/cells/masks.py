"""Masks of cells as one small patch a cell, so that memory follows the cells and not the slide."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, MutableMapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

Part = Literal["cell", "nucleus"]
_CELL, _NUCLEUS = 1, 2
#: So many changed cells are looked at one by one before the arrays of boxes are made anew.
_MOST_CHANGED = 256


@dataclass
class CellMasks:
    """One patch per cell.

    Attributes
    ----------
    shape
        Height and width of the slide's level 0, pixels.
    boxes
        label → (y0, x0, y1, x1), level-0 pixels, half-open.
    patches
        label → uint8 (y1 - y0, x1 - x0): 0 outside, 1 cell, 2 nucleus (which is cell, too).
    last
        The largest label ever used, so that the label of a deleted cell is never given to another.
    drawn
        step → label picture thinned by it, where someone keeps one; forgotten as soon as a mask changes.
    """

    shape: tuple[int, int]
    boxes: dict[int, tuple[int, int, int, int]] = field(default_factory=dict)
    patches: MutableMapping[int, np.ndarray] = field(default_factory=dict)
    last: int = 0
    drawn: dict[int, np.ndarray] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.last = max(self.last, max(self.boxes, default=0))
        self._found: tuple[np.ndarray, np.ndarray] | None = None
        self._changed: set[int] = set()

    def __len__(self) -> int:
        return len(self.boxes)

    def __iter__(self) -> Iterator[int]:
        return iter(self.boxes)

    @property
    def next_label(self) -> int:
        """The smallest label that was never used."""
        return self.last + 1

    def put(self, label: int, y0: int, x0: int, patch: np.ndarray) -> None:
        """Set the mask of a cell; `patch` uint8 (h, w) with 0, 1 or 2, its top left corner at (y0, x0)."""
        self.last = max(self.last, label)
        self.boxes[label] = (y0, x0, y0 + patch.shape[0], x0 + patch.shape[1])
        self.patches[label] = np.ascontiguousarray(patch, np.uint8)
        self._changed.add(label)
        self.drawn.clear()

    def remove(self, label: int) -> None:
        """Forget a cell."""
        del self.boxes[label], self.patches[label]
        self._changed.add(label)
        self.drawn.clear()

    def only(self, labels: Iterable[int]) -> CellMasks:
        """Return the masks of some cells; the patches are shared."""
        labels = list(labels)
        return CellMasks(
            self.shape, {k: self.boxes[k] for k in labels}, {k: self.patches[k] for k in labels}, self.last
        )

    def inside(self, y: int, x: int, h: int, w: int) -> list[int]:
        """Return the labels whose boxes meet a region (level-0 pixels), sorted.

        Among 100,000 cells a fraction of a millisecond: a click on the picture asks for it.
        """
        if self._found is None or len(self._changed) > _MOST_CHANGED:
            labels = np.fromiter(self.boxes, np.int64, len(self.boxes))
            boxes = np.array(list(self.boxes.values()), np.int64).reshape(-1, 4)
            self._found, self._changed = (labels, boxes), set()
        labels, boxes = self._found
        meets = (boxes[:, 0] < y + h) & (boxes[:, 2] > y) & (boxes[:, 1] < x + w) & (boxes[:, 3] > x)
        here = labels[meets].tolist()
        if self._changed:
            here = [label for label in here if label not in self._changed]
            for label in self._changed & self.boxes.keys():
                y0, x0, y1, x1 = self.boxes[label]
                if y0 < y + h and y1 > y and x0 < x + w and x1 > x:
                    here.append(label)
        return sorted(here)

    def region(self, y: int, x: int, h: int, w: int, part: Part = "cell") -> np.ndarray:
        """Draw the labels of a region: int32 (h, w), 0 = background."""
        return self._draw(self.inside(y, x, h, w), y, x, h, w, part)

    def to_array(self, part: Part = "cell") -> np.ndarray:
        """Draw the whole label image: int32 (height, width)."""
        return self._draw(sorted(self.boxes), 0, 0, *self.shape, part)

    def _draw(self, labels: Iterable[int], y: int, x: int, h: int, w: int, part: Part) -> np.ndarray:
        out = np.zeros((h, w), np.int32)
        least = _NUCLEUS if part == "nucleus" else _CELL
        for label in labels:
            y0, x0, y1, x1 = self.boxes[label]
            top, left, bottom, right = max(y0, y), max(x0, x), min(y1, y + h), min(x1, x + w)
            patch = self.patches[label][top - y0 : bottom - y0, left - x0 : right - x0]
            view = out[top - y : bottom - y, left - x : right - x]
            view[patch >= least] = label
        return out

    @classmethod
    def from_arrays(cls, cells: np.ndarray, nuclei: np.ndarray | None = None) -> CellMasks:
        """Cut patches out of label images int (height, width); `nuclei` carries the ids of `cells`."""
        from scipy.ndimage import find_objects

        masks = cls((int(cells.shape[0]), int(cells.shape[1])))
        for label, where in enumerate(find_objects(cells), start=1):
            if where is None:
                continue
            patch = (cells[where] == label).astype(np.uint8)
            if nuclei is not None:
                patch[(nuclei[where] == label) & (patch > 0)] = _NUCLEUS
            masks.put(label, where[0].start, where[1].start, patch)
        return masks
