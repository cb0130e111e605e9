"""The cell table: one row a cell, its columns, how they are measured and checked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from napari_aml.cells.masks import CellMasks
from napari_aml.cells.shape import solidity
from napari_aml.errors import CellTableError

#: Column → dtype. Pixels are level-0 pixels, boxes half-open; y, x is the centroid.
COLUMNS: dict[str, str] = {
    "uid": "str",
    "slide_id": "str",
    "label": "int32",
    "y": "float32",
    "x": "float32",
    "y0": "int32",
    "x0": "int32",
    "y1": "int32",
    "x1": "int32",
    "area_um2": "float32",
    "nucleus_area_um2": "float32",
    "nc_ratio": "float32",
    "eccentricity": "float32",
    "solidity": "float32",
    "touches_border": "bool",
}


@dataclass
class Cells:
    """The nucleated cells of one slide: masks and table, row i of the table being one mask.

    Attributes
    ----------
    slide_id
        Of the slide they were found in.
    masks
        One patch per cell.
    table
        One row a cell with the columns of `COLUMNS`, in order of label.
    pixel_size_um
        µm per level-0 pixel that the measurements rest on.
    segmenter
        Name and version of what found them.
    """

    slide_id: str
    masks: CellMasks
    table: pd.DataFrame
    pixel_size_um: float
    segmenter: str = ""

    def __len__(self) -> int:
        return len(self.table)


def empty_table() -> pd.DataFrame:
    """Return a table without rows, with all columns and dtypes."""
    return pd.DataFrame({name: pd.Series(dtype=dtype) for name, dtype in COLUMNS.items()})


def measure(masks: CellMasks, slide_id: str, pixel_size_um: float, labels: list[int] | None = None) -> pd.DataFrame:
    """Measure cells.

    Parameters
    ----------
    masks
        Their masks.
    slide_id, pixel_size_um
        Of the slide.
    labels
        Which cells; all by default.
    """
    rows = [_row(masks, label, slide_id, pixel_size_um) for label in (sorted(masks) if labels is None else labels)]
    return validate(pd.DataFrame(rows).astype(COLUMNS)[list(COLUMNS)] if rows else empty_table())


def _row(masks: CellMasks, label: int, slide_id: str, um: float) -> dict[str, object]:
    y0, x0, y1, x1 = masks.boxes[label]
    patch = masks.patches[label]
    mask = patch > 0
    ys, xs = np.nonzero(mask)
    area, nucleus = len(ys), int((patch == 2).sum())
    return {
        "uid": f"{slide_id}-{label:06d}",
        "slide_id": slide_id,
        "label": label,
        "y": y0 + ys.mean(),
        "x": x0 + xs.mean(),
        "y0": y0, "x0": x0, "y1": y1, "x1": x1,
        "area_um2": area * um**2,
        "nucleus_area_um2": nucleus * um**2,
        "nc_ratio": nucleus / area,
        "eccentricity": _eccentricity(ys, xs),
        "solidity": solidity(mask),
        "touches_border": y0 <= 0 or x0 <= 0 or y1 >= masks.shape[0] or x1 >= masks.shape[1],
    }  # fmt: skip


def _eccentricity(ys: np.ndarray, xs: np.ndarray) -> float:
    """Return the eccentricity of the ellipse with the same second moments (a pixel counts as a unit square)."""
    vy, vx = ys.var() + 1 / 12, xs.var() + 1 / 12
    cov = ((ys - ys.mean()) * (xs - xs.mean())).mean()
    root = float(np.sqrt((vy - vx) ** 2 + 4 * cov**2))
    return float(np.sqrt(max(0.0, 2 * root / (vy + vx + root))))


def validate(table: pd.DataFrame) -> pd.DataFrame:
    """Check a cell table's columns, types and invariants and return it.

    Raises
    ------
    CellTableError
        Naming the column or the cell.
    """
    if missing := [c for c in COLUMNS if c not in table]:
        raise CellTableError(f"The cell table lacks the column(s) {', '.join(missing)}.", "Segment the slide again.")
    if table["uid"].duplicated().any():
        twice = table.loc[table["uid"].duplicated(), "uid"].iloc[0]
        raise CellTableError(f"The cell {twice} stands twice in the table.", "Each uid may stand once.")
    wrong = table[(table["y1"] <= table["y0"]) | (table["x1"] <= table["x0"])]
    if len(wrong):
        raise CellTableError(f"The box of cell {wrong['uid'].iloc[0]} is empty.", "Segment the slide again.")
    return table
