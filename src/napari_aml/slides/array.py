"""A slide from arrays: numpy, zarr, dask, or the data of a napari image layer (plain or multiscale)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_aml.provenance import array_sha256
from napari_aml.slides.convert import Converter
from napari_aml.slides.pixel_size import UNKNOWN, PixelSize
from napari_aml.slides.slide import Level, Slide

# A hash over more pixels than this is taken from a fixed sub-grid, so that a huge array is never loaded whole.
_HASH_PIXELS = 1 << 26


class ArraySlide(Slide):
    """A slide over one array or a list of levels, finest first.

    Parameters
    ----------
    levels
        Arrays (h, w, 3 or 4); anything with ``shape``, ``dtype`` and slicing.
    name, path, pixel_size, sha256
        As in `Slide`; `sha256` when the content's hash is already known.
    """

    def __init__(
        self,
        levels: Sequence[Any],
        name: str = "array",
        path: Path | None = None,
        pixel_size: PixelSize = UNKNOWN,
        sha256: str | None = None,
        notes: tuple[str, ...] = (),
    ) -> None:
        self._arrays = list(levels)
        self.name, self.path, self.pixel_size = name, path, pixel_size
        first, last = self._arrays[0], self._arrays[-1]
        step = max(1, int(np.ceil(max(last.shape[0], last.shape[1]) / 1024))) if min(last.shape[:2]) else 1
        self._convert = Converter(name, tuple(first.shape), first.dtype, np.asarray(last[::step, ::step]))
        height = first.shape[0]
        self.levels = tuple(Level(a.shape[0], a.shape[1], height / a.shape[0]) for a in self._arrays)
        self.notes = (*notes, *self._convert.notes)
        self._known_hash = sha256

    def _read(self, level: int, y: int, x: int, h: int, w: int) -> np.ndarray:
        return self._convert(np.asarray(self._arrays[level][y : y + h, x : x + w]))

    def _hash(self) -> str:
        if self._known_hash is not None:
            return self._known_hash
        array = self._arrays[0]
        step = max(1, int(np.ceil(np.sqrt(array.shape[0] * array.shape[1] / _HASH_PIXELS))))
        return array_sha256(np.asarray(array[::step, ::step]))
