"""What a person can choose about an export, and what every writer shares."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_aml.errors import InputError

#: Which cells leave: all of them, or only those that a person confirmed.
ALL, CONFIRMED = "all", "confirmed"
#: How COCO writes masks.
RLE, POLYGONS = "rle", "polygons"


@dataclass(frozen=True)
class ExportOptions:
    """Choices of an export.

    Attributes
    ----------
    cells
        `ALL` or `CONFIRMED`: which cells pictures and data sets are made of. Tables and outlines always hold all
        cells and say which are confirmed.
    coco_masks
        `RLE` (exact, any shape) or `POLYGONS` (exact, too; COCO's polygons have no holes, so a cell with one stays
        RLE).
    crop_px, crop_um
        Side of a cell's picture in pixels and µm; None = as the slide's model saw it, 256 pixels.
    """

    cells: str = ALL
    coco_masks: str = RLE
    crop_px: int = 256
    crop_um: float | None = None

    def __post_init__(self) -> None:
        if self.cells not in (ALL, CONFIRMED):
            raise InputError(f"There is no choice of cells '{self.cells}'.", f"Choose {ALL} or {CONFIRMED}.")
        if self.coco_masks not in (RLE, POLYGONS):
            raise InputError(f"COCO masks cannot be '{self.coco_masks}'.", f"Choose {RLE} or {POLYGONS}.")
        if not 8 <= self.crop_px <= 4096:
            raise InputError(f"A picture of {self.crop_px} pixels cannot be made.", "Choose 8 to 4096.")
        if self.crop_um is not None and not 1 <= self.crop_um <= 1000:
            raise InputError(f"A picture of {self.crop_um} µm cannot be made.", "Choose 1 to 1000 µm.")


@dataclass(frozen=True)
class Written:
    """What a writer made.

    Attributes
    ----------
    files
        Relative to the export's folder.
    remarks
        What a person should know: what could not be written and why.
    """

    files: tuple[Path, ...]
    remarks: tuple[str, ...] = ()


def plain(value: Any) -> Any:
    """Return a value of a table as JSON has it: floats with the digits that they have, None for what is missing."""
    if value is None or (isinstance(value, float | np.floating) and not np.isfinite(value)):
        return None
    if isinstance(value, np.floating):
        return float(str(value))  # the shortest text that gives the same float32 again
    return value.item() if isinstance(value, np.generic) else value


def records(table: Any) -> Iterator[dict[str, Any]]:
    """Yield the rows of a table as plain values."""
    columns = [(name, table[name].to_numpy()) for name in table.columns]
    for row in range(len(table)):
        yield {name: plain(values[row]) for name, values in columns}
