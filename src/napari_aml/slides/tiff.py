"""TIFF and its whole-slide kin (OME-TIFF, SVS, NDPI, SCN, QPTIFF), read lazily level by level."""

from __future__ import annotations

import logging
import re
import threading
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from napari_aml.errors import SlideReadError
from napari_aml.slides.array import ArraySlide
from napari_aml.slides.tiff_colour import Colour, colour_of
from napari_aml.slides.tiff_metadata import tiff_pixel_size

# tifffile logs each oddity of a damaged file; a program that wants to see that sets up logging, others get our errors.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

# A picture of at most this many pixels is decoded once; of a larger one, tiles are read when asked for.
IN_MEMORY_PIXELS = 1 << 25
# So is a coarse level of a tiled pyramid: what a person does not look at need not be decoded for a slide to open.
_COARSE_PIXELS = 1 << 22
# A picture that is stored in one piece must be decoded whole; beyond this many pixels it is refused.
MAX_PIECE_PIXELS = 1 << 28
# Strips are read in bands of at least this many rows, the last of which are kept: tiles go along the rows.
_BAND_ROWS, _BANDS_KEPT = 1024, 3

# Series that a slide scanner adds beside the specimen. They may show a patient's name: they are never decoded.
_NOT_THE_SPECIMEN = re.compile(r"(slide )?(label|macro|thumbnail|overview|map)( image)?( \d+)?", re.IGNORECASE)


def open_tiff(path: Path) -> ArraySlide:
    """Open the largest picture of a TIFF file with its pyramid.

    Label and macro pictures, which may show a patient's name, are never decoded: only the specimen's series and its own
    reduced levels are read. The file stays open as long as the slide lives.

    Raises
    ------
    SlideReadError
        Truncated, damaged, a stack, or one piece too large to be decoded.
    NotASmearError
        Grey.
    """
    tif = tifffile.TiffFile(path)
    try:
        series = _specimen(tif, path)
        page = _first_page(series)
        colour = colour_of(series, page, path)
        levels = _pyramid(tif, series)
        arrays = [_level(level, colour, path, among=len(levels)) for level in levels]
        pixel_size = tiff_pixel_size(tif, series, page)
        slide = ArraySlide(arrays, path.stem, path, pixel_size, colour.notes, keep=tif)
    except BaseException:
        tif.close()
        raise
    if all(isinstance(array, np.ndarray) for array in arrays):
        tif.close()
    else:
        weakref.finalize(tif, tif.filehandle.close)
    return slide


def _specimen(tif: tifffile.TiffFile, path: Path) -> Any:
    series = [s for s in tif.series if len(s.shape) >= 2 and s.size > 0 and _first_page(s) is not None]
    if len(series) > 1:
        series = [s for s in series if not _NOT_THE_SPECIMEN.fullmatch((s.name or "").strip())]
    if not series:
        raise SlideReadError(path, "it holds no picture of a specimen.")
    return max(series, key=lambda s: s.size)


def _first_page(series: Any) -> Any:
    page = next((p for p in series.pages if p is not None), None)
    return page.aspage() if page is not None and hasattr(page, "aspage") else page


def _pyramid(tif: tifffile.TiffFile, series: Any) -> list[Any]:
    """Return the series' levels, or, where each level is a series of its own (libvips, GDAL), those that fit."""
    levels = list(series.levels)
    if len(levels) > 1:
        return levels
    height, width = _height_width(series)
    for other in sorted(tif.series, key=lambda s: -s.size):
        page = _first_page(other)
        if other is series or page is None or not page.is_reduced or other.axes != series.axes:
            continue
        if other.dtype != series.dtype or page.photometric != _first_page(series).photometric:
            continue
        h, w = _height_width(other)
        # The same picture, smaller: equal ratios but for rounding; a macro picture has another shape.
        ratio = height / h
        if h < _height_width(levels[-1])[0] and abs(width / ratio - w) <= 1.5:
            levels.append(other)
    return levels


def _height_width(series: Any) -> tuple[int, int]:
    sizes = dict(zip(series.axes, series.shape, strict=True))
    return sizes.get("Y", 0), sizes.get("X", 0)


