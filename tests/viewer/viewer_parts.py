"""Cells, predictions and heatmaps made by hand."""

from __future__ import annotations

import numpy as np

from napari_aml.cells import CellMasks, Cells, measure
from napari_aml.classify import Predictions
from napari_aml.explain import Heatmaps

CODES = tuple("BAS EBO EOS KSC LYA LYT MMZ MOB MON MYB MYO NGB NGS PMB PMO PLT".split())
UM = 0.1


def discs(shape, centres, radius):
    """Label image with one disc a centre, and nuclei of half the radius."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    cells, nuclei = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
    for label, (y, x) in enumerate(centres, start=1):
        far = (rows - y) ** 2 + (columns - x) ** 2
        cells[far <= radius**2] = label
        nuclei[far <= (radius / 2) ** 2] = label
    return cells, nuclei


def cells_of(labels, nuclei=None, um=UM, slide_id="S1"):
    masks = CellMasks.from_arrays(labels, nuclei)
    return Cells(slide_id, masks, measure(masks, slide_id, um), um, "by hand")


def predictions_for(n, seed=0):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(len(CODES), 0.3), n).astype(np.float32)
    return Predictions(CODES, p, rng.normal(size=(n, 4)).astype(np.float32), np.full(n, np.nan, np.float32), "hand")


def heatmaps_for(cells, predictions, um=UM, crop_um=28.0):
    n, rng = len(cells), np.random.default_rng(1)
    side = crop_um / um
    y, x = (cells.table[c].to_numpy() for c in ("y", "x"))
    box = np.stack([y - side / 2, x - side / 2, y + side / 2, x + side / 2], 1).astype(np.float32)
    maps = rng.uniform(0, 1, (n, 4, 4)).astype(np.float32)
    one = np.ones(n, np.float32)
    return Heatmaps(maps, predictions.index, "gradcam", 3, box, 1.5 * one, 2 * one, np.ones(n, bool))
