"""Crops of cells: squares of a fixed physical size, resampled to a fixed number of pixels, in one pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari_aml.slides.slide import Slide

# Cells whose crops lie in one block of this side (level pixels) are cut from one read of the slide.
_BLOCK = 2048


def crops(
    slide: Slide, y: Sequence[float] | np.ndarray, x: Sequence[float] | np.ndarray, crop_um: float, crop_px: int
) -> np.ndarray:
    """Cut square crops around cells.

    The slide is read block by block, each block once, at the coarsest level that is still as fine as the crops;
    shrinking is by area averaging and enlarging by cubic interpolation, so a crop looks the same whatever the scanner.

    Parameters
    ----------
    slide
        A slide whose pixel size is known.
    y, x
        (n,) centres, level-0 pixels.
    crop_um, crop_px
        Side of a crop in µm and in pixels.

    Returns
    -------
    numpy.ndarray
        uint8 (n, crop_px, crop_px, 3). White outside the slide.
    """
    import cv2

    if slide.pixel_size.um is None:
        raise ValueError("crops need a slide whose pixel size is known")
    y, x = np.asarray(y, float), np.asarray(x, float)
    out = np.empty((len(y), crop_px, crop_px, 3), np.uint8)
    level = slide.level_for(crop_um / crop_px)
    down = slide.levels[level].downsample
    side = crop_um / slide.pixel_size.um / down
    reach = int(np.ceil(side / 2)) + 2
    cy, cx = y / down, x / down
    shrink = side / crop_px
    # The affine map of output pixel centres into the block; blurring first where several pixels become one.
    for by, bx in sorted({(int(a // _BLOCK), int(b // _BLOCK)) for a, b in zip(cy, cx, strict=True)}):
        members = np.flatnonzero((cy // _BLOCK == by) & (cx // _BLOCK == bx))
        top, left = int(cy[members].min()) - reach, int(cx[members].min()) - reach
        height = int(np.ceil(cy[members].max())) + reach - top
        width = int(np.ceil(cx[members].max())) + reach - left
        block = slide.region(level, top, left, height, width)
        if shrink > 1.5:
            # Area averaging to the nearest whole factor, then the affine map does the rest.
            factor = 1.0 / shrink
            small = cv2.resize(block, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
            sy, sx = small.shape[0] / block.shape[0], small.shape[1] / block.shape[1]
        else:
            small, sy, sx = block, 1.0, 1.0
        for i in members:
            ky, kx = side * sy / crop_px, side * sx / crop_px
            oy = (cy[i] - top - side / 2) * sy + ky / 2 - 0.5
            ox = (cx[i] - left - side / 2) * sx + kx / 2 - 0.5
            matrix = np.array([[kx, 0, ox], [0, ky, oy]], np.float64)
            cv2.warpAffine(
                small, matrix, (crop_px, crop_px), dst=out[i],
                flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE,
            )  # fmt: skip
    return out
