"""A Slide becomes Cells: segmentation backends behind one Protocol, the cell table, crops at a fixed µm/px."""

from __future__ import annotations

from napari_aml.cells.cropping import crops
from napari_aml.cells.edit import CellsUpdate, update_cells
from napari_aml.cells.masks import CellMasks
from napari_aml.cells.protocol import FieldMasks, Segmenter, get_segmenter, register_segmenter, segmenter_names
from napari_aml.cells.segment import segment, segment_steps
from napari_aml.cells.table import COLUMNS, Cells, empty_table, measure, validate


def _classical() -> Segmenter:
    from napari_aml.cells.classical import ClassicalSegmenter

    return ClassicalSegmenter()


def _unet() -> Segmenter:
    from napari_aml.cells.unet import UNetSegmenter

    return UNetSegmenter()


register_segmenter("classical", _classical)
register_segmenter("unet", _unet)
register_segmenter("default", _unet)

__all__ = [
    "COLUMNS", "CellMasks", "Cells", "CellsUpdate", "FieldMasks", "Segmenter", "crops", "empty_table",
    "get_segmenter", "measure", "register_segmenter", "segment", "segment_steps", "segmenter_names", "update_cells",
    "validate",
]  # fmt: skip
