"""A slide from arrays: numpy, zarr, dask, or the data of a napari image layer (plain or multiscale)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_aml.errors import AmlError, SlideReadError
from napari_aml.provenance import array_sha256, file_sha256
from napari_aml.slides.convert import Converter
from napari_aml.slides.pixel_size import UNKNOWN, PixelSize
from napari_aml.slides.slide import Level, Slide

# A hash over more pixels than this is taken from a fixed set of windows, so that a huge array is never loaded whole.
_HASH_PIXELS = 1 << 26
# Depth is judged from this many pixels at most where a level is not small.
_SAMPLE_PX, _WINDOW = 1 << 22, 512


class ArraySlide(Slide):
    """A slide over one array or a list of levels, finest first.

    Parameters
    ----------
    levels
        Arrays (h, w, 3 or 4); anything with ``shape``, ``dtype`` and slicing. Only what is asked for is sliced.
    name, path, pixel_size, notes
        As in `Slide`.
    keep
        Anything that must live as long as the slide (an open file).

    Raises
    ------
    NotASmearError
        One channel, or neither 3 nor 4.
    SlideReadError
        Zero size, no picture's type, or levels that are no pyramid.
    """

    def __init__(
        self,
        levels: Sequence[Any],
        name: str = "array",
        path: Path | None = None,
        pixel_size: PixelSize = UNKNOWN,
        notes: tuple[str, ...] = (),
        keep: Any = None,
    ) -> None:
        if not len(levels):
            raise SlideReadError(path or name, "it has no levels.")
        self._arrays = list(levels)
        self.name, self.path, self.pixel_size, self._keep = name, path, pixel_size, keep
        first, last = self._arrays[0], self._arrays[-1]
        if not (hasattr(first, "shape") and hasattr(first, "dtype")):
            raise SlideReadError(path or name, f"a {type(first).__name__} is no picture.", "Give a file or an array.")
        label = str(path or name)
        self._convert = Converter(label, tuple(first.shape), first.dtype, lambda: sample_windows(last))
        self.levels = _levels(self._arrays, label)
        self.notes = (*notes, *self._convert.notes)

    def _read(self, level: int, y: int, x: int, h: int, w: int) -> np.ndarray:
        try:
            pixels = np.asarray(self._arrays[level][y : y + h, x : x + w])
        except AmlError:
            raise
        except Exception as error:  # decoders raise dozens of types, and their texts are for developers
            raise SlideReadError(
                self.path or self.name,
                f"the part at row {y}, column {x} (level {level}) is damaged.",
                "Copy the file again from its source, or cut that part out.",
            ) from error
        return self._convert(pixels)

    def peek(self, level: int, y: int, x: int, h: int, w: int) -> np.ndarray:
        """Return a region without copying it where it lies in memory as it is shown."""
        array, size = self._arrays[level], self.levels[level]
        inside = min(y, x, h, w) >= 0 and y + h <= size.height and x + w <= size.width
        if not (inside and self._convert.unchanged and type(array) is np.ndarray):
            return super().peek(level, y, x, h, w)
        view = array[y : y + h, x : x + w]
        view.flags.writeable = False
        return view

    def _hash(self) -> str:
        if self.path is not None and self.path.is_file():
            return file_sha256(self.path)
        return array_sha256(sample_windows(self._arrays[0], _HASH_PIXELS, 4096))


def _levels(arrays: list[Any], name: str) -> tuple[Level, ...]:
    height, width = arrays[0].shape[:2]
    found: list[Level] = []
    for array in arrays:
        h, w = array.shape[:2]
        if 0 in (h, w) or (found and h > found[-1].height) or (found and w > found[-1].width):
            raise SlideReadError(
                name, f"its levels are no pyramid ({h}x{w} px after {height}x{width} px).", "Give the finest first."
            )
        found.append(Level(h, w, height / h))
    return tuple(found)


def sample_windows(array: Any, pixels: int = _SAMPLE_PX, side: int = _WINDOW) -> np.ndarray:
    """Return the pixels (n, c) of an array (h, w, c), or of evenly spread windows of a large one."""
    height, width = array.shape[:2]
    if height * width <= pixels:
        return np.asarray(array[:height, :width])
    count = max(2, int(np.sqrt(pixels / side**2)))
    rows, columns = (np.linspace(0, max(0, n - side), count) for n in (height, width))
    corners = [(int(y), int(x)) for y in rows for x in columns]
    windows = [np.asarray(array[y : y + side, x : x + side]) for y, x in corners]
    return np.concatenate([window.reshape(-1, *window.shape[2:]) for window in windows])
