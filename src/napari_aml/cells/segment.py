"""A Slide becomes Cells, tile by tile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_aml.cells.masks import CellMasks
from napari_aml.cells.protocol import Segmenter, get_segmenter
from napari_aml.cells.table import Cells, measure
from napari_aml.errors import PixelSizeUnknownError
from napari_aml.progress import Progress, Steps, run

if TYPE_CHECKING:
    from napari_aml.slides.slide import Slide


def segment_steps(slide: Slide, segmenter: Segmenter | None = None) -> Steps[Cells]:
    """Find the nucleated cells of a slide.

    Parameters
    ----------
    slide
        A slide whose pixel size is known.
    segmenter
        The backend; the default one if None.

    Yields
    ------
    Progress
        Its payload is a `Cells` of the cells found since the last event, or None.

    Returns
    -------
    Cells
    """
    if slide.pixel_size.um is None:
        raise PixelSizeUnknownError(slide.name, slide.pixel_size.detail)
    segmenter = segmenter or get_segmenter()
    yield Progress(0, 1, "Finding cells")
    masks_found = segmenter.segment(slide.region(0, 0, 0, *slide.shape), slide.pixel_size.um)
    masks = CellMasks.from_arrays(masks_found.cells, masks_found.nuclei)
    table = measure(masks, slide.slide_id, slide.pixel_size.um)
    cells = Cells(slide.slide_id, masks, table, slide.pixel_size.um, f"{segmenter.name} {segmenter.version}")
    yield Progress(1, 1, f"{len(cells)} cells", cells)
    return cells


def segment(slide: Slide, segmenter: Segmenter | None = None) -> Cells:
    """Find the nucleated cells of a slide; `segment_steps` driven to its end."""
    return run(segment_steps(slide, segmenter))
