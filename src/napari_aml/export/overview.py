"""The whole slide as one picture of bounded size, read block by block, and the outlines of its cells."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_aml.progress import Progress, Steps

if TYPE_CHECKING:
    from napari_aml.cells.masks import CellMasks
    from napari_aml.slides.slide import Slide

# Side of the blocks that are read and shrunk in turn, pixels of the level that is read.
_BLOCK = 2048
_YIELD_SECONDS = 0.1


@dataclass(frozen=True)
class Overview:
    """A picture of a whole slide.

    Attributes
    ----------
    rgb
        uint8 (h, w, 3).
    scale
        Pixels of this picture per level-0 pixel; 1 for a slide that is small enough.
    """

    rgb: np.ndarray
    scale: float


def overview_shape(slide: Slide, longest: int) -> tuple[int, int]:
    """Return height and width of the picture that `overview_steps` makes."""
    scale = min(1.0, longest / max(slide.shape))
    height, width = slide.shape
    return max(1, round(height * scale)), max(1, round(width * scale))


def overview_steps(slide: Slide, longest: int) -> Steps[Overview]:
    """Shrink a slide to at most `longest` pixels on its long side; a smaller slide stays as it is.

    Reads the coarsest level that is still as fine as the result, block by block: memory follows the result.
    """
    import cv2

    scale = min(1.0, longest / max(slide.shape))
    fits = [i for i, lv in enumerate(slide.levels) if lv.downsample * scale <= 1.01]
    level = max(fits, default=0)
    there = slide.levels[level]
    height, width = overview_shape(slide, longest)
    out = np.empty((height, width, 3), np.uint8)
    ky, kx = there.height / height, there.width / width
    step = max(1, int(_BLOCK / max(ky, kx)))
    said = time.perf_counter()
    for top in range(0, height, step):
        for left in range(0, width, step):
            bottom, right = min(top + step, height), min(left + step, width)
            y0, x0, y1, x1 = round(top * ky), round(left * kx), round(bottom * ky), round(right * kx)
            block = slide.peek(level, y0, x0, max(1, y1 - y0), max(1, x1 - x0))
            size = (right - left, bottom - top)
            out[top:bottom, left:right] = cv2.resize(block, size, interpolation=cv2.INTER_AREA)
            if time.perf_counter() - said > _YIELD_SECONDS:
                yield Progress(top * width + left * (bottom - top), height * width, "Drawing the overview")
                said = time.perf_counter()
    return Overview(out, scale)


def outlines(masks: CellMasks, label: int, scale: float = 1.0, *, nucleus: bool = False) -> list[np.ndarray]:
    """Return the outer edges of one cell's mask as closed polygons, one a piece, the largest first.

    Parameters
    ----------
    masks, label
        Which cell.
    scale
        Of the picture that they are drawn on, pixels per level-0 pixel.
    nucleus
        The nucleus, which may have several lobes, in place of the whole cell.

    Returns
    -------
    list of numpy.ndarray
        float32 (k, 2): x, y in pixels of that picture, (0, 0) being the corner of its first pixel.
    """
    import cv2

    y0, x0, _, _ = masks.boxes[label]
    mask = np.pad((masks.patches[label] >= (2 if nucleus else 1)).astype(np.uint8), 1)
    found, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    out = []
    for piece in sorted(found, key=cv2.contourArea, reverse=True):
        points = cv2.approxPolyDP(piece, 0.5, True) if len(piece) > 40 else piece
        # -1 undoes the padding, +0.5 goes from the index of a pixel to its centre.
        out.append((points.reshape(-1, 2).astype(np.float32) - 0.5 + np.array([x0, y0], np.float32)) * scale)
    return out


def outline(masks: CellMasks, label: int, scale: float = 1.0) -> np.ndarray:
    """Return the outline of a cell's largest piece, see `outlines`; (0, 2) for an empty mask."""
    return next(iter(outlines(masks, label, scale)), np.zeros((0, 2), np.float32))
