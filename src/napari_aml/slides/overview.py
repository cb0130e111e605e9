"""A small picture of a whole slide, read tile by tile, so that memory follows the small picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari_aml.slides.slide import Slide

# Side of the tiles that are read, in pixels of the small picture times the factor.
_TILE = 2048


def overview(slide: Slide, downsample: float) -> np.ndarray:
    """Draw the whole slide, shrunk by area averaging.

    Parameters
    ----------
    slide
        Any slide.
    downsample
        Level-0 pixels per pixel of the result, at least 1.

    Returns
    -------
    numpy.ndarray
        uint8 (ceil(height / downsample), ceil(width / downsample), 3).

    Notes
    -----
    Reads the coarsest level that is still at least as fine as asked for.
    """
    import cv2

    height, width = slide.shape
    out = np.full((int(np.ceil(height / downsample)), int(np.ceil(width / downsample)), 3), 255, np.uint8)
    fits = [i for i, level in enumerate(slide.levels) if level.downsample <= downsample * 1.001]
    level = max(fits, default=0)
    factor = downsample / slide.levels[level].downsample
    if factor < 1.001:
        part = slide.region(level, 0, 0, *out.shape[:2])
        out[:] = part
        return out
    step = max(1, int(_TILE / factor))
    for top in range(0, out.shape[0], step):
        for left in range(0, out.shape[1], step):
            h, w = min(step, out.shape[0] - top), min(step, out.shape[1] - left)
            y0, x0 = round(top * factor), round(left * factor)
            # The last row and column may cover less than one whole pixel: what lies outside the slide is left out.
            y1 = min(round((top + h) * factor), slide.levels[level].height)
            x1 = min(round((left + w) * factor), slide.levels[level].width)
            tile = slide.region(level, y0, x0, max(1, y1 - y0), max(1, x1 - x0))
            out[top : top + h, left : left + w] = cv2.resize(tile, (w, h), interpolation=cv2.INTER_AREA)
    return out