def _level(series: Any, colour: Colour, path: Path, among: int) -> Any:
    """Return one level of so many as an array (h, w, c): decoded where it is small, else lazy."""
    height, width = _height_width(series)
    page = _first_page(series)
    at_once = min(_COARSE_PIXELS, IN_MEMORY_PIXELS) if among > 1 and page.is_tiled else IN_MEMORY_PIXELS
    if height * width <= at_once:
        return colour(_plane(series.asarray(maxworkers=2), series.axes))
    if series.dataoffset is not None and page.is_memmappable:
        stored = page.parent.filehandle.memmap_array(series.dtype, series.shape, offset=series.dataoffset)
        return _Lazy(stored, series.axes, colour, banded=False)
    if page.is_tiled or min(page.rowsperstrip, height) * width <= IN_MEMORY_PIXELS:
        import zarr

        stored = zarr.open_array(series.aszarr(level=0, maxworkers=2), mode="r")
        return _Lazy(stored, series.axes, colour, banded=not page.is_tiled)
    if height * width <= MAX_PIECE_PIXELS:
        return colour(_plane(series.asarray(maxworkers=2), series.axes))
    raise SlideReadError(
        path,
        f"its {width}x{height} pixels are stored in one compressed piece.",
        "Save it as a tiled TIFF, which is read piece by piece (for example: vips tiffsave IN OUT.tif --tile "
        "--pyramid --compression jpeg).",
    )


def _plane(array: np.ndarray, axes: str) -> np.ndarray:
    """Drop axes of length 1 and put the samples last: (h, w) or (h, w, c)."""
    array = array[tuple(slice(None) if a in "YXSC" else 0 for a in axes)]
    kept = "".join(a for a in axes if a in "YXSC")
    for samples in "SC":
        if samples in kept and len(kept) > 3:
            # Both S and C: one of them has length 1 (`colour_of` has checked it).
            k = kept.index(samples)
            if array.shape[k] == 1:
                array, kept = array.take(0, axis=k), kept.replace(samples, "")
    return np.moveaxis(array, 0, -1) if kept and kept[0] in "SC" else array


class _Lazy:
    """An array-like view (h, w, c) of one TIFF level that decodes only the tiles it is asked for.

    Parameters
    ----------
    stored
        The level as a zarr array or memory map, its axes as in `axes`.
    axes
        Letters as in tifffile: Y, X, and S or C for the channels.
    colour
        What turns samples into RGB or RGBA.
    banded
        Whether it is stored in strips over the whole width.
    """

    ndim = 3

    def __init__(self, stored: Any, axes: str, colour: Colour, banded: bool) -> None:
        sizes = dict(zip(axes, stored.shape, strict=True))
        self._stored, self._axes, self._colour, self._banded = stored, axes, colour, banded
        self._bands: dict[int, np.ndarray] = {}
        self._lock = threading.Lock()
        self.shape, self.dtype = (sizes["Y"], sizes["X"], colour.channels), colour.dtype

    def __getitem__(self, key: Any) -> np.ndarray:
        key = key if isinstance(key, tuple) else (key,)
        rows, columns = (*key, slice(None))[:2]
        (y0, y1, sy), (x0, x1, sx) = rows.indices(self.shape[0]), columns.indices(self.shape[1])
        if self._banded:
            with self._lock:
                pixels = self._from_bands(y0, y1)[:, x0:x1]
        else:
            pixels = self._decode(y0, y1, x0, x1)
        return pixels[::sy, ::sx]

    def _decode(self, y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
        where = {"Y": slice(y0, y1), "X": slice(x0, x1)}
        key = tuple(where.get(a, slice(None) if a in "SC" else slice(0, 1)) for a in self._axes)
        return self._colour(_plane(np.asarray(self._stored[key]), self._axes))

    def _from_bands(self, y0: int, y1: int) -> np.ndarray:
        """Read whole bands of rows, for strips span the width: each is decoded once for all tiles along it."""
        parts = []
        for band in range(y0 // _BAND_ROWS, -(-y1 // _BAND_ROWS)):
            top, bottom = band * _BAND_ROWS, min((band + 1) * _BAND_ROWS, self.shape[0])
            pixels = self._bands.pop(band, None)
            if pixels is None:
                pixels = self._decode(top, bottom, 0, self.shape[1])
            self._bands[band] = pixels
            parts.append(pixels[max(y0, top) - top : min(y1, bottom) - top])
        for band in list(self._bands)[:-_BANDS_KEPT]:
            self._bands.pop(band, None)
        return np.concatenate(parts) if parts else np.empty((0, *self.shape[1:]), self.dtype)
