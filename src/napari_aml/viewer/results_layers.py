"""A results folder (``labels.tif``, ``cells.csv``, …) becomes napari layers, coloured as in the dock."""

from __future__ import annotations

import json
import uuid
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_aml.errors import SlideReadError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from napari.utils.colormaps import DirectLabelColormap

    from napari_aml.viewer.picture_layers import LayerData

AGAIN = "Analyse the picture again."
# A raster up to this many pixels is held in memory; a larger one is shown tile by tile, thinned in coarse levels.
_IN_MEMORY_PIXELS = 1 << 25
_THINNED = (1, 4, 16)


def result_folders(path: Path) -> list[Path]:
    """Return the results folders that a path names: itself, its parent (for ``labels.tif``) or those inside it."""
    if path.is_file():
        path = path.parent
    if not path.is_dir():
        return []
    try:
        inside = sorted(path.iterdir())
    except OSError:
        return []
    return [f for f in (path, *inside) if (f / "labels.tif").is_file() and (f / "cells.csv").is_file()]


def result_layers(folder: Path, prefix: str = "", visible: bool = True) -> list[LayerData]:
    """Return the layers of one results folder, bottom first.

    Parameters
    ----------
    folder
        Holds ``labels.tif`` and ``cells.csv``, and may hold ``overlay.png``, ``cam.tif``, ``nuclei.tif`` and
        ``provenance.json`` (from which the pixel size is taken).
    prefix
        Put before each layer's name.
    visible
        Whether the layers are shown at once.

    Raises
    ------
    SlideReadError
        A file is damaged or does not fit the others.
    """
    from napari_aml.viewer.layers import heat_colormap

    labels = _read_tiff(folder / "labels.tif")
    table = _read_table(folder / "cells.csv")
    shape = _shape(labels)
    um = _pixel_size(folder)
    place: dict[str, Any] = {} if um is None else {"scale": (um, um), "units": ("um", "um")}
    many = {"multiscale": isinstance(labels, list)}
    layers: list[LayerData] = []
    if (folder / "overlay.png").is_file():
        layers += _backdrop(folder / "overlay.png", shape, um, {"name": f"{prefix}overlay", "visible": visible})
    if (folder / "cam.tif").is_file():
        cam = _read_tiff(folder / "cam.tif", shape)
        keywords: dict[str, Any] = {
            "name": f"{prefix}heatmap", "rgb": False, "colormap": heat_colormap(), "opacity": 0.7,
            "blending": "translucent_no_depth", "contrast_limits": (0.0, _greatest(cam)), "visible": False,
        }  # fmt: skip
        layers.append((cam, keywords | place | many, "image"))
    if (folder / "nuclei.tif").is_file():
        nuclei = _read_tiff(folder / "nuclei.tif", shape)
        layers.append((nuclei, {"name": f"{prefix}nuclei", "visible": False} | place | many, "labels"))
    keywords = {"name": f"{prefix}cells", "features": table, "visible": visible, "opacity": 0.35}
    if "class" in table:
        keywords["colormap"] = _class_colours(table)
    layers.append((labels, keywords | place | many, "labels"))
    return layers


def _shape(raster: Any) -> tuple[int, ...]:
    return tuple(raster[0].shape if isinstance(raster, list) else raster.shape)


def _read_tiff(path: Path, shape: tuple[int, ...] | None = None) -> Any:
    """Return a raster (h, w) in memory, or a large one as lazy levels."""
    import tifffile

    try:
        with tifffile.TiffFile(path) as tif:
            found, size = tuple(tif.series[0].shape), tif.series[0].size
            array: Any = tif.asarray(maxworkers=2) if size <= _IN_MEMORY_PIXELS else None
        if array is None:
            array = _thinned_levels(path)
    except Exception as error:  # decoders raise dozens of types
        raise SlideReadError(path, "it is truncated or damaged.", AGAIN) from error
    if len(found) != 2 or (shape is not None and found != shape):
        raise SlideReadError(path, f"its shape {found} does not fit the other results.", AGAIN)
    return array


class _Stored:
    """A raster (h, w) that is decoded where it is sliced; the file is closed with it."""

    ndim = 2

    def __init__(self, path: Path) -> None:
        import tifffile
        import zarr

        tif = tifffile.TiffFile(path)
        self._array = zarr.open_array(tif.series[0].aszarr(level=0, maxworkers=2), mode="r")
        self.shape, self.dtype = self._array.shape, self._array.dtype
        weakref.finalize(self, tif.close)

    def __getitem__(self, key: Any) -> np.ndarray:
        import numpy as np

        return np.asarray(self._array[key])


def _thinned_levels(path: Path) -> list[Any]:
    import dask.array as da
    import numpy as np

    stored = _Stored(path)
    name = f"raster-{uuid.uuid4().hex}"  # napari keeps decoded tiles by this name: it must never be used twice
    whole = da.from_array(stored, chunks=1024, asarray=False, name=name, meta=np.empty((0, 0), stored.dtype))
    return [whole[::step, ::step] for step in _THINNED]


def _read_table(path: Path) -> pd.DataFrame:
    """Read the cell table; napari finds a cell's row by the column ``index``, which is the cell's label."""
    import pandas as pd

    try:
        table = pd.read_csv(path, comment="#")
        return table.assign(index=table["label"].astype(int))
    except (OSError, ValueError, KeyError) as error:
        raise SlideReadError(path, "it is no cell table.", AGAIN) from error


def _pixel_size(folder: Path) -> float | None:
    """Return µm per pixel from ``provenance.json``, None where it does not say it."""
    try:
        um = json.loads((folder / "provenance.json").read_text("utf-8"))["slide"]["pixel_size_um"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return float(um) if isinstance(um, int | float) and um > 0 else None


def _class_colours(table: pd.DataFrame) -> DirectLabelColormap:
    """Return a colour map that gives each cell the constant colour of its class."""
    from napari.utils.colormaps import DirectLabelColormap

    from napari_aml.taxonomy import cell_class

    said = zip(table["label"].astype(int), table["class"].fillna("").astype(str), strict=True)
    colours: dict[int | None, str] = {label: cell_class(code).colour for label, code in said}
    return DirectLabelColormap(color_dict={0: "transparent", None: cell_class("UNK").colour} | colours)


def _greatest(raster: Any) -> float:
    """Return the greatest value (of the coarsest level), 1 where there is none above 0."""
    coarse = raster[-1] if isinstance(raster, list) else raster
    return float(coarse.max() if coarse.size else 0.0) or 1.0


def _backdrop(path: Path, shape: tuple[int, ...], um: float | None, keywords: dict[str, Any]) -> list[LayerData]:
    """Show the overlay picture under the labels, enlarged to them where it was written smaller."""
    from napari_aml.slides import open_slide

    slide = open_slide(path)
    picture = slide.region(0, 0, 0, *slide.shape)
    factors = tuple(there / here * (um or 1.0) for there, here in zip(shape, slide.shape, strict=True))
    units = {} if um is None else {"units": ("um", "um")}
    return [(picture, keywords | {"rgb": True, "scale": factors} | units, "image")]
