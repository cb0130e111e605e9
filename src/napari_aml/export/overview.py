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


def overview_steps(slide: Slide, longest: int) -> Steps[Overview]:
    """Shrink a slide to at most `longest` pixels on its long side; a smaller slide stays as it is.

    Reads the coarsest level that is still as fine as the result, block by block: memory follows the result.
    """
    import cv2

    scale = min(1.0, longest / max(slide.shape))
    fits = [i for i, lv in enumerate(slide.levels) if lv.downsample * scale <= 1.01]
    level = max(fits, default=0)
    there = slide.levels[level]
    height, width = (max(1, round(s * scale)) for s in slide.shape)
    out = np.empty((height, width, 3), np.uint8)
    ky, kx = there.height / height, there.width / width
    step = max(1, int(_BLOCK / max(ky, kx)))
    said = time.perf_counter()
    for top in range(0, height, step):
        for left in range(0, width, step):
            bottom, right = min(top + step, height), min(left + step, width)
            y0, x0, y1, x1 = round(top * ky), round(left * kx), round(bottom * ky), round(right * kx)
            block = slide.region(level, y0, x0, max(1, y1 - y0), max(1, x1 - x0))
            size = (right - left, bottom - top)
            out[top:bottom, left:right] = cv2.resize(block, size, interpolation=cv2.INTER_AREA)
            if time.perf_counter() - said > _YIELD_SECONDS:
                yield Progress(top * width + left * (bottom - top), height * width, "Drawing the overview")
                said = time.perf_counter()
    return Overview(out, scale)


def outline(masks: CellMasks, label: int, scale: float = 1.0, part_least: int = 1) -> np.ndarray:
    """Return the outline of one cell as a closed polygon.

    Parameters
    ----------
    masks, label
        Which cell.
    scale
        Of the picture that it is drawn on, pixels per level-0 pixel.
    part_least
        1 for the whole cell, 2 for its nucleus.

    Returns
    -------
    numpy.ndarray
        float32 (k, 2): x, y in pixels of that picture, the outer edge of the mask's largest piece; (0, 2) if empty.
    """
    import cv2

    y0, x0, _, _ = masks.boxes[label]
    mask = np.pad((masks.patches[label] >= part_least).astype(np.uint8), 1)
    found, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if not found:
        return np.zeros((0, 2), np.float32)
    largest = max(found, key=cv2.contourArea)
    if len(largest) > 40:
        largest = cv2.approxPolyDP(largest, 0.5, True)
    # -1 undoes the padding, +0.5 goes from the index of a pixel to its centre.
    points = largest.reshape(-1, 2).astype(np.float32) - 1 + 0.5 + np.array([x0, y0], np.float32)
    return points * scale
