"""The cells that ship with the package, as a set to try things out on: no claim can rest on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from napari_aml import samples
from napari_aml.datasets.layouts.cells import LMU_UM, PBC_UM
from napari_aml.datasets.layouts.found import Found
from napari_aml.datasets.pictures import read_pixels


def sample(path: Path) -> Found:
    """Read the shipped cells: the mosaic of AML patients' cells, tile by tile, and the sheet of normal cells."""
    rows: list[dict[str, Any]] = []
    pictures: list[np.ndarray] = []
    for entry in samples.index():
        if entry["kind"] not in ("mosaic", "sheet"):
            continue
        picture, side, source = read_pixels(samples.folder() / entry["path"]), entry["tile_px"], entry["source"]
        field_um = {"lmu": LMU_UM, "pbc": PBC_UM}[source]
        for line, code in enumerate(entry["classes"]):
            for column in range(entry["columns"]):
                y, x = line * side, column * side
                tile = picture[y : y + side, x : x + side]
                if (tile == 255).all():
                    continue
                pictures.append(np.ascontiguousarray(tile))
                rows.append({"source_label": code, "code": code, "source": source, "crop_um": field_um})
    meta = {
        "name": "sample", "licence": "CC BY 3.0 (LMU) and CC BY 4.0 (PBC)", "tissue": "peripheral blood",
        "source": "AML-Cytomorphology_LMU (Matek et al. 2019) and PBC (Acevedo et al. 2020), a few cells of each",
        "stain": "Romanowsky type", "scanner": "two: see the column source",
    }  # fmt: skip
    notes = ["A few cells to try commands on: the shipped demonstration model has seen them; no figure means anything."]
    return Found(rows, pictures, meta, notes=notes)
