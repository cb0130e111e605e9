"""A results folder (``labels.tif``, ``cells.csv``, …) becomes napari layers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_aml.errors import SlideReadError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from napari_aml.viewer.picture_layers import LayerData


def result_folders(path: Path) -> list[Path]:
    """Return the results folders that a path names: itself, its parent (for ``labels.tif``) or those inside it."""
    if path.is_file():
        path = path.parent
    if not path.is_dir():
        return []
    return [f for f in (path, *sorted(path.iterdir())) if (f / "labels.tif").is_file() and (f / "cells.csv").is_file()]


def result_layers(folder: Path, prefix: str = "", visible: bool = True) -> list[LayerData]:
    """Return the layers of one results folder.

    Parameters
    ----------
    folder
        Holds ``labels.tif`` and ``cells.csv``, and may hold ``overlay.png``, ``nuclei.tif``, ``cam.tif``.
    prefix
        Put before each layer's name.
    visible
        Whether the layers are shown at once.

    Raises
    ------
    SlideReadError
        A file is damaged or does not fit the others.
    """
    labels = _read_tiff(folder / "labels.tif")
    layers: list[LayerData] = []
    if (folder / "overlay.png").is_file():
        layers += _backdrop(folder / "overlay.png", labels.shape, prefix, visible)
    if (folder / "cam.tif").is_file():
        cam = _read_tiff(folder / "cam.tif", labels.shape)
        top = float(cam.max()) if cam.size else 0.0
        keywords: dict[str, Any] = {
            "name": f"{prefix}Grad-CAM", "colormap": "inferno", "opacity": 0.5, "blending": "additive",
            "contrast_limits": (0.0, top or 1.0), "visible": False,
        }  # fmt: skip
        layers.append((cam, keywords, "image"))
    if (folder / "nuclei.tif").is_file():
        nuclei = _read_tiff(folder / "nuclei.tif", labels.shape)
        layers.append((nuclei, {"name": f"{prefix}nuclei", "visible": False}, "labels"))
    table = _read_table(folder / "cells.csv")
    layers.append((labels, {"name": f"{prefix}cells", "features": table, "visible": visible}, "labels"))
    return layers


def _read_tiff(path: Path, shape: tuple[int, ...] | None = None) -> np.ndarray:
    import tifffile

    try:
        array = tifffile.imread(path)
    except Exception as error:
        raise SlideReadError(path, "it is damaged.", "Analyse the picture again.") from error
    if array.ndim != 2 or (shape is not None and array.shape != shape):
        raise SlideReadError(
            path, f"its shape {array.shape} does not fit the other results.", "Analyse the picture again."
        )
    return array


def _read_table(path: Path) -> pd.DataFrame:
    """Read the cell table; napari finds a cell's row by the column ``index``, which is the cell's label."""
    import pandas as pd

    try:
        table = pd.read_csv(path, comment="#")
        return table.assign(index=table["label"].astype(int))
    except (OSError, ValueError, KeyError) as error:
        raise SlideReadError(path, "it is no cell table.", "Analyse the picture again.") from error


def _backdrop(path: Path, shape: tuple[int, ...], prefix: str, visible: bool) -> list[LayerData]:
    """Show the overlay picture under the labels, enlarged to them where it was written smaller."""
    from napari_aml.slides import open_slide

    slide = open_slide(path)
    picture = slide.region(0, 0, 0, *slide.shape)
    scale = (shape[0] / slide.shape[0], shape[1] / slide.shape[1])
    keywords = {"name": f"{prefix}overlay", "rgb": True, "scale": scale, "visible": visible}
    return [(picture, keywords, "image")]
