"""Label pictures drawn from masks: of any part of a slide, whole or thinned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from napari_aml.cells.masks import CellMasks

#: Thinned pictures of at most so many pixels are kept (64 MiB each); finer ones are drawn where they are looked at.
KEPT_PIXELS = 1 << 24
#: Height and width of the largest picture that is drawn before a window asks for it: as many pixels.
_LARGEST_SIDE = 4096

Box = tuple[int, int, int, int]


def draw_masks(
    masks: CellMasks,
    box: Box,
    step: int = 1,
    dtype: Any = np.int32,
    values: Mapping[int, int] | None = None,
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


def draw_thinned(masks: CellMasks, box: Box, step: int, *, copy: bool = True) -> np.ndarray:
    """Draw labels as `draw_masks`; coarse pictures of the whole slide are drawn once and kept with the masks.

    Without `copy` what is returned may be a part of the picture that is kept: it must not be written to.
    """
    height, width = (-(-n // step) for n in masks.shape)
    if step not in masks.drawn:
        if step == 1 or height * width > KEPT_PIXELS:
            return draw_masks(masks, box, step)
        masks.drawn[step] = draw_masks(masks, (0, 0, height, width), step)
    y0, x0, y1, x1 = box
    part = masks.drawn[step][y0:y1, x0:x1]
    return part.copy() if copy else part


def steps_for(shape: tuple[int, int]) -> list[int]:
    """Return the thinning steps of a pyramid over a slide: 1, 4, 16 … until a level is at most 1024 pixels wide."""
    steps = [1]
    while max(shape) / steps[-1] > 1024:
        steps.append(steps[-1] * 4)
    return steps


def steps_ahead(shape: tuple[int, int]) -> list[int]:
    """Return the steps of those pictures of a slide that a window may show first, finest first; none for a small one.

    A window shows the coarsest level that still has more pixels than itself: on a large screen not the last one.
    """
    return [step for step in steps_for(shape)[1:] if max(shape) / step <= _LARGEST_SIDE]


def keep_drawn(masks: CellMasks, step: int, labels: np.ndarray) -> None:
    """Let masks have a picture thinned by `step`, and all coarser ones, which are every so many pixels of it."""
    for coarser in steps_ahead(masks.shape):
        if coarser >= step:
            every = coarser // step
            masks.drawn[coarser] = labels if every == 1 else np.ascontiguousarray(labels[::every, ::every])


def draw_ahead(masks: CellMasks) -> tuple[int, np.ndarray] | None:
    """Draw what a window may show first; return the finest of these pictures and its step, None for a small slide."""
    steps = steps_ahead(masks.shape)
    if not steps:
        return None
    step = steps[0]
    if any(s not in masks.drawn for s in steps):
        height, width = (-(-n // step) for n in masks.shape)
        keep_drawn(masks, step, draw_thinned(masks, (0, 0, height, width), step))
    return step, masks.drawn[step]
