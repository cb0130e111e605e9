"""The working grid: how level-0 pixels and the networks' pixels line up, the same for every tile.

A block of `BLOCK` working pixels (0.25 µm each) stands on a whole number of level-0 pixels. Tiles that begin and end
on blocks are therefore resampled exactly alike, wherever they lie.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from napari_aml.cells.network import WORK_UM

#: Working pixels a block; a multiple of the networks' stride.
BLOCK = 32
#: Blocks around a window that the networks see but do not report: 16 µm, two thirds of the U-Net's receptive radius
#: (92 pixels), beyond which its answer no longer changes visibly.
HALO = 2


@dataclass(frozen=True)
class Grid:
    """The working grid of a picture with a given pixel size.

    Attributes
    ----------
    pitch
        Level-0 pixels a block.
    """

    pitch: int

    @classmethod
    def of(cls, pixel_size_um: float) -> Grid:
        """Return the grid for a pixel size (µm per level-0 pixel)."""
        return cls(max(1, round(BLOCK * WORK_UM / pixel_size_um)))

    @property
    def scale(self) -> float:
        """Working pixels per level-0 pixel."""
        return BLOCK / self.pitch

    def blocks(self, pixels: int) -> int:
        """Return how many blocks cover a number of level-0 pixels."""
        return -(-pixels // self.pitch)

    def resample(self, rgb: np.ndarray) -> np.ndarray:
        """Bring a picture that begins on a block to the working grid, padded by reflection to whole blocks."""
        import cv2

        h, w = rgb.shape[:2]
        bottom, right = self.blocks(h) * self.pitch - h, self.blocks(w) * self.pitch - w
        if bottom or right:
            rgb = reflect(rgb, 0, bottom, 0, right)
        size = (self.blocks(w) * BLOCK, self.blocks(h) * BLOCK)
        if size == (rgb.shape[1], rgb.shape[0]):
            return rgb
        return cv2.resize(rgb, size, interpolation=cv2.INTER_AREA if self.scale < 1 else cv2.INTER_LINEAR)


def reflect(rgb: np.ndarray, top: int, bottom: int, left: int, right: int) -> np.ndarray:
    """Pad by reflection, also where the padding is wider than the picture."""
    mode: Literal["reflect", "edge"] = "reflect" if min(rgb.shape[:2]) > 1 else "edge"
    return np.pad(rgb, ((top, bottom), (left, right), (0, 0)), mode=mode)
