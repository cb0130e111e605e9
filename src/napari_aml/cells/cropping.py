"""Crops of cells: squares of a fixed physical size, resampled to a fixed number of pixels, in one pass."""

from __future__ import annotations

from collections import defaultdict
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

    The slide is read block by block, each block once, at the coarsest level that is still as fine as the crops.
    A crop depends on its own cell alone, not on the other cells that are cut in the same pass.

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
    if slide.pixel_size.um is None:
        raise ValueError("crops need a slide whose pixel size is known")
    out = np.empty((len(y), crop_px, crop_px, 3), np.uint8)
    level = slide.level_for(crop_um / crop_px)
    down = slide.levels[level].downsample
    side = crop_um / slide.pixel_size.um / down
    # A multiple of the whole shrinking factor, so that `resample` finds whole pixels to average: at most 0.5 % off.
    factor = max(1, int(side / crop_px))
    side = max(1, factor * round(side / factor))
    top = np.rint(np.asarray(y, float) / down - side / 2).astype(int)
    left = np.rint(np.asarray(x, float) / down - side / 2).astype(int)
    blocks: dict[tuple[int, int], list[int]] = defaultdict(list)
    for i, where in enumerate(zip((top // _BLOCK).tolist(), (left // _BLOCK).tolist(), strict=True)):
        blocks[where].append(i)
    for members in blocks.values():
        y0, x0 = top[members].min(), left[members].min()
        height, width = top[members].max() + side - y0, left[members].max() + side - x0
        block = slide.region(level, int(y0), int(x0), int(height), int(width))
        for i in members:
            a, b = top[i] - y0, left[i] - x0
            out[i] = resample(block[a : a + side, b : b + side], crop_px)
    return out


def resample(picture: np.ndarray, size: int) -> np.ndarray:
    """Resample a square picture uint8 (h, h, 3) to (size, size, 3).

    Shrinking averages areas and enlarging interpolates cubically, so that no scanner leaves its own aliasing.
    Whole factors are taken out first, which is several times faster and averages just the same.
    """
    import cv2

    ratio = picture.shape[0] / size
    if ratio < 1:
        return cv2.resize(picture, (size, size), interpolation=cv2.INTER_CUBIC)
    whole = int(ratio)
    if whole > 1:
        least = -(-picture.shape[0] // whole)
        picture = cv2.resize(picture, (least, least), interpolation=cv2.INTER_AREA)
    if picture.shape[0] != size:
        picture = cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)
    return picture
