"""The pictures of single cells: which leave, and how they are cut."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from napari_aml.cells import crops
from napari_aml.export.formats.options import CONFIRMED, ExportOptions

if TYPE_CHECKING:
    from napari_aml.review.exchange.curated import CuratedSlide

_BATCH = 64


def chosen_rows(slide: CuratedSlide, options: ExportOptions) -> np.ndarray:
    """Return the rows whose pictures leave: those with a class, and of these the confirmed ones where asked for."""
    table = slide.table
    keep = table["code_final"].to_numpy(object) != ""
    if options.cells == CONFIRMED:
        keep = keep & table["confirmed"].to_numpy(bool)
    return np.flatnonzero(keep)


def cut(slide: CuratedSlide, rows: np.ndarray, options: ExportOptions) -> Iterator[tuple[int, np.ndarray]]:
    """Yield row and picture uint8 (px, px, 3) of each cell, in reading order; needs the slide and its pixel size."""
    assert slide.slide is not None
    y, x = (slide.table[c].to_numpy(float) for c in ("y", "x"))
    rows = rows[np.lexsort((x[rows], y[rows] // 1024))]
    for start in range(0, len(rows), _BATCH):
        some = rows[start : start + _BATCH]
        pictures = crops(slide.slide, y[some], x[some], options.crop_um or slide.crop_um, options.crop_px)
        yield from zip(some.tolist(), pictures, strict=True)


def why_not(slide: CuratedSlide) -> str:
    """Return why a slide's cells cannot be cut; empty where they can."""
    if slide.slide is None:
        return f"The picture of slide {slide.slide_id} is not at hand: no cells were cut from it."
    if slide.slide.pixel_size.um is None:
        return f"The pixel size of slide {slide.slide_id} is unknown: no cells were cut from it."
    return ""
