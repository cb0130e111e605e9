"""Label pictures for napari: arrays for a field, levels drawn while they are looked at for a large slide."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from napari_aml.cells import CellMasks

#: A slide of at most this many pixels gets plain arrays, in which napari can paint (256 MiB of int32). Larger ones
#: are drawn lazily, for napari can neither show one huge array quickly nor paint into a pyramid.
FIELD_PIXELS = 1 << 26

#: Thinned pictures of at most so many pixels are kept (64 MiB each); finer ones are drawn where they are looked at.
KEPT_PIXELS = 1 << 24

Box = tuple[int, int, int, int]


def draw_masks(
    masks: CellMasks, box: Box, step: int = 1, dtype: Any = np.int32, values: Mapping[int, int] | None = None,
    labels: Iterable[int] | None = None,
) -> np.ndarray:
    """Draw cells, every `step`-th pixel.

    Parameters
    ----------
    masks
        The cells.
    box
        y0, x0, y1, x1 of the region, in pixels of the thinned picture (level-0 pixels over `step`).
    step
        1 = level 0, 2 = every second pixel …
    dtype
        Of the result.
    values
        label → value drawn; the label itself when None. A label that is missing is not drawn.
    labels
        Cells that meet the region; they are looked for when None.

    Returns
    -------
    numpy.ndarray
        (y1 - y0, x1 - x0), 0 = background.
    """
    y0, x0, y1, x1 = box
    out = np.zeros((y1 - y0, x1 - x0), dtype)
    if labels is None:
        labels = masks.inside(y0 * step, x0 * step, (y1 - y0) * step, (x1 - x0) * step)
    for label in labels:
        value = label if values is None else values.get(label, 0)
        if not value:
            continue
        top, left, _, _ = masks.boxes[label]
        # First thinned row and column that fall into both the cell's box and the region.
        ty, tx = max(-(-top // step), y0), max(-(-left // step), x0)
        patch = masks.patches[label][ty * step - top :: step, tx * step - left :: step]
        view = out[ty - y0 : ty - y0 + patch.shape[0], tx - x0 : tx - x0 + patch.shape[1]]
        view[patch[: view.shape[0], : view.shape[1]] > 0] = value
    return out


def draw_thinned(masks: CellMasks, box: Box, step: int) -> np.ndarray:
    """Draw labels as `draw_masks`; coarse pictures of the whole slide are drawn once and kept with the masks."""
    height, width = (-(-n // step) for n in masks.shape)
    if step == 1 or height * width > KEPT_PIXELS:
        return draw_masks(masks, box, step)
    if step not in masks.drawn:
        masks.drawn[step] = draw_masks(masks, (0, 0, height, width), step)
    y0, x0, y1, x1 = box
    return masks.drawn[step][y0:y1, x0:x1].copy()


def prepare(masks: CellMasks) -> None:
    """Draw what a large slide shows first, in any thread: of 100,000 cells it takes a second."""
    if not is_field(masks.shape):
        draw_thinned(masks, (0, 0, 1, 1), steps_for(masks.shape)[-1])


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


def steps_for(shape: tuple[int, int]) -> list[int]:
    """Return the thinning steps of a pyramid over a slide: 1, 4, 16 … until a level is at most 1024 pixels wide."""
    steps = [1]
    while max(shape) / steps[-1] > 1024:
        steps.append(steps[-1] * 4)
    return steps


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


def union(boxes: Sequence[Box], shape: tuple[int, int], margin: int = 0) -> Box | None:
    """Return the smallest box that holds all `boxes`, widened by `margin` and kept inside `shape`; None for none."""
    if not boxes:
        return None
    a = np.asarray(boxes, int)
    y0, x0 = (int(v) - margin for v in a[:, :2].min(0))
    y1, x1 = (int(v) + margin for v in a[:, 2:].max(0))
    return max(y0, 0), max(x0, 0), min(y1, shape[0]), min(x1, shape[1])


def rounded(boxes: np.ndarray) -> list[Box]:
    """Return boxes (n, 4) grown to whole pixels."""
    return [(int(np.floor(a)), int(np.floor(b)), int(np.ceil(c)), int(np.ceil(d))) for a, b, c, d in boxes]
