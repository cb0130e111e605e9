"""Label pictures for napari: arrays for a field, levels drawn while they are looked at for a large slide."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_aml.cells.drawn import Box, draw_ahead, draw_masks, draw_thinned, steps_for

if TYPE_CHECKING:
    from napari_aml.cells import CellMasks

__all__ = [
    "Box", "DrawnLevel", "draw_masks", "draw_thinned", "is_field", "prepare", "pyramid", "release", "rounded",
    "steps_for", "union",
]  # fmt: skip

#: A slide of at most this many pixels gets plain arrays, in which napari can paint (256 MiB of int32). Larger ones
#: are drawn lazily, for napari can neither show one huge array quickly nor paint into a pyramid.
FIELD_PIXELS = 1 << 26
# Fewer cells are drawn in milliseconds, and not ahead.
_MANY = 2000


def prepare(masks: CellMasks) -> None:
    """Draw what is shown first, in any thread: of 100,000 cells it takes a second."""
    if not is_field(masks.shape):
        draw_ahead(masks)
    elif len(masks) > _MANY:
        masks.drawn[1] = draw_masks(masks, (0, 0, *masks.shape))


def release(masks: CellMasks) -> None:
    """Let go of the picture of a whole field, once its layers are made."""
    masks.drawn.pop(1, None)


class DrawnLevel:
    """One level of a pyramid that is drawn when napari asks for a part of it.

    Parameters
    ----------
    shape
        Height and width of the level.
    dtype
        Of its pixels.
    draw
        Called with a box (y0, x0, y1, x1) of this level; returns the pixels.
    """

    ndim = 2

    def __init__(self, shape: tuple[int, int], dtype: Any, draw: Callable[[Box], np.ndarray]) -> None:
        self.shape, self.dtype, self._draw = shape, np.dtype(dtype), draw
        self.size = shape[0] * shape[1]

    def __getitem__(self, key: Any) -> np.ndarray:
        key = key if isinstance(key, tuple) else (key,)
        key = (*key, *[slice(None)] * (2 - len(key)))
        spans, steps, drop = [], [], []
        for part, length in zip(key, self.shape, strict=True):
            if isinstance(part, slice):
                start, stop, step = part.indices(length)
                spans.append((start, max(start, stop)))
                steps.append(slice(None, None, step))
            else:
                spans.append((int(part) % length, int(part) % length + 1))
                steps.append(slice(None))
            drop.append(slice(None) if isinstance(part, slice) else 0)
        (y0, y1), (x0, x1) = spans
        return self._draw((y0, x0, y1, x1))[tuple(steps)][tuple(drop)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        whole = self._draw((0, 0, *self.shape))
        return whole if dtype is None else whole.astype(dtype)


def is_field(shape: Sequence[int]) -> bool:
    """Tell whether a slide is small enough for plain, paintable arrays."""
    return shape[0] * shape[1] <= FIELD_PIXELS


def pyramid(
    shape: tuple[int, int], dtype: Any, draw: Callable[[Box, int], np.ndarray]
) -> np.ndarray | list[DrawnLevel]:
    """Return layer data: one array for a field, else a list of drawn levels.

    Parameters
    ----------
    shape
        Height and width of level 0.
    dtype
        Of the pixels.
    draw
        Called with (box, step); see `draw_masks`.
    """
    if is_field(shape):
        return draw((0, 0, *shape), 1)

    def level(step: int) -> DrawnLevel:
        size = (-(-shape[0] // step), -(-shape[1] // step))
        return DrawnLevel(size, dtype, lambda box: draw(box, step))

    return [level(step) for step in steps_for(shape)]


def union(boxes: Sequence[Box], shape: tuple[int, int], margin: int = 0) -> Box:
    """Return the smallest box that holds all `boxes` (one or more), widened by `margin` and kept inside `shape`."""
    if not boxes:
        raise ValueError("of no boxes there is no smallest one around them")
    a = np.asarray(boxes, int)
    y0, x0 = (int(v) - margin for v in a[:, :2].min(0))
    y1, x1 = (int(v) + margin for v in a[:, 2:].max(0))
    return max(y0, 0), max(x0, 0), min(y1, shape[0]), min(x1, shape[1])


def rounded(boxes: np.ndarray) -> list[Box]:
    """Return boxes (n, 4) grown to whole pixels."""
    return [(int(np.floor(a)), int(np.floor(b)), int(np.ceil(c)), int(np.ceil(d))) for a, b, c, d in boxes]
