"""TIFF and its whole-slide kin (OME-TIFF, SVS, NDPI, SCN, QPTIFF), read lazily level by level."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from napari_aml.errors import SlideReadError
from napari_aml.provenance import file_sha256
from napari_aml.slides import pixel_size as px
from napari_aml.slides.array import ArraySlide

_UNITS = {2: "inch", 3: "cm", 4: "mm", 5: "µm"}
# Below this many pixels a level is decoded once; above, tiles are read when asked for.
_IN_MEMORY = 1 << 25


class _Lazy:
    """An array-like view of one TIFF level that decodes only the tiles it is asked for."""

    def __init__(self, zarray: Any, shape: tuple[int, ...], channels_first: bool) -> None:
        self._z, self.shape, self.dtype, self._first = zarray, shape, np.dtype(zarray.dtype), channels_first

    def __getitem__(self, key: tuple[slice, slice]) -> np.ndarray:
        if self._first:
            return np.moveaxis(np.asarray(self._z[(slice(None), *key)]), 0, -1)
        return np.asarray(self._z[key])


def open_tiff(path: Path) -> ArraySlide:
    """Open the largest picture of a TIFF file with its pyramid.

    Label and macro pictures, which may show a patient's name, are never opened: only the baseline series and
    its own reduced levels are read.
    """
    with tifffile.TiffFile(path) as tif:
        series = max(tif.series, key=lambda s: s.size)
        pixel_size = _tiff_pixel_size(tif, series)
        axes = series.axes
        counts = [int(np.prod(lv.shape)) for lv in series.levels]
        in_memory = counts[0] <= _IN_MEMORY * 3
        arrays = [series.asarray()] if in_memory else None
    arrays = arrays or _lazy_levels(path, axes)
    if in_memory:
        arrays = [_rgb_last(a, axes, path) for a in arrays]
    return ArraySlide(arrays, path.name.split(".")[0], path, pixel_size, sha256=file_sha256(path))


def _rgb_last(array: np.ndarray, axes: str, path: Path) -> np.ndarray:
    order = _axis_order(axes, array.shape, path)
    array = array[tuple(slice(None) if a in "YXSC" else 0 for a in axes)]
    return np.moveaxis(array, 0, -1) if order == "first" else array


def _axis_order(axes: str, shape: tuple[int, ...], path: Path) -> str:
    kept = "".join(a for a in axes if a in "YXSC")
    extra = [n for a, n in zip(axes, shape, strict=True) if a not in "YXSC"]
    if any(n > 1 for n in extra):
        raise SlideReadError(path, f"it is a stack (axes {axes}).", "Export one plane as RGB.")
    if kept in ("YX", "YXS", "YXC"):
        return "last"
    if kept in ("SYX", "CYX"):
        return "first"
    raise SlideReadError(path, f"its axes {axes} are not those of a picture.")


def _lazy_levels(path: Path, axes: str) -> list[Any]:
    import zarr

    with tifffile.TiffFile(path) as tif:
        series = max(tif.series, key=lambda s: s.size)
        index, shapes = tif.series.index(series), [lv.shape for lv in series.levels]
    order = _axis_order(axes, shapes[0], path)
    levels = []
    for i, shape in enumerate(shapes):
        store = tifffile.imread(path, aszarr=True, series=index, level=i)
        zarray = zarr.open(store, mode="r")
        picture = shape if order == "last" else (*shape[1:], shape[0])
        levels.append(_Lazy(zarray, tuple(picture), order == "first"))
    return levels


def _tiff_pixel_size(tif: tifffile.TiffFile, series: Any) -> px.PixelSize:
    page = series.pages[0] if series.pages else tif.pages[0]
    page = page.aspage() if hasattr(page, "aspage") else page
    candidates: list[tuple[float | None, str]] = []
    if tif.is_ome and tif.ome_metadata:
        candidates.append((px.from_ome(tif.ome_metadata), "OME PhysicalSizeX"))
    candidates.append((px.from_description(page.description or ""), "MPP in the description"))
    if (resolution := page.tags.get("XResolution")) is not None:
        numerator, denominator = resolution.value
        unit_tag = page.tags.get("ResolutionUnit")
        unit = _UNITS.get(int(unit_tag.value) if unit_tag is not None else 2)
        if tif.is_imagej and tif.imagej_metadata and tif.imagej_metadata.get("unit"):
            unit = str(tif.imagej_metadata["unit"]).replace("\\u00B5m", "µm")
        if unit and denominator:
            candidates.append((px.from_dots(numerator / denominator, unit), "TIFF resolution"))
    implausible = px.UNKNOWN
    for um, where in candidates:
        if px.plausible(um):
            return px.PixelSize(um, "file", where)
        if um is not None:
            implausible = px.PixelSize(
                None, "unknown", f"the file's {where} ({um:.3g} µm/px) is a print resolution"
            )
    return implausible
