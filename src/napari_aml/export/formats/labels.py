"""Label images: one TIFF of whole cells and one of nuclei a slide, the ids being the column ``label`` of cells.csv."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_aml.export.formats.exporting import share
from napari_aml.export.formats.options import ExportOptions, Written
from napari_aml.export.formats.tables import write_steps as write_tables_steps
from napari_aml.export.rasters import label_tiles, write_tiff_steps
from napari_aml.progress import Steps

if TYPE_CHECKING:
    from napari_aml.cells.masks import Part
    from napari_aml.review.exchange.curated import Curation

#: The label images of a slide and what their labels are.
_PARTS: tuple[tuple[Part, str], ...] = (("cell", "whole nucleated cells"), ("nucleus", "nuclei"))


def write_steps(curation: Curation, folder: Path, options: ExportOptions) -> Steps[Written]:
    """Write the label images of every slide, and the tables that say what each label is."""
    inside = folder / "labels"
    inside.mkdir()
    made, remarks = [], []
    for number, slide in enumerate(curation):
        if slide.masks is None:
            remarks.append(f"Slide {slide.slide_id} has no masks, so there is no label image of it.")
            continue
        labels = slide.table["label"].tolist()
        for i, (part, what) in enumerate(_PARTS):
            path = inside / f"{slide.slide_id}_{'cells' if part == 'cell' else 'nuclei'}.tif"
            said = f"Integer labels of {what} of slide {slide.slide_id}, ids as in cells.csv, 0 = background."
            source = label_tiles(slide.masks, part, labels)
            steps = write_tiff_steps(path, source, slide.shape, np.int32, slide.pixel_size_um, said)
            start = 1000 * (2 * number + i) // (2 * len(curation) + 1)
            yield from share(steps, start, start + 1000 // (2 * len(curation) + 1))
            made.append(path.relative_to(folder))
    if not (folder / "cells.csv").exists():
        tables: Written = yield from write_tables_steps(curation, folder, options, "csv")
        made += tables.files
    return Written(tuple(made), tuple(remarks))
