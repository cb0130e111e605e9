"""The pictures of a dataset as crops for a bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari_aml.datasets import Dataset


class DatasetCrops:
    """The pictures of a dataset as crops for a bundle.

    Parameters
    ----------
    dataset
        The dataset.
    rows
        Rows of its table.
    crop_um, crop_px
        What the bundle takes. A picture without pixel size is taken whole.
    """

    def __init__(self, dataset: Dataset, rows: np.ndarray, crop_um: float, crop_px: int) -> None:
        self.dataset, self.rows, self.crop_um, self.crop_px = dataset, rows, crop_um, crop_px
        self._size = dataset.table["pixel_size_um"].to_numpy(float)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def order(self) -> np.ndarray:
        """The rows as they stand."""
        return np.arange(len(self.rows))

    def read(self, rows: np.ndarray, zoom: float = 1.0) -> np.ndarray:
        """Read some pictures: uint8 (n, crop_px, crop_px, 3)."""
        from napari_aml.cells import crops
        from napari_aml.classify.sources import centre_square
        from napari_aml.slides import open_slide

        out = np.empty((len(rows), self.crop_px, self.crop_px, 3), np.uint8)
        for i, row in enumerate(self.rows[np.asarray(rows, int)]):
            picture, size = self.dataset.pixels(int(row)), self._size[row]
            if np.isfinite(size):
                h, w = picture.shape[:2]
                slide = open_slide(picture, float(size))
                out[i] = crops(slide, [h / 2], [w / 2], self.crop_um / zoom, self.crop_px)[0]
            else:
                centre_square(picture, self.crop_px, zoom, out[i])
        return out
