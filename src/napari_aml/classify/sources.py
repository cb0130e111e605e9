"""Where crops come from: an array, a slide, a folder. Each reads the rows it is asked for, when it is asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from napari_aml.errors import InputError

if TYPE_CHECKING:
    from napari_aml.slides.slide import Slide

# Cells are taken in blocks of this side (level-0 px), so that neighbouring crops come from one read.
_BLOCK = 2048


class CropSource(Protocol):
    """Something that crops are read from, batch by batch, in a thread beside the network."""

    def __len__(self) -> int:
        """Return the number of crops."""
        ...

    @property
    def order(self) -> np.ndarray:
        """Rows in the order in which they are best read, int (n,)."""
        ...

    def read(self, rows: np.ndarray, zoom: float = 1.0) -> np.ndarray:
        """Return uint8 (len(rows), px, px, 3); `zoom` > 1 asks for the central part, enlarged."""
        ...


class ArrayCrops:
    """Crops that are already cut.

    Parameters
    ----------
    crops
        uint8 (n, h, w, 3).
    px
        Side that the network takes; crops of another size are resized (area averaging down, cubic up).
    """

    def __init__(self, crops: np.ndarray, px: int) -> None:
        crops = np.asarray(crops)
        if crops.ndim != 4 or crops.shape[-1] != 3 or crops.dtype != np.uint8:
            raise InputError(f"Crops should be uint8 (n, h, w, 3), not {crops.dtype} {crops.shape}.")
        self._crops, self._px = crops, px

    def __len__(self) -> int:
        return len(self._crops)

    @property
    def order(self) -> np.ndarray:
        """The rows as they stand."""
        return np.arange(len(self))

    def read(self, rows: np.ndarray, zoom: float = 1.0) -> np.ndarray:
        """Return some crops, uint8 (n, px, px, 3)."""
        picked = self._crops[rows]
        if zoom == 1.0 and picked.shape[1:3] == (self._px, self._px):
            return picked
        out = np.empty((len(picked), self._px, self._px, 3), np.uint8)
        for crop, target in zip(picked, out, strict=True):
            centre_square(crop, self._px, zoom, target)
        return out


class SlideCrops:
    """Crops around cells of a slide, cut when they are asked for.

    Parameters
    ----------
    slide
        Its pixel size is known.
    y, x
        (n,) centres, level-0 pixels.
    crop_um, crop_px
        Side of a crop in µm and in pixels.
    """

    def __init__(
        self,
        slide: Slide,
        y: Sequence[float] | np.ndarray,
        x: Sequence[float] | np.ndarray,
        crop_um: float,
        crop_px: int,
    ) -> None:
        self.slide, self.crop_um, self.crop_px = slide, crop_um, crop_px
        self.y, self.x = np.asarray(y, float), np.asarray(x, float)

    def __len__(self) -> int:
        return len(self.y)

    @property
    def order(self) -> np.ndarray:
        """Rows by blocks of the slide, so that reading is sequential and neighbours share a read."""
        return np.lexsort((self.x, self.y // 256, self.x // _BLOCK, self.y // _BLOCK))

    def read(self, rows: np.ndarray, zoom: float = 1.0) -> np.ndarray:
        """Cut some crops, uint8 (n, crop_px, crop_px, 3)."""
        from napari_aml.cells.cropping import crops

        return crops(self.slide, self.y[rows], self.x[rows], self.crop_um / zoom, self.crop_px)

    @property
    def boxes(self) -> np.ndarray:
        """float32 (n, 4): y0, x0, y1, x1 of the crops, level-0 pixels."""
        assert self.slide.pixel_size.um is not None
        half = self.crop_um / self.slide.pixel_size.um / 2
        return np.stack([self.y - half, self.x - half, self.y + half, self.x + half], 1).astype(np.float32)


def centre_square(picture: np.ndarray, px: int, zoom: float = 1.0, out: np.ndarray | None = None) -> np.ndarray:
    """Cut the central square of a picture and resize it: area averaging down, cubic interpolation up.

    The square is as wide as the picture's shorter side divided by `zoom`: a picture that is not square loses the
    ends of its longer side, for padding would invent background and stretching would change the cell's shape.

    Parameters
    ----------
    picture
        uint8 (h, w, 3).
    px
        Side of the result.
    zoom
        1 = the whole shorter side.
    out
        Where to write it, uint8 (px, px, 3).
    """
    from napari_aml.cells.cropping import even_side, resample

    height, width = picture.shape[:2]
    shorter = min(height, width)
    side = min(even_side(shorter / zoom, px), shorter)
    top, left = (height - side) // 2, (width - side) // 2
    return resample(np.ascontiguousarray(picture[top : top + side, left : left + side]), px, out)
