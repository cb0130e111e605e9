"""OME-Zarr folders (NGFF 0.4 and 0.5), read lazily level by level."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from napari_aml.errors import NotASmearError, SlideReadError
from napari_aml.slides import pixel_size as px
from napari_aml.slides.array import ArraySlide


def open_ome_zarr(path: Path) -> ArraySlide:
    """Open the first multiscale picture of an OME-Zarr folder.

    Raises
    ------
    SlideReadError
        No OME-Zarr, a stack, or damaged.
    NotASmearError
        Neither 3 nor 4 channels.
    """
    import zarr

    try:
        group = zarr.open_group(str(path), mode="r")
        attributes: dict[str, Any] = dict(group.attrs)
        # Version 0.5 moved everything under "ome".
        multiscale = attributes.get("ome", attributes)["multiscales"][0]
        axes = [axis if isinstance(axis, str) else axis["name"] for axis in multiscale["axes"]]
        units = {a["name"]: a.get("unit", "") for a in multiscale["axes"] if isinstance(a, dict)}
        datasets = multiscale["datasets"]
        stored = [group[dataset["path"]] for dataset in datasets]
    except (KeyError, IndexError, TypeError, FileNotFoundError, ValueError) as error:
        raise SlideReadError(path, "it is no OME-Zarr picture.") from error
    levels = [_Plane(array, axes, path) for array in stored]
    return ArraySlide(levels, path.stem, path, _pixel_size(datasets[0], axes, units))


def _pixel_size(dataset: dict[str, Any], axes: list[str], units: dict[str, str]) -> px.PixelSize:
    scale = next((t["scale"] for t in dataset.get("coordinateTransformations", []) if t.get("type") == "scale"), None)
    if scale is None or len(scale) != len(axes):
        return px.UNKNOWN
    x, y = (px.to_um(float(scale[axes.index(a)]), units.get(a, "")) for a in "xy")
    return px.settle([(x, y, "OME-Zarr scale")])


class _Plane:
    """An array-like view (h, w, c) of one level whose further axes have length 1."""

    ndim = 3

    def __init__(self, array: Any, axes: list[str], path: Path) -> None:
        sizes = dict(zip(axes, array.shape, strict=True))
        stacked = {a: n for a, n in sizes.items() if a not in "yxc" and n > 1}
        if stacked or not {"y", "x"} <= set(sizes):
            raise SlideReadError(path, f"it is a stack (axes {', '.join(axes)}).", "Export one plane of it as RGB.")
        if sizes.get("c", 1) not in (3, 4):
            raise NotASmearError(f"'{path}' has {sizes.get('c', 1)} channels.", "Export it as RGB (3 channels).")
        self._array, self._axes = array, axes
        self.shape, self.dtype = (sizes["y"], sizes["x"], sizes["c"]), np.dtype(array.dtype)

    def __getitem__(self, key: tuple[slice, slice]) -> np.ndarray:
        where = {"y": key[0], "x": key[1], "c": slice(None)}
        pixels = np.asarray(self._array[tuple(where.get(a, 0) for a in self._axes)])
        kept = [a for a in self._axes if a in "yxc"]
        return np.transpose(pixels, [kept.index(a) for a in "yxc"])
