"""Picture files as scanners and programs write them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile


def halved(picture: np.ndarray) -> np.ndarray:
    """Half the height and width, by averaging."""
    h, w = picture.shape[0] // 2 * 2, picture.shape[1] // 2 * 2
    blocks = picture[:h, :w].reshape(h // 2, 2, w // 2, 2, -1).astype(float)
    return blocks.mean(axis=(1, 3)).round().astype(picture.dtype)


def write_ome_pyramid(path: Path, picture: np.ndarray, um: float = 0.25, unit: str = "µm", **keywords) -> Path:
    """Write a tiled OME-TIFF with two coarser levels as SubIFDs."""
    levels = [picture, halved(picture), halved(halved(picture))]
    with tifffile.TiffWriter(path, ome=True, bigtiff=keywords.pop("bigtiff", False)) as tif:
        settings = {"photometric": "rgb", "tile": (128, 128), **keywords}
        metadata = {
            "axes": "YXS", "PhysicalSizeX": um, "PhysicalSizeXUnit": unit, "PhysicalSizeY": um,
            "PhysicalSizeYUnit": unit,
        }  # fmt: skip
        tif.write(levels[0], subifds=2, metadata=metadata, **settings)
        for level in levels[1:]:
            tif.write(level, subfiletype=1, **settings)
    return path


def write_svs(path: Path, picture: np.ndarray, label: np.ndarray | None = None) -> Path:
    """Write a file laid out as Aperio does: baseline, thumbnail, level, label and macro pictures."""
    description = (
        "Aperio Image Library v10.0.51\r\n46920x33014 [0,100 46000x32914] (256x256) JPEG/RGB Q=30"
        "|AppMag = 40|StripeWidth = 2040|ScanScope ID = CPAPERIOCS|Filename = DOE_JANE_19700101|Date = 12/29/09"
        "|MPP = 0.2500|Left = 25.6|Title = Jane Doe"
    )
    label = np.zeros((60, 50, 3), np.uint8) if label is None else label
    with tifffile.TiffWriter(path) as tif:
        settings = {"photometric": "rgb", "metadata": None}
        tif.write(picture, tile=(128, 128), description=description, **settings)
        tif.write(halved(halved(picture)), description="Aperio thumbnail", **settings)
        tif.write(halved(picture), tile=(128, 128), description="Aperio level", **settings)
        tif.write(label, subfiletype=1, description="Aperio Image Library\r\nlabel 50x60", **settings)
        tif.write(label, subfiletype=9, description="Aperio Image Library\r\nmacro 50x60", **settings)
    return path
