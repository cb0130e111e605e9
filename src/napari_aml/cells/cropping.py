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
    side = even_side(side, crop_px)
    top = np.rint(np.asarray(y, float) / down - side / 2).astype(int)
    left = np.rint(np.asarray(x, float) / down - side / 2).astype(int)
    blocks: dict[tuple[int, int], list[int]] = defaultdict(list)
    for i, where in enumerate(zip((top // _BLOCK).tolist(), (left // _BLOCK).tolist(), strict=True)):
        blocks[where].append(i)
    for members in blocks.values():
        y0, x0 = top[members].min(), left[members].min()
        height, width = top[members].max() + side - y0, left[members].max() + side - x0
        block = slide.peek(level, int(y0), int(x0), int(height), int(width))
        for i in members:
            a, b = top[i] - y0, left[i] - x0
            resample(block[a : a + side, b : b + side], crop_px, out[i])
    return out


def even_side(side: float, size: int) -> int:
    """Return the side nearest to `side` that can be halved as often as `resample` will halve it: at most 0.5 % off."""
    factor = 1
    while side >= 2 * factor * size:
        factor *= 2
    return max(1, factor * round(side / factor))


def resample(picture: np.ndarray, size: int, out: np.ndarray | None = None) -> np.ndarray:
    """Resample a square picture uint8 (h, h, 3) to (size, size, 3).

    Shrinking averages areas and enlarging interpolates cubically, so that no scanner leaves its own aliasing.
    Halvings are taken out first, which averages just the same and is several times faster.

    Parameters
    ----------
    picture
        uint8 (h, h, 3).
    size
        Side of the result.
    out
        Where to write it, uint8 (size, size, 3).
    """
    import cv2

    if picture.shape[0] < size:
        return cv2.resize(picture, (size, size), dst=out, interpolation=cv2.INTER_CUBIC)
    while picture.shape[0] >= 2 * size and picture.shape[0] % 2 == 0:
        half = picture.shape[0] // 2
        picture = cv2.resize(picture, (half, half), interpolation=cv2.INTER_AREA)
    return cv2.resize(picture, (size, size), dst=out, interpolation=cv2.INTER_AREA)
